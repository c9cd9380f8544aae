/* SPDX-License-Identifier: GPL-2.0 */

/**
 * DOC: IOMMUFD live update ABI
 *
 * An iommufd crosses a live update as the list of the HWPTs that userspace has
 * marked. Their page tables are in the records of the IOMMU core, see
 * linux/kho/abi/iommu.h. Here is by which name userspace knows each of them,
 * and what it maps.
 *
 * The data of the file in its session is the physical address of a `struct
 * iommufd_ser`. All records of the iommufd are in one array of bytes that Kexec
 * HandOver (KHO) preserves as a vmalloc area:
 *
 *   - first the HWPTs, a `struct iommufd_hwpt_ser` each,
 *   - then the areas, a `struct iommufd_area_ser` each. Those of an IOAS are
 *     together, sorted by IOVA and not overlapping. HWPTs of the same IOAS share
 *     them.
 *
 * This interface is a contract. These are breaking changes and require that
 * IOMMUFD_SER_VERSION is incremented:
 *
 *   - any change of size, order, width or meaning of a member,
 *   - a use for what is reserved and zero now, because a kernel that does not
 *     know of it has to refuse it.
 *
 * Changes are allowed provided the version is incremented; however, a kernel
 * accepts its own version only.
 *
 * All numbers are in the byte order of the machine, and pages are of its page
 * size, neither of which changes over a kexec.
 */

#ifndef _LINUX_KHO_ABI_IOMMUFD_H
#define _LINUX_KHO_ABI_IOMMUFD_H

#include <linux/bits.h>
#include <linux/build_bug.h>
#include <linux/kho/abi/kexec_handover.h>
#include <linux/stddef.h>
#include <linux/types.h>

#define IOMMUFD_LUO_COMPATIBLE	"iommufd"
#define IOMMUFD_SER_VERSION	1

/*
 * Most records of an iommufd. They bound what the next kernel does with the
 * records before it knows whether they are sane: 42 MB.
 */
#define IOMMUFD_SER_MAX_HWPTS	1024
#define IOMMUFD_SER_MAX_AREAS	BIT(20)

/**
 * struct iommufd_ser - An iommufd
 * @version: IOMMUFD_SER_VERSION. No other member may be looked at before this
 * @nr_hwpts: Number of HWPTs, not zero
 * @nr_areas: Number of areas
 * @records: The array of HWPTs and areas
 *
 * If this structure is modified, `IOMMUFD_SER_VERSION` must be updated.
 */
struct iommufd_ser {
	u32 version;
	u32 nr_hwpts;
	u64 nr_areas;
	struct kho_vmalloc records;
};

static_assert(sizeof(struct iommufd_ser) == 32);
static_assert(offsetof(struct iommufd_ser, version) == 0);
static_assert(offsetof(struct iommufd_ser, nr_hwpts) == 4);
static_assert(offsetof(struct iommufd_ser, nr_areas) == 8);
static_assert(offsetof(struct iommufd_ser, records) == 16);

/* Bits of iommufd_hwpt_ser.flags: how the HWPT was allocated */
#define IOMMUFD_HWPT_SER_DIRTY_TRACKING	BIT(0)
#define IOMMUFD_HWPT_SER_PASID		BIT(1)
#define IOMMUFD_HWPT_SER_FLAGS		GENMASK(1, 0)

/**
 * struct iommufd_hwpt_ser - A HWPT
 * @token: Name that userspace gave to the HWPT, unique within the iommufd
 * @domain_id: Id of the domain's record of the IOMMU core
 * @flags: IOMMUFD_HWPT_SER bits
 * @first_area: Index of the first area that the HWPT maps
 * @nr_areas: Number of areas that it maps
 *
 * If this structure is modified, `IOMMUFD_SER_VERSION` must be updated.
 */
struct iommufd_hwpt_ser {
	u64 token;
	u32 domain_id;
	u32 flags;
	u64 first_area;
	u64 nr_areas;
};

static_assert(sizeof(struct iommufd_hwpt_ser) == 32);
static_assert(offsetof(struct iommufd_hwpt_ser, token) == 0);
static_assert(offsetof(struct iommufd_hwpt_ser, domain_id) == 8);
static_assert(offsetof(struct iommufd_hwpt_ser, flags) == 12);
static_assert(offsetof(struct iommufd_hwpt_ser, first_area) == 16);
static_assert(offsetof(struct iommufd_hwpt_ser, nr_areas) == 24);

/* Bits of iommufd_area_ser.prot */
#define IOMMUFD_AREA_SER_READ	BIT(0)
#define IOMMUFD_AREA_SER_WRITE	BIT(1)
#define IOMMUFD_AREA_SER_PROT	GENMASK(1, 0)

/**
 * struct iommufd_area_ser - Part of a memfd that is mapped
 * @iova: First IOVA
 * @length: Number of bytes, not zero
 * @memfd_token: Token of the memfd in the session
 * @offset: Where the area begins in the memfd, in bytes
 * @prot: IOMMUFD_AREA_SER bits
 * @__reserved: Zero
 *
 * If this structure is modified, `IOMMUFD_SER_VERSION` must be updated.
 */
struct iommufd_area_ser {
	u64 iova;
	u64 length;
	u64 memfd_token;
	u64 offset;
	u32 prot;
	u32 __reserved;
};

static_assert(sizeof(struct iommufd_area_ser) == 40);
static_assert(offsetof(struct iommufd_area_ser, iova) == 0);
static_assert(offsetof(struct iommufd_area_ser, length) == 8);
static_assert(offsetof(struct iommufd_area_ser, memfd_token) == 16);
static_assert(offsetof(struct iommufd_area_ser, offset) == 24);
static_assert(offsetof(struct iommufd_area_ser, prot) == 32);
static_assert(offsetof(struct iommufd_area_ser, __reserved) == 36);

#endif /* _LINUX_KHO_ABI_IOMMUFD_H */
