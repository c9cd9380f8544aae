/* SPDX-License-Identifier: GPL-2.0 */

/**
 * DOC: vfio-pci live update ABI
 *
 * The file of a device that is bound to vfio-pci crosses a live update as the
 * place of the device, and the way to its translation. All else is found in
 * hardware, in the records of PCI (linux/kho/abi/pci.h), or in those of the
 * IOMMU (linux/kho/abi/iommu.h).
 *
 * The data of the file in its session is the physical address of a `struct
 * vfio_pci_ser` at the begin of a page that Kexec HandOver (KHO) preserves. The
 * rest of the page is zero.
 *
 * This interface is a contract. Any change of size, order, width or meaning of
 * a member, a new flag, or a use for what is reserved and zero now, requires
 * that VFIO_PCI_SER_VERSION is incremented. A kernel accepts its own version
 * only.
 *
 * All numbers are in the byte order of the machine.
 */

#ifndef _LINUX_KHO_ABI_VFIO_PCI_H
#define _LINUX_KHO_ABI_VFIO_PCI_H

#include <linux/bits.h>
#include <linux/build_bug.h>
#include <linux/stddef.h>
#include <linux/types.h>

#define VFIO_PCI_LUO_COMPATIBLE	"vfio-pci"
#define VFIO_PCI_SER_VERSION	1

/*
 * The device goes on as it is: its translation crosses too, and nobody resets
 * it. Without this bit it is quiesced: its DMA is off, and it is reset when it
 * is bound.
 */
#define VFIO_PCI_SER_RUNNING		BIT(0)
/* The device can be reset alone */
#define VFIO_PCI_SER_RESET_WORKS	BIT(1)
#define VFIO_PCI_SER_FLAGS		GENMASK(1, 0)

/**
 * struct vfio_pci_ser - A device file
 * @version: VFIO_PCI_SER_VERSION. No other member may be looked at before this
 * @segment: PCI segment of the device
 * @bdf: PCI bus, device and function
 * @flags: VFIO_PCI_SER bits
 * @device_id: Id of the device's record of the IOMMU core. 0 if quiesced
 * @iommufd_token: Token in the session of the iommufd that the device was bound
 *                 to. 0 if quiesced
 * @__reserved: Zero
 *
 * If this structure is modified, `VFIO_PCI_SER_VERSION` must be updated.
 */
struct vfio_pci_ser {
	u32 version;
	u32 segment;
	u16 bdf;
	u16 flags;
	u32 device_id;
	u64 iommufd_token;
	u64 __reserved;
};

static_assert(sizeof(struct vfio_pci_ser) == 32);
static_assert(offsetof(struct vfio_pci_ser, version) == 0);
static_assert(offsetof(struct vfio_pci_ser, segment) == 4);
static_assert(offsetof(struct vfio_pci_ser, bdf) == 8);
static_assert(offsetof(struct vfio_pci_ser, flags) == 10);
static_assert(offsetof(struct vfio_pci_ser, device_id) == 12);
static_assert(offsetof(struct vfio_pci_ser, iommufd_token) == 16);
static_assert(offsetof(struct vfio_pci_ser, __reserved) == 24);

#endif /* _LINUX_KHO_ABI_VFIO_PCI_H */
