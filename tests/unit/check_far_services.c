/*
 * routed: what far nodes serve reaches the adapters as what neighbours serve does, and goes with them; and what the
 * authority has signed, from a file.
 */
#include "fake_routed.h"

#include "known_world.h"
#include "routed/spread.h"

#define FROM ((const uint8_t *)"neighbour-----------------------")

static struct kw_node n[2];
static char told_text[4096];

/* What the adapters heard: "+NODE/SERVICE " and "-NODE/SERVICE ". */
static const char *
adapters(void)
{
	struct procmsg m;

	told_text[0] = '\0';
	fake_run(&fk);
	while (fake_message(&fk, &fk.dataplane, &m, 30)) {
		const uint8_t *id = m.type == PM_SERVICE ? m.service.node_id : m.service_del.node_id;
		size_t len = strlen(told_text);

		if (m.type != PM_SERVICE && m.type != PM_SERVICE_DEL)
			continue;
		snprintf(told_text + len, sizeof(told_text) - len, "%c%s/%s ", m.type == PM_SERVICE ? '+' : '-',
		    memcmp(id, n[0].id, NODE_ID_LEN) == 0 ? "n0" : memcmp(id, n[1].id, NODE_ID_LEN) == 0 ? "n1" : "?",
		    m.type == PM_SERVICE ? m.service.name : m.service_del.name);
	}
	return told_text;
}

#define HEARD(text) ck_assert_str_eq(adapters(), text)

static void
begin(void)
{
	struct procmsg node = fake_conf_node(), peer_1 = { .type = PM_CONF_PEER, .conf_peer.name = "n1" };

	kw_init();
	kw_wall = KW_NOW;
	kw_node_init(&n[0], 1, "n0", 1u << ROLE_SERVICE_HOST);
	kw_node_init(&n[1], 2, "n1", 1u << ROLE_SERVICE_HOST);
	memcpy(node.conf_node.authority, kw_authority.public, RECORD_KEY_LEN);
	strcpy(node.conf_node.tenant, KW_TENANT);
	memcpy(peer_1.conf_peer.node_id, n[1].id, NODE_ID_LEN);
	{
		const struct procmsg items[] = { node, peer_1 };

		ck_assert(fake_configure(&fk, items, 2));
	}
	fake_port(&fk);
	HEARD("");
}

static void
says(struct kw_node *who, size_t nservices)
{
	who->nservices = nservices;
	ck_assert_int_eq(knowns_take(routed()->spread->knowns, kw_again(who), FROM, kw_wall, NULL), KNOWN_OK);
	services_sync(routed()->dir, routed()->dataplane, clock_ns());
}

/* n[0] is no peer of the configuration, n[1] is: it has a place in the directory, and no session. */
START_TEST(told_and_gone)
{
	struct kw_node *who = &n[_i];
	const char *first = _i == 0 ? "+n0/a +n0/b " : "+n1/a +n1/b ", *less = _i == 0 ? "-n0/b +n0/a " : "-n1/b +n1/a ";
	uint8_t buf[1024];
	size_t len;

	begin();
	says(who, 2);
	HEARD(first);
	says(who, 2);
	/* signed anew, byte for byte the same: nothing to say */
	HEARD("");
	who->s[0].serial++;
	says(who, 1);
	HEARD(less);
	says(who, 0);
	HEARD(_i == 0 ? "-n0/a " : "-n1/a ");
	says(who, 2);
	HEARD(first);
	len = kw_signed(buf, sizeof(buf), RECORD_REVOCATION, 1, who->id, NODE_ID_LEN, &kw_authority);
	ck_assert_int_eq(knowns_take_signed(routed()->spread->knowns, buf, len, false, kw_wall), KNOWN_OK);
	services_sync(routed()->dir, routed()->dataplane, clock_ns());
	HEARD(_i == 0 ? "-n0/a -n0/b " : "-n1/a -n1/b ");
}
END_TEST

START_TEST(role_is_needed)
{
	begin();
	n[0].m.roles = 1u << ROLE_RELAY;
	strcpy(n[0].s[2].name, "echo");
	says(&n[0], 3);
	HEARD("+n0/echo ");
	n[0].m.roles |= 1u << ROLE_SERVICE_HOST;
	n[0].m.serial++;
	n[0].s[0].serial++;
	says(&n[0], 3);
	HEARD("+n0/a +n0/b ");
}
END_TEST

START_TEST(expired_far_node)
{
	begin();
	says(&n[0], 2);
	HEARD("+n0/a +n0/b ");
	knowns_expire(routed()->spread->knowns, KW_NOW + KNOWN_LIFE_S);
	services_sync(routed()->dir, routed()->dataplane, clock_ns());
	HEARD("-n0/a -n0/b ");
}
END_TEST

/* It becomes a neighbour, says then itself what it serves, and is one no more. */
START_TEST(far_and_near)
{
	struct procmsg up = { .type = PM_PEER_UP, .peer_up = { .name = "n0", .tenant = KW_TENANT, .tier = 3,
	    .roles = 1u << ROLE_SERVICE_HOST, .not_after = 4000000000, .addr = fake_addr(7, 4600), .datagram_max = 1200 } };
	struct procmsg records = { .type = PM_RECORDS }, down = { .type = PM_PEER_DOWN, .peer_down.reason = REASON_SHUTDOWN };
	uint8_t buf[FRAME_RECORD_MAX];
	struct record r;

	begin();
	says(&n[0], 2);
	HEARD("+n0/a +n0/b ");
	memcpy(up.peer_up.node_id, n[0].id, NODE_ID_LEN);
	up.peer_up.membership = n[0].item.membership;
	fake_tell(&fk, &up);
	HEARD("");
	r = n[0].s[0];
	r.serial++;
	r.not_before = clock_wall() - 60;
	r.not_after = clock_wall() + 3600;
	memcpy(records.records.node_id, n[0].id, NODE_ID_LEN);
	records.records.records = kw_sign(buf, sizeof(buf), &r, &n[0].key);
	fake_tell(&fk, &records);
	HEARD("-n0/b +n0/a ");
	/* What comes from elsewhere does not count while it is here. */
	says(&n[0], 3);
	HEARD("");
	memcpy(down.peer_down.node_id, n[0].id, NODE_ID_LEN);
	fake_tell(&fk, &down);
	HEARD("");
	n[0].s[1].serial++;
	says(&n[0], 2);
	HEARD("+n0/a +n0/b ");
}
END_TEST

/* A new adapter, and a new dataplane, hear all of it. */
START_TEST(told_again)
{
	struct procmsg again = { .type = PM_SERVICES };

	begin();
	says(&n[0], 1);
	says(&n[1], 1);
	HEARD("+n0/a +n1/a ");
	fake_tell(&fk, &again);
	HEARD("+n1/a +n0/a ");
	fake_port(&fk);
	HEARD("+n1/a +n0/a ");
}
END_TEST

/* A file that the node is configured with holds also when its time is over; what is wrong with it otherwise still counts. */
START_TEST(expired_files)
{
	static const uint8_t compiled[] = { 0x01, 0x00, 0x00, 0x00, 0x00 };	/* nothing but the default */
	struct procmsg m = { .type = PM_SIGNED };
	uint8_t buf[1024];
	size_t len;

	begin();
	kw_wall = clock_wall() - 86400;		/* they live for an hour */
	len = kw_signed(buf, sizeof(buf), RECORD_POLICY, 3, compiled, sizeof(compiled), &kw_authority);
	m.signed_record.record = (struct frame_bytes){ buf, len };
	ck_assert_int_eq(fk.worker.ops->message(&fk.worker, &m, -1), 0);
	ck_assert_ptr_nonnull(knowns_policy(routed()->spread->knowns));
	ck_assert_uint_eq(knowns_policy(routed()->spread->knowns)->serial, 3);
	m.signed_record.record.len = kw_signed(buf, sizeof(buf), RECORD_REVOCATION, 1, n[0].id, NODE_ID_LEN, &kw_authority);
	ck_assert_int_eq(fk.worker.ops->message(&fk.worker, &m, -1), 0);
	ck_assert(knowns_revoked(routed()->spread->knowns, n[0].id));
	m.signed_record.record.len = kw_signed(buf, sizeof(buf), RECORD_POLICY, 4, compiled, sizeof(compiled), &kw_stranger);
	ck_assert_int_eq(fk.worker.ops->message(&fk.worker, &m, -1), 0);
	ck_assert_uint_eq(knowns_policy(routed()->spread->knowns)->serial, 3);
}
END_TEST

/* The last that the dataplane was told of whom a node may reach: -1 nothing, else how many services. */
static int
permitted(const uint8_t *node_id)
{
	struct procmsg m;
	int services = -1;

	fake_skip = NULL;
	fake_run(&fk);
	for (struct frame f; fake_wait(&fk, &fk.dataplane, &f, 30);) {
		if (f.type != PM_PERMIT)
			continue;
		ck_assert_int_eq(procmsg_decode(&m, &f), 0);
		if (memcmp(m.permit.node_id, node_id, NODE_ID_LEN) != 0)
			continue;
		ck_assert(!m.permit.all);
		services = 0;
		for (size_t at = 0; at < m.permit.services.len; at += 2u + m.permit.services.p[at])
			services++;
	}
	fake_skip = of_routes;
	return services;
}

/* Who has something open loses what is not permitted: nothing is said of that before it is known what is served here. */
START_TEST(permits_wait_for_services)
{
	static const uint8_t compiled[] = { 0x01, 0x00, 0x00, 0x00, 0x00 }, everybody[NODE_ID_LEN];
	struct procmsg up = { .type = PM_PEER_UP, .peer_up = { .name = "n0", .tenant = KW_TENANT, .tier = 3,
	    .roles = 1u << ROLE_SERVICE_HOST, .not_after = 4000000000, .addr = fake_addr(7, 4600), .datagram_max = 1200 } };
	struct procmsg m = { .type = PM_SIGNED }, records = { .type = PM_RECORDS };
	uint8_t buf[1024];

	begin();
	kw_again(&n[0]);
	kw_wall = clock_wall();
	m.signed_record.record = (struct frame_bytes){ buf,
	    kw_signed(buf, sizeof(buf), RECORD_POLICY, 3, compiled, sizeof(compiled), &kw_authority) };
	ck_assert_int_eq(fk.worker.ops->message(&fk.worker, &m, -1), 0);
	memcpy(up.peer_up.node_id, n[0].id, NODE_ID_LEN);
	up.peer_up.membership = n[0].item.membership;
	fake_tell(&fk, &up);
	ck_assert_int_eq(permitted(everybody), -1);
	fake_port(&fk);
	fake_tell(&fk, &up);
	ck_assert_int_eq(permitted(everybody), -1);
	ck_assert_int_eq(fk.worker.ops->message(&fk.worker, &records, -1), 0);
	ck_assert_int_eq(permitted(n[0].id), 2);	/* vpn and echo are always there */
	fake_port(&fk);
	ck_assert_int_eq(permitted(everybody), 0);
}
END_TEST

static void
add_tests(TCase *tc)
{
	tcase_add_loop_test(tc, told_and_gone, 0, 2);
	tcase_add_test(tc, role_is_needed);
	tcase_add_test(tc, expired_far_node);
	tcase_add_test(tc, far_and_near);
	tcase_add_test(tc, told_again);
	tcase_add_test(tc, expired_files);
	tcase_add_test(tc, permits_wait_for_services);
}

int
main(void)
{
	return run_suite("far_services", add_tests);
}
