/* Listeners: connections are taken in batches, up to limits; who comes beyond them waits in the kernel. */
#include <arpa/inet.h>
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

#define BATCH	32u	/* before others get their turn */

static const struct timeval pause_time = { 0, 100000 };

struct ways *
local_ways_new(void)
{
	struct ways *ws = calloc(1, sizeof(*ws));

	if (ws != NULL)
		TAILQ_INIT(&ws->list);
	return ws;
}

static void
way_free(struct ways *ws, struct way *w)
{
	struct guest *g;

	TAILQ_REMOVE(&ws->list, w, entry);
	ws->n--;
	if (w->local != NULL) {
		event_del(&w->readable);
		event_del(&w->again);
		TAILQ_FOREACH(g, &w->local->guests, entry)
			if (g->way == w)
				g->way = NULL;
	}
	close(w->fd);
	free(w);
}

void
local_ways_free(struct ways *ws)
{
	struct way *w;

	if (ws == NULL)
		return;
	while ((w = TAILQ_FIRST(&ws->list)) != NULL)
		way_free(ws, w);
	free(ws);
}

int
local_ways_add(struct ways *ws, const struct pm_conf_listen *m, int fd)
{
	struct way *w = calloc(1, sizeof(*w));

	if (w == NULL) {
		close(fd);
		return -1;
	}
	w->conf = *m;
	w->fd = fd;
	TAILQ_INSERT_TAIL(&ws->list, w, entry);
	ws->n++;
	return 0;
}

/* What is wrong here may be wrong for long, and asked again at once it would only spin. */
static void
hold_on(struct way *w, const char *why)
{
	if (ratelimit_take(&w->local->log_rate, clock_ns()))
		log_warn("listen port=%u: %s", w->conf.addr.port, why);
	event_del(&w->readable);
	event_add(&w->again, &pause_time);
	w->waiting = true;
}

static bool
full(const struct way *w)
{
	return w->guests >= GUESTS_WAY_MAX || w->local->nguests >= GUESTS_MAX;
}

static void
on_accept(evutil_socket_t fd, short what, void *arg)
{
	struct way *w = arg;
	int conn;

	(void)what;
	for (unsigned i = 0; i < BATCH && !full(w); i++) {
		conn = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (conn == -1) {
			if (errno == ECONNABORTED || errno == EINTR)
				continue;
			if (errno != EAGAIN)
				hold_on(w, "accept");
			return;
		}
		w->accepted++;
		STAT_INC(SVCHOSTD_LOCAL_ACCEPTED);
		guest_arrive(w->local, w, conn);
	}
	if (full(w)) {
		STAT_INC(SVCHOSTD_LOCAL_FULL);
		event_del(&w->readable);
		w->waiting = true;
	}
}

static void
go_on(struct way *w)
{
	event_del(&w->again);
	w->waiting = false;
	event_add(&w->readable, NULL);
}

static void
on_again(evutil_socket_t fd, short what, void *arg)
{
	struct way *w = arg;

	(void)fd;
	(void)what;
	if (!full(w))
		go_on(w);
}

void
ways_room(struct local *l)
{
	struct way *w;

	if (l->ways == NULL)
		return;
	TAILQ_FOREACH(w, &l->ways->list, entry)
		if (w->waiting && !full(w) && !event_pending(&w->again, EV_TIMEOUT, NULL))
			go_on(w);
}

static struct way *
same_address(const struct ways *ws, const struct pm_addr *a)
{
	struct way *w;

	if (ws == NULL)
		return NULL;
	TAILQ_FOREACH(w, &ws->list, entry)
		if (w->conf.addr.family == a->family && w->conf.addr.port == a->port &&
		    memcmp(w->conf.addr.addr, a->addr, a->family == 4 ? 4 : 16) == 0)
			return w;
	return NULL;
}

/* What is counted of an address goes on, and so do its guests; its descriptor may be another of the same socket. */
static void
inherit(struct way *w, struct way *old)
{
	struct guest *g;

	w->guests = old->guests;
	w->accepted = old->accepted;
	w->failed = old->failed;
	TAILQ_FOREACH(g, &w->local->guests, entry)
		if (g->way == old)
			g->way = w;
}

void
local_commit(struct local *l, struct ways *ws)
{
	struct ways *old = l->ways;
	struct way *w, *before;

	l->ways = ws;
	TAILQ_FOREACH(w, &ws->list, entry) {
		w->local = l;
		event_assign(&w->readable, l->env.worker->base, w->fd, EV_READ | EV_PERSIST, on_accept, w);
		evtimer_assign(&w->again, l->env.worker->base, on_again, w);
		if ((before = same_address(old, &w->conf.addr)) != NULL)
			inherit(w, before);
		w->waiting = true;
	}
	local_ways_free(old);
	ways_room(l);
}

void
local_rows(const struct local *l, uint64_t request)
{
	char ip[INET6_ADDRSTRLEN], text[INET6_ADDRSTRLEN + 16];
	const struct pm_addr *a;
	const struct way *w;
	struct row_writer row;

	if (l->ways == NULL)
		return;
	TAILQ_FOREACH(w, &l->ways->list, entry) {
		a = &w->conf.addr;
		inet_ntop(a->family == 4 ? AF_INET : AF_INET6, a->addr, ip, sizeof(ip));
		snprintf(text, sizeof(text), a->family == 4 ? "%s:%u" : "[%s]:%u", ip, a->port);
		row_init(&row);
		row_str(&row, "service", w->conf.purpose == LISTEN_SOCKS ? "socks" : w->conf.target);
		row_str(&row, "listen", text);
		row_uint(&row, "streams", w->guests);
		row_uint(&row, "accepted", w->accepted);
		row_uint(&row, "failed", w->failed);
		row_bool(&row, "full", full(w));
		worker_row_once(l->env.worker, request, &row);
	}
}
