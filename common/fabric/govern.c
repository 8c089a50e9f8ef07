#include "fabric/govern.h"

#define NS_PER_SEC	1000000000ull
#define ROUND_MIN_NS	(2000u * 1000)	/* less is not measured well */
#define CAP_MIN		(16u * 1024)
#define BAD_ROUNDS	16u
#define OFF_NS		(5 * NS_PER_SEC)
#define SHORT_ROUNDS	8u	/* so often the little more that is tried leaves no queue: the path is wider */
#define RESERVE_MAX	(16u * 1024)
#define BURST_NS	(1000u * 1000)	/* so much of the rate may go at once */
#define BURST_MIN	8192u

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
		cap += g->grows ? cap : g->short_rounds > SHORT_ROUNDS ? cap / 4 : cap / 16;
	return cap < CAP_MIN ? CAP_MIN : cap;
}

/*
 * Less is under way than is allowed, and without a queue: congestion control holds back (BBR for the fifth of a second in
 * which it looks for the path's delay), or there is nothing to send. How fast the path is shows in no such round; if it
 * were believed, all would be sent at once afterwards to find the rate again.
 */
static bool
tells_nothing(const struct govern *g, const struct govern_facts *f, uint64_t rate)
{
	return g->cap != UINT64_MAX && rate < rate_max(g) && f->in_flight < g->cap - g->cap / 4 &&
	    queue_ns(f) < target_ns(f);
}

static void
round_end(struct govern *g, const struct govern_facts *f)
{
	uint64_t took = f->now_ns - g->round_ns;
	uint64_t rate = (f->delivered - g->round_delivered) * 1000000 / (took / 1000 + 1);

	if (tells_nothing(g, f, rate)) {
		g->grows = false;
		g->short_rounds = 0;
	} else {
		g->grows = rate > rate_max(g) + rate_max(g) / 4;
		g->short_rounds = queue_ns(f) < target_ns(f) / 2 ? g->short_rounds + 1 : 0;
		g->rate[g->round++ % GOVERN_ROUNDS] = rate;
	}
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

/* What congestion control allows, less some for what is urgent: else that waits until something is acknowledged. */
static uint64_t
cap_in_window(uint64_t cap, uint64_t cwnd)
{
	uint64_t reserve = cwnd / 8 < RESERVE_MAX ? cwnd / 8 : RESERVE_MAX;

	return cwnd - reserve < cap ? cwnd - reserve : cap;
}

/* Bytes a second: what is allowed in a round trip and somewhat more, so that what is missing under way comes in time. */
static uint64_t
pace_from(const struct govern *g, const struct govern_facts *f)
{
	uint64_t us = (f->min_rtt_ns + target_ns(f)) / 1000;

	return (g->cap + g->cap / 4) * 1000 / us * 1000;
}

static void
pace(struct govern *g, const struct govern_facts *f)
{
	uint64_t passed = f->now_ns - g->paced_ns;

	g->paced_ns = f->now_ns;
	if (g->cap == UINT64_MAX) {
		g->pace = 0;
		g->tokens = 0;
		return;
	}
	if (passed > NS_PER_SEC)
		passed = NS_PER_SEC;
	g->pace = pace_from(g, f);
	g->burst = (int64_t)(g->pace / 1000 * BURST_NS / 1000000);
	if (g->burst < (int64_t)BURST_MIN)
		g->burst = BURST_MIN;
	g->tokens += (int64_t)(g->pace / 1000 * (passed / 1000) / 1000);
	if (g->tokens > g->burst)
		g->tokens = g->burst;
	if (g->tokens < -g->burst)
		g->tokens = -g->burst;
}

uint64_t
govern_next(const struct govern *g)
{
	if (g->pace == 0 || g->tokens > 0)
		return 0;
	return g->paced_ns + (uint64_t)(g->burst / 2 - g->tokens) * 1000000 / (g->pace / 1000 + 1);
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
	pace(g, f);
	return g->cap == UINT64_MAX ? g->cap : cap_in_window(g->cap, f->cwnd);
}
