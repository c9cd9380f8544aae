// SPDX-License-Identifier: GPL-2.0
/*
 * Replace the page table of a device again and again while it writes.
 *
 *	dma_replace [rounds=N]
 *
 * Two page tables map the same memfd at the same place, so for the device each
 * of them is as good as the other one, and no frame may get lost. The host
 * judges that. Whether it was a replace at all is decided here: after each
 * round the entry that hardware walks has to name the table that was asked
 * for. A kernel may say that it replaced one and leave the entry alone; the
 * device does not mind.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <libliveupdate.h>
#include <libvfio.h>

#include "dma_guest.h"
#include "report.h"

#define NR_TABLES	2

static unsigned long rounds = 10000;

static struct {
	u32 table;
	struct dma_belief belief;
} tables[NR_TABLES];

/* How the rounds ended. */
static struct {
	unsigned long done;
	unsigned long wrong;
	unsigned long blocked;
	unsigned long longest_us;
} count;

static u64 now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000UL + now.tv_nsec / 1000;
}

static void parse_options(int argc, char *argv[])
{
	int i;

	for (i = 1; i < argc; i++)
		if (!strncmp(argv[i], "rounds=", 7))
			rounds = strtoul(argv[i] + 7, NULL, 10);
		else
			ksft_exit_fail_msg("unknown option %s\n", argv[i]);
	if (rounds < NR_TABLES)
		ksft_exit_fail_msg("fewer than %d rounds\n", NR_TABLES);
}

static void use(struct igb_rx *rx, int index)
{
	u64 start = now_us(), took;
	int err = dma_device_use_table(rx->device, tables[index].table);

	took = now_us() - start;
	if (err)
		ksft_exit_fail_msg("round %lu: %s\n", count.done, strerror(-err));
	if (took > count.longest_us)
		count.longest_us = took;
}

/*
 * What a table's entry looks like is not told to userspace, so it is taken
 * from the first round in which the table is used; it must be one that no
 * other table has.
 */
static void learn(struct igb_rx *rx, const struct dma_belief *before)
{
	int i;

	for (i = 0; i < NR_TABLES; i++) {
		struct dma_belief *belief = &tables[i].belief;

		tables[i].table = dma_device_table(rx->device);
		use(rx, i);
		if (!dma_device_belief(bdf, belief))
			ksft_exit_fail_msg("the device is blocked\n");
		if (belief->pgd == before->pgd)
			ksft_exit_fail_msg("the entry still names table %#lx\n",
					   before->pgd);
		before = belief;
		count.done++;
		igb_rx_poll(rx);
	}
}

static void replace(struct igb_rx *rx)
{
	struct dma_belief now;

	while (count.done < rounds) {
		int index = count.done++ % NR_TABLES;

		use(rx, index);
		if (!dma_device_belief(bdf, &now))
			count.blocked++;
		else if (now.pgd != tables[index].belief.pgd)
			count.wrong++;
		igb_rx_poll(rx);
	}
}

int main(int argc, char *argv[])
{
	int memfd, err = report_open();
	struct igb_rx rx = {};
	struct dma_belief before;

	if (err)
		ksft_exit_fail_msg("report channel: %s\n", strerror(-err));
	parse_options(argc, argv);
	ksft_print_header();
	ksft_set_plan(1);

	memfd = area_create();
	rx.area = area_map(memfd);
	dma_device_find(bdf);
	rx.device = dma_device_attach(bdf, memfd);
	rx.area->iova = AREA_IOVA;
	area_publish(rx.area);
	igb_rx_start(&rx);
	reached("rx_on");
	if (receive(&rx, WARM_UP_MS, WARM_UP_FRAMES) < WARM_UP_FRAMES)
		ksft_exit_fail_msg("fewer than %d frames in %d s\n",
				   WARM_UP_FRAMES, WARM_UP_MS / 1000);

	if (!dma_device_belief(bdf, &before))
		ksft_exit_fail_msg("the device is blocked\n");
	learn(&rx, &before);
	replace(&rx);
	report("yard: ring phase=replaced rounds=%lu wrong=%lu blocked=%lu longest_us=%lu",
	       count.done, count.wrong, count.blocked, count.longest_us);
	reached("replaced");

	receive(&rx, PHASE_MS, ~0ULL);
	report_ring("done", rx.area);
	reached("done");
	receive(&rx, SETTLE_MS, ~0ULL);
	igb_rx_stop(&rx);

	ksft_print_msg("%lu rounds, %lu wrong entries, %lu without one, the longest took %lu us\n",
		       count.done, count.wrong, count.blocked, count.longest_us);
	ksft_test_result(!count.wrong && !count.blocked,
			 "each entry names the table that was asked for\n");
	ksft_finished();
}
