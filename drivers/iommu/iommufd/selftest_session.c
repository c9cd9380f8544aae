// SPDX-License-Identifier: GPL-2.0
/*
 * Commands of iommufd's self test for what iommufd does in a live update.
 *
 * The file of a mock device stands for that of vfio: it binds the device to an
 * iommufd, attaches it, and can be preserved in a session of LUO after the
 * iommufd.
 *
 * The kernel that comes is there twice. Without a kexec the mock IOMMU plays both
 * kernels, and the records of the iommufd are made up. After one it adopts what
 * the real previous kernel left, once the test has made the hardware as it was.
 *
 * Part of selftest.c.
 */

#include <linux/anon_inodes.h>
#include <linux/cleanup.h>
#include <linux/delay.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/iommu-liveupdate.h>
#include <linux/jiffies.h>
#include <linux/liveupdate.h>
#include <linux/mutex.h>
#include <linux/slab.h>

#include "io_pagetable.h"
#include "iommufd_test.h"
#include "liveupdate_restore.h"
#include "selftest_liveupdate_hw.h"
#include "selftest_session.h"

/* Held while what was retrieved is replaced or freed */
static DEFINE_MUTEX(test_retrieve_lock);

#define TEST_DEVICE_ID		1
#define TEST_MAP_TIMEOUT_MS	60000
#define TEST_MAP_TRIES		20

/**
 * struct test_device - A device and its file
 * @lock: Protects @attached and @has_pasid
 * @dev: The device
 * @remove: How the device is removed
 * @idev: The device as iommufd knows it
 * @attached: It is attached to something
 * @has_pasid: Its PASID is attached to something
 * @iommufd_token: Of its iommufd, while it is preserved
 */
struct test_device {
	struct mutex lock; /* See above */
	struct device *dev;
	void (*remove)(struct device *dev);
	struct iommufd_device *idev;
	bool attached;
	bool has_pasid;
	u64 iommufd_token;
};

static const struct file_operations test_device_fops;

static int test_device_attach(struct test_device *test, u32 pt_id)
{
	int rc;

	if (test->attached)
		return iommufd_device_replace(test->idev, IOMMU_NO_PASID,
					      &pt_id);
	rc = iommufd_device_attach(test->idev, IOMMU_NO_PASID, &pt_id);
	test->attached = !rc;
	return rc;
}

static int test_device_detach(struct test_device *test)
{
	if (iommufd_device_is_preserved(test->idev))
		return -EBUSY;
	if (!test->attached)
		return -EINVAL;
	iommufd_device_detach(test->idev, IOMMU_NO_PASID);
	test->attached = false;
	return 0;
}

static int test_device_attach_pasid(struct test_device *test, u32 pt_id)
{
	int rc;

	if (test->has_pasid)
		return -EINVAL;
	rc = iommufd_device_attach(test->idev, IOMMU_TEST_DEVICE_PASID, &pt_id);
	test->has_pasid = !rc;
	return rc;
}

static int test_device_detach_pasid(struct test_device *test)
{
	if (!test->has_pasid)
		return -EINVAL;
	iommufd_device_detach(test->idev, IOMMU_TEST_DEVICE_PASID);
	test->has_pasid = false;
	return 0;
}

static long test_device_ioctl(struct file *file, unsigned int cmd,
			      unsigned long pt_id)
{
	struct test_device *test = file->private_data;

	guard(mutex)(&test->lock);
	switch (cmd) {
	case IOMMU_TEST_DEVICE_ATTACH:
		return test_device_attach(test, pt_id);
	case IOMMU_TEST_DEVICE_DETACH:
		return test_device_detach(test);
	case IOMMU_TEST_DEVICE_ATTACH_PASID:
		return test_device_attach_pasid(test, pt_id);
	case IOMMU_TEST_DEVICE_DETACH_PASID:
		return test_device_detach_pasid(test);
	case IOMMU_TEST_DEVICE_IS_PRESERVED:
		return iommufd_device_is_preserved(test->idev);
	case IOMMU_TEST_DEVICE_IS_RESTORED:
		return iommufd_device_is_restored(test->idev);
	default:
		return -ENOTTY;
	}
}

static void test_device_destroy(struct test_device *test)
{
	struct iommufd_ctx *ictx = iommufd_device_to_ictx(test->idev);

	test_device_detach_pasid(test);
	test_device_detach(test);
	iommufd_device_unbind(test->idev);
	test->remove(test->dev);
	iommufd_ctx_put(ictx);
	mutex_destroy(&test->lock);
	kfree(test);
}

static int test_device_release(struct inode *inode, struct file *file)
{
	test_device_destroy(file->private_data);
	return 0;
}

static const struct file_operations test_device_fops = {
	.owner = THIS_MODULE,
	.release = test_device_release,
	.unlocked_ioctl = test_device_ioctl,
};

/* With a page that it must not be mapped at, unless that is 0 */
static struct device *create_mock_in(u32 rid, struct iommu_group *group,
				     u64 reserved)
{
	struct mock_lu_device *identity;
	struct device *dev;
	u32 number;

	if (rid >= IOMMU_TEST_LU_NR_RIDS)
		return ERR_PTR(-EINVAL);

	identity = kzalloc_obj(*identity);
	if (!identity)
		return ERR_PTR(-ENOMEM);
	identity->bdf = rid;
	identity->device = TEST_DEVICE_ID;
	identity->group = group;
	identity->reserved = reserved;

	/* Takes the identity, whatever comes of it */
	dev = iommufd_mock_device_create(identity, &number);
	if (IS_ERR(dev) || device_iommu_mapped(dev))
		return dev;

	/* The bus does not tell why its notifier did not like the device. */
	device_unregister(dev);
	return ERR_PTR(-ENODEV);
}

/* In the group of device @id, if there is one */
static struct device *create_mock(struct iommufd_ucmd *ucmd, u32 id)
{
	const struct iommu_test_cmd *cmd = ucmd->cmd;
	u64 reserved = cmd->session.iova;
	u32 rid = cmd->session.value;
	struct iommufd_device *other;
	struct device *dev;

	if (!id)
		return create_mock_in(rid, NULL, reserved);

	other = iommufd_get_device(ucmd, id);
	if (IS_ERR(other))
		return ERR_CAST(other);
	dev = create_mock_in(rid, other->igroup->group, reserved);
	iommufd_put_object(ucmd->ictx, &other->obj);
	return dev;
}

static void free_noiommu(struct device *dev)
{
	kfree(dev);
}

/* Of no bus, so that no IOMMU driver ever sees it */
static struct device *create_noiommu(void)
{
	struct device *dev;

	if (!IS_ENABLED(CONFIG_IOMMUFD_NOIOMMU))
		return ERR_PTR(-EOPNOTSUPP);

	dev = kzalloc_obj(*dev);
	if (!dev)
		return ERR_PTR(-ENOMEM);
	dev->release = free_noiommu;
	device_initialize(dev);
	return dev;
}

/* Takes @dev, whatever comes of it */
static struct test_device *test_device_create(struct iommufd_ucmd *ucmd,
					      struct device *dev,
					      void (*remove)(struct device *dev),
					      u32 *id)
{
	struct test_device *test;
	int rc;

	test = kzalloc_obj(*test);
	if (!test) {
		rc = -ENOMEM;
		goto err_remove;
	}
	mutex_init(&test->lock);
	test->dev = dev;
	test->remove = remove;

	test->idev = iommufd_device_bind(ucmd->ictx, dev, id);
	if (IS_ERR(test->idev)) {
		rc = PTR_ERR(test->idev);
		goto err_free;
	}
	/* iommufd itself does not do that for mock devices. */
	iommufd_ctx_get(ucmd->ictx);
	test->attached = iommufd_device_is_restored(test->idev);
	return test;

err_free:
	mutex_destroy(&test->lock);
	kfree(test);
err_remove:
	remove(dev);
	return ERR_PTR(rc);
}

static int session_device(struct iommufd_ucmd *ucmd, struct device *dev,
			  void (*remove)(struct device *dev))
{
	struct iommu_test_cmd *cmd = ucmd->cmd;
	struct test_device *test;
	int rc;

	if (IS_ERR(dev))
		return PTR_ERR(dev);

	test = test_device_create(ucmd, dev, remove, &cmd->session.out_id);
	if (IS_ERR(test))
		return PTR_ERR(test);

	cmd->session.out_fd = anon_inode_getfd("[iommufd_test_device]",
					       &test_device_fops, test,
					       O_RDWR | O_CLOEXEC);
	if (cmd->session.out_fd < 0) {
		rc = cmd->session.out_fd;
		test_device_destroy(test);
		return rc;
	}
	return iommufd_ucmd_respond(ucmd, sizeof(*cmd));
}

static int session_forget_ioas(struct iommufd_ucmd *ucmd)
{
	struct iommu_test_cmd *cmd = ucmd->cmd;
	struct iommufd_hwpt_paging *hwpt_paging;
	struct iommufd_ioas *ioas;

	hwpt_paging = iommufd_get_hwpt_paging(ucmd, cmd->id);
	if (IS_ERR(hwpt_paging))
		return PTR_ERR(hwpt_paging);

	ioas = hwpt_paging->ioas;
	mutex_lock(&ioas->mutex);
	list_del_init(&hwpt_paging->hwpt_item);
	iopt_table_remove_domain(&ioas->iopt, hwpt_paging->common.domain);
	hwpt_paging->ioas = NULL;
	mutex_unlock(&ioas->mutex);
	refcount_dec(&ioas->obj.users);
	iommufd_put_object(ucmd->ictx, &hwpt_paging->common.obj);
	return 0;
}

static bool has_unfilled_area(struct io_pagetable *iopt)
{
	struct iopt_area *area;

	guard(rwsem_read)(&iopt->iova_rwsem);
	for (area = iopt_area_iter_first(iopt, 0, ULONG_MAX); area;
	     area = iopt_area_iter_next(area, 0, ULONG_MAX))
		if (!area->pages)
			return true;
	return false;
}

/*
 * Keep a mapper between its two locks, and become immutable there. As
 * iopt_make_immutable(), but for the wait. Fails if the mapper waits somewhere
 * else, because it has to unmap first.
 */
static bool try_immutable_in_map(struct io_pagetable *iopt)
{
	unsigned int tries;

	guard(rwsem_write)(&iopt->domains_rwsem);
	for (tries = 0; !has_unfilled_area(iopt); tries++) {
		if (tries == TEST_MAP_TRIES)
			return false;
		usleep_range(1000, 1100);
	}

	guard(rwsem_write)(&iopt->iova_rwsem);
	iopt->immutable++;
	return true;
}

static int make_immutable_in_map(struct io_pagetable *iopt)
{
	unsigned long end = jiffies + msecs_to_jiffies(TEST_MAP_TIMEOUT_MS);

	while (!try_immutable_in_map(iopt)) {
		if (time_after(jiffies, end))
			return -ETIMEDOUT;
		/* Let it go on. */
		usleep_range(100, 1000);
	}
	return 0;
}

static int session_immutable(struct iommufd_ucmd *ucmd)
{
	struct iommu_test_cmd *cmd = ucmd->cmd;
	struct iommufd_ioas *ioas;
	int rc = 0;

	ioas = iommufd_get_ioas(ucmd->ictx, cmd->id);
	if (IS_ERR(ioas))
		return PTR_ERR(ioas);

	switch (cmd->session.cmd) {
	case IOMMU_TEST_SESSION_IMMUTABLE:
		iopt_make_immutable(&ioas->iopt);
		break;
	case IOMMU_TEST_SESSION_MUTABLE:
		iopt_make_mutable(&ioas->iopt);
		break;
	default:
		rc = make_immutable_in_map(&ioas->iopt);
	}
	iommufd_put_object(ucmd->ictx, &ioas->obj);
	return rc;
}

/*
 * What installing the page of an MSI controller would leave, on a machine that
 * has no such controller
 */
static int session_sw_msi(struct iommufd_ucmd *ucmd)
{
	struct iommu_test_cmd *cmd = ucmd->cmd;
	struct iommufd_hwpt_paging *hwpt_paging;
	struct iommufd_device *idev;

	idev = iommufd_get_device(ucmd, cmd->id);
	if (!IS_ERR(idev)) {
		scoped_guard(mutex, &idev->igroup->lock)
			idev->igroup->sw_msi_start = cmd->session.value ?
				cmd->session.iova : PHYS_ADDR_MAX;
		iommufd_put_object(ucmd->ictx, &idev->obj);
		return 0;
	}

	hwpt_paging = iommufd_get_hwpt_paging(ucmd, cmd->id);
	if (IS_ERR(hwpt_paging))
		return PTR_ERR(hwpt_paging);
	scoped_guard(mutex, &ucmd->ictx->sw_msi_lock)
		__assign_bit(0, hwpt_paging->present_sw_msi.bitmap,
			     cmd->session.value);
	iommufd_put_object(ucmd->ictx, &hwpt_paging->common.obj);
	return 0;
}

/* One allocation, with the records behind it. See iommufd_incoming_load() */
struct test_incoming {
	struct iommufd_incoming incoming;
	struct iommufd_hwpt_ser hwpt;
	struct iommufd_area_ser area;
};

/*
 * One HWPT that has one area, and the rest of what retrieving does. The area is
 * that of @length bytes at @iova.
 */
static int session_retrieve(struct iommufd_ucmd *ucmd)
{
	struct iommu_test_cmd *cmd = ucmd->cmd;
	struct iommufd_ctx *ictx = ucmd->ictx;
	struct test_incoming *test;
	int rc;

	guard(mutex)(&test_retrieve_lock);
	test = kzalloc_obj(*test);
	if (!test)
		return -ENOMEM;
	test->hwpt = (struct iommufd_hwpt_ser){
		.token = cmd->session.token,
		.domain_id = cmd->session.value,
		.flags = cmd->session.flags,
		.nr_areas = cmd->session.length ? 1 : 0,
	};
	test->area = (struct iommufd_area_ser){
		.iova = cmd->session.iova,
		.length = cmd->session.length,
		.prot = IOMMUFD_AREA_SER_PROT,
	};
	test->incoming.hwpts = &test->hwpt;
	test->incoming.areas = &test->area;

	scoped_guard(mutex, &ictx->liveupdate.lock) {
		rc = ictx->liveupdate.incoming ? -EBUSY : 0;
		if (!rc)
			ictx->liveupdate.incoming = &test->incoming;
	}
	if (rc) {
		kfree(test);
		return rc;
	}

	rc = iommufd_restored_create(ictx, &test->incoming, &test->hwpt);
	if (rc) {
		scoped_guard(mutex, &ictx->liveupdate.lock)
			ictx->liveupdate.incoming = NULL;
		kfree(test);
	}
	return rc;
}

static int session_finish(struct iommufd_ctx *ictx)
{
	struct iommufd_incoming *incoming;

	guard(mutex)(&test_retrieve_lock);
	if (iommufd_restored_in_use(ictx))
		return -EBUSY;
	scoped_guard(mutex, &ictx->liveupdate.lock)
		incoming = ictx->liveupdate.incoming;
	if (!incoming)
		return -ENOENT;
	iommufd_restored_finish(ictx);
	kfree(container_of(incoming, struct test_incoming, incoming));
	return 0;
}

/* There is no device yet: what translates was not made by this kernel. */
static int session_adopt(void)
{
	scoped_guard(spinlock, &mock_lu_hw.lock) {
		if (!list_empty(&mock_lu_hw.devices))
			return -EBUSY;
		for (int i = 0; i < ARRAY_SIZE(mock_lu_hw.entries); i++)
			if (mock_lu_hw.entries[i].top)
				mock_lu_hw.entries[i].mark = MOCK_LU_INHERITED;
	}
	return mock_lu_adopt(iommufd_mock_iommu(), false);
}

static int iommufd_test_session(struct iommufd_ucmd *ucmd)
{
	struct iommu_test_cmd *cmd = ucmd->cmd;

	switch (cmd->session.cmd) {
	case IOMMU_TEST_SESSION_FORGET_IOAS:
		return session_forget_ioas(ucmd);
	case IOMMU_TEST_SESSION_IMMUTABLE:
	case IOMMU_TEST_SESSION_MUTABLE:
	case IOMMU_TEST_SESSION_IMMUTABLE_IN_MAP:
		return session_immutable(ucmd);
	case IOMMU_TEST_SESSION_DEVICE:
		return session_device(ucmd, create_mock(ucmd, cmd->id),
				      device_unregister);
	case IOMMU_TEST_SESSION_NOIOMMU:
		return session_device(ucmd, create_noiommu(), put_device);
	case IOMMU_TEST_SESSION_SW_MSI:
		return session_sw_msi(ucmd);
	case IOMMU_TEST_SESSION_RETRIEVE:
		return session_retrieve(ucmd);
	case IOMMU_TEST_SESSION_FINISH:
		return session_finish(ucmd->ictx);
	case IOMMU_TEST_SESSION_ADOPT:
		return session_adopt();
	default:
		return -EOPNOTSUPP;
	}
}

static bool can_preserve(struct liveupdate_file_handler *handler,
			 struct file *file)
{
	return file->f_op == &test_device_fops;
}

static int preserve(struct liveupdate_file_op_args *args)
{
	struct test_device *test = args->file->private_data;
	u32 device_id;
	int rc;

	guard(mutex)(&test->lock);
	rc = iommufd_device_preserve(args->session, test->idev,
				     &test->iommufd_token, &device_id);
	args->serialized_data = device_id;
	return rc;
}

static void unpreserve(struct liveupdate_file_op_args *args)
{
	struct test_device *test = args->file->private_data;

	guard(mutex)(&test->lock);
	iommufd_device_unpreserve(args->session, test->idev);
}

/* A mock device is made by binding it: see IOMMU_TEST_SESSION_DEVICE. */
static int retrieve(struct liveupdate_file_op_args *args)
{
	return -EOPNOTSUPP;
}

/* Does nothing if it is bound */
static void finish(struct liveupdate_file_op_args *args)
{
	iommu_discard_restored_device(args->serialized_data);
}

static const struct liveupdate_file_ops test_device_ops = {
	.can_preserve = can_preserve,
	.preserve = preserve,
	.unpreserve = unpreserve,
	.retrieve = retrieve,
	.finish = finish,
	.owner = THIS_MODULE,
};

static struct liveupdate_file_handler test_device_handler = {
	.ops = &test_device_ops,
	.compatible = "iommufd-test-device",
};

static bool test_device_registered;

static void __init iommufd_test_session_init(void)
{
	int rc = liveupdate_register_file_handler(&test_device_handler);

	/* The rest of the self test can do without. */
	if (rc && rc != -EOPNOTSUPP)
		pr_warn("iommufd_test_session: no file handler: %d\n", rc);
	test_device_registered = !rc;
}

static void iommufd_test_session_exit(void)
{
	if (test_device_registered)
		liveupdate_unregister_file_handler(&test_device_handler);
}
