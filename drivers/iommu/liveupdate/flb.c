// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is left from one kernel to the next lives and ends with the files that
 * depend on it: from the preservation of the first to that of the last.
 *
 * LUO counts those files, and everybody who gets the object. The core does not
 * hold a reference between calls, because what crosses the kexec is the count.
 */

#include <linux/export.h>
#include <linux/iommu-liveupdate.h>
#include <linux/liveupdate.h>

#include "incoming.h"

static int flb_preserve(struct liveupdate_flb_op_args *args)
{
	int err = iommu_outgoing_create(&args->data);

	if (err)
		return err;
	/* LUO wants one to know that there is one. */
	args->obj = args->flb;
	return 0;
}

static void flb_unpreserve(struct liveupdate_flb_op_args *args)
{
	iommu_outgoing_destroy();
}

static int flb_retrieve(struct liveupdate_flb_op_args *args)
{
	int err = iommu_incoming_start(args->data);

	if (err)
		return err;
	args->obj = args->flb;
	return 0;
}

static void flb_finish(struct liveupdate_flb_op_args *args)
{
	iommu_incoming_finish();
}

static const struct liveupdate_flb_ops flb_ops = {
	.preserve = flb_preserve,
	.unpreserve = flb_unpreserve,
	.retrieve = flb_retrieve,
	.finish = flb_finish,
	.owner = THIS_MODULE,
};

static struct liveupdate_flb iommu_flb = {
	.ops = &flb_ops,
	.compatible = IOMMU_FLB_COMPATIBLE,
};

/**
 * iommu_incoming_look() - See whether the previous kernel left something
 *
 * Context: May sleep. Neither under a group's mutex nor iommu_incoming_lock:
 * LUO calls the functions above with its lock held.
 *
 * Return: 0 if there is something and it is read. -ENOENT if there is nothing,
 * or nothing any more. -EOPNOTSUPP if live update is off. Any other error if
 * there is something that cannot be read.
 */
int iommu_incoming_look(void)
{
	void *unused;
	int err;

	/* The self test has no file. */
	if (READ_ONCE(iommu_incoming_state))
		return 0;

	err = liveupdate_flb_get_incoming(&iommu_flb, &unused);
	if (err)
		return err == -ENODATA ? -ENOENT : err;

	liveupdate_flb_put_incoming(&iommu_flb);
	return 0;
}

/**
 * iommu_liveupdate_register() - Let a kind of file depend on IOMMUs
 * @handler: Handler of the files, registered with LUO
 *
 * Context: May sleep.
 *
 * Return: 0, or the error of liveupdate_register_flb().
 */
int iommu_liveupdate_register(struct liveupdate_file_handler *handler)
{
	return liveupdate_register_flb(handler, &iommu_flb);
}
EXPORT_SYMBOL_NS_GPL(iommu_liveupdate_register, "IOMMUFD_INTERNAL");

/**
 * iommu_liveupdate_unregister() - Undo iommu_liveupdate_register()
 * @handler: The handler
 *
 * Context: May sleep.
 */
void iommu_liveupdate_unregister(struct liveupdate_file_handler *handler)
{
	liveupdate_unregister_flb(handler, &iommu_flb);
}
EXPORT_SYMBOL_NS_GPL(iommu_liveupdate_unregister, "IOMMUFD_INTERNAL");
