// SPDX-License-Identifier: GPL-2.0-only

/**
 * DOC: IOMMU live update records
 *
 * The kernel that leaves keeps the records of include/linux/kho/abi/iommu.h in
 * pages that are preserved from the moment they are allocated. There is no copy
 * of them, and nothing is left to do when the kernel leaves.
 *
 * Devices are preserved and unpreserved in any order and any number of times.
 * Therefore a record has a place, and the place tells its id, which is valid
 * until the record is removed. Places of removed records are used again before
 * a page is added, and the pages at the end that have become empty are given
 * back: the store never has more pages than it had records to hold at once, and
 * none at all without records.
 *
 * This is not a kho_block_set, which only grows and shrinks at its end. To
 * delete from the middle of it, all records would have to be kept twice and the
 * set be written when the kernel leaves, when it is late to find out that
 * something is wrong. And what it offers to the next kernel trusts the
 * addresses that it reads, and frees what it does not understand.
 *
 * Each function changes all that it has to or nothing. A record that the next
 * kernel would refuse by itself is refused here. What takes all records
 * together, such as what they say about each other, is for
 * iommu_records_verify().
 *
 * Locking: iommu_records.lock protects all pages. It is taken last, with
 * nothing but the locks of KHO and the page allocator inside. A record that
 * iommu_records_get() returned does not move, and is there until whoever added
 * it removes it.
 */

#include <kunit/visibility.h>
#include <linux/bug.h>
#include <linux/cleanup.h>
#include <linux/err.h>
#include <linux/export.h>
#include <linux/io.h>
#include <linux/mutex.h>

#include "records.h"

/**
 * struct iommu_records - The records of the kernel that leaves
 * @lock: Protects everything that is reachable from @root
 * @root: The preserved root
 */
struct iommu_records {
	struct mutex lock; /* See above */
	struct iommu_flb_ser *root;
};

static struct iommu_ser_list *list_of(struct iommu_records *records,
				      unsigned int kind)
{
	lockdep_assert_held(&records->lock);
	return &records->root->lists[kind];
}

/**
 * iommu_records_create() - Begin to record
 *
 * Context: May sleep.
 *
 * Return: An empty store, or an ERR_PTR: -ENOMEM, -EOPNOTSUPP if there is no
 * KHO, or the error of KHO.
 */
struct iommu_records *iommu_records_create(void)
{
	struct iommu_records *records;
	void *root;

	records = iommu_record_calloc(1, sizeof(*records));
	if (!records)
		return ERR_PTR(-ENOMEM);

	root = iommu_record_page_alloc();
	if (IS_ERR(root)) {
		iommu_record_free(records);
		return ERR_CAST(root);
	}

	mutex_init(&records->lock);
	records->root = root;
	records->root->version = IOMMU_FLB_VERSION;
	return records;
}
EXPORT_SYMBOL_IF_KUNIT(iommu_records_create);

/**
 * iommu_records_forget() - Leave what was recorded in memory
 * @records: The store, which nobody uses any more
 */
void iommu_records_forget(struct iommu_records *records)
{
	mutex_destroy(&records->lock);
	iommu_record_free(records);
}

/**
 * iommu_records_destroy() - Forget what was recorded
 * @records: The store, which nobody uses any more
 *
 * All records should have been removed before.
 *
 * Context: May sleep.
 */
void iommu_records_destroy(struct iommu_records *records)
{
	for (unsigned int kind = 0; kind < IOMMU_SER_NR_KINDS; kind++) {
		WARN_ON(records->root->lists[kind].nr_records);
		iommu_ser_list_free(&records->root->lists[kind]);
	}
	iommu_record_page_free(records->root);
	iommu_records_forget(records);
}
EXPORT_SYMBOL_IF_KUNIT(iommu_records_destroy);

/**
 * iommu_records_phys() - Tell what the next kernel has to be told
 * @records: The store
 *
 * Return: Physical address of the root, which does not change.
 */
u64 iommu_records_phys(const struct iommu_records *records)
{
	return virt_to_phys(records->root);
}
EXPORT_SYMBOL_IF_KUNIT(iommu_records_phys);

static u32 *find(struct iommu_records *records, unsigned int kind, u32 id)
{
	return iommu_ser_list_find(list_of(records, kind), kind, id);
}

/* Is there another record, not the one with @id, about the same thing? */
static bool conflicts(struct iommu_records *records, unsigned int kind, u32 id,
		      const void *record)
{
	struct iommu_ser_list *list = list_of(records, kind);
	struct iommu_ser_page *page = NULL;
	u32 *other = NULL;

	while ((other = iommu_ser_list_next(list, kind, &page, other))) {
		if (*other != id && iommu_record_conflict(kind, other, record))
			return true;
	}
	return false;
}

static int check_record(struct iommu_records *records, unsigned int kind,
			u32 id, const void *record)
{
	const struct iommu_device_ser *device = record;
	const char *why;
	int err;

	err = iommu_record_check(kind, record, &why);
	if (err)
		return err;

	if (kind == IOMMU_SER_DEVICES &&
	    (!find(records, IOMMU_SER_UNITS, device->unit_id) ||
	     !find(records, IOMMU_SER_DOMAINS, device->domain_id)))
		return -ENOENT;

	if (conflicts(records, kind, id, record))
		return -EEXIST;
	return 0;
}

/**
 * iommu_records_add() - Record something
 * @records: The store
 * @kind: IOMMU_SER_UNITS, IOMMU_SER_DOMAINS or IOMMU_SER_DEVICES
 * @record: The facts. The id in it is not looked at
 *
 * A device is added after its unit and its domain.
 *
 * Context: May sleep.
 *
 * Return: The id, which is above 0. Or -EINVAL if the facts make no sense,
 * -ENOENT if there is no such unit or domain, -EEXIST if the same is recorded
 * already, -ENOSPC if there are too many, -ENOMEM or the error of KHO. Nothing
 * has changed then.
 */
int iommu_records_add(struct iommu_records *records, unsigned int kind,
		      const void *record)
{
	int err;

	guard(mutex)(&records->lock);

	err = check_record(records, kind, 0, record);
	if (err)
		return err;
	return iommu_ser_list_add(list_of(records, kind), kind, record);
}
EXPORT_SYMBOL_IF_KUNIT(iommu_records_add);

/**
 * iommu_records_update() - Record what has changed
 * @records: The store
 * @kind: Kind of the record
 * @id: What iommu_records_add() returned
 * @record: The facts, all of them. The id in it is not looked at
 *
 * Return: 0, or an error as from iommu_records_add(), or -ENOENT if there is no
 * such record. Nothing has changed then.
 */
int iommu_records_update(struct iommu_records *records, unsigned int kind,
			 u32 id, const void *record)
{
	u32 *place;
	int err;

	guard(mutex)(&records->lock);

	place = find(records, kind, id);
	if (!place)
		return -ENOENT;

	err = check_record(records, kind, id, record);
	if (err)
		return err;

	iommu_record_write(kind, place, record, id);
	return 0;
}
EXPORT_SYMBOL_IF_KUNIT(iommu_records_update);

/* Does a device refer to this unit or domain? */
static bool in_use(struct iommu_records *records, unsigned int kind, u32 id)
{
	struct iommu_ser_list *devices = list_of(records, IOMMU_SER_DEVICES);
	struct iommu_ser_page *page = NULL;
	u32 *record = NULL;

	if (kind == IOMMU_SER_DEVICES)
		return false;

	while ((record = iommu_ser_list_next(devices, IOMMU_SER_DEVICES, &page,
					     record))) {
		struct iommu_device_ser *device = (void *)record;

		if (id == (kind == IOMMU_SER_UNITS ? device->unit_id :
						     device->domain_id))
			return true;
	}
	return false;
}

/**
 * iommu_records_remove() - Unrecord something
 * @records: The store
 * @kind: Kind of the record
 * @id: What iommu_records_add() returned
 *
 * The id may be that of another record from now on.
 *
 * Context: May sleep.
 *
 * Return: 0, -ENOENT if there is no such record, -EBUSY if a device that is
 * recorded uses it. Only a caller that keeps no count of its own sees errors.
 */
int iommu_records_remove(struct iommu_records *records, unsigned int kind,
			 u32 id)
{
	guard(mutex)(&records->lock);

	if (!find(records, kind, id))
		return -ENOENT;
	if (in_use(records, kind, id))
		return -EBUSY;

	iommu_ser_list_remove(list_of(records, kind), kind, id);
	return 0;
}
EXPORT_SYMBOL_IF_KUNIT(iommu_records_remove);

/**
 * iommu_records_get() - Look up a record
 * @records: The store
 * @kind: Kind of the record
 * @id: What iommu_records_add() returned
 *
 * Return: The record, or NULL if there is no such record.
 */
const void *iommu_records_get(struct iommu_records *records, unsigned int kind,
			      u32 id)
{
	guard(mutex)(&records->lock);
	return find(records, kind, id);
}
EXPORT_SYMBOL_IF_KUNIT(iommu_records_get);

/**
 * iommu_records_verify() - Read the records as the next kernel will
 * @records: The store
 *
 * To be called before there is no way back. All that the next kernel checks is
 * checked, but that KHO knows the pages, which only the next kernel can tell.
 *
 * Context: May sleep.
 *
 * Return: 0 or the error that the next kernel would see.
 */
int iommu_records_verify(struct iommu_records *records)
{
	guard(mutex)(&records->lock);
	return iommu_incoming_verify(iommu_records_phys(records));
}
EXPORT_SYMBOL_IF_KUNIT(iommu_records_verify);
