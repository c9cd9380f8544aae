# SPDX-License-Identifier: GPL-2.0
"""What became of the frames: one record per frame, one summary per interval.

The judged time begins with the first mark and ends with `done`. A frame that was
sent less than the latency limit before the end and is overtaken by no other is
still in flight when the judged time ends: its time is not up, so it counts
neither as landed nor as missing. Every other frame must have landed by then.
"""

import collections

# Undisturbed runs under emulation stay below 7 ms latency, on a busy host below 20.
LIMIT_MS = 50.0
LIMIT_NS = int(LIMIT_MS * 1e6)

LANDED, MISSING, REFUSED, IN_FLIGHT = "landed", "missing", "refused", "in flight"

# Each interval lasts from its mark to the next one of these that was reached.
INTERVALS = (
    ("before freeze", "rx_on"),
    ("shutdown", "freeze"),
    ("no kernel", "kernel_gone"),
    ("boot", "kernel_up"),
    ("before bind", "userspace"),
    ("after bind", "bound"),
    ("after replace", "replaced"),
    ("after finish", "finished"),
)

Frame = collections.namedtuple("Frame", "seq sent landed desc state")


def ms(ns):
    return ns / 1e6


def many(number, noun):
    """A count with its noun."""
    return "%d %s%s" % (number, noun, "" if number == 1 else "s")


class Stream:
    """The frames of a run, matched with their landings."""

    def __init__(self, run):
        self.first = run.meta["first_seq"]
        self.begin = min(run.marks["rx_on"], run.tries[0].t)
        self.end = run.marks.get("done", run.tries[-1].t)
        self.tries = [one for one in run.tries if one.t <= self.end]
        self.ring = [one for one in run.landed if one.t <= self.end]
        self.strangers = []
        self.frames = self.match()
        self.intervals = self.cut(run.marks)

    def match(self):
        """One Frame per sequence number; the last try of a number counts."""
        last_try = {one.seq: one for one in self.tries}
        landing = {}
        for one in self.ring:
            if not one.ok:
                continue
            if one.seq not in last_try:
                self.strangers.append(one)
            else:
                landing.setdefault(one.seq, one)
        newest = max(landing, default=self.first - 1)
        frames = []
        for seq, one in last_try.items():
            hit = landing.get(seq)
            if hit:
                state = LANDED
            elif one.err:
                state = REFUSED
            elif one.t > self.end - LIMIT_NS and seq > newest:
                state = IN_FLIGHT
            else:
                state = MISSING
            frames.append(Frame(seq, one.t, hit.t if hit else None,
                                hit.desc if hit else None, state))
        return frames

    def count(self, state):
        return sum(1 for frame in self.frames if frame.state == state)

    def landings(self):
        """The frames that landed, in order of landing."""
        return sorted((frame for frame in self.frames if frame.state == LANDED),
                      key=lambda frame: (frame.landed, frame.desc))

    def landing_gaps(self):
        """(begin, end) of every time without a landing, the open one at the end too."""
        times = [self.tries[0].t] + [frame.landed for frame in self.landings()] + [self.end]
        return list(zip(times, times[1:]))

    def sender_gaps(self):
        times = [one.t for one in self.tries] + [self.end]
        return list(zip(times, times[1:]))

    def longest_gap(self):
        return max(self.landing_gaps(), key=lambda gap: gap[1] - gap[0])

    def longest_sender_gap(self):
        return max(self.sender_gaps(), key=lambda gap: gap[1] - gap[0])

    def late(self):
        return [frame for frame in self.frames
                if frame.landed is not None and frame.landed - frame.sent >= LIMIT_NS]

    def bad(self):
        """The frames that did not land, or not in time, in order of their numbers."""
        late = {frame.seq for frame in self.late()}
        return [frame for frame in self.frames
                if frame.state in (MISSING, REFUSED) or frame.seq in late]

    def first_pause(self):
        """(last good frame, first bad one, when landing went on) of the first pause.

        A pause is a time of the limit at least without a landing, in which a frame
        was due; the last good frame and the end are None where there is none.
        """
        later = {}
        back = None
        for frame in reversed(self.frames):
            back = min((t for t in (back, frame.landed) if t is not None), default=None)
            later[frame.seq] = back
        wrong = {frame.seq for frame in self.bad()}
        last = None
        for frame in self.frames:
            if frame.seq in wrong:
                back = later[frame.seq]
                if not last or not back or back - last.landed >= LIMIT_NS:
                    return last, frame, back
            if frame.landed is not None and (not last or frame.landed > last.landed):
                last = frame
        return None

    def cut(self, marks):
        """The intervals whose first mark exists, each with its numbers."""
        reached = [(name, marks[mark]) for name, mark in INTERVALS if mark in marks]
        begins = [self.begin] + [t for _, t in reached[1:]]
        ends = begins[1:] + [max(self.end, begins[-1])]
        return [self.summary(name, begin, end)
                for (name, _), begin, end in zip(reached, begins, ends)]

    def summary(self, name, begin, end):
        """A frame belongs to the interval in which it was sent."""
        last = end == self.end
        inside = [frame for frame in self.frames
                  if begin <= frame.sent < end or (last and frame.sent == end)]
        states = collections.Counter(frame.state for frame in inside)
        latency = [frame.landed - frame.sent for frame in inside if frame.landed is not None]
        gaps = [min(stop, end) - max(start, begin) for start, stop in self.landing_gaps()
                if start < end and stop > begin]
        return {
            "name": name, "start": begin, "end": end,
            "sent": len(inside), "landed": states[LANDED], "missing": states[MISSING],
            "refused": states[REFUSED], "in_flight": states[IN_FLIGHT],
            "longest_gap_ms": ms(max(gaps, default=end - begin)),
            "max_latency_ms": ms(max(latency)) if latency else None,
        }


def order_breaks(stream):
    """Where the ring leaves its order, as readable lines.

    Descriptor i has to hold sequence first + i. After a first break everything
    behind it is shifted, so each step is compared with the one before as well.
    """
    found = []
    expected = stream.first
    for index, one in enumerate(stream.ring):
        if one.desc != index:
            found.append("descriptor %d is filled where %d is due" % (one.desc, index))
            break
    for one in stream.ring:
        if not one.ok:
            continue
        if one.seq != expected:
            found.append("descriptor %d holds sequence %s, %d is due"
                         % (one.desc, one.seq, expected))
        expected = one.seq + 1
    return found


def holes(stream):
    """Descriptors that the device called done without the right data in them."""
    return [one for one in stream.ring if not one.ok]


def displaced(stream):
    """How many descriptors hold another sequence than first + i."""
    return sum(1 for one in stream.ring if one.ok and one.seq != stream.first + one.desc)
