// SPDX-License-Identifier: GPL-2.0-only

/**
 * DOC: Live update of a device bound to vfio-pci
 *
 * The file of a device that was opened through the character device can be
 * preserved in a session of the Live Update Orchestrator (LUO), once it is bound
 * to an iommufd.
 *
 * If the device is attached to a HWPT, the iommufd has to be preserved in the
 * same session before it, and with it what the device's attachment needs. The
 * device then goes on with DMA: in this kernel, while none runs, and in the next
 * one. It is never reset. If it is not attached, it has no DMA that could go on.
 * It is quiesced, and is reset when the next kernel's user binds it.
 *
 * **Preserved Properties**
 *
 * Place
 *   Segment, bus, device and function, and what PCI keeps with them.
 *
 * State of the device
 *   If it is running: all that it has in its registers, as nobody touches it.
 *
 * Exclusive access
 *   Until the session is finished, nobody but who retrieves the file can open
 *   the device.
 *
 * **Non-Preserved Properties**
 *
 * Interrupts
 *   Userspace has to disable them before the kernel is replaced. It sets them
 *   up again, and signals each once, because one may have been lost.
 *
 * Mappings, exported BARs, ioeventfds, eventfds
 *   Userspace makes them anew. Nobody may have an exported BAR attached when the
 *   kernel is replaced, because that could not be undone.
 *
 * What is virtual of configuration space
 *   It shows hardware, as after a first open.
 *
 * Between freeze and the end of the kernel each ioctl, read, write and mmap of
 * the file fails with -EIO, and an access to a BAR that is mapped gets SIGBUS.
 *
 * In the next kernel vfio-pci has to be bound to the device, by driver_override,
 * before its file is retrieved, because LUO remembers an error. Then userspace
 * binds the file to the retrieved iommufd, builds an IOAS from the retrieved
 * memory and a HWPT for it, replaces the HWPT that the device came with, and
 * finishes the session. To give the device up it detaches instead of replacing,
 * which stops the device, or closes the file without having bound it. A running
 * device whose file nobody has retrieved, or was closed like that, is stopped
 * when the session is finished.
 */

#define pr_fmt(fmt) "vfio-pci: liveupdate: " fmt

#include <linux/cleanup.h>
#include <linux/err.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/io.h>
#include <linux/iommu-liveupdate.h>
#include <linux/iommufd.h>
#include <linux/kexec_handover.h>
#include <linux/kho/abi/vfio_pci.h>
#include <linux/liveupdate.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/pci-liveupdate.h>
#include <linux/vfio-liveupdate.h>

#include "vfio_pci_liveupdate.h"
#include "vfio_pci_priv.h"

MODULE_IMPORT_NS("IOMMUFD");
MODULE_IMPORT_NS("IOMMUFD_INTERNAL");

static struct vfio_pci_core_device *vdev_of(struct file *file)
{
	return container_of(vfio_cdev_file_device(file),
			    struct vfio_pci_core_device, vdev);
}

static bool can_preserve(struct liveupdate_file_handler *handler,
			 struct file *file)
{
	struct vfio_device *device = vfio_cdev_file_device(file);

	/* What a variant driver knows of its device does not cross. */
	return device && device->ops == &vfio_pci_ops;
}

/* Two files of one device are one to LUO. */
static unsigned long get_id(struct file *file)
{
	return (unsigned long)vfio_cdev_file_device(file);
}

static int check_supported(struct vfio_pci_core_device *vdev, struct file *file)
{
	struct pci_dev *pdev = vdev->pdev;

	lockdep_assert_held(&vdev->vdev.dev_set->lock);
	if (!vfio_cdev_file_is_bound(file))
		return -EINVAL;
	/* Without an IOMMU nothing says what DMA can reach. */
	if (vdev->vdev.noiommu || vfio_pci_is_intel_display(pdev))
		return -EOPNOTSUPP;
	/* INTx has to be off while no kernel runs. */
	if (pdev->pin && !vdev->nointx && !vdev->pci_2_3)
		return -EOPNOTSUPP;
	return 0;
}

static int preserve_attachment(struct vfio_pci_core_device *vdev,
			       struct liveupdate_session *session,
			       struct vfio_pci_ser *ser)
{
	int ret;

	if (!vdev->vdev.iommufd_attached)
		return 0;
	ret = iommufd_device_preserve(session, vdev->vdev.iommufd_device,
				      &ser->iommufd_token, &ser->device_id);
	if (!ret)
		ser->flags |= VFIO_PCI_SER_RUNNING;
	return ret;
}

static void unpreserve_attachment(struct vfio_pci_core_device *vdev,
				  struct liveupdate_session *session,
				  struct vfio_pci_ser *ser)
{
	if (ser->flags & VFIO_PCI_SER_RUNNING)
		iommufd_device_unpreserve(session, vdev->vdev.iommufd_device);
}

static int preserve_device(struct vfio_pci_core_device *vdev,
			   struct liveupdate_session *session,
			   struct vfio_pci_ser *ser)
{
	struct pci_dev *pdev = vdev->pdev;
	int ret;

	ser->version = VFIO_PCI_SER_VERSION;
	ser->segment = pci_domain_nr(pdev->bus);
	ser->bdf = pci_dev_id(pdev);
	if (vdev->reset_works)
		ser->flags |= VFIO_PCI_SER_RESET_WORKS;

	ret = preserve_attachment(vdev, session, ser);
	if (ret)
		return ret;
	ret = pci_liveupdate_preserve(pdev);
	if (ret)
		unpreserve_attachment(vdev, session, ser);
	return ret;
}

static int preserve(struct liveupdate_file_op_args *args)
{
	struct vfio_pci_core_device *vdev = vdev_of(args->file);
	struct vfio_pci_ser *ser;
	int ret;

	guard(mutex)(&vdev->vdev.dev_set->lock);
	ret = check_supported(vdev, args->file);
	if (ret)
		return ret;

	ser = kho_alloc_preserve(PAGE_SIZE);
	if (IS_ERR(ser))
		return PTR_ERR(ser);

	ret = preserve_device(vdev, args->session, ser);
	if (ret) {
		kho_unpreserve_free(ser);
		return ret;
	}
	args->serialized_data = virt_to_phys(ser);
	return 0;
}

static void unpreserve(struct liveupdate_file_op_args *args)
{
	struct vfio_pci_ser *ser = phys_to_virt(args->serialized_data);
	struct vfio_pci_core_device *vdev = vdev_of(args->file);

	guard(mutex)(&vdev->vdev.dev_set->lock);
	pci_liveupdate_unpreserve(vdev->pdev);
	unpreserve_attachment(vdev, args->session, ser);
	kho_unpreserve_free(ser);
}

static int freeze(struct liveupdate_file_op_args *args)
{
	struct vfio_pci_ser *ser = phys_to_virt(args->serialized_data);

	return vfio_pci_liveupdate_freeze(vdev_of(args->file),
					  ser->flags & VFIO_PCI_SER_RUNNING);
}

static void unfreeze(struct liveupdate_file_op_args *args)
{
	vfio_pci_liveupdate_unfreeze(vdev_of(args->file));
}

/* KHO goes by pages, and would not mind. */
static int check_place(u64 data, int order)
{
	return order || !PAGE_ALIGNED(data) ? -ENOENT : 0;
}

static int check_ser(const struct vfio_pci_ser *ser)
{
	bool running = ser->flags & VFIO_PCI_SER_RUNNING;

	/* The version comes first: nothing is known about the rest without it. */
	if (ser->version != VFIO_PCI_SER_VERSION)
		return -EOPNOTSUPP;
	if (ser->flags & ~VFIO_PCI_SER_FLAGS || ser->__reserved)
		return -EINVAL;
	if (running != !!ser->device_id || (!running && ser->iommufd_token))
		return -EINVAL;
	return 0;
}

/* What the previous kernel left of a file. Touches nothing */
static const struct vfio_pci_ser *incoming_ser(u64 data)
{
	int ret;

	ret = check_place(data, kho_preserved_order(data));
	if (!ret)
		ret = check_ser(phys_to_virt(data));
	return ret ? ERR_PTR(ret) : phys_to_virt(data);
}

/*
 * The IOMMU core knows the device at the place of a record by an id that is not
 * the record's: it is somebody else's. @err and @id are what it says.
 */
static bool is_anothers(const struct vfio_pci_ser *ser, int err, u32 id)
{
	return ser->flags & VFIO_PCI_SER_RUNNING && !err && id != ser->device_id;
}

/* Can the device be given to who retrieves it? @running is what PCI says. */
static int check_device(const struct vfio_pci_ser *ser, int err, bool running)
{
	if (ser->flags & VFIO_PCI_SER_RUNNING)
		return err;
	return running ? -EINVAL : 0;
}

/*
 * Find the device of a record. The one of somebody else is not there: the id
 * tells whose memory is used, and whom to stop. @why is set to the reason if the
 * device is there, but is good for nothing but to be stopped.
 */
static struct pci_dev *find_incoming(const struct vfio_pci_ser *ser, int *why)
{
	struct pci_dev *pdev;
	u32 id, domain_id;
	int err;

	pdev = pci_liveupdate_get_incoming(ser->segment, ser->bdf);
	if (IS_ERR(pdev))
		return pdev;
	err = iommu_restored_device_id(&pdev->dev, &id, &domain_id);
	if (is_anothers(ser, err, err ? 0 : id)) {
		pci_dev_put(pdev);
		return ERR_PTR(-EINVAL);
	}
	*why = check_device(ser, err, pci_liveupdate_is_running(pdev));
	return pdev;
}

static struct file *create_file(struct pci_dev *pdev,
				const struct vfio_pci_ser *ser)
{
	struct vfio_pci_core_device *vdev;
	struct vfio_device *device;
	struct file *file;

	device = vfio_device_get_from_dev(&pdev->dev);
	if (!device)
		return ERR_PTR(-ENODEV);

	file = device->ops == &vfio_pci_ops ? vfio_cdev_file_create(device) :
					      ERR_PTR(-ENODEV);
	if (IS_ERR(file)) {
		vfio_device_put_registration(device);
		return file;
	}

	vdev = container_of(device, struct vfio_pci_core_device, vdev);
	guard(mutex)(&device->dev_set->lock);
	if (ser->flags & VFIO_PCI_SER_RUNNING)
		vfio_pci_liveupdate_expect(vdev, ser->flags &
					   VFIO_PCI_SER_RESET_WORKS);
	return file;
}

static int retrieve(struct liveupdate_file_op_args *args)
{
	const struct vfio_pci_ser *ser = incoming_ser(args->serialized_data);
	struct pci_dev *pdev;
	struct file *file;
	int ret;

	if (IS_ERR(ser))
		return PTR_ERR(ser);
	pdev = find_incoming(ser, &ret);
	if (IS_ERR(pdev))
		return PTR_ERR(pdev);

	if (!ret) {
		file = create_file(pdev, ser);
		ret = PTR_ERR_OR_ZERO(file);
	}
	pci_dev_put(pdev);
	if (!ret)
		args->file = file;
	return ret;
}

/*
 * Does the memory of the session not matter to the device any more? If userspace
 * has asked for the device it has to say what becomes of it: bind it, and then
 * replace the HWPT that the device came with, or detach from it. Or, if it cannot
 * be bound, close it: the device is stopped in finish() then, before its memory
 * is given back.
 */
static bool is_handed_over(struct file *file)
{
	struct vfio_device *device = vfio_cdev_file_device(file);
	u32 device_id, domain_id;

	guard(mutex)(&device->dev_set->lock);
	if (vfio_cdev_file_is_bound(file))
		return !iommufd_device_is_restored(device->iommufd_device);
	/* It may have been released, because it was found to be wrong. */
	if (iommu_restored_device_id(device->dev, &device_id, &domain_id))
		return true;
	/*
	 * If this is LUO's own reference there will be no other one: LUO gives
	 * one away under the mutex of the session, which is held.
	 */
	return file_count(file) == 1;
}

/*
 * A record that is not understood may be that of a running device, and nobody
 * else knows whose memory it uses. The session keeps that then.
 */
static bool can_finish(struct liveupdate_file_op_args *args)
{
	const struct vfio_pci_ser *ser = incoming_ser(args->serialized_data);

	if (IS_ERR(ser)) {
		pr_warn_ratelimited("a session cannot be finished, it is not known what the previous kernel left of a device: %pe\n",
				    ser);
		return false;
	}
	return args->retrieve_status <= 0 || is_handed_over(args->file);
}

/*
 * Nobody has it: first the device, then its translation. Memory comes later. A
 * device that was left quiesced has nothing that could go on. Whoever has bound
 * another driver to it since is not concerned. But if PCI says that it was left
 * running the record is wrong, and nobody else stops it.
 */
static void give_up(const struct vfio_pci_ser *ser, struct pci_dev *pdev)
{
	u32 device_id = ser->device_id, domain_id;
	bool there = !IS_ERR(pdev);
	int ret;

	if (!(ser->flags & VFIO_PCI_SER_RUNNING)) {
		if (!there || !pci_liveupdate_is_running(pdev))
			return;
		iommu_restored_device_id(&pdev->dev, &device_id, &domain_id);
	}
	if (there) {
		pci_info(pdev, "live update: nobody has taken it over, DMA is off\n");
		pci_clear_master(pdev);
		if (!pci_wait_for_pending_transaction(pdev))
			pci_warn(pdev, "still has transactions pending\n");
	}
	iommu_discard_restored_device(device_id);
	if (!there || !(ser->flags & VFIO_PCI_SER_RESET_WORKS))
		return;
	/* Not before: the IOMMU core keeps the translation over no reset. */
	ret = pci_try_reset_function(pdev);
	if (ret)
		pci_warn(pdev, "live update: not reset: %pe\n", ERR_PTR(ret));
}

/* Userspace has asked for the file, and may just be binding it. */
static void give_up_unbound(struct file *file, const struct vfio_pci_ser *ser,
			    struct pci_dev *pdev)
{
	struct vfio_pci_core_device *vdev = vdev_of(file);

	guard(mutex)(&vdev->vdev.dev_set->lock);
	if (vfio_cdev_file_is_bound(file))
		return;
	vfio_pci_liveupdate_forget(vdev);
	give_up(ser, pdev);
}

static void finish(struct liveupdate_file_op_args *args)
{
	const struct vfio_pci_ser *ser = incoming_ser(args->serialized_data);
	struct pci_dev *pdev;
	int why;

	/* See can_finish() */
	if (WARN_ON_ONCE(IS_ERR(ser)))
		return;

	pdev = find_incoming(ser, &why);
	if (args->retrieve_status > 0)
		give_up_unbound(args->file, ser, pdev);
	else
		give_up(ser, pdev);
	if (!IS_ERR(pdev)) {
		pci_liveupdate_finish(pdev);
		pci_dev_put(pdev);
	}
	kho_restore_free((void *)ser);
}

static const struct liveupdate_file_ops vfio_pci_liveupdate_ops = {
	.can_preserve = can_preserve,
	.preserve = preserve,
	.unpreserve = unpreserve,
	.freeze = freeze,
	.unfreeze = unfreeze,
	.retrieve = retrieve,
	.can_finish = can_finish,
	.finish = finish,
	.get_id = get_id,
	.owner = THIS_MODULE,
};

static struct liveupdate_file_handler vfio_pci_liveupdate_handler = {
	.ops = &vfio_pci_liveupdate_ops,
	.compatible = VFIO_PCI_LUO_COMPATIBLE,
};

/**
 * vfio_pci_liveupdate_register() - Let device files be preserved
 *
 * LUO takes a reference to the module with each file, and none for this, so
 * that the module can be unloaded as long as there is no such file.
 *
 * Context: May sleep.
 *
 * Return: 0, also if live update is off, or the error of
 * liveupdate_register_file_handler() or pci_liveupdate_register_flb().
 */
int vfio_pci_liveupdate_register(void)
{
	int ret;

	ret = liveupdate_register_file_handler(&vfio_pci_liveupdate_handler);
	if (ret)
		return ret == -EOPNOTSUPP ? 0 : ret;
	ret = pci_liveupdate_register_flb(&vfio_pci_liveupdate_handler);
	if (ret)
		liveupdate_unregister_file_handler(&vfio_pci_liveupdate_handler);
	return ret;
}

/**
 * vfio_pci_liveupdate_unregister() - Undo vfio_pci_liveupdate_register()
 *
 * Context: May sleep.
 */
void vfio_pci_liveupdate_unregister(void)
{
	if (!liveupdate_enabled())
		return;
	pci_liveupdate_unregister_flb(&vfio_pci_liveupdate_handler);
	liveupdate_unregister_file_handler(&vfio_pci_liveupdate_handler);
}

#ifdef CONFIG_VFIO_PCI_LIVEUPDATE_KUNIT_TEST
#include "vfio_pci_liveupdate_kunit.c"
#endif
