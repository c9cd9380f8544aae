#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Break what the runner watches, on real machines, and see that it notices.

Boots a kernel that "vmtest.sh -b" built with a program that fails in one way at
a time, and asks the runner for options that no kernel has. Prints KTAP.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
RUNNER = os.path.join(HERE, "../testing/selftests/liveupdate/iommu")
sys.path.insert(0, RUNNER)

import run_list  # pylint: disable=wrong-import-position

# How long a machine that hangs is waited for, however long its list is given.
HANG_S = 50
# How much of a console is worth being told.
CONSOLE_LINES = 8

# Name, list, then what the runner must say: line prefixes for results and texts
# that must appear in others. The first one shows that nothing else is wrong.
BOOTS = [
    ("good tests pass", True,
     ["a|60|once|/tests/control good", "b|60|kexec|/tests/control good"],
     ["ok 1 a", "ok 2 b", "ok 3 machine"], []),
    ("each bad test fails, the next one still runs", False,
     ["no-plan|60|once|/tests/control no-plan",
      "too-few|60|once|/tests/control too-few",
      "inner-not-ok|60|once|/tests/control inner-not-ok",
      "inner-skip|60|once|/tests/control inner-skip",
      "skip|60|once|/tests/control skip",
      "fail|60|once|/tests/control fail",
      "crash|60|once|/tests/control crash",
      "hang|3|once|/tests/control hang",
      "missing|60|once|/tests/nothing",
      "good|60|once|/tests/control good"],
     ["not ok 1 no-plan", "not ok 2 too-few", "not ok 3 inner-not-ok", "not ok 4 inner-skip",
      "not ok 5 skip", "not ok 6 fail", "not ok 7 crash", "not ok 8 hang", "not ok 9 missing",
      "ok 10 good", "ok 11 machine"],
     ["no-plan: no plan", "too-few: 1 results, but 2 planned", "inner-not-ok: a: not ok",
      "inner-skip: unexpected skip: inner-skip/a", "skip: unexpected skip: skip",
      "fail: exit status 1", "crash: killed by signal 6", "hang: timed out after 3 s",
      "missing: exit status 127"]),
    ("a panic of the first kernel", False,
     ["a|60|once|/tests/control good", "b|60|once|/tests/control panic"],
     ["ok 1 a", "not ok 2 b", "not ok 3 machine"],
     ["kernel 1: Kernel panic", "b: no result", "the guest did not come to its end"]),
    ("a panic of the second kernel", False,
     ["a|60|kexec|/tests/control panic-after-kexec"],
     ["not ok 1 a", "not ok 2 machine"],
     ["kernel 2: Kernel panic", "a: no result"]),
    ("a warning of the second kernel, all tests passing", False,
     ["a|60|kexec|/tests/control warning-after-kexec"],
     ["ok 1 a", "not ok 2 machine"],
     ["kernel 2: WARNING: control.c:1"]),
    ("a machine that hangs", False,
     ["a|20|once|/tests/control halt"],
     ["not ok 1 a", "not ok 2 machine"],
     ["no end after", "reboot: System halted"]),
    ("QEMU exiting with an error", False,
     ["#vm qemu=-device isa-debug-exit,iobase=0xf4,iosize=4",
      "a|60|once|/tests/control qemu-exit"],
     ["not ok 1 a", "not ok 2 machine"],
     ["QEMU exited with status 33"]),
]


class Machine:
    """Builds initial RAM disks with the control program in them."""

    def __init__(self, build_dir, workdir):
        self.workdir = workdir
        self.kernel = os.path.join(build_dir, "arch/x86/boot/bzImage")
        self.gen_cpio = os.path.join(build_dir, "usr/gen_init_cpio")
        self.init = os.path.join(build_dir, "vmtest/init")
        self.control = os.path.join(workdir, "control")
        subprocess.run(["gcc", "-static", "-O2", "-Wall", "-o", self.control,
                        os.path.join(HERE, "control.c")], check=True)

    def make_cpio(self, name, lines):
        spec = os.path.join(self.workdir, name + ".spec")
        path = os.path.join(self.workdir, name + ".cpio")
        with open(spec, "w", encoding="utf-8") as out:
            out.write("\n".join(lines) + "\n")
        with open(path, "wb") as out:
            subprocess.run([self.gen_cpio, spec], stdout=out, check=True)
        return path

    def boot(self, lines):
        """(good, lines of the runner, last lines of the console) for a list."""
        path = os.path.join(self.workdir, "control.list")
        with open(path, "w", encoding="utf-8") as out:
            out.write("\n".join(lines) + "\n")
        files = ["dir /dev 0755 0 0", "nod /dev/console 0600 0 0 c 5 1", "dir /tests 0755 0 0",
                 "file /init %s 0755 0 0" % self.init,
                 "file /tests/control %s 0755 0 0" % self.control,
                 "file /tests/control.list %s 0644 0 0" % path]
        inner = self.make_cpio("inner", files)
        initrd = self.make_cpio("outer", files + ["file /kernel %s 0644 0 0" % self.kernel,
                                                  "file /initrd.img %s 0644 0 0" % inner])
        tests = run_list.TestList(path)
        if any(line.endswith(" halt") for line in lines):
            tests.timeout = HANG_S
        result, verdict = run_list.boot(tests, self.kernel, initrd,
                                        os.path.join(self.workdir, "run"))
        return (run_list.good(result, verdict),
                list(run_list.results(result, verdict, tests.names)),
                [line for _, line in result.console[-CONSOLE_LINES:]])


def check_boot(machine, good, lines, prefixes, texts):
    """What the runner did not say as it should, as lines."""
    said_good, said, console = machine.boot(lines)
    wrong = []
    if said_good != good:
        wrong.append("the runner says %s" % ("good" if said_good else "bad"))
    verdicts = [line for line in said if line.startswith(("ok ", "not ok "))]
    for prefix, verdict in zip(prefixes, verdicts):
        if verdict != prefix and not verdict.startswith(prefix + " "):
            wrong.append("%r instead of %r" % (verdict, prefix))
    if len(prefixes) != len(verdicts):
        wrong.append("%d results instead of %d" % (len(verdicts), len(prefixes)))
    for text in texts:
        if not any(text in line for line in said):
            wrong.append("nothing said of %r" % text)
    if not wrong:
        return []
    return (["console: " + line for line in console] + ["said: " + line for line in said]
            + wrong)


def borrow_tree(tree, copy):
    """Links to all of a kernel tree, but for a copy of the runner in its place."""
    above = ("", "tools", "tools/testing", "tools/testing/selftests",
             "tools/testing/selftests/liveupdate")
    for place, below in zip(above, above[1:] + ("tools/testing/selftests/liveupdate/iommu",)):
        os.makedirs(os.path.join(copy, below))
        for name in os.listdir(os.path.join(tree, place)):
            if name != os.path.basename(below):
                os.symlink(os.path.join(tree, place, name), os.path.join(copy, place, name))
    place = os.path.join(copy, "tools/testing/selftests/liveupdate/iommu")
    shutil.copytree(RUNNER, place, dirs_exist_ok=True)
    return place


def check_lost_option(tree, workdir, line, message):
    """Ask for an option that cannot be had; what was not said of it."""
    runner = borrow_tree(os.path.abspath(tree), os.path.join(workdir, "tree"))
    with open(os.path.join(runner, "config"), "a", encoding="ascii") as config:
        config.write(line + "\n")
    run = subprocess.run([os.path.join(runner, "vmtest.sh"), "-b",
                          "-d", os.path.join(workdir, "out"), "-w", os.path.join(workdir, "ws")],
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    wrong = []
    if run.returncode != 1:
        wrong.append("exit status %d" % run.returncode)
    if message not in run.stdout:
        wrong.append("not said: %r" % message)
    if "Bail out! the configuration lost options" not in run.stdout:
        wrong.append("did not bail out")
    return wrong + run.stdout.splitlines() if wrong else []


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tree", required=True, help="kernel tree that has the runner")
    parser.add_argument("--build-dir", required=True, help="where vmtest.sh -b has built")
    options = parser.parse_args()

    with tempfile.TemporaryDirectory() as workdir:
        machine = Machine(os.path.abspath(options.build_dir), workdir)
        checks = [(name, lambda args=args: check_boot(machine, *args)) for name, *args in BOOTS]
        for number, (line, message) in enumerate((
                ("CONFIG_NO_SUCH_OPTION=y", "lost option: CONFIG_NO_SUCH_OPTION=y"),
                ("# CONFIG_IOMMU_API is not set", "option that should be off: CONFIG_IOMMU_API"))):
            place = os.path.join(workdir, "config%d" % number)
            checks.append((message, lambda args=(options.tree, place, line, message):
                           check_lost_option(*args)))
        print("KTAP version 1\n1..%d" % len(checks))
        failed = 0
        for number, (name, check) in enumerate(checks, 1):
            wrong = check()
            for line in wrong:
                print("# " + line)
            failed += bool(wrong)
            print("%s %d %s" % ("not ok" if wrong else "ok", number, name), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
