/* routed: which way to a node comes first. Reports of a dataplane in virtual time, the order that comes out. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "routed/ways.h"
#include "suite.h"

#define SEC 1000000000ull

static struct ways *w;
static uint64_t now;
static uint8_t node[NODE_ID_LEN] = { 7 };
static struct { uint64_t ids[WAYS_MAX]; unsigned n, times; } rank[WAY_GROUPS];
static struct { uint64_t from, to; enum way_why why; unsigned times; uint64_t at; } first[WAY_GROUPS];
static int full;

static int
on_rank(const struct pm_route_rank *m, void *arg)
{
	unsigned g = m->classes == WAYS_DELAY_CLASSES ? WAYS_DELAY : WAYS_BULK;

	(void)arg;
	if (full)
		return -1;
	ck_assert(m->classes == WAYS_DELAY_CLASSES || m->classes == WAYS_BULK_CLASSES);
	ck_assert_mem_eq(m->node_id, node, NODE_ID_LEN);
	rank[g].n = (unsigned)(m->ids.len / 8);
	rank[g].times++;
	for (unsigned i = 0; i < rank[g].n; i++) {
		rank[g].ids[i] = 0;
		for (unsigned b = 0; b < 8; b++)
			rank[g].ids[i] = rank[g].ids[i] << 8 | m->ids.p[i * 8 + b];
	}
	return 0;
}

static void
on_first(const struct ways_node *n, enum way_group g, uint64_t from, uint64_t to, enum way_why why, void *arg)
{
	(void)n;
	(void)arg;
	first[g].from = from;
	first[g].to = to;
	first[g].why = why;
	first[g].times++;
	first[g].at = now;
}

static void
setup(void)
{
	static const struct ways_ops ops = { on_rank, on_first };

	memset(rank, 0, sizeof(rank));
	memset(first, 0, sizeof(first));
	full = 0;
	now = 1000 * SEC;
	w = ways_new(&ops, NULL);
	ck_assert_ptr_nonnull(w);
}

static void
teardown(void)
{
	ways_free(w);
}

/* A path as it is: what a second of probing it reports. */
struct path { uint64_t id; uint32_t rtt_ms, jitter_us; uint16_t loss; uint32_t kbps, streams; uint8_t state; };

static void
report(struct path p, uint32_t probes)
{
	struct pm_route_stat m = { .route_id = p.id, .state = p.state, .rtt_us = p.rtt_ms * 1000, .jitter_us = p.jitter_us,
	    .loss = p.loss, .probes = probes, .kbps = p.kbps, .streams = p.streams };

	memcpy(m.node_id, node, NODE_ID_LEN);
	ways_stat(w, &m, now);
}

/* So many seconds, each of two ways once: the first carries streams and is probed fast. */
static void
seconds(unsigned n, struct path a, struct path b)
{
	while (n-- > 0) {
		now += SEC;
		report(a, 33);
		report(b, 10);
	}
}

#define UP(id, rtt) { (id), (rtt), 500, 0, 0, 1, WAY_UP }

static void
two(uint64_t a, uint64_t b)
{
	ck_assert_int_eq(ways_add(w, node, a, a == 0 ? 2 : 3, 0x3f, now), 0);
	ck_assert_int_eq(ways_add(w, node, b, b == 0 ? 2 : 3, 0x3f, now), 0);
	seconds(30, (struct path)UP(a, 20), (struct path)UP(b, 30));
	ck_assert_uint_eq(rank[WAYS_DELAY].ids[0], a);
	memset(first, 0, sizeof(first));
	rank[0].times = rank[1].times = 0;
}

static const struct {
	const char *what;
	struct path a, b;
	unsigned within;	/* seconds; 0: the first way stays */
	enum way_why why;
	enum way_group group;
} cases[] = {
	{ "nothing happens", UP(1, 20), UP(2, 30), 0, 0, WAYS_DELAY },
	{ "10 % loss", { 1, 20, 500, 100, 0, 1, WAY_UP }, UP(2, 30), 3, WAY_WHY_LOSS, WAYS_DELAY },
	{ "10 % loss, bulk", { 1, 20, 500, 100, 0, 1, WAY_UP }, UP(2, 30), 3, WAY_WHY_LOSS, WAYS_BULK },
	{ "10 % loss on both", { 1, 20, 500, 100, 0, 1, WAY_UP }, { 2, 30, 500, 200, 0, 0, WAY_UP }, 0, 0, WAYS_DELAY },
	{ "one probe of 33 lost", { 1, 20, 500, 30, 0, 1, WAY_UP }, UP(2, 30), 0, 0, WAYS_DELAY },
	{ "200 ms more", UP(1, 220), UP(2, 30), 3, WAY_WHY_DELAY, WAYS_DELAY },
	{ "200 ms more, bulk", UP(1, 220), UP(2, 30), 3, WAY_WHY_DELAY, WAYS_BULK },
	{ "200 ms more on both", UP(1, 220), UP(2, 230), 0, 0, WAYS_DELAY },
	{ "8 ms more", UP(1, 28), UP(2, 30), 0, 0, WAYS_DELAY },
	{ "30 ms more, not in haste", UP(1, 50), UP(2, 30), 12, WAY_WHY_BETTER, WAYS_DELAY },
	{ "1 Mbit/s beside a queue", { 1, 90, 500, 0, 1000, 1, WAY_UP }, UP(2, 30), 4, WAY_WHY_THIN, WAYS_BULK },
	{ "1 Mbit/s without a queue", { 1, 20, 500, 0, 1000, 1, WAY_UP }, UP(2, 30), 0, 0, WAYS_BULK },
	{ "a queue at 50 Mbit/s", { 1, 65, 500, 0, 50000, 1, WAY_UP }, UP(2, 60), 0, 0, WAYS_BULK },
	{ "silent", { 1, 0, 0, 1000, 0, 1, WAY_SILENT }, UP(2, 30), 1, WAY_WHY_STATE, WAYS_DELAY },
};

START_TEST(leaves)
{
	const enum way_group g = cases[_i].group;

	two(1, 2);
	seconds(60, cases[_i].a, cases[_i].b);
	if (cases[_i].within == 0) {
		ck_assert_msg(first[g].times == 0, "%s: moved", cases[_i].what);
		return;
	}
	ck_assert_msg(first[g].times == 1, "%s: moved %u times", cases[_i].what, first[g].times);
	ck_assert_uint_eq(first[g].from, 1);
	ck_assert_uint_eq(first[g].to, 2);
	ck_assert_uint_eq(rank[g].ids[0], 2);
	ck_assert_uint_eq(rank[g].ids[1], 1);
	ck_assert_msg(first[g].why == cases[_i].why, "%s: because of %s", cases[_i].what, way_why_name(first[g].why));
	ck_assert_msg(first[g].at - (now - 60 * SEC) <= cases[_i].within * SEC, "%s: after %llu s", cases[_i].what,
	    (unsigned long long)((first[g].at - (now - 60 * SEC)) / SEC));
}
END_TEST

/*
 * Loss is counted over eight seconds, so that it shows little by little: here two and then five lost of 264, which is what of a
 * path that loses a tenth is seen in its first two seconds when luck has it good.
 */
START_TEST(loss_that_begins)
{
	two(1, 2);
	for (unsigned i = 0; i < 2; i++) {
		now += SEC;
		report((struct path){ 1, 20, 500, i == 0 ? 8 : 19, 0, 1, WAY_UP }, 264);
		report((struct path)UP(2, 30), 40);
	}
	ck_assert_uint_eq(first[WAYS_DELAY].times, 1);
	ck_assert_uint_eq(first[WAYS_DELAY].why, WAY_WHY_LOSS);
}
END_TEST

/* One that was left for its loss is gone back to when the other loses as much: it is as good as it is now. */
START_TEST(back_from_a_worse_one)
{
	const struct path lossy1 = { 1, 20, 500, 150, 0, 1, WAY_UP }, lossy2 = { 2, 30, 500, 150, 0, 1, WAY_UP };

	two(1, 2);
	for (unsigned i = 0; i < 4; i++) {
		seconds(3, i % 2 == 0 ? lossy1 : (struct path)UP(1, 20), i % 2 == 0 ? (struct path)UP(2, 30) : lossy2);
		ck_assert_uint_eq(first[WAYS_DELAY].times, i + 1);
		ck_assert_uint_eq(rank[WAYS_DELAY].ids[0], 2 - i % 2);
		seconds(10, (struct path)UP(1, 20), (struct path)UP(2, 30));
		ck_assert_uint_eq(first[WAYS_DELAY].times, i + 1);
	}
}
END_TEST

/* A path that becomes good as soon as it is left, and bad as soon as it is taken. */
START_TEST(flaps_seldom)
{
	two(1, 2);
	for (unsigned i = 0; i < 3600; i++) {
		bool on_it = rank[WAYS_DELAY].ids[0] == 1;

		seconds(1, (struct path){ 1, 20, 500, on_it ? 150 : 0, 0, 1, WAY_UP }, (struct path)UP(2, 60));
	}
	ck_assert_uint_ge(first[WAYS_DELAY].times, 2);
	ck_assert_uint_le(first[WAYS_DELAY].times, 20);
}
END_TEST

/* The session is wanted back when it is as good as it was, also where both are fast; but not at once. */
START_TEST(direct_again)
{
	const struct path bad = { 0, 1, 100, 100, 0, 1, WAY_UP }, good = { 0, 1, 100, 0, 0, 1, WAY_UP },
	    relay = { 5, 2, 100, 0, 0, 1, WAY_UP };

	ck_assert_int_eq(ways_add(w, node, 5, 3, 0x3f, now), 0);
	ck_assert_int_eq(ways_add(w, node, 0, 2, 0x3f, now), 0);
	seconds(5, good, relay);
	ck_assert_uint_eq(rank[WAYS_DELAY].ids[0], 0);
	seconds(3, bad, relay);
	ck_assert_uint_eq(rank[WAYS_DELAY].ids[0], 5);
	seconds(20, good, relay);
	ck_assert_uint_eq(rank[WAYS_DELAY].ids[0], 5);
	seconds(40, good, relay);
	ck_assert_uint_eq(rank[WAYS_DELAY].ids[0], 0);
	ck_assert_uint_eq(first[WAYS_DELAY].times, 2);
}
END_TEST

/* What the dataplane left by itself it does not go back to at once. */
START_TEST(moved)
{
	struct pm_route_moved m = { .from = 1, .to = 2 };

	memcpy(m.node_id, node, NODE_ID_LEN);
	two(1, 2);
	ways_moved(w, &m, now);
	ck_assert_uint_eq(rank[WAYS_DELAY].ids[0], 2);
	ck_assert_uint_eq(rank[WAYS_BULK].ids[0], 2);
	seconds(4, (struct path)UP(1, 2), (struct path)UP(2, 60));
	ck_assert_uint_eq(rank[WAYS_DELAY].ids[0], 2);
	seconds(20, (struct path)UP(1, 2), (struct path)UP(2, 60));
	ck_assert_uint_eq(rank[WAYS_DELAY].ids[0], 1);
}
END_TEST

/* A way that is to be left comes behind every one that answers, but before one that is not proven. */
START_TEST(retired)
{
	two(1, 2);
	ck_assert_int_eq(ways_add(w, node, 3, 3, 0x3f, now), 0);
	ways_retire(w, node, 1, now);
	ck_assert_uint_eq(rank[WAYS_DELAY].ids[0], 2);
	ways_retire(w, node, 2, now);
	ck_assert_uint_ne(rank[WAYS_DELAY].ids[0], 3);
	report((struct path)UP(3, 100), 10);
	ck_assert_uint_eq(rank[WAYS_DELAY].ids[0], 3);
}
END_TEST

/* An order goes out when it changes and not else; all again to a new dataplane; and later when the channel was full. */
START_TEST(tells)
{
	two(1, 2);
	seconds(30, (struct path)UP(1, 20), (struct path)UP(2, 30));
	ck_assert_uint_eq(rank[WAYS_DELAY].times + rank[WAYS_BULK].times, 0);
	ways_again(w);
	ck_assert_uint_eq(rank[WAYS_DELAY].times, 1);
	ck_assert_uint_eq(rank[WAYS_BULK].times, 1);
	full = 1;
	ck_assert_int_eq(ways_add(w, node, 3, 3, 0x3f, now), 0);
	full = 0;
	ck_assert_uint_eq(rank[WAYS_DELAY].n, 2);
	ways_sync(w);
	ck_assert_uint_eq(rank[WAYS_DELAY].n, 3);
	ways_del(w, node, 1, now);
	ck_assert_uint_eq(rank[WAYS_DELAY].n, 2);
	ck_assert_uint_eq(rank[WAYS_DELAY].ids[0], 2);
	ways_del(w, node, 2, now);
	ways_del(w, node, 3, now);
	ck_assert_ptr_null(ways_find(w, node));
}
END_TEST

/* Of several that are all new the first stays so, whichever is reported first; unless it goes on not to answer. */
START_TEST(all_new)
{
	ck_assert_int_eq(ways_add(w, node, 1, 3, 0x3f, now), 0);
	ck_assert_int_eq(ways_add(w, node, 2, 3, 0x3f, now), 0);
	now += SEC;
	report((struct path)UP(2, 20), 30);
	report((struct path)UP(1, 20), 30);
	ck_assert_uint_eq(rank[WAYS_DELAY].ids[0], 1);
	ck_assert_uint_eq(first[WAYS_DELAY].times, 0);
	teardown();
	setup();
	ck_assert_int_eq(ways_add(w, node, 1, 3, 0x3f, now), 0);
	ck_assert_int_eq(ways_add(w, node, 2, 3, 0x3f, now), 0);
	seconds(3, (struct path){ 1, 0, 0, 0, 0, 0, WAY_NEW }, (struct path)UP(2, 20));
	ck_assert_uint_eq(rank[WAYS_DELAY].ids[0], 2);
}
END_TEST

/* A way is only in the orders of classes that it may carry. */
START_TEST(classes)
{
	ck_assert_int_eq(ways_add(w, node, 1, 3, WAYS_DELAY_CLASSES, now), 0);
	ck_assert_int_eq(ways_add(w, node, 2, 3, 0x3f, now), 0);
	seconds(2, (struct path)UP(1, 20), (struct path)UP(2, 30));
	ck_assert_uint_eq(rank[WAYS_DELAY].n, 2);
	ck_assert_uint_eq(rank[WAYS_BULK].times, 0);	/* one way is no order */
	ck_assert_int_eq(ways_add(w, node, 1, 3, 0x3f, now), 0);
	ck_assert_uint_eq(rank[WAYS_BULK].n, 2);
}
END_TEST

START_TEST(bounds)
{
	uint8_t id[NODE_ID_LEN] = { 1 };

	for (unsigned i = 0; i < WAYS_MAX; i++)
		ck_assert_int_eq(ways_add(w, node, i + 1, 3, 0x3f, now), 0);
	ck_assert_int_eq(ways_add(w, node, 100, 3, 0x3f, now), -1);
	for (unsigned i = 1; i < WAYS_NODES_MAX; i++) {
		id[1] = (uint8_t)(i >> 8);
		id[2] = (uint8_t)i;
		ck_assert_int_eq(ways_add(w, id, 1, 3, 0x3f, now), 0);
	}
	id[3] = 1;
	ck_assert_int_eq(ways_add(w, id, 1, 3, 0x3f, now), -1);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("ways");
	TCase *tc = tcase_create("ways");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, leaves, 0, sizeof(cases) / sizeof(cases[0]));
	tcase_add_test(tc, loss_that_begins);
	tcase_add_test(tc, back_from_a_worse_one);
	tcase_add_test(tc, flaps_seldom);
	tcase_add_test(tc, direct_again);
	tcase_add_test(tc, moved);
	tcase_add_test(tc, retired);
	tcase_add_test(tc, tells);
	tcase_add_test(tc, classes);
	tcase_add_test(tc, all_new);
	tcase_add_test(tc, bounds);
	suite_add_tcase(s, tc);
	return suite_run(s);
}
