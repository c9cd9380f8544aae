// SPDX-License-Identifier: GPL-2.0
/*
 * A device that is not attached to a page table crosses a live update quiesced:
 * without DMA, still kept from strangers, and reset when it is bound.
 */
#define _GNU_SOURCE

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/reboot.h>
#include <unistd.h>

#include <linux/pci_regs.h>
#include <linux/vfio.h>

#include <libliveupdate.h>
#include <libvfio.h>

#include "dma_device.h"

#define STATE_SESSION	"vfio-quiesced-state"
#define STATE_TOKEN	1
#define SESSION		"vfio-quiesced"
#define DEVICE_TOKEN	2

static char bdf[BDF_SIZE];
static bool leave;

static u16 command_of(const char *bdf)
{
	char path[64];
	u16 command;
	int fd;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/config", bdf);
	fd = open(path, O_RDONLY);
	if (fd < 0 || pread(fd, &command, 2, PCI_COMMAND) != 2)
		fail_exit("%s", path);
	close(fd);
	return command;
}

static struct vfio_pci_device *bind_new(int cdev)
{
	int iommufd = open("/dev/iommu", O_RDWR);

	if (iommufd < 0)
		fail_exit("/dev/iommu");
	return dma_device_bind(bdf, iommufd, cdev);
}

static int preserve_device(int luo_fd, const char *name,
			   struct vfio_pci_device *device)
{
	int session = luo_create_session(luo_fd, name), err;

	if (session < 0)
		ksft_exit_fail_msg("session: %s\n", strerror(-session));
	err = luo_session_preserve_fd(session, device->fd, DEVICE_TOKEN);
	if (err)
		ksft_exit_fail_msg("preserve: %s\n", strerror(-err));
	return session;
}

static void *unbind_driver(void *unused)
{
	int fd = open("/sys/bus/pci/drivers/vfio-pci/unbind", O_WRONLY);

	if (fd < 0 || write(fd, bdf, strlen(bdf)) < 0)
		fail_exit("unbind");
	close(fd);
	return NULL;
}

/*
 * Who unbinds the driver waits until the preserved file is closed, with a lock
 * that the end of the kernel takes too. There is no live update meanwhile.
 */
static void unbind_under_way(int luo_fd)
{
	struct vfio_pci_device *device = bind_new(dma_device_open_cdev(bdf));
	int session = preserve_device(luo_fd, "vfio-quiesced-unbind", device);
	pthread_t thread;
	char path[64];

	if (pthread_create(&thread, NULL, unbind_driver, NULL))
		ksft_exit_fail_msg("no thread\n");
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/vfio-dev", bdf);
	while (!access(path, F_OK))
		usleep(1000);
	if (!reboot(RB_KEXEC) || errno != EBUSY)
		fail_exit("kexec beside unbind");

	close(session);
	munmap(device->bars[0].vaddr, device->bars[0].info.size);
	close(device->fd);
	pthread_join(thread, NULL);
	close(device->iommu->iommufd);
}

static void stage_1(int luo_fd)
{
	struct vfio_pci_device *device;

	dma_device_find(bdf);
	dma_device_bind_driver(bdf);
	unbind_under_way(luo_fd);
	dma_device_bind_driver(bdf);
	device = bind_new(dma_device_open_cdev(bdf));
	vfio_pci_cmd_set(device, PCI_COMMAND_MASTER);
	if (!(command_of(bdf) & PCI_COMMAND_MASTER))
		ksft_exit_fail_msg("the device is not bus master\n");

	create_state_file(luo_fd, STATE_SESSION, STATE_TOKEN, 2);
	preserve_device(luo_fd, SESSION, device);
	daemonize_and_wait();
}

/* Whoever drives the device by now keeps it: it had nothing to give up. */
static void leave_to_others(int luo_fd, int state_session)
{
	int session, fd;
	u16 command;
	char path[64];

	ksft_print_header();
	ksft_set_plan(2);
	dma_device_find(bdf);
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/config", bdf);
	fd = open(path, O_RDWR);
	command = command_of(bdf) | PCI_COMMAND_MASTER;
	if (fd < 0 || pwrite(fd, &command, 2, PCI_COMMAND) != 2)
		fail_exit("%s", path);
	close(fd);

	session = luo_retrieve_session(luo_fd, SESSION);
	if (session < 0)
		ksft_exit_fail_msg("session: %s\n", strerror(-session));
	ksft_test_result(!luo_session_finish(session), "finish\n");
	ksft_test_result(command_of(bdf) & PCI_COMMAND_MASTER,
			 "the device still has DMA\n");
	luo_session_finish(state_session);
	ksft_finished();
}

static void stage_2(int luo_fd, int state_session)
{
	struct vfio_pci_device *device;
	int session, cdev, fd;

	if (leave)
		leave_to_others(luo_fd, state_session);

	ksft_print_header();
	ksft_set_plan(7);
	dma_device_find(bdf);
	ksft_test_result(!(command_of(bdf) & PCI_COMMAND_MASTER),
			 "the device has no DMA\n");
	dma_device_bind_driver(bdf);
	fd = dma_device_open_cdev(bdf);
	ksft_test_result(fd == -EBUSY, "nobody can open it (%d)\n", fd);

	session = luo_retrieve_session(luo_fd, SESSION);
	if (session < 0)
		ksft_exit_fail_msg("session: %s\n", strerror(-session));
	cdev = luo_session_retrieve_fd(session, DEVICE_TOKEN);
	ksft_test_result(cdev >= 0, "its file is there (%d)\n", cdev);
	fd = dma_device_open_cdev(bdf);
	ksft_test_result(fd == -EBUSY, "nobody else can open it (%d)\n", fd);

	device = bind_new(cdev);
	ksft_test_result(ioctl(cdev, VFIO_DEVICE_RESET) == 0 &&
			 !(vfio_pci_config_readw(device, PCI_COMMAND) &
			   PCI_COMMAND_INTX_DISABLE),
			 "it is as if it had been opened\n");
	ksft_test_result(!luo_session_finish(session), "finish\n");
	fd = dma_device_open_cdev(bdf);
	ksft_test_result(fd >= 0, "now anybody can open it (%d)\n", fd);
	luo_session_finish(state_session);
	ksft_finished();
}

int main(int argc, char *argv[])
{
	int i;

	for (i = 1; i < argc; i++)
		leave |= !strcmp(argv[i], "leave");
	return luo_test(argc, argv, STATE_SESSION, stage_1, stage_2);
}
