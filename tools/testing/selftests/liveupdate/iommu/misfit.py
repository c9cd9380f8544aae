#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Judge a live update into a kernel that cannot go on with the running device.

The device must have been running when the first kernel ended, and then DMA ends
without any harm: no frame is anywhere but in the device's memory, translation goes
off only after the device lost its bus mastering, and the new kernel says what
happened, complains of nothing, and ends as it should. Prints KTAP.
"""

import argparse
import os
import re
import signal
import sys

import judge
import rundir
import vm
import yardstick

PCI_COMMAND, MASTER = 0x4, 0x4
# What the host needs to see a landing.
SETTLE_NS = 50 * 10**6


def says(run, texts):
    """Each text is told by the kernel that came last."""
    begin = run.marks.get("kernel_up", 0)
    lines = [vm.plain(line.text) for line in run.console if line.t >= begin]
    return ["the kernel does not say /%s/" % text for text in texts
            if not any(re.search(text, line) for line in lines)]


def says_not(run, texts):
    begin = run.marks.get("kernel_up", 0)
    lines = [vm.plain(line.text) for line in run.console if line.t >= begin]
    return ["the kernel says: " + line for line in lines
            if any(re.search(text, line) for text in texts)]


def was_running(run):
    """The device wrote until the first kernel gave it up."""
    freeze = run.marks.get("freeze")
    if not freeze:
        return ["the first kernel did not come to its end"]
    last = max((one.t for one in run.landed if one.ok), default=0)
    return ([] if last >= freeze - SETTLE_NS else
            ["the device was not running when the first kernel ended"])


def went_on(run):
    """It went on without any kernel."""
    begin, end = run.marks.get("kernel_gone"), run.marks.get("kernel_up")
    if not begin or not end:
        return ["there was no second kernel"]
    return ([] if any(begin < one.t < end for one in run.landed) else
            ["the device wrote nothing while no kernel ran"])


def stopped(run):
    """Nothing is written any more once user space runs."""
    begin = run.marks.get("userspace")
    late = [one for one in run.landed if begin and one.t > begin + SETTLE_NS]
    return ["the device has written %d frames in the second kernel's user space"
            % len(late)] if late else []


def untranslated(run):
    """Translation is off only while the device is no bus master."""
    rid = run.meta["rid"]
    begin, end = run.marks.get("freeze", 0), run.marks.get("done", float("inf"))
    master, translates, found = False, True, []
    for trace in run.traces:
        if (trace.name == "pci_cfg_write" and trace.fields["dev"] == rid and
                trace.fields["reg"] == PCI_COMMAND):
            master = bool(trace.fields["value"] & MASTER)
        elif trace.name == "vtd_dmar_enable":
            translates = bool(trace.fields["enable"])
        if begin <= trace.t <= end and master and not translates:
            found.append(run.since_freeze_ms(trace.t))
    return ["the device could reach all memory at %+.1f ms" % found[0]] if found else []


def switched_off(run):
    """Translation went off before the next kernel began."""
    begin, end = run.marks.get("freeze", 0), run.marks.get("kernel_up", float("inf"))
    off = any(trace.name == "vtd_dmar_enable" and not trace.fields["enable"] and
              begin <= trace.t <= end for trace in run.traces)
    return [] if off else ["the first kernel has left translation on"]


class Measurement(yardstick.Measurement):
    """A run whose unit is not expected to go on."""

    def looks_for_strays(self):
        # Who switches the machine off leaves bus mastering to the firmware.
        return self.options.last_kernel == 2

    def unit_problems(self):
        return []


def judged(run, options):
    found = says(run, options.says) + says_not(run, options.says_not) + was_running(run)
    if options.last_kernel == 2:
        found += untranslated(run)
    if options.first == "hands-over":
        found += went_on(run) + ([] if options.panics else stopped(run))
    elif options.first == "stops":
        found += switched_off(run)
    return found


def trouble_of(measurement, options):
    """All that is wrong, as readable lines."""
    trouble = measurement.run()
    if options.last_kernel == 1 or options.panics:
        # Nobody is there to tell the end of the test.
        trouble = [line for line in trouble if "did not report the end" not in line]
    if options.splat:
        trouble = [line for line in trouble if not re.search(options.splat, line)]
    try:
        return trouble + judged(rundir.Run(measurement.outdir), options)
    except judge.UnusableRun as error:
        return trouble + [str(error)]


def parser_of(description):
    """What each judge of one run of its own can be told; all else is the yardstick's usual."""
    parser = argparse.ArgumentParser(description=description)
    for name in ("--kernel", "--initrd", "--frame-host", "--out", "--list"):
        parser.add_argument(name, required=True)
    parser.add_argument("--mode", choices=sorted(yardstick.IOMMU), default="legacy")
    parser.add_argument("--says", action="append", default=[], metavar="REGEX",
                        help="what the last kernel has to say")
    vm.add_arguments(parser)
    parser.set_defaults(topology="root-port", fps=yardstick.FPS, timeout=300, outage=0,
                        fault=False, run=0, no_kexec=False, report=None, two=False,
                        sibling=False, memory=0, updates=1, unit=[], dead_queue=False,
                        old_says=[], next_says=[], native_driver=False, x2apic=False,
                        interrupts_change=False)
    return parser


def run_once(options, measure, trouble_in, notes_of=lambda measurement: []):
    """Measure and judge, again if a run does not count; prints KTAP, gives the exit status."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("%s: terminated" % options.list))
    print("KTAP version 1\n1..1", flush=True)
    for attempt in range(1, vm.ATTEMPTS + 1):
        measurement = measure(options, os.path.join(options.out, options.list))
        trouble = trouble_in(measurement, options)
        if not trouble or not measurement.excuse() or attempt == vm.ATTEMPTS:
            break
        print("# does not count: %s; again" % measurement.excuse())
    for line in trouble + notes_of(measurement):
        print("# " + line)
    print("%s 1 %s" % ("not ok" if trouble else "ok", options.list))
    return 1 if trouble else 0


def parse_arguments():
    parser = parser_of(__doc__.splitlines()[0])
    parser.add_argument("--next", action="append", default=[], metavar="WORD",
                        help="parameter that only the next kernel has")
    parser.add_argument("--says-not", action="append", default=[], metavar="REGEX",
                        help="what it must not say")
    parser.add_argument("--first", choices=("hands-over", "stops", "crashes"),
                        default="hands-over", help="what the first kernel does in the end")
    parser.add_argument("--last-kernel", type=int, choices=(1, 2), default=2,
                        help="1: no other kernel follows")
    parser.add_argument("--splat", metavar="REGEX", help="what a kernel may complain of")
    parser.add_argument("--panics", action="store_true",
                        help="the last kernel ends by a panic, with the device running")
    options = parser.parse_args()
    options.handover = options.first == "hands-over"
    # It would zero all memory when it starts, and with it the bait of the test.
    options.append.append("vmtest.next=" + "+".join(options.next + ["init_on_free=0"]))
    return options


def main():
    return run_once(parse_arguments(), Measurement, trouble_of)


if __name__ == "__main__":
    sys.exit(main())
