// SPDX-License-Identifier: GPL-2.0-only
/*
 * Scalable mode: what is between the context entry and the page tables.
 *
 * The context entry points to a directory, the directory to tables of 64 PASID
 * entries. Requests without a PASID, which are all there are of a device that is
 * preserved, use PASID 0: the first entry of the table that the first word of
 * the directory points to. That table and the directory outlive the kernel, all
 * else of them is not present.
 *
 * Formats as in sections "Scalable-Mode Context-Entry", "Scalable-Mode PASID
 * Directory Entry" and "Scalable-Mode PASID Table Entry" of chapter 9 of the
 * VT-d specification. Table numbers were not checked against a revision.
 */

#define pr_fmt(fmt) "DMAR: liveupdate: " fmt

#include <linux/bitfield.h>
#include <linux/bits.h>
#include <linux/cleanup.h>
#include <linux/err.h>
#include <linux/generic_pt/iommu.h>
#include <linux/kexec_handover.h>
#include <linux/log2.h>
#include <linux/slab.h>

#include "../iommu-pages.h"
#include "iommu.h"
#include "liveupdate.h"
#include "pasid.h"

/* A word of the directory stands for 64 PASIDs, a page of it for 32768. */
#define PASIDS_PER_PAGE_LG2	(PAGE_SHIFT - 3 + PASID_PDE_SHIFT)

/* Of the lower half of a context entry */
#define SM_CONTEXT_FPD		BIT_ULL(1)
#define SM_CONTEXT_PRE		BIT_ULL(4)
#define SM_CONTEXT_RESERVED	GENMASK_ULL(8, 5)
#define SM_CONTEXT_PDTS		GENMASK_ULL(11, 9)

/* Of the first, second and third word of a PASID entry */
#define SM_PASID_FPD		BIT_ULL(1)
#define SM_PASID_AW		GENMASK_ULL(4, 2)
#define SM_PASID_PGTT		GENMASK_ULL(8, 6)
#define SM_PASID_SSADE		BIT_ULL(9)
#define SM_PASID_DID		GENMASK_ULL(15, 0)
#define SM_PASID_PGSNP		BIT_ULL(24)
#define SM_PASID_FSPM		GENMASK_ULL(3, 2)

static struct pasid_dir_entry *directory(const struct context_entry *context)
{
	return phys_to_virt(READ_ONCE(context->lo) & VTD_PAGE_MASK);
}

/**
 * vtd_pasid_entry() - Find the entry that requests without a PASID use
 * @context: Context entry that is present
 *
 * Return: The entry, or NULL if there is no table for it.
 */
struct pasid_entry *vtd_pasid_entry(const struct context_entry *context)
{
	return get_pasid_table_from_pde(directory(context));
}

static int context_check(const struct context_entry *context,
			 const struct vtd_attachment *attachment)
{
	u64 lo = READ_ONCE(context->lo), hi = READ_ONCE(context->hi);

	if (!(lo & 1))
		return -ENOENT;
	/* Page requests would be written to a queue of the previous kernel. */
	if (lo & (SM_CONTEXT_FPD | SM_CONTEXT_PRE | SM_CONTEXT_RESERVED))
		return -EINVAL;
	/* PASID 0 for requests without one, and nothing else in this half */
	if (hi || (lo & VTD_PAGE_MASK) != attachment->pasid_dir)
		return -EINVAL;
	/* The directory has 2 to the power of PDTS + 7 words. */
	if (FIELD_GET(SM_CONTEXT_PDTS, lo) + 7 + PASID_PDE_SHIFT !=
	    ilog2(attachment->max_pasid))
		return -EINVAL;
	return 0;
}

/**
 * vtd_pasid_entry_check() - Compare a PASID entry with what it has to be
 * @entry: The entry
 * @attachment: What is recorded
 *
 * Return: 0, -ENOENT if the entry is not present, -EINVAL if it is another one.
 */
int vtd_pasid_entry_check(const struct pasid_entry *entry,
			  const struct vtd_attachment *attachment)
{
	u64 val = READ_ONCE(entry->val[0]);
	u64 top, aw;

	if (!(val & PASID_PTE_PRESENT))
		return -ENOENT;
	if (val & (SM_PASID_FPD | SM_PASID_SSADE) ||
	    FIELD_GET(SM_PASID_DID, READ_ONCE(entry->val[1])) !=
		    attachment->did)
		return -EINVAL;

	if (attachment->first_stage) {
		if (FIELD_GET(SM_PASID_PGTT, val) != PASID_ENTRY_PGTT_FL_ONLY)
			return -EINVAL;
		val = READ_ONCE(entry->val[2]);
		top = val & VTD_PAGE_MASK;
		aw = FIELD_GET(SM_PASID_FSPM, val);
	} else {
		if (FIELD_GET(SM_PASID_PGTT, val) != PASID_ENTRY_PGTT_SL_ONLY)
			return -EINVAL;
		top = val & VTD_PAGE_MASK;
		aw = FIELD_GET(SM_PASID_AW, val);
	}
	return top == attachment->top && aw == attachment->aw ? 0 : -EINVAL;
}

/* Are all accesses snooped, whatever they ask for? Not told by first stage tables */
bool vtd_pasid_entry_snoops(const struct pasid_entry *entry)
{
	return READ_ONCE(entry->val[1]) & SM_PASID_PGSNP;
}

/**
 * vtd_only_pasid_0() - Is there no other entry than that of PASID 0?
 * @context: Context entry that is present
 *
 * Return: true if so.
 */
bool vtd_only_pasid_0(const struct context_entry *context)
{
	struct pasid_entry *table = vtd_pasid_entry(context);
	struct pasid_dir_entry *dir = directory(context);

	for (unsigned int i = 1; i < get_pasid_dir_size(context); i++) {
		if (pasid_pde_is_present(&dir[i]))
			return false;
	}
	for (unsigned int i = 1; table && i < PASID_TBL_ENTRIES; i++) {
		if (pasid_pte_is_present(&table[i]))
			return false;
	}
	return true;
}

/**
 * vtd_sweep_pasids() - Make every PASID go but 0
 * @iommu: The unit
 * @context: Context entry that is kept
 * @how: As to vtd_sweep()
 */
void vtd_sweep_pasids(struct intel_iommu *iommu,
		      const struct context_entry *context, enum vtd_sweep how)
{
	struct pasid_entry *table = vtd_pasid_entry(context);
	struct pasid_dir_entry *dir = directory(context);
	unsigned int nr = get_pasid_dir_size(context);

	for (unsigned int i = 1; i < nr; i++)
		WRITE_ONCE(dir[i].val, 0);
	__iommu_flush_cache(iommu, dir, nr * sizeof(*dir));

	for (unsigned int i = 1; table && i < PASID_TBL_ENTRIES; i++) {
		u64 val = READ_ONCE(table[i].val[0]);

		if (how == VTD_SWEEP_WIPE)
			pasid_clear_entry(&table[i]);
		else
			WRITE_ONCE(table[i].val[0], val & ~PASID_PTE_PRESENT);
	}
	if (table)
		__iommu_flush_cache(iommu, table, VTD_PAGE_SIZE);
}

/**
 * vtd_hold_pasid_0() - Stop translating requests without a PASID
 * @iommu: The unit
 * @context: Context entry that is present, with tables of this kernel
 * @how: As to vtd_sweep()
 */
void vtd_hold_pasid_0(struct intel_iommu *iommu,
		      const struct context_entry *context, enum vtd_sweep how)
{
	struct pasid_entry *entry = vtd_pasid_entry(context);

	if (how == VTD_SWEEP_HIDE)
		pasid_clear_present(entry);
	else
		pasid_clear_entry(entry);
	__iommu_flush_cache(iommu, entry, sizeof(*entry));
}

/**
 * vtd_attachment_check() - Compare all that is above a page table
 * @context: Context entry of a requester id
 * @attachment: What is recorded
 *
 * Return: 0, -ENOENT if something is not present, -EINVAL if it is another one.
 */
int vtd_attachment_check(const struct context_entry *context,
			 const struct vtd_attachment *attachment)
{
	struct pasid_entry *entry;
	int err;

	if (!attachment->pasid_dir)
		return vtd_context_entry_check(context, attachment);

	err = context_check(context, attachment);
	if (err)
		return err;
	entry = vtd_pasid_entry(context);
	return entry ? vtd_pasid_entry_check(entry, attachment) : -ENOENT;
}

/**
 * vtd_attachment_of() - Tell what hardware has to do for a device
 * @domain: The domain that is attached
 * @ser: Record of the device
 * @attachment: Filled
 */
void vtd_attachment_of(struct dmar_domain *domain,
		       const struct iommu_device_ser *ser,
		       struct vtd_attachment *attachment)
{
	struct pt_iommu_x86_64_hw_info first;
	struct pt_iommu_vtdss_hw_info second;

	*attachment = (struct vtd_attachment) {
		.did = ser->attachment_id,
		.first_stage = intel_domain_is_fs_paging(domain),
		.pasid_dir = ser->pasid_dir,
		.max_pasid = ser->max_pasid,
	};

	if (attachment->first_stage) {
		pt_iommu_x86_64_hw_info(&domain->fspt, &first);
		attachment->top = first.gcr3_pt;
		/* Level 5 is mode 1, level 4 mode 0. */
		attachment->aw = first.levels - 4;
	} else {
		pt_iommu_vtdss_hw_info(&domain->sspt, &second);
		attachment->top = second.ssptptr;
		attachment->aw = second.aw;
	}
}

/**
 * intel_liveupdate_preserve_pasids() - Preserve the tables of a device
 * @info: The device
 * @ser: Its record, in which the directory is described
 *
 * Context: May sleep.
 *
 * Return: 0, -EOPNOTSUPP, or the error of iommu_preserve_pages().
 */
int intel_liveupdate_preserve_pasids(struct device_domain_info *info,
				     struct iommu_device_ser *ser)
{
	struct pasid_table *pasids = info->pasid_table;
	struct pasid_entry *table;
	int err;

	if (!sm_supported(info->iommu))
		return 0;
	/* Which of its aliases have an entry depends on more than the device. */
	if (!pasids || ser->nr_aliases || info->pri_supported)
		return -EOPNOTSUPP;

	table = get_pasid_table_from_pde(pasids->table);
	if (!table)
		return -ENOENT;
	err = iommu_preserve_pages(pasids->table);
	if (err)
		return err;
	err = iommu_preserve_pages(table);
	if (err) {
		iommu_unpreserve_pages(pasids->table);
		return err;
	}

	ser->pasid_dir = virt_to_phys(pasids->table);
	ser->max_pasid = pasids->max_pasid;
	ser->pasid_dir_order = ilog2(pasids->max_pasid) - PASIDS_PER_PAGE_LG2;
	return 0;
}

/**
 * intel_liveupdate_unpreserve_pasids() - Undo intel_liveupdate_preserve_pasids()
 * @info: The device
 *
 * Context: May sleep.
 */
void intel_liveupdate_unpreserve_pasids(struct device_domain_info *info)
{
	if (!sm_supported(info->iommu))
		return;
	iommu_unpreserve_pages(get_pasid_table_from_pde(info->pasid_table->table));
	iommu_unpreserve_pages(info->pasid_table->table);
}

static int check_tables(const struct context_entry *context,
			const struct iommu_device_ser *ser)
{
	const struct vtd_attachment attachment = {
		.pasid_dir = ser->pasid_dir,
		.max_pasid = ser->max_pasid,
	};
	struct pasid_entry *table;
	int err;

	err = context_check(context, &attachment);
	if (err)
		return err;
	if (kho_preserved_order(ser->pasid_dir) != ser->pasid_dir_order)
		return -ENOENT;
	table = vtd_pasid_entry(context);
	if (!table || kho_preserved_order(virt_to_phys(table)) != 0)
		return -ENOENT;
	return vtd_only_pasid_0(context) ? 0 : -EINVAL;
}

static int restore_pasids(struct device_domain_info *info,
			  const struct iommu_device_ser *ser)
{
	struct pasid_table *pasids __free(kfree) = NULL;
	struct intel_iommu *iommu = info->iommu;
	struct context_entry *context;
	struct pasid_entry *table;
	int err;

	if (!iommu->adopted || !sm_supported(iommu))
		return -ENODEV;

	scoped_guard(spinlock, &iommu->lock)
		context = iommu_context_addr(iommu, info->bus, info->devfn, 0);
	err = context ? check_tables(context, ser) : -ENOENT;
	if (err)
		return err;

	pasids = kzalloc_obj(*pasids);
	if (!pasids)
		return -ENOMEM;

	table = vtd_pasid_entry(context);
	err = iommu_restore_pages(ser->pasid_dir,
				  PAGE_SIZE << ser->pasid_dir_order);
	if (!err)
		err = iommu_restore_pages(virt_to_phys(table), SZ_4K);
	if (err)
		return err;

	pasids->table = phys_to_virt(ser->pasid_dir);
	pasids->max_pasid = ser->max_pasid;
	info->pasid_table = no_free_ptr(pasids);
	set_bit(ser->bdf, iommu->adopted->pasids);
	return 0;
}

/**
 * intel_liveupdate_restore_pasids() - Give a device the tables it came with
 * @info: The device
 *
 * Hardware uses them. The context entry is not written. If they cannot be used,
 * because its unit was not adopted, a table was not preserved, is not as
 * recorded, or there is no memory, the device is stopped and has none: an error
 * would make the core give up the unit with all of its devices.
 *
 * Context: May sleep. While the device is probed.
 */
void intel_liveupdate_restore_pasids(struct device_domain_info *info)
{
	const struct iommu_device_ser *ser = iommu_incoming_device(info->dev);
	int err;

	if (!ser || !ser->pasid_dir)
		return;
	err = restore_pasids(info, ser);
	if (err)
		iommu_incoming_device_failed(info->dev, err);
}

/**
 * intel_liveupdate_has_pasids() - Has a device the PASID tables it came with?
 * @iommu: Its unit, which was adopted
 * @rid: Its requester id
 *
 * Context: Any. Between the probe of the device and its release.
 *
 * Return: True if intel_liveupdate_restore_pasids() gave them to it.
 */
bool intel_liveupdate_has_pasids(struct intel_iommu *iommu, u16 rid)
{
	return iommu->adopted->pasids && test_bit(rid, iommu->adopted->pasids);
}
