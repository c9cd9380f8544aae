/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How x86_64 page tables are described to the next kernel, see
 * include/linux/kho/abi/iommu_pt.h
 */
#ifndef __GENERIC_PT_FMT_SER_X86_64_H
#define __GENERIC_PT_FMT_SER_X86_64_H

#include <linux/kho/abi/iommu_pt.h>

enum {
	PT_SER_FORMAT = PT_IOMMU_SER_FMT_X86_64,
};

static inline u32 x86_64_pt_ser_feature(unsigned int feature_nr)
{
	switch (feature_nr) {
	case PT_FEAT_X86_64_AMD_ENCRYPT_TABLES:
		return PT_IOMMU_SER_F_ENCRYPT;
	default:
		return 0;
	}
}

#define pt_ser_fmt_feature x86_64_pt_ser_feature

static inline void x86_64_pt_ser_cfg(struct pt_iommu_x86_64_cfg *cfg,
				     const struct pt_iommu_ser *ser)
{
	cfg->top_level = ser->top_level;
}

#define pt_ser_fmt_cfg x86_64_pt_ser_cfg

#endif
