#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Tests of the frame_host program, with a file in place of a guest's memory and
this test in place of the device. Compiles the program with $CC.
"""

import errno
import mmap
import os
import socket
import struct
import shlex
import subprocess
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.join(HERE, "../testing/selftests/liveupdate/iommu/frame_host.c")

MAGIC = 0x6b65786563646d61
PAGE = 4096
PAGES = 4096
RING = 4096
RAM_SIZE = 32 << 20
# Pages of the area are every second one of the guest's, from the end down: an
# address that is taken for an offset in the area leads to the wrong place.
WATCHED_AT = 32


def place(page):
    return RAM_SIZE - (page + 1) * PAGE if page % 2 else RAM_SIZE // 2 - (page + 1) * PAGE


def setUpModule():
    Host.program_dir = tempfile.TemporaryDirectory()
    Host.program = os.path.join(Host.program_dir.name, "frame_host")
    subprocess.run(shlex.split(os.environ.get("CC", "cc")) +
                   ["-O2", "-Wall", "-Werror", "-pthread", "-o", Host.program, SOURCE],
                   check=True)


def tearDownModule():
    Host.program_dir.cleanup()


class Host(unittest.TestCase):
    """A running frame_host and the area that it is to watch."""

    FPS = 200
    # Bytes of memory, and where those are that the file has first of the area.
    SIZE, FIRST_ADDRESS, FIRST_OFFSET = RAM_SIZE, 0, 0
    program_dir = program = None

    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.dir = directory.name
        path = os.path.join(self.dir, "ram")
        with open(path, "wb") as ram:
            ram.truncate(self.SIZE)
        with open(path, "r+b") as ram:
            self.ram = mmap.mmap(ram.fileno(), RAM_SIZE, offset=self.FIRST_OFFSET)
        self.addCleanup(self.ram.close)
        self.device = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.device.close)
        self.device.settimeout(5)
        self.device.bind(os.path.join(self.dir, "q"))
        self.process = subprocess.Popen(
            [self.program, path, self.dir + "/q", self.dir + "/h", str(self.FPS), self.dir],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, universal_newlines=True, bufsize=1)
        self.addCleanup(self.process.stdout.close)
        self.addCleanup(self.process.stdin.close)
        self.addCleanup(self.process.wait)
        self.addCleanup(self.process.kill)
        self.assertRegex(self.process.stdout.readline(), "^ready")
        self.make_area()

    def make_area(self):
        table = [self.FIRST_ADDRESS + place(page) for page in range(PAGES)]
        for index in range(PAGES):
            self.put(PAGE + 8 * index, struct.pack("<Q", table[index]))
        # magic, iova, given, reaped, watched, where the table is
        self.put(0, struct.pack("<5Q8Q", MAGIC, 0x4000000000, RING - 1, 0, 0, *table[1:9]))

    def address(self, offset):
        return place(offset // PAGE) + offset % PAGE

    def put(self, offset, data):
        start = self.address(offset)
        self.ram[start:start + len(data)] = data

    def tell(self, command):
        self.process.stdin.write(command + "\n")
        return self.process.stdout.readline().strip()

    def watch(self):
        header = self.FIRST_ADDRESS + place(0)
        self.assertEqual(self.tell("watch %#x" % header), "watch %#x: ok" % header)

    def land(self, number, frame, length=64):
        """What the device does with a frame."""
        self.put((1 << 20) + number % RING * 2048, frame)
        descriptor = (64 << 10) + number % RING * 16
        self.put(descriptor + 12, struct.pack("<H", length))
        self.put(descriptor + 8, struct.pack("<I", 3))

    def watched(self):
        start = self.address(WATCHED_AT)
        return struct.unpack("<Q", self.ram[start:start + 8])[0]

    def wait_watched(self, count):
        limit = time.monotonic() + 5
        while self.watched() < count:
            self.assertLess(time.monotonic(), limit, "descriptor %d was not seen" % count)
            time.sleep(0.001)

    def quit(self):
        self.assertRegex(self.tell("quit"), "^quit: sent=")
        self.assertEqual(self.process.wait(5), 0)

    def rows(self, name):
        with open(os.path.join(self.dir, name), encoding="ascii") as text:
            return [tuple(int(field) for field in line.split(","))
                    for line in text.read().splitlines()[1:]]


class Sending(Host):
    def test_numbers_and_times(self):
        before = time.time_ns()
        self.assertEqual(self.tell("start"), "start: ok")
        frames = [self.device.recv(2048) for _ in range(10)]
        self.assertEqual(self.tell("stop"), "stop: ok")
        self.quit()
        sent = self.rows("sent.csv")
        for number, frame in enumerate(frames):
            self.assertEqual(len(frame), 64)
            self.assertEqual(frame[12:14], b"\x88\xb5")
            seq, _, t_ns = struct.unpack_from("<3Q", frame, 16)
            self.assertEqual((seq, t_ns, 0), sent[number])
            self.assertEqual(seq, number)
            self.assertTrue(before < t_ns < time.time_ns())

    def test_silent_until_start_and_after_stop(self):
        time.sleep(0.1)
        self.quit()
        self.assertEqual(self.rows("sent.csv"), [])

    def test_device_that_takes_nothing_is_refused(self):
        self.tell("start")
        time.sleep(0.3)
        self.tell("stop")
        self.quit()
        errors = [err for _, _, err in self.rows("sent.csv")]
        self.assertEqual(set(errors), {0, errno.EAGAIN})
        self.assertLess(errors.count(0), 20)

    def test_survives_the_device(self):
        self.tell("start")
        self.device.recv(2048)
        self.device.close()
        time.sleep(0.1)
        self.tell("stop")
        self.quit()
        self.assertIn(self.rows("sent.csv")[-1][2], (errno.ECONNREFUSED, errno.ENOTCONN))

    def test_end_of_input_is_quit(self):
        self.tell("start")
        self.device.recv(2048)
        self.process.stdin.close()
        self.assertEqual(self.process.wait(5), 0)
        self.assertTrue(self.rows("sent.csv"))


class MuchMemory(Host):
    """Some of it is above 4 GiB, and the file has no hole before that."""

    SIZE, FIRST_ADDRESS, FIRST_OFFSET = 3 << 30, 4 << 30, 2 << 30

    def test_landing_above_the_hole(self):
        self.watch()
        self.tell("start")
        frame = self.device.recv(2048)
        self.tell("stop")
        self.land(0, frame)
        self.wait_watched(1)
        self.quit()

    def test_no_memory_in_the_hole(self):
        for address in (2 << 30, (4 << 30) - PAGE, 5 << 30):
            self.assertRegex(self.tell("watch %#x" % address), "outside of the guest's memory")
        self.quit()


class Watching(Host):
    def frames(self, count):
        self.tell("start")
        frames = [self.device.recv(2048) for _ in range(count)]
        self.tell("stop")
        return frames

    def test_landings(self):
        self.watch()
        frames = self.frames(5)
        for number, frame in enumerate(frames):
            self.land(number, frame)
            self.wait_watched(number + 1)
        self.quit()
        self.assertEqual([(desc, seq, ok) for desc, seq, _, ok in self.rows("landed.csv")],
                         [(n, n, 1) for n in range(5)])

    def test_what_is_no_good_frame(self):
        self.watch()
        frames = self.frames(5)
        frames[0] = bytes(64)
        frames[1] = frames[1][:63] + b"?"
        frames[2] = frames[2][:32] + struct.pack("<Q", 1) + frames[2][40:]
        for number, frame in enumerate(frames[:4]):
            self.land(number, frame, length=60 if number == 3 else 64)
        self.land(4, frames[4])
        self.wait_watched(5)
        self.quit()
        self.assertEqual([(seq, ok) for _, seq, _, ok in self.rows("landed.csv")],
                         [(-1, 0), (1, 0), (2, 0), (3, 0), (4, 1)])

    def test_skipped_descriptor_does_not_hide_the_next(self):
        self.watch()
        frames = self.frames(2)
        self.land(1, frames[0])
        time.sleep(0.05)
        self.assertEqual(self.watched(), 0)
        self.land(0, frames[1])
        self.wait_watched(2)
        self.quit()
        self.assertEqual([row[:2] for row in self.rows("landed.csv")], [(1, 0), (0, 1)])

    def test_refilled_ring(self):
        self.watch()
        frame, = self.frames(1)
        for number in range(RING - 1):
            self.land(number, frame)
        self.wait_watched(RING - 1)
        # Descriptor RING - 1 is not the device's yet, whatever it holds.
        self.land(RING - 1, frame)
        time.sleep(0.05)
        self.assertEqual(self.watched(), RING - 1)
        self.put((64 << 10) + 8, struct.pack("<I", 0))
        self.put(16, struct.pack("<Q", RING + 1))
        self.wait_watched(RING)
        self.assertEqual(self.watched(), RING)
        self.land(RING, frame)
        self.wait_watched(RING + 1)
        self.quit()
        self.assertEqual(self.rows("landed.csv")[-1][0], RING)

    def test_frame_that_was_never_sent(self):
        self.watch()
        frame, = self.frames(1)
        mask = 2**64 - 1
        seq, magic, t_ns = struct.unpack_from("<3Q", frame, 16)
        for number, (seq, t_ns) in enumerate(((seq, t_ns), (seq, t_ns + 1), (seq + 7, t_ns),
                                              (2**40, t_ns))):
            forged = frame[:16] + struct.pack("<6Q", seq, magic, t_ns, ~seq & mask, ~t_ns & mask,
                                              seq ^ t_ns ^ magic)
            self.land(number, forged)
        self.wait_watched(4)
        self.quit()
        self.assertEqual([row[3] for row in self.rows("landed.csv")], [1, 0, 0, 0])

    def test_area_that_is_cleared(self):
        self.watch()
        frames = self.frames(2)
        self.land(0, frames[0])
        self.wait_watched(1)
        # Memory that the guest may use for other things: not to be written.
        self.put(0, bytes(16) + struct.pack("<Q", RING - 1) + bytes(16))
        self.land(1, frames[1])
        time.sleep(0.05)
        self.assertEqual(self.watched(), 0)
        self.quit()
        self.assertEqual(len(self.rows("landed.csv")), 1)

    def test_no_area(self):
        for address in (RAM_SIZE, 2**64 - PAGE, 8, 0):
            self.assertNotRegex(self.tell("watch %#x" % address), ": ok$")
        self.quit()

    def test_wrong_tables(self):
        self.put(PAGE + 8 * 700, struct.pack("<Q", RAM_SIZE))
        self.assertRegex(self.tell("watch %#x" % place(0)), "page outside")
        self.make_area()
        self.put(40 + 8 * 3, struct.pack("<Q", 12))
        self.assertRegex(self.tell("watch %#x" % place(0)), "table outside")
        self.make_area()
        self.put(PAGE, struct.pack("<Q", place(5)))
        self.assertRegex(self.tell("watch %#x" % place(0)), "does not belong")
        self.quit()

    def test_unknown_command(self):
        self.assertRegex(self.tell("dance"), "unknown command")
        self.quit()


if __name__ == "__main__":
    unittest.main()
