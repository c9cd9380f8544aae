#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""make test-negative: a row counts only if its list fails, in the words that the row asks for."""

import contextlib
import io
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import unittest

import controls
import negative
import toy
from gitio import Stop

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE).rpartition("/")[0]
ROW = """# a comment
[hook]
promise: The hook is there.
list: one
reason: the hook is (gone|lost)
not: for want of time
--- drivers/core.c
 line 3
-line 4
+line four
 line 5
"""
# Stands for the runner of the selftests: it says what the kernel of the copy is like.
VMTEST = """#!/bin/bash
here=$(dirname "$(realpath "$0")")/../../../../..
while [[ $1 != -T ]]; do shift; done
echo "TAP version 13"
[[ ! -e $here/slow ]] || { echo "# running one"; sleep 60; }
grep -q "CONFIG" $here/drivers/other.c && { echo "Bail out! cannot build kernel, see kernel.log"; exit 1; }
for list in ${2//,/ }; do
	echo "# running $list"
	if grep -q "line four" $here/drivers/core.c; then
		echo "    # @SAYS@"
		echo "not ok 1 $list"
	else
		echo "ok 1 $list"
	fi
done
"""


class Table(unittest.TestCase):
    def stops(self, expected, text):
        with self.assertRaisesRegex(Stop, expected):
            for row in controls.parse(text, "x.control"):
                if row.problem():
                    raise Stop(row.problem())

    def broken(self, text, kernel):
        return controls.broken(controls.parse(text, "x.control")[0], kernel.__getitem__)

    def test_a_row(self):
        row, = controls.parse(ROW, "x.control")
        self.assertEqual((row.name, row.lists, row.promise, row.wrong),
                         ("hook", ["one"], "The hook is there.", "for want of time"))
        self.assertIsNone(row.problem())

    def test_text_that_is_there_once(self):
        new = self.broken(ROW, {"drivers/core.c": toy.NUMBERED})
        self.assertEqual(new, {"drivers/core.c": toy.NUMBERED.replace("line 4\n", "line four\n", 1)})

    def test_text_that_is_not_there(self):
        with self.assertRaisesRegex(Stop, "row hook: drivers/core.c has the text not at all: 'line 3'"):
            self.broken(ROW.replace("-line 4", "-line  4"), {"drivers/core.c": toy.NUMBERED})

    def test_text_that_is_there_twice(self):
        with self.assertRaisesRegex(Stop, "drivers/core.c has the text 2 times"):
            self.broken(ROW, {"drivers/core.c": toy.NUMBERED * 2})

    def test_whole_lines_only(self):
        with self.assertRaisesRegex(Stop, "not at all"):
            self.broken(ROW.replace(" line 3", " ine 3"), {"drivers/core.c": toy.NUMBERED})

    def test_two_places_in_a_file(self):
        text = ROW + "\n# and\n--- drivers/core.c\n-line 50\n"
        new = self.broken(text, {"drivers/core.c": toy.NUMBERED})["drivers/core.c"]
        self.assertEqual(new, toy.NUMBERED.replace("line 4\n", "line four\n", 1).replace("line 50\n", ""))

    def test_what_is_no_row(self):
        for expected, old, new in (("has no promise", "promise: The hook is there.\n", ""),
                                   ("has no reason", "reason: the hook is (gone|lost)\n", ""),
                                   ("reason: matches anything", "(gone|lost)", "(gone)?|"),
                                   ("reason: missing", "(gone|lost)", "(gone"),
                                   ("not: matches anything", "for want of time", "x*"),
                                   ("the text stays", "+line four", "+line 4"),
                                   ("no text that has to be", " line 3\n-line 4\n+line four\n line 5", "+line 4"),
                                   ("not a line of a row: 'lists: one'", "list: one", "lists: one"),
                                   ("not a line of a row", "[hook]", "[Hook]"),
                                   ("changes nothing", ROW[ROW.index("---"):], "")):
            with self.subTest(expected):
                self.stops(expected, ROW.replace(old, new))
        self.stops("not a line of a row", ROW.replace("list: one\n", "list: one\nlist: two\n"))

    def test_two_rows_of_one_name(self):
        with tempfile.TemporaryDirectory(prefix="series-negative-") as folder:
            toy.put(os.path.join(folder, "a.control"), ROW)
            toy.put(os.path.join(folder, "b.control"), ROW)
            with self.assertRaisesRegex(Stop, "b.control|a.control: there are two rows hook"):
                controls.read(folder)

    def test_picking(self):
        rows = controls.parse(ROW + ROW.replace("[hook]", "[other]"), "x.control")
        self.assertEqual([r.name for r in controls.pick(rows, ["other", "hook"])], ["other", "hook"])
        self.assertEqual(controls.pick(rows, []), rows)
        with self.assertRaisesRegex(Stop, "no row none, there are hook other"):
            controls.pick(rows, ["none"])

    def test_the_rows_that_there_are(self):
        rows = controls.read(os.path.join(HERE, "negative"))
        self.assertGreaterEqual(len(rows), 13)
        kernel = os.path.join(os.environ.get("BUILD") or os.path.join(ROOT, "build"), "linux")
        if not os.path.exists(os.path.join(kernel, negative.LU)):
            self.skipTest("there is no tree: make tree")
        controls.check(rows, kernel, negative.LU)


class Judging(unittest.TestCase):
    def judge(self, said, result="not ok 1 one", row=ROW):
        text = "# kernel: 3 s\n# running one\n    # %s\n%s\n" % (said, result)
        return negative.judge(controls.parse(row, "x.control")[0], text)

    def test_right_reason(self):
        self.assertEqual(self.judge("the hook is gone"), ([], ["one: the hook is gone"]))

    def test_a_list_that_passes(self):
        self.assertEqual(self.judge("the hook is gone", "ok 1 one")[0], ["one passes without it"])

    def test_another_reason(self):
        self.assertEqual(self.judge("the host was slow")[0], ["one fails, but does not say /the hook is (gone|lost)/"])

    def test_a_reason_that_must_not_be(self):
        self.assertEqual(self.judge("the hook is gone, for want of time")[0],
                         ["one fails for another reason: the hook is gone, for want of time"])

    def test_reasons_that_are_never_right(self):
        for said in ("QEMU failed by itself: the hook is gone", "Traceback: the hook is gone"):
            self.assertRegex(self.judge(said)[0][0], "^one fails for another reason: ")

    def test_a_kernel_that_does_not_compile(self):
        row = controls.parse(ROW, "x.control")[0]
        self.assertEqual(negative.judge(row, "# the hook is gone\nBail out! cannot build kernel, see x\n"),
                         (["cannot build kernel, see x"], []))

    def test_a_run_that_breaks_off(self):
        self.assertEqual(self.judge("the hook is gone", "")[0], ["one was not run to its end"])

    def test_a_try_that_does_not_count(self):
        self.assertEqual(self.judge("the hook is gone\n    # does not count: QEMU failed by itself; again\n"
                                    "    # late")[0], ["one fails, but does not say /the hook is (gone|lost)/"])

    def test_words_of_another_list(self):
        row = controls.parse(ROW.replace("list: one", "list: one two"), "x.control")[0]
        problems, words = negative.judge(row, "# running one\n# the hook is gone\nnot ok 1 one\n"
                                         "# running two\n# something\nnot ok 2 two\n")
        self.assertEqual(problems, ["two fails, but does not say /the hook is (gone|lost)/"])
        self.assertEqual(words, ["one: the hook is gone"])


class Running(toy.Toy):
    """With a toy kernel, whose runner of selftests looks whether the hook is there."""

    def setUp(self):
        super().setUp()
        self.build = os.path.join(self.root, "build")
        self.says = "the hook is gone"
        toy.put(os.path.join(self.build, "out-lu/drivers/.core.o.cmd"),
                "savedcmd := gcc %s/linux/drivers/core.c -I%s/linux -I%s/linux-old\n" % ((self.build,) * 3))
        self.selftests()

    def selftests(self):
        place = os.path.join(self.build, "linux", negative.LU)
        toy.put(os.path.join(place, "vmtest.sh"), VMTEST.replace("@SAYS@", self.says), 0o755)
        toy.put(os.path.join(place, "tests/one.list"), "")

    def whole(self):
        return {p: self.read("build/linux/" + p) for p in ("drivers/core.c", "drivers/other.c")}

    def negative(self, *rows, unbroken=True):
        self.selftests()
        found = []
        for text in rows or [ROW]:
            found += controls.parse(text, "x.control")
        runner = negative.Runner(negative.Copy(self.build), 2)
        out = io.StringIO()
        before = self.git().text("status", "--porcelain", "drivers")
        with contextlib.redirect_stdout(out):
            try:
                status = negative.run(runner, found, unbroken)
                self.copy = {p: runner.copy.read(p) for p in self.whole()}
                with open(os.path.join(runner.copy.out, "drivers/.core.o.cmd"), encoding="utf-8") as file:
                    self.notes = file.read()
            finally:
                runner.copy.remove()
        self.assertEqual(self.git().text("status", "--porcelain", "drivers"), before)
        self.assertFalse(os.path.exists(runner.copy.home))
        return status, out.getvalue()

    def test_all_is_well(self):
        status, said = self.negative()
        self.assertEqual(status, 0, said)
        self.assertIn("1..2\n", said)
        self.assertRegex(said, r"ok 1 negative.unbroken.one # passes\n(#.*\n)+ok 2 negative.hook # \d+ s; "
                               "one: the hook is gone\n")
        self.assertEqual(self.copy, self.whole())
        build = re.escape(self.build)
        self.assertRegex(self.notes, "gcc {0}/negative/linux/drivers/core.c -I{0}/negative/linux -I{0}/linux-old\n"
                         .format(build))

    def test_wrong_reason(self):
        self.says = "the house is on fire"
        status, said = self.negative()
        self.assertEqual(status, 1)
        self.assertIn("not ok 2 negative.hook", said)

    def test_a_list_that_passes_without_the_hook(self):
        status, said = self.negative(ROW.replace("+line four", "+line 4, but otherwise"))
        self.assertEqual(status, 1)
        self.assertRegex(said, r"# one passes without it\nnot ok 2 negative.hook")

    def test_a_list_that_fails_with_the_hook(self):
        path = os.path.join(self.build, "linux/drivers/core.c")
        toy.put(path, toy.NUMBERED.replace("line 9\n", "line four, in another place\n"))
        status, said = self.negative()
        self.assertEqual(status, 1)
        self.assertRegex(said, r"not ok 1 negative.unbroken.one # fails\n")
        self.assertRegex(said, r"# nothing is proven by one\nnot ok 2 negative.hook")

    def test_one_row_does_not_hurt_the_next(self):
        gone = ROW.replace("line 4", "line 44").replace("line 3", "line 43").replace("line 5", "line 45")
        other = gone.replace("[hook]", "[other]").replace("drivers/core.c", "drivers/other.c")
        broken = other.replace("[other]", "[third]").replace("+line four", "+CONFIG")
        status, said = self.negative(gone, other, broken, ROW.replace("[hook]", "[last]"), unbroken=False)
        self.assertEqual(status, 1)
        self.assertRegex(said, r"(?m)^ok 1 negative.hook")
        self.assertRegex(said, r"(?m)^# one passes without it\nnot ok 2 negative.other")
        self.assertRegex(said, r"(?m)^# cannot build kernel, see kernel.log\nnot ok 3 negative.third")
        self.assertRegex(said, r"(?m)^ok 4 negative.last")
        self.assertEqual(self.copy, self.whole())

    def test_only_copies_are_written_to(self):
        one = negative.Copy(self.build)
        one.make(["drivers/core.c"])
        self.assertTrue(os.path.islink(os.path.join(one.tree, "include")))
        self.assertFalse(os.path.exists(os.path.join(one.tree, ".git")))
        whole = self.read("build/linux/include/iommu.h")
        with self.assertRaisesRegex(Stop, "include/iommu.h is not a copy"):
            one.write("include/iommu.h", "")
        self.assertEqual(self.read("build/linux/include/iommu.h"), whole)
        one.remove()

    def test_interrupted(self):
        self.selftests()
        toy.put(os.path.join(self.build, "linux/slow"), "")
        toy.put(os.path.join(self.root, "tools/series/negative/x.control"), ROW)
        code = ("import sys; sys.path.insert(0, %r); import negative; negative.ROOT = %r; "
                "negative.HERE = %r; sys.argv = ['x']; sys.exit(negative.main())"
                % (HERE, self.root, os.path.join(self.root, "tools/series")))
        for number in (signal.SIGINT, signal.SIGTERM):
            child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                     text=True, start_new_session=True,
                                     # A shell's background job ignores it, and hands that down.
                                     preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
                                     env=dict(os.environ, BUILD=self.build, CC="gcc", HOSTCC="gcc"))
            said = []
            for line in child.stdout:
                said.append(line)
                if "running one" in line:
                    os.killpg(child.pid, number)
            self.assertEqual(child.wait(20), 130, said)
            self.assertIn("# interrupted\n", said)
            self.assertFalse(os.path.exists(os.path.join(self.build, "negative")))
            # Nobody of the group is left.
            end = time.monotonic() + 5
            while time.monotonic() < end:
                try:
                    os.killpg(child.pid, 0)
                    time.sleep(0.1)
                except ProcessLookupError:
                    break
            else:
                self.fail("something still runs")


if __name__ == "__main__":
    toy.main("__main__", "negative")
