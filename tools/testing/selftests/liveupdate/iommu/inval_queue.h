/* SPDX-License-Identifier: GPL-2.0 */
#ifndef SELFTESTS_LIVEUPDATE_IOMMU_INVAL_QUEUE_H
#define SELFTESTS_LIVEUPDATE_IOMMU_INVAL_QUEUE_H

/*
 * What the kernel tells a VT-d unit to forget, from the unit's invalidation
 * queue in debugfs. The machine must have one unit. Failure ends the program.
 */

/* Types of descriptors, VT-d specification 6.5.2 */
enum inval_type {
	INVAL_CONTEXT = 1,
	INVAL_IOTLB = 2,
	INVAL_INTERRUPT = 4,
	INVAL_WAIT = 5,
	INVAL_PASID_IOTLB = 6,
	INVAL_PASID = 7,
};

struct inval {
	enum inval_type type;
	unsigned int granularity;
	unsigned int did;
};

/* The place that the next descriptor will have. */
int inval_queue_tail(void);

/*
 * Store up to @size descriptors that were queued since inval_queue_tail()
 * returned @tail, but for those that wait or are about interrupts; how many
 * there are. Less than a queue must have been used.
 */
int inval_queue_since(int tail, struct inval *found, int size);

#endif /* SELFTESTS_LIVEUPDATE_IOMMU_INVAL_QUEUE_H */
