/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The record of a page table, see include/linux/kho/abi/iommu_pt.h: features in
 * both directions, and the rules that a record must obey. The part that differs
 * between formats is in fmt/ser_XXX.h:
 *
 *  PT_SER_FORMAT
 *     The number of the format.
 *  pt_ser_fmt_feature()
 *     The bit in the record for a feature that only this format has, or 0.
 *  pt_ser_fmt_cfg()
 *     Turn what only this format is told at init into its configuration.
 */
#ifndef __GENERIC_PT_PT_SER_H
#define __GENERIC_PT_PT_SER_H

#include <linux/mm.h>
#include <linux/string.h>

#define _PT_SER_H CONCATENATE(ser_, _PT_FMT_H)
#define PT_SER_H __stringify(fmt/_PT_SER_H)
#include PT_SER_H

#include "pt_iter.h"

enum {
	/*
	 * Not recorded: how to invalidate, which the next kernel decides, and
	 * what the size of the address implies.
	 */
	PT_SER_IGNORED_FEATURES = BIT(PT_FEAT_FULL_VA) |
				  BIT(PT_FEAT_FLUSH_RANGE) |
				  BIT(PT_FEAT_FLUSH_RANGE_NO_GAPS) |
				  BIT(PT_FEAT_DETAILED_GATHER),
	PT_SER_NR_FEATURES = 32,
};

/* The bit in the record that stands for a feature, or 0 */
static inline u32 pt_ser_feature(unsigned int feature_nr)
{
	switch (feature_nr) {
	case PT_FEAT_DMA_INCOHERENT:
		return PT_IOMMU_SER_F_DMA_INCOHERENT;
	case PT_FEAT_DYNAMIC_TOP:
		return PT_IOMMU_SER_F_DYNAMIC_TOP;
	case PT_FEAT_SIGN_EXTEND:
		return PT_IOMMU_SER_F_SIGN_EXTEND;
	default:
		if (feature_nr < PT_FEAT_FMT_START)
			return 0;
		return pt_ser_fmt_feature(feature_nr);
	}
}

static inline u32 pt_ser_features(const struct pt_common *common)
{
	unsigned int nr;
	u32 flags = 0;

	for (nr = 0; nr != PT_SER_NR_FEATURES; nr++)
		if (pt_feature(common, nr))
			flags |= pt_ser_feature(nr);
	return flags;
}

static inline unsigned int pt_ser_to_features(u32 flags)
{
	unsigned int features = PT_FORCE_ENABLED_FEATURES;
	unsigned int nr;

	for (nr = 0; nr != PT_SER_NR_FEATURES; nr++)
		if (flags & pt_ser_feature(nr))
			features |= BIT(nr);
	return features;
}

static inline int pt_ser_check_features(u32 flags)
{
	unsigned int nr;
	u32 known = 0;

	for (nr = 0; nr != PT_SER_NR_FEATURES; nr++) {
		u32 flag = pt_ser_feature(nr);

		if ((PT_FORCE_ENABLED_FEATURES & BIT(nr)) && flag &&
		    !(flags & flag))
			return -EINVAL;
		if ((flags & flag) && !PT_SUPPORTED_FEATURE(nr))
			return -EOPNOTSUPP;
		known |= flag;
	}
	return flags & ~known ? -EINVAL : 0;
}

/*
 * The top table must hold all addresses. It can have a single entry: hardware
 * may walk one level more than the width of an address needs. A table that can
 * grow has the addresses of the largest table from the start.
 */
static inline bool pt_ser_level_ok(const struct pt_iommu_ser *ser)
{
	struct pt_state pts = { .level = ser->top_level };
	unsigned int isz_lg2 = pt_table_item_lg2sz(&pts);

	if (ser->vasz_lg2 > PT_MAX_VA_ADDRESS_LG2 || ser->vasz_lg2 < isz_lg2)
		return false;
	if (ser->top_level == PT_MAX_TOP_LEVEL ||
	    (ser->features & PT_IOMMU_SER_F_DYNAMIC_TOP))
		return true;
	return ser->vasz_lg2 <= isz_lg2 + pt_num_items_lg2(&pts);
}

/* What can be said about a record without setting up a table */
static inline int pt_ser_check(const struct pt_iommu_ser *ser)
{
	int ret;

	if (ser->format != PT_SER_FORMAT ||
	    memchr_inv(ser->__reserved, 0, sizeof(ser->__reserved)))
		return -EINVAL;

	ret = pt_ser_check_features(ser->features);
	if (ret)
		return ret;

	if (!ser->nr_tables || !ser->pgsize_bitmap ||
	    ser->aperture_start >= ser->aperture_last)
		return -EINVAL;

	if (ser->top_level > PT_MAX_TOP_LEVEL || !pt_ser_level_ok(ser))
		return -EINVAL;

	if (ser->oasz_lg2 > pt_max_oa_lg2(NULL) ||
	    ser->oasz_lg2 <= PT_GRANULE_LG2SZ)
		return -EINVAL;

	if (!ser->top_phys || (ser->top_phys & ~(u64)PT_TOP_PHYS_MASK) ||
	    !pfn_valid(PHYS_PFN(ser->top_phys)))
		return -EINVAL;
	return 0;
}

#endif
