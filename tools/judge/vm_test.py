#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""The machine's own judge: trouble in the kernels' logs, and how QEMU ended.

QEMU is played by a small script here, so that it can be made to fail.
"""

import os
import stat
import sys
import tempfile
import textwrap
import time
import unittest
from unittest import mock

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../testing/selftests/liveupdate/iommu"))

import run_list  # pylint: disable=wrong-import-position
import vm  # pylint: disable=wrong-import-position

FIRST = "[    0.000000] Linux version 7.3.4 (lu@lu) (gcc) #1 SMP"

# As an old QEMU says it (in double quotes of the shell).
OWN_FAULT = ("qemu-system-x86_64: system/physmem.c:2678: iotlb_to_section: Assertion "
             "'section_index < d->map.sections_nb' failed.")

# One headline of each kind, as kernels write them.
SPLATS = """
[    2.868543] Kernel panic - not syncing: VFS: Unable to mount root fs on "" or unknown-block(0,0)
[   12.345678] BUG: KASAN: slab-use-after-free in iommufd_object_remove+0x1a/0x40
[   12.345678] BUG: kernel NULL pointer dereference, address: 0000000000000008
[   12.345678] BUG: sleeping function called from invalid context at kernel/locking/mutex.c:591
[   12.345678] BUG: Bad page state in process init  pfn:12345
[   12.345678] BUG kmalloc-64 (Not tainted): Poison overwritten
[   12.345678] watchdog: BUG: soft lockup - CPU#1 stuck for 26s! [iommufd:123]
[   12.345678] kernel BUG at mm/memfd_luo.c:123!
[   12.345678] Oops: general protection fault, probably for non-canonical address 0x1: 0000 [#1] SMP
[   12.345678] Oops: 0002 [#1] SMP PTI
[   12.345678] WARNING: drivers/iommu/iommu.c:3456 at __iommu_attach_group+0x12/0x80, CPU#0: init/1
[   12.345678][  T123] WARNING: CPU: 1 PID: 77 at mm/page_alloc.c:4711 __alloc_pages+0x20a/0x2a0
[   12.345678] WARNING: possible circular locking dependency detected
[   12.345678] WARNING: suspicious RCU usage
[   12.345678] WARNING: bad unlock balance detected!
[   12.345678] rcu: INFO: rcu_preempt self-detected stall on CPU
[   12.345678] INFO: task luo_kexec:42 blocked for more than 122 seconds.
[   12.345678] INFO: trying to register non-static key.
[   12.345678] BUG: MAX_LOCKDEP_ENTRIES too low!
[   12.345678] kmemleak: 3 new suspected memory leaks (see /sys/kernel/debug/kmemleak)
[   12.345678] kmemleak: Cannot allocate a kmemleak_object structure, disabling
[   12.345678] UBSAN: array-index-out-of-bounds in drivers/iommu/intel/pasid.c:12:3
[   12.345678] unchecked MSR access error: WRMSR to 0x1a0 (tried to write 0x0)
[   12.345678] DEBUG_LOCKS_WARN_ON(lock->magic != lock)
""".strip().splitlines()

# What looks like trouble and is none: fault injection on request, the report of
# blocked tasks on request, a test program that crashed, ordinary messages.
QUIET = """
[    3.121212] FAULT_INJECTION: forcing a failure.
[    3.121213] name failslab, interval 1, probability 0, space 0, times 1
[    3.121214] CPU: 0 UID: 0 PID: 57 Comm: iommufd_fail_nt Not tainted 7.3.4 #1 PREEMPT(voluntary)
[    3.121215] Call Trace:
[    3.121216]  <TASK>
[    3.121217]  dump_stack_lvl+0x53/0x70
[    3.121218]  should_fail_ex+0x1a9/0x1d0
[    3.121219]  </TASK>
[    4.000000] sysrq: Show Blocked State
[    4.000001] task:stuck           state:D stack:0     pid:44    tgid:44    ppid:1
[    5.000000] traps: iommufd[33] general protection fault ip:401234 sp:7ffc error:0 in iommufd[401000+9000]
[    5.100000] iommufd[34]: segfault at 0 ip 0000000000401234 sp 00007ffc error 4
[    6.000000] DMAR: DRHD: handling fault status reg 2
[    7.000000] INFO: lapic timer not stable
[    8.000000] Warning: unable to open an initial console.
[    8.000001] KUNIT: BUG_ON is not triggered here
[    9.000000] reboot: Power down
""".strip().splitlines()


def timed(lines):
    return [(number, line) for number, line in enumerate(lines)]


class Problems(unittest.TestCase):
    """Headlines of splats, and nothing but them."""

    def test_each_splat(self):
        for line in SPLATS:
            found = vm.problems(timed([FIRST, line]))
            self.assertEqual(len(found), 1, line)
            self.assertTrue(found[0].startswith("kernel 1: "), found)

    def test_quiet(self):
        self.assertEqual(vm.problems(timed([FIRST] + QUIET)), [])

    def test_second_kernel(self):
        found = vm.problems(timed([FIRST] + QUIET + [FIRST, SPLATS[10]]))
        self.assertEqual(len(found), 1)
        self.assertTrue(found[0].startswith("kernel 2: WARNING: drivers/iommu"), found)


class FakeQemu(unittest.TestCase):
    """Runs in which a script plays QEMU; $console and $report are its ports."""

    def setUp(self):
        self.dir = tempfile.TemporaryDirectory()
        self.real = vm.QEMU
        self.machine = None

    def tearDown(self):
        vm.QEMU = self.real
        self.dir.cleanup()

    def install(self, body):
        path = os.path.join(self.dir.name, "qemu")
        with open(path, "w", encoding="utf-8") as script:
            script.write(textwrap.dedent("""\
                #!/bin/sh
                for word in "$@"; do
                    case "$word" in
                    file,id=console,path=*) console=${word#*path=} ;;
                    file,id=report,path=*) report=${word#*path=} ;;
                    esac
                done
                """) + textwrap.dedent(body))
        os.chmod(path, os.stat(path).st_mode | stat.S_IXUSR)
        vm.QEMU = path

    def run_fake(self, body, timeout=20, callbacks=()):
        self.install(body)
        self.machine = vm.Vm("kernel", "initrd", os.path.join(self.dir.name, "work"),
                             timeout=timeout)
        for channel, callback in callbacks:
            self.machine.on(channel, callback)
        return self.machine.run()

    def test_one_thread_where_qemu_uses_a_freed_map(self):
        for version, devices, single in (
                ("10.0.2 (Debian 1:10.0.2+ds-2~bpo12+1)", ["-device", "igb"], True),
                ("7.2.19 (Debian 1:7.2+dfsg-7)", ["-device", "igb"], True),
                ("10.0.2", [], False), ("10.0.3", ["-device", "igb"], False),
                ("10.1.0", ["-device", "igb"], False), ("?", ["-device", "igb"], True)):
            with self.subTest(version):
                self.install("echo 'QEMU emulator version %s'" % version)
                with mock.patch.object(vm, "accelerator", return_value="tcg"):
                    machine = vm.Vm("kernel", "initrd", self.dir.name, qemu_args=devices)
                self.assertEqual("tcg,thread=single" in machine.command(3, 4), single)
                self.assertEqual("tcg" in machine.command(3, 4), not single)

    def test_driver_of_the_network_device(self):
        for wanted in (False, True):
            machine = vm.Vm("kernel", "initrd", self.dir.name, "quiet", native_driver=wanted)
            self.assertEqual("initcall_blacklist=igb_init_module" in machine.cmdline.split(), not wanted)
            self.assertIn("quiet", machine.cmdline.split())

    def test_good(self):
        seen = []
        before = time.time_ns()
        result = self.run_fake("""
            echo "[    0.000000] Linux version 7.3.4" > "$console"
            printf 'ok 1 a\\r\\nok 2 b\\n' > "$report"
            """, callbacks=[("report", lambda t_ns, line: seen.append((t_ns, line)))])
        self.assertEqual(result.problems, [])
        self.assertEqual(result.status, 0)
        self.assertEqual([line for _, line in result.report], ["ok 1 a", "ok 2 b"])
        self.assertEqual(seen, result.report)
        self.assertTrue(before < result.report[0][0] < time.time_ns())
        log = vm.read_log(os.path.join(self.dir.name, "work", "report.log"))
        self.assertEqual(log, result.report)

    def test_line_without_end(self):
        result = self.run_fake("printf 'torn' > \"$console\"")
        self.assertEqual([line for _, line in result.console], ["torn"])

    def test_nonzero_exit(self):
        result = self.run_fake("echo 'no such device' >&2; exit 3")
        self.assertEqual(result.status, 3)
        self.assertEqual(result.problems, ["QEMU exited with status 3: no such device"])

    def test_killed(self):
        result = self.run_fake("kill -SEGV $$")
        self.assertEqual(result.problems, ["QEMU killed by signal 11 (SIGSEGV)"])

    def boot_fake(self, body):
        """(VmResult, Verdict, number of starts) of a list with one test."""
        path = os.path.join(self.dir.name, "some.list")
        with open(path, "w", encoding="utf-8") as out:
            out.write("a|10|once|/tests/a\n")
        count = os.path.join(self.dir.name, "count")
        self.install("echo >> %s\ncount=$(wc -l < %s)\n" % (count, count) +
                     textwrap.dedent(body))
        result, verdict = run_list.boot(run_list.TestList(path), "kernel", "initrd",
                                        os.path.join(self.dir.name, "work"))
        with open(count, encoding="utf-8") as lines:
            return result, verdict, len(lines.readlines())

    def test_fault_of_qemu_does_not_count(self):
        result, verdict, starts = self.boot_fake("""
            [ $count -lt 3 ] && { echo "%s" >&2; kill -ABRT $$; }
            exit 0
            """ % OWN_FAULT)
        self.assertEqual((starts, result.status, result.problems), (3, 0, []))
        self.assertEqual(verdict.notes[-2:], ["QEMU failed by itself: " + OWN_FAULT] * 2)

    def test_fault_of_qemu_in_all_attempts(self):
        result, _, starts = self.boot_fake('echo "%s" >&2; kill -ABRT $$' % OWN_FAULT)
        self.assertEqual(starts, vm.ATTEMPTS)
        self.assertEqual(result.problems, ["QEMU killed by signal 6 (SIGABRT): " + OWN_FAULT])

    def test_lost_timer_does_not_count(self):
        start = time.monotonic()
        with mock.patch.object(vm, "PANIC_WAIT_S", 1):
            result, verdict, starts = self.boot_fake("""
                [ $count -ge 2 ] && exit 0
                echo "[  119.3] rcu:     Possible timer handling issue on cpu=1 timer-softirq=36" > "$console"
                exec sleep 60 > /dev/null
                """)
        self.assertLess(time.monotonic() - start, 30)
        self.assertEqual((starts, result.problems), (2, []))
        self.assertIn("Possible timer handling issue on cpu=1", verdict.notes[-1])

    def test_stall_counts_at_once(self):
        with mock.patch.multiple(run_list, BOOT_TIMEOUT_S=1, END_TIMEOUT_S=-9):
            result, _, starts = self.boot_fake("""
                echo "[  119.3] rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:" > "$console"
                exec sleep 60 > /dev/null
                """)
        self.assertTrue(result.timed_out)
        self.assertEqual(starts, 1)

    def test_other_ends_count_at_once(self):
        for body in ('echo "%s" >&2; exit 1' % OWN_FAULT,
                     'echo "%s" >&2; kill -SEGV $$' % OWN_FAULT,
                     'echo "hw/net/igb_core.c:1: Assertion \\`x\' failed." >&2; kill -ABRT $$'):
            with self.subTest(body):
                self.tearDown()
                self.setUp()
                result, _, starts = self.boot_fake(body)
                self.assertEqual(starts, 1)
                self.assertIsNone(result.emulator_bug())

    def test_hang(self):
        start = time.monotonic()
        result = self.run_fake("""
            for i in 1 2 3 4 5 6 7; do echo "line $i" > "$console"; done
            exec sleep 60 > /dev/null
            """, timeout=2)
        self.assertLess(time.monotonic() - start, 30)
        self.assertTrue(result.timed_out)
        self.assertEqual(result.problems[0], "no end after 2 s; last console lines:")
        self.assertEqual([line.strip() for line in result.problems[1:]],
                         ["line 3", "line 4", "line 5", "line 6", "line 7"])

    def test_hang_after_a_panic(self):
        start = time.monotonic()
        with mock.patch.object(vm, "PANIC_WAIT_S", 1):
            result = self.run_fake("""
                echo "[    0.1] Kernel panic - not syncing: early" > "$console"
                exec sleep 60 > /dev/null
                """, timeout=50)
        self.assertLess(time.monotonic() - start, 30)
        self.assertTrue(result.timed_out)
        self.assertRegex(result.problems[0], "^no end after [12] s;")
        self.assertIn("kernel 1: Kernel panic - not syncing: early", result.problems)

    def test_splat(self):
        result = self.run_fake("echo '%s' > \"$console\"" % SPLATS[0].replace('"', ""))
        self.assertEqual(result.status, 0)
        self.assertTrue(result.problems[0].startswith("kernel 1: Kernel panic"), result.problems)

    def test_callback_that_fails_leaves_no_process(self):
        def fail(_t_ns, line):
            raise RuntimeError(line)
        with self.assertRaises(RuntimeError):
            self.run_fake("echo $$ > \"$report\"; exec sleep 60",
                          callbacks=[("report", fail)])
        self.assertEqual(self.machine.process.returncode, -9)


class Stuck(unittest.TestCase):
    """A test that does not end: where it is stuck is told, whatever comes on the console then."""

    TASK = ["[   50.1] sysrq: Show Blocked State"] + [
        "[   50.1] task:vfio            state:D stack:0     pid:44    tgid:44    ppid:1"] + [
        "[   50.1]  frame_%d+0x1/0x2" % number for number in range(70)]
    LATE = "not ok 1 a # timed out after 10 s"
    NEVER = "Bail out! a cannot be killed"

    @staticmethod
    def result(console, report, timed_out=False):
        return vm.VmResult(0, timed_out, timed([FIRST] + console), timed(report), [], [])

    def stuck(self, *args, **kwargs):
        return [line.strip() for line in vm.stuck(self.result(*args, **kwargs))]

    def test_at_most_so_many_lines(self):
        noise = ["[   51.0] noise %d" % number for number in range(100)]
        self.assertEqual(self.stuck(self.TASK + noise, [self.LATE]), self.TASK[:60])

    def test_both_times(self):
        second = [line.replace("50.1", "60.1") for line in self.TASK[:9]]
        self.assertEqual(self.stuck(self.TASK[:9] + second, ["# output", self.NEVER]),
                         self.TASK[:9] + second)

    def test_the_machine_did_not_end(self):
        self.assertEqual(self.stuck(self.TASK[:9], [], timed_out=True), self.TASK[:9])

    def test_whoever_asks_for_it_is_not_stuck(self):
        self.assertEqual(self.stuck(self.TASK, ["ok 1 a", "# timed out after 10 s"]), [])

    def test_a_list_tells_it(self):
        result = self.result(self.TASK[:9], ["KTAP version 1", "1..1", self.NEVER])
        verdict = run_list.ktap.judge([line for _, line in result.report], ["a"], None)
        told = list(run_list.results(result, verdict, ["a"]))
        self.assertIn("#     " + self.TASK[8], told)
        self.assertIn("not ok 1 a # no result", told)
        self.assertIn("not ok 2 machine", told)
        self.assertFalse(run_list.good(result, verdict))


class Lists(unittest.TestCase):
    """Lists of tests, as the host reads them."""

    def read(self, text):
        with tempfile.TemporaryDirectory() as workdir:
            path = os.path.join(workdir, "some.list")
            with open(path, "w", encoding="utf-8") as out:
                out.write(text)
            return run_list.TestList(path)

    def test_good(self):
        tests = self.read("# text\n#vm mem=2G\n#vm append=a=1 b\n#vm append=c\n"
                          "#vm qemu=-device x\na|10|once|/tests/a\nb|20|kexec|/tests/b -x\n")
        self.assertEqual((tests.name, tests.names), ("some", ["a", "b"]))
        self.assertEqual(tests.settings, {"mem": "2G", "append": ["a=1", "b", "c"],
                                          "qemu": ["-device", "x"]})
        # A kexec test runs in two kernels.
        self.assertEqual(tests.timeout, 10 + 20 * 2 +
                         2 * (run_list.BOOT_TIMEOUT_S + run_list.END_TIMEOUT_S))

    def test_the_larger_memory_counts(self):
        self.assertEqual(vm.size_text(0, "1G"), "1024M")
        self.assertEqual(vm.size_text(vm.size("3G"), "512M"), "3072M")
        self.assertEqual(vm.size_text(vm.size("3G"), "4G"), "4096M")

    def test_broken(self):
        for text in ("", "# nothing\n", "a|10|once\n", "a|x|once|/tests/a\n",
                     "#vm colour=red\na|10|once|/tests/a\n", "#vm mem=much\na|10|once|/tests/a\n"):
            with self.assertRaises(SystemExit, msg=text):
                self.read(text)

    def test_power_off_is_seen(self):
        self.assertTrue(run_list.powered_off(timed(["[    9.0] reboot: Power down"])))
        self.assertFalse(run_list.powered_off(timed(["[    9.0] reboot: Restarting system"])))
        self.assertFalse(run_list.powered_off([]))


if __name__ == "__main__":
    unittest.main()
