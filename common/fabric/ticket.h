/*
 * Leases: fabric-lease(5) is normative. A lease is a route from a source to a destination, for a time, with an epoch. Each
 * node on it gets a ticket: a record (RECORD_TICKET) that names only the node before and the node after, signed by the
 * coordinator's route key (or the source's own, see TICKET_SELF), and sealed to the hop's ticket key, so that who carries
 * it sees nothing.
 *
 * A record's subject is the hop's node key: a ticket is for one node. Its serial is the epoch; not_after the hard expiry.
 */
#ifndef FABRIC_TICKET_H
#define FABRIC_TICKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crypto/identity.h"
#include "crypto/noise.h"
#include "wire/record.h"

#define LEASE_HOPS_MAX		6u	/* nodes on a route, source and destination included */
#define LEASE_LIFE_MAX_S	3600u	/* a ticket that is valid for longer is refused */
/* An epoch is a time in ms: above a fence that reaches this far, by a clock that is ahead, a lease still has to be. */
#define LEASE_AHEAD_MAX_S	(LEASE_LIFE_MAX_S + CLOCK_SKEW_S + 60u)
#define LEASE_SERVICES_MAX	8u
#define TICKET_MAX		1024u	/* bytes of a ticket record with its issuer's records, before it is sealed */

enum ticket_place { TICKET_SOURCE, TICKET_RELAY, TICKET_DEST };

struct ticket {
	uint64_t route_id;		/* 1..VARINT_MAX, random */
	uint64_t epoch;			/* the record's serial: of two for the same source and destination, the greater counts */
	uint8_t	 place;			/* enum ticket_place */
	bool	 self;			/* the source issued it itself: direct or over one relay only, no coordinator was there */
	uint8_t	 prev[NODE_ID_LEN];	/* not at the source */
	uint8_t	 next[NODE_ID_LEN];	/* not at the destination */
	uint8_t	 far[NODE_ID_LEN];	/* at the source the destination, at the destination the source; relays have none */
	uint8_t	 classes;		/* 1 << enum traffic_class */
	uint32_t kbps;			/* 0: no limit */
	uint32_t streams;		/* at a time; 0: no limit */
	char	 tenant[RECORD_TENANT_MAX + 1];	/* of the source: what is relayed is accounted to it */
	uint64_t soft;			/* seconds since 1970: renew from then on; not after `hard' */
	uint64_t not_before, hard;	/* the record's not_before and not_after */
	uint8_t	 answer[HASH_LEN];	/* at the source only: what the whole lease must hash to, see lease_check() */
};

/* Why a ticket is not honoured; TICKET_OK is 0. Each has a name and a counter. */
enum ticket_error {
	TICKET_OK,
	TICKET_E_FORM,		/* not a ticket, or a field that its place does not have */
	TICKET_E_SEAL,		/* sealed to another key, or changed on the way */
	TICKET_E_ISSUER,	/* its issuer is not known, is no coordinator, or its key has expired */
	TICKET_E_SIGNATURE,
	TICKET_E_HOP,		/* for another node, or it came from another than the one before */
	TICKET_E_EXPIRED,
	TICKET_E_NOT_YET,
	TICKET_E_LIFETIME,
	TICKET_E_FENCED,
	TICKET_E_REPLAYED,	/* an epoch that was superseded, or a route id that is another's */
	TICKET_E_CLASS,
	TICKET_E_LIMIT,		/* of routes that are kept, or of what this node relays */
	TICKET_E_POLICY,	/* the policy does not let this node relay it, or the source reach the destination */
	TICKET_E_ROLE,		/* this node is not to relay, by its membership or its configuration */
	TICKET_E_REVOKED,	/* a node of it is */
	TICKET_E_COUNT
};
const char *ticket_strerror(unsigned);

/* The content of a ticket record; `r` gets content only. 0 or negative frame_error; the length or 0. */
int	ticket_decode(struct ticket *, const struct record *r);
size_t	ticket_encode(uint8_t *buf, size_t size, const struct ticket *);

/*
 * --- sealed: [the issuer's membership, its delegation,] the ticket, back to back, in a box to the hop's ticket key whose
 * prologue is TICKET_PROLOGUE with its NUL and the route id in eight bytes, big endian ---
 */
#define TICKET_PROLOGUE	"fabric ticket v1"
#define TICKET_SEALED_MAX (TICKET_MAX + NOISE_DH_LEN + AEAD_TAG_LEN)

/* membership and delegation may be empty: the hop knows the issuer. The length, or 0: too long, or the library fails. */
size_t	ticket_seal(uint8_t *buf, size_t size, const uint8_t to[NOISE_DH_LEN], uint64_t route_id,
	    struct frame_bytes membership, struct frame_bytes delegation, struct frame_bytes ticket);

/* Who issued a ticket. */
struct ticket_issuer {
	struct peer_identity who;	/* not_after: the earlier end of membership and delegation */
};

/*
 * What a node knows when it is shown a ticket. The callbacks get `arg'; any but revoked may be NULL: it then never
 * objects. Those that are given a ticket are asked in this order, and only once all that comes before them is good.
 */
struct ticket_ctx {
	const uint8_t	*node_id, *node_key;	/* our own */
	const struct noise_key *keys;		/* our ticket keys that were not yet forgotten, the newest first */
	size_t		 nkeys;
	const uint8_t	*authority;
	const uint8_t	*from;			/* the node id it came from; NULL: it was sealed to us in an answer */
	uint64_t	 route_id;		/* as it came with it */
	uint64_t	 now;			/* seconds since 1970 */
	uint32_t	 roles;			/* our membership's */
	bool		 relays;		/* we do, by our configuration, at this hour */
	uint8_t		 relay_classes;		/* that we relay */
	void		*arg;
	/* The issuer by its route key, when its records did not come with the ticket. */
	bool		 (*issuer)(const uint8_t *route_key, struct ticket_issuer *, void *arg);
	bool		 (*revoked)(const uint8_t *node_id, void *arg);
	/* The greatest epoch that a fence refuses for what this ticket is about; 0: none. */
	uint64_t	 (*fenced)(const struct ticket *, const struct ticket_issuer *, void *arg);
	/* Is this epoch superseded, or is the route id there for other neighbours? A ticket shown again is neither. */
	bool		 (*replayed)(const struct ticket *, const struct ticket_issuer *, void *arg);
	/* Relay: may we for this tenant, in all its classes? Destination: may `far' reach anything here, in any of them? */
	bool		 (*permitted)(const struct ticket *, const struct ticket_issuer *, void *arg);
	/* Is there room for one more, and for what it may carry? */
	bool		 (*room)(const struct ticket *, const struct ticket_issuer *, void *arg);
};

/*
 * Whether the epoch is no further ahead of `now', in seconds, than it can be when nobody's clock is wrong by more than
 * CLOCK_SKEW_S: else one could be given that no fence reaches.
 */
bool	lease_epoch_bounded(uint64_t epoch, uint64_t now);

/*
 * Opens and verifies one sealed ticket: TICKET_OK, with *t and *by filled, or why not; of several reasons the first in the
 * order of fabric-lease(5): SEAL, FORM, ISSUER, SIGNATURE, HOP, EXPIRED, NOT_YET, LIFETIME, REVOKED, FENCED, REPLAYED, ROLE,
 * CLASS, POLICY, LIMIT. Nothing is written to but *t and *by.
 */
enum ticket_error ticket_check(const struct ticket_ctx *, const uint8_t *sealed, size_t len, struct ticket *t,
	    struct ticket_issuer *by);

/* --- fences: RECORD_FENCE's content; serial is the fence's own number --- */
enum fence_what { FENCE_ROUTE = 1, FENCE_PAIR, FENCE_NODE };
struct fence {
	uint8_t	 what;			/* one route; all between source and dest; all over the node */
	uint64_t route_id;
	uint8_t	 node[NODE_ID_LEN], dest[NODE_ID_LEN];	/* pair: source, dest; node: the node */
	uint64_t epoch;			/* leases of this epoch and older are refused */
};
int	fence_decode(struct fence *, const struct record *r);
size_t	fence_encode(uint8_t *buf, size_t size, const struct fence *);

/*
 * Whether it asks for no more than a fence may: it ends when the leases have that it can be about, and its epoch, which is
 * a time in ms, is no later than that. What one says all have to keep up with.
 */
#define FENCE_LIFE_MAX_S (LEASE_LIFE_MAX_S + 60u)
bool	fence_bounded(const struct fence *, const struct record *r);

#endif
