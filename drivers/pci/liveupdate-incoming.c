// SPDX-License-Identifier: GPL-2.0-only
/*
 * The kernel that comes: which devices were handed over to it, and which of
 * them are as they were left.
 */

#define pr_fmt(fmt) "PCI: liveupdate: " fmt

#include <linux/device.h>
#include <linux/liveupdate.h>
#include <linux/pci.h>
#include <linux/pci-liveupdate.h>
#include <linux/pm_runtime.h>

#include "liveupdate-internal.h"
#include "liveupdate.h"
#include "pci.h"

/**
 * pci_incoming_find - Find the record of a device
 * @dev: The device, or a bridge
 *
 * Context: The caller holds pci_liveupdate_sem.
 * Return: The record, NULL if there is none or it is finished.
 */
struct pci_incoming_dev *pci_incoming_find(struct pci_dev *dev)
{
	struct pci_incoming_dev *left;

	lockdep_assert_held(&pci_liveupdate_sem);
	if (!pci_incoming || dev->is_virtfn)
		return NULL;
	left = xa_load(&pci_incoming->devs,
		       pci_ser_key(pci_domain_nr(dev->bus), pci_dev_id(dev)));
	if (!left || left->state == PCI_INCOMING_FINISHED)
		return NULL;
	return left;
}

static enum pci_incoming_state pci_incoming_state(struct pci_dev *dev)
{
	struct pci_incoming_dev *left;

	/* This is what nearly all machines say at all times. */
	if (!READ_ONCE(pci_incoming))
		return PCI_INCOMING_FINISHED;
	guard(rwsem_read)(&pci_liveupdate_sem);
	left = pci_incoming_find(dev);
	return left ? left->state : PCI_INCOMING_FINISHED;
}

/*
 * The first device that is set up asks first, and has the records read. A
 * reference is not kept: the files that hand over devices have theirs.
 */
static int pci_incoming_open(void)
{
	void *obj;
	int err;

	err = liveupdate_flb_get_incoming(&pci_liveupdate_flb, &obj);
	switch (err) {
	case 0:
		liveupdate_flb_put_incoming(&pci_liveupdate_flb);
		return 0;
	case -EOPNOTSUPP:
	case -ENODATA:
	case -ENOENT:
		return 0;
	default:
		return err;
	}
}

/* Why a device is not what was left, NULL if it is */
static const char *pci_incoming_differs(struct pci_incoming_dev *left,
					struct pci_dev *dev)
{
	struct pci_dev *bridge = pci_upstream_bridge(dev);
	struct pci_incoming_dev *above;
	struct pci_dev_ser now = {};
	const char *what;

	above = pci_incoming_above(pci_incoming, &left->ser);
	if (!above != !bridge ||
	    (above && above->ser.bdf != pci_dev_id(bridge)))
		return "place in the hierarchy";
	if (above && above->state != PCI_INCOMING_KEPT)
		return "bridge above it";
	pci_ser_identify(dev, &now);
	pci_ser_read(dev, &now);
	what = pci_ser_compare(&left->ser, &now);
	if (what)
		return what;
	return pci_ser_in_d0(dev) ? NULL : "power state";
}

/**
 * pci_liveupdate_setup - Recognise a device that was handed over
 * @dev: The device, which is being set up. Its configuration space can be read,
 *       nothing was written to it
 *
 * A device that is not as it was left loses bus mastering here, before anything
 * else is done with it. So does every device if the records cannot be read.
 *
 * Context: May sleep. Takes locks of live update and pci_liveupdate_sem.
 */
void pci_liveupdate_setup(struct pci_dev *dev)
{
	struct pci_incoming_dev *left;
	const char *what;
	int err;

	err = pci_incoming_open();
	if (err) {
		pci_err(dev, "live update: DMA is off, the records cannot be read: %pe\n",
			ERR_PTR(err));
		pci_clear_master(dev);
		return;
	}

	guard(rwsem_write)(&pci_liveupdate_sem);
	left = pci_incoming_find(dev);
	if (!left)
		return;
	what = pci_incoming_differs(left, dev);
	if (what) {
		pci_err(dev, "live update: DMA is off, not as it was left: %s\n",
			what);
		left->state = PCI_INCOMING_STOPPED;
		pci_clear_master(dev);
		return;
	}
	left->state = PCI_INCOMING_KEPT;
	pci_info(dev, "live update: handed over%s\n",
		 left->ser.flags & PCI_DEV_SER_RUNNING ? ", running" : "");
}

/**
 * pci_liveupdate_hold - Keep a device that was handed over, and keep it active
 * @dev: The device, which has references and runtime PM by now
 *
 * Holds both until the device is finished, or another one comes in its place.
 *
 * Context: May sleep. Takes pci_liveupdate_sem.
 */
void pci_liveupdate_hold(struct pci_dev *dev)
{
	struct pci_incoming_dev *left;
	typeof(left->fixed) fixed;

	guard(rwsem_write)(&pci_liveupdate_sem);
	left = pci_incoming_find(dev);
	if (!left || left->pdev == dev)
		return;
	/* The resources of this one were fixed when it was set up. */
	fixed = left->fixed;
	pci_incoming_release(left);
	left->fixed = fixed;
	left->pdev = pci_dev_get(dev);
	pm_runtime_get_noresume(&dev->dev);
}

/**
 * pci_liveupdate_keeps - Whether what is found in a device has to stay
 * @dev: The device, or a bridge
 *
 * Context: May sleep. Takes pci_liveupdate_sem.
 * Return: True from setup to finish, of a device that is as it was left.
 */
bool pci_liveupdate_keeps(struct pci_dev *dev)
{
	return pci_incoming_state(dev) == PCI_INCOMING_KEPT;
}

/**
 * pci_liveupdate_is_busy - Whether a device is on its way between kernels
 * @dev: The device, or a bridge
 *
 * Context: May sleep. Takes pci_liveupdate_sem.
 * Return: True if nobody but the file that hands it over may reset the device.
 */
bool pci_liveupdate_is_busy(struct pci_dev *dev)
{
	return pci_liveupdate_is_incoming(dev) ||
		pci_liveupdate_is_outgoing(dev);
}

/**
 * pci_liveupdate_is_busy_bridge - Whether DMA may be on its way through a bridge
 * @dev: A device or a bridge
 *
 * Context: May sleep. Takes pci_liveupdate_sem.
 * Return: True if @dev is a bridge that has to keep bus mastering.
 */
bool pci_liveupdate_is_busy_bridge(struct pci_dev *dev)
{
	return dev->hdr_type == PCI_HEADER_TYPE_BRIDGE &&
		pci_liveupdate_is_busy(dev);
}

/**
 * pci_liveupdate_may_match - Whether a driver may bind without being chosen
 * @dev: The device
 *
 * Context: May sleep. Takes pci_liveupdate_sem.
 * Return: False for a device that was handed over and has no driver_override.
 * Bridges belong to the port driver as ever.
 */
bool pci_liveupdate_may_match(struct pci_dev *dev)
{
	if (dev->hdr_type == PCI_HEADER_TYPE_BRIDGE ||
	    !pci_liveupdate_is_incoming(dev))
		return true;
	return device_has_driver_override(&dev->dev);
}

/**
 * pci_liveupdate_is_incoming - Whether a device was handed over
 * @pdev: The device, or a bridge
 *
 * Context: May sleep. Takes pci_liveupdate_sem.
 * Return: True until it is finished, also of a device whose DMA was switched
 * off because it is not as it was left.
 */
bool pci_liveupdate_is_incoming(struct pci_dev *pdev)
{
	return pci_incoming_state(pdev) != PCI_INCOMING_FINISHED;
}
EXPORT_SYMBOL_GPL(pci_liveupdate_is_incoming);

/**
 * pci_liveupdate_is_running - Whether a device was handed over with DMA going on
 * @pdev: The device
 *
 * Context: May sleep. Takes pci_liveupdate_sem.
 * Return: True until it is finished, if the device is as it was left.
 */
bool pci_liveupdate_is_running(struct pci_dev *pdev)
{
	struct pci_incoming_dev *left;

	guard(rwsem_read)(&pci_liveupdate_sem);
	left = pci_incoming_find(pdev);
	return left && left->state == PCI_INCOMING_KEPT &&
		left->ser.flags & PCI_DEV_SER_RUNNING;
}
EXPORT_SYMBOL_GPL(pci_liveupdate_is_running);

/**
 * pci_liveupdate_get_incoming - Find a device that was handed over
 * @segment: PCI segment
 * @bdf: PCI bus, device and function
 *
 * Called by the retrieve operation of a file with what the file remembers.
 *
 * Context: May sleep. Takes pci_liveupdate_sem.
 * Return: The device with a reference; -ENOENT if no such device was handed
 * over, or it is finished; -ENODEV if it is not there; -EIO if its DMA was
 * switched off because it is not as it was left.
 */
struct pci_dev *pci_liveupdate_get_incoming(u32 segment, u16 bdf)
{
	struct pci_incoming_dev *left;

	guard(rwsem_read)(&pci_liveupdate_sem);
	if (!pci_incoming)
		return ERR_PTR(-ENOENT);
	left = xa_load(&pci_incoming->devs, pci_ser_key(segment, bdf));
	if (!left || left->state == PCI_INCOMING_FINISHED ||
	    pci_ser_is_bridge(&left->ser))
		return ERR_PTR(-ENOENT);
	if (left->state == PCI_INCOMING_STOPPED)
		return ERR_PTR(-EIO);
	if (!left->pdev || !pci_dev_is_added(left->pdev) ||
	    pci_dev_is_disconnected(left->pdev))
		return ERR_PTR(-ENODEV);
	return pci_dev_get(left->pdev);
}
EXPORT_SYMBOL_GPL(pci_liveupdate_get_incoming);

static void pci_incoming_finish_one(struct pci_incoming_dev *left)
{
	pci_incoming_release(left);
	left->state = PCI_INCOMING_FINISHED;
}

/**
 * pci_liveupdate_finish - The device belongs to this kernel alone from now on
 * @pdev: The device
 *
 * Also finishes the bridges that are above no other device. Whoever calls this
 * has taken the device's DMA over, or has stopped it: PCI forgets that it runs.
 * Called by the finish operation of the file.
 *
 * Context: May sleep. Takes pci_liveupdate_sem.
 */
void pci_liveupdate_finish(struct pci_dev *pdev)
{
	struct pci_incoming_dev *left;

	guard(rwsem_write)(&pci_liveupdate_sem);
	left = pci_incoming_find(pdev);
	if (WARN_ON_ONCE(!left || pci_ser_is_bridge(&left->ser)))
		return;
	pci_incoming_finish_one(left);
	while ((left = pci_incoming_above(pci_incoming, &left->ser)))
		if (!--left->left)
			pci_incoming_finish_one(left);
}
EXPORT_SYMBOL_GPL(pci_liveupdate_finish);
