// SPDX-License-Identifier: GPL-2.0
/*
 * What every program has in common which lets the device of the test machine
 * write into a memfd while the host watches.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <libliveupdate.h>
#include <libvfio.h>

#include "dma_guest.h"
#include "report.h"

#define TABLES	"/sys/kernel/debug/iommu/intel/%s/domain_translation_struct"

char bdf[BDF_SIZE];

bool guest_flag(const struct guest_flag *flags, size_t nr, const char *word)
{
	size_t i;

	for (i = 0; i < nr; i++) {
		if (!strcmp(flags[i].name, word)) {
			*flags[i].set = true;
			return true;
		}
	}
	return false;
}

void must(int err, const char *what)
{
	if (err < 0)
		ksft_exit_fail_msg("%s: %s\n", what, strerror(-err));
}

void reached(const char *name)
{
	struct dma_belief belief;

	if (bdf[0] && dma_device_belief(bdf, &belief))
		report("yard: belief phase=%s pgd=%#lx did=%#lx", name,
		       belief.pgd, belief.did);
	report("yard: mark %s", name);
}

static u64 now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000UL + now.tv_nsec / 1000000;
}

void report_ring(const char *phase, const struct dma_area *area)
{
	struct igb_rx_scan scan;

	igb_rx_scan(area, &scan);
	report("yard: ring phase=%s first_desc=%lu first_seq=%lu contiguous=%lu holes=%lu bad=%lu",
	       phase, scan.first_desc, scan.first_seq, scan.contiguous,
	       scan.holes, scan.bad);
}

struct dma_area *area_map(int memfd)
{
	/* Populated, for pagemap tells only of pages in our page table. */
	void *map = mmap(NULL, AREA_SIZE, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_POPULATE, memfd, 0);

	if (map == MAP_FAILED)
		fail_exit("mmap of the memfd");
	return map;
}

/* Find the physical pages of the area. */
static void area_pages(struct dma_area *area, u64 *pages)
{
	int fd = open("/proc/self/pagemap", O_RDONLY);
	size_t i;

	if (fd < 0)
		fail_exit("pagemap");
	for (i = 0; i < AREA_PAGES; i++) {
		u64 at = (u64)area / AREA_PAGE + i, entry;

		if (pread(fd, &entry, 8, at * 8) != 8 || !(entry >> 63))
			fail_exit("page %zu of the memfd is not present", i);
		pages[i] = (entry & ((1ULL << 55) - 1)) * AREA_PAGE;
	}
	close(fd);
}

/* Where the area begins */
static u64 area_tell(struct dma_area *area)
{
	u64 *table = (void *)area + AREA_TABLE_AT;
	size_t i;

	area_pages(area, table);
	for (i = 0; i < AREA_TABLE_PAGES; i++)
		area->table[i] = table[AREA_TABLE_AT / AREA_PAGE + i];
	area_set(&area->magic, AREA_MAGIC);
	return table[0];
}

void area_publish(struct dma_area *area)
{
	report("yard: area header=%#lx bdf=%s", area_tell(area), bdf);
}

void area_publish_given(struct dma_area *area)
{
	report("given: area header=%#lx", area_tell(area));
}

void area_check(struct dma_area *area)
{
	static u64 pages[AREA_PAGES];
	u64 *table = (void *)area + AREA_TABLE_AT;
	size_t i;

	if (area_get(&area->magic) != AREA_MAGIC)
		ksft_exit_fail_msg("the memfd is not the one preserved\n");
	area_pages(area, pages);
	for (i = 0; i < AREA_PAGES; i++)
		if (pages[i] != table[i])
			ksft_exit_fail_msg("page %zu of the memfd was at %#lx and is at %#lx\n",
					   i, table[i], pages[i]);
}

/* FNV-1a, and the number of lines, of which a few are headings */
static u64 tables_digest(u64 *lines)
{
	u64 digest = 0xcbf29ce484222325;
	char path[96];
	FILE *file;
	int c;

	snprintf(path, sizeof(path), TABLES, bdf);
	file = fopen(path, "r");
	if (!file)
		fail_exit("%s", path);
	*lines = 0;
	while ((c = getc(file)) != EOF) {
		digest = (digest ^ c) * 0x100000001b3;
		*lines += c == '\n';
	}
	fclose(file);
	return digest;
}

void area_keep_tables(struct dma_area *area)
{
	u64 lines;

	area->tables_digest = tables_digest(&lines);
	area->tables_lines = lines;
	/* Each page has a line, or two headings tell of nothing. */
	if (lines < AREA_PAGES / 512 + 2)
		ksft_exit_fail_msg("the tables of the device have %lu lines\n",
				   lines);
}

void area_check_tables(const struct dma_area *area, const char *when)
{
	u64 lines, digest = tables_digest(&lines);

	if (lines != area->tables_lines || digest != area->tables_digest)
		ksft_exit_fail_msg("%s: the device has other tables: %lu lines, not %lu\n",
				   when, lines,
				   (unsigned long)area->tables_lines);
}

int area_create(void)
{
	int memfd = memfd_create("dma-continuity", MFD_ALLOW_SEALING);

	/* An iommufd is preserved only with memory that keeps its size. */
	if (memfd < 0 || fallocate(memfd, 0, 0, AREA_SIZE) ||
	    fcntl(memfd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
		fail_exit("memfd of %lu bytes", AREA_SIZE);
	return memfd;
}

u64 receive(struct igb_rx *rx, u64 ms, u64 frames)
{
	u64 end = now_ms() + ms, count;

	do {
		usleep(20000);
		count = igb_rx_poll(rx);
	} while (now_ms() < end && count < frames);
	return count;
}

void start_receiving(struct igb_rx *rx)
{
	igb_rx_start(rx);
	reached("rx_on");
	if (receive(rx, WARM_UP_MS, WARM_UP_FRAMES) >= WARM_UP_FRAMES)
		return;
	report_ring("rx_on", rx->area);
	ksft_exit_fail_msg("fewer than %d frames in %d s\n", WARM_UP_FRAMES,
			   WARM_UP_MS / 1000);
}
