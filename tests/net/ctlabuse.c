/*
 * A hostile client of fabricd's control sockets, for tests/net/supervisor.sh.
 *
 *	ctlabuse SOCKET garbage|data|control|cut|huge|descriptor	exit 0: the connection was closed for it
 *	ctlabuse SOCKET flood		many requests at once: exit 0 when the connection ends or all are answered
 *	ctlabuse SOCKET deaf		requests without reading: exit 0 when the connection is closed
 *	ctlabuse SOCKET crowd N		N connections that stay for a second: prints how many live
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "proc/ipc.h"
#include "proc/procmsg.h"

static int
dial(const char *path)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);

	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", path);
	if (fd == -1 || connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == -1) {
		perror(path);
		exit(2);
	}
	return fd;
}

static size_t
request(uint8_t *buf, size_t size, const char *command)
{
	struct procmsg m = { .type = PM_REQUEST, .request = { .id = 1 } };

	snprintf(m.request.command, sizeof(m.request.command), "%s", command);
	return procmsg_encode(buf, size, &m);
}

/* Whether the other side ends the connection within five seconds. */
static int
closed(int fd)
{
	static char buf[IPC_MSG_MAX];
	struct pollfd p = { .fd = fd, .events = POLLIN };
	ssize_t n;

	while (poll(&p, 1, 5000) == 1)
		if ((n = recv(fd, buf, sizeof(buf), 0)) <= 0)
			return 0;
	fprintf(stderr, "still open\n");
	return 1;
}

static void
put(int fd, const void *p, size_t len)
{
	if (send(fd, p, len, MSG_NOSIGNAL) == -1)
		perror("send");
}

static void
put_descriptor(int fd)
{
	union { struct cmsghdr hdr; char buf[CMSG_SPACE(sizeof(int))]; } control;
	uint8_t buf[256];
	struct iovec iov = { buf, request(buf, sizeof(buf), "workers") };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };

	memset(&control, 0, sizeof(control));
	control.hdr.cmsg_level = SOL_SOCKET;
	control.hdr.cmsg_type = SCM_RIGHTS;
	control.hdr.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&control.hdr), &fd, sizeof(fd));
	sendmsg(fd, &mh, MSG_NOSIGNAL);
}

static int
one(int fd, const char *what)
{
	static uint8_t buf[IPC_MSG_MAX];
	const struct procmsg ready = { .type = PM_READY, .ready = { 1, 1 } };

	if (strcmp(what, "garbage") == 0)
		put(fd, "\xff\xff\xff\xff\xff\xff\xff\xff", 8);
	else if (strcmp(what, "data") == 0)
		put(fd, "\x09\x06\x01\x00\x00\x00\x00\x41", 8);
	else if (strcmp(what, "control") == 0)
		put(fd, buf, procmsg_encode(buf, sizeof(buf), &ready));
	else if (strcmp(what, "cut") == 0)
		put(fd, buf, request(buf, sizeof(buf), "workers") - 1);
	else if (strcmp(what, "huge") == 0)
		put(fd, buf, sizeof(buf));
	else if (strcmp(what, "descriptor") == 0)
		put_descriptor(fd);
	else
		return 2;
	return closed(fd);
}

static int
flood(int fd, bool read_too)
{
	uint8_t buf[256];
	size_t len = request(buf, sizeof(buf), "config");

	for (unsigned i = 0; i < 20000; i++) {
		if (send(fd, buf, len, MSG_NOSIGNAL | MSG_DONTWAIT) == -1 && errno != EAGAIN)
			return 0;
		if (read_too)
			continue;
		usleep(100);
	}
	return read_too ? 0 : closed(fd);
}

static int
crowd(const char *path, int n)
{
	int *fds = calloc((size_t)n, sizeof(int)), live = 0;
	struct pollfd p = { .events = POLLIN };

	for (int i = 0; i < n; i++)
		fds[i] = dial(path);
	sleep(1);
	for (int i = 0; i < n; i++) {
		p.fd = fds[i];
		live += poll(&p, 1, 0) == 0;
	}
	printf("%d\n", live);
	free(fds);
	return 0;
}

int
main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	if (strcmp(argv[2], "crowd") == 0)
		return argc == 4 ? crowd(argv[1], atoi(argv[3])) : 2;
	if (strcmp(argv[2], "flood") == 0)
		return flood(dial(argv[1]), true);
	if (strcmp(argv[2], "deaf") == 0)
		return flood(dial(argv[1]), false);
	return one(dial(argv[1]), argv[2]);
}
