// SPDX-License-Identifier: GPL-2.0-only
/*
 * How userspace names a HWPT over a live update.
 *
 * In the kernel that leaves it marks those that it wants to have in the next
 * one. A mark is an intent: it is checked, and keeps the HWPT, but nothing is
 * preserved before the iommufd itself is. From then on the marks stay as they
 * are. In the kernel that comes it asks for them by the same names.
 */
#include <linux/bitops.h>
#include <linux/cleanup.h>
#include <linux/iommufd.h>
#include <linux/liveupdate.h>
#include <uapi/linux/iommufd.h>

#include "iommufd_private.h"

/**
 * iommufd_liveupdate_init() - Prepare an iommufd for live update
 * @ictx: iommufd, being opened
 */
void iommufd_liveupdate_init(struct iommufd_ctx *ictx)
{
	mutex_init(&ictx->liveupdate.lock);
	INIT_LIST_HEAD(&ictx->liveupdate.marked);
	INIT_LIST_HEAD(&ictx->liveupdate.devices);
	INIT_LIST_HEAD(&ictx->liveupdate.restored);
}

static void clear_mark(struct iommufd_ctx *ictx,
		       struct iommufd_hwpt_paging *hwpt_paging)
{
	lockdep_assert_held(&ictx->liveupdate.lock);
	list_del(&hwpt_paging->liveupdate.item);
	ictx->liveupdate.nr_marked--;
	hwpt_paging->liveupdate.marked = false;
	refcount_dec(&hwpt_paging->common.obj.users);
}

static void clear_all_marks(struct iommufd_ctx *ictx)
{
	struct iommufd_hwpt_paging *hwpt_paging, *next;

	guard(mutex)(&ictx->liveupdate.lock);
	list_for_each_entry_safe(hwpt_paging, next, &ictx->liveupdate.marked,
				 liveupdate.item)
		clear_mark(ictx, hwpt_paging);
}

/**
 * iommufd_liveupdate_release() - Give back all references that marks hold
 * @ictx: iommufd, being closed
 *
 * A file that is preserved is held by LUO, so this one is not.
 *
 * Context: Before the objects are destroyed. May sleep.
 */
void iommufd_liveupdate_release(struct iommufd_ctx *ictx)
{
	clear_all_marks(ictx);
}

static struct iommufd_hwpt_paging *find_mark(struct iommufd_ctx *ictx,
					     u64 token)
{
	struct iommufd_hwpt_paging *hwpt_paging;

	lockdep_assert_held(&ictx->liveupdate.lock);
	list_for_each_entry(hwpt_paging, &ictx->liveupdate.marked,
			    liveupdate.item)
		if (hwpt_paging->liveupdate.token == token)
			return hwpt_paging;
	return NULL;
}

/* Is this a page table of iommufd's own that hardware only reads? */
static int check_kind(struct iommufd_hwpt_paging *hwpt_paging)
{
	bool dirty_tracking;

	if (hwpt_paging->common.fault || hwpt_paging->nest_parent ||
	    hwpt_paging->auto_domain || !hwpt_paging->ioas)
		return -EOPNOTSUPP;

	if (IS_ENABLED(CONFIG_IOMMUFD_NOIOMMU) &&
	    hwpt_paging->common.domain->owner == &iommufd_noiommu_ops)
		return -EOPNOTSUPP;

	down_read(&hwpt_paging->ioas->iopt.iova_rwsem);
	dirty_tracking = hwpt_paging->dirty_tracking;
	up_read(&hwpt_paging->ioas->iopt.iova_rwsem);
	return dirty_tracking ? -EOPNOTSUPP : 0;
}

static int set_mark(struct iommufd_ctx *ictx,
		    struct iommufd_hwpt_paging *hwpt_paging, u64 token)
{
	lockdep_assert_held(&ictx->liveupdate.lock);
	if (hwpt_paging->liveupdate.marked || find_mark(ictx, token))
		return -EEXIST;

	if (ictx->liveupdate.nr_marked == IOMMUFD_MAX_MARKED)
		return -ENOSPC;

	/* What is marked cannot be destroyed. The caller holds users. */
	refcount_inc(&hwpt_paging->common.obj.users);
	hwpt_paging->liveupdate.token = token;
	hwpt_paging->liveupdate.marked = true;
	list_add_tail(&hwpt_paging->liveupdate.item, &ictx->liveupdate.marked);
	ictx->liveupdate.nr_marked++;
	return 0;
}

static int change_mark(struct iommufd_ctx *ictx, struct iommufd_object *obj,
		       const struct iommu_hwpt_liveupdate_preserve *cmd)
{
	bool set = cmd->flags & IOMMU_HWPT_LIVEUPDATE_PRESERVE_SET;
	struct iommufd_hwpt_paging *hwpt_paging;
	int rc;

	if (obj->type == IOMMUFD_OBJ_HWPT_NESTED)
		return -EOPNOTSUPP;
	if (obj->type != IOMMUFD_OBJ_HWPT_PAGING)
		return -ENOENT;
	hwpt_paging = container_of(obj, struct iommufd_hwpt_paging, common.obj);

	/* Waits for those who may wait for userspace, hence before the lock */
	rc = set ? check_kind(hwpt_paging) : 0;
	if (rc)
		return rc;

	guard(mutex)(&ictx->liveupdate.lock);
	if (ictx->liveupdate.outgoing)
		return -EBUSY;

	if (set)
		return set_mark(ictx, hwpt_paging, cmd->token);

	if (!hwpt_paging->liveupdate.marked)
		return -ENOENT;
	clear_mark(ictx, hwpt_paging);
	return 0;
}

/**
 * iommufd_hwpt_liveupdate_preserve() - ioctl(IOMMU_HWPT_LIVEUPDATE_PRESERVE)
 * @ucmd: The ioctl
 *
 * Return: 0 or the errno that the uAPI documents.
 */
int iommufd_hwpt_liveupdate_preserve(struct iommufd_ucmd *ucmd)
{
	const struct iommu_hwpt_liveupdate_preserve *cmd = ucmd->cmd;
	struct iommufd_object *obj;
	int rc;

	if (!IS_ENABLED(CONFIG_IOMMU_LIVEUPDATE) || !liveupdate_enabled())
		return -EOPNOTSUPP;
	if (cmd->__reserved ||
	    cmd->flags & ~(IOMMU_HWPT_LIVEUPDATE_PRESERVE_SET |
			   IOMMU_HWPT_LIVEUPDATE_PRESERVE_CLEAR))
		return -EOPNOTSUPP;
	if (hweight32(cmd->flags) != 1)
		return -EINVAL;
	if (cmd->flags & IOMMU_HWPT_LIVEUPDATE_PRESERVE_CLEAR && cmd->token)
		return -EINVAL;

	obj = iommufd_get_object(ucmd->ictx, cmd->hwpt_id, IOMMUFD_OBJ_ANY);
	if (IS_ERR(obj))
		return PTR_ERR(obj);
	rc = change_mark(ucmd->ictx, obj, cmd);
	iommufd_put_object(ucmd->ictx, obj);
	return rc;
}

static struct iommufd_restored *find_restored(struct iommufd_ctx *ictx,
					      u64 token)
{
	struct iommufd_restored *restored;

	lockdep_assert_held(&ictx->liveupdate.lock);
	list_for_each_entry(restored, &ictx->liveupdate.restored, item)
		if (restored->token == token)
			return restored;
	return NULL;
}

/* With a users reference, so that it stays without the lock */
static struct iommufd_restored *get_restored(struct iommufd_ctx *ictx,
					     u64 token)
{
	struct iommufd_restored *restored;

	guard(mutex)(&ictx->liveupdate.lock);
	restored = find_restored(ictx, token);
	if (!restored)
		return NULL;
	/* It may be on its way out, and wait for the lock to go. */
	if (iommufd_try_inc_users(ictx, &restored->hwpt_paging->common.obj))
		return NULL;
	return restored;
}

/**
 * iommufd_hwpt_liveupdate_restore() - ioctl(IOMMU_HWPT_LIVEUPDATE_RESTORE)
 * @ucmd: The ioctl
 *
 * Return: 0 or the errno that the uAPI documents.
 */
int iommufd_hwpt_liveupdate_restore(struct iommufd_ucmd *ucmd)
{
	struct iommu_hwpt_liveupdate_restore *cmd = ucmd->cmd;
	struct iommufd_restored *restored;
	struct iommufd_object *obj;
	int rc;

	if (!IS_ENABLED(CONFIG_IOMMU_LIVEUPDATE) || !liveupdate_enabled())
		return -EOPNOTSUPP;
	if (cmd->flags & ~IOMMU_HWPT_LIVEUPDATE_RESTORE_STRICT)
		return -EOPNOTSUPP;

	restored = get_restored(ucmd->ictx, cmd->token);
	if (!restored)
		return -ENOENT;
	obj = &restored->hwpt_paging->common.obj;

	/* Can wait for userspace for ever, so nobody may wait for this. */
	cmd->out_hwpt_id = obj->id;
	cmd->out_alloc_flags = restored->alloc_flags;
	rc = iommufd_ucmd_respond(ucmd, sizeof(*cmd));
	if (rc)
		goto out_put;

	mutex_lock(&ucmd->ictx->liveupdate.lock);
	restored->claimed = true;
	restored->strict = cmd->flags & IOMMU_HWPT_LIVEUPDATE_RESTORE_STRICT;
	mutex_unlock(&ucmd->ictx->liveupdate.lock);

out_put:
	refcount_dec(&obj->users);
	return rc;
}
