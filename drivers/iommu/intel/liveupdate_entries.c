// SPDX-License-Identifier: GPL-2.0-only
/*
 * Root and context entries that outlive the kernel: which ones, whether they
 * are what is recorded, and how the others go.
 *
 * Formats as in sections "Root Entry", "Context Entry" and "Scalable-Mode
 * Context-Entry" of chapter 9 of the VT-d specification. Table numbers were not
 * checked against a revision.
 */

#include <linux/bitfield.h>
#include <linux/bitmap.h>
#include <linux/bits.h>
#include <linux/idr.h>
#include <linux/io.h>
#include <linux/kho/abi/iommu.h>

#include "../liveupdate/records.h"
#include "liveupdate_entries.h"

/* Legacy mode: bits 11:4 of the lower and 63:24 and 7 of the upper half */
#define CONTEXT_RESERVED_LO	GENMASK_ULL(11, 4)
#define CONTEXT_RESERVED_HI	(GENMASK_ULL(63, 24) | BIT_ULL(7))
#define CONTEXT_FPD		BIT_ULL(1)
#define CONTEXT_TT		GENMASK_ULL(3, 2)
#define CONTEXT_AW		GENMASK_ULL(2, 0)

/**
 * vtd_whom_to_stop() - Decide whose DMA ends before a unit stops translating
 * @handed_over: This kernel came by a kexec that may have left devices running
 * @status: Global Status Register of the unit
 * @incoming_err: Why nothing is known of the unit, 0 if there is a record
 *
 * For a unit that this kernel does not use, be it ignored or because none is
 * used, and for one that it cannot use as it is.
 *
 * Return: Nobody's if the unit does not translate: what goes untranslated now
 * has done so before.
 */
enum vtd_stop vtd_whom_to_stop(bool handed_over, u32 status, int incoming_err)
{
	if (!handed_over || !(status & DMA_GSTS_TES))
		return VTD_STOP_NOBODY;
	return incoming_err ? VTD_STOP_ALL : VTD_STOP_RECORDED;
}

/**
 * vtd_find_did() - Find a domain id that came over
 * @dids: Those of the unit
 * @did: The domain id
 *
 * Return: What is known of it, or NULL if no device was recorded with it.
 */
struct vtd_restored_did *vtd_find_did(const struct vtd_dids *dids, u16 did)
{
	for (unsigned int i = 0; i < dids->nr; i++) {
		if (dids->ids[i].did == did)
			return &dids->ids[i];
	}
	return NULL;
}

/**
 * vtd_reserve_did() - A device is recorded with a domain id
 * @dids: Those of the unit so far
 * @ida: What the unit takes domain ids from
 * @max_did: First one that the unit cannot have
 * @did: The domain id
 *
 * Context: May sleep.
 *
 * Return: 0, -EINVAL if the id is none that a domain can have or there are more
 * ids than devices, or the error of ida_alloc_range(): -ENOSPC if somebody has
 * the id already.
 */
int vtd_reserve_did(struct vtd_dids *dids, struct ida *ida,
		    unsigned int max_did, u16 did)
{
	struct vtd_restored_did *restored = vtd_find_did(dids, did);
	int ret;

	if (restored) {
		restored->pending++;
		return 0;
	}
	if (did < IDA_START_DID || did >= max_did || dids->nr == dids->max)
		return -EINVAL;

	ret = ida_alloc_range(ida, did, did, GFP_KERNEL);
	if (ret < 0)
		return ret;
	dids->ids[dids->nr++] = (struct vtd_restored_did) {
		.did = did,
		.pending = 1,
	};
	return 0;
}

/**
 * vtd_release_dids() - Undo all of vtd_reserve_did()
 * @dids: Those of the unit
 * @ida: What they were taken from
 */
void vtd_release_dids(struct vtd_dids *dids, struct ida *ida)
{
	while (dids->nr)
		ida_free(ida, dids->ids[--dids->nr].did);
}

/**
 * vtd_keep_rid() - The entry of a requester id outlives the kernel
 * @kept: What does so far
 * @intel: Record of the unit, which tells the mode
 * @rid: The requester id
 *
 * Return: 1 if it is the first one in its context table, 0 if not, -EBUSY if
 * the requester id is kept already, which then belongs to another device.
 */
int vtd_keep_rid(struct vtd_kept *kept, const struct iommu_intel_ser *intel,
		 u16 rid)
{
	if (__test_and_set_bit(rid, kept->rids))
		return -EBUSY;
	return !kept->tables[iommu_record_context_table(intel, rid)]++;
}

/**
 * vtd_drop_rid() - Undo vtd_keep_rid()
 * @kept: What outlives the kernel
 * @intel: Record of the unit
 * @rid: A requester id that is kept
 *
 * Return: true if it was the last one in its context table.
 */
bool vtd_drop_rid(struct vtd_kept *kept, const struct iommu_intel_ser *intel,
		  u16 rid)
{
	__clear_bit(rid, kept->rids);
	return !--kept->tables[iommu_record_context_table(intel, rid)];
}

/* The word of the root table that points to a context table */
u64 *vtd_root_half(struct root_entry *root, unsigned int table)
{
	return table & 1 ? &root[table / 2].hi : &root[table / 2].lo;
}

static struct context_entry *entry_of(u64 half,
				      const struct iommu_intel_ser *intel,
				      u16 rid)
{
	struct context_entry *table = phys_to_virt(half & VTD_PAGE_MASK);

	/* Scalable mode: half as many entries, twice as long */
	return iommu_intel_ser_scalable(intel) ? &table[(rid & 0x7f) * 2] :
						 &table[rid & 0xff];
}

/**
 * vtd_context_entry() - Find the context entry of a requester id
 * @root: The root table
 * @intel: Record of the unit
 * @rid: The requester id
 *
 * Return: The entry, or NULL if there is no context table for it.
 */
struct context_entry *vtd_context_entry(struct root_entry *root,
					const struct iommu_intel_ser *intel,
					u16 rid)
{
	unsigned int table = iommu_record_context_table(intel, rid);
	u64 half = READ_ONCE(*vtd_root_half(root, table));

	return half & 1 ? entry_of(half, intel, rid) : NULL;
}

/**
 * vtd_context_entry_check() - Compare an entry with what it has to be
 * @entry: Context entry of legacy mode
 * @attachment: What is recorded
 *
 * What the kernel may choose, which is whether the device may have a TLB of its
 * own, is not compared. Fields for software are not, as hardware ignores them.
 *
 * Return: 0, -ENOENT if the entry is not present, -EINVAL if it is another one.
 */
int vtd_context_entry_check(const struct context_entry *entry,
			    const struct vtd_attachment *attachment)
{
	u64 lo = READ_ONCE(entry->lo), hi = READ_ONCE(entry->hi);
	u64 tt = FIELD_GET(CONTEXT_TT, lo);

	if (!(lo & 1))
		return -ENOENT;
	if (lo & (CONTEXT_RESERVED_LO | CONTEXT_FPD) ||
	    hi & CONTEXT_RESERVED_HI)
		return -EINVAL;
	if (tt != CONTEXT_TT_MULTI_LEVEL && tt != CONTEXT_TT_DEV_IOTLB)
		return -EINVAL;
	if ((lo & VTD_PAGE_MASK) != attachment->top ||
	    FIELD_GET(CONTEXT_AW, hi) != attachment->aw ||
	    ((hi >> 8) & U16_MAX) != attachment->did)
		return -EINVAL;
	return 0;
}

static bool sweep_entry(struct context_entry *entry, unsigned int nr_words,
			enum vtd_sweep how)
{
	bool present = context_present(entry);

	if (how == VTD_SWEEP_HIDE) {
		if (present)
			context_clear_present(entry);
		return present;
	}

	/* Hidden or never used: what hardware does not read is not atomic. */
	if (!present)
		memset(entry, 0, nr_words * sizeof(u64));
	return present;
}

static unsigned int sweep_table(struct intel_iommu *iommu, u64 half,
				unsigned int table,
				const struct iommu_intel_ser *intel,
				const struct vtd_kept *kept,
				enum vtd_sweep how)
{
	bool scalable = iommu_intel_ser_scalable(intel);
	unsigned int first = (table / 2 << 8) | (table & 1 ? 0x80 : 0);
	unsigned int nr = scalable ? 0x80 : 0x100;
	unsigned int swept = 0;

	for (unsigned int rid = first; rid < first + nr; rid++) {
		struct context_entry *entry = entry_of(half, intel, rid);

		if (!test_bit(rid, kept->rids))
			swept += sweep_entry(entry, scalable ? 4 : 2, how);
	}
	__iommu_flush_cache(iommu, phys_to_virt(half & VTD_PAGE_MASK),
			    VTD_PAGE_SIZE);
	return swept;
}

/**
 * vtd_sweep() - Make every entry go that is not kept
 * @iommu: The unit
 * @root: Its root table
 * @intel: Its record
 * @kept: What stays
 * @how: VTD_SWEEP_HIDE first, then all caches of hardware have to be
 *       invalidated, then VTD_SWEEP_WIPE: software does not write to the rest of
 *       an entry that hardware may still use (section 6.5.3.3)
 *
 * A context table that holds nothing that is kept is not read, as it may be
 * anything by now, but taken off the root table.
 *
 * Return: Number of entries of either table that were present and are not kept.
 */
unsigned int vtd_sweep(struct intel_iommu *iommu, struct root_entry *root,
		       const struct iommu_intel_ser *intel,
		       const struct vtd_kept *kept, enum vtd_sweep how)
{
	unsigned int swept = 0;

	for (unsigned int i = 0; i < VTD_NR_CONTEXT_TABLES; i++) {
		u64 *half = vtd_root_half(root, i);
		u64 val = READ_ONCE(*half);

		if (kept->tables[i]) {
			swept += sweep_table(iommu, val, i, intel, kept, how);
			continue;
		}
		swept += val & 1;
		WRITE_ONCE(*half, 0);
	}
	__iommu_flush_cache(iommu, root, VTD_PAGE_SIZE);
	return swept;
}
