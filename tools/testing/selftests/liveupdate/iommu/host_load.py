# SPDX-License-Identifier: GPL-2.0
"""Whether the host let the machine run.

The emulated device works in a thread of QEMU, so a host that is busy with other
things delays it like a fault of the guest would. The kernel counts for each
thread how long it was ready to run and had to wait, and for each processor how
long the machine below, if there is one, used it for others; a long wait is no
property of what we measure.
"""

import os
import threading
import time

NICE = -15
PERIOD_S = 0.01
# Shorter waits are no news on a host with other processes.
NOTED_MS = 5
TICK_MS = 1000 / os.sysconf("SC_CLK_TCK")
# Which number of a processor's line in /proc/stat counts what others took of it.
STEAL = 8


def favour(pid):
    """Let all threads of a process run before others; True if we may do that.

    A nice value counts among the processes of one session only; sessions have
    one of their own, where the kernel groups by sessions.
    """
    try:
        for thread in os.listdir("/proc/%d/task" % pid):
            os.setpriority(os.PRIO_PROCESS, int(thread), NICE)
    except OSError:
        return False
    try:
        with open("/proc/%d/autogroup" % pid, "w", encoding="ascii") as group:
            group.write(str(NICE))
    except OSError:
        return not os.path.exists("/proc/%d/autogroup" % pid)
    return True


def waits(pid):
    """{thread: nanoseconds it waited for a processor in its life}"""
    found = {}
    for thread in os.listdir("/proc/%d/task" % pid):
        try:
            with open("/proc/%d/task/%s/schedstat" % (pid, thread), encoding="ascii") as stat:
                found[thread] = int(stat.read().split()[1])
        except (OSError, IndexError, ValueError):
            # The thread has ended, or this kernel does not count.
            pass
    return found


def stolen(path="/proc/stat"):
    """{processor: milliseconds in which it was somebody else's}"""
    with open(path, encoding="ascii") as stat:
        rows = [line.split() for line in stat if line.startswith("cpu")]
    # The first line is the sum of the others.
    return {row[0]: int(row[STEAL]) * TICK_MS for row in rows[1:] if len(row) > STEAL}


class Watch(threading.Thread):
    """Notes when a thread of the process, or a processor of the host, had to wait."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid = pid
        self.noted = []
        self.ending = threading.Event()

    def totals(self):
        found = {thread: ns / 1e6 for thread, ns in waits(self.pid).items()}
        found.update(stolen())
        return found

    def run(self):
        try:
            before = self.totals()
            while not self.ending.wait(PERIOD_S):
                now = self.totals()
                t_ns = time.time_ns()
                for name, total in now.items():
                    wait_ms = total - before.get(name, total)
                    if wait_ms >= NOTED_MS:
                        self.noted.append((t_ns, name, wait_ms))
                before = now
        except OSError:
            # The process has ended.
            pass

    def stop(self):
        self.ending.set()
        self.join()


def longest(noted, begin_ns, end_ns):
    """The longest wait that was noted in this time, in milliseconds."""
    return max((wait for t_ns, _, wait in noted if begin_ns <= t_ns <= end_ns), default=0)
