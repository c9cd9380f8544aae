// SPDX-License-Identifier: GPL-2.0-only
/*
 * The kernel that comes finds a unit or a device that it cannot take over: DMA
 * ends, untranslated DMA does not begin. See liveupdate.c.
 *
 * Where translation has to go off, because this kernel does without the unit or
 * uses it in another mode, the devices lose bus mastering first. A read from
 * the device's configuration space pushes what it has written to memory before
 * (PCI Express, transaction ordering); what it waits for is waited for.
 */

#define pr_fmt(fmt) "DMAR: liveupdate: " fmt

#include <linux/cleanup.h>
#include <linux/crash_dump.h>
#include <linux/err.h>
#include <linux/kexec_handover.h>
#include <linux/panic.h>
#include <linux/pci.h>

#include "../liveupdate/records.h"
#include "iommu.h"
#include "liveupdate.h"

#define SUBMIT_TRIES	3

static void stop_function(struct pci_dev *pdev)
{
	u16 command;

	pci_clear_master(pdev);
	pci_read_config_word(pdev, PCI_COMMAND, &command);
	if (!pci_wait_for_pending_transaction(pdev))
		pci_warn(pdev, "still has transactions pending\n");
}

static void __init stop_all(struct intel_iommu *iommu)
{
	struct pci_dev *pdev = NULL;

	pr_warn("%s translates for devices nobody knows, all are stopped\n",
		iommu->name);
	for_each_pci_dev(pdev)
		stop_function(pdev);
}

static void __init stop_recorded(struct intel_iommu *iommu,
				 const struct iommu_hw_ser *unit)
{
	const struct iommu_device_ser *device = NULL;
	struct pci_dev *pdev;

	while ((device = iommu_incoming_unit_device(unit, device))) {
		pdev = pci_get_domain_bus_and_slot(device->segment,
						   PCI_BUS_NUM(device->bdf),
						   device->bdf & 0xff);
		if (!pdev)
			continue;
		pci_warn(pdev, "DMA is stopped, %s is not used as before\n",
			 iommu->name);
		stop_function(pdev);
		pci_dev_put(pdev);
	}
}

/**
 * intel_liveupdate_stop() - Translation of a unit is about to go off
 * @iommu: The unit
 *
 * If the previous kernel has left it on, devices that do DMA through it are
 * stopped: those that are recorded, or all there are if none can be known.
 *
 * Context: May sleep. After PCI devices were found, before they get drivers.
 */
void __init intel_liveupdate_stop(struct intel_iommu *iommu)
{
	bool handed_over = is_kho_boot() && !is_kdump_kernel();
	u32 status = readl(iommu->reg + DMAR_GSTS_REG);

	switch (vtd_whom_to_stop(handed_over, status, iommu->incoming_err)) {
	case VTD_STOP_NOBODY:
		break;
	case VTD_STOP_RECORDED:
		stop_recorded(iommu, iommu->incoming);
		iommu_incoming_unit_failed(iommu->incoming, -ENODEV);
		break;
	case VTD_STOP_ALL:
		stop_all(iommu);
		break;
	}
}

/*
 * A descriptor that hardware has refused is tried again, in case another one
 * before it was to blame. If hardware does not answer there is no use in it.
 */
static void must_submit(struct intel_iommu *iommu, struct qi_desc *desc)
{
	int err = -EAGAIN;

	for (int i = 0; err && err != -EIO && i < SUBMIT_TRIES; i++)
		err = qi_submit_sync(iommu, desc, 1, QI_OPT_BOUNDED);
	if (err)
		panic("DMAR: %s: cannot invalidate (%pe), and a device may run\n",
		      iommu->name, ERR_PTR(err));
}

/**
 * intel_liveupdate_flush_all() - Make a unit forget all that it has cached
 * @iommu: The unit
 * @scalable: Hardware is in scalable mode
 *
 * In the order that section "Set Root Table Pointer Operation" of the VT-d
 * specification asks for; not checked against a revision.
 *
 * Memory that the caches lead to is about to be given away, and domain ids that
 * they are tagged with. Panics if hardware refuses, does not answer for as long
 * as the driver waits for registers, or cannot be told at all.
 *
 * Context: Any, but not in an interrupt: waits for hardware without sleeping.
 */
void intel_liveupdate_flush_all(struct intel_iommu *iommu, bool scalable)
{
	struct qi_desc context = {
		.qw0 = QI_CC_GRAN(DMA_CCMD_GLOBAL_INVL) | QI_CC_TYPE,
	};
	struct qi_desc pasids = {
		.qw0 = QI_PC_GRAN(QI_PC_GLOBAL) | QI_PC_TYPE,
	};
	struct qi_desc iotlb;

	/* Registers: each wait ends, with a panic in the worst case. */
	if (!iommu->qi) {
		if (scalable)
			panic("DMAR: %s: cannot invalidate PASID entries without a queue, and a device may run\n",
			      iommu->name);
		iommu->flush.flush_context(iommu, 0, 0, 0,
					   DMA_CCMD_GLOBAL_INVL);
		iommu->flush.flush_iotlb(iommu, 0, 0, 0, DMA_TLB_GLOBAL_FLUSH);
		return;
	}

	qi_desc_iotlb(iommu, 0, 0, 0, DMA_TLB_GLOBAL_FLUSH, &iotlb);
	must_submit(iommu, &context);
	if (scalable)
		must_submit(iommu, &pasids);
	must_submit(iommu, &iotlb);
}

static void set_root(struct intel_iommu *iommu, u64 rtaddr)
{
	u32 sts;

	guard(raw_spinlock_irqsave)(&iommu->register_lock);
	writeq(rtaddr, iommu->reg + DMAR_RTADDR_REG);
	writel(iommu->gcmd | DMA_GCMD_SRTP, iommu->reg + DMAR_GCMD_REG);
	IOMMU_WAIT_OP(iommu, DMAR_GSTS_REG, readl, (sts & DMA_GSTS_RTPS), sts);
}

/**
 * intel_liveupdate_block_unit() - Block a unit that translates as it must not
 * @iommu: The unit, with an empty root table that hardware does not use yet
 *
 * An entry that is not present is the same in both modes. So hardware gets the
 * empty table in the mode it is in, which may only change while translation is
 * off. Then no DMA gets through, and devices are stopped before it does.
 *
 * Panics if hardware does not forget what it has cached.
 *
 * Context: May sleep. While the driver starts; all units have their queues.
 *
 * Return: true if the unit has its root table. Otherwise it is set as usual, but
 * in a unit with VTD_FLAG_BLOCK translation has to be switched off before.
 */
bool __init intel_liveupdate_block_unit(struct intel_iommu *iommu)
{
	u64 mode = readq(iommu->reg + DMAR_RTADDR_REG) & DMA_RTADDR_SMT;

	if (!(iommu->flags & VTD_FLAG_BLOCK))
		return false;

	iommu_flush_write_buffer(iommu);
	set_root(iommu, virt_to_phys(iommu->root_entry) | mode);
	intel_liveupdate_flush_all(iommu, mode);
	if (!!mode == sm_supported(iommu))
		return true;

	intel_liveupdate_stop(iommu);
	return false;
}

/**
 * intel_liveupdate_abandon() - The driver cannot start after all
 * @iommu: A unit that may be an adopted one
 *
 * Blocks it without taking memory and stops its devices, so that translation can
 * be switched off.
 *
 * Context: May sleep. While the driver starts.
 */
void __init intel_liveupdate_abandon(struct intel_iommu *iommu)
{
	struct vtd_adopted *adopted = iommu->adopted;
	struct root_entry *root = iommu->root_entry;

	if (adopted) {
		/*
		 * Nobody knows whether all context tables are this kernel's,
		 * so none is freed.
		 */
		for (unsigned int i = 0; i < VTD_NR_CONTEXT_TABLES; i++)
			WRITE_ONCE(*vtd_root_half(root, i), 0);
		__iommu_flush_cache(iommu, root, VTD_PAGE_SIZE);
		intel_liveupdate_flush_all(iommu, sm_supported(iommu));
	}
	intel_liveupdate_stop(iommu);
	/* If no unit can start, all of them may be freed. */
	if (iommu->incoming)
		iommu_incoming_unit_adopted(iommu->incoming, NULL);
	if (adopted)
		vtd_release_dids(&adopted->dids, &iommu->domain_ida);
}

struct foreign_entry_arg {
	struct intel_iommu *iommu;
	u16 did;
};

static int is_foreign_entry(struct pci_dev *pdev, u16 alias, void *opaque)
{
	struct foreign_entry_arg *arg = opaque;
	struct context_entry *context;

	guard(spinlock)(&arg->iommu->lock);
	context = iommu_context_addr(arg->iommu, PCI_BUS_NUM(alias),
				     alias & 0xff, 0);
	return context && context_present(context) &&
	       context_domain_id(context) != arg->did;
}

/**
 * intel_liveupdate_has_foreign_entry() - Is an entry that is present another one's?
 * @dev: PCI device that is about to be attached in legacy mode
 * @domain: Its domain, which has an id in the device's unit
 *
 * Devices that share a requester id share their domain, so the driver takes an
 * entry that is present for one which it has written itself. In a unit that was
 * adopted it must not.
 *
 * Context: Under the mutex of the device's group. Takes iommu->lock.
 *
 * Return: true if the entry of a requester id belongs to another domain.
 */
bool intel_liveupdate_has_foreign_entry(struct device *dev,
					struct dmar_domain *domain)
{
	struct device_domain_info *info = dev_iommu_priv_get(dev);
	struct foreign_entry_arg arg = {
		.iommu = info->iommu,
		.did = domain_id_iommu(domain, info->iommu),
	};

	return info->iommu->adopted &&
	       WARN_ON(pci_for_each_dma_alias(to_pci_dev(dev), is_foreign_entry,
					      &arg));
}

/*
 * The entry that holds a requester id back. In scalable mode that is the PASID
 * entry, if the device has the tables that it came with: it keeps them, and with
 * them its context entry, for the domain that it gets next.
 */
static void change_entry(struct intel_iommu *iommu,
			 const struct iommu_device_ser *ser, u16 rid,
			 enum vtd_sweep how)
{
	struct context_entry *context;

	guard(spinlock)(&iommu->lock);
	context = iommu_context_addr(iommu, PCI_BUS_NUM(rid), rid & 0xff, 0);
	if (!context)
		return;

	if (rid == ser->bdf && context_present(context) &&
	    intel_liveupdate_has_pasids(iommu, rid)) {
		vtd_hold_pasid_0(iommu, context, how);
		return;
	}
	if (how == VTD_SWEEP_HIDE)
		context_clear_present(context);
	else
		context_clear_entry(context);
	__iommu_flush_cache(iommu, context, sizeof(*context));
}

/* One device less will be attached to the domain that had this id. */
static void drop_did(struct intel_iommu *iommu, u16 did)
{
	struct dmar_domain *domain = NULL;

	scoped_guard(mutex, &iommu->did_lock) {
		struct vtd_restored_did *restored =
			intel_liveupdate_find_did(iommu, did);

		if (WARN_ON(!restored || !restored->pending))
			return;
		domain = restored->domain;
		if (!--restored->pending && !domain)
			ida_free(&iommu->domain_ida, did);
	}
	/* If the domain is there, it holds the id for this device as well. */
	if (domain)
		domain_detach_iommu(domain, iommu);
}

/**
 * intel_liveupdate_block() - Stop translating for a device that came over
 * @iommu_dev: Its unit, which was adopted
 * @ser: Its record. No attachment was restored
 *
 * Panics if hardware does not invalidate what it has cached.
 *
 * Context: May sleep.
 */
void intel_liveupdate_block(struct iommu_device *iommu_dev,
			    const struct iommu_device_ser *ser)
{
	struct intel_iommu *iommu =
		container_of(iommu_dev, struct intel_iommu, iommu);

	for (unsigned int i = 0; i < iommu_record_nr_rids(ser); i++)
		change_entry(iommu, ser, iommu_record_rid(ser, i),
			     VTD_SWEEP_HIDE);
	/*
	 * All: the entry may have had another domain id than the record says,
	 * which may be why it is blocked.
	 */
	intel_liveupdate_flush_all(iommu, sm_supported(iommu));
	for (unsigned int i = 0; i < iommu_record_nr_rids(ser); i++)
		change_entry(iommu, ser, iommu_record_rid(ser, i),
			     VTD_SWEEP_WIPE);
	drop_did(iommu, ser->attachment_id);
}
