/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The kernel that leaves: between outgoing.c, which knows domains and units,
 * and outgoing_device.c, which knows devices and their groups.
 */
#ifndef __IOMMU_LIVEUPDATE_OUTGOING_H
#define __IOMMU_LIVEUPDATE_OUTGOING_H

#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/refcount.h>

#include "core.h"
#include "records.h"

/**
 * struct iommu_outgoing - All that this kernel leaves to the next
 * @records: What the next kernel reads
 * @units: List of struct iommu_preserved_unit
 * @domains: List of struct iommu_preserved_domain
 * @devices: List of struct iommu_preserved_device
 */
struct iommu_outgoing {
	struct iommu_records *records;
	struct list_head units;
	struct list_head domains;
	struct list_head devices;
};

/**
 * struct iommu_preserved_unit - A unit that translates for a preserved device
 * @list: In iommu_outgoing.units
 * @iommu: The unit
 * @ops: Operations of its driver
 * @devices: Number of preserved devices
 * @id: Id of the record
 */
struct iommu_preserved_unit {
	struct list_head list;
	struct iommu_device *iommu;
	const struct iommu_liveupdate_ops *ops;
	refcount_t devices;
	u32 id;
};

/**
 * struct iommu_preserved_domain - A domain whose page table is preserved
 * @list: In iommu_outgoing.domains
 * @domain: The domain
 * @devices: Number of preserved devices that are attached, plus 1
 * @id: Id of the record
 */
struct iommu_preserved_domain {
	struct list_head list;
	struct iommu_domain *domain;
	refcount_t devices;
	u32 id;
};

/**
 * struct iommu_preserved_device - A device that goes on
 * @list: In iommu_outgoing.devices
 * @dev: The device
 * @unit: Its unit
 * @domain: Its domain
 * @id: Id of the record
 */
struct iommu_preserved_device {
	struct list_head list;
	struct device *dev;
	struct iommu_preserved_unit *unit;
	struct iommu_preserved_domain *domain;
	u32 id;
};

/*
 * Protects iommu_outgoing and all that is reachable from it, and serializes
 * the drivers' operations that preserve and unpreserve. Taken inside a group's
 * mutex. KHO is called and memory allocated under it.
 */
extern struct mutex iommu_outgoing_lock;
extern struct iommu_outgoing *iommu_outgoing;

struct iommu_preserved_unit *
iommu_outgoing_unit_get(struct iommu_outgoing *out, struct device *dev,
			const struct iommu_liveupdate_ops *ops);
void iommu_outgoing_unit_put(struct iommu_outgoing *out,
			     struct iommu_preserved_unit *unit);

#endif /* __IOMMU_LIVEUPDATE_OUTGOING_H */
