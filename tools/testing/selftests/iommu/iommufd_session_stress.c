// SPDX-License-Identifier: GPL-2.0-only
/*
 * Several tasks that map, copy, attach, track dirty pages and mark, while
 * another one preserves the same iommufd and undoes that. Each may be refused at
 * any time, with the right error. The kernel tells the rest: this is best run
 * with lockdep and KASAN.
 */
#include <pthread.h>
#include <stdbool.h>
#include <time.h>

#include "iommufd_session.h"
#include "iommufd_session_buffer.h"

#define SECONDS		15
#define NR_TASKS	6

FIXTURE(stress)
{
	int fd;
	int memfd;
	int dev;
	__u32 idev;
	__u32 ioas;
	__u32 hwpt;
	__u32 hwpt2;
};

struct stress {
	FIXTURE_DATA(stress) * self;
	int nr;
	/* A call that returned something else than expected */
	const char *what;
	int rc;
	unsigned long done;
	unsigned long refused;
};

static bool stop;

/* Count, or remember the first surprise. True if it was done */
static bool may_be_refused(struct stress *task, const char *what, int rc)
{
	if (rc == -EBUSY) {
		task->refused++;
		return false;
	}
	if (rc && !task->what) {
		task->what = what;
		task->rc = rc;
	}
	task->done += !rc;
	return !rc;
}

/* Until it is not refused: nobody else undoes it. */
#define must(_task, _call)                                           \
	do {                                                         \
	} while (!may_be_refused(_task, #_call, _call) && !(_task)->what)

static void do_map(struct stress *task, __u64 iova)
{
	FIXTURE_DATA(stress) *self = task->self;

	if (may_be_refused(task, "map", map_file(self->fd, self->ioas,
						 self->memfd, 0, PAGE_SIZE,
						 iova)))
		must(task, unmap(self->fd, self->ioas, iova, PAGE_SIZE));
}

static void do_copy(struct stress *task, __u64 iova)
{
	FIXTURE_DATA(stress) *self = task->self;

	if (may_be_refused(task, "copy", copy(self->fd, self->ioas, iova,
					      self->ioas, IOVA, PAGE_SIZE)))
		must(task, unmap(self->fd, self->ioas, iova, PAGE_SIZE));
}

static void do_attach(struct stress *task)
{
	FIXTURE_DATA(stress) *self = task->self;

	may_be_refused(task, "attach", device(self->dev, ATTACH, self->hwpt2));
	may_be_refused(task, "attach", device(self->dev, ATTACH, self->hwpt));
}

static void do_dirty(struct stress *task)
{
	FIXTURE_DATA(stress) *self = task->self;

	if (may_be_refused(task, "track", set_dirty(self->fd, self->hwpt2,
						    true)))
		must(task, set_dirty(self->fd, self->hwpt2, false));
}

static void do_mark(struct stress *task)
{
	FIXTURE_DATA(stress) *self = task->self;
	__u32 hwpt;

	must(task, hwpt_alloc(self->fd, self->idev, self->ioas, 0, &hwpt));
	if (may_be_refused(task, "mark", mark_set(self->fd, hwpt, 1000)))
		must(task, mark_clear(self->fd, hwpt));
	must(task, destroy(self->fd, hwpt));
}

/* Whatever it sees of the others is refused, or all of it is preserved. */
static void do_preserve(struct stress *task)
{
	FIXTURE_DATA(stress) *self = task->self;
	int session = create_session("iommufd");
	int rc;

	if (session < 0) {
		may_be_refused(task, "session", session);
		return;
	}
	may_be_refused(task, "memory", preserve(session, self->memfd, 1));
	if (may_be_refused(task, "iommufd", preserve(session, self->fd, 2))) {
		rc = preserve(session, self->dev, 3);
		/* It may be attached to the other HWPT. */
		may_be_refused(task, "device", rc == -EINVAL ? -EBUSY : rc);
	}
	close(session);
}

static void *stress_task(void *arg)
{
	struct stress *task = arg;
	__u64 iova = IOVA + (2 + task->nr) * MAP_SIZE;

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED) && !task->what) {
		switch (task->nr) {
		case 0:
			do_preserve(task);
			break;
		case 1:
			do_attach(task);
			break;
		case 2:
			do_dirty(task);
			break;
		case 3:
			do_mark(task);
			break;
		case 4:
			do_copy(task, iova);
			break;
		default:
			do_map(task, iova);
		}
	}
	return NULL;
}

FIXTURE_SETUP(stress)
{
	self->memfd = create_memfd(SEALS);
	ASSERT_LE(0, self->memfd);
	self->fd = open("/dev/iommu", O_RDWR);
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, _test_ioctl_ioas_alloc(self->fd, &self->ioas));
	self->dev = open_device(self->fd, 1, &self->idev);
	ASSERT_LE(0, self->dev);
	ASSERT_EQ(0, hwpt_alloc(self->fd, self->idev, self->ioas, 0,
				&self->hwpt));
	ASSERT_EQ(0, hwpt_alloc(self->fd, self->idev, self->ioas,
				IOMMU_HWPT_ALLOC_DIRTY_TRACKING, &self->hwpt2));
	ASSERT_EQ(0, map_file(self->fd, self->ioas, self->memfd, 0, MAP_SIZE,
			      IOVA));
	ASSERT_EQ(0, mark_set(self->fd, self->hwpt, 7));
	ASSERT_EQ(0, device(self->dev, ATTACH, self->hwpt));
}

FIXTURE_TEARDOWN(stress)
{
	EXPECT_EQ(0, close(self->dev));
	EXPECT_EQ(0, close(self->fd));
	EXPECT_EQ(0, close(self->memfd));
}

TEST_F_TIMEOUT(stress, all, 300)
{
	struct stress tasks[NR_TASKS] = {};
	pthread_t threads[NR_TASKS];

	for (int i = 0; i < NR_TASKS; i++) {
		tasks[i].self = self;
		tasks[i].nr = i;
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, stress_task,
					    &tasks[i]));
	}
	sleep(SECONDS);
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);

	for (int i = 0; i < NR_TASKS; i++) {
		ASSERT_EQ(0, pthread_join(threads[i], NULL));
		EXPECT_EQ(NULL, tasks[i].what) {
			TH_LOG("task %d: %s: %d", i, tasks[i].what,
			       tasks[i].rc);
		}
		ksft_print_msg("task %d: %lu done, %lu refused\n", i,
			       tasks[i].done, tasks[i].refused);
		EXPECT_LT(0, tasks[i].done);
	}

	/* Nobody has left anything. */
	EXPECT_EQ(0, device(self->dev, IS_PRESERVED, 0));
	EXPECT_EQ(0, unmap(self->fd, self->ioas, IOVA, MAP_SIZE));
	EXPECT_EQ(0, mark_clear(self->fd, self->hwpt));
	EXPECT_EQ(0, device(self->dev, DETACH, 0));
	EXPECT_EQ(0, destroy(self->fd, self->hwpt));
}

TEST_HARNESS_MAIN
