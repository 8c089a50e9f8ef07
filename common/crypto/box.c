#include "crypto/box.h"

#include <string.h>

#include "crypto/crypto.h"
#include "crypto/symmetric.h"

#define PROTOCOL "Noise_N_25519_AESGCM_SHA256"
_Static_assert(sizeof(PROTOCOL) - 1 <= NOISE_HASH_LEN, "the name fits a hash");

/* Section 5.3: the prologue, then the pre-message "<- s". */
static void
initialize(struct symmetric *s, const void *prologue, size_t len, const uint8_t to[NOISE_DH_LEN])
{
	symmetric_init(s, AEAD_AESGCM, PROTOCOL);
	symmetric_mix_hash(s, prologue, len);
	symmetric_mix_hash(s, to, NOISE_DH_LEN);
}

/* -> e, es */
int
box_seal_with(uint8_t *out, size_t size, const uint8_t to[NOISE_DH_LEN], const void *prologue, size_t prologue_len,
    const void *msg, size_t len, const struct noise_key *e)
{
	struct symmetric s;
	int rv;

	if (len > NOISE_MESSAGE_MAX - BOX_OVERHEAD || len + BOX_OVERHEAD > size)
		return NOISE_E_ROOM;
	initialize(&s, prologue, prologue_len, to);
	memcpy(out, e->public, NOISE_DH_LEN);
	symmetric_mix_hash(&s, out, NOISE_DH_LEN);
	if ((rv = symmetric_mix_dh(&s, e, to)) == NOISE_OK)
		rv = symmetric_seal(&s, out + NOISE_DH_LEN, msg, len);
	symmetric_wipe(&s);
	if (rv == NOISE_OK)
		return (int)(len + BOX_OVERHEAD);
	crypto_wipe(out, len + BOX_OVERHEAD);
	return rv;
}

int
box_seal(uint8_t *out, size_t size, const uint8_t to[NOISE_DH_LEN], const void *prologue, size_t prologue_len,
    const void *msg, size_t len)
{
	struct noise_key e;
	int rv;

	if (noise_key_generate(&e) == -1)
		return NOISE_E_LIBRARY;
	rv = box_seal_with(out, size, to, prologue, prologue_len, msg, len, &e);
	crypto_wipe(&e, sizeof(e));
	return rv;
}

int
box_open(uint8_t *out, size_t size, const struct noise_key *self, const void *prologue, size_t prologue_len,
    const void *box, size_t len)
{
	const uint8_t *e = box, *sealed = e + NOISE_DH_LEN;
	struct symmetric s;
	int rv;

	if (len < BOX_OVERHEAD || len > NOISE_MESSAGE_MAX)
		return NOISE_E_SHORT;
	if (len - BOX_OVERHEAD > size)
		return NOISE_E_ROOM;
	initialize(&s, prologue, prologue_len, self->public);
	symmetric_mix_hash(&s, e, NOISE_DH_LEN);
	if ((rv = symmetric_mix_dh(&s, self, e)) == NOISE_OK)
		rv = symmetric_open(&s, out, sealed, len - NOISE_DH_LEN);
	symmetric_wipe(&s);
	return rv == NOISE_OK ? (int)(len - BOX_OVERHEAD) : rv;
}
