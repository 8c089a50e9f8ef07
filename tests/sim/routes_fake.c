/*
 * Stand-ins, put in place of the real ones by the linker: a signature that anybody could make, a seal that hides nothing, and
 * randomness from the seed. They fail where the real ones do: other keys, other bytes.
 */
#include <string.h>

#include "crypto/box.h"
#include "crypto/crypto.h"
#include "tests/sim/routes.h"

int	__wrap_sign_make(uint8_t sig[SIGN_LEN], const struct sign_key *, const struct crypto_piece *, size_t n);
int	__wrap_sign_verify(const uint8_t sig[SIGN_LEN], const uint8_t public[SIGN_PUBLIC_LEN], const struct crypto_piece *, size_t n);
int	__wrap_box_seal(uint8_t *out, size_t size, const uint8_t to[NOISE_DH_LEN], const void *prologue, size_t prologue_len,
	    const void *msg, size_t len);
int	__wrap_box_open(uint8_t *out, size_t size, const struct noise_key *self, const void *prologue, size_t prologue_len,
	    const void *box, size_t len);
void	__wrap_crypto_random(void *p, size_t len);

static uint64_t chance;

void
fake_seed(uint64_t seed)
{
	chance = seed;
}

void
__wrap_crypto_random(void *p, size_t len)
{
	uint8_t *b = p;

	for (size_t i = 0; i < len; i++) {
		chance = chance * 6364136223846793005ull + 1442695040888963407ull;
		b[i] = (uint8_t)(chance >> 56);
	}
}

static void
mix(uint64_t *h, const void *p, size_t len)
{
	const uint8_t *b = p;

	for (size_t i = 0; i < len; i++)
		*h = (*h ^ b[i]) * 0x100000001b3ull;
}

static void
signature(uint8_t sig[SIGN_LEN], const uint8_t *public, const struct crypto_piece *pieces, size_t n)
{
	uint64_t h = 0xcbf29ce484222325ull;

	mix(&h, public, SIGN_PUBLIC_LEN);
	for (size_t i = 0; i < n; i++)
		mix(&h, pieces[i].p, pieces[i].len);
	memset(sig, 0x11, SIGN_LEN);
	memcpy(sig, &h, sizeof(h));
}

int
__wrap_sign_make(uint8_t sig[SIGN_LEN], const struct sign_key *k, const struct crypto_piece *pieces, size_t n)
{
	signature(sig, k->public, pieces, n);
	return 0;
}

int
__wrap_sign_verify(const uint8_t sig[SIGN_LEN], const uint8_t public[SIGN_PUBLIC_LEN], const struct crypto_piece *pieces, size_t n)
{
	uint8_t want[SIGN_LEN];

	signature(want, public, pieces, n);
	return memcmp(want, sig, SIGN_LEN) == 0 ? 0 : -1;
}

static uint64_t
tag(const uint8_t *to, const void *prologue, size_t prologue_len, const void *msg, size_t len)
{
	uint64_t h = 0xcbf29ce484222325ull;

	mix(&h, to, NOISE_DH_LEN);
	mix(&h, prologue, prologue_len);
	mix(&h, msg, len);
	return h;
}

int
__wrap_box_seal(uint8_t *out, size_t size, const uint8_t to[NOISE_DH_LEN], const void *prologue, size_t prologue_len,
    const void *msg, size_t len)
{
	uint64_t t = tag(to, prologue, prologue_len, msg, len);

	if (size < len + BOX_OVERHEAD)
		return NOISE_E_ROOM;
	memset(out, 0, NOISE_DH_LEN);
	memcpy(out + NOISE_DH_LEN, msg, len);
	memset(out + NOISE_DH_LEN + len, 0, AEAD_TAG_LEN);
	memcpy(out + NOISE_DH_LEN + len, &t, sizeof(t));
	return (int)(len + BOX_OVERHEAD);
}

int
__wrap_box_open(uint8_t *out, size_t size, const struct noise_key *self, const void *prologue, size_t prologue_len,
    const void *box, size_t len)
{
	const uint8_t *p = box;
	uint64_t t;

	if (len < BOX_OVERHEAD || size < len - BOX_OVERHEAD)
		return NOISE_E_SHORT;
	len -= BOX_OVERHEAD;
	t = tag(self->public, prologue, prologue_len, p + NOISE_DH_LEN, len);
	if (memcmp(&t, p + NOISE_DH_LEN + len, sizeof(t)) != 0)
		return NOISE_E_TAMPERED;
	memcpy(out, p + NOISE_DH_LEN, len);
	return (int)len;
}
