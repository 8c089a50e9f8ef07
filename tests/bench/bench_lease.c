/*
 * What a coordinator can do on one core, for directories of 1,000, 10,000 and 100,000 nodes: routes searched (three for a
 * pair, delay) with the time of a search at the median and near the worst, leases computed, signed and sealed, and bytes a
 * node of the graph; beside what its signatures and seals alone would take, which is the most that could be.
 *
 * Two shapes: `edge', where every tenth node is a relay with sessions to 24 others and the rest have three, to relays
 * that are near, so that a node has about eight on average; and `mesh', where every node is a relay with eight sessions, to any: the worst for the search.
 */
#include <err.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "crypto/box.h"
#include "routed/coordinator.h"

#define SEARCHES	2000
#define RUN_NS		(2 * NS_PER_SEC)
#define MESH_LINKS	8u
#define RELAY_LINKS	24u
#define SPAN		1000u		/* of the plane that nodes lie in: 100 us a unit */

struct place {
	uint16_t x, y;
};

static struct place *places;
static uint32_t nnodes, nrelays;
static struct sign_key keys[3];		/* authority, coordinator, its route key */
static struct noise_key ticket_key;
static uint8_t membership[512], delegation[512];
static size_t membership_len, delegation_len;
static uint64_t seed = 1;

static uint32_t
rnd(uint32_t below)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)((seed >> 33) % below);
}

/* A node's id: its number is found in it again. */
static void
id_of(uint8_t id[NODE_ID_LEN], uint32_t i)
{
	uint32_t mixed = i * 2654435761u;

	memset(id, 0x5a, NODE_ID_LEN);
	memcpy(id, &mixed, sizeof(mixed));
	memcpy(id + 4, &i, sizeof(i));
}

static struct policy_node
who_of(const uint8_t *id)
{
	uint32_t i;

	memcpy(&i, id + 4, sizeof(i));
	return (struct policy_node){ id, "some-node", "home", 1u << (i < nrelays ? ROLE_RELAY : ROLE_SERVICE_HOST), 5 };
}

static bool
node_of(const uint8_t *id, struct lease_node *n, void *arg)
{
	n->who = who_of(id);
	n->node_key = keys[1].public;
	n->ticket_key = ticket_key.public;
	n->not_after = UINT64_MAX;
	return true;
}

/* All nodes have one key here; the ids are not its hash, which would make the tickets none. Nobody opens them. */
static const struct coordinator_ops ops = { node_of, NULL, NULL };

static uint32_t
near_of(uint32_t a, bool relay)
{
	uint32_t best = rnd(nrelays), far = UINT32_MAX;

	for (unsigned tries = 0; tries < (relay ? 6u : 30u); tries++) {
		uint32_t b = rnd(nrelays), d;

		d = (uint32_t)abs(places[a].x - places[b].x) + (uint32_t)abs(places[a].y - places[b].y);
		if (b != a && d < far) {
			far = d;
			best = b;
		}
	}
	return best;
}

static struct graph *
graph_make(uint32_t n, bool mesh)
{
	struct graph *g = graph_new();

	nnodes = n;
	nrelays = mesh ? n : n / 10;
	places = calloc(n, sizeof(*places));
	if (g == NULL || places == NULL)
		err(1, NULL);
	for (uint32_t i = 0; i < n; i++)
		places[i] = (struct place){ (uint16_t)rnd(SPAN), (uint16_t)rnd(SPAN) };
	for (uint32_t i = 0; i < n; i++) {
		struct facts f = { .relay = i < nrelays, .relay_classes = 0x3f, .relay_kbps = 100000,
		    .cpu = (uint16_t)rnd(1000), .queue = (uint16_t)rnd(300) };
		struct policy_node who;
		uint8_t id[NODE_ID_LEN];

		f.nlinks = mesh ? MESH_LINKS / 2 : i < nrelays ? RELAY_LINKS / 2 : 3;
		for (unsigned j = 0; j < f.nlinks; j++) {
			uint32_t b = mesh ? rnd(n) : near_of(i, i < nrelays);

			id_of(f.links[j].node_id, b);
			f.links[j].rtt_us = 500 + 100 * ((uint32_t)abs(places[i].x - places[b].x) +
			    (uint32_t)abs(places[i].y - places[b].y));
			f.links[j].kbps = 10000 + rnd(500000);
			f.links[j].loss = (uint16_t)(rnd(20) == 0 ? rnd(30) : 0);
		}
		id_of(id, i);
		who = who_of(id);
		if (graph_node_set(g, &who, &f, 0) == -1)
			err(1, NULL);
	}
	return g;
}

static int
by_time(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* us of the median, and of the hundredth slowest. */
static void
searches(struct graph *g, double *median, double *slow, unsigned *found)
{
	static uint64_t took[SEARCHES];

	*found = 0;
	for (unsigned i = 0; i < SEARCHES; i++) {
		struct graph_route r[GRAPH_ROUTES_MAX];
		uint8_t s[NODE_ID_LEN], d[NODE_ID_LEN];
		struct graph_query q = { .source = s, .dest = d, .class = CLASS_INTERACTIVE, .routes = 3 };
		uint64_t start;

		id_of(s, rnd(nnodes));
		id_of(d, rnd(nnodes));
		start = clock_ns();
		*found += graph_routes(g, &q, r) > 0;
		took[i] = clock_ns() - start;
	}
	qsort(took, SEARCHES, sizeof(took[0]), by_time);
	*median = (double)took[SEARCHES / 2] / NS_PER_US;
	*slow = (double)took[SEARCHES - SEARCHES / 100] / NS_PER_US;
}

static void
keys_make(void)
{
	struct record m = { .kind = RECORD_MEMBERSHIP, .subject = keys[1].public, .serial = 1, .not_before = 1,
	    .not_after = RECORD_TIME_MAX, .name = "coordinator", .tenant = "home", .roles = 1u << ROLE_ROUTE_COORDINATOR };
	struct record d = { .kind = RECORD_DELEGATION, .subject = keys[2].public, .serial = 1, .not_before = 1,
	    .not_after = RECORD_TIME_MAX, .purpose = PURPOSE_ROUTE };

	crypto_init();
	for (int i = 0; i < 3; i++)
		if (sign_key_generate(&keys[i]) == -1)
			errx(1, "no keys");
	if (noise_key_generate(&ticket_key) == -1)
		errx(1, "no keys");
	membership_len = record_sign(membership, sizeof(membership), &m, &keys[0]);
	delegation_len = record_sign(delegation, sizeof(delegation), &d, &keys[1]);
}

struct rate {
	double	asks, leases, tickets;	/* a second */
};

static struct rate
leases(struct graph *g)
{
	struct coordinator *c = coordinator_new(g, &ops, NULL, NULL);
	uint64_t start = clock_ns(), end = start + RUN_NS, now = start, nasks = 0, nleases = 0, ntickets = 0;
	double per;

	if (c == NULL || coordinator_keys(c, &keys[2], (struct frame_bytes){ membership, membership_len },
	    (struct frame_bytes){ delegation, delegation_len }) == -1)
		errx(1, "no coordinator");
	for (; now < end; now = clock_ns()) {
		struct lease_ask ask = { .classes = 0x3f, .routes = 3 };
		struct lease_time t = { 1800000000000ull, now };
		struct lease out[LEASE_MAX];
		enum lease_error why;
		int n;

		id_of(ask.source, rnd(nnodes));
		id_of(ask.dest, rnd(nnodes));
		nasks++;
		n = coordinator_issue(c, &ask, out, LEASE_MAX, &t, &why);
		for (int i = 0; i < n; i++) {
			nleases++;
			ntickets += out[i].n;
			lease_free(&out[i]);
		}
	}
	coordinator_free(c);
	per = (double)NS_PER_SEC / (double)(now - start);
	return (struct rate){ (double)nasks * per, (double)nleases * per, (double)ntickets * per };
}

/* Tickets a second when nothing is computed: one signature, one seal. */
static double
tickets_alone(void)
{
	uint8_t content[200], record[512], sealed[1200], plain[700] = { 0 };
	uint64_t start = clock_ns(), now = start, n = 0;

	memset(content, 7, sizeof(content));
	for (; now < start + RUN_NS; now = clock_ns(), n++) {
		struct record r = { .kind = RECORD_TICKET, .subject = keys[1].public, .serial = n, .not_before = 1, .not_after = 2,
		    .content = { content, sizeof(content) } };

		if (record_sign(record, sizeof(record), &r, &keys[2]) == 0 ||
		    box_seal(sealed, sizeof(sealed), ticket_key.public, "x", 1, plain, sizeof(plain)) < 0)
			errx(1, "sign");
	}
	return (double)n * NS_PER_SEC / (double)(now - start);
}

int
main(void)
{
	static const uint32_t sizes[] = { 1000, 10000, 100000 };
	double alone, first[2] = { 0, 0 };

	keys_make();
	alone = tickets_alone();
	printf("a signature and a seal alone: %.0f tickets/s\n\n", alone);
	printf("%-5s %8s %9s %9s %6s %9s %9s %9s %8s %8s %10s\n", "", "nodes", "search us", "p99 us", "found", "asks/s", "leases/s",
	    "tickets/s", "/ alone", "/ 1,000", "bytes/node");
	for (int mesh = 0; mesh < 2; mesh++)
		for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			size_t before = mallinfo2().uordblks, bytes;
			struct graph *g = graph_make(sizes[i], mesh);
			double median, slow;
			struct rate rate;
			unsigned found;

			bytes = mallinfo2().uordblks - before - sizes[i] * sizeof(*places);
			searches(g, &median, &slow, &found);
			rate = leases(g);
			if (i == 0)
				first[mesh] = rate.leases;
			printf("%-5s %8u %9.0f %9.0f %5u%% %9.0f %9.0f %9.0f %8.2f %8.2f %10zu\n", mesh ? "mesh" : "edge", sizes[i],
			    median, slow, found * 100 / SEARCHES, rate.asks, rate.leases, rate.tickets, rate.tickets / alone,
			    rate.leases / first[mesh], bytes / sizes[i]);
			graph_free(g);
			free(places);
		}
	return 0;
}
