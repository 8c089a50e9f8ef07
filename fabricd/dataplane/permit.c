/*
 * What a far node may open here, by routed's word. An OPEN of a node that routed has not spoken of yet waits a moment for
 * that: the node's session, or its route, may be younger than the answer.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "fabricd/dataplane/quic.h"
#include "fabricd/dataplane/reach.h"
#include "proc/stats.h"

#define KEEP_NS		NS_PER_SEC
#define KEEPS_MAX	1024u	/* OPENs that wait, */
#define KEEPS_ONE	64u	/* of one node */

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

static uint64_t
ask(const struct dataplane *dp, const uint8_t *source, struct frame_bytes service, unsigned class)
{
	const struct reach *r = reach_find(dp, source);

	if (r != NULL && r->revoked)
		return REASON_REVOKED;
	if (!dp->reaches->permits)
		return REASON_NONE;	/* a routed that knows of no policy */
	if (r != NULL && r->permitted)
		return r->permit_all || listed(r, service, class) ? REASON_NONE : REASON_NOT_ALLOWED;
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
	memcpy(k->bytes, f->open.service.p, f->open.service.len);
	k->f.open.service.p = k->bytes;
	if (f->open.noise.len > 0)
		memcpy(k->bytes + f->open.service.len, f->open.noise.p, f->open.noise.len);
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

void
permit_set(struct dataplane *dp, const struct pm_permit *m)
{
	static const uint8_t everybody[NODE_ID_LEN];
	struct reach *r;
	uint8_t *p = NULL;

	dp->reaches->permits = true;
	if (memcmp(m->node_id, everybody, NODE_ID_LEN) == 0) {
		dp->reaches->permit_all = m->all;
		if (m->all)	/* there is no policy any more: nor what it said of some */
			permits_forget(dp);
	} else if ((r = reach_get(dp, m->node_id)) != NULL) {
		if (m->services.len > 0 && (p = malloc(m->services.len)) == NULL)
			return;
		if (p != NULL)
			memcpy(p, m->services.p, m->services.len);
		free(r->permits);
		r->permits = p;
		r->permits_len = m->services.len;
		r->permitted = true;
		r->permit_all = m->all;
	}
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
