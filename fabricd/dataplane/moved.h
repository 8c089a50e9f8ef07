/*
 * Streams that were taken off a way, until the adapter has opened them anew and the far end has answered. Bounded: the
 * oldest is forgotten. Pure state.
 */
#ifndef DATAPLANE_MOVED_H
#define DATAPLANE_MOVED_H

#include <stdint.h>

#include "wire/frame.h"

#define MOVED_MAX	1024u	/* a power of two, at most 32768 */

struct port;

struct moved {
	const struct port *port;	/* the adapter's, where it had, or by now has, */
	uint32_t id;			/* this id; 0: none is here */
	uint16_t next;			/* in its chain */
	uint8_t	 node_id[NODE_ID_LEN];	/* where it leads to */
	uint64_t from;			/* the way's route id */
	uint64_t reason, proof_ns, decided_ns;
};

struct moveds {
	struct moved ring[MOVED_MAX];
	uint16_t chain[MOVED_MAX];	/* by id; places in the ring, from 1 */
	uint64_t n;			/* that there were */
};

struct moved *moved_find(struct moveds *, const struct port *, uint64_t id);

/* The next one to fill, which moved_find() finds. */
struct moved *moved_put(struct moveds *, const struct port *, uint32_t id);

/* It is another stream's now. */
void	moved_rename(struct moveds *, struct moved *, uint32_t id);

void	moved_drop(struct moveds *, struct moved *);

/* All of a port that is gone. */
void	moved_forget(struct moveds *, const struct port *);

#endif
