/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Part of kunit_liveupdate.h: what the previous kernel left is not what it
 * should be. A record is refused before anything happens; tables that do not
 * match the record are noticed when they are freed, and then none is.
 */

/* With debugging all features are compiled in, whatever the format supports. */
#if IS_ENABLED(CONFIG_DEBUG_GENERIC_PT)
#define LU_FMT_FEATURES PT_ORIG_SUPPORTED_FEATURES
#else
#define LU_FMT_FEATURES PT_SUPPORTED_FEATURES
#endif

/* Every feature that a table is read with goes into the record and back. */
static void test_liveupdate_features(struct kunit *test)
{
	struct lu_priv *lu = test->priv;
	u32 seen = 0;

	for (unsigned int nr = 0; nr != PT_SER_NR_FEATURES; nr++) {
		u32 flag = pt_ser_feature(nr);

		if (LU_FMT_FEATURES & BIT(nr))
			KUNIT_EXPECT_TRUE_MSG(test,
					      flag || (PT_SER_IGNORED_FEATURES &
						       BIT(nr)),
					      "feature %u is lost", nr);
		KUNIT_EXPECT_EQ(test, seen & flag, 0);
		seen |= flag;
		if (flag)
			KUNIT_EXPECT_EQ(test, pt_ser_to_features(flag),
					BIT(nr) | PT_FORCE_ENABLED_FEATURES);
	}

	KUNIT_ASSERT_NO_ERRNO_FN(test, "preserve", lu_preserve(test));
	for (unsigned int nr = 0; nr != PT_SER_NR_FEATURES; nr++)
		if (pt_ser_feature(nr))
			KUNIT_EXPECT_EQ(test,
					!!(lu->ser.features &
					   pt_ser_feature(nr)),
					pt_feature(lu->iommu.common, nr));
	lu_unpreserve(test);
}

/*
 * Spoil one thing in a record. Returns what was spoilt, NULL if there is no
 * such thing in this record.
 */
static const char *lu_spoil(struct pt_iommu_ser *ser, unsigned int how)
{
	bool dynamic = ser->features & PT_IOMMU_SER_F_DYNAMIC_TOP;
	u32 forced = 0;

	switch (how) {
	case 0:
		ser->format++;
		return "next format";
	case 1:
		ser->format = 0;
		return "no format";
	case 2:
		ser->__reserved[6] = 1;
		return "reserved";
	case 3:
		ser->features |= BIT(31);
		return "unknown feature";
	case 4:
		for (unsigned int nr = 0; nr != PT_SER_NR_FEATURES; nr++)
			if (PT_FORCE_ENABLED_FEATURES & BIT(nr))
				forced |= pt_ser_feature(nr);
		ser->features &= ~forced;
		return forced ? "format's own features stripped" : NULL;
	case 5:
		if (!(PT_SUPPORTED_FEATURE(PT_FEAT_SIGN_EXTEND)))
			return NULL;
		ser->features ^= PT_IOMMU_SER_F_SIGN_EXTEND;
		return "sign extension";
	case 6:
		ser->top_level = 0;
		return "level 0";
	case 7:
		ser->top_level = PT_MAX_TOP_LEVEL + 1;
		return "level too high";
	case 8:
		ser->top_level = U8_MAX;
		return "level highest";
	case 9:
		/*
		 * Hardware may walk one level more than needed, but not two.
		 * The largest table has no higher level, see case 7.
		 */
		ser->top_level += 2;
		return "next level but one";
	case 10:
		/* Seen when it is walked, test_liveupdate_wrong_level() */
		ser->top_level--;
		return dynamic ? NULL : "previous level";
	case 11:
		ser->vasz_lg2++;
		return "VASZ + 1";
	case 12:
		ser->vasz_lg2--;
		return "VASZ - 1";
	case 13:
		ser->vasz_lg2 = 0;
		return "VASZ 0";
	case 14:
		ser->vasz_lg2 = U8_MAX;
		return "VASZ highest";
	case 15:
		ser->oasz_lg2 = 0;
		return "OASZ 0";
	case 16:
		ser->oasz_lg2 = pt_max_oa_lg2(NULL) + 1;
		return "OASZ too large";
	case 17:
		ser->oasz_lg2 = PT_GRANULE_LG2SZ;
		return "OASZ of one page";
	case 18:
		ser->top_phys = 0;
		return "no top";
	case 19:
		ser->top_phys |= 8;
		return "top not aligned";
	case 20:
		ser->top_phys = GENMASK_ULL(51, 12);
		return "top outside memory";
	case 21:
		ser->top_phys = ~0ULL << PAGE_SHIFT;
		return "top outside the address space";
	case 22:
		ser->nr_tables = 0;
		return "no tables";
	case 23:
		ser->pgsize_bitmap = 0;
		return "no page size";
	case 24:
		ser->pgsize_bitmap |= 1;
		return "page size of one byte";
	case 25:
		ser->aperture_start += PAGE_SIZE;
		return "aperture start";
	case 26:
		ser->aperture_last -= PAGE_SIZE;
		return "aperture last";
	case 27:
		swap(ser->aperture_start, ser->aperture_last);
		return "aperture swapped";
	default:
		return NULL;
	}
}

static void test_liveupdate_bad_record(struct kunit *test)
{
	enum { LU_NR_SPOILS = 28 };
	struct lu_priv *lu = test->priv;

	lu_map_spread(test);
	lu_kexec(test);
	for (unsigned int how = 0; how != LU_NR_SPOILS; how++) {
		struct pt_iommu_ser ser = lu->ser;
		const char *what = lu_spoil(&ser, how);
		int ret;

		if (!what)
			continue;
		ret = lu_restore(test, &ser);
		KUNIT_EXPECT_TRUE_MSG(test,
				      ret == -EINVAL || ret == -EOPNOTSUPP,
				      "%s gives %d", what, ret);
		KUNIT_EXPECT_NULL_MSG(test, lu->iommu.iommu->ops, "%s", what);
		/* What should not have been accepted is not freed. */
		lu->iommu.iommu->ops = NULL;
	}

	/* Without what the driver has to set for it */
	lu_new_object(test);
	lu->iommu.fmt_table.iommu.driver_ops = NULL;
	lu->iommu.fmt_table.iommu.iommu_device = NULL;
	if (lu->ser.features & (PT_IOMMU_SER_F_DMA_INCOHERENT |
				PT_IOMMU_SER_F_DYNAMIC_TOP))
		KUNIT_EXPECT_EQ(test,
				pt_iommu_restore(&lu->iommu.fmt_table,
						 &lu->ser),
				-EOPNOTSUPP);

	KUNIT_EXPECT_EQ(test, lu->kho.nr_restore, 0);
	kunit_kho_expect_kept(test);
	KUNIT_ASSERT_NO_ERRNO_FN(test, "restore", lu_restore(test, &lu->ser));
	lu_check_maps(test);
	lu_free(test);
}

/* Each bit of the record flipped is refused or harmless, never a splat. */
static void test_liveupdate_flipped_record(struct kunit *test)
{
	struct lu_priv *lu = test->priv;
	unsigned int accepted = 0;

	lu_map_spread(test);
	lu_kexec(test);
	for (unsigned int bit = 0; bit != sizeof(lu->ser) * 8; bit++) {
		struct pt_iommu_ser ser = lu->ser;
		int ret;

		((u8 *)&ser)[bit / 8] ^= BIT(bit % 8);
		ret = lu_restore(test, &ser);
		if (ret) {
			KUNIT_EXPECT_NULL(test, lu->iommu.iommu->ops);
			continue;
		}
		accepted++;
		KUNIT_EXPECT_EQ(test, pt_top_get_level(lu->iommu.common),
				ser.top_level);
		KUNIT_EXPECT_EQ(test, lu->iommu.common->max_vasz_lg2,
				lu->ser.vasz_lg2);
		/* Not freed: that it does not match shows only in the walk. */
		lu->iommu.iommu->ops = NULL;
	}
	/*
	 * Other pages for the top, other counts, fewer page sizes and features
	 * of leaves are possible tables.
	 */
	KUNIT_EXPECT_LT(test, accepted, sizeof(lu->ser) * 8 / 2);

	KUNIT_EXPECT_EQ(test, lu->kho.nr_restore, 0);
	KUNIT_ASSERT_NO_ERRNO_FN(test, "restore", lu_restore(test, &lu->ser));
	lu_free(test);
}

static void test_liveupdate_wrong_count(struct kunit *test)
{
	struct lu_priv *lu = test->priv;
	u64 nr;

	lu_map_spread(test);
	lu_kexec(test);
	nr = lu->ser.nr_tables;
	for (int i = 0; i != 4; i++) {
		const u64 wrong[] = { nr - 1, nr + 1, 1, U64_MAX };
		struct pt_iommu_ser ser = lu->ser;

		ser.nr_tables = wrong[i];
		KUNIT_ASSERT_NO_ERRNO_FN(test, "restore",
					 lu_restore(test, &ser));
		lu_deinit_refuses(test);
	}
	KUNIT_ASSERT_NO_ERRNO_FN(test, "restore", lu_restore(test, &lu->ser));
	lu_free(test);
}

/* A lower top has fewer levels, which leaves tables out. */
static void test_liveupdate_wrong_level(struct kunit *test)
{
	struct lu_priv *lu = test->priv;
	unsigned int tried = 0;

	lu_map_spread(test);
	lu_kexec(test);
	for (unsigned int level = 0; level <= PT_MAX_TOP_LEVEL; level++) {
		struct pt_iommu_ser ser = lu->ser;

		if (level == ser.top_level)
			continue;
		ser.top_level = level;
		tried++;
		if (!lu_restore(test, &ser))
			lu_deinit_refuses(test);
	}
	KUNIT_EXPECT_EQ(test, tried, PT_MAX_TOP_LEVEL);
	KUNIT_ASSERT_NO_ERRNO_FN(test, "restore", lu_restore(test, &lu->ser));
	lu_free(test);
}

/* Each table in turn is one that KHO does not know. */
static void test_liveupdate_missing_table(struct kunit *test)
{
	struct lu_priv *lu = test->priv;
	unsigned long pfn;
	void *order;

	lu_map_spread(test);
	lu_kexec(test);
	xa_for_each(&lu->kho.crossed, pfn, order) {
		xa_erase(&lu->kho.records, pfn);
		KUNIT_ASSERT_NO_ERRNO_FN(test, "restore",
					 lu_restore(test, &lu->ser));
		lu_deinit_refuses(test);
	}
	KUNIT_ASSERT_NO_ERRNO_FN(test, "restore", lu_restore(test, &lu->ser));
	lu_free(test);
}

/* Each table in turn is a folio of another order. */
static void test_liveupdate_wrong_order(struct kunit *test)
{
	struct lu_priv *lu = test->priv;
	unsigned long pfn;
	u64 tried = 0;
	void *order;
	void *large;

	lu_map_spread(test);
	lu_kexec(test);
	large = kmalloc(PAGE_SIZE * 4, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, large);
	lu->kho.swap = virt_to_folio(large);
	xa_for_each(&lu->kho.crossed, pfn, order) {
		lu->kho.swap_pfn = pfn;
		if (lu_restore(test, &lu->ser))
			break;
		lu_deinit_refuses(test);
		tried++;
	}
	lu->kho.swap = NULL;
	kfree(large);
	KUNIT_EXPECT_EQ(test, tried, lu->count.tables);
	KUNIT_ASSERT_NO_ERRNO_FN(test, "restore", lu_restore(test, &lu->ser));
	lu_free(test);
}

/* An entry of the top leads back to the top. */
static void test_liveupdate_cycle(struct kunit *test)
{
	struct lu_priv *lu = test->priv;
	struct pt_write_attrs attrs = {};
	struct pt_range range;
	struct pt_state pts;
	u64 saved;
	u64 *item;

	lu_map_spread(test);
	range = pt_top_range(lu->iommu.common);
	pts = pt_init_top(&range);
	pt_load_single_entry(&pts);
	KUNIT_ASSERT_EQ(test, pts.type, PT_ENTRY_TABLE);
	item = pt_cur_table(&pts, u64) + pts.index;

	lu_kexec(test);
	KUNIT_ASSERT_NO_ERRNO_FN(test, "restore", lu_restore(test, &lu->ser));
	range = pt_top_range(lu->iommu.common);
	pts = pt_init_top(&range);
	pt_load_single_entry(&pts);
	saved = *item;
	KUNIT_ASSERT_TRUE(test, pt_install_table(&pts, lu->ser.top_phys,
						 &attrs));
	KUNIT_ASSERT_NE(test, *item, saved);
	lu_deinit_refuses(test);
	*item = saved;

	KUNIT_ASSERT_NO_ERRNO_FN(test, "restore", lu_restore(test, &lu->ser));
	lu_check_maps(test);
	lu_free(test);
}

/*
 * Freeing needs fewer features than translating does. A populated table is torn
 * down with no more than these, restored and made by this kernel.
 */
static void test_restore_free(struct kunit *test)
{
	struct lu_priv *lu = test->priv;
	unsigned int needed = BIT(PT_FEAT_DYNAMIC_TOP);

	/* To find a table below another one */
	for (unsigned int nr = PT_FEAT_FMT_START; nr != PT_SER_NR_FEATURES;
	     nr++)
		if (pt_ser_feature(nr) == PT_IOMMU_SER_F_ENCRYPT)
			needed |= BIT(nr);

	lu_map_spread(test);
	lu_kexec(test);
	KUNIT_ASSERT_NO_ERRNO_FN(test, "restore", lu_restore(test, &lu->ser));
	lu->iommu.common->features &= needed;
	lu_free(test);

	/* Pages of this kernel are known to the DMA API. */
	KUNIT_ASSERT_NO_ERRNO_FN(test, "init",
				 pt_iommu_init(&lu->iommu.fmt_table,
					       &lu->iommu.cfg, GFP_KERNEL));
	lu->nr_maps = 0;
	lu_map_spread(test);
	lu->iommu.common->features &= needed | BIT(PT_FEAT_DMA_INCOHERENT);
	lu_deinit(test);
	lu_expect_no_tables(test);
}
