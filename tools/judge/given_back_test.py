#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Tests of what may be done to the device after the measurement, with recorded runs.

The throw-away kernel of the recordings saved the state of a device that was running,
and gave it that when it was closed.
"""

import os
import unittest

import selftest_path  # pylint: disable=unused-import
import config_writes
import rundir

RECORDINGS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "recordings")
RID = "01:00.0"
DONE = 10 * 10**9


def log(*writes, dev=RID, reg="0x4"):
    """A trace of (seconds, value)."""
    return "".join("17@%d.500000:pci_cfg_write igb %s @%s <- %#x\n" % (sec, dev, reg, value)
                   for sec, value in writes).encode()


class GivenBack(unittest.TestCase):
    GOOD = ((1, 0x103), (2, 0x107), (11, 0x103), (12, 0x400), (13, 0x100003))

    def found(self, *writes, done=DONE, **where):
        return config_writes.mastering_in_the_end(log(*writes, **where), RID, done)

    def test_good(self):
        self.assertEqual(self.found(*self.GOOD), [])

    def test_for_a_moment(self):
        self.assertEqual(self.found(*self.GOOD[:4], (13, 0x100107), (14, 0x103)),
                         ["it was given back, and is a bus master again 3500.0 ms after the end:"
                          " COMMAND <- 0x100107"])

    def test_given_up_before(self):
        self.assertEqual(self.found((2, 0x107), (3, 0x103)), [])
        self.assertEqual(len(self.found((2, 0x107), (3, 0x103), (11, 0x107), (12, 0x103))), 1)

    def test_never_given_back(self):
        self.assertEqual(self.found(*self.GOOD[:2]), ["nobody has taken bus mastering away in the end"])

    def test_a_run_without_an_end_is_not_judged(self):
        self.assertEqual(self.found(*self.GOOD[:2], done=None), [])

    def test_other_registers_and_devices(self):
        more = log((12, 0x107), dev="00:02.0") + log((12, 0x107), reg="0xa8")
        self.assertEqual(config_writes.mastering_in_the_end(log(*self.GOOD) + more, RID, DONE), [])

    def test_what_cannot_be_read(self):
        found = config_writes.mastering_in_the_end(log(*self.GOOD) + b"1@2.500000:pci_cfg_write igb\n",
                                                   RID, DONE)
        self.assertIn("cannot be read", found[0])

    def recorded(self, name):
        path = os.path.join(RECORDINGS, name)
        text, _ = rundir.load(path, "qemu.log")
        return config_writes.mastering_in_the_end(text.encode(), rundir.read_meta(path)["rid"],
                                                  rundir.read_marks(path)["done"])

    def test_recorded_fault(self):
        for name in ("passing", "passing-root-bus", "passing-switch", "passing-sm-fs"):
            self.assertRegex("\n".join(self.recorded(name)), r"COMMAND <- 0x100107$", name)

    def test_recorded_run_that_has_it_not(self):
        self.assertEqual(self.recorded("undisturbed"), [])


if __name__ == "__main__":
    unittest.main()
