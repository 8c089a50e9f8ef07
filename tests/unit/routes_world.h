/* A source without a world: what routes.c would ask, install and tell is played, and the time is the test's. */
#ifndef ROUTES_WORLD_H
#define ROUTES_WORLD_H

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

#endif
