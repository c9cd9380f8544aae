/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Shared by the tests of the IOMMU core's live update: commands, a fixture's
 * life, and what has to be back where it was at the end of it.
 */
#ifndef __SELFTEST_IOMMUFD_LIVEUPDATE
#define __SELFTEST_IOMMUFD_LIVEUPDATE

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "iommufd_utils.h"

/* Where the buffer is mapped, and how far behind it something else is */
#define LU_IOVA		MOCK_APERTURE_START
#define LU_IOVA_HIGH	(MOCK_APERTURE_START + (1UL << 30))
#define LU_BUFFER_SIZE	(64UL * 4096)

/* What the last command of this thread returned */
static __thread struct iommu_test_cmd out;

static int __lu(int fd, struct iommu_test_cmd cmd)
{
	cmd.size = sizeof(cmd);
	cmd.op = IOMMU_TEST_OP_LIVEUPDATE;
	out = cmd;
	return ioctl(fd, IOMMU_TEST_CMD, &out) ? -errno : 0;
}

/* 0 or an error below 0. What else there is to say is in @out. */
#define lu(_fd, _cmd, ...)                                                   \
	__lu(_fd, (struct iommu_test_cmd){                                   \
			  .liveupdate.cmd = IOMMU_TEST_LU_##_cmd, ##__VA_ARGS__ })

/* A command for device @_dev, and for domain @_pt */
#define lu_dev(_fd, _cmd, _dev) lu(_fd, _cmd, .id = _dev)
#define lu_pt(_fd, _cmd, _dev, _pt) \
	lu(_fd, _cmd, .id = _dev, .liveupdate.pt_id = _pt)
#define lu_val(_fd, _cmd, _dev, _value) \
	lu(_fd, _cmd, .id = _dev, .liveupdate.value = _value)

/**
 * struct lu_entry - What the hardware has about a requester id
 * @top: Top table, 0 if it translates nothing
 * @id: Attachment id
 * @writes: How often it was written
 */
struct lu_entry {
	__u64 top;
	__u32 id;
	__u32 writes;
};

static struct lu_entry lu_entry(int fd, __u32 bdf)
{
	assert(!lu(fd, ENTRY, .liveupdate.bdf = bdf));
	return (struct lu_entry){ .top = out.liveupdate.out_phys,
				  .id = out.liveupdate.out_id,
				  .writes = out.liveupdate.out_value };
}

#define EXPECT_ENTRY_EQ(_was, _fd, _bdf)                            \
	do {                                                        \
		struct lu_entry __was = (_was);                     \
		struct lu_entry __is = lu_entry(_fd, _bdf);         \
		EXPECT_EQ(__was.top, __is.top);                     \
		EXPECT_EQ(__was.id, __is.id);                       \
		EXPECT_EQ(__was.writes, __is.writes);               \
	} while (0)

/* Nothing is translated for the requester id. */
#define EXPECT_BLOCKED(_fd, _bdf) EXPECT_EQ(0, lu_entry(_fd, _bdf).top)

/* How many requester ids are preserved, and whether the unit is */
#define EXPECT_PRESERVED(_fd, _nr)                                  \
	do {                                                        \
		unsigned int __nr = (_nr);                          \
									\
		EXPECT_EQ(0, lu(_fd, STATE));                       \
		EXPECT_EQ(__nr, out.liveupdate.out_value);          \
		EXPECT_EQ(!!__nr, out.liveupdate.out_id);           \
	} while (0)

/* 0 or an error below 0. @group is that of the new device. */
static int lu_create(int fd, __u32 bdf, __u32 *dev, __u32 *group)
{
	int rc = lu(fd, CREATE, .liveupdate.bdf = bdf, .liveupdate.value = 1);

	*dev = out.id;
	if (group)
		*group = out.liveupdate.out_id;
	return rc;
}

/* Device @bdf of its own, owned by the test and attached to @pt */
static int lu_attached(int fd, __u32 bdf, __u32 pt, __u32 *dev)
{
	int rc = lu_create(fd, bdf, dev, NULL);

	if (!rc)
		rc = lu_dev(fd, OWN, *dev);
	if (!rc)
		rc = lu_pt(fd, ATTACH, *dev, pt);
	return rc;
}

static int lu_preserve_domain(int fd, __u32 pt, __u32 *obj, __u32 *id)
{
	int rc = lu(fd, PRESERVE_DOMAIN, .liveupdate.pt_id = pt);

	*obj = out.id;
	if (id)
		*id = out.liveupdate.out_id;
	return rc;
}

static int lu_restored_domain(int fd, __u32 id, __u32 *obj)
{
	int rc = lu(fd, RESTORED_DOMAIN, .liveupdate.value = id);

	*obj = out.id;
	return rc;
}

static __u64 lu_phys(int fd, __u32 pt, __u64 iova)
{
	assert(!lu(fd, LOOKUP, .liveupdate.pt_id = pt, .liveupdate.iova = iova));
	return out.liveupdate.out_phys;
}

/* Write to the file "type" of a group. 0 or an error below 0 */
static int lu_type(__u32 group, const char *type)
{
	char path[64];
	int fd, rc;

	snprintf(path, sizeof(path), "/sys/kernel/iommu_groups/%u/type", group);
	fd = open(path, O_WRONLY);
	if (fd < 0)
		return -errno;
	rc = write(fd, type, strlen(type)) < 0 ? -errno : 0;
	close(fd);
	return rc;
}

/* Pages that IOMMU drivers have, of all CPUs */
static long lu_vmstat(const char *name)
{
	char line[128], key[64];
	long value, found = -1;
	FILE *file;
	int fd;

	fd = open("/proc/sys/vm/stat_refresh", O_WRONLY);
	assert(fd >= 0 && write(fd, "1", 1) == 1);
	close(fd);

	file = fopen("/proc/vmstat", "r");
	assert(file);
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%63s %ld", key, &value) == 2 &&
		    !strcmp(key, name))
			found = value;
	}
	fclose(file);
	assert(found >= 0);
	return found;
}

/**
 * struct lu_kernel - A file of iommufd, and what tests need in it
 * @fd: The file, -1 if there is none
 * @stdev: Device that is not a part of this
 * @ioas: What the buffer is mapped into at LU_IOVA and LU_IOVA_HIGH
 * @hwpt: Domain of @ioas
 * @hwpt2: Another one
 * @hwpt3: And another one
 */
struct lu_kernel {
	int fd;
	__u32 stdev;
	__u32 ioas;
	__u32 hwpt;
	__u32 hwpt2;
	__u32 hwpt3;
};

/* 0 or -1 */
static int lu_kernel_open(struct lu_kernel *kernel)
{
	const unsigned int prot = IOMMU_IOAS_MAP_WRITEABLE |
				  IOMMU_IOAS_MAP_READABLE |
				  IOMMU_IOAS_MAP_FIXED_IOVA;
	__u64 iova = LU_IOVA, high = LU_IOVA_HIGH;
	__u32 idev;

	kernel->fd = open("/dev/iommu", O_RDWR);
	if (kernel->fd < 0)
		return -1;
	if (_test_ioctl_ioas_alloc(kernel->fd, &kernel->ioas) ||
	    _test_ioctl_ioas_map(kernel->fd, kernel->ioas, buffer,
				 LU_BUFFER_SIZE, &iova, prot) ||
	    _test_ioctl_ioas_map(kernel->fd, kernel->ioas, buffer, PAGE_SIZE,
				 &high, prot) ||
	    _test_cmd_mock_domain(kernel->fd, kernel->ioas, &kernel->stdev,
				  NULL, &idev) ||
	    _test_cmd_hwpt_alloc(kernel->fd, idev, kernel->ioas, 0, 0,
				 &kernel->hwpt, IOMMU_HWPT_DATA_NONE, NULL, 0) ||
	    _test_cmd_hwpt_alloc(kernel->fd, idev, kernel->ioas, 0, 0,
				 &kernel->hwpt2, IOMMU_HWPT_DATA_NONE, NULL, 0))
		return -1;
	return _test_cmd_hwpt_alloc(kernel->fd, idev, kernel->ioas, 0, 0,
				    &kernel->hwpt3, IOMMU_HWPT_DATA_NONE, NULL,
				    0);
}

static void lu_kernel_close(struct lu_kernel *kernel)
{
	if (kernel->fd >= 0)
		assert(!close(kernel->fd));
	kernel->fd = -1;
}

/**
 * struct lu_counters - What every test must leave as it was
 * @iommu: Pages of IOMMU drivers
 * @tables: Pages of page tables other than those of CPUs
 */
struct lu_counters {
	long iommu;
	long tables;
};

static struct lu_counters lu_counters(void)
{
	return (struct lu_counters){
		.iommu = lu_vmstat("nr_iommu_pages"),
		.tables = lu_vmstat("nr_sec_page_table_pages"),
	};
}

/* Both kernels are gone: end whatever has begun. */
static int lu_end(void)
{
	int fd = open("/dev/iommu", O_RDWR);
	int rc;

	if (fd < 0)
		return -1;
	/* Somebody has to read what is left. */
	if (lu(fd, ABORT) == -ENOENT) {
		lu(fd, HANDOVER);
		lu(fd, FINISH);
	}
	rc = lu(fd, STATE);
	close(fd);
	if (rc)
		return rc;
	return out.liveupdate.out_id || out.liveupdate.out_value ||
	       out.liveupdate.out_phys ? -EIO : 0;
}

/**
 * struct lu_test - What a fixture has
 * @old: The kernel that leaves
 * @new: The kernel that comes
 * @before: How the machine was
 */
struct lu_test {
	struct lu_kernel old;
	struct lu_kernel new;
	struct lu_counters before;
};

/* 0, an error below 0, or -EOPNOTSUPP if there is nothing to test */
static int lu_test_setup(struct lu_test *test)
{
	int fd, rc;

	test->old.fd = -1;
	test->new.fd = -1;
	fd = open("/dev/iommu", O_RDWR);
	if (fd < 0)
		return errno == ENOENT ? -EOPNOTSUPP : -errno;
	rc = lu(fd, STATE);
	close(fd);
	if (rc == -ENOTTY)
		return -EOPNOTSUPP;
	if (rc)
		return rc;
	test->before = lu_counters();
	return lu_kernel_open(&test->old);
}

#define LU_TEST_SETUP(_test)                                                \
	do {                                                                \
		int __rc = lu_test_setup(_test);                            \
									\
		if (__rc == -EOPNOTSUPP)                                    \
			SKIP(return, "no live update in this kernel");      \
		ASSERT_EQ(0, __rc);                                         \
	} while (0)

/* 0 if all is as it was */
static int lu_test_teardown(struct lu_test *test)
{
	struct lu_counters after;
	int rc;

	/* What is of a kernel that has left looks at tables of the next. */
	lu_kernel_close(&test->old);
	lu_kernel_close(&test->new);
	rc = lu_end();
	if (rc) {
		ksft_print_msg("left: unit %u, requester ids %u, entries %llu\n",
			       out.liveupdate.out_id, out.liveupdate.out_value,
			       (unsigned long long)out.liveupdate.out_phys);
		return rc;
	}

	after = lu_counters();
	if (after.iommu == test->before.iommu &&
	    after.tables == test->before.tables)
		return 0;
	ksft_print_msg("IOMMU pages: %ld, now %ld; tables: %ld, now %ld\n",
		       test->before.iommu, after.iommu, test->before.tables,
		       after.tables);
	return -ENOMEM;
}

/* The old kernel leaves, and the new one comes. */
static int lu_handover(struct lu_test *test, __u32 flags)
{
	int rc = lu(test->old.fd, HANDOVER, .liveupdate.flags = flags);

	if (rc)
		return rc;
	lu_kernel_close(&test->old);
	return lu_kernel_open(&test->new);
}

static __attribute__((constructor)) void lu_setup_buffer(void)
{
	PAGE_SIZE = sysconf(_SC_PAGE_SIZE);
	BUFFER_SIZE = LU_BUFFER_SIZE;
	buffer = mmap(NULL, BUFFER_SIZE, PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert(buffer != MAP_FAILED);
}

#endif
