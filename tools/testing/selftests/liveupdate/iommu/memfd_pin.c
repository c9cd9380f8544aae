// SPDX-License-Identifier: GPL-2.0
/*
 * A preserved memfd between its retrieval and the end of its session: devices
 * may still write to its memory by physical address, so the memory must stay
 * where it is and belong to nobody else, whatever userspace and reclaim try and
 * even if a retrieve fails. After the session all of this is possible again.
 *
 * What is tried on a held file is tried once more on the released one, where it
 * has to succeed: an attempt that could not have succeeded proves nothing.
 */

#define _GNU_SOURCE

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <libliveupdate.h>

#include <linux/compiler.h>
#include <linux/kernel.h>

#include "../../kselftest.h"
#include "fault.h"
#include "physmem.h"

#define STATE_SESSION	"memfd-pin-state"
#define SESSION		"memfd-pin"
#define TOKEN_STATE	1
#define TOKEN_FRAMES	2
#define TOKEN_FILE	100

#define PAGE		4096UL
#define NR_FILES	(FILE_PARTLY + NR_PARTLY)
#define NR_FAIL		128
#define NR_PARTLY	3
#define MAX_PAGES	1024

enum {
	FILE_SMALL,	/* 4 KiB folios */
	FILE_LARGE,	/* 2 MiB folios */
	FILE_IGNORED,	/* never retrieved, 2 MiB folios */
	FILE_CLOSED,	/* its session is closed, not finished */
	FILE_FAIL,	/* NR_FAIL: retrieves that fail at one allocation */
	/* NR_PARTLY: retrieves that fail half-way, the last with 2 MiB folios */
	FILE_PARTLY = FILE_FAIL + NR_FAIL,
};

/* Where the pages of each file were in the old kernel. */
struct frames {
	u64 pfn[NR_FILES][MAX_PAGES];
};

static bool has_large_folios(int file)
{
	return file == FILE_LARGE || file == FILE_IGNORED || file == NR_FILES - 1;
}

static size_t nr_pages(int file)
{
	return file == FILE_SMALL || has_large_folios(file) ? MAX_PAGES : MAX_PAGES / 4;
}

static u64 pattern(int file, size_t page, size_t word)
{
	return ((u64)file << 48 | page << 16 | word) * 0x9e3779b97f4a7c15ULL;
}

static u64 *map_file(int fd, int file)
{
	void *mem = mmap(NULL, nr_pages(file) * PAGE, PROT_READ | PROT_WRITE,
			 MAP_SHARED, fd, 0);

	if (mem == MAP_FAILED)
		fail_exit("mmap of file %d", file);

	return mem;
}

static size_t wrong_pages(const u64 *mem, int file)
{
	size_t wrong = 0;

	for (size_t page = 0; page < nr_pages(file); page++) {
		const u64 *words = mem + page * PAGE / sizeof(*mem);

		for (size_t word = 0; word < PAGE / sizeof(*mem); word++) {
			if (words[word] != pattern(file, page, word)) {
				wrong++;
				break;
			}
		}
	}

	return wrong;
}

static void touch(const u64 *mem, int file)
{
	for (size_t page = 0; page < nr_pages(file); page++)
		READ_ONCE(mem[page * PAGE / sizeof(*mem)]);
}

/* Where a page is can only be told of one that is mapped. */
static size_t moved_pages(const u64 *mem, int file, const struct frames *frames)
{
	u64 pfns[MAX_PAGES];
	size_t moved = 0;

	touch(mem, file);
	physmem_pfns(mem, nr_pages(file), pfns);
	for (size_t page = 0; page < nr_pages(file); page++)
		moved += pfns[page] != frames->pfn[file][page];

	return moved;
}

static void set_shmem_huge(const char *when)
{
	if (physmem_write("/sys/kernel/mm/transparent_hugepage/shmem_enabled", when))
		fail_exit("huge pages for shmem: %s", when);
}

static int preserve_file(int session, int file, struct frames *frames)
{
	int fd = memfd_create("memfd_pin", MFD_ALLOW_SEALING);
	u64 *mem;

	if (fd < 0 || ftruncate(fd, nr_pages(file) * PAGE))
		fail_exit("memfd_create");

	mem = map_file(fd, file);
	for (size_t page = 0; page < nr_pages(file); page++)
		for (size_t word = 0; word < PAGE / sizeof(*mem); word++)
			mem[page * PAGE / sizeof(*mem) + word] = pattern(file, page, word);

	/* Preserving may still move pages. */
	if (luo_session_preserve_fd(session, fd, TOKEN_FILE + file))
		fail_exit("preserve of file %d", file);
	physmem_pfns(mem, nr_pages(file), frames->pfn[file]);
	munmap(mem, nr_pages(file) * PAGE);

	return fd;
}

static void stage_1(int luo_fd)
{
	struct frames *frames;
	int session, closed, state, fd;

	session = luo_create_session(luo_fd, SESSION);
	if (session < 0)
		fail_exit("create session");

	fd = memfd_create("memfd_pin_frames", 0);
	if (fd < 0 || ftruncate(fd, sizeof(*frames)))
		fail_exit("memfd_create");
	frames = mmap(NULL, sizeof(*frames), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (frames == MAP_FAILED)
		fail_exit("mmap");

	closed = luo_create_session(luo_fd, SESSION "-closed");
	if (closed < 0)
		fail_exit("create session");

	for (int file = 0; file < NR_FILES; file++) {
		const u64 *pfn = frames->pfn[file];

		set_shmem_huge(has_large_folios(file) ? "always" : "never");
		preserve_file(file == FILE_CLOSED ? closed : session, file, frames);
		for (size_t page = 1; has_large_folios(file) && page < 512; page++)
			if (pfn[page] != pfn[0] + page)
				ksft_exit_fail_msg("file %d has no huge page\n", file);
	}

	create_state_file(luo_fd, STATE_SESSION, TOKEN_STATE, 2);
	state = luo_create_session(luo_fd, SESSION "-frames");
	if (state < 0 || luo_session_preserve_fd(state, fd, TOKEN_FRAMES))
		fail_exit("preserve of the frames");

	daemonize_and_wait();
}

static void check_held(const char *when, u64 *mem[], const struct frames *frames)
{
	for (int file = FILE_SMALL; file <= FILE_LARGE; file++) {
		size_t moved = moved_pages(mem[file], file, frames);
		size_t wrong = wrong_pages(mem[file], file);

		ksft_test_result(!moved && !wrong,
				 "%s, %s folios: %zu pages moved, %zu wrong\n", when,
				 file == FILE_SMALL ? "small" : "large", moved, wrong);
	}
}

/* What userspace may try to take memory out of a file. 0 or -errno each. */
static int try_punch(int fd)
{
	return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
			 8 * PAGE) ? -errno : 0;
}

static int try_shrink(int fd)
{
	return ftruncate(fd, (MAX_PAGES / 2) * PAGE) ? -errno : 0;
}

static int try_grow(int fd)
{
	return ftruncate(fd, 2 * MAX_PAGES * PAGE) ? -errno : 0;
}

static int try_append(int fd)
{
	return pwrite(fd, "", 1, 2 * MAX_PAGES * PAGE) < 0 ? -errno : 0;
}

static const struct {
	const char *name;
	int (*try)(int fd);
} attempts[] = {
	{ "punch a hole", try_punch },
	{ "shrink", try_shrink },
	{ "grow", try_grow },
	{ "write past the end", try_append },
};

/* Closing the session is a way to finish it. */
static void test_closed_session(int luo_fd)
{
	int session = luo_retrieve_session(luo_fd, SESSION "-closed");
	int fd = luo_session_retrieve_fd(session, TOKEN_FILE + FILE_CLOSED);
	int held, released;

	if (fd < 0)
		fail_exit("retrieve of file %d", FILE_CLOSED);
	held = fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) ? -errno : 0;
	ksft_test_result(held == -EBUSY, "held: seal against writing is refused (%d)\n",
			 held);
	held = try_grow(fd);
	close(session);
	released = try_grow(fd);
	ksft_test_result(held == -EPERM && !released,
			 "session closed: grow is refused before (%d), succeeds after (%d)\n",
			 held, released);
	released = fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) ? -errno : 0;
	ksft_test_result(!released, "session closed: seal against writing succeeds (%d)\n",
			 released);
	close(fd);
}

/* What an attempt has unmapped, the next one would not look at. */
static void page_out(u64 *mem, int file)
{
	touch(mem, file);
	if (madvise(mem, nr_pages(file) * PAGE, MADV_PAGEOUT))
		fail_exit("MADV_PAGEOUT");
}

static void press(u64 *mem[], const struct frames *frames)
{
	for (int round = 0; round < 3; round++) {
		page_out(mem[FILE_SMALL], FILE_SMALL);
		page_out(mem[FILE_LARGE], FILE_LARGE);
		if (physmem_write("/proc/sys/vm/compact_memory", "1"))
			fail_exit("compaction");
	}
	physmem_hog(frames->pfn[0], 1);
}

/*
 * Retrieve one file after the other, with a later allocation failing each time,
 * until no allocation is left to fail. Fills @lost with the files whose
 * retrieve failed and returns their number.
 */
static int retrieve_with_faults(int session, int *lost)
{
	int file, nr_lost = 0;

	fault_init();
	for (file = FILE_FAIL; file < FILE_PARTLY; file++) {
		int fd, again;
		bool injected;

		fault_nth(file - FILE_FAIL + 1);
		fd = luo_session_retrieve_fd(session, TOKEN_FILE + file);
		injected = fault_nth_done();
		if (!injected) {
			u64 *mem = fd < 0 ? NULL : map_file(fd, file);

			ksft_test_result(mem && !wrong_pages(mem, file),
					 "the retrieve without a fault is complete\n");
			return nr_lost;
		}
		if (fd >= 0) {
			close(fd);
			continue;
		}

		/* A fault outside of the file's own retrieve does no harm. */
		again = luo_session_retrieve_fd(session, TOKEN_FILE + file);
		if (again >= 0)
			close(again);
		else
			lost[nr_lost++] = file;
	}
	ksft_test_result_fail("more allocations than %d\n", NR_FAIL);

	return nr_lost;
}

/*
 * The page cache tries again when it gets no node for its tree, so one failing
 * allocation is not enough to stop a retrieve in the middle. Let all nodes but
 * those in the first @space bytes fail.
 */
static int retrieve_partly(int session, int file, int space)
{
	int fd;

	fault_cache("radix_tree_node", space);
	fd = luo_session_retrieve_fd(session, TOKEN_FILE + file);
	fault_cache_done();

	return fd;
}

static size_t collect_frames(u64 *pfns, const int *files, int nr_files,
			     const struct frames *frames)
{
	size_t nr = 0;

	for (int i = 0; i < nr_files; i++)
		for (size_t page = 0; page < nr_pages(files[i]); page++)
			pfns[nr++] = frames->pfn[files[i]][page];

	return nr;
}

/* What this process gives back it can have again: physmem_hog() asks for it. */
static void stay_on_this_cpu(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(sched_getcpu(), &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		fail_exit("sched_setaffinity");
}

static const struct frames *retrieve_frames(int luo_fd)
{
	int session = luo_retrieve_session(luo_fd, SESSION "-frames");
	const struct frames *frames;
	int fd;

	if (session < 0)
		fail_exit("retrieve session");
	fd = luo_session_retrieve_fd(session, TOKEN_FRAMES);
	frames = mmap(NULL, sizeof(*frames), PROT_READ, MAP_SHARED, fd, 0);
	if (frames == MAP_FAILED)
		fail_exit("the frames");
	if (luo_session_finish(session))
		fail_exit("finish");

	return frames;
}

static void stage_2(int luo_fd, int state_session)
{
	u64 *mem[FILE_IGNORED], *lost_pfns;
	int session, fd[FILE_IGNORED], stage;
	int lost[1 + NR_FAIL + NR_PARTLY] = { FILE_IGNORED };
	const struct frames *frames;
	size_t nr_pfns, nr_had, moved;
	int nr_lost;

	ksft_print_header();
	ksft_set_plan(30);
	stay_on_this_cpu();

	restore_and_read_stage(state_session, TOKEN_STATE, &stage);
	frames = retrieve_frames(luo_fd);
	session = luo_retrieve_session(luo_fd, SESSION);
	if (session < 0)
		fail_exit("retrieve session");
	for (int file = FILE_SMALL; file <= FILE_LARGE; file++) {
		fd[file] = luo_session_retrieve_fd(session, TOKEN_FILE + file);
		if (fd[file] < 0)
			fail_exit("retrieve of file %d", file);
		mem[file] = map_file(fd[file], file);
	}
	check_held("held", mem, frames);

	for (size_t i = 0; i < ARRAY_SIZE(attempts); i++) {
		int err = attempts[i].try(fd[FILE_SMALL]);

		ksft_test_result(err == -EPERM, "held: %s is refused (%d)\n",
				 attempts[i].name, err);
	}

	test_closed_session(luo_fd);

	if (physmem_swapon("/dev/ram0"))
		fail_exit("swap on /dev/ram0");
	press(mem, frames);
	check_held("held under memory pressure", mem, frames);

	/* The file nobody asks for counts among the lost ones. */
	nr_lost = 1 + retrieve_with_faults(session, lost + 1);
	ksft_test_result(nr_lost > 4, "files that were not retrieved: %d\n", nr_lost);
	for (int i = 0; i < NR_PARTLY; i++) {
		int err = retrieve_partly(session, FILE_PARTLY + i, (NR_PARTLY - 1 - i) * 1000);

		ksft_test_result(err == -ENOMEM, "retrieve fails half-way (%d)\n", err);
		lost[nr_lost++] = FILE_PARTLY + i;
	}
	lost_pfns = calloc(nr_lost * MAX_PAGES, sizeof(*lost_pfns));
	if (!lost_pfns)
		fail_exit("calloc");
	nr_pfns = collect_frames(lost_pfns, lost, nr_lost, frames);
	press(mem, frames);
	nr_had = physmem_hog(lost_pfns, nr_pfns);
	ksft_test_result(!nr_had, "held: of %zu frames not retrieved %zu can be had\n",
			 nr_pfns, nr_had);

	ksft_test_result(!luo_session_finish(session), "finish\n");

	/*
	 * Of some of the files that failed at one allocation the record could
	 * not be restored, so their memory is lost. Some frames of the others
	 * are in use again by now. Ask before the pressure below, which needs
	 * memory for what it swaps out.
	 */
	for (int i = 0; i < 1 + NR_PARTLY; i++) {
		int file = i ? FILE_PARTLY + i - 1 : FILE_IGNORED;

		nr_had = physmem_hog(frames->pfn[file], nr_pages(file));
		ksft_test_result(nr_had > nr_pages(file) / 4 * 3,
				 "finished: of %zu frames of file %d %zu can be had\n",
				 nr_pages(file), file, nr_had);
	}

	press(mem, frames);
	moved = moved_pages(mem[FILE_SMALL], FILE_SMALL, frames) +
		moved_pages(mem[FILE_LARGE], FILE_LARGE, frames);
	ksft_test_result(moved, "finished: memory pressure moves pages (%zu)\n", moved);
	for (int file = FILE_SMALL; file <= FILE_LARGE; file++)
		ksft_test_result(!wrong_pages(mem[file], file),
				 "finished: contents of file %d are right\n", file);
	for (size_t i = 0; i < ARRAY_SIZE(attempts); i++) {
		int err = attempts[i].try(fd[FILE_SMALL]);

		ksft_test_result(!err, "finished: %s succeeds (%d)\n",
				 attempts[i].name, err);
	}
	if (luo_session_finish(state_session))
		fail_exit("finish");
	ksft_test_result(physmem_vmstat("nr_foll_pin_acquired") ==
			 physmem_vmstat("nr_foll_pin_released"),
			 "finished: every pin is dropped\n");

	ksft_finished();
}

int main(int argc, char *argv[])
{
	return luo_test(argc, argv, STATE_SESSION, stage_1, stage_2);
}
