# SPDX-License-Identifier: GPL-2.0
"""Tell a judged run as one terminal screen and as rows for a page."""

import stream
import timeline_svg
from stream import many
from timeline_svg import duration

COLUMNS = ("phase", "begins", "lasts", "sent", "landed", "missing", "refused",
           "longest gap", "max latency")


def milliseconds(value):
    return "-" if value is None else duration(value * 1e6)


def phase_rows(run, verdict):
    """One row of texts per phase, and one for the whole run."""
    rows = []
    for one in verdict["intervals"]:
        begins = run.since_freeze_ms(one["start"])
        rows.append((one["name"], "%+.3f s" % (begins / 1e3), duration(one["end"] - one["start"]),
                     "%d" % one["sent"], "%d" % one["landed"], "%d" % one["missing"],
                     "%d" % one["refused"], milliseconds(one["longest_gap_ms"]),
                     milliseconds(one["max_latency_ms"])))
    total = verdict["total"]
    first, last = verdict["intervals"][0]["start"], verdict["intervals"][-1]["end"]
    rows.append(("whole run", "", duration(last - first), "%d" % total["sent"],
                 "%d" % total["landed"], "%d" % total["missing"], "%d" % total["refused"],
                 milliseconds(total["longest_gap_ms"]), milliseconds(total["max_latency_ms"])))
    return rows


def facts(run, verdict):
    """(name, text) of what the frames alone do not tell."""
    total, writes = verdict["total"], verdict["config_writes"]
    faults = verdict["faults"]
    found = [
        ("frame source", "longest pause of its own %s, %s in flight at the end"
         % (milliseconds(total["sender_gap_ms"]), many(total["in_flight"], "frame"))),
        ("ring", "%s, %s of the order" % (many(len(verdict["holes"]), "hole"),
                                          many(len(verdict["order"]), "break"))),
        ("faults", "%d in the kernels' and QEMU's logs and traces" % len(faults) if faults
         else "0 in the kernels' and QEMU's logs and traces"),
        ("config writes", "%d allowed, %d forbidden since freeze"
         % (writes["allowed"], len(writes["forbidden"]))),
        ("hardware entry", entry_text(verdict)),
    ]
    if isinstance(run.meta.get("starved_ms"), (int, float)):
        found.append(("host", "let the machine wait %s at most for a processor"
                      % milliseconds(run.meta["starved_ms"])))
    cause = verdict["cause"]
    if cause:
        found.insert(0, ("what did it", "%+.1f ms  %s" % (cause["after_freeze_ms"],
                                                         cause["text"])))
        if cause["last_landing_ms"] is not None:
            found.insert(1, ("last landing", "%+.1f ms%s" % (
                cause["last_landing_ms"], ", resumed later" if cause["resumed"] else "")))
    return found


def entry_text(verdict):
    """The tables that the hardware walked, in order."""
    seen = []
    for one in verdict["entries"]:
        name = ("table 0x%x domain %d" % (one["hw_pgd"], one["hw_did"]) if one["present"]
                else "unreadable" if one["present"] is None else "not present")
        if not seen or seen[-1][0] != name:
            seen.append((name, one["phase"]))
    return ", then ".join("%s (from %s)" % pair for pair in seen) or "never read"


def other_reasons(verdict):
    """What the final line does not say."""
    return verdict["reasons"][1:]


def table(rows):
    """Lines with the first column to the left and the numbers to the right."""
    widths = [max(len(row[index]) for row in (COLUMNS,) + tuple(rows))
              for index in range(len(COLUMNS))]
    lines = []
    for row in (COLUMNS,) + tuple(rows):
        cells = [row[0].ljust(widths[0])] + [cell.rjust(width)
                                             for cell, width in zip(row[1:], widths[1:])]
        lines.append("  ".join(cells).rstrip())
    ruler = "-" * max(len(line) for line in lines)
    return [lines[0], ruler] + lines[1:-1] + [ruler, lines[-1]]


def screen(run, verdict, final):
    """The lines of the screen; the last one is the verdict."""
    lines = ["DMA across a live update: " + timeline_svg.setting(run.meta), ""]
    lines += table(phase_rows(run, verdict)) + [""]
    lines += ["%-15s %s" % pair for pair in facts(run, verdict)]
    others = other_reasons(verdict)
    if others:
        lines += [""] + ["%-15s %s" % ("also" if not index else "", text)
                         for index, text in enumerate(others)]
    return lines + ["", final]


def limits():
    return ("Judged from the first mark to done. Times count from freeze, just before reboot();"
            " a frame belongs to the phase in which it was sent. PASS needs every frame in its"
            " descriptor within %g ms, no gap longer than the source's own plus %g ms, no fault"
            " in any log, an untouched configuration space, and the hardware entry that the"
            " kernel believes in." % (stream.LIMIT_MS, stream.LIMIT_MS))
