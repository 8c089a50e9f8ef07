/*
 * ngtcp2's helper goes through wolfSSL's EVP layer, which allocates and copies every packet: a quarter of the
 * time a packet costs. The EVP context holds an ordinary wolfCrypt key, so AES-GCM and the AES of header
 * protection are called directly; any other suite takes the helper's way.
 */
#include "fabricd/dataplane/protect.h"

#include <ngtcp2/ngtcp2_crypto.h>

#include <wolfssl/options.h>
#include <wolfssl/openssl/evp.h>
#include <wolfssl/wolfcrypt/aes.h>

#define TAG_LEN 16

static int
encrypt_cb(uint8_t *dest, const ngtcp2_crypto_aead *aead, const ngtcp2_crypto_aead_ctx *ctx,
    const uint8_t *plain, size_t len, const uint8_t *nonce, size_t nonce_len, const uint8_t *aad, size_t aad_len)
{
	WOLFSSL_EVP_CIPHER_CTX *evp = ctx->native_handle;

	if (evp->cipherType != WC_AES_128_GCM_TYPE && evp->cipherType != WC_AES_256_GCM_TYPE)
		return ngtcp2_crypto_encrypt_cb(dest, aead, ctx, plain, len, nonce, nonce_len, aad, aad_len);
	if (wc_AesGcmEncrypt(&evp->cipher.aes, dest, plain, (word32)len, nonce, (word32)nonce_len,
	    dest + len, TAG_LEN, aad, (word32)aad_len) != 0)
		return NGTCP2_ERR_CALLBACK_FAILURE;
	return 0;
}

static int
decrypt_cb(uint8_t *dest, const ngtcp2_crypto_aead *aead, const ngtcp2_crypto_aead_ctx *ctx,
    const uint8_t *cipher, size_t len, const uint8_t *nonce, size_t nonce_len, const uint8_t *aad, size_t aad_len)
{
	WOLFSSL_EVP_CIPHER_CTX *evp = ctx->native_handle;

	if (evp->cipherType != WC_AES_128_GCM_TYPE && evp->cipherType != WC_AES_256_GCM_TYPE)
		return ngtcp2_crypto_decrypt_cb(dest, aead, ctx, cipher, len, nonce, nonce_len, aad, aad_len);
	if (len < TAG_LEN)
		return NGTCP2_ERR_DECRYPT;
	len -= TAG_LEN;
	if (wc_AesGcmDecrypt(&evp->cipher.aes, dest, cipher, (word32)len, nonce, (word32)nonce_len,
	    cipher + len, TAG_LEN, aad, (word32)aad_len) != 0)
		return NGTCP2_ERR_DECRYPT;
	return 0;
}

static int
hp_mask_cb(uint8_t *dest, const ngtcp2_crypto_cipher *hp, const ngtcp2_crypto_cipher_ctx *ctx, const uint8_t *sample)
{
	WOLFSSL_EVP_CIPHER_CTX *evp = ctx->native_handle;

	if (evp->cipherType != WC_AES_128_ECB_TYPE && evp->cipherType != WC_AES_256_ECB_TYPE)
		return ngtcp2_crypto_hp_mask_cb(dest, hp, ctx, sample);
	return wc_AesEncryptDirect(&evp->cipher.aes, dest, sample) == 0 ? 0 : NGTCP2_ERR_CALLBACK_FAILURE;
}

void
protect_callbacks(ngtcp2_callbacks *cb)
{
	cb->encrypt = encrypt_cb;
	cb->decrypt = decrypt_cb;
	cb->hp_mask = hp_mask_cb;
}
