/* Inside of the graph: graph.c keeps it, path.c searches it, score.c is the formula. */
#ifndef FABRIC_GRAPH_IN_H
#define FABRIC_GRAPH_IN_H

#include "fabric/graph.h"

#define NOBODY		UINT32_MAX	/* no index */
#define LINKS_MAX	(LEASE_HOPS_MAX - 1)	/* links of a route */

/* What one end says of a link, or both together. */
struct measure {
	uint32_t rtt_us, jitter_us, kbps;
	uint16_t loss;
};

/* Half of a link: what this end says of it, and where the other half is. */
struct half {
	uint32_t to;			/* index of the other end */
	uint32_t back;			/* place of the other half among that one's */
	struct measure m;
	uint64_t said_ns;		/* when this end said so last */
	bool	 said;			/* by this end */
	bool	 relays;		/* the other end may be a relay, by its role and facts */
};

/* Failures: thousandths of one, at failed_ns. */
struct failures {
	uint32_t failed;
	uint64_t failed_ns;
};

#define TELLERS_MAX	8u		/* so that also of more, who take the place of each other, as much counts as can */

/* Those that another told of. */
struct teller {
	uint8_t	 id[NODE_ID_LEN];
	struct failures f;
};

struct graph_node {
	uint8_t	 id[NODE_ID_LEN];
	char	*text;			/* name and tenant, each with its NUL; NULL: only others tell of it */
	struct half *half;
	uint32_t nhalves, halves_size;
	uint32_t next;			/* in its bucket, or in the list of free ones */
	uint32_t roles;
	uint32_t relay_kbps, cost;
	struct failures own;		/* that this node has seen itself */
	struct teller *tellers;		/* TELLERS_MAX; NULL: nobody told of one */
	uint64_t told_ns;		/* when it last told of its links */
	uint64_t domain;		/* hash of the failure domain's name; 0: the node itself */
	uint32_t region;		/* hash; 0: not said */
	uint16_t queue, load;
	uint8_t	 tier, net, battery, relay_classes;
	bool	 used, relay, metered, on_battery, charging;
	bool	 told_all;		/* of its links; false: it had no room for more */
	uint32_t slot;			/* in the query that is `query' */
	uint64_t query;
};

struct scratch;

struct graph {
	struct graph_node *node;
	uint32_t	 nnodes, size;	/* places used or free; allocated */
	uint32_t	 free;		/* list of free places */
	uint32_t	*bucket;
	uint32_t	 nbuckets;	/* a power of two */
	size_t		 members;
	uint64_t	 queries;
	struct scratch	*scratch;	/* path.c's, kept from query to query */
};

struct graph_node *graph_node_find(const struct graph *, const uint8_t *node_id);

/* Whether it may be a relay at all, whatever the class and the policy. */
bool	graph_node_relays(const struct graph_node *);

/*
 * Whether a link is there: one end says so, and the other has not told of its links since, without this one. So what a node
 * said last that died counts no more when its neighbours have spoken.
 */
bool	graph_link_there(const struct graph *, const struct half *);

/* Both halves of a link together: the worse number counts. */
struct measure	graph_link(const struct graph *, const struct half *);

void	path_scratch_free(struct scratch *);
size_t	path_scratch_bytes(const struct scratch *);

/* --- score.c --- */

struct score {
	uint32_t part[SCORE_PARTS];
};

/* Whose ends the route has; what a relay is compared with. */
struct score_ends {
	unsigned	 class;
	const struct score_weights *weights;
	const char	*tenant;		/* the source's */
	uint32_t	 source_region, dest_region;
	uint64_t	 now_ns;
};

/* Adds a link's, or a relay's, shares to *s; returns their sum, at least 1. */
uint32_t score_link(struct score *s, const struct score_ends *, const struct measure *);
uint32_t score_relay(struct score *s, const struct score_ends *, const struct graph_node *);

#define FAILURE		1000u		/* thousandths */
#define FAILURES_MAX	8000u

/* Thousandths of a failure that count at now_ns; those of a node with what others told, FAILURES_MAX at most. */
uint32_t score_faded(const struct failures *, uint64_t now_ns);
uint32_t score_failures(const struct graph_node *, uint64_t now_ns);

#endif
