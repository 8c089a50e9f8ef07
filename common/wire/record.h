/*
 * Records: the one signed, versioned TLV statement. fabric-record(5) is normative.
 *
 *	magic "FR", version (1 byte, 1), kind (1 byte), body length (varint), body (TLV), signature (64)
 *
 * The signature is Ed25519 over "fabric record v1" NUL, then all bytes from the magic to the body's end.
 * This file parses and builds; who may sign what is decided by the caller (crypto/identity.h).
 */
#ifndef WIRE_RECORD_H
#define WIRE_RECORD_H

#include "wire/frame.h"

#define RECORD_SIG_LEN	64
#define RECORD_KEY_LEN	32
#define RECORD_NAME_MAX	63
#define RECORD_TENANT_MAX 63
#define RECORD_ADDRS_MAX 8

enum record_kind {
	RECORD_REQUEST = 1,	/* node, self-signed: asks for a membership */
	RECORD_MEMBERSHIP,	/* authority -> node */
	RECORD_DELEGATION,	/* node -> a worker's key */
	RECORD_SERVICE,		/* node: this service of mine is answered with this X25519 key */
	/* Signed by routed's delegated key (PURPOSE_ROUTE); what they say is in their content. */
	RECORD_NODE,		/* what a node is and measures: fabric/facts.h */
	RECORD_TICKET,		/* one hop's share of a lease: fabric/ticket.h */
	RECORD_FENCE,		/* a coordinator: no lease older than this is honoured: fabric/ticket.h */
	RECORD_ROUTE_REQUEST,	/* a node asks a coordinator for routes: routed/dirmsg.h */
	RECORD_RECEIPT,		/* one end of a hop: so much was relayed for this tenant: routed/usage.h */
	/* Signed by the authority. */
	RECORD_POLICY,		/* compiled: fabric/policy.h */
	RECORD_REVOCATION,	/* node ids that are members no more, 32 bytes each, ascending */
	RECORD_KIND_COUNT
};

enum record_purpose {		/* of a delegated key */
	PURPOSE_SESSION = 1,	/* the dataplane's: TLS certificate and AUTH */
	PURPOSE_E2E,		/* an adapter's X25519 key: streams sealed end to end */
	PURPOSE_ROUTE,		/* routed's Ed25519 key: node records, tickets, fences, requests, receipts */
	PURPOSE_TICKET,		/* routed's X25519 key: tickets and answers are sealed to it */
	PURPOSE_COUNT
};

enum node_role {
	ROLE_MOBILE_EDGE, ROLE_ENTRY, ROLE_RELAY, ROLE_EXIT, ROLE_SERVICE_HOST, ROLE_CONTROL_PLANE,
	ROLE_ROUTE_COORDINATOR, ROLE_STORAGE, ROLE_OBSERVER, ROLE_UPDATE_CACHE,
	ROLE_COUNT
};

struct record_prefix {
	uint8_t	family;		/* 4 or 6 */
	uint8_t	len;		/* prefix length in bits; bits beyond it are zero */
	uint8_t	addr[16];	/* network order; IPv4 in the first four bytes */
};

#define RECORD_TIME_MAX	253402300799ull	/* 9999-12-31T23:59:59Z */

/*
 * One decoded record; pointers point into the input. Every kind has issuer, subject, serial, not_before and
 * not_after (later than not_before); which others it has, all of them required unless said, is noted here.
 * Fields that a kind does not have are zero after decoding and are not written by encoding.
 */
struct record {
	enum record_kind kind;
	bool		 params_skipped;/* an unknown field from 0x40 on was skipped */
	const uint8_t	*issuer;	/* public key that signed: RECORD_KEY_LEN */
	const uint8_t	*subject;	/* public key it is about: RECORD_KEY_LEN; in a request the issuer's own. X25519 in a
					   service and in a delegation for PURPOSE_E2E or PURPOSE_TICKET, else
					   Ed25519 */
	uint64_t	 serial;	/* grows with each that an issuer gives a subject */
	uint64_t	 not_before;	/* seconds since 1970 */
	uint64_t	 not_after;	/* at most RECORD_TIME_MAX */
	char		 name[RECORD_NAME_MAX + 1];	/* request, membership: [a-z0-9][a-z0-9.-]*; service: without dots */
	char		 tenant[RECORD_TENANT_MAX + 1];	/* membership: as name */
	uint32_t	 roles;		/* membership: 1 << enum node_role; unknown bits are kept and grant nothing */
	uint8_t		 tier;		/* membership: trust tier 0..9 */
	struct record_prefix prefixes[RECORD_ADDRS_MAX];/* membership: overlay prefixes that are the node's own */
	uint8_t		 nprefixes;	/* may be 0 */
	uint8_t		 purpose;	/* delegation: enum record_purpose */
	uint8_t		 class;		/* service: enum traffic_class, which its streams have unless they say otherwise */
	struct frame_bytes content;	/* node and all after it: what it says, not looked into here; not empty */
	struct frame_bytes signed_part;	/* what the signature covers, without the domain string */
	const uint8_t	*signature;
	struct frame_bytes raw;
};

enum record_error {
	RECORD_OK = 0,
	RECORD_E_MAGIC = -101, RECORD_E_VERSION = -102, RECORD_E_KIND = -103,
	RECORD_E_LENGTH = -104,	/* truncated, above FRAME_RECORD_MAX, or a length not in its shortest form */
	RECORD_E_FIELD = -105,	/* a field that this kind does not have, or outside its range */
	RECORD_E_MISSING = -106,
	RECORD_E_TLV = -107,	/* the list: order, truncation, varints, an unknown tag below 0x40 */
	RECORD_E_NAME = -108,	/* name or tenant */
	RECORD_E_TIME = -109,	/* not_after is not later than not_before, or above RECORD_TIME_MAX */
	RECORD_E_PREFIX = -110, RECORD_E_TRAILING = -111,
};

#define RECORD_DOMAIN "fabric record v1"	/* signed with its NUL */

/* Bytes of a whole record of this kind, at most: FRAME_RECORD_MAX, and RECORD_LARGE_MAX for policy and revocation. */
size_t	record_max(unsigned kind);
#define RECORD_LARGE_MAX	65536

/* Decodes the one record that fills buf exactly. RECORD_OK or a record_error. Checks no signature. */
int	record_decode(struct record *r, const uint8_t *buf, size_t len);

/* As record_decode(), but other bytes may follow; r->raw.len tells the record's length. */
int	record_decode_first(struct record *r, const uint8_t *buf, size_t len);

/*
 * Encodes all but the signature into `size` bytes. Returns the length (the signature belongs right behind
 * it, and is the caller's to find room for), or 0 when it does not fit or decode would refuse it.
 */
size_t	record_encode(uint8_t *buf, size_t size, const struct record *r);

/* A revocation's content: how many node ids it has; -1 when it is not ids of NODE_ID_LEN bytes, ascending, none twice. */
int	record_revoked_count(const struct record *r);

/* Whether a revocation whose content is sound has this id. */
bool	record_revokes(const struct record *r, const uint8_t *node_id);

const char *record_strerror(int err);
const char *record_kind_name(unsigned kind);
const char *record_purpose_name(unsigned purpose);
const char *role_name(unsigned role);		/* "mobile-edge", ... */
int	role_parse(const char *name);		/* enum node_role or -1 */

#endif
