// SPDX-License-Identifier: GPL-2.0-only
/*
 * Damage to what the previous kernel left of a device file: each must be found,
 * and the session keeps its memory then. Part of vfio_pci_liveupdate.c.
 */
#include <kunit/test.h>

static const struct vfio_pci_ser test_running = {
	.version = VFIO_PCI_SER_VERSION,
	.flags = VFIO_PCI_SER_RUNNING | VFIO_PCI_SER_RESET_WORKS,
	.device_id = 5,
};

static const struct vfio_pci_ser test_quiesced = {
	.version = VFIO_PCI_SER_VERSION,
};

static void test_good(struct kunit *test)
{
	struct vfio_pci_ser ser = test_running;

	KUNIT_EXPECT_EQ(test, check_ser(&test_running), 0);
	KUNIT_EXPECT_EQ(test, check_ser(&test_quiesced), 0);
	/* Any number is a token. */
	ser.iommufd_token = U64_MAX;
	KUNIT_EXPECT_EQ(test, check_ser(&ser), 0);
	KUNIT_EXPECT_EQ(test, check_place(PAGE_SIZE, 0), 0);
}

static void test_damaged(struct kunit *test)
{
	struct vfio_pci_ser ser = test_running;

	ser.version++;
	KUNIT_EXPECT_EQ(test, check_ser(&ser), -EOPNOTSUPP);
	ser = test_running;
	ser.flags |= VFIO_PCI_SER_FLAGS + 1;
	KUNIT_EXPECT_EQ(test, check_ser(&ser), -EINVAL);
	ser = test_running;
	ser.__reserved = 1;
	KUNIT_EXPECT_EQ(test, check_ser(&ser), -EINVAL);
	ser = test_running;
	ser.device_id = 0;
	KUNIT_EXPECT_EQ(test, check_ser(&ser), -EINVAL);
	ser = test_quiesced;
	ser.device_id = 5;
	KUNIT_EXPECT_EQ(test, check_ser(&ser), -EINVAL);
	ser = test_quiesced;
	ser.iommufd_token = 1;
	KUNIT_EXPECT_EQ(test, check_ser(&ser), -EINVAL);
}

static void test_place(struct kunit *test)
{
	KUNIT_EXPECT_NE(test, check_place(PAGE_SIZE + 8, 0), 0);
	KUNIT_EXPECT_NE(test, check_place(PAGE_SIZE, 1), 0);
	KUNIT_EXPECT_NE(test, check_place(PAGE_SIZE, -ENOENT), 0);
}

/* Who has another id is somebody else's; who has none can be stopped. */
static void test_device(struct kunit *test)
{
	KUNIT_EXPECT_FALSE(test, is_anothers(&test_running, 0, 5));
	KUNIT_EXPECT_TRUE(test, is_anothers(&test_running, 0, 6));
	KUNIT_EXPECT_FALSE(test, is_anothers(&test_running, -ENOENT, 0));
	/* It has no id to compare. */
	KUNIT_EXPECT_FALSE(test, is_anothers(&test_quiesced, 0, 6));

	KUNIT_EXPECT_EQ(test, check_device(&test_running, 0, true), 0);
	/* The guest has not begun with DMA. */
	KUNIT_EXPECT_EQ(test, check_device(&test_running, 0, false), 0);
	KUNIT_EXPECT_EQ(test, check_device(&test_running, -EIO, true), -EIO);
	KUNIT_EXPECT_EQ(test, check_device(&test_quiesced, -ENOENT, false), 0);
	KUNIT_EXPECT_EQ(test, check_device(&test_quiesced, 0, true), -EINVAL);
}

/* Whether or not userspace has asked for the file, without success then */
static void test_cannot_finish(struct kunit *test)
{
	void *page = kunit_kzalloc(test, PAGE_SIZE, GFP_KERNEL);
	struct liveupdate_file_op_args args = {};

	KUNIT_ASSERT_NOT_NULL(test, page);
	/* No kernel has preserved this one. */
	args.serialized_data = virt_to_phys(page);
	KUNIT_EXPECT_FALSE(test, can_finish(&args));
	args.retrieve_status = -EOPNOTSUPP;
	KUNIT_EXPECT_FALSE(test, can_finish(&args));
}

static struct kunit_case vfio_pci_liveupdate_cases[] = {
	KUNIT_CASE(test_good),
	KUNIT_CASE(test_damaged),
	KUNIT_CASE(test_place),
	KUNIT_CASE(test_device),
	KUNIT_CASE(test_cannot_finish),
	{}
};

static struct kunit_suite vfio_pci_liveupdate_suite = {
	.name = "vfio_pci_liveupdate",
	.test_cases = vfio_pci_liveupdate_cases,
};

kunit_test_suite(vfio_pci_liveupdate_suite);
