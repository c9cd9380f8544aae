// SPDX-License-Identifier: GPL-2.0-only
/*
 * The kernel that leaves: iommufds and devices that are preserved in a session
 * of LUO, each refusal, and that all of it can be undone.
 */
#include "iommufd_session.h"
#include "iommufd_session_buffer.h"

enum {
	TOKEN_MEMFD = 1,
	TOKEN_MEMFD2,
	TOKEN_IOMMUFD,
	TOKEN_DEVICE,
};

/*
 * @dev is attached to @hwpt, which is marked and maps all of @memfd, in the
 * second half of what it maps first. @hwpt2 is of another IOAS.
 */
FIXTURE(session)
{
	int fd;
	int session;
	int memfd;
	int dev;
	__u32 idev;
	__u32 ioas;
	__u32 hwpt;
	__u32 ioas2;
	__u32 hwpt2;
};

FIXTURE_SETUP(session)
{
	self->session = create_session("iommufd");
	if (self->session == -ENOENT)
		SKIP(return, "no live update");
	ASSERT_LE(0, self->session);
	self->memfd = create_memfd(SEALS);
	ASSERT_LE(0, self->memfd);
	self->fd = open("/dev/iommu", O_RDWR);
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, _test_ioctl_ioas_alloc(self->fd, &self->ioas));
	ASSERT_EQ(0, _test_ioctl_ioas_alloc(self->fd, &self->ioas2));
	self->dev = open_device(self->fd, 1, &self->idev);
	ASSERT_LE(0, self->dev);
	ASSERT_EQ(0, hwpt_alloc(self->fd, self->idev, self->ioas,
				IOMMU_HWPT_ALLOC_DIRTY_TRACKING, &self->hwpt));
	ASSERT_EQ(0, hwpt_alloc(self->fd, self->idev, self->ioas2,
				IOMMU_HWPT_ALLOC_DIRTY_TRACKING, &self->hwpt2));
	ASSERT_EQ(0, device(self->dev, ATTACH, self->hwpt));

	ASSERT_EQ(0, map_file(self->fd, self->ioas, self->memfd, MAP_SIZE / 2,
			      MAP_SIZE / 2, IOVA));
	ASSERT_EQ(0, map_file(self->fd, self->ioas, self->memfd, 0,
			      MAP_SIZE / 2, IOVA + MAP_SIZE));
	/* Less than a page: the mock IOMMU has smaller ones. */
	ASSERT_EQ(0, map_file(self->fd, self->ioas, self->memfd,
			      PAGE_SIZE + MOCK_PAGE_SIZE, PAGE_SIZE,
			      IOVA + 4 * MAP_SIZE + MOCK_PAGE_SIZE));
	ASSERT_EQ(0, mark_set(self->fd, self->hwpt, 7));
}

FIXTURE_TEARDOWN(session)
{
	if (self->session < 0)
		return;
	EXPECT_EQ(0, close(self->session));
	EXPECT_EQ(0, close(self->dev));
	EXPECT_EQ(0, close(self->fd));
	EXPECT_EQ(0, close(self->memfd));
}

#define preserve_iommufd() preserve(self->session, self->fd, TOKEN_IOMMUFD)
#define preserve_memfd() preserve(self->session, self->memfd, TOKEN_MEMFD)
#define preserve_device() preserve(self->session, self->dev, TOKEN_DEVICE)

#define reopen_session()                                  \
	({                                                \
		ASSERT_EQ(0, close(self->session));       \
		self->session = create_session("iommufd"); \
		ASSERT_LE(0, self->session);              \
	})

/* An attempt that failed has changed nothing, and another one can succeed. */
#define check_undone()                                                       \
	({                                                                   \
		EXPECT_EQ(0, mark_set(self->fd, self->hwpt2, 99));           \
		EXPECT_EQ(0, mark_clear(self->fd, self->hwpt2));             \
		EXPECT_EQ(0, map_user(self->fd, self->ioas, buffer,          \
				      PAGE_SIZE, IOVA + 8 * MAP_SIZE));      \
		EXPECT_EQ(0, unmap(self->fd, self->ioas,                     \
				   IOVA + 8 * MAP_SIZE, PAGE_SIZE));         \
		EXPECT_EQ(0, device(self->dev, IS_PRESERVED, 0));            \
		EXPECT_EQ(0, device(self->dev, ATTACH, self->hwpt2));        \
		EXPECT_EQ(0, device(self->dev, ATTACH, self->hwpt));         \
	})

TEST_F(session, preserve_and_undo)
{
	__u32 stdev;

	for (int i = 0; i < 3; i++) {
		ASSERT_EQ(0, preserve_memfd());
		ASSERT_EQ(0, preserve_iommufd());

		EXPECT_EQ(-EBUSY, preserve(self->session, self->fd, 50));
		EXPECT_EQ(-EBUSY, mark_clear(self->fd, self->hwpt));
		EXPECT_EQ(-EBUSY, mark_set(self->fd, self->hwpt2, 8));
		EXPECT_EQ(-EBUSY, destroy(self->fd, self->hwpt));
		EXPECT_EQ(-EBUSY, map_user(self->fd, self->ioas, buffer,
					   PAGE_SIZE, IOVA + 8 * MAP_SIZE));
		EXPECT_EQ(-EBUSY, unmap(self->fd, self->ioas, IOVA,
					MAP_SIZE / 2));
		EXPECT_EQ(-EBUSY, set_dirty(self->fd, self->hwpt, true));

		/* The page table is preserved, the device is not. */
		EXPECT_EQ(0, device(self->dev, IS_PRESERVED, 0));
		EXPECT_EQ(0, device(self->dev, ATTACH, self->hwpt2));
		EXPECT_EQ(0, device(self->dev, ATTACH, self->hwpt));
		EXPECT_EQ(0, map_user(self->fd, self->ioas2, buffer, PAGE_SIZE,
				      IOVA));
		EXPECT_EQ(0, unmap(self->fd, self->ioas2, IOVA, PAGE_SIZE));
		ASSERT_EQ(0, attach_stdev(self->fd, self->hwpt, &stdev));
		EXPECT_EQ(0, destroy(self->fd, stdev));

		reopen_session();
		check_undone();
	}
}

/* Several HWPTs of an IOAS: it is immutable until the last one is undone. */
TEST_F(session, shared_ioas)
{
	__u32 hwpt;

	ASSERT_EQ(0, hwpt_alloc(self->fd, self->idev, self->ioas, 0, &hwpt));
	ASSERT_EQ(0, mark_set(self->fd, hwpt, 8));
	ASSERT_EQ(0, mark_set(self->fd, self->hwpt2, 9));
	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(0, preserve_memfd());
		ASSERT_EQ(0, preserve_iommufd());
		EXPECT_EQ(-EBUSY, unmap(self->fd, self->ioas, IOVA,
					MAP_SIZE / 2));
		EXPECT_EQ(-EBUSY, map_user(self->fd, self->ioas2, buffer,
					   PAGE_SIZE, IOVA));
		reopen_session();
	}
	EXPECT_EQ(0, unmap(self->fd, self->ioas, IOVA, MAP_SIZE / 2));
	EXPECT_EQ(0, map_user(self->fd, self->ioas2, buffer, PAGE_SIZE, IOVA));
}

TEST_F(session, nothing_marked)
{
	ASSERT_EQ(0, mark_clear(self->fd, self->hwpt));
	ASSERT_EQ(0, preserve_memfd());
	EXPECT_EQ(-EINVAL, preserve_iommufd());
	check_undone();
}

TEST_F(session, memory_not_preserved)
{
	int other = create_memfd(SEALS);

	ASSERT_LE(0, other);
	EXPECT_EQ(-ENOENT, preserve_iommufd());
	check_undone();

	/* Not all of it */
	ASSERT_EQ(0, preserve_memfd());
	ASSERT_EQ(0, map_file(self->fd, self->ioas, other, 0, PAGE_SIZE,
			      IOVA + 2 * MAP_SIZE));
	EXPECT_EQ(-ENOENT, preserve_iommufd());
	check_undone();

	ASSERT_EQ(0, preserve(self->session, other, TOKEN_MEMFD2));
	EXPECT_EQ(0, preserve_iommufd());
	EXPECT_EQ(0, close(other));
}

TEST_F(session, memory_in_other_session)
{
	int other = create_session("other");

	ASSERT_LE(0, other);
	ASSERT_EQ(0, preserve(other, self->memfd, TOKEN_MEMFD));
	EXPECT_EQ(-ENOENT, preserve_iommufd());
	check_undone();
	EXPECT_EQ(0, close(other));
	ASSERT_EQ(0, preserve_memfd());
	EXPECT_EQ(0, preserve_iommufd());
}

TEST_F(session, memory_of_other_kinds)
{
	__u64 iova = IOVA + 2 * MAP_SIZE;
	int dmabuf;

	ASSERT_EQ(0, preserve_memfd());
	ASSERT_EQ(0, map_user(self->fd, self->ioas, buffer, PAGE_SIZE, iova));
	EXPECT_EQ(-EOPNOTSUPP, preserve_iommufd());
	check_undone();
	ASSERT_EQ(0, unmap(self->fd, self->ioas, iova, PAGE_SIZE));

	ASSERT_EQ(0, err(_test_cmd_get_dmabuf(self->fd, PAGE_SIZE, &dmabuf)));
	ASSERT_EQ(0, map_file(self->fd, self->ioas, dmabuf, 0, PAGE_SIZE,
			      iova));
	EXPECT_EQ(-EOPNOTSUPP, preserve_iommufd());
	check_undone();
	ASSERT_EQ(0, unmap(self->fd, self->ioas, iova, PAGE_SIZE));
	EXPECT_EQ(0, close(dmabuf));
	EXPECT_EQ(0, preserve_iommufd());
}

TEST_F(session, seals)
{
	const int seals[] = { 0, F_SEAL_SHRINK | F_SEAL_GROW,
			      F_SEAL_SEAL | F_SEAL_GROW,
			      F_SEAL_SEAL | F_SEAL_SHRINK };
	int memfd;

	ASSERT_EQ(0, preserve_memfd());
	for (int i = 0; i < ARRAY_SIZE(seals); i++) {
		memfd = create_memfd(seals[i]);
		ASSERT_LE(0, memfd);
		ASSERT_EQ(0, map_file(self->fd, self->ioas, memfd, 0, PAGE_SIZE,
				      IOVA + 2 * MAP_SIZE));
		ASSERT_EQ(0, preserve(self->session, memfd, 100 + i));
		EXPECT_EQ(-EPERM, preserve_iommufd());
		check_undone();
		ASSERT_EQ(0, unmap(self->fd, self->ioas, IOVA + 2 * MAP_SIZE,
				   PAGE_SIZE));
		EXPECT_EQ(0, close(memfd));
	}
	EXPECT_EQ(0, preserve_iommufd());
}

/* The page that is mapped is not the one in the file any more. */
TEST_F(session, hole)
{
	const int holes[] = { 0, MAP_SIZE / PAGE_SIZE / 2 - 1,
			      MAP_SIZE / PAGE_SIZE / 2,
			      MAP_SIZE / PAGE_SIZE - 1, 1, 2 };
	__u64 iova = IOVA + 16 * MAP_SIZE;
	int memfd;

	ASSERT_EQ(0, preserve_memfd());
	for (int i = 0; i < ARRAY_SIZE(holes); i++) {
		memfd = create_memfd(SEALS);
		ASSERT_LE(0, memfd);
		ASSERT_EQ(0, map_file(self->fd, self->ioas, memfd, 0, MAP_SIZE,
				      iova));
		ASSERT_EQ(0, punch_hole(memfd, holes[i] * PAGE_SIZE,
					PAGE_SIZE));
		ASSERT_EQ(0, preserve(self->session, memfd, 100 + i));
		EXPECT_EQ(-EINVAL, preserve_iommufd());
		check_undone();

		/* Mapped again it is what is in the file. */
		ASSERT_EQ(0, unmap(self->fd, self->ioas, iova, MAP_SIZE));
		ASSERT_EQ(0, map_file(self->fd, self->ioas, memfd, 0, MAP_SIZE,
				      iova));
		EXPECT_EQ(0, close(memfd));
		iova += MAP_SIZE;
	}
	EXPECT_EQ(0, preserve_iommufd());
}

static int write_file(const char *name, const char *value)
{
	int fd = open(name, O_WRONLY);
	int rc;

	if (fd < 0)
		return -errno;
	rc = write(fd, value, strlen(value)) < 0 ? -errno : 0;
	close(fd);
	return rc;
}

/* The same with folios of many pages, of which the hole takes one away */
TEST_F(session, hole_in_huge)
{
	const char *setting = "/sys/kernel/mm/transparent_hugepage/shmem_enabled";
	const size_t length = 4 << 20;
	__u64 iova = IOVA + (64 << 20);
	int memfd;

	if (write_file(setting, "force"))
		SKIP(return, "no huge pages in shared memory");
	memfd = memfd_create("huge", MFD_ALLOW_SEALING);
	ASSERT_LE(0, memfd);
	EXPECT_EQ(0, fallocate(memfd, 0, 0, length));
	EXPECT_EQ(0, fcntl(memfd, F_ADD_SEALS, SEALS));
	EXPECT_EQ(0, write_file(setting, "never"));

	ASSERT_EQ(0, map_file(self->fd, self->ioas, memfd, 0, length, iova));
	ASSERT_EQ(0, preserve_memfd());
	ASSERT_EQ(0, preserve(self->session, memfd, TOKEN_MEMFD2));
	ASSERT_EQ(0, preserve_iommufd());
	reopen_session();

	ASSERT_EQ(0, punch_hole(memfd, length / 2, length / 2));
	ASSERT_EQ(0, preserve_memfd());
	ASSERT_EQ(0, preserve(self->session, memfd, TOKEN_MEMFD2));
	EXPECT_EQ(-EINVAL, preserve_iommufd());
	check_undone();
	EXPECT_EQ(0, close(memfd));
}

/*
 * A page that was pinned through another IOAS before the file lost it, between
 * pages that the file has now: nothing but that page tells.
 */
TEST_F(session, stale_page_in_huge)
{
	const char *setting = "/sys/kernel/mm/transparent_hugepage/shmem_enabled";
	const size_t length = 2 << 20;
	__u64 iova = IOVA + (64 << 20);
	__u32 ioas = 0, hwpt;
	int memfd;

	memfd = memfd_create("stale", MFD_ALLOW_SEALING);
	ASSERT_LE(0, memfd);
	ASSERT_EQ(0, fallocate(memfd, 0, 0, length));
	ASSERT_EQ(0, fcntl(memfd, F_ADD_SEALS, SEALS));

	/* Nothing is pinned by an IOAS without a page table. */
	ASSERT_EQ(0, _test_ioctl_ioas_alloc(self->fd, &ioas));
	ASSERT_EQ(0, map_file(self->fd, ioas, memfd, 0, length, iova));
	ASSERT_EQ(0, copy(self->fd, self->ioas2, iova, ioas,
			  iova + length / 2, PAGE_SIZE));

	if (write_file(setting, "force"))
		SKIP(return, "no huge pages in shared memory");
	EXPECT_EQ(0, punch_hole(memfd, 0, length));
	EXPECT_EQ(0, fallocate(memfd, 0, 0, length));
	EXPECT_EQ(0, write_file(setting, "never"));
	ASSERT_EQ(0, hwpt_alloc(self->fd, self->idev, ioas, 0, &hwpt));
	ASSERT_EQ(0, mark_set(self->fd, hwpt, 9));

	ASSERT_EQ(0, preserve_memfd());
	ASSERT_EQ(0, preserve(self->session, memfd, TOKEN_MEMFD2));
	EXPECT_EQ(-EINVAL, preserve_iommufd());
	check_undone();

	/* Once the old page is forgotten, what is mapped is the file's. */
	ASSERT_EQ(0, mark_clear(self->fd, hwpt));
	ASSERT_EQ(0, destroy(self->fd, hwpt));
	ASSERT_EQ(0, unmap(self->fd, self->ioas2, iova, PAGE_SIZE));
	ASSERT_EQ(0, hwpt_alloc(self->fd, self->idev, ioas, 0, &hwpt));
	ASSERT_EQ(0, mark_set(self->fd, hwpt, 9));
	EXPECT_EQ(0, preserve_iommufd());
	EXPECT_EQ(0, close(memfd));
}

/* What fails last is undone with all that was done before. */
TEST_F(session, second_hwpt_fails)
{
	ASSERT_EQ(0, preserve_memfd());
	ASSERT_EQ(0, mark_set(self->fd, self->hwpt2, 8));
	ASSERT_EQ(0, set_dirty(self->fd, self->hwpt2, true));
	for (int i = 0; i < 3; i++) {
		EXPECT_EQ(-EOPNOTSUPP, preserve_iommufd());
		EXPECT_EQ(0, map_user(self->fd, self->ioas, buffer, PAGE_SIZE,
				      IOVA + 8 * MAP_SIZE));
		EXPECT_EQ(0, unmap(self->fd, self->ioas, IOVA + 8 * MAP_SIZE,
				   PAGE_SIZE));
	}
	ASSERT_EQ(0, set_dirty(self->fd, self->hwpt2, false));
	EXPECT_EQ(0, preserve_iommufd());
}

TEST_F(session, device)
{
	for (int i = 0; i < 3; i++) {
		ASSERT_EQ(0, preserve_memfd());
		EXPECT_EQ(-ENOENT, preserve_device());
		ASSERT_EQ(0, preserve_iommufd());
		EXPECT_EQ(0, device(self->dev, IS_PRESERVED, 0));
		ASSERT_EQ(0, preserve_device());

		EXPECT_EQ(1, device(self->dev, IS_PRESERVED, 0));
		EXPECT_EQ(-EBUSY, preserve(self->session, self->dev, 50));
		EXPECT_EQ(-EBUSY, device(self->dev, DETACH, 0));
		EXPECT_EQ(-EBUSY, device(self->dev, ATTACH, self->hwpt2));
		EXPECT_EQ(-EBUSY, destroy(self->fd, self->hwpt));
		EXPECT_EQ(1, device(self->dev, IS_PRESERVED, 0));

		reopen_session();
		check_undone();
	}
}

TEST_F(session, device_not_attached)
{
	ASSERT_EQ(0, preserve_memfd());
	ASSERT_EQ(0, preserve_iommufd());
	ASSERT_EQ(0, device(self->dev, DETACH, 0));
	EXPECT_EQ(-ENOENT, preserve_device());

	/* To something that stays behind */
	ASSERT_EQ(0, device(self->dev, ATTACH, self->hwpt2));
	EXPECT_EQ(-EINVAL, preserve_device());
	ASSERT_EQ(0, device(self->dev, ATTACH, self->hwpt));
	EXPECT_EQ(0, preserve_device());
}

TEST_F(session, device_nested)
{
	__u32 parent, nested;

	ASSERT_EQ(0, hwpt_alloc(self->fd, self->idev, self->ioas,
				IOMMU_HWPT_ALLOC_NEST_PARENT, &parent));
	ASSERT_EQ(0, hwpt_alloc_nested(self->fd, self->idev, parent, &nested));
	ASSERT_EQ(0, preserve_memfd());
	ASSERT_EQ(0, preserve_iommufd());
	ASSERT_EQ(0, device(self->dev, ATTACH, nested));
	EXPECT_EQ(-EINVAL, preserve_device());
}

/* A device that a guest has its own view of */
TEST_F(session, device_viommu)
{
	__u32 parent, viommu, vdevice;

	ASSERT_EQ(0, hwpt_alloc(self->fd, self->idev, self->ioas2,
				IOMMU_HWPT_ALLOC_NEST_PARENT, &parent));
	ASSERT_EQ(0, err(_test_cmd_viommu_alloc(self->fd, self->idev, parent, 0,
						IOMMU_VIOMMU_TYPE_SELFTEST,
						NULL, 0, &viommu)));
	ASSERT_EQ(0, err(_test_cmd_vdevice_alloc(self->fd, viommu, self->idev,
						 0x99, &vdevice)));
	ASSERT_EQ(0, preserve_memfd());
	ASSERT_EQ(0, preserve_iommufd());
	EXPECT_EQ(-EOPNOTSUPP, preserve_device());
	EXPECT_EQ(0, device(self->dev, IS_PRESERVED, 0));
	ASSERT_EQ(0, destroy(self->fd, vdevice));
	EXPECT_EQ(0, preserve_device());
	reopen_session();
	check_undone();
}

TEST_F(session, device_noiommu)
{
	__u32 idev = 0, hwpt;
	int dev;

	dev = open_noiommu_device(self->fd, &idev);
	if (dev == -EOPNOTSUPP)
		SKIP(return, "a device needs an IOMMU in this kernel");
	ASSERT_LE(0, dev);
	ASSERT_EQ(0, noiommu_hwpt_alloc(self->fd, idev, &hwpt));
	ASSERT_EQ(0, device(dev, ATTACH, hwpt));
	ASSERT_EQ(0, preserve_memfd());
	ASSERT_EQ(0, preserve_iommufd());
	EXPECT_EQ(-EOPNOTSUPP, preserve(self->session, dev, TOKEN_DEVICE));
	EXPECT_EQ(0, device(dev, IS_PRESERVED, 0));
	EXPECT_EQ(0, preserve_device());
	reopen_session();
	EXPECT_EQ(0, close(dev));
	check_undone();
}

/* The page of an MSI controller is mapped, but is in no file. */
TEST_F(session, sw_msi)
{
	ASSERT_EQ(0, preserve_memfd());
	ASSERT_EQ(0, session_cmd(self->fd, SW_MSI, .id = self->hwpt,
				 .session.value = 1));
	EXPECT_EQ(-EOPNOTSUPP, preserve_iommufd());
	check_undone();
	ASSERT_EQ(0, session_cmd(self->fd, SW_MSI, .id = self->hwpt));
	ASSERT_EQ(0, preserve_iommufd());

	/* None is mapped yet, but the device is going to need one. */
	ASSERT_EQ(0, session_cmd(self->fd, SW_MSI, .id = self->idev,
				 .session.value = 1,
				 .session.iova = IOVA + 32 * MAP_SIZE));
	EXPECT_EQ(-EOPNOTSUPP, preserve_device());
	EXPECT_EQ(0, device(self->dev, IS_PRESERVED, 0));
	ASSERT_EQ(0, session_cmd(self->fd, SW_MSI, .id = self->idev));
	EXPECT_EQ(0, preserve_device());
}

/* The IOMMU cannot tell the two apart, and so they cannot be taken over. */
TEST_F(session, device_group)
{
	int dev;

	dev = open_sibling(self->fd, 2, self->idev, NULL);
	ASSERT_LE(0, dev);
	ASSERT_EQ(0, preserve_memfd());
	ASSERT_EQ(0, preserve_iommufd());
	EXPECT_EQ(-EOPNOTSUPP, preserve_device());
	EXPECT_EQ(-ENOENT, preserve(self->session, dev, 50));
	ASSERT_EQ(0, device(dev, ATTACH, self->hwpt));
	EXPECT_EQ(-EOPNOTSUPP, preserve_device());
	EXPECT_EQ(-EOPNOTSUPP, preserve(self->session, dev, 50));
	EXPECT_EQ(0, device(self->dev, IS_PRESERVED, 0));
	EXPECT_EQ(0, device(dev, IS_PRESERVED, 0));
	ASSERT_EQ(0, close(dev));

	/* Only one is left of it, and no other can come while it is preserved. */
	ASSERT_EQ(0, preserve_device());
	EXPECT_EQ(-ENODEV, open_sibling(self->fd, 2, self->idev, NULL));
	dev = open_device(self->fd, 2, NULL);
	EXPECT_LE(0, dev);
	EXPECT_EQ(0, close(dev));
	EXPECT_EQ(1, device(self->dev, IS_PRESERVED, 0));
	reopen_session();
	check_undone();
	dev = open_sibling(self->fd, 2, self->idev, NULL);
	EXPECT_LE(0, dev);
	EXPECT_EQ(0, close(dev));
}

TEST_F(session, device_pasid)
{
	__u32 pasid;

	/* Both have to be made for it. */
	ASSERT_EQ(0, hwpt_alloc(self->fd, self->idev, self->ioas,
				IOMMU_HWPT_ALLOC_PASID, &pasid));
	ASSERT_EQ(0, mark_set(self->fd, pasid, 8));
	ASSERT_EQ(0, device(self->dev, ATTACH, pasid));
	ASSERT_EQ(0, device(self->dev, ATTACH_PASID, pasid));
	ASSERT_EQ(0, preserve_memfd());
	ASSERT_EQ(0, preserve_iommufd());
	EXPECT_EQ(-EOPNOTSUPP, preserve_device());
	ASSERT_EQ(0, device(self->dev, DETACH_PASID, 0));
	EXPECT_EQ(0, preserve_device());
	EXPECT_EQ(-EBUSY, device(self->dev, ATTACH_PASID, pasid));
}

TEST_F(session, iommufd_in_other_session)
{
	int other = create_session("other");

	ASSERT_LE(0, other);
	ASSERT_EQ(0, preserve(other, self->memfd, TOKEN_MEMFD));
	ASSERT_EQ(0, preserve(other, self->fd, TOKEN_IOMMUFD));
	EXPECT_EQ(-ENOENT, preserve_device());
	EXPECT_EQ(0, preserve(other, self->dev, TOKEN_DEVICE));
	EXPECT_EQ(0, close(other));
}

TEST_F(session, device_of_other_iommufd)
{
	__u32 ioas = 0, idev = 0, hwpt;
	int fd, dev;

	fd = open("/dev/iommu", O_RDWR);
	ASSERT_LE(0, fd);
	dev = open_device(fd, 2, &idev);
	ASSERT_LE(0, dev);
	ASSERT_EQ(0, _test_ioctl_ioas_alloc(fd, &ioas));
	ASSERT_EQ(0, hwpt_alloc(fd, idev, ioas, 0, &hwpt));
	ASSERT_EQ(0, device(dev, ATTACH, hwpt));
	ASSERT_EQ(0, mark_set(fd, hwpt, 7));

	ASSERT_EQ(0, preserve_memfd());
	ASSERT_EQ(0, preserve_iommufd());
	EXPECT_EQ(-ENOENT, preserve(self->session, dev, TOKEN_DEVICE));

	/* Tokens of HWPTs are those of an iommufd. */
	ASSERT_EQ(0, preserve(self->session, fd, 60));
	EXPECT_EQ(0, preserve(self->session, dev, 61));
	EXPECT_EQ(0, preserve_device());
	EXPECT_EQ(0, close(dev));
	EXPECT_EQ(0, close(fd));
}

TEST_HARNESS_MAIN
