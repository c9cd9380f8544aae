#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Boot one list of tests in a virtual machine and print its results as KTAP.

Lines of a list that start with "#vm " are for us:
    #vm mem=SIZE        memory of the machine (1G)
    #vm append=WORDS    more kernel parameters
    #vm module=PATH     (vmtest.sh) a kernel module for /tests, by its path in the build
    #vm qemu=WORDS      more arguments of QEMU
"""

import argparse
import os
import signal
import sys

import ktap
import vm

# A kernel with lock debugging needs this long to boot without acceleration
# while the host is busy; an idle one takes 5 s.
BOOT_TIMEOUT_S = 90
# What init needs to look for leaks, per kernel.
END_TIMEOUT_S = 60


class TestList:
    """The parsed list of one boot."""

    def __init__(self, path):
        self.name = os.path.basename(path)[:-len(".list")]
        self.names = []
        self.settings = {"mem": "1G", "append": [], "qemu": []}
        self.timeout = BOOT_TIMEOUT_S + END_TIMEOUT_S
        with open(path, encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                try:
                    self.parse_line(line.strip())
                except ValueError as error:
                    raise SystemExit("%s:%d: %s" % (path, number, error))
        if not self.names:
            raise SystemExit("%s: no tests" % path)

    def parse_line(self, line):
        if line.startswith("#vm "):
            key, _, value = line[len("#vm "):].partition("=")
            if key == "mem":
                vm.size(value)
                self.settings["mem"] = value
            elif key in ("append", "qemu"):
                self.settings[key] += value.split()
            elif key not in ("default", "module", "needs", "runner"):
                raise ValueError("unknown setting " + key)
        elif line and not line.startswith("#"):
            fields = line.split("|")
            if len(fields) != 4:
                raise ValueError("not name|timeout|kind|argv")
            self.names.append(fields[0])
            self.timeout += int(fields[1])
            if fields[2] == "kexec":
                self.timeout += int(fields[1]) + BOOT_TIMEOUT_S + END_TIMEOUT_S


def powered_off(console):
    """Whether the last kernel ended as it should, by its own word."""
    return any("reboot: Power down" in line for _, line in console[-5:])


def boot(tests, kernel, initrd, workdir, skips=None, slow=1, least_mem=0, words=()):
    """Run a TestList; (VmResult, ktap.Verdict)."""
    append = ["vmtest.list=/tests/%s.list" % tests.name,
              "vmtest.slow=%d" % slow] + tests.settings["append"] + list(words)
    bugs = []
    for _ in range(vm.ATTEMPTS):
        machine = vm.Vm(kernel, initrd, workdir, append=" ".join(append),
                        qemu_args=tests.settings["qemu"],
                        mem=vm.size_text(least_mem, tests.settings["mem"]),
                        timeout=tests.timeout * slow)
        result = machine.run()
        if not result.emulator_bug():
            break
        bugs.append("QEMU failed by itself: " + result.emulator_bug())
    report = [line for _, line in result.report]
    verdict = ktap.judge(report, tests.names, skips)
    verdict.notes += bugs
    return result, verdict


def machine_trouble(result, verdict):
    """What is wrong apart from the results of single tests."""
    trouble = result.problems + verdict.failures
    if not result.timed_out and not powered_off(result.console):
        trouble.append("the last kernel did not power off")
    return trouble


def results(result, verdict, names):
    """The lines of a KTAP document: tests of the list, then the machine."""
    yield "KTAP version 1"
    yield "1..%d" % (len(names) + 1)
    tests = {test.name: test for test in verdict.tests}
    totals = [0, 0, 0]
    for number, name in enumerate(names, 1):
        test = tests.get(name)
        if not test:
            yield "not ok %d %s # no result" % (number, name)
            totals[1] += 1
            continue
        for failure in test.failures:
            yield "# %s: %s" % (name, failure)
        for path, reason in test.skipped.items():
            yield "# skipped: %s # %s" % (path, reason)
        counts = (len(test.passed), len(test.failures), len(test.skipped))
        totals = [total + count for total, count in zip(totals, counts)]
        yield ("%s %d %s # pass:%d fail:%d skip:%d"
               % (("not ok" if test.failures else "ok", number, name) + counts))
    for note in verdict.notes + vm.stuck(result):
        yield "# " + note
    trouble = machine_trouble(result, verdict)
    for line in trouble:
        yield "# " + line
    yield "%s %d machine" % ("not ok" if trouble else "ok", len(names) + 1)
    yield "# inner: pass:%d fail:%d skip:%d" % tuple(totals)


def good(result, verdict):
    return verdict.good() and not machine_trouble(result, verdict)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kernel", required=True)
    parser.add_argument("--initrd", required=True)
    parser.add_argument("--workdir", required=True)
    parser.add_argument("--list", required=True, help="the list on the host")
    parser.add_argument("--skips", required=True, help="expected skips, if there are any")
    vm.add_arguments(parser)
    options = parser.parse_args()

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    tests = TestList(options.list)
    result, verdict = boot(tests, options.kernel, options.initrd, options.workdir,
                           ktap.read_reasons(options.skips), options.slow,
                           options.least_mem, options.append)
    for line in results(result, verdict, tests.names):
        print(line)
    return 0 if good(result, verdict) else 1


if __name__ == "__main__":
    sys.exit(main())
