/* A few nodes and a coordinator that gives leases over them, with real keys, for tests of what it gives. */
#ifndef TESTS_LEASE_WORLD_H
#define TESTS_LEASE_WORLD_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "crypto/box.h"
#include "routed/coordinator.h"
#include "routed/leasestore.h"
#include "tests/unit/vectors.h"

#define NOW	1800000000ull
#define NODES	8
#define ALL	0x3f

/* phone(0) - entry(1) - relay(2) - host(3); entry(1) - relay(4) - host(3); 5: the coordinator, off the routes; 6: alone */
enum { PHONE, ENTRY, RELAY, HOST, OTHER, COORD, ALONE, AUTHORITY };

static struct node {
	struct sign_key node, route;
	struct noise_key ticket;
	uint8_t	 id[NODE_ID_LEN];
	char	 name[32];
	const char *tenant;
	uint32_t roles;
	uint64_t key_end;
	bool	 known;
	struct facts facts;
	uint8_t	 membership[512], delegation[512];
	size_t	 mlen, dlen;
} n[NODES];

static struct graph *g;
static struct coordinator *c;
static struct lease out[LEASE_MAX];
static int nout;
static struct lease_ask ask;
static struct lease_time t;
static const uint8_t *is_revoked;
static unsigned reach_classes;

static inline bool
node_of(const uint8_t *id, struct lease_node *x, void *arg)
{
	for (unsigned i = 0; i < NODES; i++)
		if (n[i].known && memcmp(n[i].id, id, NODE_ID_LEN) == 0) {
			*x = (struct lease_node){ { n[i].id, n[i].name, n[i].tenant, n[i].roles, 5 }, n[i].node.public,
			    n[i].ticket.public, n[i].key_end };
			return true;
		}
	return false;
}

static inline bool
revoked(const uint8_t *id, void *arg)
{
	return is_revoked != NULL && memcmp(id, is_revoked, NODE_ID_LEN) == 0;
}

static inline bool
reach(const struct policy_node *s, const struct policy_node *d, unsigned class, void *arg)
{
	return reach_classes >> class & 1;
}

static const struct coordinator_ops ops = { node_of, revoked, reach };

static inline void
link_of(unsigned a, unsigned b, uint32_t rtt_us, uint32_t kbps)
{
	struct fact_link *l = &n[a].facts.links[n[a].facts.nlinks++];

	*l = (struct fact_link){ .rtt_us = rtt_us, .kbps = kbps };
	memcpy(l->node_id, n[b].id, NODE_ID_LEN);
}

static inline void
node_put(unsigned i)
{
	struct policy_node who = { n[i].id, n[i].name, n[i].tenant, n[i].roles, 5 };

	ck_assert_int_eq(graph_node_set(g, &who, &n[i].facts, 0), 0);
}

static inline void
keys_make(void)
{
	log_init("check", STDERR_FILENO, LOG_LEVEL_ERROR);
	crypto_init();
	for (unsigned i = 0; i < NODES; i++) {
		ck_assert_int_eq(sign_key_generate(&n[i].node), 0);
		ck_assert_int_eq(sign_key_generate(&n[i].route), 0);
		ck_assert_int_eq(noise_key_generate(&n[i].ticket), 0);
		node_id_from_key(n[i].id, n[i].node.public);
	}
}

static inline void
records_make(struct node *x)
{
	struct record m = { .kind = RECORD_MEMBERSHIP, .subject = x->node.public, .serial = 1, .not_before = NOW - 1000,
	    .not_after = NOW + 86400, .roles = x->roles, .tier = 5 };
	struct record d = { .kind = RECORD_DELEGATION, .subject = x->route.public, .serial = 1, .not_before = NOW - 1000,
	    .not_after = x->key_end, .purpose = PURPOSE_ROUTE };

	vector_word(m.name, sizeof(m.name), x->name);
	vector_word(m.tenant, sizeof(m.tenant), x->tenant);
	x->mlen = record_sign(x->membership, sizeof(x->membership), &m, &n[AUTHORITY].node);
	x->dlen = record_sign(x->delegation, sizeof(x->delegation), &d, &x->node);
	ck_assert(x->mlen > 0 && x->dlen > 0);
}

static inline void
coordinator_is(unsigned i, struct leasestore *s)
{
	records_make(&n[i]);
	coordinator_free(c);
	c = coordinator_new(g, &ops, NULL, s);
	ck_assert_ptr_nonnull(c);
	ck_assert_int_eq(coordinator_keys(c, &n[i].route, (struct frame_bytes){ n[i].membership, n[i].mlen },
	    (struct frame_bytes){ n[i].delegation, n[i].dlen }), 0);
}

static inline void
begin(void)
{
	static const char *const names[NODES] = { "phone-of-alice", "entry-one", "relay-two", "home-of-bob", "relay-four",
	    "coordinator-x", "lonely", "authority" };

	graph_free(g);
	g = graph_new();
	for (unsigned i = 0; i < NODES; i++) {
		vector_word(n[i].name, sizeof(n[i].name), names[i]);
		n[i].tenant = "home";
		n[i].roles = 1u << ROLE_RELAY;
		n[i].key_end = NOW + 3600;
		n[i].known = i != AUTHORITY;
		memset(&n[i].facts, 0, sizeof(n[i].facts));
		n[i].facts.relay = true;
		n[i].facts.relay_classes = ALL;
	}
	n[PHONE].roles = 1u << ROLE_MOBILE_EDGE;
	n[ENTRY].roles = 1u << ROLE_ENTRY;
	n[HOST].roles = 1u << ROLE_SERVICE_HOST;
	n[COORD].roles = 1u << ROLE_ROUTE_COORDINATOR;
	link_of(PHONE, ENTRY, 5000, 0);
	link_of(ENTRY, RELAY, 1000, 5000);
	link_of(RELAY, HOST, 1000, 5000);
	link_of(ENTRY, OTHER, 9000, 500000);
	link_of(OTHER, HOST, 9000, 500000);
	for (unsigned i = 0; i < AUTHORITY; i++)
		node_put(i);
	coordinator_is(COORD, NULL);
	is_revoked = NULL;
	reach_classes = ALL;
	ask = (struct lease_ask){ .classes = 1u << CLASS_INTERACTIVE };
	memcpy(ask.source, n[PHONE].id, NODE_ID_LEN);
	memcpy(ask.dest, n[HOST].id, NODE_ID_LEN);
	t = (struct lease_time){ NOW * 1000, 1000000000ull };
}

static inline void
release(void)
{
	for (int i = 0; i < nout; i++)
		lease_free(&out[i]);
	nout = 0;
}

static inline enum lease_error
issue(void)
{
	enum lease_error why;

	release();
	nout = coordinator_issue(c, &ask, out, LEASE_MAX, &t, &why);
	ck_assert((nout > 0) == (why == LEASE_OK));
	if (nout < 0)
		nout = 0;
	return why;
}

static inline void
end(void)
{
	release();
	coordinator_free(c);
	graph_free(g);
	c = NULL;
	g = NULL;
}

static inline struct node *
node_at(const struct lease *l, unsigned hop)
{
	for (unsigned i = 0; i < NODES; i++)
		if (memcmp(n[i].id, l->nodes[hop], NODE_ID_LEN) == 0)
			return &n[i];
	ck_abort_msg("nobody");
}

static inline enum ticket_error
shown_to(const struct node *x, const struct lease *l, unsigned hop, struct ticket *k)
{
	struct ticket_issuer by;
	struct ticket_ctx ctx = { .node_id = x->id, .node_key = x->node.public, .keys = &x->ticket, .nkeys = 1,
	    .authority = n[AUTHORITY].node.public, .from = hop == 0 ? NULL : l->nodes[hop - 1], .route_id = l->route_id,
	    .now = t.now_ms / 1000, .roles = x->roles, .relays = true, .relay_classes = ALL };

	return ticket_check(&ctx, l->sealed[hop].p, l->sealed[hop].len, k, &by);
}

static inline enum ticket_error
shown(const struct lease *l, unsigned hop, struct ticket *k)
{
	return shown_to(node_at(l, hop), l, hop, k);
}

/* As text, by the numbers of the nodes. */
static inline const char *
path(const struct lease *l)
{
	static char buf[2][32];
	static unsigned turn;
	char *p = buf[turn++ % 2];

	for (unsigned i = 0; i < l->n; i++)
		p[i] = (char)('0' + (node_at(l, i) - n));
	p[l->n] = '\0';
	return p;
}

#endif
