#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Tests of the verdict in the modes of the IOMMU and the places of the device."""

import os
import sys
import tempfile
import unittest

import selftest_path  # pylint: disable=unused-import
import entry_checks
import judge
import mutations_beside
import recording
import rundir
from recording import MS

NOT_PRESENT = "vtd_re_not_present Root entry bus %d not present"


def scalable(mode):
    """The passing run with PASID entries; second stage has type 2 in bits 8:6."""
    run = recording.passing()
    run.meta["mode"] = mode
    rows = run.table("entries.csv")
    for row in rows:
        table = int(row[2], 16) & entry_checks.POINTER
        row[2] = "%x" % (table | (0x89 if mode == "sm-ss" else 0x1))
        row[3] = "%x" % (int(row[3], 16) >> 8)
    run.set_table("entries.csv", rows)
    return run


def moved(topology, rid, ports):
    """The passing run with the device at another place."""
    run = recording.passing()
    run.meta.update(topology=topology, rid=rid, ports=ports)
    models = dict(zip(ports[1:], ("x3130-upstream", "xio3130-downstream")))
    lines = []
    for line in run.files["qemu.log"]:
        if "pcie-root-port" in line:
            lines += [line.replace("pcie-root-port 00:02.0", "%s %s" % (
                models.get(port, "pcie-root-port"), port)) for port in ports]
        else:
            lines.append(line.replace("igb 01:00.0", "igb " + rid))
    run.files["qemu.log"] = lines
    return run


def verdict(run):
    with tempfile.TemporaryDirectory() as path:
        run.write(path)
        return judge.judge(path)


def checks(run):
    return {one["check"] for one in verdict(run)["findings"]}


class Decode(unittest.TestCase):
    @staticmethod
    def entry(low, high):
        return rundir.Entry(0, "freeze", low, high, None, None)

    def test_legacy(self):
        found = entry_checks.decode("legacy", self.entry(0x1f26001, 0x502))
        self.assertEqual((found.present, found.pointer, found.did, found.plain),
                         (True, 0x1f26000, 5, True))
        self.assertFalse(entry_checks.decode("legacy", self.entry(0x1f26000, 0x502)).present)
        # Translation type 2 passes requests through, 3 is reserved.
        self.assertTrue(entry_checks.decode("legacy", self.entry(0x1f26005, 0x502)).plain)
        self.assertFalse(entry_checks.decode("legacy", self.entry(0x1f26009, 0x502)).plain)
        self.assertFalse(entry_checks.decode("legacy", self.entry(0x1f2600d, 0x502)).plain)
        self.assertEqual(entry_checks.decode("legacy", self.entry(1, 0xffff02)).did, 0xffff)

    def test_scalable(self):
        found = entry_checks.decode("sm-ss", self.entry(0x2608089, 0x10005))
        self.assertEqual((found.present, found.pointer, found.did, found.plain),
                         (True, 0x2608000, 5, True))
        for kind, plain in ((1, False), (2, True), (3, False), (4, False)):
            low = 0x2608009 | kind << 6
            self.assertEqual(entry_checks.decode("sm-ss", self.entry(low, 5)).plain, plain)
        found = entry_checks.decode("sm-fs", self.entry(0x1f7a001, 0x5))
        self.assertEqual((found.present, found.pointer, found.did, found.plain),
                         (True, 0x1f7a000, 5, True))

    def test_unread(self):
        self.assertIsNone(entry_checks.decode("legacy", self.entry(None, 0x502)))
        self.assertIsNone(entry_checks.decode("sm-fs", self.entry(0x1, None)))


class GuestRing(unittest.TestCase):
    def seen(self, **view):
        run = recording.passing()
        landed = sum(1 for row in run.table("landed.csv") if int(row[2]) < run.mark("finished"))
        rows = [row for row in run.table("guest.csv") if row[0] != "finished"]
        view = dict({"first_desc": 0, "first_seq": 0, "contiguous": landed, "holes": 0,
                     "bad": 0}, **view)
        run.set_table("guest.csv", rows + [["finished", key, value]
                                           for key, value in view.items() if value is not None])
        return checks(run)

    def test_good(self):
        self.assertEqual(self.seen(), set())

    def test_a_ring_given_back_whole_shows_no_sequence(self):
        """The first descriptor in hand is then one behind the last frame."""
        self.assertEqual(self.seen(first_desc=1300, first_seq=0, contiguous=0), set())

    def test_each_number_counts(self):
        for key, value in (("first_seq", 1), ("first_seq", -1), ("contiguous", 3), ("holes", 1),
                           ("bad", 1), ("first_desc", 1), ("holes", None), ("bad", "x")):
            self.assertEqual(self.seen(**{key: value}), {"guest_ring"}, "%s=%s" % (key, value))


class Modes(unittest.TestCase):
    def test_a_good_run_passes(self):
        for mode in ("sm-ss", "sm-fs"):
            self.assertEqual(verdict(scalable(mode))["reasons"], [], mode)

    def test_the_wrong_mode_does_not(self):
        run = scalable("sm-ss")
        run.meta["mode"] = "legacy"
        self.assertIn("hardware_entry", checks(run))

    def test_a_root_entry_tells_in_legacy_mode_only(self):
        """In scalable mode half of it belongs to virtual functions that are off."""
        for mode, expected in (("legacy", {"qemu_traces"}), ("sm-ss", set()), ("sm-fs", set())):
            run = recording.passing() if mode == "legacy" else scalable(mode)
            run.add_trace(run.mark("kernel_up") + MS, NOT_PRESENT % 1)
            self.assertEqual(checks(run), expected, mode)

    def test_other_buses_and_functions_tell_nothing(self):
        run = recording.passing()
        run.add_trace(run.mark("kernel_up") + MS, NOT_PRESENT % 2)
        for place in ("bus 1 devfn 128", "bus 0 devfn 0"):
            run.add_trace(run.mark("kernel_up") + MS,
                          "vtd_ce_not_present Context entry %s not present" % place)
        self.assertEqual(checks(run), set())

    def test_replace_is_seen_in_each_mode(self):
        for mode in ("sm-ss", "sm-fs"):
            run = scalable(mode)
            mutations_beside.replace_did_nothing(run)
            self.assertEqual(checks(run), {"hardware_entry"}, mode)


class Places(unittest.TestCase):
    SWITCH = ("switch", "03:00.0", ["00:02.0", "01:00.0", "02:00.0"])

    def test_on_the_root_bus(self):
        self.assertEqual(verdict(moved("root-bus", "00:05.0", []))["reasons"], [])

    def test_every_port_of_a_switch_is_judged(self):
        _, _, ports = self.SWITCH
        for port, model in zip(ports, ("pcie-root-port", "x3130-upstream", "xio3130-downstream")):
            run = moved(*self.SWITCH)
            run.add_trace(run.mark("kernel_up") + MS,
                          "pci_cfg_write %s %s @0x18 <- 0x0" % (model, port))
            found = [one for one in verdict(run)["config_writes"]["forbidden"] if one["harm"]]
            self.assertEqual([one["dev"] for one in found], [port])

    def test_a_write_may_be_good_in_one_place_only(self):
        text = "pci_cfg_write pcie-root-port 00:02.0 @0x7c <- 0x0"
        for run, count in ((recording.passing(), 1), (moved(*self.SWITCH), 0)):
            before = len(verdict(run)["config_writes"]["forbidden"])
            run.add_trace(run.mark("kernel_up") + MS, text)
            after = len(verdict(run)["config_writes"]["forbidden"])
            self.assertEqual(after - before, count)


if __name__ == "__main__":
    sys.exit(unittest.main(verbosity=1))
