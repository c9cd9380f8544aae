# SPDX-License-Identifier: GPL-2.0
"""Reads KTAP, nested to any depth, and gives the single results."""

import re

LINE = re.compile(r"^( *)(ok|not ok) (\d+)(?: -)?(?: ([^#]*?))?(?:\s*# ?(.*))?$")
# What the runner of the selftests says of a program that gave results of its own.
INNER = re.compile(r"^pass:(\d+) fail:(\d+) skip:(\d+)$")
PLAN = re.compile(r"^( *)1\.\.(\d+)(?:\s*#.*)?$")


class One:
    """A single result; depth is the indentation of the line that it was last named by.

    notes are the lines of diagnosis before it, since the result before.
    """

    def __init__(self, name, status, reason, depth, notes=()):
        self.name, self.status, self.reason, self.depth = name, status, reason, depth
        self.notes = list(notes)


class Reader:
    def __init__(self):
        self.out = []
        self.levels = {}        # indentation -> [planned tests or None, tests seen]
        self.notes = []

    def close(self, above):
        """End every document indented deeper; one that kept not its plan has failed."""
        for depth in sorted(d for d in self.levels if d > above):
            planned, seen = self.levels.pop(depth)
            if planned is not None and seen != planned:
                self.out.append(One("plan of %d tests, %d results" % (planned, seen), "fail", "", depth))

    def result(self, depth, failed, name, comment):
        """A test that has tests inside counts by those, unless it alone failed."""
        self.close(depth)
        self.levels.setdefault(depth, [None, 0])[1] += 1
        inside = [o for o in self.out if o.depth > depth]
        for one in inside:
            one.name, one.depth = name + "." + one.name, depth
        inner = INNER.match(comment)
        if inner and not inside:
            return self.inner(depth, failed, name, [int(n) for n in inner.groups()])
        skip = comment.upper().startswith("SKIP")
        status = "fail" if failed else "skip" if skip else "pass"
        if not inside or (failed and not any(o.status == "fail" for o in inside)):
            reason = comment[4:].strip() if skip else comment
            self.out.append(One(name, status, reason, depth, self.notes))

    def inner(self, depth, failed, name, numbers):
        """A program's own results, each counted."""
        ones = []
        for count, status, reason in zip(numbers, ("pass", "fail", "skip"),
                                         ("", "inside", "expected, named in skips/")):
            ones += [One(name, status, reason, depth) for _ in range(count)]
        if failed and not numbers[1]:
            ones.append(One(name, "fail", "", depth))
        # Once is enough for all of them.
        for one in [o for o in ones if o.status == "fail"][:1]:
            one.notes = self.notes
        self.out += ones or [One(name, "pass", "", depth)]

    def line(self, text):
        plan, match = PLAN.match(text), LINE.match(text)
        if plan:
            depth = len(plan.group(1))
            self.close(depth - 1)
            self.levels[depth] = [int(plan.group(2)), 0]
        elif match:
            self.result(len(match.group(1)), match.group(2) == "not ok",
                        (match.group(4) or "").strip() or match.group(3), match.group(5) or "")
            self.notes = []
        elif text.lstrip().startswith("Bail out!"):
            self.out.append(One(text.strip(), "fail", "", 0, self.notes))
        elif text.lstrip().startswith("# "):
            self.notes.append(text.strip())


def parse(lines):
    reader = Reader()
    for text in lines:
        reader.line(text.rstrip("\n"))
    reader.close(-1)
    return reader.out


def counts(ones):
    return tuple(sum(1 for o in ones if o.status == s) for s in ("pass", "fail", "skip"))
