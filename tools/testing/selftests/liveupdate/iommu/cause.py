# SPDX-License-Identifier: GPL-2.0
"""Find out what stopped the DMA.

It happened after the last good frame was sent, since the device still wrote that
one, and before the first bad frame's time was up. The first event in this window
which is known to stop a device is the cause.
"""

import checks
import config_writes
import stream

# What stopped the device if no event of the records explains it.
UNKNOWN = "unknown"


def events(run, begin, end):
    """Every event that can stop the device, in order of time."""
    found = [{"t": one.t, "dev": one.dev, "reg": one.reg, "value": one.value,
              "what": one.harm, "text": "%s %s" % (config_writes.describe(one), one.harm)}
             for one in config_writes.device_writes(run) if one.stops and begin <= one.t <= end]
    for trace, what in checks.trace_faults(run, begin, end):
        found.append({"t": trace.t, "dev": None, "reg": None, "value": None,
                      "what": what, "text": "%s (%s)" % (what, trace.name)})
    return sorted(found, key=lambda event: event["t"])


def ring_full(run, frames, trouble):
    """The device had filled every descriptor that the guest gave it.

    One descriptor of the ring always stays empty. The guest tells with which one
    it begins to look at its ring; those before it were given back and again.
    """
    begins = [int(one.value) for one in run.guest
              if one.key == "first_desc" and one.value.isdigit() and
              run.marks.get(one.phase, trouble.sent + 1) <= trouble.sent]
    given = max(begins, default=0) + run.meta["ring"] - 1
    return sum(1 for one in frames.ring if one.t <= trouble.sent) >= given


def find(run, frames):
    """The event at which DMA stopped or paused, None where it did neither.

    A frame that is lost without a pause is a fault of its own, not a stop.
    """
    pause = frames.first_pause()
    if not pause:
        return None
    last, trouble, back = pause
    begin = last.sent if last else frames.begin
    end = min(trouble.sent + stream.LIMIT_NS, frames.end)
    known = events(run, begin, end)
    if ring_full(run, frames, trouble):
        cause = {"t": trouble.sent, "dev": None, "reg": None, "value": None,
                 "what": "ring full", "text": "the ring is full, the run was too long for it"}
    elif known:
        cause = known[0]
    else:
        cause = {"t": trouble.sent, "dev": None, "reg": None, "value": None,
                 "what": UNKNOWN, "text": "no traced event explains it"}
    cause.update({
        "after_freeze_ms": run.since_freeze_ms(cause["t"]),
        "last_landing": last.landed if last else None,
        "last_landing_ms": run.since_freeze_ms(last.landed) if last else None,
        "first_lost_seq": trouble.seq,
        "resumed": back is not None,
    })
    return cause


def sentence(run, frames, cause):
    """The cause as the first reason of a verdict."""
    count = len(frames.frames)
    gone = frames.count(stream.MISSING) + frames.count(stream.REFUSED)
    late = len(frames.late())
    base = "freeze" if "freeze" in run.marks else "the start"
    missing = ("%d of %d frames missing%s" % (gone, count, ", %d late" % late if late else ""))
    if cause["last_landing"] is None:
        return "DMA never started: %s; %s" % (cause["text"], missing)
    return ("DMA %s %.1f ms after %s: %s (last landing at %+.1f ms); %s"
            % ("paused" if cause["resumed"] else "stopped", cause["after_freeze_ms"], base,
               cause["text"], cause["last_landing_ms"], missing))
