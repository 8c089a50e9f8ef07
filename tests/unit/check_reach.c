/*
 * Ways between nodes, with whole dataplanes over loopback: what goes over a relay, how it is found out that a way does not
 * work any more, and that what was on it goes on over another.
 *
 *        .--- r ---.
 *       a           b       and a session a - b where a test says so
 *        '--- s ---'
 */
#include <check.h>

#include "dp_adapter.h"
#include "dp_pair.h"
#include "dp_route.h"
#include "suite.h"

#define VIA_R	1u	/* route ids */
#define VIA_S	2u

static struct node r, s;
static struct adapter from, to;
static struct user u[8];
static uint64_t hard;

static struct pm_route any;

static void
route_make(uint64_t id, struct node *relay, const struct pm_route *like)
{
	struct pm_route m = *like;

	m.hard = hard;
	route_between(&a, relay, &b, id, &m);
}

static void
setup(void)
{
	pair_make();
	node_init(&r, base, "r", &authority);
	node_init(&s, base, "s", &authority);
	for (struct node *const *n = (struct node *const[]){ &a, &b, &r, &s, NULL }; *n != NULL; n++) {
		(*n)->session.dead_ms = 20000;	/* it is not QUIC that finds out */
		(*n)->session.keepalive_ms = 10000;
		node_start(*n);
	}
	adapter_init(&from, base);
	adapter_init(&to, base);
	adapter_join(&from, &a, WORKER_SVCHOSTD, NULL);
	adapter_join(&to, &b, WORKER_SVCHOSTD, "tcp");
	hard = clock_wall() + 600;
	any.classes = 0x3f;
	memset(u, 0, sizeof(u));
	node_target(&a, &r);
	node_target(&a, &s);
	node_target(&r, &b);
	node_target(&s, &b);
	ck_assert(RUN_UNTIL(base, 5000, a.vpnd.up == 2 && b.vpnd.up == 2 && a.routed.up == 2));
}

static void
teardown(void)
{
	adapter_free(&from);
	adapter_free(&to);
	from.ipc = to.ipc = NULL;
	node_free(&r);
	node_free(&s);
	pair_free();
}

static void
both_ways(bool two)
{
	remote_say(&a, &b);
	remote_say(&b, &a);
	route_make(VIA_R, &r, &any);
	if (two)
		route_make(VIA_S, &s, &any);
	ck_assert(RUN_UNTIL(base, 3000, is_up(&a, &b, VIA_R) && is_up(&b, &a, VIA_R)));
	if (two)
		ck_assert(RUN_UNTIL(base, 3000, is_up(&a, &b, VIA_S) && is_up(&b, &a, VIA_S)));
}

static bool
over(const struct user *x, size_t i)
{
	return x->ended && to.naccepted > i && to.accepted[i]->ended;
}

START_TEST(a_stream_over_a_relay)
{
	unsigned ups = a.vpnd.up;
	struct route *e;

	remote_say(&a, &b);
	remote_say(&b, &a);
	ck_assert_ptr_null(way_of(&a, &b, VIA_R));
	route_make(VIA_R, &r, &any);
	/* The adapters hear of the far node when it has answered, and routed has no session with it. */
	ck_assert(RUN_UNTIL(base, 3000, a.vpnd.up == ups + 1 && b.vpnd.up == 3));
	ck_assert_mem_eq(a.vpnd.last_up.node_id, b.id, NODE_ID_LEN);
	ck_assert_str_eq(a.vpnd.last_up.name, "b");
	ck_assert_uint_eq(a.routed.up, 2);
	to.answer = 1000000;
	user_open(&u[0], &from, b.id, "tcp", CLASS_BULK, 3000000);
	adapter_pump(&from);
	ck_assert(RUN_UNTIL(base, 20000, over(&u[0], 0)));
	ck_assert_uint_eq(u[0].reason, REASON_NONE);
	ck_assert_uint_eq(u[0].read, 1000000);
	ck_assert_uint_eq(to.accepted[0]->read, 3000000);
	ck_assert(!u[0].wrong && !to.accepted[0]->wrong);
	ck_assert_uint_eq(to.last_source_first, a.id[0]);	/* the far end, and not the relay */
	ck_assert_uint_eq(r.svc.opens, 0);
	/* What the relay counted, with the headers of the frames: less than a hundredth. */
	e = route_find(&r.dp->sw.routes, VIA_R);
	ck_assert_uint_ge(e->forth[CLASS_BULK], 3000000);
	ck_assert_uint_le(e->forth[CLASS_BULK], 3060000);
	ck_assert_uint_ge(e->back[CLASS_BULK], 1000000);
	ck_assert_uint_le(e->back[CLASS_BULK], 1020000);
	ck_assert(RUN_UNTIL(base, 3000, r.routed.used[CLASS_BULK].forth == e->forth[CLASS_BULK]));
	ck_assert_uint_eq(r.routed.used[CLASS_BULK].route_id, VIA_R);
	ck_assert(RUN_UNTIL(base, 3000, a.routed.route_stat[VIA_R].state == WAY_UP && a.routed.route_stat[VIA_R].probes > 0));
	ck_assert_mem_eq(a.routed.route_stat[VIA_R].node_id, b.id, NODE_ID_LEN);
	ck_assert_uint_gt(a.routed.route_stat[VIA_R].rtt_us, 0);
	ck_assert_uint_eq(a.routed.route_stat[VIA_R].loss, 0);
	/* And the other way: the destination opens a stream to the source over the same lease. */
	adapter_join(&from, &a, WORKER_SVCHOSTD, "tcp");
	adapter_join(&to, &b, WORKER_SVCHOSTD, NULL);
	user_open(&u[1], &to, a.id, "tcp", CLASS_BULK, 100000);
	adapter_pump(&to);
	ck_assert(RUN_UNTIL(base, 5000, u[1].ended && from.naccepted == 1 && from.accepted[0]->ended));
	ck_assert_uint_eq(from.accepted[0]->read, 100000);
}
END_TEST

static void
carry(unsigned i, uint64_t n)
{
	user_open(&u[i], &from, b.id, "tcp", CLASS_BULK, n);
	adapter_pump(&from);
	ck_assert(RUN_UNTIL(base, 20000, over(&u[i], i)));
}

/* Each byte that was relayed is told once, whoever is routed when, and also the last before a route ends. */
START_TEST(what_passed_is_told_once)
{
	const struct pm_route_used *used = &r.routed.used[CLASS_BULK];
	uint64_t told, all;
	struct route *e;

	both_ways(false);
	e = route_find(&r.dp->sw.routes, VIA_R);
	carry(0, 1000000);
	ck_assert(RUN_UNTIL(base, 3000, used->forth == e->forth[CLASS_BULK] && used->back == e->back[CLASS_BULK]));
	told = used->forth;
	/* Its routed dies; what passes meanwhile is told to the next one, when it knows the route. */
	fake_port_free(&r.routed);
	ck_assert(RUN_UNTIL(base, 3000, r.dp->workers[WORKER_ROUTED].ipc == NULL));
	carry(1, 300000);
	RUN_UNTIL(base, 1200, false);
	fake_port_attach(&r, &r.routed, WORKER_ROUTED);
	RUN_UNTIL(base, 1200, false);
	ck_assert_uint_eq(r.routed.useds, 0);
	route_say(&r, VIA_R, TICKET_RELAY, &a, &b, NULL, &any);
	carry(2, 10000);
	ck_assert(RUN_UNTIL(base, 3000, told + used->forth == e->forth[CLASS_BULK]));
	ck_assert_uint_ge(used->forth, 310000);
	ck_assert_uint_lt(used->forth, 400000);
	/* And its end. */
	carry(3, 10000);
	all = e->forth[CLASS_BULK];
	route_unmake(&r, VIA_R, REASON_FENCED);
	ck_assert(RUN_UNTIL(base, 3000, route_find(&r.dp->sw.routes, VIA_R) == NULL));
	ck_assert(RUN_UNTIL(base, 100, told + used->forth >= all));
	ck_assert_uint_eq(told + used->forth, all);
}
END_TEST

/* What a datagram holds over the whole of the route is found out. */
START_TEST(the_size_of_a_datagram)
{
	both_ways(false);
	ck_assert(RUN_UNTIL(base, 3000, way_of(&a, &b, VIA_R)->probe.datagram_max > 1150));
	ck_assert(RUN_UNTIL(base, 8000, a.vpnd.last_stat.datagram_max == node_session(&a, &r)->datagram_max &&
	    way_of(&a, &b, VIA_R)->probe.datagram_max == node_session(&a, &r)->datagram_max));
	ck_assert_mem_eq(a.vpnd.last_stat.node_id, b.id, NODE_ID_LEN);
}
END_TEST

static void
begin(uint64_t target)
{
	rank_say(&a, &b, 0x3f, VIA_R, VIA_S);
	user_open(&u[0], &from, b.id, "tcp", CLASS_INTERACTIVE, target);
	adapter_pump(&from);
	ck_assert(RUN_UNTIL(base, 5000, to.naccepted == 1 && to.accepted[0]->read > target / 10));
	ck_assert_uint_ge(route_find(&a.dp->sw.routes, VIA_R)->nstreams, 1 + 1);
}

static void
finish(uint64_t target)
{
	ck_assert(RUN_UNTIL(base, 30000, over(&u[0], 0)));
	ck_assert_uint_eq(u[0].reason, REASON_NONE);
	ck_assert_uint_eq(to.accepted[0]->read, target);
	ck_assert(!to.accepted[0]->wrong);
	ck_assert_uint_eq(to.naccepted, 1);
}

/* The stream that moved last goes by this way now, with this id towards the far end. */
static bool
is_on(uint64_t via)
{
	const struct route *route = route_find(&a.dp->sw.routes, via);
	const struct stream *st;

	LIST_FOREACH(st, &route->streams, on_route)
		if (st->end[1].id == a.routed.last_stream.stream_id && strcmp(st->service, a.routed.last_stream.service) == 0)
			return true;
	return false;
}

/* `n' streams have moved so far; the last of them so. */
static void
stream_moved(unsigned n, uint64_t left, uint64_t via, uint64_t reason)
{
	const struct pm_stream_moved *m = &a.routed.last_stream;

	ck_assert(RUN_UNTIL(base, 3000, a.routed.stream_moves >= n));
	ck_assert_uint_eq(a.routed.stream_moves, n);
	ck_assert_mem_eq(m->node_id, b.id, NODE_ID_LEN);
	ck_assert_uint_eq(m->class, CLASS_INTERACTIVE);
	ck_assert_uint_eq(m->from, left);
	ck_assert_uint_eq(m->to, via);
	ck_assert_uint_eq(m->reason, reason);
	ck_assert_uint_ge(m->recover_us, m->detect_us);
	ck_assert_uint_gt(m->recover_us, 0);
	ck_assert(is_on(via));
}

/* The relay dies without a word, in the middle of a stream: it goes on over the other one, whole. */
START_TEST(a_relay_dies)
{
	both_ways(true);
	to.answer = 10;
	begin(60000000);
	node_kill(&r);
	ck_assert(RUN_UNTIL(base, 5000, a.routed.moves == 1));
	ck_assert_uint_eq(a.routed.last_moved.from, VIA_R);
	ck_assert_uint_eq(a.routed.last_moved.to, VIA_S);
	ck_assert(!a.routed.last_moved.to_none);
	ck_assert_uint_eq(a.routed.last_moved.reason, REASON_TIMEOUT);
	ck_assert_uint_eq(a.routed.last_moved.streams, 1);
	ck_assert_uint_ge(a.routed.last_moved.detect_us, 100000);
	ck_assert_uint_ge(a.routed.last_moved.recover_us, a.routed.last_moved.detect_us);
	stream_moved(1, VIA_R, VIA_S, REASON_TIMEOUT);
	ck_assert_str_eq(a.routed.last_stream.service, "tcp");
	ck_assert_uint_eq(a.routed.last_stream.detect_us, a.routed.last_moved.detect_us);
	finish(60000000);
	ck_assert_uint_eq(u[0].read, 10);
	ck_assert_uint_eq(a.routed.stream_moves, 1);
	ck_assert_uint_eq(b.dp->reaches->moved.n, 0);	/* it did not open it */
}
END_TEST

static void
trickle(unsigned ms)
{
	uint64_t until = clock_ns() + ms * NS_PER_MS;

	while (clock_ns() < until) {
		u[0].target += 100;
		user_write(&u[0]);
		adapter_pump(&from);
		RUN_UNTIL(base, 5, false);
	}
}

/* It reads nothing for so long, what is sent to it waits; how long a heard nothing of its way. UINT64_MAX: it was not ready. */
static uint64_t
pause_relay(struct node *relay, const struct probe *p, unsigned ms)
{
	struct event *read = relay->dp->socks[0]->read;
	uint64_t begun;

	if (!RUN_UNTIL(base, 2000, p->since == 0))
		return UINT64_MAX;
	begun = clock_ns();
	event_del(read);
	trickle(ms);
	event_add(read, NULL);
	RUN_UNTIL(base, 2000, p->since == 0);
	return clock_ns() - begun;
}

/* Three probes go unanswered in 80 ms, and the RTT is that of a loopback; but nothing is given up before 100 ms. */
START_TEST(a_relay_pauses)
{
	unsigned paused = 0, moves;

	both_ways(true);
	u[0].hold = true;
	begin(100000);
	trickle(1500);		/* so that its way is one in use */
	for (unsigned i = 0; i < 60 && paused < 5; i++) {
		bool on_r = route_find(&a.dp->sw.routes, VIA_R)->nstreams > 1;
		const struct probe *p = &way_of(&a, &b, on_r ? VIA_R : VIA_S)->probe;
		uint64_t took;

		trickle(200);
		moves = a.routed.moves;
		if (!is_up(&a, &b, VIA_R) || !is_up(&a, &b, VIA_S) || p->srtt_ns + 4 * p->rttvar_ns > 40 * NS_PER_MS)
			continue;
		took = pause_relay(on_r ? &r : &s, p, 80);
		if (took > 95 * NS_PER_MS)
			continue;	/* this machine is busy with something else, and it was more than a pause */
		trickle(50);
		ck_assert_uint_eq(a.routed.moves, moves);
		paused++;
	}
	ck_assert_uint_ge(paused, 1);
	u[0].hold = false;
	user_write(&u[0]);
	adapter_pump(&from);
	finish(u[0].target);
}
END_TEST

/* It says goodbye: that is no time lost at all. */
START_TEST(a_relay_drains)
{
	both_ways(true);
	begin(60000000);
	dp_drain(r.dp, 100);
	ck_assert(RUN_UNTIL(base, 5000, a.routed.moves == 1));
	ck_assert_uint_eq(a.routed.last_moved.to, VIA_S);
	ck_assert_uint_lt(a.routed.last_moved.detect_us, 50000);
	finish(60000000);
}
END_TEST

/* The relay loses its session to the far end only: its word is taken at once. */
START_TEST(the_next_hop_is_gone)
{
	both_ways(true);
	begin(60000000);
	conn_end(node_session(&r, &b), REASON_TIMEOUT);
	dp_flush(r.dp);
	ck_assert(RUN_UNTIL(base, 5000, a.routed.moves >= 1));
	ck_assert_uint_eq(a.routed.last_moved.reason, REASON_HOP_GONE);
	ck_assert_uint_eq(a.routed.last_moved.to, VIA_S);
	finish(60000000);
	/* When the session is there again, so is the way. */
	ck_assert(RUN_UNTIL(base, 8000, is_up(&a, &b, VIA_R)));
}
END_TEST

START_TEST(a_route_is_taken_back)
{
	both_ways(true);
	begin(60000000);
	route_unmake(&r, VIA_R, REASON_FENCED);		/* by the relay's routed alone */
	ck_assert(RUN_UNTIL(base, 5000, a.routed.moves == 1));
	ck_assert_uint_eq(a.routed.last_moved.reason, REASON_FENCED);
	route_unmake(&a, VIA_S, REASON_NO_ROUTE);	/* now there is none */
	RUN_UNTIL(base, 200, false);
	route_make(VIA_R, &r, &any);
	ck_assert(RUN_UNTIL(base, 5000, is_up(&a, &b, VIA_R)));
	finish(60000000);
}
END_TEST

/* What routed ranks: only the classes that it names are moved, and only those that this node opened. */
START_TEST(outranked)
{
	both_ways(true);
	begin(60000000);
	rank_say(&a, &b, 1u << CLASS_BULK, VIA_S, VIA_R);
	RUN_UNTIL(base, 100, false);
	ck_assert_uint_eq(a.routed.moves, 0);
	rank_say(&a, &b, 1u << CLASS_INTERACTIVE, VIA_S, VIA_R);
	ck_assert(RUN_UNTIL(base, 3000, a.routed.moves == 1));
	ck_assert_uint_eq(a.routed.last_moved.reason, REASON_BETTER);
	ck_assert_uint_eq(a.routed.last_moved.to, VIA_S);
	stream_moved(1, VIA_R, VIA_S, REASON_BETTER);
	ck_assert_uint_eq(a.routed.last_stream.detect_us, 0);
	finish(60000000);
}
END_TEST

/* The direct way is lost, and what was on it goes over the relay; the adapters do not hear of it. */
START_TEST(from_direct_to_relayed)
{
	unsigned downs;

	node_target(&a, &b);
	ck_assert(RUN_UNTIL(base, 5000, node_session(&a, &b) != NULL && a.dp->nup == 3));
	both_ways(false);
	downs = a.vpnd.down;
	user_open(&u[0], &from, b.id, "tcp", CLASS_INTERACTIVE, 60000000);
	adapter_pump(&from);
	ck_assert(RUN_UNTIL(base, 5000, to.naccepted == 1 && to.accepted[0]->read > 1000000));
	ck_assert_uint_eq(route_find(&a.dp->sw.routes, VIA_R)->nstreams, 2);	/* the probes */
	a.dp->draining = true;		/* it does not come back */
	conn_end(node_session(&b, &a), REASON_TIMEOUT);
	dp_flush(b.dp);
	ck_assert(RUN_UNTIL(base, 5000, a.routed.moves == 1));
	ck_assert_uint_eq(a.routed.last_moved.from, 0);
	ck_assert_uint_eq(a.routed.last_moved.to, VIA_R);
	stream_moved(1, 0, VIA_R, a.routed.last_moved.reason);
	ck_assert_uint_eq(a.vpnd.down, downs);
	ck_assert(RUN_UNTIL(base, 3000, a.routed.down >= 1));
	finish(60000000);
}
END_TEST

/* It is moved to a way that does not work either, and is answered on the one that it comes to last: that is one move. */
START_TEST(moved_again_before_it_is_answered)
{
	both_ways(true);
	begin(60000000);
	node_kill(&s);
	rank_say(&a, &b, 0x3f, VIA_S, VIA_R);		/* before anybody knows */
	ck_assert(RUN_UNTIL(base, 3000, a.routed.moves == 1));
	ck_assert_uint_eq(a.routed.stream_moves, 0);
	ck_assert(RUN_UNTIL(base, 5000, route_find(&a.dp->sw.routes, VIA_R)->nstreams > 1));
	stream_moved(1, VIA_R, VIA_R, REASON_BETTER);
	ck_assert_uint_ge(a.routed.last_stream.recover_us, 50000);
	finish(60000000);
	ck_assert_uint_eq(a.routed.stream_moves, 1);
}
END_TEST

/* An adapter that begins anew gives the same ids again: those of the one before say nothing of its streams. */
START_TEST(ids_of_a_new_adapter)
{
	const struct moveds *ms = &a.dp->reaches->moved;
	unsigned n = 0;

	both_ways(true);
	rank_say(&a, &b, 0x3f, VIA_R, VIA_S);
	ck_assert(RUN_UNTIL(base, 3000, ranked(&a, &b, 0) == 2));
	fake_open(&a.vpnd, 2, b.id, "vpn", CLASS_INTERACTIVE);
	ipc_flush(a.vpnd.ipc);
	ck_assert(RUN_UNTIL(base, 3000, b.vpnd.opens == 1));
	node_kill(&r);
	ck_assert(RUN_UNTIL(base, 3000, a.vpnd.resets == 1));
	ck_assert_uint_eq(ms->n, 1);
	ck_assert_ptr_nonnull(moved_find(&a.dp->reaches->moved, &a.dp->workers[WORKER_VPND].port, 2));
	fake_port_attach(&a, &a.vpnd, WORKER_VPND);
	for (size_t i = 0; i < MOVED_MAX; i++)
		n += ms->ring[i].id != 0;
	ck_assert_uint_eq(n, 0);
}
END_TEST

static void
open_vpn(uint64_t id, uint64_t before)
{
	struct frame f = { .type = FT_OPEN_STREAM, .open = { .stream_id = id, .flags = OPEN_UNRELIABLE,
	    .class = CLASS_INTERACTIVE, .service = { (const uint8_t *)"vpn", 3 }, .dest = b.id, .before = before } };

	ck_assert_int_eq(ipc_send(a.vpnd.ipc, &f), 0);
	ipc_flush(a.vpnd.ipc);
}

static uint64_t
recovered(void)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < 5; i++)
		n += stats->counter[STAT_DP_RECOVERED_INTERACTIVE_100MS + i];
	return n;
}

/* Packets that come again when nobody asks any more how long they were away. */
START_TEST(too_late)
{
	uint64_t n = recovered();
	struct moved *m;

	both_ways(true);
	rank_say(&a, &b, 0x3f, VIA_R, VIA_S);
	open_vpn(2, 0);
	open_vpn(4, 0);
	ck_assert(RUN_UNTIL(base, 3000, b.vpnd.opens == 2));
	node_kill(&r);
	ck_assert(RUN_UNTIL(base, 3000, a.vpnd.resets == 2));
	m = moved_find(&a.dp->reaches->moved, &a.dp->workers[WORKER_VPND].port, 2);
	ck_assert_ptr_nonnull(m);
	m->decided_ns -= 10 * NS_PER_SEC;
	open_vpn(6, 2);
	open_vpn(8, 4);
	stream_moved(1, VIA_R, VIA_S, REASON_TIMEOUT);
	ck_assert(RUN_UNTIL(base, 3000, b.vpnd.opens == 4));
	ck_assert_uint_eq(recovered(), n + 1);
	ck_assert_ptr_null(moved_find(&a.dp->reaches->moved, &a.dp->workers[WORKER_VPND].port, 6));
}
END_TEST

/* routed hears of so many, and not of a flood; all are counted. */
START_TEST(many_move_at_once)
{
	const unsigned n = 700;
	uint64_t had = recovered(), untold = stats->counter[STAT_DP_RECOVERED_UNTOLD];

	both_ways(true);
	rank_say(&a, &b, 0x3f, VIA_R, VIA_S);
	for (unsigned i = 0; i < 6; i++) {	/* more than a route admits at once */
		struct node *const on[] = { &a, &r, &b, &a, &s, &b };

		route_find(&on[i]->dp->sw.routes, i < 3 ? VIA_R : VIA_S)->opens.burst = 2 * n;
	}
	for (unsigned i = 1; i <= n; i++)
		open_vpn(2 * i, 0);
	ck_assert(RUN_UNTIL(base, 5000, b.vpnd.opens == n));
	node_kill(&r);
	ck_assert(RUN_UNTIL(base, 5000, a.vpnd.resets == n));
	for (unsigned i = 1; i <= n; i++)
		open_vpn(2 * (n + i), 2 * i);
	ck_assert(RUN_UNTIL(base, 5000, b.vpnd.opens == 2 * n && recovered() == had + n));
	untold = stats->counter[STAT_DP_RECOVERED_UNTOLD] - untold;
	ck_assert_uint_ge(untold, 100);
	ck_assert(RUN_UNTIL(base, 5000, a.routed.stream_moves == n - untold));
	ck_assert_uint_ge(a.routed.stream_moves, 500);
}
END_TEST

START_TEST(the_last_way_goes)
{
	unsigned downs = a.vpnd.down;

	both_ways(false);
	node_kill(&r);
	ck_assert(RUN_UNTIL(base, 8000, a.vpnd.down == downs + 1));
	ck_assert_uint_eq(a.dp->nup, 2);	/* that to the relay is not dead yet, for QUIC */
	user_open(&u[0], &from, b.id, "tcp", CLASS_BULK, 1000);
	adapter_pump(&from);
	RUN_UNTIL(base, 100, false);
	ck_assert(!u[0].up);
}
END_TEST

/* The relay dies under a transfer that nothing else can carry, and the way over s comes up for it. */
static void
dies_and_is_rescued(void)
{
	begin(60000000);
	node_kill(&r);
	ck_assert(RUN_UNTIL(base, 5000, !is_up(&a, &b, VIA_R)));
	RUN_UNTIL(base, 500, false);
	ck_assert_uint_eq(a.routed.moves, 0);
	route_make(VIA_S, &s, &any);
	ck_assert(RUN_UNTIL(base, 3000, a.routed.moves == 1));
}

/* Nothing was left when the relay died; what waits on its way goes by the next that comes up. */
START_TEST(rescued)
{
	both_ways(false);
	dies_and_is_rescued();
	ck_assert_uint_eq(a.routed.last_moved.from, VIA_R);
	ck_assert_uint_eq(a.routed.last_moved.to, VIA_S);
	ck_assert_uint_eq(a.routed.last_moved.reason, REASON_TIMEOUT);
	ck_assert_uint_ge(a.routed.last_moved.recover_us, 500000);
	stream_moved(1, VIA_R, VIA_S, REASON_TIMEOUT);
	ck_assert_uint_ge(a.routed.last_stream.recover_us, 500000);
	finish(60000000);
}
END_TEST

/* What could not go by another way that is up, can when that is renewed for its class as well. */
START_TEST(rescued_by_a_renewal)
{
	struct pm_route few = any;

	few.classes = 1u << CLASS_DNS;
	both_ways(false);
	route_make(VIA_S, &s, &few);
	ck_assert(RUN_UNTIL(base, 3000, is_up(&a, &b, VIA_S)));
	dies_and_is_rescued();
	ck_assert_uint_eq(a.routed.last_moved.to, VIA_S);
	finish(60000000);
}
END_TEST

static void
units(struct fake_port *p, uint64_t id, unsigned n)
{
	uint8_t unit[1000] = { 0 };

	for (unsigned i = 0; i < n; i++)
		ck_assert_int_eq(fake_data(p, id, i, unit, sizeof(unit)), 0);
	ipc_flush(p->ipc);
}

/* Packets: the stream that vpnd has is reset, and the next goes the other way at once. */
START_TEST(packets_go_on)
{
	static uint8_t hello[100];
	struct frame f = { .type = FT_OPEN_STREAM, .open = { .flags = OPEN_UNRELIABLE, .class = CLASS_INTERACTIVE,
	    .service = { (const uint8_t *)"vpn", 3 }, .noise = { hello, sizeof(hello) }, .dest = b.id } };
	struct fake_port *v = &a.vpnd;

	both_ways(true);
	rank_say(&a, &b, 0x3f, VIA_R, VIA_S);
	ck_assert(RUN_UNTIL(base, 3000, ranked(&a, &b, 0) == 2));
	f.open.stream_id = 2;
	ck_assert_int_eq(ipc_send(v->ipc, &f), 0);
	units(v, 2, 50);
	ck_assert(RUN_UNTIL(base, 3000, b.vpnd.data_frames == 50));
	ck_assert_mem_eq(b.vpnd.last_open_source, a.id, NODE_ID_LEN);
	ck_assert(RUN_UNTIL(base, 3000, way_of(&a, &b, VIA_R)->packets >= 50));	/* it has answered since */
	node_kill(&r);
	RUN_UNTIL(base, 20, false);
	units(v, 2, 5);			/* nobody knows yet */
	ck_assert(RUN_UNTIL(base, 3000, v->resets == 1));
	ck_assert_uint_eq(v->last_reset_reason, REASON_MOVED);
	f.open.stream_id = 4;
	f.open.before = 2;
	ck_assert_int_eq(ipc_send(v->ipc, &f), 0);
	units(v, 4, 50);
	stream_moved(1, VIA_R, VIA_S, REASON_TIMEOUT);
	ck_assert_str_eq(a.routed.last_stream.service, "vpn");
	ck_assert_uint_eq(b.vpnd.last_open_before, 0);
	f.open.stream_id = 6;		/* once is enough, and only of what was moved */
	ck_assert_int_eq(ipc_send(v->ipc, &f), 0);
	f.open.stream_id = 8;
	f.open.before = 4;
	ck_assert_int_eq(ipc_send(v->ipc, &f), 0);
	ipc_flush(v->ipc);
	ck_assert(RUN_UNTIL(base, 3000, b.vpnd.opens == 4));
	ck_assert_uint_eq(a.routed.stream_moves, 1);
	ck_assert(RUN_UNTIL(base, 3000, b.vpnd.data_frames == 100));
	ck_assert(RUN_UNTIL(base, 3000, a.routed.moves == 1));
	ck_assert_uint_ge(a.routed.last_moved.packets_lost, 5);
	ck_assert_uint_le(a.routed.last_moved.packets_lost, 5 + 20);	/* and probes */
	ck_assert_uint_eq(a.vpnd.down, 0);
}
END_TEST

START_TEST(a_route_expires)
{
	hard = clock_wall() + 2;
	both_ways(false);
	ck_assert(RUN_UNTIL(base, 5000, a.dp->sw.routes.n == 0 && r.dp->sw.routes.n == 0 && b.dp->sw.routes.n == 0));
	ck_assert(RUN_UNTIL(base, 1000, a.vpnd.down == 1));
	ck_assert_ptr_null(way_of(&a, &b, VIA_R));
}
END_TEST

/* 4 Mbit/s: the bytes of a stream wait for them, and none is lost. */
START_TEST(a_route_has_a_rate)
{
	const struct pm_route slow = { .classes = 0x3f, .kbps = 4000 };
	uint64_t begun;

	remote_say(&a, &b);
	remote_say(&b, &a);
	route_make(VIA_R, &r, &slow);
	ck_assert(RUN_UNTIL(base, 3000, is_up(&a, &b, VIA_R)));
	begun = clock_ns();
	user_open(&u[0], &from, b.id, "tcp", CLASS_BULK, 1000000);
	adapter_pump(&from);
	ck_assert(RUN_UNTIL(base, 20000, over(&u[0], 0)));
	ck_assert_uint_eq(to.accepted[0]->read, 1000000);
	ck_assert_uint_ge(clock_ns() - begun, 1800 * NS_PER_MS);
	ck_assert_uint_gt(r.dp->sw.routes.counters.held, 0);
	ck_assert(is_up(&a, &b, VIA_R));	/* its probes were not starved */
	ck_assert_uint_eq(a.routed.moves, 0);
}
END_TEST

/* 4 Mbit/s for all that r relays: two routes over it have no more together, and no way is silent for it. */
START_TEST(a_relay_has_a_rate)
{
	const struct pm_route slow = { .classes = 0x3f, .kbps_all = 4000 };
	uint64_t begun;

	remote_say(&a, &b);
	remote_say(&b, &a);
	route_make(VIA_R, &r, &slow);
	route_make(VIA_R + 2, &r, &slow);
	ck_assert(RUN_UNTIL(base, 3000, is_up(&a, &b, VIA_R) && is_up(&a, &b, VIA_R + 2)));
	rank_say(&a, &b, 1u << CLASS_BULK, VIA_R, VIA_R + 2);
	rank_say(&a, &b, 1u << CLASS_RELIABLE, VIA_R + 2, VIA_R);
	RUN_UNTIL(base, 50, false);
	begun = clock_ns();
	user_open(&u[0], &from, b.id, "tcp", CLASS_BULK, 500000);
	user_open(&u[1], &from, b.id, "tcp", CLASS_RELIABLE, 500000);
	adapter_pump(&from);
	ck_assert(RUN_UNTIL(base, 20000, over(&u[0], 0) && over(&u[1], 1)));
	ck_assert_uint_eq(to.accepted[0]->read, 500000);
	ck_assert_uint_eq(to.accepted[1]->read, 500000);
	ck_assert_uint_ge(route_find(&r.dp->sw.routes, VIA_R)->forth[CLASS_BULK], 500000);
	ck_assert_uint_ge(route_find(&r.dp->sw.routes, VIA_R + 2)->forth[CLASS_RELIABLE], 500000);
	ck_assert_uint_ge(clock_ns() - begun, 1800 * NS_PER_MS);
	ck_assert_uint_eq(a.dp->sw.routes.counters.held, 0);	/* it is the relay's limit, not the ends' */
	ck_assert(is_up(&a, &b, VIA_R) && is_up(&a, &b, VIA_R + 2));
	ck_assert_uint_eq(a.routed.moves, 0);
}
END_TEST

static void
permit_say(struct node *n, const uint8_t *node_id, bool all, const char *service, unsigned classes)
{
	struct procmsg m = { .type = PM_PERMIT };
	uint8_t list[64];

	memcpy(m.permit.node_id, node_id, NODE_ID_LEN);
	m.permit.all = all;
	m.permit.services.p = list;
	if (service != NULL) {
		list[0] = (uint8_t)strlen(service);
		memcpy(list + 1, service, list[0]);
		list[1 + list[0]] = (uint8_t)classes;
		m.permit.services.len = 2u + list[0];
	}
	say(n, &m);
}

START_TEST(permits)
{
	static const uint8_t everybody[NODE_ID_LEN];

	both_ways(false);
	permit_say(&b, a.id, false, "tcp", 1u << CLASS_BULK);
	user_open(&u[0], &from, b.id, "tcp", CLASS_BULK, 1000);
	user_open(&u[1], &from, b.id, "tcp", CLASS_DNS, 1000);
	adapter_pump(&from);
	ck_assert(RUN_UNTIL(base, 3000, u[1].ended && over(&u[0], 0)));
	ck_assert_uint_eq(u[1].reason, REASON_NOT_ALLOWED);
	ck_assert_uint_eq(u[0].reason, REASON_NONE);
	permit_say(&b, a.id, false, NULL, 0);
	user_open(&u[2], &from, b.id, "tcp", CLASS_BULK, 1000);
	adapter_pump(&from);
	ck_assert(RUN_UNTIL(base, 3000, u[2].ended));
	ck_assert_uint_eq(u[2].reason, REASON_NOT_ALLOWED);
	permit_say(&b, a.id, true, NULL, 0);
	permit_say(&b, everybody, false, NULL, 0);	/* of whom nothing was said: nobody else */
	user_open(&u[3], &from, b.id, "tcp", CLASS_BULK, 1000);
	adapter_pump(&from);
	ck_assert(RUN_UNTIL(base, 3000, over(&u[3], 1)));
	ck_assert_uint_eq(u[3].reason, REASON_NONE);
	/* The policy is gone: what it said of a as well. */
	permit_say(&b, a.id, false, NULL, 0);
	permit_say(&b, everybody, true, NULL, 0);
	user_open(&u[4], &from, b.id, "tcp", CLASS_BULK, 1000);
	adapter_pump(&from);
	ck_assert(RUN_UNTIL(base, 3000, over(&u[4], 2)));
	ck_assert_uint_eq(u[4].reason, REASON_NONE);
}
END_TEST

/* What a has open at b, of two kinds and in two classes, and b at a. */
static void
open_some(void)
{
	u[0].hold = u[1].hold = true;
	user_open(&u[0], &from, b.id, "tcp", CLASS_BULK, 1000);
	user_open(&u[1], &from, b.id, "tcp", CLASS_DNS, 1000);
	adapter_pump(&from);
	fake_open(&a.vpnd, 2, b.id, "vpn", CLASS_INTERACTIVE);
	fake_open(&b.vpnd, 2, a.id, "vpn", CLASS_INTERACTIVE);
	ipc_flush(a.vpnd.ipc);
	ipc_flush(b.vpnd.ipc);
	ck_assert(RUN_UNTIL(base, 3000, to.naccepted == 2 && to.accepted[0]->read == 1000 && to.accepted[1]->read == 1000 &&
	    a.vpnd.opens == 1 && b.vpnd.opens == 1));
}

/* What b opened, and a's that is permitted, carry something. */
static void
others_go_on(void)
{
	struct user *first = to.accepted[0]->class == CLASS_BULK ? to.accepted[0] : to.accepted[1];
	unsigned frames = a.vpnd.data_frames;

	u[0].target = 300000;
	user_write(&u[0]);
	adapter_pump(&from);
	ck_assert_int_eq(fake_data(&b.vpnd, 2, 0, "still", 5), 0);
	ipc_flush(b.vpnd.ipc);
	ck_assert(RUN_UNTIL(base, 5000, first->read == 300000 && a.vpnd.data_frames == frames + 1));
	ck_assert(!u[0].ended && !first->ended);
}

static void
some_were_ended(uint64_t before)
{
	struct user *dns = to.accepted[to.accepted[0]->class == CLASS_BULK];

	ck_assert(RUN_UNTIL(base, 3000, u[1].ended && dns->ended && a.vpnd.resets == 1 && b.vpnd.resets == 1));
	ck_assert_uint_eq(u[1].reason, REASON_NOT_ALLOWED);
	ck_assert_uint_eq(dns->reason, REASON_NOT_ALLOWED);
	ck_assert_uint_eq(a.vpnd.last_reset_reason, REASON_NOT_ALLOWED);
	ck_assert_uint_eq(a.vpnd.last_reset_id, 2);
	ck_assert_uint_eq(b.vpnd.last_reset_reason, REASON_NOT_ALLOWED);
	ck_assert_uint_eq(b.vpnd.last_reset_id, b.vpnd.last_open_id);
	ck_assert_uint_eq(STAT(DP_STREAMS_NOT_ALLOWED), before + 2);
	ck_assert_uint_eq(a.routed.moves + b.routed.moves, 0);
}

/* Over the route, or over a session. */
static void
taken_back(bool session)
{
	uint64_t before = STAT(DP_STREAMS_NOT_ALLOWED);

	if (session) {
		node_target(&a, &b);
		ck_assert(RUN_UNTIL(base, 5000, is_up(&a, &b, 0) && is_up(&b, &a, 0)));
	} else {
		both_ways(false);
	}
	permit_say(&b, a.id, true, NULL, 0);
	permit_say(&a, b.id, true, NULL, 0);
	open_some();
	permit_say(&b, a.id, false, "tcp", 1u << CLASS_BULK);
	some_were_ended(before);
	permit_say(&b, a.id, false, "tcp", 1u << CLASS_BULK);	/* again: nothing new */
	permit_say(&b, r.id, false, NULL, 0);			/* who has nothing open */
	others_go_on();
	ck_assert_uint_eq(STAT(DP_STREAMS_NOT_ALLOWED), before + 2);
}

START_TEST(what_is_open_over_a_route_is_taken_back)
{
	taken_back(false);
}
END_TEST

START_TEST(what_is_open_over_a_session_is_taken_back)
{
	taken_back(true);
}
END_TEST

/* There was none, and all was permitted. Who is named goes by that at once, who is not named has until a little later. */
START_TEST(a_policy_comes)
{
	static const uint8_t everybody[NODE_ID_LEN];
	uint64_t before = STAT(DP_STREAMS_NOT_ALLOWED);

	both_ways(false);
	permit_say(&b, everybody, true, NULL, 0);
	open_some();
	permit_say(&b, everybody, false, NULL, 0);
	RUN_UNTIL(base, 300, false);
	ck_assert(!u[0].ended && !u[1].ended && a.vpnd.resets == 0 && b.vpnd.resets == 0);
	permit_say(&b, a.id, false, "tcp", 1u << CLASS_BULK);
	some_were_ended(before);
	others_go_on();
	RUN_UNTIL(base, 6500, false);
	ck_assert(!u[0].ended && a.vpnd.resets == 1);
	ck_assert_uint_eq(STAT(DP_STREAMS_NOT_ALLOWED), before + 2);
	/* It goes, and another comes that has no word of a. */
	permit_say(&b, everybody, true, NULL, 0);
	RUN_UNTIL(base, 50, false);
	permit_say(&b, everybody, false, NULL, 0);
	RUN_UNTIL(base, 3000, false);
	ck_assert(!u[0].ended);
	ck_assert(RUN_UNTIL(base, 5000, u[0].ended));
	ck_assert_uint_eq(u[0].reason, REASON_NOT_ALLOWED);
	ck_assert_uint_eq(STAT(DP_STREAMS_NOT_ALLOWED), before + 3);
	ck_assert_uint_eq(b.vpnd.resets, 1);	/* its own at a */
}
END_TEST

/* An OPEN that comes before routed's word waits for it, and what was sent with it; not for ever. */
START_TEST(permits_are_waited_for)
{
	both_ways(false);
	permit_say(&b, r.id, true, NULL, 0);
	RUN_UNTIL(base, 50, false);
	user_open(&u[0], &from, b.id, "tcp", CLASS_BULK, 5000);
	adapter_pump(&from);
	RUN_UNTIL(base, 300, false);
	ck_assert_uint_eq(to.naccepted, 0);
	ck_assert(!u[0].ended);
	permit_say(&b, a.id, true, NULL, 0);
	ck_assert(RUN_UNTIL(base, 3000, over(&u[0], 0)));
	ck_assert_uint_eq(to.accepted[0]->read, 5000);
	ck_assert(!to.accepted[0]->wrong);
	/* The relay has a session of its own, and nobody says what s may do. */
	adapter_join(&from, &s, WORKER_SVCHOSTD, NULL);
	user_open(&u[1], &from, b.id, "tcp", CLASS_BULK, 5000);
	adapter_pump(&from);
	ck_assert(RUN_UNTIL(base, 3000, u[1].ended));
	ck_assert_uint_eq(u[1].reason, REASON_NOT_ALLOWED);
	ck_assert_uint_eq(b.dp->sw.nstreams, 2);	/* the probes, one each way */
}
END_TEST

/* What a node may reach here outlives its session for a while: no longer, since others come and go as well. */
START_TEST(permits_are_forgotten)
{
	size_t n = b.dp->reaches->n;

	permit_say(&b, r.id, true, NULL, 0);
	ck_assert(RUN_UNTIL(base, 1000, reach_find(b.dp, r.id)->permitted));
	node_kill(&r);
	conn_end(node_session(&b, &r), REASON_TIMEOUT);
	dp_flush(b.dp);
	RUN_UNTIL(base, 2200, false);
	ck_assert_ptr_nonnull(reach_find(b.dp, r.id));
	ck_assert(reach_find(b.dp, r.id)->permitted);
	reach_find(b.dp, r.id)->lost_ns -= 600 * NS_PER_SEC;
	ck_assert(RUN_UNTIL(base, 3000, reach_find(b.dp, r.id) == NULL));
	ck_assert_uint_eq(b.dp->reaches->n, n - 1);
}
END_TEST

START_TEST(revoked)
{
	struct procmsg m = { .type = PM_REVOKE };

	both_ways(true);
	memcpy(m.revoke.node_id, r.id, NODE_ID_LEN);
	m.revoke.revoked = true;
	say(&a, &m);
	ck_assert(RUN_UNTIL(base, 3000, a.dp->nup == 1 && way_of(&a, &b, VIA_R) == NULL));
	ck_assert(is_up(&a, &b, VIA_S));
	/* It may come as often as it likes. */
	ck_assert(RUN_UNTIL(base, 5000, a.routed.dial_failed > 0));
	ck_assert_uint_eq(a.dp->nup, 1);
	m.revoke.revoked = false;
	say(&a, &m);
	ck_assert(RUN_UNTIL(base, 8000, a.dp->nup == 2));
}
END_TEST

START_TEST(wants_go_to_routed)
{
	struct procmsg m = { .type = PM_WANT };

	memcpy(m.want.node_id, b.id, NODE_ID_LEN);
	ck_assert_int_eq(procmsg_send(a.vpnd.ipc, &m, -1), 0);
	ipc_flush(a.vpnd.ipc);
	ck_assert(RUN_UNTIL(base, 1000, a.routed.wants == 1));
	ck_assert_mem_eq(a.routed.last_node, b.id, NODE_ID_LEN);
	m.type = PM_WANT_FAILED;
	memcpy(m.want_failed.node_id, b.id, NODE_ID_LEN);
	m.want_failed.reason = REASON_UNREACHABLE;
	say(&a, &m);
	ck_assert(RUN_UNTIL(base, 1000, a.vpnd.want_faileds == 1));
	ck_assert(RUN_UNTIL(base, 2000, a.routed.loads > 0));
	/* What is routed's to say, no adapter may. */
	m.type = PM_REVOKE;
	m.revoke.revoked = true;
	ck_assert_int_eq(procmsg_send(a.vpnd.ipc, &m, -1), 0);
	ipc_flush(a.vpnd.ipc);
	ck_assert(RUN_UNTIL(base, 1000, a.vpnd.closed));
}
END_TEST

int
main(void)
{
	const TTest *const tests[] = {
		a_stream_over_a_relay, what_passed_is_told_once, the_size_of_a_datagram, a_relay_dies, a_relay_drains, the_next_hop_is_gone,
		a_route_is_taken_back, outranked, from_direct_to_relayed, the_last_way_goes, a_route_expires, rescued, rescued_by_a_renewal, packets_go_on,
		moved_again_before_it_is_answered, ids_of_a_new_adapter, too_late, many_move_at_once,
		a_route_has_a_rate, a_relay_has_a_rate, permits, permits_are_waited_for, permits_are_forgotten, revoked, wants_go_to_routed,
		what_is_open_over_a_route_is_taken_back, what_is_open_over_a_session_is_taken_back, a_policy_comes,
		a_relay_pauses,
	};

	crypto_init();
	return suite_run(suite_of("reach", tests, sizeof(tests) / sizeof(tests[0]), setup, teardown));
}
