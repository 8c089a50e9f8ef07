/*
 * The class scheduler of one session: packets wait here until the carrier's window has room, so that an urgent
 * one never stands behind queued bulk.
 *
 * Control goes first, for as many bytes as the others send; the other classes share by deficit round robin, the more
 * urgent earlier in a round; inside a class the streams share over hashed buckets, each under CoDel (RFC 8289) with
 * drops at the head.
 * Packets come from a pool that all sessions share, that grows on demand up to a cap and never allocates a packet.
 */
#ifndef FABRIC_SCHED_H
#define FABRIC_SCHED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/frame.h"

#define SCHED_BUCKETS		32u
#define SCHED_CODEL_TARGET_NS	(5ull * 1000 * 1000)
#define SCHED_CODEL_INTERVAL_NS	(100ull * 1000 * 1000)

enum sched_drop {
	SCHED_DROP_CODEL,	/* waited too long */
	SCHED_DROP_FULL,	/* the session holds all it may */
	SCHED_DROP_POOL,	/* all sessions together do */
	SCHED_DROP_TOO_LONG,	/* longer than the pool's packets */
	SCHED_DROP_COUNT
};

struct sched_pkt {
	struct sched_pkt *next;
	uint64_t	 at_ns;		/* when it was queued */
	uint16_t	 len;
	uint8_t		 class;
	uint8_t		 bare_at;	/* where its payload begins that no hop has to protect; 0: all has to be */
	uint8_t		 data[];	/* the pool's data_max bytes */
};

struct sched_slab;
struct sched;

struct sched_pool {
	size_t		 data_max;	/* bytes a packet holds */
	size_t		 stride;	/* bytes it takes */
	size_t		 slabs_max, nslabs;
	struct sched_slab *slabs;
	struct sched_pkt *free;
	struct sched	*fattest;	/* holds about the most: who gives when the pool is empty */
	uint64_t	 drops[CLASS_COUNT][SCHED_DROP_COUNT];
	uint64_t	 in_use;	/* packets */
};

/* Packets of data_max bytes, in all about `bytes` of memory, taken from the system as they are needed. */
void	sched_pool_init(struct sched_pool *, size_t data_max, size_t bytes);
void	sched_pool_free(struct sched_pool *);

/* Gives a packet that sched_dequeue() or sched_alloc() returned back. */
void	sched_pkt_free(struct sched_pool *, struct sched_pkt *);

/* At most max_bytes of payload wait in it. NULL when memory is short. */
struct sched *sched_new(struct sched_pool *, size_t max_bytes);
void	sched_free(struct sched *);	/* with all that waits in it; NULL is fine */

/* The classes' weights, from the next round on; 0: the usual one of turn.h, as all are at first. */
void	sched_weigh(struct sched *, const uint8_t *weight);

/*
 * A packet for `len` bytes of class `class`. To make room, packets of the least urgent class go first; NULL, counted as a
 * drop, when all that waits is more urgent than this or `len` is too long.
 */
struct sched_pkt *sched_alloc(struct sched *, unsigned class, size_t len);

/* Queues it; flow is any number that is the same for the packets of a stream. pkt->data and pkt->len are set. */
void	sched_enqueue(struct sched *, struct sched_pkt *, uint32_t flow, uint64_t now_ns);

/* The next one to send, or NULL. What waited too long is dropped on the way. The caller frees it. */
struct sched_pkt *sched_dequeue(struct sched *, uint64_t now_ns);

/* The next one of a class, for who decides on the classes' shares himself. */
struct sched_pkt *sched_dequeue_class(struct sched *, unsigned class, uint64_t now_ns);

bool	sched_empty(const struct sched *);
size_t	sched_bytes(const struct sched *);
size_t	sched_class_bytes(const struct sched *, unsigned class);

const char *sched_drop_name(unsigned drop);

#endif
