// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the PCI core must not change of devices that were handed over. DMA is in
 * flight, or may be: hardware's own settings are the truth that it follows, and
 * what this kernel would prefer has to wait.
 */

#define pr_fmt(fmt) "PCI: liveupdate: " fmt

#include <linux/cleanup.h>
#include <linux/pci.h>
#include <linux/pci-liveupdate.h>
#include <linux/rcupdate.h>

#include "liveupdate-internal.h"
#include "liveupdate.h"
#include "pci.h"

/*
 * Numbers that were kept once stay in use: a bridge that is finished may be
 * above another device that is not, and is above running devices anyway.
 */
static bool pci_liveupdate_had_incoming(void)
{
	static bool had;

	if (READ_ONCE(pci_incoming))
		WRITE_ONCE(had, true);
	return READ_ONCE(had);
}

/**
 * pci_liveupdate_keep_bus_numbers - Whether all bridges keep their bus numbers
 *
 * Completions find their way by bus numbers. A bridge that was not handed over
 * keeps its numbers too, for another choice might be those of one that was.
 *
 * Return: True if pci=assign-busses has no effect.
 */
bool pci_liveupdate_keep_bus_numbers(void)
{
	if (!pci_liveupdate_had_incoming())
		return false;
	pr_info_once("pci=assign-busses has no effect\n");
	return true;
}

/**
 * pci_liveupdate_deny_bus_numbers - Whether a bridge gets no new bus numbers
 * @bus: The bus that the bridge is on
 * @dev: The bridge, whose numbers are none or wrong
 * @max: Highest bus number in use below @bus
 * @pass: Pass of the scan, the second one gives numbers
 *
 * New numbers for a bridge that was handed over would be the end of what is
 * below. Others get numbers only where they are routed to: what is beyond the
 * range of @bus may belong to a bridge that was handed over.
 *
 * Context: May sleep. Takes pci_liveupdate_sem.
 * Return: True if the bridge gets none.
 */
bool pci_liveupdate_deny_bus_numbers(struct pci_bus *bus, struct pci_dev *dev,
				     int max, int pass)
{
	if (pci_liveupdate_is_incoming(dev)) {
		pci_err(dev, "live update: bus numbers are lost\n");
		return true;
	}
	if (!pass || !pci_liveupdate_had_incoming() ||
	    max < (int)bus->busn_res.end)
		return false;
	pci_warn(dev, "live update: no bus number is left for this bridge\n");
	return true;
}

/**
 * pci_liveupdate_adopt_ari - Take ARI forwarding as it is
 * @dev: The device, whose functions are found through the bridge above it
 * @disabled: The command line says pci=noari
 *
 * Context: May sleep. Takes pci_liveupdate_sem.
 * Return: True if it must not be changed.
 */
bool pci_liveupdate_adopt_ari(struct pci_dev *dev, bool disabled)
{
	struct pci_dev *bridge = dev->bus->self;
	u16 ctl;

	if (!bridge || !pci_is_pcie(dev) || dev->devfn ||
	    !pci_liveupdate_keeps(bridge))
		return false;
	pcie_capability_read_word(bridge, PCI_EXP_DEVCTL2, &ctl);
	bridge->ari_enabled = !!(ctl & PCI_EXP_DEVCTL2_ARI);
	if (disabled && bridge->ari_enabled)
		pr_info_once("pci=noari has no effect on what was handed over\n");
	return true;
}

/**
 * pci_liveupdate_acs_ctrl - Choose the ACS controls of a device
 * @dev: The device
 * @ctrl: What this kernel and its command line would choose
 *
 * Context: Any. pci_restore_state() calls this, in atomic context too.
 * Return: What the previous kernel left, if the device was handed over, also
 * after a reset. Else @ctrl.
 */
u16 pci_liveupdate_acs_ctrl(struct pci_dev *dev, u16 ctrl)
{
	struct pci_incoming_dev *left;
	struct pci_incoming *in;

	/* pci_flb_finish() waits for this before it frees the records. */
	guard(rcu)();
	in = READ_ONCE(pci_incoming);
	if (!in || dev->is_virtfn)
		return ctrl;
	left = xa_load(&in->devs, pci_ser_key(pci_domain_nr(dev->bus),
					      pci_dev_id(dev)));
	if (!left || READ_ONCE(left->state) != PCI_INCOMING_KEPT)
		return ctrl;
	if (left->ser.acs_ctrl != ctrl && !xchg(&left->acs_told, true)) {
		pci_info(dev, "live update: ACS Control stays %#06x, not %#06x\n",
			 left->ser.acs_ctrl, ctrl);
	}
	return left->ser.acs_ctrl;
}

/**
 * pci_liveupdate_keep_settings - Take PCI Express settings as they are
 * @dev: The device
 *
 * Payload and read request sizes, tags, ordering, LTR, read completion boundary:
 * none of these can be changed with requests in flight. Only fills in what
 * others need to know of them.
 *
 * Context: May sleep. Takes pci_liveupdate_sem.
 * Return: True if they must not be changed.
 */
bool pci_liveupdate_keep_settings(struct pci_dev *dev)
{
	struct pci_dev *bridge = pci_upstream_bridge(dev);
	u16 ctl;

	if (!pci_liveupdate_keeps(dev))
		return false;
	if (!pci_is_pcie(dev))
		return true;
	pcie_capability_read_word(dev, PCI_EXP_DEVCTL2, &ctl);
	if (ctl & PCI_EXP_DEVCTL2_LTR_EN)
		dev->ltr_path = pci_pcie_type(dev) == PCI_EXP_TYPE_ROOT_PORT ||
				(bridge && bridge->ltr_path);
	return true;
}

/**
 * pci_liveupdate_keep_payload - Whether payload and read request sizes stay
 * @dev: The device
 *
 * Context: May sleep. Takes pci_liveupdate_sem.
 * Return: True if pci=pcie_bus_perf and the like have no effect on the device.
 */
bool pci_liveupdate_keep_payload(struct pci_dev *dev)
{
	if (!pci_liveupdate_keeps(dev))
		return false;
	if (pcie_bus_config != PCIE_BUS_TUNE_OFF &&
	    pcie_bus_config != PCIE_BUS_DEFAULT)
		pr_info_once("pci=pcie_bus_* has no effect on what was handed over\n");
	return true;
}

/**
 * pci_liveupdate_fix_resources - Keep BARs and windows where they are
 * @dev: The device, whose registers were read, once more perhaps
 *
 * Context: May sleep. Takes pci_liveupdate_sem.
 */
void pci_liveupdate_fix_resources(struct pci_dev *dev)
{
	struct pci_incoming_dev *left;
	struct resource *res;
	int i;

	guard(rwsem_write)(&pci_liveupdate_sem);
	left = pci_incoming_find(dev);
	if (!left || left->state != PCI_INCOMING_KEPT)
		return;
	for (i = 0; i < PCI_NUM_RESOURCES; i++) {
		res = &dev->resource[i];
		if ((i > PCI_STD_RESOURCE_END && i < PCI_BRIDGE_RESOURCES) ||
		    !res->flags || !res->start ||
		    res->flags & (IORESOURCE_UNSET | IORESOURCE_PCI_FIXED))
			continue;
		res->flags |= IORESOURCE_PCI_FIXED;
		left->fixed |= BIT(i);
	}
}

/**
 * pci_liveupdate_keep_alignment - Whether BARs stay where they are
 * @dev: The device, which the command line asks to be aligned otherwise
 *
 * Context: May sleep. Takes pci_liveupdate_sem.
 * Return: True if pci=resource_alignment has no effect on the device.
 */
bool pci_liveupdate_keep_alignment(struct pci_dev *dev)
{
	if (!pci_liveupdate_keeps(dev))
		return false;
	pci_info(dev, "live update: pci=resource_alignment has no effect\n");
	return true;
}

/**
 * pci_liveupdate_adopt_pref_window - Do not try whether a window has 64 bits
 * @bridge: The bridge, whose register says that its prefetchable window has
 *
 * To try it moves the window for a moment.
 *
 * Context: May sleep. Takes pci_liveupdate_sem.
 * Return: True if the register is believed.
 */
bool pci_liveupdate_adopt_pref_window(struct pci_dev *bridge)
{
	if (!pci_liveupdate_keeps(bridge))
		return false;
	bridge->pref_64_window = 1;
	return true;
}

/**
 * pci_liveupdate_keep_window - Whether a bridge window is not written
 * @bridge: The bridge
 * @resno: Number of the window among the resources of @bridge
 *
 * To write a window, even with its own value, closes it in between.
 *
 * Context: May sleep. Takes pci_liveupdate_sem.
 * Return: True for an open window of a bridge that was handed over.
 */
bool pci_liveupdate_keep_window(struct pci_dev *bridge, int resno)
{
	return bridge->resource[resno].flags & IORESOURCE_PCI_FIXED &&
		pci_liveupdate_keeps(bridge);
}

/**
 * pci_liveupdate_keep_released - Whether a window is not given back
 * @bridge: The bridge
 * @resno: Number of the window among the resources of @bridge
 *
 * pci=realloc gives windows back to get larger ones, which moves all that is
 * below.
 *
 * Context: May sleep. Takes pci_liveupdate_sem.
 * Return: True for an open window of a bridge that was handed over.
 */
bool pci_liveupdate_keep_released(struct pci_dev *bridge, int resno)
{
	if (!pci_liveupdate_keep_window(bridge, resno))
		return false;
	pr_info_once("pci=realloc has no effect on what was handed over\n");
	return true;
}
