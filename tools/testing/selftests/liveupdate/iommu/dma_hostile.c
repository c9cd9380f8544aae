// SPDX-License-Identifier: GPL-2.0
/*
 * A live update of a running device in which everybody tries what they must not.
 *
 *	dma_hostile -s 1|2 [option]
 *
 * The host judges whether the device has noticed anything, as for
 * dma_continuity. Here it is decided whether each attempt is refused, with which
 * error, and that it is possible when its time has come.
 *
 * Options:
 *	leave	do not take the device over in the end: it has to be stopped
 *	drop	the same, after its file was retrieved
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/io.h>
#include <linux/iommufd.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>

#include <libliveupdate.h>
#include <libvfio.h>

#include "dma_vm.h"
#include "report.h"

#define STATE_SESSION	"dma-hostile-state"
#define STATE_TOKEN	1
#define SESSION		"dma-hostile"

/* What libvmlu calls the first device */
#define DEVICE_TOKEN	0x200

/* A file that cannot be frozen, and a device that it can stand for. */
#define TEST_MODULE	"/tests/liveupdate-test.ko"
#define TEST_FILE	"/dev/pci_liveupdate_test"
#define TEST_DEVICE	"0000:00:1f.2 fail"

/* So many that some of them are always in the middle of it */
#define CROWD		16

static bool leave;
static bool drop;

#define expect(want, call) check_that(want, call, #call, __func__, __LINE__)

static void check_that(long want, long got, const char *call, const char *func,
		       int line)
{
	if (got != want)
		ksft_exit_fail_msg("%s:%d: %s is %ld, not %ld\n", func, line,
				   call, got, want);
}

static int kexec_now(void)
{
	return reboot(RB_KEXEC) ? -errno : 0;
}

static int irq(struct vfio_pci_device *device, bool on)
{
	char buffer[sizeof(struct vfio_irq_set) + sizeof(int)] = {};
	struct vfio_irq_set *set = (void *)buffer;

	set->argsz = sizeof(buffer);
	set->index = VFIO_PCI_MSIX_IRQ_INDEX;
	set->flags = VFIO_IRQ_SET_ACTION_TRIGGER | VFIO_IRQ_SET_DATA_NONE;
	if (on) {
		set->flags = VFIO_IRQ_SET_ACTION_TRIGGER |
			     VFIO_IRQ_SET_DATA_EVENTFD;
		set->count = 1;
		*(int *)set->data = eventfd(0, EFD_NONBLOCK);
	}
	return ioctl(device->fd, VFIO_DEVICE_SET_IRQS, set) ? -errno : 0;
}

/* The device can be used in each way that there is. */
static void check_usable(struct vfio_pci_device *device)
{
	struct vfio_device_info info = { .argsz = sizeof(info) };
	void *map;
	u16 command;

	expect(2, pread(device->fd, &command, 2,
			device->config_space.offset + PCI_COMMAND));
	expect(PCI_COMMAND_MASTER, command & PCI_COMMAND_MASTER);
	expect(2, pwrite(device->fd, &command, 2,
			 device->config_space.offset + PCI_COMMAND));
	expect(0, ioctl(device->fd, VFIO_DEVICE_GET_INFO, &info));
	/* RCTL: the receiver is on. */
	expect(2, readl(device->bars[0].vaddr + 0x100) & 2);
	map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, device->fd,
		   device->bars[0].info.offset);
	if (map == MAP_FAILED)
		fail_exit("mmap of BAR 0");
	munmap(map, 4096);
}

static sigjmp_buf no_access;

static void bus_error(int signal)
{
	siglongjmp(no_access, 1);
}

static bool can_read_register(struct vfio_pci_device *device)
{
	if (sigsetjmp(no_access, 1))
		return false;
	readl(device->bars[0].vaddr);
	return true;
}

/* A page of BAR 0 for other devices: a descriptor or -errno. */
static int export_bar(struct vfio_pci_device *device)
{
	struct {
		struct vfio_device_feature feature;
		struct vfio_device_feature_dma_buf get;
		struct vfio_region_dma_range range;
	} arg = {
		.feature = {
			.argsz = sizeof(arg),
			.flags = VFIO_DEVICE_FEATURE_GET |
				 VFIO_DEVICE_FEATURE_DMA_BUF,
		},
		.get = {
			.region_index = VFIO_PCI_BAR0_REGION_INDEX,
			.open_flags = O_RDWR | O_CLOEXEC,
			.nr_ranges = 1,
		},
		.range = { .length = 4096 },
	};
	int fd = ioctl(device->fd, VFIO_DEVICE_FEATURE, &arg);

	return fd < 0 ? -errno : fd;
}

/* Begin to use what is exported: a descriptor to end it with, or -errno. */
static int import_begin(int exported)
{
	struct iommu_ioas_alloc ioas = { .size = sizeof(ioas) };
	struct iommu_ioas_map_file map = {
		.size = sizeof(map),
		.flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE |
			 IOMMU_IOAS_MAP_WRITEABLE,
		.fd = exported,
		.length = 4096,
		.iova = AREA_IOVA,
	};
	int iommufd = open("/dev/iommu", O_RDWR), err;

	if (iommufd < 0 || ioctl(iommufd, IOMMU_IOAS_ALLOC, &ioas))
		fail_exit("/dev/iommu");
	map.ioas_id = ioas.out_ioas_id;
	if (!ioctl(iommufd, IOMMU_IOAS_MAP_FILE, &map))
		return iommufd;
	err = -errno;
	close(iommufd);
	return err;
}

/* Whether others can use what is exported: 0 or -errno. */
static int import(int exported)
{
	int iommufd = import_begin(exported);

	if (iommufd < 0)
		return iommufd;
	close(iommufd);
	return 0;
}

static int exported = -1;

/* Whoever is frozen has no way to the device. */
static void check_frozen(struct vfio_pci_device *device)
{
	struct vfio_device_info info = { .argsz = sizeof(info) };
	off_t command = device->config_space.offset + PCI_COMMAND;
	u16 value = 0;

	expect(-1, pwrite(device->fd, &value, 2, command));
	expect(EIO, errno);
	expect(-1, ioctl(device->fd, VFIO_DEVICE_GET_INFO, &info));
	expect(EIO, errno);
	expect(-EIO, export_bar(device));
	expect(-ENODEV, import(exported));
	expect(-1, ioctl(device->fd, VFIO_DEVICE_RESET));
	expect(EIO, errno);
	expect(-EIO, irq(device, true));
	expect(-EIO, dma_device_use_table(device, 0));
	expect(1, mmap(NULL, 4096, PROT_READ, MAP_SHARED, device->fd,
		       device->bars[0].info.offset) == MAP_FAILED);
	expect(EIO, errno);
	expect(0, can_read_register(device));
}

/* Use the device until it is frozen. */
static void *read_until_frozen(void *data)
{
	struct vfio_pci_device *device = data;
	off_t command = device->config_space.offset + PCI_COMMAND;
	u16 value;

	while (pread(device->fd, &value, 2, command) == 2)
		;
	expect(EIO, errno);
	return NULL;
}

static void *look_at_frozen(void *data)
{
	struct vfio_pci_device *device = data;

	read_until_frozen(device);
	/* Userspace is kept out first. This waits for all the rest. */
	while (can_read_register(device))
		;
	check_frozen(device);
	return NULL;
}

/*
 * A file of another session cannot be frozen, after the device was. That is
 * frozen although somebody reads it at any moment.
 */
static void fail_later(int luo_fd, struct vfio_pci_device *device)
{
	int module = open(TEST_MODULE, O_RDONLY);
	pthread_t looker, crowd[CROWD];
	int file, session, importer, i;

	if (module < 0 || syscall(__NR_finit_module, module, "", 0))
		fail_exit(TEST_MODULE);
	close(module);
	file = open(TEST_FILE, O_RDWR);
	if (file < 0 || write(file, TEST_DEVICE, strlen(TEST_DEVICE)) < 0)
		fail_exit(TEST_DEVICE);
	session = luo_create_session(luo_fd, "dma-hostile-fail");
	expect(0, luo_session_preserve_fd(session, file, 1));

	/* It is not even tried as long as somebody would lose the device. */
	importer = import_begin(exported);
	must(importer, "import of BAR 0");
	expect(-EBUSY, kexec_now());
	check_usable(device);
	expect(0, import(exported));
	close(importer);

	expect(0, pthread_create(&looker, NULL, look_at_frozen, device));
	for (i = 0; i < CROWD; i++)
		expect(0, pthread_create(&crowd[i], NULL, read_until_frozen,
					 device));
	expect(-EIO, kexec_now());
	expect(0, pthread_join(looker, NULL));
	for (i = 0; i < CROWD; i++)
		expect(0, pthread_join(crowd[i], NULL));
	close(session);
	close(file);
}

static void stage_1(int luo_fd)
{
	struct vfio_pci_device *device;
	struct dma_vm machine;

	dma_vm_start(&machine);
	device = machine.rx.device;
	create_state_file(luo_fd, STATE_SESSION, STATE_TOKEN, 2);
	dma_vm_save(&machine, luo_fd, SESSION);
	reached("preserved");

	expect(0, irq(device, true));
	expect(-EBUSY, kexec_now());
	expect(0, irq(device, false));
	check_usable(device);

	signal(SIGBUS, bus_error);
	expect(1, can_read_register(device));
	exported = export_bar(device);
	must(exported, "export of BAR 0");
	expect(0, import(exported));
	fail_later(luo_fd, device);
	expect(0, import(exported));
	close(exported);
	expect(1, can_read_register(device));
	check_usable(device);
	dma_vm_leave(&machine);
}

/* -errno, or 0 if the device can be opened. */
static int open_cdev(void)
{
	int fd = dma_device_open_cdev(bdf);

	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

/* The same for its group, which nobody may keep from the device either. */
static int open_group(void)
{
	char link[64], path[128], group[96] = "";
	int fd;

	snprintf(link, sizeof(link), "/sys/bus/pci/devices/%s/iommu_group",
		 bdf);
	if (readlink(link, group, sizeof(group) - 1) < 0)
		fail_exit("%s", link);
	snprintf(path, sizeof(path), "/dev/vfio/%s", strrchr(group, '/') + 1);
	fd = open(path, O_RDWR);
	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

static int reset_by_root(void)
{
	char path[64];
	int fd, err = 0;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/reset", bdf);
	fd = open(path, O_WRONLY);
	if (fd < 0 || write(fd, "1", 1) < 0)
		err = -errno;
	if (fd >= 0)
		close(fd);
	return err;
}

static int bind_elsewhere(int cdev)
{
	struct vfio_device_bind_iommufd bind = { .argsz = sizeof(bind) };
	int err;

	bind.iommufd = open("/dev/iommu", O_RDWR);
	if (bind.iommufd < 0)
		fail_exit("/dev/iommu");
	err = ioctl(cdev, VFIO_DEVICE_BIND_IOMMUFD, &bind) ? -errno : 0;
	close(bind.iommufd);
	return err;
}

/* An idle device would sleep otherwise, and not write for that reason. */
static void stay_awake(void)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/power/control",
		 bdf);
	fd = open(path, O_WRONLY);
	if (fd < 0 || write(fd, "on", 2) < 0)
		fail_exit("%s", path);
	close(fd);
}

/* Nobody has asked for the device, or who has could not bind it. */
static void give_up(int session)
{
	stay_awake();
	if (drop) {
		int cdev = luo_session_retrieve_fd(session, DEVICE_TOKEN);

		must(cdev, "retrieve device");
		expect(-EPERM, bind_elsewhere(cdev));
		expect(-EBUSY, luo_session_finish(session));
		close(cdev);
	}
	expect(1, dma_device_is_master(bdf));
	expect(0, luo_session_finish(session));
	expect(0, dma_device_is_master(bdf));
	reached("finished");
	expect(0, open_cdev());
	expect(0, open_group());
	usleep(PHASE_MS * 1000);
	expect(0, dma_device_is_master(bdf));
	reached("done");
	usleep(SETTLE_MS * 1000);
}

static void take_over(int session)
{
	struct vfio_pci_device *device;
	struct dma_vm machine;

	dma_vm_load(&machine, session);
	expect(-EBUSY, open_cdev());
	expect(-EBUSY, open_group());
	expect(-EBUSY, luo_session_finish(session));
	expect(-EPERM, bind_elsewhere(machine.vm.devices[0].fd));
	usleep(PHASE_MS * 1000);

	dma_vm_take_over(&machine);
	device = machine.rx.device;
	check_usable(device);
	expect(-EBUSY, open_cdev());
	expect(-EBUSY, reset_by_root());
	expect(-1, ioctl(device->fd, VFIO_DEVICE_RESET));
	expect(EBUSY, errno);
	expect(-EBUSY, luo_session_finish(session));
	receive(&machine.rx, PHASE_MS, ~0ULL);

	must(vmlu_replace(&machine.vm), "replace");
	reached("replaced");
	expect(-EBUSY, open_cdev());
	expect(-EBUSY, reset_by_root());
	receive(&machine.rx, PHASE_MS, ~0ULL);

	expect(0, vmlu_finish(&machine.vm, session));
	reached("finished");
	expect(0, open_cdev());
	receive(&machine.rx, PHASE_MS, ~0ULL);

	dma_vm_end(&machine);
	/* Nothing is left that would keep anybody from it. */
	expect(0, ioctl(device->fd, VFIO_DEVICE_RESET));

	/* It ran when it was taken over, and that is not what it goes back to. */
	munmap(device->bars[0].vaddr, device->bars[0].info.size);
	close(device->fd);
	expect(0, dma_device_is_master(bdf));
	expect(0, open_group());
}

static void stage_2(int luo_fd, int state_session)
{
	int session, stage;

	dma_device_find(bdf);
	reached("userspace");
	restore_and_read_stage(state_session, STATE_TOKEN, &stage);
	if (stage != 2)
		ksft_exit_fail_msg("the state says stage %d\n", stage);

	expect(-EBUSY, reset_by_root());
	dma_device_bind_driver(bdf);
	expect(-EBUSY, open_cdev());
	expect(-EBUSY, open_group());
	session = luo_retrieve_session(luo_fd, SESSION);
	must(session, "retrieve session");
	if (leave)
		give_up(session);
	else
		take_over(session);
	expect(0, luo_session_finish(state_session));
}

int main(int argc, char *argv[])
{
	int err = report_open(), i;

	if (err)
		ksft_exit_fail_msg("report channel: %s\n", strerror(-err));
	for (i = 1; i < argc; i++) {
		drop |= !strcmp(argv[i], "drop");
		leave |= drop || !strcmp(argv[i], "leave");
	}
	return luo_test(argc, argv, STATE_SESSION, stage_1, stage_2);
}
