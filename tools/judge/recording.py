# SPDX-License-Identifier: GPL-2.0
"""Run directories for the tests of the judge: made up, loaded, changed, written.

A Recording holds the files of a run directory as lists of lines, so that one
test can break one line of a real recording or of a made up one alike.
"""

import gzip
import json
import os
import random

HEADERS = {
    "sent.csv": "seq,t_ns,err",
    "landed.csv": "desc,seq,t_ns,ok",
    "marks.csv": "t_ns,name",
    "entries.csv": "t_ns,phase,hw_lo,hw_hi,belief_pgd,belief_did",
    "guest.csv": "phase,key,value",
}
LOGS = ("console.log", "report.log", "qemu.log", "qemu.stderr")

MS = 10**6
FREEZE = 1795230000 * 10**9

# Milliseconds from freeze, as a run under TCG has them.
LIFE = {"rx_on": -1200, "preserved": -500, "freeze": 0, "kernel_gone": 58, "kernel_up": 610,
        "userspace": 3080, "retrieved": 3140, "bound": 3420, "replaced": 3790,
        "finished": 4260, "done": 4750}

OLD_TABLE, OLD_DID = 0x4d71000, 5
NEW_TABLE, NEW_DID = 0x6a13000, 7

# (ms, device, register, value): what good runs write between freeze and done.
GOOD_WRITES = (
    (7, "igb 01:00.0", 0x4, 0x507), (16, "pcie-root-port 00:02.0", 0x64, 0),
    (17, "pcie-root-port 00:02.0", 0x4a, 0), (24, "pcie-root-port 00:02.0", 0x4, 0x107),
    (2080, "igb 01:00.0", 0x4, 0x107), (2081, "igb 01:00.0", 0x4, 0x104),
    (2082, "igb 01:00.0", 0x10, 0xffffffff), (2083, "igb 01:00.0", 0x10, 0xfe600000),
    (2084, "igb 01:00.0", 0x4, 0x107), (2085, "igb 01:00.0", 0xa8, 0x100),
    (2086, "igb 01:00.0", 0xb0, 0), (2090, "pcie-root-port 00:02.0", 0x3e, 2),
    (2091, "pcie-root-port 00:02.0", 0x1e, 0xffff),
    (2093, "pcie-root-port 00:02.0", 0x14e, 0x1d),
    (2099, "pcie-root-port 00:02.0", 0x4, 0x507),
)


def stamp(t):
    return "%d.%09d" % (t // 10**9, t % 10**9)


def trace(t, text):
    return "4711@%d.%06d:%s" % (t // 10**9, t % 10**9 // 1000, text)


def write_trace(ms, device, reg, value):
    return trace(FREEZE + ms * MS, "pci_cfg_write %s @0x%x <- 0x%x" % (device, reg, value))


class Recording:
    """A run directory in memory."""

    def __init__(self, meta, files):
        self.meta = meta
        self.files = files

    @classmethod
    def load(cls, path):
        def text(name):
            plain = os.path.join(path, name)
            opener, where = (open, plain) if os.path.exists(plain) else (gzip.open, plain + ".gz")
            with opener(where, "rt", encoding="utf-8") as file:
                return file.read()

        files = {name: text(name).splitlines() for name in list(HEADERS) + list(LOGS)}
        return cls(json.loads(text("meta.json")), files)

    def copy(self):
        return Recording(json.loads(json.dumps(self.meta)),
                         {name: list(lines) for name, lines in self.files.items()})

    def write(self, path):
        os.makedirs(path, exist_ok=True)
        with open(os.path.join(path, "meta.json"), "w", encoding="utf-8") as out:
            json.dump(self.meta, out)
        for name, lines in self.files.items():
            with open(os.path.join(path, name), "w", encoding="utf-8") as out:
                out.write("".join(line + "\n" for line in lines))

    def table(self, name):
        """The fields of a csv file, without its header."""
        return [line.split(",") for line in self.files[name][1:]]

    def set_table(self, name, rows):
        self.files[name] = [HEADERS[name]] + [",".join(str(field) for field in row)
                                              for row in rows]

    def mark(self, name):
        """The time of a mark."""
        return next(int(t) for t, other in self.table("marks.csv") if other == name)

    def add_trace(self, t, text):
        self.files["qemu.log"].append(trace(t, text))

    def add_console(self, t, text):
        self.files["console.log"].append("%s %s" % (stamp(t), text))


def frames(rng, fps):
    """(sent rows, landed rows) of an undisturbed stream."""
    sent, landed = [], []
    t = FREEZE + LIFE["rx_on"] * MS + 3 * MS
    seen = 0
    seq = 0
    while t < FREEZE + (LIFE["done"] + 20) * MS:
        sent.append((seq, t, 0))
        seen = max(t + rng.randrange(90_000, 700_000), seen + 1)
        landed.append((seq, seq, seen, 1))
        seq += 1
        t += int(1e9 / fps) + rng.randrange(-150_000, 150_000)
    return sent, landed


def passing(fps=200):
    """A complete live update in which nothing goes wrong."""
    meta = {"version": 1, "fps": fps, "mode": "legacy", "topology": "root-port",
            "rid": "01:00.0", "ports": ["00:02.0"], "qemu": "10.0.2", "kernel": "7.3.4",
            "accel": "tcg", "cmdline": "console=ttyS0 init_on_free=1 init_on_alloc=1",
            "ring": 4096, "kexec": True, "started_ns": FREEZE - 9000 * MS, "first_seq": 0}
    run = Recording(meta, {name: [] for name in list(HEADERS) + list(LOGS)})
    sent, landed = frames(random.Random(7), fps)
    run.set_table("sent.csv", sent)
    run.set_table("landed.csv", landed)
    run.set_table("marks.csv", [(FREEZE + ms * MS, name) for name, ms in LIFE.items()])
    run.set_table("entries.csv", entries())
    run.set_table("guest.csv", guest(landed))
    run.files["report.log"] = ["%s yard: mark %s" % (stamp(FREEZE + ms * MS), name)
                               for name, ms in LIFE.items() if not name.startswith("kernel")]
    run.add_console(FREEZE - 8000 * MS, "Linux version 7.3.4 (build@host)")
    run.add_console(FREEZE + 58 * MS, "kexec_core: Starting new kernel")
    run.add_console(FREEZE + 610 * MS, "Linux version 7.3.4 (build@host)")
    run.add_console(FREEZE + 3080 * MS, "Run /init as init process")
    run.files["qemu.log"] = [
        trace(FREEZE - 8500 * MS, "e1000x_rx_can_recv_disabled link_up: 0, rx_enabled 0,"
              " pci_master 0"),
        write_trace(-7000, "pcie-root-port 00:02.0", 0x4, 0x107),
        write_trace(-6900, "igb 01:00.0", 0x4, 0x103),
        trace(FREEZE - 5000 * MS, "vtd_dmar_enable enable 1"),
        trace(FREEZE - 3000 * MS, "vtd_ce_not_present Context entry bus 1 devfn 0 not present"),
        trace(FREEZE - 3000 * MS, "vtd_ce_not_present Context entry bus 1 devfn 0 not present"),
    ] + [write_trace(*write) for write in GOOD_WRITES] + [
        trace(FREEZE + 5300 * MS, "vtd_dmar_enable enable 0"),
        trace(FREEZE + 5301 * MS, "e1000e_rx_null_descriptor Null RX descriptor!!"),
    ]
    return run


def entries():
    rows = []
    for name, ms in LIFE.items():
        new = ms >= LIFE["replaced"]
        table, did = (NEW_TABLE, NEW_DID) if new else (OLD_TABLE, OLD_DID)
        belief = ("", "") if name.startswith("kernel") or name == "freeze" else (
            "%x" % table, "%x" % did)
        rows.append((FREEZE + ms * MS + 200_000, name, "%x" % (table | 1),
                     "%x" % (did << 8 | 2)) + belief)
    # A reading that is taken when all is over tells nothing.
    rows[-1] = (FREEZE + LIFE["done"] * MS - 1,) + rows[-1][1:]
    return rows


def guest(landed):
    rows = []
    for name in ("freeze", "retrieved", "finished"):
        count = sum(1 for row in landed if row[2] < FREEZE + LIFE[name] * MS)
        rows += [(name, "first_desc", 0), (name, "first_seq", 0), (name, "contiguous", count),
                 (name, "landed", count), (name, "holes", 0), (name, "bad", 0)]
    return rows
