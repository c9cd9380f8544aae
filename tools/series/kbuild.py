# SPDX-License-Identifier: GPL-2.0
"""The kernel's make, and results of it as KTAP: for make bisect and make matrix."""

import os
import re
import subprocess
import time

import narrow
from gitio import say, show


# Of an output directory, what is no part of the kernel or names its own path.
NOT_COPIED = ("kselftest", "tools", "vmtest", "vmtest.lock", "bisect.config")


def copy_objects(source, out, without=()):
    """Begin an output directory with another one's objects: kbuild compiles again what has to differ.

    without: C files to compile in any case, because their warnings count.
    """
    if os.path.exists(out) or not os.path.exists(os.path.join(source, "vmlinux.o")):
        return
    half = out + ".half"
    subprocess.run(["rm", "-rf", half], check=True)
    os.mkdir(half)
    names = [os.path.join(source, n) for n in sorted(os.listdir(source)) if n not in NOT_COPIED]
    # With their times, by which kbuild goes.
    subprocess.run(["cp", "-a", "--reflink=auto", "-t", half] + names, check=True)
    for path in without:
        if os.path.exists(os.path.join(half, path[:-2] + ".o")):
            os.unlink(os.path.join(half, path[:-2] + ".o"))
    os.rename(half, out)


# Seconds since the epoch after which make test lets no further part of a step begin.
UNTIL = "TEST_UNTIL"


def too_late():
    return time.time() > float(os.environ.get(UNTIL, "inf"))


class Kbuild:
    """Results are counted; the whole output of each call is kept."""

    def __init__(self, shop, jobs, name):
        self.shop, self.jobs, self.name = shop, jobs, name
        self.logs = os.path.join(shop.build, "logs", name)
        os.makedirs(self.logs, exist_ok=True)
        self.number, self.failed = 0, 0

    def make(self, label, out, *goals, arch=(), keep_going=False, places=None, release=False):
        """(status, output) of the kernel's make.

        arch: its variables, for another one. places: the directories to walk (narrow.py).
        release: the commit belongs into the kernel's version, which costs a git status and
        compiles what has the version in it at each commit.
        """
        command = ["make", "-s", "-C", self.shop.path, "O=" + out, "-j%d" % self.jobs]
        command += list(arch) or ["CC=" + os.environ["CC"]]
        command += ["HOSTCC=" + os.environ["HOSTCC"]] + (["-k"] if keep_going else []) + list(goals)
        env = dict(os.environ, V="0")
        if not release:
            env["GIT_DIR"] = os.devnull
        if places is not None:
            words, more = narrow.narrowed(places)
            command += words
            env.update(more)
        log = os.path.join(self.logs, label.replace("/", "-") + ".log")
        show(command)
        with open(log, "w", encoding="utf-8") as file:
            status = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT,
                                    stdin=subprocess.DEVNULL, env=env).returncode
        with open(log, encoding="utf-8", errors="replace") as file:
            return status, file.read()

    def result(self, name, problems):
        self.number += 1
        for line in problems[:15]:
            say("# " + line)
        say("%s %d %s.%s" % ("not ok" if problems else "ok", self.number, self.name, name))
        self.failed += bool(problems)
        return not problems

    def skip(self, name, reason):
        self.number += 1
        say("ok %d %s.%s # SKIP %s" % (self.number, self.name, name, reason))


def errors(status, text):
    if not status:
        return []
    found = [l.strip() for l in text.split("\n") if re.search(r"error|Error|undefined", l)]
    return found[-10:] or ["make failed with status %d" % status]
