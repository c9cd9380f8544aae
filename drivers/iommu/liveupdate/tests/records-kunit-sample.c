// SPDX-License-Identifier: GPL-2.0-only
/* Records that are right, made by the writer. */

#include <linux/err.h>
#include <linux/io.h>
#include <linux/string.h>

#include "records-kunit.h"

#define SAMPLE_IRT_ORDER	8
#define SAMPLE_PASID_ORDER	2

struct iommu_hw_ser sample_unit(struct kunit *test, struct fake_kho *fake,
				unsigned int i)
{
	struct iommu_hw_ser unit = { .type = IOMMU_SER_TYPE_INTEL };

	unit.intel.reg_phys = 0xfed90000ULL + i * PAGE_SIZE;
	unit.intel.rtaddr = fake_kho_table(test, fake, 0);
	if (i % 2)
		unit.intel.rtaddr |= IOMMU_INTEL_SER_RTADDR_SMT;
	/* 65536 entries of 16 bytes */
	unit.intel.irta = fake_kho_table(test, fake, SAMPLE_IRT_ORDER) |
			  IOMMU_INTEL_SER_IRTA_EIME | 15;
	unit.intel.cap = 0xd2008c22260286ULL;
	unit.intel.ecap = 0xf00f4aULL;
	return unit;
}

struct iommu_domain_ser sample_domain(struct kunit *test, struct fake_kho *fake,
				      unsigned int i)
{
	struct iommu_domain_ser domain = { .type = IOMMU_SER_TYPE_INTEL };

	domain.pt.format = PT_IOMMU_SER_FMT_VTDSS;
	domain.pt.top_phys = fake_kho_table(test, fake, i % 2);
	domain.pt.nr_tables = 4 + i;
	domain.pt.aperture_last = (1ULL << 48) - 1;
	return domain;
}

/*
 * Eight devices to a bus, on both sides of device 16. In legacy mode each third
 * has aliases.
 */
struct iommu_device_ser sample_device(struct kunit *test, struct fake_kho *fake,
				      unsigned int i)
{
	unsigned int unit = i % 2, domain = i % SAMPLE_NR_DOMAINS;
	struct iommu_device_ser device = {
		.unit_id = unit + 1,
		.domain_id = domain + 1,
		.attachment_id = 2 + unit * 10 + domain,
		.bdf = (1 + i / 8) << 8 | (i % 8) << 5,
		.vendor = 0x8086,
		.device = 0x10c9,
	};

	if (!unit && i % 3 == 0) {
		device.aliases[device.nr_aliases++] = device.bdf + 1;
		device.aliases[device.nr_aliases++] = device.bdf ^ 0x8090;
	}
	if (unit) {
		device.pasid_dir = fake_kho_table(test, fake,
						  SAMPLE_PASID_ORDER);
		device.pasid_dir_order = SAMPLE_PASID_ORDER;
		device.max_pasid = 1 << (PAGE_SHIFT + 3 + SAMPLE_PASID_ORDER);
	}
	return device;
}

static void sample_add_device(struct kunit *test, struct sample *sample,
			      unsigned int i)
{
	struct iommu_device_ser device = sample_device(test, sample->fake, i);
	struct iommu_hw_ser *unit = &sample->units[i % 2];
	int id;

	for (int j = -1; j < device.nr_aliases; j++) {
		u16 rid = j < 0 ? device.bdf : device.aliases[j];
		unsigned int bit = rid / 256 * 2 + (i % 2 && rid % 256 >= 128);

		unit->intel.context_tables[bit / 64] |= 1ULL << (bit % 64);
	}
	KUNIT_ASSERT_EQ(test, iommu_records_update(sample->records,
						   IOMMU_SER_UNITS,
						   sample->unit_ids[i % 2],
						   unit), 0);
	id = iommu_records_add(sample->records, IOMMU_SER_DEVICES, &device);
	KUNIT_ASSERT_EQ(test, id, i + 1);
	sample->device_ids[i] = id;
}

static void sample_find_pages(struct kunit *test, struct sample *sample)
{
	struct iommu_flb_ser *root;
	struct iommu_ser_page *page;

	root = phys_to_virt(iommu_records_phys(sample->records));
	sample->pages[SAMPLE_ROOT] = root;
	for (int kind = 0; kind < IOMMU_SER_NR_KINDS; kind++)
		sample->pages[SAMPLE_UNITS + kind] =
			phys_to_virt(root->lists[kind].first);
	page = sample->pages[SAMPLE_DEVICES];
	sample->pages[SAMPLE_DEVICES_2] = phys_to_virt(page->next);
	KUNIT_ASSERT_EQ(test, sample->fake->nr_pages, SAMPLE_NR_PAGES);
}

struct sample *sample_create(struct kunit *test, struct fake_kho *fake)
{
	struct sample *sample;
	int id;

	sample = kunit_kzalloc(test, sizeof(*sample), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, sample);
	sample->fake = fake;
	sample->records = iommu_records_create();
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, sample->records);

	for (int i = 0; i < SAMPLE_NR_UNITS; i++) {
		sample->units[i] = sample_unit(test, fake, i);
		id = iommu_records_add(sample->records, IOMMU_SER_UNITS,
				       &sample->units[i]);
		KUNIT_ASSERT_EQ(test, id, i + 1);
		sample->unit_ids[i] = id;
	}
	for (int i = 0; i < SAMPLE_NR_DOMAINS; i++) {
		struct iommu_domain_ser domain = sample_domain(test, fake, i);

		id = iommu_records_add(sample->records, IOMMU_SER_DOMAINS,
				       &domain);
		KUNIT_ASSERT_EQ(test, id, i + 1);
		sample->domain_ids[i] = id;
	}
	for (int i = 0; i < SAMPLE_NR_DEVICES; i++)
		sample_add_device(test, sample, i);
	sample_find_pages(test, sample);
	return sample;
}

/* Remove everything, devices first. */
void sample_destroy(struct kunit *test, struct sample *sample)
{
	for (int i = 0; i < SAMPLE_NR_DEVICES; i++)
		KUNIT_EXPECT_EQ(test, iommu_records_remove(sample->records,
							   IOMMU_SER_DEVICES,
							   sample->device_ids[i]),
				0);
	for (int i = 0; i < SAMPLE_NR_DOMAINS; i++)
		KUNIT_EXPECT_EQ(test, iommu_records_remove(sample->records,
							   IOMMU_SER_DOMAINS,
							   sample->domain_ids[i]),
				0);
	for (int i = 0; i < SAMPLE_NR_UNITS; i++)
		KUNIT_EXPECT_EQ(test, iommu_records_remove(sample->records,
							   IOMMU_SER_UNITS,
							   sample->unit_ids[i]),
				0);
	KUNIT_EXPECT_EQ(test, sample->fake->nr_pages, 1);
	iommu_records_destroy(sample->records);
}

/* A list in a store that is being written */
const struct iommu_ser_list *sample_list(struct iommu_records *records,
					 unsigned int kind)
{
	struct iommu_flb_ser *root = phys_to_virt(iommu_records_phys(records));

	return &root->lists[kind];
}

/* A store with one unit and one domain, and nothing that refers to them */
struct iommu_records *sample_store_create(struct kunit *test)
{
	struct fake_kho *fake = test->priv;
	struct iommu_hw_ser unit = sample_unit(test, fake, 0);
	struct iommu_domain_ser domain = sample_domain(test, fake, 0);
	struct iommu_records *records = iommu_records_create();

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, records);
	KUNIT_ASSERT_EQ(test, iommu_records_add(records, IOMMU_SER_UNITS,
						&unit), 1);
	KUNIT_ASSERT_EQ(test, iommu_records_add(records, IOMMU_SER_DOMAINS,
						&domain), 1);
	return records;
}

void sample_store_destroy(struct kunit *test, struct iommu_records *records)
{
	KUNIT_EXPECT_EQ(test, iommu_records_remove(records, IOMMU_SER_DOMAINS,
						   1), 0);
	KUNIT_EXPECT_EQ(test, iommu_records_remove(records, IOMMU_SER_UNITS,
						   1), 0);
	iommu_records_destroy(records);
}

/* A device in legacy mode behind the one unit */
struct iommu_device_ser sample_any_device(unsigned int i)
{
	return (struct iommu_device_ser){
		.unit_id = 1,
		.domain_id = 1,
		.attachment_id = 2,
		.bdf = i,
		.vendor = 0x8086,
		.device = i,
	};
}

int sample_store_add(struct iommu_records *records, unsigned int i)
{
	struct iommu_device_ser device = sample_any_device(i);

	return iommu_records_add(records, IOMMU_SER_DEVICES, &device);
}
