/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * iommufd's self test plays both kernels of a live update in one: what it
 * preserves, it takes over itself, with no kexec in between.
 */
#ifndef __IOMMU_LIVEUPDATE_LOOPBACK_H
#define __IOMMU_LIVEUPDATE_LOOPBACK_H

#include <linux/kconfig.h>
#include <linux/types.h>

#if IS_ENABLED(CONFIG_IOMMU_LIVEUPDATE) && IS_ENABLED(CONFIG_IOMMUFD_TEST)

/*
 * What is restored is what this kernel preserved. Set by the self test from
 * the moment of the handover until the last page is given back.
 */
extern bool iommu_loopback;

int iommu_loopback_begin(void);
int iommu_loopback_abort(void);
int iommu_loopback_handover(void);
int iommu_loopback_finish(void);

#else

#define iommu_loopback false

#endif

#endif /* __IOMMU_LIVEUPDATE_LOOPBACK_H */
