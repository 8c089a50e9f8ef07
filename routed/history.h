/*
 * What happened to routes: the last events, each with a number that only grows, so that a reader who comes back knows what
 * it has seen, and that it has missed some. Those of single streams, of which there can be a great many at once, have a ring
 * of their own, and push out nothing else. Pure state.
 */
#ifndef ROUTED_HISTORY_H
#define ROUTED_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proc/procmsg.h"

#define HISTORY_MAX	2048u
#define HISTORY_STREAMS_MAX 1024u
#define HISTORY_TEXT_MAX 223u		/* a fence and three names */

enum history_kind {
	HISTORY_MOVED,		/* streams went to another way, by the dataplane */
	HISTORY_FIRST,		/* another way comes first, by quality */
	HISTORY_ASKED,		/* a coordinator was asked */
	HISTORY_LEASED,		/* it answered, or this node did itself */
	HISTORY_UNLEASED,	/* it refused */
	HISTORY_INSTALLED, HISTORY_REFUSED, HISTORY_ENDED, HISTORY_EXPIRED,
	HISTORY_FENCED, HISTORY_REVOKED,
	HISTORY_POLICY,		/* another policy holds */
	HISTORY_FENCE,		/* another fence holds */
	HISTORY_STREAM,		/* one of those that went to another way: the far end has answered there */
	HISTORY_KINDS
};

struct history_event {
	uint64_t number;	/* from 1 */
	uint64_t wall_ms;	/* since 1970 */
	uint8_t	 kind;		/* enum history_kind */
	bool	 has_node;
	uint8_t	 node_id[NODE_ID_LEN];	/* where the route leads to; a relay's: where it came from */
	uint8_t	 place;		/* enum ticket_place, of installed and what follows */
	uint64_t from, to;	/* route ids; 0: the session. Of one route: `to' */
	bool	 to_none;
	uint32_t streams, lost, detect_us, recover_us;	/* moved; these two also of a stream */
	uint32_t stream_id;
	uint8_t	 class;
	char	 service[FRAME_SERVICE_MAX + 1];
	char	 why[HISTORY_TEXT_MAX + 1];
};

struct history_ring {
	uint64_t n;		/* that were put there */
	size_t	 size;
	struct history_event *events;
};

struct history {
	uint64_t n;		/* events there were */
	struct history_ring all, streams;	/* all but HISTORY_STREAM; those */
};

int	history_init(struct history *);		/* -1: memory is short */
void	history_free(struct history *);

/* The next one to fill: all zero but for its number. */
struct history_event *history_add(struct history *, enum history_kind, uint64_t wall_ms);

/* The event of a stream that moved, as the dataplane tells it. */
void	history_stream_moved(struct history *, const struct pm_stream_moved *, uint64_t wall_ms);

/* The one with this number, or the oldest after it that is still there; NULL: there is none yet. */
const struct history_event *history_get(const struct history *, uint64_t number);

const char *history_kind_name(unsigned);

#endif
