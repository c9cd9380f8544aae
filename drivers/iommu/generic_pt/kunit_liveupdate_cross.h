/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Part of kunit_liveupdate.h: what has to work, and what has to leave no trace
 * when it does not.
 */

/* The table of the previous kernel translates, and is freed to the last page. */
static void test_liveupdate_cross(struct kunit *test)
{
	struct lu_priv *lu = test->priv;
	unsigned long pgsize_bitmap = lu->iommu.domain.pgsize_bitmap;
	struct iommu_domain_geometry geometry = lu->iommu.domain.geometry;

	lu_map_spread(test);
	lu_kexec(test);
	KUNIT_ASSERT_NO_ERRNO_FN(test, "restore", lu_restore(test, &lu->ser));
	KUNIT_EXPECT_EQ(test, lu->kho.nr_restore, 0);

	lu_check_maps(test);
	KUNIT_EXPECT_EQ(test, lu->iommu.domain.pgsize_bitmap, pgsize_bitmap);
	KUNIT_EXPECT_EQ(test, lu->iommu.domain.geometry.aperture_start,
			geometry.aperture_start);
	KUNIT_EXPECT_EQ(test, lu->iommu.domain.geometry.aperture_end,
			geometry.aperture_end);
	KUNIT_EXPECT_TRUE(test, lu->iommu.domain.is_iommupt);
	lu_free(test);
}

/* A table that was never mapped into is one page. */
static void test_liveupdate_empty(struct kunit *test)
{
	struct lu_priv *lu = test->priv;

	lu->count = lu_count(test);
	KUNIT_ASSERT_EQ(test, lu->count.tables, 1);
	lu_kexec(test);
	KUNIT_ASSERT_NO_ERRNO_FN(test, "restore", lu_restore(test, &lu->ser));
	lu_free(test);
}

/* Restore does not even look at a table. */
static void test_liveupdate_restore_reads_nothing(struct kunit *test)
{
	struct lu_priv *lu = test->priv;
	unsigned long pfn;
	void *copies;
	void *order;
	size_t pos;
	int ret;

	lu_map_spread(test);
	lu_kexec(test);

	copies = kvmalloc_array(lu->count.tables, PAGE_SIZE, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, copies);
	pos = 0;
	xa_for_each(&lu->kho.crossed, pfn, order) {
		memcpy(copies + pos, lu_table(pfn), PAGE_SIZE);
		memset(lu_table(pfn), 0xff, PAGE_SIZE);
		pos += PAGE_SIZE;
	}

	ret = lu_restore(test, &lu->ser);
	KUNIT_EXPECT_EQ(test, lu->kho.nr_restore, 0);

	pos = 0;
	xa_for_each(&lu->kho.crossed, pfn, order) {
		KUNIT_EXPECT_NULL(test,
				  memchr_inv(lu_table(pfn), 0xff,
					     PAGE_SIZE));
		memcpy(lu_table(pfn), copies + pos, PAGE_SIZE);
		pos += PAGE_SIZE;
	}
	kvfree(copies);
	KUNIT_ASSERT_NO_ERRNO_FN(test, "restore", ret);

	lu_check_maps(test);
	lu_free(test);
}

/* KHO fails at each table in turn: those before it are taken back. */
static void test_liveupdate_preserve_fails(struct kunit *test)
{
	struct lu_priv *lu = test->priv;
	u64 fail_at;

	lu_map_spread(test);
	for (fail_at = 1; fail_at <= lu->count.tables; fail_at++) {
		lu->kho.fail_at = fail_at;
		KUNIT_ASSERT_EQ(test, lu_preserve(test), -ENOMEM);
		KUNIT_ASSERT_EQ(test, lu->kho.nr_preserve, fail_at);
		KUNIT_ASSERT_TRUE(test, xa_empty(&lu->kho.records));
		KUNIT_ASSERT_NULL(test, memchr_inv(&lu->ser, 0,
						   sizeof(lu->ser)));
	}
	lu->kho.fail_at = fail_at;
	KUNIT_ASSERT_NO_ERRNO_FN(test, "preserve", lu_preserve(test));
	lu_unpreserve(test);
	lu_check_maps(test);
}

/* Preserve is undone without a trace, and done the same way again. */
static void test_liveupdate_preserve_again(struct kunit *test)
{
	struct lu_priv *lu = test->priv;
	struct pt_range range;
	struct pt_iommu_ser ser;
	u64 sequence;

	lu_map_spread(test);
	KUNIT_ASSERT_NO_ERRNO_FN(test, "preserve", lu_preserve(test));
	KUNIT_ASSERT_EQ(test, kunit_kho_nr_records(), lu->count.tables);
	sequence = lu->kho.sequence;
	ser = lu->ser;
	lu_unpreserve(test);

	KUNIT_ASSERT_NO_ERRNO_FN(test, "preserve", lu_preserve(test));
	KUNIT_EXPECT_EQ(test, lu->kho.sequence, sequence);
	KUNIT_EXPECT_MEMEQ(test, &lu->ser, &ser, sizeof(ser));
	lu_unpreserve(test);

	/* It is an ordinary table again. */
	range = pt_top_range(lu->iommu.common);
	lu_map(test, range.va + SZ_512M, lu->iommu.smallest_pgsz);
	lu->count = lu_count(test);
	KUNIT_ASSERT_NO_ERRNO_FN(test, "preserve", lu_preserve(test));
	KUNIT_EXPECT_EQ(test, lu->ser.nr_tables, lu->count.tables);
	lu_unpreserve(test);
	lu_check_maps(test);
	do_unmap(test, lu->maps[0].va, lu->maps[0].len);
}

/* Whatever would change a restored table is refused, and nothing is absent. */
static void test_liveupdate_immutable(struct kunit *test)
{
	struct lu_priv *lu = test->priv;
	struct pt_iommu *iommu = lu->iommu.iommu;
	struct pt_iommu_info info = {};
	struct pt_iommu_ser ser;
	struct lu_map *map = &lu->maps[0];

	lu_map_spread(test);
	lu_kexec(test);
	KUNIT_ASSERT_NO_ERRNO_FN(test, "restore", lu_restore(test, &lu->ser));

	KUNIT_EXPECT_EQ(test,
			iommu_map(&lu->iommu.domain, map->va + SZ_512K, map->oa,
				  map->len, IOMMU_READ, GFP_KERNEL),
			-EPERM);
	KUNIT_EXPECT_EQ(test,
			iommu_unmap(&lu->iommu.domain, map->va, map->len), 0);

	KUNIT_ASSERT_NOT_NULL(test, iommu->ops->set_dirty);
	KUNIT_EXPECT_EQ(test, iommu->ops->set_dirty(iommu, map->va), -EPERM);
	KUNIT_ASSERT_NOT_NULL(test, iommu->ops->get_info);
	iommu->ops->get_info(iommu, &info);
	KUNIT_EXPECT_EQ(test, info.pgsize_bitmap & lu->ser.pgsize_bitmap,
			lu->ser.pgsize_bitmap);
	KUNIT_ASSERT_NOT_NULL(test, iommu->ops->preserve);
	KUNIT_EXPECT_EQ(test, iommu->ops->preserve(iommu, &ser), -EBUSY);
	KUNIT_ASSERT_NOT_NULL(test, iommu->ops->unpreserve);
	lu->warnings++;
	iommu->ops->unpreserve(iommu, &lu->ser);

	lu_check_maps(test);
	lu_free(test);
}

/* Freeing a table that is preserved is a bug: it warns, and keeps the pages. */
static void test_liveupdate_deinit_preserved(struct kunit *test)
{
	struct lu_priv *lu = test->priv;
	bool freed = false;
	unsigned long pfn;
	void *order;

	lu_map_spread(test);
	KUNIT_ASSERT_NO_ERRNO_FN(test, "preserve", lu_preserve(test));
	KUNIT_ASSERT_EQ(test, kunit_kho_nr_records(), lu->count.tables);
	xa_for_each(&lu->kho.records, pfn, order)
		folio_get(pfn_folio(pfn));

	lu->warnings += lu->count.tables;
	pt_iommu_deinit(lu->iommu.iommu);

	xa_for_each(&lu->kho.records, pfn, order) {
		if (folio_ref_count(pfn_folio(pfn)) == 2)
			folio_put(pfn_folio(pfn));
		else
			freed = true;
	}
	KUNIT_EXPECT_FALSE(test, freed);
	if (freed) {
		/* Nothing can be done with such a table any more. */
		lu->iommu.iommu->ops = NULL;
		return;
	}

	lu_unpreserve(test);
	lu_check_maps(test);
}
