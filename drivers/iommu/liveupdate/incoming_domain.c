// SPDX-License-Identifier: GPL-2.0-only
/*
 * The kernel that comes: domains. One object for each record, shared by all
 * devices that are attached and by the file that it was preserved with. See
 * incoming.c.
 */

#define pr_fmt(fmt) "iommu: liveupdate: " fmt

#include <linux/cleanup.h>
#include <linux/err.h>
#include <linux/export.h>
#include <linux/slab.h>

#include "../iommu-priv.h"
#include "incoming.h"

/*
 * A unit that knows the format of the domain: that of a device which uses it,
 * or any if none does.
 */
static struct iommu_device *any_unit(const struct iommu_domain_ser *ser)
{
	struct iommu_restored_device *device;
	struct iommu_restored_unit *unit;
	struct iommu_device *iommu;
	unsigned long id;

	xa_for_each(&iommu_incoming_state->devices, id, device) {
		if (device->ser.domain_id != ser->id)
			continue;
		iommu = iommu_incoming_unit_of(&device->ser);
		if (!IS_ERR(iommu))
			return iommu;
	}

	xa_for_each(&iommu_incoming_state->units, id, unit) {
		const struct iommu_liveupdate_ops *ops = NULL;

		/* A unit whose driver gave up is never registered. */
		if (unit->iommu && unit->iommu->ops)
			ops = iommu_liveupdate_ops_of(unit->iommu->ops);
		if (ops && ops->type == ser->type)
			return unit->iommu;
	}
	return NULL;
}

/**
 * iommu_restored_domain_build() - Build the domain around the page table
 * @restored: What came over
 * @iommu: Unit that the domain is for, NULL for any that fits
 *
 * Does nothing if there is a domain.
 *
 * Context: May sleep. Under iommu_incoming_lock.
 *
 * Return: 0, -ENODEV if no unit fits, or the error of its driver.
 */
int iommu_restored_domain_build(struct iommu_restored_domain *restored,
				struct iommu_device *iommu)
{
	const struct iommu_liveupdate_ops *ops;
	struct iommu_domain *domain;

	lockdep_assert_held(&iommu_incoming_lock);
	if (restored->domain)
		return 0;

	if (!iommu)
		iommu = any_unit(&restored->ser);
	ops = iommu ? iommu_liveupdate_ops_of(iommu->ops) : NULL;
	if (!ops || ops->type != restored->ser.type)
		return -ENODEV;

	domain = ops->restore_domain(iommu, &restored->ser);
	if (IS_ERR(domain))
		return PTR_ERR(domain);

	domain->restored = restored;
	restored->domain = domain;
	return 0;
}

/**
 * iommu_restored_domain_ref() - Get a domain by its record
 * @id: Id of the record
 * @iommu: Unit that the domain is for, NULL for any that fits
 *
 * Context: May sleep. Under iommu_incoming_lock.
 *
 * Return: What came over, with a domain, or an ERR_PTR: -ENOENT if nothing did,
 * or the error of iommu_restored_domain_build().
 */
struct iommu_restored_domain *
iommu_restored_domain_ref(u32 id, struct iommu_device *iommu)
{
	struct iommu_restored_domain *restored;
	int err;

	lockdep_assert_held(&iommu_incoming_lock);
	if (!iommu_incoming_state)
		return ERR_PTR(-ENOENT);
	restored = xa_load(&iommu_incoming_state->domains, id);
	if (!restored)
		return ERR_PTR(-ENOENT);

	err = iommu_restored_domain_build(restored, iommu);
	if (err)
		return ERR_PTR(err);

	kref_get(&restored->kref);
	return restored;
}

static void restored_domain_free(struct kref *kref)
{
	struct iommu_restored_domain *restored =
		container_of(kref, struct iommu_restored_domain, kref);

	if (restored->domain)
		iommu_domain_free(restored->domain);
	kfree(restored);
}

/**
 * iommu_restored_domain_unref() - Undo iommu_restored_domain_ref()
 * @restored: What that returned
 *
 * The last reference frees the page table. No hardware uses it by then.
 *
 * Context: May sleep. Time in proportion to the number of tables.
 */
void iommu_restored_domain_unref(struct iommu_restored_domain *restored)
{
	kref_put(&restored->kref, restored_domain_free);
}

/**
 * iommu_restored_domain_get() - Get a domain of the previous kernel
 * @domain_id: What iommu_domain_preserve() had set there
 *
 * Nothing can be mapped into the domain or unmapped from it, and no device but
 * those that it came with can be attached.
 *
 * Context: May sleep.
 *
 * Return: The domain, to be given to iommu_restored_domain_put(). Or an ERR_PTR:
 * -ENOENT if there is no such domain or all files are finished, -ENODEV if no
 * unit is there that it is for, or the error of the IOMMU driver or of
 * iommu_incoming_look().
 */
struct iommu_domain *iommu_restored_domain_get(u32 domain_id)
{
	struct iommu_restored_domain *restored;
	int err;

	/* Files may come back before any IOMMU driver has asked. */
	err = iommu_incoming_look();
	if (err)
		return ERR_PTR(err);

	guard(mutex)(&iommu_incoming_lock);
	restored = iommu_restored_domain_ref(domain_id, NULL);
	return IS_ERR(restored) ? ERR_CAST(restored) : restored->domain;
}
EXPORT_SYMBOL_NS_GPL(iommu_restored_domain_get, "IOMMUFD_INTERNAL");

/**
 * iommu_restored_domain_put() - Undo iommu_restored_domain_get()
 * @domain: What that returned
 *
 * Context: May sleep. Time in proportion to the number of tables.
 */
void iommu_restored_domain_put(struct iommu_domain *domain)
{
	iommu_restored_domain_unref(domain->restored);
}
EXPORT_SYMBOL_NS_GPL(iommu_restored_domain_put, "IOMMUFD_INTERNAL");
