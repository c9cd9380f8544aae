// SPDX-License-Identifier: GPL-2.0-only
/*
 * Damage to what the previous kernel left of an iommufd: each must be found
 * before any of it is used. Part of liveupdate_incoming.c.
 */
#include <kunit/resource.h>
#include <kunit/test.h>
#include <linux/gfp.h>

/**
 * struct test_image - What a kernel leaves of an iommufd with two HWPTs
 * @ser: The root
 * @hwpts: The first has two areas, the second all three
 * @areas: The second begins where the first ends
 * @incoming: As the next kernel sees it
 */
struct test_image {
	struct iommufd_ser ser;
	struct iommufd_hwpt_ser hwpts[2];
	struct iommufd_area_ser areas[3];
	struct iommufd_incoming incoming;
};

static void init_image(struct test_image *image)
{
	*image = (struct test_image){
		.ser = {
			.version = IOMMUFD_SER_VERSION,
			.nr_hwpts = 2,
			.nr_areas = 3,
			.records.total_pages = 1,
			.records.flags = RECORDS_KHO_FLAGS,
		},
		.hwpts = {
			{ .token = 5, .domain_id = 1, .nr_areas = 2 },
			{ .token = 0, .domain_id = 7, .nr_areas = 3,
			  .flags = IOMMUFD_HWPT_SER_FLAGS },
		},
		.areas = {
			{ .iova = 0x1000, .length = 0x1000, .offset = 0x800,
			  .prot = IOMMUFD_AREA_SER_READ },
			{ .iova = 0x2000, .length = 1, .offset = U64_MAX,
			  .prot = IOMMUFD_AREA_SER_WRITE },
			{ .iova = U64_MAX - 0xfff, .length = 0x1000,
			  .memfd_token = U64_MAX,
			  .prot = IOMMUFD_AREA_SER_PROT },
		},
	};
	image->incoming.ser = &image->ser;
	image->incoming.hwpts = image->hwpts;
	image->incoming.areas = image->areas;
}

/**
 * struct test_damage - A member that is wrong
 * @name: What is wrong
 * @offset: Of the member in struct test_image
 * @size: Of the member
 * @value: That it has
 * @err: What is expected
 */
struct test_damage {
	const char *name;
	size_t offset;
	size_t size;
	u64 value;
	int err;
};

#define DAMAGE(_name, _member, _value, _err)                           \
	{                                                              \
		.name = _name,                                         \
		.offset = offsetof(struct test_image, _member),        \
		.size = sizeof_field(struct test_image, _member),      \
		.value = _value,                                       \
		.err = _err,                                           \
	}

static const struct test_damage root_damages[] = {
	DAMAGE("version 0", ser.version, 0, -EOPNOTSUPP),
	DAMAGE("next version", ser.version, IOMMUFD_SER_VERSION + 1,
	       -EOPNOTSUPP),
	DAMAGE("no HWPTs", ser.nr_hwpts, 0, -EINVAL),
	DAMAGE("too many HWPTs", ser.nr_hwpts, IOMMUFD_SER_MAX_HWPTS + 1,
	       -EINVAL),
	DAMAGE("too many areas", ser.nr_areas, IOMMUFD_SER_MAX_AREAS + 1,
	       -EINVAL),
	DAMAGE("number of areas overflows", ser.nr_areas,
	       U64_MAX / sizeof(struct iommufd_area_ser) + 2, -EINVAL),
	DAMAGE("no records", ser.records.total_pages, 0, -EINVAL),
	DAMAGE("more pages than records", ser.records.total_pages, 2, -EINVAL),
	DAMAGE("more records than pages", ser.nr_areas, 2000, -EINVAL),
	DAMAGE("no kind of vmalloc area", ser.records.flags, 0, -EINVAL),
	DAMAGE("huge pages allowed", ser.records.flags, 3, -EINVAL),
	DAMAGE("unknown kind of vmalloc area", ser.records.flags,
	       U16_MAX, -EINVAL),
	DAMAGE("pages of order 1", ser.records.order, 1, -EINVAL),
	DAMAGE("order of no page", ser.records.order, U16_MAX, -EINVAL),
};

static const struct test_damage record_damages[] = {
	DAMAGE("no domain", hwpts[0].domain_id, 0, -EINVAL),
	DAMAGE("domain of another HWPT", hwpts[1].domain_id, 1, -EINVAL),
	DAMAGE("token of another HWPT", hwpts[1].token, 5, -EINVAL),
	DAMAGE("unknown flag", hwpts[0].flags, 4, -EINVAL),
	DAMAGE("one area too far", hwpts[1].first_area, 1, -EINVAL),
	DAMAGE("one area too many", hwpts[1].nr_areas, 4, -EINVAL),
	DAMAGE("first area overflows", hwpts[1].first_area, U64_MAX, -EINVAL),
	DAMAGE("number of areas overflows", hwpts[0].nr_areas, U64_MAX,
	       -EINVAL),
	DAMAGE("empty area", areas[0].length, 0, -EINVAL),
	DAMAGE("IOVA overflows", areas[2].length, 0x1001, -EINVAL),
	DAMAGE("offset overflows", areas[1].length, 2, -EINVAL),
	DAMAGE("areas overlap", areas[0].length, 0x1001, -EINVAL),
	DAMAGE("areas at the same place", areas[1].iova, 0x1000, -EINVAL),
	DAMAGE("areas not in order", areas[1].iova, 0, -EINVAL),
	DAMAGE("no access", areas[1].prot, 0, -EINVAL),
	DAMAGE("unknown access", areas[1].prot, 5, -EINVAL),
	DAMAGE("reserved bytes", areas[2].__reserved, 1, -EINVAL),
};

static void damage_desc(const struct test_damage *damage, char *desc)
{
	strscpy(desc, damage->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(root, root_damages, damage_desc);
KUNIT_ARRAY_PARAM(record, record_damages, damage_desc);

static void do_damage(struct kunit *test, struct test_image *image,
		      const struct test_damage *damage)
{
	void *member = (void *)image + damage->offset;

	init_image(image);
	if (damage->size == sizeof(u64)) {
		*(u64 *)member = damage->value;
	} else if (damage->size == sizeof(u16)) {
		*(u16 *)member = damage->value;
	} else {
		KUNIT_ASSERT_EQ(test, sizeof(u32), damage->size);
		*(u32 *)member = damage->value;
	}
}

static void test_right(struct kunit *test)
{
	struct test_image image;

	init_image(&image);
	KUNIT_EXPECT_EQ(test, 0, check_root(&image.ser));
	KUNIT_EXPECT_EQ(test, 0, iommufd_incoming_check(&image.incoming));

	/* Nothing is mapped. */
	image.ser.nr_areas = 0;
	image.hwpts[0].nr_areas = 0;
	image.hwpts[1].nr_areas = 0;
	KUNIT_EXPECT_EQ(test, 0, check_root(&image.ser));
	KUNIT_EXPECT_EQ(test, 0, iommufd_incoming_check(&image.incoming));
}

/* What kho_preserved_order() says is true of the page, not of the address. */
static void test_place(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, 0, check_place(PAGE_SIZE, 0));
	KUNIT_EXPECT_EQ(test, -EINVAL, check_place(PAGE_SIZE + 8, 0));
	KUNIT_EXPECT_EQ(test, -EINVAL, check_place(2 * PAGE_SIZE - 1, 0));
	KUNIT_EXPECT_EQ(test, -EINVAL, check_place(PAGE_SIZE, 1));
	KUNIT_EXPECT_EQ(test, -EINVAL, check_place(PAGE_SIZE, -ENOENT));
}

/* Places that no page of this kernel is at, nor has to be */
#define TEST_PAGE		BIT_ULL(40)
#define TEST_LOST_PAGE		BIT_ULL(41)

/* As if all pages but one were preserved */
static int fake_order(phys_addr_t phys)
{
	return phys == TEST_LOST_PAGE ? -ENOENT : 0;
}

static void free_chunk(void *page)
{
	__free_page(page);
}

static struct kho_vmalloc_chunk *alloc_chunk(struct kunit *test)
{
	struct page *page = alloc_page(GFP_KERNEL | __GFP_ZERO);

	KUNIT_ASSERT_NOT_NULL(test, page);
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, free_chunk, page));
	return page_address(page);
}

static void test_pages(struct kunit *test)
{
	struct kho_vmalloc_chunk *chunk = alloc_chunk(test);
	struct kho_vmalloc_chunk *next = alloc_chunk(test);
	struct kho_vmalloc records = { .total_pages = 2 };

	KUNIT_EXPECT_EQ(test, -EINVAL, check_pages(&records, fake_order));

	records.first.phys = virt_to_phys(chunk);
	chunk->phys[0] = TEST_PAGE;
	KUNIT_EXPECT_EQ(test, -EINVAL, check_pages(&records, fake_order));
	chunk->phys[1] = TEST_PAGE + 8;
	KUNIT_EXPECT_EQ(test, -EINVAL, check_pages(&records, fake_order));
	chunk->phys[1] = TEST_LOST_PAGE;
	KUNIT_EXPECT_EQ(test, -EINVAL, check_pages(&records, fake_order));
	chunk->phys[1] = TEST_PAGE + PAGE_SIZE;
	KUNIT_EXPECT_EQ(test, 0, check_pages(&records, fake_order));
	chunk->phys[2] = TEST_PAGE + 2 * PAGE_SIZE;
	KUNIT_EXPECT_EQ(test, -EINVAL, check_pages(&records, fake_order));
	chunk->phys[2] = 0;

	/* What begins in the middle of a page is no list. */
	records.first.phys += 8;
	KUNIT_EXPECT_EQ(test, -EINVAL, check_pages(&records, fake_order));
	records.first.phys = TEST_LOST_PAGE;
	KUNIT_EXPECT_EQ(test, -EINVAL, check_pages(&records, fake_order));
	records.first.phys = virt_to_phys(chunk);

	/* It goes on, or around, before it has to. */
	chunk->hdr.next.phys = virt_to_phys(next);
	KUNIT_EXPECT_EQ(test, -EINVAL, check_pages(&records, fake_order));
	chunk->hdr.next.phys = virt_to_phys(chunk);
	KUNIT_EXPECT_EQ(test, -EINVAL, check_pages(&records, fake_order));

	/* The one behind a full one may be empty. */
	for (int i = 0; i < KHO_VMALLOC_SIZE; i++)
		chunk->phys[i] = TEST_PAGE + i * PAGE_SIZE;
	records.total_pages = KHO_VMALLOC_SIZE;
	KUNIT_EXPECT_EQ(test, -EINVAL, check_pages(&records, fake_order));
	chunk->hdr.next.phys = virt_to_phys(next);
	KUNIT_EXPECT_EQ(test, 0, check_pages(&records, fake_order));
	records.total_pages++;
	KUNIT_EXPECT_EQ(test, -EINVAL, check_pages(&records, fake_order));
	next->phys[0] = TEST_PAGE;
	KUNIT_EXPECT_EQ(test, 0, check_pages(&records, fake_order));

	/* KHO has preserved none of that. */
	KUNIT_EXPECT_EQ(test, -EINVAL,
			check_pages(&records, kho_preserved_order));
}

static void test_root(struct kunit *test)
{
	const struct test_damage *damage = test->param_value;
	struct test_image image;

	do_damage(test, &image, damage);
	KUNIT_EXPECT_EQ(test, damage->err, check_root(&image.ser));
}

static void test_records(struct kunit *test)
{
	const struct test_damage *damage = test->param_value;
	struct test_image image;

	do_damage(test, &image, damage);
	KUNIT_EXPECT_EQ(test, damage->err,
			iommufd_incoming_check(&image.incoming));
}

static struct kunit_case iommufd_incoming_cases[] = {
	KUNIT_CASE(test_right),
	KUNIT_CASE(test_place),
	KUNIT_CASE(test_pages),
	KUNIT_CASE_PARAM(test_root, root_gen_params),
	KUNIT_CASE_PARAM(test_records, record_gen_params),
	{}
};

static struct kunit_suite iommufd_incoming_suite = {
	.name = "iommufd_liveupdate",
	.test_cases = iommufd_incoming_cases,
};

kunit_test_suite(iommufd_incoming_suite);
