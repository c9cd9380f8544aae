// SPDX-License-Identifier: GPL-2.0-only
/*
 * iommufd as a module, which can be unloaded whenever no live update needs it:
 * when nothing is preserved, after a session was closed in place of the kexec,
 * and in the next kernel from the moment that the session is finished. As long
 * as there is a preserved file it stays, although nobody has it open.
 *
 * If something of it stayed registered, it could not be loaded a second time,
 * and LUO would look at what is gone when any other file is preserved.
 */
#include <stdio.h>
#include <sys/syscall.h>

#include "iommufd_kexec.h"

#define STATE_SESSION	"iommufd_module-state"
#define SESSION		"iommufd_module"
#define MODULE		"/tests/iommufd.ko"
#define TOKEN_STATE	999

enum {
	TOKEN_MEMFD = 1,
	TOKEN_IOMMUFD,
};

static int load(void)
{
	int fd = must(open(MODULE, O_RDONLY | O_CLOEXEC));
	int rc = err(syscall(__NR_finit_module, fd, "", 0));

	must(close(fd));
	return rc;
}

static int unload(void)
{
	return err(syscall(__NR_delete_module, "iommufd", O_NONBLOCK));
}

/* LUO asks all that are registered whose file this is. */
static void preserve_memory(int luo_fd)
{
	int session = must(luo_create_session(luo_fd, "memory"));
	int memfd = create_memfd(4096);

	must(luo_session_preserve_fd(session, memfd, TOKEN_MEMFD));
	must(close(session));
	must(close(memfd));
}

static int preserve(int luo_fd)
{
	return preserve_iommufd(luo_fd, SESSION, TOKEN_MEMFD, TOKEN_IOMMUFD);
}

static void expect(const char *what, int rc, int expected)
{
	if (rc != expected)
		fail_exit("%s: %d, not %d", what, rc, expected);
}

static void stage_1(int luo_fd)
{
	create_state_file(luo_fd, STATE_SESSION, TOKEN_STATE, 2);
	for (int i = 0; i < 2; i++) {
		int session;

		expect("load", load(), 0);
		expect("load twice", load(), -EEXIST);
		expect("unload", unload(), 0);
		preserve_memory(luo_fd);

		expect("load again", load(), 0);
		session = preserve(luo_fd);
		expect("unload with a preserved file", unload(), -EAGAIN);
		must(close(session));
		expect("unload after the session", unload(), 0);
		preserve_memory(luo_fd);
	}
	expect("load", load(), 0);
	preserve(luo_fd);
	daemonize_and_wait();
}

static void stage_2(int luo_fd, int state_session)
{
	int session, stage, rc;

	ksft_print_header();
	ksft_set_plan(5);
	restore_and_read_stage(state_session, TOKEN_STATE, &stage);
	session = must(luo_retrieve_session(luo_fd, SESSION));

	rc = unload();
	ksft_test_result(rc == -EAGAIN, "a file that came over holds it (%d)\n",
			 rc);
	rc = luo_session_finish(session);
	ksft_test_result(!rc, "finish (%d)\n", rc);
	must(close(session));
	rc = unload();
	ksft_test_result(!rc, "nothing holds it any more (%d)\n", rc);
	preserve_memory(luo_fd);
	rc = load();
	ksft_test_result(!rc, "load it again (%d)\n", rc);
	must(close(preserve(luo_fd)));
	rc = unload();
	ksft_test_result(!rc, "unload after another live update (%d)\n", rc);

	must(luo_session_finish(state_session));
	ksft_finished();
}

int main(int argc, char *argv[])
{
	/* LUO looks for those that know the files that came over only once. */
	if (argc == 3 && !strcmp(argv[2], "2") && load())
		fail_exit("load");
	return luo_test(argc, argv, STATE_SESSION, stage_1, stage_2);
}
