/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The kernel that comes: what the parts of restoring an iommufd share.
 */
#ifndef __IOMMUFD_LIVEUPDATE_RESTORE_H
#define __IOMMUFD_LIVEUPDATE_RESTORE_H

#include <linux/kho/abi/iommufd.h>
#include <linux/types.h>

#include "iommufd_private.h"

/**
 * struct iommufd_incoming - What the previous kernel recorded of an iommufd
 * @ser: What it left
 * @hwpts: Records of the HWPTs, NULL if they could not be had from KHO. One
 *         allocation with @areas
 * @areas: Records of the areas
 */
struct iommufd_incoming {
	const struct iommufd_ser *ser;
	const struct iommufd_hwpt_ser *hwpts;
	const struct iommufd_area_ser *areas;
};

/* liveupdate_incoming.c */
struct iommufd_incoming *iommufd_incoming_open(u64 data);
int iommufd_incoming_load(struct iommufd_incoming *incoming);
int iommufd_incoming_check(const struct iommufd_incoming *incoming);
void iommufd_incoming_stop(const struct iommufd_incoming *incoming);
void iommufd_incoming_free(struct iommufd_incoming *incoming);

/* liveupdate_restored.c */
int iommufd_restored_create(struct iommufd_ctx *ictx,
			    const struct iommufd_incoming *incoming,
			    const struct iommufd_hwpt_ser *ser);
bool iommufd_restored_in_use(struct iommufd_ctx *ictx);
void iommufd_restored_finish(struct iommufd_ctx *ictx);

#endif
