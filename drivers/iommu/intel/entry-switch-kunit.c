// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of entry_switch.c: whatever hardware finds in an entry that is being
 * switched belongs to one of the two entries, and what cannot be switched that
 * way is refused.
 */

#include <kunit/test.h>
#include <linux/bits.h>

#include "iommu.h"
#include "pasid.h"
#include "replace.h"

#define HALF_BITS	128
#define ENTRY_BITS	512

/* Bits of the entry, counted as the specification counts them */
#define PRESENT_BIT	0
#define PGTT_BIT	6
#define PGTT_BITS	3
#define DID_BIT		64
#define DID_BITS	16

static const struct pasid_entry second_stage = { .val = {
	0x12345000 | PASID_ENTRY_PGTT_SL_ONLY << 6 | 2 << 2 | PASID_PTE_PRESENT,
	BIT_ULL(23) | 5,
} };

static const struct pasid_entry first_stage = { .val = {
	PASID_ENTRY_PGTT_FL_ONLY << 6 | 2 << 2 | PASID_PTE_PRESENT,
	BIT_ULL(23) | 5,
	0x12345000,
} };

/* The second argument of the switch: as the hardware's, aligned to its size. */
struct live_entry {
	struct pasid_entry entry __aligned(sizeof(struct pasid_entry));
};

static void flip(struct pasid_entry *entry, int bit)
{
	entry->val[bit / 64] ^= BIT_ULL(bit % 64);
}

static bool within(int bit, int first, int bits)
{
	return bit >= first && bit < first + bits;
}

static void second_stage_one_store(struct kunit *test)
{
	struct live_entry live = { second_stage };
	struct pasid_entry new = { .val = {
		0xabcde000 | BIT_ULL(9) | PASID_ENTRY_PGTT_SL_ONLY << 6 |
			3 << 2 | PASID_PTE_PRESENT,
		BIT_ULL(24) | 0xfff7,
	} };

	KUNIT_ASSERT_EQ(test, pasid_entry_can_switch(&live.entry, &new), 0);
	KUNIT_EXPECT_TRUE(test, pasid_entry_switch_step(&live.entry, &new));
	KUNIT_EXPECT_MEMEQ(test, &live.entry, &new, sizeof(new));
	KUNIT_EXPECT_FALSE(test, pasid_entry_switch_step(&live.entry, &new));
}

/* Four levels to five: the mode belongs to the table and goes with it. */
static void first_stage_two_stores(struct kunit *test)
{
	const struct pasid_entry old = first_stage;
	struct live_entry live = { first_stage };
	struct pasid_entry new = first_stage;
	int stores = 0;

	new.val[1] = BIT_ULL(23) | 0xfff7;
	new.val[2] = 0xabcde000 | 1 << 2;

	KUNIT_ASSERT_EQ(test, pasid_entry_can_switch(&live.entry, &new), 0);
	while (pasid_entry_switch_step(&live.entry, &new)) {
		const u64 *val = live.entry.val;

		KUNIT_ASSERT_LE(test, ++stores, 2);
		KUNIT_EXPECT_EQ(test, val[0], old.val[0]);
		KUNIT_EXPECT_TRUE(test, val[1] == old.val[1] ||
				  val[1] == new.val[1]);
		KUNIT_EXPECT_TRUE(test, val[2] == old.val[2] ||
				  val[2] == new.val[2]);
	}
	KUNIT_EXPECT_EQ(test, stores, 2);
	KUNIT_EXPECT_MEMEQ(test, &live.entry, &new, sizeof(new));
}

/* All but presence and stage is in the half that one store writes. */
static void second_stage_each_bit(struct kunit *test)
{
	struct pasid_entry new;
	int bit, ret;

	for (bit = 0; bit < ENTRY_BITS; bit++) {
		new = second_stage;
		flip(&new, bit);
		ret = bit < HALF_BITS && bit != PRESENT_BIT &&
		      !within(bit, PGTT_BIT, PGTT_BITS) ? 0 : -EINVAL;
		KUNIT_EXPECT_EQ_MSG(test, ret,
				    pasid_entry_can_switch(&second_stage, &new),
				    "to bit %d", bit);
		KUNIT_EXPECT_EQ_MSG(test, ret,
				    pasid_entry_can_switch(&new, &second_stage),
				    "from bit %d", bit);
	}
}

/* Beside the table only the id may differ, or a mix would be a third entry. */
static void first_stage_each_bit(struct kunit *test)
{
	struct pasid_entry new;
	int bit, ret;

	for (bit = 0; bit < ENTRY_BITS; bit++) {
		new = first_stage;
		flip(&new, bit);
		ret = within(bit, HALF_BITS, HALF_BITS) ||
		      within(bit, DID_BIT, DID_BITS) ? 0 : -EINVAL;
		KUNIT_EXPECT_EQ_MSG(test, ret,
				    pasid_entry_can_switch(&first_stage, &new),
				    "to bit %d", bit);
		KUNIT_EXPECT_EQ_MSG(test, ret,
				    pasid_entry_can_switch(&new, &first_stage),
				    "from bit %d", bit);
	}
}

static void stages_refused(struct kunit *test)
{
	struct pasid_entry other;
	int pgtt;

	KUNIT_EXPECT_EQ(test, -EINVAL,
			pasid_entry_can_switch(&first_stage, &second_stage));
	KUNIT_EXPECT_EQ(test, -EINVAL,
			pasid_entry_can_switch(&second_stage, &first_stage));

	/* Nested, pass-through and reserved types, even among themselves */
	for (pgtt = 0; pgtt < BIT(PGTT_BITS); pgtt++) {
		if (pgtt == PASID_ENTRY_PGTT_FL_ONLY ||
		    pgtt == PASID_ENTRY_PGTT_SL_ONLY)
			continue;
		other = second_stage;
		other.val[0] &= ~GENMASK_ULL(PGTT_BIT + PGTT_BITS - 1, PGTT_BIT);
		other.val[0] |= (u64)pgtt << PGTT_BIT;
		KUNIT_EXPECT_EQ(test, -EINVAL,
				pasid_entry_can_switch(&other, &other));
	}
}

static void context_entry_store(struct kunit *test)
{
	struct context_entry live[3] __aligned(16) = {
		{ 0x1111, 0x2222 }, { 0x3333, 0x4444 }, { 0x5555, 0x6666 },
	};
	const struct context_entry new = { ~0ULL, 0x123456789abcdef };

	vtd_entry_store(&live[1].lo, &new.lo);
	KUNIT_EXPECT_MEMEQ(test, &live[1], &new, sizeof(new));
	KUNIT_EXPECT_EQ(test, live[0].hi, 0x2222);
	KUNIT_EXPECT_EQ(test, live[2].lo, 0x5555);
}

static struct kunit_case entry_switch_cases[] = {
	KUNIT_CASE(second_stage_one_store),
	KUNIT_CASE(first_stage_two_stores),
	KUNIT_CASE(second_stage_each_bit),
	KUNIT_CASE(first_stage_each_bit),
	KUNIT_CASE(stages_refused),
	KUNIT_CASE(context_entry_store),
	{}
};

static struct kunit_suite entry_switch_suite = {
	.name = "intel_entry_switch",
	.test_cases = entry_switch_cases,
};

kunit_test_suite(entry_switch_suite);

MODULE_DESCRIPTION("Tests of switching VT-d entries that hardware uses");
MODULE_LICENSE("GPL");
