// SPDX-License-Identifier: GPL-2.0
/*
 * What is left in the IOMMU's caches after a device got another page table.
 *
 *	replace_flush BDF
 *
 * Two I/O address spaces map the same address to different memory, and the
 * device, whose own rings both of them map, copies to that address. Hardware
 * that remembers anything of the table before writes to the wrong memory. What
 * this unit does not remember, but others may, has to be in its invalidation
 * queue.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include <linux/iommufd.h>
#include <linux/sizes.h>
#include <linux/vfio.h>

#include <libvfio.h>

#include "../../kselftest_harness.h"
#include "dma_device.h"
#include "fault.h"
#include "inval_queue.h"

#define ROUNDS		200
#define MAX_INVALS	16
#define MAX_ALLOCATIONS	1000
#define LENGTH		64
#define DRIVER_IOVA	0x4000000000UL
#define SOURCE_IOVA	0x4100000000UL
#define TARGET_IOVA	0x4200000000UL

static const char *device_bdf;

static void *memory(size_t size)
{
	void *map = mmap(NULL, size, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	VFIO_ASSERT_NE(map, MAP_FAILED);
	return map;
}

static void map_target(struct iommu *iommu, u32 ioas, void *target, u64 iova,
		       u64 size)
{
	struct iommu_ioas_map map = {
		.size = sizeof(map),
		.flags = IOMMU_IOAS_MAP_READABLE | IOMMU_IOAS_MAP_WRITEABLE |
			 IOMMU_IOAS_MAP_FIXED_IOVA,
		.ioas_id = ioas,
		.user_va = (u64)target,
		.length = size,
		.iova = iova,
	};

	ioctl_assert(iommu->iommufd, IOMMU_IOAS_MAP, &map);
}

/* A device that copies, and the memory that it may copy to. */
struct copier {
	struct iommu *iommu;
	struct vfio_pci_device *device;
	u32 ioas[2];
	u8 *source;
	u8 *target[2];
	u8 *spare;
};

FIXTURE(replace_flush) {
	struct copier copier;
};

FIXTURE_SETUP(replace_flush)
{
	struct iommu_ioas_alloc alloc = { .size = sizeof(alloc) };
	struct copier *copier = &self->copier;
	struct dma_region *region;
	int i;

	copier->iommu = iommu_init(MODE_IOMMUFD);
	copier->device = vfio_pci_device_init(device_bdf, copier->iommu);
	ioctl_assert(copier->iommu->iommufd, IOMMU_IOAS_ALLOC, &alloc);
	copier->ioas[0] = copier->iommu->ioas_id;
	copier->ioas[1] = alloc.out_ioas_id;

	region = &copier->device->driver.region;
	region->size = SZ_2M;
	region->vaddr = memory(region->size);
	region->iova = DRIVER_IOVA;
	iommu_map(copier->iommu, region);
	map_target(copier->iommu, copier->ioas[1], region->vaddr, region->iova,
		   region->size);

	copier->source = memory(SZ_4K);
	copier->spare = memory(SZ_4K);
	for (i = 0; i < 2; i++) {
		copier->target[i] = memory(SZ_4K);
		map_target(copier->iommu, copier->ioas[i], copier->source,
			   SOURCE_IOVA, SZ_4K);
		map_target(copier->iommu, copier->ioas[i], copier->target[i],
			   TARGET_IOVA, SZ_4K);
	}
	vfio_pci_driver_init(copier->device);
}

FIXTURE_TEARDOWN(replace_flush)
{
	struct copier *copier = &self->copier;

	vfio_pci_driver_remove(copier->device);
	vfio_pci_device_cleanup(copier->device);
	iommu_cleanup(copier->iommu);
}

/* What the entry of the device says. */
static struct dma_belief entry(void)
{
	struct dma_belief belief;

	VFIO_ASSERT_EQ(dma_device_belief(device_bdf, &belief), true,
		       "the device is blocked\n");
	return belief;
}

static void use_ioas(struct copier *copier, int index)
{
	VFIO_ASSERT_EQ(dma_device_use_table(copier->device, copier->ioas[index]), 0);
}

/* Let one of the address spaces map other memory at the target. */
static void remap_target(struct copier *copier, int index, void *target)
{
	struct iommu_ioas_unmap unmap = {
		.size = sizeof(unmap),
		.ioas_id = copier->ioas[index],
		.iova = TARGET_IOVA,
		.length = SZ_4K,
	};

	ioctl_assert(copier->iommu->iommufd, IOMMU_IOAS_UNMAP, &unmap);
	map_target(copier->iommu, copier->ioas[index], target, TARGET_IOVA,
		   SZ_4K);
}

/* Let the device copy @value; true if it is in @there and nowhere else. */
static bool copies_to(struct copier *copier, u8 value, u8 *there)
{
	u8 *all[] = { copier->target[0], copier->target[1], copier->spare };
	int i;

	memset(copier->source, value, LENGTH);
	for (i = 0; i < 3; i++)
		memset(all[i], 0, LENGTH);
	if (vfio_pci_driver_memcpy(copier->device, SOURCE_IOVA, TARGET_IOVA,
				   LENGTH))
		return false;

	for (i = 0; i < 3; i++) {
		u8 want = all[i] == there ? value : 0;

		if (all[i][0] != want || all[i][LENGTH - 1] != want)
			return false;
	}
	return true;
}

/* The table before may neither be walked nor be remembered. */
TEST_F_TIMEOUT(replace_flush, only_the_new_table, 120)
{
	struct copier *copier = &self->copier;
	int i;

	ASSERT_TRUE(copies_to(copier, 0xff, copier->target[0]));
	for (i = 1; i <= ROUNDS; i++) {
		use_ioas(copier, i % 2);
		ASSERT_TRUE(copies_to(copier, i % 255 + 1, copier->target[i % 2]))
			TH_LOG("round %d", i);
	}
}

/* What is unmapped from the new table is invalidated, as for a first attach. */
TEST_F_TIMEOUT(replace_flush, unmap_after_replace, 120)
{
	struct copier *copier = &self->copier;
	int i, index;

	for (i = 1; i <= ROUNDS; i++) {
		index = i % 2;
		use_ioas(copier, index);
		ASSERT_TRUE(copies_to(copier, 0x55, copier->target[index]));

		remap_target(copier, index, copier->spare);
		ASSERT_TRUE(copies_to(copier, 0xaa, copier->spare))
			TH_LOG("round %d", i);

		remap_target(copier, index, copier->target[index]);
	}
}

/*
 * A domain that was replaced gives up its id, and one that comes back gets it
 * or another one: what was mapped meanwhile has to be seen.
 */
TEST_F_TIMEOUT(replace_flush, changed_while_away, 120)
{
	struct copier *copier = &self->copier;
	int i;

	for (i = 1; i <= ROUNDS; i++) {
		ASSERT_TRUE(copies_to(copier, 0x11, copier->target[0]));
		use_ioas(copier, 1);
		remap_target(copier, 0, copier->spare);
		use_ioas(copier, 0);
		ASSERT_TRUE(copies_to(copier, 0x22, copier->spare))
			TH_LOG("round %d", i);

		remap_target(copier, 0, copier->target[0]);
	}
}

/* The entry is forgotten before the translations with its id. */
static int want_pasid(struct inval *want, __u64 did)
{
	want[0] = (struct inval){ INVAL_PASID, 1, did };
	want[1] = (struct inval){ INVAL_PASID_IOTLB, 2, did };
	return 2;
}

/*
 * The entry is forgotten before the translations (VT-d specification 6.5.3.3).
 * Those with the new id are forgotten too. Granularity is the device in the
 * context cache, the id in the IOTLB, and the PASID within the id in the others.
 *
 * A first stage entry has an id of its own, @own, while its table changes: after
 * the first store nothing is left of the old id, and then twice of the own one.
 */
static int invals_wanted(const struct dma_belief *old,
			 const struct dma_belief *new, __u64 own,
			 struct inval *want)
{
	bool first_stage = new->stage == DMA_FIRST_STAGE;
	int count = 0;

	if (first_stage) {
		count += want_pasid(want + count, old->did);
		count += want_pasid(want + count, own);
		count += want_pasid(want + count, own);
	}
	if (new->stage == DMA_LEGACY) {
		want[count++] = (struct inval){ INVAL_CONTEXT, 3, old->did };
	} else {
		want[count++] = (struct inval){ INVAL_PASID, 1, old->did };
		want[count++] = (struct inval){ INVAL_PASID, 1, new->did };
	}
	want[count].type = first_stage ? INVAL_PASID_IOTLB : INVAL_IOTLB;
	want[count].granularity = 2;
	want[count].did = old->did;
	want[count + 1] = want[count];
	want[count + 1].did = new->did;
	return count + 2;
}

TEST_F_TIMEOUT(replace_flush, invalidated_in_order, 120)
{
	struct inval found[MAX_INVALS], want[MAX_INVALS];
	struct copier *copier = &self->copier;
	struct dma_belief old = entry(), new;
	int tail, count, i;
	__u64 own;

	tail = inval_queue_tail();
	use_ioas(copier, 1);
	count = inval_queue_since(tail, found, MAX_INVALS);
	new = entry();

	TH_LOG("domain %lu was replaced by domain %lu", old.did, new.did);
	for (i = 0; i < count && i < MAX_INVALS; i++)
		TH_LOG("type %d granularity %u domain %u", found[i].type,
		       found[i].granularity, found[i].did);

	ASSERT_NE(old.did, new.did);
	ASSERT_EQ(old.stage, new.stage);
	own = found[2].did;
	if (new.stage == DMA_FIRST_STAGE) {
		ASSERT_NE(own, old.did);
		ASSERT_NE(own, new.did);
	}
	ASSERT_EQ(count, invals_wanted(&old, &new, own, want));
	for (i = 0; i < count; i++) {
		EXPECT_EQ(found[i].type, want[i].type);
		EXPECT_EQ(found[i].granularity, want[i].granularity);
		EXPECT_EQ(found[i].did, want[i].did);
	}
}

/* Whatever cannot be allocated, the device goes on with the table it has. */
TEST_F_TIMEOUT(replace_flush, failure_changes_nothing, 120)
{
	struct copier *copier = &self->copier;
	struct dma_belief old, new, now;
	int nth, err, failed = 0;
	bool hit = true;

	fault_init();
	use_ioas(copier, 1);
	new = entry();
	use_ioas(copier, 0);
	old = entry();

	for (nth = 1; hit && nth < MAX_ALLOCATIONS; nth++) {
		fault_nth(nth);
		err = dma_device_use_table(copier->device, copier->ioas[1]);
		hit = fault_nth_done();
		if (!err) {
			/* Not hit, or the kernel could do without. */
			now = entry();
			ASSERT_EQ(now.did, new.did);
			use_ioas(copier, 0);
			old = entry();
			continue;
		}
		failed++;
		if (err != -ENOMEM)
			TH_LOG("allocation %d: %s", nth, strerror(-err));
		now = entry();
		ASSERT_EQ(now.pgd, old.pgd) TH_LOG("allocation %d", nth);
		ASSERT_EQ(now.did, old.did) TH_LOG("allocation %d", nth);
		ASSERT_TRUE(copies_to(copier, 0x33, copier->target[0]))
			TH_LOG("allocation %d", nth);
	}
	TH_LOG("%d of %d attempts failed", failed, nth - 1);
	ASSERT_FALSE(hit);
	ASSERT_GT(failed, 0);
}

int main(int argc, char *argv[])
{
	device_bdf = vfio_selftests_get_bdf(&argc, argv);
	return test_harness_run(argc, argv);
}
