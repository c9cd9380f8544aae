#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Tests of what the judge reads: run directories, QEMU's log, the allow-list."""

import gzip
import os
import random
import shutil
import sys
import tempfile
import unittest
from unittest import mock

import selftest_path  # pylint: disable=unused-import
import config_writes
import judge
import qemulog
import recording
import rundir
from recording import MS

PASSING = recording.passing()


class Directory(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="reader-test-")
        self.addCleanup(shutil.rmtree, self.dir)
        PASSING.write(self.dir)

    def path(self, name):
        return os.path.join(self.dir, name)

    def lines(self, name, lines):
        with open(self.path(name), "w", encoding="utf-8") as out:
            out.write("".join(line + "\n" for line in lines))

    def refuses(self, text):
        with self.assertRaises(rundir.RunError) as caught:
            rundir.Run(self.dir)
        message = str(caught.exception)
        self.assertIn(text, message)
        self.assertTrue(message.startswith(self.dir))
        self.assertNotIn("\n", message)

    def test_the_whole_one_is_read(self):
        self.assertEqual(len(rundir.Run(self.dir).tries), len(PASSING.table("sent.csv")))

    def test_packed_files_are_the_same(self):
        plain = judge.judge(self.dir)
        for name in os.listdir(self.dir):
            with open(self.path(name), "rb") as source:
                data = source.read()
            with gzip.open(self.path(name) + ".gz", "wb") as packed:
                packed.write(data)
            os.remove(self.path(name))
        self.assertEqual(judge.judge(self.dir), plain)

    def test_packed_file_cut_short(self):
        whole = gzip.compress("\n".join(PASSING.files["sent.csv"]).encode() + b"\n")
        os.remove(self.path("sent.csv"))
        with open(self.path("sent.csv.gz"), "wb") as out:
            out.write(whole[:len(whole) // 2])
        self.refuses("sent.csv.gz: not a whole gzip file")

    def test_no_directory(self):
        with self.assertRaisesRegex(rundir.RunError, "no such run directory"):
            rundir.Run(self.path("nowhere"))

    def test_each_file_must_be_there(self):
        for name in list(recording.HEADERS) + list(recording.LOGS) + ["meta.json"]:
            with self.subTest(name):
                os.rename(self.path(name), self.path("away"))
                self.refuses("%s: missing" % name)
                os.rename(self.path("away"), self.path(name))

    def test_each_file_must_end_with_its_last_line(self):
        for name in list(recording.HEADERS) + ["console.log", "report.log", "qemu.log"]:
            with self.subTest(name):
                with open(self.path(name), encoding="utf-8") as source:
                    text = source.read()
                with open(self.path(name), "w", encoding="utf-8") as out:
                    out.write(text[:-5])
                self.refuses("the last line is cut short")
                with open(self.path(name), "w", encoding="utf-8") as out:
                    out.write(text)

    def test_broken_lines(self):
        first = {name: int(run[2 if name == "landed.csv" else 1])
                 for name, run in ((name, PASSING.table(name)[0])
                                   for name in ("sent.csv", "landed.csv"))}
        cases = (
            ("sent.csv", [], "empty, not even a header"),
            ("sent.csv", ["seq,t_ns"], "the header is not seq,t_ns,err"),
            ("sent.csv", ["seq,t_ns,err"], "no frame was ever sent"),
            ("sent.csv", ["seq,t_ns,err", "0,5"], "sent.csv:2: 2 fields instead of 3"),
            ("sent.csv", ["seq,t_ns,err", "0,5,0,0"], "sent.csv:2: 4 fields instead of 3"),
            ("sent.csv", ["seq,t_ns,err", "0,5x,0"], "sent.csv:2: t_ns is not a number: '5x'"),
            ("sent.csv", ["seq,t_ns,err", "0,5f,0"], "t_ns is not a number: '5f'"),
            ("sent.csv", ["seq,t_ns,err", "0,-5,0"], "t_ns is not a number"),
            ("sent.csv", ["seq,t_ns,err", "1,5,0"], "sequence 1 follows -1"),
            ("sent.csv", ["seq,t_ns,err", "0,5,0", "2,6,0"], "sent.csv:3: sequence 2 follows 0"),
            ("sent.csv", ["seq,t_ns,err", "0,5,0", "0,6,0"], "sequence 0 follows 0"),
            ("sent.csv", ["seq,t_ns,err", "0,5,0", "1,4,0"], "time runs backwards by 1 ns"),
            ("landed.csv", ["desc,seq,t_ns,ok", "0,0,%d,2" % first["landed.csv"]],
             "ok is neither 0 nor 1"),
            ("landed.csv", ["desc,seq,t_ns,ok", "0,-1,%d,1" % first["landed.csv"]],
             "seq is not a number"),
            ("landed.csv", ["desc,seq,t_ns,ok", "0,0,9,1", "1,1,8,1"], "time runs backwards"),
            ("marks.csv", ["t_ns,name", "5,rx_on", "6,lunch"], "unknown mark 'lunch'"),
            ("marks.csv", ["t_ns,name", "5,rx_on", "6,rx_on"], "mark rx_on comes twice"),
            ("marks.csv", ["t_ns,name", "5,freeze"], "the mark rx_on is missing"),
            ("marks.csv", ["t_ns,name", "5,rx_on", "4,freeze"], "mark freeze is earlier than"),
            ("entries.csv", [recording.HEADERS["entries.csv"], "5,lunch,,,,"], "unknown phase"),
            ("entries.csv", [recording.HEADERS["entries.csv"], "5,freeze,xyz,,,"],
             "hw_lo is not a number"),
            ("guest.csv", ["phase,key,value", "lunch,holes,0"], "unknown phase"),
            ("console.log", [], "empty"),
            ("console.log", ["no time here"], "console.log:1: no time stamp"),
            ("report.log", ["1.5 yard: mark rx_on"], "no time stamp"),
            ("qemu.log", ["1@2.000003:pci_cfg_write igb"], "qemu.log:1: pci_cfg_write cannot"),
            ("qemu.log", ["pci_cfg_write igb 01:00.0 @0x4 <- 0x103"], "without its time"),
            ("meta.json", ["{"], "not JSON"),
            ("meta.json", ["[]"], "not a JSON object"),
        )
        for name, lines, text in cases:
            with self.subTest("%s %s" % (name, text)):
                self.lines(name, lines)
                self.refuses(text)
                PASSING.write(self.dir)

    def test_meta_must_be_complete(self):
        cases = [(key, None, "%s is missing" % key) for key in rundir.META]
        cases += [("version", 2, "version 2"), ("rid", "1:0", "not a bus:device.function"),
                  ("mode", "magic", "unknown mode"), ("topology", "ring", "topology"),
                  ("ports", [], "0 ports do not fit"), ("ports", [7], "not a bus:device"),
                  ("fps", 0, "fps or ring"), ("ring", 1, "fps or ring"),
                  ("fps", True, "fps has the wrong type"),
                  ("kexec", 1, "kexec has the wrong type"), ("ring", "4096", "wrong type")]
        for key, value, text in cases:
            with self.subTest("%s=%r" % (key, value)):
                run = PASSING.copy()
                if value is None:
                    del run.meta[key]
                else:
                    run.meta[key] = value
                run.write(self.dir)
                self.refuses(text)

    def test_no_damage_makes_a_pass(self):
        """Wherever one table is cut or loses a character, the run does not pass."""
        rng = random.Random(11)
        judged = refused = 0
        for _ in range(120):
            name = rng.choice(["sent.csv", "landed.csv", "marks.csv"])
            text = "\n".join(PASSING.files[name]) + "\n"
            at = rng.randrange(len(text) - 1)
            text = text[:at] if rng.random() < 0.3 else text[:at] + text[at + 1:]
            with open(self.path(name), "w", encoding="utf-8") as out:
                out.write(text)
            try:
                verdict = judge.judge(self.dir)["verdict"]
                judged += 1
                self.assertTrue(verdict == "NOT YET" or self.same_until_done(name),
                                "%s damaged at %d" % (name, at))
            except judge.UnusableRun:
                refused += 1
            PASSING.write(self.dir)
        self.assertGreater(min(judged, refused), 5)

    def same_until_done(self, name):
        """Behind done nothing counts."""
        column = {"sent.csv": 1, "landed.csv": 2}.get(name)
        if column is None:
            return False
        limit = PASSING.mark("done") - 50 * MS
        whole = [row for row in PASSING.table(name) if int(row[column]) <= limit]
        return recording.Recording.load(self.dir).table(name)[:len(whole)] == whole


class QemuLog(unittest.TestCase):
    def test_fields(self):
        line = "23963@1795225851.987460:pci_cfg_write igb 01:00.0 @0x10 <- 0xfe600000"
        trace, = qemulog.traces([line])
        self.assertEqual((trace.t, trace.name), (1795225851987460000, "pci_cfg_write"))
        self.assertEqual(trace.fields, {"model": "igb", "dev": "01:00.0", "reg": 0x10,
                                        "value": 0xfe600000})

    def test_every_format_of_qemu_is_read(self):
        lines = {
            "vtd_dmar_enable": "enable 1",
            "vtd_dmar_fault": "sid 0x100 fault 5 addr 0x10104000 write 1",
            "vtd_frr_new": "index 0 high 0x8000000500000100 low 0x10104000",
            "vtd_fsts_ppf": "FSTS PPF bit set to 1",
            "vtd_re_not_present": "Root entry bus 1 not present",
            "vtd_ce_not_present": "Context entry bus 1 devfn 0 not present",
            "e1000x_rx_can_recv_disabled": "link_up: 1, rx_enabled 1, pci_master 0",
            "e1000e_rx_null_descriptor": "Null RX descriptor!!",
            "pci_cfg_write": "pcie-root-port 00:02.0 @0x3e <- 0x2",
        }
        self.assertEqual(set(lines), set(qemulog.FORMATS))
        for name, text in lines.items():
            trace, = qemulog.traces(["1@5.000001:%s %s" % (name, text)])
            self.assertEqual(trace.name, name)
            with self.assertRaises(qemulog.LogError):
                qemulog.traces(["x" + "%s %s" % (name, text)])
            if name != "e1000e_rx_null_descriptor":
                with self.assertRaises(qemulog.LogError):
                    qemulog.traces(["1@5.000001:%s %s!" % (name, text)])

    def test_numbers_have_the_base_that_qemu_prints(self):
        trace, = qemulog.traces(["1@5.000001:vtd_ce_not_present Context entry bus 58 devfn 251"
                                 " not present"])
        self.assertEqual(trace.fields, {"bus": 58, "devfn": 251})
        trace, = qemulog.traces(["1@5.000001:vtd_dmar_fault sid 0x1a0 fault 12 addr 0x10 write 1"])
        self.assertEqual(trace.fields, {"sid": 0x1a0, "fault": 12, "addr": 16, "write": 1})

    def test_other_events_and_chatter_are_let_through(self):
        self.assertEqual(len(qemulog.traces(["1@5.000001:vtd_reg_write_gcmd status 0x0 value 0x1",
                                             "invalid guest access", "1@6.000000:bare"])), 2)

    def test_events_are_put_in_order(self):
        times = [trace.t for trace in qemulog.traces(["1@6.000000:a", "1@5.000000:b"])]
        self.assertEqual(times, sorted(times))

    def test_messages(self):
        found = qemulog.messages(["2026-11-21T03:00:01.500000Z qemu: fault", "", "plain"])
        self.assertEqual([one.t for one in found], [1795230001500000000, None])

    def test_only_messages_of_the_judged_time_are_faults(self):
        found = qemulog.messages([
            "2026-11-21T02:59:59.000000Z qemu: before", "2026-11-21T03:00:01.500000Z qemu: in",
            "2026-11-21T03:00:09.000000Z qemu: after", "warning: no such cpu feature",
            "vtd_iova_to_slpte: something", "2026-11-21T03:00:01.600000Z qemu-system-x86_64:"
            " terminating on signal 15 from pid 1 (timeout)"])
        begin = 1795230000 * 10**9
        bad = qemulog.faults(found, begin, begin + 5 * 10**9)
        self.assertEqual([one.text for one in bad],
                         ["qemu: in", "vtd_iova_to_slpte: something"])

    def test_devfn(self):
        self.assertEqual(qemulog.devfn("01:00.0"), (1, 0))
        self.assertEqual(qemulog.devfn("3a:1f.3"), (0x3a, 0xfb))


class AllowList(unittest.TestCase):
    def setUp(self):
        handle, self.path = tempfile.mkstemp()
        os.close(handle)
        self.addCleanup(os.remove, self.path)

    def read(self, text):
        with open(self.path, "w", encoding="utf-8") as out:
            out.write(text)
        return config_writes.read_allow(self.path)

    def test_rules(self):
        rules = self.read("# comment\n\nigb 0x04 0x4/0xfabc why\nigb 0x04 0x0/0x1 why\n")
        self.assertEqual(rules, {("igb", 4): [(4, 0xfabc), (0, 1)]})

    def test_bad_lists_are_refused(self):
        for text in ("igb 0x04 0x4 why\n", "igb 0x04 0x4/0x4\n", "igb 4 0x4/0x4 why\n",
                     "igb 0x04 0x5/0x4 why\n", "# nothing\n"):
            with self.assertRaises(config_writes.AllowError, msg=text):
                self.read(text)
        with self.assertRaises(config_writes.AllowError):
            config_writes.read_allow("/nonexistent/list")

    def test_no_list_allows_harm(self):
        rules = {(model, reg): [(0, 0)] for reg in range(0x400)
                 for model in ("igb", "pcie-root-port")}
        for device, reg, value in (("igb 01:00.0", 0x4, 0x103), ("igb 01:00.0", 0xa8, 0x8100),
                                   ("igb 01:00.0", 0x44, 0x3),
                                   ("pcie-root-port 00:02.0", 0x4, 0x503),
                                   ("pcie-root-port 00:02.0", 0x18, 0x0),
                                   ("pcie-root-port 00:02.0", 0x19, 0x0),
                                   ("pcie-root-port 00:02.0", 0x1a, 0x0),
                                   ("pcie-root-port 00:02.0", 0x3e, 0x42),
                                   ("pcie-root-port 00:02.0", 0x64, 0x10)):
            with self.subTest("%s %x %x" % (device, reg, value)), \
                    tempfile.TemporaryDirectory() as path, \
                    mock.patch.object(config_writes, "read_allow", return_value=rules):
                run = PASSING.copy()
                run.add_trace(run.mark("kernel_up") + MS, "pci_cfg_write %s @0x%x <- 0x%x"
                              % (device, reg, value))
                run.write(path)
                verdict = judge.judge(path)
                self.assertEqual(len(verdict["config_writes"]["forbidden"]), 1)
                self.assertTrue(verdict["config_writes"]["forbidden"][0]["harm"])
                self.assertEqual(verdict["verdict"], "NOT YET")

    def test_each_bit_that_hurts_by_itself(self):
        port, down, up = "pcie-root-port", "xio3130-downstream", "x3130-upstream"
        # model, is a port, register and its name, the one bit, QEMU stops DMA for it
        for model, is_port, reg, name, bit, stops in (
                ("igb", False, 0xa8, "Device Control", 0x8000, True),
                ("igb", False, 0x44, "Power Control", 0x1, True),
                ("igb", False, 0x44, "Power Control", 0x2, True),
                (port, True, 0x3e, "Bridge Control", 0x40, True),
                (port, True, 0x64, "Link Control", 0x10, True),
                (down, True, 0xa0, "Link Control", 0x10, True),
                (up, True, 0xa0, "Link Control", 0x10, True)):
            with self.subTest("%s %s %x" % (model, name, bit)):
                hurts, stopped = config_writes.harm(model, reg, bit, is_port)
                self.assertTrue(hurts)
                self.assertEqual(stopped, stops)
                others = 0xffff & ~(0x3 if name == "Power Control" else bit)
                self.assertEqual(config_writes.harm(model, reg, others, is_port), (None, False))
                write = config_writes.Write(0, "01:00.0", model, reg, bit, hurts, stops, False)
                self.assertIn(" %s @0x%x <- 0x%x" % (name, reg, bit),
                              config_writes.describe(write))

    def test_mastering_of_a_port_is_forgiven_by_qemu(self):
        self.assertEqual(config_writes.harm("pcie-root-port", 4, 0x103, True),
                         ("clears bus mastering", False))
        self.assertEqual(config_writes.harm("igb", 4, 0x103, False),
                         ("clears bus mastering", True))
        self.assertEqual(config_writes.harm("igb", 4, 0x107, False), (None, False))

    def test_names_belong_to_their_models(self):
        def name(model, reg, hurts=None):
            return config_writes.register(
                config_writes.Write(0, "", model, reg, 0, hurts, False, False))
        self.assertEqual(name("igb", 0x3e), "register")
        self.assertEqual(name("igb", 0x18), "register")
        self.assertEqual(name("pcie-root-port", 0x18, "rewrites"), "bus numbers")
        self.assertEqual(name("pcie-root-port", 0xa8), "register")

    def test_virtual_functions_stay_off(self):
        rules = config_writes.read_allow()
        fits = [value for value in range(32)
                if any(value & mask == want for want, mask in rules["igb", 0x168])]
        self.assertEqual(fits, [0x0, 0x10])

    def test_other_devices_are_not_judged(self):
        run = PASSING.copy()
        run.add_trace(run.mark("kernel_up"), "pci_cfg_write ich9-ahci 00:1f.2 @0x4 <- 0x0")
        with tempfile.TemporaryDirectory() as path:
            run.write(path)
            self.assertEqual(judge.judge(path)["verdict"], "PASS")


if __name__ == "__main__":
    sys.exit(unittest.main(verbosity=1))
