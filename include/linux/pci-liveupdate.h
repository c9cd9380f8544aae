/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * PCI live update: what drivers whose files are handed over to the next kernel
 * ask of PCI, so that their devices stay what and where they are.
 */
#ifndef _LINUX_PCI_LIVEUPDATE_H
#define _LINUX_PCI_LIVEUPDATE_H

#include <linux/err.h>
#include <linux/types.h>

struct liveupdate_file_handler;
struct pci_dev;

#ifdef CONFIG_PCI_LIVEUPDATE

int pci_liveupdate_register_flb(struct liveupdate_file_handler *handler);
void pci_liveupdate_unregister_flb(struct liveupdate_file_handler *handler);

/* The kernel that leaves */
int pci_liveupdate_preserve(struct pci_dev *pdev);
void pci_liveupdate_unpreserve(struct pci_dev *pdev);
int pci_liveupdate_freeze(struct pci_dev *pdev, bool running);
void pci_liveupdate_unfreeze(struct pci_dev *pdev);
bool pci_liveupdate_is_outgoing(struct pci_dev *pdev);

/* The kernel that comes */
struct pci_dev *pci_liveupdate_get_incoming(u32 segment, u16 bdf);
bool pci_liveupdate_is_incoming(struct pci_dev *pdev);
bool pci_liveupdate_is_running(struct pci_dev *pdev);
void pci_liveupdate_finish(struct pci_dev *pdev);

#else /* CONFIG_PCI_LIVEUPDATE */

static inline int
pci_liveupdate_register_flb(struct liveupdate_file_handler *handler)
{
	return -EOPNOTSUPP;
}

static inline void
pci_liveupdate_unregister_flb(struct liveupdate_file_handler *handler)
{
}

static inline int pci_liveupdate_preserve(struct pci_dev *pdev)
{
	return -EOPNOTSUPP;
}

static inline void pci_liveupdate_unpreserve(struct pci_dev *pdev)
{
}

static inline int pci_liveupdate_freeze(struct pci_dev *pdev, bool running)
{
	return -EOPNOTSUPP;
}

static inline void pci_liveupdate_unfreeze(struct pci_dev *pdev)
{
}

static inline bool pci_liveupdate_is_outgoing(struct pci_dev *pdev)
{
	return false;
}

static inline struct pci_dev *pci_liveupdate_get_incoming(u32 segment, u16 bdf)
{
	return ERR_PTR(-EOPNOTSUPP);
}

static inline bool pci_liveupdate_is_incoming(struct pci_dev *pdev)
{
	return false;
}

static inline bool pci_liveupdate_is_running(struct pci_dev *pdev)
{
	return false;
}

static inline void pci_liveupdate_finish(struct pci_dev *pdev)
{
}

#endif /* CONFIG_PCI_LIVEUPDATE */
#endif /* _LINUX_PCI_LIVEUPDATE_H */
