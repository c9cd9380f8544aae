# SPDX-License-Identifier: GPL-2.0
"""Damage the record of a vfio-pci device or an iommufd, from outside, when it has been written.

The record is looked for in the guest's memory by all that is known of it: the
page that KHO keeps for it has nothing else (include/linux/kho/abi/vfio_pci.h and
iommufd.h).
"""

import mmap
import re
import struct

import hw_entry

PAGE = 4096
SIZE = 32
RUNNING = 1
PRESERVED = "yard: mark preserved"

# field: where it is, how it is packed, what becomes of it
FIELDS = {
    "version": (0, "<I", lambda value: value + 1),
    "bdf": (8, "<H", lambda value: value ^ 0x10),
    "device": (12, "<I", lambda value: value + 0x1000),
    "iommufd": (0, "<I", lambda value: value + 1),
}


def of_device(bdf):
    """Version, segment, place, flags, id of a record, token, reserved."""
    bus, devfn = hw_entry.parse_bdf(bdf)
    return re.compile(re.escape(struct.pack("<IIH", 1, 0, bus << 8 | devfn)) +
                      rb"[\x01\x03]\x00[^\x00]\x00{3}.\x00{7}\x00{8}\x00{%d}" % (PAGE - SIZE), re.S)


def of_iommufd():
    """Version, one HWPT, a few areas, then where their records are: address, one page, flags, order."""
    return re.compile(struct.pack("<II", 1, 1) + rb"[^\x00]\x00{7}\x00.{4}\x00{3}" +
                      re.escape(struct.pack("<IHH", 1, 1, 0)) + rb"\x00{%d}" % (PAGE - SIZE), re.S)


class Poke:
    """Watches the report of one machine, whose memory is the file @ram."""

    def __init__(self, ram, bdf, field):
        self.ram = ram
        self.field = field
        self.record = of_iommufd() if field == "iommufd" else of_device(bdf)
        self.found = None

    def line(self, _t_ns, line):
        if line != PRESERVED:
            return
        with open(self.ram, "r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
            self.found = [match.start() for match in self.record.finditer(memory)
                          if match.start() % PAGE == 0]
            if len(self.found) == 1:
                self.damage(memory, self.found[0])

    def damage(self, memory, record):
        at, form, change = FIELDS[self.field]
        value, = struct.unpack_from(form, memory, record + at)
        struct.pack_into(form, memory, record + at, change(value))

    def problems(self):
        if self.found is None:
            return ["there was no time to damage the record"]
        if len(self.found) != 1:
            return ["%d pages look like the record" % len(self.found)]
        return []
