/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How AMDv1 page tables are described to the next kernel, see
 * include/linux/kho/abi/iommu_pt.h
 */
#ifndef __GENERIC_PT_FMT_SER_AMDV1_H
#define __GENERIC_PT_FMT_SER_AMDV1_H

#include <linux/kho/abi/iommu_pt.h>

enum {
#ifdef AMDV1_IOMMUFD_SELFTEST
	PT_SER_FORMAT = PT_IOMMU_SER_FMT_AMDV1_MOCK,
#else
	PT_SER_FORMAT = PT_IOMMU_SER_FMT_AMDV1,
#endif
};

static inline u32 amdv1pt_ser_feature(unsigned int feature_nr)
{
	switch (feature_nr) {
	case PT_FEAT_AMDV1_ENCRYPT_TABLES:
		return PT_IOMMU_SER_F_ENCRYPT;
	case PT_FEAT_AMDV1_FORCE_COHERENCE:
		return PT_IOMMU_SER_F_FORCE_COHERENCE;
	default:
		return 0;
	}
}

#define pt_ser_fmt_feature amdv1pt_ser_feature

static inline void amdv1pt_ser_cfg(struct pt_iommu_amdv1_cfg *cfg,
				   const struct pt_iommu_ser *ser)
{
	cfg->starting_level = ser->top_level;
}

#define pt_ser_fmt_cfg amdv1pt_ser_cfg

#endif
