// SPDX-License-Identifier: GPL-2.0-only
/*
 * iommufds that are retrieved after a kexec, with each allocation of the
 * retrieval failing in turn.
 *
 * LUO asks for a file once, and a failure lasts. So there is an iommufd for each
 * attempt. One that could not be retrieved must be in nobody's way, and must
 * cost nothing: another session with as many iommufds is retrieved without any
 * failure, and the machine has to get as much memory back from either.
 *
 * A device of a third session has the mock IOMMU adopted, as in iommufd_adopt.
 */
#include <stdio.h>

#include "fault.h"
#include "iommufd_adopt.h"
#include "physmem.h"

#define STATE_SESSION	"iommufd_retrieve-state"
#define TOKEN_STATE	999
#define NR_IOMMUFDS	96
/* Of one iommufd's records: KHO keeps them if it has no list for their pages */
#define NR_LOST_PAGES	2
#define RID		3

enum { DEVICE, SOUND, FAILING, NR_SESSIONS };

static const char * const names[] = {
	"iommufd_retrieve-1", "iommufd_retrieve-2", "iommufd_retrieve-3",
};

/* All of a session map the same, and have no device that is preserved. */
static void create_mapped(struct user *user)
{
	struct iommu_test_cmd dev = {
		.size = sizeof(dev),
		.op = IOMMU_TEST_OP_MOCK_DOMAIN,
	};

	user->fd = must(open("/dev/iommu", O_RDWR));
	user->ioas = alloc_ioas(user->fd);
	dev.id = user->ioas;
	must(ioctl(user->fd, IOMMU_TEST_CMD, &dev));
	user->hwpt = alloc_hwpt(user->fd, dev.mock_domain.out_idev_id,
				user->ioas, 0);
	map_all(user, user->ioas);
	mark_hwpt(user->fd, user->hwpt, TOKEN_HWPT);
}

static void preserve_iommufds(struct user *user)
{
	user->memfd = create_memfd(MAP_SIZE);
	must(luo_session_preserve_fd(user->session, user->memfd, TOKEN_MEMFD));
	for (int i = 0; i < NR_IOMMUFDS; i++) {
		create_mapped(user);
		must(luo_session_preserve_fd(user->session, user->fd,
					     TOKEN_DEVICE + i));
	}
}

static void stage_1(int luo_fd)
{
	struct user users[NR_SESSIONS];

	must(luo_ensure_nofile_limit(4 * NR_IOMMUFDS));
	create_state_file(luo_fd, STATE_SESSION, TOKEN_STATE, 2);
	for (int i = 0; i < NR_SESSIONS; i++)
		users[i].session = must(luo_create_session(luo_fd, names[i]));

	create_user(&users[DEVICE], RID);
	preserve_user(&users[DEVICE]);
	preserve_iommufds(&users[SOUND]);
	preserve_iommufds(&users[FAILING]);
	for (int i = 0; i < NR_SESSIONS; i++)
		preserve_facts(&users[i], RID);
	daemonize_and_wait();
}

/* Pages that KHO gives back are added to it. */
static long total_pages(void)
{
	FILE *file = fopen("/proc/meminfo", "r");
	long kb = 0;

	if (!file || fscanf(file, "MemTotal: %ld kB", &kb) != 1)
		fail_exit("/proc/meminfo");
	fclose(file);
	return kb * 1024 / sysconf(_SC_PAGE_SIZE);
}

static bool is_right(struct user *user, const struct facts *facts)
{
	return !restore(user, 0) &&
	       !count_changes(user->fd, user->hwpt, facts);
}

/**
 * struct sweep - How the attempts to retrieve an iommufd ended
 * @attempts: Number of attempts
 * @lasting: Of these, failures that last
 * @lost: Of these, those without which KHO would have given the records back
 * @wrong: Attempts that left something else than they should
 * @over: In the end no allocation was left to fail
 */
struct sweep {
	int attempts;
	int lasting;
	int lost;
	int wrong;
	bool over;
};

/* What failed is asked for again. */
static void look_at(struct sweep *sweep, struct user *user, __u64 token,
		    const struct facts *facts)
{
	int rc = user->fd;

	if (rc < 0)
		user->fd = luo_session_retrieve_fd(user->session, token);
	if (user->fd >= 0) {
		sweep->wrong += !is_right(user, facts);
		must(close(user->fd));
		return;
	}

	sweep->lasting++;
	sweep->lost += rc == -EIO;
	if (user->fd != rc || (rc != -ENOMEM && rc != -EIO)) {
		ksft_print_msg("attempt %d: %d, then %d\n", sweep->attempts,
			       rc, user->fd);
		sweep->wrong++;
	}
}

/* Has an allocation failed? */
static bool retrieve_nth(struct user *user, __u64 token, int nth)
{
	fault_nth(nth);
	user->fd = luo_session_retrieve_fd(user->session, token);
	return fault_nth_done();
}

static struct sweep retrieve_failing(struct user *user,
				     const struct facts *facts)
{
	struct sweep sweep = {};
	bool hit = true;

	for (int i = 0; i < NR_IOMMUFDS; i++) {
		__u64 token = TOKEN_DEVICE + i;

		if (hit)
			hit = retrieve_nth(user, token, ++sweep.attempts);
		else
			user->fd = luo_session_retrieve_fd(user->session,
							   token);
		sweep.wrong += !hit && user->fd < 0;
		look_at(&sweep, user, token, facts);
	}
	sweep.over = !hit;
	return sweep;
}

static int retrieve_sound(struct user *user, const struct facts *facts)
{
	int wrong = 0;

	for (int i = 0; i < NR_IOMMUFDS; i++) {
		user->fd = must(luo_session_retrieve_fd(user->session,
							TOKEN_DEVICE + i));
		wrong += !is_right(user, facts);
		must(close(user->fd));
	}
	return wrong;
}

/* Returns how many pages came back since there were @before. */
static long end_session(struct user *user, long before)
{
	int rc;

	must(close(must(luo_session_retrieve_fd(user->session, TOKEN_MEMFD))));
	rc = luo_session_finish(user->session);
	ksft_test_result(!rc, "finish (%d)\n", rc);
	must(close(user->session));
	return total_pages() - before;
}

static void adopt(int fd, const struct facts *facts)
{
	must(lu(fd, ENTRY, .liveupdate.bdf = RID,
		.liveupdate.iova = facts->entry.top,
		.liveupdate.value = facts->entry.id));
	must(session_cmd(fd, ADOPT));
}

static void check_nothing_left(int luo_fd, int fd, u64 iommu_pages)
{
	struct user user;

	must(lu(fd, STATE));
	ksft_test_result(!reply.liveupdate.out_id &&
			 !reply.liveupdate.out_value &&
			 !reply.liveupdate.out_phys,
			 "nothing translates, nothing is preserved\n");
	ksft_test_result(physmem_vmstat("nr_iommu_pages") == iommu_pages,
			 "no page table is left\n");

	create_user(&user, RID);
	user.session = must(luo_create_session(luo_fd, names[DEVICE]));
	preserve_user(&user);
	must(close(user.session));
	ksft_test_result_pass("another live update can begin\n");
}

static void stage_2(int luo_fd, int state_session)
{
	int fd = must(open("/dev/iommu", O_RDWR)), stage, wrong;
	struct facts facts[NR_SESSIONS];
	struct user users[NR_SESSIONS];
	struct sweep sweep;
	long before, pages;
	u64 iommu_pages;

	ksft_print_header();
	ksft_set_plan(12);
	fault_init();
	physmem_write("/sys/kernel/debug/fail_iommufd/verbose", "0");
	restore_and_read_stage(state_session, TOKEN_STATE, &stage);
	for (int i = 0; i < NR_SESSIONS; i++) {
		users[i].session = must(luo_retrieve_session(luo_fd, names[i]));
		retrieve_facts(users[i].session, &facts[i]);
	}
	iommu_pages = physmem_vmstat("nr_iommu_pages");
	adopt(fd, &facts[DEVICE]);

	before = total_pages();
	wrong = retrieve_sound(&users[SOUND], &facts[SOUND]);
	ksft_test_result(!wrong, "retrieve (%d)\n", wrong);
	pages = end_session(&users[SOUND], before);

	before = total_pages();
	sweep = retrieve_failing(&users[FAILING], &facts[FAILING]);
	ksft_print_msg("%d attempts, %d failures that last, %d lost records\n",
		       sweep.attempts, sweep.lasting, sweep.lost);
	ksft_test_result(sweep.over, "each allocation failed once\n");
	ksft_test_result(sweep.lasting > 8, "some of which iommufd needs\n");
	ksft_test_result(!sweep.wrong, "retrieve or fail for good (%d)\n",
			 sweep.wrong);
	pages -= end_session(&users[FAILING], before);
	ksft_test_result(pages >= 0 && pages <= NR_LOST_PAGES,
			 "no page is lost with a failure (%ld)\n", pages);
	ksft_test_result(is_entry(fd, RID, &facts[DEVICE], 0),
			 "the device does not notice\n");

	end_session(&users[DEVICE], 0);
	check_nothing_left(luo_fd, fd, iommu_pages);
	must(luo_session_finish(state_session));
	ksft_finished();
}

int main(int argc, char *argv[])
{
	return luo_test(argc, argv, STATE_SESSION, stage_1, stage_2);
}
