// SPDX-License-Identifier: GPL-2.0
/*
 * Print the results of KUnit suites as one KTAP document: those built into the
 * kernel, which ran while it booted, and those of the modules which are given as
 * paths. The suites that must be there are given by name; others that are there
 * are printed too. At the end the modules must go away again.
 */
#include <fcntl.h>
#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../../kselftest.h"

#define KUNIT_DIR "/sys/kernel/debug/kunit"

static int real_entry(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static bool is_listed(const char *name, struct dirent **suites, int nr)
{
	for (int i = 0; i < nr; i++)
		if (!strcmp(name, suites[i]->d_name))
			return true;
	return false;
}

/*
 * The file of a suite is a document with this suite as its only result. Its
 * cases, which are indented there, are indented as they are to be here. True if
 * the result is good; there is none if the suite did not run.
 */
static bool print_suite(const char *name)
{
	char path[512], line[4096];
	bool good = false;
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s/results", KUNIT_DIR, name);
	file = fopen(path, "r");
	if (!file) {
		printf("# %s: %s\n", path, strerror(errno));
		return false;
	}
	while (fgets(line, sizeof(line), file)) {
		if (!strncmp(line, "ok 1 ", 5))
			good = true;
		printf("%s%s", line[0] == ' ' ? "" : "# ", line);
	}
	fclose(file);
	return good;
}

static bool is_module(const char *arg)
{
	return arg[0] == '/';
}

/* The suites of a module run while it is loaded. */
static bool load_module(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool good = fd >= 0 && !syscall(SYS_finit_module, fd, "", 0);

	if (!good)
		printf("# load %s: %s\n", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	return good;
}

static bool unload_module(const char *path)
{
	char name[64];
	bool good;

	snprintf(name, sizeof(name), "%s", strrchr(path, '/') + 1);
	name[strcspn(name, ".")] = '\0';
	good = !syscall(SYS_delete_module, name, O_NONBLOCK);
	if (!good)
		printf("# unload %s: %s\n", name, strerror(errno));
	return good;
}

int main(int argc, char *argv[])
{
	struct dirent **suites;
	int number = 0;
	int failed = 0;
	int missing = 0;
	int modules = 0;
	int nr, i;

	for (i = 1; i < argc; i++) {
		if (is_module(argv[i])) {
			modules++;
			load_module(argv[i]);
		}
	}

	nr = scandir(KUNIT_DIR, &suites, real_entry, alphasort);
	if (nr < 0) {
		perror(KUNIT_DIR);
		return KSFT_FAIL;
	}
	for (i = 1; i < argc; i++)
		if (!is_module(argv[i]) && !is_listed(argv[i], suites, nr))
			missing++;

	printf("KTAP version 1\n1..%d\n", nr + missing + modules);
	for (i = 0; i < nr; i++) {
		bool good = print_suite(suites[i]->d_name);

		failed += !good;
		printf("%s %d %s\n", good ? "ok" : "not ok", ++number, suites[i]->d_name);
	}
	for (i = 1; i < argc; i++)
		if (!is_module(argv[i]) && !is_listed(argv[i], suites, nr))
			printf("not ok %d %s # not in this kernel\n", ++number, argv[i]);
	for (i = 1; i < argc; i++) {
		if (is_module(argv[i])) {
			bool good = unload_module(argv[i]);

			failed += !good;
			printf("%s %d unload %s\n", good ? "ok" : "not ok", ++number, argv[i]);
		}
	}

	return failed + missing ? KSFT_FAIL : KSFT_PASS;
}
