// SPDX-License-Identifier: GPL-2.0-only
/*
 * Hand over a PCI device with the domain that it has, whoever gave it to it: what
 * a test needs to look at the IOMMU core and an IOMMU driver alone, without file
 * handlers of iommufd and vfio.
 *
 * A file of /dev/iommu_liveupdate_test stands for the device that is written to it
 * as SSSS:BB:DD.F. In the kernel that leaves, the test sees to it that the owner
 * of the domain does not touch it while the file is preserved. In the kernel
 * that comes, a file that was retrieved takes these commands:
 *
 *	claim		own the device, which changes nothing
 *	replace S L	give it a new domain which maps S to L as the old one does
 *
 * When such a file is closed, the device is stopped.
 *
 * For tests of what a kernel does with records that it cannot rely on, a file of
 * the kernel that leaves takes, before its device:
 *
 *	damage=unit	record other capabilities of the unit
 *	damage=device	record another domain id
 *	damage=pasids	record another page as the PASID directory (VT-d)
 *	damage=records	give the records another version
 *	damage=queue-error	let invalidation queues stop at an error when the
 *				kernel ends, after everybody else has used them
 *				(VT-d)
 *	damage=dead-queue	likewise let hardware read other memory in place
 *				of the queues, which no restart changes (VT-d)
 *
 * After its device it takes
 *
 *	entry		toggle a bit of the device's context entry (VT-d)
 *	pasid		make an entry for PASID 1 (VT-d in scalable mode)
 *
 * With the parameter fail_adopt a driver runs out of memory when it adopts a unit.
 * With stop_queue the invalidation queues of VT-d units stop before that.
 */

#include <linux/anon_inodes.h>
#include <linux/bitfield.h>
#include <linux/cleanup.h>
#include <linux/fs.h>
#include <linux/iommu.h>
#include <linux/iommu-liveupdate.h>
#include <linux/liveupdate.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/pci-liveupdate.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "iommu-priv.h"
#include "liveupdate/outgoing.h"
#include "liveupdate/records.h"

/* What is remembered of a file: a segment would not fit, and is 0 */
#define DATA_BDF	GENMASK_ULL(15, 0)
#define DATA_DEVICE	GENMASK_ULL(39, 16)
#define DATA_DOMAIN	GENMASK_ULL(63, 40)

static bool fail_adopt;
module_param(fail_adopt, bool, 0444);
MODULE_PARM_DESC(fail_adopt, "No memory for the next unit that is adopted");

enum test_damage {
	DAMAGE_NONE,
	DAMAGE_UNIT,
	DAMAGE_DEVICE,
	DAMAGE_PASIDS,
	DAMAGE_RECORDS,
	DAMAGE_QUEUE_ERROR,
	DAMAGE_DEAD_QUEUE,
};

/**
 * struct test_file - The device of a file
 * @lock: Protects all of it
 * @pdev: The device
 * @domain: What it is attached to, while the file is preserved or it is claimed
 * @device_id: Record of the device
 * @domain_id: Record of @domain
 * @restored: @domain came from the previous kernel
 * @damage: What to do to the records when the file is frozen
 * @handles: Of the domain that came and of the one that took its place
 */
struct test_file {
	struct mutex lock;	/* all of it */
	struct pci_dev *pdev;
	struct iommu_domain *domain;
	u32 device_id;
	u32 domain_id;
	bool restored;
	enum test_damage damage;
	struct iommu_attach_handle handles[2];
};

static struct test_file *test_alloc(struct pci_dev *pdev)
{
	struct test_file *test = kzalloc_obj(*test);

	if (!test)
		return NULL;
	mutex_init(&test->lock);
	test->pdev = pdev;
	return test;
}

static int test_open(struct inode *inode, struct file *file)
{
	file->private_data = test_alloc(NULL);
	return file->private_data ? 0 : -ENOMEM;
}

static void put_domain(struct test_file *test, struct iommu_domain *domain)
{
	if (test->restored)
		iommu_restored_domain_put(domain);
	else
		iommu_domain_free(domain);
}

/* A device that nobody drives any more must not reach anything. */
static void give_up(struct test_file *test)
{
	struct device *dev = &test->pdev->dev;

	pci_clear_master(test->pdev);
	pci_wait_for_pending_transaction(test->pdev);
	iommu_detach_group_handle(test->domain, dev->iommu_group);
	iommu_device_release_dma_owner(dev);
	put_domain(test, test->domain);
}

static int test_release(struct inode *inode, struct file *file)
{
	struct test_file *test = file->private_data;

	if (test->domain)
		give_up(test);
	pci_dev_put(test->pdev);
	kfree(test);
	return 0;
}

static int set_device(struct test_file *test, const char *text)
{
	unsigned int segment, bus, slot, function;
	struct pci_dev *pdev;

	if (sscanf(text, "%x:%x:%x.%x", &segment, &bus, &slot, &function) != 4 ||
	    segment)
		return -EINVAL;
	if (test->pdev)
		return -EBUSY;
	pdev = pci_get_domain_bus_and_slot(0, bus, PCI_DEVFN(slot, function));
	if (!pdev)
		return -ENODEV;
	test->pdev = pdev;
	return 0;
}

#include "iommu-liveupdate-test-damage.c"

/**
 * iommu_liveupdate_fails() - Should a driver run out of memory?
 *
 * For drivers, where they adopt a unit.
 *
 * Return: True once, if a test wants it.
 */
bool iommu_liveupdate_fails(void)
{
	return xchg(&fail_adopt, false);
}

static int claim(struct test_file *test)
{
	struct device *dev = &test->pdev->dev;
	struct iommu_domain *domain;
	int err;

	if (test->domain)
		return -EBUSY;

	domain = iommu_restored_domain_get(test->domain_id);
	if (IS_ERR(domain))
		return PTR_ERR(domain);
	err = iommu_device_claim_restored(dev, test->device_id, test);
	if (err)
		goto err_put;
	err = iommu_restore_group_handle(domain, dev, &test->handles[0]);
	if (err) {
		pci_clear_master(test->pdev);
		iommu_device_release_dma_owner(dev);
		goto err_put;
	}
	test->domain = domain;
	test->restored = true;
	return 0;

err_put:
	iommu_restored_domain_put(domain);
	return err;
}

/* The old domain's leaves are those of memory that is still there. */
static int map_copy(struct iommu_domain *domain, struct iommu_domain *old,
		    u64 start, u64 last)
{
	for (u64 iova = start; iova <= last; iova += PAGE_SIZE) {
		phys_addr_t phys = iommu_iova_to_phys(old, iova);
		int err;

		if (!phys)
			continue;
		err = iommu_map(domain, iova, phys, PAGE_SIZE,
				IOMMU_READ | IOMMU_WRITE | IOMMU_CACHE,
				GFP_KERNEL);
		if (err)
			return err;
	}
	return 0;
}

static int replace(struct test_file *test, u64 start, u64 last)
{
	struct device *dev = &test->pdev->dev;
	struct iommu_domain *domain;
	int err;

	if (!test->restored)
		return -EINVAL;

	domain = iommu_paging_domain_alloc(dev);
	if (IS_ERR(domain))
		return PTR_ERR(domain);
	err = map_copy(domain, test->domain, start, last);
	if (!err)
		err = iommu_replace_group_handle(dev->iommu_group, domain,
						 &test->handles[1]);
	if (err) {
		iommu_domain_free(domain);
		return err;
	}
	iommu_restored_domain_put(test->domain);
	test->domain = domain;
	test->restored = false;
	return 0;
}

static ssize_t test_write(struct file *file, const char __user *data,
			  size_t size, loff_t *pos)
{
	struct test_file *test = file->private_data;
	char text[64];
	u64 start, last;
	ssize_t len;
	int err;

	len = simple_write_to_buffer(text, sizeof(text) - 1, &(loff_t){ 0 },
				     data, size);
	if (len < 0)
		return len;
	text[len] = 0;

	guard(mutex)(&test->lock);
	if (!test->device_id && str_has_prefix(text, "damage="))
		err = set_damage(test, text + strlen("damage="));
	else if (!test->device_id && test->pdev && !strcmp(text, "entry"))
		err = toggle_entry(test->pdev);
	else if (!test->device_id && test->pdev && !strcmp(text, "pasid"))
		err = make_pasid(test->pdev);
	else if (!test->device_id)
		err = set_device(test, text);
	else if (!strcmp(text, "claim"))
		err = claim(test);
	else if (sscanf(text, "replace %llx %llx", &start, &last) == 2)
		err = replace(test, start, last);
	else
		err = -EINVAL;
	return err ?: len;
}

static const struct file_operations test_fops = {
	.owner = THIS_MODULE,
	.open = test_open,
	.release = test_release,
	.write = test_write,
};

static bool test_can_preserve(struct liveupdate_file_handler *handler,
			      struct file *file)
{
	struct test_file *test = file->private_data;

	return file->f_op == &test_fops && test->pdev && !test->device_id;
}

static int test_preserve(struct liveupdate_file_op_args *args)
{
	struct test_file *test = args->file->private_data;
	struct device *dev = &test->pdev->dev;
	struct iommu_domain *domain;
	u32 device_id, domain_id;
	int err;

	guard(mutex)(&test->lock);
	domain = iommu_get_domain_for_dev(dev);
	if (!domain)
		return -ENODEV;
	err = iommu_domain_preserve(domain, &domain_id);
	if (err)
		return err;
	err = pci_liveupdate_preserve(test->pdev);
	if (err)
		goto err_domain;
	err = iommu_preserve_device(domain, dev, &device_id);
	if (err)
		goto err_pci;

	/* The domain is not this file's, but is kept for unpreserve. */
	args->private_data = domain;
	args->serialized_data = FIELD_PREP(DATA_BDF, pci_dev_id(test->pdev)) |
				FIELD_PREP(DATA_DEVICE, device_id) |
				FIELD_PREP(DATA_DOMAIN, domain_id);
	return 0;

err_pci:
	pci_liveupdate_unpreserve(test->pdev);
err_domain:
	iommu_domain_unpreserve(domain);
	return err;
}

static void test_unpreserve(struct liveupdate_file_op_args *args)
{
	struct test_file *test = args->file->private_data;

	iommu_unpreserve_device(args->private_data, &test->pdev->dev);
	pci_liveupdate_unpreserve(test->pdev);
	iommu_domain_unpreserve(args->private_data);
}

static int test_freeze(struct liveupdate_file_op_args *args)
{
	struct test_file *test = args->file->private_data;
	int err;

	err = iommu_verify_preserved_device(args->private_data,
					    &test->pdev->dev);
	if (!err)
		err = do_damage(test);
	if (err)
		return err;
	pci_intx(test->pdev, 0);
	return pci_liveupdate_freeze(test->pdev, true);
}

static void test_unfreeze(struct liveupdate_file_op_args *args)
{
	struct test_file *test = args->file->private_data;

	queues_end = DAMAGE_NONE;
	pci_liveupdate_unfreeze(test->pdev);
}

static struct pci_dev *incoming_device(u64 data)
{
	return pci_liveupdate_get_incoming(0, FIELD_GET(DATA_BDF, data));
}

static int test_retrieve(struct liveupdate_file_op_args *args)
{
	struct pci_dev *pdev = incoming_device(args->serialized_data);
	struct test_file *test;
	struct file *file;

	if (IS_ERR(pdev))
		return PTR_ERR(pdev);
	test = test_alloc(pdev);
	if (!test) {
		pci_dev_put(pdev);
		return -ENOMEM;
	}
	test->device_id = FIELD_GET(DATA_DEVICE, args->serialized_data);
	test->domain_id = FIELD_GET(DATA_DOMAIN, args->serialized_data);

	file = anon_inode_getfile("[iommu_liveupdate_test]", &test_fops, test,
				  O_RDWR);
	if (IS_ERR(file)) {
		pci_dev_put(pdev);
		kfree(test);
		return PTR_ERR(file);
	}
	args->file = file;
	return 0;
}

static void test_finish(struct liveupdate_file_op_args *args)
{
	u32 device_id = FIELD_GET(DATA_DEVICE, args->serialized_data);
	struct pci_dev *pdev = incoming_device(args->serialized_data);

	/* Before PCI lets go of it, or other drivers could have it running. */
	iommu_discard_restored_device(device_id);
	if (IS_ERR(pdev))
		return;
	pci_liveupdate_finish(pdev);
	pci_dev_put(pdev);
}

static const struct liveupdate_file_ops test_ops = {
	.can_preserve = test_can_preserve,
	.preserve = test_preserve,
	.unpreserve = test_unpreserve,
	.freeze = test_freeze,
	.unfreeze = test_unfreeze,
	.retrieve = test_retrieve,
	.finish = test_finish,
	.owner = THIS_MODULE,
};

static struct liveupdate_file_handler test_handler = {
	.ops = &test_ops,
	.compatible = "iommu-test-v1",
};

static struct miscdevice test_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "iommu_liveupdate_test",
	.fops = &test_fops,
};

static int __init test_init(void)
{
	int err;

	/* Without a live update there is nothing to test. */
	err = liveupdate_register_file_handler(&test_handler);
	if (err)
		return err == -EOPNOTSUPP ? 0 : err;
	err = iommu_liveupdate_register(&test_handler);
	if (err)
		goto err_handler;
	err = pci_liveupdate_register_flb(&test_handler);
	if (err)
		goto err_iommu;
	err = misc_register(&test_device);
	if (err)
		goto err_pci;
	register_syscore(&test_syscore);
	return 0;

err_pci:
	pci_liveupdate_unregister_flb(&test_handler);
err_iommu:
	iommu_liveupdate_unregister(&test_handler);
err_handler:
	liveupdate_unregister_file_handler(&test_handler);
	return err;
}
device_initcall(test_init);

MODULE_IMPORT_NS("IOMMUFD_INTERNAL");
MODULE_DESCRIPTION("Hand over a device and its domain, for tests");
MODULE_LICENSE("GPL");
