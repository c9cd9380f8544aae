// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the records of the previous kernel say about each other and about the
 * tables of the hardware. Each record on its own was checked before.
 */

#include <linux/err.h>
#include <linux/mm.h>
#include <linux/string.h>

#include "reader.h"

/* 1 KB of context tables in each unit is what DMA of its devices goes through. */
struct context_tables {
	u64 bits[8];
};

/**
 * struct attachments - Which unit has which domain under which number
 * @domains: Id of the domain, by unit and number
 * @numbers: Number, by unit and id of the domain
 */
struct attachments {
	struct xarray domains;
	struct xarray numbers;
};

/* A unit's id and either a domain's id or number: 16 bits are enough of each. */
static unsigned long attachment_key(u32 unit_id, u32 other)
{
	static_assert(IOMMU_SER_MAX_UNITS <= 1 << 16);
	return (unsigned long)(unit_id - 1) << 16 | other;
}

static int check_unit(struct iommu_reading *reading,
		      const struct iommu_hw_ser *unit)
{
	const struct iommu_intel_ser *intel = &unit->intel;
	int err;

	/* Registers are not memory, but have a place in memory's stead. */
	err = iommu_record_insert(&reading->used, PHYS_PFN(intel->reg_phys), 1);
	if (err == -EBUSY)
		return iommu_reading_refuse(reading, -EEXIST,
					    "registers are used twice");
	if (err)
		return iommu_reading_refuse(reading, err, "no memory");

	err = iommu_reading_use(reading, iommu_ser_page_address(intel->rtaddr),
				0);
	if (err || !intel->irta)
		return err;

	/* Entries have 16 bytes, and there are 2 to the power of size + 1. */
	return iommu_reading_use(reading, iommu_ser_page_address(intel->irta),
				 get_order(32UL << (intel->irta &
						    IOMMU_INTEL_SER_IRTA_SIZE)));
}

/* Every requester id is that of one device and goes through a known table. */
static int check_rids(struct iommu_reading *reading,
		      const struct iommu_device_ser *device,
		      const struct iommu_intel_ser *intel,
		      struct context_tables *reached)
{
	for (unsigned int i = 0; i < iommu_record_nr_rids(device); i++) {
		u16 rid = iommu_record_rid(device, i);
		unsigned int bit = iommu_record_context_table(intel, rid);
		u64 mask = 1ULL << bit % 64;
		int err;

		err = iommu_record_insert(&reading->in->rids,
					  iommu_incoming_rid_key(device->segment,
								 rid),
					  device->id);
		if (err == -EBUSY)
			return iommu_reading_refuse(reading, -EEXIST,
						    "requester id is used twice");
		if (err)
			return iommu_reading_refuse(reading, err, "no memory");

		if (!(intel->context_tables[bit / 64] & mask))
			return iommu_reading_refuse(reading, -EINVAL,
						    "context table is not preserved");
		reached->bits[bit / 64] |= mask;
	}
	return 0;
}

/* @key has @value and has had it always. */
static int check_same(struct iommu_reading *reading, struct xarray *xa,
		      unsigned long key, u32 value)
{
	int err = iommu_record_insert(xa, key, value);

	if (err == -EBUSY && xa_load(xa, key) != xa_mk_value(value))
		return iommu_reading_refuse(reading, -EEXIST,
					    "attachment id does not tell the domain");
	if (err && err != -EBUSY)
		return iommu_reading_refuse(reading, err, "no memory");
	return 0;
}

static int check_attachment(struct iommu_reading *reading,
			    const struct iommu_device_ser *device,
			    struct attachments *attachments)
{
	int err;

	err = check_same(reading, &attachments->domains,
			 attachment_key(device->unit_id, device->attachment_id),
			 device->domain_id);
	if (err)
		return err;
	return check_same(reading, &attachments->numbers,
			  attachment_key(device->unit_id, device->domain_id - 1),
			  device->attachment_id);
}

static int check_device(struct iommu_reading *reading,
			const struct iommu_device_ser *device,
			struct attachments *attachments,
			struct context_tables *reached)
{
	const struct iommu_domain_ser *domain;
	const struct iommu_hw_ser *unit;
	int err;

	unit = iommu_incoming_get(reading->in, IOMMU_SER_UNITS,
				  device->unit_id);
	if (!unit)
		return iommu_reading_refuse(reading, -ENOENT, "no such unit");
	domain = iommu_incoming_get(reading->in, IOMMU_SER_DOMAINS,
				    device->domain_id);
	if (!domain)
		return iommu_reading_refuse(reading, -ENOENT, "no such domain");
	if (unit->type != domain->type)
		return iommu_reading_refuse(reading, -EINVAL,
					    "domain is not for this unit");
	if (unit->intel.segment != device->segment)
		return iommu_reading_refuse(reading, -EINVAL,
					    "unit is in another segment");
	if (iommu_intel_ser_scalable(&unit->intel) != !!device->pasid_dir)
		return iommu_reading_refuse(reading, -EINVAL,
					    "PASID directory and mode do not match");

	err = check_rids(reading, device, &unit->intel,
			 &reached[device->unit_id - 1]);
	if (err)
		return err;
	err = check_attachment(reading, device, attachments);
	if (err || !device->pasid_dir)
		return err;
	return iommu_reading_use(reading, device->pasid_dir,
				 device->pasid_dir_order);
}

static int check_devices(struct iommu_reading *reading,
			 struct context_tables *reached)
{
	const struct iommu_device_ser *device = NULL;
	struct attachments attachments;
	int err = 0;

	xa_init(&attachments.domains);
	xa_init(&attachments.numbers);
	reading->where = iommu_record_kinds[IOMMU_SER_DEVICES].name;
	while (!err && (device = iommu_incoming_next(reading->in,
						     IOMMU_SER_DEVICES,
						     device ? device->id : 0))) {
		reading->id = device->id;
		err = check_device(reading, device, &attachments, reached);
	}
	xa_destroy(&attachments.domains);
	xa_destroy(&attachments.numbers);
	return err;
}

/* A table that no device needs is one that nobody is going to clear. */
static int check_context_tables(struct iommu_reading *reading,
				struct context_tables *reached)
{
	const struct iommu_hw_ser *unit = NULL;

	reading->where = iommu_record_kinds[IOMMU_SER_UNITS].name;
	while ((unit = iommu_incoming_next(reading->in, IOMMU_SER_UNITS,
					   unit ? unit->id : 0))) {
		reading->id = unit->id;
		if (memcmp(&reached[unit->id - 1], unit->intel.context_tables,
			   sizeof(*reached)))
			return iommu_reading_refuse(reading, -EINVAL,
						    "context table without a device");
	}
	return 0;
}

/* After all lists were read: judge all that takes more than one record. */
int iommu_reading_check(struct iommu_reading *reading)
{
	const struct iommu_domain_ser *domain = NULL;
	const struct iommu_hw_ser *unit = NULL;
	struct context_tables *reached;
	u32 nr_places;
	int err;

	reading->where = iommu_record_kinds[IOMMU_SER_UNITS].name;
	while ((unit = iommu_incoming_next(reading->in, IOMMU_SER_UNITS,
					   unit ? unit->id : 0))) {
		reading->id = unit->id;
		err = check_unit(reading, unit);
		if (err)
			return err;
	}

	reading->where = iommu_record_kinds[IOMMU_SER_DOMAINS].name;
	while ((domain = iommu_incoming_next(reading->in, IOMMU_SER_DOMAINS,
					     domain ? domain->id : 0))) {
		reading->id = domain->id;
		err = iommu_reading_use(reading, domain->pt.top_phys,
					IOMMU_READING_ANY_ORDER);
		if (err)
			return err;
	}

	nr_places = reading->in->root->lists[IOMMU_SER_UNITS].nr_pages *
		    iommu_record_kinds[IOMMU_SER_UNITS].per_page;
	reached = iommu_record_calloc(nr_places + 1, sizeof(*reached));
	if (!reached)
		return iommu_reading_refuse(reading, -ENOMEM, "no memory");

	err = check_devices(reading, reached);
	if (!err)
		err = check_context_tables(reading, reached);
	iommu_record_free(reached);
	return err;
}
