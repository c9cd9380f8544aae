# SPDX-License-Identifier: GPL-2.0
"""Why a verdict that was not expected may be none of the guest's fault.

Such a run is done again, though not for ever: what the guest does wrong is there
in each run, what the host does to us is not.
"""

import cause as causes
import rundir
import stream

# A host that kept us waiting for this long can have made any of the faults.
STARVED_MS = 20
# The checks that ask for nothing but the time.
TIME_CHECKS = {"latency", "gap", "source"}


def source_gap_ms(path):
    """How long the frame source, which runs before all others, paused by itself."""
    try:
        start, stop = stream.Stream(rundir.Run(path)).longest_sender_gap()
    except (OSError, rundir.RunError):
        return 0
    return stream.ms(stop - start)


def of_host(starved_ms, gap_ms):
    """Whether the host kept the machine, or the source beside it, waiting."""
    if starved_ms >= STARVED_MS:
        return "the host let the machine wait for %.0f ms" % starved_ms
    if gap_ms >= STARVED_MS:
        return "the host let the frame source wait for %.0f ms" % gap_ms
    return None


def of_time(found, cause):
    """Whether each frame landed in its place, only not in time, and nothing tells why."""
    if not found or not {one["check"] for one in found} <= TIME_CHECKS:
        return None
    if cause and cause["what"] != causes.UNKNOWN:
        return None
    return "nothing is wrong but the time, and no event explains that"
