/* SPDX-License-Identifier: GPL-2.0 */
#ifndef SELFTESTS_LIVEUPDATE_IOMMU_SESSION_AGENT_H
#define SELFTESTS_LIVEUPDATE_IOMMU_SESSION_AGENT_H

/*
 * The process that has /dev/liveupdate open, which only one can, and owns all
 * sessions: of each one that it hands out it keeps a descriptor. It serves a Unix
 * socket.
 */

/* Start an agent; returns when it can be talked to. Failure ends the program. */
void session_agent_start(void);

/*
 * For its clients. Each returns a descriptor of the session or -errno, -ENOMSG
 * if the agent has refused.
 */
int session_agent_create(const char *name);
int session_agent_retrieve(const char *name);

/* Let the agent replace the kernel; -errno or does not return. */
int session_agent_kexec(void);

/* End it, and with it the sessions that nobody else has. */
void session_agent_kill(void);

#endif /* SELFTESTS_LIVEUPDATE_IOMMU_SESSION_AGENT_H */
