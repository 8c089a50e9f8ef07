/* routed's configuration: what a transaction may hold, and what becomes of it. */
#include <check.h>
#include <string.h>

#include "routed/conf.h"
#include "suite.h"

#define ID(n)	{ (n), [31] = 1 }
#define ADDR(n)	{ .family = 4, .addr = { 192, 0, 2, (n) }, .port = 4600 }
#define NODE_ITEM { .type = PM_CONF_NODE, .conf_node = { "self", ID(9), { 1 }, "acme" } }
#define PEER_ITEM(n, name) { .type = PM_CONF_PEER, .conf_peer = { ID(n), name } }

static struct routed_conf *conf;
static char err[PM_TEXT_MAX + 1];

static void
setup(void)
{
	conf = routed_conf_new();
	ck_assert_ptr_nonnull(conf);
	err[0] = '\0';
}

static void
teardown(void)
{
	routed_conf_free(conf);
}

static int
item(struct procmsg m)
{
	return routed_conf_item(conf, &m, err);
}

START_TEST(defaults)
{
	for (unsigned i = 0; i < SCORE_PARTS; i++)
		ck_assert_uint_eq(conf->weights.w[i], 1000);
	ck_assert(!conf->routing.relay);
	ck_assert_int_eq(routed_conf_check(conf, err), -1);
	ck_assert_str_eq(err, "the node is missing");
}
END_TEST

START_TEST(whole)
{
	const struct procmsg items[] = {
		NODE_ITEM, PEER_ITEM(3, "c"), { .type = PM_CONF_PEER_ADDR, .conf_peer_addr = { ID(3), ADDR(1) } },
		{ .type = PM_CONF_PEER_ADDR, .conf_peer_addr = { ID(3), ADDR(1) } },	/* twice is once */
		{ .type = PM_CONF_PEER_ADDR, .conf_peer_addr = { ID(3), ADDR(2) } },
		PEER_ITEM(9, "self"), PEER_ITEM(2, "b"),
		{ .type = PM_CONF_PEER_PREFIX, .conf_peer_prefix = { ID(2), { 4, 8, { 10 } } } },
		{ .type = PM_CONF_ROUTING, .conf_routing = { true, 20000, 0x11, 60, 120, 3, true, "rack-1", "eu" } },
		{ .type = PM_CONF_WEIGHT, .conf_weight = { SCORE_LOSS, 2500 } },
		{ .type = PM_CONF_WEIGHT, .conf_weight = { SCORE_PARTS - 1, 0 } },
	};

	for (size_t i = 0; i < sizeof(items) / sizeof(items[0]); i++)
		ck_assert_msg(item(items[i]) == 0, "%s: %s", procmsg_name(items[i].type), err);
	ck_assert_msg(routed_conf_check(conf, err) == 0, "%s", err);
	ck_assert_uint_eq(conf->npeers, 2);		/* in the order of their ids, and without the node itself */
	ck_assert_str_eq(conf->peers[0].name, "b");
	ck_assert_uint_eq(conf->peers[0].nprefixes, 1);
	ck_assert_str_eq(conf->peers[1].name, "c");
	ck_assert_uint_eq(conf->peers[1].naddrs, 2);
	ck_assert(conf->routing.relay && conf->routing.metered);
	ck_assert_uint_eq(conf->routing.kbps, 20000);
	ck_assert_uint_eq(conf->routing.classes, 0x11);
	ck_assert_uint_eq(conf->routing.from_minute, 60);
	ck_assert_uint_eq(conf->routing.to_minute, 120);
	ck_assert_str_eq(conf->routing.domain, "rack-1");
	ck_assert_str_eq(conf->routing.region, "eu");
	ck_assert_uint_eq(conf->weights.w[SCORE_LOSS], 2500);
	ck_assert_uint_eq(conf->weights.w[SCORE_PARTS - 1], 0);
	ck_assert_uint_eq(conf->weights.w[SCORE_RTT], 1000);
}
END_TEST

START_TEST(refused)
{
	static const struct {
		struct procmsg m;
		const char *why;
	} bad[] = {
		{ NODE_ITEM, "the node is given twice" },
		{ { .type = PM_CONF_PEER_ADDR, .conf_peer_addr = { ID(7), ADDR(1) } },
		    "an address for a peer that is not configured" },
		{ { .type = PM_CONF_PEER_PREFIX, .conf_peer_prefix = { ID(7), { 4, 8, { 10 } } } },
		    "a prefix for a peer that is not configured" },
		{ { .type = PM_CONF_WEIGHT, .conf_weight = { SCORE_PARTS, 1 } },
		    "a weight for a part of the score that there is not" },
		{ { .type = PM_CONF_SERVICE }, "routed has no use for CONF_SERVICE" },
	};

	ck_assert_int_eq(item((struct procmsg)NODE_ITEM), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		ck_assert_int_eq(item(bad[i].m), -1);
		ck_assert_str_eq(err, bad[i].why);
	}
}
END_TEST

START_TEST(too_many)
{
	struct procmsg addr = { .type = PM_CONF_PEER_ADDR, .conf_peer_addr = { ID(1), ADDR(0) } };
	struct procmsg prefix = { .type = PM_CONF_PEER_PREFIX, .conf_peer_prefix = { ID(1), { 4, 32, { 10 } } } };
	struct procmsg peer = PEER_ITEM(1, "p");

	ck_assert_int_eq(item((struct procmsg)NODE_ITEM), 0);
	ck_assert_int_eq(item(peer), 0);
	for (unsigned i = 0; i <= PEER_CONF_ADDRS_MAX; i++) {
		addr.conf_peer_addr.addr.addr[3] = (uint8_t)i;
		ck_assert_int_eq(item(addr), i < PEER_CONF_ADDRS_MAX ? 0 : -1);
	}
	for (unsigned i = 0; i <= PEER_PREFIXES_MAX; i++)
		ck_assert_int_eq(item(prefix), i < PEER_PREFIXES_MAX ? 0 : -1);
	for (unsigned i = 1; i <= DIRECTORY_PEERS_MAX; i++) {
		peer.conf_peer.node_id[1] = (uint8_t)(i >> 8);
		peer.conf_peer.node_id[2] = (uint8_t)i;
		ck_assert_int_eq(item(peer), i < DIRECTORY_PEERS_MAX ? 0 : -1);
	}
	ck_assert_int_eq(routed_conf_check(conf, err), 0);
	ck_assert_uint_eq(conf->npeers, DIRECTORY_PEERS_MAX);
}
END_TEST

START_TEST(twice)
{
	ck_assert_int_eq(item((struct procmsg)NODE_ITEM), 0);
	ck_assert_int_eq(item((struct procmsg)PEER_ITEM(1, "p")), 0);
	ck_assert_int_eq(item((struct procmsg)PEER_ITEM(2, "r")), 0);
	ck_assert_int_eq(item((struct procmsg)PEER_ITEM(1, "q")), 0);
	ck_assert_int_eq(routed_conf_check(conf, err), -1);
	ck_assert_ptr_nonnull(strstr(err, "have the same node id"));
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("routed_conf");
	TCase *tc = tcase_create("routed_conf");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, defaults);
	tcase_add_test(tc, whole);
	tcase_add_test(tc, refused);
	tcase_add_test(tc, too_many);
	tcase_add_test(tc, twice);
	suite_add_tcase(s, tc);
	return suite_run(s);
}
