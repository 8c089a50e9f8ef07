#include "fabricd/dataplane/route.h"

#include <stdlib.h>

#include "base/clock.h"

#define BURST_NS	(50 * NS_PER_MS)	/* of a route's rate that may pass at once, */
#define BURST_MIN	32768			/* but as much as this */

void
routes_init(struct routes *rs, uint64_t secret)
{
	memset(rs, 0, sizeof(*rs));
	for (size_t i = 0; i < ROUTE_BUCKETS; i++)
		LIST_INIT(&rs->bucket[i]);
	LIST_INIT(&rs->held);
	rs->secret = secret | 1;
}

void
routes_free(struct routes *rs)
{
	for (size_t i = 0; i < ROUTE_BUCKETS; i++) {
		struct route *r;

		while ((r = LIST_FIRST(&rs->bucket[i])) != NULL)
			route_remove(r);
	}
}

static size_t
bucket(const struct routes *rs, uint64_t id)
{
	return (size_t)((id * rs->secret) >> 40) & (ROUTE_BUCKETS - 1);
}

struct route *
route_find(const struct routes *rs, uint64_t id)
{
	struct route *r;

	LIST_FOREACH(r, &rs->bucket[bucket(rs, id)], entry)
		if (r->id == id)
			return r;
	return NULL;
}

static bool
is_none(const uint8_t *node_id)
{
	static const uint8_t none[NODE_ID_LEN];

	return memcmp(node_id, none, NODE_ID_LEN) == 0;
}

/* Each place has its neighbours, and only the ends know who is far. */
static bool
makes_sense(const struct pm_route *m)
{
	switch (m->place) {
	case TICKET_SOURCE:
		return is_none(m->prev) && !is_none(m->next) && !is_none(m->far);
	case TICKET_RELAY:
		return !is_none(m->prev) && !is_none(m->next) && is_none(m->far) && memcmp(m->prev, m->next, NODE_ID_LEN) != 0;
	case TICKET_DEST:
		return !is_none(m->prev) && is_none(m->next) && !is_none(m->far);
	default:
		return false;
	}
}

static bool
leads_alike(const struct route *r, const struct pm_route *m)
{
	return r->place == m->place && memcmp(r->prev, m->prev, NODE_ID_LEN) == 0 &&
	    memcmp(r->next, m->next, NODE_ID_LEN) == 0 && memcmp(r->far, m->far, NODE_ID_LEN) == 0;
}

static struct route *
route_new(struct routes *rs, const struct pm_route *m, uint64_t now_ns)
{
	struct route *r;

	if (rs->n >= ROUTES_MAX || (r = calloc(1, sizeof(*r))) == NULL)
		return NULL;
	r->set = rs;
	r->id = m->route_id;
	r->place = m->place;
	memcpy(r->prev, m->prev, NODE_ID_LEN);
	memcpy(r->next, m->next, NODE_ID_LEN);
	memcpy(r->far, m->far, NODE_ID_LEN);
	LIST_INIT(&r->streams);
	ratelimit_init(&r->opens, NS_PER_SEC / ROUTE_OPENS, ROUTE_BURST);
	r->filled_ns = now_ns;
	LIST_INSERT_HEAD(&rs->bucket[bucket(rs, r->id)], r, entry);
	rs->n++;
	return r;
}

static uint64_t
bytes_per_sec(const struct route *r)
{
	return r->kbps * 125ull;
}

static int64_t
burst(const struct route *r)
{
	int64_t n = (int64_t)(bytes_per_sec(r) * BURST_NS / NS_PER_SEC);

	return n < BURST_MIN ? BURST_MIN : n;
}

struct route *
route_put(struct routes *rs, const struct pm_route *m, uint64_t now_ns)
{
	struct route *r = route_find(rs, m->route_id);

	if (!makes_sense(m) || (r != NULL && !leads_alike(r, m)))
		return NULL;
	if (r == NULL) {
		if ((r = route_new(rs, m, now_ns)) == NULL)
			return NULL;
		r->kbps = m->kbps;
		r->tokens = burst(r);
	}
	r->routed = rs->routed;
	r->epoch = m->epoch;
	r->classes = m->classes;
	r->kbps = m->kbps;
	r->max_streams = m->streams;
	r->hard = m->hard;
	return r;
}

void
route_remove(struct route *r)
{
	if (r->held)
		LIST_REMOVE(r, held_entry);
	LIST_REMOVE(r, entry);
	r->set->n--;
	free(r);
}

uint64_t
route_admit(struct route *r, unsigned class, bool probe, uint64_t now_ns)
{
	struct route_counters *n = &r->set->counters;

	if (r->hard <= r->set->wall) {
		n->expired++;
		return REASON_ROUTE_EXPIRED;
	}
	if (probe) {	/* it proves the route for whatever classes it has */
		n->limit += r->nprobes >= ROUTE_PROBES;
		return r->nprobes >= ROUTE_PROBES ? REASON_ROUTE_LIMIT : REASON_NONE;
	}
	if ((r->classes & 1u << class) == 0) {
		n->class++;
		return REASON_ROUTE_CLASS;
	}
	if (r->max_streams != 0 && r->nstreams - r->nprobes >= r->max_streams) {
		n->limit++;
		return REASON_ROUTE_LIMIT;
	}
	if (!ratelimit_take(&r->opens, now_ns)) {
		n->rate++;
		return REASON_ROUTE_RATE;
	}
	return REASON_NONE;
}

static void
refill(struct route *r, uint64_t now_ns)
{
	uint64_t ns = now_ns - r->filled_ns, n;

	/* Of a long time only so much as fills it: else the product would not fit. */
	n = (ns < 10 * NS_PER_SEC ? ns : 10 * NS_PER_SEC) / NS_PER_US * bytes_per_sec(r) / (NS_PER_SEC / NS_PER_US);
	if (n == 0)
		return;
	/* No further than what was earned: the rest of the time counts the next time. */
	r->filled_ns = ns < 10 * NS_PER_SEC ? r->filled_ns + n * NS_PER_SEC / bytes_per_sec(r) : now_ns;
	r->tokens += (int64_t)n;
	if (r->tokens > burst(r))
		r->tokens = burst(r);
}

bool
route_spend(struct route *r, size_t n, uint64_t now_ns)
{
	if (r->kbps == 0)
		return true;
	refill(r, now_ns);
	if (r->tokens <= 0)
		return false;
	r->tokens -= (int64_t)n;
	return true;
}

bool
route_spend_probe(struct route *r, size_t n, uint64_t now_ns)
{
	if (r->kbps == 0)
		return true;
	refill(r, now_ns);
	if (r->tokens < -burst(r))
		return false;
	r->tokens -= (int64_t)n;
	return true;
}

bool
route_charge(struct route *r, size_t n, uint64_t now_ns)
{
	if (r->kbps == 0)
		return true;
	refill(r, now_ns);
	r->tokens -= (int64_t)n;
	return r->tokens > 0;
}

bool
route_refilled(struct route *r, uint64_t now_ns)
{
	if (r->kbps == 0)
		return true;
	refill(r, now_ns);
	return r->tokens > 0;
}
