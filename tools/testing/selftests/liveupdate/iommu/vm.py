# SPDX-License-Identifier: GPL-2.0
"""One QEMU run with two serial channels, timed line by line.

The first serial port is the console of the kernels, the second one carries the
results of the tests ("report"). Both are read while the guest runs, so that a
caller can react to a line, and every line gets the host's wall clock.
"""

import fcntl
import os
import re
import selectors
import shlex
import shutil
import signal
import subprocess
import time

QEMU = "qemu-system-x86_64"

# Both kernels scrub memory, so that a page which was given back while somebody
# still uses it is seen at once instead of working by luck. On a busy host the
# timer's ticks come too late for the kernel's check of its interrupt.
CMDLINE = ("console=ttyS0 earlyprintk=serial,ttyS0 printk.time=1 panic=-1 "
           "init_on_free=1 init_on_alloc=1 liveupdate=on kho=on "
           "kunit.enable=0 no_timer_check")

# A driver that is built in would be bound to the network device at boot, reset it,
# and change what is tested: only who asks for it has it.
NO_NATIVE_DRIVER = "initcall_blacklist=igb_init_module"

KVM_CREATE_VM = 0xae01
PIPE_BYTES = 1 << 20

# A kernel that panics reboots at once, which ends QEMU; early in its boot it cannot.
PANIC_WAIT_S = 20
PANIC = re.compile(r"Kernel panic - not syncing")

# Where a line of the console is the first line of a report of trouble. The
# stack dumps of fault injection have none of these headlines.
SPLATS = re.compile(
    r"Kernel panic - not syncing"
    r"|^(?:.*: )?BUG:? "
    r"|kernel BUG at "
    r"|^Oops\b|^(?:.*: )?Oops: "
    r"|^(?:.*: )?WARNING: "
    r"|^(?:.*: )?INFO: (?:rcu|task|possible|inconsistent|trying|lockdep|suspicious) ?"
    r"|^(?:.*: )?INFO: Slab "
    r"|^(?:general protection fault|double fault|stack segment|invalid opcode)\b"
    r"|kmemleak: \d+ new suspected memory leak"
    r"|kmemleak: .*(?:disabled|disabling)"
    r"|^UBSAN: |^KASAN: "
    r"|^unchecked MSR access error"
    r"|DEBUG_LOCKS_WARN_ON"
    r"|turning off the locking correctness validator")

# QEMU before 10.0.3 uses a map of the memory's regions that it has freed, if a
# region comes or goes at a bad moment, as it does with each change of a context
# entry and each reset of a device, while another thread runs a virtual CPU. It
# then aborts, or what the CPU writes to a device, its timer included, is lost.
# Nothing in the guest can be wrong in a way that makes QEMU say this.
FREED_MAP_MENDED = (10, 0, 3)
VERSION = re.compile(r"version (\d+)\.(\d+)\.(\d+)")
EMULATOR_BUG = re.compile(r"system/physmem\.c:\d+: iotlb_to_section: Assertion .* failed")
# A virtual CPU that idles for ever, because its timer does not fire, has been seen
# once in some hundred boots, on a busy host. The kernel tells it from a lock-up.
LOST_TIMER = re.compile(r"rcu:\s+Possible timer handling issue on cpu=")
# Two such ends in a row have not been seen.
ATTEMPTS = 3

# init's words for a test that did not end, the kernel's for what it shows then, and
# how much of that is worth being told.
STUCK = re.compile(r"^not ok .* # timed out after \d+ s$|^Bail out! .* cannot be killed$")
BLOCKED = "sysrq: Show Blocked State"
BLOCKED_LINES = 60

STAMP = re.compile(r"^\[ *\d+\.\d+\](?:\[ *[TC]\d+\])? ?")
NEW_KERNEL = re.compile(r"^Linux version \d")


def size(text):
    """The bytes of 512M or 1G."""
    match = re.fullmatch(r"(\d+)([MG])", text)
    if not match:
        raise ValueError("not a size in M or G: %r" % text)
    return int(match.group(1)) << {"M": 20, "G": 30}[match.group(2)]


def size_text(least, wanted):
    """The larger one of some bytes and a size, for QEMU."""
    return "%dM" % (max(least, size(wanted)) >> 20)


def add_arguments(parser):
    """What a configuration of the kernel asks of each machine, whatever runs in it."""
    parser.add_argument("--slow", type=int, default=1, help="multiply time limits by this")
    parser.add_argument("--least-mem", default=0, type=size, metavar="SIZE",
                        help="give the machine at least this much memory")
    parser.add_argument("--append", action="append", default=[], metavar="WORD",
                        help="additional kernel parameter")


def plain(line):
    """A console line without the kernel's time stamp."""
    return STAMP.sub("", line)


def problems(console):
    """What the console of either kernel tells of trouble, as readable lines.

    console: list of (t_ns, line)
    """
    found = []
    kernel = 0
    for _, line in console:
        text = plain(line)
        if NEW_KERNEL.match(text):
            kernel += 1
        elif SPLATS.search(text):
            found.append("kernel %d: %s" % (max(kernel, 1), text.strip()))
    return found


def stuck(result):
    """Where tasks that did not end in time are blocked, by the kernels' own word.

    init asks for that when a test's time is up, and again when it could not be killed.
    """
    if not result.timed_out and not any(STUCK.search(line) for _, line in result.report):
        return []
    lines = [line for _, line in result.console]
    begins = [at for at, line in enumerate(lines) if plain(line).startswith(BLOCKED)]
    found = []
    for begin, end in zip(begins, begins[1:] + [len(lines)]):
        found += ["    " + line for line in lines[begin:min(end, begin + BLOCKED_LINES)]]
    return found


def format_line(t_ns, line):
    return "%d.%09d %s" % (t_ns // 10**9, t_ns % 10**9, line)


def read_log(path):
    """The (t_ns, line) list of a console.log or report.log."""
    lines = []
    with open(path, encoding="utf-8", errors="replace") as log:
        for text in log:
            stamp, _, line = text.rstrip("\n").partition(" ")
            sec, _, nsec = stamp.partition(".")
            lines.append((int(sec) * 10**9 + int(nsec), line))
    return lines


def accelerator():
    """kvm only where the processor can and the device lets us, else tcg.

    A container may show /dev/kvm without the processor behind it; QEMU would
    then fail instead of falling back.
    """
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as info:
            if not re.search(r"^flags\s*:.*\b(vmx|svm)\b", info.read(), re.M):
                return "tcg"
        fd = os.open("/dev/kvm", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return "tcg"
    try:
        os.close(fcntl.ioctl(fd, KVM_CREATE_VM, 0))
        return "kvm"
    except OSError:
        return "tcg"
    finally:
        os.close(fd)


def uses_freed_map(version):
    """Whether a QEMU that says this of its version has the fault above."""
    match = VERSION.search(version)
    return not match or tuple(map(int, match.groups())) < FREED_MAP_MENDED


def qemu_version():
    done = subprocess.run([QEMU, "--version"], stdout=subprocess.PIPE, text=True, check=False)
    return done.stdout


class Channel:
    """Splits the bytes of one serial port into timed lines."""

    def __init__(self, name, path):
        self.name = name
        self.lines = []
        self.callbacks = []
        self.pending = b""
        self.started = 0
        # A pipe, not a socket: the port drops characters when the host is late,
        # and a socket is full after few hundred writes of one byte each.
        self.ours, self.theirs = os.pipe()
        fcntl.fcntl(self.theirs, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        self.log = open(path, "w", encoding="utf-8")

    def feed(self, data):
        now = time.time_ns()
        while data:
            if not self.pending:
                self.started = now
            head, newline, data = data.partition(b"\n")
            self.pending += head
            if newline:
                self.finish_line()

    def finish_line(self):
        line = self.pending.decode("utf-8", "replace").rstrip("\r")
        self.pending = b""
        self.lines.append((self.started, line))
        self.log.write(format_line(self.started, line) + "\n")
        self.log.flush()
        for callback in self.callbacks:
            callback(self.started, line)

    def close(self):
        if self.pending:
            self.finish_line()
        os.close(self.ours)
        self.log.close()


class VmResult:
    """How a run ended, and all that it said."""

    def __init__(self, status, timed_out, console, report, stderr, trouble):
        self.status = status
        self.timed_out = timed_out
        self.console = console
        self.report = report
        self.stderr = stderr
        self.problems = trouble

    def emulator_bug(self):
        """The line that shows a fault of QEMU's own, after which the run tells nothing."""
        if self.timed_out:
            return next((plain(line).strip() for _, line in self.console
                         if LOST_TIMER.search(line)), None)
        if self.status != -signal.SIGABRT:
            return None
        return next((line for line in self.stderr if EMULATOR_BUG.search(line)), None)


class Vm:
    """A q35 machine that runs a kernel with an initrd until it powers off."""

    def __init__(self, kernel, initrd, workdir, append="", qemu_args=(),
                 mem="1G", smp=2, timeout=300, ram_file=None, native_driver=False):
        self.kernel = kernel
        self.initrd = initrd
        self.workdir = workdir
        words = [CMDLINE, append] + ([] if native_driver else [NO_NATIVE_DRIVER])
        self.cmdline = " ".join(" ".join(words).split())
        self.qemu_args = list(qemu_args)
        self.mem = mem
        self.smp = smp
        self.timeout = timeout
        self.ram_file = ram_file
        self.accel = accelerator()
        self.callbacks = {"console": [self.hasten], "report": []}
        self.process = None
        self.deadline = self.waited = 0

    def on(self, channel, callback):
        """Call callback(t_ns, line) for every line of "console" or "report".

        It runs in the thread of run(); while it runs the guest may be stalled.
        """
        self.callbacks[channel].append(callback)

    def hasten(self, _t_ns, line):
        """After a panic, or when time stands still, nothing is left to wait for."""
        if PANIC.search(line) or LOST_TIMER.search(line):
            self.deadline = min(self.deadline, time.monotonic() + PANIC_WAIT_S)

    def command(self, console_fd, report_fd):
        """The command line of QEMU."""
        machine = "q35"
        memory = []
        if self.ram_file:
            machine += ",memory-backend=ram"
            memory = ["-object", "memory-backend-file,id=ram,size=%s,mem-path=%s,share=on"
                      % (self.mem, self.ram_file)]
        accel = ["-accel", "tcg"]
        # Regions come and go with devices only: without them each CPU gets its thread.
        if "-device" in self.qemu_args and uses_freed_map(qemu_version()):
            accel = ["-accel", "tcg,thread=single"]
        if self.accel == "kvm":
            # Interrupt remapping needs the split irqchip.
            accel = ["-accel", "kvm,kernel-irqchip=split", "-cpu", "host"]
        return ([QEMU] + memory + ["-machine", machine] + accel +
                ["-m", self.mem, "-smp", str(self.smp),
                 "-nodefaults", "-no-reboot", "-display", "none",
                 "-msg", "timestamp=on",
                 "-chardev", "file,id=console,path=/dev/fd/%d" % console_fd,
                 "-serial", "chardev:console",
                 "-chardev", "file,id=report,path=/dev/fd/%d" % report_fd,
                 "-serial", "chardev:report",
                 "-kernel", self.kernel, "-initrd", self.initrd,
                 "-append", self.cmdline] + self.qemu_args)

    def stop(self):
        """End the run early; run() then returns with QEMU's status."""
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def start(self, channels, stderr):
        fds = [channel.theirs for channel in channels]
        command = self.command(*fds)
        with open(os.path.join(self.workdir, "qemu.cmd"), "w", encoding="utf-8") as out:
            out.write("\n".join(command) + "\n")
        if os.environ.get("V") == "1":
            print("# + " + shlex.join(command), flush=True)
        # QEMU must not outlive us, even if we are killed.
        if shutil.which("setpriv"):
            command = ["setpriv", "--pdeathsig", "KILL", "--"] + command
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=stderr,
                                        stderr=stderr, pass_fds=fds)
        for channel in channels:
            os.close(channel.theirs)

    def pump(self, channels):
        """Read both ports until they are closed; True if time ran out."""
        start = time.monotonic()
        self.deadline = start + self.timeout
        selector = selectors.DefaultSelector()
        for channel in channels:
            selector.register(channel.ours, selectors.EVENT_READ, channel)
        with selector:
            while selector.get_map():
                left = self.deadline - time.monotonic()
                if left <= 0:
                    self.waited = time.monotonic() - start
                    return True
                for key, _ in selector.select(left):
                    data = os.read(key.fd, PIPE_BYTES)
                    if data:
                        key.data.feed(data)
                    else:
                        selector.unregister(key.fd)
        return False

    def finish(self):
        """QEMU's status. Its ports are closed: only its own clean-up is left."""
        try:
            return self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.stop()
            return self.process.returncode

    def run(self):
        """Boot and wait for the end."""
        os.makedirs(self.workdir, exist_ok=True)
        channels = [Channel(name, os.path.join(self.workdir, name + ".log"))
                    for name in ("console", "report")]
        for channel in channels:
            channel.callbacks = self.callbacks[channel.name]
        stderr_path = os.path.join(self.workdir, "qemu.stderr")
        timed_out = False
        status = None
        try:
            with open(stderr_path, "wb") as stderr:
                self.start(channels, stderr)
            timed_out = self.pump(channels)
            if timed_out:
                self.stop()
            status = self.finish()
        finally:
            self.stop()
            for channel in channels:
                channel.close()
        with open(stderr_path, encoding="utf-8", errors="replace") as log:
            stderr_text = log.read().splitlines()
        console, report = (channel.lines for channel in channels)
        trouble = self.judge(status, timed_out, console, stderr_text)
        return VmResult(status, timed_out, console, report, stderr_text, trouble)

    def judge(self, status, timed_out, console, stderr):
        """What went wrong below the level of tests."""
        trouble = []
        if timed_out:
            trouble.append("no end after %d s; last console lines:" % self.waited)
            trouble += ["    " + line for _, line in console[-5:]]
        elif status:
            how = ("killed by signal %d (%s)" % (-status, signal.Signals(-status).name)
                   if status < 0 else "exited with status %d" % status)
            trouble.append("QEMU %s%s" % (how, ": " + stderr[-1] if stderr else ""))
        return trouble + problems(console)
