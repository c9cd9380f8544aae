// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory and KHO for the tests of the records. Pages with records are real, so
 * that they can be looked into, and so are tables that have the same size. Other
 * tables are numbers only: whoever looks into one crashes.
 */

#include <kunit/static_stub.h>
#include <linux/err.h>
#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "../reader.h"
#include "records-kunit.h"

/* Tests of one module run one after the other. */
static struct fake_kho *fake_kho;

static bool fake_fails(void)
{
	return ++fake_kho->nr_alloc == fake_kho->fail_at;
}

static void *fake_calloc(size_t nr, size_t size)
{
	void *memory = fake_fails() ? NULL : kvcalloc(nr, size, GFP_KERNEL);

	fake_kho->nr_memory += !!memory;
	return memory;
}

static void fake_free(void *memory)
{
	fake_kho->nr_memory -= !!memory;
	kvfree(memory);
}

static int fake_insert(struct xarray *xa, unsigned long key, u32 value)
{
	if (fake_fails())
		return -ENOMEM;
	return xa_insert(xa, key, xa_mk_value(value), GFP_KERNEL);
}

static void *fake_page_alloc(void)
{
	void *page;

	if (fake_fails())
		return ERR_PTR(-ENOMEM);
	page = (void *)get_zeroed_page(GFP_KERNEL);
	if (!page)
		return ERR_PTR(-ENOMEM);
	if (xa_err(xa_store(&fake_kho->preserved, PHYS_PFN(virt_to_phys(page)),
			    xa_mk_value(0), GFP_KERNEL))) {
		free_page((unsigned long)page);
		return ERR_PTR(-ENOMEM);
	}
	fake_kho->nr_pages++;
	fake_kho->peak_pages = max(fake_kho->peak_pages, fake_kho->nr_pages);
	return page;
}

static void fake_page_free(void *page)
{
	if (!xa_erase(&fake_kho->preserved, PHYS_PFN(virt_to_phys(page)))) {
		fake_kho->bad_free++;
		return;
	}
	fake_kho->nr_pages--;
	free_page((unsigned long)page);
}

static void fake_page_restore_free(void *page)
{
	fake_kho->nr_restored++;
	fake_page_free(page);
}

static bool fake_step(void)
{
	return ++fake_kho->steps <= fake_kho->max_steps;
}

static bool fake_pfn_valid(unsigned long pfn)
{
	return fake_step() && (pfn - FAKE_TABLES_PFN < FAKE_TABLES_NR ||
			       xa_load(&fake_kho->preserved, pfn));
}

static int fake_order(u64 phys)
{
	void *order = xa_load(&fake_kho->preserved, PHYS_PFN(phys));

	return fake_step() && order ? xa_to_value(order) : -ENOENT;
}

static void fake_report(const struct iommu_reading *reading, int err)
{
	fake_kho->err = err;
	fake_kho->why = reading->why;
}

struct fake_kho *fake_kho_init(struct kunit *test)
{
	struct fake_kho *fake = kunit_kzalloc(test, sizeof(*fake), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, fake);
	xa_init(&fake->preserved);
	xa_init(&fake->tables);
	fake->next_table = FAKE_TABLES_PFN + 1;
	fake->max_steps = FAKE_MAX_STEPS;
	fake_kho = fake;
	kunit_activate_static_stub(test, iommu_record_calloc, fake_calloc);
	kunit_activate_static_stub(test, iommu_record_free, fake_free);
	kunit_activate_static_stub(test, iommu_record_insert, fake_insert);
	kunit_activate_static_stub(test, iommu_record_page_alloc,
				   fake_page_alloc);
	kunit_activate_static_stub(test, iommu_record_page_free,
				   fake_page_free);
	kunit_activate_static_stub(test, iommu_record_page_restore_free,
				   fake_page_restore_free);
	kunit_activate_static_stub(test, iommu_record_pfn_valid,
				   fake_pfn_valid);
	kunit_activate_static_stub(test, iommu_record_kho_order, fake_order);
	kunit_activate_static_stub(test, iommu_reading_report, fake_report);
	return fake;
}

void fake_kho_exit(struct kunit *test, struct fake_kho *fake)
{
	unsigned long pfn;
	void *table;

	KUNIT_EXPECT_EQ(test, fake->nr_pages, 0);
	KUNIT_EXPECT_EQ(test, fake->nr_memory, 0);
	KUNIT_EXPECT_EQ(test, fake->bad_free, 0);
	xa_for_each(&fake->tables, pfn, table)
		free_page((unsigned long)table);
	xa_destroy(&fake->tables);
	xa_destroy(&fake->preserved);
}

/* Frame number of a table that could be taken for a page with records */
static u64 fake_small_table(struct kunit *test, struct fake_kho *fake)
{
	void *table = (void *)__get_free_page(GFP_KERNEL);
	u64 pfn;

	KUNIT_ASSERT_NOT_NULL(test, table);
	memset(table, 0xff, PAGE_SIZE);
	pfn = PHYS_PFN(virt_to_phys(table));
	KUNIT_ASSERT_EQ(test, xa_err(xa_store(&fake->tables, pfn, table,
					      GFP_KERNEL)), 0);
	return pfn;
}

static u64 fake_large_table(struct kunit *test, struct fake_kho *fake,
			    int order)
{
	u64 pfn = ALIGN(fake->next_table, 1ULL << order);

	fake->next_table = pfn + (1ULL << order);
	KUNIT_ASSERT_LT(test, fake->next_table,
			FAKE_TABLES_PFN + FAKE_TABLES_NR);
	return pfn;
}

/* Physical address of a new table that is preserved */
u64 fake_kho_table(struct kunit *test, struct fake_kho *fake, int order)
{
	u64 pfn = order ? fake_large_table(test, fake, order) :
			  fake_small_table(test, fake);

	KUNIT_ASSERT_EQ(test, xa_err(xa_store(&fake->preserved, pfn,
					      xa_mk_value(order), GFP_KERNEL)),
			0);
	return pfn << PAGE_SHIFT;
}

/* Is this preserved, with this order if it is not negative? */
bool fake_kho_knows(struct fake_kho *fake, u64 phys, int order)
{
	void *known = xa_load(&fake->preserved, PHYS_PFN(phys));

	return phys && PAGE_ALIGNED(phys) && known &&
	       (order < 0 || known == xa_mk_value(order));
}
