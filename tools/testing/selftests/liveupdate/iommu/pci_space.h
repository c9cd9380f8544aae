/* SPDX-License-Identifier: GPL-2.0 */
#ifndef SELFTESTS_LIVEUPDATE_IOMMU_PCI_SPACE_H
#define SELFTESTS_LIVEUPDATE_IOMMU_PCI_SPACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DEVICES		"/sys/bus/pci/devices"

/* Write an attribute of a device: 0 or -errno. */
int write_attribute(const char *bdf, const char *name, const char *text);

/* An attribute without its newline, valid until the next call. */
const char *read_attribute(const char *bdf, const char *name);

bool has_driver(const char *bdf);

/* These end the program if configuration space cannot be used. */
void read_config(const char *bdf, void *data, size_t offset, size_t size);
void write_config16(const char *bdf, size_t offset, uint16_t value);
uint16_t read_config16(const char *bdf, size_t offset);
bool is_master(const char *bdf);

/* In a copy of configuration space: a register, where a capability is or 0. */
uint16_t get16(const uint8_t *space, size_t offset);
size_t capability(const uint8_t *space, uint8_t id);
size_t extended_capability(const uint8_t *space, uint16_t id);

#endif /* SELFTESTS_LIVEUPDATE_IOMMU_PCI_SPACE_H */
