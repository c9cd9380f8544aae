/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A Kexec HandOver and a kexec for KUnit tests of IOMMU pages.
 *
 * What KHO refuses is refused here, what KHO does not notice is counted here.
 * The pages never leave the test: an extra reference is held on each page that
 * crossed the "kexec", so that a test sees which pages were freed, how often,
 * and that the others were not, without looking at freed memory.
 */
#ifndef __IOMMU_KUNIT_KHO_H
#define __IOMMU_KUNIT_KHO_H

#include <kunit/static_stub.h>
#include <kunit/test.h>
#include <linux/mm.h>
#include <linux/xarray.h>

#include "iommu-pages.h"

/**
 * struct kunit_kho - State of the fake
 * @records: Order of each page that is preserved and not yet restored, by pfn
 * @crossed: Order of each page that was preserved at the kexec, by pfn
 * @nr_preserve: Successful and failed calls to preserve
 * @nr_restore: Successful calls to restore
 * @double_preserve: Pages preserved twice, which KHO does not notice
 * @bad_unpreserve: Pages unpreserved that were not preserved, or not this way
 * @unknown_restore: Pages restored that the previous kernel did not preserve
 * @fail_at: This call to preserve fails, counted from 1; 0 is none
 * @sequence: Hash of the pages preserved, in their order
 * @swap_pfn: A restore of this page returns @swap
 * @swap: Folio of another order than the page had
 */
struct kunit_kho {
	struct xarray records;
	struct xarray crossed;
	u64 nr_preserve;
	u64 nr_restore;
	u64 double_preserve;
	u64 bad_unpreserve;
	u64 unknown_restore;
	u64 fail_at;
	u64 sequence;
	unsigned long swap_pfn;
	struct folio *swap;
};

/* Tests of one suite run one after the other. */
static struct kunit_kho *kunit_kho;

static int kunit_kho_preserve(struct folio *folio)
{
	unsigned long pfn = folio_pfn(folio);

	if (++kunit_kho->nr_preserve == kunit_kho->fail_at)
		return -ENOMEM;
	if (xa_load(&kunit_kho->records, pfn))
		kunit_kho->double_preserve++;
	kunit_kho->sequence = kunit_kho->sequence * 31 + pfn;
	return xa_err(xa_store(&kunit_kho->records, pfn,
			       xa_mk_value(folio_order(folio)), GFP_KERNEL));
}

static void kunit_kho_unpreserve(struct folio *folio)
{
	void *order = xa_erase(&kunit_kho->records, folio_pfn(folio));

	if (order != xa_mk_value(folio_order(folio)))
		kunit_kho->bad_unpreserve++;
}

static struct folio *kunit_kho_restore(phys_addr_t phys)
{
	unsigned long pfn = PHYS_PFN(phys);

	if (!xa_erase(&kunit_kho->records, pfn)) {
		kunit_kho->unknown_restore++;
		return NULL;
	}
	kunit_kho->nr_restore++;
	if (kunit_kho->swap && pfn == kunit_kho->swap_pfn)
		return kunit_kho->swap;
	return pfn_folio(pfn);
}

/* From here on KHO is the fake, until the test ends. */
static void kunit_kho_init(struct kunit *test, struct kunit_kho *kho)
{
	*kho = (struct kunit_kho){};
	xa_init(&kho->records);
	xa_init(&kho->crossed);
	kunit_kho = kho;
	kunit_activate_static_stub(test, iommu_kho_preserve,
				   kunit_kho_preserve);
	kunit_activate_static_stub(test, iommu_kho_unpreserve,
				   kunit_kho_unpreserve);
	kunit_activate_static_stub(test, iommu_kho_restore, kunit_kho_restore);
}

static void kunit_kho_exit(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, kunit_kho->double_preserve, 0);
	KUNIT_EXPECT_EQ(test, kunit_kho->bad_unpreserve, 0);
	KUNIT_EXPECT_TRUE(test, xa_empty(&kunit_kho->records));
	KUNIT_EXPECT_TRUE(test, xa_empty(&kunit_kho->crossed));
	xa_destroy(&kunit_kho->records);
	xa_destroy(&kunit_kho->crossed);
}

/* Number of pages preserved and not yet restored */
static u64 kunit_kho_nr_records(void)
{
	unsigned long pfn;
	void *order;
	u64 nr = 0;

	xa_for_each(&kunit_kho->records, pfn, order)
		nr++;
	return nr;
}

/* The sum over all nodes with what the CPUs have not added to it yet */
static long kunit_kho_count(enum node_stat_item item)
{
	long sum = 0;
	int nid;

	for_each_online_node(nid) {
		pg_data_t *pgdat = NODE_DATA(nid);

		sum += atomic_long_read(&pgdat->vm_stat[item]);
#ifdef CONFIG_SMP
		for (int cpu = 0; cpu < nr_cpu_ids; cpu++) {
			if (!cpu_possible(cpu))
				continue;
			sum += per_cpu_ptr(pgdat->per_cpu_nodestats, cpu)
				       ->vm_node_stat_diff[item];
		}
#endif
	}
	return sum;
}

static void kunit_kho_account(struct folio *folio, long nr)
{
	mod_node_page_state(folio_pgdat(folio), NR_IOMMU_PAGES, nr);
	lruvec_stat_mod_folio(folio, NR_SECONDARY_PAGETABLE, nr);
}

/* The new kernel counts from zero, and knows nothing about a page but KHO. */
static void kunit_kho_cross(struct folio *folio)
{
	struct ioptdesc *iopt = folio_ioptdesc(folio);

	kunit_kho_account(folio, -folio_nr_pages(folio));
	iopt->incoherent = 0xff;
	iopt->preserved = 0xff;
	INIT_LIST_HEAD(&iopt->iopt_freelist_elm);
}

static void kunit_kho_kexec(struct kunit *test)
{
	unsigned long pfn;
	void *order;

	xa_for_each(&kunit_kho->records, pfn, order) {
		struct folio *folio = pfn_folio(pfn);

		KUNIT_ASSERT_FALSE(test,
				   xa_err(xa_store(&kunit_kho->crossed, pfn,
						   order, GFP_KERNEL)));
		folio_get(folio);
		kunit_kho_cross(folio);
	}
}

/* Every page that crossed was restored, and freed exactly once. */
static void kunit_kho_expect_freed(struct kunit *test)
{
	unsigned long pfn;
	void *order;

	KUNIT_EXPECT_TRUE(test, xa_empty(&kunit_kho->records));
	KUNIT_EXPECT_EQ(test, kunit_kho->unknown_restore, 0);
	xa_for_each(&kunit_kho->crossed, pfn, order) {
		struct folio *folio = pfn_folio(pfn);

		KUNIT_EXPECT_EQ(test, folio_ref_count(folio), 1);
		KUNIT_EXPECT_EQ(test, folio_order(folio), xa_to_value(order));
		xa_erase(&kunit_kho->crossed, pfn);
		if (folio_ref_count(folio) == 1)
			folio_put(folio);
	}
}

/* Not one page that crossed was freed. */
static void kunit_kho_expect_kept(struct kunit *test)
{
	unsigned long pfn;
	void *order;

	xa_for_each(&kunit_kho->crossed, pfn, order)
		KUNIT_ASSERT_EQ(test, folio_ref_count(pfn_folio(pfn)), 2);
}

/* The same kexec again, after a restore that kept all pages. */
static void kunit_kho_rewind(struct kunit *test)
{
	unsigned long pfn;
	void *order;

	kunit_kho_expect_kept(test);
	xa_for_each(&kunit_kho->crossed, pfn, order) {
		if (xa_load(&kunit_kho->records, pfn))
			continue;
		/* Only a successful restore accounts a page. */
		if (!folio_ioptdesc(pfn_folio(pfn))->preserved)
			kunit_kho_cross(pfn_folio(pfn));
		KUNIT_ASSERT_FALSE(test,
				   xa_err(xa_store(&kunit_kho->records, pfn,
						   order, GFP_KERNEL)));
	}
	kunit_kho->nr_restore = 0;
	kunit_kho->unknown_restore = 0;
}

#endif
