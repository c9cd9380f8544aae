// SPDX-License-Identifier: GPL-2.0-only
/*
 * An iommufd of a kernel in which live update is switched off: it refuses what
 * belongs to that, and does everything else.
 */
#include "iommufd_session.h"
#include "iommufd_session_buffer.h"

TEST(off)
{
	__u32 ioas = 0, idev = 0, hwpt, hwpt2, id;
	int fd, dev;

	EXPECT_EQ(-ENOENT, create_session("iommufd"));

	fd = open("/dev/iommu", O_RDWR);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, _test_ioctl_ioas_alloc(fd, &ioas));
	dev = open_device(fd, 1, &idev);
	ASSERT_LE(0, dev);
	ASSERT_EQ(0, hwpt_alloc(fd, idev, ioas, 0, &hwpt));
	ASSERT_EQ(0, hwpt_alloc(fd, idev, ioas, 0, &hwpt2));

	EXPECT_EQ(-EOPNOTSUPP, mark_set(fd, hwpt, 1));
	EXPECT_EQ(-EOPNOTSUPP, mark_clear(fd, hwpt));
	EXPECT_EQ(-EOPNOTSUPP, restore(fd, 1, 0, &id, NULL));
	EXPECT_EQ(-EOPNOTSUPP,
		  restore(fd, 1, IOMMU_HWPT_LIVEUPDATE_RESTORE_STRICT, &id,
			  NULL));

	EXPECT_EQ(0, map_user(fd, ioas, buffer, MAP_SIZE, IOVA));
	EXPECT_EQ(0, device(dev, ATTACH, hwpt));
	EXPECT_EQ(0, device(dev, IS_PRESERVED, 0));
	EXPECT_EQ(0, device(dev, IS_RESTORED, 0));
	EXPECT_EQ(0, device(dev, ATTACH, hwpt2));
	EXPECT_EQ(0, destroy(fd, hwpt));
	EXPECT_EQ(0, device(dev, DETACH, 0));
	EXPECT_EQ(0, destroy(fd, hwpt2));
	EXPECT_EQ(0, unmap(fd, ioas, IOVA, MAP_SIZE));
	EXPECT_EQ(0, close(dev));
	EXPECT_EQ(0, close(fd));
}

TEST_HARNESS_MAIN
