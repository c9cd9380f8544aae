// SPDX-License-Identifier: GPL-2.0-only
/*
 * What can be said about one record without looking at any other. The writer
 * refuses what the reader would refuse, as long as there is somebody to tell.
 */

#include <kunit/static_stub.h>
#include <kunit/visibility.h>
#include <linux/bitops.h>
#include <linux/errno.h>
#include <linux/export.h>
#include <linux/kconfig.h>
#include <linux/mm.h>
#include <linux/string.h>

#include "records.h"

#define IOMMU_RECORD_KIND(_name, _type, _max)				\
	{								\
		.name = _name,						\
		.size = sizeof(_type),					\
		.per_page = IOMMU_SER_PER_PAGE(sizeof(_type)),		\
		.max = _max,						\
	}

const struct iommu_record_kind iommu_record_kinds[IOMMU_SER_NR_KINDS] = {
	[IOMMU_SER_UNITS] = IOMMU_RECORD_KIND("unit", struct iommu_hw_ser,
					      IOMMU_SER_MAX_UNITS),
	[IOMMU_SER_DOMAINS] = IOMMU_RECORD_KIND("domain",
						struct iommu_domain_ser,
						IOMMU_SER_MAX_DOMAINS),
	[IOMMU_SER_DEVICES] = IOMMU_RECORD_KIND("device",
						struct iommu_device_ser,
						IOMMU_SER_MAX_DEVICES),
};

/* VT-d: 1 is for pass-through, 0 is not available to software. */
#define INTEL_FIRST_DOMAIN_ID	2
#define INTEL_LAST_DOMAIN_ID	U16_MAX

/* A page of a PASID directory has room for 2 to the power of 15 PASIDs. */
#define INTEL_PASIDS_PER_PAGE	(PAGE_SIZE << 3)
#define INTEL_MAX_PASID		BIT(20)

static int refuse(const char **why, const char *reason)
{
	*why = reason;
	return -EINVAL;
}

static int check_intel(const struct iommu_intel_ser *intel, const char **why)
{
	u64 flags = iommu_ser_page_flags(intel->rtaddr);

	if (!intel->reg_phys || iommu_ser_page_flags(intel->reg_phys))
		return refuse(why, "register base is not aligned");
	if (!iommu_ser_page_address(intel->rtaddr))
		return refuse(why, "no root table");
	if (flags & ~IOMMU_INTEL_SER_RTADDR_SMT)
		return refuse(why, "unknown translation table mode");
	if (intel->irta && !iommu_ser_page_address(intel->irta))
		return refuse(why, "no interrupt remapping table");
	if (iommu_ser_page_flags(intel->irta) &
	    ~(IOMMU_INTEL_SER_IRTA_EIME | IOMMU_INTEL_SER_IRTA_SIZE))
		return refuse(why, "unknown interrupt remapping mode");

	/* In legacy mode a bus has one context table. */
	for (unsigned int i = 0; i < ARRAY_SIZE(intel->context_tables); i++) {
		if (!iommu_intel_ser_scalable(intel) &&
		    intel->context_tables[i] & 0xaaaaaaaaaaaaaaaaULL)
			return refuse(why, "upper context table in legacy mode");
	}

	if (memchr_inv(intel->__reserved, 0, sizeof(intel->__reserved)))
		return refuse(why, "reserved bytes are not zero");
	return 0;
}

static int check_mock(const struct iommu_mock_ser *mock, const char **why)
{
	if (!mock->key)
		return refuse(why, "no key");
	if (memchr_inv(mock->__reserved, 0, sizeof(mock->__reserved)))
		return refuse(why, "reserved bytes are not zero");
	return 0;
}

/* Is there a self test? KUnit replaces it, so that both answers are tested. */
bool iommu_record_mock_known(void)
{
	KUNIT_STATIC_STUB_REDIRECT(iommu_record_mock_known);
	return IS_ENABLED(CONFIG_IOMMUFD_TEST);
}
EXPORT_SYMBOL_IF_KUNIT(iommu_record_mock_known);

/* Bytes of a unit's record that a type uses, 0 if there is no such type */
static size_t type_size(u32 type)
{
	switch (type) {
	case IOMMU_SER_TYPE_INTEL:
		return sizeof(struct iommu_intel_ser);
	case IOMMU_SER_TYPE_MOCK:
		return iommu_record_mock_known() ?
			       sizeof(struct iommu_mock_ser) : 0;
	default:
		return 0;
	}
}

static int check_unit(const struct iommu_hw_ser *unit, const char **why)
{
	size_t size = type_size(unit->type);

	if (!size)
		return refuse(why, "unknown type");
	if (memchr_inv((u8 *)unit->__space + size, 0,
		       sizeof(unit->__space) - size))
		return refuse(why, "reserved bytes are not zero");
	return unit->type == IOMMU_SER_TYPE_INTEL ?
		       check_intel(&unit->intel, why) :
		       check_mock(&unit->mock, why);
}

/* Everything else about a page table is judged by those who restore it. */
static int check_domain(const struct iommu_domain_ser *domain, const char **why)
{
	if (!type_size(domain->type))
		return refuse(why, "unknown type");
	if (domain->__reserved ||
	    memchr_inv(domain->pt.__reserved, 0, sizeof(domain->pt.__reserved)))
		return refuse(why, "reserved bytes are not zero");
	if (!domain->pt.format)
		return refuse(why, "no page table format");
	if (!domain->pt.top_phys || iommu_ser_page_flags(domain->pt.top_phys))
		return refuse(why, "top table is not aligned");
	if (!domain->pt.nr_tables)
		return refuse(why, "no page tables");
	if (domain->pt.aperture_start > domain->pt.aperture_last)
		return refuse(why, "aperture is empty");
	return 0;
}

static int check_pasid_dir(const struct iommu_device_ser *device,
			   const char **why)
{
	if (!device->pasid_dir) {
		if (device->pasid_dir_order || device->max_pasid)
			return refuse(why, "size of no PASID directory");
		return 0;
	}
	/* Which aliases have an entry depends on more than the device. */
	if (device->nr_aliases)
		return refuse(why, "PASID directory with aliases");
	if (iommu_ser_page_flags(device->pasid_dir))
		return refuse(why, "PASID directory is not aligned");
	if (!device->max_pasid || device->max_pasid > INTEL_MAX_PASID ||
	    device->pasid_dir_order > get_order(INTEL_MAX_PASID >> 3) ||
	    device->max_pasid != INTEL_PASIDS_PER_PAGE << device->pasid_dir_order)
		return refuse(why, "wrong size of the PASID directory");
	return 0;
}

static int check_device(const struct iommu_device_ser *device, const char **why)
{
	unsigned int nr = device->nr_aliases;

	if (device->__reserved)
		return refuse(why, "reserved bytes are not zero");
	if (!device->vendor || device->vendor == U16_MAX)
		return refuse(why, "no vendor id");
	if (device->attachment_id < INTEL_FIRST_DOMAIN_ID ||
	    device->attachment_id > INTEL_LAST_DOMAIN_ID)
		return refuse(why, "attachment id is out of range");
	if (nr > IOMMU_SER_MAX_ALIASES)
		return refuse(why, "too many aliases");
	if (memchr_inv(&device->aliases[nr], 0,
		       (IOMMU_SER_MAX_ALIASES - nr) * sizeof(u16)))
		return refuse(why, "unused aliases are not zero");

	for (unsigned int i = 1; i <= nr; i++) {
		for (unsigned int j = 0; j < i; j++) {
			if (iommu_record_rid(device, i) ==
			    iommu_record_rid(device, j))
				return refuse(why, "alias is given twice");
		}
	}
	return check_pasid_dir(device, why);
}

/**
 * iommu_record_check() - Check the facts of one record
 * @kind: Kind of the record
 * @record: The record. Its id, and ids in it, are not looked at
 * @why: Tells what is wrong, on error
 *
 * Return: 0 or -EINVAL.
 */
int iommu_record_check(unsigned int kind, const void *record, const char **why)
{
	switch (kind) {
	case IOMMU_SER_UNITS:
		return check_unit(record, why);
	case IOMMU_SER_DOMAINS:
		return check_domain(record, why);
	case IOMMU_SER_DEVICES:
		return check_device(record, why);
	default:
		return refuse(why, "unknown kind");
	}
}

/* Number of requester ids of a device, its own one included */
unsigned int iommu_record_nr_rids(const struct iommu_device_ser *device)
{
	return 1 + device->nr_aliases;
}

u16 iommu_record_rid(const struct iommu_device_ser *device, unsigned int i)
{
	return i ? device->aliases[i - 1] : device->bdf;
}

/* Bit of the context table that holds the entry of a requester id */
unsigned int iommu_record_context_table(const struct iommu_intel_ser *intel,
					u16 rid)
{
	unsigned int bit = (rid >> 8) * 2;

	if (iommu_intel_ser_scalable(intel) && rid & 0x80)
		bit++;
	return bit;
}

u16 iommu_record_segment(const struct iommu_hw_ser *unit)
{
	return unit->type == IOMMU_SER_TYPE_INTEL ? unit->intel.segment :
						    unit->mock.segment;
}

/* What identifies a unit among those of its type */
u64 iommu_record_unit_key(const struct iommu_hw_ser *unit)
{
	return unit->type == IOMMU_SER_TYPE_INTEL ? unit->intel.reg_phys :
						    unit->mock.key;
}

static bool units_conflict(const struct iommu_hw_ser *a,
			   const struct iommu_hw_ser *b)
{
	if (a->type != b->type)
		return false;
	if (iommu_record_unit_key(a) == iommu_record_unit_key(b))
		return true;
	return a->type == IOMMU_SER_TYPE_INTEL &&
	       iommu_ser_page_address(a->intel.rtaddr) ==
		       iommu_ser_page_address(b->intel.rtaddr);
}

static bool devices_conflict(const struct iommu_device_ser *a,
			     const struct iommu_device_ser *b)
{
	if (a->pasid_dir && a->pasid_dir == b->pasid_dir)
		return true;
	if (a->segment != b->segment)
		return false;

	for (unsigned int i = 0; i < iommu_record_nr_rids(a); i++) {
		for (unsigned int j = 0; j < iommu_record_nr_rids(b); j++) {
			if (iommu_record_rid(a, i) == iommu_record_rid(b, j))
				return true;
		}
	}
	return false;
}

/**
 * iommu_record_conflict() - Tell whether two records are about the same thing
 * @kind: Kind of both records
 * @a: A record that iommu_record_check() accepted
 * @b: Another one
 *
 * Return: true if no image can hold both of them.
 */
bool iommu_record_conflict(unsigned int kind, const void *a, const void *b)
{
	const struct iommu_domain_ser *domain_a = a, *domain_b = b;

	switch (kind) {
	case IOMMU_SER_UNITS:
		return units_conflict(a, b);
	case IOMMU_SER_DOMAINS:
		return domain_a->pt.top_phys == domain_b->pt.top_phys;
	default:
		return devices_conflict(a, b);
	}
}
