// SPDX-License-Identifier: GPL-2.0-only
/*
 * PCI devices over a live update.
 */

/**
 * DOC: PCI devices over a live update
 *
 * A driver whose files can be handed over to the next kernel hands over the PCI
 * device of such a file with it. What that means is for the driver to say; the
 * PCI core sees to it that the device stays what and where it is:
 *
 * Preserved properties
 *   - segment, bus, device and function of the device, which are its requester
 *     ID, and the bus numbers of all bridges above it
 *   - bus mastering, if the driver asks for it: of the device and of all bridges
 *     above it
 *   - power state D0, of all of them
 *   - addresses of BARs and of bridge windows
 *   - routing: ACS and ARI
 *   - payload and read request size, tags, ordering, and the link's settings
 *
 * Non-preserved properties
 *   - interrupts, which have to be off
 *   - reporting of errors, hotplug events, the port services
 *   - the driver: the next kernel leaves the device alone until somebody sets
 *     its driver_override
 *
 * The life of a device: pci_liveupdate_preserve() when its file is preserved;
 * pci_liveupdate_freeze() when the file is frozen, which reads what hardware
 * says. The next kernel recognises the device while it sets it up, by its place,
 * and compares it with what was read. From then on it is incoming, until
 * pci_liveupdate_finish() makes it a device as others are.
 *
 * What is not as it was left loses bus mastering at once, for nobody knows any
 * more what its DMA does: a device that differs, all devices below a bridge
 * that differs, and every device if the records cannot be read.
 */

#define pr_fmt(fmt) "PCI: liveupdate: " fmt

#include <linux/liveupdate.h>
#include <linux/pci.h>
#include <linux/pci-liveupdate.h>
#include <linux/pm_runtime.h>
#include <linux/rcupdate.h>

#include "liveupdate-internal.h"

DECLARE_RWSEM(pci_liveupdate_sem);

struct pci_incoming *pci_incoming;

static int pci_flb_retrieve(struct liveupdate_flb_op_args *args)
{
	struct pci_incoming *in = pci_incoming_read(args->data);

	if (IS_ERR(in))
		return PTR_ERR(in);
	pr_info("%u devices and bridges were handed over\n", in->nr);
	args->obj = in;
	guard(rwsem_write)(&pci_liveupdate_sem);
	/* Paired with READ_ONCE() by those who do not take the lock */
	smp_store_release(&pci_incoming, in);
	return 0;
}

/**
 * pci_incoming_release - Undo pci_liveupdate_hold() and fixed resources
 * @left: Record of the device
 *
 * Context: The caller holds pci_liveupdate_sem.
 */
void pci_incoming_release(struct pci_incoming_dev *left)
{
	struct pci_dev *dev = left->pdev;
	int i;

	if (!dev)
		return;
	for (i = 0; i < PCI_NUM_RESOURCES; i++)
		if (left->fixed & BIT(i))
			dev->resource[i].flags &= ~IORESOURCE_PCI_FIXED;
	left->fixed = 0;
	left->pdev = NULL;
	pm_runtime_put(&dev->dev);
	pci_dev_put(dev);
}

/*
 * A driver that keeps to the rules has finished each device by now. What it
 * forgot must not go on: its translation and its memory are about to go.
 */
static void pci_incoming_drop(struct pci_incoming_dev *dev)
{
	if (dev->state == PCI_INCOMING_MISSING)
		pr_warn("%04x:%02x:%02x.%d was handed over and is not there\n",
			dev->ser.segment, pci_ser_bus(&dev->ser),
			PCI_SLOT(dev->ser.bdf & 0xff), PCI_FUNC(dev->ser.bdf));
	if (dev->state == PCI_INCOMING_KEPT && dev->pdev &&
	    !pci_ser_is_bridge(&dev->ser)) {
		pci_warn(dev->pdev, "live update: never finished, DMA is off\n");
		pci_clear_master(dev->pdev);
	}
	pci_incoming_release(dev);
}

static void pci_flb_finish(struct liveupdate_flb_op_args *args)
{
	struct pci_incoming *in = args->obj;
	u32 i;

	scoped_guard(rwsem_write, &pci_liveupdate_sem) {
		for (i = 0; i < in->nr; i++)
			if (in->dev[i].state != PCI_INCOMING_FINISHED)
				pci_incoming_drop(&in->dev[i]);
		WRITE_ONCE(pci_incoming, NULL);
	}
	/* See pci_liveupdate_acs_ctrl() */
	synchronize_rcu();
	pci_incoming_free(in);
}

static const struct liveupdate_flb_ops pci_flb_ops = {
	.preserve = pci_outgoing_preserve,
	.unpreserve = pci_outgoing_unpreserve,
	.retrieve = pci_flb_retrieve,
	.finish = pci_flb_finish,
	.owner = THIS_MODULE,
};

struct liveupdate_flb pci_liveupdate_flb = {
	.ops = &pci_flb_ops,
	.compatible = PCI_FLB_COMPATIBLE,
};

/**
 * pci_liveupdate_register_flb - Let files of a handler hand over PCI devices
 * @handler: The handler, which is registered
 *
 * Context: May sleep.
 * Return: 0 or what liveupdate_register_flb() returns.
 */
int pci_liveupdate_register_flb(struct liveupdate_file_handler *handler)
{
	return liveupdate_register_flb(handler, &pci_liveupdate_flb);
}
EXPORT_SYMBOL_GPL(pci_liveupdate_register_flb);

/**
 * pci_liveupdate_unregister_flb - Undo pci_liveupdate_register_flb()
 * @handler: The handler
 *
 * Context: May sleep.
 */
void pci_liveupdate_unregister_flb(struct liveupdate_file_handler *handler)
{
	liveupdate_unregister_flb(handler, &pci_liveupdate_flb);
}
EXPORT_SYMBOL_GPL(pci_liveupdate_unregister_flb);
