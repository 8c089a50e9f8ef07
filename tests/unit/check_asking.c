/* routed: requests for routes on their way, and the ring of what happened. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "routed/asking.h"
#include "routed/history.h"
#include "suite.h"

static struct asking a;
static const uint8_t ids[8][NODE_ID_LEN] = { { 1 }, { 2 }, { 3 }, { 4 }, { 5 }, { 6 }, { 7 }, { 8 } };

/* The world: which of the above are coordinators next to this node, which are other neighbours, who can be sent to. */
static struct { unsigned coordinators, neighbours; bool away[8]; } w;
static unsigned sent[8];
static uint8_t last_ttl;

static const uint8_t *
on_coordinator(unsigned i, void *arg)
{
	return i < w.coordinators ? ids[i] : NULL;
}

static const uint8_t *
on_neighbour(unsigned i, void *arg)
{
	return i < w.neighbours ? ids[w.coordinators + i] : NULL;
}

static int
on_send(const uint8_t *id, unsigned type, const uint8_t *body, size_t len, void *arg)
{
	struct route_request q;

	ck_assert_uint_eq(type, DIRMSG_ROUTE_REQUEST);
	ck_assert_int_eq(route_request_decode(&q, body, len), 0);
	last_ttl = q.ttl;
	if (w.away[id[0] - 1])
		return -1;
	sent[id[0] - 1]++;
	return 0;
}

static const struct asking_ops ops = { on_coordinator, on_neighbour, on_send };

static void
setup(void)
{
	memset(&a, 0, sizeof(a));
	memset(&w, 0, sizeof(w));
	memset(sent, 0, sizeof(sent));
}

static unsigned
spread(unsigned ttl, const uint8_t *from, unsigned attempt)
{
	const struct route_request q = { (uint8_t)ttl, 77, 1, { { ids[0], { (const uint8_t *)"r", 1 } } } };

	memset(sent, 0, sizeof(sent));
	return asking_spread(&q, from, attempt, &ops, NULL);
}

/* A coordinator that is a neighbour is asked alone, another one at the next attempt, and whoever is there. */
START_TEST(coordinators_first)
{
	w.coordinators = 2;
	w.neighbours = 3;
	ck_assert_uint_eq(spread(4, NULL, 0), 1);
	ck_assert_uint_eq(sent[0], 1);
	ck_assert_uint_eq(spread(4, NULL, 1), 1);
	ck_assert_uint_eq(sent[1], 1);
	w.away[0] = true;
	ck_assert_uint_eq(spread(4, NULL, 0), 1);
	ck_assert_uint_eq(sent[1], 1);
	w.away[1] = true;
	ck_assert_uint_eq(spread(4, NULL, 0), 3);
	ck_assert_uint_eq(sent[2] + sent[3] + sent[4], 3);
}
END_TEST

/* Else some neighbours, but not the one that it came from; and with no hop left only a coordinator. */
START_TEST(then_neighbours)
{
	w.neighbours = 8;
	ck_assert_uint_eq(spread(4, NULL, 0), ASKING_SPREAD);
	ck_assert_uint_eq(last_ttl, 4);
	w.neighbours = 3;
	ck_assert_uint_eq(spread(2, ids[1], 0), 2);
	ck_assert_uint_eq(sent[1], 0);
	ck_assert_uint_eq(spread(0, NULL, 0), 0);
	w.coordinators = 1;
	ck_assert_uint_eq(spread(0, NULL, 0), 1);
	ck_assert_uint_eq(spread(0, ids[0], 0), 0);
}
END_TEST

/* One request is handed on once, and its answer goes back to where it first came from, for a while. */
START_TEST(remembers)
{
	const uint8_t key[HASH_LEN] = { 9, 8, 7 };

	ck_assert(asking_note(&a, 5, ids[0], 100));
	ck_assert(!asking_note(&a, 5, ids[1], 200));
	ck_assert_mem_eq(asking_find(&a, 5, 300)->from, ids[0], NODE_ID_LEN);
	ck_assert(!asking_find(&a, 5, 300)->own);
	asking_own(&a, 6, key, 100);
	ck_assert(asking_find(&a, 6, 300)->own);
	ck_assert_mem_eq(asking_find(&a, 6, 300)->key, key, HASH_LEN);
	ck_assert_ptr_null(asking_find(&a, 7, 300));
	ck_assert_ptr_null(asking_find(&a, 5, 100 + ASKING_LIFE_NS));
	ck_assert(asking_note(&a, 5, ids[1], 100 + ASKING_LIFE_NS));
	for (uint64_t id = 1; id < 100000; id++)	/* bounded, whatever comes */
		asking_note(&a, id * 7919, ids[2], 1000);
	ck_assert(asking_find(&a, 6, 1000)->own);	/* nobody drives out an own one */
}
END_TEST

/* One neighbour that asks too much does not keep another from asking. */
START_TEST(limited)
{
	unsigned n = 0;

	while (n <= ASKING_PEER_BURST && asking_allowed(&a, ids[0], NS_PER_SEC))
		n++;
	ck_assert_uint_eq(n, ASKING_PEER_BURST);
	ck_assert(asking_allowed(&a, ids[1], NS_PER_SEC));
	ck_assert(!asking_allowed(&a, ids[0], NS_PER_SEC));
	ck_assert(asking_allowed(&a, ids[0], NS_PER_SEC + ASKING_PEER_MS * NS_PER_MS));
}
END_TEST

/* Who has used it up is not forgotten for others who come, however many. */
START_TEST(limited_among_many)
{
	uint8_t id[NODE_ID_LEN] = { 0xee };

	while (asking_allowed(&a, ids[0], NS_PER_SEC))
		continue;
	for (unsigned i = 0; i < 1000; i++) {
		id[1] = (uint8_t)i;
		id[2] = (uint8_t)(i >> 8);
		ck_assert(asking_allowed(&a, id, NS_PER_SEC));
	}
	ck_assert(!asking_allowed(&a, ids[0], NS_PER_SEC));
}
END_TEST

static unsigned
told(uint64_t now_ns, struct lease_ask *ask)
{
	memset(ask, 0xff, sizeof(*ask));
	asking_tell(&a, ask, now_ns);
	return ask->nfailed;
}

/* What broke is told for a minute from the last time on; of too many, the last ones. */
START_TEST(tells_what_failed)
{
	const uint64_t t = 100 * NS_PER_SEC;
	uint8_t id[NODE_ID_LEN] = { 0 };
	struct lease_ask ask;

	ck_assert_uint_eq(told(t, &ask), 0);
	asking_failed(&a, ids[0], t);
	asking_failed(&a, ids[1], t);
	asking_failed(&a, ids[0], t + NS_PER_SEC);
	ck_assert_uint_eq(told(t + GRAPH_TOLD_NS - 1, &ask), 2);
	ck_assert_uint_eq(told(t + GRAPH_TOLD_NS, &ask), 1);
	ck_assert_mem_eq(ask.failed[0], ids[0], NODE_ID_LEN);
	ck_assert_uint_eq(told(t + GRAPH_TOLD_NS + NS_PER_SEC, &ask), 0);
	for (unsigned i = 1; i <= 100; i++) {
		id[0] = (uint8_t)i;
		asking_failed(&a, id, t + i);
	}
	ck_assert_uint_eq(told(t + 100, &ask), LEASE_FAILED_MAX);
	for (unsigned i = 0; i < LEASE_FAILED_MAX; i++)
		ck_assert_uint_gt(ask.failed[i][0], 100 - LEASE_FAILED_MAX);
}
END_TEST

/* Each request has a greater serial than the one before, unless the clock was set back so far that none before is valid. */
START_TEST(serials)
{
	const uint64_t t = 1800000000000ull, life = ROUTEMSG_LIFE_S * 1000;

	ck_assert_uint_eq(asking_serial(&a, t), t);
	ck_assert_uint_eq(asking_serial(&a, t), t + 1);
	ck_assert_uint_eq(asking_serial(&a, t + 1), t + 2);
	ck_assert_uint_eq(asking_serial(&a, t + 100), t + 100);
	ck_assert_uint_eq(asking_serial(&a, t + 101 - life), t + 101);
	ck_assert_uint_eq(asking_serial(&a, t + 101 - life), t + 101 - life);
}
END_TEST

START_TEST(history)
{
	struct history h;

	ck_assert_int_eq(history_init(&h), 0);
	ck_assert_ptr_null(history_get(&h, 0));
	for (uint64_t i = 1; i <= HISTORY_MAX + 10; i++)
		history_add(&h, HISTORY_MOVED, i)->to = i;
	ck_assert_uint_eq(history_get(&h, 0)->number, 11);	/* the oldest that is there */
	ck_assert_uint_eq(history_get(&h, 11)->to, 11);
	ck_assert_uint_eq(history_get(&h, HISTORY_MAX + 10)->wall_ms, HISTORY_MAX + 10);
	ck_assert_ptr_null(history_get(&h, HISTORY_MAX + 11));
	for (unsigned i = 0; i < HISTORY_KINDS; i++)
		ck_assert_str_ne(history_kind_name(i), "unknown");
	history_free(&h);
}
END_TEST

/* A great many streams that move at once push out each other, and nothing else; both are told in the order they came in. */
START_TEST(history_of_streams)
{
	const struct history_event *e;
	struct history h;
	uint64_t n = 0, last = 0;

	ck_assert_int_eq(history_init(&h), 0);
	history_add(&h, HISTORY_LEASED, 1);
	for (uint64_t i = 2; i <= HISTORY_STREAMS_MAX + 10; i++)
		history_add(&h, HISTORY_STREAM, i);
	history_add(&h, HISTORY_MOVED, HISTORY_STREAMS_MAX + 11);
	history_add(&h, HISTORY_STREAM, HISTORY_STREAMS_MAX + 12);
	for (uint64_t at = 1; (e = history_get(&h, at)) != NULL; at = e->number + 1) {
		ck_assert_uint_gt(e->number, last);
		ck_assert_uint_eq(e->wall_ms, e->number);
		last = e->number;
		n++;
	}
	ck_assert_uint_eq(n, HISTORY_STREAMS_MAX + 2);
	ck_assert_uint_eq(last, HISTORY_STREAMS_MAX + 12);
	ck_assert_uint_eq(history_get(&h, 0)->kind, HISTORY_LEASED);
	ck_assert_uint_eq(history_get(&h, 2)->number, 12);	/* the oldest stream's that is there */
	ck_assert_uint_eq(history_get(&h, HISTORY_STREAMS_MAX + 11)->kind, HISTORY_MOVED);
	history_free(&h);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("asking");
	TCase *tc = tcase_create("asking");

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, coordinators_first);
	tcase_add_test(tc, then_neighbours);
	tcase_add_test(tc, remembers);
	tcase_add_test(tc, limited);
	tcase_add_test(tc, limited_among_many);
	tcase_add_test(tc, tells_what_failed);
	tcase_add_test(tc, serials);
	tcase_add_test(tc, history);
	tcase_add_test(tc, history_of_streams);
	suite_add_tcase(s, tc);
	return suite_run(s);
}
