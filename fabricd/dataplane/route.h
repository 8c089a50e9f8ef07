/*
 * The table of routes: what routed said of leases whose tickets it has verified. A stream with a route id is handed on
 * between the two neighbours that an entry names, or ends here; what is in no entry is refused. The dataplane knows nothing
 * of a route but its entry: who is before, who is next, and what may pass.
 */
#ifndef DATAPLANE_ROUTE_H
#define DATAPLANE_ROUTE_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/queue.h>

#include "base/ratelimit.h"
#include "fabric/ticket.h"
#include "fabricd/dataplane/opens.h"
#include "proc/procmsg.h"

#define ROUTES_MAX	65536u
#define ROUTE_BUCKETS	4096u		/* a power of two */
#define ROUTE_PROBES	4u		/* probe streams that a route may carry beside the others */
#define ROUTE_OPENS	100u		/* streams a second that are opened over one, */
#define ROUTE_BURST	400u		/* and at once */
#define ROUTE_PROBE_OPENS 20u		/* the same of its probes: each end opens five a second while it gets no answer */
#define ROUTE_PROBE_BURST 40u
#define ROUTE_TENANTS	64u		/* accounts of tenants: of more, some share one */
#define ROUTE_TURN	1500		/* bytes that one is let send when several wait for the rate of all */

struct route;
struct stream;

/* What was refused or dropped, by why. */
struct route_counters {
	uint64_t no_route;		/* no entry, or not from there */
	uint64_t expired, class, limit, rate, hop_gone;
	uint64_t over_rate;		/* packets beyond what the ticket allows a second */
	uint64_t held;			/* times that reliable streams had to wait for that */
	uint64_t passed;		/* frames of DATA */
};

LIST_HEAD(route_list, route);
TAILQ_HEAD(route_queue, route);

struct route_rate {
	uint32_t	 kbps;			/* 0: no limit */
	int64_t		 tokens;		/* bytes that may pass now */
	uint64_t	 filled_ns;
};

struct route {
	LIST_ENTRY(route) entry;
	TAILQ_ENTRY(route) held_entry;
	struct routes	*set;
	uint64_t	 id, epoch;
	uint8_t		 place;			/* enum ticket_place */
	uint8_t		 prev[NODE_ID_LEN], next[NODE_ID_LEN], far[NODE_ID_LEN];
	uint8_t		 classes;
	uint32_t	 max_streams;		/* 0: no limit */
	uint64_t	 hard;			/* seconds since 1970 */
	LIST_HEAD(, stream) streams;
	uint32_t	 nstreams, nprobes;	/* nprobes: of those, streams of probes */
	struct ratelimit opens, probe_opens;
	struct opens	*tenant;		/* the source's, of the set */
	struct route_rate rate;
	bool		 held;			/* in the set's list: reliable streams wait for tokens */
	unsigned	 routed;		/* the last that named it, as the set counts them */
	bool		 news;			/* `forth' or `back' moved since that was last told */
	uint64_t	 forth[CLASS_COUNT], back[CLASS_COUNT];	/* bytes; forth: away from the source */
	uint64_t	 told_forth[CLASS_COUNT], told_back[CLASS_COUNT];	/* of these */
	uint64_t	 heard_ns;		/* when something last came in from a session on it */
	uint64_t	 packets;		/* unreliable, that left here for a session */
	void		*way;			/* the owner's, when it begins or ends here */
};

struct routes {
	struct route_list bucket[ROUTE_BUCKETS];
	struct route_queue held;	/* who waits longest comes first */
	struct route_rate relayed;	/* of all that this node relays, together */
	struct opens	 tenants[ROUTE_TENANTS];
	size_t		 n;
	uint64_t	 secret;
	uint64_t	 wall;			/* now, in seconds since 1970: the owner keeps it, */
	unsigned	 routed;		/* and counts the routeds: one is told of what it has named itself */
	struct route_counters counters;
};

void	routes_init(struct routes *, uint64_t secret);
void	routes_free(struct routes *);		/* their streams are gone already */

struct route *route_find(const struct routes *, uint64_t id);

/*
 * A new entry, or new limits of one that leads the same way. NULL when it makes no sense, there are too many, or one with
 * this id leads another way.
 */
struct route *route_put(struct routes *, const struct pm_route *, uint64_t now_ns);
void	route_remove(struct route *);		/* and frees it; its streams are gone already */

/* May another stream be opened over it? REASON_NONE, or why not, which is counted. */
uint64_t route_admit(struct route *, unsigned class, bool probe, uint64_t now_ns);

/*
 * n bytes want to pass: false, for an unreliable stream, when there are no tokens for them, be it of the route or of all that
 * is relayed. A probe has some tokens more: that others have used them up is no fault of the route's.
 */
bool	route_spend(struct route *, size_t n, unsigned class, bool probe, uint64_t now_ns);

/* Bytes that all relayed routes together may send now. */
int64_t	routes_room(struct routes *, uint64_t now_ns);

/* n bytes of a reliable stream have passed: false when the next have to wait. */
bool	route_charge(struct route *, size_t n, uint64_t now_ns);

/* Have the tokens come that its reliable streams wait for? */
bool	route_refilled(struct route *, uint64_t now_ns);

/* Are there as many streams on it as the ticket and the policy allow, beside probes? */
static inline bool
route_full(const struct route *r)
{
	return r->max_streams != 0 && r->nstreams - r->nprobes >= r->max_streams;
}

/* The node that frames leave for or come from: `node' is a neighbour on it. */
static inline bool
route_is_prev(const struct route *r, const uint8_t *node)
{
	return r->place != TICKET_SOURCE && memcmp(r->prev, node, NODE_ID_LEN) == 0;
}

static inline bool
route_is_next(const struct route *r, const uint8_t *node)
{
	return r->place != TICKET_DEST && memcmp(r->next, node, NODE_ID_LEN) == 0;
}

/* The neighbour that leads to the far end, of a route that begins or ends here. */
static inline const uint8_t *
route_neighbour(const struct route *r)
{
	return r->place == TICKET_DEST ? r->prev : r->next;
}

#endif
