#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Decide whether a device kept its DMA through a live update.

	judge.py RUNDIR [--expect pass|not-yet] [--json FILE]

PASS needs that every check is content, from the first frame to the end of the
session; anything else is NOT YET, with the reasons. Exit status: 0 if the
verdict is the expected one (default: pass), 1 if it is the other one, 2 if the
run directory cannot be used.
"""

import argparse
import json
import os
import sys

import cause as causes
import checks
import config_writes
import entry_checks
import rundir
import stream

PASS, NOT_YET = "PASS", "NOT YET"

# In the order in which a reader wants to hear about them.
CHECKS = {
    "lost": checks.lost,
    "refused": checks.refused,
    "latency": checks.latency,
    "gap": checks.gap,
    "order": checks.order,
    "holes": checks.holes,
    "kernel_faults": checks.kernel_faults,
    "kernel_splats": checks.kernel_splats,
    "qemu_messages": checks.qemu_messages,
    "qemu_traces": checks.qemu_traces,
    "hardware_entry": entry_checks.hardware_entry,
    "guest_ring": entry_checks.guest_ring,
    "forbidden": checks.forbidden,
    "complete": checks.complete,
    "source": checks.source,
    "evidence": checks.evidence,
    "entry_evidence": entry_checks.entry_evidence,
}

UnusableRun = (rundir.RunError, config_writes.AllowError)


def findings(run, frames):
    """[{check, text}] in the order of CHECKS."""
    return [{"check": name, "text": text}
            for name, check in CHECKS.items() for text in check(run, frames)]


def write_row(run, write):
    return {"t": write.t, "after_freeze_ms": run.since_freeze_ms(write.t), "dev": write.dev,
            "model": write.model, "reg": write.reg, "value": write.value,
            "text": config_writes.describe(write), "harm": write.harm}


def entry_row(mode, entry):
    hardware = entry_checks.decode(mode, entry)
    return {"t": entry.t, "phase": entry.phase,
            "hw_pgd": hardware.pointer if hardware else None,
            "hw_did": hardware.did if hardware else None,
            "present": hardware.present if hardware else None,
            "belief_pgd": entry.belief_pgd, "belief_did": entry.belief_did}


def fault_rows(run, frames):
    """Every fault with its source, for those who look closer."""
    rows = [{"t": line.t, "source": "kernel", "text": line.text}
            for line in checks.dmar_lines(run, frames)]
    rows += [{"t": message.t, "source": "qemu", "text": message.text}
             for message in checks.qemulog.faults(run.stderr, frames.begin, frames.end)]
    rows += [{"t": trace.t, "source": trace.name, "text": what}
             for trace, what in checks.trace_faults(run, frames.begin, frames.end)]
    return sorted(rows, key=lambda row: row["t"] or 0)


def judge_run(run):
    """The verdict about a run that has been read."""
    frames = stream.Stream(run)
    found = findings(run, frames)
    cause = causes.find(run, frames)
    reasons = [causes.sentence(run, frames, cause)] if cause else []
    reasons += [one["text"] for one in found]
    writes = config_writes.judged_writes(run, frames.end)
    start, stop = frames.longest_gap()
    own = frames.longest_sender_gap()
    latency = [one.landed - one.sent for one in frames.frames if one.landed is not None]
    return {
        "verdict": NOT_YET if found else PASS,
        "reasons": reasons,
        "findings": found,
        "intervals": frames.intervals,
        "total": {
            "sent": len(frames.frames), "landed": frames.count(stream.LANDED),
            "missing": frames.count(stream.MISSING), "refused": frames.count(stream.REFUSED),
            "in_flight": frames.count(stream.IN_FLIGHT),
            "longest_gap_ms": stream.ms(stop - start),
            "sender_gap_ms": stream.ms(own[1] - own[0]),
            "max_latency_ms": stream.ms(max(latency)) if latency else None,
        },
        "holes": [one.desc for one in stream.holes(frames)],
        "order": stream.order_breaks(frames),
        "displaced": stream.displaced(frames),
        "faults": fault_rows(run, frames),
        "entries": [entry_row(run.meta["mode"], one) for one in run.entries
                    if one.t <= frames.end],
        "config_writes": {
            "allowed": sum(1 for one in writes if one.allowed),
            "forbidden": [write_row(run, one) for one in writes if not one.allowed],
        },
        "cause": cause,
    }


def judge(path):
    """The verdict about a run directory; raises UnusableRun."""
    return judge_run(rundir.Run(path))


def last_line(verdict):
    """PASS or NOT YET with the first reason, on one line."""
    if verdict["verdict"] == PASS:
        return PASS
    return "%s: %s" % (NOT_YET, verdict["reasons"][0])


def write_json(path, verdict):
    part = "%s.part" % path
    with open(part, "w", encoding="utf-8") as out:
        json.dump(verdict, out, indent=1)
        out.write("\n")
    os.replace(part, path)


def main(argv):
    parser = argparse.ArgumentParser(description="Judge a run of the yardstick.")
    parser.add_argument("rundir")
    parser.add_argument("--expect", choices=("pass", "not-yet"), default="pass",
                        help="the verdict at which to exit with 0 (default: pass)")
    parser.add_argument("--json", metavar="FILE", help="write the whole verdict to FILE")
    args = parser.parse_args(argv)
    try:
        verdict = judge(args.rundir)
        if args.json:
            write_json(args.json, verdict)
    except UnusableRun as error:
        print("judge: %s" % error, file=sys.stderr)
        return 2
    except OSError as error:
        print("judge: %s: %s" % (error.filename, error.strerror), file=sys.stderr)
        return 2
    for reason in verdict["reasons"][1:]:
        print("also: %s" % reason)
    print(last_line(verdict))
    expected = PASS if args.expect == "pass" else NOT_YET
    return 0 if verdict["verdict"] == expected else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
