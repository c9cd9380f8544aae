// SPDX-License-Identifier: GPL-2.0-only
/*
 * Records that are right, damaged in every way there is: the reader either
 * refuses them, or accepts them and another opinion agrees that nothing is
 * wrong. In both cases it comes to an end soon, and leaves the records as they
 * were.
 */

#include <linux/err.h>
#include <linux/io.h>
#include <linux/prandom.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "records-kunit.h"

#define MUTATE_SEED		20261121
#define MUTATE_NR_RANDOM	20000

/**
 * struct mutate - State of one test
 * @sample: Records, which are damaged in place and repaired again
 * @phys: Where they are
 * @right: All pages as they were
 * @read: All pages as the reader got them
 * @rng: Random numbers, the same ones each time
 * @nr_accepted: Number of images that the reader accepted
 * @nr_refused: Number of images that it refused
 * @max_steps: Most looks at memory that one image took
 */
struct mutate {
	struct sample *sample;
	u64 phys;
	u8 right[SAMPLE_NR_PAGES][PAGE_SIZE];
	u8 read[SAMPLE_NR_PAGES][PAGE_SIZE];
	struct rnd_state rng;
	unsigned int nr_accepted;
	unsigned int nr_refused;
	u64 max_steps;
};

static void mutate_exit(struct kunit *test)
{
	struct mutate *mutate = test->priv;

	if (!mutate)
		return;
	sample_destroy(test, mutate->sample);
	fake_kho_exit(test, mutate->sample->fake);
	kvfree(mutate);
}

static int mutate_init(struct kunit *test)
{
	struct mutate *mutate = kvzalloc_obj(*mutate);

	KUNIT_ASSERT_NOT_NULL(test, mutate);
	mutate->sample = sample_create(test, fake_kho_init(test));
	test->priv = mutate;
	mutate->phys = iommu_records_phys(mutate->sample->records);
	for (int i = 0; i < SAMPLE_NR_PAGES; i++)
		memcpy(mutate->right[i], mutate->sample->pages[i], PAGE_SIZE);
	prandom_seed_state(&mutate->rng, MUTATE_SEED);
	return 0;
}

/* Have the reader read what is in the pages now, and repair them. */
static void mutate_read(struct kunit *test, struct mutate *mutate,
			const char *what, unsigned int detail)
{
	struct sample *sample = mutate->sample;
	struct fake_kho *fake = sample->fake;
	const char *why = NULL;
	struct iommu_incoming *in;
	u64 nr_pages, nr_memory;

	for (int i = 0; i < SAMPLE_NR_PAGES; i++)
		memcpy(mutate->read[i], sample->pages[i], PAGE_SIZE);
	nr_pages = fake->nr_pages;
	nr_memory = fake->nr_memory;
	fake->steps = 0;
	fake->why = NULL;

	in = iommu_incoming_open(mutate->phys);
	mutate->max_steps = max(mutate->max_steps, fake->steps);
	if (IS_ERR(in)) {
		mutate->nr_refused++;
		if (!fake->why || fake->err != PTR_ERR(in))
			why = "refused without a reason";
	} else {
		mutate->nr_accepted++;
		why = records_judge(fake, in, mutate->phys);
		iommu_incoming_close(in);
	}
	if (why)
		KUNIT_FAIL(test, "%s %u: %s", what, detail, why);
	if (fake->steps > fake->max_steps)
		KUNIT_FAIL(test, "%s %u: no end", what, detail);
	if (fake->nr_memory != nr_memory)
		KUNIT_FAIL(test, "%s %u: memory was leaked", what, detail);
	if (fake->nr_pages != nr_pages || fake->nr_restored || fake->bad_free)
		KUNIT_FAIL(test, "%s %u: pages were freed", what, detail);

	for (int i = 0; i < SAMPLE_NR_PAGES; i++) {
		if (memcmp(mutate->read[i], sample->pages[i], PAGE_SIZE))
			KUNIT_FAIL(test, "%s %u: page %d was written", what,
				   detail, i);
		memcpy(sample->pages[i], mutate->right[i], PAGE_SIZE);
	}
}

static void mutate_done(struct kunit *test, struct mutate *mutate)
{
	kunit_info(test, "%u images: %u accepted, %u refused, at most %llu steps",
		   mutate->nr_accepted + mutate->nr_refused,
		   mutate->nr_accepted, mutate->nr_refused, mutate->max_steps);

	/* The image is still the right one. */
	mutate->nr_accepted = 0;
	mutate_read(test, mutate, "repaired", 0);
	KUNIT_EXPECT_EQ(test, mutate->nr_accepted, 1);
}

/* Every byte of every page, all of its bits, and then a single one */
static void mutate_every_byte(struct kunit *test)
{
	struct mutate *mutate = test->priv;

	for (unsigned int i = 0; i < SAMPLE_NR_PAGES * PAGE_SIZE; i++) {
		u8 *byte = mutate->sample->pages[i / PAGE_SIZE] + i % PAGE_SIZE;

		*byte ^= 0xff;
		mutate_read(test, mutate, "byte", i);
		*byte ^= 1 << i % 8;
		mutate_read(test, mutate, "bit", i);
	}
	KUNIT_EXPECT_EQ(test, mutate->nr_accepted + mutate->nr_refused,
			2 * SAMPLE_NR_PAGES * PAGE_SIZE);
	KUNIT_EXPECT_GT(test, mutate->nr_accepted, 0);
	mutate_done(test, mutate);
}

static u64 *random_word(struct mutate *mutate)
{
	u32 page = prandom_u32_state(&mutate->rng) % SAMPLE_NR_PAGES;
	u32 word = prandom_u32_state(&mutate->rng) % (PAGE_SIZE / 8);

	return mutate->sample->pages[page] + word * 8;
}

/*
 * Noise is refused soon. What gets further is what would be right in another
 * place: words and records of the same image, addresses, small numbers.
 */
static void mutate_once(struct mutate *mutate)
{
	static const u32 sizes[] = {
		sizeof(struct iommu_hw_ser), sizeof(struct iommu_domain_ser),
		sizeof(struct iommu_device_ser), sizeof(struct iommu_device_ser),
	};
	u32 random = prandom_u32_state(&mutate->rng);
	u8 *bytes = (u8 *)random_word(mutate);
	u64 *word = (u64 *)bytes;
	u32 page, size, places;
	void *first;

	switch (random % 8) {
	case 0:
		bytes[random / 8 % 8] = random >> 16;
		break;
	case 1:
		*word = random >> 28;
		break;
	case 2:
		*word ^= 1ULL << (random >> 26);
		break;
	case 3:
		*word = *random_word(mutate);
		break;
	case 4:
		*word = virt_to_phys(mutate->sample->pages[(random >> 8) %
							   SAMPLE_NR_PAGES]);
		break;
	case 5:
		*(u32 *)word += (int)(random >> 8) % 3 - 1;
		break;
	default:
		/* Copy a record, or all of it but the id, or erase it. */
		page = (random >> 8) % 4;
		size = sizes[page];
		first = mutate->sample->pages[SAMPLE_UNITS + page] +
			sizeof(struct iommu_ser_page);
		places = page == 2 ? 63 : 3;
		bytes = first + (random >> 12) % places * size;
		word = first + (random >> 20) % places * size;
		if (random % 8 == 6 && random >> 31)
			memset(bytes, 0, size);
		else if (random % 8 == 6)
			memcpy(bytes + 4, (u8 *)word + 4, size - 4);
		else
			memcpy(bytes + 8 + (random >> 28) * 4,
			       (u8 *)word + 8 + (random >> 28) * 4, 4);
		break;
	}
}

static void mutate_random(struct kunit *test)
{
	struct mutate *mutate = test->priv;

	for (unsigned int i = 0; i < MUTATE_NR_RANDOM; i++) {
		u32 nr = 1 + prandom_u32_state(&mutate->rng) % 4;

		while (nr--)
			mutate_once(mutate);
		mutate_read(test, mutate, "random", i);
	}
	KUNIT_EXPECT_GT(test, mutate->nr_accepted, 0);
	mutate_done(test, mutate);
}

/* The end of a page is missing, or what it says of its own length is less. */
static void mutate_truncated(struct kunit *test)
{
	struct mutate *mutate = test->priv;
	struct iommu_flb_ser *root = mutate->sample->pages[SAMPLE_ROOT];
	unsigned int nr = 0;

	for (unsigned int i = 0; i < SAMPLE_NR_PAGES; i++) {
		for (unsigned int len = 0; len < PAGE_SIZE; len += 8) {
			memset(mutate->sample->pages[i] + len, 0,
			       PAGE_SIZE - len);
			nr += memcmp(mutate->sample->pages[i],
				     mutate->right[i], PAGE_SIZE) != 0;
			mutate_read(test, mutate, "truncated",
				    i * PAGE_SIZE + len);
		}
	}
	/* Whatever is cut off is missed, unless it is everything but a root. */
	KUNIT_EXPECT_EQ(test, mutate->nr_refused, nr - 1);

	for (unsigned int i = 0; i < IOMMU_SER_NR_KINDS; i++) {
		for (u32 pages = 0; pages < 4; pages++) {
			bool right = pages == root->lists[i].nr_pages;

			root->lists[i].nr_pages = pages;
			mutate->nr_accepted = 0;
			mutate_read(test, mutate, "pages", i);
			KUNIT_EXPECT_EQ(test, mutate->nr_accepted, right);
		}
	}
	mutate_done(test, mutate);
}

/* A page that KHO does not know, or that is not as big as it was */
static void mutate_not_preserved(struct kunit *test)
{
	struct mutate *mutate = test->priv;
	struct fake_kho *fake = mutate->sample->fake;
	unsigned int nr = 0, nr_domains = 0;
	unsigned long pfn;
	void *order;

	xa_for_each(&fake->preserved, pfn, order) {
		xa_store(&fake->preserved, pfn,
			 xa_mk_value(xa_to_value(order) + 1), GFP_KERNEL);
		mutate_read(test, mutate, "order", nr);
		xa_erase(&fake->preserved, pfn);
		mutate_read(test, mutate, "missing", nr++);
		KUNIT_ASSERT_EQ(test, xa_err(xa_store(&fake->preserved, pfn,
						      order, GFP_KERNEL)), 0);
	}
	/* The order of a domain's top table is not recorded. */
	nr_domains = SAMPLE_NR_DOMAINS;
	KUNIT_EXPECT_EQ(test, mutate->nr_accepted, nr_domains);
	KUNIT_EXPECT_EQ(test, mutate->nr_refused, 2 * nr - nr_domains);
	mutate_done(test, mutate);
}

/* Every page follows every page, in lists of every length that is accepted. */
static void mutate_cycles(struct kunit *test)
{
	static const u32 lengths[] = { 1, 2, 3, 1000, 1041, 1042, U32_MAX };
	struct mutate *mutate = test->priv;
	struct sample *sample = mutate->sample;
	struct iommu_flb_ser *root = sample->pages[SAMPLE_ROOT];
	unsigned int nr = 0;

	for (int from = 0; from < SAMPLE_NR_PAGES; from++) {
		for (int to = 0; to < SAMPLE_NR_PAGES; to++) {
			struct iommu_ser_page *page = sample->pages[from];
			u64 phys = virt_to_phys(sample->pages[to]);

			/* This one is how it should be. */
			if (page->next == phys)
				continue;
			for (int i = 0; i < ARRAY_SIZE(lengths); i++) {
				int kind = from ? page->kind : to % 3;

				if (from)
					page->next = phys;
				else
					root->lists[kind].first = phys;
				root->lists[kind].nr_pages = lengths[i];
				if (!memcmp(root, mutate->right[0], PAGE_SIZE) &&
				    !memcmp(page, mutate->right[from], PAGE_SIZE))
					continue;
				mutate_read(test, mutate, "cycle", nr++);
			}
		}
	}
	KUNIT_EXPECT_GT(test, nr, 100);
	KUNIT_EXPECT_EQ(test, mutate->nr_refused, nr);
	mutate_done(test, mutate);
}

static struct kunit_case mutate_cases[] = {
	KUNIT_CASE_SLOW(mutate_every_byte),
	KUNIT_CASE_SLOW(mutate_random),
	KUNIT_CASE_SLOW(mutate_truncated),
	KUNIT_CASE(mutate_not_preserved),
	KUNIT_CASE(mutate_cycles),
	{}
};

static struct kunit_suite mutate_suite = {
	.name = "iommu-records-mutate",
	.init = mutate_init,
	.exit = mutate_exit,
	.test_cases = mutate_cases,
};

kunit_test_suite(mutate_suite);
