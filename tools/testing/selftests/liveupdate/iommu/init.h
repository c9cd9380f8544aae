/* SPDX-License-Identifier: GPL-2.0 */
/* What the parts of PID 1 of the test machine share. */
#ifndef SELFTESTS_LIVEUPDATE_IOMMU_INIT_H
#define SELFTESTS_LIVEUPDATE_IOMMU_INIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdnoreturn.h>

#include "report.h"

#define COMMAND_LINE_SIZE 2048
#define MAX_TESTS 64
#define MAX_ARGS 32

struct test {
	char *name;
	int timeout_s;
	bool kexec;
	char *argv[MAX_ARGS + 1];
	int argc;
};

/* init_list.c */
extern struct test tests[MAX_TESTS];
extern int nr_tests;
extern char cmdline[COMMAND_LINE_SIZE];

int read_file(const char *path, char *buf, size_t size);
int write_file(const char *path, const char *text);
void read_cmdline(void);
char *parameter(const char *name);
void read_list(void);

/* init.c */
noreturn void __printf(1, 2) bail_out(const char *fmt, ...);

#endif /* SELFTESTS_LIVEUPDATE_IOMMU_INIT_H */
