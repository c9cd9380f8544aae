// SPDX-License-Identifier: GPL-2.0-only
/*
 * What iommufd needs for a live update and has by itself: HWPTs without an IOAS,
 * immutable IOASes, and the marks of HWPTs.
 */
#include <pthread.h>
#include <stdbool.h>

#define __EXPORTED_HEADERS__
#include <linux/vfio.h>

#include "iommufd_session.h"
#include "iommufd_session_buffer.h"

/* One device, attached to one of the two HWPTs of an IOAS */
FIXTURE(iommufd_session)
{
	int fd;
	__u32 ioas;
	__u32 idev;
	__u32 hwpt;
	__u32 hwpt2;
	int dev;
};

FIXTURE_SETUP(iommufd_session)
{
	self->fd = open("/dev/iommu", O_RDWR);
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, _test_ioctl_ioas_alloc(self->fd, &self->ioas));
	self->dev = open_device(self->fd, 1, &self->idev);
	ASSERT_LE(0, self->dev);
	ASSERT_EQ(0, hwpt_alloc(self->fd, self->idev, self->ioas,
				IOMMU_HWPT_ALLOC_DIRTY_TRACKING, &self->hwpt));
	ASSERT_EQ(0, hwpt_alloc(self->fd, self->idev, self->ioas, 0,
				&self->hwpt2));
	ASSERT_EQ(0, device(self->dev, ATTACH, self->hwpt));
	ASSERT_EQ(0, map_user(self->fd, self->ioas, buffer, MAP_SIZE, IOVA));
}

FIXTURE_TEARDOWN(iommufd_session)
{
	if (self->dev >= 0)
		EXPECT_EQ(0, close(self->dev));
	EXPECT_EQ(0, close(self->fd));
}

TEST_F(iommufd_session, no_ioas)
{
	__u32 stdev, nested;

	ASSERT_EQ(0, session_cmd(self->fd, FORGET_IOAS, .id = self->hwpt));

	/* Nothing that goes by the areas of an IOAS */
	EXPECT_EQ(-EOPNOTSUPP, set_dirty(self->fd, self->hwpt, true));
	EXPECT_EQ(-EOPNOTSUPP, get_dirty(self->fd, self->hwpt, 0));
	EXPECT_EQ(-EINVAL, hwpt_alloc_nested(self->fd, self->idev, self->hwpt,
					     &nested));
	EXPECT_EQ(-EOPNOTSUPP, mark_set(self->fd, self->hwpt, 1));

	/* Nobody else can be attached. */
	EXPECT_EQ(-EINVAL, attach_stdev(self->fd, self->hwpt, &stdev));
	EXPECT_EQ(-EINVAL, device(self->dev, ATTACH_PASID, self->hwpt));
	EXPECT_EQ(-EBUSY, destroy(self->fd, self->hwpt));

	/* It can be replaced, which is for good. */
	ASSERT_EQ(0, device(self->dev, ATTACH, self->hwpt2));
	EXPECT_EQ(-EINVAL, device(self->dev, ATTACH, self->hwpt));
	EXPECT_EQ(0, destroy(self->fd, self->hwpt));
	EXPECT_EQ(0, device(self->dev, DETACH, 0));
	EXPECT_EQ(0, destroy(self->fd, self->hwpt2));
	EXPECT_EQ(0, destroy(self->fd, self->ioas));
}

TEST_F(iommufd_session, no_ioas_detach)
{
	ASSERT_EQ(0, session_cmd(self->fd, FORGET_IOAS, .id = self->hwpt));
	ASSERT_EQ(0, device(self->dev, DETACH, 0));
	EXPECT_EQ(-EINVAL, device(self->dev, ATTACH, self->hwpt));
	EXPECT_EQ(0, device(self->dev, ATTACH, self->hwpt2));
}

/* The file is closed with the device attached, after that of iommufd. */
TEST_F(iommufd_session, no_ioas_close)
{
	ASSERT_EQ(0, session_cmd(self->fd, FORGET_IOAS, .id = self->hwpt));
}

static void check_mutable(struct __test_metadata *_metadata,
			  FIXTURE_DATA(iommufd_session) *self)
{
	EXPECT_EQ(0, set_dirty(self->fd, self->hwpt, true));
	EXPECT_EQ(0, get_dirty(self->fd, self->hwpt, 0));
	EXPECT_EQ(0, set_dirty(self->fd, self->hwpt, false));
	EXPECT_EQ(0, map_user(self->fd, self->ioas, buffer, PAGE_SIZE,
			      IOVA + MAP_SIZE));
	EXPECT_EQ(0, unmap(self->fd, self->ioas, IOVA + MAP_SIZE, PAGE_SIZE));
}

static void check_immutable(struct __test_metadata *_metadata,
			    FIXTURE_DATA(iommufd_session) *self)
{
	__u64 next = IOVA + MAP_SIZE;
	__u32 ioas = 0, hwpt = 0;
	int memfd;

	memfd = create_memfd(0);
	ASSERT_LE(0, memfd);
	EXPECT_EQ(-EBUSY, map_user(self->fd, self->ioas, buffer, PAGE_SIZE,
				   next));
	EXPECT_EQ(-EBUSY, err(_test_ioctl_ioas_map(self->fd, self->ioas, buffer,
						   PAGE_SIZE, &next, RW)));
	EXPECT_EQ(-EBUSY, map_file(self->fd, self->ioas, memfd, 0, PAGE_SIZE,
				   next));
	EXPECT_EQ(0, close(memfd));
	EXPECT_EQ(-EBUSY, copy(self->fd, self->ioas, next, self->ioas, IOVA,
			       PAGE_SIZE));
	EXPECT_EQ(-EBUSY, unmap(self->fd, self->ioas, IOVA, MAP_SIZE));
	EXPECT_EQ(-EBUSY, unmap(self->fd, self->ioas, 0, UINT64_MAX));
	EXPECT_EQ(-EBUSY, unmap(self->fd, self->ioas, next, PAGE_SIZE));

	EXPECT_EQ(-EBUSY, set_dirty(self->fd, self->hwpt, true));
	EXPECT_EQ(-EBUSY, set_dirty(self->fd, self->hwpt, false));
	EXPECT_EQ(-EBUSY, get_dirty(self->fd, self->hwpt, 0));
	EXPECT_EQ(0, get_dirty(self->fd, self->hwpt,
			       IOMMU_HWPT_GET_DIRTY_BITMAP_NO_CLEAR));

	/* Other domains and other IOASes are not concerned. */
	ASSERT_EQ(0, hwpt_alloc(self->fd, self->idev, self->ioas, 0, &hwpt));
	EXPECT_EQ(0, destroy(self->fd, hwpt));
	ASSERT_EQ(0, _test_ioctl_ioas_alloc(self->fd, &ioas));
	EXPECT_EQ(0, copy(self->fd, ioas, IOVA, self->ioas, IOVA, PAGE_SIZE));
	EXPECT_EQ(0, unmap(self->fd, ioas, IOVA, PAGE_SIZE));
	EXPECT_EQ(0, destroy(self->fd, ioas));
}

TEST_F(iommufd_session, immutable)
{
	check_mutable(_metadata, self);
	ASSERT_EQ(0, session_cmd(self->fd, IMMUTABLE, .id = self->ioas));
	check_immutable(_metadata, self);
	ASSERT_EQ(0, session_cmd(self->fd, IMMUTABLE, .id = self->ioas));
	check_immutable(_metadata, self);
	ASSERT_EQ(0, session_cmd(self->fd, MUTABLE, .id = self->ioas));
	/* One is left. */
	check_immutable(_metadata, self);
	ASSERT_EQ(0, session_cmd(self->fd, MUTABLE, .id = self->ioas));
	check_mutable(_metadata, self);
	EXPECT_EQ(0, unmap(self->fd, self->ioas, IOVA, MAP_SIZE));
}

/* The VFIO compatibility splits areas. */
TEST_F(iommufd_session, immutable_cut)
{
	struct vfio_iommu_type1_dma_unmap cmd = {
		.argsz = sizeof(cmd),
		.iova = IOVA + PAGE_SIZE,
		.size = PAGE_SIZE,
	};
	struct iommu_vfio_ioas vfio = {
		.size = sizeof(vfio),
		.op = IOMMU_VFIO_IOAS_SET,
	};
	__u32 ioas;

	/* One without domains, whose areas can be split */
	ASSERT_EQ(0, _test_ioctl_ioas_alloc(self->fd, &ioas));
	vfio.ioas_id = ioas;
	ASSERT_EQ(0, ioctl(self->fd, IOMMU_VFIO_IOAS, &vfio));
	ASSERT_EQ(0, err(ioctl(self->fd, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU)));
	ASSERT_EQ(0, map_user(self->fd, ioas, buffer, MAP_SIZE, IOVA));

	ASSERT_EQ(0, session_cmd(self->fd, IMMUTABLE, .id = ioas));
	EXPECT_EQ(-EBUSY, err(ioctl(self->fd, VFIO_IOMMU_UNMAP_DMA, &cmd)));
	ASSERT_EQ(0, session_cmd(self->fd, MUTABLE, .id = ioas));

	/* It was not split: only the whole of it can be unmapped. */
	EXPECT_EQ(-ENOENT, unmap(self->fd, ioas, IOVA + PAGE_SIZE, PAGE_SIZE));
	EXPECT_EQ(0, err(ioctl(self->fd, VFIO_IOMMU_UNMAP_DMA, &cmd)));
	EXPECT_EQ(PAGE_SIZE, cmd.size);
}

struct mapper {
	int fd;
	__u32 ioas;
	int map_rc;
	int unmap_rc;
};

/* Until one of them fails */
static void *map_and_unmap(void *arg)
{
	struct mapper *mapper = arg;

	do {
		mapper->unmap_rc = 0;
		mapper->map_rc = map_user(mapper->fd, mapper->ioas, buffer,
					  PAGE_SIZE, IOVA + MAP_SIZE);
		if (!mapper->map_rc)
			mapper->unmap_rc = unmap(mapper->fd, mapper->ioas,
						 IOVA + MAP_SIZE, PAGE_SIZE);
	} while (!mapper->map_rc && !mapper->unmap_rc);
	return NULL;
}

/* Between the insertion of the area and the look at the domains */
TEST_F_TIMEOUT(iommufd_session, immutable_in_map, 300)
{
	struct mapper mapper = { .fd = self->fd, .ioas = self->ioas };
	pthread_t thread;

	ASSERT_EQ(0, pthread_create(&thread, NULL, map_and_unmap, &mapper));
	ASSERT_EQ(0, session_cmd(self->fd, IMMUTABLE_IN_MAP, .id = self->ioas));
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_EQ(-EBUSY, mapper.map_rc);
	EXPECT_EQ(0, mapper.unmap_rc);
	check_immutable(_metadata, self);
	ASSERT_EQ(0, session_cmd(self->fd, MUTABLE, .id = self->ioas));

	/* Nothing of it is left. */
	EXPECT_EQ(-ENOENT, unmap(self->fd, self->ioas, IOVA + MAP_SIZE,
				 PAGE_SIZE));
	check_mutable(_metadata, self);
}

struct toggler {
	int fd;
	__u32 ioas;
	int rc;
	bool stop;
};

static void *toggle_immutable(void *arg)
{
	struct toggler *toggler = arg;
	int fd = toggler->fd;
	int rc;

	do {
		rc = session_cmd(fd, IMMUTABLE, .id = toggler->ioas) ?:
		     session_cmd(fd, MUTABLE, .id = toggler->ioas);
	} while (!rc && !__atomic_load_n(&toggler->stop, __ATOMIC_RELAXED));
	toggler->rc = rc;
	return NULL;
}

static int create_access(int fd, __u32 ioas, __u32 *access)
{
	unsigned int flags = MOCK_FLAGS_ACCESS_CREATE_NEEDS_PIN_PAGES;

	return err(_test_cmd_create_access(fd, ioas, access, flags));
}

static int pin(int fd, __u32 access, __u32 *id)
{
	struct iommu_test_cmd cmd = {
		.size = sizeof(cmd),
		.op = IOMMU_TEST_OP_ACCESS_PAGES,
		.id = access,
		.access_pages = {
			.iova = IOVA,
			.length = PAGE_SIZE,
			.uptr = (uintptr_t)buffer,
		},
	};
	int rc = err(ioctl(fd, IOMMU_TEST_CMD, &cmd));

	*id = cmd.access_pages.out_access_pages_id;
	return rc;
}

/*
 * Between the two looks of an unmap at the same area: it shuts accesses out, has
 * those that there are end, and is refused then. Pinning works as before.
 */
TEST_F_TIMEOUT(iommufd_session, immutable_in_unmap, 300)
{
	struct toggler toggler = { .fd = self->fd, .ioas = self->ioas };
	__u32 access = 0, id = 0;
	pthread_t thread;
	int late = 0, rc;

	ASSERT_EQ(0, create_access(self->fd, self->ioas, &access));
	ASSERT_EQ(0, pthread_create(&thread, NULL, toggle_immutable, &toggler));
	do {
		ASSERT_EQ(0, pin(self->fd, access, &id));
		rc = unmap(self->fd, self->ioas, IOVA, MAP_SIZE);
		if (!rc) {
			do {
				rc = map_user(self->fd, self->ioas, buffer,
					      MAP_SIZE, IOVA);
			} while (rc == -EBUSY);
			ASSERT_EQ(0, rc);
			continue;
		}
		ASSERT_EQ(-EBUSY, rc);
		/* It was refused at once if the pin is still there. */
		rc = err(_test_cmd_destroy_access_pages(self->fd, access, id));
		late += rc == -ENOENT;
		ASSERT_EQ(true, !rc || rc == -ENOENT);
	} while (late < 10);
	EXPECT_EQ(0, pin(self->fd, access, &id));

	__atomic_store_n(&toggler.stop, true, __ATOMIC_RELAXED);
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_EQ(0, toggler.rc);
	EXPECT_EQ(0, close(access));
	check_mutable(_metadata, self);
}

/* Members that a later kernel may give a meaning */
TEST_F(iommufd_session, mark_reserved)
{
	struct iommu_hwpt_liveupdate_preserve cmd = {
		.size = sizeof(cmd),
		.hwpt_id = self->hwpt,
		.flags = IOMMU_HWPT_LIVEUPDATE_PRESERVE_SET,
		.token = 1,
		.__reserved = 1,
	};

	EXPECT_EQ(-EOPNOTSUPP,
		  err(ioctl(self->fd, IOMMU_HWPT_LIVEUPDATE_PRESERVE, &cmd)));
	EXPECT_EQ(-ENOENT, mark_clear(self->fd, self->hwpt));
	cmd.__reserved = 0;
	EXPECT_EQ(0, err(ioctl(self->fd, IOMMU_HWPT_LIVEUPDATE_PRESERVE,
			       &cmd)));
}

TEST_F(iommufd_session, mark)
{
	__u64 token = 0xfedcba9876543210;
	__u32 ioas = 0, id = 0;

	/* An intent, which can be taken back, and hinders only destruction */
	for (int i = 0; i < 3; i++) {
		ASSERT_EQ(0, mark_set(self->fd, self->hwpt2, token));
		EXPECT_EQ(-EBUSY, destroy(self->fd, self->hwpt2));
		EXPECT_EQ(-EEXIST, mark_set(self->fd, self->hwpt2, token));
		EXPECT_EQ(-EEXIST, mark_set(self->fd, self->hwpt2, token + 1));
		EXPECT_EQ(-EEXIST, mark_set(self->fd, self->hwpt, token));
		EXPECT_EQ(0, mark_set(self->fd, self->hwpt, token + 1));
		check_mutable(_metadata, self);
		EXPECT_EQ(0, mark_clear(self->fd, self->hwpt));
		EXPECT_EQ(-ENOENT, mark_clear(self->fd, self->hwpt));
		EXPECT_EQ(0, mark_clear(self->fd, self->hwpt2));
	}
	EXPECT_EQ(0, mark_set(self->fd, self->hwpt, 0));
	EXPECT_EQ(0, mark_clear(self->fd, self->hwpt));
	EXPECT_EQ(0, destroy(self->fd, self->hwpt2));

	EXPECT_EQ(-EINVAL, mark(self->fd, self->hwpt, 0, token));
	EXPECT_EQ(-EINVAL,
		  mark(self->fd, self->hwpt,
		       IOMMU_HWPT_LIVEUPDATE_PRESERVE_SET |
			       IOMMU_HWPT_LIVEUPDATE_PRESERVE_CLEAR, 0));
	EXPECT_EQ(-EOPNOTSUPP, mark(self->fd, self->hwpt, 4, token));
	EXPECT_EQ(-EINVAL, mark(self->fd, self->hwpt,
				IOMMU_HWPT_LIVEUPDATE_PRESERVE_CLEAR, token));
	EXPECT_EQ(-ENOENT, mark_set(self->fd, self->ioas, token));
	EXPECT_EQ(-ENOENT, mark_set(self->fd, self->idev, token));
	EXPECT_EQ(-ENOENT, mark_set(self->fd, 12345, token));
	EXPECT_EQ(-ENOENT, restore(self->fd, token, 0, &id, NULL));
	EXPECT_EQ(-EOPNOTSUPP, restore(self->fd, token, 2, &id, NULL));

	/* Closing the file takes the mark back. */
	ASSERT_EQ(0, _test_ioctl_ioas_alloc(self->fd, &ioas));
	ASSERT_EQ(0, hwpt_alloc(self->fd, self->idev, ioas, 0, &id));
	EXPECT_EQ(0, mark_set(self->fd, id, token));
}

TEST_F(iommufd_session, mark_kinds)
{
	__u32 hwpt = 0, nested, stdev, fault = 0, fault_fd = 0;

	ASSERT_EQ(0, hwpt_alloc(self->fd, self->idev, self->ioas,
				IOMMU_HWPT_ALLOC_NEST_PARENT, &hwpt));
	EXPECT_EQ(-EOPNOTSUPP, mark_set(self->fd, hwpt, 1));
	ASSERT_EQ(0, hwpt_alloc_nested(self->fd, self->idev, hwpt, &nested));
	EXPECT_EQ(-EOPNOTSUPP, mark_set(self->fd, nested, 1));

	/* One of those that iommufd makes and destroys by itself */
	ASSERT_EQ(0, err(_test_cmd_mock_domain(self->fd, self->ioas, &stdev,
					       &hwpt, NULL)));
	EXPECT_EQ(-EOPNOTSUPP, mark_set(self->fd, hwpt, 1));

	ASSERT_EQ(0, err(_test_ioctl_fault_alloc(self->fd, &fault, &fault_fd)));
	ASSERT_EQ(0, err(_test_cmd_hwpt_alloc(self->fd, self->idev, self->ioas,
					      fault, IOMMU_HWPT_FAULT_ID_VALID,
					      &hwpt, IOMMU_HWPT_DATA_NONE, NULL,
					      0)));
	EXPECT_EQ(-EOPNOTSUPP, mark_set(self->fd, hwpt, 1));
	EXPECT_EQ(0, close(fault_fd));

	ASSERT_EQ(0, set_dirty(self->fd, self->hwpt, true));
	EXPECT_EQ(-EOPNOTSUPP, mark_set(self->fd, self->hwpt, 1));
	ASSERT_EQ(0, set_dirty(self->fd, self->hwpt, false));
	EXPECT_EQ(0, mark_set(self->fd, self->hwpt, 1));
}

TEST_F(iommufd_session, mark_noiommu)
{
	__u32 idev = 0, hwpt;
	int dev;

	dev = open_noiommu_device(self->fd, &idev);
	if (dev == -EOPNOTSUPP)
		SKIP(return, "a device needs an IOMMU in this kernel");
	ASSERT_LE(0, dev);
	ASSERT_EQ(0, noiommu_hwpt_alloc(self->fd, idev, &hwpt));
	EXPECT_EQ(-EOPNOTSUPP, mark_set(self->fd, hwpt, 1));
	ASSERT_EQ(0, device(dev, ATTACH, hwpt));
	EXPECT_EQ(-EOPNOTSUPP, mark_set(self->fd, hwpt, 1));
	EXPECT_EQ(-ENOENT, mark_clear(self->fd, hwpt));
	EXPECT_EQ(0, close(dev));
	EXPECT_EQ(0, destroy(self->fd, hwpt));
}

TEST_F_TIMEOUT(iommufd_session, mark_many, 300)
{
	__u32 hwpt[1025];

	for (int i = 0; i < ARRAY_SIZE(hwpt); i++) {
		ASSERT_EQ(0, hwpt_alloc(self->fd, self->idev, self->ioas, 0,
					&hwpt[i]));
		ASSERT_EQ(i < 1024 ? 0 : -ENOSPC,
			  mark_set(self->fd, hwpt[i], i));
	}
	EXPECT_EQ(0, mark_clear(self->fd, hwpt[3]));
	EXPECT_EQ(0, mark_set(self->fd, hwpt[1024], 3));
}

TEST_HARNESS_MAIN
