// SPDX-License-Identifier: GPL-2.0

#define _GNU_SOURCE

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/swap.h>
#include <unistd.h>

#include <linux/bits.h>
#include <linux/fs.h>

#include "../../kselftest.h"
#include "physmem.h"

/* Documentation/admin-guide/mm/pagemap.rst */
#define PAGEMAP_PRESENT		BIT_ULL(63)
#define PAGEMAP_PFN		((1ULL << 55) - 1)
#define KPF_BUDDY		BIT_ULL(10)
#define KPF_ANON		BIT_ULL(12)
#define KPF_PGTABLE		BIT_ULL(26)

/* What the kernel needs to go on while a hog has the rest. */
#define HOG_SPARE		(96UL << 20)
/* And who takes it step by step, and looks what is left */
#define TAKE_SPARE		(64UL << 20)
#define TAKE_STEP		(1024UL << 10)

/* The header of a swap space, as mkswap(8) writes it. */
struct swap_header {
	char bootbits[1024];
	u32 version;
	u32 last_page;
	u32 nr_badpages;
	char uuid[16];
	char label[16];
	char unused[4096 - 1024 - 12 - 32 - 10];
	char magic[10];
};

static_assert(sizeof(struct swap_header) == 4096, "one page");

#define must(expr) ({							\
	__auto_type __ret = (expr);					\
	if (__ret < 0)							\
		ksft_exit_fail_msg("%s: %s\n", #expr, strerror(errno));	\
	__ret;								\
})

static void read_pagemap(const void *addr, size_t nr_pages, u64 *entries)
{
	size_t size = nr_pages * sizeof(*entries);
	off_t pos = (uintptr_t)addr / getpagesize() * sizeof(*entries);
	int fd = must(open("/proc/self/pagemap", O_RDONLY));

	for (size_t done = 0; done < size; ) {
		ssize_t n = must(pread(fd, (char *)entries + done, size - done,
				       pos + done));

		if (!n)
			ksft_exit_fail_msg("pagemap ends early\n");
		done += n;
	}
	close(fd);
}

void physmem_pfns(const void *addr, size_t nr_pages, u64 *pfns)
{
	read_pagemap(addr, nr_pages, pfns);

	for (size_t i = 0; i < nr_pages; i++) {
		if (!(pfns[i] & PAGEMAP_PRESENT)) {
			pfns[i] = PHYSMEM_NO_PFN;
			continue;
		}
		pfns[i] &= PAGEMAP_PFN;
		if (!pfns[i])
			ksft_exit_fail_msg("pagemap hides the page frames\n");
	}
}

/*
 * Free, or given out again: who takes the rest needs hundreds of page tables,
 * and the arrays that describe it may lie in a huge page of their own.
 */
static size_t count_unowned(const u64 *pfns, size_t nr)
{
	int fd = must(open("/proc/kpageflags", O_RDONLY));
	size_t nr_unowned = 0;

	for (size_t i = 0; i < nr; i++) {
		u64 flags;

		if (pread(fd, &flags, sizeof(flags), pfns[i] * sizeof(flags)) !=
		    sizeof(flags))
			ksft_exit_fail_msg("no flags of frame %llx\n",
					   (unsigned long long)pfns[i]);
		nr_unowned += !!(flags & (KPF_BUDDY | KPF_ANON | KPF_PGTABLE));
	}
	close(fd);

	return nr_unowned;
}

static int compare(const void *a, const void *b)
{
	u64 x = *(const u64 *)a, y = *(const u64 *)b;

	return x < y ? -1 : x > y;
}

size_t physmem_info(const char *name)
{
	FILE *f = fopen("/proc/meminfo", "r");
	size_t len = strlen(name), kib = 0;
	char line[128];

	if (!f)
		ksft_exit_fail_msg("/proc/meminfo: %s\n", strerror(errno));
	while (fgets(line, sizeof(line), f))
		if (!strncmp(line, name, len) &&
		    sscanf(line + len, ": %zu kB", &kib) == 1)
			break;
	fclose(f);

	return kib << 10;
}

/* Until the kernel is short of it: what a process can have is an estimate. */
void physmem_take(u64 value)
{
	size_t all = physmem_info("MemTotal"), taken = 0, i;
	u64 *mem;

	/* Pages as small as those that somebody has just given back. */
	mem = mmap(NULL, all, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (mem == MAP_FAILED || madvise(mem, all, MADV_NOHUGEPAGE))
		ksft_exit_fail_msg("no room for %zu bytes\n", all);
	while (taken + TAKE_STEP <= all && physmem_info("MemFree") > TAKE_SPARE) {
		for (i = 0; i < TAKE_STEP / sizeof(value); i++)
			mem[taken / sizeof(value) + i] = value;
		taken += TAKE_STEP;
	}
	ksft_print_msg("took %zu MiB\n", taken >> 20);
}

size_t physmem_hog(const u64 *pfns, size_t nr)
{
	size_t page = getpagesize(), size = physmem_info("MemAvailable");
	size_t nr_hog, nr_rest = 0, nr_unowned;
	u64 *hog, *rest;
	char *mem;

	if (size <= HOG_SPARE)
		ksft_exit_fail_msg("only %zu bytes available\n", size);
	size = (size - HOG_SPARE) / page * page;
	nr_hog = size / page;

	mem = mmap(NULL, size, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	hog = calloc(nr_hog, sizeof(*hog));
	rest = calloc(nr, sizeof(*rest));
	if (mem == MAP_FAILED || !hog || !rest)
		ksft_exit_fail_msg("no memory to hog %zu bytes\n", size);

	for (size_t i = 0; i < nr_hog; i++)
		mem[i * page] = 1;
	physmem_pfns(mem, nr_hog, hog);
	qsort(hog, nr_hog, sizeof(*hog), compare);

	for (size_t i = 0; i < nr; i++)
		if (!bsearch(&pfns[i], hog, nr_hog, sizeof(*hog), compare))
			rest[nr_rest++] = pfns[i];
	nr_unowned = count_unowned(rest, nr_rest);

	ksft_print_msg("took %zu MiB: %zu of %zu frames among it, %zu free or reused\n",
		       size >> 20, nr - nr_rest, nr, nr_unowned);
	free(rest);
	free(hog);
	munmap(mem, size);

	return nr - nr_rest + nr_unowned;
}

u64 physmem_vmstat(const char *name)
{
	unsigned long long value;
	char key[128];
	FILE *f;

	/* Each CPU adds to the counters in its own time otherwise. */
	if (physmem_write("/proc/sys/vm/stat_refresh", "1"))
		ksft_exit_fail_msg("cannot refresh the counters\n");

	f = fopen("/proc/vmstat", "r");
	if (!f)
		ksft_exit_fail_msg("/proc/vmstat: %s\n", strerror(errno));
	while (fscanf(f, "%127s %llu", key, &value) == 2) {
		if (!strcmp(key, name)) {
			fclose(f);
			return value;
		}
	}
	ksft_exit_fail_msg("/proc/vmstat has no %s\n", name);
}

int physmem_swapon(const char *device)
{
	struct swap_header header = { .version = 1 };
	int fd = open(device, O_RDWR);
	u64 bytes;

	if (fd < 0)
		return -errno;
	if (ioctl(fd, BLKGETSIZE64, &bytes)) {
		close(fd);
		return -errno;
	}

	header.last_page = bytes / sizeof(header) - 1;
	memcpy(header.magic, "SWAPSPACE2", sizeof(header.magic));
	if (pwrite(fd, &header, sizeof(header), 0) != sizeof(header) || fsync(fd)) {
		close(fd);
		return -EIO;
	}
	close(fd);

	return swapon(device, 0) ? -errno : 0;
}

int physmem_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY), err = 0;
	ssize_t len = strlen(text);

	if (fd < 0)
		return -errno;
	if (write(fd, text, len) != len)
		err = -errno;
	close(fd);

	return err;
}
