/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * IOMMU live update: what iommufd asks of the IOMMU core, and what the core
 * asks of IOMMU drivers, so that a device's translation outlives the kernel.
 */
#ifndef _LINUX_IOMMU_LIVEUPDATE_H
#define _LINUX_IOMMU_LIVEUPDATE_H

#include <linux/errno.h>
#include <linux/kho/abi/iommu.h>
#include <linux/types.h>

struct device;
struct iommu_attach_handle;
struct iommu_device;
struct iommu_domain;
struct liveupdate_file_handler;

/**
 * struct iommu_liveupdate_ops - What an IOMMU driver does for a live update
 * @type: IOMMU_SER_TYPE number of the driver's records
 * @identify: Optional. Fill @segment, @bdf, @vendor and @device of the record
 *            of a device that is not a PCI device
 * @preserve: Preserve what all devices of @iommu need. The record is zero but
 *            for its type. The unit's part that depends on devices is empty
 * @unpreserve: Undo @preserve. No device of the unit is preserved
 * @preserve_device: Preserve what the attachment of @dev to @domain needs.
 *            Fills the rest of @ser, whose ids and identity are set, and adds
 *            to @unit what the device needs of it. On failure both are as they
 *            were. Refuses with -EOPNOTSUPP what cannot cross
 * @unpreserve_device: Undo @preserve_device, in @unit too
 * @verify_device: Hardware still does what @unit and @ser say. Changes nothing
 * @restore_domain: Build a domain around the page table of @ser that belongs to
 *            @iommu. Touches no hardware. Sets owner, type and ops of the
 *            domain as an allocation does; its ops->free gives the page table
 *            back to this kernel
 * @restore_attach: Check that hardware translates for @dev through @domain as
 *            @ser says, and if it does, record the attachment as attach_dev
 *            does. Writes nothing to hardware
 * @block: Stop translating for all requester ids of @ser, whose device may not
 *            be there, and wait until hardware has. Cannot fail: panics rather
 *            than return with translation on
 *
 * A driver that has one of these has all that are not optional. None is called
 * under a spinlock, all may sleep. @preserve, @unpreserve, @preserve_device and
 * @unpreserve_device are called one at a time; those for a device, and
 * @restore_attach, under its group's mutex.
 */
struct iommu_liveupdate_ops {
	u32 type;
	int (*identify)(struct device *dev, struct iommu_device_ser *ser);
	int (*preserve)(struct iommu_device *iommu, struct iommu_hw_ser *unit);
	void (*unpreserve)(struct iommu_device *iommu,
			   const struct iommu_hw_ser *unit);
	int (*preserve_device)(struct device *dev, struct iommu_domain *domain,
			       struct iommu_hw_ser *unit,
			       struct iommu_device_ser *ser);
	void (*unpreserve_device)(struct device *dev,
				  struct iommu_domain *domain,
				  struct iommu_hw_ser *unit,
				  const struct iommu_device_ser *ser);
	int (*verify_device)(struct device *dev, struct iommu_domain *domain,
			     const struct iommu_hw_ser *unit,
			     const struct iommu_device_ser *ser);
	struct iommu_domain *
	(*restore_domain)(struct iommu_device *iommu,
			  const struct iommu_domain_ser *ser);
	int (*restore_attach)(struct device *dev, struct iommu_domain *domain,
			      const struct iommu_device_ser *ser);
	void (*block)(struct iommu_device *iommu,
		      const struct iommu_device_ser *ser);
};

#ifdef CONFIG_IOMMU_LIVEUPDATE

/* For the file handler that all of this lives and ends with */
int iommu_liveupdate_register(struct liveupdate_file_handler *handler);
void iommu_liveupdate_unregister(struct liveupdate_file_handler *handler);

/* The kernel that leaves, for iommufd */
int iommu_domain_preserve(struct iommu_domain *domain, u32 *domain_id);
void iommu_domain_unpreserve(struct iommu_domain *domain);
int iommu_preserve_device(struct iommu_domain *domain, struct device *dev,
			  u32 *device_id);
void iommu_unpreserve_device(struct iommu_domain *domain, struct device *dev);
int iommu_verify_preserved_device(struct iommu_domain *domain,
				  struct device *dev);

/* The kernel that comes, for iommufd */
struct iommu_domain *iommu_restored_domain_get(u32 domain_id);
void iommu_restored_domain_put(struct iommu_domain *domain);
int iommu_restored_device_id(struct device *dev, u32 *device_id,
			     u32 *domain_id);
int iommu_device_claim_restored(struct device *dev, u32 device_id,
				void *owner);
int iommu_restore_group_handle(struct iommu_domain *domain, struct device *dev,
			       struct iommu_attach_handle *handle);
void iommu_discard_restored_device(u32 device_id);
void iommu_discard_restored_domain(u32 domain_id);

/* The kernel that comes, for IOMMU drivers */
int iommu_incoming_unit(u32 type, u64 key, const struct iommu_hw_ser **unit);
void iommu_incoming_unit_adopted(const struct iommu_hw_ser *unit,
				 struct iommu_device *iommu);
void iommu_incoming_unit_failed(const struct iommu_hw_ser *unit, int err);
const struct iommu_device_ser *
iommu_incoming_unit_device(const struct iommu_hw_ser *unit,
			   const struct iommu_device_ser *previous);
const struct iommu_device_ser *iommu_incoming_device(struct device *dev);
void iommu_incoming_device_failed(struct device *dev, int err);

/* Both */
bool iommu_liveupdate_under_way(void);

#else /* CONFIG_IOMMU_LIVEUPDATE */

static inline int
iommu_liveupdate_register(struct liveupdate_file_handler *handler)
{
	return -EOPNOTSUPP;
}

static inline void
iommu_liveupdate_unregister(struct liveupdate_file_handler *handler)
{
}

static inline int iommu_domain_preserve(struct iommu_domain *domain,
					u32 *domain_id)
{
	return -EOPNOTSUPP;
}

static inline void iommu_domain_unpreserve(struct iommu_domain *domain)
{
}

static inline int iommu_preserve_device(struct iommu_domain *domain,
					struct device *dev, u32 *device_id)
{
	return -EOPNOTSUPP;
}

static inline void iommu_unpreserve_device(struct iommu_domain *domain,
					   struct device *dev)
{
}

static inline int iommu_verify_preserved_device(struct iommu_domain *domain,
						struct device *dev)
{
	return -EOPNOTSUPP;
}

static inline struct iommu_domain *iommu_restored_domain_get(u32 domain_id)
{
	return ERR_PTR(-EOPNOTSUPP);
}

static inline void iommu_restored_domain_put(struct iommu_domain *domain)
{
}

static inline int iommu_restored_device_id(struct device *dev, u32 *device_id,
					   u32 *domain_id)
{
	return -ENOENT;
}

static inline int iommu_device_claim_restored(struct device *dev,
					      u32 device_id, void *owner)
{
	return -EOPNOTSUPP;
}

static inline int
iommu_restore_group_handle(struct iommu_domain *domain, struct device *dev,
			   struct iommu_attach_handle *handle)
{
	return -EOPNOTSUPP;
}

static inline void iommu_discard_restored_device(u32 device_id)
{
}

static inline void iommu_discard_restored_domain(u32 domain_id)
{
}

static inline int iommu_incoming_unit(u32 type, u64 key,
				      const struct iommu_hw_ser **unit)
{
	return -ENOENT;
}

static inline void iommu_incoming_unit_adopted(const struct iommu_hw_ser *unit,
					       struct iommu_device *iommu)
{
}

static inline void iommu_incoming_unit_failed(const struct iommu_hw_ser *unit,
					      int err)
{
}

static inline const struct iommu_device_ser *
iommu_incoming_unit_device(const struct iommu_hw_ser *unit,
			   const struct iommu_device_ser *previous)
{
	return NULL;
}

static inline const struct iommu_device_ser *
iommu_incoming_device(struct device *dev)
{
	return NULL;
}

static inline void iommu_incoming_device_failed(struct device *dev, int err)
{
}

static inline bool iommu_liveupdate_under_way(void)
{
	return false;
}

#endif /* CONFIG_IOMMU_LIVEUPDATE */

#ifdef CONFIG_IOMMU_LIVEUPDATE_TEST
bool iommu_liveupdate_fails(void);
#else
static inline bool iommu_liveupdate_fails(void)
{
	return false;
}
#endif

#endif /* _LINUX_IOMMU_LIVEUPDATE_H */
