/* Two whole dataplanes that meet over loopback: sessions, streams, loss of either, two that dial at once. */
#include <check.h>

#include "dp_node.h"

static struct event_base *base;
static struct sign_key authority;
static struct node a, b;

static void
setup(void)
{
	log_setlevel(getenv("DP_LOG") != NULL ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR);
	base = base_new();
	ck_assert_int_eq(sign_key_generate(&authority), 0);
	node_init(&a, base, "a", &authority);
	node_init(&b, base, "b", &authority);
}

static void
teardown(void)
{
	node_free(&a);
	node_free(&b);
	event_base_free(base);
}

static void
start_both(void)
{
	node_start(&a);
	node_start(&b);
	node_target(&a, &b);
	ck_assert(RUN_UNTIL(base, 5000, a.vpnd.up == 1 && b.vpnd.up == 1));
}

START_TEST(session_comes_up)
{
	struct conn *c;

	start_both();
	ck_assert_uint_eq(a.routed.up, 1);
	ck_assert_uint_eq(a.svc.up, 1);
	ck_assert_uint_eq(b.routed.up, 1);
	ck_assert_mem_eq(a.vpnd.last_up.node_id, b.id, NODE_ID_LEN);
	ck_assert_str_eq(a.vpnd.last_up.name, "b");
	ck_assert_str_eq(b.vpnd.last_up.name, "a");
	ck_assert(a.vpnd.last_up.initiator);
	ck_assert(!b.vpnd.last_up.initiator);
	ck_assert_uint_eq(a.vpnd.last_up.tier, 5);
	ck_assert_uint_ge(a.vpnd.last_up.datagram_max, 1100);
	c = node_session(&a, &b);
	ck_assert_ptr_nonnull(c);
	/* PING and PONG went. */
	ck_assert(RUN_UNTIL(base, 3000, node_session(&a, &b)->session.rtt_ns > 0 &&
	    node_session(&b, &a)->session.rtt_ns > 0));
	ck_assert_uint_eq(a.dp->nhalf_open, 0);
	ck_assert_uint_eq(b.dp->nhalf_open, 0);
}
END_TEST

START_TEST(streams_carry_both_ways)
{
	static const char text[] = "first packet", answer[] = "and back";

	start_both();
	fake_open(&a.vpnd, 2, b.id, "vpn", CLASS_RELIABLE);
	ipc_flush(a.vpnd.ipc);
	ck_assert(RUN_UNTIL(base, 2000, b.vpnd.opens == 1));
	ck_assert_str_eq(b.vpnd.last_open_service, "vpn");
	ck_assert(b.vpnd.last_open_has_source);
	ck_assert_mem_eq(b.vpnd.last_open_source, a.id, NODE_ID_LEN);
	ck_assert_uint_eq(b.vpnd.last_open_id & 1, 1);
	fake_data(&a.vpnd, 2, 7, text, sizeof(text));
	ipc_flush(a.vpnd.ipc);
	ck_assert(RUN_UNTIL(base, 2000, b.vpnd.data_frames == 1));
	ck_assert_uint_eq(b.vpnd.last_data_len, sizeof(text));
	ck_assert_mem_eq(b.vpnd.last_data, text, sizeof(text));
	ck_assert_uint_eq(b.vpnd.last_data_seq, 7);
	ck_assert_uint_eq(b.vpnd.last_data_id, b.vpnd.last_open_id);
	fake_data(&b.vpnd, b.vpnd.last_open_id, 0, answer, sizeof(answer));
	ipc_flush(b.vpnd.ipc);
	ck_assert(RUN_UNTIL(base, 2000, a.vpnd.data_frames == 1));
	ck_assert_mem_eq(a.vpnd.last_data, answer, sizeof(answer));
	ck_assert_uint_eq(a.vpnd.last_data_id, 2);
}
END_TEST

static Suite *
suite(void)
{
	Suite *s = suite_create("dataplane");
	TCase *tc = tcase_create("pair");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 30);
	tcase_add_test(tc, session_comes_up);
	tcase_add_test(tc, streams_carry_both_ways);
	suite_add_tcase(s, tc);
	return s;
}

int
main(void)
{
	SRunner *sr = srunner_create(suite());
	int failed;

	crypto_init();
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
