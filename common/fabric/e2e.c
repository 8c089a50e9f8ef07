#include "fabric/e2e.h"

#include <stdlib.h>
#include <string.h>

#define PROLOGUE_DOMAIN	"fabric e2e v1"		/* each with its NUL */
#define KEY_ID_DOMAIN	"fabric e2e key id"
#define STREAM_DOMAIN	"fabric e2e stream"

#define PROLOGUE_MAX	(sizeof(PROLOGUE_DOMAIN) + FRAME_SERVICE_MAX + 1 + NODE_ID_LEN + 1)
#define PAYLOAD_MAX	(E2E_MESSAGE_MAX - 1 - NOISE_1_OVERHEAD)

/* The first byte of message 1. */
enum suite { SUITE_AESGCM = 1, SUITE_CHACHAPOLY };

struct e2e {
	enum aead_cipher cipher;
	struct noise	*noise;
	uint8_t		 node_id[NODE_ID_LEN];	/* opener: whom we mean */
};

/* --- ourselves --------------------------------------------------------------- */

int
e2e_self_init(struct e2e_self *self)
{
	memset(self, 0, sizeof(*self));
	return noise_key_generate(&self->key);
}

void
e2e_self_wipe(struct e2e_self *self)
{
	crypto_wipe(self, sizeof(*self));
}

void
e2e_self_node(struct e2e_self *self, const uint8_t node_id[NODE_ID_LEN], const uint8_t authority[SIGN_PUBLIC_LEN],
    const char *tenant)
{
	if (memcmp(self->node_id, node_id, NODE_ID_LEN) != 0 || memcmp(self->authority, authority, SIGN_PUBLIC_LEN) != 0 ||
	    strcmp(self->tenants.own, tenant) != 0) {
		self->membership_len = self->delegation_len = 0;
		self->not_after = 0;
	}
	tenants_own(&self->tenants, tenant);
	memcpy(self->node_id, node_id, NODE_ID_LEN);
	memcpy(self->authority, authority, SIGN_PUBLIC_LEN);
}

int
e2e_self_tenants(struct e2e_self *self, bool others, struct frame_bytes list)
{
	return tenants_set(&self->tenants, others, list);
}

int
e2e_self_certify(struct e2e_self *self, struct frame_bytes membership, struct frame_bytes delegation)
{
	uint8_t id[NODE_ID_LEN];
	struct record m, d;

	if (membership.len + delegation.len > sizeof(self->records) ||
	    record_decode(&m, membership.p, membership.len) != RECORD_OK || m.kind != RECORD_MEMBERSHIP ||
	    record_decode(&d, delegation.p, delegation.len) != RECORD_OK || d.kind != RECORD_DELEGATION)
		return -1;
	node_id_from_key(id, m.subject);
	if (memcmp(id, self->node_id, NODE_ID_LEN) != 0 || memcmp(d.issuer, m.subject, RECORD_KEY_LEN) != 0 ||
	    d.purpose != PURPOSE_E2E || memcmp(d.subject, self->key.public, NOISE_DH_LEN) != 0)
		return -1;
	memcpy(self->records, membership.p, membership.len);
	memcpy(self->records + membership.len, delegation.p, delegation.len);
	self->membership_len = membership.len;
	self->delegation_len = delegation.len;
	self->not_after = m.not_after < d.not_after ? m.not_after : d.not_after;
	return 0;
}

bool
e2e_self_ready(const struct e2e_self *self, uint64_t now)
{
	return self->delegation_len != 0 && now < self->not_after;
}

int
e2e_service_check(struct e2e_service *s, const uint8_t *record, size_t len, uint64_t now)
{
	struct record r;
	int reason;

	if (record_decode(&r, record, len) != RECORD_OK || r.kind != RECORD_SERVICE || record_verify(&r) == -1)
		return REASON_AUTH_RECORD;
	if (r.not_after - r.not_before > DELEGATION_MAX_S)
		return REASON_AUTH_DELEGATION;
	if ((reason = identity_time(&r, now)) != REASON_NONE)
		return reason;
	memset(s, 0, sizeof(*s));
	node_id_from_key(s->node_id, r.issuer);
	memcpy(s->node_key, r.issuer, sizeof(s->node_key));
	memcpy(s->key, r.subject, sizeof(s->key));
	memcpy(s->name, r.name, sizeof(s->name));
	s->class = r.class;
	s->serial = r.serial;
	s->not_before = r.not_before;
	s->not_after = r.not_after;
	return REASON_NONE;
}

/* --- keys -------------------------------------------------------------------- */

void
e2e_keys_wipe(struct e2e_keys *keys)
{
	crypto_wipe(keys, sizeof(*keys));
}

/* The end of a handshake that went well. -1 when the library fails. */
static int
keys_take(struct e2e_keys *keys, struct e2e *e)
{
	uint8_t transcript[NOISE_HASH_LEN], id[HASH_LEN];
	const struct crypto_piece pieces[2] = {
		{ KEY_ID_DOMAIN, sizeof(KEY_ID_DOMAIN) }, { transcript, sizeof(transcript) },
	};

	memset(keys, 0, sizeof(*keys));
	keys->cipher = e->cipher;
	if (noise_split(e->noise, keys->tx, keys->rx, transcript) != NOISE_OK)
		return -1;
	crypto_hash(id, pieces, 2);
	memcpy(keys->id, id, sizeof(keys->id));
	return 0;
}

int
e2e_keys_derive(struct e2e_keys *out, const struct e2e_keys *from, uint64_t counter, uint8_t class)
{
	uint8_t info[sizeof(STREAM_DOMAIN) + 8 + 1];

	memcpy(info, STREAM_DOMAIN, sizeof(STREAM_DOMAIN));
	for (unsigned i = 0; i < 8; i++)
		info[sizeof(STREAM_DOMAIN) + i] = (uint8_t)(counter >> 8 * (7 - i));
	info[sizeof(STREAM_DOMAIN) + 8] = class;
	*out = *from;
	if (crypto_expand(out->tx, sizeof(out->tx), from->tx, info, sizeof(info)) == 0 &&
	    crypto_expand(out->rx, sizeof(out->rx), from->rx, info, sizeof(info)) == 0)
		return 0;
	e2e_keys_wipe(out);
	return -1;
}

/* --- both sides -------------------------------------------------------------- */

/* What both ends must mean alike; a service name is not longer than FRAME_SERVICE_MAX. */
static size_t
prologue_make(uint8_t out[PROLOGUE_MAX], const char *service, const uint8_t *acceptor, uint8_t flags)
{
	size_t name = strnlen(service, FRAME_SERVICE_MAX);
	uint8_t *p = out;

	memcpy(p, PROLOGUE_DOMAIN, sizeof(PROLOGUE_DOMAIN));
	p += sizeof(PROLOGUE_DOMAIN);
	memcpy(p, service, name);
	p += name;
	*p++ = 0;
	memcpy(p, acceptor, NODE_ID_LEN);
	p += NODE_ID_LEN;
	*p++ = flags;
	return (size_t)(p - out);
}

static struct e2e *
e2e_new(enum aead_cipher cipher, enum noise_role role, const struct e2e_self *self, const uint8_t *remote,
    const uint8_t *prologue, size_t prologue_len)
{
	struct e2e *e = calloc(1, sizeof(*e));

	if (e == NULL)
		return NULL;
	e->cipher = cipher;
	e->noise = noise_new(cipher, role, &self->key, remote, prologue, prologue_len, NULL);
	if (e->noise != NULL)
		return e;
	free(e);
	return NULL;
}

void
e2e_free(struct e2e *e)
{
	if (e == NULL)
		return;
	noise_free(e->noise);
	free(e);
}

static int
reason_of(int noise_error)
{
	return noise_error == NOISE_E_LIBRARY ? REASON_INTERNAL : REASON_AUTH_PROOF;
}

/* --- the opener -------------------------------------------------------------- */

struct e2e *
e2e_open(const struct e2e_self *self, const struct e2e_service *service, uint8_t flags, const void *app, size_t app_len,
    uint8_t *out, size_t *len, uint64_t now)
{
	uint8_t prologue[PROLOGUE_MAX], payload[PAYLOAD_MAX], *p = payload;
	size_t records = self->membership_len + self->delegation_len;
	struct e2e *e;
	int n;

	if (!e2e_self_ready(self, now) || app_len > E2E_APP_MAX)
		return NULL;
	e = e2e_new(aead_preferred(), NOISE_INITIATOR, self, service->key, prologue,
	    prologue_make(prologue, service->name, service->node_id, flags));
	if (e == NULL)
		return NULL;
	memcpy(e->node_id, service->node_id, NODE_ID_LEN);
	*p++ = (uint8_t)app_len;
	if (app_len > 0)
		memcpy(p, app, app_len);
	p += app_len;
	memcpy(p, self->records, records);
	p += records;
	*out = e->cipher == AEAD_AESGCM ? SUITE_AESGCM : SUITE_CHACHAPOLY;
	n = noise_write(e->noise, out + 1, E2E_MESSAGE_MAX - 1, payload, (size_t)(p - payload));
	if (n < 0) {
		e2e_free(e);
		return NULL;
	}
	*len = 1 + (size_t)n;
	return e;
}

/* Message 2 opened, so it is of the holder of the service record's key; whose node the record's issuer is. */
static int
acceptor_check(const struct e2e *e, const struct e2e_self *self, const uint8_t *payload, size_t len, uint64_t now,
    struct peer_identity *peer)
{
	struct record m;
	int reason;

	if (record_decode(&m, payload, len) != RECORD_OK)
		return REASON_AUTH_RECORD;
	if ((reason = identity_membership(&m, self->authority, &self->tenants, now)) != REASON_NONE)
		return reason;
	identity_fill(peer, &m, &m);
	return memcmp(peer->node_id, e->node_id, NODE_ID_LEN) == 0 ? REASON_NONE : REASON_AUTH_NODE;
}

int
e2e_finish(struct e2e *e, const struct e2e_self *self, const uint8_t *message, size_t len, uint64_t now,
    struct e2e_keys *keys, struct peer_identity *peer)
{
	uint8_t payload[E2E_MESSAGE_MAX];
	int n, reason;

	memset(peer, 0, sizeof(*peer));
	memset(keys, 0, sizeof(*keys));
	n = noise_read(e->noise, payload, sizeof(payload), message, len);
	if (n < 0)
		reason = reason_of(n);
	else
		reason = acceptor_check(e, self, payload, (size_t)n, now, peer);
	if (reason == REASON_NONE && keys_take(keys, e) == -1)
		reason = REASON_INTERNAL;
	if (reason != REASON_NONE)
		memset(peer, 0, sizeof(*peer));
	return reason;
}

/* --- the acceptor ------------------------------------------------------------ */

/* Membership and delegation, back to back and nothing behind them; the delegation is for the key that Noise proved. */
static int
opener_check(const struct e2e *e, const struct e2e_self *self, const uint8_t *p, size_t len, uint64_t now,
    struct peer_identity *peer)
{
	struct record m, d;
	int reason;

	if (record_decode_first(&m, p, len) != RECORD_OK ||
	    record_decode(&d, p + m.raw.len, len - m.raw.len) != RECORD_OK)
		return REASON_AUTH_RECORD;
	if ((reason = identity_membership(&m, self->authority, &self->tenants, now)) != REASON_NONE ||
	    (reason = identity_delegation(&d, &m, PURPOSE_E2E, now)) != REASON_NONE)
		return reason;
	if (crypto_memcmp(d.subject, noise_remote(e->noise), NOISE_DH_LEN) != 0)
		return REASON_AUTH_PROOF;
	identity_fill(peer, &m, &d);
	return REASON_NONE;
}

/* The payload of message 1: app bytes with their length, then the records. */
static int
hello_get(struct e2e_hello *hello, const struct e2e *e, const struct e2e_self *self, const uint8_t *p, size_t len,
    uint64_t now)
{
	if (len < 1 || p[0] > E2E_APP_MAX || len - 1 < p[0])
		return REASON_PROTOCOL;
	hello->app_len = p[0];
	memcpy(hello->app, p + 1, hello->app_len);
	return opener_check(e, self, p + 1 + p[0], len - 1 - p[0], now, &hello->peer);
}

static int
message_1_read(struct e2e *e, const struct e2e_self *self, const uint8_t *message, size_t len, uint64_t now,
    struct e2e_hello *hello)
{
	uint8_t payload[PAYLOAD_MAX];
	int n = noise_read(e->noise, payload, sizeof(payload), message, len);

	return n < 0 ? reason_of(n) : hello_get(hello, e, self, payload, (size_t)n, now);
}

int
e2e_accept(struct e2e **out, const struct e2e_self *self, const char *service, uint8_t flags, const uint8_t *source,
    const uint8_t *message, size_t len, uint64_t now, struct e2e_hello *hello)
{
	uint8_t prologue[PROLOGUE_MAX];
	struct e2e *e;
	int reason;

	*out = NULL;
	memset(hello, 0, sizeof(*hello));
	if (!e2e_self_ready(self, now))
		return REASON_NO_KEY;
	if (len < 1 || len > E2E_MESSAGE_MAX)
		return REASON_AUTH_PROOF;
	if (message[0] != SUITE_AESGCM && message[0] != SUITE_CHACHAPOLY)
		return REASON_UNSUPPORTED;
	e = e2e_new(message[0] == SUITE_AESGCM ? AEAD_AESGCM : AEAD_CHACHAPOLY, NOISE_RESPONDER, self, NULL, prologue,
	    prologue_make(prologue, service, self->node_id, flags));
	if (e == NULL)
		return REASON_INTERNAL;
	reason = message_1_read(e, self, message + 1, len - 1, now, hello);
	if (reason == REASON_NONE && source != NULL && memcmp(source, hello->peer.node_id, NODE_ID_LEN) != 0)
		reason = REASON_AUTH_NODE;
	if (reason != REASON_NONE) {
		memset(hello, 0, sizeof(*hello));
		e2e_free(e);
		return reason;
	}
	*out = e;
	return REASON_NONE;
}

int
e2e_answer(struct e2e *e, const struct e2e_self *self, uint8_t *out, size_t *len, struct e2e_keys *keys)
{
	int n = noise_write(e->noise, out, E2E_MESSAGE_MAX, self->records, self->membership_len);

	if (n < 0 || keys_take(keys, e) == -1)
		return -1;
	*len = (size_t)n;
	return 0;
}
