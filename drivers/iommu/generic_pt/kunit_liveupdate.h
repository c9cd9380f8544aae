/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Test handing page tables to the next kernel, for each format and each of its
 * configurations, with a fake KHO below iommu-pages. Every WARN that a test
 * does not expect fails it.
 */
#include "kunit_iommu.h"
#include "pt_iter.h"
#include "pt_ser.h"
#include "../kunit_kho.h"

#define pt_iommu_restore CONCATENATE(CONCATENATE(pt_iommu_, PTPFX), restore)
int pt_iommu_restore(struct pt_iommu_table *fmt_table,
		     const struct pt_iommu_ser *ser);

struct lu_map {
	pt_vaddr_t va;
	pt_oaddr_t oa;
	pt_vaddr_t len;
};

struct lu_count {
	u64 tables;
	u64 leaves;
};

struct lu_priv {
	/* First, so that the helpers of the other suites can be used */
	struct kunit_iommu_priv iommu;
	struct kunit_kho kho;
	struct pt_iommu_ser ser;
	struct lu_count count;
	struct lu_map maps[16];
	unsigned int nr_maps;
	long nr_secondary;
	long nr_iommu_pages;
	struct kunit_suppressed_warning *suppressed;
	int warnings;
};

static void *lu_table(unsigned long pfn)
{
	return page_address(pfn_to_page(pfn));
}

static void lu_expect_no_tables(struct kunit *test)
{
	struct lu_priv *lu = test->priv;

	KUNIT_EXPECT_EQ(test, kunit_kho_count(NR_SECONDARY_PAGETABLE),
			lu->nr_secondary);
	KUNIT_EXPECT_EQ(test, kunit_kho_count(NR_IOMMU_PAGES),
			lu->nr_iommu_pages);
}

static int __lu_count(struct pt_range *range, void *arg, unsigned int level,
		      struct pt_table_p *table)
{
	struct pt_state pts = pt_init(range, level, table);
	struct lu_count *count = arg;

	count->tables++;
	for_each_pt_level_entry(&pts) {
		if (pts.type == PT_ENTRY_TABLE)
			pt_descend(&pts, arg, __lu_count);
		else if (pts.type == PT_ENTRY_OA)
			count->leaves++;
	}
	return 0;
}

static struct lu_count lu_count(struct kunit *test)
{
	struct lu_priv *lu = test->priv;
	struct pt_range range = pt_all_range(lu->iommu.common);
	struct lu_count count = {};

	KUNIT_ASSERT_NO_ERRNO(test, pt_walk_range(&range, __lu_count, &count));
	return count;
}

static void lu_map(struct kunit *test, pt_vaddr_t va, pt_vaddr_t len)
{
	struct lu_priv *lu = test->priv;
	struct lu_map *map = &lu->maps[lu->nr_maps++];

	KUNIT_ASSERT_LE(test, lu->nr_maps, ARRAY_SIZE(lu->maps));
	map->va = va;
	map->len = len;
	map->oa = oalog2_set_mod(lu->iommu.test_oa, 0, vafls(len) - 1);
	do_map(test, map->va, map->oa, map->len);
}

/*
 * Populate what a walk can miss: both ends, blocks of contiguous entries, leaves
 * in upper levels, the upper half of a sign extended table, and each level that
 * a top can be raised to.
 */
static void lu_map_spread(struct kunit *test)
{
	struct lu_priv *lu = test->priv;
	struct kunit_iommu_priv *priv = &lu->iommu;
	struct pt_range range = pt_top_range(priv->common);
	pt_vaddr_t pgsz = priv->smallest_pgsz;

	lu_map(test, range.va, pgsz);
	lu_map(test, range.va + SZ_2M, SZ_64K);
	lu_map(test, range.va + SZ_16M, SZ_2M);
	if (priv->safe_pgsize_bitmap & SZ_1G)
		lu_map(test, range.va + SZ_1G, SZ_1G);
	lu_map(test, range.va + (range.last_va - range.va) / 2 + 1, pgsz);
	lu_map(test, range.last_va - (pgsz - 1), pgsz);

	if (pt_feature(priv->common, PT_FEAT_SIGN_EXTEND)) {
		range = pt_upper_range(priv->common);
		lu_map(test, range.va, pgsz);
		lu_map(test, range.va + SZ_2M, SZ_64K);
		lu_map(test, range.last_va - (pgsz - 1), pgsz);
	}

	while (pt_feature(priv->common, PT_FEAT_DYNAMIC_TOP)) {
		range = pt_top_range(priv->common);
		if (range.max_vasz_lg2 == priv->common->max_vasz_lg2)
			break;
		lu_map(test, range.last_va + 1, pgsz);
	}

	lu->count = lu_count(test);
}

static void lu_check_maps(struct kunit *test)
{
	struct lu_priv *lu = test->priv;
	pt_vaddr_t pgsz = lu->iommu.smallest_pgsz;
	struct lu_count count = lu_count(test);

	for (unsigned int i = 0; i != lu->nr_maps; i++) {
		struct lu_map *map = &lu->maps[i];

		if (map->len <= SZ_64K)
			check_iova(test, map->va, map->oa, map->len);
		check_iova(test, map->va, map->oa, pgsz);
		check_iova(test, map->va + map->len - pgsz,
			   map->oa + map->len - pgsz, pgsz);
	}
	/* Between the lowest page and the block of 64K */
	KUNIT_EXPECT_EQ(test,
			iommu_iova_to_phys(&lu->iommu.domain,
					   lu->maps[0].va + SZ_1M),
			0);
	KUNIT_EXPECT_EQ(test, count.tables, lu->count.tables);
	KUNIT_EXPECT_EQ(test, count.leaves, lu->count.leaves);
}

static int lu_preserve(struct kunit *test)
{
	struct lu_priv *lu = test->priv;

	memset(&lu->ser, 0xff, sizeof(lu->ser));
	lu->kho.nr_preserve = 0;
	lu->kho.sequence = 0;
	return lu->iommu.iommu->ops->preserve(lu->iommu.iommu, &lu->ser);
}

static void lu_unpreserve(struct kunit *test)
{
	struct lu_priv *lu = test->priv;

	lu->iommu.iommu->ops->unpreserve(lu->iommu.iommu, &lu->ser);
	KUNIT_ASSERT_TRUE(test, xa_empty(&lu->kho.records));
}

/* Nothing of the old object helps the new one: leave garbage. */
static void lu_new_object(struct kunit *test)
{
	struct lu_priv *lu = test->priv;
	struct kunit_iommu_priv *priv = &lu->iommu;

	memset(&priv->fmt_table, 0x6b, sizeof(priv->fmt_table));
	priv->fmt_table.iommu.nid = NUMA_NO_NODE;
	priv->fmt_table.iommu.driver_ops = &pt_kunit_driver_ops;
	priv->fmt_table.iommu.iommu_device = priv->dummy_dev;
	priv->domain.ops = &kunit_pt_ops;
}

/* Preserve what is mapped and go to the next kernel. */
static void lu_kexec(struct kunit *test)
{
	struct lu_priv *lu = test->priv;

	KUNIT_ASSERT_NO_ERRNO_FN(test, "preserve", lu_preserve(test));
	KUNIT_ASSERT_EQ(test, lu->ser.nr_tables, lu->count.tables);
	KUNIT_ASSERT_EQ(test, kunit_kho_nr_records(), lu->count.tables);
	kunit_kho_kexec(test);
	/* What is still accounted would be a table that was not preserved. */
	lu_expect_no_tables(test);
	lu_new_object(test);
}

static int lu_restore(struct kunit *test, const struct pt_iommu_ser *ser)
{
	struct lu_priv *lu = test->priv;

	lu_new_object(test);
	return pt_iommu_restore(&lu->iommu.fmt_table, ser);
}

static void lu_deinit(struct kunit *test)
{
	struct lu_priv *lu = test->priv;

	pt_iommu_deinit(lu->iommu.iommu);
	/* The exit of the suite would do it again. */
	lu->iommu.iommu->ops = NULL;
}

/* All that crossed is restored and freed, once, and nothing else. */
static void lu_free(struct kunit *test)
{
	struct lu_priv *lu = test->priv;

	lu_deinit(test);
	KUNIT_EXPECT_EQ(test, lu->kho.nr_restore, lu->count.tables);
	kunit_kho_expect_freed(test);
	lu_expect_no_tables(test);
}

/* A deinit that must notice that something is wrong, and free nothing */
static void lu_deinit_refuses(struct kunit *test)
{
	struct lu_priv *lu = test->priv;
	u64 limit = lu->iommu.iommu->nr_restore;

	lu->warnings++;
	lu_deinit(test);
	/* What is beyond can be somebody else's. */
	KUNIT_EXPECT_LE(test, lu->kho.nr_restore, limit);
	KUNIT_ASSERT_EQ(test, kunit_suppressed_warning_count(lu->suppressed),
			lu->warnings);
	kunit_kho_expect_kept(test);
	kunit_kho_rewind(test);
}

#include "kunit_liveupdate_cross.h"
#include "kunit_liveupdate_hostile.h"

static struct kunit_case liveupdate_test_cases[] = {
	KUNIT_CASE_FMT(test_liveupdate_cross),
	KUNIT_CASE_FMT(test_liveupdate_empty),
	KUNIT_CASE_FMT(test_liveupdate_restore_reads_nothing),
	KUNIT_CASE_FMT(test_liveupdate_preserve_fails),
	KUNIT_CASE_FMT(test_liveupdate_preserve_again),
	KUNIT_CASE_FMT(test_liveupdate_immutable),
	KUNIT_CASE_FMT(test_liveupdate_deinit_preserved),
	KUNIT_CASE_FMT(test_liveupdate_features),
	KUNIT_CASE_FMT(test_liveupdate_bad_record),
	KUNIT_CASE_FMT(test_liveupdate_flipped_record),
	KUNIT_CASE_FMT(test_liveupdate_wrong_count),
	KUNIT_CASE_FMT(test_liveupdate_wrong_level),
	KUNIT_CASE_FMT(test_liveupdate_missing_table),
	KUNIT_CASE_FMT(test_liveupdate_wrong_order),
	KUNIT_CASE_FMT(test_liveupdate_cycle),
	KUNIT_CASE_FMT(test_restore_free),
	{},
};

static int lu_kunit_init(struct kunit *test)
{
	struct lu_priv *lu;
	int ret;

	if (IS_32BIT)
		kunit_skip(test, "KHO has no 32 bit architecture");

	lu = kunit_kzalloc(test, sizeof(*lu), GFP_KERNEL);
	if (!lu)
		return -ENOMEM;

	lu->nr_secondary = kunit_kho_count(NR_SECONDARY_PAGETABLE);
	lu->nr_iommu_pages = kunit_kho_count(NR_IOMMU_PAGES);
	ret = pt_kunit_priv_init(test, &lu->iommu);
	if (ret)
		return ret;
	kunit_kho_init(test, &lu->kho);
	lu->suppressed = kunit_start_suppress_warning(test);
	if (!lu->suppressed)
		return -ENOMEM;
	test->priv = lu;
	return 0;
}

static void lu_kunit_exit(struct kunit *test)
{
	struct lu_priv *lu = test->priv;

	if (!lu)
		return;

	KUNIT_EXPECT_EQ(test, kunit_suppressed_warning_count(lu->suppressed),
			lu->warnings);
	kunit_kho_exit(test);
	pt_iommu_deinit(lu->iommu.iommu);
	lu_expect_no_tables(test);
}

static struct kunit_suite NS(liveupdate_suite) = {
	.name = __stringify(NS(liveupdate_test)),
	.init = lu_kunit_init,
	.exit = lu_kunit_exit,
	.test_cases = liveupdate_test_cases,
};

kunit_test_suites(&NS(liveupdate_suite));

MODULE_IMPORT_NS("EXPORTED_FOR_KUNIT_TESTING");
