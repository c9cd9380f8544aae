// SPDX-License-Identifier: GPL-2.0-only

/* Part of memfd_luo_hold.c: what it believes of a record, and what not. */

#include <kunit/test.h>

#define PER_PAGE (PAGE_SIZE / sizeof(struct memfd_luo_folio_ser))

static void memfd_luo_hold_record_size(struct kunit *test)
{
	static const struct {
		u64 nr_folios;
		unsigned int total_pages;
		int err;
	} cases[] = {
		{ 0, 0, 0 },
		{ 1, 0, -EINVAL },
		{ PER_PAGE, 1, 0 },
		{ PER_PAGE + 1, 1, -EINVAL },
		{ 3 * PER_PAGE, 3, 0 },
		{ 3 * PER_PAGE + 1, 3, -EINVAL },
		{ U64_MAX / sizeof(struct memfd_luo_folio_ser) + 2, 1, -EINVAL },
		{ U64_MAX, UINT_MAX, -EINVAL },
	};

	for (int i = 0; i < ARRAY_SIZE(cases); i++) {
		struct memfd_luo_ser ser = {
			.size = 5 * PAGE_SIZE + 1,
			.nr_folios = cases[i].nr_folios,
			.folios.total_pages = cases[i].total_pages,
		};
		struct memfd_luo_hold *hold = memfd_luo_hold_alloc(&ser);

		if (cases[i].err) {
			KUNIT_EXPECT_PTR_EQ_MSG(test, hold, ERR_PTR(cases[i].err),
						"case %d", i);
			continue;
		}
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, hold);
		KUNIT_EXPECT_EQ(test, hold->nr_folios, cases[i].nr_folios);
		KUNIT_EXPECT_EQ(test, hold->nr_pages, 6);
		memfd_luo_hold_finish(hold, &ser);
	}
}

static void memfd_luo_hold_places(struct kunit *test)
{
	const struct memfd_luo_hold hold = { .nr_pages = 700 };

	KUNIT_EXPECT_TRUE(test, memfd_luo_hold_fits(&hold, 0, 1));
	KUNIT_EXPECT_TRUE(test, memfd_luo_hold_fits(&hold, 699, 1));
	KUNIT_EXPECT_FALSE(test, memfd_luo_hold_fits(&hold, 700, 1));
	KUNIT_EXPECT_FALSE(test, memfd_luo_hold_fits(&hold, U64_MAX, 1));

	/* The last folio of a file may reach beyond its end. */
	KUNIT_EXPECT_TRUE(test, memfd_luo_hold_fits(&hold, 512, 512));
	KUNIT_EXPECT_FALSE(test, memfd_luo_hold_fits(&hold, 1024, 512));
	KUNIT_EXPECT_FALSE(test, memfd_luo_hold_fits(&hold, 1, 512));
	KUNIT_EXPECT_FALSE(test, memfd_luo_hold_fits(&hold, 511, 512));
}

static struct kunit_case memfd_luo_hold_cases[] = {
	KUNIT_CASE(memfd_luo_hold_record_size),
	KUNIT_CASE(memfd_luo_hold_places),
	{}
};

static struct kunit_suite memfd_luo_hold_suite = {
	.name = "memfd_luo_hold",
	.test_cases = memfd_luo_hold_cases,
};

kunit_test_suite(memfd_luo_hold_suite);
