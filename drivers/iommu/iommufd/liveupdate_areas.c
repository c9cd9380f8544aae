// SPDX-License-Identifier: GPL-2.0-only
/*
 * What an IOAS maps has to cross as well, or hardware would write into memory
 * that the next kernel uses for something else. Memory crosses as memfds, so
 * each area has to map one that is preserved in the same session.
 *
 * That alone proves nothing. The pages of an area were looked up when it was
 * mapped, and the file need not have had the same ones when it was preserved:
 * seals keep its size, but whoever may write to a file may punch a hole into
 * it. The pinned page is no longer the file's then, it does not cross, and
 * hardware writes to it. Therefore what is mapped is compared with what is in
 * the file. A preserved memfd is frozen, so the comparison stays true.
 *
 * All functions are for an io_pagetable that is immutable. An area without pages
 * in it is not mapped anywhere, and will not be.
 */
#include <linux/cleanup.h>
#include <linux/delay.h>
#include <linux/iommu.h>
#include <linux/jiffies.h>
#include <linux/liveupdate.h>
#include <linux/memfd.h>
#include <linux/pagemap.h>
#include <linux/sched.h>
#include <linux/string.h>
#include <uapi/linux/fcntl.h>

#include "io_pagetable.h"
#include "liveupdate_preserve.h"

/* First area with pages, from @area on */
static struct iopt_area *skip_unfilled(struct iopt_area *area)
{
	while (area && !area->pages)
		area = iopt_area_iter_next(area, 0, ULONG_MAX);
	return area;
}

static struct iopt_area *first_area(struct io_pagetable *iopt)
{
	return skip_unfilled(iopt_area_iter_first(iopt, 0, ULONG_MAX));
}

static struct iopt_area *next_area(struct iopt_area *area)
{
	return skip_unfilled(iopt_area_iter_next(area, 0, ULONG_MAX));
}

/**
 * iommufd_count_areas() - Count what is mapped
 * @iopt: The io_pagetable, immutable
 *
 * Context: May sleep.
 *
 * Return: Number of areas that have pages.
 */
u64 iommufd_count_areas(struct io_pagetable *iopt)
{
	struct iopt_area *area;
	u64 nr_areas = 0;

	guard(rwsem_read)(&iopt->iova_rwsem);
	for (area = first_area(iopt); area; area = next_area(area))
		nr_areas++;
	return nr_areas;
}

static u32 prot_flags(int iommu_prot)
{
	return (iommu_prot & IOMMU_READ ? IOMMUFD_AREA_SER_READ : 0) |
	       (iommu_prot & IOMMU_WRITE ? IOMMUFD_AREA_SER_WRITE : 0);
}

static int check_seals(struct file *file)
{
	const int needed = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW;
	int seals = memfd_get_seals(file);

	if (seals < 0)
		return seals;
	return (seals & needed) == needed ? 0 : -EPERM;
}

static int describe_area(struct iopt_area *area,
			 struct liveupdate_session *session,
			 struct iommufd_area_ser *ser)
{
	unsigned long iova = iopt_area_iova(area);
	struct iopt_pages *pages = area->pages;
	int rc;

	if (pages->type != IOPT_ADDRESS_FILE)
		return -EOPNOTSUPP;

	*ser = (struct iommufd_area_ser){
		.iova = iova,
		.length = iopt_area_length(area),
		.offset = pages->start + iopt_area_start_byte(area, iova),
		.prot = prot_flags(area->iommu_prot),
	};
	rc = liveupdate_get_token_outgoing(session, pages->file,
					   &ser->memfd_token);
	if (rc)
		return rc;
	return check_seals(pages->file);
}

/**
 * iommufd_record_areas() - Write down what is mapped
 * @iopt: The io_pagetable, immutable
 * @session: Session that all of the memory has to be in
 * @areas: Where to write
 * @nr_areas: What iommufd_count_areas() returned
 *
 * Context: May sleep. In a file operation of @session.
 *
 * Return: 0. -EOPNOTSUPP if an area does not map a file, -ENOENT if its file is
 * not preserved in @session, -EPERM if that is not sealed against shrinking,
 * growing and other seals.
 */
int iommufd_record_areas(struct io_pagetable *iopt,
			 struct liveupdate_session *session,
			 struct iommufd_area_ser *areas, u64 nr_areas)
{
	struct iopt_area *area;
	int rc;

	guard(rwsem_read)(&iopt->iova_rwsem);
	for (area = first_area(iopt); area; area = next_area(area)) {
		if (WARN_ON_ONCE(!nr_areas--))
			return -EINVAL;
		rc = describe_area(area, session, areas++);
		if (rc)
			return rc;
	}
	return WARN_ON_ONCE(nr_areas) ? -EINVAL : 0;
}

static int compare_areas(struct io_pagetable *iopt,
			 struct liveupdate_session *session,
			 const struct iommufd_area_ser *areas, u64 nr_areas)
{
	struct iommufd_area_ser now;
	struct iopt_area *area;
	int rc;

	for (area = first_area(iopt); area; area = next_area(area)) {
		if (!nr_areas--)
			return -EINVAL;
		rc = describe_area(area, session, &now);
		if (rc)
			return rc;
		if (memcmp(&now, areas++, sizeof(now)))
			return -EINVAL;
	}
	return nr_areas ? -EINVAL : 0;
}

/**
 * iommufd_wait_until() - Wait a bit for a lock that is polled
 * @end: When to give up, in jiffies
 *
 * Context: May sleep.
 *
 * Return: False if it is time to give up.
 */
bool iommufd_wait_until(unsigned long end)
{
	if (time_after(jiffies, end))
		return false;
	usleep_range(100, 200);
	return true;
}

/**
 * iommufd_compare_areas() - Is what is mapped still what was written down?
 * @iopt: The io_pagetable, immutable
 * @session: Session that all of the memory has to be in
 * @areas: What was written down
 * @nr_areas: Number of @areas
 * @end: How long to wait for those who use the io_pagetable, in jiffies
 *
 * Context: May sleep. In a file operation of @session.
 *
 * Return: 0, -EINVAL if it is not, -EBUSY if somebody uses the io_pagetable for
 * too long, or the error of iommufd_record_areas().
 */
int iommufd_compare_areas(struct io_pagetable *iopt,
			  struct liveupdate_session *session,
			  const struct iommufd_area_ser *areas, u64 nr_areas,
			  unsigned long end)
{
	int rc;

	while (!down_read_trylock(&iopt->iova_rwsem))
		if (!iommufd_wait_until(end))
			return -EBUSY;
	rc = compare_areas(iopt, session, areas, nr_areas);
	up_read(&iopt->iova_rwsem);
	return rc;
}

/* Does @domain translate to this page of the area, at the place it is mapped? */
static bool maps_page(struct iopt_area *area, struct iommu_domain *domain,
		      unsigned long index, struct page *page)
{
	phys_addr_t phys = page_to_phys(page);
	unsigned long iova = iopt_area_iova(area);

	if (index == iopt_area_index(area))
		phys += area->page_offset;
	else
		iova += (index - iopt_area_index(area)) * PAGE_SIZE -
			area->page_offset;
	return iommu_iova_to_phys(domain, iova) == phys;
}

/*
 * Compare one folio of the file that begins at or before @index, page by page.
 * Pages of an area were not necessarily pinned together: iommufd takes those
 * that an access or a domain of another area has pinned before from there, and
 * the file may have lost them since. So a page in the middle can be an old one
 * though those at both ends are not.
 */
static int verify_folio(struct iopt_area *area, struct iommu_domain *domain,
			unsigned long index, unsigned long *next)
{
	struct iopt_pages *pages = area->pages;
	pgoff_t base = pages->start / PAGE_SIZE;
	struct folio *folio;
	unsigned long last;
	bool same = true;

	folio = filemap_get_folio(pages->file->f_mapping, base + index);
	if (IS_ERR(folio))
		return -EINVAL;

	*next = folio_next_index(folio) - base;
	last = min(*next - 1, iopt_area_last_index(area));
	for (; same && index <= last; index++)
		same = maps_page(area, domain, index,
				 folio_file_page(folio, base + index));
	folio_put(folio);
	return same ? 0 : -EINVAL;
}

/**
 * iommufd_verify_memory() - Does a domain map what is in the files?
 * @iopt: The io_pagetable of @domain, immutable, for which
 *        iommufd_record_areas() was successful
 * @domain: The domain
 *
 * Context: May sleep. Time in proportion to the number of pages.
 *
 * Return: 0, or -EINVAL if a page that is mapped is not the one in the file.
 */
int iommufd_verify_memory(struct io_pagetable *iopt,
			  struct iommu_domain *domain)
{
	unsigned long index;
	struct iopt_area *area;
	int rc;

	guard(rwsem_read)(&iopt->iova_rwsem);
	for (area = first_area(iopt); area; area = next_area(area)) {
		index = iopt_area_index(area);
		while (index <= iopt_area_last_index(area)) {
			rc = verify_folio(area, domain, index, &index);
			if (rc)
				return rc;
			cond_resched();
		}
	}
	return 0;
}
