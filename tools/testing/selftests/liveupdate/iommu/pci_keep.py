#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Run a list whose test hands a PCI device over, and judge the writes to it.

QEMU tells every write to configuration space. Between the freeze and the end of
the test, those that reach the device and the ports above it must be in
config_writes.allow, and must not be in the list of registers that are not written
at all, because their contents, or what they do in between, are in use.
"""

import argparse
import os
import sys
import types

import config_writes
import qemulog
import run_list
import vm

HERE = os.path.dirname(os.path.abspath(__file__))

# Not written at all: {model: registers}. A port that is not a bridge to a hot
# device may have its windows written, ours may not.
UNTOUCHED = {
    "pcie-root-port": {0x18: "bus numbers", 0x1c: "I/O window", 0x20: "memory window",
                       0x24: "prefetchable window", 0x28: "prefetchable window",
                       0x2c: "prefetchable window", 0x5c: "Device Control",
                       0x7c: "Device Control 2"},
    "x3130-upstream": {0x18: "bus numbers", 0x20: "memory window",
                       0x24: "prefetchable window", 0x28: "prefetchable window",
                       0x98: "Device Control"},
    "xio3130-downstream": {0x18: "bus numbers", 0x20: "memory window",
                           0x24: "prefetchable window", 0x28: "prefetchable window",
                           0x98: "Device Control", 0xb8: "Device Control 2"},
    "igb": {0xa8: "Device Control", 0xb0: "Link Control", 0xc8: "Device Control 2"},
}


def marks(report):
    """{name: time} of the marks that the test reported."""
    prefix = "yard: mark "
    return {line[len(prefix):]: t for t, line in report if line.startswith(prefix)}


def judge(run):
    """(number of writes judged, what is wrong with them)"""
    trouble = []
    if "freeze" not in run.marks or "done" not in run.marks:
        trouble.append("the test did not reach both marks, only: %s" % ", ".join(run.marks))
    # Of a test that broke off, what was written may be the cause.
    writes = config_writes.judged_writes(run, run.marks.get("done", float("inf")))
    for write in writes:
        untouched = UNTOUCHED.get(write.model, {}).get(write.reg)
        if write.harm:
            trouble.append("%s: %s" % (config_writes.describe(write), write.harm))
        elif not write.allowed:
            trouble.append("%s: not in config_writes.allow" % config_writes.describe(write))
        elif untouched:
            trouble.append("%s: %s is in use" % (config_writes.describe(write), untouched))
    # The scan of the next kernel sizes BARs: no write at all is no measurement.
    if not writes:
        trouble.append("no write was traced")
    return len(writes), trouble


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--list", required=True)
    parser.add_argument("--rid", required=True, help="place of the device")
    parser.add_argument("--port", action="append", default=[], help="place of a port above it")
    parser.add_argument("--topology", required=True)
    parser.add_argument("--kernel", required=True)
    parser.add_argument("--initrd", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--frame-host", help="not used")
    vm.add_arguments(parser)
    options = parser.parse_args()

    tests = run_list.TestList(os.path.join(HERE, "tests", options.list + ".list"))
    log = os.path.join(options.out, "qemu.log")
    tests.settings["qemu"] += ["-D", log, "-trace", "pci_cfg_write"]
    result, verdict = run_list.boot(tests, options.kernel, options.initrd, options.out,
                                    None, options.slow, options.least_mem, options.append)
    names = tests.names + ["config_writes"]
    with open(log, encoding="utf-8", errors="replace") as text:
        run = types.SimpleNamespace(
            meta={"rid": options.rid, "ports": options.port, "topology": options.topology},
            marks=marks(result.report), traces=qemulog.traces(text.read().splitlines()))
    nr_writes, trouble = judge(run)

    for line in run_list.results(result, verdict, tests.names):
        if line.startswith("1.."):
            line = "1..%d" % (len(names) + 1)
        print(line)
    for line in trouble:
        print("# " + line)
    print("%s %d config_writes # %d writes judged, %d wrong"
          % ("not ok" if trouble else "ok", len(names) + 1, nr_writes, len(trouble)))
    return 0 if run_list.good(result, verdict) and not trouble else 1


if __name__ == "__main__":
    sys.exit(main())
