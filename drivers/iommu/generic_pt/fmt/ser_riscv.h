/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How RISC-V page tables are described to the next kernel, see
 * include/linux/kho/abi/iommu_pt.h
 */
#ifndef __GENERIC_PT_FMT_SER_RISCV_H
#define __GENERIC_PT_FMT_SER_RISCV_H

#include <linux/kho/abi/iommu_pt.h>

enum {
	PT_SER_FORMAT = PT_IOMMU_SER_FMT_RISCV_64,
};

static inline u32 riscvpt_ser_feature(unsigned int feature_nr)
{
	switch (feature_nr) {
	case PT_FEAT_RISCV_SVNAPOT_64K:
		return PT_IOMMU_SER_F_NAPOT_64K;
	case PT_FEAT_RISCV_SVPBMT:
		return PT_IOMMU_SER_F_PBMT;
	default:
		return 0;
	}
}

#define pt_ser_fmt_feature riscvpt_ser_feature

/* The size of the address implies the level. */
static inline void riscvpt_ser_cfg(struct pt_iommu_riscv_64_cfg *cfg,
				   const struct pt_iommu_ser *ser)
{
}

#define pt_ser_fmt_cfg riscvpt_ser_cfg

#endif
