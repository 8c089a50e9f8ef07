/*
 * How fast streams may be opened, by whom. What is too fast is reset and no more: it costs one look-up. A node has an account
 * for what it opens here, over its session and all its routes; over how many routes it does so makes no difference. A relay
 * does not know who is at the ends: there the neighbour before has an account, and the source's tenant another.
 */
#ifndef DATAPLANE_OPENS_H
#define DATAPLANE_OPENS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/ratelimit.h"

#define OPENS_NODE		2000u	/* a second, of one far node; */
#define OPENS_NODE_BURST	4096u	/* and at once, all that a session may have: when a way fails they come anew, together */
#define OPENS_NEIGHBOUR		4000u	/* of the routes that one neighbour has over this node, */
#define OPENS_NEIGHBOUR_BURST	8192u
#define OPENS_TENANT		10000u	/* and of those of one tenant */
#define OPENS_TENANT_BURST	32768u

struct fswitch;
struct port;
struct route;

/*
 * Streams, and beside them those of the fabric itself, of probes and directories: who opens too many of the others does not
 * make a way seem dead to whoever shares it.
 */
struct opens {
	struct ratelimit streams, own;
};

void	opens_init(struct opens *, unsigned per_sec, unsigned burst);
bool	opens_take(struct opens *, bool own, uint64_t now_ns);

/* Is nothing owed? Then a new account is as good. */
bool	opens_full(const struct opens *, uint64_t now_ns);

/*
 * The switch's hook: one more comes in at this session, over this route or (NULL) over none. REASON_NONE, or REASON_LIMIT,
 * which is counted.
 */
uint64_t opens_admit(struct fswitch *, const struct port *from, const struct route *, bool own);

#endif
