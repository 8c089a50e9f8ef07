/* Thin names over wolfCrypt. Nothing here is home-made; nothing here knows a protocol. */
#ifndef CRYPTO_CRYPTO_H
#define CRYPTO_CRYPTO_H

#include <stddef.h>
#include <stdint.h>

#define SIGN_PUBLIC_LEN	32
#define SIGN_SECRET_LEN	32	/* RFC 8032 seed */
#define SIGN_LEN	64
#define HASH_LEN	32	/* SHA-256 */

#define SIGN_MESSAGE_MAX (65u * 1024) /* bytes of all pieces that are signed together: the largest record, and its domain */

struct sign_key {
	uint8_t	public[SIGN_PUBLIC_LEN];
	uint8_t	secret[SIGN_SECRET_LEN];
};

/* Waits for the system's generator to be seeded; fatal when there is none. Call once, before a sandbox. */
void	crypto_init(void);

/* Fills p with `len` random bytes from getrandom(2), which a sandbox must allow; fatal when that fails. */
void	crypto_random(void *p, size_t len);

/* Zeroes memory in a way that the compiler keeps. */
void	crypto_wipe(void *p, size_t len);

/* 0 when equal; time does not depend on the content. */
int	crypto_memcmp(const void *a, const void *b, size_t len);

/* SHA-256 of the concatenation of n pieces. */
struct crypto_piece {
	const void	*p;
	size_t		 len;
};
void	crypto_hash(uint8_t out[HASH_LEN], const struct crypto_piece *pieces, size_t n);

/* HKDF-Expand with SHA-256, RFC 5869 section 2.3: `len` bytes, at most 255 * HASH_LEN. -1 when the library fails. */
int	crypto_expand(uint8_t *out, size_t len, const uint8_t key[HASH_LEN], const void *info, size_t info_len);

/* Makes an Ed25519 key (RFC 8032). -1 when the library fails. */
int	sign_key_generate(struct sign_key *k);

/* Derives the public half from k->secret. */
int	sign_key_from_secret(struct sign_key *k);

/*
 * Signs the concatenation of n pieces (copied together first: Ed25519 reads its message twice). -1 when they
 * are longer than SIGN_MESSAGE_MAX or k's halves do not belong together.
 */
int	sign_make(uint8_t sig[SIGN_LEN], const struct sign_key *k, const struct crypto_piece *pieces, size_t n);

/*
 * 0 when the signature is good. -1 also for what is not canonical: S not below the group order, a public
 * key or R that is not a reduced encoding, and public keys of small order.
 */
int	sign_verify(const uint8_t sig[SIGN_LEN], const uint8_t public[SIGN_PUBLIC_LEN],
	    const struct crypto_piece *pieces, size_t n);

/* -1 when a public key is not canonical, is no point of the curve or has small order. */
int	sign_public_check(const uint8_t public[SIGN_PUBLIC_LEN]);

/* -1 when a signature is not canonical: S not below the group order, or R not a reduced encoding. */
int	sign_encoding_check(const uint8_t sig[SIGN_LEN]);

#endif
