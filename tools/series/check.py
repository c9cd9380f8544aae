# SPDX-License-Identifier: GPL-2.0
"""The rules of the entries, as KTAP: one line a rule, what breaks it below."""

import os
import re

import entry as entries
import save
import tree
from gitio import Stop, say

NEAR = 4                # lines between two entries' hunks, or a hunk and a distribution's change
HOOKS, HOOK = 60, 10    # changed lines of an entry's hunks, of a single one: more warns
MANY = 20               # lines that are shown of what breaks a rule
LONG = 400              # lines of a new file: more warns
SUBJECT = re.compile(r"^(?:MAINTAINERS|(?:PCI|[a-z0-9])[\w/.+-]*(?:, ?[\w/.+-]+)*): (?:[\w/.+-]+: )*\S")


class Context:
    """What the rules look at, read once; rules that need commits wait for them."""

    def __init__(self, shop):
        self.shop, self.git = shop, shop.git
        self.items = shop.store.entries()
        self.overlay = shop.store.overlay()
        self.warnings = []
        self.base = tree.ensure(shop)
        self.made, self.error = [], None
        try:
            self.made = tree.commits(self.git, self.base, shop.store, self.items)
        except Stop as stop:
            self.error = str(stop)


def text(ctx):
    """Entry text: index lines, text after @@, creations, renames, unknown lines."""
    return [f for i in ctx.items for f in i.faults]


def claimed_once(ctx):
    """Each new file is claimed by exactly one entry, each claim exists."""
    found, out = {}, []
    for item in ctx.items:
        for path, mode in item.claims.items():
            if path in found:
                out.append("%s is claimed by two entries: %s and %s" % (path, found[path], item.name))
            found[path] = item.name
            if path not in ctx.overlay:
                out.append("%s claims %s, but the repository has no such file" % (item.name, path))
            elif ctx.overlay[path] != mode:
                out.append("%s claims %s with mode %s, the file has %s"
                           % (item.name, path, mode, ctx.overlay[path]))
    out += ["no entry claims %s" % p for p in sorted(ctx.overlay) if p not in found]
    return out


def existing_only(ctx):
    """No entry creates an existing kernel file or edits a new one."""
    out = []
    claims = {p for i in ctx.items for p in i.claims}
    files = {p for i in ctx.items for p in i.files}
    have = ctx.git.modes(ctx.base, claims | files)
    for item in ctx.items:
        out += ["%s creates %s, which the base kernel already has" % (item.name, p)
                for p in sorted(item.claims) if p in have]
        for path in sorted(item.files):
            if path in ctx.overlay or path in claims:
                out.append("%s: a hunk edits %s, which is a new file: change the file itself"
                           % (item.name, path))
            elif path not in have:
                out.append("%s: %s is no file of the base kernel" % (item.name, path))
    return out


def exact(ctx):
    """Hunks apply with no offset and no fuzz, by git apply too."""
    if ctx.error:
        return [ctx.error]
    out = []
    index = {"GIT_INDEX_FILE": ctx.shop.state("check-index")}
    try:
        for item, commit in zip(ctx.items, ctx.made):
            if not item.files:
                continue
            ctx.git.raw("read-tree", commit + "^", env=index)
            status, _, err = ctx.git.call("apply", "--cached", "--check", "-v", "--whitespace=error-all",
                                          "-", data=item.text().encode("utf-8", "surrogateescape"),
                                          env=index)
            if status or "offset" in err or "fuzz" in err:
                out.append("%s: git apply: %s" % (item.name, err.strip().split("\n")[0]))
    finally:
        if os.path.exists(ctx.shop.state("check-index")):
            os.unlink(ctx.shop.state("check-index"))
    return out


def whitespace(ctx):
    """No whitespace error in hunks and new files."""
    out = []
    for item, commit in zip(ctx.items, ctx.made):
        _, found, _ = ctx.git.call("-c", "core.whitespace=trailing-space,space-before-tab,blank-at-eof",
                                   "diff-tree", "--check", "--no-color", commit + "^", commit)
        rows = found.decode("utf-8", "replace").split("\n")
        out += ["%s: %s" % (item.name, r) for r in rows if re.match(r"^\S+:\d+: ", r)]
    return out


def shared(ctx):
    """A kernel file that two entries edit needs a reason."""
    out = []
    for item in ctx.items:
        for path in sorted(item.files):
            others = [o.name for o in ctx.items if o is not item and path in o.files]
            if others and os.path.basename(path) not in entries.EXPECTED_SHARED \
                    and path not in item.shared:
                out.append("%s: %s is edited by %s too: give the reason, ' shared %s: why' after ---"
                           % (item.name, path, ", ".join(others), path))
        out += ["%s: ' shared %s' stands for no shared file" % (item.name, p) for p in item.shared
                if p not in item.files or not any(p in o.files for o in ctx.items if o is not item)]
    return out


def marks(ctx, path):
    """Walk a file through the entries; say whose lines each hunk comes too near to."""
    content = ctx.git.blob(ctx.base, path)
    if content is None:
        return []
    lines = content.decode("utf-8", "replace").split("\n")
    owner = [set() for _ in lines]
    for first, last in ctx.shop.lock.touched.get(path, []):
        for at in range(first - 1, min(last, len(lines))):
            owner[at].add("the distribution's own change")
    out = []
    for item in ctx.items:
        shift = 0
        for hunk in item.files.get(path, []):
            at = hunk.start() + shift
            begin = at
            fresh, near = [], set()
            for line in hunk.body:
                if line[0] != "+":
                    if line[0] == " ":
                        fresh.append(owner[at])
                    at += 1
                if line[0] in "+-":
                    for other in owner[max(0, at - NEAR - (line[0] == "-")):at + NEAR]:
                        near |= other - {item.name}
                if line[0] == "+":
                    fresh.append({item.name})
                elif line[0] == "-" and fresh:
                    fresh[-1] = fresh[-1] | {item.name}
            length = at - begin
            if fresh and any(l[0] == "-" for l in hunk.body):
                fresh[-1] = fresh[-1] | {item.name}
            owner[begin:begin + length] = fresh
            shift += len(fresh) - length
            out += ["%s: the hunk at line %d of %s is less than %d lines from %s"
                    % (item.name, hunk.old, path, NEAR, n) for n in sorted(near)]
    return out


def apart(ctx):
    """Two entries' hunks keep a distance, and so do hunks and the distribution's changes."""
    if ctx.error:
        return [ctx.error]
    return [f for p in sorted({p for i in ctx.items for p in i.files}) for f in marks(ctx, p)]


def budget(ctx):
    """Hook sizes (warns) and the foreign lines of each entry."""
    total = 0
    for item in ctx.items:
        hunks = [h for hs in item.files.values() for h in hs]
        changed, foreign = sum(h.changed() for h in hunks), sum(h.foreign() for h in hunks)
        total += foreign
        say("# foreign lines: %3d  hook lines: %3d  %s" % (foreign, changed, item.name))
        if changed > HOOKS:
            ctx.warnings.append("%s: its hunks change %d lines (budget %d): move code to a new file"
                                % (item.name, changed, HOOKS))
        for path, list_of_hunks in item.files.items():
            ctx.warnings += ["%s: the hunk at line %d of %s changes %d lines (budget %d)"
                             % (item.name, h.old, path, h.changed(), HOOK)
                             for h in list_of_hunks if h.changed() > HOOK]
        for path in item.claims:
            if path in ctx.overlay:
                length = ctx.shop.store.read(path).count(b"\n")
                if length > LONG and path.endswith((".c", ".h", ".py", ".sh")):
                    ctx.warnings.append("%s: %d lines (about %d are wanted)" % (path, length, LONG))
    say("# foreign lines: %3d  in all" % total)
    return []


def message(ctx):
    """Subject with a prefix and at most 75 columns; changelog 75 columns; no sign-off."""
    out, seen = [], {}
    for item in ctx.items:
        if len(item.subject) > 75:
            out.append("%s: the subject has %d columns, 75 are allowed" % (item.name, len(item.subject)))
        if not SUBJECT.match(item.subject) or item.subject.endswith("."):
            out.append("%s: the subject is not 'subsystem: Summary' without a full stop: %s"
                       % (item.name, item.subject))
        if item.subject in seen:
            out.append("%s: the subject is also that of %s" % (item.name, seen[item.subject]))
        seen[item.subject] = item.name
        if not item.body:
            out.append("%s: no changelog" % item.name)
        for line in item.body.split("\n"):
            quoted = line.startswith(("    ", "\t")) or re.match(r"^(Fixes|Link|Closes): ", line)
            if len(line.expandtabs(8)) > 75 and " " in line.strip() and not quoted:
                out.append("%s: the changelog has a line of %d columns, 75 are allowed: %s"
                           % (item.name, len(line), line))
            if line.startswith("Signed-off-by:"):
                out.append("%s: Signed-off-by is added by whoever sends the patch" % item.name)
        if not item.claims and not item.files and not item.splice:
            out.append("%s changes nothing" % item.name)
    return out


def listed(ctx):
    """patches/ holds the entries of patches/series and no other; each has a topic, in one piece."""
    names = [i.name for i in ctx.items]
    out = ["patches/%s is not in patches/series" % f for f in sorted(os.listdir(ctx.shop.store.patches))
           if f.endswith(".patch") and f[:-6] not in names]
    out += ["%s has no topic: put '# topic: NAME' above it in patches/series" % i.name
            for i in ctx.items if not i.topic]
    seen = []
    for item in ctx.items:
        if seen and item.topic != seen[-1] and item.topic in seen:
            out.append("%s: topic %s is not in one piece" % (item.name, item.topic))
        seen.append(item.topic)
    return out


def round_trip(ctx):
    """Entries to commits to entries changes no byte; a second time gives the same ids."""
    if ctx.error:
        return [ctx.error]
    out, claimed = [], tree.owners(ctx.items)
    for item, commit in zip(ctx.items, ctx.made):
        now = save.export(ctx.git, commit, item, claimed).text()
        if now.encode("utf-8", "surrogateescape") != ctx.shop.store.read("patches/%s.patch" % item.name):
            out.append("%s: make save would write it differently: run make save" % item.name)
    again = tree.commits(ctx.git, ctx.base, ctx.shop.store, ctx.shop.store.entries())
    if again != ctx.made:
        out.append("a second tree has other commit ids")
    return out


def in_tree(ctx):
    """build/linux is the series: no edit that is not saved, no copy that is stale."""
    top = tree.tip(ctx.made, ctx.base)
    if ctx.error:
        return [ctx.error]
    if ctx.git.ref("HEAD") != top:
        return ["%s is not what patches/ says: run make tree" % ctx.shop.shown()]
    return ["%s differs from the series: make save, or undo it" % ctx.shop.shown(p)
            for p in sorted(tree.dirty(ctx.shop))]


RULES = (("entries-text", text), ("entries-listed", listed), ("files-claimed-once", claimed_once),
         ("entries-edit-existing-files-only", existing_only), ("hunks-exact", exact),
         ("whitespace", whitespace), ("shared-files-have-a-reason", shared),
         ("hunks-apart", apart), ("hook-size", budget), ("messages", message),
         ("round-trip", round_trip), ("tree-is-the-series", in_tree))


def run(shop):
    """KTAP on standard output; 1 where a rule is broken."""
    ctx = Context(shop)
    say("KTAP version 1\n1..%d" % len(RULES))
    failed = 0
    for number, (name, rule) in enumerate(RULES, 1):
        try:
            found = rule(ctx)
        except Stop as stop:
            found = [str(stop)]
        for line in found[:MANY]:
            say("# " + line.replace("\n", "\n# "))
        if len(found) > MANY:
            say("# ... and %d more" % (len(found) - MANY))
        say("%s %d entries.%s" % ("not ok" if found else "ok", number, name))
        failed += bool(found)
    for line in ctx.warnings:
        say("# warning: " + line)
    return 1 if failed else 0
