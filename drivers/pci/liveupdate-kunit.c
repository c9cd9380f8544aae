// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests of the records of a PCI live update: what a kernel refuses to
 * believe of what the previous one left.
 */

#include <kunit/static_stub.h>
#include <kunit/test.h>
#include <linux/io.h>
#include <linux/kho/abi/block.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/slab.h>

#include "liveupdate-internal.h"

#define BDF(bus, slot)	((bus) << 8 | (slot) << 3)
#define BUSES(primary, secondary, subordinate) \
	((primary) | (secondary) << 8 | (subordinate) << 16)
#define PER_BLOCK	((KHO_BLOCK_SIZE - sizeof(struct kho_block_header_ser)) / \
			 sizeof(struct pci_dev_ser))

/*
 * A root port 0:2 above a switch, with one device that runs and one that does
 * not; a device on the root bus; and a port in another segment.
 */
static const struct pci_dev_ser sample[] = {
	{ .bdf = BDF(0, 2), .nr_below = 2, .vendor = 1, .device = 1,
	  .flags = PCI_DEV_SER_BRIDGE | PCI_DEV_SER_RUNNING,
	  .bus_numbers = BUSES(0, 1, 4), .command = 7, .acs_ctrl = 0x1d },
	{ .bdf = BDF(1, 0), .nr_below = 2, .vendor = 1, .device = 2,
	  .flags = PCI_DEV_SER_BRIDGE | PCI_DEV_SER_RUNNING,
	  .bus_numbers = BUSES(1, 2, 4), .command = 7 },
	{ .bdf = BDF(2, 0), .nr_below = 1, .vendor = 1, .device = 3,
	  .flags = PCI_DEV_SER_BRIDGE | PCI_DEV_SER_RUNNING,
	  .bus_numbers = BUSES(2, 3, 3), .command = 7 },
	{ .bdf = BDF(2, 1), .nr_below = 1, .vendor = 1, .device = 3,
	  .flags = PCI_DEV_SER_BRIDGE,
	  .bus_numbers = BUSES(2, 4, 4), .command = 3 },
	{ .bdf = BDF(3, 0), .vendor = 1, .device = 4,
	  .flags = PCI_DEV_SER_RUNNING, .command = 0x406, .devctl = 0x2100 },
	{ .bdf = BDF(4, 0), .vendor = 1, .device = 4, .command = 0x402 },
	{ .bdf = BDF(0, 5), .vendor = 1, .device = 5,
	  .flags = PCI_DEV_SER_RUNNING, .command = 0x406 },
	{ .segment = 1, .bdf = BDF(0, 2), .nr_below = 1, .vendor = 1,
	  .device = 1, .flags = PCI_DEV_SER_BRIDGE | PCI_DEV_SER_RUNNING,
	  .bus_numbers = BUSES(0, 1, 1), .command = 7 },
	{ .segment = 1, .bdf = BDF(1, 0), .vendor = 1, .device = 4,
	  .flags = PCI_DEV_SER_RUNNING, .command = 0x406 },
};

#define NR	ARRAY_SIZE(sample)

/* One change to the sample, and what becomes of it */
struct change {
	const char *name;
	u32 record;
	size_t offset;
	size_t size;
	u64 value;
	bool good;
};

#define CHANGE(_name, _record, _member, _value, ...) {			\
	.name = _name, .record = _record, .value = _value,		\
	.offset = offsetof(struct pci_dev_ser, _member),		\
	.size = sizeof_field(struct pci_dev_ser, _member), __VA_ARGS__ }

static const struct change changes[] = {
	CHANGE("nothing", 0, device, 1, .good = true),
	CHANGE("another place", 6, bdf, BDF(0, 6), .good = true),
	CHANGE("a stopped device on the root bus", 6, flags, 0, .good = true),
	CHANGE("segment above 16 bits", 6, segment, 0x10000, .good = true),
	CHANGE("unknown flag", 4, flags, PCI_DEV_SER_RUNNING | BIT(2)),
	CHANGE("highest flag", 4, flags, PCI_DEV_SER_RUNNING | BIT(31)),
	CHANGE("reserved", 4, __reserved, 1),
	CHANGE("no vendor", 4, vendor, 0),
	CHANGE("vendor of an absent device", 4, vendor, 0xffff),
	CHANGE("runs without mastering", 4, command, 0x402),
	CHANGE("bridge runs without mastering", 1, command, 3),
	CHANGE("unknown command bit", 4, command, 0x40e),
	CHANGE("interrupt bit of a bridge", 1, command, 0x407),
	CHANGE("error reporting recorded", 4, devctl, 0x2101),
	CHANGE("timeout recorded", 4, devctl2, 1),
	CHANGE("ASPM recorded", 4, lnkctl, 1),
	CHANGE("device with a bus", 4, bus_numbers, BUSES(3, 5, 5)),
	CHANGE("device with devices below", 4, nr_below, 1),
	CHANGE("device becomes a bridge", 4, flags, PCI_DEV_SER_BRIDGE),
	CHANGE("bridge becomes a device", 2, flags, PCI_DEV_SER_RUNNING),
	CHANGE("bridge above nothing", 2, nr_below, 0),
	CHANGE("bridge counts too few", 1, nr_below, 1),
	CHANGE("bridge counts too many", 1, nr_below, 3),
	CHANGE("bridge counts far too many", 1, nr_below, 0xffff),
	CHANGE("stopped bridge above a running device", 1, flags,
	       PCI_DEV_SER_BRIDGE),
	CHANGE("bridge leads to its own bus", 1, bus_numbers, BUSES(1, 1, 4)),
	CHANGE("bridge leads up", 2, bus_numbers, BUSES(2, 1, 3)),
	CHANGE("subordinate below secondary", 2, bus_numbers, BUSES(2, 3, 2)),
	CHANGE("latency timer recorded", 2, bus_numbers,
	       BUSES(2, 3, 3) | 1U << 24),
	CHANGE("range beyond the bridge above", 3, bus_numbers, BUSES(2, 4, 5)),
	CHANGE("bus of another bridge", 3, bus_numbers, BUSES(2, 3, 4)),
	CHANGE("bridge to nowhere", 3, bus_numbers, BUSES(2, 5, 5)),
	CHANGE("place of another device", 5, bdf, BDF(3, 0)),
	CHANGE("place of a bridge", 6, bdf, BDF(0, 2)),
	CHANGE("device below nothing that counts it", 6, bdf, BDF(3, 1)),
	CHANGE("device moved to another segment", 4, segment, 1),
};

static void change_desc(const struct change *change, char *desc)
{
	strscpy(desc, change->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(change, changes, change_desc);

static struct pci_incoming *sample_alloc(struct kunit *test)
{
	struct pci_incoming *in = pci_incoming_alloc(NR);
	u32 i;

	KUNIT_ASSERT_NOT_NULL(test, in);
	for (i = 0; i < NR; i++)
		in->dev[i].ser = sample[i];
	return in;
}

static void test_check(struct kunit *test)
{
	const struct change *change = test->param_value;
	struct pci_incoming *in = sample_alloc(test);
	u8 *record = (u8 *)&in->dev[change->record].ser;

	/* All numbers are little endian where this runs. */
	memcpy(record + change->offset, &change->value, change->size);
	KUNIT_EXPECT_EQ(test, pci_incoming_check(in),
			change->good ? 0 : -EINVAL);
	pci_incoming_free(in);
}

static void test_way_up(struct kunit *test)
{
	static const u32 way[] = { 4, 2, 1, 0 };
	struct pci_incoming *in = sample_alloc(test);
	struct pci_incoming_dev *dev = &in->dev[4];
	u32 i;

	KUNIT_ASSERT_EQ(test, pci_incoming_check(in), 0);
	for (i = 0; i < ARRAY_SIZE(way); i++) {
		KUNIT_ASSERT_PTR_EQ(test, dev, &in->dev[way[i]]);
		KUNIT_EXPECT_EQ(test, dev->left, dev->ser.nr_below);
		dev = pci_incoming_above(in, &dev->ser);
	}
	KUNIT_EXPECT_NULL(test, dev);
	pci_incoming_free(in);
}

struct member {
	size_t offset;
	size_t size;
};

#define COMPARED(member) { offsetof(struct pci_dev_ser, member),	\
			   sizeof_field(struct pci_dev_ser, member) }

static void test_compare(struct kunit *test)
{
	static const struct member compared[] = {
		COMPARED(vendor), COMPARED(device), COMPARED(bus_numbers),
		COMPARED(command), COMPARED(devctl), COMPARED(devctl2),
		COMPARED(lnkctl), COMPARED(acs_ctrl),
	};
	struct pci_dev_ser now = sample[1];
	u32 i, bit;

	/* What only the previous kernel knows is not in hardware. */
	now.nr_below = 0;
	now.flags = PCI_DEV_SER_BRIDGE;
	KUNIT_EXPECT_NULL(test, pci_ser_compare(&sample[1], &now));
	now.flags = 0;
	KUNIT_EXPECT_NOT_NULL(test, pci_ser_compare(&sample[1], &now));
	now.flags = PCI_DEV_SER_BRIDGE;
	for (i = 0; i < ARRAY_SIZE(compared); i++) {
		for (bit = 0; bit < compared[i].size * 8; bit++) {
			u8 *byte = (u8 *)&now + compared[i].offset + bit / 8;

			*byte ^= BIT(bit % 8);
			KUNIT_EXPECT_NOT_NULL(test,
					      pci_ser_compare(&sample[1], &now));
			*byte ^= BIT(bit % 8);
		}
	}
	KUNIT_EXPECT_NULL(test, pci_ser_compare(&sample[1], &now));
}

/* Pages of a previous kernel */
#define NR_PAGES	4

struct pages {
	void *page[NR_PAGES];
	bool preserved[NR_PAGES];
	int freed;
};

static struct pages *fake_pages(void)
{
	return kunit_get_current_test()->priv;
}

static bool fake_preserved(u64 phys)
{
	struct pages *pages = fake_pages();
	int i;

	for (i = 0; i < NR_PAGES; i++)
		if (phys == virt_to_phys(pages->page[i]))
			return pages->preserved[i];
	return false;
}

static void fake_free(void *page)
{
	struct pages *pages = fake_pages();
	int i;

	for (i = 0; i < NR_PAGES; i++) {
		if (page == pages->page[i]) {
			KUNIT_EXPECT_TRUE(kunit_get_current_test(),
					  pages->preserved[i]);
			pages->preserved[i] = false;
			pages->freed++;
		}
	}
}

static struct kho_block_header_ser *fake_block(struct pages *pages, int i)
{
	return pages->page[i];
}

/*
 * Page 0 is the root, the others are blocks. So many devices of a root bus,
 * and more, that the last block is not full.
 */
#define NR_RECORDS	(2 * PER_BLOCK + 3)

static void fake_image(struct kunit *test)
{
	struct pages *pages = kunit_kzalloc(test, sizeof(*pages), GFP_KERNEL);
	struct pci_flb_ser *root;
	struct pci_dev_ser *ser;
	u32 i, n = 0;

	KUNIT_ASSERT_NOT_NULL(test, pages);
	test->priv = pages;
	for (i = 0; i < NR_PAGES; i++) {
		pages->page[i] = kunit_kzalloc(test, 2 * PAGE_SIZE, GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, pages->page[i]);
		pages->page[i] = PTR_ALIGN(pages->page[i], PAGE_SIZE);
		pages->preserved[i] = true;
	}
	root = pages->page[0];
	root->version = PCI_FLB_VERSION;
	root->nr_devices = NR_RECORDS;
	root->first_block = virt_to_phys(pages->page[1]);
	for (i = 1; i < NR_PAGES; i++) {
		ser = (void *)(fake_block(pages, i) + 1);
		if (i + 1 < NR_PAGES)
			fake_block(pages, i)->next =
				virt_to_phys(pages->page[i + 1]);
		for (; n < NR_RECORDS && n < i * PER_BLOCK; n++, ser++) {
			*ser = sample[6];
			ser->segment = n;
			fake_block(pages, i)->count++;
		}
	}
	kunit_activate_static_stub(test, pci_ser_page_preserved,
				   fake_preserved);
	kunit_activate_static_stub(test, pci_ser_page_free, fake_free);
}

static void test_read(struct kunit *test)
{
	struct pci_incoming *in;
	struct pages *pages;
	u32 i;

	fake_image(test);
	pages = test->priv;
	in = pci_incoming_read(virt_to_phys(pages->page[0]));
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, in);
	KUNIT_EXPECT_EQ(test, in->nr, NR_RECORDS);
	for (i = 0; i < in->nr; i++)
		KUNIT_EXPECT_EQ(test, in->dev[i].ser.segment, i);
	KUNIT_EXPECT_EQ(test, pages->freed, NR_PAGES);
	pci_incoming_free(in);
}

/* Read a damaged image: it is refused, and its pages are left alone. */
static void refused(struct kunit *test, int err)
{
	struct pages *pages = test->priv;
	struct pci_incoming *in;

	in = pci_incoming_read(virt_to_phys(pages->page[0]));
	KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(in), err);
	KUNIT_EXPECT_EQ(test, pages->freed, 0);
	if (!IS_ERR(in))
		pci_incoming_free(in);
}

static void test_read_root(struct kunit *test)
{
	struct pci_flb_ser *root, good;
	struct pages *pages;

	fake_image(test);
	pages = test->priv;
	root = pages->page[0];
	good = *root;

	root->version = PCI_FLB_VERSION + 1;
	refused(test, -EPROTONOSUPPORT);
	*root = good;
	root->nr_devices = PCI_SER_MAX_DEVICES + 1;
	refused(test, -EINVAL);
	root->nr_devices = U32_MAX;
	refused(test, -EINVAL);
	root->nr_devices = NR_RECORDS - 1;
	refused(test, -EINVAL);
	root->nr_devices = 2 * PER_BLOCK;
	refused(test, -EINVAL);
	root->nr_devices = 0;
	refused(test, -EINVAL);
	*root = good;
	root->first_block = 0;
	refused(test, -EINVAL);
	root->first_block = good.first_block + 8;
	refused(test, -EINVAL);
	root->first_block = ~0ULL << PAGE_SHIFT;
	refused(test, -EINVAL);
	root->first_block = virt_to_phys(root);
	refused(test, -EINVAL);
	*root = good;
	pages->preserved[0] = false;
	refused(test, -EINVAL);
}

static void test_read_blocks(struct kunit *test)
{
	struct kho_block_header_ser *block, good;
	struct pages *pages;
	int i, to;

	fake_image(test);
	pages = test->priv;
	for (i = 1; i < NR_PAGES; i++) {
		block = fake_block(pages, i);
		good = *block;
		block->count++;
		refused(test, -EINVAL);
		block->count = good.count - 1;
		refused(test, -EINVAL);
		block->count = ~0ULL;
		refused(test, -EINVAL);
		*block = good;
		/* To all pages but the right one: circles, and short cuts */
		for (to = 0; to < NR_PAGES; to++) {
			if (to == i + 1)
				continue;
			block->next = virt_to_phys(pages->page[to]);
			refused(test, -EINVAL);
		}
		if (i + 1 < NR_PAGES) {
			block->next = 0;
			refused(test, -EINVAL);
		}
		*block = good;
		pages->preserved[i] = false;
		refused(test, -EINVAL);
		pages->preserved[i] = true;
	}
	/* A record that is wrong in the last block */
	((struct pci_dev_ser *)(fake_block(pages, NR_PAGES - 1) + 1))->__reserved = 1;
	refused(test, -EINVAL);
}

static struct kunit_case cases[] = {
	KUNIT_CASE_PARAM(test_check, change_gen_params),
	KUNIT_CASE(test_way_up),
	KUNIT_CASE(test_compare),
	KUNIT_CASE(test_read),
	KUNIT_CASE(test_read_root),
	KUNIT_CASE(test_read_blocks),
	{}
};

static struct kunit_suite suite = {
	.name = "pci_liveupdate",
	.test_cases = cases,
};

kunit_test_suite(suite);

MODULE_IMPORT_NS("EXPORTED_FOR_KUNIT_TESTING");
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("KUnit tests of the records of a PCI live update");
