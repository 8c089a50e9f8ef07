#include "telemd/server.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "proc/stats.h"
#include "telemd/http.h"
#include "telemd/openmetrics.h"

enum conn_state { CONN_FREE, CONN_READING, CONN_WRITING, CONN_LINGERING };

struct conn {
	struct server	*server;
	enum conn_state	 state;
	int		 fd;
	struct event	*readable, *writable;
	uint64_t	 deadline_ns;	/* of the state, not of the next byte */
	bool		 whole;		/* the request was read to its end: nothing has to be waited for */
	size_t		 len;
	char		 request[HTTP_REQUEST_MAX];
	struct evbuffer	*response;
};

struct listener {
	int		 fd;
	struct event	*event;
};

struct server {
	struct event_base *base;
	int		(*content)(struct evbuffer *, void *);
	void		*arg;
	struct listener	 listeners[SERVER_SOCKETS_MAX];
	size_t		 nlisteners;
	struct conn	 conns[SERVER_CONNS_MAX];
	size_t		 nconns;
	struct event	*sweep;		/* each second while there are connections */
};

size_t
server_conns(const struct server *s)
{
	return s->nconns;
}

static void
conn_close(struct conn *c)
{
	struct server *s = c->server;

	if (c->readable != NULL)
		event_free(c->readable);
	if (c->writable != NULL)
		event_free(c->writable);
	if (c->response != NULL)
		evbuffer_free(c->response);
	close(c->fd);
	memset(c, 0, sizeof(*c));
	s->nconns--;
	STAT_SET(TELEMD_CONNS, s->nconns);
}

static void
conn_enter(struct conn *c, enum conn_state state, unsigned seconds)
{
	c->state = state;
	c->deadline_ns = clock_ns() + seconds * NS_PER_SEC;
}

/*
 * Closing while the other side still sends would make the kernel answer with a reset, which can overtake the
 * answer: so the end of ours is said, and theirs is read for a while and thrown away.
 */
static void
conn_finish(struct conn *c)
{
	if (c->whole || shutdown(c->fd, SHUT_WR) == -1) {
		conn_close(c);
		return;
	}
	event_del(c->writable);
	conn_enter(c, CONN_LINGERING, SERVER_LINGER_S);
	if (event_add(c->readable, NULL) == -1)
		conn_close(c);
}

static void
on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct conn *c = arg;
	int n = evbuffer_write(c->response, fd);

	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n == -1)
		conn_close(c);
	else if (evbuffer_get_length(c->response) == 0)
		conn_finish(c);
}

static int
write_head(struct evbuffer *out, int status, const char *type, size_t len)
{
	return evbuffer_add_printf(out,
	    "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n%sX-Content-Type-Options: nosniff\r\n"
	    "Connection: close\r\n\r\n", status, http_reason(status), type, len,
	    status == HTTP_METHOD_NOT_ALLOWED ? "Allow: GET\r\n" : "");
}

static int
make_response(struct conn *c, int status)
{
	struct evbuffer *body = evbuffer_new();
	int rv;

	if (body == NULL)
		return -1;
	if (status == HTTP_OK)
		rv = c->server->content(body, c->server->arg);
	else
		rv = evbuffer_add_printf(body, "%d %s\n", status, http_reason(status));
	if (rv >= 0)
		rv = write_head(c->response, status, status == HTTP_OK ? OPENMETRICS_TYPE : "text/plain; charset=utf-8",
		    evbuffer_get_length(body));
	if (rv >= 0)
		rv = evbuffer_add_buffer(c->response, body);
	evbuffer_free(body);
	return rv < 0 ? -1 : 0;
}

static void
count_answer(int status)
{
	if (status == HTTP_OK)
		STAT_INC(TELEMD_SCRAPES);
	else
		STAT_INC(TELEMD_SCRAPES_REFUSED);
}

static void
answer(struct conn *c, int status)
{
	event_del(c->readable);
	/* These are said of a request that was read whole. */
	c->whole = status == HTTP_OK || status == HTTP_NOT_FOUND || status == HTTP_METHOD_NOT_ALLOWED;
	count_answer(status);
	conn_enter(c, CONN_WRITING, SERVER_RESPONSE_S);
	if (make_response(c, status) == -1 || event_add(c->writable, NULL) == -1) {
		conn_close(c);
		return;
	}
	on_writable(c->fd, EV_WRITE, c);
}

static void
discard(struct conn *c)
{
	ssize_t n = read(c->fd, c->request, sizeof(c->request));

	if (n == 0 || (n == -1 && errno != EAGAIN && errno != EINTR))
		conn_close(c);
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct conn *c = arg;
	ssize_t n;
	int status;

	if (c->state == CONN_LINGERING) {
		discard(c);
		return;
	}
	n = read(fd, c->request + c->len, sizeof(c->request) - c->len);
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		conn_close(c);
		return;
	}
	c->len += (size_t)n;
	status = http_request(c->request, c->len);
	if (status != HTTP_MORE)
		answer(c, status);
}

/*
 * With all places taken, the connection that has had the most time to finish its request makes room: who sends a
 * request at once always gets in, however many others dawdle.
 */
static struct conn *
evict(struct server *s)
{
	struct conn *oldest = NULL;

	for (size_t i = 0; i < SERVER_CONNS_MAX; i++) {
		struct conn *c = &s->conns[i];

		if (c->state != CONN_WRITING && (oldest == NULL || c->deadline_ns < oldest->deadline_ns))
			oldest = c;
	}
	if (oldest != NULL) {
		conn_close(oldest);
		STAT_INC(TELEMD_CONNS_EVICTED);
	}
	return oldest;
}

static struct conn *
place(struct server *s)
{
	for (size_t i = 0; i < SERVER_CONNS_MAX; i++)
		if (s->conns[i].state == CONN_FREE)
			return &s->conns[i];
	return evict(s);
}

static void
start_sweep(struct server *s)
{
	struct timeval tv = { .tv_sec = 1 };

	if (!event_pending(s->sweep, EV_TIMEOUT, NULL))
		event_add(s->sweep, &tv);
}

static void
conn_begin(struct server *s, int fd)
{
	struct conn *c = place(s);

	if (c == NULL) {
		STAT_INC(TELEMD_CONNS_REFUSED);
		close(fd);
		return;
	}
	c->server = s;
	c->fd = fd;
	s->nconns++;
	STAT_SET(TELEMD_CONNS, s->nconns);
	conn_enter(c, CONN_READING, SERVER_REQUEST_S);
	c->readable = event_new(s->base, fd, EV_READ | EV_PERSIST, on_readable, c);
	c->writable = event_new(s->base, fd, EV_WRITE | EV_PERSIST, on_writable, c);
	c->response = evbuffer_new();
	if (c->readable == NULL || c->writable == NULL || c->response == NULL || event_add(c->readable, NULL) == -1) {
		conn_close(c);
		return;
	}
	start_sweep(s);
}

static void
on_accept(evutil_socket_t listener, short what, void *arg)
{
	int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd != -1)
		conn_begin(arg, fd);
	else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
		log_warn("accept");
}

static void
on_sweep(evutil_socket_t fd, short what, void *arg)
{
	struct server *s = arg;
	uint64_t now = clock_ns();

	for (size_t i = 0; i < SERVER_CONNS_MAX; i++) {
		struct conn *c = &s->conns[i];

		if (c->state == CONN_FREE || c->deadline_ns > now)
			continue;
		STAT_INC(TELEMD_CONNS_TIMED_OUT);
		conn_close(c);
	}
	if (s->nconns > 0)
		start_sweep(s);
}

static void
unlisten(struct server *s)
{
	for (size_t i = 0; i < s->nlisteners; i++) {
		event_free(s->listeners[i].event);
		close(s->listeners[i].fd);
	}
	s->nlisteners = 0;
}

int
server_listen(struct server *s, const int *fds, size_t n)
{
	int rv = 0;

	unlisten(s);
	for (size_t i = 0; i < n; i++) {
		struct event *ev = event_new(s->base, fds[i], EV_READ | EV_PERSIST, on_accept, s);

		if (i >= SERVER_SOCKETS_MAX || ev == NULL || event_add(ev, NULL) == -1) {
			if (ev != NULL)
				event_free(ev);
			close(fds[i]);
			rv = -1;
			continue;
		}
		s->listeners[s->nlisteners++] = (struct listener){ fds[i], ev };
	}
	return rv;
}

struct server *
server_new(struct event_base *base, int (*content)(struct evbuffer *, void *), void *arg)
{
	struct server *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->base = base;
	s->content = content;
	s->arg = arg;
	s->sweep = evtimer_new(base, on_sweep, s);
	if (s->sweep == NULL) {
		free(s);
		return NULL;
	}
	return s;
}

void
server_free(struct server *s)
{
	if (s == NULL)
		return;
	unlisten(s);
	for (size_t i = 0; i < SERVER_CONNS_MAX; i++)
		if (s->conns[i].state != CONN_FREE)
			conn_close(&s->conns[i]);
	event_free(s->sweep);
	free(s);
}
