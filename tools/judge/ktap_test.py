#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""The judge of KTAP fails every kind of broken report, and passes a good one."""

import os
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../testing/selftests/liveupdate/iommu"))

import ktap  # pylint: disable=wrong-import-position

GOOD = """init: stage 1
KTAP version 1
1..2
init: start one stage 1
# TAP version 13
# 1..3
# # Starting 3 tests
# ok 1 fixture.alpha
# some output
# ok 2 fixture.beta # SKIP no such thing here
# ok 3 - fixture.gamma
ok 1 one
init: start two stage 1
# going to kexec
init: kexec
init: stage 2
init: start two stage 2
# all is there
ok 2 two
init: done
"""
SKIPS = {"one/fixture.beta": "a reason"}

KUNIT = """init: stage 1
KTAP version 1
1..1
init: start kunit stage 1
# KTAP version 1
# 1..2
#     KTAP version 1
#     # Subtest: first
#     1..2
#         KTAP version 1
#         # Subtest: with_parameters
#         ok 1 small
#         ok 2 large # SKIP too large
#     # with_parameters: pass:1 fail:0 skip:1 total:2
#     ok 1 with_parameters
#     ok 2 plain
# # first: pass:2 fail:0 skip:0 total:2
# ok 1 first
#     KTAP version 1
#     # Subtest: second
#     1..1
#     ok 1 only
# ok 2 second
ok 1 kunit
init: done
"""
KUNIT_SKIPS = {"kunit/first/with_parameters/large": "a reason"}


def judge(text, names=("one", "two"), skips=None):
    return ktap.judge(text.splitlines(), list(names), SKIPS if skips is None else skips)


def all_failures(verdict):
    return verdict.failures + [failure for test in verdict.tests for failure in test.failures]


class Flat(unittest.TestCase):
    """A list of two tests, the second one with a kexec."""

    def fails(self, text, word, **kwargs):
        verdict = judge(text, **kwargs)
        self.assertFalse(verdict.good())
        self.assertTrue(any(word in failure for failure in all_failures(verdict)),
                        "%r not in %s" % (word, all_failures(verdict)))

    def test_good(self):
        verdict = judge(GOOD)
        self.assertEqual(all_failures(verdict), [])
        self.assertTrue(verdict.good())
        self.assertEqual(verdict.tests[0].passed, ["one/fixture.alpha", "one/fixture.gamma"])
        self.assertEqual(list(verdict.tests[0].skipped), ["one/fixture.beta"])
        self.assertEqual(verdict.tests[1].passed, ["two"])
        self.assertEqual(verdict.notes, [])

    def test_nothing_at_all(self):
        self.fails("", "no KTAP header")
        self.fails("", "no plan")
        self.fails("", "one: no result")

    def test_no_header(self):
        self.fails(GOOD.replace("\nKTAP version 1", ""), "no KTAP header")

    def test_no_plan(self):
        self.fails(GOOD.replace("\n1..2", ""), "no plan")

    def test_plan_of_another_list(self):
        self.fails(GOOD.replace("\n1..2", "\n1..3"), "2 results, but 3 planned")
        self.fails(GOOD, "2 tests planned, but 3 in the list", names=("one", "two", "three"))
        self.fails(GOOD, "three: result of two in its place", names=("one", "three"))

    def test_too_few_results(self):
        self.fails(GOOD.replace("\nok 2 two", ""), "1 results, but 2 planned")
        self.fails(GOOD.replace("\nok 2 two", ""), "two: no result")

    def test_too_many_results(self):
        self.fails(GOOD.replace("\nok 2 two", "\nok 2 two\nok 3 three"), "3 results, but 2")

    def test_wrong_number(self):
        self.fails(GOOD.replace("\nok 2 two", "\nok 3 two"), "result 2 is numbered 3")

    def test_not_ok(self):
        self.fails(GOOD.replace("\nok 2 two", "\nnot ok 2 two # exit status 1"), "exit status 1")

    def test_guest_ended_early(self):
        self.fails(GOOD.replace("init: done", ""), "did not come to its end")

    def test_bail_out(self):
        self.fails(GOOD.replace("\nok 2 two", "\nBail out! no list"), "bailed out: no list")

    def test_skip_of_the_whole_test(self):
        text = GOOD.replace("\nok 2 two", "\nok 2 two # SKIP the test skipped itself")
        self.fails(text, "unexpected skip: two")
        self.assertTrue(judge(text, skips=dict(SKIPS, two="a reason")).good())

    def test_unexpected_skip(self):
        self.fails(GOOD, "unexpected skip: one/fixture.beta (SKIP no such thing here)", skips={})

    def test_expected_skip_that_passes_is_told(self):
        verdict = judge(GOOD, skips=dict(SKIPS, **{"one/fixture.alpha": "a reason"}))
        self.assertTrue(verdict.good())
        self.assertEqual(verdict.notes, ["expected to be skipped, but was not: one/fixture.alpha"])


class Inner(unittest.TestCase):
    """What a test prints counts, whatever its exit code says."""

    def fails(self, old, new, word):
        self.assertIn(old, GOOD)
        verdict = judge(GOOD.replace(old, new))
        self.assertFalse(verdict.good())
        self.assertTrue(any(word in failure for failure in verdict.tests[0].failures),
                        verdict.tests[0].failures)

    def test_no_plan(self):
        self.fails("# 1..3\n", "", "no plan")

    def test_too_few_results(self):
        self.fails("# ok 3 - fixture.gamma\n", "", "2 results, but 3 planned")

    def test_too_many_results(self):
        self.fails("# 1..3\n", "# 1..2\n", "3 results, but 2 planned")

    def test_not_ok(self):
        self.fails("# ok 1 fixture.alpha", "# not ok 1 fixture.alpha # boom",
                   "fixture.alpha: not ok, boom")

    def test_result_torn(self):
        self.fails("# ok 1 fixture.alpha", "# o", "result 1 is numbered 2")

    def test_bail_out_without_ktap(self):
        verdict = judge(GOOD.replace("# all is there", "# Bail out! lost"))
        self.assertIn("bailed out: lost", verdict.tests[1].failures)

    def test_all_skipped(self):
        text = GOOD.replace("# all is there", "# 1..0 # SKIP no device")
        self.assertIn("unexpected skip: two (no device)", judge(text).tests[1].failures)


class Nested(unittest.TestCase):
    """Documents in documents, as KUnit writes them."""

    def judge(self, text, skips=None):
        return judge(text, ("kunit",), KUNIT_SKIPS if skips is None else skips)

    def test_good(self):
        verdict = self.judge(KUNIT)
        self.assertEqual(all_failures(verdict), [])
        self.assertEqual(verdict.tests[0].passed,
                         ["kunit/first/with_parameters/small", "kunit/first/plain",
                          "kunit/second/only"])

    def test_skip_deep_inside(self):
        self.assertFalse(self.judge(KUNIT, skips={}).good())

    def test_failure_deep_inside(self):
        verdict = self.judge(KUNIT.replace("ok 1 small", "not ok 1 small"))
        self.assertIn("first/with_parameters/small: not ok", verdict.tests[0].failures)

    def test_suite_cut_short(self):
        verdict = self.judge(KUNIT.replace("#     ok 2 plain\n", ""))
        self.assertIn("first: 1 results, but 2 planned", verdict.tests[0].failures)

    def test_suite_without_plan(self):
        verdict = self.judge(KUNIT.replace("#     1..2\n", ""))
        self.assertIn("first: no plan", verdict.tests[0].failures)

    def test_suite_without_result(self):
        verdict = self.judge(KUNIT.replace("# ok 2 second\n", ""))
        self.assertIn("nested results without a result of their own", verdict.tests[0].failures)


class Skips(unittest.TestCase):
    """Files of expected skips."""

    def read(self, text):
        with tempfile.NamedTemporaryFile("w", suffix=".skips") as skips:
            skips.write(text)
            skips.flush()
            return ktap.read_reasons(skips.name)

    def test_good(self):
        self.assertEqual(self.read("# comment\n\na/b # why\n"), {"a/b": "why"})

    def test_no_file(self):
        self.assertEqual(ktap.read_reasons("/nonexistent/file"), {})

    def test_no_reason(self):
        for text in ("a/b\n", "a/b # \n", "a/b #\n"):
            with self.assertRaises(ValueError):
                self.read(text)


if __name__ == "__main__":
    unittest.main()
