/*
 * Bytes from stdin to the socket, and from the socket to stdout; each direction ends by itself. How it all ended comes on
 * the connection to fabricd.
 */
#include "fabricctl/connect.h"

#include <sys/socket.h>
#include <sys/stat.h>

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fabricctl/client.h"

#define WAIT_S	20
#define BUFFER	65536

/* One direction. */
struct flow {
	int	from, to;	/* -1: closed */
	bool	eof;		/* nothing more comes */
	bool	ended;		/* and all that came is out, and the reader knows */
	size_t	off, len, most;	/* `most': bytes of one write that cannot block once poll(2) says that it can be written */
	uint8_t	buf[BUFFER];
};

struct joint {
	struct client	*client;
	const char	*target;
	int		 sock;
	struct flow	 out;	/* stdin to the service */
	struct flow	 in;	/* the service to stdout */
	int		 status;	/* -1: not told yet */
	char		 text[PM_TEXT_MAX + 1];
};

/* A pipe that can be written takes PIPE_BUF bytes at least; nothing is promised of more. */
static size_t
most_of(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode) ? PIPE_BUF : BUFFER;
}

/* Descriptors of ours are not made non-blocking: others, the shell, may have them too. */
static ssize_t
put(int fd, const uint8_t *p, size_t n)
{
	ssize_t w = send(fd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL);

	return w == -1 && errno == ENOTSOCK ? write(fd, p, n) : w;
}

static bool
try_again(void)
{
	return errno == EAGAIN || errno == EINTR;
}

/* 0, or -1 when this direction broke. */
static int
flow_read(struct flow *f)
{
	ssize_t n = read(f->from, f->buf, sizeof(f->buf));

	if (n == -1)
		return try_again() ? 0 : -1;
	f->off = 0;
	f->len = (size_t)n;
	f->eof = n == 0;
	return 0;
}

static int
flow_write(struct flow *f)
{
	size_t n = f->len < f->most ? f->len : f->most;
	ssize_t w = put(f->to, f->buf + f->off, n);

	if (w == -1)
		return try_again() ? 0 : -1;
	f->off += (size_t)w;
	f->len -= (size_t)w;
	return 0;
}

/* What is read from the service and cannot be shown is lost, and the service is to know. */
static int
stdout_broke(struct joint *j)
{
	fprintf(stderr, "fabricctl: standard output: %s\n", strerror(errno));
	j->status = CONNECT_FAILED;
	j->text[0] = '\0';
	return -1;
}

static void
out_over(struct joint *j)
{
	j->out.eof = true;
	j->out.len = 0;
}

static void
end_flows(struct joint *j)
{
	if (j->out.eof && j->out.len == 0 && !j->out.ended) {
		shutdown(j->sock, SHUT_WR);
		j->out.ended = true;
	}
	if (j->in.eof && j->in.len == 0 && !j->in.ended) {
		/* It may be the very socket that is our stdin, and then close(2) says nothing. */
		shutdown(STDOUT_FILENO, SHUT_WR);
		close(STDOUT_FILENO);
		j->in.ended = true;
	}
}

static short
wants(const struct flow *f, bool reader)
{
	if (reader)
		return f->len == 0 && !f->eof ? POLLIN : 0;
	return f->len > 0 ? POLLOUT : 0;
}

enum { P_STDIN, P_STDOUT, P_SOCK, P_CLIENT, P_COUNT };

static void
watch(const struct joint *j, struct pollfd *p)
{
	p[P_STDIN] = (struct pollfd){ .fd = STDIN_FILENO, .events = wants(&j->out, true) };
	p[P_STDOUT] = (struct pollfd){ .fd = STDOUT_FILENO, .events = wants(&j->in, false) };
	p[P_SOCK] = (struct pollfd){ .fd = j->sock, .events = wants(&j->out, false) | wants(&j->in, true) };
	p[P_CLIENT] = (struct pollfd){ .fd = client_fd(j->client), .events = POLLIN };
	/* A descriptor from which nothing is wanted would only say over and over that its other end is gone. */
	for (unsigned i = 0; i < P_COUNT; i++)
		if (p[i].events == 0)
			p[i].fd = -1;
	if (j->status != -1)
		p[P_CLIENT].fd = -1;
}

/* -1: there is no point in going on. */
static int
serve(struct joint *j, const struct pollfd *p)
{
	if (p[P_CLIENT].revents != 0) {
		j->status = client_end(j->client, j->text);
		if (j->status == -1) {
			j->status = CONNECT_RESET;
			snprintf(j->text, sizeof(j->text), "fabricd is gone");
		}
		out_over(j);
	}
	if (p[P_STDIN].revents != 0 && flow_read(&j->out) == -1)
		out_over(j);
	if (p[P_STDOUT].revents != 0 && flow_write(&j->in) == -1)
		return stdout_broke(j);
	/* A service that takes no more, or has broken off, may have left something to read. */
	if (p[P_SOCK].revents & (POLLOUT | POLLERR | POLLHUP) && j->out.len > 0 && flow_write(&j->out) == -1)
		out_over(j);
	if (p[P_SOCK].revents & (POLLIN | POLLERR | POLLHUP) && j->in.len == 0 && !j->in.eof && flow_read(&j->in) == -1)
		j->in.eof = true;
	end_flows(j);
	return 0;
}

/* Until the end was told and all that came is out. */
static void
pump(struct joint *j)
{
	struct pollfd p[P_COUNT];

	while (j->status == -1 || !j->in.ended) {
		watch(j, p);
		if (poll(p, P_COUNT, -1) == -1) {
			if (errno == EINTR)
				continue;
			break;
		}
		if (serve(j, p) == -1)
			return;
	}
}

int
cmd_connect(const char *socket, const char *target)
{
	struct joint *j = calloc(1, sizeof(*j));
	int status;

	if (j == NULL || (j->client = client_open(socket)) == NULL) {
		free(j);
		return CONNECT_UNUSABLE;
	}
	signal(SIGPIPE, SIG_IGN);
	j->status = client_connect(j->client, target, WAIT_S, &j->sock, j->text);
	if (j->status == 0) {
		j->status = -1;
		j->out = (struct flow){ .from = STDIN_FILENO, .to = j->sock, .most = BUFFER };
		j->in = (struct flow){ .from = j->sock, .to = STDOUT_FILENO, .most = most_of(STDOUT_FILENO) };
		pump(j);
		close(j->sock);
	} else if (j->status == -1) {
		j->status = CONNECT_UNUSABLE;
	}
	if (j->text[0] != '\0')
		fprintf(stderr, "fabricctl: %s: %s\n", target, j->text);
	status = j->status == -1 ? CONNECT_FAILED : j->status;
	client_close(j->client);
	free(j);
	return status;
}
