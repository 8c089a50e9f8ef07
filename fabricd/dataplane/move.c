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

struct leaving {
	struct way	*from;
	struct way	*to;		/* the first that one went to */
	bool		 better;	/* only what this node opened, and where the other way comes first */
	unsigned	 classes;
};

static bool
leaves(const struct stream *st, void *arg)
{
	struct leaving *l = arg;
	struct way *to;

	if (!(l->classes & 1u << st->class) || (l->better && st->end[0].port->kind != PORT_WORKER))
		return false;
	to = reach_best(l->from->reach, st->class, l->better ? NULL : l->from);
	if (to == NULL || to == l->from)
		return false;
	if (l->to == NULL)
		l->to = to;
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
	unsigned *n = arg;

	++*n;
	(void)st;
	return false;
}

/* Those that have nowhere to go. */
static unsigned
stranded(struct way *w)
{
	unsigned n = 0;

	if (w->route != NULL)
		switch_sweep_route(w->route, is_here, &n, REASON_NONE);
	else if (w->conn->port.table != NULL)
		switch_sweep(&w->conn->port, is_here, &n, REASON_NONE);
	return n;
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
	struct leaving l = { .from = w, .classes = (1u << CLASS_COUNT) - 1 };
	unsigned n;

	w->reason = reason;
	w->proof_ns = proof_ns;
	reach_tell_size(w->reach);	/* what the adapters cut their packets to, before they are moved */
	if ((n = sweep(&l)) > 0)
		record(w, l.to, reason, proof_ns, n, lost(w));
	else if (way_port(w) == NULL && (w->reach->nroutes > 0 || w->reach->remote != NULL) && (n = stranded(w)) > 0)
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
		struct leaving l = { .from = w, .classes = classes, .better = true };
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
