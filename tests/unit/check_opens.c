/*
 * How fast streams may be opened, against a whole dataplane: by the node at the other end of a session, by a node behind
 * relays over however many routes, and by whoever has routes over this node.
 */
#include <check.h>

#include "dp_route.h"
#include "fabricd/dataplane/conn.h"
#include "suite.h"

#define STORM	20000u

static struct event_base *base;
static struct sign_key authority;
static struct node v, e, g, x, y;	/* the one that is to hold, the evil, the good; x and y are behind e */
static struct session_ops evil_ops;
static uint64_t limits, others;		/* RESETs that the evil one got, for REASON_LIMIT and for other reasons */
static uint64_t next_id, begun_ns, node_before, neighbour_before, tenant_before;

static void
setup(void)
{
	log_setlevel(getenv("DP_LOG") != NULL ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR);
	base = event_base_new();
	ck_assert_int_eq(sign_key_generate(&authority), 0);
	node_init(&v, base, "victim", &authority);
	node_init(&e, base, "evil", &authority);
	node_init(&g, base, "good", &authority);
	node_init(&x, base, "x", &authority);
	node_init(&y, base, "y", &authority);
	node_start(&v);
	node_start(&e);
	node_start(&g);
	node_target(&e, &v);
	node_target(&g, &v);
	ck_assert(RUN_UNTIL(base, 5000, v.vpnd.up == 2 && e.vpnd.up == 1 && g.vpnd.up == 1));
	limits = others = 0;
	next_id = 2;
	node_before = STAT(DP_OPENS_FAST_NODE);
	neighbour_before = STAT(DP_OPENS_FAST_NEIGHBOUR);
	tenant_before = STAT(DP_OPENS_FAST_TENANT);
}

static void
teardown(void)
{
	for (struct node *const *n = (struct node *const[]){ &v, &e, &g, &x, &y, NULL }; *n != NULL; n++)
		node_free(*n);
	event_base_free(base);
}

static uint64_t
evil_frame(struct session *s, const struct frame *f, void *arg)
{
	(void)s;
	(void)arg;
	if (f->type == FT_RESET_STREAM && f->reset.reason == REASON_LIMIT)
		limits++;
	else if (f->type == FT_RESET_STREAM)
		others++;
	return REASON_NONE;
}

static struct conn *
evil_conn(void)
{
	struct conn *c = node_session(&e, &v);

	evil_ops = hop_ops;
	evil_ops.frame = evil_frame;
	c->session.ops = &evil_ops;
	return c;
}

/* Opens one and breaks it off at once, past the own switch. */
static void
flash(struct conn *c, uint64_t route_id, const char *service)
{
	struct frame f = { .type = FT_OPEN_STREAM };

	f.open.stream_id = next_id;
	f.open.route_id = route_id;
	f.open.class = CLASS_BULK;
	f.open.flags = OPEN_UNRELIABLE;
	f.open.service = (struct frame_bytes){ (const uint8_t *)service, strlen(service) };
	session_send(&c->session, &f);
	memset(&f, 0, sizeof(f));
	f.type = FT_RESET_STREAM;
	f.reset.stream_id = next_id;
	session_send(&c->session, &f);
	next_id += 2;
}

/* So many, over the routes from 1 to nroutes in turn, or over none. */
static void
storm(struct conn *c, unsigned n, unsigned nroutes)
{
	dp_begin(e.dp);
	for (unsigned i = 0; i < n; i++) {
		flash(c, nroutes == 0 ? 0 : 1 + i % nroutes, "vpn");
		if (i % 200 == 199) {
			dp_flush(e.dp);
			RUN_UNTIL(base, 2, false);
			dp_begin(e.dp);
		}
	}
	dp_flush(e.dp);
}

static uint64_t
seen(void)
{
	return v.dp->sw.counters.opened + v.dp->sw.counters.refused;
}

/* All that came were opened or refused, as many as the account allows, and nothing of it is left. */
static void
bounded(uint64_t opened_before, uint64_t seen_before, unsigned n)
{
	uint64_t opened, ms;

	ck_assert(RUN_UNTIL(base, 20000, seen() - seen_before == n));
	ms = (clock_ns() - begun_ns) / NS_PER_MS;
	opened = v.dp->sw.counters.opened - opened_before;
	ck_assert_uint_ge(opened, OPENS_NODE_BURST);
	ck_assert_uint_le(opened, OPENS_NODE_BURST + OPENS_NODE * (ms + 1) / 1000 + 1);
	ck_assert_uint_lt(opened, n);
	ck_assert_uint_eq(STAT(DP_OPENS_FAST_NODE) - node_before, n - opened);
	ck_assert(RUN_UNTIL(base, 5000, limits == n - opened));
	ck_assert_uint_eq(others, 0);
	ck_assert(RUN_UNTIL(base, 5000, v.dp->sw.nstreams == 0));
	ck_assert_int_eq(node_session(&v, &e)->session.state, SESSION_UP);
}

/* What the own vpnd opens at the victim, one by one: all are let through. */
static void
good_opens(unsigned n)
{
	unsigned before = v.vpnd.opens;

	for (unsigned i = 0; i < n; i++)
		fake_open(&g.vpnd, 2 + 2 * i, v.id, "vpn", CLASS_BULK);
	ipc_flush(g.vpnd.ipc);
	ck_assert(RUN_UNTIL(base, 5000, v.vpnd.opens == before + n));
	ck_assert_uint_eq(g.vpnd.resets, 0);
}

START_TEST(a_peer_opens_too_fast)
{
	struct conn *c = evil_conn();
	uint64_t opened = v.dp->sw.counters.opened, all = seen();

	begun_ns = clock_ns();
	storm(c, STORM, 0);
	bounded(opened, all, STORM);
	/* What the fabric itself needs, has an account of its own: a probe is let through, or a way would seem to be dead. */
	opened = v.dp->sw.counters.opened;
	reach_find(v.dp, e.id)->opens.streams.full_at_ns = clock_ns() + 60 * NS_PER_SEC;
	dp_begin(e.dp);
	flash(c, 0, SWITCH_PROBE);
	flash(c, 0, "vpn");
	dp_flush(e.dp);
	ck_assert(RUN_UNTIL(base, 2000, STAT(DP_OPENS_FAST_NODE) - node_before == limits));
	ck_assert(RUN_UNTIL(base, 2000, v.dp->sw.counters.opened == opened + 1));
	good_opens(100);
}
END_TEST

/* A new session is no new account. */
START_TEST(an_account_outlives_a_session)
{
	struct reach *r = reach_find(v.dp, e.id);

	ck_assert_ptr_nonnull(r);
	r->opens.streams.full_at_ns = clock_ns() + 60 * NS_PER_SEC;
	node_kill(&e);
	conn_end(node_session(&v, &e), REASON_TIMEOUT);
	dp_flush(v.dp);
	ck_assert(RUN_UNTIL(base, 5000, node_session(&v, &e) == NULL));
	RUN_UNTIL(base, 1500, false);
	ck_assert_ptr_eq(reach_find(v.dp, e.id), r);
	r->opens.streams.full_at_ns = clock_ns();
	ck_assert(RUN_UNTIL(base, 5000, reach_find(v.dp, e.id) == NULL));
}
END_TEST

/* A node behind relays has one account for all its routes; another node's, by the same neighbour, is another. */
START_TEST(over_many_routes)
{
	const struct pm_route any = { .classes = 0x3f, .tenant = "acme" };
	const unsigned n = 16, opens = n * ROUTE_BURST;
	struct conn *c = evil_conn();
	uint64_t opened, all, before;

	ck_assert_uint_gt(opens, OPENS_NODE_BURST);
	for (unsigned id = 1; id <= n; id++)
		route_say(&v, id, TICKET_DEST, &e, NULL, &x, &any);
	route_say(&v, n + 1, TICKET_DEST, &e, NULL, &y, &any);
	ck_assert(RUN_UNTIL(base, 2000, v.dp->sw.routes.n == n + 1));
	opened = v.dp->sw.counters.opened;
	all = seen();
	/* Its own probes are opened and refused as well: they are left out. */
	for (unsigned id = 1; id <= n; id++)
		probe_stop(way_of(&v, &x, id));
	probe_stop(way_of(&v, &y, n + 1));
	begun_ns = clock_ns();
	storm(c, opens, n);
	bounded(opened, all, opens);
	/* Of the neighbour's own, and of the other node's, nothing was used. */
	before = v.dp->sw.counters.opened;
	reach_find(v.dp, x.id)->opens.streams.full_at_ns = clock_ns() + 60 * NS_PER_SEC;
	dp_begin(e.dp);
	flash(c, 1, "vpn");
	flash(c, n + 1, "vpn");
	flash(c, 0, "vpn");
	dp_flush(e.dp);
	ck_assert(RUN_UNTIL(base, 2000, v.dp->sw.counters.opened == before + 2));
	ck_assert(RUN_UNTIL(base, 2000, STAT(DP_OPENS_FAST_NODE) - node_before == limits));
}
END_TEST

/* What names a route that is not there is refused as that, and is at nobody's expense. */
START_TEST(routes_that_are_not_there)
{
	struct conn *c = evil_conn();
	struct reach *r = reach_find(v.dp, e.id);
	uint64_t full = r->opens.streams.full_at_ns;

	storm(c, 1000, 10);
	ck_assert(RUN_UNTIL(base, 5000, others == 1000));
	ck_assert_uint_eq(v.dp->sw.routes.counters.no_route, 1000);
	ck_assert_uint_eq(r->opens.streams.full_at_ns, full);
}
END_TEST

static const struct route *
relay_route(uint64_t id, const struct node *from, const char *tenant)
{
	struct pm_route m = { .classes = 0x3f };

	strcpy(m.tenant, tenant);
	route_say(&v, id, TICKET_RELAY, from, &x, NULL, &m);
	ck_assert(RUN_UNTIL(base, 2000, route_find(&v.dp->sw.routes, id) != NULL));
	return route_find(&v.dp->sw.routes, id);
}

/* How many may come in one moment, over this route. */
static unsigned
admitted(const struct node *from, const struct route *r, bool own)
{
	const struct port *p = &node_session(&v, from)->port;
	unsigned n = 0;

	while (n < 100000 && opens_admit(&v.dp->sw, p, r, own) == REASON_NONE)
		n++;
	return n;
}

/* A relay knows no more than the neighbour and the tenant: over however many routes, each has one account. */
START_TEST(what_is_relayed)
{
	const struct route *e1 = relay_route(1, &e, "acme"), *e2 = relay_route(2, &e, "acme"), *g1 = relay_route(3, &g, "acme"),
	    *g2 = relay_route(4, &g, "other");
	unsigned n = 0;

	dp_begin(v.dp);
	ck_assert_uint_eq(admitted(&e, e1, false), OPENS_NEIGHBOUR_BURST);
	ck_assert_uint_eq(admitted(&e, e2, false), 0);
	ck_assert_uint_eq(STAT(DP_OPENS_FAST_NEIGHBOUR) - neighbour_before, 2);
	ck_assert_uint_eq(admitted(&e, e2, true), OPENS_NEIGHBOUR_BURST);
	ck_assert_uint_eq(admitted(&e, NULL, false), OPENS_NODE_BURST);		/* its own, to this node, are others */
	ck_assert_uint_eq(opens_admit(&v.dp->sw, &node_session(&v, &g)->port, g1, false), REASON_NONE);
	while (opens_take(g1->tenant, false, v.dp->now_ns))
		n++;
	ck_assert_uint_eq(n, OPENS_TENANT_BURST - OPENS_NEIGHBOUR_BURST - 1);
	ck_assert_uint_eq(STAT(DP_OPENS_FAST_TENANT) - tenant_before, 0);
	ck_assert_uint_eq(opens_admit(&v.dp->sw, &node_session(&v, &g)->port, g1, false), REASON_LIMIT);
	ck_assert_uint_eq(STAT(DP_OPENS_FAST_TENANT) - tenant_before, 1);
	if (g1->tenant != g2->tenant)		/* two of 64 accounts, by a secret */
		ck_assert_uint_eq(opens_admit(&v.dp->sw, &node_session(&v, &g)->port, g2, false), REASON_NONE);
	v.dp->now_ns += NS_PER_SEC;
	ck_assert_uint_eq(admitted(&e, e1, false), OPENS_NEIGHBOUR);
}
END_TEST

int
main(void)
{
	const TTest *const tests[] = {
		a_peer_opens_too_fast, an_account_outlives_a_session, over_many_routes, routes_that_are_not_there, what_is_relayed,
	};

	crypto_init();
	return suite_run(suite_of("opens", tests, sizeof(tests) / sizeof(tests[0]), setup, teardown));
}
