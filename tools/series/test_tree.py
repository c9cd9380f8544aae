#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""tree, save, mail, bump and KERNEL_TREE= on the toy tree."""

import os
import shutil
import subprocess
import sys
import unittest

import base
import entry
import foreign
import mail
import save
import toy
import tree
import walk
from gitio import Git


class Trees(toy.Toy):
    def test_new_files_survive_debians_gitignore(self):
        commits = self.git().chain(base.BASE_REF, "HEAD")
        self.assertEqual(len(commits), 3)
        self.assertIn("drivers/new/one.c", self.git().modes(commits[0], ["drivers/new/one.c"]))
        self.assertIn("Makefile", self.git().modes(base.BASE_REF, ["Makefile"]))

    def test_second_tree_has_the_same_ids(self):
        first = self.git().ref("HEAD")
        shutil.rmtree(os.path.join(self.root, "build"))
        self.run_quiet(tree.make, self.shop)
        self.assertEqual(self.git().ref("HEAD"), first)

    def test_tree_then_save_changes_no_byte(self):
        before = self.store()
        self.run_quiet(tree.make, self.shop)
        self.run_quiet(save.save, self.shop)
        self.assertEqual(self.store(), before)

    def test_executable_file_keeps_its_mode(self):
        modes = self.git().modes("HEAD", ["scripts/new.sh", "scripts/run.sh"])
        self.assertEqual({m for m, _ in modes.values()}, {"100755"})
        copy = os.path.join(self.root, "build/linux/scripts/new.sh")
        self.assertEqual(os.stat(copy).st_mode & 0o777, 0o555)

    def test_repeated_tree_touches_nothing(self):
        core = os.path.join(self.root, "build/linux/drivers/core.c")
        before = os.stat(core).st_mtime_ns
        self.write("drivers/new/one.c", "// SPDX-License-Identifier: GPL-2.0\nint one = 1;\n")
        self.run_quiet(tree.make, self.shop)
        self.assertEqual(os.stat(core).st_mtime_ns, before)
        self.assertIn("one = 1", self.read("build/linux/drivers/new/one.c"))

    def test_edited_copy_is_refused(self):
        self.write("build/linux/drivers/new/one.c", "changed here\n")
        self.stops("one.c was edited in the tree: it is a copy", tree.make, self.shop)

    def test_copy_that_is_as_the_repository_says_is_no_edit(self):
        for path in ("drivers/new/one.c", "build/linux/drivers/new/one.c"):
            self.write(path, "// SPDX-License-Identifier: GPL-2.0\nint same;\n")
        self.run_quiet(tree.make, self.shop)
        self.assertEqual(tree.dirty(self.shop), {})

    def test_edit_in_the_way_is_refused_and_kept(self):
        self.edit("build/linux/drivers/core.c", "line 30\n", "line 30 edited\n")
        self.edit("patches/one.patch", "+first hook", "+first hook changed")
        self.stops("in the way of what patches/ now says", tree.make, self.shop)
        self.assertIn("line 30 edited", self.read("build/linux/drivers/core.c"))

    def test_edit_that_an_entry_now_holds_is_none(self):
        self.edit("patches/one.patch", "+first hook", "+better hook")
        self.edit("build/linux/drivers/core.c", "first hook\n", "better hook\n")
        self.run_quiet(tree.make, self.shop)
        self.assertEqual(tree.dirty(self.shop), {})
        self.assertNotIn("note", self.out.getvalue())

    def test_included_source_is_checked_in_its_includer(self):
        self.edit("build/linux/drivers/core.c", "first hook\n", '#include "new/one.c"\n')
        self.run_quiet(save.save, self.shop)
        found = walk.Walk(self.shop, 1).objects("HEAD", ["drivers/new/one.c", "drivers/new/two.c"])
        self.assertEqual(found, ["drivers/core.c", "drivers/new/two.c"])

    def test_interrupted_bisect_is_left(self):
        git, top = self.git(), self.git().ref("HEAD")
        first = git.chain(base.BASE_REF, "HEAD")[0]
        shop = self.shop
        toy.put(shop.state("walk"), "x")
        tree.switch(shop, top, first)
        git.raw("update-ref", "--no-deref", "HEAD", first)
        before = self.store()
        self.edit("build/linux/drivers/core.c", "line 30\n", "line 30 edited\n")
        self.stops("make bisect was interrupted and .* has edits", save.save, self.shop, "one")
        self.edit("build/linux/drivers/core.c", "line 30 edited\n", "line 30\n")
        self.run_quiet(save.save, self.shop)
        self.assertEqual((git.ref("HEAD"), git.ref(tree.SERIES)), (top, top))
        self.assertEqual(self.store(), before)
        self.assertEqual(tree.dirty(self.shop), {})

    def test_what_a_killed_run_left_is_removed(self):
        left = ["build/linux.new4711/Makefile", "build/linux.bump4711/Makefile", "build/cache/toy.deb.part",
                "build/git-am/.git", "build/last-version/Makefile"]
        keep = ["build/linux/linux.new", "build/cache/toy.deb", "build/linux/mm/new.c",
                "build/linux/tools/testing/selftests/a/a.c"]
        objects = ["build/linux/tools/testing/selftests/a/a.o", "build/linux/tools/testing/selftests/a/a.d"]
        for path in left + keep + objects:
            self.write(path, "x\n")
        shop = self.shop
        self.run_quiet(shop.hold)
        self.assertEqual(self.out.getvalue().count("remove the unfinished"), len(left))
        self.run_quiet(tree.sweep, shop)
        there = [p for p in left + keep + objects if os.path.exists(os.path.join(self.root, p))]
        self.assertEqual(there, keep)
        self.run_quiet(tree.make, shop)

    def test_one_at_a_time(self):
        first = self.shop
        first.hold()
        code = ("import sys; sys.path.insert(0, %r); import tree; s = tree.Shop(%r, %r); s.hold(); print('held')"
                % (os.path.dirname(os.path.abspath(__file__)), self.root, self.root + "/build"))
        second = subprocess.Popen([sys.executable, "-B", "-c", code], stdout=subprocess.PIPE, text=True)
        self.assertIn("wait: another run", second.stdout.readline())
        first.held.close()
        self.assertEqual(second.communicate(timeout=10)[0], "held\n")

    def test_unsaved_edits_are_not_thrown_away(self):
        self.run_quiet(tree.refuse_unsaved, self.shop)
        self.edit("build/linux/drivers/core.c", "line 30\n", "line 30 edited\n")
        self.stops("not saved: drivers/core.c", tree.refuse_unsaved, self.shop)

    def test_maintainers_is_spliced_in_order(self):
        text = self.read("build/linux/MAINTAINERS")
        self.assertLess(text.index("IOMMU DMA-API LAYER"), text.index("IOMMU LIVE UPDATE"))
        self.assertLess(text.index("IOMMU LIVE UPDATE"), text.index("IOMMU SUBSYSTEM"))
        self.assertNotIn("SPDX", text)

    def test_maintainers_of_a_kernel_out_of_order(self):
        def one(title):
            return "%s\nM:\tA <a@localhost>\n\n" % title
        before = "Maintainers List\n----\n\n"
        titles = ["ARM/A", "LPC DRIVERS", "ARM/B", "INTEL IOMMU (VT-d)", "INTEL IPU3",
                  "IOMMU DMA-API LAYER", "IOMMU SUBSYSTEM", "THE REST"]
        out = entry.splice(before + "".join(map(one, titles)),
                           one("INTEL IOMMU LIVEUPDATE (VT-d)") + one("IOMMU LIVE UPDATE"))
        titles.insert(6, "IOMMU LIVE UPDATE")
        titles.insert(4, "INTEL IOMMU LIVEUPDATE (VT-d)")
        self.assertEqual(out, before + "".join(map(one, titles)))

    def test_renamed_entry(self):
        os.rename(os.path.join(self.root, "patches/two.patch"),
                  os.path.join(self.root, "patches/second.patch"))
        self.edit("patches/series", "two\n", "second\n")
        first = self.git().ref("HEAD")
        self.run_quiet(tree.make, self.shop)
        self.run_quiet(save.save, self.shop)
        self.assertEqual(self.git().ref("HEAD"), first)
        self.edit("build/linux/drivers/other.c", "other hook\n", "renamed hook\n")
        self.run_quiet(save.save, self.shop)
        self.assertIn("+renamed hook", self.read("patches/second.patch"))
        self.assertFalse(os.path.exists(os.path.join(self.root, "patches/two.patch")))


class Saves(toy.Toy):
    def test_hook_goes_to_its_owner(self):
        self.edit("build/linux/drivers/core.c", "first hook\n", "first hook\nsecond line\n")
        before = self.store()
        self.run_quiet(save.save, self.shop)
        after = self.store()
        self.assertEqual([p for p in after if after[p] != before[p]], ["patches/one.patch"])
        self.assertIn("+second line", self.read("patches/one.patch"))
        self.assertEqual(self.run_quiet(toy.check.run, self.shop), 0, self.out.getvalue())

    def test_ambiguous_owner_is_refused(self):
        self.edit("build/linux/include/iommu.h", "one(void);", "one(int);")
        before = self.store()
        self.stops("iommu.h is edited by one and two: .*make save P=name", save.save, self.shop)
        self.assertEqual(self.store(), before)
        self.run_quiet(save.save, self.shop, "one")
        self.assertIn("+one(int);", self.read("patches/one.patch"))
        self.assertNotIn("one(int)", self.read("patches/two.patch"))

    def test_unowned_file_is_refused(self):
        self.edit("build/linux/drivers/Kconfig", "line 7\n", "line 7\nsource\n")
        self.stops("no entry edits drivers/Kconfig", save.save, self.shop)
        self.stops("P=nobody: patches/series has no such name", save.save, self.shop, "nobody")
        self.run_quiet(save.save, self.shop, "two")
        self.assertIn("+source", self.read("patches/two.patch"))

    def test_removed_file_is_refused(self):
        os.unlink(os.path.join(self.root, "build/linux/drivers/Kconfig"))
        self.stops("Kconfig was removed in the tree", save.save, self.shop, "one")

    def test_mode_change_is_refused(self):
        os.chmod(os.path.join(self.root, "build/linux/drivers/core.c"), 0o755)
        self.stops("its mode or kind changed", save.save, self.shop)

    def test_maintainers_edit_is_refused(self):
        self.edit("build/linux/MAINTAINERS", "ALPHA", "ALPHABET")
        self.stops("MAINTAINERS is spliced", save.save, self.shop, "maintainers")

    def test_new_entry_gets_its_hook(self):
        self.write("patches/three.patch", toy.HEAD % (4, "Add three", "three"))
        self.edit("patches/series", "maintainers\n", "maintainers\nthree\n")
        self.edit("build/linux/drivers/Kconfig", "line 7\n", "line 7\nsource\n")
        self.run_quiet(save.save, self.shop, "three")
        self.assertIn("+source", self.read("patches/three.patch"))

    def test_edit_in_tree_and_entry_is_refused(self):
        self.edit("build/linux/drivers/core.c", "first hook\n", "tree hook\n")
        self.edit("patches/one.patch", "+first hook", "+entry hook")
        self.stops("core.c changed both in the tree and in patches/", save.save, self.shop)

    def conflict(self):
        """Entry two builds on a line of entry one; an edit of one changes that line."""
        self.edit("build/linux/drivers/core.c", "first hook\n", "first hook\nsecond hook\n")
        self.run_quiet(save.save, self.shop, "two")
        self.edit("build/linux/drivers/core.c", "first hook\nsecond hook\n", "merged hook\n")
        before = self.store()
        self.stops("(?s)conflict in .*nothing in patches/ was changed.*core.c",
                   save.save, self.shop, "one")
        self.assertEqual(self.store(), before)
        self.stops("a rebase is under way", save.save, self.shop)
        self.stops("a rebase is under way", tree.make, self.shop)

    def test_conflict_stops_and_continues(self):
        self.conflict()
        git = self.git()
        for content in ("merged hook\n", "merged hook\nsecond hook\n", "merged hook\nthird hook\n"):
            if not git.rebasing():
                break
            text = self.read("build/linux/drivers/core.c")
            begin, end = text.index("<<<<<<<"), text.index(">>>>>>>")
            end = text.index("\n", end) + 1
            self.write("build/linux/drivers/core.c", text[:begin] + content + text[end:])
            git.raw("add", "-u")
            git.call("rebase", "--continue", env={"GIT_EDITOR": ":"})
        self.assertFalse(git.rebasing())
        self.run_quiet(save.save, self.shop)
        self.assertIn("+merged hook", self.read("patches/one.patch"))
        self.assertIn("hook", self.read("patches/two.patch"))
        self.assertEqual(git.ref("HEAD"), git.ref(tree.MADE))
        before = self.store()
        self.run_quiet(save.save, self.shop)
        self.assertEqual(self.store(), before)

    def test_conflict_aborted_gives_the_edit_back(self):
        self.conflict()
        git = self.git()
        git.raw("rebase", "--abort")
        self.stops("reset --soft refs/series/made gives back the edits", save.save, self.shop)
        git.raw("reset", "--soft", tree.MADE)
        self.assertEqual(list(tree.dirty(self.shop)), ["drivers/core.c"])

    def test_own_rebase_by_hand_is_taken(self):
        git = self.git()
        made = git.chain(base.BASE_REF, "HEAD")
        git.raw("commit", "--amend", "-q", "-m", "toy: Name who looks\n\nOther words.")
        self.assertEqual(git.ref("HEAD~1"), made[1])
        self.run_quiet(save.save, self.shop)
        self.assertIn("Subject: toy: Name who looks", self.read("patches/maintainers.patch"))
        git.raw("commit", "-q", "--allow-empty", "-m", "more")
        self.stops("has 4 commits.*patches/series names 3", save.save, self.shop)
        self.stops("has commits that no entry has", tree.make, self.shop)


class Mails(toy.Toy):
    def test_git_am_gives_the_tested_tree(self):
        self.run_quiet(mail.make, self.shop, 1)
        text = self.out.getvalue()
        self.assertIn("proof: git am of series-7.3.4-v1.mbox", text)
        self.assertIn("proof: git am of the 2 topics", text)
        folder = os.path.join(self.root, "build/out/series/v1")
        cover = self.read("build/out/series/v1/0000-cover-letter.patch")
        self.assertIn("Subject: [PATCH 0/3] toy: A series", cover)
        self.assertIn("base: v7.3.4", cover)
        self.assertNotIn("base-commit:", cover)
        self.assertIn("files changed", cover)
        self.assertIn("@@ -8,6 +8,7 @@", self.read("build/out/series/v1/0001-toy-Add-one.patch"))
        # The proof by hand, with plain git on a fresh copy of the base.
        there = os.path.join(self.root, "pristine")
        self.git().raw("worktree", "add", "-q", "--detach", there, base.BASE_REF)
        subprocess.run(["git", "-C", there, "-c", "user.name=x", "-c", "user.email=x@localhost", "am", "-q",
                        os.path.join(folder, "series-7.3.4-v1.mbox")], check=True)
        self.assertEqual(Git(there).text("rev-parse", "HEAD^{tree}"),
                         self.git().text("rev-parse", "HEAD^{tree}"))

    def test_a_topic_is_a_series_of_its_own(self):
        self.run_quiet(mail.make, self.shop, 1)
        folder = os.path.join(self.root, "build/out/series/v1")
        self.assertEqual(sorted(os.listdir(os.path.join(folder, "1-core"))),
                         ["0000-cover-letter.patch", "0001-toy-Add-one.patch", "0002-toy-Add-two.patch"])
        cover = self.read("build/out/series/v1/1-core/0000-cover-letter.patch")
        self.assertIn("Subject: [PATCH 0/2] toy: The core\n\nHow.\n", cover)
        self.assertIn("toy: Add two", cover)
        self.assertNotIn("toy: Name who cares", cover)
        self.assertNotIn("Needs, in this order", cover)
        self.assertIn("Subject: [PATCH 1/2] toy: Add one", self.read("build/out/series/v1/series-7.3.4-v1-1-core.mbox"))
        # One patch alone has no cover letter, but says what it stands on.
        self.assertEqual(os.listdir(os.path.join(folder, "2-docs")), ["0001-toy-Name-who-cares.patch"])
        self.assertIn("\nNeeds, in this order: core\nbase: v7.3.4",
                      self.read("build/out/series/v1/2-docs/0001-toy-Name-who-cares.patch"))

    def test_a_topic_without_cover_letter_is_refused(self):
        os.unlink(os.path.join(self.root, "patches/cover-letter.core"))
        self.stops("cannot read patches/cover-letter.core", mail.make, self.shop, 1)

    def test_wrong_mail_is_caught(self):
        self.run_quiet(mail.make, self.shop, 1)
        box = os.path.join(self.root, "build/out/series/v1/series-7.3.4-v1.mbox")
        base_commit, top = self.git().ref(base.BASE_REF), self.git().ref("HEAD")
        good = self.read("build/out/series/v1/series-7.3.4-v1.mbox")
        work = os.path.join(self.root, "am")
        self.write("build/out/series/v1/series-7.3.4-v1.mbox", good.replace("+first hook", "+worst hook"))
        self.stops("the tested tree is", mail.proof, self.git(), base_commit, top, [box], work)
        self.write("build/out/series/v1/series-7.3.4-v1.mbox", good.replace(" line 10\n", " line X\n"))
        self.stops("git am does not take", mail.proof, self.git(), base_commit, top, [box], work)

    def test_commit_id_of_the_lock_is_the_trailer(self):
        self.edit("patches/base.lock", "commit =", "commit = " + "a" * 40)
        self.run_quiet(mail.make, self.shop, 1)
        self.assertIn("base-commit: " + "a" * 40, self.read("build/out/series/v1/0000-cover-letter.patch"))

    def test_range_diff_against_the_last_tag(self):
        ours = Git(self.root)
        ours.raw("init", "-q")
        ours.raw("add", "-f", "patches", "drivers", "scripts", "MAINTAINERS")
        ours.raw("commit", "-q", "-m", "v1")
        ours.raw("tag", "v1")
        self.edit("build/linux/drivers/core.c", "first hook\n", "better hook\n")
        self.run_quiet(save.save, self.shop)
        self.run_quiet(mail.make, self.shop, 2)
        cover = self.read("build/out/series/v2/0000-cover-letter.patch")
        self.assertIn("[PATCH v2 0/3]", cover)
        self.assertRegex(cover, r"(?s)Range-diff against v1:.*-\+first hook.*\+\+better hook")

    def test_unsaved_edit_is_refused(self):
        self.edit("build/linux/drivers/core.c", "first hook\n", "other\n")
        self.stops("has unsaved edits", mail.make, self.shop, 1)


class Theirs(toy.Toy):
    def theirs(self, tag=True, conflict=False):
        path = os.path.join(self.root, "theirs")
        git = Git(path)
        os.makedirs(path)
        git.raw("init", "-q")
        for name, data in toy.KERNEL.items():
            toy.put(os.path.join(path, name), data, 0o755 if name.endswith(".sh") else 0o644)
        git.raw("add", "-f", "-A", ".")
        git.raw("commit", "-q", "-m", "Linux 7.3.4")
        if tag:
            git.raw("tag", "v7.3.4")
        text = toy.NUMBERED.replace("line 3\n", "line 3\nmore\nand more\n")
        if conflict:
            text = toy.NUMBERED.replace("line 10\n", "").replace("line 11\n", "their line\n")
        toy.put(os.path.join(path, "drivers/core.c"), text)
        git.raw("commit", "-q", "-a", "-m", "their work")
        return path

    def test_three_way_with_a_report(self):
        path = self.theirs()
        before = Git(path).text("for-each-ref")
        self.run_quiet(foreign.mail, self.shop, path, 1)
        text = self.out.getvalue()
        self.assertRegex(text, r"merged +one: drivers/core.c differs")
        self.assertRegex(text, r"clean +two")
        self.assertIn("base-commit: " + Git(path).ref("HEAD"),
                      self.read("build/out/series/v1-kernel-tree/0000-cover-letter.patch"))
        self.assertEqual(Git(path).text("for-each-ref"), before)
        self.run_quiet(foreign.make, self.shop, path)
        self.assertIn("line 10\nfirst hook\n", self.read("build/kernel-tree/drivers/core.c"))
        self.assertIn("and more", self.read("build/kernel-tree/drivers/core.c"))

    def test_without_their_tag_our_base_serves(self):
        self.run_quiet(foreign.mail, self.shop, self.theirs(tag=False), 1)
        self.assertIn("has no tag v7.3.4", self.out.getvalue())

    def test_needs_no_fetch_with_their_tag(self):
        path = self.theirs()
        shutil.rmtree(os.path.join(self.root, "build"))
        self.run_quiet(foreign.mail, self.shop, path, 1)
        self.assertFalse(os.path.exists(os.path.join(self.root, "build/linux")))

    def test_conflict_names_patch_and_file(self):
        self.stops("1 of 3 patches conflict with .*: one", foreign.mail, self.shop,
                   self.theirs(conflict=True), 1)
        self.assertRegex(self.out.getvalue(), r"CONFLICT +one: drivers/core.c")

    def test_no_git_tree(self):
        self.stops("is no git tree", foreign.mail, self.shop, self.root + "/nowhere", 1)


class Bumps(toy.Toy):
    def lock(self, core):
        files = dict(toy.KERNEL)
        files["drivers/core.c"] = core
        size, sha, inner = toy.package(self.cache, "toy-735.deb", files)
        text = toy.LOCK % dict(file="toy-735.deb", size=size, sha256=sha, inner=inner)
        self.write("new.lock", text.replace("7.3.4", "7.3.5"))
        return os.path.join(self.root, "new.lock")

    def test_series_moves_to_the_new_base(self):
        self.run_quiet(save.bump, self.shop, self.lock(toy.NUMBERED.replace("line 3\n", "line 3\nnew\n")))
        self.assertIn("version = 7.3.5", self.read("patches/base.lock"))
        self.assertIn("@@ -11,2 +11,3 @@", self.read("patches/one.patch"))
        os.unlink(os.path.join(self.root, "new.lock"))
        self.assertEqual(self.run_quiet(toy.check.run, self.shop), 0, self.out.getvalue())
        first = self.git().ref("HEAD")
        shutil.rmtree(os.path.join(self.root, "build"))
        self.run_quiet(tree.make, self.shop)
        self.assertEqual(self.git().ref("HEAD"), first)

    def bump_conflict(self):
        core = toy.NUMBERED.replace("line 10\n", "").replace("line 11\n", "their line\n")
        lock = self.lock(core)
        before = self.store()
        self.stops("conflict in", save.bump, self.shop, lock)
        self.assertEqual(self.store(), before)

    def test_conflict_continues(self):
        self.bump_conflict()
        git = self.git()
        self.write("build/linux/drivers/core.c",
                   toy.NUMBERED.replace("line 10\n", "").replace("line 11\n", "their line\nfirst hook\n"))
        git.raw("add", "-u")
        git.raw("rebase", "--continue", env={"GIT_EDITOR": ":"})
        self.run_quiet(save.save, self.shop)
        self.assertIn("version = 7.3.5", self.read("patches/base.lock"))
        self.assertIn(" their line\n+first hook", self.read("patches/one.patch"))

    def test_conflict_aborted(self):
        self.bump_conflict()
        self.git().raw("rebase", "--abort")
        before = self.store()
        self.run_quiet(save.save, self.shop)
        self.assertEqual(self.store(), before)

    def test_no_lock(self):
        self.stops("is no file", save.bump, self.shop, "/nowhere/lock")


if __name__ == "__main__":
    toy.main(__name__, "series")
