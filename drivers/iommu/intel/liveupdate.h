/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * VT-d over a live update: what the driver calls, and what the files of the two
 * kernels share. See liveupdate.c.
 */
#ifndef __INTEL_LIVEUPDATE_H
#define __INTEL_LIVEUPDATE_H

#include <linux/bug.h>
#include <linux/errno.h>
#include <linux/iommu-liveupdate.h>
#include <linux/types.h>

#include "liveupdate_entries.h"

/**
 * struct vtd_preserved - What is preserved of a unit, as long as something is
 * @kept: The entries
 * @unit: What the record says of the unit, but for @unit.context_tables
 * @done: What hardware writes when it is done, while the kernel ends
 */
struct vtd_preserved {
	struct vtd_kept kept;
	struct iommu_intel_ser unit;
	u32 done;
};

/**
 * struct vtd_adopted - What a unit came with
 * @kept: Its entries, until the unit is taken over
 * @pasids: Devices that have the PASID tables they came with, by requester id.
 *          NULL in legacy mode
 * @dids: Domain ids of all recorded devices
 *
 * iommu->did_lock protects @dids. A bit of @pasids belongs to whoever probes or
 * blocks the device. The rest is used while the driver starts.
 */
struct vtd_adopted {
	struct vtd_kept *kept;
	unsigned long *pasids;
	struct vtd_dids dids;
};

/* In iommu.c */
struct dmar_domain *intel_paging_domain_alloc(void);
bool intel_iommu_has_rmrr(struct intel_iommu *iommu);

/*
 * An entry that is present is taken for one that the driver has written itself.
 * In a unit that was adopted it must not be another one.
 */
static inline int intel_liveupdate_check_present(struct intel_iommu *iommu,
						 bool known)
{
	return iommu->adopted && WARN_ON(!known) ? -EBUSY : 0;
}

#ifdef CONFIG_INTEL_IOMMU_LIVEUPDATE

/* Hooks of iommu.c. See the functions for what they promise. */
void intel_liveupdate_look_up(void);
bool intel_liveupdate_adopt(struct intel_iommu *iommu);
bool intel_liveupdate_take_over(struct intel_iommu *iommu);
bool intel_liveupdate_block_unit(struct intel_iommu *iommu);
void intel_liveupdate_stop(struct intel_iommu *iommu);
void intel_liveupdate_abandon(struct intel_iommu *iommu);
void intel_liveupdate_free(struct intel_iommu *iommu);
bool intel_liveupdate_has_foreign_entry(struct device *dev,
					struct dmar_domain *domain);
bool intel_liveupdate_shutdown(struct intel_iommu *iommu);

#if IS_ENABLED(CONFIG_KUNIT)
/* liveupdate_shutdown.c */
void vtd_mask_events(struct intel_iommu *iommu);
void vtd_disable_protected_regions(struct intel_iommu *iommu);
#endif

extern const struct iommu_liveupdate_ops intel_iommu_liveupdate_ops;

/* liveupdate_pasid.c */
int intel_liveupdate_preserve_pasids(struct device_domain_info *info,
				     struct iommu_device_ser *ser);
void intel_liveupdate_unpreserve_pasids(struct device_domain_info *info);
void intel_liveupdate_restore_pasids(struct device_domain_info *info);
bool intel_liveupdate_has_pasids(struct intel_iommu *iommu, u16 rid);

/* liveupdate_restore.c */
struct iommu_domain *
intel_liveupdate_restore_domain(struct iommu_device *iommu_dev,
				const struct iommu_domain_ser *ser);
int intel_liveupdate_restore_attach(struct device *dev,
				    struct iommu_domain *domain,
				    const struct iommu_device_ser *ser);

/* liveupdate_block.c */
void intel_liveupdate_flush_all(struct intel_iommu *iommu, bool scalable);
void intel_liveupdate_block(struct iommu_device *iommu_dev,
			    const struct iommu_device_ser *ser);

/* liveupdate_adopt.c */
struct vtd_restored_did *intel_liveupdate_find_did(struct intel_iommu *iommu,
						   u16 did);

#else /* CONFIG_INTEL_IOMMU_LIVEUPDATE */

static inline void intel_liveupdate_look_up(void)
{
}

static inline bool intel_liveupdate_adopt(struct intel_iommu *iommu)
{
	return false;
}

static inline void
intel_liveupdate_restore_pasids(struct device_domain_info *info)
{
}

static inline bool intel_liveupdate_take_over(struct intel_iommu *iommu)
{
	return false;
}

static inline bool intel_liveupdate_block_unit(struct intel_iommu *iommu)
{
	return false;
}

static inline void intel_liveupdate_stop(struct intel_iommu *iommu)
{
}

static inline void intel_liveupdate_abandon(struct intel_iommu *iommu)
{
}

static inline void intel_liveupdate_free(struct intel_iommu *iommu)
{
}

static inline bool
intel_liveupdate_has_foreign_entry(struct device *dev,
				   struct dmar_domain *domain)
{
	return false;
}

static inline bool intel_liveupdate_shutdown(struct intel_iommu *iommu)
{
	return false;
}

#endif /* CONFIG_INTEL_IOMMU_LIVEUPDATE */
#endif /* __INTEL_LIVEUPDATE_H */
