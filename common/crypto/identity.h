/* Who a node is: ids, records that verify, and the proof in AUTH. */
#ifndef CRYPTO_IDENTITY_H
#define CRYPTO_IDENTITY_H

#include "crypto/crypto.h"
#include "wire/record.h"
#include "wire/tenants.h"

#define EXPORTER_LEN	32
#define EXPORTER_LABEL	"EXPORTER-fabric-auth"
#define CLOCK_SKEW_S	120	/* how far a record may lie in the future */
#define DELEGATION_MAX_S (7 * 86400) /* a delegated key that lives longer is refused: it has to die soon */

/* Node id: SHA-256 of the public key. */
void	node_id_from_key(uint8_t id[NODE_ID_LEN], const uint8_t public[SIGN_PUBLIC_LEN]);

/* The node's overlay IPv6 address: fd, the first 3 bytes of SHA-256(authority key), the first 12 bytes of the node id. */
void	node_overlay_addr6(uint8_t addr[16], const uint8_t authority[SIGN_PUBLIC_LEN], const uint8_t id[NODE_ID_LEN]);
#define OVERLAY_PREFIX6_LEN 32	/* the fabric's own IPv6 prefix: the first four bytes of the above */

/*
 * Encodes and signs r with k (r->issuer is set to k's public key). Returns the whole record's length, or 0 when
 * it does not fit, is not one that decode accepts, or does not begin before it ends.
 */
size_t	record_sign(uint8_t *buf, size_t size, struct record *r, const struct sign_key *k);

/* 0 when r's signature by r->issuer is good. */
int	record_verify(const struct record *r);

/* What a peer proved. Copied out: it lives on after the frame. */
struct peer_identity {
	uint8_t		node_id[NODE_ID_LEN];
	uint8_t		node_key[SIGN_PUBLIC_LEN];
	char		name[RECORD_NAME_MAX + 1];
	char		tenant[RECORD_TENANT_MAX + 1];
	uint32_t	roles;
	uint8_t		tier;
	uint8_t		nprefixes;
	struct record_prefix prefixes[RECORD_ADDRS_MAX];
	uint64_t	not_after;	/* the earlier end of membership and delegation */
};

/*
 * What auth_check() is made of, for others that a peer shows its records. Each returns a reason, found in this order:
 * the authority's word about a node: AUTH_AUTHORITY, AUTH_RECORD, AUTH_EXPIRED, AUTH_NOT_YET, AUTH_TENANT; the word of
 * `m`, whom it is about, for a key of its own: AUTH_DELEGATION, AUTH_RECORD, AUTH_DELEGATION (purpose or length),
 * AUTH_EXPIRED, AUTH_NOT_YET; and of any record, that it is valid at `now`: AUTH_EXPIRED, AUTH_NOT_YET. `tenants` NULL: any.
 */
int	identity_membership(const struct record *m, const uint8_t authority[SIGN_PUBLIC_LEN], const struct tenants *tenants,
	    uint64_t now);
int	identity_delegation(const struct record *d, const struct record *m, unsigned purpose, uint64_t now);
int	identity_time(const struct record *, uint64_t now);

/* From a membership that was checked; not_after is the earlier end of it and of `other`. */
void	identity_fill(struct peer_identity *, const struct record *m, const struct record *other);

/* What both ends bind: see fabric-frame(5), "Proof". */
struct auth_transcript {
	const uint8_t	*exporter;		/* EXPORTER_LEN bytes from the carrier's TLS */
	struct frame_bytes hello_initiator;	/* whole HELLO frames as sent */
	struct frame_bytes hello_responder;
	uint32_t	 version;		/* the version chosen from both */
};

/*
 * Signs as initiator (role 'I') or responder (role 'R') with the delegated session key. a's records must be set,
 * its signature is not read. The bytes signed: "fabric auth v1" NUL, role, exporter, SHA-256 of the initiator's
 * HELLO, SHA-256 of the responder's, version (4 bytes, big endian), SHA-256 of membership followed by delegation.
 */
int	auth_proof_make(uint8_t sig[SIGN_LEN], char role, const struct auth_transcript *t,
	    const struct frame_auth *a, const struct sign_key *session_key);

/*
 * Checks all of a peer's AUTH: both records decode and verify, membership by `authority` for one of `tenants`,
 * delegation by the member for PURPOSE_SESSION, both valid at `now` (seconds), HELLO's node id is the member's,
 * and the proof. `role` is the peer's. Returns REASON_NONE and fills `id`, or what was wrong, found in this order:
 *
 *	AUTH_RECORD	a record does not decode, or its signature is bad
 *	AUTH_AUTHORITY	the membership is none, or another authority's
 *	AUTH_EXPIRED	now >= not_after, of either record
 *	AUTH_NOT_YET	not_before lies more than CLOCK_SKEW_S ahead, of either record
 *	AUTH_TENANT	the membership is for a tenant that is not met
 *	AUTH_NODE	HELLO's node id is not the member's
 *	AUTH_DELEGATION	it is none, or issued by somebody else, for another purpose, or for longer than DELEGATION_MAX_S
 *	AUTH_PROOF	the signature over this connection is not the delegated key's
 */
int	auth_check(struct peer_identity *id, const struct frame_auth *a, char role, const struct auth_transcript *t,
	    const uint8_t *hello_node_id, const uint8_t authority[SIGN_PUBLIC_LEN], const struct tenants *tenants, uint64_t now);

#endif
