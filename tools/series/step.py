#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Run one step of the front door: progress on the screen, everything in a log.

  step.py [--quiet] [--bare] NAME WHAT -- COMMAND...

The full output goes to LOGS/NAME.log. With --quiet only a line every few seconds
says how far it is. On failure the last lines that matter and the log's path are
printed. With V=1 the command and all its output are shown.

Ctrl-C reaches the command as well, which removes what is half done; this waits
for that and ends with one line. A second one ends the command at once.
"""

import argparse
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time

MATTERS = re.compile(r"(?i)\berror\b|\bfatal\b|^not ok|bail out|\bfailed\b|^series: |undefined reference"
                     r"|No space left|Traceback|^\S+Error\b")
EVERY = 5


def options():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quiet", action="store_true", help="count the lines instead of showing them")
    parser.add_argument("--bare", action="store_true", help="the command's own last line stays the last")
    parser.add_argument("name")
    parser.add_argument("what")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    args = parser.parse_args()
    if args.command[:1] == ["--"]:
        args.command.pop(0)
    return args


def matters(path):
    """The last lines of a log that look like the cause, else its last lines."""
    with open(path, encoding="utf-8", errors="replace") as file:
        lines = [l.rstrip("\n") for l in file][-2000:]
    found = [l for l in lines if MATTERS.search(l) and not re.match(r"^(#|\s)*ok ", l)]
    return found[-15:] if found else lines[-15:]


class Ticker(threading.Thread):
    """For quiet steps: how long, how many lines, and the last of them."""

    def __init__(self, what):
        super().__init__(daemon=True)
        self.what, self.lines, self.last = what, 0, ""
        self.start_time, self.done = time.monotonic(), threading.Event()

    def run(self):
        tty = sys.stdout.isatty()
        while not self.done.wait(EVERY if tty else 6 * EVERY):
            spent = int(time.monotonic() - self.start_time)
            text = "  %d:%02d  %d lines, %s" % (spent // 60, spent % 60, self.lines, self.last.strip()[:60])
            print(("\r\033[K" if tty else "") + text, end="" if tty else "\n", flush=True)
        if tty:
            print("\r\033[K", end="", flush=True)


class Interrupt:
    """SIGINT and SIGTERM while a command runs, here and in ci.py."""

    def __init__(self):
        self.child, self.signal = None, 0
        for number in (signal.SIGINT, signal.SIGTERM):
            # A job in the background was told to ignore SIGINT.
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self.caught)

    def caught(self, number, _):
        # The terminal sends the first SIGINT to the command too; SIGTERM comes to us alone.
        again, self.signal = self.signal, number
        if self.child and self.child.poll() is None and (again or number == signal.SIGTERM):
            self.child.terminate()

    def watch(self, child):
        self.child = child
        # A SIGINT that came while the child was started has reached it.
        if self.signal == signal.SIGTERM:
            child.terminate()


def main():
    interrupt = Interrupt()
    args = options()
    verbose = os.environ.get("V") == "1"
    logs = os.environ.get("LOGS", "build/logs")
    os.makedirs(logs, exist_ok=True)
    log = os.path.join(logs, args.name + ".log")
    print("== %s" % args.what, flush=True)
    if verbose:
        print("+ " + " ".join(shlex.quote(c) for c in args.command), flush=True)
    quiet = args.quiet and not verbose
    ticker = Ticker(args.what)
    if quiet:
        ticker.start()
    with open(log, "w", encoding="utf-8", errors="surrogateescape") as out:
        try:
            child = subprocess.Popen(args.command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                     stdin=subprocess.DEVNULL)
        except OSError as error:
            sys.exit("%s: %s" % (args.command[0], error.strerror))
        interrupt.watch(child)
        for row in child.stdout:
            line = row.decode("utf-8", "surrogateescape")
            out.write(line)
            out.flush()
            ticker.lines += 1
            ticker.last = line
            # How a command says that it was interrupted is in the log: one line is enough here.
            if not quiet and not interrupt.signal:
                sys.stdout.buffer.write(row)
                sys.stdout.buffer.flush()
        status = child.wait()
    if quiet:
        ticker.done.set()
        ticker.join()
    spent = int(time.monotonic() - ticker.start_time)
    if interrupt.signal:
        print("== %s INTERRUPTED after %d:%02d, the log so far is %s"
              % (args.name, spent // 60, spent % 60, os.path.relpath(log)), flush=True)
        sys.exit(128 + interrupt.signal)
    if status:
        print("\n".join("  | " + l for l in matters(log)), flush=True)
        print("== %s FAILED after %d:%02d, the full log is %s"
              % (args.name, spent // 60, spent % 60, os.path.relpath(log)), flush=True)
        sys.exit(status if status > 0 else 128 - status)
    if args.bare and not verbose:
        return
    print("== %s done in %d:%02d" % (args.name, spent // 60, spent % 60), flush=True)


if __name__ == "__main__":
    main()
