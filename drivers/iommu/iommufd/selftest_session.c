// SPDX-License-Identifier: GPL-2.0
/*
 * Commands of iommufd's self test for what iommufd does in a live update.
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

#define TEST_MAP_TIMEOUT_MS	60000
#define TEST_MAP_TRIES		20

#include "selftest_session_dev.c"

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

/* Behind the back of those who made it immutable. The second time undoes it. */
static int session_change_area(struct iommufd_ucmd *ucmd)
{
	struct iommu_test_cmd *cmd = ucmd->cmd;
	struct iommufd_ioas *ioas;
	struct iopt_area *area;

	ioas = iommufd_get_ioas(ucmd->ictx, cmd->id);
	if (IS_ERR(ioas))
		return PTR_ERR(ioas);

	scoped_guard(rwsem_write, &ioas->iopt.iova_rwsem) {
		area = iopt_area_iter_first(&ioas->iopt, 0, ULONG_MAX);
		if (area)
			area->iommu_prot ^= IOMMU_WRITE;
	}
	iommufd_put_object(ucmd->ictx, &ioas->obj);
	return area ? 0 : -ENOENT;
}

/* As an ioctl that waits for something that does not come */
static int session_hold(struct iommufd_ucmd *ucmd)
{
	struct iommu_test_cmd *cmd = ucmd->cmd;
	struct iommufd_ioas *ioas;

	ioas = iommufd_get_ioas(ucmd->ictx, cmd->id);
	if (IS_ERR(ioas))
		return PTR_ERR(ioas);

	scoped_guard(rwsem_write, &ioas->iopt.iova_rwsem)
		msleep(cmd->session.value);
	iommufd_put_object(ucmd->ictx, &ioas->obj);
	return 0;
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
	struct iommufd_ser ser;
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
	test->ser.nr_hwpts = 1;
	test->incoming.ser = &test->ser;
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
	iommufd_incoming_stop(incoming);
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
	case IOMMU_TEST_SESSION_CHANGE_AREA:
		return session_change_area(ucmd);
	case IOMMU_TEST_SESSION_HOLD:
		return session_hold(ucmd);
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
