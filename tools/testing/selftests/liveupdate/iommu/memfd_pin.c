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
#include "physmem.h"

#define STATE_SESSION	"memfd-pin-state"
#define SESSION		"memfd-pin"
#define TOKEN_STATE	1
#define TOKEN_FRAMES	2
#define TOKEN_FILE	100

#define PAGE		4096UL
#define NR_FILES	(FILE_PARTLY + NR_PARTLY)
#define NR_FAIL		32
#define NR_PARTLY	3
#define MAX_PAGES	1024

enum {
	FILE_SMALL,	/* 4 KiB folios */
	FILE_LARGE,	/* 2 MiB folios */
	FILE_IGNORED,	/* never retrieved */
	FILE_FAIL,	/* NR_FAIL: retrieves that fail at one allocation */
	/* NR_PARTLY: retrieves that fail with some pages in the file */
	FILE_PARTLY = FILE_FAIL + NR_FAIL,
};

/* Where the pages of each file were in the old kernel. */
struct frames {
	u64 pfn[NR_FILES][MAX_PAGES];
};

static size_t nr_pages(int file)
{
	return file < FILE_IGNORED ? MAX_PAGES : MAX_PAGES / 4;
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

/* Reads each page, so that it is present, and then asks where it is. */
static size_t moved_pages(const u64 *mem, int file, const struct frames *frames)
{
	u64 pfns[MAX_PAGES];
	size_t moved = 0;

	for (size_t page = 0; page < nr_pages(file); page++)
		READ_ONCE(mem[page * PAGE / sizeof(*mem)]);
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
	int fd = memfd_create("memfd_pin", 0);
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
	int session, state, fd;

	session = luo_create_session(luo_fd, SESSION);
	if (session < 0)
		fail_exit("create session");

	fd = memfd_create("memfd_pin_frames", 0);
	if (fd < 0 || ftruncate(fd, sizeof(*frames)))
		fail_exit("memfd_create");
	frames = mmap(NULL, sizeof(*frames), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (frames == MAP_FAILED)
		fail_exit("mmap");

	for (int file = 0; file < NR_FILES; file++) {
		set_shmem_huge(file == FILE_LARGE ? "always" : "never");
		preserve_file(session, file, frames);
	}
	for (size_t page = 1; page < 512; page++)
		if (frames->pfn[FILE_LARGE][page] != frames->pfn[FILE_LARGE][0] + page)
			ksft_exit_fail_msg("the huge file has no huge page\n");

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

static void page_out(u64 *mem, int file)
{
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

/* Let the nth allocation of this task from now on fail. */
static void fail_nth(int nth)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", nth);
	if (physmem_write("/proc/thread-self/fail-nth", text))
		fail_exit("fail-nth %d", nth);
}

/* Stop failing allocations. Tells whether one has failed. */
static bool fail_nth_done(void)
{
	int fd = open("/proc/thread-self/fail-nth", O_RDWR);
	char text[16] = "";

	/* The countdown may just as well hit these calls: then it hit late. */
	if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0 || write(fd, "0", 1) != 1) {
		physmem_write("/proc/thread-self/fail-nth", "0");
		return false;
	}
	close(fd);

	return atoi(text) == 0;
}

static void enable_fault_injection(void)
{
	static const char *const knobs[][2] = {
		{ "/sys/kernel/debug/failslab/ignore-gfp-wait", "N" },
		{ "/sys/kernel/debug/fail_page_alloc/ignore-gfp-wait", "N" },
		{ "/sys/kernel/debug/fail_page_alloc/ignore-gfp-highmem", "N" },
		{ "/sys/kernel/debug/fail_page_alloc/min-order", "0" },
		{ "/sys/kernel/debug/failslab/verbose", "0" },
		{ "/sys/kernel/debug/fail_page_alloc/verbose", "0" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(knobs); i++)
		if (physmem_write(knobs[i][0], knobs[i][1]))
			fail_exit("%s", knobs[i][0]);
}

/*
 * Retrieve one file after the other, with a later allocation failing each time,
 * until no allocation is left to fail. Fills @lost with the files whose
 * retrieve failed and returns their number.
 */
static int retrieve_with_faults(int session, int *lost)
{
	int file, nr_lost = 0;

	enable_fault_injection();
	for (file = FILE_FAIL; file < FILE_PARTLY; file++) {
		int fd, again;
		bool injected;

		fail_nth(file - FILE_FAIL + 1);
		fd = luo_session_retrieve_fd(session, TOKEN_FILE + file);
		injected = fail_nth_done();
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
	char budget[16];
	const char *knobs[][2] = {
		{ "/sys/kernel/slab/radix_tree_node/failslab", "1" },
		{ "/sys/kernel/debug/failslab/cache-filter", "Y" },
		{ "/sys/kernel/debug/failslab/task-filter", "Y" },
		{ "/sys/kernel/debug/failslab/times", "-1" },
		{ "/sys/kernel/debug/failslab/space", budget },
		{ "/sys/kernel/debug/failslab/probability", "100" },
		{ "/proc/thread-self/make-it-fail", "1" },
	};
	int fd;

	snprintf(budget, sizeof(budget), "%d", space);
	for (size_t i = 0; i < ARRAY_SIZE(knobs); i++)
		if (physmem_write(knobs[i][0], knobs[i][1]))
			fail_exit("%s", knobs[i][0]);
	fd = luo_session_retrieve_fd(session, TOKEN_FILE + file);
	if (physmem_write("/sys/kernel/debug/failslab/probability", "0"))
		fail_exit("fault injection stays on");

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
	size_t nr_pfns, nr_free, nr_had, moved;
	int nr_lost;

	ksft_print_header();
	ksft_set_plan(25);

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

	if (physmem_swapon("/dev/ram0"))
		fail_exit("swap on /dev/ram0");
	press(mem, frames);
	check_held("held under memory pressure", mem, frames);

	/* The file nobody asks for counts among the lost ones. */
	nr_lost = 1 + retrieve_with_faults(session, lost + 1);
	ksft_test_result(nr_lost > 4, "files that were not retrieved: %d\n", nr_lost);
	for (int i = 0; i < NR_PARTLY; i++) {
		int err = retrieve_partly(session, FILE_PARTLY + i, i * 1000);

		ksft_test_result(err == -ENOMEM, "retrieve fails half-way (%d)\n", err);
		lost[nr_lost++] = FILE_PARTLY + i;
	}
	lost_pfns = calloc(nr_lost * nr_pages(FILE_IGNORED), sizeof(*lost_pfns));
	if (!lost_pfns)
		fail_exit("calloc");
	nr_pfns = collect_frames(lost_pfns, lost, nr_lost, frames);
	press(mem, frames);
	ksft_test_result(!physmem_free(lost_pfns, nr_pfns),
			 "held: no frame of a failed retrieve is free\n");
	ksft_test_result(!physmem_hog(lost_pfns, nr_pfns),
			 "held: no frame of a failed retrieve can be had\n");

	ksft_test_result(!luo_session_finish(session), "finish\n");

	/* Before the pressure below, which needs memory for what it swaps out. */
	nr_free = physmem_free(lost_pfns, nr_pfns);
	nr_had = physmem_hog(lost_pfns, nr_pfns);
	ksft_test_result(nr_free > nr_pfns / 2 || nr_had > nr_pfns / 2,
			 "finished: frames of failed retrieves are free (%zu) or can be had (%zu)\n",
			 nr_free, nr_had);

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
