/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The kernel that comes: between incoming.c, which knows the records and the
 * units, incoming_domain.c and incoming_device.c.
 */
#ifndef __IOMMU_LIVEUPDATE_INCOMING_H
#define __IOMMU_LIVEUPDATE_INCOMING_H

#include <linux/kref.h>
#include <linux/mutex.h>
#include <linux/xarray.h>

#include "core.h"
#include "records.h"

/**
 * struct iommu_incoming_state - All that the previous kernel left
 * @records: What it wrote
 * @units: struct iommu_restored_unit, by id of the record
 * @domains: struct iommu_restored_domain, by id of the record. Holds a
 *           reference to each
 * @devices: struct iommu_restored_device, by id of the record. Holds a
 *           reference to each
 */
struct iommu_incoming_state {
	struct iommu_incoming *records;
	struct xarray units;
	struct xarray domains;
	struct xarray devices;
};

/**
 * struct iommu_restored_unit - A unit that goes on
 * @iommu: The unit, once its driver has adopted it or has failed to. Its ops are
 *         there once it is registered
 * @err: Why the driver cannot adopt it, or 0
 */
struct iommu_restored_unit {
	struct iommu_device *iommu;
	int err;
};

/**
 * struct iommu_restored_domain - A page table that hardware goes on using
 * @kref: Held by iommu_incoming_state, each device that is attached, and each
 *        iommu_restored_domain_get()
 * @ser: The record
 * @domain: The domain around it. NULL until somebody needs it
 */
struct iommu_restored_domain {
	struct kref kref;
	struct iommu_domain_ser ser;
	struct iommu_domain *domain;
};

/**
 * enum iommu_restored_state - How far a device is on its way
 * @IOMMU_RESTORED_WAITING: It has not been found yet
 * @IOMMU_RESTORED_FOUND: It is there, its group not yet
 * @IOMMU_RESTORED_ATTACHED: The live update owns it
 * @IOMMU_RESTORED_CLAIMED: A file owns it and has not changed the domain
 * @IOMMU_RESTORED_DONE: It has another domain, or is gone
 * @IOMMU_RESTORED_FAILED: It was stopped
 */
enum iommu_restored_state {
	IOMMU_RESTORED_WAITING,
	IOMMU_RESTORED_FOUND,
	IOMMU_RESTORED_ATTACHED,
	IOMMU_RESTORED_CLAIMED,
	IOMMU_RESTORED_DONE,
	IOMMU_RESTORED_FAILED,
};

/**
 * struct iommu_restored_device - A device that goes on
 * @kref: Held by iommu_incoming_state and dev_iommu
 * @ser: The record
 * @dev: The device, while it is there
 * @domain: What it is attached to, while it is
 * @state: How far it is
 * @err: Why it failed, or 0
 *
 * iommu_incoming_lock protects @dev, @state and @err, the mutex of the group
 * @domain.
 */
struct iommu_restored_device {
	struct kref kref;
	struct iommu_device_ser ser;
	struct device *dev;
	struct iommu_restored_domain *domain;
	enum iommu_restored_state state;
	int err;
};

/*
 * Protects iommu_incoming_state and all that is reachable from it. Taken inside
 * a group's mutex, and inside the locks of LUO when it retrieves or finishes.
 */
extern struct mutex iommu_incoming_lock;
extern struct iommu_incoming_state *iommu_incoming_state;

/* flb.c */
int iommu_incoming_look(void);

/* incoming.c */
struct iommu_device *
iommu_incoming_unit_of(const struct iommu_device_ser *ser);

/* incoming_device.c. The first is the owner of groups nobody has claimed yet. */
extern char iommu_liveupdate_owner;
void iommu_restored_device_stop(struct device *dev);
void iommu_restored_device_block(struct iommu_restored_device *restored);
void iommu_restored_device_put(struct iommu_restored_device *restored);
void iommu_restored_device_fail(struct iommu_restored_device *restored, int err,
				const char *why);
void iommu_restored_device_join(struct device *dev);
void iommu_restored_device_left(struct iommu_restored_device *restored);
void iommu_restored_device_unplug(struct iommu_group *group,
				  struct iommu_restored_device *restored);

/* incoming_domain.c */
struct iommu_restored_domain *
iommu_restored_domain_ref(u32 id, struct iommu_device *iommu);
void iommu_restored_domain_unref(struct iommu_restored_domain *restored);
int iommu_restored_domain_build(struct iommu_restored_domain *restored,
				struct iommu_device *iommu);

#endif /* __IOMMU_LIVEUPDATE_INCOMING_H */
