# SPDX-License-Identifier: GPL-2.0
"""Read what QEMU itself says: its trace log (-D) and its standard error.

Trace lines come from the "log" backend with `-msg timestamp=on`:

	PID@SEC.USEC:EVENT ARGUMENTS

Events that the verdict builds on are parsed into fields, and a line of theirs
that does not parse is an error: an event which is skipped over silently would
count as one that never happened.
"""

import calendar
import collections
import re
import time

Trace = collections.namedtuple("Trace", "t name fields")
Message = collections.namedtuple("Message", "t text")

PREFIX = re.compile(r"^\d+@(\d+)\.(\d{6}):(\w+)(?: (.*))?$")
ISO = re.compile(r"^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.(\d{6})Z (.*)$")

# The fields of an event, by name; the letter tells the base they are printed in.
FORMATS = {
    "pci_cfg_write": (r"(?P<model>\S+) (?P<dev>[0-9a-f]{2}:[0-9a-f]{2}\.[0-7])"
                      r" @(?P<reg_x>0x[0-9a-f]+) <- (?P<value_x>0x[0-9a-f]+)"),
    "vtd_dmar_enable": r"enable (?P<enable_d>\d+)",
    "vtd_dmar_fault": (r"sid (?P<sid_x>0x[0-9a-f]+) fault (?P<fault_d>\d+)"
                       r" addr (?P<addr_x>0x[0-9a-f]+) write (?P<write_d>\d+)"),
    "vtd_frr_new": (r"index (?P<index_d>\d+) high (?P<high_x>0x[0-9a-f]+)"
                    r" low (?P<low_x>0x[0-9a-f]+)"),
    "vtd_fsts_ppf": r"FSTS PPF bit set to (?P<set_d>\d+)",
    "vtd_re_not_present": r"Root entry bus (?P<bus_d>\d+) not present",
    "vtd_ce_not_present": (r"Context entry bus (?P<bus_d>\d+) devfn (?P<devfn_d>\d+)"
                           r" not present"),
    "e1000x_rx_can_recv_disabled": (r"link_up: (?P<link_d>\d+), rx_enabled (?P<rx_d>\d+),"
                                    r" pci_master (?P<master_d>\d+)"),
    "e1000e_rx_null_descriptor": r".*",
}
FORMATS = {name: re.compile(text + "$") for name, text in FORMATS.items()}

# The end of QEMU's life, told by itself or by the harness that ends it.
HARMLESS = re.compile(r"terminating on signal \d+")

# Other lines without a time stamp are fragments of QEMU's and its libraries'
# chatter at start; these words make one a fault whenever it was written.
FAULT_WORDS = re.compile(r"vtd_|intel.iommu|iova|translation fail|fault|slpte|flpte"
                         r"|(root|context|pasid).entry|invalid", re.IGNORECASE)


class LogError(Exception):
    """A line that should have been understood was not."""

    def __init__(self, line, text):
        super().__init__(text)
        self.line = line
        self.text = text


def fields_of(name, arguments, index):
    form = FORMATS.get(name)
    if not form:
        return {}
    match = form.match(arguments)
    if not match:
        raise LogError(index, "%s cannot be read: %r" % (name, arguments[:80]))
    fields = {}
    for key, text in match.groupdict().items():
        base = {"_x": 16, "_d": 10}.get(key[-2:])
        fields[key[:-2] if base else key] = int(text, base) if base else text
    return fields


def traces(lines):
    """The events of a trace log in the order of time."""
    found = []
    for index, text in enumerate(lines, 1):
        match = PREFIX.match(text)
        if match:
            t = int(match[1]) * 10**9 + int(match[2]) * 1000
            found.append(Trace(t, match[3], fields_of(match[3], match[4] or "", index)))
        elif any(name in text for name in FORMATS):
            raise LogError(index, "an event without its time: %r" % text[:80])
    # Threads of QEMU write in the order of the log's lock, not of their clocks.
    found.sort(key=lambda trace: trace.t)
    return found


def messages(lines):
    """The lines of standard error; t is None where QEMU put no time."""
    found = []
    for text in lines:
        match = ISO.match(text)
        if match:
            seconds = calendar.timegm(time.strptime(match[1], "%Y-%m-%dT%H:%M:%S"))
            found.append(Message(seconds * 10**9 + int(match[2]) * 1000, match[3]))
        elif text.strip():
            found.append(Message(None, text))
    return found


def faults(found, begin, end):
    """The messages that cannot be explained by an undisturbed run."""
    bad = []
    for message in found:
        if HARMLESS.search(message.text):
            continue
        timed = message.t is not None and begin <= message.t <= end
        if timed or (message.t is None and FAULT_WORDS.search(message.text)):
            bad.append(message)
    return bad


def devfn(bdf):
    """(bus, devfn) of a bus:device.function."""
    bus, rest = bdf.split(":")
    slot, function = rest.split(".")
    return int(bus, 16), int(slot, 16) << 3 | int(function)
