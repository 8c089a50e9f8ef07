/*
 * The known nodes: what each says of itself, signed, with the chain that makes it believed, wherever it was heard. Pure
 * state, verified before it is kept: it is given records and the time, opens nothing and reads no clock. sync.c
 * exchanges it with neighbours, store.c keeps it on disk.
 *
 * A membership (authority) says who a node is; delegations (its node key) name routed's two keys; the node record (route
 * key) says what it is and measures; the service records (node key) what it serves, and the node record names their sum,
 * so that nobody on the way can leave one out.
 */
#ifndef ROUTED_KNOWN_H
#define ROUTED_KNOWN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "crypto/identity.h"
#include "fabric/facts.h"
#include "fabric/policy.h"
#include "routed/dirmsg.h"
#include "routed/services.h"

#define KNOWN_LIFE_S	900u	/* a node record lives so long */
#define KNOWN_LIFE_MAX_S 3600u	/* one that lives longer is refused */
#define KNOWN_MAX	131072u	/* nodes: of routed's memory, 1 GiB, each takes about 4 KB (tests/bench/bench_known) */

/* Bytes of a record, owned by who holds the struct; len 0: none. */
struct known_raw {
	uint8_t	*p;
	size_t	 len;
};

struct known {
	uint8_t	 node_id[NODE_ID_LEN];
	struct peer_identity member;	/* out of the membership; not_after is the membership's */
	struct known_raw membership, route, ticket;	/* the membership, and the delegations of the two keys */
	uint8_t	 route_key[RECORD_KEY_LEN];	/* Ed25519: signs the node record, tickets, fences, requests, receipts */
	uint8_t	 ticket_key[RECORD_KEY_LEN];	/* X25519: what is for its eyes only is sealed to it */
	uint64_t route_end, ticket_end;		/* when their delegations end, seconds since 1970; 0: there is no such key */
	struct known_raw record;	/* the node record */
	uint64_t serial, not_after;	/* of the node record */
	/* Allocated only as far as facts->nlinks goes: read links[] below that, and never copy the struct as a whole. */
	struct facts *facts;
	bool	 leaf;			/* its only roles are mobile-edge and observer */
	bool	 self;			/* this node */
	bool	 foreign;		/* of another tenant, that the policy has this one meet */
	int64_t	 skew_s;		/* its clock against this node's, of a neighbour by its HELLO, else by its record; only reported */
	uint64_t heard;			/* wall: when the record came */
	uint64_t brought_by;		/* the neighbour that it came from first: the first bytes of its id; 0: itself, or the store */
	struct service_set services;
	uint64_t services_sum;		/* of them; 0: none */
	void	*user;			/* whoever sets it in `changed'; NULL at first */
	/* sync.c's, store.c's and known.c's */
	uint64_t have;			/* neighbours (by their place) that have this serial */
	bool	 dirty, in_store, announce;
	struct known *id_next, *key_next, *name_next;
	TAILQ_ENTRY(known) entry;
};
TAILQ_HEAD(known_list, known);

enum known_change {
	KNOWN_NEW,		/* was not known */
	KNOWN_RECORD,		/* another record; `links' or other facts may differ */
	KNOWN_KEYS,		/* another membership or delegation; comes before KNOWN_RECORD where both changed */
	KNOWN_SERVICES,
	KNOWN_GONE		/* expired, revoked or made room: the last that is heard of it, while it can still be read */
};

/* Why something was not taken; each has a counter. KNOWN_OK is 0. */
enum known_error {
	KNOWN_OK,
	KNOWN_E_OLD,		/* not newer than what is held: nothing wrong */
	KNOWN_E_FORM,		/* not the records that it has to be, or facts that do not decode */
	KNOWN_E_CHAIN,		/* membership of another authority, delegation of another node, a key's record of another key */
	KNOWN_E_SIGNATURE,
	KNOWN_E_TENANT,
	KNOWN_E_EXPIRED,
	KNOWN_E_NOT_YET,	/* further ahead than CLOCK_SKEW_S */
	KNOWN_E_LIFETIME,
	KNOWN_E_REVOKED,
	KNOWN_E_PARTS,		/* who says it, or what it serves, is not known yet: ask for all */
	KNOWN_E_ROOM,		/* too many; or too many that this neighbour brought */
	KNOWN_E_MEMORY,
	KNOWN_E_COUNT
};
const char *known_strerror(enum known_error);

struct knowns;

struct known_ops {
	void	(*changed)(struct known *, enum known_change, void *arg);
	/* Puts *now, which is taken over, in the place of k->services. NULL: there is nobody who was told of them. */
	void	(*services)(struct known *, struct service_set *now, void *arg);
	/*
	 * A newer policy or revocation, or a fence, that is the authority's or a coordinator's word. `issuer': of a fence
	 * the coordinator, else NULL. The record is the callee's to read only during the call.
	 */
	void	(*signed_record)(const struct record *, const struct known *issuer, void *arg);
};

/* NULL when memory is short. `max': nodes. `ops' and `arg' are kept. */
struct knowns *knowns_new(size_t max, uint64_t secret, const struct known_ops *ops, void *arg);
void	knowns_free(struct knowns *);

/* Who this node is. What is known of another authority or tenant is dropped. */
void	knowns_self(struct knowns *, const uint8_t *node_id, const uint8_t *authority, const char *tenant);

struct known *known_find(const struct knowns *, const uint8_t *node_id);
struct known *known_by_route_key(const struct knowns *, const uint8_t key[RECORD_KEY_LEN]);
struct known *known_by_name(const struct knowns *, const char *name);	/* of its own tenant first */
size_t	knowns_count(const struct knowns *);

/* In no order; the callee may change nothing but known->user. Ends when fn gives false. */
void	knowns_each(const struct knowns *, bool (*fn)(struct known *, void *arg), void *arg);

/* The first of those whose id begins with this byte; the others follow by TAILQ_NEXT(k, entry). */
struct known *knowns_bucket(const struct knowns *, unsigned bucket);

/* Of all of them, for a digest: routed(8). */
uint64_t knowns_bucket_sum(const struct knowns *, unsigned bucket);

/* The round trip to it as the links tell, for a comparison: over one session, or over two behind all that are one away. */
uint64_t knowns_distance(const struct knowns *, const struct known *to);

/* Whose members are believed: what the policy that holds says. */
const struct tenants *knowns_tenants(const struct knowns *);

/* Whether it is a coordinator of its own tenant that is known with both keys, so that it can be asked and believed. */
bool	known_coordinates(const struct known *);

/*
 * Coordinators that are known with both keys, this node included if it is one: those that this node has a session with
 * first, then by the round trip that is known, then by id. `last' NULL: the first; NULL: there are no more.
 */
struct known *knowns_coordinator_next(const struct knowns *, const struct known *last);

/* For policy.h and graph.h. Points into k. */
struct policy_node known_policy_node(const struct known *);

/* The policy and the revocations that hold now, as records; NULL: none. */
const struct record *knowns_policy(const struct knowns *);
const struct record *knowns_revocation(const struct knowns *);
bool	knowns_revoked(const struct knowns *, const uint8_t *node_id);

/*
 * A node's item: out of a neighbour's message, of this node's own making, or (from NULL) out of the store. Everything is
 * verified that was not verified before, byte for byte. KNOWN_OK: it is newer, and held now. *out, which may be NULL, is
 * the node if it is known afterwards.
 */
enum known_error knowns_take(struct knowns *, const struct dirmsg_item *, const uint8_t *from, uint64_t wall,
	    struct known **out);

/*
 * A policy, a revocation or a fence. `stored': on this node's own disk, in the store or in a file that it is configured
 * with; what the authority said is then taken also when its time is over, for there is nothing better.
 */
enum known_error knowns_take_signed(struct knowns *, const uint8_t *record, size_t len, bool stored, uint64_t wall);

/* The item of a node, whole or only its record. Borrowed, the services in `buf' (PM_RECORDS_MAX bytes). */
void	known_item(const struct known *, bool whole, struct dirmsg_item *, uint8_t *buf);

/* Of whom it says to be. False: it is malformed. */
bool	known_item_of(const struct dirmsg_item *, uint8_t node_id[NODE_ID_LEN]);

/* The sum of a set of service records, as the node record has it. */
uint64_t known_services_sum(const struct service_set *);

/* What is over goes: nodes, fences. */
void	knowns_expire(struct knowns *, uint64_t wall);

/* The fences that are in force: their sum, and each. */
uint64_t knowns_fences_sum(const struct knowns *);
void	knowns_fences_each(const struct knowns *, void (*fn)(const uint8_t *record, size_t len, void *arg), void *arg);

/* What this node's next record has to have at least as serial, since others hold one of its with more. */
uint64_t knowns_serial_floor(const struct knowns *);

/* Bytes of memory that the nodes take, about. */
uint64_t knowns_memory(const struct knowns *);

/* This node's own; NULL before there is a record of it. */
struct known *knowns_own(const struct knowns *);

/* The nodes that are gone and have to leave the store: their ids, which the caller says that it has dealt with. */
const uint8_t (*knowns_removed(const struct knowns *, size_t *n))[NODE_ID_LEN];
void	knowns_removed_clear(struct knowns *);

/* Policy, revocation or fences differ from what the store has; who asks has written it. */
bool	knowns_signed_dirty(const struct knowns *);
void	knowns_signed_clean(struct knowns *);

#endif
