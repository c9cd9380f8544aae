// SPDX-License-Identifier: GPL-2.0-only
/*
 * How a test file damages the records that the next kernel gets, and the queues
 * of VT-d units in either kernel. Part of iommu-liveupdate-test.c, whose head tells
 * what each damage is.
 */

#include <linux/syscore_ops.h>

#ifdef CONFIG_INTEL_IOMMU_LIVEUPDATE
#include "intel/iommu.h"
#include "intel/liveupdate_entries.h"
#include "intel/pasid.h"
#endif

static bool stop_queue;
module_param(stop_queue, bool, 0444);
MODULE_PARM_DESC(stop_queue, "Let invalidation queues stop before units are adopted");

static int set_damage(struct test_file *test, const char *what)
{
	static const char * const names[] = {
		[DAMAGE_NONE] = "none",
		[DAMAGE_UNIT] = "unit",
		[DAMAGE_DEVICE] = "device",
		[DAMAGE_PASIDS] = "pasids",
		[DAMAGE_RECORDS] = "records",
		[DAMAGE_QUEUE_ERROR] = "queue-error",
		[DAMAGE_DEAD_QUEUE] = "dead-queue",
	};
	int damage = match_string(names, ARRAY_SIZE(names), what);

	if (damage < 0)
		return damage;
	test->damage = damage;
	return 0;
}

static int damage_unit(struct iommu_records *records, u32 id)
{
	struct iommu_hw_ser unit;

	unit = *(const struct iommu_hw_ser *)
		iommu_records_get(records, IOMMU_SER_UNITS, id);
	unit.intel.cap ^= 1;
	return iommu_records_update(records, IOMMU_SER_UNITS, id, &unit);
}

static int damage_device(struct iommu_records *records, u32 id)
{
	struct iommu_device_ser device;

	device = *(const struct iommu_device_ser *)
		iommu_records_get(records, IOMMU_SER_DEVICES, id);
	device.attachment_id++;
	return iommu_records_update(records, IOMMU_SER_DEVICES, id, &device);
}

/* The table that the directory's first word points to: it is preserved as well. */
static int damage_pasids(struct iommu_records *records, u32 id)
{
	struct iommu_device_ser device;

	device = *(const struct iommu_device_ser *)
		iommu_records_get(records, IOMMU_SER_DEVICES, id);
	if (!device.pasid_dir || device.pasid_dir_order)
		return -EINVAL;
	device.pasid_dir = *(u64 *)phys_to_virt(device.pasid_dir) & PAGE_MASK;
	if (!device.pasid_dir)
		return -EINVAL;
	return iommu_records_update(records, IOMMU_SER_DEVICES, id, &device);
}

#ifdef CONFIG_INTEL_IOMMU_LIVEUPDATE
/* Where an interrupt reaches nobody: the address of APIC 127 */
#define NO_APIC	0xfee7f000

/* Hardware takes no notice of the queue, and the driver does not know. */
static void stop_queue_of(struct intel_iommu *iommu)
{
	guard(raw_spinlock_irqsave)(&iommu->register_lock);
	writel(iommu->gcmd & ~DMA_GCMD_QIE, iommu->reg + DMAR_GCMD_REG);
}

/*
 * It is an error if the status of a wait descriptor cannot be written. Nobody
 * clears it, as if the CPU that would have was stopped: the interrupt goes to an
 * APIC that is not there.
 */
static void spoil_queue_of(struct intel_iommu *iommu)
{
	const struct qi_desc bad = {
		.qw0 = QI_IWD_STATUS_WRITE | QI_IWD_TYPE,
		.qw1 = BIT_ULL(50),
	};
	unsigned int size = 1 << qi_shift(iommu);
	u32 tail = readl(iommu->reg + DMAR_IQT_REG);

	writel(NO_APIC, iommu->reg + DMAR_FEADDR_REG);
	memcpy(iommu->qi->desc + tail, &bad, size);
	writel((tail + size) % (QI_LENGTH * size), iommu->reg + DMAR_IQT_REG);
}

/* What hardware reads then are waits without anything to wait for. */
static void misplace_queue_of(struct intel_iommu *iommu)
{
	unsigned int size = 1 << qi_shift(iommu), length = QI_LENGTH * size;
	u64 iqa = readq(iommu->reg + DMAR_IQA_REG);
	void *queue;

	queue = (void *)__get_free_pages(GFP_ATOMIC | __GFP_ZERO,
					 get_order(2 * length));
	if (!queue)
		return;
	for (unsigned int at = 0; at < length; at += size) {
		const struct qi_desc wait = {
			.qw0 = QI_IWD_STATUS_WRITE | QI_IWD_TYPE,
			.qw1 = virt_to_phys(queue) + length,
		};

		memcpy(queue + at, &wait, size);
	}
	stop_queue_of(iommu);
	writeq(virt_to_phys(queue) | (iqa & ~PAGE_MASK),
	       iommu->reg + DMAR_IQA_REG);
}

/* Change the context entry of a device, or what is below it, with @change. */
static int change_entry(struct pci_dev *pdev,
			int (*change)(struct intel_iommu *iommu,
				      struct context_entry *context))
{
	struct device_domain_info *info = dev_iommu_priv_get(&pdev->dev);
	struct context_entry *context;

	if (!device_iommu_mapped(&pdev->dev) ||
	    dev_iommu_ops(&pdev->dev) != &intel_iommu_ops)
		return -EOPNOTSUPP;
	guard(spinlock)(&info->iommu->lock);
	context = iommu_context_addr(info->iommu, pdev->bus->number,
				     pdev->devfn, 0);
	return context ? change(info->iommu, context) : -ENOENT;
}

/* Fault Processing Disable: DMA goes on. */
static int toggle_fpd(struct intel_iommu *iommu, struct context_entry *context)
{
	context->lo ^= BIT_ULL(1);
	__iommu_flush_cache(iommu, context, sizeof(*context));
	return 0;
}

/* As if PASID 1 was attached to the same. Nobody uses it. */
static int copy_pasid(struct intel_iommu *iommu, struct context_entry *context)
{
	struct pasid_entry *table;

	if (!sm_supported(iommu))
		return -EOPNOTSUPP;
	table = vtd_pasid_entry(context);
	if (!table)
		return -ENOENT;
	table[1] = table[0];
	__iommu_flush_cache(iommu, &table[1], sizeof(table[1]));
	return 0;
}

static int toggle_entry(struct pci_dev *pdev)
{
	return change_entry(pdev, toggle_fpd);
}

static int make_pasid(struct pci_dev *pdev)
{
	return change_entry(pdev, copy_pasid);
}

static void damage_queues(void (*fn)(struct intel_iommu *iommu))
{
	struct dmar_drhd_unit *drhd;
	struct intel_iommu *iommu;

	guard(rcu)();
	for_each_iommu(iommu, drhd)
		fn(iommu);
}

static void end_queues(enum test_damage damage)
{
	if (damage == DAMAGE_QUEUE_ERROR)
		damage_queues(spoil_queue_of);
	else if (damage == DAMAGE_DEAD_QUEUE)
		damage_queues(misplace_queue_of);
}

static void stop_queues(void)
{
	damage_queues(stop_queue_of);
}
#else
static int make_pasid(struct pci_dev *pdev)
{
	return -EOPNOTSUPP;
}

static int toggle_entry(struct pci_dev *pdev)
{
	return -EOPNOTSUPP;
}

static void end_queues(enum test_damage damage)
{
}

static void stop_queues(void)
{
}
#endif

/* What happens to queues when the kernel ends */
static enum test_damage queues_end;

static void test_shutdown(void *data)
{
	end_queues(queues_end);
}

static const struct syscore_ops test_syscore_ops = {
	.shutdown = test_shutdown,
};

static struct syscore test_syscore = {
	.ops = &test_syscore_ops,
};

/* Queues exist, because interrupts use them, and the IOMMU driver comes next. */
static int __init test_stop_queues(void)
{
	if (stop_queue)
		stop_queues();
	return 0;
}
fs_initcall_sync(test_stop_queues);

/* After all checks of what is recorded. A kexec that fails does not undo it. */
static int do_damage(struct test_file *test)
{
	struct iommu_preserved_device *preserved =
		test->pdev->dev.iommu->preserved;
	struct iommu_flb_ser *root;

	guard(mutex)(&iommu_outgoing_lock);
	switch (test->damage) {
	case DAMAGE_UNIT:
		return damage_unit(iommu_outgoing->records,
				   preserved->unit->id);
	case DAMAGE_DEVICE:
		return damage_device(iommu_outgoing->records, preserved->id);
	case DAMAGE_PASIDS:
		return damage_pasids(iommu_outgoing->records, preserved->id);
	case DAMAGE_RECORDS:
		root = phys_to_virt(iommu_records_phys(iommu_outgoing->records));
		root->version++;
		return 0;
	case DAMAGE_QUEUE_ERROR:
	case DAMAGE_DEAD_QUEUE:
		queues_end = test->damage;
		return 0;
	default:
		return 0;
	}
}
