// SPDX-License-Identifier: GPL-2.0-only
/*
 * The kernel that leaves: devices, and what their groups may not do meanwhile.
 * See outgoing.c.
 *
 * Locking: iommu_group.mutex, which all callers and all hooks of iommu.c hold,
 * protects dev_iommu.preserved. iommu_outgoing_lock is taken inside of it.
 */

#define pr_fmt(fmt) "iommu: liveupdate: " fmt

#include <linux/cleanup.h>
#include <linux/err.h>
#include <linux/export.h>
#include <linux/slab.h>

#include "../iommu-priv.h"
#include "outgoing.h"

/**
 * iommu_group_preserved() - Device of a group that the next kernel will get
 * @group: The group
 *
 * There is one at most, see iommu_liveupdate_alone().
 *
 * Context: Under the group's mutex.
 *
 * Return: The device, or NULL.
 */
struct iommu_preserved_device *
iommu_group_preserved(struct iommu_group *group)
{
	struct group_device *gdev;

	lockdep_assert_held(&group->mutex);
	for_each_group_device(group, gdev) {
		if (gdev->dev->iommu && gdev->dev->iommu->preserved)
			return gdev->dev->iommu->preserved;
	}
	return NULL;
}

static bool has_pasid_attachments(struct iommu_group *group)
{
	unsigned long pasid = IOMMU_NO_PASID;

	return xa_find_after(&group->pasid_array, &pasid, ULONG_MAX,
			     XA_PRESENT);
}

/* Is the device attached by an owner, and does nobody share its domain? */
static int check_group(struct iommu_group *group, struct device *dev,
		       struct iommu_domain *domain)
{
	struct group_device *gdev;
	bool found = false;

	lockdep_assert_held(&group->mutex);
	if (iommu_group_preserved(group) || iommu_group_restored(group))
		return -EBUSY;
	if (!iommu_liveupdate_alone(group, dev))
		return -EOPNOTSUPP;

	for_each_group_device(group, gdev) {
		found |= gdev->dev == dev;
		if (gdev->blocked || gdev->reset_depth)
			return -EBUSY;
	}
	if (!found)
		return -ENODEV;
	if (group->recovery_cnt)
		return -EBUSY;
	if (!group->owner)
		return -EPERM;
	if (group->domain != domain || dev->iommu->attach_deferred)
		return -EINVAL;
	if (has_pasid_attachments(group))
		return -EOPNOTSUPP;
	return 0;
}

static void copy_unit(struct iommu_records *records,
		      struct iommu_preserved_unit *unit,
		      struct iommu_hw_ser *ser)
{
	const struct iommu_hw_ser *record =
		iommu_records_get(records, IOMMU_SER_UNITS, unit->id);

	*ser = *record;
}

static void copy_device(struct iommu_records *records,
			struct iommu_preserved_device *device,
			struct iommu_device_ser *ser)
{
	const struct iommu_device_ser *record =
		iommu_records_get(records, IOMMU_SER_DEVICES, device->id);

	*ser = *record;
}

/* Let the driver preserve, and record what it says */
static int record_device(struct iommu_outgoing *out,
			 struct iommu_preserved_device *preserved)
{
	const struct iommu_liveupdate_ops *ops = preserved->unit->ops;
	struct iommu_domain *domain = preserved->domain->domain;
	u32 unit_id = preserved->unit->id;
	struct iommu_hw_ser unit_was, unit;
	struct iommu_device_ser ser = {
		.unit_id = unit_id,
		.domain_id = preserved->domain->id,
	};
	int ret;

	ret = iommu_liveupdate_identify(preserved->dev, ops, &ser);
	if (ret)
		return ret;

	copy_unit(out->records, preserved->unit, &unit_was);
	unit = unit_was;
	ret = ops->preserve_device(preserved->dev, domain, &unit, &ser);
	if (ret)
		return ret;

	ret = iommu_records_update(out->records, IOMMU_SER_UNITS, unit_id,
				   &unit);
	if (ret)
		goto err_unpreserve;

	ret = iommu_records_add(out->records, IOMMU_SER_DEVICES, &ser);
	if (ret < 0)
		goto err_update;

	preserved->id = ret;
	return 0;

err_update:
	WARN_ON(iommu_records_update(out->records, IOMMU_SER_UNITS, unit_id,
				     &unit_was));
err_unpreserve:
	ops->unpreserve_device(preserved->dev, domain, &unit, &ser);
	return ret;
}

static int preserve_device(struct iommu_outgoing *out,
			   struct iommu_preserved_device *preserved,
			   const struct iommu_liveupdate_ops *ops)
{
	int ret;

	preserved->unit = iommu_outgoing_unit_get(out, preserved->dev, ops);
	if (IS_ERR(preserved->unit))
		return PTR_ERR(preserved->unit);
	refcount_inc(&preserved->domain->devices);

	ret = record_device(out, preserved);
	if (ret) {
		refcount_dec(&preserved->domain->devices);
		iommu_outgoing_unit_put(out, preserved->unit);
		return ret;
	}

	list_add_tail(&preserved->list, &out->devices);
	return 0;
}

/**
 * iommu_preserve_device() - Leave the attachment of a device to the next kernel
 * @domain: Preserved domain that is attached to @dev
 * @dev: The device
 * @device_id: Set to the id that the next kernel knows the device by
 *
 * In the next kernel the device is attached to the same page table from the
 * moment its unit knows it. Until iommu_unpreserve_device() nothing can change
 * what hardware does for it in this one.
 *
 * Context: May sleep. Takes the group's mutex.
 *
 * Return: 0. Or -ENODEV if the device has no IOMMU, -ENOENT if the domain is
 * not preserved, -EBUSY if the device is preserved already, is in a reset, or
 * was left by the previous kernel and still has the domain that came with it,
 * -EPERM if nobody owns the group's DMA, -EINVAL if another domain is attached,
 * -EOPNOTSUPP if the group has more devices than ports above this one, if
 * PASIDs are attached, if there is no name for the device or if its driver
 * cannot preserve it, or the error of the driver or the records. On error
 * nothing is changed.
 */
int iommu_preserve_device(struct iommu_domain *domain, struct device *dev,
			  u32 *device_id)
{
	struct iommu_preserved_device *preserved __free(kfree) = NULL;
	const struct iommu_liveupdate_ops *ops;
	struct iommu_group *group = dev->iommu_group;
	int ret;

	if (!group || !dev->iommu || !dev->iommu->iommu_dev)
		return -ENODEV;
	ops = iommu_liveupdate_ops_of(dev_iommu_ops(dev));
	if (!ops || domain->owner != dev_iommu_ops(dev))
		return -EOPNOTSUPP;

	preserved = kzalloc_obj(*preserved);
	if (!preserved)
		return -ENOMEM;
	preserved->dev = dev;

	guard(mutex)(&group->mutex);
	ret = check_group(group, dev, domain);
	if (ret)
		return ret;

	guard(mutex)(&iommu_outgoing_lock);
	preserved->domain = domain->preserved;
	if (!iommu_outgoing || !preserved->domain)
		return -ENOENT;

	ret = preserve_device(iommu_outgoing, preserved, ops);
	if (ret)
		return ret;

	*device_id = preserved->id;
	dev->iommu->preserved = no_free_ptr(preserved);
	return 0;
}
EXPORT_SYMBOL_NS_GPL(iommu_preserve_device, "IOMMUFD_INTERNAL");

static void forget_device(struct iommu_preserved_device *preserved)
{
	preserved->dev->iommu->preserved = NULL;
	list_del(&preserved->list);
	kfree(preserved);
}

/**
 * iommu_group_unpreserve() - Undo iommu_preserve_device()
 * @group: Group with a preserved device
 *
 * Context: May sleep. Under the group's mutex.
 */
void iommu_group_unpreserve(struct iommu_group *group)
{
	struct iommu_preserved_device *preserved = iommu_group_preserved(group);
	struct iommu_preserved_domain *domain = preserved->domain;
	struct iommu_preserved_unit *unit = preserved->unit;
	struct iommu_device_ser ser;
	struct iommu_hw_ser unit_ser;
	struct iommu_records *records;

	lockdep_assert_held(&group->mutex);
	guard(mutex)(&iommu_outgoing_lock);
	records = iommu_outgoing->records;

	copy_device(records, preserved, &ser);
	copy_unit(records, unit, &unit_ser);

	WARN_ON(iommu_records_remove(records, IOMMU_SER_DEVICES,
				     preserved->id));
	unit->ops->unpreserve_device(preserved->dev, domain->domain, &unit_ser,
				     &ser);
	WARN_ON(iommu_records_update(records, IOMMU_SER_UNITS, unit->id,
				     &unit_ser));
	refcount_dec(&domain->devices);
	iommu_outgoing_unit_put(iommu_outgoing, unit);
	forget_device(preserved);
}

/**
 * iommu_unpreserve_device() - Do not leave a device to the next kernel
 * @domain: Domain that was given to iommu_preserve_device()
 * @dev: The device
 *
 * Undoes iommu_preserve_device(). Does nothing if the device was unplugged
 * meanwhile, which has undone it.
 *
 * Context: May sleep. Takes the group's mutex.
 */
void iommu_unpreserve_device(struct iommu_domain *domain, struct device *dev)
{
	struct iommu_group *group = dev->iommu_group;
	struct iommu_preserved_device *preserved;

	if (!group)
		return;

	guard(mutex)(&group->mutex);
	preserved = iommu_group_preserved(group);
	if (!preserved || preserved->dev != dev)
		return;
	WARN_ON(preserved->domain->domain != domain);
	iommu_group_unpreserve(group);
}
EXPORT_SYMBOL_NS_GPL(iommu_unpreserve_device, "IOMMUFD_INTERNAL");

/**
 * iommu_verify_preserved_device() - Check a device before there is no way back
 * @domain: Domain that was given to iommu_preserve_device()
 * @dev: The device
 *
 * To be called while files are frozen. Hardware is compared with what is
 * recorded, and all records are read as the next kernel will read them: when it
 * refuses one of them, it is too late.
 *
 * Context: May sleep. Takes the group's mutex.
 *
 * Return: 0. Or -ENOENT if the device is not preserved any more, -EINVAL if it
 * has another domain, -EBUSY if it is in a reset, or the error of the driver or
 * of iommu_records_verify(). Nothing is changed.
 */
int iommu_verify_preserved_device(struct iommu_domain *domain,
				  struct device *dev)
{
	struct iommu_group *group = dev->iommu_group;
	struct iommu_preserved_device *preserved;
	struct iommu_records *records;
	struct iommu_hw_ser unit;
	struct iommu_device_ser ser;
	int ret;

	if (!group)
		return -ENOENT;

	guard(mutex)(&group->mutex);
	preserved = iommu_group_preserved(group);
	if (!preserved || preserved->dev != dev)
		return -ENOENT;
	if (preserved->domain->domain != domain || group->domain != domain)
		return -EINVAL;
	if (group->recovery_cnt)
		return -EBUSY;

	guard(mutex)(&iommu_outgoing_lock);
	records = iommu_outgoing->records;
	copy_unit(records, preserved->unit, &unit);
	copy_device(records, preserved, &ser);
	ret = preserved->unit->ops->verify_device(dev, domain, &unit, &ser);
	return ret ?: iommu_records_verify(records);
}
EXPORT_SYMBOL_NS_GPL(iommu_verify_preserved_device, "IOMMUFD_INTERNAL");

#if IS_ENABLED(CONFIG_IOMMUFD_TEST)
/**
 * iommu_outgoing_forget() - Forget what was preserved, as a kexec does
 *
 * What hardware and the next kernel see stays. Nothing of this kernel knows of
 * it any more. The self test sees to it that nothing is preserved or
 * unpreserved at the same time.
 *
 * Context: May sleep.
 */
void iommu_outgoing_forget(void)
{
	struct iommu_preserved_device *device, *next_device;
	struct iommu_preserved_domain *domain, *next_domain;
	struct iommu_preserved_unit *unit, *next_unit;
	struct iommu_outgoing *out;

	guard(mutex)(&iommu_outgoing_lock);
	out = iommu_outgoing;
	if (WARN_ON(!out))
		return;

	list_for_each_entry_safe(device, next_device, &out->devices, list) {
		device->dev->iommu->preserved = NULL;
		kfree(device);
	}
	list_for_each_entry_safe(domain, next_domain, &out->domains, list) {
		WRITE_ONCE(domain->domain->preserved, NULL);
		kfree(domain);
	}
	list_for_each_entry_safe(unit, next_unit, &out->units, list)
		kfree(unit);

	iommu_outgoing = NULL;
	iommu_records_forget(out->records);
	kfree(out);
}
EXPORT_SYMBOL_NS_GPL(iommu_outgoing_forget, "IOMMUFD_INTERNAL");
#endif
