#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Judge a live update of a running device that does not end as it should.

Until somebody gives the device up it misses nothing. Then it is stopped, then its
translation goes, and its memory is given to others last, who do not see it any
more. Prints KTAP.
"""

import os
import re
import sys

import canary
import checks
import entry_checks
import judge
import misfit
import poke
import rundir
import stream
import vanish
import yardstick

# Invalidations (VT-d specification, 6.5.2): of the context entry of one requester id
# in legacy mode, of all of them for one that has no device. In scalable mode QEMU is
# silent about PASID entries, and tells of the domain's translations that follow.
DESCRIPTOR = re.compile(rb"@(\d+)\.(\d{6}):vtd_inv_desc .* high 0x[0-9a-f]+ low (0x[0-9a-f]+)")
CONTEXT_OF_DEVICE, CONTEXT_OF_ALL, IOTLB_OF_DOMAIN = 0x31, 0x11, 0x22
# The frames of this time at least have to be sent when the memory is not its own.
LEAST_FRAMES = 50
# In a quarter of the usual pace the descriptors of the device last four times as long:
# nobody gives it new ones until the end, however late that comes on a busy host.
PACE = yardstick.FPS // 4
# So long before it is stopped the device has to have written something.
LAST_NS = 200 * 10**6


def stop_time(run):
    """When the next kernel took bus mastering away, or None."""
    begin = run.marks.get("userspace", 0)
    return next((trace.t for trace in run.traces
                 if trace.t >= begin and trace.name == "pci_cfg_write" and
                 trace.fields["dev"] == run.meta["rid"] and
                 trace.fields["reg"] == misfit.PCI_COMMAND and
                 not trace.fields["value"] & misfit.MASTER), None)


def hardware_at(run, phase):
    """The device's entry, or None."""
    entry = next((one for one in run.entries if one.phase == phase), None)
    return entry and entry_checks.decode(run.meta["mode"], entry)


def is_for_device(run, low, there):
    """Whether an invalidation follows a change of the device's entry."""
    if not there:
        return low & 0x3f == CONTEXT_OF_ALL
    if run.meta["mode"] == "legacy":
        bus, devfn = checks.qemulog.devfn(run.meta["rid"])
        return low & 0x3f == CONTEXT_OF_DEVICE and low >> 32 & 0xffff == bus << 8 | devfn
    hardware = hardware_at(run, "userspace")
    return bool(hardware) and (low & 0x3f == IOTLB_OF_DOMAIN and
                               low >> 16 & 0xffff == hardware.did)


def translation_time(run, there=True):
    """When it first changed the device's entry, or None."""
    begin = run.marks.get("userspace", 0)
    with open(os.path.join(run.path, "qemu.log"), "rb") as log:
        for match in DESCRIPTOR.finditer(log.read()):
            t_ns = int(match[1]) * 10**9 + int(match[2]) * 1000
            if t_ns >= begin and is_for_device(run, int(match[3], 16), there):
                return t_ns
    return None


def still_translates(run, phase):
    """At the end of the phase hardware has no entry for the device, whether that is there or not."""
    hardware = hardware_at(run, phase)
    if not hardware:
        return ["the hardware entry could not be read at %s" % phase]
    return ["at %s the hardware still translates" % phase] if hardware.present else []


def in_order(run, taken, there):
    """Stop, translation, memory."""
    stop, translation = stop_time(run), translation_time(run, there)
    if there and not stop:
        return ["nobody has stopped the device"]
    if not translation:
        return ["the device's translation has not gone"]
    found = []
    if there and translation < stop:
        found.append("its translation has gone %.3f ms before it was stopped"
                     % stream.ms(stop - translation))
    if not taken or taken < translation:
        found.append("its memory was given away before its translation has gone")
    return found


def missed(run, end):
    """What was sent before @end and accepted is there, up to the last moment."""
    frames = [one for one in stream.Stream(run).frames
              if one.sent < end - misfit.SETTLE_NS and one.state != stream.REFUSED]
    gone = [one for one in frames if one.landed is None]
    found = ["%d of %d frames are missing, the first is sequence %d"
             % (len(gone), len(frames), gone[0].seq)] if gone else []
    last = max((one.landed for one in frames if one.landed), default=0)
    if last < end - LAST_NS:
        found.append("the device wrote nothing in the last %.0f ms" % stream.ms(end - last))
    return found


def sent_later(run, taken):
    """Frames were sent that would have been seen."""
    end = run.marks.get("done", 0)
    count = sum(1 for one in run.tries if taken and taken <= one.t <= end)
    return [] if count >= LEAST_FRAMES else ["only %d frames were sent in the end" % count]


def faults(run):
    """Who is stopped first is not caught by the IOMMU."""
    begin = run.marks.get("kernel_up", 0)
    return ["the kernel says: " + line.text for line in run.console
            if line.t >= begin and checks.DMAR.search(line.text)]


class Measurement(yardstick.Measurement):
    """A run whose device may be given up in the end."""

    def __init__(self, options, outdir):
        super().__init__(options, outdir)
        self.vanish = None

    def prepare(self, machine, scratch):
        if self.options.vanish:
            self.vanish = vanish.Vanish(scratch + "/monitor")
            machine.qemu_args += self.vanish.arguments()
            machine.on("console", self.vanish.console)

    def watchers(self, ram):
        self.canary = canary.Canary(ram, not self.options.stays)
        watchers = [self.canary]
        if self.options.poke:
            watchers.append(poke.Poke(ram, yardstick.requester_id(self.options),
                                      self.options.poke))
        return watchers


def judged(measurement, options):
    run = rundir.Run(measurement.outdir)
    taken = measurement.canary.t_ns
    found = misfit.was_running(run) + misfit.went_on(run) + misfit.says(run, options.says)
    found += faults(run) + sent_later(run, taken)
    if options.stays:
        return found + missed(run, run.marks.get("done", 0))
    found += in_order(run, taken, not options.vanish)
    if options.vanish:
        gone = measurement.vanish
        found += still_translates(run, "finished")
        return found + gone.problems() + missed(run, gone.t_ns or 0)
    return found + missed(run, stop_time(run) or run.marks.get("done", 0))


def trouble_of(measurement, options):
    """All that is wrong, as readable lines."""
    trouble = measurement.run()
    try:
        return trouble + judged(measurement, options)
    except judge.UnusableRun as error:
        return trouble + [str(error)]


def parse_arguments():
    parser = misfit.parser_of(__doc__.splitlines()[0])
    parser.add_argument("--stays", action="store_true",
                        help="nobody gives the device up, and it goes on")
    parser.add_argument("--poke", choices=sorted(poke.FIELDS),
                        help="damage this in the record of the device")
    parser.add_argument("--vanish", action="store_true",
                        help="the device is taken away while no kernel runs")
    parser.set_defaults(handover=True, fps=PACE)
    return parser.parse_args()


def notes_of(measurement):
    return ["%d of the device's pages were given to others" % len(measurement.canary.taken)]


def main():
    return misfit.run_once(parse_arguments(), Measurement, trouble_of, notes_of)


if __name__ == "__main__":
    sys.exit(main())
