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
 *	memory=MIB	so much memory beside that which the device writes to
 *	pages=SIZE	4k, 2m or mixed: all of it in such pages
 *	native		the device's own driver is built in: it has the device before
 *			the test in the first kernel, and nobody has in the second
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/pci_regs.h>

#include <libliveupdate.h>
#include <libvfio.h>

#include "dma_vm.h"
#include "report.h"

#define STATE_SESSION	"dma-continuity-state"
#define STATE_TOKEN	1
#define SESSION		"dma-continuity"

#define NATIVE_DRIVER	"igb"

static struct {
	bool nokexec;
	bool fault;
	bool native;
	unsigned long run_ms;
	unsigned long outage_ms;
	size_t memory_mib;
	enum guest_pages pages;
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
		else if (!strcmp(argv[i], "native"))
			options.native = true;
		else if (!strncmp(argv[i], "run=", 4))
			options.run_ms = strtoul(argv[i] + 4, NULL, 10);
		else if (!strncmp(argv[i], "outage=", 7))
			options.outage_ms = strtoul(argv[i] + 7, NULL, 10);
		else if (!strncmp(argv[i], "memory=", 7))
			options.memory_mib = strtoul(argv[i] + 7, NULL, 10);
		else if (!strncmp(argv[i], "pages=", 6))
			options.pages = guest_pages_named(argv[i] + 6);
		else
			ksft_exit_fail_msg("unknown option %s\n", argv[i]);
	}
}

/* @driver: of the device, before it is bound to another one; or NULL */
static void check_driver(const char *driver)
{
	char *found;

	if (access("/sys/bus/pci/drivers/" NATIVE_DRIVER, F_OK))
		fail_exit("no driver " NATIVE_DRIVER);
	found = sysfs_driver_get(bdf);
	if (strcmp(found ?: "none", driver ?: "none"))
		ksft_exit_fail_msg("the driver of the device is %s, not %s\n",
				   found ?: "none", driver ?: "none");
	free(found);
}

static void run_without_kexec(struct dma_vm *machine)
{
	struct igb_rx *rx = &machine->rx;

	receive(rx, options.run_ms / 2, ~0ULL);
	if (options.fault)
		igb_rx_redirect(rx, igb_rx_poll(rx) + 20, NOWHERE_IOVA);
	if (options.outage_ms) {
		vfio_pci_cmd_clear(rx->device, PCI_COMMAND_MASTER);
		usleep(options.outage_ms * 1000);
		vfio_pci_cmd_set(rx->device, PCI_COMMAND_MASTER);
	}
	receive(rx, options.run_ms / 2, ~0ULL);
	dma_vm_end(machine);
}

static void stage_1(int luo_fd)
{
	struct dma_vm machine;

	if (options.native) {
		dma_device_find(bdf);
		check_driver(NATIVE_DRIVER);
	}
	if (options.memory_mib)
		dma_vm_start_in(&machine, options.memory_mib << 20,
				options.pages);
	else
		dma_vm_start(&machine);
	create_state_file(luo_fd, STATE_SESSION, STATE_TOKEN, 2);
	dma_vm_save(&machine, luo_fd, SESSION);
	if (!options.memory_mib)
		area_keep_tables(machine.rx.area);
	reached("preserved");

	if (options.nokexec)
		run_without_kexec(&machine);
	else
		dma_vm_leave(&machine);
}

static void stage_2(int luo_fd, int state_session)
{
	struct dma_vm machine;
	int session, stage;

	dma_device_find(bdf);
	reached("userspace");
	restore_and_read_stage(state_session, STATE_TOKEN, &stage);
	if (stage != 2)
		ksft_exit_fail_msg("the state says stage %d\n", stage);
	if (options.native)
		check_driver(NULL);
	dma_device_bind_driver(bdf);
	session = luo_retrieve_session(luo_fd, SESSION);
	must(session, "retrieve session");
	dma_vm_load(&machine, session);
	dma_vm_go_on(&machine, session, state_session);
}

int main(int argc, char *argv[])
{
	int err = report_open();

	if (err)
		ksft_exit_fail_msg("report channel: %s\n", strerror(-err));
	parse_options(argc, argv);
	return luo_test(argc, argv, STATE_SESSION, stage_1, stage_2);
}
