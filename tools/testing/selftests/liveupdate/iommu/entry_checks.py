# SPDX-License-Identifier: GPL-2.0
"""What the hardware walks against what the kernel and its user believe.

DMA goes on for a while with a kernel that is wrong: 7.3.4 reports success and
touches nothing when it attaches a domain over an entry that is present. So the
entry of the device in guest memory must be the one that the kernel tells of,
must stay the same until it is replaced, and must then be another one.
"""

import collections

from stream import many

POINTER = 0x000ffffffffff000

# Marks at which a kernel that carries the device can tell what it believes.
TOLD = ("preserved", "retrieved", "bound", "replaced", "finished")
NEW_TABLE = ("replaced", "finished", "done")

Hardware = collections.namedtuple("Hardware", "present pointer did plain raw")


def decode(mode, entry):
    """The entry as (present, table, domain id, translates through that table).

    Legacy mode shows the context entry: bit 0 P, bits 3:2 translation type, bits
    51:12 table, and in the upper half bits 23:8 domain id. Scalable mode shows the
    PASID entry: the word with the table, bit 0 P, and the word with the domain id
    in 15:0; the word of the second stage also has the translation type in 8:6.
    """
    if entry.hw_lo is None or entry.hw_hi is None:
        return None
    if mode == "legacy":
        did, plain = entry.hw_hi >> 8 & 0xffff, (entry.hw_lo >> 2 & 3) in (0, 1)
    else:
        did, plain = entry.hw_hi & 0xffff, mode == "sm-fs" or entry.hw_lo >> 6 & 7 == 2
    return Hardware(bool(entry.hw_lo & 1), entry.hw_lo & POINTER, did, plain,
                    (entry.hw_lo, entry.hw_hi))


def text(hardware):
    return "table 0x%x domain %d (0x%x 0x%x)" % (hardware.pointer, hardware.did, *hardware.raw)


def judged(run, frames):
    """(phase, Hardware or None, Entry) of every reading until the end."""
    return [(one.phase, decode(run.meta["mode"], one), one)
            for one in run.entries if one.t <= frames.end]


def hardware_entry(run, frames):
    """The entry is present, equals the kernel's belief and changes only by replace."""
    found = []
    before = after = None
    for phase, hardware, entry in judged(run, frames):
        if not hardware:
            found.append("the hardware entry could not be read at %s" % phase)
            continue
        if not hardware.present or not hardware.plain:
            found.append("the hardware entry translates nothing at %s" % phase)
            continue
        for name, belief, real in (("table", entry.belief_pgd, hardware.pointer),
                                   ("domain", entry.belief_did, hardware.did)):
            if belief is not None and belief != real:
                found.append("at %s the kernel believes in %s 0x%x, the hardware uses 0x%x"
                             % (phase, name, belief, real))
        if phase in NEW_TABLE and "replaced" in run.marks:
            if before and hardware.pointer == before.pointer:
                found.append("at %s the hardware still uses the old %s" % (phase, text(hardware)))
            after = unchanged(found, phase, after, hardware)
        else:
            before = unchanged(found, phase, before, hardware)
    return found


def unchanged(found, phase, known, hardware):
    if known and known != hardware:
        found.append("at %s the hardware entry changed from %s to %s"
                     % (phase, text(known), text(hardware)))
    return hardware


def entry_evidence(run, frames):
    """The entry was read wherever it has to be compared."""
    rows = judged(run, frames)
    phases = {phase for phase, hardware, _ in rows if hardware}
    told = {phase for phase, _, entry in rows
            if entry.belief_pgd is not None and entry.belief_did is not None}
    found = []
    lacking = [name for name in TOLD if name in run.marks and name not in told]
    if lacking:
        found.append("no belief of the kernel about the device at: " + ", ".join(lacking))
    if "kernel_up" in run.marks and not phases & {"kernel_gone", "kernel_up", "userspace"}:
        found.append("no hardware entry was read between the kernels")
    return found


def guest_ring(run, frames):
    """What the guest finds in its memory is what the host has seen landing."""
    views = collections.defaultdict(dict)
    for one in run.guest:
        views[one.phase][one.key] = one.value
    if "retrieved" in run.marks and not set(views) & {"retrieved", "bound", "replaced",
                                                      "finished", "done"}:
        return ["the guest never read the ring in the memory that it retrieved"]
    found = []
    for phase, view in views.items():
        # After done the device is switched off and the ring may be anything.
        if "contiguous" in view and phase in run.marks:
            found += ring_view(run, frames, phase, view)
    return found


def ring_view(run, frames, phase, view):
    try:
        seq, contiguous, holes, bad = [int(view[key]) for key in
                                       ("first_seq", "contiguous", "holes", "bad")]
        first = int(view.get("first_desc", "0"))
    except (KeyError, ValueError) as error:
        return ["the guest's view of the ring at %s is incomplete: %s" % (phase, error)]
    found = []
    if holes or bad:
        found.append("at %s the guest finds %s and %s in the ring"
                     % (phase, many(holes, "hole"), many(bad, "wrong frame")))
    # A ring that was given back whole holds no frame to compare.
    if contiguous and seq != frames.first + first:
        found.append("at %s the guest finds sequence %d in descriptor %d, %d is due"
                     % (phase, seq, first, frames.first + first))
    # The guest looked some time between the mark before and this one.
    before = max(t for t in [0] + list(run.marks.values()) if t < run.marks[phase])
    sure = sum(1 for one in frames.ring if one.ok and one.t < before)
    if first + contiguous < sure:
        found.append("at %s the guest finds %d frames in order, the host had seen %d"
                     % (phase, first + contiguous, sure))
    return found
