// SPDX-License-Identifier: GPL-2.0

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../kselftest.h"
#include "fault.h"
#include "physmem.h"

#define FAILSLAB	"/sys/kernel/debug/failslab/"
#define FAILPAGE	"/sys/kernel/debug/fail_page_alloc/"
#define FAIL_NTH	"/proc/thread-self/fail-nth"

static void set(const char *path, const char *text)
{
	int err = physmem_write(path, text);

	if (err)
		ksft_exit_fail_msg("%s: %s\n", path, strerror(-err));
}

static void set_number(const char *path, int number)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", number);
	set(path, text);
}

void fault_init(void)
{
	set(FAILSLAB "ignore-gfp-wait", "N");
	set(FAILPAGE "ignore-gfp-wait", "N");
	set(FAILPAGE "ignore-gfp-highmem", "N");
	set(FAILPAGE "min-order", "0");
	set(FAILSLAB "verbose", "0");
	set(FAILPAGE "verbose", "0");
}

void fault_nth(int nth)
{
	set_number(FAIL_NTH, nth);
}

bool fault_nth_done(void)
{
	int fd = open(FAIL_NTH, O_RDWR);
	char text[16] = "";

	/* The countdown may just as well hit these calls: then it hit late. */
	if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0 || write(fd, "0", 1) != 1) {
		if (fd >= 0)
			close(fd);
		set(FAIL_NTH, "0");
		return false;
	}
	close(fd);

	return atoi(text) == 0;
}

void fault_cache(const char *cache, int space)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/kernel/slab/%s/failslab", cache);
	set(path, "1");
	set(FAILSLAB "cache-filter", "Y");
	set(FAILSLAB "task-filter", "Y");
	set(FAILSLAB "times", "-1");
	set_number(FAILSLAB "space", space);
	set("/proc/thread-self/make-it-fail", "1");
	set(FAILSLAB "probability", "100");
}

void fault_cache_done(void)
{
	set(FAILSLAB "probability", "0");
}
