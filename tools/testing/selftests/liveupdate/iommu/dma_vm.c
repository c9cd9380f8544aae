// SPDX-License-Identifier: GPL-2.0
/*
 * What all programs have in common that let a machine of libvmlu run while the
 * host watches its device.
 */
#include <stdint.h>
#include <sys/reboot.h>
#include <unistd.h>

#include <libliveupdate.h>
#include <libvfio.h>

#include "dma_vm.h"
#include "report.h"

static void use_device(struct dma_vm *machine)
{
	struct vmlu *vm = &machine->vm;

	machine->rx.device = dma_device_use(bdf, vm->iommufd,
					    vm->devices[0].fd);
}

/* @more: memory beside the area, or -1 */
static void start(struct dma_vm *machine, int memfd, int more)
{
	struct vmlu *vm = &machine->vm;
	struct igb_rx *rx = &machine->rx;

	rx->area = area_map(memfd);
	dma_device_find(bdf);
	dma_device_bind_driver(bdf);
	must(vmlu_open(vm), "iommufd");
	must(vmlu_add_memory(vm, memfd, AREA_IOVA), "add memory");
	if (more >= 0)
		must(vmlu_add_memory(vm, more, MORE_IOVA), "add more memory");
	must(vmlu_add_device(vm, dma_device_open_cdev(bdf)), "add device");
	use_device(machine);
	rx->area->iova = AREA_IOVA;
	area_publish(rx->area);
	start_receiving(rx);
}

void dma_vm_start(struct dma_vm *machine)
{
	start(machine, area_create(), -1);
}

void dma_vm_start_in(struct dma_vm *machine, size_t more,
		     enum guest_pages pages)
{
	int memfd = guest_memory_create(more, pages);

	guest_memory_stamp(memfd, more);
	start(machine, guest_memory_create(AREA_SIZE, pages), memfd);
}

int dma_vm_save(struct dma_vm *machine, int luo_fd, const char *session)
{
	int fd = luo_create_session(luo_fd, session);

	must(fd, "create session");
	must(vmlu_save(&machine->vm, fd), "save");
	return fd;
}

noreturn void dma_vm_leave(struct dma_vm *machine)
{
	struct igb_rx *rx = &machine->rx;

	/* Nobody gives descriptors back from here on: leave a full ring. */
	igb_rx_refill(rx);
	receive(rx, PHASE_MS, ~0ULL);
	report_ring("preserved", rx->area);
	reached("freeze");
	report_drain();
	reboot(RB_KEXEC);
	fail_exit("reboot");
}

void dma_vm_load(struct dma_vm *machine, int session)
{
	struct igb_rx *rx = &machine->rx;
	int i;

	must(vmlu_load(&machine->vm, session), "load");
	rx->area = area_map(machine->vm.memory[0].fd);
	area_check(rx->area);
	if (rx->area->tables_lines)
		area_check_tables(rx->area, "retrieved");
	for (i = 1; i < machine->vm.nr_memory; i++)
		guest_memory_check(machine->vm.memory[i].fd,
				   machine->vm.memory[i].length);
	report_ring("retrieved", rx->area);
	reached("retrieved");
}

void dma_vm_take_over(struct dma_vm *machine)
{
	must(vmlu_take_over(&machine->vm), "take over");
	use_device(machine);
	if (machine->rx.area->tables_lines)
		area_check_tables(machine->rx.area, "bound");
	reached("bound");
}

void dma_vm_end(struct dma_vm *machine)
{
	struct igb_rx *rx = &machine->rx;

	report_ring("done", rx->area);
	reached("done");
	receive(rx, SETTLE_MS, ~0ULL);
	igb_rx_stop(rx);
}

void dma_vm_go_on(struct dma_vm *machine, int session, int state_session)
{
	struct igb_rx *rx = &machine->rx;

	usleep(PHASE_MS * 1000);
	dma_vm_take_over(machine);
	receive(rx, PHASE_MS, ~0ULL);
	must(vmlu_replace(&machine->vm), "replace");
	reached("replaced");
	receive(rx, PHASE_MS, ~0ULL);
	must(vmlu_finish(&machine->vm, session), "finish session");
	must(luo_session_finish(state_session), "finish state session");
	reached("finished");
	receive(rx, PHASE_MS, ~0ULL);
	dma_vm_end(machine);
}
