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
 * Returns how many of the frames @pfns were among it or are free: those which
 * belong to nobody.
 */
size_t physmem_hog(const u64 *pfns, size_t nr);

/* The value of a counter in /proc/vmstat. Fails the test if there is none. */
u64 physmem_vmstat(const char *name);

/* Use a block device as swap space, its content is lost. 0 or -errno. */
int physmem_swapon(const char *device);

/* Write @text to the file @path. 0 or -errno. */
int physmem_write(const char *path, const char *text);

#endif /* SELFTESTS_LIVEUPDATE_IOMMU_PHYSMEM_H */
