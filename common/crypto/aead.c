#include "crypto/aead.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <wolfssl/options.h>
#include <wolfssl/wolfcrypt/aes.h>
#include <wolfssl/wolfcrypt/chacha20_poly1305.h>
#include <wolfssl/wolfcrypt/cpuid.h>

#include "crypto/crypto.h"

#define NONCE_LEN 12

struct aead_key {
	enum aead_cipher cipher;
	uint8_t		 key[AEAD_KEY_LEN];
	Aes		*aes;	/* AES-GCM: expanded; NULL: not now */
};

static const char *const names[AEAD_COUNT] = { [AEAD_AESGCM] = "AESGCM", [AEAD_CHACHAPOLY] = "ChaChaPoly" };

const char *
aead_name(enum aead_cipher cipher)
{
	return (unsigned)cipher < AEAD_COUNT ? names[cipher] : "unknown";
}

/* What the CPU has is of use only when this wolfCrypt was built to use it. */
#if defined(HAVE_CPUID_INTEL) && defined(WOLFSSL_AESNI)
static bool
has_aes(void)
{
	return IS_INTEL_AESNI(cpuid_get_flags()) != 0;
}
#elif defined(HAVE_CPUID_AARCH64) && defined(WOLFSSL_ARMASM)
static bool
has_aes(void)
{
	return IS_AARCH64_AES(cpuid_get_flags()) != 0;
}
#else
static bool
has_aes(void)
{
	return false;
}
#endif

enum aead_cipher
aead_preferred(void)
{
	return has_aes() ? AEAD_AESGCM : AEAD_CHACHAPOLY;
}

static int
aes_set(Aes *aes, const uint8_t key[AEAD_KEY_LEN])
{
	if (wc_AesInit(aes, NULL, INVALID_DEVID) != 0)
		return -1;
	if (wc_AesGcmSetKey(aes, key, AEAD_KEY_LEN) == 0)
		return 0;
	wc_AesFree(aes);
	return -1;
}

int
aead_key_ready(struct aead_key *k)
{
	Aes *aes;

	if (k->cipher != AEAD_AESGCM || k->aes != NULL)
		return 0;
	if ((aes = calloc(1, sizeof(*aes))) == NULL)
		return -1;
	if (aes_set(aes, k->key) == -1) {
		crypto_wipe(aes, sizeof(*aes));
		free(aes);
		return -1;
	}
	k->aes = aes;
	return 0;
}

void
aead_key_trim(struct aead_key *k)
{
	if (k->aes == NULL)
		return;
	wc_AesFree(k->aes);
	crypto_wipe(k->aes, sizeof(*k->aes));	/* the library wipes less than all of it */
	free(k->aes);
	k->aes = NULL;
}

struct aead_key *
aead_key_new(enum aead_cipher cipher, const uint8_t key[AEAD_KEY_LEN])
{
	struct aead_key *k;

	if ((unsigned)cipher >= AEAD_COUNT || (k = calloc(1, sizeof(*k))) == NULL)
		return NULL;
	k->cipher = cipher;
	memcpy(k->key, key, sizeof(k->key));
	if (aead_key_ready(k) == 0)
		return k;
	aead_key_free(k);
	return NULL;
}

void
aead_key_free(struct aead_key *k)
{
	if (k == NULL)
		return;
	aead_key_trim(k);
	crypto_wipe(k, sizeof(*k));
	free(k);
}

/* Section 12.3: 32 zero bits, then the nonce little endian; section 12.4: big endian. */
static void
nonce_put(uint8_t out[NONCE_LEN], enum aead_cipher cipher, uint64_t nonce)
{
	memset(out, 0, 4);
	for (unsigned i = 0; i < 8; i++)
		out[4 + i] = (uint8_t)(nonce >> 8 * (cipher == AEAD_AESGCM ? 7 - i : i));
}

int
aead_seal(struct aead_key *k, uint64_t nonce, const void *ad, size_t ad_len, uint8_t *out, const uint8_t *in,
    size_t len)
{
	uint8_t iv[NONCE_LEN];
	int err;

	if (len > AEAD_LEN_MAX || ad_len > AEAD_LEN_MAX || aead_key_ready(k) == -1)
		return -1;
	if (len == 0)
		in = out;		/* the library wants a place, if only to leave it alone */
	nonce_put(iv, k->cipher, nonce);
	if (k->cipher == AEAD_AESGCM)
		err = wc_AesGcmEncrypt(k->aes, out, in, (word32)len, iv, sizeof(iv), out + len, AEAD_TAG_LEN,
		    ad, (word32)ad_len);
	else
		err = wc_ChaCha20Poly1305_Encrypt(k->key, iv, ad, (word32)ad_len, in, (word32)len, out, out + len);
	return err == 0 ? 0 : -1;
}

int
aead_open(struct aead_key *k, uint64_t nonce, const void *ad, size_t ad_len, uint8_t *out, const uint8_t *in,
    size_t len)
{
	uint8_t iv[NONCE_LEN], nothing;
	size_t text;
	int err;

	if (len < AEAD_TAG_LEN || len - AEAD_TAG_LEN > AEAD_LEN_MAX || ad_len > AEAD_LEN_MAX ||
	    aead_key_ready(k) == -1)
		return -1;
	text = len - AEAD_TAG_LEN;
	if (text == 0)
		out = &nothing;		/* as above */
	nonce_put(iv, k->cipher, nonce);
	if (k->cipher == AEAD_AESGCM)
		err = wc_AesGcmDecrypt(k->aes, out, in, (word32)text, iv, sizeof(iv), in + text, AEAD_TAG_LEN,
		    ad, (word32)ad_len);
	else
		err = wc_ChaCha20Poly1305_Decrypt(k->key, iv, ad, (word32)ad_len, in, (word32)text, in + text, out);
	if (err == 0)
		return 0;
	crypto_wipe(out, text);		/* AES with its instructions has written it all the same */
	return -1;
}

int
aead_rekey(uint8_t next[AEAD_KEY_LEN], struct aead_key *k)
{
	static const uint8_t zeros[AEAD_KEY_LEN];
	uint8_t sealed[AEAD_KEY_LEN + AEAD_TAG_LEN];
	int rv;

	rv = aead_seal(k, AEAD_NONCE_REKEY, NULL, 0, sealed, zeros, sizeof(zeros));
	if (rv == 0)
		memcpy(next, sealed, AEAD_KEY_LEN);
	crypto_wipe(sealed, sizeof(sealed));
	return rv;
}
