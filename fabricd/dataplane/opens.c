#include "fabricd/dataplane/opens.h"

#include "base/clock.h"
#include "fabricd/dataplane/reach.h"
#include "proc/stats.h"

void
opens_init(struct opens *o, unsigned per_sec, unsigned burst)
{
	ratelimit_init(&o->streams, NS_PER_SEC / per_sec, burst);
	ratelimit_init(&o->own, NS_PER_SEC / per_sec, burst);
}

bool
opens_take(struct opens *o, bool own, uint64_t now_ns)
{
	return ratelimit_take(own ? &o->own : &o->streams, now_ns);
}

bool
opens_full(const struct opens *o, uint64_t now_ns)
{
	return o->streams.full_at_ns <= now_ns && o->own.full_at_ns <= now_ns;
}

static uint64_t
relayed(struct reach *neighbour, struct opens *tenant, bool own, uint64_t now_ns)
{
	if (!opens_take(&neighbour->relayed, own, now_ns)) {
		STAT_INC(DP_OPENS_FAST_NEIGHBOUR);
		return REASON_LIMIT;
	}
	if (!opens_take(tenant, own, now_ns)) {
		STAT_INC(DP_OPENS_FAST_TENANT);
		return REASON_LIMIT;
	}
	return REASON_NONE;
}

uint64_t
opens_admit(struct fswitch *sw, const struct port *from, const struct route *r, bool own)
{
	bool ends_here = r != NULL && r->place != TICKET_RELAY;
	struct reach *x = reach_find(dp_of(sw), ends_here ? r->far : from->node_id);

	if (x == NULL)		/* its session is about to end, for want of room */
		return REASON_LIMIT;
	if (r != NULL && !ends_here)
		return relayed(x, r->tenant, own, *sw->now_ns);
	if (!opens_take(&x->opens, own, *sw->now_ns)) {
		STAT_INC(DP_OPENS_FAST_NODE);
		return REASON_LIMIT;
	}
	return REASON_NONE;
}
