// SPDX-License-Identifier: GPL-2.0
/*
 * Replace the page table of devices that share a requester id.
 *
 *	replace_alias BDF BDF ALIAS
 *
 * The devices are behind a bridge to conventional PCI, which may take their
 * requests over in its own name, ALIAS. In legacy mode each of the requester
 * ids has an entry, and all of them have to name the same table: the alias
 * belongs to both devices.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include <linux/iommufd.h>
#include <linux/vfio.h>

#include <libvfio.h>

#include "../../kselftest.h"
#include "dma_device.h"

#define ROUNDS	100

static void bind(struct vfio_pci_device *device)
{
	struct vfio_device_bind_iommufd bind = {
		.argsz = sizeof(bind),
		.iommufd = device->iommu->iommufd,
	};

	vfio_pci_cdev_open(device, device->bdf);
	ioctl_assert(device->fd, VFIO_DEVICE_BIND_IOMMUFD, &bind);
}

/* The table that the entries of all requester ids name; 0 if they do not. */
static u64 common_table(char *rids[], int count)
{
	struct dma_belief first, other;
	int i;

	if (!dma_device_belief(rids[0], &first))
		return 0;
	for (i = 1; i < count; i++)
		if (!dma_device_belief(rids[i], &other) ||
		    other.pgd != first.pgd || other.did != first.did)
			return 0;
	return first.pgd;
}

int main(int argc, char *argv[])
{
	struct iommu_ioas_alloc alloc = { .size = sizeof(alloc) };
	struct iommu *iommu = iommu_init(MODE_IOMMUFD);
	struct vfio_pci_device *devices[2];
	int i, err, wrong = 0;
	u64 before, now;
	u32 ioas[2];

	ksft_print_header();
	ksft_set_plan(1);
	if (argc != 4)
		ksft_exit_fail_msg("usage: replace_alias BDF BDF ALIAS\n");

	ioctl_assert(iommu->iommufd, IOMMU_IOAS_ALLOC, &alloc);
	ioas[0] = iommu->ioas_id;
	ioas[1] = alloc.out_ioas_id;
	for (i = 0; i < 2; i++) {
		devices[i] = vfio_pci_device_alloc(argv[1 + i], iommu);
		bind(devices[i]);
		err = dma_device_use_table(devices[i], ioas[0]);
		if (err)
			ksft_exit_fail_msg("%s: %s\n", argv[1 + i],
					   strerror(-err));
	}
	before = common_table(argv + 1, 3);
	if (!before)
		ksft_exit_fail_msg("the devices do not share a group\n");

	for (i = 1; i <= ROUNDS; i++) {
		/* A group has one table, so the other device follows. */
		err = dma_device_use_table(devices[i % 2], ioas[i % 2]);
		if (err)
			ksft_exit_fail_msg("round %d: %s\n", i, strerror(-err));
		now = common_table(argv + 1, 3);
		wrong += !now || now == before;
		before = now;
	}
	ksft_print_msg("%d of %d rounds left an entry behind\n", wrong, ROUNDS);
	ksft_test_result(!wrong, "each requester id has the new table\n");
	ksft_finished();
}
