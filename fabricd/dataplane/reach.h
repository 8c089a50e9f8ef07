/*
 * The far nodes and the ways to each: the session with it, and the routes that begin or end here. What this node's
 * adapters open goes over the best way that is up; when a way fails, is taken back or outranked, its streams are moved.
 * routed says which ways there are and in which order; the dataplane sees for itself which of them work (probe.h).
 */
#ifndef DATAPLANE_REACH_H
#define DATAPLANE_REACH_H

#include "fabricd/dataplane/dp.h"
#include "fabricd/dataplane/moved.h"
#include "fabricd/dataplane/opens.h"
#include "fabricd/dataplane/probe.h"

#define REACHES_MAX	65536u
#define REACH_BUCKETS	1024u
#define WAYS_MAX	PM_RANK_MAX	/* to one node */

struct reach;

struct way {
	TAILQ_ENTRY(way) entry;
	struct reach	*reach;
	struct route	*route;		/* NULL: the session */
	struct conn	*conn;		/* the session's */
	uint8_t		 state;		/* enum way_state */
	bool		 active;	/* its streams carried something in the last seconds */
	uint64_t	 reason;	/* why it is silent, */
	uint64_t	 proof_ns;	/* and when it last was not */
	uint64_t	 packets;	/* of its route, unreliable, that had left at the last answer */
	uint64_t	 moved;		/* frames that they had carried, at the last look */
	uint64_t	 bytes;		/* the same of bytes */
	uint32_t	 kbps;
	uint64_t	 sent, lost;	/* the session's packets, at the last look */
	struct probe	 probe;
};

struct reach_rank {
	uint8_t	 n;
	uint64_t ids[PM_RANK_MAX];
};

/* Who it is, as routed says. */
struct reach_remote {
	struct pm_peer_up m;		/* with what it borrows in `prefixes' and `membership' */
	uint8_t	 prefixes[RECORD_ADDRS_MAX * 18];
	uint8_t	 membership[FRAME_RECORD_MAX];
};

/* A move that has not been told of: the first proof on the new way is waited for. */
struct reach_move {
	bool	 pending;
	struct pm_route_moved m;
	uint64_t proof_ns;		/* the last of the old way */
	uint64_t decided_ns;
};

struct reach {
	LIST_ENTRY(reach) bucket;
	struct dataplane *dp;
	uint8_t		 node_id[NODE_ID_LEN];
	TAILQ_HEAD(, way) ways;
	unsigned	 nways, nroutes;
	struct reach_rank *rank;	/* by class; NULL: routed has named no order */
	struct reach_remote *remote;	/* NULL: routed did not say */
	struct reach_move move;
	bool		 told_up;	/* the adapters know it as up */
	bool		 active;	/* one of its ways is */
	uint64_t	 lost_ns;	/* since when no way works; 0: one does */
	uint32_t	 datagram_told;
	bool		 settled_told;
	uint8_t		*permits;	/* as PM_PERMIT has them */
	size_t		 permits_len;
	bool		 permitted, permit_all;	/* permitted: PM_PERMIT came */
	bool		 revoked;
	struct opens	 opens;		/* of what it opens here, */
	struct opens	 relayed;	/* and of what it brings that goes on to others */
	uint64_t	 wanted_ns;	/* when routed was last asked for a way, as an OPEN found none */
};

struct reaches {
	LIST_HEAD(, reach) bucket[REACH_BUCKETS];
	size_t		 n;
	struct event	*pace;		/* for streams that wait for their routes' rate */
	struct ratelimit wants;		/* of OPENs that found no way */
	struct ratelimit refusals;	/* of routes, that are logged */
	struct moveds	 moved;		/* streams that wait for another way's answer */
	struct ratelimit moves;		/* of them, that routed is told of */
	bool		 permits;	/* routed speaks of what is permitted */
	bool		 permit_all;	/* whoever was not named may reach everything */
	uint64_t	 unnamed_ns;	/* when what they have open ends that were not; 0: it has, or need not */
	struct keeps	*keeps;		/* permit.c */
};

int	reaches_init(struct dataplane *);
void	reaches_free(struct dataplane *);

struct reach *reach_find(const struct dataplane *, const uint8_t *node_id);
struct reach *reach_get(struct dataplane *, const uint8_t *node_id);	/* makes it; NULL when there are too many */
void	reach_drop(struct reach *);	/* frees it when nothing is known of it any more */

/* routed's word on a worker's channel. 0, or -1: it may not say that. */
int	reach_message(struct wport *, const struct procmsg *);

/* A session has come up; one is about to leave the switch. */
void	reach_session_up(struct conn *);
void	reach_session_down(struct conn *, uint64_t reason);
/* It has left; `replaced': for a younger one, which comes up in this same event. */
void	reach_session_over(struct dataplane *, const uint8_t *node_id, uint64_t reason, bool replaced);

/* An adapter is new: who is up? */
void	reach_tell(struct dataplane *, enum worker_kind);

/* Each second, and after everything that may have moved bytes. */
void	reach_second(struct dataplane *);
void	reach_flush(struct dataplane *);

/* The port that it leaves by now, or NULL. */
struct port *way_port(const struct way *);
static inline uint64_t
way_id(const struct way *w)
{
	return w->route == NULL ? 0 : w->route->id;
}
uint32_t way_datagram_max(const struct way *);

/* Its way by this route, or (NULL) by the session; NULL: there is none. */
struct way *reach_way(const struct reach *, const struct route *);

static inline struct dataplane *
dp_of(struct fswitch *sw)
{
	return (struct dataplane *)(void *)((char *)sw - offsetof(struct dataplane, sw));
}

/* Are there as many streams on it as there may be? */
static inline bool
way_full(const struct way *w)
{
	return w->route != NULL && route_full(w->route);
}

/* The best way that is up, for this class, but this one; NULL: none. */
struct way *reach_best(const struct reach *, unsigned class, const struct way *but);

/* Whether there are routes to it beside the session. */
bool	reach_routed(const struct dataplane *, const uint8_t *node_id);

/* What fits a datagram may be another now: vpnd hears it before the first packet that takes another way. */
void	reach_tell_size(struct reach *);

/* The state of a way was found out to be another: adapters hear of it. */
void	reach_update(struct reach *);

/* probe.c: it answers, the first time or again; it does not, for so long. */
void	way_up(struct way *);
void	way_silent(struct way *, uint64_t reason, uint64_t proof_ns);

/* move.c */
/* Its streams that have another way go there. How many. */
unsigned way_leave(struct way *, uint64_t reason, uint64_t proof_ns);
/* A way has come up: what could not leave a silent one before now can. */
void	reach_rescue(struct reach *);
/* The classes of this mask have another order of ways: what this node opened goes where it belongs. */
void	reach_reorder(struct reach *, unsigned classes);
/* Something was proven on this way. */
void	move_proof(struct way *);
/* Each second: what was waited for too long is told of as it is. */
void	move_second(struct reach *);
/* The switch's hooks, about single streams. */
bool	move_follows(struct fswitch *, const struct port *from, uint64_t before, uint64_t id);
bool	move_answered(struct fswitch *, const struct stream *);
/* The ids that an adapter has given to its streams are gone with its channel. */
void	move_port_gone(struct dataplane *, const struct port *);

/* permit.c */
int	permits_init(struct dataplane *);
void	permits_free(struct dataplane *);
void	permit_set(struct dataplane *, const struct pm_permit *);
uint64_t permit_ask(struct fswitch *, const uint8_t *source, struct frame_bytes service, unsigned class);
bool	permit_keep(struct fswitch *, struct port *, const struct frame *, const uint8_t *source);
bool	permit_waits(const struct dataplane *, const struct port *, uint64_t id);
bool	permits_waiting(const struct dataplane *);
void	permits_port_gone(struct dataplane *, const struct port *);
/* A RESET of the peer's for one that waits. */
void	permits_reset(struct dataplane *, const struct port *, uint64_t id);
void	permits_tick(struct dataplane *);
void	permits_second(struct dataplane *);

#endif
