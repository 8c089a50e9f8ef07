#include "fabricd/control.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "fabricd/fabricd.h"
#include "fabricd/paths.h"
#include "fabricd/request.h"
#include "proc/row.h"

#define SEND_BUFFER (4 * 1024 * 1024)	/* the longest answer there is, where the system allows */

#define LENT_MAX 256			/* clients with a connection of `fabricctl connect' */

static const struct timeval idle_limit = { 60, 0 };
static const struct timeval accept_pause = { 1, 0 };

struct listener {
	struct fabricd	*d;
	const char	*name;
	mode_t		 mode;
	bool		 may_change;	/* clients may change something */
	unsigned	 max_clients, nclients;
	unsigned	 nlent;		/* clients that were given a connection; not among nclients */
	struct sockaddr_un path;
	int		 fd;
	struct event	*readable, *resume;
	struct ratelimit rate;		/* requests of all its clients: the supervisor has other things to do */
};

struct client {
	TAILQ_ENTRY(client) entry;
	struct listener	*from;
	struct ipc	*ipc;
	uint64_t	 serial;
	unsigned	 waiting;	/* requests without their end */
	bool		 lent;
	bool		 doomed;	/* to be freed when it is safe */
	struct event	*timer;
};
TAILQ_HEAD(clients, client);

struct control {
	struct listener	listen[2];
	struct clients	clients;
	uint64_t	serial;
};

static void
client_free(struct client *c)
{
	struct control *ctl = c->from->d->control;

	TAILQ_REMOVE(&ctl->clients, c, entry);
	if (c->lent)
		c->from->nlent--;
	else
		c->from->nclients--;
	ipc_free(c->ipc);
	event_free(c->timer);
	free(c);
}

/* Not at once: a caller up the stack may hold it. Its timer does it. */
static void
client_doom(struct client *c, const char *why)
{
	if (c->doomed)
		return;
	log_debug("client=%llu is closed: %s", (unsigned long long)c->serial, why);
	c->doomed = true;
	event_active(c->timer, EV_TIMEOUT, 0);
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct client *c = arg;

	(void)fd;
	(void)what;
	if (c->doomed || c->waiting == 0)
		client_free(c);
	else
		event_add(c->timer, &idle_limit);	/* the request has its own limit */
}

static struct client *
client_find(const struct fabricd *d, uint64_t serial)
{
	struct client *c;

	if (serial == 0 || d->control == NULL)
		return NULL;
	TAILQ_FOREACH(c, &d->control->clients, entry)
		if (c->serial == serial)
			return c->doomed ? NULL : c;
	return NULL;
}

static void
client_send(struct client *c, const struct procmsg *m)
{
	if (procmsg_send(c->ipc, m, -1) == -1)
		client_doom(c, "it does not read its answers");
}

void
control_flush(struct fabricd *d)
{
	struct client *c;

	TAILQ_FOREACH(c, &d->control->clients, entry)
		if (!c->doomed)
			ipc_flush(c->ipc);
}

void
control_row(struct fabricd *d, const struct reply *to, struct frame_bytes row)
{
	const struct procmsg m = { .type = PM_ROW, .row = { to->id, row } };
	struct client *c = client_find(d, to->client);

	if (c != NULL)
		client_send(c, &m);
}

void
control_row_written(struct fabricd *d, const struct reply *to, const struct row_writer *w)
{
	if (!w->failed)
		control_row(d, to, (struct frame_bytes){ w->buf, w->len });
}

bool
control_lend(struct fabricd *d, const struct reply *to, struct procmsg *m, int fd)
{
	struct client *c = client_find(d, to->client);

	if (c == NULL || c->from->nlent >= LENT_MAX)
		return false;
	if (!c->lent) {
		c->lent = true;
		c->from->nclients--;
		c->from->nlent++;
	}
	if (procmsg_send(c->ipc, m, fd) == 0)
		return true;
	client_doom(c, "it does not read its answers");
	return false;
}

/* A message's text is printable and short; what comes in may quote a file. */
static void
copy_text(char out[PM_TEXT_MAX + 1], const char *text)
{
	size_t len = strnlen(text, PM_TEXT_MAX);

	for (size_t i = 0; i < len; i++)
		out[i] = text[i] >= 0x20 && text[i] < 0x7f ? text[i] : '?';
	out[len] = '\0';
}

void
control_done(struct fabricd *d, const struct reply *to, unsigned status, const char *text)
{
	struct procmsg m = { .type = PM_DONE };
	struct client *c = client_find(d, to->client);

	if (c == NULL)
		return;
	m.done.id = to->id;
	m.done.status = (uint8_t)status;
	copy_text(m.done.text, text);
	c->waiting--;
	client_send(c, &m);
	ipc_flush(c->ipc);
}

static int
on_frame(struct ipc *ipc, const struct frame *f, int fd, void *arg)
{
	struct client *c = arg;
	struct fabricd *d = c->from->d;
	struct reply reply = { c->serial, 0 };
	struct procmsg m;

	(void)ipc;
	if (fd != -1)
		close(fd);
	if (c->doomed)
		return 0;
	if (fd != -1 || procmsg_decode(&m, f) < 0 || m.type != PM_REQUEST)
		return -1;
	reply.id = m.request.id;
	if (c->waiting >= REQUEST_CLIENT_MAX)
		return -1;
	c->waiting++;
	event_add(c->timer, &idle_limit);
	if (!ratelimit_take(&c->from->rate, clock_ns()))
		control_done(d, &reply, 2, "too many requests: try again");
	else
		request_start(d, &reply, &m.request, c->from->may_change);
	return 0;
}

static void
on_closed(struct ipc *ipc, const char *why, void *arg)
{
	(void)ipc;
	client_doom(arg, why);
}

static const struct ipc_ops client_ops = { .frame = on_frame, .closed = on_closed };

static void
client_new(struct listener *l, int fd)
{
	struct control *ctl = l->d->control;
	struct client *c = calloc(1, sizeof(*c));
	int size = SEND_BUFFER;

	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) == -1)
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	if (c == NULL || (c->timer = evtimer_new(l->d->base, on_timer, c)) == NULL) {
		free(c);
		close(fd);
		return;
	}
	if ((c->ipc = ipc_new(l->d->base, fd, &client_ops, c)) == NULL) {	/* which has closed fd */
		event_free(c->timer);
		free(c);
		return;
	}
	c->from = l;
	c->serial = ++ctl->serial;
	l->nclients++;
	TAILQ_INSERT_TAIL(&ctl->clients, c, entry);
	event_add(c->timer, &idle_limit);
}

static void
on_accept(evutil_socket_t lfd, short what, void *arg)
{
	struct listener *l = arg;
	int fd = accept4(lfd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	(void)what;
	if (fd == -1) {
		if (errno == EAGAIN || errno == ECONNABORTED || errno == EINTR)
			return;
		/* Out of descriptors, say: to be asked again at once would only spin. */
		log_warn("control socket %s", l->name);
		event_del(l->readable);
		event_add(l->resume, &accept_pause);
		return;
	}
	if (l->nclients >= l->max_clients)
		close(fd);
	else
		client_new(l, fd);
}

static void
on_resume(evutil_socket_t fd, short what, void *arg)
{
	struct listener *l = arg;

	(void)fd;
	(void)what;
	event_add(l->readable, NULL);
}

/* The mode is right from the first moment on: umask(2), not chmod(2). The pid file's lock says that no other lives. */
static int
bind_socket(struct listener *l)
{
	mode_t old;
	int rv;

	l->path.sun_family = AF_UNIX;
	snprintf(l->path.sun_path, sizeof(l->path.sun_path), "%.*s/%s", CONF_RUN_MAX,
	    l->d->setup->conf->dir[DIR_RUN], l->name);
	l->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (l->fd == -1 || (unlink(l->path.sun_path) == -1 && errno != ENOENT))
		return -1;
	old = umask(0777 & ~l->mode);
	rv = bind(l->fd, (struct sockaddr *)&l->path, sizeof(l->path));
	umask(old);
	return rv == -1 || listen(l->fd, 16) == -1 ? -1 : 0;
}

static void
listener_open(struct listener *l, struct fabricd *d)
{
	l->d = d;
	ratelimit_init(&l->rate, NS_PER_SEC / 100, 200);
	if (bind_socket(l) == -1)
		fatal("control socket %s", l->path.sun_path);
	l->readable = event_new(d->base, l->fd, EV_READ | EV_PERSIST, on_accept, l);
	l->resume = evtimer_new(d->base, on_resume, l);
	if (l->readable == NULL || l->resume == NULL || event_add(l->readable, NULL) == -1)
		fatalx("out of memory");
}

struct control *
control_new(struct fabricd *d)
{
	static const struct listener kinds[2] = {
		{ .name = NAME_SOCKET, .mode = 0600, .may_change = true, .max_clients = 16 },
		{ .name = NAME_SOCKET_RO, .mode = 0666, .may_change = false, .max_clients = 16 },
	};
	struct control *ctl = calloc(1, sizeof(*ctl));

	if (ctl == NULL)
		fatalx("out of memory");
	TAILQ_INIT(&ctl->clients);
	for (unsigned i = 0; i < 2; i++) {
		ctl->listen[i] = kinds[i];
		listener_open(&ctl->listen[i], d);
	}
	return ctl;
}

void
control_free(struct control *ctl)
{
	struct client *c;

	if (ctl == NULL)
		return;
	while ((c = TAILQ_FIRST(&ctl->clients)) != NULL)
		client_free(c);
	for (unsigned i = 0; i < 2; i++) {
		struct listener *l = &ctl->listen[i];

		unlink(l->path.sun_path);
		event_free(l->readable);
		event_free(l->resume);
		close(l->fd);
	}
	free(ctl);
}
