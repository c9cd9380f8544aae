/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Shared by the tests of iommufds in LUO sessions. All functions return 0 or an
 * error below 0.
 */
#ifndef __SELFTEST_IOMMUFD_SESSION
#define __SELFTEST_IOMMUFD_SESSION

#include <errno.h>
#include <fcntl.h>
#include <linux/liveupdate.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

/* The guard of this one ends before it does. */
#ifndef __SELFTEST_IOMMUFD_UTILS
#include "iommufd_utils.h"
#endif
#include "../../../../drivers/iommu/iommufd/selftest_session.h"

#define IOVA		(MOCK_APERTURE_START)
#define MAP_SIZE	(16 * PAGE_SIZE)
#define RW		(IOMMU_IOAS_MAP_WRITEABLE | IOMMU_IOAS_MAP_READABLE)
#define FIXED		(RW | IOMMU_IOAS_MAP_FIXED_IOVA)
#define READ_FIXED	(IOMMU_IOAS_MAP_READABLE | IOMMU_IOAS_MAP_FIXED_IOVA)
#define SEALS		(F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW)

/* A call that returns -1 and sets errno */
#define err(_call)	({ int __rc = (_call); __rc < 0 ? -errno : __rc; })

/* What the last command returned */
static __thread struct iommu_test_cmd reply;

static inline int __session_cmd(int fd, struct iommu_test_cmd cmd)
{
	cmd.size = sizeof(cmd);
	cmd.op = IOMMU_TEST_OP_SESSION;
	reply = cmd;
	return err(ioctl(fd, IOMMU_TEST_CMD, &reply));
}

#define session_cmd(_fd, _cmd, ...)                                          \
	__session_cmd(_fd, (struct iommu_test_cmd){                          \
				   .session.cmd = IOMMU_TEST_SESSION_##_cmd, \
				   ##__VA_ARGS__ })

static inline int mark(int fd, __u32 hwpt, __u32 flags, __u64 token)
{
	struct iommu_hwpt_liveupdate_preserve cmd = {
		.size = sizeof(cmd),
		.hwpt_id = hwpt,
		.flags = flags,
		.token = token,
	};

	return err(ioctl(fd, IOMMU_HWPT_LIVEUPDATE_PRESERVE, &cmd));
}

#define mark_set(_fd, _hwpt, _token) \
	mark(_fd, _hwpt, IOMMU_HWPT_LIVEUPDATE_PRESERVE_SET, _token)
#define mark_clear(_fd, _hwpt) \
	mark(_fd, _hwpt, IOMMU_HWPT_LIVEUPDATE_PRESERVE_CLEAR, 0)

static inline int restore(int fd, __u64 token, __u32 flags, __u32 *hwpt,
			  __u32 *alloc_flags)
{
	struct iommu_hwpt_liveupdate_restore cmd = {
		.size = sizeof(cmd),
		.flags = flags,
		.token = token,
	};
	int rc = err(ioctl(fd, IOMMU_HWPT_LIVEUPDATE_RESTORE, &cmd));

	*hwpt = cmd.out_hwpt_id;
	if (alloc_flags)
		*alloc_flags = cmd.out_alloc_flags;
	return rc;
}

/* What a command that makes a device returned: its file, or an error below 0 */
static inline int device_file(int rc, __u32 *idev)
{
	if (rc)
		return rc;
	if (idev)
		*idev = reply.session.out_id;
	return reply.session.out_fd;
}

static inline int open_device(int fd, __u32 rid, __u32 *idev)
{
	return device_file(session_cmd(fd, DEVICE, .session.value = rid), idev);
}

/* One that must not be mapped in the page at @reserved */
static inline int open_reserved_device(int fd, __u32 rid, __u64 reserved,
				       __u32 *idev)
{
	return device_file(session_cmd(fd, DEVICE, .session.value = rid,
				       .session.iova = reserved), idev);
}

/* Another one of the group of device @other */
static inline int open_sibling(int fd, __u32 rid, __u32 other, __u32 *idev)
{
	return device_file(session_cmd(fd, DEVICE, .id = other,
				       .session.value = rid), idev);
}

/* One that no IOMMU translates for. -EOPNOTSUPP if this kernel has no such */
static inline int open_noiommu_device(int fd, __u32 *idev)
{
	return device_file(session_cmd(fd, NOIOMMU), idev);
}

/* What iommufd_utils.h has for other tests */
static inline void ignore_unused(void)
{
	(void)mfd;
	(void)mfd_buffer;
}

#define device(_fd, _op, _pt) err(ioctl(_fd, IOMMU_TEST_DEVICE_##_op, _pt))

static inline int hwpt_alloc(int fd, __u32 idev, __u32 pt, __u32 flags,
			     __u32 *hwpt)
{
	*hwpt = 0;
	return err(_test_cmd_hwpt_alloc(fd, idev, pt, 0, flags, hwpt,
					IOMMU_HWPT_DATA_NONE, NULL, 0));
}

/* A page table that no hardware reads, of device @idev that has no IOMMU */
static inline int noiommu_hwpt_alloc(int fd, __u32 idev, __u32 *hwpt)
{
	__u32 ioas = 0;
	int rc = err(_test_ioctl_ioas_alloc(fd, &ioas));

	return rc ?: hwpt_alloc(fd, idev, ioas, 0, hwpt);
}

static inline int hwpt_alloc_nested(int fd, __u32 idev, __u32 parent,
				    __u32 *hwpt)
{
	struct iommu_hwpt_selftest data = {};

	*hwpt = 0;
	return err(_test_cmd_hwpt_alloc(fd, idev, parent, 0, 0, hwpt,
					IOMMU_HWPT_DATA_SELFTEST, &data,
					sizeof(data)));
}

static inline int set_dirty(int fd, __u32 hwpt, bool enable)
{
	return _test_cmd_set_dirty_tracking(fd, hwpt, enable);
}

/* Of what is mapped at IOVA */
static inline int get_dirty(int fd, __u32 hwpt, __u32 flags)
{
	static __u64 bitmap[16];

	return err(_test_cmd_get_dirty_bitmap(fd, hwpt, MAP_SIZE, IOVA,
					      PAGE_SIZE, bitmap, flags));
}

/* One of the other devices of the tests, attached to @pt */
static inline int attach_stdev(int fd, __u32 pt, __u32 *stdev)
{
	return err(_test_cmd_mock_domain(fd, pt, stdev, NULL, NULL));
}

static inline int destroy(int fd, __u32 id)
{
	return err(_test_ioctl_destroy(fd, id));
}

static inline int map_file(int fd, __u32 ioas, int memfd, size_t start,
			   size_t length, __u64 iova)
{
	return err(_test_ioctl_ioas_map_file(fd, ioas, memfd, start, length,
					     &iova, FIXED));
}

static inline int map_user_prot(int fd, __u32 ioas, void *memory, size_t length,
				__u64 iova, __u32 flags)
{
	return err(_test_ioctl_ioas_map(fd, ioas, memory, length, &iova,
					flags));
}

static inline int map_user(int fd, __u32 ioas, void *memory, size_t length,
			   __u64 iova)
{
	return map_user_prot(fd, ioas, memory, length, iova, FIXED);
}

static inline int unmap(int fd, __u32 ioas, __u64 iova, size_t length)
{
	return err(_test_ioctl_ioas_unmap(fd, ioas, iova, length, NULL));
}

static inline int copy(int fd, __u32 to, __u64 to_iova, __u32 from,
		       __u64 from_iova, size_t length)
{
	struct iommu_ioas_copy cmd = {
		.size = sizeof(cmd),
		.flags = FIXED,
		.dst_ioas_id = to,
		.src_ioas_id = from,
		.length = length,
		.dst_iova = to_iova,
		.src_iova = from_iova,
	};

	return err(ioctl(fd, IOMMU_IOAS_COPY, &cmd));
}

/* A memfd of MAP_SIZE that is filled and has @seals */
static inline int create_memfd(int seals)
{
	int fd = memfd_create("memory", MFD_ALLOW_SEALING);

	if (fd < 0)
		return -errno;
	if (fallocate(fd, 0, 0, MAP_SIZE) ||
	    (seals && fcntl(fd, F_ADD_SEALS, seals))) {
		int rc = -errno;

		close(fd);
		return rc;
	}
	return fd;
}

static inline int punch_hole(int fd, off_t start, off_t length)
{
	return err(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			     start, length));
}

/* A new session, or an error below 0. -ENOENT if there is no live update */
static inline int create_session(const char *name)
{
	struct liveupdate_ioctl_create_session cmd = { .size = sizeof(cmd) };
	int fd = open("/dev/liveupdate", O_RDWR);
	int rc;

	if (fd < 0)
		return -errno;
	snprintf((char *)cmd.name, sizeof(cmd.name), "%s-%d", name, getpid());
	rc = err(ioctl(fd, LIVEUPDATE_IOCTL_CREATE_SESSION, &cmd));
	close(fd);
	return rc ? rc : cmd.fd;
}

static inline int preserve(int session, int fd, __u64 token)
{
	struct liveupdate_session_preserve_fd cmd = {
		.size = sizeof(cmd),
		.fd = fd,
		.token = token,
	};

	return err(ioctl(session, LIVEUPDATE_SESSION_PRESERVE_FD, &cmd));
}

#endif
