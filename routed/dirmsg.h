/*
 * The messages between routed and routed, which travel over the mesh (routed/mesh.h): their numbers, and the codec of
 * those that spread the directory. routed(8), "MESSAGES", is normative. Decoded fields are borrowed from the body.
 *
 * Numbers below 0x40 have to be known: who does not breaks the stream off. From there on they are skipped.
 */
#ifndef ROUTED_DIRMSG_H
#define ROUTED_DIRMSG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proc/procmsg.h"
#include "wire/record.h"

enum dirmsg_type {
	DIRMSG_HELLO = 1,	/* the first of each side's */
	DIRMSG_DIGEST,		/* what I know, in short */
	DIRMSG_HAVE,		/* of these nodes I know a record with this serial */
	DIRMSG_WANT,		/* send me these */
	DIRMSG_ITEM,		/* what I know of one node */
	DIRMSG_SIGNED,		/* a policy, a revocation or a fence */
	DIRMSG_QUERY,		/* tell me of this node, and of what changes about it */
	/* routes: routed/install.h and routed/coordinator.h have their bodies */
	DIRMSG_ROUTE_REQUEST = 0x10,
	DIRMSG_ROUTE_ANSWER,
	DIRMSG_INSTALL,
	DIRMSG_INSTALLED,
	DIRMSG_TEARDOWN,
	DIRMSG_RECEIPT,
	DIRMSG_ROUTE_LAST = 0x1f,
	DIRMSG_SKIP = 0x40
};

#define DIRMSG_VERSION		1u
#define DIRMSG_BUCKETS		256u	/* of a digest: by the first byte of the node id */
#define DIRMSG_HAVE_MAX		256u	/* nodes in one HAVE or WANT */
#define DIRMSG_TTL_MAX		4u	/* of a QUERY: how often it is handed on */

struct dirmsg_hello {
	uint32_t version;
	bool	 leaf;			/* tell me only what a leaf needs */
	uint64_t wall;			/* seconds since 1970, by the sender's clock */
	struct pm_addr seen;		/* where the sender sees the receiver; family 0: it does not say */
};

struct dirmsg_digest {
	uint64_t policy, revocation;	/* serials; 0: none */
	uint64_t fences;		/* sum over those that are in force */
	uint64_t nodes;
	uint64_t bucket[DIRMSG_BUCKETS];
};

struct dirmsg_have {			/* HAVE, and WANT, where a serial is what the sender has: 0 for nothing */
	uint16_t n;
	struct { uint8_t node_id[NODE_ID_LEN]; uint64_t serial; } v[DIRMSG_HAVE_MAX];
};

/* Whole records. A part that is empty is not sent: the receiver has it, or there is none. */
struct dirmsg_item {
	struct frame_bytes membership, route, ticket;	/* the delegations */
	struct frame_bytes record;			/* RECORD_NODE */
	struct frame_bytes services;			/* back to back */
	bool	 has_services;				/* `services' is all that it has, also when that is nothing */
};

struct dirmsg_query {
	uint8_t	 ttl;
	bool	 by_name;
	uint8_t	 node_id[NODE_ID_LEN];
	char	 name[RECORD_NAME_MAX + 1];
};

/*
 * The first message of what came on a mesh stream: type and length as varints, then the body, of at most MESH_BODY_MAX bytes.
 * 1, 0 when more has to come, -1 when no message begins so. *whole: its length with the header; *body is borrowed.
 */
int	dirmsg_next(const uint8_t *p, size_t len, uint64_t *type, struct frame_bytes *body, size_t *whole);

/* Each: 0, or a negative frame_error. */
int	dirmsg_hello_decode(struct dirmsg_hello *, const uint8_t *p, size_t len);
int	dirmsg_digest_decode(struct dirmsg_digest *, const uint8_t *p, size_t len);
int	dirmsg_have_decode(struct dirmsg_have *, const uint8_t *p, size_t len);
int	dirmsg_item_decode(struct dirmsg_item *, const uint8_t *p, size_t len);
int	dirmsg_query_decode(struct dirmsg_query *, const uint8_t *p, size_t len);

/* Each: the length, or 0 when it does not fit or decode would refuse it. SIGNED's body is the record alone. */
size_t	dirmsg_hello_encode(uint8_t *buf, size_t size, const struct dirmsg_hello *);
size_t	dirmsg_digest_encode(uint8_t *buf, size_t size, const struct dirmsg_digest *);
size_t	dirmsg_have_encode(uint8_t *buf, size_t size, const struct dirmsg_have *);
size_t	dirmsg_item_encode(uint8_t *buf, size_t size, const struct dirmsg_item *);
size_t	dirmsg_query_encode(uint8_t *buf, size_t size, const struct dirmsg_query *);

const char *dirmsg_name(unsigned type);

#endif
