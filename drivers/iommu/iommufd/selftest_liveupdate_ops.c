// SPDX-License-Identifier: GPL-2.0
/*
 * What the mock driver does for a live update: the operations that leave the
 * mock hardware to the next kernel and take it over. They warn if the core asks
 * for what a driver could not do.
 */

#include <linux/cleanup.h>
#include <linux/device.h>
#include <linux/iommu-liveupdate.h>
#include <linux/slab.h>

#include "selftest_liveupdate_hw.h"

#define MOCK_LU_KEY		0x6d6f636b
#define MOCK_LU_SEGMENT		0xfffe
#define MOCK_LU_VENDOR		0xfffe

static unsigned int mock_lu_nr_rids(struct mock_lu_device *lu)
{
	return lu->alias ? 2 : 1;
}

static int mock_lu_identify(struct device *dev, struct iommu_device_ser *ser)
{
	struct mock_lu_device *lu;

	guard(spinlock)(&mock_lu_hw.lock);
	lu = mock_lu_find(dev);
	if (!lu || lu->dead || lu->no_name)
		return -EOPNOTSUPP;

	ser->segment = MOCK_LU_SEGMENT;
	ser->bdf = lu->bdf;
	ser->vendor = MOCK_LU_VENDOR;
	ser->device = lu->device;
	if (lu->alias)
		ser->aliases[ser->nr_aliases++] = lu->alias;
	return 0;
}

static int mock_lu_preserve(struct iommu_device *iommu,
			    struct iommu_hw_ser *unit)
{
	if (iommufd_should_fail())
		return -ENOMEM;

	guard(spinlock)(&mock_lu_hw.lock);
	if (WARN_ON(mock_lu_hw.unit_preserved))
		return -EBUSY;
	mock_lu_hw.unit_preserved = true;
	unit->mock.key = MOCK_LU_KEY;
	unit->mock.segment = MOCK_LU_SEGMENT;
	return 0;
}

static void mock_lu_unpreserve(struct iommu_device *iommu,
			       const struct iommu_hw_ser *unit)
{
	guard(spinlock)(&mock_lu_hw.lock);
	WARN_ON(!mock_lu_hw.unit_preserved || mock_lu_hw.nr_preserved);
	WARN_ON(unit->type != IOMMU_SER_TYPE_MOCK ||
		unit->mock.key != MOCK_LU_KEY || unit->mock.nr_rids);
	mock_lu_hw.unit_preserved = false;
}

static bool mock_lu_leads_to(struct mock_lu_entry *entry,
			     struct iommu_domain *domain, u32 attachment_id)
{
	return entry->top == mock_lu_top(to_mock_domain(domain)) &&
	       entry->attachment_id == attachment_id;
}

static int mock_lu_preserve_device(struct device *dev,
				   struct iommu_domain *domain,
				   struct iommu_hw_ser *unit,
				   struct iommu_device_ser *ser)
{
	struct mock_lu_entry *entry = NULL;
	struct mock_lu_device *lu;

	iommu_group_mutex_assert(dev);
	if (iommufd_should_fail())
		return -ENOMEM;

	guard(spinlock)(&mock_lu_hw.lock);
	lu = mock_lu_find(dev);
	if (WARN_ON(!lu || ser->bdf != lu->bdf || !ser->unit_id ||
		    !ser->domain_id || !mock_lu_hw.unit_preserved ||
		    unit->mock.nr_rids != mock_lu_hw.nr_preserved))
		return -EINVAL;
	if (lu->refuse)
		return -EOPNOTSUPP;

	ser->attachment_id = to_mock_domain(domain)->attachment_id;
	while ((entry = mock_lu_next(lu, entry))) {
		if (WARN_ON(entry->mark ||
			    !mock_lu_leads_to(entry, domain,
					      ser->attachment_id)))
			return -EINVAL;
	}

	while ((entry = mock_lu_next(lu, entry))) {
		entry->mark = MOCK_LU_PRESERVED;
		entry->ser = *ser;
	}
	mock_lu_hw.nr_preserved += mock_lu_nr_rids(lu);
	unit->mock.nr_rids = mock_lu_hw.nr_preserved;
	return 0;
}

/* The record got its id after the driver had filled it. */
static bool mock_lu_same(const struct iommu_device_ser *recorded,
			 struct iommu_device_ser ser)
{
	ser.id = recorded->id;
	return !memcmp(recorded, &ser, sizeof(ser));
}

static void mock_lu_unpreserve_device(struct device *dev,
				      struct iommu_domain *domain,
				      struct iommu_hw_ser *unit,
				      const struct iommu_device_ser *ser)
{
	struct mock_lu_entry *entry = NULL;
	struct mock_lu_device *lu;

	iommu_group_mutex_assert(dev);
	guard(spinlock)(&mock_lu_hw.lock);
	lu = mock_lu_find(dev);
	if (WARN_ON(!lu || unit->mock.nr_rids != mock_lu_hw.nr_preserved))
		return;

	while ((entry = mock_lu_next(lu, entry))) {
		WARN_ON(entry->mark != MOCK_LU_PRESERVED ||
			!mock_lu_same(&entry->ser, *ser));
		entry->mark = MOCK_LU_NONE;
	}
	mock_lu_hw.nr_preserved -= mock_lu_nr_rids(lu);
	unit->mock.nr_rids = mock_lu_hw.nr_preserved;
}

static int mock_lu_verify_device(struct device *dev,
				 struct iommu_domain *domain,
				 const struct iommu_hw_ser *unit,
				 const struct iommu_device_ser *ser)
{
	struct mock_lu_entry *entry = NULL;
	struct mock_lu_device *lu;

	iommu_group_mutex_assert(dev);
	guard(spinlock)(&mock_lu_hw.lock);
	lu = mock_lu_find(dev);
	if (WARN_ON(!lu || unit->mock.nr_rids != mock_lu_hw.nr_preserved))
		return -EINVAL;

	while ((entry = mock_lu_next(lu, entry))) {
		if (!mock_lu_same(&entry->ser, *ser) ||
		    !mock_lu_leads_to(entry, domain, ser->attachment_id))
			return -EIO;
	}
	return 0;
}

/* Hardware uses these tables, which this kernel did not make: none but that. */
static int mock_lu_restored_attach(struct iommu_domain *domain,
				   struct device *dev,
				   struct iommu_domain *old)
{
	struct mock_lu_entry *entry = NULL;
	struct mock_lu_device *lu;

	guard(spinlock)(&mock_lu_hw.lock);
	lu = mock_lu_find(dev);
	if (!lu || lu->dead)
		return -EOPNOTSUPP;
	while ((entry = mock_lu_next(lu, entry)))
		WARN(entry->mark == MOCK_LU_INHERITED,
		     "mock: requester id %#x attached in place of restored\n",
		     lu->bdf);
	return -EOPNOTSUPP;
}

static const struct iommu_domain_ops mock_lu_restored_ops = {
	IOMMU_PT_DOMAIN_OPS(amdv1_mock),
	.free = iommufd_mock_domain_free,
	.attach_dev = mock_lu_restored_attach,
};

static struct iommu_domain *
mock_lu_restore_domain(struct iommu_device *iommu,
		       const struct iommu_domain_ser *ser)
{
	bool narrow = ser->pt.aperture_start == MOCK_APERTURE_START &&
		      ser->pt.aperture_last == MOCK_APERTURE_LAST;
	struct mock_iommu_domain *mock __free(kfree) = NULL;
	struct pt_iommu_ser pt = ser->pt;
	int ret;

	if (iommufd_should_fail())
		return ERR_PTR(-ENOMEM);
	mock = kzalloc_obj(*mock);
	if (!mock)
		return ERR_PTR(-ENOMEM);

	mock->domain.type = IOMMU_DOMAIN_UNMANAGED;
	mock->domain.owner = iommu->ops;
	mock->domain.ops = &mock_lu_restored_ops;
	mock->iommu.nid = NUMA_NO_NODE;

	/* What mock_domain_alloc_pgtable() does for tests is not the format's. */
	if (narrow) {
		pt.aperture_start = 0;
		pt.aperture_last = BIT_ULL(pt.vasz_lg2) - 1;
	}
	ret = pt_iommu_amdv1_mock_restore(&mock->amdv1, &pt);
	if (ret)
		return ERR_PTR(ret);
	if (narrow) {
		mock->domain.geometry.aperture_start = MOCK_APERTURE_START;
		mock->domain.geometry.aperture_end = MOCK_APERTURE_LAST;
	}

	scoped_guard(spinlock, &mock_lu_hw.lock)
		list_add_tail(&mock->elm, &mock_lu_hw.domains);
	return &no_free_ptr(mock)->domain;
}

static int mock_lu_restore_attach(struct device *dev,
				  struct iommu_domain *domain,
				  const struct iommu_device_ser *ser)
{
	struct mock_lu_entry *entry = NULL;
	struct mock_lu_device *lu;

	iommu_group_mutex_assert(dev);
	guard(spinlock)(&mock_lu_hw.lock);
	lu = mock_lu_find(dev);
	if (WARN_ON(!lu || lu->dead || lu->domain || ser->bdf != lu->bdf))
		return -EINVAL;
	if (ser->nr_aliases != !!lu->alias || ser->aliases[0] != lu->alias)
		return -EIO;

	while ((entry = mock_lu_next(lu, entry))) {
		if (!mock_lu_leads_to(entry, domain, ser->attachment_id))
			return -EIO;
	}

	while ((entry = mock_lu_next(lu, entry))) {
		WARN_ON(entry->mark != MOCK_LU_INHERITED);
		entry->mark = MOCK_LU_RESTORED;
	}
	to_mock_domain(domain)->attachment_id = ser->attachment_id;
	lu->domain = domain;
	return 0;
}

static void mock_lu_block(struct iommu_device *iommu,
			  const struct iommu_device_ser *ser)
{
	guard(spinlock)(&mock_lu_hw.lock);
	mock_lu_write(&mock_lu_hw.entries[ser->bdf], 0, 0);
	for (unsigned int i = 0; i < ser->nr_aliases; i++)
		mock_lu_write(&mock_lu_hw.entries[ser->aliases[i]], 0, 0);
}

const struct iommu_liveupdate_ops mock_liveupdate_ops = {
	.type = IOMMU_SER_TYPE_MOCK,
	.identify = mock_lu_identify,
	.preserve = mock_lu_preserve,
	.unpreserve = mock_lu_unpreserve,
	.preserve_device = mock_lu_preserve_device,
	.unpreserve_device = mock_lu_unpreserve_device,
	.verify_device = mock_lu_verify_device,
	.restore_domain = mock_lu_restore_domain,
	.restore_attach = mock_lu_restore_attach,
	.block = mock_lu_block,
};

/* A device that is preserved with @domain, to be put */
static struct device *mock_lu_preserved_device(struct iommu_domain *domain)
{
	struct mock_lu_device *lu;

	guard(spinlock)(&mock_lu_hw.lock);
	list_for_each_entry(lu, &mock_lu_hw.devices, elm) {
		if (!lu->dead && lu->domain == domain &&
		    mock_lu_hw.entries[lu->bdf].mark == MOCK_LU_PRESERVED)
			return get_device(lu->dev);
	}
	return NULL;
}

/* The test's file is closed, and does not say in which order. */
void mock_lu_unpreserve_devices(struct iommu_domain *domain)
{
	struct device *dev;

	while ((dev = mock_lu_preserved_device(domain))) {
		iommu_unpreserve_device(domain, dev);
		put_device(dev);
	}
}

static u32 mock_lu_nr_inherited(void)
{
	u32 nr = 0;

	guard(spinlock)(&mock_lu_hw.lock);
	for (unsigned int i = 0; i < ARRAY_SIZE(mock_lu_hw.entries); i++)
		nr += mock_lu_hw.entries[i].mark == MOCK_LU_INHERITED;
	return nr;
}

/* Let a unit have been adopted that need not be registered. */
void mock_lu_set_unit(struct iommu_device *iommu)
{
	const struct iommu_hw_ser *unit;

	if (!iommu_incoming_unit(IOMMU_SER_TYPE_MOCK, MOCK_LU_KEY, &unit))
		iommu_incoming_unit_adopted(unit, iommu);
}

/* The driver of the kernel that comes finds its unit running. */
int mock_lu_adopt(struct iommu_device *iommu, bool fail)
{
	const struct iommu_device_ser *device = NULL;
	const struct iommu_hw_ser *unit;
	u32 nr_rids = 0;
	int ret;

	ret = iommu_incoming_unit(IOMMU_SER_TYPE_MOCK, MOCK_LU_KEY, &unit);
	if (ret)
		return ret == -ENOENT && !mock_lu_nr_inherited() ? 0 : ret;

	while ((device = iommu_incoming_unit_device(unit, device)))
		nr_rids += 1 + device->nr_aliases;
	if (WARN_ON(nr_rids != unit->mock.nr_rids ||
		    nr_rids != mock_lu_nr_inherited()))
		fail = true;

	iommu_incoming_unit_adopted(unit, iommu);
	if (!fail)
		return 0;

	while ((device = iommu_incoming_unit_device(unit, device)))
		mock_lu_block(iommu, device);
	iommu_incoming_unit_failed(unit, -EIO);
	return 0;
}
