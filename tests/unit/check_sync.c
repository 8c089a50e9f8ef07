/* The exchange of what is known: it comes to all, once, and those who do not keep the rules break nothing. */
#include "suite.h"
#include "sync_world.h"

START_TEST(a_line_learns)
{
	line(8);
	run(5 * NS_PER_SEC);
	ck_assert(all_know_all());
	/* with what each serves */
	ck_assert_uint_eq(known_find(nodes[0].ks, nodes[7].who.id)->services.n, 1);
	/* A change is at the other end within a second: seven times an offer, a request and the item. */
	say(7);
	run(NS_PER_SEC);
	ck_assert(knows(0, 7));
	nodes[7].who.nservices = 3;
	say(7);
	run(2 * NS_PER_SEC);
	ck_assert(knows(0, 7));
	ck_assert_uint_eq(known_find(nodes[0].ks, nodes[7].who.id)->services.n, 3);
}
END_TEST

/* No flooding: where each is a neighbour of each, a change comes to each once, or a second time where two crossed. */
START_TEST(a_mesh_is_not_flooded)
{
	unsigned items = 0;
	uint64_t bytes;

	mesh(10);
	run(5 * NS_PER_SEC);
	ck_assert(all_know_all());
	for (int i = 0; i < nnodes; i++)
		nodes[i].items = 0, memset(nodes[i].fresh, 0, sizeof(nodes[i].fresh));
	bytes = total_bytes;
	say(3);
	run(2 * NS_PER_SEC);
	ck_assert(all_know_all());
	for (int i = 0; i < nnodes; i++) {
		items += nodes[i].items;
		ck_assert_uint_eq(nodes[i].fresh[3], 1);
	}
	ck_assert_uint_eq(items, 9);
	ck_assert_uint_lt(total_bytes - bytes, 9 * 2048 + 90 * 64);
	/* Nothing changes: only digests go about, and nobody asks for anything. */
	for (int i = 0; i < nnodes; i++)
		nodes[i].items = nodes[i].haves = nodes[i].digests = 0;
	run(120 * NS_PER_SEC);
	for (int i = 0; i < nnodes; i++) {
		ck_assert_uint_eq(nodes[i].items, 0);
		ck_assert_uint_eq(nodes[i].haves, 0);
		ck_assert_uint_ge(nodes[i].digests, 9 * 3);
		ck_assert_uint_le(nodes[i].digests, 9 * 5);
	}
}
END_TEST

/* A ring: what goes around both ways is offered, and not taken twice. */
START_TEST(a_ring)
{
	line(12);
	link_up(11, 0);
	run(5 * NS_PER_SEC);
	for (int i = 0; i < nnodes; i++)
		nodes[i].items = 0, memset(nodes[i].fresh, 0, sizeof(nodes[i].fresh));
	say(0);
	run(3 * NS_PER_SEC);
	ck_assert(all_know_all());
	for (int i = 1; i < nnodes; i++) {
		ck_assert_uint_eq(nodes[i].fresh[0], 1);
		ck_assert_uint_le(nodes[i].items, 2);
	}
}
END_TEST

/* Split, changed on both sides, and whole again. */
START_TEST(split_and_healed)
{
	line(6);
	run(5 * NS_PER_SEC);
	link_down(2, 3);
	for (int i = 0; i < 6; i++)
		say(i);
	run(5 * NS_PER_SEC);
	ck_assert(knows(0, 2) && !knows(0, 3) && !knows(5, 2));
	link_up(2, 3);
	run(3 * NS_PER_SEC);
	ck_assert(all_know_all());
}
END_TEST

/* Messages of a moment are lost, as when a queue is full: the next digest finds it. */
START_TEST(lost_messages_are_found)
{
	line(4);
	run(5 * NS_PER_SEC);
	say(0);
	step();
	linked[1][2] = false;	/* without either being told */
	run(2 * NS_PER_SEC);
	linked[1][2] = true;
	ck_assert(knows(1, 0) && !knows(3, 0));
	run((SYNC_DIGEST_S + 5) * NS_PER_SEC);
	ck_assert(all_know_all());
}
END_TEST

/* The first knows so many more. */
static void
first_knows_700(void)
{
	static struct kw_node n;
	struct sync_time t;
	char name[16];

	for (unsigned i = 0; i < 700; i++) {
		snprintf(name, sizeof(name), "m%u", i);
		kw_node_init(&n, 5000 + i, name, FULL);
		kw_wall = KW_NOW + now_ns / NS_PER_SEC;
		t = time_of(&nodes[0]);
		ck_assert_int_eq(knowns_take(nodes[0].ks, kw_again(&n), NULL, t.wall, NULL), KNOWN_OK);
	}
}

/* One that was away learns many at once; also over links that are mostly full. */
START_TEST(late_comer)
{
	if (_i == 1)
		link_room = 26 * 1024;
	line(2);
	first_knows_700();
	run((_i == 1 ? 90 : 5) * NS_PER_SEC);
	ck_assert_uint_eq(knowns_count(nodes[1].ks), 702);
	node_new(FULL);
	link_up(1, 2);
	run((_i == 1 ? 90 : 5) * NS_PER_SEC);
	ck_assert_uint_eq(knowns_count(nodes[2].ks), 703);
	ck_assert_uint_eq(knowns_count(nodes[0].ks), 703);
}
END_TEST

/* What there was no room for when it was offered is offered again as soon as there is, and not by the next digest. */
START_TEST(offers_without_room)
{
	line(1);
	first_knows_700();
	run(5 * NS_PER_SEC);
	node_new(FULL);
	link_up(0, 1);
	deaf_to_have = 2;
	run(5 * NS_PER_SEC);
	ck_assert_uint_eq(deaf_to_have, 0);
	ck_assert_uint_eq(knowns_count(nodes[1].ks), 702);
}
END_TEST

/* What is heard no more goes, everywhere at its time, and an old copy does not bring it back. */
START_TEST(dead_nodes_expire)
{
	line(4);
	run(5 * NS_PER_SEC);
	link_down(2, 3);
	for (unsigned i = 0; i < 16; i++) {
		run(60 * NS_PER_SEC);
		for (int j = 0; j < 3; j++) {
			struct sync_time t = time_of(&nodes[j]);

			say(j);
			knowns_expire(nodes[j].ks, t.wall);
		}
	}
	run(2 * NS_PER_SEC);
	for (int i = 0; i < 3; i++) {
		ck_assert_uint_eq(knowns_count(nodes[i].ks), 3);
		ck_assert_ptr_null(known_find(nodes[i].ks, nodes[3].who.id));
	}
	ck_assert(knows(0, 2) && knows(2, 0));
}
END_TEST

/* --- leaves --- */

static void
query_is_answered(int phone, int whom)
{
	struct sync_time t = time_of(&nodes[phone]);

	sync_want(nodes[phone].sync, nodes[whom].who.id, false, &t);
	run(2 * NS_PER_SEC);
	ck_assert(knows(phone, whom));
}

START_TEST(leaf_gets_what_it_needs)
{
	int phone, coordinator;

	line(4);
	coordinator = node_new(COORDINATOR);
	link_up(3, coordinator);
	phone = node_new(LEAF);
	link_up(0, phone);
	run(5 * NS_PER_SEC);
	/* itself, its neighbour, the coordinator, and nobody else */
	ck_assert_uint_eq(knowns_count(nodes[phone].ks), 3);
	ck_assert(knows(phone, 0) && knows(phone, coordinator));
	for (int i = 0; i < nnodes; i++)
		ck_assert_msg(knows(i, phone), "%d", i);
	say(1);
	run(2 * NS_PER_SEC);
	ck_assert_uint_eq(knowns_count(nodes[phone].ks), 3);
	/* what it asked for it gets, and gets again when that changes */
	query_is_answered(phone, 2);
	say(2);
	run(NS_PER_SEC);
	ck_assert(knows(phone, 2));
	say(coordinator);
	run(NS_PER_SEC);
	ck_assert(knows(phone, coordinator));
	/* no directory for it, whatever it asks by digest or offer */
	nodes[phone].items = 0;
	run(120 * NS_PER_SEC);
	ck_assert_uint_eq(knowns_count(nodes[phone].ks), 4);
	ck_assert_uint_eq(nodes[phone].items, 0);
}
END_TEST

/* phone-a -> phone-b -> relay: the first phone is known beyond the second, and may ask through it. */
START_TEST(leaf_behind_a_leaf)
{
	int a, b;

	line(3);
	b = node_new(LEAF);
	a = node_new(LEAF);
	link_up(0, b);
	link_up(b, a);
	run(5 * NS_PER_SEC);
	ck_assert(knows(0, a) && knows(2, a) && knows(a, b));
	query_is_answered(a, 2);
	say(2);
	run(2 * NS_PER_SEC);
	ck_assert(knows(a, 2));
	ck_assert_uint_eq(knowns_count(nodes[a].ks), 3);
}
END_TEST

/* A name may be asked for as well; through a leaf the answer finds back. */
START_TEST(query_by_name)
{
	struct dirmsg_query q = { .ttl = 2, .by_name = true, .name = "n2" };
	uint8_t buf[128];
	int a, b;
	size_t len;

	line(3);
	b = node_new(LEAF);
	a = node_new(LEAF);
	link_up(0, b);
	link_up(b, a);
	run(5 * NS_PER_SEC);
	len = dirmsg_query_encode(buf, sizeof(buf), &q);
	ck_assert_int_eq(on_send(nodes[b].who.id, DIRMSG_QUERY, buf, len, &nodes[a]), 0);
	run(2 * NS_PER_SEC);
	ck_assert(knows(b, 2));
	ck_assert(knows(a, 2));
}
END_TEST

/* Asked for before it is there: told as soon as it is. */
START_TEST(query_in_advance)
{
	int phone, late;
	struct sync_time t;

	line(2);
	phone = node_new(LEAF);
	link_up(0, phone);
	late = node_new(FULL);
	t = time_of(&nodes[phone]);
	sync_want(nodes[phone].sync, nodes[late].who.id, true, &t);
	run(5 * NS_PER_SEC);
	ck_assert(!knows(phone, late));
	link_up(1, late);
	run(2 * NS_PER_SEC);
	ck_assert(knows(phone, late));
}
END_TEST

/* --- what the authority says --- */

static size_t
revoke(uint8_t *buf, size_t size, uint64_t serial, int whom)
{
	kw_wall = KW_NOW + now_ns / NS_PER_SEC;
	return kw_signed(buf, size, RECORD_REVOCATION, serial, nodes[whom].who.id, NODE_ID_LEN, &kw_authority);
}

START_TEST(revocation_is_everywhere_at_once)
{
	static uint8_t buf[RECORD_LARGE_MAX];
	struct sync_time t;
	int phone;
	size_t len;

	line(7);
	phone = node_new(LEAF);
	link_up(6, phone);
	run(5 * NS_PER_SEC);
	len = revoke(buf, sizeof(buf), 1, 3);
	t = time_of(&nodes[0]);
	ck_assert_int_eq(knowns_take_signed(nodes[0].ks, buf, len, false, t.wall), KNOWN_OK);
	run(NS_PER_SEC);
	for (int i = 0; i < nnodes; i++) {
		ck_assert_msg(knowns_revoked(nodes[i].ks, nodes[3].who.id), "%d", i);
		ck_assert_msg(i == 3 || known_find(nodes[i].ks, nodes[3].who.id) == NULL, "%d", i);
	}
	/* It says something newer: nobody hears it. One that was away, and has an older list, learns. */
	for (int i = 0; i < nnodes; i++)
		nodes[i].signeds = 0;
	run(90 * NS_PER_SEC);
	for (int i = 0; i < nnodes; i++)
		ck_assert_uint_eq(nodes[i].signeds, 0);
	node_new(FULL);
	link_up(0, nnodes - 1);
	run(2 * NS_PER_SEC);
	ck_assert(knowns_revoked(nodes[nnodes - 1].ks, nodes[3].who.id));
}
END_TEST

START_TEST(fences_are_everywhere)
{
	static uint8_t buf[1024];
	struct sync_time t;
	int coordinator;
	size_t len;

	line(4);
	coordinator = node_new(COORDINATOR);
	link_up(3, coordinator);
	run(5 * NS_PER_SEC);
	kw_wall = KW_NOW + now_ns / NS_PER_SEC;
	len = kw_fence(buf, sizeof(buf), 1, &nodes[coordinator].who);
	t = time_of(&nodes[coordinator]);
	ck_assert_int_eq(knowns_take_signed(nodes[coordinator].ks, buf, len, false, t.wall), KNOWN_OK);
	run(NS_PER_SEC);
	for (int i = 0; i < nnodes; i++)
		ck_assert_uint_ne(knowns_fences_sum(nodes[i].ks), 0);
	node_new(FULL);
	link_up(0, nnodes - 1);
	run((SYNC_DIGEST_S + 5) * NS_PER_SEC);
	ck_assert_uint_eq(knowns_fences_sum(nodes[nnodes - 1].ks), knowns_fences_sum(nodes[0].ks));
}
END_TEST

static void
fence(int coordinator, unsigned n)
{
	static uint8_t buf[1024];
	struct sync_time t = time_of(&nodes[coordinator]);

	kw_wall = t.wall;
	for (unsigned i = 0; i < n; i++)
		ck_assert_int_eq(knowns_take_signed(nodes[coordinator].ks, buf, kw_fence(buf, sizeof(buf), i + 1,
		    &nodes[coordinator].who), false, t.wall), KNOWN_OK);
}

static void
count(const uint8_t *record, size_t len, void *arg)
{
	++*(unsigned *)arg;
}

/* routed of a coordinator was started again, with another key: what it said with the one before breaks nothing off. */
START_TEST(fences_of_an_older_key)
{
	struct kw_node *who;
	unsigned n = 0;
	int coordinator;

	line(2);
	coordinator = node_new(COORDINATOR);
	who = &nodes[coordinator].who;
	link_up(1, coordinator);
	run(5 * NS_PER_SEC);
	fence(coordinator, SYNC_STRIKES + 8);
	run(NS_PER_SEC);
	who->route.secret[31]++;
	ck_assert_int_eq(sign_key_from_secret(&who->route), 0);
	who->r.serial++;
	say(coordinator);
	run(5 * NS_PER_SEC);
	fence(coordinator, 3);
	run(NS_PER_SEC);
	node_new(FULL);
	link_up(0, nnodes - 1);
	run(2 * NS_PER_SEC);
	ck_assert(knows(nnodes - 1, coordinator));
	knowns_fences_each(nodes[nnodes - 1].ks, count, &n);
	ck_assert_uint_eq(n, 3);
	nodes[nnodes - 1].digests = nodes[nnodes - 1].signeds = 0;
	for (int i = 0; i < 20; i++) {
		run(60 * NS_PER_SEC);
		for (int k = 0; k < nnodes; k++)
			say(k);
	}
	ck_assert_uint_le(nodes[nnodes - 1].digests, 20 * 60 / SYNC_DIGEST_S * 2 + 2);
}
END_TEST

/* --- clocks --- */

START_TEST(clocks_differ)
{
	line(4);
	nodes[1].skew = 100;
	nodes[2].skew = -100;
	say(1);
	say(2);
	link_down(0, 1);
	run(NS_PER_SEC);
	link_up(0, 1);
	run((SYNC_DIGEST_S + 5) * NS_PER_SEC);
	say(1);
	say(3);
	run(3 * NS_PER_SEC);
	ck_assert_int_eq(nodes[0].seen_skew, 100);
	ck_assert_uint_eq(nodes[0].seen_at.addr[3], 0);
	ck_assert(knows(0, 1) && knows(1, 0));
	ck_assert(knows(3, 0) && knows(0, 3));
	ck_assert_int_ge(known_find(nodes[0].ks, nodes[1].who.id)->skew_s, 90);
}
END_TEST

/* A clock that is far ahead: its records are not believed, by nobody, and nothing breaks. */
START_TEST(clock_far_ahead)
{
	uint64_t *not_yet = &stats->counter[STAT_ROUTED_KNOWN_E_NOT_YET], before = *not_yet;

	line(3);
	nodes[1].skew = 1000;
	say(1);
	run(10 * NS_PER_SEC);
	ck_assert_uint_gt(*not_yet, before);
	ck_assert(!knows(0, 1) && !knows(2, 1));
	ck_assert_uint_eq(broken, 0);
	ck_assert_int_eq(nodes[0].seen_skew, 0);	/* what it said when its clock was still right */
}
END_TEST

/* --- those who do not keep the rules --- */

static const struct { const char *what; unsigned type; const char *bytes; size_t len; } rubbish[] = {
	{ "a type that is not known", 9, "", 0 },
	{ "an empty hello", DIRMSG_HELLO, "", 0 },
	{ "a hello of version 0", DIRMSG_HELLO, "\0\0\0\0", 4 },
	{ "a digest cut short", DIRMSG_DIGEST, "\0\0\0", 3 },
	{ "an empty offer", DIRMSG_HAVE, "", 0 },
	{ "a wish cut short", DIRMSG_WANT, "\1\1\1", 3 },
	{ "an item of nothing", DIRMSG_ITEM, "\0\0\0\0\0", 5 },
	{ "an item of rubbish", DIRMSG_ITEM, "\0\0\0\0\4abcd", 9 },
	{ "a signed nothing", DIRMSG_SIGNED, "", 0 },
	{ "a signed something", DIRMSG_SIGNED, "FR\1\12rubbish", 11 },
	{ "a query for nobody", DIRMSG_QUERY, "\0\0", 2 },
};

START_TEST(rubbish_is_noticed)
{
	line(2);
	run(NS_PER_SEC);
	punish_broken = true;
	on_send(nodes[1].who.id, rubbish[_i].type, (const uint8_t *)rubbish[_i].bytes, rubbish[_i].len, &nodes[0]);
	run(NS_PER_SEC);
	ck_assert_msg(broken == 1, "%s", rubbish[_i].what);
	on_send(nodes[1].who.id, DIRMSG_SKIP, (const uint8_t *)"later", 5, &nodes[0]);
	run(NS_PER_SEC);
	ck_assert_uint_eq(broken, 1);
}
END_TEST

/* A signature that does not hold is at once too much; what another's chain is wrong in, soon. */
START_TEST(hostile_items)
{
	static struct kw_node n;
	struct dirmsg_item *item;
	unsigned i;

	line(2);
	run(NS_PER_SEC);
	kw_wall = KW_NOW + now_ns / NS_PER_SEC;
	kw_node_init(&n, 777, "victim", FULL);
	item = kw_again(&n);
	n.nbuf[item->record.len - 1] ^= 1;
	ck_assert_int_eq(item_to(1, 0, item), -1);
	n.m_signer = &kw_stranger;	/* it would have a role that nobody gave it */
	n.m.roles = COORDINATOR;
	for (i = 0; i <= SYNC_STRIKES && item_to(1, 0, kw_again(&n)) == 0; i++)
		continue;
	ck_assert_uint_eq(i, SYNC_STRIKES);
	ck_assert_ptr_null(known_find(nodes[1].ks, n.id));
	/* and it stands there for itself no better */
	nodes[0].who.m_signer = &kw_stranger;
	nodes[0].who.m.serial++;
	nodes[0].who.m.roles = COORDINATOR;
	item_to(1, 0, kw_again(&nodes[0].who));
	ck_assert_uint_eq(known_find(nodes[1].ks, nodes[0].who.id)->member.roles, FULL);
}
END_TEST

/* What is claimed and never given keeps nobody from getting it elsewhere; what is asked without end costs bounded memory. */
START_TEST(claims_and_floods)
{
	static struct dirmsg_have have;
	static uint8_t buf[16384];
	struct sync_time t;
	size_t len;
	unsigned wants = 0;

	line(3);
	run(NS_PER_SEC);
	t = time_of(&nodes[1]);
	have.n = 1;
	memcpy(have.v[0].node_id, nodes[2].who.id, NODE_ID_LEN);
	have.v[0].serial = nodes[2].who.n.serial + 1;
	len = dirmsg_have_encode(buf, sizeof(buf), &have);
	sync_message(nodes[1].sync, nodes[0].who.id, DIRMSG_HAVE, buf, len, &t);
	say(2);
	run((SYNC_DIGEST_S + 5) * NS_PER_SEC);
	ck_assert(knows(1, 2) && knows(0, 2));
	/* A hundred thousand nodes that there are not. */
	have.n = DIRMSG_HAVE_MAX;
	for (unsigned i = 0; i < 400; i++) {
		for (unsigned j = 0; j < have.n; j++) {
			memcpy(have.v[j].node_id, &i, sizeof(i));
			memcpy(have.v[j].node_id + 4, &j, sizeof(j));
			have.v[j].serial = 1;
		}
		len = dirmsg_have_encode(buf, sizeof(buf), &have);
		t = time_of(&nodes[1]);
		sync_message(nodes[1].sync, nodes[0].who.id, DIRMSG_HAVE, buf, len, &t);
	}
	for (const struct message *m = queue; m != NULL; m = m->next)
		wants += m->type == DIRMSG_WANT ? DIRMSG_HAVE_MAX : 0;
	ck_assert_uint_le(wants, SYNC_WANTED_MAX + DIRMSG_HAVE_MAX);
	ck_assert_uint_gt(wants, 0);
	/* and the exchange with the others goes on */
	say(2);
	run(2 * NS_PER_SEC);
	ck_assert(knows(1, 2));
	run((SYNC_DIGEST_S + 15) * NS_PER_SEC);
	ck_assert(all_know_all());
}
END_TEST

static void
claim(int at, int from, int about, uint64_t serial)
{
	struct dirmsg_have have = { .n = 1 };
	struct sync_time t = time_of(&nodes[at]);
	uint8_t buf[256];
	size_t len;

	memcpy(have.v[0].node_id, nodes[about].who.id, NODE_ID_LEN);
	have.v[0].serial = serial;
	len = dirmsg_have_encode(buf, sizeof(buf), &have);
	ck_assert_uint_gt(len, 0);
	ck_assert_int_eq(sync_message(nodes[at].sync, nodes[from].who.id, DIRMSG_HAVE, buf, len, &t), 0);
}

/* Nor does one that claims it again and again, each time more of it, and gives something else meanwhile. */
START_TEST(claims_without_end)
{
	uint64_t since;

	line(4);
	run(2 * NS_PER_SEC);
	ck_assert(knows(1, 3));
	since = now_ns;
	for (unsigned i = 0; now_ns < since + 3 * SYNC_DIGEST_S * NS_PER_SEC; i++) {
		claim(1, 0, 3, nodes[3].who.n.serial + 1000 + i);
		if (i == 0)
			say(3);
		run(NS_PER_SEC);
		item_to(1, 0, kw_again(&nodes[0].who));
	}
	ck_assert(knows(1, 3));
	/* and again, for as long as the liar is there */
	for (unsigned i = 0; i < 60; i++) {
		claim(1, 0, 3, nodes[3].who.n.serial + 2000 + i);
		if (i == 0)
			say(3);
		run(NS_PER_SEC);
	}
	ck_assert(knows(1, 3));
}
END_TEST

START_TEST(who_is_no_neighbour)
{
	struct sync_time t;

	line(2);
	node_new(FULL);
	t = time_of(&nodes[0]);
	ck_assert_int_eq(sync_message(nodes[0].sync, nodes[2].who.id, DIRMSG_HELLO, (const uint8_t *)"\1\0\0\0", 4, &t), -1);
}
END_TEST

/* A hundred changes of links at random, and then peace: all know all that is reachable. */
START_TEST(churn)
{
	unsigned seed = (unsigned)_i * 7919 + 1;

	mesh(2);
	for (int i = 0; i < 8; i++)
		node_new(FULL);
	for (unsigned i = 0; i < 150; i++) {
		int x, y;

		seed = seed * 1103515245u + 12345u;
		x = (int)(seed >> 16) % nnodes;
		seed = seed * 1103515245u + 12345u;
		y = (int)(seed >> 16) % nnodes;
		if (x != y && linked[x][y])
			link_down(x, y);
		else if (x != y)
			link_up(x, y);
		if (seed >> 8 & 1)
			say(x);
		run((seed >> 20 & 0xff) * NS_PER_MS);
	}
	for (int i = 1; i < nnodes; i++)
		if (!linked[i - 1][i])
			link_up(i - 1, i);
	run((SYNC_DIGEST_S + 10) * NS_PER_SEC);
	ck_assert(all_know_all());
	ck_assert_uint_eq(broken, 0);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("sync");
	TCase *tc = tcase_create("sync");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, a_line_learns);
	tcase_add_test(tc, a_mesh_is_not_flooded);
	tcase_add_test(tc, a_ring);
	tcase_add_test(tc, split_and_healed);
	tcase_add_test(tc, lost_messages_are_found);
	tcase_add_test(tc, offers_without_room);
	tcase_add_loop_test(tc, late_comer, 0, 2);
	tcase_add_test(tc, dead_nodes_expire);
	tcase_add_test(tc, leaf_gets_what_it_needs);
	tcase_add_test(tc, leaf_behind_a_leaf);
	tcase_add_test(tc, query_by_name);
	tcase_add_test(tc, query_in_advance);
	tcase_add_test(tc, revocation_is_everywhere_at_once);
	tcase_add_test(tc, fences_are_everywhere);
	tcase_add_test(tc, fences_of_an_older_key);
	tcase_add_test(tc, clocks_differ);
	tcase_add_test(tc, clock_far_ahead);
	tcase_add_loop_test(tc, rubbish_is_noticed, 0, N(rubbish));
	tcase_add_test(tc, hostile_items);
	tcase_add_test(tc, claims_and_floods);
	tcase_add_test(tc, claims_without_end);
	tcase_add_test(tc, who_is_no_neighbour);
	tcase_add_loop_test(tc, churn, 0, 5);
	suite_add_tcase(s, tc);
	return suite_run(s);
}
