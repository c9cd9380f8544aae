// SPDX-License-Identifier: GPL-2.0-only
/*
 * The records of an iommufd over a kexec.
 *
 * The mock IOMMU is not there when the next kernel has started, and this test,
 * other than iommufd_adopt, does not have it adopted. So no IOMMU driver has
 * asked for the page tables, and the IOMMU core has to say that they are not
 * there. That error is none of those that iommufd has for records that are not
 * right: they were. What is tested here is what is left then: the error lasts,
 * the sessions can be finished, retrieved or not, and another live update can be
 * prepared, because nothing of the last one is left.
 */
#include "iommufd_kexec.h"

#define STATE_SESSION	"iommufd_kexec-state"
#define TOKEN_STATE	999

enum {
	TOKEN_MEMFD = 1,
	TOKEN_IOMMUFD,
};

static const char * const sessions[] = { "iommufd_kexec-1", "iommufd_kexec-2" };

static void stage_1(int luo_fd)
{
	create_state_file(luo_fd, STATE_SESSION, TOKEN_STATE, 2);
	for (int i = 0; i < ARRAY_SIZE(sessions); i++)
		preserve_iommufd(luo_fd, sessions[i], TOKEN_MEMFD, TOKEN_IOMMUFD);
	daemonize_and_wait();
}

static void stage_2(int luo_fd, int state_session)
{
	int session[ARRAY_SIZE(sessions)], stage, rc;

	ksft_print_header();
	ksft_set_plan(6);

	restore_and_read_stage(state_session, TOKEN_STATE, &stage);
	for (int i = 0; i < ARRAY_SIZE(sessions); i++)
		session[i] = must(luo_retrieve_session(luo_fd, sessions[i]));

	/* The records are right, the IOMMU is missing. */
	rc = luo_session_retrieve_fd(session[0], TOKEN_IOMMUFD);
	ksft_test_result(rc == -ENODEV, "no IOMMU (%d)\n", rc);
	rc = luo_session_retrieve_fd(session[0], TOKEN_IOMMUFD);
	ksft_test_result(rc == -ENODEV, "asking again does not help (%d)\n",
			 rc);
	rc = luo_session_retrieve_fd(session[0], TOKEN_MEMFD);
	ksft_test_result(rc >= 0, "the memory is there (%d)\n", rc);

	rc = luo_session_finish(session[0]);
	ksft_test_result(!rc, "finish what could not be retrieved (%d)\n", rc);
	rc = luo_session_finish(session[1]);
	ksft_test_result(!rc, "finish what nobody has asked for (%d)\n", rc);

	/* Refused as long as there is something of the last live update */
	must(close(preserve_iommufd(luo_fd, sessions[0], TOKEN_MEMFD,
				    TOKEN_IOMMUFD)));
	ksft_test_result_pass("another live update can begin\n");

	must(luo_session_finish(state_session));
	ksft_finished();
}

int main(int argc, char *argv[])
{
	return luo_test(argc, argv, STATE_SESSION, stage_1, stage_2);
}
