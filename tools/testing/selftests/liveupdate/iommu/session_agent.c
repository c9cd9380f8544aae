// SPDX-License-Identifier: GPL-2.0
/*
 * Plays the agent of a machine: the one process that owns the sessions of all
 * VMMs, so that these can come and go. A VMM asks with a word and a name, and gets
 * a descriptor.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <libliveupdate.h>
#include <libvmlu.h>

#include "session_agent.h"

#define SOCKET	"/tmp/session-agent"

struct request {
	enum { CREATE, RETRIEVE, KEXEC } what;
	char name[LIVEUPDATE_SESSION_NAME_LENGTH];
};

static pid_t agent;

static const struct sockaddr_un address = {
	.sun_family = AF_UNIX,
	.sun_path = SOCKET,
};

/* The descriptor stays open here for as long as the agent lives. */
static int open_session(int luo_fd, const struct request *request)
{
	switch (request->what) {
	case CREATE:
		return luo_create_session(luo_fd, request->name);
	case RETRIEVE:
		return luo_retrieve_session(luo_fd, request->name);
	case KEXEC:
		reboot(RB_KEXEC);
		return -errno;
	}
	return -EINVAL;
}

static void serve(int luo_fd, int client)
{
	struct request request;
	int session;

	if (recv(client, &request, sizeof(request), 0) != sizeof(request))
		return;
	request.name[sizeof(request.name) - 1] = 0;
	session = open_session(luo_fd, &request);
	if (session < 0 || vmlu_send_fd(client, session))
		send(client, "", 1, MSG_NOSIGNAL);
}

static void run(int listener)
{
	int luo_fd = luo_open_device();

	if (luo_fd < 0)
		fail_exit(LUO_DEVICE);
	for (;;) {
		int client = accept(listener, NULL, NULL);

		if (client < 0)
			fail_exit("accept");
		serve(luo_fd, client);
		close(client);
	}
}

void session_agent_start(void)
{
	int listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	pid_t pid;

	unlink(SOCKET);
	if (listener < 0 ||
	    bind(listener, (const struct sockaddr *)&address,
		 sizeof(address)) || listen(listener, 4))
		fail_exit(SOCKET);
	pid = fork();
	if (pid < 0)
		fail_exit("fork");
	if (!pid)
		run(listener);
	close(listener);
	agent = pid;
}

void session_agent_kill(void)
{
	if (kill(agent, SIGKILL) || waitpid(agent, NULL, 0) != agent)
		fail_exit("kill of the agent");
}

static int ask(int what, const char *name)
{
	struct request request = { .what = what };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	int answer;

	if (fd < 0)
		return -errno;
	snprintf(request.name, sizeof(request.name), "%s", name);
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) ||
	    send(fd, &request, sizeof(request), MSG_NOSIGNAL) < 0)
		answer = -errno;
	else
		answer = vmlu_receive_fd(fd);
	close(fd);
	return answer;
}

int session_agent_create(const char *name)
{
	return ask(CREATE, name);
}

int session_agent_retrieve(const char *name)
{
	return ask(RETRIEVE, name);
}

int session_agent_kexec(void)
{
	return ask(KEXEC, "");
}
