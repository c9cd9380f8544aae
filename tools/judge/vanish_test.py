#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Tests of vanish.py without QEMU: when the device is taken away, and what is trouble then."""

import json
import os
import socket
import sys
import tempfile
import threading
import unittest
from unittest import mock

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../testing/selftests/liveupdate/iommu"))

import vanish  # pylint: disable=wrong-import-position

GONE = "[   21.345678] kexec_core: Starting new kernel"
UP = "[    0.000000] Linux version 7.3.4 (lu@lu) (gcc) #1 SMP"
DEVICE = {"event": "DEVICE_DELETED", "data": {"path": "/machine/peripheral-anon/device[1]"}}
PART = {"event": "DEVICE_DELETED", "data": {"path": "/machine/unattached/device[22]"}}


class Qemu(threading.Thread):
    """The other end of the socket: answers with what there is for each command."""

    def __init__(self, path, events=(), said="", early=False):
        super().__init__(daemon=True)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen()
        self.events, self.said, self.early = list(events), said, early
        self.commands = []

    def run(self):
        connection, _ = self.listener.accept()
        with connection, connection.makefile("rw", encoding="utf-8") as lines:
            lines.write('{"QMP": {}}\n')
            lines.flush()
            for line in lines:
                command = json.loads(line)
                self.commands.append(command["arguments"].get("command-line", command["execute"]))
                answers = [{"return": self.said if "arguments" in command and command["arguments"] else {}}]
                if "0xcc8" in self.commands[-1]:
                    answers = self.events + answers if self.early else answers + self.events
                lines.write("".join(json.dumps(one) + "\n" for one in answers))
                lines.flush()
        self.listener.close()


class Vanish(unittest.TestCase):
    def setUp(self):
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        self.path = os.path.join(place.name, "monitor")
        patch = mock.patch.object(vanish, "DELAY_S", 0.01)
        patch.start()
        self.addCleanup(patch.stop)
        self.vanish = vanish.Vanish(self.path)

    def problems(self, lines, **qemu):
        """What is wrong when the console has told lines, each with its time or now."""
        machine = Qemu(self.path, **qemu)
        machine.start()
        for t_ns, line in lines:
            self.vanish.console(t_ns, line)
        problems = self.vanish.problems()
        # Until it has read the last command, of which there may be none.
        machine.join(0.5)
        return problems, machine.commands

    def test_good(self):
        problems, commands = self.problems([(1, GONE), (1 << 62, UP)], events=(PART, PART, DEVICE))
        self.assertEqual(problems, [])
        self.assertEqual(commands, ["qmp_capabilities", "stop", "o /4 0xcd0 0", "o /4 0xcc8 1", "cont"])

    def test_gone_before_the_answer(self):
        problems, commands = self.problems([(1, GONE), (1 << 62, UP)], events=(PART, DEVICE), early=True)
        self.assertEqual((problems, commands[-1]), ([], "cont"))

    def test_no_end_of_a_kernel(self):
        self.assertEqual(self.problems([(1, UP)]), (["there was no time to take the device away"], []))

    def test_too_late(self):
        problems, _ = self.problems([(1, GONE), (2, UP)], events=(DEVICE,))
        self.assertEqual(problems, ["the next kernel was there when the device was taken away"])

    def test_nothing_goes_away(self):
        with mock.patch.object(vanish, "TIMEOUT_S", 0.2):
            problems, commands = self.problems([(1, GONE), (1 << 62, UP)], events=(PART,))
        self.assertEqual(problems, ["the device cannot be taken away: timed out"])
        self.assertEqual(commands[-1], "cont")

    def test_the_monitor_complains(self):
        problems, _ = self.problems([(1, GONE), (1 << 62, UP)], events=(DEVICE,), said="unknown command\r\n")
        self.assertEqual(problems, ["the device cannot be taken away: o /4 0xcd0 0: unknown command"])

    def test_no_monitor(self):
        self.vanish.console(1, GONE)
        self.assertIn("cannot be taken away", self.vanish.problems()[0])


if __name__ == "__main__":
    unittest.main()
