# SPDX-License-Identifier: GPL-2.0
"""The single questions that a run must answer; any finding denies the PASS.

Each check takes the run and its frames and returns what is wrong as readable
lines. None relies on another one: what the device wrote is no proof that the
kernel is right, and a clean log is no proof that the device wrote.
"""

import re

import config_writes
import qemulog
import rundir
import stream
import vm
from stream import many

# What the IOMMU driver of either kernel prints when DMA or translation fails.
DMAR = re.compile(r"DRHD: handling fault|\[DMA (Read|Write)|\[INTR-REMAP\]|fault reason"
                  r"|VT-d detected Invalidation|Translation was enabled for \S+ but we are not"
                  r"|DMAR: .*(failed|timed? ?out|Invalid context|ERROR)")

SCRUB = ("init_on_free=1", "init_on_alloc=1")


def complete(run, _frames):
    """A live update has happened from its beginning to its end."""
    found = [] if run.meta["kexec"] else ["this run did not replace the kernel"]
    missing = [name for name in rundir.MARKS if name not in run.marks]
    if missing:
        found.append("the run never reached: " + ", ".join(missing))
    return found


def source(run, frames):
    """The source sent all the time, so that an outage had to hit a frame."""
    found = ["no frame was sent in the interval '%s', so it proves nothing" % one["name"]
             for one in frames.intervals if not one["sent"]]
    start, stop = frames.longest_sender_gap()
    if stop - start >= stream.LIMIT_NS:
        found.append("the source itself paused for %.1f ms at %+.1f ms"
                     % (stream.ms(stop - start), run.since_freeze_ms(start)))
    return found


def lost(_run, frames):
    """Every frame that the transport took was written by the device."""
    count = frames.count(stream.MISSING)
    found = []
    if not frames.count(stream.LANDED):
        found.append("the device wrote no frame at all")
    if count:
        first = next(one for one in frames.frames if one.state == stream.MISSING)
        found.append("%d of %d frames never landed, the first is sequence %d"
                     % (count, len(frames.frames), first.seq))
    return found


def refused(_run, frames):
    """The transport took every frame at once."""
    bad = [one for one in frames.tries if one.err]
    if not bad:
        return []
    return ["the transport refused %s, the first is sequence %d (errno %d)"
            % (many(len(bad), "frame"), bad[0].seq, bad[0].err)]


def order(_run, frames):
    """Descriptor i holds sequence first + i."""
    breaks = stream.order_breaks(frames)
    found = []
    if breaks:
        found.append("the order breaks in %s, the first: %s"
                     % (many(len(breaks), "descriptor"), breaks[0]))
    if frames.strangers:
        found.append("%s of a sequence that was never sent, the first: %d"
                     % (many(len(frames.strangers), "landing"), frames.strangers[0].seq))
    return found


def holes(_run, frames):
    """No descriptor is done without its frame."""
    bad = stream.holes(frames)
    if not bad:
        return []
    return ["%s in the ring: descriptor %d is done without the right payload"
            % (many(len(bad), "hole"), bad[0].desc)]


def latency(run, frames):
    """Every frame landed at once: the transport has hidden no outage."""
    bad = frames.late()
    found = []
    if bad:
        worst = max(bad, key=lambda one: one.landed - one.sent)
        found.append("%s landed late, the worst %.1f ms after it was sent at %+.1f ms"
                     % (many(len(bad), "frame"), stream.ms(worst.landed - worst.sent),
                        run.since_freeze_ms(worst.sent)))
    early = [one for one in frames.frames if one.landed is not None and one.landed < one.sent]
    if early:
        found.append("%s landed before being sent: the clocks disagree"
                     % many(len(early), "frame"))
    return found


def gap(run, frames):
    """The device paused no longer than the source did, plus the limit."""
    start, stop = frames.longest_gap()
    own = frames.longest_sender_gap()
    if stop - start < own[1] - own[0] + stream.LIMIT_NS:
        return []
    return ["no frame landed for %.1f ms from %+.1f ms on (the source's own longest gap: %.1f ms)"
            % (stream.ms(stop - start), run.since_freeze_ms(start), stream.ms(own[1] - own[0]))]


def dmar_lines(run, frames):
    return [line for line in run.console
            if frames.begin <= line.t <= frames.end and DMAR.search(line.text)]


def kernel_faults(run, frames):
    """Neither kernel reports a DMA fault."""
    bad = dmar_lines(run, frames)
    return (["a kernel reports DMA faults (%s): %s" % (many(len(bad), "line"), bad[0].text)]
            if bad else [])


def kernel_splats(run, _frames):
    """Neither kernel complains about itself."""
    bad = vm.problems([(line.t, line.text) for line in run.console])
    return (["a kernel complains (%s): %s" % (many(len(bad), "report"), bad[0])]
            if bad else [])


def qemu_messages(run, frames):
    """QEMU has nothing to say on its standard error."""
    bad = qemulog.faults(run.stderr, frames.begin, frames.end)
    return (["QEMU complains (%s): %s" % (many(len(bad), "line"), bad[0].text)]
            if bad else [])


def trace_faults(run, begin, end):
    """(trace, what it tells) of every event that a good run does not have."""
    bus, devfn = qemulog.devfn(run.meta["rid"])
    # In scalable mode a root entry has two halves, and the upper one, which serves
    # virtual functions, may be absent: the event does not tell which one it means.
    legacy = run.meta["mode"] == "legacy"
    found = []
    for trace in run.traces:
        field = trace.fields
        if not begin <= trace.t <= end:
            continue
        if trace.name in ("vtd_dmar_fault", "vtd_frr_new"):
            found.append((trace, "the IOMMU faulted a DMA"))
        elif trace.name == "vtd_fsts_ppf" and field["set"]:
            found.append((trace, "the IOMMU has a fault pending"))
        elif trace.name == "vtd_re_not_present" and field["bus"] == bus and legacy:
            found.append((trace, "the root entry of the device's bus was not present"))
        elif (trace.name == "vtd_ce_not_present" and
              (field["bus"], field["devfn"]) == (bus, devfn)):
            found.append((trace, "the context entry of the device was not present"))
        elif trace.name == "e1000e_rx_null_descriptor":
            found.append((trace, "the device read an empty descriptor"))
        elif trace.name == "vtd_dmar_enable" and not field["enable"]:
            found.append((trace, "translation was switched off"))
    return found


def qemu_traces(run, frames):
    """QEMU traced nothing that hurts DMA."""
    counts = {}
    for trace, what in trace_faults(run, frames.begin, frames.end):
        counts.setdefault((trace.name, what), []).append(trace.t)
    return ["%s, first at %+.1f ms (%s of %s)"
            % (what, run.since_freeze_ms(times[0]), many(len(times), "trace"), name)
            for (name, what), times in counts.items()]


def forbidden(run, frames):
    """Only allowed configuration space writes reach the device and its ports."""
    bad = [one for one in config_writes.judged_writes(run, frames.end) if not one.allowed]
    if not bad:
        return []
    worst = next((one for one in bad if one.harm), bad[0])
    return ["%s, at %+.1f ms %s%s"
            % (many(len(bad), "forbidden configuration write"), run.since_freeze_ms(worst.t),
               config_writes.describe(worst), " " + worst.harm if worst.harm else "")]


def evidence(run, _frames):
    """The records would have shown a fault: each shows what every run has."""
    marks = run.marks
    found = []

    def seen(name, begin, end, **fields):
        return any(trace.name == name and begin <= trace.t <= end and
                   all(trace.fields[key] == value for key, value in fields.items())
                   for trace in run.traces)

    for dev in [run.meta["rid"]] + run.meta["ports"]:
        if not seen("pci_cfg_write", 0, marks["rx_on"], dev=dev):
            found.append("QEMU's trace shows no set-up of %s" % dev)
        if "kernel_up" in marks and not seen("pci_cfg_write", marks["kernel_up"],
                                             max(marks.values()), dev=dev):
            found.append("QEMU's trace shows no scan of %s by the new kernel" % dev)
    if not seen("vtd_dmar_enable", 0, marks["rx_on"], enable=1):
        found.append("QEMU's trace does not show translation being switched on")
    if not seen("e1000x_rx_can_recv_disabled", 0, marks["rx_on"] + stream.LIMIT_NS):
        found.append("QEMU's trace shows nothing of the device's receiver")
    words = run.meta.get("cmdline", "")
    lacking = [word for word in SCRUB if word not in str(words).split()]
    if lacking:
        found.append("the kernels ran without " + " ".join(lacking))
    return found
