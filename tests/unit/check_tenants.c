/* Neighbours of two tenants: what goes over the border between two directories, and what does not. */
#include "suite.h"
#include "sync_world.h"

static void
policy_to(int whom, uint64_t serial, const char *x, const char *y)
{
	static uint8_t buf[RECORD_LARGE_MAX], content[POLICY_MAX];
	struct sync_time t = time_of(&nodes[whom]);
	size_t len;

	kw_wall = t.wall;
	len = kw_signed(buf, sizeof(buf), RECORD_POLICY, serial, content, kw_policy_across(content, x, y), &kw_authority);
	ck_assert_int_eq(knowns_take_signed(nodes[whom].ks, buf, len, false, t.wall), KNOWN_OK);
}

/* acme: phone - 0 - 1; infra: 2 - 3; 1 and the phone are neighbours of 2. */
static int
two_tenants(void)
{
	int phone;

	node_new(FULL);
	node_new(FULL);
	phone = node_new(LEAF);
	tenant = "infra";
	node_new(FULL);
	node_new(FULL);
	tenant = KW_TENANT;
	for (int i = 0; i < nnodes; i++)
		policy_to(i, 1, "infra", KW_TENANT);
	link_up(0, 1);
	link_up(0, phone);
	link_up(1, 3);
	link_up(phone, 3);
	link_up(3, 4);
	return phone;
}

/* Over the border go the nodes of the border and the policy, and nothing again and again. */
START_TEST(tenants_tell_of_themselves)
{
	int phone = two_tenants();

	run(5 * NS_PER_SEC);
	ck_assert(knows(0, 3) && knows(1, 3) && knows(phone, 3) && !knows(0, 4) && !knows(1, 4) && !knows(phone, 4));
	ck_assert(knows(3, 1) && knows(3, phone) && knows(4, 1) && knows(4, phone) && !knows(3, 0) && !knows(4, 0));
	ck_assert_uint_eq(known_find(nodes[0].ks, nodes[3].who.id)->services.n, 1);
	say(3);
	run(NS_PER_SEC);
	ck_assert(knows(0, 3) && knows(phone, 3));
	for (int i = 0; i < nnodes; i++)
		nodes[i].items = nodes[i].haves = nodes[i].signeds = 0;
	run(120 * NS_PER_SEC);
	for (int i = 0; i < nnodes; i++)
		ck_assert_uint_eq(nodes[i].items + nodes[i].haves + nodes[i].signeds, 0);
	/* Nor is it said over it how many there are. */
	ck_assert(nodes[3].digests > 0 && nodes[3].digest_nodes[1] == 0 && nodes[1].digest_nodes[3] == 0);
	ck_assert_uint_eq(nodes[1].digest_nodes[0], 4);
	/* A neighbour that only a leaf has comes to be known by it. */
	link_down(1, 3);
	say(3);
	run((SYNC_DIGEST_S + 5) * NS_PER_SEC);
	ck_assert(knows(0, 3) && knows(1, 3));
	ck_assert_uint_eq(broken, 0);
	/* Another policy: it is everywhere, over the border as well, and nobody is known beyond it. */
	policy_to(4, 2, NULL, NULL);
	run(2 * NS_PER_SEC);
	for (int i = 0; i < nnodes; i++)
		for (int k = 0; k < nnodes; k++)
			ck_assert_msg(knowns_policy(nodes[i].ks)->serial == 2 && (known_find(nodes[i].ks, nodes[k].who.id) == NULL ||
			    !foreign(i, k)), "%d knows %d", i, k);
}
END_TEST

/* A neighbour of another tenant that asks for more, or says more, than of itself. */
START_TEST(a_neighbour_of_another_tenant)
{
	uint64_t *refused = &stats->counter[STAT_ROUTED_KNOWN_E_TENANT], before;
	struct dirmsg_query q = { .ttl = 2 };
	static struct dirmsg_digest digest;
	static struct dirmsg_have have;
	static uint8_t buf[16384];
	static struct kw_node c;
	struct sync_time t;
	size_t len;
	int phone;

	phone = two_tenants();
	run(5 * NS_PER_SEC);
	nodes[3].items = nodes[3].haves = 0;
	/* It asks, by id and by name, and wants what it was not offered. */
	memcpy(q.node_id, nodes[0].who.id, NODE_ID_LEN);
	on_send(nodes[1].who.id, DIRMSG_QUERY, buf, dirmsg_query_encode(buf, sizeof(buf), &q), &nodes[3]);
	q = (struct dirmsg_query){ .ttl = 2, .by_name = true, .name = "n0" };
	on_send(nodes[1].who.id, DIRMSG_QUERY, buf, dirmsg_query_encode(buf, sizeof(buf), &q), &nodes[3]);
	have.n = 1;
	memcpy(have.v[0].node_id, nodes[0].who.id, NODE_ID_LEN);
	on_send(nodes[1].who.id, DIRMSG_WANT, buf, dirmsg_have_encode(buf, sizeof(buf), &have), &nodes[3]);
	digest.policy = 1;
	digest.nodes = 2;
	for (unsigned i = 0; i < DIRMSG_BUCKETS; i++)
		digest.bucket[i] = i + 1;
	on_send(nodes[1].who.id, DIRMSG_DIGEST, buf, dirmsg_digest_encode(buf, sizeof(buf), &digest), &nodes[3]);
	run(NS_PER_SEC);
	say(0);
	run(2 * NS_PER_SEC);
	ck_assert_uint_eq(nodes[3].items + nodes[3].haves, 0);
	ck_assert(!knows(3, 0) && knows(1, 0));
	/* What this tenant asks for is asked in this tenant. */
	memcpy(q.node_id, nodes[4].who.id, NODE_ID_LEN);
	t = time_of(&nodes[1]);
	sync_want(nodes[1].sync, nodes[4].who.id, true, &t);
	run(2 * NS_PER_SEC);
	ck_assert(!knows(1, 4));
	ck_assert(nodes[3].queries == 0 && nodes[0].queries > 0);
	link_down(0, phone);		/* also by one that has nobody else to ask */
	t = time_of(&nodes[phone]);
	sync_want(nodes[phone].sync, nodes[4].who.id, true, &t);
	run(2 * NS_PER_SEC);
	ck_assert_uint_eq(nodes[3].queries, 0);
	/* It offers others, and gives them; its own tenant's, this one's, or its coordinator's fence. */
	memcpy(have.v[0].node_id, nodes[4].who.id, NODE_ID_LEN);
	have.v[0].serial = nodes[4].who.n.serial;
	on_send(nodes[1].who.id, DIRMSG_HAVE, buf, dirmsg_have_encode(buf, sizeof(buf), &have), &nodes[3]);
	nodes[3].wants = nodes[3].signeds = 0;
	run(2 * NS_PER_SEC);
	ck_assert_uint_eq(nodes[3].wants, 0);
	before = *refused;
	kw_wall = KW_NOW + now_ns / NS_PER_SEC;
	ck_assert_int_eq(item_to(1, 3, kw_again(&nodes[4].who)), 0);
	ck_assert_int_eq(item_to(1, 3, kw_again(&nodes[0].who)), 0);
	ck_assert(!knows(1, 4) && !knows(1, 0));
	kw_node_init(&c, 990, "c", COORDINATOR);
	t = time_of(&nodes[1]);
	ck_assert_int_eq(knowns_take(nodes[1].ks, kw_again(&c), NULL, t.wall, NULL), KNOWN_OK);
	len = kw_fence(buf, sizeof(buf), 1, &c);
	ck_assert_int_eq(sync_message(nodes[1].sync, nodes[3].who.id, DIRMSG_SIGNED, buf, len, &t), 0);
	ck_assert_uint_eq(knowns_fences_sum(nodes[1].ks), 0);
	ck_assert_uint_eq(*refused, before + 3);
	ck_assert_int_eq(sync_message(nodes[1].sync, nodes[0].who.id, DIRMSG_SIGNED, buf, len, &t), 0);
	ck_assert_uint_ne(knowns_fences_sum(nodes[1].ks), 0);
	run((SYNC_DIGEST_S + 5) * NS_PER_SEC);
	ck_assert_uint_ne(knowns_fences_sum(nodes[0].ks), 0);
	ck_assert_uint_eq(nodes[3].signeds, 0);
	for (unsigned i = 0; i < SYNC_STRIKES - 3; i++)
		ck_assert_int_eq(item_to(1, 3, kw_again(&nodes[4].who)), 0);
	ck_assert_int_eq(item_to(1, 3, kw_again(&nodes[4].who)), -1);
	/* An own one that has heard of no such policy yet, or of a newer one, is not broken off for it. */
	for (unsigned i = 0; i < 2 * SYNC_STRIKES; i++) {
		strcpy(c.m.tenant, "bolt");
		c.m.serial++;
		ck_assert_int_eq(item_to(1, 0, kw_again(&c)), 0);
	}
	ck_assert_str_eq(known_find(nodes[1].ks, c.id)->member.tenant, KW_TENANT);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("tenants");
	TCase *tc = tcase_create("border");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, tenants_tell_of_themselves);
	tcase_add_test(tc, a_neighbour_of_another_tenant);
	suite_add_tcase(s, tc);
	return suite_run(s);
}
