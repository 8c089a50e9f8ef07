/* routed: what becomes of routes with the time: they expire, hops fall silent or start anew, clocks are set. */
#include "install_world.h"
#include "suite.h"

START_TEST(expires)
{
	ck_assert_uint_eq(install(&usual), INSTALL_OK);
	now.wall = HARD - 1;
	tick();
	assert_everywhere(1);
	now.wall = HARD;
	tick();
	assert_everywhere(0);
	ck_assert_uint_eq(n[S].error, TICKET_E_EXPIRED);
	ck_assert_uint_eq(n[R1].events[INSTALL_EV_EXPIRED], 1);
	ck_assert_uint_eq(n[S].del_reason, REASON_ROUTE_EXPIRED);
}
END_TEST

/* The clock of all was hours ahead, and is set right: what was given then ends, and what is given now has its place. */
START_TEST(clock_set_back)
{
	struct wish w = usual;

	w.epoch = WALL * 1000ull;
	ck_assert_uint_eq(install(&w), INSTALL_OK);
	assert_everywhere(1);
	now.wall -= 3600 + 60;
	tick();
	assert_everywhere(1);		/* a fence may have been as far ahead */
	now.wall -= 3600;
	tick();
	run();
	assert_everywhere(0);
	ck_assert_uint_eq(n[S].error, TICKET_E_NOT_YET);
	w.epoch = now.wall * 1000;
	w.not_before = now.wall - 30;
	w.hard = now.wall + 300;
	ck_assert_uint_eq(install(&w), INSTALL_OK);
	assert_everywhere(1);
}
END_TEST

/* Who is silent is named by the hop before it, before the source gives up itself. */
START_TEST(silent_hop)
{
	deaf[D] = true;
	ck_assert_uint_eq(install(&usual), INSTALL_OK);
	for (unsigned ms = 0; ms < 3000 && n[S].results == 0; ms += 100) {
		now.now_ns += 100 * NS_PER_MS;
		tick();
		run();
	}
	ck_assert_uint_eq(n[S].error, INSTALL_E_TIMEOUT);
	ck_assert_uint_eq(n[S].left, 1);
	assert_everywhere(0);
}
END_TEST

/* A relay's routed restarts: the node before gives it the tickets again, and it passes them on. */
START_TEST(relay_restarts)
{
	ck_assert_uint_eq(install(&usual), INSTALL_OK);
	install_free(n[R2].in);
	n[R2].in = install_new(&ops, &n[R2]);
	n[R2].nroutes = 0;
	install_mesh_up(n[R1].in, n[R2].id, &now);
	run();
	assert_everywhere(1);
	ck_assert_uint_eq(n[S].error, INSTALL_OK);
	/* It is away for longer: nothing ends for that. */
	n[R1].up[R2] = false;
	ck_assert_uint_eq(install(&usual), INSTALL_OK);
	now.now_ns += 60 * NS_PER_SEC;
	tick();
	run();
	assert_everywhere(1);
}
END_TEST

/* Two restart at once: the relay that is asked again before it has a stream to the next waits, and takes nothing away. */
START_TEST(young_relay)
{
	ck_assert_uint_eq(install(&usual), INSTALL_OK);
	install_free(n[R1].in);
	n[R1].in = install_new(&ops, &n[R1]);
	if (_i == 0)
		install_tick(n[R1].in, &now);
	else	/* who asks it was there before its first tick */
		install_mesh_up(n[R1].in, n[S].id, &now);
	n[R1].up[R2] = false;
	now.now_ns += _i == 0 ? NS_PER_SEC : 0;
	install_mesh_up(n[S].in, n[R1].id, &now);
	run();
	ck_assert_uint_eq(n[S].error, INSTALL_OK);
	assert_everywhere(1);
	n[R1].up[R2] = true;
	install_mesh_up(n[R1].in, n[R2].id, &now);
	run();
	now.now_ns += 60 * NS_PER_SEC;
	tick();
	run();
	assert_everywhere(1);
	/* Later there is no such excuse for one that is new. */
	install_end(n[S].in, ROUTE, INSTALL_E_CLOSED, REASON_HOP_GONE);
	run();
	n[R1].up[R2] = false;
	ck_assert_uint_eq(install(&usual), INSTALL_OK);
	ck_assert_uint_eq(n[S].error, INSTALL_E_NO_NEXT);
}
END_TEST

/* And where the next one has other keys by now, the source hears of it, and what is there is not taken away before it can answer. */
START_TEST(young_relays)
{
	ck_assert_uint_eq(install(&usual), INSTALL_OK);
	for (unsigned i = R1; i <= R2; i++) {
		install_free(n[i].in);
		n[i].in = install_new(&ops, &n[i]);
		install_tick(n[i].in, &now);
	}
	n[R2].ticket.secret[5] ^= 1;
	ck_assert_int_eq(noise_key_from_secret(&n[R2].ticket), 0);
	now.now_ns += NS_PER_SEC;
	install_mesh_up(n[S].in, n[R1].id, &now);
	run();
	ck_assert_uint_eq(n[S].error, TICKET_E_SEAL);
	ck_assert_uint_eq(n[R1].nroutes, 1);
	now.now_ns += INSTALL_YOUNG_NS;
	install_tick(n[R1].in, &now);
	ck_assert_uint_eq(n[R1].nroutes, 1);
	if (_i == 0) {		/* the source has a lease for the new key */
		ck_assert_uint_eq(install(&usual), INSTALL_OK);
		ck_assert_uint_eq(n[S].error, INSTALL_OK);
	}
	now.now_ns += INSTALL_YOUNG_NS;
	install_tick(n[R1].in, &now);
	run();
	ck_assert_uint_eq(n[R1].nroutes, _i == 0);
}
END_TEST

START_TEST(dataplane_restarts)
{
	ck_assert_uint_eq(install(&usual), INSTALL_OK);
	for (unsigned i = S; i <= D; i++) {
		n[i].nroutes = 0;
		n[i].full = true;
		install_again(n[i].in);
		ck_assert_uint_eq(n[i].nroutes, 0);
		n[i].full = false;
		install_sync(n[i].in);
		ck_assert_uint_eq(n[i].nroutes, 1);
	}
}
END_TEST

/* The destination drops the older routes of a source a while after it has a newer one, when the source has not. */
START_TEST(outdated)
{
	struct wish w = usual;

	ck_assert_uint_eq(install(&w), INSTALL_OK);
	w.id = ROUTE + 1;
	w.epoch = 101;
	ck_assert_uint_eq(install(&w), INSTALL_OK);
	install_tick(n[D].in, &now);	/* in the same moment */
	run();
	assert_everywhere(2);
	now.now_ns += INSTALL_OLD_NS / 2;
	install_tick(n[D].in, &now);
	assert_everywhere(2);
	/* A hop before it gives it again what it has: that ends nothing sooner, nor later. */
	install_mesh_up(n[R2].in, n[D].id, &now);
	run();
	assert_everywhere(2);
	now.now_ns += INSTALL_OLD_NS;
	install_tick(n[D].in, &now);
	run();
	assert_everywhere(1);
	ck_assert_uint_eq(n[D].routes[0].route_id, ROUTE + 1);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("install_time");
	TCase *tc = tcase_create("install_time");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, expires);
	tcase_add_test(tc, clock_set_back);
	tcase_add_test(tc, silent_hop);
	tcase_add_test(tc, relay_restarts);
	tcase_add_loop_test(tc, young_relay, 0, 2);
	tcase_add_loop_test(tc, young_relays, 0, 2);
	tcase_add_test(tc, dataplane_restarts);
	tcase_add_test(tc, outdated);
	suite_add_tcase(s, tc);
	return suite_run(s);
}
