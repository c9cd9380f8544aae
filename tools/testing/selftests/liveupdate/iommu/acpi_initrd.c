// SPDX-License-Identifier: GPL-2.0
/*
 * A next kernel that is told something else of its machine. An uncompressed
 * archive at the begin of the RAM disk can bring ACPI tables, see
 * Documentation/admin-guide/acpi/initrd_table_override.rst.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <libliveupdate.h>

#include "acpi_initrd.h"

#define TABLE		"/sys/firmware/acpi/tables/DMAR"
#define IN_ARCHIVE	"kernel/firmware/acpi/dmar.aml"
#define LAST		"TRAILER!!!"
#define COMMAND_LINE	2048

/* Places in the table: ACPI 5.2.6, VT-d 8.1, 8.3 and 8.3.1 */
#define AT_CHECKSUM	9
#define AT_REVISION	24
#define AT_UNIT		48
#define AT_UNIT_LENGTH	(AT_UNIT + 2)
#define AT_UNIT_FLAGS	(AT_UNIT + 4)
#define AT_SCOPES	(AT_UNIT + 16)
#define UNIT_ALL	1	/* translates for all devices that no other one has */
#define SCOPE_BRIDGE	2	/* or a device, 1; others are no devices of PCI */
#define NO_DEVICE	29	/* on the root bus of this machine */

static void put(int fd, const void *data, size_t size)
{
	if (write(fd, data, size) != (ssize_t)size)
		fail_exit("write of a RAM disk");
}

static void align(int fd)
{
	static const char zeros[4];

	put(fd, zeros, -lseek(fd, 0, SEEK_CUR) & 3);
}

/* One member of an archive as "cpio -H newc" makes it */
static void put_member(int fd, const char *name, const void *data, size_t size)
{
	unsigned int mode = size ? S_IFREG | 0644 : 0;
	char head[111];

	snprintf(head, sizeof(head),
		 "070701%08x%08x%08x%08x%08x%08x%08zx%08x%08x%08x%08x%08zx%08x",
		 0, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, strlen(name) + 1, 0);
	put(fd, head, sizeof(head) - 1);
	put(fd, name, strlen(name) + 1);
	align(fd);
	put(fd, data, size);
	align(fd);
}

/* The unit's scopes name devices that there are not. */
static void empty_scopes(uint8_t *table, size_t size)
{
	size_t at, end = AT_UNIT + table[AT_UNIT_LENGTH] +
			 256 * table[AT_UNIT_LENGTH + 1];

	if (table[AT_UNIT] || table[AT_UNIT + 1] || end > size)
		ksft_exit_fail_msg("the table does not begin with a unit\n");
	table[AT_UNIT_FLAGS] &= ~UNIT_ALL;
	for (at = AT_SCOPES; at < end; at += table[at + 1]) {
		if (at + 8 > end || table[at + 1] < 8)
			ksft_exit_fail_msg("scope at %zu of the table\n", at);
		if (table[at] <= SCOPE_BRIDGE)
			table[at + 6] = NO_DEVICE;
	}
}

/* The table of this machine, with a unit that has no devices */
static size_t read_table(uint8_t *table, size_t room)
{
	int fd = open(TABLE, O_RDONLY);
	ssize_t size = read(fd, table, room);
	uint8_t sum = 0;
	ssize_t i;

	if (size <= AT_SCOPES || memcmp(table, "DMAR", 4))
		fail_exit(TABLE);
	close(fd);
	empty_scopes(table, size);
	/* An older one, or the same, is not taken. */
	table[AT_REVISION]++;
	table[AT_CHECKSUM] = 0;
	for (i = 0; i < size; i++)
		sum += table[i];
	table[AT_CHECKSUM] = -sum;
	return size;
}

static int make_initrd(void)
{
	int fd = memfd_create("initrd", 0), from = open("/initrd.img", O_RDONLY);
	uint8_t table[4096];
	struct stat file;
	off_t at = 0;
	size_t size;

	if (fd < 0 || from < 0 || fstat(from, &file))
		fail_exit("RAM disk");
	size = read_table(table, sizeof(table));
	put_member(fd, IN_ARCHIVE, table, size);
	put_member(fd, LAST, NULL, 0);
	while (at < file.st_size)
		if (sendfile(fd, from, &at, file.st_size - at) <= 0)
			fail_exit("copy of the RAM disk");
	close(from);
	return fd;
}

/* As init has given it to the kernel that it has loaded */
static void next_command_line(char *text)
{
	int fd = open("/proc/cmdline", O_RDONLY);
	ssize_t size = read(fd, text, COMMAND_LINE / 2);
	char *more, *end, *plus;
	char words[COMMAND_LINE / 2];

	if (size <= 0 || size == COMMAND_LINE / 2)
		fail_exit("/proc/cmdline");
	close(fd);
	text[size - 1] = 0;
	strcpy(words, text);
	more = strstr(words, "vmtest.next=");
	more = more ? more + strlen("vmtest.next=") : "";
	end = strchr(more, ' ');
	if (end)
		*end = 0;
	while ((plus = strchr(more, '+')))
		*plus = ' ';
	sprintf(text + size - 1, " %s vmtest.stage=2", more);
}

void acpi_initrd_load_without_devices(void)
{
	int kernel = open("/kernel", O_RDONLY), initrd = make_initrd();
	char text[COMMAND_LINE];

	next_command_line(text);
	if (kernel < 0 || syscall(__NR_kexec_file_load, kernel, initrd,
				  strlen(text) + 1, text, 0UL))
		fail_exit("load a kernel with other tables");
	close(kernel);
	close(initrd);
}
