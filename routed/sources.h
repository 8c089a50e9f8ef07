/*
 * What a coordinator remembers of those who asked it: which requests it has heard, how often they ask, and which relays it
 * leased to them. Of so many at most: who has not asked for the longest goes. Pure state.
 */
#ifndef ROUTED_SOURCES_H
#define ROUTED_SOURCES_H

#include "base/ratelimit.h"
#include "fabric/ticket.h"

#define SOURCES_MAX	4096u
#define SOURCE_BURST	20u		/* requests a source may make at once */
#define SOURCE_EVERY_MS	500u		/* and then one in so long */
#define SOURCE_HEARD	64u		/* of its latest requests: so many may overtake one */
#define SOURCE_RELAYS	32u		/* as many as one answer can have */
#define SOURCE_LEASED_NS (360u * 1000000000ull)	/* LEASE_HARD_S, and the minute in which a source says that it failed */

struct source_relay {
	uint64_t key;			/* of the node's id, which is a hash */
	uint64_t until_ns;		/* 0: none */
};

struct source {
	uint8_t		 node_id[NODE_ID_LEN];
	uint64_t	 used_ns;
	struct ratelimit limit;		/* of its requests */
	uint64_t	 heard[SOURCE_HEARD];	/* serials, each greater than */
	uint64_t	 before;		/* this; all up to it count as heard */
	struct source_relay relays[SOURCE_RELAYS];
};

/* All zero at first; the table is made when first needed. */
struct sources {
	struct source	*v;
};

/* Finds or makes it; good until the next call. NULL when memory is short. */
struct source *source_get(struct sources *, const uint8_t *node_id, uint64_t now_ns);
void	sources_clear(struct sources *);

/* Notes that it made a request with this serial: false when it was heard before, or is older than many that were. */
bool	source_hear(struct source *, uint64_t serial);

/* A route over this relay was leased to it; was one, lately? */
void	source_lease(struct source *, const uint8_t *relay, uint64_t now_ns);
bool	source_leased(const struct source *, const uint8_t *relay, uint64_t now_ns);

#endif
