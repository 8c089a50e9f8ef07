/*
 * Routes over the measured graph: candidates by k disjoint paths, each with its score. Pure: nodes and links go in, routes
 * come out, the same for the same input. fabric-route(7) has the formula.
 */
#ifndef FABRIC_GRAPH_H
#define FABRIC_GRAPH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fabric/facts.h"
#include "fabric/policy.h"
#include "fabric/ticket.h"

#define GRAPH_ROUTES_MAX	4u	/* a primary and its alternates */

/* Each input of the formula; a weight and a share for each. */
enum score_part {
	SCORE_RTT, SCORE_JITTER, SCORE_LOSS, SCORE_BANDWIDTH, SCORE_HOPS, SCORE_QUEUE, SCORE_LOAD, SCORE_BATTERY,
	SCORE_METERED, SCORE_HISTORY, SCORE_LOCALITY, SCORE_COST, SCORE_PREFERENCE,
	SCORE_PARTS
};

struct score_weights {
	uint32_t w[SCORE_PARTS];	/* thousandths of the built-in weight; 1000 each by default */
};
void	score_weights_default(struct score_weights *);
const char *score_part_name(unsigned);
int	score_part_parse(const char *);	/* enum score_part or -1 */

struct graph;
struct graph_node;	/* opaque: a place in the graph */

struct graph *graph_new(void);
void	graph_free(struct graph *);

/*
 * Puts a node in or changes it: its membership's rights, and its facts with its links (NULL: it has none now). A link counts
 * when either end tells of it, unless the other has told of its links since, without it; where both do, the worse number
 * counts. -1 when memory is short.
 */
int	graph_node_set(struct graph *, const struct policy_node *, const struct facts *, uint64_t now_ns);
void	graph_node_del(struct graph *, const uint8_t *node_id);
size_t	graph_size(const struct graph *);

/* What a route over this node, or this link, was worth before: failures weigh, and fade with an hour. */
void	graph_failed(struct graph *, const uint8_t *node_id, uint64_t now_ns);

/*
 * The same by the word of another: once in GRAPH_TOLD_NS, and of the eight failures that count at most two are one's. It is
 * remembered of eight; another takes the place of whose word has faded most.
 */
#define GRAPH_TOLD_NS	(60u * 1000000000ull)
void	graph_failed_told(struct graph *, const uint8_t *node_id, const uint8_t *by, uint64_t now_ns);

struct graph_route {
	uint8_t	 n;			/* nodes, source and destination included */
	uint8_t	 nodes[LEASE_HOPS_MAX][NODE_ID_LEN];
	uint32_t score;			/* less is better: about the round trip in us that a person would take instead */
	uint32_t part[SCORE_PARTS];	/* the shares that make it up */
	uint32_t rtt_us, kbps;
	uint16_t loss;			/* thousandths, of all hops together */
};

struct graph_query {
	const uint8_t	*source, *dest;	/* node ids */
	unsigned	 class;		/* enum traffic_class: what counts more, delay or bandwidth */
	unsigned	 routes;	/* at most GRAPH_ROUTES_MAX */
	bool		 direct_only, one_relay;	/* no more hops than this */
	const struct policy *policy;
	const struct score_weights *weights;
	uint64_t	 now_ns;
};

/*
 * The best route and alternates that share neither a relay nor a failure domain with it, nor with each other, as far as
 * there are such; then such as share least. Each is permitted by the policy: all its relays may carry the class for the
 * source. Returns how many: at most q->routes, for which `out' has room.
 */
size_t	graph_routes(struct graph *, const struct graph_query *, struct graph_route *out);

/*
 * What one given path is worth to this query: 0 with *r filled, or -1: a node or a link of it is not there, it has too many
 * hops, or a relay of it may not carry the class for the source.
 */
int	graph_rate(struct graph *, const struct graph_query *, const uint8_t (*nodes)[NODE_ID_LEN], unsigned n,
	    struct graph_route *r);

/* Bytes that the graph takes, allocator's overhead apart. */
size_t	graph_bytes(const struct graph *);

#endif
