// SPDX-License-Identifier: GPL-2.0-only
/*
 * A preserved device as PCI resets it, as the bus unplugs it, behind an IOMMU
 * driver that is not complete, and with an owner that forgets what it has to do.
 * The core is the real one, with all of its hooks. What it must warn of is
 * expected to warn.
 */

#include <kunit/test.h>
#include <linux/bitfield.h>
#include <linux/cleanup.h>
#include <linux/kthread.h>
#include <linux/notifier.h>
#include <linux/pci.h>
#include <linux/sched.h>
#include <linux/suspend.h>

#include "../core.h"
#include "../outgoing.h"
#include "device-kunit.h"

#define RACE_ROUNDS	4000

static int preserve(void)
{
	u32 id;

	return iommu_preserve_device(&fake.table.domain, &fake.pdev->dev, &id);
}

static void unpreserve(void)
{
	iommu_unpreserve_device(&fake.table.domain, &fake.pdev->dev);
}

static int verify(void)
{
	return iommu_verify_preserved_device(&fake.table.domain,
					     &fake.pdev->dev);
}

static int identify(struct pci_dev *pdev, struct iommu_device_ser *ser)
{
	*ser = (struct iommu_device_ser){};
	return iommu_liveupdate_identify(&pdev->dev, &fake_liveupdate_ops, ser);
}

/* What the next kernel would refuse is found as long as there is a way back. */
static void records_are_read(struct kunit *test)
{
	struct iommu_device_ser *ser;
	u32 id;

	KUNIT_ASSERT_EQ(test, iommu_preserve_device(&fake.table.domain,
						    &fake.pdev->dev, &id), 0);
	ser = (struct iommu_device_ser *)
		iommu_records_get(iommu_outgoing->records, IOMMU_SER_DEVICES,
				  id);
	KUNIT_ASSERT_NOT_NULL(test, ser);
	ser->__reserved = 1;
	KUNIT_EXPECT_EQ(test, verify(), -EINVAL);
	ser->__reserved = 0;
	KUNIT_EXPECT_EQ(test, verify(), 0);
}

/* While PCI resets the device its domain is blocked, if it has ATS. */
static void reset_is_refused(struct kunit *test)
{
	int attached;

	KUNIT_ASSERT_EQ(test, preserve(), 0);
	attached = fake.attached;
	for (int ats = 0; ats < 2; ats++) {
		fake.pdev->ats_cap = ats;
		KUNIT_EXPECT_EQ(test, pci_dev_reset_iommu_prepare(fake.pdev),
				-EBUSY);
		KUNIT_EXPECT_FALSE(test, fake_gdev()->blocked);
		KUNIT_EXPECT_EQ(test, fake_gdev()->reset_depth, 0);
		KUNIT_EXPECT_EQ(test, fake.attached, attached);
		KUNIT_EXPECT_EQ(test, verify(), 0);
	}

	/* It was not meant for ever. */
	unpreserve();
	for (int ats = 0; ats < 2; ats++) {
		fake.pdev->ats_cap = ats;
		KUNIT_EXPECT_EQ(test, pci_dev_reset_iommu_prepare(fake.pdev), 0);
		KUNIT_EXPECT_EQ(test, fake_gdev()->blocked, !!ats);
		pci_dev_reset_iommu_done(fake.pdev);
		KUNIT_EXPECT_FALSE(test, fake_gdev()->blocked);
	}
	KUNIT_EXPECT_EQ(test, fake.attached, attached + 2);
	KUNIT_EXPECT_EQ(test, preserve(), 0);
}

/* Hardware has the blocked domain until the outermost reset is done. */
static void in_reset_is_refused(struct kunit *test)
{
	fake.pdev->ats_cap = 1;
	KUNIT_ASSERT_EQ(test, pci_dev_reset_iommu_prepare(fake.pdev), 0);
	KUNIT_EXPECT_EQ(test, preserve(), -EBUSY);
	KUNIT_ASSERT_EQ(test, pci_dev_reset_iommu_prepare(fake.pdev), 0);
	KUNIT_EXPECT_EQ(test, preserve(), -EBUSY);
	pci_dev_reset_iommu_done(fake.pdev);
	KUNIT_EXPECT_EQ(test, preserve(), -EBUSY);
	KUNIT_EXPECT_EQ(test, fake.units, 0);
	pci_dev_reset_iommu_done(fake.pdev);
	KUNIT_ASSERT_EQ(test, preserve(), 0);
	KUNIT_EXPECT_EQ(test, verify(), 0);

	/* Nothing gets there, and the last look would find it. */
	fake.pdev->dev.iommu_group->recovery_cnt++;
	KUNIT_EXPECT_EQ(test, verify(), -EBUSY);
	fake.pdev->dev.iommu_group->recovery_cnt--;
	KUNIT_EXPECT_EQ(test, verify(), 0);
}

/* Each of these says by itself that a reset is not over. */
static void each_sign_of_a_reset(struct kunit *test)
{
	struct iommu_group *group = fake.pdev->dev.iommu_group;

	fake_gdev()->blocked = true;
	KUNIT_EXPECT_EQ(test, preserve(), -EBUSY);
	fake_gdev()->blocked = false;

	fake_gdev()->reset_depth = 1;
	KUNIT_EXPECT_EQ(test, preserve(), -EBUSY);
	fake_gdev()->reset_depth = 0;

	group->recovery_cnt = 1;
	KUNIT_EXPECT_EQ(test, preserve(), -EBUSY);
	group->recovery_cnt = 0;
	KUNIT_EXPECT_EQ(test, preserve(), 0);
}

struct other_member {
	u8 hdr_type;
	u8 pcie_type;
	int ret;
};

/* A port of a switch without ACS needs no page table, any other device may. */
static const struct other_member other_members[] = {
	{ PCI_HEADER_TYPE_BRIDGE, PCI_EXP_TYPE_ROOT_PORT, 0 },
	{ PCI_HEADER_TYPE_BRIDGE, PCI_EXP_TYPE_UPSTREAM, 0 },
	{ PCI_HEADER_TYPE_BRIDGE, PCI_EXP_TYPE_DOWNSTREAM, 0 },
	{ PCI_HEADER_TYPE_BRIDGE, PCI_EXP_TYPE_PCI_BRIDGE, -EOPNOTSUPP },
	{ PCI_HEADER_TYPE_BRIDGE, PCI_EXP_TYPE_PCIE_BRIDGE, -EOPNOTSUPP },
	{ PCI_HEADER_TYPE_NORMAL, PCI_EXP_TYPE_ENDPOINT, -EOPNOTSUPP },
	{ PCI_HEADER_TYPE_NORMAL, PCI_EXP_TYPE_DOWNSTREAM, -EOPNOTSUPP },
};

static void not_alone(struct kunit *test)
{
	struct iommu_group *group = fake.pdev->dev.iommu_group;
	struct group_device gdev = {};
	struct pci_dev *pdev;

	pdev = kunit_kzalloc(test, sizeof(*pdev), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, pdev);
	pdev->dev.bus = &pci_bus_type;
	gdev.dev = &pdev->dev;

	for (unsigned int i = 0; i < 2 * ARRAY_SIZE(other_members); i++) {
		const struct other_member *other = &other_members[i / 2];

		pdev->hdr_type = other->hdr_type;
		pdev->pcie_flags_reg = FIELD_PREP(PCI_EXP_FLAGS_TYPE,
						  other->pcie_type);
		pdev->pcie_cap = 0x40;
		scoped_guard(mutex, &group->mutex) {
			if (i & 1)
				list_add(&gdev.list, &group->devices);
			else
				list_add_tail(&gdev.list, &group->devices);
		}

		KUNIT_EXPECT_EQ_MSG(test, preserve(), other->ret,
				    "header %u, type %u", other->hdr_type,
				    other->pcie_type);
		if (!other->ret) {
			/* Wherever it stands, it is known what is preserved. */
			KUNIT_EXPECT_EQ(test, preserve(), -EBUSY);
			KUNIT_EXPECT_EQ(test, verify(), 0);
			unpreserve();
			KUNIT_EXPECT_EQ(test, verify(), -ENOENT);
		}

		/* A port in a reset takes down what is below it. */
		gdev.blocked = true;
		KUNIT_EXPECT_EQ(test, preserve(), other->ret ?: -EBUSY);
		gdev.blocked = false;

		/* One that is no PCI Express device says nothing of its type. */
		pdev->pcie_cap = 0;
		KUNIT_EXPECT_EQ(test, preserve(), -EOPNOTSUPP);
		scoped_guard(mutex, &group->mutex)
			list_del(&gdev.list);
	}
	KUNIT_EXPECT_EQ(test, fake.units, 0);
	KUNIT_EXPECT_EQ(test, preserve(), 0);
}

static int race_reset(void *resets)
{
	while (!kthread_should_stop()) {
		if (!pci_dev_reset_iommu_prepare(fake.pdev)) {
			++*(int *)resets;
			pci_dev_reset_iommu_done(fake.pdev);
		}
		cond_resched();
	}
	return 0;
}

/* Either the reset comes first or the live update, whatever they look at when. */
static void reset_races(struct kunit *test)
{
	int resets = 0, preserved = 0, busy = 0, other = 0;
	struct task_struct *task;

	fake.pdev->ats_cap = 1;
	task = kthread_run(race_reset, &resets, "iommu-lu-kunit");
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, task);
	for (int i = 0; i < RACE_ROUNDS || !resets || !preserved; i++) {
		int ret = preserve();

		if (!ret) {
			preserved++;
			ret = verify();
			unpreserve();
		}
		busy += ret == -EBUSY;
		other += ret && ret != -EBUSY;
		if (i > 100 * RACE_ROUNDS)
			break;
		cond_resched();
	}
	kthread_stop(task);

	kunit_info(test, "%d resets, preserved %d times, refused %d times\n",
		   resets, preserved, busy);
	KUNIT_EXPECT_GT(test, resets, 0);
	KUNIT_EXPECT_GT(test, preserved, 0);
	KUNIT_EXPECT_EQ(test, other, 0);
	KUNIT_EXPECT_EQ(test, fake.disturbed, 0);
}

/* The driver is unbound first, as it is whenever a device goes away. */
static void unplug_of_owned(struct kunit *test)
{
	KUNIT_ASSERT_EQ(test, preserve(), 0);
	KUNIT_EXPECT_EQ(test, fake.units, 1);
	fake_unplug();
	KUNIT_EXPECT_EQ(test, fake.devices, 0);
	KUNIT_EXPECT_EQ(test, fake.units, 0);
	KUNIT_EXPECT_EQ(test, fake.disturbed, 0);
	KUNIT_EXPECT_FALSE(test, fake.left_preserved);
}

/*
 * The owner has not let go: a bug, of which the core has always warned. The
 * next kernel must not look for the device all the same, nor this one use what
 * is freed.
 */
static void unplug_of_forgotten(struct kunit *test)
{
	KUNIT_ASSERT_EQ(test, preserve(), 0);
	fake.forgetful = true;
	kunit_warning_suppress(test) {
		fake_unplug();
		KUNIT_EXPECT_SUPPRESSED_WARNING_COUNT(test, 1);
	}
	KUNIT_EXPECT_EQ(test, fake.devices, 0);
	KUNIT_EXPECT_EQ(test, fake.units, 0);
	KUNIT_EXPECT_FALSE(test, fake.left_preserved);
}

/* The owner takes the domain away from a device that is preserved. */
static void detach_of_forgotten(struct kunit *test)
{
	KUNIT_ASSERT_EQ(test, preserve(), 0);
	kunit_warning_suppress(test) {
		fake_detach(&fake.pdev->dev);
		KUNIT_EXPECT_SUPPRESSED_WARNING_COUNT(test, 1);
	}
	KUNIT_EXPECT_EQ(test, fake.devices, 0);
	KUNIT_EXPECT_EQ(test, fake.units, 0);
	KUNIT_EXPECT_EQ(test, fake.disturbed, 0);
	KUNIT_EXPECT_EQ(test, verify(), -ENOENT);
}

/* A domain is not given back while a device depends on it. */
static void domain_of_forgotten(struct kunit *test)
{
	KUNIT_ASSERT_EQ(test, preserve(), 0);
	kunit_warning_suppress(test) {
		iommu_domain_unpreserve(&fake.table.domain);
		KUNIT_EXPECT_SUPPRESSED_WARNING_COUNT(test, 1);
	}
	KUNIT_EXPECT_EQ(test, fake.tables, 1);
	KUNIT_EXPECT_EQ(test, verify(), 0);
}

/* A page table stays as it is recorded, whoever forgets that. */
static void map_of_forgotten(struct kunit *test)
{
	struct iommu_domain *domain = &fake.table.domain;
	const int prot = IOMMU_READ | IOMMU_WRITE;

	kunit_warning_suppress(test) {
		KUNIT_EXPECT_NE(test, iommu_map(domain, 0, 0, PAGE_SIZE, prot,
						GFP_KERNEL), 0);
		KUNIT_EXPECT_EQ(test, iommu_unmap(domain, 0, PAGE_SIZE), 0);
		KUNIT_EXPECT_SUPPRESSED_WARNING_COUNT(test, 2);
	}
	KUNIT_EXPECT_EQ(test, fake.mapped, 0);

	iommu_domain_unpreserve(domain);
	KUNIT_EXPECT_EQ(test, iommu_map(domain, 0, 0, PAGE_SIZE, prot,
					GFP_KERNEL), 0);
	KUNIT_EXPECT_EQ(test, iommu_unmap(domain, 0, PAGE_SIZE), PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, fake.mapped, 2);
}

static void refused_without(struct kunit *test,
			    const struct iommu_liveupdate_ops *ops,
			    const char *what)
{
	struct fake_domain other = { .domain = fake.table.domain };
	u32 id;

	other.domain.preserved = NULL;
	other.iommu.ops = fake.table.iommu.ops;
	fake_ops.liveupdate = ops;
	kunit_warning_suppress(test) {
		KUNIT_EXPECT_EQ_MSG(test, preserve(), -EOPNOTSUPP,
				    "device, without %s", what);
		KUNIT_EXPECT_EQ_MSG(test,
				    iommu_domain_preserve(&other.domain, &id),
				    -EOPNOTSUPP, "domain, without %s", what);
		KUNIT_EXPECT_SUPPRESSED_WARNING_COUNT(test, 2);
	}
	fake_ops.liveupdate = &fake_liveupdate_ops;
}

#define WITHOUT(_test, _member)						\
	do {								\
		struct iommu_liveupdate_ops __ops;			\
									\
		__ops = fake_liveupdate_ops;				\
		__ops._member = NULL;					\
		refused_without(_test, &__ops, #_member);		\
	} while (0)

/*
 * A driver that has some of the operations could not undo what it did, or would
 * leave what no kernel could take over.
 */
static void incomplete_driver(struct kunit *test)
{
	struct iommu_liveupdate_ops ops = fake_liveupdate_ops;

	ops.type = 0;
	refused_without(test, &ops, "type");
	ops = fake_liveupdate_ops;
	WITHOUT(test, preserve);
	WITHOUT(test, unpreserve);
	WITHOUT(test, preserve_device);
	WITHOUT(test, unpreserve_device);
	WITHOUT(test, verify_device);
	WITHOUT(test, restore_domain);
	WITHOUT(test, restore_attach);
	WITHOUT(test, block);
	fake_ops.blocked_domain = NULL;
	refused_without(test, &fake_liveupdate_ops, "blocked_domain");
	fake_ops.blocked_domain = &fake_blocked;
	KUNIT_EXPECT_EQ(test, fake.units, 0);

	/* None at all is no bug. */
	fake_ops.liveupdate = NULL;
	KUNIT_EXPECT_EQ(test, preserve(), -EOPNOTSUPP);

	/* It may do without a name of its own, but then there is none. */
	ops.identify = NULL;
	fake_ops.liveupdate = &ops;
	KUNIT_EXPECT_EQ(test, preserve(), -EOPNOTSUPP);
	KUNIT_EXPECT_EQ(test, fake.units, 0);

	fake_ops.liveupdate = &fake_liveupdate_ops;
	KUNIT_EXPECT_EQ(test, preserve(), 0);
}

/* A device that plugs in behind an incomplete driver works, and warns. */
static void incomplete_driver_probe(struct kunit *test)
{
	struct iommu_liveupdate_ops ops = fake_liveupdate_ops;

	fake_unplug();
	ops.block = NULL;
	fake_ops.liveupdate = &ops;
	kunit_warning_suppress(test) {
		KUNIT_EXPECT_EQ(test, fake_plug(), 0);
		KUNIT_EXPECT_SUPPRESSED_WARNING_COUNT(test, 1);
	}
	KUNIT_EXPECT_TRUE(test, fake.bound);
}

static struct pci_dev *copy_of_some_device(struct kunit *test)
{
	struct pci_dev *pdev = pci_get_device(PCI_ANY_ID, PCI_ANY_ID, NULL);
	struct pci_dev *copy;

	if (!pdev)
		kunit_skip(test, "no PCI device");
	copy = kunit_kmalloc(test, sizeof(*copy), GFP_KERNEL);
	if (copy)
		memcpy(copy, pdev, sizeof(*copy));
	pci_dev_put(pdev);
	KUNIT_ASSERT_NOT_NULL(test, copy);
	return copy;
}

/* What both kernels call a device of PCI */
static void identity_of_pci(struct kunit *test)
{
	struct pci_dev *pdev = copy_of_some_device(test);
	unsigned long *aliases = kunit_kzalloc(test, 256 / 8, GFP_KERNEL);
	struct iommu_device_ser ser = {};

	KUNIT_ASSERT_NOT_NULL(test, aliases);
	KUNIT_EXPECT_EQ(test, identify(pdev, &ser), 0);
	KUNIT_EXPECT_EQ(test, ser.segment, pci_domain_nr(pdev->bus));
	KUNIT_EXPECT_EQ(test, ser.bdf, pci_dev_id(pdev));
	KUNIT_EXPECT_EQ(test, ser.vendor, pdev->vendor);
	KUNIT_EXPECT_EQ(test, ser.device, pdev->device);
	KUNIT_EXPECT_EQ(test, ser.nr_aliases, 0);

	/* As many other requester ids as a record has room for */
	pdev->dma_alias_mask = aliases;
	for (unsigned int i = 0; i <= IOMMU_SER_MAX_ALIASES; i++) {
		u8 devfn = pdev->devfn + 8 * i;

		KUNIT_EXPECT_EQ(test, identify(pdev, &ser), 0);
		KUNIT_EXPECT_EQ(test, ser.nr_aliases, i);
		__set_bit((u8)(devfn + 8), aliases);
	}
	KUNIT_EXPECT_EQ(test, identify(pdev, &ser), -EOPNOTSUPP);
	pdev->dma_alias_mask = NULL;

	/* It ends with another one. */
	pdev->is_virtfn = 1;
	KUNIT_EXPECT_EQ(test, identify(pdev, &ser), -EOPNOTSUPP);
}

/* Translation goes off when the machine sleeps. */
static void no_sleep(struct kunit *test)
{
	static const unsigned long before[] = {
		PM_HIBERNATION_PREPARE, PM_SUSPEND_PREPARE, PM_RESTORE_PREPARE,
	};
	static const unsigned long after[] = {
		PM_POST_HIBERNATION, PM_POST_SUSPEND, PM_POST_RESTORE,
	};
	int ret;

	for (unsigned int i = 0; i < ARRAY_SIZE(before); i++) {
		ret = iommu_liveupdate_suspend(NULL, before[i], NULL);
		KUNIT_EXPECT_EQ(test, notifier_to_errno(ret), -EBUSY);
		/* One that was refused is undone for those asked before. */
		ret = iommu_liveupdate_suspend(NULL, after[i], NULL);
		KUNIT_EXPECT_EQ(test, ret, NOTIFY_DONE);
	}

	iommu_domain_unpreserve(&fake.table.domain);
	iommu_outgoing_destroy();
	for (unsigned int i = 0; i < ARRAY_SIZE(before); i++) {
		ret = iommu_liveupdate_suspend(NULL, before[i], NULL);
		KUNIT_EXPECT_EQ(test, ret, NOTIFY_DONE);
	}
	KUNIT_EXPECT_EQ(test, fake_begin(), 0);
}

static struct kunit_case device_cases[] = {
	KUNIT_CASE(records_are_read),
	KUNIT_CASE(reset_is_refused),
	KUNIT_CASE(in_reset_is_refused),
	KUNIT_CASE(each_sign_of_a_reset),
	KUNIT_CASE(not_alone),
	KUNIT_CASE_SLOW(reset_races),
	KUNIT_CASE(unplug_of_owned),
	KUNIT_CASE(unplug_of_forgotten),
	KUNIT_CASE(detach_of_forgotten),
	KUNIT_CASE(domain_of_forgotten),
	KUNIT_CASE(map_of_forgotten),
	KUNIT_CASE(incomplete_driver),
	KUNIT_CASE(incomplete_driver_probe),
	KUNIT_CASE(identity_of_pci),
	KUNIT_CASE(no_sleep),
	{}
};

static struct kunit_suite device_suite = {
	.name = "iommu_liveupdate_device",
	.suite_init = fake_suite_init,
	.suite_exit = fake_suite_exit,
	.init = fake_init,
	.exit = fake_exit,
	.test_cases = device_cases,
};

kunit_test_suite(device_suite);
