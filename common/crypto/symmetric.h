/*
 * SymmetricState with its CipherState of the Noise Protocol Framework, revision 34, section 5.2, and the tokens that
 * change it: what crypto/noise.c (pattern IK) and crypto/box.c (pattern N) share. For those two alone.
 */
#ifndef CRYPTO_SYMMETRIC_H
#define CRYPTO_SYMMETRIC_H

#include <stddef.h>
#include <stdint.h>

#include "crypto/noise.h"

struct symmetric {
	enum aead_cipher cipher;
	uint8_t		 ck[NOISE_HASH_LEN], h[NOISE_HASH_LEN];
	struct aead_key	*k;	/* NULL while it is empty */
	uint64_t	 n;
};

/* InitializeSymmetric(name), of at most NOISE_HASH_LEN bytes. What was in s is overwritten, not freed. */
void	symmetric_init(struct symmetric *s, enum aead_cipher, const char *name);
void	symmetric_wipe(struct symmetric *s);

/* MixHash(data). */
void	symmetric_mix_hash(struct symmetric *s, const void *data, size_t len);

/* MixKey(DH(local, remote)): every token of two letters. NOISE_OK or a noise_error, as noise_dh(). */
int	symmetric_mix_dh(struct symmetric *s, const struct noise_key *local, const uint8_t remote[NOISE_DH_LEN]);

/*
 * EncryptAndHash() and DecryptAndHash(), after a symmetric_mix_dh(): len is that of `in'. For opening, out does not overlap
 * in, which is hashed after it.
 */
int	symmetric_seal(struct symmetric *s, uint8_t *out, const uint8_t *in, size_t len);
int	symmetric_open(struct symmetric *s, uint8_t *out, const uint8_t *in, size_t len);

/* The two keys of Split(), back to back. */
int	symmetric_split(const struct symmetric *s, uint8_t keys[2 * NOISE_HASH_LEN]);

#endif
