# SPDX-License-Identifier: GPL-2.0
"""What the IOMMU's tables say about a device, read from the guest's memory.

The tables are walked the way the hardware does it (VT-d specification, 9.1 to
9.6), from the root table that was last written to the register, without help
from the guest. What is found is delivered, not judged.
"""

import collections
import os
import re
import struct

import ram_map

PAGE = 4096
POINTER = ~(PAGE - 1) & (2**64 - 1)
PRESENT = 1
FIRST_STAGE = 1

ROOT_TRACE = re.compile(rb"vtd_reg_dmar_root addr (0x[0-9a-f]+) scalable (\d)")

# lo: page table pointer, present bit and type; hi: the word with the domain id
Entry = collections.namedtuple("Entry", "lo hi")
NOT_PRESENT = Entry(0, 0)


class TableError(Exception):
    """The tables lead out of the guest's memory."""


class Ram:
    """The file behind the guest's memory.

    It is read, not mapped: looking at a page that the guest never touched would
    allocate it.
    """

    def __init__(self, path):
        self.fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self.size = os.fstat(self.fd).st_size

    def close(self):
        os.close(self.fd)

    def words(self, address, count):
        """count u64 values, all inside the memory."""
        length = 8 * count
        at = ram_map.offset(address, self.size)
        if address % 8 or at is None or length > self.size - at:
            raise TableError("%#x is not in the %#x bytes of memory" % (address, self.size))
        data = os.pread(self.fd, length, at)
        if len(data) != length:
            raise TableError("%#x cannot be read" % address)
        return struct.unpack("<%dQ" % count, data)


def parse_bdf(bdf):
    """(bus, devfn) of "01:00.0", with or without a segment."""
    match = re.match(r"^(?:[0-9a-f]{4}:)?([0-9a-f]{2}):([01][0-9a-f])\.([0-7])$", bdf)
    if not match:
        raise ValueError("not a bus:device.function: %r" % bdf)
    bus, device, function = (int(part, 16) for part in match.groups())
    return bus, device << 3 | function


def last_root(log):
    """(address, scalable) of the root table that QEMU's log shows last, or None.

    log: bytes of a log with the trace vtd_reg_dmar_root
    """
    found = None
    for found in ROOT_TRACE.finditer(log):
        pass
    return (int(found[1], 16), found[2] == b"1") if found else None


def legacy_entry(ram, root, bus, devfn):
    """The context entry."""
    context, _ = ram.words(root + bus * 16, 2)
    if not context & PRESENT:
        return NOT_PRESENT
    return Entry(*ram.words((context & POINTER) + devfn * 16, 2))


def scalable_entry(ram, root, bus, devfn):
    """The entry of the PASID that requests without PASID use.

    Where it walks the first stage only, the pointer is in the third word; the
    present bit comes from the first one in either case.
    """
    # One half of the root entry for the lower 128 functions, one for the upper.
    context_table = ram.words(root + bus * 16, 2)[devfn >> 7]
    if not context_table & PRESENT:
        return NOT_PRESENT
    context = ram.words((context_table & POINTER) + (devfn & 0x7f) * 32, 4)
    if not context[0] & PRESENT:
        return NOT_PRESENT

    pasid = context[1] & 0xfffff
    directory_size = 1 << ((context[0] >> 9 & 7) + 7)
    if pasid >> 6 >= directory_size:
        raise TableError("PASID %#x is beyond a directory of %d" % (pasid, directory_size))
    table, = ram.words((context[0] & POINTER) + (pasid >> 6) * 8, 1)
    if not table & PRESENT:
        return NOT_PRESENT

    words = ram.words((table & POINTER) + (pasid & 63) * 64, 3)
    if words[0] >> 6 & 7 == FIRST_STAGE:
        return Entry(words[2] & POINTER | words[0] & PRESENT, words[1])
    return Entry(words[0], words[1])


def other_pasids(ram, context):
    """The PASIDs of a context entry of scalable mode that are present, without the one of requests that have none."""
    directory = ram.words(context[0] & POINTER, 1 << ((context[0] >> 9 & 7) + 7))
    found = []
    for index, table in enumerate(directory):
        if table & PRESENT:
            words = ram.words(table & POINTER, PAGE // 8)[::8]
            found += [index << 6 | number for number, word in enumerate(words) if word & PRESENT]
    return [pasid for pasid in found if pasid != context[1] & 0xfffff]


def present(ram, root, scalable):
    """bus:device.function of all requester ids whose context entry is present, and their other PASIDs."""
    found = []
    for bus in range(256):
        for half, pointer in enumerate(ram.words(root + bus * 16, 2 if scalable else 1)):
            if not pointer & PRESENT:
                continue
            words = ram.words(pointer & POINTER, PAGE // 8)
            # Entries of scalable mode have four words, and are half as many.
            step = 4 if scalable else 2
            for at in range(0, len(words), step):
                devfn = half << 7 | at // step
                name = "%02x:%02x.%d" % (bus, devfn >> 3, devfn & 7)
                if words[at] & PRESENT:
                    found.append(name)
                    found += ["%s PASID %d" % (name, pasid)
                              for pasid in (other_pasids(ram, words[at:at + 2]) if scalable else ())]
    return found


def read_entry(ram, root, scalable, bdf):
    """The entry through which the device's requests are translated."""
    walk = scalable_entry if scalable else legacy_entry
    return walk(ram, root, *parse_bdf(bdf))
