#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""make bisect: what may be left out between two prefixes, and that nothing is overlooked."""

import os
import shutil
import subprocess
import tempfile
import time
import unittest
from unittest import mock

import kbuild
import matrix
import narrow
import toy
import walk

HERE = os.path.dirname(os.path.abspath(__file__))
TREE = "/k/build/linux"
PATHS = ("include/linux/iommu.h", "mm/memfd.c", "mm/a.h", "drivers/iommu/iommu.c")


class Folder(unittest.TestCase):
    def setUp(self):
        self.out = tempfile.mkdtemp(prefix="series-walk-")

    def tearDown(self):
        shutil.rmtree(self.out)

    def put(self, path, text="", age=0):
        full = os.path.join(self.out, path)
        toy.put(full, text)
        os.utime(full, ns=(0, time.time_ns() - age * 10 ** 9))

    def built(self, name, *sources, age=0):
        """An object and what kbuild notes of it."""
        folder, base = os.path.split(name)
        deps = "".join("  %s/%s \\\n    $(wildcard include/config/SMP) \\\n" % (TREE, s) for s in sources)
        self.put(os.path.join(folder, ".%s.cmd" % base), "savedcmd_%s := gcc -c\n\ndeps_%s := \\\n%s\n"
                 % (name, name, deps), age)
        self.put(name, "", age)


class Affected(Folder):
    def setUp(self):
        super().setUp()
        self.built("drivers/iommu/iommu.o", "drivers/iommu/iommu.c", "include/linux/iommu.h", age=9)
        self.built("drivers/vfio/vfio.o", "drivers/vfio/vfio.c", "include/linux/iommu.h", age=9)
        self.built("mm/memfd.o", "mm/memfd.c", age=9)
        self.needs = narrow.Needs(self.out, TREE, PATHS)
        self.needs.refresh()

    def affected(self, *changed):
        return narrow.affected(changed, self.needs)

    def test_source_and_header(self):
        self.assertEqual(self.affected("mm/memfd.c"), {"mm"})
        self.assertEqual(self.affected("include/linux/iommu.h"), {"drivers/iommu", "drivers/vfio"})

    def test_makefile_is_its_directory(self):
        self.assertEqual(self.affected("drivers/pci/Makefile"), {"drivers/pci"})

    def test_what_no_build_reads(self):
        self.assertEqual(self.affected("MAINTAINERS", "tools/testing/selftests/a.c", "Documentation/a.rst",
                                       "mm/Kconfig", "mm/tests/.kunitconfig"), set())

    def test_anything_else_can_be_everywhere(self):
        for path in ("Makefile", "Kbuild", "scripts/Makefile.build", "scripts/mod/modpost.c", "arch/x86/Makefile",
                     "tools/objtool/check.c", "arch/x86/boot/Makefile", "mm/table.tbl", "include/linux/x.lds"):
            self.assertIsNone(self.affected("mm/memfd.c", path), path)

    def test_a_new_dependency_is_seen(self):
        self.assertEqual(self.affected("mm/a.h"), set())
        self.built("mm/memfd.o", "mm/memfd.c", "mm/a.h")
        self.needs.refresh()
        self.assertEqual(self.affected("mm/a.h"), {"mm"})

    def test_the_other_name_of_the_tree(self):
        self.put("mm/.x.o.cmd", "deps := ../linux/mm/a.h \\\n")
        self.needs.refresh()
        self.assertEqual(self.affected("mm/a.h"), {"mm"})

    def test_a_header_beside_the_directory(self):
        self.put("mm/kfence/.x.o.cmd", "deps := %s/mm/kfence/../a.h \\\n" % TREE)
        self.needs.refresh()
        self.assertEqual(self.affected("mm/a.h"), {"mm/kfence"})

    def test_removed_objects_are_forgotten(self):
        os.unlink(os.path.join(self.out, "drivers/vfio/.vfio.o.cmd"))
        self.needs.refresh()
        self.assertEqual(self.affected("include/linux/iommu.h"), {"drivers/iommu"})


class Building(Folder):
    """Narrow.make() with a kbuild that notes where it may look."""

    def setUp(self):
        super().setUp()
        self.put(".config", "CONFIG_A=y\n")
        self.put("include/generated/asm-offsets.h", "", age=9)
        self.built("mm/memfd.o", "mm/memfd.c", age=9)
        self.changed, self.calls, self.status, self.during = [], [], 0, lambda: None
        kbuild = mock.Mock()
        kbuild.shop.path = TREE
        kbuild.git.lines = lambda *_: self.changed
        self.named = []
        kbuild.git.call = lambda *_: (0, "".join("commit:%s\n" % n for n in self.named).encode(), "")
        kbuild.make = self.build
        self.narrow = narrow.Narrow(kbuild, self.out, PATHS)

    def build(self, _label, _out, *goals, places=None):
        self.calls.append(places)
        self.goals = goals
        self.during()
        return (self.status if places is not None else 0), ""

    def make(self, changed, extra=()):
        self.changed, self.calls = changed, []
        self.assertEqual(self.narrow.make("x", "commit", "bzImage", extra=extra), (0, ""))
        return self.calls

    def test_first_whole_then_narrow(self):
        self.assertEqual(self.make(["mm/memfd.c"]), [None])
        self.assertEqual(self.make(["mm/memfd.c"]), [{"mm"}])
        self.assertEqual(self.make([], extra=["drivers/iommu/x.c"]), [{"drivers/iommu"}])

    def test_only_directories_where_something_changed(self):
        self.make([])
        for changed, goals in ((["mm/memfd.c"], ("prepare", "mm/")),
                               (["mm/tests/Makefile", "drivers/iommu/Makefile"], ("prepare", "mm/", "drivers/")),
                               (["m/Makefile"], ("prepare",)), (["scripts/x"], ("prepare", "mm/", "drivers/"))):
            self.changed = changed
            self.narrow.make("x", "commit", "prepare", "mm/", "drivers/")
            self.assertEqual(self.goals, goals)

    def test_nothing_changed(self):
        self.make([])
        self.assertEqual(self.make(["mm/Kconfig"]), [])

    def test_another_option(self):
        self.make([])
        self.put("fs/.x.o.cmd", "deps := $(wildcard include/config/BB) $(wildcard include/config/C)\n")
        for text, named, expected in (("CONFIG_A=y\nCONFIG_B=y\n", [], {"mm"}),
                                      ("CONFIG_A=y\nCONFIG_BB=y\n", ["net/Makefile", "tools/testing/a"],
                                       {"mm", "fs", "net"}),
                                      ("CONFIG_A=y\nCONFIG_BB=y\n# CONFIG_C is not set\n", [], {"mm"}),
                                      ("CONFIG_A=y\nCONFIG_BB=y\nCONFIG_C=m\n", [], {"mm", "fs"}),
                                      ("CONFIG_A=y\n", ["scripts/Makefile.build"], None),
                                      ("CONFIG_A=y\nCONFIG_BB=y\n", ["Makefile"], None)):
            self.put(".config", text)
            self.named = named
            self.assertEqual(self.make(["mm/memfd.c"]), [expected], text)

    def test_a_failure_is_tried_as_a_whole(self):
        self.make([])
        self.status = 2
        self.assertEqual(self.make(["mm/memfd.c"]), [{"mm"}, None])

    def test_a_failure_of_the_whole(self):
        self.narrow.kbuild.make = lambda *_, **__: (2, "error: no")
        self.assertEqual(self.narrow.make("x", "commit"), (2, "error: no"))
        self.narrow.kbuild.make = self.build
        self.assertEqual(self.make(["mm/memfd.c"]), [None])

    def test_a_generated_header(self):
        self.make([])
        self.during = lambda: self.put("include/generated/asm-offsets.h", "")
        self.assertEqual(self.make(["mm/memfd.c"])[:2], [{"mm"}, None])

    def test_autoconf_alone_is_no_change(self):
        self.make([])
        self.during = lambda: self.put("include/generated/autoconf.h", "")
        self.assertEqual(self.make(["mm/memfd.c"]), [{"mm"}])


class Wrapper(Folder):
    """narrow.sh as kbuild calls it."""

    def runs(self, *words, places=("drivers/iommu", "mm")):
        self.put("bin/make", "#!/bin/sh\necho make \"$@\"\n")
        os.chmod(os.path.join(self.out, "bin/make"), 0o755)
        args, env = narrow.narrowed(places)
        done = subprocess.run([args[0].split("=")[1]] + list(words), stdout=subprocess.PIPE, text=True, check=True,
                              env=dict(env, PATH=os.path.join(self.out, "bin") + ":" + os.environ["PATH"]))
        self.assertIn(done.stdout, ("", "make %s\n" % " ".join(words)))
        return bool(done.stdout)

    def test_directories(self):
        for path, expected in ((".", 1), ("mm", 1), ("drivers", 1), ("drivers/iommu", 1), ("drivers/iommu/intel", 0),
                               ("drivers/io", 0), ("drivers/media", 0), ("m", 0)):
            self.assertEqual(self.runs("-f", TREE + "/scripts/Makefile.build", "obj=" + path, "need-builtin=1",
                                       "need-modorder=1"), bool(expected), path)

    def test_modules_alone(self):
        self.assertFalse(self.runs("-f", TREE + "/scripts/Makefile.build", "obj=fs", "need-builtin=", "need-modorder=1"))

    def test_everything_else_runs(self):
        self.assertTrue(self.runs("-f", TREE + "/scripts/Makefile.build", "obj=arch/x86/boot", "arch/x86/boot/bzImage"))
        self.assertTrue(self.runs("-f", TREE + "/scripts/Makefile.modpost"))
        self.assertTrue(self.runs("-C", TREE + "/tools", "objtool", "need-builtin=1"))


class Overlooked(Folder):
    """The last prefix, built as usual, must find nothing to compile."""

    def overlooked(self, during):
        self.built("mm/memfd.o", "mm/memfd.c", age=9)
        self.put("mm/no-kbuild.o", age=9)
        one = mock.Mock(on=self.out, strict=[])
        one.narrow = {self.out: mock.Mock(make=lambda *_, **__: (0, ""))}

        def make(*_, **__):
            during()
            return 0, ""
        one.make = make
        return walk.overlooked(one, "commit", self.out, "bzImage")

    def test_nothing_left(self):
        self.assertEqual(self.overlooked(lambda: self.put("mm/no-kbuild.o")), [])

    def test_an_old_object(self):
        self.assertEqual(self.overlooked(lambda: self.put("mm/memfd.o")),
                         ["mm/memfd.o was out of date: narrow.py overlooked it"])

    def test_a_new_object(self):
        self.assertEqual(self.overlooked(lambda: self.built("mm/new.o", "mm/new.c")),
                         ["mm/new.o was out of date: narrow.py overlooked it"])


class Copying(Folder):
    """The objects of one output directory for another one."""

    def test_copy(self):
        old, new = os.path.join(self.out, "old"), os.path.join(self.out, "new")
        for path in ("vmlinux.o", "mm/memfd.o", "mm/a.o", "tools/objtool", "kselftest/x", "vmtest/x"):
            self.put("old/" + path, "x", age=9)
        kbuild.copy_objects(old, new, without=["mm/memfd.c", "include/linux/iommu.h", "mm/none.c"])
        self.assertEqual(sorted(os.listdir(new)), ["mm", "vmlinux.o"])
        self.assertEqual(os.listdir(os.path.join(new, "mm")), ["a.o"])
        self.assertEqual(os.stat(old + "/mm/a.o").st_mtime_ns, os.stat(new + "/mm/a.o").st_mtime_ns)
        self.put("old/later.o")
        kbuild.copy_objects(old, new)
        self.assertFalse(os.path.exists(new + "/later.o"))

    def test_nothing_to_copy(self):
        kbuild.copy_objects(os.path.join(self.out, "old"), os.path.join(self.out, "new"))
        self.assertFalse(os.path.exists(os.path.join(self.out, "new")))


class Booting(Folder):
    """A kernel that is the same file as the one that booted before is not booted again."""

    def prefix(self, troubles=(), status=0):
        self.one.narrow = {o: mock.Mock(make=mock.Mock(return_value=(status, ""))) for o in (self.out, "off")}
        self.one.boot = mock.Mock()
        self.one.boot.return_value.poll.return_value = 0
        self.one.booted = mock.Mock(return_value=list(troubles))
        good = walk.prefix(self.one, "x", "commit", [], ((), {}), ("", []))
        return good, self.one.boot.call_count

    def test_a_source_in_a_source(self):
        within = {"c": [b"d/b.c"], "b": [b"d/a.c", b"d/a.h"], "a": [], "h": [b"d/a.h"]}

        def grep(*args):
            found = [b"commit:" + path for path in within[args[3][-5]]]
            return (0 if found else 1), b"\n".join(found), b""

        one = mock.Mock()
        one.git.call = grep
        self.assertEqual(walk.Walk.objects(one, "commit", ["d/c.c"]), ["d/a.c"])
        self.assertEqual(walk.Walk.objects(one, "commit", ["d/c.c", "d/b.c", "d/a.c"]), ["d/a.c"])
        self.assertEqual(walk.Walk.objects(one, "commit", ["d/h.c"]), [])

    def test_boot(self):
        image = os.path.join(self.out, "bzImage")
        self.put("bzImage", age=9)
        self.one = mock.Mock(on=self.out, off="off", later=[], strict=[], image=None)
        self.one.image_path = lambda: image
        self.one.result = lambda _name, problems: not problems
        self.one.lost.return_value = []
        self.assertEqual(self.prefix(), (True, 1))
        self.assertEqual(self.prefix(), (True, 0))
        self.put("bzImage", age=5)
        self.assertEqual(self.prefix(troubles=["hangs"]), (False, 1))
        self.assertEqual(self.prefix(troubles=["hangs"]), (False, 1))
        self.assertEqual(self.prefix(), (True, 1))
        self.assertEqual(self.prefix(status=2), (False, 0))


class Late(Folder):
    """make test ends in time, and says which entries had no turn."""

    def results(self, until):
        os.makedirs(os.path.join(self.out, walk.LU), exist_ok=True)
        self.put(os.path.join(walk.LU, "config.off"))
        self.put("bisect.config")
        self.put(".config")
        self.put("first", "one")
        shop = mock.Mock(build=self.out, path=self.out, root=self.out)
        one = walk.Walk(shop, 2)
        one.on, one.done, one.git = self.out, self.out, mock.Mock()
        one.git.lines.return_value = ["mm/a.c"]
        one.git.modes.return_value = {}
        for name in ("goto", "configure", "objects"):
            setattr(one, name, mock.Mock(return_value=[]))
        one.warnings = mock.Mock(return_value=(0, {}, ""))
        one.make = mock.Mock(return_value=(0, ""))
        items = [mock.Mock(), mock.Mock()]
        items[0].name, items[1].name = "one", "two"
        with mock.patch.dict(os.environ, {kbuild.UNTIL: str(until)}), mock.patch("walk.copy_objects"), \
                mock.patch("walk.prefix", return_value=False) as prefix, \
                mock.patch("walk.overlooked", return_value=[]), mock.patch("kbuild.say") as said, \
                mock.patch("walk.say"):
            walk.run(one, items, ["first", "second"])
        self.assertEqual(one.warnings.called, until > time.time())    # of the base
        return [call[0][0] for call in said.call_args_list], prefix.call_count

    def test_no_time_left(self):
        said, built = self.results(time.time() - 1)
        self.assertEqual(built, 0)
        self.assertEqual(len(said), 9)
        self.assertEqual(said[0], "ok 1 bisect.one.on")
        for number, name in enumerate(walk.PARTS, 5):
            self.assertRegex(said[number - 1], r"^ok %d bisect\.two\.%s # SKIP no time left" % (number, name))
        self.assertRegex(said[8], r"^ok 9 bisect\.tip-is-the-tested-kernel # SKIP no time left")

    def test_time_enough(self):
        said, built = self.results(time.time() + 1000)
        self.assertEqual(built, 1)
        self.assertFalse([line for line in said if "SKIP" in line], said)


class MatrixLate(Folder):
    """So does the matrix; a variant that boots has two results."""

    def begins(self, until, wanted, *names):
        one = matrix.Matrix(mock.Mock(build=self.out, path=self.out), 2, ["mm/a.c"], wanted)
        with mock.patch.dict(os.environ, {kbuild.UNTIL: str(until)}), mock.patch("kbuild.say") as said:
            return [one.begins(name) for name in names], [call[0][0] for call in said.call_args_list]

    def test_no_time_left(self):
        begun, said = self.begins(time.time() - 1, [], "no-iommufd", "modules")
        self.assertEqual(begun, [False, False])
        self.assertEqual([line.split(" # SKIP no time left")[0] for line in said], [
            "ok 1 matrix.no-iommufd", "ok 2 matrix.modules", "ok 3 matrix.modules.iommufd_module"])

    def test_only_what_was_asked_for(self):
        self.assertEqual(self.begins(time.time() + 1000, ["modules"], "no-iommufd", "modules"), ([False, True], []))
        self.assertEqual(self.begins(time.time() - 1, ["modules"], "no-iommufd"), ([False], []))


class Releases(unittest.TestCase):
    def test_the_commit_is_in_the_version_only_where_wanted(self):
        with tempfile.TemporaryDirectory(prefix="series-walk-") as folder, \
                mock.patch.dict(os.environ, CC="gcc", HOSTCC="gcc"), mock.patch("subprocess.run") as run:
            one = kbuild.Kbuild(mock.Mock(build=folder, path=folder), 2, "x")
            one.make("a", folder)
            self.assertEqual(run.call_args[1]["env"]["GIT_DIR"], os.devnull)
            one.make("a", folder, release=True)
            self.assertNotIn("GIT_DIR", run.call_args[1]["env"])


class Configuring(unittest.TestCase):
    def test_only_after_a_change_of_kconfig(self):
        with tempfile.TemporaryDirectory(prefix="series-walk-") as folder, \
                mock.patch.dict(os.environ, CC="gcc", HOSTCC="gcc"):
            toy.put(os.path.join(folder, "out-lu/bisect.config"), "CONFIG_A=y\n")
            one = walk.Walk(mock.Mock(build=folder, path=folder), 2)
            one.make, one.git = mock.Mock(return_value=(0, "")), mock.Mock()
            for changed, calls in ((["mm/a.c"], 1), (["mm/a.c", "mm/Kconfig.debug"], 2), (["mm/Kconfig"], 3),
                                   (["mm/a.c"], 3)):
                one.git.lines.return_value = changed
                one.configure(one.on, "", "commit")
                self.assertEqual(one.make.call_count, calls, changed)


if __name__ == "__main__":
    toy.main(__name__, "walk")
