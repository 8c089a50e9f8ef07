/*
 * bench_known: what knowing many nodes costs routed: for each number of nodes the time to verify and keep one that was
 * heard for the first time, and one that says something new; bytes of memory each, those of the graph included; and the time
 * to read them from the disk.
 *
 *	bench_known [NODES...]
 *
 * Each node has 8 sessions, with nodes that are known as well, and 2 services.
 */
#include <err.h>
#include <malloc.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "fabric/graph.h"
#include "routed/store.h"
#include "tests/unit/known_world.h"

#define LINKS	8
#define SERVICES 2

/* As the route manager does; arg NULL: there is no graph. */
static void
changed(struct known *k, enum known_change change, void *arg)
{
	struct policy_node who = known_policy_node(k);

	if (arg == NULL || change == KNOWN_SERVICES)
		return;
	if (change == KNOWN_GONE)
		graph_node_del(arg, k->node_id);
	else if (graph_node_set(arg, &who, k->facts, clock_ns()) == -1)
		errx(1, "no memory for the graph");
}

static void
signed_record(const struct record *r, const struct known *issuer, void *arg)
{
	(void)r;
	(void)issuer;
	(void)arg;
}

static const struct known_ops ops = { .changed = changed, .signed_record = signed_record };

static double
since(uint64_t begun)
{
	return (double)(clock_ns() - begun) / 1e9;
}

static size_t
in_use(void)
{
	struct mallinfo2 m = mallinfo2();

	return m.uordblks + m.hblkhd;
}

static int
by_id(const void *a, const void *b)
{
	return memcmp(((const struct fact_link *)a)->node_id, ((const struct fact_link *)b)->node_id, NODE_ID_LEN);
}

/* ids: of those that were made before it. */
static void
node_make(struct kw_node *n, unsigned i, const uint8_t (*ids)[NODE_ID_LEN])
{
	char name[24];

	snprintf(name, sizeof(name), "node-%u", i);
	kw_node_init(n, i + 1, name, 1u << ROLE_RELAY);
	n->nservices = SERVICES;
	n->facts.nlinks = i < LINKS ? i : LINKS;
	for (unsigned l = 0; l < n->facts.nlinks; l++) {
		n->facts.links[l] = (struct fact_link){ .rtt_us = 20000 + l, .jitter_us = 700, .kbps = 100000 };
		memcpy(n->facts.links[l].node_id, ids[(i * 2654435761u + l * (i < LINKS ? 1 : i / LINKS)) % i], NODE_ID_LEN);
	}
	qsort(n->facts.links, n->facts.nlinks, sizeof(n->facts.links[0]), by_id);
}

static struct knowns *
knowns_make(size_t max, const uint8_t *self, struct graph *g)
{
	struct knowns *ks = knowns_new(max, 4711, &ops, g);

	if (ks == NULL)
		err(1, "knowns");
	knowns_self(ks, self, kw_authority.public, KW_TENANT);
	return ks;
}

static double
restart(struct knowns *ks, size_t n, const uint8_t *self)
{
	static const char file[] = "bench_known.db";
	struct knowns *again = knowns_make(n, self, NULL);
	struct store *store;
	uint8_t cursor[NODE_ID_LEN] = { 0 };
	uint64_t begun;
	double s;

	store_init();
	unlink(file);
	if ((store = store_new(file)) == NULL || store_save_known(store, ks, 1, true) == -1)
		errx(1, "cannot store");
	begun = clock_ns();
	if (store_load_known(store, again, cursor, kw_wall, UINT64_MAX) != 0 || knowns_count(again) != n)
		errx(1, "%zu of %zu were read", knowns_count(again), n);
	s = since(begun);
	store_free(store);
	unlink(file);
	knowns_free(again);
	return s;
}

static void
run(size_t n)
{
	static struct kw_node node;
	uint8_t self[NODE_ID_LEN] = { 0xee };
	uint8_t (*ids)[NODE_ID_LEN] = calloc(n, sizeof(*ids));
	size_t before = in_use(), bytes;
	struct graph *g = graph_new();
	struct knowns *ks = knowns_make(n, self, g);
	double first = 0, again = 0;
	uint64_t begun;

	if (ids == NULL || g == NULL)
		err(1, NULL);
	for (unsigned i = 0; i < n; i++) {
		node_make(&node, i, (const uint8_t (*)[NODE_ID_LEN])ids);
		memcpy(ids[i], node.id, NODE_ID_LEN);
		kw_item(&node);
		begun = clock_ns();
		if (knowns_take(ks, &node.item, self, kw_wall, NULL) != KNOWN_OK)
			errx(1, "a node is not believed");
		first += since(begun);
		if (i % 10 != 0)
			continue;
		kw_again(&node);
		begun = clock_ns();
		if (knowns_take(ks, &node.item, self, kw_wall, NULL) != KNOWN_OK)
			errx(1, "a node is not believed again");
		again += since(begun);
	}
	bytes = in_use() - before;
	printf("nodes %zu: new %.0f us, again %.0f us, memory %zu bytes each (%.1f MB), start %.1f s\n", n,
	    first / (double)n * 1e6, again / (double)((n + 9) / 10) * 1e6, bytes / n, (double)bytes / 1e6, restart(ks, n, self));
	knowns_free(ks);
	graph_free(g);
	free(ids);
}

int
main(int argc, char **argv)
{
	static const size_t usual[] = { 1000, 10000, 100000 };

	log_setlevel(LOG_LEVEL_WARN);
	kw_init();
	for (size_t i = 0; argc < 2 && i < sizeof(usual) / sizeof(usual[0]); i++)
		run(usual[i]);
	for (int i = 1; i < argc; i++)
		run((size_t)strtoul(argv[i], NULL, 10));
	return 0;
}
