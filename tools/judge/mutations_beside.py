# SPDX-License-Identifier: GPL-2.0
"""Ways to spoil what stands beside the frames: logs, entries, marks, evidence."""

import time

from mutations import drop_mark, mutation, set_guest
from recording import MS, stamp


@mutation("kernel_faults")
def fault_on_the_console(run):
    run.add_console(run.mark("kernel_up") + 900 * MS,
                    "[    1.2] DMAR: [DMA Write NO_PASID] Request device [01:00.0] fault addr"
                    " 0x10104000 [fault reason 0x05] PTE Write access is not set")


@mutation("kernel_faults")
def translation_given_up(run):
    run.add_console(run.mark("kernel_up") + 900 * MS,
                    "DMAR: Translation was enabled for dmar0 but we are not in kdump mode")


@mutation("kernel_splats")
def warning_on_the_console(run):
    run.add_console(run.mark("kernel_up") + 900 * MS,
                    "[    1.2] WARNING: drivers/iommu/intel/iommu.c:100 at foo+0x1/0x2")


@mutation("qemu_messages")
def fault_message_of_qemu(run):
    moment = time.gmtime(run.mark("kernel_up") // 10**9 + 1)
    run.files["qemu.stderr"].append(
        time.strftime("%Y-%m-%dT%H:%M:%S.500000Z", moment) +
        " qemu-system-x86_64: vtd_iova_to_slpte: detected slpte permission error"
        " (iova=0x10104000, level=0x1, slpte=0x0, write=1)")


@mutation("qemu_messages")
def untimed_message_of_qemu(run):
    run.files["qemu.stderr"].append("vtd_iommu_translate: detected translation failure")


@mutation("qemu_traces")
def fault_in_the_trace(run):
    run.add_trace(run.mark("kernel_up") + MS,
                  "vtd_dmar_fault sid 0x100 fault 5 addr 0x10104000 write 1")


@mutation("qemu_traces")
def fault_pending(run):
    run.add_trace(run.mark("kernel_up") + MS, "vtd_fsts_ppf FSTS PPF bit set to 1")


@mutation("qemu_traces")
def fault_recorded(run):
    run.add_trace(run.mark("kernel_up") + MS, "vtd_frr_new index 0 high 0x8000000500000100 low 0x0")


@mutation("qemu_traces")
def entry_cleared_for_a_moment(run):
    run.add_trace(run.mark("replaced") - MS,
                  "vtd_ce_not_present Context entry bus 1 devfn 0 not present")


@mutation("qemu_traces")
def root_entry_cleared_for_a_moment(run):
    run.add_trace(run.mark("kernel_up") + MS, "vtd_re_not_present Root entry bus 1 not present")


@mutation("qemu_traces")
def empty_descriptor_read(run):
    run.add_trace(run.mark("bound") + MS, "e1000e_rx_null_descriptor Null RX descriptor!!")


@mutation("qemu_traces")
def translation_off_for_a_moment(run):
    run.add_trace(run.mark("kernel_gone") - MS, "vtd_dmar_enable enable 0")


def change_entry(run, phase, column, value):
    rows = run.table("entries.csv")
    for row in rows:
        if row[1] == phase:
            row[column] = value
    run.set_table("entries.csv", rows)


@mutation("hardware_entry")
def belief_differs(run):
    """The kernel believes in its default domain, the hardware walks the old one."""
    change_entry(run, "retrieved", 4, "5a00000")


@mutation("hardware_entry")
def believed_domain_differs(run):
    change_entry(run, "bound", 5, "2")


@mutation("hardware_entry")
def replace_did_nothing(run):
    """The attach reports success and the hardware keeps the old table."""
    old = next(row for row in run.table("entries.csv") if row[1] == "bound")
    for phase in ("replaced", "finished", "done"):
        for column in range(2, 6):
            change_entry(run, phase, column, old[column])


@mutation("hardware_entry")
def entry_absent(run):
    change_entry(run, "kernel_up", 2, "0")


@mutation("hardware_entry")
def entry_unreadable(run):
    change_entry(run, "bound", 2, "")


def change_every_entry(run, change):
    run.set_table("entries.csv", [row[:2] + ["%x" % change(int(row[2], 16))] + row[3:]
                                  for row in run.table("entries.csv")])


@mutation("hardware_entry")
def entry_never_present(run):
    change_every_entry(run, lambda low: low & ~1)


@mutation("hardware_entry")
def entry_never_translates(run):
    """Passed through from the beginning, so that nothing ever changes."""
    change_every_entry(run, lambda low: low | 2 << 2)


@mutation("hardware_entry")
def entry_changed_before_replace(run):
    for column, value in ((2, "7700001"), (4, "7700000")):
        change_entry(run, "bound", column, value)


@mutation("hardware_entry")
def entry_type_changed(run):
    """Same table, but device requests are now taken as translated already."""
    old = next(row[2] for row in run.table("entries.csv") if row[1] == "bound")
    change_entry(run, "bound", 2, "%x" % (int(old, 16) | 2 << 2))


@mutation("hardware_entry")
def address_width_changed(run):
    old = next(row[3] for row in run.table("entries.csv") if row[1] == "kernel_up")
    change_entry(run, "kernel_up", 3, "%x" % (int(old, 16) ^ 1))


@mutation("hardware_entry")
def entry_changed_after_replace(run):
    for column, value in ((2, "7700001"), (4, "7700000")):
        change_entry(run, "finished", column, value)


@mutation("guest_ring")
def guest_finds_a_hole(run):
    set_guest(run, "retrieved", "holes", 1)


@mutation("guest_ring")
def guest_finds_other_memory(run):
    set_guest(run, "retrieved", "contiguous", 0)


@mutation("guest_ring")
def guest_never_looked(run):
    run.set_table("guest.csv", [row for row in run.table("guest.csv") if row[0] == "freeze"])


@mutation("forbidden")
def mastering_off_for_a_moment(run):
    """Too short for a frame to notice."""
    run.add_trace(run.mark("kernel_up") + MS, "pci_cfg_write igb 01:00.0 @0x4 <- 0x103")
    run.add_trace(run.mark("kernel_up") + 2 * MS, "pci_cfg_write igb 01:00.0 @0x4 <- 0x107")


@mutation("forbidden")
def port_mastering_off(run):
    """QEMU lets DMA through all the same."""
    run.add_trace(run.mark("freeze") + 30 * MS,
                  "pci_cfg_write pcie-root-port 00:02.0 @0x4 <- 0x103")


@mutation("forbidden")
def bus_numbers_zero(run):
    run.add_trace(run.mark("kernel_up") + MS,
                  "pci_cfg_write pcie-root-port 00:02.0 @0x18 <- 0x0")


@mutation("forbidden")
def function_reset(run):
    run.add_trace(run.mark("bound") - MS, "pci_cfg_write igb 01:00.0 @0xa8 <- 0x8100")


@mutation("forbidden")
def unknown_register_written(run):
    run.add_trace(run.mark("kernel_up") + MS, "pci_cfg_write igb 01:00.0 @0x1a8 <- 0x1")


def dropper(name):
    def drop(run):
        drop_mark(run, name)
    drop.__name__ = "never_" + name
    return drop


for _name in ("preserved", "freeze", "kernel_gone", "kernel_up", "userspace", "retrieved",
              "bound", "finished", "done"):
    mutation("complete")(dropper(_name))
mutation("complete", alone=False)(dropper("replaced"))


@mutation("complete")
def no_kexec(run):
    run.meta["kexec"] = False


@mutation("evidence")
def traces_empty(run):
    """The log is there, and QEMU was told to trace nothing."""
    run.files["qemu.log"] = []


@mutation("evidence")
def traces_end_early(run):
    run.files["qemu.log"] = [line for line in run.files["qemu.log"]
                             if line.split("@")[1] < stamp(run.mark("kernel_up"))]


def drop_traces(run, word, end):
    """No trace with a word before a mark."""
    limit = stamp(run.mark(end) + 60 * MS)
    run.files["qemu.log"] = [line for line in run.files["qemu.log"]
                             if word not in line or line.split("@")[1] > limit]


@mutation("evidence")
def device_not_traced(run):
    drop_traces(run, " " + run.meta["rid"] + " ", "rx_on")


@mutation("evidence")
def port_not_traced(run):
    drop_traces(run, " " + run.meta["ports"][0] + " ", "rx_on")


@mutation("evidence")
def translation_not_traced(run):
    drop_traces(run, "vtd_dmar_enable", "rx_on")


@mutation("evidence")
def receiver_not_traced(run):
    drop_traces(run, "e1000x_rx_can_recv_disabled", "rx_on")


@mutation("evidence")
def memory_not_scrubbed(run):
    run.meta["cmdline"] = "console=ttyS0 init_on_alloc=1"


@mutation("entry_evidence")
def no_entry_was_read(run):
    run.set_table("entries.csv", [])


@mutation("entry_evidence")
def kernel_tells_no_belief(run):
    change_entry(run, "replaced", 4, "")


@mutation("entry_evidence")
def no_entry_between_the_kernels(run):
    run.set_table("entries.csv", [row for row in run.table("entries.csv")
                                  if row[1] not in ("kernel_gone", "kernel_up", "userspace")])
