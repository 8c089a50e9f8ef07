/*
 * Authenticated encryption as the Noise Protocol Framework (revision 34) wants it of a cipher: 32-byte keys, 64-bit
 * nonces, 16-byte tags (section 12.3 ChaChaPoly, 12.4 AESGCM). A key is expanded once; sealing and opening allocate
 * nothing.
 */
#ifndef CRYPTO_AEAD_H
#define CRYPTO_AEAD_H

#include <stddef.h>
#include <stdint.h>

#define AEAD_KEY_LEN	32
#define AEAD_TAG_LEN	16
#define AEAD_LEN_MAX	(1u << 24)	/* bytes of text, and of associated data; far more than a packet has */
#define AEAD_NONCE_REKEY UINT64_MAX	/* section 5.1: for aead_rekey() alone; all below are for messages */

enum aead_cipher { AEAD_AESGCM, AEAD_CHACHAPOLY, AEAD_COUNT };

struct aead_key;	/* a key and, while it is in use, what is expanded from it: about 900 bytes */

/* The cipher that is faster here: AES-GCM when the CPU has AES and wolfCrypt uses it, else ChaCha20-Poly1305. */
enum aead_cipher aead_preferred(void);

/* As in a Noise protocol name: "AESGCM", "ChaChaPoly"; "unknown" else. */
const char *aead_name(enum aead_cipher);

/* NULL when memory is short or the library fails. The caller's copy of the key is the caller's to wipe. */
struct aead_key *aead_key_new(enum aead_cipher, const uint8_t key[AEAD_KEY_LEN]);
void	aead_key_free(struct aead_key *);	/* wipes it; NULL is fine */

/* Gives back what is expanded; the next use expands it again. aead_key_ready() does so now: -1 when memory is short. */
void	aead_key_trim(struct aead_key *);
int	aead_key_ready(struct aead_key *);

/*
 * ENCRYPT(k, n, ad, plaintext), section 4.2: writes len + AEAD_TAG_LEN bytes to `out`, which is `in` or does not
 * overlap it. A nonce may be used once with a key. 0, or -1 when a length is over AEAD_LEN_MAX or the library fails.
 */
int	aead_seal(struct aead_key *, uint64_t nonce, const void *ad, size_t ad_len, uint8_t *out, const uint8_t *in,
	    size_t len);

/*
 * DECRYPT(k, n, ad, ciphertext), section 4.2: `len` has the tag in it, `out` gets len - AEAD_TAG_LEN bytes and is `in` or
 * does not overlap it. -1 when any bit is not what was sealed, or len is too short or too long: those bytes of `out`
 * are then zero, so that nobody reads what nobody has sealed.
 */
int	aead_open(struct aead_key *, uint64_t nonce, const void *ad, size_t ad_len, uint8_t *out, const uint8_t *in,
	    size_t len);

/* REKEY(k), section 4.2: the next key of the chain, from which this one cannot be found. -1 when the library fails. */
int	aead_rekey(uint8_t next[AEAD_KEY_LEN], struct aead_key *);

#endif
