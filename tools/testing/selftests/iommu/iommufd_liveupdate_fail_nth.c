// SPDX-License-Identifier: GPL-2.0-only
/*
 * The live update of the IOMMU core with each of its allocations failing in
 * turn, and each operation of the driver that can fail. Nothing may have changed
 * after a failure: the same works when tried again, and at the end nothing is
 * left of it.
 */
#include <dirent.h>
#include <sys/syscall.h>

#include "iommufd_liveupdate.h"

#define MAX_NTH	500

static bool have_fault_injection;

static int write_file(const char *dir, const char *name, const char *value)
{
	char path[512];
	ssize_t done;
	int fd;

	snprintf(path, sizeof(path), "/sys/kernel/debug/%s/%s", dir, name);
	fd = open(path, O_WRONLY);
	if (fd < 0)
		return -1;
	done = write(fd, value, strlen(value));
	close(fd);
	return done < 0 ? -1 : 0;
}

/* Any allocation can fail, and quietly. */
static __attribute__((constructor)) void setup_fault_injection(void)
{
	struct dirent *entry;
	DIR *dir;

	if (write_file("failslab", "ignore-gfp-wait", "N") ||
	    write_file("fail_page_alloc", "ignore-gfp-wait", "N") ||
	    write_file("fail_page_alloc", "ignore-gfp-highmem", "N") ||
	    write_file("fail_page_alloc", "min-order", "0"))
		return;

	dir = opendir("/sys/kernel/debug");
	if (!dir)
		return;
	while ((entry = readdir(dir))) {
		if (!strncmp(entry->d_name, "fail", 4))
			write_file(entry->d_name, "verbose", "0");
	}
	closedir(dir);
	have_fault_injection = true;
}

static int fail_nth_fd(void)
{
	static int fd = -1;
	char path[64];

	if (fd < 0) {
		snprintf(path, sizeof(path), "/proc/self/task/%d/fail-nth",
			 (int)syscall(SYS_gettid));
		fd = open(path, O_RDWR);
		assert(fd >= 0);
	}
	return fd;
}

static void fail_nth(unsigned int nth)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%u", nth);

	assert(pwrite(fail_nth_fd(), text, len, 0) == len);
}

/* Has something failed since? It may be one of these two. */
static bool fail_nth_hit(void)
{
	char text[16] = "";
	bool hit;

	hit = pread(fail_nth_fd(), text, sizeof(text) - 1, 0) < 0 ||
	      !strcmp(text, "0\n");
	while (pwrite(fail_nth_fd(), "0", 1, 0) != 1)
		hit = true;
	return hit;
}

/**
 * struct steps - What steps leave to those after them
 * @test: Both kernels
 * @dev: A device
 * @dev2: Another one
 * @obj: What preserves their domain
 * @device_id: Id of @dev that crosses
 * @domain_id: Id of their domain that crosses
 * @domain: The domain after it has crossed
 * @fd: Of the kernel that is here
 * @hwpt: Domain of that kernel
 */
struct steps {
	struct lu_test test;
	__u32 dev;
	__u32 dev2;
	__u32 obj;
	__u32 device_id;
	__u32 domain_id;
	__u32 domain;
	int fd;
	__u32 hwpt;
};

FIXTURE(fail_nth)
{
	struct steps steps;
};

FIXTURE_SETUP(fail_nth)
{
	if (!have_fault_injection)
		SKIP(return, "no fault injection in this kernel");
	LU_TEST_SETUP(&self->steps.test);
	ASSERT_EQ(0, lu_test_teardown(&self->steps.test));
}

FIXTURE_TEARDOWN(fail_nth)
{
}

/* A step: prepare it without failures, do it with them. 0 or an error below 0 */
typedef int (*step_fn)(struct steps *s);

static int devices(struct steps *s)
{
	int rc;

	s->fd = s->test.old.fd;
	s->hwpt = s->test.old.hwpt;
	rc = lu_attached(s->fd, 1, s->hwpt, &s->dev);
	return rc ?: lu_attached(s->fd, 2, s->hwpt, &s->dev2);
}

static int begin(struct steps *s)
{
	return lu(s->fd, BEGIN);
}

static int with_begin(struct steps *s)
{
	return devices(s) ?: begin(s);
}

static int preserve_domain(struct steps *s)
{
	return lu_preserve_domain(s->fd, s->hwpt, &s->obj,
				  &s->domain_id);
}

static int with_domain(struct steps *s)
{
	return with_begin(s) ?: preserve_domain(s);
}

static int preserve(struct steps *s)
{
	int rc = lu_pt(s->fd, PRESERVE, s->dev, s->hwpt);

	s->device_id = out.liveupdate.out_id;
	return rc;
}

static int with_device(struct steps *s)
{
	return with_domain(s) ?: preserve(s);
}

static int preserve_second(struct steps *s)
{
	return lu_pt(s->fd, PRESERVE, s->dev2, s->hwpt);
}

static int verify(struct steps *s)
{
	return lu_pt(s->fd, VERIFY, s->dev, s->hwpt);
}

static int unpreserve(struct steps *s)
{
	return lu_pt(s->fd, UNPRESERVE, s->dev, s->hwpt);
}

static int without_device(struct steps *s)
{
	return with_device(s) ?: unpreserve(s);
}

static int unpreserve_domain(struct steps *s)
{
	return _test_ioctl_destroy(s->fd, s->obj) ? -errno : 0;
}

static int without_domain(struct steps *s)
{
	return without_device(s) ?: unpreserve_domain(s);
}

static int abort_it(struct steps *s)
{
	return lu(s->fd, ABORT);
}

static int handover(struct steps *s)
{
	return lu(s->fd, HANDOVER);
}

static int with_handover(struct steps *s)
{
	int rc = with_device(s) ?: preserve_second(s) ?:
		 lu_handover(&s->test, 0);

	s->fd = s->test.new.fd;
	s->hwpt = s->test.new.hwpt;
	return rc;
}

static int restored_domain(struct steps *s)
{
	return lu_restored_domain(s->fd, s->domain_id, &s->domain);
}

static int create(struct steps *s)
{
	return lu_create(s->fd, 1, &s->dev, NULL);
}

static int with_create(struct steps *s)
{
	return with_handover(s) ?: create(s) ?: restored_domain(s);
}

static int claim(struct steps *s)
{
	return lu_val(s->fd, CLAIM, s->dev, s->device_id);
}

static int with_claim(struct steps *s)
{
	return with_create(s) ?: claim(s);
}

static int handle(struct steps *s)
{
	return lu_pt(s->fd, HANDLE, s->dev, s->domain);
}

static int with_handle(struct steps *s)
{
	return with_claim(s) ?: handle(s);
}

static int replace(struct steps *s)
{
	return lu_pt(s->fd, REPLACE, s->dev, s->hwpt);
}

static int with_replace(struct steps *s)
{
	return with_handle(s) ?: replace(s);
}

static int put_domain(struct steps *s)
{
	return _test_ioctl_destroy(s->fd, s->domain) ? -errno : 0;
}

static int discard(struct steps *s)
{
	return lu_val(s->fd, DISCARD, 0, s->device_id);
}

static int finish(struct steps *s)
{
	return lu(s->fd, FINISH);
}

FIXTURE_VARIANT(fail_nth)
{
	step_fn prepare;
	step_fn step;
	/* As many places at least where it can fail */
	unsigned int min_hits;
	/* A failure is final: the device or its tables are given up. */
	bool final;
};

#define VARIANT(_name, _prepare, _step, _min_hits, _final)             \
	FIXTURE_VARIANT_ADD(fail_nth, _name)                           \
	{                                                              \
		.prepare = _prepare,                                   \
		.step = _step,                                         \
		.min_hits = _min_hits,                                 \
		.final = _final,                                       \
	}

VARIANT(begin, devices, begin, 3, false);
VARIANT(preserve_domain, with_begin, preserve_domain, 4, false);
VARIANT(preserve_device, with_domain, preserve, 6, false);
VARIANT(preserve_second, with_device, preserve_second, 3, false);
VARIANT(verify, with_device, verify, 1, false);
VARIANT(unpreserve_device, with_device, unpreserve, 1, false);
VARIANT(unpreserve_domain, without_device, unpreserve_domain, 0, false);
VARIANT(abort, without_domain, abort_it, 0, false);
VARIANT(handover, with_device, handover, 5, false);
VARIANT(restored_domain, with_handover, restored_domain, 3, false);
VARIANT(create, with_handover, create, 10, true);
VARIANT(claim, with_create, claim, 1, false);
VARIANT(handle, with_claim, handle, 1, false);
VARIANT(replace, with_handle, replace, 1, false);
VARIANT(put_domain, with_replace, put_domain, 0, false);
VARIANT(discard, with_create, discard, 0, false);
VARIANT(discard_absent, with_handover, discard, 0, false);
VARIANT(finish, with_create, finish, 0, false);
VARIANT(finish_nobody, with_handover, finish, 0, false);

/* Many times the same, on a machine without acceleration and with other work */
TEST_F_TIMEOUT(fail_nth, sweep, 300)
{
	unsigned int nth, hits = 0, failed = 0;
	struct steps *s = &self->steps;
	bool hit = true;
	int rc;

	for (nth = 1; hit; nth++) {
		ASSERT_GT(MAX_NTH, nth);
		ASSERT_EQ(0, lu_test_setup(&s->test));
		ASSERT_EQ(0, variant->prepare(s));
		fail_nth(nth);
		rc = variant->step(s);
		hit = fail_nth_hit();
		hits += hit;
		failed += !!rc;
		if (!hit)
			EXPECT_EQ(0, rc);
		if (rc && !variant->final)
			EXPECT_EQ(0, variant->step(s));
		ASSERT_EQ(0, lu_test_teardown(&s->test))
			TH_LOG("failure %u, error %d", nth, rc);
	}
	TH_LOG("%u places, %u errors", hits, failed);
	EXPECT_LE(variant->min_hits, hits);
}

TEST_HARNESS_MAIN
