// SPDX-License-Identifier: GPL-2.0

/**
 * DOC: Holding the memory of a preserved memfd
 *
 * A device may go on writing to the memory of a memfd through page tables that
 * the previous kernel built. Those name physical pages, so until the session is
 * finished each of these pages must stay what it was: memory of this file, at
 * this address. Being in the page cache does not ensure that. Reclaim,
 * migration, a hole punch, a truncation or a failed retrieve give a page away.
 *
 * A hold owns every folio that the previous kernel recorded, from retrieve to
 * finish. Each is in one of two states:
 *
 *   - not restored: KHO keeps it reserved, nobody in this kernel can get it;
 *   - restored: the hold has a pin on it, taken before the folio becomes
 *     visible to reclaim and migration. memfd_pin_folios() is no substitute. It
 *     moves folios away from where a lasting pin is unwelcome.
 *
 * A retrieve that fails half-way leaves folios in both states and gives none
 * away. Only finish does, and LUO finishes the files of a session in reverse
 * order of preservation: the devices and page tables that reach the memory
 * depend on it, were preserved after it, and are gone by then.
 */

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/align.h>
#include <linux/err.h>
#include <linux/errno.h>
#include <linux/kexec_handover.h>
#include <linux/math.h>
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/pfn.h>
#include <linux/printk.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "internal.h"
#include "memfd_luo_hold.h"

static int memfd_luo_hold_init(struct memfd_luo_hold *hold,
			       const struct memfd_luo_ser *ser)
{
	if (array_size(ser->nr_folios, sizeof(*hold->folios_ser)) >
	    PFN_PHYS((phys_addr_t)ser->folios.total_pages))
		return -EINVAL;

	*hold = (struct memfd_luo_hold){
		.nr_folios = ser->nr_folios,
		.nr_pages = DIV_ROUND_UP_ULL(ser->size, PAGE_SIZE),
	};

	return 0;
}

/**
 * memfd_luo_hold_alloc - Prepare a hold on the folios of a preserved memfd.
 * @ser: The serialized memfd.
 *
 * Touches nothing that was preserved.
 *
 * Context: May sleep.
 * Return: The hold, or an ERR_PTR():
 *         -EINVAL if @ser counts more folios than its array has room for.
 *         -ENOMEM on memory allocation failure.
 */
struct memfd_luo_hold *memfd_luo_hold_alloc(const struct memfd_luo_ser *ser)
{
	struct memfd_luo_hold *hold = kzalloc_obj(*hold);
	int err;

	if (!hold)
		return ERR_PTR(-ENOMEM);

	err = memfd_luo_hold_init(hold, ser);
	if (err) {
		kfree(hold);
		return ERR_PTR(err);
	}

	return hold;
}

/**
 * memfd_luo_hold_load - Take over the record of the previous kernel.
 * @hold: The hold, just allocated.
 * @ser:  The serialized memfd.
 *
 * Can be tried once. If it fails, what the record names stays reserved.
 *
 * Context: May sleep.
 * Return: 0 on success, -EINVAL if KHO cannot restore the record.
 */
int memfd_luo_hold_load(struct memfd_luo_hold *hold,
			const struct memfd_luo_ser *ser)
{
	hold->folios_ser = kho_restore_vmalloc(&ser->folios);
	if (!hold->folios_ser) {
		pr_warn("unable to restore the record of %llu folios, they stay reserved\n",
			hold->nr_folios);
		return -EINVAL;
	}

	return 0;
}

/* The page cache has a place for the folio, and inside the file. */
static bool memfd_luo_hold_fits(const struct memfd_luo_hold *hold, u64 index,
				unsigned long nr_pages)
{
	return IS_ALIGNED(index, nr_pages) && index < hold->nr_pages;
}

/**
 * memfd_luo_hold_folio - Restore a folio from KHO and pin it.
 * @hold: The hold, loaded.
 * @i:    Index of the entry; rises from one call to the next.
 *
 * The folio comes with a reference for the caller besides the pin of the hold.
 *
 * Context: May sleep.
 * Return: The folio, or an ERR_PTR():
 *         -EIO if KHO does not have it.
 *         -EINVAL if its recorded place is not one for a folio of its size.
 */
struct folio *memfd_luo_hold_folio(struct memfd_luo_hold *hold, u64 i)
{
	const struct memfd_luo_folio_ser *entry = &hold->folios_ser[i];
	struct folio *folio;

	hold->nr_tried = i + 1;

	folio = kho_restore_folio(PFN_PHYS(entry->pfn));
	if (!folio || try_grab_folio(folio, 1, FOLL_PIN))
		return ERR_PTR(-EIO);

	hold->nr_held = i + 1;

	if (!memfd_luo_hold_fits(hold, entry->index, folio_nr_pages(folio))) {
		folio_put(folio);
		return ERR_PTR(-EINVAL);
	}

	return folio;
}

/* The folio was never restored: nobody but the hold can be using it. */
static void memfd_luo_hold_discard(u64 pfn)
{
	struct folio *folio = kho_restore_folio(PFN_PHYS(pfn));

	if (!folio) {
		pr_warn_ratelimited("Unable to restore folio at physical address: %llx\n",
				    (u64)PFN_PHYS(pfn));
		return;
	}

	folio_put(folio);
}

static void memfd_luo_hold_release(struct memfd_luo_hold *hold)
{
	for (u64 i = 0; i < hold->nr_folios; i++) {
		u64 pfn = hold->folios_ser[i].pfn;

		if (!pfn)
			continue;

		if (i < hold->nr_held)
			unpin_folio(pfn_folio(pfn));
		else if (i >= hold->nr_tried)
			memfd_luo_hold_discard(pfn);
		cond_resched();
	}

	vfree(hold->folios_ser);
}

/**
 * memfd_luo_hold_finish - Give up the memory of a preserved memfd.
 * @hold: The hold of its retrieve, NULL if that did not get so far or was never
 *        tried. Freed.
 * @ser:  The serialized memfd.
 *
 * Folios in the page cache of the retrieved file stay there as ordinary folios,
 * all others are freed. Nothing may reach the memory by its physical address
 * any more.
 *
 * Context: May sleep.
 */
void memfd_luo_hold_finish(struct memfd_luo_hold *hold,
			   const struct memfd_luo_ser *ser)
{
	struct memfd_luo_hold fresh = {};
	int err;

	if (hold) {
		if (hold->folios_ser)
			memfd_luo_hold_release(hold);
		kfree(hold);
		return;
	}

	if (!ser->nr_folios)
		return;

	err = memfd_luo_hold_init(&fresh, ser);
	if (err)
		pr_warn("%llu folios stay reserved: %pe\n", ser->nr_folios,
			ERR_PTR(err));
	else if (!memfd_luo_hold_load(&fresh, ser))
		memfd_luo_hold_release(&fresh);
}

#ifdef CONFIG_LIVEUPDATE_KUNIT_TEST
#include "tests/memfd_luo_hold_kunit.c"
#endif
