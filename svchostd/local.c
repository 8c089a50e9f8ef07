/* Guests: a connection of this machine's that wants a service of the fabric, until it has its pump, and how that ended. */
#include "svchostd/local.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "proc/stats.h"
#include "svchostd/local_int.h"

size_t
local_guests(const struct local *l)
{
	return l->nguests;
}

/* --- how it ends --- */

enum connect_status
local_status(uint64_t reason, bool opened)
{
	if (opened)
		return reason == REASON_NONE ? CONNECT_OK : CONNECT_RESET;
	switch (reason) {
	case REASON_NO_SERVICE:
		return CONNECT_NO_SERVICE;
	case REASON_UNREACHABLE:
	case REASON_TIMEOUT:
	case REASON_PEER_GONE:
	case REASON_SHUTDOWN:
	case REASON_MOVED:
	case REASON_NO_ROUTE:
	case REASON_ROUTE_EXPIRED:
	case REASON_HOP_GONE:
	case REASON_FENCED:
		return CONNECT_UNREACHABLE;
	case REASON_TARGET_DOWN:
	case REASON_TARGET_TIMEOUT:
		return CONNECT_TARGET_DOWN;
	case REASON_LIMIT:
	case REASON_NOT_ALLOWED:
	case REASON_REFUSED:
	case REASON_ROUTE_CLASS:
	case REASON_ROUTE_LIMIT:
	case REASON_ROUTE_RATE:
	case REASON_REVOKED:
		return CONNECT_REFUSED;
	default:
		return reason >= REASON_AUTH_RECORD && reason <= REASON_AUTH_RATE ? CONNECT_REFUSED : CONNECT_FAILED;
	}
}

static const char *
explain(uint64_t reason, bool opened)
{
	switch (reason) {
	case REASON_NO_SERVICE:
		return "the node does not serve it any more";
	case REASON_UNREACHABLE:
	case REASON_PEER_GONE:
		return opened ? "the session to the node was lost" : "there is no session to the node";
	case REASON_TIMEOUT:
		return "the node does not answer";
	case REASON_SHUTDOWN:
		return "the node is shutting down";
	case REASON_TARGET_DOWN:
		return "the node cannot connect to the service itself";
	case REASON_TARGET_TIMEOUT:
		return "the service itself does not answer";
	case REASON_NOT_ALLOWED:
		return "the node does not allow it to this one";
	case REASON_LIMIT:
	case REASON_ROUTE_LIMIT:
	case REASON_ROUTE_RATE:
		return "a limit of streams is reached";
	case REASON_NO_ROUTE:
	case REASON_ROUTE_EXPIRED:
	case REASON_HOP_GONE:
	case REASON_FENCED:
		return "the route to the node was lost";
	case REASON_ROUTE_CLASS:
		return "no route to the node is for this class";
	case REASON_CONNECTION_RESET:
		return "the connection was reset";
	case REASON_TAMPERED:
		return "what came was changed or cut on the way";
	case REASON_IDLE:
		return "nothing moved for too long";
	default:
		return opened ? "the stream broke" : "the stream was refused";
	}
}

/* Anybody on this machine may make connections that fail: their number is counted, and some are logged. */
static void
note_failure(struct guest *g, const char *text)
{
	if (g->way != NULL)
		g->way->failed++;
	STAT_INC(SVCHOSTD_LOCAL_FAILED);
	if (g->kind != GUEST_CONTROL && ratelimit_take(&g->local->log_rate, clock_ns()))
		log_info("%s port=%u service=%s: %s", g->kind == GUEST_SOCKS ? "socks" : "listen",
		    g->way == NULL ? 0 : g->way->conf.addr.port, g->target, text);
}

/* --- waiting for a way --- */

static void
wait_end(struct guest *g)
{
	if (g->waits)
		g->local->nwait--;
	g->waits = false;
}

static bool
is_wanted(const struct local *l, const uint8_t *node_id)
{
	const struct guest *g;

	TAILQ_FOREACH(g, &l->guests, entry)
		if (g->waits && memcmp(g->away, node_id, NODE_ID_LEN) == 0)
			return true;
	return false;
}

/* The first that wants a node asks at once; after that it is asked for each second. */
static void
wait_begin(struct guest *g, const uint8_t *node_id)
{
	struct local *l = g->local;

	if (l->env.want != NULL && !is_wanted(l, node_id))
		l->env.want(node_id, CLASS_RELIABLE, l->env.want_arg);
	memcpy(g->away, node_id, NODE_ID_LEN);
	g->waits = true;
	g->deadline_ns = clock_ns() + WAIT_S * NS_PER_SEC;
	if (l->nwait++ == 0)
		event_add(l->wait, &(struct timeval){ 1, 0 });
}

static void
guest_free(struct guest *g)
{
	struct local *l = g->local;

	wait_end(g);
	if (g->socks != NULL) {
		event_del(&g->readable);
		free(g->socks);
	}
	if (g->fd != -1)
		close(g->fd);
	TAILQ_REMOVE(&l->guests, g, entry);
	if (g->kind != GUEST_CONTROL)
		l->nguests--;
	if (g->way != NULL)
		g->way->guests--;
	STAT_SET(SVCHOSTD_LOCAL, l->nguests);
	free(g);
	ways_room(l);
}

void
local_free(struct local *l)
{
	struct guest *g;

	if (l == NULL)
		return;
	local_ways_free(l->ways);
	l->ways = NULL;
	while ((g = TAILQ_FIRST(&l->guests)) != NULL) {
		if (g->pump != NULL)
			pump_abort(g->pump, REASON_SHUTDOWN);
		guest_free(g);
	}
	event_free(l->wait);
	free(l);
}

/* A client that hears nothing of it but an end must not take it for a whole answer of no bytes. */
static void
end_hard(int fd)
{
	const struct linger at_once = { .l_onoff = 1 };

	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
}

/* `fd' is the guest's or the pump's, and is closed after this. */
static void
tell_failure(struct guest *g, int fd, uint64_t reason, const char *text)
{
	uint8_t reply[SOCKS_REPLY_MAX];

	note_failure(g, text);
	switch (g->kind) {
	case GUEST_CONTROL:
		worker_done(g->local->env.worker, g->request, local_status(reason, false), text);
		break;
	case GUEST_TCP:
		end_hard(fd);
		break;
	case GUEST_SOCKS:
		(void)!send(fd, reply, socks_reply(reply, reason), MSG_NOSIGNAL | MSG_DONTWAIT);
		if (g->pump != NULL)
			pump_gently(g->pump);
		break;
	}
}

/* --- its pump --- */

static void
reason_text(char text[PM_TEXT_MAX + 1], uint64_t reason, bool opened)
{
	snprintf(text, PM_TEXT_MAX + 1, "%s (%s)", explain(reason, opened), reason_name(reason));
}

static void
on_opened(struct pump *p, void *arg)
{
	struct guest *g = arg;
	uint8_t reply[SOCKS_REPLY_MAX];
	size_t len;

	g->opened = true;
	if (g->kind != GUEST_SOCKS)
		return;
	/* A socket that nothing was written to takes ten bytes, unless its client is gone, and then the pump sees it. */
	len = socks_reply(reply, REASON_NONE);
	if (send(pump_fd(p), reply, len, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)len)
		log_debug("socks: the reply does not fit");
}

static void
on_failed(struct pump *p, uint64_t reason, void *arg)
{
	struct guest *g = arg;
	char text[PM_TEXT_MAX + 1];

	reason_text(text, reason, false);
	tell_failure(g, pump_fd(p), reason, text);
	guest_free(g);
}

static void
on_ended(struct pump *p, uint64_t reason, void *arg)
{
	struct guest *g = arg;
	char text[PM_TEXT_MAX + 1] = "";

	(void)p;
	if (reason != REASON_NONE)
		reason_text(text, reason, true);
	if (g->kind == GUEST_CONTROL)
		worker_done(g->local->env.worker, g->request, local_status(reason, true), text);
	guest_free(g);
}

static const struct pump_ops guest_ops = { .opened = on_opened, .failed = on_failed, .ended = on_ended };

static void
guest_join(struct guest *g)
{
	const struct local_env *env = &g->local->env;
	char text[PM_TEXT_MAX + 1];
	struct e2e_service service;
	uint8_t away[NODE_ID_LEN];
	bool has_away, waited = g->waits;
	uint64_t reason;
	int fd = g->fd;

	if (names_resolve_or(env->names, env->nodes, env->self, g->target, clock_wall(), &service, away, &has_away, &reason,
	    text) == -1) {
		if (has_away && (!waited || g->deadline_ns > clock_ns())) {
			if (!waited)
				wait_begin(g, away);
			return;
		}
		tell_failure(g, fd, reason, text);
		guest_free(g);
		return;
	}
	wait_end(g);
	g->pump = pump_open(env->hub, &service, fd, &guest_ops, g, &reason);
	if (g->pump != NULL) {
		g->fd = -1;
		return;
	}
	reason_text(text, reason, false);
	tell_failure(g, fd, reason, text);
	guest_free(g);
}

void
local_node_news(struct local *l, const uint8_t *node_id)
{
	struct guest *g, *next;

	for (g = TAILQ_FIRST(&l->guests); g != NULL && l->nwait > 0; g = next) {
		next = TAILQ_NEXT(g, entry);
		if (g->waits && memcmp(g->away, node_id, NODE_ID_LEN) == 0)
			guest_join(g);
	}
}

void
local_node_failed(struct local *l, const uint8_t *node_id, uint64_t reason)
{
	struct guest *g, *next;

	for (g = TAILQ_FIRST(&l->guests); g != NULL && l->nwait > 0; g = next) {
		next = TAILQ_NEXT(g, entry);
		if (!g->waits || memcmp(g->away, node_id, NODE_ID_LEN) != 0)
			continue;
		if (reason == REASON_NOT_ALLOWED || reason == REASON_REVOKED)
			g->deadline_ns = 0;	/* that will not change soon; anything else may */
		if (g->deadline_ns == 0)
			guest_join(g);
	}
}

/* Each second: who waited long enough hears so, and what is still waited for is asked for again. */
static void
on_wait(evutil_socket_t fd, short what, void *arg)
{
	struct local *l = arg;
	struct guest *g, *next;
	uint64_t now = clock_ns();

	(void)fd;
	(void)what;
	for (g = TAILQ_FIRST(&l->guests); g != NULL; g = next) {
		next = TAILQ_NEXT(g, entry);
		if (g->waits && g->deadline_ns <= now)
			guest_join(g);
	}
	TAILQ_FOREACH(g, &l->guests, entry) {
		const struct guest *first = TAILQ_FIRST(&l->guests);

		while (first != g && (!first->waits || memcmp(first->away, g->away, NODE_ID_LEN) != 0))
			first = TAILQ_NEXT(first, entry);
		if (g->waits && first == g && l->env.want != NULL)
			l->env.want(g->away, CLASS_RELIABLE, l->env.want_arg);
	}
	if (l->nwait > 0)
		event_add(l->wait, &(struct timeval){ 1, 0 });
}

struct local *
local_new(const struct local_env *env)
{
	struct local *l = calloc(1, sizeof(*l));

	if (l == NULL)
		return NULL;
	l->env = *env;
	TAILQ_INIT(&l->guests);
	if ((l->wait = evtimer_new(env->worker->base, on_wait, l)) == NULL) {
		free(l);
		return NULL;
	}
	ratelimit_init(&l->log_rate, NS_PER_SEC / 5, 10);
	return l;
}

/* --- SOCKS --- */

static void
socks_wait(struct guest *g)
{
	uint64_t now = clock_ns(), left_us = g->deadline_ns > now ? (g->deadline_ns - now) / NS_PER_US : 0;
	struct timeval tv = { (time_t)(left_us / 1000000), (suseconds_t)(left_us % 1000000) };

	event_add(&g->readable, &tv);
}

static void
socks_end(struct guest *g)
{
	STAT_INC(SVCHOSTD_SOCKS_REFUSED);
	guest_free(g);
}

/* The client's whole message or less, never more: what follows the request is for the service. False: it is gone. */
static bool
socks_read(struct guest *g, enum socks_verdict *verdict)
{
	uint8_t buf[SOCKS_MESSAGE_MAX], reply[SOCKS_REPLY_MAX];
	size_t want = socks_want(g->socks), len;
	ssize_t n = recv(g->fd, buf, want, 0);

	*verdict = SOCKS_MORE;
	if (n == -1)
		return errno == EAGAIN || errno == EINTR;
	if (n == 0)
		return false;
	*verdict = socks_input(g->socks, buf, (size_t)n, reply, &len);
	return len == 0 || send(g->fd, reply, len, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)len;
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct guest *g = arg;
	enum socks_verdict verdict;

	(void)fd;
	if (what & EV_TIMEOUT || !socks_read(g, &verdict) || verdict == SOCKS_END) {
		if (g->socks->host[0] != '\0' && ratelimit_take(&g->local->log_rate, clock_ns()))
			log_info("socks port=%u host=%s: not a CONNECT to a name of the fabric", g->way == NULL ? 0 :
			    g->way->conf.addr.port, g->socks->host);
		socks_end(g);
		return;
	}
	if (verdict == SOCKS_MORE) {
		socks_wait(g);
		return;
	}
	memcpy(g->target, g->socks->target, sizeof(g->target));
	free(g->socks);
	g->socks = NULL;
	guest_join(g);
}

/* --- who comes --- */

static struct guest *
guest_new(struct local *l, int fd, int kind)
{
	struct guest *g = calloc(1, sizeof(*g));

	if (g == NULL)
		return NULL;
	g->local = l;
	g->kind = kind;
	g->fd = fd;
	TAILQ_INSERT_TAIL(&l->guests, g, entry);
	if (kind != GUEST_CONTROL)
		l->nguests++;
	STAT_SET(SVCHOSTD_LOCAL, l->nguests);
	return g;
}

void
guest_arrive(struct local *l, struct way *w, int fd)
{
	bool socks = w->conf.purpose == LISTEN_SOCKS;
	struct guest *g = guest_new(l, fd, socks ? GUEST_SOCKS : GUEST_TCP);

	if (g == NULL) {
		close(fd);
		return;
	}
	g->way = w;
	w->guests++;
	if (!socks) {
		memcpy(g->target, w->conf.target, sizeof(g->target));
		guest_join(g);
		return;
	}
	if ((g->socks = malloc(sizeof(*g->socks))) == NULL) {
		guest_free(g);
		return;
	}
	socks_init(g->socks);
	event_assign(&g->readable, l->env.worker->base, fd, EV_READ, on_readable, g);
	g->deadline_ns = clock_ns() + SOCKS_TIME_S * NS_PER_SEC;
	socks_wait(g);
}

void
local_connect(struct local *l, const struct pm_local *m, int fd)
{
	struct guest *g = guest_new(l, fd, GUEST_CONTROL);

	if (g == NULL) {
		close(fd);
		worker_done(l->env.worker, m->id, CONNECT_FAILED, "out of memory");
		return;
	}
	g->request = m->id;
	memcpy(g->target, m->target, sizeof(g->target));
	guest_join(g);
}
