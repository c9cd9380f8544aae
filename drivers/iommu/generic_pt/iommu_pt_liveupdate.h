/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * "Templated C code" for handing IOMMU page tables to the next kernel, and for
 * taking over those of the previous one. Part of iommu_pt.h.
 *
 * What crosses
 *   Every table, leaf or not, and a struct pt_iommu_ser. The memory that the
 *   table maps is not the business of this code, nor is the domain.
 *
 * The life of a table
 *   The outgoing kernel calls pt_iommu_ops.preserve while the table translates.
 *   Tables are walked, never leaf entries. The table must not change until
 *   unpreserve, or for good.
 *
 *   The incoming kernel calls pt_iommu_XXX_restore(). That looks at the record
 *   only: no table is read, nothing is allocated, and the cost does not depend
 *   on how much is mapped. The pages still belong to Kexec HandOver (KHO). The
 *   table translates and answers iova_to_phys(), but can neither be changed nor
 *   be preserved again.
 *
 *   Once hardware does not use it any more, deinit walks the table once, takes
 *   the pages over from KHO and frees them. If that finds anything but what was
 *   recorded, nobody knows which page belongs to whom: nothing is freed.
 */
#ifndef __GENERIC_PT_IOMMU_PT_LIVEUPDATE_H
#define __GENERIC_PT_IOMMU_PT_LIVEUPDATE_H

#ifdef CONFIG_IOMMU_PT_LIVEUPDATE

#include "pt_ser.h"

struct pt_preserve_args {
	/* Tables visited so far, in the order of the walk */
	u64 nr_tables;
	/* Number of tables to unpreserve */
	u64 limit;
};

/*
 * Preserve and unpreserve visit the tables in the same order, each table before
 * those below it. So the first n tables that were preserved are the first n
 * that an unpreserve finds. They go to KHO one by one: a list through live
 * tables would use the field that links them when they are freed.
 */
static int __preserve_tables(struct pt_range *range, void *arg,
			     unsigned int level, struct pt_table_p *table)
{
	struct pt_state pts = pt_init(range, level, table);
	struct pt_preserve_args *args = arg;
	int ret;

	ret = iommu_preserve_pages(table);
	if (ret)
		return ret;
	args->nr_tables++;

	if (!pt_can_have_table(&pts))
		return 0;

	for_each_pt_level_entry(&pts) {
		if (pts.type != PT_ENTRY_TABLE)
			continue;
		ret = pt_descend(&pts, arg, __preserve_tables);
		if (ret)
			return ret;
	}
	return 0;
}

static int __unpreserve_tables(struct pt_range *range, void *arg,
			       unsigned int level, struct pt_table_p *table)
{
	struct pt_state pts = pt_init(range, level, table);
	struct pt_preserve_args *args = arg;
	int ret;

	if (args->nr_tables == args->limit)
		return -ECANCELED;
	iommu_unpreserve_pages(table);
	args->nr_tables++;

	if (!pt_can_have_table(&pts))
		return 0;

	for_each_pt_level_entry(&pts) {
		if (pts.type != PT_ENTRY_TABLE)
			continue;
		ret = pt_descend(&pts, arg, __unpreserve_tables);
		if (ret)
			return ret;
	}
	return 0;
}

static void unpreserve_tables(struct pt_common *common, u64 nr_tables)
{
	struct pt_preserve_args args = { .limit = nr_tables };
	/* A walk that has ended early leaves its range where it ended. */
	struct pt_range range = pt_all_range(common);

	/* -ECANCELED is how it ends if not all tables were preserved. */
	pt_walk_range(&range, __unpreserve_tables, &args);
	WARN(args.nr_tables != nr_tables,
	     "IOMMU page table changed while preserved: %llu of %llu tables\n",
	     args.nr_tables, nr_tables);
}

static int NS(preserve)(struct pt_iommu *iommu_table, struct pt_iommu_ser *ser)
{
	struct pt_common *common = common_from_iommu(iommu_table);
	struct iommu_domain *domain = &iommu_table->domain;
	struct pt_range range = pt_all_range(common);
	struct pt_preserve_args args = {};
	int ret;

	*ser = (struct pt_iommu_ser){
		.top_phys = virt_to_phys(range.top_table),
		.pgsize_bitmap = domain->pgsize_bitmap,
		.aperture_start = domain->geometry.aperture_start,
		.aperture_last = domain->geometry.aperture_end,
		.features = pt_ser_features(common),
		.format = PT_SER_FORMAT,
		.top_level = range.top_level,
		.vasz_lg2 = common->max_vasz_lg2,
		.oasz_lg2 = common->max_oasz_lg2,
	};

	ret = pt_walk_range(&range, __preserve_tables, &args);
	if (ret)
		goto err_unpreserve;

	/* Better no live update than a next kernel that refuses the table. */
	ser->nr_tables = args.nr_tables;
	ret = pt_ser_check(ser);
	if (ret)
		goto err_unpreserve;
	return 0;

err_unpreserve:
	unpreserve_tables(common, args.nr_tables);
	memset(ser, 0, sizeof(*ser));
	return ret;
}

static void NS(unpreserve)(struct pt_iommu *iommu_table,
			   const struct pt_iommu_ser *ser)
{
	unpreserve_tables(common_from_iommu(iommu_table), ser->nr_tables);
}

#define PT_IOMMU_LIVEUPDATE_OPS \
	.preserve = NS(preserve), .unpreserve = NS(unpreserve),

static int NS(restored_map_range)(struct pt_iommu *iommu_table, dma_addr_t iova,
				  phys_addr_t paddr, dma_addr_t len,
				  unsigned int prot, gfp_t gfp, size_t *mapped)
{
	return -EPERM;
}

static size_t NS(restored_unmap_range)(struct pt_iommu *iommu_table,
				       dma_addr_t iova, dma_addr_t len,
				       struct iommu_iotlb_gather *iotlb_gather)
{
	return 0;
}

static int NS(restored_set_dirty)(struct pt_iommu *iommu_table, dma_addr_t iova)
{
	return -EPERM;
}

/* The pages are not this kernel's to hand on. */
static int NS(restored_preserve)(struct pt_iommu *iommu_table,
				 struct pt_iommu_ser *ser)
{
	return -EBUSY;
}

static void NS(restored_unpreserve)(struct pt_iommu *iommu_table,
				    const struct pt_iommu_ser *ser)
{
	WARN_ON(1);
}

struct pt_restore_args {
	struct iommu_pages_list free_list;
	/* Tables restored so far */
	u64 nr_tables;
	/* Tables recorded */
	u64 limit;
};

static int restore_table(struct pt_restore_args *args, phys_addr_t phys,
			 unsigned int lg2sz)
{
	int ret;

	/* A wrong entry must not lead to pages that somebody else preserved. */
	if (args->nr_tables == args->limit)
		return -E2BIG;

	ret = iommu_restore_pages(phys, log2_to_int(lg2sz));
	if (ret)
		return ret;

	args->nr_tables++;
	iommu_pages_list_add(&args->free_list, phys_to_virt(phys));
	return 0;
}

/* A table is read only after KHO has confirmed that it is one. */
static int __restore_tables(struct pt_range *range, void *arg,
			    unsigned int level, struct pt_table_p *table)
{
	struct pt_state pts = pt_init(range, level, table);
	int ret;

	if (!pt_can_have_table(&pts))
		return 0;

	for_each_pt_level_entry(&pts) {
		struct pt_state child_pts = pt_init(range, level - 1, NULL);

		if (pts.type != PT_ENTRY_TABLE)
			continue;
		ret = restore_table(arg, pt_table_pa(&pts),
				    pt_num_items_lg2(&child_pts) +
					    ilog2(PT_ITEM_WORD_SIZE));
		if (ret)
			return ret;
		ret = pt_descend(&pts, arg, __restore_tables);
		if (ret)
			return ret;
	}
	return 0;
}

static void NS(restored_deinit)(struct pt_iommu *iommu_table)
{
	struct pt_common *common = common_from_iommu(iommu_table);
	struct pt_range range = pt_all_range(common);
	struct pt_restore_args args = {
		.free_list = IOMMU_PAGES_LIST_INIT(args.free_list),
		.limit = iommu_table->nr_restore,
	};
	phys_addr_t top = virt_to_phys(range.top_table);
	int ret;

	ret = restore_table(&args, top,
			    pt_top_memsize_lg2(common, common->top_of_table));
	if (!ret)
		ret = pt_walk_range(&range, __restore_tables, &args);
	if (WARN(ret || args.nr_tables != args.limit,
		 "IOMMU page table %pa: restored %llu of %llu tables (%d), none is freed\n",
		 &top, args.nr_tables, args.limit, ret))
		return;

	iommu_put_pages_list(&args.free_list);
}

/*
 * Who gets a restored table uses it as any other table, but may only look up
 * and destroy. What changes a table refuses rather than being absent, as the
 * core calls these operations without looking.
 */
static const struct pt_iommu_ops NS(restored_ops) = {
	.map_range = NS(restored_map_range),
	.unmap_range = NS(restored_unmap_range),
	.set_dirty = NS(restored_set_dirty),
	.get_info = NS(get_info),
	.deinit = NS(restored_deinit),
	.preserve = NS(restored_preserve),
	.unpreserve = NS(restored_unpreserve),
};

#define pt_iommu_table_cfg CONCATENATE(pt_iommu_table, _cfg)
static int pt_iommu_init_table(struct pt_iommu_table *fmt_table,
			       const struct pt_iommu_table_cfg *cfg);

#define pt_iommu_restore CONCATENATE(CONCATENATE(pt_iommu_, PTPFX), restore)

/**
 * pt_iommu_restore() - Take over a page table of the previous kernel
 * @fmt_table: Table to set up, with what init() expects the driver to set
 * @ser: Record that preserve() of the previous kernel filled
 *
 * On success the table translates as it did for the previous kernel, its ops
 * refuse every change, and pt_iommu_deinit() frees its pages. On failure
 * nothing has happened to the pages, and pt_iommu_deinit() does nothing.
 *
 * The record is checked by itself and against the rules of the format. That
 * hardware uses this table, and supports it, is for the driver to check. In
 * particular, it must compare the level with that of the hardware before it
 * trusts the record: one level more than an address needs is not refused.
 *
 * Return: 0, -EINVAL if the record is not that of a table of this format,
 * -EOPNOTSUPP if this kernel does not support what it describes.
 */
int pt_iommu_restore(struct pt_iommu_table *fmt_table,
		     const struct pt_iommu_ser *ser)
{
	struct pt_iommu *iommu_table = &fmt_table->iommu;
	struct pt_common *common = common_from_iommu(iommu_table);
	struct iommu_domain *domain = &iommu_table->domain;
	struct pt_iommu_table_cfg cfg = {};
	int ret;

	/* See pt_iommu_deinit() */
	iommu_table->ops = NULL;

	ret = pt_ser_check(ser);
	if (ret)
		return ret;

	/* Not asserted by init_table: the record says so, not the driver */
	if (((ser->features & PT_IOMMU_SER_F_DMA_INCOHERENT) &&
	     !iommu_table->iommu_device) ||
	    ((ser->features & PT_IOMMU_SER_F_DYNAMIC_TOP) &&
	     !iommu_table->driver_ops))
		return -EOPNOTSUPP;

	cfg.common.features = pt_ser_to_features(ser->features);
	cfg.common.hw_max_vasz_lg2 = ser->vasz_lg2;
	cfg.common.hw_max_oasz_lg2 = ser->oasz_lg2;
	pt_ser_fmt_cfg(&cfg, ser);
	ret = pt_iommu_init_table(fmt_table, &cfg);
	if (ret)
		return ret;

	/*
	 * What the format made of it must be what was recorded. The aperture
	 * is compared although a driver could narrow it after init: nothing
	 * else notices a lost sign extension.
	 */
	if (pt_top_get_level(common) != ser->top_level ||
	    common->max_vasz_lg2 != ser->vasz_lg2 ||
	    common->max_oasz_lg2 != ser->oasz_lg2 ||
	    domain->geometry.aperture_start != ser->aperture_start ||
	    domain->geometry.aperture_end != ser->aperture_last ||
	    (ser->pgsize_bitmap & ~(u64)domain->pgsize_bitmap))
		return -EINVAL;

	/* The driver may have offered less than the format can do. */
	domain->pgsize_bitmap = ser->pgsize_bitmap;
	pt_top_set(common, phys_to_virt(ser->top_phys), ser->top_level);
	iommu_table->nr_restore = ser->nr_tables;

	/* Must be last, see pt_iommu_deinit() */
	iommu_table->ops = &NS(restored_ops);
	return 0;
}
EXPORT_SYMBOL_NS_GPL(pt_iommu_restore, "GENERIC_PT_IOMMU");

#else

#define PT_IOMMU_LIVEUPDATE_OPS

#endif /* CONFIG_IOMMU_PT_LIVEUPDATE */

#endif /* __GENERIC_PT_IOMMU_PT_LIVEUPDATE_H */
