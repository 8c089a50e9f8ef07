/*
 * What a far node may open here, by routed's word. An OPEN of a node that routed has not spoken of yet waits a moment for
 * that: the node's session, or its route, may be younger than the answer. What it has open when routed says otherwise
 * ends; what this node has open there is the far node's to judge.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "fabricd/dataplane/quic.h"
#include "fabricd/dataplane/reach.h"
#include "proc/stats.h"

#define KEEP_NS		NS_PER_SEC
#define KEEPS_MAX	1024u	/* OPENs that wait, */
#define KEEPS_ONE	64u	/* of one node */
#define UNNAMED_NS	(5 * NS_PER_SEC)	/* that routed has to name whoever has something open, once there is a policy */

#define CONN_OF(ptr) ((struct conn *)(void *)((char *)(ptr) - offsetof(struct conn, port)))

struct keep {
	TAILQ_ENTRY(keep) entry;
	struct port	*from;
	uint8_t		 source[NODE_ID_LEN];
	uint64_t	 until_ns;
	struct frame	 f;
	uint8_t		 bytes[FRAME_SERVICE_MAX + FRAME_NOISE_MAX];
};

struct keeps {
	TAILQ_HEAD(, keep) list;	/* the oldest first */
	size_t	n;
};

int
permits_init(struct dataplane *dp)
{
	if ((dp->reaches->keeps = calloc(1, sizeof(*dp->reaches->keeps))) == NULL)
		return -1;
	TAILQ_INIT(&dp->reaches->keeps->list);
	return 0;
}

static void
keep_free(struct keeps *ks, struct keep *k)
{
	TAILQ_REMOVE(&ks->list, k, entry);
	ks->n--;
	free(k);
}

void
permits_free(struct dataplane *dp)
{
	struct keeps *ks = dp->reaches->keeps;
	struct keep *k;

	while (ks != NULL && (k = TAILQ_FIRST(&ks->list)) != NULL)
		keep_free(ks, k);
	free(ks);
	dp->reaches->keeps = NULL;
}

/* length (1), name, classes (1): back to back. */
static bool
listed(const struct reach *r, struct frame_bytes service, unsigned class)
{
	const uint8_t *p = r->permits, *end = p + r->permits_len;

	for (; end - p >= 2 && end - p >= 2 + p[0]; p += 2 + p[0])
		if (p[0] == service.len && memcmp(p + 1, service.p, service.len) == 0)
			return (p[1 + p[0]] & 1u << class) != 0;
	return false;
}

/* Of another tenant, by what its session proved, or by what routed says of who is at the end of a route. */
static bool
foreign(const struct dataplane *dp, const struct reach *r)
{
	const struct way *w;

	TAILQ_FOREACH(w, &r->ways, entry)
		if (w->route == NULL)
			return strcmp(w->conn->session.peer.tenant, dp->self.tenants.own) != 0;
	return r->remote != NULL && strcmp(r->remote->m.tenant, dp->self.tenants.own) != 0;
}

static uint64_t
ask(const struct dataplane *dp, const uint8_t *source, struct frame_bytes service, unsigned class)
{
	const struct reach *r = reach_find(dp, source);

	if (r != NULL && r->revoked)
		return REASON_REVOKED;
	if (r != NULL && r->permitted)
		return r->permit_all || listed(r, service, class) ? REASON_NONE : REASON_NOT_ALLOWED;
	if (r != NULL && foreign(dp, r))
		return SWITCH_WAIT;	/* no default lets it through */
	if (!dp->reaches->permits)
		return REASON_NONE;	/* a routed that knows of no policy */
	return dp->reaches->permit_all ? REASON_NONE : SWITCH_WAIT;
}

uint64_t
permit_ask(struct fswitch *sw, const uint8_t *source, struct frame_bytes service, unsigned class)
{
	const struct dataplane *dp = (const struct dataplane *)(const void *)((const char *)sw -
	    offsetof(struct dataplane, sw));
	uint64_t reason = ask(dp, source, service, class);

	if (reason == REASON_NOT_ALLOWED)
		STAT_INC(DP_OPENS_NOT_ALLOWED);
	else if (reason == REASON_REVOKED)
		STAT_INC(DP_OPENS_REVOKED);
	return reason;
}

bool
permit_keep(struct fswitch *sw, struct port *from, const struct frame *f, const uint8_t *source)
{
	struct dataplane *dp = (struct dataplane *)(void *)((char *)sw - offsetof(struct dataplane, sw));
	struct keeps *ks = dp->reaches->keeps;
	struct keep *k;
	unsigned n = 0;

	TAILQ_FOREACH(k, &ks->list, entry)
		n += memcmp(k->source, source, NODE_ID_LEN) == 0;
	if (ks->n >= KEEPS_MAX || n >= KEEPS_ONE || f->open.service.len + f->open.noise.len > sizeof(k->bytes) ||
	    (k = calloc(1, sizeof(*k))) == NULL) {
		STAT_INC(DP_OPENS_NOT_ALLOWED);
		return false;
	}
	k->from = from;
	memcpy(k->source, source, NODE_ID_LEN);
	k->until_ns = dp->now_ns + KEEP_NS;
	k->f = *f;
	k->f.open.dest = k->f.open.source = NULL;
	frame_bytes_copy(k->bytes, f->open.service);
	k->f.open.service.p = k->bytes;
	frame_bytes_copy(k->bytes + f->open.service.len, f->open.noise);
	k->f.open.noise.p = k->bytes + f->open.service.len;
	TAILQ_INSERT_TAIL(&ks->list, k, entry);
	ks->n++;
	STAT_INC(DP_OPENS_WAITED);
	return true;
}

/* What is known by now is done; what is not, waits on. */
static void
decide(struct dataplane *dp, struct keep *k)
{
	uint64_t reason = ask(dp, k->source, k->f.open.service, k->f.open.class);
	struct keeps *ks = dp->reaches->keeps;
	struct port *from = k->from;
	struct frame f = k->f;

	if (reason == SWITCH_WAIT) {
		if (dp->now_ns < k->until_ns)
			return;
		reason = REASON_NOT_ALLOWED;
	}
	TAILQ_REMOVE(&ks->list, k, entry);
	ks->n--;
	if (reason == REASON_NOT_ALLOWED)
		STAT_INC(DP_OPENS_NOT_ALLOWED);
	switch_opened_late(from, &f, reason);
	/* It is not waited for any more; of a stream that was refused nothing is kept. */
	qstreams_opened(CONN_OF(from), f.open.stream_id);
	conn_dirty(CONN_OF(from));
	free(k);
}

bool
permits_waiting(const struct dataplane *dp)
{
	return dp->reaches->keeps->n > 0;
}

static void
decide_all(struct dataplane *dp)
{
	struct keep *k, *next;

	for (k = TAILQ_FIRST(&dp->reaches->keeps->list); k != NULL; k = next) {
		next = TAILQ_NEXT(k, entry);
		decide(dp, k);
	}
}

void
permits_tick(struct dataplane *dp)
{
	decide_all(dp);
}

/* The node opened it here, and might not now. */
static bool
denied(const struct stream *st, void *arg)
{
	const struct frame_bytes service = { (const uint8_t *)st->service, strlen(st->service) };
	const struct reach *r = arg;
	uint64_t reason;

	if (st->end[0].port->kind != PORT_SESSION || (st->reliable && st->credit.state >= CREDIT_ENDING))
		return false;
	reason = ask(r->dp, r->node_id, service, st->class);
	return reason == REASON_NOT_ALLOWED || reason == SWITCH_WAIT;
}

static const char *
name_of(const struct reach *r)
{
	const struct way *w;

	TAILQ_FOREACH(w, &r->ways, entry)
		if (w->route == NULL)
			return w->conn->session.peer.name;
	return r->remote == NULL ? "?" : r->remote->m.name;
}

static void
judge(struct reach *r)
{
	struct way *w;
	unsigned n = 0;

	TAILQ_FOREACH(w, &r->ways, entry) {
		if (w->route != NULL)
			n += switch_sweep_route(w->route, denied, r, REASON_NOT_ALLOWED);
		else if (w->conn->port.table != NULL)
			n += switch_sweep(&w->conn->port, denied, r, REASON_NOT_ALLOWED);
	}
	if (n == 0)
		return;
	STAT_ADD(DP_STREAMS_NOT_ALLOWED, n);
	log_info("streams ended n=%u peer=%s reason=%s", n, name_of(r), reason_name(REASON_NOT_ALLOWED));
}

void
permits_second(struct dataplane *dp)
{
	struct reach *r;

	if (dp->reaches->unnamed_ns == 0 || dp->now_ns < dp->reaches->unnamed_ns)
		return;
	dp->reaches->unnamed_ns = 0;
	for (size_t i = 0; i < REACH_BUCKETS; i++)
		LIST_FOREACH(r, &dp->reaches->bucket[i], bucket)
			judge(r);
}

static void
permits_forget(struct dataplane *dp)
{
	struct reach *r, *next;

	for (size_t i = 0; i < REACH_BUCKETS; i++) {
		for (r = LIST_FIRST(&dp->reaches->bucket[i]); r != NULL; r = next) {
			next = LIST_NEXT(r, bucket);
			r->permitted = false;
			reach_drop(r);
		}
	}
}

/* What it may from now on. */
static void
permit_one(struct reach *r, const struct pm_permit *m)
{
	uint8_t *p = NULL;

	if (r->permitted && r->permit_all == m->all && r->permits_len == m->services.len &&
	    (m->services.len == 0 || memcmp(r->permits, m->services.p, m->services.len) == 0))
		return;		/* so it was when each of its streams was opened */
	if (m->services.len > 0 && (p = malloc(m->services.len)) == NULL)
		return;
	if (p != NULL)
		memcpy(p, m->services.p, m->services.len);
	free(r->permits);
	r->permits = p;
	r->permits_len = m->services.len;
	r->permitted = true;
	r->permit_all = m->all;
	judge(r);
}

/*
 * And whoever is not named. A policy that is new is followed by what it says of each: who has something open is not cut
 * off before that, but nor does it stay open for want of a word.
 */
static void
permit_others(struct dataplane *dp, bool all)
{
	struct reaches *rs = dp->reaches;

	if (all) {	/* there is no policy any more: nor what it said of some */
		rs->unnamed_ns = 0;
		permits_forget(dp);
	} else if (rs->permit_all) {
		rs->unnamed_ns = dp->now_ns + UNNAMED_NS;
	}
	rs->permit_all = all;
}

void
permit_set(struct dataplane *dp, const struct pm_permit *m)
{
	static const uint8_t everybody[NODE_ID_LEN];
	struct reach *r;

	if (!dp->reaches->permits)	/* until now everything was let through */
		dp->reaches->unnamed_ns = dp->now_ns + UNNAMED_NS;
	dp->reaches->permits = true;
	if (memcmp(m->node_id, everybody, NODE_ID_LEN) == 0)
		permit_others(dp, m->all);
	else if ((r = reach_get(dp, m->node_id)) != NULL)
		permit_one(r, m);
	decide_all(dp);
}

bool
permit_waits(const struct dataplane *dp, const struct port *p, uint64_t id)
{
	const struct keep *k;

	TAILQ_FOREACH(k, &dp->reaches->keeps->list, entry)
		if (k->from == p && k->f.open.stream_id == id)
			return true;
	return false;
}

void
permits_port_gone(struct dataplane *dp, const struct port *p)
{
	struct keeps *ks = dp->reaches->keeps;
	struct keep *k, *next;

	for (k = TAILQ_FIRST(&ks->list); k != NULL; k = next) {
		next = TAILQ_NEXT(k, entry);
		if (k->from == p)
			keep_free(ks, k);
	}
}

void
permits_reset(struct dataplane *dp, const struct port *p, uint64_t id)
{
	struct keeps *ks = dp->reaches->keeps;
	struct keep *k;

	TAILQ_FOREACH(k, &ks->list, entry) {
		if (k->from == p && k->f.open.stream_id == id) {
			keep_free(ks, k);
			return;
		}
	}
}
