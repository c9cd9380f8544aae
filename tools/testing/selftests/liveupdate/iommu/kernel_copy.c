// SPDX-License-Identifier: GPL-2.0
/*
 * A kernel that takes itself along.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <libliveupdate.h>

#include "kernel_copy.h"

#define KERNEL		"/kernel"
#define INITRD		"/initrd.img"
#define KERNEL_TOKEN	0x1000
#define INITRD_TOKEN	0x1001

static int copy_file(const char *path)
{
	int from = open(path, O_RDONLY), to = memfd_create(path, 0);
	struct stat file;
	ssize_t done;
	off_t at = 0;

	if (from < 0 || to < 0 || fstat(from, &file))
		fail_exit("%s", path);
	while (at < file.st_size) {
		done = sendfile(to, from, &at, file.st_size - at);
		if (done <= 0)
			fail_exit("copy of %s", path);
	}
	close(from);
	return to;
}

void kernel_copy_take(struct kernel_copy *copy)
{
	copy->kernel = copy_file(KERNEL);
	copy->initrd = copy_file(INITRD);
}

void kernel_copy_save(const struct kernel_copy *copy, int session)
{
	if (luo_session_preserve_fd(session, copy->kernel, KERNEL_TOKEN) ||
	    luo_session_preserve_fd(session, copy->initrd, INITRD_TOKEN))
		fail_exit("preserve of the next kernel");
}

void kernel_copy_find(struct kernel_copy *copy, int session)
{
	copy->kernel = luo_session_retrieve_fd(session, KERNEL_TOKEN);
	copy->initrd = luo_session_retrieve_fd(session, INITRD_TOKEN);
	if (copy->kernel < 0 || copy->initrd < 0)
		fail_exit("retrieve of the next kernel");
}

void kernel_copy_load(const struct kernel_copy *copy)
{
	int fd = open("/proc/cmdline", O_RDONLY);
	char cmdline[2048];
	ssize_t length;

	length = fd < 0 ? -1 : read(fd, cmdline, sizeof(cmdline));
	if (length <= 0 || cmdline[length - 1] != '\n')
		fail_exit("/proc/cmdline");
	close(fd);
	cmdline[length - 1] = 0;
	if (syscall(__NR_kexec_file_load, copy->kernel, copy->initrd, length,
		    cmdline, 0UL))
		fail_exit("kexec_file_load");
}
