#include "crypto/identity.h"

#include <string.h>

#define PROOF_DOMAIN "fabric auth v1"	/* signed with its NUL */

void
node_id_from_key(uint8_t id[NODE_ID_LEN], const uint8_t public[SIGN_PUBLIC_LEN])
{
	struct crypto_piece key = { public, SIGN_PUBLIC_LEN };

	_Static_assert(NODE_ID_LEN == HASH_LEN, "a node id is a whole hash");
	crypto_hash(id, &key, 1);
}

void
node_overlay_addr6(uint8_t addr[16], const uint8_t authority[SIGN_PUBLIC_LEN], const uint8_t id[NODE_ID_LEN])
{
	struct crypto_piece key = { authority, SIGN_PUBLIC_LEN };
	uint8_t hash[HASH_LEN];

	crypto_hash(hash, &key, 1);
	addr[0] = 0xfd;		/* RFC 4193, section 3.1: locally assigned */
	memcpy(addr + 1, hash, 3);
	memcpy(addr + 4, id, 12);
}

size_t
record_sign(uint8_t *buf, size_t size, struct record *r, const struct sign_key *k)
{
	struct crypto_piece pieces[2] = { { RECORD_DOMAIN, sizeof(RECORD_DOMAIN) }, { buf, 0 } };
	size_t len;

	if (r->not_before >= r->not_after)
		return 0;
	r->issuer = k->public;
	/* record_encode() leaves room for the signature, or fails. */
	if ((len = record_encode(buf, size, r)) == 0 || size - len < RECORD_SIG_LEN)
		return 0;
	pieces[1].len = len;
	if (sign_make(buf + len, k, pieces, 2) == -1)
		return 0;
	return len + RECORD_SIG_LEN;
}

int
record_verify(const struct record *r)
{
	const struct crypto_piece pieces[2] = {
		{ RECORD_DOMAIN, sizeof(RECORD_DOMAIN) },
		{ r->signed_part.p, r->signed_part.len },
	};

	return sign_verify(r->signature, r->issuer, pieces, 2);
}

static void
hash_bytes(uint8_t out[HASH_LEN], struct frame_bytes b)
{
	struct crypto_piece piece = { b.p, b.len };

	crypto_hash(out, &piece, 1);
}

#define PROOF_LEN (sizeof(PROOF_DOMAIN) + 1 + EXPORTER_LEN + 2 * HASH_LEN + 4 + HASH_LEN)

/* What an AUTH signs: fixed in length, so that no field can be read as another. fabric-frame(5), "Proof". */
static void
proof_message(uint8_t out[PROOF_LEN], char role, const struct auth_transcript *t, const struct frame_auth *a)
{
	const struct crypto_piece records[2] = {
		{ a->membership.p, a->membership.len },
		{ a->delegation.p, a->delegation.len },
	};
	uint8_t *p = out;

	memcpy(p, PROOF_DOMAIN, sizeof(PROOF_DOMAIN));
	p += sizeof(PROOF_DOMAIN);
	*p++ = (uint8_t)role;
	memcpy(p, t->exporter, EXPORTER_LEN);
	p += EXPORTER_LEN;
	hash_bytes(p, t->hello_initiator);
	p += HASH_LEN;
	hash_bytes(p, t->hello_responder);
	p += HASH_LEN;
	for (int shift = 24; shift >= 0; shift -= 8)
		*p++ = (uint8_t)(t->version >> shift);
	crypto_hash(p, records, 2);
}

int
auth_proof_make(uint8_t sig[SIGN_LEN], char role, const struct auth_transcript *t,
    const struct frame_auth *a, const struct sign_key *session_key)
{
	uint8_t msg[PROOF_LEN];
	struct crypto_piece piece = { msg, sizeof(msg) };
	int rv;

	if (role != 'I' && role != 'R')
		return -1;
	proof_message(msg, role, t, a);
	rv = sign_make(sig, session_key, &piece, 1);
	crypto_wipe(msg, sizeof(msg));		/* it holds the exporter */
	return rv;
}

static int
proof_check(char role, const struct auth_transcript *t, const struct frame_auth *a, const uint8_t *session_key)
{
	uint8_t msg[PROOF_LEN];
	struct crypto_piece piece = { msg, sizeof(msg) };
	int rv;

	if (role != 'I' && role != 'R')
		return REASON_AUTH_PROOF;
	proof_message(msg, role, t, a);
	rv = sign_verify(a->signature, session_key, &piece, 1);
	crypto_wipe(msg, sizeof(msg));
	return rv == 0 ? REASON_NONE : REASON_AUTH_PROOF;
}

/* not_before and not_after come from a peer: no sum of theirs may wrap. */
int
identity_time(const struct record *r, uint64_t now)
{
	if (now >= r->not_after)
		return REASON_AUTH_EXPIRED;
	if (r->not_before > now && r->not_before - now > CLOCK_SKEW_S)
		return REASON_AUTH_NOT_YET;
	return REASON_NONE;
}

/* The order of the checks is fabric-frame(5)'s. The signature comes before what it covers is believed. */
int
identity_membership(const struct record *m, const uint8_t authority[SIGN_PUBLIC_LEN], const struct tenants *tenants,
    uint64_t now)
{
	int reason;

	if (m->kind != RECORD_MEMBERSHIP || memcmp(m->issuer, authority, SIGN_PUBLIC_LEN) != 0)
		return REASON_AUTH_AUTHORITY;
	if (record_verify(m) == -1)
		return REASON_AUTH_RECORD;
	if ((reason = identity_time(m, now)) != REASON_NONE)
		return reason;
	return tenants == NULL || tenants_meet(tenants, m->tenant) ? REASON_NONE : REASON_AUTH_TENANT;
}

int
identity_delegation(const struct record *d, const struct record *m, unsigned purpose, uint64_t now)
{
	if (d->kind != RECORD_DELEGATION || memcmp(d->issuer, m->subject, SIGN_PUBLIC_LEN) != 0)
		return REASON_AUTH_DELEGATION;
	if (record_verify(d) == -1)
		return REASON_AUTH_RECORD;
	if (d->purpose != purpose || d->not_after - d->not_before > DELEGATION_MAX_S)
		return REASON_AUTH_DELEGATION;
	return identity_time(d, now);
}

void
identity_fill(struct peer_identity *id, const struct record *m, const struct record *other)
{
	memset(id, 0, sizeof(*id));
	node_id_from_key(id->node_id, m->subject);
	memcpy(id->node_key, m->subject, sizeof(id->node_key));
	memcpy(id->name, m->name, sizeof(id->name));
	memcpy(id->tenant, m->tenant, sizeof(id->tenant));
	id->roles = m->roles;
	id->tier = m->tier;
	id->nprefixes = m->nprefixes;
	memcpy(id->prefixes, m->prefixes, m->nprefixes * sizeof(m->prefixes[0]));
	id->not_after = m->not_after < other->not_after ? m->not_after : other->not_after;
}

int
auth_check(struct peer_identity *id, const struct frame_auth *a, char role, const struct auth_transcript *t,
    const uint8_t *hello_node_id, const uint8_t authority[SIGN_PUBLIC_LEN], const struct tenants *tenants, uint64_t now)
{
	uint8_t member_id[NODE_ID_LEN];
	struct record m, d;
	int reason;

	if (record_decode(&m, a->membership.p, a->membership.len) != RECORD_OK ||
	    record_decode(&d, a->delegation.p, a->delegation.len) != RECORD_OK)
		return REASON_AUTH_RECORD;
	if ((reason = identity_membership(&m, authority, tenants, now)) != REASON_NONE)
		return reason;
	node_id_from_key(member_id, m.subject);
	if (memcmp(member_id, hello_node_id, NODE_ID_LEN) != 0)
		return REASON_AUTH_NODE;
	if ((reason = identity_delegation(&d, &m, PURPOSE_SESSION, now)) != REASON_NONE)
		return reason;
	if ((reason = proof_check(role, t, a, d.subject)) != REASON_NONE)
		return reason;
	identity_fill(id, &m, &d);
	return REASON_NONE;
}
