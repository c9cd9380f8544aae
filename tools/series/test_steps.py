#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""What reads results and counts them: nothing that broke may get lost."""

import os
import subprocess
import sys
import tempfile
import unittest

import ci
import kunit
import results
import toy
import walk

HERE = os.path.dirname(os.path.abspath(__file__))
NESTED = """KTAP version 1
1..2
    KTAP version 1
    1..2
    ok 1 first
    ok 2 second # SKIP no device
ok 1 list
# a comment
not ok 2 alone
"""


def status(text):
    return [(o.name, o.status) for o in results.parse(text.split("\n"))]


class Results(unittest.TestCase):
    def test_leaves_are_counted(self):
        self.assertEqual(status(NESTED), [("list.first", "pass"), ("list.second", "skip"), ("alone", "fail")])
        self.assertEqual(results.counts(results.parse(NESTED.split("\n"))), (1, 1, 1))

    def test_parent_that_fails_alone(self):
        text = NESTED.replace("ok 1 list", "not ok 1 list")
        self.assertIn(("list", "fail"), status(text))
        self.assertIn(("list.first", "pass"), status(text))

    def test_parent_that_fails_with_a_child_counts_once(self):
        text = NESTED.replace("ok 1 list", "not ok 1 list").replace("    ok 1 first", "    not ok 1 first")
        self.assertEqual([s for _, s in status(text)].count("fail"), 2)

    def test_missing_result(self):
        self.assertIn(("list.plan of 2 tests, 1 results", "fail"),
                      status(NESTED.replace("    ok 2 second # SKIP no device\n", "")))
        self.assertIn(("plan of 2 tests, 1 results", "fail"), status(NESTED.replace("not ok 2 alone\n", "")))

    def test_two_documents(self):
        text = "KTAP version 1\n1..1\nok 1 a\nKTAP version 1\n1..1\nok 1 b\n"
        self.assertEqual(status(text), [("a", "pass"), ("b", "pass")])

    def test_results_inside_a_program(self):
        def inner(line):
            return results.counts(results.parse(["1..1", line]))
        self.assertEqual(inner("ok 1 liveupdate # pass:15 fail:0 skip:2"), (15, 0, 2))
        self.assertEqual(inner("not ok 1 liveupdate # pass:15 fail:2 skip:0"), (15, 2, 0))
        self.assertEqual(inner("not ok 1 liveupdate # pass:15 fail:0 skip:0"), (15, 1, 0))
        self.assertEqual(inner("ok 1 liveupdate # pass:0 fail:0 skip:0"), (1, 0, 0))

    def test_bail_out(self):
        self.assertEqual(status("1..1\nBail out! no kernel\n")[0][1], "fail")


class KUnit(unittest.TestCase):
    BASELINE = {"suite.one": None, "suite.two": "no device"}
    OUTPUT = "KTAP version 1\n1..1\n    KTAP version 1\n    1..2\n    ok 1 one\n" \
             "    ok 2 two # SKIP no device\nok 1 suite\n"

    def judge(self, text):
        return {n: (s, t) for n, s, t in kunit.judge(text.split("\n"), self.BASELINE)}

    def test_as_recorded(self):
        self.assertEqual(self.judge(self.OUTPUT), {"suite.one": ("pass", ""), "suite.two": ("skip", "no device")})

    def test_unexpected_skip(self):
        got = self.judge(self.OUTPUT.replace("ok 1 one", "ok 1 one # SKIP tired"))
        self.assertEqual(got["suite.one"], ("fail", "unexpected skip: tired"))

    def test_skip_for_another_reason(self):
        got = self.judge(self.OUTPUT.replace("no device", "tired"))
        self.assertEqual(got["suite.two"][0], "fail")

    def test_missing_test(self):
        got = self.judge(self.OUTPUT.replace("    ok 1 one\n", "").replace("1..2", "1..1"))
        self.assertEqual(got["suite.one"], ("fail", "it is in the baseline but did not run"))

    def test_failed_test(self):
        self.assertEqual(self.judge(self.OUTPUT.replace("ok 1 one", "not ok 1 one"))["suite.one"][0], "fail")

    def test_no_output_at_all(self):
        self.assertEqual([s for s, _ in self.judge("").values()], ["fail", "fail"])

    def test_the_recorded_baseline(self):
        found = kunit.expected(kunit.EXPECT)
        self.assertGreaterEqual(len(found), 223)
        self.assertEqual(sum(1 for r in found.values() if r), 13)


class Walking(unittest.TestCase):
    OUTPUT = ("/k/build/linux/include/linux/liveupdate.h:12:3: warning: no type 7\n"
              "../linux/mm/memfd.c:9: warning: symbol 'x' was not declared. Should it be static?\n"
              "mm/memfd.c:5:1: error: context imbalance\n"
              "../linux/mm/shmem.c:9:1: warning: of a file that is not ours\n"
              "make[3]: something else\n")

    def test_warnings_of_touched_files(self):
        found = walk.count_warnings(self.OUTPUT, "/k/build/linux", {"mm/memfd.c", "include/linux/liveupdate.h"})
        self.assertEqual(sorted(found), [
            ("include/linux/liveupdate.h", "no type N"), ("mm/memfd.c", "context imbalance"),
            ("mm/memfd.c", "symbol 'x' was not declared. Should it be static?")])

    def test_only_module_lines_may_confuse_old_sparse(self):
        with tempfile.TemporaryDirectory(prefix="series-steps-") as folder:
            toy.put(os.path.join(folder, "mm/a.c"), "MODULE_LICENSE(\"GPL\");\nstatic_assert(f());\n")
            text = "mm/a.c:1:1: error: bad constant expression\nmm/a.c:2:1: error: bad constant expression\n"
            self.assertEqual(walk.count_warnings(text, folder, {"mm/a.c"}),
                             {("mm/a.c", "bad constant expression"): 1})

    def test_errors_are_never_empty_on_failure(self):
        self.assertEqual(walk.errors(0, "error: ignored"), [])
        self.assertEqual(walk.errors(2, "quiet"), ["make failed with status 2"])
        self.assertEqual(walk.errors(2, "x\na.c:1: error: no\n"), ["a.c:1: error: no"])

    def test_what_is_built(self):
        self.assertEqual(walk.kernel_paths(["MAINTAINERS", "tools/a.c", "mm/a.h"]), ["mm/a.h"])
        self.assertEqual(walk.sources(["tools/a.c", "mm/a.h", "mm/a.c"]), ["mm/a.c"])


class Counting(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="series-steps-")
        self.log = os.path.join(self.folder.name, "x.log")

    def tearDown(self):
        self.folder.cleanup()

    def count(self, text, code, ktap=True):
        toy.put(self.log, text)
        return results.counts(ci.judge("x", self.log, code, ktap))

    def test_step_without_results_of_its_own(self):
        self.assertEqual(self.count("noise\n", 0, ktap=False), (1, 0, 0))
        self.assertEqual(self.count("noise\n", 2, ktap=False), (0, 1, 0))

    def test_step_with_results(self):
        self.assertEqual(self.count("1..2\nok 1 a\nok 2 b\n", 0), (2, 0, 0))
        self.assertEqual(self.count("1..2\nok 1 a\nnot ok 2 b\n", 1), (1, 1, 0))

    def test_step_that_broke_is_not_lost(self):
        self.assertEqual(self.count("1..2\nok 1 a\nok 2 b\n", 1), (2, 1, 0))
        self.assertEqual(self.count("Traceback\n", 1), (0, 1, 0))
        self.assertEqual(self.count("", 0), (0, 1, 0))

    def test_failed_result_with_status_zero(self):
        self.assertEqual(self.count("1..1\nnot ok 1 a\n", 0), (0, 1, 0))

    def test_no_log(self):
        self.assertEqual(results.counts(ci.judge("x", self.log, 0, True)), (0, 1, 0))

    def test_last_line(self):
        self.assertEqual(ci.summary(3, 0, 0), "3 passed, 0 failed")
        self.assertEqual(ci.summary(3, 1, 2), "3 passed, 1 failed, 2 skipped")

    def step(self, *command, **env):
        done = subprocess.run([sys.executable, os.path.join(HERE, "step.py")] + list(command),
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              env=dict(os.environ, LOGS=self.folder.name, **env))
        return done.returncode, done.stdout

    def test_step_shows_what_matters(self):
        code, out = self.step("--quiet", "x", "what", "--", "sh", "-c",
                              "seq 1 3000; echo 'a.c:1: error: no'; seq 1 50; exit 3", V="0")
        self.assertEqual(code, 3)
        self.assertIn("a.c:1: error: no", out)
        self.assertIn("the full log is", out)
        self.assertNotIn("\n2999\n", out)
        with open(self.log, encoding="utf-8") as file:
            self.assertIn("2999", file.read())

    def test_step_verbose_prints_the_command(self):
        code, out = self.step("--quiet", "x", "what", "--", "echo", "hello", V="1")
        self.assertEqual(code, 0)
        self.assertIn("+ echo hello\nhello", out)


if __name__ == "__main__":
    toy.main(__name__, "steps")
