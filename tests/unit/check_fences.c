/* What the route manager makes of fences: how far they reach, whom they outlive, and what is given above them. */
#include "manager_world.h"
#include "suite.h"

/* What asks for too much is not held; what was held of a coordinator goes with it. */
START_TEST(fences_go_with_their_maker)
{
	struct fence f = { .what = FENCE_NODE, .epoch = 1ull << 61 };
	struct record r;
	const struct fence_held *held;

	begin(1u << ROLE_MOBILE_EDGE);
	memcpy(f.node, relay.id, NODE_ID_LEN);
	ck_assert_int_eq(record_decode(&r, buf, kw_fence_life(buf, sizeof(buf), 1, &f, LEASE_LIFE_MAX_S, &coord)), RECORD_OK);
	ck_assert_int_eq(fences_add(&m->fences, &r, kw_wall, &held), -1);
	f.epoch = epoch_ahead();
	ck_assert_int_eq(record_decode(&r, buf, kw_fence_life(buf, sizeof(buf), 1, &f, 86400, &coord)), RECORD_OK);
	ck_assert_int_eq(fences_add(&m->fences, &r, kw_wall, &held), -1);
	ck_assert_int_eq(fence(&coord, &relay, epoch_ahead()), KNOWN_OK);
	ck_assert_int_eq(fence(&coord, &host, epoch_ahead()), KNOWN_OK);
	ck_assert_uint_eq(m->fences.n, 2);
	/* Another is revoked; and it has another key, as after a restart. */
	revoke_one(&host, 1);
	coord.route.secret[31]++;
	ck_assert_int_eq(sign_key_from_secret(&coord.route), 0);
	coord.r.serial++;
	take(&coord);
	ck_assert_uint_eq(m->fences.n, 2);
	if (_i == 0) {
		revoke_one(&coord, 2);
	} else {
		coord.m.roles = 1u << ROLE_RELAY;
		coord.m.serial++;
		take(&coord);
	}
	ck_assert_uint_eq(m->fences.n, 0);
	end();
}
END_TEST

/* What a coordinator says again with another key is one fence, and ends nothing twice. */
START_TEST(fences_said_again)
{
	uint64_t *taken = &stats->counter[STAT_ROUTED_FENCES], before;
	struct fence f = { .what = FENCE_NODE, .epoch = epoch_ahead() };

	begin(1u << ROLE_MOBILE_EDGE);
	before = *taken;
	for (unsigned i = 0; i < 3; i++) {
		memcpy(f.node, i < 2 ? relay.id : host.id, NODE_ID_LEN);	/* the last time its number is another's */
		ck_assert_int_eq(knowns_take_signed(ks, buf, kw_fence_life(buf, sizeof(buf), 7, &f, LEASE_LIFE_MAX_S, &coord),
		    false, kw_wall), KNOWN_OK);
		ck_assert_uint_eq(m->fences.n, i < 2 ? 1 : 2);
		ck_assert_uint_eq(*taken - before, m->fences.n);
		coord.route.secret[31]++;
		ck_assert_int_eq(sign_key_from_secret(&coord.route), 0);
		coord.r.serial++;
		take(&coord);
	}
	end();
}
END_TEST

/* `fabricctl route fence node' */
static char text[PM_TEXT_MAX + 1];

static const struct fence_held *
fence_node(const struct kw_node *whom)
{
	struct fence f = { .what = FENCE_NODE };

	memcpy(f.node, whom->id, NODE_ID_LEN);
	return manager_fence(m, &f, text);
}

/* Somebody who hears only now of this coordinator and of its fences: how many it believes. */
static unsigned late_believed;

static void
late_take(const uint8_t *record, size_t len, void *arg)
{
	late_believed += knowns_take_signed(arg, record, len, false, kw_wall) == KNOWN_OK;
}

static void
late_signed(const struct record *r, const struct known *issuer, void *arg)
{
}

static void
late_changed(struct known *k, enum known_change change, void *arg)
{
}

static unsigned
late_comer(void)
{
	static const struct known_ops late_ops = { .changed = late_changed, .signed_record = late_signed };
	struct knowns *late = knowns_new(100, 2, &late_ops, NULL);

	ck_assert_ptr_nonnull(late);
	knowns_self(late, host.id, kw_authority.public, KW_TENANT);
	ck_assert_int_eq(knowns_take(late, &me.item, relay.id, kw_wall, NULL), KNOWN_OK);
	late_believed = 0;
	knowns_fences_each(ks, late_take, late);
	knowns_free(late);
	return late_believed;
}

/* A coordinator fences, and starts again, twice: whoever comes late knows only its newest key, and has the fences. */
START_TEST(fences_outlive_a_restart)
{
	for (starts = 0; starts < 3; starts++) {
		begin(1u << ROLE_ROUTE_COORDINATOR);
		if (starts == 0) {
			ck_assert_ptr_nonnull(fence_node(&relay));
			ck_assert_ptr_nonnull(fence_node(&host));
		}
		manager_tick(m);
		ck_assert_uint_eq(m->fences.n, 2);
		ck_assert_uint_eq(late_comer(), 2);
		/* Its record with other keys, and with the same: nothing is said twice. */
		take(&me);
		me.t.serial++;
		take(&me);
		manager_tick(m);
		ck_assert_uint_eq(m->fences.n, 2);
		end();
	}
	starts = 0;
	ck_assert_int_eq(unlink(LEASESTORE_FILE), 0);
}
END_TEST

/* Its record is not yet out when its keys are there: it waits, or nobody would believe it, itself included. */
START_TEST(fences_wait_for_the_record)
{
	begin(1u << ROLE_ROUTE_COORDINATOR);
	ck_assert_ptr_nonnull(fence_node(&relay));
	me.route.secret[30]++;
	ck_assert_int_eq(sign_key_from_secret(&me.route), 0);
	me.r.serial++;
	kw_again(&me);
	manager_keys(m, &me.route, &my_ticket, me.item.membership, me.item.route);
	manager_tick(m);
	ck_assert_ptr_null(fence_node(&host));
	ck_assert_ptr_nonnull(strstr(text, "again in a moment"));
	ck_assert_uint_eq(nrefused, 0);
	take(&me);
	ck_assert_uint_eq(late_comer(), 0);
	manager_tick(m);
	ck_assert_uint_eq(late_comer(), 1);
	end();
	ck_assert_int_eq(unlink(LEASESTORE_FILE), 0);
}
END_TEST

/* Leases over the relay, each asked for with the last one's epoch as when they are renewed: the newest epoch. */
static uint64_t
renewed(unsigned times)
{
	struct lease_ask a = wish();
	int n;

	for (unsigned i = 0; i < times; i++) {
		ck_assert_int_gt(n = manager_ask_self(&a, out, &why, m), 0);
		ck_assert_uint_gt(out[0].epoch, a.known_epoch);
		a.known_epoch = out[0].epoch;
		drop(n);
	}
	return a.known_epoch;
}

/* Fenced, it honours none that there was before, and gives newer ones. */
static void
fence_hits(uint64_t epoch)
{
	const struct fence_held *f = fence_node(&relay);

	ck_assert_msg(f != NULL, "%s", text);
	ck_assert_uint_ge(f->fence.epoch, epoch);
	ck_assert_uint_gt(renewed(1), f->fence.epoch);
}

/* Many by one coordinator, that outlast any other's: what another says holds all the same. */
START_TEST(a_fence_among_many)
{
	struct fence f = { .what = FENCE_ROUTE, .epoch = 1 };
	const struct fence_held *held;
	struct record r;

	begin(1u << ROLE_ROUTE_COORDINATOR);
	for (uint64_t i = 1; i <= FENCES_MAX + 8; i++) {
		f.route_id = i;
		ck_assert_int_eq(record_decode(&r, buf, kw_fence_life(buf, sizeof(buf), i, &f, FENCE_LIFE_MAX_S, &coord)), RECORD_OK);
		ck_assert_int_eq(fences_add(&m->fences, &r, kw_wall, &held), 1);
	}
	ck_assert_uint_eq(m->fences.n, FENCES_MAX);
	fence_hits(renewed(1));
	ck_assert_uint_eq(m->fences.n, FENCES_MAX);
	end();
	ck_assert_int_eq(unlink(LEASESTORE_FILE), 0);
}
END_TEST

/* A fence by the other coordinator, of its clock: the epoch of one, `ahead_s' before its clock, that is valid until its bound. */
static enum known_error
fence_by_other(uint64_t clock_s, uint64_t ahead_s)
{
	uint64_t wall = kw_wall;
	struct fence f = { .what = FENCE_NODE, .epoch = (wall + clock_s + ahead_s) * 1000 };
	size_t len;

	memcpy(f.node, relay.id, NODE_ID_LEN);
	kw_wall += clock_s;
	len = kw_fence_life(buf, sizeof(buf), clock_s + ahead_s, &f, LEASE_LIFE_MAX_S, &coord);
	kw_wall = wall;
	return knowns_take_signed(ks, buf, len, false, kw_wall);
}

/*
 * What follows a fence has an epoch above it, however far ahead that was: the next fence, a moment later or by another
 * coordinator, is above these.
 */
START_TEST(a_fence_after_a_fence)
{
	begin(1u << ROLE_ROUTE_COORDINATOR);
	for (unsigned i = 0; i < 20; i++)
		fence_hits(renewed(40));
	end();
	for (unsigned clock_s = 0; clock_s <= CLOCK_SKEW_S; clock_s += CLOCK_SKEW_S) {
		begin(1u << ROLE_ROUTE_COORDINATOR);
		ck_assert_ptr_nonnull(fence_node(&relay));
		ck_assert_int_eq(fence_by_other(clock_s, 240), KNOWN_OK);
		fence_hits(renewed(40));
		fence_hits(renewed(40));
		end();
	}
	ck_assert_int_eq(unlink(LEASESTORE_FILE), 0);
}
END_TEST

/* One that was as far ahead as it may: the next says when it can be, and is not there until then. */
START_TEST(a_fence_after_the_farthest)
{
	unsigned wait_s;

	begin(1u << ROLE_ROUTE_COORDINATOR);
	ck_assert_int_eq(fence_by_other(0, LEASE_LIFE_MAX_S - 10), KNOWN_OK);
	fence_hits(renewed(40));
	ck_assert_int_eq(fence_by_other(CLOCK_SKEW_S, LEASE_LIFE_MAX_S - 9), KNOWN_E_LIFETIME);
	ck_assert_int_eq(fence_by_other(CLOCK_SKEW_S, LEASE_LIFE_MAX_S - 10), KNOWN_OK);
	ck_assert_uint_gt(renewed(1), (kw_wall + LEASE_LIFE_MAX_S) * 1000);
	ck_assert_ptr_null(fence_node(&relay));
	ck_assert_uint_eq(m->fences.n, 3);
	ck_assert_uint_eq(nrefused, 0);
	ck_assert_ptr_nonnull(strstr(text, "again in "));
	ck_assert_int_eq(sscanf(strstr(text, "again in "), "again in %u s", &wait_s), 1);
	kw_wall += wait_s - 1;
	at(0);
	ck_assert_ptr_null(fence_node(&relay));
	kw_wall++;
	at(0);
	fence_hits(renewed(40));
	end();
	ck_assert_int_eq(unlink(LEASESTORE_FILE), 0);
}
END_TEST

/* Its clock was set back, and its leases go on from where they were: a fence hits them, or it says that it cannot yet. */
START_TEST(a_fence_of_a_clock_set_back)
{
	uint64_t newest;

	begin(1u << ROLE_ROUTE_COORDINATOR);
	newest = renewed(5);
	kw_wall -= 600;
	at(0);
	newest = renewed(1);
	ck_assert_uint_gt(newest, KW_NOW * 1000);
	fence_hits(newest);
	end();
	begin(1u << ROLE_ROUTE_COORDINATOR);
	renewed(5);
	kw_wall -= LEASE_LIFE_MAX_S + 60;
	at(0);
	ck_assert_ptr_null(fence_node(&relay));
	ck_assert_ptr_nonnull(strstr(text, "again in "));
	ck_assert_uint_eq(m->fences.n, 0);
	end();
	ck_assert_int_eq(unlink(LEASESTORE_FILE), 0);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("fences");
	TCase *tc = tcase_create("fences");

	tcase_add_unchecked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, fences_go_with_their_maker, 0, 2);
	tcase_add_test(tc, fences_said_again);
	tcase_add_test(tc, fences_outlive_a_restart);
	tcase_add_test(tc, fences_wait_for_the_record);
	tcase_add_test(tc, a_fence_after_a_fence);
	tcase_add_test(tc, a_fence_among_many);
	tcase_add_test(tc, a_fence_after_the_farthest);
	tcase_add_test(tc, a_fence_of_a_clock_set_back);
	suite_add_tcase(s, tc);
	return suite_run(s);
}
