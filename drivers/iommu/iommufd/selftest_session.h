/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What iommufd's self test does to test iommufds in sessions of the Live Update
 * Orchestrator: also included by the tests in userspace.
 */
#ifndef __IOMMUFD_SELFTEST_SESSION_H
#define __IOMMUFD_SELFTEST_SESSION_H

#include <linux/iommufd.h>
#include <linux/types.h>

/* Values of iommu_test_cmd.session.cmd. @id is that of the object. */
enum {
	/* Take the IOAS away from a HWPT */
	IOMMU_TEST_SESSION_FORGET_IOAS,
	/* Make an IOAS immutable, and mutable again */
	IOMMU_TEST_SESSION_IMMUTABLE,
	IOMMU_TEST_SESSION_MUTABLE,
	/* Make an IOAS immutable in the middle of a map, for which this waits */
	IOMMU_TEST_SESSION_IMMUTABLE_IN_MAP,
	/* Let the first area of an IOAS allow something else, and as before */
	IOMMU_TEST_SESSION_CHANGE_AREA,
	/* Use an IOAS for @value milliseconds */
	IOMMU_TEST_SESSION_HOLD,
	/*
	 * Make a device that has requester id @value, and a file of it. It is
	 * in the group of device @id, or if that is 0 in one of its own. The
	 * page at @iova is reserved, unless that is 0.
	 */
	IOMMU_TEST_SESSION_DEVICE,
	/* The same for a device that has no IOMMU */
	IOMMU_TEST_SESSION_NOIOMMU,
	/*
	 * Let device @id need pages of an MSI controller from @iova on, or HWPT
	 * @id have one; with @value 0 not any more
	 */
	IOMMU_TEST_SESSION_SW_MSI,
	/* Do what retrieving does, for domain @value, @nr areas and flags */
	IOMMU_TEST_SESSION_RETRIEVE,
	/* Do what finishing does */
	IOMMU_TEST_SESSION_FINISH,
	/*
	 * After a kexec: find the unit running. Its hardware was memory of the
	 * previous kernel, so IOMMU_TEST_LU_ENTRY has to make it as it was.
	 */
	IOMMU_TEST_SESSION_ADOPT,
};

/* ioctls of the file of a device. They get the id of a HWPT, or nothing. */
#define IOMMU_TEST_DEVICE_ATTACH	_IO(IOMMUFD_TYPE, 0xf0)
#define IOMMU_TEST_DEVICE_DETACH	_IO(IOMMUFD_TYPE, 0xf1)
#define IOMMU_TEST_DEVICE_ATTACH_PASID	_IO(IOMMUFD_TYPE, 0xf2)
#define IOMMU_TEST_DEVICE_DETACH_PASID	_IO(IOMMUFD_TYPE, 0xf3)
/* True or false */
#define IOMMU_TEST_DEVICE_IS_PRESERVED	_IO(IOMMUFD_TYPE, 0xf4)
#define IOMMU_TEST_DEVICE_IS_RESTORED	_IO(IOMMUFD_TYPE, 0xf5)
/* What is left of it to the next kernel names a device that is not there. */
#define IOMMU_TEST_DEVICE_MISNAME	_IO(IOMMUFD_TYPE, 0xf6)

/* The PASID that is meant by these */
#define IOMMU_TEST_DEVICE_PASID		5

#endif
