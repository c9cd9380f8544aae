/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Live update of a virtual machine with assigned devices, from the side of its
 * VMM: the sequence of Documentation/userspace-api/vfio_liveupdate.rst as calls
 * of functions.
 *
 * The kernel that leaves:		The kernel that comes:
 *
 *	vmlu_open()				vmlu_load()
 *	vmlu_add_memory()			vmlu_take_over()
 *	vmlu_add_device()			vmlu_replace()
 *	vmlu_save()				vmlu_finish()
 *	   reboot()				   from here on as after vmlu_save()
 *
 * The session is made with libliveupdate, or was received from an agent with
 * vmlu_receive_fd(). It is never closed in here.
 *
 * All functions return 0 or -errno, and print nothing. All of this is for one
 * thread at a time.
 */
#ifndef SELFTESTS_LIVEUPDATE_LIB_VMLU_H
#define SELFTESTS_LIVEUPDATE_LIB_VMLU_H

#include <stdbool.h>

#include <linux/types.h>

#define VMLU_MAX_MEMORY		8
#define VMLU_MAX_DEVICES	8

/* The first device's name in a session, the next one's is one higher. */
#define VMLU_TOKEN_DEVICE	0x200ULL

struct vmlu_memory {
	int fd;			/* memfd */
	__u64 iova;		/* where all devices see it */
	__u64 length;		/* all of it */
};

struct vmlu_device {
	int fd;			/* device file of vfio */
	__u32 id;		/* iommufd's name of the device */
};

/*
 * A machine: memory, devices, and one page table which lets all of these reach
 * all of that. To be read by the user. What is in it changes in these functions
 * only.
 */
struct vmlu {
	int iommufd;
	__u32 ioas;
	__u32 table;		/* 0: none yet */
	__u32 table_flags;
	bool marked;		/* the table is to cross */
	__u32 old_table;	/* from the previous kernel; 0: none */
	int layout;		/* memfd with what is not in a file; -1: none */
	int nr_memory;
	int nr_devices;
	struct vmlu_memory memory[VMLU_MAX_MEMORY];
	struct vmlu_device devices[VMLU_MAX_DEVICES];
};

/* Begin a machine, without anything in it. */
int vmlu_open(struct vmlu *vm);

/*
 * Let all devices reach all of @memfd at @iova. The memfd has to be sealed with
 * F_SEAL_SEAL, F_SEAL_SHRINK and F_SEAL_GROW before vmlu_save(). It belongs to
 * @vm after success.
 */
int vmlu_add_memory(struct vmlu *vm, int memfd, __u64 iova);

/*
 * Add a device that was opened through its character device, is bound to
 * nothing yet, and has an IOMMU that can share a page table with those of the
 * devices added before. It belongs to @vm after success.
 */
int vmlu_add_device(struct vmlu *vm, int cdev);

/*
 * Preserve all of the machine in a new session. Devices go on, and so can the
 * user, who can map nothing more and must have disabled all interrupts when the
 * kernel is replaced.
 *
 * After an error something may be in the session. It is undone when the last
 * descriptor of the session is closed, and all can be tried again.
 */
int vmlu_save(struct vmlu *vm, int session);

/*
 * Get a machine back from its session. Devices run, and nothing is done to
 * them. vfio-pci has to be bound to them before, by driver_override. After an
 * error nothing is in @vm, and an attempt is of no more use: the session can be
 * finished, which stops the devices.
 */
int vmlu_load(struct vmlu *vm, int session);

/*
 * Bind the devices. Their registers can be used then, and they go on, still
 * with the page table of the previous kernel. After an error some of them may be
 * bound, and there is no way on but vmlu_close() and vmlu_abandon().
 */
int vmlu_take_over(struct vmlu *vm);

/*
 * Give the devices a page table of this kernel, which maps the same memory, and
 * free the old one. No device misses anything. Can be called again after an
 * error.
 */
int vmlu_replace(struct vmlu *vm);

/* The live update is over. -EBUSY without vmlu_replace(). */
int vmlu_finish(struct vmlu *vm, int session);

/*
 * End a live update that cannot go on, in the new kernel. Each device is stopped,
 * its translation ends, and then its memory is given back. Whoever has the session
 * can do this, however far its VMM has come: after vmlu_close(), or when the VMM
 * has died.
 *
 * -EBUSY if somebody still has a file of a device that is not bound, or if the
 * kernel cannot tell which device to stop. Can be called again after an error.
 */
int vmlu_abandon(int session);

/*
 * Close all files, which stops the devices. But a session has a reference of its
 * own to each file that it preserves, or that came from it, until it is finished:
 * the devices go on till then. See vmlu_abandon().
 */
void vmlu_close(struct vmlu *vm);

/* Hand a descriptor over through a Unix socket, with one byte; 0 or -errno. */
int vmlu_send_fd(int socket, int fd);

/* Get one: a descriptor or -errno. */
int vmlu_receive_fd(int socket);

#endif /* SELFTESTS_LIVEUPDATE_LIB_VMLU_H */
