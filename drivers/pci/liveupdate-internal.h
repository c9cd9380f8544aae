/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Between the files of PCI live update. What the rest of PCI calls is in
 * liveupdate.h.
 */
#ifndef __PCI_LIVEUPDATE_INTERNAL_H
#define __PCI_LIVEUPDATE_INTERNAL_H

#include <linux/bits.h>
#include <linux/kho/abi/pci.h>
#include <linux/overflow.h>
#include <linux/rwsem.h>
#include <linux/types.h>
#include <linux/xarray.h>

struct liveupdate_flb;
struct liveupdate_flb_op_args;
struct pci_dev;

/**
 * enum pci_incoming_state - What is known of a record of the previous kernel
 * @PCI_INCOMING_MISSING: No such device was found so far
 * @PCI_INCOMING_KEPT: The device is as it was left
 * @PCI_INCOMING_STOPPED: The device is not as it was left, its DMA is off
 * @PCI_INCOMING_FINISHED: The device belongs to this kernel alone
 */
enum pci_incoming_state {
	PCI_INCOMING_MISSING,
	PCI_INCOMING_KEPT,
	PCI_INCOMING_STOPPED,
	PCI_INCOMING_FINISHED,
};

/**
 * struct pci_incoming_dev - A record of the previous kernel and its device
 * @ser: Copy of the record
 * @state: What became of it
 * @left: Of a bridge: devices below that are not finished
 * @acs_told: The log tells that another value of ACS Control was not written
 * @fixed: Resources that were made immovable, by index
 * @pdev: The device, with a reference and one of runtime PM, once it has both
 *
 * What is not in @ser is protected by pci_liveupdate_sem. But for @acs_told,
 * which pci_liveupdate_acs_ctrl() sets without it.
 */
struct pci_incoming_dev {
	struct pci_dev_ser ser;
	enum pci_incoming_state state;
	u16 left;
	bool acs_told;
	u32 fixed;
	struct pci_dev *pdev;
};

/**
 * struct pci_incoming - All records of the previous kernel
 * @devs: Each record, by pci_ser_key()
 * @buses: Each bridge, by pci_ser_bus_key() of its secondary bus
 * @nr: Number of records
 * @dev: The records
 */
struct pci_incoming {
	struct xarray devs;
	struct xarray buses;
	u32 nr;
	struct pci_incoming_dev dev[] __counted_by(nr);
};

/*
 * Protects both tables of records, that of the kernel that leaves and that of
 * the kernel that comes. Taken inside of the locks of FLBs and of device locks;
 * nothing but KHO's and the memory allocator's locks is taken inside of it.
 */
extern struct rw_semaphore pci_liveupdate_sem;

/*
 * NULL if nothing was handed over, or all of it is finished. Who cannot sleep
 * reads it under RCU.
 */
extern struct pci_incoming *pci_incoming;
extern struct liveupdate_flb pci_liveupdate_flb;

static inline unsigned long pci_ser_key(u32 segment, u16 bdf)
{
	return (unsigned long)segment << 16 | bdf;
}

static inline unsigned long pci_ser_bus_key(u32 segment, u8 bus)
{
	return (unsigned long)segment << 8 | bus;
}

static inline u8 pci_ser_bus(const struct pci_dev_ser *ser)
{
	return ser->bdf >> 8;
}

static inline u8 pci_ser_secondary(const struct pci_dev_ser *ser)
{
	return ser->bus_numbers >> 8;
}

static inline u8 pci_ser_subordinate(const struct pci_dev_ser *ser)
{
	return ser->bus_numbers >> 16;
}

static inline bool pci_ser_is_bridge(const struct pci_dev_ser *ser)
{
	return ser->flags & PCI_DEV_SER_BRIDGE;
}

/* liveupdate.c */
void pci_incoming_release(struct pci_incoming_dev *left);

/* liveupdate-incoming.c */
struct pci_incoming_dev *pci_incoming_find(struct pci_dev *dev);

/* liveupdate-record.c: one record, and the device that it is about */
void pci_ser_identify(struct pci_dev *dev, struct pci_dev_ser *ser);
void pci_ser_read(struct pci_dev *dev, struct pci_dev_ser *ser);
void pci_ser_forget(struct pci_dev_ser *ser);
bool pci_ser_in_d0(struct pci_dev *dev);
const char *pci_ser_compare(const struct pci_dev_ser *left,
			    const struct pci_dev_ser *found);
const char *pci_ser_check(const struct pci_dev_ser *ser);

/* liveupdate-reader.c: all records of the previous kernel */
struct pci_incoming *pci_incoming_alloc(u32 nr);
void pci_incoming_free(struct pci_incoming *in);
int pci_incoming_check(struct pci_incoming *in);
struct pci_incoming *pci_incoming_read(u64 phys);
struct pci_incoming_dev *pci_incoming_above(struct pci_incoming *in,
					    const struct pci_dev_ser *ser);
bool pci_ser_page_preserved(u64 phys);
void pci_ser_page_free(void *page);

/* liveupdate-refuse.c: what cannot be handed over */
int pci_outgoing_supported(struct pci_dev *pdev);
int pci_outgoing_ready(struct pci_dev *pdev);
int pci_outgoing_verify(struct pci_dev *pdev, const struct pci_dev_ser *ser,
			bool running);

/* liveupdate-outgoing.c */
int pci_outgoing_preserve(struct liveupdate_flb_op_args *args);
void pci_outgoing_unpreserve(struct liveupdate_flb_op_args *args);

#endif /* __PCI_LIVEUPDATE_INTERNAL_H */
