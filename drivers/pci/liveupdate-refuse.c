// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which devices cannot be handed over, and which not now.
 */

#include <linux/errno.h>
#include <linux/pci.h>
#include <linux/pci_ids.h>

#include "liveupdate-internal.h"
#include "pci.h"

/* A device, or a bridge above one */
static int pci_outgoing_hop_supported(struct pci_dev *pdev)
{
	if (pdev->hdr_type == PCI_HEADER_TYPE_CARDBUS ||
	    pci_dev_has_specific_acs(pdev))
		return -EOPNOTSUPP;
	return 0;
}

/**
 * pci_outgoing_supported - Whether a device can ever be handed over
 * @pdev: The device
 *
 * Return: 0 or -EOPNOTSUPP.
 */
int pci_outgoing_supported(struct pci_dev *pdev)
{
	struct pci_dev *hop;
	int err;

	if (pdev->is_virtfn || pdev->hdr_type != PCI_HEADER_TYPE_NORMAL ||
	    pdev->class >> 8 == PCI_CLASS_SERIAL_USB)
		return -EOPNOTSUPP;
	for (hop = pdev; hop; hop = pci_upstream_bridge(hop)) {
		err = pci_outgoing_hop_supported(hop);
		if (err)
			return err;
	}
	return 0;
}

/**
 * pci_outgoing_ready - Whether a device can be handed over as it is now
 * @pdev: The device
 *
 * Return: 0; -EBUSY if something is on that cannot be handed over, or the device
 * is not in D0; -ENODEV if it is gone.
 */
int pci_outgoing_ready(struct pci_dev *pdev)
{
	if (pci_num_vf(pdev))
		return -EBUSY;
#ifdef CONFIG_PCI_ATS
	if (pdev->ats_enabled)
		return -EBUSY;
#endif
#ifdef CONFIG_PCI_PRI
	if (pdev->pri_enabled)
		return -EBUSY;
#endif
#ifdef CONFIG_PCI_PASID
	if (pdev->pasid_enabled)
		return -EBUSY;
#endif
	if (!pci_device_is_present(pdev))
		return -ENODEV;
	return pci_ser_in_d0(pdev) ? 0 : -EBUSY;
}

/**
 * pci_outgoing_verify - Whether a device is fit to be left alone
 * @pdev: The device
 * @ser: What pci_ser_read() says about it
 * @running: It is to go on with DMA
 *
 * Return: 0; -EBUSY if the device or a bridge is not quiet enough; -EINVAL if it
 * is to run and cannot.
 */
int pci_outgoing_verify(struct pci_dev *pdev, const struct pci_dev_ser *ser,
			bool running)
{
	struct pci_dev *bridge;

	if (pdev->msi_enabled || pdev->msix_enabled ||
	    (pdev->pin && !(ser->command & PCI_COMMAND_INTX_DISABLE)))
		return -EBUSY;
	if (!running)
		return ser->command & PCI_COMMAND_MASTER ? -EBUSY : 0;
	if (!(ser->command & PCI_COMMAND_MASTER))
		return -EINVAL;
	for (bridge = pci_upstream_bridge(pdev); bridge;
	     bridge = pci_upstream_bridge(bridge)) {
		struct pci_dev_ser now = { .flags = PCI_DEV_SER_BRIDGE };

		if (!pci_ser_in_d0(bridge))
			return -EBUSY;
		pci_ser_read(bridge, &now);
		if (!(now.command & PCI_COMMAND_MASTER))
			return -EINVAL;
	}
	return 0;
}
