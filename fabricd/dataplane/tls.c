#include "fabricd/dataplane/tls.h"

#include <stdlib.h>
#include <string.h>

#include <ngtcp2/ngtcp2_crypto_wolfssl.h>
#include <wolfssl/wolfcrypt/asn_public.h>
#include <wolfssl/wolfcrypt/ed25519.h>

#include "base/log.h"

#define DER_MAX 1024

struct tls {
	WOLFSSL_CTX *server, *client;
};

/* The fabric's own peers only: the strongest exchange first, one that any build has second. */
static int groups[] = { WOLFSSL_X25519MLKEM768, WOLFSSL_ECC_X25519 };

#define CIPHERS "TLS13-AES128-GCM-SHA256:TLS13-CHACHA20-POLY1305-SHA256:TLS13-AES256-GCM-SHA384"

/* A certificate says nothing here: AUTH, bound to this very connection by the exporter, says who the peer is. */
static int
accept_any(int preverify, WOLFSSL_X509_STORE_CTX *store)
{
	(void)preverify;
	(void)store;
	return 1;
}

static int
cert_make(ed25519_key *key, uint8_t *der, size_t size)
{
	WC_RNG rng;
	Cert cert;
	int len = -1;

	if (wc_InitRng(&rng) != 0)
		return -1;
	if (wc_InitCert(&cert) == 0) {
		/* Names nobody: the dialled learn who dials, and the reverse, only under encryption. */
		strcpy(cert.subject.commonName, "fabric");
		cert.sigType = CTC_ED25519;
		cert.selfSigned = 1;
		cert.isCA = 0;
		cert.daysValid = 3650;
		if (wc_MakeCert_ex(&cert, der, (word32)size, ED25519_TYPE, key, &rng) > 0)
			len = wc_SignCert_ex(cert.bodySz, cert.sigType, der, (word32)size, ED25519_TYPE, key, &rng);
	}
	wc_FreeRng(&rng);
	return len > 0 ? len : -1;
}

static int
key_load(ed25519_key *key, const struct sign_key *k)
{
	return wc_ed25519_import_private_key_ex(k->secret, SIGN_SECRET_LEN, k->public, SIGN_PUBLIC_LEN, key, 0) == 0 ?
	    0 : -1;
}

static int
cert_use(WOLFSSL_CTX *ctx, const struct sign_key *k)
{
	uint8_t cert[DER_MAX], secret[DER_MAX];
	ed25519_key key;
	int cert_len, secret_len, rv = -1;

	if (wc_ed25519_init(&key) != 0)
		return -1;
	if (key_load(&key, k) == -1 || (cert_len = cert_make(&key, cert, sizeof(cert))) == -1)
		goto done;
	if ((secret_len = wc_Ed25519KeyToDer(&key, secret, sizeof(secret))) <= 0)
		goto done;
	if (wolfSSL_CTX_use_certificate_buffer(ctx, cert, cert_len, WOLFSSL_FILETYPE_ASN1) == WOLFSSL_SUCCESS &&
	    wolfSSL_CTX_use_PrivateKey_buffer(ctx, secret, secret_len, WOLFSSL_FILETYPE_ASN1) == WOLFSSL_SUCCESS)
		rv = 0;
	crypto_wipe(secret, sizeof(secret));
done:
	wc_ed25519_free(&key);
	return rv;
}

static int
ctx_common(WOLFSSL_CTX *ctx, const struct sign_key *key)
{
	if (wolfSSL_CTX_set_cipher_list(ctx, CIPHERS) != WOLFSSL_SUCCESS ||
	    wolfSSL_CTX_set_groups(ctx, groups, sizeof(groups) / sizeof(groups[0])) != WOLFSSL_SUCCESS)
		return -1;
	/* Sessions are few and long: nothing is resumed, so nothing can be replayed or linked. */
	if (wolfSSL_CTX_no_ticket_TLSv13(ctx) < 0)
		log_debug("tls tickets=unknown");
	wolfSSL_CTX_set_session_cache_mode(ctx, WOLFSSL_SESS_CACHE_OFF);
	return cert_use(ctx, key);
}

static WOLFSSL_CTX *
server_new(const struct sign_key *key)
{
	WOLFSSL_CTX *ctx = wolfSSL_CTX_new(wolfTLSv1_3_server_method());

	if (ctx == NULL)
		return NULL;
	if (ngtcp2_crypto_wolfssl_configure_server_context(ctx) != 0 || ctx_common(ctx, key) == -1) {
		wolfSSL_CTX_free(ctx);
		return NULL;
	}
	wolfSSL_CTX_set_verify(ctx, WOLFSSL_VERIFY_NONE, NULL);
	return ctx;
}

static WOLFSSL_CTX *
client_new(const struct sign_key *key)
{
	WOLFSSL_CTX *ctx = wolfSSL_CTX_new(wolfTLSv1_3_client_method());

	if (ctx == NULL)
		return NULL;
	if (ngtcp2_crypto_wolfssl_configure_client_context(ctx) != 0 || ctx_common(ctx, key) == -1) {
		wolfSSL_CTX_free(ctx);
		return NULL;
	}
	wolfSSL_CTX_set_verify(ctx, WOLFSSL_VERIFY_PEER, accept_any);
	return ctx;
}

struct tls *
tls_new(const struct sign_key *key)
{
	struct tls *t;

	if (wolfSSL_Init() != WOLFSSL_SUCCESS || (t = calloc(1, sizeof(*t))) == NULL)
		return NULL;
	if ((t->server = server_new(key)) == NULL || (t->client = client_new(key)) == NULL) {
		tls_free(t);
		return NULL;
	}
	return t;
}

void
tls_free(struct tls *t)
{
	if (t == NULL)
		return;
	wolfSSL_CTX_free(t->server);
	wolfSSL_CTX_free(t->client);
	free(t);
}

WOLFSSL *
tls_session(struct tls *t, int server)
{
	static char alpn[] = TLS_ALPN;
	WOLFSSL *ssl = wolfSSL_new(server ? t->server : t->client);

	if (ssl == NULL)
		return NULL;
	wolfSSL_KeepArrays(ssl);
	wolfSSL_set_quic_transport_version(ssl, NGTCP2_TLSEXT_QUIC_TRANSPORT_PARAMETERS_V1);
	if (wolfSSL_UseALPN(ssl, alpn, sizeof(alpn) - 1, WOLFSSL_ALPN_FAILED_ON_MISMATCH) != WOLFSSL_SUCCESS)
		goto fail;
	if (server) {
		wolfSSL_set_accept_state(ssl);
		return ssl;
	}
	wolfSSL_set_connect_state(ssl);
	if (wolfSSL_UseKeyShare(ssl, WOLFSSL_X25519MLKEM768) != WOLFSSL_SUCCESS)
		goto fail;
	return ssl;
fail:
	wolfSSL_free(ssl);
	return NULL;
}

int
tls_exporter(WOLFSSL *ssl, const char *label, uint8_t *out, size_t len)
{
	int ok = wolfSSL_export_keying_material(ssl, out, len, label, strlen(label), NULL, 0, 0);

	return ok == WOLFSSL_SUCCESS ? 0 : -1;
}

void
tls_exported(WOLFSSL *ssl)
{
	wolfSSL_FreeArrays(ssl);
}

const char *
tls_group(WOLFSSL *ssl)
{
	const char *name = wolfSSL_get_curve_name(ssl);

	return name == NULL ? "unknown" : name;
}

const char *
tls_cipher(WOLFSSL *ssl)
{
	const char *name = wolfSSL_get_cipher_name(ssl);

	return name == NULL ? "unknown" : name;
}
