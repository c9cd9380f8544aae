// SPDX-License-Identifier: GPL-2.0
/*
 * Two functions on one bus: one is handed over, and the other one comes and goes
 * meanwhile, in ways that would reset the bus.
 *
 *	dma_sibling -s 1|2
 *
 * The host judges whether the first one has noticed anything, as for
 * dma_continuity. Each reset of the bus that is refused here is possible before
 * the live update and after it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/vfio.h>

#include <libliveupdate.h>
#include <libvfio.h>

#include "dma_vm.h"
#include "report.h"

#define STATE_SESSION	"dma-sibling-state"
#define STATE_TOKEN	1
#define SESSION		"dma-sibling"

#define expect(want, call) check_that(want, call, #call, __LINE__)

static char sibling[BDF_SIZE];

static void check_that(long want, long got, const char *call, int line)
{
	if (got != want)
		ksft_exit_fail_msg("line %d: %s is %ld, not %ld\n", line, call,
				   got, want);
}

/* What vfio does for a function that cannot be reset alone: it resets the bus. */
static void find(void)
{
	char path[64];
	int fd;

	dma_device_find(bdf);
	memcpy(sibling, bdf, BDF_SIZE);
	sibling[strlen(sibling) - 1] = '0';
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/reset_method",
		 sibling);
	fd = open(path, O_WRONLY);
	if (fd < 0 || write(fd, "\n", 1) != 1)
		fail_exit("%s", path);
	close(fd);
	dma_device_bind_driver(bdf);
	dma_device_bind_driver(sibling);
}

static int new_iommufd(void)
{
	int fd = open("/dev/iommu", O_RDWR);

	if (fd < 0)
		fail_exit("/dev/iommu");
	return fd;
}

static int open_and_bind(const char *bdf, int iommufd)
{
	struct vfio_device_bind_iommufd bind = {
		.argsz = sizeof(bind),
		.iommufd = iommufd,
	};
	int cdev = dma_device_open_cdev(bdf);

	must(cdev, bdf);
	if (ioctl(cdev, VFIO_DEVICE_BIND_IOMMUFD, &bind))
		fail_exit("bind %s", bdf);
	return cdev;
}

/* Of all functions on the bus, which have to be of one iommufd */
static int hot_reset(int cdev)
{
	struct vfio_pci_hot_reset reset = { .argsz = sizeof(reset) };

	return ioctl(cdev, VFIO_DEVICE_PCI_HOT_RESET, &reset) ? -errno : 0;
}

/* A stranger, who has nothing to do with the machine. */
static void come_and_go(void)
{
	int iommufd = new_iommufd();

	close(open_and_bind(sibling, iommufd));
	close(iommufd);
}

static void check_possible(void)
{
	int iommufd = new_iommufd(), first = open_and_bind(bdf, iommufd);
	int second = open_and_bind(sibling, iommufd);

	expect(0, hot_reset(first));
	expect(0, hot_reset(second));
	close(second);
	close(first);
	close(iommufd);
}

static void check_refused(const struct vmlu *vm)
{
	int second = open_and_bind(sibling, vm->iommufd);

	expect(-EBUSY, hot_reset(vm->devices[0].fd));
	expect(-EBUSY, hot_reset(second));
	close(second);
	come_and_go();
}

static void stage_1(int luo_fd)
{
	struct dma_vm machine;

	find();
	check_possible();
	dma_vm_start(&machine);
	create_state_file(luo_fd, STATE_SESSION, STATE_TOKEN, 2);
	dma_vm_save(&machine, luo_fd, SESSION);
	reached("preserved");
	check_refused(&machine.vm);
	dma_vm_leave(&machine);
}

static void stage_2(int luo_fd, int state_session)
{
	struct dma_vm machine;
	struct vmlu *vm = &machine.vm;
	int session;

	find();
	reached("userspace");
	session = luo_retrieve_session(luo_fd, SESSION);
	must(session, "retrieve session");
	/* The first function is not open, so that nobody is in the way. */
	come_and_go();
	usleep(PHASE_MS * 1000);
	dma_vm_load(&machine, session);
	come_and_go();
	usleep(PHASE_MS * 1000);

	dma_vm_take_over(&machine);
	check_refused(vm);
	receive(&machine.rx, PHASE_MS, ~0ULL);
	must(vmlu_replace(vm), "replace");
	reached("replaced");
	check_refused(vm);
	receive(&machine.rx, PHASE_MS, ~0ULL);
	must(vmlu_finish(vm, session), "finish session");
	must(luo_session_finish(state_session), "finish state session");
	reached("finished");
	come_and_go();
	receive(&machine.rx, PHASE_MS, ~0ULL);
	dma_vm_end(&machine);
	/* A mapping would keep the file. */
	munmap(machine.rx.device->bars[0].vaddr,
	       machine.rx.device->bars[0].info.size);
	vmlu_close(vm);
	check_possible();
}

int main(int argc, char *argv[])
{
	must(report_open(), "report channel");
	return luo_test(argc, argv, STATE_SESSION, stage_1, stage_2);
}
