// SPDX-License-Identifier: GPL-2.0-only
/*
 * Replace the domain of a requester id while its device does DMA.
 */

/**
 * DOC: Hitless replace
 *
 * A device that runs has its domain replaced when its user builds new page
 * tables for it: iommufd's replace, and after a live update the step from the
 * page table that the previous kernel left to one of this kernel. At each
 * moment the device is translated by one of the two domains.
 *
 * Life of a replace
 * =================
 *
 * 1. The new domain gets an id on the unit and cache tags, so that what is
 *    unmapped from it is invalidated from the first translation on.
 * 2. The new entry is made aside and compared with the live one. What cannot
 *    be switched is refused; until here nothing has changed for hardware, and
 *    what was acquired is given back in reverse.
 * 3. The entry is switched (entry_switch.c), a first stage entry by way of an id
 *    that only this device has. Nothing can fail from here on.
 * 4. Hardware may have cached the old entry and translations of either table,
 *    so the caches are invalidated from the entry down to the device.
 * 5. The old domain loses its tags and its id, in this order: until 4 is over,
 *    what is unmapped from it has to be invalidated as well.
 *
 * Locking
 * =======
 *
 * The group's mutex serialises attachments of the device. domain->lock of both
 * domains, taken in the order of their addresses, and iommu->lock inside make
 * the switch one step for those who change all entries of a domain, which are
 * dirty tracking and enforced snooping.
 */

#define dev_fmt(fmt)	"DMAR: " fmt

#include <linux/array_size.h>
#include <linux/bitfield.h>
#include <linux/bits.h>
#include <linux/cleanup.h>
#include <linux/cpufeature.h>
#include <linux/idr.h>
#include <linux/iommu.h>
#include <linux/minmax.h>
#include <linux/pci.h>
#include <linux/spinlock.h>

#include "iommu.h"
#include "pasid.h"
#include "replace.h"

#define CONTEXT_ENTRY_TT	GENMASK_ULL(3, 2)

struct replacement {
	struct device_domain_info *info;
	struct intel_iommu *iommu;
	struct dmar_domain *domain;
	struct dmar_domain *old;
	u16 did;
	u16 old_did;
	u16 own_did;	/* first stage: nobody's but this device's, meanwhile */
};

/* An entry has the id of what is attached, unless somebody lost track. */
static int entry_is_foreign(struct replacement *r, u16 did)
{
	dev_err_ratelimited(r->info->dev,
			    "domain %u is attached, domain %u is translating\n",
			    r->old_did, did);
	return -EBUSY;
}

/* One store, after which nothing that hardware knew of an id is used any more. */
static void pasid_hop(struct replacement *r, struct pasid_entry *live,
		      const struct pasid_entry *entry, u16 forget)
{
	while (pasid_entry_switch_step(live, entry))
		;
	__iommu_flush_cache(r->iommu, live, sizeof(*live));
	qi_flush_pasid_cache(r->iommu, forget, QI_PC_PASID_SEL, IOMMU_NO_PASID);
	qi_flush_piotlb_all(r->iommu, forget, IOMMU_NO_PASID);
}

/*
 * First the id becomes one that no other device has, then the table, then the
 * id of the new domain. So no translation of the one table is ever tagged with
 * the other one's id, by which other devices would find it.
 */
static void pasid_switch_first_stage(struct replacement *r,
				     struct pasid_entry *live,
				     const struct pasid_entry *new)
{
	struct pasid_entry entry = *live;

	pasid_set_domain_id(&entry, r->own_did);
	pasid_hop(r, live, &entry, r->old_did);
	entry = *new;
	pasid_set_domain_id(&entry, r->own_did);
	pasid_hop(r, live, &entry, r->own_did);
	pasid_hop(r, live, new, r->own_did);
}

static int pasid_replace(struct replacement *r)
{
	struct pasid_entry *live, new;
	phys_addr_t fsptptr;
	unsigned int flags;
	int ret;

	live = intel_pasid_get_entry(r->info->dev, IOMMU_NO_PASID);
	if (!live)
		return -ENODEV;
	if (!pasid_pte_is_present(live) ||
	    pasid_get_domain_id(live) != r->old_did)
		return entry_is_foreign(r, pasid_get_domain_id(live));

	if (intel_domain_is_fs_paging(r->domain)) {
		ret = domain_config_first_level(r->domain, &fsptptr, &flags);
		if (ret)
			return ret;
		pasid_pte_config_first_level(r->iommu, &new, fsptptr, r->did,
					     flags);
	} else {
		pasid_pte_config_second_level(r->iommu, &new, r->domain,
					      r->did);
	}

	ret = pasid_entry_can_switch(live, &new);
	if (ret)
		return ret;

	if (intel_domain_is_fs_paging(r->domain)) {
		pasid_switch_first_stage(r, live, &new);
		return 0;
	}
	while (pasid_entry_switch_step(live, &new))
		;
	__iommu_flush_cache(r->iommu, live, sizeof(*live));
	return 0;
}

static struct context_entry *alias_entry(struct replacement *r, u16 alias,
					 struct context_entry *new)
{
	struct context_entry *live;

	live = iommu_context_addr(r->iommu, PCI_BUS_NUM(alias), alias & 0xff, 0);
	if (live)
		context_config_second_level(new, r->domain, r->did,
					    FIELD_GET(CONTEXT_ENTRY_TT,
						      live->lo));
	return live;
}

static int context_can_switch(struct pci_dev *pdev, u16 alias, void *data)
{
	struct context_entry *live, new;
	struct replacement *r = data;
	u64 tt;

	live = alias_entry(r, alias, &new);
	if (!live)
		return -ENODEV;
	tt = FIELD_GET(CONTEXT_ENTRY_TT, live->lo);
	if (!context_present(live) || (tt != CONTEXT_TT_MULTI_LEVEL &&
				       tt != CONTEXT_TT_DEV_IOTLB))
		return -EBUSY;

	/* Another device of the group may share the alias and came first. */
	if (context_domain_id(live) != r->old_did &&
	    !vtd_entry_half_equal(&live->lo, &new.lo))
		return entry_is_foreign(r, context_domain_id(live));
	return 0;
}

static int context_switch_alias(struct pci_dev *pdev, u16 alias, void *data)
{
	struct context_entry *live, new;
	struct replacement *r = data;

	live = alias_entry(r, alias, &new);
	vtd_entry_store(&live->lo, &new.lo);
	__iommu_flush_cache(r->iommu, live, sizeof(*live));
	return 0;
}

static int context_flush_alias(struct pci_dev *pdev, u16 alias, void *data)
{
	struct replacement *r = data;

	r->iommu->flush.flush_context(r->iommu, r->old_did, alias,
				      DMA_CCMD_MASK_NOBIT,
				      DMA_CCMD_DEVICE_INVL);
	return 0;
}

static int call_for_aliases(struct replacement *r,
			    int (*fn)(struct pci_dev *, u16, void *))
{
	struct device_domain_info *info = r->info;

	if (!dev_is_pci(info->dev))
		return fn(NULL, PCI_DEVID(info->bus, info->devfn), r);
	return pci_for_each_dma_alias(to_pci_dev(info->dev), fn, r);
}

static int context_replace(struct replacement *r)
{
	int ret;

	ret = call_for_aliases(r, context_can_switch);
	if (ret)
		return ret;
	return call_for_aliases(r, context_switch_alias);
}

/* Switch the entry, and the device from the one list to the other. */
static int switch_domain(struct replacement *r)
{
	struct dmar_domain *first = min(r->domain, r->old);
	struct dmar_domain *second = max(r->domain, r->old);
	unsigned long flags;
	int ret;

	spin_lock_irqsave(&first->lock, flags);
	spin_lock_nested(&second->lock, SINGLE_DEPTH_NESTING);
	spin_lock(&r->iommu->lock);

	ret = sm_supported(r->iommu) ? pasid_replace(r) : context_replace(r);

	spin_unlock(&r->iommu->lock);
	if (!ret)
		list_move(&r->info->link, &r->domain->devices);
	spin_unlock(&second->lock);
	spin_unlock_irqrestore(&first->lock, flags);
	return ret;
}

/*
 * The order and kind of invalidations after an entry which was present has
 * changed: as for entries that are torn down, where the driver cites section
 * 6.5.3.3 of the VT-d specification (not checked against a revision). The new id
 * is invalidated too: in caching mode hardware may remember with it that there
 * was no translation.
 */
static void flush_replaced(struct replacement *r)
{
	struct intel_iommu *iommu = r->iommu;
	u16 dids[] = { r->old_did, r->did };
	int i;

	if (!sm_supported(iommu))
		call_for_aliases(r, context_flush_alias);
	else
		for (i = 0; i < ARRAY_SIZE(dids); i++)
			qi_flush_pasid_cache(iommu, dids[i], QI_PC_PASID_SEL,
					     IOMMU_NO_PASID);

	for (i = 0; i < ARRAY_SIZE(dids); i++) {
		if (intel_domain_is_fs_paging(r->domain))
			qi_flush_piotlb_all(iommu, dids[i], IOMMU_NO_PASID);
		else
			iommu->flush.flush_iotlb(iommu, dids[i], 0, 0,
						 DMA_TLB_DSI_FLUSH);
	}

	__context_flush_dev_iotlb(r->info);
}

/*
 * Translations of either first stage table may be tagged with the id that the
 * device has in between; what is unmapped has to be found under it.
 */
static int get_own_did(struct replacement *r)
{
	struct device *dev = r->info->dev;
	int did, ret;

	if (!intel_domain_is_fs_paging(r->domain))
		return 0;

	scoped_guard(mutex, &r->iommu->did_lock)
		did = ida_alloc_range(&r->iommu->domain_ida, IDA_START_DID,
				      r->iommu->max_domain_id - 1, GFP_KERNEL);
	if (did < 0)
		return did;
	r->own_did = did;

	ret = cache_tag_assign(r->domain, did, dev, IOMMU_NO_PASID,
			       CACHE_TAG_IOTLB);
	if (ret)
		goto err_free;
	ret = cache_tag_assign(r->old, did, dev, IOMMU_NO_PASID,
			       CACHE_TAG_IOTLB);
	if (ret)
		goto err_unassign;
	return 0;

err_unassign:
	cache_tag_unassign(r->domain, did, dev, IOMMU_NO_PASID,
			   CACHE_TAG_IOTLB);
err_free:
	ida_free(&r->iommu->domain_ida, did);
	return ret;
}

static void put_own_did(struct replacement *r)
{
	struct device *dev = r->info->dev;

	if (!r->own_did)
		return;

	cache_tag_unassign(r->old, r->own_did, dev, IOMMU_NO_PASID,
			   CACHE_TAG_IOTLB);
	cache_tag_unassign(r->domain, r->own_did, dev, IOMMU_NO_PASID,
			   CACHE_TAG_IOTLB);
	ida_free(&r->iommu->domain_ida, r->own_did);
}

/* Whether somebody manages the domain's mappings while devices run. */
static bool is_replaceable(struct iommu_domain *domain)
{
	return domain && domain->type == IOMMU_DOMAIN_UNMANAGED &&
	       !domain->iopf_handler;
}

/**
 * intel_iommu_is_replace() - Whether attaching a domain has to be hitless
 * @domain: The paging domain to attach
 * @dev: The device
 * @old: The domain that the core has attached to @dev, or NULL
 *
 * It has if a user's page table takes the place of another one. Domains of the
 * DMA API change only while no driver is bound, blocking and identity domains
 * and nested ones have entries of another kind, faults of the old domain have
 * to be drained, and a subdevice of a VMD has no entry of its own.
 *
 * Context: The group's mutex is held.
 * Return: true if intel_iommu_replace() has to attach @domain.
 */
bool intel_iommu_is_replace(struct iommu_domain *domain, struct device *dev,
			    struct iommu_domain *old)
{
	struct device_domain_info *info = dev_iommu_priv_get(dev);

	return is_replaceable(domain) && is_replaceable(old) &&
	       domain != old && info->domain == to_dmar_domain(old) &&
	       !dev_is_real_dma_subdevice(dev) &&
	       boot_cpu_has(X86_FEATURE_CX16);
}

/**
 * intel_iommu_replace() - Attach a domain in place of another one
 * @domain: The paging domain to attach
 * @dev: The device, which may do DMA all the time
 * @old: The domain that is attached; intel_iommu_is_replace() agrees
 *
 * When it returns 0, hardware has forgotten what it knew of @old for @dev. When
 * it returns an error, @old is attached and nothing was seen of the attempt.
 *
 * Context: The group's mutex is held. May sleep.
 * Return: 0 or
 * * -EINVAL	- the unit cannot use @domain, or the entry of @old cannot become
 *		  one of @domain without a gap, because the stages differ or
 *		  page walks snoop in one of them only
 * * -EBUSY	- the hardware entry is not the one of @old
 * * -ENOMEM, -ENOSPC - no memory or no domain id
 * * -ENODEV	- the device has no entry
 */
int intel_iommu_replace(struct iommu_domain *domain, struct device *dev,
			struct iommu_domain *old)
{
	struct device_domain_info *info = dev_iommu_priv_get(dev);
	struct replacement r = {
		.info = info,
		.iommu = info->iommu,
		.domain = to_dmar_domain(domain),
		.old = to_dmar_domain(old),
	};
	int ret;

	iommu_group_mutex_assert(dev);

	ret = paging_domain_compatible(domain, dev);
	if (ret)
		return ret;

	ret = domain_attach_iommu(r.domain, r.iommu);
	if (ret)
		return ret;
	r.did = domain_id_iommu(r.domain, r.iommu);
	r.old_did = domain_id_iommu(r.old, r.iommu);

	ret = cache_tag_assign_domain(r.domain, dev, IOMMU_NO_PASID);
	if (ret)
		goto err_detach_iommu;

	ret = get_own_did(&r);
	if (ret)
		goto err_unassign_tags;

	ret = switch_domain(&r);
	if (ret)
		goto err_put_own_did;

	info->domain = r.domain;
	flush_replaced(&r);

	put_own_did(&r);
	cache_tag_unassign_domain(r.old, dev, IOMMU_NO_PASID);
	domain_detach_iommu(r.old, r.iommu);
	return 0;

err_put_own_did:
	put_own_did(&r);
err_unassign_tags:
	cache_tag_unassign_domain(r.domain, dev, IOMMU_NO_PASID);
err_detach_iommu:
	domain_detach_iommu(r.domain, r.iommu);
	return ret;
}
