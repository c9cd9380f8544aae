// SPDX-License-Identifier: GPL-2.0-only

/**
 * DOC: Reading the IOMMU records of the previous kernel
 *
 * The records decide what hardware may access while nobody has looked at it
 * yet. Therefore the reader believes nothing that it has not checked:
 *
 *   - It looks into a page after the address is known to be aligned, to be
 *     memory, to be preserved by the previous kernel with the right order, and
 *     to have no other use in these records.
 *   - Each page says which list it belongs to and where it is in it. So a list
 *     that runs in a circle, or into another one, is refused at the first page
 *     that is out of order, and no list is followed for longer than the number
 *     of its pages, which is bounded.
 *   - A place holds its own id or zero, the numbers of records are exact, and
 *     what is free or reserved is zero.
 *   - Then come the facts, and what the records say about each other.
 *
 * The work grows with the number of pages and records, not with what they say.
 *
 * Nothing is written, restored or freed before iommu_incoming_free(), so
 * records that were refused are as they were, for whoever has to quarantine the
 * hardware behind them.
 *
 * What cannot be told from the records is left to the drivers: whether they
 * match the hardware. What the page table of a domain looks like is left to
 * those who restore it.
 *
 * Locking: none. Once opened, records do not change. The caller provides that
 * nobody uses them while they are closed or freed.
 */

#define pr_fmt(fmt) "iommu liveupdate: " fmt

#include <kunit/static_stub.h>
#include <kunit/visibility.h>
#include <linux/err.h>
#include <linux/export.h>
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/string.h>

#include "reader.h"

void iommu_reading_report(const struct iommu_reading *reading, int err)
{
	KUNIT_STATIC_STUB_REDIRECT(iommu_reading_report, reading, err);
	pr_err("records refused: %s %u: %s: %pe\n", reading->where, reading->id,
	       reading->why, ERR_PTR(err));
}
EXPORT_SYMBOL_IF_KUNIT(iommu_reading_report);

static int invalid(struct iommu_reading *reading, const char *why)
{
	return iommu_reading_refuse(reading, -EINVAL, why);
}

/*
 * Find a use for the folio at @phys that has this order. It must be one that the
 * previous kernel preserved, and there must not be another use for it.
 */
int iommu_reading_use(struct iommu_reading *reading, u64 phys, int order)
{
	unsigned long pfn = PHYS_PFN(phys);
	unsigned long last = pfn;
	int kho_order, err;

	if (!phys || iommu_ser_page_flags(phys))
		return invalid(reading, "address is not aligned");
	if (order > 0)
		last += (1UL << order) - 1;
	if ((u64)pfn << PAGE_SHIFT != phys || last < pfn ||
	    !iommu_record_pfn_valid(pfn) || !iommu_record_pfn_valid(last))
		return iommu_reading_refuse(reading, -EFAULT,
					    "address is not memory");

	if (!reading->verify) {
		kho_order = iommu_record_kho_order(phys);
		if (kho_order < 0)
			return iommu_reading_refuse(reading, -ENOENT,
						    "page is not preserved");
		if (order >= 0 && kho_order != order)
			return invalid(reading, "preserved with another order");
	}

	err = iommu_record_insert(&reading->used, pfn, 1);
	if (err == -EBUSY)
		return iommu_reading_refuse(reading, -EEXIST,
					    "page is used twice");
	return err ? iommu_reading_refuse(reading, err, "no memory") : 0;
}

/* What is behind @from is nothing. */
static bool rest_is_zero(const void *page, const void *from)
{
	return !memchr_inv(from, 0, PAGE_SIZE - (from - page));
}

/* All places of one page: ids, number of records, and the facts in them */
static int read_places(struct iommu_reading *reading,
		       struct iommu_ser_page *page, unsigned int kind)
{
	const struct iommu_record_kind *info = &iommu_record_kinds[kind];
	u32 nr_records = 0;
	int err;

	for (u32 slot = 0; slot < info->per_page; slot++) {
		u32 *record = iommu_record_at(page, kind, slot);
		u32 id = page->index * info->per_page + slot + 1;

		reading->id = id;
		if (!*record) {
			if (memchr_inv(record, 0, info->size))
				return invalid(reading, "free place is not zero");
			continue;
		}
		if (*record != id)
			return invalid(reading, "record is not in its place");
		err = iommu_record_check(kind, record, &reading->why);
		if (err)
			return err;
		nr_records++;
	}

	reading->id = 0;
	if (page->nr_records != nr_records)
		return invalid(reading, "wrong number of records in a page");
	if (!rest_is_zero(page, iommu_record_at(page, kind, info->per_page)))
		return invalid(reading, "rest of a page is not zero");
	return 0;
}

static int read_list(struct iommu_reading *reading, unsigned int kind)
{
	const struct iommu_record_kind *info = &iommu_record_kinds[kind];
	struct iommu_ser_list *list = &reading->in->root->lists[kind];
	struct iommu_ser_page **pages, *page;
	u32 nr_records = 0;
	u64 phys;
	int err;

	reading->where = info->name;
	if (list->nr_pages > DIV_ROUND_UP(info->max, info->per_page) ||
	    list->nr_records > info->max)
		return invalid(reading, "too many records");
	if (!list->nr_pages) {
		if (list->first || list->nr_records)
			return invalid(reading, "list without pages");
		return 0;
	}

	pages = iommu_record_calloc(list->nr_pages, sizeof(*pages));
	if (!pages)
		return iommu_reading_refuse(reading, -ENOMEM, "no memory");
	reading->in->pages[kind] = pages;

	phys = list->first;
	for (u32 i = 0; i < list->nr_pages; i++) {
		err = iommu_reading_use(reading, phys, 0);
		if (err)
			return err;

		page = phys_to_virt(phys);
		if (page->kind != kind)
			return invalid(reading, "page of another list");
		if (page->index != i)
			return invalid(reading, "page is out of order");
		if (page->__reserved)
			return invalid(reading, "reserved bytes are not zero");
		err = read_places(reading, page, kind);
		if (err)
			return err;

		pages[i] = page;
		nr_records += page->nr_records;
		phys = page->next;
	}

	if (phys)
		return invalid(reading, "list is too long");
	if (nr_records != list->nr_records)
		return invalid(reading, "wrong number of records");
	return 0;
}

static int read_all(struct iommu_reading *reading, u64 phys)
{
	struct iommu_flb_ser *root;
	int err;

	reading->where = "root";
	err = iommu_reading_use(reading, phys, 0);
	if (err)
		return err;

	root = phys_to_virt(phys);
	if (root->version != IOMMU_FLB_VERSION)
		return iommu_reading_refuse(reading, -EOPNOTSUPP,
					    "unknown version");
	if (root->__reserved)
		return invalid(reading, "reserved bytes are not zero");
	if (!rest_is_zero(root, root + 1))
		return invalid(reading, "rest of a page is not zero");

	reading->in->root = root;
	for (unsigned int kind = 0; kind < IOMMU_SER_NR_KINDS; kind++) {
		err = read_list(reading, kind);
		if (err)
			return err;
	}
	return iommu_reading_check(reading);
}

static struct iommu_incoming *incoming_open(u64 phys, bool verify)
{
	struct iommu_reading reading = { .verify = verify };
	struct iommu_incoming *in;
	int err;

	in = iommu_record_calloc(1, sizeof(*in));
	if (!in)
		return ERR_PTR(-ENOMEM);

	xa_init(&in->rids);
	xa_init(&reading.used);
	reading.in = in;
	err = read_all(&reading, phys);
	xa_destroy(&reading.used);
	if (err) {
		iommu_reading_report(&reading, err);
		iommu_incoming_close(in);
		return ERR_PTR(err);
	}
	return in;
}

/**
 * iommu_incoming_open() - Read what the previous kernel left
 * @phys: What iommu_records_phys() returned in the previous kernel
 *
 * Context: May sleep.
 *
 * Return: The records, all of which were checked. Or an ERR_PTR: -EOPNOTSUPP if
 * the version is another one, -ENOMEM, or -EINVAL, -EFAULT, -ENOENT, -EEXIST if
 * they cannot be trusted. The log tells why. Nothing has changed then.
 */
struct iommu_incoming *iommu_incoming_open(u64 phys)
{
	return incoming_open(phys, false);
}
EXPORT_SYMBOL_IF_KUNIT(iommu_incoming_open);

/* For iommu_records_verify() */
int iommu_incoming_verify(u64 phys)
{
	struct iommu_incoming *in = incoming_open(phys, true);

	if (IS_ERR(in))
		return PTR_ERR(in);
	iommu_incoming_close(in);
	return 0;
}

/**
 * iommu_incoming_close() - Forget the records, but leave them in memory
 * @in: The records
 */
void iommu_incoming_close(struct iommu_incoming *in)
{
	for (unsigned int kind = 0; kind < IOMMU_SER_NR_KINDS; kind++)
		iommu_record_free(in->pages[kind]);
	xa_destroy(&in->rids);
	iommu_record_free(in);
}
EXPORT_SYMBOL_IF_KUNIT(iommu_incoming_close);

/**
 * iommu_incoming_free() - Free the records
 * @in: The records, which nobody needs any more
 *
 * The pages of the records become pages of this kernel and are freed. What the
 * records have the address of is not touched.
 *
 * Context: May sleep.
 */
void iommu_incoming_free(struct iommu_incoming *in)
{
	for (unsigned int kind = 0; kind < IOMMU_SER_NR_KINDS; kind++)
		for (u32 i = 0; i < in->root->lists[kind].nr_pages; i++)
			iommu_record_page_restore_free(in->pages[kind][i]);
	iommu_record_page_restore_free(in->root);
	iommu_incoming_close(in);
}
EXPORT_SYMBOL_IF_KUNIT(iommu_incoming_free);

/* What is at the place of an id: the record, or NULL if it is free */
static const u32 *incoming_record(const struct iommu_incoming *in,
				  unsigned int kind, u32 id)
{
	u32 per_page = iommu_record_kinds[kind].per_page;
	struct iommu_ser_page *page = in->pages[kind][(id - 1) / per_page];
	u32 *record = iommu_record_at(page, kind, (id - 1) % per_page);

	return *record ? record : NULL;
}

static u32 last_id(const struct iommu_incoming *in, unsigned int kind)
{
	return in->root->lists[kind].nr_pages *
	       iommu_record_kinds[kind].per_page;
}

/**
 * iommu_incoming_next() - Walk over all records of a kind
 * @in: The records
 * @kind: IOMMU_SER_UNITS, IOMMU_SER_DOMAINS or IOMMU_SER_DEVICES
 * @id: Id of the previous record, 0 to begin
 *
 * Return: The record with the lowest id above @id, or NULL.
 */
const void *iommu_incoming_next(const struct iommu_incoming *in,
				unsigned int kind, u32 id)
{
	u32 last = last_id(in, kind);
	const u32 *record = NULL;

	while (!record && id < last)
		record = incoming_record(in, kind, ++id);
	return record;
}
EXPORT_SYMBOL_IF_KUNIT(iommu_incoming_next);

/**
 * iommu_incoming_get() - Look up a record
 * @in: The records
 * @kind: IOMMU_SER_UNITS, IOMMU_SER_DOMAINS or IOMMU_SER_DEVICES
 * @id: Id of the record
 *
 * Return: The record, or NULL if there is no such record.
 */
const void *iommu_incoming_get(const struct iommu_incoming *in,
			       unsigned int kind, u32 id)
{
	if (!id || id > last_id(in, kind))
		return NULL;
	return incoming_record(in, kind, id);
}
EXPORT_SYMBOL_IF_KUNIT(iommu_incoming_get);

/**
 * iommu_incoming_find_device() - Look up a device
 * @in: The records
 * @segment: PCI segment
 * @bdf: Bus, device and function, which must not be an alias
 *
 * Return: The record, or NULL if the device is not recorded.
 */
const struct iommu_device_ser *
iommu_incoming_find_device(struct iommu_incoming *in, u16 segment, u16 bdf)
{
	void *id = xa_load(&in->rids, iommu_incoming_rid_key(segment, bdf));
	const struct iommu_device_ser *device;

	if (!id)
		return NULL;
	device = iommu_incoming_get(in, IOMMU_SER_DEVICES, xa_to_value(id));
	return device && device->bdf == bdf ? device : NULL;
}
EXPORT_SYMBOL_IF_KUNIT(iommu_incoming_find_device);
