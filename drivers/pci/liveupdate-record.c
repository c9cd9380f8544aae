// SPDX-License-Identifier: GPL-2.0-only
/*
 * One record of a live update: read from a device, checked by itself, compared
 * with the device that the next kernel finds.
 */

#include <kunit/visibility.h>
#include <linux/export.h>
#include <linux/pci.h>

#include "liveupdate-internal.h"
#include "pci.h"

/*
 * What both kernels leave alone of the registers that DMA in flight, or the way
 * that it takes, depends on. Not in here: INTx of a bridge, which the port
 * services toggle; reporting of errors and of link events, which they switch
 * off and on; ASPM; completion timeouts.
 */
#define COMMAND_BRIDGE	(PCI_COMMAND_IO | PCI_COMMAND_MEMORY | \
			 PCI_COMMAND_MASTER)
#define COMMAND_DEVICE	(COMMAND_BRIDGE | PCI_COMMAND_INTX_DISABLE)
#define DEVCTL_BITS	(PCI_EXP_DEVCTL_RELAX_EN | PCI_EXP_DEVCTL_PAYLOAD | \
			 PCI_EXP_DEVCTL_EXT_TAG | PCI_EXP_DEVCTL_PHANTOM | \
			 PCI_EXP_DEVCTL_NOSNOOP_EN | PCI_EXP_DEVCTL_READRQ)
#define DEVCTL2_BITS	GENMASK(15, 5)
#define LNKCTL_BITS	(PCI_EXP_LNKCTL_LD | PCI_EXP_LNKCTL_RCB | \
			 PCI_EXP_LNKCTL_CCC)
#define BUS_NUMBERS	(PCI_PRIMARY_BUS_MASK | PCI_SECONDARY_BUS_MASK | \
			 PCI_SUBORDINATE_BUS_MASK)

/**
 * pci_ser_identify - Fill in what tells a device from others
 * @dev: The device
 * @ser: Its record
 */
void pci_ser_identify(struct pci_dev *dev, struct pci_dev_ser *ser)
{
	ser->segment = pci_domain_nr(dev->bus);
	ser->bdf = pci_dev_id(dev);
	ser->vendor = dev->vendor;
	ser->device = dev->device;
	if (dev->hdr_type == PCI_HEADER_TYPE_BRIDGE)
		ser->flags |= PCI_DEV_SER_BRIDGE;
}

/**
 * pci_ser_read - Fill in what hardware says now
 * @dev: The device. Needs to know its type, its PCI Express capability and the
 *       size of its configuration space, nothing else
 * @ser: Its record, which has passed pci_ser_identify()
 *
 * Reads registers only.
 */
void pci_ser_read(struct pci_dev *dev, struct pci_dev_ser *ser)
{
	bool bridge = pci_ser_is_bridge(ser);
	u16 acs;

	pci_ser_forget(ser);
	pci_read_config_word(dev, PCI_VENDOR_ID, &ser->vendor);
	pci_read_config_word(dev, PCI_DEVICE_ID, &ser->device);
	pci_read_config_word(dev, PCI_COMMAND, &ser->command);
	ser->command &= bridge ? COMMAND_BRIDGE : COMMAND_DEVICE;
	if (bridge) {
		pci_read_config_dword(dev, PCI_PRIMARY_BUS, &ser->bus_numbers);
		ser->bus_numbers &= BUS_NUMBERS;
	}

	/* These read as zero where the register does not exist. */
	pcie_capability_read_word(dev, PCI_EXP_DEVCTL, &ser->devctl);
	ser->devctl &= DEVCTL_BITS;
	pcie_capability_read_word(dev, PCI_EXP_DEVCTL2, &ser->devctl2);
	ser->devctl2 &= DEVCTL2_BITS;
	pcie_capability_read_word(dev, PCI_EXP_LNKCTL, &ser->lnkctl);
	ser->lnkctl &= LNKCTL_BITS;

	acs = pci_find_ext_capability(dev, PCI_EXT_CAP_ID_ACS);
	if (acs)
		pci_read_config_word(dev, acs + PCI_ACS_CTRL, &ser->acs_ctrl);
}

/**
 * pci_ser_forget - Drop what pci_ser_read() filled in, but for the identity
 * @ser: The record
 */
void pci_ser_forget(struct pci_dev_ser *ser)
{
	ser->command = 0;
	ser->devctl = 0;
	ser->devctl2 = 0;
	ser->lnkctl = 0;
	ser->acs_ctrl = 0;
}

/**
 * pci_ser_in_d0 - Whether hardware says that a device is in D0
 * @dev: The device, as for pci_ser_read()
 *
 * Return: True also for a device without power management.
 */
bool pci_ser_in_d0(struct pci_dev *dev)
{
	u8 pm = pci_find_capability(dev, PCI_CAP_ID_PM);
	u16 pmcsr;

	if (!pm)
		return true;
	pci_read_config_word(dev, pm + PCI_PM_CTRL, &pmcsr);
	return !PCI_POSSIBLE_ERROR(pmcsr) &&
		!(pmcsr & PCI_PM_CTRL_STATE_MASK);
}

/**
 * pci_ser_compare - Find a difference between what was left and what is there
 * @left: Record of the previous kernel
 * @found: What pci_ser_read() says now
 *
 * Return: The name of what differs, NULL if nothing does.
 */
const char *pci_ser_compare(const struct pci_dev_ser *left,
			    const struct pci_dev_ser *found)
{
	if (left->vendor != found->vendor || left->device != found->device)
		return "Vendor or Device ID";
	if (pci_ser_is_bridge(left) != pci_ser_is_bridge(found))
		return "header type";
	if (left->bus_numbers != found->bus_numbers)
		return "bus numbers";
	if (left->command != found->command)
		return "Command";
	if (left->devctl != found->devctl)
		return "Device Control";
	if (left->devctl2 != found->devctl2)
		return "Device Control 2";
	if (left->lnkctl != found->lnkctl)
		return "Link Control";
	if (left->acs_ctrl != found->acs_ctrl)
		return "ACS Control";
	return NULL;
}
EXPORT_SYMBOL_IF_KUNIT(pci_ser_compare);

/* What pci_ser_check() has to say about a bridge only */
static const char *pci_ser_check_bridge(const struct pci_dev_ser *ser)
{
	if (!ser->nr_below)
		return "a bridge above nothing";
	if (ser->bus_numbers & ~BUS_NUMBERS)
		return "unknown bits in bus numbers";
	/* This is also what makes the way up from any device end. */
	if (pci_ser_secondary(ser) <= pci_ser_bus(ser))
		return "a bridge that leads up";
	if (pci_ser_subordinate(ser) < pci_ser_secondary(ser))
		return "bus numbers in disorder";
	if (ser->command & ~COMMAND_BRIDGE)
		return "unknown bits in Command";
	return NULL;
}

/**
 * pci_ser_check - Judge a record of the previous kernel by itself
 * @ser: The record
 *
 * Return: What is wrong with it, NULL if nothing is.
 */
const char *pci_ser_check(const struct pci_dev_ser *ser)
{
	if (ser->flags & ~(PCI_DEV_SER_BRIDGE | PCI_DEV_SER_RUNNING))
		return "unknown flags";
	if (ser->__reserved)
		return "reserved space in use";
	if (PCI_POSSIBLE_ERROR(ser->vendor) || !ser->vendor)
		return "no Vendor ID";
	if ((ser->flags & PCI_DEV_SER_RUNNING) &&
	    !(ser->command & PCI_COMMAND_MASTER))
		return "runs without bus mastering";
	if (ser->devctl & ~DEVCTL_BITS || ser->devctl2 & ~DEVCTL2_BITS ||
	    ser->lnkctl & ~LNKCTL_BITS)
		return "unknown bits in a control register";
	if (!pci_ser_is_bridge(ser)) {
		if (ser->nr_below || ser->bus_numbers)
			return "a bus below what is no bridge";
		if (ser->command & ~COMMAND_DEVICE)
			return "unknown bits in Command";
		return NULL;
	}
	return pci_ser_check_bridge(ser);
}
EXPORT_SYMBOL_IF_KUNIT(pci_ser_check);
