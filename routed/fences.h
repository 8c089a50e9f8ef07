/*
 * Fences: a coordinator's word that leases up to an epoch are not to be honoured any more, of a route, between two nodes,
 * or over a node. They are kept until they expire, and asked for each ticket. Pure state; who may say one is judged before.
 */
#ifndef ROUTED_FENCES_H
#define ROUTED_FENCES_H

#include "fabric/ticket.h"

#define FENCES_MAX	512u	/* when there are more, the one that expires first goes */

struct fence_held {
	struct fence	 fence;
	uint8_t		 by[NODE_ID_LEN];	/* the coordinator, by whatever key it was signed */
	uint64_t	 serial, not_after;
};

struct fences {
	size_t		 n;
	struct fence_held v[FENCES_MAX];
};

/* 1: it is new, *held is it; 0: it is known, be it by another key; -1: it is none, asks for too much, or has expired. */
int	fences_add(struct fences *, const struct record *, uint64_t wall, const struct fence_held **held);

/* Whether a fence is about what this node was given a ticket for; `self' is its id. */
bool	fence_about(const struct fence *, const struct ticket *, const uint8_t *self);

/* The greatest epoch that is refused for it; 0: none. */
uint64_t fences_epoch(const struct fences *, const struct ticket *, const uint8_t *self);

/* The one with this number that this node has said; NULL: it is not among them. */
const struct fence_held *fences_find(const struct fences *, const uint8_t *by, uint64_t serial);

/* The greatest epoch of all: a lease with a greater one is refused by nobody who has these. 0: there are none. */
uint64_t fences_newest(const struct fences *);

void	fences_expire(struct fences *, uint64_t wall);

/* What this node has said does not count any more. */
void	fences_drop(struct fences *, const uint8_t *by);

/* "route 17...", "pair A B", "node A", for people. Returns buf. */
#define FENCE_TEXT_MAX	160
char	*fence_text(char buf[FENCE_TEXT_MAX], const struct fence *);

#endif
