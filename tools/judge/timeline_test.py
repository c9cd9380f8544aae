#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Tests of the picture, the page and the screen."""

import contextlib
import io
import os
import random
import re
import shutil
import sys
import tempfile
import unittest
from html.parser import HTMLParser
from unittest import mock
from xml.etree import ElementTree

import selftest_path  # pylint: disable=unused-import
import judge
import labels
import mutations
import recording
import rundir
import stream
import svg
import timeline
import timeline_svg
import timeline_text
from recording import FREEZE, MS

HERE = os.path.dirname(os.path.abspath(__file__))
RECORDINGS = os.path.join(HERE, "recordings")


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.data, self.open = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in ("meta", "rect", "line", "path"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, tag

    def handle_data(self, data):
        self.data.append(data)


def boxes(canvas):
    """(left, top, right, bottom, text) of every text of a picture."""
    for x, y, text, size, anchor in canvas.texts:
        width = labels.width(text, size)
        left = x - {None: 0, "middle": width / 2, "end": width}[anchor]
        yield left, y - size * 0.8, left + width, y + size * 0.25, text


def overlaps(canvas):
    found = sorted(boxes(canvas))
    return [(one[4], two[4]) for index, one in enumerate(found) for two in found[index + 1:]
            if two[0] < one[2] and one[0] < two[2] and two[1] < one[3] and one[1] < two[3]]


class Case(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="timeline-test-")
        self.addCleanup(shutil.rmtree, self.dir)
        self.out = os.path.join(self.dir, "out")

    def write(self, run):
        path = os.path.join(self.dir, "run")
        run.write(path)
        return path

    def draw(self, path):
        """(run, verdict, Canvas, SVG text) of a run directory."""
        canvases = []

        class Kept(svg.Canvas):
            def __init__(self, *args):
                super().__init__(*args)
                canvases.append(self)

        run = rundir.Run(path)
        verdict = judge.judge_run(run)
        with mock.patch.object(svg, "Canvas", Kept):
            text = timeline_svg.draw(run, stream.Stream(run), verdict)
        return run, verdict, canvases[0], text

    def runs(self):
        """Every recording, a passing run, and the shortest phases."""
        for name in sorted(os.listdir(RECORDINGS)):
            yield name, os.path.join(RECORDINGS, name)
        yield "passing", self.write(recording.passing(250))
        hasty = recording.passing(500)
        times = [FREEZE - 900 * MS] + [FREEZE + ms * MS
                                       for ms in (-2, 0, 1, 2, 3, 4, 5, 6, 8, 4000)]
        hasty.set_table("marks.csv", zip(times, recording.LIFE))
        yield "hasty", self.write(hasty)
        late = recording.passing(100)
        late.set_table("marks.csv", [(FREEZE + (ms if ms < 0 else 4700 + ms // 100) * MS, name)
                                     for name, ms in recording.LIFE.items()])
        yield "all at the end", self.write(late)
        silent = recording.passing()
        mutations.nothing_landed(silent)
        yield "nothing landed", self.write(silent)
        crashed = recording.passing()
        crashed.set_table("marks.csv", crashed.table("marks.csv")[:5])
        yield "crashed in boot", self.write(crashed)


class Picture(Case):
    def test_is_well_formed_and_complete(self):
        for name, path in self.runs():
            with self.subTest(name):
                _, verdict, _, text = self.draw(path)
                root = ElementTree.fromstring(text)
                texts = ["".join(one.itertext()) for one in root.iter() if one.tag.endswith("text")]
                for one in verdict["intervals"]:
                    self.assertIn(one["name"], texts)
                    self.assertIn(timeline_svg.duration(one["end"] - one["start"]), texts)
                self.assertIn(verdict["verdict"], texts)
                self.assertIn("%d sent" % verdict["total"]["sent"], texts)
                self.assertIn("%d written by the device" % verdict["total"]["landed"], texts)
                if verdict["cause"]:
                    self.assertIn(verdict["cause"]["text"].replace("<-", "\u2190"), texts)

    def test_no_text_covers_another_one_or_leaves(self):
        for name, path in self.runs():
            with self.subTest(name):
                canvas = self.draw(path)[2]
                self.assertEqual(overlaps(canvas), [])
                for left, top, right, bottom, text in boxes(canvas):
                    self.assertTrue(0 <= left and right <= canvas.width and 0 <= top and
                                    bottom <= canvas.height, text)

    def test_without_placing_the_labels_do_overlap(self):
        with mock.patch.object(labels, "place", lambda wishes, *_: wishes):
            found = [overlaps(self.draw(path)[2]) for _, path in self.runs()]
        self.assertTrue(any(found))

    def test_one_bad_frame_is_seen(self):
        run = recording.passing(500)
        mutations.one_frame_lost(run)
        _, verdict, _, text = self.draw(self.write(run))
        self.assertEqual(verdict["total"]["missing"], 1)
        clean = self.draw(self.write(recording.passing(500)))[3]
        stroke = re.compile(r'width="([\d.]+)" height="24" class="f-(\w+)"')
        self.assertEqual({colour for _, colour in stroke.findall(clean)}, {"landed"})
        found = [float(width) for width, colour in stroke.findall(text) if colour == "lost"]
        self.assertEqual(len(found), 1)
        self.assertGreater(found[0], 1.5)

    def test_colours_follow_the_page(self):
        text = self.draw(self.write(recording.passing()))[3]
        self.assertIn("prefers-color-scheme:dark", text)
        used = set(re.findall(r'class="(?:b )?[fs]-(\w+)', text))
        self.assertTrue(used <= set(svg.PALETTE), used)
        self.assertNotIn('fill="#', text)

    def test_the_zero_of_the_axis_is_freeze(self):
        axis = timeline_svg.Axis(-10, 30, 0)
        self.assertEqual(axis.x(-10), timeline_svg.LEFT)
        self.assertEqual(axis.x(30), timeline_svg.RIGHT)
        self.assertEqual(axis.x(10), (timeline_svg.LEFT + timeline_svg.RIGHT) / 2)


class Labels(unittest.TestCase):
    def test_random_labels(self):
        rng = random.Random(3)
        for _ in range(200):
            count = rng.randrange(1, 9)
            widths = [rng.uniform(20, 120) for _ in range(count)]
            wishes = sorted(rng.uniform(0, 1000) ** 2 / 1000 for _ in range(count))
            found = labels.place(wishes, widths, 0, 1000)
            edges = [(x - w / 2, x + w / 2) for x, w in zip(found, widths)]
            self.assertGreaterEqual(edges[0][0], -1e-6)
            self.assertLessEqual(edges[-1][1], 1000 + 1e-6)
            for left, right in zip(edges, edges[1:]):
                self.assertGreaterEqual(right[0] - left[1], -1e-6)

    def test_labels_with_room_stay(self):
        self.assertEqual(labels.place([100, 300, 500], [80, 80, 80], 0, 1000), [100, 300, 500])

    def test_neighbours_give_way_by_the_same(self):
        self.assertEqual(labels.place([100, 100], [50, 50], 0, 1000), [75, 125])

    def test_too_much_is_refused(self):
        with self.assertRaises(ValueError):
            labels.place([1, 2], [60, 60], 0, 100)

    def test_ticks_are_round_and_inside(self):
        self.assertEqual(labels.ticks(-1.2, 4.9, 8), [-1, 0, 1, 2, 3, 4])
        self.assertEqual(labels.ticks(0, 1837, 5), [0, 500, 1000, 1500])
        self.assertEqual(labels.ticks(0, 1, 3), [0, 0.5, 1])
        self.assertEqual(labels.ticks(2798, 2949, 12)[0], 2800)
        for span in (1e-3, 0.7, 3, 44, 1e6):
            self.assertTrue(2 <= len(labels.ticks(0, span, 12)) <= 13, span)


class Screen(Case):
    def lines(self, path):
        run = rundir.Run(path)
        verdict = judge.judge_run(run)
        return verdict, timeline_text.screen(run, verdict, judge.last_line(verdict))

    def test_ends_with_the_verdict(self):
        for name, path in self.runs():
            with self.subTest(name):
                verdict, lines = self.lines(path)
                self.assertEqual(lines[-1], judge.last_line(verdict))
                self.assertTrue(lines[-1] == "PASS" or lines[-1].startswith("NOT YET: "))

    def test_shows_each_phase_with_its_counts(self):
        for name, path in self.runs():
            with self.subTest(name):
                verdict, lines = self.lines(path)
                for one in verdict["intervals"]:
                    row = next(line for line in lines if line.startswith(one["name"] + " "))
                    counts = [one[key] for key in ("sent", "landed", "missing", "refused")]
                    self.assertIn(" ".join(map(str, counts)), " ".join(row.split()))
                self.assertTrue(all("\n" not in line for line in lines))

    def test_a_busy_host_is_told(self):
        run = recording.passing()
        self.assertNotIn("host", "".join(self.lines(self.write(run))[1]))
        run.meta["starved_ms"] = 7.5
        self.assertIn("host            let the machine wait 7.5 ms at most for a processor",
                      self.lines(self.write(run))[1])

    def test_the_cause_is_told(self):
        _, lines = self.lines(os.path.join(RECORDINGS, "stopped"))
        self.assertIn("what did it     +7.9 ms  igb 01:00.0 COMMAND @0x4 <- 0x103 clears bus"
                      " mastering", lines)
        self.assertIn("last landing    +7.8 ms", lines)
        silent = recording.passing()
        mutations.nothing_landed(silent)
        _, lines = self.lines(self.write(silent))
        self.assertTrue(any(line.startswith("what did it") for line in lines))
        self.assertFalse(any(line.startswith("last landing") for line in lines))
        _, lines = self.lines(self.write(recording.passing()))
        self.assertFalse(any(line.startswith("what did it") for line in lines))

    def entry_line(self, change):
        run = recording.passing()
        rows = run.table("entries.csv")
        run.set_table("entries.csv", change(rows))
        _, lines = self.lines(self.write(run))
        return next(line for line in lines if line.startswith("hardware entry"))[16:]

    def test_the_entries_are_told_once_each(self):
        def spoiled(value):
            return lambda rows: [row[:2] + ([value] if row[1] == "done" else row[2:3]) + row[3:]
                                 for row in rows]
        good = ("table 0x4d71000 domain 5 (from rx_on),"
                " then table 0x6a13000 domain 7 (from replaced)")
        self.assertEqual(self.entry_line(lambda rows: rows), good)
        self.assertEqual(self.entry_line(lambda rows: []), "never read")
        self.assertEqual(self.entry_line(spoiled("0")), good + ", then not present (from done)")
        self.assertEqual(self.entry_line(spoiled("")), good + ", then unreadable (from done)")

    def test_every_reason_is_shown(self):
        for name, path in self.runs():
            with self.subTest(name):
                verdict, lines = self.lines(path)
                for reason in verdict["reasons"]:
                    self.assertIn(reason, "\n".join(lines))


class Files(Case):
    def run_timeline(self, *args):
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = timeline.main(list(args))
        return status, out.getvalue().splitlines(), err.getvalue().splitlines()

    def test_writes_both(self):
        status, lines, err = self.run_timeline(self.write(recording.passing()), self.out)
        self.assertEqual((status, lines[-1], err), (0, "PASS", []))
        self.assertEqual(sorted(os.listdir(self.out)), ["index.html", "timeline.svg"])

    def test_page_needs_no_other_file(self):
        self.run_timeline(self.write(recording.passing()), self.out)
        with open(os.path.join(self.out, "index.html"), encoding="utf-8") as text:
            text = text.read()
        page = Page(text)
        self.assertEqual(page.open, [])
        self.assertFalse({"script", "link", "img", "iframe"} & set(page.tags))
        self.assertFalse({"src", "href"} & {name for name, _ in page.attributes})
        self.assertNotIn("url(", text)
        self.assertIn("PASS", page.data)

    def test_what_a_log_says_cannot_become_markup(self):
        run = recording.passing()
        run.add_console(run.mark("kernel_up") + MS,
                        "DMAR: [DMA Write <script>alert(1)</script> & \"more\"]")
        self.assertEqual(self.run_timeline(self.write(run), self.out)[0], 0)
        with open(os.path.join(self.out, "index.html"), encoding="utf-8") as text:
            page = Page(text.read())
        self.assertNotIn("script", page.tags)
        self.assertIn("<script>alert(1)</script>", "".join(page.data))
        ElementTree.parse(os.path.join(self.out, "timeline.svg"))

    def test_bad_input_and_bad_output_are_one_line(self):
        path = self.write(recording.passing())
        for args in ((os.path.join(self.dir, "nowhere"), self.out), (path, "/proc/nowhere")):
            status, lines, err = self.run_timeline(*args)
            self.assertEqual((status, lines, len(err)), (2, [], 1))


if __name__ == "__main__":
    sys.exit(unittest.main(verbosity=1))
