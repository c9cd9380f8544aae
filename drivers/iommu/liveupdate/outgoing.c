// SPDX-License-Identifier: GPL-2.0-only

/**
 * DOC: IOMMU live update: the kernel that leaves
 *
 * iommufd names what shall outlive the kernel, domain by domain and device by
 * device. The core preserves them with the driver's help and keeps a record of
 * each. Whatever a device depends on has to be there before it: the domain
 * because iommufd preserved it, the unit because the core does so for the
 * unit's first device, and no longer than for its last.
 *
 * Preserving changes nothing that hardware sees. It is a promise that what
 * was recorded stays as it is until the next kernel reads it, because between
 * the freeze of the files and the jump nobody looks again. Therefore, while it
 * is preserved:
 *
 *   - a domain is neither mapped nor unmapped nor freed: its owner's duty,
 *   - a device's domain does not change, no PASID is attached to it, its group
 *     gets no other default domain and no new member, and it is not reset: all
 *     of them fail with -EBUSY,
 *   - a device that is unplugged is unpreserved first.
 *
 * Everything can be undone, in any order that leaves devices before their
 * domain, and done again.
 */

#define pr_fmt(fmt) "iommu: liveupdate: " fmt

#include <linux/cleanup.h>
#include <linux/err.h>
#include <linux/export.h>
#include <linux/generic_pt/iommu.h>
#include <linux/slab.h>

#include "../iommu-priv.h"
#include "outgoing.h"

DEFINE_MUTEX(iommu_outgoing_lock); /* See outgoing.h */
struct iommu_outgoing *iommu_outgoing;

/**
 * iommu_outgoing_create() - Begin to leave something to the next kernel
 * @phys: Set to the physical address of the root of all records
 *
 * Context: May sleep.
 *
 * Return: 0. Or -EBUSY if this has begun already, or if what the previous
 * kernel left is not finished: it is on no list of this kernel, and would be
 * lost while hardware uses it. Or the error of iommu_records_create().
 */
int iommu_outgoing_create(u64 *phys)
{
	struct iommu_outgoing *out __free(kfree) = NULL;

	if (iommu_incoming_unfinished()) {
		pr_warn("the previous live update is not finished\n");
		return -EBUSY;
	}

	out = kzalloc_obj(*out);
	if (!out)
		return -ENOMEM;

	INIT_LIST_HEAD(&out->units);
	INIT_LIST_HEAD(&out->domains);
	INIT_LIST_HEAD(&out->devices);

	guard(mutex)(&iommu_outgoing_lock);
	if (iommu_outgoing)
		return -EBUSY;

	out->records = iommu_records_create();
	if (IS_ERR(out->records))
		return PTR_ERR(out->records);

	*phys = iommu_records_phys(out->records);
	iommu_outgoing = no_free_ptr(out);
	return 0;
}

/**
 * iommu_outgoing_destroy() - Leave nothing to the next kernel
 *
 * All domains and devices have been unpreserved.
 *
 * Context: May sleep.
 */
void iommu_outgoing_destroy(void)
{
	struct iommu_outgoing *out;

	guard(mutex)(&iommu_outgoing_lock);
	out = iommu_outgoing;
	/* What is still recorded is in use: keep the record rather than lie. */
	if (WARN_ON(!out || !list_empty(&out->devices) ||
		    !list_empty(&out->domains)))
		return;

	iommu_outgoing = NULL;
	iommu_records_destroy(out->records);
	kfree(out);
}

/**
 * iommu_outgoing_exists() - Is anything left to the next kernel?
 *
 * Context: May sleep.
 *
 * Return: true from iommu_outgoing_create() to iommu_outgoing_destroy().
 */
bool iommu_outgoing_exists(void)
{
	guard(mutex)(&iommu_outgoing_lock);
	return iommu_outgoing;
}

static void forget_domain(struct iommu_preserved_domain *preserved)
{
	WRITE_ONCE(preserved->domain->preserved, NULL);
	list_del(&preserved->list);
	kfree(preserved);
}

static int record_domain(struct iommu_outgoing *out,
			 struct iommu_preserved_domain *preserved, u32 type)
{
	struct pt_iommu *pt = iommupt_from_domain(preserved->domain);
	struct iommu_domain_ser ser = { .type = type };
	int ret;

	ret = pt->ops->preserve(pt, &ser.pt);
	if (ret)
		return ret;

	ret = iommu_records_add(out->records, IOMMU_SER_DOMAINS, &ser);
	if (ret < 0) {
		pt->ops->unpreserve(pt, &ser.pt);
		return ret;
	}

	preserved->id = ret;
	return 0;
}

/**
 * iommu_domain_preserve() - Leave a domain to the next kernel
 * @domain: Paging domain that some file owns, not the DMA API
 * @domain_id: Set to the id that the next kernel gives to
 *             iommu_restored_domain_get()
 *
 * From now on the caller prevents everything that changes the domain's page
 * table, and does not free the domain, until iommu_domain_unpreserve().
 *
 * Context: May sleep. Time in proportion to the number of tables.
 *
 * Return: 0. Or -ENOENT if no file that this depends on is being preserved,
 * -EBUSY if the domain is preserved already or was left by the previous kernel,
 * -EOPNOTSUPP if it is of a kind that cannot be preserved or its driver cannot,
 * or the error of the page table or the records. On error nothing is changed.
 */
int iommu_domain_preserve(struct iommu_domain *domain, u32 *domain_id)
{
	struct iommu_preserved_domain *preserved __free(kfree) = NULL;
	const struct iommu_liveupdate_ops *ops;
	struct pt_iommu *pt;
	int ret;

	if (domain->type != IOMMU_DOMAIN_UNMANAGED || !domain->owner)
		return -EOPNOTSUPP;
	ops = iommu_liveupdate_ops_of(domain->owner);
	pt = iommupt_from_domain(domain);
	if (!ops || !pt || !pt->ops->preserve)
		return -EOPNOTSUPP;

	preserved = kzalloc_obj(*preserved);
	if (!preserved)
		return -ENOMEM;
	preserved->domain = domain;
	refcount_set(&preserved->devices, 1);

	guard(mutex)(&iommu_outgoing_lock);
	if (!iommu_outgoing)
		return -ENOENT;
	if (domain->preserved || domain->restored)
		return -EBUSY;

	ret = record_domain(iommu_outgoing, preserved, ops->type);
	if (ret)
		return ret;

	*domain_id = preserved->id;
	list_add_tail(&preserved->list, &iommu_outgoing->domains);
	WRITE_ONCE(domain->preserved, no_free_ptr(preserved));
	return 0;
}
EXPORT_SYMBOL_NS_GPL(iommu_domain_preserve, "IOMMUFD_INTERNAL");

/**
 * iommu_domain_unpreserve() - Do not leave a domain to the next kernel
 * @domain: Domain that is preserved
 *
 * Undoes iommu_domain_preserve(). No device that is attached to the domain is
 * preserved any more: if one is, the domain stays preserved and this warns.
 *
 * Context: May sleep.
 */
void iommu_domain_unpreserve(struct iommu_domain *domain)
{
	struct pt_iommu *pt = iommupt_from_domain(domain);
	struct iommu_preserved_domain *preserved;
	const struct iommu_domain_ser *ser;
	struct pt_iommu_ser pt_ser;

	guard(mutex)(&iommu_outgoing_lock);
	preserved = domain->preserved;
	if (WARN_ON(!preserved || refcount_read(&preserved->devices) != 1))
		return;

	ser = iommu_records_get(iommu_outgoing->records, IOMMU_SER_DOMAINS,
				preserved->id);
	pt_ser = ser->pt;

	WARN_ON(iommu_records_remove(iommu_outgoing->records, IOMMU_SER_DOMAINS,
				     preserved->id));
	pt->ops->unpreserve(pt, &pt_ser);
	forget_domain(preserved);
}
EXPORT_SYMBOL_NS_GPL(iommu_domain_unpreserve, "IOMMUFD_INTERNAL");

static struct iommu_preserved_unit *
create_unit(struct iommu_outgoing *out, struct iommu_device *iommu,
	    const struct iommu_liveupdate_ops *ops)
{
	struct iommu_preserved_unit *unit __free(kfree) = kzalloc_obj(*unit);
	struct iommu_hw_ser ser = { .type = ops->type };
	int ret;

	if (!unit)
		return ERR_PTR(-ENOMEM);

	ret = ops->preserve(iommu, &ser);
	if (ret)
		return ERR_PTR(ret);

	ret = iommu_records_add(out->records, IOMMU_SER_UNITS, &ser);
	if (ret < 0) {
		ops->unpreserve(iommu, &ser);
		return ERR_PTR(ret);
	}

	unit->iommu = iommu;
	unit->ops = ops;
	unit->id = ret;
	refcount_set(&unit->devices, 1);
	list_add_tail(&unit->list, &out->units);
	return_ptr(unit);
}

/**
 * iommu_outgoing_unit_get() - Preserve the unit of one more device
 * @out: What this kernel leaves
 * @dev: The device
 * @ops: Operations of its driver
 *
 * Context: Under iommu_outgoing_lock.
 *
 * Return: The unit, to be put when the device is unpreserved, or an ERR_PTR.
 */
struct iommu_preserved_unit *
iommu_outgoing_unit_get(struct iommu_outgoing *out, struct device *dev,
			const struct iommu_liveupdate_ops *ops)
{
	struct iommu_device *iommu = dev->iommu->iommu_dev;
	struct iommu_preserved_unit *unit;

	lockdep_assert_held(&iommu_outgoing_lock);
	list_for_each_entry(unit, &out->units, list) {
		if (unit->iommu == iommu) {
			refcount_inc(&unit->devices);
			return unit;
		}
	}
	return create_unit(out, iommu, ops);
}

/**
 * iommu_outgoing_unit_put() - One device less of a unit is preserved
 * @out: What this kernel leaves
 * @unit: What iommu_outgoing_unit_get() returned
 *
 * Context: Under iommu_outgoing_lock.
 */
void iommu_outgoing_unit_put(struct iommu_outgoing *out,
			     struct iommu_preserved_unit *unit)
{
	struct iommu_hw_ser ser;

	lockdep_assert_held(&iommu_outgoing_lock);
	if (!refcount_dec_and_test(&unit->devices))
		return;

	ser = *(const struct iommu_hw_ser *)iommu_records_get(out->records,
							       IOMMU_SER_UNITS,
							       unit->id);
	WARN_ON(iommu_records_remove(out->records, IOMMU_SER_UNITS, unit->id));
	unit->ops->unpreserve(unit->iommu, &ser);
	list_del(&unit->list);
	kfree(unit);
}
