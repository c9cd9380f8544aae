// SPDX-License-Identifier: GPL-2.0
/*
 * Live update of a virtual machine with assigned devices: see libvmlu.h.
 */
#define _GNU_SOURCE

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <linux/iommufd.h>
#include <linux/vfio.h>

#include <libliveupdate.h>
#include <libvmlu.h>

/* Names in a session. Both kernels' VMMs have to agree on them. */
#define TOKEN_LAYOUT	1ULL
#define TOKEN_IOMMUFD	2ULL
#define TOKEN_MEMORY	0x100ULL

/* The one in the iommufd, where names are apart from those of the session. */
#define TOKEN_TABLE	1ULL

#define LAYOUT_VERSION	1

/* What a VMM has to know and no file tells. */
struct layout {
	__u32 version;
	__u32 nr_memory;
	__u32 nr_devices;
	__u32 reserved;
	__u64 iova[VMLU_MAX_MEMORY];
};

static int do_ioctl(int fd, unsigned long request, void *data)
{
	return ioctl(fd, request, data) ? -errno : 0;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void init(struct vmlu *vm)
{
	memset(vm, 0, sizeof(*vm));
	vm->iommufd = -1;
	vm->layout = -1;
}

static int ioas_alloc(int iommufd, __u32 *ioas)
{
	struct iommu_ioas_alloc alloc = { .size = sizeof(alloc) };
	int err = do_ioctl(iommufd, IOMMU_IOAS_ALLOC, &alloc);

	if (!err)
		*ioas = alloc.out_ioas_id;
	return err;
}

/* Not from an address of our own: such a mapping cannot cross. */
static int map(int iommufd, __u32 ioas, const struct vmlu_memory *memory)
{
	struct iommu_ioas_map_file map = {
		.size = sizeof(map),
		.flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE |
			 IOMMU_IOAS_MAP_WRITEABLE,
		.ioas_id = ioas,
		.fd = memory->fd,
		.length = memory->length,
		.iova = memory->iova,
	};

	return do_ioctl(iommufd, IOMMU_IOAS_MAP_FILE, &map);
}

/*
 * By name. To attach a device to an IOAS would make a page table as well, one
 * that cannot cross.
 */
static int table_alloc(struct vmlu *vm, __u32 ioas, __u32 *table)
{
	struct iommu_hwpt_alloc alloc = {
		.size = sizeof(alloc),
		.flags = vm->table_flags,
		.dev_id = vm->devices[0].id,
		.pt_id = ioas,
	};
	int err = do_ioctl(vm->iommufd, IOMMU_HWPT_ALLOC, &alloc);

	if (!err)
		*table = alloc.out_hwpt_id;
	return err;
}

static int destroy(int iommufd, __u32 id)
{
	struct iommu_destroy destroy = { .size = sizeof(destroy), .id = id };

	return do_ioctl(iommufd, IOMMU_DESTROY, &destroy);
}

static int bind(struct vmlu *vm, struct vmlu_device *device)
{
	struct vfio_device_bind_iommufd bind = {
		.argsz = sizeof(bind),
		.iommufd = vm->iommufd,
	};
	int err = do_ioctl(device->fd, VFIO_DEVICE_BIND_IOMMUFD, &bind);

	if (!err)
		device->id = bind.out_devid;
	return err;
}

static int attach(struct vmlu_device *device, __u32 table)
{
	struct vfio_device_attach_iommufd_pt attach = {
		.argsz = sizeof(attach),
		.pt_id = table,
	};

	return do_ioctl(device->fd, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach);
}

static int measure(struct vmlu_memory *memory)
{
	struct stat file;

	if (fstat(memory->fd, &file))
		return -errno;
	memory->length = file.st_size;
	return 0;
}

int vmlu_open(struct vmlu *vm)
{
	int err;

	init(vm);
	vm->iommufd = open("/dev/iommu", O_RDWR | O_CLOEXEC);
	if (vm->iommufd < 0)
		return -errno;
	err = ioas_alloc(vm->iommufd, &vm->ioas);
	if (err)
		close_fd(&vm->iommufd);
	return err;
}

int vmlu_add_memory(struct vmlu *vm, int memfd, __u64 iova)
{
	struct vmlu_memory *memory = &vm->memory[vm->nr_memory];
	int err;

	if (vm->nr_memory == VMLU_MAX_MEMORY)
		return -ENOSPC;
	memory->fd = memfd;
	memory->iova = iova;
	err = measure(memory);
	if (!err)
		err = map(vm->iommufd, vm->ioas, memory);
	if (!err)
		vm->nr_memory++;
	return err;
}

int vmlu_add_device(struct vmlu *vm, int cdev)
{
	struct vmlu_device *device = &vm->devices[vm->nr_devices];
	int err;

	if (vm->nr_devices == VMLU_MAX_DEVICES)
		return -ENOSPC;
	device->fd = cdev;
	err = bind(vm, device);
	if (!err && !vm->table)
		err = table_alloc(vm, vm->ioas, &vm->table);
	if (!err)
		err = attach(device, vm->table);
	if (!err)
		vm->nr_devices++;
	return err;
}

static int mark(struct vmlu *vm)
{
	struct iommu_hwpt_liveupdate_preserve mark = {
		.size = sizeof(mark),
		.hwpt_id = vm->table,
		.flags = IOMMU_HWPT_LIVEUPDATE_PRESERVE_SET,
		.token = TOKEN_TABLE,
	};
	int err;

	if (vm->marked)
		return 0;
	err = do_ioctl(vm->iommufd, IOMMU_HWPT_LIVEUPDATE_PRESERVE, &mark);
	vm->marked = !err;
	return err;
}

static int write_layout(struct vmlu *vm)
{
	struct layout layout = {
		.version = LAYOUT_VERSION,
		.nr_memory = vm->nr_memory,
		.nr_devices = vm->nr_devices,
	};
	int i;

	for (i = 0; i < vm->nr_memory; i++)
		layout.iova[i] = vm->memory[i].iova;
	close_fd(&vm->layout);
	vm->layout = memfd_create("vmlu-layout", MFD_CLOEXEC);
	if (vm->layout < 0)
		return -errno;
	if (pwrite(vm->layout, &layout, sizeof(layout), 0) != sizeof(layout))
		return -EIO;
	return 0;
}

int vmlu_save(struct vmlu *vm, int session)
{
	int err, i;

	if (!vm->nr_devices)
		return -ENODEV;
	err = mark(vm);
	if (!err)
		err = write_layout(vm);
	if (!err)
		err = luo_session_preserve_fd(session, vm->layout,
					      TOKEN_LAYOUT);
	/* Each of them needs those before it. */
	for (i = 0; !err && i < vm->nr_memory; i++)
		err = luo_session_preserve_fd(session, vm->memory[i].fd,
					      TOKEN_MEMORY + i);
	if (!err)
		err = luo_session_preserve_fd(session, vm->iommufd,
					      TOKEN_IOMMUFD);
	for (i = 0; !err && i < vm->nr_devices; i++)
		err = luo_session_preserve_fd(session, vm->devices[i].fd,
					      VMLU_TOKEN_DEVICE + i);
	return err;
}

static int retrieve(int session, __u64 token, int *fd)
{
	int got = luo_session_retrieve_fd(session, token);

	if (got < 0)
		return got;
	*fd = got;
	return 0;
}

static int read_layout(struct vmlu *vm, int session, struct layout *layout)
{
	int err = retrieve(session, TOKEN_LAYOUT, &vm->layout);

	if (err)
		return err;
	if (pread(vm->layout, layout, sizeof(*layout), 0) != sizeof(*layout) ||
	    layout->version != LAYOUT_VERSION ||
	    layout->nr_memory > VMLU_MAX_MEMORY || !layout->nr_devices ||
	    layout->nr_devices > VMLU_MAX_DEVICES)
		return -EINVAL;
	return 0;
}

int vmlu_load(struct vmlu *vm, int session)
{
	struct layout layout;
	int err;

	init(vm);
	err = read_layout(vm, session, &layout);
	while (!err && vm->nr_memory < (int)layout.nr_memory) {
		struct vmlu_memory *memory = &vm->memory[vm->nr_memory];

		err = retrieve(session, TOKEN_MEMORY + vm->nr_memory,
			       &memory->fd);
		if (err)
			break;
		memory->iova = layout.iova[vm->nr_memory++];
		err = measure(memory);
	}
	if (!err)
		err = retrieve(session, TOKEN_IOMMUFD, &vm->iommufd);
	while (!err && vm->nr_devices < (int)layout.nr_devices) {
		err = retrieve(session, VMLU_TOKEN_DEVICE + vm->nr_devices,
			       &vm->devices[vm->nr_devices].fd);
		if (!err)
			vm->nr_devices++;
	}
	if (err)
		vmlu_close(vm);
	return err;
}

int vmlu_take_over(struct vmlu *vm)
{
	/* The kernel is to compare the two tables before it replaces one. */
	struct iommu_hwpt_liveupdate_restore old = {
		.size = sizeof(old),
		.flags = IOMMU_HWPT_LIVEUPDATE_RESTORE_STRICT,
		.token = TOKEN_TABLE,
	};
	int err = 0, i;

	for (i = 0; !err && i < vm->nr_devices; i++)
		err = bind(vm, &vm->devices[i]);
	if (!err)
		err = do_ioctl(vm->iommufd, IOMMU_HWPT_LIVEUPDATE_RESTORE,
			       &old);
	if (err)
		return err;
	vm->old_table = old.out_hwpt_id;
	vm->table_flags = old.out_alloc_flags;
	return 0;
}

/* The same memory at the same place. */
static int build(struct vmlu *vm)
{
	__u32 ioas, table;
	int err, i;

	err = ioas_alloc(vm->iommufd, &ioas);
	if (err)
		return err;
	for (i = 0; !err && i < vm->nr_memory; i++)
		err = map(vm->iommufd, ioas, &vm->memory[i]);
	if (!err)
		err = table_alloc(vm, ioas, &table);
	if (err) {
		destroy(vm->iommufd, ioas);
		return err;
	}
	vm->ioas = ioas;
	vm->table = table;
	return 0;
}

int vmlu_replace(struct vmlu *vm)
{
	int err = 0, i;

	if (!vm->old_table)
		return -EINVAL;
	if (!vm->table)
		err = build(vm);
	for (i = 0; !err && i < vm->nr_devices; i++)
		err = attach(&vm->devices[i], vm->table);
	if (!err)
		err = destroy(vm->iommufd, vm->old_table);
	if (!err)
		vm->old_table = 0;
	return err;
}

int vmlu_finish(struct vmlu *vm, int session)
{
	int err = luo_session_finish(session);

	if (!err)
		close_fd(&vm->layout);
	return err;
}

/*
 * A file that nobody had retrieved is retrieved here, which does no harm: finish
 * stops a device that is not bound. There, and where there is no such file, this
 * does nothing.
 */
static void detach(int session, __u64 token)
{
	struct vfio_device_detach_iommufd_pt detach = {
		.argsz = sizeof(detach),
	};
	int cdev;

	if (retrieve(session, token, &cdev))
		return;
	do_ioctl(cdev, VFIO_DEVICE_DETACH_IOMMUFD_PT, &detach);
	close(cdev);
}

int vmlu_abandon(int session)
{
	int err = luo_session_finish(session), i;

	if (err != -EBUSY)
		return err;
	/*
	 * Nothing else ends the attachment of a device that is bound and has its
	 * old table. One that has the new one loses that as well, and stops with
	 * its file.
	 */
	for (i = 0; i < VMLU_MAX_DEVICES; i++)
		detach(session, VMLU_TOKEN_DEVICE + i);
	return luo_session_finish(session);
}

void vmlu_close(struct vmlu *vm)
{
	/* A device that still has DMA must not lose its memory before. */
	while (vm->nr_devices)
		close_fd(&vm->devices[--vm->nr_devices].fd);
	close_fd(&vm->iommufd);
	while (vm->nr_memory)
		close_fd(&vm->memory[--vm->nr_memory].fd);
	close_fd(&vm->layout);
	init(vm);
}
