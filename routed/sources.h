/*
 * What a coordinator remembers of those who asked it: how often they did, and which relays it leased to them. Of so many at
 * most: who has not asked for the longest goes. Pure state.
 */
#ifndef ROUTED_SOURCES_H
#define ROUTED_SOURCES_H

#include "base/ratelimit.h"
#include "fabric/ticket.h"

#define SOURCES_MAX	4096u
#define SOURCE_BURST	20u		/* requests a source may make at once */
#define SOURCE_EVERY_MS	500u		/* and then one in so long */
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
	struct source_relay relays[SOURCE_RELAYS];
};

/* All zero at first; the table is made when first needed. */
struct sources {
	struct source	*v;
};

/* Finds or makes it; good until the next call. NULL when memory is short. */
struct source *source_get(struct sources *, const uint8_t *node_id, uint64_t now_ns);
void	sources_clear(struct sources *);

/* A route over this relay was leased to it; was one, lately? */
void	source_lease(struct source *, const uint8_t *relay, uint64_t now_ns);
bool	source_leased(const struct source *, const uint8_t *relay, uint64_t now_ns);

#endif
