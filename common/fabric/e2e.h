/*
 * The handshake between two adapters, end to end, and who each of them is: fabric-e2e(7).
 *
 * The opener has the acceptor's service record, with its X25519 key, and puts message 1 into OPEN_STREAM; it holds the
 * opener's membership and the delegation of the very key that the handshake proves, and the adapter's own few bytes.
 * Message 2 comes back as the first of the stream and holds the acceptor's membership. Then both have keys for seal.h.
 *
 * Times are seconds since 1970. Reasons are enum fabric_reason: REASON_NONE when all is well, the REASON_AUTH_* of
 * auth_check() for what records say, REASON_AUTH_PROOF when a message does not open: changed, or made for another key,
 * service, node or kind of stream; REASON_INTERNAL when memory is short.
 *
 * Message 1 can be sent again by who has seen it (noise.h says what that means): the acceptor answers, but only with the
 * first sealed bytes that open does it know that the opener is there. Whether app bytes came before is the adapter's to
 * know.
 */
#ifndef FABRIC_E2E_H
#define FABRIC_E2E_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crypto/aead.h"
#include "crypto/identity.h"
#include "crypto/noise.h"

#define E2E_APP_MAX	64u	/* the adapter's bytes in message 1 */
#define E2E_MESSAGE_MAX	FRAME_NOISE_MAX	/* of either message */
#define E2E_RECORDS_MAX	(E2E_MESSAGE_MAX - 1 - NOISE_1_OVERHEAD - 1 - E2E_APP_MAX) /* membership and delegation */
#define E2E_KEY_ID_LEN	8u

/* An adapter's own half. Wiped by e2e_self_wipe(). */
struct e2e_self {
	struct noise_key key;
	uint8_t		 node_id[NODE_ID_LEN];
	uint8_t		 authority[SIGN_PUBLIC_LEN];
	struct tenants	 tenants;			/* whose members it shakes hands with */
	size_t		 membership_len, delegation_len;	/* 0: none yet */
	uint8_t		 records[E2E_RECORDS_MAX];		/* membership, then delegation */
	uint64_t	 not_after;				/* the earlier end of both */
};

/* Makes the key; there is no delegation yet. -1 when the library fails. */
int	e2e_self_init(struct e2e_self *);
void	e2e_self_wipe(struct e2e_self *);

/* From the configuration. Another node id, authority or tenant forgets the delegation, and which others are met. */
void	e2e_self_node(struct e2e_self *, const uint8_t node_id[NODE_ID_LEN], const uint8_t authority[SIGN_PUBLIC_LEN],
	    const char *tenant);

/* From PM_TENANTS: with whom beside its own tenant it shakes hands. -1: malformed, and nothing has changed. */
int	e2e_self_tenants(struct e2e_self *, bool others, struct frame_bytes list);

/* From PM_DELEGATION; copied. -1: they are not this node's, not for this key, or too long, and nothing has changed. */
int	e2e_self_certify(struct e2e_self *, struct frame_bytes membership, struct frame_bytes delegation);

/* Whether there are records that are valid now. */
bool	e2e_self_ready(const struct e2e_self *, uint64_t now);

/* What a service record says. */
struct e2e_service {
	uint8_t	 node_id[NODE_ID_LEN];
	uint8_t	 node_key[SIGN_PUBLIC_LEN];
	uint8_t	 key[NOISE_DH_LEN];	/* the adapter's */
	char	 name[FRAME_SERVICE_MAX + 1];
	uint8_t	 class;			/* enum traffic_class */
	uint64_t serial, not_before, not_after;
};

/*
 * Checks a service record: that it is one, signed by the key that it names, valid now, for no longer than a delegation
 * may be. That its node is a member is proven by message 2, not here. Fills `s` and returns REASON_NONE, or
 * REASON_AUTH_RECORD (which is also for another kind), _EXPIRED, _NOT_YET, _DELEGATION (too long).
 */
int	e2e_service_check(struct e2e_service *s, const uint8_t *record, size_t len, uint64_t now);

/* What a handshake gives. Wiped by e2e_keys_wipe(). */
struct e2e_keys {
	enum aead_cipher cipher;
	uint8_t	tx[AEAD_KEY_LEN], rx[AEAD_KEY_LEN];	/* what we seal with, what we open with */
	uint8_t	id[E2E_KEY_ID_LEN];			/* a name for them that both ends have, no secret */
};
void	e2e_keys_wipe(struct e2e_keys *);

/*
 * Keys of one of many streams under one handshake: `counter` is used once, `class` is the stream's. Both ends say the
 * same and get each other's. -1 when the library fails.
 */
int	e2e_keys_derive(struct e2e_keys *out, const struct e2e_keys *, uint64_t counter, uint8_t class);

struct e2e;	/* a handshake under way */
void	e2e_free(struct e2e *);	/* wipes it; NULL is fine */

/*
 * Opener: writes message 1 to `out` (E2E_MESSAGE_MAX) and its length to *len. `flags` is OPEN_STREAM's. `app` is for the
 * other adapter, at most E2E_APP_MAX bytes. NULL when self is not ready, the service's key is none, or memory is short.
 */
struct e2e *e2e_open(const struct e2e_self *, const struct e2e_service *, uint8_t flags, const void *app, size_t app_len,
	    uint8_t *out, size_t *len, uint64_t now);

/* Opener: message 2. Fills keys and peer, who is the service's node, or says why not. The handshake is over either way. */
int	e2e_finish(struct e2e *, const struct e2e_self *, const uint8_t *message, size_t len, uint64_t now,
	    struct e2e_keys *, struct peer_identity *);

/* What message 1 says. */
struct e2e_hello {
	struct peer_identity peer;	/* proven */
	uint8_t	 app[E2E_APP_MAX];
	size_t	 app_len;
};

/*
 * Acceptor: message 1 of an OPEN_STREAM for `service` with `flags`. `source` is the node that the dataplane names, and
 * has to be the one that is proven (else REASON_AUTH_NODE); NULL when it is not known. On REASON_NONE fills *hello, and
 * *e2e is for e2e_answer(); else it is NULL. REASON_UNSUPPORTED: a cipher that is not known.
 */
int	e2e_accept(struct e2e **, const struct e2e_self *, const char *service, uint8_t flags, const uint8_t *source,
	    const uint8_t *message, size_t len, uint64_t now, struct e2e_hello *hello);

/*
 * Acceptor, once it has decided that the peer may: writes message 2 to `out` (E2E_MESSAGE_MAX), its length to *len, and
 * fills keys. -1 when the library fails. The handshake is over either way.
 */
int	e2e_answer(struct e2e *, const struct e2e_self *, uint8_t *out, size_t *len, struct e2e_keys *);

#endif
