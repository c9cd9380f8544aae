/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Root and context entries that outlive the kernel, and decisions about units.
 * No hardware and no locks: whoever calls knows why nobody else writes to the
 * tables.
 */
#ifndef __INTEL_LIVEUPDATE_ENTRIES_H
#define __INTEL_LIVEUPDATE_ENTRIES_H

#include <linux/types.h>

#include "iommu.h"

struct dmar_domain;
struct ida;
struct iommu_device_ser;
struct iommu_intel_ser;
struct pasid_entry;

#define VTD_NR_BUSES		256
/* Two context tables for each bus in scalable mode, one in legacy mode */
#define VTD_NR_CONTEXT_TABLES	(2 * VTD_NR_BUSES)
#define VTD_NR_RIDS		(VTD_NR_BUSES << 8)

/**
 * struct vtd_kept - Entries of a unit that outlive the kernel
 * @tables: How many of them are in each context table, by
 *          iommu_record_context_table()
 * @rids: Requester ids whose entry it is
 */
struct vtd_kept {
	u16 tables[VTD_NR_CONTEXT_TABLES];
	DECLARE_BITMAP(rids, VTD_NR_RIDS);
};

/**
 * struct vtd_attachment - What hardware does for a requester id
 * @top: Physical address of the top page table
 * @aw: Encoded address width, which tells the level of @top. Of a first stage
 *      table the encoded paging mode, which does the same
 * @did: Domain id
 * @first_stage: @top is of the first stage
 * @pasid_dir: Physical address of the PASID directory, 0 in legacy mode
 * @max_pasid: Number of PASIDs that the directory has room for
 */
struct vtd_attachment {
	u64 top;
	u8 aw;
	u16 did;
	bool first_stage;
	u64 pasid_dir;
	u32 max_pasid;
};

/**
 * struct vtd_restored_did - Domain id that the previous kernel has given out
 * @did: The id
 * @pending: Devices that are recorded with it and neither attached nor blocked
 * @domain: The restored domain, once a device was attached to it
 */
struct vtd_restored_did {
	u16 did;
	unsigned int pending;
	struct dmar_domain *domain;
};

/**
 * struct vtd_dids - Domain ids that came over with a unit
 * @nr: How many there are
 * @max: How many there is room for: one for each device
 * @ids: All of them
 */
struct vtd_dids {
	unsigned int nr;
	unsigned int max;
	struct vtd_restored_did *ids;
};

/* Whose DMA has to end before a unit stops translating */
enum vtd_stop {
	VTD_STOP_NOBODY,
	VTD_STOP_RECORDED,	/* devices that are recorded for the unit */
	VTD_STOP_ALL,		/* all there are: nothing is known of it */
};

/* What a sweep does with entries that are not kept */
enum vtd_sweep {
	VTD_SWEEP_HIDE,		/* makes them not present */
	VTD_SWEEP_WIPE,		/* zeroes them: hardware has forgotten them */
};

enum vtd_stop vtd_whom_to_stop(bool handed_over, u32 status, int incoming_err);
struct vtd_restored_did *vtd_find_did(const struct vtd_dids *dids, u16 did);
int vtd_reserve_did(struct vtd_dids *dids, struct ida *ida,
		    unsigned int max_did, u16 did);
void vtd_release_dids(struct vtd_dids *dids, struct ida *ida);
int vtd_keep_rid(struct vtd_kept *kept, const struct iommu_intel_ser *intel,
		 u16 rid);
bool vtd_drop_rid(struct vtd_kept *kept, const struct iommu_intel_ser *intel,
		  u16 rid);
u64 *vtd_root_half(struct root_entry *root, unsigned int table);
struct context_entry *vtd_context_entry(struct root_entry *root,
					const struct iommu_intel_ser *intel,
					u16 rid);
int vtd_context_entry_check(const struct context_entry *entry,
			    const struct vtd_attachment *attachment);
struct pasid_entry *vtd_pasid_entry(const struct context_entry *context);
int vtd_pasid_entry_check(const struct pasid_entry *entry,
			  const struct vtd_attachment *attachment);
bool vtd_pasid_entry_snoops(const struct pasid_entry *entry);
bool vtd_only_pasid_0(const struct context_entry *context);
void vtd_hold_pasid_0(struct intel_iommu *iommu,
		      const struct context_entry *context, enum vtd_sweep how);
int vtd_attachment_check(const struct context_entry *context,
			 const struct vtd_attachment *attachment);
void vtd_attachment_of(struct dmar_domain *domain,
		       const struct iommu_device_ser *ser,
		       struct vtd_attachment *attachment);
void vtd_sweep_pasids(struct intel_iommu *iommu,
		      const struct context_entry *context, enum vtd_sweep how);
unsigned int vtd_sweep(struct intel_iommu *iommu, struct root_entry *root,
		       const struct iommu_intel_ser *intel,
		       const struct vtd_kept *kept, enum vtd_sweep how);

#endif /* __INTEL_LIVEUPDATE_ENTRIES_H */
