// SPDX-License-Identifier: GPL-2.0-only
/*
 * Records of iommufd's self test: refused by a kernel that is not built for it,
 * and judged like those of hardware by one that is.
 */

#include <kunit/static_stub.h>
#include <linux/err.h>
#include <linux/io.h>

#include "records-kunit.h"

#define MOCK_SEGMENT		0xfffe

static struct iommu_hw_ser mock_unit(u32 key, u32 nr_rids)
{
	return (struct iommu_hw_ser){
		.type = IOMMU_SER_TYPE_MOCK,
		.mock = {
			.key = key,
			.nr_rids = nr_rids,
			.segment = MOCK_SEGMENT,
		},
	};
}

static struct iommu_domain_ser mock_domain(struct kunit *test)
{
	struct iommu_domain_ser domain = sample_domain(test, test->priv, 0);

	domain.type = IOMMU_SER_TYPE_MOCK;
	domain.pt.format = PT_IOMMU_SER_FMT_AMDV1_MOCK;
	return domain;
}

static struct iommu_device_ser mock_device(u16 bdf)
{
	struct iommu_device_ser device = sample_any_device(bdf);

	device.segment = MOCK_SEGMENT;
	return device;
}

static bool mock_yes(void)
{
	return true;
}

static bool mock_no(void)
{
	return false;
}

static int mock_init(struct kunit *test)
{
	test->priv = fake_kho_init(test);
	return 0;
}

static void mock_exit(struct kunit *test)
{
	fake_kho_exit(test, test->priv);
}

/* No kernel without the self test records it, or believes such a record. */
static void mock_refused(struct kunit *test)
{
	struct iommu_records *records = sample_store_create(test);
	struct iommu_domain_ser domain = mock_domain(test);
	struct iommu_hw_ser unit = mock_unit(1, 0);
	struct fake_kho *fake = test->priv;
	struct iommu_flb_ser *root;
	struct iommu_hw_ser *place;
	struct iommu_hw_ser right;

	kunit_activate_static_stub(test, iommu_record_mock_known, mock_no);
	KUNIT_EXPECT_EQ(test, iommu_records_add(records, IOMMU_SER_UNITS,
						&unit), -EINVAL);
	KUNIT_EXPECT_EQ(test, iommu_records_add(records, IOMMU_SER_DOMAINS,
						&domain), -EINVAL);

	root = phys_to_virt(iommu_records_phys(records));
	place = (void *)((struct iommu_ser_page *)
			 phys_to_virt(root->lists[IOMMU_SER_UNITS].first) + 1);
	right = *place;
	unit.id = right.id;
	*place = unit;
	KUNIT_EXPECT_EQ(test,
			PTR_ERR(iommu_incoming_open(virt_to_phys(root))),
			-EINVAL);
	KUNIT_EXPECT_STREQ(test, fake->why, "unknown type");
	*place = right;
	sample_store_destroy(test, records);
}

/* A store with two devices of the self test's unit that nothing is wrong with */
static struct iommu_records *mock_store(struct kunit *test)
{
	struct iommu_records *records = iommu_records_create();
	struct iommu_domain_ser domain = mock_domain(test);
	struct iommu_device_ser device = mock_device(1);
	struct iommu_hw_ser unit = mock_unit(7, 3);

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, records);
	KUNIT_ASSERT_EQ(test, iommu_records_add(records, IOMMU_SER_UNITS,
						&unit), 1);
	KUNIT_ASSERT_EQ(test, iommu_records_add(records, IOMMU_SER_DOMAINS,
						&domain), 1);
	KUNIT_ASSERT_EQ(test, iommu_records_add(records, IOMMU_SER_DEVICES,
						&device), 1);
	device = mock_device(2);
	device.aliases[device.nr_aliases++] = 3;
	KUNIT_ASSERT_EQ(test, iommu_records_add(records, IOMMU_SER_DEVICES,
						&device), 2);
	return records;
}

static void mock_store_destroy(struct kunit *test,
			       struct iommu_records *records)
{
	iommu_records_remove(records, IOMMU_SER_DEVICES, 1);
	iommu_records_remove(records, IOMMU_SER_DEVICES, 2);
	KUNIT_EXPECT_EQ(test, iommu_records_remove(records, IOMMU_SER_DOMAINS,
						   1), 0);
	KUNIT_EXPECT_EQ(test, iommu_records_remove(records, IOMMU_SER_UNITS,
						   1), 0);
	iommu_records_destroy(records);
}

static void mock_expect(struct kunit *test, struct iommu_records *records,
			const char *why)
{
	struct fake_kho *fake = test->priv;
	struct iommu_incoming *in;

	fake->why = NULL;
	in = iommu_incoming_open(iommu_records_phys(records));
	KUNIT_EXPECT_EQ(test, IS_ERR(in), !!why);
	KUNIT_EXPECT_STREQ(test, fake->why ?: "", why ?: "");
	if (!IS_ERR(in))
		iommu_incoming_close(in);
}

static void mock_update(struct kunit *test, struct iommu_records *records,
			struct iommu_hw_ser unit, int err)
{
	KUNIT_EXPECT_EQ(test, iommu_records_update(records, IOMMU_SER_UNITS, 1,
						   &unit), err);
}

static void mock_accepted(struct kunit *test)
{
	struct iommu_hw_ser unit = mock_unit(7, 3);
	struct iommu_records *records;
	struct iommu_device_ser device;
	int id;

	kunit_activate_static_stub(test, iommu_record_mock_known, mock_yes);
	records = mock_store(test);
	mock_expect(test, records, NULL);
	KUNIT_EXPECT_EQ(test, iommu_records_verify(records), 0);

	mock_update(test, records, mock_unit(0, 3), -EINVAL);
	unit.mock.__reserved[2] = 1;
	mock_update(test, records, unit, -EINVAL);
	unit.mock.__reserved[2] = 0;
	unit.__space[2] = 1;
	mock_update(test, records, unit, -EINVAL);
	unit.__space[2] = 0;

	mock_update(test, records, mock_unit(7, 2), 0);
	mock_expect(test, records, "wrong number of requester ids");
	unit.mock.segment = 0;
	mock_update(test, records, unit, 0);
	mock_expect(test, records, "unit is in another segment");
	mock_update(test, records, mock_unit(7, 3), 0);

	/* The key is what tells units apart, for the writer and the reader. */
	unit = mock_unit(7, 0);
	KUNIT_EXPECT_EQ(test, iommu_records_add(records, IOMMU_SER_UNITS,
						&unit), -EEXIST);
	unit = mock_unit(8, 0);
	id = iommu_records_add(records, IOMMU_SER_UNITS, &unit);
	KUNIT_EXPECT_EQ(test, id, 2);
	mock_expect(test, records, NULL);
	((struct iommu_hw_ser *)iommu_records_get(records, IOMMU_SER_UNITS,
						  id))->mock.key = 7;
	mock_expect(test, records, "key is used twice");
	iommu_records_remove(records, IOMMU_SER_UNITS, id);

	/* It has neither PASID directories nor domains of hardware. */
	device = mock_device(9);
	device.pasid_dir = fake_kho_table(test, test->priv, 0);
	device.max_pasid = PAGE_SIZE << 3;
	id = iommu_records_add(records, IOMMU_SER_DEVICES, &device);
	KUNIT_EXPECT_EQ(test, id, 3);
	mock_expect(test, records, "PASID directory and mode do not match");
	iommu_records_remove(records, IOMMU_SER_DEVICES, id);
	((struct iommu_domain_ser *)iommu_records_get(records,
						      IOMMU_SER_DOMAINS,
						      1))->type =
		IOMMU_SER_TYPE_INTEL;
	mock_expect(test, records, "domain is not for this unit");
	mock_store_destroy(test, records);
}

static struct kunit_case mock_cases[] = {
	KUNIT_CASE(mock_refused),
	KUNIT_CASE(mock_accepted),
	{}
};

static struct kunit_suite mock_suite = {
	.name = "iommu-records-mock",
	.init = mock_init,
	.exit = mock_exit,
	.test_cases = mock_cases,
};

kunit_test_suite(mock_suite);
