// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests of iommu_preserve_pages(), iommu_unpreserve_pages() and
 * iommu_restore_pages(), for every size that IOMMU drivers allocate.
 */

#include <kunit/test.h>
#include <linux/kexec_handover.h>
#include <linux/module.h>
#include <linux/sizes.h>

#include "iommu-pages.h"
#include "kunit_kho.h"

struct pages_priv {
	struct kunit_kho kho;
	long nr_iommu_pages;
	long nr_secondary;
};

static const size_t pages_sizes[] = { 1, SZ_2K, SZ_4K, SZ_4K + 1, SZ_16K,
				      SZ_64K, SZ_512K };

static void pages_size_desc(const size_t *size, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "%zu bytes", *size);
}

KUNIT_ARRAY_PARAM(pages_size, pages_sizes, pages_size_desc);

static long pages_param_count(struct kunit *test)
{
	const size_t *size = test->param_value;

	return 1L << get_order(*size);
}

static void *pages_alloc(struct kunit *test, size_t size)
{
	void *virt = iommu_alloc_pages_sz(GFP_KERNEL, size);

	KUNIT_ASSERT_NOT_NULL(test, virt);
	return virt;
}

static void pages_expect_count(struct kunit *test, long nr)
{
	struct pages_priv *priv = test->priv;

	KUNIT_EXPECT_EQ(test, kunit_kho_count(NR_IOMMU_PAGES),
			priv->nr_iommu_pages + nr);
	KUNIT_EXPECT_EQ(test, kunit_kho_count(NR_SECONDARY_PAGETABLE),
			priv->nr_secondary + nr);
}

/* A page crosses with its content and is accounted and freed as one's own. */
static void test_pages_cross(struct kunit *test)
{
	const size_t *size = test->param_value;
	long nr = pages_param_count(test);
	void *virt = pages_alloc(test, *size);
	struct ioptdesc *iopt = virt_to_ioptdesc(virt);

	memset(virt, 0x5a, nr * PAGE_SIZE);
	KUNIT_ASSERT_EQ(test, iommu_preserve_pages(virt), 0);
	KUNIT_EXPECT_EQ(test, kunit_kho_nr_records(), 1);
	KUNIT_EXPECT_PTR_EQ(test,
			    xa_load(&kunit_kho->records,
				    PHYS_PFN(virt_to_phys(virt))),
			    xa_mk_value(get_order(*size)));
	/* It still belongs to this kernel. */
	pages_expect_count(test, nr);

	kunit_kho_kexec(test);
	pages_expect_count(test, 0);

	KUNIT_ASSERT_EQ(test, iommu_restore_pages(virt_to_phys(virt), *size),
			0);
	pages_expect_count(test, nr);
	KUNIT_EXPECT_EQ(test, iopt->incoherent, 0);
	KUNIT_EXPECT_EQ(test, iopt->preserved, 0);
	KUNIT_EXPECT_NULL(test, memchr_inv(virt, 0x5a, nr * PAGE_SIZE));

	iommu_free_pages(virt);
	pages_expect_count(test, 0);
	kunit_kho_expect_freed(test);
}

/* Preserve and unpreserve leave no trace, however often. */
static void test_pages_unpreserve(struct kunit *test)
{
	const size_t *size = test->param_value;
	void *virt = pages_alloc(test, *size);

	for (int i = 0; i != 3; i++) {
		KUNIT_EXPECT_EQ(test, iommu_preserve_pages(virt), 0);
		KUNIT_EXPECT_EQ(test, kunit_kho_nr_records(), 1);
		iommu_unpreserve_pages(virt);
		KUNIT_EXPECT_EQ(test, kunit_kho_nr_records(), 0);
	}
	pages_expect_count(test, pages_param_count(test));
	iommu_free_pages(virt);
	pages_expect_count(test, 0);
}

/* KHO fails: nothing is preserved, the page can be freed. */
static void test_pages_preserve_fails(struct kunit *test)
{
	void *virt = pages_alloc(test, SZ_4K);

	kunit_kho->fail_at = 1;
	KUNIT_EXPECT_EQ(test, iommu_preserve_pages(virt), -ENOMEM);
	KUNIT_EXPECT_EQ(test, kunit_kho_nr_records(), 0);
	iommu_free_pages(virt);
	pages_expect_count(test, 0);
}

/* A second preserve would be undone by one unpreserve: it is refused. */
static void test_pages_preserve_twice(struct kunit *test)
{
	void *virt = pages_alloc(test, SZ_4K);

	KUNIT_ASSERT_EQ(test, iommu_preserve_pages(virt), 0);
	kunit_warning_suppress(test) {
		KUNIT_EXPECT_EQ(test, iommu_preserve_pages(virt), -EBUSY);
		KUNIT_EXPECT_SUPPRESSED_WARNING_COUNT(test, 1);
	}
	iommu_unpreserve_pages(virt);
	kunit_warning_suppress(test) {
		iommu_unpreserve_pages(virt);
		KUNIT_EXPECT_SUPPRESSED_WARNING_COUNT(test, 1);
	}
	iommu_free_pages(virt);
	pages_expect_count(test, 0);
}

/* A preserved page is neither freed by itself nor in a list. */
static void test_pages_free_preserved(struct kunit *test)
{
	struct iommu_pages_list list = IOMMU_PAGES_LIST_INIT(list);
	void *virt = pages_alloc(test, SZ_16K);
	long nr = 1L << get_order(SZ_16K);

	KUNIT_ASSERT_EQ(test, iommu_preserve_pages(virt), 0);
	iommu_pages_list_add(&list, virt);
	kunit_warning_suppress(test) {
		iommu_free_pages(virt);
		iommu_put_pages_list(&list);
		KUNIT_EXPECT_SUPPRESSED_WARNING_COUNT(test, 2);
	}
	KUNIT_EXPECT_EQ(test, folio_ref_count(virt_to_folio(virt)), 1);
	pages_expect_count(test, nr);

	iommu_unpreserve_pages(virt);
	iommu_free_pages(virt);
	pages_expect_count(test, 0);
}

/* Only what was preserved is restored, once, at its own address. */
static void test_pages_restore_unknown(struct kunit *test)
{
	void *virt = pages_alloc(test, SZ_4K);
	phys_addr_t phys = virt_to_phys(virt);

	KUNIT_ASSERT_EQ(test, iommu_preserve_pages(virt), 0);
	kunit_kho_kexec(test);

	KUNIT_EXPECT_EQ(test, iommu_restore_pages(phys + SZ_4K, SZ_4K),
			-ENOENT);
	KUNIT_EXPECT_EQ(test, iommu_restore_pages(phys + 8, SZ_4K), -EINVAL);
	KUNIT_EXPECT_EQ(test, iommu_restore_pages(phys, 0), -EINVAL);
	KUNIT_EXPECT_EQ(test, kunit_kho->unknown_restore, 1);
	pages_expect_count(test, 0);

	KUNIT_ASSERT_EQ(test, iommu_restore_pages(phys, SZ_4K), 0);
	KUNIT_EXPECT_EQ(test, iommu_restore_pages(phys, SZ_4K), -ENOENT);
	pages_expect_count(test, 1);

	kunit_kho->unknown_restore = 0;
	iommu_free_pages(virt);
	pages_expect_count(test, 0);
	kunit_kho_expect_freed(test);
}

/* A page of another size is not what the caller takes it for. */
static void test_pages_restore_wrong_order(struct kunit *test)
{
	static const size_t wrong[] = { SZ_4K, SZ_8K, SZ_32K, SZ_2M };
	void *virt = pages_alloc(test, SZ_16K);

	KUNIT_ASSERT_EQ(test, iommu_preserve_pages(virt), 0);
	kunit_kho_kexec(test);

	for (int i = 0; i != ARRAY_SIZE(wrong); i++) {
		/* A page of the CPU can be larger than 16K. */
		if (get_order(wrong[i]) == get_order(SZ_16K))
			continue;
		KUNIT_EXPECT_EQ(test,
				iommu_restore_pages(virt_to_phys(virt),
						    wrong[i]),
				-EINVAL);
		pages_expect_count(test, 0);
		kunit_kho_rewind(test);
	}

	KUNIT_ASSERT_EQ(test, iommu_restore_pages(virt_to_phys(virt), SZ_16K),
			0);
	iommu_free_pages(virt);
	pages_expect_count(test, 0);
	kunit_kho_expect_freed(test);
}

/* KHO itself: it is there and takes the page, or it is not and says so. */
static void test_pages_real_kho(struct kunit *test)
{
	const size_t *size = test->param_value;
	void *virt = pages_alloc(test, *size);
	int ret = kho_is_enabled() ? 0 : -EOPNOTSUPP;

	kunit_deactivate_static_stub(test, iommu_kho_preserve);
	kunit_deactivate_static_stub(test, iommu_kho_unpreserve);
	kunit_deactivate_static_stub(test, iommu_kho_restore);

	for (int i = 0; i != 2; i++) {
		KUNIT_EXPECT_EQ(test, iommu_preserve_pages(virt), ret);
		if (!ret)
			iommu_unpreserve_pages(virt);
	}
	/* It comes from this kernel, where KHO warns about a caller's bug. */
	kunit_warning_suppress(test) {
		KUNIT_EXPECT_EQ(test,
				iommu_restore_pages(virt_to_phys(virt), *size),
				-ENOENT);
	}
	KUNIT_EXPECT_EQ(test, kunit_kho_nr_records(), 0);
	KUNIT_EXPECT_EQ(test, kunit_kho->nr_preserve, 0);
	pages_expect_count(test, pages_param_count(test));
	iommu_free_pages(virt);
	pages_expect_count(test, 0);
}

static struct kunit_case pages_test_cases[] = {
	KUNIT_CASE_PARAM(test_pages_cross, pages_size_gen_params),
	KUNIT_CASE_PARAM(test_pages_unpreserve, pages_size_gen_params),
	KUNIT_CASE(test_pages_preserve_fails),
	KUNIT_CASE(test_pages_preserve_twice),
	KUNIT_CASE(test_pages_free_preserved),
	KUNIT_CASE(test_pages_restore_unknown),
	KUNIT_CASE(test_pages_restore_wrong_order),
	KUNIT_CASE_PARAM(test_pages_real_kho, pages_size_gen_params),
	{},
};

static int pages_kunit_init(struct kunit *test)
{
	struct pages_priv *priv;

	priv = kunit_kzalloc(test, sizeof(*priv), GFP_KERNEL);
	if (!priv)
		return -ENOMEM;
	kunit_kho_init(test, &priv->kho);
	priv->nr_iommu_pages = kunit_kho_count(NR_IOMMU_PAGES);
	priv->nr_secondary = kunit_kho_count(NR_SECONDARY_PAGETABLE);
	test->priv = priv;
	return 0;
}

static void pages_kunit_exit(struct kunit *test)
{
	if (test->priv)
		kunit_kho_exit(test);
}

static struct kunit_suite pages_suite = {
	.name = "iommu_pages_liveupdate",
	.init = pages_kunit_init,
	.exit = pages_kunit_exit,
	.test_cases = pages_test_cases,
};

kunit_test_suites(&pages_suite);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("KUnit tests for IOMMU pages over a live update");
MODULE_IMPORT_NS("EXPORTED_FOR_KUNIT_TESTING");
