/* The class scheduler under a clock of the test's: order, shares, drops, bounds. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "fabric/sched.h"
#include "suite.h"

#define MS 1000000ull

static struct sched_pool pool;
static struct sched *s;
static uint64_t now;

static void
setup(void)
{
	sched_pool_init(&pool, 1500, 4 << 20);
	s = sched_new(&pool, 1 << 20);
	ck_assert_ptr_nonnull(s);
	now = 1000 * MS;
}

static void
teardown(void)
{
	sched_free(s);
	ck_assert_uint_eq(pool.in_use, 0);
	sched_pool_free(&pool);
}

static bool
put(struct sched *sc, unsigned class, uint32_t flow, size_t len, uint8_t mark)
{
	struct sched_pkt *pkt = sched_alloc(sc, class, len);

	if (pkt == NULL)
		return false;
	pkt->data[0] = mark;
	sched_enqueue(sc, pkt, flow, now);
	return true;
}

/* Takes one and gives its class, or -1; *mark receives the first byte. */
static int
take(struct sched *sc, uint8_t *mark, size_t *len)
{
	struct sched_pkt *pkt = sched_dequeue(sc, now);
	int class;

	if (pkt == NULL)
		return -1;
	class = pkt->class;
	if (mark != NULL)
		*mark = pkt->data[0];
	if (len != NULL)
		*len = pkt->len;
	sched_pkt_free(&pool, pkt);
	return class;
}

START_TEST(empty)
{
	ck_assert(sched_empty(s));
	ck_assert_int_eq(take(s, NULL, NULL), -1);
}
END_TEST

START_TEST(order_within_a_stream)
{
	uint8_t mark;

	for (unsigned n = 0; n < 20; n++)
		ck_assert(put(s, CLASS_BULK, 7, 100, (uint8_t)n));
	for (unsigned n = 0; n < 20; n++) {
		ck_assert_int_eq(take(s, &mark, NULL), CLASS_BULK);
		ck_assert_uint_eq(mark, n);
	}
	ck_assert(sched_empty(s));
}
END_TEST

START_TEST(urgent_first)
{
	for (int c = CLASS_COUNT - 1; c >= 0; c--)
		ck_assert(put(s, (unsigned)c, 1, 200, 0));
	for (int c = 0; c < CLASS_COUNT; c++)
		ck_assert_int_eq(take(s, NULL, NULL), c);
}
END_TEST

/* An interactive packet that comes behind a megabyte of bulk is next but one at most. */
START_TEST(interactive_does_not_wait)
{
	unsigned waited = 0;

	for (unsigned n = 0; n < 600; n++)
		ck_assert(put(s, CLASS_BULK, 1, 1400, 0));
	for (unsigned n = 0; n < 50; n++)
		take(s, NULL, NULL);
	ck_assert(put(s, CLASS_INTERACTIVE, 2, 100, 0));
	while (take(s, NULL, NULL) != CLASS_INTERACTIVE)
		waited++;
	ck_assert_uint_le(waited, 1);
}
END_TEST

/* All classes full all the time: bytes are shared by weight, nobody starves. */
static void
share(const uint8_t *weight, unsigned sum)
{
	uint64_t bytes[CLASS_COUNT] = { 0 }, total = 0;
	size_t len = 0;

	for (unsigned round = 0; round < 20000; round++) {
		int c;

		for (unsigned k = CLASS_DNS; k < CLASS_COUNT; k++)
			while (sched_class_bytes(s, k) < 5000)
				ck_assert(put(s, k, round, 300 + round % 1000, 0));
		c = take(s, NULL, &len);
		ck_assert_int_gt(c, 0);
		bytes[c] += len;
		total += len;
	}
	for (unsigned k = CLASS_DNS; k < CLASS_COUNT; k++) {
		uint64_t fair = total * weight[k] / sum;

		ck_assert_msg(bytes[k] > fair * 9 / 10 && bytes[k] < fair * 11 / 10, "class %s: %lu of %lu",
		    class_name(k), (unsigned long)bytes[k], (unsigned long)fair);
	}
}

START_TEST(shares_by_weight)
{
	static const uint8_t usual[CLASS_COUNT] = { 0, 4, 8, 4, 2, 1 }, other[CLASS_COUNT] = { 0, 0, 2, 3, 8, 3 };
	static const uint8_t meant[CLASS_COUNT] = { 0, 4, 2, 3, 8, 3 };

	share(usual, 19);
	sched_weigh(s, other);	/* 0 is the usual one */
	share(meant, 20);
}
END_TEST

/* Control is first only for as much as the others send, however slow the link is: who floods it shares like the rest. */
static void
control_at(uint64_t ns_per_packet)
{
	uint64_t control = 0, other = 0;
	size_t len = 0;

	for (unsigned round = 0; round < 5000; round++) {
		while (sched_class_bytes(s, CLASS_CONTROL) < 5000)
			ck_assert(put(s, CLASS_CONTROL, 1, 1000, 0));
		while (sched_class_bytes(s, CLASS_BULK) < 5000)
			ck_assert(put(s, CLASS_BULK, 2, 1000, 0));
		if (take(s, NULL, &len) == CLASS_CONTROL)
			control += len;
		else
			other += len;
		now += ns_per_packet;
	}
	ck_assert_uint_gt(other, 5000 * 1000 / 5);
	ck_assert_uint_gt(control, other);
}

START_TEST(control_is_limited)
{
	control_at(1000);	/* 1 GB/s */
	control_at(1000000);	/* 1 MB/s */
}
END_TEST

/* Two streams of a class: one with a long queue does not keep the other waiting. */
START_TEST(fair_between_streams)
{
	uint8_t mark;
	unsigned waited = 0;

	for (unsigned n = 0; n < 500; n++)
		ck_assert(put(s, CLASS_BULK, 1, 1400, 1));
	take(s, NULL, NULL);
	ck_assert(put(s, CLASS_BULK, 2, 1400, 2));
	do {
		ck_assert_int_eq(take(s, &mark, NULL), CLASS_BULK);
		waited++;
	} while (mark != 2);
	ck_assert_uint_le(waited, 3);
}
END_TEST

static uint64_t
dropped(enum sched_drop why)
{
	uint64_t n = 0;

	for (unsigned c = 0; c < CLASS_COUNT; c++)
		n += pool.drops[c][why];
	return n;
}

/* A queue that stands above 5 ms for long loses packets, and no more than it must. */
START_TEST(codel_drops_what_stands)
{
	unsigned sent = 0;

	/* In: 1000 packets a second. Out: 900. */
	for (unsigned ms = 0; ms < 10000; ms++) {
		now += MS;
		put(s, CLASS_RELIABLE, 1, 1000, 0);
		if (ms % 10 != 0 && take(s, NULL, NULL) != -1)
			sent++;
	}
	ck_assert_uint_gt(dropped(SCHED_DROP_CODEL), 300);
	ck_assert_uint_eq(dropped(SCHED_DROP_FULL), 0);
	ck_assert_uint_gt(sent, 8900);
	/* Without drops, 1000 packets would wait. */
	ck_assert_uint_lt(sched_bytes(s), 500 * 1000);
}
END_TEST

START_TEST(codel_leaves_bursts_alone)
{
	for (unsigned round = 0; round < 50; round++) {
		for (unsigned n = 0; n < 40; n++)
			put(s, CLASS_RELIABLE, 1, 1000, 0);
		for (unsigned n = 0; n < 40; n++) {
			now += MS / 10;
			ck_assert_int_ne(take(s, NULL, NULL), -1);
		}
		now += 50 * MS;
	}
	ck_assert_uint_eq(dropped(SCHED_DROP_CODEL), 0);
}
END_TEST

/* The session's bound holds, and what is least urgent goes first. */
START_TEST(full_drops_the_least_urgent)
{
	while (pool.drops[CLASS_DROPPABLE][SCHED_DROP_FULL] == 0)
		ck_assert(put(s, CLASS_DROPPABLE, 1, 1400, 0));
	ck_assert_uint_le(sched_bytes(s), 1 << 20);
	for (unsigned n = 0; n < 100; n++)
		ck_assert(put(s, CLASS_INTERACTIVE, 2, 1400, 0));
	ck_assert_uint_le(sched_bytes(s), 1 << 20);
	ck_assert_uint_eq(sched_class_bytes(s, CLASS_INTERACTIVE), 100 * 1400);
	ck_assert_uint_eq(pool.drops[CLASS_INTERACTIVE][SCHED_DROP_FULL], 0);
	ck_assert_uint_ge(pool.drops[CLASS_DROPPABLE][SCHED_DROP_FULL], 100);
	/* Nothing less urgent than droppable waits when only interactive does. */
	while (put(s, CLASS_INTERACTIVE, 3, 1400, 0) && sched_class_bytes(s, CLASS_DROPPABLE) > 0)
		;
	ck_assert(!put(s, CLASS_DROPPABLE, 4, 1400, 0));
}
END_TEST

/* All sessions together: who holds most gives, and no one else is starved by it. */
START_TEST(pool_is_shared)
{
	struct sched *other[8], *late;
	size_t memory;

	for (unsigned k = 0; k < 8; k++) {
		other[k] = sched_new(&pool, 1 << 20);
		for (unsigned n = 0; n < 500; n++)
			put(other[k], CLASS_BULK, n, 1500, 0);
	}
	memory = pool.nslabs * pool.stride * 64;
	ck_assert_uint_le(memory, 4 << 20);
	ck_assert_uint_gt(dropped(SCHED_DROP_POOL), 0);
	late = sched_new(&pool, 1 << 20);
	for (unsigned n = 0; n < 20; n++)
		ck_assert(put(late, CLASS_BULK, 1, 1500, 0));
	ck_assert_uint_eq(sched_bytes(late), 20 * 1500);
	for (unsigned k = 0; k < 8; k++)
		sched_free(other[k]);
	sched_free(late);
}
END_TEST

START_TEST(too_long)
{
	ck_assert(put(s, CLASS_BULK, 1, 1500, 0));
	ck_assert(!put(s, CLASS_BULK, 1, 1501, 0));
	ck_assert_uint_eq(pool.drops[CLASS_BULK][SCHED_DROP_TOO_LONG], 1);
}
END_TEST

/* Anything in any order: what went in came out or was counted, and bytes add up. */
START_TEST(conserves_packets)
{
	uint64_t in = 0, out = 0, lost = 0;
	unsigned seed = 1;

	for (unsigned k = 0; k < 200000; k++) {
		unsigned c = (unsigned)rand_r(&seed) % CLASS_COUNT;

		now += (unsigned)rand_r(&seed) % 20000;
		if (rand_r(&seed) % 100 < 55) {
			in++;
			put(s, c, (uint32_t)rand_r(&seed) % 50, 1 + (size_t)rand_r(&seed) % 1500, 0);
		} else if (take(s, NULL, NULL) != -1) {
			out++;
		}
	}
	while (take(s, NULL, NULL) != -1)
		out++;
	for (unsigned d = 0; d < SCHED_DROP_COUNT; d++)
		lost += dropped((enum sched_drop)d);
	ck_assert_uint_eq(in, out + lost);
	ck_assert(sched_empty(s));
	ck_assert_uint_eq(pool.in_use, 0);
}
END_TEST

int
main(void)
{
	const TTest *const tests[] = {
		empty, order_within_a_stream, urgent_first, interactive_does_not_wait, shares_by_weight,
		control_is_limited, fair_between_streams, codel_drops_what_stands, codel_leaves_bursts_alone,
		full_drops_the_least_urgent, pool_is_shared, too_long, conserves_packets,
	};

	return suite_run(suite_of("sched", tests, sizeof(tests) / sizeof(tests[0]), setup, teardown));
}
