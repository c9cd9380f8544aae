// SPDX-License-Identifier: GPL-2.0
/*
 * Which files of a vfio-pci device can be preserved when, and what cannot be
 * done to the device meanwhile. Stays in one kernel; what follows a kexec is
 * for dma_continuity.
 *
 * What is refused is tried again when the reason is gone, where it has to
 * succeed: a refusal that never ends proves nothing.
 */
#define _GNU_SOURCE

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/io.h>
#include <linux/iommufd.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>

#include <libvfio.h>
#include <libliveupdate.h>

#include "../../kselftest_harness.h"
#include "dma_area.h"
#include "dma_device.h"
#include "fault.h"
#include "physmem.h"

#define TABLE_TOKEN	1
#define MEMFD_TOKEN	2
#define IOMMUFD_TOKEN	3
#define DEVICE_TOKEN	4
#define OTHER_TOKEN	5

/* Nothing here makes as many allocations. */
#define MAX_NTH		2000

/* Registers of an igb */
#define RCTL		0x100
#define RCTL_ENABLE	2

static char bdf[BDF_SIZE];

FIXTURE(vfio_preserve) {
	struct vfio_pci_device *device;
	int iommufd;
	int memfd;
	int luo;
	int session;
};

FIXTURE_SETUP(vfio_preserve)
{
	dma_device_find(bdf);
	self->memfd = memfd_create("vfio-preserve", MFD_ALLOW_SEALING);
	ASSERT_GE(self->memfd, 0);
	ASSERT_EQ(fallocate(self->memfd, 0, 0, AREA_SIZE), 0);
	ASSERT_EQ(fcntl(self->memfd, F_ADD_SEALS,
			F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL), 0);
	self->device = dma_device_attach(bdf, self->memfd);
	self->iommufd = self->device->iommu->iommufd;
	self->luo = luo_open_device();
	ASSERT_GE(self->luo, 0);
	self->session = luo_create_session(self->luo, "vfio-preserve");
	ASSERT_GE(self->session, 0);
}

FIXTURE_TEARDOWN(vfio_preserve)
{
	close(self->session);
	close(self->luo);
	close(self->device->fd);
	close(self->iommufd);
	close(self->memfd);
}

static int detach(struct vfio_pci_device *device)
{
	struct vfio_device_detach_iommufd_pt detach = {
		.argsz = sizeof(detach),
	};

	return ioctl(device->fd, VFIO_DEVICE_DETACH_IOMMUFD_PT, &detach) ?
		-errno : 0;
}

static int reset(struct vfio_pci_device *device)
{
	return ioctl(device->fd, VFIO_DEVICE_RESET) ? -errno : 0;
}

/* The same as a guest asks for it. */
static int reset_by_config(struct vfio_pci_device *device)
{
	u8 at = vfio_pci_config_readb(device, PCI_CAPABILITY_LIST);
	u16 control;

	while (at && vfio_pci_config_readb(device, at) != PCI_CAP_ID_EXP)
		at = vfio_pci_config_readb(device, at + PCI_CAP_LIST_NEXT);
	if (!at)
		return -ENOENT;
	at += PCI_EXP_DEVCTL;
	control = vfio_pci_config_readw(device, at) | PCI_EXP_DEVCTL_BCR_FLR;
	return pwrite(device->fd, &control, sizeof(control),
		      device->config_space.offset + at) < 0 ? -errno : 0;
}

/* A reset switches the receiver off. */
static bool receives(struct vfio_pci_device *device)
{
	return readl(device->bars[0].vaddr + RCTL) & RCTL_ENABLE;
}

static int preserve_all(int session, struct vfio_pci_device *device, int memfd)
{
	int err = luo_session_preserve_fd(session, memfd, MEMFD_TOKEN);

	if (!err)
		err = luo_session_preserve_fd(session, device->iommu->iommufd,
					      IOMMUFD_TOKEN);
	if (!err)
		err = luo_session_preserve_fd(session, device->fd,
					      DEVICE_TOKEN);
	return err;
}

/* Another session in the place of one, which unpreserves all that is in it. */
static void new_session(int luo, int *session)
{
	close(*session);
	*session = luo_create_session(luo, "vfio-preserve");
	if (*session < 0)
		ksft_exit_fail_msg("create session: %s\n", strerror(-*session));
}

TEST_F(vfio_preserve, needs_its_iommufd_first)
{
	dma_device_mark(self->device, TABLE_TOKEN);
	ASSERT_EQ(luo_session_preserve_fd(self->session, self->device->fd,
					  DEVICE_TOKEN), -ENOENT);
	/* Nothing has come of it. */
	ASSERT_EQ(reset(self->device), 0);
	ASSERT_EQ(preserve_all(self->session, self->device,
			       self->memfd), 0);
}

TEST_F(vfio_preserve, needs_a_marked_table)
{
	u32 other = dma_device_table(self->device);

	dma_device_mark(self->device, TABLE_TOKEN);
	ASSERT_EQ(dma_device_use_table(self->device, other), 0);
	ASSERT_EQ(preserve_all(self->session, self->device,
			       self->memfd), -EINVAL);
}

TEST_F(vfio_preserve, again_and_again)
{
	int i;

	dma_device_mark(self->device, TABLE_TOKEN);
	for (i = 0; i < 20; i++) {
		ASSERT_EQ(preserve_all(self->session, self->device,
				       self->memfd), 0);
		new_session(self->luo, &self->session);
	}
}

/*
 * Preserves one of the files again and again, each time with another
 * allocation failing, of VT-d's, PCI's or whoever's. What has failed succeeds
 * right after it. Returns how often it has failed; an error that nothing was to
 * cause is negative.
 */
static int fail_each(int luo, int *session, struct vfio_pci_device *device,
		     int memfd, bool iommufd_first)
{
	int failures = 0, nth = 0, err, fd = device->iommu->iommufd;
	bool hit;

	if (iommufd_first)
		fd = device->fd;
	do {
		err = luo_session_preserve_fd(*session, memfd, MEMFD_TOKEN);
		if (!err && iommufd_first)
			err = luo_session_preserve_fd(*session,
						      device->iommu->iommufd,
						      IOMMUFD_TOKEN);
		if (err)
			return err;
		fault_nth(++nth);
		err = luo_session_preserve_fd(*session, fd, DEVICE_TOKEN);
		hit = fault_nth_done();
		if (err) {
			if (!hit || err != -ENOMEM)
				return err;
			failures++;
			/* What would be refused if something had come of it */
			err = reset(device);
			if (!err)
				err = luo_session_preserve_fd(*session, fd,
							      DEVICE_TOKEN);
			if (err)
				return err;
		}
		new_session(luo, session);
	} while (hit && nth < MAX_NTH);
	ksft_print_msg("%d allocations, %d failures\n", nth - 1, failures);
	return hit ? -E2BIG : failures;
}

TEST_F_TIMEOUT(vfio_preserve, allocations_fail, 240)
{
	u32 other = dma_device_table(self->device);

	fault_init();
	dma_device_mark(self->device, TABLE_TOKEN);
	EXPECT_GT(fail_each(self->luo, &self->session, self->device,
			    self->memfd, false), 2);
	EXPECT_GT(fail_each(self->luo, &self->session, self->device,
			    self->memfd, true), 2);
	EXPECT_EQ(dma_device_use_table(self->device, other), 0);
}

TEST_F(vfio_preserve, bound_file_only)
{
	int other = dma_device_open_cdev(bdf);

	ASSERT_GE(other, 0);
	ASSERT_EQ(luo_session_preserve_fd(self->session, other, OTHER_TOKEN),
		  -EINVAL);

	dma_device_mark(self->device, TABLE_TOKEN);
	ASSERT_EQ(preserve_all(self->session, self->device,
			       self->memfd), 0);
	ASSERT_EQ(luo_session_preserve_fd(self->session, other, OTHER_TOKEN),
		  -EBUSY);
	ASSERT_EQ(luo_session_preserve_fd(self->session, self->device->fd,
					  OTHER_TOKEN), -EBUSY);
	close(other);
}

TEST_F(vfio_preserve, keeps_its_table)
{
	u32 other = dma_device_table(self->device);

	dma_device_mark(self->device, TABLE_TOKEN);
	ASSERT_EQ(preserve_all(self->session, self->device,
			       self->memfd), 0);
	EXPECT_EQ(detach(self->device), -EBUSY);
	EXPECT_EQ(dma_device_use_table(self->device, other), -EBUSY);

	new_session(self->luo, &self->session);
	EXPECT_EQ(dma_device_use_table(self->device, other), 0);
	EXPECT_EQ(detach(self->device), 0);
}

/* To attach again what is attached fails when userspace is to be told. */
TEST_F(vfio_preserve, stays_attached_without_answer)
{
	struct iommu_hwpt_liveupdate_preserve mark = {
		.size = sizeof(mark),
		.hwpt_id = dma_device_table(self->device),
		.flags = IOMMU_HWPT_LIVEUPDATE_PRESERVE_SET,
		.token = TABLE_TOKEN,
	};
	u32 other = dma_device_table(self->device);
	struct vfio_device_attach_iommufd_pt *attach;

	attach = mmap(NULL, getpagesize(), PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(attach, MAP_FAILED);
	attach->argsz = sizeof(*attach);
	attach->pt_id = mark.hwpt_id;
	ASSERT_EQ(mprotect(attach, getpagesize(), PROT_READ), 0);

	ASSERT_EQ(dma_device_use_table(self->device, mark.hwpt_id), 0);
	ASSERT_EQ(ioctl(self->iommufd, IOMMU_HWPT_LIVEUPDATE_PRESERVE, &mark),
		  0);
	ASSERT_EQ(preserve_all(self->session, self->device,
			       self->memfd), 0);
	EXPECT_EQ(ioctl(self->device->fd, VFIO_DEVICE_ATTACH_IOMMUFD_PT,
			attach), -1);
	EXPECT_EQ(errno, EFAULT);

	/* Only what is attached can be replaced. */
	new_session(self->luo, &self->session);
	EXPECT_EQ(dma_device_use_table(self->device, other), 0);
	munmap(attach, getpagesize());
}

TEST_F(vfio_preserve, is_not_reset)
{
	dma_device_mark(self->device, TABLE_TOKEN);
	ASSERT_EQ(reset(self->device), 0);
	ASSERT_EQ(preserve_all(self->session, self->device,
			       self->memfd), 0);
	EXPECT_EQ(reset(self->device), -EBUSY);

	new_session(self->luo, &self->session);
	EXPECT_EQ(reset(self->device), 0);
}

TEST_F(vfio_preserve, is_not_reset_by_config)
{
	void *rctl = self->device->bars[0].vaddr + RCTL;

	dma_device_mark(self->device, TABLE_TOKEN);
	writel(RCTL_ENABLE, rctl);
	ASSERT_TRUE(receives(self->device));
	ASSERT_EQ(reset_by_config(self->device), 0);
	ASSERT_FALSE(receives(self->device));

	ASSERT_EQ(preserve_all(self->session, self->device,
			       self->memfd), 0);
	writel(RCTL_ENABLE, rctl);
	EXPECT_EQ(reset_by_config(self->device), -EBUSY);
	EXPECT_TRUE(receives(self->device));

	new_session(self->luo, &self->session);
	EXPECT_EQ(reset_by_config(self->device), 0);
	EXPECT_FALSE(receives(self->device));
}

/* To an attribute of the device, or of one above it */
static int write_attribute(const char *name, const char *value)
{
	char path[96];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/%s", bdf, name);
	return physmem_write(path, value);
}

TEST_F(vfio_preserve, is_not_reset_by_its_bridge)
{
	void *rctl = self->device->bars[0].vaddr + RCTL;

	dma_device_mark(self->device, TABLE_TOKEN);
	ASSERT_EQ(preserve_all(self->session, self->device,
			       self->memfd), 0);
	writel(RCTL_ENABLE, rctl);
	EXPECT_EQ(write_attribute("../reset_subordinate", "1"), -EBUSY);
	EXPECT_TRUE(receives(self->device));

	/* This bridge may not be able to. */
	new_session(self->luo, &self->session);
	EXPECT_NE(write_attribute("../reset_subordinate", "1"), -EBUSY);
}

/* Virtual functions do not go over a live update, so there must be none. */
TEST_F(vfio_preserve, has_no_virtual_functions)
{
	/* They would share its group. */
	ASSERT_EQ(detach(self->device), 0);
	ASSERT_EQ(write_attribute("sriov_numvfs", "1"), 0);
	EXPECT_EQ(luo_session_preserve_fd(self->session, self->device->fd,
					  DEVICE_TOKEN), -EBUSY);

	ASSERT_EQ(write_attribute("sriov_numvfs", "0"), 0);
	ASSERT_EQ(luo_session_preserve_fd(self->session, self->device->fd,
					  DEVICE_TOKEN), 0);
	EXPECT_EQ(write_attribute("sriov_numvfs", "1"), -EBUSY);
}

/* A file of a group is no file of a device that can be handed over. */
TEST(not_by_group)
{
	struct vfio_pci_device *device;
	struct iommu *iommu;
	int luo, session;

	dma_device_find(bdf);
	dma_device_bind_driver(bdf);
	iommu = iommu_init("vfio_type1_iommu");
	device = vfio_pci_device_init(bdf, iommu);
	luo = luo_open_device();
	ASSERT_GE(luo, 0);
	session = luo_create_session(luo, "vfio-preserve");
	ASSERT_GE(session, 0);
	EXPECT_EQ(luo_session_preserve_fd(session, device->fd, OTHER_TOKEN),
		  -ENOENT);

	close(session);
	close(luo);
	vfio_pci_device_cleanup(device);
	iommu_cleanup(iommu);
}

static bool is_bridge(const char *classfile)
{
	FILE *file = fopen(classfile, "r");
	unsigned int class = 0;

	if (file) {
		if (fscanf(file, "%x", &class) != 1)
			class = 0;
		fclose(file);
	}
	return class >> 8 == 0x0604;
}

static size_t endpoints_in_group(void)
{
	size_t i, count = 0;
	char path[96];
	glob_t found;

	snprintf(path, sizeof(path),
		 "/sys/bus/pci/devices/%s/iommu_group/devices/*/class", bdf);
	if (glob(path, 0, NULL, &found))
		return 0;
	for (i = 0; i < found.gl_pathc; i++)
		count += !is_bridge(found.gl_pathv[i]);
	globfree(&found);
	return count;
}

/* Below a switch that cannot isolate its ports, all is one group. */
TEST_F(vfio_preserve, needs_a_group_of_its_own)
{
	bool alone = endpoints_in_group() == 1;
	int i;

	dma_device_mark(self->device, TABLE_TOKEN);
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(preserve_all(self->session, self->device,
				       self->memfd), alone ? 0 : -EOPNOTSUPP);
		new_session(self->luo, &self->session);
	}
	ASSERT_EQ(reset(self->device), 0);
}

TEST_F(vfio_preserve, without_table_needs_no_iommufd)
{
	ASSERT_EQ(detach(self->device), 0);
	ASSERT_EQ(luo_session_preserve_fd(self->session, self->device->fd,
					  DEVICE_TOKEN), 0);
	/* It has nothing that could go on, so it may not begin with it now. */
	EXPECT_EQ(detach(self->device), 0);
	new_session(self->luo, &self->session);
	ASSERT_EQ(luo_session_preserve_fd(self->session, self->device->fd,
					  DEVICE_TOKEN), 0);
}

TEST_HARNESS_MAIN
