# SPDX-License-Identifier: GPL-2.0
"""Where an address of the guest is in the file behind its memory.

That is the same below the hole for devices. A q35 machine with much memory has
2 GiB of it there and the rest from 4 GiB on, and the file has no hole
(pc_q35_init() of QEMU).
"""

SPLIT_SIZE = 0xb0000000
LOW_END = 2 << 30
HIGH_BEGIN = 4 << 30


def offset(address, size):
    """In a file of @size bytes; None where there is no memory."""
    if size >= SPLIT_SIZE and address >= LOW_END:
        if address < HIGH_BEGIN:
            return None
        address -= HIGH_BEGIN - LOW_END
    return address if address < size else None


def address(at, size):
    """What is at an offset of a file of @size bytes."""
    return at + HIGH_BEGIN - LOW_END if size >= SPLIT_SIZE and at >= LOW_END else at
