#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Tests of yardstick.py without a machine: what is expected, what counts as a
measurement, and when a run is done again.
"""

import collections
import contextlib
import io
import os
import sys
import tempfile
import unittest
from unittest import mock

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../testing/selftests/liveupdate/iommu"))

import yardstick  # pylint: disable=wrong-import-position

Result = collections.namedtuple("Result", "problems report")
Record = collections.namedtuple("Record", "problems marks")
Options = collections.namedtuple(
    "Options", "mode topology no_kexec list outage fault run append report slow least_mem two unit"
    " sibling memory native_driver x2apic",
    defaults=("legacy", "root-port", False, "yardstick", 0, False, 0, [], None, 1, 0, False, [], False, 0,
              False, False))


class Expectation(unittest.TestCase):
    def from_file(self, text):
        with tempfile.NamedTemporaryFile("w") as expect:
            expect.write(text)
            expect.flush()
            with mock.patch.object(yardstick, "EXPECT_FILE", expect.name):
                return yardstick.expected_verdict(None)

    def test_file(self):
        self.assertEqual(self.from_file("# comment\nnot-yet\n"), "NOT YET")
        self.assertEqual(self.from_file("not-yet clears it\n"), "NOT YET (clears it)")
        self.assertEqual(self.from_file("pass\n"), "PASS")

    def test_our_own_file_can_be_read(self):
        self.assertRegex(yardstick.expected_verdict(None), r"^(PASS|NOT YET( \(.+\))?)$")

    def test_cause_of_the_command_line(self):
        self.assertEqual(yardstick.expected_verdict("not-yet", "clears it"), "NOT YET (clears it)")

    def test_another_cause_is_not_expected(self):
        self.assertTrue(yardstick.agrees("NOT YET (a)", "NOT YET (a)"))
        self.assertTrue(yardstick.agrees("NOT YET (a)", "NOT YET"))
        for verdict in ("NOT YET (b)", "NOT YET", "PASS", None):
            self.assertFalse(yardstick.agrees(verdict, "NOT YET (a)"), verdict)
        self.assertFalse(yardstick.agrees(None, "NOT YET"))

    def test_command_line_wins(self):
        self.assertEqual(yardstick.expected_verdict("pass"), "PASS")

    def test_anything_else_is_refused(self):
        for text in ("", "maybe\n", "pass\nnot-yet\n"):
            with self.assertRaises(SystemExit):
                self.from_file(text)


class Trouble(unittest.TestCase):
    def trouble(self, *lines, problems=(), recorded=(), marks=("rx_on",)):
        return yardstick.guest_trouble(Result(list(problems), [(0, line) for line in lines]),
                                       Record(list(recorded), dict.fromkeys(marks, 1)))

    def test_good_run(self):
        self.assertEqual(self.trouble("KTAP version 1", "ok 1 dma_continuity"), [])

    def test_guest_tells_why(self):
        lines = self.trouble("# Bail out! fewer than 200 frames", "not ok 1 dma_continuity")
        self.assertEqual(lines[0], "# Bail out! fewer than 200 frames")

    def test_bad_runs(self):
        good = "ok 1 dma_continuity"
        for lines, more in (((), {}), (("not ok 1 dma_continuity # exit status 1",), {}),
                            (("Bail out! cannot mount proc",), {}),
                            ((good,), {"problems": ["kernel 1: BUG: x"]}),
                            ((good,), {"recorded": ["entry at rx_on: y"]}),
                            ((good,), {"marks": ()}),
                            (("ok 1 dma_continuity # SKIP no device",), {"marks": ()})):
            self.assertTrue(self.trouble(*lines, **more), (lines, more))


class Conclusion(unittest.TestCase):
    def conclude(self, no_kexec, *checks):
        verdict = {"verdict": "NOT YET" if checks else "PASS", "reasons": ["why"],
                   "cause": {"what": "breaks it"} if "lost" in checks else None,
                   "findings": [{"check": check, "text": check} for check in checks]}
        return yardstick.conclude(Options(no_kexec=no_kexec), verdict)[0]

    def test_run_without_kexec_need_not_be_complete(self):
        self.assertEqual(self.conclude(True, "complete"), "PASS")
        self.assertEqual(self.conclude(True, "complete", "lost"), "NOT YET")

    def test_run_with_kexec_must(self):
        self.assertEqual(self.conclude(False, "complete"), "NOT YET")
        self.assertEqual(self.conclude(False, "lost"), "NOT YET (breaks it)")
        self.assertEqual(self.conclude(False), "PASS")


class Says(unittest.TestCase):
    CONSOLE = list(enumerate([
        "[    0.000000] Linux version 7.3.4", "[    1.234567] DMAR: dmar0: the queue answers again",
        "[    0.000000] Linux version 7.3.4", "other"]))

    def test_what_is_said(self):
        self.assertEqual(yardstick.lacking(["dmar0:.the.queue"], ["^other"], self.CONSOLE), [])

    def test_what_is_not(self):
        self.assertEqual(yardstick.lacking(["dead"], [], self.CONSOLE),
                         ["the first kernel does not say /dead/"])
        self.assertEqual(yardstick.lacking(["other"], ["the.queue"], self.CONSOLE),
                         ["the first kernel does not say /other/",
                          "the last kernel does not say /the.queue/"])

    def test_no_other_kernel(self):
        self.assertEqual(yardstick.lacking(["the.queue"], ["the.queue"], self.CONSOLE[:2]),
                         ["the last kernel does not say /the.queue/"])


class Again(unittest.TestCase):
    def outcome(self, *runs, expected="PASS"):
        """(good, number of runs) where each is verdict, lines and excuse."""
        with mock.patch.object(yardstick, "one_run", side_effect=runs) as one_run, \
                contextlib.redirect_stdout(io.StringIO()) as self.output:
            good = yardstick.report_run(1, Options(), "dir", expected)
        return good, one_run.call_count

    def test_expected_verdict_counts_at_once(self):
        self.assertEqual(self.outcome(("PASS", [], "excuse")), (True, 1))

    def test_other_verdict_counts_without_excuse(self):
        self.assertEqual(self.outcome(("NOT YET", ["lost"], None)), (False, 1))

    def test_excused_run_is_repeated(self):
        self.assertEqual(self.outcome(("NOT YET", ["lost"], "why"), ("PASS", [], None)),
                         (True, 2))
        self.assertIn("# does not count: why; again", self.output.getvalue())

    def test_excuses(self):
        measurement = yardstick.Measurement(Options(), "dir")
        self.assertIsNone(measurement.excuse())
        measurement.source_gap_ms = 30
        self.assertIn("source wait for 30 ms", measurement.excuse())
        measurement.starved_ms = 40
        self.assertIn("machine wait for 40 ms", measurement.excuse())
        measurement.emulator_bug = "Assertion failed"
        self.assertIn("by itself: Assertion failed", measurement.excuse())

    def test_not_for_ever(self):
        starved = ("NOT YET", ["lost"], "starved")
        self.assertEqual(self.outcome(starved, starved, starved), (False, 3))

    def late_run(self, no_kexec):
        measurement = mock.Mock()
        measurement.run.return_value = []
        measurement.excuse.return_value = None
        verdict = {"verdict": "NOT YET", "cause": None, "reasons": ["late"],
                   "findings": [{"check": "latency", "text": "late"}]}
        with mock.patch.object(yardstick, "Measurement", return_value=measurement), \
                mock.patch.object(yardstick.judge, "judge", return_value=verdict):
            return yardstick.one_run(Options(no_kexec=no_kexec), "dir")

    def test_late_frame_of_a_live_update_counts(self):
        self.assertEqual(self.late_run(False), ("NOT YET", ["late"], None))
        self.assertIn("but the time", self.late_run(True)[2])

    def one_run(self, judged):
        broken = mock.Mock()
        broken.run.return_value = ["the guest gave up"]
        broken.excuse.return_value = None
        with mock.patch.object(yardstick, "Measurement", return_value=broken), \
                mock.patch.object(yardstick.judge, "judge", **judged):
            return yardstick.one_run(Options(), "dir")

    def test_a_run_that_broke_off_tells_what_was_seen(self):
        verdict = {"verdict": "NOT YET", "cause": None, "reasons": ["DMA stopped", "frames missing"]}
        self.assertEqual(self.one_run({"return_value": verdict}),
                         (None, ["the guest gave up", "until then: DMA stopped",
                                 "until then: frames missing"], None))

    def test_a_run_that_cannot_be_judged(self):
        error = yardstick.judge.UnusableRun[0]("no frames")
        self.assertEqual(self.one_run({"side_effect": error}), (None, ["the guest gave up"], None))

    def test_no_measurement_is_never_good(self):
        self.assertEqual(self.outcome((None, ["panic"], None), expected="NOT YET"), (False, 1))
        self.assertIn("not ok 1 yardstick legacy root-port kexec # no measurement: panic",
                      self.output.getvalue())


class Machine(unittest.TestCase):
    def test_progress_knows_every_mark(self):
        self.assertEqual(set(yardstick.PROGRESS), set(yardstick.rundir.MARKS))

    def test_kernel_arguments(self):
        words = yardstick.kernel_arguments(Options()).split()
        self.assertEqual(words, ["intel_iommu=on", "vmtest.list=/tests/yardstick.list",
                                 "vmtest.slow=1"])
        words = yardstick.kernel_arguments(Options(
            mode="sm-fs", no_kexec=True, list="yardstick-once", outage=5, fault=True, append=["quiet"],
            slow=8)).split()
        self.assertEqual(words, ["intel_iommu=on,sm_on",
                                 "vmtest.list=/tests/yardstick-once.list",
                                 "vmtest.args=outage=5,fault", "vmtest.slow=8", "quiet"])
        words = yardstick.kernel_arguments(Options(native_driver=True)).split()
        self.assertIn("vmtest.args=native", words)
        words = yardstick.kernel_arguments(Options(no_kexec=True, list="other")).split()
        self.assertEqual(words, ["intel_iommu=on", "vmtest.list=/tests/other.list", "vmtest.slow=1"])

    def test_memory(self):
        for asked, given in ((0, 1024), (512, 1024), (2048, 2048), (3072, 2560)):
            self.assertEqual(yardstick.memory_mb(Options(least_mem=asked << 20)), given)
        self.assertEqual(yardstick.memory_mb(Options(memory=6144, least_mem=2048 << 20)), 6144)

    def test_sibling(self):
        arguments = yardstick.machine_arguments(Options(sibling=True), "/s")
        self.assertIn("e1000e,addr=0.0,multifunction=on,bus=rp", arguments)
        self.assertIn("igb,netdev=n0,bus=rp,addr=0.1", arguments)
        self.assertEqual(yardstick.requester_id(Options(sibling=True)), "01:00.1")

    def test_device_is_below_its_ports(self):
        for topology, (bridges, _, _, ports) in yardstick.TOPOLOGY.items():
            arguments = yardstick.machine_arguments(Options(topology=topology), "/s")
            self.assertEqual(len(ports), len(bridges))
            self.assertTrue(arguments[-1].startswith("igb,netdev=n0,bus="), topology)

    def test_other_properties_of_the_unit(self):
        arguments = yardstick.machine_arguments(Options(unit=["caching-mode=on"]), "/s")
        self.assertEqual(arguments[1], "intel-iommu,intremap=on,caching-mode=on")

    def test_two_devices_get_the_same_frames(self):
        arguments = yardstick.machine_arguments(Options(two=True), "/s")
        self.assertEqual([word for word in arguments if word.startswith("igb,")],
                         ["igb,netdev=first,bus=rp", "igb,netdev=second,bus=rp2"])
        hub = [word for word in arguments if word.startswith("hubport,")]
        self.assertEqual(len(hub), 3)
        self.assertEqual([word for word in hub if word.endswith(",netdev=n0")], hub[:1])


if __name__ == "__main__":
    unittest.main()
