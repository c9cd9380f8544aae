// SPDX-License-Identifier: GPL-2.0-only
/*
 * The kernel that comes: HWPTs that the previous one left.
 *
 * They have no IOAS. They exist from the moment that their iommufd is retrieved,
 * so that the devices that use them can be bound in any order, and end in one
 * of three ways: userspace destroys them, it never asks for them and the session
 * is finished, or the iommufd is closed.
 */
#include <linux/bitops.h>
#include <linux/cleanup.h>
#include <linux/export.h>
#include <linux/iommu-liveupdate.h>
#include <linux/iommufd.h>
#include <linux/slab.h>
#include <uapi/linux/iommufd.h>

#include "io_pagetable.h"
#include "liveupdate_restore.h"

static u32 alloc_flags(const struct iommufd_hwpt_ser *ser)
{
	u32 flags = 0;

	if (ser->flags & IOMMUFD_HWPT_SER_DIRTY_TRACKING)
		flags |= IOMMU_HWPT_ALLOC_DIRTY_TRACKING;
	if (ser->flags & IOMMUFD_HWPT_SER_PASID)
		flags |= IOMMU_HWPT_ALLOC_PASID;
	return flags;
}

static struct iommufd_hwpt_paging *
restored_hwpt_alloc(struct iommufd_ctx *ictx, struct iommufd_restored *restored)
{
	struct iommufd_hwpt_paging *hwpt_paging;
	struct iommu_domain *domain;

	domain = iommu_restored_domain_get(restored->domain_id);
	if (IS_ERR(domain))
		return ERR_CAST(domain);

	hwpt_paging = __iommufd_object_alloc(ictx, hwpt_paging,
					     IOMMUFD_OBJ_HWPT_PAGING,
					     common.obj);
	if (IS_ERR(hwpt_paging)) {
		iommu_restored_domain_put(domain);
		return hwpt_paging;
	}

	INIT_LIST_HEAD(&hwpt_paging->hwpt_item);
	hwpt_paging->common.pasid_compat =
		restored->alloc_flags & IOMMU_HWPT_ALLOC_PASID;
	hwpt_paging->common.domain = domain;
	domain->iommufd_hwpt = &hwpt_paging->common;
	domain->cookie_type = IOMMU_COOKIE_IOMMUFD;
	return hwpt_paging;
}

/**
 * iommufd_restored_create() - Make a HWPT of a record
 * @ictx: iommufd that is being retrieved
 * @incoming: What came of it, which was checked
 * @ser: Record of the HWPT
 *
 * Context: May sleep.
 *
 * Return: 0, -ENOMEM, or the error of iommu_restored_domain_get().
 */
int iommufd_restored_create(struct iommufd_ctx *ictx,
			    const struct iommufd_incoming *incoming,
			    const struct iommufd_hwpt_ser *ser)
{
	struct iommufd_hwpt_paging *hwpt_paging;
	struct iommufd_restored *restored;

	restored = kzalloc_obj(*restored, GFP_KERNEL_ACCOUNT);
	if (!restored)
		return -ENOMEM;
	restored->ictx = ictx;
	restored->token = ser->token;
	restored->domain_id = ser->domain_id;
	restored->alloc_flags = alloc_flags(ser);
	restored->areas = incoming->areas + ser->first_area;
	restored->nr_areas = ser->nr_areas;

	hwpt_paging = restored_hwpt_alloc(ictx, restored);
	if (IS_ERR(hwpt_paging)) {
		kfree(restored);
		return PTR_ERR(hwpt_paging);
	}

	hwpt_paging->liveupdate.restored = restored;
	restored->hwpt_paging = hwpt_paging;
	scoped_guard(mutex, &ictx->liveupdate.lock)
		list_add_tail(&restored->item, &ictx->liveupdate.restored);
	iommufd_object_finalize(ictx, &hwpt_paging->common.obj);
	return 0;
}

/**
 * iommufd_restored_destroy() - Let go of what the previous kernel left
 * @hwpt_paging: HWPT that is being destroyed, of whichever kernel
 *
 * Context: May sleep. Time in proportion to the number of page tables.
 */
void iommufd_restored_destroy(struct iommufd_hwpt_paging *hwpt_paging)
{
	struct iommufd_restored *restored = hwpt_paging->liveupdate.restored;
	struct iommu_domain *domain = hwpt_paging->common.domain;

	if (!restored)
		return;

	scoped_guard(mutex, &restored->ictx->liveupdate.lock)
		list_del(&restored->item);
	kfree(restored);

	/* A device that nobody has bound may still use it. */
	domain->cookie_type = IOMMU_COOKIE_NONE;
	domain->iommufd_hwpt = NULL;
	hwpt_paging->common.domain = NULL;
	iommu_restored_domain_put(domain);
}

/**
 * iommufd_restored_in_use() - Does a device still use what was left?
 * @ictx: The iommufd
 *
 * Context: May sleep.
 *
 * Return: True if a restored HWPT is attached to a device. An ioctl that has
 * just got hold of a HWPT counts as well.
 */
bool iommufd_restored_in_use(struct iommufd_ctx *ictx)
{
	struct iommufd_restored *restored;

	guard(mutex)(&ictx->liveupdate.lock);
	list_for_each_entry(restored, &ictx->liveupdate.restored, item)
		if (refcount_read(&restored->hwpt_paging->common.obj.users) > 1)
			return true;
	return false;
}

/*
 * Forget the records. The HWPT that nobody has asked for, if any, with a users
 * reference: its id may be that of another object by the time it is removed.
 */
static struct iommufd_object *next_unclaimed(struct iommufd_ctx *ictx)
{
	struct iommufd_object *found = NULL;
	struct iommufd_restored *restored;
	struct iommufd_object *obj;

	guard(mutex)(&ictx->liveupdate.lock);
	ictx->liveupdate.incoming = NULL;
	list_for_each_entry(restored, &ictx->liveupdate.restored, item) {
		restored->strict = false;
		restored->areas = NULL;
		restored->nr_areas = 0;
		if (restored->claimed || found)
			continue;
		/* Closing destroys it if it is busy now. */
		restored->claimed = true;
		obj = &restored->hwpt_paging->common.obj;
		/* Fails if it is on its way out already. */
		if (!iommufd_try_inc_users(ictx, obj))
			found = obj;
	}
	return found;
}

/**
 * iommufd_restored_finish() - The session is over
 * @ictx: The iommufd
 *
 * What userspace has asked for is its to destroy. The rest goes.
 *
 * Context: May sleep.
 */
void iommufd_restored_finish(struct iommufd_ctx *ictx)
{
	struct iommufd_object *obj;

	while ((obj = next_unclaimed(ictx)))
		iommufd_object_remove(ictx, obj, obj->id, 0);
}

static bool same_translation(const struct iommufd_area_ser *ser,
			     struct iommu_domain *old, struct iommu_domain *new)
{
	/* An IOMMU may have smaller pages than the CPU. */
	const unsigned long step = 1UL << __ffs(new->pgsize_bitmap);
	unsigned long iova = ser->iova;
	unsigned long last = iova + ser->length - 1;
	phys_addr_t phys;
	unsigned long rest;

	for (;;) {
		phys = iommu_iova_to_phys(old, iova);
		if (!phys || phys != iommu_iova_to_phys(new, iova))
			return false;
		rest = step - (iova & (step - 1));
		if (last - iova < rest)
			return true;
		iova += rest;
		cond_resched();
	}
}

/*
 * What a domain allows cannot be asked for, so go by what it is filled from: all
 * of the range, without a gap. An area that has pages keeps them, and the page
 * tables keep what maps them, as long as iova_rwsem is held. Only a dma-buf can
 * be revoked at any time, and is never what a memfd was.
 */
static bool allows_as_much(const struct iommufd_area_ser *ser,
			   struct io_pagetable *iopt)
{
	unsigned long last = ser->iova + ser->length - 1;
	struct iopt_area_contig_iter iter;
	struct iopt_area *area;
	int needed = 0;

	if (ser->prot & IOMMUFD_AREA_SER_READ)
		needed |= IOMMU_READ;
	if (ser->prot & IOMMUFD_AREA_SER_WRITE)
		needed |= IOMMU_WRITE;

	lockdep_assert_held_read(&iopt->iova_rwsem);
	iopt_for_each_contig_area(&iter, area, iopt, ser->iova, last)
		if (iopt_is_dmabuf(area->pages) ||
		    (area->iommu_prot & needed) != needed)
			return false;
	return iopt_area_contig_done(&iter);
}

/* Only what is filled can be walked: nothing keeps other page tables. */
static bool maps_the_same(const struct iommufd_area_ser *ser,
			  struct iommu_domain *old,
			  struct iommufd_hwpt_paging *new)
{
	struct io_pagetable *iopt = &new->ioas->iopt;

	guard(rwsem_read)(&iopt->iova_rwsem);
	return allows_as_much(ser, iopt) &&
	       same_translation(ser, old, new->common.domain);
}

/**
 * iommufd_restored_check_replace() - May this HWPT be replaced by that one?
 * @old: HWPT that a device is attached to, of whichever kernel
 * @new: HWPT that is to replace it
 *
 * The attachment keeps what is looked at: while there is one, the session is
 * not finished.
 *
 * Context: May sleep. Under iommufd_group.lock. Time in proportion to the number
 * of pages, if userspace wants to be sure. For that of an area, nothing can be
 * mapped or unmapped in the IOAS of @new.
 *
 * Return: 0, or -EINVAL if it does and @new is not the same or allows less.
 */
int iommufd_restored_check_replace(struct iommufd_hw_pagetable *old,
				   struct iommufd_hw_pagetable *new)
{
	struct iommufd_restored *restored;
	u64 i;

	if (!hwpt_is_paging(old))
		return 0;
	restored = to_hwpt_paging(old)->liveupdate.restored;
	if (!restored || !READ_ONCE(restored->strict))
		return 0;
	if (!hwpt_is_paging(new))
		return -EINVAL;

	for (i = 0; i < restored->nr_areas; i++)
		if (!maps_the_same(&restored->areas[i], old->domain,
				   to_hwpt_paging(new)))
			return -EINVAL;
	return 0;
}
