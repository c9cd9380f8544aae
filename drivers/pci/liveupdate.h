/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the PCI core asks about devices over a live update.
 */
#ifndef __PCI_LIVEUPDATE_H
#define __PCI_LIVEUPDATE_H

#include <linux/pci.h>
#include <linux/types.h>

#ifdef CONFIG_PCI_LIVEUPDATE

/* liveupdate-outgoing.c */
bool pci_liveupdate_keep_master(struct pci_dev *pdev);

/* liveupdate-incoming.c */
void pci_liveupdate_setup(struct pci_dev *dev);
void pci_liveupdate_hold(struct pci_dev *dev);
bool pci_liveupdate_keeps(struct pci_dev *dev);
bool pci_liveupdate_is_busy(struct pci_dev *dev);
bool pci_liveupdate_is_busy_bridge(struct pci_dev *dev);
bool pci_liveupdate_may_match(struct pci_dev *dev);

/* liveupdate-keep.c */
bool pci_liveupdate_keep_bus_numbers(void);
bool pci_liveupdate_deny_bus_numbers(struct pci_bus *bus, struct pci_dev *dev,
				     int max, int pass);
bool pci_liveupdate_adopt_ari(struct pci_dev *dev, bool disabled);
u16 pci_liveupdate_acs_ctrl(struct pci_dev *dev, u16 ctrl);
bool pci_liveupdate_keep_settings(struct pci_dev *dev);
bool pci_liveupdate_keep_payload(struct pci_dev *dev);
void pci_liveupdate_fix_resources(struct pci_dev *dev);
bool pci_liveupdate_keep_alignment(struct pci_dev *dev);
bool pci_liveupdate_adopt_pref_window(struct pci_dev *bridge);
bool pci_liveupdate_keep_window(struct pci_dev *bridge, int resno);
bool pci_liveupdate_keep_released(struct pci_dev *bridge, int resno);

#else /* CONFIG_PCI_LIVEUPDATE */

static inline bool pci_liveupdate_keep_master(struct pci_dev *pdev)
{
	return false;
}

static inline void pci_liveupdate_setup(struct pci_dev *dev)
{
}

static inline void pci_liveupdate_hold(struct pci_dev *dev)
{
}

static inline bool pci_liveupdate_keeps(struct pci_dev *dev)
{
	return false;
}

static inline bool pci_liveupdate_is_busy(struct pci_dev *dev)
{
	return false;
}

static inline bool pci_liveupdate_is_busy_bridge(struct pci_dev *dev)
{
	return false;
}

static inline bool pci_liveupdate_may_match(struct pci_dev *dev)
{
	return true;
}

static inline bool pci_liveupdate_keep_bus_numbers(void)
{
	return false;
}

static inline bool pci_liveupdate_deny_bus_numbers(struct pci_bus *bus,
						   struct pci_dev *dev,
						   int max, int pass)
{
	return false;
}

static inline bool pci_liveupdate_adopt_ari(struct pci_dev *dev, bool disabled)
{
	return false;
}

static inline u16 pci_liveupdate_acs_ctrl(struct pci_dev *dev, u16 ctrl)
{
	return ctrl;
}

static inline bool pci_liveupdate_keep_settings(struct pci_dev *dev)
{
	return false;
}

static inline bool pci_liveupdate_keep_payload(struct pci_dev *dev)
{
	return false;
}

static inline void pci_liveupdate_fix_resources(struct pci_dev *dev)
{
}

static inline bool pci_liveupdate_keep_alignment(struct pci_dev *dev)
{
	return false;
}

static inline bool pci_liveupdate_adopt_pref_window(struct pci_dev *bridge)
{
	return false;
}

static inline bool pci_liveupdate_keep_window(struct pci_dev *bridge,
					      int resno)
{
	return false;
}

static inline bool pci_liveupdate_keep_released(struct pci_dev *bridge,
						int resno)
{
	return false;
}

#endif /* CONFIG_PCI_LIVEUPDATE */
#endif /* __PCI_LIVEUPDATE_H */
