// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a group may not do while its device is preserved for the next kernel, or
 * still has the domain that came from the previous one. All but
 * iommu_liveupdate_reset() are called under the group's mutex.
 */

#include <linux/cleanup.h>
#include <linux/device.h>
#include <linux/export.h>

#include "../iommu-priv.h"
#include "core.h"
#include "incoming.h"

static int check_free(struct iommu_group *group)
{
	lockdep_assert_held(&group->mutex);
	if (iommu_group_preserved(group) || iommu_group_restored(group))
		return -EBUSY;
	return 0;
}

/**
 * iommu_liveupdate_set_domain() - The group's domain is about to change
 * @group: The group
 * @must_succeed: The caller cannot do without
 *
 * Return: -EBUSY if the device is preserved. If the change must succeed the
 * device is unpreserved, because what is recorded will not be true.
 */
int iommu_liveupdate_set_domain(struct iommu_group *group, bool must_succeed)
{
	lockdep_assert_held(&group->mutex);
	if (!iommu_group_preserved(group))
		return 0;
	if (!must_succeed)
		return -EBUSY;

	/* The owner has forgotten to. */
	WARN_ON(1);
	iommu_group_unpreserve(group);
	return 0;
}

/**
 * iommu_liveupdate_domain_set() - The group's domain has changed
 * @group: The group
 * @old: The domain before
 */
void iommu_liveupdate_domain_set(struct iommu_group *group,
				 struct iommu_domain *old)
{
	struct iommu_restored_device *restored = iommu_group_restored(group);

	if (restored && restored->domain->domain == old)
		iommu_restored_device_left(restored);
}

/**
 * iommu_liveupdate_attach_pasid() - A domain is about to be attached to a PASID
 * @group: The group
 *
 * Return: 0 or -EBUSY.
 */
int iommu_liveupdate_attach_pasid(struct iommu_group *group)
{
	return check_free(group);
}

/**
 * iommu_liveupdate_change_type() - The group is about to get another type of
 *                                  default domain
 * @group: The group
 *
 * Return: 0 or -EBUSY.
 */
int iommu_liveupdate_change_type(struct iommu_group *group)
{
	return check_free(group);
}

/**
 * iommu_liveupdate_join() - Another device is about to become a member
 * @group: The group
 * @dev: The device
 *
 * It would share its requester id with a device that runs, or be attached to
 * a page table that was not made for it. If it runs itself it is stopped, as
 * the group has a domain of its own.
 *
 * Return: 0 or -EBUSY.
 */
int iommu_liveupdate_join(struct iommu_group *group, struct device *dev)
{
	int ret = check_free(group);

	if (!ret && group->domain)
		iommu_restored_device_join(dev);
	return ret;
}

/**
 * iommu_liveupdate_block() - A device of the group is about to be blocked, until
 *                            a reset of it is done
 * @group: The group
 *
 * Return: 0 or -EBUSY.
 */
int iommu_liveupdate_block(struct iommu_group *group)
{
	return check_free(group);
}

/**
 * iommu_liveupdate_reset() - A device that is not blocked meanwhile is about to
 *                            be reset
 * @dev: The device
 *
 * Context: May sleep. Takes the group's mutex. It is for the caller to see to
 * it that the device is not preserved before the reset is done.
 *
 * Return: 0 or -EBUSY.
 */
int iommu_liveupdate_reset(struct device *dev)
{
	struct iommu_group *group = dev->iommu_group;

	if (!group)
		return 0;

	guard(mutex)(&group->mutex);
	return check_free(group);
}
EXPORT_SYMBOL_NS_GPL(iommu_liveupdate_reset, "IOMMUFD_INTERNAL");

/**
 * iommu_liveupdate_leave() - The device is about to be removed from its group
 * @group: The group
 * @dev: The device, which is gone or cannot be used any more
 */
void iommu_liveupdate_leave(struct iommu_group *group, struct device *dev)
{
	struct dev_iommu *iommu = dev->iommu;

	if (!iommu)
		return;

	if (iommu->preserved) {
		dev_warn(dev, "unplugged, the next kernel will not get it\n");
		iommu_group_unpreserve(group);
	}
	if (iommu->restored && iommu->restored->domain)
		iommu_restored_device_unplug(group, iommu->restored);
}
