#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Keep a run of the yardstick as a recording for the tests of the judge.

	pack_recording.py RUNDIR NAME

Packs the files of RUNDIR to recordings/NAME and writes what the judge finds in it
today to expect.json. Read that file before it is committed: from then on it is
what has to be found.
"""

import argparse
import gzip
import json
import os
import sys

import selftest_path  # pylint: disable=unused-import
import judge
import recording
import rundir

HERE = os.path.dirname(os.path.abspath(__file__))


def pack(source, target):
    verdict = judge.judge(source)
    os.makedirs(target)
    for name in ["meta.json"] + list(recording.HEADERS) + list(recording.LOGS):
        data = rundir.load(source, name)[0].encode("utf-8")
        with open(os.path.join(target, name + ".gz"), "wb") as raw:
            # No name and no time: the same run gives the same file.
            with gzip.GzipFile("", "wb", 9, raw, 0) as out:
                out.write(data)
    expect = {"verdict": verdict["verdict"],
              "checks": sorted({one["check"] for one in verdict["findings"]}),
              "cause": (verdict["cause"] or {}).get("text")}
    with open(os.path.join(target, "expect.json"), "w", encoding="utf-8") as out:
        json.dump(expect, out, indent=1)
        out.write("\n")
    return expect


def main(argv):
    parser = argparse.ArgumentParser(description="Keep a run as a recording for tests.")
    parser.add_argument("rundir")
    parser.add_argument("name")
    args = parser.parse_args(argv)
    target = os.path.join(HERE, "recordings", args.name)
    try:
        print(json.dumps(pack(args.rundir, target), indent=1))
    except judge.UnusableRun as error:
        print("pack_recording: %s" % error, file=sys.stderr)
        return 2
    except OSError as error:
        print("pack_recording: %s: %s" % (error.filename, error.strerror), file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
