// SPDX-License-Identifier: GPL-2.0
/*
 * Live updates of a running device that do not end as they should.
 *
 *	dma_end -s 1|2 END
 *
 * Who is given up has to be stopped before its memory is given to others: the last
 * thing here is to take all memory that there is, and to write a pattern into it.
 * The host judges: it knows where the device's memory is, sends frames on, and
 * looks whether the pattern stays.
 *
 * END:
 *	leave	the session is finished, and nobody has asked for its files
 *	never	nobody asks for the session
 *	unplug	the device is taken out and found again, before anybody asks
 *	close	the machine is lost with its session when it has the device, and
 *		not replaced its page table
 *	record	the host has damaged the record of the device, and it can still be
 *		told which device to stop
 *	unknown	that cannot be told: the memory stays with the session
 *	unknown-iommufd
 *		nor can whose page tables are over it, because the host has
 *		damaged the record of the iommufd
 *	gone	the host has taken the device away while no kernel ran
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <libliveupdate.h>
#include <libvfio.h>

#include "dma_vm.h"
#include "physmem.h"
#include "report.h"

#define STATE_SESSION	"dma-end-state"
#define STATE_TOKEN	1
#define SESSION		"dma-end"

#define CANARY		0x63616e6172792121ULL

#define expect(want, call) check_that(want, call, #call, __LINE__)

static void check_that(long want, long got, const char *call, int line)
{
	if (got != want)
		ksft_exit_fail_msg("line %d: %s is %ld, not %ld\n", line, call,
				   got, want);
}

static void stage_1(int luo_fd)
{
	struct dma_vm machine;

	dma_vm_start(&machine);
	create_state_file(luo_fd, STATE_SESSION, STATE_TOKEN, 2);
	dma_vm_save(&machine, luo_fd, SESSION);
	reached("preserved");
	dma_vm_leave(&machine);
}

static int get_session(int luo_fd)
{
	int session = luo_retrieve_session(luo_fd, SESSION);

	must(session, "retrieve session");
	return session;
}

static void end_leave(int luo_fd)
{
	expect(0, luo_session_finish(get_session(luo_fd)));
}

static void end_never(int luo_fd)
{
	usleep(PHASE_MS * 1000);
}

/* What is found has not come over. */
static void end_unplug(int luo_fd)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/remove", bdf);
	expect(0, physmem_write(path, "1"));
	usleep(PHASE_MS * 1000);
	expect(0, physmem_write("/sys/bus/pci/rescan", "1"));
	dma_device_bind_driver(bdf);
	expect(0, luo_session_finish(get_session(luo_fd)));
}

/* All that the process has of the machine, as if it had been killed. */
static void lose(struct dma_vm *machine)
{
	struct vfio_pci_bar *bar = &machine->rx.device->bars[0];

	munmap(bar->vaddr, bar->info.size);
	munmap(machine->rx.area, AREA_SIZE);
	vmlu_close(&machine->vm);
}

/* The session still has the files, and who comes back for it can end it. */
static void end_close(int luo_fd)
{
	int session = get_session(luo_fd);
	struct dma_vm machine;

	dma_vm_load(&machine, session);
	dma_vm_take_over(&machine);
	receive(&machine.rx, PHASE_MS, ~0ULL);
	lose(&machine);
	expect(-EBUSY, luo_session_finish(session));
	close(session);
	usleep(PHASE_MS * 1000);

	expect(0, vmlu_abandon(get_session(luo_fd)));
}

static int load_in_vain(int luo_fd, int why)
{
	int session = get_session(luo_fd);
	struct vmlu vm;
	int err;

	err = vmlu_load(&vm, session);
	ksft_print_msg("load: %s\n", strerror(-err));
	if (!err)
		ksft_exit_fail_msg("the device could be retrieved\n");
	if (why)
		expect(why, err);
	/* It does not become right with time. */
	expect(err, luo_session_retrieve_fd(session, VMLU_TOKEN_DEVICE));
	return session;
}

static void end_record(int luo_fd)
{
	expect(0, luo_session_finish(load_in_vain(luo_fd, 0)));
}

static void end_unknown(int luo_fd)
{
	expect(-EBUSY, luo_session_finish(load_in_vain(luo_fd, 0)));
}

/* The device could be had, and nobody says that it is to go on. */
static void end_unknown_iommufd(int luo_fd)
{
	int session = get_session(luo_fd);
	struct vmlu vm;

	expect(-EOPNOTSUPP, vmlu_load(&vm, session));
	expect(-EBUSY, luo_session_finish(session));
}

/* Nothing can write any more, so that the memory can be given back. */
static void end_gone(int luo_fd)
{
	expect(0, luo_session_finish(load_in_vain(luo_fd, -ENODEV)));
}

static const struct end {
	const char *name;
	void (*play)(int luo_fd);
} ends[] = {
	{ "leave", end_leave },
	{ "never", end_never },
	{ "unplug", end_unplug },
	{ "close", end_close },
	{ "record", end_record },
	{ "unknown", end_unknown },
	{ "unknown-iommufd", end_unknown_iommufd },
	{ "gone", end_gone },
};

static const struct end *end;

static void stage_2(int luo_fd, int state_session)
{
	bool there = end->play != end_gone;

	if (there)
		dma_device_find(bdf);
	reached("userspace");
	if (there)
		dma_device_bind_driver(bdf);
	end->play(luo_fd);
	reached("finished");
	physmem_take(CANARY);
	report("end: canary value=%#llx", CANARY);
	usleep(PHASE_MS * 1000);
	reached("done");
	usleep(SETTLE_MS * 1000);
}

int main(int argc, char *argv[])
{
	size_t i;
	int arg;

	must(report_open(), "report channel");
	for (arg = 1; arg < argc; arg++)
		for (i = 0; i < ARRAY_SIZE(ends); i++)
			if (!strcmp(argv[arg], ends[i].name))
				end = &ends[i];
	if (!end)
		ksft_exit_fail_msg("no such end\n");
	return luo_test(argc, argv, STATE_SESSION, stage_1, stage_2);
}
