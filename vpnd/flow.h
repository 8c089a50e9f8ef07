/*
 * Flow groups and the streams that carry them. A peer has FLOW_GROUPS groups a class; a packet's 5-tuple picks one, so
 * that a flow keeps its order and the scheduler can be fair between groups. Each is one unreliable stream, opened with
 * its first packet, closed when it was idle, opened anew after a reset, with backoff.
 */
#ifndef VPND_FLOW_H
#define VPND_FLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crypto/seal.h"
#include "fabric/e2e.h"
#include "wire/frame.h"

#define FLOW_GROUPS		8u
#define FLOW_IDLE_NS		(60 * 1000000000ull)
#define FLOW_BACKOFF_MIN_NS	(50 * 1000000ull)
#define FLOW_BACKOFF_MAX_NS	(5 * 1000000000ull)
#define FLOW_MOVED_NS		(20 * 1000000ull)	/* moved sooner than this it waits like any other */
#define FLOW_AGAIN_NS		(1000 * 1000000ull)	/* with nothing to send for so long, it has not waited for another way */
#define FLOW_STABLE_NS		(10 * 1000000000ull)	/* a stream that lived this long was a good one */

struct flow {
	uint64_t	stream_id;	/* 0: not open */
	uint64_t	before;		/* the stream that was lost; 0: none */
	uint64_t	opened_ns, used_ns;
	uint64_t	retry_ns;	/* not to be opened before */
	uint64_t	backoff_ns;
	struct seal_tx	*tx;		/* seals it, and counts its units; NULL: not open */
};

enum flow_state { FLOW_READY, FLOW_CLOSED, FLOW_WAIT };

/* Whether a unit can go out now, the stream has to be opened first, or it is too early for that. */
static inline enum flow_state
flow_state(const struct flow *f, uint64_t now_ns)
{
	return f->stream_id != 0 ? FLOW_READY : now_ns >= f->retry_ns ? FLOW_CLOSED : FLOW_WAIT;
}

/* The stream whose place the next one takes, or 0. */
static inline uint64_t
flow_before(const struct flow *f, uint64_t now_ns)
{
	return f->stream_id == 0 && now_ns < f->retry_ns + FLOW_AGAIN_NS ? f->before : 0;
}

/* Takes ownership of tx. */
void	flow_opened(struct flow *f, uint64_t stream_id, struct seal_tx *tx, uint64_t now_ns);

/* The far side, or the dataplane, reset it. */
void	flow_reset(struct flow *f, uint64_t now_ns);

/* The dataplane has another way for it: it may be opened at once, but for one that is moved again and again. */
void	flow_moved(struct flow *f, uint64_t now_ns);

/* We closed it, or the peer came or went: it may be opened at once. */
void	flow_forget(struct flow *f);

bool	flow_idle(const struct flow *f, uint64_t now_ns);

enum vpn_stream_kind {
	STREAM_FLOW,		/* own, carries a flow group */
	STREAM_RETIRED,		/* own, replaced: to be closed when what it holds has left */
	STREAM_SHAKE,		/* own, a handshake that waits for message 2 */
	STREAM_IN,		/* a peer's, with packets */
	STREAM_IN_SHAKE,	/* a peer's, its handshake: answered */
};

/* Streams of one port by their id: own and the peers'. */
struct vpn_stream {
	uint64_t	 id;
	enum vpn_stream_kind kind;
	struct flow	*flow;		/* STREAM_FLOW */
	struct seal_rx	*rx;		/* STREAM_IN: opens it */
	uint8_t		 key_id[E2E_KEY_ID_LEN];	/* of the handshake that it lives by: STREAM_FLOW, STREAM_IN */
	uint64_t	 not_after;	/* STREAM_IN: when that ends, seconds since 1970 */
	uint64_t	 sent;		/* STREAM_RETIRED: units */
	uint64_t	 close_ns;	/* STREAM_RETIRED */
	bool		 proven;	/* STREAM_IN: something has opened */
	uint32_t	 peer;
	uint32_t	 next_seq;	/* of what comes in */
	bool		 seen;		/* something came in: next_seq counts */
	uint8_t		 class;		/* STREAM_IN */
	uint64_t	 units, bytes, missing, late;	/* STREAM_IN: that have opened; gaps; what came into one */
	struct vpn_stream	*next;		/* in the table */
};

#define STREAM_BUCKETS	1024u
#define STREAMS_MAX	65536u

struct vpn_streams {
	struct vpn_stream	*bucket[STREAM_BUCKETS];
	size_t		 count;
};

/* NULL with errno: ENOSPC, or ENOMEM. The id must not be there yet. */
struct vpn_stream	*vpn_stream_add(struct vpn_streams *, uint64_t id, uint32_t peer, enum vpn_stream_kind);
void	vpn_stream_remove(struct vpn_streams *, uint64_t id);

/* Removes all of one peer, or (LPM_NONE) all; own flows are not touched. */
void	vpn_stream_remove_peer(struct vpn_streams *, uint32_t peer);

/* Calls fn for each stream; it may remove that one. */
void	vpn_stream_each(struct vpn_streams *, void (*fn)(struct vpn_stream *, void *arg), void *arg);

static inline struct vpn_stream *
vpn_stream_find(const struct vpn_streams *t, uint64_t id)
{
	struct vpn_stream *s = t->bucket[id % STREAM_BUCKETS];	/* ids only grow, so they spread by themselves */

	while (s != NULL && s->id != id)
		s = s->next;
	return s;
}

/* Notes the sequence number of a unit that came in: how many before it are missing; -1: late or a duplicate. */
int64_t	vpn_stream_seen(struct vpn_stream *, uint32_t seq);

#endif
