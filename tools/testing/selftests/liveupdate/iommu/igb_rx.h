/* SPDX-License-Identifier: GPL-2.0 */
#ifndef SELFTESTS_LIVEUPDATE_IOMMU_IGB_RX_H
#define SELFTESTS_LIVEUPDATE_IOMMU_IGB_RX_H

#include <libvfio.h>

#include "dma_area.h"

/*
 * An igb that does nothing but receive: no interrupt, no transmit queue. Once
 * it is started no register access is needed until the ring is used up.
 */
struct igb_rx {
	struct vfio_pci_device *device;
	struct dma_area *area;
};

/* What is found in a ring by looking at memory alone. */
struct igb_rx_scan {
	u64 first_desc;		/* oldest descriptor that the ring still holds */
	u64 first_seq;		/* and the frame in it */
	u64 contiguous;		/* descriptors from there with the next frame each */
	u64 holes;		/* done without a good frame, or skipped */
	u64 bad;		/* good frame in the wrong descriptor */
};

/*
 * Set up the ring in @rx->area, which the device must reach at area->iova,
 * and switch the receiver on. Registers are those of BAR 0, which must be
 * mapped.
 *
 * Guarantees:
 *  - The link is up.
 *  - The device may use AREA_RING - 1 descriptors.
 */
void igb_rx_start(struct igb_rx *rx);

/*
 * Look at what has come, and refill when less than half of the ring is left.
 * Return the number of frames since igb_rx_start().
 */
u64 igb_rx_poll(struct igb_rx *rx);

/*
 * Give those descriptors back which both igb_rx_poll() and the host have seen.
 */
void igb_rx_refill(struct igb_rx *rx);

/*
 * Let the device write descriptor @number to @iova in place of its buffer.
 */
void igb_rx_redirect(struct igb_rx *rx, u64 number, u64 iova);

/*
 * Guarantees:
 *  - The device writes no more.
 */
void igb_rx_stop(struct igb_rx *rx);

/*
 * Read the ring of @area without touching it; needs no device.
 */
void igb_rx_scan(const struct dma_area *area, struct igb_rx_scan *scan);

#endif /* SELFTESTS_LIVEUPDATE_IOMMU_IGB_RX_H */
