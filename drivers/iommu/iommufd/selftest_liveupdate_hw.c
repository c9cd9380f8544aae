// SPDX-License-Identifier: GPL-2.0
/*
 * A mock IOMMU whose hardware outlives the kernel.
 *
 * The hardware is a table with one entry for each requester id. A mock device
 * that has an identity owns those of its requester ids. When the self test
 * plays a kexec the entries stay; devices and domains become those of a kernel
 * that has left: whatever is done with them does not reach the hardware.
 *
 * Being both kernels and the hardware, this sees what neither of them could,
 * and warns: an entry that changes while it is preserved, one that the previous
 * kernel left and that is written before it was restored, a domain that is freed
 * while an entry leads to its tables, and what is undone but was not done.
 */

#include <linux/cleanup.h>
#include <linux/device.h>
#include <linux/io.h>
#include <linux/slab.h>

#include "selftest_liveupdate_hw.h"

#define MOCK_LU_FIRST_ID	2
#define MOCK_LU_LAST_ID		U16_MAX

struct mock_lu_hw mock_lu_hw = {
	.lock = __SPIN_LOCK_UNLOCKED(mock_lu_hw.lock),
	.devices = LIST_HEAD_INIT(mock_lu_hw.devices),
	.domains = LIST_HEAD_INIT(mock_lu_hw.domains),
};

struct mock_lu_device *mock_lu_find(struct device *dev)
{
	struct mock_lu_device *lu;

	lockdep_assert_held(&mock_lu_hw.lock);
	list_for_each_entry(lu, &mock_lu_hw.devices, elm) {
		if (lu->dev == dev)
			return lu;
	}
	return NULL;
}

/* The entry of a device that comes after @entry, the first one after NULL */
struct mock_lu_entry *mock_lu_next(struct mock_lu_device *lu,
				   struct mock_lu_entry *entry)
{
	if (!entry)
		return &mock_lu_hw.entries[lu->bdf];
	if (entry == &mock_lu_hw.entries[lu->bdf] && lu->alias)
		return &mock_lu_hw.entries[lu->alias];
	return NULL;
}

u64 mock_lu_top(struct mock_iommu_domain *mock)
{
	/* The mock format does not say what hardware would be told. */
	uintptr_t top = READ_ONCE(mock->amdv1.amdpt.common.top_of_table);

	return virt_to_phys((void *)(top & ~(uintptr_t)PT_TOP_LEVEL_MASK));
}

void mock_lu_write(struct mock_lu_entry *entry, u64 top, u32 id)
{
	entry->top = top;
	entry->attachment_id = top ? id : 0;
	entry->nr_writes++;
	entry->mark = MOCK_LU_NONE;
}

static bool mock_lu_id_used(u32 id)
{
	struct mock_iommu_domain *mock;

	for (unsigned int i = 0; i < ARRAY_SIZE(mock_lu_hw.entries); i++) {
		if (mock_lu_hw.entries[i].top &&
		    mock_lu_hw.entries[i].attachment_id == id)
			return true;
	}
	list_for_each_entry(mock, &mock_lu_hw.domains, elm) {
		if (mock->attachment_id == id)
			return true;
	}
	return false;
}

void mock_lu_device_add(struct mock_lu_device *lu, struct device *dev)
{
	if (!lu)
		return;

	guard(spinlock)(&mock_lu_hw.lock);
	lu->dev = dev;
	list_add_tail(&lu->elm, &mock_lu_hw.devices);
}

/* The device is not registered any more. */
void mock_lu_device_del(struct device *dev)
{
	struct mock_lu_device *lu;

	scoped_guard(spinlock, &mock_lu_hw.lock) {
		lu = mock_lu_find(dev);
		if (lu)
			list_del(&lu->elm);
	}
	kfree(lu);
}

void mock_lu_domain_add(struct mock_iommu_domain *mock)
{
	static u32 last_id = MOCK_LU_LAST_ID;

	guard(spinlock)(&mock_lu_hw.lock);
	do {
		if (last_id++ == MOCK_LU_LAST_ID)
			last_id = MOCK_LU_FIRST_ID;
	} while (mock_lu_id_used(last_id));
	mock->attachment_id = last_id;
	list_add_tail(&mock->elm, &mock_lu_hw.domains);
}

void mock_lu_domain_del(struct mock_iommu_domain *mock)
{
	guard(spinlock)(&mock_lu_hw.lock);
	list_del(&mock->elm);
	if (mock->dead)
		return;

	for (unsigned int i = 0; i < ARRAY_SIZE(mock_lu_hw.entries); i++)
		WARN(mock_lu_hw.entries[i].top == mock_lu_top(mock),
		     "mock: domain freed while requester id %#x uses it\n", i);
}

void mock_lu_get_resv_regions(struct device *dev, struct list_head *head)
{
	struct iommu_resv_region *region;
	struct mock_lu_device *lu;
	u64 reserved = 0;

	scoped_guard(spinlock, &mock_lu_hw.lock) {
		lu = mock_lu_find(dev);
		if (lu)
			reserved = lu->reserved;
	}
	if (!reserved)
		return;

	region = iommu_alloc_resv_region(reserved, PAGE_SIZE, 0,
					 IOMMU_RESV_RESERVED, GFP_KERNEL);
	if (region)
		list_add_tail(&region->list, head);
}

/* The driver's answer when it is asked about the device */
bool mock_lu_is_late(struct device *dev)
{
	struct mock_lu_device *lu;

	guard(spinlock)(&mock_lu_hw.lock);
	lu = mock_lu_find(dev);
	return lu && lu->late;
}

struct iommu_group *mock_lu_device_group(struct device *dev)
{
	struct mock_lu_device *lu;

	scoped_guard(spinlock, &mock_lu_hw.lock) {
		lu = mock_lu_find(dev);
		if (lu && lu->group)
			return iommu_group_ref_get(lu->group);
	}
	return generic_device_group(dev);
}

/* attach_dev of all domains but those that come from the previous kernel */
void mock_lu_attach(struct iommu_domain *domain, struct device *dev,
		    struct iommu_domain *old)
{
	struct mock_iommu_domain *mock = NULL;
	struct mock_lu_entry *entry = NULL;
	struct mock_lu_device *lu;

	guard(spinlock)(&mock_lu_hw.lock);
	lu = mock_lu_find(dev);
	if (!lu || lu->dead)
		return;

	if (domain->type == IOMMU_DOMAIN_UNMANAGED)
		mock = to_mock_domain(domain);
	WARN(lu->domain != old,
	     "mock: requester id %#x: attach does not know what is attached\n",
	     lu->bdf);
	while ((entry = mock_lu_next(lu, entry))) {
		WARN(entry->mark == MOCK_LU_PRESERVED,
		     "mock: requester id %#x is preserved, and attached\n",
		     lu->bdf);
		WARN(entry->mark == MOCK_LU_INHERITED,
		     "mock: requester id %#x attached, but not restored\n",
		     lu->bdf);
		mock_lu_write(entry, mock ? mock_lu_top(mock) : 0,
			      mock ? mock->attachment_id : 0);
	}
	lu->domain = domain;
}

void mock_lu_release_device(struct device *dev)
{
	struct mock_lu_entry *entry = NULL;
	struct mock_lu_device *lu;

	guard(spinlock)(&mock_lu_hw.lock);
	lu = mock_lu_find(dev);
	if (!lu || lu->dead)
		return;

	while ((entry = mock_lu_next(lu, entry))) {
		WARN(entry->mark, "mock: requester id %#x released as it is\n",
		     lu->bdf);
		mock_lu_write(entry, 0, 0);
	}
	lu->domain = NULL;
}

static int mock_lu_dead_map(struct pt_iommu *iommu_table, dma_addr_t iova,
			    phys_addr_t paddr, dma_addr_t len,
			    unsigned int prot, gfp_t gfp, size_t *mapped)
{
	return -EPERM;
}

static size_t mock_lu_dead_unmap(struct pt_iommu *iommu_table, dma_addr_t iova,
				 dma_addr_t len,
				 struct iommu_iotlb_gather *iotlb_gather)
{
	return len;
}

static void mock_lu_dead_deinit(struct pt_iommu *iommu_table)
{
}

/*
 * The file of a kernel that has left unpins and forgets what it had mapped. It
 * must find what it looks for, but the tables are not its own any more.
 */
static const struct pt_iommu_ops mock_lu_dead_ops = {
	.map_range = mock_lu_dead_map,
	.unmap_range = mock_lu_dead_unmap,
	.deinit = mock_lu_dead_deinit,
};

/* This kernel is about to leave. What it did not preserve does not translate. */
void mock_lu_handover(void)
{
	struct mock_iommu_domain *mock;
	struct mock_lu_device *lu;

	guard(spinlock)(&mock_lu_hw.lock);
	list_for_each_entry(lu, &mock_lu_hw.devices, elm)
		lu->dead = true;
	list_for_each_entry(mock, &mock_lu_hw.domains, elm) {
		if (!mock->domain.preserved)
			continue;
		mock->dead = true;
		mock->attachment_id = 0;
		mock->iommu.ops = &mock_lu_dead_ops;
	}

	for (unsigned int i = 0; i < ARRAY_SIZE(mock_lu_hw.entries); i++) {
		struct mock_lu_entry *entry = &mock_lu_hw.entries[i];

		if (entry->mark == MOCK_LU_PRESERVED)
			entry->mark = MOCK_LU_INHERITED;
		else
			mock_lu_write(entry, 0, 0);
	}
	mock_lu_hw.nr_preserved = 0;
	mock_lu_hw.unit_preserved = false;
}

/* Look at an entry, or make hardware do what nobody told it. */
int mock_lu_entry(struct iommu_test_cmd *cmd)
{
	struct mock_lu_entry *entry;

	if (cmd->liveupdate.bdf >= IOMMU_TEST_LU_NR_RIDS)
		return -EINVAL;

	guard(spinlock)(&mock_lu_hw.lock);
	entry = &mock_lu_hw.entries[cmd->liveupdate.bdf];
	entry->top ^= cmd->liveupdate.iova;
	entry->attachment_id ^= cmd->liveupdate.value;
	cmd->liveupdate.out_phys = entry->top;
	cmd->liveupdate.out_id = entry->attachment_id;
	cmd->liveupdate.out_value = entry->nr_writes;
	return 0;
}

/* What is left to be undone */
void mock_lu_state(struct iommu_test_cmd *cmd)
{
	guard(spinlock)(&mock_lu_hw.lock);
	cmd->liveupdate.out_id = mock_lu_hw.unit_preserved;
	cmd->liveupdate.out_value = mock_lu_hw.nr_preserved;
	cmd->liveupdate.out_phys = 0;
	for (unsigned int i = 0; i < ARRAY_SIZE(mock_lu_hw.entries); i++)
		cmd->liveupdate.out_phys += !!mock_lu_hw.entries[i].top;
}
