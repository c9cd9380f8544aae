#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Each gate of lint.py gets something broken, with the tools of the real kernel tree."""

import os
import shutil
import tempfile
import unittest

import lint
import toy

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
KERNEL = os.path.join(os.environ.get("BUILD") or os.path.join(ROOT, "build"), "linux")
PATCH = """From 0000000000000000000000000000000000000000 Mon Sep 17 00:00:00 2001
From: Toy <toy@localhost>
Date: Sat, 21 Nov 2026 02:00:00 +0000
Subject: [PATCH] toy: Add a line

Because the line is needed by somebody.
---
 mm/toy.c | 1 +
 1 file changed, 1 insertion(+)

diff --git a/mm/toy.c b/mm/toy.c
--- a/mm/toy.c
+++ b/mm/toy.c
@@ -1,2 +1,3 @@
 // SPDX-License-Identifier: GPL-2.0
+%s
 int b;
"""
FRAGMENT = "IOMMU LIVE UPDATE\nM:\tA <a@localhost>\nL:\tb@localhost\nS:\tMaintained\nF:\tmm/toy.c\n"


class Gates(unittest.TestCase):
    def setUp(self):
        self.root = tempfile.mkdtemp(prefix="series-gates-")

    def tearDown(self):
        shutil.rmtree(self.root)

    def put(self, path, data, mode=None):
        toy.put(os.path.join(self.root, path), data, mode)
        return os.path.join(self.root, path)

    def checkpatch(self, line, ignore=()):
        path = self.put("0001.patch", PATCH % line)
        return lint.checkpatch(KERNEL, {"toy": path}, list(ignore))

    def test_checkpatch(self):
        self.assertEqual(self.checkpatch("int a;"), [])
        self.assertRegex(self.checkpatch("int a = foo( 1);")[0], "toy: (ERROR|CHECK|WARNING):")

    def test_checkpatch_type_is_ignored_by_name_only(self):
        found = self.checkpatch("extern int a;")
        self.assertEqual(len(found), 1, found)
        kind = found[0].split(":")[2].strip()
        self.assertEqual(self.checkpatch("extern int a;", [(kind, "toy")]), [])
        self.assertEqual(self.checkpatch("extern int a;", [(kind, "*")]), [])
        self.assertEqual(len(self.checkpatch("extern int a;", [(kind, "other")])), 2)

    def test_ignore_that_is_not_needed_is_an_error(self):
        self.assertRegex(self.checkpatch("int a;", [("LONG_LINE", "*")])[0], "not needed any more")

    def test_ignore_needs_a_reason(self):
        with self.assertRaises(lint.Stop):
            lint.ignored(self.put("ignore", "LONG_LINE *\n"))

    def test_kernel_doc(self):
        good = "/**\n * f() - Do it\n * @a: what\n *\n * Return: nothing much\n */\nint f(int a)\n{\n\treturn a;\n}\n"
        self.assertEqual(lint.kernel_doc(KERNEL, [self.put("a.c", good)]), [])
        for bad in (good.replace(" * @a: what\n", ""), good.replace(" *\n * Return: nothing much\n", "")):
            self.assertTrue(lint.kernel_doc(KERNEL, [self.put("a.c", bad)]))

    def test_codespell(self):
        self.assertEqual(lint.spelling({"a": "the right word\n"}), [])
        wrong = "t" + "eh wrong word\n"
        self.assertRegex(lint.spelling({"dir/a": wrong})[0], "^dir/a:1: ")

    def test_shellcheck(self):
        self.put("a.sh", "#!/bin/sh\necho $1\n")
        self.assertRegex(lint.shells(self.root, ["a.sh"])[0], "SC2086")
        self.put("a.sh", "#!/bin/sh\necho \"$1\"\n")
        self.assertEqual(lint.shells(self.root, ["a.sh"]), [])

    def test_spdx(self):
        self.put("a.c", "// SPDX-License-Identifier: GPL-2.0\n")
        self.put("b.sh", "#!/bin/sh\n# SPDX-License-Identifier: GPL-2.0\n")
        self.put("c.c", "int c;\n")
        self.put("d.c", "// SPDX-License-Identifier: MIT\n")
        found = lint.licences(self.root, ["a.c", "b.sh", "c.c", "d.c"])
        self.assertEqual([f.split(":")[0] for f in found], ["c.c", "d.c"])

    def test_spdx_said_by_another_file(self):
        self.put("patches/a.patch", "From: A <a@localhost>\n")
        self.put("patches/a.c", "int a;\n")
        self.put("tools/judge/recordings/a/b.gz", b"\x1f\x8b")
        self.put("a.gz", b"\x1f\x8b")
        self.put("COPYING", "The terms:\n\n\tSPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note\n")
        files = ["COPYING", "LICENSES/GPL-2.0", "a.gz", "patches/a.c", "patches/a.patch", "tools/judge/recordings/a/b.gz"]
        self.assertEqual([f.split(":")[0] for f in lint.licences(self.root, files)], files[2:])
        for path, sentence in lint.SPEAKERS.values():
            self.put(path, "# SPDX-License-Identifier: GPL-2.0\n# %s\n" % sentence)
        self.assertEqual([f.split(":")[0] for f in lint.licences(self.root, files)], ["a.gz", "patches/a.c"])
        self.put("COPYING", "The terms:\n\n\tSPDX-License-Identifier: MIT\n")
        self.assertEqual(len(lint.licences(self.root, ["COPYING"])), 1)

    def test_python(self):
        self.put("a.py", "def f(:\n")
        self.assertTrue(lint.pythons(self.root, ["a.py"]))

    def test_mirror_host(self):
        self.put("a", "get http://%s.%s.org/pool/x\n" % ("deb", "debian"))
        self.assertRegex(lint.hosts(self.root, ["a"])[0], "a:1: names a package mirror")
        self.put("a", "get https://%s/x\n" % lint.KERNEL_ORG)
        self.assertEqual(lint.hosts(self.root, ["a"]), [])

    def maintainers(self, fragment, paths=("mm/toy.c",), after="IOMMU SUBSYSTEM"):
        """A kernel tree that has only what the scripts look for."""
        tree = os.path.join(self.root, "tree")
        shutil.rmtree(tree, ignore_errors=True)
        for name in ("COPYING", "CREDITS", "Kbuild", "Makefile", "README", "scripts/get_maintainer.pl",
                     "scripts/parse-maintainers.pl", ".get_maintainer.ignore"):
            source = os.path.join(KERNEL, name)
            if os.path.exists(source):
                os.makedirs(os.path.dirname(os.path.join(tree, name)), exist_ok=True)
                shutil.copy(source, os.path.join(tree, name))
        for name in ("Documentation", "arch", "include", "drivers", "fs", "init", "ipc", "kernel", "lib", "scripts"):
            os.makedirs(os.path.join(tree, name), exist_ok=True)
        sections = ["IOMMU DMA-API LAYER\nM:\tC <c@localhost>\nF:\tdma/\n",
                    "IOMMU SUBSYSTEM\nM:\tD <d@localhost>\nF:\tiommu/\n", "THE REST\nM:\tX <x@localhost>\nF:\t*\nF:\t*/\n"]
        at = [i for i, s in enumerate(sections) if s.startswith(after)][0]
        sections.insert(at, fragment)
        toy.put(os.path.join(tree, "MAINTAINERS"), "List\n====\n\nMaintainers List\n----------------\n\n"
                + "\n".join(sections))
        for path in paths:
            toy.put(os.path.join(tree, path), "int a;\n")
        return lint.maintainers(tree, list(paths))

    def test_maintainers(self):
        self.assertEqual(self.maintainers(FRAGMENT), [])

    def test_maintainers_coverage(self):
        self.assertRegex(self.maintainers(FRAGMENT, ["mm/toy.c", "mm/other.c"])[0],
                         "no F: line of IOMMU LIVE UPDATE covers mm/other.c")
        self.assertRegex(self.maintainers(FRAGMENT + "F:\tmm/zero.c\n")[0], "mm/zero.c covers no new file")

    def test_maintainers_order(self):
        lines = FRAGMENT.split("\n")
        lines[1], lines[2] = lines[2], lines[1]
        self.assertRegex(self.maintainers("\n".join(lines))[0], "would order the section's lines otherwise")
        self.assertRegex(self.maintainers(FRAGMENT, after="THE REST")[0], "is not between")

    def test_front_door(self):
        shutil.copy(os.path.join(ROOT, "Makefile"), self.root)
        self.put("feature", "x")
        self.put(".ci/run", "#!/bin/bash\nexec make test\n")
        os.symlink("feature", os.path.join(self.root, "Kconfig"))
        self.assertEqual(lint.front_door(self.root), [])
        self.put(".ci/run", "#!/bin/bash\nexec make check\n")
        os.unlink(os.path.join(self.root, "feature"))
        with open(os.path.join(self.root, "Makefile"), encoding="utf-8") as file:
            text = file.read()
        self.put("Makefile", text.replace("bump:  ", "jump:  "))
        self.assertEqual(len(lint.front_door(self.root)), 3)

    def test_gitignore(self):
        git = lint.Git(os.path.join(self.root, "kernel"))
        self.put("kernel/.gitignore", "*.o\n.*\n/*\n")
        self.put("kernel/tools/testing/a/.gitignore", "*\n!/**/\n!*.c\n!.gitignore\n")
        git.raw("init", "-q")
        git.raw("add", "-f", ".")
        git.raw("commit", "-q", "-m", "base")

        def hidden(*new):
            return lint.hidden(git.path, "HEAD", self.root, new)
        self.assertEqual(hidden("mm/a.c", "mm/tests/.kunitconfig", "tools/testing/a/b/a.c"), [])
        self.assertRegex(hidden("tools/testing/a/b/a.py")[0], "^tools/testing/a/b/a.py is hidden by .*/.gitignore:1: ")
        self.put("tools/testing/a/b/.gitignore", "!*.py\n")
        self.assertEqual(hidden("tools/testing/a/b/a.py", "tools/testing/a/b/.gitignore"), [])
        self.put("tools/testing/a/b/.gitignore", "!a\n")
        self.assertEqual(hidden("tools/testing/a/b/a.c", "tools/testing/a/b/.gitignore"),
                         ["tools/testing/a/b/a would be seen by git status once it is built"])
        self.assertEqual(len(hidden("tools/testing/c/a.c")), 2)

    def test_licence_texts(self):
        self.assertEqual(len(lint.texts(self.root, KERNEL)), 3)
        self.put("COPYING", "x")
        self.put("LICENSES/preferred/GPL-2.0", "changed")
        shutil.copytree(os.path.join(KERNEL, "LICENSES/exceptions"), os.path.join(self.root, "LICENSES/exceptions"))
        self.assertEqual(lint.texts(self.root, KERNEL), ["LICENSES/preferred/GPL-2.0 differs from the kernel's"])

    def test_missing_tool(self):
        with self.assertRaisesRegex(lint.Stop, "no-such-tool is not installed: make setup"):
            lint.run(["no-such-tool"])


if __name__ == "__main__":
    toy.main(__name__, "gates")
