// SPDX-License-Identifier: GPL-2.0-only
/*
 * The kernel that comes: how a device gets from the live update to its new
 * owner, or to nobody. See incoming.c, and incoming_device.c for the locking.
 */

#define pr_fmt(fmt) "iommu: liveupdate: " fmt

#include <linux/cleanup.h>
#include <linux/device.h>
#include <linux/err.h>
#include <linux/export.h>
#include <linux/pci.h>

#include "../iommu-priv.h"
#include "incoming.h"

/**
 * iommu_restored_device_id() - Does a device go on?
 * @dev: The device
 * @device_id: Set to what iommu_preserve_device() had set there
 * @domain_id: Set to the id of the domain it is attached to
 *
 * Context: May sleep.
 *
 * Return: 0. -ENOENT if this is an ordinary device, which it is again when all
 * files are finished. Or why the device was stopped.
 */
int iommu_restored_device_id(struct device *dev, u32 *device_id,
			     u32 *domain_id)
{
	struct iommu_restored_device *restored;

	restored = dev->iommu ? dev->iommu->restored : NULL;
	if (!restored)
		return -ENOENT;

	guard(mutex)(&iommu_incoming_lock);
	if (restored->state == IOMMU_RESTORED_FAILED && iommu_incoming_state)
		return restored->err;
	if (restored->state == IOMMU_RESTORED_DONE ||
	    restored->state == IOMMU_RESTORED_FAILED)
		return -ENOENT;
	*device_id = restored->ser.id;
	*domain_id = restored->ser.domain_id;
	return 0;
}
EXPORT_SYMBOL_NS_GPL(iommu_restored_device_id, "IOMMUFD_INTERNAL");

/**
 * iommu_device_claim_restored() - Own the DMA of a device that goes on
 * @dev: The device
 * @device_id: What iommu_preserve_device() had set there: proof that the caller
 *             is the file that the device was preserved with
 * @owner: The owner, as to iommu_device_claim_dma_owner()
 *
 * Takes over from the live update. The domain stays, hardware is not touched.
 * The owner gives the device up with iommu_device_release_dma_owner().
 *
 * Context: May sleep. Takes the group's mutex.
 *
 * Return: 0. Or why the device was stopped, -ENODEV if the device is not the
 * one or has another domain already, -EPERM if it is owned already.
 */
int iommu_device_claim_restored(struct device *dev, u32 device_id,
				void *owner)
{
	struct iommu_group *group = dev->iommu_group;
	struct iommu_restored_device *restored;

	if (WARN_ON(!owner))
		return -EINVAL;
	if (!group || !dev->iommu)
		return -ENODEV;

	guard(mutex)(&group->mutex);
	guard(mutex)(&iommu_incoming_lock);
	restored = dev->iommu->restored;
	if (!restored || restored->ser.id != device_id)
		return -ENODEV;
	if (restored->state == IOMMU_RESTORED_FAILED)
		return restored->err;
	if (iommu_group_restored(group) != restored)
		return -ENODEV;
	if (group->owner != &iommu_liveupdate_owner)
		return -EPERM;

	group->owner = owner;
	restored->state = IOMMU_RESTORED_CLAIMED;
	return 0;
}
EXPORT_SYMBOL_NS_GPL(iommu_device_claim_restored, "IOMMUFD_INTERNAL");

/**
 * iommu_restore_group_handle() - Give a restored domain its attach handle
 * @domain: Restored domain that is attached to the group of @dev
 * @dev: Device that is claimed
 * @handle: The handle, as to iommu_attach_group_handle()
 *
 * As if @domain had been attached with @handle. From here on the group can be
 * given another domain with iommu_replace_group_handle(), or be detached with
 * iommu_detach_group_handle().
 *
 * Context: May sleep. Takes the group's mutex.
 *
 * Return: 0. Or -EINVAL if another domain is attached, -EPERM if nobody has
 * claimed the device, -EBUSY if there is a handle, -ENOMEM.
 */
int iommu_restore_group_handle(struct iommu_domain *domain, struct device *dev,
			       struct iommu_attach_handle *handle)
{
	struct iommu_group *group = dev->iommu_group;

	if (!group)
		return -ENODEV;

	guard(mutex)(&group->mutex);
	if (!iommu_group_restored(group) || group->domain != domain)
		return -EINVAL;
	if (group->owner == &iommu_liveupdate_owner)
		return -EPERM;

	handle->domain = domain;
	return xa_insert(&group->pasid_array, IOMMU_NO_PASID,
			 xa_tag_pointer(handle, IOMMU_PASID_ARRAY_HANDLE),
			 GFP_KERNEL);
}
EXPORT_SYMBOL_NS_GPL(iommu_restore_group_handle, "IOMMUFD_INTERNAL");

/*
 * Stop a device that still waits for an owner, and let go of its group. All at
 * once: it can be claimed or unplugged before or after that, not in between.
 */
static void discard_present(struct iommu_restored_device *restored,
			    struct iommu_group *group)
{
	guard(mutex)(&group->mutex);
	if (iommu_group_restored(group) != restored ||
	    group->owner != &iommu_liveupdate_owner)
		return;

	/* A member of the group is not forgotten while the mutex is held. */
	dev_info(restored->dev, "nobody has taken it over, DMA is stopped\n");
	iommu_restored_device_stop(restored->dev);
	__iommu_release_dma_ownership(group);
}

/**
 * iommu_discard_restored_device() - Give up a device that nobody has claimed
 * @device_id: What iommu_preserve_device() had set there
 *
 * First the device is stopped, then its group gets its default domain. If the
 * device has not been found, or has no group yet, its requester ids are blocked
 * and it is like any other when that happens. A device that was
 * claimed, or stopped before, is left alone.
 *
 * Context: May sleep. Takes the group's mutex.
 */
void iommu_discard_restored_device(u32 device_id)
{
	struct iommu_restored_device *restored;
	struct iommu_group *group = NULL;

	scoped_guard(mutex, &iommu_incoming_lock) {
		restored = iommu_incoming_state ?
			xa_load(&iommu_incoming_state->devices, device_id) :
			NULL;
		if (!restored)
			return;

		if (restored->state == IOMMU_RESTORED_WAITING) {
			pr_warn("device %04x:%02x:%02x.%d has not come back\n",
				restored->ser.segment,
				PCI_BUS_NUM(restored->ser.bdf),
				PCI_SLOT(restored->ser.bdf & 0xff),
				PCI_FUNC(restored->ser.bdf & 0xff));
			iommu_restored_device_block(restored);
			restored->state = IOMMU_RESTORED_DONE;
			return;
		}

		/* Nothing is left that could be attached once it has a group. */
		if (restored->state == IOMMU_RESTORED_FOUND) {
			iommu_restored_device_fail(restored, -ENODEV,
						   "given up too early");
			return;
		}

		kref_get(&restored->kref);
		/* It is forgotten before its reference to the group is put. */
		if (restored->dev)
			group = iommu_group_get(restored->dev);
	}

	if (group) {
		discard_present(restored, group);
		iommu_group_put(group);
	}
	iommu_restored_device_put(restored);
}
EXPORT_SYMBOL_NS_GPL(iommu_discard_restored_device, "IOMMUFD_INTERNAL");

/* Is there a device that came attached to the domain, from id @id on? It is set. */
static bool find_attached(u32 domain_id, unsigned long *id)
{
	struct iommu_restored_device *restored;

	guard(mutex)(&iommu_incoming_lock);
	if (!iommu_incoming_state)
		return false;
	xa_for_each_start(&iommu_incoming_state->devices, *id, restored, *id)
		if (restored->ser.domain_id == domain_id)
			return true;
	return false;
}

/**
 * iommu_discard_restored_domain() - Give up the devices that use a page table
 * @domain_id: What iommu_domain_preserve() had set there
 *
 * Calls iommu_discard_restored_device() for each device that came attached to
 * the domain. It is for the file that stands between the devices and the memory:
 * what the files of the devices say of themselves may be wrong.
 *
 * Context: May sleep. Takes the mutex of the devices' groups.
 */
void iommu_discard_restored_domain(u32 domain_id)
{
	unsigned long id;

	for (id = 0; find_attached(domain_id, &id); id++)
		iommu_discard_restored_device(id);
}
EXPORT_SYMBOL_NS_GPL(iommu_discard_restored_domain, "IOMMUFD_INTERNAL");
