#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Tests of recorder.py: what becomes of the lines of a guest."""

import os
import struct
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../testing/selftests/liveupdate/iommu"))

import recorder  # pylint: disable=wrong-import-position
import rundir  # pylint: disable=wrong-import-position


class Source:
    """Stands for the frame source; remembers what it was told."""

    def __init__(self):
        self.told = []

    def start(self):
        self.told.append("begin")

    def tell(self, command):
        self.told.append(command)


class Recording(unittest.TestCase):
    """A recorder with a guest memory of 64 KiB in which a root table is at 0."""

    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.dir = directory.name
        self.ram = os.path.join(self.dir, "ram")
        self.log = os.path.join(self.dir, "qemu.log")
        self.put_entry(0x7001)
        self.put_log("1@2.3:vtd_reg_dmar_root addr 0x0 scalable 0\n")
        self.source = Source()
        self.record = recorder.Recorder(self.dir, self.ram, self.log, self.source)

    def put_entry(self, low):
        memory = bytearray(0x10000)
        struct.pack_into("<Q", memory, 16, 0x1001)
        struct.pack_into("<QQ", memory, 0x1000, low, 0x502)
        with open(self.ram, "wb") as out:
            out.write(memory)

    def put_log(self, text):
        with open(self.log, "w", encoding="ascii") as out:
            out.write(text)

    def feed(self, *lines, start=100):
        for t_ns, line in enumerate(lines, start):
            self.record.report(t_ns, line)

    def written(self, name):
        self.record.write({"version": 1})
        with open(os.path.join(self.dir, name), encoding="ascii") as text:
            return text.read().splitlines()[1:]


class Life(Recording):
    AREA = "yard: area header=0x3000 bdf=0000:01:00.0"

    def test_marks_drive_the_source(self):
        self.feed(self.AREA, "yard: mark rx_on", "yard: mark done", "init: done")
        self.assertEqual(self.source.told, ["begin", "watch 0x3000", "start", "stop"])
        self.assertEqual(self.written("marks.csv"), ["101,rx_on", "102,done"])
        self.assertEqual(self.record.problems, [])

    def test_entry_is_that_of_the_mark(self):
        self.feed(self.AREA, "yard: belief phase=rx_on pgd=0x7000 did=0x5", "yard: mark rx_on")
        self.put_entry(0x8001)
        self.feed("yard: mark done", start=200)
        self.assertEqual(self.written("entries.csv"), ["102,rx_on,0x7001,0x502,0x7000,0x5",
                                                       "200,done,0x8001,0x502,,"])

    def test_entry_follows_the_register(self):
        self.feed(self.AREA)
        self.put_log("1@2.3:vtd_reg_dmar_root addr 0x0 scalable 0\n"
                     "1@2.4:vtd_reg_dmar_root addr 0x4000 scalable 0\n")
        self.feed("yard: mark rx_on", start=200)
        self.assertEqual(self.written("entries.csv"), ["200,rx_on,0x0,0x0,,"])

    def test_ring(self):
        self.feed("yard: ring phase=done first_seq=7 holes=0")
        self.assertEqual(self.written("guest.csv"), ["done,first_seq,7", "done,holes,0"])

    def test_files_can_be_read(self):
        self.feed(self.AREA, "yard: mark rx_on")
        self.written("marks.csv")
        self.assertEqual(rundir.read_marks(self.dir), {"rx_on": 101})
        self.assertEqual(rundir.read_entries(self.dir)[0].hw_hi, 0x502)

    def test_unusable_lines_are_problems(self):
        for line in ("yard: area header=0x3000", "yard: area header=0x3000 bdf=nonsense",
                     "yard: mark lunch", "yard: weather fine", "yard: ring holes=0"):
            self.record.problems = []
            self.feed(line)
            self.assertEqual(len(self.record.problems), 1, line)

    def test_mark_twice_is_a_problem(self):
        self.feed("yard: mark rx_on", "yard: mark rx_on")
        self.assertEqual(len(self.record.problems), 1)

    def test_tables_out_of_memory_are_a_problem(self):
        self.put_log("1@2.3:vtd_reg_dmar_root addr 0x20000 scalable 0\n")
        self.feed(self.AREA, "yard: mark rx_on")
        self.assertEqual(len(self.record.problems), 1)
        self.assertEqual(self.written("entries.csv"), [])


class Kernels(Recording):
    def console(self, *lines):
        for t_ns, line in enumerate(lines, 500):
            self.record.console(t_ns, line)

    def test_change(self):
        self.console("[    1.000000] boot", "[    9.000000] kexec_core: Starting new kernel",
                     "[    9.000100] something of the old kernel",
                     "early console in extract_kernel", "Decompressing Linux...",
                     "[    0.000000] Linux version 7.3.4", "[   10.000000] later")
        self.assertEqual(self.written("marks.csv"), ["502,kernel_gone", "505,kernel_up"])

    def test_last_one_of_several_changes(self):
        self.record.updates(2)
        change = ["[    9.000000] kexec_core: Starting new kernel",
                  "[    9.000100] something of the old kernel",
                  "[    0.000000] Linux version 7.3.4"]
        self.console(*change, *change)
        self.assertEqual(self.written("marks.csv"), ["504,kernel_gone", "505,kernel_up"])

    def test_first_boot_is_no_change(self):
        self.console("early console in extract_kernel", "[    0.000000] Linux version 7.3.4")
        self.assertEqual(self.written("marks.csv"), [])

    def test_thread_in_the_time_stamp(self):
        self.console("[    9.000000][  T1] kexec_core: Starting new kernel",
                     "[    0.000000][   T0] Linux version 7.3.4")
        self.assertEqual(self.written("marks.csv"), ["500,kernel_gone", "501,kernel_up"])

    def test_new_kernel_never_came(self):
        self.console("[    9.000000] kexec_core: Starting new kernel")
        self.assertEqual(self.written("marks.csv"), ["500,kernel_gone"])

    def test_no_kexec(self):
        self.console("[    1.000000] boot", "[    9.000000] reboot: Power down")
        self.assertEqual(self.written("marks.csv"), [])


if __name__ == "__main__":
    unittest.main()
