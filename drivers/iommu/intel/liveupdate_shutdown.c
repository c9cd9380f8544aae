// SPDX-License-Identifier: GPL-2.0-only
/*
 * The last thing that the kernel which leaves does with a unit of which it has
 * preserved something. See liveupdate.c.
 *
 * All other CPUs were stopped wherever they were, this one has interrupts off.
 * So nothing is allocated, no lock is taken that one of the others may hold, and
 * none is needed; no wait goes on for ever. What the driver's own functions
 * would do under locks is done here with the registers.
 */

#define pr_fmt(fmt) "DMAR: liveupdate: " fmt

#include <kunit/visibility.h>
#include <linux/delay.h>
#include <linux/kexec.h>
#include <linux/panic.h>
#include <linux/string.h>

#include "../liveupdate/records.h"
#include "iommu.h"
#include "liveupdate.h"

/* Hardware answers within microseconds. */
#define WAIT_US		1000000
#define WAIT_STEP_US	2

/* True if @cond became true in time */
#define wait_for(cond)						\
({								\
	unsigned int __left = WAIT_US / WAIT_STEP_US;		\
	while (!(cond) && --__left)				\
		udelay(WAIT_STEP_US);				\
	__left > 0;						\
})

static u32 status(struct intel_iommu *iommu)
{
	return readl(iommu->reg + DMAR_GSTS_REG);
}

/* Interrupts of the unit itself: nobody is there to take them. */
VISIBLE_IF_KUNIT void vtd_mask_events(struct intel_iommu *iommu)
{
	writel(DMA_FECTL_IM, iommu->reg + DMAR_FECTL_REG);
	if (ecap_prs(iommu->ecap))
		writel(DMA_FECTL_IM, iommu->reg + DMAR_PECTL_REG);
	if (ecap_pms(iommu->ecap))
		writel(DMA_FECTL_IM, iommu->reg + DMAR_PERFINTRCTL_REG);
}

VISIBLE_IF_KUNIT void vtd_disable_protected_regions(struct intel_iommu *iommu)
{
	u32 pmen;

	if (!cap_plmr(iommu->cap) && !cap_phmr(iommu->cap))
		return;

	pmen = readl(iommu->reg + DMAR_PMEN_REG);
	writel(pmen & ~DMA_PMEN_EPM, iommu->reg + DMAR_PMEN_REG);
	if (!wait_for(!(readl(iommu->reg + DMAR_PMEN_REG) & DMA_PMEN_PRS)))
		pr_emerg("%s: protected memory regions stay on\n", iommu->name);
}

static bool queue_is_idle(struct intel_iommu *iommu)
{
	return readl(iommu->reg + DMAR_IQH_REG) ==
	       readl(iommu->reg + DMAR_IQT_REG);
}

static u32 queue_errors(struct intel_iommu *iommu)
{
	return readl(iommu->reg + DMAR_FSTS_REG) &
	       (DMA_FSTS_IQE | DMA_FSTS_ITE | DMA_FSTS_ICE);
}

static bool switch_queue(struct intel_iommu *iommu, bool on)
{
	if (on)
		iommu->gcmd |= DMA_GCMD_QIE;
	else
		iommu->gcmd &= ~DMA_GCMD_QIE;
	writel(iommu->gcmd, iommu->reg + DMAR_GCMD_REG);
	return wait_for(!(status(iommu) & DMA_GSTS_QIES) == !on);
}

/*
 * Errors are sticky, and the CPU that would have cleared them was stopped. After
 * an IQE or ITE hardware fetches nothing until it is cleared, when it would go
 * on with the descriptor that it has refused. So what is left is dropped before.
 */
static bool stop_queue(struct intel_iommu *iommu)
{
	u32 errors = queue_errors(iommu);

	if (errors & (DMA_FSTS_IQE | DMA_FSTS_ITE))
		writel(readl(iommu->reg + DMAR_IQH_REG),
		       iommu->reg + DMAR_IQT_REG);
	writel(errors, iommu->reg + DMAR_FSTS_REG);
	return switch_queue(iommu, false);
}

/* The head begins at 0 whenever the queue is switched on. */
static bool restart_queue(struct intel_iommu *iommu)
{
	if (!stop_queue(iommu))
		return false;
	writel(0, iommu->reg + DMAR_IQT_REG);
	return switch_queue(iommu, true);
}

static void put_descriptor(struct intel_iommu *iommu, u32 *tail,
			   const struct qi_desc *desc)
{
	unsigned int size = 1 << qi_shift(iommu);

	memcpy(iommu->qi->desc + *tail, desc, size);
	*tail = (*tail + size) % (QI_LENGTH * size);
}

/*
 * A CPU that was stopped while it filled the queue does not come back: what it
 * has not told hardware about is overwritten.
 */
static bool submit(struct intel_iommu *iommu, const struct qi_desc *desc)
{
	u32 *done = &iommu->preserved->done;
	struct qi_desc wait = {
		.qw0 = QI_IWD_STATUS_DATA(QI_DONE) | QI_IWD_STATUS_WRITE |
		       QI_IWD_TYPE,
		.qw1 = virt_to_phys(done),
	};
	u32 tail;

	if (!(status(iommu) & DMA_GSTS_QIES) ||
	    !wait_for(queue_is_idle(iommu) || queue_errors(iommu)) ||
	    queue_errors(iommu))
		return false;

	WRITE_ONCE(*done, QI_IN_USE);
	tail = readl(iommu->reg + DMAR_IQT_REG);
	put_descriptor(iommu, &tail, desc);
	put_descriptor(iommu, &tail, &wait);
	writel(tail, iommu->reg + DMAR_IQT_REG);
	return wait_for(READ_ONCE(*done) == QI_DONE || queue_errors(iommu)) &&
	       READ_ONCE(*done) == QI_DONE && wait_for(queue_is_idle(iommu));
}

/* One after the other, as translations are cached from what is above them */
static bool flush_queued(struct intel_iommu *iommu, bool interrupts)
{
	struct qi_desc context = {
		.qw0 = QI_CC_GRAN(DMA_CCMD_GLOBAL_INVL) | QI_CC_TYPE,
	};
	struct qi_desc pasids = {
		.qw0 = QI_PC_GRAN(QI_PC_GLOBAL) | QI_PC_TYPE,
	};
	struct qi_desc entries = { .qw0 = QI_IEC_TYPE };
	struct qi_desc iotlb;

	qi_desc_iotlb(iommu, 0, 0, 0, DMA_TLB_GLOBAL_FLUSH, &iotlb);
	return submit(iommu, &context) &&
	       (!sm_supported(iommu) || submit(iommu, &pasids)) &&
	       submit(iommu, &iotlb) &&
	       (!interrupts || submit(iommu, &entries));
}

/*
 * Registers do the same as long as the queue is off, but not for interrupts.
 */
static bool flush_by_registers(struct intel_iommu *iommu)
{
	unsigned int iotlb = ecap_iotlb_offset(iommu->ecap) + 8;

	/* What was a PASID entry is another kernel's memory from now on. */
	if (sm_supported(iommu))
		return false;

	if (!stop_queue(iommu))
		return false;

	writeq(DMA_CCMD_ICC | DMA_CCMD_GLOBAL_INVL,
	       iommu->reg + DMAR_CCMD_REG);
	if (!wait_for(!(readq(iommu->reg + DMAR_CCMD_REG) & DMA_CCMD_ICC)))
		return false;

	writeq(DMA_TLB_IVT | DMA_TLB_GLOBAL_FLUSH | DMA_TLB_READ_DRAIN |
	       DMA_TLB_WRITE_DRAIN, iommu->reg + iotlb);
	return wait_for(!(readq(iommu->reg + iotlb) & DMA_TLB_IVT));
}

/*
 * Translation cannot go off while a device runs, and stale translations must
 * not stay. If hardware does neither, nobody may use this memory.
 */
static void flush(struct intel_iommu *iommu, bool interrupts)
{
	if (flush_queued(iommu, interrupts))
		return;

	pr_warn("%s: the invalidation queue does not answer (status %#x), restart it\n",
		iommu->name, queue_errors(iommu));
	if (restart_queue(iommu) && flush_queued(iommu, interrupts)) {
		pr_warn("%s: the invalidation queue answers again\n",
			iommu->name);
		return;
	}

	pr_emerg("%s: the invalidation queue is dead, use registers%s\n",
		 iommu->name,
		 interrupts ? ", interrupt entries may stay cached" : "");
	if (!flush_by_registers(iommu))
		panic("DMAR: %s: cannot invalidate, and a device runs\n",
		      iommu->name);
}

static void sweep(struct intel_iommu *iommu, enum vtd_sweep how,
		  unsigned int *swept)
{
	struct vtd_preserved *preserved = iommu->preserved;
	unsigned int rid;

	*swept = vtd_sweep(iommu, iommu->root_entry, &preserved->unit,
			   &preserved->kept, how);
	if (!sm_supported(iommu))
		return;
	for_each_set_bit(rid, preserved->kept.rids, VTD_NR_RIDS) {
		struct context_entry *context =
			vtd_context_entry(iommu->root_entry, &preserved->unit,
					  rid);

		if (context)
			vtd_sweep_pasids(iommu, context, how);
	}
}

/* Vectors of this kernel, and descriptors of its virtual CPUs, mean nothing. */
static bool clear_interrupt_table(struct intel_iommu *iommu)
{
#ifdef CONFIG_IRQ_REMAP
	if (iommu->preserved->unit.irta) {
		unsigned long size = INTR_REMAP_TABLE_ENTRIES *
				     sizeof(struct irte);

		memset(iommu->ir_table->base, 0, size);
		__iommu_flush_cache(iommu, iommu->ir_table->base, size);
		return true;
	}
#endif
	return false;
}

/**
 * intel_liveupdate_shutdown() - Leave a unit to the next kernel
 * @iommu: The unit
 *
 * Translation and interrupt remapping stay on. Entries of preserved devices are
 * all that is left, and hardware knows no other.
 *
 * Context: This is the only CPU that runs, with interrupts off.
 *
 * Return: false if the unit is to be switched off: nothing of it is preserved,
 * or no other kernel follows.
 */
bool intel_liveupdate_shutdown(struct intel_iommu *iommu)
{
	struct vtd_preserved *preserved = iommu->preserved;
	unsigned int swept, left;
	bool interrupts;

	if (!preserved || !kexec_in_progress)
		return false;

	vtd_mask_events(iommu);
	vtd_disable_protected_regions(iommu);

	sweep(iommu, VTD_SWEEP_HIDE, &swept);
	interrupts = clear_interrupt_table(iommu);
	flush(iommu, interrupts);
	sweep(iommu, VTD_SWEEP_WIPE, &left);

	pr_info("%s goes on translating for %u requester ids, %u other entries are gone\n",
		iommu->name,
		bitmap_weight(preserved->kept.rids, VTD_NR_RIDS), swept);
	return true;
}
