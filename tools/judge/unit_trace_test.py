#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Each step that a kernel leaves out at an IOMMU that goes on is told, and no other."""

import os
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../testing/selftests/liveupdate/iommu"))

import unit_trace  # pylint: disable=wrong-import-position

MARKS = {"preserved": 10 * 10**9, "freeze": 11 * 10**9, "kernel_up": 20 * 10**9,
         "userspace": 30 * 10**9}

# Lines as QEMU 10.0.2 writes them
TAKEN = "vtd_inv_qi_head read head 4"
CONTEXT = ["vtd_inv_desc invalidate desc type context-cache high 0x0 low 0x11",
           "vtd_inv_desc_cc_global context invalidate globally"]
ONE_CONTEXT = ["vtd_inv_desc invalidate desc type context-cache high 0x0 low 0x31"]
IOTLB = ["vtd_inv_desc invalidate desc type iotlb high 0x0 low 0xd2",
         "vtd_inv_desc_iotlb_global iotlb invalidate global"]
INTERRUPTS = ["vtd_inv_desc invalidate desc type iec high 0x0 low 0x4"]
ONE_INTERRUPT = ["vtd_inv_desc invalidate desc type iec high 0x0 low 0x100000014"]
WAIT = ["vtd_inv_desc invalidate desc type wait high 0x1108404 low 0x200000025"]
PASIDS = []
MASK, UNMASK = "vtd_reg_write_fectl value 0x80000000", "vtd_reg_write_fectl value 0x0"
ON = "vtd_reg_write_gcmd status 0xc7000000 value 0x%x"
ALL_ON = 0x86000000

OLD = (CONTEXT, PASIDS, IOTLB, INTERRUPTS)
NEW = (CONTEXT, PASIDS, IOTLB)


def log(old, new, extra=(), mask=MASK):
    """The log of two kernels that submit these, each with a wait descriptor."""
    lines = ["1@11.500000:" + mask, "1@25.000000:" + UNMASK]
    for second, descriptors in ((12, old), (22, new)):
        for one in descriptors:
            for descriptor in (one, WAIT):
                lines += ["1@%d.000001:%s" % (second, text) for text in [TAKEN] + descriptor]
    return "\n".join(lines + ["1@%s" % text for text in extra]).encode() + b"\n"


class Steps(unittest.TestCase):
    def problems(self, old=OLD, new=NEW, mode="sm-ss", dead_queue=False, extra=(), change=False,
                 **events):
        trace = unit_trace.UnitTrace(log(old, new, extra, **events))
        return trace.problems(MARKS, mode, dead_queue, change)

    def test_all_steps(self):
        self.assertEqual(self.problems(), [])
        legacy = (CONTEXT, IOTLB)
        self.assertEqual(self.problems(legacy + (INTERRUPTS,), legacy, "legacy"), [])

    def test_each_step_is_missed(self):
        for steps, who in ((OLD, "old"), (NEW, "new")):
            for at, name in enumerate((unit_trace.CONTEXT, unit_trace.PASIDS, unit_trace.IOTLB,
                                       unit_trace.INTERRUPTS)[:len(steps)]):
                less = steps[:at] + steps[at + 1:]
                found = self.problems(**{who: less})
                self.assertEqual(found, ["the %s kernel has not invalidated all %s, or not in order"
                                         % (who, name)])

    def test_a_part_is_not_all(self):
        self.assertEqual(len(self.problems((ONE_CONTEXT,) + OLD[1:])), 1)
        self.assertEqual(len(self.problems(OLD[:3] + (ONE_INTERRUPT,))), 1)

    def test_order(self):
        self.assertEqual(len(self.problems((IOTLB, PASIDS, CONTEXT, INTERRUPTS))), 1)
        self.assertEqual(len(self.problems(new=(CONTEXT, IOTLB, PASIDS))), 1)

    def test_what_stays_on(self):
        for bit, name in ((31, "translation"), (25, "interrupt remapping")):
            off = "15.000000:" + ON % (ALL_ON & ~(1 << bit))
            self.assertEqual(self.problems(extra=[off]), [name + " was switched off"])
        late = "31.000000:" + ON % 0
        self.assertEqual(self.problems(extra=[late]), [])

    def test_events(self):
        not_masked = ["the old kernel has not masked the unit's events"]
        self.assertEqual(self.problems(mask=UNMASK), not_masked)
        self.assertEqual(self.problems(mask="vtd_reg_read none"), not_masked)
        self.assertEqual(self.problems(extra=["15.000000:" + UNMASK]), not_masked)

    def test_other_interrupts(self):
        without = ON % (ALL_ON & ~(1 << unit_trace.REMAPPING))
        off, again = "21.000000:" + without, "21.500000:" + ON % ALL_ON
        self.assertEqual(self.problems(extra=[off, again], change=True), [])
        not_seen = ["the new kernel has not switched interrupt remapping off and on"]
        for extra in ([], [off], [again]):
            self.assertEqual(self.problems(extra=extra, change=True), not_seen)
        early = "15.000000:" + without
        self.assertEqual(self.problems(extra=[early, off, again], change=True),
                         ["interrupt remapping was switched off"])
        self.assertEqual(self.problems(extra=["21.000000:" + ON % 0, again], change=True),
                         ["translation was switched off"])

    def test_dead_queue(self):
        registers = ["12.000002:" + text for text in (CONTEXT[1], IOTLB[1])]
        off = ["12.000001:" + ON % (ALL_ON & ~(1 << 26))]
        legacy = (CONTEXT, IOTLB)
        self.assertEqual(self.problems((), legacy, "legacy", True, off), [
            "the old kernel has not invalidated all context entries, or not in order"])
        trace = "\n".join("1@" + text for text in off + registers).encode() + b"\n"
        whole = unit_trace.UnitTrace(trace + log((), legacy))
        self.assertEqual(whole.problems(MARKS, "legacy", True), [])
        self.assertEqual(self.problems(legacy, legacy, "legacy", True), ["the queue did not stop"])

    def test_part_of_a_run(self):
        trace = unit_trace.UnitTrace(b"")
        self.assertEqual(trace.problems({"preserved": 1, "freeze": 2}, "legacy"), [])


if __name__ == "__main__":
    unittest.main()
