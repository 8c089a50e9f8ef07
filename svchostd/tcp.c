#include "svchostd/tcp.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "proc/stats.h"

enum conn_state { CONN_WAITING, CONN_ASKED, CONN_CONNECTING };

/* A stream that waits for its target. */
struct conn {
	TAILQ_ENTRY(conn) entry;
	struct tcp	*tcp;
	struct pump	*pump;		/* NULL: gone while the supervisor was asked */
	uint64_t	 id, started_ns;
	uint8_t		 state;
	int		 fd;
	struct event	 writable;
};
TAILQ_HEAD(conn_list, conn);

struct tcp {
	struct worker	*worker;
	const struct tcp_conf *conf;	/* NULL: none yet */
	struct conn_list list[CONN_CONNECTING + 1];	/* by state, each the longest waiting first */
	size_t		 nasked;
	uint64_t	 last_id;
};

struct tcp *
tcp_new(struct worker *w)
{
	struct tcp *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return NULL;
	t->worker = w;
	for (size_t i = 0; i < sizeof(t->list) / sizeof(t->list[0]); i++)
		TAILQ_INIT(&t->list[i]);
	return t;
}

static void
conn_free(struct conn *c)
{
	struct tcp *t = c->tcp;

	TAILQ_REMOVE(&t->list[c->state], c, entry);
	if (c->state == CONN_ASKED)
		t->nasked--;
	if (c->state == CONN_CONNECTING)
		event_del(&c->writable);
	if (c->fd != -1)
		close(c->fd);
	free(c);
}

void
tcp_free(struct tcp *t)
{
	struct conn *c;

	if (t == NULL)
		return;
	for (size_t i = 0; i < sizeof(t->list) / sizeof(t->list[0]); i++)
		while ((c = TAILQ_FIRST(&t->list[i])) != NULL)
			conn_free(c);
	free(t);
}

static void
conn_move(struct conn *c, enum conn_state state)
{
	struct tcp *t = c->tcp;

	TAILQ_REMOVE(&t->list[c->state], c, entry);
	if (c->state == CONN_ASKED)
		t->nasked--;
	c->state = state;
	TAILQ_INSERT_TAIL(&t->list[state], c, entry);
	if (state == CONN_ASKED)
		t->nasked++;
}

static void
conn_fail(struct conn *c, uint64_t reason)
{
	struct pump *p = c->pump;

	if (reason == REASON_TARGET_DOWN)
		STAT_INC(SVCHOSTD_TARGETS_DOWN);
	else if (reason == REASON_TARGET_TIMEOUT)
		STAT_INC(SVCHOSTD_TARGETS_TIMEOUT);
	c->pump = NULL;
	/* The supervisor will answer yet: until then it counts as asked. */
	if (c->state != CONN_ASKED)
		conn_free(c);
	hub_refuse(p, reason);
}

static void
ask_next(struct tcp *t)
{
	struct procmsg m = { .type = PM_CONNECT };
	struct conn *c;

	while (t->nasked < TCP_ASKED_MAX && (c = TAILQ_FIRST(&t->list[CONN_WAITING])) != NULL) {
		m.connect.id = c->id;
		strcpy(m.connect.service, pump_service(c->pump));
		if (procmsg_send(t->worker->ctl, &m, -1) == -1)
			break;		/* tcp_tick() comes back here */
		conn_move(c, CONN_ASKED);
	}
	ipc_flush(t->worker->ctl);
}

/* --- who may --- */

static const struct pm_conf_service *
service_find(const struct tcp *t, const char *name)
{
	for (size_t i = 0; t->conf != NULL && i < t->conf->n; i++)
		if (strcmp(t->conf->services[i].name, name) == 0)
			return &t->conf->services[i];
	return NULL;
}

bool
tcp_allowed(const struct pm_conf_service *s, uint32_t roles, const char *tenant, const char *own)
{
	if (s->roles != 0 && (s->roles & roles) == 0)
		return false;
	return s->tenants[0] == '\0' ? strcmp(tenant, own) == 0 : pm_tenant_listed(s->tenants, tenant);
}

static uint64_t
refusal(const struct tcp *t, const struct pump *p)
{
	const struct pm_conf_service *s = service_find(t, pump_service(p));

	if (s == NULL)
		return REASON_NO_SERVICE;
	/* A class is a place in every queue on the way: a better one is not the opener's to take. */
	if (pump_class(p) < s->class || !tcp_allowed(s, pump_roles(p), pump_tenant(p), t->conf->tenant))
		return REASON_NOT_ALLOWED;
	return REASON_NONE;
}

uint64_t
tcp_accept(struct pump *p, const struct peer_identity *peer, void *arg)
{
	struct tcp *t = arg;
	uint64_t reason = refusal(t, p);
	struct conn *c;

	if (reason == REASON_NOT_ALLOWED) {
		STAT_INC(SVCHOSTD_REFUSED_NOT_ALLOWED);
		log_info("service=%s is not allowed to node=%s", pump_service(p), peer->name);
	} else if (reason == REASON_NO_SERVICE) {
		STAT_INC(SVCHOSTD_REFUSED_NO_SERVICE);
	}
	if (reason != REASON_NONE)
		return reason;
	if ((c = calloc(1, sizeof(*c))) == NULL)
		return REASON_INTERNAL;
	c->tcp = t;
	c->pump = p;
	c->id = ++t->last_id;
	c->fd = -1;
	c->started_ns = clock_ns();
	TAILQ_INSERT_TAIL(&t->list[CONN_WAITING], c, entry);
	ask_next(t);
	return REASON_NONE;
}

void
tcp_gone(struct pump *p, void *arg)
{
	struct tcp *t = arg;
	struct conn *c, *next;

	for (size_t i = 0; i < sizeof(t->list) / sizeof(t->list[0]); i++) {
		for (c = TAILQ_FIRST(&t->list[i]); c != NULL; c = next) {
			next = TAILQ_NEXT(c, entry);
			if (c->pump != p)
				continue;
			c->pump = NULL;
			if (c->state != CONN_ASKED)
				conn_free(c);
			return;
		}
	}
}

/* Who has no stream here that the configuration would refuse now. */
static bool
not_served(const struct pump *p, void *arg)
{
	return !pump_is_opener(p) && refusal(arg, p) == REASON_NO_SERVICE;
}

static bool
not_allowed(const struct pump *p, void *arg)
{
	return !pump_is_opener(p) && refusal(arg, p) == REASON_NOT_ALLOWED;
}

void
tcp_configure(struct tcp *t, struct hub *h, const struct tcp_conf *conf)
{
	t->conf = conf;
	hub_end(h, not_served, t, REASON_NO_SERVICE);
	hub_end(h, not_allowed, t, REASON_NOT_ALLOWED);
}

/* --- the target --- */

static uint64_t
target_reason(int error)
{
	switch (error) {
	case ENOENT:
		return REASON_NO_SERVICE;
	case EAGAIN:
	case EMFILE:
	case ENFILE:
	case ENOBUFS:
	case ENOMEM:
		return REASON_LIMIT;
	case ETIMEDOUT:
		return REASON_TARGET_TIMEOUT;
	default:
		return REASON_TARGET_DOWN;
	}
}

/* It is connected, or will never be. */
static void
on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct conn *c = arg;
	struct pump *p = c->pump;
	socklen_t len = sizeof(int);
	int error = 0;

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == -1)
		error = errno;
	if (error != 0) {
		log_debug("service=%s target: %s", pump_service(p), strerror(error));
		conn_fail(c, target_reason(error));
		return;
	}
	c->fd = -1;
	conn_free(c);
	STAT_INC(SVCHOSTD_TARGETS_CONNECTED);
	hub_connected(p, fd);
}

static struct conn *
asked_find(struct tcp *t, uint64_t id)
{
	struct conn *c;

	TAILQ_FOREACH(c, &t->list[CONN_ASKED], entry)
		if (c->id == id)
			return c;
	return NULL;
}

int
tcp_connected(struct tcp *t, const struct pm_connected *m, int fd)
{
	struct conn *c = asked_find(t, m->id);

	if (c == NULL) {
		if (fd != -1)
			close(fd);
		return -1;
	}
	c->fd = fd;
	if (c->pump == NULL) {
		conn_free(c);
	} else {
		conn_move(c, CONN_CONNECTING);
		event_assign(&c->writable, t->worker->base, fd, EV_WRITE, on_writable, c);
		if (fd == -1)
			conn_fail(c, target_reason((int)m->error));
		else
			event_add(&c->writable, NULL);
	}
	ask_next(t);
	return 0;
}

void
tcp_tick(struct tcp *t, uint64_t now_ns)
{
	uint64_t limit = TCP_TARGET_S * NS_PER_SEC;
	struct conn *c, *next;

	for (size_t i = 0; i < sizeof(t->list) / sizeof(t->list[0]); i++) {
		for (c = TAILQ_FIRST(&t->list[i]); c != NULL && c->started_ns + limit <= now_ns; c = next) {
			next = TAILQ_NEXT(c, entry);
			if (c->pump != NULL)
				conn_fail(c, REASON_TARGET_TIMEOUT);
		}
	}
	ask_next(t);
}
