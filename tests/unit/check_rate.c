/*
 * The congestion control of express packets, in virtual time over a link that is simulated: a rate, a delay, a buffer,
 * loss, and somebody else on it. Every run is the same for a seed.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fabric/rate.h"
#include "suite.h"

#define US	1000ul
#define MS	1000000ul
#define SEC	1000000000ul
#define MTU	1452u
#define RING	(1u << 17)
#define HOLDS(x) do { if (!(x)) ck_abort_msg("%s", #x); } while (0)	/* millions of times: check's own write to a pipe */

struct flight {
	uint64_t at_ns, number;
};

struct ring {
	struct flight	f[RING];
	uint64_t	first, last;
};

/* Told on its way back. */
struct told {
	struct express_feedback f;
	uint64_t at_ns;
};

struct link {
	/* What is simulated. */
	uint64_t rate;			/* bytes a second */
	uint64_t delay_ns;		/* one way */
	uint64_t buffer;		/* bytes */
	unsigned loss_ppm, feedback_loss_ppm;
	uint64_t offered;		/* bytes a second that there are to send; 0: always some */
	uint64_t other_rate;		/* a competitor that does not care */
	bool	 reno;			/* one that does */
	/* Its state. */
	uint64_t now, free_ns;
	struct rate r;
	struct rate_in in;
	struct ring wire;		/* our packets, until they arrive */
	struct told back[4096];
	uint64_t back_first, back_last;
	uint64_t random;
	uint64_t offered_ns, offered_bytes;
	uint64_t other_ns, other_bytes;
	/* Reno: packets by when they are acknowledged. */
	struct ring reno_wire;
	uint64_t reno_window, reno_cut_ns;	/* in thousandths of a packet */
	uint64_t reno_bytes;
	/* What was measured. */
	uint64_t got_bytes, queue_max_ns, queue_sum_ns, queue_n, sent, lost;
};

static struct link net;

static unsigned
chance(struct link *l)
{
	l->random = l->random * 6364136223846793005ull + 1442695040888963407ull;
	return (unsigned)((l->random >> 33) % 1000000);
}

static void
link_new(struct link *l, uint64_t mbit, uint64_t rtt_ms, uint64_t seed)
{
	memset(l, 0, sizeof(*l));
	l->rate = mbit * 125000;
	l->delay_ns = rtt_ms * MS / 2;
	l->buffer = l->rate * rtt_ms / 1000 + 64 * 1024;	/* once what the path holds */
	l->random = seed;
	l->now = SEC;
	rate_init(&l->r, MTU, 2 * l->delay_ns, seed, l->now);
}

/* One packet into the bottleneck: when it arrives, 0 when it is lost. */
static uint64_t
pass(struct link *l, size_t bytes)
{
	uint64_t begin = l->free_ns > l->now ? l->free_ns : l->now;

	if ((begin - l->now) * l->rate / SEC + bytes > l->buffer || chance(l) < l->loss_ppm)
		return 0;
	l->free_ns = begin + bytes * SEC / l->rate;
	return l->free_ns + l->delay_ns;
}

static bool
has_data(struct link *l)
{
	if (l->offered == 0)
		return true;
	l->offered_bytes += (l->now - l->offered_ns) * l->offered / SEC;
	l->offered_ns = l->now;
	return l->offered_bytes >= MTU;
}

/* As the dataplane does: quanta until nothing more may go. */
static void
send(struct link *l)
{
	size_t room;

	while ((room = rate_room(&l->r, l->now)) > 0) {
		size_t bytes = 0, n = 0;

		for (; n < 45 && (bytes == 0 || bytes + MTU <= room) && has_data(l); n++) {
			uint64_t at = pass(l, MTU);

			bytes += MTU;
			l->sent++;
			l->offered_bytes -= l->offered == 0 ? 0 : MTU;
			if (at == 0) {
				l->lost++;
				continue;
			}
			HOLDS(l->wire.last - l->wire.first < RING);
			l->wire.f[l->wire.last++ % RING] = (struct flight){ at, l->r.next + n };
		}
		if (n > 0)
			rate_sent(&l->r, n, MTU, bytes, l->now);
		if (!has_data(l)) {
			rate_limited(&l->r);
			break;
		}
	}
	HOLDS(rate_inflight(&l->r) <= RATE_INFLIGHT_MAX + RATE_QUANTUM_MAX);
}

static void
receive(struct link *l)
{
	while (l->wire.first != l->wire.last && l->wire.f[l->wire.first % RING].at_ns <= l->now) {
		rate_in_packet(&l->in, l->wire.f[l->wire.first++ % RING].number, MTU, false, l->now);
		l->got_bytes += MTU;
	}
	if (rate_in_deadline(&l->in, 2 * l->delay_ns) <= l->now) {
		struct told *t = &l->back[l->back_last % 4096];

		rate_in_tell(&l->in, &t->f, l->now);
		t->at_ns = l->now + l->delay_ns;
		if (chance(l) >= l->feedback_loss_ppm) {
			l->back_last++;
			HOLDS(l->back_last - l->back_first <= 4096);
		}
	}
	while (l->back_first != l->back_last && l->back[l->back_first % 4096].at_ns <= l->now)
		HOLDS(rate_feedback(&l->r, &l->back[l->back_first++ % 4096].f, l->now) == 0);
}

/* The others on the link. */
static void
compete(struct link *l)
{
	uint64_t at;

	if (l->other_rate > 0) {
		l->other_bytes += (l->now - l->other_ns) * l->other_rate / SEC;
		for (; l->other_bytes >= MTU; l->other_bytes -= MTU)
			pass(l, MTU);
	}
	l->other_ns = l->now;
	if (!l->reno)
		return;
	while (l->reno_wire.first != l->reno_wire.last && l->reno_wire.f[l->reno_wire.first % RING].at_ns <= l->now) {
		l->reno_wire.first++;
		l->reno_bytes += MTU;
		l->reno_window += 1000000 / l->reno_window;
	}
	while ((l->reno_wire.last - l->reno_wire.first) * 1000 < l->reno_window) {
		if ((at = pass(l, MTU)) != 0) {
			l->reno_wire.f[l->reno_wire.last++ % RING] = (struct flight){ at + l->delay_ns, 0 };
			continue;
		}
		if (l->now - l->reno_cut_ns > 2 * l->delay_ns + l->buffer * SEC / l->rate) {	/* once a round trip */
			l->reno_cut_ns = l->now;
			l->reno_window = l->reno_window / 2 > 2000 ? l->reno_window / 2 : 2000;
		}
		break;
	}
}

static uint64_t
min64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* When something happens next. Timers of the dataplane's lie on a grid. */
static uint64_t
next_event(struct link *l)
{
	uint64_t at = min64(rate_deadline(&l->r), rate_in_deadline(&l->in, 2 * l->delay_ns)), next = rate_next(&l->r);

	if (next != UINT64_MAX)
		at = min64(at, (next + 99 * US) / (100 * US) * (100 * US));
	if (l->wire.first != l->wire.last)
		at = min64(at, l->wire.f[l->wire.first % RING].at_ns);
	if (l->back_first != l->back_last)
		at = min64(at, l->back[l->back_first % 4096].at_ns);
	if (l->other_rate > 0 || l->reno || l->offered > 0)
		at = min64(at, l->now + 100 * US);
	return at > l->now ? at : l->now + US;
}

static void
run(struct link *l, uint64_t ns)
{
	uint64_t end = l->now + ns;

	l->got_bytes = l->queue_max_ns = l->queue_sum_ns = l->queue_n = l->sent = l->lost = l->reno_bytes = 0;
	while (l->now < end) {
		uint64_t queue;

		receive(l);
		rate_tick(&l->r, l->now);
		send(l);
		compete(l);
		queue = l->free_ns > l->now ? l->free_ns - l->now : 0;
		if (queue > l->queue_max_ns)
			l->queue_max_ns = queue;
		l->queue_sum_ns += queue;
		l->queue_n++;
		l->now = next_event(l);
	}
}

/* Percent of the link's rate that arrived in the last run(). */
static uint64_t
filled(const struct link *l, uint64_t ns)
{
	return l->got_bytes * 100 / (l->rate * (ns / MS) / 1000);
}

static const struct { uint64_t mbit, rtt_ms; } paths[] = {
	{ 10, 1 }, { 10, 20 }, { 10, 100 }, { 100, 1 }, { 100, 20 }, { 100, 100 }, { 1000, 1 }, { 1000, 20 }, { 1000, 100 },
	{ 5000, 1 }, { 5000, 20 }, { 2500, 100 },	/* and with 100 ms what may be under way ends at this */
};
#define NPATHS	(int)(sizeof(paths) / sizeof(paths[0]))
#define SEEDS	3u

/* Says what was seen when that is asked for: CHECK_RATE_VERBOSE. */
static void
report(const struct link *l, const char *what, uint64_t ns)
{
	if (getenv("CHECK_RATE_VERBOSE") == NULL)
		return;
	printf("%-14s %5lu Mbit/s %4lu ms: %3lu %%, queue %6lu us (most %7lu), lost %.2f %%, %s bw %lu min_rtt %lu us cwnd %lu\n",
	    what, l->rate / 125000, 2 * l->delay_ns / MS, filled(l, ns), l->queue_sum_ns / l->queue_n / US,
	    l->queue_max_ns / US, 100.0 * (double)l->lost / (double)(l->sent + 1), rate_state_name(l->r.state),
	    rate_bandwidth(&l->r) / 125000, l->r.min_rtt_ns / US, l->r.cwnd);
}

static uint64_t
queue_mean(const struct link *l)
{
	return l->queue_sum_ns / l->queue_n;
}

START_TEST(fills_the_link)
{
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		link_new(&net, paths[_i].mbit, paths[_i].rtt_ms, seed);
		run(&net, 3 * SEC);
		report(&net, "start", 3 * SEC);
		run(&net, 5 * SEC);
		report(&net, "fill", 5 * SEC);
		ck_assert_uint_ge(filled(&net, 5 * SEC), 90);
		ck_assert_uint_le(queue_mean(&net), 4 * MS + paths[_i].rtt_ms * MS / 8 + 5 * MTU * SEC / net.rate);
		ck_assert_uint_le(net.lost * 50, net.sent);
	}
}
END_TEST

START_TEST(random_loss)
{
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		link_new(&net, paths[_i].mbit, paths[_i].rtt_ms, seed);
		net.loss_ppm = 20000;
		run(&net, 5 * SEC);
		run(&net, 5 * SEC);
		report(&net, "loss 2 %", 5 * SEC);
		ck_assert_uint_ge(filled(&net, 5 * SEC), 88);
	}
}
END_TEST

START_TEST(feedback_is_lost)
{
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		link_new(&net, paths[_i].mbit, paths[_i].rtt_ms, seed);
		net.feedback_loss_ppm = 300000;
		run(&net, 3 * SEC);
		run(&net, 5 * SEC);
		report(&net, "feedback lost", 5 * SEC);
		ck_assert_uint_ge(filled(&net, 5 * SEC), 50);	/* where it comes as seldom as a round trip takes */
	}
}
END_TEST

/* To a fifth and back; then the queue is gone again. */
START_TEST(rate_changes)
{
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		link_new(&net, 100, 20, seed);
		run(&net, 3 * SEC);
		net.rate /= 5;
		run(&net, 2 * SEC);
		report(&net, "dropped", 2 * SEC);
		run(&net, 3 * SEC);
		report(&net, "low", 3 * SEC);
		ck_assert_uint_ge(filled(&net, 3 * SEC), 90);
		ck_assert_uint_le(queue_mean(&net), 25 * MS);
		net.rate *= 5;
		run(&net, 4 * SEC);
		report(&net, "rose", 4 * SEC);
		run(&net, 2 * SEC);
		report(&net, "high", 2 * SEC);
		ck_assert_uint_ge(filled(&net, 2 * SEC), 90);
	}
}
END_TEST

/* Somebody takes half, whatever happens. */
START_TEST(half_is_taken)
{
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		link_new(&net, 100, 20, seed);
		net.other_rate = net.rate / 2;
		run(&net, 3 * SEC);
		run(&net, 5 * SEC);
		report(&net, "half taken", 5 * SEC);
		ck_assert_uint_ge(filled(&net, 5 * SEC), 44);
	}
}
END_TEST

/* Neither starves beside a sender that halves its window when something is lost. */
START_TEST(beside_reno)
{
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		link_new(&net, 50, 20, seed);
		net.reno = true;
		net.reno_window = 10000;
		run(&net, 5 * SEC);
		run(&net, 10 * SEC);
		report(&net, "beside reno", 10 * SEC);
		ck_assert_uint_ge(filled(&net, 10 * SEC), 10);
		ck_assert_uint_ge(net.reno_bytes * 100 / (net.rate * 10), 10);
	}
}
END_TEST

/* What has little to send waits for nothing and loses nothing. */
START_TEST(little_to_send)
{
	link_new(&net, 100, 20, 1);
	net.offered = net.rate / 4;
	net.offered_ns = net.now;
	run(&net, 5 * SEC);
	report(&net, "little", 5 * SEC);
	ck_assert_uint_ge(net.got_bytes * 100, net.offered * 5 * 95);
	ck_assert_uint_eq(net.lost, 0);
	ck_assert_uint_le(queue_mean(&net), 2 * MS);
}
END_TEST

/* A session that has said next to nothing, as a ping a second does, is no slow one: what then comes leaves as at first. */
START_TEST(little_and_then_much)
{
	struct rate r;
	uint64_t now = SEC, first;

	rate_init(&r, MTU, 20 * MS, 1, now);
	first = r.pacing;
	for (uint64_t i = 0; i < 50; i++) {
		struct express_feedback f = { .highest = i, .count = i + 1, .bytes = 60 * (i + 1) };

		rate_sent(&r, 1, 60, 60, now);
		rate_limited(&r);
		now += 20 * MS;
		ck_assert_int_eq(rate_feedback(&r, &f, now), 0);
		now += 80 * MS;
	}
	ck_assert_uint_ge(r.pacing, first / 2);
	ck_assert_uint_ge(rate_room(&r, now), MTU);
}
END_TEST

/* Nothing is heard: little goes out, for however long. When it is heard again all is as before. */
START_TEST(silence_and_after)
{
	link_new(&net, 1000, 20, 1);
	run(&net, 2 * SEC);
	net.feedback_loss_ppm = 1000000;
	run(&net, SEC);
	run(&net, 20 * SEC);
	report(&net, "silence", 20 * SEC);
	ck_assert_uint_le(net.sent, 200);
	ck_assert_uint_ge(net.sent, 8);
	net.feedback_loss_ppm = 0;
	run(&net, 4 * SEC);
	report(&net, "after", 4 * SEC);
	run(&net, 2 * SEC);
	ck_assert_uint_ge(filled(&net, 2 * SEC), 90);
}
END_TEST

static int
claims(struct rate *r, uint64_t highest, uint64_t count, uint64_t bytes)
{
	struct express_feedback f = { .highest = highest, .count = count, .bytes = bytes };

	return rate_feedback(r, &f, 3 * SEC);
}

START_TEST(lies_are_refused)
{
	struct rate *r = &net.r;

	rate_init(r, MTU, 20 * MS, 1, SEC);
	rate_sent(r, 10, MTU, 10 * MTU, 2 * SEC);
	ck_assert_int_eq(claims(r, 10, 10, 10 * MTU), -1);		/* was never sent */
	ck_assert_int_eq(claims(r, UINT64_MAX, 1, 1), -1);
	ck_assert_int_eq(claims(r, 4, 6, 5 * MTU), -1);			/* more than there are numbers */
	ck_assert_int_eq(claims(r, 9, 10, 10 * MTU + 1), -1);		/* more than was sent */
	ck_assert_int_eq(claims(r, 0, 0, 0), -1);			/* nothing has come, so nothing is told */
	ck_assert_uint_eq(r->samples, 0);
	ck_assert_int_eq(claims(r, 4, 5, 5 * MTU), 0);
	ck_assert_uint_eq(rate_inflight(r), 5 * MTU);
	ck_assert_int_eq(claims(r, 5, 6, 4 * MTU), -1);			/* less than before */
	ck_assert_int_eq(claims(r, 2, 3, 3 * MTU), 0);			/* overtaken: nothing changes */
	ck_assert_uint_eq(rate_inflight(r), 5 * MTU);
	ck_assert_int_eq(claims(r, 9, 8, 8 * MTU), 0);
	ck_assert_uint_eq(rate_inflight(r), 0);
	ck_assert_uint_eq(rate_lost(r), 2);
	ck_assert_uint_eq(rate_lost_bytes(r), 2 * MTU);
	ck_assert_int_eq(claims(r, 9, 10, 10 * MTU), 0);		/* they were only late */
	ck_assert_uint_eq(rate_lost(r), 0);
}
END_TEST

START_TEST(when_to_tell)
{
	struct rate_in in = { 0 };
	struct express_feedback f;

	ck_assert_uint_eq(rate_in_deadline(&in, 80 * MS), UINT64_MAX);
	rate_in_packet(&in, 0, 100, false, SEC);
	ck_assert_uint_eq(rate_in_deadline(&in, 80 * MS), SEC + RATE_IN_TRAIL_NS);
	rate_in_packet(&in, 7, 100, true, SEC + MS);
	ck_assert_uint_le(rate_in_deadline(&in, 80 * MS), SEC);
	rate_in_tell(&in, &f, SEC + 3 * MS);
	ck_assert_uint_eq(f.highest, 7);
	ck_assert_uint_eq(f.count, 2);
	ck_assert_uint_eq(f.bytes, 200);
	ck_assert_uint_eq(f.held_us, 2000);
	ck_assert_uint_eq(f.ce, 1);
	ck_assert_uint_eq(rate_in_deadline(&in, 80 * MS), UINT64_MAX);
	rate_in_packet(&in, 5, 100, false, SEC + 4 * MS);
	rate_in_packet(&in, 8, 100, false, SEC + 4 * MS);
	ck_assert_uint_eq(rate_in_deadline(&in, 80 * MS), SEC + 13 * MS);	/* an eighth of the round trip later */
	ck_assert_uint_eq(rate_in_deadline(&in, MS), SEC + 4 * MS);
	for (unsigned i = 9; i < 9 + RATE_IN_PACKETS; i++)
		rate_in_packet(&in, i, 100, false, SEC + 5 * MS);
	ck_assert_uint_eq(rate_in_deadline(&in, 80 * MS), 0);
}
END_TEST

int
main(void)
{
	Suite *su = suite_create("rate");
	TCase *tc = tcase_create("sim");

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, fills_the_link, 0, NPATHS);
	tcase_add_loop_test(tc, random_loss, 0, NPATHS);
	tcase_add_loop_test(tc, feedback_is_lost, 0, NPATHS);
	tcase_add_test(tc, rate_changes);
	tcase_add_test(tc, half_is_taken);
	tcase_add_test(tc, beside_reno);
	tcase_add_test(tc, little_to_send);
	tcase_add_test(tc, little_and_then_much);
	tcase_add_test(tc, silence_and_after);
	tcase_add_test(tc, lies_are_refused);
	tcase_add_test(tc, when_to_tell);
	suite_add_tcase(su, tc);
	return suite_run(su);
}
