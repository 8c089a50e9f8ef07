/* routed: the routes of a node, as their source. A coordinator, hops and a clock that are this test's. */
#include "routes_world.h"
#include "suite.h"

/* What is wanted is asked for at once, in all classes, and all that comes is installed. */
START_TEST(asks)
{
	struct lease v[LEASE_MAX];

	want();
	ck_assert_uint_eq(seen.asks, 1);
	ck_assert_uint_eq(seen.ask.classes, 0x3f);
	ck_assert_mem_eq(seen.ask.dest, dest, NODE_ID_LEN);
	ck_assert_uint_eq(seen.ask.known_epoch, 0);
	give(v, 3, false);
	routes_answer(r, seen.ask_id, v, 3, LEASE_OK, &now);
	ck_assert_uint_eq(seen.installs, 3);
	ck_assert_uint_eq(in_state(HELD_INSTALLING), 3);
	ck_assert_uint_eq(seen.ups, 0);
	installed();
	ck_assert_uint_eq(seen.ups, 3);
	pass(10000);
	ck_assert_uint_eq(seen.asks, 1);
	ck_assert_uint_eq(seen.faileds + seen.selfs, 0);
}
END_TEST

/* An answer that is nobody's, or the second to the same question, changes nothing. */
START_TEST(strange_answers)
{
	struct lease v[LEASE_MAX];

	want();
	give(v, 2, false);
	routes_answer(r, seen.ask_id + 2, v, 2, LEASE_OK, &now);
	ck_assert_uint_eq(seen.installs, 0);
	routes_answer(r, 0, NULL, ROUTES_REFUSED, LEASE_E_POLICY, &now);
	give(v, 2, false);
	routes_answer(r, seen.ask_id, v, 2, LEASE_OK, &now);
	give(v, 2, false);
	routes_answer(r, seen.ask_id, v, 2, LEASE_OK, &now);
	ck_assert_uint_eq(seen.installs, 2);
	/* Leases to another destination, or the direct way, are no routes. */
	world.nodes = 2;
	world.answer = 2;
	routes_want(r, (const uint8_t[NODE_ID_LEN]){ 9 }, ALL, &now);
	routes_tick(r, &now);
	ck_assert_uint_eq(seen.asks, 2);
	ck_assert_uint_eq(seen.installs, 2);
}
END_TEST

/* Leases that nobody made who may neither end what is held, nor count as the answer, nor say which epochs there were. */
START_TEST(forged)
{
	struct lease v[LEASE_MAX];
	uint64_t epoch = world.epoch;

	want();
	world.epoch = FORGED - 1;
	give(v, 2, false);
	routes_answer(r, seen.ask_id, v, 2, LEASE_OK, &now);
	ck_assert_uint_eq(seen.installs, 0);
	ck_assert_uint_eq(d()->epoch, 0);
	world.epoch = epoch;
	give(v, 3, false);
	v[1].epoch = FORGED;
	routes_answer(r, seen.ask_id, v, 3, LEASE_OK, &now);
	ck_assert_uint_eq(seen.installs, 2);
	ck_assert_uint_eq(d()->epoch, epoch + 1);
	installed();
	pass(120000);
	ck_assert_uint_ge(seen.asks, 2);
	world.epoch = FORGED - 1;
	give(v, 2, false);
	routes_answer(r, seen.ask_id, v, 2, LEASE_OK, &now);
	ck_assert_uint_eq(seen.leavings, 0);
	ck_assert_uint_eq(in_state(HELD_UP), 2);
}
END_TEST

/* An epoch that no hop takes is not what is asked for next either, whoever gave it, and wherever it was kept. */
START_TEST(epochs_ahead)
{
	struct lease v[LEASE_MAX], l;

	want();
	world.epoch = (now.wall + 86400) * 1000;
	give(v, 2, false);
	routes_answer(r, seen.ask_id, v, 2, LEASE_OK, &now);
	ck_assert_uint_eq(seen.installs, 2);
	ck_assert_uint_eq(d()->epoch, 0);
	make(&l, 100, 0x20, false);
	free(l.sealed[0].p);
	l.sealed[0].p = NULL;
	routes_restore(r, &l, &now);
	ck_assert_uint_eq(d()->epoch, 0);
	world.epoch = (now.wall + 60) * 1000;
	make(&l, 101, 0x20, false);
	free(l.sealed[0].p);
	l.sealed[0].p = NULL;
	routes_restore(r, &l, &now);
	ck_assert_uint_ge(d()->epoch, world.epoch);
}
END_TEST

/* As many others come as can be held: one of those that carry stays until one of the new ones does. */
START_TEST(all_are_replaced)
{
	unsigned carry = 0;

	have(ROUTES_HELD_MAX);
	pass(61000);
	ck_assert_uint_eq(seen.asks, 2);
	for (unsigned i = 0; i < d()->n; i++)
		carry += d()->held[i].up_wall != 0;
	ck_assert_uint_eq(carry, 1);
	ck_assert_uint_eq(in_state(HELD_INSTALLING), ROUTES_HELD_MAX - 1);
	installed();
	pass(10000);
	ck_assert_uint_eq(in_state(HELD_UP), ROUTES_HELD_MAX - 1);
	ck_assert_uint_eq(in_state(HELD_LEAVING), 0);
}
END_TEST

/* What makes room is what does not work, as far as there is such. */
START_TEST(room_of_the_dead)
{
	have(ROUTES_HELD_MAX);
	memset(world.state, WAY_SILENT, sizeof(world.state));
	world.state[5] = WAY_UP;
	pass(61000);
	ck_assert_uint_eq(seen.asks, 2);
	ck_assert_uint_eq(in_state(HELD_INSTALLING), ROUTES_HELD_MAX - 1);
	ck_assert_uint_eq(in_state(HELD_LEAVING), 1);
	for (unsigned i = 0; i < seen.ends; i++)
		ck_assert_uint_ne(seen.ended[i], 5);
}
END_TEST

/* Silent for long, and back before it has ended: with nothing else it stays. */
START_TEST(silent_and_back)
{
	have(2);
	world.answer = ROUTES_REFUSED;
	routes_silent(r, 1, &now);
	routes_silent(r, 2, &now);
	world.state[2] = WAY_SILENT;
	pass(6000);
	ck_assert_uint_eq(seen.ends, 1);
	ck_assert_uint_eq(seen.ended[0], 2);
	ck_assert_uint_eq(d()->n, 1);
	pass(60000);
	ck_assert_uint_eq(d()->n, 1);
}
END_TEST

/* Refused again and again it asks ever more seldom, but soon when the destination, and no other, has news of itself. */
START_TEST(asks_sooner_upon_news)
{
	unsigned before;

	world.answer = ROUTES_REFUSED;
	world.why = LEASE_E_NO_ROUTE;
	want();
	pass(120000);
	before = seen.asks;
	pass(8000);
	ck_assert_uint_le(seen.asks - before, 1);
	before = seen.asks;
	routes_hint_of(r, (const uint8_t[NODE_ID_LEN]){ 9 }, &now);
	pass(1000);
	ck_assert_uint_eq(seen.asks, before);
	routes_hint_of(r, dest, &now);
	pass(1000);
	ck_assert_uint_eq(seen.asks, before + 1);
}
END_TEST

/* A coordinator that comes back is asked when it is time; what there is runs on until something newer is up. */
START_TEST(no_flapping)
{
	world.answer = ROUTES_NOBODY;
	world.self = 1;
	want();
	installed();
	world.answer = 2;
	pass(40000);
	ck_assert_uint_eq(seen.asks, 1);
	ck_assert_uint_eq(seen.ends, 0);
	pass(25000);
	ck_assert_uint_eq(seen.asks, 2);
	ck_assert_uint_eq(in_state(HELD_LEAVING), 1);
	ck_assert_uint_eq(seen.ends, 0);
	pass(2000);
	ck_assert_uint_eq(seen.ends, 0);	/* the new ones are not up yet */
	installed();
	pass(4000);
	ck_assert_uint_eq(seen.ends, 0);
	pass(2500);
	ck_assert_uint_eq(seen.ends, 1);
	ck_assert_uint_eq(seen.ended[0], 1);
	ck_assert_uint_eq(in_state(HELD_UP), 2);
}
END_TEST

/* At the soft expiry the same paths come again with a later end: nothing is left, nothing ends. */
START_TEST(renews)
{
	uint64_t epoch, hard;

	world.same_ids = true;
	have(2);
	epoch = d()->held[0].lease.epoch;
	hard = d()->held[0].lease.hard;
	pass(44000);
	ck_assert_uint_eq(seen.asks, 1);
	pass(17000);
	ck_assert_uint_eq(seen.asks, 2);
	ck_assert_uint_eq(seen.ask.nheld, 2);
	ck_assert_uint_eq(seen.ask.held[0].route_id, 100);
	ck_assert_uint_eq(seen.ask.held[0].n, 3);
	ck_assert_uint_eq(seen.ask.known_epoch, epoch);
	ck_assert_uint_eq(in_state(HELD_UP), 2);
	ck_assert_uint_gt(d()->held[0].lease.epoch, epoch);
	ck_assert_uint_gt(d()->held[0].lease.hard, hard);
	ck_assert_uint_eq(seen.installs, 4);
	ck_assert_uint_eq(seen.leavings + seen.gones + seen.ends, 0);
	/* Not even when a hop was not to be reached just then. */
	routes_result(r, 100, INSTALL_E_NO_NEXT, &now);
	routes_result(r, 101, INSTALL_E_TIMEOUT, &now);
	ck_assert_uint_eq(in_state(HELD_UP), 2);
	routes_result(r, 101, TICKET_E_FENCED, &now);
	ck_assert_uint_eq(in_state(HELD_UP), 1);
}
END_TEST

/* The coordinator is gone for good: what there is runs to its hard expiry, and then the node goes on alone. */
START_TEST(until_hard)
{
	have(2);
	world.answer = ROUTES_SENT;
	world.self = 1;
	pass(260000);
	ck_assert_uint_eq(seen.ends + seen.gones, 0);
	ck_assert_uint_eq(seen.selfs, 0);
	ck_assert_uint_gt(seen.asks, 5);
	ck_assert_uint_lt(seen.asks, 40);
	pass(40000);
	ck_assert_uint_ge(seen.selfs, 1);
	installed();
	routes_result(r, 1, TICKET_E_EXPIRED, &now);
	routes_result(r, 2, TICKET_E_EXPIRED, &now);
	ck_assert_uint_ge(in_state(HELD_UP), 1);
}
END_TEST

/* A late answer is better than one's own. */
START_TEST(late)
{
	struct lease v[LEASE_MAX];
	uint64_t id;

	world.self = 1;
	want();
	id = seen.ask_id;
	pass(1200);
	installed();
	ck_assert(d()->self);
	give(v, 2, false);
	routes_answer(r, id, v, 2, LEASE_OK, &now);
	installed();
	ck_assert(!d()->self);
	ck_assert_uint_eq(in_state(HELD_UP), 2);
	ck_assert_uint_eq(in_state(HELD_LEAVING), 1);
}
END_TEST

/* A neighbour's word that there is nothing is not the last: an answer of another may follow. */
START_TEST(one_refuses)
{
	struct lease v[LEASE_MAX];

	want();
	routes_answer(r, seen.ask_id, NULL, ROUTES_REFUSED, LEASE_E_UNKNOWN, &now);
	ck_assert_uint_eq(seen.selfs, 0);
	give(v, 2, false);
	routes_answer(r, seen.ask_id, v, 2, LEASE_OK, &now);
	ck_assert_uint_eq(in_state(HELD_INSTALLING), 2);
}
END_TEST

/* Nothing helps: it is asked again, ever more seldom; who wanted it is told once for each time that it wants it. */
START_TEST(backs_off)
{
	unsigned first;

	world.answer = ROUTES_NOBODY;
	want();
	ck_assert_uint_eq(seen.faileds, 1);
	pass(10000);
	first = seen.asks;
	ck_assert_uint_ge(first, 3);
	ck_assert_uint_le(first, 6);
	pass(290000);
	ck_assert_uint_le(seen.asks - first, 16);
	ck_assert_uint_ge(seen.asks - first, 8);
	ck_assert_uint_eq(seen.faileds, 1);
	want();
	pass(1500);
	ck_assert_uint_eq(seen.faileds, 2);
	/* With a session there is a way. */
	world.session = true;
	want();
	pass(1500);
	ck_assert_uint_eq(seen.faileds, 2);
}
END_TEST

START_TEST(hinted)
{
	world.answer = ROUTES_NOBODY;
	want();
	pass(120000);
	seen.asks = 0;
	world.answer = 2;
	routes_hint(r, &now);
	pass(700);
	ck_assert_uint_eq(seen.asks, 1);
	installed();
	seen.asks = 0;
	routes_hint(r, &now);	/* who has a route has no need */
	pass(2000);
	ck_assert_uint_eq(seen.asks, 0);
}
END_TEST

/* A hop refuses, or dies: it is forgotten, and another is asked for. */
START_TEST(breaks)
{
	have(2);
	routes_result(r, 1, TICKET_E_REVOKED, &now);
	ck_assert_uint_eq(d()->n, 1);
	ck_assert_uint_eq(seen.gones, 1);
	ck_assert_uint_eq(seen.ends, 0);	/* install has ended it already */
	pass(ROUTES_LEAVE_NS / MS + 200);
	ck_assert_uint_eq(seen.asks, 2);
	/* Silent: left at once, so that it is not asked for again, and taken back when another is there. */
	installed();
	routes_silent(r, d()->held[d()->n - 1].lease.route_id, &now);
	ck_assert_uint_eq(seen.leavings, 2);
	pass(1200);
	ck_assert_uint_eq(seen.asks, 3);
}
END_TEST

/* What the routed before this one held is asked for again, and does not end meanwhile; nor is it counted on. */
START_TEST(restored)
{
	struct lease l;

	world.same_ids = true;
	make(&l, 100, 0x20, false);
	free(l.sealed[0].p);
	l.sealed[0].p = NULL;
	routes_restore(r, &l, &now);
	ck_assert_uint_eq(in_state(HELD_UP), 1);
	ck_assert_uint_eq(seen.ups, 1);
	ck_assert_uint_eq(seen.installs, 0);
	routes_tick(r, &now);
	ck_assert_uint_eq(seen.ask.nheld, 1);
	ck_assert_uint_eq(seen.ask.held[0].route_id, 100);
	ck_assert_uint_ge(seen.ask.known_epoch, world.epoch + 1000);	/* newer ones may not have come to the disk */
	world.self = 1;
	pass(1200);	/* nobody answers: there is no ticket of it here, so that the node makes its own */
	ck_assert_uint_eq(seen.selfs, 1);
	ck_assert_uint_eq(seen.installs, 1);
	ck_assert_uint_eq(d()->n, 1);
	ck_assert(!d()->held[0].restored);
	ck_assert_uint_eq(seen.gones + seen.ends, 0);
	/* One that is not given again ends, at the latest when its time is over. */
	make(&l, 555, 0x30, false);
	free(l.sealed[0].p);
	l.sealed[0].p = NULL;
	routes_restore(r, &l, &now);
	now.wall = l.hard;
	routes_tick(r, &now);
	ck_assert_uint_eq(seen.ends, 1);
	ck_assert_uint_eq(seen.ended[0], 555);
	routes_restore(r, &l, &now);	/* nor is it taken up again */
	ck_assert_uint_eq(d()->n, 1);
}
END_TEST

/* A hop has other keys: what is up stays up, and is asked for anew. */
START_TEST(other_keys)
{
	world.same_ids = true;
	have(2);
	routes_result(r, 100, TICKET_E_SEAL, &now);
	ck_assert_uint_eq(in_state(HELD_UP), 2);
	pass(ROUTES_STALE_NS / MS + 200);
	ck_assert_uint_eq(seen.asks, 2);
	ck_assert_uint_eq(seen.gones + seen.ends + seen.leavings, 0);
}
END_TEST

/* One route only: it is asked for more soon, and then ever more seldom. */
START_TEST(few)
{
	world.same_ids = true;
	have(1);
	pass(20000);
	ck_assert_uint_ge(seen.asks, 3);
	pass(280000);
	ck_assert_uint_le(seen.asks, 12);
	ck_assert_uint_eq(seen.gones + seen.ends + seen.leavings, 0);
	/* Its own, it makes more when it knows more. */
	teardown();
	setup();
	world.same_ids = true;
	world.answer = ROUTES_NOBODY;
	world.self = 1;
	want();
	installed();
	world.self = 2;
	pass(5000);
	ck_assert_uint_eq(seen.asks, 1);
	ck_assert_uint_eq(d()->n, 2);
}
END_TEST

START_TEST(revoked)
{
	have(3);
	/* The relay of the first one. */
	routes_revoked(r, (const uint8_t[NODE_ID_LEN]){ 0x21 }, &now);
	ck_assert_uint_eq(seen.ends, 1);
	ck_assert_uint_eq(seen.ended[0], 1);
	routes_tick(r, &now);
	ck_assert_uint_eq(seen.asks, 2);
	routes_revoked(r, dest, &now);
	ck_assert_ptr_null(routes_find(r, dest));
}
END_TEST

/* What a new policy forbids ends, and does not come again of a coordinator that has not heard of it. */
START_TEST(forbidden)
{
	have(3);
	world.forbidden = 0x25;
	routes_policy(r, &now);
	ck_assert_uint_eq(seen.ends, 1);
	ck_assert_uint_eq(seen.ended[0], 2);
	ck_assert_uint_eq(in_state(HELD_UP), 2);
	routes_tick(r, &now);
	ck_assert_uint_eq(seen.asks, 2);
	ck_assert_uint_eq(seen.installs, 5);
	for (unsigned i = 0; i < d()->n; i++)
		ck_assert_uint_ne(d()->held[i].lease.nodes[1][0], 0x25);
	routes_policy(r, &now);
	routes_tick(r, &now);
	ck_assert_uint_eq(seen.ends, 1);
	ck_assert_uint_eq(seen.asks, 2);
}
END_TEST

/* The coordinator's clock is a minute behind: soft is there at once, and it is not asked again and again. */
START_TEST(clock_ahead)
{
	world.soft_s = 0;
	world.hard_s = 240;
	have(2);
	pass(30000);
	ck_assert_uint_eq(seen.asks, 1);
	pass(20000);
	ck_assert_uint_eq(seen.asks, 2);
}
END_TEST

/* What a newer route has replaced is ended by the far end: nothing is asked for because of that. */
START_TEST(replaced)
{
	uint64_t old[2];

	have(2);
	old[0] = d()->held[0].lease.route_id;
	old[1] = d()->held[1].lease.route_id;
	pass(60000);
	ck_assert_uint_eq(seen.asks, 2);
	installed();
	ck_assert_uint_eq(in_state(HELD_LEAVING), 2);
	routes_result(r, old[0], TICKET_E_REPLAYED, &now);
	routes_result(r, old[1], TICKET_E_REPLAYED, &now);
	pass(30000);
	ck_assert_uint_eq(seen.asks, 2);
	ck_assert_uint_eq(in_state(HELD_UP), 2);
}
END_TEST

/* Wanted by nobody for long: dropped, unless streams are on it or it is configured. */
START_TEST(unwanted)
{
	world.same_ids = true;
	have(2);
	for (unsigned i = 0; i < 10; i++) {
		pass(100000);
		routes_used(r, dest, &now);
	}
	ck_assert_ptr_nonnull(routes_find(r, dest));
	routes_configured(r, (const uint8_t (*)[NODE_ID_LEN])dest, 1, &now);
	pass(ROUTES_WANT_NS / MS + 1000);
	ck_assert_ptr_nonnull(routes_find(r, dest));
	routes_configured(r, NULL, 0, &now);
	pass(200);
	ck_assert_ptr_null(routes_find(r, dest));
	ck_assert_uint_eq(seen.ends, 2);
}
END_TEST

START_TEST(bounds)
{
	uint8_t id[NODE_ID_LEN] = { 1 };

	world.answer = ROUTES_SENT;
	for (unsigned i = 0; i < ROUTES_DESTS_MAX; i++) {
		id[1] = (uint8_t)(i >> 8);
		id[2] = (uint8_t)i;
		ck_assert_int_eq(routes_want(r, id, 0, &now), 0);
	}
	id[3] = 1;
	ck_assert_int_eq(routes_want(r, id, 0, &now), -1);
	routes_tick(r, &now);
	ck_assert_uint_eq(seen.asks, ROUTES_ASK_BURST);
	pass(1000);
	ck_assert_uint_le(seen.asks, ROUTES_ASK_BURST + 1000 / ROUTES_ASK_MS + 1);
}
END_TEST

/* Whatever the answers are, there are never more than there is room for, and none is lost. */
START_TEST(many)
{
	for (unsigned i = 0; i < 50; i++) {
		world.answer = (int)LEASE_MAX;
		routes_want(r, dest, ALL, &now);
		pass(70000);
		if (i % 3 != 0)
			installed();
		ck_assert_uint_le(d()->n, ROUTES_HELD_MAX);
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("routes");
	TCase *tc = tcase_create("routes");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, asks);
	tcase_add_test(tc, strange_answers);
	tcase_add_test(tc, forged);
	tcase_add_test(tc, epochs_ahead);
	tcase_add_test(tc, all_are_replaced);
	tcase_add_test(tc, room_of_the_dead);
	tcase_add_test(tc, silent_and_back);
	tcase_add_test(tc, asks_sooner_upon_news);
	tcase_add_test(tc, no_flapping);
	tcase_add_test(tc, renews);
	tcase_add_test(tc, until_hard);
	tcase_add_test(tc, late);
	tcase_add_test(tc, one_refuses);
	tcase_add_test(tc, backs_off);
	tcase_add_test(tc, hinted);
	tcase_add_test(tc, breaks);
	tcase_add_test(tc, restored);
	tcase_add_test(tc, other_keys);
	tcase_add_test(tc, few);
	tcase_add_test(tc, revoked);
	tcase_add_test(tc, forbidden);
	tcase_add_test(tc, unwanted);
	tcase_add_test(tc, clock_ahead);
	tcase_add_test(tc, replaced);
	tcase_add_test(tc, bounds);
	tcase_add_test(tc, many);
	suite_add_tcase(s, tc);
	return suite_run(s);
}
