// SPDX-License-Identifier: GPL-2.0-only
/* KUnit tests of the writer, and of what the reader makes of what it wrote */

#include <kunit/visibility.h>
#include <linux/err.h>
#include <linux/io.h>
#include <linux/module.h>
#include <linux/string.h>

#include "records-kunit.h"

static int records_init(struct kunit *test)
{
	test->priv = fake_kho_init(test);
	return 0;
}

static void records_exit(struct kunit *test)
{
	fake_kho_exit(test, test->priv);
}

/* What was written is what is read, and it is right by another opinion. */
static void records_round_trip(struct kunit *test)
{
	struct fake_kho *fake = test->priv;
	struct sample *sample = sample_create(test, fake);
	u64 phys = iommu_records_phys(sample->records);
	struct iommu_incoming *in;
	const char *why;

	KUNIT_EXPECT_EQ(test, iommu_records_verify(sample->records), 0);
	in = iommu_incoming_open(phys);
	if (IS_ERR(in))
		KUNIT_FAIL_AND_ABORT(test, "%pe: %s", in, fake->why);
	why = records_judge(fake, in, phys);
	KUNIT_EXPECT_PTR_EQ_MSG(test, why, NULL, "%s", why);

	for (unsigned int i = 0; i < SAMPLE_NR_UNITS; i++) {
		const struct iommu_hw_ser *unit =
			iommu_incoming_get(in, IOMMU_SER_UNITS, i + 1);

		KUNIT_ASSERT_NOT_NULL(test, unit);
		sample->units[i].id = i + 1;
		KUNIT_EXPECT_MEMEQ(test, unit, &sample->units[i],
				   sizeof(*unit));
		KUNIT_EXPECT_PTR_EQ(test, unit,
				    iommu_records_get(sample->records,
						      IOMMU_SER_UNITS, i + 1));
	}
	KUNIT_EXPECT_NULL(test, iommu_incoming_get(in, IOMMU_SER_UNITS, 0));
	KUNIT_EXPECT_NULL(test, iommu_incoming_get(in, IOMMU_SER_UNITS, 3));
	KUNIT_EXPECT_NULL(test, iommu_incoming_get(in, IOMMU_SER_UNITS, 30));
	KUNIT_EXPECT_NULL(test, iommu_incoming_get(in, IOMMU_SER_UNITS,
						   U32_MAX));
	/* The second requester id of the first device is no device. */
	KUNIT_EXPECT_NOT_NULL(test, iommu_incoming_find_device(in, 0, 0x100));
	KUNIT_EXPECT_NULL(test, iommu_incoming_find_device(in, 0, 0x101));
	KUNIT_EXPECT_NULL(test, iommu_incoming_find_device(in, 1, 0x100));

	iommu_incoming_close(in);
	KUNIT_EXPECT_EQ(test, fake->nr_pages, SAMPLE_NR_PAGES);
	sample_destroy(test, sample);
}

/* The kernel that comes frees each page once, and no page but those. */
static void records_incoming_free(struct kunit *test)
{
	struct fake_kho *fake = test->priv;
	struct sample *sample = sample_create(test, fake);
	struct iommu_incoming *in;

	in = iommu_incoming_open(iommu_records_phys(sample->records));
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, in);
	iommu_incoming_free(in);
	KUNIT_EXPECT_EQ(test, fake->nr_restored, SAMPLE_NR_PAGES);
	KUNIT_EXPECT_EQ(test, fake->nr_pages, 0);
	/* This is what the kexec does with the kernel that leaves. */
	iommu_record_free(sample->records);
}

/* Nothing at all is right, too. */
static void records_empty(struct kunit *test)
{
	struct iommu_records *records = iommu_records_create();
	struct iommu_incoming *in;

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, records);
	KUNIT_EXPECT_EQ(test, iommu_records_verify(records), 0);
	in = iommu_incoming_open(iommu_records_phys(records));
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, in);
	KUNIT_EXPECT_NULL(test, iommu_incoming_next(in, IOMMU_SER_DEVICES, 0));
	iommu_incoming_close(in);
	iommu_records_destroy(records);
}

/* Each allocation fails once: nothing has changed, and the next try works. */
static void records_fail_nth(struct kunit *test)
{
	struct fake_kho *fake = test->priv;
	struct iommu_hw_ser unit = sample_unit(test, fake, 0);
	struct iommu_domain_ser domain = sample_domain(test, fake, 0);
	struct iommu_device_ser device = sample_any_device(1000);
	const void *record[] = { &unit, &domain, &device };
	struct iommu_records *records;
	u8 *before;

	before = kunit_kmalloc(test, PAGE_SIZE, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, before);

	for (unsigned int nth = 1; nth <= 2; nth++) {
		fake->fail_at = fake->nr_alloc + nth;
		KUNIT_EXPECT_EQ(test, PTR_ERR(iommu_records_create()), -ENOMEM);
		KUNIT_EXPECT_EQ(test, fake->nr_pages, 0);
	}
	records = iommu_records_create();
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, records);

	for (unsigned int kind = 0; kind < IOMMU_SER_NR_KINDS; kind++) {
		void *root = phys_to_virt(iommu_records_phys(records));

		memcpy(before, root, PAGE_SIZE);
		fake->fail_at = fake->nr_alloc + 1;
		KUNIT_EXPECT_EQ(test, iommu_records_add(records, kind,
							record[kind]), -ENOMEM);
		KUNIT_EXPECT_MEMEQ(test, before, root, PAGE_SIZE);
		KUNIT_EXPECT_EQ(test, fake->nr_pages, 1 + kind);
		KUNIT_EXPECT_EQ(test, iommu_records_add(records, kind,
							record[kind]), 1);
	}

	/* A page that is not the first one */
	for (unsigned int i = 1; i < DEVICES_PER_PAGE; i++)
		KUNIT_ASSERT_EQ(test, sample_store_add(records, i), i + 1);
	memcpy(before, phys_to_virt(sample_list(records, IOMMU_SER_DEVICES)->first),
	       PAGE_SIZE);
	fake->fail_at = fake->nr_alloc + 1;
	KUNIT_EXPECT_EQ(test, sample_store_add(records, 500), -ENOMEM);
	KUNIT_EXPECT_MEMEQ(test, before,
			   phys_to_virt(sample_list(records, IOMMU_SER_DEVICES)->first),
			   PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, sample_list(records, IOMMU_SER_DEVICES)->nr_pages, 1);
	KUNIT_EXPECT_EQ(test, fake->nr_pages, 4);
	KUNIT_EXPECT_EQ(test, sample_store_add(records, 500), DEVICES_PER_PAGE + 1);

	for (unsigned int i = 0; i <= DEVICES_PER_PAGE; i++)
		KUNIT_EXPECT_EQ(test, iommu_records_remove(records,
							   IOMMU_SER_DEVICES,
							   i + 1), 0);
	sample_store_destroy(test, records);
}

/* Each allocation of the reader fails once, as if it had never been asked. */
static void records_open_fail_nth(struct kunit *test)
{
	struct fake_kho *fake = test->priv;
	struct sample *sample = sample_create(test, fake);
	u64 phys = iommu_records_phys(sample->records);
	struct iommu_incoming *in = ERR_PTR(-ENOMEM);
	u64 nth = 0, nr_alloc;
	u8 (*before)[PAGE_SIZE];

	before = kunit_kmalloc(test, SAMPLE_NR_PAGES * PAGE_SIZE, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, before);
	for (int i = 0; i < SAMPLE_NR_PAGES; i++)
		memcpy(before[i], sample->pages[i], PAGE_SIZE);

	while (PTR_ERR_OR_ZERO(in) == -ENOMEM && nth < 10000) {
		nr_alloc = fake->nr_alloc;
		fake->fail_at = nr_alloc + ++nth;
		fake->steps = 0;
		in = iommu_incoming_open(phys);
	}
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, in);
	/* This one got along with less, so nothing failed any more. */
	KUNIT_EXPECT_EQ(test, fake->nr_alloc - nr_alloc, nth - 1);
	KUNIT_EXPECT_GT(test, nth, SAMPLE_NR_DEVICES);
	KUNIT_EXPECT_PTR_EQ(test, records_judge(fake, in, phys), NULL);
	iommu_incoming_close(in);

	KUNIT_EXPECT_EQ(test, fake->nr_restored, 0);
	KUNIT_EXPECT_EQ(test, fake->nr_pages, SAMPLE_NR_PAGES);
	for (int i = 0; i < SAMPLE_NR_PAGES; i++)
		KUNIT_EXPECT_MEMEQ(test, before[i], sample->pages[i], PAGE_SIZE);
	sample_destroy(test, sample);
}

/* What the next kernel would refuse is not written in the first place. */
static void records_refuse(struct kunit *test)
{
	struct iommu_records *records = sample_store_create(test);
	const struct iommu_hw_ser *first;
	struct iommu_device_ser device;
	struct fake_kho *fake = test->priv;
	struct iommu_hw_ser unit = sample_unit(test, fake, 0);
	struct iommu_domain_ser domain;

	/* The unit and the domain exist already. */
	KUNIT_EXPECT_EQ(test, iommu_records_add(records, IOMMU_SER_UNITS,
						&unit), -EEXIST);
	domain = *(const struct iommu_domain_ser *)
		iommu_records_get(records, IOMMU_SER_DOMAINS, 1);
	KUNIT_EXPECT_EQ(test, iommu_records_add(records, IOMMU_SER_DOMAINS,
						&domain), -EEXIST);

	device = sample_any_device(1);
	device.attachment_id = 1;
	KUNIT_EXPECT_EQ(test, iommu_records_add(records, IOMMU_SER_DEVICES,
						&device), -EINVAL);
	device = sample_any_device(1);
	device.unit_id = 2;
	KUNIT_EXPECT_EQ(test, iommu_records_add(records, IOMMU_SER_DEVICES,
						&device), -ENOENT);
	device = sample_any_device(1);
	device.domain_id = 0;
	KUNIT_EXPECT_EQ(test, iommu_records_add(records, IOMMU_SER_DEVICES,
						&device), -ENOENT);
	KUNIT_EXPECT_EQ(test, fake->nr_pages, 3);
	KUNIT_EXPECT_EQ(test, iommu_records_add(records, IOMMU_SER_NR_KINDS,
						&device), -EINVAL);

	KUNIT_ASSERT_EQ(test, sample_store_add(records, 1), 1);
	device = sample_any_device(2);
	device.nr_aliases = 1;
	device.aliases[0] = 1;
	KUNIT_EXPECT_EQ(test, iommu_records_add(records, IOMMU_SER_DEVICES,
						&device), -EEXIST);

	/* A device uses them. */
	KUNIT_EXPECT_EQ(test, iommu_records_remove(records, IOMMU_SER_UNITS, 1),
			-EBUSY);
	KUNIT_EXPECT_EQ(test, iommu_records_remove(records, IOMMU_SER_DOMAINS,
						   1), -EBUSY);
	KUNIT_EXPECT_EQ(test, iommu_records_remove(records, IOMMU_SER_DEVICES,
						   2), -ENOENT);

	/* An update is a record like any other, but does not conflict with itself. */
	first = iommu_records_get(records, IOMMU_SER_UNITS, 1);
	unit = *first;
	unit.intel.context_tables[0] = 2;
	KUNIT_EXPECT_EQ(test, iommu_records_update(records, IOMMU_SER_UNITS, 1,
						   &unit), -EINVAL);
	KUNIT_EXPECT_EQ(test, iommu_records_verify(records), -EINVAL);
	unit.intel.context_tables[0] = 1;
	KUNIT_EXPECT_EQ(test, iommu_records_update(records, IOMMU_SER_UNITS, 2,
						   &unit), -ENOENT);
	KUNIT_EXPECT_EQ(test, iommu_records_update(records, IOMMU_SER_UNITS, 1,
						   &unit), 0);
	KUNIT_EXPECT_EQ(test, first->intel.context_tables[0], 1);
	KUNIT_EXPECT_EQ(test, iommu_records_verify(records), 0);

	KUNIT_EXPECT_EQ(test, iommu_records_remove(records, IOMMU_SER_DEVICES,
						   1), 0);
	sample_store_destroy(test, records);
}

/* There is an end to it, which the next kernel knows. */
static void records_too_many(struct kunit *test)
{
	struct iommu_records *records = sample_store_create(test);
	struct fake_kho *fake = test->priv;
	struct iommu_hw_ser unit;

	for (unsigned int i = 1; i < IOMMU_SER_MAX_UNITS; i++) {
		unit = sample_unit(test, fake, i);
		KUNIT_ASSERT_EQ(test, iommu_records_add(records, IOMMU_SER_UNITS,
							&unit), i + 1);
	}
	unit = sample_unit(test, fake, IOMMU_SER_MAX_UNITS);
	KUNIT_EXPECT_EQ(test, iommu_records_add(records, IOMMU_SER_UNITS,
						&unit), -ENOSPC);

	/* Three addresses of each unit, and the pages of their records */
	fake->max_steps = 8 * IOMMU_SER_MAX_UNITS;
	KUNIT_EXPECT_EQ(test, iommu_records_verify(records), 0);

	for (unsigned int i = IOMMU_SER_MAX_UNITS; i > 1; i--)
		KUNIT_ASSERT_EQ(test, iommu_records_remove(records,
							   IOMMU_SER_UNITS, i),
				0);
	KUNIT_EXPECT_EQ(test, fake->nr_pages, 3);
	sample_store_destroy(test, records);
}

static struct kunit_case records_cases[] = {
	KUNIT_CASE(records_round_trip),
	KUNIT_CASE(records_incoming_free),
	KUNIT_CASE(records_empty),
	KUNIT_CASE(records_fail_nth),
	KUNIT_CASE(records_open_fail_nth),
	KUNIT_CASE(records_refuse),
	KUNIT_CASE(records_too_many),
	{}
};

static struct kunit_suite records_suite = {
	.name = "iommu-records",
	.init = records_init,
	.exit = records_exit,
	.test_cases = records_cases,
};

kunit_test_suite(records_suite);

MODULE_IMPORT_NS("EXPORTED_FOR_KUNIT_TESTING");
MODULE_DESCRIPTION("KUnit tests for IOMMU live update records");
MODULE_LICENSE("GPL");
