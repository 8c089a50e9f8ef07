/* When a source asks, whom, and what it does for itself, where coordinators are silent, refuse, or lack a class. */
#include "routes_world.h"
#include "suite.h"

/* Nobody answers: within about a second the node helps itself, but not against a policy, nor while something holds. */
static const struct {
	const char *what;
	int	 answer;
	enum lease_error why;
	unsigned wait_ms, selfs;
} without[] = {
	{ "silence", ROUTES_SENT, 0, 1100, 1 },
	{ "nobody there", ROUTES_NOBODY, 0, 0, 1 },
	{ "a coordinator that knows nothing", ROUTES_REFUSED, LEASE_E_UNKNOWN, 0, 1 },
	{ "no route", ROUTES_REFUSED, LEASE_E_NO_ROUTE, 0, 1 },
	{ "the policy", ROUTES_REFUSED, LEASE_E_POLICY, 0, 0 },
	{ "revoked", ROUTES_REFUSED, LEASE_E_REVOKED, 0, 0 },
};

START_TEST(helps_itself)
{
	world.answer = without[_i].answer;
	world.why = without[_i].why;
	world.self = 1;
	want();
	if (without[_i].wait_ms > 0)
		ck_assert_uint_eq(seen.selfs, 0);
	pass(without[_i].wait_ms);
	ck_assert_msg(seen.selfs == without[_i].selfs, "%s: %u", without[_i].what, seen.selfs);
	if (without[_i].selfs == 0) {
		ck_assert_uint_eq(seen.faileds, 1);
		ck_assert_int_eq(seen.failed, without[_i].why);
		return;
	}
	installed();
	ck_assert(d()->self);
	ck_assert_uint_eq(in_state(HELD_UP), 1);
	ck_assert_uint_eq(seen.faileds, 0);
}
END_TEST

/*
 * A node that starts anew and finds no coordinator makes one route, as it does not know of more yet. Two of before, which are
 * dead, do not keep it from looking again.
 */
START_TEST(restored_are_not_enough)
{
	struct lease l;

	for (unsigned i = 0; i < 2; i++) {
		make(&l, 500 + i, 0x40 + 8 * i, false);
		free(l.sealed[0].p);
		l.sealed[0].p = NULL;
		routes_restore(r, &l, &now);
	}
	world.answer = ROUTES_NOBODY;
	world.self = 1;
	want();
	pass(1000);
	installed();
	ck_assert_uint_eq(in_state(HELD_UP), 3);
	world.self = 2;
	pass(9000);
	installed();
	pass(6000);
	ck_assert_uint_eq(d()->n, 2);
	ck_assert_uint_eq(in_state(HELD_UP), 2);
	ck_assert(!d()->held[0].restored && !d()->held[1].restored);
}
END_TEST

/* What a node made for itself as it knew no coordinator yet is replaced as soon as it knows one, and by nothing else so soon. */
START_TEST(a_coordinator_is_known)
{
	world.answer = ROUTES_NOBODY;
	world.self = _i;
	want();
	installed();
	ck_assert(d()->self);
	world.answer = 2;
	seen.asks = 0;
	routes_hint(r, &now);
	pass(1000);
	ck_assert_uint_eq(seen.asks, 0);
	routes_coordinator(r, &now);
	pass(1000);
	ck_assert_uint_eq(seen.asks, 1);
	installed();
	pass(6000);
	ck_assert(!d()->held[0].lease.self);
}
END_TEST

/*
 * A coordinator that answers, and does not yet know of both, is asked again in a moment: what the node made for itself meanwhile
 * is no reason to wait. One that is silent is left alone until then.
 */
START_TEST(a_coordinator_lacks)
{
	bool silent = _i >= 2;

	world.self = 1 + _i % 2;
	want();
	if (!silent)
		routes_answer(r, seen.ask_id, NULL, ROUTES_REFUSED, LEASE_E_UNKNOWN, &now);
	pass(1100);
	installed();
	ck_assert(d()->self);
	ck_assert_uint_eq(seen.asks, 1);
	world.answer = 2;
	pass(2000);
	ck_assert_uint_eq(seen.asks, 1);
	pass(2000);
	ck_assert_uint_eq(seen.asks, silent ? 1 : 2);
	if (silent)
		return;
	installed();
	ck_assert_uint_eq(in_state(HELD_UP), 2);
	ck_assert(!d()->self);
	/* It still has none, again and again: ever more seldom. */
	world.answer = ROUTES_SENT;
	seen.asks = 0;
	for (unsigned s = 0; s < 240; s++) {
		unsigned before = seen.asks;

		pass(1000);
		if (seen.asks > before)
			routes_answer(r, seen.ask_id, NULL, ROUTES_REFUSED, LEASE_E_NO_ROUTE, &now);
	}
	ck_assert_uint_le(seen.asks, 240 / 30 + 8);
}
END_TEST

/* What counts is the last time that one was asked. */
START_TEST(a_coordinator_falls_silent)
{
	world.self = 2;
	world.hard_s = ROUTES_SELF_LEFT_S;	/* so that it makes more whenever nobody answers */
	want();
	routes_answer(r, seen.ask_id, NULL, ROUTES_REFUSED, LEASE_E_UNKNOWN, &now);
	pass(5100);
	installed();
	ck_assert_uint_eq(seen.asks, 2);
	pass(1100);
	ck_assert_uint_eq(seen.selfs, 2);
	installed();
	pass(ROUTES_SPARE_NS / MS + 1000);
	ck_assert_uint_eq(seen.asks, 2);
}
END_TEST

/* With one of its own making, for other classes, it does not keep to itself. */
START_TEST(own_for_other_classes)
{
	world.answer = ROUTES_NOBODY;
	world.self = 1;
	world.classes = 0x30;
	want();
	installed();
	ck_assert_uint_eq(in_state(HELD_UP), 1);
	world.answer = 2;
	world.classes = 0x3f;
	seen.asks = 0;
	pass(16000);
	ck_assert_uint_eq(seen.asks, 0);
	ck_assert_int_eq(routes_want(r, dest, 0x04, &now), 0);
	pass(1000);
	ck_assert_uint_eq(seen.asks, 1);
	ck_assert_uint_eq(in_state(HELD_INSTALLING), 2);
}
END_TEST

/* New ones are for other classes only: the old ones go on, and it is asked again soon. */
START_TEST(for_other_classes)
{
	have(2);
	world.classes = 0x30;
	while (seen.asks < 2)
		pass(100);
	installed();
	pass(8000);
	ck_assert_uint_eq(seen.ends, 0);
	ck_assert_uint_eq(in_state(HELD_LEAVING), 2);
	world.state[1] = WAY_SILENT;
	world.classes = 0x3f;
	pass(1000);
	ck_assert_uint_eq(seen.ends, 1);
	ck_assert_uint_eq(seen.ended[0], 1);
	pass(6500);
	ck_assert_uint_eq(seen.asks, 3);
	installed();
	world.state[5] = world.state[6] = WAY_NEW;	/* they have yet to prove themselves */
	pass(6000);
	ck_assert_uint_eq(in_state(HELD_LEAVING), 1 + 2);
	world.state[5] = WAY_UP;
	pass(1000);
	ck_assert_uint_eq(in_state(HELD_LEAVING), 0);
	ck_assert_uint_eq(in_state(HELD_UP), 2);
}
END_TEST

/* There are routes for these classes only, and nothing to renew: for the others it was asked as often as that is done. */
static void
lacks(uint8_t classes)
{
	world.classes = classes;
	world.soft_s = 3600;
	world.hard_s = 5 * 3600;
	have(2);
	pass(4 * 60000);
	installed();
	pass(60000);
	ck_assert_uint_eq(seen.asks, 1 + ROUTES_LACK_MAX);
}

/* For classes that there was a route for just now it is asked again, however often it was in vain for others. */
START_TEST(lacked_again)
{
	lacks(0x0f);
	world.classes = 0x30;
	if (_i == 0) {		/* others come instead */
		routes_result(r, d()->held[d()->n - 1].lease.route_id, TICKET_E_REVOKED, &now);
	} else {
		while (in_state(HELD_UP) > 0)
			for (unsigned i = 0; i < d()->n; i++)
				routes_silent(r, d()->held[i].lease.route_id, &now);
	}
	pass(6000);
	ck_assert_uint_eq(seen.asks, 2 + ROUTES_LACK_MAX);
	installed();
	pass(16000);
	ck_assert_uint_eq(seen.asks, 3 + ROUTES_LACK_MAX);
}
END_TEST

/* None is left for one class: it is asked for before the others have to be renewed. */
START_TEST(a_class_without)
{
	world.classes = 0x3b;
	have(2);
	pass(10000);
	ck_assert_uint_eq(seen.asks, 1);
	pass(6000);
	ck_assert_uint_eq(seen.asks, 2);
	world.classes = 0x3f;
	pass(16000);
	ck_assert_uint_eq(seen.asks, 3);
	installed();
	pass(30000);
	ck_assert_uint_eq(seen.asks, 3);
	/* For good: eight times, and then when they have to be renewed. */
	world.classes = 0x3b;
	pass(10 * 60000);
	ck_assert_uint_ge(seen.asks, 3 + 1 + 8 + 5);
	ck_assert_uint_le(seen.asks, 3 + 1 + 8 + 11);
}
END_TEST

/* Something waits for the class that there is none for: it is asked for again, though not all the time. */
START_TEST(a_class_is_waited_for)
{
	lacks(0x3b);
	seen.asks = 0;
	routes_want(r, dest, 0x3b, &now);	/* for these there are */
	pass(1000);
	ck_assert_uint_eq(seen.asks, 0);
	for (unsigned i = 0; i < 60; i++) {
		routes_want(r, dest, 0x04, &now);
		pass(1000);
		if (i == 0)
			ck_assert_uint_eq(seen.asks, 1);
	}
	ck_assert_uint_ge(seen.asks, 4);
	ck_assert_uint_le(seen.asks, 6);
}
END_TEST
int
main(void)
{
	Suite *s = suite_create("routes, without help");
	TCase *tc = tcase_create("routes, without help");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, helps_itself, 0, sizeof(without) / sizeof(without[0]));
	tcase_add_test(tc, restored_are_not_enough);
	tcase_add_loop_test(tc, a_coordinator_is_known, 1, 3);
	tcase_add_loop_test(tc, a_coordinator_lacks, 0, 4);
	tcase_add_test(tc, a_coordinator_falls_silent);
	tcase_add_test(tc, own_for_other_classes);
	tcase_add_test(tc, for_other_classes);
	tcase_add_loop_test(tc, lacked_again, 0, 2);
	tcase_add_test(tc, a_class_without);
	tcase_add_test(tc, a_class_is_waited_for);
	suite_add_tcase(s, tc);
	return suite_run(s);
}
