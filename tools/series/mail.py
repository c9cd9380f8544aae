# SPDX-License-Identifier: GPL-2.0
"""The series as mail, with proof that git am of it gives the tested tree."""

import os
import re
import shutil
import subprocess
import tarfile
import io

import entry as entries
import tree
from gitio import Git, Stop, say, write_file

MAGIC = "From 0000000000000000000000000000000000000000 Mon Sep 17 00:00:00 2001\n"


def read_cover(shop, topic=None):
    """Subject and body of the cover letter of all or of a topic; lines that start with # are not sent."""
    path = "patches/cover-letter" + ("." + topic if topic else "")
    text = shop.store.read(path).decode("utf-8")
    lines = [l for l in text.split("\n") if not l.startswith("#")]
    subject, _, body = "\n".join(lines).strip("\n").partition("\n")
    if not subject.startswith("Subject: ") or not body.strip():
        raise Stop("%s must be 'Subject: ...', an empty line, and a body" % path)
    return subject[9:], body.strip("\n")


def prefix(version):
    return "PATCH" if version == 1 else "PATCH v%d" % version


def format_patches(git, base_commit, top, folder, version):
    """One file per patch, as git format-patch writes it, with three lines of context."""
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    git.raw("format-patch", "-q", "-U3", "--no-renames", "--no-signature", "--numbered",
            "--subject-prefix=" + prefix(version), "--diff-algorithm=myers", "--src-prefix=a/",
            "--dst-prefix=b/", "--stat=72", "--no-attach", "--no-thread", "-o", folder,
            "%s..%s" % (base_commit, top))
    return [os.path.join(folder, n) for n in sorted(os.listdir(folder)) if n.endswith(".patch")]


def cover(git, since, top, text, version, ends, author):
    """Mail 0/N of the commits after since, up to top. text: subject and body; ends: what follows the stat."""
    subject, body = text
    count = len(git.lines("rev-list", "%s..%s" % (since, top)))
    stat = git.text("diff", "--stat=72", "--summary", since, top)
    shortlog = git.text("shortlog", "-w72,2,4", "%s..%s" % (since, top))
    date = git.text("log", "-1", "--format=%aD", top)
    return "%sFrom: %s\nDate: %s\nSubject: [%s %0*d/%d] %s\n\n%s\n" % (
        MAGIC, author, date, prefix(version), len(str(count)), 0, count, subject,
        "\n\n".join([body, shortlog, stat] + ends) + "\n")


def range_diff(shop, git, base_commit, made, version):
    """Against the tag of the last version, where the repository has it."""
    tag = "v%d" % (version - 1)
    ours = Git(shop.root)
    if version < 2:
        return ""
    if not ours.ref("refs/tags/" + tag):
        say("note: no tag %s in the repository, so no range-diff in the cover letter" % tag)
        return ""
    old = os.path.join(shop.build, "last-version")
    shutil.rmtree(old, ignore_errors=True)
    with tarfile.open(fileobj=io.BytesIO(ours.raw("archive", tag))) as tar:
        tar.extraction_filter = lambda member, path: member
        tar.extractall(old)
    try:
        store = entries.Store(old)
        before = tree.commits(git, base_commit, store, store.entries(), ref="refs/series/last")
        return git.raw("range-diff", "--no-color", "%s..%s" % (base_commit, before[-1]),
                       "%s..%s" % (base_commit, made[-1])).decode("utf-8", "replace").rstrip()
    except Stop as stop:
        say("note: no range-diff: %s is not on this base (%s)" % (tag, stop))
        return ""
    finally:
        shutil.rmtree(old, ignore_errors=True)


def proof(git, base_commit, top, boxes, folder):
    """git am of the mail on the untouched base must give the tree of the series."""
    shutil.rmtree(folder, ignore_errors=True)
    git.raw("worktree", "prune")
    git.raw("worktree", "add", "-q", "--detach", "--no-checkout", folder, base_commit)
    try:
        there = Git(folder)
        touched = git.lines("diff-tree", "-r", "--name-only", base_commit, top)
        gitdir = there.text("rev-parse", "--absolute-git-dir")
        # Only the touched files are checked out: the proof takes a second, not a minute.
        write_file(os.path.join(gitdir, "info", "sparse-checkout"),
                   "".join("/%s\n" % p for p in touched))
        sparse = ("-c", "core.sparseCheckout=true", "-c", "core.sparseCheckoutCone=false")
        there.raw(*sparse, "read-tree", "-m", "-u", "HEAD")
        for box in boxes:
            status, out, err = there.call(*sparse, "am", "-q", "--no-3way", "--keep-non-patch", box)
            if status:
                raise Stop("git am does not take %s: %s" % (box, (out.decode("utf-8", "replace")
                                                                   + err).strip()))
        got, wanted = there.text("rev-parse", "HEAD^{tree}"), git.text("rev-parse", top + "^{tree}")
        if got != wanted:
            raise Stop("git am gives tree %s, the tested tree is %s" % (got, wanted))
        return got
    finally:
        git.call("worktree", "remove", "--force", folder)
        shutil.rmtree(folder, ignore_errors=True)


def mbox(files):
    """One mailbox of several mails; '>From ' keeps a body line from starting a mail."""
    out = []
    for path in files:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            head, _, rest = file.read().partition("\n")
        rest = re.sub(r"(?m)^(>*From )", r">\1", rest)
        out.append("%s\n%s\n" % (head, rest.rstrip("\n") + "\n"))
    return "".join(out)


def by_topic(items):
    """[(topic, how many entries)] in order."""
    topics = []
    for item in items:
        if not topics or topics[-1][0] != item.topic:
            if item.topic in [t for t, _ in topics]:
                raise Stop("patches/series: topic %s is not in one piece" % item.topic)
            topics.append((item.topic, 0))
        topics[-1] = (item.topic, topics[-1][1] + 1)
    return topics


def with_trailer(path, trailer):
    with open(path, "a", encoding="utf-8") as file:
        file.write("\n%s\n" % trailer)


def emit_topics(shop, git, chain, items, version, trailer, folder, label):
    """The same patches as one series a topic, each with numbers and a cover letter of its own."""
    boxes, done, author = [], 0, items[0].author
    topics = by_topic(items)
    for number, (topic, count) in enumerate(topics, 1):
        since, top = chain[done], chain[done + count]
        place = os.path.join(folder, "%d-%s" % (number, topic))
        files = format_patches(git, since, top, place, version)
        ends = [trailer]
        if done:
            ends.insert(0, "Needs, in this order: " + ", ".join(t for t, _ in topics[:number - 1]))
        with_trailer(files[0], "\n".join(ends))
        if count > 1:
            write_file(os.path.join(place, "0000-cover-letter.patch"),
                       cover(git, since, top, read_cover(shop, topic), version, ends, author))
        boxes.append(os.path.join(folder, "%s-%d-%s.mbox" % (label, number, topic)))
        write_file(boxes[-1], mbox(files).encode("utf-8", "surrogateescape"))
        done += count
    return boxes


def emit(shop, git, base_commit, made, items, version, trailer, folder):
    """Write the mail of a chain and prove it; gives the mailboxes."""
    if not made:
        raise Stop("patches/series names no entry: there is nothing to mail")
    fresh = folder + ".new"
    files = format_patches(git, base_commit, made[-1], fresh, version)
    with_trailer(files[0], trailer)
    change = range_diff(shop, git, base_commit, made, version)
    ends = (["Range-diff against v%d:\n%s" % (version - 1, change)] if change else []) + [trailer]
    write_file(os.path.join(fresh, "0000-cover-letter.patch"),
               cover(git, base_commit, made[-1], read_cover(shop), version, ends, items[0].author))
    label = "series-%s-v%d" % (shop.lock.version, version)
    every = os.path.join(fresh, label + ".mbox")
    write_file(every, mbox(files).encode("utf-8", "surrogateescape"))
    boxes = emit_topics(shop, git, [base_commit] + made, items, version, trailer, fresh, label)
    work = os.path.join(shop.build, "git-am")
    got = proof(git, base_commit, made[-1], [every], work)
    say("proof: git am of %s on the untouched base gives tree %s, the tested one"
        % (os.path.basename(every), got[:12]))
    proof(git, base_commit, made[-1], boxes, work)
    say("proof: git am of the %d topics one after the other gives the same" % len(boxes))
    shutil.rmtree(folder, ignore_errors=True)
    os.rename(fresh, folder)
    return [os.path.join(folder, os.path.basename(p)) for p in [every] + boxes]


def make(shop, version):
    """make series [V=n]"""
    made = tree.make(shop)
    base_commit = tree.ensure(shop)
    if tree.dirty(shop):
        raise Stop("%s has unsaved edits, which no mail would have: make save first" % shop.shown())
    items = shop.store.entries()
    folder = os.path.join(shop.build, "out", "series", "v%d" % version)
    boxes = emit(shop, shop.git, base_commit, made, items, version, shop.lock.trailer(), folder)
    for path in boxes:
        say("series: %s" % os.path.relpath(path))
    if not shop.lock.commit:
        say("series: the mail says '%s' in words: patches/base.lock has no commit id of %s yet"
            % (shop.lock.trailer(), shop.lock.tag))
    say("series: %d patches without Signed-off-by; whoever sends them adds it (git am -s, "
        "git send-email %s)" % (len(made), os.path.relpath(folder)))
