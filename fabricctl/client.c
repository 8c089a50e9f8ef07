#include "fabricctl/client.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fabricd/paths.h"
#include "proc/ipc.h"

struct client {
	int		 fd;
	int		 given;		/* a descriptor that came with the message in buf; -1: none */
	uint64_t	 last_id;
	uint8_t		 buf[IPC_MSG_MAX];
	size_t		 off, len;	/* of the message in buf */
};

static int
try_socket(const char *path)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd, saved;

	if (strlen(path) >= sizeof(sun.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(sun.sun_path, path, strlen(path));
	if ((fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)) == -1)
		return -1;
	if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == 0)
		return fd;
	saved = errno;
	close(fd);
	errno = saved;
	return -1;
}

/* In a directory: root's socket, else anybody's. */
static int
try_directory(const char *dir)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, NAME_SOCKET);
	if ((fd = try_socket(path)) != -1)
		return fd;
	snprintf(path, sizeof(path), "%s/%s", dir, NAME_SOCKET_RO);
	return try_socket(path);
}

struct client *
client_open(const char *where)
{
	struct client *c = calloc(1, sizeof(*c));
	struct stat st;

	if (where == NULL)
		where = PATH_RUN;
	if (c == NULL)
		return NULL;
	c->given = -1;
	c->fd = stat(where, &st) == 0 && !S_ISDIR(st.st_mode) ? try_socket(where) : try_directory(where);
	if (c->fd != -1)
		return c;
	fprintf(stderr, "fabricctl: fabricd cannot be reached at %s: %s\n", where, strerror(errno));
	free(c);
	return NULL;
}

void
client_close(struct client *c)
{
	if (c == NULL)
		return;
	if (c->given != -1)
		close(c->given);
	close(c->fd);
	free(c);
}

static void
set_wait(struct client *c, unsigned wait_s)
{
	struct timeval tv = { (time_t)wait_s, 0 };

	setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
}

static int
broken(const char *why)
{
	fprintf(stderr, "fabricctl: fabricd: %s\n", why);
	return -1;
}

/* One message, with the descriptor that it may bring. */
static ssize_t
next_message(struct client *c)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = { c->buf, sizeof(c->buf) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
	    .msg_controllen = sizeof(control) };
	const struct cmsghdr *cm;
	ssize_t n;

	do {
		n = recvmsg(c->fd, &msg, MSG_CMSG_CLOEXEC);
	} while (n == -1 && errno == EINTR);
	if (n == -1)
		return -1;
	if (c->given != -1)
		close(c->given);
	c->given = -1;
	cm = CMSG_FIRSTHDR(&msg);
	if (cm != NULL && cm->cmsg_level == SOL_SOCKET && cm->cmsg_type == SCM_RIGHTS &&
	    cm->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(&c->given, CMSG_DATA(cm), sizeof(int));
	return n;
}

/* The next frame of the answer: 0, or -1 (said). It points into c->buf. */
static int
next_frame(struct client *c, struct procmsg *m)
{
	static const struct frame_limits limits = { FRAME_PORT_PROC, FRAME_MAX_CEILING };
	struct frame f;
	ssize_t n;

	if (c->off == c->len) {
		n = next_message(c);
		if (n <= 0)
			return broken(n == 0 ? "closed the connection" : errno == EAGAIN ? "no answer" : strerror(errno));
		c->off = 0;
		c->len = (size_t)n;
	}
	if (frame_decode(&f, c->buf + c->off, c->len - c->off, &limits) != FRAME_OK || procmsg_decode(m, &f) < 0)
		return broken("an answer that cannot be read");
	c->off += f.raw.len;
	return 0;
}

static int
send_request(struct client *c, const char *command, const char *argument, uint64_t count)
{
	struct procmsg m = { .type = PM_REQUEST };
	uint8_t buf[1024];
	size_t len;

	m.request.id = ++c->last_id;
	m.request.count = count;
	snprintf(m.request.command, sizeof(m.request.command), "%s", command);
	if (argument != NULL)
		snprintf(m.request.argument, sizeof(m.request.argument), "%s", argument);
	if ((len = procmsg_encode(buf, sizeof(buf), &m)) == 0)
		return broken("the request has a character that it may not have");
	if (send(c->fd, buf, len, MSG_NOSIGNAL) == -1)
		return broken(strerror(errno));
	return 0;
}

int
client_request(struct client *c, const char *command, const char *argument, uint64_t count, unsigned wait_s,
    void (*row)(const struct frame_bytes *, void *), void *arg, char text[PM_TEXT_MAX + 1])
{
	struct procmsg m;

	text[0] = '\0';
	set_wait(c, wait_s);
	if (send_request(c, command, argument, count) == -1)
		return -1;
	for (;;) {
		if (next_frame(c, &m) == -1)
			return -1;
		if (m.type == PM_ROW && m.row.id == c->last_id) {
			row(&m.row.row, arg);
		} else if (m.type == PM_DONE && m.done.id == c->last_id) {
			strcpy(text, m.done.text);
			return m.done.status;
		}
	}
}

int
client_connect(struct client *c, const char *target, unsigned wait_s, int *fd, char text[PM_TEXT_MAX + 1])
{
	struct procmsg m;

	text[0] = '\0';
	set_wait(c, wait_s);
	if (send_request(c, "connect", target, 0) == -1)
		return -1;
	for (;;) {
		if (next_frame(c, &m) == -1)
			return -1;
		if (m.type == PM_DONE && m.done.id == c->last_id) {
			strcpy(text, m.done.text);
			return m.done.status == CONNECT_OK ? CONNECT_FAILED : m.done.status;
		}
		if (m.type == PM_LOCAL && m.local.id == c->last_id && c->given != -1) {
			*fd = c->given;
			c->given = -1;
			return 0;
		}
	}
}

int
client_fd(const struct client *c)
{
	return c->fd;
}

int
client_end(struct client *c, char text[PM_TEXT_MAX + 1])
{
	struct procmsg m;

	text[0] = '\0';
	set_wait(c, 0);
	do {
		if (next_frame(c, &m) == -1)
			return -1;
	} while (m.type != PM_DONE || m.done.id != c->last_id);
	strcpy(text, m.done.text);
	return m.done.status;
}

bool
client_wait_end(struct client *c, unsigned wait_s)
{
	ssize_t n;

	set_wait(c, wait_s);
	while ((n = recv(c->fd, c->buf, sizeof(c->buf), 0)) > 0)
		;
	return n == 0 || errno == ECONNRESET;
}
