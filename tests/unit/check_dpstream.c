/* Reliable streams through whole dataplanes: adapters with real ends, real QUIC over loopback between. */
#include <check.h>

#include "dp_adapter.h"
#include "dp_pair.h"
#include "suite.h"

static struct adapter from, to;
static struct user u[64];

static void
setup(void)
{
	pair_make();
	node_start(&a);
	node_start(&b);
	adapter_init(&from, base);
	adapter_init(&to, base);
	adapter_join(&from, &a, WORKER_SVCHOSTD, NULL);
	adapter_join(&to, &b, WORKER_SVCHOSTD, "tcp");
	node_target(&a, &b);
	ck_assert(RUN_UNTIL(base, 5000, a.vpnd.up == 1 && b.vpnd.up == 1));
}

static void
teardown(void)
{
	struct budget *ba = &a.dp->sw.budget, *bb = &b.dp->sw.budget;

	adapter_free(&from);
	adapter_free(&to);
	from.ipc = to.ipc = NULL;
	/* Without its adapters no node has a stream, nor memory set aside for one. */
	ck_assert(RUN_UNTIL(base, 3000, a.dp->sw.nstreams == 0 && b.dp->sw.nstreams == 0));
	ck_assert(RUN_UNTIL(base, 3000, ba->held == 0 && bb->held == 0));
	pair_free();
}

static bool
both_over(const struct user *x, size_t i)
{
	return x->ended && to.naccepted > i && to.accepted[i]->ended;
}

START_TEST(bytes_both_ways)
{
	to.answer = 3000000;
	user_open(&u[0], &from, b.id, "tcp", CLASS_RELIABLE, 5000000);
	adapter_pump(&from);
	ck_assert(RUN_UNTIL(base, 20000, both_over(&u[0], 0)));
	ck_assert_uint_eq(u[0].reason, REASON_NONE);
	ck_assert_uint_eq(u[0].read, 3000000);
	ck_assert_uint_eq(to.accepted[0]->read, 5000000);
	ck_assert(!u[0].wrong && !to.accepted[0]->wrong);
	ck_assert_uint_eq(to.last_source_first, a.id[0]);
	/* Both nodes have forgotten it, and QUIC its stream. */
	ck_assert(RUN_UNTIL(base, 3000, a.dp->sw.nstreams == 0 && b.dp->sw.nstreams == 0));
	ck_assert(RUN_UNTIL(base, 3000, node_session(&a, &b)->qs.n == 0 && node_session(&b, &a)->qs.n == 0));
	ck_assert_uint_eq(node_session(&a, &b)->qs.kept, 0);
	ck_assert_uint_eq(a.dp->sw.counters.closed, 1);
	ck_assert_uint_eq(b.dp->sw.counters.closed, 1);
}
END_TEST

START_TEST(many_at_once)
{
	to.answer = 100000;
	for (unsigned i = 0; i < 64; i++)
		user_open(&u[i], i & 1 ? &to : &from, i & 1 ? a.id : b.id, "tcp", i % CLASS_COUNT, 200000);
	/* Half are opened by the other side, which a does not serve. */
	adapter_pump(&from);
	adapter_pump(&to);
	for (unsigned i = 0; i < 64; i++) {
		ck_assert(RUN_UNTIL(base, 20000, u[i].ended));
		ck_assert_uint_eq(u[i].reason, i & 1 ? REASON_NO_SERVICE : REASON_NONE);
		ck_assert_uint_eq(u[i].read, i & 1 ? 0 : 100000);
	}
	ck_assert_uint_eq(to.naccepted, 32);
	for (unsigned i = 0; i < 32; i++)
		ck_assert(RUN_UNTIL(base, 5000, to.accepted[i]->ended));
	for (unsigned i = 0; i < 32; i++)
		ck_assert(to.accepted[i]->read == 200000 && !to.accepted[i]->wrong);
}
END_TEST

START_TEST(local_service)
{
	to.answer = 100000;
	adapter_join(&from, &b, WORKER_VPND, NULL);
	user_open(&u[0], &from, b.id, "tcp", CLASS_INTERACTIVE, 300000);
	adapter_pump(&from);
	ck_assert(RUN_UNTIL(base, 5000, both_over(&u[0], 0)));
	ck_assert_uint_eq(u[0].read, 100000);
	ck_assert_uint_eq(to.accepted[0]->read, 300000);
	ck_assert_uint_eq(to.last_source_first, b.id[0]);
}
END_TEST

START_TEST(refused)
{
	to.refuse = true;
	to.refuse_reason = REASON_LIMIT;
	user_open(&u[0], &from, b.id, "tcp", CLASS_RELIABLE, 5000);
	user_open(&u[1], &from, b.id, "no-such", CLASS_RELIABLE, 5000);
	adapter_pump(&from);
	ck_assert(RUN_UNTIL(base, 5000, u[0].ended && u[1].ended));
	ck_assert_uint_eq(u[0].reason, REASON_LIMIT);
	ck_assert_uint_eq(u[1].reason, REASON_NO_SERVICE);
	ck_assert(RUN_UNTIL(base, 3000, node_session(&a, &b)->qs.n == 0 && node_session(&b, &a)->qs.n == 0));
}
END_TEST

/* A reader that does not read stops its own stream: what waits for it is bounded, and the others do not feel it. */
START_TEST(reader_stops)
{
	to.answer_read_max = 1000;
	user_open(&u[0], &from, b.id, "tcp", CLASS_BULK, 100000000);
	adapter_pump(&from);
	RUN_UNTIL(base, 1000, false);
	ck_assert_uint_eq(to.accepted[0]->read, 1000);
	ck_assert_uint_lt(u[0].wrote, 30000000);
	to.answer_read_max = 0;
	to.answer = 5;
	user_open(&u[1], &from, b.id, "tcp", CLASS_BULK, 2000000);
	adapter_pump(&from);
	ck_assert(RUN_UNTIL(base, 5000, both_over(&u[1], 1)));
	ck_assert_uint_eq(to.accepted[1]->read, 2000000);
}
END_TEST

START_TEST(worker_lost)
{
	u[0].hold = u[0].no_resume = true;
	user_open(&u[0], &from, b.id, "tcp", CLASS_BULK, 0);
	adapter_pump(&from);
	ck_assert(RUN_UNTIL(base, 3000, u[0].up));
	adapter_join(&to, &b, WORKER_SVCHOSTD, "tcp");
	ck_assert(RUN_UNTIL(base, 3000, a.dp->sw.nstreams == 0));
}
END_TEST

/* The session goes and comes back in the middle: the stream goes on where it was. */
START_TEST(goes_on_over_another_session)
{
	to.answer = 1000000;
	user_open(&u[0], &from, b.id, "tcp", CLASS_BULK, 40000000);
	adapter_pump(&from);
	ck_assert(RUN_UNTIL(base, 5000, to.naccepted == 1 && to.accepted[0]->read > 1000000));
	conn_end(node_session(&a, &b), REASON_TIMEOUT);
	dp_flush(a.dp);
	ck_assert(RUN_UNTIL(base, 30000, both_over(&u[0], 0)));
	ck_assert_uint_eq(to.accepted[0]->read, 40000000);
	ck_assert_uint_eq(u[0].read, 1000000);
	ck_assert(!u[0].wrong && !to.accepted[0]->wrong);
	ck_assert_uint_ge(to.opens, 2);
}
END_TEST

/* A node whose memory is taken says so, and its peer sends it less of bulk; when it is free again that is said too. */
START_TEST(pressure_is_told)
{
	struct conn *c = node_session(&a, &b);

	u[0].hold = true;
	user_open(&u[0], &from, b.id, "tcp", CLASS_BULK, 1000);
	adapter_pump(&from);
	ck_assert(RUN_UNTIL(base, 3000, u[0].up));
	ck_assert_uint_eq(c->pressure.memory, 0);
	b.dp->sw.budget.limit = b.dp->sw.budget.used + b.dp->sw.budget.used / 20;
	ck_assert(RUN_UNTIL(base, 3000, c->pressure.memory > 900));
	user_open(&u[1], &from, b.id, "tcp", CLASS_BULK, 1000);	/* and takes no more */
	adapter_pump(&from);
	ck_assert(RUN_UNTIL(base, 3000, u[1].ended));
	ck_assert_uint_eq(u[1].reason, REASON_LIMIT);
	ck_assert_int_le(c->bulk_room, (int64_t)(c->patient_room));
	b.dp->sw.budget.limit = SWITCH_MEMORY;
	ck_assert(RUN_UNTIL(base, 6000, c->pressure.memory == 0));
	ck_assert_uint_eq(to.accepted[0]->read, 1000);
}
END_TEST

int
main(void)
{
	const TTest *const tests[] = {
		bytes_both_ways, many_at_once, local_service, refused, reader_stops, worker_lost,
		goes_on_over_another_session, pressure_is_told,
	};

	crypto_init();
	return suite_run(suite_of("dpstream", tests, sizeof(tests) / sizeof(tests[0]), setup, teardown));
}
