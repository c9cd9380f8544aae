// SPDX-License-Identifier: GPL-2.0
/*
 * A device runs, and the next kernel cannot read which one it is: then nothing
 * may have DMA, for no translation and no memory is known to be the right one.
 *
 *	pci_bogus -s 1|2 DEVICE PORT...
 */
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/pci_regs.h>

#include <libliveupdate.h>

#include "pci_space.h"

#define MODULE		"/tests/liveupdate-test.ko"
#define TEST_DEVICE	"/dev/pci_liveupdate_test"
#define STATE_SESSION	"pci-bogus-state"
#define SESSION		"pci-bogus"
#define MAX_PLACES	4

static const char *place[MAX_PLACES];
static int nr_places;

static void stage_1(int luo_fd)
{
	int session = luo_create_session(luo_fd, SESSION);
	int fd = open(TEST_DEVICE, O_RDWR);
	char text[64];
	int err, i;

	for (i = 0; i < nr_places; i++) {
		write_config16(place[i], PCI_COMMAND,
			       read_config16(place[i], PCI_COMMAND) |
			       PCI_COMMAND_MASTER);
		if (!is_master(place[i]))
			ksft_exit_fail_msg("%s is no bus master\n", place[i]);
	}
	snprintf(text, sizeof(text), "%s running", place[0]);
	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		fail_exit(TEST_DEVICE);
	create_state_file(luo_fd, STATE_SESSION, 1, 2);
	err = luo_session_preserve_fd(session, fd, 1);
	if (err)
		ksft_exit_fail_msg("preserve: %s\n", strerror(-err));
	reboot(RB_KEXEC);
	fail_exit("reboot");
}

static void stage_2(int luo_fd, int state_session)
{
	int session = luo_retrieve_session(luo_fd, SESSION);

	/* The port driver makes a bus master of the port again, and may. */
	if (is_master(place[0]))
		ksft_exit_fail_msg("%s has DMA\n", place[0]);
	if (luo_session_finish(session) || luo_session_finish(state_session))
		ksft_exit_fail_msg("finish\n");
}

int main(int argc, char *argv[])
{
	int module = open(MODULE, O_RDONLY);
	int i;

	for (i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "-s"))
			i++;
		else if (nr_places < MAX_PLACES)
			place[nr_places++] = argv[i];
	}
	if (!nr_places)
		ksft_exit_fail_msg("no device\n");
	if (syscall(__NR_finit_module, module, "bogus=1", 0))
		fail_exit(MODULE);
	close(module);
	return luo_test(argc, argv, STATE_SESSION, stage_1, stage_2);
}
