// SPDX-License-Identifier: GPL-2.0
/*
 * Let a device write into a memfd while the kernel below is replaced and the
 * IOMMU goes on translating.
 *
 *	dma_handover -s 1|2 [option]
 *
 * Like dma_continuity, but the device is handed over with the domain it has, by
 * a file that the kernel has for tests, and not by vfio and iommufd. That leaves
 * out what these do, and tests what is below them.
 *
 * Options:
 *	twice		preserve, unpreserve and preserve again
 *	entry		before that, try with a context entry that is not the one
 *			of the device's domain
 *	pasid		another PASID of the device is attached as well, which the
 *			old kernel must not leave
 *	queue-error	the IOMMU's invalidation queue has an error when the
 *			kernel ends
 *	dead-queue	it does not do what it is told then, whatever is tried
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/reboot.h>
#include <unistd.h>

#include <libliveupdate.h>
#include <libvfio.h>

#include "dma_guest.h"
#include "report.h"

#define STATE_SESSION	"dma-handover-state"
#define STATE_TOKEN	1
#define SESSION		"dma-handover"
#define MEMFD_TOKEN	2
#define DEVICE_TOKEN	3

#define TEST_FILE	"/dev/iommu_liveupdate_test"

static struct {
	bool twice;
	bool entry;
	bool pasid;
	bool queue_error;
	bool dead_queue;
} options;

static void parse_options(int argc, char *argv[])
{
	static const struct guest_flag known[] = {
		{ "twice", &options.twice },
		{ "entry", &options.entry },
		{ "pasid", &options.pasid },
		{ "queue-error", &options.queue_error },
		{ "dead-queue", &options.dead_queue },
	};
	int arg;

	for (arg = 1; arg < argc; arg++) {
		if (!strcmp(argv[arg], "-s"))
			arg++;
		else if (!guest_flag(known, ARRAY_SIZE(known), argv[arg]))
			ksft_exit_fail_msg("unknown option %s\n", argv[arg]);
	}
}

static int command(int fd, const char *text)
{
	return write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

/* Returns the session, with the memory and the device in it. */
static int preserve_both(int luo_fd, int memfd, int device)
{
	int session = luo_create_session(luo_fd, SESSION);

	must(session, "create session");
	must(luo_session_preserve_fd(session, memfd, MEMFD_TOKEN),
	     "preserve memfd");
	must(luo_session_preserve_fd(session, device, DEVICE_TOKEN),
	     "preserve device");
	return session;
}

static void refused(const char *what)
{
	if (errno != EINVAL)
		ksft_exit_fail_msg("%s: errno %d, not EINVAL\n", what, errno);
}

/* What is recorded is not what hardware does, for as long as the entry is another. */
static void try_other_entry(int luo_fd, int memfd, int device)
{
	int session = luo_create_session(luo_fd, SESSION);

	must(session, "create session");
	must(luo_session_preserve_fd(session, memfd, MEMFD_TOKEN),
	     "preserve memfd");
	must(command(device, "entry"), "other entry");
	errno = -luo_session_preserve_fd(session, device, DEVICE_TOKEN);
	refused("preserve with another entry");
	must(command(device, "entry"), "the entry again");
	must(luo_session_preserve_fd(session, device, DEVICE_TOKEN),
	     "preserve device");

	must(command(device, "entry"), "other entry");
	reboot(RB_KEXEC);
	refused("kexec with another entry");
	must(command(device, "entry"), "the entry again");
	close(session);
}

static void stage_1(int luo_fd)
{
	int memfd = area_create();
	struct dma_area *area = area_map(memfd);
	struct igb_rx rx = { .area = area };
	int device, session;

	dma_device_find(bdf);
	rx.device = dma_device_attach(bdf, memfd);
	area->iova = AREA_IOVA;
	area_publish(area);
	start_receiving(&rx);

	device = open(TEST_FILE, O_RDWR);
	if (device < 0)
		fail_exit(TEST_FILE);
	if (options.queue_error)
		must(command(device, "damage=queue-error"), "queue-error");
	if (options.dead_queue)
		must(command(device, "damage=dead-queue"), "dead-queue");
	must(command(device, bdf), bdf);

	if (options.entry)
		try_other_entry(luo_fd, memfd, device);
	create_state_file(luo_fd, STATE_SESSION, STATE_TOKEN, 2);
	session = preserve_both(luo_fd, memfd, device);
	if (options.twice) {
		/* Closing it unpreserves all that is in it. */
		close(session);
		session = preserve_both(luo_fd, memfd, device);
	}
	area_keep_tables(area);
	if (options.pasid)
		must(command(device, "pasid"), "pasid");
	reached("preserved");

	/* Nobody gives descriptors back from here on: leave a full ring. */
	igb_rx_refill(&rx);
	receive(&rx, PHASE_MS, ~0ULL);
	report_ring("preserved", area);
	reached("freeze");
	report_drain();
	reboot(RB_KEXEC);
	fail_exit("reboot");
}

static void take_over(int device, const struct dma_area *area)
{
	char text[64];

	must(command(device, "claim"), "claim");
	area_check_tables(area, "bound");
	reached("bound");
	usleep(PHASE_MS * 1000);

	snprintf(text, sizeof(text), "replace %lx %lx",
		 (unsigned long)AREA_IOVA,
		 (unsigned long)(AREA_IOVA + AREA_SIZE - 1));
	must(command(device, text), text);
	reached("replaced");
	usleep(PHASE_MS * 1000);
}

/*
 * Memory that a running device writes to must not be given back, so the memfd
 * stays open until the device is silent, which it is when its file is closed.
 */
static void stage_2(int luo_fd, int state_session)
{
	int session, memfd, device, stage;
	struct dma_area *area;

	dma_device_find(bdf);
	reached("userspace");
	restore_and_read_stage(state_session, STATE_TOKEN, &stage);
	if (stage != 2)
		ksft_exit_fail_msg("the state says stage %d\n", stage);
	session = luo_retrieve_session(luo_fd, SESSION);
	must(session, "retrieve session");
	memfd = luo_session_retrieve_fd(session, MEMFD_TOKEN);
	must(memfd, "retrieve memfd");
	device = luo_session_retrieve_fd(session, DEVICE_TOKEN);
	must(device, "retrieve device");

	area = area_map(memfd);
	area_check(area);
	area_check_tables(area, "retrieved");
	report_ring("retrieved", area);
	reached("retrieved");
	usleep(PHASE_MS * 1000);

	take_over(device, area);
	must(luo_session_finish(session), "finish session");
	must(luo_session_finish(state_session), "finish state session");
	reached("finished");
	usleep(PHASE_MS * 1000);

	report_ring("done", area);
	reached("done");
	usleep(SETTLE_MS * 1000);
	close(device);
	close(memfd);
}

int main(int argc, char *argv[])
{
	int err = report_open();

	must(err, "report channel");
	parse_options(argc, argv);
	return luo_test(argc, argv, STATE_SESSION, stage_1, stage_2);
}
