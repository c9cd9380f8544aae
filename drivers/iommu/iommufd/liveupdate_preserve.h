/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The kernel that leaves: what the parts of preserving an iommufd share.
 */
#ifndef __IOMMUFD_LIVEUPDATE_PRESERVE_H
#define __IOMMUFD_LIVEUPDATE_PRESERVE_H

#include <linux/kho/abi/iommufd.h>
#include <linux/types.h>

struct io_pagetable;
struct iommu_domain;
struct iommufd_ctx;
struct liveupdate_session;

/* liveupdate_areas.c */
u64 iommufd_count_areas(struct io_pagetable *iopt);
int iommufd_record_areas(struct io_pagetable *iopt,
			 struct liveupdate_session *session,
			 struct iommufd_area_ser *areas, u64 nr_areas);
int iommufd_compare_areas(struct io_pagetable *iopt,
			  struct liveupdate_session *session,
			  const struct iommufd_area_ser *areas, u64 nr_areas,
			  unsigned long end);
bool iommufd_wait_until(unsigned long end);
int iommufd_verify_memory(struct io_pagetable *iopt,
			  struct iommu_domain *domain);

/* liveupdate_preserve.c */
int iommufd_preserve(struct iommufd_ctx *ictx,
		     struct liveupdate_session *session, u64 *data);
void iommufd_unpreserve(struct iommufd_ctx *ictx);
int iommufd_freeze(struct iommufd_ctx *ictx,
		   struct liveupdate_session *session);

/* liveupdate_device.c */
int iommufd_verify_devices(struct iommufd_ctx *ictx);

#endif
