#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Which runs may be done again, and that a real outage is none of them."""

import os
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../testing/selftests/liveupdate/iommu"))

import cause  # pylint: disable=wrong-import-position
import excuse  # pylint: disable=wrong-import-position
import judge  # pylint: disable=wrong-import-position
from recording import MS, Recording  # pylint: disable=wrong-import-position

PASSING = os.path.join(HERE, "recordings", "passing")


def delay_landing(run, by_ms):
    """One frame in the middle is seen later, and those that it holds up with it."""
    rows = run.table("landed.csv")
    index = len(rows) // 2
    until = int(rows[index][2]) + by_ms * MS
    for row in rows[index:]:
        if int(row[2]) < until:
            row[2] = str(until)
    run.set_table("landed.csv", rows)


class Excuses(unittest.TestCase):
    def test_host(self):
        self.assertIsNone(excuse.of_host(excuse.STARVED_MS - 1, excuse.STARVED_MS - 1))
        self.assertIn("machine wait for 20 ms", excuse.of_host(excuse.STARVED_MS, 0))
        self.assertIn("source wait for 20 ms", excuse.of_host(0, excuse.STARVED_MS))

    def test_source_gap(self):
        with tempfile.TemporaryDirectory() as folder:
            self.assertEqual(excuse.source_gap_ms(folder), 0)
            Recording.load(PASSING).write(folder)
            self.assertGreater(excuse.source_gap_ms(folder), 1000 / 500)

    def test_only_time(self):
        late, lost = {"check": "latency"}, {"check": "lost"}
        self.assertIn("nothing is wrong but the time", excuse.of_time([late], None))
        self.assertIsNotNone(excuse.of_time([late], {"what": cause.UNKNOWN}))
        self.assertIsNone(excuse.of_time([late, lost], None))
        self.assertIsNone(excuse.of_time([late], {"what": "clears bus mastering"}))
        self.assertIsNone(excuse.of_time([], None))

    def verdict(self, name, spoil=lambda run: None):
        run = Recording.load(os.path.join(HERE, "recordings", name))
        spoil(run)
        with tempfile.TemporaryDirectory() as folder:
            run.write(folder)
            verdict = judge.judge(folder)
        found = [one for one in verdict["findings"] if one["check"] != "complete"]
        return excuse.of_time(found, verdict["cause"])

    def test_late_frame(self):
        self.assertIsNotNone(self.verdict("passing", lambda run: delay_landing(run, 58)))

    def test_good_run_and_real_outages(self):
        for name in ("passing", "delayed", "paused", "hole", "stopped", "translation-off"):
            self.assertIsNone(self.verdict(name), name)


if __name__ == "__main__":
    unittest.main()
