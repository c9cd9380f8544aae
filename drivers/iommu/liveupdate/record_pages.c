// SPDX-License-Identifier: GPL-2.0-only
/*
 * The pages of one list of records, which places in them are free, and when a
 * page is added or given back. The caller holds the lock that protects the list.
 */

#include <linux/compiler.h>
#include <linux/err.h>
#include <linux/io.h>
#include <linux/string.h>

#include "records.h"

static struct iommu_ser_page *page_at(u64 phys)
{
	return phys ? phys_to_virt(phys) : NULL;
}

/* The page after @page, the first one after NULL, and NULL after the last one */
static struct iommu_ser_page *page_after(struct iommu_ser_list *list,
					 struct iommu_ser_page *page)
{
	return page_at(page ? page->next : list->first);
}

static u32 place_of(struct iommu_ser_page *page, unsigned int kind, u32 *record)
{
	return ((void *)record - (void *)(page + 1)) /
	       iommu_record_kinds[kind].size;
}

static u32 *find(struct iommu_ser_list *list, unsigned int kind, u32 id,
		 struct iommu_ser_page **pagep)
{
	u32 per_page = iommu_record_kinds[kind].per_page;
	struct iommu_ser_page *page = NULL;
	u32 *record;

	if (!id)
		return NULL;

	while ((page = page_after(list, page))) {
		if (page->index != (id - 1) / per_page)
			continue;
		record = iommu_record_at(page, kind, (id - 1) % per_page);
		*pagep = page;
		return *record ? record : NULL;
	}
	return NULL;
}

/* The record with this id, or NULL */
u32 *iommu_ser_list_find(struct iommu_ser_list *list, unsigned int kind, u32 id)
{
	struct iommu_ser_page *page;

	return find(list, kind, id, &page);
}

/*
 * The record after @record, which is in *@pagep. The first one if it is NULL,
 * and NULL after the last one.
 */
u32 *iommu_ser_list_next(struct iommu_ser_list *list, unsigned int kind,
			 struct iommu_ser_page **pagep, u32 *record)
{
	struct iommu_ser_page *page = record ? *pagep : page_at(list->first);
	u32 slot = record ? place_of(page, kind, record) + 1 : 0;

	while (page) {
		for (; slot < iommu_record_kinds[kind].per_page; slot++) {
			record = iommu_record_at(page, kind, slot);
			if (*record) {
				*pagep = page;
				return record;
			}
		}
		page = page_at(page->next);
		slot = 0;
	}
	return NULL;
}

static struct iommu_ser_page *grow(struct iommu_ser_list *list,
				   unsigned int kind)
{
	struct iommu_ser_page *page = NULL, *last = NULL, *new;

	new = iommu_record_page_alloc();
	if (IS_ERR(new))
		return new;

	while ((page = page_after(list, page)))
		last = page;

	new->kind = kind;
	new->index = list->nr_pages++;
	if (last)
		last->next = virt_to_phys(new);
	else
		list->first = virt_to_phys(new);
	return new;
}

static void free_pages_from(struct iommu_ser_list *list, u64 phys)
{
	while (phys) {
		struct iommu_ser_page *page = page_at(phys);

		phys = page->next;
		list->nr_pages--;
		iommu_record_page_free(page);
	}
}

/* Give back the pages behind the last record. */
static void shrink(struct iommu_ser_list *list)
{
	struct iommu_ser_page *page = NULL, *last_used = NULL;
	u64 phys;

	while ((page = page_after(list, page))) {
		if (page->nr_records)
			last_used = page;
	}

	if (last_used) {
		phys = last_used->next;
		last_used->next = 0;
	} else {
		phys = list->first;
		list->first = 0;
	}
	free_pages_from(list, phys);
}

static struct iommu_ser_page *page_with_room(struct iommu_ser_list *list,
					     unsigned int kind)
{
	struct iommu_ser_page *page = NULL;

	while ((page = page_after(list, page))) {
		if (page->nr_records < iommu_record_kinds[kind].per_page)
			return page;
	}
	return grow(list, kind);
}

/*
 * Fill a place, or empty it with neither record nor id. The id is what makes a
 * record of it: the first to go and the last to come.
 */
void iommu_record_write(unsigned int kind, u32 *place, const void *record,
			u32 id)
{
	size_t size = iommu_record_kinds[kind].size - sizeof(id);

	WRITE_ONCE(*place, 0);
	barrier();
	if (record)
		memcpy(place + 1, (const u32 *)record + 1, size);
	else
		memset(place + 1, 0, size);
	barrier();
	WRITE_ONCE(*place, id);
}

/*
 * Put a record into the first free place, in a new page if there is none. The
 * id, or -ENOSPC, or the error of the allocation, and nothing has changed.
 */
int iommu_ser_list_add(struct iommu_ser_list *list, unsigned int kind,
		       const void *record)
{
	u32 per_page = iommu_record_kinds[kind].per_page;
	struct iommu_ser_page *page;
	u32 slot = 0;
	int id;

	if (list->nr_records >= iommu_record_kinds[kind].max)
		return -ENOSPC;

	page = page_with_room(list, kind);
	if (IS_ERR(page))
		return PTR_ERR(page);

	while (*iommu_record_at(page, kind, slot))
		slot++;

	id = page->index * per_page + slot + 1;
	iommu_record_write(kind, iommu_record_at(page, kind, slot), record, id);
	page->nr_records++;
	list->nr_records++;
	return id;
}

/* Empty the place of a record that exists. */
void iommu_ser_list_remove(struct iommu_ser_list *list, unsigned int kind,
			   u32 id)
{
	struct iommu_ser_page *page;
	u32 *record = find(list, kind, id, &page);

	iommu_record_write(kind, record, NULL, 0);
	page->nr_records--;
	list->nr_records--;
	shrink(list);
}

/* Give back all pages, whether or not there are records in them. */
void iommu_ser_list_free(struct iommu_ser_list *list)
{
	free_pages_from(list, list->first);
	list->first = 0;
	list->nr_records = 0;
}
