/*
 * The routes that lead over this node, as source, relay or destination: tickets are opened and verified, the dataplane is
 * told, the rest is passed on, and what came of it goes back. A hop holds its own ticket, and unread those of the nodes
 * behind it: when the next node's routed was another in between, it is given them again, so that nobody has to ask.
 *
 * Pure state: messages and time go in; what goes out goes through ops. fabric-lease(5) has the rules.
 */
#ifndef ROUTED_INSTALL_H
#define ROUTED_INSTALL_H

#include "base/ratelimit.h"
#include "fabric/ticket.h"
#include "routed/routemsg.h"

#define INSTALL_MAX	4096u		/* routes over this node */
#define INSTALL_PEER_MAX 1024u		/* of these from one neighbour, */
#define INSTALL_TENANT_MAX 2048u	/* and of one tenant's */
#define INSTALL_FAR_MAX	(2 * LEASE_HELD_MAX)	/* that end here, of one source's: what it holds, and what it has just left */
#define INSTALL_PEER_MS	20u		/* one in so long from one neighbour, in the long run */
#define INSTALL_PEER_BURST 500u
#define INSTALL_TENANT_MS 10u
#define INSTALL_TENANT_BURST 1000u
#define INSTALL_WAIT_NS	(500u * 1000000ull)	/* for the word of the nodes behind, and again so long for each: the nearest gives up first */
/*
 * So long after its start a routed does not refuse for a next node that it has no stream to yet: the dataplane may have
 * the route from the routed before, and carry it all the while.
 */
#define INSTALL_YOUNG_NS (5u * 1000000000ull)
#define INSTALL_OLD_NS	(30u * 1000000000ull)	/* a source's older routes are refused at once, and dropped so long after a newer one is there */

struct clock_both { uint64_t now_ns, wall; };	/* the monotonic clock's, and seconds since 1970 */

enum install_state { ROUTE_WAITING, ROUTE_UP };
struct installed {
	struct installed *hash_next;
	struct ticket	 t;
	uint8_t		 issuer[NODE_ID_LEN];
	uint8_t		 state;			/* enum install_state */
	uint8_t		 nrest;			/* tickets in rest */
	bool		 told;			/* the dataplane knows it as it is */
	bool		 confirmed;		/* the next hop has said of these tickets that they are installed */
	bool		 unsent;		/* it is to be passed on again, as soon as there is room */
	uint64_t	 deadline_ns;		/* while it waits */
	uint64_t	 old_ns;		/* when a newer epoch of its source was there; 0: it is the newest */
	uint64_t	 since;			/* wall */
	uint64_t	 used[CLASS_COUNT][2];	/* usage.c's: bytes, forth and back, since this routed knows it */
	uint8_t		*rest;			/* owned: as it came */
	size_t		 rest_len;
};

enum install_event { INSTALL_EV_UP, INSTALL_EV_REFUSED, INSTALL_EV_GONE, INSTALL_EV_EXPIRED };

struct install_limits { uint32_t kbps, streams; };	/* of a route; 0: no limit */

/* None of them may call install.h's functions. */
struct install_ops {
	int	(*send)(const uint8_t *node_id, unsigned type, const uint8_t *body, size_t len, void *arg);
	/* To the dataplane; -1: not now, install_sync() tries again. */
	int	(*dataplane)(const struct procmsg *, void *arg);
	/* All of the context but what is found here: from, route_id, arg and the callbacks. */
	void	(*context)(struct ticket_ctx *, void *arg);
	bool	(*issuer)(const uint8_t *route_key, struct ticket_issuer *, void *arg);
	bool	(*revoked)(const uint8_t *node_id, void *arg);
	uint64_t (*fenced)(const struct ticket *, void *arg);
	bool	(*permitted)(const struct ticket *, const struct ticket_issuer *, void *arg);
	/* What this node relays at most for a ticket, beside the ticket's own limits. */
	struct install_limits (*limits)(const struct ticket *, void *arg);
	/* How much all that is relayed may be promised, and is carried, in kbit/s; 0: no limit. install_again() tells of another. */
	uint32_t (*kbps_all)(void *arg);
	/* Whether the dataplane can be told who the far end is; false: not known yet, and it is asked for. */
	bool	(*far)(const uint8_t *node_id, void *arg);
	/* What a route of this node's own has come to: installed, or not, or not any more. */
	void	(*result)(uint64_t route_id, unsigned error, unsigned left, void *arg);
	/* Of any route here, for people and counters. `from': who brought what was refused, NULL: the own answer. */
	void	(*event)(enum install_event, const struct ticket *, unsigned error, const uint8_t *from, void *arg);
};

struct install;
struct install *install_new(const struct install_ops *, void *arg);
void	install_free(struct install *);

/* A lease of this node's own. INSTALL_OK: it is on its way, ops.result will tell; else why not. */
unsigned install_lease(struct install *, const struct lease *, const struct clock_both *);
/* Whether it is no lease that somebody has made who may, whatever else can be said of it. Changes nothing. */
bool	install_forged(struct install *, const struct lease *);

/* DIRMSG_INSTALL, _INSTALLED and _TEARDOWN. -1: malformed. */
int	install_message(struct install *, const uint8_t *from, unsigned type, const uint8_t *body, size_t len,
	    const struct clock_both *);

/* The mesh has a stream to this node again, whose routed may be another: it gets what leads over it. */
void	install_mesh_up(struct install *, const uint8_t *node_id, const struct clock_both *);

/* Ends one; both neighbours on it are told `error', the streams on it `reason'. */
void	install_end(struct install *, uint64_t route_id, unsigned error, uint64_t reason);

/* Ends all for which `judge' gives something else than INSTALL_OK. Returns how many. */
size_t	install_judge(struct install *, unsigned (*judge)(const struct installed *, void *arg), void *arg, uint64_t reason);

/* A new dataplane knows nothing; install_sync() tells what it does not know. */
void	install_again(struct install *);
void	install_sync(struct install *);

/* Expiry and timeouts: call it some times a second. */
void	install_tick(struct install *, const struct clock_both *);

/* What may be otherwise in a moment: a route that was there is not given up for it. */
bool	install_passing(unsigned error);

/* So is this: a hop's routed, or the coordinator, was restarted and has other keys; a new ticket helps. */
bool	install_stale(unsigned error);

struct installed *install_find(const struct install *, uint64_t route_id);
size_t	install_count(const struct install *);
void	install_each(const struct install *, void (*fn)(struct installed *, void *arg), void *arg);

#endif
