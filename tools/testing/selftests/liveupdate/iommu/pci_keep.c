// SPDX-License-Identifier: GPL-2.0
/*
 * What the PCI core does to a device that is handed over to the next kernel.
 *
 *	pci_keep -s 1|2 DEVICE PORT... [homeless=PORT] [next=WORD ...]
 *
 * DEVICE is an endpoint below PORT..., each of them given as its place. It has
 * bus mastering on over the kexec, but nothing to do, so that no translation has
 * to be kept for it. Other devices, which the machine has on its root bus, go the
 * ways that are not happy. The next kernel gets each WORD on its command line.
 * The homeless port is beside the last PORT, and loses its bus numbers.
 *
 * What is tried on a device that is handed over is tried again on one that is
 * not, where it has to succeed. The writes to configuration space are judged by
 * the host.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/pci_regs.h>

#include <libliveupdate.h>

#include "pci_space.h"
#include "report.h"

#define MODULE		"/tests/liveupdate-test.ko"
#define TEST_DEVICE	"/dev/pci_liveupdate_test"

/* Devices of the machine, see tests/pci_keep*.list */
#define QUIESCED	"0000:00:07.0"
#define FORGOTTEN	"0000:00:08.0"
#define DIFFERENT	"0000:00:09.0"
#define STRANGER	"0000:00:0a.0"
#define USB		"0000:00:0b.0"

#define STATE_SESSION	"pci-keep-state"
#define TOKEN_STATE	1
#define SESSION		"pci-keep"
#define OTHER_SESSION	"pci-keep-others"

enum {
	TOKEN_DEVICE = 1,
	TOKEN_CONFIG,
	TOKEN_QUIESCED,
	TOKEN_FORGOTTEN,
	TOKEN_DIFFERENT,
};

#define MAX_PLACES	4
#define CONFIG_SIZE	4096
#define LOOPS		200

static const char *place[MAX_PLACES];
static int nr_places;
static const char *homeless;
static char next[2048];
static int failures;

/* Configuration space of each place before the kexec. */
static uint8_t (*config)[CONFIG_SIZE];

#define check(good, fmt, ...) do {					\
	if (!(good)) {							\
		ksft_print_msg("FAIL %s:%d: " fmt "\n", __func__,	\
			       __LINE__, ##__VA_ARGS__);		\
		failures++;						\
	}								\
} while (0)

static void parse(int argc, char *argv[])
{
	size_t len = 0;
	int i;

	for (i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "-s"))
			i++;
		else if (!strncmp(argv[i], "next=", 5))
			len += snprintf(next + len, sizeof(next) - len, " %s",
					argv[i] + 5);
		else if (!strncmp(argv[i], "homeless=", 9))
			homeless = argv[i] + 9;
		else if (nr_places < MAX_PLACES)
			place[nr_places++] = argv[i];
	}
	if (nr_places < 2 || len >= sizeof(next))
		ksft_exit_fail_msg("no device and port, or too long a command line\n");
}

static void make_master(const char *bdf)
{
	write_attribute(bdf, "power/control", "on");
	/* Makes bus masters of the bridges above. */
	write_attribute(bdf, "enable", "1");
	write_config16(bdf, PCI_COMMAND, read_config16(bdf, PCI_COMMAND) |
		       PCI_COMMAND_MASTER | PCI_COMMAND_MEMORY);
	check(is_master(bdf), "%s does not become bus master", bdf);
}

/* A file that stands for a device. */
static int stand_for(const char *bdf, const char *mode)
{
	int fd = open(TEST_DEVICE, O_RDWR);
	char text[64];

	snprintf(text, sizeof(text), "%s %s", bdf, mode);
	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		fail_exit("%s for %s", TEST_DEVICE, text);
	return fd;
}

/* Whether the kernel says @what of the device of a file */
static bool file_is(int fd, const char *what)
{
	char text[128] = "";

	/* One that did not come back says nothing. */
	if (fd < 0)
		return false;
	if (pread(fd, text, sizeof(text) - 1, 0) < 0)
		fail_exit("read of " TEST_DEVICE);
	return strstr(text, what);
}

static bool device_is(const char *bdf, const char *what)
{
	int fd = stand_for(bdf, "running");
	bool is = file_is(fd, what);

	close(fd);
	return is;
}

static bool all_are(const char *what)
{
	int i;

	for (i = 0; i < nr_places; i++)
		if (!device_is(place[i], what))
			return false;
	return true;
}

/* What preserve returns for a device */
static int try_preserve(int luo_fd, const char *bdf)
{
	int session = luo_create_session(luo_fd, "pci-keep-try");
	int fd = stand_for(bdf, "running"), err;

	if (session < 0)
		ksft_exit_fail_msg("create session: %s\n", strerror(-session));
	err = luo_session_preserve_fd(session, fd, 1);
	close(session);
	close(fd);
	return err;
}

static void refusals(int luo_fd)
{
	uint8_t space[256];
	size_t pm;
	int err;

	err = try_preserve(luo_fd, USB);
	check(err == -EOPNOTSUPP, "USB host controller: %d", err);
	err = try_preserve(luo_fd, place[1]);
	check(err == -EOPNOTSUPP, "bridge: %d", err);

	read_config(STRANGER, space, 0, sizeof(space));
	pm = capability(space, PCI_CAP_ID_PM);
	write_config16(STRANGER, pm + PCI_PM_CTRL, 3);
	err = try_preserve(luo_fd, STRANGER);
	check(err == -EBUSY, "device in D3: %d", err);
	write_config16(STRANGER, pm + PCI_PM_CTRL, 0);
	usleep(20000);
	err = try_preserve(luo_fd, STRANGER);
	check(!err, "device in D0: %d", err);
}

static void preserve_loop(int luo_fd)
{
	int session, fd, again, err, i;

	check(all_are("outgoing=0"), "outgoing before anything was preserved");
	for (i = 0; i < LOOPS; i++) {
		session = luo_create_session(luo_fd, "pci-keep-loop");
		fd = stand_for(place[0], "running");
		err = luo_session_preserve_fd(session, fd, 1);
		check(!err, "preserve %d: %d", i, err);
		check(all_are("outgoing=1"), "not all places are outgoing");
		again = stand_for(place[0], "running");
		err = luo_session_preserve_fd(session, again, 2);
		check(err == -EBUSY, "preserved twice: %d", err);
		err = write_attribute(place[0], "reset", "1");
		check(err == -EBUSY, "reset of an outgoing device: %d", err);
		close(again);
		close(session);
		close(fd);
		check(all_are("outgoing=0"), "outgoing when all is undone");
		if (failures)
			return;
	}
	err = write_attribute(place[0], "reset", "1");
	check(!err, "reset of a device that is not handed over: %d", err);
}

/* Freeze fails in one file: the devices of the others are as before. */
static void failing_freeze(int luo_fd)
{
	int session = luo_create_session(luo_fd, "pci-keep-fail");
	int good = stand_for(place[0], "running");
	int bad = stand_for(QUIESCED, "fail");
	int err;

	err = luo_session_preserve_fd(session, good, 1);
	if (!err)
		err = luo_session_preserve_fd(session, bad, 2);
	check(!err, "preserve: %d", err);
	err = reboot(RB_KEXEC);
	check(err && errno == EIO, "kexec with a file that fails: %d", errno);
	check(is_master(place[0]), "bus mastering is off after unfreeze");
	check(all_are("outgoing=1"), "not preserved any more after unfreeze");
	close(session);
	close(good);
	close(bad);
}

/* What the device cannot be frozen with, in a register of a place */
static void freeze_refuses(int luo_fd, const char *bdf, size_t reg,
			   uint16_t value)
{
	int session = luo_create_session(luo_fd, "pci-keep-refuse");
	int fd = stand_for(place[0], "running");
	uint16_t before = read_config16(bdf, reg);
	int err;

	err = luo_session_preserve_fd(session, fd, 1);
	check(!err, "preserve: %d", err);
	write_config16(bdf, reg, value);
	err = reboot(RB_KEXEC);
	check(err && errno == EINVAL, "kexec with %#x at %#zx of %s: %d", value,
	      reg, bdf, errno);
	write_config16(bdf, reg, before);
	close(session);
	close(fd);
}

/*
 * A device whose way is not open cannot run. Nor is it left with records that the
 * next kernel would refuse: here a bridge has more buses than the one above it.
 */
static void all_freeze_refuses(int luo_fd)
{
	uint16_t command = read_config16(place[0], PCI_COMMAND);

	freeze_refuses(luo_fd, place[0], PCI_COMMAND,
		       command & ~PCI_COMMAND_MASTER);
	if (nr_places > 2)
		freeze_refuses(luo_fd, place[nr_places - 1],
			       PCI_SUBORDINATE_BUS, 0xf0);
}

static void map_config(int memfd)
{
	config = mmap(NULL, MAX_PLACES * CONFIG_SIZE, PROT_READ | PROT_WRITE,
		      MAP_SHARED, memfd, 0);
	if (config == MAP_FAILED)
		fail_exit("mmap");
}

static void hand_over(int session, const char *bdf, const char *mode, int token)
{
	int err = luo_session_preserve_fd(session, stand_for(bdf, mode), token);

	if (err)
		ksft_exit_fail_msg("preserve %s: %s\n", bdf, strerror(-err));
}

static void load_next_kernel(void)
{
	int kernel = open("/kernel", O_RDONLY);
	int initrd = open("/initrd.img", O_RDONLY);
	static char line[4096];
	int fd = open("/proc/cmdline", O_RDONLY);
	ssize_t len = read(fd, line, sizeof(line) - sizeof(next) - 32);

	if (len <= 0)
		fail_exit("command line");
	line[strcspn(line, "\n")] = 0;
	strcat(line, " vmtest.stage=2");
	strcat(line, next);
	if (syscall(__NR_kexec_file_load, kernel, initrd, strlen(line) + 1,
		    line, 0UL))
		fail_exit("kexec_file_load");
	close(fd);
	close(kernel);
	close(initrd);
}

/*
 * Leave a port without bus numbers, and no number to the bridges above that
 * could be given to it. The number behind theirs is free.
 */
static void make_homeless(void)
{
	uint8_t last;
	int i;

	if (!homeless)
		return;
	last = read_config16(place[nr_places - 1], PCI_SECONDARY_BUS);
	write_config16(homeless, PCI_PRIMARY_BUS, 0);
	write_config16(homeless, PCI_SUBORDINATE_BUS, 0);
	for (i = 1; i < nr_places; i++)
		if (read_config16(place[i], PCI_SECONDARY_BUS) >> 8 > last)
			write_config16(place[i], PCI_SUBORDINATE_BUS, last);
}

static void stage_1(int luo_fd)
{
	int session, others, memfd, i;

	refusals(luo_fd);
	preserve_loop(luo_fd);
	make_master(place[0]);
	make_master(QUIESCED);
	make_master(FORGOTTEN);
	make_master(DIFFERENT);
	make_homeless();
	load_next_kernel();
	failing_freeze(luo_fd);
	all_freeze_refuses(luo_fd);
	if (failures)
		ksft_exit_fail_msg("%d failures before the kexec\n", failures);

	create_state_file(luo_fd, STATE_SESSION, TOKEN_STATE, 2);
	session = luo_create_session(luo_fd, SESSION);
	others = luo_create_session(luo_fd, OTHER_SESSION);
	if (session < 0 || others < 0)
		ksft_exit_fail_msg("create session\n");
	memfd = memfd_create("pci-keep", 0);
	if (memfd < 0 || ftruncate(memfd, MAX_PLACES * CONFIG_SIZE))
		fail_exit("memfd");
	map_config(memfd);
	for (i = 0; i < nr_places; i++)
		read_config(place[i], config[i], 0, CONFIG_SIZE);
	luo_session_preserve_fd(session, memfd, TOKEN_CONFIG);
	hand_over(session, place[0], "running", TOKEN_DEVICE);
	hand_over(others, QUIESCED, "quiesced", TOKEN_QUIESCED);
	hand_over(others, FORGOTTEN, "forget", TOKEN_FORGOTTEN);
	hand_over(others, DIFFERENT, "differ", TOKEN_DIFFERENT);

	report("yard: mark freeze");
	report_drain();
	reboot(RB_KEXEC);
	fail_exit("reboot");
}

static void same(int i, const uint8_t *now, size_t at, uint16_t mask,
		 const char *name)
{
	uint16_t before = get16(config[i], at) & mask;
	uint16_t after = get16(now, at) & mask;

	check(before == after, "%s: %s at %#zx was %#x and is %#x", place[i],
	      name, at, before, after);
}

/* Nothing that DMA in flight or its way depends on has changed. */
static void same_config(int i)
{
	uint8_t now[CONFIG_SIZE];
	size_t at, exp, acs;

	read_config(place[i], now, 0, sizeof(now));
	exp = capability(config[i], PCI_CAP_ID_EXP);
	acs = extended_capability(config[i], PCI_EXT_CAP_ID_ACS);
	same(i, now, PCI_VENDOR_ID, 0xffff, "Vendor ID");
	same(i, now, PCI_COMMAND, 0x7, "Command");
	if ((config[i][PCI_HEADER_TYPE] & 0x7f) == PCI_HEADER_TYPE_BRIDGE) {
		same(i, now, PCI_PRIMARY_BUS, 0xffff, "bus numbers");
		same(i, now, PCI_SUBORDINATE_BUS, 0xff, "bus numbers");
		same(i, now, PCI_IO_BASE, 0xffff, "I/O window");
		for (at = PCI_MEMORY_BASE; at < 0x34; at += 2)
			same(i, now, at, 0xffff, "window");
	} else {
		for (at = PCI_BASE_ADDRESS_0; at < 0x28; at += 2)
			same(i, now, at, 0xffff, "BAR");
	}
	same(i, now, exp + PCI_EXP_DEVCTL, 0x7bf0, "Device Control");
	same(i, now, exp + PCI_EXP_DEVCTL2, 0xffff, "Device Control 2");
	same(i, now, exp + PCI_EXP_LNKCTL, 0x58, "Link Control");
	if (acs)
		same(i, now, acs + PCI_ACS_CTRL, 0xffff, "ACS Control");
}

/* Bridges keep mastering for those below, whatever becomes of their driver. */
static void port_without_driver(void)
{
	int fd = open("/sys/bus/pci/drivers/pcieport/unbind", O_WRONLY);
	const char *port = place[nr_places - 1];

	check(write(fd, port, strlen(port)) > 0, "unbind of the port driver");
	close(fd);
	check(!has_driver(port), "the port driver is still bound");
	check(is_master(port), "a port lost bus mastering with its driver");
	write_attribute("..", "drivers_probe", port);
	check(has_driver(port), "the port driver is not bound again");
}

static void unbound(void)
{
	check(!has_driver(place[0]), "a driver was bound at boot");
	check(!has_driver(QUIESCED), "a driver was bound to a quiesced device");
	check(has_driver(STRANGER), "vfio-pci does not bind what it is told");
	write_attribute("..", "drivers_probe", place[0]);
	check(!has_driver(place[0]), "a driver is bound without being chosen");
	write_attribute(place[0], "driver_override", "vfio-pci");
	write_attribute("..", "drivers_probe", place[0]);
	check(has_driver(place[0]), "the chosen driver is not bound");
}

static void awake(void)
{
	int i;

	usleep(500000);
	check(strcmp(read_attribute(STRANGER, "power_state"), "D0"),
	      "vfio-pci lets nothing sleep");
	for (i = 0; i < nr_places; i++)
		check(!strcmp(read_attribute(place[i], "power_state"), "D0"),
		      "%s is in %s", place[i],
		      read_attribute(place[i], "power_state"));
}

static int get_back(int session, int token)
{
	int fd = luo_session_retrieve_fd(session, token);

	check(fd >= 0, "retrieve %d: %d", token, fd);
	return fd;
}

static void stage_2(int luo_fd, int state_session)
{
	int session, others, fd, err, i;

	session = luo_retrieve_session(luo_fd, SESSION);
	others = luo_retrieve_session(luo_fd, OTHER_SESSION);
	if (session < 0 || others < 0)
		ksft_exit_fail_msg("retrieve session\n");
	map_config(get_back(session, TOKEN_CONFIG));
	for (i = 0; i < nr_places; i++)
		same_config(i);
	check(all_are("incoming=1"), "not all places are incoming");
	check(is_master(FORGOTTEN), "bus mastering of a running device is off");
	check(!is_master(QUIESCED), "bus mastering of a quiesced device is on");
	check(!is_master(DIFFERENT), "bus mastering of a changed device is on");
	check(device_is(STRANGER, "incoming=0"), "a stranger is incoming");

	unbound();
	awake();
	port_without_driver();
	if (homeless)
		check(!read_config16(homeless, PCI_SECONDARY_BUS),
		      "a port got a bus number that nobody routes");
	fd = get_back(session, TOKEN_DEVICE);
	check(file_is(fd, "running=1"), "the device is not said to run");
	fd = get_back(others, TOKEN_QUIESCED);
	check(file_is(fd, "running=0"), "the quiesced device is said to run");
	err = luo_session_retrieve_fd(others, TOKEN_DIFFERENT);
	check(err == -EIO, "retrieve of a changed device: %d", err);
	err = write_attribute(place[0], "reset", "1");
	check(err == -EBUSY, "reset of an incoming device: %d", err);
	err = try_preserve(luo_fd, STRANGER);
	check(err == -EBUSY, "preserve while records are incoming: %d", err);
	report("yard: mark done");
	report_drain();
	/* What comes now is allowed, and a busy host reads the mark late. */
	sleep(2);

	err = luo_session_finish(session);
	check(!err, "finish: %d", err);
	check(all_are("incoming=0"), "incoming after the end of the session");
	check(device_is(QUIESCED, "incoming=1"), "finished by another session");
	usleep(500000);
	check(strcmp(read_attribute(place[0], "power_state"), "D0"),
	      "the device is held in D0 after the end of the session");
	check(is_master(FORGOTTEN), "bus mastering is off before the end");
	err = luo_session_finish(others);
	check(!err, "finish of the others: %d", err);
	check(!is_master(FORGOTTEN), "a device that nobody finished goes on");
	check(device_is(QUIESCED, "incoming=0"), "incoming after all");
	err = try_preserve(luo_fd, QUIESCED);
	check(!err, "preserve for the next live update: %d", err);
	luo_session_finish(state_session);
	if (failures)
		ksft_exit_fail_msg("%d failures after the kexec\n", failures);
}

int main(int argc, char *argv[])
{
	int module = open(MODULE, O_RDONLY);
	int err = report_open();

	if (err)
		ksft_exit_fail_msg("report channel: %s\n", strerror(-err));
	parse(argc, argv);
	/* Before anybody opens /dev/liveupdate: then all handlers must be there. */
	if (syscall(__NR_finit_module, module, "", 0))
		fail_exit(MODULE);
	close(module);
	return luo_test(argc, argv, STATE_SESSION, stage_1, stage_2);
}
