// SPDX-License-Identifier: GPL-2.0
/*
 * Commands of iommufd's self test for mock devices that can outlive a kernel:
 * what iommufd, vfio, the bus and sysfs would do with one.
 */

#include <linux/cleanup.h>
#include <linux/device.h>
#include <linux/iommu-liveupdate.h>
#include <linux/slab.h>

#include "../iommu-priv.h"
#include "../liveupdate/core.h"
#include "iommufd_test.h"
#include "selftest_liveupdate.h"

/* Somebody who is not the test */
static char mock_lu_stranger;

/* A unit that is never registered */
static struct iommu_device mock_lu_late_unit;

static struct mock_lu_device *mock_lu_identity(struct iommu_test_cmd *cmd,
					       struct iommu_group *group)
{
	struct mock_lu_device *identity;

	if (cmd->liveupdate.bdf >= IOMMU_TEST_LU_NR_RIDS ||
	    cmd->liveupdate.alias >= IOMMU_TEST_LU_NR_RIDS)
		return ERR_PTR(-EINVAL);

	identity = kzalloc_obj(*identity);
	if (!identity)
		return ERR_PTR(-ENOMEM);
	identity->bdf = cmd->liveupdate.bdf;
	identity->alias = cmd->liveupdate.alias;
	identity->device = cmd->liveupdate.value;
	identity->group = group;
	identity->refuse = cmd->liveupdate.flags & IOMMU_TEST_LU_REFUSE;
	identity->no_name = cmd->liveupdate.flags & IOMMU_TEST_LU_NO_NAME;
	identity->late = cmd->liveupdate.flags & IOMMU_TEST_LU_LATE;
	return identity;
}

/* A new device, that of another device's group if @pt_id is that device. */
int mock_lu_device_create(struct iommufd_ucmd *ucmd)
{
	struct iommu_test_cmd *cmd = ucmd->cmd;
	struct mock_lu_device *identity;
	struct mock_lu_obj *other = NULL;
	struct mock_lu_obj *lu;
	int rc;

	if (cmd->liveupdate.pt_id) {
		other = mock_lu_get(ucmd->ictx, cmd->liveupdate.pt_id,
				    TYPE_LU_DEVICE);
		if (IS_ERR(other))
			return PTR_ERR(other);
	}

	lu = iommufd_object_alloc(ucmd->ictx, lu, IOMMUFD_OBJ_SELFTEST);
	if (IS_ERR(lu)) {
		rc = PTR_ERR(lu);
		goto out_put;
	}
	lu->type = TYPE_LU_DEVICE;
	mutex_init(&lu->lock);

	identity = mock_lu_identity(cmd, other ? other->group : NULL);
	if (IS_ERR(identity)) {
		rc = PTR_ERR(identity);
		goto out_abort;
	}
	if (identity->late)
		mock_lu_set_unit(&mock_lu_late_unit);
	lu->dev = iommufd_mock_device_create(identity,
					     &cmd->liveupdate.out_value);
	if (cmd->liveupdate.flags & IOMMU_TEST_LU_LATE)
		mock_lu_set_unit(iommufd_mock_iommu());
	if (IS_ERR(lu->dev)) {
		rc = PTR_ERR(lu->dev);
		goto out_abort;
	}

	/* The bus does not tell why its notifier did not like the device. */
	rc = -ENODEV;
	lu->group = iommu_group_get(lu->dev);
	if (!lu->group)
		goto out_unregister;
	cmd->liveupdate.out_id = iommu_group_id(lu->group);
	rc = mock_lu_finalize(ucmd, lu);
	if (rc)
		goto out_group;
	if (other)
		iommufd_put_object(ucmd->ictx, &other->obj);
	return 0;

out_group:
	iommu_group_put(lu->group);
out_unregister:
	device_unregister(lu->dev);
out_abort:
	iommufd_object_abort(ucmd->ictx, &lu->obj);
out_put:
	if (other)
		iommufd_put_object(ucmd->ictx, &other->obj);
	return rc;
}

/* Attach, replace, or give what came with the device its handle */
static int mock_lu_set_domain(struct mock_lu_obj *lu, u32 op,
			      struct iommu_domain *domain,
			      struct iommufd_object *obj)
{
	struct iommu_attach_handle *handle;
	int rc;

	guard(mutex)(&lu->lock);
	handle = &lu->handles[lu->next_handle];
	switch (op) {
	case IOMMU_TEST_LU_ATTACH:
		rc = iommu_attach_group_handle(domain, lu->group, handle);
		break;
	case IOMMU_TEST_LU_REPLACE:
		rc = lu->domain_obj ? iommu_replace_group_handle(lu->group,
								 domain, handle) :
				      -EINVAL;
		break;
	case IOMMU_TEST_LU_HANDLE:
		rc = iommu_restore_group_handle(domain, lu->dev, handle);
		break;
	default:
		rc = -EOPNOTSUPP;
	}
	if (rc)
		return rc;

	refcount_inc(&obj->users);
	if (lu->domain_obj)
		refcount_dec(&lu->domain_obj->users);
	lu->domain_obj = obj;
	lu->next_handle ^= 1;
	return 0;
}

static int mock_lu_detach(struct mock_lu_obj *lu)
{
	guard(mutex)(&lu->lock);
	if (!lu->domain_obj)
		return -ENOENT;
	iommu_detach_group_handle(lu->handles[lu->next_handle ^ 1].domain,
				  lu->group);
	refcount_dec(&lu->domain_obj->users);
	lu->domain_obj = NULL;
	return 0;
}

static int mock_lu_pasid(struct mock_lu_obj *lu, struct iommu_domain *domain,
			 u32 op, ioasid_t pasid)
{
	if (op == IOMMU_TEST_LU_PASID_ATTACH)
		return iommu_attach_device_pasid(domain, lu->dev, pasid, NULL);
	iommu_detach_device_pasid(domain, lu->dev, pasid);
	return 0;
}

/* What concerns a device and a domain */
static int mock_lu_device_domain(struct iommufd_ucmd *ucmd,
				 struct mock_lu_obj *lu)
{
	struct iommu_test_cmd *cmd = ucmd->cmd;
	struct iommu_domain *domain;
	struct iommufd_object *obj;
	int rc;

	domain = mock_lu_get_domain(ucmd->ictx, cmd->liveupdate.pt_id, &obj);
	if (IS_ERR(domain))
		return PTR_ERR(domain);

	switch (cmd->liveupdate.cmd) {
	case IOMMU_TEST_LU_PRESERVE:
		rc = iommu_preserve_device(domain, lu->dev,
					   &cmd->liveupdate.out_id);
		break;
	case IOMMU_TEST_LU_UNPRESERVE:
		iommu_unpreserve_device(domain, lu->dev);
		rc = 0;
		break;
	case IOMMU_TEST_LU_VERIFY:
		rc = iommu_verify_preserved_device(domain, lu->dev);
		break;
	case IOMMU_TEST_LU_PASID_ATTACH:
	case IOMMU_TEST_LU_PASID_DETACH:
		rc = mock_lu_pasid(lu, domain, cmd->liveupdate.cmd,
				   cmd->liveupdate.value);
		break;
	default:
		rc = mock_lu_set_domain(lu, cmd->liveupdate.cmd, domain, obj);
	}
	iommufd_put_object(ucmd->ictx, obj);
	return rc ?: iommufd_ucmd_respond(ucmd, sizeof(*cmd));
}

/* What a kernel driver does when it binds, if this test is not a module */
static int mock_lu_use_default_domain(struct device *dev)
{
	int rc = -EOPNOTSUPP;

	if (IS_BUILTIN(CONFIG_IOMMUFD)) {
		rc = iommu_device_use_default_domain(dev);
		if (!rc)
			iommu_device_unuse_default_domain(dev);
	}
	return rc;
}

/* The device is gone, and nobody was asked. */
static int mock_lu_unplug(struct mock_lu_obj *lu)
{
	guard(mutex)(&lu->lock);
	if (!lu->dev)
		return -ENODEV;
	device_unregister(lu->dev);
	lu->dev = NULL;
	if (lu->domain_obj)
		refcount_dec(&lu->domain_obj->users);
	lu->domain_obj = NULL;
	return 0;
}

/* Become the owner, as somebody else if @value says so, or cease to be. */
static int mock_lu_own(struct mock_lu_obj *lu, u32 op, u32 value)
{
	int rc;

	guard(mutex)(&lu->lock);
	switch (op) {
	case IOMMU_TEST_LU_OWN:
		if (value)
			return iommu_device_claim_dma_owner(lu->dev,
							    &mock_lu_stranger);
		if (lu->owned)
			return -EEXIST;
		rc = iommu_device_claim_dma_owner(lu->dev, lu);
		break;
	case IOMMU_TEST_LU_CLAIM:
		rc = iommu_device_claim_restored(lu->dev, value, lu);
		break;
	default:
		if (!lu->owned)
			return -EPERM;
		iommu_device_release_dma_owner(lu->dev);
		lu->owned = false;
		return 0;
	}
	if (!rc)
		lu->owned = true;
	return rc;
}

int mock_lu_device(struct iommufd_ucmd *ucmd)
{
	struct iommu_test_cmd *cmd = ucmd->cmd;
	struct mock_lu_obj *lu;
	int rc;

	lu = mock_lu_get(ucmd->ictx, cmd->id, TYPE_LU_DEVICE);
	if (IS_ERR(lu))
		return PTR_ERR(lu);
	if (!lu->dev) {
		iommufd_put_object(ucmd->ictx, &lu->obj);
		return -ENODEV;
	}

	switch (cmd->liveupdate.cmd) {
	case IOMMU_TEST_LU_OWN:
	case IOMMU_TEST_LU_DISOWN:
	case IOMMU_TEST_LU_CLAIM:
		rc = mock_lu_own(lu, cmd->liveupdate.cmd,
				 cmd->liveupdate.value);
		break;
	case IOMMU_TEST_LU_RESTORED_ID:
		rc = iommu_restored_device_id(lu->dev, &cmd->liveupdate.out_id,
					      &cmd->liveupdate.out_value);
		if (!rc)
			rc = iommufd_ucmd_respond(ucmd, sizeof(*cmd));
		break;
	case IOMMU_TEST_LU_BIND_DRIVER:
		rc = mock_lu_use_default_domain(lu->dev);
		break;
	case IOMMU_TEST_LU_RESET:
		rc = iommu_liveupdate_reset(lu->dev);
		break;
	case IOMMU_TEST_LU_DETACH:
		rc = mock_lu_detach(lu);
		break;
	case IOMMU_TEST_LU_UNPLUG:
		rc = mock_lu_unplug(lu);
		break;
	default:
		rc = mock_lu_device_domain(ucmd, lu);
	}
	iommufd_put_object(ucmd->ictx, &lu->obj);
	return rc;
}

void mock_lu_device_destroy(struct mock_lu_obj *lu)
{
	struct iommu_domain *domain = lu->handles[lu->next_handle ^ 1].domain;

	if (lu->dev) {
		/* Does nothing if it is not preserved. */
		if (lu->domain_obj)
			iommu_unpreserve_device(domain, lu->dev);
		mock_lu_detach(lu);
		if (lu->owned)
			iommu_device_release_dma_owner(lu->dev);
		device_unregister(lu->dev);
	}
	iommu_group_put(lu->group);
	mutex_destroy(&lu->lock);
}
