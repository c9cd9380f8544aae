/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A device and its iommufd that go over a kexec, and what the tests remember of
 * them beside the records, so that the next kernel can be compared with it.
 */
#ifndef SELFTESTS_LIVEUPDATE_IOMMU_IOMMUFD_ADOPT_H
#define SELFTESTS_LIVEUPDATE_IOMMU_IOMMUFD_ADOPT_H

#include <stdbool.h>

#include "iommufd_kexec.h"

#define TOKEN_HWPT	0x0123456789abcdef
#define MAP_SIZE	(16 * 4096UL)
#define IOVA		((__u64)MOCK_APERTURE_START)
#define IOVA_SIZE	(4 * MAP_SIZE)
#define NR_IOVAS	(IOVA_SIZE / MOCK_PAGE_SIZE)
#define HWPT_FLAGS	(IOMMU_HWPT_ALLOC_DIRTY_TRACKING | \
			 IOMMU_HWPT_ALLOC_PASID)

enum {
	TOKEN_FACTS = 1,
	TOKEN_MEMFD,
	TOKEN_IOMMUFD,
	TOKEN_DEVICE,
};

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
	__u32 flags;
};

static inline struct entry entry_of(int fd, __u32 rid)
{
	must(lu(fd, ENTRY, .liveupdate.bdf = rid));
	return (struct entry){ .top = reply.liveupdate.out_phys,
			       .id = reply.liveupdate.out_id,
			       .writes = reply.liveupdate.out_value };
}

/* Is it what @facts say, written @writes times by this kernel? */
static inline bool is_entry(int fd, __u32 rid, const struct facts *facts,
			    __u32 writes)
{
	struct entry entry = entry_of(fd, rid);

	return entry.top == facts->entry.top && entry.id == facts->entry.id &&
	       entry.writes == writes;
}

static inline __u64 translate(int fd, __u32 hwpt, unsigned int i)
{
	must(lu(fd, LOOKUP, .liveupdate.pt_id = hwpt,
		.liveupdate.iova = IOVA + i * MOCK_PAGE_SIZE));
	return reply.liveupdate.out_phys;
}

/* How many IOVAs are not translated to what they were */
static inline int count_changes(int fd, __u32 hwpt, const struct facts *facts)
{
	int changes = 0;

	for (unsigned int i = 0; i < NR_IOVAS; i++)
		changes += translate(fd, hwpt, i) != facts->phys[i];
	return changes;
}

/* Not in the order of the file, not all in one, and not at pages' borders */
static inline void map_most(struct user *user, __u32 ioas)
{
	map_memfd(user->fd, ioas, user->memfd, MAP_SIZE / 2, MAP_SIZE / 2, IOVA);
	map_memfd(user->fd, ioas, user->memfd, 0, MAP_SIZE / 2,
		  IOVA + MAP_SIZE);
}

static inline void map_last(struct user *user, __u32 ioas)
{
	map_memfd(user->fd, ioas, user->memfd, 4096 + MOCK_PAGE_SIZE, 4096,
		  IOVA + 3 * MAP_SIZE + MOCK_PAGE_SIZE);
}

static inline void map_all(struct user *user, __u32 ioas)
{
	map_most(user, ioas);
	map_last(user, ioas);
}

static inline void open_device(struct user *user, __u32 rid)
{
	must(session_cmd(user->fd, DEVICE, .session.value = rid));
	user->dev = reply.session.out_fd;
	user->idev = reply.session.out_id;
}

/* What is asked of each page, to be found again in the next kernel */
static inline void fill(int memfd)
{
	for (__u64 i = 0; i < MAP_SIZE / sizeof(i); i++)
		if (pwrite(memfd, &i, sizeof(i), i * sizeof(i)) != sizeof(i))
			fail_exit("write to memory");
}

static inline bool is_filled(int memfd)
{
	__u64 i, word;

	for (i = 0; i < MAP_SIZE / sizeof(i); i++)
		if (pread(memfd, &word, sizeof(word), i * sizeof(i)) !=
			    sizeof(word) || word != i)
			return false;
	return true;
}

static inline void create_user(struct user *user, __u32 rid)
{
	user->memfd = create_memfd(MAP_SIZE);
	fill(user->memfd);
	user->fd = must(open("/dev/iommu", O_RDWR));
	user->ioas = alloc_ioas(user->fd);
	open_device(user, rid);
	user->flags = HWPT_FLAGS;
	user->hwpt = alloc_hwpt(user->fd, user->idev, user->ioas, user->flags);
	map_all(user, user->ioas);
	must(device(user->dev, ATTACH, user->hwpt));
	mark_hwpt(user->fd, user->hwpt, TOKEN_HWPT);
}

static inline void preserve_user(struct user *user)
{
	must(luo_session_preserve_fd(user->session, user->memfd, TOKEN_MEMFD));
	must(luo_session_preserve_fd(user->session, user->fd, TOKEN_IOMMUFD));
	must(luo_session_preserve_fd(user->session, user->dev, TOKEN_DEVICE));
}

static inline void preserve_facts(struct user *user, __u32 rid)
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

static inline void retrieve_facts(int session, struct facts *facts)
{
	int memfd = must(luo_session_retrieve_fd(session, TOKEN_FACTS));

	if (pread(memfd, facts, sizeof(*facts), 0) != sizeof(*facts))
		fail_exit("read facts");
	must(close(memfd));
}

static inline int restore(struct user *user, __u32 flags)
{
	struct iommu_hwpt_liveupdate_restore cmd = {
		.size = sizeof(cmd),
		.flags = flags,
		.token = TOKEN_HWPT,
	};
	int rc = err(ioctl(user->fd, IOMMU_HWPT_LIVEUPDATE_RESTORE, &cmd));

	user->hwpt = cmd.out_hwpt_id;
	user->flags = cmd.out_alloc_flags;
	return rc;
}

#endif
