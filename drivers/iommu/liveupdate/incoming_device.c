// SPDX-License-Identifier: GPL-2.0-only
/*
 * The kernel that comes: devices, from the moment that one is found until it
 * has a domain of this kernel. See incoming.c.
 *
 * Locking: a device that is attached to its restored domain stays in its state
 * while the group's mutex is held. iommu_incoming_lock is taken inside of it.
 */

#define pr_fmt(fmt) "iommu: liveupdate: " fmt

#include <linux/cleanup.h>
#include <linux/device.h>
#include <linux/err.h>
#include <linux/export.h>
#include <linux/kexec_handover.h>
#include <linux/pci.h>
#include <linux/slab.h>

#include "../iommu-priv.h"
#include "incoming.h"

char iommu_liveupdate_owner;

static void restored_device_free(struct kref *kref)
{
	kfree(container_of(kref, struct iommu_restored_device, kref));
}

/* Undo a kref_get() of a device, or kref_init() */
void iommu_restored_device_put(struct iommu_restored_device *restored)
{
	kref_put(&restored->kref, restored_device_free);
}

/* No new DMA, and what is on its way has arrived */
void iommu_restored_device_stop(struct device *dev)
{
	if (!dev_is_pci(dev))
		return;
	pci_clear_master(to_pci_dev(dev));
	if (!pci_wait_for_pending_transaction(to_pci_dev(dev)))
		dev_warn(dev, "still has transactions pending\n");
}

static void set_state(struct iommu_restored_device *restored,
		      enum iommu_restored_state state)
{
	guard(mutex)(&iommu_incoming_lock);
	restored->state = state;
}

/* Stop translating for the requester ids of a device, be it there or not. */
void iommu_restored_device_block(struct iommu_restored_device *restored)
{
	const struct iommu_liveupdate_ops *ops;
	struct iommu_device *iommu;

	lockdep_assert_held(&iommu_incoming_lock);
	if (!iommu_incoming_state)
		return;

	/* A unit that was not adopted translates for nobody. */
	iommu = iommu_incoming_unit_of(&restored->ser);
	if (IS_ERR(iommu))
		return;
	ops = iommu->ops ? iommu_liveupdate_ops_of(iommu->ops) : NULL;
	if (!WARN_ON(!ops))
		ops->block(iommu, &restored->ser);
}

/* A device that is there will not have its domain. Under iommu_incoming_lock. */
void iommu_restored_device_fail(struct iommu_restored_device *restored, int err,
				const char *why)
{
	lockdep_assert_held(&iommu_incoming_lock);
	dev_err(restored->dev, "live update: %s (%pe), DMA is stopped\n", why,
		ERR_PTR(err));
	iommu_restored_device_stop(restored->dev);
	iommu_restored_device_block(restored);
	restored->state = IOMMU_RESTORED_FAILED;
	restored->err = err;
}

static struct iommu_restored_device *
find_device(const struct iommu_device_ser *identity)
{
	const struct iommu_device_ser *ser;

	lockdep_assert_held(&iommu_incoming_lock);
	if (!iommu_incoming_state)
		return NULL;
	ser = iommu_incoming_find_device(iommu_incoming_state->records,
					 identity->segment, identity->bdf);
	return ser ? xa_load(&iommu_incoming_state->devices, ser->id) : NULL;
}

static bool same_device(const struct iommu_device_ser *a,
			const struct iommu_device_ser *b)
{
	return a->vendor == b->vendor && a->device == b->device;
}

/* The IOMMU driver will see the device next. Does it go on? */
static void found_device(struct device *dev,
			 const struct iommu_device_ser *identity)
{
	struct iommu_restored_device *restored;
	struct iommu_device *iommu;

	guard(mutex)(&iommu_incoming_lock);
	restored = find_device(identity);
	/* One that was there before, and comes back, is a new device. */
	if (!restored || restored->dev ||
	    restored->state == IOMMU_RESTORED_DONE)
		return;

	/*
	 * Each unit that is registered has all devices probed. The driver does
	 * not want those of units that are still to come: another will ask.
	 */
	iommu = iommu_incoming_unit_of(&restored->ser);
	if (!IS_ERR(iommu) && !iommu->ops)
		return;

	kref_get(&restored->kref);
	restored->dev = dev;
	dev->iommu->restored = restored;

	if (restored->state == IOMMU_RESTORED_FAILED)
		iommu_restored_device_stop(dev);
	else if (!same_device(&restored->ser, identity))
		iommu_restored_device_fail(restored, -ENODEV,
					   "another device in its place");
	else
		restored->state = IOMMU_RESTORED_FOUND;
}

/**
 * iommu_liveupdate_probe() - A device is about to be seen by its IOMMU driver
 * @dev: The device
 * @ops: Operations of the driver
 *
 * Context: May sleep. Under iommu_probe_device_lock.
 */
void iommu_liveupdate_probe(struct device *dev, const struct iommu_ops *ops)
{
	const struct iommu_liveupdate_ops *lu = iommu_liveupdate_ops_of(ops);
	struct iommu_device_ser identity = {};
	int err;

	if (!lu || dev->iommu->restored)
		return;

	err = iommu_incoming_look();
	if (err == -ENOENT || (err == -EOPNOTSUPP && !is_kho_boot()))
		return;
	if (err) {
		/* It may be any of those that were left running. */
		iommu_restored_device_stop(dev);
		return;
	}

	if (iommu_liveupdate_identify(dev, lu, &identity))
		return;
	found_device(dev, &identity);
}

/* A device that goes on and has no domain will not get its own any more. */
static void fail_found(struct device *dev, int err, const char *why)
{
	struct iommu_restored_device *restored = dev->iommu->restored;

	if (!restored)
		return;

	guard(mutex)(&iommu_incoming_lock);
	if (restored->state == IOMMU_RESTORED_FOUND)
		iommu_restored_device_fail(restored, err, why);
}

/**
 * iommu_incoming_device_failed() - The driver cannot take over a device
 * @dev: The device, which is being probed
 * @err: Why. Whoever claims the device gets it, until all files are finished
 *
 * The device is stopped and its translation is blocked. From here on the driver
 * treats it as one that did not come over.
 *
 * Context: May sleep.
 */
void iommu_incoming_device_failed(struct device *dev, int err)
{
	fail_found(dev, err, "what it came with cannot be used");
}
EXPORT_SYMBOL_NS_GPL(iommu_incoming_device_failed, "IOMMUFD_INTERNAL");

/**
 * iommu_restored_device_join() - A device is about to get its group's domain
 * @dev: The device, in a group that has a domain already
 *
 * A device that goes on would be attached to a domain that is not its own while
 * its DMA runs: it is stopped first.
 *
 * Context: May sleep. Under the group's mutex.
 */
void iommu_restored_device_join(struct device *dev)
{
	fail_found(dev, -EBUSY, "not alone in its group");
}

/**
 * iommu_liveupdate_release() - The IOMMU driver is about to release a device
 * @dev: The device
 *
 * Stops it, if it goes on and could not be set up, before the driver takes its
 * translation away.
 *
 * Context: May sleep.
 */
void iommu_liveupdate_release(struct device *dev)
{
	fail_found(dev, -ENODEV, "it could not be set up");
}

/**
 * iommu_liveupdate_free_device() - The IOMMU core forgets a device
 * @dev: The device
 *
 * Context: May sleep.
 */
void iommu_liveupdate_free_device(struct device *dev)
{
	struct iommu_restored_device *restored = dev->iommu->restored;

	if (!restored)
		return;

	fail_found(dev, -ENODEV, "its IOMMU driver does not want it");
	scoped_guard(mutex, &iommu_incoming_lock)
		restored->dev = NULL;
	dev->iommu->restored = NULL;
	iommu_restored_device_put(restored);
}

/**
 * iommu_incoming_device() - Record of a device that goes on
 * @dev: The device
 *
 * For IOMMU drivers, from probe_device on.
 *
 * Context: May sleep.
 *
 * Return: The record, which is there as long as the device, or NULL if this is
 * an ordinary device, or one that was stopped because it is not as recorded.
 */
const struct iommu_device_ser *iommu_incoming_device(struct device *dev)
{
	struct iommu_restored_device *restored = dev->iommu->restored;

	if (!restored)
		return NULL;

	guard(mutex)(&iommu_incoming_lock);
	return restored->state == IOMMU_RESTORED_FAILED ? NULL : &restored->ser;
}
EXPORT_SYMBOL_NS_GPL(iommu_incoming_device, "IOMMUFD_INTERNAL");

/**
 * iommu_group_restored() - Device of a group that still has the domain which
 *                          came from the previous kernel
 * @group: The group
 *
 * There is one at most, see iommu_liveupdate_alone().
 *
 * Context: Under the group's mutex.
 *
 * Return: The device, or NULL.
 */
struct iommu_restored_device *iommu_group_restored(struct iommu_group *group)
{
	struct iommu_restored_device *restored;
	struct group_device *gdev;

	lockdep_assert_held(&group->mutex);
	for_each_group_device(group, gdev) {
		restored = gdev->dev->iommu ? gdev->dev->iommu->restored : NULL;
		if (restored && restored->domain)
			return restored;
	}
	return NULL;
}

static int attach_restored(struct iommu_group *group,
			   struct iommu_restored_device *restored,
			   const char **why)
{
	const struct iommu_liveupdate_ops *ops;
	struct iommu_restored_domain *domain;
	struct device *dev = restored->dev;
	struct iommu_device *iommu;
	int err;

	*why = "not alone in its group";
	if (!iommu_liveupdate_alone(group, dev))
		return -EBUSY;

	*why = "its IOMMU is not the one that was recorded";
	iommu = iommu_incoming_unit_of(&restored->ser);
	if (IS_ERR(iommu))
		return PTR_ERR(iommu);
	if (iommu != dev->iommu->iommu_dev)
		return -ENODEV;

	*why = "its page table cannot be restored";
	domain = iommu_restored_domain_ref(restored->ser.domain_id, iommu);
	if (IS_ERR(domain))
		return PTR_ERR(domain);

	*why = "hardware does not do what was recorded";
	ops = dev_iommu_ops(dev)->liveupdate;
	err = ops->restore_attach(dev, domain->domain, &restored->ser);
	if (err) {
		iommu_restored_domain_unref(domain);
		return err;
	}

	restored->domain = domain;
	return 0;
}

/**
 * iommu_liveupdate_restore() - A group is about to get its first domain
 * @group: The group
 *
 * If its device goes on, the group gets the domain that hardware already uses,
 * and the live update owns its DMA. If that fails the device is stopped and the
 * group is like any other.
 *
 * Context: May sleep. Under the group's mutex.
 *
 * Return: True if the group has its domain.
 */
bool iommu_liveupdate_restore(struct iommu_group *group)
{
	struct iommu_restored_device *restored;
	struct group_device *gdev;
	const char *why;
	int err;

	lockdep_assert_held(&group->mutex);
	if (group->domain)
		return false;

	for_each_group_device(group, gdev) {
		restored = gdev->dev->iommu->restored;
		if (!restored)
			continue;

		guard(mutex)(&iommu_incoming_lock);
		if (restored->state != IOMMU_RESTORED_FOUND)
			continue;

		err = attach_restored(group, restored, &why);
		if (err) {
			iommu_restored_device_fail(restored, err, why);
			continue;
		}

		restored->state = IOMMU_RESTORED_ATTACHED;
		group->domain = restored->domain->domain;
		/* What owners detach to: claiming DMA would have set it. */
		group->blocking_domain =
			dev_iommu_ops(gdev->dev)->blocked_domain;
		group->owner = &iommu_liveupdate_owner;
		group->owner_cnt = 1;
		return true;
	}
	return false;
}

/**
 * iommu_restored_device_left() - The group has left the restored domain
 * @restored: Its device
 *
 * Context: May sleep. Under the group's mutex.
 */
void iommu_restored_device_left(struct iommu_restored_device *restored)
{
	struct iommu_restored_domain *domain = restored->domain;

	set_state(restored, IOMMU_RESTORED_DONE);
	restored->domain = NULL;
	iommu_restored_domain_unref(domain);
}

/* What else is in the group, which was never attached, gets its domain. */
static void attach_others(struct iommu_group *group, struct device *dev)
{
	struct iommu_domain *domain = group->domain;
	struct group_device *gdev;
	int err;

	for_each_group_device(group, gdev) {
		if (gdev->dev == dev)
			continue;
		err = domain->ops->attach_dev(domain, gdev->dev, NULL);
		if (err)
			dev_warn(gdev->dev, "live update: no domain (%pe)\n",
				 ERR_PTR(err));
	}
}

/**
 * iommu_restored_device_unplug() - A device leaves with its restored domain
 * @group: Its group
 * @restored: The device
 *
 * The device is stopped. Its domain is taken off, so that the core finds the
 * group as it expects one that nobody owns.
 *
 * Context: May sleep. Under the group's mutex.
 */
void iommu_restored_device_unplug(struct iommu_group *group,
				  struct iommu_restored_device *restored)
{
	struct device *dev = restored->dev;
	struct iommu_domain *blocked = dev_iommu_ops(dev)->blocked_domain;

	lockdep_assert_held(&group->mutex);
	if (group->owner != &iommu_liveupdate_owner)
		return;

	/* It may still be there, and be found again as an ordinary device. */
	iommu_restored_device_stop(dev);
	WARN_ON(blocked->ops->attach_dev(blocked, dev, group->domain));
	group->domain = group->default_domain;
	group->owner = NULL;
	group->owner_cnt = 0;
	attach_others(group, dev);
	iommu_restored_device_left(restored);
}
