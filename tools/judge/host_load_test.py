#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""A process that has to wait for its processor is seen, one that need not is not."""

import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from unittest import mock

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../testing/selftests/liveupdate/iommu"))

import host_load  # pylint: disable=wrong-import-position


class Load(unittest.TestCase):
    def busy(self):
        """A process that takes all of the first processor that we may use."""
        cpu = min(os.sched_getaffinity(0))
        process = subprocess.Popen([sys.executable, "-c",
                                    "import os\nos.sched_setaffinity(0, {%d})\n"
                                    "while True: pass" % cpu])
        self.addCleanup(process.wait)
        self.addCleanup(process.send_signal, signal.SIGKILL)
        return process.pid

    def watch(self, pid, seconds):
        watch = host_load.Watch(pid)
        begin = time.time_ns()
        watch.start()
        time.sleep(seconds)
        watch.stop()
        return host_load.longest(watch.noted, begin, time.time_ns())

    def watch_here(self, pid, seconds):
        """The longest wait, without what the machine below takes of ours meanwhile."""
        with mock.patch.object(host_load, "stolen", return_value={}):
            return self.watch(pid, seconds)

    def test_crowd(self):
        pids = [self.busy() for _ in range(6)]
        self.assertGreater(self.watch_here(pids[0], 1), host_load.NOTED_MS)

    def test_sleeper_does_not_wait(self):
        process = subprocess.Popen(["sleep", "60"])
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        # Stopped, it does not even wait for its turn to begin.
        process.send_signal(signal.SIGSTOP)
        os.waitpid(process.pid, os.WUNTRACED)
        self.assertEqual(self.watch_here(process.pid, 0.3), 0)

    def test_process_that_ends(self):
        process = subprocess.Popen(["sleep", "0.1"])
        watch = host_load.Watch(process.pid)
        watch.start()
        process.wait()
        watch.join(5)
        self.assertFalse(watch.is_alive())

    def test_no_such_process(self):
        process = subprocess.Popen(["true"])
        process.wait()
        self.assertFalse(host_load.favour(process.pid))
        self.watch(process.pid, 0)

    def stat(self, text):
        with tempfile.NamedTemporaryFile("w") as stat:
            stat.write(text)
            stat.flush()
            return host_load.stolen(stat.name)

    def test_stolen(self):
        text = "cpu  1 2 3 4 5 6 7 %d 9 10\ncpu0 1 2 3 4 5 6 7 %d 9 10\nintr 8 8 8 8 8 8 8 8 8\n"
        before, after = self.stat(text % (70, 70)), self.stat(text % (76, 76))
        self.assertEqual(list(after), ["cpu0"])
        self.assertAlmostEqual(after["cpu0"] - before["cpu0"], 6 * host_load.TICK_MS)

    def test_kernel_that_does_not_count_it(self):
        self.assertEqual(self.stat("cpu  1 2 3 4\ncpu0 1 2 3 4\n"), {})

    def test_theft_is_noted(self):
        totals = iter([{"cpu0": 0}, {"cpu0": 3}, {"cpu0": 63}])
        with mock.patch.object(host_load, "waits", return_value={}), \
                mock.patch.object(host_load, "stolen", side_effect=lambda: next(totals, {"cpu0": 63})):
            self.assertEqual(self.watch(os.getpid(), 0.2), 60)

    def test_longest_is_of_the_time_asked_for(self):
        noted = [(10, "1", 7.0), (20, "1", 9.0), (30, "2", 8.0)]
        self.assertEqual(host_load.longest(noted, 0, 100), 9)
        self.assertEqual(host_load.longest(noted, 25, 30), 8)
        self.assertEqual(host_load.longest(noted, 31, 100), 0)


if __name__ == "__main__":
    unittest.main()
