/* routed: the routes of a node, as their source. A coordinator, hops and a clock that are this test's. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "routed/routes.h"
#include "wire/varint.h"

#define WALL	1800000000ull
#define MS	NS_PER_MS
#define ALL	((1u << CLASS_COUNT) - 1)
#define FORGED	VARINT_MAX	/* the epoch of such a lease */

static struct routes *r;
static struct clock_both now;
static uint8_t dest[NODE_ID_LEN] = { 0xdd }, self_id[NODE_ID_LEN] = { 0x11 };

/* The world. */
static struct {
	int	 answer;		/* leases that a coordinator gives at once, or one of ROUTES_* */
	int	 self;			/* that the node gives itself */
	enum lease_error why, self_why;
	unsigned install;		/* what installing says at once */
	bool	 session;
	uint64_t next_id, epoch;
	unsigned soft_s, hard_s;
	uint8_t	 classes;
	bool	 same_ids;		/* the same paths come again */
	unsigned nodes;		/* on each */
	uint8_t	 state[64];		/* of ways, by the ids of routes */
	uint8_t	 forbidden;		/* no route leads over a node that begins so; 0: all may */
} world;

/* What was done to it. */
static struct {
	unsigned asks, selfs, installs, ends, ups, leavings, gones, faileds;
	uint64_t ask_id, ask_ns, installed[64], ended[64];
	struct lease_ask ask;
	enum lease_error failed;
} seen;

static void
make(struct lease *l, uint64_t id, unsigned relay, bool self)
{
	memset(l, 0, sizeof(*l));
	l->route_id = id;
	l->epoch = world.epoch;
	l->soft = now.wall + world.soft_s;
	l->hard = now.wall + world.hard_s;
	l->n = (uint8_t)world.nodes;
	l->classes = world.classes;
	l->self = self;
	memcpy(l->nodes[0], self_id, NODE_ID_LEN);
	for (unsigned i = 1; i + 1 < l->n; i++)
		l->nodes[i][0] = (uint8_t)(relay + i);
	memcpy(l->nodes[l->n - 1], dest, NODE_ID_LEN);
	l->sealed[0].p = malloc(8);	/* so that what is not freed is found */
	l->sealed[0].len = 8;
}

static int
give(struct lease *out, int n, bool self)
{
	world.epoch++;
	for (int i = 0; i < n; i++)
		make(&out[i], world.same_ids ? 100 + (uint64_t)i : ++world.next_id, 0x20 + (unsigned)i * 4, self);
	return n;
}

static int
on_ask(const struct lease_ask *a, uint64_t id, unsigned attempt, struct lease out[LEASE_MAX], enum lease_error *e, void *arg)
{
	seen.asks++;
	seen.ask = *a;
	seen.ask_id = id;
	seen.ask_ns = now.now_ns;
	*e = world.why;
	return world.answer > 0 ? give(out, world.answer, false) : world.answer;
}

static int
on_self(const struct lease_ask *a, struct lease out[LEASE_MAX], enum lease_error *e, void *arg)
{
	seen.selfs++;
	ck_assert(a->self);
	*e = world.self_why;
	return world.self > 0 ? give(out, world.self, true) : world.self;
}

static unsigned
on_install(const struct lease *l, void *arg)
{
	seen.installed[seen.installs++ % 64] = l->route_id;
	return world.install;
}

static void
on_end(uint64_t id, void *arg)
{
	seen.ended[seen.ends++ % 64] = id;
	routes_result(r, id, INSTALL_E_CLOSED, &now);	/* as install does */
}

static bool on_forged(const struct lease *l, void *arg) { return l->epoch == FORGED; }
static bool on_permitted(const struct lease *l, void *arg) { return world.forbidden == 0 || l->nodes[1][0] != world.forbidden; }
static unsigned on_state(const struct route_dest *d, const struct lease *l, void *arg) { return world.state[l->route_id % 64]; }
static bool on_session(const uint8_t *id, void *arg) { return world.session; }
static void on_up(const struct route_dest *d, const struct lease *l, void *arg) { seen.ups++; }
static void on_leaving(const struct route_dest *d, const struct lease *l, void *arg) { seen.leavings++; }
static void on_gone(const struct route_dest *d, const struct lease *l, void *arg) { seen.gones++; }
static void on_answered(const struct route_dest *d, int n, enum lease_error e, bool self, void *arg) { }
static uint64_t on_random(void *arg) { static uint64_t v = 1; return v = v * 6364136223846793005ull + 1442695040888963407ull; }

static void
on_failed(const uint8_t *id, enum lease_error e, void *arg)
{
	seen.faileds++;
	seen.failed = e;
}

static void
setup(void)
{
	static const struct routes_ops ops = { on_ask, on_self, on_install, on_end, on_session, on_state, on_up, on_leaving, on_gone,
	    on_failed, on_answered, on_random, on_forged, on_permitted };

	memset(&world, 0, sizeof(world));
	memset(world.state, WAY_UP, sizeof(world.state));
	memset(&seen, 0, sizeof(seen));
	world.answer = ROUTES_SENT;
	world.self = ROUTES_REFUSED;
	world.soft_s = 60;
	world.hard_s = 300;
	world.classes = 0x3f;
	world.nodes = 3;
	world.self_why = LEASE_E_NO_ROUTE;
	now = (struct clock_both){ 5000 * NS_PER_SEC, WALL };
	r = routes_new(&ops, NULL);
	ck_assert_ptr_nonnull(r);
}

static void
teardown(void)
{
	routes_drop(r);
}

static void
pass(uint64_t ms)
{
	for (uint64_t i = 0; i < ms; i += 100) {
		now.now_ns += 100 * MS;
		now.wall = WALL + (now.now_ns - 5000 * NS_PER_SEC) / NS_PER_SEC;
		routes_tick(r, &now);
	}
}

static void
want(void)
{
	ck_assert_int_eq(routes_want(r, dest, ALL, &now), 0);
	routes_tick(r, &now);
}

static const struct route_dest *
d(void)
{
	const struct route_dest *x = routes_find(r, dest);

	ck_assert_ptr_nonnull(x);
	return x;
}

static unsigned
in_state(unsigned state)
{
	unsigned n = 0;

	for (unsigned i = 0; i < d()->n; i++)
		n += d()->held[i].state == state;
	return n;
}

/* All that is being installed is there. */
static void
installed(void)
{
	for (unsigned i = 0; i < d()->n; i++)
		if (d()->held[i].state == HELD_INSTALLING)
			routes_result(r, d()->held[i].lease.route_id, INSTALL_OK, &now);
}

static void
have(int n)
{
	world.answer = n;
	want();
	installed();
	ck_assert_uint_eq(in_state(HELD_UP), (unsigned)n);
}

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

/* For classes that there was a route for just now it is asked again, however often it was in vain for others. */
START_TEST(lacked_again)
{
	world.classes = 0x0f;
	world.soft_s = 3600;
	world.hard_s = 5 * 3600;	/* nothing to renew */
	have(2);
	pass(4 * 60000);
	installed();
	pass(60000);
	ck_assert_uint_eq(seen.asks, 1 + ROUTES_LACK_MAX);
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
	world.classes = 0x3b;
	world.soft_s = 3600;
	world.hard_s = 5 * 3600;	/* nothing to renew */
	have(2);
	pass(4 * 60000);
	installed();
	ck_assert_uint_eq(seen.asks, 1 + ROUTES_LACK_MAX);
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
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, asks);
	tcase_add_test(tc, strange_answers);
	tcase_add_test(tc, forged);
	tcase_add_loop_test(tc, helps_itself, 0, sizeof(without) / sizeof(without[0]));
	tcase_add_test(tc, restored_are_not_enough);
	tcase_add_loop_test(tc, a_coordinator_is_known, 1, 3);
	tcase_add_loop_test(tc, a_coordinator_lacks, 0, 4);
	tcase_add_test(tc, a_coordinator_falls_silent);
	tcase_add_test(tc, all_are_replaced);
	tcase_add_test(tc, room_of_the_dead);
	tcase_add_test(tc, own_for_other_classes);
	tcase_add_test(tc, for_other_classes);
	tcase_add_test(tc, silent_and_back);
	tcase_add_loop_test(tc, lacked_again, 0, 2);
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
	tcase_add_test(tc, a_class_without);
	tcase_add_test(tc, a_class_is_waited_for);
	tcase_add_test(tc, replaced);
	tcase_add_test(tc, bounds);
	tcase_add_test(tc, many);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
