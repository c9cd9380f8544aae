# SPDX-License-Identifier: GPL-2.0
"""Entries to commits: the kernel tree with one commit per entry."""

import fcntl
import os

import base
import entry as entries
from gitio import Git, Stop, say, write_file

SERIES, MADE, NOW = "refs/heads/series", "refs/series/made", "refs/series/now"


class Shop:
    """The repository, its build directory and the kernel tree in it."""

    def __init__(self, root, build):
        self.root = os.path.abspath(root)
        self.build = os.path.abspath(build)
        self.path = os.path.join(self.build, "linux")
        self.store = entries.Store(self.root)
        self.lock = base.Lock(os.path.join(self.root, "patches", "base.lock"))
        self.git = Git(self.path)

    def hold(self):
        """One at a time in a build directory; the lock ends with the process."""
        os.makedirs(self.build, exist_ok=True)
        self.held = open(os.path.join(self.build, "series.lock"), "w", encoding="utf-8")
        try:
            fcntl.flock(self.held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            say("wait: another run of the tool is at work in %s" % os.path.relpath(self.build))
            fcntl.flock(self.held, fcntl.LOCK_EX)
        base.sweep(self.build)

    def state(self, name):
        return os.path.join(self.path, ".git", "series-" + name)

    def shown(self, *parts):
        return os.path.relpath(os.path.join(self.path, *parts))


def owners(list_of_entries):
    """path -> entry that claims it; a second claim is an error."""
    found = {}
    for item in list_of_entries:
        for path in item.claims:
            if path in found:
                raise Stop("%s is claimed by two entries: %s and %s"
                           % (path, found[path].name, item.name))
            found[path] = item
    return found


def commits(git, base_commit, store, items, ref=NOW):
    """One commit per entry on the base, by plumbing alone; gives their ids in order."""
    owners(items)
    overlay = store.overlay()
    hooked = {p for i in items for p in i.files} | {"MAINTAINERS"}
    modes = git.modes(base_commit, hooked | {p for i in items for p in i.claims})
    now = {}                    # path -> text of a hooked file so far
    stream = [b"feature done\n"]

    def read(item, path):
        if path not in now:
            if path not in modes:
                raise Stop("%s: %s is no file of the base kernel" % (item.name, path))
            now[path] = git.raw("cat-file", "blob", modes[path][1]).decode("utf-8", "surrogateescape")
        return now[path]

    def put(mode, path, data):
        stream.append(b"M %s inline %s\n" % (mode.encode(), path.encode()))
        stream.append(b"data %d\n" % len(data) + data + b"\n")

    for number, item in enumerate(items):
        if item.faults:
            raise Stop("\n".join(item.faults))
        name, mail = item.identity()
        who = b"%s <%s> %s\n" % (name.encode(), mail.encode(), stamp(item).encode())
        message = item.message().encode()
        stream.append(b"commit %s\n" % ref.encode())
        stream.append(b"mark :%d\n" % (number + 1))
        stream.append(b"author " + who + b"committer " + who)
        stream.append(b"data %d\n" % len(message) + message + b"\n")
        stream.append(b"from %s\n" % (base_commit.encode() if not number else b":%d" % number))
        for path in sorted(item.claims):
            if path not in overlay:
                raise Stop("%s claims %s, but the repository has no such file" % (item.name, path))
            if path in modes:
                raise Stop("%s creates %s, which the base kernel already has" % (item.name, path))
            put(item.claims[path], path, store.read(path))
        for path in sorted(item.files):
            if path in overlay:
                raise Stop("%s: a hunk edits %s, which is a new file: change the file itself"
                           % (item.name, path))
            now[path] = entries.apply(item, path, read(item, path))
            put(modes[path][0], path, now[path].encode("utf-8", "surrogateescape"))
        if item.splice:
            now["MAINTAINERS"] = entries.splice(read(item, "MAINTAINERS"),
                                                store.read("MAINTAINERS").decode("utf-8"))
            put(modes["MAINTAINERS"][0], "MAINTAINERS", now["MAINTAINERS"].encode("utf-8", "surrogateescape"))
    if not items:
        git.raw("update-ref", ref, base_commit)
        return []
    stream.append(b"done\n")
    git.raw("fast-import", "--quiet", "--force", "--date-format=raw", data=b"".join(stream))
    made = git.chain(base_commit, ref)
    for commit, item in zip(made, items):
        got = git.modes(commit, item.claims)
        for path, mode in item.claims.items():
            if path not in got or got[path][0] != mode:
                raise Stop("%s: %s is not in the commit with mode %s" % (item.name, path, mode))
    return made


def stamp(item):
    """git's raw date of the entry's Date: header."""
    when = item.when()
    offset = int(when.utcoffset().total_seconds() // 60) if when.utcoffset() else 0
    return "%d %s%02d%02d" % (when.timestamp(), "-" if offset < 0 else "+",
                              abs(offset) // 60, abs(offset) % 60)


def tip(made, base_commit):
    return made[-1] if made else base_commit


def ensure(shop):
    """The tree with its base commit; gives the base's id."""
    if not os.path.isdir(shop.path):
        base.make_tree(shop.lock, shop.build, shop.root, shop.path)
    if not os.path.isdir(os.path.join(shop.path, ".git")):
        raise Stop("%s is not a tree that make tree made: move it away" % shop.shown())
    found = shop.git.ref(base.BASE_REF)
    if not found:
        raise Stop("%s has no %s: move it away and run make tree" % (shop.shown(), base.BASE_REF))
    subject = shop.git.text("log", "-1", "--format=%s", found)
    if not subject.startswith("Linux %s (" % shop.lock.version):
        raise Stop("%s holds %s, patches/base.lock says Linux %s: run make distclean, or "
                   "make bump to move the series" % (shop.shown(), subject, shop.lock.version))
    return found


def leave_walk(shop):
    """Back from a prefix that make bisect checked out, also after it was killed there."""
    if not os.path.exists(shop.state("walk")):
        return
    edits = sorted(dirty(shop))
    if edits:
        raise Stop("make bisect was interrupted and %s has edits on its prefix: %s; keep them elsewhere, "
                   "then git -C %s checkout -f series" % (shop.shown(), ", ".join(edits), shop.shown()))
    made = shop.git.ref(MADE)
    switch(shop, shop.git.ref("HEAD"), made)
    shop.git.raw("symbolic-ref", "HEAD", SERIES)
    os.unlink(shop.state("walk"))


def refuse_rebase(shop):
    if os.path.isdir(os.path.join(shop.path, ".git")) and shop.git.rebasing():
        raise Stop("a rebase is under way in %s: resolve it there, git rebase --continue, "
                   "then make save" % shop.shown())


def dirty(shop):
    """path -> status letter of what differs between the work tree and HEAD."""
    shop.git.call("update-index", "-q", "--refresh")
    found = {}
    for row in shop.git.lines("diff-index", "--name-status", "--no-renames", "HEAD"):
        letter, path = row.split("\t", 1)
        found[path] = letter
    return found


def refuse_copies(shop, changed, claimed):
    """A new file's copy in the tree that somebody edited there."""
    for path in sorted(changed):
        if path not in claimed or not os.path.exists(os.path.join(shop.path, path)):
            continue
        with open(os.path.join(shop.path, path), "rb") as file:
            if file.read() != shop.store.read(path):
                raise Stop("%s was edited in the tree: it is a copy, edit %s in the repository and "
                           "remove the copy" % (shop.shown(path), path))


def adopt(shop, changed, new):
    """Edits that patches/ now holds too are no edits any more; gives those that are left."""
    left, have = {}, shop.git.modes(new, changed)
    for path, letter in changed.items():
        full = os.path.join(shop.path, path)
        if path in have and os.path.isfile(full) \
                and shop.git.text("hash-object", "--no-filters", full) == have[path][1] \
                and (os.stat(full).st_mode & 0o100 != 0) == (have[path][0] == "100755"):
            shop.git.raw("update-index", "--", path)
        else:
            left[path] = letter
    return left


def switch(shop, old, new):
    """Move index and work tree; files that do not differ keep their time stamps."""
    git = shop.git
    git.call("update-index", "-q", "--refresh")
    for row in git.lines("diff-tree", "-r", "--name-status", "--no-renames", old, new):
        letter, path = row.split("\t", 1)
        full = os.path.join(shop.path, path)
        if letter == "A" and os.path.isfile(full):
            with open(full, "rb") as file:
                if file.read() != git.blob(new, path):
                    raise Stop("%s is in the way: it is a new file of the series, but differs from "
                               "the repository's" % shop.shown(path))
            os.unlink(full)
        elif letter != "A" and not os.path.lexists(full):
            git.raw("checkout-index", "-f", "--", path)
    status, _, err = git.call("read-tree", "-m", "-u", old, new)
    if status:
        raise Stop("an edit in %s is in the way of what patches/ now says: save or undo it first "
                   "(%s)" % (shop.shown(), err.strip().split("\n")[0]))


def protect(shop, items):
    """Copies of new files are read-only: an edit by mistake fails at once."""
    for item in items:
        for path, mode in item.claims.items():
            full = os.path.join(shop.path, path)
            wanted = 0o555 if mode == "100755" else 0o444
            if os.stat(full).st_mode & 0o777 != wanted:
                os.chmod(full, wanted)


def settle(shop, items, new):
    git = shop.git
    git.raw("symbolic-ref", "HEAD", SERIES)
    git.raw("update-ref", SERIES, new)
    git.raw("update-ref", MADE, new)
    write_file(shop.state("names"), "".join(i.name + "\n" for i in items))
    protect(shop, items)
    git.call("update-index", "-q", "--refresh")


def make(shop):
    """make tree: repeated calls change only what differs."""
    base_commit = ensure(shop)
    refuse_rebase(shop)
    leave_walk(shop)
    items = shop.store.entries()
    made = commits(shop.git, base_commit, shop.store, items)
    new = tip(made, base_commit)
    head, last = shop.git.ref("HEAD"), shop.git.ref(MADE)
    if head != last:
        raise Stop("%s has commits that no entry has: make save keeps them, "
                   "git -C %s reset --keep %s drops them" % (shop.shown(), shop.shown(), MADE))
    changed = dirty(shop)
    refuse_copies(shop, changed, owners(items))
    edits = adopt(shop, changed, new)
    if head != new:
        switch(shop, head, new)
    settle(shop, items, new)
    unclaimed = sorted(set(shop.store.overlay()) - set(owners(items)))
    for path in unclaimed[:5]:
        say("note: no entry claims %s: it is not in the tree" % path)
    if len(unclaimed) > 5:
        say("note: ... nor %d more files" % (len(unclaimed) - 5))
    for path in edits:
        say("note: %s is edited in the tree and not saved yet" % path)
    moved = "" if head == new else ", %d files changed" % len(
        shop.git.lines("diff-tree", "-r", "--name-only", head, new))
    say("tree: %s, %d entries on Linux %s, tip %s%s"
        % (shop.shown(), len(items), shop.lock.version, new[:12], moved))
    return made


def sweep(shop):
    """Objects of selftests whose Makefile builds them beside the source."""
    if os.path.isdir(os.path.join(shop.path, ".git")):
        shop.git.raw("clean", "-xfq", "--", ":(glob)tools/testing/selftests/**/*.[od]")


def refuse_unsaved(shop):
    """Nobody's hooks are thrown away with the build directory."""
    if not os.path.isdir(os.path.join(shop.path, ".git")):
        return
    refuse_rebase(shop)
    if shop.git.ref("HEAD") != shop.git.ref(MADE):
        raise Stop("%s has commits that no entry has: make save first" % shop.shown())
    edits = sorted(dirty(shop))
    if edits:
        raise Stop("%s has edits that are not saved: %s" % (shop.shown(), ", ".join(edits)))
