// SPDX-License-Identifier: GPL-2.0
/*
 * The same device over one live update after the other.
 *
 *	dma_again -s 1|2 updates=N
 *
 * The host judges the last of them as it does for dma_continuity, and the frames
 * of all. Page tables, domain ids and records that a live update does not give
 * back would be in the way of the next one, or of the one after that.
 *
 * The IOMMU has to have as many pages in the end as before the first of them, and
 * after each as many as the first kernel when the device ran. Units, devices and
 * drivers are the same in all kernels, nothing but this test uses the DMA of a
 * device, and the tables of the unit cross or are made anew: so all that can differ
 * is what a live update has left, or has given back twice.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/reboot.h>
#include <unistd.h>

#include <libliveupdate.h>
#include <libvfio.h>

#include "dma_vm.h"
#include "kernel_copy.h"
#include "physmem.h"
#include "report.h"

#define STATE_SESSION	"dma-again-state"
#define STATE_TOKEN	1
#define SESSION		"dma-again"

/* Enough to see frames in each state of the device. */
#define ROUND_MS	100

static int updates;

static struct dma_pages count_pages(void)
{
	return (struct dma_pages) {
		.all = physmem_vmstat("nr_iommu_pages"),
		.tables = physmem_vmstat("nr_sec_page_table_pages"),
	};
}

static void check_pages(const struct dma_pages *want, const char *when)
{
	struct dma_pages now = count_pages();

	ksft_print_msg("%s: %lu pages of the IOMMU, %lu of tables; before %lu, %lu\n",
		       when, (unsigned long)now.all, (unsigned long)now.tables,
		       (unsigned long)want->all, (unsigned long)want->tables);
	if (now.all != want->all || now.tables != want->tables)
		ksft_exit_fail_msg("%s: the pages of the IOMMU are not as before\n",
				   when);
}

/* What happens in the kernels between the first and the last one. */
static void replace_kernel(int luo_fd, struct dma_vm *machine,
			   const struct kernel_copy *kernel, int next)
{
	bool last = next == updates;

	create_state_file(luo_fd, STATE_SESSION, STATE_TOKEN, next);
	kernel_copy_save(kernel, dma_vm_save(machine, luo_fd, SESSION));
	if (last) {
		reached("preserved");
		dma_vm_leave(machine);
	}
	igb_rx_refill(&machine->rx);
	receive(&machine->rx, ROUND_MS, ~0ULL);
	reboot(RB_KEXEC);
	fail_exit("reboot");
}

static void stage_1(int luo_fd)
{
	struct kernel_copy kernel;
	struct dma_vm machine;
	struct dma_pages unused;

	kernel_copy_take(&kernel);
	dma_device_find(bdf);
	dma_device_bind_driver(bdf);
	unused = count_pages();
	dma_vm_start(&machine);
	machine.rx.area->unused = unused;
	machine.rx.area->used = count_pages();
	replace_kernel(luo_fd, &machine, &kernel, 1);
}

static void mark(bool last, const char *name)
{
	if (last)
		reached(name);
}

static void stage_2(int luo_fd, int state_session)
{
	struct kernel_copy kernel;
	struct dma_vm machine;
	struct vmlu *vm = &machine.vm;
	struct igb_rx *rx = &machine.rx;
	int session, done;
	char when[48];
	bool last;

	dma_device_find(bdf);
	restore_and_read_stage(state_session, STATE_TOKEN, &done);
	last = done == updates;
	mark(last, "userspace");
	dma_device_bind_driver(bdf);
	session = luo_retrieve_session(luo_fd, SESSION);
	must(session, "retrieve session");
	kernel_copy_find(&kernel, session);
	must(vmlu_load(vm, session), "load");
	rx->area = area_map(vm->memory[0].fd);
	area_check(rx->area);
	if (last)
		report_ring("retrieved", rx->area);
	mark(last, "retrieved");

	must(vmlu_take_over(vm), "take over");
	rx->device = dma_device_use(bdf, vm->iommufd, vm->devices[0].fd);
	mark(last, "bound");
	receive(rx, ROUND_MS, ~0ULL);
	must(vmlu_replace(vm), "replace");
	mark(last, "replaced");
	receive(rx, ROUND_MS, ~0ULL);
	must(vmlu_finish(vm, session), "finish session");
	must(luo_session_finish(state_session), "finish state session");
	close(session);
	close(state_session);
	mark(last, "finished");
	receive(rx, ROUND_MS, ~0ULL);
	snprintf(when, sizeof(when), "live update %d of %d", done, updates);
	check_pages(&rx->area->used, when);

	if (!last) {
		kernel_copy_load(&kernel);
		replace_kernel(luo_fd, &machine, &kernel, done + 1);
	}
	dma_vm_end(&machine);
	/* A mapping would keep the file. */
	munmap(rx->device->bars[0].vaddr, rx->device->bars[0].info.size);
	vmlu_close(vm);
	check_pages(&rx->area->unused, "in the end");
}

int main(int argc, char *argv[])
{
	int i;

	must(report_open(), "report channel");
	for (i = 1; i < argc; i++)
		if (!strncmp(argv[i], "updates=", 8))
			updates = atoi(argv[i] + 8);
	if (updates < 1)
		ksft_exit_fail_msg("no updates=\n");
	return luo_test(argc, argv, STATE_SESSION, stage_1, stage_2);
}
