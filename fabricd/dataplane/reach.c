#include "fabricd/dataplane/reach.h"

#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "base/clock.h"
#include "base/log.h"
#include "fabricd/dataplane/peer.h"
#include "fabricd/dataplane/quic.h"
#include "proc/stats.h"

#define DOWN_NS		(3 * NS_PER_SEC)	/* without a way that works, while there is one that may: then it is down */
#define PACE_MS		4u			/* for streams that wait for their route's rate, */
#define WAIT_MS		50u			/* and for a word of routed's */
#define WANTS_PER_SEC	20u
#define MOVES_PER_SEC	100u			/* streams, that routed is told of */
#define MOVES_BURST	500u
#define PERMITS_NS	(600 * NS_PER_SEC)	/* that what a node may reach here is kept without a way to it */
#define DATAGRAM_SAFE	1150u			/* every session carries this much in a datagram */

static size_t
slot(const uint8_t *node_id)
{
	return (size_t)(node_id[2] | node_id[3] << 8) % REACH_BUCKETS;	/* a hash already */
}

struct reach *
reach_find(const struct dataplane *dp, const uint8_t *node_id)
{
	struct reach *r;

	LIST_FOREACH(r, &dp->reaches->bucket[slot(node_id)], bucket)
		if (memcmp(r->node_id, node_id, NODE_ID_LEN) == 0)
			return r;
	return NULL;
}

struct reach *
reach_get(struct dataplane *dp, const uint8_t *node_id)
{
	struct reach *r = reach_find(dp, node_id);

	if (r != NULL || dp->reaches->n >= REACHES_MAX || memcmp(node_id, dp->self.node_id, NODE_ID_LEN) == 0)
		return r;
	if ((r = calloc(1, sizeof(*r))) == NULL)
		return NULL;
	r->dp = dp;
	memcpy(r->node_id, node_id, NODE_ID_LEN);
	TAILQ_INIT(&r->ways);
	opens_init(&r->opens, OPENS_NODE, OPENS_NODE_BURST);
	opens_init(&r->relayed, OPENS_NEIGHBOUR, OPENS_NEIGHBOUR_BURST);
	LIST_INSERT_HEAD(&dp->reaches->bucket[slot(node_id)], r, bucket);
	dp->reaches->n++;
	return r;
}

static void
reach_free(struct reach *r)
{
	LIST_REMOVE(r, bucket);
	r->dp->reaches->n--;
	free(r->remote);
	free(r->permits);
	free(r->rank);
	free(r);
}

/* A node that comes back soon finds its permits; of all that ever were here there is no end. */
static bool
permits_needed(const struct reach *r)
{
	return r->permitted && (r->lost_ns == 0 || r->dp->now_ns - r->lost_ns < PERMITS_NS);
}

void
reach_drop(struct reach *r)
{
	uint64_t now = r->dp->now_ns;

	/* Whoever comes back by a new session at once finds its account as it was. */
	if (r->nways == 0 && r->remote == NULL && !permits_needed(r) && !r->revoked && !r->told_up && !r->move.pending &&
	    opens_full(&r->opens, now) && opens_full(&r->relayed, now))
		reach_free(r);
}

/* --- ways --- */

struct port *
way_port(const struct way *w)
{
	struct fswitch *sw = &w->reach->dp->sw;

	return sw->session(sw, w->route == NULL ? w->reach->node_id : route_neighbour(w->route));
}

static bool
way_takes(const struct way *w, unsigned class)
{
	return w->route == NULL || ((w->route->classes & 1u << class) != 0 && w->route->hard > w->route->set->wall);
}

uint32_t
way_datagram_max(const struct way *w)
{
	return w->route == NULL ? w->conn->datagram_max : w->probe.datagram_max != 0 ? w->probe.datagram_max : DATAGRAM_SAFE;
}

/* Its place in routed's order; what that does not name comes behind it, the session first, then the nearest. */
static unsigned
place(const struct way *w, unsigned class)
{
	const struct reach_rank *k = w->reach->rank == NULL ? NULL : &w->reach->rank[class];

	for (unsigned i = 0; k != NULL && i < k->n; i++)
		if (k->ids[i] == way_id(w))
			return i;
	return PM_RANK_MAX + (w->route != NULL);
}

static bool
before(const struct way *a, const struct way *b, unsigned class)
{
	unsigned x = place(a, class), y = place(b, class);

	return x != y ? x < y : a->probe.srtt_ns < b->probe.srtt_ns;
}

static struct way *
best_of(const struct reach *r, unsigned class, const struct way *but, bool with_room)
{
	struct way *w, *best = NULL;

	TAILQ_FOREACH(w, &r->ways, entry) {
		if (w == but || w->state != WAY_UP || !way_takes(w, class) || (with_room && way_full(w)) || way_port(w) == NULL)
			continue;
		if (best == NULL || before(w, best, class))
			best = w;
	}
	return best;
}

struct way *
reach_best(const struct reach *r, unsigned class, const struct way *but)
{
	return best_of(r, class, but, false);
}

/* When none is known to work: one that may. */
static struct way *
any_way(const struct reach *r, unsigned class)
{
	struct way *w, *best = NULL;

	TAILQ_FOREACH(w, &r->ways, entry) {
		if (!way_takes(w, class) || way_port(w) == NULL)
			continue;
		if (best == NULL || before(w, best, class))
			best = w;
	}
	return best;
}

/* A stream looks for a way and there is none, as it may again and again. */
static void
want(struct dataplane *dp, struct reach *r, const uint8_t *node_id, unsigned class)
{
	struct procmsg m = { .type = PM_WANT };

	if ((r != NULL && r->wanted_ns != 0 && dp->now_ns - r->wanted_ns < NS_PER_SEC) ||
	    !ratelimit_take(&dp->reaches->wants, dp->now_ns))
		return;
	if (r != NULL)
		r->wanted_ns = dp->now_ns;
	memcpy(m.want.node_id, node_id, NODE_ID_LEN);
	m.want.class = (uint8_t)class;
	wport_send(dp, WORKER_ROUTED, &m);
}

static struct port *
hook_way(struct fswitch *sw, const uint8_t *node_id, unsigned class, struct route **route)
{
	struct reach *r = reach_find(dp_of(sw), node_id);
	struct way *w;

	/* When all are full the best one says so. */
	if (r == NULL || ((w = best_of(r, class, NULL, true)) == NULL && (w = reach_best(r, class, NULL)) == NULL &&
	    (w = any_way(r, class)) == NULL)) {
		want(dp_of(sw), r, node_id, class);
		return NULL;
	}
	*route = w->route;
	if (!w->active)
		probe_soon(w);		/* whether it works, matters from now on */
	w->active = r->active = true;
	return way_port(w);
}

static bool
hook_broken(struct fswitch *sw, const struct stream *st, uint64_t reason)
{
	struct way *w = st->route->way;
	bool can;

	if (w == NULL)
		return false;
	can = strcmp(st->service, SWITCH_PROBE) != 0 && reach_best(w->reach, st->class, w) != NULL;
	if (w->state == WAY_SILENT)	/* it was left before, by those that could */
		way_leave(w, reason, *sw->now_ns);
	else
		way_silent(w, reason, *sw->now_ns);
	return can;
}

static const struct switch_hooks hooks = {
	.way = hook_way, .broken = hook_broken, .permit = permit_ask, .keep = permit_keep,
	.follows = move_follows, .answered = move_answered, .opens = opens_admit,
};

static void
probing_set(struct reach *r)
{
	struct way *w;

	/* A session that is the only way is left alone: QUIC knows how it is, and there is nowhere else to go. */
	TAILQ_FOREACH(w, &r->ways, entry) {
		if (w->route == NULL && r->nroutes == 0)
			probe_stop(w);
		else
			probe_start(w);
	}
}

static struct way *
way_new(struct reach *r, struct route *route, struct conn *c)
{
	struct way *w;

	if ((route != NULL && r->nroutes >= WAYS_MAX - 1) || (w = calloc(1, sizeof(*w))) == NULL)
		return NULL;
	w->reach = r;
	w->route = route;
	w->conn = c;
	TAILQ_INSERT_TAIL(&r->ways, w, entry);
	r->nways++;
	r->nroutes += route != NULL;
	if (route != NULL)
		route->way = w;
	probing_set(r);
	return w;
}

/* Without regard to what is on it. */
static void
way_free(struct way *w)
{
	struct reach *r = w->reach;

	probe_stop(w);
	TAILQ_REMOVE(&r->ways, w, entry);
	r->nways--;
	r->nroutes -= w->route != NULL;
	if (w->route != NULL)
		w->route->way = NULL;
	free(w);
	probing_set(r);
}

struct way *
reach_way(const struct reach *r, const struct route *route)
{
	struct way *w;

	TAILQ_FOREACH(w, &r->ways, entry)
		if (w->route == route)
			return w;
	return NULL;
}

static struct way *
session_way(const struct reach *r)
{
	return reach_way(r, NULL);
}

bool
reach_routed(const struct dataplane *dp, const uint8_t *node_id)
{
	const struct reach *r = reach_find(dp, node_id);

	return r != NULL && r->nroutes > 0;
}

/* --- what the adapters hear --- */

/* What fits a datagram on whatever way is, or would be, used. */
static uint32_t
datagram_max(const struct reach *r, bool *settled)
{
	uint32_t min = UINT32_MAX;
	const struct way *w;

	*settled = true;
	for (unsigned c = 0; c < CLASS_COUNT; c++) {
		if ((w = reach_best(r, c, NULL)) == NULL || way_datagram_max(w) >= min)
			continue;
		min = way_datagram_max(w);
		*settled = w->route != NULL || r->dp->now_ns - w->conn->mtu_ns >= MTU_SETTLED_NS;
	}
	return min == UINT32_MAX ? DATAGRAM_SAFE : min;
}

static void
tell_up(struct reach *r, enum worker_kind kind)
{
	struct procmsg m = { .type = PM_PEER_UP };
	struct way *w = session_way(r);

	if (w != NULL && w->conn->told_up) {
		wport_peer_up(r->dp, kind, w->conn);
		return;
	}
	if (r->remote == NULL)
		return;
	m.peer_up = r->remote->m;
	m.peer_up.addr.family = 4;	/* none: it is where its neighbours say */
	m.peer_up.datagram_max = datagram_max(r, &(bool){ false });
	wport_send(r->dp, kind, &m);
}

static void
tell_down(struct reach *r, uint64_t reason)
{
	struct procmsg m = { .type = PM_PEER_DOWN };

	r->told_up = false;
	memcpy(m.peer_down.node_id, r->node_id, NODE_ID_LEN);
	m.peer_down.reason = reason;
	wport_send(r->dp, WORKER_VPND, &m);
	wport_send(r->dp, WORKER_SVCHOSTD, &m);
}

static void
stat_fill(const struct reach *r, struct pm_peer_stat *m)
{
	const struct way *w = reach_best(r, CLASS_INTERACTIVE, NULL);

	memset(m, 0, sizeof(*m));
	memcpy(m->node_id, r->node_id, NODE_ID_LEN);
	m->datagram_max = datagram_max(r, &m->mtu_settled);
	if (w == NULL)
		return;
	m->rtt_us = (uint32_t)(w->probe.srtt_ns / NS_PER_US);
	m->rttvar_us = (uint32_t)(w->probe.rttvar_ns / NS_PER_US);
}

/* vpnd cuts its packets for the way that they take: what it goes by has to be there before the first of them. */
void
reach_tell_size(struct reach *r)
{
	struct procmsg m = { .type = PM_PEER_STAT };

	if (!r->told_up || r->nroutes == 0)
		return;
	stat_fill(r, &m.peer_stat);
	if (m.peer_stat.datagram_max == r->datagram_told && m.peer_stat.mtu_settled == r->settled_told)
		return;
	r->datagram_told = m.peer_stat.datagram_max;
	r->settled_told = m.peer_stat.mtu_settled;
	wport_send(r->dp, WORKER_VPND, &m);
}

static bool
has_port(const struct reach *r)
{
	const struct way *w;

	/* Of a session that ends it is told with the reason, once it has. */
	TAILQ_FOREACH(w, &r->ways, entry)
		if (w->route == NULL || way_port(w) != NULL)
			return true;
	return false;
}

static bool
works(const struct reach *r)
{
	for (unsigned c = 0; c < CLASS_COUNT; c++)
		if (reach_best(r, c, NULL) != NULL)
			return true;
	return false;
}

void
reach_update(struct reach *r)
{
	if (works(r)) {
		r->lost_ns = 0;
		if (!r->told_up && (r->remote != NULL || session_way(r) != NULL)) {
			r->told_up = true;
			tell_up(r, WORKER_VPND);
			tell_up(r, WORKER_SVCHOSTD);
		}
		reach_tell_size(r);
		return;
	}
	if (r->lost_ns == 0)
		r->lost_ns = r->dp->now_ns;
	if (r->told_up && (!has_port(r) || r->dp->now_ns - r->lost_ns >= DOWN_NS))
		tell_down(r, REASON_UNREACHABLE);
}

void
reach_tell(struct dataplane *dp, enum worker_kind kind)
{
	struct reach *r;

	for (size_t i = 0; i < REACH_BUCKETS; i++)
		LIST_FOREACH(r, &dp->reaches->bucket[i], bucket)
			if (r->told_up)
				tell_up(r, kind);
}

/* --- sessions --- */

static void
each_way_by(struct dataplane *dp, const uint8_t *neighbour, void (*fn)(struct way *, uint64_t), uint64_t arg)
{
	struct reach *r, *next_r;
	struct way *w, *next;

	for (size_t i = 0; i < REACH_BUCKETS; i++) {
		for (r = LIST_FIRST(&dp->reaches->bucket[i]); r != NULL; r = next_r) {
			next_r = LIST_NEXT(r, bucket);
			for (w = TAILQ_FIRST(&r->ways); w != NULL; w = next) {
				next = TAILQ_NEXT(w, entry);
				if (w->route != NULL && memcmp(route_neighbour(w->route), neighbour, NODE_ID_LEN) == 0)
					fn(w, arg);
			}
		}
	}
}

static void
neighbour_back(struct way *w, uint64_t arg)
{
	(void)arg;
	w->state = WAY_NEW;
	probe_soon(w);
}

void
reach_session_up(struct conn *c)
{
	struct dataplane *dp = c->dp;
	struct reach *r = reach_get(dp, c->session.peer.node_id);
	struct way *w;

	each_way_by(dp, c->session.peer.node_id, neighbour_back, 0);
	if (r == NULL || ((w = session_way(r)) == NULL && (w = way_new(r, NULL, c)) == NULL)) {
		conn_end(c, REASON_LIMIT);
		return;
	}
	w->conn = c;
	w->state = WAY_UP;
	w->sent = w->lost = w->bytes = 0;
	r->datagram_told = c->datagram_max;
	r->settled_told = false;
	/* Also when it was up by a route, or by a session that this one replaces: what it has proven may be another thing. */
	r->told_up = true;
	tell_up(r, WORKER_VPND);
	tell_up(r, WORKER_SVCHOSTD);
	probe_soon(w);
	reach_update(r);
	move_proof(w);
	reach_rescue(r);
}

static void
neighbour_gone(struct way *w, uint64_t proof_ns)
{
	w->state = WAY_SILENT;
	way_leave(w, REASON_HOP_GONE, proof_ns);
}

void
reach_session_down(struct conn *c, uint64_t reason)
{
	struct dataplane *dp = c->dp;
	struct reach *r = reach_find(dp, c->session.peer.node_id);
	struct way *w = r == NULL ? NULL : session_way(r);

	if (w != NULL && w->conn == c) {
		w->state = WAY_SILENT;
		way_leave(w, reason, c->session.heard_ns);
		way_free(w);
	}
	each_way_by(dp, c->session.peer.node_id, neighbour_gone, c->session.heard_ns);
}

static void
neighbour_over(struct way *w, uint64_t arg)
{
	(void)arg;
	reach_update(w->reach);
}

void
reach_session_over(struct dataplane *dp, const uint8_t *node_id, uint64_t reason, bool replaced)
{
	struct reach *r = reach_find(dp, node_id);

	if (r != NULL && !replaced) {
		if (r->told_up && !has_port(r))
			tell_down(r, reason);
		reach_update(r);
		reach_drop(r);
	}
	each_way_by(dp, node_id, neighbour_over, 0);
}

/* --- routed's word --- */

static void
on_remote(struct dataplane *dp, const struct pm_peer_up *m)
{
	struct reach *r = reach_get(dp, m->node_id);
	struct reach_remote *k;
	bool first;

	if (r == NULL || m->prefixes.len > sizeof(k->prefixes) || m->membership.len > sizeof(k->membership))
		return;
	first = r->remote == NULL;
	if (first && (r->remote = calloc(1, sizeof(*r->remote))) == NULL)
		return;
	k = r->remote;
	k->m = *m;
	if (m->prefixes.len > 0)
		memcpy(k->prefixes, m->prefixes.p, m->prefixes.len);
	memcpy(k->membership, m->membership.p, m->membership.len);
	k->m.prefixes.p = k->prefixes;
	k->m.membership.p = k->membership;
	if (!first && r->told_up && session_way(r) == NULL) {	/* what it is has changed */
		tell_up(r, WORKER_VPND);
		tell_up(r, WORKER_SVCHOSTD);
	}
	reach_update(r);
}

static void
on_remote_del(struct dataplane *dp, const uint8_t *node_id)
{
	struct reach *r = reach_find(dp, node_id);

	if (r == NULL || r->remote == NULL)
		return;
	free(r->remote);
	r->remote = NULL;
	if (r->told_up && session_way(r) == NULL)
		tell_down(r, REASON_UNREACHABLE);
	reach_drop(r);
}

/* What passed since that was last told; what is not taken now is in what is told next. */
static void
used_tell(struct dataplane *dp, struct route *r)
{
	struct procmsg m = { .type = PM_ROUTE_USED };

	if (!r->news || r->routed != r->set->routed)
		return;
	m.route_used.route_id = r->id;
	for (unsigned c = 0; c < CLASS_COUNT; c++) {
		if (r->forth[c] == r->told_forth[c] && r->back[c] == r->told_back[c])
			continue;
		m.route_used.class = (uint8_t)c;
		m.route_used.forth = r->forth[c] - r->told_forth[c];
		m.route_used.back = r->back[c] - r->told_back[c];
		if (wport_send(dp, WORKER_ROUTED, &m) == -1)
			return;
		r->told_forth[c] = r->forth[c];
		r->told_back[c] = r->back[c];
	}
	r->news = false;
}

static void
route_del(struct dataplane *dp, struct route *route, uint64_t reason)
{
	struct way *w = route->way;
	struct reach *r = w == NULL ? NULL : w->reach;

	used_tell(dp, route);
	if (w != NULL) {
		w->state = WAY_SILENT;
		way_leave(w, reason, dp->now_ns);
		way_free(w);
	}
	switch_route_del(&dp->sw, route, reason);
	if (r == NULL)
		return;
	reach_update(r);
	reach_drop(r);
}

/* The first to go when there is no room is what the routed before has named, and this one has not. */
static void
room_make(struct reach *r)
{
	struct way *w;

	if (r->nroutes < WAYS_MAX - 1)
		return;
	TAILQ_FOREACH(w, &r->ways, entry) {
		if (w->route != NULL && w->route->routed != w->route->set->routed) {
			route_del(r->dp, w->route, REASON_MOVED);
			return;
		}
	}
}

static void
route_refused(struct dataplane *dp, const struct pm_route *m, const char *why)
{
	if (ratelimit_take(&dp->reaches->refusals, dp->now_ns))
		log_warnx("route refused id=%llx place=%u: %s", (unsigned long long)m->route_id, m->place, why);
}

static void
on_route(struct dataplane *dp, const struct pm_route *m)
{
	struct route *route = route_find(&dp->sw.routes, m->route_id);
	bool first = route == NULL;
	struct reach *r;
	struct way *w;

	if ((route = route_put(&dp->sw.routes, m, dp->now_ns)) == NULL) {
		route_refused(dp, m, "it makes no sense, is another's, or there are too many");
		return;
	}
	if (!first && (w = route->way) != NULL)	/* it may take other classes than before */
		reach_rescue(w->reach);
	if (!first || route->place == TICKET_RELAY)
		return;
	if ((r = reach_get(dp, route->far)) != NULL)
		room_make(r);
	if (r == NULL || r->revoked || way_new(r, route, NULL) == NULL) {
		route_refused(dp, m, "no room for another way");
		route_remove(route);
	}
}

static void
on_rank(struct dataplane *dp, const struct pm_route_rank *m)
{
	struct reach *r = reach_find(dp, m->node_id);
	struct reach_rank k = { .n = (uint8_t)(m->ids.len / 8) };

	if (r == NULL || (r->rank == NULL && (r->rank = calloc(CLASS_COUNT, sizeof(*r->rank))) == NULL))
		return;
	for (unsigned i = 0; i < k.n; i++)
		for (unsigned b = 0; b < 8; b++)
			k.ids[i] = k.ids[i] << 8 | m->ids.p[8 * i + b];
	for (unsigned c = 0; c < CLASS_COUNT; c++)
		if (m->classes & 1u << c)
			r->rank[c] = k;
	reach_reorder(r, m->classes);
	reach_tell_size(r);
}

/* Everything that leads to it, over it or from it. */
static void
on_revoke(struct dataplane *dp, const struct pm_revoke *m)
{
	struct reach *r = reach_get(dp, m->node_id);
	struct peer *p = peer_find(dp, m->node_id);

	if (r == NULL)
		return;
	r->revoked = m->revoked;
	if (!m->revoked) {
		reach_drop(r);
		return;
	}
	for (size_t i = 0; i < ROUTE_BUCKETS; i++) {
		struct route *route, *next;

		for (route = LIST_FIRST(&dp->sw.routes.bucket[i]); route != NULL; route = next) {
			next = LIST_NEXT(route, entry);
			if (route_is_prev(route, m->node_id) || route_is_next(route, m->node_id) ||
			    memcmp(route->far, m->node_id, NODE_ID_LEN) == 0)
				route_del(dp, route, REASON_REVOKED);
		}
	}
	if (p != NULL && p->up != NULL) {
		STAT_INC(DP_REVOKED_SESSIONS);
		conn_end(p->up, REASON_REVOKED);
	}
}

int
reach_message(struct wport *w, const struct procmsg *m)
{
	struct dataplane *dp = w->dp;
	struct route *route;

	if (w->kind != WORKER_ROUTED) {
		if (m->type != PM_WANT)
			return -1;
		if (ratelimit_take(&w->wants, dp->now_ns))
			wport_send(dp, WORKER_ROUTED, m);
		return 0;
	}
	switch (m->type) {
	case PM_REMOTE:
		on_remote(dp, &m->peer_up);
		return 0;
	case PM_REMOTE_DEL:
		on_remote_del(dp, m->target_del.node_id);
		return 0;
	case PM_ROUTE:
		on_route(dp, &m->route);
		return 0;
	case PM_ROUTE_DEL:
		if ((route = route_find(&dp->sw.routes, m->route_del.route_id)) != NULL)
			route_del(dp, route, m->route_del.reason);
		return 0;
	case PM_ROUTE_RANK:
		on_rank(dp, &m->route_rank);
		return 0;
	case PM_PERMIT:
		permit_set(dp, &m->permit);
		return 0;
	case PM_REVOKE:
		on_revoke(dp, &m->revoke);
		return 0;
	case PM_TENANTS:
		return peers_tenants(dp, &m->tenants);
	case PM_WANT_FAILED:
		wport_send(dp, WORKER_VPND, m);
		wport_send(dp, WORKER_SVCHOSTD, m);
		return 0;
	default:
		return -1;
	}
}

/* --- time --- */

static uint64_t
ends_moved(const struct stream *st)
{
	return st->end[0].packets + st->end[1].packets;
}

/* What its streams have carried so far, probes aside. */
static uint64_t
way_moved(const struct way *w)
{
	struct port *p = w->route == NULL ? way_port(w) : NULL;
	const struct stream *st;
	uint64_t n = 0;

	if (w->route != NULL) {
		LIST_FOREACH(st, &w->route->streams, on_route)
			if (strcmp(st->service, SWITCH_PROBE) != 0)
				n += ends_moved(st);
		return n;
	}
	for (size_t i = 0; p != NULL && i < p->table_len; i++)
		for (const struct stream_end *e = p->table[i]; e != NULL; e = e->next)
			if (stream_of(e)->route == NULL && strcmp(stream_of(e)->service, SWITCH_PROBE) != 0 &&
			    strcmp(stream_of(e)->service, SWITCH_DIRECTORY) != 0)
				n += ends_moved(stream_of(e));
	return n;
}

static uint64_t
way_bytes(const struct way *w, ngtcp2_conn_info *info)
{
	uint64_t n = 0;

	if (w->route == NULL) {
		conn_info(w->conn, info);
		return info->bytes_recv + info->bytes_sent;
	}
	for (unsigned c = 0; c < CLASS_COUNT; c++)
		n += w->route->forth[c] + w->route->back[c];
	return n;
}

static uint32_t
way_streams(const struct way *w)
{
	struct port *p = way_port(w);

	return w->route != NULL ? w->route->nstreams - w->route->nprobes : p == NULL ? 0 : (uint32_t)p->nstreams;
}

static void
way_stat(struct way *w)
{
	struct procmsg m = { .type = PM_ROUTE_STAT };
	struct pm_route_stat *s = &m.route_stat;
	ngtcp2_conn_info info = { 0 };
	uint64_t bytes = way_bytes(w, &info);

	s->route_id = way_id(w);
	memcpy(s->node_id, w->reach->node_id, NODE_ID_LEN);
	s->state = w->state;
	s->rtt_us = (uint32_t)(w->probe.srtt_ns / NS_PER_US);
	s->jitter_us = (uint32_t)(w->probe.rttvar_ns / NS_PER_US);
	s->loss = probe_loss(&w->probe, w->reach->dp->now_ns, &s->probes);
	if (!w->probe.on && w->route == NULL) {		/* QUIC's own word */
		s->rtt_us = (uint32_t)(info.smoothed_rtt / NS_PER_US);
		s->jitter_us = (uint32_t)(info.rttvar / NS_PER_US);
		s->loss = info.pkt_sent > w->sent && info.pkt_lost > w->lost ?
		    pressure_of(info.pkt_lost - w->lost, info.pkt_sent - w->sent) : 0;
	}
	w->sent = info.pkt_sent;
	w->lost = info.pkt_lost;
	w->kbps = bytes < w->bytes ? 0 : (uint32_t)((bytes - w->bytes) / 125);
	w->bytes = bytes;
	s->kbps = w->kbps;
	s->streams = way_streams(w);
	wport_send(w->reach->dp, WORKER_ROUTED, &m);
}

static void
routes_second(struct dataplane *dp)
{
	struct routes *rs = &dp->sw.routes;
	struct route *r, *next;

	for (size_t i = 0; rs->n > 0 && i < ROUTE_BUCKETS; i++) {
		for (r = LIST_FIRST(&rs->bucket[i]); r != NULL; r = next) {
			next = LIST_NEXT(r, entry);
			used_tell(dp, r);
			if (r->hard <= rs->wall)
				route_del(dp, r, REASON_ROUTE_EXPIRED);
		}
	}
}

static void
one_second(struct reach *r)
{
	struct procmsg m = { .type = PM_PEER_STAT };
	struct way *w;

	r->active = false;
	TAILQ_FOREACH(w, &r->ways, entry) {
		uint64_t moved = r->nways > 1 ? way_moved(w) : 0;

		w->active = moved != w->moved;
		w->moved = moved;
		r->active = r->active || w->active;
		way_stat(w);
	}
	move_second(r);
	reach_update(r);
	if (r->told_up && session_way(r) == NULL) {
		stat_fill(r, &m.peer_stat);
		wport_send(r->dp, WORKER_SVCHOSTD, &m);
	}
}

void
reach_second(struct dataplane *dp)
{
	struct procmsg m = { .type = PM_LOAD };
	const struct frame_node_pressure *now = &dp->load.now;
	struct reach *r, *next;

	routes_second(dp);
	permits_second(dp);
	for (size_t i = 0; i < REACH_BUCKETS; i++) {
		for (r = LIST_FIRST(&dp->reaches->bucket[i]); r != NULL; r = next) {
			next = LIST_NEXT(r, bucket);
			one_second(r);
			reach_drop(r);
		}
	}
	m.load = (struct pm_load){ .queue = now->queue, .cpu = now->cpu, .memory = now->memory, .descriptors = now->descriptors };
	wport_send(dp, WORKER_ROUTED, &m);
}

static void
on_pace(evutil_socket_t fd, short what, void *arg)
{
	struct dataplane *dp = arg;

	(void)fd;
	(void)what;
	dp_begin(dp);
	switch_pace(&dp->sw);
	permits_tick(dp);
	dp_flush(dp);
}

void
reach_flush(struct dataplane *dp)
{
	bool held = !TAILQ_EMPTY(&dp->sw.routes.held);

	if ((held || permits_waiting(dp)) && !evtimer_pending(dp->reaches->pace, NULL))
		event_add(dp->reaches->pace, &(struct timeval){ 0, (held ? PACE_MS : WAIT_MS) * 1000 });
}

int
reaches_init(struct dataplane *dp)
{
	if ((dp->reaches = calloc(1, sizeof(*dp->reaches))) == NULL)
		return -1;
	if ((dp->reaches->pace = evtimer_new(dp->base, on_pace, dp)) == NULL || permits_init(dp) == -1)
		return -1;
	ratelimit_init(&dp->reaches->refusals, 10 * NS_PER_SEC, 10);
	ratelimit_init(&dp->reaches->wants, NS_PER_SEC / WANTS_PER_SEC, WANTS_PER_SEC);
	ratelimit_init(&dp->reaches->moves, NS_PER_SEC / MOVES_PER_SEC, MOVES_BURST);
	dp->sw.hooks = &hooks;
	return 0;
}

void
reaches_free(struct dataplane *dp)
{
	struct reaches *rs = dp->reaches;

	if (rs == NULL)
		return;
	dp->sw.hooks = NULL;
	for (size_t i = 0; i < REACH_BUCKETS; i++) {
		struct reach *r;

		while ((r = LIST_FIRST(&rs->bucket[i])) != NULL) {
			struct way *w;

			while ((w = TAILQ_FIRST(&r->ways)) != NULL)
				way_free(w);
			reach_free(r);
		}
	}
	permits_free(dp);
	if (rs->pace != NULL)
		event_free(rs->pace);
	free(rs);
	dp->reaches = NULL;
}
