// SPDX-License-Identifier: GPL-2.0
/*
 * How a VMM adds live update: an example to read, which the host of the test
 * machine judges as well.
 *
 *	vmm_example -s 1|2 [agent]
 *
 * The machine has memory and one device, which writes into it all the while.
 * What a VMM does for the live update is in before() and after(). All else is
 * what it needs for its own work, here to receive frames.
 *
 * Without "agent" the VMM opens its session itself, and replaces the kernel.
 * With it there is an agent which does both for all VMMs of a host: sessions
 * come from it through a Unix socket, before and after, and it keeps them alive
 * while there is no VMM.
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
#include "session_agent.h"

/* The next instance of this VMM has to know it. */
#define SESSION	"vmm-example"

static bool agent;

/* Only one can have it open: the agent, if there is one. */
static int luo_device(void)
{
	int fd = luo_open_device();

	if (fd < 0)
		fail_exit(LUO_DEVICE);
	return fd;
}

static void before(void)
{
	int memory = area_create(), session, device;
	struct igb_rx guest = { .area = area_map(memory) };
	struct vmlu vm;

	/* Build the machine. The memfd is sealed, to keep its size. */
	dma_device_bind_driver(bdf);
	device = dma_device_open_cdev(bdf);
	must(device, "open device");
	must(vmlu_open(&vm), "iommufd");
	must(vmlu_add_memory(&vm, memory, AREA_IOVA), "add memory");
	must(vmlu_add_device(&vm, device), "add device");

	/* Run it. */
	guest.device = dma_device_use(bdf, vm.iommufd, device);
	guest.area->iova = AREA_IOVA;
	area_publish(guest.area);
	igb_rx_start(&guest);
	reached("rx_on");
	if (receive(&guest, WARM_UP_MS, WARM_UP_FRAMES) < WARM_UP_FRAMES)
		ksft_exit_fail_msg("the device receives nothing\n");

	/* Save it, and let it run on. */
	session = agent ? session_agent_create(SESSION) :
			  luo_create_session(luo_device(), SESSION);
	must(session, "create session");
	must(vmlu_save(&vm, session), "save");
	reached("preserved");
	receive(&guest, PHASE_MS, ~0ULL);

	/* Pause the guest. Its device goes on. */
	igb_rx_refill(&guest);
	report_ring("preserved", guest.area);
	reached("freeze");
	report_drain();

	/* The session is there for as long as somebody has it open. */
	if (agent) {
		vmlu_close(&vm);
		close(session);
		must(session_agent_kexec(), "kexec by the agent");
	} else {
		reboot(RB_KEXEC);
	}
	fail_exit("reboot");
}

static void after(void)
{
	struct igb_rx guest;
	struct vmlu vm;
	int session, err;

	reached("userspace");

	/* vfio-pci has to be there first. It leaves the device alone. */
	dma_device_bind_driver(bdf);
	session = agent ? session_agent_retrieve(SESSION) :
			  luo_retrieve_session(luo_device(), SESSION);
	must(session, "retrieve session");

	/* The memory is back, and the device still writes into it. */
	must(vmlu_load(&vm, session), "load");
	guest.area = area_map(vm.memory[0].fd);
	area_check(guest.area);
	report_ring("retrieved", guest.area);
	reached("retrieved");

	/* The device can be used again: the guest could go on from here. */
	err = vmlu_take_over(&vm);
	if (err) {
		/* The session would keep the device running. */
		vmlu_close(&vm);
		vmlu_abandon(session);
	}
	must(err, "take over");
	guest.device = dma_device_use(bdf, vm.iommufd, vm.devices[0].fd);
	reached("bound");
	receive(&guest, PHASE_MS, ~0ULL);

	/* This kernel's page table, and the end of the live update. */
	must(vmlu_replace(&vm), "replace");
	reached("replaced");
	receive(&guest, PHASE_MS, ~0ULL);
	must(vmlu_finish(&vm, session), "finish");
	close(session);
	reached("finished");
	receive(&guest, PHASE_MS, ~0ULL);

	report_ring("done", guest.area);
	reached("done");
	receive(&guest, SETTLE_MS, ~0ULL);
	igb_rx_stop(&guest);
	vmlu_close(&vm);
}

int main(int argc, char *argv[])
{
	int stage = 0, i;

	for (i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "-s") && i + 1 < argc)
			stage = atoi(argv[++i]);
		else if (!strcmp(argv[i], "agent"))
			agent = true;
		else
			ksft_exit_fail_msg("unknown option %s\n", argv[i]);
	}
	must(report_open(), "report channel");
	dma_device_find(bdf);
	if (agent)
		session_agent_start();
	if (stage == 1)
		before();
	else
		after();
	return 0;
}
