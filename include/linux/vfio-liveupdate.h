/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a vfio driver whose device files cross a live update needs of vfio.
 */
#ifndef _LINUX_VFIO_LIVEUPDATE_H
#define _LINUX_VFIO_LIVEUPDATE_H

#include <linux/types.h>

struct file;
struct vfio_device;

/* The device file of both kernels */
struct vfio_device *vfio_cdev_file_device(struct file *file);
bool vfio_cdev_file_is_bound(struct file *file);

/* The kernel that leaves */
int vfio_device_close_gate(struct vfio_device *device);
void vfio_device_open_gate(struct vfio_device *device);

/* The kernel that comes */
struct file *vfio_cdev_file_create(struct vfio_device *device);

#endif /* _LINUX_VFIO_LIVEUPDATE_H */
