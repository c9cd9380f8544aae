// SPDX-License-Identifier: GPL-2.0
/*
 * A test program that behaves as its first argument says: mostly badly, to show
 * that the runner notices. "-s 2" at the end tells that a kexec was before.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/reboot.h>
#include <unistd.h>

/* QEMU's isa-debug-exit device, which ends it with status 2 * value + 1. */
#define EXIT_PORT 0xf4

static int write_to(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	if (fd < 0 || write(fd, text, strlen(text)) < 0) {
		perror(path);
		return 1;
	}
	return 0;
}

static int tap(const char *lines)
{
	printf("TAP version 13\n%s", lines);
	return 0;
}

int main(int argc, char *argv[])
{
	const char *what = argc > 1 ? argv[1] : "";
	int second = argc > 3 && !strcmp(argv[argc - 1], "2");

	if (!strcmp(what, "good"))
		return tap("1..2\nok 1 a\nok 2 b\n");
	if (!strcmp(what, "no-plan"))
		return tap("ok 1 a\n");
	if (!strcmp(what, "too-few"))
		return tap("1..2\nok 1 a\n");
	if (!strcmp(what, "inner-not-ok"))
		return tap("1..1\nnot ok 1 a\n");
	if (!strcmp(what, "inner-skip"))
		return tap("1..1\nok 1 a # SKIP not today\n");
	if (!strcmp(what, "skip"))
		return 4;
	if (!strcmp(what, "fail"))
		return 1;
	if (!strcmp(what, "crash"))
		abort();
	if (!strcmp(what, "hang"))
		pause();
	if (!strcmp(what, "panic"))
		return write_to("/proc/sysrq-trigger", "c");
	if (!strcmp(what, "panic-after-kexec"))
		return second ? write_to("/proc/sysrq-trigger", "c") : 0;
	/* As a kernel would: the runner sees the same on the console. */
	if (!strcmp(what, "warning-after-kexec"))
		return second ? write_to("/dev/kmsg", "<4>WARNING: control.c:1 at main+0x1/0x2")
			      : 0;
	if (!strcmp(what, "halt"))
		return reboot(RB_HALT_SYSTEM);
	if (!strcmp(what, "qemu-exit")) {
		if (ioperm(EXIT_PORT, 4, 1))
			return 1;
		outl(16, EXIT_PORT);
	}
	return 2;
}
