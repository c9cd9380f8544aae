// SPDX-License-Identifier: GPL-2.0
/*
 * A device that caches translations itself (PCI Express, Address Translation
 * Services) cannot be handed over: the next kernel could not know what it has
 * cached. It is refused, and nothing of it changes; a device of the same kind
 * without that cache is not refused.
 *
 *	ats_refused BDF_WITH BDF_WITHOUT
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/pci_regs.h>

#include <libliveupdate.h>
#include <libvfio.h>
#include <libvmlu.h>

#include "../../kselftest_harness.h"
#include "dma_area.h"
#include "dma_device.h"

static const char *with_ats, *without_ats;

/* Read a word of the extended configuration space's ATS capability, or 0. */
static u16 ats_control(const char *bdf)
{
	char path[64];
	u32 header;
	u16 control = 0;
	int fd, at;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/config", bdf);
	fd = open(path, O_RDONLY);
	if (fd < 0)
		fail_exit("%s", path);
	for (at = PCI_CFG_SPACE_SIZE;
	     at && pread(fd, &header, 4, at) == 4;
	     at = PCI_EXT_CAP_NEXT(header)) {
		if (PCI_EXT_CAP_ID(header) != PCI_EXT_CAP_ID_ATS)
			continue;
		if (pread(fd, &control, 2, at + PCI_ATS_CTRL) != 2)
			fail_exit("%s", path);
		break;
	}
	close(fd);
	return control;
}

FIXTURE(ats) {
	struct vmlu vm;
	int luo;
	int session;
};

FIXTURE_SETUP(ats)
{
	int memfd = memfd_create("ats", MFD_ALLOW_SEALING);

	ASSERT_GE(memfd, 0);
	ASSERT_EQ(fallocate(memfd, 0, 0, AREA_SIZE), 0);
	ASSERT_EQ(fcntl(memfd, F_ADD_SEALS,
			F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL), 0);
	ASSERT_EQ(vmlu_open(&self->vm), 0);
	ASSERT_EQ(vmlu_add_memory(&self->vm, memfd, AREA_IOVA), 0);
	self->luo = luo_open_device();
	ASSERT_GE(self->luo, 0);
	self->session = luo_create_session(self->luo, "ats");
	ASSERT_GE(self->session, 0);
}

FIXTURE_TEARDOWN(ats)
{
	close(self->session);
	close(self->luo);
	vmlu_close(&self->vm);
}

TEST_F(ats, refused)
{
	struct dma_belief before, after;
	u16 control;
	int i;

	ASSERT_EQ(vmlu_add_device(&self->vm, dma_device_open_cdev(with_ats)),
		  0);
	control = ats_control(with_ats);
	ASSERT_TRUE(control & PCI_ATS_CTRL_ENABLE);
	ASSERT_TRUE(dma_device_belief(with_ats, &before));

	for (i = 0; i < 3; i++) {
		ASSERT_EQ(vmlu_save(&self->vm, self->session), -EOPNOTSUPP);
		close(self->session);
		self->session = luo_create_session(self->luo, "ats");
		ASSERT_GE(self->session, 0);
	}

	EXPECT_EQ(ats_control(with_ats), control);
	ASSERT_TRUE(dma_device_belief(with_ats, &after));
	EXPECT_EQ(after.pgd, before.pgd);
	EXPECT_EQ(after.did, before.did);
	EXPECT_EQ(after.stage, before.stage);
}

TEST_F(ats, refused_for_that_reason)
{
	ASSERT_EQ(vmlu_add_device(&self->vm, dma_device_open_cdev(without_ats)),
		  0);
	ASSERT_FALSE(ats_control(without_ats) & PCI_ATS_CTRL_ENABLE);
	EXPECT_EQ(vmlu_save(&self->vm, self->session), 0);
}

int main(int argc, char *argv[])
{
	if (argc != 3)
		ksft_exit_fail_msg("usage: %s BDF_WITH BDF_WITHOUT\n", argv[0]);
	with_ats = argv[1];
	without_ats = argv[2];
	return test_harness_run(1, argv);
}
