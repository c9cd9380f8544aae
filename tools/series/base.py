# SPDX-License-Identifier: GPL-2.0
"""The pinned kernel: find or fetch its package, verify, unpack, make the base commit."""

import configparser
import errno
import glob
import hashlib
import http.client
import lzma
import os
import shutil
import subprocess
import sys
import tarfile
import time
import urllib.error
import urllib.request

from gitio import Git, Stop, say, write_file

MIRROR = "@mirror@"
BASE_REF = "refs/series/base"
BLOCK = 1 << 20


class Progress:
    """One line that is rewritten on a terminal, a line every 10 seconds elsewhere."""

    def __init__(self, what, total, unit="MB", scale=1e6):
        self.what, self.total, self.unit, self.scale = what, total, unit, scale
        self.tty, self.last = sys.stdout.isatty(), time.monotonic()

    def show(self, done, final=False):
        now = time.monotonic()
        if not final and now - self.last < (0.2 if self.tty else 10):
            return
        self.last = now
        text = "%s: %d %s" % (self.what, done / self.scale, self.unit)
        if self.total:
            text += " of %d (%d %%)" % (self.total / self.scale, 100 * done // self.total)
        print(("\r" if self.tty else "") + text, end="" if self.tty and not final else "\n",
              flush=True)


class Source:
    """One place of base.lock where the kernel comes from."""

    def __init__(self, name, keys):
        self.name = name
        self.url = keys.get("url", "")
        self.file = keys.get("file") or os.path.basename(self.url)
        self.size = int(keys.get("size") or 0)
        self.sha256 = keys.get("sha256", "")
        self.inner = keys.get("inner", "")
        self.inner_sha256 = keys.get("inner-sha256", "")
        self.tree = keys.get("tree", "")


class Lock:
    def __init__(self, path):
        parser = configparser.ConfigParser(interpolation=None, delimiters=("=",),
                                           inline_comment_prefixes=("#",))
        parser.optionxform = str
        try:
            with open(path, encoding="utf-8") as file:
                parser.read_file(file)
            base = parser["base"]
            self.version, self.date = base["version"], base["date"]
            self.tag, self.commit = base["tag"], base.get("commit", "")
        except (OSError, configparser.Error, KeyError) as error:
            raise Stop("%s: %s" % (path, error))
        self.path = path
        self.sources = [Source(n[7:], parser[n]) for n in parser.sections()
                        if n.startswith("source ")]
        self.touched = {}       # path -> [(first, last)] that the distribution changed
        for name in parser.sections():
            if name == "changed by the distribution":
                for file, ranges in parser[name].items():
                    pairs = [r.split("-") for r in ranges.split()]
                    self.touched[file] = [(int(p[0]), int(p[-1])) for p in pairs]

    def trailer(self):
        """What a reader of the mail applies the series to; never an invented id."""
        return "base-commit: " + self.commit if self.commit else "base: " + self.tag


def mirrors():
    """The mirrors that this machine's own apt uses, without a double slash later."""
    try:
        out = subprocess.run(["apt-get", "indextargets", "--format", "$(REPO_URI)"],
                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
    except (OSError, subprocess.CalledProcessError):
        return []
    found = []
    for uri in out.stdout.decode().split():
        uri = uri.rstrip("/")
        if uri.startswith(("http://", "https://")) and uri not in found:
            found.append(uri)
    return found


def digest(path, size=0, what=None):
    total, sha = 0, hashlib.sha256()
    progress = Progress(what, size) if what else None
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(BLOCK), b""):
            sha.update(block)
            total += len(block)
            if progress:
                progress.show(total)
    return total, sha.hexdigest()


def verify(path, source, pinned):
    size, found = digest(path, source.size, "verify " + os.path.basename(path))
    if found != pinned:
        short = " (%d bytes, expected %d)" % (size, source.size) if size != source.size else ""
        raise Stop("wrong checksum: %s has sha256 %s, patches/base.lock says %s%s"
                   % (path, found, pinned, short))


def download(url, target, source, pinned, opener=urllib.request.urlopen):
    """Fetch to a temporary file, verify, rename. Gives False where the file is not there."""
    part = target + ".part"
    say("fetch %s" % url)
    try:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with opener(url, timeout=60) as answer, open(part, "wb") as out:
            total, sha = 0, hashlib.sha256()
            progress = Progress("fetch " + source.file, source.size)
            for block in iter(lambda: answer.read(BLOCK), b""):
                out.write(block)
                sha.update(block)
                total += len(block)
                progress.show(total)
            progress.show(total, final=True)
        if source.size and total < source.size:
            raise Stop("truncated download: %s gave %d of %d bytes" % (url, total, source.size))
        if sha.hexdigest() != pinned:
            raise Stop("wrong checksum: %s has sha256 %s, expected %s"
                       % (url, sha.hexdigest(), pinned))
        os.replace(part, target)
        return True
    except urllib.error.HTTPError as error:
        say("  not there: HTTP %d" % error.code)
    except http.client.HTTPException as error:
        raise Stop("truncated download: %s broke off (%s)" % (url, type(error).__name__))
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise Stop("no space left for %s: %d MB needed" % (target, source.size // 1000000))
        say("  no answer: %s" % (getattr(error, "reason", None) or error))
    finally:
        if os.path.exists(part):
            os.unlink(part)
    return False


def fetch(lock, build, root, opener=urllib.request.urlopen):
    """The path of a verified package of the base, and its source."""
    default = os.path.join(root, "..", "shared", "cache")
    given = os.environ.get("KERNEL_CACHE")
    folders = [os.path.join(build, "cache")]
    folders += given.split(":") if given else [default]
    for source in lock.sources:
        pinned = source.sha256 or os.environ.get("KERNEL_ORG_SHA256", "")
        for folder in folders:
            path = os.path.normpath(os.path.join(folder, source.file))
            if os.path.isfile(path) and pinned:
                stamp = os.path.join(build, "cache", source.file + ".verified")
                stat = os.stat(path)
                mark = "%s %d %d %s\n" % (path, stat.st_size, stat.st_mtime_ns, pinned)
                if not (os.path.exists(stamp) and open(stamp, encoding="utf-8").read() == mark):
                    verify(path, source, pinned)
                    write_file(stamp, mark)
                say("base: %s (sha256 matches)" % path)
                return path, source
    tried = []
    for source in lock.sources:
        pinned = source.sha256 or os.environ.get("KERNEL_ORG_SHA256", "")
        if not pinned:
            tried.append("%s is not tried: patches/base.lock has no sum for %s; take it from the "
                         "signed sha256sums.asc beside it and give it as KERNEL_ORG_SHA256="
                         % (source.name, source.url))
            continue
        target = os.path.join(build, "cache", source.file)
        urls = [source.url]
        if MIRROR in source.url:
            urls = [source.url.replace(MIRROR, m) for m in mirrors()]
        for url in urls:
            if download(url, target, source, pinned, opener):
                return target, source
            tried.append("not at %s" % url)
        if not urls:
            tried.append("%s: apt knows no mirror" % source.name)
    raise Stop("no source of Linux %s could be reached (is there a network?):\n  %s\n"
               "Put %s into a directory and name it with KERNEL_CACHE=DIR."
               % (lock.version, "\n  ".join(tried), lock.sources[0].file))


class Hashed:
    """A stream that counts and hashes what is read through it."""

    def __init__(self, stream, progress):
        self.stream, self.progress = stream, progress
        self.sha, self.total = hashlib.sha256(), 0

    def read(self, count=-1):
        data = self.stream.read(count)
        self.sha.update(data)
        self.total += len(data)
        self.progress.show(self.total)
        return data


def ar_member(path, wanted):
    """A file object at the start of a member of a .deb, and the member's name and size."""
    file = open(path, "rb")
    if file.read(8) != b"!<arch>\n":
        raise Stop("%s is not a Debian package" % path)
    while True:
        head = file.read(60)
        if len(head) < 60:
            raise Stop("%s has no %s" % (path, wanted))
        name, size = head[:16].decode().strip().rstrip("/"), int(head[48:58])
        if name.startswith(wanted):
            return file, name, size
        file.seek(size + size % 2, os.SEEK_CUR)


def extract(stream, total, sha256, target):
    """Unpack an xz-compressed tar without its leading directory; verify what was read."""
    counted = Hashed(stream, Progress("unpack", total))
    made = 0
    with tarfile.open(fileobj=lzma.open(counted), mode="r|") as tar:
        # Names are checked below; the newer Pythons' default filter is not needed.
        tar.extraction_filter = lambda member, path: member
        for member in tar:
            if "/" not in member.name.strip("/"):
                continue
            member.name = member.name.split("/", 1)[1]
            if member.name.startswith("/") or ".." in member.name.split("/"):
                raise Stop("unsafe path in the kernel's archive: %s" % member.name)
            if not member.isdir() and not member.issym():
                member.mode = 0o755 if member.mode & 0o100 else 0o644
            if member.isdir():
                member.mode = 0o755
            member.uid = member.gid = 0
            member.uname = member.gname = ""
            tar.extract(member, target, set_attrs=True)
            made += 1
    for _ in iter(lambda: counted.read(BLOCK), b""):
        pass
    counted.progress.show(counted.total, final=True)
    if sha256 and counted.sha.hexdigest() != sha256:
        raise Stop("wrong checksum inside the package: sha256 %s, patches/base.lock says %s"
                   % (counted.sha.hexdigest(), sha256))
    say("unpack: %d files and directories" % made)


def unpack(path, source, target):
    if not source.inner:
        with open(path, "rb") as file:
            return extract(file, os.path.getsize(path), "", target)
    file, name, _ = ar_member(path, "data.tar")
    with file:
        # The member is read no further than its end marker, so what follows does no harm.
        mode = "r|xz" if name.endswith(".xz") else "r|gz" if name.endswith(".gz") else "r|"
        with tarfile.open(fileobj=file, mode=mode) as outer:
            for member in outer:
                if member.name.lstrip("./") == source.inner:
                    return extract(outer.extractfile(member), member.size,
                                   source.inner_sha256, target)
    raise Stop("%s has no %s" % (path, source.inner))


def commit(git, lock, source, worktree, env=None):
    """The base commit of an unpacked tree: fixed author and date, every file forced in.

    Debian's tree ends its .gitignore with a line that hides each new file at the top.
    """
    say("base commit: git add of the whole tree, about 20 s")
    git.raw("--work-tree=" + worktree, "add", "-f", "-A", ".", env=env)
    tree = git.text("write-tree", env=env)
    if source.tree and tree != source.tree:
        raise Stop("the unpacked tree is %s, patches/base.lock says %s for %s"
                   % (tree, source.tree, source.name))
    dates = {"GIT_AUTHOR_DATE": lock.date, "GIT_COMMITTER_DATE": lock.date}
    message = "Linux %s (%s)\n" % (lock.version, source.name)
    return git.text("commit-tree", tree, "-F", "-", data=message.encode(), env=dates)


def sweep(build):
    """Remove what a killed run left half done; the caller holds the lock, so nobody is at it."""
    left = glob.glob(os.path.join(glob.escape(build), "linux.new*"))
    left += glob.glob(os.path.join(glob.escape(build), "linux.bump*"))
    left += glob.glob(os.path.join(glob.escape(build), "cache", "*.part"))
    left += [os.path.join(build, name) for name in ("git-am", "last-version")]
    for path in left:
        if os.path.isdir(path):
            say("remove the unfinished %s" % path)
            shutil.rmtree(path, ignore_errors=True)
        elif os.path.exists(path):
            say("remove the unfinished %s" % path)
            os.unlink(path)


def make_tree(lock, build, root, target):
    """Unpack and commit into a temporary directory, then rename: never half a tree."""
    path, source = fetch(lock, build, root)
    temporary = target + ".new%d" % os.getpid()
    try:
        os.makedirs(temporary)
        unpack(path, source, temporary)
        git = Git(temporary)
        git.raw("init", "-q", "-b", "series")
        for key, value in (("user.name", "series"), ("user.email", "series@localhost"),
                           ("core.looseCompression", "0"), ("gc.auto", "0")):
            git.raw("config", key, value)
        base = commit(git, lock, source, temporary)
        git.raw("update-ref", BASE_REF, base)
        git.raw("update-ref", "refs/series/made", base)
        git.raw("update-ref", "refs/heads/series", base)
        os.rename(temporary, target)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise Stop("no space left to unpack into %s: about 3 GB needed" % target)
        raise Stop("cannot unpack into %s: %s" % (target, error.strerror or error))
    except (lzma.LZMAError, tarfile.TarError, EOFError) as error:
        raise Stop("%s cannot be unpacked: %s" % (path, error))
    finally:
        if os.path.isdir(temporary):
            say("remove the unfinished %s" % temporary)
            shutil.rmtree(temporary, ignore_errors=True)
    say("base: %s is Linux %s, commit %s" % (target, lock.version, base[:12]))
