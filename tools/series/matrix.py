#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""make matrix: the series compiles with what it stands on off, as modules, and for arm64 (KTAP).

Each configuration of x86 begins with the tested kernel's objects of what the series does not
touch, and so compiles only what its option changes. The kernel with modules is booted as well: it
runs the list of the selftests that unloads one. UML is compiled by make kunit.
"""

import argparse
import os
import re
import subprocess
import sys
import time

import tree
from gitio import Stop, say, show, write_file
from kbuild import Kbuild, copy_objects, errors, too_late
from walk import kernel_paths, sources

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
LU = "tools/testing/selftests/liveupdate/iommu"
ARM64 = ("ARCH=arm64", "CROSS_COMPILE=aarch64-linux-gnu-", "CC=ccache aarch64-linux-gnu-gcc")
WARNING = re.compile(r"^(?:\.\./linux/)?(\S+\.[ch]):\d+(?::\d+)?: (?:warning|error): ")


def on(*options):
    return "".join("CONFIG_%s\n" % o for o in options)


def off(*options):
    return "".join("# CONFIG_%s is not set\n" % o for o in options)


def fragment(name):
    """Of the selftests' configurations, as the runner of the selftests merges it."""
    with open(os.path.join(ROOT, LU, "config." + name), encoding="utf-8") as file:
        return "".join(line for line in file if line.startswith("CONFIG_"))


# name, what differs from the tested kernel's configuration, whether everything is linked
X86 = (
    ("no-iommu-support", off("IOMMU_SUPPORT"), False),
    ("no-kexec-handover", off("KEXEC_HANDOVER", "LIVEUPDATE"), False),
    ("no-liveupdate", off("LIVEUPDATE"), False),
    ("no-iommu-liveupdate", off("IOMMU_LIVEUPDATE"), False),
    ("no-iommufd", off("IOMMUFD"), False),
    ("modules", fragment("modules"), True),
)
# The variant that boots, and the list that it runs
BOOTS = {"modules": "iommufd_module"}
ARM = on("KEXEC_HANDOVER=y", "LIVEUPDATE=y", "LIVEUPDATE_MEMFD=y", "IOMMU_LIVEUPDATE=y", "IOMMUFD=y",
         "GENERIC_PT=y", "IOMMU_PT=y", "COMPILE_TEST=y", "IOMMU_PT_AMDV1=y", "IOMMU_PT_VTDSS=y",
         "IOMMU_PT_X86_64=y", "DEBUG_GENERIC_PT=y")


class Matrix(Kbuild):
    def __init__(self, shop, jobs, files, wanted):
        super().__init__(shop, jobs, "matrix")
        self.wanted = wanted
        self.touched = set(files)
        self.files = sources(files)

    def directories(self):
        """Those whose objects the series changes, without those that lie in another one."""
        found = sorted({os.path.dirname(p) + "/" for p in self.files})
        return [d for d in found if not any(d != o and d.startswith(o) for o in found)]

    def differs(self, out, wanted):
        """Options that did not become what the variant is about."""
        with open(os.path.join(out, ".config"), encoding="utf-8") as file:
            have = set(file.read().split("\n"))
        rows = []
        for line in filter(None, wanted.split("\n")):
            name = re.search(r"CONFIG_\w+", line).group()
            gone = not any(l.startswith((name + "=", "# %s is" % name)) for l in have)
            if line not in have and not (gone and line.startswith("#")):
                rows.append("option has no effect: " + line)
        return rows

    def warned(self, text):
        lines = [l.strip() for l in text.split("\n")]
        return [l for l in lines if WARNING.match(l)
                and any(WARNING.match(l).group(1).endswith(t) for t in self.touched)]

    def begins(self, name):
        """Whether a variant was asked for and there is time for it."""
        if self.wanted and name not in self.wanted:
            return False
        if too_late():
            for result in [name] + (["%s.%s" % (name, BOOTS[name])] if name in BOOTS else []):
                self.skip(result, "no time left, make matrix does it")
            return False
        return True

    def variant(self, name, out, arch, config, wanted, link):
        start = time.monotonic()
        os.makedirs(out, exist_ok=True)
        write_file(os.path.join(out, ".config"), config + wanted)
        status, text = self.make(name + "-config", out, "olddefconfig", arch=arch)
        problems = errors(status, text) or self.differs(out, wanted)
        if not problems:
            goals = ["all"] if link else ["prepare"] + self.directories()
            status, text = self.make(name, out, *goals, arch=arch)
            problems = errors(status, text) + self.warned(text)
        made = self.result(name, problems)
        say("# %s: %d s" % (name, time.monotonic() - start))
        if name in BOOTS:
            self.boot(name, out, BOOTS[name], made)

    def boot(self, name, out, selftest, made):
        """Run a list of the selftests, whose runner finds this configuration and its kernel made."""
        start, problems = time.monotonic(), [] if made else ["there is no such kernel"]
        command = [os.path.join(self.shop.path, LU, "vmtest.sh"), "-c", name, "-d", out, "-j", str(self.jobs),
                   "-w", os.path.join(self.shop.build, "out", "matrix"), "-T", selftest]
        if made:
            show(command)
            done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                  stdin=subprocess.DEVNULL, errors="replace", check=False,
                                  env=dict(os.environ, GIT_DIR=os.devnull, V="0"))
            write_file(os.path.join(self.logs, "%s-%s.log" % (name, selftest)), done.stdout)
            lines = [l.strip() for l in done.stdout.split("\n")]
            if done.returncode or "ok 1 " + selftest not in lines:
                problems = [l for l in lines if re.match(r"not ok|Bail|# .*(not ok|status)", l)] or lines[-5:]
        self.result("%s.%s" % (name, selftest), problems)
        say("# %s: %d s" % (selftest, time.monotonic() - start))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("variants", nargs="*", help="all, if none is named")
    args = parser.parse_args()
    shop = tree.Shop(ROOT, os.environ.get("BUILD") or os.path.join(ROOT, "build"))
    if "CC" not in os.environ or "HOSTCC" not in os.environ:
        raise Stop("call it as make matrix: another CC would compile everything again")
    shop.hold()
    made = tree.make(shop)
    tree.refuse_unsaved(shop)
    files = {p for c in made for p in kernel_paths(
        shop.git.lines("diff-tree", "-r", "--no-commit-id", "--name-only", c))}
    names = [v[0] for v in X86] + ["arm64"]
    for name in args.variants:
        if name not in names:
            raise Stop("no variant %s, there are %s" % (name, ", ".join(names)))
    with open(os.path.join(shop.build, "out-lu", ".config"), encoding="utf-8") as file:
        tested = file.read()
    matrix = Matrix(shop, args.jobs, files, args.variants)
    wanted = args.variants or names
    say("KTAP version 1\n1..%d" % (len(wanted) + len(set(wanted) & set(BOOTS))))
    out = os.path.join(shop.build, "out-matrix-x86_64")
    for name, wanted, link in X86:
        if matrix.begins(name):
            subprocess.run(["rm", "-rf", out], check=True)
            copy_objects(os.path.join(shop.build, "out-lu"), out, without=matrix.files)
            matrix.variant(name, out, (), tested, wanted, link)
    out = os.path.join(shop.build, "out-matrix-arm64")
    if matrix.begins("arm64"):
        os.makedirs(out, exist_ok=True)
        status, text = matrix.make("arm64-defconfig", out, "defconfig", arch=ARM64)
        if status:
            raise Stop("defconfig for arm64 failed: " + text.strip()[-300:])
        with open(os.path.join(out, ".config"), encoding="utf-8") as file:
            matrix.variant("arm64", out, ARM64, file.read(), ARM, False)
    return 1 if matrix.failed else 0


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    try:
        sys.exit(main())
    except Stop as stop:
        print("matrix: %s" % stop, file=sys.stderr)
        sys.exit(1)
