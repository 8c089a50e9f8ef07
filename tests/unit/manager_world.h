/*
 * The route manager between its parts: a node that knows a relay, a service host behind it, and a coordinator. What goes to
 * the mesh and to the dataplane is kept, and may be refused.
 */
#ifndef TESTS_MANAGER_WORLD_H
#define TESTS_MANAGER_WORLD_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "known_world.h"

#include "base/clock.h"
#include "base/log.h"
#include "routed/manager.h"

#define ALL	((1u << CLASS_COUNT) - 1)
#define TOLD	64

static char dir[] = "/tmp/check_manager.XXXXXX";	/* its files; removed by teardown() */
static struct kw_node me, relay, host, coord;
static struct noise_key my_ticket;
static struct knowns *ks;
static struct directory *d;
static struct manager *m;
static uint8_t buf[2048];

/* --- what it is beside --- */

static struct procmsg told[TOLD];	/* but for what its pointers lead to */
static unsigned ntold, room;		/* how many more the dataplane takes */
static struct { uint8_t to[NODE_ID_LEN]; unsigned type; uint8_t body[ROUTEMSG_MAX]; size_t len; unsigned n; } sent;

static inline int
on_send(const uint8_t *node_id, unsigned type, const uint8_t *body, size_t len, void *arg)
{
	memcpy(sent.to, node_id, NODE_ID_LEN);
	sent.type = type;
	memcpy(sent.body, body, sent.len = len);
	sent.n++;
	return 0;
}

static bool has_neighbour;	/* the relay */
static struct kw_node border[3];	/* neighbours of other tenants */
static unsigned nborder;

static inline bool
on_adjacent(const uint8_t *node_id, void *arg)
{
	return false;
}

static inline void
on_each(void (*fn)(const uint8_t *node_id, void *), void *fn_arg, void *arg)
{
	if (has_neighbour)
		fn(relay.id, fn_arg);
	for (unsigned i = 0; i < nborder; i++)
		fn(border[i].id, fn_arg);
}

static inline int
on_dataplane(const struct procmsg *msg, void *arg)
{
	if (room == 0)
		return -1;
	room--;
	if (ntold < TOLD)
		told[ntold++] = *msg;
	return 0;
}

static inline void
on_flush(void *arg)
{
}

static inline void
on_query(const uint8_t *node_id, void *arg)
{
}

static unsigned nrefused;	/* fences of its own that it did not believe itself */

static inline int
on_spread(const uint8_t *record, size_t len, void *arg)
{
	int e = (int)knowns_take_signed(ks, record, len, false, kw_wall);

	nrefused += e != KNOWN_OK;
	return e;
}

static const struct manager_ops ops = { on_send, on_adjacent, on_each, on_dataplane, on_flush, on_query, on_spread };

static inline void
changed(struct known *k, enum known_change change, void *arg)
{
	manager_known(m, k, change);
}

static inline void
signed_record(const struct record *r, const struct known *issuer, void *arg)
{
	manager_signed(m, r, issuer);
}

static const struct known_ops known_ops = { .changed = changed, .signed_record = signed_record };

/* --- the world --- */

static inline void
link_add(struct kw_node *from, const struct kw_node *to)
{
	struct fact_link *l = &from->facts.links[from->facts.nlinks++];

	for (; l > from->facts.links && memcmp(l[-1].node_id, to->id, NODE_ID_LEN) > 0; l--)
		*l = l[-1];
	*l = (struct fact_link){ .rtt_us = 1000, .kbps = 100000 };
	memcpy(l->node_id, to->id, NODE_ID_LEN);
}

static inline void
take(struct kw_node *n)
{
	ck_assert_int_eq(knowns_take(ks, kw_again(n), NULL, kw_wall, NULL), KNOWN_OK);
}

static inline void
at(uint64_t ms)
{
	manager_time(m, NS_PER_SEC + ms * NS_PER_MS, kw_wall * 1000 + ms);
}

static bool alone;		/* begin() lets it know of no coordinator */
static uint8_t starts;		/* with each its route key is another, when a test counts them */

static inline void
begin(uint32_t roles)
{
	kw_wall = KW_NOW;
	kw_node_init(&me, 1, "me", roles);
	me.route.secret[30] = starts;
	ck_assert_int_eq(sign_key_from_secret(&me.route), 0);
	me.r.serial += starts;
	me.n.serial += starts * 10u;
	kw_node_init(&relay, 2, "relay", 1u << ROLE_RELAY);
	kw_node_init(&host, 3, "host", 1u << ROLE_SERVICE_HOST);
	kw_node_init(&coord, 4, "coord", 1u << ROLE_ROUTE_COORDINATOR);
	ck_assert_int_eq(noise_key_generate(&my_ticket), 0);
	memcpy(me.ticket, my_ticket.public, RECORD_KEY_LEN);
	relay.facts.relay = true;
	relay.facts.relay_classes = ALL;
	link_add(&me, &relay);
	link_add(&relay, &me);
	link_add(&relay, &host);
	link_add(&host, &relay);
	ks = knowns_new(100, 1, &known_ops, NULL);
	d = directory_new();
	m = manager_new(&ops, NULL, ks, d);
	ck_assert(ks != NULL && d != NULL && m != NULL);
	ntold = 0;
	room = 1000;
	nrefused = 0;
	has_neighbour = false;
	nborder = 0;
	sent.type = 0;
	at(0);
	knowns_self(ks, me.id, kw_authority.public, KW_TENANT);
	manager_self(m, me.id, kw_authority.public, KW_TENANT);
	take(&me);
	take(&relay);
	take(&host);
	if (!alone)
		take(&coord);
	manager_keys(m, &me.route, &my_ticket, me.item.membership, me.item.route);
	manager_dataplane_new(m);
	ntold = 0;
}

static inline void
end(void)
{
	manager_free(m);
	knowns_free(ks);
	directory_free(d);
}

static inline void
setup(void)
{
	log_init("check", STDERR_FILENO, LOG_LEVEL_ERROR);
	kw_init();
	ck_assert(mkdtemp(dir) != NULL && chdir(dir) == 0);
}

static inline void
teardown(void)
{
	char cmd[96];

	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	ck_assert_int_eq(system(cmd), 0);
}

/* --- what others say --- */

/* As `fabricctl route fence node' makes it, or far beyond. */
static inline enum known_error
fence(const struct kw_node *by, const struct kw_node *whom, uint64_t epoch)
{
	static uint64_t serial;
	struct fence f = { .what = FENCE_NODE, .epoch = epoch };

	memcpy(f.node, whom->id, NODE_ID_LEN);
	return knowns_take_signed(ks, buf, kw_fence_life(buf, sizeof(buf), ++serial, &f, LEASE_LIFE_MAX_S, by), false, kw_wall);
}

static inline uint64_t
epoch_ahead(void)
{
	return (kw_wall + 240) * 1000;
}

static inline void
revoke_one(const struct kw_node *n, uint64_t serial)
{
	ck_assert_int_eq(knowns_take_signed(ks, buf, kw_signed(buf, sizeof(buf), RECORD_REVOCATION, serial, n->id, NODE_ID_LEN,
	    &kw_authority), false, kw_wall), KNOWN_OK);
}

/* --- leases --- */

static struct lease out[LEASE_MAX];
static enum lease_error why __attribute__((unused));

static inline void
drop(int n)
{
	for (int i = 0; i < n; i++)
		lease_free(&out[i]);
}

static inline struct lease_ask
wish(void)
{
	struct lease_ask a = { .classes = 1u << CLASS_INTERACTIVE };

	memcpy(a.dest, host.id, NODE_ID_LEN);
	return a;
}

/* A route to host over the relay that is asked for and installed: its id. */
static inline uint64_t
installed(void)
{
	struct route_install i;
	struct route_installed done = { 0 };

	ck_assert_int_eq(routes_want(m->routes, host.id, ALL, &m->now), 0);
	for (uint64_t ms = 0; sent.type != DIRMSG_INSTALL; ms += MANAGER_TICK_MS) {
		ck_assert_uint_lt(ms, 5000);
		at(ms);
		manager_tick(m);
	}
	ck_assert_mem_eq(sent.to, relay.id, NODE_ID_LEN);
	ck_assert_int_eq(route_install_decode(&i, sent.body, sent.len), 0);
	done.route_id = i.route_id;
	ck_assert_int_eq(manager_message(m, relay.id, DIRMSG_INSTALLED, buf, route_installed_encode(buf, sizeof(buf), &done)), 0);
	manager_writable(m);
	ck_assert_ptr_nonnull(install_find(m->install, done.route_id));
	return done.route_id;
}

static struct noise_key coord_ticket;

/* Its ticket key is one that can be opened with here. */
static inline void
coord_opens(void)
{
	ck_assert_int_eq(noise_key_generate(&coord_ticket), 0);
	memcpy(coord.ticket, coord_ticket.public, RECORD_KEY_LEN);
	coord.t.serial++;
	take(&coord);
}

#endif
