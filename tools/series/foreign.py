# SPDX-License-Identifier: GPL-2.0
"""The series on somebody's own kernel: three-way, with a report per patch.

Their repository is only read: what is made stands in build/kernel-tree, which
borrows their objects.
"""

import os

import base
import mail as mails
import tree
from gitio import Git, Stop, say, write_file


def borrow(shop, path):
    """A repository that sees their objects and, where it is there, those of our tree."""
    theirs = Git(path)
    if not os.path.isdir(path) or theirs.call("rev-parse", "--git-dir")[0]:
        raise Stop("KERNEL_TREE=%s is no git tree" % path)
    head = theirs.ref("HEAD")
    if not head:
        raise Stop("KERNEL_TREE=%s has no commit" % path)
    place = os.path.join(shop.build, "kernel-tree")
    git = Git(place)
    if not os.path.isdir(os.path.join(place, ".git")):
        os.makedirs(place, exist_ok=True)
        git.raw("init", "-q", "-b", "series")
        for key, value in (("user.name", "series"), ("user.email", "series@localhost")):
            git.raw("config", key, value)
    common = theirs.text("rev-parse", "--path-format=absolute", "--git-common-dir")
    stores = [os.path.join(common, "objects")]
    if os.path.isdir(os.path.join(shop.path, ".git")):
        stores.append(os.path.join(shop.path, ".git", "objects"))
    write_file(os.path.join(place, ".git", "objects", "info", "alternates"),
               "".join(s + "\n" for s in stores))
    return theirs, git, head


def chain(shop, theirs, git, items):
    """The series' own commits: on their tag of our base, else on our own base."""
    tag = theirs.ref("refs/tags/" + shop.lock.tag)
    if tag:
        try:
            return tag, tree.commits(git, tag, shop.store, items)
        except Stop as stop:
            say("note: their %s is not our base (%s)" % (shop.lock.tag, stop))
    else:
        say("note: %s has no tag %s, so our own base is used" % (theirs.path, shop.lock.tag))
    found = tree.ensure(shop)
    borrow(shop, theirs.path)
    return found, tree.commits(git, found, shop.store, items)


def put(shop, path):
    """The series on their HEAD, with a line per patch; (git, head, commits, items)."""
    theirs, git, head = borrow(shop, path)
    items = shop.store.entries()
    base_commit, made = chain(shop, theirs, git, items)
    say("kernel tree: %s at %s (%s)" % (path, head[:12], theirs.text("log", "-1", "--format=%s", head)))
    parent, out, failed = head, [], []
    for item, commit in zip(items, made):
        changed, conflicts = git.pick(commit, parent, renames=True)
        if not changed:
            failed.append(item.name)
            say("  CONFLICT  %s: %s" % (item.name, ", ".join(conflicts)))
            continue
        same = [p for p in item.files
                if git.blob(parent, p) != git.blob(commit + "^", p)]
        say("  %s  %s%s" % ("merged  " if same else "clean   ", item.name,
                            ": " + ", ".join(same) + " differs from our base" if same else ""))
        parent = git.recommit(commit, changed, parent)
        out.append(parent)
    if failed:
        raise Stop("%d of %d patches conflict with %s: %s (later ones were tried without them)"
                   % (len(failed), len(items), path, ", ".join(failed)))
    return git, head, out, items


def make(shop, path):
    """make tree KERNEL_TREE=: a work tree of their kernel with the series on top."""
    git, head, made, items = put(shop, path)
    top = tree.tip(made, head)
    old = git.ref("HEAD")
    status, _, err = git.call("read-tree", "-m", "-u", *([old, top] if old else [top]))
    if status:
        raise Stop("edits in %s are in the way: %s" % (git.path, err.strip()))
    git.raw("update-ref", "refs/heads/series", top)
    say("tree: %s, %d entries on %s" % (os.path.relpath(git.path), len(items), path))
    return 0


def mail(shop, path, version):
    """make series KERNEL_TREE=: mail for their HEAD, proven on it."""
    git, head, made, items = put(shop, path)
    folder = os.path.join(shop.build, "out", "series", "v%d-kernel-tree" % version)
    boxes = mails.emit(shop, git, head, made, items, version, "base-commit: " + head, folder)
    for box in boxes:
        say("series: %s" % os.path.relpath(box))
    return 0
