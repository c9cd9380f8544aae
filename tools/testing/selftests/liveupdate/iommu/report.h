/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The channel on which a guest program tells its results to the host: the
 * second serial port, one line a message.
 *
 * It is apart from the console, so that kernel messages, which may come at any
 * time and from any CPU, cannot tear a result apart.
 */
#ifndef SELFTESTS_LIVEUPDATE_IOMMU_REPORT_H
#define SELFTESTS_LIVEUPDATE_IOMMU_REPORT_H

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include <linux/compiler.h>

#include "../../kselftest.h"

#define REPORT_DEVICE "/dev/ttyS1"
#define REPORT_LINE_MAX 1024

/* One for all objects of a program. */
__weak int report_fd = -1;

/* Open the channel; 0 or -errno. Calling it again does nothing. */
static inline int report_open(void)
{
	struct termios mode;
	int err;

	if (report_fd >= 0)
		return 0;

	report_fd = open(REPORT_DEVICE, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (report_fd < 0)
		return -errno;

	if (tcgetattr(report_fd, &mode))
		goto err_close;
	cfmakeraw(&mode);
	mode.c_cflag |= CLOCAL;
	cfsetspeed(&mode, B115200);
	if (tcsetattr(report_fd, TCSANOW, &mode))
		goto err_close;
	return 0;

err_close:
	err = -errno;
	close(report_fd);
	report_fd = -1;
	return err;
}

/*
 * Send one line. A single write() of this size is not mixed with that of
 * another process: the line discipline holds its lock over it.
 */
static inline void __printf(1, 2) report(const char *fmt, ...)
{
	char line[REPORT_LINE_MAX];
	ssize_t done, left;
	char *pos = line;
	va_list args;
	int len;

	va_start(args, fmt);
	len = vsnprintf(line, sizeof(line) - 1, fmt, args);
	va_end(args);
	if (len < 0)
		return;
	if (len > (int)sizeof(line) - 2)
		len = sizeof(line) - 2;
	line[len] = '\n';

	for (left = len + 1; left > 0; left -= done, pos += done) {
		done = write(report_fd, pos, left);
		if (done < 0 && errno == EINTR)
			done = 0;
		else if (done < 0)
			return;
	}
}

/* Wait until everything sent has left the port. */
static inline void report_drain(void)
{
	if (report_fd >= 0)
		tcdrain(report_fd);
}

#endif /* SELFTESTS_LIVEUPDATE_IOMMU_REPORT_H */
