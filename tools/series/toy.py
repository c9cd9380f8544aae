# SPDX-License-Identifier: GPL-2.0
"""A toy kernel, its package and a toy repository, for the tests of the tool."""

import contextlib
import hashlib
import io
import lzma
import os
import shutil
import sys
import tarfile
import tempfile
import unittest

import check
import tree
from gitio import Git, Stop

NUMBERED = "".join("line %d\n" % n for n in range(1, 61))
KERNEL = {
    "Makefile": "# SPDX-License-Identifier: GPL-2.0\nVERSION = 7\n",
    ".gitignore": "*.o\n/*\n!/debian/\n",
    "MAINTAINERS": "List\n====\n\nMaintainers List\n----------------\n\n"
                   "ALPHA\nM:\tA <a@localhost>\nF:\talpha/\n\n"
                   "IOMMU DMA-API LAYER\nM:\tB <b@localhost>\nF:\tdma/\n\n"
                   "IOMMU SUBSYSTEM\nM:\tC <c@localhost>\nF:\tiommu/\n\n"
                   "THE REST\nM:\tL <l@localhost>\nF:\t*\n",
    "drivers/core.c": NUMBERED, "drivers/other.c": NUMBERED, "drivers/Kconfig": NUMBERED,
    "include/iommu.h": NUMBERED, "scripts/run.sh": "#!/bin/sh\necho run\n",
}
LOCK = """# SPDX-License-Identifier: GPL-2.0
[base]
version = 7.3.4
tag = v7.3.4
commit =
date = 1700000000 +0000

[source toy]
file = %(file)s
url = @mirror@/pool/%(file)s
size = %(size)d
sha256 = %(sha256)s
inner = usr/src/toy.tar.xz
inner-sha256 = %(inner)s

[changed by the distribution]
drivers/other.c = 20 30-32
"""
HEAD = "From: Toy <toy@localhost>\nDate: Sat, 21 Nov 2026 02:0%d:00 +0100\nSubject: toy: %s\n\n" \
       "Because of %s.\n\n---\n"


def hunk(path, line, added, text=NUMBERED, shift=0):
    lines = text.split("\n")
    return ("diff --git a/%s b/%s\n--- a/%s\n+++ b/%s\n@@ -%d,2 +%d,%d @@\n %s\n%s %s\n" % (
        path, path, path, path, line + shift, line + shift, 2 + len(added), lines[line - 1],
        "".join("+%s\n" % a for a in added), lines[line]))


def entries():
    return {
        "one": HEAD % (1, "Add one", "one") + " create mode 100644 drivers/new/one.c\n"
        " create mode 100755 scripts/new.sh\n\n" + hunk("drivers/core.c", 10, ["first hook"])
        + hunk("include/iommu.h", 10, ["one(void);"]),
        "two": HEAD % (2, "Add two", "two") + " create mode 100644 drivers/new/two.c\n\n"
        + hunk("drivers/other.c", 50, ["other hook"]) + hunk("include/iommu.h", 40, ["two(void);"], shift=1),
        "maintainers": HEAD % (3, "Name who cares", "names") + " splice MAINTAINERS\n",
    }


FILES = {
    "MAINTAINERS": "# SPDX-License-Identifier: GPL-2.0\nIOMMU LIVE UPDATE\nM:\tT <t@localhost>\n"
                   "F:\tdrivers/new/\n",
    "drivers/new/one.c": "// SPDX-License-Identifier: GPL-2.0\nint one;\n",
    "drivers/new/two.c": "// SPDX-License-Identifier: GPL-2.0\nint two;\n",
    "scripts/new.sh": "#!/bin/sh\n# SPDX-License-Identifier: GPL-2.0\n",
    "patches/series": "# SPDX-License-Identifier: GPL-2.0\n# topic: core\none\ntwo\n# topic: docs\nmaintainers\n",
    "patches/cover-letter": "# SPDX-License-Identifier: GPL-2.0\nSubject: toy: A series\n\nWhy.\n",
    "patches/cover-letter.core": "# SPDX-License-Identifier: GPL-2.0\nSubject: toy: The core\n\nHow.\n",
}


def put(path, data, mode=None):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if os.path.exists(path):
        os.chmod(path, 0o644)
    with open(path, "wb") as file:
        file.write(data if isinstance(data, bytes) else data.encode())
    if mode:
        os.chmod(path, mode)


def package(folder, name, files):
    """A .deb that holds usr/src/toy.tar.xz; gives (its size, sha256, the inner sha256)."""
    def tar(members):
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as archive:
            for path in sorted(members):
                data, info = members[path], tarfile.TarInfo(path)
                info.size, info.mtime = len(data), 1600000000
                info.mode = 0o755 if path.endswith(".sh") else 0o644
                archive.addfile(info, io.BytesIO(data))
        return out.getvalue()
    inner = lzma.compress(tar({"toy-7.3/" + p: d.encode() for p, d in files.items()}))
    data = lzma.compress(tar({"./usr/src/toy.tar.xz": inner}))
    deb = b"!<arch>\n"
    for member, content in (("debian-binary", b"2.0\n"), ("data.tar.xz", data)):
        deb += ("%-16s%-12d%-6d%-6d%-8s%-10d`\n" % (member, 0, 0, 0, "100644", len(content))).encode()
        deb += content + b"\n" * (len(content) % 2)
    put(os.path.join(folder, name), deb)
    return len(deb), hashlib.sha256(deb).hexdigest(), hashlib.sha256(inner).hexdigest()


class Toy(unittest.TestCase):
    """Each test gets its own copy of a repository whose tree is made already."""

    @classmethod
    def setUpClass(cls):
        cls.home = tempfile.mkdtemp(prefix="series-toy-")
        cls.root0 = os.path.join(cls.home, "template")
        cls.cache = os.path.join(cls.home, "cache")
        os.environ["KERNEL_CACHE"] = cls.cache
        cls.pinned = package(cls.cache, "toy.deb", KERNEL)
        size, sha, inner = cls.pinned
        lock = LOCK % dict(file="toy.deb", size=size, sha256=sha, inner=inner)
        put(os.path.join(cls.root0, "patches/base.lock"), lock)
        for path, data in FILES.items():
            put(os.path.join(cls.root0, path), data, 0o755 if path.endswith(".sh") else 0o644)
        for name, data in entries().items():
            put(os.path.join(cls.root0, "patches", name + ".patch"), data)
        with contextlib.redirect_stdout(io.StringIO()):
            tree.make(tree.Shop(cls.root0, os.path.join(cls.root0, "build")))

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.home, ignore_errors=True)

    def setUp(self):
        self.root = os.path.join(self.home, self.id().rsplit(".", 1)[1])
        shutil.copytree(self.root0, self.root, symlinks=True)
        self.out = io.StringIO()

    def tearDown(self):
        shutil.rmtree(self.root, ignore_errors=True)

    @property
    def shop(self):
        return tree.Shop(self.root, os.path.join(self.root, "build"))

    def write(self, path, data, mode=None):
        put(os.path.join(self.root, path), data, mode)

    def read(self, path):
        with open(os.path.join(self.root, path), encoding="utf-8") as file:
            return file.read()

    def edit(self, path, old, new):
        data = self.read(path)
        self.assertIn(old, data)
        self.write(path, data.replace(old, new, 1))

    def store(self):
        """Every byte below patches/ and of the new files."""
        shop = self.shop
        paths = ["patches/" + n for n in os.listdir(shop.store.patches)] + list(shop.store.overlay())
        return {p: shop.store.read(p) for p in paths}

    def run_quiet(self, function, *args):
        self.out = io.StringIO()
        with contextlib.redirect_stdout(self.out):
            return function(*args)

    def stops(self, expected, function, *args):
        with self.assertRaises(Stop) as caught:
            self.run_quiet(function, *args)
        self.assertRegex(str(caught.exception), expected)

    def check_fails(self, rule, expected):
        """Exactly this rule is broken (others may be broken by it too), with this message."""
        status = self.run_quiet(check.run, self.shop)
        text = self.out.getvalue()
        self.assertEqual(status, 1, text)
        self.assertRegex(text, r"(?m)^not ok \d+ entries\.%s$" % rule)
        self.assertRegex(text, expected)

    def git(self):
        return Git(os.path.join(self.root, "build", "linux"))


class Result(unittest.TestResult):
    """KTAP lines instead of dots."""

    def __init__(self, prefix):
        super().__init__()
        self.prefix = prefix
        self.broken = None      # the test of which a part failed

    def line(self, ok, test, extra=""):
        print("%s %d %s.%s%s" % ("ok" if ok else "not ok", self.testsRun, self.prefix,
                                 test.id().split(".", 1)[1], extra), flush=True)

    def addSuccess(self, test):
        self.line(True, test)

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err:
            print("# %s\n# %s" % (subtest, self._exc_info_to_string(err, test).rstrip().replace("\n", "\n# ")))
            self.broken = test

    def stopTest(self, test):
        super().stopTest(test)
        if self.broken is test:
            self.line(False, test)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.line(True, test, " # SKIP " + reason)

    def explain(self, test, error):
        print("# " + self._exc_info_to_string(error, test).rstrip().replace("\n", "\n# "))
        self.line(False, test)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.explain(test, err)

    def addError(self, test, err):
        super().addError(test, err)
        self.explain(test, err)


def main(module, prefix):
    suite = unittest.defaultTestLoader.loadTestsFromModule(sys.modules[module])
    print("KTAP version 1\n1..%d" % suite.countTestCases(), flush=True)
    result = Result(prefix)
    try:
        suite.run(result)
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(0 if result.wasSuccessful() and result.testsRun == suite.countTestCases() else 1)
