// SPDX-License-Identifier: GPL-2.0-only

/**
 * DOC: IOMMU pages over a live update
 *
 * Memory from iommu_alloc_pages_node_sz() is what IOMMU hardware walks. It is
 * handed to the next kernel page by page, each with its order, by Kexec
 * HandOver (KHO), because hardware goes on reading it while no kernel runs.
 *
 * Preserved Properties
 *   The memory itself, its address, its size.
 *
 * Non-Preserved Properties
 *   The memory cgroup that was charged for it: restored pages are accounted to
 *   the node only. A mapping made by the DMA API for incoherent table walks:
 *   restored pages are coherent as far as iommu-pages is concerned.
 *
 * The kernel that allocated a page calls iommu_preserve_pages(), and
 * iommu_unpreserve_pages() if it wants it back. The page stays allocated and
 * accounted, but cannot be freed meanwhile. The next kernel calls
 * iommu_restore_pages() exactly once and then owns a page as if it had
 * allocated it. A page that it does not restore stays reserved until reboot.
 *
 * A page must not be preserved and unpreserved by two tasks at the same time.
 */

#include "iommu-pages.h"

#include <kunit/static_stub.h>
#include <kunit/visibility.h>
#include <linux/export.h>
#include <linux/kexec_handover.h>
#include <linux/mm.h>

#include "liveupdate/loopback.h"

/*
 * All that is known about KHO is below. KUnit replaces these three, so that
 * everything above them is tested as it is.
 */
VISIBLE_IF_KUNIT int iommu_kho_preserve(struct folio *folio)
{
	KUNIT_STATIC_STUB_REDIRECT(iommu_kho_preserve, folio);
	return kho_is_enabled() ? kho_preserve_folio(folio) : -EOPNOTSUPP;
}
EXPORT_SYMBOL_IF_KUNIT(iommu_kho_preserve);

VISIBLE_IF_KUNIT void iommu_kho_unpreserve(struct folio *folio)
{
	KUNIT_STATIC_STUB_REDIRECT(iommu_kho_unpreserve, folio);
	kho_unpreserve_folio(folio);
}
EXPORT_SYMBOL_IF_KUNIT(iommu_kho_unpreserve);

VISIBLE_IF_KUNIT struct folio *iommu_kho_restore(phys_addr_t phys)
{
	KUNIT_STATIC_STUB_REDIRECT(iommu_kho_restore, phys);
	return kho_restore_folio(phys);
}
EXPORT_SYMBOL_IF_KUNIT(iommu_kho_restore);

/*
 * For the self test, which takes over from itself: the page is still that of
 * the kernel that has allocated it, and accounted.
 */
static int restore_own_pages(phys_addr_t phys, size_t size)
{
	struct ioptdesc *iopt = virt_to_ioptdesc(phys_to_virt(phys));

	if (phys_to_virt(phys) != folio_address(ioptdesc_folio(iopt)) ||
	    !iopt->preserved)
		return -ENOENT;

	iommu_unpreserve_pages(phys_to_virt(phys));
	return folio_order(ioptdesc_folio(iopt)) == get_order(size) ? 0 :
								      -EINVAL;
}

/**
 * iommu_preserve_pages() - Hand a page to the next kernel
 * @virt: Address returned from iommu_alloc_pages_node_sz()
 *
 * The whole allocation is preserved, whatever its order. KHO does not count
 * how often a page is preserved, so each page is preserved once.
 *
 * Context: May sleep.
 *
 * Return: 0, or -EOPNOTSUPP if there is no KHO, -EBUSY if the page is preserved
 * already, or the error of KHO. On error nothing is changed.
 */
int iommu_preserve_pages(void *virt)
{
	struct ioptdesc *iopt = virt_to_ioptdesc(virt);
	int ret;

	if (WARN_ON(iopt->preserved))
		return -EBUSY;

	ret = iommu_kho_preserve(ioptdesc_folio(iopt));
	if (ret)
		return ret;

	iopt->preserved = true;
	return 0;
}
EXPORT_SYMBOL_GPL(iommu_preserve_pages);

/**
 * iommu_unpreserve_pages() - Take a page back
 * @virt: Address that was given to iommu_preserve_pages()
 *
 * The page is not freed. It can be preserved again.
 *
 * Context: May sleep.
 */
void iommu_unpreserve_pages(void *virt)
{
	struct ioptdesc *iopt = virt_to_ioptdesc(virt);

	if (WARN_ON(!iopt->preserved))
		return;

	iommu_kho_unpreserve(ioptdesc_folio(iopt));
	iopt->preserved = false;
}
EXPORT_SYMBOL_GPL(iommu_unpreserve_pages);

/**
 * iommu_restore_pages() - Take over a page of the previous kernel
 * @phys: Physical address of the page
 * @size: Size it must have, rounded up like iommu_alloc_pages_node_sz() does
 *
 * After success the page belongs to the caller, is accounted, and is freed with
 * iommu_free_pages() or iommu_put_pages_list(). Its content is not touched.
 *
 * A page is restored once: KHO forgets it even if it has another size than
 * expected. Such a page is neither accounted nor freed, as nobody knows what it
 * is. An address that is not aligned and a size of zero are refused before KHO
 * is asked, and it forgets nothing.
 *
 * Return: 0, -EINVAL if the address or the size is wrong, -ENOENT if the
 * previous kernel did not preserve the page or it was restored before.
 */
int iommu_restore_pages(phys_addr_t phys, size_t size)
{
	struct ioptdesc *iopt;
	unsigned long pgcnt;
	struct folio *folio;

	if (!size || !PAGE_ALIGNED(phys))
		return -EINVAL;

	if (iommu_loopback_is_own(phys))
		return restore_own_pages(phys, size);

	folio = iommu_kho_restore(phys);
	if (!folio)
		return -ENOENT;

	if (folio_order(folio) != get_order(size))
		return -EINVAL;

	iopt = folio_ioptdesc(folio);
	iopt->incoherent = false;
	iopt->preserved = false;

	/* What iommu_alloc_pages_node_sz() counts, freeing takes off again. */
	pgcnt = folio_nr_pages(folio);
	mod_node_page_state(folio_pgdat(folio), NR_IOMMU_PAGES, pgcnt);
	lruvec_stat_mod_folio(folio, NR_SECONDARY_PAGETABLE, pgcnt);
	return 0;
}
EXPORT_SYMBOL_GPL(iommu_restore_pages);
