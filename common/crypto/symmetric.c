#include "crypto/symmetric.h"

#include <string.h>

#include <wolfssl/options.h>
#include <wolfssl/wolfcrypt/hmac.h>

#include "crypto/crypto.h"

_Static_assert(NOISE_HASH_LEN == HASH_LEN, "the handshake's hash is ours");
_Static_assert(NOISE_HASH_LEN == AEAD_KEY_LEN, "a key is a whole hash: section 5.2 truncates longer ones");

/* A name of up to HASHLEN bytes is padded with zeros. */
void
symmetric_init(struct symmetric *s, enum aead_cipher cipher, const char *name)
{
	memset(s, 0, sizeof(*s));
	s->cipher = cipher;
	memcpy(s->h, name, strnlen(name, sizeof(s->h)));
	memcpy(s->ck, s->h, sizeof(s->ck));
}

void
symmetric_wipe(struct symmetric *s)
{
	aead_key_free(s->k);
	crypto_wipe(s, sizeof(*s));
}

void
symmetric_mix_hash(struct symmetric *s, const void *data, size_t len)
{
	const struct crypto_piece pieces[2] = { { s->h, sizeof(s->h) }, { data, len } };

	crypto_hash(s->h, pieces, 2);
}

/* HKDF(chaining_key, input, 2), section 4.3: RFC 5869 with the chaining key as salt and no info. */
static int
hkdf(uint8_t out[2 * NOISE_HASH_LEN], const uint8_t ck[NOISE_HASH_LEN], const uint8_t *input, size_t len)
{
	if (wc_HKDF(WC_SHA256, input, (word32)len, ck, NOISE_HASH_LEN, NULL, 0, out, 2 * NOISE_HASH_LEN) != 0)
		return NOISE_E_LIBRARY;
	return NOISE_OK;
}

int
symmetric_mix_dh(struct symmetric *s, const struct noise_key *local, const uint8_t remote[NOISE_DH_LEN])
{
	uint8_t shared[NOISE_DH_LEN], keys[2 * NOISE_HASH_LEN];
	int rv;

	if ((rv = noise_dh(shared, local->secret, remote)) == NOISE_OK &&
	    (rv = hkdf(keys, s->ck, shared, sizeof(shared))) == NOISE_OK) {
		memcpy(s->ck, keys, sizeof(s->ck));
		aead_key_free(s->k);
		s->n = 0;
		if ((s->k = aead_key_new(s->cipher, keys + NOISE_HASH_LEN)) == NULL)
			rv = NOISE_E_LIBRARY;
	}
	crypto_wipe(shared, sizeof(shared));
	crypto_wipe(keys, sizeof(keys));
	return rv;
}

int
symmetric_seal(struct symmetric *s, uint8_t *out, const uint8_t *in, size_t len)
{
	if (aead_seal(s->k, s->n++, s->h, sizeof(s->h), out, in, len) == -1)
		return NOISE_E_LIBRARY;
	symmetric_mix_hash(s, out, len + AEAD_TAG_LEN);
	return NOISE_OK;
}

int
symmetric_open(struct symmetric *s, uint8_t *out, const uint8_t *in, size_t len)
{
	if (aead_open(s->k, s->n++, s->h, sizeof(s->h), out, in, len) == -1)
		return NOISE_E_TAMPERED;
	symmetric_mix_hash(s, in, len);
	return NOISE_OK;
}

int
symmetric_split(const struct symmetric *s, uint8_t keys[2 * NOISE_HASH_LEN])
{
	return hkdf(keys, s->ck, NULL, 0);
}
