#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Each rule of the entries is broken once and must be caught."""

import os

import check
import toy
import tree


class Rules(toy.Toy):
    def test_nothing_broken(self):
        self.assertEqual(self.run_quiet(check.run, self.shop), 0, self.out.getvalue())
        self.assertRegex(self.out.getvalue(), r"# foreign lines: +4  hook lines: +2  one")

    def test_file_nobody_claims(self):
        self.write("drivers/new/three.c", "// SPDX-License-Identifier: GPL-2.0\n")
        self.check_fails("files-claimed-once", "no entry claims drivers/new/three.c")

    def test_file_claimed_twice(self):
        self.edit("patches/two.patch", "---\n", "---\n create mode 100644 drivers/new/one.c\n")
        self.check_fails("files-claimed-once", "one.c is claimed by two entries: one and two")
        self.stops("claimed by two entries", tree.make, self.shop)

    def test_claim_listed_twice(self):
        self.edit("patches/two.patch", "---\n", "---\n create mode 100644 drivers/new/two.c\n")
        self.check_fails("entries-text", "two.c is listed twice")

    def test_claim_that_does_not_exist(self):
        os.unlink(os.path.join(self.root, "drivers/new/one.c"))
        self.check_fails("files-claimed-once", "one claims drivers/new/one.c, but the repository has no")
        self.stops("has no such file", tree.make, self.shop)

    def test_claim_with_the_wrong_mode(self):
        os.chmod(os.path.join(self.root, "drivers/new/one.c"), 0o755)
        self.check_fails("files-claimed-once", "one.c with mode 100644, the file has 100755")

    def test_python_cache_does_not_matter(self):
        self.write("drivers/new/__pycache__/x.cpython-311.pyc", "x")
        self.assertEqual(self.run_quiet(check.run, self.shop), 0, self.out.getvalue())

    def test_entry_creates_an_existing_file(self):
        self.write("drivers/core.c", "new\n")
        self.edit("patches/two.patch", "---\n", "---\n create mode 100644 drivers/core.c\n")
        self.check_fails("entries-edit-existing-files-only", "two creates drivers/core.c, which the base")

    def test_entry_creates_by_hunk(self):
        self.edit("patches/two.patch", "diff --git a/drivers/other.c",
                  "diff --git a/fresh.c b/fresh.c\nnew file mode 100644\n--- /dev/null\n+++ b/fresh.c\n"
                  "@@ -0,0 +1 @@\n+fresh\ndiff --git a/drivers/other.c")
        self.check_fails("entries-text", r"\(new file mode 100644\) creates, deletes, renames")

    def test_entry_deletes(self):
        self.edit("patches/two.patch", "diff --git a/drivers/other.c b/drivers/other.c\n",
                  "diff --git a/drivers/other.c b/drivers/other.c\ndeleted file mode 100644\n")
        self.check_fails("entries-text", r"\(deleted file mode 100644\) creates, deletes")

    def test_entry_renames(self):
        self.edit("patches/two.patch", "diff --git a/drivers/other.c b/drivers/other.c\n",
                  "diff --git a/drivers/core.c b/drivers/other.c\nrename from drivers/core.c\n")
        self.check_fails("entries-text", "renames drivers/core.c to drivers/other.c")

    def test_entry_changes_a_mode(self):
        self.edit("patches/two.patch", "diff --git a/drivers/other.c b/drivers/other.c\n",
                  "diff --git a/drivers/other.c b/drivers/other.c\nold mode 100644\nnew mode 100755\n")
        self.check_fails("entries-text", r"\(old mode 100644\)")

    def test_hook_on_a_new_file(self):
        self.edit("patches/two.patch", "diff --git a/drivers/other.c",
                  "diff --git a/drivers/new/one.c b/drivers/new/one.c\n--- a/drivers/new/one.c\n"
                  "+++ b/drivers/new/one.c\n@@ -2 +2,2 @@\n int one;\n+int more;\n"
                  "diff --git a/drivers/other.c")
        self.check_fails("entries-edit-existing-files-only", "a hunk edits drivers/new/one.c")
        self.stops("change the file itself", tree.make, self.shop)

    def test_hook_on_no_file(self):
        self.edit("patches/two.patch", "a/drivers/other.c b/drivers/other.c\n--- a/drivers/other.c\n"
                  "+++ b/drivers/other.c", "a/drivers/none.c b/drivers/none.c\n--- a/drivers/none.c\n"
                  "+++ b/drivers/none.c")
        self.check_fails("entries-edit-existing-files-only", "none.c is no file of the base kernel")

    def test_offset(self):
        self.edit("patches/one.patch", "@@ -10,2 +10,3 @@", "@@ -9,2 +9,3 @@")
        self.check_fails("hunks-exact", "applies only with an offset of 1 lines")

    def test_fuzz(self):
        self.edit("patches/one.patch", " line 10\n", " line ten\n")
        self.check_fails("hunks-exact", "does not apply.*no fuzz")

    def test_wrong_new_line_number(self):
        self.edit("patches/one.patch", "@@ -10,2 +10,3 @@", "@@ -10,2 +11,3 @@")
        self.check_fails("hunks-exact", r"says \+11 but lands at line 10")

    def test_hunk_length(self):
        self.edit("patches/one.patch", "@@ -10,2 +10,3 @@", "@@ -10,2 +10,4 @@")
        self.stops("the hunk's length is not what its @@ line says", tree.make, self.shop)

    def test_whitespace_in_a_hunk(self):
        self.edit("patches/one.patch", "+first hook\n", "+first hook \n")
        self.check_fails("whitespace", "core.c:11: trailing whitespace")
        self.assertRegex(self.out.getvalue(), "not ok .*hunks-exact")

    def test_whitespace_in_a_new_file(self):
        self.write("drivers/new/one.c", "// SPDX-License-Identifier: GPL-2.0\nint one;\n\n")
        self.check_fails("whitespace", "one.c:3: new blank line at EOF")

    def test_shared_file_without_a_reason(self):
        self.edit("patches/two.patch", "diff --git a/drivers/other.c",
                  toy.hunk("drivers/core.c", 40, ["more"], shift=1) + "diff --git a/drivers/other.c")
        self.check_fails("shared-files-have-a-reason", "two: drivers/core.c is edited by one too")
        for name in ("one", "two"):
            self.edit("patches/%s.patch" % name, "\ndiff --git",
                      " shared drivers/core.c: both are called there\n\ndiff --git")
        self.run_quiet(tree.make, self.shop)
        self.assertEqual(self.run_quiet(check.run, self.shop), 0, self.out.getvalue())

    def test_reason_without_a_shared_file(self):
        self.edit("patches/two.patch", "\ndiff --git", " shared drivers/core.c: none\n\ndiff --git")
        self.check_fails("shared-files-have-a-reason", "stands for no shared file")

    def test_hunks_less_than_four_lines_apart(self):
        for line, broken in ((15, False), (14, False), (13, True), (11, True)):
            self.write("patches/two.patch", toy.HEAD % (2, "Add two", "two")
                       + " create mode 100644 drivers/new/two.c\n\n"
                       + toy.hunk("include/iommu.h", line, ["two(void);"], shift=1))
            if broken:
                self.check_fails("hunks-apart", "less than 4 lines from one")
            else:
                self.run_quiet(check.run, self.shop)
                self.assertRegex(self.out.getvalue(), r"(?m)^ok \d+ entries.hunks-apart")

    def test_hunk_near_a_deletion(self):
        self.edit("patches/one.patch", "@@ -10,2 +10,3 @@\n line 10\n+one(void);\n line 11\n",
                  "@@ -10,3 +10,2 @@\n line 10\n-line 11\n line 12\n")
        self.write("patches/two.patch", toy.HEAD % (2, "Add two", "two")
                   + " create mode 100644 drivers/new/two.c\n\n"
                   + toy.hunk("include/iommu.h", 14, ["two(void);"]).replace("-14,2 +14,3", "-13,2 +13,3"))
        self.check_fails("hunks-apart", "less than 4 lines from one")

    def test_hook_near_the_distributions_change(self):
        for line in (17, 20, 22, 28, 33):
            self.write("patches/two.patch", toy.HEAD % (2, "Add two", "two")
                       + " create mode 100644 drivers/new/two.c\n\n"
                       + toy.hunk("drivers/other.c", line, ["hook"]))
            self.check_fails("hunks-apart", "less than 4 lines from the distribution's own change")

    def test_oversize_hooks_warn(self):
        self.write("patches/two.patch", toy.HEAD % (2, "Add two", "two")
                   + " create mode 100644 drivers/new/two.c\n\n"
                   + toy.hunk("drivers/other.c", 50, ["hook %d" % n for n in range(61)]))
        self.write("drivers/new/two.c", "// SPDX-License-Identifier: GPL-2.0\n" + "int two;\n" * 401)
        self.run_quiet(tree.make, self.shop)
        self.assertEqual(self.run_quiet(check.run, self.shop), 0, self.out.getvalue())
        for text in (r"two: its hunks change 61 lines \(budget 60\)", r"changes 61 lines \(budget 10\)",
                     "two.c: 402 lines"):
            self.assertRegex(self.out.getvalue(), "# warning: .*" + text)

    def test_index_line(self):
        self.edit("patches/one.patch", "--- a/drivers/core.c", "index 1234567..89abcde 100644\n--- a/drivers/core.c")
        self.check_fails("entries-text", r"line \d+ is an index line")

    def test_text_after_the_hunk_header(self):
        self.edit("patches/one.patch", "@@ -10,2 +10,3 @@", "@@ -10,2 +10,3 @@ int main(void)")
        self.check_fails("entries-text", "has text after @@")

    def test_signature(self):
        self.write("patches/two.patch", self.read("patches/two.patch") + "-- \n2.39.5\n")
        self.stops("is no part of a diff", check.run, self.shop)

    def test_unknown_line_after_the_dashes(self):
        self.edit("patches/two.patch", "---\n", "---\n 2 files changed\n")
        self.check_fails("entries-text", "is none of")

    def test_two_hunks_that_git_would_join(self):
        self.edit("patches/one.patch", "@@ -10,2 +10,3 @@\n line 10\n+first hook\n line 11\n",
                  "@@ -10,1 +10,2 @@\n line 10\n+first hook\n@@ -11,2 +12,3 @@\n line 11\n+more\n line 12\n")
        self.check_fails("round-trip", "one: make save would write it differently")

    def test_more_context_than_stored(self):
        self.edit("patches/one.patch", "@@ -10,2 +10,3 @@\n line 10\n", "@@ -9,3 +9,4 @@\n line 9\n line 10\n")
        self.check_fails("round-trip", "make save would write it differently")

    def test_long_subject(self):
        self.edit("patches/one.patch", "toy: Add one", "toy: Add " + "one " * 20)
        self.check_fails("messages", r"the subject has \d+ columns, 75")

    def test_subject_without_prefix(self):
        self.edit("patches/one.patch", "toy: Add one", "Add one")
        self.check_fails("messages", "is not 'subsystem: Summary'")

    def test_subject_twice(self):
        self.edit("patches/one.patch", "toy: Add one", "toy: Add two")
        self.check_fails("messages", "the subject is also that of one")

    def test_no_changelog(self):
        self.edit("patches/one.patch", "Because of one.\n\n", "")
        self.check_fails("messages", "one: no changelog")

    def test_long_changelog_line(self):
        self.edit("patches/one.patch", "Because of one.", "Because " * 10)
        self.check_fails("messages", "the changelog has a line of 80 columns")

    def test_sign_off(self):
        self.edit("patches/one.patch", "Because of one.", "Why.\n\nSigned-off-by: T <t@localhost>")
        self.check_fails("messages", "Signed-off-by is added by whoever sends")

    def test_empty_entry(self):
        self.write("patches/three.patch", toy.HEAD % (4, "Add three", "three"))
        self.edit("patches/series", "two\n", "two\nthree\n")
        self.check_fails("messages", "three changes nothing")

    def test_patch_that_series_does_not_name(self):
        self.write("patches/three.patch", "x")
        self.check_fails("entries-listed", "patches/three.patch is not in patches/series")

    def test_series_names_a_patch_that_is_not_there(self):
        self.edit("patches/series", "two\n", "two\nthree\n")
        self.stops("names three, but there is no", check.run, self.shop)

    def test_series_names_a_patch_twice(self):
        self.edit("patches/series", "two\n", "two\ntwo\n")
        self.stops("names two twice", check.run, self.shop)

    def test_entry_without_a_topic(self):
        self.edit("patches/series", "# topic: core\n", "")
        self.check_fails("entries-listed", "one has no topic")

    def test_topic_in_two_pieces(self):
        self.edit("patches/series", "two\n", "# topic: more\ntwo\n# topic: core\n")
        self.edit("patches/series", "# topic: docs\n", "")
        self.check_fails("entries-listed", "topic core is not in one piece")

    def test_unsaved_edit(self):
        self.edit("build/linux/drivers/core.c", "line 30\n", "edited\n")
        self.check_fails("tree-is-the-series", "core.c differs from the series")

    def test_stale_tree(self):
        self.write("drivers/new/one.c", "// SPDX-License-Identifier: GPL-2.0\nint other;\n")
        self.check_fails("tree-is-the-series", "is not what patches/ says")

    def test_bad_header(self):
        self.edit("patches/one.patch", "Date: Sat", "Day: Sat")
        self.stops("line 2 must start with 'Date: '", check.run, self.shop)
        self.edit("patches/one.patch", "Day: Sat, 21 Nov", "Date: then")
        self.check_fails("hunks-exact", "Date: is not a mail date")

    def test_symbolic_link(self):
        os.symlink("one.c", os.path.join(self.root, "drivers/new/link.c"))
        self.stops("link.c is a symbolic link", check.run, self.shop)

    def test_maintainers_section_exists_already(self):
        self.edit("MAINTAINERS", "IOMMU LIVE UPDATE", "IOMMU SUBSYSTEM")
        self.stops("already has a section", tree.make, self.shop)


if __name__ == "__main__":
    toy.main(__name__, "rules")
