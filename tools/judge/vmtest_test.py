#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""vmtest.sh up to the first boot, in a kernel tree of which only the runner is real.

make and QEMU are played by small scripts.
"""

import os
import re
import shutil
import stat
import subprocess
import tempfile
import textwrap
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
SELFTESTS = os.path.join(HERE, "../testing/selftests")
PLACE = "tools/testing/selftests/liveupdate/iommu"
KTAP = "tools/testing/selftests/kselftest/ktap_helpers.sh"
TREE = os.path.join(os.environ.get("BUILD") or os.path.join(HERE, "../../build"), "linux")

# Leaves what vmtest.sh looks for, and says what it was asked.
MAKE = r"""
    #!/bin/bash
    for word in "$@"; do
        case $word in
        O=*) out=${word#O=} ;;
        V=*) echo "  gcc -c kernel.c, as kbuild tells with $word" ;;
        esac
    done
    echo "make is done"
    mkdir -p "$out/usr" "$out/arch/x86/boot" "$out/kselftest/liveupdate/iommu"
    touch "$out/arch/x86/boot/bzImage"
    for program in init memfd_pin; do
        cp /bin/true "$out/kselftest/liveupdate/iommu/$program"
    done
    printf '#!/bin/sh\necho cpio\n' > "$out/usr/gen_init_cpio"
    chmod +x "$out/usr/gen_init_cpio"
"""
QEMU = r"""
    #!/bin/sh
    echo "qemu: $*" >&2
    exit 3
"""


class Vmtest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="vmtest-")
        self.tree = os.path.join(self.folder.name, "linux")
        self.out = os.path.join(self.folder.name, "out")
        self.logs = os.path.join(self.folder.name, "logs")
        shutil.copytree(os.path.join(HERE, "../..", PLACE), os.path.join(self.tree, PLACE))
        os.makedirs(os.path.dirname(os.path.join(self.tree, KTAP)))
        shutil.copy(os.path.join(TREE, KTAP), os.path.join(self.tree, KTAP))
        self.script("make", MAKE)
        self.script("qemu-system-x86_64", QEMU)

    def tearDown(self):
        self.folder.cleanup()

    def script(self, name, text):
        path = os.path.join(self.folder.name, "bin", name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="ascii") as file:
            file.write(textwrap.dedent(text).lstrip())
        os.chmod(path, stat.S_IRWXU)

    def vmtest(self, *args, **env):
        """(status, output)"""
        run = subprocess.run(
            [os.path.join(self.tree, PLACE, "vmtest.sh"), "-d", self.out, "-w", self.logs, *args],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
            env=dict(os.environ, PATH=os.path.join(self.folder.name, "bin") + ":" + os.environ["PATH"], **env))
        return run.returncode, run.stdout

    def test_quiet(self):
        status, said = self.vmtest("-T", "memfd_pin", V="0")
        self.assertEqual(status, 1, said)
        self.assertIn("QEMU exited with status 3", said)
        self.assertNotIn("# + ", said)
        self.assertNotIn("V=1", said)
        self.assertNotIn("make is done", said)

    def qemu(self, *args):
        """The words that QEMU was started with."""
        _, said = self.vmtest(*args, V="0")
        line = re.search(r"(?m)^    # QEMU exited with status 3: qemu: (.*)$", said)
        self.assertTrue(line, said)
        return line.group(1).split()

    def test_a_configuration_asks_more_of_the_machine(self):
        words = self.qemu("-T", "memfd_pin")
        self.assertEqual(words[words.index("-m") + 1], "1024M")
        self.assertIn("vmtest.slow=1", words)
        self.assertFalse([w for w in words if w.startswith("kho_scratch=")])
        words = self.qemu("-c", "debug", "-T", "memfd_pin")
        self.assertEqual(words[words.index("-m") + 1], "2048M")
        self.assertIn("vmtest.slow=8", words)
        self.assertIn("kho_scratch=32M,512M,256M", words)

    def planned(self, *args):
        """The lists that a call runs."""
        _, said = self.vmtest(*args, V="0")
        return set(re.findall(r"(?m)^# running (\S+)$", said))

    def test_what_runs_without_being_named(self):
        tests = os.path.join(self.tree, PLACE, "tests")
        shutil.rmtree(tests)
        os.mkdir(tests)
        for name, line in (("usual", ""), ("slow", "#vm default=long\n"), ("apart", "#vm default=no\n"),
                           ("other", "#vm default=long\n#vm needs=CONFIG_NONE\n")):
            with open(os.path.join(tests, name + ".list"), "w", encoding="ascii") as file:
                file.write(line + "memfd_pin|1|once|/tests/memfd_pin\n")
        self.assertEqual(self.planned(), {"usual"})
        self.assertEqual(self.planned("-T", "apart,slow"), {"apart", "slow"})
        self.assertEqual(self.planned("-T", "long"), {"slow"})
        _, said = self.vmtest("-T", "long", V="0")
        self.assertRegex(said, r"(?m)^ok \d+ other # SKIP")

    def test_verbose_prints_the_commands(self):
        status, said = self.vmtest("-T", "memfd_pin", V="1")
        self.assertEqual(status, 1, said)
        for goal in ("'olddefconfig'", "'bzImage' 'modules' 'headers'", "'FORCE_TARGETS=1'"):
            self.assertRegex(said, "(?m)^# [+] 'make' .*%s" % goal)
        self.assertEqual(said.count("as kbuild tells with V=1"), 3, said)
        self.assertRegex(said, r"(?m)^    # [+] python3 \S+/run_list.py .*--list \S+/memfd_pin.list")
        self.assertRegex(said, r"(?m)^    # [+] \S*qemu-system-x86_64 -machine q35 ")
        # All that is told must be a comment of KTAP or its results.
        wild = [l for l in said.split("\n") if l and not l.lstrip().startswith(
            ("#", "ok ", "not ok ", "TAP version", "KTAP version", "1.."))]
        self.assertEqual(wild, [])


if __name__ == "__main__":
    unittest.main()
