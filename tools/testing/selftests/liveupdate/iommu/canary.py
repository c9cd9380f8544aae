# SPDX-License-Identifier: GPL-2.0
"""Whether a device writes to memory that was its own, and is somebody else's now.

When the device was given up, the guest takes all memory and writes one value all
over it, and says so. Where the device's memory was there have to be such pages,
and they have to stay as they are for as long as frames are sent.
"""

import re
import struct

import stray

CANARY = re.compile(r"^end: canary value=(0x[0-9a-f]+)")
DONE = "yard: mark done"
# What else may have got some of it before the guest took the rest.
ENOUGH = 0.75


class Canary(stray.Stray):
    """Watches the report of one machine, whose memory is the file @ram."""

    def __init__(self, ram, released=True):
        super().__init__(ram)
        self.released = released
        self.page = None
        self.t_ns = None
        self.taken = set()
        self.left = None

    def line(self, t_ns, line):
        super().line(t_ns, line)
        match = CANARY.match(line)
        if match and self.pages:
            self.t_ns = t_ns
            self.page = struct.pack("<Q", int(match[1], 16)) * (stray.PAGE // 8)
            self.taken = self.intact(self.pages)
        elif line == DONE and self.page:
            self.left = self.intact(self.taken)

    def intact(self, pages):
        """Those of the pages that are full of the value."""
        with open(self.ram, "rb") as memory:
            return {page for page in pages if self.is_intact(memory, page)}

    def is_intact(self, memory, page):
        memory.seek(page)
        return memory.read(stray.PAGE) == self.page

    def problems(self):
        found = super().problems()
        if self.pages is None:
            return found
        if self.left is None:
            return found + ["the guest has not taken the memory"]
        share = len(self.taken) / len(self.pages)
        if not self.released:
            return found + (["%d pages of a device that runs were given to others"
                             % len(self.taken)] if self.taken else [])
        if share < ENOUGH:
            found.append("only %d of the device's %d pages were given to others"
                         % (len(self.taken), len(self.pages)))
        if self.left != self.taken:
            found.append("%d pages of others were written, the first at %#x"
                         % (len(self.taken - self.left), min(self.taken - self.left)))
        return found
