/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * iommufd and its mock devices, as the tests that go over a kexec use them.
 */
#ifndef SELFTESTS_LIVEUPDATE_IOMMU_IOMMUFD_KEXEC_H
#define SELFTESTS_LIVEUPDATE_IOMMU_IOMMUFD_KEXEC_H

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <libliveupdate.h>

#include <linux/iommufd.h>

#include "../../kselftest.h"
#include "../../../../../drivers/iommu/iommufd/iommufd_test.h"
#include "../../../../../drivers/iommu/iommufd/selftest_session.h"

#define must(_call)                                     \
	({                                              \
		int __rc = (_call);                     \
							\
		if (__rc < 0)                           \
			fail_exit("%s: %d", #_call, __rc); \
		__rc;                                   \
	})

/* A call that returns -1 and sets errno */
#define err(_call)	({ int __rc = (_call); __rc < 0 ? -errno : __rc; })

/* One that iommufd lets cross */
static inline int create_memfd(size_t size)
{
	int fd = must(memfd_create("memory", MFD_ALLOW_SEALING));

	must(ftruncate(fd, size));
	must(fcntl(fd, F_ADD_SEALS,
		   F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW));
	return fd;
}

static inline __u32 alloc_ioas(int fd)
{
	struct iommu_ioas_alloc cmd = { .size = sizeof(cmd) };

	must(ioctl(fd, IOMMU_IOAS_ALLOC, &cmd));
	return cmd.out_ioas_id;
}

static inline __u32 alloc_hwpt(int fd, __u32 idev, __u32 ioas, __u32 flags)
{
	struct iommu_hwpt_alloc cmd = {
		.size = sizeof(cmd),
		.flags = flags,
		.dev_id = idev,
		.pt_id = ioas,
	};

	must(ioctl(fd, IOMMU_HWPT_ALLOC, &cmd));
	return cmd.out_hwpt_id;
}

static inline void map_memfd(int fd, __u32 ioas, int memfd, size_t start,
			     size_t length, __u64 iova)
{
	struct iommu_ioas_map_file cmd = {
		.size = sizeof(cmd),
		.flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE |
			 IOMMU_IOAS_MAP_WRITEABLE,
		.ioas_id = ioas,
		.fd = memfd,
		.start = start,
		.length = length,
		.iova = iova,
	};

	must(ioctl(fd, IOMMU_IOAS_MAP_FILE, &cmd));
}

static inline void mark_hwpt(int fd, __u32 hwpt, __u64 token)
{
	struct iommu_hwpt_liveupdate_preserve cmd = {
		.size = sizeof(cmd),
		.hwpt_id = hwpt,
		.flags = IOMMU_HWPT_LIVEUPDATE_PRESERVE_SET,
		.token = token,
	};

	must(ioctl(fd, IOMMU_HWPT_LIVEUPDATE_PRESERVE, &cmd));
}

static inline int destroy_object(int fd, __u32 id)
{
	struct iommu_destroy cmd = { .size = sizeof(cmd), .id = id };

	return err(ioctl(fd, IOMMU_DESTROY, &cmd));
}

/* The answer to the last command */
static struct iommu_test_cmd reply;

static inline int test_cmd(int fd, __u32 op, struct iommu_test_cmd cmd)
{
	cmd.size = sizeof(cmd);
	cmd.op = op;
	reply = cmd;
	return err(ioctl(fd, IOMMU_TEST_CMD, &reply));
}

#define lu(_fd, _cmd, ...)                                                \
	test_cmd(_fd, IOMMU_TEST_OP_LIVEUPDATE, (struct iommu_test_cmd){ \
			.liveupdate.cmd = IOMMU_TEST_LU_##_cmd, ##__VA_ARGS__ })
#define session_cmd(_fd, _cmd, ...)                                       \
	test_cmd(_fd, IOMMU_TEST_OP_SESSION, (struct iommu_test_cmd){    \
			.session.cmd = IOMMU_TEST_SESSION_##_cmd, ##__VA_ARGS__ })
#define device(_fd, _op, _pt)	err(ioctl(_fd, IOMMU_TEST_DEVICE_##_op, _pt))

/* An iommufd with a HWPT that maps @memfd in two parts, and is marked */
static inline int create_iommufd(int memfd, size_t size)
{
	struct iommu_test_cmd dev = {
		.size = sizeof(dev),
		.op = IOMMU_TEST_OP_MOCK_DOMAIN,
	};
	int fd = must(open("/dev/iommu", O_RDWR));
	__u32 ioas = alloc_ioas(fd), hwpt;

	dev.id = ioas;
	must(ioctl(fd, IOMMU_TEST_CMD, &dev));
	hwpt = alloc_hwpt(fd, dev.mock_domain.out_idev_id, ioas, 0);
	map_memfd(fd, ioas, memfd, 0, size / 2, MOCK_APERTURE_START);
	map_memfd(fd, ioas, memfd, size / 2, size / 2,
		  MOCK_APERTURE_START + size);
	mark_hwpt(fd, hwpt, 0x0123456789abcdef);
	return fd;
}

/* A session that alone holds on to a memfd and an iommufd that maps it */
static inline int preserve_iommufd(int luo_fd, const char *name,
				   __u64 memfd_token, __u64 iommufd_token)
{
	size_t size = 16 * sysconf(_SC_PAGE_SIZE);
	int session = must(luo_create_session(luo_fd, name));
	int memfd = create_memfd(size);
	int iommufd = create_iommufd(memfd, size);

	must(luo_session_preserve_fd(session, memfd, memfd_token));
	must(luo_session_preserve_fd(session, iommufd, iommufd_token));
	must(close(iommufd));
	must(close(memfd));
	return session;
}

#endif
