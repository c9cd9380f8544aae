// SPDX-License-Identifier: GPL-2.0-only
/*
 * The kernel that comes: HWPTs and devices of the previous one. The mock IOMMU
 * plays both, and tells whether hardware was touched.
 */
#include "iommufd_liveupdate.h"
#include "iommufd_session.h"

#define TOKEN	0x123456789abcdef0
#define RID	3

/* What the kernel that left had at LU_IOVA, by the page */
struct translation {
	__u64 phys[LU_BUFFER_SIZE / 4096];
};

static struct translation translation(int fd, __u32 pt)
{
	struct translation all;

	for (size_t i = 0; i < ARRAY_SIZE(all.phys); i++)
		all.phys[i] = lu_phys(fd, pt, LU_IOVA + i * PAGE_SIZE);
	return all;
}

FIXTURE(next_kernel)
{
	struct lu_test test;
	struct translation was;
	struct lu_entry entry;
	__u32 domain;
	int fd;
	__u32 hwpt;
	__u32 hwpt2;
};

FIXTURE_SETUP(next_kernel)
{
	__u32 dev, obj;
	int fd;

	ASSERT_EQ(0, lu_test_setup(&self->test));
	fd = self->test.old.fd;
	ASSERT_EQ(0, lu_attached(fd, RID, self->test.old.hwpt, &dev));
	self->was = translation(fd, self->test.old.hwpt);
	ASSERT_EQ(0, lu(fd, BEGIN));
	ASSERT_EQ(0, lu_preserve_domain(fd, self->test.old.hwpt, &obj,
					&self->domain));
	ASSERT_EQ(0, lu_pt(fd, PRESERVE, dev, self->test.old.hwpt));
	self->entry = lu_entry(fd, RID);
	ASSERT_EQ(0, lu_handover(&self->test, 0));

	self->fd = self->test.new.fd;
	self->hwpt = self->test.new.hwpt;
	self->hwpt2 = self->test.new.hwpt2;
	ASSERT_EQ(0, session_cmd(self->fd, RETRIEVE,
				 .session.value = self->domain,
				 .session.token = TOKEN,
				 .session.iova = LU_IOVA,
				 .session.length = LU_BUFFER_SIZE));
	EXPECT_ENTRY_EQ(self->entry, self->fd, RID);
}

FIXTURE_TEARDOWN(next_kernel)
{
	EXPECT_EQ(0, lu_test_teardown(&self->test));
}

TEST_F(next_kernel, restore_and_replace)
{
	struct translation is;
	__u32 old, flags, stdev;
	int dev;

	dev = open_device(self->fd, RID, NULL);
	ASSERT_LE(0, dev);
	EXPECT_EQ(1, device(dev, IS_RESTORED, 0));
	EXPECT_ENTRY_EQ(self->entry, self->fd, RID);
	EXPECT_EQ(-EBUSY, session_cmd(self->fd, FINISH));

	EXPECT_EQ(-ENOENT, restore(self->fd, TOKEN + 1, 0, &old, NULL));
	ASSERT_EQ(0, restore(self->fd, TOKEN, 0, &old, &flags));
	EXPECT_EQ(0, flags);
	is = translation(self->fd, old);
	EXPECT_EQ(0, memcmp(&self->was, &is, sizeof(is)));

	/* Nothing but what it is for */
	EXPECT_EQ(-EBUSY, destroy(self->fd, old));
	EXPECT_EQ(-EINVAL, device(dev, ATTACH, old));
	EXPECT_EQ(-EINVAL, attach_stdev(self->fd, old, &stdev));
	EXPECT_EQ(-EOPNOTSUPP, set_dirty(self->fd, old, true));
	EXPECT_EQ(-EOPNOTSUPP, mark_set(self->fd, old, 1));
	EXPECT_EQ(-EINVAL, device(dev, ATTACH_PASID, old));
	EXPECT_ENTRY_EQ(self->entry, self->fd, RID);

	ASSERT_EQ(0, device(dev, ATTACH, self->hwpt));
	EXPECT_EQ(0, device(dev, IS_RESTORED, 0));
	EXPECT_EQ(self->entry.writes + 1, lu_entry(self->fd, RID).writes);
	EXPECT_EQ(-EINVAL, device(dev, ATTACH, old));
	EXPECT_EQ(0, destroy(self->fd, old));
	EXPECT_EQ(-ENOENT, restore(self->fd, TOKEN, 0, &old, NULL));
	EXPECT_EQ(0, session_cmd(self->fd, FINISH));
	EXPECT_EQ(-ENOENT, session_cmd(self->fd, FINISH));
	EXPECT_EQ(0, lu(self->fd, FINISH));

	/* As any other */
	EXPECT_EQ(0, device(dev, ATTACH, self->hwpt2));
	EXPECT_EQ(0, device(dev, DETACH, 0));
	EXPECT_EQ(0, close(dev));
}

/* A HWPT of the same IOAS is refused: what is reserved stays so. */
TEST_F(next_kernel, replace_refused)
{
	__u64 iova = LU_IOVA + LU_BUFFER_SIZE;
	__u32 ioas = 0, idev = 0, hwpt, pasid;
	int dev;

	dev = open_reserved_device(self->fd, RID + 1, iova, &idev);
	ASSERT_LE(0, dev);
	ASSERT_EQ(0, _test_ioctl_ioas_alloc(self->fd, &ioas));
	ASSERT_EQ(0, hwpt_alloc(self->fd, idev, ioas, 0, &hwpt));
	ASSERT_EQ(0, hwpt_alloc(self->fd, idev, ioas, IOMMU_HWPT_ALLOC_PASID,
				&pasid));
	ASSERT_EQ(0, device(dev, ATTACH, pasid));
	ASSERT_EQ(0, device(dev, ATTACH_PASID, pasid));
	EXPECT_EQ(-EINVAL, map_user(self->fd, ioas, buffer, PAGE_SIZE, iova));

	/* Not made for devices with PASIDs */
	EXPECT_EQ(-EINVAL, device(dev, ATTACH, hwpt));
	EXPECT_EQ(-EINVAL, map_user(self->fd, ioas, buffer, PAGE_SIZE, iova));

	/* Of another IOAS: nothing is reserved there afterwards. */
	EXPECT_EQ(-EINVAL, device(dev, ATTACH, self->hwpt));
	EXPECT_EQ(0, map_user(self->fd, self->test.new.ioas, buffer, PAGE_SIZE,
			      iova));
	EXPECT_EQ(0, unmap(self->fd, self->test.new.ioas, iova, PAGE_SIZE));

	ASSERT_EQ(0, device(dev, DETACH_PASID, 0));
	EXPECT_EQ(0, device(dev, ATTACH, hwpt));
	EXPECT_EQ(-EINVAL, map_user(self->fd, ioas, buffer, PAGE_SIZE, iova));
	EXPECT_EQ(0, device(dev, DETACH, 0));
	EXPECT_EQ(0, map_user(self->fd, ioas, buffer, PAGE_SIZE, iova));
	EXPECT_EQ(0, close(dev));
	EXPECT_EQ(0, session_cmd(self->fd, FINISH));
}

TEST_F(next_kernel, alloc_flags)
{
	__u32 hwpt, flags;

	/* What the first one came with is in use: once is enough */
	ASSERT_EQ(0, restore(self->fd, TOKEN, 0, &hwpt, NULL));
	ASSERT_EQ(0, destroy(self->fd, hwpt));
	ASSERT_EQ(0, session_cmd(self->fd, FINISH));
	ASSERT_EQ(0, session_cmd(self->fd, RETRIEVE,
				 .session.value = self->domain,
				 .session.token = TOKEN, .session.flags = 3));
	ASSERT_EQ(0, restore(self->fd, TOKEN, 0, &hwpt, &flags));
	EXPECT_EQ(IOMMU_HWPT_ALLOC_DIRTY_TRACKING | IOMMU_HWPT_ALLOC_PASID,
		  flags);
	EXPECT_EQ(0, session_cmd(self->fd, FINISH));
}

/* Another file than the one that was preserved with the device */
TEST_F(next_kernel, wrong_iommufd)
{
	int fd = open("/dev/iommu", O_RDWR);

	ASSERT_LE(0, fd);
	EXPECT_EQ(-EPERM, open_device(fd, RID, NULL));
	EXPECT_EQ(0, close(fd));
	EXPECT_EQ(0, session_cmd(self->fd, FINISH));
}

TEST_F(next_kernel, hwpt_gone)
{
	__u32 hwpt;

	ASSERT_EQ(0, restore(self->fd, TOKEN, 0, &hwpt, NULL));
	ASSERT_EQ(0, destroy(self->fd, hwpt));
	EXPECT_ENTRY_EQ(self->entry, self->fd, RID);
	EXPECT_EQ(-EPERM, open_device(self->fd, RID, NULL));
	EXPECT_EQ(0, session_cmd(self->fd, FINISH));
}

TEST_F(next_kernel, no_such_domain)
{
	EXPECT_EQ(-EBUSY, session_cmd(self->fd, RETRIEVE,
				      .session.value = self->domain));
	ASSERT_EQ(0, session_cmd(self->fd, FINISH));
	EXPECT_EQ(-ENOENT, session_cmd(self->fd, RETRIEVE,
				       .session.value = self->domain + 1));
}

/* Nobody asks for it: it goes, and before it the device that uses it is stopped. */
TEST_F(next_kernel, never_asked_for)
{
	__u32 hwpt;

	EXPECT_EQ(0, session_cmd(self->fd, FINISH));
	EXPECT_EQ(-ENOENT, restore(self->fd, TOKEN, 0, &hwpt, NULL));
	EXPECT_BLOCKED(self->fd, RID);
}

/* Somebody has: it stays until it is destroyed, and the device is stopped as well. */
TEST_F(next_kernel, asked_for)
{
	__u32 hwpt;
	int dev;

	ASSERT_EQ(0, restore(self->fd, TOKEN, 0, &hwpt, NULL));
	EXPECT_EQ(0, session_cmd(self->fd, FINISH));
	EXPECT_BLOCKED(self->fd, RID);

	/* It is like any other device then. */
	dev = open_device(self->fd, RID, NULL);
	ASSERT_LE(0, dev);
	EXPECT_EQ(0, device(dev, IS_RESTORED, 0));
	EXPECT_EQ(-EINVAL, device(dev, ATTACH, hwpt));
	EXPECT_EQ(0, device(dev, ATTACH, self->hwpt));
	EXPECT_EQ(0, close(dev));
	EXPECT_EQ(0, destroy(self->fd, hwpt));
}

TEST_F(next_kernel, restore_and_detach)
{
	__u32 hwpt;
	int dev;

	dev = open_device(self->fd, RID, NULL);
	ASSERT_LE(0, dev);
	ASSERT_EQ(0, restore(self->fd, TOKEN, 0, &hwpt, NULL));
	ASSERT_EQ(0, device(dev, DETACH, 0));
	EXPECT_BLOCKED(self->fd, RID);
	EXPECT_EQ(0, device(dev, IS_RESTORED, 0));
	EXPECT_EQ(-EINVAL, device(dev, ATTACH, hwpt));
	EXPECT_EQ(0, destroy(self->fd, hwpt));
	EXPECT_EQ(0, device(dev, ATTACH, self->hwpt));
	EXPECT_EQ(0, session_cmd(self->fd, FINISH));
	EXPECT_EQ(0, close(dev));
}

/* Userspace gives up with the old page table attached. */
TEST_F(next_kernel, restore_and_close)
{
	int dev;

	dev = open_device(self->fd, RID, NULL);
	ASSERT_LE(0, dev);
	EXPECT_EQ(-EBUSY, session_cmd(self->fd, FINISH));
	ASSERT_EQ(0, close(dev));
	EXPECT_BLOCKED(self->fd, RID);
	EXPECT_EQ(0, session_cmd(self->fd, FINISH));
}

TEST_F(next_kernel, strict)
{
	__u32 ioas = 0, idev = 0, hwpt, old, parent, nested;
	int dev;

	dev = open_device(self->fd, RID, &idev);
	ASSERT_LE(0, dev);
	ASSERT_EQ(0, restore(self->fd, TOKEN,
			     IOMMU_HWPT_LIVEUPDATE_RESTORE_STRICT, &old, NULL));
	ASSERT_EQ(0, _test_ioctl_ioas_alloc(self->fd, &ioas));
	ASSERT_EQ(0, hwpt_alloc(self->fd, idev, ioas, 0, &hwpt));

	/* What a guest's page table translates is not known. */
	ASSERT_EQ(0, hwpt_alloc(self->fd, idev, ioas,
				IOMMU_HWPT_ALLOC_NEST_PARENT, &parent));
	ASSERT_EQ(0, hwpt_alloc_nested(self->fd, idev, parent, &nested));
	EXPECT_EQ(-EINVAL, device(dev, ATTACH, nested));
	ASSERT_EQ(0, destroy(self->fd, nested));
	ASSERT_EQ(0, destroy(self->fd, parent));

	/* Nothing, not all, and something else at the end */
	EXPECT_EQ(-EINVAL, device(dev, ATTACH, hwpt));
	ASSERT_EQ(0, map_user(self->fd, ioas, buffer,
			      LU_BUFFER_SIZE - PAGE_SIZE, LU_IOVA));
	EXPECT_EQ(-EINVAL, device(dev, ATTACH, hwpt));
	ASSERT_EQ(0, map_user(self->fd, ioas, buffer, PAGE_SIZE,
			      LU_IOVA + LU_BUFFER_SIZE - PAGE_SIZE));
	EXPECT_EQ(-EINVAL, device(dev, ATTACH, hwpt));
	EXPECT_ENTRY_EQ(self->entry, self->fd, RID);
	EXPECT_EQ(1, device(dev, IS_RESTORED, 0));

	ASSERT_EQ(0, unmap(self->fd, ioas, LU_IOVA + LU_BUFFER_SIZE - PAGE_SIZE,
			   PAGE_SIZE));
	ASSERT_EQ(0, map_user(self->fd, ioas,
			      buffer + LU_BUFFER_SIZE - PAGE_SIZE, PAGE_SIZE,
			      LU_IOVA + LU_BUFFER_SIZE - PAGE_SIZE));

	/* The same memory, but the device cannot write to the last page. */
	ASSERT_EQ(0, unmap(self->fd, ioas, LU_IOVA + LU_BUFFER_SIZE - PAGE_SIZE,
			   PAGE_SIZE));
	ASSERT_EQ(0, map_user_prot(self->fd, ioas,
				   buffer + LU_BUFFER_SIZE - PAGE_SIZE,
				   PAGE_SIZE,
				   LU_IOVA + LU_BUFFER_SIZE - PAGE_SIZE,
				   READ_FIXED));
	EXPECT_EQ(-EINVAL, device(dev, ATTACH, hwpt));
	EXPECT_ENTRY_EQ(self->entry, self->fd, RID);
	ASSERT_EQ(0, unmap(self->fd, ioas, LU_IOVA + LU_BUFFER_SIZE - PAGE_SIZE,
			   PAGE_SIZE));
	ASSERT_EQ(0, map_user(self->fd, ioas,
			      buffer + LU_BUFFER_SIZE - PAGE_SIZE, PAGE_SIZE,
			      LU_IOVA + LU_BUFFER_SIZE - PAGE_SIZE));
	EXPECT_EQ(0, device(dev, ATTACH, hwpt));
	EXPECT_EQ(self->entry.writes + 1, lu_entry(self->fd, RID).writes);

	/* It is about what is replaced, not about what replaces. */
	EXPECT_EQ(0, device(dev, ATTACH, self->hwpt2));
	EXPECT_EQ(0, destroy(self->fd, old));
	EXPECT_EQ(0, session_cmd(self->fd, FINISH));
	EXPECT_EQ(0, close(dev));
}

/* The last time it was asked for counts. */
TEST_F(next_kernel, not_strict)
{
	__u32 ioas = 0, idev = 0, hwpt, old;
	int dev;

	dev = open_device(self->fd, RID, &idev);
	ASSERT_LE(0, dev);
	ASSERT_EQ(0, restore(self->fd, TOKEN,
			     IOMMU_HWPT_LIVEUPDATE_RESTORE_STRICT, &old, NULL));
	ASSERT_EQ(0, restore(self->fd, TOKEN, 0, &old, NULL));
	ASSERT_EQ(0, _test_ioctl_ioas_alloc(self->fd, &ioas));
	ASSERT_EQ(0, hwpt_alloc(self->fd, idev, ioas, 0, &hwpt));
	EXPECT_EQ(0, device(dev, ATTACH, hwpt));
	EXPECT_EQ(0, destroy(self->fd, old));
	EXPECT_EQ(0, session_cmd(self->fd, FINISH));
	EXPECT_EQ(0, close(dev));
}

TEST_HARNESS_MAIN
