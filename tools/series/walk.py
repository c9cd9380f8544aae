#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""make bisect: each prefix of the series builds, with the option on and off, and boots (KTAP).

Per entry: the kernel with live update builds and boots; the touched objects
with W=1 and sparse give no warning that the base does not have; the touched
directories build without it. An object that no option builds yet is looked at
with the entry that brings the option, or at the end. Oldest first and in the
same output directories, so that each step compiles only what its entry changed
and the last kernel is the tested one; kbuild looks only where something can
have changed (narrow.py). The machine boots and the kernel without the option is
built while the other compilers go on; a kernel that is the same file as the one
before does not boot again. A commit that passed once is not built again until
make clean.
"""

import argparse
import concurrent.futures
import os
import re
import subprocess
import sys
import time

import narrow
import tree
from kbuild import Kbuild, copy_objects, errors, too_late
from gitio import Stop, say, show, write_file

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
LU = "tools/testing/selftests/liveupdate/iommu"
BOOT_LIST = "liveupdate"
WARNING = re.compile(r"^(\S+\.[ch]):(\d+)(?::\d+)?: (?:warning|error): (.*)$")
# Debian's sparse 0.6.4 does not know this keyword, and the kernel then silently checks nothing.
SPARSE = "sparse -D__typeof_unqual__=__typeof__"
NO_SPARSE = "is not available or not up to date"
# What sparse says of a line, less where in the file it is.
NUMBERS = re.compile(r"\b\d+(:\d+)?\b")
PARTS = ("on", "warnings", "off", "boot")


class Walk(Kbuild):
    def __init__(self, shop, jobs):
        super().__init__(shop, jobs, "bisect")
        self.git = shop.git
        self.on = os.path.join(shop.build, "out-lu")
        self.off = os.path.join(shop.build, "out-lu-off-bisect")
        self.done = os.path.join(shop.build, "out-bisect")
        os.makedirs(self.done, exist_ok=True)
        self.later = []         # sources whose objects no option has built yet
        self.image = None       # time stamp of the last kernel that booted
        self.strict = []        # sources whose objects were made with other flags since
        self.narrow = {}        # output directory -> narrow.Narrow
        self.spent = {}         # what for -> seconds
        self.configured = {}    # output directory -> commit

    def goto(self, commit):
        """Work tree and a detached HEAD at a commit; make tree and make save find their way back."""
        write_file(self.shop.state("walk"), "make bisect is under way\n")
        tree.switch(self.shop, self.git.ref("HEAD"), commit)
        self.git.raw("update-ref", "--no-deref", "HEAD", commit)

    def spend(self, what, start):
        self.spent[what] = self.spent.get(what, 0) + time.monotonic() - start

    def configure(self, out, extra, commit):
        """The tested kernel's configuration, as far as this prefix knows its options."""
        last = self.configured.get(out)
        if last and not any(narrow.KCONFIG.search(p) for p in self.git.lines(
                "diff-tree", "-r", "--name-only", "--no-renames", last, commit)):
            return
        start = time.monotonic()
        self.configured.pop(out, None)
        os.makedirs(out, exist_ok=True)
        with open(os.path.join(self.shop.build, "out-lu", "bisect.config"), encoding="utf-8") as file:
            write_file(os.path.join(out, ".config"), file.read() + extra)
        status, text = self.make("config", out, "olddefconfig")
        if status:
            raise Stop("olddefconfig failed: " + text.strip()[-300:])
        self.configured[out] = commit
        self.spend("configurations", start)

    def lost(self, out, extra):
        with open(os.path.join(out, ".config"), encoding="utf-8") as file:
            have = file.read().split("\n")
        return ["lost option: " + l for l in extra.split("\n")
                if re.match(r"^CONFIG_\w+=[ym]|^# CONFIG_\w+ is not set", l) and l not in have
                and (l.startswith("CONFIG_") or l.split()[1] + "=y" in have)]

    def warnings(self, label, files, touched):
        """(status, {(file, message): count}) of W=1 and sparse on the objects of files."""
        goals = [f[:-2] + ".o" for f in files]
        start = time.monotonic()
        status, text = self.make(label, self.on, "W=1", "C=2", "CHECK=" + SPARSE, *goals, keep_going=True)
        self.strict += files
        self.spend("W=1 and sparse", start)
        if NO_SPARSE in text:
            raise Stop("the kernel does not take this sparse (%s), so nothing would be checked" % SPARSE)
        return status, count_warnings(text, self.shop.path, touched), text

    def objects(self, commit, files):
        """The sources that are compiled; one that another includes, or one in it, is checked in that."""
        out, seen, todo = set(), set(), list(files)
        while todo:
            path = todo.pop()
            if path in seen:
                continue
            seen.add(path)
            place = os.path.dirname(os.path.dirname(path)) or "."
            status, found, _ = self.git.call("grep", "-l", "-E", '^#include "(.*/)?%s"'
                                             % re.escape(os.path.basename(path)), commit, "--", place)
            rows = [r.split(":", 1)[1] for r in found.decode().split("\n") if r]
            if status == 0 and rows:
                todo += [r for r in rows if r.endswith(".c")]
            else:
                out.add(path)
        return sorted(out)

    def image_path(self):
        return os.path.join(self.on, "arch/x86/boot/bzImage")

    def boot(self, label):
        """Begin to boot the kernel that was just built with the small list of the selftests."""
        folder = os.path.join(self.logs, label)
        subprocess.run(["rm", "-rf", folder], check=True)
        os.makedirs(folder)
        command = [sys.executable, "-B", os.path.join(ROOT, LU, "run_list.py"),
                   "--kernel", self.image_path(),
                   "--initrd", os.path.join(self.on, "vmtest", BOOT_LIST + ".cpio"),
                   "--list", os.path.join(ROOT, LU, "tests", BOOT_LIST + ".list"),
                   "--skips", os.path.join(ROOT, LU, "skips", BOOT_LIST), "--workdir", folder]
        show(command)
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                errors="replace")

    def booted(self, label, machine):
        """What was wrong with the boot, once it has ended."""
        start = time.monotonic()
        said, _ = machine.communicate()
        self.spend("boots, after the builds beside them", start)
        if not machine.returncode:
            return []
        return ["it does not boot cleanly, logs in %s" % os.path.join(self.logs, label)] + [
            l for l in said.split("\n") if "not ok" in l or l.startswith("# ")][-10:]


def old_sparse(kernel, path, number, message):
    """MODULE_INFO(), also that of module_param(), asserts what sparse 0.6.4 cannot compute: a __builtin_strlen()."""
    if message != "bad constant expression":
        return False
    try:
        with open(os.path.join(kernel, path), encoding="utf-8") as file:
            return file.read().split("\n")[number - 1].startswith(("MODULE_", "module_param"))
    except (OSError, IndexError):
        return False


def count_warnings(text, kernel, touched):
    """{(file, message): count} of the warnings in the series' files, wherever make stands."""
    found = {}
    for line in text.split("\n"):
        match = WARNING.match(line.strip())
        if not match:
            continue
        path = match.group(1)
        for prefix in (kernel + "/", "../linux/", "./"):
            if path.startswith(prefix):
                path = path[len(prefix):]
        if path in touched and not old_sparse(kernel, path, int(match.group(2)), match.group(3)):
            key = (path, NUMBERS.sub("N", match.group(3)))
            found[key] = found.get(key, 0) + 1
    return found


def sources(paths):
    return sorted(p for p in paths if p.endswith(".c") and not p.startswith(("tools/", "Documentation/", "samples/")))


def kernel_paths(paths):
    return [p for p in paths if not p.startswith(("tools/", "Documentation/")) and p != "MAINTAINERS"]


def run(walk, items, made, names=()):
    git, base = walk.git, walk.git.text("rev-parse", made[0] + "^")
    paths = {c: git.lines("diff-tree", "-r", "--no-commit-id", "--name-only", c) for c in made}
    touched = {p for c in made for p in paths[c]}
    whole = sources(touched)
    directories = sorted({os.path.dirname(p) + "/" for p in whole if "/tests/" not in p} | {"mm/"})
    directories = [d for d in directories if not any(d != o and d.startswith(o) for o in directories)]
    with open(os.path.join(walk.shop.root, LU, "config.off"), encoding="utf-8") as file:
        off = file.read()
    with open(os.path.join(walk.on, "bisect.config"), encoding="utf-8") as file:
        tip_config = file.read()
    chosen = [c for i, c in zip(items, made) if not names or i.name in names]
    todo = [c for c in chosen if kernel_paths(paths[c]) and not os.path.exists(os.path.join(walk.done, c))]
    known, late = {}, False
    copy_objects(walk.on, walk.off)
    walk.narrow = {out: narrow.Narrow(walk, out, touched) for out in (walk.on, walk.off)}
    if todo and not too_late():
        say("# base: the warnings that the files have without the series")
        walk.goto(base)
        walk.configure(walk.on, "", base)
        old = [p for p in whole if git.modes(base, [p])]
        _, known, _ = walk.warnings("base-warnings", old, touched)
    for item, commit in zip(items, made):
        if commit not in chosen:
            continue
        if not kernel_paths(paths[commit]):
            say("# %s: nothing that is built into the kernel" % item.name)
            continue
        if commit not in todo:
            with open(os.path.join(walk.done, commit), encoding="utf-8") as file:
                walk.later = file.read().split()[1:]
            for part in PARTS:
                walk.result("%s.%s" % (item.name, part), [])
            say("# %s: commit %s passed before" % (item.name, commit[:12]))
            continue
        if too_late():
            for part in PARTS:
                walk.skip("%s.%s" % (item.name, part), "no time left, make bisect goes on here")
            late = True
            continue
        walk.goto(commit)
        files = walk.objects(commit, sources(paths[commit]))
        if prefix(walk, item.name, commit, files, (touched, known), (off, directories)):
            write_file(os.path.join(walk.done, commit), "\n".join([item.name] + walk.later) + "\n")
    walk.goto(made[-1])
    write_file(os.path.join(walk.on, ".config"), tip_config)
    if late:
        walk.skip("tip-is-the-tested-kernel", "no time left, make bisect goes on here")
        return
    problems = []
    if walk.later:
        problems = judge_objects(walk, "tip", walk.later, touched, known)
    if todo:
        problems += overlooked(walk, made[-1], walk.on, "bzImage", "modules")
        walk.configure(walk.off, off, made[-1])
        problems += overlooked(walk, made[-1], walk.off, "prepare", *directories)
    status, text = walk.make("tip", walk.on, "olddefconfig", "bzImage", "modules", release=True)
    problems += errors(status, text)
    with open(os.path.join(walk.on, ".config"), encoding="utf-8") as file:
        if file.read() != tip_config:
            problems.append("its configuration is not the tested kernel's")
    walk.result("tip-is-the-tested-kernel", problems)
    for what, spent in walk.spent.items():
        say("# %s: %d s" % (what, spent))


def overlooked(walk, commit, out, *goals):
    """What an ordinary build still compiles after one that did not look everywhere."""
    start = time.monotonic()
    name = os.path.basename(out)
    status, text = walk.narrow[out].make("narrow-" + name, commit, *goals,
                                         extra=walk.strict if out == walk.on else ())
    before = narrow.objects(out)
    if not status:
        status, text = walk.make("whole-" + name, out, *goals)
    after = narrow.objects(out)
    walk.spend("the last prefix without short cuts", start)
    return errors(status, text) + ["%s was out of date: narrow.py overlooked it" % p
                                   for p in sorted(after) if after[p] != before.get(p)]


def judge_objects(walk, name, files, touched, known):
    status, found, text = walk.warnings(name + "-warnings", files, touched)
    return errors(status, text) + ["%s: %s" % k for k, count in sorted(found.items())
                                   if count > known.get(k, 0)]


def build_off(walk, name, commit, off, directories):
    """The touched directories without the option; what was wrong."""
    walk.configure(walk.off, off, commit)
    status, text = walk.narrow[walk.off].make(name + "-off", commit, "prepare", *directories)
    return walk.lost(walk.off, off) + errors(status, text)


def prefix(walk, name, commit, files, warned, without):
    """One prefix: build and boot with the option on, its warnings, build with the option off."""
    walk.configure(walk.on, "", commit)
    files = sorted(set(files) | set(walk.later))
    objects = {f: os.path.join(walk.on, f[:-2] + ".o") for f in files}
    for path in objects.values():
        if os.path.exists(path):
            os.unlink(path)
    machine = None
    # A link keeps one processor busy: the other output directory's compilers have the rest.
    with concurrent.futures.ThreadPoolExecutor(1) as beside:
        try:
            built_off = beside.submit(build_off, walk, name, commit, *without)
            start = time.monotonic()
            status, text = walk.narrow[walk.on].make(name + "-on", commit, "bzImage", "modules",
                                                     extra=files + walk.strict)
            walk.strict = walk.strict if status else []
            walk.spend("builds with the option on", start)
            good = walk.result(name + ".on", errors(status, text))
            image = os.stat(walk.image_path()).st_mtime_ns if good else None
            machine = walk.boot(name) if good and image != walk.image else None
            walk.later = [f for f in files if not os.path.exists(objects[f])]
            now = [f for f in files if f not in walk.later]
            good &= walk.result(name + ".warnings", judge_objects(walk, name, now, *warned) if now else [])
            start = time.monotonic()
            good &= walk.result(name + ".off", built_off.result())
            walk.spend("builds with the option off, after those beside them", start)
            if machine:
                troubles = walk.booted(name, machine)
                walk.image = None if troubles else image
            else:
                troubles = [] if image else ["not built"]
            return walk.result(name + ".boot", troubles) and good
        finally:
            if machine and machine.poll() is None:
                machine.terminate()
                machine.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("entries", nargs="*", help="only these, if some are named")
    args = parser.parse_args()
    shop = tree.Shop(ROOT, os.environ.get("BUILD") or os.path.join(ROOT, "build"))
    if "CC" not in os.environ or "HOSTCC" not in os.environ:
        raise Stop("call it as make bisect: another CC would compile everything again")
    shop.hold()
    made = tree.make(shop)
    tree.refuse_unsaved(shop)
    walk = Walk(shop, args.jobs)
    config = os.path.join(walk.on, ".config")
    if not os.path.exists(os.path.join(walk.on, "vmtest", BOOT_LIST + ".cpio")):
        raise Stop("%s has no kernel and RAM disks: make kernel first" % walk.on)
    with open(config, encoding="utf-8") as file:
        write_file(os.path.join(walk.on, "bisect.config"), file.read())
    items = shop.store.entries()
    for name in args.entries:
        if name not in [i.name for i in items]:
            raise Stop("no entry %s in patches/series" % name)
    built = sum(1 for i, c in zip(items, made) if (not args.entries or i.name in args.entries) and kernel_paths(
        shop.git.lines("diff-tree", "-r", "--no-commit-id", "--name-only", c)))
    say("KTAP version 1\n1..%d" % (4 * built + 1))
    try:
        run(walk, items, made, args.entries)
    finally:
        tree.leave_walk(shop)
    return 1 if walk.failed else 0


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    try:
        sys.exit(main())
    except Stop as stop:
        print("bisect: %s" % stop, file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
