/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How VT-d second stage page tables are described to the next kernel, see
 * include/linux/kho/abi/iommu_pt.h
 */
#ifndef __GENERIC_PT_FMT_SER_VTDSS_H
#define __GENERIC_PT_FMT_SER_VTDSS_H

#include <linux/kho/abi/iommu_pt.h>

enum {
	PT_SER_FORMAT = PT_IOMMU_SER_FMT_VTDSS,
};

static inline u32 vtdss_pt_ser_feature(unsigned int feature_nr)
{
	switch (feature_nr) {
	case PT_FEAT_VTDSS_FORCE_COHERENCE:
		return PT_IOMMU_SER_F_FORCE_COHERENCE;
	case PT_FEAT_VTDSS_FORCE_WRITEABLE:
		return PT_IOMMU_SER_F_FORCE_WRITEABLE;
	default:
		return 0;
	}
}

#define pt_ser_fmt_feature vtdss_pt_ser_feature

static inline void vtdss_pt_ser_cfg(struct pt_iommu_vtdss_cfg *cfg,
				    const struct pt_iommu_ser *ser)
{
	cfg->top_level = ser->top_level;
}

#define pt_ser_fmt_cfg vtdss_pt_ser_cfg

#endif
