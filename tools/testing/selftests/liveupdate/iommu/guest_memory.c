// SPDX-License-Identifier: GPL-2.0
/*
 * The memory of a virtual machine, in pages of one size or another: what a page
 * table that crosses a live update has leaves of.
 */
#define _GNU_SOURCE

#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/kernel.h>
#include <linux/types.h>

#include <libliveupdate.h>

#include "guest_memory.h"
#include "physmem.h"

#define SMALL	4096UL
#define LARGE	(2UL << 20)

#define SHMEM_ENABLED "/sys/kernel/mm/transparent_hugepage/shmem_enabled"

static const char * const names[] = {
	[GUEST_PAGES_4K] = "4k",
	[GUEST_PAGES_2M] = "2m",
	[GUEST_PAGES_MIXED] = "mixed",
};

enum guest_pages guest_pages_named(const char *name)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(names); i++)
		if (!strcmp(name, names[i]))
			return i;
	ksft_exit_fail_msg("no pages of size %s\n", name);
}

static bool is_large(size_t at, enum guest_pages pages)
{
	return pages == GUEST_PAGES_2M ||
	       (pages == GUEST_PAGES_MIXED && at / LARGE % 2 == 0);
}

/* At an address at which large pages can be. */
static char *map_aligned(int memfd, size_t size)
{
	char *room = mmap(NULL, size + LARGE, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	char *at;

	if (room == MAP_FAILED)
		fail_exit("room for %zu bytes", size);
	at = (char *)(((uintptr_t)room + LARGE - 1) & -LARGE);
	at = mmap(at, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
		  memfd, 0);
	if (at == MAP_FAILED)
		fail_exit("mmap of %zu bytes", size);
	return at;
}

static void populate(char *memory, size_t size, enum guest_pages pages)
{
	size_t at, page;

	for (at = 0; at < size; at += LARGE) {
		if (madvise(memory + at, LARGE, is_large(at, pages) ?
			    MADV_HUGEPAGE : MADV_NOHUGEPAGE))
			fail_exit("madvise");
		for (page = 0; page < LARGE; page += SMALL)
			memory[at + page] = 1;
	}
}

int guest_memory_create(size_t size, enum guest_pages pages)
{
	size_t before = physmem_info("ShmemHugePages"), large, at;
	int memfd = memfd_create("guest-memory", MFD_ALLOW_SEALING);
	char *memory;

	if (physmem_write(SHMEM_ENABLED, "advise"))
		ksft_exit_fail_msg("no large pages for a memfd\n");
	if (memfd < 0 || ftruncate(memfd, size) ||
	    fcntl(memfd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
		fail_exit("memfd of %zu bytes", size);
	memory = map_aligned(memfd, size);
	populate(memory, size, pages);
	munmap(memory, size);

	for (at = 0, large = 0; at < size; at += LARGE)
		large += is_large(at, pages) ? LARGE : 0;
	before = physmem_info("ShmemHugePages") - before;
	if (before != large)
		ksft_exit_fail_msg("%zu of %zu MiB are in large pages, not %zu\n",
				   before >> 20, size >> 20, large >> 20);
	return memfd;
}

static u64 *stamp(char *memory, size_t at)
{
	return (u64 *)(memory + at);
}

void guest_memory_stamp(int memfd, size_t size)
{
	char *memory = map_aligned(memfd, size);
	size_t at;

	for (at = 0; at < size; at += SMALL)
		*stamp(memory, at) = ~at;
	munmap(memory, size);
}

void guest_memory_check(int memfd, size_t size)
{
	char *memory = map_aligned(memfd, size);
	size_t at;

	for (at = 0; at < size; at += SMALL)
		if (*stamp(memory, at) != ~at)
			ksft_exit_fail_msg("what was at %#zx of the memory is not there\n",
					   at);
	munmap(memory, size);
}
