/*
 * How much of what can wait a connection has under way while something urgent travels on it: so much that the path is
 * full and hardly any of it stands in the queue before the bottleneck, where all that is sent waits behind it. Congestion
 * control alone fills a good part of that queue.
 *
 * Sans-I/O. It restrains only while urgent frames go, and gives up for a while when the queue does not shrink, as then it
 * is others who fill it.
 */
#ifndef FABRIC_GOVERN_H
#define FABRIC_GOVERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GOVERN_TARGET_NS	(1500u * 1000)	/* of standing queue, or a twentieth of the round trip */
#define GOVERN_URGENT_NS	(1000ull * 1000 * 1000) /* after the last urgent frame */
#define GOVERN_ROUNDS		8u

struct govern {
	uint64_t urgent_ns;		/* when something urgent last went; 0: never */
	uint64_t round_ns, round_delivered;	/* when the round trip that is measured began */
	uint64_t rate[GOVERN_ROUNDS];	/* bytes a second, of the last rounds that could tell */
	unsigned round;
	bool	 grows;			/* the last was much more than those before it: the path's rate is not known yet */
	unsigned short_rounds;		/* on end with hardly any queue */
	unsigned bad;			/* rounds on end with a queue that our restraint did not shrink */
	uint64_t off_until_ns;
	uint64_t cap;			/* bytes; UINT64_MAX: none */
	uint64_t pace, paced_ns;	/* bytes a second, 0: none; until when tokens were given out for them */
	int64_t	 tokens, burst;		/* bytes that may go at once; and at the most */
};

/* What the congestion controller says now; delivered: bytes that have arrived, in all; cwnd: its window, in bytes. */
struct govern_facts {
	uint64_t now_ns, rtt_ns, min_rtt_ns, delivered, in_flight, cwnd;
};

void	govern_init(struct govern *);

/* Something urgent is sent. */
static inline void
govern_urgent(struct govern *g, uint64_t now_ns)
{
	g->urgent_ns = now_ns;
}

/* Bytes that may be under way before what can wait has to. UINT64_MAX: no limit of this one's. */
uint64_t govern_cap(struct govern *, const struct govern_facts *);

/* So many bytes were sent. */
static inline void
govern_sent(struct govern *g, size_t n)
{
	g->tokens -= (int64_t)n;
}

/*
 * When what can wait may go as to the pace: 0 at once, else a time in ns at which it is worth while, and govern_cap() is to
 * be asked again. What is missing under way, as acknowledgements were late or congestion control held back, would
 * otherwise go in one piece and stand in the queue as such.
 */
uint64_t govern_next(const struct govern *);

#endif
