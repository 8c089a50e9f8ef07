/*
 * How many routes lead from a node to another, and what each carries at most, against whole dataplanes over loopback.
 *
 *	a --- r --- b		and a session a - b
 */
#include <check.h>

#include "dp_pair.h"
#include "dp_route.h"
#include "suite.h"

static struct node r;

static void
setup(void)
{
	pair_make();
	node_init(&r, base, "r", &authority);
	node_start(&a);
	node_start(&b);
	node_start(&r);
	node_target(&a, &b);
	node_target(&a, &r);
	node_target(&r, &b);
	ck_assert(RUN_UNTIL(base, 5000, a.vpnd.up == 2 && b.vpnd.up == 2 && r.vpnd.up == 2));
}

static void
teardown(void)
{
	node_free(&r);
	pair_free();
}

static const struct pm_route any = { .classes = 0x3f };

/* a's routed gives it these ways in this order: from the last route to the first, and the session behind them. */
static void
rank_all(unsigned nroutes)
{
	uint8_t ids[8 * PM_RANK_MAX] = { 0 };
	struct procmsg m = { .type = PM_ROUTE_RANK };

	for (unsigned i = 0; i < nroutes; i++)
		ids[8 * i + 7] = (uint8_t)(nroutes - i);
	memcpy(m.route_rank.node_id, b.id, NODE_ID_LEN);
	m.route_rank.classes = 0x3f;
	m.route_rank.ids = (struct frame_bytes){ ids, 8 * (nroutes + 1) };
	say(&a, &m);
}

static void
many_routes(unsigned n)
{
	for (unsigned id = 1; id <= n; id++)
		route_say(&a, id, TICKET_SOURCE, NULL, &r, &b, &any);
	ck_assert(RUN_UNTIL(base, 2000, a.dp->sw.routes.n == n));
}

/* The session, what this node holds, and what the other does: each has its place in the order, down to the last. */
START_TEST(as_many_ways_as_there_can_be)
{
	const unsigned n = WAYS_MAX - 1;
	const struct reach *x = reach_find(a.dp, b.id);

	many_routes(n);
	rank_all(n);
	ck_assert(RUN_UNTIL(base, 2000, ranked(&a, &b, CLASS_BULK) == WAYS_MAX));
	ck_assert_uint_eq(x->nways, WAYS_MAX);
	for (unsigned id = 1; id <= n; id++) {
		probe_stop(way_of(&a, &b, id));
		way_of(&a, &b, id)->state = WAY_UP;
	}
	for (unsigned id = n; id > 0; id--) {
		ck_assert_uint_eq(way_id(reach_best(x, CLASS_BULK, NULL)), id);
		way_of(&a, &b, id)->state = WAY_SILENT;
	}
	ck_assert_uint_eq(way_id(reach_best(x, CLASS_BULK, NULL)), 0);
	/* One more has no place, and is no entry either. */
	route_say(&a, n + 1, TICKET_SOURCE, NULL, &r, &b, &any);
	RUN_UNTIL(base, 100, false);
	ck_assert_uint_eq(a.dp->sw.routes.n, n);
	ck_assert_ptr_null(route_find(&a.dp->sw.routes, n + 1));
	ck_assert_uint_eq(x->nways, WAYS_MAX);
}
END_TEST

/* What a routed before has named, and this one has not, is no obstacle to what this one names. */
START_TEST(routes_of_the_routed_before)
{
	const unsigned n = WAYS_MAX - 1;

	many_routes(n);
	fake_port_attach(&a, &a.routed, WORKER_ROUTED);
	for (unsigned id = 2; id <= n; id++)
		route_say(&a, id, TICKET_SOURCE, NULL, &r, &b, &any);
	route_say(&a, n + 1, TICKET_SOURCE, NULL, &r, &b, &any);
	ck_assert(RUN_UNTIL(base, 2000, way_of(&a, &b, n + 1) != NULL));
	ck_assert_uint_eq(a.dp->sw.routes.n, n);
	ck_assert_ptr_null(route_find(&a.dp->sw.routes, 1));
}
END_TEST

/* A session comes up also where routes have taken all there is for them. */
START_TEST(a_place_for_the_session)
{
	many_routes(WAYS_MAX - 1);
	conn_end(node_session(&b, &a), REASON_TIMEOUT);
	dp_flush(b.dp);
	ck_assert(RUN_UNTIL(base, 5000, way_of(&a, &b, 0) == NULL));
	route_say(&a, WAYS_MAX, TICKET_SOURCE, NULL, &r, &b, &any);
	ck_assert(RUN_UNTIL(base, 8000, way_of(&a, &b, 0) != NULL));
	ck_assert_ptr_null(way_of(&a, &b, WAYS_MAX));
}
END_TEST

static const struct pm_route three = { .classes = 0x3f, .streams = 3 };

static void
opens(struct node *n, uint64_t id)
{
	fake_open(&n->vpnd, id, b.id, "vpn", CLASS_BULK);
	ipc_flush(n->vpnd.ipc);
}

/* A relay lets so many streams of a route through, whatever the source thinks, and probes beside them; one that ends makes room. */
START_TEST(streams_of_a_relay)
{
	uint64_t limit;

	conn_end(node_session(&a, &b), REASON_SHUTDOWN);
	a.dp->draining = b.dp->draining = true;		/* it does not come back */
	dp_flush(a.dp);
	route_say(&a, 1, TICKET_SOURCE, NULL, &r, &b, &any);
	route_say(&r, 1, TICKET_RELAY, &a, &b, NULL, &three);
	route_say(&b, 1, TICKET_DEST, &r, NULL, &a, &any);
	ck_assert(RUN_UNTIL(base, 5000, is_up(&a, &b, 1) && is_up(&b, &a, 1) && node_session(&a, &b) == NULL));
	limit = r.dp->sw.routes.counters.limit;
	for (uint64_t id = 2; id <= 6; id += 2)
		opens(&a, id);
	ck_assert(RUN_UNTIL(base, 2000, b.vpnd.opens == 3));
	ck_assert_uint_eq(a.vpnd.resets, 0);
	ck_assert_uint_eq(route_find(&r.dp->sw.routes, 1)->nstreams, 3 + route_find(&r.dp->sw.routes, 1)->nprobes);
	opens(&a, 8);
	ck_assert(RUN_UNTIL(base, 2000, a.vpnd.resets == 1));
	ck_assert_uint_eq(a.vpnd.last_reset_id, 8);
	ck_assert_uint_eq(a.vpnd.last_reset_reason, REASON_ROUTE_LIMIT);
	ck_assert_uint_eq(r.dp->sw.routes.counters.limit, limit + 1);
	ck_assert_uint_eq(b.vpnd.opens, 3);
	ck_assert(is_up(&a, &b, 1));
	ck_assert_int_eq(ipc_send(a.vpnd.ipc, &(struct frame){ .type = FT_CLOSE_STREAM, .close = { .stream_id = 4 } }), 0);
	ipc_flush(a.vpnd.ipc);
	ck_assert(RUN_UNTIL(base, 2000, b.vpnd.closes == 1));
	opens(&a, 10);
	ck_assert(RUN_UNTIL(base, 2000, b.vpnd.opens == 4));
	ck_assert_uint_eq(a.vpnd.resets, 1);
}
END_TEST

/* What the best way has no room for takes the next; when all are full, the best one refuses it. */
START_TEST(the_next_way_when_one_is_full)
{
	conn_end(node_session(&a, &b), REASON_SHUTDOWN);
	a.dp->draining = b.dp->draining = true;
	dp_flush(a.dp);
	for (uint64_t id = 1; id <= 2; id++)
		route_between(&a, &r, &b, id, &three);
	ck_assert(RUN_UNTIL(base, 5000, is_up(&a, &b, 1) && is_up(&a, &b, 2) && node_session(&a, &b) == NULL));
	rank_say(&a, &b, 0x3f, 1, 2);
	ck_assert(RUN_UNTIL(base, 2000, ranked(&a, &b, CLASS_BULK) == 2));
	for (uint64_t id = 2; id <= 12; id += 2)
		opens(&a, id);
	ck_assert(RUN_UNTIL(base, 2000, b.vpnd.opens == 6));
	for (uint64_t id = 1; id <= 2; id++)
		ck_assert_uint_eq(route_find(&a.dp->sw.routes, id)->nstreams - route_find(&a.dp->sw.routes, id)->nprobes, 3);
	/* Another word on the order moves nothing to where there is no room. */
	rank_say(&a, &b, 0x3f, 1, 2);
	opens(&a, 14);
	ck_assert(RUN_UNTIL(base, 2000, a.vpnd.resets == 1));
	ck_assert_uint_eq(a.vpnd.last_reset_id, 14);
	ck_assert_uint_eq(a.vpnd.last_reset_reason, REASON_ROUTE_LIMIT);
	RUN_UNTIL(base, 200, false);
	ck_assert_uint_eq(a.vpnd.resets, 1);
	ck_assert_uint_eq(b.vpnd.opens, 6);
}
END_TEST

static unsigned
lines(FILE *f)
{
	unsigned n = 0;

	rewind(f);
	for (int c; (c = fgetc(f)) != EOF;)
		n += c == '\n';
	return n;
}

/* However many routes are refused, for whatever reason, the log has the first few. */
START_TEST(refusals_are_logged_now_and_then)
{
	FILE *f = tmpfile();

	ck_assert_ptr_nonnull(f);
	many_routes(WAYS_MAX - 1);
	log_init("check", fileno(f), LOG_LEVEL_WARN);
	for (unsigned i = 0; i < 200; i++) {
		route_say(&a, 1000 + i, TICKET_SOURCE, NULL, &r, &b, &any);
		route_say(&a, 2000 + i, TICKET_SOURCE, NULL, NULL, &b, &any);
	}
	route_say(&a, 3000, TICKET_RELAY, &r, &b, NULL, &any);
	ck_assert(RUN_UNTIL(base, 5000, route_find(&a.dp->sw.routes, 3000) != NULL));
	ck_assert_uint_ge(lines(f), 1);
	ck_assert_uint_le(lines(f), 20);
	log_init("check", STDERR_FILENO, LOG_LEVEL_ERROR);
	fclose(f);
}
END_TEST

int
main(void)
{
	const TTest *const tests[] = {
		as_many_ways_as_there_can_be, routes_of_the_routed_before, a_place_for_the_session,
		refusals_are_logged_now_and_then, streams_of_a_relay, the_next_way_when_one_is_full,
	};

	crypto_init();
	return suite_run(suite_of("route_limits", tests, sizeof(tests) / sizeof(tests[0]), setup, teardown));
}
