/*
 * The routes of this node to others, as their source: for each destination that is wanted it asks a coordinator, installs
 * what comes (a primary and alternates, all of them, so that they are warm before they are needed), renews them before
 * their time, new before old, and drops what is no more. Without a coordinator that answers within ROUTES_ANSWER_NS it
 * issues leases itself, when there are none that still hold. routed(8) has the times.
 *
 * A pure state machine: what comes in is a function, what goes out an op, the time is an argument.
 */
#ifndef ROUTED_ROUTES_H
#define ROUTED_ROUTES_H

#include "base/ratelimit.h"
#include "routed/coordinator.h"
#include "routed/install.h"

#define ROUTES_DESTS_MAX 256u
#define ROUTES_HELD_MAX	LEASE_HELD_MAX	/* leases to one destination, such as are left included */
#define ROUTES_EACH	3u		/* asked for, for each kind of class */
#define ROUTES_ANSWER_NS (1000u * 1000000ull)
#define ROUTES_WANT_NS	(600u * 1000000000ull)	/* a destination that nobody has asked for again is dropped after so long */
#define ROUTES_LEAVE_NS	(5u * 1000000000ull)	/* an old route goes so long after a new one is up */
#define ROUTES_RETRY_NS	(500u * 1000000ull)	/* doubles to */
#define ROUTES_RETRY_MAX_NS (30u * 1000000000ull)
#define ROUTES_FEW_NS	(60u * 1000000000ull)	/* with fewer than two, it is asked again after so long; sooner at first */
#define ROUTES_STALE_NS	(2000u * 1000000ull)	/* a hop has other keys: asked again when the coordinator may know them */
#define ROUTES_SPARE_NS	(4000u * 1000000ull)	/* with a session and no route: the first time, and no sooner when something changes */
#define ROUTES_LACK_NS	(15u * 1000000000ull)	/* or after so long, when there is none for a class, */
#define ROUTES_LACK_MAX	8u			/* so many times */
#define ROUTES_SELF_LEFT_S 30u		/* leases that hold for longer are no reason to issue some oneself */
#define ROUTES_ASK_MS	50u		/* one request in so long, in the long run */
#define ROUTES_ASK_BURST 40u

enum route_state { HELD_INSTALLING, HELD_UP, HELD_LEAVING, HELD_STATES };

struct route_held {
	struct lease	 lease;
	uint8_t		 state;		/* enum route_state */
	bool		 missed;	/* restored, and not in the first answer */
	bool		 restored;	/* of the routed before this one: the dataplane may have it; no ticket of it is here */
	uint64_t	 leave_ns;	/* when it is left; 0: when a newer one is up */
	uint64_t	 up_wall;
};

struct route_dest {
	uint8_t	 node_id[NODE_ID_LEN];
	bool	 configured;
	bool	 waiting;		/* an adapter wants to be told when there is nothing */
	uint64_t until_ns;		/* wanted until then */
	uint64_t ask_ns;		/* when a coordinator is asked next */
	uint64_t answer_ns;		/* until when it may answer; 0: none is asked */
	uint64_t ask_id;		/* 0: an answer came, or nothing was asked */
	uint64_t renew_ns;		/* when what there is, is asked for again */
	uint64_t asked_ns;		/* when it was asked last */
	uint32_t tries;			/* in a row without a route, */
	uint32_t few;			/* and with one only; */
	uint32_t lacked;		/* and with none for a class */
	uint64_t epoch;			/* the newest */
	uint8_t	 error;			/* enum lease_error: of the last answer */
	bool	 self;			/* the last leases are of this node's own making, */
	bool	 lacking;		/* and a coordinator that was asked had none: it may know more in a moment */
	uint8_t	 n;
	struct route_held held[ROUTES_HELD_MAX];
};

/* What an ask comes to, beside the count of leases. */
enum { ROUTES_REFUSED = -1, ROUTES_SENT = -2, ROUTES_NOBODY = -3 };

struct routes_ops {
	/* Asks a coordinator: how many leases it gave at once, or one of the above. */
	int	(*ask)(const struct lease_ask *, uint64_t id, unsigned attempt, struct lease out[LEASE_MAX],
		    enum lease_error *, void *arg);
	/* Issues leases of its own: how many, or ROUTES_REFUSED. */
	int	(*self)(const struct lease_ask *, struct lease out[LEASE_MAX], enum lease_error *, void *arg);
	unsigned (*install)(const struct lease *, void *arg);	/* routes_result() tells the rest */
	void	(*end)(uint64_t route_id, void *arg);
	bool	(*session)(const uint8_t *node_id, void *arg);
	/* enum way_state, as the dataplane has said last. */
	unsigned (*state)(const struct route_dest *, const struct lease *, void *arg);
	/* For the order of ways: it is up; it is to be left; it is gone. */
	void	(*up)(const struct route_dest *, const struct lease *, void *arg);
	void	(*leaving)(const struct route_dest *, const struct lease *, void *arg);
	void	(*gone)(const struct route_dest *, const struct lease *, void *arg);
	/* Who asked for this node is told that there is no way. */
	void	(*failed)(const uint8_t *node_id, enum lease_error, void *arg);
	/* Leases came (n, or ROUTES_REFUSED with an error), from a coordinator or of the own making: for people and counters. */
	void	(*answered)(const struct route_dest *, int n, enum lease_error, bool self, void *arg);
	uint64_t (*random)(void *arg);
	/* No lease that somebody has made who may: it says nothing. May be NULL: none is. */
	bool	(*forged)(const struct lease *, void *arg);
	/* Whether this node's policy lets the nodes of it carry its classes for this node. May be NULL: it does. */
	bool	(*permitted)(const struct lease *, void *arg);
};

struct routes;
struct routes *routes_new(const struct routes_ops *, void *arg);
void	routes_drop(struct routes *);	/* frees it; the dataplane has a routes_free() of its own, and tests link both */

/* The nodes to which routes are always wanted. */
void	routes_configured(struct routes *, const uint8_t (*ids)[NODE_ID_LEN], size_t n, const struct clock_both *);

/* An adapter wants a way to it. waiting: for these classes it has none that works. -1: no room. */
int	routes_want(struct routes *, const uint8_t *node_id, uint8_t waiting, const struct clock_both *);

/* Streams are on the way to it. */
void	routes_used(struct routes *, const uint8_t *node_id, const struct clock_both *);

/* The answer to ask `id'; takes the leases over. n is ROUTES_REFUSED with an error. */
void	routes_answer(struct routes *, uint64_t id, struct lease *, int n, enum lease_error, const struct clock_both *);

/* What installing came to, or that it ended: install_ops.result. Calls back neither install nor end. */
void	routes_result(struct routes *, uint64_t route_id, unsigned error, const struct clock_both *);

/* It has been silent for long: another is asked for. */
void	routes_silent(struct routes *, uint64_t route_id, const struct clock_both *);

/* Something changed that may help: who waits with nothing asks soon. */
void	routes_hint(struct routes *, const struct clock_both *);

/* A coordinator is known, and there was none: what this node has made itself it need not keep to its time. */
void	routes_coordinator(struct routes *, const struct clock_both *);

/* The same of one destination: what it says of itself has changed, such as whom it has sessions with after a split. */
void	routes_hint_of(struct routes *, const uint8_t *node_id, const struct clock_both *);

/* A node is no member any more: it is no destination, and routes over it are left at once. */
void	routes_revoked(struct routes *, const uint8_t *node_id, const struct clock_both *);

/* ops.permitted says otherwise: what it forbids is left at once, and others are asked for. */
void	routes_policy(struct routes *, const struct clock_both *);

/* The dataplane is new: ops.up is called again for all. */
void	routes_again(struct routes *);

/*
 * A route that the routed before this one held: it is asked for again, under its id, so that streams on it stay where they
 * are. Of the lease only route_id, epoch, hard, classes and the nodes.
 */
void	routes_restore(struct routes *, const struct lease *, const struct clock_both *);

/* A fence: what is asked for from now on has to have a greater epoch than this. */
void	routes_fenced(struct routes *, uint64_t epoch, const struct clock_both *);

/* Changes with what there is to restore. */
uint64_t routes_version(const struct routes *);

void	routes_tick(struct routes *, const struct clock_both *);

const struct route_dest *routes_find(const struct routes *, const uint8_t *node_id);
size_t	routes_count(const struct routes *);
const struct route_dest *routes_get(const struct routes *, size_t i);	/* in the order of their ids; NULL behind the last */
const char *route_state_name(unsigned);

#endif
