/* SPDX-License-Identifier: GPL-2.0 */
#ifndef SELFTESTS_LIVEUPDATE_IOMMU_DMA_DEVICE_H
#define SELFTESTS_LIVEUPDATE_IOMMU_DMA_DEVICE_H

#include <libvfio.h>

/* Neither a physical address of the guest nor near to one. */
#define AREA_IOVA	0x4010000000UL
#define NOWHERE_IOVA	0x7000000000UL

#define BDF_SIZE	13	/* "0000:00:00.0" */

/* Each of these ends the program if it cannot do its part. */

/* Find the first igb of this machine, or another one of them. */
void dma_device_find(char bdf[BDF_SIZE]);
void dma_device_find_next(char bdf[BDF_SIZE], int nth);

/*
 * Bind the device to vfio-pci and iommufd and let it reach @memfd at
 * AREA_IOVA, and nothing else. Its configuration space and BAR 0 can be used
 * then.
 */
struct vfio_pci_device *dma_device_attach(const char *bdf, int memfd);

/* Bind the device to vfio-pci. */
void dma_device_bind_driver(const char *bdf);

/* May the device do DMA, as its configuration space has it? */
bool dma_device_is_master(const char *bdf);

/* Open the device's character device once more: a descriptor or -errno. */
int dma_device_open_cdev(const char *bdf);

/* Let the page table of dma_device_attach() cross a live update as @token. */
void dma_device_mark(struct vfio_pci_device *device, u64 token);

/*
 * Bind @cdev to @iommufd. Its configuration space and BAR 0 can be used then, and
 * it has no page table but one that it came with.
 */
struct vfio_pci_device *dma_device_bind(const char *bdf, int iommufd, int cdev);

/* The same for a device that was bound already. */
struct vfio_pci_device *dma_device_use(const char *bdf, int iommufd, int cdev);

/* Make another page table for what the device can reach; its name. */
u32 dma_device_table(struct vfio_pci_device *device);

/* Let the device use a page table in place of its own; 0 or -errno. */
int dma_device_use_table(struct vfio_pci_device *device, u32 table);

/* In scalable mode as the entry has it (VT-d specification 9.6). */
enum dma_stage {
	DMA_LEGACY = 0,
	DMA_FIRST_STAGE = 1,
	DMA_SECOND_STAGE = 2,
};

struct dma_belief {
	u64 pgd;	/* top level page table */
	u64 did;	/* domain id */
	enum dma_stage stage;
};

/*
 * Return what the tables of the running kernel say about the device; false if
 * they say that it is blocked.
 */
bool dma_device_belief(const char *bdf, struct dma_belief *belief);

#endif /* SELFTESTS_LIVEUPDATE_IOMMU_DMA_DEVICE_H */
