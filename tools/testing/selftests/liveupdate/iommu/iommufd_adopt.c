// SPDX-License-Identifier: GPL-2.0-only
/*
 * Devices and their iommufds over a kexec, with the mock IOMMU in both kernels.
 *
 * The mock hardware is memory, and does not outlive its kernel. What it was is
 * written into a memfd that does, and given back to it before the driver of the
 * next kernel adopts it. Nothing of that comes from the records, so what the
 * driver compares with them was told by somebody else.
 *
 * There are three sessions, each with a memfd, an iommufd and a device. In the
 * next kernel the first one is taken over, the others are closed at once; what
 * is said of the last one's device is wrong. With the argument "lost" the first
 * one is closed as well, in the middle, and taken over by somebody else. With the
 * argument "again" that kernel is replaced as well, and the first session taken
 * over once more, from a page table that the second kernel has made.
 */
#include <stdio.h>
#include <sys/reboot.h>
#include <sys/wait.h>

#include "iommufd_adopt.h"
#include "kernel_copy.h"
#include "report.h"

#define STATE_SESSION	"iommufd_adopt-state"
#define TOKEN_STATE	999
#define KERNEL_SESSION	"iommufd_adopt-kernel"
/* More than the 2 s that iommufd waits, and a quarter of it before that */
#define HOLD_MS		4000

enum { TAKEN, LEFT, MISNAMED, NR_SESSIONS };

static const char * const names[] = {
	"iommufd_adopt-1", "iommufd_adopt-2", "iommufd_adopt-3",
};

static const __u32 rids[] = { 3, 5, 6 };
static bool lost;
static bool again;

/* A session that is closed in place of the kexec leaves nothing. */
static void preserve_in_vain(int luo_fd, struct user *user)
{
	for (int i = 0; i < 2; i++) {
		user->session = must(luo_create_session(luo_fd, names[LEFT]));
		preserve_user(user);
		must(lu(user->fd, STATE));
		if (!reply.liveupdate.out_id || reply.liveupdate.out_value != 1)
			fail_exit("not preserved");
		must(close(user->session));
		must(lu(user->fd, STATE));
		if (reply.liveupdate.out_id || reply.liveupdate.out_value)
			fail_exit("preserved without a session");
	}
}

/* Of something that is not there. Looks whether it may before it looks for it */
static int unmap_nothing(struct user *user)
{
	struct iommu_ioas_unmap cmd = {
		.size = sizeof(cmd),
		.ioas_id = user->ioas,
		.iova = IOVA + IOVA_SIZE,
		.length = MAP_SIZE,
	};

	return err(ioctl(user->fd, IOMMU_IOAS_UNMAP, &cmd));
}

static void toggle_entry(struct user *user, __u32 rid)
{
	must(lu(user->fd, ENTRY, .liveupdate.bdf = rid, .liveupdate.value = 1));
}

static void toggle_area(struct user *user, __u32 rid)
{
	must(session_cmd(user->fd, CHANGE_AREA, .id = user->ioas));
}

/* Something is not as it was recorded, until it is toggled again. */
static void refuse_kexec(struct user *user, __u32 rid,
			 void (*toggle)(struct user *user, __u32 rid), int why)
{
	int rc;

	toggle(user, rid);
	rc = err(reboot(RB_KEXEC));
	if (rc != why)
		fail_exit("kexec with something changed: %d, not %d", rc, why);
	toggle(user, rid);
}

/* Somebody uses the IOAS for longer than a live update waits. */
static void refuse_stuck(struct user *user)
{
	pid_t child = must(fork());
	int rc, status;

	if (!child) {
		must(session_cmd(user->fd, HOLD, .id = user->ioas,
				 .session.value = HOLD_MS));
		_exit(0);
	}
	usleep(HOLD_MS * 1000 / 4);
	rc = err(reboot(RB_KEXEC));
	if (rc != -EBUSY)
		fail_exit("kexec with an IOAS in use: %d", rc);
	must(waitpid(child, &status, 0));
	if (status)
		fail_exit("status %#x", status);
}

/*
 * One of them is not what was recorded: the kexec is refused, whichever is asked
 * first, and nothing is lost. There is no state session yet, so a kernel that
 * starts nevertheless does not find its way.
 */
static void freeze_in_vain(int luo_fd, struct user *users)
{
	int rc;

	for (int i = 0; i < NR_SESSIONS; i++) {
		users[i].session = must(luo_create_session(luo_fd, names[i]));
		preserve_user(&users[i]);
	}
	for (int i = 0; i < NR_SESSIONS; i++) {
		refuse_kexec(&users[i], rids[i], toggle_entry, -EIO);
		refuse_kexec(&users[i], rids[i], toggle_area, -EINVAL);
	}
	refuse_stuck(&users[LEFT]);
	for (int i = 0; i < NR_SESSIONS; i++) {
		rc = unmap_nothing(&users[i]);
		if (rc != -EBUSY)
			fail_exit("unmap while preserved: %d", rc);
		must(close(users[i].session));
		rc = unmap_nothing(&users[i]);
		if (rc != -ENOENT)
			fail_exit("unmap: %d", rc);
	}
}

static void preserve_kernel(int luo_fd)
{
	struct kernel_copy kernel;

	kernel_copy_take(&kernel);
	kernel_copy_save(&kernel,
			 must(luo_create_session(luo_fd, KERNEL_SESSION)));
}

static void load_kernel(int luo_fd)
{
	int session = must(luo_retrieve_session(luo_fd, KERNEL_SESSION));
	struct kernel_copy kernel;

	kernel_copy_find(&kernel, session);
	must(luo_session_finish(session));
	must(close(session));
	kernel_copy_load(&kernel);
}

static void stage_1(int luo_fd)
{
	struct user users[NR_SESSIONS];

	for (int i = 0; i < NR_SESSIONS; i++) {
		create_user(&users[i], rids[i]);
		preserve_in_vain(luo_fd, &users[i]);
	}
	must(device(users[MISNAMED].dev, MISNAME, 0));
	freeze_in_vain(luo_fd, users);
	create_state_file(luo_fd, STATE_SESSION, TOKEN_STATE, 2);
	for (int i = 0; i < NR_SESSIONS; i++) {
		users[i].session = must(luo_create_session(luo_fd, names[i]));
		preserve_facts(&users[i], rids[i]);
		preserve_user(&users[i]);
	}
	if (again)
		preserve_kernel(luo_fd);
	daemonize_and_wait();
}

/* The hardware is what it was, and the driver finds it. */
static void adopt(int fd, const struct facts *facts, int nr_sessions)
{
	for (int i = 0; i < nr_sessions; i++)
		must(lu(fd, ENTRY, .liveupdate.bdf = rids[i],
			.liveupdate.iova = facts[i].entry.top,
			.liveupdate.value = facts[i].entry.id));
	must(session_cmd(fd, ADOPT));
}

/*
 * Nobody asks: the device that has not come back is stopped. Who owns its page
 * table knows it, also if what was said of the device itself does not tell.
 */
static void leave(int fd, struct user *user, __u32 rid,
		  const struct facts *facts)
{
	int rc = close(user->session);

	ksft_test_result(!rc && !entry_of(fd, rid).top,
			 "what nobody asks for does not translate any more\n");
	ksft_test_result(is_entry(fd, rids[TAKEN], facts, 0),
			 "what others are asked for goes on\n");
}

static void retrieve(struct user *user, const struct facts *facts)
{
	int rc;

	user->memfd = must(luo_session_retrieve_fd(user->session, TOKEN_MEMFD));
	ksft_test_result(is_filled(user->memfd), "memory is what it was\n");

	user->fd = luo_session_retrieve_fd(user->session, TOKEN_IOMMUFD);
	ksft_test_result(user->fd >= 0, "the iommufd is back (%d)\n", user->fd);
	must(user->fd);
	rc = restore(user, IOMMU_HWPT_LIVEUPDATE_RESTORE_STRICT);
	ksft_test_result(!rc && user->flags == HWPT_FLAGS,
			 "restore (%d), flags %#x\n", rc, user->flags);
	rc = count_changes(user->fd, user->hwpt, facts);
	ksft_test_result(!rc, "all IOVAs are translated as before (%d)\n", rc);

	open_device(user, rids[TAKEN]);
	ksft_test_result(device(user->dev, IS_RESTORED, 0) == 1,
			 "the device is attached\n");
	ksft_test_result(is_entry(user->fd, rids[TAKEN], facts, 0),
			 "hardware was not touched\n");
	rc = luo_session_finish(user->session);
	ksft_test_result(rc == -EBUSY, "the session is in use (%d)\n", rc);
}

/* By what was mapped anew, and by nothing else */
static void replace(struct user *user, const struct facts *facts)
{
	__u32 old = user->hwpt;
	int rc;

	user->ioas = alloc_ioas(user->fd);
	user->hwpt = alloc_hwpt(user->fd, user->idev, user->ioas, user->flags);
	rc = device(user->dev, ATTACH, user->hwpt);
	ksft_test_result(rc == -EINVAL, "not by an empty one (%d)\n", rc);
	map_most(user, user->ioas);
	rc = device(user->dev, ATTACH, user->hwpt);
	ksft_test_result(rc == -EINVAL, "not if the last is missing (%d)\n",
			 rc);
	map_last(user, user->ioas);
	rc = count_changes(user->fd, user->hwpt, facts);
	ksft_test_result(!rc, "the new one translates the same (%d)\n", rc);
	ksft_test_result(is_entry(user->fd, rids[TAKEN], facts, 0),
			 "hardware was still not touched\n");
	rc = device(user->dev, ATTACH, user->hwpt);
	ksft_test_result(!rc && entry_of(user->fd, rids[TAKEN]).writes == 1,
			 "by the new one (%d)\n", rc);
	rc = destroy_object(user->fd, old);
	ksft_test_result(!rc, "destroy (%d)\n", rc);
}

/* What came over goes over again: that is refused before it is finished. */
static void preserve_again(int luo_fd, struct user *user)
{
	int rc, session;

	mark_hwpt(user->fd, user->hwpt, TOKEN_HWPT);
	session = must(luo_create_session(luo_fd, names[TAKEN]));
	rc = luo_session_preserve_fd(session, user->fd, TOKEN_IOMMUFD);
	ksft_test_result(rc == -EBUSY, "not twice at the same time (%d)\n", rc);
	must(close(session));

	rc = luo_session_finish(user->session);
	ksft_test_result(!rc, "finish (%d)\n", rc);
	must(close(user->session));

	preserve_in_vain(luo_fd, user);
	ksft_test_result_pass("another live update can begin\n");
}

/*
 * The memory stays with the device, and no other live update can begin, until
 * somebody comes back for the session and ends it as if nothing had been.
 */
static void lose(int luo_fd, struct user *user, const struct facts *facts)
{
	struct user other;
	int rc;

	close(user->session);
	rc = count_changes(user->fd, user->hwpt, facts);
	ksft_test_result(!rc && is_entry(user->fd, rids[TAKEN], facts, 0),
			 "the device goes on (%d)\n", rc);
	must(close(user->fd));
	create_user(&other, rids[LEFT]);
	other.session = must(luo_create_session(luo_fd, "iommufd_adopt-4"));
	must(luo_session_preserve_fd(other.session, other.memfd, TOKEN_MEMFD));
	rc = luo_session_preserve_fd(other.session, other.fd, TOKEN_IOMMUFD);
	ksft_test_result(rc == -EBUSY, "no other live update (%d)\n", rc);
	must(close(other.session));
	must(close(other.dev));
	must(close(other.fd));

	user->session = luo_retrieve_session(luo_fd, names[TAKEN]);
	ksft_test_result(user->session >= 0, "the session can be had again (%d)\n",
			 user->session);
	must(user->session);
	rc = luo_retrieve_session(luo_fd, names[TAKEN]);
	ksft_test_result(rc == -EINVAL, "by one at a time (%d)\n", rc);
	user->fd = must(luo_session_retrieve_fd(user->session, TOKEN_IOMMUFD));
	rc = count_changes(user->fd, user->hwpt, facts);
	ksft_test_result(!rc, "with the page table of the device (%d)\n", rc);
	rc = luo_session_finish(user->session);
	ksft_test_result(rc == -EBUSY, "it is still in use (%d)\n", rc);
}

static bool is_all_gone(int fd)
{
	must(lu(fd, STATE));
	return !reply.liveupdate.out_id && !reply.liveupdate.out_value &&
	       !reply.liveupdate.out_phys;
}

/* Everything that was said has to be out before this kernel ends. */
static void drain(void)
{
	int left = 0;

	fflush(stdout);
	do {
		usleep(100000);
		must(ioctl(STDOUT_FILENO, FIONREAD, &left));
	} while (left);
	usleep(500000);
	must(report_open());
	report_drain();
}

/* This kernel leaves as well, and nothing is different from the first time. */
static void replace_kernel(int luo_fd, struct user *user)
{
	if (ksft_get_fail_cnt())
		ksft_finished();
	create_state_file(luo_fd, STATE_SESSION, TOKEN_STATE, 3);
	user->session = must(luo_create_session(luo_fd, names[TAKEN]));
	preserve_facts(user, rids[TAKEN]);
	preserve_user(user);
	load_kernel(luo_fd);
	drain();
	reboot(RB_KEXEC);
	fail_exit("reboot");
}

static int nr_results(int stage)
{
	if (lost)
		return 27;
	if (stage > 2)
		return 17;
	return again ? 20 : 21;
}

static void stage_2(int luo_fd, int state_session)
{
	int fd = must(open("/dev/iommu", O_RDWR)), stage, nr_sessions;
	struct facts facts[NR_SESSIONS];
	struct user users[NR_SESSIONS];

	restore_and_read_stage(state_session, TOKEN_STATE, &stage);
	nr_sessions = stage == 2 ? NR_SESSIONS : TAKEN + 1;
	ksft_print_header();
	ksft_set_plan(nr_results(stage));
	for (int i = 0; i < nr_sessions; i++) {
		users[i].session = must(luo_retrieve_session(luo_fd, names[i]));
		retrieve_facts(users[i].session, &facts[i]);
	}

	adopt(fd, facts, nr_sessions);
	for (int i = LEFT; i < nr_sessions; i++)
		leave(fd, &users[i], rids[i], &facts[TAKEN]);
	retrieve(&users[TAKEN], &facts[TAKEN]);
	if (lost)
		lose(luo_fd, &users[TAKEN], &facts[TAKEN]);
	replace(&users[TAKEN], &facts[TAKEN]);
	preserve_again(luo_fd, &users[TAKEN]);
	must(luo_session_finish(state_session));
	must(close(state_session));
	if (again && stage == 2)
		replace_kernel(luo_fd, &users[TAKEN]);

	must(close(users[TAKEN].dev));
	must(close(users[TAKEN].fd));
	ksft_test_result(is_all_gone(fd),
			 "nothing translates, nothing is preserved\n");
	ksft_finished();
}

int main(int argc, char *argv[])
{
	for (int i = 1; i < argc; i++) {
		lost |= !strcmp(argv[i], "lost");
		again |= !strcmp(argv[i], "again");
	}
	return luo_test(argc, argv, STATE_SESSION, stage_1, stage_2);
}
