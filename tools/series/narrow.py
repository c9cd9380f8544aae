# SPDX-License-Identifier: GPL-2.0
"""A build from one commit to the next that walks only where something can have changed.

kbuild's own walk of some hundred directories costs more than what an entry of the series
makes it compile. Where no file changed that a directory's .cmd files name, nor a makefile
in it, kbuild would find nothing to do, so it is kept from looking (narrow.sh); the same for
options and the .cmd files and makefiles that name them. Anything else than C code and
makefiles, an option that concerns all, a failure, or a generated header that turns out
to have changed leads to an ordinary build. What this rests on is proven at the end of
make bisect: an ordinary build finds nothing left to compile.
"""

import os
import re

HERE = os.path.dirname(os.path.abspath(__file__))
CODE = re.compile(r"\.[chS]$")
MAKEFILE = re.compile(r"(^|/)(Makefile|Kbuild)$")
# Makefiles whose effect is not on their own directory alone.
WIDE = re.compile(r"^(Makefile|Kbuild|scripts/.*|tools/.*|arch/[^/]+/Makefile|arch/x86/(boot|entry|realmode|tools)/.*)$")
# What no kernel build reads.
NEVER_READ = re.compile(r"^(Documentation/|tools/testing/|samples/|MAINTAINERS$)|(^|/)(\.kunitconfig|\.gitignore)$")
KCONFIG = re.compile(r"(^|/)Kconfig[^/]*$")
# Written at each change of Kconfig, though options are looked at one by one; and at each link.
PASSING = re.compile(r"^(\.|auto\.?conf|rustc_cfg$|utsversion\.h$)")
GENERATED = ("include/generated", "arch/x86/include/generated")
OPTION = re.compile(r"(?m)^(?:# )?CONFIG_(\w+)(?:=.*| is not set)$")


class Needs:
    """Which of some sources each object of an output directory was made from, as kbuild noted."""

    def __init__(self, out, tree, paths):
        self.out, self.paths = out, set(paths)
        self.name = re.compile(r"(?:%s/|\.\./linux/)([^\s\\)]+)" % re.escape(tree))
        self.known = {}         # .cmd file -> (time stamp, sources)

    def refresh(self):
        now = {}
        for folder, inside, files in os.walk(self.out):
            if folder == self.out:
                inside[:] = [d for d in inside if d not in ("kselftest", "vmtest", "source", "tools")]
            for name in files:
                if not name.endswith(".cmd"):
                    continue
                path = os.path.join(folder, name)
                stamp, sources = self.known.get(path, (None, None))
                found = os.stat(path).st_mtime_ns
                if stamp != found:
                    with open(path, encoding="utf-8", errors="replace") as file:
                        sources = self.paths.intersection(map(os.path.normpath, self.name.findall(file.read())))
                now[path] = (found, sources)
        self.known = now

    def directories(self, changed):
        """Those that have an object made from one of the changed sources."""
        changed = set(changed)
        return {os.path.relpath(os.path.dirname(path), self.out)
                for path, (_, sources) in self.known.items() if sources & changed}

    def with_options(self, options):
        """Directories that have an object which depends on one of the options."""
        found, name = set(), re.compile(r"include/config/(?:%s)\)" % "|".join(options))
        for path in self.known:
            folder = os.path.relpath(os.path.dirname(path), self.out)
            if folder not in found:
                with open(path, encoding="utf-8", errors="replace") as file:
                    found |= {folder} if name.search(file.read()) else set()
        return found


def with_parents(directories):
    found = {"."}
    for path in directories:
        while path and path != ".":
            found.add(path)
            path = os.path.dirname(path)
    return found


def affected(changed, needs):
    """The directories where kbuild has something to do, or None: it can be anywhere."""
    code, places = set(), set()
    for path in changed:
        if NEVER_READ.search(path) or KCONFIG.search(path):
            continue            # What Kconfig says shows in .config.
        if MAKEFILE.search(path) and not WIDE.search(path):
            places.add(os.path.dirname(path))
        elif CODE.search(path) and not path.startswith(("scripts/", "tools/")):
            code.add(path)
        else:
            return None
    return places | needs.directories(code)


def newest(out):
    """The time of the last change of a generated header or of an option."""
    last = 0
    for top in GENERATED:
        for folder, _, files in os.walk(os.path.join(out, top)):
            last = max([last] + [os.stat(os.path.join(folder, f)).st_mtime_ns for f in files
                                 if not PASSING.match(f)])
    return last


def objects(out):
    """The time stamps of what compilers made of the kernel's sources."""
    found = {}
    for folder, inside, files in os.walk(out):
        if folder == out:
            inside[:] = [d for d in inside if d not in ("kselftest", "vmtest", "source", "tools", "scripts")]
        for name in files:
            if name.endswith(".o") and os.path.exists(os.path.join(folder, ".%s.cmd" % name)):
                path = os.path.join(folder, name)
                found[os.path.relpath(path, out)] = os.stat(path).st_mtime_ns
    return found


def changed_options(old, new):
    """Names of the options that are not the same in two .config files; not set is as good as unknown."""
    one, two = ({l for l in text.split("\n") if l.startswith("CONFIG_")} for text in (old, new))
    return sorted({m.group(1) for m in map(OPTION.match, one ^ two)})


class Narrow:
    """One output directory from commit to commit."""

    def __init__(self, kbuild, out, paths):
        self.kbuild, self.out = kbuild, out
        self.needs = Needs(out, kbuild.shop.path, paths)
        self.commit, self.config = None, None       # of the last build that was complete

    def read_config(self):
        with open(os.path.join(self.out, ".config"), encoding="utf-8") as file:
            return file.read()

    def where(self, commit, extra=()):
        """The directories to walk for a commit, or None for all. extra: more changed sources."""
        if not self.commit:
            return None
        changed = self.kbuild.git.lines("diff-tree", "-r", "--name-only", "--no-renames", self.commit, commit)
        self.needs.refresh()
        found, options = affected(changed, self.needs), changed_options(self.config, self.read_config())
        if found is None or not options:
            return None if found is None else found | {os.path.dirname(p) for p in extra}
        status, named, _ = self.kbuild.git.call("grep", "-l", "-w", "-E", "CONFIG_(%s)" % "|".join(options), commit,
                                                "--", ":(glob)**/Makefile*", ":(glob)**/Kbuild*", "scripts", "tools")
        makers = [r.split(":", 1)[1] for r in named.decode().split("\n") if r]
        makers = [p for p in makers if not p.startswith("tools/testing/")]
        more = affected(makers, self.needs) if status in (0, 1) else None
        if more is None:
            return None
        return found | more | self.needs.with_options(options) | {os.path.dirname(p) for p in extra}

    def make(self, label, commit, *goals, extra=()):
        """As Kbuild.make(), at a commit that is checked out."""
        places = self.where(commit, extra)
        if places is not None and not places:
            self.commit = commit
            return 0, ""
        few = [g for g in goals if not g.endswith("/") or places is None or any(
            (p + "/").startswith(g) for p in places)]
        self.commit, before = None, newest(self.out)
        status, text = self.kbuild.make(label, self.out, *few, places=places)
        if places is not None and (status or newest(self.out) != before):
            status, text = self.kbuild.make(label, self.out, *goals)
        if not status:
            self.commit, self.config = commit, self.read_config()
        return status, text


def narrowed(places):
    """(arguments, environment) that keep kbuild to these directories."""
    return (["MAKE=" + os.path.join(HERE, "narrow.sh")],
            {"NARROW_DIRS": " %s " % " ".join(sorted(with_parents(places)))})
