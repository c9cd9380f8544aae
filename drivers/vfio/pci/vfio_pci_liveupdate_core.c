// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a live update does to the device itself: freeze it in the kernel that
 * leaves, take it over as it is in the one that comes. When, and what for, is
 * for vfio_pci_liveupdate.c to say.
 *
 * Locking: gate of the vfio_device -> vfio_device_set.lock -> igate ->
 * memory_lock, as for a hot reset.
 */
#include <linux/errno.h>
#include <linux/export.h>
#include <linux/iommufd.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/pci-liveupdate.h>
#include <linux/vfio-liveupdate.h>

#include "vfio_pci_liveupdate.h"
#include "vfio_pci_priv.h"

MODULE_IMPORT_NS("IOMMUFD");

/* What freeze may change in the Command register */
#define FREEZE_COMMAND	(PCI_COMMAND_MASTER | PCI_COMMAND_INTX_DISABLE)

static void restore_command(struct vfio_pci_core_device *vdev)
{
	u16 command, now;

	pci_read_config_word(vdev->pdev, PCI_COMMAND, &now);
	command = (now & ~FREEZE_COMMAND) |
		  (vdev->liveupdate.command & FREEZE_COMMAND);
	if (command != now)
		pci_write_config_word(vdev->pdev, PCI_COMMAND, command);
}

/* Without a translation that crosses, DMA ends here. */
static void quiesce(struct pci_dev *pdev)
{
	pci_clear_master(pdev);
	if (!pci_wait_for_pending_transaction(pdev))
		pci_warn(pdev, "still has transactions pending\n");
}

static int freeze_device(struct vfio_pci_core_device *vdev, bool running)
{
	struct pci_dev *pdev = vdev->pdev;
	u16 command;
	int ret;

	lockdep_assert_held_write(&vdev->memory_lock);
	if (vdev->pm_runtime_engaged || pdev->current_state != PCI_D0)
		return -EBUSY;

	/* There is no way back for those who use a BAR as a dma-buf. */
	ret = vfio_pci_dma_buf_try_revoke(vdev);
	if (ret)
		return ret;

	pci_read_config_word(pdev, PCI_COMMAND, &command);
	vdev->liveupdate.command = command;
	pci_intx(pdev, 0);
	if (!running)
		quiesce(pdev);
	/* The guest may not have begun with DMA. It does not then. */
	if (!(command & PCI_COMMAND_MASTER))
		running = false;

	/* Refuses if this did not mask INTx. */
	ret = pci_liveupdate_freeze(pdev, running);
	if (ret) {
		restore_command(vdev);
		if (__vfio_pci_memory_enabled(vdev))
			vfio_pci_dma_buf_move(vdev, false);
		return ret;
	}

	vdev->liveupdate.frozen = true;
	return 0;
}

/**
 * vfio_pci_liveupdate_freeze() - Leave a device alone from here on
 * @vdev: The device, which is open, and preserved by PCI
 * @running: Its translation is preserved too. Otherwise its DMA is stopped
 *
 * Keeps userspace out, of BARs that it has mapped too, and lets nobody attach
 * exported BARs. All that the device itself notices is that INTx is masked.
 *
 * Context: May sleep. Takes the locks of the head of this file.
 *
 * Return: 0. -EBUSY if userspace does not come out of the device, uses its
 * interrupts, or has put it into a low power state, if somebody has an exported
 * BAR attached, if INTx cannot be masked, or if somebody waits for the end of the
 * file to unbind the driver. Or the error of pci_liveupdate_freeze(). Everything
 * is as before then.
 */
int vfio_pci_liveupdate_freeze(struct vfio_pci_core_device *vdev, bool running)
{
	int ret;

	ret = vfio_device_close_gate(&vdev->vdev);
	if (ret)
		return ret;

	mutex_lock(&vdev->vdev.dev_set->lock);
	mutex_lock(&vdev->igate);
	/*
	 * Who unbinds the driver holds the device_lock until the file is closed,
	 * that is for ever, and the end of the kernel waits for that lock. Who
	 * begins with it later is not found out.
	 */
	if (!device_is_registered(&vdev->vdev.device) ||
	    vdev->irq_type != VFIO_PCI_NUM_IRQS) {
		ret = -EBUSY;
	} else {
		vfio_pci_zap_and_down_write_memory_lock(vdev);
		ret = freeze_device(vdev, running);
		up_write(&vdev->memory_lock);
	}
	mutex_unlock(&vdev->igate);
	mutex_unlock(&vdev->vdev.dev_set->lock);

	if (ret)
		vfio_device_open_gate(&vdev->vdev);
	return ret;
}
EXPORT_SYMBOL_GPL(vfio_pci_liveupdate_freeze);

/**
 * vfio_pci_liveupdate_unfreeze() - Undo vfio_pci_liveupdate_freeze()
 * @vdev: The device
 *
 * Context: May sleep. Takes the locks of the head of this file.
 */
void vfio_pci_liveupdate_unfreeze(struct vfio_pci_core_device *vdev)
{
	mutex_lock(&vdev->vdev.dev_set->lock);
	down_write(&vdev->memory_lock);
	pci_liveupdate_unfreeze(vdev->pdev);
	restore_command(vdev);
	vdev->liveupdate.frozen = false;
	if (__vfio_pci_memory_enabled(vdev))
		vfio_pci_dma_buf_move(vdev, false);
	up_write(&vdev->memory_lock);
	mutex_unlock(&vdev->vdev.dev_set->lock);
	vfio_device_open_gate(&vdev->vdev);
}
EXPORT_SYMBOL_GPL(vfio_pci_liveupdate_unfreeze);

/**
 * vfio_pci_liveupdate_expect() - The device is running, and its file is there
 * @vdev: The device, which is not open
 * @reset_works: It can be reset alone
 *
 * The next vfio_pci_core_enable() takes it over as it is.
 *
 * Context: Under vfio_device_set.lock.
 */
void vfio_pci_liveupdate_expect(struct vfio_pci_core_device *vdev,
				bool reset_works)
{
	lockdep_assert_held(&vdev->vdev.dev_set->lock);
	vdev->liveupdate.expected = true;
	vdev->liveupdate.reset_works = reset_works;
}
EXPORT_SYMBOL_GPL(vfio_pci_liveupdate_expect);

/**
 * vfio_pci_liveupdate_forget() - Undo vfio_pci_liveupdate_expect()
 * @vdev: The device, which was stopped
 *
 * Context: Under vfio_device_set.lock.
 */
void vfio_pci_liveupdate_forget(struct vfio_pci_core_device *vdev)
{
	lockdep_assert_held(&vdev->vdev.dev_set->lock);
	vdev->liveupdate.expected = false;
}
EXPORT_SYMBOL_GPL(vfio_pci_liveupdate_forget);

/**
 * vfio_pci_liveupdate_is_expected() - Is the device to be taken over as it is?
 * @vdev: The device, being enabled
 *
 * True once: if something fails after that, the device is not as it was.
 *
 * Context: Under vfio_device_set.lock.
 *
 * Return: True if it is.
 */
bool vfio_pci_liveupdate_is_expected(struct vfio_pci_core_device *vdev)
{
	bool expected = vdev->liveupdate.expected;

	lockdep_assert_held(&vdev->vdev.dev_set->lock);
	vdev->liveupdate.expected = false;
	return expected;
}

/**
 * vfio_pci_liveupdate_take_over() - Set up a device that is running
 * @vdev: The device, after pci_enable_device()
 *
 * In the place of the reset. What is saved here is what the device gets when it
 * is closed, after a reset if that works: nothing of what makes it run now. The
 * device may go on with interrupts off for as long as userspace likes, so INTx
 * is off to userspace as well.
 *
 * Context: Under vfio_device_set.lock.
 */
void vfio_pci_liveupdate_take_over(struct vfio_pci_core_device *vdev)
{
	struct pci_dev *pdev = vdev->pdev;

	/* pci_enable_device() has switched it on. */
	pci_intx(pdev, 0);
	vdev->virq_disabled = true;

	vdev->reset_works = vdev->liveupdate.reset_works;
	if (!vdev->reset_works)
		pci_info(pdev, "live update: no reset, what the last user has set up will stay\n");

	pci_save_state(pdev);
	pdev->saved_config_space[PCI_COMMAND / 4] &= ~(u32)FREEZE_COMMAND;
	vdev->pci_saved_state = pci_store_saved_state(pdev);
	if (!vdev->pci_saved_state)
		pci_dbg(pdev, "%s: Couldn't store saved state\n", __func__);
}

/**
 * vfio_pci_liveupdate_spare() - May userspace reset its device?
 * @vdev: The device, which is open
 *
 * The IOMMU core refuses that as well, but only after PCI has switched the
 * device off.
 *
 * Context: May sleep. Before anything is done to the device.
 *
 * Return: True if the device is preserved, or has its translation from the
 * previous kernel, and may not be reset.
 */
bool vfio_pci_liveupdate_spare(struct vfio_pci_core_device *vdev)
{
	struct iommufd_device *idev = vdev->vdev.iommufd_device;

	return pci_liveupdate_is_outgoing(vdev->pdev) ||
	       (idev && iommufd_device_is_restored(idev));
}

/**
 * vfio_pci_liveupdate_spare_set() - May devices be reset together?
 * @dev_set: The devices
 *
 * Context: Under vfio_device_set.lock.
 *
 * Return: True if one of them is on its way between two kernels, and they may
 * not.
 */
bool vfio_pci_liveupdate_spare_set(struct vfio_device_set *dev_set)
{
	struct vfio_pci_core_device *cur;

	lockdep_assert_held(&dev_set->lock);
	list_for_each_entry(cur, &dev_set->device_list, vdev.dev_set_list)
		if (pci_liveupdate_is_outgoing(cur->pdev) ||
		    pci_liveupdate_is_incoming(cur->pdev))
			return true;
	return false;
}

/**
 * vfio_pci_liveupdate_detach_ioas() - Userspace gives up the device's attachment
 * @vdev: The device
 *
 * A device that runs with the translation of the previous kernel is stopped
 * first. Its user may have ended without a way to do that, and whoever has the
 * session now has nothing but this.
 *
 * Context: May sleep. Under vfio_device_set.lock.
 */
void vfio_pci_liveupdate_detach_ioas(struct vfio_device *vdev)
{
	struct vfio_pci_core_device *core =
		container_of(vdev, struct vfio_pci_core_device, vdev);

	lockdep_assert_held(&vdev->dev_set->lock);
	if (vdev->iommufd_device &&
	    iommufd_device_is_restored(vdev->iommufd_device))
		quiesce(core->pdev);
	vfio_iommufd_physical_detach_ioas(vdev);
}
EXPORT_SYMBOL_GPL(vfio_pci_liveupdate_detach_ioas);
