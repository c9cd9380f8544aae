// SPDX-License-Identifier: GPL-2.0
/*
 * Let a device write into a memfd while the kernel below is replaced.
 *
 *	dma_continuity -s 1|2 [nokexec] [option=value ...]
 *
 * Stage 1 is a VMM in small: it takes a network device through vfio and
 * iommufd, gives it a memfd through page tables of its own choice and a ring
 * inside that memfd, lets it receive, preserves memfd, iommufd and device, and
 * reboots into the kernel that is loaded. Stage 2 gets them back, takes the
 * device over as it runs, and gives it new page tables.
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
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/reboot.h>
#include <unistd.h>

#include <linux/pci_regs.h>

#include <libliveupdate.h>
#include <libvfio.h>
#include <libvmlu.h>

#include "dma_guest.h"
#include "report.h"

#define STATE_SESSION	"dma-continuity-state"
#define STATE_TOKEN	1
#define SESSION		"dma-continuity"

static struct {
	bool nokexec;
	bool fault;
	unsigned long run_ms;
	unsigned long outage_ms;
} options = { .run_ms = 4000 };

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
	struct vmlu vm;
	int session;

	dma_device_find(bdf);
	dma_device_bind_driver(bdf);
	must(vmlu_open(&vm), "iommufd");
	must(vmlu_add_memory(&vm, memfd, AREA_IOVA), "add memory");
	must(vmlu_add_device(&vm, dma_device_open_cdev(bdf)), "add device");
	rx.device = dma_device_use(bdf, vm.iommufd, vm.devices[0].fd);
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
	must(session, "create session");
	must(vmlu_save(&vm, session), "save");
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

static void stage_2(int luo_fd, int state_session)
{
	struct igb_rx rx;
	struct vmlu vm;
	int session, stage;

	dma_device_find(bdf);
	reached("userspace");
	restore_and_read_stage(state_session, STATE_TOKEN, &stage);
	if (stage != 2)
		ksft_exit_fail_msg("the state says stage %d\n", stage);
	dma_device_bind_driver(bdf);
	session = luo_retrieve_session(luo_fd, SESSION);
	must(session, "retrieve session");
	must(vmlu_load(&vm, session), "load");

	rx.area = area_map(vm.memory[0].fd);
	area_check(rx.area);
	report_ring("retrieved", rx.area);
	reached("retrieved");
	usleep(PHASE_MS * 1000);

	must(vmlu_take_over(&vm), "take over");
	rx.device = dma_device_use(bdf, vm.iommufd, vm.devices[0].fd);
	reached("bound");
	receive(&rx, PHASE_MS, ~0ULL);

	must(vmlu_replace(&vm), "replace");
	reached("replaced");
	receive(&rx, PHASE_MS, ~0ULL);

	must(vmlu_finish(&vm, session), "finish session");
	must(luo_session_finish(state_session), "finish state session");
	reached("finished");
	receive(&rx, PHASE_MS, ~0ULL);

	report_ring("done", rx.area);
	reached("done");
	receive(&rx, SETTLE_MS, ~0ULL);
	igb_rx_stop(&rx);
}

int main(int argc, char *argv[])
{
	int err = report_open();

	if (err)
		ksft_exit_fail_msg("report channel: %s\n", strerror(-err));
	parse_options(argc, argv);
	return luo_test(argc, argv, STATE_SESSION, stage_1, stage_2);
}
