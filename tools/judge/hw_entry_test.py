#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Tests of hw_entry.py on small images made by hand."""

import os
import struct
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../testing/selftests/liveupdate/iommu"))

import hw_entry  # pylint: disable=wrong-import-position

ROOT, CONTEXT, DIRECTORY, TABLE = 0x1000, 0x2000, 0x3000, 0x4000
SIZE = 0x8000


class Image(unittest.TestCase):
    """A memory in which tests place words."""

    def setUp(self):
        fd, self.path = tempfile.mkstemp()
        self.addCleanup(os.unlink, self.path)
        self.file = os.fdopen(fd, "r+b", buffering=0)
        self.file.truncate(SIZE)
        self.addCleanup(self.file.close)
        self.ram = hw_entry.Ram(self.path)
        self.addCleanup(self.ram.close)

    def put(self, address, *words):
        self.file.seek(address)
        self.file.write(struct.pack("<%dQ" % len(words), *words))

    def read(self, bdf, scalable):
        return tuple(hw_entry.read_entry(self.ram, ROOT, scalable, bdf))


class Legacy(Image):
    def test_entry(self):
        self.put(ROOT + 0x81 * 16, CONTEXT | 1, 0)
        self.put(CONTEXT + 0x0a * 16, 0x123456001, 0x502)
        self.assertEqual(self.read("81:01.2", False), (0x123456001, 0x502))

    def test_neighbours_are_others(self):
        self.put(ROOT + 16, CONTEXT | 1, 0)
        self.put(CONTEXT, 0x5001, 0x302)
        self.assertEqual(self.read("01:00.0", False), (0x5001, 0x302))
        self.assertEqual(self.read("01:00.1", False), (0, 0))
        self.assertEqual(self.read("02:00.0", False), (0, 0))

    def test_root_not_present(self):
        self.put(ROOT + 16, CONTEXT, 0)
        self.put(CONTEXT, 0x5001, 0x302)
        self.assertEqual(self.read("01:00.0", False), (0, 0))

    def test_last_address(self):
        self.put(ROOT + 16, SIZE - 0x1000 | 1, 0)
        self.put(SIZE - 16, 0x5001, 0x302)
        self.assertEqual(self.read("01:1f.7", False), (0x5001, 0x302))

    def test_out_of_memory(self):
        for context in (SIZE | 1, 0xfffffffffffff001):
            self.put(ROOT + 16, context, 0)
            with self.assertRaises(hw_entry.TableError):
                self.read("01:00.0", False)
        with self.assertRaises(hw_entry.TableError):
            hw_entry.read_entry(self.ram, SIZE, False, "00:00.0")
        with self.assertRaises(hw_entry.TableError):
            hw_entry.read_entry(self.ram, SIZE - 8, False, "00:00.0")


class MuchMemory(Image):
    """A context table above the hole for devices."""

    def test_entry(self):
        size = 3 << 30
        self.file.truncate(size)
        self.ram.size = size
        self.put(ROOT + 16, 4 << 30 | 1, 0)
        self.put((2 << 30) + 16, 0x5001, 0x302)
        self.assertEqual(self.read("01:00.1", False), (0x5001, 0x302))
        self.put(ROOT + 16, 2 << 30 | 1, 0)
        with self.assertRaises(hw_entry.TableError):
            self.read("01:00.1", False)


class Scalable(Image):
    def tables(self, words, devfn=0, pasid=0, size=0):
        self.put(ROOT + 16 + (devfn >> 7) * 8, CONTEXT | 1)
        self.put(CONTEXT + (devfn & 0x7f) * 32, DIRECTORY | size << 9 | 1, pasid, 0, 0)
        self.put(DIRECTORY + (pasid >> 6) * 8, TABLE | 1)
        self.put(TABLE + (pasid & 63) * 64, *words)

    def test_second_stage(self):
        self.tables((0x7000 | 2 << 6 | 1, 0x9, 0x6000))
        self.assertEqual(self.read("01:00.0", True), (0x7000 | 2 << 6 | 1, 9))

    def test_first_stage(self):
        self.tables((1 << 6 | 1, 0x9, 0x6008))
        self.assertEqual(self.read("01:00.0", True), (0x6001, 9))

    def test_first_stage_not_present(self):
        self.tables((1 << 6, 0x9, 0x6008))
        self.assertEqual(self.read("01:00.0", True), (0x6000, 9))

    def test_upper_half(self):
        self.tables((0x7001, 0x9, 0), devfn=0x81)
        self.assertEqual(self.read("01:10.1", True), (0x7001, 9))
        self.assertEqual(self.read("01:00.1", True), (0, 0))

    def test_other_pasid(self):
        self.tables((0x7001, 0x9, 0), pasid=0x41)
        self.assertEqual(self.read("01:00.0", True), (0x7001, 9))

    def test_present(self):
        self.tables((0x7001, 0x9, 0), devfn=0x81)
        self.assertEqual(hw_entry.present(self.ram, ROOT, True), ["01:10.1"])
        self.put(TABLE + 64, 1)
        self.put(DIRECTORY + 8, TABLE + 0x1000 | 1)
        self.put(TABLE + 0x1000, 0, 1)
        self.put(TABLE + 0x1000 + 2 * 64, 1)
        self.assertEqual(hw_entry.present(self.ram, ROOT, True),
                         ["01:10.1", "01:10.1 PASID 1", "01:10.1 PASID 66"])

    def test_pasid_beyond_directory(self):
        self.tables((0x7001, 0x9, 0), pasid=128 * 64)
        with self.assertRaises(hw_entry.TableError):
            self.read("01:00.0", True)

    def test_levels_not_present(self):
        for address in (ROOT + 16, CONTEXT, DIRECTORY):
            self.tables((0x7001, 0x9, 0))
            self.put(address, 0)
            self.assertEqual(self.read("01:00.0", True), (0, 0))

    def test_out_of_memory(self):
        for address in (ROOT + 16, CONTEXT, DIRECTORY):
            self.tables((0x7001, 0x9, 0))
            self.put(address, SIZE | 1)
            with self.assertRaises(hw_entry.TableError):
                self.read("01:00.0", True)


class Inputs(unittest.TestCase):
    def test_bdf(self):
        self.assertEqual(hw_entry.parse_bdf("0000:03:1f.7"), (3, 0xff))
        for wrong in ("", "1:00.0", "01:20.0", "01:00.8", "01:00.0 "):
            with self.assertRaises(ValueError):
                hw_entry.parse_bdf(wrong)

    def test_last_root(self):
        self.assertIsNone(hw_entry.last_root(b"vtd_dmar_enable enable 1\n"))
        log = (b"1@2.3:vtd_reg_dmar_root addr 0x1000 scalable 0\n"
               b"1@2.4:vtd_reg_dmar_root addr 0x2f000 scalable 1\n"
               b"1@2.5:vtd_reg_dmar_root addr 0x3")
        self.assertEqual(hw_entry.last_root(log), (0x2f000, True))


if __name__ == "__main__":
    unittest.main()
