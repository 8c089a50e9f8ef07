/*
 * What binds routed to its neighbours: the mesh, the known nodes, their exchange, this node's own record, and the manager of
 * routes, which lives on all of these.
 */
#ifndef ROUTED_SPREAD_H
#define ROUTED_SPREAD_H

#include "base/ratelimit.h"
#include "proc/procmsg.h"
#include "routed/known.h"
#include "routed/mesh.h"
#include "routed/own.h"
#include "routed/sync.h"

struct event;
struct manager;
struct routed;

struct spread {
	struct routed	*routed;
	struct mesh	*mesh;
	struct knowns	*knowns;
	struct sync	*sync;
	struct manager	*manager;
	struct own	 own;
	struct event	*timer, *manager_tick;
	struct sync_time now;		/* of what is being done */
	bool		 running;
	bool		 loaded, loading; /* the store's nodes, for the node that this one is */
	uint8_t		 load_cursor[NODE_ID_LEN];
	struct ratelimit skew_logs;
};

/* NULL when memory is short, or the library fails. */
struct spread *spread_new(struct routed *);

void	spread_conf(struct spread *);			/* r->conf is another */
int	spread_message(struct spread *, const struct procmsg *);	/* the supervisor's; -1: out of place */
void	spread_services(struct spread *);		/* this node's own set is another */

/* The channel to the dataplane is new, or gone. */
void	spread_port(struct spread *);
void	spread_lost(struct spread *);

/* A frame of a stream, or a message that is not the directory's. -1: the dataplane broke the protocol. */
int	spread_frame(struct spread *, const struct frame *);
int	spread_dataplane(struct spread *, const struct procmsg *);

/* The directory has taken these. */
void	spread_peer_up(struct spread *, const struct pm_peer_up *);
void	spread_peer_down(struct spread *, const struct pm_peer_down *);

/* After a batch of frames, and when the channel has room again. */
void	spread_run(struct spread *);
void	spread_tick(struct spread *, uint64_t ticks);	/* each second */

#endif
