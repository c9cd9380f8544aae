// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of liveupdate_entries.c and liveupdate_pasid.c: which entries outlive the
 * kernel, that an entry is the recorded one, that the sweep leaves those and
 * nothing else, which domain ids are taken, and who is stopped. Of
 * liveupdate_shutdown.c: what emulated units do not have, with memory in place
 * of the registers.
 */

#include <kunit/test.h>
#include <linux/bits.h>
#include <linux/gfp.h>
#include <linux/idr.h>
#include <linux/kho/abi/iommu.h>
#include <linux/string.h>

#include "../liveupdate/records.h"
#include "iommu.h"
#include "liveupdate.h"
#include "liveupdate_entries.h"
#include "pasid.h"

static const struct iommu_intel_ser legacy = { .rtaddr = 0x1000 };
static const struct iommu_intel_ser scalable = {
	.rtaddr = 0x1000 | IOMMU_INTEL_SER_RTADDR_SMT,
};

static struct vtd_kept *alloc_kept(struct kunit *test)
{
	struct vtd_kept *kept = kunit_kzalloc(test, sizeof(*kept), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, kept);
	return kept;
}

static void free_page_action(void *page)
{
	free_page((unsigned long)page);
}

static void *alloc_table(struct kunit *test)
{
	void *page = (void *)get_zeroed_page(GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, page);
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, free_page_action, page));
	return page;
}

/* One table a bus in legacy mode, in scalable mode one for each 128 functions */
static void test_table_index(struct kunit *test)
{
	for (unsigned int rid = 0; rid < VTD_NR_RIDS; rid++) {
		unsigned int bus = rid >> 8;
		unsigned int upper = rid >> 7 & 1;

		KUNIT_ASSERT_EQ(test, iommu_record_context_table(&legacy, rid),
				2 * bus);
		KUNIT_ASSERT_EQ(test,
				iommu_record_context_table(&scalable, rid),
				2 * bus + upper);
	}
}

static void test_keep_counts(struct kunit *test)
{
	struct vtd_kept *kept = alloc_kept(test);

	KUNIT_EXPECT_EQ(test, vtd_keep_rid(kept, &legacy, 0x0100), 1);
	KUNIT_EXPECT_EQ(test, vtd_keep_rid(kept, &legacy, 0x01ff), 0);
	KUNIT_EXPECT_EQ(test, vtd_keep_rid(kept, &legacy, 0x0200), 1);
	KUNIT_EXPECT_EQ(test, kept->tables[2], 2);
	KUNIT_EXPECT_EQ(test, kept->tables[3], 0);
	KUNIT_EXPECT_EQ(test, kept->tables[4], 1);

	KUNIT_EXPECT_FALSE(test, vtd_drop_rid(kept, &legacy, 0x0100));
	KUNIT_EXPECT_TRUE(test, vtd_drop_rid(kept, &legacy, 0x01ff));
	KUNIT_EXPECT_TRUE(test, vtd_drop_rid(kept, &legacy, 0x0200));
	KUNIT_EXPECT_NULL(test, memchr_inv(kept, 0, sizeof(*kept)));
}

static void test_keep_halves(struct kunit *test)
{
	struct vtd_kept *kept = alloc_kept(test);

	KUNIT_EXPECT_EQ(test, vtd_keep_rid(kept, &scalable, 0x017f), 1);
	KUNIT_EXPECT_EQ(test, vtd_keep_rid(kept, &scalable, 0x0180), 1);
	KUNIT_EXPECT_EQ(test, kept->tables[2], 1);
	KUNIT_EXPECT_EQ(test, kept->tables[3], 1);
	KUNIT_EXPECT_TRUE(test, vtd_drop_rid(kept, &scalable, 0x0180));
	KUNIT_EXPECT_TRUE(test, vtd_drop_rid(kept, &scalable, 0x017f));
}

static void test_keep_twice(struct kunit *test)
{
	struct vtd_kept *kept = alloc_kept(test);

	KUNIT_EXPECT_EQ(test, vtd_keep_rid(kept, &legacy, 0xffff), 1);
	KUNIT_EXPECT_EQ(test, vtd_keep_rid(kept, &legacy, 0xffff), -EBUSY);
	KUNIT_EXPECT_EQ(test, kept->tables[510], 1);
	KUNIT_EXPECT_TRUE(test, vtd_drop_rid(kept, &legacy, 0xffff));
	KUNIT_EXPECT_NULL(test, memchr_inv(kept, 0, sizeof(*kept)));
}

static void test_keep_all(struct kunit *test)
{
	struct vtd_kept *kept = alloc_kept(test);

	for (unsigned int rid = 0; rid < VTD_NR_RIDS; rid++)
		KUNIT_EXPECT_EQ(test, vtd_keep_rid(kept, &legacy, rid),
				!(rid & 0xff));
	for (unsigned int rid = 0; rid < VTD_NR_RIDS; rid++)
		KUNIT_EXPECT_EQ(test, vtd_drop_rid(kept, &legacy, rid),
				(rid & 0xff) == 0xff);
	KUNIT_EXPECT_NULL(test, memchr_inv(kept, 0, sizeof(*kept)));
}

static const struct vtd_attachment attachment = {
	.top = 0x123456789000, .aw = 2, .did = 0x1234,
};

static struct context_entry good_entry(void)
{
	return (struct context_entry) {
		.lo = attachment.top | 1,
		.hi = (u64)attachment.did << 8 | attachment.aw,
	};
}

/* Bit 2 alone makes it the type with a device TLB; 66:63 are for software. */
static int expected_after_flip(unsigned int bit)
{
	if (bit == 0)
		return -ENOENT;
	if (bit == 2 || (bit >= 64 + 3 && bit <= 64 + 6))
		return 0;
	return -EINVAL;
}

static void test_entry_check(struct kunit *test)
{
	struct context_entry entry = good_entry();

	KUNIT_EXPECT_EQ(test, vtd_context_entry_check(&entry, &attachment), 0);
	for (unsigned int bit = 0; bit < 128; bit++) {
		entry = good_entry();
		if (bit < 64)
			entry.lo ^= BIT_ULL(bit);
		else
			entry.hi ^= BIT_ULL(bit - 64);
		KUNIT_EXPECT_EQ_MSG(test,
				    vtd_context_entry_check(&entry, &attachment),
				    expected_after_flip(bit), "bit %u", bit);
	}
}

/* Two words of an entry are enough to tell it from others. */
static void fill(struct context_entry *entry, u64 mark)
{
	entry->lo = mark << 12 | 1;
	entry->hi = mark << 8 | 2;
}

/**
 * struct sweep - Tables of a sweep
 * @iommu: Unit without coherent walks
 * @root: Its root table
 * @kept: What is kept
 * @tables: Context tables of bus 1 and bus 2
 */
struct sweep {
	struct intel_iommu *iommu;
	struct root_entry *root;
	struct vtd_kept *kept;
	struct context_entry *tables[2];
};

static void init_sweep(struct kunit *test, struct sweep *sweep)
{
	sweep->iommu = kunit_kzalloc(test, sizeof(*sweep->iommu), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, sweep->iommu);
	sweep->root = alloc_table(test);
	sweep->kept = alloc_kept(test);
	sweep->tables[0] = alloc_table(test);
	sweep->tables[1] = alloc_table(test);
}

static void test_sweep_legacy(struct kunit *test)
{
	struct context_entry want;
	struct sweep sweep;

	init_sweep(test, &sweep);
	sweep.root[1].lo = virt_to_phys(sweep.tables[0]) | 1;
	sweep.root[2].lo = virt_to_phys(sweep.tables[1]) | 1;
	/* No memory: it must not be looked at. */
	sweep.root[3].lo = GENMASK_ULL(51, 12) | 1;
	/* What legacy mode does not have */
	sweep.root[1].hi = GENMASK_ULL(51, 12) | 1;

	for (unsigned int i = 0; i < 256; i++) {
		fill(&sweep.tables[0][i], 0x100 + i);
		fill(&sweep.tables[1][i], 0x200 + i);
	}
	vtd_keep_rid(sweep.kept, &legacy, 0x0108);
	vtd_keep_rid(sweep.kept, &legacy, 0x01ff);

	/* 254 of bus 1, its upper half, and the tables of two buses */
	KUNIT_EXPECT_EQ(test, vtd_sweep(sweep.iommu, sweep.root, &legacy,
					sweep.kept, VTD_SWEEP_HIDE), 257);
	KUNIT_EXPECT_EQ(test, sweep.root[1].lo,
			virt_to_phys(sweep.tables[0]) | 1);
	KUNIT_EXPECT_EQ(test, sweep.root[1].hi, 0);
	KUNIT_EXPECT_EQ(test, sweep.root[2].lo, 0);
	KUNIT_EXPECT_EQ(test, sweep.root[3].lo, 0);
	for (unsigned int i = 0; i < 256; i++) {
		bool kept = i == 0x08 || i == 0xff;

		fill(&want, 0x100 + i);
		want.lo -= !kept;
		KUNIT_EXPECT_MEMEQ(test, &sweep.tables[0][i], &want,
				   sizeof(want));
		/* A table that is taken off is not written to. */
		fill(&want, 0x200 + i);
		KUNIT_EXPECT_MEMEQ(test, &sweep.tables[1][i], &want,
				   sizeof(want));
	}

	KUNIT_EXPECT_EQ(test, vtd_sweep(sweep.iommu, sweep.root, &legacy,
					sweep.kept, VTD_SWEEP_WIPE), 0);
	for (unsigned int i = 0; i < 256; i++) {
		bool kept = i == 0x08 || i == 0xff;

		fill(&want, 0x100 + i);
		if (!kept)
			want = (struct context_entry) {};
		KUNIT_EXPECT_MEMEQ(test, &sweep.tables[0][i], &want,
				   sizeof(want));
	}
}

static void test_sweep_scalable(struct kunit *test)
{
	struct context_entry want[2];
	struct sweep sweep;

	init_sweep(test, &sweep);
	sweep.root[1].lo = virt_to_phys(sweep.tables[0]) | 1;
	sweep.root[1].hi = virt_to_phys(sweep.tables[1]) | 1;
	for (unsigned int i = 0; i < 256; i++) {
		fill(&sweep.tables[0][i], 0x100 + i);
		fill(&sweep.tables[1][i], 0x200 + i);
	}
	vtd_keep_rid(sweep.kept, &scalable, 0x0181);

	KUNIT_EXPECT_EQ(test, vtd_sweep(sweep.iommu, sweep.root, &scalable,
					sweep.kept, VTD_SWEEP_HIDE), 128);
	KUNIT_EXPECT_EQ(test, vtd_sweep(sweep.iommu, sweep.root, &scalable,
					sweep.kept, VTD_SWEEP_WIPE), 0);
	KUNIT_EXPECT_EQ(test, sweep.root[1].lo, 0);
	KUNIT_EXPECT_EQ(test, sweep.root[1].hi,
			virt_to_phys(sweep.tables[1]) | 1);
	for (unsigned int i = 0; i < 128; i++) {
		memset(want, 0, sizeof(want));
		if (i == 1) {
			fill(&want[0], 0x200 + 2);
			fill(&want[1], 0x200 + 3);
		}
		KUNIT_EXPECT_MEMEQ(test, &sweep.tables[1][2 * i], want,
				   sizeof(want));
	}
	KUNIT_EXPECT_PTR_EQ(test, vtd_context_entry(sweep.root, &scalable,
						    0x0181),
			    &sweep.tables[1][2]);
	KUNIT_EXPECT_NULL(test, vtd_context_entry(sweep.root, &scalable,
						  0x0101));
}

/* A directory of two pages: PDTS 3 is 1024 words for 65536 PASIDs */
#define DIR_ORDER	1
#define DIR_PDTS	3
#define DIR_WORDS	1024

/**
 * struct pasids - A context entry of scalable mode and what is below it
 * @iommu: Unit without coherent walks
 * @context: The entry
 * @dir: The directory
 * @tables: Its first and its last table
 * @attachment: What all of it does
 */
struct pasids {
	struct intel_iommu *iommu;
	struct context_entry context;
	struct pasid_dir_entry *dir;
	struct pasid_entry *tables[2];
	struct vtd_attachment attachment;
};

static void free_dir_action(void *dir)
{
	free_pages((unsigned long)dir, DIR_ORDER);
}

static void init_pasids(struct kunit *test, struct pasids *pasids)
{
	pasids->iommu = kunit_kzalloc(test, sizeof(*pasids->iommu), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, pasids->iommu);
	pasids->dir = (void *)__get_free_pages(GFP_KERNEL | __GFP_ZERO,
					       DIR_ORDER);
	KUNIT_ASSERT_NOT_NULL(test, pasids->dir);
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, free_dir_action,
						  pasids->dir));
	pasids->tables[0] = alloc_table(test);
	pasids->tables[1] = alloc_table(test);
	pasids->attachment = attachment;
	pasids->attachment.pasid_dir = virt_to_phys(pasids->dir);
	pasids->attachment.max_pasid = DIR_WORDS * PASID_TBL_ENTRIES;
	pasids->context.lo = virt_to_phys(pasids->dir) | DIR_PDTS << 9 | 1;
	pasids->context.hi = 0;
	pasids->dir[0].val = virt_to_phys(pasids->tables[0]) | 1;
	pasids->tables[0][0] = (struct pasid_entry) { .val = {
		attachment.top | PASID_ENTRY_PGTT_SL_ONLY << 6 |
			attachment.aw << 2 | 1,
		BIT_ULL(23) | attachment.did,
	} };
}

/* Device TLB and PASIDs enabled are for the kernel to choose. */
static void test_pasid_context_check(struct kunit *test)
{
	struct context_entry good;
	struct pasids pasids;

	init_pasids(test, &pasids);
	good = pasids.context;
	KUNIT_EXPECT_EQ(test, vtd_attachment_check(&good, &pasids.attachment),
			0);

	for (unsigned int bit = 0; bit < 128; bit++) {
		int expected = -EINVAL;

		if (bit == 0)
			expected = -ENOENT;
		if (bit == 2 || bit == 3)
			expected = 0;

		pasids.context = good;
		if (bit < 64)
			pasids.context.lo ^= BIT_ULL(bit);
		else
			pasids.context.hi ^= BIT_ULL(bit - 64);
		KUNIT_EXPECT_EQ_MSG(test,
				    vtd_attachment_check(&pasids.context,
							 &pasids.attachment),
				    expected, "bit %u", bit);
	}

	pasids.dir[0].val = 0;
	KUNIT_EXPECT_EQ(test, vtd_attachment_check(&good, &pasids.attachment),
			-ENOENT);
}

/* Bits that make it another translation, by word of the entry */
static const u64 second_stage_bits[] = {
	VTD_PAGE_MASK | GENMASK_ULL(9, 6) | GENMASK_ULL(4, 1),
	GENMASK_ULL(15, 0),
};

static const u64 first_stage_bits[] = {
	GENMASK_ULL(9, 6) | BIT_ULL(1), GENMASK_ULL(15, 0),
	VTD_PAGE_MASK | GENMASK_ULL(3, 2),
};

static void flip_all(struct kunit *test, const struct pasid_entry *good,
		     const struct vtd_attachment *want, const u64 *bits,
		     unsigned int nr)
{
	KUNIT_EXPECT_EQ(test, vtd_pasid_entry_check(good, want), 0);
	for (unsigned int i = 0; i < nr * 64; i++) {
		struct pasid_entry entry = *good;
		int expected = bits[i / 64] & BIT_ULL(i % 64) ? -EINVAL : 0;

		if (i == 0)
			expected = -ENOENT;
		entry.val[i / 64] ^= BIT_ULL(i % 64);
		KUNIT_EXPECT_EQ_MSG(test, vtd_pasid_entry_check(&entry, want),
				    expected, "bit %u", i);
	}
}

static void test_pasid_entry_check(struct kunit *test)
{
	struct vtd_attachment want = attachment;
	struct pasid_entry first = { .val = {
		PASID_ENTRY_PGTT_FL_ONLY << 6 | 2 << 2 | 1,
		BIT_ULL(23) | attachment.did,
		attachment.top | 1 << 2,
	} };
	struct pasids pasids;

	init_pasids(test, &pasids);
	flip_all(test, pasids.tables[0], &want, second_stage_bits,
		 ARRAY_SIZE(second_stage_bits));
	want.first_stage = true;
	want.aw = 1;
	flip_all(test, &first, &want, first_stage_bits,
		 ARRAY_SIZE(first_stage_bits));
	KUNIT_EXPECT_EQ(test, vtd_pasid_entry_check(pasids.tables[0], &want),
			-EINVAL);

	KUNIT_EXPECT_FALSE(test, vtd_pasid_entry_snoops(&first));
	first.val[1] |= BIT_ULL(24);
	KUNIT_EXPECT_TRUE(test, vtd_pasid_entry_snoops(&first));
	KUNIT_EXPECT_EQ(test, vtd_pasid_entry_check(&first, &want), 0);
}

static void test_pasid_sweep(struct kunit *test)
{
	struct pasid_entry good;
	struct pasids pasids;

	init_pasids(test, &pasids);
	good = pasids.tables[0][0];
	KUNIT_EXPECT_TRUE(test, vtd_only_pasid_0(&pasids.context));

	pasids.tables[0][63].val[0] = 0x7001;
	KUNIT_EXPECT_FALSE(test, vtd_only_pasid_0(&pasids.context));
	pasids.tables[0][63].val[0] = 0;
	/* The last word of a directory that is larger than a page */
	pasids.dir[DIR_WORDS - 1].val = virt_to_phys(pasids.tables[1]) | 1;
	KUNIT_EXPECT_FALSE(test, vtd_only_pasid_0(&pasids.context));

	for (unsigned int i = 1; i < PASID_TBL_ENTRIES; i++)
		pasids.tables[0][i].val[0] = i << 12 | 1;
	pasids.tables[1][0].val[0] = 0x5001;

	vtd_sweep_pasids(pasids.iommu, &pasids.context, VTD_SWEEP_HIDE);
	KUNIT_EXPECT_TRUE(test, vtd_only_pasid_0(&pasids.context));
	KUNIT_EXPECT_MEMEQ(test, pasids.tables[0], &good, sizeof(good));
	KUNIT_EXPECT_EQ(test, pasids.tables[0][5].val[0], 5 << 12);
	KUNIT_EXPECT_EQ(test, pasids.tables[1][0].val[0], 0x5001);

	vtd_sweep_pasids(pasids.iommu, &pasids.context, VTD_SWEEP_WIPE);
	KUNIT_EXPECT_MEMEQ(test, pasids.tables[0], &good, sizeof(good));
	KUNIT_EXPECT_NULL(test, memchr_inv(&pasids.tables[0][1], 0,
					   63 * sizeof(good)));
	KUNIT_EXPECT_NULL(test, memchr_inv(&pasids.dir[1], 0,
					   (DIR_WORDS - 1) * 8));
}

#define MAX_DID		0x100

static void init_dids(struct kunit *test, struct vtd_dids *dids,
		      unsigned int max)
{
	*dids = (struct vtd_dids) { .max = max };
	dids->ids = kunit_kcalloc(test, max, sizeof(*dids->ids), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, dids->ids);
}

/* Devices of one domain share its id. Nobody else gets it. */
static void test_dids(struct kunit *test)
{
	struct vtd_restored_did *restored;
	struct vtd_dids dids;
	struct ida ida;

	ida_init(&ida);
	init_dids(test, &dids, 3);
	KUNIT_EXPECT_EQ(test, vtd_reserve_did(&dids, &ida, MAX_DID, 7), 0);
	KUNIT_EXPECT_EQ(test, vtd_reserve_did(&dids, &ida, MAX_DID,
					      MAX_DID - 1), 0);
	KUNIT_EXPECT_EQ(test, vtd_reserve_did(&dids, &ida, MAX_DID, 7), 0);
	KUNIT_EXPECT_EQ(test, dids.nr, 2);
	restored = vtd_find_did(&dids, 7);
	KUNIT_ASSERT_NOT_NULL(test, restored);
	KUNIT_EXPECT_EQ(test, restored->pending, 2);
	KUNIT_EXPECT_NULL(test, restored->domain);
	KUNIT_EXPECT_NULL(test, vtd_find_did(&dids, 8));

	KUNIT_EXPECT_EQ(test, ida_alloc_range(&ida, 7, 7, GFP_KERNEL), -ENOSPC);
	KUNIT_EXPECT_EQ(test, ida_alloc_range(&ida, 7, MAX_DID, GFP_KERNEL), 8);
	ida_free(&ida, 8);

	vtd_release_dids(&dids, &ida);
	KUNIT_EXPECT_EQ(test, dids.nr, 0);
	KUNIT_EXPECT_TRUE(test, ida_is_empty(&ida));
	ida_destroy(&ida);
}

static void test_wrong_dids(struct kunit *test)
{
	/* What no domain has: 0, and those that all of the first stage share */
	static const u16 wrong[] = {
		0, FLPT_DEFAULT_DID, IDA_START_DID - 1, MAX_DID, U16_MAX,
	};
	struct vtd_dids dids;
	struct ida ida;

	ida_init(&ida);
	init_dids(test, &dids, 2);
	for (unsigned int i = 0; i < ARRAY_SIZE(wrong); i++)
		KUNIT_EXPECT_EQ_MSG(test,
				    vtd_reserve_did(&dids, &ida, MAX_DID,
						    wrong[i]),
				    -EINVAL, "id %u", wrong[i]);
	KUNIT_EXPECT_EQ(test, dids.nr, 0);
	KUNIT_EXPECT_TRUE(test, ida_is_empty(&ida));

	/* Somebody else's */
	KUNIT_EXPECT_EQ(test, ida_alloc_range(&ida, 9, 9, GFP_KERNEL), 9);
	KUNIT_EXPECT_EQ(test, vtd_reserve_did(&dids, &ida, MAX_DID, 9),
			-ENOSPC);
	KUNIT_EXPECT_EQ(test, dids.nr, 0);
	KUNIT_EXPECT_NULL(test, vtd_find_did(&dids, 9));

	/* More ids than there are devices */
	KUNIT_EXPECT_EQ(test, vtd_reserve_did(&dids, &ida, MAX_DID, 10), 0);
	KUNIT_EXPECT_EQ(test, vtd_reserve_did(&dids, &ida, MAX_DID, 11), 0);
	KUNIT_EXPECT_EQ(test, vtd_reserve_did(&dids, &ida, MAX_DID, 12),
			-EINVAL);
	vtd_release_dids(&dids, &ida);
	ida_free(&ida, 9);
	KUNIT_EXPECT_TRUE(test, ida_is_empty(&ida));
	ida_destroy(&ida);
}

/* The same for each unit whose translation goes off, an ignored one as well */
static void test_whom_to_stop(struct kunit *test)
{
	static const int errs[] = {
		-ENOENT, -EOPNOTSUPP, -ENOMEM, -EINVAL, -EFAULT, -EEXIST,
	};
	u32 on = DMA_GSTS_TES, others = ~DMA_GSTS_TES;

	KUNIT_EXPECT_EQ(test, vtd_whom_to_stop(true, on, 0),
			VTD_STOP_RECORDED);
	KUNIT_EXPECT_EQ(test, vtd_whom_to_stop(true, on | others, 0),
			VTD_STOP_RECORDED);
	KUNIT_EXPECT_EQ(test, vtd_whom_to_stop(true, others, 0),
			VTD_STOP_NOBODY);
	KUNIT_EXPECT_EQ(test, vtd_whom_to_stop(false, on, 0), VTD_STOP_NOBODY);
	for (unsigned int i = 0; i < ARRAY_SIZE(errs); i++) {
		KUNIT_EXPECT_EQ(test, vtd_whom_to_stop(true, on, errs[i]),
				VTD_STOP_ALL);
		KUNIT_EXPECT_EQ(test, vtd_whom_to_stop(true, others, errs[i]),
				VTD_STOP_NOBODY);
		/* After a crash, and in a kernel that firmware has started */
		KUNIT_EXPECT_EQ(test, vtd_whom_to_stop(false, on, errs[i]),
				VTD_STOP_NOBODY);
	}
}

/* A unit whose registers are memory, all of them zero */
static struct intel_iommu *alloc_unit(struct kunit *test)
{
	struct intel_iommu *iommu =
		kunit_kzalloc(test, sizeof(*iommu), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, iommu);
	iommu->reg = (void __iomem __force *)alloc_table(test);
	strscpy(iommu->name, "kunit");
	return iommu;
}

/* A register that the unit does not have may be anything, and is left alone. */
static void test_mask_events(struct kunit *test)
{
	static const u64 prs = BIT_ULL(29), pms = BIT_ULL(51);
	static const u64 ecaps[] = { 0, prs, pms, prs | pms };

	for (unsigned int i = 0; i < ARRAY_SIZE(ecaps); i++) {
		struct intel_iommu *iommu = alloc_unit(test);
		u64 ecap = ecaps[i];

		iommu->ecap = ecap;
		vtd_mask_events(iommu);
		KUNIT_EXPECT_EQ(test, readl(iommu->reg + DMAR_FECTL_REG),
				DMA_FECTL_IM);
		KUNIT_EXPECT_EQ(test, readl(iommu->reg + DMAR_PECTL_REG),
				ecap & prs ? DMA_FECTL_IM : 0);
		KUNIT_EXPECT_EQ(test, readl(iommu->reg + DMAR_PERFINTRCTL_REG),
				ecap & pms ? DMA_FECTL_IM : 0);
	}
}

/* These registers never change by themselves, so that a wait has to end. */
static void test_protected_regions(struct kunit *test)
{
	static const u64 caps[] = { BIT_ULL(5), BIT_ULL(6) };
	struct intel_iommu *iommu = alloc_unit(test);
	u32 other = BIT(4);

	writel(DMA_PMEN_EPM | other, iommu->reg + DMAR_PMEN_REG);
	vtd_disable_protected_regions(iommu);
	KUNIT_EXPECT_EQ(test, readl(iommu->reg + DMAR_PMEN_REG),
			DMA_PMEN_EPM | other);

	for (unsigned int i = 0; i < ARRAY_SIZE(caps); i++) {
		iommu->cap = caps[i];
		writel(DMA_PMEN_EPM | other, iommu->reg + DMAR_PMEN_REG);
		vtd_disable_protected_regions(iommu);
		KUNIT_EXPECT_EQ(test, readl(iommu->reg + DMAR_PMEN_REG), other);
	}

	writel(DMA_PMEN_EPM | DMA_PMEN_PRS, iommu->reg + DMAR_PMEN_REG);
	vtd_disable_protected_regions(iommu);
	KUNIT_EXPECT_EQ(test, readl(iommu->reg + DMAR_PMEN_REG), DMA_PMEN_PRS);
}

static struct kunit_case intel_liveupdate_cases[] = {
	KUNIT_CASE(test_table_index),
	KUNIT_CASE(test_keep_counts),
	KUNIT_CASE(test_keep_halves),
	KUNIT_CASE(test_keep_twice),
	KUNIT_CASE(test_keep_all),
	KUNIT_CASE(test_entry_check),
	KUNIT_CASE(test_sweep_legacy),
	KUNIT_CASE(test_sweep_scalable),
	KUNIT_CASE(test_pasid_context_check),
	KUNIT_CASE(test_pasid_entry_check),
	KUNIT_CASE(test_pasid_sweep),
	KUNIT_CASE(test_dids),
	KUNIT_CASE(test_wrong_dids),
	KUNIT_CASE(test_whom_to_stop),
	KUNIT_CASE(test_mask_events),
	KUNIT_CASE_SLOW(test_protected_regions),
	{}
};

static struct kunit_suite intel_liveupdate_suite = {
	.name = "intel_liveupdate",
	.test_cases = intel_liveupdate_cases,
};

kunit_test_suite(intel_liveupdate_suite);
