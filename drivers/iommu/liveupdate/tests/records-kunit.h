/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Shared by the KUnit tests of the records: memory and KHO in a test tube, an
 * image of records that is right, and an opinion of its own on what right is.
 */
#ifndef __IOMMU_LIVEUPDATE_RECORDS_KUNIT_H
#define __IOMMU_LIVEUPDATE_RECORDS_KUNIT_H

#include <kunit/test.h>
#include <linux/bits.h>
#include <linux/xarray.h>

#include "../records.h"

/* Frame numbers of tables that are nowhere */
#define FAKE_TABLES_PFN		BIT_ULL(38)
#define FAKE_TABLES_NR		BIT_ULL(20)

/* More looks at memory than a reader needs for any image in these tests */
#define FAKE_MAX_STEPS		2000

/**
 * struct fake_kho - Memory and KHO as the records see them
 * @preserved: Order of what is preserved, by frame number
 * @tables: Tables of one page, by frame number
 * @next_table: The next table that is larger is here
 * @nr_pages: Number of pages that were allocated and not freed
 * @nr_memory: Number of other allocations that were not freed
 * @peak_pages: Highest number of pages there ever was
 * @nr_alloc: Number of calls to allocate
 * @fail_at: This call to allocate fails, counted from 1; 0 is none
 * @bad_free: Number of pages freed that were not allocated, or freed before
 * @nr_restored: Number of pages that the reader took over
 * @steps: Number of looks at memory since it was set to 0
 * @max_steps: After so many looks nothing is memory any more
 * @err: What the reader reported last
 * @why: The reason it gave
 */
struct fake_kho {
	struct xarray preserved;
	struct xarray tables;
	u64 next_table;
	u64 nr_pages;
	u64 nr_memory;
	u64 peak_pages;
	u64 nr_alloc;
	u64 fail_at;
	u64 bad_free;
	u64 nr_restored;
	u64 steps;
	u64 max_steps;
	int err;
	const char *why;
};

struct fake_kho *fake_kho_init(struct kunit *test);
void fake_kho_exit(struct kunit *test, struct fake_kho *fake);
u64 fake_kho_table(struct kunit *test, struct fake_kho *fake, int order);
bool fake_kho_knows(struct fake_kho *fake, u64 phys, int order);

/* What tests and the image agree on */
#define SAMPLE_NR_UNITS		2
#define SAMPLE_NR_DOMAINS	3
#define SAMPLE_NR_DEVICES	70
#define SAMPLE_NR_PAGES		5

/* 4096 bytes less a head of 24, in devices of 64 */
#define DEVICES_PER_PAGE	63

enum sample_page {
	SAMPLE_ROOT,
	SAMPLE_UNITS,
	SAMPLE_DOMAINS,
	SAMPLE_DEVICES,
	SAMPLE_DEVICES_2,
};

/**
 * struct sample - Records that are right
 * @fake: Where they are
 * @records: The writer of them
 * @units: The units: the first one in legacy mode, the second one scalable
 * @unit_ids: Their ids
 * @domain_ids: Ids of the domains
 * @device_ids: Ids of the devices. Even ones are behind the first unit
 * @pages: All pages, see enum sample_page
 */
struct sample {
	struct fake_kho *fake;
	struct iommu_records *records;
	struct iommu_hw_ser units[SAMPLE_NR_UNITS];
	u32 unit_ids[SAMPLE_NR_UNITS];
	u32 domain_ids[SAMPLE_NR_DOMAINS];
	u32 device_ids[SAMPLE_NR_DEVICES];
	void *pages[SAMPLE_NR_PAGES];
};

struct iommu_hw_ser sample_unit(struct kunit *test, struct fake_kho *fake,
				unsigned int i);
struct iommu_domain_ser sample_domain(struct kunit *test, struct fake_kho *fake,
				      unsigned int i);
struct iommu_device_ser sample_device(struct kunit *test, struct fake_kho *fake,
				      unsigned int i);
struct sample *sample_create(struct kunit *test, struct fake_kho *fake);
void sample_destroy(struct kunit *test, struct sample *sample);

/* A smaller store that tests fill themselves. Its fake is in test->priv. */
const struct iommu_ser_list *sample_list(struct iommu_records *records,
					 unsigned int kind);
struct iommu_records *sample_store_create(struct kunit *test);
void sample_store_destroy(struct kunit *test, struct iommu_records *records);
struct iommu_device_ser sample_any_device(unsigned int i);
int sample_store_add(struct iommu_records *records, unsigned int i);

/* NULL if all is right, or what is not */
const char *records_judge(struct fake_kho *fake, struct iommu_incoming *in,
			  u64 phys);

#endif /* __IOMMU_LIVEUPDATE_RECORDS_KUNIT_H */
