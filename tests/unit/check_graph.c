/*
 * The graph: routes against a checker of its own, which tries every path of small random graphs; the shares of the formula one
 * by one; links as both ends tell of them; what policy, roles and classes permit; alternates; and that nothing depends on
 * the order in which nodes came.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fabric/graph.h"
#include "suite.h"

#define NODES_MAX	14
#define RELAYS_ALL	0x3f
#define CLASSES(c)	(1u << (c))

static uint8_t ids[NODES_MAX][NODE_ID_LEN];
static char names[NODES_MAX][16];
static struct policy_node who[NODES_MAX];
static struct facts facts[NODES_MAX];
static struct graph *g;
static uint64_t seed;

static uint32_t
rnd(uint32_t below)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(seed >> 33) % below;
}

/* Nodes that are relays with nothing that counts against them. */
static void
world(unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		memset(ids[i], 0, NODE_ID_LEN);
		ids[i][0] = (uint8_t)(i * 37 + 11);	/* not in the order of the numbers */
		ids[i][31] = (uint8_t)i;
		snprintf(names[i], sizeof(names[i]), "n%u", i);
		who[i] = (struct policy_node){ ids[i], names[i], "home", 1u << ROLE_RELAY, 9 };
		memset(&facts[i], 0, sizeof(facts[i]));
		facts[i].relay = true;
		facts[i].relay_classes = RELAYS_ALL;
	}
	graph_free(g);
	g = graph_new();
	ck_assert_ptr_nonnull(g);
}

static void
tell(unsigned a, unsigned b, uint32_t rtt_us, uint32_t kbps, uint16_t loss)
{
	struct fact_link *l = &facts[a].links[facts[a].nlinks++];

	ck_assert_uint_le(facts[a].nlinks, FACTS_LINKS_MAX);
	memcpy(l->node_id, ids[b], NODE_ID_LEN);
	l->rtt_us = rtt_us;
	l->kbps = kbps;
	l->loss = loss;
	l->jitter_us = 0;
}

static void
link_both(unsigned a, unsigned b, uint32_t rtt_us)
{
	tell(a, b, rtt_us, 0, 0);
	tell(b, a, rtt_us, 0, 0);
}

static void
set(unsigned i)
{
	ck_assert_int_eq(graph_node_set(g, &who[i], &facts[i], 0), 0);
}

static void
set_all(unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		set(i);
}

static struct graph_query
query(unsigned s, unsigned d, unsigned class)
{
	return (struct graph_query){ .source = ids[s], .dest = ids[d], .class = class, .routes = GRAPH_ROUTES_MAX };
}

/* A route as text: the numbers of its nodes. */
static const char *
text(const struct graph_route *r)
{
	static char buf[4][64];
	static unsigned turn;
	char *p = buf[turn++ % 4];
	size_t len = 0;

	p[0] = '\0';
	for (unsigned i = 0; i < r->n; i++)
		len += (size_t)snprintf(p + len, 64 - len, "%s%u", i == 0 ? "" : "-", r->nodes[i][31]);
	return p;
}

static const char *
best(unsigned s, unsigned d, unsigned class)
{
	struct graph_query q = query(s, d, class);
	struct graph_route r[GRAPH_ROUTES_MAX];

	return graph_routes(g, &q, r) == 0 ? "none" : text(&r[0]);
}

/* All routes, comma separated. */
static const char *
all(unsigned s, unsigned d, unsigned class)
{
	static char buf[256];
	struct graph_query q = query(s, d, class);
	struct graph_route r[GRAPH_ROUTES_MAX];
	size_t n = graph_routes(g, &q, r), len = 0;

	buf[0] = '\0';
	for (size_t i = 0; i < n; i++)
		len += (size_t)snprintf(buf + len, sizeof(buf) - len, "%s%s", i == 0 ? "" : ",", text(&r[i]));
	return buf;
}

static void
done(void)
{
	graph_free(g);
	g = NULL;
}

/* --- the checker: all that it knows is `facts' and `who' --- */

struct checker {
	unsigned n, s, d, class, links_max;
	unsigned path[LEASE_HOPS_MAX];
	bool	 on[NODES_MAX];
	uint32_t best;
	unsigned paths;
	struct graph_query q;
};

static bool
tells(unsigned a, unsigned b)
{
	for (unsigned i = 0; i < facts[a].nlinks; i++)
		if (facts[a].links[i].node_id[31] == b)
			return true;
	return false;
}

static bool
may_relay(unsigned i, unsigned class)
{
	return who[i].roles & (1u << ROLE_RELAY | 1u << ROLE_ENTRY) && facts[i].relay &&
	    facts[i].relay_classes & CLASSES(class) && strcmp(who[i].tenant, "home") == 0;
}

static void
try_all(struct checker *c, unsigned len)
{
	unsigned at = c->path[len - 1];

	if (at == c->d) {
		uint8_t nodes[LEASE_HOPS_MAX][NODE_ID_LEN];
		struct graph_route r;

		for (unsigned i = 0; i < len; i++)
			memcpy(nodes[i], ids[c->path[i]], NODE_ID_LEN);
		ck_assert_int_eq(graph_rate(g, &c->q, (const uint8_t (*)[NODE_ID_LEN])nodes, len, &r), 0);
		c->paths++;
		if (r.score < c->best)
			c->best = r.score;
		return;
	}
	if (len == c->links_max + 1 || (len > 1 && !may_relay(at, c->class)))
		return;
	for (unsigned to = 0; to < c->n; to++) {
		if (c->on[to] || (!tells(at, to) && !tells(to, at)))
			continue;
		c->path[len] = to;
		c->on[to] = true;
		try_all(c, len + 1);
		c->on[to] = false;
	}
}

static void
check(struct checker *c)
{
	c->best = UINT32_MAX;
	c->paths = 0;
	memset(c->on, 0, sizeof(c->on));
	c->path[0] = c->s;
	c->on[c->s] = true;
	try_all(c, 1);
}

/* Every route: its ends, no node twice, each link there, each relay permitted, its shares its score. */
static void
sound(const struct checker *c, const struct graph_route *r)
{
	uint32_t sum = 0;

	ck_assert_uint_ge(r->n, 2);
	ck_assert_uint_le(r->n, c->links_max + 1);
	ck_assert_mem_eq(r->nodes[0], ids[c->s], NODE_ID_LEN);
	ck_assert_mem_eq(r->nodes[r->n - 1], ids[c->d], NODE_ID_LEN);
	for (unsigned i = 0; i + 1 < r->n; i++) {
		unsigned a = r->nodes[i][31], b = r->nodes[i + 1][31];

		ck_assert(tells(a, b) || tells(b, a));
		ck_assert(i == 0 || may_relay(a, c->class));
		for (unsigned j = i + 1; j < r->n; j++)
			ck_assert_uint_ne(a, r->nodes[j][31]);
	}
	for (unsigned i = 0; i < SCORE_PARTS; i++)
		sum += r->part[i];
	ck_assert_uint_eq(sum, r->score);
}

static void
random_world(unsigned n)
{
	world(n);
	for (unsigned i = 0; i < n; i++) {
		if (rnd(4) == 0)
			who[i].roles = 1u << (rnd(2) ? ROLE_MOBILE_EDGE : ROLE_ENTRY);
		facts[i].relay = rnd(6) != 0;
		if (rnd(5) == 0)
			facts[i].relay_classes = (uint8_t)rnd(64);
		if (rnd(8) == 0)
			who[i].tenant = "other";
		who[i].tier = (uint8_t)rnd(10);
		facts[i].queue = (uint16_t)rnd(1001);
		facts[i].cpu = (uint16_t)rnd(1001);
		facts[i].metered = rnd(5) == 0;
		facts[i].on_battery = rnd(5) == 0;
		facts[i].battery = (uint8_t)rnd(101);
		facts[i].cost = rnd(3) == 0 ? rnd(50) : 0;
		facts[i].relay_kbps = rnd(3) == 0 ? 1000 + rnd(100000) : 0;
		snprintf(facts[i].region, sizeof(facts[i].region), "%s", rnd(2) ? "north" : rnd(2) ? "south" : "");
		snprintf(facts[i].domain, sizeof(facts[i].domain), "%s", rnd(2) ? "" : rnd(2) ? "rack-1" : "rack-2");
		for (unsigned j = 0; j < n; j++)
			if (j != i && rnd(n) < 3)
				tell(i, j, 1000 + rnd(20) * 1000, rnd(3) == 0 ? 0 : 500 + rnd(100000), (uint16_t)rnd(20));
	}
}

START_TEST(nothing_beats_the_best)
{
	unsigned found = 0;

	for (unsigned round = 0; round < 400; round++) {
		unsigned n = 4 + round % (NODES_MAX - 3);

		seed = round + 1;
		random_world(n);
		set_all(n);
		for (unsigned t = 0; t < 6; t++) {
			struct checker c = { .n = n, .s = rnd(n), .d = rnd(n), .class = rnd(CLASS_COUNT) };
			struct graph_route r[GRAPH_ROUTES_MAX];
			unsigned limit = rnd(4);
			size_t k;

			if (c.s == c.d || strcmp(who[c.s].tenant, "home") != 0)
				continue;
			c.q = query(c.s, c.d, c.class);
			c.q.direct_only = limit == 0;
			c.q.one_relay = limit == 1;
			c.links_max = limit == 0 ? 1 : limit == 1 ? 2 : LEASE_HOPS_MAX - 1;
			check(&c);
			k = graph_routes(g, &c.q, r);
			ck_assert_msg((k > 0) == (c.paths > 0), "seed %u: %zu routes of %u paths", round + 1, k, c.paths);
			ck_assert_msg((k > 1) == (c.paths > 1), "seed %u: %zu routes of %u paths", round + 1, k, c.paths);
			for (size_t i = 0; i < k; i++) {
				sound(&c, &r[i]);
				for (size_t j = 0; j < i; j++)
					ck_assert_str_ne(text(&r[i]), text(&r[j]));
			}
			if (k > 0)
				ck_assert_msg(r[0].score == c.best, "seed %u: %u is not %u", round + 1, r[0].score, c.best);
			found += k > 0;
		}
	}
	ck_assert_uint_gt(found, 500);
	done();
}
END_TEST

/* Nodes put in the other way round, changed, taken out and put in again: the same routes. */
START_TEST(order_does_not_matter)
{
	for (unsigned round = 0; round < 200; round++) {
		char first[256];
		unsigned n = 12, s = round % n, d = (round * 5 + 3) % n;

		if (s == d)
			continue;
		seed = round + 1000;
		random_world(n);
		for (unsigned i = 0; i < n; i++)	/* ties */
			for (unsigned j = 0; j < facts[i].nlinks; j++)
				facts[i].links[j] = (struct fact_link){ .rtt_us = 1000 };
		for (unsigned i = 0; i < n; i++)
			for (unsigned j = 0; j < facts[i].nlinks; j++)
				memcpy(facts[i].links[j].node_id, ids[(i + 1 + j * 3) % n], NODE_ID_LEN);
		set_all(n);
		snprintf(first, sizeof(first), "%s", all(s, d, CLASS_INTERACTIVE));
		graph_free(g);
		g = graph_new();
		for (unsigned i = n; i-- > 0;)
			set(i);
		for (unsigned i = 0; i < n; i += 2) {
			ck_assert_int_eq(graph_node_set(g, &who[i], NULL, 0), 0);
			graph_node_del(g, ids[(i * 5) % n]);
		}
		for (unsigned i = 0; i < n; i++)
			set((i * 7) % n);
		ck_assert_str_eq(all(s, d, CLASS_INTERACTIVE), first);
	}
	done();
}
END_TEST

START_TEST(links_count_as_the_worse_end_says)
{
	struct graph_query q;
	struct graph_route r[GRAPH_ROUTES_MAX];

	world(2);
	tell(0, 1, 1000, 5000, 3);
	tell(1, 0, 3000, 9000, 1);
	set_all(2);
	q = query(0, 1, CLASS_INTERACTIVE);
	ck_assert_uint_eq(graph_routes(g, &q, r), 1);
	ck_assert_uint_eq(r[0].rtt_us, 3000);
	ck_assert_uint_eq(r[0].kbps, 5000);
	ck_assert_uint_eq(r[0].loss, 3);
	ck_assert_int_eq(graph_node_set(g, &who[0], NULL, 0), 0);	/* the other end still tells of it */
	ck_assert_uint_eq(graph_routes(g, &q, r), 1);
	ck_assert_uint_eq(r[0].rtt_us, 3000);
	ck_assert_uint_eq(r[0].kbps, 9000);
	ck_assert_int_eq(graph_node_set(g, &who[1], NULL, 0), 0);
	ck_assert_uint_eq(graph_routes(g, &q, r), 0);
	done();
}
END_TEST

/* 0 and 3 with the relays 1 (better) and 2; what makes the first unusable. */
static void
diamond(void)
{
	world(4);
	link_both(0, 1, 1000);
	link_both(1, 3, 1000);
	link_both(0, 2, 5000);
	link_both(2, 3, 5000);
}

/* A node that died says nothing more; what its neighbours say since is believed. */
START_TEST(the_last_word_of_the_dead)
{
	diamond();
	for (unsigned i = 0; i < 4; i++)
		ck_assert_int_eq(graph_node_set(g, &who[i], &facts[i], 100), 0);
	ck_assert_str_eq(best(0, 3, CLASS_INTERACTIVE), "0-1-3");
	facts[0].links[0] = facts[0].links[--facts[0].nlinks];	/* 0 tells of 2 only, later */
	ck_assert_int_eq(graph_node_set(g, &who[0], &facts[0], 200), 0);
	ck_assert_str_eq(best(0, 3, CLASS_INTERACTIVE), "0-2-3");
	ck_assert_int_eq(graph_node_set(g, &who[1], &facts[1], 300), 0);	/* it was not dead */
	ck_assert_str_eq(best(0, 3, CLASS_INTERACTIVE), "0-1-3");
	/* Who has no room for all its links has denied none. */
	while (facts[0].nlinks < FACTS_LINKS_MAX)
		memset(facts[0].links[facts[0].nlinks].node_id, 0x80 + facts[0].nlinks, NODE_ID_LEN), facts[0].nlinks++;
	ck_assert_int_eq(graph_node_set(g, &who[0], &facts[0], 400), 0);
	ck_assert_str_eq(best(0, 3, CLASS_INTERACTIVE), "0-1-3");
	facts[0].nlinks--;
	ck_assert_int_eq(graph_node_set(g, &who[0], &facts[0], 500), 0);
	ck_assert_str_eq(best(0, 3, CLASS_INTERACTIVE), "0-2-3");
	ck_assert_int_eq(graph_node_set(g, &who[0], NULL, 600), 0);	/* who has no facts says nothing */
	ck_assert_str_eq(best(0, 3, CLASS_INTERACTIVE), "0-1-3");
	done();
}
END_TEST

START_TEST(nodes_come_and_go)
{
	size_t empty;

	world(6);
	empty = graph_bytes(g);
	for (unsigned i = 0; i < 5; i++)
		link_both(i, i + 1, 1000);
	set(2);		/* tells of nodes that nobody has heard of */
	ck_assert_uint_eq(graph_size(g), 1);
	ck_assert_str_eq(best(1, 2, CLASS_BULK), "none");	/* no member */
	set_all(6);
	ck_assert_uint_eq(graph_size(g), 6);
	ck_assert_str_eq(best(0, 5, CLASS_BULK), "0-1-2-3-4-5");
	graph_node_del(g, ids[3]);
	graph_node_del(g, ids[3]);
	ck_assert_uint_eq(graph_size(g), 5);
	ck_assert_str_eq(best(0, 5, CLASS_BULK), "none");
	set(3);
	ck_assert_str_eq(best(0, 5, CLASS_BULK), "0-1-2-3-4-5");
	for (unsigned i = 0; i < 6; i++)
		graph_node_del(g, ids[i]);
	ck_assert_uint_eq(graph_size(g), 0);
	ck_assert_str_eq(best(0, 5, CLASS_BULK), "none");
	for (unsigned round = 0; round < 100; round++) {	/* places are used again */
		set_all(6);
		for (unsigned i = 0; i < 6; i++)
			graph_node_del(g, ids[i]);
	}
	ck_assert_uint_le(graph_bytes(g), empty + 64 * 1024);
	done();
}
END_TEST

/* Memory that has been something else before, also where it is large. */
const char *__asan_default_options(void);
const char *
__asan_default_options(void)
{
	return "max_malloc_fill_size=268435456";
}

/* More than the first buckets. */
START_TEST(many_nodes)
{
	enum { MANY = 3000 };
	uint8_t id[NODE_ID_LEN] = { 0 };
	struct policy_node x = { id, "one-of-many", "home", 1u << ROLE_RELAY, 9 };

	world(2);
	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < MANY; i++) {
			struct facts f = { .nlinks = 1 };

			memcpy(id, &i, sizeof(i));
			memset(f.links[0].node_id, 0, NODE_ID_LEN);
			memcpy(f.links[0].node_id, &(unsigned){ (i * 7 + 1) % (2 * MANY) }, sizeof(i));
			ck_assert_int_eq(graph_node_set(g, &x, &f, 0), 0);
			ck_assert_uint_eq(graph_size(g), i + 1);
		}
		for (unsigned i = MANY; i-- > 0;) {
			memcpy(id, &i, sizeof(i));
			graph_node_del(g, id);
			ck_assert_uint_eq(graph_size(g), i);
		}
	}
	done();
}
END_TEST

/* Six nodes is the most: seven in a row are not joined. */
START_TEST(hops_are_bounded)
{
	struct graph_query q;
	struct graph_route r[GRAPH_ROUTES_MAX];

	world(7);
	for (unsigned i = 0; i < 6; i++)
		link_both(i, i + 1, 1000);
	set_all(7);
	ck_assert_str_eq(best(0, 5, CLASS_BULK), "0-1-2-3-4-5");
	ck_assert_str_eq(best(0, 6, CLASS_BULK), "none");
	q = query(0, 2, CLASS_BULK);
	q.one_relay = true;
	ck_assert_uint_eq(graph_routes(g, &q, r), 1);
	q.direct_only = true;
	ck_assert_uint_eq(graph_routes(g, &q, r), 0);
	q.direct_only = false;
	q.dest = ids[3];
	ck_assert_uint_eq(graph_routes(g, &q, r), 0);
	/* The cheapest way to a node may be too long to go on from: 2 is nearer over 7 and 8 than at once. */
	world(9);
	link_both(0, 7, 10);
	link_both(7, 8, 10);
	link_both(8, 2, 10);
	link_both(0, 2, 100000);
	link_both(2, 3, 10);
	link_both(3, 4, 10);
	link_both(4, 5, 10);
	link_both(5, 6, 10);
	set_all(9);
	ck_assert_str_eq(best(0, 2, CLASS_INTERACTIVE), "0-7-8-2");
	ck_assert_str_eq(best(0, 6, CLASS_INTERACTIVE), "0-2-3-4-5-6");
	/* A longer way to a node may be the cheaper one, at both ends. */
	world(6);
	for (unsigned i = 0; i < 5; i++)
		link_both(i, i + 1, 10);
	link_both(0, 2, 100000);
	link_both(3, 5, 100000);
	set_all(6);
	ck_assert_str_eq(best(0, 5, CLASS_INTERACTIVE), "0-1-2-3-4-5");
	done();
}
END_TEST

START_TEST(relays_only_where_permitted)
{
	diamond();
	set_all(4);
	ck_assert_str_eq(best(0, 3, CLASS_INTERACTIVE), "0-1-3");
	who[1].roles = 1u << ROLE_SERVICE_HOST;
	set(1);
	ck_assert_str_eq(best(0, 3, CLASS_INTERACTIVE), "0-2-3");
	who[1].roles = 1u << ROLE_ENTRY;
	set(1);
	ck_assert_str_eq(best(0, 3, CLASS_INTERACTIVE), "0-1-3");
	facts[1].relay = false;
	set(1);
	ck_assert_str_eq(best(0, 3, CLASS_INTERACTIVE), "0-2-3");
	facts[1].relay = true;
	facts[1].relay_classes = CLASSES(CLASS_BULK);
	set(1);
	ck_assert_str_eq(best(0, 3, CLASS_INTERACTIVE), "0-2-3");
	ck_assert_str_eq(best(0, 3, CLASS_BULK), "0-1-3");
	facts[1].relay_classes = RELAYS_ALL;
	who[1].tenant = "other";	/* the default policy isolates tenants */
	set(1);
	ck_assert_str_eq(best(0, 3, CLASS_INTERACTIVE), "0-2-3");
	who[1].tenant = "home";
	set(1);
	ck_assert_str_eq(best(0, 3, CLASS_INTERACTIVE), "0-1-3");
	/* The ends need not be relays. */
	who[0].roles = who[3].roles = 1u << ROLE_MOBILE_EDGE;
	facts[0].relay = facts[3].relay = false;
	set_all(4);
	ck_assert_str_eq(best(0, 3, CLASS_INTERACTIVE), "0-1-3");
	done();
}
END_TEST

START_TEST(classes_choose_differently)
{
	world(4);
	tell(0, 1, 1000, 2000, 0);	/* near and thin */
	tell(1, 3, 1000, 2000, 0);
	tell(0, 2, 20000, 500000, 0);	/* far and wide */
	tell(2, 3, 20000, 500000, 0);
	set_all(4);
	ck_assert_str_eq(best(0, 3, CLASS_INTERACTIVE), "0-1-3");
	ck_assert_str_eq(best(0, 3, CLASS_DNS), "0-1-3");
	ck_assert_str_eq(best(0, 3, CLASS_CONTROL), "0-1-3");
	ck_assert_str_eq(best(0, 3, CLASS_BULK), "0-2-3");
	ck_assert_str_eq(best(0, 3, CLASS_DROPPABLE), "0-2-3");
	done();
}
END_TEST

/* What each input adds to a route over one relay, for the three kinds of classes. */
START_TEST(each_share)
{
	static const struct {
		const char	*name;
		enum score_part	 part;
		uint32_t	 want[3];	/* interactive, reliable, bulk; of this part, above what it is without */
		uint32_t	 number;
		char		 what;
	} t[] = {
		{ "round trip", SCORE_RTT, { 8000, 4000, 1000 }, 8000, 'r' },
		{ "jitter", SCORE_JITTER, { 16000, 8000, 1000 }, 8000, 'j' },
		{ "loss", SCORE_LOSS, { 10000, 15000, 10000 }, 10, 'l' },
		/* 1200, 65536 and 1048576 bytes at 1 Mbit/s, less the same at the 20 that are taken when it is not known. */
		{ "rate of a link", SCORE_BANDWIDTH, { 9600 - 480, 524288 - 26214, 8388608 - 419430 }, 1000, 'b' },
		{ "rate of a relay", SCORE_BANDWIDTH, { 960, 52428, 838860 }, 10000, 'B' },
		{ "queue", SCORE_QUEUE, { 25000, 15000, 10000 }, 500, 'q' },
		{ "load that is free", SCORE_LOAD, { 0, 0, 0 }, 500, 'c' },
		{ "cpu", SCORE_LOAD, { 20000, 20000, 20000 }, 1000, 'c' },
		{ "memory", SCORE_LOAD, { 10000, 10000, 10000 }, 750, 'm' },
		{ "descriptors", SCORE_LOAD, { 4000, 4000, 4000 }, 600, 'd' },
		{ "battery", SCORE_BATTERY, { 20000 + 25000, 40000 + 50000, 80000 + 100000 }, 50, 'p' },
		{ "battery low", SCORE_BATTERY, { 20000 + 45000 + 300000, 40000 + 90000 + 600000, 80000 + 180000 + 1200000 },
		    10, 'p' },
		{ "charging", SCORE_BATTERY, { 0, 0, 0 }, 10, 'C' },
		{ "metered", SCORE_METERED, { 30000, 100000, 600000 }, 0, 'M' },
		{ "mobile network", SCORE_METERED, { 30000, 100000, 600000 }, 0, 'n' },
		{ "history", SCORE_HISTORY, { 100000, 100000, 100000 }, 2, 'f' },
		{ "history, half an hour ago", SCORE_HISTORY, { 50000, 50000, 50000 }, 2, 'h' },
		{ "history, an hour ago", SCORE_HISTORY, { 0, 0, 0 }, 2, 'H' },
		{ "another region", SCORE_LOCALITY, { 5000, 5000, 2000 }, 0, 'a' },
		{ "the same region", SCORE_LOCALITY, { 0, 0, 0 }, 0, 's' },
		{ "cost", SCORE_COST, { 700, 7000, 35000 }, 7, 'o' },
		{ "tier", SCORE_PREFERENCE, { 2000, 2000, 2000 }, 5, 't' },
		{ "phone", SCORE_PREFERENCE, { 50000, 100000, 200000 }, 0, 'P' },
	};
	static const unsigned classes[3] = { CLASS_INTERACTIVE, CLASS_RELIABLE, CLASS_BULK };
	const uint64_t hour = 3600ull * 1000000000;

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		for (unsigned c = 0; c < 3; c++) {
			struct graph_query q;
			struct graph_route without, with;
			struct facts *f = &facts[1];
			struct fact_link *l;
			uint32_t v = t[i].number;

			world(3);
			tell(0, 1, 0, 0, 0);
			tell(1, 2, 0, 0, 0);
			l = &facts[0].links[0];
			set_all(3);
			q = query(0, 2, classes[c]);
			q.now_ns = hour;
			ck_assert_uint_eq(graph_routes(g, &q, &without), 1);
			switch (t[i].what) {
			case 'r': l->rtt_us = v; break;
			case 'j': l->jitter_us = v; break;
			case 'l': l->loss = (uint16_t)v; break;
			case 'b': l->kbps = v; break;
			case 'B': f->relay_kbps = v; break;
			case 'q': f->queue = (uint16_t)v; break;
			case 'c': f->cpu = (uint16_t)v; break;
			case 'm': f->memory = (uint16_t)v; break;
			case 'd': f->descriptors = (uint16_t)v; break;
			case 'C': f->charging = true; /* FALLTHROUGH */
			case 'p': f->on_battery = true; f->battery = (uint8_t)v; break;
			case 'M': f->metered = true; break;
			case 'n': f->net = NET_MOBILE; break;
			case 'f': case 'h': case 'H':
				q.now_ns += t[i].what == 'H' ? hour : t[i].what == 'h' ? hour / 2 : 0;
				for (; v > 0; v--)
					graph_failed(g, ids[1], hour);
				break;
			case 'a': strcpy(f->region, "far"); /* FALLTHROUGH */
			case 's': strcpy(facts[0].region, "near"); break;
			case 'o': f->cost = v; break;
			case 't': who[1].tier = (uint8_t)v; break;
			case 'P': who[1].roles |= 1u << ROLE_MOBILE_EDGE; break;
			}
			if (t[i].what == 's')
				strcpy(f->region, "near");
			set_all(3);
			ck_assert_uint_eq(graph_routes(g, &q, &with), 1);
			ck_assert_msg(with.part[t[i].part] - without.part[t[i].part] == t[i].want[c], "%s: %u, not %u", t[i].name,
			    with.part[t[i].part] - without.part[t[i].part], t[i].want[c]);
			ck_assert_uint_eq(with.score - without.score, t[i].want[c]);
		}
	}
	done();
}
END_TEST

START_TEST(weights_weigh)
{
	struct score_weights w;
	struct graph_query q;
	struct graph_route r, twice, nothing;

	ck_assert_int_eq(score_part_parse("rtt"), SCORE_RTT);
	ck_assert_int_eq(score_part_parse("none"), -1);
	diamond();
	set_all(4);
	q = query(0, 3, CLASS_INTERACTIVE);
	q.routes = 1;
	q.weights = &w;
	score_weights_default(&w);
	ck_assert_uint_eq(graph_routes(g, &q, &r), 1);
	for (unsigned i = 0; i < SCORE_PARTS; i++)
		ck_assert_int_eq(score_part_parse(score_part_name(i)), (int)i);
	w.w[SCORE_RTT] = 2000;
	ck_assert_uint_eq(graph_routes(g, &q, &twice), 1);
	ck_assert_uint_eq(twice.part[SCORE_RTT], 2 * r.part[SCORE_RTT]);
	ck_assert_uint_eq(twice.score, r.score + r.part[SCORE_RTT]);
	memset(&w, 0, sizeof(w));	/* nothing counts: still no loops, and the fewest nodes */
	ck_assert_uint_eq(graph_routes(g, &q, &nothing), 1);
	ck_assert_uint_eq(nothing.n, 3);
	memset(&w, 0xff, sizeof(w));	/* nothing wraps */
	facts[1].battery = 0;
	facts[1].on_battery = facts[2].on_battery = true;
	set_all(4);
	ck_assert_uint_eq(graph_routes(g, &q, &r), 1);
	ck_assert_uint_gt(r.score, twice.score);
	done();
}
END_TEST

START_TEST(alternates_share_as_little_as_there_is)
{
	/* Three ways of their own; what goes over the relays of two of them is no more an alternate. */
	world(8);
	link_both(0, 1, 1000);
	link_both(1, 7, 1000);
	link_both(0, 2, 2000);
	link_both(2, 7, 2000);
	link_both(0, 3, 3000);
	link_both(3, 4, 3000);
	link_both(4, 7, 3000);
	link_both(1, 2, 10);	/* the second best by score goes over 1 and 2 */
	set_all(8);
	ck_assert_str_eq(all(0, 7, CLASS_INTERACTIVE), "0-1-7,0-2-7,0-3-4-7");
	/* What stands in one rack falls with it: 2 comes after 3-4. */
	strcpy(facts[1].domain, "rack");
	strcpy(facts[2].domain, "rack");
	set_all(8);
	ck_assert_str_eq(all(0, 7, CLASS_INTERACTIVE), "0-1-7,0-3-4-7,0-2-7");
	/* The session itself is one of them. */
	link_both(0, 7, 500);
	set_all(8);
	ck_assert_str_eq(all(0, 7, CLASS_INTERACTIVE), "0-7,0-1-7,0-3-4-7,0-2-7");
	/* What shares least by number would be the first again: then one that shares more, but not a link. */
	world(4);
	link_both(0, 1, 1000);
	link_both(1, 3, 1000);
	link_both(1, 2, 1000);
	link_both(2, 3, 1000);
	strcpy(facts[1].domain, "rack");
	strcpy(facts[2].domain, "rack");
	set_all(4);
	ck_assert_str_eq(all(0, 3, CLASS_INTERACTIVE), "0-1-3,0-1-2-3");
	/* One relay is in all of them: then other links to it and from it, though one that shares a link is nearer. */
	world(5);
	link_both(0, 1, 1000);
	link_both(1, 4, 1000);
	link_both(0, 2, 9000);
	link_both(2, 1, 9000);
	link_both(1, 3, 9000);
	link_both(3, 4, 9000);
	set_all(5);
	ck_assert_str_eq(all(0, 4, CLASS_INTERACTIVE), "0-1-4,0-2-1-3-4,0-2-1-4,0-1-3-4");
	/* A phone with one session: each goes over it, and then they part. */
	world(6);
	link_both(0, 1, 1000);
	link_both(1, 2, 1000);
	link_both(1, 3, 2000);
	link_both(2, 4, 1000);
	link_both(3, 4, 1000);
	set_all(6);
	ck_assert_str_eq(all(0, 4, CLASS_INTERACTIVE), "0-1-2-4,0-1-3-4");
	ck_assert_str_eq(all(0, 5, CLASS_INTERACTIVE), "");
	ck_assert_str_eq(all(0, 0, CLASS_INTERACTIVE), "");
	done();
}
END_TEST

START_TEST(failures_are_left)
{
	struct graph_query q;
	struct graph_route r[GRAPH_ROUTES_MAX];
	const uint64_t minute = 60ull * 1000000000;

	diamond();
	set_all(4);
	q = query(0, 3, CLASS_INTERACTIVE);
	q.now_ns = 100 * minute;
	graph_failed(g, ids[1], q.now_ns);
	ck_assert_uint_eq(graph_routes(g, &q, r), 2);
	ck_assert_str_eq(text(&r[0]), "0-2-3");
	q.now_ns += 61 * minute;
	ck_assert_uint_eq(graph_routes(g, &q, r), 2);
	ck_assert_str_eq(text(&r[0]), "0-1-3");
	set(1);		/* news of it does not clear what happened */
	q.now_ns = 100 * minute;
	ck_assert_uint_eq(graph_routes(g, &q, r), 2);
	ck_assert_str_eq(text(&r[0]), "0-2-3");
	done();
}
END_TEST

static uint32_t
history_of(struct graph_query *q, uint64_t now_ns)
{
	uint8_t n[3][NODE_ID_LEN];
	struct graph_route r;

	memcpy(n[0], ids[0], NODE_ID_LEN);
	memcpy(n[1], ids[1], NODE_ID_LEN);
	memcpy(n[2], ids[3], NODE_ID_LEN);
	q->now_ns = now_ns;
	ck_assert_int_eq(graph_rate(g, q, (const uint8_t (*)[NODE_ID_LEN])n, 3, &r), 0);
	return r.part[SCORE_HISTORY];
}

/* What others tell counts once a minute, two failures of one's at most, and no more than eight of all. */
START_TEST(failures_told)
{
	const uint64_t minute = 60ull * 1000000000;
	const uint32_t one = 50000;
	struct graph_query q;
	uint8_t teller[9][NODE_ID_LEN] = { { 0 } };
	uint64_t t = 100 * minute;

	for (uint8_t i = 0; i < 9; i++)
		teller[i][0] = (uint8_t)(0xe0 + i);
	diamond();
	set_all(4);
	q = query(0, 3, CLASS_INTERACTIVE);
	graph_failed_told(g, teller[0], ids[2], t);	/* of nobody */
	graph_failed_told(g, ids[1], ids[2], t);
	ck_assert_uint_eq(history_of(&q, t), one);
	graph_failed_told(g, ids[1], ids[2], t + minute - 1);
	ck_assert_uint_lt(history_of(&q, t + minute - 1), one);
	for (unsigned i = 0; i < 200; i++, t += minute) {
		graph_failed_told(g, ids[1], ids[2], t);
		ck_assert_uint_le(history_of(&q, t), 2 * one);
	}
	t -= minute;
	ck_assert_uint_eq(history_of(&q, t), 2 * one);
	graph_failed_told(g, ids[1], ids[3], t);
	ck_assert_uint_eq(history_of(&q, t), 3 * one);
	/* Nine who never tire, more than are remembered, count for as much as this node may see itself. */
	for (unsigned i = 0; i < 200; i++, t += minute)
		for (unsigned by = 0; by < 9; by++)
			graph_failed_told(g, ids[1], teller[by], t);
	t -= minute;
	ck_assert_uint_eq(history_of(&q, t), 8 * one);
	t += 60 * minute;
	ck_assert_uint_eq(history_of(&q, t), 0);
	for (unsigned i = 0; i < 7; i++)
		graph_failed(g, ids[1], t);
	graph_failed_told(g, ids[1], ids[2], t);
	graph_failed_told(g, ids[1], ids[3], t);
	ck_assert_uint_eq(history_of(&q, t), 8 * one);
	done();
}
END_TEST

START_TEST(rate_refuses_what_is_no_route)
{
	uint8_t n[7][NODE_ID_LEN];
	struct graph_query q;
	struct graph_route r;
	static const struct {
		unsigned n;
		uint8_t	 at[7];
		int	 rv;
	} t[] = {
		{ 3, { 0, 1, 3 }, 0 }, { 3, { 0, 2, 3 }, 0 },
		{ 1, { 0 }, -1 }, { 2, { 0, 3 }, -1 },		/* no such link */
		{ 3, { 1, 0, 3 }, -1 }, { 3, { 3, 1, 0 }, -1 },	/* other ends */
		{ 5, { 0, 1, 0, 1, 3 }, -1 },			/* twice */
		{ 3, { 0, 9, 3 }, -1 },				/* nobody */
		{ 7, { 0, 1, 3, 0, 1, 3, 3 }, -1 },
	};

	diamond();
	set_all(4);
	q = query(0, 3, CLASS_INTERACTIVE);
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		for (unsigned j = 0; j < t[i].n; j++)
			memset(n[j], 0xee, NODE_ID_LEN);
		for (unsigned j = 0; j < t[i].n; j++)
			if (t[i].at[j] < 4)
				memcpy(n[j], ids[t[i].at[j]], NODE_ID_LEN);
		ck_assert_int_eq(graph_rate(g, &q, (const uint8_t (*)[NODE_ID_LEN])n, t[i].n, &r), t[i].rv);
	}
	done();
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("graph");
	TCase *c = tcase_create("graph");

	tcase_add_test(c, nothing_beats_the_best);
	tcase_add_test(c, order_does_not_matter);
	tcase_add_test(c, links_count_as_the_worse_end_says);
	tcase_add_test(c, the_last_word_of_the_dead);
	tcase_add_test(c, nodes_come_and_go);
	tcase_add_test(c, many_nodes);
	tcase_add_test(c, hops_are_bounded);
	tcase_add_test(c, relays_only_where_permitted);
	tcase_add_test(c, classes_choose_differently);
	tcase_add_test(c, each_share);
	tcase_add_test(c, weights_weigh);
	tcase_add_test(c, alternates_share_as_little_as_there_is);
	tcase_add_test(c, failures_are_left);
	tcase_add_test(c, failures_told);
	tcase_add_test(c, rate_refuses_what_is_no_route);
	suite_add_tcase(s, c);
	return suite_run(s);
}
