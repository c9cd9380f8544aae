/* SPDX-License-Identifier: GPL-2.0 */
#ifndef SELFTESTS_LIVEUPDATE_IOMMU_DMA_GUEST_H
#define SELFTESTS_LIVEUPDATE_IOMMU_DMA_GUEST_H

#include "dma_area.h"
#include "dma_device.h"
#include "igb_rx.h"

/* Frames before anything is done to the device, and how long they may take. */
#define WARM_UP_FRAMES	200
#define WARM_UP_MS	30000

/*
 * The host needs some time to see a mark and to stop sending; frames which are
 * on their way must not meet a device that was switched off.
 */
#define SETTLE_MS	300
#define PHASE_MS	1000

/* The device, if it was found already. */
extern char bdf[BDF_SIZE];

/* A word that a program takes, and what it sets. */
struct guest_flag {
	const char *name;
	bool *set;
};

/* Take a word if it is one of @flags. */
bool guest_flag(const struct guest_flag *flags, size_t nr, const char *word);

/* End the program if @err is one. */
void must(int err, const char *what);

/* Tell what this kernel knows about the device now, then that we got here. */
void reached(const char *name);

/* Tell what is in the ring. */
void report_ring(const char *phase, const struct dma_area *area);

/* A memfd for an area, and the area in it. Failure ends the program. */
int area_create(void);
struct dma_area *area_map(int memfd);

/* For the host, which knows memory by physical addresses only. */
void area_publish(struct dma_area *area);

/* The same of an area that a device may write to, and the host does not watch. */
void area_publish_given(struct dma_area *area);

/* The device's page tables know only the pages that the memfd had before. */
void area_check(struct dma_area *area);

/*
 * What the hardware's tables say about the device, all the way down to its
 * memory: a digest of the kernel's report of them, which is left in the area and
 * has to be the same later.
 */
void area_keep_tables(struct dma_area *area);
void area_check_tables(const struct dma_area *area, const char *when);

/* Start the receiver, and see that it works. */
void start_receiving(struct igb_rx *rx);

/* Take frames for @ms milliseconds, or until @frames have come in all. */
u64 receive(struct igb_rx *rx, u64 ms, u64 frames);

#endif /* SELFTESTS_LIVEUPDATE_IOMMU_DMA_GUEST_H */
