// SPDX-License-Identifier: GPL-2.0-only
/*
 * The kernel that comes: the records of an iommufd. None is used before all
 * were found to be right. The page tables are not among them, see the IOMMU
 * core.
 */

#define pr_fmt(fmt) "iommufd: liveupdate: " fmt

#include <linux/err.h>
#include <linux/io.h>
#include <linux/iommu-liveupdate.h>
#include <linux/kexec_handover.h>
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "liveupdate_restore.h"

/*
 * What KHO calls an area of vzalloc(), part of the ABI of struct kho_vmalloc. It
 * does not know flags that it would have to refuse.
 */
#define RECORDS_KHO_FLAGS	0x0001

static size_t records_size(const struct iommufd_ser *ser)
{
	return ser->nr_hwpts * sizeof(struct iommufd_hwpt_ser) +
	       ser->nr_areas * sizeof(struct iommufd_area_ser);
}

/* KHO goes by pages, and would not mind. */
static int check_place(u64 data, int order)
{
	return order || !PAGE_ALIGNED(data) ? -EINVAL : 0;
}

/* The version comes first: nothing is known about the rest without it. */
static int check_root(const struct iommufd_ser *ser)
{
	if (ser->version != IOMMUFD_SER_VERSION)
		return -EOPNOTSUPP;
	if (!ser->nr_hwpts || ser->nr_hwpts > IOMMUFD_SER_MAX_HWPTS ||
	    ser->nr_areas > IOMMUFD_SER_MAX_AREAS)
		return -EINVAL;
	if (ser->records.total_pages != PFN_UP(records_size(ser)) ||
	    ser->records.flags != RECORDS_KHO_FLAGS || ser->records.order)
		return -EINVAL;
	return 0;
}

/*
 * KHO believes the list of pages that it restores, and what is wrong in it, it
 * finds when it has restored the first of them. So look at all of it before.
 */
static int check_pages(const struct kho_vmalloc *records,
		       int (*preserved_order)(phys_addr_t phys))
{
	unsigned int left = records->total_pages;
	const struct kho_vmalloc_chunk *chunk;
	u64 phys = records->first.phys;
	unsigned int i;

	while (phys) {
		if (check_place(phys, preserved_order(phys)))
			return -EINVAL;
		chunk = phys_to_virt(phys);
		for (i = 0; i < KHO_VMALLOC_SIZE && chunk->phys[i]; i++) {
			phys = chunk->phys[i];
			if (!left-- || check_place(phys, preserved_order(phys)))
				return -EINVAL;
		}

		phys = chunk->hdr.next.phys;
		/* Only full ones have a next one, so there is an end. */
		if (phys && i < KHO_VMALLOC_SIZE)
			return -EINVAL;
		cond_resched();
	}
	return left ? -EINVAL : 0;
}

/**
 * iommufd_incoming_open() - Find what the previous kernel left of an iommufd
 * @data: Its name for that, the data of the file
 *
 * Touches nothing that was preserved.
 *
 * Context: May sleep.
 *
 * Return: To be given to iommufd_incoming_free(). Or an ERR_PTR: -EOPNOTSUPP if
 * it is of another version, -EINVAL if no page that KHO has preserved begins
 * there, if its parts do not fit together or if KHO has not preserved each page
 * of the records, -ENOMEM.
 */
struct iommufd_incoming *iommufd_incoming_open(u64 data)
{
	struct iommufd_incoming *incoming;
	const struct iommufd_ser *ser;
	int rc;

	rc = check_place(data, kho_preserved_order(data));
	if (rc)
		return ERR_PTR(rc);

	ser = phys_to_virt(data);
	rc = check_root(ser);
	if (rc)
		return ERR_PTR(rc);
	rc = check_pages(&ser->records, kho_preserved_order);
	if (rc)
		return ERR_PTR(rc);

	incoming = kzalloc_obj(*incoming);
	if (!incoming)
		return ERR_PTR(-ENOMEM);
	incoming->ser = ser;
	return incoming;
}

/**
 * iommufd_incoming_load() - Take over the records
 * @incoming: From iommufd_incoming_open()
 *
 * Can be tried once. If it fails, the memory of the records stays reserved.
 *
 * Context: May sleep.
 *
 * Return: 0, or -EIO if KHO does not give them back.
 */
int iommufd_incoming_load(struct iommufd_incoming *incoming)
{
	incoming->hwpts = kho_restore_vmalloc(&incoming->ser->records);
	if (!incoming->hwpts) {
		pr_warn("the records of %u HWPTs are lost and stay reserved\n",
			incoming->ser->nr_hwpts);
		return -EIO;
	}

	incoming->areas = (const void *)(incoming->hwpts +
					 incoming->ser->nr_hwpts);
	return 0;
}

static bool area_is_right(const struct iommufd_area_ser *area)
{
	u64 last;

	return area->length && !check_add_overflow(area->iova,
						   area->length - 1, &last) &&
	       last <= ULONG_MAX &&
	       !check_add_overflow(area->offset, area->length - 1, &last) &&
	       area->prot && !(area->prot & ~IOMMUFD_AREA_SER_PROT) &&
	       !area->__reserved;
}

/* Are the areas of the HWPT there, and one behind the other? */
static bool areas_are_right(const struct iommufd_incoming *incoming,
			    const struct iommufd_hwpt_ser *hwpt)
{
	const struct iommufd_area_ser *area;
	u64 i, end;

	if (check_add_overflow(hwpt->first_area, hwpt->nr_areas, &end) ||
	    end > incoming->ser->nr_areas)
		return false;

	for (i = hwpt->first_area; i < end; i++) {
		area = &incoming->areas[i];
		if (!area_is_right(area))
			return false;
		if (i > hwpt->first_area &&
		    area->iova <= area[-1].iova + (area[-1].length - 1))
			return false;
	}
	return true;
}

static bool token_is_unique(const struct iommufd_incoming *incoming, u32 nr)
{
	u32 i;

	for (i = 0; i < nr; i++)
		if (incoming->hwpts[i].token == incoming->hwpts[nr].token ||
		    incoming->hwpts[i].domain_id ==
			    incoming->hwpts[nr].domain_id)
			return false;
	return true;
}

/**
 * iommufd_incoming_check() - Are all records right?
 * @incoming: With records loaded
 *
 * Context: May sleep.
 *
 * Return: 0 or -EINVAL.
 */
int iommufd_incoming_check(const struct iommufd_incoming *incoming)
{
	const struct iommufd_hwpt_ser *hwpt;
	u32 i;

	for (i = 0; i < incoming->ser->nr_hwpts; i++) {
		hwpt = &incoming->hwpts[i];
		if (!hwpt->domain_id || hwpt->flags & ~IOMMUFD_HWPT_SER_FLAGS ||
		    !token_is_unique(incoming, i) ||
		    !areas_are_right(incoming, hwpt))
			return -EINVAL;
		cond_resched();
	}
	return 0;
}

/**
 * iommufd_incoming_stop() - Stop the devices that nobody has bound
 * @incoming: What is about to be given up
 *
 * The files of devices stop those that nobody took over, if what the previous
 * kernel left of them is right. It is not asked here: who still uses a page table
 * that maps memory of the session must not go on.
 *
 * Context: May sleep. In .finish() of the iommufd's file.
 */
void iommufd_incoming_stop(const struct iommufd_incoming *incoming)
{
	u32 i;

	for (i = 0; incoming->hwpts && i < incoming->ser->nr_hwpts; i++)
		iommu_discard_restored_domain(incoming->hwpts[i].domain_id);
}

/**
 * iommufd_incoming_free() - Give back what the previous kernel left
 * @incoming: From iommufd_incoming_open(). Freed
 *
 * Context: May sleep.
 */
void iommufd_incoming_free(struct iommufd_incoming *incoming)
{
	vfree(incoming->hwpts);
	kho_restore_free((void *)incoming->ser);
	kfree(incoming);
}

#ifdef CONFIG_IOMMUFD_LIVEUPDATE_KUNIT_TEST
#include "liveupdate_incoming_kunit.c"
#endif
