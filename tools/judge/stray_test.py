#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Tests of stray.py with made-up memory: whose frames are looked for, and in which runs."""

import os
import struct
import tempfile
import unittest
from unittest import mock

import selftest_path  # pylint: disable=unused-import
import misfit
import stray
import yardstick

MEMORY = 40 << 20
HEADER = 1 << 20
FRAME = b"\xff" * 6 + b"\x02" * 6 + stray.FRAME_TYPE + bytes(2) + struct.pack("<Q", 7) + stray.FRAME_MAGIC


class Memory(unittest.TestCase):
    def setUp(self):
        self.ram = tempfile.NamedTemporaryFile()
        self.addCleanup(self.ram.close)
        self.ram.truncate(MEMORY)
        self.watcher = stray.Stray(self.ram.name)

    def write(self, at, data):
        self.ram.seek(at)
        self.ram.write(data)
        self.ram.flush()

    def area(self, header, who="yard"):
        """An area of pages that lie one behind the other."""
        pages = struct.pack("<%dQ" % stray.AREA_PAGES,
                            *(header + page * stray.PAGE for page in range(stray.AREA_PAGES)))
        table = [header + (1 + page) * stray.PAGE for page in range(stray.AREA_TABLE_PAGES)]
        self.write(header, struct.pack("<Q", stray.AREA_MAGIC) + bytes(32) +
                   struct.pack("<%dQ" % len(table), *table))
        self.write(header + stray.PAGE, pages)
        self.watcher.line(0, "%s: area header=%#x bdf=0000:01:00.0" % (who, header))

    def test_frames_of_the_area(self):
        self.area(HEADER)
        for at in (HEADER + (1 << 20), HEADER + (16 << 20) - 2048):
            self.write(at, FRAME)
        self.assertEqual(self.watcher.problems(), [])

    def test_frames_beside_it(self):
        self.area(HEADER)
        for at in (HEADER - 2048, HEADER + (16 << 20), HEADER + (1 << 20)):
            self.write(at, FRAME)
        self.assertEqual(self.watcher.problems(),
                         ["2 frames are in memory that is not the device's, the first at 0xff800"])

    def test_a_second_device_has_an_area_of_its_own(self):
        self.area(HEADER)
        self.write(20 << 20, FRAME)
        self.assertEqual(len(self.watcher.problems()), 1)
        self.area(18 << 20, "given")
        self.write(20 << 20, FRAME)
        self.assertEqual(self.watcher.problems(), [])

    def test_no_area(self):
        self.assertEqual(self.watcher.problems(), ["there was no area to tell frames in it from others"])


class Runs(unittest.TestCase):
    """Which runs are looked at."""

    def looks(self, what, **options):
        return what(mock.Mock(**options), "dir").looks_for_strays()

    def test_yardstick(self):
        for handover in (False, True):
            self.assertTrue(self.looks(yardstick.Measurement, no_kexec=False, handover=handover))
        self.assertFalse(self.looks(yardstick.Measurement, no_kexec=True, handover=False))

    def test_misfit(self):
        for kernel in (1, 2):
            self.assertEqual(self.looks(misfit.Measurement, no_kexec=False, last_kernel=kernel), kernel == 2)


if __name__ == "__main__":
    unittest.main()
