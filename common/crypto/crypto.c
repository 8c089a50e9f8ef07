#include "crypto/crypto.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/random.h>

#include <wolfssl/options.h>
#include <wolfssl/wolfcrypt/ed25519.h>
#include <wolfssl/wolfcrypt/hmac.h>
#include <wolfssl/wolfcrypt/sha256.h>

#include "base/log.h"

#define RANDOM_CHUNK 256	/* getrandom(2) never gives less than this once it is seeded */

void
crypto_init(void)
{
	uint8_t probe[16];

	crypto_random(probe, sizeof(probe));
	crypto_wipe(probe, sizeof(probe));
}

/*
 * The kernel's generator and not a wolfCrypt one: it has no state to be
 * doubled by fork() and needs no descriptor inside an empty chroot.
 */
void
crypto_random(void *p, size_t len)
{
	uint8_t *out = p;

	while (len > 0) {
		size_t want = len < RANDOM_CHUNK ? len : RANDOM_CHUNK;
		ssize_t n = getrandom(out, want, 0);

		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0)
			fatal("getrandom");
		out += n;
		len -= (size_t)n;
	}
}

void
crypto_wipe(void *p, size_t len)
{
	explicit_bzero(p, len);
}

int
crypto_memcmp(const void *a, const void *b, size_t len)
{
	const volatile uint8_t *x = a, *y = b;
	uint8_t diff = 0;

	for (size_t i = 0; i < len; i++)
		diff |= x[i] ^ y[i];
	return diff;
}

void
crypto_hash(uint8_t out[HASH_LEN], const struct crypto_piece *pieces, size_t n)
{
	wc_Sha256 sha;
	int err;

	if ((err = wc_InitSha256(&sha)) != 0)
		fatalx("sha256: library error %d", err);
	for (size_t i = 0; err == 0 && i < n; i++)
		if (pieces[i].len > 0)
			err = wc_Sha256Update(&sha, pieces[i].p, (word32)pieces[i].len);
	if (err == 0)
		err = wc_Sha256Final(&sha, out);
	wc_Sha256Free(&sha);
	if (err != 0)
		fatalx("sha256: library error %d", err);
}

int
crypto_expand(uint8_t *out, size_t len, const uint8_t key[HASH_LEN], const void *info, size_t info_len)
{
	if (len > 255 * HASH_LEN ||
	    wc_HKDF_Expand(WC_SHA256, key, HASH_LEN, info, (word32)info_len, out, (word32)len) != 0)
		return -1;
	return 0;
}

/* Both orders are little endian, as Ed25519's encodings are. True when a < b. */
static bool
below(const uint8_t a[32], const uint8_t b[32])
{
	for (int i = 31; i >= 0; i--)
		if (a[i] != b[i])
			return a[i] < b[i];
	return false;
}

/* The order of the base point: 2^252 + 27742317777372353535851937790883648493 (RFC 8032, section 5.1). */
static const uint8_t order_l[32] = {
	0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x10,
};

/* The field's prime: 2^255 - 19. */
static const uint8_t field_p[32] = {
	0xed, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f,
};

/*
 * The y coordinates of the eight points whose order divides 8 (Chalkias, Garillot, Nikolaenko, "Taming the
 * many EdDSAs", SSR 2020, table 1): order 4, 1, 2 and twice 8. The sign bit is masked before comparing, so
 * that the table also holds the "negative zero" encodings of the points with x = 0.
 */
static const uint8_t small_order_y[][32] = {
	{ 0x00 },
	{ 0x01 },
	{ 0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	  0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f },
	{ 0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0,
	  0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05 },
	{ 0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f,
	  0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a },
};
#define Y_IDENTITY	1	/* their places in the table: the two points with x = 0 */
#define Y_MINUS_ONE	2

static void
mask_sign(uint8_t y[32], const uint8_t point[32])
{
	memcpy(y, point, 32);
	y[31] &= 0x7f;
}

/*
 * RFC 8032, section 5.1.3: y must be below p, and when x is 0 its sign must be 0. Nothing here is secret,
 * so plain comparisons will do.
 */
static bool
reduced(const uint8_t point[32])
{
	uint8_t y[32];

	mask_sign(y, point);
	if (!below(y, field_p))
		return false;
	if ((point[31] & 0x80) == 0)
		return true;
	return memcmp(y, small_order_y[Y_IDENTITY], 32) != 0 && memcmp(y, small_order_y[Y_MINUS_ONE], 32) != 0;
}

static bool
small_order(const uint8_t point[32])
{
	uint8_t y[32];

	mask_sign(y, point);
	for (size_t i = 0; i < sizeof(small_order_y) / sizeof(small_order_y[0]); i++)
		if (memcmp(y, small_order_y[i], 32) == 0)
			return true;
	return false;
}

int
sign_encoding_check(const uint8_t sig[SIGN_LEN])
{
	return reduced(sig) && below(sig + 32, order_l) ? 0 : -1;
}

int
sign_public_check(const uint8_t public[SIGN_PUBLIC_LEN])
{
	ed25519_key key;
	int rv = -1;

	if (!reduced(public) || small_order(public))
		return -1;
	if (wc_ed25519_init(&key) != 0)
		return -1;
	if (wc_ed25519_import_public_ex(public, SIGN_PUBLIC_LEN, &key, 0) == 0)
		rv = 0;
	wc_ed25519_free(&key);
	return rv;
}

int
sign_key_generate(struct sign_key *k)
{
	crypto_random(k->secret, sizeof(k->secret));
	if (sign_key_from_secret(k) == 0)
		return 0;
	crypto_wipe(k, sizeof(*k));
	return -1;
}

int
sign_key_from_secret(struct sign_key *k)
{
	ed25519_key key;
	int rv = -1;

	if (wc_ed25519_init(&key) != 0)
		return -1;
	if (wc_ed25519_import_private_only(k->secret, SIGN_SECRET_LEN, &key) != 0)
		goto done;
	if (wc_ed25519_make_public(&key, k->public, SIGN_PUBLIC_LEN) != 0)
		goto done;
	rv = 0;
done:
	wc_ed25519_free(&key);		/* also zeroes it */
	return rv;
}

/* One message out of pieces. Returns its length, or -1 when it is longer than the buffer. */
static ssize_t
join(uint8_t buf[SIGN_MESSAGE_MAX], const struct crypto_piece *pieces, size_t n)
{
	size_t len = 0;

	for (size_t i = 0; i < n; i++) {
		if (pieces[i].len > SIGN_MESSAGE_MAX - len)
			return -1;
		if (pieces[i].len > 0)
			memcpy(buf + len, pieces[i].p, pieces[i].len);
		len += pieces[i].len;
	}
	return (ssize_t)len;
}

int
sign_make(uint8_t sig[SIGN_LEN], const struct sign_key *k, const struct crypto_piece *pieces, size_t n)
{
	uint8_t msg[SIGN_MESSAGE_MAX];
	word32 siglen = SIGN_LEN;
	ed25519_key key;
	ssize_t len;
	int rv = -1;

	if ((len = join(msg, pieces, n)) == -1 || wc_ed25519_init(&key) != 0)
		return -1;
	/*
	 * The last 0 (not trusted) has the public half derived again: signatures of one message under two
	 * different public halves give the secret away.
	 */
	if (wc_ed25519_import_private_key_ex(k->secret, SIGN_SECRET_LEN, k->public, SIGN_PUBLIC_LEN, &key, 0) != 0)
		goto done;
	if (wc_ed25519_sign_msg(msg, (word32)len, sig, &siglen, &key) == 0 && siglen == SIGN_LEN)
		rv = 0;
done:
	wc_ed25519_free(&key);
	return rv;
}

/*
 * RFC 8032, section 5.1.7, with the strict choices of "Taming the many EdDSAs": a signature is good or not for
 * every reader alike, and nobody who lacks the secret can turn one good signature into another.
 */
int
sign_verify(const uint8_t sig[SIGN_LEN], const uint8_t public[SIGN_PUBLIC_LEN],
    const struct crypto_piece *pieces, size_t n)
{
	uint8_t msg[SIGN_MESSAGE_MAX];
	ed25519_key key;
	ssize_t len;
	int good = 0, rv = -1;

	if (sign_encoding_check(sig) == -1 || !reduced(public) || small_order(public))
		return -1;
	if ((len = join(msg, pieces, n)) == -1 || wc_ed25519_init(&key) != 0)
		return -1;
	/* Trusted: whether it is on the curve is found out by the verification itself. */
	if (wc_ed25519_import_public_ex(public, SIGN_PUBLIC_LEN, &key, 1) != 0)
		goto done;
	if (wc_ed25519_verify_msg(sig, SIGN_LEN, msg, (word32)len, &good, &key) == 0 && good == 1)
		rv = 0;
done:
	wc_ed25519_free(&key);
	return rv;
}
