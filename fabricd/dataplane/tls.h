/* wolfSSL for QUIC: TLS 1.3 with a self-made certificate. Who a peer is, AUTH proves; TLS only carries it. */
#ifndef DATAPLANE_TLS_H
#define DATAPLANE_TLS_H

#include <stddef.h>
#include <stdint.h>

#include <wolfssl/options.h>
#include <wolfssl/ssl.h>

#include "crypto/crypto.h"

#define TLS_ALPN "fabric/1"

struct tls;

/* Makes both contexts; the certificate is for `key`. NULL when the library fails. */
struct tls *tls_new(const struct sign_key *key);
void	tls_free(struct tls *);

/* A TLS connection for the server (or client) side of QUIC, that can give the exporter. NULL when memory is short. */
WOLFSSL	*tls_session(struct tls *, int server);

/* An exporter: the one that AUTH binds to, the keys of express packets. 0 or -1. */
int	tls_exporter(WOLFSSL *, const char *label, uint8_t *out, size_t len);

/* No more will be asked for: gives the arrays back that were kept for them. */
void	tls_exported(WOLFSSL *);

const char *tls_group(WOLFSSL *);
const char *tls_cipher(WOLFSSL *);

#endif
