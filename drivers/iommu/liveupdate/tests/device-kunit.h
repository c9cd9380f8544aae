/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A made-up PCI device with a driver, behind a made-up IOMMU, for tests of what
 * the core does with them.
 */
#ifndef __IOMMU_LIVEUPDATE_DEVICE_KUNIT_H
#define __IOMMU_LIVEUPDATE_DEVICE_KUNIT_H

#include <linux/generic_pt/iommu.h>
#include <linux/iommu-liveupdate.h>
#include <linux/pci.h>

#include "../../iommu-priv.h"

struct kunit;
struct kunit_suite;

/* A page table of which only the existence matters */
struct fake_domain {
	union {
		struct iommu_domain domain;
		struct pt_iommu iommu;
	};
};

PT_IOMMU_CHECK_DOMAIN(struct fake_domain, iommu, domain);

/**
 * struct fake - What there is, and what the made-up drivers have seen
 * @pdev: The device, NULL once it is unplugged
 * @table: What its driver attaches
 * @handle: With this
 * @forgetful: The driver is unbound without a word to the core
 * @bound: The driver has the device
 * @mapped: How often the page table was changed
 * @tables: How many page tables are preserved
 * @units: How many units are preserved
 * @devices: How many devices are preserved. Under the mutex of the group
 * @attached: How often the device was given a domain. Likewise
 * @disturbed: How often that was while it was preserved. Likewise
 * @left_preserved: It was preserved when the IOMMU driver released it
 */
struct fake {
	struct pci_dev *pdev;
	struct fake_domain table;
	struct iommu_attach_handle handle;
	bool forgetful;
	bool bound;
	int mapped;
	int tables;
	int units;
	int devices;
	int attached;
	int disturbed;
	bool left_preserved;
};

extern struct fake fake;

/* Tests replace in the first what they want to be missing. */
extern struct iommu_ops fake_ops;
extern struct iommu_domain fake_blocked;
extern const struct iommu_liveupdate_ops fake_liveupdate_ops;

int fake_suite_init(struct kunit_suite *suite);
void fake_suite_exit(struct kunit_suite *suite);
int fake_begin(void);
int fake_init(struct kunit *test);
void fake_exit(struct kunit *test);
void fake_detach(struct device *dev);
int fake_plug(void);
void fake_unplug(void);
struct group_device *fake_gdev(void);

#endif /* __IOMMU_LIVEUPDATE_DEVICE_KUNIT_H */
