// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the records of the previous kernel say about each other and about the
 * tables of the hardware. Each record on its own was checked before.
 */

#include <linux/err.h>
#include <linux/limits.h>
#include <linux/mm.h>
#include <linux/string.h>

#include "reader.h"

/**
 * struct reached - What the devices of a unit need of it
 * @context_tables: VT-d: the tables that DMA goes through, as the unit has them
 * @nr_rids: Self test: number of requester ids
 */
struct reached {
	u64 context_tables[8];
	u32 nr_rids;
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

/* A unit that is no hardware has no memory, but takes up a number far off. */
static int check_key(struct iommu_reading *reading,
		     const struct iommu_mock_ser *mock)
{
	int err = iommu_record_insert(&reading->used, ULONG_MAX - mock->key, 1);

	if (err == -EBUSY)
		return iommu_reading_refuse(reading, -EEXIST,
					    "key is used twice");
	return err ? iommu_reading_refuse(reading, err, "no memory") : 0;
}

static int check_unit(struct iommu_reading *reading,
		      const struct iommu_hw_ser *unit)
{
	const struct iommu_intel_ser *intel = &unit->intel;
	int err;

	if (unit->type != IOMMU_SER_TYPE_INTEL)
		return check_key(reading, &unit->mock);

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
		      const struct iommu_hw_ser *unit, struct reached *reached)
{
	const struct iommu_intel_ser *intel = &unit->intel;

	for (unsigned int i = 0; i < iommu_record_nr_rids(device); i++) {
		u16 rid = iommu_record_rid(device, i);
		unsigned int bit;
		u64 mask;
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

		reached->nr_rids++;
		if (unit->type != IOMMU_SER_TYPE_INTEL)
			continue;
		bit = iommu_record_context_table(intel, rid);
		mask = 1ULL << bit % 64;
		if (!(intel->context_tables[bit / 64] & mask))
			return iommu_reading_refuse(reading, -EINVAL,
						    "context table is not preserved");
		reached->context_tables[bit / 64] |= mask;
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

static bool has_pasid_dirs(const struct iommu_hw_ser *unit)
{
	return unit->type == IOMMU_SER_TYPE_INTEL &&
	       iommu_intel_ser_scalable(&unit->intel);
}

static int check_device(struct iommu_reading *reading,
			const struct iommu_device_ser *device,
			struct attachments *attachments,
			struct reached *reached)
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
	if (iommu_record_segment(unit) != device->segment)
		return iommu_reading_refuse(reading, -EINVAL,
					    "unit is in another segment");
	if (has_pasid_dirs(unit) != !!device->pasid_dir)
		return iommu_reading_refuse(reading, -EINVAL,
					    "PASID directory and mode do not match");

	err = check_rids(reading, device, unit, &reached[device->unit_id - 1]);
	if (err)
		return err;
	err = check_attachment(reading, device, attachments);
	if (err || !device->pasid_dir)
		return err;
	return iommu_reading_use(reading, device->pasid_dir,
				 device->pasid_dir_order);
}

static int check_devices(struct iommu_reading *reading, struct reached *reached)
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

/* What no device needs is what nobody is going to clear. */
static int check_reached(struct iommu_reading *reading,
			 const struct reached *reached)
{
	const struct iommu_hw_ser *unit = NULL;

	reading->where = iommu_record_kinds[IOMMU_SER_UNITS].name;
	while ((unit = iommu_incoming_next(reading->in, IOMMU_SER_UNITS,
					   unit ? unit->id : 0))) {
		const struct reached *of_unit = &reached[unit->id - 1];

		reading->id = unit->id;
		if (unit->type != IOMMU_SER_TYPE_INTEL) {
			if (of_unit->nr_rids != unit->mock.nr_rids)
				return iommu_reading_refuse(reading, -EINVAL,
							    "wrong number of requester ids");
			continue;
		}
		if (memcmp(of_unit->context_tables, unit->intel.context_tables,
			   sizeof(of_unit->context_tables)))
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
	struct reached *reached;
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
		err = check_reached(reading, reached);
	iommu_record_free(reached);
	return err;
}
