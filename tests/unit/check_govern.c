/* The governor over a path that is played here: a rate, a delay, and a queue that all who send share. */
#include <check.h>
#include <stdlib.h>

#include "fabric/govern.h"
#include "suite.h"

#define MS 1000000ull
#define PACKET 1200

/* What is under way beyond what the path holds stands in its queue, with what others put there. */
struct path {
	double rate;		/* bytes a ns */
	double ours;		/* bytes under way */
	double others;		/* bytes of others in the queue */
	double delivered;
	double cwnd;		/* bytes that congestion control allows */
	uint64_t base_ns;
};

static struct govern g;
static struct path p;
static uint64_t now;

static void
setup(void)
{
	govern_init(&g);
	p = (struct path){ .rate = 0.0125, .base_ns = 20 * MS };	/* 100 Mbit/s */
	p.cwnd = 2 * p.rate * (double)p.base_ns;
	now = 1000 * MS;
}

static double
bdp(void)
{
	return p.rate * (double)p.base_ns;
}

static double
queue(void)
{
	return (p.ours > bdp() ? p.ours - bdp() : 0) + p.others;
}

static uint64_t
cap(void)
{
	struct govern_facts f = {
		.now_ns = now, .rtt_ns = p.base_ns + (uint64_t)(queue() / p.rate), .min_rtt_ns = p.base_ns,
		.delivered = (uint64_t)p.delivered, .in_flight = (uint64_t)p.ours,
		.cwnd = (uint64_t)p.cwnd,
	};

	return govern_cap(&g, &f);
}

/* The time goes on, with as much under way as congestion control (twice what the path holds) and the governor allow. */
static void
run(uint64_t ms, bool urgent)
{
	for (uint64_t end = now + ms * MS; now < end; now += MS / 10) {
		double arrives = (p.ours > bdp() ? p.rate : p.ours / (double)p.base_ns) * 1e5, most;

		if (urgent)
			govern_urgent(&g, now);
		p.delivered += arrives;
		p.ours -= arrives;
		most = (double)cap();
		for (most = most > p.cwnd ? p.cwnd : most; p.ours + PACKET <= most && govern_next(&g) == 0; p.ours += PACKET)
			govern_sent(&g, PACKET);
	}
}

START_TEST(nothing_urgent_no_limit)
{
	run(2000, false);
	ck_assert(cap() == UINT64_MAX);
	ck_assert(queue() > 0.9 * bdp());
}
END_TEST

START_TEST(the_queue_is_short_and_the_path_full)
{
	double before;

	run(1000, false);
	run(1000, true);
	before = p.delivered;
	run(2000, true);
	ck_assert_msg(queue() / p.rate < 3.5 * MS, "queue %.1f ms", queue() / p.rate / 1e6);
	ck_assert_msg(p.delivered - before > 0.97 * p.rate * 2e9, "%.2f of the rate", (p.delivered - before) / p.rate / 2e9);
	/* When the last urgent frame is a while ago there is no limit again. */
	run(1200, false);
	ck_assert(cap() == UINT64_MAX);
}
END_TEST

/* From nothing, and after the path has become ten times as wide: it finds the rate. */
START_TEST(it_finds_the_rate)
{
	double before;

	run(3000, true);
	before = p.delivered;
	run(1000, true);
	ck_assert(p.delivered - before > 0.9 * p.rate * 1e9);
	p.rate *= 10;
	p.cwnd *= 10;
	run(3000, true);
	before = p.delivered;
	run(1000, true);
	ck_assert_msg(p.delivered - before > 0.9 * p.rate * 1e9, "%.2f of the rate", (p.delivered - before) / p.rate / 1e9);
}
END_TEST

/*
 * Congestion control lets half as much go for a while, to look for the path's delay: the rate is not forgotten over it, and
 * not looked for anew in the path's queue. Of the little that may go, what is urgent has its part.
 */
START_TEST(held_back_for_a_while)
{
	double most = 0, before, grown;

	run(3000, true);
	p.cwnd /= 4;
	for (unsigned i = 0; i < 250; i++) {
		run(1, true);
		ck_assert_msg(i < 20 || p.cwnd - p.ours >= 10000, "%.0f of %.0f bytes are left", p.cwnd - p.ours, p.cwnd);
	}
	p.cwnd *= 4;
	for (unsigned i = 0; i < 200; i++) {
		before = p.ours + p.delivered;
		run(1, true);
		most = queue() > most ? queue() : most;
		grown = p.ours + p.delivered - before;
		ck_assert_msg(grown < 2.6 * p.rate * MS, "%.0f bytes in a millisecond", grown);
	}
	ck_assert_msg(most / p.rate < 3.5 * MS, "queue %.1f ms", most / p.rate / 1e6);
	ck_assert_msg(p.ours > bdp(), "the path is full again");
}
END_TEST

/* A path that has become a tenth as wide, which congestion control has seen already: that shows in a queue. */
START_TEST(slower_after_a_pause)
{
	run(3000, true);
	p.cwnd = 1000;
	run(2000, true);
	p.rate /= 10;
	p.cwnd = 2 * bdp();
	run(1000, true);
	ck_assert_msg(queue() / p.rate < 3.5 * MS, "queue %.1f ms", queue() / p.rate / 1e6);
}
END_TEST

/* Others fill the queue: restraint would only leave the path to them, so there is none, and it is tried again later. */
START_TEST(others_fill_the_queue)
{
	bool off = false, again = false;

	run(1000, true);
	for (unsigned i = 0; i < 100 && !off; i++) {
		p.others = p.rate * 50e6;
		run(20, true);
		off = cap() == UINT64_MAX;
	}
	ck_assert(off);
	p.others = 0;
	for (unsigned i = 0; i < 600 && !again; i++) {
		run(20, true);
		again = cap() != UINT64_MAX;
	}
	ck_assert(again);
}
END_TEST

/* Whatever the carrier says, it is a number to go by. */
START_TEST(odd_facts)
{
	struct govern_facts f = { 0 };

	govern_urgent(&g, 1);
	govern_cap(&g, &f);
	for (unsigned i = 0; i < 1000; i++) {
		f = (struct govern_facts){ .now_ns = i * 7 * MS, .rtt_ns = i % 3 == 0 ? 0 : (uint64_t)i << (i % 40),
		    .min_rtt_ns = i % 5 == 0 ? UINT32_MAX : i, .delivered = i * 1000000ull, .in_flight = i,
		    .cwnd = i % 7 == 0 ? 0 : 1000000 };
		govern_urgent(&g, f.now_ns);
		ck_assert(f.cwnd == 0 || govern_cap(&g, &f) > 1000);
	}
}
END_TEST

int
main(void)
{
	const TTest *const tests[] = {
		nothing_urgent_no_limit, the_queue_is_short_and_the_path_full, it_finds_the_rate, held_back_for_a_while,
		slower_after_a_pause, others_fill_the_queue,
		odd_facts,
	};

	return suite_run(suite_of("govern", tests, sizeof(tests) / sizeof(tests[0]), setup, NULL));
}
