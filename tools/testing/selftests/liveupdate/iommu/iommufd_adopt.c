// SPDX-License-Identifier: GPL-2.0-only
/*
 * Devices and their iommufds over a kexec, with the mock IOMMU in both kernels.
 *
 * The mock hardware is memory, and does not outlive its kernel. What it was is
 * written into a memfd that does, and given back to it before the driver of the
 * next kernel adopts it. Nothing of that comes from the records, so what the
 * driver compares with them was told by somebody else.
 *
 * There are two sessions, each with a memfd, an iommufd and a device. In the
 * next kernel the first one is taken over, the other one is closed at once. With
 * the argument "lost" the first one is closed as well, in the middle.
 */
#include <stdbool.h>
#include <stdio.h>

#include "iommufd_kexec.h"

#define STATE_SESSION	"iommufd_adopt-state"
#define TOKEN_STATE	999
#define TOKEN_HWPT	0x0123456789abcdef
#define MAP_SIZE	(16 * 4096UL)
#define IOVA		((__u64)MOCK_APERTURE_START)
#define IOVA_SIZE	(4 * MAP_SIZE)
#define NR_IOVAS	(IOVA_SIZE / MOCK_PAGE_SIZE)

enum {
	TOKEN_FACTS = 1,
	TOKEN_MEMFD,
	TOKEN_IOMMUFD,
	TOKEN_DEVICE,
};

enum { TAKEN, LEFT, NR_SESSIONS };

static const char * const names[] = { "iommufd_adopt-1", "iommufd_adopt-2" };
static const __u32 rids[] = { 3, 5 };
static bool lost;

/**
 * struct entry - What the hardware has about a requester id
 * @top: Top table
 * @id: Attachment id
 * @writes: How often it was written
 */
struct entry {
	__u64 top;
	__u32 id;
	__u32 writes;
};

/**
 * struct facts - What the previous kernel saw
 * @entry: Of the hardware
 * @phys: What the IOVAs translated to
 */
struct facts {
	struct entry entry;
	__u64 phys[NR_IOVAS];
};

/* What one kernel has of a session */
struct user {
	int session;
	int memfd;
	int fd;
	int dev;
	__u32 idev;
	__u32 ioas;
	__u32 hwpt;
};

static struct entry entry_of(int fd, __u32 rid)
{
	must(lu(fd, ENTRY, .liveupdate.bdf = rid));
	return (struct entry){ .top = reply.liveupdate.out_phys,
			       .id = reply.liveupdate.out_id,
			       .writes = reply.liveupdate.out_value };
}

/* Is it what @facts say, written @writes times by this kernel? */
static bool is_entry(int fd, __u32 rid, const struct facts *facts, __u32 writes)
{
	struct entry entry = entry_of(fd, rid);

	return entry.top == facts->entry.top && entry.id == facts->entry.id &&
	       entry.writes == writes;
}

static __u64 translate(int fd, __u32 hwpt, unsigned int i)
{
	must(lu(fd, LOOKUP, .liveupdate.pt_id = hwpt,
		.liveupdate.iova = IOVA + i * MOCK_PAGE_SIZE));
	return reply.liveupdate.out_phys;
}

/* How many IOVAs are not translated to what they were */
static int count_changes(int fd, __u32 hwpt, const struct facts *facts)
{
	int changes = 0;

	for (unsigned int i = 0; i < NR_IOVAS; i++)
		changes += translate(fd, hwpt, i) != facts->phys[i];
	return changes;
}

/* Not in the order of the file, not all in one, and not at pages' borders */
static void map_all(struct user *user, __u32 ioas)
{
	map_memfd(user->fd, ioas, user->memfd, MAP_SIZE / 2, MAP_SIZE / 2, IOVA);
	map_memfd(user->fd, ioas, user->memfd, 0, MAP_SIZE / 2,
		  IOVA + MAP_SIZE);
	map_memfd(user->fd, ioas, user->memfd, 4096 + MOCK_PAGE_SIZE, 4096,
		  IOVA + 3 * MAP_SIZE + MOCK_PAGE_SIZE);
}

static void open_device(struct user *user, __u32 rid)
{
	must(session_cmd(user->fd, DEVICE, .session.value = rid));
	user->dev = reply.session.out_fd;
	user->idev = reply.session.out_id;
}

/* What is asked of each page, to be found again in the next kernel */
static void fill(int memfd)
{
	for (__u64 i = 0; i < MAP_SIZE / sizeof(i); i++)
		if (pwrite(memfd, &i, sizeof(i), i * sizeof(i)) != sizeof(i))
			fail_exit("write to memory");
}

static bool is_filled(int memfd)
{
	__u64 i, word;

	for (i = 0; i < MAP_SIZE / sizeof(i); i++)
		if (pread(memfd, &word, sizeof(word), i * sizeof(i)) !=
			    sizeof(word) || word != i)
			return false;
	return true;
}

static void create_user(struct user *user, __u32 rid)
{
	user->memfd = create_memfd(MAP_SIZE);
	fill(user->memfd);
	user->fd = must(open("/dev/iommu", O_RDWR));
	user->ioas = alloc_ioas(user->fd);
	open_device(user, rid);
	user->hwpt = alloc_hwpt(user->fd, user->idev, user->ioas);
	map_all(user, user->ioas);
	must(device(user->dev, ATTACH, user->hwpt));
	mark_hwpt(user->fd, user->hwpt, TOKEN_HWPT);
}

static void preserve_user(struct user *user)
{
	must(luo_session_preserve_fd(user->session, user->memfd, TOKEN_MEMFD));
	must(luo_session_preserve_fd(user->session, user->fd, TOKEN_IOMMUFD));
	must(luo_session_preserve_fd(user->session, user->dev, TOKEN_DEVICE));
}

static void preserve_facts(struct user *user, __u32 rid)
{
	struct facts facts = { .entry = entry_of(user->fd, rid) };
	int memfd = must(memfd_create("facts", 0));

	for (unsigned int i = 0; i < NR_IOVAS; i++)
		facts.phys[i] = translate(user->fd, user->hwpt, i);
	if (!facts.entry.top || !facts.phys[0])
		fail_exit("nothing is translated");
	if (write(memfd, &facts, sizeof(facts)) != sizeof(facts))
		fail_exit("write facts");
	must(luo_session_preserve_fd(user->session, memfd, TOKEN_FACTS));
}

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

static void stage_1(int luo_fd)
{
	struct user users[NR_SESSIONS];

	create_state_file(luo_fd, STATE_SESSION, TOKEN_STATE, 2);
	for (int i = 0; i < NR_SESSIONS; i++) {
		create_user(&users[i], rids[i]);
		preserve_in_vain(luo_fd, &users[i]);
	}
	for (int i = 0; i < NR_SESSIONS; i++) {
		users[i].session = must(luo_create_session(luo_fd, names[i]));
		preserve_facts(&users[i], rids[i]);
		preserve_user(&users[i]);
	}
	daemonize_and_wait();
}

static void retrieve_facts(int session, struct facts *facts)
{
	int memfd = must(luo_session_retrieve_fd(session, TOKEN_FACTS));

	if (pread(memfd, facts, sizeof(*facts), 0) != sizeof(*facts))
		fail_exit("read facts");
	must(close(memfd));
}

/* The hardware is what it was, and the driver finds it. */
static void adopt(int fd, const struct facts *facts)
{
	for (int i = 0; i < NR_SESSIONS; i++)
		must(lu(fd, ENTRY, .liveupdate.bdf = rids[i],
			.liveupdate.iova = facts[i].entry.top,
			.liveupdate.value = facts[i].entry.id));
	must(session_cmd(fd, ADOPT));
}

static int restore(struct user *user, __u32 flags)
{
	struct iommu_hwpt_liveupdate_restore cmd = {
		.size = sizeof(cmd),
		.flags = flags,
		.token = TOKEN_HWPT,
	};
	int rc = err(ioctl(user->fd, IOMMU_HWPT_LIVEUPDATE_RESTORE, &cmd));

	user->hwpt = cmd.out_hwpt_id;
	return rc;
}

/* Nobody asks: the device that has not come back is stopped. */
static void leave(int fd, struct user *user, const struct facts *facts)
{
	int rc = close(user->session);

	ksft_test_result(!rc && !entry_of(fd, rids[LEFT]).top,
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
	ksft_test_result(!rc, "restore (%d)\n", rc);
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
	user->hwpt = alloc_hwpt(user->fd, user->idev, user->ioas);
	rc = device(user->dev, ATTACH, user->hwpt);
	ksft_test_result(rc == -EINVAL, "not by an empty one (%d)\n", rc);
	map_all(user, user->ioas);
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
	int rc, again;

	mark_hwpt(user->fd, user->hwpt, TOKEN_HWPT);
	again = must(luo_create_session(luo_fd, names[TAKEN]));
	rc = luo_session_preserve_fd(again, user->fd, TOKEN_IOMMUFD);
	ksft_test_result(rc == -EBUSY, "not twice at the same time (%d)\n", rc);
	must(close(again));

	rc = luo_session_finish(user->session);
	ksft_test_result(!rc, "finish (%d)\n", rc);
	must(close(user->session));

	preserve_in_vain(luo_fd, user);
	ksft_test_result_pass("another live update can begin\n");
}

/* The memory stays with the device, and no other live update can begin. */
static void lose(int luo_fd, struct user *user, const struct facts *facts)
{
	struct user other;
	int rc;

	close(user->session);
	rc = count_changes(user->fd, user->hwpt, facts);
	ksft_test_result(!rc && is_entry(user->fd, rids[TAKEN], facts, 0),
			 "the device goes on (%d)\n", rc);
	rc = luo_retrieve_session(luo_fd, names[TAKEN]);
	ksft_test_result(rc < 0, "the session is lost (%d)\n", rc);

	create_user(&other, rids[LEFT]);
	other.session = must(luo_create_session(luo_fd, "iommufd_adopt-3"));
	must(luo_session_preserve_fd(other.session, other.memfd, TOKEN_MEMFD));
	rc = luo_session_preserve_fd(other.session, other.fd, TOKEN_IOMMUFD);
	ksft_test_result(rc == -EBUSY, "no other live update (%d)\n", rc);
	must(close(other.session));
	must(close(other.dev));
	must(close(other.fd));
}

static bool is_all_gone(int fd)
{
	must(lu(fd, STATE));
	return !reply.liveupdate.out_id && !reply.liveupdate.out_value &&
	       !reply.liveupdate.out_phys;
}

static void stage_2(int luo_fd, int state_session)
{
	int fd = must(open("/dev/iommu", O_RDWR)), stage;
	struct facts facts[NR_SESSIONS];
	struct user users[NR_SESSIONS];

	ksft_print_header();
	ksft_set_plan(lost ? 13 : 18);
	restore_and_read_stage(state_session, TOKEN_STATE, &stage);
	for (int i = 0; i < NR_SESSIONS; i++) {
		users[i].session = must(luo_retrieve_session(luo_fd, names[i]));
		retrieve_facts(users[i].session, &facts[i]);
	}

	adopt(fd, facts);
	leave(fd, &users[LEFT], &facts[TAKEN]);
	retrieve(&users[TAKEN], &facts[TAKEN]);
	if (lost) {
		lose(luo_fd, &users[TAKEN], &facts[TAKEN]);
	} else {
		replace(&users[TAKEN], &facts[TAKEN]);
		preserve_again(luo_fd, &users[TAKEN]);
	}

	must(close(users[TAKEN].dev));
	must(close(users[TAKEN].fd));
	ksft_test_result(is_all_gone(fd),
			 "nothing translates, nothing is preserved\n");
	must(luo_session_finish(state_session));
	ksft_finished();
}

int main(int argc, char *argv[])
{
	for (int i = 1; i < argc; i++)
		lost |= !strcmp(argv[i], "lost");
	return luo_test(argc, argv, STATE_SESSION, stage_1, stage_2);
}
