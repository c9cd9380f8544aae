// SPDX-License-Identifier: GPL-2.0
/*
 * PID 1 of the test machine: runs a list of tests and reports them as KTAP.
 *
 * Kernel parameters:
 *	vmtest.list=FILE	list of the tests
 *	vmtest.args=A,B,...	arguments added to those of each test
 *	vmtest.slow=N		factor for the time limits of the list
 *	vmtest.vfio=BDF,...	PCI functions to be bound to vfio-pci first
 *	vmtest.next=A+B+...	parameters added to those of the kernel after the kexec
 *	vmtest.stage=2		set by ourselves for the kernel after the kexec
 *
 * A line of the list is "name|timeout in s|once|argv" or "name|timeout in
 * s|kexec|argv"; lines starting with # are for the host. A test of kind once
 * just runs. A test of kind kexec, which must be the last one, runs with "-s 1"
 * in this kernel and, after a kexec into the same build, with "-s 2" in the
 * next one, which gives the verdict. The exit code of a test decides: 0 passes,
 * 4 skips, all else fails. Its output is passed on with "# " before each line,
 * messages of our own start with "init: ".
 */
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "init.h"

#define KERNEL_IMAGE "/kernel"
#define INITRD_IMAGE "/initrd.img"
#define KMEMLEAK "/sys/kernel/debug/kmemleak"

#define EXIT_SKIP 4

/* What a killed test gets to disappear before it counts as stuck. */
#define KILL_TIMEOUT_S 10
/* What the console gets to print where it is stuck. */
#define CONSOLE_S 1
/* kmemleak leaves objects alone that are younger than 5 s. */
#define KMEMLEAK_AGE_S 6

static noreturn void power_off(void)
{
	report_drain();
	sync();
	reboot(RB_POWER_OFF);
	_exit(1);
}

/* There is no way to go on: tell why and end the machine. */
noreturn void __printf(1, 2) bail_out(const char *fmt, ...)
{
	char why[256];
	va_list args;

	va_start(args, fmt);
	vsnprintf(why, sizeof(why), fmt, args);
	va_end(args);

	if (report_fd >= 0)
		report("Bail out! %s", why);
	else
		fprintf(stderr, "init: %s\n", why);
	power_off();
}

static void mount_one(const char *type, const char *dir, bool needed)
{
	mkdir(dir, 0755);
	if (mount(type, dir, type, 0, NULL) && needed)
		bail_out("cannot mount %s: %s", type, strerror(errno));
}

static void mount_all(void)
{
	mount_one("devtmpfs", "/dev", true);
	mount_one("tmpfs", "/dev/shm", true);
	mount_one("proc", "/proc", true);
	mount_one("sysfs", "/sys", true);
	mount_one("tmpfs", "/tmp", true);
	mount_one("debugfs", "/sys/kernel/debug", false);
	mount_one("cgroup2", "/sys/fs/cgroup", false);
	mount_one("hugetlbfs", "/dev/hugepages", false);
}

static void bind_vfio(void)
{
	char *list = parameter("vmtest.vfio");
	char path[128];
	char *bdf;

	if (!list)
		return;
	for (bdf = strtok(list, ","); bdf; bdf = strtok(NULL, ",")) {
		snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/driver_override", bdf);
		if (write_file(path, "vfio-pci"))
			bail_out("%s: %s", path, strerror(errno));
		/* Fails if there is no driver yet, which is the usual case. */
		snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/driver/unbind", bdf);
		write_file(path, bdf);
		if (write_file("/sys/bus/pci/drivers_probe", bdf))
			bail_out("drivers_probe: %s: %s", bdf, strerror(errno));
		snprintf(path, sizeof(path), "/sys/bus/pci/drivers/vfio-pci/%s", bdf);
		if (access(path, F_OK))
			bail_out("%s was not bound to vfio-pci", bdf);
	}
	free(list);
}

/* Pass on what a test wrote, line by line. */
struct output {
	char line[REPORT_LINE_MAX - 8];
	size_t len;
};

static void flush_line(struct output *out)
{
	report("# %.*s", (int)out->len, out->line);
	out->len = 0;
}

static void pass_on(struct output *out, const char *data, size_t len)
{
	for (; len; data++, len--) {
		if (*data == '\n' || out->len == sizeof(out->line))
			flush_line(out);
		/* A NUL byte would end the line for report(). */
		if (*data != '\n')
			out->line[out->len++] = *data ? *data : '?';
	}
}

/* Read what there is; false at the end of the file or if nothing came. */
static bool read_output(int fd, struct output *out, int wait_ms)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	char data[4096];
	ssize_t got;

	if (poll(&pfd, 1, wait_ms) <= 0)
		return false;
	got = read(fd, data, sizeof(data));
	if (got > 0)
		pass_on(out, data, got);
	return got > 0;
}

static time_t now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

static pid_t spawn(struct test *test, int out)
{
	static char *const env[] = {
		"PATH=/tests", "HOME=/tmp", "TMPDIR=/tmp", NULL
	};
	pid_t pid = fork();

	if (pid)
		return pid;
	setsid();
	dup2(open("/dev/null", O_RDONLY), STDIN_FILENO);
	dup2(out, STDOUT_FILENO);
	dup2(out, STDERR_FILENO);
	if (chdir("/tmp"))
		_exit(126);
	execve(test->argv[0], test->argv, env);
	fprintf(stderr, "cannot execute %s: %s\n", test->argv[0], strerror(errno));
	_exit(127);
}

/* Reap all that died; true if pid is among them. */
static bool reap(pid_t pid, int *status)
{
	bool found = false;
	pid_t dead;
	int code;

	while ((dead = waitpid(-1, &code, WNOHANG)) > 0) {
		if (dead == pid) {
			*status = code;
			found = true;
		}
	}
	return found;
}

/*
 * Tests make process groups of their own, so take all processes there are; PID 1
 * does not hit itself. A test that follows must find devices closed, so wait for
 * the last one to be gone. False if one stays.
 */
static bool kill_all(void)
{
	time_t limit = now_s() + KILL_TIMEOUT_S;
	pid_t dead;

	kill(-1, SIGKILL);
	while ((dead = waitpid(-1, NULL, WNOHANG)) >= 0) {
		if (now_s() >= limit)
			return false;
		if (!dead)
			usleep(5000);
	}
	return true;
}

/*
 * Nothing ends a test that is stuck in the kernel, and the shutdown of a device
 * would wait for the lock that it holds there: the machine is reset.
 */
static noreturn void end_stuck(const struct test *test)
{
	write_file("/proc/sysrq-trigger", "w");
	report("Bail out! %s cannot be killed", test->name);
	report_drain();
	sleep(CONSOLE_S);
	write_file("/proc/sysrq-trigger", "b");
	power_off();
}

/*
 * Run one test to its end. Processes that it leaves behind are killed, unless
 * they are there to hold on to something until the kexec.
 *
 * Return: its wait status, or -1 if it had to be killed for its time being up.
 */
static int run(struct test *test, int stage)
{
	struct output out = { .len = 0 };
	time_t limit = now_s() + test->timeout_s;
	bool late = false, stuck;
	int status = 0;
	int pipes[2];
	pid_t pid;

	if (pipe2(pipes, O_CLOEXEC))
		bail_out("pipe: %s", strerror(errno));
	if (test->kexec) {
		test->argv[test->argc] = "-s";
		test->argv[test->argc + 1] = stage == 1 ? "1" : "2";
	}
	report("init: start %s stage %d", test->name, stage);
	pid = spawn(test, pipes[1]);
	close(pipes[1]);
	if (pid < 0)
		bail_out("fork: %s", strerror(errno));

	while (!reap(pid, &status)) {
		/* Not a busy loop if the test closes its output early. */
		if (!read_output(pipes[0], &out, 20))
			usleep(5000);
		late = now_s() >= limit;
		if (late)
			break;
	}
	/* The console then shows where the test is stuck in the kernel. */
	if (late)
		write_file("/proc/sysrq-trigger", "w");
	stuck = (late || !test->kexec || stage == 2) && !kill_all();
	while (read_output(pipes[0], &out, 0))
		;
	if (out.len)
		flush_line(&out);
	close(pipes[0]);
	if (stuck)
		end_stuck(test);
	return late ? -1 : status;
}

static void report_result(struct test *test, int status, const char *failure)
{
	int number = test - tests + 1;

	if (failure)
		report("not ok %d %s # %s", number, test->name, failure);
	else if (status == -1)
		report("not ok %d %s # timed out after %d s", number, test->name,
		       test->timeout_s);
	else if (WIFSIGNALED(status))
		report("not ok %d %s # killed by signal %d", number, test->name,
		       WTERMSIG(status));
	else if (WEXITSTATUS(status) == EXIT_SKIP)
		report("ok %d %s # SKIP the test skipped itself", number, test->name);
	else if (WEXITSTATUS(status))
		report("not ok %d %s # exit status %d", number, test->name,
		       WEXITSTATUS(status));
	else
		report("ok %d %s", number, test->name);
}

static const char *load_next_kernel(void)
{
	static char next[COMMAND_LINE_SIZE];
	char *more = parameter("vmtest.next"), *plus;
	int kernel, initrd, len;
	long err;

	while (more && (plus = strchr(more, '+')))
		*plus = ' ';
	len = snprintf(next, sizeof(next), "%s %s vmtest.stage=2", cmdline,
		       more ?: "");
	if (len >= (int)sizeof(next))
		return "no room on the command line for the stage";

	kernel = open(KERNEL_IMAGE, O_RDONLY | O_CLOEXEC);
	initrd = open(INITRD_IMAGE, O_RDONLY | O_CLOEXEC);
	if (kernel < 0 || initrd < 0)
		return "no " KERNEL_IMAGE " or no " INITRD_IMAGE;

	err = syscall(__NR_kexec_file_load, kernel, initrd, strlen(next) + 1, next, 0UL);
	close(kernel);
	close(initrd);
	return err ? "kexec_file_load failed" : NULL;
}

/* Report what the kernel allocated and nothing points to any more. */
static void look_for_leaks(void)
{
	char *text, *line, *rest;
	size_t size = 1 << 20;

	if (access(KMEMLEAK, F_OK))
		return;
	/* The first scan sees what is there, the second one what stayed. */
	write_file(KMEMLEAK, "scan");
	sleep(KMEMLEAK_AGE_S);
	if (write_file(KMEMLEAK, "scan"))
		report("init: kmemleak: %s", strerror(errno));
	text = calloc(1, size);
	if (text && !read_file(KMEMLEAK, text, size))
		for (rest = text; (line = strsep(&rest, "\n")) && *line;)
			report("init: kmemleak: %s", line);
	free(text);
}

static void run_kexec(struct test *test)
{
	const char *failure = load_next_kernel();
	int status;

	if (failure) {
		report_result(test, 0, failure);
		return;
	}
	status = run(test, 1);
	if (status) {
		report_result(test, status, NULL);
		return;
	}
	look_for_leaks();
	report("init: kexec");
	report_drain();
	reboot(RB_KEXEC);
	report("init: reboot: %s", strerror(errno));
	report_result(test, 0, "the kernel refused the kexec");
}

int main(void)
{
	struct test *test;
	char *stage;

	mount_all();
	if (report_open())
		bail_out("cannot open %s: %s", REPORT_DEVICE, strerror(errno));
	read_cmdline();
	read_list();

	stage = parameter("vmtest.stage");
	report("init: stage %s", stage ? stage : "1");
	if (stage) {
		test = &tests[nr_tests - 1];
		report_result(test, run(test, 2), NULL);
	} else {
		report("KTAP version 1");
		report("1..%d", nr_tests);
		bind_vfio();
		for (test = tests; test < tests + nr_tests; test++) {
			if (test->kexec)
				run_kexec(test);
			else
				report_result(test, run(test, 1), NULL);
		}
	}
	look_for_leaks();
	report("init: done");
	power_off();
}
