# SPDX-License-Identifier: GPL-2.0
"""The machine of the yardstick: its IOMMU, where its network device is, how much memory
it has, and what QEMU and the kernels in it are told.
"""

import os
import shutil
import sys
import tempfile

import unit_trace

MEMORY_MB = 1024
# What a configuration gets of what it asks for, and what a list can have.
USUAL_MEMORY_MB = 2560
MOST_MEMORY_MB = 8192

IOMMU = {
    "legacy": ("intel-iommu,intremap=on", "intel_iommu=on"),
    "sm-ss": ("intel-iommu,intremap=on,x-scalable-mode=on", "intel_iommu=on,sm_on"),
    "sm-fs": ("intel-iommu,intremap=on,x-scalable-mode=on,x-flts=on", "intel_iommu=on,sm_on"),
}

# topology: devices above the network device, where that one is, and what is
# told about both in the run directory
TOPOLOGY = {
    "root-port": (["pcie-root-port,id=rp,bus=pcie.0,addr=2,chassis=1"],
                  "bus=rp", "01:00.0", ["00:02.0"]),
    "root-bus": ([], "bus=pcie.0,addr=5", "00:05.0", []),
    "switch": (["pcie-root-port,id=rp,bus=pcie.0,addr=2,chassis=1",
                "x3130-upstream,id=up,bus=rp",
                "xio3130-downstream,id=down,bus=up,chassis=2"],
               "bus=down", "03:00.0", ["00:02.0", "01:00.0", "02:00.0"]),
}

# All accesses to configuration space and the events around reception and
# translation; "vtd_*" as a whole would be thousands of lines a second.
TRACES = ("pci_cfg_write", "e1000x_rx_*", "e1000e_rx_null_descriptor", "e1000e_link*",
          "vtd_dmar_fault", "vtd_frr_new", "vtd_fsts_ppf", "vtd_fault_disabled",
          "vtd_dmar_enable", "vtd_reg_dmar_root", "vtd_reg_write_gcmd",
          "vtd_re_not_present", "vtd_ce_not_present", "vtd_irq_generate")


def memory_mb(options):
    """As much as the list or the kernel's configuration asks for, but not all there is."""
    return max(MEMORY_MB, options.memory, min(options.least_mem >> 20, USUAL_MEMORY_MB))


def ram_directory(memory):
    """Where the guest's memory can be: in memory if that has the room."""
    needed = memory * 1.05 * 2**20
    for place in ("/dev/shm", tempfile.gettempdir()):
        if os.path.isdir(place) and shutil.disk_usage(place).free > needed:
            return place
    sys.exit("yardstick: no %d MiB free in /dev/shm or %s for the guest's memory"
             % (memory, tempfile.gettempdir()))


def machine_arguments(options, scratch):
    iommu, _ = IOMMU[options.mode]
    bridges, place, _, _ = TOPOLOGY[options.topology]
    arguments = ["-device", ",".join([iommu] + options.unit +
                                     (["eim=on"] if options.x2apic else []))]
    if options.x2apic:
        arguments += ["-cpu", "qemu64,+x2apic"]
    for bridge in bridges:
        # The link of a faster port would not come back after a reset of the bus.
        arguments += ["-device", bridge + (",x-speed=5" if options.sibling else "")]
    arguments += ["-netdev", "dgram,id=n0,local.type=unix,local.path=%s/q,"
                  "remote.type=unix,remote.path=%s/h" % (scratch, scratch)]
    if options.sibling:
        # An igb tells of no function after it, so it is the last one.
        arguments += ["-device", "e1000e,addr=0.0,multifunction=on," + place]
        place += ",addr=0.1"
    if not options.two:
        return arguments + ["-device", "igb,netdev=n0," + place]
    # A hub gives each frame to both. The second device comes last in each scan.
    for name in ("host", "first", "second"):
        arguments += ["-netdev", "hubport,hubid=0,id=%s" % name +
                      (",netdev=n0" if name == "host" else "")]
    return arguments + ["-device", "igb,netdev=first," + place,
                        "-device", "pcie-root-port,id=rp2,bus=pcie.0,addr=3,chassis=9",
                        "-device", "igb,netdev=second,bus=rp2"]


def requester_id(options):
    """Where the network device is."""
    return "01:00.1" if options.sibling else TOPOLOGY[options.topology][2]


def trace_arguments(log, handover):
    arguments = ["-D", log]
    for trace in TRACES + (unit_trace.TRACES if handover else ()):
        arguments += ["-trace", trace]
    return arguments


def kernel_arguments(options):
    usual = "yardstick-once" if options.no_kexec else "yardstick"
    words = [IOMMU[options.mode][1], "vmtest.list=/tests/%s.list" % (options.list or usual)]
    guest = []
    if options.outage:
        guest.append("outage=%d" % options.outage)
    if options.fault:
        guest.append("fault")
    if options.run:
        guest.append("run=%d" % options.run)
    if options.native_driver:
        guest.append("native")
    if guest:
        words.append("vmtest.args=" + ",".join(guest))
    words.append("vmtest.slow=%d" % options.slow)
    return " ".join(words + options.append)
