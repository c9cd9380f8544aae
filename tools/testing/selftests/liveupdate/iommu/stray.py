# SPDX-License-Identifier: GPL-2.0
"""Frames that a device wrote to memory which was never given to it.

The area of the test is known page by page while it is there. Frames are looked
for in all of the guest's memory when the machine has ended: both kernels zero
what they free, so a frame elsewhere was written there by the device, or by
somebody who copied it, which nobody does.
"""

import mmap
import os
import re
import struct

import ram_map

PAGE = 4096
FRAME_MAGIC = struct.pack("<Q", 0x6c75646d61667261)
FRAME_TYPE = b"\x88\xb5"
MAGIC_AT, TYPE_AT = 24, 12

AREA_MAGIC = 0x6b65786563646d61
AREA_PAGES = (16 << 20) // PAGE
AREA_TABLE_PAGES = AREA_PAGES * 8 // PAGE
# Of the area that frames are sent for, or of one that is only given to the device.
HEADER = re.compile(r"^(?:yard|given): area header=(0x[0-9a-f]+)")


class Stray:
    """Watches the report of one machine, whose memory is the file @ram.

    Pages are known by their offsets in that.
    """

    def __init__(self, ram):
        self.ram = ram
        self.pages = None

    def line(self, _t_ns, line):
        """To be called for each line of the report."""
        match = HEADER.match(line)
        if match:
            with open(self.ram, "rb") as memory:
                # What was given to the device once may be written all the time.
                self.pages = (self.pages or set()) | self.read_pages(memory, int(match[1], 16))

    @staticmethod
    def read_pages(memory, header):
        """All pages of the area, from the table that the guest has put there."""
        size = os.fstat(memory.fileno()).st_size

        def words(address, count):
            memory.seek(ram_map.offset(address, size))
            return struct.unpack("<%dQ" % count, memory.read(8 * count))

        magic, *_, = words(header, 1)
        if magic != AREA_MAGIC:
            raise ValueError("no area at %#x" % header)
        table = words(header + 5 * 8, AREA_TABLE_PAGES)
        return {ram_map.offset(page, size) for one in table for page in words(one, PAGE // 8)}

    def problems(self):
        """What is wrong, as readable lines."""
        if self.pages is None:
            return ["there was no area to tell frames in it from others"]
        found = self.find()
        return (["%d frames are in memory that is not the device's, the first at %#x"
                 % (len(found), found[0])] if found else [])

    def find(self):
        """Addresses of the frames outside of the area."""
        found = []
        size = os.stat(self.ram).st_size
        with open(self.ram, "rb") as file, \
                mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as memory:
            at = memory.find(FRAME_MAGIC)
            while at >= 0:
                frame = at - MAGIC_AT
                if (frame >= 0 and frame & ~(PAGE - 1) not in self.pages and
                        memory[frame + TYPE_AT:frame + TYPE_AT + 2] == FRAME_TYPE):
                    found.append(ram_map.address(frame, size))
                at = memory.find(FRAME_MAGIC, at + 1)
        return found
