#include "fabricd/dataplane/route.h"

#include <stdlib.h>

#include "base/clock.h"

#define BURST_MS	50u			/* of a rate that may pass at once, */
#define BURST_MIN	32768			/* but as much as this */
#define PROBE_DEBT_MS	1000u			/* of the rate of all: each route that begins to send may owe a packet */

void
routes_init(struct routes *rs, uint64_t secret)
{
	memset(rs, 0, sizeof(*rs));
	for (size_t i = 0; i < ROUTE_BUCKETS; i++)
		LIST_INIT(&rs->bucket[i]);
	TAILQ_INIT(&rs->held);
	rs->secret = secret | 1;
	for (size_t i = 0; i < ROUTE_TENANTS; i++)
		opens_init(&rs->tenants[i], OPENS_TENANT, OPENS_TENANT_BURST);
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

static struct opens *
tenant_account(struct routes *rs, const char *name)
{
	uint64_t h = rs->secret;

	for (; *name != '\0'; name++)
		h = (h ^ (uint8_t)*name) * 0x100000001b3ull;
	return &rs->tenants[(h * rs->secret >> 40) % ROUTE_TENANTS];
}

static struct route *
route_new(struct routes *rs, const struct pm_route *m)
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
	ratelimit_init(&r->probe_opens, NS_PER_SEC / ROUTE_PROBE_OPENS, ROUTE_PROBE_BURST);
	LIST_INSERT_HEAD(&rs->bucket[bucket(rs, r->id)], r, entry);
	rs->n++;
	return r;
}

static uint64_t
bytes_per_sec(const struct route_rate *x)
{
	return x->kbps * 125ull;
}

/* What it earns in that time; a moment is never too short for a few packets. */
static int64_t
worth(const struct route_rate *x, unsigned ms)
{
	int64_t n = (int64_t)(bytes_per_sec(x) * ms / 1000);

	return n < BURST_MIN ? BURST_MIN : n;
}

static void
rate_set(struct route_rate *x, uint32_t kbps, uint64_t now_ns)
{
	bool full = x->kbps == 0;

	x->kbps = kbps;
	if (!full)
		return;
	x->tokens = worth(x, BURST_MS);
	x->filled_ns = now_ns;
}

struct route *
route_put(struct routes *rs, const struct pm_route *m, uint64_t now_ns)
{
	struct route *r = route_find(rs, m->route_id);

	if (!makes_sense(m) || (r != NULL && !leads_alike(r, m)))
		return NULL;
	if (r == NULL && (r = route_new(rs, m)) == NULL)
		return NULL;
	rate_set(&r->rate, m->kbps, now_ns);
	if (r->place == TICKET_RELAY)
		rate_set(&rs->relayed, m->kbps_all, now_ns);
	r->routed = rs->routed;
	r->epoch = m->epoch;
	r->classes = m->classes;
	r->max_streams = m->streams;
	r->tenant = tenant_account(rs, m->tenant);
	r->hard = m->hard;
	return r;
}

void
route_remove(struct route *r)
{
	if (r->held)
		TAILQ_REMOVE(&r->set->held, r, held_entry);
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
	if (!probe && (r->classes & 1u << class) == 0) {	/* a probe proves the route for whatever classes it has */
		n->class++;
		return REASON_ROUTE_CLASS;
	}
	if (probe ? r->nprobes >= ROUTE_PROBES : route_full(r)) {
		n->limit++;
		return REASON_ROUTE_LIMIT;
	}
	if (!ratelimit_take(probe ? &r->probe_opens : &r->opens, now_ns)) {
		n->rate++;
		return REASON_ROUTE_RATE;
	}
	return REASON_NONE;
}

static void
refill(struct route_rate *x, uint64_t now_ns)
{
	uint64_t ns = now_ns - x->filled_ns, n;

	/* Of a long time only so much as fills it: else the product would not fit. */
	n = (ns < 10 * NS_PER_SEC ? ns : 10 * NS_PER_SEC) / NS_PER_US * bytes_per_sec(x) / (NS_PER_SEC / NS_PER_US);
	if (n == 0)
		return;
	/* No further than what was earned: the rest of the time counts the next time. */
	x->filled_ns = ns < 10 * NS_PER_SEC ? x->filled_ns + n * NS_PER_SEC / bytes_per_sec(x) : now_ns;
	x->tokens += (int64_t)n;
	if (x->tokens > worth(x, BURST_MS))
		x->tokens = worth(x, BURST_MS);
}

/* Where there is no limit, always; else when there are tokens, or no more is owed than it earns in debt_ms. */
static bool
has(struct route_rate *x, unsigned debt_ms, uint64_t now_ns)
{
	if (x->kbps == 0)
		return true;
	refill(x, now_ns);
	return x->tokens > (debt_ms == 0 ? 0 : -worth(x, debt_ms));
}

static bool
all_have(struct route *r, unsigned debt_ms, uint64_t now_ns)
{
	return r->place != TICKET_RELAY || has(&r->set->relayed, debt_ms, now_ns);
}

static void
take(struct route *r, size_t n)
{
	if (r->rate.kbps != 0)
		r->rate.tokens -= (int64_t)n;
	if (r->place == TICKET_RELAY && r->set->relayed.kbps != 0)
		r->set->relayed.tokens -= (int64_t)n;
}

/* Streams that wait take all tokens as they come: what is urgent does not wait for them. */
static unsigned
debt_of(unsigned class, bool probe)
{
	return probe ? PROBE_DEBT_MS : class <= CLASS_INTERACTIVE ? BURST_MS : 0;
}

bool
route_spend(struct route *r, size_t n, unsigned class, bool probe, uint64_t now_ns)
{
	if (!has(&r->rate, probe ? BURST_MS : 0, now_ns) || !all_have(r, debt_of(class, probe), now_ns))
		return false;
	take(r, n);
	return true;
}

bool
route_charge(struct route *r, size_t n, uint64_t now_ns)
{
	take(r, n);
	return route_refilled(r, now_ns);
}

bool
route_refilled(struct route *r, uint64_t now_ns)
{
	return has(&r->rate, 0, now_ns) && all_have(r, 0, now_ns);
}

int64_t
routes_room(struct routes *rs, uint64_t now_ns)
{
	if (rs->relayed.kbps == 0)
		return INT64_MAX;
	refill(&rs->relayed, now_ns);
	return rs->relayed.tokens;
}
