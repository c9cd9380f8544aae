// SPDX-License-Identifier: GPL-2.0
/*
 * An image of kexec_load(2) is not told where the memory is that a live update
 * hands over: its kernel would use that memory for itself while devices write to
 * it. While a session holds files such a kexec must be refused, and all must be as
 * it was, so that the session can still be used.
 */

#include <errno.h>
#include <linux/kexec.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <libliveupdate.h>

#include "../../kselftest.h"

#define TOKEN	1
#define DATA	"kexec_image"
#define PAGE	4096UL
/* Memory that is there and that no firmware uses. */
#define IMAGE	0x1000000UL

static long load(unsigned long nr_segments, struct kexec_segment *segment)
{
	return syscall(__NR_kexec_load, IMAGE, nr_segments, segment,
		       KEXEC_ARCH_DEFAULT);
}

/* If it is entered after all, it resets the machine. */
static long load_image(void)
{
	static uint8_t code[PAGE] = {
		0x66, 0xba, 0xf9, 0x0c,	/* mov $0xcf9, %dx */
		0xb0, 0x06,		/* mov $0x06, %al */
		0xee,			/* out %al, (%dx) */
		0xeb, 0xfe,		/* jmp . */
	};
	struct kexec_segment segment = {
		.buf = code,
		.bufsz = sizeof(code),
		.mem = (void *)IMAGE,
		.memsz = sizeof(code),
	};

	return load(1, &segment);
}

/* The errno of a kexec, which does not return if there is none. */
static int try_kexec(void)
{
	return reboot(RB_KEXEC) ? errno : 0;
}

static void expect(bool ok, const char *what)
{
	ksft_test_result(ok, "%s\n", what);
	if (!ok)
		ksft_finished();
}

int main(void)
{
	int luo, session, memfd;
	void *mem;

	ksft_print_header();
	ksft_set_plan(5);

	luo = luo_open_device();
	if (luo < 0)
		fail_exit("luo_open_device");
	session = luo_create_session(luo, "kexec-image");
	if (session < 0)
		fail_exit("luo_create_session");

	memfd = memfd_create("kexec_image", 0);
	if (memfd < 0 || ftruncate(memfd, PAGE))
		fail_exit("memfd_create");
	mem = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
	if (mem == MAP_FAILED)
		fail_exit("mmap");
	strcpy(mem, DATA);
	if (luo_session_preserve_fd(session, memfd, TOKEN))
		fail_exit("luo_session_preserve_fd");

	expect(!load_image(), "an image of kexec_load(2) is loaded");
	expect(try_kexec() == EINVAL, "it gets nothing handed over");
	expect(try_kexec() == EINVAL, "nor does it the second time");
	expect(!strcmp(mem, DATA), "the memory is as it was");

	/* Frozen files are refused. */
	close(memfd);
	memfd = memfd_create("kexec_image_2", 0);
	if (memfd < 0 || ftruncate(memfd, PAGE))
		fail_exit("memfd_create");
	expect(!luo_session_preserve_fd(session, memfd, TOKEN + 1),
	       "the session takes one more file");

	load(0, NULL);
	ksft_finished();
}
