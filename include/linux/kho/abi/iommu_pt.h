/* SPDX-License-Identifier: GPL-2.0 */

/**
 * DOC: IOMMU page table ABI
 *
 * An IOMMU page table that crosses a live update is described to the next
 * kernel by one `struct pt_iommu_ser`. The table itself stays where it is, each
 * of its pages preserved by Kexec HandOver with its order. The record holds all
 * that is needed to find these pages and to read the table, so that the next
 * kernel infers nothing from its own hardware, options or defaults.
 *
 * This interface is a contract. It has no version of its own: the record is
 * part of another record, and the version of that one covers it. These are
 * breaking changes, and require a new version there:
 *
 *   - any change of size, order, width or meaning of a member,
 *   - another meaning for a number of a format or a bit of a feature, both of
 *     which are never reused.
 *
 * A new format, or a new bit for a feature that was not known before, is not a
 * breaking change: a kernel refuses what it does not know.
 *
 * All numbers are in the byte order of the machine, which does not change over
 * a kexec. Levels are counted as in Generic Page Table: level 0 has leaves only.
 */

#ifndef _LINUX_KHO_ABI_IOMMU_PT_H
#define _LINUX_KHO_ABI_IOMMU_PT_H

#include <linux/bits.h>
#include <linux/build_bug.h>
#include <linux/stddef.h>
#include <linux/types.h>

/* Values of pt_iommu_ser.format. Zero is no format. */
#define PT_IOMMU_SER_FMT_AMDV1		1
#define PT_IOMMU_SER_FMT_VTDSS		2
#define PT_IOMMU_SER_FMT_X86_64		3
#define PT_IOMMU_SER_FMT_RISCV_64	4
/* The altered AMDv1 format of iommufd's self test, on no hardware. */
#define PT_IOMMU_SER_FMT_AMDV1_MOCK	0x8001

/*
 * Bits of pt_iommu_ser.features: what has to be known to read the table, or to
 * judge what it may be attached to. How a kernel invalidates caches is its own
 * business and not recorded.
 */
/* Tables were written for hardware that does not snoop the CPU's caches. */
#define PT_IOMMU_SER_F_DMA_INCOHERENT	BIT(0)
/* The top level can have been raised; it may be below what vasz_lg2 implies. */
#define PT_IOMMU_SER_F_DYNAMIC_TOP	BIT(1)
/* The highest bit of an address repeats in all bits above it. */
#define PT_IOMMU_SER_F_SIGN_EXTEND	BIT(2)
/* Every leaf forces DMA to snoop. */
#define PT_IOMMU_SER_F_FORCE_COHERENCE	BIT(3)
/* No leaf is read-only. */
#define PT_IOMMU_SER_F_FORCE_WRITEABLE	BIT(4)
/* Addresses of tables and memory carry the memory encryption bit. */
#define PT_IOMMU_SER_F_ENCRYPT		BIT(5)
/* Sixteen leaves of level 0 can form one of 64K (RISC-V Svnapot). */
#define PT_IOMMU_SER_F_NAPOT_64K	BIT(6)
/* Leaves carry memory types (RISC-V Svpbmt). */
#define PT_IOMMU_SER_F_PBMT		BIT(7)

/**
 * struct pt_iommu_ser - One IOMMU page table
 * @top_phys: Physical address of the top table
 * @nr_tables: Number of tables, the top one included; each is one folio
 * @pgsize_bitmap: Page sizes the domain offers, each bit is a size in bytes
 * @aperture_start: First address that can be translated
 * @aperture_last: Last address that can be translated
 * @features: PT_IOMMU_SER_F bits
 * @format: PT_IOMMU_SER_FMT number
 * @top_level: Level of the top table
 * @vasz_lg2: Number of bits of an input address, the sign bit included
 * @oasz_lg2: Number of bits of an output address
 * @__reserved: Zero
 *
 * If this structure is modified, the version of every record that it is part of
 * must be updated.
 */
struct pt_iommu_ser {
	u64 top_phys;
	u64 nr_tables;
	u64 pgsize_bitmap;
	u64 aperture_start;
	u64 aperture_last;
	u32 features;
	u16 format;
	u8 top_level;
	u8 vasz_lg2;
	u8 oasz_lg2;
	u8 __reserved[7];
};

static_assert(sizeof(struct pt_iommu_ser) == 56);
static_assert(offsetof(struct pt_iommu_ser, nr_tables) == 8);
static_assert(offsetof(struct pt_iommu_ser, pgsize_bitmap) == 16);
static_assert(offsetof(struct pt_iommu_ser, aperture_start) == 24);
static_assert(offsetof(struct pt_iommu_ser, aperture_last) == 32);
static_assert(offsetof(struct pt_iommu_ser, features) == 40);
static_assert(offsetof(struct pt_iommu_ser, format) == 44);
static_assert(offsetof(struct pt_iommu_ser, top_level) == 46);
static_assert(offsetof(struct pt_iommu_ser, vasz_lg2) == 47);
static_assert(offsetof(struct pt_iommu_ser, oasz_lg2) == 48);
static_assert(offsetof(struct pt_iommu_ser, __reserved) == 49);

#endif /* _LINUX_KHO_ABI_IOMMU_PT_H */
