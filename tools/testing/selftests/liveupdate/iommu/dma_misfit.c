// SPDX-License-Identifier: GPL-2.0
/*
 * Let a device write into a memfd while the kernel below is replaced by one that
 * cannot go on with it.
 *
 *	dma_misfit -s 1|2 [option]
 *
 * The host judges: nothing may be written outside of the memfd, and bus mastering
 * goes before translation does. To let DMA that is not translated be seen, the
 * device gets its ring at an address which is also the physical one of memory
 * that nobody preserves, with a ring in it that makes the device write there.
 *
 * Here it is decided whether the device is stopped, cannot be claimed, and whether
 * it is of use to its next owner.
 *
 * Options:
 *	damage=WHAT	leave a wrong record, see drivers/iommu/iommu-liveupdate-test.c
 *	no-iommu	the next kernel does not use the IOMMU
 *	no-luo		the next kernel has no live update
 *	plain		nothing is preserved
 *	poweroff	preserve, but switch the machine off
 *	reboot		preserve, but let firmware start the machine again
 *	ignored		the next kernel is told that the unit has no devices
 *	crash		preserve, but crash, with a kdump kernel loaded
 */
#define _GNU_SOURCE

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/iommufd.h>
#include <linux/kexec.h>
#include <linux/pci_regs.h>

#include <libliveupdate.h>
#include <libvfio.h>

#include "acpi_initrd.h"
#include "dma_guest.h"
#include "physmem.h"
#include "report.h"

#define STATE_SESSION	"dma-misfit-state"
#define STATE_TOKEN	1
#define SESSION		"dma-misfit"
#define MEMFD_TOKEN	2
#define DEVICE_TOKEN	3

#define TEST_FILE	"/dev/iommu_liveupdate_test"

#define RING_PAGES	(AREA_RING * DESC_SIZE / AREA_PAGE)
#define BAIT_PAGES	((128UL << 20) / AREA_PAGE)
#define AGAIN_FRAMES	100

static struct {
	const char *damage;
	bool no_iommu;
	bool no_luo;
	bool plain;
	bool poweroff;
	bool reboot;
	bool crash;
	bool ignored;
} options;

static void parse_options(int argc, char *argv[])
{
	static const struct guest_flag known[] = {
		{ "no-iommu", &options.no_iommu },
		{ "no-luo", &options.no_luo },
		{ "plain", &options.plain },
		{ "poweroff", &options.poweroff },
		{ "reboot", &options.reboot },
		{ "crash", &options.crash },
		{ "ignored", &options.ignored },
	};
	int arg;

	for (arg = 1; arg < argc; arg++) {
		if (!strcmp(argv[arg], "-s"))
			arg++;
		else if (!strncmp(argv[arg], "damage=", strlen("damage=")))
			options.damage = argv[arg];
		else if (!guest_flag(known, ARRAY_SIZE(known), argv[arg]))
			ksft_exit_fail_msg("unknown option %s\n", argv[arg]);
	}
}

static int command(int fd, const char *text)
{
	return write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

struct frame {
	u64 pfn;
	u64 *memory;
};

static int by_pfn(const void *a, const void *b)
{
	const struct frame *x = a, *y = b;

	return x->pfn < y->pfn ? -1 : x->pfn > y->pfn;
}

/*
 * Lay out a ring in physical memory that nobody will preserve, each descriptor
 * pointing to such memory as well. Return its physical address.
 */
static u64 lay_bait(void)
{
	static struct frame frames[BAIT_PAGES];
	static u64 pfns[BAIT_PAGES];
	size_t i, run, desc;
	char *memory;

	memory = mmap(NULL, BAIT_PAGES * AREA_PAGE, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (memory == MAP_FAILED)
		fail_exit("memory for the bait");
	physmem_pfns(memory, BAIT_PAGES, pfns);
	for (i = 0; i < BAIT_PAGES; i++) {
		frames[i].pfn = pfns[i];
		frames[i].memory = (void *)memory + i * AREA_PAGE;
	}
	qsort(frames, BAIT_PAGES, sizeof(frames[0]), by_pfn);

	/* The last one is what the ring points to. */
	for (run = 1, i = 1; i < BAIT_PAGES - 1 && run < RING_PAGES; i++)
		run = frames[i].pfn == frames[i - 1].pfn + 1 ? run + 1 : 1;
	if (run < RING_PAGES)
		ksft_exit_fail_msg("physical memory is in too small pieces\n");
	i -= RING_PAGES;
	for (run = i; run < i + RING_PAGES; run++)
		for (desc = 0; desc < AREA_PAGE / DESC_SIZE; desc++)
			frames[run].memory[desc * DESC_SIZE / 8] =
				frames[BAIT_PAGES - 1].pfn * AREA_PAGE;
	return frames[i].pfn * AREA_PAGE;
}

/* Let the device reach @memfd at one more address. */
static void map_again(struct vfio_pci_device *device, int memfd, u64 iova)
{
	struct iommu_ioas_map_file map = {
		.size = sizeof(map),
		.flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE |
			 IOMMU_IOAS_MAP_WRITEABLE,
		.ioas_id = device->iommu->ioas_id,
		.fd = memfd,
		.length = AREA_SIZE,
		.iova = iova,
	};

	ioctl_assert(device->iommu->iommufd, IOMMU_IOAS_MAP_FILE, &map);
}

static void start_device(struct igb_rx *rx, int memfd)
{
	rx->area = area_map(memfd);
	rx->device = dma_device_attach(bdf, memfd);
	rx->area->iova = lay_bait() - AREA_RING_AT;
	map_again(rx->device, memfd, rx->area->iova);
	area_publish(rx->area);
	start_receiving(rx);
}

static void hand_over(int luo_fd, int memfd)
{
	int device = open(TEST_FILE, O_RDWR), session;

	if (device < 0)
		fail_exit(TEST_FILE);
	if (options.damage)
		must(command(device, options.damage), options.damage);
	must(command(device, bdf), bdf);
	session = luo_create_session(luo_fd, SESSION);
	must(session, "create session");
	must(luo_session_preserve_fd(session, memfd, MEMFD_TOKEN),
	     "preserve memfd");
	must(luo_session_preserve_fd(session, device, DEVICE_TOKEN),
	     "preserve device");
	reached("preserved");
}

/* The same kernel, as its own kdump kernel */
static void load_crash_kernel(void)
{
	static const char more[] =
		" vmtest.stage=2 nr_cpus=1 reset_devices";
	static char text[2048];
	int kernel = open("/kernel", O_RDONLY);
	int initrd = open("/initrd.img", O_RDONLY);
	int fd = open("/proc/cmdline", O_RDONLY);
	ssize_t len = read(fd, text, sizeof(text) - sizeof(more));

	if (kernel < 0 || initrd < 0 || len < 1)
		fail_exit("the kdump kernel");
	strcpy(text + len - 1, more);
	if (syscall(__NR_kexec_file_load, kernel, initrd, strlen(text) + 1,
		    text, KEXEC_FILE_ON_CRASH))
		fail_exit("load the kdump kernel");
}

static void crash(void)
{
	int fd = open("/proc/sysrq-trigger", O_WRONLY);

	if (fd < 0 || write(fd, "c", 1) < 0)
		fail_exit("sysrq-trigger");
}

static void stage_1(int luo_fd)
{
	struct igb_rx rx = {};
	int memfd = area_create();

	dma_device_find(bdf);
	if (options.crash)
		load_crash_kernel();
	if (options.ignored)
		acpi_initrd_load_without_devices();
	start_device(&rx, memfd);
	if (!options.plain) {
		create_state_file(luo_fd, STATE_SESSION, STATE_TOKEN, 2);
		hand_over(luo_fd, memfd);
	}

	igb_rx_refill(&rx);
	receive(&rx, PHASE_MS, ~0ULL);
	reached("freeze");
	report_drain();
	if (options.crash)
		crash();
	reboot(options.poweroff ? RB_POWER_OFF :
	       options.reboot ? RB_AUTOBOOT : RB_KEXEC);
	fail_exit("reboot");
}

/* Whoever takes the device next can use it, and gives it back. */
static void use_again(void)
{
	int memfd = area_create();
	struct igb_rx rx = { .area = area_map(memfd) };

	rx.device = dma_device_attach(bdf, memfd);
	rx.area->iova = AREA_IOVA;
	area_publish_given(rx.area);
	igb_rx_start(&rx);
	if (receive(&rx, WARM_UP_MS, AGAIN_FRAMES) < AGAIN_FRAMES)
		ksft_exit_fail_msg("the device is of no use any more\n");
	igb_rx_stop(&rx);
}

/* Not reached(): debugfs tells of the IOMMU only if it is in use. */
static void now_at(const char *name)
{
	report("yard: mark %s", name);
}

static void check_stopped(const char *when)
{
	if (dma_device_is_master(bdf))
		ksft_exit_fail_msg("%s: the device is a bus master\n", when);
}

static void give_back(int luo_fd)
{
	int session, memfd, device;

	session = luo_retrieve_session(luo_fd, SESSION);
	must(session, "retrieve session");
	memfd = luo_session_retrieve_fd(session, MEMFD_TOKEN);
	must(memfd, "retrieve memfd");
	device = luo_session_retrieve_fd(session, DEVICE_TOKEN);
	if (device >= 0 && !command(device, "claim"))
		ksft_exit_fail_msg("the device could be claimed\n");
	must(luo_session_finish(session), "finish session");
	check_stopped("finished");
	if (device >= 0)
		close(device);
	close(memfd);
}

static void second_kernel(int luo_fd)
{
	dma_device_find(bdf);
	check_stopped("userspace");
	now_at("userspace");
	usleep(PHASE_MS * 1000);
	if (!options.plain && !options.no_luo)
		give_back(luo_fd);
	now_at("finished");
	usleep(PHASE_MS * 1000);
	check_stopped("in the end");
	if (!options.no_iommu)
		use_again();
	now_at("done");
	usleep(SETTLE_MS * 1000);
}

static void stage_2(int luo_fd, int state_session)
{
	second_kernel(luo_fd);
	must(luo_session_finish(state_session), "finish state session");
}

/* The kernel after a crash has only to run: the device is not stopped. */
static int after_crash(void)
{
	if (access("/proc/vmcore", R_OK))
		fail_exit("/proc/vmcore");
	now_at("userspace");
	usleep(PHASE_MS * 1000);
	now_at("done");
	usleep(SETTLE_MS * 1000);
	return 0;
}

static bool is_stage_2(int argc, char *argv[])
{
	int arg;

	for (arg = 1; arg < argc - 1; arg++)
		if (!strcmp(argv[arg], "-s"))
			return !strcmp(argv[arg + 1], "2");
	return false;
}

int main(int argc, char *argv[])
{
	int err = report_open();

	must(err, "report channel");
	parse_options(argc, argv);
	if (is_stage_2(argc, argv)) {
		if (options.crash)
			return after_crash();
		if (options.no_luo && !access("/dev/liveupdate", F_OK))
			ksft_exit_fail_msg("there is a live update\n");
		/* No session has come that could tell the stage. */
		if (options.no_luo || options.plain) {
			second_kernel(-1);
			return 0;
		}
	}
	return luo_test(argc, argv, STATE_SESSION, stage_1, stage_2);
}
