// SPDX-License-Identifier: GPL-2.0-only

/**
 * DOC: Live update of an iommufd
 *
 * An iommufd can be preserved in a session of the Live Update Orchestrator
 * (LUO). The devices of the session then use the page tables of its HWPTs
 * without a gap, in this kernel, while none runs, and in the next one.
 *
 * Preserved Properties
 * ====================
 *
 * HWPTs
 *   Those that are marked with IOMMU_HWPT_LIVEUPDATE_PRESERVE, with their page
 *   tables and their tokens. They have no IOAS in the next kernel.
 *
 * Attachments
 *   Of a device whose file is preserved in the same session, to such a HWPT.
 *
 * Non-Preserved Properties
 * ========================
 *
 * Everything else, and in particular:
 *
 * Object IDs
 *   Tokens are the names that last.
 *
 * IOASes, and the HWPTs that are not marked
 *   Userspace makes new ones from the memfds of the session.
 *
 * Options, limits and accounting
 *   Those of a newly opened iommufd.
 */

#define pr_fmt(fmt) "iommufd: liveupdate: " fmt

#include <linux/anon_inodes.h>
#include <linux/cleanup.h>
#include <linux/err.h>
#include <linux/file.h>
#include <linux/iommu-liveupdate.h>
#include <linux/liveupdate.h>
#include <linux/module.h>
#include <linux/slab.h>

#include "liveupdate_preserve.h"
#include "liveupdate_restore.h"

static struct iommufd_ctx *ctx_of(struct file *file)
{
	return file->private_data;
}

static bool can_preserve(struct liveupdate_file_handler *handler,
			 struct file *file)
{
	return file->f_op == &iommufd_fops;
}

static int preserve(struct liveupdate_file_op_args *args)
{
	return iommufd_preserve(ctx_of(args->file), args->session,
				&args->serialized_data);
}

static void unpreserve(struct liveupdate_file_op_args *args)
{
	iommufd_unpreserve(ctx_of(args->file));
}

static int freeze(struct liveupdate_file_op_args *args)
{
	return iommufd_freeze(ctx_of(args->file), args->session);
}

/* As if /dev/iommu had been opened */
static struct file *create_file(void)
{
	struct iommufd_ctx *ictx;
	struct file *file;

	ictx = iommufd_ctx_alloc();
	if (!ictx)
		return ERR_PTR(-ENOMEM);

	file = anon_inode_getfile("[iommufd]", &iommufd_fops, ictx, O_RDWR);
	if (IS_ERR(file)) {
		kfree(ictx);
		return file;
	}
	ictx->file = file;
	return file;
}

static int create_all(struct iommufd_ctx *ictx,
		      struct iommufd_incoming *incoming)
{
	u32 i;
	int rc;

	for (i = 0; i < incoming->ser->nr_hwpts; i++) {
		rc = iommufd_restored_create(ictx, incoming,
					     &incoming->hwpts[i]);
		if (rc)
			return rc;
	}
	return 0;
}

static int retrieve(struct liveupdate_file_op_args *args)
{
	struct iommufd_incoming *incoming;
	struct iommufd_ctx *ictx;
	struct file *file;
	int rc;

	incoming = iommufd_incoming_open(args->serialized_data);
	if (IS_ERR(incoming))
		return PTR_ERR(incoming);
	/* Freed in finish(), whether or not this succeeds. */
	args->private_data = incoming;

	rc = iommufd_incoming_load(incoming);
	if (rc)
		return rc;
	rc = iommufd_incoming_check(incoming);
	if (rc)
		return rc;

	file = create_file();
	if (IS_ERR(file))
		return PTR_ERR(file);
	ictx = ctx_of(file);

	rc = create_all(ictx, incoming);
	if (rc) {
		/* Takes the HWPTs with it. */
		fput(file);
		return rc;
	}

	scoped_guard(mutex, &ictx->liveupdate.lock)
		ictx->liveupdate.incoming = incoming;
	args->file = file;
	return 0;
}

/*
 * Nobody has the iommufd: then it has to be known whose DMA uses the memory of
 * the session. What it was is only looked at here, and stays. If there was no
 * memory to read all of it the files of devices have to do.
 */
static bool is_understood(struct liveupdate_file_op_args *args)
{
	struct iommufd_incoming *incoming;

	if (args->private_data)
		return true;
	incoming = iommufd_incoming_open(args->serialized_data);
	if (IS_ERR(incoming)) {
		pr_warn_ratelimited("a session cannot be finished, it is not known what the previous kernel left of an iommufd: %pe\n",
				    incoming);
		return false;
	}
	kfree(incoming);
	return true;
}

static bool can_finish(struct liveupdate_file_op_args *args)
{
	if (args->retrieve_status <= 0)
		return is_understood(args);
	return !iommufd_restored_in_use(ctx_of(args->file));
}

/*
 * Files are finished in the reverse order of preservation: devices before this,
 * the memory last.
 */
static void finish(struct liveupdate_file_op_args *args)
{
	struct iommufd_incoming *incoming = args->private_data;

	/* Nobody has asked, or there was no memory to look. See can_finish() */
	if (!incoming) {
		incoming = iommufd_incoming_open(args->serialized_data);
		if (IS_ERR(incoming)) {
			pr_warn("what the previous kernel left stays reserved: %pe\n",
				incoming);
			return;
		}
		iommufd_incoming_load(incoming);
	}
	iommufd_incoming_stop(incoming);
	if (args->retrieve_status > 0)
		iommufd_restored_finish(ctx_of(args->file));
	iommufd_incoming_free(incoming);
}

static const struct liveupdate_file_ops iommufd_liveupdate_ops = {
	.can_preserve = can_preserve,
	.preserve = preserve,
	.unpreserve = unpreserve,
	.freeze = freeze,
	.retrieve = retrieve,
	.can_finish = can_finish,
	.finish = finish,
	.owner = THIS_MODULE,
};

static struct liveupdate_file_handler iommufd_liveupdate_handler = {
	.ops = &iommufd_liveupdate_ops,
	.compatible = IOMMUFD_LUO_COMPATIBLE,
};

/**
 * iommufd_liveupdate_register() - Let iommufds be preserved
 *
 * LUO takes a reference to the module with each file that it preserves or that
 * came from the previous kernel, and none for the registration. So the module
 * can be unloaded whenever there is no such file, and there is no need to wait
 * for the first iommufd to be opened.
 *
 * Context: May sleep.
 *
 * Return: 0, also if live update is off, or the error of
 * liveupdate_register_file_handler() or liveupdate_register_flb().
 */
int iommufd_liveupdate_register(void)
{
	int rc;

	rc = liveupdate_register_file_handler(&iommufd_liveupdate_handler);
	if (rc)
		return rc == -EOPNOTSUPP ? 0 : rc;

	rc = iommu_liveupdate_register(&iommufd_liveupdate_handler);
	if (rc)
		liveupdate_unregister_file_handler(&iommufd_liveupdate_handler);
	return rc;
}

/**
 * iommufd_liveupdate_unregister() - Undo iommufd_liveupdate_register()
 *
 * Context: May sleep.
 */
void iommufd_liveupdate_unregister(void)
{
	if (!liveupdate_enabled())
		return;
	iommu_liveupdate_unregister(&iommufd_liveupdate_handler);
	liveupdate_unregister_file_handler(&iommufd_liveupdate_handler);
}
