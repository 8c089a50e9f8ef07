/* What the route manager tells the dataplane, and what it makes of what the dataplane says that routes carry. */
#include "manager_world.h"
#include "suite.h"

/* --- what the dataplane is told --- */

/* The last that it heard of this node: 1 revoked, 0 pardoned, -1 nothing. */
static int
heard_of(const struct kw_node *n)
{
	int last = -1;

	for (unsigned i = 0; i < ntold; i++)
		if (told[i].type == PM_REVOKE && memcmp(told[i].revoke.node_id, n->id, NODE_ID_LEN) == 0)
			last = told[i].revoke.revoked;
	return last;
}

/* While the channel is full, newer lists come: once there is room the dataplane has the last of them. */
START_TEST(a_pardon_waits_for_room)
{
	begin(1u << ROLE_MOBILE_EDGE);
	revoke_one(&host, 1);
	ck_assert_int_eq(heard_of(&host), 1);
	room = 0;
	revoke_one(&coord, 2);
	revoke_one(&relay, 3);
	ck_assert_int_eq(heard_of(&host), 1);
	if (_i == 1) {		/* and then it is revoked again */
		revoke_one(&host, 4);
		room = 1;
		manager_writable(m);
		ck_assert_int_eq(heard_of(&host), 1);
	}
	room = 1000;
	manager_writable(m);
	ck_assert_int_eq(heard_of(&host), _i == 1);
	ck_assert_int_ne(heard_of(&coord), 1);
	ck_assert_int_eq(heard_of(&relay) == 1, _i == 0);
	/* Another knows of nobody. */
	ntold = 0;
	manager_dataplane_new(m);
	ck_assert_int_eq(heard_of(&coord), -1);
	ck_assert_int_eq(heard_of(_i == 0 ? &relay : &host), 1);
	end();
}
END_TEST

static bool
heard_permits(const struct kw_node *n)
{
	for (unsigned i = 0; i < ntold; i++)
		if (told[i].type == PM_PERMIT && memcmp(told[i].permit.node_id, n->id, NODE_ID_LEN) == 0)
			return true;
	return false;
}

/* The channel is full in the midst of telling what each may reach, and far nodes are forgotten: the others are all told. */
START_TEST(permits_while_remotes_go)
{
	static const uint8_t pass[] = { 0x01, 0x00, 0x00, 0x00, 0x00 };

	begin(1u << ROLE_SERVICE_HOST);
	installed();
	ck_assert_int_eq(knowns_take_signed(ks, buf, kw_signed(buf, sizeof(buf), RECORD_POLICY, 1, pass, sizeof(pass),
	    &kw_authority), false, kw_wall), KNOWN_OK);
	ck_assert_uint_eq(m->nremotes, 1);
	memcpy(m->remotes[m->nremotes++].node_id, m->remotes[0].node_id, NODE_ID_LEN);
	memcpy(m->remotes[0].node_id, relay.id, NODE_ID_LEN);
	ntold = 0;
	room = 2;
	manager_services(m);
	ck_assert(heard_permits(&relay) && !heard_permits(&host) && m->permits_due);
	room = 1;
	manager_sweep_remotes(m);
	ck_assert_uint_eq(m->nremotes, 1);
	ck_assert_mem_eq(m->remotes[0].node_id, host.id, NODE_ID_LEN);
	room = 1000;
	manager_writable(m);
	ck_assert(heard_permits(&host) && !m->permits_due);
	end();
}
END_TEST

/* The last list of other tenants that the dataplane was told, as many as it heard. */
static const struct procmsg *
heard_tenants(unsigned *n)
{
	const struct procmsg *last = NULL;

	*n = 0;
	for (unsigned i = 0; i < ntold; i++)
		if (told[i].type == PM_TENANTS) {
			last = &told[i];
			++*n;
		}
	return last;
}

/* Whom the policy has this node meet is told to each dataplane, and again with each policy. */
START_TEST(tenants_are_told)
{
	static uint8_t content[POLICY_MAX];
	unsigned n;

	begin(1u << ROLE_SERVICE_HOST);
	room = 0;
	ck_assert_int_eq(knowns_take_signed(ks, buf, kw_signed(buf, sizeof(buf), RECORD_POLICY, 1, content,
	    kw_policy_across(content, KW_TENANT, "infra"), &kw_authority), false, kw_wall), KNOWN_OK);
	ck_assert_ptr_null(heard_tenants(&n));
	room = 1000;
	manager_writable(m);
	ck_assert_ptr_nonnull(heard_tenants(&n));
	ck_assert_uint_eq(n, 1);
	ck_assert_uint_eq(heard_tenants(&n)->tenants.list.len, 6);
	ntold = 0;
	manager_writable(m);
	ck_assert_ptr_null(heard_tenants(&n));
	manager_dataplane_lost(m);
	manager_dataplane_new(m);
	ck_assert_ptr_nonnull(heard_tenants(&n));
	ck_assert_uint_eq(heard_tenants(&n)->tenants.list.len, 6);
	end();
}
END_TEST

/* --- what a route carries --- */

static unsigned
routes_told(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < ntold; i++)
		n += told[i].type == PM_ROUTE;
	ntold = 0;
	return n;
}

/* Another limit for what is relayed is told with the routes, at once; the last word on a route is counted as the others are. */
START_TEST(limits_and_last_words)
{
	struct pm_conf_routing conf = { .kbps = 10000, .classes = ALL };
	struct procmsg used = { .type = PM_ROUTE_USED, .route_used = { .class = CLASS_BULK, .forth = 100 } };
	struct score_weights weights;

	begin(1u << ROLE_MOBILE_EDGE);
	weights = m->weights;
	used.route_used.route_id = installed();
	ck_assert_uint_eq(routes_told(), 1);
	manager_conf(m, &conf, &weights);
	ck_assert_uint_eq(routes_told(), 1);
	manager_conf(m, &conf, &weights);
	ck_assert_uint_eq(routes_told(), 0);
	for (unsigned i = 1; i <= 3; i++) {
		ck_assert_int_eq(manager_dataplane(m, &used), 0);
		ck_assert_uint_eq(usage_count(m->usage), 2);
		ck_assert_uint_eq(usage_get(m->usage, 1)->seen_forth, 100 * i);
		install_end(m->install, used.route_used.route_id, INSTALL_E_CLOSED, REASON_MOVED);
	}
	end();
}
END_TEST

/* coord's ticket for this node, to relay from `relay' to host, with so many streams at most. */
static void
relays(uint32_t streams)
{
	static uint8_t content[TICKET_MAX], record[TICKET_MAX], sealed[TICKET_SEALED_MAX];
	const struct frame_bytes none = { NULL, 0 }, rest = { content, 100 };
	struct ticket t = { .route_id = 77, .epoch = kw_wall * 1000, .place = TICKET_RELAY, .classes = ALL, .streams = streams,
	    .soft = kw_wall + 200, .not_before = kw_wall - 30, .hard = kw_wall + 300, .tenant = KW_TENANT };
	struct record r = { .kind = RECORD_TICKET, .subject = me.key.public, .serial = t.epoch, .not_before = t.not_before,
	    .not_after = t.hard, .content = { content, 0 } };
	struct route_install i = { .route_id = t.route_id, .n = 2, .sealed = { { sealed, 0 }, rest } };

	memcpy(t.prev, relay.id, NODE_ID_LEN);
	memcpy(t.next, host.id, NODE_ID_LEN);
	r.content.len = ticket_encode(content, sizeof(content), &t);
	i.sealed[0].len = ticket_seal(sealed, sizeof(sealed), my_ticket.public, t.route_id, none, none,
	    (struct frame_bytes){ record, record_sign(record, sizeof(record), &r, &coord.route) });
	ck_assert_int_eq(manager_message(m, relay.id, DIRMSG_INSTALL, buf, route_install_encode(buf, sizeof(buf), &i)), 0);
	ck_assert_ptr_nonnull(install_find(m->install, t.route_id));
}

static const struct pm_route *
route_told(void)
{
	const struct pm_route *only = NULL;

	for (unsigned i = 0; i < ntold; i++)
		if (told[i].type == PM_ROUTE) {
			ck_assert_ptr_null(only);
			only = &told[i].route;
		}
	ck_assert_ptr_nonnull(only);
	ntold = 0;
	return only;
}

static void
policy_is(uint64_t serial, const uint8_t *p, size_t len)
{
	ck_assert_int_eq(knowns_take_signed(ks, buf, kw_signed(buf, sizeof(buf), RECORD_POLICY, serial, p, len, &kw_authority),
	    false, kw_wall), KNOWN_OK);
}

/* A relay's dataplane is told what the policy lets the relay carry, and of another policy at once. */
START_TEST(limits_of_the_policy)
{
	/* pass relay by any for any bandwidth 100 Kbit streams 5 */
	static const uint8_t tight[] = { 0x01, 0x00, 0x00, 0x00, 0x01, 0x40, 0xc5, 0x01, 0x00, 0x00, 0x40, 0x64, 0x05 };
	static const uint8_t none[] = { 0x01, 0x00, 0x00, 0x00, 0x00 };
	struct pm_conf_routing conf = { .relay = true, .classes = ALL };
	struct score_weights weights;
	const struct pm_route *r;

	begin(1u << ROLE_RELAY);
	weights = m->weights;
	manager_conf(m, &conf, &weights);
	ntold = 0;
	relays(50);
	ck_assert_uint_eq(route_told()->streams, 50);
	policy_is(1, tight, sizeof(tight));
	r = route_told();
	ck_assert_uint_eq(r->streams, 5);
	ck_assert_uint_eq(r->kbps, 100);
	relays(3);
	ck_assert_uint_eq(route_told()->streams, 3);
	relays(0);
	ck_assert_uint_eq(route_told()->streams, 5);
	policy_is(2, none, sizeof(none));
	r = route_told();
	ck_assert_uint_eq(r->streams, 0);
	ck_assert_uint_eq(r->kbps, 0);
	end();
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("told");
	TCase *tc = tcase_create("told");

	tcase_add_unchecked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, a_pardon_waits_for_room, 0, 2);
	tcase_add_test(tc, permits_while_remotes_go);
	tcase_add_test(tc, tenants_are_told);
	tcase_add_test(tc, limits_and_last_words);
	tcase_add_test(tc, limits_of_the_policy);
	suite_add_tcase(s, tc);
	return suite_run(s);
}
