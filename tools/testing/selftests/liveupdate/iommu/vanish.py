# SPDX-License-Identifier: GPL-2.0
"""Take the device out of the machine while no kernel runs.

A slot loses what is in it when its number is written to the register by which a
guest says that it has given a device up (docs/specs/acpi_pci_hotplug of QEMU). Here
the monitor writes it, and no guest knows.
"""

import json
import socket
import threading
import time

import recorder

# Ports of the ICH9, and the first bus on which devices come and go, that of the
# root port.
SELECT, EJECT = 0xcd0, 0xcc8
BUS, SLOT = 0, 0
TIMEOUT_S = 20
# From the old kernel's last words on: the device is to be seen writing until then.
DELAY_S = 0.1


class MonitorError(Exception):
    """QEMU does not do what it is told."""


class Monitor:
    """QEMU's monitor at the other end of a socket."""

    def __init__(self, connection):
        self.socket = connection
        self.lines = connection.makefile("r", encoding="utf-8")
        self.events = []
        self.lines.readline()
        self.execute("qmp_capabilities")

    def send(self, name, **arguments):
        command = {"execute": name, "arguments": arguments}
        self.socket.sendall(json.dumps(command).encode() + b"\n")

    def execute(self, name, **arguments):
        self.send(name, **arguments)
        while True:
            answer = self.message()
            if "error" in answer:
                raise MonitorError("%s: %s" % (name, answer["error"]["desc"]))
            if "return" in answer:
                return answer["return"]
            # What a command causes may be told before its answer.
            self.events.append(answer)

    def message(self):
        line = self.lines.readline()
        if not line:
            raise MonitorError("the monitor is gone")
        return json.loads(line)

    def human(self, text):
        said = self.execute("human-monitor-command", **{"command-line": text})
        if said:
            raise MonitorError("%s: %s" % (text, said.strip()))

    def wait_deleted(self):
        """Until QEMU has done with a device of its command line; its parts go before."""
        while True:
            event = self.events.pop(0) if self.events else self.message()
            if event.get("event") == "DEVICE_DELETED" and "/peripheral" in event["data"]["path"]:
                return


class Vanish:
    """Watches the console of one machine, whose monitor is at @path."""

    def __init__(self, path):
        self.path = path
        self.change = recorder.KernelChange()
        self.timer = None
        self.t_ns = None
        self.trouble = []

    def arguments(self):
        return ["-qmp", "unix:%s,server=on,wait=off" % self.path]

    def console(self, t_ns, line):
        """To be called for each line of the console."""
        if "kernel_gone" in self.change.feed(t_ns, line):
            self.timer = threading.Timer(DELAY_S, self.take)
            self.timer.start()

    def take(self):
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(TIMEOUT_S)
                connection.connect(self.path)
                self.eject(Monitor(connection))
        except (OSError, ValueError, MonitorError) as error:
            self.trouble.append("the device cannot be taken away: %s" % error)

    def eject(self, monitor):
        # The device must not be there for a part of what runs next.
        monitor.execute("stop")
        self.t_ns = time.time_ns()
        try:
            monitor.human("o /4 %#x %d" % (SELECT, BUS))
            monitor.human("o /4 %#x %d" % (EJECT, 1 << SLOT))
            monitor.wait_deleted()
        except (OSError, ValueError, MonitorError):
            # A machine that stands still would be waited for until the run times out.
            monitor.send("cont")
            raise
        monitor.execute("cont")

    def problems(self):
        """After the end of the machine: what is wrong, as readable lines."""
        if not self.timer:
            return ["there was no time to take the device away"]
        self.timer.join()
        if self.t_ns and self.change.up_ns and self.change.up_ns <= self.t_ns:
            self.trouble.append("the next kernel was there when the device was taken away")
        return self.trouble
