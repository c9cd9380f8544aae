#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""make test-negative: without a hook, the list that rests on it fails, for the right reason (KTAP).

Each row of negative/*.control breaks one promise in a copy of the kernel tree, builds
that and runs lists of the selftests. A row passes if each list fails and says why in the
words that the row asks for. Before, the lists run unbroken, because a list that fails
anyway proves nothing. The tree and the objects are copies in build/negative, which exist
only while this runs; a row compiles what it changes and what the row before had changed.
"""

import argparse
import os
import re
import signal
import subprocess
import sys
import time

import controls
import tree
from gitio import Stop, say, show

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
LU = "tools/testing/selftests/liveupdate/iommu"
# Of the tested kernel's output directory: what is of no use to another kernel.
NOT_COPIED = ("vmtest", "vmtest.lock", "bisect.config", "source")
# Files in which kbuild notes how it made a thing, and from what, by absolute path.
NOTES = re.compile(r"\.cmd$|^Makefile$")
RUNNING = re.compile(r"^# running (\S+)$")
RESULT = re.compile(r"^(ok|not ok) \d+ (\S+)")
AGAIN = re.compile(r"(?m)^ *# does not count: .*; again$")
PROGRESS = re.compile(r"^# ((kernel|programs): \d+ s|running \S+|\S+ took \d+ s)$")
CANNOT_BUILD = re.compile(r"(?m)^Bail out! (cannot build .*)$")
# What is no failure of a list's own, whatever else it says.
NEVER = re.compile(r"(?m)^.*(QEMU failed by itself|no bzImage|command not found|Traceback).*$")


def copy(names, target):
    """With their times, by which kbuild goes."""
    done = subprocess.run(["cp", "-a", "--reflink=auto", "-t", target] + names, stderr=subprocess.PIPE,
                          text=True, errors="replace")
    if done.returncode:
        raise Stop("cannot copy: " + done.stderr.strip()[-300:])


def skeleton(source, target, whole):
    """The directories named in whole, and the files beside and above them, are copies; the rest are links."""
    parents = {""}
    for path in whole:
        while path:
            path = os.path.dirname(path)
            parents.add(path)
    for folder in sorted(parents - set(whole)):
        if any(folder.startswith(w + "/") for w in whole):
            continue
        os.makedirs(os.path.join(target, folder), exist_ok=True)
        files = []
        for name in sorted(os.listdir(os.path.join(source, folder))):
            path = os.path.join(folder, name)
            full = os.path.join(source, path)
            if path in whole or os.path.islink(full) or not os.path.isdir(full):
                files.append(full)
            elif path not in parents and path != ".git":
                os.symlink(full, os.path.join(target, path))
        if files:
            copy(files, os.path.join(target, folder))


class Copy:
    """A kernel tree and its objects, to be broken. Nothing is kept of it."""

    def __init__(self, build):
        self.build = build
        self.home = os.path.join(build, "negative")
        self.tree = os.path.join(self.home, "linux")
        self.out = os.path.join(self.home, "out")
        self.whole = {}         # path of a broken file -> what is in it

    def make(self, paths):
        """paths: of the files that will be broken. A whole tree would take minutes on a busy machine."""
        self.remove()
        source = [os.path.join(self.build, n) for n in ("linux", "out-lu")]
        for path in source:
            if not os.path.isdir(path):
                raise Stop("there is no %s: make kernel first" % os.path.relpath(path))
        # Two levels, so that files which include each other by ../ are together.
        skeleton(source[0], self.tree, {os.path.dirname(LU)} | {
            "/".join(os.path.dirname(p).split("/")[:2]) for p in paths})
        os.makedirs(self.out)
        copy([os.path.join(source[1], n) for n in sorted(os.listdir(source[1])) if n not in NOT_COPIED], self.out)
        self.rename()

    def rename(self):
        """The objects are those of the copied tree: kbuild compiles again what another tree's are."""
        old = os.path.join(self.build, "linux").encode()
        name = re.compile(re.escape(old) + rb"(?![\w.-])")
        for folder, inside, files in os.walk(self.out):
            # The tools' directories are links, and make goes by where they lead.
            inside[:] = [d for d in inside if folder != self.out or d not in ("tools", "kselftest")]
            for file in files:
                path = os.path.join(folder, file)
                if not NOTES.search(file) or os.path.islink(path):
                    continue
                with open(path, "rb") as stream:
                    data = stream.read()
                if old in data:
                    with open(path, "wb") as stream:
                        stream.write(name.sub(self.tree.encode(), data))

    def read(self, path):
        try:
            with open(os.path.join(self.tree, path), encoding="utf-8") as file:
                return file.read()
        except (OSError, UnicodeDecodeError) as error:
            raise Stop("%s: %s" % (path, error)) from None

    def write(self, path, text):
        # A new file with the time of now: kbuild compiles it, whoever had it before.
        full = os.path.join(self.tree, path)
        if os.path.realpath(full) != os.path.join(os.path.realpath(self.tree), path):
            raise Stop("%s is not a copy" % path)
        os.unlink(full)
        with open(full, "w", encoding="utf-8") as file:
            file.write(text)

    def apply(self, row):
        """Break the promise of a row, all of it or nothing."""
        broken = controls.broken(row, self.read)
        for path, text in broken.items():
            self.whole[path] = self.read(path)
            self.write(path, text)

    def restore(self):
        while self.whole:
            self.write(*self.whole.popitem())

    def remove(self):
        subprocess.run(["rm", "-rf", self.home], check=True)


def sections(text):
    """{list: (whether it passed, what it said)}; tries that do not count are left out."""
    found, name, said = {}, None, []
    for line in text.split("\n"):
        running, result = RUNNING.match(line), RESULT.match(line)
        if running:
            name, said = running.group(1), []
        elif result and result.group(2) == name:
            found[name] = (result.group(1) == "ok", AGAIN.split("\n".join(said))[-1])
            name = None
        elif name:
            said.append(line)
    return found


def first(pattern, text):
    match = re.search(r"(?m)^.*(?:%s).*$" % pattern, text)
    return match.group().strip().lstrip("# ") if match else None


def judge(row, text):
    """(what is wrong with a control, the words in which its lists failed)"""
    built = CANNOT_BUILD.search(text)
    if built:
        return [built.group(1)], []
    problems, words, found = [], [], sections(text)
    for name in row.lists:
        passed, said = found.get(name, (None, ""))
        if passed is None:
            problems.append("%s was not run to its end" % name)
            continue
        if passed:
            problems.append("%s passes without it" % name)
            continue
        never, wrong, right = NEVER.search(said), row.wrong and first(row.wrong, said), first(row.reason, said)
        if never or wrong:
            problems.append("%s fails for another reason: %s" % (name, wrong or never.group().strip()))
        elif not right:
            problems.append("%s fails, but does not say /%s/" % (name, row.reason))
        else:
            words.append("%s: %s" % (name, right))
    return problems, words


class Runner:
    def __init__(self, copy, jobs):
        self.copy, self.jobs = copy, jobs
        self.logs = os.path.join(copy.build, "logs", "negative")
        self.work = os.path.join(copy.build, "out", "negative")
        self.child = None
        self.number = self.failed = 0

    def lists(self, name, lists):
        """What the runner of the selftests says of lists in the copy, with progress."""
        os.makedirs(self.logs, exist_ok=True)
        work = os.path.join(self.work, name)
        subprocess.run(["rm", "-rf", work], check=True)
        command = [os.path.join(self.copy.tree, LU, "vmtest.sh"), "-c", "lu", "-d", self.copy.out,
                   "-j", str(self.jobs), "-w", work, "-T", ",".join(lists)]
        show(command)
        said = []
        with open(os.path.join(self.logs, name + ".log"), "w", encoding="utf-8") as log:
            # The copy is no work tree of git, and must not be taken for a part of ours.
            self.child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                          stdin=subprocess.DEVNULL, text=True, errors="replace",
                                          env=dict(os.environ, GIT_DIR=os.devnull, V="0"))
            for line in self.child.stdout:
                log.write(line)
                said.append(line)
                if PROGRESS.match(line.rstrip("\n")):
                    say("#   " + line.rstrip("\n")[2:])
            self.child.wait()
        self.child = None
        return "".join(said)

    def result(self, name, problems, comment):
        self.number += 1
        self.failed += bool(problems)
        for line in problems:
            say("# " + line)
        say("%s %d negative.%s # %s" % ("not ok" if problems else "ok", self.number, name, comment))

    def unbroken(self, lists):
        """The lists that fail anyway. One build, one result each."""
        say("# the lists without a change: %s" % " ".join(lists))
        found, bad = sections(self.lists("unbroken", lists)), set()
        for name in lists:
            passed, said = found.get(name, (None, ""))
            problems = [] if passed else ["it fails without a change, so no row that uses it proves anything"]
            problems += [l.strip() for l in said.split("\n") if "not ok" in l][-5:] if problems else []
            self.result("unbroken." + name, problems, "passes" if passed else "fails")
            bad |= {name} if problems else set()
        return bad

    def row(self, row, place, bad):
        start = time.monotonic()
        say("# %s: %s (%s)" % (row.name, row.promise, place))
        try:
            if bad & set(row.lists):
                raise Stop("nothing is proven by %s" % " ".join(sorted(bad & set(row.lists))))
            self.copy.apply(row)
            problems, words = judge(row, self.lists(row.name, row.lists))
        except Stop as stop:
            problems, words = [str(stop)], []
        finally:
            self.copy.restore()
        self.result(row.name, problems, "%d s%s" % (time.monotonic() - start, "".join("; " + w for w in words)))

    def stop(self):
        """End what runs. It ends its machine by itself."""
        if self.child and self.child.poll() is None:
            self.child.terminate()
            self.child.wait()


def run(runner, rows, unbroken):
    lists = []
    for row in rows:
        lists += [n for n in row.lists if n not in lists]
    say("KTAP version 1\n1..%d" % (len(rows) + (len(lists) if unbroken else 0)))
    say("# copy the tree and its objects")
    runner.copy.make([path for row in rows for path, _ in row.places])
    bad = runner.unbroken(lists) if unbroken else set()
    for place, row in enumerate(rows, 1):
        runner.row(row, "%d of %d" % (place, len(rows)), bad)
    return 1 if runner.failed else 0


def stopped(*_):
    # Once is enough: what cleans up must not be interrupted.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--no-unbroken", action="store_true", help="the lists are known to pass without a change")
    parser.add_argument("rows", nargs="*", help="only these, if some are named")
    args = parser.parse_args()
    build = os.path.abspath(os.environ.get("BUILD") or os.path.join(ROOT, "build"))
    if "CC" not in os.environ or "HOSTCC" not in os.environ:
        raise Stop("call it as make test-negative: another CC would compile everything again")
    rows = controls.pick(controls.read(os.path.join(HERE, "negative")), args.rows)
    controls.check(rows, os.path.join(build, "linux"), LU)
    shop = tree.Shop(ROOT, build)
    shop.hold()
    runner = Runner(Copy(build), args.jobs)
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, stopped)
    try:
        return run(runner, rows, not args.no_unbroken)
    except KeyboardInterrupt:
        say("# interrupted")
        return 130
    finally:
        runner.stop()
        runner.copy.remove()


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    try:
        sys.exit(main())
    except Stop as error:
        print("negative: %s" % error, file=sys.stderr)
        sys.exit(1)
