# SPDX-License-Identifier: GPL-2.0
"""Follow a run of the yardstick while it happens and write its run directory.

The guest speaks on the report channel:

    yard: area header=ADDRESS bdf=BDF           memory to watch, device
    yard: belief phase=NAME [pgd=X did=Y]       what its kernel's tables say
    yard: ring phase=NAME KEY=VALUE...          what it read from the ring
    yard: mark NAME                             it has come so far

Each mark is the moment to look at the hardware's own entry of the device, and
two of them make the frame source start and stop.
"""

import json
import os
import re
import subprocess
import threading

import hw_entry
import rundir
import vm

LAST_WORDS = "Starting new kernel"
FIRST_WORDS = re.compile(r"Linux version (\S+)")
STAMP = re.compile(r"^\[ *(\d+\.\d+)\]")
QUIT_TIMEOUT_S = 30


class SourceError(Exception):
    """The frame source does not do what it is told."""


class FrameSource:
    """The frame_host program: sender and watcher."""

    def __init__(self, program, ram, qemu, local, fps, outdir):
        self.command = [program, ram, qemu, local, str(fps), outdir]
        self.process = None
        self.ready = ""

    def start(self):
        if self.process:
            raise SourceError("the guest has a second area to watch")
        self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, bufsize=0)
        self.ready = self.answer("ready")

    def answer(self, start):
        """One line, which must come within reasonable time."""
        guard = threading.Timer(QUIT_TIMEOUT_S, self.process.kill)
        guard.start()
        line = self.process.stdout.readline().decode().strip()
        guard.cancel()
        if not line.startswith(start):
            raise SourceError("frame_host: %r instead of %r" % (line, start))
        return line

    def tell(self, command):
        if not self.process:
            return
        try:
            self.process.stdin.write(command.encode() + b"\n")
        except OSError as error:
            raise SourceError("frame_host is gone at %r: %s" % (command, error.strerror))
        self.answer(command if command == "quit" else command + ": ok")

    def quit(self):
        """End it in any case; its files are written when this returns."""
        if not self.process:
            return
        try:
            self.tell("quit")
            self.process.wait(QUIT_TIMEOUT_S)
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            self.process.stdin.close()
            self.process.stdout.close()


def fields(text):
    """The key=value pairs of a line."""
    return dict(word.split("=", 1) for word in text.split() if "=" in word)


class KernelChange:
    """Finds the border of the two kernels in the console's lines.

    After the announcement the old kernel may still speak, with its clock going
    on. Then comes the decompressor of the new one, which is no kernel yet.
    """

    def __init__(self):
        # Changes that come before the one to be found.
        self.skip = 0
        self.old = None
        self.gone_ns = None
        self.up_ns = None

    def feed(self, t_ns, line):
        """The names of the marks reached with this line."""
        if self.up_ns:
            return []
        match = STAMP.match(line)
        if self.old is None:
            if match and LAST_WORDS in line and self.skip:
                self.skip -= 1
            elif match and LAST_WORDS in line:
                self.old = float(match[1])
                self.gone_ns = t_ns
                return ["kernel_gone"]
        elif FIRST_WORDS.match(vm.plain(line)):
            self.up_ns = t_ns
            return ["kernel_up"]
        elif match and float(match[1]) >= self.old:
            self.gone_ns = t_ns
        return []


class Recorder:
    """Reacts to the guest's lines and remembers what came of it."""

    def __init__(self, outdir, ram, qemu_log, source, progress=None):
        self.outdir = outdir
        self.ram_path = ram
        self.qemu_log = qemu_log
        self.source = source
        self.progress = progress or (lambda t_ns, name: None)
        self.bdf = None
        self.marks = {}
        self.beliefs = {}
        self.entries = []
        self.facts = []
        self.change = KernelChange()
        self.problems = []
        # Translation goes on for the device, and must for no other one.
        self.alone = False
        # Marks at which the hardware's entry is of no use.
        self.unread = ()

    def updates(self, number):
        """The guest replaces its kernel more than once; the last time counts.

        Each replaces the table too, so the one of the first kernel says nothing.
        """
        self.change.skip = number - 1
        if number > 1:
            self.unread = ("rx_on",)

    def attach(self, machine):
        machine.on("report", self.report)
        machine.on("console", self.console)

    def console(self, t_ns, line):
        for name in self.change.feed(t_ns, line):
            self.guarded(t_ns, "mark", name)

    def report(self, t_ns, line):
        if line.startswith("yard: "):
            kind, _, rest = line[len("yard: "):].partition(" ")
            self.guarded(t_ns, kind, rest)

    def guarded(self, t_ns, kind, rest):
        """A line that we cannot use must not end the run, but spoils it."""
        try:
            self.handle(t_ns, kind, rest)
        except KeyError as error:
            self.problems.append("%s %s: %s is missing" % (kind, rest, error))
        except (ValueError, OSError, SourceError) as error:
            self.problems.append("%s %s: %s" % (kind, rest, error))

    def handle(self, t_ns, kind, rest):
        values = fields(rest)
        if kind == "area":
            self.bdf = values["bdf"]
            hw_entry.parse_bdf(self.bdf)
            self.source.start()
            self.source.tell("watch " + values["header"])
        elif kind == "belief":
            self.beliefs[values["phase"]] = (values.get("pgd", ""), values.get("did", ""))
        elif kind == "ring":
            phase = values.pop("phase")
            self.facts += [(phase, key, value) for key, value in values.items()]
        elif kind == "mark":
            self.mark(t_ns, rest)
        else:
            raise ValueError("unknown message")

    def mark(self, t_ns, name):
        if name not in rundir.MARKS:
            raise ValueError("unknown mark")
        if name in self.marks:
            raise ValueError("this mark was there before")
        self.marks[name] = t_ns
        self.progress(t_ns, name)
        if name == "rx_on":
            self.source.tell("start")
        elif name == "done":
            self.source.tell("stop")
        self.look_up(t_ns, name)

    def look_up(self, t_ns, name):
        """Read the hardware's entry as it is at this mark."""
        if not self.bdf or name in self.unread:
            return
        try:
            with open(self.qemu_log, "rb") as log:
                root = hw_entry.last_root(log.read())
            if not root:
                raise hw_entry.TableError("no root table was ever set")
            ram = hw_entry.Ram(self.ram_path)
            try:
                entry = hw_entry.read_entry(ram, root[0], root[1], self.bdf)
                if self.alone and name == "kernel_up":
                    self.look_for_others(hw_entry.present(ram, *root))
            finally:
                ram.close()
        except hw_entry.TableError as error:
            self.problems.append("entry at %s: %s" % (name, error))
            return
        self.entries.append((t_ns, name, "%#x" % entry.lo, "%#x" % entry.hi))

    def look_for_others(self, present):
        """What the old kernel left to translate is the device and nothing else."""
        if present != [self.bdf[len("0000:"):]]:
            self.problems.append("between the kernels the IOMMU translates for: " +
                                 (", ".join(present) or "nobody"))

    def settle(self):
        """After the run: the last line of the old kernel is known now."""
        if self.change.gone_ns:
            self.marks["kernel_gone"] = self.change.gone_ns

    def write(self, meta):
        self.settle()
        marks = sorted(self.marks.items(), key=lambda mark: mark[1])
        entries = [entry + self.beliefs.get(entry[1], ("", "")) for entry in self.entries]
        self.write_csv("marks.csv", "t_ns,name", [(t_ns, name) for name, t_ns in marks])
        self.write_csv("entries.csv", "t_ns,phase,hw_lo,hw_hi,belief_pgd,belief_did", entries)
        self.write_csv("guest.csv", "phase,key,value", self.facts)
        self.write_file("meta.json", json.dumps(meta, indent=1, sort_keys=True) + "\n")

    def write_csv(self, name, header, rows):
        lines = [header] + [",".join(str(field) for field in row) for row in rows]
        self.write_file(name, "\n".join(lines) + "\n")

    def write_file(self, name, text):
        part = os.path.join(self.outdir, "." + name + ".part")
        with open(part, "w", encoding="ascii") as out:
            out.write(text)
        os.replace(part, os.path.join(self.outdir, name))


def kernel_release(console):
    """The release that the first kernel printed."""
    for _, line in console:
        match = FIRST_WORDS.match(vm.plain(line))
        if match:
            return match[1]
    return ""
