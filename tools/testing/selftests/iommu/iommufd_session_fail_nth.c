// SPDX-License-Identifier: GPL-2.0-only
/*
 * iommufds in LUO sessions with each allocation failing in turn: whatever fails
 * has changed nothing, so that the same succeeds afterwards.
 */
#include <sys/syscall.h>

#include "iommufd_liveupdate.h"
#include "iommufd_session.h"

#define RID		3
#define TOKEN		5
#define MAX_NTH		2000

static int nth_fd = -1;

static __attribute__((constructor)) void setup_fault_injection(void)
{
	static const char * const settings[] = {
		"failslab/ignore-gfp-wait", "fail_page_alloc/ignore-gfp-wait",
		"fail_page_alloc/ignore-gfp-highmem", "failslab/verbose",
		"fail_page_alloc/verbose", "fail_iommufd/verbose",
	};
	char path[128];
	int fd;

	for (int i = 0; i < ARRAY_SIZE(settings); i++) {
		snprintf(path, sizeof(path), "/sys/kernel/debug/%s",
			 settings[i]);
		fd = open(path, O_WRONLY);
		if (fd < 0)
			return;
		assert(write(fd, "0", 1) == 1);
		close(fd);
	}
	nth_fd = -2;
}

/* Let the allocation after @nth - 1 others of this thread fail */
static void fail_nth(unsigned int nth)
{
	char text[64];
	int length;

	if (nth_fd < 0) {
		snprintf(text, sizeof(text), "/proc/self/task/%d/fail-nth",
			 (int)syscall(SYS_gettid));
		nth_fd = open(text, O_RDWR);
		assert(nth_fd >= 0);
	}
	length = snprintf(text, sizeof(text), "%u", nth);
	assert(pwrite(nth_fd, text, length, 0) == length);
}

/* Stop that. Was there one? Reading and writing may be what failed. */
static bool did_fail(void)
{
	char text[16] = "";
	bool failed = pread(nth_fd, text, sizeof(text) - 1, 0) < 0;

	while (pwrite(nth_fd, "0", 1, 0) != 1)
		failed = true;
	return failed || !strcmp(text, "0\n");
}

/*
 * Do @_call with each allocation failing. @_undo is done after it has succeeded.
 * What failed, or did not although an allocation has, is tried again.
 */
#define sweep(_call, _undo)                                             \
	({                                                              \
		unsigned int _nth = 0, _failures = 0;                   \
		bool _hit;                                              \
		int _rc;                                                \
									\
		do {                                                    \
			ASSERT_GT(MAX_NTH, ++_nth);                     \
			fail_nth(_nth);                                 \
			_rc = _call;                                    \
			_hit = did_fail();                              \
			if (_rc) {                                      \
				ASSERT_TRUE(_hit);                      \
				_failures++;                            \
				ASSERT_EQ(0, _call);                    \
			}                                               \
			_undo;                                          \
		} while (_hit);                                         \
		ksft_print_msg("%u allocations, %u failures\n", _nth - 1, \
			       _failures);                              \
		_failures;                                              \
	})

FIXTURE(fail_nth)
{
	int fd;
	int session;
	int memfd;
	int dev;
	__u32 ioas;
	__u32 hwpt;
	__u32 hwpt2;
	struct lu_counters before;
};

FIXTURE_SETUP(fail_nth)
{
	__u32 idev = 0;

	self->fd = -1;
	if (nth_fd == -1)
		SKIP(return, "no fault injection in this kernel");
	self->before = lu_counters();
	self->session = create_session("iommufd");
	ASSERT_LE(0, self->session);
	self->memfd = create_memfd(SEALS);
	ASSERT_LE(0, self->memfd);
	self->fd = open("/dev/iommu", O_RDWR);
	ASSERT_LE(0, self->fd);
	self->dev = open_device(self->fd, RID, &idev);
	ASSERT_LE(0, self->dev);
	ASSERT_EQ(0, _test_ioctl_ioas_alloc(self->fd, &self->ioas));
	ASSERT_EQ(0, hwpt_alloc(self->fd, idev, self->ioas, 0, &self->hwpt));
	ASSERT_EQ(0, hwpt_alloc(self->fd, idev, self->ioas, 0, &self->hwpt2));
	ASSERT_EQ(0, map_file(self->fd, self->ioas, self->memfd, 0, MAP_SIZE,
			      IOVA));
	ASSERT_EQ(0, device(self->dev, ATTACH, self->hwpt));
}

FIXTURE_TEARDOWN(fail_nth)
{
	struct lu_counters after;

	if (self->fd < 0)
		return;
	EXPECT_EQ(0, close(self->session));
	EXPECT_EQ(0, close(self->dev));
	EXPECT_EQ(0, close(self->fd));
	EXPECT_EQ(0, close(self->memfd));
	after = lu_counters();
	EXPECT_EQ(self->before.iommu, after.iommu);
	EXPECT_EQ(self->before.tables, after.tables);
}

TEST_F_TIMEOUT(fail_nth, mark, 600)
{
	sweep(mark_set(self->fd, self->hwpt, TOKEN),
	      ASSERT_EQ(0, mark_clear(self->fd, self->hwpt)));
	ASSERT_EQ(0, mark_set(self->fd, self->hwpt, TOKEN));
	sweep(mark_clear(self->fd, self->hwpt),
	      ASSERT_EQ(0, mark_set(self->fd, self->hwpt, TOKEN)));
}

/* Undo, and prepare for another time */
#define new_session()                                                  \
	({                                                             \
		ASSERT_EQ(0, close(self->session));                    \
		self->session = create_session("iommufd");             \
		ASSERT_LE(0, self->session);                           \
		ASSERT_EQ(0, preserve(self->session, self->memfd, 1)); \
	})

TEST_F_TIMEOUT(fail_nth, preserve, 600)
{
	ASSERT_EQ(0, mark_set(self->fd, self->hwpt, TOKEN));
	ASSERT_EQ(0, mark_set(self->fd, self->hwpt2, TOKEN + 1));
	ASSERT_EQ(0, preserve(self->session, self->memfd, 1));

	/* How many there are depends on what LUO and KHO still have. */
	EXPECT_LT(4, sweep(preserve(self->session, self->fd, 2),
			   new_session()));
	EXPECT_EQ(0, unmap(self->fd, self->ioas, IOVA, MAP_SIZE));
}

TEST_F_TIMEOUT(fail_nth, preserve_device, 600)
{
	ASSERT_EQ(0, mark_set(self->fd, self->hwpt, TOKEN));
	ASSERT_EQ(0, preserve(self->session, self->memfd, 1));
	ASSERT_EQ(0, preserve(self->session, self->fd, 2));
	EXPECT_LT(2, sweep(preserve(self->session, self->dev, 3), ({
				   new_session();
				   ASSERT_EQ(0, preserve(self->session,
							 self->fd, 2));
			   })));
	EXPECT_EQ(0, device(self->dev, IS_PRESERVED, 0));
	EXPECT_EQ(0, device(self->dev, ATTACH, self->hwpt2));
}

FIXTURE(fail_nth_restore)
{
	struct lu_test test;
	__u32 domain;
	__u32 hwpt;
};

FIXTURE_SETUP(fail_nth_restore)
{
	if (nth_fd == -1)
		SKIP(return, "no fault injection in this kernel");
}

FIXTURE_TEARDOWN(fail_nth_restore)
{
}

/* The mock IOMMU has one device that goes on, and whatever else there is. */
#define next_kernel()                                                         \
	({                                                                    \
		__u32 _dev, _obj;                                             \
									      \
		ASSERT_EQ(0, lu_test_setup(&self->test));                     \
		ASSERT_EQ(0, lu_attached(self->test.old.fd, RID,              \
					 self->test.old.hwpt, &_dev));        \
		ASSERT_EQ(0, lu(self->test.old.fd, BEGIN));                   \
		ASSERT_EQ(0, lu_preserve_domain(self->test.old.fd,            \
						self->test.old.hwpt, &_obj,   \
						&self->domain));              \
		ASSERT_EQ(0, lu_pt(self->test.old.fd, PRESERVE, _dev,         \
				   self->test.old.hwpt));                     \
		ASSERT_EQ(0, lu_handover(&self->test, 0));                    \
	})

#define retrieve()                                                         \
	session_cmd(self->test.new.fd, RETRIEVE,                           \
		    .session.value = self->domain, .session.token = TOKEN)

#define finish()                                                            \
	({                                                                  \
		ASSERT_EQ(0, session_cmd(self->test.new.fd, FINISH));       \
		ASSERT_EQ(0, lu_test_teardown(&self->test));                \
		next_kernel();                                              \
	})

TEST_F_TIMEOUT(fail_nth_restore, retrieve, 600)
{
	next_kernel();
	EXPECT_LT(2, sweep(retrieve(), finish()));
	ASSERT_EQ(0, lu_test_teardown(&self->test));
}

TEST_F_TIMEOUT(fail_nth_restore, ask, 600)
{
	next_kernel();
	ASSERT_EQ(0, retrieve());
	sweep(restore(self->test.new.fd, TOKEN, 0, &self->hwpt, NULL), ({}));
	ASSERT_EQ(0, session_cmd(self->test.new.fd, FINISH));
	ASSERT_EQ(0, lu_test_teardown(&self->test));
}

/*
 * A device that cannot be bound is gone with its file, so there is no other
 * attempt. What is left has to be in order nevertheless.
 */
TEST_F_TIMEOUT(fail_nth_restore, bind, 600)
{
	unsigned int nth = 0;
	int dev;
	bool hit;

	do {
		ASSERT_GT(MAX_NTH, ++nth);
		next_kernel();
		ASSERT_EQ(0, retrieve());
		fail_nth(nth);
		dev = open_device(self->test.new.fd, RID, NULL);
		hit = did_fail();
		if (dev < 0) {
			ASSERT_TRUE(hit);
		} else {
			ASSERT_EQ(0, device(dev, ATTACH, self->test.new.hwpt));
			ASSERT_EQ(0, close(dev));
		}
		ASSERT_EQ(0, session_cmd(self->test.new.fd, FINISH));
		ASSERT_EQ(0, lu_test_teardown(&self->test));
	} while (hit);
	ksft_print_msg("%u allocations\n", nth - 1);
}

TEST_HARNESS_MAIN
