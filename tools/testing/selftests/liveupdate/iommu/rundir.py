# SPDX-License-Identifier: GPL-2.0
"""Read a run directory of the yardstick, and refuse what is not whole.

A verdict is worth no more than its input: a file that is missing, cut short or
contradicts itself raises RunError with one line that names file and line. What
the contents mean is not decided here.
"""

import collections
import gzip
import json
import os
import re
import zlib

import qemulog

VERSION = 1

# The life of a run. A mark that was never reached is absent.
MARKS = ("rx_on", "preserved", "freeze", "kernel_gone", "kernel_up", "userspace",
         "retrieved", "bound", "replaced", "finished", "done")

MODES = ("legacy", "sm-ss", "sm-fs")
TOPOLOGIES = ("root-port", "root-bus", "switch")

Try = collections.namedtuple("Try", "seq t err")
Landing = collections.namedtuple("Landing", "desc seq t ok")
Entry = collections.namedtuple("Entry", "t phase hw_lo hw_hi belief_pgd belief_did")
Fact = collections.namedtuple("Fact", "phase key value")
Line = collections.namedtuple("Line", "t text")

BDF = re.compile(r"^[0-9a-f]{2}:[01][0-9a-f]\.[0-7]$")
HEX = re.compile(r"^(0x)?[0-9a-f]+$")
STAMP = re.compile(r"^(\d+)\.(\d{9})(?: (.*))?$")

META = {"version": int, "fps": (int, float), "mode": str, "topology": str,
        "rid": str, "ports": list, "ring": int, "kexec": bool, "first_seq": int,
        "started_ns": int}


class RunError(Exception):
    """The run directory cannot be used."""


def fail(path, line, text):
    where = "%s:%d" % (path, line) if line else path
    raise RunError("%s: %s" % (where, text))


def load(rundir, name):
    """The text of a file that may be stored as NAME or NAME.gz, and its path."""
    path = os.path.join(rundir, name)
    if not os.path.isdir(rundir):
        fail(rundir, 0, "no such run directory")
    packed = path + ".gz"
    try:
        if os.path.exists(path):
            with open(path, "rb") as plain:
                data = plain.read()
        elif os.path.exists(packed):
            path = packed
            with gzip.open(packed, "rb") as zipped:
                data = zipped.read()
        else:
            fail(path, 0, "missing")
    except (EOFError, zlib.error, gzip.BadGzipFile):
        fail(path, 0, "not a whole gzip file")
    except OSError as error:
        fail(path, 0, error.strerror or str(error))
    return data.decode("utf-8", "replace"), path


def text_lines(rundir, name):
    """The lines of a file in which every line must be complete."""
    text, path = load(rundir, name)
    if text and not text.endswith("\n"):
        fail(path, text.count("\n") + 1, "the last line is cut short")
    return text.split("\n")[:-1], path


def number(path, line, name, text, base=10):
    """A non-negative integer, written the one way that we write them."""
    good = text.isascii() and text.isdigit() if base == 10 else HEX.match(text)
    if not good:
        fail(path, line, "%s is not a number: %r" % (name, text))
    return int(text, base)


def rows(rundir, name, header):
    """(line number, fields) of a csv file with just this header."""
    lines, path = text_lines(rundir, name)
    if not lines:
        fail(path, 0, "empty, not even a header")
    if lines[0] != header:
        fail(path, 1, "the header is not %s" % header)
    found = []
    width = header.count(",") + 1
    for index, text in enumerate(lines[1:], 2):
        fields = text.split(",")
        if len(fields) != width:
            fail(path, index, "%d fields instead of %d" % (len(fields), width))
        found.append((index, fields))
    return found, path


def forward(path, line, before, now):
    if before is not None and now < before:
        fail(path, line, "time runs backwards by %d ns" % (before - now))
    return now


def read_meta(rundir):
    text, path = load(rundir, "meta.json")
    try:
        meta = json.loads(text)
    except ValueError as error:
        fail(path, 0, "not JSON: %s" % error)
    if not isinstance(meta, dict):
        fail(path, 0, "not a JSON object")
    for key, kind in META.items():
        if key not in meta:
            fail(path, 0, "%s is missing" % key)
        wrong_bool = isinstance(meta[key], bool) and kind is not bool
        if wrong_bool or not isinstance(meta[key], kind):
            fail(path, 0, "%s has the wrong type: %r" % (key, meta[key]))
    if meta["version"] != VERSION:
        fail(path, 0, "version %r, this reader knows %d" % (meta["version"], VERSION))
    if meta["mode"] not in MODES or meta["topology"] not in TOPOLOGIES:
        fail(path, 0, "unknown mode or topology: %r, %r" % (meta["mode"], meta["topology"]))
    for bdf in [meta["rid"]] + meta["ports"]:
        if not isinstance(bdf, str) or not BDF.match(bdf):
            fail(path, 0, "not a bus:device.function: %r" % (bdf,))
    if (meta["topology"] == "root-bus") != (not meta["ports"]):
        fail(path, 0, "%d ports do not fit topology %s" % (len(meta["ports"]), meta["topology"]))
    if meta["fps"] <= 0 or meta["ring"] < 2:
        fail(path, 0, "fps or ring is not positive: %r, %r" % (meta["fps"], meta["ring"]))
    return meta


def read_sent(rundir, first_seq):
    """Every try of the frame source; the sequence has no gap, or it is no source."""
    found, path = rows(rundir, "sent.csv", "seq,t_ns,err")
    tries = []
    for line, fields in found:
        seq, t, err = [number(path, line, name, text)
                       for name, text in zip(("seq", "t_ns", "err"), fields)]
        last = tries[-1] if tries else Try(first_seq - 1, None, 0)
        again = seq == last.seq and last.err
        if seq != last.seq + 1 and not again:
            fail(path, line, "sequence %d follows %d" % (seq, last.seq))
        tries.append(Try(seq, forward(path, line, last.t, t), err))
    if not tries:
        fail(path, 0, "no frame was ever sent")
    return tries


def read_landed(rundir):
    found, path = rows(rundir, "landed.csv", "desc,seq,t_ns,ok")
    landed = []
    before = None
    for line, (desc, seq, t, good) in found:
        if good not in ("0", "1"):
            fail(path, line, "ok is neither 0 nor 1: %r" % good)
        before = forward(path, line, before, number(path, line, "t_ns", t))
        # -1 stands where a descriptor without a frame shows no sequence.
        seq = None if good == "0" and seq == "-1" else number(path, line, "seq", seq)
        landed.append(Landing(number(path, line, "desc", desc), seq, before, good == "1"))
    return landed


def read_marks(rundir):
    found, path = rows(rundir, "marks.csv", "t_ns,name")
    marks = {}
    for line, (t, name) in found:
        if name not in MARKS:
            fail(path, line, "unknown mark %r" % name)
        if name in marks:
            fail(path, line, "mark %s comes twice" % name)
        marks[name] = number(path, line, "t_ns", t)
    before = None
    for name in MARKS:
        if name not in marks:
            continue
        if before and marks[name] < marks[before]:
            fail(path, 0, "mark %s is earlier than %s" % (name, before))
        before = name
    if "rx_on" not in marks:
        fail(path, 0, "the mark rx_on is missing, so nothing was measured")
    return marks


def read_entries(rundir):
    header = "t_ns,phase,hw_lo,hw_hi,belief_pgd,belief_did"
    found, path = rows(rundir, "entries.csv", header)
    entries = []
    for line, fields in found:
        t = number(path, line, "t_ns", fields[0])
        if fields[1] not in MARKS:
            fail(path, line, "unknown phase %r" % fields[1])
        values = [number(path, line, name, text, 16) if text else None
                  for name, text in zip(header.split(",")[2:], fields[2:])]
        entries.append(Entry(t, fields[1], *values))
    return entries


def read_guest(rundir):
    found, path = rows(rundir, "guest.csv", "phase,key,value")
    for line, fields in found:
        if fields[0] not in MARKS:
            fail(path, line, "unknown phase %r" % fields[0])
    return [Fact(*fields) for _, fields in found]


def read_timed(rundir, name):
    """A log of `sec.nsec line` lines."""
    lines, path = text_lines(rundir, name)
    found = []
    for index, text in enumerate(lines, 1):
        match = STAMP.match(text)
        if not match:
            fail(path, index, "no time stamp: %r" % text[:60])
        found.append(Line(int(match[1]) * 10**9 + int(match[2]), match[3] or ""))
    return found


def read_traces(rundir):
    lines, path = text_lines(rundir, "qemu.log")
    try:
        return qemulog.traces(lines)
    except qemulog.LogError as error:
        fail(path, error.line, error.text)


class Run:
    """A run directory, checked for form and read into memory."""

    def __init__(self, rundir):
        self.path = rundir
        self.meta = read_meta(rundir)
        self.marks = read_marks(rundir)
        self.tries = read_sent(rundir, self.meta["first_seq"])
        self.landed = read_landed(rundir)
        self.entries = read_entries(rundir)
        self.guest = read_guest(rundir)
        self.console = read_timed(rundir, "console.log")
        self.report = read_timed(rundir, "report.log")
        self.traces = read_traces(rundir)
        self.stderr = qemulog.messages(text_lines(rundir, "qemu.stderr")[0])
        if not self.console:
            fail(os.path.join(rundir, "console.log"), 0, "empty")

    def since_freeze_ms(self, t):
        """Milliseconds after freeze, or after the start where there was none."""
        return (t - self.marks.get("freeze", self.marks["rx_on"])) / 1e6
