/* The service "probe" of a dataplane: what it answers, how much of it, and who cannot take its place. */
#include <check.h>

#include "dp_pair.h"
#include "dp_route.h"
#include "suite.h"

static void
setup(void)
{
	pair_make();
	node_start(&a);
	node_start(&b);
	node_target(&a, &b);
	ck_assert(RUN_UNTIL(base, 5000, a.vpnd.up == 1 && b.vpnd.up == 1));
}

static void
teardown(void)
{
	pair_free();
}

static void
ask(uint64_t id, uint32_t seq, size_t len)
{
	uint8_t unit[1000];

	memset(unit, (int)seq, sizeof(unit));
	ck_assert_int_eq(fake_data(&a.vpnd, id, seq, unit, len), 0);
	ipc_flush(a.vpnd.ipc);
}

/* Sixteen bytes of whatever comes, under its number: nobody is made to send more than was sent to it. */
START_TEST(answers)
{
	fake_open(&a.vpnd, 2, b.id, "probe", CLASS_CONTROL);
	ask(2, 7, 1000);
	ck_assert(RUN_UNTIL(base, 2000, a.vpnd.data_frames == 1));
	ck_assert_uint_eq(a.vpnd.last_data_seq, 7);
	ck_assert_uint_eq(a.vpnd.last_data_len, 16);
	ck_assert_uint_eq(a.vpnd.last_data[15], 7);
	ask(2, 8, 3);
	ck_assert(RUN_UNTIL(base, 2000, a.vpnd.data_frames == 2));
	ck_assert_uint_eq(a.vpnd.last_data_len, 3);
	ck_assert_uint_eq(b.vpnd.opens + b.svc.opens, 0);	/* no adapter heard of it */
	/* A node's own dataplane answers as well. */
	fake_open(&a.vpnd, 4, a.id, "probe", CLASS_CONTROL);
	ask(4, 9, 8);
	ck_assert(RUN_UNTIL(base, 2000, a.vpnd.data_frames == 3));
}
END_TEST

START_TEST(not_too_often)
{
	uint64_t refused = STAT(DP_PROBES_REFUSED);

	fake_open(&a.vpnd, 2, b.id, "probe", CLASS_CONTROL);
	for (uint32_t i = 0; i < 400; i++)
		ask(2, i, 8);
	ck_assert(RUN_UNTIL(base, 3000, STAT(DP_PROBES_REFUSED) - refused >= 200));
	RUN_UNTIL(base, 50, false);
	ck_assert_uint_ge(a.vpnd.data_frames, 100);
	ck_assert_uint_le(a.vpnd.data_frames, 200);
	ck_assert_uint_eq(a.vpnd.data_frames + STAT(DP_PROBES_REFUSED) - refused, 400);
	/* Another stream has an account of its own. */
	fake_open(&a.vpnd, 4, b.id, "probe", CLASS_CONTROL);
	ask(4, 12345, 8);
	ck_assert(RUN_UNTIL(base, 2000, a.vpnd.last_data_seq == 12345));
}
END_TEST

/* Whoever opens one stream after the other gets no more: what is there for all is not one's alone. */
START_TEST(one_stream_after_the_other)
{
	struct frame f = { .type = FT_RESET_STREAM };
	uint64_t began = clock_ns();

	for (unsigned i = 1; i <= 80; i++) {
		uint64_t refused = STAT(DP_PROBES_REFUSED);
		unsigned answered = a.vpnd.data_frames;

		fake_open(&a.vpnd, 2 * i, b.id, "probe", CLASS_CONTROL);
		for (uint32_t seq = 0; seq < 60; seq++)
			ask(2 * i, seq, 8);
		/* What overtook the OPEN is for no stream. */
		RUN_UNTIL(base, 100, a.vpnd.data_frames - answered + STAT(DP_PROBES_REFUSED) - refused == 60);
		f.reset.stream_id = 2 * i;
		ipc_send(a.vpnd.ipc, &f);
		ipc_flush(a.vpnd.ipc);
	}
	ck_assert_uint_ge(a.vpnd.data_frames, 500);
	ck_assert_uint_le(a.vpnd.data_frames, 800 + 800 * (clock_ns() - began) / NS_PER_SEC + 1);
}
END_TEST

START_TEST(packets_only)
{
	struct frame f = { .type = FT_OPEN_STREAM, .open = { .stream_id = 2, .class = CLASS_CONTROL,
	    .service = { (const uint8_t *)"probe", 5 }, .dest = b.id } };

	ck_assert_int_eq(ipc_send(a.vpnd.ipc, &f), 0);
	ipc_flush(a.vpnd.ipc);
	ck_assert(RUN_UNTIL(base, 2000, a.vpnd.resets == 1));
	ck_assert_uint_eq(a.vpnd.last_reset_reason, REASON_UNSUPPORTED);
	ck_assert(RUN_UNTIL(base, 1000, b.dp->sw.nstreams == 0));
}
END_TEST

START_TEST(nobody_takes_its_place)
{
	fake_bind(&b.svc, "probe");
	ck_assert(RUN_UNTIL(base, 2000, b.svc.closed));
	fake_open(&a.vpnd, 2, b.id, "probe", CLASS_CONTROL);
	ask(2, 1, 8);
	ck_assert(RUN_UNTIL(base, 2000, a.vpnd.data_frames == 1));
}
END_TEST

/* Nothing is probed where there is but one way. */
START_TEST(a_lone_session_is_left_alone)
{
	uint64_t probes = STAT(DP_PROBES);

	ck_assert(RUN_UNTIL(base, 3000, a.routed.stats >= 2));
	ck_assert_uint_eq(STAT(DP_PROBES), probes);
	ck_assert_uint_eq(a.dp->sw.nstreams, 0);
	ck_assert_uint_eq(a.routed.route_stat[0].state, WAY_UP);
	ck_assert_uint_eq(a.routed.route_stat[0].probes, 0);
	ck_assert_uint_gt(a.routed.route_stat[0].rtt_us, 0);	/* QUIC's */
	ck_assert_mem_eq(a.routed.route_stat[0].node_id, b.id, NODE_ID_LEN);
}
END_TEST

static uint64_t
asked_every(struct way *w)
{
	const struct probe *p = &w->probe;
	uint32_t seq = p->seq;

	ck_assert(RUN_UNTIL(base, 3000, (w->active = true, p->seq != seq)));
	return p->next_ns - p->sent[(p->seq - 1) % PROBE_RING].at_ns;
}

/* While a way that is used loses, it is asked twice as often: whether it is to be left, is to be known soon. */
START_TEST(a_lossy_way_is_asked_more)
{
	const struct pm_route any = { .classes = 0x3f };
	struct node r;
	uint32_t second;
	struct way *w;

	node_init(&r, base, "r", &authority);
	node_start(&r);
	node_target(&a, &r);
	node_target(&r, &b);
	ck_assert(RUN_UNTIL(base, 5000, r.vpnd.up == 2));
	route_between(&a, &r, &b, 1, &any);
	ck_assert(RUN_UNTIL(base, 3000, is_up(&a, &b, 1)));
	w = way_of(&a, &b, 1);
	ck_assert_uint_eq(asked_every(w), 30 * NS_PER_MS);
	second = (uint32_t)(a.dp->now_ns / NS_PER_SEC);
	w->probe.counts[second % PROBE_SECONDS].second = second;
	w->probe.counts[second % PROBE_SECONDS].lost = 1;
	ck_assert_uint_eq(asked_every(w), 15 * NS_PER_MS);
	w->probe.counts[second % PROBE_SECONDS].lost = 0;
	ck_assert_uint_eq(asked_every(w), 30 * NS_PER_MS);
	node_free(&r);
}
END_TEST

int
main(void)
{
	const TTest *const tests[] = {
		answers, not_too_often, one_stream_after_the_other, packets_only,
		nobody_takes_its_place, a_lone_session_is_left_alone, a_lossy_way_is_asked_more,
	};

	crypto_init();
	return suite_run(suite_of("probe", tests, sizeof(tests) / sizeof(tests[0]), setup, teardown));
}
