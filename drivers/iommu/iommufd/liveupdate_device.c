// SPDX-License-Identifier: GPL-2.0-only
/*
 * The kernel that leaves: the attachment of a device to a preserved HWPT.
 */
#include <linux/cleanup.h>
#include <linux/export.h>
#include <linux/iommu-liveupdate.h>
#include <linux/iommufd.h>
#include <linux/liveupdate.h>

#include "iommufd_private.h"
#include "liveupdate_preserve.h"

/* The preserved HWPT that the device is attached to */
static struct iommufd_hwpt_paging *preserved_hwpt(struct iommufd_device *idev)
{
	struct iommufd_group *igroup = idev->igroup;
	unsigned long pasid = IOMMU_NO_PASID;
	struct iommufd_attach *attach;

	lockdep_assert_held(&idev->ictx->liveupdate.lock);
	lockdep_assert_held(&igroup->lock);

	if (xa_find_after(&igroup->pasid_attach, &pasid, ULONG_MAX, XA_PRESENT))
		return ERR_PTR(-EOPNOTSUPP);

	attach = xa_load(&igroup->pasid_attach, IOMMU_NO_PASID);
	if (!attach || !xa_load(&attach->device_array, idev->obj.id))
		return ERR_PTR(-ENOENT);

	if (!hwpt_is_paging(attach->hwpt) ||
	    !to_hwpt_paging(attach->hwpt)->liveupdate.preserved)
		return ERR_PTR(-EINVAL);
	return to_hwpt_paging(attach->hwpt);
}

static int preserve_device(struct iommufd_device *idev, u32 *device_id)
{
	struct iommufd_hwpt_paging *hwpt_paging;
	int rc;

	/* No IOMMU, a guest's view of it, or a mapping that is not in an area */
	if (!idev->igroup->group || idev->vdev ||
	    idev->igroup->sw_msi_start != PHYS_ADDR_MAX)
		return -EOPNOTSUPP;
	if (idev->preserved)
		return -EBUSY;

	hwpt_paging = preserved_hwpt(idev);
	if (IS_ERR(hwpt_paging))
		return PTR_ERR(hwpt_paging);

	rc = iommu_preserve_device(hwpt_paging->common.domain, idev->dev,
				   device_id);
	if (rc)
		return rc;

	/* Catches a caller that unbinds the device */
	refcount_inc(&idev->obj.users);
	idev->preserved = hwpt_paging;
	idev->igroup->nr_preserved++;
	list_add_tail(&idev->preserved_item, &idev->ictx->liveupdate.devices);
	return 0;
}

/**
 * iommufd_device_preserve() - Leave a device's attachment to the next kernel
 * @session: LUO session that the file of the device is being preserved in
 * @idev: The device
 * @iommufd_token: Set to the token of its iommufd in @session
 * @device_id: Set to what the next kernel knows the device by
 *
 * The device goes on using its page table while no kernel runs, and in the next
 * one. Until iommufd_device_unpreserve() it cannot be attached to anything else,
 * nor be detached.
 *
 * Context: May sleep. In .preserve() of a file of @session.
 *
 * Return: 0. Or -ENOENT if the iommufd is not preserved in @session, or the
 * device is not attached, -EINVAL if it is attached to a HWPT that is not
 * preserved, -EOPNOTSUPP if it has PASID attachments, a vDEVICE, software MSI or
 * no IOMMU, -EBUSY if it is preserved already, or the error of
 * iommu_preserve_device(). On error nothing is changed.
 */
int iommufd_device_preserve(struct liveupdate_session *session,
			    struct iommufd_device *idev, u64 *iommufd_token,
			    u32 *device_id)
{
	struct iommufd_ctx *ictx = idev->ictx;
	u64 token;
	int rc;

	rc = liveupdate_get_token_outgoing(session, ictx->file, &token);
	if (rc)
		return rc;

	guard(mutex)(&ictx->liveupdate.lock);
	guard(mutex)(&idev->igroup->lock);
	rc = preserve_device(idev, device_id);
	if (rc)
		return rc;

	*iommufd_token = token;
	return 0;
}
EXPORT_SYMBOL_NS_GPL(iommufd_device_preserve, "IOMMUFD");

/**
 * iommufd_device_unpreserve() - Undo iommufd_device_preserve()
 * @session: LUO session that the file of the device was preserved in
 * @idev: The device
 *
 * Context: May sleep. In .unpreserve() of a file of @session.
 */
void iommufd_device_unpreserve(struct liveupdate_session *session,
			       struct iommufd_device *idev)
{
	guard(mutex)(&idev->ictx->liveupdate.lock);
	guard(mutex)(&idev->igroup->lock);
	if (WARN_ON(!idev->preserved))
		return;

	iommu_unpreserve_device(idev->preserved->common.domain, idev->dev);
	list_del(&idev->preserved_item);
	idev->igroup->nr_preserved--;
	idev->preserved = NULL;
	refcount_dec(&idev->obj.users);
}
EXPORT_SYMBOL_NS_GPL(iommufd_device_unpreserve, "IOMMUFD");

/**
 * iommufd_device_is_preserved() - Must the device's translation stay?
 * @idev: The device
 *
 * Whoever is about to detach or to reset the device asks this first, because
 * it shares all of that with the other devices of its group.
 *
 * Context: May sleep.
 *
 * Return: True if a device of the group is preserved.
 */
bool iommufd_device_is_preserved(struct iommufd_device *idev)
{
	guard(mutex)(&idev->igroup->lock);
	return idev->igroup->nr_preserved;
}
EXPORT_SYMBOL_NS_GPL(iommufd_device_is_preserved, "IOMMUFD");

/**
 * iommufd_verify_devices() - Check all preserved devices of an iommufd
 * @ictx: The iommufd
 *
 * Context: May sleep. Under iommufd_ctx_liveupdate.lock.
 *
 * Return: 0 or the error of iommu_verify_preserved_device().
 */
int iommufd_verify_devices(struct iommufd_ctx *ictx)
{
	struct iommu_domain *domain;
	struct iommufd_device *idev;
	int rc;

	lockdep_assert_held(&ictx->liveupdate.lock);
	list_for_each_entry(idev, &ictx->liveupdate.devices, preserved_item) {
		domain = idev->preserved->common.domain;
		rc = iommu_verify_preserved_device(domain, idev->dev);
		if (rc)
			return rc;
	}
	return 0;
}
