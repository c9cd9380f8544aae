/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The memory of a process that is mapped, for those tests of iommufds in LUO
 * sessions that do not have that of iommufd_liveupdate.h.
 */
#ifndef __SELFTEST_IOMMUFD_SESSION_BUFFER
#define __SELFTEST_IOMMUFD_SESSION_BUFFER

#include "iommufd_session.h"

static __attribute__((constructor)) void setup_sizes(void)
{
	PAGE_SIZE = sysconf(_SC_PAGE_SIZE);
	BUFFER_SIZE = MAP_SIZE;
	buffer = mmap(0, BUFFER_SIZE, PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert(buffer != MAP_FAILED);
}

#endif
