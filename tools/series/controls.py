# SPDX-License-Identifier: GPL-2.0
"""The rows of negative/*.control: which text to replace, and what must fail then.

A row is

  [name]
  promise: what holds in the kernel as it is and not without the hook, one sentence
  list: lists of the selftests that must fail, separated by spaces
  reason: a regular expression; what fails has to say it
  not: a regular expression that it must not say (may be left out)
  --- path of a file of the kernel tree
  -a line to take away
  +a line to put there
   a line that stays

with as many files as it takes, and as many places in a file, each after its own "---". The
lines that are taken away and that stay, together, must be in the file exactly once. An
empty line ends a place; "#" begins a comment outside of one.
"""

import os
import re

from gitio import Stop

KEYS = ("promise", "list", "reason", "not")
HEAD = re.compile(r"^\[([a-z0-9-]+)\]$")
FIELD = re.compile(r"^(%s): (\S.*)$" % "|".join(KEYS))


class Row:
    def __init__(self, name, where):
        self.name, self.where = name, where
        self.fields = {}
        self.places = []        # [path, lines of a diff without numbers]

    promise = property(lambda self: self.fields["promise"])
    lists = property(lambda self: self.fields["list"].split())
    reason = property(lambda self: self.fields["reason"])
    wrong = property(lambda self: self.fields.get("not", ""))

    def problem(self):
        """What makes it no row, or None."""
        lacking = [k for k in KEYS[:3] if k not in self.fields]
        if lacking:
            return "it has no " + " and no ".join(lacking)
        for key in ("reason", "not"):
            try:
                if re.search(self.fields.get(key, "x"), ""):
                    return "%s: matches anything" % key
            except re.error as error:
                return "%s: %s" % (key, error)
        if not self.places:
            return "it changes nothing"
        for path, lines in self.places:
            if not any(l[0] in "- " for l in lines):
                return "%s: no text that has to be there" % path
            if before(lines) == after(lines):
                return "%s: the text stays as it is" % path
        return None


def before(lines):
    return "".join(l[1:] + "\n" for l in lines if l[0] in "- ")


def after(lines):
    return "".join(l[1:] + "\n" for l in lines if l[0] in "+ ")


def parse(text, where):
    """The rows of one file."""
    rows, place = [], None
    for number, line in enumerate(text.split("\n"), 1):
        head, field = HEAD.match(line), FIELD.match(line)
        if place is not None and line[:1] in ("-", "+", " ") and not line.startswith("--- "):
            place.append(line)
            continue
        if place is not None and not line:
            place = None
        if not line or line.startswith("#"):
            continue
        if head:
            rows.append(Row(head.group(1), where))
            place = None
        elif rows and field and not rows[-1].places and field.group(1) not in rows[-1].fields:
            rows[-1].fields[field.group(1)] = field.group(2)
        elif rows and line.startswith("--- "):
            place = []
            rows[-1].places.append((line[4:].strip(), place))
        else:
            raise Stop("%s:%d: not a line of a row: %r" % (where, number, line))
    return rows


def read(folder):
    """All rows, in the order of the files' names."""
    rows = []
    for name in sorted(os.listdir(folder)):
        if name.endswith(".control"):
            with open(os.path.join(folder, name), encoding="utf-8") as file:
                rows += parse(file.read(), name)
    names = [r.name for r in rows]
    for row in rows:
        if names.count(row.name) > 1:
            raise Stop("%s: there are two rows %s" % (row.where, row.name))
        if row.problem():
            raise Stop("%s: row %s: %s" % (row.where, row.name, row.problem()))
    return rows


def pick(rows, names):
    """The rows with these names, in this order, or all in the order of the table."""
    known = {r.name: r for r in rows}
    unknown = [n for n in names if n not in known]
    if unknown:
        raise Stop("no row %s, there are %s" % (" ".join(unknown), " ".join(known)))
    return [known[n] for n in names] or rows


def broken(row, read_file):
    """{path: text without the hook}. read_file: what gives the text of a path."""
    found = {}
    for path, lines in row.places:
        text, old = found.get(path) or read_file(path), before(lines)
        # Whole lines only.
        count = ("\n" + text).count("\n" + old)
        if count != 1:
            raise Stop("row %s: %s has the text %s: %r" % (row.name, path, "%d times" % count if count
                                                           else "not at all", old.split("\n")[0]))
        found[path] = ("\n" + text).replace("\n" + old, "\n" + after(lines))[1:]
    return found


def check(rows, kernel, selftests):
    """Each text is in the tree as it is, and each list is there, before anything is built."""
    def read_file(path):
        try:
            with open(os.path.join(kernel, path), encoding="utf-8") as file:
                return file.read()
        except OSError as error:
            raise Stop("%s: %s" % (path, error.strerror)) from None
    for row in rows:
        for name in row.lists:
            if not os.path.exists(os.path.join(kernel, selftests, "tests", name + ".list")):
                raise Stop("row %s: no list %s" % (row.name, name))
        broken(row, read_file)
