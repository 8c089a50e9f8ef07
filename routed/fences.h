/*
 * Fences: a coordinator's word that leases up to an epoch are not to be honoured any more, of a route, between two nodes,
 * or over a node. They are kept until they expire, and asked for each ticket. Pure state; who may say one is judged before.
 */
#ifndef ROUTED_FENCES_H
#define ROUTED_FENCES_H

#include "fabric/ticket.h"

/*
 * Epochs are times, by clocks that differ, and run ahead after a restart: a fence has to be ahead of all that there are. Who
 * hears of it asks for leases with a greater one, each time one more: the next fence has to be ahead of these, too.
 */
#define FENCE_AHEAD_MS	(CLOCK_SKEW_S * 1000u + 120000u)
#define FENCE_ABOVE	10000u

#define FENCES_MAX	512u	/* when there are more, fences_victim() goes */

/* Whose it is, whatever key signed it, which of its fences, and when it ends. */
struct fence_key {
	uint8_t		 by[NODE_ID_LEN];
	uint64_t	 serial, not_after;
};

struct fence_held {
	struct fence_key key;			/* first */
	struct fence	 fence;
};

struct fences {
	size_t		 n;
	struct fence_held v[FENCES_MAX];
};

/*
 * Of n, at most FENCES_MAX, things of `size' bytes that each begin with a struct fence_key, and one more, `key': which has to
 * go, n for that itself. It is of the coordinator with the most, so that none drives out what others say; of these the one that
 * ends first, so that all who have heard of the same keep the same, in whatever order it came.
 */
size_t	fences_victim(const void *v, size_t size, size_t n, const struct fence_key *key);

/* 1: it is new, *held is it; 0: it is known, be it by another key; -1: it is none, asks for too much, or has expired. */
int	fences_add(struct fences *, const struct record *, uint64_t wall, const struct fence_held **held);

/* Whether a fence is about what this node was given a ticket for; `self' is its id. */
bool	fence_about(const struct fence *, const struct ticket *, const uint8_t *self);

/* Of the fences about it that which refuses the greatest epoch; NULL: there is none. */
const struct fence_held *fences_over(const struct fences *, const struct ticket *, const uint8_t *self);

/* The greatest epoch that is refused for it; 0: none. */
uint64_t fences_epoch(const struct fences *, const struct ticket *, const uint8_t *self);

/* The one with this number that this node has said; NULL: it is not among them. */
const struct fence_held *fences_find(const struct fences *, const uint8_t *by, uint64_t serial);

/* The greatest epoch of all: a lease with a greater one is refused by nobody who has these. 0: there are none. */
uint64_t fences_newest(const struct fences *);

/* The epoch of a new fence: ahead of all leases that there may be, also of those that came after the newest fence. */
uint64_t fences_ahead(const struct fences *, uint64_t now_ms);

void	fences_expire(struct fences *, uint64_t wall);

/* What this node has said does not count any more. */
void	fences_drop(struct fences *, const uint8_t *by);

/* "route 17...", "pair A B", "node A", for people, who are given names: its node's and its dest's. Returns buf. */
#define FENCE_TEXT_MAX	(2 * RECORD_NAME_MAX + 8)
char	*fence_text(char buf[FENCE_TEXT_MAX], const struct fence *, const char *node, const char *dest);

#endif
