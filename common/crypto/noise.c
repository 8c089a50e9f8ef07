#include "crypto/noise.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <wolfssl/options.h>
#include <wolfssl/wolfcrypt/curve25519.h>

#include "crypto/crypto.h"
#include "crypto/symmetric.h"

enum state { WRITE_1, READ_1, WRITE_2, READ_2, DONE, OVER };

struct noise {
	enum noise_role	 role;
	enum state	 state;
	bool		 remote_known;
	bool		 ephemeral_given;
	struct symmetric sym;
	/* HandshakeState, section 5.3. */
	struct noise_key s, e;
	uint8_t		 rs[NOISE_DH_LEN], re[NOISE_DH_LEN];
};

static const char *const protocol_names[AEAD_COUNT] = {
	[AEAD_AESGCM] = "Noise_IK_25519_AESGCM_SHA256",
	[AEAD_CHACHAPOLY] = "Noise_IK_25519_ChaChaPoly_SHA256",
};

const char *
noise_strerror(int error)
{
	switch (error) {
	case NOISE_OK:
		return "no error";
	case NOISE_E_STATE:
		return "not in this state";
	case NOISE_E_ROOM:
		return "does not fit";
	case NOISE_E_SHORT:
		return "wrong length";
	case NOISE_E_DH:
		return "key of small order";
	case NOISE_E_TAMPERED:
		return "tampered with, or meant for another key";
	case NOISE_E_LIBRARY:
		return "library failure";
	default:
		return "unknown";
	}
}

const char *
noise_protocol_name(enum aead_cipher cipher)
{
	return (unsigned)cipher < AEAD_COUNT ? protocol_names[cipher] : "unknown";
}

/* RFC 7748, section 5: the library refuses scalars that are not clamped already. */
static void
clamp(uint8_t out[NOISE_DH_LEN], const uint8_t secret[NOISE_DH_LEN])
{
	memcpy(out, secret, NOISE_DH_LEN);
	out[0] &= 0xf8;
	out[31] = (out[31] & 0x7f) | 0x40;
}

int
noise_key_from_secret(struct noise_key *k)
{
	uint8_t scalar[NOISE_DH_LEN];
	int err;

	clamp(scalar, k->secret);
	err = wc_curve25519_make_pub(NOISE_DH_LEN, k->public, NOISE_DH_LEN, scalar);
	crypto_wipe(scalar, sizeof(scalar));
	return err == 0 ? 0 : -1;
}

int
noise_key_generate(struct noise_key *k)
{
	crypto_random(k->secret, sizeof(k->secret));
	if (noise_key_from_secret(k) == 0)
		return 0;
	crypto_wipe(k, sizeof(*k));
	return -1;
}

/*
 * RFC 7748, section 5, has the top bit of a point ignored. wolfCrypt refuses such a point in one function and, in this
 * one, its assembly counts the bit in; so it is cleared here.
 */
int
noise_dh(uint8_t out[NOISE_DH_LEN], const uint8_t secret[NOISE_DH_LEN], const uint8_t public[NOISE_DH_LEN])
{
	static const uint8_t zeros[NOISE_DH_LEN];
	uint8_t scalar[NOISE_DH_LEN], point[NOISE_DH_LEN];
	int err;

	clamp(scalar, secret);
	memcpy(point, public, sizeof(point));
	point[NOISE_DH_LEN - 1] &= 0x7f;
	err = wc_curve25519_generic(NOISE_DH_LEN, out, NOISE_DH_LEN, scalar, NOISE_DH_LEN, point);
	crypto_wipe(scalar, sizeof(scalar));
	if (err != 0)
		return NOISE_E_LIBRARY;
	return crypto_memcmp(out, zeros, sizeof(zeros)) == 0 ? NOISE_E_DH : NOISE_OK;
}

/* The end of it: what remains says no more than that it is over. */
static void
finish(struct noise *n)
{
	symmetric_wipe(&n->sym);
	crypto_wipe(n, sizeof(*n));
	n->state = OVER;
}

/* Section 5.3: the name, the prologue, then the pre-message "<- s". */
static void
initialize(struct noise *n, enum aead_cipher cipher, const void *prologue, size_t len)
{
	symmetric_init(&n->sym, cipher, protocol_names[cipher]);
	symmetric_mix_hash(&n->sym, prologue, len);
	symmetric_mix_hash(&n->sym, n->role == NOISE_INITIATOR ? n->rs : n->s.public, NOISE_DH_LEN);
}

struct noise *
noise_new(enum aead_cipher cipher, enum noise_role role, const struct noise_key *s, const uint8_t *remote,
    const void *prologue, size_t prologue_len, const uint8_t *ephemeral)
{
	struct noise *n;

	_Static_assert(sizeof("Noise_IK_25519_ChaChaPoly_SHA256") - 1 <= NOISE_HASH_LEN, "names fit a hash");
	if ((unsigned)cipher >= AEAD_COUNT || (role == NOISE_INITIATOR) != (remote != NULL))
		return NULL;
	if ((n = calloc(1, sizeof(*n))) == NULL)
		return NULL;
	n->role = role;
	n->state = role == NOISE_INITIATOR ? WRITE_1 : READ_1;
	n->s = *s;
	if (remote != NULL) {
		memcpy(n->rs, remote, sizeof(n->rs));
		n->remote_known = true;
	}
	if (ephemeral != NULL) {
		memcpy(n->e.secret, ephemeral, sizeof(n->e.secret));
		n->ephemeral_given = true;
	}
	initialize(n, cipher, prologue, prologue_len);
	return n;
}

void
noise_free(struct noise *n)
{
	if (n == NULL)
		return;
	finish(n);
	free(n);
}

/* Token "e" of a message that we write. */
static int
write_e(struct noise *n, uint8_t *out)
{
	if ((n->ephemeral_given ? noise_key_from_secret(&n->e) : noise_key_generate(&n->e)) == -1)
		return NOISE_E_LIBRARY;
	memcpy(out, n->e.public, NOISE_DH_LEN);
	symmetric_mix_hash(&n->sym, out, NOISE_DH_LEN);
	return NOISE_OK;
}

/* Token "e" of a message that we read. */
static void
read_e(struct noise *n, const uint8_t *in)
{
	memcpy(n->re, in, NOISE_DH_LEN);
	symmetric_mix_hash(&n->sym, in, NOISE_DH_LEN);
}

/* -> e, es, s, ss */
static int
write_1(struct noise *n, uint8_t *out, const uint8_t *payload, size_t len)
{
	int rv;

	if ((rv = write_e(n, out)) != NOISE_OK ||
	    (rv = symmetric_mix_dh(&n->sym, &n->e, n->rs)) != NOISE_OK ||
	    (rv = symmetric_seal(&n->sym, out + NOISE_DH_LEN, n->s.public, NOISE_DH_LEN)) != NOISE_OK ||
	    (rv = symmetric_mix_dh(&n->sym, &n->s, n->rs)) != NOISE_OK)
		return rv;
	return symmetric_seal(&n->sym, out + NOISE_1_OVERHEAD - AEAD_TAG_LEN, payload, len);
}

static int
read_1(struct noise *n, uint8_t *payload, const uint8_t *in, size_t len)
{
	const uint8_t *sealed_s = in + NOISE_DH_LEN, *sealed_payload = sealed_s + NOISE_DH_LEN + AEAD_TAG_LEN;
	int rv;

	read_e(n, in);
	if ((rv = symmetric_mix_dh(&n->sym, &n->s, n->re)) != NOISE_OK ||
	    (rv = symmetric_open(&n->sym, n->rs, sealed_s, NOISE_DH_LEN + AEAD_TAG_LEN)) != NOISE_OK ||
	    (rv = symmetric_mix_dh(&n->sym, &n->s, n->rs)) != NOISE_OK ||
	    (rv = symmetric_open(&n->sym, payload, sealed_payload, len - (size_t)(sealed_payload - in))) != NOISE_OK)
		return rv;
	n->remote_known = true;
	return NOISE_OK;
}

/* <- e, ee, se */
static int
write_2(struct noise *n, uint8_t *out, const uint8_t *payload, size_t len)
{
	int rv;

	if ((rv = write_e(n, out)) != NOISE_OK ||
	    (rv = symmetric_mix_dh(&n->sym, &n->e, n->re)) != NOISE_OK ||
	    (rv = symmetric_mix_dh(&n->sym, &n->e, n->rs)) != NOISE_OK)
		return rv;
	return symmetric_seal(&n->sym, out + NOISE_DH_LEN, payload, len);
}

static int
read_2(struct noise *n, uint8_t *payload, const uint8_t *in, size_t len)
{
	int rv;

	read_e(n, in);
	if ((rv = symmetric_mix_dh(&n->sym, &n->e, n->re)) != NOISE_OK ||
	    (rv = symmetric_mix_dh(&n->sym, &n->s, n->re)) != NOISE_OK)
		return rv;
	return symmetric_open(&n->sym, payload, in + NOISE_DH_LEN, len - NOISE_DH_LEN);
}

/* What a message of this state has beside its payload. */
static size_t
overhead(enum state state)
{
	return state == WRITE_1 || state == READ_1 ? NOISE_1_OVERHEAD : NOISE_2_OVERHEAD;
}

int
noise_write(struct noise *n, uint8_t *out, size_t size, const void *payload, size_t len)
{
	size_t whole = overhead(n->state) + len;
	int rv;

	if (n->state != WRITE_1 && n->state != WRITE_2)
		return NOISE_E_STATE;
	if (len > NOISE_MESSAGE_MAX || whole > NOISE_MESSAGE_MAX || whole > size)
		return NOISE_E_ROOM;
	rv = n->state == WRITE_1 ? write_1(n, out, payload, len) : write_2(n, out, payload, len);
	if (rv != NOISE_OK) {
		crypto_wipe(out, whole);
		finish(n);
		return rv;
	}
	n->state = n->state == WRITE_1 ? READ_2 : DONE;
	return (int)whole;
}

int
noise_read(struct noise *n, uint8_t *payload, size_t size, const void *message, size_t len)
{
	size_t beside = overhead(n->state);
	int rv;

	if (n->state != READ_1 && n->state != READ_2)
		return NOISE_E_STATE;
	if (len < beside || len > NOISE_MESSAGE_MAX) {
		finish(n);
		return NOISE_E_SHORT;
	}
	if (len - beside > size)
		return NOISE_E_ROOM;
	rv = n->state == READ_1 ? read_1(n, payload, message, len) : read_2(n, payload, message, len);
	if (rv != NOISE_OK) {
		finish(n);
		return rv;
	}
	n->state = n->state == READ_1 ? WRITE_2 : DONE;
	return (int)(len - beside);
}

const uint8_t *
noise_remote(const struct noise *n)
{
	return n->remote_known ? n->rs : NULL;
}

int
noise_split(struct noise *n, uint8_t tx[AEAD_KEY_LEN], uint8_t rx[AEAD_KEY_LEN], uint8_t *hash)
{
	uint8_t keys[2 * NOISE_HASH_LEN];
	bool initiator = n->role == NOISE_INITIATOR;
	int rv;

	if (n->state != DONE)
		return NOISE_E_STATE;
	if ((rv = symmetric_split(&n->sym, keys)) == NOISE_OK) {
		memcpy(tx, initiator ? keys : keys + NOISE_HASH_LEN, AEAD_KEY_LEN);
		memcpy(rx, initiator ? keys + NOISE_HASH_LEN : keys, AEAD_KEY_LEN);
		if (hash != NULL)
			memcpy(hash, n->sym.h, NOISE_HASH_LEN);
	}
	crypto_wipe(keys, sizeof(keys));
	finish(n);
	return rv;
}
