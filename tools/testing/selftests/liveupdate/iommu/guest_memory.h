/* SPDX-License-Identifier: GPL-2.0 */
#ifndef SELFTESTS_LIVEUPDATE_IOMMU_GUEST_MEMORY_H
#define SELFTESTS_LIVEUPDATE_IOMMU_GUEST_MEMORY_H

#include <stddef.h>

/* The size of the pages that a memfd has in the kernel */
enum guest_pages {
	GUEST_PAGES_4K,
	GUEST_PAGES_2M,
	GUEST_PAGES_MIXED,	/* turn about, 2 MiB each */
};

/* "4k", "2m" or "mixed". Any other name ends the program. */
enum guest_pages guest_pages_named(const char *name);

/*
 * A memfd that is all there, in pages of that size, and keeps its size. Fails the
 * test if it cannot be had like that.
 */
int guest_memory_create(size_t size, enum guest_pages pages);

/* Write to each page of it where it is, and look whether that is still there. */
void guest_memory_stamp(int memfd, size_t size);
void guest_memory_check(int memfd, size_t size);

#endif /* SELFTESTS_LIVEUPDATE_IOMMU_GUEST_MEMORY_H */
