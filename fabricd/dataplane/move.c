/* Streams from one way to another: what they hear of it, and what routed does. */
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "fabricd/dataplane/quic.h"
#include "fabricd/dataplane/reach.h"
#include "proc/stats.h"

#define PROOF_NS (10 * NS_PER_SEC)	/* that a move waits for the first proof on the new way, before it is told without */

static void
tell(struct reach *r)
{
	struct procmsg m = { .type = PM_ROUTE_MOVED };

	m.route_moved = r->move.m;
	r->move.pending = false;
	wport_send(r->dp, WORKER_ROUTED, &m);
}

static uint32_t
us(uint64_t ns)
{
	ns /= NS_PER_US;
	return ns < UINT32_MAX ? (uint32_t)ns : UINT32_MAX;
}

void
move_proof(struct way *w)
{
	struct reach *r = w->reach;
	struct reach_move *m = &r->move;

	if (!m->pending || (!m->m.to_none && m->m.to != way_id(w)))
		return;
	if (m->m.to_none) {
		m->m.to_none = false;
		m->m.to = way_id(w);
	}
	m->m.recover_us = us(r->dp->now_ns - m->proof_ns);
	if (m->m.recover_us == 0)
		m->m.recover_us = 1;
	tell(r);
}

void
move_second(struct reach *r)
{
	if (r->move.pending && r->dp->now_ns - r->move.decided_ns >= PROOF_NS)
		tell(r);
}

static void
record(struct way *from, struct way *to, uint64_t reason, uint64_t proof_ns, unsigned streams, uint32_t packets_lost)
{
	struct reach *r = from->reach;
	struct reach_move *m = &r->move;

	STAT_ADD(DP_STREAMS_MOVED, streams);
	log_info("streams moved n=%u from=%llx to=%llx reason=%s", streams, (unsigned long long)way_id(from),
	    to == NULL ? 0ull : (unsigned long long)way_id(to), reason_name(reason));
	if (m->pending)
		tell(r);
	memset(m, 0, sizeof(*m));
	m->pending = true;
	m->proof_ns = proof_ns;
	m->decided_ns = r->dp->now_ns;
	memcpy(m->m.node_id, r->node_id, NODE_ID_LEN);
	m->m.from = way_id(from);
	m->m.to = to == NULL ? 0 : way_id(to);
	m->m.to_none = to == NULL;
	m->m.reason = reason;
	m->m.streams = streams;
	m->m.packets_lost = packets_lost;
	m->m.detect_us = us(r->dp->now_ns - proof_ns);
	if (to != NULL)
		probe_soon(to);
}

/* --- streams, one by one --- */

/* Upper bounds of the counters of each class; there is one more, for what took longer. */
static const uint32_t recover_us_max[] = { 100000, 300000, 1000000, 3000000 };
#define RECOVERED	(sizeof(recover_us_max) / sizeof(recover_us_max[0]) + 1)

_Static_assert(STAT_DP_RECOVERED_DNS_100MS == STAT_DP_RECOVERED_CONTROL_100MS + RECOVERED, "another number of counters");

static bool
is_over(const struct dataplane *dp, const struct moved *m)
{
	return dp->now_ns - m->decided_ns >= PROOF_NS;
}

/* Of those that an adapter of this node has opened: it will open them anew. */
static void
remember(const struct stream *st, const struct way *from, uint64_t reason, uint64_t proof_ns)
{
	struct dataplane *dp = from->reach->dp;
	struct moveds *ms = &dp->reaches->moved;
	const struct stream_end *e = &st->end[0];
	struct moved *m;

	if (e->port->kind != PORT_WORKER)
		return;
	if ((m = moved_find(ms, e->port, e->id)) != NULL) {
		if (!is_over(dp, m))
			return;		/* it was moved before, and the far end has not answered since */
		moved_drop(ms, m);
	}
	m = moved_put(ms, e->port, e->id);
	memcpy(m->node_id, from->reach->node_id, NODE_ID_LEN);
	m->from = way_id(from);
	m->reason = reason;
	m->proof_ns = proof_ns;
	m->decided_ns = dp->now_ns;
}

bool
move_follows(struct fswitch *sw, const struct port *from, uint64_t before, uint64_t id)
{
	struct moveds *ms = &dp_of(sw)->reaches->moved;
	struct moved *m = moved_find(ms, from, before);

	if (m == NULL)
		return false;
	moved_rename(ms, m, (uint32_t)id);
	return true;
}

static void
stream_tell(struct dataplane *dp, const struct stream *st, const struct moved *v, const struct way *to)
{
	struct procmsg m = { .type = PM_STREAM_MOVED };
	struct pm_stream_moved *s = &m.stream_moved;
	uint64_t *count = &stats->counter[STAT_DP_RECOVERED_CONTROL_100MS + st->class * RECOVERED];
	unsigned i = 0;

	memcpy(s->node_id, v->node_id, NODE_ID_LEN);
	s->stream_id = st->end[1].id;
	s->class = st->class;
	memcpy(s->service, st->service, strlen(st->service) + 1);	/* as long as a frame's at most */
	s->from = v->from;
	s->to = way_id(to);
	s->reason = v->reason;
	s->detect_us = us(v->decided_ns - v->proof_ns);
	s->recover_us = us(dp->now_ns - v->proof_ns);
	while (i < RECOVERED - 1 && s->recover_us > recover_us_max[i])
		i++;
	count[i]++;
	stats->counter[STAT_DP_RECOVER_US_CONTROL + st->class] += s->recover_us;
	if (ratelimit_take(&dp->reaches->moves, dp->now_ns))
		wport_send(dp, WORKER_ROUTED, &m);
	else
		STAT_INC(DP_RECOVERED_UNTOLD);
}

bool
move_answered(struct fswitch *sw, const struct stream *st)
{
	struct dataplane *dp = dp_of(sw);
	struct moved *m = moved_find(&dp->reaches->moved, st->end[0].port, st->end[0].id);
	struct reach *r;
	const struct way *to;

	if (m == NULL)
		return true;
	r = reach_find(dp, m->node_id);
	to = r == NULL ? NULL : reach_way(r, st->route);
	if (!st->reliable && to != NULL && to->state != WAY_UP)
		return false;
	if (to == NULL)
		return true;		/* it is about to be moved again */
	if (!is_over(dp, m))
		stream_tell(dp, st, m, to);
	moved_drop(&dp->reaches->moved, m);
	return true;
}

/* What could not say whether it works when it went out over this way: now it is known. */
static void
answered_by_way(struct way *w)
{
	struct stream *st;

	if (w->route != NULL)
		LIST_FOREACH(st, &w->route->streams, on_route)
			if (!st->reliable)
				switch_answered(&w->reach->dp->sw, st);
}

void
move_port_gone(struct dataplane *dp, const struct port *p)
{
	if (dp->reaches != NULL)
		moved_forget(&dp->reaches->moved, p);
}

/* --- a way's streams --- */

struct leaving {
	struct way	*from;
	struct way	*to;		/* the first that one went to */
	uint64_t	 reason, proof_ns;
	bool		 better;	/* only what this node opened, and where the other way comes first */
	unsigned	 classes;
	unsigned	 stranded;
};

static bool
leaves(const struct stream *st, void *arg)
{
	struct leaving *l = arg;
	struct way *to;

	if (!(l->classes & 1u << st->class) || (l->better && st->end[0].port->kind != PORT_WORKER))
		return false;
	to = reach_best(l->from->reach, st->class, l->better ? NULL : l->from);
	if (to == NULL || to == l->from || (l->better && way_full(to)))
		return false;
	if (l->to == NULL)
		l->to = to;
	remember(st, l->from, l->reason, l->proof_ns);
	return true;
}

static unsigned
sweep(struct leaving *l)
{
	struct way *w = l->from;

	if (w->route != NULL)
		return switch_sweep_route(w->route, leaves, l, REASON_MOVED);
	/* By its own port: to the switch the session may be gone already. */
	return w->conn->port.table == NULL ? 0 : switch_sweep(&w->conn->port, leaves, l, REASON_MOVED);
}

static bool
is_here(const struct stream *st, void *arg)
{
	struct leaving *l = arg;

	l->stranded++;
	remember(st, l->from, l->reason, l->proof_ns);
	return false;
}

/* Those that have nowhere to go. */
static unsigned
stranded(struct leaving *l)
{
	struct way *w = l->from;

	if (w->route != NULL)
		switch_sweep_route(w->route, is_here, l, REASON_NONE);
	else if (w->conn->port.table != NULL)
		switch_sweep(&w->conn->port, is_here, l, REASON_NONE);
	return l->stranded;
}

/* What had left by it since it last answered: some of that may have arrived. */
static uint32_t
lost(const struct way *w)
{
	uint64_t n = w->route == NULL || w->state == WAY_UP ? 0 : w->route->packets - w->packets;

	return n < UINT32_MAX ? (uint32_t)n : UINT32_MAX;
}

unsigned
way_leave(struct way *w, uint64_t reason, uint64_t proof_ns)
{
	struct leaving l = { .from = w, .reason = reason, .proof_ns = proof_ns, .classes = (1u << CLASS_COUNT) - 1 };
	unsigned n;

	w->reason = reason;
	w->proof_ns = proof_ns;
	reach_tell_size(w->reach);	/* what the adapters cut their packets to, before they are moved */
	if ((n = sweep(&l)) > 0)
		record(w, l.to, reason, proof_ns, n, lost(w));
	else if (way_port(w) == NULL && (w->reach->nroutes > 0 || w->reach->remote != NULL) && (n = stranded(&l)) > 0)
		record(w, NULL, reason, proof_ns, n, lost(w));
	return n;
}

void
reach_rescue(struct reach *r)
{
	struct way *w;

	TAILQ_FOREACH(w, &r->ways, entry)
		if (w->state == WAY_SILENT)
			way_leave(w, w->reason, w->proof_ns);
}

void
reach_reorder(struct reach *r, unsigned classes)
{
	struct way *w;

	TAILQ_FOREACH(w, &r->ways, entry) {
		struct leaving l = { .from = w, .reason = REASON_BETTER, .proof_ns = r->dp->now_ns, .classes = classes, .better = true };
		unsigned n = sweep(&l);

		if (n > 0)
			record(w, l.to, REASON_BETTER, r->dp->now_ns, n, 0);
	}
}

void
way_up(struct way *w)
{
	w->state = WAY_UP;
	log_debug("way up id=%llx", (unsigned long long)way_id(w));
	reach_update(w->reach);
	move_proof(w);
	reach_rescue(w->reach);
	move_proof(w);		/* for those it is proven as well */
	answered_by_way(w);
}

void
way_silent(struct way *w, uint64_t reason, uint64_t proof_ns)
{
	if (w->state == WAY_SILENT)
		return;
	if (w->state == WAY_NEW) {	/* its nodes do not all know of it yet */
		way_leave(w, reason, proof_ns);
		return;
	}
	w->state = WAY_SILENT;
	STAT_INC(DP_WAYS_SILENT);
	log_info("way silent id=%llx reason=%s", (unsigned long long)way_id(w), reason_name(reason));
	way_leave(w, reason, proof_ns);
	reach_update(w->reach);
}
