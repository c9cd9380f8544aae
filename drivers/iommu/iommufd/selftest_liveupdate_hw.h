/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The mock hardware that outlives its kernel, between selftest_liveupdate_hw.c,
 * where it is, and selftest_liveupdate_ops.c, the driver that leaves it to the
 * next kernel.
 */
#ifndef __IOMMUFD_SELFTEST_LIVEUPDATE_HW_H
#define __IOMMUFD_SELFTEST_LIVEUPDATE_HW_H

#include <linux/kho/abi/iommu.h>
#include <linux/list.h>
#include <linux/spinlock.h>

#include "iommufd_test.h"
#include "selftest_liveupdate.h"

/**
 * enum mock_lu_mark - What an entry may have done to it
 * @MOCK_LU_NONE: Everything
 * @MOCK_LU_PRESERVED: Nothing
 * @MOCK_LU_INHERITED: It comes from the previous kernel: nothing but to be
 *                     blocked
 * @MOCK_LU_RESTORED: As before, but this kernel knows the domain: to be replaced
 */
enum mock_lu_mark {
	MOCK_LU_NONE,
	MOCK_LU_PRESERVED,
	MOCK_LU_INHERITED,
	MOCK_LU_RESTORED,
};

/**
 * struct mock_lu_entry - Translation of one requester id
 * @top: Physical address of the top table. 0 if nothing is translated
 * @attachment_id: What cached translations are tagged with
 * @nr_writes: How often this was written
 * @mark: Not hardware: see enum mock_lu_mark
 * @ser: Not hardware: what was recorded
 */
struct mock_lu_entry {
	u64 top;
	u32 attachment_id;
	u32 nr_writes;
	enum mock_lu_mark mark;
	struct iommu_device_ser ser;
};

/**
 * struct mock_lu_hw - The hardware, and who knows what of it
 * @lock: Protects all that follows
 * @entries: The hardware: by requester id
 * @devices: List of struct mock_lu_device
 * @domains: List of struct mock_iommu_domain
 * @nr_preserved: Number of entries that are preserved, as the unit's record says
 * @unit_preserved: There is a record of the unit
 */
struct mock_lu_hw {
	spinlock_t lock; /* See above */
	struct mock_lu_entry entries[IOMMU_TEST_LU_NR_RIDS];
	struct list_head devices;
	struct list_head domains;
	u32 nr_preserved;
	bool unit_preserved;
};

extern struct mock_lu_hw mock_lu_hw;

/* All under mock_lu_hw.lock */
struct mock_lu_device *mock_lu_find(struct device *dev);
struct mock_lu_entry *mock_lu_next(struct mock_lu_device *lu,
				   struct mock_lu_entry *entry);
u64 mock_lu_top(struct mock_iommu_domain *mock);
void mock_lu_write(struct mock_lu_entry *entry, u64 top, u32 id);

#endif
