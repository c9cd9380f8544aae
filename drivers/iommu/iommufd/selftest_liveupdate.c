// SPDX-License-Identifier: GPL-2.0
/*
 * Commands of iommufd's self test that call the live update of the IOMMU core
 * as iommufd and vfio do, with mock devices that nothing else owns.
 *
 * Domains are those of ordinary HWPTs, and what came from the previous kernel.
 * Both are objects of the test's file, as are the devices and what is
 * preserved, so that closing the file undoes everything in the right order.
 */

#include <linux/iommu-liveupdate.h>

#include "../liveupdate/core.h"
#include "../liveupdate/loopback.h"
#include "iommufd_test.h"
#include "selftest_liveupdate.h"

struct mock_lu_obj *mock_lu_get(struct iommufd_ctx *ictx, u32 id,
				enum selftest_obj_type type)
{
	struct iommufd_object *obj;
	struct mock_lu_obj *lu;

	obj = iommufd_get_object(ictx, id, IOMMUFD_OBJ_SELFTEST);
	if (IS_ERR(obj))
		return ERR_CAST(obj);

	lu = container_of(obj, struct mock_lu_obj, obj);
	if (lu->type == type)
		return lu;
	iommufd_put_object(ictx, obj);
	return ERR_PTR(-EINVAL);
}

/* The domain of a HWPT, or one that the previous kernel left */
struct iommu_domain *mock_lu_get_domain(struct iommufd_ctx *ictx, u32 id,
					struct iommufd_object **objp)
{
	struct iommufd_object *obj;
	struct mock_lu_obj *lu;

	obj = iommufd_get_object(ictx, id, IOMMUFD_OBJ_ANY);
	if (IS_ERR(obj))
		return ERR_CAST(obj);

	*objp = obj;
	if (obj->type == IOMMUFD_OBJ_HWPT_PAGING ||
	    obj->type == IOMMUFD_OBJ_HWPT_NESTED)
		return container_of(obj, struct iommufd_hw_pagetable, obj)
			->domain;
	if (obj->type == IOMMUFD_OBJ_SELFTEST) {
		lu = container_of(obj, struct mock_lu_obj, obj);
		if (lu->type == TYPE_LU_RESTORED)
			return lu->domain;
	}
	iommufd_put_object(ictx, obj);
	return ERR_PTR(-EINVAL);
}

int mock_lu_finalize(struct iommufd_ucmd *ucmd, struct mock_lu_obj *lu)
{
	struct iommu_test_cmd *cmd = ucmd->cmd;
	int rc;

	cmd->id = lu->obj.id;
	rc = iommufd_ucmd_respond(ucmd, sizeof(*cmd));
	if (rc)
		return rc;
	iommufd_object_finalize(ucmd->ictx, &lu->obj);
	return 0;
}

/* How far the live update is, and what it takes to be where it began */
static int mock_lu_phase(struct iommu_test_cmd *cmd)
{
	bool fail = cmd->liveupdate.flags & IOMMU_TEST_LU_FAIL_UNIT;
	int rc;

	switch (cmd->liveupdate.cmd) {
	case IOMMU_TEST_LU_BEGIN:
		return iommu_loopback_begin();
	case IOMMU_TEST_LU_ABORT:
		return iommu_loopback_abort();
	case IOMMU_TEST_LU_HANDOVER:
		if (iommu_loopback_state() == IOMMU_LOOPBACK_LEAVING)
			mock_lu_handover();
		rc = iommu_loopback_handover();
		return rc ?: mock_lu_adopt(iommufd_mock_iommu(), fail);
	case IOMMU_TEST_LU_FINISH:
		return iommu_loopback_finish();
	default:
		return -EOPNOTSUPP;
	}
}

static int mock_lu_preserve_domain(struct iommufd_ucmd *ucmd)
{
	struct iommu_test_cmd *cmd = ucmd->cmd;
	struct iommu_domain *domain;
	struct iommufd_object *obj;
	struct mock_lu_obj *lu;
	int rc;

	domain = mock_lu_get_domain(ucmd->ictx, cmd->liveupdate.pt_id, &obj);
	if (IS_ERR(domain))
		return PTR_ERR(domain);

	lu = iommufd_object_alloc(ucmd->ictx, lu, IOMMUFD_OBJ_SELFTEST);
	if (IS_ERR(lu)) {
		rc = PTR_ERR(lu);
		goto out_put;
	}
	lu->type = TYPE_LU_PRESERVED;
	lu->domain = domain;

	rc = iommu_domain_preserve(domain, &cmd->liveupdate.out_id);
	if (rc)
		goto out_abort;
	rc = mock_lu_finalize(ucmd, lu);
	if (rc)
		goto out_unpreserve;

	refcount_inc(&obj->users);
	lu->hwpt_obj = obj;
	iommufd_put_object(ucmd->ictx, obj);
	return 0;

out_unpreserve:
	iommu_domain_unpreserve(domain);
out_abort:
	iommufd_object_abort(ucmd->ictx, &lu->obj);
out_put:
	iommufd_put_object(ucmd->ictx, obj);
	return rc;
}

/* A domain that the previous kernel left */
static int mock_lu_restored_domain(struct iommufd_ucmd *ucmd)
{
	struct iommu_test_cmd *cmd = ucmd->cmd;
	struct mock_lu_obj *lu;
	int rc;

	lu = iommufd_object_alloc(ucmd->ictx, lu, IOMMUFD_OBJ_SELFTEST);
	if (IS_ERR(lu))
		return PTR_ERR(lu);
	lu->type = TYPE_LU_RESTORED;

	lu->domain = iommu_restored_domain_get(cmd->liveupdate.value);
	if (IS_ERR(lu->domain)) {
		rc = PTR_ERR(lu->domain);
		goto out_abort;
	}
	rc = mock_lu_finalize(ucmd, lu);
	if (rc)
		goto out_put;
	return 0;

out_put:
	iommu_restored_domain_put(lu->domain);
out_abort:
	iommufd_object_abort(ucmd->ictx, &lu->obj);
	return rc;
}

/* Look up an address, or try to change what must not change. */
static int mock_lu_domain(struct iommufd_ucmd *ucmd)
{
	struct iommu_test_cmd *cmd = ucmd->cmd;
	u64 iova = cmd->liveupdate.iova;
	struct iommu_domain *domain;
	struct iommufd_object *obj;
	int rc = 0;

	domain = mock_lu_get_domain(ucmd->ictx, cmd->liveupdate.pt_id, &obj);
	if (IS_ERR(domain))
		return PTR_ERR(domain);

	switch (cmd->liveupdate.cmd) {
	case IOMMU_TEST_LU_LOOKUP:
		cmd->liveupdate.out_phys = iommu_iova_to_phys(domain, iova);
		break;
	case IOMMU_TEST_LU_MAP:
		rc = iommu_map(domain, iova, 0, PAGE_SIZE, IOMMU_READ,
			       GFP_KERNEL_ACCOUNT);
		break;
	case IOMMU_TEST_LU_UNMAP:
		cmd->liveupdate.out_phys = iommu_unmap(domain, iova, PAGE_SIZE);
		break;
	}
	iommufd_put_object(ucmd->ictx, obj);
	return rc ?: iommufd_ucmd_respond(ucmd, sizeof(*cmd));
}

int iommufd_test_liveupdate(struct iommufd_ucmd *ucmd)
{
	struct iommu_test_cmd *cmd = ucmd->cmd;
	int rc;

	if (cmd->op != IOMMU_TEST_OP_LIVEUPDATE)
		return -EOPNOTSUPP;

	switch (cmd->liveupdate.cmd) {
	case IOMMU_TEST_LU_BEGIN:
	case IOMMU_TEST_LU_ABORT:
	case IOMMU_TEST_LU_HANDOVER:
	case IOMMU_TEST_LU_FINISH:
		return mock_lu_phase(cmd);
	case IOMMU_TEST_LU_STATE:
		mock_lu_state(cmd);
		return iommufd_ucmd_respond(ucmd, sizeof(*cmd));
	case IOMMU_TEST_LU_ENTRY:
		rc = mock_lu_entry(cmd);
		return rc ?: iommufd_ucmd_respond(ucmd, sizeof(*cmd));
	case IOMMU_TEST_LU_DISCARD:
		iommu_discard_restored_device(cmd->liveupdate.value);
		return 0;
	case IOMMU_TEST_LU_PRESERVE_DOMAIN:
		return mock_lu_preserve_domain(ucmd);
	case IOMMU_TEST_LU_RESTORED_DOMAIN:
		return mock_lu_restored_domain(ucmd);
	case IOMMU_TEST_LU_LOOKUP:
	case IOMMU_TEST_LU_MAP:
	case IOMMU_TEST_LU_UNMAP:
		return mock_lu_domain(ucmd);
	case IOMMU_TEST_LU_CREATE:
		return mock_lu_device_create(ucmd);
	default:
		return mock_lu_device(ucmd);
	}
}

void iommufd_test_liveupdate_destroy(struct iommufd_object *obj)
{
	struct mock_lu_obj *lu = container_of(obj, struct mock_lu_obj, obj);

	switch (lu->type) {
	case TYPE_LU_DEVICE:
		mock_lu_device_destroy(lu);
		break;
	case TYPE_LU_RESTORED:
		iommu_restored_domain_put(lu->domain);
		break;
	case TYPE_LU_PRESERVED:
		/* Not after a handover, which has forgotten it */
		if (iommu_domain_is_preserved(lu->domain)) {
			mock_lu_unpreserve_devices(lu->domain);
			iommu_domain_unpreserve(lu->domain);
		}
		refcount_dec(&lu->hwpt_obj->users);
		break;
	default:
		break;
	}
}
