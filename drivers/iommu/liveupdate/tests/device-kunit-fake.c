// SPDX-License-Identifier: GPL-2.0-only
/*
 * The made-up PCI device of device-kunit.c, its driver, its bus and its IOMMU.
 * PCI knows nothing of the device, but what resets a PCI device can be called
 * for it, and on its bus it comes and goes as on any other.
 */

#include <kunit/test.h>
#include <linux/device.h>
#include <linux/err.h>
#include <linux/module.h>
#include <linux/slab.h>

#include "../core.h"
#include "device-kunit.h"

#define FAKE_KEY	0x6b756e69
#define FAKE_SEGMENT	0xfffd
#define FAKE_VENDOR	0xfffd

struct fake fake;
static struct iommu_device fake_iommu;
static struct notifier_block fake_notifier;

static const struct bus_type fake_bus = {
	.name = "iommu-liveupdate-kunit",
};

static int fake_attach(struct iommu_domain *domain, struct device *dev,
		       struct iommu_domain *old)
{
	fake.attached++;
	fake.disturbed += !!fake.devices;
	return 0;
}

static const struct iommu_domain_ops fake_domain_ops = {
	.attach_dev = fake_attach,
};

static struct iommu_domain fake_identity = {
	.type = IOMMU_DOMAIN_IDENTITY,
	.ops = &fake_domain_ops,
};

struct iommu_domain fake_blocked = {
	.type = IOMMU_DOMAIN_BLOCKED,
	.ops = &fake_domain_ops,
};

static int fake_table_preserve(struct pt_iommu *pt, struct pt_iommu_ser *ser)
{
	fake.tables++;
	*ser = (struct pt_iommu_ser){
		.format = PT_IOMMU_SER_FMT_AMDV1_MOCK,
		.top_phys = PAGE_SIZE,
		.nr_tables = 1,
		.aperture_last = U32_MAX,
	};
	return 0;
}

static void fake_table_unpreserve(struct pt_iommu *pt,
				  const struct pt_iommu_ser *ser)
{
	fake.tables--;
}

static int fake_table_map(struct pt_iommu *pt, dma_addr_t iova,
			  phys_addr_t paddr, dma_addr_t len, unsigned int prot,
			  gfp_t gfp, size_t *mapped)
{
	fake.mapped++;
	*mapped += len;
	return 0;
}

static size_t fake_table_unmap(struct pt_iommu *pt, dma_addr_t iova,
			       dma_addr_t len,
			       struct iommu_iotlb_gather *iotlb_gather)
{
	fake.mapped++;
	return len;
}

static const struct pt_iommu_ops fake_pt_ops = {
	.map_range = fake_table_map,
	.unmap_range = fake_table_unmap,
	.preserve = fake_table_preserve,
	.unpreserve = fake_table_unpreserve,
};

static int fake_identify(struct device *dev, struct iommu_device_ser *ser)
{
	ser->segment = FAKE_SEGMENT;
	ser->vendor = FAKE_VENDOR;
	return 0;
}

static int fake_preserve(struct iommu_device *iommu, struct iommu_hw_ser *unit)
{
	fake.units++;
	unit->mock.key = FAKE_KEY;
	unit->mock.segment = FAKE_SEGMENT;
	return 0;
}

static void fake_unpreserve(struct iommu_device *iommu,
			    const struct iommu_hw_ser *unit)
{
	fake.units--;
}

static int fake_preserve_device(struct device *dev, struct iommu_domain *domain,
				struct iommu_hw_ser *unit,
				struct iommu_device_ser *ser)
{
	fake.devices++;
	ser->attachment_id = 2;
	unit->mock.nr_rids += 1 + ser->nr_aliases;
	return 0;
}

static void fake_unpreserve_device(struct device *dev,
				   struct iommu_domain *domain,
				   struct iommu_hw_ser *unit,
				   const struct iommu_device_ser *ser)
{
	fake.devices--;
	unit->mock.nr_rids -= 1 + ser->nr_aliases;
}

static int fake_verify_device(struct device *dev, struct iommu_domain *domain,
			      const struct iommu_hw_ser *unit,
			      const struct iommu_device_ser *ser)
{
	return 0;
}

/* Nothing is ever restored here. */
static struct iommu_domain *
fake_restore_domain(struct iommu_device *iommu,
		    const struct iommu_domain_ser *ser)
{
	return ERR_PTR(-EOPNOTSUPP);
}

static int fake_restore_attach(struct device *dev, struct iommu_domain *domain,
			       const struct iommu_device_ser *ser)
{
	return -EOPNOTSUPP;
}

static void fake_block(struct iommu_device *iommu,
		       const struct iommu_device_ser *ser)
{
}

const struct iommu_liveupdate_ops fake_liveupdate_ops = {
	.type = IOMMU_SER_TYPE_MOCK,
	.identify = fake_identify,
	.preserve = fake_preserve,
	.unpreserve = fake_unpreserve,
	.preserve_device = fake_preserve_device,
	.unpreserve_device = fake_unpreserve_device,
	.verify_device = fake_verify_device,
	.restore_domain = fake_restore_domain,
	.restore_attach = fake_restore_attach,
	.block = fake_block,
};

static struct iommu_device *fake_probe_device(struct device *dev)
{
	return &fake_iommu;
}

static void fake_release_device(struct device *dev)
{
	fake.left_preserved = fake.devices;
}

static int fake_def_domain_type(struct device *dev)
{
	return IOMMU_DOMAIN_IDENTITY;
}

struct iommu_ops fake_ops = {
	.identity_domain = &fake_identity,
	.blocked_domain = &fake_blocked,
	.probe_device = fake_probe_device,
	.release_device = fake_release_device,
	.device_group = generic_device_group,
	.def_domain_type = fake_def_domain_type,
	.liveupdate = &fake_liveupdate_ops,
	.owner = THIS_MODULE,
};

/* What vfio and iommufd do together when they are bound */
static int fake_probe(struct device *dev)
{
	int ret;

	ret = iommu_device_claim_dma_owner(dev, &fake);
	if (ret)
		return ret;

	ret = iommu_attach_group_handle(&fake.table.domain, dev->iommu_group,
					&fake.handle);
	if (ret)
		iommu_device_release_dma_owner(dev);
	fake.bound = !ret;
	return ret;
}

void fake_detach(struct device *dev)
{
	iommu_detach_group_handle(&fake.table.domain, dev->iommu_group);
	iommu_device_release_dma_owner(dev);
	fake.bound = false;
}

static int fake_remove(struct device *dev)
{
	if (!fake.bound)
		return 0;
	if (fake.forgetful) {
		/* Or the place of the handle is lost with the group. */
		xa_destroy(&dev->iommu_group->pasid_array);
		return 0;
	}
	iommu_unpreserve_device(&fake.table.domain, dev);
	fake_detach(dev);
	return 0;
}

static struct device_driver fake_driver = {
	.name = "iommu-liveupdate-kunit",
	.bus = &fake_bus,
	.probe_type = PROBE_FORCE_SYNCHRONOUS,
	.probe = fake_probe,
	.remove = fake_remove,
};

static void fake_pdev_release(struct device *dev)
{
	kfree(to_pci_dev(dev));
}

struct group_device *fake_gdev(void)
{
	return list_first_entry(&fake.pdev->dev.iommu_group->devices,
				struct group_device, list);
}

void fake_unplug(void)
{
	device_unregister(&fake.pdev->dev);
	fake.pdev = NULL;
}

int fake_suite_init(struct kunit_suite *suite)
{
	int ret;

	ret = bus_register(&fake_bus);
	if (ret)
		return ret;
	ret = driver_register(&fake_driver);
	if (ret)
		goto err_bus;
	ret = iommu_device_sysfs_add(&fake_iommu, NULL, NULL, "%s",
				     fake_bus.name);
	if (ret)
		goto err_driver;
	ret = iommu_device_register_bus(&fake_iommu, &fake_ops, &fake_bus,
					&fake_notifier);
	if (ret)
		goto err_sysfs;
	return 0;

err_sysfs:
	iommu_device_sysfs_remove(&fake_iommu);
err_driver:
	driver_unregister(&fake_driver);
err_bus:
	bus_unregister(&fake_bus);
	return ret;
}

void fake_suite_exit(struct kunit_suite *suite)
{
	iommu_device_unregister_bus(&fake_iommu, &fake_bus, &fake_notifier);
	iommu_device_sysfs_remove(&fake_iommu);
	driver_unregister(&fake_driver);
	bus_unregister(&fake_bus);
}

int fake_plug(void)
{
	struct pci_dev *pdev = kzalloc_obj(*pdev);
	int ret;

	if (!pdev)
		return -ENOMEM;

	device_initialize(&pdev->dev);
	pdev->dev.bus = &fake_bus;
	pdev->dev.release = fake_pdev_release;
	ret = dev_set_name(&pdev->dev, "%s", fake_bus.name);
	if (!ret)
		ret = iommu_mock_device_add(&pdev->dev, &fake_iommu);
	if (ret)
		put_device(&pdev->dev);
	else
		fake.pdev = pdev;
	return ret;
}

/* Begin to leave something to the next kernel: the domain. */
int fake_begin(void)
{
	u32 domain_id;
	u64 phys;
	int ret;

	ret = iommu_outgoing_create(&phys);
	if (ret)
		return ret;
	ret = iommu_domain_preserve(&fake.table.domain, &domain_id);
	if (ret)
		iommu_outgoing_destroy();
	return ret;
}

/* The device is there with its driver, and its domain is preserved. */
int fake_init(struct kunit *test)
{
	int ret;

	fake = (struct fake){
		.table.domain = {
			.type = IOMMU_DOMAIN_UNMANAGED,
			.owner = &fake_ops,
			.ops = &fake_domain_ops,
			.is_iommupt = true,
			.pgsize_bitmap = PAGE_SIZE,
			.geometry.aperture_end = U32_MAX,
		},
	};
	fake.table.iommu.ops = &fake_pt_ops;

	ret = fake_plug();
	if (ret)
		return ret;
	ret = fake_begin();
	if (ret)
		fake_unplug();
	return ret;
}

/* Warns if the records have kept anything. */
void fake_exit(struct kunit *test)
{
	fake_ops.liveupdate = &fake_liveupdate_ops;
	fake_ops.blocked_domain = &fake_blocked;
	fake.forgetful = false;
	if (fake.pdev)
		fake_unplug();
	if (iommu_domain_is_preserved(&fake.table.domain))
		iommu_domain_unpreserve(&fake.table.domain);
	KUNIT_EXPECT_EQ(test, fake.devices, 0);
	KUNIT_EXPECT_EQ(test, fake.units, 0);
	KUNIT_EXPECT_EQ(test, fake.tables, 0);
	iommu_outgoing_destroy();
}
