// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the IOMMU core makes of what the previous kernel has left: devices find
 * their domains, nobody but the one that may gets them, and whatever is not as
 * recorded is stopped. The mock IOMMU warns if hardware is written meanwhile.
 */
#include "iommufd_liveupdate.h"

/* Requester ids: two devices of the first domain, one of the second */
#define BDF_A		20
#define BDF_B		21
#define BDF_B_ALIAS	22
#define BDF_C		23

FIXTURE(incoming)
{
	struct lu_test test;
	/* Ids that cross */
	__u32 domain;
	__u32 domain2;
	__u32 dev_a;
	__u32 dev_b;
	__u32 dev_c;
	/* Of the kernel that comes, once there is one */
	int fd;
	__u32 hwpt;
	/* What hardware has */
	struct lu_entry a;
	struct lu_entry b;
	struct lu_entry c;
	__u64 phys[3];
};

static int lu_preserve(int fd, __u32 dev, __u32 pt, __u32 *id)
{
	int rc = lu_pt(fd, PRESERVE, dev, pt);

	*id = out.liveupdate.out_id;
	return rc;
}

static int create_b(int fd, __u32 *dev)
{
	int rc = lu(fd, CREATE, .liveupdate.bdf = BDF_B,
		    .liveupdate.alias = BDF_B_ALIAS, .liveupdate.value = 1);

	*dev = out.id;
	return rc;
}

FIXTURE_SETUP(incoming)
{
	struct lu_kernel *old = &self->test.old;
	__u32 a, b, c, obj, obj2;

	LU_TEST_SETUP(&self->test);
	ASSERT_EQ(0, lu(old->fd, BEGIN));
	ASSERT_EQ(0, lu_attached(old->fd, BDF_A, old->hwpt, &a));
	ASSERT_EQ(0, create_b(old->fd, &b));
	ASSERT_EQ(0, lu_dev(old->fd, OWN, b));
	ASSERT_EQ(0, lu_pt(old->fd, ATTACH, b, old->hwpt));
	ASSERT_EQ(0, lu_attached(old->fd, BDF_C, old->hwpt2, &c));
	ASSERT_EQ(0, lu_preserve_domain(old->fd, old->hwpt, &obj,
					&self->domain));
	ASSERT_EQ(0, lu_preserve_domain(old->fd, old->hwpt2, &obj2,
					&self->domain2));
	ASSERT_EQ(0, lu_preserve(old->fd, a, old->hwpt, &self->dev_a));
	ASSERT_EQ(0, lu_preserve(old->fd, b, old->hwpt, &self->dev_b));
	ASSERT_EQ(0, lu_preserve(old->fd, c, old->hwpt2, &self->dev_c));
	self->a = lu_entry(old->fd, BDF_A);
	self->b = lu_entry(old->fd, BDF_B);
	self->c = lu_entry(old->fd, BDF_C);
	self->phys[0] = lu_phys(old->fd, old->hwpt, LU_IOVA);
	self->phys[1] = lu_phys(old->fd, old->hwpt, LU_IOVA + BUFFER_SIZE - 1);
	self->phys[2] = lu_phys(old->fd, old->hwpt, LU_IOVA_HIGH);
	for (int i = 0; i < 3; i++)
		ASSERT_NE(0, self->phys[i]);
}

FIXTURE_TEARDOWN(incoming)
{
	EXPECT_EQ(0, lu_test_teardown(&self->test));
}

#define HANDOVER(_flags)                                              \
	do {                                                          \
		ASSERT_EQ(0, lu_handover(&self->test, _flags));       \
		self->fd = self->test.new.fd;                         \
		self->hwpt = self->test.new.hwpt;                     \
	} while (0)

/* Nobody has touched the hardware. */
#define EXPECT_UNTOUCHED()                                            \
	do {                                                          \
		EXPECT_ENTRY_EQ(self->a, self->fd, BDF_A);            \
		EXPECT_ENTRY_EQ(self->b, self->fd, BDF_B);            \
		EXPECT_ENTRY_EQ(self->c, self->fd, BDF_C);            \
		EXPECT_EQ(self->b.top,                                \
			  lu_entry(self->fd, BDF_B_ALIAS).top);       \
	} while (0)

TEST_F(incoming, cross)
{
	__u32 a, b, c, domain, again;

	HANDOVER(0);
	EXPECT_EQ(-ENOENT, lu(self->fd, ABORT));
	EXPECT_EQ(-EBUSY, lu(self->fd, BEGIN));

	/* The domain first, as its file may be retrieved before the devices */
	ASSERT_EQ(0, lu_restored_domain(self->fd, self->domain, &domain));
	ASSERT_EQ(0, lu_restored_domain(self->fd, self->domain, &again));
	EXPECT_EQ(-ENOENT, lu_restored_domain(self->fd, 0, &c));
	EXPECT_EQ(-ENOENT, lu_restored_domain(self->fd, 77, &c));
	EXPECT_EQ(self->phys[0], lu_phys(self->fd, domain, LU_IOVA));
	EXPECT_EQ(self->phys[1], lu_phys(self->fd, domain,
					 LU_IOVA + BUFFER_SIZE - 1));
	EXPECT_EQ(self->phys[2], lu_phys(self->fd, again, LU_IOVA_HIGH));
	EXPECT_EQ(0, lu_phys(self->fd, domain, LU_IOVA + BUFFER_SIZE));
	EXPECT_EQ(-EPERM, lu(self->fd, MAP, .liveupdate.pt_id = domain,
			     .liveupdate.iova = LU_IOVA + BUFFER_SIZE));
	EXPECT_EQ(0, lu(self->fd, UNMAP, .liveupdate.pt_id = domain,
			.liveupdate.iova = LU_IOVA));
	EXPECT_EQ(0, out.liveupdate.out_phys);
	EXPECT_EQ(self->phys[0], lu_phys(self->fd, domain, LU_IOVA));

	ASSERT_EQ(0, lu_create(self->fd, BDF_A, &a, NULL));
	ASSERT_EQ(0, create_b(self->fd, &b));
	ASSERT_EQ(0, lu_create(self->fd, BDF_C, &c, NULL));
	EXPECT_UNTOUCHED();
	ASSERT_EQ(0, lu_dev(self->fd, RESTORED_ID, a));
	EXPECT_EQ(self->dev_a, out.liveupdate.out_id);
	EXPECT_EQ(self->domain, out.liveupdate.out_value);
	ASSERT_EQ(0, lu_dev(self->fd, RESTORED_ID, b));
	EXPECT_EQ(self->dev_b, out.liveupdate.out_id);
	EXPECT_EQ(self->domain, out.liveupdate.out_value);
	ASSERT_EQ(0, lu_dev(self->fd, RESTORED_ID, c));
	EXPECT_EQ(self->dev_c, out.liveupdate.out_id);
	EXPECT_EQ(self->domain2, out.liveupdate.out_value);

	ASSERT_EQ(0, lu_val(self->fd, CLAIM, a, self->dev_a));
	ASSERT_EQ(0, lu_val(self->fd, CLAIM, b, self->dev_b));
	ASSERT_EQ(0, lu_pt(self->fd, HANDLE, a, domain));
	ASSERT_EQ(0, lu_pt(self->fd, HANDLE, b, again));
	EXPECT_UNTOUCHED();

	/* One store for each requester id switches it. */
	ASSERT_EQ(0, lu_pt(self->fd, REPLACE, a, self->hwpt));
	EXPECT_EQ(self->a.writes + 1, lu_entry(self->fd, BDF_A).writes);
	EXPECT_NE(self->a.top, lu_entry(self->fd, BDF_A).top);
	EXPECT_ENTRY_EQ(self->b, self->fd, BDF_B);
	EXPECT_EQ(-ENOENT, lu_dev(self->fd, RESTORED_ID, a));
	ASSERT_EQ(0, lu_pt(self->fd, REPLACE, b, self->hwpt));
	EXPECT_EQ(lu_entry(self->fd, BDF_A).top,
		  lu_entry(self->fd, BDF_B_ALIAS).top);
	EXPECT_EQ(0, _test_ioctl_destroy(self->fd, domain));
	EXPECT_EQ(0, _test_ioctl_destroy(self->fd, again));

	/* The third is nobody's and is given up. */
	ASSERT_EQ(0, lu(self->fd, FINISH));
	EXPECT_BLOCKED(self->fd, BDF_C);
	EXPECT_EQ(0, lu_dev(self->fd, OWN, c));
	EXPECT_EQ(0, lu_pt(self->fd, ATTACH, c, self->hwpt));
	EXPECT_EQ(-ENOENT, lu_restored_domain(self->fd, self->domain, &domain));
	EXPECT_EQ(0, lu(self->fd, BEGIN));
}

TEST_F(incoming, refuse_strangers)
{
	__u32 a, domain, domain2, group, obj;

	HANDOVER(0);
	ASSERT_EQ(0, lu_create(self->fd, BDF_A, &a, &group));
	ASSERT_EQ(0, lu_restored_domain(self->fd, self->domain, &domain));
	ASSERT_EQ(0, lu_restored_domain(self->fd, self->domain2, &domain2));

	EXPECT_EQ(-EPERM, lu_val(self->fd, OWN, a, 0));
	EXPECT_EQ(-EPERM, lu_val(self->fd, OWN, a, 1));
	EXPECT_EQ(-EBUSY, lu_dev(self->fd, BIND_DRIVER, a));
	EXPECT_EQ(-EBUSY, lu_pt(self->fd, ATTACH, a, self->hwpt));
	EXPECT_EQ(-EBUSY, lu(self->fd, PASID_ATTACH, .id = a,
			     .liveupdate.pt_id = self->hwpt,
			     .liveupdate.value = 7));
	EXPECT_EQ(-EBUSY, lu_dev(self->fd, RESET, a));
	EXPECT_EQ(-EBUSY, lu_type(group, "auto"));
	EXPECT_EQ(-EBUSY, lu_type(group, "DMA"));
	EXPECT_EQ(-ENODEV, lu(self->fd, CREATE, .liveupdate.bdf = 30,
			      .liveupdate.value = 1, .liveupdate.pt_id = a));
	EXPECT_EQ(-EBUSY, lu_pt(self->fd, PRESERVE, a, domain));
	EXPECT_EQ(-ENOENT, lu_preserve_domain(self->fd, domain, &obj, NULL));

	EXPECT_EQ(-EPERM, lu_pt(self->fd, HANDLE, a, domain));
	EXPECT_EQ(-ENODEV, lu_val(self->fd, CLAIM, a, self->dev_b));
	EXPECT_EQ(-ENODEV, lu_val(self->fd, CLAIM, a, 0));
	EXPECT_UNTOUCHED();
	ASSERT_EQ(0, lu_val(self->fd, CLAIM, a, self->dev_a));
	EXPECT_EQ(-EPERM, lu_val(self->fd, CLAIM, a, self->dev_a));
	EXPECT_EQ(-EPERM, lu_val(self->fd, OWN, a, 1));
	EXPECT_EQ(-EBUSY, lu_dev(self->fd, BIND_DRIVER, a));
	EXPECT_EQ(-EINVAL, lu_pt(self->fd, HANDLE, a, domain2));
	ASSERT_EQ(0, lu_pt(self->fd, HANDLE, a, domain));
	EXPECT_EQ(-EBUSY, lu_pt(self->fd, HANDLE, a, domain));

	/* Claimed is not replaced. */
	EXPECT_EQ(-EBUSY, lu_dev(self->fd, RESET, a));
	EXPECT_EQ(-EBUSY, lu_type(group, "auto"));
	EXPECT_EQ(-EBUSY, lu(self->fd, PASID_ATTACH, .id = a,
			     .liveupdate.pt_id = self->hwpt,
			     .liveupdate.value = 7));
	EXPECT_EQ(-ENODEV, lu(self->fd, CREATE, .liveupdate.bdf = 30,
			      .liveupdate.value = 1, .liveupdate.pt_id = a));
	EXPECT_EQ(-EBUSY, lu_pt(self->fd, PRESERVE, a, domain));
	EXPECT_UNTOUCHED();

	/* Replaced is like any other. */
	ASSERT_EQ(0, lu_pt(self->fd, REPLACE, a, self->hwpt));
	EXPECT_EQ(0, lu_dev(self->fd, RESET, a));
	EXPECT_EQ(0, lu(self->fd, PASID_ATTACH, .id = a,
			.liveupdate.pt_id = self->hwpt, .liveupdate.value = 7));
	EXPECT_EQ(0, lu(self->fd, PASID_DETACH, .id = a,
			.liveupdate.pt_id = self->hwpt, .liveupdate.value = 7));
	EXPECT_EQ(-ENODEV, lu_val(self->fd, CLAIM, a, self->dev_a));
	EXPECT_EQ(0, lu(self->fd, CREATE, .liveupdate.bdf = 30,
			.liveupdate.value = 1, .liveupdate.pt_id = a));
}

/* No other device gets a domain that came over, and nobody gets it back. */
TEST_F(incoming, refuse_attach)
{
	__u32 a, other, domain;

	HANDOVER(0);
	ASSERT_EQ(0, lu_create(self->fd, BDF_A, &a, NULL));
	ASSERT_EQ(0, lu_restored_domain(self->fd, self->domain, &domain));
	ASSERT_EQ(0, lu_create(self->fd, 30, &other, NULL));
	ASSERT_EQ(0, lu_dev(self->fd, OWN, other));
	EXPECT_EQ(-EOPNOTSUPP, lu_pt(self->fd, ATTACH, other, domain));
	ASSERT_EQ(0, lu_pt(self->fd, ATTACH, other, self->hwpt));
	EXPECT_EQ(-EOPNOTSUPP, lu_pt(self->fd, REPLACE, other, domain));

	ASSERT_EQ(0, lu_val(self->fd, CLAIM, a, self->dev_a));
	ASSERT_EQ(0, lu_pt(self->fd, HANDLE, a, domain));
	ASSERT_EQ(0, lu_pt(self->fd, REPLACE, a, self->hwpt));
	EXPECT_EQ(-EOPNOTSUPP, lu_pt(self->fd, REPLACE, a, domain));
	EXPECT_EQ(lu_entry(self->fd, 30).top, lu_entry(self->fd, BDF_A).top);
}

/* Units are looked at before the first is registered, which has all devices probed. */
TEST_F(incoming, unit_comes_later)
{
	__u32 a;

	HANDOVER(0);
	EXPECT_EQ(-ENODEV, lu(self->fd, CREATE, .liveupdate.bdf = BDF_A,
			      .liveupdate.value = 1,
			      .liveupdate.flags = IOMMU_TEST_LU_LATE));
	EXPECT_EQ(-ENODEV, lu(self->fd, CREATE, .liveupdate.bdf = BDF_A,
			      .liveupdate.value = 2,
			      .liveupdate.flags = IOMMU_TEST_LU_LATE));
	EXPECT_UNTOUCHED();
	ASSERT_EQ(0, lu_create(self->fd, BDF_A, &a, NULL));
	ASSERT_EQ(0, lu_dev(self->fd, RESTORED_ID, a));
	ASSERT_EQ(0, lu_val(self->fd, CLAIM, a, self->dev_a));
	EXPECT_UNTOUCHED();
}

/* The owner gives up without another domain: the device is blocked. */
TEST_F(incoming, close_without_replace)
{
	__u32 a, domain;

	HANDOVER(0);
	ASSERT_EQ(0, lu_create(self->fd, BDF_A, &a, NULL));
	ASSERT_EQ(0, lu_restored_domain(self->fd, self->domain, &domain));
	ASSERT_EQ(0, lu_val(self->fd, CLAIM, a, self->dev_a));
	ASSERT_EQ(0, lu_pt(self->fd, HANDLE, a, domain));
	ASSERT_EQ(0, lu_dev(self->fd, DETACH, a));
	EXPECT_BLOCKED(self->fd, BDF_A);
	EXPECT_EQ(0, lu_dev(self->fd, DISOWN, a));
	EXPECT_BLOCKED(self->fd, BDF_A);
	EXPECT_EQ(0, lu_val(self->fd, OWN, a, 0));
	EXPECT_EQ(-ENOENT, lu_dev(self->fd, RESTORED_ID, a));
	EXPECT_EQ(-ENODEV, lu_val(self->fd, CLAIM, a, self->dev_a));

	/* Another one never gets its handle. */
	ASSERT_EQ(0, create_b(self->fd, &a));
	ASSERT_EQ(0, lu_val(self->fd, CLAIM, a, self->dev_b));
	EXPECT_EQ(0, lu_dev(self->fd, DISOWN, a));
	EXPECT_BLOCKED(self->fd, BDF_B);
	EXPECT_BLOCKED(self->fd, BDF_B_ALIAS);
	EXPECT_EQ(0, lu_val(self->fd, OWN, a, 0));
}

/* What was claimed in time goes on after all is finished. */
TEST_F(incoming, claimed_over_finish)
{
	__u32 a, b, domain;

	HANDOVER(0);
	ASSERT_EQ(0, lu_create(self->fd, BDF_A, &a, NULL));
	ASSERT_EQ(0, create_b(self->fd, &b));
	ASSERT_EQ(0, lu_val(self->fd, CLAIM, a, self->dev_a));
	ASSERT_EQ(0, lu_restored_domain(self->fd, self->domain, &domain));
	ASSERT_EQ(0, lu_pt(self->fd, HANDLE, a, domain));
	ASSERT_EQ(0, lu(self->fd, FINISH));
	EXPECT_ENTRY_EQ(self->a, self->fd, BDF_A);
	EXPECT_BLOCKED(self->fd, BDF_B);
	EXPECT_BLOCKED(self->fd, BDF_B_ALIAS);
	/* It never was found. */
	EXPECT_BLOCKED(self->fd, BDF_C);
	EXPECT_EQ(self->phys[0], lu_phys(self->fd, domain, LU_IOVA));
	EXPECT_EQ(-EBUSY, lu_dev(self->fd, RESET, a));
	ASSERT_EQ(0, lu_pt(self->fd, REPLACE, a, self->hwpt));
	EXPECT_EQ(0, lu_dev(self->fd, RESET, a));
}

TEST_F(incoming, nobody_comes)
{
	HANDOVER(0);
	EXPECT_UNTOUCHED();
	ASSERT_EQ(0, lu(self->fd, FINISH));
	EXPECT_BLOCKED(self->fd, BDF_A);
	EXPECT_BLOCKED(self->fd, BDF_B);
	EXPECT_BLOCKED(self->fd, BDF_B_ALIAS);
	EXPECT_BLOCKED(self->fd, BDF_C);
}

TEST_F(incoming, discard)
{
	__u32 a, b, c;

	HANDOVER(0);
	lu_val(self->fd, DISCARD, 0, 77);
	ASSERT_EQ(0, lu_create(self->fd, BDF_A, &a, NULL));
	ASSERT_EQ(0, create_b(self->fd, &b));
	EXPECT_UNTOUCHED();
	ASSERT_EQ(0, lu_val(self->fd, DISCARD, 0, self->dev_a));
	EXPECT_BLOCKED(self->fd, BDF_A);
	EXPECT_ENTRY_EQ(self->b, self->fd, BDF_B);
	EXPECT_EQ(-ENODEV, lu_val(self->fd, CLAIM, a, self->dev_a));
	EXPECT_EQ(-ENOENT, lu_dev(self->fd, RESTORED_ID, a));
	EXPECT_EQ(0, lu_dev(self->fd, OWN, a));
	EXPECT_EQ(0, lu_dev(self->fd, RESET, a));

	/* Not one that has an owner */
	ASSERT_EQ(0, lu_val(self->fd, CLAIM, b, self->dev_b));
	ASSERT_EQ(0, lu_val(self->fd, DISCARD, 0, self->dev_b));
	EXPECT_ENTRY_EQ(self->b, self->fd, BDF_B);

	/* One that has not come yet is an ordinary device when it comes. */
	ASSERT_EQ(0, lu_val(self->fd, DISCARD, 0, self->dev_c));
	EXPECT_BLOCKED(self->fd, BDF_C);
	ASSERT_EQ(0, lu_create(self->fd, BDF_C, &c, NULL));
	EXPECT_EQ(-ENOENT, lu_dev(self->fd, RESTORED_ID, c));
	EXPECT_EQ(0, lu_dev(self->fd, OWN, c));
}

/* Hardware does something else than recorded: that device is stopped. */
TEST_F(incoming, wrong_entry)
{
	__u32 a, b;

	HANDOVER(0);
	ASSERT_EQ(0, lu(self->fd, ENTRY, .liveupdate.bdf = BDF_A,
			.liveupdate.iova = 4096));
	ASSERT_EQ(0, lu(self->fd, ENTRY, .liveupdate.bdf = BDF_B_ALIAS,
			.liveupdate.value = 1));
	ASSERT_EQ(0, lu_create(self->fd, BDF_A, &a, NULL));
	ASSERT_EQ(0, create_b(self->fd, &b));
	EXPECT_BLOCKED(self->fd, BDF_A);
	EXPECT_BLOCKED(self->fd, BDF_B);
	EXPECT_BLOCKED(self->fd, BDF_B_ALIAS);
	EXPECT_ENTRY_EQ(self->c, self->fd, BDF_C);
	EXPECT_EQ(-EIO, lu_dev(self->fd, RESTORED_ID, a));
	EXPECT_EQ(-EIO, lu_val(self->fd, CLAIM, a, self->dev_a));
	EXPECT_EQ(-EIO, lu_val(self->fd, CLAIM, b, self->dev_b));
	/* The error lasts. */
	EXPECT_EQ(-EIO, lu_val(self->fd, CLAIM, a, self->dev_a));
	EXPECT_EQ(0, lu_dev(self->fd, RESET, a));
}

TEST_F(incoming, another_device)
{
	__u32 a;

	HANDOVER(0);
	ASSERT_EQ(0, lu(self->fd, CREATE, .liveupdate.bdf = BDF_A,
			.liveupdate.value = 2));
	a = out.id;
	EXPECT_BLOCKED(self->fd, BDF_A);
	EXPECT_ENTRY_EQ(self->b, self->fd, BDF_B);
	EXPECT_EQ(-ENODEV, lu_dev(self->fd, RESTORED_ID, a));
	EXPECT_EQ(-ENODEV, lu_val(self->fd, CLAIM, a, self->dev_a));
	EXPECT_EQ(0, lu_dev(self->fd, OWN, a));
}

/* Its requester ids have become others. */
TEST_F(incoming, other_aliases)
{
	__u32 b;

	HANDOVER(0);
	ASSERT_EQ(0, lu_create(self->fd, BDF_B, &b, NULL));
	EXPECT_BLOCKED(self->fd, BDF_B);
	EXPECT_BLOCKED(self->fd, BDF_B_ALIAS);
	EXPECT_GT(0, lu_val(self->fd, CLAIM, b, self->dev_b));
}

/* A unit that is not as recorded fails all of its devices. */
TEST_F(incoming, wrong_unit)
{
	__u32 a, domain;

	HANDOVER(IOMMU_TEST_LU_FAIL_UNIT);
	EXPECT_BLOCKED(self->fd, BDF_A);
	EXPECT_BLOCKED(self->fd, BDF_C);
	ASSERT_EQ(0, lu_create(self->fd, BDF_A, &a, NULL));
	EXPECT_EQ(-EIO, lu_dev(self->fd, RESTORED_ID, a));
	EXPECT_EQ(-EIO, lu_val(self->fd, CLAIM, a, self->dev_a));
	/* Its page table has not changed. */
	ASSERT_EQ(0, lu_restored_domain(self->fd, self->domain, &domain));
	EXPECT_EQ(self->phys[0], lu_phys(self->fd, domain, LU_IOVA));
	EXPECT_EQ(-EBUSY, lu(self->fd, BEGIN));
	ASSERT_EQ(0, lu(self->fd, FINISH));
	EXPECT_EQ(0, lu(self->fd, BEGIN));
}

TEST_F(incoming, unplug)
{
	__u32 a, b, domain;

	HANDOVER(0);
	ASSERT_EQ(0, lu_create(self->fd, BDF_A, &a, NULL));
	ASSERT_EQ(0, lu_dev(self->fd, UNPLUG, a));
	EXPECT_BLOCKED(self->fd, BDF_A);
	EXPECT_ENTRY_EQ(self->b, self->fd, BDF_B);

	/* It comes back, and is a new device. */
	ASSERT_EQ(0, lu_create(self->fd, BDF_A, &a, NULL));
	EXPECT_EQ(-ENOENT, lu_dev(self->fd, RESTORED_ID, a));
	EXPECT_EQ(-ENODEV, lu_val(self->fd, CLAIM, a, self->dev_a));
	EXPECT_EQ(0, lu_dev(self->fd, OWN, a));

	/* One that is claimed is given up by its owner before. */
	ASSERT_EQ(0, create_b(self->fd, &b));
	ASSERT_EQ(0, lu_restored_domain(self->fd, self->domain, &domain));
	ASSERT_EQ(0, lu_val(self->fd, CLAIM, b, self->dev_b));
	ASSERT_EQ(0, lu_pt(self->fd, HANDLE, b, domain));
	ASSERT_EQ(0, _test_ioctl_destroy(self->fd, b));
	EXPECT_BLOCKED(self->fd, BDF_B);
	EXPECT_BLOCKED(self->fd, BDF_B_ALIAS);
}

/* A device that goes on is found to be in a group with others. */
TEST_F(incoming, not_alone)
{
	__u32 first, a;

	HANDOVER(0);
	ASSERT_EQ(0, lu_create(self->fd, 30, &first, NULL));
	lu(self->fd, CREATE, .liveupdate.bdf = BDF_A, .liveupdate.value = 1,
	   .liveupdate.pt_id = first);
	a = out.id;
	EXPECT_BLOCKED(self->fd, BDF_A);
	if (a)
		EXPECT_GT(0, lu_val(self->fd, CLAIM, a, self->dev_a));
	EXPECT_EQ(0, lu_dev(self->fd, OWN, first));
}

/* What has crossed crosses again, and again. */
TEST_F(incoming, chain)
{
	__u32 a, domain, obj;

	HANDOVER(0);
	for (int i = 0; i < 5; i++) {
		ASSERT_EQ(0, lu_create(self->fd, BDF_A, &a, NULL));
		ASSERT_EQ(0, lu_restored_domain(self->fd, self->domain,
						&domain));
		EXPECT_EQ(self->phys[0], lu_phys(self->fd, domain, LU_IOVA));
		EXPECT_EQ(self->phys[2], lu_phys(self->fd, domain,
						 LU_IOVA_HIGH));
		ASSERT_EQ(0, lu_val(self->fd, CLAIM, a, self->dev_a));
		ASSERT_EQ(0, lu_pt(self->fd, HANDLE, a, domain));
		EXPECT_ENTRY_EQ(self->a, self->fd, BDF_A);
		ASSERT_EQ(0, lu_pt(self->fd, REPLACE, a, self->hwpt));
		ASSERT_EQ(0, _test_ioctl_destroy(self->fd, domain));
		ASSERT_EQ(0, lu(self->fd, FINISH));

		ASSERT_EQ(0, lu(self->fd, BEGIN));
		ASSERT_EQ(0, lu_preserve_domain(self->fd, self->hwpt, &obj,
						&self->domain));
		ASSERT_EQ(0, lu_preserve(self->fd, a, self->hwpt, &self->dev_a));
		self->a = lu_entry(self->fd, BDF_A);
		self->test.old = self->test.new;
		self->test.new.fd = -1;
		HANDOVER(0);
	}
}

TEST_HARNESS_MAIN
