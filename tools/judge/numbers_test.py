#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Tests of the numbers beside the verdict: what each interval and the ring count."""

import sys
import tempfile
import unittest

import selftest_path  # pylint: disable=unused-import
import judge
import mutations
import recording
from recording import MS


def verdict(run):
    with tempfile.TemporaryDirectory() as path:
        run.write(path)
        return judge.judge(path)


def interval(found, name):
    return next(one for one in found["intervals"] if one["name"] == name)


class Intervals(unittest.TestCase):
    def test_a_frame_sent_just_at_done_belongs_to_the_last_one(self):
        run = recording.passing()
        done = max(int(row[1]) for row in run.table("sent.csv") if int(row[1]) < run.mark("done"))
        run.set_table("marks.csv", [[done if name == "done" else t, name]
                                    for t, name in run.table("marks.csv")])
        found = verdict(run)
        self.assertEqual(found["verdict"], "PASS")
        self.assertEqual(sum(one["sent"] for one in found["intervals"]), found["total"]["sent"])
        self.assertEqual(found["total"]["in_flight"], 1)
        self.assertEqual(interval(found, "after finish")["in_flight"], 1)

    def test_a_frame_sent_just_at_a_mark_belongs_to_what_begins(self):
        run = recording.passing()
        times = [int(row[1]) for row in run.table("sent.csv")]
        freeze = min(t for t in times if t > run.mark("freeze"))
        run.set_table("marks.csv", [[freeze if name == "freeze" else t, name]
                                    for t, name in run.table("marks.csv")])
        found = verdict(run)
        self.assertEqual(interval(found, "before freeze")["sent"],
                         sum(1 for t in times if t < freeze))
        self.assertEqual(sum(one["sent"] for one in found["intervals"]), found["total"]["sent"])

    def test_a_gap_is_cut_at_the_marks(self):
        run = recording.passing()
        up = run.mark("kernel_up")
        at = mutations.middle(run, "kernel_up", -80)
        last = int(run.table("landed.csv")[at - 1][2])
        mutations.hold(run, at, up + 300 * MS)
        found = verdict(run)
        self.assertAlmostEqual(interval(found, "no kernel")["longest_gap_ms"], (up - last) / MS)
        self.assertAlmostEqual(interval(found, "boot")["longest_gap_ms"], 300)
        self.assertAlmostEqual(found["total"]["longest_gap_ms"], (up + 300 * MS - last) / MS)
        for name in ("before freeze", "shutdown", "before bind", "after finish"):
            self.assertLess(interval(found, name)["longest_gap_ms"], 6, name)

    def test_an_interval_without_a_landing_is_one_gap(self):
        run = recording.passing()
        mutations.nothing_landed(run)
        for one in verdict(run)["intervals"][1:]:
            self.assertAlmostEqual(one["longest_gap_ms"], (one["end"] - one["start"]) / MS)
            self.assertIsNone(one["max_latency_ms"])

    def test_latency_belongs_to_the_interval_of_sending(self):
        run = recording.passing()
        at = mutations.middle(run, "kernel_up", -10)
        sent = int(run.table("sent.csv")[at][1])
        mutations.hold(run, at, sent + 40 * MS)
        found = verdict(run)
        self.assertEqual(found["verdict"], "PASS")
        self.assertAlmostEqual(interval(found, "no kernel")["max_latency_ms"], 40)
        self.assertGreater(interval(found, "boot")["max_latency_ms"], 20)
        self.assertLess(interval(found, "before bind")["max_latency_ms"], 1)


class Ring(unittest.TestCase):
    def test_displaced_descriptors_are_counted(self):
        run = recording.passing()
        self.assertEqual(verdict(run)["displaced"], 0)
        at = mutations.middle(run)
        mutations.one_frame_lost(run)
        done = run.mark("done")
        behind = sum(1 for row in run.table("landed.csv")[at:] if int(row[2]) <= done)
        found = verdict(run)
        self.assertEqual((found["displaced"], len(found["order"])), (behind, 1))

    def test_holes_are_listed_and_not_displaced(self):
        run = recording.passing()
        at = mutations.middle(run)
        mutations.payload_broken(run)
        found = verdict(run)
        self.assertEqual((found["holes"], found["displaced"]), ([at], 0))


class Entries(unittest.TestCase):
    def test_only_readings_until_done_are_told(self):
        run = recording.passing()
        rows = run.table("entries.csv")
        late = [str(run.mark("done") + 1)] + rows[-1][1:2] + ["0", "0", "", ""]
        run.set_table("entries.csv", rows + [late])
        found = verdict(run)
        self.assertEqual((found["verdict"], len(found["entries"])), ("PASS", len(rows)))
        self.assertEqual(found["entries"][0]["hw_pgd"], recording.OLD_TABLE)
        self.assertEqual(found["entries"][-1]["hw_did"], recording.NEW_DID)


if __name__ == "__main__":
    sys.exit(unittest.main(verbosity=1))
