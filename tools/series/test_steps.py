#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""What reads results and counts them: nothing that broke may get lost."""

import contextlib
import io
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest
from unittest import mock

import ci
import kunit
import lint
import results
import toy
import walk

HERE = os.path.dirname(os.path.abspath(__file__))
# Whoever runs this in the background may have it ignored, and then no child could be interrupted.
signal.signal(signal.SIGINT, signal.default_int_handler)
NESTED = """KTAP version 1
1..2
    KTAP version 1
    1..2
    ok 1 first
    ok 2 second # SKIP no device
ok 1 list
# a comment
not ok 2 alone
"""


def status(text):
    return [(o.name, o.status) for o in results.parse(text.split("\n"))]


class Results(unittest.TestCase):
    def test_leaves_are_counted(self):
        self.assertEqual(status(NESTED), [("list.first", "pass"), ("list.second", "skip"), ("alone", "fail")])
        self.assertEqual(results.counts(results.parse(NESTED.split("\n"))), (1, 1, 1))

    def test_parent_that_fails_alone(self):
        text = NESTED.replace("ok 1 list", "not ok 1 list")
        self.assertIn(("list", "fail"), status(text))
        self.assertIn(("list.first", "pass"), status(text))

    def test_parent_that_fails_with_a_child_counts_once(self):
        text = NESTED.replace("ok 1 list", "not ok 1 list").replace("    ok 1 first", "    not ok 1 first")
        self.assertEqual([s for _, s in status(text)].count("fail"), 2)

    def test_missing_result(self):
        self.assertIn(("list.plan of 2 tests, 1 results", "fail"),
                      status(NESTED.replace("    ok 2 second # SKIP no device\n", "")))
        self.assertIn(("plan of 2 tests, 1 results", "fail"), status(NESTED.replace("not ok 2 alone\n", "")))

    def test_two_documents(self):
        text = "KTAP version 1\n1..1\nok 1 a\nKTAP version 1\n1..1\nok 1 b\n"
        self.assertEqual(status(text), [("a", "pass"), ("b", "pass")])

    def test_results_inside_a_program(self):
        def inner(line):
            return results.counts(results.parse(["1..1", line]))
        self.assertEqual(inner("ok 1 liveupdate # pass:15 fail:0 skip:2"), (15, 0, 2))
        self.assertEqual(inner("not ok 1 liveupdate # pass:15 fail:2 skip:0"), (15, 2, 0))
        self.assertEqual(inner("not ok 1 liveupdate # pass:15 fail:0 skip:0"), (15, 1, 0))
        self.assertEqual(inner("ok 1 liveupdate # pass:0 fail:0 skip:0"), (1, 0, 0))

    def test_why(self):
        text = ["1..3", "# of a", "ok 1 a", "# of b", "    1..2", "    # of c", "    not ok 1 c",
                "    ok 2 d", "not ok 2 b", "# of e", "not ok 3 e # pass:0 fail:2 skip:0"]
        self.assertEqual([(o.name, o.notes) for o in results.parse(text) if o.status == "fail"],
                         [("b.c", ["# of b", "# of c"]), ("e", ["# of e"]), ("e", [])])

    def test_bail_out(self):
        self.assertEqual(status("1..1\nBail out! no kernel\n")[0][1], "fail")


class KUnit(unittest.TestCase):
    BASELINE = {"suite.one": None, "suite.two": "no device"}
    OUTPUT = "KTAP version 1\n1..1\n    KTAP version 1\n    1..2\n    ok 1 one\n" \
             "    ok 2 two # SKIP no device\nok 1 suite\n"

    def judge(self, text):
        return {n: (s, t) for n, s, t in kunit.judge(text.split("\n"), self.BASELINE)}

    def test_as_recorded(self):
        self.assertEqual(self.judge(self.OUTPUT), {"suite.one": ("pass", ""), "suite.two": ("skip", "no device")})

    def test_unexpected_skip(self):
        got = self.judge(self.OUTPUT.replace("ok 1 one", "ok 1 one # SKIP tired"))
        self.assertEqual(got["suite.one"], ("fail", "unexpected skip: tired"))

    def test_skip_for_another_reason(self):
        got = self.judge(self.OUTPUT.replace("no device", "tired"))
        self.assertEqual(got["suite.two"][0], "fail")

    def test_missing_test(self):
        got = self.judge(self.OUTPUT.replace("    ok 1 one\n", "").replace("1..2", "1..1"))
        self.assertEqual(got["suite.one"], ("fail", "it is in the baseline but did not run"))

    def test_failed_test(self):
        self.assertEqual(self.judge(self.OUTPUT.replace("ok 1 one", "not ok 1 one"))["suite.one"][0], "fail")

    def test_no_output_at_all(self):
        self.assertEqual([s for s, _ in self.judge("").values()], ["fail", "fail"])

    def test_new_test(self):
        text = self.OUTPUT.replace("ok 2", "ok 2 new\n    ok 3").replace("1..2", "1..3")
        self.assertEqual(self.judge(text)["suite.new"], ("pass", "not in the baseline"))
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            kunit.report(kunit.judge(text.split("\n"), self.BASELINE))
        self.assertIn("for kunit.expect: pass suite.new\n", out.getvalue())

    def test_configs_of_the_series_are_found(self):
        self.assertIn("drivers/iommu/liveupdate/tests/.kunitconfig", kunit.configs(kunit.ROOT))
        with tempfile.TemporaryDirectory(prefix="series-steps-") as folder:
            for path, text in (("mm/tests/.kunitconfig", "CONFIG_KUNIT=y\n"),
                               ("drivers/iommu/intel/.kunitconfig", "CONFIG_KUNIT=y\nCONFIG_X86_64=y\n")):
                toy.put(os.path.join(folder, path), text)
            self.assertEqual(kunit.configs(folder), list(kunit.BASELINE) + ["mm/tests/.kunitconfig"])

    def test_the_recorded_baseline(self):
        found = kunit.expected(kunit.EXPECT)
        self.assertGreaterEqual(len(found), 223)
        self.assertEqual(sum(1 for r in found.values() if r), 13)


class Walking(unittest.TestCase):
    OUTPUT = ("/k/build/linux/include/linux/liveupdate.h:12:3: warning: no type 7\n"
              "../linux/mm/memfd.c:9: warning: symbol 'x' was not declared. Should it be static?\n"
              "mm/memfd.c:5:1: error: context imbalance\n"
              "../linux/mm/shmem.c:9:1: warning: of a file that is not ours\n"
              "make[3]: something else\n")

    def test_warnings_of_touched_files(self):
        found = walk.count_warnings(self.OUTPUT, "/k/build/linux", {"mm/memfd.c", "include/linux/liveupdate.h"})
        self.assertEqual(sorted(found), [
            ("include/linux/liveupdate.h", "no type N"), ("mm/memfd.c", "context imbalance"),
            ("mm/memfd.c", "symbol 'x' was not declared. Should it be static?")])

    def test_only_module_lines_may_confuse_old_sparse(self):
        with tempfile.TemporaryDirectory(prefix="series-steps-") as folder:
            toy.put(os.path.join(folder, "mm/a.c"),
                    "MODULE_LICENSE(\"GPL\");\nstatic_assert(f());\nmodule_param(a, bool, 0);\n")
            text = "".join("mm/a.c:%d:1: error: bad constant expression\n" % n for n in (1, 2, 3))
            self.assertEqual(walk.count_warnings(text, folder, {"mm/a.c"}),
                             {("mm/a.c", "bad constant expression"): 1})

    def test_errors_are_never_empty_on_failure(self):
        self.assertEqual(walk.errors(0, "error: ignored"), [])
        self.assertEqual(walk.errors(2, "quiet"), ["make failed with status 2"])
        self.assertEqual(walk.errors(2, "x\na.c:1: error: no\n"), ["a.c:1: error: no"])

    def test_what_is_built(self):
        self.assertEqual(walk.kernel_paths(["MAINTAINERS", "tools/a.c", "mm/a.h"]), ["mm/a.h"])
        self.assertEqual(walk.sources(["tools/a.c", "mm/a.h", "mm/a.c"]), ["mm/a.c"])


class Verbose(unittest.TestCase):
    """V=1 prints the commands, as comments of KTAP."""

    def shown(self, verbose, function, *args):
        err = io.StringIO()
        with mock.patch.dict(os.environ, V=verbose), contextlib.redirect_stderr(err):
            function(*args)
        return err.getvalue()

    def test_lint(self):
        self.assertEqual(self.shown("1", lint.run, ["echo", "a b"], "/tmp"), "# + cd /tmp && echo 'a b'\n")
        self.assertEqual(self.shown("0", lint.run, ["echo", "a b"], "/tmp"), "")

    def test_bisect(self):
        with tempfile.TemporaryDirectory(prefix="series-steps-") as folder, \
                mock.patch.dict(os.environ, CC="gcc", HOSTCC="gcc"):
            shop = mock.Mock(build=folder, path=os.path.join(folder, "no-kernel"))
            one = walk.Walk(shop, 2)
            self.assertRegex(self.shown("1", one.make, "on", folder, "bzImage"),
                             r"^# \+ make -s -C \S+/no-kernel O=\S+ -j2 .*bzImage\n$")
            self.assertRegex(self.shown("1", lambda: one.boot("on").communicate()),
                             r"^# \+ \S*python\S* -B \S+/run_list.py --kernel ")
            self.assertEqual(self.shown("0", one.make, "on", folder, "bzImage"), "")

    def test_kunit(self):
        with mock.patch("subprocess.Popen"):
            self.assertIn("# + cd /b/linux && ", self.shown("1", kunit.call, "/b", "exec"))


class Setup(unittest.TestCase):
    """setup.sh on machines made of small scripts; nothing is installed."""

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="series-setup-")
        for name in ("bash", "sed", "head", "rm", "mktemp", "tr", "grep"):
            self.tool(name, 'exec %s "$@"' % shutil.which(name))

    def tearDown(self):
        self.folder.cleanup()

    def tool(self, name, text="exit 0"):
        toy.put(os.path.join(self.folder.name, name), "#!%s\n%s\n" % (shutil.which("bash"), text), 0o755)

    def setup(self, **env):
        folder = self.folder.name
        done = subprocess.run([shutil.which("bash"), os.path.join(HERE, "setup.sh")], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True,
                              env=dict(PATH=folder, SYSTEM_PATH=folder, **env))
        return done.returncode, done.stdout

    def other(self):
        """Another distribution, that has all."""
        for name in "git make gcc flex bison bc perl depmod xz awk diff python3 ccache sparse codespell " \
                    "shellcheck cpio busybox aarch64-linux-gnu-gcc".split():
            self.tool(name)
        self.tool("qemu-system-x86_64", "echo QEMU emulator version 10.0.2")

    def test_other_distribution(self):
        self.other()
        self.assertEqual(self.setup(), (0, "setup: this is not Debian, but all that is needed is there\n"))

    def test_each_that_is_missing_is_named(self):
        for package, tool, text in (
                ("python3-ply", "bin/python3", '[[ "$*" != *"import ply"* ]]'),
                ("python3-GitPython", "bin/python3", '[[ "$*" != *"import git"* ]]'),
                ("glibc-static", "gcc", '[[ "$*" != *-static* || "$*" == *-l* ]]'),
                ("libcap-static", "gcc", '[[ "$*" != *-lcap* ]]'),
                ("libuuid-static", "gcc", '[[ "$*" != *-luuid* ]]'),
                ("openssl-devel", "gcc", 'read -r line; [[ $line != *openssl* ]]'),
                ("qemu-system-x86 (version 10 or later)", "qemu-system-x86_64", "echo emulator version 9.2")):
            with self.subTest(package):
                self.other()
                self.tool(os.path.basename(tool), text)
                status, said = self.setup()
                self.assertEqual(status, 1, said)
                self.assertEqual(said.split("\n")[1:], ["  " + package, ""], said)

    def test_what_root_is_needed_for_is_said(self):
        for name in ("sudo", "tee"):
            self.tool(name)
        self.tool("id", "echo 1000")
        self.tool("dpkg-query", "echo -n installed")
        self.tool("apt-get", "echo bookworm main http://mirror.localhost")
        self.tool("qemu-system-x86_64", "echo QEMU emulator version 7.2.1")
        toy.put(os.path.join(self.folder.name, "os-release"), "ID=debian\nVERSION_CODENAME=bookworm\n")
        status, said = self.setup(OS_RELEASE=os.path.join(self.folder.name, "os-release"))
        self.assertEqual(status, 1, said)
        self.assertIn("bookworm-backports on http://mirror.localhost, for QEMU 10\n"
                      "setup: root is needed for: tee /etc/apt/sources.list.d/bookworm-backports.sources\n", said)
        self.assertIn("root is needed for: env DEBIAN_FRONTEND=noninteractive apt-get ", said)
        self.assertIn("QEMU is still version 7", said)


class Counting(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="series-steps-")
        self.log = os.path.join(self.folder.name, "x.log")

    def tearDown(self):
        self.folder.cleanup()

    def count(self, text, code, ktap=True):
        toy.put(self.log, text)
        return results.counts(ci.judge("x", self.log, code, ktap))

    def test_step_without_results_of_its_own(self):
        self.assertEqual(self.count("noise\n", 0, ktap=False), (1, 0, 0))
        self.assertEqual(self.count("noise\n", 2, ktap=False), (0, 1, 0))

    def test_step_with_results(self):
        self.assertEqual(self.count("1..2\nok 1 a\nok 2 b\n", 0), (2, 0, 0))
        self.assertEqual(self.count("1..2\nok 1 a\nnot ok 2 b\n", 1), (1, 1, 0))

    def test_step_that_broke_is_not_lost(self):
        self.assertEqual(self.count("1..2\nok 1 a\nok 2 b\n", 1), (2, 1, 0))
        self.assertEqual(self.count("Traceback\n", 1), (0, 1, 0))
        self.assertEqual(self.count("", 0), (0, 1, 0))

    def test_failed_result_with_status_zero(self):
        self.assertEqual(self.count("1..1\nnot ok 1 a\n", 0), (0, 1, 0))

    def test_no_log(self):
        self.assertEqual(results.counts(ci.judge("x", self.log, 0, True)), (0, 1, 0))

    def test_steps_are_targets_in_order(self):
        with open(os.path.join(lint.ROOT, "Makefile"), encoding="utf-8") as file:
            makefile = file.read().replace("kernel-$(CONFIG)", "kernel-lu")
        before = []
        for name, goals, need, _ in ci.STEPS:
            self.assertLessEqual(set(goals), set(lint.TARGETS))
            self.assertTrue(need is None or need in before, name)
            # The log that is read for the results.
            if name != "setup":
                self.assertRegex(makefile, r"\$\(STEP\) (--\w+ )*%s " % name)
            before.append(name)
        self.assertIn("controls", before)
        self.assertLessEqual(set(ci.BEGIN_MIN), set(before))

    def test_long_parts(self):
        toy.put(self.log, "# building kernel\n# kernel: 7 s\n# iommufd took 120 s\n# == tests of the judge: 61 s\n"
                          "    # inner took 9 s\nok 1 a took 3 s\n")
        self.assertEqual(ci.parts(self.log), [(120, "iommufd"), (61, "tests of the judge"), (7, "kernel")])
        self.assertEqual(ci.parts(self.log + ".none"), [])

    def test_last_line(self):
        self.assertEqual(ci.summary(3, 0, 0), "3 passed, 0 failed")
        self.assertEqual(ci.summary(3, 1, 2), "3 passed, 1 failed, 2 skipped")

    def step(self, *command, **env):
        done = subprocess.run([sys.executable, os.path.join(HERE, "step.py")] + list(command),
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              env=dict(os.environ, LOGS=self.folder.name, **env))
        return done.returncode, done.stdout

    def test_step_shows_what_matters(self):
        code, out = self.step("--quiet", "x", "what", "--", "sh", "-c",
                              "seq 1 3000; echo 'a.c:1: error: no'; seq 1 50; exit 3", V="0")
        self.assertEqual(code, 3)
        self.assertIn("a.c:1: error: no", out)
        self.assertIn("the full log is", out)
        self.assertNotIn("\n2999\n", out)
        with open(self.log, encoding="utf-8") as file:
            self.assertIn("2999", file.read())

    def interrupted(self, number, everybody, command, *args, **env):
        """The exit status and output of a tool that gets a signal once its child said that it is ready."""
        child = subprocess.Popen([sys.executable, os.path.join(HERE, command)] + list(args),
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=1,
                                 start_new_session=True, env=dict(os.environ, LOGS=self.folder.name, V="0", **env))
        said = []
        for line in child.stdout:
            said.append(line)
            if line == "ready\n":
                (os.killpg if everybody else os.kill)(child.pid, number)
        return child.wait(), "".join(said)

    # In many short ones, because a signal between the fork and the exec of a sleep is lost on the sleep.
    UNTIDY = "trap 'echo tidy; exit 1' INT; echo ready; for i in $(seq 300); do sleep 0.1; done"

    def test_step_interrupted(self):
        code, out = self.interrupted(signal.SIGINT, True, "step.py", "x", "what", "--", "sh", "-c", self.UNTIDY)
        self.assertEqual(code, 130)
        self.assertRegex(out, r"\A== what\nready\n== x INTERRUPTED after 0:0\d, the log so far is \S+\n\Z")
        with open(self.log, encoding="utf-8") as file:
            self.assertEqual(file.read(), "ready\ntidy\n")

    def test_step_terminated(self):
        code, out = self.interrupted(signal.SIGTERM, False, "step.py", "x", "what", "--",
                                     "sh", "-c", "echo ready; exec sleep 30")
        self.assertEqual(code, 143)
        self.assertIn("== x INTERRUPTED", out)

    def test_ci_interrupted(self):
        toy.put(os.path.join(self.folder.name, "make"),
                "#!/bin/sh\n[ $1 = setup ] && exit 0\n%s\n" % self.UNTIDY, 0o755)
        code, out = self.interrupted(signal.SIGINT, True, "ci.py",
                                     PATH=self.folder.name + ":" + os.environ["PATH"])
        self.assertEqual(code, 130)
        self.assertEqual(out, "ready\ntidy\n== test INTERRUPTED in step tree: no counts\n")

    def test_ci_says_why(self):
        toy.put(os.path.join(self.folder.name, "make"),
                "#!/bin/sh\n[ $1 = check ] || exit 0\n"
                "printf '# of a\\nok 1 a\\n# of b\\nnot ok 2 b\\n' >$LOGS/check.log\n", 0o755)
        env = dict(os.environ, LOGS=self.folder.name,
                   PATH=self.folder.name + ":" + os.environ["PATH"])
        run = subprocess.run([sys.executable, os.path.join(HERE, "ci.py")], env=env,
                             stdout=subprocess.PIPE, text=True, check=False)
        self.assertEqual(run.returncode, 1)
        self.assertRegex(run.stdout, r"\nfailed: check: b \(\S+\)\n    # of b\nfailed: ")

    def test_step_verbose_prints_the_command(self):
        code, out = self.step("--quiet", "x", "what", "--", "echo", "hello", V="1")
        self.assertEqual(code, 0)
        self.assertIn("+ echo hello\nhello", out)


if __name__ == "__main__":
    toy.main(__name__, "steps")
