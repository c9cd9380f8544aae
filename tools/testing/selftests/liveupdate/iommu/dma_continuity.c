// SPDX-License-Identifier: GPL-2.0
/*
 * Let a device write into a memfd while the kernel below is replaced.
 *
 *	dma_continuity -s 1|2 [nokexec] [option=value ...]
 *
 * Stage 1 is a VMM in small: it takes a network device through vfio and
 * iommufd, gives it a memfd through page tables of its own choice and a ring
 * inside that memfd, lets it receive, preserves the memfd and reboots into the
 * kernel that is loaded. Stage 2 gets the memfd back and reads the ring.
 *
 * Whether frames were lost is not decided here: the host knows what it sent
 * and sees the memory while no kernel runs. The program fails only when it
 * cannot do its own part.
 *
 * Options, times in milliseconds:
 *	nokexec		stay in this kernel
 *	run=T		length of the run without kexec (default 4000)
 *	outage=T	half way through, take bus mastering away for this long
 *	fault		half way through, send one frame to an unmapped address
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/reboot.h>
#include <time.h>
#include <unistd.h>

#include <linux/pci_regs.h>

#include <libliveupdate.h>
#include <libvfio.h>

#include "dma_area.h"
#include "dma_device.h"
#include "igb_rx.h"
#include "report.h"

#define STATE_SESSION	"dma-continuity-state"
#define STATE_TOKEN	1
#define SESSION		"dma-continuity"
#define MEMFD_TOKEN	2

#define WARM_UP_FRAMES	200
#define WARM_UP_MS	30000

/*
 * The host needs some time to see a mark and to stop sending; frames which are
 * on their way must not meet a device that was switched off.
 */
#define SETTLE_MS	300
#define PHASE_MS	1000

static struct {
	bool nokexec;
	bool fault;
	unsigned long run_ms;
	unsigned long outage_ms;
} options = { .run_ms = 4000 };

static char bdf[BDF_SIZE];

/* Tell what this kernel knows about the device now, then that we got here. */
static void reached(const char *name)
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

static void parse_options(int argc, char *argv[])
{
	int i;

	for (i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "-s"))
			i++;
		else if (!strcmp(argv[i], "nokexec"))
			options.nokexec = true;
		else if (!strcmp(argv[i], "fault"))
			options.fault = true;
		else if (!strncmp(argv[i], "run=", 4))
			options.run_ms = strtoul(argv[i] + 4, NULL, 10);
		else if (!strncmp(argv[i], "outage=", 7))
			options.outage_ms = strtoul(argv[i] + 7, NULL, 10);
		else
			ksft_exit_fail_msg("unknown option %s\n", argv[i]);
	}
}

static void report_ring(const char *phase, const struct dma_area *area)
{
	struct igb_rx_scan scan;

	igb_rx_scan(area, &scan);
	report("yard: ring phase=%s first_desc=%lu first_seq=%lu contiguous=%lu holes=%lu bad=%lu",
	       phase, scan.first_desc, scan.first_seq, scan.contiguous,
	       scan.holes, scan.bad);
}

static struct dma_area *area_map(int memfd)
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

/* For the host, which knows memory by physical addresses only. */
static void area_publish(struct dma_area *area)
{
	u64 *table = (void *)area + AREA_TABLE_AT;
	size_t i;

	area_pages(area, table);
	for (i = 0; i < AREA_TABLE_PAGES; i++)
		area->table[i] = table[AREA_TABLE_AT / AREA_PAGE + i];
	area_set(&area->magic, AREA_MAGIC);
	report("yard: area header=%#lx bdf=%s", table[0], bdf);
}

/* The device's page tables know only the pages that the memfd had before. */
static void area_check(struct dma_area *area)
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

static int area_create(void)
{
	int memfd = memfd_create("dma-continuity", 0);

	if (memfd < 0 || fallocate(memfd, 0, 0, AREA_SIZE))
		fail_exit("memfd of %lu bytes", AREA_SIZE);
	return memfd;
}

/* Take frames for @ms milliseconds, or until @frames have come in all. */
static u64 receive(struct igb_rx *rx, u64 ms, u64 frames)
{
	u64 end = now_ms() + ms, count;

	do {
		usleep(20000);
		count = igb_rx_poll(rx);
	} while (now_ms() < end && count < frames);
	return count;
}

static void run_without_kexec(struct igb_rx *rx)
{
	receive(rx, options.run_ms / 2, ~0ULL);
	if (options.fault)
		igb_rx_redirect(rx, igb_rx_poll(rx) + 20, NOWHERE_IOVA);
	if (options.outage_ms) {
		vfio_pci_cmd_clear(rx->device, PCI_COMMAND_MASTER);
		usleep(options.outage_ms * 1000);
		vfio_pci_cmd_set(rx->device, PCI_COMMAND_MASTER);
	}
	receive(rx, options.run_ms / 2, ~0ULL);

	report_ring("done", rx->area);
	reached("done");
	receive(rx, SETTLE_MS, ~0ULL);
	igb_rx_stop(rx);
}

static void stage_1(int luo_fd)
{
	int memfd = area_create();
	struct dma_area *area = area_map(memfd);
	struct igb_rx rx = { .area = area };
	int session, err;

	dma_device_find(bdf);
	rx.device = dma_device_attach(bdf, memfd);
	area->iova = AREA_IOVA;
	area_publish(area);
	igb_rx_start(&rx);
	reached("rx_on");
	if (receive(&rx, WARM_UP_MS, WARM_UP_FRAMES) < WARM_UP_FRAMES) {
		report_ring("rx_on", area);
		ksft_exit_fail_msg("fewer than %d frames in %d s\n",
				   WARM_UP_FRAMES, WARM_UP_MS / 1000);
	}

	create_state_file(luo_fd, STATE_SESSION, STATE_TOKEN, 2);
	session = luo_create_session(luo_fd, SESSION);
	if (session < 0)
		ksft_exit_fail_msg("create session: %s\n", strerror(-session));
	err = luo_session_preserve_fd(session, memfd, MEMFD_TOKEN);
	if (err)
		ksft_exit_fail_msg("preserve memfd: %s\n", strerror(-err));
	reached("preserved");

	if (options.nokexec) {
		run_without_kexec(&rx);
		return;
	}

	/* Nobody gives descriptors back from here on: leave a full ring. */
	igb_rx_refill(&rx);
	receive(&rx, PHASE_MS, ~0ULL);
	report_ring("preserved", area);
	reached("freeze");
	report_drain();
	reboot(RB_KEXEC);
	fail_exit("reboot");
}

/*
 * Memory that a running device writes to must not be given back, so the memfd
 * stays open until the device is silent.
 */
static void stage_2(int luo_fd, int state_session)
{
	struct dma_area *area;
	int session, memfd, stage, err;

	dma_device_find(bdf);
	reached("userspace");
	restore_and_read_stage(state_session, STATE_TOKEN, &stage);
	if (stage != 2)
		ksft_exit_fail_msg("the state says stage %d\n", stage);
	session = luo_retrieve_session(luo_fd, SESSION);
	if (session < 0)
		ksft_exit_fail_msg("retrieve session: %s\n",
				   strerror(-session));
	memfd = luo_session_retrieve_fd(session, MEMFD_TOKEN);
	if (memfd < 0)
		ksft_exit_fail_msg("retrieve memfd: %s\n", strerror(-memfd));

	area = area_map(memfd);
	area_check(area);
	report_ring("retrieved", area);
	reached("retrieved");
	usleep(PHASE_MS * 1000);

	err = luo_session_finish(session);
	if (!err)
		err = luo_session_finish(state_session);
	if (err)
		ksft_exit_fail_msg("finish session: %s\n", strerror(-err));
	reached("finished");
	usleep(PHASE_MS * 1000);

	report_ring("done", area);
	reached("done");
	usleep(SETTLE_MS * 1000);
	dma_device_silence(bdf);
	close(memfd);
}

int main(int argc, char *argv[])
{
	int err = report_open();

	if (err)
		ksft_exit_fail_msg("report channel: %s\n", strerror(-err));
	parse_options(argc, argv);
	return luo_test(argc, argv, STATE_SESSION, stage_1, stage_2);
}
