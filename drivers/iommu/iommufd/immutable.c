// SPDX-License-Identifier: GPL-2.0-only
/*
 * An io_pagetable can be made immutable: nothing that hardware walks in any of
 * its domains changes any more, until the last one who asked for that has taken
 * it back. Whoever has recorded what the page tables map needs that, because
 * hardware goes on using them when no kernel is there to keep the record true.
 *
 * While an io_pagetable is immutable, these give -EBUSY:
 *
 *  - mapping, copying and whatever else inserts an area,
 *  - unmapping, and splitting an area, which changes what is recorded of it,
 *  - switching dirty tracking and clearing dirty bits.
 *
 * All of them change areas or page table entries under domains_rwsem or
 * iova_rwsem and look at the count under the lock that they do that under. The
 * exception is mapping: it inserts areas under iova_rwsem, gives that up, and
 * fills the domains under domains_rwsem. It looks at both places. What fails at
 * the second one has an area without pages that no domain was filled from, and
 * removes it.
 *
 * Still possible are what only adds or removes another domain, and what only
 * changes which IOVAs may be used next. Whether a domain enforces cache coherency
 * is settled when its HWPT is allocated, nothing changes it later.
 */
#include <linux/bug.h>
#include <linux/limits.h>

#include "io_pagetable.h"

/**
 * iopt_make_immutable() - Keep the page tables of an io_pagetable as they are
 * @iopt: io_pagetable to act on
 *
 * When this returns, no domain is being filled or unfilled. Areas that have no
 * pages are those of a mapper that is going to fail, and do not count.
 *
 * Context: May sleep, waits for maps and unmaps that are under way. Each call
 * is undone by one call of iopt_make_mutable().
 */
void iopt_make_immutable(struct io_pagetable *iopt)
{
	down_write(&iopt->domains_rwsem);
	down_write(&iopt->iova_rwsem);
	WARN_ON_ONCE(iopt->immutable == UINT_MAX);
	iopt->immutable++;
	up_write(&iopt->iova_rwsem);
	up_write(&iopt->domains_rwsem);
}

/**
 * iopt_make_mutable() - Undo one call of iopt_make_immutable()
 * @iopt: io_pagetable to act on
 *
 * Context: May sleep.
 */
void iopt_make_mutable(struct io_pagetable *iopt)
{
	down_write(&iopt->domains_rwsem);
	down_write(&iopt->iova_rwsem);
	if (!WARN_ON_ONCE(!iopt->immutable))
		iopt->immutable--;
	up_write(&iopt->iova_rwsem);
	up_write(&iopt->domains_rwsem);
}

/**
 * iopt_allow_access() - Let areas be accessed that are not unmapped after all
 * @iopt: io_pagetable to act on, which is immutable
 * @start: First IOVA
 * @last: Last IOVA
 *
 * Unmapping keeps new accesses away from an area while it waits for the old
 * ones to end. It may find then that the area stays. Another unmap that waits
 * for the same area finds the same.
 *
 * Context: iova_rwsem is held for writing.
 */
void iopt_allow_access(struct io_pagetable *iopt, unsigned long start,
		       unsigned long last)
{
	struct iopt_area *area;

	lockdep_assert_held_write(&iopt->iova_rwsem);

	for (area = iopt_area_iter_first(iopt, start, last); area;
	     area = iopt_area_iter_next(area, start, last))
		area->prevent_access = false;
}
