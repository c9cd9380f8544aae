// SPDX-License-Identifier: GPL-2.0
/*
 * Take the network device of the test machine the way a VMM does, and tell the
 * host what this kernel knows about it.
 */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/iommufd.h>
#include <linux/pci_ids.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>

#include <libliveupdate.h>
#include <libvfio.h>

#include "dma_area.h"
#include "dma_device.h"

#define PCI_DEVICE_ID_INTEL_82576	0x10c9
#define PCI_DEVICES	"/sys/bus/pci/devices"
#define TRANSLATION	"/sys/kernel/debug/iommu/intel/dmar_translation_struct"

/* iommufd's names of the device that is attached and of its first table. */
static u32 dev_id;
static u32 first_table;

static ssize_t file_read(const char *path, void *data, size_t size)
{
	int fd = open(path, O_RDONLY);
	ssize_t length;

	if (fd < 0)
		return -1;
	length = read(fd, data, size);
	close(fd);
	return length;
}

static void file_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		fail_exit("%s", path);
	close(fd);
}

void dma_device_find_next(char bdf[BDF_SIZE], int nth)
{
	u16 id[2];
	glob_t devices;
	size_t i;

	bdf[0] = 0;
	if (glob(PCI_DEVICES "/*/config", 0, NULL, &devices))
		fail_exit("no PCI device");
	for (i = 0; i < devices.gl_pathc && !bdf[0]; i++) {
		const char *path = devices.gl_pathv[i];

		if (file_read(path, id, sizeof(id)) == sizeof(id) &&
		    id[0] == PCI_VENDOR_ID_INTEL &&
		    id[1] == PCI_DEVICE_ID_INTEL_82576 && !nth--)
			snprintf(bdf, BDF_SIZE, "%.*s", BDF_SIZE - 1,
				 path + strlen(PCI_DEVICES "/"));
	}
	globfree(&devices);
	if (!bdf[0])
		fail_exit("no such igb in this machine");
}

void dma_device_find(char bdf[BDF_SIZE])
{
	dma_device_find_next(bdf, 0);
}

/*
 * The format of dmar_translation_struct is bus:device.function, root entry,
 * context entry, PASID (-1 in legacy mode) and PASID entry, each of them with
 * its high part first. Requests without a PASID use PASID 0.
 */
bool dma_device_belief(const char *bdf, struct dma_belief *belief)
{
	unsigned long long ctx_lo, ctx_hi, p0, p1, p2;
	FILE *file = fopen(TRANSLATION, "r");
	bool found = false;
	char line[256];
	int pasid;

	if (!file)
		fail_exit("%s", TRANSLATION);
	while (!found && fgets(line, sizeof(line), file)) {
		if (strncmp(line, bdf + strlen("0000:"), strlen("00:00.0")))
			continue;
		found = sscanf(line, "%*s %*[^:]:%*s %llx:%llx %d %llx:%llx:%llx",
			       &ctx_hi, &ctx_lo, &pasid, &p2, &p1, &p0) == 6 &&
			pasid <= 0;
	}
	fclose(file);
	if (!found)
		return false;

	if (pasid < 0) {
		belief->pgd = ctx_lo & ~0xfffULL;
		belief->did = ctx_hi >> 8 & 0xffff;
		belief->stage = DMA_LEGACY;
	} else {
		/* Entry type 1 walks the first stage, whose table is in p2. */
		belief->stage = p0 >> 6 & 7;
		belief->pgd = belief->stage == DMA_FIRST_STAGE ? p2 : p0;
		belief->pgd &= ~0xfffULL;
		belief->did = p1 & 0xffff;
	}
	return true;
}

void dma_device_bind_driver(const char *bdf)
{
	char path[128], *driver;

	snprintf(path, sizeof(path), PCI_DEVICES "/%s/driver_override", bdf);
	file_write(path, "vfio-pci");
	driver = sysfs_driver_get(bdf);
	if (driver && strcmp(driver, "vfio-pci")) {
		snprintf(path, sizeof(path), PCI_DEVICES "/%s/driver/unbind",
			 bdf);
		file_write(path, bdf);
	}
	free(driver);
	file_write("/sys/bus/pci/drivers_probe", bdf);
}

bool dma_device_is_master(const char *bdf)
{
	char path[64];
	u16 command;
	int fd;

	snprintf(path, sizeof(path), PCI_DEVICES "/%s/config", bdf);
	fd = open(path, O_RDONLY);
	if (fd < 0 || pread(fd, &command, 2, PCI_COMMAND) != 2)
		fail_exit("%s", path);
	close(fd);
	return command & PCI_COMMAND_MASTER;
}

static void map_registers(struct vfio_pci_device *device)
{
	struct vfio_region_info *config = &device->config_space;
	struct vfio_pci_bar *bar = &device->bars[0];

	config->argsz = sizeof(*config);
	config->index = VFIO_PCI_CONFIG_REGION_INDEX;
	ioctl_assert(device->fd, VFIO_DEVICE_GET_REGION_INFO, config);

	bar->info.argsz = sizeof(bar->info);
	bar->info.index = VFIO_PCI_BAR0_REGION_INDEX;
	ioctl_assert(device->fd, VFIO_DEVICE_GET_REGION_INFO, &bar->info);
	bar->vaddr = mmap(NULL, bar->info.size, PROT_READ | PROT_WRITE,
			  MAP_SHARED, device->fd, bar->info.offset);
	if (bar->vaddr == MAP_FAILED)
		fail_exit("mmap of BAR 0");
}

u32 dma_device_table(struct vfio_pci_device *device)
{
	struct iommu_hwpt_alloc hwpt = {
		.size = sizeof(hwpt),
		.dev_id = dev_id,
		.pt_id = device->iommu->ioas_id,
	};

	ioctl_assert(device->iommu->iommufd, IOMMU_HWPT_ALLOC, &hwpt);
	return hwpt.out_hwpt_id;
}

int dma_device_use_table(struct vfio_pci_device *device, u32 table)
{
	struct vfio_device_attach_iommufd_pt attach = {
		.argsz = sizeof(attach),
		.pt_id = table,
	};

	return ioctl(device->fd, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach) ?
		-errno : 0;
}

int dma_device_open_cdev(const char *bdf)
{
	char path[96];
	glob_t found;
	int fd;

	snprintf(path, sizeof(path), PCI_DEVICES "/%s/vfio-dev/vfio*", bdf);
	if (glob(path, 0, NULL, &found))
		return -ENOENT;
	snprintf(path, sizeof(path), "/dev/vfio/devices/%s",
		 strrchr(found.gl_pathv[0], '/') + 1);
	globfree(&found);
	fd = open(path, O_RDWR);
	return fd < 0 ? -errno : fd;
}

static void bind(struct vfio_pci_device *device)
{
	struct vfio_device_bind_iommufd bind = {
		.argsz = sizeof(bind),
		.iommufd = device->iommu->iommufd,
	};

	ioctl_assert(device->fd, VFIO_DEVICE_BIND_IOMMUFD, &bind);
	dev_id = bind.out_devid;
}

static void map_memory(struct iommu *iommu, int memfd)
{
	struct iommu_ioas_map_file map = {
		.size = sizeof(map),
		.flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE |
			 IOMMU_IOAS_MAP_WRITEABLE,
		.ioas_id = iommu->ioas_id,
		.fd = memfd,
		.length = AREA_SIZE,
		.iova = AREA_IOVA,
	};

	ioctl_assert(iommu->iommufd, IOMMU_IOAS_MAP_FILE, &map);
}

/*
 * The page table is asked for by name, not left to the kernel to choose when
 * the device is attached to an IOAS: only such a one can be preserved.
 */
struct vfio_pci_device *dma_device_attach(const char *bdf, int memfd)
{
	struct iommu *iommu = iommu_init(MODE_IOMMUFD);
	struct vfio_pci_device *device = vfio_pci_device_alloc(bdf, iommu);

	dma_device_bind_driver(bdf);
	vfio_pci_cdev_open(device, bdf);
	bind(device);
	map_memory(iommu, memfd);
	first_table = dma_device_table(device);
	VFIO_ASSERT_EQ(dma_device_use_table(device, first_table), 0);
	map_registers(device);
	return device;
}

void dma_device_mark(struct vfio_pci_device *device, u64 token)
{
	struct iommu_hwpt_liveupdate_preserve mark = {
		.size = sizeof(mark),
		.hwpt_id = first_table,
		.flags = IOMMU_HWPT_LIVEUPDATE_PRESERVE_SET,
		.token = token,
	};

	ioctl_assert(device->iommu->iommufd, IOMMU_HWPT_LIVEUPDATE_PRESERVE,
		     &mark);
}

static struct vfio_pci_device *device_of(const char *bdf, int iommufd, int cdev)
{
	struct vfio_pci_device *device;
	struct iommu *iommu;

	/* Not iommu_init(), which opens an iommufd of its own. */
	iommu = calloc(1, sizeof(*iommu));
	VFIO_ASSERT_NOT_NULL(iommu);
	INIT_LIST_HEAD(&iommu->dma_regions);
	iommu->iommufd = iommufd;

	device = vfio_pci_device_alloc(bdf, iommu);
	device->fd = cdev;
	return device;
}

struct vfio_pci_device *dma_device_bind(const char *bdf, int iommufd, int cdev)
{
	struct vfio_pci_device *device = device_of(bdf, iommufd, cdev);

	bind(device);
	map_registers(device);
	return device;
}

struct vfio_pci_device *dma_device_use(const char *bdf, int iommufd, int cdev)
{
	struct vfio_pci_device *device = device_of(bdf, iommufd, cdev);

	map_registers(device);
	return device;
}
