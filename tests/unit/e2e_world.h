/* Two nodes of one tenant with their records, for tests of what is sealed end to end. */
#ifndef TESTS_E2E_WORLD_H
#define TESTS_E2E_WORLD_H

#include <stdlib.h>
#include <string.h>

#include "fabric/e2e.h"

#define WORLD_NOW	1800000000ull
/* What the records are made for; a test with real clocks sets it before all else. */
static uint64_t world_now = WORLD_NOW;
#define WORLD_HOUR	3600ull
#define WORLD_TENANT	"acme"

struct world_node {
	struct sign_key	key;
	struct e2e_self	self;
	struct record	m, d, s;		/* as they will be signed */
	const struct sign_key *m_signer, *d_signer, *s_signer;
	uint8_t		mbuf[FRAME_RECORD_MAX], dbuf[FRAME_RECORD_MAX], sbuf[FRAME_RECORD_MAX];
	size_t		mlen, dlen, slen;
};

struct world {
	struct sign_key	authority, other;
	struct world_node a, b;		/* a opens, b serves */
};

#define WORLD_HOLDS(x) do { if (!(x)) abort(); } while (0)

static inline void
world_key(struct sign_key *k, uint8_t seed)
{
	memset(k->secret, seed, sizeof(k->secret));
	WORLD_HOLDS(sign_key_from_secret(k) == 0);
}

static inline void
world_node_init(struct world *w, struct world_node *n, const char *name, uint8_t seed)
{
	uint8_t id[NODE_ID_LEN];

	world_key(&n->key, seed);
	memset(n->self.key.secret, seed + 100, sizeof(n->self.key.secret));
	WORLD_HOLDS(noise_key_from_secret(&n->self.key) == 0);
	node_id_from_key(id, n->key.public);
	e2e_self_node(&n->self, id, w->authority.public, WORLD_TENANT);
	n->m = (struct record){ .kind = RECORD_MEMBERSHIP, .subject = n->key.public, .serial = 7,
	    .not_before = world_now - WORLD_HOUR, .not_after = world_now + 100 * WORLD_HOUR, .tenant = WORLD_TENANT,
	    .roles = 1u << ROLE_SERVICE_HOST, .tier = 3, .nprefixes = 1, .prefixes = { { 4, 32, { 10, 77, 0, seed } } } };
	memcpy(n->m.name, name, strlen(name));
	n->d = (struct record){ .kind = RECORD_DELEGATION, .subject = n->self.key.public, .serial = 8,
	    .not_before = world_now - 60, .not_after = world_now + 6 * WORLD_HOUR, .purpose = PURPOSE_E2E };
	n->s = (struct record){ .kind = RECORD_SERVICE, .subject = n->self.key.public, .serial = 9, .name = "ssh",
	    .class = CLASS_INTERACTIVE, .not_before = world_now - 60, .not_after = world_now + 6 * WORLD_HOUR };
	n->m_signer = &w->authority;
	n->d_signer = n->s_signer = &n->key;
}

/* Signs all as it says by now, and gives the node its own. */
static inline void
world_node_sign(struct world_node *n)
{
	struct e2e_self *self = &n->self;

	n->mlen = record_sign(n->mbuf, sizeof(n->mbuf), &n->m, n->m_signer);
	n->dlen = record_sign(n->dbuf, sizeof(n->dbuf), &n->d, n->d_signer);
	n->slen = record_sign(n->sbuf, sizeof(n->sbuf), &n->s, n->s_signer);
	WORLD_HOLDS(n->mlen > 0 && n->dlen > 0 && n->slen > 0);
	/* Past e2e_self_certify(), which would refuse what a liar says. */
	WORLD_HOLDS(n->mlen + n->dlen <= sizeof(self->records));
	memcpy(self->records, n->mbuf, n->mlen);
	memcpy(self->records + n->mlen, n->dbuf, n->dlen);
	self->membership_len = n->mlen;
	self->delegation_len = n->dlen;
	self->not_after = UINT64_MAX;
}

static inline void
world_init(struct world *w)
{
	memset(w, 0, sizeof(*w));
	world_key(&w->authority, 1);
	world_key(&w->other, 2);
	world_node_init(w, &w->a, "phone", 3);
	world_node_init(w, &w->b, "home", 4);
	world_node_sign(&w->a);
	world_node_sign(&w->b);
}

#endif
