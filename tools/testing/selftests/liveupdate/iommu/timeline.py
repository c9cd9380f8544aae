#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Show a run of the yardstick: a screen, a picture and a page.

	timeline.py RUNDIR OUTDIR

Writes timeline.svg and index.html, which needs no other file, to OUTDIR. Prints
the phases with their lengths and counts; the last line is the verdict. Exit
status: 0 if the pictures are written, whatever the verdict, and 2 if the run
directory cannot be used or OUTDIR cannot be written.
"""

import argparse
import os
import sys
from html import escape

import judge
import rundir
import stream
import svg
import timeline_svg
import timeline_text


def page_style():
    """The picture's colours for the page around it."""
    def variables(index):
        return "".join("--%s:%s;" % (name, pair[index]) for name, pair in svg.PALETTE.items())
    return """:root{color-scheme:light dark;%s}
@media(prefers-color-scheme:dark){:root{%s}}
body{font:15px/1.5 %s;margin:0 auto;max-width:1200px;padding:24px 16px 48px;
background:var(--band);color:var(--ink)}
svg{width:100%%;height:auto;display:block}
h2{font-size:17px;margin:32px 0 8px}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%%;background:var(--card);font-variant-numeric:tabular-nums}
th,td{padding:6px 12px;text-align:right;border-bottom:1px solid var(--edge);white-space:nowrap}
th{color:var(--dim);font-weight:600}
th:first-child,td:first-child{text-align:left}
tbody tr:last-child td{font-weight:600;border-bottom:0}
.facts td{text-align:left;white-space:normal;font-weight:400}
.facts td:first-child{color:var(--dim);white-space:nowrap;width:9em}
.bad{color:var(--lost)}.verdict{font-weight:600;font-size:17px;margin:16px 0 0}
.pass{color:var(--landed)}.dim{color:var(--dim)}""" % (variables(0), variables(1), svg.FONT)


def cell(column, text):
    bad = timeline_text.COLUMNS[column] in ("missing", "refused") and text != "0"
    return "<td%s>%s</td>" % (' class="bad"' if bad else "", escape(text))


def page(run, verdict, picture):
    """A page of one file."""
    good = verdict["verdict"] == judge.PASS
    head = "".join("<th>%s</th>" % escape(name) for name in timeline_text.COLUMNS)
    rows = "\n".join("<tr>%s</tr>" % "".join(cell(index, text) for index, text in enumerate(row))
                     for row in timeline_text.phase_rows(run, verdict))
    facts = timeline_text.facts(run, verdict)
    facts += [("also", text) for text in timeline_text.other_reasons(verdict)]
    more = "\n".join("<tr><td>%s</td><td>%s</td></tr>" % (escape(name), escape(text))
                     for name, text in facts)
    return """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>DMA across a live update: %s</title>
<style>%s</style></head><body>
%s
<p class="verdict %s">%s</p>
<h2>Phases</h2>
<div class="scroll"><table><thead><tr>%s</tr></thead><tbody>
%s
</tbody></table></div>
<h2>Beside the frames</h2>
<table class="facts"><tbody>
%s
</tbody></table>
<p class="dim">%s</p>
</body></html>
""" % (verdict["verdict"], page_style(), picture, "pass" if good else "bad",
       escape(judge.last_line(verdict)), head, rows, more, escape(timeline_text.limits()))


def write(path, text):
    part = path + ".part"
    with open(part, "w", encoding="utf-8") as out:
        out.write(text)
    os.replace(part, path)


def show(run, outdir):
    """Write both files; returns the lines of the screen."""
    verdict = judge.judge_run(run)
    picture = timeline_svg.draw(run, stream.Stream(run), verdict)
    os.makedirs(outdir, exist_ok=True)
    write(os.path.join(outdir, "timeline.svg"), picture)
    write(os.path.join(outdir, "index.html"), page(run, verdict, picture))
    return timeline_text.screen(run, verdict, judge.last_line(verdict))


def main(argv):
    parser = argparse.ArgumentParser(description="Show a run of the yardstick.")
    parser.add_argument("rundir")
    parser.add_argument("outdir")
    args = parser.parse_args(argv)
    try:
        lines = show(rundir.Run(args.rundir), args.outdir)
    except judge.UnusableRun as error:
        print("timeline: %s" % error, file=sys.stderr)
        return 2
    except OSError as error:
        print("timeline: %s: %s" % (error.filename, error.strerror), file=sys.stderr)
        return 2
    print("\n".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
