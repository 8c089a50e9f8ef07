/*
 * What is known, made the same everywhere: the exchange of items between neighbours. routed(8), "THE DIRECTORY OF THE
 * TENANT", has the rules. A state machine: messages and the time go in, messages go out by an op.
 *
 * Between full nodes each change is offered (HAVE: who, which serial), taken (WANT) and given (ITEM); a digest now and then,
 * and at the beginning, finds what was missed. This node's own item is given at once. A leaf is not offered anything: it
 * is given the coordinators, its neighbours, and what it has asked for by a QUERY, again whenever that changes.
 * Policy, revocation and fences go to all.
 *
 * A neighbour of another tenant gets this node's own item, the policy and the revocations, and it is believed these and its own:
 * nothing of one tenant's directory leaves it by the other.
 */
#ifndef ROUTED_SYNC_H
#define ROUTED_SYNC_H

#include "routed/known.h"

#define SYNC_DIGEST_S	30u	/* a digest to each full neighbour that often */
#define SYNC_BATCH_MS	50u	/* what changes within this time is offered together */
#define SYNC_INTERESTS_MAX 512u	/* nodes that this one asks for */
#define SYNC_WANTED_MAX	4096u	/* asked of one neighbour and not come */
#define SYNC_GIVES_MAX	8192u	/* asked for by one neighbour and not sent */
#define SYNC_ALL_GIVES_MAX 65536u /* by all together; beyond it each has still */
#define SYNC_GIVES_LEAST 64u
#define SYNC_STRIKES	32u	/* items that a neighbour may bring of which the chain is wrong, until its stream is broken off */

struct sync;

struct sync_ops {
	int	(*send)(const uint8_t *node_id, unsigned type, const uint8_t *body, size_t len, void *arg);
	size_t	(*room)(const uint8_t *node_id, void *arg);
	/* A neighbour said where it sees this node, and what its clock says; skew_s: ahead of ours. */
	void	(*hello)(const uint8_t *node_id, const struct pm_addr *seen, int64_t skew_s, void *arg);
};

struct sync_time { uint64_t ns, wall; };

/* NULL when memory is short. */
struct sync *sync_new(struct knowns *, const struct sync_ops *, void *arg);
void	sync_free(struct sync *);

/* Whether this node is a leaf. */
void	sync_self(struct sync *, bool leaf);

/*
 * A neighbour that can be talked to. `leaf', and `foreign': of another tenant, by its membership. `addr': where it is seen. -1:
 * memory is short.
 */
int	sync_up(struct sync *, const uint8_t *node_id, bool leaf, bool foreign, const struct pm_addr *addr,
	    const struct sync_time *);
void	sync_down(struct sync *, const uint8_t *node_id);

/* A message of one of the types of the directory. -1: a good neighbour would not send it. */
int	sync_message(struct sync *, const uint8_t *from, unsigned type, const uint8_t *body, size_t len,
	    const struct sync_time *);

/* known_ops call these. */
void	sync_changed(struct sync *, struct known *, enum known_change, const struct sync_time *);
void	sync_signed(struct sync *, const struct record *);

/*
 * This node wants to know of that one, and what changes about it: a neighbour is asked while it is not known. `pinned': for
 * good, else for ten minutes from the last time that this was said.
 */
void	sync_want(struct sync *, const uint8_t *node_id, bool pinned, const struct sync_time *);
void	sync_unpin_all(struct sync *);		/* before a new configuration pins again */

void	sync_run(struct sync *, const struct sync_time *);
uint64_t sync_deadline(const struct sync *, uint64_t now_ns);

#endif
