// SPDX-License-Identifier: GPL-2.0-only
/*
 * The kernel that leaves: which devices it hands over, and the bridges above
 * them.
 */

#include <linux/io.h>
#include <linux/kexec_handover.h>
#include <linux/kho_block.h>
#include <linux/liveupdate.h>
#include <linux/pci.h>
#include <linux/pci-liveupdate.h>
#include <linux/slab.h>

#include "liveupdate-internal.h"
#include "liveupdate.h"

/**
 * struct pci_outgoing_dev - A device that is handed over, or a bridge above one
 * @ser: Its record
 * @pdev: The device, with a reference
 */
struct pci_outgoing_dev {
	struct pci_dev_ser ser;
	struct pci_dev *pdev;
};

/**
 * struct pci_outgoing - All records of this kernel
 * @root: Root of what the next kernel reads
 * @blocks: The records in it
 * @devs: Each struct pci_outgoing_dev, by pci_ser_key()
 *
 * The next kernel can read the records at any time: they are written anew
 * whenever one comes, goes or changes. A set of blocks can only be cut at its
 * end, but the order of the records means nothing, and there are few.
 *
 * Protected by pci_liveupdate_sem.
 */
struct pci_outgoing {
	struct pci_flb_ser *root;
	struct kho_block_set blocks;
	struct xarray devs;
};

static struct pci_outgoing pci_outgoing = {
	.blocks = KHO_BLOCK_SET_INIT(pci_outgoing.blocks,
				     sizeof(struct pci_dev_ser)),
	.devs = XARRAY_INIT(pci_outgoing.devs, 0),
};

int pci_outgoing_preserve(struct liveupdate_flb_op_args *args)
{
	struct pci_flb_ser *root;

	guard(rwsem_write)(&pci_liveupdate_sem);
	/* Two kernels' records at a time would be two truths. */
	if (pci_incoming)
		return -EBUSY;
	root = kho_alloc_preserve(PAGE_SIZE);
	if (IS_ERR(root))
		return PTR_ERR(root);
	root->version = PCI_FLB_VERSION;
	pci_outgoing.root = root;
	args->obj = &pci_outgoing;
	args->data = virt_to_phys(root);
	return 0;
}

void pci_outgoing_unpreserve(struct liveupdate_flb_op_args *args)
{
	guard(rwsem_write)(&pci_liveupdate_sem);
	WARN_ON_ONCE(!xa_empty(&pci_outgoing.devs));
	kho_unpreserve_free(pci_outgoing.root);
	pci_outgoing.root = NULL;
}

static struct pci_outgoing_dev *pci_outgoing_find(struct pci_dev *pdev)
{
	struct pci_outgoing_dev *dev;

	lockdep_assert_held(&pci_liveupdate_sem);
	dev = xa_load(&pci_outgoing.devs,
		      pci_ser_key(pci_domain_nr(pdev->bus), pci_dev_id(pdev)));
	/* The device may be gone, and another one in its place. */
	return dev && dev->pdev == pdev ? dev : NULL;
}

static struct pci_outgoing_dev *pci_outgoing_add(struct pci_dev *pdev)
{
	struct pci_outgoing_dev *dev = kzalloc_obj(*dev);
	int err;

	if (!dev)
		return ERR_PTR(-ENOMEM);
	pci_ser_identify(pdev, &dev->ser);
	if (pci_ser_is_bridge(&dev->ser))
		pci_ser_read(pdev, &dev->ser);
	err = xa_insert(&pci_outgoing.devs,
			pci_ser_key(dev->ser.segment, dev->ser.bdf), dev,
			GFP_KERNEL);
	if (err) {
		kfree(dev);
		return ERR_PTR(err);
	}
	dev->pdev = pci_dev_get(pdev);
	return dev;
}

static void pci_outgoing_del(struct pci_outgoing_dev *dev)
{
	xa_erase(&pci_outgoing.devs,
		 pci_ser_key(dev->ser.segment, dev->ser.bdf));
	pci_dev_put(dev->pdev);
	kfree(dev);
}

/* Take a device out of the counts of the bridges above it, up to @end. */
static void pci_outgoing_leave(struct pci_dev *pdev, struct pci_dev *end)
{
	struct pci_outgoing_dev *above;
	struct pci_dev *bridge;

	for (bridge = pci_upstream_bridge(pdev); bridge != end;
	     bridge = pci_upstream_bridge(bridge)) {
		above = pci_outgoing_find(bridge);
		if (!--above->ser.nr_below)
			pci_outgoing_del(above);
	}
}

static int pci_outgoing_join(struct pci_dev *pdev)
{
	struct pci_outgoing_dev *above;
	struct pci_dev *bridge;

	for (bridge = pci_upstream_bridge(pdev); bridge;
	     bridge = pci_upstream_bridge(bridge)) {
		above = pci_outgoing_find(bridge);
		if (!above)
			above = pci_outgoing_add(bridge);
		if (IS_ERR(above)) {
			pci_outgoing_leave(pdev, bridge);
			return PTR_ERR(above);
		}
		above->ser.nr_below++;
	}
	return 0;
}

static u32 pci_outgoing_count(void)
{
	struct pci_outgoing_dev *dev;
	unsigned long key;
	u32 nr = 0;

	xa_for_each(&pci_outgoing.devs, key, dev)
		nr++;
	return nr;
}

/* There is room for all records. A bridge runs if a device below it does. */
static void pci_outgoing_write(void)
{
	struct kho_block_set_it it;
	struct pci_outgoing_dev *dev;
	struct pci_dev_ser *ser;
	unsigned long key;

	kho_block_set_clear(&pci_outgoing.blocks);
	kho_block_set_it_init(&it, &pci_outgoing.blocks);
	xa_for_each(&pci_outgoing.devs, key, dev) {
		ser = kho_block_set_it_reserve_entry(&it);
		*ser = dev->ser;
	}
	pci_outgoing.root->nr_devices = pci_outgoing_count();
	pci_outgoing.root->first_block =
		kho_block_set_head_pa(&pci_outgoing.blocks);
}

static void pci_outgoing_shrink(void)
{
	kho_block_set_shrink(&pci_outgoing.blocks, pci_outgoing_count());
	pci_outgoing_write();
}

/**
 * pci_liveupdate_preserve - Hand a device over to the next kernel
 * @pdev: The device, which is not a bridge
 *
 * Adds the device and the bridges above it to the records. The device can still
 * be used without restriction. Called by the preserve operation of a file whose
 * handler has pci_liveupdate_register_flb().
 *
 * Context: May sleep. Takes pci_liveupdate_sem.
 * Return: 0; -EOPNOTSUPP for what cannot be handed over: a virtual function, a
 * bridge, a USB host controller, a device with or below a device-specific way
 * to set ACS; -EBUSY if the device is handed over already, has virtual
 * functions, ATS, PRI or PASID enabled, is not in D0, or a live update is not
 * finished yet; -ENODEV if the device is gone; -ENOENT without the FLB;
 * -ENOSPC, -ENOMEM. Nothing is changed then.
 */
int pci_liveupdate_preserve(struct pci_dev *pdev)
{
	struct pci_outgoing_dev *dev;
	int err;

	err = pci_outgoing_supported(pdev);
	if (!err)
		err = pci_outgoing_ready(pdev);
	if (err)
		return err;

	guard(rwsem_write)(&pci_liveupdate_sem);
	if (!pci_outgoing.root)
		return -ENOENT;
	dev = pci_outgoing_add(pdev);
	if (IS_ERR(dev))
		return PTR_ERR(dev);
	err = pci_outgoing_join(pdev);
	if (err) {
		pci_outgoing_del(dev);
		return err;
	}
	err = pci_outgoing_count() > PCI_SER_MAX_DEVICES ? -ENOSPC :
		kho_block_set_grow(&pci_outgoing.blocks, pci_outgoing_count());
	if (err) {
		pci_outgoing_leave(pdev, NULL);
		pci_outgoing_del(dev);
		return err;
	}
	pci_outgoing_write();
	return 0;
}
EXPORT_SYMBOL_GPL(pci_liveupdate_preserve);

/**
 * pci_liveupdate_unpreserve - Undo pci_liveupdate_preserve()
 * @pdev: The device
 *
 * Devices can be unpreserved in any order.
 *
 * Context: May sleep. Takes pci_liveupdate_sem.
 */
void pci_liveupdate_unpreserve(struct pci_dev *pdev)
{
	struct pci_outgoing_dev *dev;

	guard(rwsem_write)(&pci_liveupdate_sem);
	dev = pci_outgoing_find(pdev);
	if (WARN_ON_ONCE(!dev || pci_ser_is_bridge(&dev->ser)))
		return;
	pci_outgoing_leave(pdev, NULL);
	pci_outgoing_del(dev);
	pci_outgoing_shrink();
}
EXPORT_SYMBOL_GPL(pci_liveupdate_unpreserve);

/* Whether a device runs that is the bridge or below it */
static bool pci_outgoing_runs_below(struct pci_dev *bridge)
{
	struct pci_outgoing_dev *dev;
	struct pci_dev *hop;
	unsigned long key;

	xa_for_each(&pci_outgoing.devs, key, dev) {
		if (pci_ser_is_bridge(&dev->ser) ||
		    !(dev->ser.flags & PCI_DEV_SER_RUNNING))
			continue;
		for (hop = dev->pdev; hop; hop = pci_upstream_bridge(hop))
			if (hop == bridge)
				return true;
	}
	return false;
}

/* Read the bridges above a device, and find out which of them run. */
static void pci_outgoing_refresh(struct pci_dev *pdev)
{
	struct pci_outgoing_dev *above;
	struct pci_dev *bridge;

	for (bridge = pci_upstream_bridge(pdev); bridge;
	     bridge = pci_upstream_bridge(bridge)) {
		above = pci_outgoing_find(bridge);
		pci_ser_read(bridge, &above->ser);
		above->ser.flags &= ~PCI_DEV_SER_RUNNING;
		if (pci_outgoing_runs_below(bridge))
			above->ser.flags |= PCI_DEV_SER_RUNNING;
		else
			/* pci_device_shutdown() will, what is left counts. */
			above->ser.command &= ~PCI_COMMAND_MASTER;
	}
}

/*
 * The next kernel stops all devices if it refuses the records. It is better to
 * know that now.
 */
static int pci_outgoing_check(void)
{
	struct pci_incoming *in = pci_incoming_alloc(pci_outgoing_count());
	struct pci_outgoing_dev *dev;
	unsigned long key;
	u32 nr = 0;
	int err;

	if (!in)
		return -ENOMEM;
	xa_for_each(&pci_outgoing.devs, key, dev)
		in->dev[nr++].ser = dev->ser;
	err = pci_incoming_check(in);
	pci_incoming_free(in);
	return err;
}

/**
 * pci_liveupdate_freeze - Record what hardware says about a device
 * @pdev: The device, which is preserved
 * @running: The device goes on with DMA, and its translation and its memory are
 *           handed over too: bus mastering stays on, here and in the bridges
 *           above. Otherwise it has to be off
 *
 * From here on nobody may change the configuration of the device. Called by the
 * freeze operation of the file, after what that does to the device.
 *
 * Context: May sleep. Takes pci_liveupdate_sem.
 * Return: 0; -EBUSY if interrupts are not off, or something is on that
 * pci_liveupdate_preserve() refuses, or bus mastering is on of a device that is
 * not to run; -EINVAL if it is off on the way of one that is, or the next kernel
 * would refuse the records; -ENODEV if the device is gone; -ENOENT if it is not
 * preserved; -ENOMEM. Nothing is changed then.
 */
int pci_liveupdate_freeze(struct pci_dev *pdev, bool running)
{
	struct pci_dev_ser ser = {}, before;
	struct pci_outgoing_dev *dev;
	int err;

	err = pci_outgoing_ready(pdev);
	if (err)
		return err;

	guard(rwsem_write)(&pci_liveupdate_sem);
	dev = pci_outgoing_find(pdev);
	if (!dev || pci_ser_is_bridge(&dev->ser))
		return -ENOENT;
	pci_ser_identify(pdev, &ser);
	pci_ser_read(pdev, &ser);
	err = pci_outgoing_verify(pdev, &ser, running);
	if (err)
		return err;
	if (running)
		ser.flags |= PCI_DEV_SER_RUNNING;
	before = dev->ser;
	dev->ser = ser;
	pci_outgoing_refresh(pdev);
	err = pci_outgoing_check();
	if (err) {
		dev->ser = before;
		pci_outgoing_refresh(pdev);
		return err;
	}
	pci_outgoing_write();
	return 0;
}
EXPORT_SYMBOL_GPL(pci_liveupdate_freeze);

/**
 * pci_liveupdate_unfreeze - Undo pci_liveupdate_freeze()
 * @pdev: The device
 *
 * Context: May sleep. Takes pci_liveupdate_sem.
 */
void pci_liveupdate_unfreeze(struct pci_dev *pdev)
{
	struct pci_outgoing_dev *dev;

	guard(rwsem_write)(&pci_liveupdate_sem);
	dev = pci_outgoing_find(pdev);
	if (WARN_ON_ONCE(!dev || pci_ser_is_bridge(&dev->ser)))
		return;
	dev->ser.flags &= ~PCI_DEV_SER_RUNNING;
	pci_ser_forget(&dev->ser);
	pci_outgoing_refresh(pdev);
	pci_outgoing_write();
}
EXPORT_SYMBOL_GPL(pci_liveupdate_unfreeze);

/**
 * pci_liveupdate_is_outgoing - Whether a device is handed over
 * @pdev: The device, or a bridge
 *
 * Context: May sleep. Takes pci_liveupdate_sem.
 * Return: True from preserve to unpreserve, of a bridge as long as a device
 * below it is.
 */
bool pci_liveupdate_is_outgoing(struct pci_dev *pdev)
{
	guard(rwsem_read)(&pci_liveupdate_sem);
	return pci_outgoing_find(pdev);
}
EXPORT_SYMBOL_GPL(pci_liveupdate_is_outgoing);

/**
 * pci_liveupdate_keep_master - Whether bus mastering outlives this kernel
 * @pdev: The device, or a bridge
 *
 * Nothing is preserved, frozen or undone any more when devices are shut down
 * for a kexec, so that all of a way up get the same answer.
 *
 * Context: May sleep. Takes pci_liveupdate_sem.
 * Return: True for a device that runs, and for the bridges above it.
 */
bool pci_liveupdate_keep_master(struct pci_dev *pdev)
{
	struct pci_outgoing_dev *dev;

	guard(rwsem_read)(&pci_liveupdate_sem);
	dev = pci_outgoing_find(pdev);
	return dev && dev->ser.flags & PCI_DEV_SER_RUNNING;
}
