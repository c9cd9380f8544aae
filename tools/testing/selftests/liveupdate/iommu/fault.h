/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Let memory allocations that the kernel makes for the calling thread fail
 * (Documentation/fault-injection/fault-injection.rst). Needs root and debugfs.
 * What cannot be set up fails the test.
 */
#ifndef SELFTESTS_LIVEUPDATE_IOMMU_FAULT_H
#define SELFTESTS_LIVEUPDATE_IOMMU_FAULT_H

#include <stdbool.h>

/* Once, before the others: any allocation may be made to fail, silently. */
void fault_init(void);

/* Let the nth allocation from now on fail. */
void fault_nth(int nth);

/* Stop that. Tells whether one has failed. */
bool fault_nth_done(void);

/* Let each allocation from a slab cache fail, but for the first @space bytes. */
void fault_cache(const char *cache, int space);
void fault_cache_done(void);

#endif /* SELFTESTS_LIVEUPDATE_IOMMU_FAULT_H */
