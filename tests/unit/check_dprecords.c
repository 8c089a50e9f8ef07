/* The dataplane between peers and routed: sets of records, and who may speak of services. */
#include <check.h>

#include "dp_pair.h"
#include "suite.h"

static void
setup(void)
{
	pair_make();
	node_start(&a);
	node_start(&b);
	node_target(&a, &b);
	ck_assert(RUN_UNTIL(base, 5000, a.routed.up == 1 && b.routed.up == 1));
}

static void
teardown(void)
{
	pair_free();
}

static void
send_message(struct fake_port *p, const struct procmsg *m)
{
	ck_assert_int_eq(procmsg_send(p->ipc, m, -1), 0);
	ipc_flush(p->ipc);
}

/* As node's routed: `len` bytes, the first of them `first`, are what `to` is to hear. */
static void
announce(struct node *node, const struct node *to, uint8_t first, size_t len)
{
	static uint8_t records[PM_RECORDS_MAX];
	struct procmsg m = { .type = PM_RECORDS, .records = { .records = { records, len } } };

	records[0] = first;
	memcpy(m.records.node_id, to->id, NODE_ID_LEN);
	send_message(&node->routed, &m);
}

/* No byte is looked at; the source is the one that the session proved. */
START_TEST(a_set_arrives)
{
	announce(&a, &b, 7, 500);
	ck_assert(RUN_UNTIL(base, 3000, b.routed.records == 1));
	ck_assert_uint_eq(b.routed.last_records_len, 500);
	ck_assert_uint_eq(b.routed.last_records[0], 7);
	ck_assert_mem_eq(b.routed.last_node, a.id, NODE_ID_LEN);
	announce(&b, &a, 8, PM_RECORDS_MAX);
	ck_assert(RUN_UNTIL(base, 3000, a.routed.records == 1));
	ck_assert_uint_eq(a.routed.last_records_len, PM_RECORDS_MAX);
	announce(&a, &b, 0, 0);
	ck_assert(RUN_UNTIL(base, 3000, b.routed.records == 2));
	ck_assert_uint_eq(b.routed.last_records_len, 0);
	/* What routed has is not told again, however often it could be. */
	ck_assert(!RUN_UNTIL(base, 2500, b.routed.records > 2 || a.routed.records > 1));
	ck_assert_uint_eq(a.vpnd.records + a.svc.records + b.vpnd.records + b.svc.records, 0);
}
END_TEST

/* Who has no session is told in its next; nothing is kept for it. */
START_TEST(nobody_is_there)
{
	struct node nobody = { .id = { 9 } };

	announce(&a, &nobody, 7, 500);
	announce(&a, &b, 8, 10);
	ck_assert(RUN_UNTIL(base, 3000, b.routed.records == 1));
	ck_assert_uint_eq(b.routed.last_records[0], 8);
	ck_assert(!a.routed.closed);
}
END_TEST

/* A new routed gets what came last, also what came while there was none. */
START_TEST(routed_is_replaced)
{
	announce(&a, &b, 7, 100);
	ck_assert(RUN_UNTIL(base, 3000, b.routed.records == 1));
	fake_port_attach(&b, &b.routed, WORKER_ROUTED);
	ck_assert(RUN_UNTIL(base, 3000, b.routed.records == 1));
	ck_assert_uint_eq(b.routed.up, 1);
	ck_assert_uint_eq(b.routed.last_records[0], 7);
	fake_port_free(&b.routed);
	announce(&a, &b, 9, 200);
	ck_assert(RUN_UNTIL(base, 3000, node_session(&b, &a)->records.len == 200));
	fake_port_attach(&b, &b.routed, WORKER_ROUTED);
	ck_assert(RUN_UNTIL(base, 3000, b.routed.records == 1));
	ck_assert_uint_eq(b.routed.last_records[0], 9);
}
END_TEST

/* A flood reaches routed a few times, and what it knows afterwards is the last. */
START_TEST(flood)
{
	uint64_t began = clock_ns(), took;

	for (unsigned i = 0; i < 200; i++) {
		announce(&a, &b, (uint8_t)i, 1000);
		event_base_loop(base, EVLOOP_NONBLOCK);
	}
	ck_assert(RUN_UNTIL(base, 8000, b.routed.records > 0 && b.routed.last_records[0] == 199));
	took = (clock_ns() - began) / NS_PER_SEC;
	ck_assert_uint_le(b.routed.records, 8 + took + 1);
	ck_assert_uint_gt(stats->counter[STAT_DP_RECORDS_REPLACED], 0);
	ck_assert_uint_eq(b.vpnd.down, 0);
}
END_TEST

/* A routed that is new, and busy, is not told of more than its channel holds: it hears the rest when it has read. */
START_TEST(more_than_the_channel_holds)
{
	uint64_t overruns = stats->counter[STAT_DP_PORT_OVERRUN];
	struct conn *c;

	announce(&a, &b, 7, PM_RECORDS_MAX);
	ck_assert(RUN_UNTIL(base, 3000, b.routed.records == 1));
	c = node_session(&b, &a);
	dp_begin(b.dp);
	for (unsigned i = 0; i < 300; i++)	/* as if there were as many sessions */
		records_tell(c, true);
	ck_assert(c->records.due);
	dp_flush(b.dp);
	ck_assert(RUN_UNTIL(base, 3000, !c->records.due));
	ck_assert_uint_eq(stats->counter[STAT_DP_PORT_OVERRUN], overruns);
	ck_assert(!b.routed.closed);
	ck_assert_uint_gt(b.routed.records, 10);
}
END_TEST

/* With its session a peer's set goes too: the next one brings it again. */
START_TEST(forgotten_with_the_session)
{
	announce(&a, &b, 7, 100);
	ck_assert(RUN_UNTIL(base, 3000, b.routed.records == 1));
	conn_end(node_session(&a, &b), REASON_SHUTDOWN);
	dp_flush(a.dp);
	ck_assert(RUN_UNTIL(base, 8000, b.routed.up == 2));
	fake_port_attach(&b, &b.routed, WORKER_ROUTED);
	ck_assert(RUN_UNTIL(base, 3000, b.routed.up == 1));
	ck_assert_uint_eq(b.routed.records, 0);
}
END_TEST

static struct procmsg
service(const char *name, bool gone)
{
	static const uint8_t record[] = { 1 };
	struct procmsg m = { .type = gone ? PM_SERVICE_DEL : PM_SERVICE };

	memcpy(gone ? m.service_del.node_id : m.service.node_id, b.id, NODE_ID_LEN);
	strcpy(gone ? m.service_del.name : m.service.name, name);
	if (!gone)
		m.service.record = (struct frame_bytes){ record, 1 };
	return m;
}

START_TEST(each_adapter_hears_its_own)
{
	struct procmsg m = service("vpn", false);

	send_message(&a.routed, &m);
	m = service("ssh", false);
	send_message(&a.routed, &m);
	m = service("vpn2", true);
	send_message(&a.routed, &m);
	ck_assert(RUN_UNTIL(base, 3000, a.vpnd.services == 1 && a.svc.services == 1 && a.svc.service_dels == 1));
	ck_assert_str_eq(a.vpnd.last_name, "vpn");
	ck_assert_str_eq(a.svc.last_name, "vpn2");
	m = service("vpn", true);
	send_message(&a.routed, &m);
	ck_assert(RUN_UNTIL(base, 3000, a.vpnd.service_dels == 1));
	ck_assert_uint_eq(a.svc.services + a.svc.service_dels, 2);
	ck_assert_mem_eq(a.vpnd.last_node, b.id, NODE_ID_LEN);
}
END_TEST

START_TEST(adapters_ask)
{
	const struct procmsg m = { .type = PM_SERVICES };

	send_message(&a.vpnd, &m);
	send_message(&a.svc, &m);
	ck_assert(RUN_UNTIL(base, 3000, a.routed.asks == 2));
	/* One that does nothing else is not one of ours. */
	for (unsigned i = 0; i < 10 && !a.svc.closed; i++) {
		if (procmsg_send(a.svc.ipc, &m, -1) == 0)
			ipc_flush(a.svc.ipc);
		event_base_loop(base, EVLOOP_NONBLOCK);
	}
	ck_assert(RUN_UNTIL(base, 3000, a.svc.closed));
	ck_assert_uint_le(a.routed.asks, 6);
	ck_assert(!a.vpnd.closed && !a.routed.closed);
}
END_TEST

/* Who may not say it loses its channel, and nobody hears of it. */
static const struct {
	enum worker_kind who;
	enum procmsg_type type;
} refused[] = {
	{ WORKER_VPND, PM_SERVICE }, { WORKER_SVCHOSTD, PM_SERVICE }, { WORKER_VPND, PM_SERVICE_DEL },
	{ WORKER_SVCHOSTD, PM_SERVICE_DEL }, { WORKER_VPND, PM_RECORDS }, { WORKER_SVCHOSTD, PM_RECORDS },
	{ WORKER_ROUTED, PM_SERVICES }, { WORKER_SVCHOSTD, PM_BIND }, { WORKER_ROUTED, PM_BIND },
};

START_TEST(who_may_say_what)
{
	struct fake_port *p = refused[_i].who == WORKER_VPND ? &a.vpnd : refused[_i].who == WORKER_ROUTED ? &a.routed : &a.svc;
	struct procmsg m = service("vpn", refused[_i].type == PM_SERVICE_DEL);

	m.type = refused[_i].type;
	if (m.type == PM_BIND)
		strcpy(m.bind.service, "vpn");
	if (m.type == PM_RECORDS) {
		memcpy(m.records.node_id, b.id, NODE_ID_LEN);
		m.records.records = (struct frame_bytes){ b.id, 1 };
	}
	send_message(p, &m);
	ck_assert(RUN_UNTIL(base, 3000, p->closed));
	for (unsigned i = 0; i < 20; i++)
		event_base_loop(base, EVLOOP_NONBLOCK);
	ck_assert_uint_eq(a.vpnd.services + a.svc.services + a.vpnd.service_dels + a.svc.service_dels, 0);
	ck_assert_uint_eq(b.routed.records + a.routed.asks + a.routed.records, 0);
}
END_TEST

/* routed to routed, on a stream of its service's. */
START_TEST(directory_is_routeds)
{
	fake_bind(&b.routed, "directory");
	fake_open(&a.routed, 2, b.id, "directory", CLASS_CONTROL);
	ipc_flush(a.routed.ipc);
	ck_assert(RUN_UNTIL(base, 3000, b.routed.opens == 1));
	ck_assert_str_eq(b.routed.last_open_service, "directory");
	ck_assert(b.routed.last_open_has_source);
	ck_assert_mem_eq(b.routed.last_open_source, a.id, NODE_ID_LEN);
	ck_assert(!a.routed.closed && !b.routed.closed);
	ck_assert_uint_eq(a.routed.resets, 0);
}
END_TEST

static const struct { enum worker_kind who; const char *service; uint64_t route_id; } not_opened[] = {
	{ WORKER_VPND, "directory", 0 }, { WORKER_SVCHOSTD, "directory", 0 }, { WORKER_ROUTED, "echo", 0 },
	{ WORKER_ROUTED, "directory", 7 },
};

START_TEST(who_may_open_what)
{
	struct fake_port *p = not_opened[_i].who == WORKER_VPND ? &a.vpnd : not_opened[_i].who == WORKER_ROUTED ?
	    &a.routed : &a.svc;
	struct frame f = { .type = FT_OPEN_STREAM, .open = { .stream_id = 2, .route_id = not_opened[_i].route_id,
	    .class = CLASS_CONTROL, .dest = b.id, .service = { (const uint8_t *)not_opened[_i].service,
	    strlen(not_opened[_i].service) } } };

	fake_bind(&b.routed, "directory");
	ck_assert_int_eq(ipc_send(p->ipc, &f), 0);
	ipc_flush(p->ipc);
	ck_assert(RUN_UNTIL(base, 3000, p->closed));
	ck_assert_uint_eq(b.routed.opens + b.svc.opens, 0);
}
END_TEST

static const struct { enum worker_kind who; const char *service; } not_bound[] = {
	{ WORKER_VPND, "directory" }, { WORKER_SVCHOSTD, "directory" }, { WORKER_ROUTED, "echo" },
};

START_TEST(who_may_bind_what)
{
	struct fake_port *p = not_bound[_i].who == WORKER_VPND ? &a.vpnd : not_bound[_i].who == WORKER_ROUTED ?
	    &a.routed : &a.svc;

	fake_bind(p, not_bound[_i].service);
	ck_assert(RUN_UNTIL(base, 3000, p->closed));
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("dprecords");
	TCase *tc = tcase_create("pair");

	crypto_init();
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, a_set_arrives);
	tcase_add_test(tc, nobody_is_there);
	tcase_add_test(tc, routed_is_replaced);
	tcase_add_test(tc, flood);
	tcase_add_test(tc, more_than_the_channel_holds);
	tcase_add_test(tc, forgotten_with_the_session);
	tcase_add_test(tc, each_adapter_hears_its_own);
	tcase_add_test(tc, adapters_ask);
	tcase_add_loop_test(tc, who_may_say_what, 0, sizeof(refused) / sizeof(refused[0]));
	tcase_add_test(tc, directory_is_routeds);
	tcase_add_loop_test(tc, who_may_open_what, 0, sizeof(not_opened) / sizeof(not_opened[0]));
	tcase_add_loop_test(tc, who_may_bind_what, 0, sizeof(not_bound) / sizeof(not_bound[0]));
	suite_add_tcase(s, tc);
	return suite_run(s);
}
