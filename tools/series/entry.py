# SPDX-License-Identifier: GPL-2.0
"""One entry of patches/: its text, its hunks, and the files that it claims."""

import email.utils
import os
import re

from gitio import Stop

HUNK = re.compile(r"^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@(.*)$")
CLAIM = re.compile(r"^ create mode (100644|100755) (\S+)$")
SHARED = re.compile(r"^ shared (\S+): (\S.*)$")
SPLICE = " splice MAINTAINERS"
# Files of the repository that are not kernel files, although some carry a kernel file's name.
OWN = {"README.md", "Makefile", "Kconfig", "MAINTAINERS", "COPYING", ".b4-config", ".gitignore"}
OWN_DIRS = {"LICENSES", "patches", "build", ".ci", ".git", "tools/series", "tools/judge"}
# Files that several patches of a series edit by nature.
EXPECTED_SHARED = {"Kconfig", "Makefile", "iommu.h", "MAINTAINERS"}


class Hunk:
    def __init__(self, old, new, body):
        self.old, self.new, self.body = old, new, body

    def olds(self):
        return [l[1:] for l in self.body if l[0] in " -"]

    def news(self):
        return [l[1:] for l in self.body if l[0] in " +"]

    def changed(self):
        return sum(1 for l in self.body if l[0] in "+-")

    def foreign(self):
        return sum(1 for l in self.body if l[0] in " -")

    def start(self):
        """Index of the first old line; a hunk without old lines names the line before."""
        return self.old - 1 if self.olds() else self.old


class Entry:
    def __init__(self, name):
        self.name, self.topic = name, None
        self.author = self.date = self.subject = self.body = ""
        self.claims = {}        # path -> mode
        self.shared = {}        # path -> reason
        self.splice = False
        self.files = {}         # path -> [Hunk]
        self.faults = []        # what is wrong with the text itself

    def fault(self, text):
        self.faults.append("%s: %s" % (self.name, text))

    def when(self):
        try:
            return email.utils.parsedate_to_datetime(self.date)
        except (TypeError, ValueError):
            raise Stop("%s: Date: is not a mail date: %r" % (self.name, self.date))

    def identity(self):
        match = re.match(r"^(.*?) <([^<>]+)>$", self.author)
        if not match:
            raise Stop("%s: From: is not 'Name <mail>': %r" % (self.name, self.author))
        return match.groups()

    def message(self):
        return "%s\n\n%s\n" % (self.subject, self.body) if self.body else self.subject + "\n"

    def text(self):
        """The one way to write this entry."""
        out = ["From: " + self.author, "Date: " + self.date, "Subject: " + self.subject, ""]
        if self.body:
            out += self.body.split("\n") + [""]
        out.append("---")
        out += [" create mode %s %s" % (self.claims[p], p) for p in sorted(self.claims)]
        if self.splice:
            out.append(SPLICE)
        out += [" shared %s: %s" % (p, self.shared[p]) for p in sorted(self.shared)]
        if self.files:
            out.append("")
        for path in sorted(self.files):
            out += ["diff --git a/%s b/%s" % (path, path), "--- a/" + path, "+++ b/" + path]
            for hunk in self.files[path]:
                olds, news = len(hunk.olds()), len(hunk.news())
                out.append("@@ -%s +%s @@" % (span(hunk.old, olds), span(hunk.new, news)))
                out += hunk.body
        return "\n".join(out) + "\n"


def span(start, count):
    return str(start) if count == 1 else "%d,%d" % (start, count)


def parse(name, text):
    entry = Entry(name)
    lines = text.split("\n")
    if lines and lines[-1] == "":
        lines.pop()
    at = 0
    for key, attr in (("From: ", "author"), ("Date: ", "date"), ("Subject: ", "subject")):
        if at >= len(lines) or not lines[at].startswith(key):
            raise Stop("%s: line %d must start with %r" % (name, at + 1, key))
        setattr(entry, attr, lines[at][len(key):])
        at += 1
    try:
        end = lines.index("---", at)
    except ValueError:
        raise Stop("%s: no line '---' after the changelog" % name)
    entry.body = "\n".join(lines[at:end]).strip("\n")
    at = end + 1
    while at < len(lines) and not lines[at].startswith("diff "):
        line = lines[at]
        claim, shared = CLAIM.match(line), SHARED.match(line)
        if claim:
            if claim.group(2) in entry.claims:
                entry.fault("%s is listed twice" % claim.group(2))
            entry.claims[claim.group(2)] = claim.group(1)
        elif line == SPLICE:
            entry.splice = True
        elif shared:
            entry.shared[shared.group(1)] = shared.group(2)
        elif line.strip():
            entry.fault("line %d is none of ' create mode 100644|100755 PATH', '%s' and "
                        "' shared PATH: reason': %r" % (at + 1, SPLICE, line))
        at += 1
    parse_diff(entry, lines, at)
    return entry


def parse_diff(entry, lines, at):
    path = None
    while at < len(lines):
        line = lines[at]
        hunk = HUNK.match(line)
        if line.startswith("diff "):
            match = re.match(r"^diff --git a/(\S+) b/(\S+)$", line)
            if not match:
                raise Stop("%s: line %d is not 'diff --git a/PATH b/PATH'" % (entry.name, at + 1))
            path = match.group(2)
            if match.group(1) != path:
                entry.fault("renames %s to %s: an entry edits existing files only"
                            % (match.group(1), path))
            if path in entry.files:
                entry.fault("%s has two diffs" % path)
            entry.files.setdefault(path, [])
        elif hunk and path:
            at = parse_hunk(entry, path, hunk, lines, at)
            continue
        elif line.startswith("index "):
            entry.fault("line %d is an index line: run make save" % (at + 1))
        elif re.match(r"^(new file|deleted file|old|new) mode |^(rename|copy|similarity|dissimilarity) ", line) \
                or line in ("--- /dev/null", "+++ /dev/null"):
            entry.fault("line %d (%s) creates, deletes, renames or changes the mode of %s: "
                        "an entry edits existing files only" % (at + 1, line, path))
        elif line in ("--- a/%s" % path, "+++ b/%s" % path):
            pass
        else:
            raise Stop("%s: line %d is no part of a diff: %r" % (entry.name, at + 1, line))
        at += 1


def parse_hunk(entry, path, match, lines, at):
    old, olds, new, news = (int(g) if g else 1 for g in match.groups()[:4])
    if match.group(5):
        entry.fault("line %d has text after @@: run make save" % (at + 1))
    body, start = [], at + 1
    at = start
    while at < len(lines) and (olds > 0 or news > 0):
        kind = lines[at][:1]
        if kind not in (" ", "+", "-") or kind == "":
            break
        olds -= kind in " -"
        news -= kind in " +"
        body.append(lines[at])
        at += 1
    if olds or news:
        raise Stop("%s: line %d: the hunk's length is not what its @@ line says" % (entry.name, start))
    if at < len(lines) and lines[at].startswith("\\"):
        raise Stop("%s: line %d: a file without a newline at its end cannot be edited"
                   % (entry.name, at + 1))
    entry.files[path].append(Hunk(old, new, body))
    return at


def apply(entry, path, content):
    """Apply the entry's hunks exactly: no offset, no fuzz."""
    lines = content.split("\n")
    shift = 0
    for number, hunk in enumerate(entry.files[path], 1):
        olds, news = hunk.olds(), hunk.news()
        begin = hunk.start() + shift
        here = "%s: hunk %d of %s" % (entry.name, number, path)
        if lines[begin:begin + len(olds)] != olds or not 0 <= begin < len(lines):
            for step in range(1, len(lines)):
                for other in (begin - step, begin + step):
                    if other >= 0 and olds and lines[other:other + len(olds)] == olds:
                        raise Stop("%s applies only with an offset of %d lines: "
                                   "no offset is allowed" % (here, other - begin))
            raise Stop("%s does not apply: its lines are not in the file at line %d "
                       "(no fuzz is allowed)" % (here, begin + 1))
        if hunk.new - (1 if news else 0) != begin:
            raise Stop("%s says +%d but lands at line %d: no offset is allowed"
                       % (here, hunk.new, begin + (1 if news else 0)))
        lines[begin:begin + len(olds)] = news
        shift += len(news) - len(olds)
    return "\n".join(lines)


def sections(fragment):
    """The sections of our fragment, each a list of lines with its title first."""
    found = [[]]
    for line in fragment.strip("\n").split("\n"):
        if line.strip() and not line.startswith("#"):
            found[-1].append(line)
        elif found[-1]:
            found.append([])
    found = [one for one in found if one]
    if not found or any(one[0][1:2] == ":" for one in found):
        raise Stop("MAINTAINERS: the fragment has no section title")
    return found


def place(lines, listed, ours):
    """The line of the section that ours comes before.

    The kernel's sections are not all in order, so a title that sorts after ours
    may come too early. Of the places where ours fits between its neighbours, it
    is the one whose neighbours are most like it.
    """
    found = []
    before = ""
    for at in range(listed + 1, len(lines) - 1):
        if not (lines[at - 1] == "" and re.match(r"^[0-9A-Z].*", lines[at]) and
                re.match(r"^[A-Z]:\t", lines[at + 1])):
            continue
        title = lines[at].upper()
        if title == ours:
            raise Stop("MAINTAINERS: the kernel already has a section %r" % ours)
        if before < ours < title:
            alike = max(len(os.path.commonprefix([ours, other])) for other in (before, title))
            found.append((alike, -at))
        before = title
    if not found:
        raise Stop("MAINTAINERS: no section sorts after %r" % ours)
    return -max(found)[1]


def splice(kernel, fragment):
    """The kernel's MAINTAINERS with our sections, each at its alphabetical place."""
    lines = kernel.split("\n")
    for ours in sections(fragment):
        listed = next((i for i, l in enumerate(lines) if l == "Maintainers List"), None)
        if listed is None:
            raise Stop("MAINTAINERS: the kernel's file has no 'Maintainers List'")
        at = place(lines, listed, ours[0].upper())
        lines[at:at] = ours + [""]
    return "\n".join(lines)


class Store:
    """The repository: its entries in order and its new kernel files."""

    def __init__(self, root):
        self.root = root
        self.patches = os.path.join(root, "patches")

    def read(self, path):
        try:
            with open(os.path.join(self.root, path), "rb") as file:
                return file.read()
        except OSError as error:
            raise Stop("cannot read %s: %s" % (path, error.strerror))

    def names(self):
        """[(name, topic)] of patches/series; '# topic: NAME' holds for the names below it."""
        topic, found = None, []
        for line in self.read("patches/series").decode("utf-8").split("\n"):
            match = re.match(r"^#\s*topic:\s*(\S+)\s*$", line)
            if match:
                topic = match.group(1)
            elif line.strip() and not line.startswith("#"):
                found.append((line.strip(), topic))
        return found

    def entries(self):
        out = []
        for name, topic in self.names():
            path = "patches/%s.patch" % name
            if not os.path.exists(os.path.join(self.root, path)):
                raise Stop("patches/series names %s, but there is no %s" % (name, path))
            if any(e.name == name for e in out):
                raise Stop("patches/series names %s twice" % name)
            entry = parse(name, self.read(path).decode("utf-8"))
            entry.topic = topic
            out.append(entry)
        return out

    def overlay(self):
        """path -> mode of each file of the repository that stands at a kernel path."""
        found = {}
        for folder, dirs, files in os.walk(self.root):
            inside = os.path.relpath(folder, self.root)
            inside = "" if inside == "." else inside + "/"
            dirs[:] = sorted(d for d in dirs if inside + d not in OWN_DIRS and d != "__pycache__")
            for file in files:
                path = inside + file
                full = os.path.join(folder, file)
                if path in OWN or path == ".git" or re.search(r"\.pyc$|~$|\.sw[op]$|\.tmp\d+$", file):
                    continue
                if os.path.islink(full):
                    raise Stop("%s is a symbolic link: new kernel files are plain files" % path)
                found[path] = "100755" if os.stat(full).st_mode & 0o100 else "100644"
        return found
