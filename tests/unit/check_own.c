/* What routed says of this node itself: its keys' certificates, what is in its record, and when it says it anew. */
#include <check.h>
#include <stdio.h>

#include "known_world.h"
#include "suite.h"

#include "base/clock.h"
#include "routed/directory.h"
#include "routed/own.h"

static struct own own;
static struct knowns *ks;
static struct directory *d;
static struct kw_node node;		/* whose node key signs */
static struct sync_time now;
static unsigned asked[PURPOSE_COUNT];
static uint8_t asked_key[PURPOSE_COUNT][RECORD_KEY_LEN];
static const struct pm_conf_routing none;

static void
changed(struct known *k, enum known_change change, void *arg)
{
}

static void
signed_record(const struct record *r, const struct known *issuer, void *arg)
{
}

static const struct known_ops ops = { .changed = changed, .signed_record = signed_record };

static void
ask(unsigned purpose, const uint8_t *key, void *arg)
{
	asked[purpose]++;
	memcpy(asked_key[purpose], key, RECORD_KEY_LEN);
}

static void
configure(const struct pm_conf_routing *routing)
{
	struct pm_conf_node m = { .name = "here", .tenant = KW_TENANT };

	memcpy(m.node_id, node.id, NODE_ID_LEN);
	memcpy(m.authority, kw_authority.public, RECORD_KEY_LEN);
	own_conf(&own, &m, routing);
}

static void
setup(void)
{
	kw_init();
	kw_node_init(&node, 1, "here", 1u << ROLE_RELAY);
	memset(asked, 0, sizeof(asked));
	now = (struct sync_time){ .ns = 1000 * NS_PER_SEC, .wall = KW_NOW };
	ck_assert_int_eq(own_init(&own, ask, NULL), 0);
	ks = knowns_new(100, 1, &ops, NULL);
	d = directory_new();
	knowns_self(ks, node.id, kw_authority.public, KW_TENANT);
}

static void
teardown(void)
{
	own_free(&own);
	knowns_free(ks);
	directory_free(d);
}

static void
later(uint64_t s)
{
	now.ns += s * NS_PER_SEC;
	now.wall += s;
}

static bool
run(void)
{
	return own_run(&own, ks, d, &now);
}

/* As the supervisor: certifies the key that was asked for. */
static int
certify(unsigned purpose)
{
	static uint8_t mbuf[FRAME_RECORD_MAX], dbuf[FRAME_RECORD_MAX];
	struct record r = purpose == PURPOSE_ROUTE ? node.r : node.t;
	struct pm_delegation m = { .purpose = (uint8_t)purpose, .renew_at = now.wall + 3600 };

	r.subject = asked_key[purpose];
	r.serial = now.wall;
	r.not_before = now.wall;
	r.not_after = now.wall + 6 * 3600;
	m.membership = kw_sign(mbuf, sizeof(mbuf), &node.m, &kw_authority);
	m.delegation = kw_sign(dbuf, sizeof(dbuf), &r, &node.key);
	return own_delegation(&own, &m);
}

static void
ready(void)
{
	configure(&none);
	run();
	ck_assert_int_eq(certify(PURPOSE_ROUTE), 0);
	ck_assert_int_eq(certify(PURPOSE_TICKET), 0);
	ck_assert(run());
}

static const struct facts *
said(void)
{
	return knowns_own(ks)->facts;
}

START_TEST(certificates)
{
	ck_assert(!run());
	ck_assert_uint_eq(asked[PURPOSE_ROUTE], 0);	/* not configured yet */
	configure(&none);
	ck_assert(!run());
	ck_assert_uint_eq(asked[PURPOSE_ROUTE], 1);
	ck_assert_uint_eq(asked[PURPOSE_TICKET], 1);
	ck_assert_mem_eq(asked_key[PURPOSE_ROUTE], own.route.public, RECORD_KEY_LEN);
	ck_assert_mem_eq(asked_key[PURPOSE_TICKET], own.ticket.public, RECORD_KEY_LEN);
	later(1);
	run();
	ck_assert_uint_eq(asked[PURPOSE_ROUTE], 1);
	later(OWN_ASK_AGAIN_S);
	run();
	ck_assert_uint_eq(asked[PURPOSE_ROUTE], 2);
	ck_assert_int_eq(certify(PURPOSE_ROUTE), 0);
	ck_assert(!run() && !own_ready(&own, now.wall));
	ck_assert_int_eq(certify(PURPOSE_TICKET), 0);
	ck_assert(own_ready(&own, now.wall));
	ck_assert(run());
	ck_assert_ptr_nonnull(knowns_own(ks));
	ck_assert_mem_eq(knowns_own(ks)->ticket_key, own.ticket.public, RECORD_KEY_LEN);
	later(3600);
	run();
	ck_assert_uint_eq(asked[PURPOSE_ROUTE], 3);	/* it is time to renew */
	later(6 * 3600);
	ck_assert(!own_ready(&own, now.wall));
	ck_assert(!run());
}
END_TEST

START_TEST(not_ours)
{
	configure(&none);
	run();
	asked_key[PURPOSE_ROUTE][0] ^= 1;
	ck_assert_int_eq(certify(PURPOSE_ROUTE), -1);
	node.key.secret[3] ^= 1;
	ck_assert_int_eq(sign_key_from_secret(&node.key), 0);
	asked_key[PURPOSE_ROUTE][0] ^= 1;
	ck_assert_int_eq(certify(PURPOSE_ROUTE), -1);	/* another node's */
	ck_assert_int_eq(own_delegation(&own, &(struct pm_delegation){ .purpose = PURPOSE_SESSION }), -1);
}
END_TEST

static void
session(uint8_t first, uint32_t rtt_us, bool up)
{
	struct pm_peer_up m = { .roles = 1u << ROLE_RELAY, .tenant = KW_TENANT, .addr = { 4, { 10, 0, 0, first }, 4600 } };
	struct pm_peer_stat stat = { .rtt_us = rtt_us, .rttvar_us = rtt_us / 4 };
	struct pm_peer_down down = { .reason = REASON_SHUTDOWN };

	memset(m.node_id, first, NODE_ID_LEN);
	memcpy(stat.node_id, m.node_id, NODE_ID_LEN);
	memcpy(down.node_id, m.node_id, NODE_ID_LEN);
	if (!up) {
		directory_peer_down(d, &down);
		return;
	}
	if (directory_find(d, m.node_id) == NULL || !directory_find(d, m.node_id)->session.up)
		ck_assert_int_eq(directory_peer_up(d, &m, now.ns, now.wall), 0);
	directory_peer_stat(d, &stat, now.ns, now.wall);
}

/* A link is said at once, but no two within two seconds; what hardly differs once a minute. */
START_TEST(when_it_is_said)
{
	uint64_t serial;

	ready();
	serial = knowns_own(ks)->serial;
	ck_assert(!run());
	session(7, 10000, true);
	later(1);
	ck_assert(!run());
	later(1);
	ck_assert(run());
	ck_assert_uint_gt(knowns_own(ks)->serial, serial);
	ck_assert_uint_eq(said()->nlinks, 1);
	ck_assert_uint_eq(said()->links[0].rtt_us, 10000);
	ck_assert_uint_eq(said()->links[0].jitter_us, 2500);
	/* A little slower */
	for (unsigned i = 0; i < 50; i++) {
		session(7, 11000, true);
		later(1);
		ck_assert(!run());
	}
	session(7, 11000, true);
	later(10);
	ck_assert(run());
	/* Much slower */
	for (unsigned i = 0; i < 60; i++)
		session(7, 200000, true);
	later(OWN_NOTABLE_S - 1);
	session(7, 200000, true);
	ck_assert(!run());
	later(1);
	ck_assert(run());
	/* Other routes are held: not sooner than what else changes */
	own.routes_version = 5;
	for (unsigned i = 1; i < OWN_REFRESH_S; i++) {
		session(7, 200000, true);
		later(1);
		ck_assert(!run());
	}
	session(7, 200000, true);
	later(1);
	ck_assert(run());
	ck_assert_uint_eq(said()->routes_version, 5);
	/* Gone */
	session(7, 0, false);
	later(OWN_SOON_S);
	ck_assert(run());
	ck_assert_uint_eq(said()->nlinks, 0);
	/* Nothing at all: before it is over */
	for (unsigned i = 0; i < 29; i++) {
		later(10);
		ck_assert(!run());
	}
	later(10);
	ck_assert(run());
}
END_TEST

/* A routed that dies takes no link away: the next one says those of before with its keys, and what is so when it knows. */
START_TEST(said_anew)
{
	uint64_t serial;

	ready();
	session(7, 10000, true);
	later(OWN_SOON_S);
	ck_assert(run());
	ck_assert_uint_eq(said()->nlinks, 1);
	serial = knowns_own(ks)->serial;
	own_free(&own);
	directory_free(d);
	ck_assert_int_eq(own_init(&own, ask, NULL), 0);
	d = directory_new();
	session(5, 20000, true);
	later(1);
	ready();
	ck_assert_uint_gt(knowns_own(ks)->serial, serial);
	ck_assert_uint_eq(said()->nlinks, 2);
	ck_assert_uint_eq(said()->links[0].node_id[0], 5);
	ck_assert_uint_eq(said()->links[1].rtt_us, 10000);
	session(5, 20000, true);
	later(OWN_SOON_S);
	ck_assert(run());
	ck_assert_uint_eq(said()->nlinks, 1);
	ck_assert_uint_eq(said()->links[0].rtt_us, 20000);
}
END_TEST

START_TEST(serials_grow)
{
	struct kw_node *other = &node;
	uint64_t floor;

	own.serial = (KW_NOW + 500) * 1000;	/* from a time when the clock was ahead */
	ready();
	ck_assert_uint_eq(knowns_own(ks)->serial, (KW_NOW + 500) * 1000 + 1);
	/* A neighbour holds one with still more, by an older key of this node's. */
	other->n.serial = floor = (KW_NOW + 9000) * 1000;
	ck_assert_int_eq(knowns_take(ks, kw_item(other), (const uint8_t *)"neighbour-----------------------", now.wall, NULL),
	    KNOWN_E_OLD);
	later(OWN_SOON_S);
	ck_assert(run());
	ck_assert_uint_eq(knowns_own(ks)->serial, floor + 1);
}
END_TEST

/* More sessions than a record holds: the best are told of, full nodes first, in the order of their ids. */
START_TEST(many_links)
{
	for (unsigned i = 1; i <= 100; i++)
		session((uint8_t)i, 1000 * (101 - i), true);
	ready();
	ck_assert_uint_eq(said()->nlinks, FACTS_LINKS_MAX);
	for (unsigned i = 0; i < FACTS_LINKS_MAX; i++) {
		ck_assert_uint_eq(said()->links[i].node_id[0], 100 - FACTS_LINKS_MAX + 1 + i);
		ck_assert_uint_eq(said()->links[i].rtt_us, 1000 * (101 - said()->links[i].node_id[0]));
	}
}
END_TEST

static const struct {
	const char *what;
	size_t	 n;
	struct { uint8_t last; uint16_t port; bool dialled; } seen[4];
	enum nat_type nat;
	size_t	 addrs;
} views[] = {
	{ "by nobody", 0, { { 0 } }, NAT_UNKNOWN, 0 },
	{ "by one", 1, { { 1, 4600, false } }, NAT_UNKNOWN, 1 },
	{ "by one that came", 1, { { 1, 4600, true } }, NAT_NONE, 1 },
	{ "alike", 2, { { 1, 4600, false }, { 1, 4600, false } }, NAT_CONE, 1 },
	{ "at two ports", 2, { { 1, 4600, false }, { 1, 4601, false } }, NAT_SYMMETRIC, 2 },
	{ "at two addresses, inside and outside", 2, { { 1, 4600, false }, { 2, 4600, false } }, NAT_UNKNOWN, 2 },
	{ "alike, and one came", 3, { { 1, 4600, false }, { 1, 4600, false }, { 1, 4600, true } }, NAT_NONE, 1 },
};

START_TEST(nat)
{
	uint8_t id[NODE_ID_LEN] = { 0 };
	struct facts f;

	for (size_t i = 0; i < views[_i].n; i++) {
		struct pm_addr a = { 4, { 192, 0, 2, views[_i].seen[i].last }, views[_i].seen[i].port };

		id[0] = (uint8_t)(i + 1);
		own_seen(&own, id, &a, views[_i].seen[i].dialled);
		own_seen(&own, id, &a, views[_i].seen[i].dialled);	/* says it again */
	}
	own_facts(&own, ks, d, &now, &f);
	ck_assert_msg(f.nat == views[_i].nat, "%s: %s", views[_i].what, nat_type_name(f.nat));
	ck_assert_uint_eq(f.naddrs, views[_i].addrs);
	for (size_t i = 0; i < views[_i].n; i++) {
		id[0] = (uint8_t)(i + 1);
		own_unseen(&own, id);
	}
	own_facts(&own, ks, d, &now, &f);
	ck_assert_uint_eq(f.naddrs, 0);
}
END_TEST

static const struct { unsigned from, to, minute; bool relays; } hours[] = {
	{ 0, 0, 700, true }, { 600, 720, 599, false }, { 600, 720, 600, true }, { 600, 720, 719, true },
	{ 600, 720, 720, false }, { 1320, 360, 0, true }, { 1320, 360, 1320, true }, { 1320, 360, 360, false },
	{ 1320, 360, 700, false },
};

START_TEST(relays_at_its_hours)
{
	struct pm_conf_routing r = { .relay = true, .kbps = 1000, .classes = 0x3f, .cost = 3, .metered = true,
	    .from_minute = (uint16_t)hours[_i].from, .to_minute = (uint16_t)hours[_i].to, .domain = "rack", .region = "eu" };
	struct facts f;
	uint8_t buf[FACTS_MAX];

	now.wall = KW_NOW / 86400 * 86400 + hours[_i].minute * 60 + 59;
	configure(&r);
	own.system = (struct pm_system){ .on_battery = true, .battery = 0, .net = NET_MOBILE };
	own.load = (struct pm_load){ 1, 2, 3, 4 };
	own_facts(&own, ks, d, &now, &f);
	ck_assert(f.relay == hours[_i].relays);
	ck_assert_uint_eq(f.relay_kbps, hours[_i].relays ? 1000 : 0);
	ck_assert(f.metered && f.on_battery && f.battery == 1 && f.net == NET_MOBILE && f.cost == 3);
	ck_assert_str_eq(f.domain, "rack");
	ck_assert(f.queue == 1 && f.cpu == 2 && f.memory == 3 && f.descriptors == 4);
	ck_assert_uint_gt(facts_encode(buf, sizeof(buf), &f), 0);
}
END_TEST

#define N(a) ((int)(sizeof(a) / sizeof((a)[0])))

int
main(void)
{
	Suite *s = suite_create("own");
	TCase *tc = tcase_create("own");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, certificates);
	tcase_add_test(tc, not_ours);
	tcase_add_test(tc, when_it_is_said);
	tcase_add_test(tc, said_anew);
	tcase_add_test(tc, serials_grow);
	tcase_add_test(tc, many_links);
	tcase_add_loop_test(tc, nat, 0, N(views));
	tcase_add_loop_test(tc, relays_at_its_hours, 0, N(hours));
	suite_add_tcase(s, tc);
	return suite_run(s);
}
