// SPDX-License-Identifier: GPL-2.0-only
/*
 * The kernel that leaves: an iommufd is preserved by preserving the page tables
 * of the HWPTs that userspace has marked.
 *
 * First the IOAS of each is made immutable, once for each HWPT. Only then is
 * looked at what it maps, because only then does the answer stay true. Then the
 * IOMMU core preserves the page tables.
 *
 * From the first step on it can be undone at any time, and all of it is undone
 * here. The files that depend on it, those of the devices, are preserved later
 * and unpreserved before.
 */
#include <linux/build_bug.h>
#include <linux/cleanup.h>
#include <linux/iommu-liveupdate.h>
#include <linux/jiffies.h>
#include <linux/kexec_handover.h>
#include <linux/liveupdate.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "io_pagetable.h"
#include "liveupdate_preserve.h"

/**
 * struct iommufd_outgoing - An iommufd that is preserved
 * @ser: What the next kernel gets
 * @hwpts: Records of the HWPTs, in the order of iommufd_ctx_liveupdate.marked.
 *         One allocation with @areas, which is preserved with @ser
 * @areas: Records of the areas
 * @nr_hwpts: Number of @hwpts
 * @nr_areas: Number of @areas
 */
struct iommufd_outgoing {
	struct iommufd_ser *ser;
	struct iommufd_hwpt_ser *hwpts;
	struct iommufd_area_ser *areas;
	u32 nr_hwpts;
	u64 nr_areas;
};

static_assert(IOMMUFD_MAX_MARKED <= IOMMUFD_SER_MAX_HWPTS);

/* As short as the gate of vfio devices waits, for the same reason */
#define FREEZE_TIMEOUT_MS 2000

#define for_each_marked(hwpt_paging, ictx)                             \
	list_for_each_entry(hwpt_paging, &(ictx)->liveupdate.marked,   \
			    liveupdate.item)

static struct io_pagetable *iopt_of(struct iommufd_hwpt_paging *hwpt_paging)
{
	return &hwpt_paging->ioas->iopt;
}

static void make_immutable(struct iommufd_ctx *ictx)
{
	struct iommufd_hwpt_paging *hwpt_paging;

	for_each_marked(hwpt_paging, ictx)
		iopt_make_immutable(iopt_of(hwpt_paging));
}

static void make_mutable(struct iommufd_ctx *ictx)
{
	struct iommufd_hwpt_paging *hwpt_paging;

	for_each_marked(hwpt_paging, ictx)
		iopt_make_mutable(iopt_of(hwpt_paging));
}

/* The first marked HWPT of the same IOAS, which may be the HWPT itself */
static struct iommufd_hwpt_paging *
first_of_ioas(struct iommufd_ctx *ictx, struct iommufd_hwpt_paging *hwpt_paging)
{
	struct iommufd_hwpt_paging *first;

	for_each_marked(first, ictx)
		if (first->ioas == hwpt_paging->ioas)
			break;
	return first;
}

static u32 hwpt_flags(struct iommufd_hwpt_paging *hwpt_paging)
{
	u32 flags = 0;

	if (hwpt_paging->common.domain->dirty_ops)
		flags |= IOMMUFD_HWPT_SER_DIRTY_TRACKING;
	if (hwpt_paging->common.pasid_compat)
		flags |= IOMMUFD_HWPT_SER_PASID;
	return flags;
}

static int count_records(struct iommufd_ctx *ictx, struct iommufd_outgoing *out)
{
	struct iommufd_hwpt_paging *hwpt_paging;

	out->nr_hwpts = ictx->liveupdate.nr_marked;
	out->nr_areas = 0;
	for_each_marked(hwpt_paging, ictx)
		if (first_of_ioas(ictx, hwpt_paging) == hwpt_paging)
			out->nr_areas += iommufd_count_areas(iopt_of(hwpt_paging));
	return out->nr_areas > IOMMUFD_SER_MAX_AREAS ? -ENOSPC : 0;
}

static size_t records_size(const struct iommufd_outgoing *out)
{
	return out->nr_hwpts * sizeof(*out->hwpts) +
	       out->nr_areas * sizeof(*out->areas);
}

static int alloc_records(struct iommufd_outgoing *out)
{
	int rc;

	out->ser = kho_alloc_preserve(sizeof(*out->ser));
	if (IS_ERR(out->ser))
		return PTR_ERR(out->ser);

	out->hwpts = vzalloc(records_size(out));
	if (!out->hwpts) {
		rc = -ENOMEM;
		goto err_ser;
	}
	out->areas = (void *)(out->hwpts + out->nr_hwpts);

	*out->ser = (struct iommufd_ser){
		.version = IOMMUFD_SER_VERSION,
		.nr_hwpts = out->nr_hwpts,
		.nr_areas = out->nr_areas,
	};
	rc = kho_preserve_vmalloc(out->hwpts, &out->ser->records);
	if (rc)
		goto err_records;
	return 0;

err_records:
	vfree(out->hwpts);
err_ser:
	kho_unpreserve_free(out->ser);
	return rc;
}

static void free_records(struct iommufd_outgoing *out)
{
	kho_unpreserve_vmalloc(&out->ser->records);
	vfree(out->hwpts);
	kho_unpreserve_free(out->ser);
}

/* Areas are recorded once for each IOAS: find those of an earlier HWPT */
static struct iommufd_hwpt_ser *
same_ioas_record(struct iommufd_ctx *ictx, struct iommufd_outgoing *out,
		 struct iommufd_hwpt_paging *hwpt_paging)
{
	struct iommufd_hwpt_ser *ser = out->hwpts;
	struct iommufd_hwpt_paging *first;

	for_each_marked(first, ictx) {
		if (first == hwpt_paging)
			return NULL;
		if (first->ioas == hwpt_paging->ioas)
			return ser;
		ser++;
	}
	return NULL;
}

static int record_hwpts(struct iommufd_ctx *ictx,
			struct liveupdate_session *session,
			struct iommufd_outgoing *out)
{
	struct iommufd_hwpt_ser *ser = out->hwpts;
	struct iommufd_hwpt_paging *hwpt_paging;
	struct iommufd_hwpt_ser *same;
	u64 nr_areas = 0;
	int rc;

	for_each_marked(hwpt_paging, ictx) {
		ser->token = hwpt_paging->liveupdate.token;
		ser->flags = hwpt_flags(hwpt_paging);

		same = same_ioas_record(ictx, out, hwpt_paging);
		if (same) {
			ser->first_area = same->first_area;
			ser->nr_areas = same->nr_areas;
		} else {
			ser->first_area = nr_areas;
			ser->nr_areas =
				iommufd_count_areas(iopt_of(hwpt_paging));
			nr_areas += ser->nr_areas;
			rc = iommufd_record_areas(iopt_of(hwpt_paging), session,
						  out->areas + ser->first_area,
						  ser->nr_areas);
			if (rc)
				return rc;
		}

		rc = iommufd_verify_memory(iopt_of(hwpt_paging),
					   hwpt_paging->common.domain);
		if (rc)
			return rc;
		ser++;
	}
	return 0;
}

/*
 * The MSI page is mapped without an area and at any time. It is the controller
 * of this kernel whose address is mapped.
 */
static int forbid_sw_msi(struct iommufd_ctx *ictx,
			 struct iommufd_hwpt_paging *hwpt_paging)
{
	guard(mutex)(&ictx->sw_msi_lock);
	if (!bitmap_empty(hwpt_paging->present_sw_msi.bitmap,
			  BITS_PER_TYPE(hwpt_paging->present_sw_msi.bitmap)))
		return -EOPNOTSUPP;
	hwpt_paging->liveupdate.preserved = true;
	return 0;
}

static void allow_sw_msi(struct iommufd_ctx *ictx,
			 struct iommufd_hwpt_paging *hwpt_paging)
{
	guard(mutex)(&ictx->sw_msi_lock);
	hwpt_paging->liveupdate.preserved = false;
}

static int preserve_hwpt(struct iommufd_ctx *ictx,
			 struct iommufd_hwpt_paging *hwpt_paging)
{
	int rc;

	/* Stays as it is now that the IOAS is immutable */
	if (hwpt_paging->dirty_tracking)
		return -EOPNOTSUPP;

	rc = forbid_sw_msi(ictx, hwpt_paging);
	if (rc)
		return rc;

	rc = iommu_domain_preserve(hwpt_paging->common.domain,
				   &hwpt_paging->liveupdate.domain_id);
	if (rc)
		allow_sw_msi(ictx, hwpt_paging);
	return rc;
}

static void unpreserve_hwpt(struct iommufd_ctx *ictx,
			    struct iommufd_hwpt_paging *hwpt_paging)
{
	iommu_domain_unpreserve(hwpt_paging->common.domain);
	allow_sw_msi(ictx, hwpt_paging);
}

static int preserve_hwpts(struct iommufd_ctx *ictx,
			  struct iommufd_outgoing *out)
{
	struct iommufd_hwpt_ser *ser = out->hwpts;
	struct iommufd_hwpt_paging *hwpt_paging;
	int rc;

	for_each_marked(hwpt_paging, ictx) {
		rc = preserve_hwpt(ictx, hwpt_paging);
		if (rc)
			goto err_unpreserve;
		ser->domain_id = hwpt_paging->liveupdate.domain_id;
		ser++;
	}
	return 0;

err_unpreserve:
	list_for_each_entry_continue_reverse(hwpt_paging,
					     &ictx->liveupdate.marked,
					     liveupdate.item)
		unpreserve_hwpt(ictx, hwpt_paging);
	return rc;
}

static void unpreserve_hwpts(struct iommufd_ctx *ictx)
{
	struct iommufd_hwpt_paging *hwpt_paging;

	list_for_each_entry_reverse(hwpt_paging, &ictx->liveupdate.marked,
				    liveupdate.item)
		unpreserve_hwpt(ictx, hwpt_paging);
}

/**
 * iommufd_preserve() - Leave the marked HWPTs of an iommufd to the next kernel
 * @ictx: The iommufd
 * @session: Session that it is being preserved in
 * @data: Set to what the next kernel gets
 *
 * Context: May sleep. In .preserve() of a file of @session. Time in proportion
 * to the number of pages that are mapped, and of page tables.
 *
 * Return: 0. Or -EBUSY if it is preserved already, or came from the previous
 * kernel in a session that is not finished, -EINVAL if no HWPT is marked or one
 * maps memory that is not in its file any more, -ENOENT if it maps a file that
 * is not preserved in @session, -EPERM if the file is not sealed,
 * -EOPNOTSUPP if it maps something else than files, tracks dirty pages or has a
 * page of MSI controllers mapped, -ENOSPC if there are too many areas, -ENOMEM,
 * or the error of iommu_domain_preserve(). On error nothing is changed.
 */
int iommufd_preserve(struct iommufd_ctx *ictx,
		     struct liveupdate_session *session, u64 *data)
{
	struct iommufd_outgoing *out;
	int rc;

	lockdep_assert_not_held(&ictx->liveupdate.lock);
	out = kzalloc_obj(*out);
	if (!out)
		return -ENOMEM;

	mutex_lock(&ictx->liveupdate.lock);
	rc = -EBUSY;
	if (ictx->liveupdate.outgoing || ictx->liveupdate.incoming)
		goto err_unlock;
	rc = -EINVAL;
	if (!ictx->liveupdate.nr_marked)
		goto err_unlock;

	make_immutable(ictx);
	rc = count_records(ictx, out);
	if (rc)
		goto err_mutable;
	rc = alloc_records(out);
	if (rc)
		goto err_mutable;
	rc = record_hwpts(ictx, session, out);
	if (rc)
		goto err_records;
	rc = preserve_hwpts(ictx, out);
	if (rc)
		goto err_records;

	*data = virt_to_phys(out->ser);
	ictx->liveupdate.outgoing = out;
	mutex_unlock(&ictx->liveupdate.lock);
	return 0;

err_records:
	free_records(out);
err_mutable:
	make_mutable(ictx);
err_unlock:
	mutex_unlock(&ictx->liveupdate.lock);
	kfree(out);
	return rc;
}

/**
 * iommufd_unpreserve() - Undo iommufd_preserve()
 * @ictx: The iommufd, preserved
 *
 * No device that uses it is preserved any more.
 *
 * Context: May sleep.
 */
void iommufd_unpreserve(struct iommufd_ctx *ictx)
{
	struct iommufd_outgoing *out;

	guard(mutex)(&ictx->liveupdate.lock);
	out = ictx->liveupdate.outgoing;
	WARN_ON_ONCE(!list_empty(&ictx->liveupdate.devices));

	ictx->liveupdate.outgoing = NULL;
	unpreserve_hwpts(ictx);
	free_records(out);
	make_mutable(ictx);
	kfree(out);
}

static int verify(struct iommufd_ctx *ictx, struct liveupdate_session *session,
		  unsigned long end)
{
	const struct iommufd_outgoing *out = ictx->liveupdate.outgoing;
	const struct iommufd_hwpt_ser *ser = out->hwpts;
	struct iommufd_hwpt_paging *hwpt_paging;
	int rc;

	for_each_marked(hwpt_paging, ictx) {
		rc = iommufd_compare_areas(iopt_of(hwpt_paging), session,
					   out->areas + ser->first_area,
					   ser->nr_areas, end);
		if (rc)
			return rc;
		ser++;
	}
	return iommufd_verify_devices(ictx);
}

/**
 * iommufd_freeze() - Check an iommufd before there is no way back
 * @ictx: The iommufd, preserved
 * @session: Session that it is preserved in
 *
 * Everything is as it was recorded, or the live update must not happen. The
 * pages of the files need no second look, the files are frozen.
 *
 * Context: May sleep. In .freeze() of a file of @session.
 *
 * Return: 0, -EINVAL if an area has changed, -EBUSY if an ioctl of the iommufd
 * does not come to an end, or the error of iommufd_record_areas() or
 * iommu_verify_preserved_device(). Nothing is changed.
 */
int iommufd_freeze(struct iommufd_ctx *ictx, struct liveupdate_session *session)
{
	unsigned long end = jiffies + msecs_to_jiffies(FREEZE_TIMEOUT_MS);
	int rc;

	while (!mutex_trylock(&ictx->liveupdate.lock))
		if (!iommufd_wait_until(end))
			return -EBUSY;
	rc = verify(ictx, session, end);
	mutex_unlock(&ictx->liveupdate.lock);
	return rc;
}
