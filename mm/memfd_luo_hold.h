/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _MM_MEMFD_LUO_HOLD_H
#define _MM_MEMFD_LUO_HOLD_H

#include <linux/kho/abi/memfd.h>
#include <linux/types.h>

struct folio;

/**
 * struct memfd_luo_hold - Ownership of the folios of one preserved memfd.
 * @folios_ser: What the previous kernel recorded, NULL if that is unusable.
 * @nr_folios:  Number of entries in @folios_ser.
 * @nr_pages:   Size of the file in pages.
 * @nr_tried:   The entries below this one have been restored from KHO. If that
 *              failed for the last of them, its folio is left alone for good.
 * @nr_held:    The hold has a pin on the folios of the entries below this one.
 *
 * Not locked: LUO calls the operations of a file one at a time.
 */
struct memfd_luo_hold {
	struct memfd_luo_folio_ser *folios_ser;
	u64 nr_folios;
	u64 nr_pages;
	u64 nr_tried;
	u64 nr_held;
};

struct memfd_luo_hold *memfd_luo_hold_alloc(const struct memfd_luo_ser *ser);
int memfd_luo_hold_load(struct memfd_luo_hold *hold,
			const struct memfd_luo_ser *ser);
struct folio *memfd_luo_hold_folio(struct memfd_luo_hold *hold, u64 i);
void memfd_luo_hold_finish(struct memfd_luo_hold *hold,
			   const struct memfd_luo_ser *ser);

#endif /* _MM_MEMFD_LUO_HOLD_H */
