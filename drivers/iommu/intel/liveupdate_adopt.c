// SPDX-License-Identifier: GPL-2.0-only
/*
 * The kernel that comes takes over units that translate. See liveupdate.c.
 *
 * The driver starts in rounds over all units, because on some chipsets nothing
 * can be invalidated before all units have their queues. In the first round a
 * unit is judged and its memory becomes that of this kernel; nothing is written
 * to hardware. In the second one what is not kept goes from the tables and the
 * caches.
 *
 * A unit that is not as it was recorded, or that nobody knows, gets an empty
 * root table instead, by the path of any unit: Set Root Table Pointer while
 * translation is on (section "Set Root Table Pointer Operation"). All its DMA
 * is blocked from there on, and none has ever gone untranslated. But in that
 * operation hardware must not change between legacy and scalable mode; see
 * liveupdate_block.c.
 */

#define pr_fmt(fmt) "DMAR: liveupdate: " fmt

#include <linux/cleanup.h>
#include <linux/crash_dump.h>
#include <linux/err.h>
#include <linux/kexec_handover.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "../iommu-pages.h"
#include "../liveupdate/records.h"
#include "iommu.h"
#include "liveupdate.h"

static int refuse(const char **why, int err, const char *text)
{
	*why = text;
	return err;
}

/* Is the unit the one that was recorded, and does it still do the same? */
static int check_registers(struct intel_iommu *iommu,
			   const struct iommu_intel_ser *intel,
			   const char **why)
{
	if (!(readl(iommu->reg + DMAR_GSTS_REG) & DMA_GSTS_TES))
		return refuse(why, -ENODEV, "translation is off");
	if (readq(iommu->reg + DMAR_RTADDR_REG) != intel->rtaddr)
		return refuse(why, -EINVAL, "it has another root table");
	if (iommu->segment != intel->segment)
		return refuse(why, -EINVAL, "it is in another segment");
	if (iommu->cap != intel->cap || iommu->ecap != intel->ecap)
		return refuse(why, -EINVAL, "its capabilities have changed");
	if (iommu_intel_ser_scalable(intel) != sm_supported(iommu))
		return refuse(why, -EOPNOTSUPP,
			      "this kernel uses the other of legacy and scalable mode");
	return 0;
}

static bool is_recorded(const struct iommu_intel_ser *intel, unsigned int table)
{
	unsigned int bits = BITS_PER_TYPE(u64);

	return intel->context_tables[table / bits] & BIT_ULL(table % bits);
}

static phys_addr_t context_table(struct root_entry *root, unsigned int table)
{
	return *vtd_root_half(root, table) & VTD_PAGE_MASK;
}

/* Each table is memory that KHO has kept for this use and no other. */
static int check_tables(const struct iommu_intel_ser *intel, const char **why)
{
	phys_addr_t root_phys = iommu_ser_page_address(intel->rtaddr);
	struct root_entry *root = phys_to_virt(root_phys);

	for (unsigned int i = 0; i < VTD_NR_CONTEXT_TABLES; i++) {
		phys_addr_t phys = context_table(root, i);

		if (!is_recorded(intel, i))
			continue;
		if ((*vtd_root_half(root, i) & ~VTD_PAGE_MASK) != 1)
			return refuse(why, -EINVAL, "a root entry is wrong");
		if (kho_preserved_order(phys) != 0 || phys == root_phys)
			return refuse(why, -EINVAL,
				      "a context table was not preserved");
		for (unsigned int j = 0; j < i; j++) {
			if (is_recorded(intel, j) &&
			    context_table(root, j) == phys)
				return refuse(why, -EINVAL,
					      "a context table is used twice");
		}
	}
	return 0;
}

/**
 * intel_liveupdate_find_did() - Find a domain id that came over
 * @iommu: The unit
 * @did: The domain id
 *
 * Context: Under iommu->did_lock.
 *
 * Return: What is known of it, or NULL if no device was recorded with it.
 */
struct vtd_restored_did *intel_liveupdate_find_did(struct intel_iommu *iommu,
						   u16 did)
{
	lockdep_assert_held(&iommu->did_lock);
	return iommu->adopted ? vtd_find_did(&iommu->adopted->dids, did) : NULL;
}

static void free_adopted(struct vtd_adopted *adopted)
{
	if (!adopted)
		return;
	bitmap_free(adopted->pasids);
	kvfree(adopted->kept);
	kfree(adopted->dids.ids);
	kfree(adopted);
}

DEFINE_FREE(free_adopted, struct vtd_adopted *, free_adopted(_T))

static struct vtd_adopted *alloc_adopted(const struct iommu_hw_ser *unit)
{
	struct vtd_adopted *adopted __free(free_adopted) = NULL;
	const struct iommu_device_ser *device = NULL;
	unsigned int nr = 0;

	while ((device = iommu_incoming_unit_device(unit, device)))
		nr++;

	if (iommu_liveupdate_fails())
		return NULL;
	adopted = kzalloc_obj(*adopted);
	if (!adopted)
		return NULL;
	adopted->dids.ids = kzalloc_objs(*adopted->dids.ids, nr);
	if (!adopted->dids.ids)
		return NULL;
	adopted->dids.max = nr;
	adopted->kept = kvzalloc_obj(*adopted->kept);
	if (!adopted->kept)
		return NULL;
	if (iommu_intel_ser_scalable(&unit->intel)) {
		adopted->pasids = bitmap_zalloc(VTD_NR_RIDS, GFP_KERNEL);
		if (!adopted->pasids)
			return NULL;
	}
	return no_free_ptr(adopted);
}

static int read_devices(struct intel_iommu *iommu,
			const struct iommu_hw_ser *unit,
			struct vtd_adopted *adopted, const char **why)
{
	const struct iommu_device_ser *device = NULL;

	while ((device = iommu_incoming_unit_device(unit, device))) {
		int err = vtd_reserve_did(&adopted->dids, &iommu->domain_ida,
					  iommu->max_domain_id,
					  device->attachment_id);

		if (err == -EINVAL)
			return refuse(why, err, "a domain id is out of range");
		if (err)
			return refuse(why, err,
				      "a domain id cannot be reserved");

		for (unsigned int i = 0; i < iommu_record_nr_rids(device); i++)
			if (vtd_keep_rid(adopted->kept, &unit->intel,
					 iommu_record_rid(device, i)) < 0)
				return refuse(why, -EINVAL,
					      "a requester id is used twice");
	}
	return 0;
}

/*
 * What has become memory of this kernel cannot be given back to KHO. If one page
 * is not what was expected, hardware still uses the others: nobody frees them.
 */
static int restore_tables(const struct iommu_intel_ser *intel,
			  const char **why)
{
	phys_addr_t root = iommu_ser_page_address(intel->rtaddr);

	if (iommu_restore_pages(root, SZ_4K))
		return refuse(why, -EINVAL, "the root table cannot be restored");

	for (unsigned int i = 0; i < VTD_NR_CONTEXT_TABLES; i++) {
		if (is_recorded(intel, i) &&
		    iommu_restore_pages(context_table(phys_to_virt(root), i),
					SZ_4K))
			return refuse(why, -EINVAL,
				      "a context table cannot be restored");
	}
	return 0;
}

/*
 * Hardware has used the table of this kernel since interrupts were set up. If
 * it still uses the old one, because this kernel does without, the old one stays
 * reserved until reboot.
 */
static void free_old_interrupt_table(struct intel_iommu *iommu,
				     const struct iommu_intel_ser *intel)
{
	phys_addr_t phys = iommu_ser_page_address(intel->irta);

	if (!intel->irta)
		return;
	if (iommu_ser_page_address(readq(iommu->reg + DMAR_IRTA_REG)) == phys) {
		pr_warn("%s: the previous kernel's interrupt remapping table is in use\n",
			iommu->name);
		return;
	}
	if (!iommu_restore_pages(phys, 32UL << (intel->irta &
						IOMMU_INTEL_SER_IRTA_SIZE)))
		iommu_free_pages(phys_to_virt(phys));
}

/**
 * intel_liveupdate_free() - Forget what a unit came with
 * @iommu: A unit that may be an adopted one, and is not used any more
 *
 * Context: May sleep.
 */
void intel_liveupdate_free(struct intel_iommu *iommu)
{
	free_adopted(iommu->adopted);
	iommu->adopted = NULL;
}

static int adopt(struct intel_iommu *iommu, const struct iommu_hw_ser *unit,
		 const char **why)
{
	struct vtd_adopted *adopted __free(free_adopted) = NULL;
	const struct iommu_intel_ser *intel = &unit->intel;
	int err;

	err = check_registers(iommu, intel, why);
	if (!err)
		err = check_tables(intel, why);
	if (err)
		return err;

	adopted = alloc_adopted(unit);
	if (!adopted)
		return refuse(why, -ENOMEM, "no memory");

	err = read_devices(iommu, unit, adopted, why);
	if (!err)
		err = restore_tables(intel, why);
	if (err) {
		vtd_release_dids(&adopted->dids, &iommu->domain_ida);
		return err;
	}

	iommu->root_entry = phys_to_virt(iommu_ser_page_address(intel->rtaddr));
	iommu->adopted = no_free_ptr(adopted);
	free_old_interrupt_table(iommu, intel);
	return 0;
}

/**
 * intel_liveupdate_look_up() - Find out what came over of all units
 *
 * Context: May sleep. Before anything else here, and before a unit can be added
 * or removed. Not under dmar_global_lock, which is taken with a group's mutex
 * held, while the live update takes that mutex in the end.
 */
void __init intel_liveupdate_look_up(void)
{
	struct dmar_drhd_unit *drhd;
	struct intel_iommu *iommu;

	/* for_each_iommu() would want the lock. */
	list_for_each_entry(drhd, &dmar_drhd_units, list) {
		iommu = drhd->iommu;
		if (!iommu)
			continue;
		iommu->incoming_err = -ENOENT;
		if (is_kho_boot() && !is_kdump_kernel())
			iommu->incoming_err =
				iommu_incoming_unit(IOMMU_SER_TYPE_INTEL,
						    iommu->reg_phys,
						    &iommu->incoming);
	}
}

/**
 * intel_liveupdate_adopt() - Judge a unit that may translate already
 * @iommu: The unit, with its invalidation queue
 *
 * Nothing is written to hardware but to the queue. If translation is on and
 * the unit cannot be adopted, the caller must give it a root table while it is.
 *
 * Context: May sleep. While the driver starts, before there is any device.
 *
 * Return: true if the unit has its root table: the one it came with.
 */
bool __init intel_liveupdate_adopt(struct intel_iommu *iommu)
{
	bool translates = iommu->flags & VTD_FLAG_TRANS_PRE_ENABLED;
	const char *why = "what the previous kernel left is not known";
	int err = iommu->incoming_err;

	if (!is_kho_boot() || is_kdump_kernel())
		return false;

	if (!err)
		err = adopt(iommu, iommu->incoming, &why);
	else if (!translates)
		return false;

	/* From here on, what is on is not taken for a crashed kernel's. */
	iommu->flags &= ~VTD_FLAG_TRANS_PRE_ENABLED;
	if (!err)
		return true;

	if (translates)
		iommu->flags |= VTD_FLAG_BLOCK;
	if (iommu->incoming) {
		iommu_incoming_unit_failed(iommu->incoming, err);
		/* It is used all the same, and can free what came with it. */
		iommu_incoming_unit_adopted(iommu->incoming, &iommu->iommu);
	}
	pr_err("%s: %s (%pe), %s\n", iommu->name, why, ERR_PTR(err),
	       translates ? "all its DMA is blocked" : "it is not taken over");
	return false;
}

/**
 * intel_liveupdate_take_over() - Leave only what is recorded, in an adopted unit
 * @iommu: The unit
 *
 * The previous kernel has done the same. But what it had cached, and what it
 * could not, is tagged with domain ids that this kernel gives out again.
 *
 * Context: May sleep. While the driver starts; all units have their queues.
 *
 * Return: false if the unit is not an adopted one.
 */
bool __init intel_liveupdate_take_over(struct intel_iommu *iommu)
{
	struct vtd_adopted *adopted = iommu->adopted;
	const struct iommu_intel_ser *intel;
	unsigned int swept;
	bool scalable;

	if (!adopted)
		return false;

	iommu_flush_write_buffer(iommu);
	intel = &iommu->incoming->intel;
	scalable = iommu_intel_ser_scalable(intel);
	swept = vtd_sweep(iommu, iommu->root_entry, intel, adopted->kept,
			  VTD_SWEEP_HIDE);
	intel_liveupdate_flush_all(iommu, scalable);
	vtd_sweep(iommu, iommu->root_entry, intel, adopted->kept,
		  VTD_SWEEP_WIPE);
	if (swept)
		pr_warn("%s: %u entries were left that nobody has recorded\n",
			iommu->name, swept);
	pr_info("%s goes on translating for %u requester ids\n", iommu->name,
		bitmap_weight(adopted->kept->rids, VTD_NR_RIDS));

	iommu_incoming_unit_adopted(iommu->incoming, &iommu->iommu);
	kvfree(adopted->kept);
	adopted->kept = NULL;
	return true;
}
