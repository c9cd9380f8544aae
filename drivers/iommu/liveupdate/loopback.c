// SPDX-License-Identifier: GPL-2.0-only
/*
 * Both kernels of a live update in one, for iommufd's self test: it calls what
 * LUO calls of the FLB, in the order in which two kernels would see it.
 */

#include <linux/cleanup.h>
#include <linux/export.h>
#include <linux/mutex.h>

#include "core.h"
#include "loopback.h"

bool iommu_loopback;

/* Protects the two below. Taken before all locks of the core. */
static DEFINE_MUTEX(loopback_lock);
static enum iommu_loopback_state loopback_state;
static u64 loopback_phys;

/**
 * iommu_loopback_state() - How far is the live update?
 *
 * Context: May sleep.
 *
 * Return: The state, which stays if the caller is the only one to change it.
 */
enum iommu_loopback_state iommu_loopback_state(void)
{
	guard(mutex)(&loopback_lock);
	return loopback_state;
}
EXPORT_SYMBOL_NS_GPL(iommu_loopback_state, "IOMMUFD_INTERNAL");

/**
 * iommu_loopback_begin() - Begin to leave something to the next kernel
 *
 * Context: May sleep.
 *
 * Return: 0, or the error of iommu_outgoing_create().
 */
int iommu_loopback_begin(void)
{
	u64 phys;
	int err;

	guard(mutex)(&loopback_lock);
	err = iommu_outgoing_create(&phys);
	if (err)
		return err;

	loopback_phys = phys;
	loopback_state = IOMMU_LOOPBACK_LEAVING;
	return 0;
}
EXPORT_SYMBOL_NS_GPL(iommu_loopback_begin, "IOMMUFD_INTERNAL");

/**
 * iommu_loopback_abort() - Leave nothing to the next kernel
 *
 * All that was preserved is unpreserved.
 *
 * Context: May sleep.
 *
 * Return: 0, or -ENOENT if this has not begun.
 */
int iommu_loopback_abort(void)
{
	guard(mutex)(&loopback_lock);
	if (loopback_state != IOMMU_LOOPBACK_LEAVING)
		return -ENOENT;

	iommu_outgoing_destroy();
	loopback_state = IOMMU_LOOPBACK_IDLE;
	return 0;
}
EXPORT_SYMBOL_NS_GPL(iommu_loopback_abort, "IOMMUFD_INTERNAL");

/**
 * iommu_loopback_handover() - Leave, and come
 *
 * What this kernel knows of all that is preserved is forgotten, and the records
 * are read. If they cannot be read, it can be tried again.
 *
 * Context: May sleep. Nobody preserves or unpreserves at the same time.
 *
 * Return: 0, -ENOENT if this has not begun, or the error of
 * iommu_incoming_start().
 */
int iommu_loopback_handover(void)
{
	int err;

	guard(mutex)(&loopback_lock);
	if (loopback_state == IOMMU_LOOPBACK_LEAVING) {
		iommu_outgoing_forget();
		WRITE_ONCE(iommu_loopback, true);
		loopback_state = IOMMU_LOOPBACK_BETWEEN;
	}
	if (loopback_state != IOMMU_LOOPBACK_BETWEEN)
		return -ENOENT;

	err = iommu_incoming_start(loopback_phys);
	if (err)
		return err;

	loopback_state = IOMMU_LOOPBACK_COMING;
	return 0;
}
EXPORT_SYMBOL_NS_GPL(iommu_loopback_handover, "IOMMUFD_INTERNAL");

/**
 * iommu_loopback_finish() - The files that came over are finished
 *
 * Context: May sleep.
 *
 * Return: 0, or -ENOENT if nothing came over.
 */
int iommu_loopback_finish(void)
{
	guard(mutex)(&loopback_lock);
	if (loopback_state != IOMMU_LOOPBACK_COMING)
		return -ENOENT;

	iommu_incoming_finish();
	loopback_state = IOMMU_LOOPBACK_IDLE;
	return 0;
}
EXPORT_SYMBOL_NS_GPL(iommu_loopback_finish, "IOMMUFD_INTERNAL");
