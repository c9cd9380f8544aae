/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Between the two halves of the reader: reader.c knows pages and ids,
 * reader_check.c what records say about each other.
 */
#ifndef __IOMMU_LIVEUPDATE_READER_H
#define __IOMMU_LIVEUPDATE_READER_H

#include <linux/xarray.h>

#include "records.h"

/**
 * struct iommu_incoming - Records of the previous kernel that can be relied on
 * @root: The root
 * @pages: Pages of each list, in order
 * @rids: Id of the device, by iommu_incoming_rid_key() of all requester ids
 */
struct iommu_incoming {
	struct iommu_flb_ser *root;
	struct iommu_ser_page **pages[IOMMU_SER_NR_KINDS];
	struct xarray rids;
};

/**
 * struct iommu_reading - Records of the previous kernel that are being judged
 * @in: What is known so far. A list is known as a whole or not at all
 * @used: Each page that has a use, by frame number
 * @verify: The records are those of this kernel: KHO cannot tell its pages yet
 * @why: Tells what is wrong, once something is
 * @where: Name of what is wrong
 * @id: Id of the record that is wrong, or 0
 */
struct iommu_reading {
	struct iommu_incoming *in;
	struct xarray used;
	bool verify;
	const char *why;
	const char *where;
	u32 id;
};

/* Any order, to iommu_reading_use() */
#define IOMMU_READING_ANY_ORDER		(-1)

static inline unsigned long iommu_incoming_rid_key(u16 segment, u16 rid)
{
	return (unsigned long)segment << 16 | rid;
}

static inline int iommu_reading_refuse(struct iommu_reading *reading, int err,
				       const char *why)
{
	reading->why = why;
	return err;
}

int iommu_reading_use(struct iommu_reading *reading, u64 phys, int order);
int iommu_reading_check(struct iommu_reading *reading);

/* Tests look at what is reported instead of at the log. */
void iommu_reading_report(const struct iommu_reading *reading, int err);

#endif /* __IOMMU_LIVEUPDATE_READER_H */
