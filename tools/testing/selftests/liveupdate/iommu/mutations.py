# SPDX-License-Identifier: GPL-2.0
"""One documented way each to spoil a good run.

Every function changes a Recording of a passing run in one respect. Beside it
stands the check that has to notice, and whether it is the only one that can: if
so, the run passes once that check is taken away, which proves both.
"""

import collections
import time

from recording import MS, stamp

Mutation = collections.namedtuple("Mutation", "name spoil check alone")
ALL = []


def mutation(check, alone=True):
    def add(function):
        name = function.__name__
        ALL.append(Mutation(name, function, check, alone))
        return function
    return add


def middle(run, mark="kernel_gone", wait_ms=100):
    """The index of the first landing some time after a mark."""
    t = run.mark(mark) + wait_ms * MS
    return next(i for i, row in enumerate(run.table("landed.csv")) if int(row[2]) > t)


def change_landed(run, change):
    rows = run.table("landed.csv")
    change(rows)
    run.set_table("landed.csv", rows)


def renumber(rows):
    for index, row in enumerate(rows):
        row[0] = str(index)


@mutation("lost", alone=False)
def one_frame_lost(run):
    """One frame is never written; the ring goes on with the next one."""
    at = middle(run)

    def change(rows):
        del rows[at]
        renumber(rows)
    change_landed(run, change)


@mutation("lost", alone=False)
def nothing_landed(run):
    run.set_table("landed.csv", [])


@mutation("lost", alone=False)
def all_but_the_tail_lost(run):
    """The last frame before the limit is missing and nothing comes after it."""
    limit = run.mark("done") - 50 * MS
    sent = {row[0]: int(row[1]) for row in run.table("sent.csv")}
    run.set_table("landed.csv", [row for row in run.table("landed.csv")
                                 if sent[row[1]] < limit - 20 * MS])


@mutation("refused")
def refused_then_taken(run):
    """The transport refuses a frame, the source tries it again at once."""
    rows = run.table("sent.csv")
    at = middle(run)
    rows.insert(at, [rows[at][0], str(int(rows[at][1]) - 1), "11"])
    run.set_table("sent.csv", rows)


@mutation("order", alone=False)
def two_frames_swapped(run):
    at = middle(run)

    def change(rows):
        rows[at][1], rows[at + 1][1] = rows[at + 1][1], rows[at][1]
    change_landed(run, change)


@mutation("order")
def frame_written_twice(run):
    at = middle(run)

    def change(rows):
        rows.insert(at, list(rows[at]))
        renumber(rows)
    change_landed(run, change)


@mutation("order")
def descriptor_skipped(run):
    """From the middle on every frame stands one descriptor too far."""
    at = middle(run)

    def change(rows):
        for row in rows[at:]:
            row[0] = str(int(row[0]) + 1)
    change_landed(run, change)


@mutation("order")
def frame_nobody_sent(run):
    def change(rows):
        rows.append([len(rows), 10**6, int(rows[-1][2]), 1])
        rows[-1][2] = run.mark("done") - 1
        rows.sort(key=lambda row: int(row[2]))
        renumber(rows)
    change_landed(run, change)


@mutation("holes", alone=False)
def payload_broken(run):
    at = middle(run)

    def change(rows):
        rows[at][3] = "0"
    change_landed(run, change)


@mutation("holes")
def hole_in_the_ring(run):
    """A descriptor is done without data and the frame goes to the next one."""
    at = middle(run, "replaced")

    def change(rows):
        rows.insert(at, [0, -1, rows[at][2], 0])
        renumber(rows)
    change_landed(run, change)


def hold(run, at, until):
    """No landing between that of frame `at` and a time, none is lost."""
    def change(rows):
        for row in rows[at:]:
            row[2] = str(max(int(row[2]), until))
    change_landed(run, change)


@mutation("latency")
def one_frame_late(run):
    """The latency of one frame is just over the limit."""
    at = middle(run)
    hold(run, at, int(run.table("sent.csv")[at][1]) + 50 * MS)


@mutation("gap", alone=False)
def pause_beyond_the_limit(run):
    """The device rests 60 ms longer than the source ever does by itself."""
    at = middle(run)
    times = [int(row[1]) for row in run.table("sent.csv")]
    own = max(later - sooner for sooner, later in zip(times, times[1:]))
    hold(run, at, times[at] + own + 60 * MS)


@mutation("latency", alone=False)
def delayed_but_complete(run):
    """The device rests for a second, the transport holds all frames meanwhile."""
    at = middle(run, "freeze", 20)
    hold(run, at, int(run.table("sent.csv")[at][1]) + 1000 * MS)


@mutation("latency")
def landed_before_sent(run):
    at = middle(run)

    def change(rows):
        rows[at][2] = str(int(run.table("sent.csv")[at][1]) - 1)
    change_landed(run, change)


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


def set_guest(run, phase, key, value):
    run.set_table("guest.csv", [row[:2] + [value] if row[:2] == [phase, key] else row
                                for row in run.table("guest.csv")])


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


def drop_mark(run, name):
    run.set_table("marks.csv", [row for row in run.table("marks.csv") if row[1] != name])


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


@mutation("source")
def source_silent_without_kernel(run):
    """No frame was sent while no kernel ran: nothing could be lost."""
    begin, end = run.mark("kernel_gone"), run.mark("kernel_up")
    quiet = {int(row[0]) for row in run.table("sent.csv") if begin <= int(row[1]) < end}
    silence(run, quiet)


@mutation("source")
def no_time_without_kernel(run):
    """The new kernel's first line comes before the next frame is sent."""
    begin = run.mark("kernel_gone")
    sent = next(int(row[1]) for row in run.table("sent.csv") if int(row[1]) > begin)
    run.set_table("marks.csv", [[t if name not in ("kernel_gone", "kernel_up") else sent + MS +
                                 (name == "kernel_up"), name]
                                for t, name in run.table("marks.csv")])


@mutation("source")
def source_pauses(run):
    begin = run.mark("kernel_up") + 500 * MS
    silence(run, {int(row[0]) for row in run.table("sent.csv")
                  if begin <= int(row[1]) < begin + 80 * MS})


def silence(run, quiet):
    """As if the source had not sent these frames, with later numbers closing up."""
    def keep(rows, columns, seq_column):
        rows = [row for row in rows if int(row[seq_column]) not in quiet]
        for index, row in enumerate(rows):
            for column in columns:
                row[column] = str(index)
        return rows
    landed = keep(run.table("landed.csv"), (0, 1), 1)
    run.set_table("sent.csv", keep(run.table("sent.csv"), (0,), 0))
    run.set_table("landed.csv", landed)
    for phase in ("retrieved", "finished"):
        count = sum(1 for row in landed if int(row[2]) < run.mark(phase))
        set_guest(run, phase, "contiguous", count)


@mutation("evidence")
def traces_empty(run):
    """The log is there, and QEMU was told to trace nothing."""
    run.files["qemu.log"] = []


@mutation("evidence")
def traces_end_early(run):
    run.files["qemu.log"] = [line for line in run.files["qemu.log"]
                             if line.split("@")[1] < stamp(run.mark("kernel_up"))]


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
