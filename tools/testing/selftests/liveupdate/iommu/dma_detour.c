// SPDX-License-Identifier: GPL-2.0
/*
 * Live updates of a running device that end well, but not at once: the device must
 * not notice, so the host judges as for dma_continuity.
 *
 *	dma_detour -s 1|2 DETOUR
 *
 * DETOUR:
 *	agent	the agent that owns the session is killed before the kernel is
 *		replaced, and another session does it
 *	order	files come back in the reverse order, and some steps are tried
 *		before their time
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <libliveupdate.h>
#include <libvfio.h>

#include "dma_vm.h"
#include "report.h"
#include "session_agent.h"

#define STATE_SESSION	"dma-detour-state"
#define STATE_TOKEN	1
#define SESSION		"dma-detour"

/* What the device gets in between, to show that its table can be changed. */
#define MORE_SIZE	(8UL << 20)

#define expect(want, call) check_that(want, call, #call, __LINE__)

static bool agent;

static void check_that(long want, long got, const char *call, int line)
{
	if (got != want)
		ksft_exit_fail_msg("line %d: %s is %ld, not %ld\n", line, call,
				   got, want);
}

/* Nobody else has the session. It is undone with the last one who has it. */
static void lose_agent(struct dma_vm *machine)
{
	int more = guest_memory_create(MORE_SIZE, GUEST_PAGES_4K), session;
	struct vmlu *vm = &machine->vm;

	guest_memory_stamp(more, MORE_SIZE);
	session_agent_start();
	session = session_agent_create(SESSION);
	must(session, "create session");
	must(vmlu_save(vm, session), "save");
	close(session);
	expect(-EBUSY, vmlu_add_memory(vm, more, MORE_IOVA));
	session_agent_kill();
	expect(0, vmlu_add_memory(vm, more, MORE_IOVA));
	receive(&machine->rx, PHASE_MS, ~0ULL);
}

static void stage_1(int luo_fd)
{
	struct dma_vm machine;

	dma_vm_start(&machine);
	if (agent) {
		/* It can be open once. */
		close(luo_fd);
		lose_agent(&machine);
		luo_fd = luo_open_device();
		if (luo_fd < 0)
			fail_exit(LUO_DEVICE);
	}
	create_state_file(luo_fd, STATE_SESSION, STATE_TOKEN, 2);
	dma_vm_save(&machine, luo_fd, SESSION);
	reached("preserved");
	dma_vm_leave(&machine);
}

static void try_too_early(int session)
{
	int device = luo_session_retrieve_fd(session, VMLU_TOKEN_DEVICE);
	struct vfio_pci_device file = { .fd = device };

	must(device, "retrieve device");
	/* Not bound, and so not attached by us to anything. */
	expect(-EINVAL, dma_device_use_table(&file, 1));
	expect(-EBUSY, luo_session_finish(session));
	close(device);
}

static void stage_2(int luo_fd, int state_session)
{
	struct dma_vm machine;
	int session;

	dma_device_find(bdf);
	reached("userspace");
	dma_device_bind_driver(bdf);
	session = luo_retrieve_session(luo_fd, SESSION);
	must(session, "retrieve session");
	if (!agent)
		try_too_early(session);
	dma_vm_load(&machine, session);
	dma_vm_go_on(&machine, session, state_session);
}

int main(int argc, char *argv[])
{
	int i;

	must(report_open(), "report channel");
	for (i = 1; i < argc; i++)
		agent |= !strcmp(argv[i], "agent");
	return luo_test(argc, argv, STATE_SESSION, stage_1, stage_2);
}
