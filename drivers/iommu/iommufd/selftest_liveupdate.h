/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the parts of iommufd's self test share for the live update of its mock
 * IOMMU.
 */
#ifndef __IOMMUFD_SELFTEST_LIVEUPDATE_H
#define __IOMMUFD_SELFTEST_LIVEUPDATE_H

#include <linux/generic_pt/iommu.h>
#include <linux/iommu.h>
#include <linux/list.h>
#include <linux/mutex.h>

#include "iommufd_private.h"

struct iommu_liveupdate_ops;
struct iommu_test_cmd;

/* Of all objects of the self test, whose first members are the same */
enum selftest_obj_type {
	TYPE_IDEV,
	TYPE_LU_DEVICE,
	TYPE_LU_RESTORED,
	TYPE_LU_PRESERVED,
};

struct mock_iommu_domain {
	union {
		struct iommu_domain domain;
		struct pt_iommu iommu;
		struct pt_iommu_amdv1 amdv1;
	};
	unsigned long flags;
	/* In a list of all, see selftest_liveupdate_hw.c */
	struct list_head elm;
	/* What the mock hardware tags this domain with */
	u32 attachment_id;
	/* It belongs to a kernel that has left: its tables are not ours */
	bool dead;
};

PT_IOMMU_CHECK_DOMAIN(struct mock_iommu_domain, iommu, domain);
PT_IOMMU_CHECK_DOMAIN(struct mock_iommu_domain, amdv1.iommu, domain);

static inline struct mock_iommu_domain *
to_mock_domain(struct iommu_domain *domain)
{
	return container_of(domain, struct mock_iommu_domain, domain);
}

/**
 * struct mock_lu_device - What a mock device has that outlives a kernel
 * @elm: In a list of all
 * @dev: The device
 * @group: Group to become a member of, NULL for one of its own
 * @domain: What is attached, as the driver knows it
 * @bdf: Requester id
 * @alias: Another one, 0 if none
 * @device: Device id
 * @reserved: IOVA of a page that nothing can be mapped at, 0 if none
 * @dead: It belongs to a kernel that has left
 * @refuse: The driver cannot preserve it
 * @no_name: The driver cannot tell what both kernels call it
 * @late: The driver does not want it yet
 */
struct mock_lu_device {
	struct list_head elm;
	struct device *dev;
	struct iommu_group *group;
	struct iommu_domain *domain;
	u16 bdf;
	u16 alias;
	u16 device;
	u64 reserved;
	bool dead;
	bool refuse;
	bool no_name;
	bool late;
};

/**
 * struct mock_lu_obj - What a test has
 * @obj: Object of the test's file
 * @type: TYPE_LU number, tells what else is used
 * @dev: TYPE_LU_DEVICE: the device, NULL once it is unplugged
 * @group: Its group
 * @owned: It is this object that owns the group's DMA
 * @lock: Protects what follows. Taken outside of the group's mutex
 * @domain_obj: Object of the domain that is attached, which is in use. NULL if
 *              none is
 * @handles: One for what is attached, one for what replaces it
 * @next_handle: Index of the one that is not in use
 * @domain: TYPE_LU_RESTORED and TYPE_LU_PRESERVED: the domain
 * @hwpt_obj: TYPE_LU_PRESERVED: object of the domain, which is in use
 */
struct mock_lu_obj {
	struct iommufd_object obj;
	enum selftest_obj_type type;
	struct device *dev;
	struct iommu_group *group;
	bool owned;
	struct mutex lock; /* See above */
	struct iommufd_object *domain_obj;
	struct iommu_attach_handle handles[2];
	unsigned int next_handle;
	struct iommu_domain *domain;
	struct iommufd_object *hwpt_obj;
};

/* selftest.c */
struct device *iommufd_mock_device_create(struct mock_lu_device *lu,
					  u32 *number);
struct iommu_device *iommufd_mock_iommu(void);
void iommufd_mock_domain_free(struct iommu_domain *domain);

#ifdef CONFIG_IOMMU_LIVEUPDATE

extern const struct iommu_liveupdate_ops mock_liveupdate_ops;

/* selftest_liveupdate_hw.c: what hardware sees of the driver */
void mock_lu_device_add(struct mock_lu_device *lu, struct device *dev);
void mock_lu_device_del(struct device *dev);
void mock_lu_domain_add(struct mock_iommu_domain *mock);
void mock_lu_domain_del(struct mock_iommu_domain *mock);
void mock_lu_attach(struct iommu_domain *domain, struct device *dev,
		    struct iommu_domain *old);
void mock_lu_release_device(struct device *dev);
bool mock_lu_is_late(struct device *dev);
struct iommu_group *mock_lu_device_group(struct device *dev);
void mock_lu_get_resv_regions(struct device *dev, struct list_head *head);

/* selftest_liveupdate_hw.c and selftest_liveupdate_ops.c, for the test */
void mock_lu_handover(void);
int mock_lu_entry(struct iommu_test_cmd *cmd);
void mock_lu_state(struct iommu_test_cmd *cmd);
void mock_lu_unpreserve_devices(struct iommu_domain *domain);
int mock_lu_adopt(struct iommu_device *iommu, bool fail);
void mock_lu_set_unit(struct iommu_device *iommu);

/* selftest_liveupdate.c: the commands of the test */
int iommufd_test_liveupdate(struct iommufd_ucmd *ucmd);
void iommufd_test_liveupdate_destroy(struct iommufd_object *obj);
struct mock_lu_obj *mock_lu_get(struct iommufd_ctx *ictx, u32 id,
				enum selftest_obj_type type);
struct iommu_domain *mock_lu_get_domain(struct iommufd_ctx *ictx, u32 id,
					struct iommufd_object **objp);
int mock_lu_finalize(struct iommufd_ucmd *ucmd, struct mock_lu_obj *lu);

/* selftest_liveupdate_dev.c: those for devices */
int mock_lu_device_create(struct iommufd_ucmd *ucmd);
int mock_lu_device(struct iommufd_ucmd *ucmd);
void mock_lu_device_destroy(struct mock_lu_obj *lu);

#define MOCK_LU_OPS                         \
	.liveupdate = &mock_liveupdate_ops, \
	.get_resv_regions = mock_lu_get_resv_regions,

#else

static inline void mock_lu_device_add(struct mock_lu_device *lu,
				      struct device *dev)
{
}

static inline void mock_lu_device_del(struct device *dev)
{
}

static inline void mock_lu_domain_add(struct mock_iommu_domain *mock)
{
}

static inline void mock_lu_domain_del(struct mock_iommu_domain *mock)
{
}

static inline void mock_lu_attach(struct iommu_domain *domain,
				  struct device *dev, struct iommu_domain *old)
{
}

static inline void mock_lu_release_device(struct device *dev)
{
}

static inline bool mock_lu_is_late(struct device *dev)
{
	return false;
}

static inline struct iommu_group *mock_lu_device_group(struct device *dev)
{
	return generic_device_group(dev);
}

static inline int iommufd_test_liveupdate(struct iommufd_ucmd *ucmd)
{
	return -EOPNOTSUPP;
}

static inline void iommufd_test_liveupdate_destroy(struct iommufd_object *obj)
{
}

#define MOCK_LU_OPS

#endif

#endif
