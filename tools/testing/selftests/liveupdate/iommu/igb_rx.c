// SPDX-License-Identifier: GPL-2.0
/*
 * Receive-only driver for an Intel 82576 behind libvfio.
 *
 * Register values follow the 82576 datasheet, sections 4.5.9 (receive
 * initialisation), 8.10 (receive registers) and 8.2.4 (MDIC).
 */
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <linux/build_bug.h>
#include <linux/compiler.h>
#include <linux/io.h>
#include <linux/mii.h>
#include <linux/pci_regs.h>

#include <libvfio.h>

#include "../../vfio/lib/drivers/igb/e1000_regs.h"
#include "../../vfio/lib/drivers/igb/e1000_defines.h"
#include "../../vfio/lib/drivers/igb/e1000_82575.h"

#include "igb_rx.h"

#define LINK_TIMEOUT_MS	3000

static_assert(sizeof(union e1000_adv_rx_desc) == DESC_SIZE);
static_assert(offsetof(union e1000_adv_rx_desc, wb.upper.status_error) ==
	      DESC_STATUS_AT);
static_assert(offsetof(union e1000_adv_rx_desc, wb.upper.length) ==
	      DESC_LENGTH_AT);
static_assert(DESC_DONE == E1000_RXD_STAT_DD);

static u32 rx_read(struct igb_rx *rx, u32 reg)
{
	return readl(rx->device->bars[0].vaddr + reg);
}

static void rx_write(struct igb_rx *rx, u32 reg, u32 value)
{
	writel(value, rx->device->bars[0].vaddr + reg);
}

static union e1000_adv_rx_desc *rx_desc(const struct dma_area *area,
					u64 number)
{
	return (void *)area + area_desc_at(number);
}

static struct dma_frame *rx_frame(const struct dma_area *area, u64 number)
{
	return (void *)area + area_buffer_at(number);
}

static bool rx_done(const struct dma_area *area, u64 number)
{
	union e1000_adv_rx_desc *desc = rx_desc(area, number);

	/* The frame is written before its descriptor. */
	return __atomic_load_n(&desc->wb.upper.status_error,
			       __ATOMIC_ACQUIRE) & DESC_DONE;
}

static bool rx_good(const struct dma_area *area, u64 number)
{
	return rx_desc(area, number)->wb.upper.length ==
		       sizeof(struct dma_frame) &&
	       frame_valid(rx_frame(area, number));
}

/*
 * Nothing of an old frame may stay: a descriptor that is done without data
 * would look as if its frame had come.
 */
static void rx_give(struct igb_rx *rx, u64 number)
{
	union e1000_adv_rx_desc *desc = rx_desc(rx->area, number);

	memset(rx_frame(rx->area, number), 0, sizeof(struct dma_frame));
	desc->read.hdr_addr = 0;
	desc->read.pkt_addr = rx->area->iova + area_buffer_at(number);
}

static void rx_publish(struct igb_rx *rx, u64 given)
{
	area_set(&rx->area->given, given);
	rx_write(rx, E1000_RDT(0), given % AREA_RING);
}

static void rx_reset(struct igb_rx *rx)
{
	u32 ctrl;

	rx_write(rx, E1000_CTRL, rx_read(rx, E1000_CTRL) | E1000_CTRL_RST);
	usleep(3000);
	VFIO_ASSERT_EQ(rx_read(rx, E1000_CTRL) & E1000_CTRL_RST, 0,
		       "the device did not come out of its reset");

	rx_write(rx, E1000_IMC, ~0U);
	rx_write(rx, E1000_EIMC, ~0U);

	ctrl = rx_read(rx, E1000_CTRL_EXT);
	ctrl |= E1000_CTRL_EXT_DRV_LOAD;
	ctrl &= ~E1000_CTRL_EXT_LINK_MODE_MASK;
	rx_write(rx, E1000_CTRL_EXT, ctrl);
}

/*
 * The device receives nothing before negotiation has brought the link up; on
 * QEMU that takes 500 ms and happens only when the PHY is told to negotiate.
 */
static void rx_link_up(struct igb_rx *rx)
{
	int ms;

	rx_write(rx, E1000_MDIC, BMCR_ANENABLE | BMCR_ANRESTART |
		 MII_BMCR << E1000_MDIC_REG_SHIFT |
		 1 << E1000_MDIC_PHY_SHIFT | E1000_MDIC_OP_WRITE);

	for (ms = 0; !(rx_read(rx, E1000_MDIC) & E1000_MDIC_READY); ms++) {
		VFIO_ASSERT_LT(ms, 100, "the PHY does not answer");
		usleep(1000);
	}
	VFIO_ASSERT_EQ(rx_read(rx, E1000_MDIC) & E1000_MDIC_ERROR, 0,
		       "the PHY refuses to negotiate");

	for (ms = 0; !(rx_read(rx, E1000_STATUS) & E1000_STATUS_LU); ms++) {
		VFIO_ASSERT_LT(ms, LINK_TIMEOUT_MS, "the link stays down");
		usleep(1000);
	}
}

void igb_rx_start(struct igb_rx *rx)
{
	u64 ring = rx->area->iova + AREA_RING_AT;
	u64 number;

	vfio_pci_cmd_set(rx->device, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	rx_reset(rx);
	rx_link_up(rx);

	for (number = 0; number < AREA_RING; number++)
		rx_give(rx, number);

	rx_write(rx, E1000_RDBAL(0), (u32)ring);
	rx_write(rx, E1000_RDBAH(0), (u32)(ring >> 32));
	rx_write(rx, E1000_RDLEN(0), AREA_RING * DESC_SIZE);
	rx_write(rx, E1000_RDH(0), 0);
	rx_write(rx, E1000_RDT(0), 0);

	/* Buffer size 0 stands for that of RCTL, whose default is 2048. */
	rx_write(rx, E1000_SRRCTL(0), E1000_SRRCTL_DESCTYPE_ADV_ONEBUF);
	rx_write(rx, E1000_RXDCTL(0), E1000_RXDCTL_QUEUE_ENABLE);
	rx_write(rx, E1000_RCTL, E1000_RCTL_EN | E1000_RCTL_UPE |
		 E1000_RCTL_MPE | E1000_RCTL_BAM | E1000_RCTL_SECRC);
	VFIO_ASSERT_NE(rx_read(rx, E1000_RXDCTL(0)) & E1000_RXDCTL_QUEUE_ENABLE,
		       0, "the receive queue stays off");

	area_set(&rx->area->reaped, 0);
	area_set(&rx->area->watched, 0);
	rx_publish(rx, AREA_RING - 1);
}

void igb_rx_refill(struct igb_rx *rx)
{
	u64 watched = area_get(&rx->area->watched);
	u64 reaped = rx->area->reaped;
	u64 given = rx->area->given;
	u64 end;

	/* The slot behind the last one given must stay empty. */
	end = (reaped < watched ? reaped : watched) + AREA_RING - 1;
	if (given >= end)
		return;
	for (; given < end; given++)
		rx_give(rx, given);
	rx_publish(rx, given);
}

u64 igb_rx_poll(struct igb_rx *rx)
{
	u64 given = rx->area->given;
	u64 reaped = rx->area->reaped;

	while (reaped < given && rx_done(rx->area, reaped))
		reaped++;
	area_set(&rx->area->reaped, reaped);

	if (given - reaped < AREA_RING / 2)
		igb_rx_refill(rx);
	return reaped;
}

void igb_rx_redirect(struct igb_rx *rx, u64 number, u64 iova)
{
	VFIO_ASSERT_LT(number, rx->area->given);
	rx_desc(rx->area, number)->read.pkt_addr = iova;
}

void igb_rx_stop(struct igb_rx *rx)
{
	rx_write(rx, E1000_RCTL, 0);
	rx_write(rx, E1000_RXDCTL(0), 0);
	vfio_pci_cmd_clear(rx->device, PCI_COMMAND_MASTER);
}

void igb_rx_scan(const struct dma_area *area, struct igb_rx_scan *scan)
{
	u64 given = area_get(&area->given);
	u64 end = 0, number, seq;
	bool straight = true;

	memset(scan, 0, sizeof(*scan));
	scan->first_desc = given < AREA_RING ? 0 : given - AREA_RING + 1;
	scan->first_seq = rx_frame(area, scan->first_desc)->seq;

	for (number = scan->first_desc; number < given; number++)
		if (rx_done(area, number))
			end = number + 1;

	for (number = scan->first_desc; number < end; number++) {
		if (!rx_done(area, number) || !rx_good(area, number)) {
			scan->holes++;
			straight = false;
			continue;
		}
		seq = rx_frame(area, number)->seq;
		if (seq - scan->first_seq != number - scan->first_desc) {
			scan->bad++;
			straight = false;
		}
		if (straight)
			scan->contiguous++;
	}
}
