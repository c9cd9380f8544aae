# SPDX-License-Identifier: GPL-2.0
"""One documented way each to spoil the frames of a good run.

Every function changes a Recording of a passing run in one respect. Beside it
stands the check that has to notice, and whether it is the only one that can: if
so, the run passes once that check is taken away, which proves both. What is
beside the frames is spoiled in mutations_beside.
"""

import collections

from recording import MS

Mutation = collections.namedtuple("Mutation", "name spoil check alone")
ALL = []


def mutation(check, alone=True):
    def add(function):
        name = function.__name__
        ALL.append(Mutation(name, function, check, alone))
        return function
    return add


def set_guest(run, phase, key, value):
    run.set_table("guest.csv", [row[:2] + [value] if row[:2] == [phase, key] else row
                                for row in run.table("guest.csv")])


def drop_mark(run, name):
    run.set_table("marks.csv", [row for row in run.table("marks.csv") if row[1] != name])


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


@mutation("order")
def frame_landed_before_its_time(run):
    """The next number of the sequence lands, though it was not sent before done."""
    done = run.mark("done")
    unsent = sum(1 for row in run.table("sent.csv") if int(row[1]) <= done)

    def change(rows):
        rows[:] = [row for row in rows if int(row[2]) < done - 1 and int(row[1]) < unsent]
        rows.append([len(rows), unsent, done - 1, 1])
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
