/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the guest program, the device and the host share: one memory area of
 * the guest that holds a header, a table of its own physical pages, a receive
 * ring and the ring's buffers; and the frames which fill the buffers.
 *
 *	0		struct dma_area
 *	4 KiB		__u64 physical address of each page of the area
 *	64 KiB		ring, AREA_RING descriptors of 16 bytes
 *	1 MiB		buffers of 2 KiB, one a descriptor
 *
 * Two buffers a page make the device use a new page every second frame, so
 * that a translation which is cached cannot hide a page table that is gone.
 *
 * Descriptors are numbered from the moment the receiver is switched on and
 * never wrap: number n is in slot n % AREA_RING.
 */
#ifndef SELFTESTS_LIVEUPDATE_IOMMU_DMA_AREA_H
#define SELFTESTS_LIVEUPDATE_IOMMU_DMA_AREA_H

#include <assert.h>
#include <stdbool.h>
#include <string.h>

#include <linux/types.h>

#define AREA_MAGIC		0x6b65786563646d61ULL
#define AREA_PAGE		4096UL
#define AREA_SIZE		(16UL << 20)
#define AREA_PAGES		(AREA_SIZE / AREA_PAGE)
#define AREA_TABLE_AT		4096UL
#define AREA_TABLE_PAGES	(AREA_PAGES * 8 / AREA_PAGE)
#define AREA_RING		4096UL
#define AREA_RING_AT		(64UL << 10)
#define AREA_BUFFER		2048UL
#define AREA_BUFFERS_AT		(1024UL << 10)

#define DESC_SIZE		16
#define DESC_STATUS_AT		8
#define DESC_LENGTH_AT		12
#define DESC_DONE		1U

/* Memory of the IOMMU */
struct dma_pages {
	__u64 all;
	__u64 tables;
};

struct dma_area {
	__u64 magic;		/* written last: the rest is valid */
	__u64 iova;		/* where the device sees the area */
	__u64 given;		/* descriptors below this are the device's */
	__u64 reaped;		/* the guest has looked at those below this */
	__u64 watched;		/* and the host at those below this */
	__u64 table[AREA_TABLE_PAGES];	/* physical pages of the table */
	__u64 tables_digest;	/* of the page tables when it was preserved */
	__u64 tables_lines;
	struct dma_pages unused; /* in the first kernel, before anybody has the device */
	struct dma_pages used;	 /* and when it receives */
};

/*
 * Guest and host may not reuse a descriptor that the other one has not seen
 * and may not look at one that is half written: each counter is published
 * after the memory it speaks about.
 */
static inline __u64 area_get(const __u64 *counter)
{
	return __atomic_load_n(counter, __ATOMIC_ACQUIRE);
}

static inline void area_set(__u64 *counter, __u64 value)
{
	__atomic_store_n(counter, value, __ATOMIC_RELEASE);
}

static inline unsigned long area_desc_at(__u64 number)
{
	return AREA_RING_AT + number % AREA_RING * DESC_SIZE;
}

static inline unsigned long area_buffer_at(__u64 number)
{
	return AREA_BUFFERS_AT + number % AREA_RING * AREA_BUFFER;
}

#define FRAME_MAGIC		0x6c75646d61667261ULL
#define FRAME_TYPE		0xb588	/* 0x88b5, local experiments, on the wire */

struct dma_frame {
	__u8   to[6];
	__u8   from[6];
	__u16 type;
	__u16 zero;
	__u64 seq;
	__u64 magic;
	__u64 sent_ns;
	__u64 check[3];
};

static_assert(sizeof(struct dma_frame) == 64, "a frame is 64 bytes");
static_assert(AREA_TABLE_AT + AREA_PAGES * 8 <= AREA_RING_AT, "table fits");
static_assert(AREA_RING_AT + AREA_RING * DESC_SIZE <= AREA_BUFFERS_AT,
	      "ring fits");
static_assert(AREA_BUFFERS_AT + AREA_RING * AREA_BUFFER <= AREA_SIZE,
	      "buffers fit");

static inline void frame_fill(struct dma_frame *frame, __u64 seq,
			      __u64 sent_ns)
{
	memset(frame->to, 0xff, sizeof(frame->to));
	memset(frame->from, 0x02, sizeof(frame->from));
	frame->type = FRAME_TYPE;
	frame->zero = 0;
	frame->seq = seq;
	frame->magic = FRAME_MAGIC;
	frame->sent_ns = sent_ns;
	frame->check[0] = ~seq;
	frame->check[1] = ~sent_ns;
	frame->check[2] = seq ^ sent_ns ^ FRAME_MAGIC;
}

/* Each byte is what the sender wrote. */
static inline bool frame_valid(const struct dma_frame *frame)
{
	struct dma_frame want;

	frame_fill(&want, frame->seq, frame->sent_ns);
	return !memcmp(frame, &want, sizeof(want));
}

#endif /* SELFTESTS_LIVEUPDATE_IOMMU_DMA_AREA_H */
