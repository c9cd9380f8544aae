#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""KUnit under UML, judged against the recorded baseline (KTAP on standard output).

  kunit.py build BUILD JOBS      build the UML kernel into BUILD/out-uml
  kunit.py run BUILD             run it and judge
  kunit.py judge FILE            judge the output of an earlier run
"""

import os
import re
import subprocess
import sys

import entry
import results
from gitio import show

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../testing/selftests/liveupdate/iommu"))

import vm  # pylint: disable=wrong-import-position

EXPECT = os.path.join(HERE, "kunit.expect")
ROOT = os.path.dirname(os.path.dirname(HERE))
# What the base kernel has and this series touches.
BASELINE = ("drivers/iommu/generic_pt/.kunitconfig",)
NEW = "not in the baseline"
# No option of UML: tests that need it run in QEMU (the selftests' list "kunit").
NOT_UML = re.compile(r"(?m)^CONFIG_X86(_64)?=y$")


def configs(root):
    """The kunitconfigs to run: the baseline's, and each that the series brings."""
    found = list(BASELINE)
    store = entry.Store(root)
    for path in sorted(store.overlay()):
        if os.path.basename(path) == ".kunitconfig" and not NOT_UML.search(store.read(path).decode()):
            found.append(path)
    return found


def expected(path):
    """name -> None for a pass, or the reason of a skip."""
    found = {}
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if line.startswith("#") or not line.strip():
                continue
            match = re.match(r"^(?:pass (\S.*)|skip (\S+): (\S.*))$", line.rstrip("\n"))
            if not match:
                sys.exit("%s:%d: neither 'pass NAME' nor 'skip NAME: reason'" % (path, number))
            found[match.group(1) or match.group(2)] = match.group(3)
    return found


def judge(lines, baseline):
    """[(name, status, text)] of every test that ran or should have."""
    out, seen = [], {}
    for one in results.parse(lines):
        if one.name in seen:
            out.append((one.name, "fail", "it ran twice"))
        seen[one.name] = one
    for name, reason in baseline.items():
        one = seen.pop(name, None)
        if one is None:
            out.append((name, "fail", "it is in the baseline but did not run"))
        elif one.status == "skip" and reason is None:
            out.append((name, "fail", "unexpected skip: " + one.reason))
        elif one.status == "skip" and one.reason != reason:
            out.append((name, "fail", "skipped for another reason: " + one.reason))
        else:
            out.append((name, one.status, one.reason))
    for one in seen.values():
        status = "fail" if one.status == "skip" else one.status
        out.append((one.name, status, "unexpected skip: " + one.reason if one.status == "skip" else
                    NEW if one.status == "pass" else one.reason))
    return out


def report(judged):
    for name in [n for n, s, text in judged if s == "pass" and text == NEW]:
        print("# new, so that nobody would miss it; for kunit.expect: pass %s" % name)
    print("KTAP version 1\n1..%d" % len(judged))
    for number, (name, status, text) in enumerate(judged, 1):
        if status == "fail":
            print("# %s: %s" % (name, text))
            print("not ok %d kunit.%s" % (number, name))
        else:
            print("ok %d kunit.%s%s" % (number, name, " # SKIP " + text if status == "skip" else ""))
    total = [s for _, s, _ in judged]
    print("# kunit: %d tests, %d passed, %d failed, %d skipped" % (
        len(total), total.count("pass"), total.count("fail"), total.count("skip")))
    return 1 if "fail" in total or not total else 0


def call(build, *args):
    tree = os.path.join(build, "linux")
    command = [sys.executable, "-B", "tools/testing/kunit/kunit.py", args[0],
               "--build_dir=" + os.path.join(build, "out-uml")] + list(args[1:])
    show(command, tree)
    return subprocess.Popen(command, cwd=tree, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            text=True, errors="replace")


def main():
    action = sys.argv[1]
    if action == "judge":
        with open(sys.argv[2], encoding="utf-8", errors="replace") as file:
            return report(judge(file, expected(EXPECT)))
    build = os.path.abspath(sys.argv[2])
    if action == "build":
        child = call(build, "build", *["--kunitconfig=" + c for c in configs(ROOT)], "--jobs=" + sys.argv[3],
                     "--make_options", "CC=" + os.environ.get("CC", "gcc"),
                     "--make_options", "HOSTCC=" + os.environ.get("HOSTCC", "gcc"),
                     *(["--make_options", "V=1"] if os.environ.get("V") == "1" else []))
        for line in child.stdout:
            print(line, end="", flush=True)
        return child.wait()
    child = call(build, "exec", "--raw_output=kunit", "--timeout=600")
    lines, tests = [], 0
    log = os.path.join(os.environ.get("LOGS", os.path.join(build, "logs")), "kunit-output.log")
    os.makedirs(os.path.dirname(log), exist_ok=True)
    with open(log, "w", encoding="utf-8") as out:
        for line in child.stdout:
            lines.append(line)
            out.write(line)
            tests += bool(results.LINE.match(line))
            if tests and tests % 50 == 0 and results.LINE.match(line):
                print("# %d results so far" % tests, flush=True)
    status = child.wait()
    judged = judge(lines, expected(EXPECT))
    judged += [("machine", "fail", text)
               for text in vm.problems([(0, line.rstrip("\n")) for line in lines])]
    if status and not any(s == "fail" for _, s, _ in judged):
        judged.append(("machine", "fail", "kunit.py ended with status %d" % status))
    return report(judged)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
