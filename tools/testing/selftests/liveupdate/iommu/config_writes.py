# SPDX-License-Identifier: GPL-2.0
"""Judge the configuration space writes that reach the device and its ports.

QEMU forgives what hardware does not: it ignores the bus mastering of a bridge,
and a bus number of zero between two frames goes unnoticed. So the writes are
judged by themselves, against config_writes.allow and a few rules that no list
can override.
"""

import collections
import os
import re

import qemulog

ALLOW = os.path.join(os.path.dirname(os.path.abspath(__file__)), "config_writes.allow")

COMMAND, COMMAND_MASTER = 0x04, 0x4
BUS_NUMBERS = (0x18, 0x19, 0x1a)
BRIDGE_CONTROL, BRIDGE_RESET = 0x3e, 0x40

# Device Control, Link Control and power management of the models, per offset
# of the capability: what stands where is fixed by QEMU.
DEVICE_CONTROL = {"igb": 0xa8}
LINK_CONTROL = {"pcie-root-port": 0x64, "x3130-upstream": 0xa0, "xio3130-downstream": 0xa0}
POWER_CONTROL = {"igb": 0x44}
FUNCTION_RESET, LINK_DISABLE, POWER_STATE = 0x8000, 0x10, 0x3

RULE = re.compile(r"^(\S+)\s+0x([0-9a-f]+)\s+0x([0-9a-f]+)/0x([0-9a-f]+)\s+(\S.*)$")

Write = collections.namedtuple("Write", "t dev model reg value harm stops allowed")


class AllowError(Exception):
    """The allow-list cannot be read."""


def read_allow(path=ALLOW):
    """{(model, register): [(value, mask), ...]}"""
    rules = collections.defaultdict(list)
    try:
        with open(path, encoding="utf-8") as text:
            lines = text.read().splitlines()
    except OSError as error:
        raise AllowError("%s: %s" % (path, error.strerror)) from None
    for index, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        match = RULE.match(line)
        if not match:
            raise AllowError("%s:%d: not a rule: %r" % (path, index, line))
        reg, value, mask = [int(text, 16) for text in match.groups()[1:4]]
        if value & ~mask:
            raise AllowError("%s:%d: the value has bits outside its mask" % (path, index))
        rules[match[1], reg].append((value, mask))
    if not rules:
        raise AllowError("%s: holds no rule" % path)
    return dict(rules)


def harm(model, reg, value, is_port):
    """(what the write does to a running device, whether QEMU then stops its DMA)"""
    if reg == COMMAND and not value & COMMAND_MASTER:
        return "clears bus mastering", not is_port
    if reg == DEVICE_CONTROL.get(model) and value & FUNCTION_RESET:
        return "resets the function", True
    if reg == POWER_CONTROL.get(model) and value & POWER_STATE:
        return "leaves power state D0", True
    if is_port and reg in BUS_NUMBERS:
        return "rewrites the bus numbers", True
    if is_port and reg == BRIDGE_CONTROL and value & BRIDGE_RESET:
        return "resets the secondary bus", True
    if is_port and reg == LINK_CONTROL.get(model) and value & LINK_DISABLE:
        return "disables the link", True
    return None, False


def register(write):
    """The name of a register that a reader of a verdict wants to know."""
    if write.reg == COMMAND:
        return "COMMAND"
    if write.reg in BUS_NUMBERS and write.harm:
        return "bus numbers"
    if write.reg == BRIDGE_CONTROL and write.model != "igb":
        return "Bridge Control"
    for table, name in ((DEVICE_CONTROL, "Device Control"), (LINK_CONTROL, "Link Control"),
                        (POWER_CONTROL, "Power Control")):
        if table.get(write.model) == write.reg:
            return name
    return "register"


def describe(write):
    return "%s %s %s @0x%x <- 0x%x" % (write.model, write.dev, register(write),
                                       write.reg, write.value)


def device_writes(run):
    """All writes to the device and its ports, whenever they happened."""
    rules = read_allow()
    ports = set(run.meta["ports"])
    found = []
    for trace in run.traces:
        if trace.name != "pci_cfg_write":
            continue
        dev, model, reg, value = [trace.fields[key] for key in ("dev", "model", "reg", "value")]
        if dev not in ports and dev != run.meta["rid"]:
            continue
        what, stops = harm(model, reg, value, dev in ports)
        alternatives = (rules.get((model, reg), []) +
                        rules.get(("%s/%s" % (run.meta["topology"], model), reg), []))
        fits = any(value & mask == want for want, mask in alternatives)
        found.append(Write(trace.t, dev, model, reg, value, what, stops, fits and not what))
    return found


def mastering_in_the_end(log, rid, done):
    """What is wrong with the bus mastering of a device that is given back, as readable lines.

    Its user switches it off when the measurement is @done, or somebody has before. Who
    closes the device resets it and gives it the state that was saved when it was opened.
    If that has bus mastering in it, the device has it for a moment, and must not: what
    the guest reads later, when the driver has switched it off again, does not tell.
    """
    if not done:
        return []
    lines = [line for line in log.decode("utf-8", "replace").splitlines()
             if "pci_cfg_write" in line]
    try:
        traces = qemulog.traces(lines)
    except qemulog.LogError as error:
        return [error.text]
    master, again = False, None
    for trace in traces:
        if trace.fields["dev"] != rid or trace.fields["reg"] != COMMAND:
            continue
        before, master = master, bool(trace.fields["value"] & COMMAND_MASTER)
        if trace.t > done and master and not before:
            again = again or trace
    if again:
        return ["it was given back, and is a bus master again %.1f ms after the end: "
                "COMMAND <- 0x%x" % ((again.t - done) / 1e6, again.fields["value"])]
    return ["nobody has taken bus mastering away in the end"] if master else []


def judged_writes(run, end):
    """The writes between freeze and the end of the judged time."""
    freeze = run.marks.get("freeze")
    if freeze is None:
        return []
    return [write for write in device_writes(run) if freeze <= write.t <= end]
