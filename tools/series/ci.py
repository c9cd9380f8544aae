#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""make test: every step, each result counted once; ends with the counts alone on a line."""

import os
import re
import subprocess
import sys
import time

import results
import step

# After so many minutes no part of a step begins: it is counted as skipped, by name, instead of a
# run that is cut off. A machine too slow for all leaves some time to each.
BEGIN_MIN = {"matrix": 72, "bisect": 76}
BUDGET_MIN = max(BEGIN_MIN.values())
# What is told of a failure at the end: whoever sees nothing but that should know why.
NOTES = 12
# "# LIST took 12 s" of the runner, "# == PART: 12 s" of make check, "# kernel: 12 s" of a build.
PART = re.compile(r"^# (?:== )?(\S.*?)(?: took|:) (\d+) s$")

# A new list of the selftests, *_test.py of the judge or .kunitconfig runs without a change here.
# name, what it runs, the step it cannot do without, whether it prints KTAP
STEPS = (
    ("setup", ["setup"], None, False),
    ("tree", ["tree"], "setup", False),
    ("check", ["check"], "tree", True),
    ("series", ["series"], "tree", False),
    ("kernel-lu", ["kernel"], "tree", False),
    ("selftest", ["selftest"], "kernel-lu", True),
    ("controls", ["controls"], "kernel-lu", True),
    ("demo", ["demo"], "kernel-lu", True),
    ("kunit", ["kunit"], "tree", True),
    ("matrix", ["matrix"], "kernel-lu", True),
    ("bisect", ["bisect"], "kernel-lu", True),
)


def judge(name, log, code, ktap):
    """The results of a step; one that broke is a failure, whatever it printed before."""
    ones = []
    if ktap and os.path.exists(log):
        with open(log, encoding="utf-8", errors="replace") as file:
            ones = results.parse(file)
    if not ktap:
        ones = [results.One(name, "pass" if code == 0 else "fail", "", 0)]
    elif code and not any(o.status == "fail" for o in ones):
        ones.append(results.One("%s ended with status %d" % (name, code), "fail", "", 0))
    elif not ones:
        ones.append(results.One("%s gave no result" % name, "fail", "", 0))
    return ones


def parts(log):
    """[(seconds, name)] of what a step tells to have spent, longest first."""
    try:
        with open(log, encoding="utf-8", errors="replace") as file:
            rows = [PART.match(line) for line in file]
    except FileNotFoundError:
        return []
    return sorted(((int(r.group(2)), r.group(1)) for r in rows if r), reverse=True)


def summary(passed, failed, skipped):
    text = "%d passed, %d failed" % (passed, failed)
    return text + (", %d skipped" % skipped if skipped else "")


def main():
    interrupt = step.Interrupt()
    build = os.environ.get("BUILD") or "build"
    logs = os.environ.get("LOGS") or os.path.join(build, "logs")
    total, bad, broken, start, times = [], [], set(), time.monotonic(), []
    for name, goals, need, ktap in STEPS:
        begin = time.monotonic()
        log = os.path.join(logs, name + ".log")
        if need in broken:
            print("== %s NOT RUN, because %s failed" % (name, need), flush=True)
            broken.add(name)
            ones = [results.One("%s not run" % name, "fail", "", 0)]
        else:
            if os.path.exists(log):
                os.unlink(log)
            until = time.time() + 60 * BEGIN_MIN.get(name, BUDGET_MIN) - (time.monotonic() - start)
            child = subprocess.Popen(["make"] + goals, env=dict(os.environ, TEST_UNTIL="%d" % until))
            interrupt.watch(child)
            code = child.wait()
            if interrupt.signal:
                print("== test INTERRUPTED in step %s: no counts" % name, flush=True)
                return 128 + interrupt.signal
            ones = judge(name, log, code, ktap)
            if code and not ktap:
                broken.add(name)
        times.append((name, time.monotonic() - begin, results.counts(ones)))
        total += ones
        bad += [(name, o) for o in ones if o.status == "fail"]
    print("\nstep        time   passed failed skipped")
    for name, spent, (passed, failed, skipped) in times:
        print("%-10s %2d:%02d  %6d %6d %6d" % (name, spent // 60, spent % 60, passed, failed, skipped))
        long = ["%s %d s" % (part, took) for took, part in parts(os.path.join(logs, name + ".log")) if took >= 20]
        if long:
            print("             of that " + ", ".join(long[:6]))
    spent = time.monotonic() - start
    print("in all     %2d:%02d%s" % (spent // 60, spent % 60, "" if spent <= 60 * BUDGET_MIN else
                                     ", more than the %d minutes after which no part of matrix and bisect begins" % BUDGET_MIN))
    skips = ["%s%s" % (o.name, ": " + o.reason if o.reason else "") for o in total if o.status == "skip"]
    for text in sorted(set(skips)):
        print("skipped: %s%s" % (text, " (%d times)" % skips.count(text) if skips.count(text) > 1 else ""))
    for name, one in bad:
        print("failed: %s: %s (%s)" % (name, one.name, os.path.relpath(os.path.join(logs, name + ".log"))))
        for note in one.notes[-NOTES:]:
            print("    " + note[:160])
    print(summary(*results.counts(total)), flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
