// SPDX-License-Identifier: GPL-2.0-only
/*
 * The kernel that comes makes the driver know what hardware does for a device
 * already. Nothing here writes to hardware. See liveupdate.c.
 */

#define pr_fmt(fmt) "DMAR: liveupdate: " fmt

#include <linux/cleanup.h>
#include <linux/err.h>
#include <linux/generic_pt/iommu.h>
#include <linux/pci.h>
#include <linux/slab.h>

#include "../iommu-pages.h"
#include "../iommu-priv.h"
#include "../liveupdate/records.h"
#include "iommu.h"
#include "liveupdate.h"
#include "pasid.h"

/*
 * Only devices that came with the domain can be attached to it, which they are
 * if the change to another domain has failed.
 */
static int restored_attach_dev(struct iommu_domain *domain, struct device *dev,
			       struct iommu_domain *old)
{
	const struct iommu_device_ser *ser = iommu_incoming_device(dev);
	struct iommu_domain *blocked;

	/* A port in the group of such a device had no domain before. */
	if (!ser && dev_is_pci(dev) && pci_is_bridge(to_pci_dev(dev))) {
		blocked = dev_iommu_ops(dev)->blocked_domain;
		return blocked->ops->attach_dev(blocked, dev, old);
	}
	if (!ser || ser->domain_id != to_dmar_domain(domain)->restored_id)
		return -EINVAL;
	return intel_ss_paging_domain_ops.attach_dev(domain, dev, old);
}

/* Leaves are as they are, and so is what they enforce. */
static bool restored_enforce_cache_coherency(struct iommu_domain *domain)
{
	return to_dmar_domain(domain)->force_snooping;
}

static void restored_free(struct iommu_domain *domain)
{
	intel_ss_paging_domain_ops.free(domain);
}

static void restored_flush_iotlb_all(struct iommu_domain *domain)
{
	cache_tag_flush_all(to_dmar_domain(domain));
}

const struct iommu_domain_ops intel_restored_fs_domain_ops = {
	IOMMU_PT_DOMAIN_OPS(x86_64),
	.attach_dev = restored_attach_dev,
	.flush_iotlb_all = restored_flush_iotlb_all,
	.free = restored_free,
	.enforce_cache_coherency = restored_enforce_cache_coherency,
};

const struct iommu_domain_ops intel_restored_ss_domain_ops = {
	IOMMU_PT_DOMAIN_OPS(vtdss),
	.attach_dev = restored_attach_dev,
	.flush_iotlb_all = restored_flush_iotlb_all,
	.free = restored_free,
	.enforce_cache_coherency = restored_enforce_cache_coherency,
};

/**
 * intel_liveupdate_restore_domain() - Build a domain around a page table
 * @iommu_dev: Unit that the domain is for
 * @ser: Record of the domain
 *
 * Context: May sleep.
 *
 * Return: The domain, or an ERR_PTR: -ENOMEM, -EOPNOTSUPP if the page table is
 * of another format than VT-d has or needs what the unit does not do, or the
 * error of the page table.
 */
struct iommu_domain *
intel_liveupdate_restore_domain(struct iommu_device *iommu_dev,
				const struct iommu_domain_ser *ser)
{
	struct intel_iommu *iommu =
		container_of(iommu_dev, struct intel_iommu, iommu);
	struct dmar_domain *domain;
	int err;

	if (ser->pt.features & PT_IOMMU_SER_F_FORCE_WRITEABLE)
		return ERR_PTR(-EOPNOTSUPP);

	domain = intel_paging_domain_alloc();
	if (IS_ERR(domain))
		return ERR_CAST(domain);

	/* Tables are not written to. Caches of the CPU know none of them. */
	domain->iommu.iommu_device = iommu_dev->dev;
	domain->iommu.nid = iommu->node;
	switch (ser->pt.format) {
	case PT_IOMMU_SER_FMT_VTDSS:
		err = pt_iommu_vtdss_restore(&domain->sspt, &ser->pt);
		domain->domain.ops = &intel_restored_ss_domain_ops;
		break;
	case PT_IOMMU_SER_FMT_X86_64:
		err = pt_iommu_x86_64_restore(&domain->fspt, &ser->pt);
		domain->domain.ops = &intel_restored_fs_domain_ops;
		break;
	default:
		err = -EOPNOTSUPP;
	}
	if (err) {
		kfree(domain);
		return ERR_PTR(err);
	}

	domain->domain.type = IOMMU_DOMAIN_UNMANAGED;
	domain->domain.owner = &intel_iommu_ops;
	domain->force_snooping =
		!!(ser->pt.features & PT_IOMMU_SER_F_FORCE_COHERENCE);
	domain->iotlb_sync_map = true;
	domain->restored_id = ser->id;
	return &domain->domain;
}

static int check_alias(struct pci_dev *pdev, u16 alias, void *data)
{
	const struct iommu_device_ser *ser = data;

	for (unsigned int i = 0; i < iommu_record_nr_rids(ser); i++) {
		if (iommu_record_rid(ser, i) == alias)
			return 0;
	}
	return -EINVAL;
}

/* Every requester id that a detach would look at, and no other, translates. */
static int check_entries(struct device *dev, struct dmar_domain *domain,
			 const struct iommu_device_ser *ser)
{
	struct device_domain_info *info = dev_iommu_priv_get(dev);
	struct intel_iommu *iommu = info->iommu;
	struct vtd_attachment attachment;
	int err;

	err = pci_for_each_dma_alias(to_pci_dev(dev), check_alias, (void *)ser);
	if (err)
		return err;

	vtd_attachment_of(domain, ser, &attachment);
	guard(spinlock)(&iommu->lock);
	for (unsigned int i = 0; i < iommu_record_nr_rids(ser); i++) {
		u16 rid = iommu_record_rid(ser, i);
		struct context_entry *entry =
			iommu_context_addr(iommu, PCI_BUS_NUM(rid), rid & 0xff,
					   0);

		err = entry ? vtd_attachment_check(entry, &attachment) :
			      -ENOENT;
		if (err)
			return err;
	}
	return 0;
}

/*
 * A first stage table does not tell whether accesses are snooped, the entry of
 * each device does. What the domain enforces is what all of them have.
 */
static void restore_snooping(struct device_domain_info *info,
			     struct dmar_domain *domain)
{
	struct pasid_entry *entry;

	lockdep_assert_held(&domain->lock);
	if (!intel_domain_is_fs_paging(domain))
		return;
	entry = intel_pasid_get_entry(info->dev, IOMMU_NO_PASID);
	domain->force_snooping = entry && vtd_pasid_entry_snoops(entry) &&
		(list_empty(&domain->devices) || domain->force_snooping);
}

/*
 * Give the domain the id that hardware has for it. It holds it for all devices
 * that are recorded, until they are attached or blocked: otherwise it might give
 * it up, and another domain get it, while there is an entry with it.
 */
static int attach_did(struct dmar_domain *domain, struct intel_iommu *iommu,
		      u16 did)
{
	struct iommu_domain_info *info __free(kfree) = kzalloc_obj(*info);
	struct vtd_restored_did *restored;
	int err;

	if (!info)
		return -ENOMEM;

	guard(mutex)(&iommu->did_lock);
	restored = intel_liveupdate_find_did(iommu, did);
	if (!restored || !restored->pending)
		return -EINVAL;
	if (restored->domain) {
		if (restored->domain != domain)
			return -EINVAL;
		restored->pending--;
		return 0;
	}

	info->refcnt = restored->pending;
	info->did = did;
	info->iommu = iommu;
	err = xa_insert(&domain->iommu_array, iommu->seq_id, info, GFP_KERNEL);
	if (err)
		return err;
	retain_and_null_ptr(info);
	restored->domain = domain;
	restored->pending--;
	return 0;
}

/* The core will have the device blocked, which gives the id up. */
static void undo_attach_did(struct intel_iommu *iommu, u16 did)
{
	guard(mutex)(&iommu->did_lock);
	intel_liveupdate_find_did(iommu, did)->pending++;
}

/**
 * intel_liveupdate_restore_attach() - Record an attachment that hardware has
 * @dev: The device
 * @domain: The restored domain
 * @ser: Record of the device
 *
 * Context: May sleep. Under the group's mutex.
 *
 * Return: 0. Or -ENODEV if the unit was not adopted, -ENOENT if hardware does
 * not translate for the device, -EINVAL if it does otherwise than recorded or
 * for other requester ids, -EOPNOTSUPP if the device has an IOTLB that is on,
 * -ENOMEM.
 */
int intel_liveupdate_restore_attach(struct device *dev,
				    struct iommu_domain *domain,
				    const struct iommu_device_ser *ser)
{
	struct device_domain_info *info = dev_iommu_priv_get(dev);
	struct dmar_domain *dmar_domain = to_dmar_domain(domain);
	struct intel_iommu *iommu = info->iommu;
	unsigned long flags;
	int err;

	if (!iommu->adopted)
		return -ENODEV;
	if (!dev_is_pci(dev) || dev_is_real_dma_subdevice(dev) ||
	    info->ats_enabled)
		return -EOPNOTSUPP;

	err = paging_domain_compatible(domain, dev);
	if (!err)
		err = check_entries(dev, dmar_domain, ser);
	if (err)
		return err;

	err = attach_did(dmar_domain, iommu, ser->attachment_id);
	if (err)
		return err;
	err = cache_tag_assign_domain(dmar_domain, dev, IOMMU_NO_PASID);
	if (err) {
		undo_attach_did(iommu, ser->attachment_id);
		return err;
	}

	info->domain = dmar_domain;
	info->domain_attached = true;
	spin_lock_irqsave(&dmar_domain->lock, flags);
	restore_snooping(info, dmar_domain);
	list_add(&info->link, &dmar_domain->devices);
	spin_unlock_irqrestore(&dmar_domain->lock, flags);
	return 0;
}
