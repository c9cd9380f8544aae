# SPDX-License-Identifier: GPL-2.0
"""The tree's edits back into the entries that own them; moving to a new base."""

import os
import shutil

import base
import entry as entries
import tree
from gitio import Stop, say, write_file


def export(git, commit, item, claimed):
    """The entry that a commit stands for: its message and hunks, the rest as before."""
    out = entries.Entry(item.name)
    out.topic, out.claims = item.topic, item.claims
    out.splice, out.author, out.date = item.splice, item.author, item.date
    message = git.raw("log", "-1", "--format=%B", commit).decode("utf-8").rstrip("\n")
    out.subject, _, out.body = message.partition("\n")
    out.body = out.body.strip("\n")
    diff = git.raw("diff-tree", "-r", "-p", "-U1", "--no-renames", "--no-color", "--no-ext-diff",
                   "--diff-algorithm=myers", "--inter-hunk-context=0", "--src-prefix=a/",
                   "--dst-prefix=b/", commit + "^", commit).decode("utf-8", "surrogateescape")
    keep, path = [], None
    for line in diff.split("\n")[:-1]:
        if line.startswith("diff --git "):
            path = line.rsplit(" b/", 1)[1]
        hunk = entries.HUNK.match(line)
        if path in claimed or (path == "MAINTAINERS" and item.splice):
            continue
        if line.startswith("index "):
            continue
        keep.append(line[:len(line) - len(hunk.group(5))] if hunk else line)
    entries.parse_diff(out, keep, 0)
    if out.faults:
        raise Stop("\n".join(out.faults))
    # A reason is needed only as long as the hunk is there.
    out.shared = {p: r for p, r in item.shared.items() if p in out.files}
    return out


def write(shop, before, after):
    """Entries that differ; every text is made before the first one is written."""
    texts = [(i.name, i.text()) for i in after]
    changed = []
    for name, text in texts:
        if write_file(os.path.join(shop.store.patches, name + ".patch"), text):
            changed.append(name)
    say("save: %s" % (", ".join(changed) if changed else "no entry changed"))


def find_owner(path, items, wanted):
    having = [i.name for i in items if path in i.files]
    if wanted:
        return wanted
    if not having:
        raise Stop("no entry edits %s: say which one gets it, make save P=name" % path)
    if len(having) > 1:
        raise Stop("%s is edited by %s: say which one gets the change, make save P=name"
                   % (path, " and ".join(having)))
    return having[0]


def assign(shop, items, changed, wanted):
    """owner -> [path] of the dirty hooks."""
    if wanted and wanted not in [i.name for i in items]:
        raise Stop("P=%s: patches/series has no such name" % wanted)
    found = {}
    for path in sorted(changed):
        if changed[path] != "M":
            raise Stop("%s was %s in the tree: an entry edits existing files only"
                       % (path, {"D": "removed", "A": "added"}.get(changed[path], "replaced")))
        if path == "MAINTAINERS":
            raise Stop("MAINTAINERS is spliced from the repository's fragment: edit that")
        found.setdefault(find_owner(path, items, wanted), []).append(path)
    return found


def fixups(shop, made, items, owned, base_commit):
    """One fixup commit per owner on top of the chain, from the work tree's content."""
    git, top = shop.git, tree.tip(made, base_commit)
    index = {"GIT_INDEX_FILE": shop.state("index")}
    out = []
    try:
        git.raw("read-tree", top, env=index)
        for number, item in enumerate(items):
            if item.name not in owned:
                continue
            rows = []
            for path, (mode, _) in sorted(git.modes(top, owned[item.name]).items()):
                full = os.path.join(shop.path, path)
                found = "100755" if os.stat(full).st_mode & 0o100 else "100644"
                if os.path.islink(full) or found != mode:
                    raise Stop("%s: its mode or kind changed in the tree: an entry keeps it" % path)
                blob = git.text("hash-object", "-w", "--no-filters", full)
                rows.append("%s %s\t%s\n" % (mode, blob, path))
            git.raw("update-index", "--index-info", data="".join(rows).encode(), env=index)
            dates = {"GIT_AUTHOR_DATE": tree.stamp(item), "GIT_COMMITTER_DATE": tree.stamp(item)}
            top = git.text("commit-tree", git.text("write-tree", env=index), "-p", top,
                           "-m", "fixup! " + made[number], env=dates)
            out.append((number, top))
    finally:
        if os.path.exists(shop.state("index")):
            os.unlink(shop.state("index"))
    return out


def squash(git, made, extra, base_commit):
    """The chain with each fixup folded into its owner; None where git sees a conflict."""
    parent, out = base_commit, []
    for number, commit in enumerate(made):
        changed, _ = git.pick(commit, parent)
        if not changed:
            return None
        parent = git.recommit(commit, changed, parent)
        for owner, fixup in extra:
            if owner == number:
                changed, _ = git.pick(fixup, parent)
                if not changed:
                    return None
                parent = git.recommit(commit, changed, git.text("rev-parse", parent + "^"))
        out.append(parent)
    return out


def rebase(shop, old, new, *args):
    """A conflict is the user's: git's own rebase stops in the tree with its own message."""
    git = shop.git
    git.raw("read-tree", new)
    git.raw("update-ref", tree.SERIES, new)
    git.raw("symbolic-ref", "HEAD", tree.SERIES)
    status, out, err = git.call("rebase", *args, env={"GIT_SEQUENCE_EDITOR": ":", "GIT_EDITOR": ":"})
    if status:
        where = [l for l in (out.decode("utf-8", "replace") + err).split("\n")
                 if l.startswith(("CONFLICT", "error:", "Could not apply"))]
        raise Stop("conflict in %s; nothing in patches/ was changed:\n  %s\n"
                   "Resolve it there (git add -u, git rebase --continue), then make save again."
                   % (shop.shown(), "\n  ".join(where)))


def finish(shop, before, done, base_commit, edits=()):
    """Export, prove that the entries give the same tree, write, and settle the tree."""
    git = shop.git
    claimed = tree.owners(before)
    after = [export(git, c, i, claimed) for c, i in zip(done, before)]
    made = tree.commits(git, base_commit, shop.store, after)
    new = tree.tip(made, base_commit)
    differ = [p for p in git.lines("diff-tree", "-r", "--name-only", tree.tip(done, base_commit), new)
              if p not in claimed and p != "MAINTAINERS"]
    if differ:
        raise Stop("the saved entries would not give the same %s: nothing was written" % differ[0])
    write(shop, before, after)
    if edits:
        # The work tree holds exactly this content already: only the index moves.
        git.raw("read-tree", new)
    else:
        tree.switch(shop, git.ref("HEAD"), new)
    tree.settle(shop, after, new)
    left = tree.dirty(shop)
    if left:
        raise Stop("%s still differs from the saved entries: %s" % (shop.shown(), ", ".join(left)))
    return made


def resume(shop, items, base_commit, head):
    """The user's own commits (a continued rebase): by position, one per entry."""
    shown = shop.shown()
    git = shop.git
    done = git.chain(base_commit, head)
    with open(shop.state("names"), encoding="utf-8") as file:
        names = file.read().split()
    if names != [i.name for i in items]:
        raise Stop("patches/series changed since the tree was made: put it back, make save, "
                   "then change it again")
    subjects = [git.text("log", "-1", "--format=%s", c) for c in done]
    loose = [s for s in subjects if s.startswith(("fixup! ", "squash! "))]
    if loose or len(done) != len(items):
        raise Stop("%s has %d commits%s on its base, patches/series names %d: there must be one "
                   "per entry; git -C %s reset --soft %s gives back the edits, unsaved"
                   % (shown, len(done), " (%d fixups)" % len(loose) if loose else "",
                      len(items), shown, tree.MADE))
    return done


def save(shop, wanted=None):
    """make save [P=name]: nothing in the repository is written before all is clean."""
    git = shop.git
    tree.refuse_rebase(shop)
    tree.leave_walk(shop)
    resume_bump(shop)
    base_commit = tree.ensure(shop)
    items = shop.store.entries()
    head, last = git.ref("HEAD"), git.ref(tree.MADE)
    changed = tree.dirty(shop)
    if head != last:
        if changed:
            raise Stop("%s has new commits and unsaved edits: commit the edits into them first (%s)"
                       % (shop.shown(), ", ".join(sorted(changed))))
        finish(shop, items, resume(shop, items, base_commit, head), base_commit)
        return drop_pending(shop)
    made = tree.commits(git, base_commit, shop.store, items)
    top = tree.tip(made, base_commit)
    claimed = tree.owners(items)
    tree.refuse_copies(shop, changed, claimed)
    edits = {p: s for p, s in tree.adopt(shop, changed, top).items() if p not in claimed}
    note_untracked(shop)
    owned = assign(shop, items, edits, wanted)
    before, after = git.modes(head, edits), git.modes(top, edits)
    for path in sorted(edits):
        if before.get(path) != after.get(path):
            raise Stop("%s changed both in the tree and in patches/: undo one of the two" % path)
    if head != top:
        tree.switch(shop, head, top)
        tree.settle(shop, items, top)
    if not edits:
        finish(shop, items, made, base_commit)
        return None
    extra = fixups(shop, made, items, owned, base_commit)
    done = squash(git, made, extra, base_commit)
    if done is None:
        rebase(shop, top, extra[-1][1], "-i", "--autosquash", "--empty=keep", base_commit)
        done = resume(shop, items, base_commit, git.ref("HEAD"))
        edits = {}
    for name in sorted(owned):
        say("save: %s <- %s" % (name, ", ".join(owned[name])))
    finish(shop, items, done, base_commit, edits)
    return None


def note_untracked(shop):
    """New files in the tree are not saved: they belong into the repository."""
    for path in shop.git.lines("ls-files", "-o", "--exclude=__pycache__", "--exclude=*.[oda]",
                               "--exclude=.*", "--exclude=*.pyc", "--directory"):
        say("note: %s is new in the tree and not saved: new files live in the repository"
            % shop.shown(path))


def bump(shop, path):
    """make bump BASE=new.lock: the new base beside the old, rebase --onto, save."""
    git = shop.git
    tree.refuse_rebase(shop)
    if not os.path.isfile(path):
        raise Stop("BASE=%s is no file: copy patches/base.lock, edit version, names, sizes and "
                   "sums, and give that" % path)
    old = tree.ensure(shop)
    items = shop.store.entries()
    tree.make(shop)
    if tree.dirty(shop):
        raise Stop("%s has unsaved edits: make save first" % shop.shown())
    lock = base.Lock(path)
    package, source = base.fetch(lock, shop.build, shop.root)
    fresh = shop.path + ".bump%d" % os.getpid()
    index = {"GIT_INDEX_FILE": shop.state("index")}
    try:
        os.makedirs(fresh)
        base.unpack(package, source, fresh)
        new = base.commit(git, lock, source, fresh, env=index)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
        if os.path.exists(shop.state("index")):
            os.unlink(shop.state("index"))
    shutil.copy(path, shop.state("lock"))
    write_file(shop.state("bump"), "%s %s\n" % (old, new))
    git.raw("update-ref", base.BASE_REF, new)
    head = git.ref("HEAD")
    rebase(shop, head, head, "--empty=keep", "--onto", new, old, "series")
    shop.lock = lock
    finish(shop, items, git.chain(new, git.ref("HEAD")), new)
    drop_pending(shop)
    say("bump: the series is on Linux %s" % lock.version)


def resume_bump(shop):
    """A bump that stopped in a conflict: go on with its lock, or undo it where it was aborted."""
    if not os.path.exists(shop.state("bump")):
        return
    if shop.git.ref("HEAD") != shop.git.ref(tree.MADE):
        shop.lock = base.Lock(shop.state("lock"))
        return
    with open(shop.state("bump"), encoding="utf-8") as file:
        shop.git.raw("update-ref", base.BASE_REF, file.read().split()[0])
    os.unlink(shop.state("lock"))
    os.unlink(shop.state("bump"))
    say("bump: it was aborted; the base is Linux %s again" % shop.lock.version)


def drop_pending(shop):
    """A finished bump writes the new lock last."""
    if not os.path.exists(shop.state("bump")):
        return
    with open(shop.state("lock"), "rb") as file:
        write_file(os.path.join(shop.store.patches, "base.lock"), file.read())
    os.unlink(shop.state("lock"))
    os.unlink(shop.state("bump"))
