# SPDX-License-Identifier: GPL-2.0
"""Read KTAP and judge it strictly.

tools/testing/kunit/kunit_parser.py is made to show people what a kernel log
holds: it takes a document without a plan, ignores results beyond the plan and
counts every skip as good. Here each of these is a failure, because each is what
a test that broke half-way looks like.
"""

import os
import re

HEADER = re.compile(r"^K?TAP version \d+$")
PLAN = re.compile(r"^1\.\.(\d+)(?: # SKIP ?(.*))?$")
RESULT = re.compile(r"^(ok|not ok) (\d+)(?: -)?(?: (.*?))?(?: ?# (.*))?$")
SUBTEST = re.compile(r"^# Subtest: (.*)$")
BAIL_OUT = re.compile(r"^Bail out! *(.*)$")
INDENT = 4


class Result:
    """One result line and the document nested before it."""

    def __init__(self, good, number, name, directive, inner):
        self.good = good
        self.number = number
        self.name = name
        self.directive = directive
        self.inner = inner

    def skipped(self):
        return self.good and self.directive.upper().startswith("SKIP")


class Document:
    """The lines of one level: plan, results, and what is wrong with them."""

    def __init__(self):
        self.header = False
        self.plan = None
        self.skip_all = None
        self.bailed_out = False
        self.results = []
        self.errors = []

    def started(self):
        """Whether there was any KTAP at all."""
        return self.header or self.plan is not None or bool(self.results) or self.bailed_out

    def check(self, plan_needed):
        numbers = [result.number for result in self.results]
        for place, number in enumerate(numbers, 1):
            if number != place:
                self.errors.append("result %d is numbered %d" % (place, number))
                break
        if self.plan is None:
            if plan_needed:
                self.errors.append("no plan")
        elif len(numbers) != self.plan:
            self.errors.append("%d results, but %d planned" % (len(numbers), self.plan))

    def leaves(self, path=""):
        """(path, Result) of every result that has no results below it."""
        for result in self.results:
            name = path + "/" + result.name if path else result.name
            if result.inner and result.inner.results:
                yield from result.inner.leaves(name)
            else:
                yield name, result

    def failures(self, path=""):
        """What failed or is malformed here and below."""
        for error in self.errors:
            yield "%s: %s" % (path, error) if path else error
        for result in self.results:
            name = path + "/" + result.name if path else result.name
            below = list(result.inner.failures(name)) if result.inner else []
            yield from below
            if not result.good and not below:
                yield "%s: not ok%s" % (name, ", " + result.directive if result.directive else "")


def depth_of(line):
    return (len(line) - len(line.lstrip(" "))) // INDENT


def parse_level(lines, place, depth):
    """Read one document from lines[place:]; (Document, place after it)."""
    document = Document()
    inner = None
    while place < len(lines):
        line = lines[place]
        text = line.strip()
        known = HEADER.match(text) or PLAN.match(text) or RESULT.match(text)
        if known and depth_of(line) > depth:
            inner, place = parse_level(lines, place, depth + 1)
            continue
        if known and depth_of(line) < depth:
            break
        place += 1
        if HEADER.match(text):
            if document.header:
                document.errors.append("a second document starts")
            document.header = True
        elif PLAN.match(text):
            if document.plan is not None:
                document.errors.append("a second plan")
            document.plan = int(PLAN.match(text).group(1))
            document.skip_all = PLAN.match(text).group(2)
        elif RESULT.match(text):
            verdict, number, name, directive = RESULT.match(text).groups()
            document.results.append(Result(verdict == "ok", int(number), name or "",
                                           directive or "", inner))
            inner = None
        elif BAIL_OUT.match(text):
            document.bailed_out = True
            document.errors.append("bailed out: " + BAIL_OUT.match(text).group(1))
    if inner is not None:
        document.errors.append("nested results without a result of their own")
    # KUnit does not know the number of parameters of a case beforehand.
    document.check(plan_needed=depth < 2)
    return document, place


def parse(lines):
    """The Document that lines hold; other lines between its own are ignored."""
    return parse_level(lines, 0, 0)[0]


class TestVerdict:
    """One test of a list, with the results inside of it."""

    def __init__(self, name, result, runs):
        self.name = name
        self.failures = []
        self.passed = []
        self.skipped = {}
        for run in runs:
            self.add_run(run)
        if not result.good:
            self.failures.append(result.directive or "not ok")
        elif result.skipped():
            self.skipped.setdefault(name, result.directive)
        elif not (self.passed or self.skipped or self.failures):
            self.passed.append(name)

    def add_run(self, lines):
        document = parse(lines)
        if not document.started():
            # A test without KTAP of its own is judged by its exit code.
            return
        if document.skip_all is not None and not document.results:
            self.skipped[self.name] = document.skip_all
            return
        self.failures += document.failures()
        for path, result in document.leaves(self.name):
            if result.skipped():
                self.skipped[path] = result.directive
            elif result.good:
                self.passed.append(path)

    def apply_skips(self, expected):
        """Fail for each skip that is not expected."""
        for path, reason in self.skipped.items():
            if path not in expected:
                self.failures.append("unexpected skip: %s (%s)" % (path, reason))


class Verdict:
    """What a whole report says."""

    def __init__(self):
        self.tests = []
        self.failures = []
        self.notes = []

    def good(self):
        return not self.failures and not any(test.failures for test in self.tests)


def read_reasons(path):
    """{test: reason} of a file of "test # reason" lines; {} if there is none."""
    reasons = {}
    if not os.path.exists(path):
        return reasons
    with open(path, encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            line = line.strip()
            if not line or line.startswith("#"):
                continue
            name, separator, reason = line.partition(" # ")
            if not separator or not reason.strip():
                raise ValueError("%s:%d: not 'test # reason'" % (path, number))
            reasons[name.strip()] = reason.strip()
    return reasons


def judge(report, names, skips=None):
    """Judge the lines of a report channel.

    report: lines as init wrote them, names: the tests of the list in order,
    skips: {test: reason} of the expected skips.
    """
    skips = skips or {}
    verdict = Verdict()
    runs = []
    outer = []
    done = False
    # The runs of a test stand before its result.
    collected = []
    for line in report:
        if line.startswith("init: start "):
            runs.append([])
        elif line == "init: done":
            done = True
        elif line.startswith("#"):
            if runs:
                runs[-1].append(line[2:])
        elif RESULT.match(line):
            collected.append(runs)
            runs = []
            outer.append(line)
        else:
            outer.append(line)

    document = parse(outer)
    if not document.header:
        verdict.failures.append("no KTAP header")
    verdict.failures += document.errors
    if document.plan is not None and document.plan != len(names):
        verdict.failures.append("%d tests planned, but %d in the list"
                                % (document.plan, len(names)))
    for result, result_runs in zip(document.results, collected):
        verdict.tests.append(TestVerdict(result.name, result, result_runs))
    if not done:
        verdict.failures.append("the guest did not come to its end")

    seen = [test.name for test in verdict.tests]
    for name, place in zip(names, range(len(names))):
        if place >= len(seen):
            verdict.failures.append("%s: no result" % name)
        elif seen[place] != name:
            verdict.failures.append("%s: result of %s in its place" % (name, seen[place]))
    for test in verdict.tests:
        test.apply_skips(skips)
    skipped = {path for test in verdict.tests for path in test.skipped}
    verdict.notes += ["expected to be skipped, but was not: " + name
                      for name in sorted(set(skips) - skipped)]
    return verdict
