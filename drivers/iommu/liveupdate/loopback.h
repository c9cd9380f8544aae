/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * iommufd's self test plays both kernels of a live update in one: what it
 * preserves it takes over itself, with no kexec in between.
 */
#ifndef __IOMMU_LIVEUPDATE_LOOPBACK_H
#define __IOMMU_LIVEUPDATE_LOOPBACK_H

#include <linux/types.h>

#if IS_ENABLED(CONFIG_IOMMU_LIVEUPDATE) && IS_ENABLED(CONFIG_IOMMUFD_TEST)

#include <linux/kexec_handover.h>

/*
 * Set by the first handover, and for good: page tables may be given back long
 * after what came with them is finished.
 */
extern bool iommu_loopback;

/**
 * enum iommu_loopback_state - How far the live update is
 * @IOMMU_LOOPBACK_IDLE: There is none
 * @IOMMU_LOOPBACK_LEAVING: This kernel is the one that leaves
 * @IOMMU_LOOPBACK_BETWEEN: It has left, and nobody has read the records
 * @IOMMU_LOOPBACK_COMING: This kernel is the one that comes
 */
enum iommu_loopback_state {
	IOMMU_LOOPBACK_IDLE,
	IOMMU_LOOPBACK_LEAVING,
	IOMMU_LOOPBACK_BETWEEN,
	IOMMU_LOOPBACK_COMING,
};

enum iommu_loopback_state iommu_loopback_state(void);
int iommu_loopback_begin(void);
int iommu_loopback_abort(void);
int iommu_loopback_handover(void);
int iommu_loopback_finish(void);

/*
 * Did this very kernel preserve the page that is about to be restored? What a
 * previous kernel has left is known to KHO as that.
 */
static inline bool iommu_loopback_is_own(phys_addr_t phys)
{
	return READ_ONCE(iommu_loopback) && kho_preserved_order(phys) < 0;
}

#else

static inline bool iommu_loopback_is_own(phys_addr_t phys)
{
	return false;
}

#endif

#endif /* __IOMMU_LIVEUPDATE_LOOPBACK_H */
