// SPDX-License-Identifier: GPL-2.0-only
/*
 * Each check of the reader by itself: one thing is wrong with the records, and
 * the reader says what it is.
 */

#include <linux/err.h>
#include <linux/io.h>
#include <linux/string.h>

#include "records-kunit.h"

enum damage_op {
	DAMAGE_SET,
	DAMAGE_XOR,
	/* Another place of the same width, at value, in the same page */
	DAMAGE_COPY,
	/* Address of the page that value is the number of */
	DAMAGE_PAGE,
	/* Root table of the unit that value is the number of */
	DAMAGE_TABLE,
};

struct damage {
	enum sample_page page;
	u32 offset;
	u32 width;
	enum damage_op op;
	u64 value;
};

struct reader_case {
	const char *name;
	struct damage damage[3];
	int err;
	const char *why;
};

#define WIDTH(type, member)	sizeof_field(type, member)

#define ROOT(member, op, value)						\
	{ SAMPLE_ROOT, offsetof(struct iommu_flb_ser, member),		\
	  WIDTH(struct iommu_flb_ser, member), op, value }
#define HEAD(page, member, op, value)					\
	{ page, offsetof(struct iommu_ser_page, member),		\
	  WIDTH(struct iommu_ser_page, member), op, value }
#define AT(type, slot, member)						\
	(sizeof(struct iommu_ser_page) + (slot) * sizeof(type) +	\
	 offsetof(type, member))
#define UNIT(slot, member, op, value)					\
	{ SAMPLE_UNITS, AT(struct iommu_hw_ser, slot, member),		\
	  WIDTH(struct iommu_hw_ser, member), op, value }
#define DOMAIN(slot, member, op, value)					\
	{ SAMPLE_DOMAINS, AT(struct iommu_domain_ser, slot, member),	\
	  WIDTH(struct iommu_domain_ser, member), op, value }
#define DEVICE(slot, member, op, value)					\
	{ SAMPLE_DEVICES, AT(struct iommu_device_ser, slot, member),	\
	  WIDTH(struct iommu_device_ser, member), op, value }

#define TAIL(page)	{ page, PAGE_SIZE - 1, 1, DAMAGE_SET, 1 }

/*
 * Slots are ids less one. Devices 0, 2, 4, ... are behind unit 0 in legacy mode,
 * the others behind unit 1 in scalable mode. Devices 0, 3, 6, ... have 2 aliases.
 */
static const struct reader_case reader_cases[] = {
	{ "nothing wrong", {}, 0, NULL },

	{ "version", { ROOT(version, DAMAGE_SET, IOMMU_FLB_VERSION + 1) },
	  -EOPNOTSUPP, "unknown version" },
	{ "root reserved", { ROOT(__reserved, DAMAGE_SET, 1) },
	  -EINVAL, "reserved bytes are not zero" },
	{ "root tail", { TAIL(SAMPLE_ROOT) },
	  -EINVAL, "rest of a page is not zero" },

	{ "too many pages", { ROOT(lists[2].nr_pages, DAMAGE_SET, 1042) },
	  -EINVAL, "too many records" },
	{ "too many records",
	  { ROOT(lists[2].nr_records, DAMAGE_SET, 65537) },
	  -EINVAL, "too many records" },
	{ "records without pages", { ROOT(lists[0].nr_pages, DAMAGE_SET, 0) },
	  -EINVAL, "list without pages" },
	{ "number of records", { ROOT(lists[2].nr_records, DAMAGE_SET, 69) },
	  -EINVAL, "wrong number of records" },
	{ "number in page",
	  { HEAD(SAMPLE_DOMAINS, nr_records, DAMAGE_SET, 4) },
	  -EINVAL, "wrong number of records in a page" },
	{ "list too long", { ROOT(lists[2].nr_pages, DAMAGE_SET, 1),
			     ROOT(lists[2].nr_records, DAMAGE_SET, 63) },
	  -EINVAL, "list is too long" },
	{ "list too short", { ROOT(lists[2].nr_pages, DAMAGE_SET, 3) },
	  -EINVAL, "address is not aligned" },
	{ "list not aligned", { ROOT(lists[1].first, DAMAGE_XOR, 8) },
	  -EINVAL, "address is not aligned" },
	{ "list not in memory", { ROOT(lists[1].first, DAMAGE_XOR, 1ULL << 62) },
	  -EFAULT, "address is not memory" },
	{ "list not preserved",
	  { ROOT(lists[1].first, DAMAGE_SET, FAKE_TABLES_PFN << PAGE_SHIFT) },
	  -ENOENT, "page is not preserved" },
	{ "circle of one", { HEAD(SAMPLE_DEVICES, next, DAMAGE_PAGE,
				  SAMPLE_DEVICES) },
	  -EEXIST, "page is used twice" },
	{ "list of the root", { ROOT(lists[1].first, DAMAGE_PAGE, SAMPLE_ROOT) },
	  -EEXIST, "page is used twice" },
	{ "other list", { ROOT(lists[1].first, DAMAGE_PAGE, SAMPLE_DEVICES) },
	  -EINVAL, "page of another list" },
	{ "list is a table", { ROOT(lists[1].first, DAMAGE_TABLE, 0) },
	  -EINVAL, "page of another list" },
	{ "page skipped", { ROOT(lists[2].first, DAMAGE_PAGE, SAMPLE_DEVICES_2) },
	  -EINVAL, "page is out of order" },
	{ "head reserved", { HEAD(SAMPLE_UNITS, __reserved, DAMAGE_SET, 1) },
	  -EINVAL, "reserved bytes are not zero" },
	{ "tail of page", { TAIL(SAMPLE_DEVICES_2) },
	  -EINVAL, "rest of a page is not zero" },

	{ "id of another", { DEVICE(6, id, DAMAGE_SET, 6) },
	  -EINVAL, "record is not in its place" },
	{ "free place", { UNIT(2, intel.cap, DAMAGE_SET, 1) },
	  -EINVAL, "free place is not zero" },
	{ "id erased", { DEVICE(6, id, DAMAGE_SET, 0) },
	  -EINVAL, "free place is not zero" },

	{ "unit type", { UNIT(0, type, DAMAGE_SET, 2) },
	  -EINVAL, "unknown type" },
	{ "unit space", { UNIT(0, __space[15], DAMAGE_SET, 1) },
	  -EINVAL, "reserved bytes are not zero" },
	{ "unit reserved", { UNIT(0, intel.__reserved[1], DAMAGE_SET, 1) },
	  -EINVAL, "reserved bytes are not zero" },
	{ "register base", { UNIT(0, intel.reg_phys, DAMAGE_XOR, 0x100) },
	  -EINVAL, "register base is not aligned" },
	{ "same registers", { UNIT(1, intel.reg_phys, DAMAGE_COPY,
				   AT(struct iommu_hw_ser, 0, intel.reg_phys)) },
	  -EEXIST, "registers are used twice" },
	{ "no root table", { UNIT(0, intel.rtaddr, DAMAGE_SET, 0) },
	  -EINVAL, "no root table" },
	{ "mode", { UNIT(0, intel.rtaddr, DAMAGE_XOR, 0x800) },
	  -EINVAL, "unknown translation table mode" },
	{ "same root table",
	  { UNIT(1, intel.rtaddr, DAMAGE_COPY,
		 AT(struct iommu_hw_ser, 0, intel.rtaddr)),
	    UNIT(1, intel.rtaddr, DAMAGE_XOR, IOMMU_INTEL_SER_RTADDR_SMT) },
	  -EEXIST, "page is used twice" },
	{ "interrupt mode", { UNIT(0, intel.irta, DAMAGE_XOR, 0x10) },
	  -EINVAL, "unknown interrupt remapping mode" },
	{ "no interrupt table", { UNIT(0, intel.irta, DAMAGE_SET, 0xf) },
	  -EINVAL, "no interrupt remapping table" },
	{ "interrupt size", { UNIT(0, intel.irta, DAMAGE_XOR, 0x1) },
	  -EINVAL, "preserved with another order" },
	{ "interrupt remapping off", { UNIT(0, intel.irta, DAMAGE_SET, 0) },
	  0, NULL },
	{ "legacy upper table",
	  { UNIT(0, intel.context_tables[7], DAMAGE_XOR, 1ULL << 63) },
	  -EINVAL, "upper context table in legacy mode" },
	{ "table of no device",
	  { UNIT(1, intel.context_tables[7], DAMAGE_XOR, 1ULL << 63) },
	  -EINVAL, "context table without a device" },
	{ "table missing", { UNIT(0, intel.context_tables[0], DAMAGE_XOR, 4) },
	  -EINVAL, "context table is not preserved" },
	{ "unit erased", { UNIT(1, id, DAMAGE_SET, 0),
			   UNIT(1, type, DAMAGE_SET, 0) },
	  -EINVAL, "free place is not zero" },

	{ "domain type", { DOMAIN(1, type, DAMAGE_SET, 0) },
	  -EINVAL, "unknown type" },
	{ "domain reserved", { DOMAIN(1, __reserved, DAMAGE_SET, 1) },
	  -EINVAL, "reserved bytes are not zero" },
	{ "format", { DOMAIN(1, pt.format, DAMAGE_SET, 0) },
	  -EINVAL, "no page table format" },
	{ "top table", { DOMAIN(1, pt.top_phys, DAMAGE_XOR, 0x10) },
	  -EINVAL, "top table is not aligned" },
	{ "same top table", { DOMAIN(1, pt.top_phys, DAMAGE_COPY,
				     AT(struct iommu_domain_ser, 0,
					pt.top_phys)) },
	  -EEXIST, "page is used twice" },
	{ "top table is records", { DOMAIN(1, pt.top_phys, DAMAGE_PAGE,
					   SAMPLE_UNITS) },
	  -EEXIST, "page is used twice" },
	{ "no tables", { DOMAIN(1, pt.nr_tables, DAMAGE_SET, 0) },
	  -EINVAL, "no page tables" },
	{ "aperture", { DOMAIN(1, pt.aperture_start, DAMAGE_SET, U64_MAX) },
	  -EINVAL, "aperture is empty" },

	{ "no unit", { DEVICE(0, unit_id, DAMAGE_SET, 0) },
	  -ENOENT, "no such unit" },
	{ "free unit", { DEVICE(0, unit_id, DAMAGE_SET, 3) },
	  -ENOENT, "no such unit" },
	{ "far unit", { DEVICE(0, unit_id, DAMAGE_SET, U32_MAX) },
	  -ENOENT, "no such unit" },
	{ "no domain", { DEVICE(6, domain_id, DAMAGE_SET, 4) },
	  -ENOENT, "no such domain" },
	{ "segment", { DEVICE(0, segment, DAMAGE_SET, 1) },
	  -EINVAL, "unit is in another segment" },
	{ "other unit", { DEVICE(0, unit_id, DAMAGE_SET, 2) },
	  -EINVAL, "PASID directory and mode do not match" },
	{ "device reserved", { DEVICE(0, __reserved, DAMAGE_SET, 1) },
	  -EINVAL, "reserved bytes are not zero" },
	{ "vendor", { DEVICE(0, vendor, DAMAGE_SET, U16_MAX) },
	  -EINVAL, "no vendor id" },
	{ "attachment too low", { DEVICE(0, attachment_id, DAMAGE_SET, 1) },
	  -EINVAL, "attachment id is out of range" },
	{ "attachment too high",
	  { DEVICE(0, attachment_id, DAMAGE_SET, 65536) },
	  -EINVAL, "attachment id is out of range" },
	{ "attachment of another domain",
	  { DEVICE(2, attachment_id, DAMAGE_COPY,
		   AT(struct iommu_device_ser, 0, attachment_id)) },
	  -EEXIST, "attachment id does not tell the domain" },
	{ "second attachment", { DEVICE(6, attachment_id, DAMAGE_SET, 99) },
	  -EEXIST, "attachment id does not tell the domain" },
	{ "same device", { DEVICE(2, bdf, DAMAGE_COPY,
				  AT(struct iommu_device_ser, 0, bdf)) },
	  -EEXIST, "requester id is used twice" },
	{ "device is an alias", { DEVICE(2, bdf, DAMAGE_COPY,
					 AT(struct iommu_device_ser, 0,
					    aliases[0])) },
	  -EEXIST, "requester id is used twice" },
	{ "too many aliases", { DEVICE(0, nr_aliases, DAMAGE_SET, 8) },
	  -EINVAL, "too many aliases" },
	{ "alias not counted", { DEVICE(0, nr_aliases, DAMAGE_SET, 1) },
	  -EINVAL, "unused aliases are not zero" },
	{ "alias of itself", { DEVICE(0, aliases[1], DAMAGE_COPY,
				      AT(struct iommu_device_ser, 0, bdf)) },
	  -EINVAL, "alias is given twice" },
	{ "no directory", { DEVICE(1, pasid_dir, DAMAGE_SET, 0) },
	  -EINVAL, "size of no PASID directory" },
	{ "directory in legacy mode", { DEVICE(0, max_pasid, DAMAGE_SET, 1) },
	  -EINVAL, "size of no PASID directory" },
	{ "directory and aliases", { DEVICE(1, nr_aliases, DAMAGE_SET, 1),
				     DEVICE(1, aliases[0], DAMAGE_SET, 9) },
	  -EINVAL, "PASID directory with aliases" },
	{ "directory not aligned", { DEVICE(1, pasid_dir, DAMAGE_XOR, 1) },
	  -EINVAL, "PASID directory is not aligned" },
	{ "directory size", { DEVICE(1, max_pasid, DAMAGE_XOR, 1) },
	  -EINVAL, "wrong size of the PASID directory" },
	{ "directory too large",
	  { DEVICE(1, pasid_dir_order, DAMAGE_SET, 6),
	    DEVICE(1, max_pasid, DAMAGE_SET, 1 << 21) },
	  -EINVAL, "wrong size of the PASID directory" },
	{ "directory order", { DEVICE(1, pasid_dir_order, DAMAGE_SET, 1),
			       DEVICE(1, max_pasid, DAMAGE_SET, 1 << 16) },
	  -EINVAL, "preserved with another order" },
	{ "same directory", { DEVICE(3, pasid_dir, DAMAGE_COPY,
				     AT(struct iommu_device_ser, 1,
					pasid_dir)) },
	  -EEXIST, "page is used twice" },
};

KUNIT_ARRAY_PARAM_DESC(reader, reader_cases, name);

static void damage_do(struct sample *sample, const struct damage *damage)
{
	void *place = sample->pages[damage->page] + damage->offset;
	u64 value = damage->value;

	if (damage->op == DAMAGE_PAGE) {
		value = virt_to_phys(sample->pages[value]);
	} else if (damage->op == DAMAGE_TABLE) {
		value = sample->units[value].intel.rtaddr;
	} else if (damage->op == DAMAGE_COPY) {
		memcpy(place, sample->pages[damage->page] + value,
		       damage->width);
		return;
	} else if (damage->op == DAMAGE_XOR) {
		u64 before = 0;

		memcpy(&before, place, damage->width);
		value ^= before;
	}
	/* Little endian, as is every machine with KHO */
	memcpy(place, &value, damage->width);
}

static void reader_check_one(struct kunit *test)
{
	const struct reader_case *reader_case = test->param_value;
	struct fake_kho *fake = fake_kho_init(test);
	struct sample *sample = sample_create(test, fake);
	u8 (*right)[PAGE_SIZE];
	struct iommu_incoming *in;

	right = kunit_kmalloc(test, SAMPLE_NR_PAGES * PAGE_SIZE, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, right);
	for (int i = 0; i < SAMPLE_NR_PAGES; i++)
		memcpy(right[i], sample->pages[i], PAGE_SIZE);

	for (int i = 0; i < ARRAY_SIZE(reader_case->damage); i++)
		damage_do(sample, &reader_case->damage[i]);
	in = iommu_incoming_open(iommu_records_phys(sample->records));
	if (reader_case->err) {
		KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(in), reader_case->err);
		KUNIT_EXPECT_STREQ(test, fake->why ?: "", reader_case->why);
	} else if (IS_ERR(in)) {
		KUNIT_FAIL(test, "%pe: %s", in, fake->why);
	}
	if (!IS_ERR(in))
		iommu_incoming_close(in);

	KUNIT_EXPECT_EQ(test, fake->nr_pages, SAMPLE_NR_PAGES);
	KUNIT_EXPECT_EQ(test, fake->nr_restored, 0);
	for (int i = 0; i < SAMPLE_NR_PAGES; i++)
		memcpy(sample->pages[i], right[i], PAGE_SIZE);
	sample_destroy(test, sample);
	fake_kho_exit(test, fake);
}

/* An address that is none at all */
static void reader_check_root(struct kunit *test)
{
	struct fake_kho *fake = fake_kho_init(test);

	KUNIT_EXPECT_EQ(test, PTR_ERR(iommu_incoming_open(0)), -EINVAL);
	KUNIT_EXPECT_EQ(test, PTR_ERR(iommu_incoming_open(12)), -EINVAL);
	KUNIT_EXPECT_EQ(test, PTR_ERR(iommu_incoming_open(PAGE_SIZE)), -EFAULT);
	KUNIT_EXPECT_EQ(test, PTR_ERR(iommu_incoming_open(FAKE_TABLES_PFN <<
							  PAGE_SHIFT)),
			-ENOENT);
	KUNIT_EXPECT_EQ(test, PTR_ERR(iommu_incoming_open(fake_kho_table(test,
									 fake,
									 1))),
			-EINVAL);
	fake_kho_exit(test, fake);
}

static struct kunit_case reader_test_cases[] = {
	KUNIT_CASE_PARAM(reader_check_one, reader_gen_params),
	KUNIT_CASE(reader_check_root),
	{}
};

static struct kunit_suite reader_suite = {
	.name = "iommu-records-reader",
	.test_cases = reader_test_cases,
};

kunit_test_suite(reader_suite);
