/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The pages of IOMMU page tables over a live update. Included by iommu-pages.h.
 */
#ifndef __IOMMU_PAGES_LIVEUPDATE_H
#define __IOMMU_PAGES_LIVEUPDATE_H

#include <linux/bug.h>
#include <linux/errno.h>
#include <linux/types.h>

struct folio;

#ifdef CONFIG_IOMMU_PT_LIVEUPDATE

int iommu_preserve_pages(void *virt);
void iommu_unpreserve_pages(void *virt);
int iommu_restore_pages(phys_addr_t phys, size_t size);

/**
 * iommu_pages_refuse_free() - Keep a preserved page from being freed
 * @iopt: The page that is about to be freed
 *
 * A page that is preserved is about to be read by hardware while no kernel
 * runs, and the next kernel gets it handed over. Giving it back to the page
 * allocator is a bug of the caller. The page is leaked instead.
 *
 * Return: true if the page must not be freed.
 */
static inline bool iommu_pages_refuse_free(struct ioptdesc *iopt)
{
	return WARN(iopt->preserved, "freeing a preserved IOMMU page\n");
}

#else

static inline int iommu_preserve_pages(void *virt)
{
	return -EOPNOTSUPP;
}

static inline void iommu_unpreserve_pages(void *virt)
{
}

static inline int iommu_restore_pages(phys_addr_t phys, size_t size)
{
	return -EOPNOTSUPP;
}

static inline bool iommu_pages_refuse_free(struct ioptdesc *iopt)
{
	return false;
}

#endif /* CONFIG_IOMMU_PT_LIVEUPDATE */

#if IS_ENABLED(CONFIG_KUNIT)
int iommu_kho_preserve(struct folio *folio);
void iommu_kho_unpreserve(struct folio *folio);
struct folio *iommu_kho_restore(phys_addr_t phys);
#endif

#endif /* __IOMMU_PAGES_LIVEUPDATE_H */
