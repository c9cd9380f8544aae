// SPDX-License-Identifier: GPL-2.0-only

/**
 * DOC: IOMMU live update: the kernel that comes
 *
 * Hardware translates for a preserved device before this kernel knows that the
 * device exists, and must not stop. The records say how. They are read once,
 * when the first IOMMU driver asks, and either all of them are right or none
 * is used.
 *
 *   - A driver asks for the record of each of its units, and adopts the unit
 *     as it runs, or blocks all DMA through it and says that it failed.
 *   - A device is looked up before its IOMMU driver sees it. When its group
 *     would get a default domain, it is attached to the recorded page table
 *     instead, in software only. From then on the group's DMA is owned by
 *     the live update: no kernel driver and no other file can have it.
 *   - The file that the device was preserved with claims it, without any
 *     change that hardware could see, and replaces the domain when it likes.
 *   - A device that nobody claims is stopped and given a default domain when
 *     the files are finished.
 *
 * A device that is not what the record says is not trusted: its requester ids
 * are blocked, its bus mastering is cleared, and whoever claims it gets the
 * error. Never is it given another domain while the recorded one is live.
 *
 * A restored domain costs the same whatever is mapped. The walk over its tables
 * is done when it is freed, by when the device uses other ones.
 */

#define pr_fmt(fmt) "iommu: liveupdate: " fmt

#include <linux/cleanup.h>
#include <linux/delay.h>
#include <linux/err.h>
#include <linux/export.h>
#include <linux/iommu.h>
#include <linux/slab.h>

#include "incoming.h"

/* For memory that is needed to free more of it */
#define BUILD_RETRIES	10
#define BUILD_RETRY_MS	20

DEFINE_MUTEX(iommu_incoming_lock); /* See incoming.h */
struct iommu_incoming_state *iommu_incoming_state;

static int insert_copy(struct xarray *xa, u32 id, void *object)
{
	int err;

	if (!object)
		return -ENOMEM;
	err = xa_insert(xa, id, object, GFP_KERNEL);
	if (err)
		kfree(object);
	return err;
}

static int insert_units(struct iommu_incoming_state *state)
{
	const struct iommu_hw_ser *ser = NULL;

	while ((ser = iommu_incoming_next(state->records, IOMMU_SER_UNITS,
					  ser ? ser->id : 0))) {
		struct iommu_restored_unit *unit = kzalloc_obj(*unit);
		int err = insert_copy(&state->units, ser->id, unit);

		if (err)
			return err;
	}
	return 0;
}

static int insert_domains(struct iommu_incoming_state *state)
{
	const struct iommu_domain_ser *ser = NULL;

	while ((ser = iommu_incoming_next(state->records, IOMMU_SER_DOMAINS,
					  ser ? ser->id : 0))) {
		struct iommu_restored_domain *domain = kzalloc_obj(*domain);
		int err;

		if (domain) {
			kref_init(&domain->kref);
			domain->ser = *ser;
		}
		err = insert_copy(&state->domains, ser->id, domain);
		if (err)
			return err;
	}
	return 0;
}

static int insert_devices(struct iommu_incoming_state *state)
{
	const struct iommu_device_ser *ser = NULL;

	while ((ser = iommu_incoming_next(state->records, IOMMU_SER_DEVICES,
					  ser ? ser->id : 0))) {
		struct iommu_restored_device *device = kzalloc_obj(*device);
		int err;

		if (device) {
			kref_init(&device->kref);
			device->ser = *ser;
		}
		err = insert_copy(&state->devices, ser->id, device);
		if (err)
			return err;
	}
	return 0;
}

static void free_state(struct iommu_incoming_state *state)
{
	struct iommu_restored_domain *domain;
	struct iommu_restored_device *device;
	struct iommu_restored_unit *unit;
	unsigned long id;

	xa_for_each(&state->devices, id, device)
		iommu_restored_device_put(device);
	xa_for_each(&state->domains, id, domain)
		iommu_restored_domain_unref(domain);
	xa_for_each(&state->units, id, unit)
		kfree(unit);
	xa_destroy(&state->devices);
	xa_destroy(&state->domains);
	xa_destroy(&state->units);
	kfree(state);
}

/*
 * All memory that is needed until the last device is found is allocated here.
 * Later a failure would concern a device that already runs.
 */
static struct iommu_incoming_state *read_state(u64 phys)
{
	struct iommu_incoming_state *state = kzalloc_obj(*state);
	int err;

	if (!state)
		return ERR_PTR(-ENOMEM);

	xa_init(&state->units);
	xa_init(&state->domains);
	xa_init(&state->devices);
	state->records = iommu_incoming_open(phys);
	if (IS_ERR(state->records)) {
		err = PTR_ERR(state->records);
		goto err_free;
	}

	err = insert_units(state);
	if (!err)
		err = insert_domains(state);
	if (!err)
		err = insert_devices(state);
	if (err)
		goto err_close;
	return state;

err_close:
	iommu_incoming_close(state->records);
err_free:
	free_state(state);
	return ERR_PTR(err);
}

/**
 * iommu_incoming_start() - Read what the previous kernel left
 * @phys: Physical address of the root of the records
 *
 * Context: May sleep.
 *
 * Return: 0, -EBUSY if there is something already, -ENOMEM, or the error of
 * iommu_incoming_open(), -EINVAL in place of its -ENOENT. Nothing is known of
 * any unit then.
 */
int iommu_incoming_start(u64 phys)
{
	struct iommu_incoming_state *state;

	guard(mutex)(&iommu_incoming_lock);
	if (iommu_incoming_state)
		return -EBUSY;

	state = read_state(phys);
	if (IS_ERR(state)) {
		pr_err("cannot rely on what the previous kernel left: %pe\n",
		       state);
		/* To everybody else -ENOENT means that it left nothing. */
		return state == ERR_PTR(-ENOENT) ? -EINVAL : PTR_ERR(state);
	}

	iommu_incoming_state = state;
	return 0;
}

/* Page tables that nobody asked for become memory of this kernel, to be freed. */
static void build_unused_domains(struct iommu_incoming_state *state)
{
	struct iommu_restored_domain *restored;
	unsigned long id;

	lockdep_assert_held(&iommu_incoming_lock);
	xa_for_each(&state->domains, id, restored) {
		int err = iommu_restored_domain_build(restored, NULL);

		/* Nobody can be told, and the pages cannot be had later. */
		for (int i = 0; err == -ENOMEM && i < BUILD_RETRIES; i++) {
			msleep(BUILD_RETRY_MS);
			err = iommu_restored_domain_build(restored, NULL);
		}
		if (err)
			pr_warn("domain %lu: %llu pages of its table are lost: %pe\n",
				id, restored->ser.pt.nr_tables, ERR_PTR(err));
	}
}

/**
 * iommu_incoming_finish() - Give up what nobody has taken, and forget the rest
 *
 * Devices that were not claimed are stopped before what they used is freed.
 * Those that were claimed go on.
 *
 * Context: May sleep. Takes the mutex of the devices' groups.
 */
void iommu_incoming_finish(void)
{
	struct iommu_incoming_state *state;
	struct iommu_restored_device *device;
	unsigned long id;

	/* Only the caller, who is alone, changes it from something to nothing. */
	state = READ_ONCE(iommu_incoming_state);
	if (WARN_ON(!state))
		return;

	xa_for_each(&state->devices, id, device)
		iommu_discard_restored_device(id);

	scoped_guard(mutex, &iommu_incoming_lock) {
		build_unused_domains(state);
		iommu_incoming_state = NULL;
	}

	iommu_incoming_free(state->records);
	free_state(state);
}

/**
 * iommu_incoming_unfinished() - Is there something from the previous kernel?
 *
 * Context: May sleep.
 *
 * Return: True until all files that came over are finished, and for ever if
 * what came cannot be read.
 */
bool iommu_incoming_unfinished(void)
{
	int err = iommu_incoming_look();

	return err != -ENOENT && err != -EOPNOTSUPP;
}

static bool is_unit(const struct iommu_hw_ser *unit, u32 type, u64 key)
{
	return unit->type == type && iommu_record_unit_key(unit) == key;
}

/**
 * iommu_incoming_unit() - Look up the record of a unit
 * @type: IOMMU_SER_TYPE number of the driver
 * @key: What identifies the unit: for VT-d the physical address of its registers
 * @unit: Set to the record, which is there until all files are finished
 *
 * Context: May sleep. Not under a group's mutex. From early_initcall on.
 *
 * Return: 0. -ENOENT if the previous kernel left nothing about the unit. Any
 * other error, -EOPNOTSUPP if live update is off included, if that cannot be
 * known: if the unit translates, nobody can tell for whom.
 */
int iommu_incoming_unit(u32 type, u64 key, const struct iommu_hw_ser **unit)
{
	const struct iommu_hw_ser *ser = NULL;
	int err;

	err = iommu_incoming_look();
	if (err)
		return err;

	guard(mutex)(&iommu_incoming_lock);
	if (!iommu_incoming_state)
		return -ENOENT;

	while ((ser = iommu_incoming_next(iommu_incoming_state->records,
					  IOMMU_SER_UNITS, ser ? ser->id : 0))) {
		if (is_unit(ser, type, key)) {
			*unit = ser;
			return 0;
		}
	}
	return -ENOENT;
}
EXPORT_SYMBOL_NS_GPL(iommu_incoming_unit, "IOMMUFD_INTERNAL");

/**
 * iommu_incoming_unit_adopted() - The unit does what its record says
 * @unit: The record
 * @iommu: The unit. It need not be registered yet, and may never be. NULL if it
 *         is about to be freed: what only its devices used is lost until reboot
 *
 * From now on devices of the unit are restored, unless the driver says that it
 * failed.
 *
 * Context: May sleep.
 */
void iommu_incoming_unit_adopted(const struct iommu_hw_ser *unit,
				 struct iommu_device *iommu)
{
	struct iommu_restored_unit *restored;

	guard(mutex)(&iommu_incoming_lock);
	restored = xa_load(&iommu_incoming_state->units, unit->id);
	restored->iommu = iommu;
}
EXPORT_SYMBOL_NS_GPL(iommu_incoming_unit_adopted, "IOMMUFD_INTERNAL");

/**
 * iommu_incoming_unit_failed() - The unit was blocked
 * @unit: The record
 * @err: Why. If it failed before, the first reason stays
 *
 * The driver has seen to it that nothing is translated any more, or does before
 * user space runs. Whoever claims a device of the unit gets @err, until all
 * files are finished. If the driver also calls iommu_incoming_unit_adopted(),
 * before or after, the unit is asked to give back the page tables that only its
 * devices used. Otherwise their memory is lost until reboot.
 *
 * Context: May sleep.
 */
void iommu_incoming_unit_failed(const struct iommu_hw_ser *unit, int err)
{
	struct iommu_restored_device *device;
	struct iommu_restored_unit *restored;
	unsigned long id;

	guard(mutex)(&iommu_incoming_lock);
	restored = xa_load(&iommu_incoming_state->units, unit->id);
	if (!restored->err)
		restored->err = err;

	xa_for_each(&iommu_incoming_state->devices, id, device) {
		if (device->ser.unit_id == unit->id) {
			device->state = IOMMU_RESTORED_FAILED;
			device->err = restored->err;
		}
	}
}
EXPORT_SYMBOL_NS_GPL(iommu_incoming_unit_failed, "IOMMUFD_INTERNAL");

/**
 * iommu_incoming_unit_device() - Iterate over the devices of a unit
 * @unit: The record of the unit
 * @previous: What the last call returned, NULL for the first
 *
 * Context: May sleep.
 *
 * Return: The record of a device, which is there until all files are finished,
 * or NULL if there are no more.
 */
const struct iommu_device_ser *
iommu_incoming_unit_device(const struct iommu_hw_ser *unit,
			   const struct iommu_device_ser *previous)
{
	guard(mutex)(&iommu_incoming_lock);
	do {
		previous = iommu_incoming_next(iommu_incoming_state->records,
					       IOMMU_SER_DEVICES,
					       previous ? previous->id : 0);
	} while (previous && previous->unit_id != unit->id);
	return previous;
}
EXPORT_SYMBOL_NS_GPL(iommu_incoming_unit_device, "IOMMUFD_INTERNAL");

/* The unit of a device, or an ERR_PTR: why it was not adopted */
struct iommu_device *iommu_incoming_unit_of(const struct iommu_device_ser *ser)
{
	struct iommu_restored_unit *unit;

	lockdep_assert_held(&iommu_incoming_lock);
	unit = xa_load(&iommu_incoming_state->units, ser->unit_id);
	if (unit->err)
		return ERR_PTR(unit->err);
	return unit->iommu ?: ERR_PTR(-ENODEV);
}
