# SPDX-License-Identifier: GPL-2.0
"""What both kernels did to a VT-d unit that has to go on, from QEMU's trace.

DMA goes on for a while whatever is forgotten here: nobody uses what a cache still
has of other devices, and no interrupt comes. So the steps themselves are looked
for. Descriptors as in section 6.5.2 and the Global Command and Fault Event Control
Registers of chapter 11 of the VT-d specification; not checked against a revision.
"""

import re

# Beside those of every run.
TRACES = ("vtd_inv_desc", "vtd_inv_desc_cc_global", "vtd_inv_desc_iotlb_global",
          "vtd_inv_qi_head", "vtd_reg_write_fectl")

LINE = re.compile(rb"@(\d+)\.(\d{6}):"
                  rb"vtd_(inv_desc\w*|inv_qi_head|reg_write_gcmd|reg_write_fectl) (.*)")
DESCRIPTOR = re.compile(rb"type \S+ high 0x[0-9a-f]+ low (0x[0-9a-f]+)")
VALUE = re.compile(rb"value (0x[0-9a-f]+)")

# What is invalidated as a whole: by the queue or by registers, but for the last two
CONTEXT, IOTLB = "context entries", "translations"
PASIDS, INTERRUPTS = "PASID entries", "interrupt entries"
DONE = {b"inv_desc_cc_global": CONTEXT, b"inv_desc_iotlb_global": IOTLB}

# Lower bits of a descriptor for all interrupt entries
ALL_INTERRUPTS, LOW_BITS = 0x04, 0x3f

TRANSLATION, REMAPPING, QUEUE = 31, 25, 26
STAYS_ON = {TRANSLATION: "translation", REMAPPING: "interrupt remapping"}
# Of the Fault Event Control Register
MASKED = 31


class UnitTrace:
    """Invalidations as (t_ns, kind), commands and fault event control as (t_ns, value)."""

    def __init__(self, log):
        self.invalidations = []
        self.commands = []
        self.fault_control = []
        # QEMU takes a descriptor and then tells what it is, unless it is one for
        # PASID entries (or for a first stage table): it has no cache of these.
        taken_ns = 0
        for match in LINE.finditer(log):
            t_ns = int(match[1]) * 10**9 + int(match[2]) * 1000
            if match[3] == b"inv_qi_head":
                self.untold(taken_ns)
                taken_ns = t_ns
            elif match[3] == b"inv_desc":
                taken_ns = 0
                self.descriptor(t_ns, match[4])
            elif match[3] in DONE:
                self.invalidations.append((t_ns, DONE[match[3]]))
            elif match[3] == b"reg_write_gcmd":
                self.commands.append((t_ns, int(VALUE.search(match[4])[1], 16)))
            elif match[3] == b"reg_write_fectl":
                self.fault_control.append((t_ns, int(VALUE.search(match[4])[1], 16)))

    def untold(self, taken_ns):
        if taken_ns:
            self.invalidations.append((taken_ns, PASIDS))

    def descriptor(self, t_ns, text):
        found = DESCRIPTOR.search(text)
        if found and int(found[1], 16) & LOW_BITS == ALL_INTERRUPTS:
            self.invalidations.append((t_ns, INTERRUPTS))

    def lacking(self, wanted, begin, end):
        """The first of some kinds that does not come in this order, or None."""
        wanted = list(wanted)
        for t_ns, kind in self.invalidations:
            if wanted and begin <= t_ns <= end and kind == wanted[0]:
                wanted.pop(0)
        return wanted[0] if wanted else None

    def switched_off(self, bit, begin, end):
        return any(begin <= t_ns <= end and not value >> bit & 1
                   for t_ns, value in self.commands)

    def off_for_a_moment(self, bit, begin, end):
        said = [value >> bit & 1 for t_ns, value in self.commands if begin <= t_ns <= end]
        return 0 in said and said[-1] == 1

    def events_masked(self, begin, end):
        """Whether the last word on fault events is that nobody is there to take them."""
        said = [value for t_ns, value in self.fault_control if begin <= t_ns <= end]
        return bool(said) and said[-1] >> MASKED & 1

    def problems(self, marks, mode, dead_queue=False, interrupts_change=False):
        """What is wrong, as readable lines. marks: name to time of a whole run.

        If the queue dies, or the mode of interrupts changes, it has to be seen.
        """
        if not {"preserved", "freeze", "kernel_up", "userspace"} <= set(marks):
            return []
        # A busy host sees the last marks of the old kernel late. Nothing of this
        # is done as long as the device is preserved and the kernel goes on.
        begin, up, userspace = [marks[name] for name in ("preserved", "kernel_up", "userspace")]
        found = []
        kinds = [CONTEXT, IOTLB] if mode == "legacy" else [CONTEXT, PASIDS, IOTLB]
        # What is cached of interrupts can be invalidated by the queue alone.
        leaving = kinds if dead_queue else kinds + [INTERRUPTS]
        for who, after, end, wanted in (("old", begin, up, leaving),
                                        ("new", up, userspace, kinds)):
            kind = self.lacking(wanted, after, end)
            if kind:
                found.append("the %s kernel has not invalidated all %s, or not in order"
                             % (who, kind))
        may_go = {REMAPPING: up} if interrupts_change else {}
        found += ["%s was switched off" % name for bit, name in STAYS_ON.items()
                  if self.switched_off(bit, begin, may_go.get(bit, userspace))]
        if interrupts_change and not self.off_for_a_moment(REMAPPING, up, userspace):
            found.append("the new kernel has not switched interrupt remapping off and on")
        if not self.events_masked(begin, up):
            found.append("the old kernel has not masked the unit's events")
        if dead_queue and not self.switched_off(QUEUE, begin, up):
            found.append("the queue did not stop")
        return found
