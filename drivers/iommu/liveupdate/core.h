/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Live update of the IOMMU core: what iommu.c calls, and what the files of the
 * two kernels share. Private to drivers/iommu.
 */
#ifndef __IOMMU_LIVEUPDATE_CORE_H
#define __IOMMU_LIVEUPDATE_CORE_H

#include <linux/iommu-liveupdate.h>
#include <linux/iommu.h>

struct iommu_group;
struct iommu_incoming;
struct iommu_preserved_device;
struct iommu_restored_device;
struct notifier_block;

#ifdef CONFIG_IOMMU_LIVEUPDATE

/* Hooks of iommu.c. See the functions for what they promise. */
int iommu_liveupdate_set_domain(struct iommu_group *group, bool must_succeed);
void iommu_liveupdate_domain_set(struct iommu_group *group,
				 struct iommu_domain *old);
int iommu_liveupdate_attach_pasid(struct iommu_group *group);
int iommu_liveupdate_change_type(struct iommu_group *group);
int iommu_liveupdate_block(struct iommu_group *group);
int iommu_liveupdate_reset(struct device *dev);
int iommu_liveupdate_join(struct iommu_group *group, struct device *dev);
void iommu_liveupdate_leave(struct iommu_group *group, struct device *dev);
void iommu_liveupdate_probe(struct device *dev, const struct iommu_ops *ops);
bool iommu_liveupdate_restore(struct iommu_group *group);
void iommu_liveupdate_release(struct device *dev);
void iommu_liveupdate_free_device(struct device *dev);

static inline bool iommu_domain_is_preserved(struct iommu_domain *domain)
{
	return READ_ONCE(domain->preserved);
}

/* identify.c: what both kernels call a device, and who can take part */
const struct iommu_liveupdate_ops *
iommu_liveupdate_ops_of(const struct iommu_ops *ops);
int iommu_liveupdate_identify(struct device *dev,
			      const struct iommu_liveupdate_ops *ops,
			      struct iommu_device_ser *ser);
bool iommu_liveupdate_alone(struct iommu_group *group, struct device *dev);

/* outgoing*.c: the kernel that leaves */
int iommu_outgoing_create(u64 *phys);
void iommu_outgoing_destroy(void);
void iommu_outgoing_forget(void);
bool iommu_outgoing_exists(void);
struct iommu_preserved_device *
iommu_group_preserved(struct iommu_group *group);
void iommu_group_unpreserve(struct iommu_group *group);

/* incoming*.c: the kernel that comes */
int iommu_incoming_start(u64 phys);
void iommu_incoming_finish(void);
bool iommu_incoming_unfinished(void);
struct iommu_restored_device *
iommu_group_restored(struct iommu_group *group);

/* suspend.c */
int iommu_liveupdate_suspend(struct notifier_block *nb, unsigned long event,
			     void *data);

#else /* CONFIG_IOMMU_LIVEUPDATE */

static inline int iommu_liveupdate_set_domain(struct iommu_group *group,
					      bool must_succeed)
{
	return 0;
}

static inline void iommu_liveupdate_domain_set(struct iommu_group *group,
					       struct iommu_domain *old)
{
}

static inline int iommu_liveupdate_attach_pasid(struct iommu_group *group)
{
	return 0;
}

static inline int iommu_liveupdate_change_type(struct iommu_group *group)
{
	return 0;
}

static inline int iommu_liveupdate_block(struct iommu_group *group)
{
	return 0;
}

static inline int iommu_liveupdate_reset(struct device *dev)
{
	return 0;
}

static inline int iommu_liveupdate_join(struct iommu_group *group,
					struct device *dev)
{
	return 0;
}

static inline void iommu_liveupdate_leave(struct iommu_group *group,
					  struct device *dev)
{
}

static inline void iommu_liveupdate_probe(struct device *dev,
					  const struct iommu_ops *ops)
{
}

static inline bool iommu_liveupdate_restore(struct iommu_group *group)
{
	return false;
}

static inline void iommu_liveupdate_release(struct device *dev)
{
}

static inline void iommu_liveupdate_free_device(struct device *dev)
{
}

static inline bool iommu_domain_is_preserved(struct iommu_domain *domain)
{
	return false;
}

#endif /* CONFIG_IOMMU_LIVEUPDATE */
#endif /* __IOMMU_LIVEUPDATE_CORE_H */
