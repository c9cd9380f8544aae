/* SPDX-License-Identifier: GPL-2.0 */

/**
 * DOC: IOMMU live update ABI
 *
 * IOMMUs go on translating while one kernel replaces the other. What the next
 * kernel has to know about them is in the records that are defined here: one
 * for each IOMMU unit, one for each domain, one for each device.
 *
 * The root is a `struct iommu_flb_ser`. Its physical address is the data of the
 * File-Lifecycle-Bound object named IOMMU_FLB_COMPATIBLE. It heads one list of
 * pages for each kind of record:
 *
 *   - a page begins with a `struct iommu_ser_page`, which holds the address of
 *     the next page, and continues with as many records as fit into it,
 *   - a record is at the place that its id tells: ids count from 1 over all
 *     pages of the list, IOMMU_SER_PER_PAGE() of them in each,
 *   - the first member of a record is its id. Zero is a free place, and all of
 *     a free place is zero. So is all of a page that no member describes.
 *
 * The root and each page of a list is a folio of one page that is preserved by
 * Kexec HandOver (KHO). So is, with its own order, each table that a record has
 * the physical address of. No page has two uses.
 *
 * Records hold facts, which stay true while no kernel runs. They refer to each
 * other by id. The only physical addresses in them are those that hardware
 * itself holds: of its registers and of the tables that it walks.
 *
 * This interface is a contract. These are breaking changes and require that
 * IOMMU_FLB_VERSION is incremented:
 *
 *   - any change of size, order, width or meaning of a member, that of a
 *     structure which is embedded here included,
 *   - a use for what is reserved and zero now, because a kernel that does not
 *     know of it has to refuse it,
 *   - another meaning for a number of a type, which is never reused.
 *
 * A new type of unit is not a breaking change if it fits into the space that a
 * unit's record has for it: a kernel refuses a type that it does not know.
 *
 * Changes are allowed provided the version is incremented; however, a kernel
 * accepts its own version only.
 *
 * All numbers are in the byte order of the machine, and pages are of its page
 * size, neither of which changes over a kexec.
 */

#ifndef _LINUX_KHO_ABI_IOMMU_H
#define _LINUX_KHO_ABI_IOMMU_H

#include <asm/page.h>
#include <linux/bits.h>
#include <linux/build_bug.h>
#include <linux/kho/abi/iommu_pt.h>
#include <linux/stddef.h>
#include <linux/types.h>

#define IOMMU_FLB_COMPATIBLE	"iommu"
#define IOMMU_FLB_VERSION	1

/* Kinds of records: indices of iommu_flb_ser.lists */
#define IOMMU_SER_UNITS		0
#define IOMMU_SER_DOMAINS	1
#define IOMMU_SER_DEVICES	2
#define IOMMU_SER_NR_KINDS	3

/*
 * Most records of a kind, free places not counted. They bound what the next
 * kernel does with a list before it knows whether the list is sane. A device
 * or a domain has less than 128 bytes, which makes 8 MB of each at most.
 */
#define IOMMU_SER_MAX_UNITS	1024
#define IOMMU_SER_MAX_DOMAINS	65536
#define IOMMU_SER_MAX_DEVICES	65536

/* Types of units, and of the drivers that records belong to. Zero is none. */
#define IOMMU_SER_TYPE_INTEL	1
/* The unit of iommufd's self test, no hardware. Kernels without it refuse it. */
#define IOMMU_SER_TYPE_MOCK	0xffff0001

/**
 * struct iommu_ser_list - All records of one kind
 * @first: Physical address of the first struct iommu_ser_page, 0 if none
 * @nr_pages: Number of pages of the list
 * @nr_records: Number of records in these pages
 *
 * If this structure is modified, `IOMMU_FLB_VERSION` must be updated.
 */
struct iommu_ser_list {
	u64 first;
	u32 nr_pages;
	u32 nr_records;
};

static_assert(sizeof(struct iommu_ser_list) == 16);
static_assert(offsetof(struct iommu_ser_list, nr_pages) == 8);
static_assert(offsetof(struct iommu_ser_list, nr_records) == 12);

/**
 * struct iommu_flb_ser - Root of all records
 * @version: IOMMU_FLB_VERSION. No other member may be looked at before this one
 * @__reserved: Zero
 * @lists: The records, by kind
 *
 * The rest of the page is zero.
 *
 * If this structure is modified, `IOMMU_FLB_VERSION` must be updated.
 */
struct iommu_flb_ser {
	u32 version;
	u32 __reserved;
	struct iommu_ser_list lists[IOMMU_SER_NR_KINDS];
};

static_assert(sizeof(struct iommu_flb_ser) == 56);
static_assert(offsetof(struct iommu_flb_ser, version) == 0);
static_assert(offsetof(struct iommu_flb_ser, __reserved) == 4);
static_assert(offsetof(struct iommu_flb_ser, lists) == 8);

/**
 * struct iommu_ser_page - Head of one page of records
 * @next: Physical address of the next page of the list, 0 in the last one
 * @kind: Kind of the records in this page
 * @index: Position of this page in its list, counted from 0
 * @nr_records: Number of records in this page
 * @__reserved: Zero
 *
 * If this structure is modified, `IOMMU_FLB_VERSION` must be updated.
 */
struct iommu_ser_page {
	u64 next;
	u32 kind;
	u32 index;
	u32 nr_records;
	u32 __reserved;
};

static_assert(sizeof(struct iommu_ser_page) == 24);
static_assert(offsetof(struct iommu_ser_page, kind) == 8);
static_assert(offsetof(struct iommu_ser_page, index) == 12);
static_assert(offsetof(struct iommu_ser_page, nr_records) == 16);
static_assert(offsetof(struct iommu_ser_page, __reserved) == 20);

/* Number of places for records of @size bytes in a page */
#define IOMMU_SER_PER_PAGE(size) \
	((PAGE_SIZE - sizeof(struct iommu_ser_page)) / (size))

/* Bits of iommu_intel_ser.rtaddr and .irta that the records rely on */
#define IOMMU_INTEL_SER_RTADDR_SMT	BIT_ULL(10)
#define IOMMU_INTEL_SER_IRTA_EIME	BIT_ULL(11)
#define IOMMU_INTEL_SER_IRTA_SIZE	0xfULL

/**
 * struct iommu_intel_ser - Facts about one VT-d unit
 * @reg_phys: Physical address of the registers, which identifies the unit
 * @rtaddr: Root Table Address Register, the translation table mode included
 * @irta: Interrupt Remapping Table Address Register, or 0 if interrupt
 *        remapping is off
 * @cap: Capability Register
 * @ecap: Extended Capability Register
 * @context_tables: One bit for each half of a root entry: bit bus * 2 is the
 *                  lower or, in legacy mode, only context table of the bus, bit
 *                  bus * 2 + 1 the upper one. A bit is set if the context table
 *                  holds the entry of a device that is recorded, and then the
 *                  table is preserved. Bit n is bit n % 64 of word n / 64
 * @segment: PCI segment
 * @__reserved: Zero
 *
 * If this structure is modified, `IOMMU_FLB_VERSION` must be updated.
 */
struct iommu_intel_ser {
	u64 reg_phys;
	u64 rtaddr;
	u64 irta;
	u64 cap;
	u64 ecap;
	u64 context_tables[8];
	u16 segment;
	u16 __reserved[3];
};

static_assert(sizeof(struct iommu_intel_ser) == 112);
static_assert(offsetof(struct iommu_intel_ser, rtaddr) == 8);
static_assert(offsetof(struct iommu_intel_ser, irta) == 16);
static_assert(offsetof(struct iommu_intel_ser, cap) == 24);
static_assert(offsetof(struct iommu_intel_ser, ecap) == 32);
static_assert(offsetof(struct iommu_intel_ser, context_tables) == 40);
static_assert(offsetof(struct iommu_intel_ser, segment) == 104);
static_assert(offsetof(struct iommu_intel_ser, __reserved) == 106);

/**
 * struct iommu_mock_ser - Facts about the unit of iommufd's self test
 * @key: What identifies the unit, not 0
 * @nr_rids: Number of requester ids, of all devices that are recorded, aliases
 *           included, whose translation the unit keeps
 * @segment: PCI segment
 * @__reserved: Zero
 *
 * If this structure is modified, `IOMMU_FLB_VERSION` must be updated.
 */
struct iommu_mock_ser {
	u32 key;
	u32 nr_rids;
	u16 segment;
	u16 __reserved[3];
};

static_assert(sizeof(struct iommu_mock_ser) == 16);
static_assert(offsetof(struct iommu_mock_ser, key) == 0);
static_assert(offsetof(struct iommu_mock_ser, nr_rids) == 4);
static_assert(offsetof(struct iommu_mock_ser, segment) == 8);
static_assert(offsetof(struct iommu_mock_ser, __reserved) == 10);

/**
 * struct iommu_hw_ser - One IOMMU unit
 * @id: Id of the record, 0 if the place is free
 * @type: IOMMU_SER_TYPE number, tells which member of the union is used
 * @intel: Facts about a VT-d unit
 * @mock: Facts about the unit of iommufd's self test
 * @__space: All of the union. What its used member does not cover is zero
 *
 * If this structure is modified, `IOMMU_FLB_VERSION` must be updated.
 */
struct iommu_hw_ser {
	u32 id;
	u32 type;
	union {
		struct iommu_intel_ser intel;
		struct iommu_mock_ser mock;
		u64 __space[16];
	};
};

static_assert(sizeof(struct iommu_hw_ser) == 136);
static_assert(offsetof(struct iommu_hw_ser, id) == 0);
static_assert(offsetof(struct iommu_hw_ser, type) == 4);
static_assert(offsetof(struct iommu_hw_ser, intel) == 8);
static_assert(offsetof(struct iommu_hw_ser, mock) == 8);
static_assert(offsetof(struct iommu_hw_ser, __space) == 8);

/**
 * struct iommu_domain_ser - One domain
 * @id: Id of the record, 0 if the place is free
 * @type: IOMMU_SER_TYPE number of the units that the domain can be attached to
 * @__reserved: Zero
 * @pt: The page table
 *
 * If this structure is modified, `IOMMU_FLB_VERSION` must be updated.
 */
struct iommu_domain_ser {
	u32 id;
	u32 type;
	u64 __reserved;
	struct pt_iommu_ser pt;
};

static_assert(sizeof(struct iommu_domain_ser) ==
	      16 + sizeof(struct pt_iommu_ser));
static_assert(sizeof(struct iommu_domain_ser) % 8 == 0);
static_assert(sizeof(struct iommu_domain_ser) < 128);
static_assert(offsetof(struct iommu_domain_ser, id) == 0);
static_assert(offsetof(struct iommu_domain_ser, type) == 4);
static_assert(offsetof(struct iommu_domain_ser, __reserved) == 8);
static_assert(offsetof(struct iommu_domain_ser, pt) == 16);

#define IOMMU_SER_MAX_ALIASES	7

/**
 * struct iommu_device_ser - One device
 * @id: Id of the record, 0 if the place is free
 * @unit_id: Id of the unit that translates for the device
 * @domain_id: Id of the domain that is attached to the device
 * @attachment_id: What the unit tags cached translations of this domain with:
 *                 on VT-d the domain id in the context or PASID table entry.
 *                 The same for all devices of a unit that share the domain
 * @segment: PCI segment
 * @bdf: PCI bus, device and function
 * @vendor: PCI vendor id
 * @device: PCI device id
 * @nr_aliases: Number of entries of @aliases that are used
 * @aliases: Other requester ids, as @bdf, that the device's DMA may carry
 * @pasid_dir: Physical address of the PASID directory, 0 if the unit is not in
 *             scalable mode. A device that has one has no @aliases
 * @pasid_dir_order: Order of the PASID directory's folio
 * @max_pasid: Number of PASIDs that the directory has room for
 * @__reserved: Zero
 *
 * If this structure is modified, `IOMMU_FLB_VERSION` must be updated.
 */
struct iommu_device_ser {
	u32 id;
	u32 unit_id;
	u32 domain_id;
	u32 attachment_id;
	u16 segment;
	u16 bdf;
	u16 vendor;
	u16 device;
	u16 nr_aliases;
	u16 aliases[IOMMU_SER_MAX_ALIASES];
	u64 pasid_dir;
	u32 pasid_dir_order;
	u32 max_pasid;
	u64 __reserved;
};

static_assert(sizeof(struct iommu_device_ser) == 64);
static_assert(offsetof(struct iommu_device_ser, id) == 0);
static_assert(offsetof(struct iommu_device_ser, unit_id) == 4);
static_assert(offsetof(struct iommu_device_ser, domain_id) == 8);
static_assert(offsetof(struct iommu_device_ser, attachment_id) == 12);
static_assert(offsetof(struct iommu_device_ser, segment) == 16);
static_assert(offsetof(struct iommu_device_ser, bdf) == 18);
static_assert(offsetof(struct iommu_device_ser, vendor) == 20);
static_assert(offsetof(struct iommu_device_ser, device) == 22);
static_assert(offsetof(struct iommu_device_ser, nr_aliases) == 24);
static_assert(offsetof(struct iommu_device_ser, aliases) == 26);
static_assert(offsetof(struct iommu_device_ser, pasid_dir) == 40);
static_assert(offsetof(struct iommu_device_ser, pasid_dir_order) == 48);
static_assert(offsetof(struct iommu_device_ser, max_pasid) == 52);
static_assert(offsetof(struct iommu_device_ser, __reserved) == 56);

#endif /* _LINUX_KHO_ABI_IOMMU_H */
