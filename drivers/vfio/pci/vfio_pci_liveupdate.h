/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Live update inside of vfio-pci.
 */
#ifndef VFIO_PCI_LIVEUPDATE_H
#define VFIO_PCI_LIVEUPDATE_H

#include <linux/types.h>
#include <linux/vfio_pci_core.h>

#ifdef CONFIG_VFIO_PCI_LIVEUPDATE

#ifdef CONFIG_VFIO_PCI_DMABUF
int vfio_pci_dma_buf_try_revoke(struct vfio_pci_core_device *vdev);
#else
static inline int
vfio_pci_dma_buf_try_revoke(struct vfio_pci_core_device *vdev)
{
	return 0;
}
#endif

/* vfio_pci_liveupdate_core.c */
int vfio_pci_liveupdate_freeze(struct vfio_pci_core_device *vdev, bool running);
void vfio_pci_liveupdate_unfreeze(struct vfio_pci_core_device *vdev);
void vfio_pci_liveupdate_expect(struct vfio_pci_core_device *vdev,
				bool reset_works);
void vfio_pci_liveupdate_forget(struct vfio_pci_core_device *vdev);
bool vfio_pci_liveupdate_is_expected(struct vfio_pci_core_device *vdev);
void vfio_pci_liveupdate_take_over(struct vfio_pci_core_device *vdev);
bool vfio_pci_liveupdate_spare(struct vfio_pci_core_device *vdev);
bool vfio_pci_liveupdate_spare_set(struct vfio_device_set *dev_set);
void vfio_pci_liveupdate_detach_ioas(struct vfio_device *vdev);

static inline bool
vfio_pci_liveupdate_is_frozen(struct vfio_pci_core_device *vdev)
{
	return vdev->liveupdate.frozen;
}

#else

#define vfio_pci_liveupdate_detach_ioas vfio_iommufd_physical_detach_ioas

static inline bool
vfio_pci_liveupdate_is_expected(struct vfio_pci_core_device *vdev)
{
	return false;
}

static inline void
vfio_pci_liveupdate_take_over(struct vfio_pci_core_device *vdev)
{
}

static inline bool vfio_pci_liveupdate_spare(struct vfio_pci_core_device *vdev)
{
	return false;
}

static inline bool
vfio_pci_liveupdate_spare_set(struct vfio_device_set *dev_set)
{
	return false;
}

static inline bool
vfio_pci_liveupdate_is_frozen(struct vfio_pci_core_device *vdev)
{
	return false;
}

#endif

#endif
