/*
 * The coordinator: routes out of the graph, made into leases. The same code serves a node that is the route-coordinator of
 * others and a node that, with no coordinator there, issues leases to itself (`self': direct, or over one relay).
 * fabric-lease(5) is normative.
 *
 * It does no I/O: who a node is comes from callbacks, the time is given, and what has to outlive a restart goes through
 * routed/leasestore.h.
 */
#ifndef ROUTED_COORDINATOR_H
#define ROUTED_COORDINATOR_H

#include "fabric/graph.h"
#include "fabric/ticket.h"
#include "routed/sources.h"

#define LEASE_SOFT_S	60u		/* renew after so long */
#define LEASE_HARD_S	300u		/* not honoured after so long: time to find a coordinator again, or to do without */
#define LEASE_LATER_S	30u		/* tickets count from so long before they were made: clocks differ */
#define LEASE_HELD_MAX	8u		/* routes that a source says it holds */
#define LEASE_FAILED_MAX 8u		/* nodes that a source says have failed */
#define LEASE_MAX	8u		/* leases of one answer, at most */
#define LEASE_ANSWER_MAX (512u + LEASE_HOPS_MAX * (TICKET_SEALED_MAX + NODE_ID_LEN + 4u)) /* bytes of one encoded lease */

/* What the source gets; sealed[0] is its own ticket, sealed[n - 1] the destination's. */
struct lease {
	uint64_t route_id, epoch;
	uint64_t soft, hard;		/* seconds since 1970 */
	uint8_t	 n;			/* nodes, source and destination included */
	uint8_t	 nodes[LEASE_HOPS_MAX][NODE_ID_LEN];
	struct lease_sealed {
		uint8_t	*p;		/* owned */
		size_t	 len;
	} sealed[LEASE_HOPS_MAX];
	uint8_t	 classes;		/* that all of it may carry: 1 << enum traffic_class */
	bool	 self;
	uint32_t kbps, streams;		/* limits; 0: none */
	uint32_t score[CLASS_COUNT];	/* for each class; UINT32_MAX: not for this class. Less is better */
	uint8_t	 scored_class;		/* that `scored' is about */
	struct graph_route scored;	/* the shares, for people */
};

enum lease_error {
	LEASE_OK,
	LEASE_E_FORM,		/* the request is not one: the same node twice, no class, times */
	LEASE_E_RATE,		/* too many of this source */
	LEASE_E_UNKNOWN,	/* the source or the destination is not known here */
	LEASE_E_REVOKED,	/* one of them is */
	LEASE_E_POLICY,		/* the policy does not let the source reach the destination */
	LEASE_E_NO_ROUTE,	/* there is no path that is permitted */
	LEASE_E_KEYS,		/* a node on every path has no ticket key that is valid, or we have none to sign with */
	LEASE_E_MEMORY,
	LEASE_E_REPLAYED,	/* this request was heard before, or it is older than many that were */
	LEASE_E_COUNT
};
const char *lease_strerror(unsigned);

/* What has to be known of a node on a route. Pointers are the callee's, good until it is called again or changes. */
struct lease_node {
	struct policy_node who;
	const uint8_t	*node_key;	/* Ed25519: the subject of its ticket */
	const uint8_t	*ticket_key;	/* X25519 */
	uint64_t	 not_after;	/* of the whole chain to its ticket key; a lease ends before it */
};

/*
 * The graph should hold only nodes that `node' finds with a key that is valid: a route over another is not given, and the
 * search does not look for one around it.
 */

struct coordinator_ops {
	bool	(*node)(const uint8_t *node_id, struct lease_node *, void *arg);
	bool	(*revoked)(const uint8_t *node_id, void *arg);
	/* May the source reach any service of the destination in this class? NULL: policy_reach_any(). */
	bool	(*reach)(const struct policy_node *source, const struct policy_node *dest, unsigned class, void *arg);
};

struct coordinator;
struct leasestore;

/* `graph' and `store' are the caller's and outlive it; store may be NULL: nothing outlives it. */
struct coordinator *coordinator_new(struct graph *, const struct coordinator_ops *, void *arg, struct leasestore *store);
void	coordinator_free(struct coordinator *);

/* Signs with this from now on; copied. membership and delegation: our own records. -1: memory is short. */
int	coordinator_keys(struct coordinator *, const struct sign_key *route_key, struct frame_bytes membership,
	    struct frame_bytes delegation);

/* Used from now on, by reference; NULL: the default. */
void	coordinator_policy(struct coordinator *, const struct policy *);
void	coordinator_weights(struct coordinator *, const struct score_weights *);

/* A route that the source holds: where the same path comes out again it keeps its id, with a new epoch. */
struct lease_held {
	uint64_t route_id;
	uint8_t	 n;
	uint8_t	 nodes[LEASE_HOPS_MAX][NODE_ID_LEN];
};

struct lease_ask {
	uint8_t	 source[NODE_ID_LEN], dest[NODE_ID_LEN];
	uint8_t	 classes;		/* wanted: 1 << enum traffic_class */
	uint8_t	 routes;		/* for each kind of class, at most GRAPH_ROUTES_MAX; 0: all */
	bool	 self;			/* by the source itself: direct or one relay */
	uint64_t known_epoch;		/* the newest that the source has for this destination; 0: none */
	uint32_t kbps, streams;		/* limits that it asks for itself; 0: none */
	uint8_t	 nheld;
	struct lease_held held[LEASE_HELD_MAX];
	uint8_t	 nfailed;		/* relays at which its routes broke in the last GRAPH_TOLD_NS */
	uint8_t	 failed[LEASE_FAILED_MAX][NODE_ID_LEN];
};

struct lease_time { uint64_t now_ms, now_ns; };

/*
 * Before a request of another's is served, and once it is known to be its: each is, once. The serial is the source's time in
 * ms, or one more than its last. LEASE_OK, LEASE_E_REPLAYED or LEASE_E_MEMORY.
 */
enum lease_error coordinator_hear(struct coordinator *, const uint8_t *source, uint64_t serial, const struct lease_time *);

/*
 * Issues leases: `out' gets at most `max', the best first for the most urgent class asked for; all with one epoch, which is
 * greater than known_epoch, than any that this coordinator gave before (also before a restart), and grows with the time,
 * so that it is greater than another coordinator's of a moment ago, too; but never more than LEASE_AHEAD_MAX_S ahead of the
 * time. Returns how many, or -1 with *why.
 * now_ms: since 1970; now_ns: the monotonic clock's.
 *
 * What it says has failed counts against these nodes, as graph_failed_told() does, where they are relays of a route that it
 * says it holds, or that was leased to it here in the last minutes.
 */
int	coordinator_issue(struct coordinator *, const struct lease_ask *, struct lease out[], size_t max,
	    const struct lease_time *, enum lease_error *why);

/*
 * A fence, signed, valid for as long as a lease could still be; kept in the store. Its epoch is the one given, or the first
 * that is greater than all that this coordinator gave, whichever is greater. The record's length; 0: this node may not, or, when
 * *wait_s is not 0, the epoch is as many seconds further ahead of the time than a fence's may be.
 */
size_t	coordinator_fence(struct coordinator *, uint8_t *buf, size_t size, const struct fence *, const struct lease_time *,
	    uint64_t *wait_s);

/*
 * Those in the store that were signed with another key than that of now, signed anew with this one: number, content and
 * times stay. Who hears of this coordinator after its restart knows no other key, and would believe none of them. `fn' gets
 * each; of more than COORDINATOR_FENCES_MAX, those that end last.
 */
#define COORDINATOR_FENCES_MAX	64u
void	coordinator_fences_again(struct coordinator *, const struct lease_time *,
	    void (*fn)(const uint8_t *record, size_t len, void *arg), void *arg);

/* Wipes and frees what it owns; all zero afterwards. */
void	lease_free(struct lease *);

/* What is sealed to the source. The length, or 0: it does not fit. 0 or a negative frame_error; the lease is then empty. */
size_t	lease_encode(uint8_t *buf, size_t size, const struct lease *);
int	lease_decode(struct lease *, const uint8_t *p, size_t len);

/* What the source's ticket has as its `answer': a hash of all of the lease but this ticket. -1: it is no sound lease. */
int	lease_answer_hash(uint8_t out[HASH_LEN], const struct lease *);

/*
 * The source, after ticket_check() of sealed[0]: is this the lease that the ticket's issuer signed for? 0 or -1. Without it
 * whoever seals an answer to the source could put other nodes and numbers around a good ticket.
 */
int	lease_check(const struct lease *, const struct ticket *);

#endif
