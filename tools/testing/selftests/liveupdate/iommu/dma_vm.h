/* SPDX-License-Identifier: GPL-2.0 */
#ifndef SELFTESTS_LIVEUPDATE_IOMMU_DMA_VM_H
#define SELFTESTS_LIVEUPDATE_IOMMU_DMA_VM_H

#include <stdnoreturn.h>

#include <libvmlu.h>

#include "dma_guest.h"
#include "guest_memory.h"

/* Where more memory is than the area, which all devices see as well. */
#define MORE_IOVA	(AREA_IOVA + (1UL << 30))

/*
 * A machine of libvmlu with one device, whose memory is an area, and what is the
 * same in the life of each. The host is told how far it has come. A failure ends
 * the program.
 */
struct dma_vm {
	struct vmlu vm;
	struct igb_rx rx;
};

/*
 * Find the device, give it to a new machine, and let it receive. The first frames
 * have come then.
 */
void dma_vm_start(struct dma_vm *machine);

/* The same in memory of some page size, with @more bytes beside the area. */
void dma_vm_start_in(struct dma_vm *machine, size_t more,
		     enum guest_pages pages);

/* Keep the machine in a new session; its descriptor. */
int dma_vm_save(struct dma_vm *machine, int luo_fd, const char *session);

/* Let it receive for a last time, and replace the kernel. */
noreturn void dma_vm_leave(struct dma_vm *machine);

/* Get a machine back, whose device still runs without us. */
void dma_vm_load(struct dma_vm *machine, int session);

/* Use the device again, as it runs. */
void dma_vm_take_over(struct dma_vm *machine);

/*
 * All that comes after dma_vm_load() in a live update that goes well, up to the end
 * of the measurement.
 */
void dma_vm_go_on(struct dma_vm *machine, int session, int state_session);

/* End the measurement, and then the device's DMA. */
void dma_vm_end(struct dma_vm *machine);

#endif /* SELFTESTS_LIVEUPDATE_IOMMU_DMA_VM_H */
