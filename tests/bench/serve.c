/*
 * serve: what the load tools talk to, and a proxy to reach it through.
 *
 *	serve at PORT			a connection's first byte says what it wants: e, all that it sends back;
 *					d, bytes without end; o, one byte
 *	serve proxy PORT TARGET-PORT	SOCKS5 or HTTP CONNECT, whatever is asked for: to 127.0.0.1 TARGET-PORT
 *
 * One thread, one epoll; nothing is kept beyond one buffer a direction.
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define BUF_LEN 65536
#define HEAD_MAX 1024
#define EDGES (EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET)

enum wants { WANTS_UNKNOWN, WANTS_ECHO, WANTS_DATA, WANTS_PROXY_HEAD, WANTS_PROXY };

struct conn {
	int	 fd;
	bool	 in_end;	/* nothing more comes */
	bool	 out_end;	/* and the other side has been told */
	enum wants wants;
	struct conn *to;	/* where what it reads goes: itself for an echo */
	uint8_t	*buf;		/* read, and not written yet; there only while that is so, as there may be thousands */
	size_t	 len, off;
	char	 head[HEAD_MAX];
	size_t	 head_len;
	unsigned socks;		/* steps of its handshake that are done */
	bool	 dead;
};

static int ep, target_port;
static uint8_t shared[BUF_LEN], zeros[BUF_LEN];
static struct conn *grave[4096];
static size_t ndead;

static struct conn *
conn_new(int fd, enum wants wants)
{
	struct conn *c = calloc(1, sizeof(*c));
	struct epoll_event ev = { .events = EDGES, .data.ptr = c };
	int one = 1;

	if (c == NULL)
		err(1, "memory");
	c->fd = fd;
	c->wants = wants;
	c->to = c;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) == -1)
		err(1, "epoll");
	return c;
}

/* Its memory goes after the events at hand, which may name it. */
static void
conn_end(struct conn *c)
{
	struct conn *other = c->to;

	if (c->dead)
		return;
	c->dead = true;
	close(c->fd);
	free(c->buf);
	c->buf = NULL;
	if (ndead == sizeof(grave) / sizeof(grave[0]))
		errx(1, "too many ends at once");
	grave[ndead++] = c;
	if (other != c)
		conn_end(other);
}

static void
bury(void)
{
	while (ndead > 0)
		free(grave[--ndead]);
}

/* Writes what c has read to where it goes. False: that is full, or an end. */
static bool
forward(struct conn *c)
{
	while (c->len > 0) {
		ssize_t n = write(c->to->fd, c->buf + c->off, c->len);

		if (n < 0) {
			if (errno != EAGAIN)
				conn_end(c);
			return false;
		}
		c->off += (size_t)n;
		c->len -= (size_t)n;
	}
	free(c->buf);
	c->buf = NULL;
	if (c->in_end && !c->out_end) {
		c->out_end = true;
		shutdown(c->to->fd, SHUT_WR);
		if (c->to == c || c->to->out_end)
			conn_end(c);
		return false;
	}
	return true;
}

/* Reads and writes until one of the two has no more, or until it is another's turn. */
static void
pump(struct conn *c)
{
	struct epoll_event ev = { .events = EDGES, .data.ptr = c };
	unsigned rounds = 0;

	while (!c->dead && forward(c)) {
		if (++rounds > 16) {	/* and this makes its event come again */
			epoll_ctl(ep, EPOLL_CTL_MOD, c->fd, &ev);
			return;
		}
		ssize_t n = read(c->fd, shared, sizeof(shared));

		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0) {
			conn_end(c);
			return;
		}
		if (n == 0) {
			c->in_end = true;
			continue;
		}
		if ((c->buf = malloc((size_t)n)) == NULL)
			err(1, "memory");
		memcpy(c->buf, shared, (size_t)n);
		c->off = 0;
		c->len = (size_t)n;
	}
}

/* Only a few: the others get their turn, as its event comes again while there is room. */
static void
pour(struct conn *c)
{
	ssize_t n = 1;

	for (int i = 0; i < 4 && n > 0; i++)
		n = write(c->fd, zeros, sizeof(zeros));
	if (n < 0 && errno != EAGAIN)
		conn_end(c);
}

static int
tcp_socket(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd == -1)
		err(1, "socket");
	return fd;
}

static struct sockaddr_in
local(int port)
{
	return (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons((uint16_t)port),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

static void
say(struct conn *c, const void *p, size_t len)
{
	if (write(c->fd, p, len) != (ssize_t)len)
		conn_end(c);
}

static void
proxy_open(struct conn *c, const void *answer, size_t len)
{
	struct sockaddr_in sin = local(target_port);
	int fd = tcp_socket();

	if (connect(fd, (struct sockaddr *)&sin, sizeof(sin)) == -1 && errno != EINPROGRESS) {
		close(fd);
		conn_end(c);
		return;
	}
	c->to = conn_new(fd, WANTS_PROXY);
	c->to->to = c;
	c->wants = WANTS_PROXY;
	say(c, answer, len);
}

/* The client says everything step by step, and nothing ahead. */
static void
proxy_head(struct conn *c)
{
	static const char ok[] = "HTTP/1.1 200 OK\r\n\r\n", chosen[] = { 5, 0 }, done[] = { 5, 0, 0, 1, 127, 0, 0, 1, 0, 0 };
	ssize_t n = read(c->fd, c->head + c->head_len, sizeof(c->head) - c->head_len);

	if (n <= 0) {
		if (n == 0 || errno != EAGAIN)
			conn_end(c);
		return;
	}
	c->head_len += (size_t)n;
	if (c->head[0] == 5 && c->socks == 0 && c->head_len >= 3) {
		c->socks = 1;
		c->head_len = 0;
		say(c, chosen, sizeof(chosen));
	} else if (c->socks == 1 && c->head_len >= 7 && c->head_len >= 7 + (size_t)(uint8_t)c->head[4]) {
		proxy_open(c, done, sizeof(done));
	} else if (c->head[0] == 'C' && memmem(c->head, c->head_len, "\r\n\r\n", 4) != NULL) {
		proxy_open(c, ok, sizeof(ok) - 1);
	} else if (c->head_len == sizeof(c->head)) {
		conn_end(c);
	}
}

static void
first_byte(struct conn *c)
{
	struct epoll_event ev = { .events = EPOLLOUT, .data.ptr = c };
	char what;
	ssize_t n = read(c->fd, &what, 1);

	if (n <= 0) {
		if (n == 0 || errno != EAGAIN)
			conn_end(c);
		return;
	}
	if (what == 'o')
		say(c, "o", 1);
	c->wants = what == 'd' ? WANTS_DATA : WANTS_ECHO;
	if (what == 'd' && !c->dead)
		epoll_ctl(ep, EPOLL_CTL_MOD, c->fd, &ev);
}

static void
conn_event(struct conn *c)
{
	if (c->dead)
		return;
	if (c->wants == WANTS_UNKNOWN)
		first_byte(c);
	if (c->wants == WANTS_PROXY_HEAD)
		proxy_head(c);
	if (c->dead)
		return;
	if (c->wants == WANTS_DATA)
		pour(c);
	else if (c->wants == WANTS_ECHO)
		pump(c);
	else if (c->wants == WANTS_PROXY) {
		pump(c);
		if (!c->dead)
			pump(c->to);
	}
}

static int
listen_at(int port)
{
	struct sockaddr_in sin = local(port);
	int fd = tcp_socket(), one = 1;

	sin.sin_addr.s_addr = htonl(INADDR_ANY);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&sin, sizeof(sin)) == -1 || listen(fd, 4096) == -1)
		err(1, "port %d", port);
	return fd;
}

int
main(int argc, char **argv)
{
	struct epoll_event events[256], ev = { .events = EPOLLIN, .data.ptr = NULL };
	bool proxy = argc == 4 && strcmp(argv[1], "proxy") == 0;
	struct rlimit files;
	int at, fd, n;

	if (!proxy && !(argc == 3 && strcmp(argv[1], "at") == 0))
		errx(1, "usage: serve at port | serve proxy port target-port");
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	signal(SIGPIPE, SIG_IGN);
	ep = epoll_create1(EPOLL_CLOEXEC);
	at = listen_at(atoi(argv[2]));
	target_port = proxy ? atoi(argv[3]) : 0;
	epoll_ctl(ep, EPOLL_CTL_ADD, at, &ev);
	for (;;) {
		if ((n = epoll_wait(ep, events, 256, -1)) == -1 && errno != EINTR)
			err(1, "epoll");
		for (int i = 0; i < n; i++) {
			if (events[i].data.ptr != NULL)
				conn_event(events[i].data.ptr);
			else
				while ((fd = accept4(at, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) != -1)
					conn_event(conn_new(fd, proxy ? WANTS_PROXY_HEAD : WANTS_UNKNOWN));
		}
		bury();
	}
}
