/*
 * How fast express packets may go: congestion control by a model of the path, its bandwidth and its shortest round trip,
 * in the manner of BBR. The receiver tells from time to time what has come in all (struct express_feedback); the sender
 * keeps one snapshot a batch, not one a packet, and asks for nothing twice, since lost DATA is not sent again.
 *
 * Sans-I/O: time is an argument, in nanoseconds of any clock that only grows. What may not be sent yet waits with the
 * caller, in its scheduler, where urgent classes still pass bulk.
 */
#ifndef FABRIC_RATE_H
#define FABRIC_RATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/express.h"

#define RATE_INFLIGHT_MAX	(32u << 20)	/* bytes, whatever the model says: 2.5 Gbit/s over 100 ms */
#define RATE_BATCHES		256u		/* a power of two */
#define RATE_QUANTUM_MAX	65536u		/* bytes that are worth one call */

enum rate_state {
	RATE_STARTUP,		/* doubles each round until that brings no more */
	RATE_DRAIN,		/* lets the queue go that this has built */
	RATE_UP,		/* asks whether there is more */
	RATE_DOWN,
	RATE_CRUISE,
	RATE_PROBE_RTT		/* lets the queue go, whoever built it, to see the path's own delay */
};

/* What left at one time, and what was known then. */
struct rate_batch {
	uint64_t end;			/* the number after its last packet's */
	uint64_t bytes_end;		/* bytes sent in all, with its own */
	uint64_t sent_ns;
	uint64_t delivered;		/* bytes that had arrived, to the sender's knowledge */
	uint64_t delivered_ns;		/* since when that was known */
	uint64_t first_sent_ns;		/* when what was told then had left */
	uint32_t segment;		/* bytes of its packets, but the last */
	bool	 limited;		/* there was not enough to send */
};

/* The fields are for the tests and for whoever shows them; only these functions write them. */
struct rate {
	size_t	 mtu;			/* bytes of the longest packet */
	uint64_t next;			/* number of the next packet */
	uint64_t sent_bytes;
	uint64_t acked;			/* one more than the highest number that the peer told of */
	uint64_t acked_bytes;		/* bytes sent up to there */
	uint64_t written_off;		/* bytes sent up to there count no more as under way: nothing was heard of them */
	uint64_t written_off_end;	/* number after those */
	uint64_t count, bytes;		/* that arrived */
	uint32_t ce;
	uint64_t delivered_ns, first_sent_ns;
	uint64_t limited_until;		/* number */

	uint64_t srtt_ns, min_rtt_ns, min_rtt_at_ns;
	uint64_t bw_now, bw_before;	/* bytes a second: the most of this cycle and of the one before */
	uint64_t pacing;		/* bytes a second */
	uint64_t cwnd, quantum;		/* bytes */
	uint64_t inflight_hi;		/* bytes above which too much was lost */
	uint64_t next_ns;		/* pacing: not before */

	enum rate_state state;
	uint64_t state_ns;		/* since when */
	uint64_t state_round;
	uint64_t round, round_end;	/* it ends with this number */
	uint64_t round_lost, round_acked;	/* counts when it began */
	uint32_t round_ce;
	uint64_t round_rtt_ns, round_bw;	/* the shortest, the highest sample in it */
	bool	 round_limited;
	bool	 filled;		/* startup is over for good */
	bool	 sated;			/* there was enough to send, once, to learn something */
	uint64_t full_bw, full_ns;
	unsigned full_rounds;
	unsigned low_rounds;		/* far below what was thought */
	uint64_t low_ns, low_bw;
	bool	 drain_futile;		/* the queue is somebody else's */
	uint64_t cruise_rounds, cruise_ns;
	uint64_t probe_rtt_ns, probe_done_ns;
	uint64_t heard_ns;		/* the last feedback, or when sending began anew */
	unsigned quiets;		/* times in a row that nothing was heard in time */
	bool	 fresh;			/* the next round trip is of a path that holds nothing of ours */
	uint64_t samples;		/* round trips that were measured */
	uint64_t random;

	struct rate_batch batch[RATE_BATCHES];
	uint64_t first, last;		/* of the ring: batch[first % RATE_BATCHES] is the oldest; empty when equal */
	uint64_t base, base_bytes;	/* number and bytes before the oldest */
};

/* rtt_ns is a first guess, as the handshake took; `seed` spreads the probes of many sessions. */
void	rate_init(struct rate *, size_t mtu, uint64_t rtt_ns, uint64_t seed, uint64_t now_ns);
void	rate_mtu(struct rate *, size_t mtu);

/* Bytes that may be sent now; the last packet may go over. 0: not yet. */
size_t	rate_room(const struct rate *, uint64_t now_ns);

/* When rate_room() will give something by itself; UINT64_MAX when that takes a feedback. */
uint64_t rate_next(const struct rate *);

/* `n` packets with the next numbers left, of `segment` bytes but for the last, `bytes` in all. */
void	rate_sent(struct rate *, uint64_t n, size_t segment, size_t bytes, uint64_t now_ns);

/* Everything that there was has been sent. */
void	rate_limited(struct rate *);

/* 0, also when it is older than another; -1 when it tells of what was never sent: the peer lies. */
int	rate_feedback(struct rate *, const struct express_feedback *, uint64_t now_ns);

/*
 * When rate_tick() is wanted, UINT64_MAX for never. It gives true when packets are under way and nothing was heard of
 * them for long: what was under way is written off, and only a few packets go out until something is heard again.
 */
uint64_t rate_deadline(const struct rate *);
bool	rate_tick(struct rate *, uint64_t now_ns);

uint64_t rate_inflight(const struct rate *);	/* bytes */
uint64_t rate_bandwidth(const struct rate *);	/* bytes a second; 0: not known */

/* Packets that are lost, or were sent too long ago to be still on their way, and their bytes. Packets may come late: it may shrink. */
uint64_t rate_lost(const struct rate *);
uint64_t rate_lost_bytes(const struct rate *);

const char *rate_state_name(enum rate_state);

/* --- the receiver's side: when to say what has come --- */

#define RATE_IN_PACKETS		64u		/* after these at the latest */
#define RATE_IN_MIN_NS		1000000ull	/* else not more often than this */
#define RATE_IN_MAX_NS		10000000ull
#define RATE_IN_TRAIL_NS	20000000ull	/* one alone waits for company so long */

struct rate_in {
	uint64_t highest, highest_ns;
	uint64_t count, bytes;
	uint32_t ce;
	uint64_t told, told_ns;		/* the count that was told last, and when */
	uint64_t first_ns;		/* when the first came that was not told of */
};

/* An authentic packet of DATA came. */
void	rate_in_packet(struct rate_in *, uint64_t number, size_t bytes, bool ce, uint64_t now_ns);

/* When feedback is due for what has come, for a round trip of rtt_ns; UINT64_MAX when all was told. */
uint64_t rate_in_deadline(const struct rate_in *, uint64_t rtt_ns);

/* Tells all; there is something, or there was no deadline. */
void	rate_in_tell(struct rate_in *, struct express_feedback *, uint64_t now_ns);

#endif
