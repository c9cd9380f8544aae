#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Tests of the verdict: each kind of failing run, and each check by itself."""

import contextlib
import copy
import io
import json
import os
import random
import shutil
import sys
import tempfile
import unittest
from unittest import mock

import selftest_path  # pylint: disable=unused-import
import cause
import checks
import judge
import mutations
import mutations_beside
import recording
import rundir
import stream
from recording import MS

HERE = os.path.dirname(os.path.abspath(__file__))
RECORDINGS = os.path.join(HERE, "recordings")

# Importing the second module adds its ways to the list of the first.
ALL = mutations.ALL
assert mutations_beside.mutation is mutations.mutation

PASSING = recording.passing()
REAL = recording.Recording.load(os.path.join(RECORDINGS, "passing"))


def by_name(name):
    return next(one for one in ALL if one.name == name)


class Case(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="judge-test-")
        self.addCleanup(shutil.rmtree, self.dir)

    def judge(self, run):
        run.write(self.dir)
        return judge.judge(self.dir)

    def spoiled(self, name, base=PASSING):
        run = base.copy()
        by_name(name).spoil(run)
        return self.judge(run)

    @staticmethod
    def names(verdict):
        return {one["check"] for one in verdict["findings"]}


class PassingRun(Case):
    def test_passes(self):
        verdict = self.judge(PASSING)
        self.assertEqual((verdict["verdict"], verdict["reasons"]), ("PASS", []))
        self.assertIsNone(verdict["cause"])
        self.assertEqual(judge.last_line(verdict), "PASS")

    def test_every_interval_has_its_numbers(self):
        verdict = self.judge(PASSING)
        intervals = verdict["intervals"]
        self.assertEqual([one["name"] for one in intervals],
                         [name for name, _ in stream.INTERVALS])
        for before, after in zip(intervals, intervals[1:]):
            self.assertEqual(before["end"], after["start"])
        sent = PASSING.table("sent.csv")
        until_done = sum(1 for row in sent if int(row[1]) <= PASSING.mark("done"))
        self.assertEqual(sum(one["sent"] for one in intervals), until_done)
        quiet = next(one for one in intervals if one["name"] == "no kernel")
        begin, end = PASSING.mark("kernel_gone"), PASSING.mark("kernel_up")
        self.assertEqual(quiet["sent"], sum(1 for row in sent if begin <= int(row[1]) < end))
        self.assertEqual((quiet["landed"], quiet["missing"], quiet["refused"]),
                         (quiet["sent"], 0, 0))
        self.assertLess(quiet["max_latency_ms"], 1)
        self.assertLess(quiet["longest_gap_ms"], 6)

    def test_good_config_writes_are_counted(self):
        writes = self.judge(PASSING)["config_writes"]
        self.assertEqual(writes, {"allowed": len(recording.GOOD_WRITES), "forbidden": []})


class EveryCheck(Case):
    """Each mutation of a real run changes the verdict, by the check that it is made for."""

    def spoiled(self, name, base=REAL):
        return super().spoiled(name, base)

    def test_every_mutation_is_caught(self):
        """And is not, once the checks that catch it are taken away."""
        for one in ALL:
            with self.subTest(one.name):
                verdict = self.spoiled(one.name)
                self.assertEqual(verdict["verdict"], "NOT YET")
                self.assertIn(one.check, self.names(verdict))
                self.assertEqual(self.names(verdict) == {one.check}, one.alone)
                self.assertTrue(all(verdict["reasons"]))
                self.assertFalse(any("\n" in text for text in verdict["reasons"]))
                blind = {name: lambda run, frames: [] for name in self.names(verdict)}
                with mock.patch.dict(judge.CHECKS, blind):
                    self.assertEqual(judge.judge(self.dir)["verdict"], "PASS")

    def test_the_words_name_the_place(self):
        at = mutations.middle(REAL)
        seq = int(REAL.table("landed.csv")[at][1])
        for name, text in (
                ("one_frame_lost", "1 of 2515 frames never landed, the first is sequence %d" % seq),
                ("nothing_landed", "the device wrote no frame at all"),
                ("refused_then_taken", "refused 1 frame, the first is sequence %d (" % seq),
                ("hole_in_the_ring", "1 hole in the ring: descriptor "),
                ("two_frames_swapped", "holds sequence %d, %d is due" % (seq + 1, seq)),
                ("bus_numbers_zero", "bus numbers @0x18 <- 0x0 rewrites the bus numbers"),
                ("belief_differs", "at retrieved the kernel believes in table 0x5a00000")):
            with self.subTest(name):
                self.assertIn(text, "\n".join(self.spoiled(name)["reasons"]))

    def test_every_check_is_needed(self):
        alone = {one.check for one in ALL if one.alone}
        shared = {one.check for one in ALL} - alone
        self.assertEqual(alone | shared, set(judge.CHECKS))
        # A lost frame also breaks the order or leaves a gap, a gap is a late frame.
        self.assertEqual(shared, {"lost", "gap"})


class AnyPlace(unittest.TestCase):
    """The same small change at any place of a real run denies the PASS."""

    RUN = rundir.Run(os.path.join(RECORDINGS, "passing"))

    def places(self, count, seed):
        """Random landings of frames whose time is up before done."""
        limit = self.RUN.marks["done"] - 60 * MS
        known = sum(1 for one in self.RUN.landed if one.t < limit)
        return [random.Random(seed + index).randrange(known - 2) for index in range(count)]

    def verdict(self, landed):
        run = copy.copy(self.RUN)
        run.landed = landed
        return judge.judge_run(run)

    def test_unchanged_it_passes(self):
        self.assertEqual(self.verdict(list(self.RUN.landed))["verdict"], "PASS")

    def each(self, seed, change):
        for at in self.places(12, seed):
            with self.subTest(at):
                landed = list(self.RUN.landed)
                change(landed, at)
                landed = [one._replace(desc=index) for index, one in enumerate(landed)]
                self.assertEqual(self.verdict(landed)["verdict"], "NOT YET")

    def test_drop_a_landing(self):
        def drop(landed, at):
            del landed[at]
        self.each(100, drop)

    def test_swap_two(self):
        def swap(landed, at):
            one, two = landed[at], landed[at + 1]
            landed[at:at + 2] = one._replace(seq=two.seq), two._replace(seq=one.seq)
        self.each(200, swap)

    def test_flip_a_payload(self):
        def flip(landed, at):
            landed[at] = landed[at]._replace(ok=False)
        self.each(300, flip)

    def test_delay_a_frame(self):
        def delay(landed, at):
            landed[at] = landed[at]._replace(t=landed[at].t + 60 * MS)
        self.each(400, delay)

    def test_change_a_number(self):
        def change(landed, at):
            landed[at] = landed[at]._replace(seq=landed[at].seq ^ 1 << at % 12)
        self.each(500, change)


class Tail(Case):
    """Frames in flight at done, and what comes later."""

    def end_with(self, keep):
        run = PASSING.copy()
        done = run.mark("done")
        sent = {row[0]: int(row[1]) for row in run.table("sent.csv")}
        rows = run.table("landed.csv")
        run.set_table("landed.csv", [row for row in rows if keep(sent[row[1]], done)])
        return self.judge(run)

    def test_in_flight_frames_are_not_missing(self):
        verdict = self.end_with(keep=lambda sent, done: sent <= done - 49 * MS)
        self.assertEqual(verdict["verdict"], "PASS")
        self.assertEqual(verdict["total"]["missing"], 0)
        done = PASSING.mark("done")
        young = sum(1 for row in PASSING.table("sent.csv")
                    if done - 49 * MS < int(row[1]) <= done)
        self.assertEqual(verdict["total"]["in_flight"], young)

    def test_a_frame_whose_time_is_up_is_missing(self):
        verdict = self.end_with(keep=lambda sent, done: sent <= done - 58 * MS)
        self.assertEqual(verdict["verdict"], "NOT YET")
        self.assertIn("lost", self.names(verdict))
        self.assertGreater(verdict["total"]["missing"], 0)

    def test_a_frame_overtaken_is_missing_though_young(self):
        run = PASSING.copy()
        rows = [row for row in run.table("landed.csv") if int(row[2]) < run.mark("done")]
        del rows[-3]
        mutations.renumber(rows)
        run.set_table("landed.csv", rows)
        verdict = self.judge(run)
        self.assertIn("lost", self.names(verdict))
        self.assertEqual(verdict["total"]["missing"], 1)

    def test_a_landing_after_done_does_not_count(self):
        run = PASSING.copy()
        done = run.mark("done")
        run.set_table("landed.csv", [row if int(row[2]) < done - 60 * MS else
                                     row[:2] + [int(row[2]) + 100 * MS] + row[3:]
                                     for row in run.table("landed.csv")])
        self.assertIn("lost", self.names(self.judge(run)))

    def test_nothing_after_done_counts(self):
        run = PASSING.copy()
        after = run.mark("done") + MS
        run.add_trace(after, "pci_cfg_write igb 01:00.0 @0x4 <- 0x103")
        run.add_trace(after, "vtd_dmar_fault sid 0x100 fault 5 addr 0x10104000 write 1")
        run.add_console(after, "DMAR: DRHD: handling fault status reg 2")
        rows = run.table("landed.csv")
        run.set_table("landed.csv", rows + [[len(rows), -1, after + 90 * MS, 0]])
        rows = run.table("sent.csv")
        run.set_table("sent.csv", rows + [[len(rows), after + 90 * MS, 111]])
        self.assertEqual(self.judge(run)["verdict"], "PASS")


class Cause(Case):
    def stopped(self):
        """What 7.3.4 does: the endpoint's mastering is cleared at shutdown."""
        run = PASSING.copy()
        stop = run.mark("freeze") + 6_900_000
        run.add_trace(stop, "pci_cfg_write igb 01:00.0 @0x4 <- 0x103")
        run.add_trace(stop + 18 * MS, "pci_cfg_write pcie-root-port 00:02.0 @0x4 <- 0x103")
        run.add_trace(stop + 56 * MS, "vtd_dmar_enable enable 0")
        run.set_table("landed.csv", [row for row in run.table("landed.csv")
                                     if int(row[2]) < stop])
        sent = run.table("sent.csv")
        after = [row for row in sent if int(row[1]) > stop]
        for row in after[11:]:
            row[2] = "11"
        run.set_table("sent.csv", sent)
        for name in ("bound", "replaced", "finished"):
            mutations.drop_mark(run, name)
        return self.judge(run), len(after) - 4

    def test_stock_kernel(self):
        verdict, lost = self.stopped()
        found = verdict["cause"]
        self.assertEqual((found["dev"], found["reg"], found["value"]), ("01:00.0", 0x4, 0x103))
        self.assertAlmostEqual(found["after_freeze_ms"], 6.9)
        self.assertLess(found["last_landing_ms"], 6.9)
        self.assertEqual(verdict["total"]["missing"], 11)
        self.assertEqual(verdict["total"]["missing"] + verdict["total"]["refused"], lost)
        line = judge.last_line(verdict)
        self.assertTrue(line.startswith(
            "NOT YET: DMA stopped 6.9 ms after freeze: igb 01:00.0 COMMAND @0x4 <- 0x103"
            " clears bus mastering (last landing at +"), line)
        self.assertIn("%d of 1190 frames missing" % lost, line)
        self.assertIn("the run never reached: bound, replaced, finished", verdict["reasons"])

    def test_pause_is_told_from_stop(self):
        run = PASSING.copy()
        by_name("delayed_but_complete").spoil(run)
        run.add_trace(run.mark("freeze") + 20 * MS, "pci_cfg_write igb 01:00.0 @0x4 <- 0x103")
        verdict = self.judge(run)
        self.assertTrue(verdict["cause"]["resumed"])
        self.assertEqual(verdict["cause"]["what"], "clears bus mastering")
        self.assertIn("0 of 1190 frames missing", judge.last_line(verdict))

    def test_an_unknown_cause_is_called_unknown(self):
        found = self.spoiled("delayed_but_complete")["cause"]
        self.assertEqual(found["what"], "unknown")

    def full(self, given, landed):
        """The cause in a run whose guest gave so many descriptors and used so many."""
        run = PASSING.copy()
        run.meta["ring"] = 200
        for phase in ("freeze", "retrieved", "finished"):
            mutations.set_guest(run, phase, "first_desc", given - 199)
        run.set_table("landed.csv", run.table("landed.csv")[:landed])
        return self.judge(run)["cause"]["what"]

    def test_full_ring(self):
        self.assertEqual(self.full(300, 300), "ring full")
        self.assertEqual(self.full(300, 299), "unknown")

    def test_a_ring_given_back_later_was_not_full(self):
        """What the guest told before the stop counts, not what it told after."""
        run = PASSING.copy()
        run.meta["ring"] = 200
        mutations.set_guest(run, "finished", "first_desc", 500)
        run.set_table("landed.csv", run.table("landed.csv")[:199])
        self.assertEqual(self.judge(run)["cause"]["what"], "ring full")

    def test_a_single_lost_frame_is_no_stop(self):
        self.assertIsNone(self.spoiled("one_frame_lost")["cause"])

    def test_candidates_are_sorted(self):
        self.judge(PASSING)
        times = [one["t"] for one in cause.events(rundir.Run(self.dir), 0, 2**63)]
        self.assertEqual(times, sorted(times))


class Recordings(Case):
    """Real runs, each with what must be found in it."""

    def test_each(self):
        for name in sorted(os.listdir(RECORDINGS)):
            with self.subTest(name):
                path = os.path.join(RECORDINGS, name)
                with open(os.path.join(path, "expect.json"), encoding="utf-8") as text:
                    expect = json.load(text)
                verdict = judge.judge(path)
                self.assertEqual(verdict["verdict"], expect["verdict"])
                self.assertEqual(sorted(self.names(verdict)), sorted(expect["checks"]))
                self.assertEqual((verdict["cause"] or {}).get("text"), expect["cause"])

    def test_a_recording_survives_a_copy(self):
        for name in sorted(os.listdir(RECORDINGS)):
            with self.subTest(name):
                path = os.path.join(RECORDINGS, name)
                self.assertEqual(self.judge(recording.Recording.load(path)), judge.judge(path))


class CommandLine(Case):
    def run_judge(self, *args):
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = judge.main([self.dir] + list(args))
        return status, out.getvalue().splitlines(), err.getvalue().splitlines()

    def test_status_follows_the_expectation(self):
        PASSING.write(self.dir)
        self.assertEqual(self.run_judge()[0], 0)
        self.assertEqual(self.run_judge("--expect", "pass")[0], 0)
        self.assertEqual(self.run_judge("--expect", "not-yet")[0], 1)
        run = PASSING.copy()
        by_name("never_bound").spoil(run)
        run.write(self.dir)
        self.assertEqual(self.run_judge()[0], 1)
        status, out, err = self.run_judge("--expect", "not-yet")
        self.assertEqual((status, err), (0, []))
        self.assertEqual(out[-1], "NOT YET: the run never reached: bound")

    def test_json_holds_the_verdict(self):
        PASSING.write(self.dir)
        path = os.path.join(self.dir, "verdict.json")
        self.assertEqual(self.run_judge("--json", path)[0], 0)
        with open(path, encoding="utf-8") as text:
            self.assertEqual(json.load(text), judge.judge(self.dir))
        self.assertFalse(os.path.exists(path + ".part"))

    def test_unusable_input_is_one_line_and_status_2(self):
        PASSING.write(self.dir)
        os.remove(os.path.join(self.dir, "qemu.log"))
        for expect in ("pass", "not-yet"):
            status, out, err = self.run_judge("--expect", expect)
            self.assertEqual((status, out, len(err)), (2, [], 1))
            self.assertIn("qemu.log: missing", err[0])

    def test_unwritable_json_is_one_line(self):
        PASSING.write(self.dir)
        status, _, err = self.run_judge("--json", os.path.join(self.dir, "no", "dir"))
        self.assertEqual((status, len(err)), (2, 1))


class Patterns(unittest.TestCase):
    def test_what_the_kernel_prints_is_known(self):
        for line in ("DMAR: DRHD: handling fault status reg 2",
                     "DMAR: [DMA Write NO_PASID] Request device [01:00.0] fault addr 0x1",
                     "DMAR: [DMA Read NO_PASID] Request device [01:00.0] fault addr 0x1",
                     "DMAR: VT-d detected Invalidation Queue Error: Reason f",
                     "DMAR: Translation was enabled for dmar0 but we are not in kdump mode"):
            self.assertTrue(checks.DMAR.search(line), line)
        for line in ("DMAR: Host address width 39", "DMAR: No ATSR found",
                     "DMAR: Intel(R) Virtualization Technology for Directed I/O",
                     "DMAR-IR: IRQ remapping was enabled on dmar0 but we are not in kdump mode"):
            self.assertFalse(checks.DMAR.search(line), line)


if __name__ == "__main__":
    sys.exit(unittest.main(verbosity=1))
