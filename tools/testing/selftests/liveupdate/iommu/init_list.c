// SPDX-License-Identifier: GPL-2.0
/* The command line and the list of tests of PID 1 of the test machine. */
#include <stdlib.h>

#include "init.h"

struct test tests[MAX_TESTS];
int nr_tests;
char cmdline[COMMAND_LINE_SIZE];

/* Read a small file as a string; -1 if that fails or it does not fit. */
int read_file(const char *path, char *buf, size_t size)
{
	size_t len = 0;
	ssize_t got;
	int fd;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	while ((got = read(fd, buf + len, size - len)) > 0)
		len += got;
	close(fd);
	if (got < 0 || len == size)
		return -1;
	buf[len] = '\0';
	return 0;
}

int write_file(const char *path, const char *text)
{
	ssize_t done;
	int fd;

	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	done = write(fd, text, strlen(text));
	close(fd);
	return done < 0 ? -1 : 0;
}

void read_cmdline(void)
{
	if (read_file("/proc/cmdline", cmdline, sizeof(cmdline)))
		bail_out("cannot read /proc/cmdline");
	cmdline[strcspn(cmdline, "\n")] = '\0';
}

/* The value of a kernel parameter, or NULL. The last one wins. */
char *parameter(const char *name)
{
	static char copy[COMMAND_LINE_SIZE];
	size_t len = strlen(name);
	char *value = NULL;
	char *word;

	memcpy(copy, cmdline, sizeof(copy));
	for (word = strtok(copy, " "); word; word = strtok(NULL, " "))
		if (!strncmp(word, name, len) && word[len] == '=')
			value = word + len + 1;
	return value ? strdup(value) : NULL;
}

static void add_args(struct test *test, char *text, const char *separators)
{
	char *word;

	if (!text)
		return;
	for (word = strtok(text, separators); word; word = strtok(NULL, separators)) {
		/* Two places stay free for the stage. */
		if (test->argc == MAX_ARGS - 2)
			bail_out("%s: too many arguments", test->name);
		test->argv[test->argc++] = word;
	}
}

static void parse_line(char *line, int number, int slow)
{
	char *name, *timeout, *kind, *argv;
	struct test *test;

	name = strsep(&line, "|");
	timeout = strsep(&line, "|");
	kind = strsep(&line, "|");
	argv = line;
	if (!argv || !*name || atoi(timeout) <= 0 ||
	    (strcmp(kind, "once") && strcmp(kind, "kexec")))
		bail_out("list, line %d: not name|timeout|once or kexec|argv", number);
	if (nr_tests == MAX_TESTS)
		bail_out("list, line %d: too many tests", number);
	if (nr_tests && tests[nr_tests - 1].kexec)
		bail_out("list, line %d: nothing can follow a kexec test", number);

	test = &tests[nr_tests++];
	test->name = name;
	test->timeout_s = atoi(timeout) * slow;
	test->kexec = !strcmp(kind, "kexec");
	add_args(test, argv, " ");
	add_args(test, parameter("vmtest.args"), ",");
	if (!test->argc)
		bail_out("list, line %d: no program", number);
}

void read_list(void)
{
	static char text[65536];
	char *path = parameter("vmtest.list");
	char *factor = parameter("vmtest.slow");
	int slow = factor ? atoi(factor) : 1;
	char *rest = text;
	int number = 0;
	char *line;

	if (!path)
		bail_out("no vmtest.list= on the command line");
	if (read_file(path, text, sizeof(text)))
		bail_out("cannot read %s", path);
	if (slow < 1)
		bail_out("vmtest.slow=%s", factor);
	free(path);
	free(factor);

	while ((line = strsep(&rest, "\n"))) {
		number++;
		if (*line && *line != '#')
			parse_line(line, number, slow);
	}
	if (!nr_tests)
		bail_out("the list is empty");
}
