/*
 * Which way to a far node comes first, for streams that want little delay and for such as want bandwidth. The dataplane
 * leaves a way that is silent by itself, at once; here is judged what only a longer look shows: loss, delay, a path that
 * has become thin. Each way has a cost, about the microseconds of delay that a person would take instead:
 *
 *	delay group	round trip + 2 * jitter + 5,000 * loss + 5,000 * relays
 *	bulk group	round trip / 2 + jitter + 10,000 * loss + 10,000 * relays + the time of 125,000 bytes when it is thin
 *
 * loss in thousandths, without one probe of those that it was measured by: a single loss proves nothing. Another way
 * comes first when its cost is less by a fifth and by WAYS_MARGIN_US, for WAYS_HOLD_BAD_NS where the first has become
 * bad, else for WAYS_HOLD_NS. What was left for a reason is not gone back to for a time that doubles when it was left again,
 * but where the first has become bad: then it counts for what it is.
 *
 * Pure state: the time is an argument, what comes out goes to an op.
 */
#ifndef ROUTED_WAYS_H
#define ROUTED_WAYS_H

#include "proc/procmsg.h"

#define WAYS_NODES_MAX	1024u
#define WAYS_MAX	PM_RANK_MAX		/* to one node */
#define WAYS_MARGIN_US	5000u
#define WAYS_HOLD_BAD_NS (900u * 1000000ull)	/* two of the dataplane's reports, a second apart, have to say it */
#define WAYS_HOLD_NS	(10u * 1000000000ull)
#define WAYS_BACK_NS	(30u * 1000000000ull)	/* not gone back to for so long, */
#define WAYS_BACK_MAX_NS (900u * 1000000000ull)	/* and at most so long, */
#define WAYS_CALM_NS	(600u * 1000000000ull)	/* until it was not left for so long */

enum way_group { WAYS_DELAY, WAYS_BULK, WAY_GROUPS };
#define WAYS_DELAY_CLASSES (1u << CLASS_CONTROL | 1u << CLASS_DNS | 1u << CLASS_INTERACTIVE)
#define WAYS_BULK_CLASSES (1u << CLASS_RELIABLE | 1u << CLASS_BULK | 1u << CLASS_DROPPABLE)

/* Why another way came first. */
enum way_why { WAY_WHY_BETTER, WAY_WHY_LOSS, WAY_WHY_DELAY, WAY_WHY_THIN, WAY_WHY_STATE, WAY_WHY_COUNT };

struct way_judged {
	uint32_t cost;			/* 0: nothing is known yet */
	uint32_t measured;		/* the same, without regard to back_cost */
	uint64_t beats_ns;		/* since when it is better than the first by the margin; 0: it is not */
	uint64_t back_ns;		/* not gone back to before */
	uint64_t back_wait_ns;		/* how long that was */
	uint32_t back_cost;		/* what it cost when it was left; counts until then */
};

struct way {
	uint64_t route_id;		/* 0: the session */
	uint8_t	 nodes;			/* on it, both ends included */
	uint8_t	 classes;		/* 1 << enum traffic_class */
	uint8_t	 state;			/* enum way_state */
	bool	 measured;
	bool	 retired;		/* it is to be left */
	uint32_t rtt_us, jitter_us, low_us;	/* low: about the least of the last minutes */
	uint16_t loss;
	uint32_t probes, kbps, peak_kbps, streams;
	uint32_t thin_kbps;		/* what it was seen to be limited to; 0: it is not thin */
	uint8_t	 thin_reports;		/* that said so, in a row */
	struct way_judged in[WAY_GROUPS];
};

struct ways_node {
	uint8_t	 node_id[NODE_ID_LEN];
	uint8_t	 n;
	struct way way[WAYS_MAX];
	uint8_t	 norder[WAY_GROUPS], ntold[WAY_GROUPS];
	uint64_t order[WAY_GROUPS][WAYS_MAX], told[WAY_GROUPS][WAYS_MAX];	/* route ids, best first */
};

struct ways_ops {
	/* The order of this node's ways has changed for these classes. -1: it could not be told now, and will be again. */
	int	(*rank)(const struct pm_route_rank *, void *arg);
	/* Another way comes first. */
	void	(*first)(const struct ways_node *, enum way_group, uint64_t from, uint64_t to, enum way_why, void *arg);
};

struct ways;
struct ways *ways_new(const struct ways_ops *, void *arg);
void	ways_free(struct ways *);

/* A way is there, or has other classes. The session is one of two nodes and all classes. -1: too many nodes, or ways to it. */
int	ways_add(struct ways *, const uint8_t *node_id, uint64_t route_id, uint8_t nodes, uint8_t classes, uint64_t now_ns);
void	ways_del(struct ways *, const uint8_t *node_id, uint64_t route_id, uint64_t now_ns);

/* It is to be left as soon as another answers. */
void	ways_retire(struct ways *, const uint8_t *node_id, uint64_t route_id, uint64_t now_ns);

void	ways_stat(struct ways *, const struct pm_route_stat *, uint64_t now_ns);

/* The dataplane has moved streams by itself: what it left is not gone back to at once. */
void	ways_moved(struct ways *, const struct pm_route_moved *, uint64_t now_ns);

/* The dataplane is new and knows no order; or it could not be told. */
void	ways_again(struct ways *);
void	ways_sync(struct ways *);

const struct ways_node *ways_find(const struct ways *, const uint8_t *node_id);
const struct way *ways_way(const struct ways_node *, uint64_t route_id);
/* enum way_state; WAY_COUNT: there is no such way. */
unsigned ways_state(const struct ways *, const uint8_t *node_id, uint64_t route_id);
const char *way_why_name(unsigned);
const char *way_state_name(unsigned);

#endif
