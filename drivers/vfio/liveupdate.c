// SPDX-License-Identifier: GPL-2.0-only
/*
 * What files of all vfio devices need for a live update: the gate that keeps
 * userspace out between freeze and the end of the kernel, and a way to make a
 * file without the character device.
 *
 * Locking: the gate is outside of vfio_device_set.lock. Whoever is inside of the
 * gate may fault, so nobody who holds mmap_lock may wait for it.
 */
#include <linux/anon_inodes.h>
#include <linux/delay.h>
#include <linux/export.h>
#include <linux/fs.h>
#include <linux/jiffies.h>
#include <linux/vfio.h>
#include <linux/vfio-liveupdate.h>
#include <linux/wait_bit.h>

#include "vfio.h"

/* A freeze is a matter of milliseconds. Nobody but a reset takes that long. */
#define GATE_TIMEOUT_MS		2000

/**
 * vfio_gate_init() - Make the gate of a device, open
 * @device: The device, being initialized
 */
void vfio_gate_init(struct vfio_device *device)
{
	init_rwsem(&device->gate);
	device->gate_closing = false;
	device->gate_closed = false;
}

/**
 * vfio_gate_enter() - Ask to use the device on behalf of userspace
 * @device: The device
 *
 * Context: May sleep. Not under mmap_lock, and not inside of the gate.
 *
 * Return: True if the caller may go on, and calls vfio_gate_leave() later.
 * False if the gate is closed.
 */
bool vfio_gate_enter(struct vfio_device *device)
{
	/* Those inside would never be nobody if others kept coming. */
	wait_var_event(&device->gate_closing,
		       !READ_ONCE(device->gate_closing));
	down_read(&device->gate);
	if (likely(!device->gate_closed))
		return true;
	up_read(&device->gate);
	return false;
}

/**
 * vfio_gate_leave() - Undo vfio_gate_enter()
 * @device: The device
 */
void vfio_gate_leave(struct vfio_device *device)
{
	up_read(&device->gate);
}

/**
 * vfio_gate_is_closed() - Is userspace kept out?
 * @device: The device
 *
 * For those that cannot wait. The answer may be old.
 *
 * Return: True if it is.
 */
bool vfio_gate_is_closed(struct vfio_device *device)
{
	return READ_ONCE(device->gate_closed);
}

/**
 * vfio_device_close_gate() - Keep userspace out of a device
 * @device: The device
 *
 * Waits until nobody is inside of an ioctl, read or write of the device, and
 * fails all that come later with -EIO. An ioctl can wait for a page of memory
 * that userspace itself has to provide, so the wait has an end. Whoever comes
 * while it lasts waits for how it ends.
 *
 * Context: May sleep. Not under vfio_device_set.lock or mmap_lock. One caller at
 * a time.
 *
 * Return: 0 or -EBUSY.
 */
int vfio_device_close_gate(struct vfio_device *device)
{
	unsigned long end = jiffies + msecs_to_jiffies(GATE_TIMEOUT_MS);
	bool alone;

	WRITE_ONCE(device->gate_closing, true);
	alone = down_write_trylock(&device->gate);
	while (!alone && time_before(jiffies, end)) {
		usleep_range(100, 200);
		alone = down_write_trylock(&device->gate);
	}
	if (alone) {
		WRITE_ONCE(device->gate_closed, true);
		up_write(&device->gate);
	}
	store_release_wake_up(&device->gate_closing, false);
	return alone ? 0 : -EBUSY;
}
EXPORT_SYMBOL_GPL(vfio_device_close_gate);

/**
 * vfio_device_open_gate() - Undo vfio_device_close_gate()
 * @device: The device
 *
 * Context: May sleep.
 */
void vfio_device_open_gate(struct vfio_device *device)
{
	down_write(&device->gate);
	WRITE_ONCE(device->gate_closed, false);
	up_write(&device->gate);
}
EXPORT_SYMBOL_GPL(vfio_device_open_gate);

/**
 * vfio_cdev_file_device() - Whose file is it?
 * @file: Any file
 *
 * Return: The device, or NULL if this is not a device file, or one that was
 * opened through a group.
 */
struct vfio_device *vfio_cdev_file_device(struct file *file)
{
	struct vfio_device_file *df;

	if (file->f_op != &vfio_device_fops)
		return NULL;
	df = file->private_data;
	return df->group ? NULL : df->device;
}
EXPORT_SYMBOL_GPL(vfio_cdev_file_device);

/**
 * vfio_cdev_file_is_bound() - Was the device bound to an iommufd by this file?
 * @file: A file that vfio_cdev_file_device() knows
 *
 * Context: Under vfio_device_set.lock for an answer that lasts.
 *
 * Return: True if it was. It stays so until the file is closed.
 */
bool vfio_cdev_file_is_bound(struct file *file)
{
	struct vfio_device_file *df = file->private_data;

	/* Paired with smp_store_release() in vfio_df_ioctl_bind_iommufd() */
	return smp_load_acquire(&df->access_granted);
}
EXPORT_SYMBOL_GPL(vfio_cdev_file_is_bound);

/**
 * vfio_cdev_file_create() - Make a device file without the character device
 * @device: The device, with a registration reference that becomes the file's
 *
 * The file is as if the character device had been opened: of no use until it is
 * bound to an iommufd.
 *
 * Context: May sleep.
 *
 * Return: The file or an ERR_PTR, then the reference is still the caller's.
 */
struct file *vfio_cdev_file_create(struct vfio_device *device)
{
	struct vfio_device_file *df;
	struct file *file;

	df = vfio_allocate_device_file(device);
	if (IS_ERR(df))
		return ERR_CAST(df);

	file = anon_inode_getfile_fmode("[vfio-device]", &vfio_device_fops, df,
					O_RDWR, FMODE_PREAD | FMODE_PWRITE);
	if (IS_ERR(file)) {
		kfree(df);
		return file;
	}

	/* As in vfio_device_fops_cdev_open() */
	file->f_mapping = device->inode->i_mapping;
	return file;
}
EXPORT_SYMBOL_GPL(vfio_cdev_file_create);
