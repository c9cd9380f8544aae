// SPDX-License-Identifier: GPL-2.0-only
/*
 * Make an entry that hardware uses into another one.
 */

/**
 * DOC: How an entry is switched
 *
 * Hardware may read the entry at any moment, and does so in parts of at least
 * 16 bytes. After each store it must find what one of the two entries says:
 *
 * =======================  ====================================================
 * context entry            128 bits with table and id: one 16-byte store.
 * (legacy mode)            The requester ids that alias the device go one by
 *                          one
 * PASID table entry,       512 bits, of which the first 128 hold table and id:
 * second stage             one 16-byte store
 * PASID table entry,       the id is in the first 128 bits and the table in the
 * first stage              second ones: one store for each. As hardware reads
 *                          the halves apart, it may tag translations of either
 *                          table with either id. So the table changes while the
 *                          id is one that no other device has: three stores,
 *                          after each of which the caches are invalidated
 * =======================  ====================================================
 *
 * Only the table and the id may change between the two stores; therefore first
 * stage entries which differ in more, as in the snooping of page walks, cannot
 * become each other. Neither can entries of different stages.
 *
 * Formats as in sections "Context Entry" and "Scalable-Mode PASID Table Entry"
 * of chapter 9 of the VT-d specification, not checked against a revision.
 */

#include <linux/array_size.h>
#include <linux/atomic.h>
#include <linux/bitfield.h>
#include <linux/bits.h>
#include <linux/errno.h>
#include <linux/types.h>

#include "iommu.h"
#include "pasid.h"
#include "replace.h"

#define PASID_ENTRY_PGTT	GENMASK_ULL(8, 6)
#define PASID_ENTRY_DID		GENMASK_ULL(15, 0)	/* of the second word */

/**
 * vtd_entry_store() - Write two words of an entry that hardware uses
 * @live: The words, aligned to 16 bytes
 * @words: What they shall be
 *
 * cmpxchg16b is the one store of 16 bytes that is never seen in parts. The loop
 * is not for other writers: it is there because a store that did not happen
 * would go unnoticed.
 *
 * Context: iommu->lock of the entry's unit is held. The caller flushes the CPU
 * cache if the unit does not snoop it.
 */
void vtd_entry_store(u64 *live, const u64 *words)
{
	u128 new = (u128)words[1] << 64 | words[0];
	u128 seen = (u128)live[1] << 64 | live[0];

	while (!try_cmpxchg128((u128 *)live, &seen, new))
		;
}

/**
 * pasid_entry_can_switch() - Whether one PASID table entry can become another
 * @live: The entry that hardware uses
 * @new: What it shall be
 *
 * Context: any. The entries must not change.
 * Return: 0 if pasid_entry_switch_step() never leaves @live in a state in which
 * hardware does something that neither of the two entries says. -EINVAL if it
 * would, as it does for entries of different stages.
 */
int pasid_entry_can_switch(const struct pasid_entry *live,
			   const struct pasid_entry *new)
{
	u64 differ = live->val[0] ^ new->val[0];
	u64 stage = FIELD_GET(PASID_ENTRY_PGTT, new->val[0]);
	int i;

	if (!(live->val[0] & new->val[0] & PASID_PTE_PRESENT) ||
	    differ & PASID_ENTRY_PGTT)
		return -EINVAL;

	for (i = 4; i < ARRAY_SIZE(live->val); i += 2)
		if (!vtd_entry_half_equal(&live->val[i], &new->val[i]))
			return -EINVAL;

	if (stage == PASID_ENTRY_PGTT_SL_ONLY)
		return vtd_entry_half_equal(&live->val[2], &new->val[2]) ?
			0 : -EINVAL;
	if (stage != PASID_ENTRY_PGTT_FL_ONLY || differ ||
	    (live->val[1] ^ new->val[1]) & ~PASID_ENTRY_DID)
		return -EINVAL;
	return 0;
}

/**
 * pasid_entry_switch_step() - Make one store on the way to another entry
 * @live: The entry that hardware uses
 * @new: What it shall be; pasid_entry_can_switch() agrees
 *
 * Context: iommu->lock of the entry's unit is held.
 * Return: false if nothing was left to do.
 */
bool pasid_entry_switch_step(struct pasid_entry *live,
			     const struct pasid_entry *new)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(live->val); i += 2) {
		if (vtd_entry_half_equal(&live->val[i], &new->val[i]))
			continue;
		vtd_entry_store(&live->val[i], &new->val[i]);
		return true;
	}
	return false;
}
