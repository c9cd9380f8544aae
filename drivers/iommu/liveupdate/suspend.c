// SPDX-License-Identifier: GPL-2.0-only
/*
 * While a device goes on, its unit may not go away, and the machine does not
 * sleep: IOMMU drivers switch translation off, and nobody is there to stop a
 * device that has no driver yet.
 */

#define pr_fmt(fmt) "iommu: liveupdate: " fmt

#include <linux/init.h>
#include <linux/iommu-liveupdate.h>
#include <linux/notifier.h>
#include <linux/suspend.h>

#include "core.h"

/**
 * iommu_liveupdate_under_way() - Does anything go on over a live update?
 *
 * Context: May sleep.
 *
 * Return: true from the first file that is preserved to the last one that is
 * unpreserved, and from the boot that a device came with to the last file that
 * is finished; for ever if what came cannot be read.
 */
bool iommu_liveupdate_under_way(void)
{
	return iommu_outgoing_exists() || iommu_incoming_unfinished();
}

/**
 * iommu_liveupdate_suspend() - The machine is about to sleep
 * @nb: Not used
 * @event: One of PM_HIBERNATION_PREPARE and so on
 * @data: Not used
 *
 * Context: May sleep.
 *
 * Return: -EBUSY as that of a notifier while a live update is under way,
 * NOTIFY_DONE otherwise.
 */
int iommu_liveupdate_suspend(struct notifier_block *nb, unsigned long event,
			     void *data)
{
	switch (event) {
	case PM_HIBERNATION_PREPARE:
	case PM_SUSPEND_PREPARE:
	case PM_RESTORE_PREPARE:
		if (!iommu_liveupdate_under_way())
			return NOTIFY_DONE;
		pr_warn("no sleep before the live update is over\n");
		return notifier_from_errno(-EBUSY);
	default:
		return NOTIFY_DONE;
	}
}

static struct notifier_block suspend_notifier = {
	.notifier_call = iommu_liveupdate_suspend,
};

static int __init suspend_init(void)
{
	return register_pm_notifier(&suspend_notifier);
}
late_initcall(suspend_init);
