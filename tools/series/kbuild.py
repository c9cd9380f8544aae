# SPDX-License-Identifier: GPL-2.0
"""The kernel's make, and results of it as KTAP: for make bisect and make matrix."""

import os
import re
import subprocess

from gitio import say, show


class Kbuild:
    """Results are counted; the whole output of each call is kept."""

    def __init__(self, shop, jobs, name):
        self.shop, self.jobs, self.name = shop, jobs, name
        self.logs = os.path.join(shop.build, "logs", name)
        os.makedirs(self.logs, exist_ok=True)
        self.number, self.failed = 0, 0

    def make(self, label, out, *goals, arch=(), keep_going=False):
        """(status, output) of the kernel's make. arch: its variables, for another one."""
        command = ["make", "-s", "-C", self.shop.path, "O=" + out, "-j%d" % self.jobs]
        command += list(arch) or ["CC=" + os.environ["CC"]]
        command += ["HOSTCC=" + os.environ["HOSTCC"]] + (["-k"] if keep_going else []) + list(goals)
        log = os.path.join(self.logs, label.replace("/", "-") + ".log")
        show(command)
        with open(log, "w", encoding="utf-8") as file:
            status = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT,
                                    stdin=subprocess.DEVNULL, env=dict(os.environ, V="0")).returncode
        with open(log, encoding="utf-8", errors="replace") as file:
            return status, file.read()

    def result(self, name, problems):
        self.number += 1
        for line in problems[:15]:
            say("# " + line)
        say("%s %d %s.%s" % ("not ok" if problems else "ok", self.number, self.name, name))
        self.failed += bool(problems)
        return not problems


def errors(status, text):
    if not status:
        return []
    found = [l.strip() for l in text.split("\n") if re.search(r"error|Error|undefined", l)]
    return found[-10:] or ["make failed with status %d" % status]
