// SPDX-License-Identifier: GPL-2.0-only
/*
 * Read the records of the previous kernel. They decide which devices keep
 * access to memory, so nothing is believed that was not checked, and nothing is
 * changed before all of them are found to be right.
 */

#define pr_fmt(fmt) "PCI: liveupdate: " fmt

#include <kunit/static_stub.h>
#include <kunit/visibility.h>
#include <linux/err.h>
#include <linux/export.h>
#include <linux/io.h>
#include <linux/kexec_handover.h>
#include <linux/kho/abi/block.h>
#include <linux/mm.h>
#include <linux/pci.h>
#include <linux/slab.h>

#include "liveupdate-internal.h"

#define PER_BLOCK	((KHO_BLOCK_SIZE - sizeof(struct kho_block_header_ser)) / \
			 sizeof(struct pci_dev_ser))

/* Whether the previous kernel preserved one page that begins at @phys */
bool pci_ser_page_preserved(u64 phys)
{
	KUNIT_STATIC_STUB_REDIRECT(pci_ser_page_preserved, phys);
	return phys && IS_ALIGNED(phys, PAGE_SIZE) &&
		pfn_valid(PHYS_PFN(phys)) && kho_preserved_order(phys) == 0;
}
EXPORT_SYMBOL_IF_KUNIT(pci_ser_page_preserved);

/* Give back a page of the previous kernel. */
void pci_ser_page_free(void *page)
{
	KUNIT_STATIC_STUB_REDIRECT(pci_ser_page_free, page);
	kho_restore_free(page);
}
EXPORT_SYMBOL_IF_KUNIT(pci_ser_page_free);

/**
 * pci_incoming_alloc - Get room for records
 * @nr: Number of records
 *
 * Return: The room, all zero, to be given to pci_incoming_free(), or NULL.
 */
struct pci_incoming *pci_incoming_alloc(u32 nr)
{
	struct pci_incoming *in;

	in = kvzalloc(struct_size(in, dev, nr), GFP_KERNEL);
	if (!in)
		return NULL;
	in->nr = nr;
	xa_init(&in->devs);
	xa_init(&in->buses);
	return in;
}
EXPORT_SYMBOL_IF_KUNIT(pci_incoming_alloc);

/**
 * pci_incoming_free - Give back what pci_incoming_alloc() returned
 * @in: The records
 */
void pci_incoming_free(struct pci_incoming *in)
{
	xa_destroy(&in->devs);
	xa_destroy(&in->buses);
	kvfree(in);
}
EXPORT_SYMBOL_IF_KUNIT(pci_incoming_free);

/**
 * pci_incoming_above - Find the bridge right above a device
 * @in: The records
 * @ser: Record of the device, or of a bridge
 *
 * Return: The bridge, NULL if the device is on a root bus.
 */
struct pci_incoming_dev *pci_incoming_above(struct pci_incoming *in,
					    const struct pci_dev_ser *ser)
{
	return xa_load(&in->buses,
		       pci_ser_bus_key(ser->segment, pci_ser_bus(ser)));
}
EXPORT_SYMBOL_IF_KUNIT(pci_incoming_above);

static int pci_incoming_refuse(const struct pci_incoming_dev *dev,
			       const char *why)
{
	pr_err("record of %04x:%02x:%02x.%d: %s\n", dev->ser.segment,
	       pci_ser_bus(&dev->ser), PCI_SLOT(dev->ser.bdf & 0xff),
	       PCI_FUNC(dev->ser.bdf), why);
	return -EINVAL;
}

static int pci_incoming_index(struct pci_incoming *in,
			      struct pci_incoming_dev *dev)
{
	const struct pci_dev_ser *ser = &dev->ser;
	const char *why = pci_ser_check(ser);
	int err;

	if (why)
		return pci_incoming_refuse(dev, why);
	err = xa_insert(&in->devs, pci_ser_key(ser->segment, ser->bdf), dev,
			GFP_KERNEL);
	if (err == -EBUSY)
		return pci_incoming_refuse(dev, "there twice");
	if (err || !pci_ser_is_bridge(ser))
		return err;
	err = xa_insert(&in->buses,
			pci_ser_bus_key(ser->segment, pci_ser_secondary(ser)),
			dev, GFP_KERNEL);
	if (err == -EBUSY)
		return pci_incoming_refuse(dev, "another bridge has its bus");
	return err;
}

/* Go up from a device, count it in each bridge. */
static int pci_incoming_count(struct pci_incoming *in,
			      struct pci_incoming_dev *dev)
{
	bool running = dev->ser.flags & PCI_DEV_SER_RUNNING;
	struct pci_incoming_dev *above, *below = dev;

	while ((above = pci_incoming_above(in, &below->ser))) {
		if (pci_ser_subordinate(&below->ser) >
		    pci_ser_subordinate(&above->ser))
			return pci_incoming_refuse(below,
						   "not within the bridge above");
		if (above->left == above->ser.nr_below)
			return pci_incoming_refuse(above,
						   "more devices below than it counts");
		if (running && !(above->ser.flags & PCI_DEV_SER_RUNNING))
			return pci_incoming_refuse(above,
						   "stopped above a running device");
		above->left++;
		below = above;
	}
	return 0;
}

/**
 * pci_incoming_check - Judge all records together
 * @in: The records, nothing of which but the copies of the records is filled in
 *
 * Fills in the indices, and how many devices are below each bridge.
 *
 * Return: 0, -EINVAL if the records are wrong, -ENOMEM.
 */
int pci_incoming_check(struct pci_incoming *in)
{
	struct pci_incoming_dev *dev;
	int err;
	u32 i;

	for (i = 0; i < in->nr; i++) {
		err = pci_incoming_index(in, &in->dev[i]);
		if (err)
			return err;
	}
	for (i = 0; i < in->nr; i++) {
		dev = &in->dev[i];
		if (pci_ser_is_bridge(&dev->ser))
			continue;
		err = pci_incoming_count(in, dev);
		if (err)
			return err;
	}
	for (i = 0; i < in->nr; i++) {
		dev = &in->dev[i];
		if (dev->left != dev->ser.nr_below)
			return pci_incoming_refuse(dev,
						   "fewer devices below than it counts");
	}
	return 0;
}
EXPORT_SYMBOL_IF_KUNIT(pci_incoming_check);

/*
 * Copy the records out of their blocks. There are as many blocks as the records
 * need, so that a list which runs in a circle does not end where it has to.
 */
static int pci_incoming_copy(struct pci_incoming *in, u64 phys)
{
	struct kho_block_header_ser *block;
	u32 done, nr, i;

	for (done = 0; done < in->nr; done += nr) {
		if (!pci_ser_page_preserved(phys)) {
			pr_err("a block of records was not preserved\n");
			return -EINVAL;
		}
		block = phys_to_virt(phys);
		nr = min_t(u32, in->nr - done, PER_BLOCK);
		if (block->count != nr) {
			pr_err("a block has %llu records instead of %u\n",
			       block->count, nr);
			return -EINVAL;
		}
		for (i = 0; i < nr; i++)
			in->dev[done + i].ser =
				((struct pci_dev_ser *)(block + 1))[i];
		phys = block->next;
	}
	if (phys) {
		pr_err("more blocks than records\n");
		return -EINVAL;
	}
	return 0;
}

/* All pages passed pci_incoming_copy(). */
static void pci_incoming_free_pages(struct pci_flb_ser *root)
{
	u64 next = root->first_block;
	struct kho_block_header_ser *block;

	while (next) {
		block = phys_to_virt(next);
		next = block->next;
		pci_ser_page_free(block);
	}
	pci_ser_page_free(root);
}

/**
 * pci_incoming_read - Take over the records of the previous kernel
 * @phys: Physical address of the root, as the previous kernel tells it
 *
 * The pages of the previous kernel are given back on success, and left alone on
 * failure.
 *
 * Context: May sleep.
 * Return: The records, to be given to pci_incoming_free(), or -EINVAL if they
 * are wrong, -EPROTONOSUPPORT if they are of another version, -ENOMEM.
 */
struct pci_incoming *pci_incoming_read(u64 phys)
{
	struct pci_incoming *in;
	struct pci_flb_ser *root;
	int err;

	if (!pci_ser_page_preserved(phys)) {
		pr_err("the root of the records was not preserved\n");
		return ERR_PTR(-EINVAL);
	}
	root = phys_to_virt(phys);
	if (root->version != PCI_FLB_VERSION) {
		pr_err("records of version %u, this kernel knows version %u\n",
		       root->version, PCI_FLB_VERSION);
		return ERR_PTR(-EPROTONOSUPPORT);
	}
	if (root->nr_devices > PCI_SER_MAX_DEVICES) {
		pr_err("%u records are too many\n", root->nr_devices);
		return ERR_PTR(-EINVAL);
	}

	in = pci_incoming_alloc(root->nr_devices);
	if (!in)
		return ERR_PTR(-ENOMEM);
	err = pci_incoming_copy(in, root->first_block);
	if (!err)
		err = pci_incoming_check(in);
	if (err) {
		pci_incoming_free(in);
		return ERR_PTR(err);
	}
	pci_incoming_free_pages(root);
	return in;
}
EXPORT_SYMBOL_IF_KUNIT(pci_incoming_read);
