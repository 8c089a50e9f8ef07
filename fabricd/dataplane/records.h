/*
 * What nodes say that they serve, between sessions and routed. The dataplane looks into no record and verifies none:
 * a peer's go to routed and to nobody else; what adapters hear is routed's word.
 */
#ifndef DATAPLANE_RECORDS_H
#define DATAPLANE_RECORDS_H

#include "base/ratelimit.h"
#include "proc/procmsg.h"

struct conn;
struct dataplane;
struct wport;

/*
 * The last set of a session's peer. It is kept, so that routed gets it again when that is new, and so that a peer that
 * sends too often loses no more than what it has replaced itself.
 */
struct conn_records {
	uint8_t	*p;
	size_t	 len;
	bool	 have;
	bool	 due;		/* routed has not got it */
	struct ratelimit rate;
};

void	records_init(struct conn_records *);
void	records_free(struct conn_records *);

/* A ROUTE_UPDATE. REASON_NONE, or why the session ends. */
uint64_t records_in(struct conn *, const struct frame_route_update *);

/* To routed: what it has not got, as often as may be; `all`: it is new. */
void	records_tell(struct conn *, bool all);

/* routed's: this node's set, to one peer whose session is up. */
void	records_out(struct dataplane *, const struct pm_records *);

/* routed's own service: what it says to its neighbours' routed. It is there without a record, and over no route. */
#define DIRECTORY_SERVICE "directory"

/* The adapter that serves, or would use, the service of this name. */
enum worker_kind adapter_of(const char *name);

/* A message about services on a worker's channel. 0, or -1: it may not say that. */
int	records_message(struct wport *, const struct procmsg *);

#endif
