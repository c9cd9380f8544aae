// SPDX-License-Identifier: GPL-2.0
/*
 * Two devices over a live update, below one IOMMU.
 *
 *	dma_two -s 1|2 [sessions]
 *
 * Both get the same frames. The host judges the first device as it does for
 * dma_continuity. The second one is judged here, by the ring that it leaves in
 * its memory: no frame may be missing in there.
 *
 * Both are in one machine with one page table and in one session; with
 * "sessions" each has all of that for itself, and the second one is finished
 * before the first one is taken over.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/reboot.h>
#include <unistd.h>

#include <libliveupdate.h>
#include <libvfio.h>
#include <libvmlu.h>

#include "dma_guest.h"
#include "report.h"

#define STATE_SESSION	"dma-two-state"
#define STATE_TOKEN	1
#define NR		2

/* By device, with one session all but the first of these are not used. */
static const char * const names[NR] = { "dma-two-first", "dma-two-second" };
static struct vmlu vms[NR];
static int sessions[NR];

static struct igb_rx rx[NR];
static char bdfs[NR][BDF_SIZE];
static int nr_vms = 1;

/* Where device @i and its memory are */
static struct vmlu *vm_of(int i)
{
	return &vms[nr_vms == 1 ? 0 : i];
}

static int index_of(int i)
{
	return nr_vms == 1 ? i : 0;
}

static void use(int i)
{
	struct vmlu *vm = vm_of(i);

	rx[i].device = dma_device_use(bdfs[i], vm->iommufd,
				      vm->devices[index_of(i)].fd);
}

static void find(void)
{
	int i;

	for (i = 0; i < NR; i++)
		dma_device_find_next(bdfs[i], i);
	memcpy(bdf, bdfs[0], BDF_SIZE);
}

/* The host does not watch the second device, and keeps nothing from reuse. */
static u64 poll_second(void)
{
	u64 count = igb_rx_poll(&rx[1]);

	area_set(&rx[1].area->watched, count);
	return count;
}

/* As receive(), for both */
static u64 receive_both(u64 ms, u64 frames)
{
	u64 count, passed = 0;

	do {
		count = receive(&rx[0], 40, frames);
		poll_second();
		passed += 40;
	} while (passed < ms && count < frames);
	return count;
}

static void build(int i)
{
	u64 iova = AREA_IOVA + i * AREA_SIZE;
	int memfd = area_create();

	rx[i].area = area_map(memfd);
	rx[i].area->iova = iova;
	dma_device_bind_driver(bdfs[i]);
	must(vmlu_add_memory(vm_of(i), memfd, iova), "add memory");
	must(vmlu_add_device(vm_of(i), dma_device_open_cdev(bdfs[i])),
	     "add device");
	use(i);
}

static void stage_1(int luo_fd)
{
	int i;

	find();
	for (i = 0; i < nr_vms; i++)
		must(vmlu_open(&vms[i]), "iommufd");
	for (i = 0; i < NR; i++)
		build(i);
	area_publish_given(rx[1].area);
	/* The host sends as soon as the first one is on. */
	igb_rx_start(&rx[1]);
	area_publish(rx[0].area);
	igb_rx_start(&rx[0]);
	reached("rx_on");
	if (receive_both(WARM_UP_MS, WARM_UP_FRAMES) < WARM_UP_FRAMES)
		ksft_exit_fail_msg("fewer than %d frames in %d s\n",
				   WARM_UP_FRAMES, WARM_UP_MS / 1000);

	create_state_file(luo_fd, STATE_SESSION, STATE_TOKEN, 2);
	for (i = 0; i < nr_vms; i++) {
		sessions[i] = luo_create_session(luo_fd, names[i]);
		must(sessions[i], "create session");
		must(vmlu_save(&vms[i], sessions[i]), "save");
	}
	reached("preserved");

	for (i = 0; i < NR; i++)
		igb_rx_refill(&rx[i]);
	receive_both(PHASE_MS, ~0ULL);
	report_ring("preserved", rx[0].area);
	reached("freeze");
	report_drain();
	reboot(RB_KEXEC);
	fail_exit("reboot");
}

/* Finish a machine whose memory and devices have been used as they came. */
static void take_over(int i)
{
	must(vmlu_take_over(&vms[i]), "take over");
	must(vmlu_replace(&vms[i]), "replace");
	must(vmlu_finish(&vms[i], sessions[i]), "finish");
}

static u64 sequence(int i, u64 number)
{
	const void *frame = (void *)rx[i].area + area_buffer_at(number);

	return ((const struct dma_frame *)frame)->seq;
}

/* Frames that can come in between a look at one ring and at the other */
#define LAG	3

/*
 * A device that is stopped misses nothing: QEMU keeps its frames until it goes
 * on. So it must not be behind the other one at any time.
 */
static void check_lag(const char *when)
{
	struct igb_rx_scan scan[NR];
	u64 count[NR];
	int i;

	for (i = 0; i < NR; i++) {
		igb_rx_scan(rx[i].area, &scan[i]);
		count[i] = scan[i].first_desc + scan[i].contiguous;
	}
	ksft_print_msg("%s: %lu and %lu frames\n", when, count[0], count[1]);
	if (count[1] + LAG < count[0])
		ksft_exit_fail_msg("the second device is behind\n");
}

/*
 * Both were on before the first frame, so what is in a descriptor of one must be
 * in that of the other: a frame that only one has got shifts all behind it.
 */
static void judge_second(u64 first)
{
	u64 second = poll_second(), number, wrong = 0;
	struct igb_rx_scan scan[NR];
	int i;

	for (i = 0; i < NR; i++)
		igb_rx_scan(rx[i].area, &scan[i]);
	number = scan[0].first_desc > scan[1].first_desc ? scan[0].first_desc :
							   scan[1].first_desc;
	for (; number < first; number++)
		wrong += sequence(0, number) != sequence(1, number);
	ksft_print_msg("second device: %lu frames, the first has %lu; %lu differ, %lu holes\n",
		       second, first, wrong, scan[1].holes);
	if (second < first || wrong || scan[1].holes)
		ksft_exit_fail_msg("the second device has missed frames\n");
}

static void stage_2(int luo_fd, int state_session)
{
	int stage, i;
	u64 first;

	find();
	reached("userspace");
	restore_and_read_stage(state_session, STATE_TOKEN, &stage);
	if (stage != 2)
		ksft_exit_fail_msg("the state says stage %d\n", stage);
	for (i = 0; i < NR; i++)
		dma_device_bind_driver(bdfs[i]);
	for (i = 0; i < nr_vms; i++) {
		sessions[i] = luo_retrieve_session(luo_fd, names[i]);
		must(sessions[i], "retrieve session");
		must(vmlu_load(&vms[i], sessions[i]), "load");
	}
	for (i = 0; i < NR; i++)
		rx[i].area = area_map(vm_of(i)->memory[index_of(i)].fd);
	area_check(rx[0].area);
	report_ring("retrieved", rx[0].area);
	reached("retrieved");
	check_lag("retrieved");

	/* What happens to one of them must not be noticed by the other one. */
	if (nr_vms == NR)
		take_over(1);

	must(vmlu_take_over(&vms[0]), "take over");
	for (i = 0; i < NR; i++)
		use(i);
	reached("bound");
	receive_both(PHASE_MS, ~0ULL);
	check_lag("bound");
	must(vmlu_replace(&vms[0]), "replace");
	reached("replaced");
	receive_both(PHASE_MS, ~0ULL);
	must(vmlu_finish(&vms[0], sessions[0]), "finish session");
	must(luo_session_finish(state_session), "finish state session");
	reached("finished");
	first = receive_both(PHASE_MS, ~0ULL);
	check_lag("finished");
	judge_second(first);

	report_ring("done", rx[0].area);
	reached("done");
	receive_both(SETTLE_MS, ~0ULL);
	for (i = 0; i < NR; i++)
		igb_rx_stop(&rx[i]);
}

int main(int argc, char *argv[])
{
	int i;

	must(report_open(), "report channel");
	for (i = 1; i < argc; i++)
		if (!strcmp(argv[i], "sessions"))
			nr_vms = NR;
	return luo_test(argc, argv, STATE_SESSION, stage_1, stage_2);
}
