#include "fabric/govern.h"

#define NS_PER_SEC	1000000000ull
#define ROUND_MIN_NS	(2000u * 1000)	/* less is not measured well */
#define CAP_MIN		(16u * 1024)
#define BAD_ROUNDS	16u
#define OFF_NS		(5 * NS_PER_SEC)

void
govern_init(struct govern *g)
{
	*g = (struct govern){ .cap = UINT64_MAX };
}

static uint64_t
rate_max(const struct govern *g)
{
	uint64_t max = 0;

	for (unsigned i = 0; i < GOVERN_ROUNDS; i++)
		max = g->rate[i] > max ? g->rate[i] : max;
	return max;
}

static uint64_t
queue_ns(const struct govern_facts *f)
{
	return f->rtt_ns > f->min_rtt_ns ? f->rtt_ns - f->min_rtt_ns : 0;
}

static uint64_t
target_ns(const struct govern_facts *f)
{
	return f->min_rtt_ns / 20 > GOVERN_TARGET_NS ? f->min_rtt_ns / 20 : GOVERN_TARGET_NS;
}

/* While the queue is short the path may have room: it is tried, and more boldly when it stays short. */
static uint64_t
cap_from(const struct govern *g, const struct govern_facts *f)
{
	uint64_t queue = queue_ns(f), us = (f->min_rtt_ns + target_ns(f)) / 1000;
	uint64_t cap = rate_max(g) / 1000 * us / 1000;

	if (queue < target_ns(f))
		cap += g->grows ? cap : g->short_rounds > 2 ? cap / 4 : cap / 16;
	return cap < CAP_MIN ? CAP_MIN : cap;
}

static void
round_end(struct govern *g, const struct govern_facts *f)
{
	uint64_t took = f->now_ns - g->round_ns;

	uint64_t rate = (f->delivered - g->round_delivered) * 1000000 / (took / 1000 + 1);

	g->grows = rate > rate_max(g) + rate_max(g) / 4;
	g->short_rounds = queue_ns(f) < target_ns(f) / 2 ? g->short_rounds + 1 : 0;
	g->rate[g->round++ % GOVERN_ROUNDS] = rate;
	g->round_ns = f->now_ns;
	g->round_delivered = f->delivered;
	/* As much as is allowed is under way, not more, and still there is a queue: it is not ours. */
	g->bad = g->cap != UINT64_MAX && f->in_flight <= g->cap + g->cap / 8 && queue_ns(f) > 3 * target_ns(f) ?
	    g->bad + 1 : 0;
	if (g->bad >= BAD_ROUNDS) {
		g->bad = 0;
		g->off_until_ns = f->now_ns + OFF_NS;
	}
}

uint64_t
govern_cap(struct govern *g, const struct govern_facts *f)
{
	uint64_t round = f->rtt_ns > ROUND_MIN_NS ? f->rtt_ns : ROUND_MIN_NS;
	bool ended = f->now_ns - g->round_ns >= round;

	if (ended)
		round_end(g, f);
	if (g->urgent_ns == 0 || f->now_ns - g->urgent_ns > GOVERN_URGENT_NS || f->now_ns < g->off_until_ns) {
		g->cap = UINT64_MAX;
		g->bad = 0;
	} else if (ended || g->cap == UINT64_MAX) {
		g->cap = cap_from(g, f);
	}
	return g->cap;
}
