// SPDX-License-Identifier: GPL-2.0-only
/*
 * Hand over any PCI device, without a driver for it: what a test needs to look
 * at the PCI core alone.
 *
 * A file of /dev/pci_liveupdate_test stands for the device that is written to it
 * as SSSS:BB:DD.F, followed by the name of one of the modes below. To read it
 * tells what the PCI core knows about the device.
 */

#include <linux/anon_inodes.h>
#include <linux/bitfield.h>
#include <linux/delay.h>
#include <linux/fs.h>
#include <linux/io.h>
#include <linux/kexec_handover.h>
#include <linux/kho/abi/pci.h>
#include <linux/liveupdate.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/pci-liveupdate.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/syscore_ops.h>
#include <linux/uaccess.h>

static bool bogus;
module_param(bogus, bool, 0444);
MODULE_PARM_DESC(bogus, "Leave records that the next kernel cannot read");

/* The device that has DMA nevertheless. Its file lives until the kexec. */
static struct pci_dev *bogus_pdev;

/* What is remembered of a file */
#define DATA_BDF	GENMASK_ULL(15, 0)
#define DATA_SEGMENT	GENMASK_ULL(47, 16)
#define DATA_MODE	GENMASK_ULL(55, 48)

/* Time for others to look at what was frozen before */
#define FAIL_MS		300

enum test_mode {
	MODE_RUNNING,	/* the device goes on with DMA */
	MODE_QUIESCED,	/* it does not */
	MODE_FAIL,	/* the file cannot be frozen, which takes FAIL_MS to find out */
	MODE_FORGET,	/* the device goes on, and nobody finishes it */
	MODE_DIFFER,	/* it changes after its registers were recorded */
};

static const char * const test_modes[] = {
	[MODE_RUNNING] = "running",
	[MODE_QUIESCED] = "quiesced",
	[MODE_FAIL] = "fail",
	[MODE_FORGET] = "forget",
	[MODE_DIFFER] = "differ",
};

struct test_file {
	struct pci_dev *pdev;
	enum test_mode mode;
};

static int test_open(struct inode *inode, struct file *file)
{
	file->private_data = kzalloc_obj(struct test_file);
	return file->private_data ? 0 : -ENOMEM;
}

static int test_release(struct inode *inode, struct file *file)
{
	struct test_file *test = file->private_data;

	pci_dev_put(test->pdev);
	kfree(test);
	return 0;
}

static ssize_t test_write(struct file *file, const char __user *data,
			  size_t size, loff_t *pos)
{
	struct test_file *test = file->private_data;
	unsigned int segment, bus, slot, function;
	char text[64], mode[16];
	struct pci_dev *pdev;
	ssize_t len;
	int found;

	len = simple_write_to_buffer(text, sizeof(text) - 1, &(loff_t){ 0 },
				     data, size);
	if (len < 0)
		return len;
	text[len] = 0;
	if (sscanf(text, "%x:%x:%x.%x %15s", &segment, &bus, &slot, &function,
		   mode) != 5)
		return -EINVAL;
	found = match_string(test_modes, ARRAY_SIZE(test_modes), mode);
	if (found < 0)
		return -EINVAL;
	pdev = pci_get_domain_bus_and_slot(segment, bus,
					   PCI_DEVFN(slot, function));
	if (!pdev)
		return -ENODEV;
	if (cmpxchg(&test->pdev, NULL, pdev)) {
		pci_dev_put(pdev);
		return -EBUSY;
	}
	test->mode = found;
	return size;
}

static ssize_t test_read(struct file *file, char __user *data, size_t size,
			 loff_t *pos)
{
	struct test_file *test = file->private_data;
	char text[80];
	int len;

	if (!test->pdev)
		return -ENODEV;
	len = scnprintf(text, sizeof(text),
			"%s outgoing=%d incoming=%d running=%d\n",
			pci_name(test->pdev),
			pci_liveupdate_is_outgoing(test->pdev),
			pci_liveupdate_is_incoming(test->pdev),
			pci_liveupdate_is_running(test->pdev));
	return simple_read_from_buffer(data, size, pos, text, len);
}

static const struct file_operations test_fops = {
	.owner = THIS_MODULE,
	.open = test_open,
	.release = test_release,
	.write = test_write,
	.read = test_read,
};

static bool test_can_preserve(struct liveupdate_file_handler *handler,
			      struct file *file)
{
	struct test_file *test = file->private_data;

	return file->f_op == &test_fops && test->pdev;
}

static int test_preserve(struct liveupdate_file_op_args *args)
{
	struct test_file *test = args->file->private_data;
	struct pci_dev *pdev = test->pdev;

	args->serialized_data =
		FIELD_PREP(DATA_SEGMENT, pci_domain_nr(pdev->bus)) |
		FIELD_PREP(DATA_BDF, pci_dev_id(pdev)) |
		FIELD_PREP(DATA_MODE, test->mode);
	return bogus ? 0 : pci_liveupdate_preserve(pdev);
}

static void test_unpreserve(struct liveupdate_file_op_args *args)
{
	struct test_file *test = args->file->private_data;

	if (!bogus)
		pci_liveupdate_unpreserve(test->pdev);
}

static int test_freeze(struct liveupdate_file_op_args *args)
{
	struct test_file *test = args->file->private_data;
	bool running = test->mode != MODE_QUIESCED;
	u16 command;
	int err;

	if (test->mode == MODE_FAIL) {
		msleep(FAIL_MS);
		return -EIO;
	}
	if (bogus) {
		bogus_pdev = test->pdev;
		return 0;
	}
	pci_intx(test->pdev, 0);
	if (!running)
		pci_clear_master(test->pdev);
	err = pci_liveupdate_freeze(test->pdev, running);
	if (err || test->mode != MODE_DIFFER)
		return err;
	pci_read_config_word(test->pdev, PCI_COMMAND, &command);
	command &= ~PCI_COMMAND_MEMORY;
	pci_write_config_word(test->pdev, PCI_COMMAND, command);
	return 0;
}

static void test_unfreeze(struct liveupdate_file_op_args *args)
{
	struct test_file *test = args->file->private_data;

	if (!bogus)
		pci_liveupdate_unfreeze(test->pdev);
}

static struct pci_dev *test_get(u64 data)
{
	return pci_liveupdate_get_incoming(FIELD_GET(DATA_SEGMENT, data),
					   FIELD_GET(DATA_BDF, data));
}

static int test_retrieve(struct liveupdate_file_op_args *args)
{
	struct test_file *test;
	struct file *file;

	test = kzalloc_obj(*test);
	if (!test)
		return -ENOMEM;
	test->mode = FIELD_GET(DATA_MODE, args->serialized_data);
	test->pdev = test_get(args->serialized_data);
	if (IS_ERR(test->pdev)) {
		int err = PTR_ERR(test->pdev);

		kfree(test);
		return err;
	}
	file = anon_inode_getfile_fmode("[pci_liveupdate_test]", &test_fops,
					test, O_RDWR, FMODE_PREAD);
	if (IS_ERR(file)) {
		pci_dev_put(test->pdev);
		kfree(test);
		return PTR_ERR(file);
	}
	args->file = file;
	return 0;
}

static void test_finish(struct liveupdate_file_op_args *args)
{
	struct pci_dev *pdev = test_get(args->serialized_data);

	if (IS_ERR(pdev))
		return;
	if (FIELD_GET(DATA_MODE, args->serialized_data) != MODE_FORGET)
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
	.compatible = "pci-test-v1",
};

/* Takes the place of the object that PCI has its records in. */
static int bogus_preserve(struct liveupdate_flb_op_args *args)
{
	u32 *version = kho_alloc_preserve(PAGE_SIZE);

	if (IS_ERR(version))
		return PTR_ERR(version);
	*version = PCI_FLB_VERSION + 1;
	args->obj = version;
	args->data = virt_to_phys(version);
	return 0;
}

static void bogus_unpreserve(struct liveupdate_flb_op_args *args)
{
	kho_unpreserve_free(args->obj);
}

static int bogus_retrieve(struct liveupdate_flb_op_args *args)
{
	args->obj = phys_to_virt(args->data);
	return 0;
}

static void bogus_finish(struct liveupdate_flb_op_args *args)
{
	kho_restore_free(args->obj);
}

static const struct liveupdate_flb_ops bogus_ops = {
	.preserve = bogus_preserve,
	.unpreserve = bogus_unpreserve,
	.retrieve = bogus_retrieve,
	.finish = bogus_finish,
	.owner = THIS_MODULE,
};

static struct liveupdate_flb bogus_flb = {
	.ops = &bogus_ops,
	.compatible = PCI_FLB_COMPATIBLE,
};

/* All devices are shut down by now, and PCI has cleared bus mastering. */
static void bogus_shutdown(void *data)
{
	u16 command;

	if (!bogus_pdev)
		return;
	pci_read_config_word(bogus_pdev, PCI_COMMAND, &command);
	command |= PCI_COMMAND_MASTER;
	pci_write_config_word(bogus_pdev, PCI_COMMAND, command);
}

static const struct syscore_ops bogus_syscore_ops = {
	.shutdown = bogus_shutdown,
};

static struct syscore bogus_syscore = {
	.ops = &bogus_syscore_ops,
};

static int test_register_flb(void)
{
	return bogus ? liveupdate_register_flb(&test_handler, &bogus_flb) :
		       pci_liveupdate_register_flb(&test_handler);
}

static void test_unregister_flb(void)
{
	if (bogus)
		liveupdate_unregister_flb(&test_handler, &bogus_flb);
	else
		pci_liveupdate_unregister_flb(&test_handler);
}

static struct miscdevice test_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "pci_liveupdate_test",
	.fops = &test_fops,
};

static int __init pci_test_init(void)
{
	int err;

	err = liveupdate_register_file_handler(&test_handler);
	if (err)
		return err;
	err = test_register_flb();
	if (err)
		goto err_handler;
	err = misc_register(&test_device);
	if (err)
		goto err_flb;
	if (bogus)
		register_syscore(&bogus_syscore);
	return 0;

err_flb:
	test_unregister_flb();
err_handler:
	liveupdate_unregister_file_handler(&test_handler);
	return err;
}
module_init(pci_test_init);

static void __exit test_exit(void)
{
	if (bogus)
		unregister_syscore(&bogus_syscore);
	misc_deregister(&test_device);
	test_unregister_flb();
	liveupdate_unregister_file_handler(&test_handler);
}
module_exit(test_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Hand over a PCI device without a driver, for tests");
