#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Finding, fetching, verifying and unpacking the base: every failure leaves nothing behind."""

import errno
import io
import os
import shutil
import subprocess
import unittest
import urllib.error
from unittest import mock

import base
import toy
import tree


class Answer(io.BytesIO):
    pass


class Bases(toy.Toy):
    def setUp(self):
        super().setUp()
        shutil.rmtree(os.path.join(self.root, "build"))
        os.makedirs(os.path.join(self.root, "build"))
        with open(os.path.join(self.cache, "toy.deb"), "rb") as file:
            self.data = file.read()
        self.saved = base.mirrors
        base.mirrors = lambda: ["http://mirror.invalid/debian"]

    def tearDown(self):
        base.mirrors = self.saved
        os.environ["KERNEL_CACHE"] = self.cache
        os.environ.pop("KERNEL_ORG_SHA256", None)
        super().tearDown()

    def left(self):
        found = []
        for folder, dirs, files in os.walk(os.path.join(self.root, "build")):
            found += [os.path.join(folder, f) for f in files]
        return found

    def fetch(self, opener):
        os.environ["KERNEL_CACHE"] = "/nowhere"
        shop = self.shop
        return self.run_quiet(base.fetch, shop.lock, shop.build, shop.root, opener)

    def fails(self, expected, opener):
        with self.assertRaises(base.Stop) as caught:
            self.fetch(opener)
        self.assertRegex(str(caught.exception), expected)
        self.assertEqual(self.left(), [])

    def test_download(self):
        seen = []
        path, _ = self.fetch(lambda url, timeout: seen.append(url) or Answer(self.data))
        self.assertEqual(path, os.path.join(self.root, "build/cache/toy.deb"))
        self.assertEqual(seen, ["http://mirror.invalid/debian/pool/toy.deb"])
        self.assertEqual(self.left(), [path])

    def test_own_cache_comes_first(self):
        path, _ = self.fetch(lambda url, timeout: Answer(self.data))
        os.environ["KERNEL_CACHE"] = self.cache
        self.assertEqual(self.run_quiet(base.fetch, self.shop.lock, self.shop.build, self.root)[0], path)

    def test_truncated_download(self):
        self.fails("truncated download: .* gave 100 of", lambda url, timeout: Answer(self.data[:100]))

    def test_wrong_sum_of_a_download(self):
        bad = self.data[:-1] + b"X"
        self.fails("wrong checksum: http.* has sha256", lambda url, timeout: Answer(bad))

    def test_wrong_sum_in_a_cache(self):
        size, sha, inner = self.pinned
        self.edit("patches/base.lock", sha, "0" * 64)
        self.stops("wrong checksum: .*toy.deb has sha256 %s, patches/base.lock says 0000" % sha,
                   tree.make, self.shop)
        self.assertEqual(self.left(), [])

    def test_wrong_inner_sum(self):
        self.edit("patches/base.lock", self.pinned[2], "0" * 64)
        self.stops("wrong checksum inside the package", tree.make, self.shop)
        self.assertFalse(os.path.exists(os.path.join(self.root, "build/linux")))
        self.assertEqual([d for d in os.listdir(os.path.join(self.root, "build")) if "linux" in d], [])

    def test_wrong_tree(self):
        self.edit("patches/base.lock", "[changed by", "tree = " + "0" * 40 + "\n\n[changed by")
        self.stops("the unpacked tree is .*, patches/base.lock says 0000", tree.make, self.shop)
        self.assertFalse(os.path.exists(os.path.join(self.root, "build/linux")))

    def test_no_network(self):
        def opener(url, timeout):
            raise urllib.error.URLError("Name or service not known")
        self.fails(r"(?s)no source of Linux 7.3.4 could be reached \(is there a network\?\).*KERNEL_CACHE", opener)
        self.assertIn("no answer: Name or service not known", self.out.getvalue())

    def test_not_on_the_mirror(self):
        def opener(url, timeout):
            raise urllib.error.HTTPError(url, 404, "Not Found", None, None)
        self.fails("not at http://mirror.invalid", opener)

    def test_connection_lost(self):
        class Lost(Answer):
            def read(self, count=-1):
                raise ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")
        self.fails("could be reached", lambda url, timeout: Lost(self.data))

    def test_no_space_for_the_download(self):
        class Full(Answer):
            def read(self, count=-1):
                raise OSError(errno.ENOSPC, "No space left on device")
        self.fails("no space left for .*toy.deb", lambda url, timeout: Full(self.data))

    def test_no_space_for_the_tree(self):
        saved = base.unpack

        def full(path, source, target):
            toy.put(os.path.join(target, "half"), "x")
            raise OSError(errno.ENOSPC, "No space left on device")
        base.unpack = full
        try:
            self.stops("no space left to unpack", tree.make, self.shop)
        finally:
            base.unpack = saved
        self.assertEqual([d for d in os.listdir(os.path.join(self.root, "build")) if "linux" in d], [])

    @unittest.skipUnless(os.geteuid() == 0 and shutil.which("mount"), "a full file system needs root")
    def test_no_space_on_a_real_file_system(self):
        build = os.path.join(self.root, "build")
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", build],
                          stderr=subprocess.DEVNULL).returncode:
            self.skipTest("no permission to mount a file system")
        try:
            self.stops("no space left|No space left", tree.make, self.shop)
            self.assertEqual([d for d in os.listdir(build) if "linux" in d], [])
        finally:
            subprocess.run(["umount", build], check=True)

    def test_interrupted_unpacking(self):
        def half(_path, _source, target):
            toy.put(os.path.join(target, "half"), "x")
            raise KeyboardInterrupt
        with mock.patch("base.unpack", half), self.assertRaises(KeyboardInterrupt):
            self.run_quiet(tree.make, self.shop)
        self.assertEqual([n for n in os.listdir(os.path.join(self.root, "build")) if n.startswith("linux")], [])

    def test_truncated_package(self):
        size, sha, inner = self.pinned
        cut = self.data[:len(self.data) // 2]
        folder = os.path.join(self.root, "cut")
        toy.put(os.path.join(folder, "toy.deb"), cut)
        os.environ["KERNEL_CACHE"] = folder
        self.stops(r"wrong checksum: .* \(%d bytes, expected %d\)" % (len(cut), size), tree.make, self.shop)
        self.edit("patches/base.lock", sha, base.digest(os.path.join(folder, "toy.deb"))[1])
        self.stops("cannot be unpacked|wrong checksum|has no", tree.make, self.shop)
        self.assertFalse(os.path.exists(os.path.join(self.root, "build/linux")))

    def test_source_without_a_sum_is_not_used(self):
        size, sha, inner = self.pinned
        self.edit("patches/base.lock", "sha256 = " + sha, "sha256 =")
        self.fails("is not tried: patches/base.lock has no sum", lambda url, timeout: Answer(self.data))
        os.environ["KERNEL_ORG_SHA256"] = "1" * 64
        self.fails("has sha256 %s, expected 1111" % sha, lambda url, timeout: Answer(self.data))
        os.environ["KERNEL_ORG_SHA256"] = sha
        self.assertTrue(self.fetch(lambda url, timeout: Answer(self.data))[0].endswith("toy.deb"))

    def test_tree_of_another_kernel(self):
        self.run_quiet(tree.make, self.shop)
        self.edit("patches/base.lock", "version = 7.3.4", "version = 7.3.9")
        self.stops("holds Linux 7.3.4 .*says Linux 7.3.9", tree.make, self.shop)

    def test_directory_in_the_way(self):
        os.makedirs(os.path.join(self.root, "build/linux"))
        self.stops("is not a tree that make tree made", tree.make, self.shop)

    def test_bad_lock(self):
        self.write("patches/base.lock", "no lock\n")
        self.stops("base.lock", lambda: self.shop)


if __name__ == "__main__":
    toy.main(__name__, "base")
