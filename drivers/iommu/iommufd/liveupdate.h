/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the objects of an iommufd know of a live update: which of their page
 * tables are to cross, what was preserved, and what came from the previous
 * kernel.
 *
 * Locking, from the outside in::
 *
 *   mutex of the LUO session -> iommufd_ctx_liveupdate.lock ->
 *   iommufd_ioas.mutex -> iommufd_group.lock -> mutex of the iommu_group
 *
 * and below iommufd_group.lock also both rwsems of an io_pagetable. None of it
 * is held while an object is destroyed.
 *
 * Those who hold one of the rwsems may wait for a page of memory that userspace
 * itself has to provide. So freezing, which nobody can interrupt, does not wait
 * for ever for what may be held above them.
 */
#ifndef __IOMMUFD_LIVEUPDATE_H
#define __IOMMUFD_LIVEUPDATE_H

#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/types.h>

/* What the next kernel is asked to believe at most, see IOMMUFD_SER_MAX_HWPTS */
#define IOMMUFD_MAX_MARKED 1024

struct iommufd_area_ser;
struct iommufd_ctx;
struct iommufd_hwpt_paging;
struct iommufd_incoming;
struct iommufd_outgoing;
struct iommufd_ucmd;

/**
 * struct iommufd_ctx_liveupdate - Part of an iommufd that live update knows
 * @lock: Protects all of this, and struct iommufd_hwpt_liveupdate
 * @marked: HWPTs that are to be preserved. Each has a users reference
 * @nr_marked: Number of these
 * @outgoing: What was preserved, NULL if the iommufd is not preserved
 * @devices: Devices that are preserved
 * @incoming: What came from the previous kernel, NULL if nothing did or if it
 *            is finished
 * @restored: HWPTs that came from the previous kernel and still exist
 */
struct iommufd_ctx_liveupdate {
	struct mutex lock; /* See above */
	struct list_head marked;
	unsigned int nr_marked;
	struct iommufd_outgoing *outgoing;
	struct list_head devices;
	struct iommufd_incoming *incoming;
	struct list_head restored;
};

/**
 * struct iommufd_restored - A HWPT that came from the previous kernel
 * @item: Place in iommufd_ctx_liveupdate.restored
 * @ictx: The iommufd
 * @hwpt_paging: The HWPT, which has no IOAS
 * @token: What userspace called it in the previous kernel
 * @domain_id: What the IOMMU core calls the domain
 * @alloc_flags: enum iommufd_hwpt_alloc_flags for a HWPT that can replace it
 * @claimed: Userspace has asked for it and destroys it
 * @strict: May only be replaced by what translates @areas the same
 * @areas: What it maps, as long as the session is not finished
 * @nr_areas: Number of @areas
 */
struct iommufd_restored {
	struct list_head item;
	struct iommufd_ctx *ictx;
	struct iommufd_hwpt_paging *hwpt_paging;
	u64 token;
	u32 domain_id;
	u32 alloc_flags;
	bool claimed;
	bool strict;
	const struct iommufd_area_ser *areas;
	u64 nr_areas;
};

/**
 * struct iommufd_hwpt_liveupdate - Part of a paging HWPT that live update knows
 * @item: Place in iommufd_ctx_liveupdate.marked
 * @token: Name of the HWPT for the next kernel
 * @domain_id: What the IOMMU core calls the domain, while that is preserved
 * @marked: @item and @token are valid
 * @preserved: Nothing may be mapped in the domain, not even outside of the
 *             IOAS. Changed under iommufd_ctx.sw_msi_lock as well
 * @restored: What came from the previous kernel with this HWPT, NULL if it is
 *            of this one. Never changes
 */
struct iommufd_hwpt_liveupdate {
	struct list_head item;
	u64 token;
	u32 domain_id;
	bool marked;
	bool preserved;
	struct iommufd_restored *restored;
};

static inline bool
iommufd_hwpt_is_preserved(const struct iommufd_hwpt_liveupdate *liveupdate)
{
	return liveupdate->preserved;
}

void iommufd_liveupdate_init(struct iommufd_ctx *ictx);
void iommufd_liveupdate_release(struct iommufd_ctx *ictx);
int iommufd_hwpt_liveupdate_preserve(struct iommufd_ucmd *ucmd);
int iommufd_hwpt_liveupdate_restore(struct iommufd_ucmd *ucmd);

#endif
