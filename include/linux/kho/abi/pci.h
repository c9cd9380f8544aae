/* SPDX-License-Identifier: GPL-2.0 */

/**
 * DOC: PCI live update ABI
 *
 * PCI devices keep their place in the hierarchy while one kernel replaces the
 * other, and some of them keep working. Which ones these are, and what is above
 * them, is in the records that are defined here.
 *
 * The root is a `struct pci_flb_ser` at the begin of a page that is preserved
 * by Kexec HandOver (KHO). Its physical address is the data of the
 * File-Lifecycle-Bound object named PCI_FLB_COMPATIBLE. It heads a list of
 * blocks as <linux/kho/abi/block.h> defines them, each a preserved page. They
 * hold one `struct pci_dev_ser` for each device that is handed over and for
 * each bridge above one, in no particular order. All blocks but the last one
 * are full.
 *
 * Hardware is the truth about itself: the next kernel takes over what it finds
 * in registers. The copies of registers here only tell whether what it finds is
 * what was left.
 *
 * This interface is a contract. Any change of size, order, width or meaning of
 * a member, a new flag, or a use for what is reserved and zero now, requires
 * that PCI_FLB_VERSION is incremented. A kernel accepts its own version only.
 *
 * All numbers are in the byte order of the machine, and pages are of its page
 * size, neither of which changes over a kexec.
 */

#ifndef _LINUX_KHO_ABI_PCI_H
#define _LINUX_KHO_ABI_PCI_H

#include <linux/bits.h>
#include <linux/build_bug.h>
#include <linux/stddef.h>
#include <linux/types.h>

#define PCI_FLB_COMPATIBLE	"pci"
#define PCI_FLB_VERSION		1

/*
 * Most records. It bounds what the next kernel does before it knows whether
 * they are sane: 2 MB of records.
 */
#define PCI_SER_MAX_DEVICES	65536

/**
 * struct pci_flb_ser - Root of the records
 * @version: PCI_FLB_VERSION. No other member may be looked at before this one
 * @nr_devices: Number of records
 * @first_block: Physical address of the first block of records, 0 if none
 *
 * The rest of the page is zero.
 *
 * If this structure is modified, `PCI_FLB_VERSION` must be updated.
 */
struct pci_flb_ser {
	u32 version;
	u32 nr_devices;
	u64 first_block;
};

static_assert(sizeof(struct pci_flb_ser) == 16);
static_assert(offsetof(struct pci_flb_ser, version) == 0);
static_assert(offsetof(struct pci_flb_ser, nr_devices) == 4);
static_assert(offsetof(struct pci_flb_ser, first_block) == 8);

/* The device is a bridge above devices that are handed over */
#define PCI_DEV_SER_BRIDGE	BIT(0)
/* DMA goes on: that of the device itself, or of one below the bridge */
#define PCI_DEV_SER_RUNNING	BIT(1)

/**
 * struct pci_dev_ser - One device, or one bridge
 * @segment: PCI segment
 * @bdf: PCI bus, device and function
 * @nr_below: Of a bridge: number of devices below it that are handed over, not
 *            counting bridges. Else zero
 * @vendor: Vendor ID register
 * @device: Device ID register
 * @flags: PCI_DEV_SER flags
 * @bus_numbers: Of a bridge: the register at PCI_PRIMARY_BUS without the
 *               latency timer: primary, secondary and subordinate bus number
 *               in bits 0-7, 8-15, 16-23. Else zero
 * @command: Command register
 * @devctl: PCI Express Device Control register, 0 without that capability. So
 *          are the following
 * @devctl2: Device Control 2 register
 * @lnkctl: Link Control register
 * @acs_ctrl: ACS Control register, 0 without that capability
 * @__reserved: Zero
 *
 * Of registers, only those bits are there which neither the end of one kernel
 * nor the begin of another changes.
 *
 * If this structure is modified, `PCI_FLB_VERSION` must be updated.
 */
struct pci_dev_ser {
	u32 segment;
	u16 bdf;
	u16 nr_below;
	u16 vendor;
	u16 device;
	u32 flags;
	u32 bus_numbers;
	u16 command;
	u16 devctl;
	u16 devctl2;
	u16 lnkctl;
	u16 acs_ctrl;
	u16 __reserved;
};

static_assert(sizeof(struct pci_dev_ser) == 32);
static_assert(offsetof(struct pci_dev_ser, segment) == 0);
static_assert(offsetof(struct pci_dev_ser, bdf) == 4);
static_assert(offsetof(struct pci_dev_ser, nr_below) == 6);
static_assert(offsetof(struct pci_dev_ser, vendor) == 8);
static_assert(offsetof(struct pci_dev_ser, device) == 10);
static_assert(offsetof(struct pci_dev_ser, flags) == 12);
static_assert(offsetof(struct pci_dev_ser, bus_numbers) == 16);
static_assert(offsetof(struct pci_dev_ser, command) == 20);
static_assert(offsetof(struct pci_dev_ser, devctl) == 22);
static_assert(offsetof(struct pci_dev_ser, devctl2) == 24);
static_assert(offsetof(struct pci_dev_ser, lnkctl) == 26);
static_assert(offsetof(struct pci_dev_ser, acs_ctrl) == 28);
static_assert(offsetof(struct pci_dev_ser, __reserved) == 30);

#endif /* _LINUX_KHO_ABI_PCI_H */
