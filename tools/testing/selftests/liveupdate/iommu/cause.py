# SPDX-License-Identifier: GPL-2.0
"""Find out what stopped the DMA.

It happened after the last good frame was sent, since the device still wrote that
one, and before the first bad frame's time was up. The first event in this window
which is known to stop a device is the cause.
"""

import checks
import config_writes
import stream


def events(run, begin, end):
    """Every event that can stop the device, in order of time."""
    found = [{"t": one.t, "dev": one.dev, "reg": one.reg, "value": one.value,
              "what": one.harm, "text": "%s %s" % (config_writes.describe(one), one.harm)}
             for one in config_writes.device_writes(run) if one.stops and begin <= one.t <= end]
    for trace, what in checks.trace_faults(run, begin, end):
        found.append({"t": trace.t, "dev": None, "reg": None, "value": None,
                      "what": what, "text": "%s (%s)" % (what, trace.name)})
    return sorted(found, key=lambda event: event["t"])


def ring_full(run, frames):
    """The device has no descriptor left and the guest gave it no new one."""
    size = run.meta["ring"]
    return bool(frames.ring) and len(frames.ring) % size == size - 1


def find(run, frames):
    """The event at which DMA stopped or paused, None where it did neither.

    A frame that is lost without a pause is a fault of its own, not a stop.
    """
    trouble = frames.first_trouble()
    if not trouble:
        return None
    good = [frame for frame in frames.landings() if frame.seq < trouble.seq]
    last = max(good, key=lambda frame: frame.landed, default=None)
    back = min((frame.landed for frame in frames.frames
                if frame.landed is not None and frame.seq >= trouble.seq), default=None)
    if last and back and back - last.landed < stream.LIMIT_NS:
        return None
    begin = last.sent if last else frames.begin
    end = min(trouble.sent + stream.LIMIT_NS, frames.end)
    known = events(run, begin, end)
    if known:
        cause = known[0]
    elif ring_full(run, frames):
        cause = {"t": last.landed, "dev": None, "reg": None, "value": None,
                 "what": "the ring was full", "text": "the guest gave the device no buffers"}
    else:
        cause = {"t": trouble.sent, "dev": None, "reg": None, "value": None,
                 "what": "unknown", "text": "no traced event explains it"}
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
    base = "freeze" if "freeze" in run.marks else "rx_on"
    word = "paused" if cause["resumed"] else "stopped"
    if cause["last_landing"] is None:
        head = "DMA never started"
    else:
        head = "DMA %s %.1f ms after %s" % (word, cause["last_landing_ms"], base)
    late = len(frames.late())
    return ("%s; cause: %s at %.1f ms; %d of %d frames missing%s"
            % (head, cause["text"], cause["after_freeze_ms"], gone, count,
               ", %d late" % late if late else ""))
