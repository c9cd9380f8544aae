/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Where the memory of a process lies, and who could get it: for tests that
 * promise that pages stay where they are and belong to nobody else. Needs root.
 */
#ifndef SELFTESTS_LIVEUPDATE_IOMMU_PHYSMEM_H
#define SELFTESTS_LIVEUPDATE_IOMMU_PHYSMEM_H

#include <stddef.h>

#include <linux/types.h>

/* Not a page frame number: the page is not present. */
#define PHYSMEM_NO_PFN UINT64_MAX

/*
 * Look up the frames of @nr_pages pages from @addr on. Fails the test if they
 * cannot be told.
 */
void physmem_pfns(const void *addr, size_t nr_pages, u64 *pfns);

/*
 * Take and touch all memory that can be had, then give it back.
 *
 * Returns how many of the frames @pfns were among it, are free, or were given
 * out again as a page table or anonymous memory: those which no file holds.
 * Frames on the list of free pages of another CPU are not among them: stay on
 * the CPU that gave them back.
 */
size_t physmem_hog(const u64 *pfns, size_t nr);

/* Take all memory that can be had, fill it with @value, and keep it. */
void physmem_take(u64 value);

/* A value of /proc/meminfo, in bytes. */
size_t physmem_info(const char *name);

/* The value of a counter in /proc/vmstat. Fails the test if there is none. */
u64 physmem_vmstat(const char *name);

/* Use a block device as swap space, its content is lost. 0 or -errno. */
int physmem_swapon(const char *device);

/* Write @text to the file @path. 0 or -errno. */
int physmem_write(const char *path, const char *text);

#endif /* SELFTESTS_LIVEUPDATE_IOMMU_PHYSMEM_H */
