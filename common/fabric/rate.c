#include "fabric/rate.h"

#include <string.h>

#define US		1000ull
#define MS		1000000ull
#define SEC		1000000000ull
#define MASK		(RATE_BATCHES - 1)

#define START_PACKETS	32u
#define FLOOR_PACKETS	4u
#define BW_MAX		12500000000ull	/* bytes a second: 100 Gbit/s */
#define SAMPLE_MAX	(1ull << 33)	/* bytes */

/* Gains in percent. */
#define GAIN_STARTUP	277u		/* 4 ln 2: the least that doubles each round */
#define GAIN_DRAIN	36u
#define GAIN_UP		125u
#define GAIN_DOWN	75u
#define GAIN_CRUISE	99u		/* what queue there is may go */
#define GAIN_WINDOW	200u

#define LATE_NS		(2 * MS)	/* what a late timer held up goes out at once */
#define HELD_NS		(2 * MS)	/* by which feedback may come late, for processors are busy */
#define QUEUE_NS	(5 * MS)	/* a round trip that much longer means a queue */
#define STALL_NS	(20 * MS)	/* startup goes on at least that long without growth */
#define LOW_NS		(50 * MS)	/* as long have rounds to be slow */
#define CRUISE_NS	(60 * MS)
#define MIN_RTT_NS	(10 * SEC)	/* how long a shortest round trip holds */
#define QUIET_NS	(200 * MS)
#define QUIET_MAX_NS	(2 * SEC)

#define LOSS_PERCENT	6u		/* of a round's packets: more is too much */
#define LOSS_MIN	4u

static const char *const state_names[] = {
	[RATE_STARTUP] = "startup", [RATE_DRAIN] = "drain", [RATE_UP] = "up", [RATE_DOWN] = "down",
	[RATE_CRUISE] = "cruise", [RATE_PROBE_RTT] = "probe-rtt",
};

const char *
rate_state_name(enum rate_state state)
{
	return state_names[state];
}

static uint64_t
min64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t
max64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

uint64_t
rate_bandwidth(const struct rate *r)
{
	return max64(r->bw_now, r->bw_before);
}

uint64_t
rate_inflight(const struct rate *r)
{
	return r->sent_bytes - max64(r->acked_bytes, r->written_off);
}

/* Bytes that the path holds: no more than 100 Gbit/s times some seconds, which fits. */
static uint64_t
bdp(const struct rate *r)
{
	return rate_bandwidth(r) * (r->min_rtt_ns / US) / (SEC / US);
}

/* Bytes that are under way only because feedback comes in steps. */
static uint64_t
slack(const struct rate *r)
{
	return r->quantum + rate_bandwidth(r) / (SEC / HELD_NS);
}

static unsigned
pacing_gain(enum rate_state state)
{
	switch (state) {
	case RATE_STARTUP:
		return GAIN_STARTUP;
	case RATE_DRAIN:
		return GAIN_DRAIN;
	case RATE_UP:
		return GAIN_UP;
	case RATE_DOWN:
		return GAIN_DOWN;
	default:
		return GAIN_CRUISE;
	}
}

/* What follows from the state and the model: the pace, the window, how much goes out at a time. */
static void
control(struct rate *r)
{
	uint64_t bw = rate_bandwidth(r), floor = FLOOR_PACKETS * r->mtu, start = START_PACKETS * r->mtu;
	uint64_t first = start * SEC / r->srtt_ns * GAIN_STARTUP / 100;

	if (bw == 0) {
		r->pacing = first;
		r->cwnd = start;
	} else {
		r->pacing = bw * pacing_gain(r->state) / 100;
		r->cwnd = bdp(r) * (r->state == RATE_STARTUP ? GAIN_STARTUP : GAIN_WINDOW) / 100 + 2 * slack(r);
		if (r->state == RATE_STARTUP)
			r->cwnd = max64(r->cwnd, start);
		if (r->state == RATE_PROBE_RTT)
			r->cwnd = bdp(r) / 2;
		r->cwnd = min64(r->cwnd, r->inflight_hi);
		/* Who had little to say has not learned that the path carries no more. */
		if (!r->sated && r->quiets == 0)
			r->pacing = max64(r->pacing, first);
	}
	r->pacing = max64(r->pacing, floor);	/* a window a second, at the very least */
	r->quantum = min64(max64(r->pacing / (SEC / MS), 2 * r->mtu), RATE_QUANTUM_MAX);
	r->cwnd = r->quiets > 0 ? floor : min64(max64(r->cwnd, floor), RATE_INFLIGHT_MAX);
}

static void
state_set(struct rate *r, enum rate_state state, uint64_t now)
{
	r->state = state;
	r->state_ns = now;
	r->state_round = r->round;
}

void
rate_init(struct rate *r, size_t mtu, uint64_t rtt_ns, uint64_t seed, uint64_t now)
{
	memset(r, 0, sizeof(*r));
	r->mtu = mtu;
	r->srtt_ns = max64(rtt_ns, US);
	r->min_rtt_ns = r->srtt_ns;
	r->min_rtt_at_ns = now;
	r->inflight_hi = r->round_rtt_ns = r->probe_rtt_ns = UINT64_MAX;
	r->round_limited = true;
	r->random = (seed | 1) * 0x9e3779b97f4a7c15ull;
	r->heard_ns = r->full_ns = now;
	state_set(r, RATE_STARTUP, now);
	control(r);
}

void
rate_mtu(struct rate *r, size_t mtu)
{
	r->mtu = mtu;
	control(r);
}

size_t
rate_room(const struct rate *r, uint64_t now)
{
	uint64_t inflight = rate_inflight(r);

	if (inflight >= r->cwnd || now < r->next_ns)
		return 0;
	return (size_t)min64(r->quantum, r->cwnd - inflight);
}

uint64_t
rate_next(const struct rate *r)
{
	return rate_inflight(r) >= r->cwnd ? UINT64_MAX : r->next_ns;
}

/* --- the ring of snapshots --- */

static struct rate_batch *
batch_new(struct rate *r, uint64_t now)
{
	struct rate_batch *b;

	if (r->last - r->first == RATE_BATCHES || (r->last != r->first &&
	    now - r->batch[(r->last - 1) & MASK].sent_ns < r->srtt_ns / 64))
		return NULL;
	b = &r->batch[r->last++ & MASK];
	b->sent_ns = now;
	b->delivered = r->bytes;
	b->delivered_ns = r->delivered_ns;
	b->first_sent_ns = r->first_sent_ns;
	b->limited = r->limited_until > r->acked;
	return b;
}

void
rate_sent(struct rate *r, uint64_t n, size_t segment, size_t bytes, uint64_t now)
{
	struct rate_batch *b;

	if (rate_inflight(r) == 0) {	/* nothing was on its way: time begins anew */
		r->delivered_ns = r->first_sent_ns = now;
		r->heard_ns = now;
		r->fresh = now - r->min_rtt_at_ns >= MIN_RTT_NS;
	}
	r->next += n;
	r->sent_bytes += bytes;
	if ((b = batch_new(r, now)) != NULL) {
		b->segment = (uint32_t)segment;
	} else {	/* the last one takes it: what is in it counts as equally long */
		uint64_t before, before_bytes;

		b = &r->batch[(r->last - 1) & MASK];
		before = r->last - r->first == 1 ? r->base : r->batch[(r->last - 2) & MASK].end;
		before_bytes = r->last - r->first == 1 ? r->base_bytes : r->batch[(r->last - 2) & MASK].bytes_end;
		b->segment = (uint32_t)((r->sent_bytes - before_bytes) / (r->next - before));
	}
	b->end = r->next;
	b->bytes_end = r->sent_bytes;
	if (r->next_ns + LATE_NS < now)
		r->next_ns = now - LATE_NS;
	r->next_ns += bytes * SEC / r->pacing;
}

void
rate_limited(struct rate *r)
{
	r->limited_until = r->next;
}

/*
 * Takes out what lies before the batch of `number`, and sets r->acked and r->acked_bytes. The batch, or NULL when it is
 * gone already.
 */
static struct rate_batch *
batch_find(struct rate *r, uint64_t number)
{
	struct rate_batch *b;

	while (r->first != r->last && (b = &r->batch[r->first & MASK])->end <= number) {
		r->base = b->end;
		r->base_bytes = b->bytes_end;
		r->first++;
	}
	if (r->first == r->last || number < r->base)
		return NULL;
	b = &r->batch[r->first & MASK];
	r->acked = number + 1;
	r->acked_bytes = r->acked == b->end ? b->bytes_end :
	    min64(r->base_bytes + (r->acked - r->base) * b->segment, b->bytes_end);
	return b;
}

uint64_t
rate_lost(const struct rate *r)
{
	uint64_t lost = r->acked - r->count;

	return r->written_off_end > r->acked ? lost + r->written_off_end - r->acked : lost;
}

uint64_t
rate_lost_bytes(const struct rate *r)
{
	uint64_t sent = max64(r->acked_bytes, r->written_off);

	return sent > r->bytes ? sent - r->bytes : 0;
}

/* --- the model --- */

static void
rtt_take(struct rate *r, uint64_t rtt, uint64_t now)
{
	rtt = max64(rtt, US);	/* a peer that holds a packet as long as it took */
	r->srtt_ns = r->samples++ == 0 ? rtt : r->srtt_ns - r->srtt_ns / 8 + rtt / 8;
	r->round_rtt_ns = min64(r->round_rtt_ns, rtt);
	r->probe_rtt_ns = min64(r->probe_rtt_ns, rtt);
	if (rtt <= r->min_rtt_ns || r->samples == 1 || r->fresh) {
		r->min_rtt_ns = rtt;
		r->min_rtt_at_ns = now;
		r->fresh = false;
	} else if (rtt <= r->min_rtt_ns + r->min_rtt_ns / 16 + 100 * US) {
		r->min_rtt_at_ns = now;		/* as short as it was: it still holds */
	}
}

static void
bandwidth_take(struct rate *r, const struct rate_batch *b, uint64_t now)
{
	uint64_t bytes = r->bytes - b->delivered, took, bw;

	took = max64(now - b->delivered_ns, b->sent_ns - b->first_sent_ns);
	if (took == 0 || took < r->min_rtt_ns)
		return;		/* no such thing: what came before was held up */
	bw = min64(min64(bytes, SAMPLE_MAX) * SEC / took, BW_MAX);
	r->round_bw = max64(r->round_bw, bw);
	if (!b->limited || bw > rate_bandwidth(r))
		r->bw_now = max64(r->bw_now, bw);
	if (!b->limited) {
		r->round_limited = false;
		/* What begins is never known to be all that there is: a few packets alone measure themselves. */
		r->sated = r->sated || bytes >= 2 * r->mtu;
	}
}

static bool
queue_stands(const struct rate *r)
{
	return r->round_rtt_ns != UINT64_MAX && r->round_rtt_ns > r->min_rtt_ns + max64(r->min_rtt_ns / 4, QUEUE_NS);
}

static bool
loss_is_high(const struct rate *r)
{
	uint64_t all = r->acked - r->round_acked, lost = r->acked - r->count, ce = r->ce - r->round_ce;

	lost = (lost > r->round_lost ? lost - r->round_lost : 0) + ce;
	return lost >= LOSS_MIN && lost * 100 > all * LOSS_PERCENT;
}

/* Too much was lost with so much under way. */
static void
bound(struct rate *r)
{
	uint64_t at = min64(rate_inflight(r), r->inflight_hi);

	r->inflight_hi = max64(at - at / 8, bdp(r) + slack(r));
}

static void
cruise(struct rate *r, uint64_t now)
{
	r->random = r->random * 6364136223846793005ull + 1442695040888963407ull;
	r->cruise_rounds = 6 + (r->random >> 33) % 3;
	r->cruise_ns = CRUISE_NS + (r->random >> 36) % (CRUISE_NS / 2);
	state_set(r, RATE_CRUISE, now);
}

static void
probe_up(struct rate *r, uint64_t now)
{
	if (!r->round_limited) {	/* a cycle that had little to send says nothing of the path */
		r->bw_before = r->bw_now;
		r->bw_now = 0;
	}
	r->inflight_hi = r->inflight_hi < RATE_INFLIGHT_MAX ? r->inflight_hi + r->inflight_hi / 4 : UINT64_MAX;
	r->drain_futile = false;
	state_set(r, RATE_UP, now);
}

/* A round of startup is over: whether it brought anything. */
static void
startup_round(struct rate *r, uint64_t now)
{
	uint64_t bw = rate_bandwidth(r);

	if (bw >= r->full_bw + r->full_bw / 4) {
		r->full_bw = bw;
		r->full_ns = now;
		r->full_rounds = 0;
	} else if (!r->round_limited) {
		r->full_rounds++;
	}
	if ((r->full_rounds >= 3 && now - r->full_ns >= STALL_NS) || loss_is_high(r) ||
	    (!r->round_limited && r->round_rtt_ns != UINT64_MAX &&
	    r->round_rtt_ns > r->min_rtt_ns + max64(r->min_rtt_ns / 2, 2 * QUEUE_NS))) {
		r->filled = true;
		state_set(r, RATE_DRAIN, now);
	}
}

/* The path became slower: nobody waits two cycles to believe it. */
static void
slow_round(struct rate *r, uint64_t now)
{
	uint64_t bw = rate_bandwidth(r);

	if (r->round_limited || r->round_bw >= bw - bw / 4 || !queue_stands(r)) {
		r->low_rounds = 0;
		return;
	}
	if (r->low_rounds++ == 0) {
		r->low_ns = now;
		r->low_bw = 0;
	}
	r->low_bw = max64(r->low_bw, r->round_bw);
	if (r->low_rounds < 3 || now - r->low_ns < LOW_NS)
		return;
	r->bw_now = r->low_bw;
	r->bw_before = 0;
	r->low_rounds = 0;
}

static void
cruise_round(struct rate *r, uint64_t now)
{
	if (r->round - r->state_round >= r->cruise_rounds && now - r->state_ns >= r->cruise_ns)
		probe_up(r, now);
	else if (queue_stands(r) && !r->drain_futile)
		state_set(r, RATE_DOWN, now);
}

static void
round_over(struct rate *r, uint64_t now)
{
	r->round++;
	if (loss_is_high(r) && r->state != RATE_STARTUP)
		bound(r);
	switch (r->state) {
	case RATE_STARTUP:
		startup_round(r, now);
		break;
	case RATE_CRUISE:
		slow_round(r, now);
		cruise_round(r, now);
		break;
	case RATE_UP:
		if (loss_is_high(r) || r->round_limited)
			state_set(r, RATE_DOWN, now);
		break;
	case RATE_DOWN:
		slow_round(r, now);
		if (r->round - r->state_round >= 3) {
			r->drain_futile = queue_stands(r);
			cruise(r, now);
		}
		break;
	default:
		break;
	}
	r->round_end = r->next;
	r->round_acked = r->acked;
	r->round_lost = r->acked - r->count;
	r->round_ce = r->ce;
	r->round_rtt_ns = UINT64_MAX;
	r->round_bw = 0;
	r->round_limited = true;
}

/* What does not wait for the end of a round. */
static void
state_step(struct rate *r, uint64_t now)
{
	uint64_t inflight = rate_inflight(r), path = bdp(r);

	switch (r->state) {
	case RATE_DRAIN:
		if (inflight <= path + slack(r) || r->round - r->state_round >= 6)
			cruise(r, now);
		break;
	case RATE_UP:
		if (r->round > r->state_round && now - r->state_ns >= r->min_rtt_ns &&
		    inflight >= min64(path * GAIN_UP / 100 + slack(r), r->cwnd - r->cwnd / 8))
			state_set(r, RATE_DOWN, now);
		break;
	case RATE_DOWN:
		if (r->round > r->state_round && inflight <= path + slack(r))
			cruise(r, now);
		break;
	default:
		break;
	}
}

static uint64_t
probe_rtt_time(const struct rate *r)
{
	return min64(max64(4 * r->min_rtt_ns, 10 * MS), 200 * MS);
}

/* The shortest round trip is old: the queue is let go for a moment, so that it shows again. */
static void
probe_rtt(struct rate *r, uint64_t now)
{
	if (r->state != RATE_PROBE_RTT) {
		if (now - r->min_rtt_at_ns < MIN_RTT_NS)
			return;
		r->probe_rtt_ns = UINT64_MAX;
		r->probe_done_ns = 0;
		state_set(r, RATE_PROBE_RTT, now);
		return;
	}
	if (r->probe_done_ns == 0) {
		if (rate_inflight(r) <= max64(r->cwnd, FLOOR_PACKETS * r->mtu)) {
			r->probe_done_ns = now + probe_rtt_time(r);
			r->probe_rtt_ns = UINT64_MAX;
			r->state_round = r->round;
		}
		return;
	}
	if (now < r->probe_done_ns || r->round == r->state_round)
		return;
	if (r->probe_rtt_ns != UINT64_MAX)
		r->min_rtt_ns = max64(r->probe_rtt_ns, US);
	r->min_rtt_at_ns = now;
	if (r->filled)
		cruise(r, now);
	else
		state_set(r, RATE_STARTUP, now);
}

static void
learn(struct rate *r, const struct rate_batch *b, uint64_t held_ns, uint64_t now)
{
	uint64_t rtt = now - b->sent_ns;

	/* How long it was held is the peer's word: it may make the path look shorter, never turn the sum around. */
	rtt_take(r, held_ns < rtt ? rtt - held_ns : rtt, now);
	bandwidth_take(r, b, now);
	r->first_sent_ns = b->sent_ns;
	r->delivered_ns = now;
	if (r->acked > r->round_end)
		round_over(r, now);
	state_step(r, now);
	probe_rtt(r, now);
}

static bool
is_true(const struct rate *r, const struct express_feedback *f)
{
	if (f->highest >= r->next || f->count == 0 || f->count > f->highest + 1 || f->bytes > r->sent_bytes)
		return false;
	return f->count <= r->count || f->bytes >= r->bytes;
}

int
rate_feedback(struct rate *r, const struct express_feedback *f, uint64_t now)
{
	const struct rate_batch *b;

	if (!is_true(r, f))
		return -1;
	if (f->count <= r->count || f->highest + 1 < r->acked)
		return 0;	/* another overtook it */
	r->count = f->count;
	r->bytes = f->bytes;
	r->ce = f->ce;
	r->heard_ns = now;
	r->quiets = 0;
	if (f->highest + 1 > r->acked && (b = batch_find(r, f->highest)) != NULL)
		learn(r, b, f->held_us * US, now);
	control(r);
	return 0;
}

static uint64_t
quiet_time(const struct rate *r)
{
	uint64_t t = max64(3 * r->srtt_ns, QUIET_NS) << (r->quiets < 4 ? r->quiets : 4);

	return min64(t, max64(QUIET_MAX_NS, 3 * r->srtt_ns));
}

uint64_t
rate_deadline(const struct rate *r)
{
	return rate_inflight(r) == 0 ? UINT64_MAX : r->heard_ns + quiet_time(r);
}

bool
rate_tick(struct rate *r, uint64_t now)
{
	if (now < rate_deadline(r))
		return false;
	r->written_off = r->sent_bytes;
	r->written_off_end = r->next;
	r->quiets++;
	r->heard_ns = now;
	control(r);
	return true;
}

/* --- the receiver's side --- */

void
rate_in_packet(struct rate_in *in, uint64_t number, size_t bytes, bool ce, uint64_t now)
{
	if (in->count == in->told)
		in->first_ns = now;
	if (number >= in->highest) {
		in->highest = number;
		in->highest_ns = now;
	}
	in->count++;
	in->bytes += bytes;
	in->ce += ce;
}

uint64_t
rate_in_deadline(const struct rate_in *in, uint64_t rtt_ns)
{
	uint64_t news = in->count - in->told, step = min64(max64(rtt_ns / 8, RATE_IN_MIN_NS), RATE_IN_MAX_NS);

	if (news == 0)
		return UINT64_MAX;
	if (news >= RATE_IN_PACKETS)
		return 0;
	return news == 1 ? in->first_ns + RATE_IN_TRAIL_NS : in->told_ns + step;
}

void
rate_in_tell(struct rate_in *in, struct express_feedback *f, uint64_t now)
{
	uint64_t held = (now - in->highest_ns) / US;

	f->highest = in->highest;
	f->count = in->count;
	f->bytes = in->bytes;
	f->held_us = held < UINT32_MAX ? (uint32_t)held : UINT32_MAX;
	f->ce = in->ce;
	in->told = in->count;
	in->told_ns = now;
}
