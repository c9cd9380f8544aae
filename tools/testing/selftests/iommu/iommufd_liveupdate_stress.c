// SPDX-License-Identifier: GPL-2.0-only
/*
 * The live update of the IOMMU core while tasks get into each other's way. Best
 * with lock debugging: what is looked for is splats, and errors that none of the
 * tasks can explain.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <time.h>

#include "iommufd_liveupdate.h"

#define STORM_SECONDS	4
#define ROUNDS		25
/* As long as one of two outcomes has not been seen, on a busy machine */
#define MOST_ROUNDS	(20 * ROUNDS)
#define UNPLUG_ROUNDS	100

/* A task of a storm: do it once, and return an error that is not expected. */
typedef int (*storm_fn)(void);

/* What the tasks share. Requester ids: 1 stays, 2 comes and goes */
static struct lu_kernel *kernel;
static atomic_bool storm_over;
static __u32 storm_dev;
static __u32 storm_group;
static unsigned long storm_preserved, storm_busy, storm_replaced;

/*
 * What iommufd has for each group: nobody preserves a device whose owner is
 * about to detach it.
 */
static pthread_rwlock_t storm_owner = PTHREAD_RWLOCK_INITIALIZER;

static int storm_preserve(void)
{
	int rc;

	pthread_rwlock_rdlock(&storm_owner);
	rc = lu_pt(kernel->fd, PRESERVE, storm_dev, kernel->hwpt);
	pthread_rwlock_unlock(&storm_owner);
	switch (rc) {
	case 0:
		break;
	case -EINVAL:		/* has the other domain */
	case -EOPNOTSUPP:	/* is not alone, has a PASID */
		return 0;
	default:
		return rc;
	}

	storm_preserved++;
	for (int i = 0; i < 5; i++) {
		rc = lu_pt(kernel->fd, VERIFY, storm_dev, kernel->hwpt);
		/* The owner has taken it back. */
		if (rc)
			return rc == -ENOENT ? 0 : rc;
		sched_yield();
	}
	pthread_rwlock_rdlock(&storm_owner);
	rc = lu_pt(kernel->fd, UNPRESERVE, storm_dev, kernel->hwpt);
	pthread_rwlock_unlock(&storm_owner);
	return rc;
}

static int storm_replace(void)
{
	__u32 domains[] = { kernel->hwpt2, kernel->hwpt };
	int rc = 0;

	pthread_rwlock_rdlock(&storm_owner);
	for (int i = 0; i < 2 && !rc; i++) {
		rc = lu_pt(kernel->fd, REPLACE, storm_dev, domains[i]);
		storm_replaced += !rc;
		if (rc == -EBUSY) {
			storm_busy++;
			rc = 0;
		}
	}
	pthread_rwlock_unlock(&storm_owner);
	return rc;
}

static int storm_detach(void)
{
	int rc;

	pthread_rwlock_wrlock(&storm_owner);
	rc = lu_pt(kernel->fd, UNPRESERVE, storm_dev, kernel->hwpt);
	if (!rc)
		rc = lu_dev(kernel->fd, DETACH, storm_dev);
	if (!rc)
		rc = lu_pt(kernel->fd, ATTACH, storm_dev, kernel->hwpt);
	pthread_rwlock_unlock(&storm_owner);
	usleep(1000);
	return rc;
}

static int storm_reset(void)
{
	int rc = lu_dev(kernel->fd, RESET, storm_dev);

	if (rc && rc != -EBUSY)
		return rc;
	rc = lu_type(storm_group, "auto");
	return rc == -EBUSY || rc == -EPERM ? 0 : rc ?: -EIO;
}

static int storm_pasid(void)
{
	int rc = lu(kernel->fd, PASID_ATTACH, .id = storm_dev,
		    .liveupdate.pt_id = kernel->hwpt2, .liveupdate.value = 7);

	if (rc == -EBUSY)
		return 0;
	return rc ?: lu(kernel->fd, PASID_DETACH, .id = storm_dev,
			.liveupdate.pt_id = kernel->hwpt2,
			.liveupdate.value = 7);
}

/* Another device in the same group, if it may */
static int storm_join(void)
{
	int rc = lu(kernel->fd, CREATE, .liveupdate.bdf = 3,
		    .liveupdate.value = 1, .liveupdate.pt_id = storm_dev);

	if (rc)
		return rc == -ENODEV ? 0 : rc;
	rc = _test_ioctl_destroy(kernel->fd, out.id) ? -errno : 0;
	usleep(1000);
	return rc;
}

/* Another device of the same unit, which is unplugged while it is preserved */
static int storm_plug(void)
{
	__u32 dev;
	int rc;

	rc = lu_attached(kernel->fd, 2, kernel->hwpt, &dev);
	if (rc)
		return rc;
	rc = lu_pt(kernel->fd, PRESERVE, dev, kernel->hwpt);
	if (rc)
		return rc;
	rc = lu_pt(kernel->fd, VERIFY, dev, kernel->hwpt);
	return _test_ioctl_destroy(kernel->fd, dev) ? -errno : rc;
}

static int storm_domain(void)
{
	__u32 obj;
	int rc;

	rc = lu_preserve_domain(kernel->fd, kernel->hwpt3, &obj, NULL);
	return rc ?: _test_ioctl_destroy(kernel->fd, obj) ? -errno : 0;
}

static void *storm_task(void *arg)
{
	storm_fn fn = arg;
	long rc = 0;

	while (!storm_over && !rc)
		rc = fn();
	return (void *)rc;
}

/* Run tasks for some time; how many failed */
static int storm(const storm_fn *fns, unsigned int nr)
{
	pthread_t tasks[8];
	int failed = 0;

	storm_over = false;
	for (unsigned int i = 0; i < nr; i++)
		assert(!pthread_create(&tasks[i], NULL, storm_task, fns[i]));
	sleep(STORM_SECONDS);
	storm_over = true;
	for (unsigned int i = 0; i < nr; i++) {
		void *rc;

		assert(!pthread_join(tasks[i], &rc));
		if (rc)
			ksft_print_msg("task %u: %ld\n", i, (long)rc);
		failed += !!rc;
	}
	return failed;
}

FIXTURE(stress)
{
	struct lu_test test;
};

FIXTURE_SETUP(stress)
{
	LU_TEST_SETUP(&self->test);
	kernel = &self->test.old;
	ASSERT_EQ(0, lu(kernel->fd, BEGIN));
}

FIXTURE_TEARDOWN(stress)
{
	EXPECT_EQ(0, lu_test_teardown(&self->test));
}

TEST_F_TIMEOUT(stress, outgoing, 120)
{
	static const storm_fn detaching[] = { storm_preserve, storm_replace,
					      storm_detach, storm_reset,
					      storm_plug, storm_domain };
	static const storm_fn joining[] = { storm_preserve, storm_replace,
					    storm_pasid, storm_join,
					    storm_plug, storm_domain };
	__u32 obj;

	ASSERT_EQ(0, lu_create(kernel->fd, 1, &storm_dev, &storm_group));
	ASSERT_EQ(0, lu_dev(kernel->fd, OWN, storm_dev));
	ASSERT_EQ(0, lu_pt(kernel->fd, ATTACH, storm_dev, kernel->hwpt));
	ASSERT_EQ(0, lu_preserve_domain(kernel->fd, kernel->hwpt, &obj, NULL));

	EXPECT_EQ(0, storm(detaching, ARRAY_SIZE(detaching)));
	EXPECT_EQ(0, storm(joining, ARRAY_SIZE(joining)));
	ksft_print_msg("preserved %lu, refused %lu, replaced %lu\n",
		       storm_preserved, storm_busy, storm_replaced);
	/* They did meet. */
	EXPECT_LT(0, storm_preserved);
	EXPECT_LT(0, storm_busy);
	EXPECT_LT(0, storm_replaced);
	EXPECT_PRESERVED(kernel->fd, 0);
}

/* What the tasks of the kernel that comes share */
static struct lu_kernel *new_kernel;
static __u32 race_device_id, race_domain_id, race_dev;
static unsigned long race_claimed, race_refused;
static pthread_barrier_t race_start;

/* What iommufd does. Whoever comes too late has an ordinary device. */
static void *race_retrieve(void *arg)
{
	__u32 dev, domain;
	long rc;

	pthread_barrier_wait(&race_start);
	if (lu_restored_domain(new_kernel->fd, race_domain_id, &domain))
		domain = 0;
	rc = lu_create(new_kernel->fd, 1, &dev, NULL);
	if (rc)
		return (void *)rc;
	rc = lu_val(new_kernel->fd, CLAIM, dev, race_device_id);
	if (rc) {
		race_refused++;
		rc = lu_dev(new_kernel->fd, OWN, dev);
		/* Whoever gives it up has not finished yet. */
		return (void *)(rc == -EPERM ? 0 : rc);
	}
	race_claimed++;
	if (!domain)
		return (void *)(long)-ENOENT;
	rc = lu_pt(new_kernel->fd, HANDLE, dev, domain);
	if (!rc)
		rc = lu_pt(new_kernel->fd, REPLACE, dev, new_kernel->hwpt);
	return (void *)rc;
}

static void *race_discard(void *arg)
{
	pthread_barrier_wait(&race_start);
	for (int i = 0; i < 3; i++)
		lu_val(new_kernel->fd, DISCARD, 0, race_device_id);
	return NULL;
}

static void *race_discard_late(void *arg)
{
	pthread_barrier_wait(&race_start);
	usleep((long)arg);
	return (void *)(long)lu_val(new_kernel->fd, DISCARD, 0, race_device_id);
}

static void *race_finish(void *arg)
{
	pthread_barrier_wait(&race_start);
	usleep((long)arg);
	return (void *)(long)lu(new_kernel->fd, FINISH);
}

static void *race_domain(void *arg)
{
	__u32 domain;

	pthread_barrier_wait(&race_start);
	for (int i = 0; i < 10; i++) {
		if (lu_restored_domain(new_kernel->fd, race_domain_id,
				       &domain))
			continue;
		if (!lu_phys(new_kernel->fd, domain, LU_IOVA) ||
		    _test_ioctl_destroy(new_kernel->fd, domain))
			return (void *)(long)-EIO;
	}
	return NULL;
}

/* The device is there, and goes while nobody has claimed it. */
static void *race_unplug(void *arg)
{
	pthread_barrier_wait(&race_start);
	return (void *)(long)lu_dev(new_kernel->fd, UNPLUG, race_dev);
}

static int race(void *(*first)(void *), void *(*second)(void *), long delay)
{
	void *(*fns[])(void *) = { first, second, race_domain };
	pthread_t tasks[3];
	int failed = 0;

	assert(!pthread_barrier_init(&race_start, NULL, 3));
	for (int i = 0; i < 3; i++)
		assert(!pthread_create(&tasks[i], NULL, fns[i], (void *)delay));
	for (int i = 0; i < 3; i++) {
		void *rc;

		assert(!pthread_join(tasks[i], &rc));
		if (rc)
			ksft_print_msg("task %d: %ld\n", i, (long)rc);
		failed += !!rc;
	}
	pthread_barrier_destroy(&race_start);
	return failed;
}

/* A device with its domain leaves the old kernel. 0 or an error below 0 */
static int race_handover(struct lu_test *test)
{
	__u32 dev, obj;
	int rc;

	kernel = &test->old;
	rc = lu_attached(kernel->fd, 1, kernel->hwpt, &dev);
	if (!rc)
		rc = lu_preserve_domain(kernel->fd, kernel->hwpt, &obj,
					&race_domain_id);
	if (!rc)
		rc = lu_pt(kernel->fd, PRESERVE, dev, kernel->hwpt);
	if (rc)
		return rc;

	race_device_id = out.liveupdate.out_id;
	new_kernel = &test->new;
	return lu_handover(test, 0);
}

/* Another round can begin. 0 or an error */
static int race_again(struct lu_test *test)
{
	int rc;

	lu_kernel_close(new_kernel);
	rc = lu_end();
	if (!rc)
		rc = lu_kernel_open(&test->old);
	return rc ?: lu(test->old.fd, BEGIN);
}

/* Devices are given up while they are found, claimed and replaced. */
TEST_F_TIMEOUT(stress, incoming, 300)
{
	for (int i = 0; i < ROUNDS || (i < MOST_ROUNDS &&
				       !(race_claimed && race_refused)); i++) {
		ASSERT_EQ(0, race_handover(&self->test));
		EXPECT_EQ(0, race(race_retrieve,
				  i % 2 ? race_finish : race_discard,
				  i * 1000));
		ASSERT_EQ(0, race_again(&self->test));
	}
	ksft_print_msg("claimed %lu, refused %lu\n", race_claimed,
		       race_refused);
	EXPECT_LT(0, race_claimed);
	EXPECT_LT(0, race_refused);
}

/*
 * Devices are unplugged while they are given up. It takes a while from the bus to
 * the IOMMU, and how long depends on the machine.
 */
TEST_F_TIMEOUT(stress, incoming_unplug, 300)
{
	for (int i = 0; i < UNPLUG_ROUNDS; i++) {
		ASSERT_EQ(0, race_handover(&self->test));
		ASSERT_EQ(0, lu_create(new_kernel->fd, 1, &race_dev, NULL));
		EXPECT_EQ(0, race(race_unplug,
				  i % 2 ? race_finish : race_discard_late,
				  i % 40 * 50));
		EXPECT_BLOCKED(new_kernel->fd, 1);
		ASSERT_EQ(0, race_again(&self->test));
	}
}

TEST_HARNESS_MAIN
