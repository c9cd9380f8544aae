# SPDX-License-Identifier: GPL-2.0
"""What both kernels did to a VT-d unit that has to go on, from QEMU's trace.

DMA goes on for a while whatever is forgotten here: nobody uses what a cache still
has of other devices, and no interrupt comes. So the steps themselves are looked
for. Descriptors as in section 6.5.2 and the Global Command Register of chapter 11
of the VT-d specification; not checked against a revision.
"""

import re

# Beside those of every run.
TRACES = ("vtd_inv_desc",)

LINE = re.compile(rb"@(\d+)\.(\d{6}):vtd_(inv_desc|reg_write_gcmd) (.*)")
DESCRIPTOR = re.compile(rb"type \S+ high 0x[0-9a-f]+ low (0x[0-9a-f]+)")
COMMAND = re.compile(rb"value (0x[0-9a-f]+)")

# name: lower bits of a descriptor which invalidates all there is of a kind. QEMU
# does not trace those for PASID entries.
CONTEXT, IOTLB, INTERRUPTS = 0x11, 0x12, 0x04
NAMES = {CONTEXT: "context entries", IOTLB: "translations", INTERRUPTS: "interrupt entries"}
LOW_BITS = 0x3f

STAYS_ON = {31: "translation", 25: "interrupt remapping"}


class UnitTrace:
    """Descriptors and commands of a log, as (t_ns, kind or value)."""

    def __init__(self, log):
        self.descriptors = []
        self.commands = []
        for match in LINE.finditer(log):
            t_ns = int(match[1]) * 10**9 + int(match[2]) * 1000
            if match[3] == b"inv_desc":
                found = DESCRIPTOR.search(match[4])
                if found:
                    self.descriptors.append((t_ns, int(found[1], 16) & LOW_BITS))
            else:
                self.commands.append((t_ns, int(COMMAND.search(match[4])[1], 16)))

    def flushed(self, kind, begin, end):
        return any(begin <= t_ns <= end and low == kind for t_ns, low in self.descriptors)

    def problems(self, marks):
        """What is wrong, as readable lines. marks: name to time of a whole run."""
        if not {"freeze", "kernel_up", "userspace"} <= set(marks):
            return []
        found = []
        kinds = [CONTEXT, IOTLB]
        for who, begin, end, wanted in (
                ("old", marks["freeze"], marks["kernel_up"], kinds + [INTERRUPTS]),
                ("new", marks["kernel_up"], marks["userspace"], kinds)):
            found += ["the %s kernel has not invalidated all %s" % (who, NAMES[kind])
                      for kind in wanted if not self.flushed(kind, begin, end)]
        for bit, name in STAYS_ON.items():
            if any(marks["freeze"] <= t_ns <= marks["userspace"] and not value >> bit & 1
                   for t_ns, value in self.commands):
                found.append("%s was switched off" % name)
        return found
