/*
 * Requests for routes, and their answers, on their way: which were seen, from where, so that the answer goes back and none is
 * handed on twice. A request goes to a coordinator that is a neighbour, else to neighbours that are no leaves, a few hops.
 * Pure state.
 */
#ifndef ROUTED_ASKING_H
#define ROUTED_ASKING_H

#include "base/ratelimit.h"
#include "routed/routemsg.h"

#define ASKING_MAX	1024u			/* requests that are remembered */
#define ASKING_LIFE_NS	(10u * 1000000000ull)	/* an answer that takes longer is not handed on */
#define ASKING_SPREAD	6u			/* neighbours it is handed to where no coordinator is one */
#define ASKING_PEER_MS	20u			/* from one neighbour, in the long run */
#define ASKING_PEER_BURST 200u

struct asking_entry {
	uint64_t id, until_ns;
	bool	 own;
	uint8_t	 from[NODE_ID_LEN];		/* another's: whence it came */
	uint8_t	 key[HASH_LEN];			/* an own one's: by which a refusal of it is proven */
};

struct asking_failed {
	uint8_t	 id[NODE_ID_LEN];
	uint64_t until_ns;
};

struct asking {
	struct asking_entry v[ASKING_MAX];	/* by id; a slot is the latest's, and an own one's while it waits */
	struct { uint8_t id[NODE_ID_LEN]; struct ratelimit limit; bool used; } peers[64];
	struct asking_failed failed[LEASE_FAILED_MAX];
	uint64_t serial;			/* of the last own request */
};

/* Notes a request of another's: false when it was seen, or there is no place for it. */
bool	asking_note(struct asking *, uint64_t id, const uint8_t *from, uint64_t now_ns);

/* Notes one of this node's own. */
void	asking_own(struct asking *, uint64_t id, const uint8_t key[HASH_LEN], uint64_t now_ns);

/*
 * The serial of the next own request: the time in ms, or one more than the last, but where the clock was set back by more
 * than a request lives.
 */
uint64_t asking_serial(struct asking *, uint64_t wall_ms);

/* Whose answer this is: NULL when it is nobody's, or too late. */
const struct asking_entry *asking_find(const struct asking *, uint64_t id, uint64_t now_ns);

/* Whether this neighbour may ask now. */
bool	asking_allowed(struct asking *, const uint8_t *from, uint64_t now_ns);

/* A route of this node's own broke at this relay: requests of the next GRAPH_TOLD_NS say so; of too many, of the last. */
void	asking_failed(struct asking *, const uint8_t *node_id, uint64_t now_ns);
void	asking_tell(const struct asking *, struct lease_ask *, uint64_t now_ns);

struct asking_ops {
	/* The coordinators next to this node, nearest first, and other neighbours that are no leaves: each call's result by i; NULL: no more. */
	const uint8_t *(*coordinator)(unsigned i, void *arg);
	const uint8_t *(*neighbour)(unsigned i, void *arg);
	int	(*send)(const uint8_t *node_id, unsigned type, const uint8_t *body, size_t len, void *arg);
};

/* Sends it on, not to `from' (NULL: it is the own): how many it went to. `attempt' chooses among several coordinators. */
unsigned asking_spread(const struct route_request *, const uint8_t *from, unsigned attempt, const struct asking_ops *,
	    void *arg);

#endif
