// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the IOMMU core leaves to the next kernel of a live update: each refusal,
 * what is refused meanwhile, and that all of it can be undone. The mock IOMMU
 * warns if something happens that would be fatal on hardware.
 */
#include "iommufd_liveupdate.h"

FIXTURE(outgoing)
{
	struct lu_test test;
	int fd;
	__u32 hwpt;
	__u32 hwpt2;
};

FIXTURE_SETUP(outgoing)
{
	LU_TEST_SETUP(&self->test);
	self->fd = self->test.old.fd;
	self->hwpt = self->test.old.hwpt;
	self->hwpt2 = self->test.old.hwpt2;
}

FIXTURE_TEARDOWN(outgoing)
{
	EXPECT_EQ(0, lu_test_teardown(&self->test));
}

TEST_F(outgoing, begin_once)
{
	EXPECT_EQ(-ENOENT, lu(self->fd, ABORT));
	EXPECT_EQ(-ENOENT, lu(self->fd, HANDOVER));
	EXPECT_EQ(-ENOENT, lu(self->fd, FINISH));
	for (int i = 0; i < 3; i++) {
		EXPECT_EQ(0, lu(self->fd, BEGIN));
		EXPECT_EQ(-EBUSY, lu(self->fd, BEGIN));
		EXPECT_EQ(-ENOENT, lu(self->fd, FINISH));
		EXPECT_EQ(0, lu(self->fd, ABORT));
	}
}

TEST_F(outgoing, preserve_and_undo)
{
	__u32 dev, obj, domain_id;
	struct lu_entry was;

	ASSERT_EQ(0, lu_attached(self->fd, 3, self->hwpt, &dev));
	was = lu_entry(self->fd, 3);
	EXPECT_NE(0, was.top);
	for (int i = 0; i < 3; i++) {
		ASSERT_EQ(0, lu(self->fd, BEGIN));
		ASSERT_EQ(0, lu_preserve_domain(self->fd, self->hwpt, &obj,
						&domain_id));
		EXPECT_EQ(1, domain_id);
		EXPECT_PRESERVED(self->fd, 0);
		for (int j = 0; j < 3; j++) {
			ASSERT_EQ(0, lu_pt(self->fd, PRESERVE, dev, self->hwpt));
			EXPECT_EQ(1, out.liveupdate.out_id);
			EXPECT_PRESERVED(self->fd, 1);
			EXPECT_EQ(0, lu_pt(self->fd, VERIFY, dev, self->hwpt));
			EXPECT_EQ(0, lu_pt(self->fd, UNPRESERVE, dev,
					   self->hwpt));
			EXPECT_PRESERVED(self->fd, 0);
		}
		/* Once is enough, and once more does no harm. */
		EXPECT_EQ(0, lu_pt(self->fd, UNPRESERVE, dev, self->hwpt));
		EXPECT_EQ(0, _test_ioctl_destroy(self->fd, obj));
		ASSERT_EQ(0, lu(self->fd, ABORT));
	}
	EXPECT_ENTRY_EQ(was, self->fd, 3);

	/* What was preserved is like any other domain again. */
	EXPECT_EQ(0, lu_pt(self->fd, REPLACE, dev, self->hwpt2));
	EXPECT_EQ(was.writes + 1, lu_entry(self->fd, 3).writes);
}

/* Records and pages of them are used again. */
TEST_F_TIMEOUT(outgoing, rounds, 120)
{
	__u32 devs[16], obj;

	ASSERT_EQ(0, lu(self->fd, BEGIN));
	ASSERT_EQ(0, lu_preserve_domain(self->fd, self->hwpt, &obj, NULL));
	for (__u32 i = 0; i < 16; i++)
		ASSERT_EQ(0, lu_attached(self->fd, i, self->hwpt, &devs[i]));

	for (__u32 round = 0; round < 200; round++) {
		for (__u32 i = 0; i < 16; i++) {
			ASSERT_EQ(0, lu_pt(self->fd, PRESERVE, devs[i],
					   self->hwpt));
			ASSERT_EQ(i + 1, out.liveupdate.out_id);
		}
		EXPECT_PRESERVED(self->fd, 16);
		for (__u32 i = 0; i < 16; i++)
			ASSERT_EQ(0, lu_pt(self->fd, UNPRESERVE,
					   devs[(i * 7 + round) % 16],
					   self->hwpt));
	}
	EXPECT_PRESERVED(self->fd, 0);
}

/* The unit is there for its first device and goes with its last. */
TEST_F(outgoing, unit_of_devices)
{
	__u32 devs[3], obj, obj2;

	ASSERT_EQ(0, lu(self->fd, BEGIN));
	ASSERT_EQ(0, lu_preserve_domain(self->fd, self->hwpt, &obj, NULL));
	ASSERT_EQ(0, lu_preserve_domain(self->fd, self->hwpt2, &obj2, NULL));
	ASSERT_EQ(0, lu_attached(self->fd, 1, self->hwpt, &devs[0]));
	ASSERT_EQ(0, lu_attached(self->fd, 2, self->hwpt2, &devs[1]));
	ASSERT_EQ(0, lu_attached(self->fd, 3, self->hwpt, &devs[2]));
	/* One id for a domain, another for another domain */
	EXPECT_EQ(lu_entry(self->fd, 1).id, lu_entry(self->fd, 3).id);
	EXPECT_NE(lu_entry(self->fd, 1).id, lu_entry(self->fd, 2).id);

	EXPECT_PRESERVED(self->fd, 0);
	for (int first = 0; first < 3; first++) {
		for (int i = 0; i < 3; i++)
			ASSERT_EQ(0, lu_pt(self->fd, PRESERVE, devs[i],
					   i == 1 ? self->hwpt2 : self->hwpt));
		for (int i = 0; i < 3; i++) {
			int n = (first + i) % 3;

			EXPECT_PRESERVED(self->fd, 3 - i);
			ASSERT_EQ(0, lu_pt(self->fd, UNPRESERVE, devs[n],
					   n == 1 ? self->hwpt2 : self->hwpt));
		}
		EXPECT_PRESERVED(self->fd, 0);
	}
}

TEST_F(outgoing, refuse_domain)
{
	struct iommu_hwpt_selftest nested = {
		.iotlb = IOMMU_TEST_IOTLB_DEFAULT,
	};
	__u32 stdev, idev, parent, nested_id, obj, other;

	EXPECT_EQ(-ENOENT, lu_preserve_domain(self->fd, self->hwpt, &obj, NULL));
	ASSERT_EQ(0, lu(self->fd, BEGIN));
	ASSERT_EQ(0, lu_preserve_domain(self->fd, self->hwpt, &obj, NULL));
	EXPECT_EQ(-EBUSY, lu_preserve_domain(self->fd, self->hwpt, &other,
					     NULL));

	ASSERT_EQ(0, _test_cmd_mock_domain(self->fd, self->test.old.ioas,
					   &stdev, NULL, &idev));
	ASSERT_EQ(0, _test_cmd_hwpt_alloc(self->fd, idev, self->test.old.ioas,
					  0, IOMMU_HWPT_ALLOC_NEST_PARENT,
					  &parent, IOMMU_HWPT_DATA_NONE, NULL,
					  0));
	ASSERT_EQ(0, _test_cmd_hwpt_alloc(self->fd, idev, parent, 0, 0,
					  &nested_id, IOMMU_HWPT_DATA_SELFTEST,
					  &nested, sizeof(nested)));
	EXPECT_EQ(-EOPNOTSUPP, lu_preserve_domain(self->fd, nested_id, &other,
						  NULL));

	/* The refusals have changed nothing. */
	EXPECT_EQ(0, _test_ioctl_destroy(self->fd, obj));
	ASSERT_EQ(0, lu_preserve_domain(self->fd, self->hwpt, &obj, NULL));
}

TEST_F(outgoing, refuse_device)
{
	__u32 dev, joiner, obj;

	ASSERT_EQ(0, lu_create(self->fd, 5, &dev, NULL));
	ASSERT_EQ(0, lu_pt(self->fd, ATTACH, dev, self->hwpt));
	EXPECT_EQ(-EPERM, lu_pt(self->fd, PRESERVE, dev, self->hwpt));
	ASSERT_EQ(0, lu_dev(self->fd, DETACH, dev));
	ASSERT_EQ(0, lu_dev(self->fd, OWN, dev));
	ASSERT_EQ(0, lu_pt(self->fd, ATTACH, dev, self->hwpt));

	EXPECT_EQ(-ENOENT, lu_pt(self->fd, PRESERVE, dev, self->hwpt));
	ASSERT_EQ(0, lu(self->fd, BEGIN));
	EXPECT_EQ(-ENOENT, lu_pt(self->fd, PRESERVE, dev, self->hwpt));
	ASSERT_EQ(0, lu_preserve_domain(self->fd, self->hwpt, &obj, NULL));
	EXPECT_EQ(-EINVAL, lu_pt(self->fd, PRESERVE, dev, self->hwpt2));
	EXPECT_EQ(-ENOENT, lu_pt(self->fd, VERIFY, dev, self->hwpt));

	ASSERT_EQ(0, lu(self->fd, PASID_ATTACH, .id = dev,
			.liveupdate.pt_id = self->hwpt2, .liveupdate.value = 7));
	EXPECT_EQ(-EOPNOTSUPP, lu_pt(self->fd, PRESERVE, dev, self->hwpt));
	ASSERT_EQ(0, lu(self->fd, PASID_DETACH, .id = dev,
			.liveupdate.pt_id = self->hwpt2, .liveupdate.value = 7));

	ASSERT_EQ(0, lu(self->fd, CREATE, .liveupdate.bdf = 6,
			.liveupdate.value = 1, .liveupdate.pt_id = dev));
	joiner = out.id;
	EXPECT_EQ(-EOPNOTSUPP, lu_pt(self->fd, PRESERVE, dev, self->hwpt));
	EXPECT_EQ(-EOPNOTSUPP, lu_pt(self->fd, PRESERVE, joiner, self->hwpt));
	EXPECT_EQ(0, lu_dev(self->fd, UNPLUG, joiner));
	EXPECT_EQ(-ENODEV, lu_pt(self->fd, PRESERVE, joiner, self->hwpt));
	EXPECT_EQ(0, _test_ioctl_destroy(self->fd, joiner));

	EXPECT_PRESERVED(self->fd, 0);
	ASSERT_EQ(0, lu_pt(self->fd, PRESERVE, dev, self->hwpt));
	EXPECT_EQ(-EBUSY, lu_pt(self->fd, PRESERVE, dev, self->hwpt));
	EXPECT_EQ(-EINVAL, lu_pt(self->fd, VERIFY, dev, self->hwpt2));
	EXPECT_PRESERVED(self->fd, 1);
}

/* The driver, or the name of the device, says no: the unit is given back. */
TEST_F(outgoing, refuse_driver)
{
	const __u32 flags[] = { IOMMU_TEST_LU_REFUSE, IOMMU_TEST_LU_NO_NAME };
	__u32 dev, obj;

	ASSERT_EQ(0, lu(self->fd, BEGIN));
	ASSERT_EQ(0, lu_preserve_domain(self->fd, self->hwpt, &obj, NULL));
	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(0, lu(self->fd, CREATE, .liveupdate.bdf = 8 + i,
				.liveupdate.value = 1,
				.liveupdate.flags = flags[i]));
		dev = out.id;
		ASSERT_EQ(0, lu_dev(self->fd, OWN, dev));
		ASSERT_EQ(0, lu_pt(self->fd, ATTACH, dev, self->hwpt));
		EXPECT_EQ(-EOPNOTSUPP, lu_pt(self->fd, PRESERVE, dev,
					     self->hwpt));
		EXPECT_PRESERVED(self->fd, 0);
		/* It is not held back by what did not happen. */
		EXPECT_EQ(0, lu_dev(self->fd, RESET, dev));
		EXPECT_EQ(0, lu_pt(self->fd, REPLACE, dev, self->hwpt2));
	}
}

/* Everything that would make a record untrue is refused. */
TEST_F(outgoing, busy_while_preserved)
{
	__u32 dev, group, obj;
	struct lu_entry was;

	ASSERT_EQ(0, lu(self->fd, BEGIN));
	ASSERT_EQ(0, lu_preserve_domain(self->fd, self->hwpt, &obj, NULL));
	ASSERT_EQ(0, lu_create(self->fd, 9, &dev, &group));
	ASSERT_EQ(0, lu_dev(self->fd, OWN, dev));
	ASSERT_EQ(0, lu_pt(self->fd, ATTACH, dev, self->hwpt));
	EXPECT_EQ(-EPERM, lu_type(group, "auto"));
	ASSERT_EQ(0, lu_pt(self->fd, PRESERVE, dev, self->hwpt));
	was = lu_entry(self->fd, 9);

	EXPECT_EQ(-EBUSY, lu_pt(self->fd, REPLACE, dev, self->hwpt2));
	EXPECT_EQ(-EBUSY, lu(self->fd, PASID_ATTACH, .id = dev,
			     .liveupdate.pt_id = self->hwpt2,
			     .liveupdate.value = 7));
	EXPECT_EQ(-EBUSY, lu_dev(self->fd, RESET, dev));
	EXPECT_EQ(-EBUSY, lu_type(group, "auto"));
	EXPECT_EQ(-EBUSY, lu_type(group, "DMA-FQ"));
	EXPECT_EQ(-ENODEV, lu(self->fd, CREATE, .liveupdate.bdf = 10,
			      .liveupdate.value = 1, .liveupdate.pt_id = dev));
	EXPECT_EQ(-EPERM, lu_val(self->fd, OWN, dev, 1));
	EXPECT_EQ(-EBUSY, lu_dev(self->fd, BIND_DRIVER, dev));
	EXPECT_EQ(-ENOENT, lu_dev(self->fd, RESTORED_ID, dev));
	EXPECT_EQ(-ENODEV, lu_val(self->fd, CLAIM, dev, 1));
	EXPECT_ENTRY_EQ(was, self->fd, 9);
	EXPECT_PRESERVED(self->fd, 1);
	EXPECT_EQ(0, lu_pt(self->fd, VERIFY, dev, self->hwpt));

	ASSERT_EQ(0, lu_pt(self->fd, UNPRESERVE, dev, self->hwpt));
	EXPECT_EQ(0, lu_dev(self->fd, RESET, dev));
	EXPECT_EQ(-EPERM, lu_type(group, "auto"));
	EXPECT_EQ(0, lu(self->fd, PASID_ATTACH, .id = dev,
			.liveupdate.pt_id = self->hwpt2, .liveupdate.value = 7));
	EXPECT_EQ(0, lu(self->fd, PASID_DETACH, .id = dev,
			.liveupdate.pt_id = self->hwpt2, .liveupdate.value = 7));
	EXPECT_EQ(0, lu_pt(self->fd, REPLACE, dev, self->hwpt2));
	EXPECT_EQ(0, lu(self->fd, CREATE, .liveupdate.bdf = 10,
			.liveupdate.value = 1, .liveupdate.pt_id = dev));
}

/* A device that goes away takes no other with it, and comes back as a new one. */
TEST_F(outgoing, unplug)
{
	__u32 devs[2], obj;

	ASSERT_EQ(0, lu(self->fd, BEGIN));
	ASSERT_EQ(0, lu_preserve_domain(self->fd, self->hwpt, &obj, NULL));
	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(0, lu_attached(self->fd, 11 + i, self->hwpt,
					 &devs[i]));
		ASSERT_EQ(0, lu_pt(self->fd, PRESERVE, devs[i], self->hwpt));
	}
	/* Its owner unpreserves and releases it. */
	ASSERT_EQ(0, _test_ioctl_destroy(self->fd, devs[0]));
	EXPECT_PRESERVED(self->fd, 1);
	EXPECT_BLOCKED(self->fd, 11);
	EXPECT_EQ(0, lu_pt(self->fd, VERIFY, devs[1], self->hwpt));

	ASSERT_EQ(0, lu_attached(self->fd, 11, self->hwpt, &devs[0]));
	EXPECT_EQ(-ENOENT, lu_pt(self->fd, VERIFY, devs[0], self->hwpt));
	ASSERT_EQ(0, lu_pt(self->fd, PRESERVE, devs[0], self->hwpt));
	EXPECT_PRESERVED(self->fd, 2);
}

/* Before there is no way back, hardware is compared with the record. */
TEST_F(outgoing, verify)
{
	__u32 dev, obj;

	ASSERT_EQ(0, lu(self->fd, BEGIN));
	ASSERT_EQ(0, lu_preserve_domain(self->fd, self->hwpt, &obj, NULL));
	ASSERT_EQ(0, lu(self->fd, CREATE, .liveupdate.bdf = 13,
			.liveupdate.alias = 14, .liveupdate.value = 1));
	dev = out.id;
	ASSERT_EQ(0, lu_dev(self->fd, OWN, dev));
	ASSERT_EQ(0, lu_pt(self->fd, ATTACH, dev, self->hwpt));
	ASSERT_EQ(0, lu_pt(self->fd, PRESERVE, dev, self->hwpt));
	EXPECT_PRESERVED(self->fd, 2);
	for (__u32 bdf = 13; bdf <= 14; bdf++) {
		EXPECT_EQ(0, lu_pt(self->fd, VERIFY, dev, self->hwpt));
		ASSERT_EQ(0, lu(self->fd, ENTRY, .liveupdate.bdf = bdf,
				.liveupdate.iova = 4096));
		EXPECT_EQ(-EIO, lu_pt(self->fd, VERIFY, dev, self->hwpt));
		ASSERT_EQ(0, lu(self->fd, ENTRY, .liveupdate.bdf = bdf,
				.liveupdate.iova = 4096));
		ASSERT_EQ(0, lu(self->fd, ENTRY, .liveupdate.bdf = bdf,
				.liveupdate.value = 1));
		EXPECT_EQ(-EIO, lu_pt(self->fd, VERIFY, dev, self->hwpt));
		ASSERT_EQ(0, lu(self->fd, ENTRY, .liveupdate.bdf = bdf,
				.liveupdate.value = 1));
	}
	EXPECT_EQ(0, lu_pt(self->fd, VERIFY, dev, self->hwpt));
}

TEST_HARNESS_MAIN
