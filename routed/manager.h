/*
 * The route manager: what binds the parts that make, install, judge and count routes to the known nodes, the mesh and the
 * dataplane. It is given messages and the time, and gives messages; each of its parts is a state machine of its own:
 * routes (this node's own), install (all that lead over it), ways (which comes first), asking (requests and answers),
 * coordinator (issues leases), fences, usage, history.
 */
#ifndef ROUTED_MANAGER_H
#define ROUTED_MANAGER_H

#include "base/ratelimit.h"
#include "crypto/noise.h"
#include "fabric/graph.h"
#include "fabric/policy.h"
#include "proc/procmsg.h"
#include "routed/asking.h"
#include "routed/coordinator.h"
#include "routed/directory.h"
#include "routed/fences.h"
#include "routed/history.h"
#include "routed/install.h"
#include "routed/known.h"
#include "routed/leasestore.h"
#include "routed/routes.h"
#include "routed/usage.h"
#include "routed/ways.h"

#define MANAGER_TICK_MS	100u
#define MANAGER_KEYS	2u		/* ticket keys: that of now, and the one before */
#define MANAGER_REMOTES_MAX INSTALL_MAX	/* far nodes that the dataplane was told of: each route that ends here may have its own */
#define MANAGER_SILENT_NS (5u * 1000000000ull)	/* a way that is silent for so long is given up */
#define MANAGER_EXPIRE_NS (60u * 1000000000ull)
#define MANAGER_HARD_REVOKED 2048u

struct manager_ops {
	/* Over the mesh; -1: there is no stream to it, or no room. */
	int	(*send)(const uint8_t *node_id, unsigned type, const uint8_t *body, size_t len, void *arg);
	bool	(*adjacent)(const uint8_t *node_id, void *arg);
	/* Calls fn for each node that there is a stream to. */
	void	(*each)(void (*fn)(const uint8_t *node_id, void *), void *fn_arg, void *arg);
	/* -1: the channel is full or not there. */
	int	(*dataplane)(const struct procmsg *, void *arg);
	void	(*flush)(void *arg);
	/* Asks neighbours for what is known of this node. */
	void	(*query)(const uint8_t *node_id, void *arg);
	/* A fence of this node's own: taken as if it had come, and spread. 0, or the enum known_error that it was not. */
	int	(*spread)(const uint8_t *record, size_t len, void *arg);
};

/* A far node that the dataplane was told of. */
struct manager_remote {
	uint8_t	 node_id[NODE_ID_LEN];
	bool	 needed;
};

/* When a way was first seen silent. */
struct manager_silent { uint64_t route_id, since_ns; };

struct manager {
	const struct manager_ops *ops;
	void		*arg;
	struct knowns	*knowns;	/* not owned, as the directory */
	struct directory *dir;
	struct install	*install;
	struct routes	*routes;
	struct ways	*ways;
	struct graph	*graph;
	struct coordinator *coordinator;
	struct leasestore *leases;
	uint64_t	 expire_ns;	/* when what has expired is taken out of it next */
	struct policy	*policy;	/* NULL: the default */
	struct usage	*usage;
	struct asking	 asking;
	struct fences	 fences;
	struct history	 history;
	struct score_weights weights;
	struct pm_conf_routing conf;
	bool		 dataplane;	/* there is one */
	bool		 is_self, keyed;
	bool		 fences_due;	/* this node may have another key than its fences are signed with */
	uint8_t		 id[NODE_ID_LEN], authority[RECORD_KEY_LEN];
	char		 tenant[RECORD_TENANT_MAX + 1];
	struct sign_key	 route_key;
	struct noise_key ticket_keys[MANAGER_KEYS];
	size_t		 nkeys;
	uint8_t		 node_key[RECORD_KEY_LEN];
	struct clock_both now;		/* as of the call that is under way */
	uint64_t	 wall_ms;
	uint64_t	 policy_serial;
	uint64_t	 saved_version;	/* of the routes */
	struct manager_remote remotes[MANAGER_REMOTES_MAX];
	size_t		 nremotes;
	struct manager_silent silent[64];
	uint8_t		*revoked;	/* ids that the dataplane was told of, or is to be */
	size_t		 nrevoked, revoked_told;
	uint8_t		*pardoned;	/* ids that it was told of, and is to be told that they are members again */
	size_t		 npardoned;
	bool		 serves;	/* it was told what, if anything */
	bool		 permits_due, tenants_due;
	size_t		 permits_next;	/* of the known nodes, while they are told */
	uint64_t	 next_ns;	/* of what is done once a second */
	uint64_t	 answered_ns;	/* when a coordinator last answered, and which: netcheck */
	bool		 lonely;	/* when it asked last, no coordinator was known, or there was no neighbour to ask over */
	uint64_t	 asked_ns;
	uint32_t	 answer_us;
	struct ratelimit refusal_logs, place_logs;
};

/* NULL when memory is short. `knowns' and `dir' outlive it. */
struct manager *manager_new(const struct manager_ops *, void *arg, struct knowns *, struct directory *);
void	manager_free(struct manager *);

/* Each is given the time; wall_ms since 1970. */
void	manager_time(struct manager *, uint64_t now_ns, uint64_t wall_ms);

/* Who this node is, what it relays, and its keys: each again when it changes. */
void	manager_self(struct manager *, const uint8_t *node_id, const uint8_t *authority, const char *tenant);
void	manager_conf(struct manager *, const struct pm_conf_routing *, const struct score_weights *);
void	manager_keys(struct manager *, const struct sign_key *route, const struct noise_key *ticket, struct frame_bytes membership,
	    struct frame_bytes route_delegation);
void	manager_peers(struct manager *);	/* the directory's configured nodes are others */

/* From the mesh: a message of the types DIRMSG_ROUTE_REQUEST to DIRMSG_ROUTE_LAST. -1: malformed. */
int	manager_message(struct manager *, const uint8_t *from, unsigned type, const uint8_t *body, size_t len);
void	manager_mesh_up(struct manager *, const uint8_t *node_id);
void	manager_mesh_down(struct manager *, const uint8_t *node_id);

/* From the known nodes: known_ops. */
void	manager_known(struct manager *, struct known *, enum known_change);
void	manager_signed(struct manager *, const struct record *, const struct known *issuer);

/* From the dataplane. -1: it is none of its messages. */
int	manager_dataplane(struct manager *, const struct procmsg *);
void	manager_dataplane_new(struct manager *);
void	manager_dataplane_lost(struct manager *);
void	manager_writable(struct manager *);	/* its channel has room again */

/* What this node serves has changed: permits name services. */
void	manager_services(struct manager *);

/* Every MANAGER_TICK_MS. */
void	manager_tick(struct manager *);

/* manager_ask.c: how routes_ops and the mesh ask, and are answered. */
int	manager_ask(const struct lease_ask *, uint64_t id, unsigned attempt, struct lease out[LEASE_MAX], enum lease_error *,
	    void *arg);
int	manager_ask_self(const struct lease_ask *, struct lease out[LEASE_MAX], enum lease_error *, void *arg);
/* All relays of the route; or the first of the `left' nodes that did not have it. `tell': coordinators hear of it, too. */
void	manager_blame(struct manager *, uint64_t route_id, unsigned left, bool tell);
/* Whether the policy lets the relays of it, as far as they are known here, carry all its classes for this node. */
bool	manager_lease_permitted(const struct lease *, void *arg);
/* The way there that is used, of those that answer; NULL: none does. */
const struct way *manager_way(const struct manager *, const uint8_t *node_id);
unsigned manager_route_state(const struct route_dest *, const struct lease *, void *arg);
int	manager_on_request(struct manager *, const uint8_t *from, const uint8_t *body, size_t len);
int	manager_on_answer(struct manager *, const uint8_t *from, const uint8_t *body, size_t len);
extern const struct coordinator_ops manager_coordinator_ops;
/* Does the policy let this node, the source, reach anything at the end of the route of this ticket? One it does not know: yes. */
bool	manager_may_hold(struct manager *, const struct ticket *);
bool	manager_is_coordinator(const struct manager *);

/* manager_tell.c: what the dataplane is told of others. */
int	manager_tell_remote(struct manager *, const uint8_t *node_id);	/* -1: not known, or not now */
void	manager_tell_permit(struct manager *, const struct known *);
void	manager_tell_permit_peer(struct manager *, const uint8_t *node_id);
void	manager_tell_more(struct manager *);				/* what is due, as the channel takes it */
void	manager_sweep_remotes(struct manager *);
void	manager_revocations(struct manager *, const struct record *);

/* manager_fence.c */
void	manager_take_fence(struct manager *, const struct record *);
void	manager_fences_again(struct manager *);			/* this node's own, if they are due */
/* This node, a coordinator, fences what f says but for the epoch. The fence that holds now, or NULL with `text' why not. */
const struct fence_held *manager_fence(struct manager *, const struct fence *f, char text[PM_TEXT_MAX + 1]);

/* manager_event.c. Names: what people call the node, or the first digits of its id. */
#define MANAGER_WHO_MAX	(RECORD_NAME_MAX + 1)
const char *manager_who(const struct manager *, const uint8_t *id, char buf[MANAGER_WHO_MAX]);
char	*manager_fence_text(const struct manager *, const struct fence *, char buf[FENCE_TEXT_MAX]);
void	manager_event_fence(struct manager *, const struct fence_held *);
void	manager_event_ticket(struct manager *, struct history_event *, enum install_event, const struct ticket *, unsigned error,
	    const uint8_t *from);

struct history_event *manager_event(struct manager *, enum history_kind);
struct policy_node manager_self_policy(const struct manager *);
bool	manager_permits(const struct manager *, const struct known *src, const char *service, unsigned class);

#endif
