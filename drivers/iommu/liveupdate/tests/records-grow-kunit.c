// SPDX-License-Identifier: GPL-2.0-only
/* KUnit tests of where records are, and of how many pages they need */

#include <kunit/test.h>
#include <linux/io.h>

#include "records-kunit.h"

#define GROW_ROUNDS	10000

static int grow_init(struct kunit *test)
{
	test->priv = fake_kho_init(test);
	return 0;
}

static void grow_exit(struct kunit *test)
{
	fake_kho_exit(test, test->priv);
}

/* Ids are stable, free places are used first, empty pages are given back. */
static void grow_reuse(struct kunit *test)
{
	struct iommu_records *records = sample_store_create(test);
	const struct iommu_device_ser *device;
	struct fake_kho *fake = test->priv;
	unsigned int nr = 3 * DEVICES_PER_PAGE;

	for (unsigned int i = 0; i < nr; i++)
		KUNIT_ASSERT_EQ(test, sample_store_add(records, i), i + 1);
	KUNIT_EXPECT_EQ(test, sample_list(records, IOMMU_SER_DEVICES)->nr_pages, 3);

	/* A hole in the middle of each page */
	for (unsigned int id = 5; id < nr; id += DEVICES_PER_PAGE)
		KUNIT_EXPECT_EQ(test, iommu_records_remove(records,
							   IOMMU_SER_DEVICES,
							   id), 0);
	KUNIT_EXPECT_NULL(test, iommu_records_get(records, IOMMU_SER_DEVICES,
						  5));
	for (unsigned int id = 5; id < nr; id += DEVICES_PER_PAGE)
		KUNIT_EXPECT_EQ(test, sample_store_add(records, 1000 + id), id);
	KUNIT_EXPECT_EQ(test, sample_list(records, IOMMU_SER_DEVICES)->nr_pages, 3);

	/* The others are where they were. */
	for (unsigned int i = 0; i < nr; i++) {
		device = iommu_records_get(records, IOMMU_SER_DEVICES, i + 1);
		KUNIT_ASSERT_NOT_NULL(test, device);
		KUNIT_EXPECT_EQ(test, device->id, i + 1);
		if (i % DEVICES_PER_PAGE != 4)
			KUNIT_EXPECT_EQ(test, device->bdf, i);
	}

	/* The page in the middle can only go with the last one. */
	for (unsigned int i = 0; i < DEVICES_PER_PAGE; i++)
		KUNIT_EXPECT_EQ(test, iommu_records_remove(records,
							   IOMMU_SER_DEVICES,
							   64 + i), 0);
	KUNIT_EXPECT_EQ(test, sample_list(records, IOMMU_SER_DEVICES)->nr_pages, 3);
	for (unsigned int i = 0; i < DEVICES_PER_PAGE; i++)
		KUNIT_EXPECT_EQ(test, iommu_records_remove(records,
							   IOMMU_SER_DEVICES,
							   127 + i), 0);
	KUNIT_EXPECT_EQ(test, sample_list(records, IOMMU_SER_DEVICES)->nr_pages, 1);
	KUNIT_EXPECT_EQ(test, fake->nr_pages, 4);
	for (unsigned int i = 0; i < DEVICES_PER_PAGE; i++)
		KUNIT_EXPECT_EQ(test, iommu_records_remove(records,
							   IOMMU_SER_DEVICES,
							   1 + i), 0);
	KUNIT_EXPECT_EQ(test, sample_list(records, IOMMU_SER_DEVICES)->first, 0);
	KUNIT_EXPECT_EQ(test, fake->nr_pages, 3);
	sample_store_destroy(test, records);
}

/* However often devices come and go, there are never more pages than needed. */
static void grow_rounds(struct kunit *test)
{
	struct iommu_records *records = sample_store_create(test);
	struct fake_kho *fake = test->priv;
	int ids[4], id;

	/* One device that stays, behind others */
	for (unsigned int i = 0; i < ARRAY_SIZE(ids); i++)
		ids[i] = sample_store_add(records, i);
	id = sample_store_add(records, 100);
	KUNIT_ASSERT_EQ(test, id, 5);

	for (unsigned int round = 0; round < GROW_ROUNDS; round++) {
		unsigned int i = round % ARRAY_SIZE(ids);

		KUNIT_ASSERT_EQ(test, iommu_records_remove(records,
							   IOMMU_SER_DEVICES,
							   ids[i]), 0);
		ids[i] = sample_store_add(records, 200 + round);
		KUNIT_ASSERT_GT(test, ids[i], 0);
		KUNIT_ASSERT_LE(test, ids[i], 5);
	}
	KUNIT_EXPECT_EQ(test, fake->peak_pages, 4);
	KUNIT_EXPECT_EQ(test, fake->nr_pages, 4);
	KUNIT_EXPECT_EQ(test, sample_list(records, IOMMU_SER_DEVICES)->nr_records,
			5);

	for (unsigned int i = 0; i < 5; i++)
		KUNIT_EXPECT_EQ(test, iommu_records_remove(records,
							   IOMMU_SER_DEVICES,
							   i + 1), 0);

	/* All of it, including the store */
	for (unsigned int round = 0; round < GROW_ROUNDS / 10; round++) {
		KUNIT_ASSERT_EQ(test, sample_store_add(records, round), 1);
		KUNIT_ASSERT_EQ(test, iommu_records_remove(records,
							   IOMMU_SER_DEVICES,
							   1), 0);
		sample_store_destroy(test, records);
		KUNIT_ASSERT_EQ(test, fake->nr_pages, 0);
		records = sample_store_create(test);
	}
	KUNIT_EXPECT_EQ(test, fake->peak_pages, 4);
	sample_store_destroy(test, records);
}

static struct kunit_case grow_cases[] = {
	KUNIT_CASE(grow_reuse),
	KUNIT_CASE_SLOW(grow_rounds),
	{}
};

static struct kunit_suite grow_suite = {
	.name = "iommu-records-grow",
	.init = grow_init,
	.exit = grow_exit,
	.test_cases = grow_cases,
};

kunit_test_suite(grow_suite);
