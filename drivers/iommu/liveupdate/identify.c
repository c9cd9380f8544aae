// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who can take part in a live update, and what both kernels call it.
 */

#include <linux/device.h>
#include <linux/pci.h>

#include "../iommu-priv.h"
#include "core.h"

/* A bridge to PCI or PCI-X is none: it sends in the name of what is below. */
static bool is_port(struct device *dev)
{
	int type;

	if (!dev_is_pci(dev) || !pci_is_pcie(to_pci_dev(dev)) ||
	    !pci_is_bridge(to_pci_dev(dev)))
		return false;
	type = pci_pcie_type(to_pci_dev(dev));
	return type == PCI_EXP_TYPE_ROOT_PORT ||
	       type == PCI_EXP_TYPE_UPSTREAM ||
	       type == PCI_EXP_TYPE_DOWNSTREAM;
}

/*
 * Live update operations of a driver, or NULL if it has none. One that has
 * some but not all could not undo what it did: it is treated as if it had none.
 */
const struct iommu_liveupdate_ops *
iommu_liveupdate_ops_of(const struct iommu_ops *ops)
{
	const struct iommu_liveupdate_ops *lu = ops->liveupdate;

	if (!lu)
		return NULL;

	if (WARN_ON_ONCE(!lu->type || !lu->preserve || !lu->unpreserve ||
			 !lu->preserve_device || !lu->unpreserve_device ||
			 !lu->verify_device || !lu->restore_domain ||
			 !lu->restore_attach || !lu->block ||
			 !ops->blocked_domain))
		return NULL;
	return lu;
}

/**
 * iommu_liveupdate_alone() - Whether no other device of a group does DMA
 * @group: The group
 * @dev: A member
 *
 * A port of a switch without ACS shares the group of what is below it. All
 * that it sends by itself are interrupts, which need no page table: it does
 * without one until the group has a domain of the next kernel.
 *
 * Context: Under the group's mutex.
 *
 * Return: true if all other members are ports.
 */
bool iommu_liveupdate_alone(struct iommu_group *group, struct device *dev)
{
	struct group_device *gdev;

	lockdep_assert_held(&group->mutex);
	for_each_group_device(group, gdev) {
		if (gdev->dev != dev && !is_port(gdev->dev))
			return false;
	}
	return true;
}

static int add_alias(struct pci_dev *pdev, u16 alias, void *data)
{
	struct iommu_device_ser *ser = data;

	if (alias == ser->bdf)
		return 0;
	for (unsigned int i = 0; i < ser->nr_aliases; i++) {
		if (ser->aliases[i] == alias)
			return 0;
	}

	if (ser->nr_aliases == ARRAY_SIZE(ser->aliases))
		return -EOPNOTSUPP;
	ser->aliases[ser->nr_aliases++] = alias;
	return 0;
}

static int identify_pci(struct pci_dev *pdev, struct iommu_device_ser *ser)
{
	int segment = pci_domain_nr(pdev->bus);

	/* A function that another one creates and that ends with it */
	if (pdev->is_virtfn || pci_num_vf(pdev))
		return -EOPNOTSUPP;
	if (segment < 0 || segment > U16_MAX)
		return -EOPNOTSUPP;

	ser->segment = segment;
	ser->bdf = pci_dev_id(pdev);
	ser->vendor = pdev->vendor;
	ser->device = pdev->device;
	return pci_for_each_dma_alias(pdev, add_alias, ser);
}

/**
 * iommu_liveupdate_identify() - Tell what both kernels call a device
 * @dev: The device
 * @ops: Live update operations of its IOMMU driver
 * @ser: Record, of which the identity and the aliases are filled in
 *
 * Return: 0, or -EOPNOTSUPP if there is no name that outlives the kernel: not a
 * PCI device and the driver knows no other way, a virtual function or one that
 * has them, more aliases or a higher segment than a record has room for.
 */
int iommu_liveupdate_identify(struct device *dev,
			      const struct iommu_liveupdate_ops *ops,
			      struct iommu_device_ser *ser)
{
	if (dev_is_pci(dev))
		return identify_pci(to_pci_dev(dev), ser);
	if (ops->identify)
		return ops->identify(dev, ser);
	return -EOPNOTSUPP;
}
