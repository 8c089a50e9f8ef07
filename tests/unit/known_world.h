/* Nodes of one tenant with all their records, for tests of what routed believes and spreads. */
#ifndef TESTS_KNOWN_WORLD_H
#define TESTS_KNOWN_WORLD_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/crypto.h"
#include "fabric/policy_build.h"
#include "fabric/ticket.h"
#include "proc/stats.h"
#include "routed/known.h"

#define KW_NOW		1800000000ull
#define KW_TENANT	"acme"
#define KW_SERVICES	3
#define KW_HOLDS(x)	do { if (!(x)) abort(); } while (0)

struct kw_node {
	struct sign_key key, route;
	uint8_t	 ticket[RECORD_KEY_LEN];
	uint8_t	 id[NODE_ID_LEN];
	/* as they will be signed; a test changes what it wants before kw_item() */
	struct record m, r, t, n, s[KW_SERVICES];
	const struct sign_key *m_signer, *r_signer, *t_signer, *n_signer, *s_signer[KW_SERVICES];
	size_t	 nservices;
	struct facts facts;
	bool	 wrong_sum;
	/* what kw_item() made; its item points here */
	uint8_t	 mbuf[FRAME_RECORD_MAX], rbuf[FRAME_RECORD_MAX], tbuf[FRAME_RECORD_MAX], nbuf[FRAME_RECORD_MAX];
	uint8_t	 sbuf[PM_RECORDS_MAX], content[FACTS_MAX];
	struct dirmsg_item item;
};

static struct sign_key kw_authority, kw_stranger;
static uint64_t kw_wall = KW_NOW;

static inline void
kw_init(void)
{
	crypto_init();
	memset(kw_authority.secret, 0xaa, sizeof(kw_authority.secret));
	memset(kw_stranger.secret, 0xbb, sizeof(kw_stranger.secret));
	KW_HOLDS(sign_key_from_secret(&kw_authority) == 0);
	KW_HOLDS(sign_key_from_secret(&kw_stranger) == 0);
}

static inline void
kw_node_init(struct kw_node *n, unsigned seed, const char *name, uint32_t roles)
{
	memset(n, 0, sizeof(*n));
	for (size_t i = 0; i < 8; i++)
		n->key.secret[i] = n->route.secret[i] = (uint8_t)(seed >> 8 * (i % 4));
	n->route.secret[31] = 1;
	KW_HOLDS(sign_key_from_secret(&n->key) == 0);
	KW_HOLDS(sign_key_from_secret(&n->route) == 0);
	memcpy(n->ticket, n->route.public, RECORD_KEY_LEN);
	n->ticket[0] ^= 1;
	node_id_from_key(n->id, n->key.public);
	n->m = (struct record){ .kind = RECORD_MEMBERSHIP, .subject = n->key.public, .serial = 10,
	    .not_before = KW_NOW - 86400, .not_after = KW_NOW + 30 * 86400, .tenant = KW_TENANT, .roles = roles, .tier = 3 };
	strcpy(n->m.name, name);
	n->r = (struct record){ .kind = RECORD_DELEGATION, .subject = n->route.public, .serial = 20,
	    .not_before = KW_NOW - 60, .not_after = KW_NOW + 86400, .purpose = PURPOSE_ROUTE };
	n->t = n->r;
	n->t.subject = n->ticket;
	n->t.purpose = PURPOSE_TICKET;
	n->n = (struct record){ .kind = RECORD_NODE, .subject = n->key.public, .serial = 1000, .not_before = KW_NOW,
	    .not_after = KW_NOW + KNOWN_LIFE_S };
	for (size_t i = 0; i < KW_SERVICES; i++) {
		n->s[i] = (struct record){ .kind = RECORD_SERVICE, .subject = n->ticket, .serial = 5, .class = CLASS_BULK,
		    .not_before = KW_NOW - 60, .not_after = KW_NOW + 86400 };
		n->s[i].name[0] = (char)('a' + i);
		n->s_signer[i] = &n->key;
	}
	n->m_signer = &kw_authority;
	n->r_signer = n->t_signer = &n->key;
	n->n_signer = &n->route;
	n->facts = (struct facts){ .versions = 2, .carriers = CARRIER_QUIC, .sent_at = KW_NOW };
}

static inline struct frame_bytes
kw_sign(uint8_t *buf, size_t size, struct record *r, const struct sign_key *k)
{
	size_t len = record_sign(buf, size, r, k);

	KW_HOLDS(len > 0);
	return (struct frame_bytes){ buf, len };
}

/* The sum as another implementation would compute it: over the records in the order of their names. */
static inline uint64_t
kw_sum(const uint8_t *p, size_t len)
{
	struct crypto_piece piece = { p, len };
	uint8_t hash[HASH_LEN];
	uint64_t sum = 0;

	if (len == 0)
		return 0;
	crypto_hash(hash, &piece, 1);
	for (int i = 0; i < 8; i++)
		sum = sum << 8 | hash[i];
	return sum;
}

/* All of it, signed anew. */
static inline struct dirmsg_item *
kw_item(struct kw_node *n)
{
	struct dirmsg_item *i = &n->item;

	memset(i, 0, sizeof(*i));
	i->membership = kw_sign(n->mbuf, sizeof(n->mbuf), &n->m, n->m_signer);
	i->route = kw_sign(n->rbuf, sizeof(n->rbuf), &n->r, n->r_signer);
	i->ticket = kw_sign(n->tbuf, sizeof(n->tbuf), &n->t, n->t_signer);
	i->has_services = true;
	i->services.p = n->sbuf;
	for (size_t k = 0; k < n->nservices; k++)
		i->services.len += kw_sign(n->sbuf + i->services.len, sizeof(n->sbuf) - i->services.len, &n->s[k],
		    n->s_signer[k]).len;
	n->facts.services = kw_sum(n->sbuf, i->services.len) + n->wrong_sum;
	n->n.content.p = n->content;
	n->n.content.len = facts_encode(n->content, sizeof(n->content), &n->facts);
	KW_HOLDS(n->n.content.len > 0);
	i->record = kw_sign(n->nbuf, sizeof(n->nbuf), &n->n, n->n_signer);
	return i;
}

/* The node says something new now. */
static inline struct dirmsg_item *
kw_again(struct kw_node *n)
{
	n->n.serial++;
	n->n.not_before = kw_wall;
	n->n.not_after = kw_wall + KNOWN_LIFE_S;
	n->facts.sent_at = kw_wall;
	return kw_item(n);
}

/* A record of the authority's (or whose key is given) with this content. */
static inline size_t
kw_signed(uint8_t *buf, size_t size, enum record_kind kind, uint64_t serial, const void *content, size_t len,
    const struct sign_key *k)
{
	struct record r = { .kind = kind, .subject = k->public, .serial = serial, .not_before = kw_wall - 10,
	    .not_after = kw_wall + 3600, .content = { content, len } };
	size_t n = record_sign(buf, size, &r, k);

	KW_HOLDS(n > 0);
	return n;
}

/* A policy that lets pass across tenants, from `a' to `b' (NULL: any); and none without `a'. In `content' (POLICY_MAX). */
static inline size_t
kw_policy_across(uint8_t *content, const char *a, const char *b)
{
	struct policy_source s = { 0 };
	struct policy_source_rule *r;
	const char *why;
	size_t len;

	if (a != NULL) {
		KW_HOLDS((r = policy_add_rule(&s)) != NULL);
		r->pass = r->across = true;
		r->line = 1;
		KW_HOLDS(policy_add_word(&r->from.tenants, a) == 0 && (b == NULL || policy_add_word(&r->to.tenants, b) == 0));
	}
	KW_HOLDS((len = policy_encode(content, POLICY_MAX, &s, &why)) > 0);
	policy_source_clear(&s);
	return len;
}

/* A coordinator's fence, valid from a while ago, `life' seconds in all. */
static inline size_t
kw_fence_life(uint8_t *buf, size_t size, uint64_t serial, const struct fence *f, uint64_t life, const struct kw_node *by)
{
	uint8_t content[128];
	struct record r = { .kind = RECORD_FENCE, .subject = by->key.public, .serial = serial, .not_before = kw_wall - 10,
	    .not_after = kw_wall - 10 + life, .content = { content, fence_encode(content, sizeof(content), f) } };
	size_t n = r.content.len == 0 ? 0 : record_sign(buf, size, &r, &by->route);

	KW_HOLDS(n > 0);
	return n;
}

static inline size_t
kw_fence(uint8_t *buf, size_t size, uint64_t serial, const struct kw_node *by)
{
	const struct fence f = { .what = FENCE_ROUTE, .route_id = serial, .epoch = kw_wall * 1000 };

	return kw_fence_life(buf, size, serial, &f, LEASE_LIFE_MAX_S, by);
}

#endif
