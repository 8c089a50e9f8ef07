/*
 * What happened to routes: a ring of the last events, each with a number that only grows, so that a reader who comes back
 * knows what it has seen, and that it has missed some. Pure state.
 */
#ifndef ROUTED_HISTORY_H
#define ROUTED_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/frame.h"

#define HISTORY_MAX	2048u
#define HISTORY_TEXT_MAX 95u

enum history_kind {
	HISTORY_MOVED,		/* streams went to another way, by the dataplane */
	HISTORY_FIRST,		/* another way comes first, by quality */
	HISTORY_ASKED,		/* a coordinator was asked */
	HISTORY_LEASED,		/* it answered, or this node did itself */
	HISTORY_UNLEASED,	/* it refused */
	HISTORY_INSTALLED, HISTORY_REFUSED, HISTORY_ENDED, HISTORY_EXPIRED,
	HISTORY_FENCED, HISTORY_REVOKED,
	HISTORY_POLICY,		/* another policy holds */
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
	uint32_t streams, lost, detect_us, recover_us;	/* moved */
	char	 why[HISTORY_TEXT_MAX + 1];
};

struct history {
	uint64_t n;		/* events there were */
	struct history_event *ring;	/* HISTORY_MAX */
};

int	history_init(struct history *);		/* -1: memory is short */
void	history_free(struct history *);

/* The next one to fill: all zero but for its number. */
struct history_event *history_add(struct history *, enum history_kind, uint64_t wall_ms);

/* The one with this number, or the oldest after it that is still there; NULL: there is none yet. */
const struct history_event *history_get(const struct history *, uint64_t number);

const char *history_kind_name(unsigned);

#endif
