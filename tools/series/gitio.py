# SPDX-License-Identifier: GPL-2.0
"""git, called so that neither the user's settings nor the environment change a result."""

import os
import shlex
import subprocess
import sys

IDENT = "series"
MAIL = "series@localhost"


class Stop(Exception):
    """An error for the user: one clear message, no traceback."""


def say(text):
    print(text, flush=True)


def show(command, cwd=None, verbose=None):
    """V=1: the command, so that it can be repeated by hand. A comment where KTAP is printed."""
    if os.environ.get("V") == "1" if verbose is None else verbose:
        where = "cd %s && " % shlex.quote(cwd) if cwd else ""
        print("# + %s%s" % (where, " ".join(shlex.quote(c) for c in command)), file=sys.stderr, flush=True)


def environment(extra=None):
    env = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    env.update(GIT_CONFIG_GLOBAL=os.devnull, GIT_CONFIG_NOSYSTEM="1",
               GIT_TERMINAL_PROMPT="0", LC_ALL="C.UTF-8", TZ="UTC",
               GIT_AUTHOR_NAME=IDENT, GIT_AUTHOR_EMAIL=MAIL,
               GIT_COMMITTER_NAME=IDENT, GIT_COMMITTER_EMAIL=MAIL,
               PYTHONDONTWRITEBYTECODE="1")
    env.update(extra or {})
    return env


class Git:
    OPTIONS = ("core.quotePath=false", "core.autocrlf=false", "core.fileMode=true",
               "core.looseCompression=0", "core.hooksPath=" + os.devnull,
               "commit.gpgsign=false", "gc.auto=0", "diff.noprefix=false",
               "diff.mnemonicPrefix=false", "safe.directory=*",
               "advice.detachedHead=false", "init.defaultBranch=series",
               # Bounds the memory of git's own diff and name look-ups; not a behaviour.
               "core.preloadIndex=true")

    def __init__(self, path, verbose=None):
        self.path = path
        self.verbose = os.environ.get("V") == "1" if verbose is None else verbose

    def command(self, args):
        cmd = ["git", "-C", self.path]
        for option in self.OPTIONS:
            cmd += ["-c", option]
        return cmd + list(args)

    def call(self, *args, data=None, env=None):
        """Run git and give back (status, stdout, stderr) as bytes, bytes, text."""
        show(["git", "-C", self.path] + list(args), verbose=self.verbose)
        done = subprocess.run(self.command(args), input=data if data is not None else b"",
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              env=environment(env))
        return done.returncode, done.stdout, done.stderr.decode("utf-8", "replace")

    def raw(self, *args, data=None, env=None):
        status, out, err = self.call(*args, data=data, env=env)
        if status:
            raise Stop("git %s failed in %s: %s" % (args[0], self.path,
                                                    err.strip() or out.decode("utf-8", "replace").strip()))
        return out

    def text(self, *args, data=None, env=None):
        return self.raw(*args, data=data, env=env).decode("utf-8", "replace").strip()

    def lines(self, *args):
        return [l for l in self.text(*args).split("\n") if l]

    def ref(self, name):
        """The commit that name stands for, or None."""
        status, out, _ = self.call("rev-parse", "-q", "--verify", name + "^{commit}")
        return out.decode().strip() if status == 0 else None

    def blob(self, rev, path):
        """The content of a file in a commit, or None."""
        status, out, _ = self.call("cat-file", "blob", "%s:%s" % (rev, path))
        return out if status == 0 else None

    def modes(self, rev, paths):
        """The mode and blob id of each of the paths that the commit has."""
        found = {}
        paths = sorted(set(paths))
        if not paths:
            return found
        out = self.raw("ls-tree", "-z", "--full-tree", rev, "--", *paths)
        for row in out.decode("utf-8", "replace").split("\0"):
            if row:
                head, path = row.split("\t", 1)
                mode, _, blob = head.split()
                found[path] = (mode, blob)
        return found

    def chain(self, base, tip):
        return self.lines("rev-list", "--reverse", "--topo-order", "%s..%s" % (base, tip))

    def pick(self, commit, onto, renames=False):
        """Three-way: the change of a commit on another one, without a work tree.

        Gives (tree, []) or (None, [file with a conflict, ...]). Renames are followed
        where the two bases differ; within one base there are none to look for.
        """
        parent = self.text("rev-parse", commit + "^")
        # merge-tree looks for the merge base itself: give the target the wanted parent.
        ours = self.text("commit-tree", onto + "^{tree}", "-p", parent, "-m", "ours",
                         env={"GIT_AUTHOR_DATE": "@0 +0000", "GIT_COMMITTER_DATE": "@0 +0000"})
        status, out, err = self.call("-c", "merge.renames=%s" % str(renames).lower(),
                                     "merge-tree", "--write-tree", "--name-only",
                                     "--no-messages", ours, commit)
        rows = out.decode("utf-8", "replace").split("\n")
        if status == 0:
            return rows[0], []
        if status == 1:
            return None, sorted({r for r in rows[1:] if r})
        raise Stop("git merge-tree failed: %s" % err.strip())

    def recommit(self, commit, tree, parent):
        """The same message, author and dates on another tree and parent."""
        out = self.raw("log", "-1", "--format=%an%n%ae%n%ad%n%B", "--date=raw", commit)
        name, mail, date, message = out.decode("utf-8").split("\n", 3)
        return self.text("commit-tree", tree, "-p", parent, "-F", "-",
                         data=(message.rstrip("\n") + "\n").encode(),
                         env={"GIT_AUTHOR_NAME": name, "GIT_AUTHOR_EMAIL": mail,
                              "GIT_AUTHOR_DATE": date, "GIT_COMMITTER_NAME": name,
                              "GIT_COMMITTER_EMAIL": mail, "GIT_COMMITTER_DATE": date})

    def rebasing(self):
        folder = self.text("rev-parse", "--absolute-git-dir")
        return any(os.path.isdir(os.path.join(folder, d))
                   for d in ("rebase-merge", "rebase-apply"))


def write_file(path, data):
    """Temporary file, then rename: a reader never sees half a file."""
    if isinstance(data, str):
        data = data.encode("utf-8")
    try:
        with open(path, "rb") as old:
            if old.read() == data:
                return False
    except FileNotFoundError:
        pass
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    temporary = "%s.tmp%d" % (path, os.getpid())
    try:
        with open(temporary, "wb") as new:
            new.write(data)
        os.replace(temporary, path)
    except OSError as error:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise Stop("cannot write %s: %s" % (path, error.strerror))
    return True
