// SPDX-License-Identifier: GPL-2.0-only
/*
 * The kernel that comes: devices that the previous one left running.
 */
#include <linux/bug.h>
#include <linux/cleanup.h>
#include <linux/export.h>
#include <linux/iommu-liveupdate.h>
#include <linux/iommufd.h>
#include <linux/slab.h>

#include "iommufd_private.h"

/* With a users reference. NULL if the iommufd has no such HWPT */
static struct iommufd_hwpt_paging *get_restored(struct iommufd_ctx *ictx,
						u32 domain_id)
{
	struct iommufd_restored *restored;

	guard(mutex)(&ictx->liveupdate.lock);
	if (!ictx->liveupdate.incoming)
		return NULL;
	list_for_each_entry(restored, &ictx->liveupdate.restored, item) {
		if (restored->domain_id != domain_id)
			continue;
		/* It may be on its way out, and wait for the lock to go. */
		if (iommufd_try_inc_users(ictx,
					  &restored->hwpt_paging->common.obj))
			return NULL;
		return restored->hwpt_paging;
	}
	return NULL;
}

/*
 * Everything that can fail for another reason than that this is not the device
 * comes before the device is claimed, for then there is no way back but to
 * stop its DMA.
 */
static int attach_restored(struct iommufd_device *idev,
			   struct iommufd_group *igroup, u32 device_id,
			   struct iommufd_hwpt_paging *hwpt_paging)
{
	struct iommufd_attach_handle *handle;
	struct iommufd_attach *attach;
	int rc;

	lockdep_assert_held(&igroup->lock);
	handle = kzalloc_obj(*handle);
	attach = kzalloc_obj(*attach);
	if (!handle || !attach) {
		rc = -ENOMEM;
		goto err_free;
	}

	handle->idev = idev;
	attach->hwpt = &hwpt_paging->common;
	xa_init(&attach->device_array);
	rc = xa_insert(&attach->device_array, idev->obj.id, idev, GFP_KERNEL);
	if (rc)
		goto err_free;
	rc = xa_insert(&igroup->pasid_attach, IOMMU_NO_PASID, attach,
		       GFP_KERNEL);
	if (rc)
		goto err_erase_device;

	rc = iommu_device_claim_restored(idev->dev, device_id, idev->ictx);
	if (rc)
		goto err_erase_attach;

	/* Neither allocates nor finds anything else attached. */
	rc = iommu_restore_group_handle(hwpt_paging->common.domain, idev->dev,
					&handle->handle);
	if (WARN_ON(rc)) {
		iommu_device_release_dma_owner(idev->dev);
		goto err_erase_attach;
	}
	return 0;

err_erase_attach:
	xa_erase(&igroup->pasid_attach, IOMMU_NO_PASID);
err_erase_device:
	xa_erase(&attach->device_array, idev->obj.id);
err_free:
	kfree(attach);
	kfree(handle);
	return rc;
}

/**
 * iommufd_bind_restored() - Bind a device that the previous kernel left
 * @idev: The device, being bound
 * @igroup: Its group
 *
 * On success the iommufd owns the DMA of the device, and the device is attached
 * to the HWPT that it came with, as if by iommufd_device_attach(). Hardware is
 * not touched.
 *
 * Context: May sleep.
 *
 * Return: 0. -ENOENT if this is an ordinary device. Or -EPERM if its HWPT is
 * not in this iommufd, -ENOMEM, why the device was stopped, or the error of
 * iommu_device_claim_restored(). On error nothing is changed.
 */
int iommufd_bind_restored(struct iommufd_device *idev,
			  struct iommufd_group *igroup)
{
	struct iommufd_hwpt_paging *hwpt_paging;
	u32 device_id, domain_id;
	int rc;

	rc = iommu_restored_device_id(idev->dev, &device_id, &domain_id);
	if (rc)
		return rc;

	hwpt_paging = get_restored(idev->ictx, domain_id);
	if (!hwpt_paging)
		return -EPERM;

	scoped_guard(mutex, &igroup->lock)
		rc = attach_restored(idev, igroup, device_id, hwpt_paging);
	if (rc) {
		refcount_dec(&hwpt_paging->common.obj.users);
		return rc;
	}

	/* Pairs with iommufd_device_detach(), see iommufd_device_attach() */
	refcount_inc(&idev->obj.users);
	return 0;
}

/**
 * iommufd_device_is_restored() - Has the device still what it came with?
 * @idev: The device
 *
 * After iommufd_device_bind() this tells that the device is attached already,
 * so that the next attachment has to be a iommufd_device_replace().
 *
 * As long as this is true the session of the device must not be finished,
 * because the device uses memory that is only held until then. To have that for
 * sure, the .can_finish() of the device's file asks this after it has seen that
 * the device is bound.
 *
 * Context: May sleep.
 *
 * Return: True if the device is attached to a HWPT of the previous kernel.
 */
bool iommufd_device_is_restored(struct iommufd_device *idev)
{
	struct iommufd_attach *attach;

	guard(mutex)(&idev->igroup->lock);
	attach = xa_load(&idev->igroup->pasid_attach, IOMMU_NO_PASID);
	return attach && hwpt_is_paging(attach->hwpt) &&
	       to_hwpt_paging(attach->hwpt)->liveupdate.restored;
}
EXPORT_SYMBOL_NS_GPL(iommufd_device_is_restored, "IOMMUFD");
