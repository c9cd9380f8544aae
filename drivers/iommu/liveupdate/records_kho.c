// SPDX-License-Identifier: GPL-2.0-only
/*
 * All that the records know about memory and about Kexec HandOver. KUnit
 * replaces these functions, so that everything above them is tested as it is,
 * also where there is no KHO.
 */

#include <kunit/static_stub.h>
#include <kunit/visibility.h>
#include <linux/err.h>
#include <linux/export.h>
#include <linux/io.h>
#include <linux/kexec_handover.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/xarray.h>

#include "loopback.h"
#include "records.h"

/* Order of what this very kernel has allocated at @phys */
static int own_order(u64 phys)
{
	struct folio *folio = page_folio(phys_to_page(phys));

	return PFN_PHYS(folio_pfn(folio)) == phys && folio_ref_count(folio) ?
		       folio_order(folio) : -ENOENT;
}

/* Zeroed memory that stays in this kernel */
void *iommu_record_calloc(size_t nr, size_t size)
{
	KUNIT_STATIC_STUB_REDIRECT(iommu_record_calloc, nr, size);
	return kvcalloc(nr, size, GFP_KERNEL);
}
EXPORT_SYMBOL_IF_KUNIT(iommu_record_calloc);

void iommu_record_free(void *memory)
{
	KUNIT_STATIC_STUB_REDIRECT(iommu_record_free, memory);
	kvfree(memory);
}
EXPORT_SYMBOL_IF_KUNIT(iommu_record_free);

/* As xa_insert() of @value */
int iommu_record_insert(struct xarray *xa, unsigned long key, u32 value)
{
	KUNIT_STATIC_STUB_REDIRECT(iommu_record_insert, xa, key, value);
	return xa_insert(xa, key, xa_mk_value(value), GFP_KERNEL);
}
EXPORT_SYMBOL_IF_KUNIT(iommu_record_insert);

/* A zeroed page that is preserved. May sleep. */
void *iommu_record_page_alloc(void)
{
	KUNIT_STATIC_STUB_REDIRECT(iommu_record_page_alloc);
	if (!kho_is_enabled())
		return ERR_PTR(-EOPNOTSUPP);
	return kho_alloc_preserve(PAGE_SIZE);
}
EXPORT_SYMBOL_IF_KUNIT(iommu_record_page_alloc);

/* Give back a page that this kernel allocated. May sleep. */
void iommu_record_page_free(void *page)
{
	KUNIT_STATIC_STUB_REDIRECT(iommu_record_page_free, page);
	kho_unpreserve_free(page);
}
EXPORT_SYMBOL_IF_KUNIT(iommu_record_page_free);

/* Give back a page that the previous kernel left. */
void iommu_record_page_restore_free(void *page)
{
	KUNIT_STATIC_STUB_REDIRECT(iommu_record_page_restore_free, page);
	if (iommu_loopback_is_own(virt_to_phys(page)))
		kho_unpreserve_free(page);
	else
		kho_restore_free(page);
}
EXPORT_SYMBOL_IF_KUNIT(iommu_record_page_restore_free);

bool iommu_record_pfn_valid(unsigned long pfn)
{
	KUNIT_STATIC_STUB_REDIRECT(iommu_record_pfn_valid, pfn);
	return pfn_valid(pfn);
}
EXPORT_SYMBOL_IF_KUNIT(iommu_record_pfn_valid);

/*
 * Order of what the previous kernel preserved at @phys and this one has not
 * restored yet, or -ENOENT. @phys has to be in valid memory.
 */
int iommu_record_kho_order(u64 phys)
{
	KUNIT_STATIC_STUB_REDIRECT(iommu_record_kho_order, phys);
	return iommu_loopback_is_own(phys) ? own_order(phys) :
					     kho_preserved_order(phys);
}
EXPORT_SYMBOL_IF_KUNIT(iommu_record_kho_order);
