#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Measure what a live update does to the DMA of a running device.

Boots a machine with an emulated IOMMU whose network device writes numbered
frames into a memfd, lets the guest replace its kernel by kexec, and judges from
outside which frames the device wrote meanwhile. Prints KTAP, one line a run.
"""

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import config_writes
import excuse
import host_load
import judge
import recorder
import rundir
import stray
import timeline
import unit_trace
import vm
from machine import (IOMMU, MOST_MEMORY_MB, TOPOLOGY, kernel_arguments, machine_arguments,
                     memory_mb, ram_directory, requester_id, trace_arguments)

HERE = os.path.dirname(os.path.abspath(__file__))
EXPECT_FILE = os.path.join(HERE, "yardstick.expect")

RING = 4096
# A socket of the host holds 11 frames: as many as come in the 50 ms that the
# judge lets a frame take, so that a refusal is not more of a fault than delay.
FPS = 200

PROGRESS = {
    "rx_on": "the device receives", "preserved": "the memory is preserved",
    "freeze": "reboot into the next kernel", "kernel_gone": "the old kernel has ended",
    "kernel_up": "the new kernel begins", "userspace": "its user space runs",
    "retrieved": "the memory is back", "bound": "the device is bound again",
    "replaced": "it has new page tables", "finished": "the live update is finished",
    "done": "end of the measurement",
}


def qemu_version():
    text = subprocess.run([vm.QEMU, "--version"], stdout=subprocess.PIPE, check=True,
                          universal_newlines=True).stdout
    return text.splitlines()[0]


def guest_trouble(result, record):
    """Why this run is not a measurement, apart from what the frames say."""
    trouble = result.problems + record.problems
    lines = [line for _, line in result.report]
    trouble += [line for line in lines
                if line.startswith(("# Bail out!", "not ok", "Bail out!"))]
    if not any(line.startswith("ok 1 ") for line in lines) and not trouble:
        trouble.append("the guest did not report the end of its test")
    if "rx_on" not in record.marks and not trouble:
        trouble.append("the device never started to receive")
    return trouble


def lacking(old, new, console):
    """What the kernels before the last one, and that one, have not said of what they have to."""
    lines = [vm.plain(line) for _, line in console]
    begins = [at for at, line in enumerate(lines) if vm.NEW_KERNEL.match(line)]
    begin = begins[-1] if len(begins) > 1 else len(lines)
    return ["the %s kernel does not say /%s/" % (who, text)
            for who, texts, said in (("first", old, lines[:begin]), ("last", new, lines[begin:]))
            for text in texts if not any(re.search(text, line) for line in said)]


class Measurement:
    """One boot of the machine and its run directory."""

    def __init__(self, options, outdir):
        self.options = options
        self.outdir = outdir
        self.started_ns = time.time_ns()
        self.waits = None
        self.favoured = False
        self.starved_ms = self.source_gap_ms = 0
        self.emulator_bug = None
        self.seen = []

    def first_line(self, *_):
        """The threads of QEMU are there now, and nothing is measured yet."""
        if not self.waits:
            pid = self.machine.process.pid
            self.favoured = host_load.favour(pid)
            self.waits = host_load.Watch(pid)
            self.waits.start()

    def boot(self, scratch, memory):
        options = self.options
        ram = os.path.join(memory, "ram")
        log = os.path.join(self.outdir, "qemu.log")
        self.machine = vm.Vm(options.kernel, options.initrd, self.outdir,
                             kernel_arguments(options),
                             machine_arguments(options, scratch) +
                             trace_arguments(log, options.handover),
                             "%dM" % memory_mb(options), timeout=options.timeout * options.slow,
                             ram_file=ram, native_driver=options.native_driver)
        source = recorder.FrameSource(options.frame_host, ram, scratch + "/q",
                                      scratch + "/h", options.fps, self.outdir)
        self.record = recorder.Recorder(self.outdir, ram, log, source, self.progress)
        self.record.alone = options.handover
        self.record.updates(options.updates)
        self.record.attach(self.machine)
        self.prepare(self.machine, scratch)
        watchers = self.watchers(ram)
        for watcher in watchers:
            self.machine.on("report", watcher.line)
        self.machine.on("console", self.first_line)
        try:
            result = self.machine.run()
            for watcher in watchers:
                self.seen += watcher.problems()
            return result
        finally:
            source.quit()
            if self.waits:
                self.waits.stop()

    def progress(self, t_ns, name):
        print("# %6.2f s  %s" % ((t_ns - self.started_ns) / 1e9, PROGRESS[name]), flush=True)

    def prepare(self, machine, scratch):
        """What else the machine needs, before it is started."""

    def watchers(self, ram):
        """What else looks at the report and at the memory, to tell what is wrong."""
        return [stray.Stray(ram)] if self.looks_for_strays() else []

    def looks_for_strays(self):
        """Whether nothing may be written but what was given to the device.

        Only the start of another kernel zeroes all that is free.
        """
        return not self.options.no_kexec

    def unit_problems(self):
        """What was done to the unit, or to the device in the end, and must not be."""
        if self.options.no_kexec:
            return []
        with open(os.path.join(self.outdir, "qemu.log"), "rb") as log:
            text = log.read()
        if not self.options.handover:
            return config_writes.mastering_in_the_end(text, requester_id(self.options),
                                                      self.record.marks.get("done"))
        trace = unit_trace.UnitTrace(text)
        return trace.problems(self.record.marks, self.options.mode, self.options.dead_queue,
                              self.options.interrupts_change)

    def meta(self, console):
        options = self.options
        _, _, _, ports = TOPOLOGY[options.topology]
        return {"version": rundir.VERSION, "fps": options.fps, "mode": options.mode,
                "topology": options.topology, "rid": requester_id(options), "ports": ports,
                "qemu": qemu_version(), "kernel": recorder.kernel_release(console),
                "accel": self.machine.accel, "cmdline": self.machine.cmdline, "ring": RING,
                "kexec": not options.no_kexec, "started_ns": self.started_ns, "first_seq": 0,
                "source": self.record.source.ready, "favoured": self.favoured,
                "starved_ms": self.starved_ms}

    def run(self):
        """Returns what is wrong with the run as a measurement."""
        shutil.rmtree(self.outdir, ignore_errors=True)
        os.makedirs(self.outdir)
        memory = tempfile.mkdtemp(prefix="yard-", dir=ram_directory(memory_mb(self.options)))
        scratch = tempfile.mkdtemp(prefix="yard-")
        try:
            result = self.boot(scratch, memory)
        except (recorder.SourceError, OSError) as error:
            return [str(error)]
        finally:
            shutil.rmtree(scratch)
            shutil.rmtree(memory)

        record = self.record
        record.problems += self.unit_problems() + lacking(
            self.options.old_says, self.options.next_says, result.console)
        rid = requester_id(self.options)
        if record.bdf and record.bdf[len("0000:"):] != rid:
            record.problems.append("the device is %s, not %s" % (record.bdf, rid))
        if self.waits:
            self.starved_ms = host_load.longest(
                self.waits.noted, record.marks.get("rx_on", 0),
                record.marks.get("done", time.time_ns()))
        self.emulator_bug = result.emulator_bug()
        record.write(self.meta(result.console))
        self.source_gap_ms = excuse.source_gap_ms(self.outdir)
        return guest_trouble(result, record) + self.seen + vm.stuck(result)

    def excuse(self):
        """Why a verdict that was not expected is none of the guest's fault, or None."""
        if self.emulator_bug:
            return "QEMU failed by itself: " + self.emulator_bug
        return excuse.of_host(self.starved_ms, self.source_gap_ms)


def expected_verdict(text, cause=""):
    """The judge's word for what the command line or the file says."""
    if cause:
        return named(judge.NOT_YET, cause)
    if text is None:
        with open(EXPECT_FILE, encoding="ascii") as expect:
            text = " ".join(line.strip() for line in expect if not line.startswith("#"))
    word, _, cause = text.partition(" ")
    if word == "not-yet":
        return named(judge.NOT_YET, cause)
    if text != "pass":
        sys.exit("yardstick: expected verdict is %r, neither pass nor not-yet" % text)
    return judge.PASS


def named(verdict, cause):
    """A verdict with what stopped the device, if something did."""
    return "%s (%s)" % (verdict, cause) if cause else verdict


def agrees(verdict, expected):
    """NOT YET alone is any NOT YET."""
    return verdict == expected or (
        expected == judge.NOT_YET and bool(verdict) and verdict.startswith(expected))


def findings(options, verdict):
    """What the judge found. A run without kexec is not blamed for lacking one."""
    return [one for one in verdict["findings"]
            if not options.no_kexec or one["check"] != "complete"]


def conclude(options, verdict):
    """(verdict, reasons)"""
    if not options.no_kexec:
        cause = verdict["cause"]["what"] if verdict["cause"] else ""
        return named(verdict["verdict"], cause), verdict["reasons"]
    found = [one["text"] for one in findings(options, verdict)]
    return judge.NOT_YET if found else judge.PASS, found


def so_far(options, outdir):
    """What the judge says of a run that broke off: its end need not be its cause."""
    try:
        return ["until then: " + line for line in conclude(options, judge.judge(outdir))[1]]
    except judge.UnusableRun:
        return []


def one_run(options, outdir):
    """Measure once; (verdict or None, lines that explain, excuse or None)."""
    measurement = Measurement(options, outdir)
    trouble = measurement.run()
    if trouble:
        return None, trouble + so_far(options, outdir), measurement.excuse()
    try:
        verdict = judge.judge(outdir)
    except judge.UnusableRun as error:
        return None, [str(error)], measurement.excuse()
    why = measurement.excuse()
    if options.no_kexec and not why:
        # No live update can have delayed a frame; of one, the time is part of the verdict.
        why = excuse.of_time(findings(options, verdict), verdict["cause"])
    return (*conclude(options, verdict), why)


def report_run(number, options, outdir, expected):
    """Measure, again if need be, and print the KTAP line; True if as expected."""
    name = "yardstick %s %s %s" % (options.mode, options.topology,
                                   "once" if options.no_kexec else "kexec")
    for attempt in range(1, vm.ATTEMPTS + 1):
        verdict, lines, excuse = one_run(options, outdir)
        # The screen of a report tells the reasons by itself.
        for line in [] if options.report and verdict else lines:
            print("# " + line)
        if agrees(verdict, expected) or not excuse or attempt == vm.ATTEMPTS:
            break
        print("# does not count: %s; again" % excuse)
    good = agrees(verdict, expected)
    if verdict is None:
        end = "no measurement: " + lines[0]
    else:
        end = "%s, %s" % (verdict, "as expected" if good else "expected " + expected)
    print("%s %d %s # %s" % ("ok" if good else "not ok", number, name, end), flush=True)
    return good


def show(outdir, report):
    """Draw a run; one that cannot be read was already reported."""
    try:
        lines = timeline.show(rundir.Run(outdir), report)
    except judge.UnusableRun as error:
        lines = ["no picture: %s" % error]
    print("\n".join(lines), flush=True)


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kernel", required=True, help="bzImage to boot and to kexec into")
    parser.add_argument("--initrd", required=True,
                        help="initial RAM disk of the list that the guest runs")
    parser.add_argument("--frame-host", required=True, help="the frame_host program")
    parser.add_argument("--out", required=True, help="directory for the run directories")
    parser.add_argument("--report", metavar="DIR",
                        help="draw the last run into DIR and print its screen")
    parser.add_argument("--name", help="name of the run directory")
    parser.add_argument("--mode", choices=sorted(IOMMU), default="legacy")
    parser.add_argument("--unit", action="append", default=[], metavar="NAME=VALUE",
                        help="another property of the IOMMU, as QEMU has it")
    parser.add_argument("--topology", choices=sorted(TOPOLOGY), default="root-port")
    parser.add_argument("--fps", type=int, default=FPS, help="frames a second")
    parser.add_argument("--runs", type=int, default=1, help="number of runs")
    vm.add_arguments(parser)
    parser.add_argument("--timeout", type=int, default=300,
                        help="seconds for one run, times --slow")
    parser.add_argument("--expect", choices=("pass", "not-yet"),
                        help="expected verdict (default: what yardstick.expect says)")
    parser.add_argument("--cause", nargs="+", default=[], metavar="WORD",
                        help="with --expect not-yet: what has to have stopped the device")
    parser.add_argument("--no-kexec", action="store_true",
                        help="stay in one kernel; needs the list yardstick-once")
    parser.add_argument("--handover", action="store_true",
                        help="the IOMMU has to go on for the device, and for it only")
    parser.add_argument("--dead-queue", action="store_true",
                        help="with --handover: the invalidation queue stops when the first "
                        "kernel ends, which has to do without")
    parser.add_argument("--old-says", action="append", default=[], metavar="REGEX",
                        help="what the first kernel has to say")
    parser.add_argument("--next-says", action="append", default=[], metavar="REGEX",
                        help="what the last kernel has to say")
    parser.add_argument("--x2apic", action="store_true",
                        help="CPUs with x2APIC, and a unit that remaps their interrupts")
    parser.add_argument("--interrupts-change", action="store_true",
                        help="with --handover: the next kernel has another mode of interrupts, "
                        "so that their remapping has to go off for a moment")
    parser.add_argument("--memory", type=int, default=0, metavar="MIB",
                        help="memory of the machine, if it needs more than usual")
    parser.add_argument("--two", action="store_true",
                        help="a second device of the same kind, which gets the same frames")
    parser.add_argument("--sibling", action="store_true",
                        help="another function on the same bus, below the root port")
    parser.add_argument("--native-driver", action="store_true",
                        help="both kernels have the device's own driver")
    parser.add_argument("--updates", type=int, default=1,
                        help="live updates that the guest does; the last one is judged")
    parser.add_argument("--list", help="list that the guest runs, if it is another one")
    control = parser.add_argument_group("controls, with --no-kexec")
    control.add_argument("--run", type=int, default=0, metavar="MS", help="length of the run")
    control.add_argument("--outage", type=int, default=0, metavar="MS",
                         help="take bus mastering away for this long")
    control.add_argument("--fault", action="store_true",
                         help="send one frame to an address without a mapping")
    options = parser.parse_args()
    if (options.outage or options.fault or options.run) and not options.no_kexec:
        parser.error("--run, --outage and --fault need --no-kexec")
    if options.fps < 1 or options.runs < 1 or options.updates < 1:
        parser.error("--fps, --runs and --updates must be positive")
    if options.sibling and (options.two or options.topology != "root-port"):
        parser.error("--sibling is for one device below the root port")
    if options.memory > MOST_MEMORY_MB:
        parser.error("--memory is at most %d" % MOST_MEMORY_MB)
    if options.cause and options.expect != "not-yet":
        parser.error("--cause needs --expect not-yet")
    return options


def main():
    options = parse_arguments()
    expected = expected_verdict(options.expect, " ".join(options.cause))
    # The guest's memory is a file that must not be left behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("yardstick: terminated"))
    name = options.name or "%s-%s-%s" % (options.mode, options.topology,
                                         "once" if options.no_kexec else "kexec")
    good = 0
    print("KTAP version 1\n1..%d" % options.runs, flush=True)
    for number in range(1, options.runs + 1):
        outdir = os.path.join(options.out, name + ("-%d" % number if options.runs > 1 else ""))
        good += report_run(number, options, outdir, expected)
    print("# Totals: pass:%d fail:%d" % (good, options.runs - good))
    if options.report:
        show(outdir, options.report)
    return 0 if good == options.runs else 1


if __name__ == "__main__":
    sys.exit(main())
