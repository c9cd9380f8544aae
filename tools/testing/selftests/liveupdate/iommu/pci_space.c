// SPDX-License-Identifier: GPL-2.0
/*
 * A PCI device as sysfs shows it: configuration space and attributes.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <linux/pci_regs.h>

#include <libliveupdate.h>

#include "pci_space.h"

static int open_attribute(const char *bdf, const char *name, int flags)
{
	char path[128];

	snprintf(path, sizeof(path), DEVICES "/%s/%s", bdf, name);
	return open(path, flags);
}

int write_attribute(const char *bdf, const char *name, const char *text)
{
	int fd = open_attribute(bdf, name, O_WRONLY), err = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		err = -errno;
	close(fd);
	return err;
}

const char *read_attribute(const char *bdf, const char *name)
{
	int fd = open_attribute(bdf, name, O_RDONLY);
	static char text[64];
	ssize_t len;

	if (fd < 0)
		return "";
	len = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[len > 0 ? len : 0] = 0;
	text[strcspn(text, "\n")] = 0;
	return text;
}

bool has_driver(const char *bdf)
{
	char path[128];

	snprintf(path, sizeof(path), DEVICES "/%s/driver", bdf);
	return !access(path, F_OK);
}

void read_config(const char *bdf, void *data, size_t offset, size_t size)
{
	int fd = open_attribute(bdf, "config", O_RDONLY);

	if (fd < 0 || pread(fd, data, size, offset) != (ssize_t)size)
		fail_exit("configuration space of %s", bdf);
	close(fd);
}

void write_config16(const char *bdf, size_t offset, uint16_t value)
{
	int fd = open_attribute(bdf, "config", O_WRONLY);

	if (fd < 0 || pwrite(fd, &value, 2, offset) != 2)
		fail_exit("configuration space of %s", bdf);
	close(fd);
}

uint16_t get16(const uint8_t *space, size_t offset)
{
	return space[offset] | space[offset + 1] << 8;
}

uint16_t read_config16(const char *bdf, size_t offset)
{
	uint8_t data[2];

	read_config(bdf, data, offset, 2);
	return get16(data, 0);
}

bool is_master(const char *bdf)
{
	return read_config16(bdf, PCI_COMMAND) & PCI_COMMAND_MASTER;
}

size_t capability(const uint8_t *space, uint8_t id)
{
	size_t at = space[PCI_CAPABILITY_LIST];

	while (at && space[at] != id)
		at = space[at + 1];
	return at;
}

size_t extended_capability(const uint8_t *space, uint16_t id)
{
	size_t at = 0x100;

	while (at && get16(space, at) != id)
		at = get16(space, at + 2) >> 4;
	return at;
}
