// SPDX-License-Identifier: GPL-2.0
/*
 * The file of a mock device, which stands for that of vfio: it binds the device
 * to an iommufd, attaches it, and can be preserved in a session of LUO after the
 * iommufd. Part of selftest_session.c.
 */

#define TEST_DEVICE_ID		1

/**
 * struct test_device - A device and its file
 * @lock: Protects @attached, @has_pasid and @misnamed
 * @dev: The device
 * @remove: How the device is removed
 * @idev: The device as iommufd knows it
 * @attached: It is attached to something
 * @has_pasid: Its PASID is attached to something
 * @misnamed: Its record is to be wrong
 * @iommufd_token: Of its iommufd, while it is preserved
 */
struct test_device {
	struct mutex lock; /* See above */
	struct device *dev;
	void (*remove)(struct device *dev);
	struct iommufd_device *idev;
	bool attached;
	bool has_pasid;
	bool misnamed;
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
	case IOMMU_TEST_DEVICE_MISNAME:
		test->misnamed = true;
		return 0;
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
	args->serialized_data = test->misnamed ? U32_MAX : device_id;
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
