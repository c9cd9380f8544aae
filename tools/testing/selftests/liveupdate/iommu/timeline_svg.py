# SPDX-License-Identifier: GPL-2.0
"""Draw a judged run: frames over time, with the phases of the live update."""

import re

import labels
import stream
import svg

WIDTH, HEIGHT = 1200, 644
LEFT, RIGHT = 78, 1168
MS = 10**6

MODES = {"legacy": "legacy mode", "sm-ss": "scalable mode, second stage",
         "sm-fs": "scalable mode, first stage"}
PLACES = {"root-port": "behind a root port", "root-bus": "on the root bus",
          "switch": "behind a switch"}


def duration(ns):
    """A duration with the digits that matter."""
    ms = ns / 1e6
    if ms >= 999.5:
        return "%.2f s" % (ms / 1e3)
    return ("%.0f ms" if ms >= 9.95 else "%.1f ms") % ms


def setting(meta):
    """What was measured, in one line."""
    version = re.search(r"\d+(\.\d+)+", str(meta.get("qemu", "")))
    return ("igb %s, VT-d %s, %g frames/s · kernel %s · QEMU %s (%s)"
            % (PLACES[meta["topology"]], MODES[meta["mode"]], meta["fps"],
               meta.get("kernel", "?"), version[0] if version else "?",
               str(meta.get("accel", "?")).upper()))


def totals(verdict):
    """What became of the frames, in one line."""
    total = verdict["total"]
    text = "%s sent, %d landed" % (stream.many(total["sent"], "frame"), total["landed"])
    if total["in_flight"]:
        text += ", %d in flight at the end" % total["in_flight"]
    lost = total["missing"] + total["refused"]
    end = " · longest gap %s · faults %d" % (duration(total["longest_gap_ms"] * 1e6),
                                             len(verdict["faults"]))
    if lost:
        return "%s, %d lost%s" % (text, lost, end)
    for one in verdict["intervals"]:
        if one["name"] == "no kernel" and one["landed"]:
            text += " · %d of them while no kernel ran" % one["landed"]
    return text + end


class Axis:
    """Maps time to the width of the picture."""

    def __init__(self, begin, end, zero):
        self.begin, self.end, self.zero = begin, max(end, begin + 1), zero

    def x(self, t):
        return LEFT + (RIGHT - LEFT) * (t - self.begin) / (self.end - self.begin)

    def holds(self, t):
        return self.begin <= t <= self.end

    def ruler(self, out, top, bottom, unit_ns, name):
        low, high = [(t - self.zero) / unit_ns for t in (self.begin, self.end)]
        for value in labels.ticks(low, high, 12):
            x = self.x(self.zero + value * unit_ns)
            out.line(x, top, x, bottom, "grid")
            out.text(x, bottom + 16, "%g" % value, 11, "dim", "middle")
        out.text(RIGHT, bottom + 32, name, 11, "dim", "end")


def bands(out, axis, verdict, top, bottom):
    """Shade every second phase; the time without a kernel has its own shade."""
    for index, one in enumerate(verdict["intervals"]):
        begin, end = max(one["start"], axis.begin), min(one["end"], axis.end)
        quiet = one["name"] == "no kernel"
        if begin < end and (quiet or index % 2 == 0):
            out.rect(axis.x(begin), top, axis.x(end) - axis.x(begin), bottom - top,
                     "quiet" if quiet else "band")


def band_labels(out, axis, verdict, y, top):
    """Name and length of each phase over its band, with a line where it had to move."""
    shown = [one for one in verdict["intervals"]
             if one["start"] < axis.end and one["end"] > axis.begin]
    rows = [(one["name"], duration(one["end"] - one["start"]),
             axis.x(max(one["start"], axis.begin)), axis.x(min(one["end"], axis.end)))
            for one in shown]
    widths = [max(labels.width(name, 12), labels.width(length, 11)) + 8
              for name, length, _, _ in rows]
    centres = labels.place([(low + high) / 2 for _, _, low, high in rows], widths,
                           LEFT - 56, RIGHT + 24)
    for (name, length, low, high), x in zip(rows, centres):
        out.text(x, y, name, 12, "ink", "middle", True)
        out.text(x, y + 15, length, 11, "dim", "middle")
        # Down from the label, then over to the nearest place inside its band.
        inset = min(3, (high - low) / 2)
        foot = min(max(x, low + inset), high - inset)
        out.path([(x, y + 21), (x, top - 12), (foot, top - 4), (foot, top)], "sent")


def band_names(out, axis, verdict, y):
    """The names of the phases inside their bands, where they fit."""
    for one in verdict["intervals"]:
        begin, end = max(one["start"], axis.begin), min(one["end"], axis.end)
        name = one["name"]
        if begin < end and axis.x(end) - axis.x(begin) > labels.width(name, 10) + 8:
            out.text((axis.x(begin) + axis.x(end)) / 2, y, name, 10, "dim", "middle")


def curve(axis, times, height):
    """A point a frame, thinned to what pixels show; a pause is a level line."""
    points = []
    for number, t in enumerate(times, 1):
        x, y = axis.x(t), height(number)
        if points and x - points[-1][0] > 3:
            points.append((x, height(number - 1)))
        if not points or x - points[-1][0] > 1 or number == len(times):
            points.append((x, y))
    return points + [(RIGHT, height(len(times)))]


def cumulative(out, axis, frames, top, bottom):
    """Frames sent and frames landed so far; what is between them has not landed."""
    total = max(len(frames.frames), 1)

    def height(number):
        return bottom - (bottom - top - 22) * number / total

    for value in labels.ticks(0, total, 5):
        out.line(LEFT, height(value), RIGHT, height(value), "grid")
        out.text(LEFT - 8, height(value) + 4, "%d" % value, 11, "dim", "end")
    out.text(LEFT - 8, top + 4, "frames", 11, "dim", "end")
    times = [one.landed for one in frames.landings()]
    sent = curve(axis, [one.sent for one in frames.frames], height)
    landed = curve(axis, times, height) if times else [(LEFT, bottom), (RIGHT, bottom)]
    points = "L".join("%s %s" % (svg.fmt(x), svg.fmt(y)) for x, y in sent + landed[::-1])
    out.add("path", fill="area", d="M%sZ" % points)
    out.path(sent, "sent", 1.5)
    out.path(landed, "landed", 2.5, stroke_linejoin="round")
    # At the right end: the sent ones above their line, the landed ones below theirs.
    out.text(RIGHT - 6, height(total) - 8, "%d sent" % len(frames.frames), 12, "dim", "end", True)
    text = "%d written by the device" % len(times)
    y = level(landed, RIGHT - 6 - labels.width(text, 12)) + 18
    out.text(RIGHT - 6, y if y < bottom - 4 else y - 26, text, 12, "landed", "end", True)
    return sent, landed


def level(points, x):
    """How low a rising curve runs at x."""
    return max([points[0][1]] if x <= points[0][0] else
               [y for at, y in points if at >= x] or [points[-1][1]])


def colour(frame, late):
    if frame.state == stream.LANDED:
        return "lost" if frame.seq in late else "landed"
    return "refused" if frame.state == stream.REFUSED else "lost"


def strip(out, axis, frames, top, height):
    """One stroke a frame at the time it was sent, in the colour of its fate.

    Strokes closer than pixels flow together, so that the eye sees colours and
    not an interference pattern of strokes and pixels.
    """
    late = {one.seq for one in frames.late()}
    shown = [(axis.x(one.sent), colour(one, late)) for one in frames.frames
             if axis.holds(one.sent) and one.state != stream.IN_FLIGHT]
    runs = []
    for (x, name), follower in zip(shown, [x for x, _ in shown[1:]] + [RIGHT]):
        end = follower if follower - x < 3 else x + 2.5
        if runs and runs[-1][2] == name and x - runs[-1][1] < 0.01:
            runs[-1][1] = end
        else:
            runs.append([x, end, name])
    # What went wrong comes last, so that no good frame covers it.
    for x, end, name in sorted(runs, key=lambda one: one[2] != "landed"):
        out.rect(x, top, max(end - x, 1.6), height, name)


def event(run, verdict):
    """(time, title, detail) of the moment to point at, None where there is none."""
    cause = verdict["cause"]
    zero = zero_name(run)
    if cause:
        return (cause["t"], "DMA %s %.1f ms after %s"
                % ("pauses" if cause["resumed"] else "stops", cause["after_freeze_ms"], zero),
                cause["text"])
    writes = verdict["config_writes"]["forbidden"]
    if writes:
        worst = next((one for one in writes if one["harm"]), writes[0])
        return (worst["t"], "Forbidden write %.1f ms after %s" % (worst["after_freeze_ms"], zero),
                " ".join(filter(None, (worst["text"], worst["harm"]))))
    timed = [one for one in verdict["faults"] if one["t"] is not None]
    if timed:
        first = timed[0]
        return (first["t"], "Fault %.1f ms after %s" % (run.since_freeze_ms(first["t"]), zero),
                shortened(first["text"], 560, 12))
    return None


def shortened(text, room, size):
    """As much of a text as fits."""
    most = int(room / labels.width("x", size))
    return text if len(text) <= most else text[:most - 1] + "\u2026"


def callout(out, axis, moment, curves, top, bottom):
    """A dashed line at an event, with its text where it covers no curve."""
    t, title, detail = moment
    x = axis.x(t)
    detail = detail.replace("<-", "\u2190")
    out.line(x, top, x, bottom + 44, "lost", 1.5, stroke_dasharray="4 3")
    room = max(labels.width(title, 13), labels.width(detail, 12)) * 0.92 + 16
    box = x + 10 if x + 10 + room < RIGHT else max(x - 10 - room, LEFT)
    sent, landed = curves
    y = top + 24
    if level(sent, box + room) < y + 52:
        y = min(level(landed, box) + 14, bottom - 50)
    out.rect(box, y, room, 44, "card", stroke="lost", rx=5)
    out.text(box + 9, y + 18, title, 13, "lost", None, True)
    out.text(box + 9, y + 35, detail, 12)


def badge(out, verdict):
    good = verdict["verdict"] == "PASS"
    width = labels.width(verdict["verdict"], 17) + 26
    out.rect(RIGHT - width, 22, width, 34, "landed" if good else "lost", rx=17)
    out.text(RIGHT - width / 2, 45, verdict["verdict"], 17, "card", "middle", True)


def legend(out, y, frames):
    entries = [("landed", "landed in time"), ("lost", "missing or late")]
    if frames.count(stream.REFUSED):
        entries.append(("refused", "refused: the device takes none and the queue is full"))
    x = LEFT
    for name, text in entries:
        out.rect(x, y - 9, 10, 10, name, rx=2)
        out.text(x + 16, y, text, 11, "dim")
        x += 16 + labels.width(text, 11) + 16


def zero_name(run):
    return "freeze" if "freeze" in run.marks else "the start"


def close_look(run, frames, verdict):
    """The window worth a magnifying glass, with its caption; None without any."""
    marks = run.marks
    lost = frames.bad()
    moment = event(run, verdict)
    if lost and not verdict["cause"]:
        return (lost[0].sent - 60 * MS, lost[0].sent + 90 * MS), "around the first one lost"
    if moment:
        what = "stop" if verdict["cause"] else "event"
        return (moment[0] - 60 * MS, moment[0] + 90 * MS), "around the " + what
    if "freeze" in marks and "kernel_gone" in marks:
        if marks.get("kernel_up", marks["kernel_gone"]) - marks["freeze"] < 250 * MS:
            end = marks.get("kernel_up", marks["kernel_gone"])
            return ((marks["freeze"] - 30 * MS, end + 30 * MS),
                    "from freeze to the first line of the new kernel")
        return ((marks["freeze"] - 30 * MS, marks["kernel_gone"] + 60 * MS),
                "while the old kernel shuts down")
    return None, None


def magnified(out, run, frames, verdict, look, top):
    window, caption = look
    axis = Axis(window[0], window[1], run.marks.get("freeze", frames.begin))
    bottom = top + 52
    out.text(LEFT, top - 10, "Each frame %s" % caption, 12, "ink", None, True)
    bands(out, axis, verdict, top, bottom)
    band_names(out, axis, verdict, top + 12)
    axis.ruler(out, top, bottom, MS, "milliseconds after " + zero_name(run))
    strip(out, axis, frames, top + 18, 26.0)
    moment = event(run, verdict)
    if moment and axis.holds(moment[0]):
        x = axis.x(moment[0])
        out.line(x, top - 4, x, bottom + 3, "lost", 1.5, stroke_dasharray="4 3")


def draw(run, frames, verdict):
    """The whole picture as an SVG document."""
    look = close_look(run, frames, verdict)
    # A reason that no moment in time explains stands in words above it all.
    words = verdict["verdict"] != "PASS" and not verdict["cause"]
    shift = 22 if words else 0
    height = HEIGHT + shift - (0 if look[0] else 128)
    out = svg.Canvas(WIDTH, height, "DMA across a live update: %s" % verdict["verdict"])
    out.rect(0.5, 0.5, WIDTH - 1, height - 1, "card", stroke="edge", rx=12)
    out.text(24, 42, "Frames a running device writes while its kernel is replaced", 20,
             "ink", None, True)
    out.text(24, 66, setting(run.meta), 13, "dim")
    out.text(24, 86, totals(verdict), 13, "dim")
    if words:
        out.text(24, 107, shortened(verdict["reasons"][0], RIGHT - 24, 13), 13, "lost", None, True)
    badge(out, verdict)
    axis = Axis(frames.begin, frames.end, run.marks.get("freeze", frames.begin))
    top, bottom = 172 + shift, 400 + shift
    bands(out, axis, verdict, top, bottom + 44)
    band_labels(out, axis, verdict, 118 + shift, top)
    axis.ruler(out, top, bottom + 44, 1000 * MS, "seconds after " + zero_name(run))
    curves = cumulative(out, axis, frames, top, bottom)
    strip(out, axis, frames, bottom + 12, 24.0)
    legend(out, bottom + 76, frames)
    moment = event(run, verdict)
    if moment:
        callout(out, axis, moment, curves, top, bottom)
    if look[0]:
        magnified(out, run, frames, verdict, look, bottom + 144)
    return out.document()
