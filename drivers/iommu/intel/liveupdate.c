// SPDX-License-Identifier: GPL-2.0-only

/**
 * DOC: VT-d over a live update
 *
 * Hardware walks from the Root Table Address Register over the root table, a
 * context table and the page tables to memory, and for an interrupt from the
 * Interrupt Remapping Table Address Register to the interrupt remapping table.
 * All of that is memory, and stays where it is while no kernel runs:
 *
 *  ==========================  ========================  ====================
 *  structure                   record                    section of the spec
 *  ==========================  ========================  ====================
 *  root table                  iommu_intel_ser.rtaddr    Root Entry
 *  context table               .context_tables           Context Entry
 *  interrupt remapping table   iommu_intel_ser.irta      Interrupt Remapping
 *                                                        Table Entry
 *  PASID directory             iommu_device_ser          PASID Directory Entry
 *  its first PASID table       (by the directory)        PASID Table Entry
 *  page tables                 iommu_domain_ser.pt       Second-Stage, First-
 *                                                        Stage Paging Entries
 *  domain id                   .attachment_id            Context Entry
 *  ==========================  ========================  ====================
 *
 * The sections are those of chapter 9, register descriptions those of chapter
 * 11 of the specification, revision 4.x; table numbers were not checked.
 *
 * The kernel that leaves, while it still works (this file): the first device of
 * a unit preserves its root table and interrupt remapping table, each device the
 * context tables that hold the entries of its requester ids, and pins its domain
 * id. Tables are counted, because devices share them.
 *
 * When it ends (liveupdate_shutdown.c): translation stays on, and every entry
 * that does not belong to a preserved requester id goes.
 *
 * The kernel that comes: liveupdate_adopt.c takes the unit over as it runs,
 * liveupdate_restore.c makes the driver know what hardware does for a device,
 * and liveupdate_block.c is for what is not as it was recorded: what was not
 * understood is blocked, and translation never goes off under a live device.
 * What scalable mode has in between is in liveupdate_pasid.c, for both kernels.
 *
 * Interrupt remapping stays on, too. The next kernel makes hardware switch to
 * its own table; until then the old one, which holds nothing, is in force.
 */

#define pr_fmt(fmt) "DMAR: liveupdate: " fmt

#include <linux/cleanup.h>
#include <linux/err.h>
#include <linux/generic_pt/iommu.h>
#include <linux/kexec_handover.h>
#include <linux/pci.h>
#include <linux/slab.h>

#include "../iommu-pages.h"
#include "../liveupdate/records.h"
#include "iommu.h"
#include "liveupdate.h"

static struct intel_iommu *to_intel_iommu(struct iommu_device *iommu)
{
	return container_of(iommu, struct intel_iommu, iommu);
}

static int refuse(struct intel_iommu *iommu, const char *why)
{
	pr_info("%s cannot be preserved: %s\n", iommu->name, why);
	return -EOPNOTSUPP;
}

static int check_unit(struct intel_iommu *iommu)
{
	u32 status = readl(iommu->reg + DMAR_GSTS_REG);

	if (iommu->copied_tables)
		return refuse(iommu, "its tables are those of a crashed kernel");
	if (!(status & DMA_GSTS_TES))
		return refuse(iommu, "translation is off");
	/* Whoever ends the kernel has no other way to invalidate. */
	if (!iommu->qi || !(status & DMA_GSTS_QIES))
		return refuse(iommu, "it has no invalidation queue");
	/* Such a device would be blocked until the next kernel knows it. */
	if (intel_iommu_has_rmrr(iommu))
		return refuse(iommu, "firmware uses DMA through it");
	return 0;
}

static u64 current_irta(struct intel_iommu *iommu)
{
#ifdef CONFIG_IRQ_REMAP
	if (iommu->ir_table &&
	    readl(iommu->reg + DMAR_GSTS_REG) & DMA_GSTS_IRES)
		return readq(iommu->reg + DMAR_IRTA_REG);
#endif
	return 0;
}

static void *ir_table_base(struct intel_iommu *iommu)
{
#ifdef CONFIG_IRQ_REMAP
	return iommu->ir_table->base;
#else
	return NULL;
#endif
}

/* What is true of the unit as long as devices do not matter */
static int describe_unit(struct intel_iommu *iommu,
			 struct iommu_intel_ser *intel)
{
	*intel = (struct iommu_intel_ser) {
		.reg_phys = iommu->reg_phys,
		.rtaddr = readq(iommu->reg + DMAR_RTADDR_REG),
		.irta = current_irta(iommu),
		.cap = iommu->cap,
		.ecap = iommu->ecap,
		.segment = iommu->segment,
	};

	if (iommu_ser_page_address(intel->rtaddr) !=
	    virt_to_phys(iommu->root_entry) ||
	    iommu_intel_ser_scalable(intel) != sm_supported(iommu))
		return -EIO;
	if (intel->irta && iommu_ser_page_address(intel->irta) !=
				   virt_to_phys(ir_table_base(iommu)))
		return -EIO;
	return 0;
}

static int vtd_preserve(struct iommu_device *iommu_dev,
			struct iommu_hw_ser *unit)
{
	struct vtd_preserved *preserved __free(kfree) = NULL;
	struct intel_iommu *iommu = to_intel_iommu(iommu_dev);
	int err;

	err = check_unit(iommu);
	if (err)
		return err;

	preserved = kzalloc_obj(*preserved);
	if (!preserved)
		return -ENOMEM;

	err = describe_unit(iommu, &preserved->unit);
	if (err) {
		pr_err("%s does not use the tables of this kernel\n",
		       iommu->name);
		return err;
	}

	err = iommu_preserve_pages(iommu->root_entry);
	if (err)
		return err;
	if (preserved->unit.irta) {
		err = iommu_preserve_pages(ir_table_base(iommu));
		if (err) {
			iommu_unpreserve_pages(iommu->root_entry);
			return err;
		}
	}

	unit->intel = preserved->unit;
	iommu->preserved = no_free_ptr(preserved);
	return 0;
}

static void vtd_unpreserve(struct iommu_device *iommu_dev,
			   const struct iommu_hw_ser *unit)
{
	struct intel_iommu *iommu = to_intel_iommu(iommu_dev);

	if (unit->intel.irta)
		iommu_unpreserve_pages(ir_table_base(iommu));
	iommu_unpreserve_pages(iommu->root_entry);
	/* The shutdown looks without a lock. */
	kfree(no_free_ptr(iommu->preserved));
}

static int check_device(struct device *dev, struct dmar_domain *domain)
{
	struct device_domain_info *info = dev_iommu_priv_get(dev);

	if (!dev_is_pci(dev) || dev_is_real_dma_subdevice(dev))
		return -EOPNOTSUPP;
	/* What the device has cached itself, the next kernel cannot know. */
	if (info->ats_enabled || info->pri_enabled || info->pasid_enabled ||
	    info->iopf_refcount)
		return -EOPNOTSUPP;
	if ((!intel_domain_is_ss_paging(domain) &&
	     !intel_domain_is_fs_paging(domain)) ||
	    domain->nested_parent || domain->dirty_tracking)
		return -EOPNOTSUPP;
	if (info->domain != domain || !info->domain_attached)
		return -EINVAL;
	return 0;
}

/* Each requester id of the device goes through its own entry. */
static int check_entries(struct intel_iommu *iommu, struct dmar_domain *domain,
			 const struct iommu_intel_ser *intel,
			 const struct iommu_device_ser *ser)
{
	struct vtd_attachment attachment;

	vtd_attachment_of(domain, ser, &attachment);
	guard(spinlock)(&iommu->lock);
	for (unsigned int i = 0; i < iommu_record_nr_rids(ser); i++) {
		struct context_entry *entry =
			vtd_context_entry(iommu->root_entry, intel,
					  iommu_record_rid(ser, i));
		int err = entry ? vtd_attachment_check(entry, &attachment) :
				  -ENOENT;

		if (err)
			return err;
	}
	return 0;
}

static u64 *table_word(struct iommu_intel_ser *intel, unsigned int table)
{
	return &intel->context_tables[table / BITS_PER_TYPE(u64)];
}

static void *table_base(struct intel_iommu *iommu, unsigned int table)
{
	u64 half = READ_ONCE(*vtd_root_half(iommu->root_entry, table));

	/* Context tables live as long as the unit. */
	return phys_to_virt(half & VTD_PAGE_MASK);
}

static int preserve_rid(struct intel_iommu *iommu,
			struct iommu_intel_ser *intel, u16 rid)
{
	unsigned int table = iommu_record_context_table(intel, rid);
	struct vtd_kept *kept = &iommu->preserved->kept;
	int ret;

	ret = vtd_keep_rid(kept, intel, rid);
	if (ret <= 0)
		return ret;

	ret = iommu_preserve_pages(table_base(iommu, table));
	if (ret) {
		vtd_drop_rid(kept, intel, rid);
		return ret;
	}
	*table_word(intel, table) |= BIT_ULL(table % BITS_PER_TYPE(u64));
	return 0;
}

static void unpreserve_rids(struct intel_iommu *iommu,
			    struct iommu_intel_ser *intel,
			    const struct iommu_device_ser *ser, unsigned int nr)
{
	while (nr--) {
		u16 rid = iommu_record_rid(ser, nr);
		unsigned int table = iommu_record_context_table(intel, rid);

		if (!vtd_drop_rid(&iommu->preserved->kept, intel, rid))
			continue;
		*table_word(intel, table) &=
			~BIT_ULL(table % BITS_PER_TYPE(u64));
		iommu_unpreserve_pages(table_base(iommu, table));
	}
}

static int preserve_rids(struct intel_iommu *iommu,
			 struct iommu_intel_ser *intel,
			 const struct iommu_device_ser *ser)
{
	for (unsigned int i = 0; i < iommu_record_nr_rids(ser); i++) {
		int err = preserve_rid(iommu, intel, iommu_record_rid(ser, i));

		if (err) {
			unpreserve_rids(iommu, intel, ser, i);
			return err;
		}
	}
	return 0;
}

static int vtd_preserve_device(struct device *dev, struct iommu_domain *domain,
			       struct iommu_hw_ser *unit,
			       struct iommu_device_ser *ser)
{
	struct device_domain_info *info = dev_iommu_priv_get(dev);
	struct dmar_domain *dmar_domain = to_dmar_domain(domain);
	struct intel_iommu *iommu = info->iommu;
	int err;

	err = check_device(dev, dmar_domain);
	if (err)
		return err;

	/* The domain id must not be given to anybody else meanwhile. */
	err = domain_attach_iommu(dmar_domain, iommu);
	if (err)
		return err;
	ser->attachment_id = domain_id_iommu(dmar_domain, iommu);

	err = intel_liveupdate_preserve_pasids(info, ser);
	if (err)
		goto err_detach;

	err = check_entries(iommu, dmar_domain, &unit->intel, ser);
	if (err) {
		dev_err(dev, "hardware does not use its domain: %pe\n",
			ERR_PTR(err));
		goto err_pasids;
	}

	err = preserve_rids(iommu, &unit->intel, ser);
	if (err)
		goto err_pasids;
	return 0;

err_pasids:
	intel_liveupdate_unpreserve_pasids(info);
err_detach:
	domain_detach_iommu(dmar_domain, iommu);
	return err;
}

static void vtd_unpreserve_device(struct device *dev,
				  struct iommu_domain *domain,
				  struct iommu_hw_ser *unit,
				  const struct iommu_device_ser *ser)
{
	struct device_domain_info *info = dev_iommu_priv_get(dev);

	unpreserve_rids(info->iommu, &unit->intel, ser,
			iommu_record_nr_rids(ser));
	intel_liveupdate_unpreserve_pasids(info);
	domain_detach_iommu(to_dmar_domain(domain), info->iommu);
}

static int vtd_verify_device(struct device *dev, struct iommu_domain *domain,
			     const struct iommu_hw_ser *unit,
			     const struct iommu_device_ser *ser)
{
	struct device_domain_info *info = dev_iommu_priv_get(dev);
	struct dmar_domain *dmar_domain = to_dmar_domain(domain);
	struct intel_iommu *iommu = info->iommu;
	struct iommu_intel_ser now;
	int err;

	err = check_unit(iommu);
	if (!err)
		err = describe_unit(iommu, &now);
	if (err)
		return err;
	memcpy(now.context_tables, unit->intel.context_tables,
	       sizeof(now.context_tables));
	if (memcmp(&now, &unit->intel, sizeof(now)))
		return -EIO;

	err = check_device(dev, dmar_domain);
	if (err)
		return err;
	if (domain_id_iommu(dmar_domain, iommu) != ser->attachment_id)
		return -EIO;

	for (unsigned int i = 0; i < iommu_record_nr_rids(ser); i++) {
		u16 rid = iommu_record_rid(ser, i);

		if (!test_bit(rid, iommu->preserved->kept.rids))
			return -EIO;
	}
	return check_entries(iommu, dmar_domain, &unit->intel, ser);
}

const struct iommu_liveupdate_ops intel_iommu_liveupdate_ops = {
	.type = IOMMU_SER_TYPE_INTEL,
	.preserve = vtd_preserve,
	.unpreserve = vtd_unpreserve,
	.preserve_device = vtd_preserve_device,
	.unpreserve_device = vtd_unpreserve_device,
	.verify_device = vtd_verify_device,
	.restore_domain = intel_liveupdate_restore_domain,
	.restore_attach = intel_liveupdate_restore_attach,
	.block = intel_liveupdate_block,
};
