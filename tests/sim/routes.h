/*
 * Routes in one process: hundreds of nodes with the real graph, coordinator, route manager's state machines and tickets, on
 * a clock and a network that come from a seed. routes.c runs it and has time and chance, routes_world.c the network and
 * what happens to it, routes_policy.c the policies, routes_node.c a node, routes_stream.c what goes over its ways,
 * routes_judge.c what must hold. Signatures and seals are stand-ins (routes_fake.c): what they protect has its own tests,
 * and hours have to pass in seconds here.
 *
 * What is modelled simply: mesh and directory deliver or lose whole messages; fences and policies go from neighbour to
 * neighbour; a dataplane is its table of routes and walks it, and what it knows of its ways comes from that, a look each tick
 * in place of probes; on each pair there is one stream, which routes_stream.c tells more of.
 */
#ifndef SIM_ROUTES_H
#define SIM_ROUTES_H

#include "fabric/policy.h"
#include "routed/coordinator.h"
#include "routed/fences.h"
#include "routed/install.h"
#include "routed/routes.h"
#include "routed/ways.h"

#define MS		1000000ull
#define SEC		1000000000ull
#define WALL		1800000000ull
#define TICK		(200 * MS)
#define NODES_MAX	400u
#define LINKS_OF_MAX	40u	/* of a node */
#define LINKS_ALL_MAX	4000u
#define PAIRS_MAX	200u
#define NOBODY_HERE	UINT32_MAX
#define COORDINATORS	3u
#define ID_BUCKETS	1024u
#define FENCES_ALL	256u	/* of a run */
#define PAIR_WAYS	16u	/* as the dataplane's WAYS_MAX */
#define STREAM_CLASS	CLASS_INTERACTIVE

/* Two policies, see routes_policy.c: the second is the stricter one, and comes in the midst of the run. */
enum { POLICY_FIRST, POLICY_SECOND, POLICIES };

struct rsim;

struct rlink {
	uint32_t a, b;
	bool	 down, cut;		/* by itself; by the network's being split */
	uint32_t rtt_us, jitter_us, kbps;
	uint16_t loss;			/* thousandths */
	uint64_t until_ns;		/* when it is well again */
};

/* One route in a dataplane, and the next node on it: NOBODY_HERE when there is none, or no link to it. */
struct rentry {
	struct pm_route	 r;
	uint32_t	 next, link;
};

struct rnode {
	struct rsim	*sim;
	uint32_t	 index, next;	/* next: in its bucket, counted from 1 */
	struct sign_key	 node, route;
	struct noise_key ticket;
	uint8_t		 id[NODE_ID_LEN];
	char		 name[24];
	const char	*tenant;
	uint32_t	 roles;
	uint8_t		 membership[512], delegation[512];
	size_t		 mlen, dlen;
	int64_t		 offset_s;	/* of its clock */
	bool		 up, revoked;
	bool		 relays;
	uint8_t		 relay_classes;
	uint64_t	 until_ns;	/* when it comes up again */
	uint64_t	 relays_ns;	/* and when it relays again; 0: it has not stopped */
	uint32_t	 generation;	/* of its processes */
	uint32_t	 link[LINKS_OF_MAX];
	unsigned	 nlinks;
	struct install	*install;
	struct routes	*routes;
	struct ways	*ways;
	struct fences	 fences;
	struct rentry	*table;
	uint64_t	*table_id;	/* of each entry */
	size_t		 nentries, table_size;
	/* what has come to it of what all are to hear */
	uint64_t	 heard[FENCES_ALL / 64];
	unsigned	 policy;	/* which of the two */
	/* what it last told of itself */
	struct facts	 facts;
	bool		 told;
	uint64_t	 tell_ns;	/* when it does next */
	/* a coordinator's */
	struct graph	*graph;
	struct coordinator *coordinator;
};

/* What a route leads over, from table to table. */
struct walk {
	bool		 up;		/* to its destination */
	uint32_t	 rtt_us;
	uint16_t	 loss;
	unsigned	 n;
	uint32_t	 node[LEASE_HOPS_MAX], generation[LEASE_HOPS_MAX];
};

/* A way of a pair, as its dataplane knows it. */
struct rway {
	uint64_t	 route_id;
	uint8_t		 state;		/* enum way_state */
	bool		 works;		/* it really does, now */
	unsigned	 looks;		/* on end that said otherwise than the state */
	uint64_t	 works_ns, worked_ns;	/* since when it does, or did; when it did last */
	uint64_t	 silent_ns;	/* since when it is silent, as routed hears of it; 0: it is not */
	uint64_t	 epoch, hard;
	uint8_t		 classes;
	struct walk	 walk;		/* the last that came to the end */
};

/* The stream of a pair: what its end at the source knows. */
struct rstream {
	bool		 open;		/* its far end has answered */
	bool		 leg, answered;	/* there is one; it was answered */
	uint64_t	 heard_ns;	/* when something last came over its leg */
	uint64_t	 sent_ns;	/* when the leg was begun */
	uint64_t	 bare_ns;	/* since when it has none; 0: it has */
	uint64_t	 again_ns, wait_ns;	/* when it looks for another, and how long it waited */
	uint32_t	 source, dest;	/* generations of the nodes that it is between */
};

struct rpair {
	uint32_t	 source, dest;
	uint64_t	 from_ns;	/* when it is wanted; UINT64_MAX: not said yet */
	bool		 wanted;
	struct rway	 ways[PAIR_WAYS];
	unsigned	 nways;
	uint64_t	 way;		/* route id that the stream is on; 0: none */
	struct rstream	 stream;
	uint64_t	 dead_ns;	/* since when the stream has had no way that works; 0: it has */
	uint64_t	 out_ns;	/* since when there was none, and a path */
	uint64_t	 path_ns;	/* since when there is a path that is permitted; 0: there is none */
	unsigned	 forced, flaps;
	uint64_t	 order[PM_RANK_MAX];
	unsigned	 norder;
};

struct rmessage {
	uint64_t	 at_ns, seq;
	unsigned	 kind;		/* enum rkind */
	uint32_t	 from, to, generation;
	unsigned	 type;
	uint64_t	 id;
	uint8_t		*body;
	size_t		 len;
	struct lease_ask ask;
	enum lease_error error;
};
enum rkind { R_MESH, R_ASK, R_ANSWER, R_FENCE, R_POLICY, R_REVOKED };

struct rfence {
	struct fence	 f;
	uint64_t	 made_ns;
	bool		 informed;	/* who made it knew of all before it */
	uint8_t		 record[512];
	size_t		 len;
};

/* When a lease was given. */
struct rissued { uint64_t route_id, epoch, at_ns; };

struct rsim {
	uint64_t	 seed, rand, now_ns, end_ns, hash, seq;
	bool		 verbose, failed;
	char		 why[256];
	struct sign_key	 authority;
	struct rnode	 node[NODES_MAX];
	uint32_t	 bucket[ID_BUCKETS];
	uint32_t	 nnodes, nrelays;
	struct rlink	 link[LINKS_ALL_MAX];
	uint32_t	 nlinks;
	struct rpair	 pair[PAIRS_MAX];
	uint32_t	 npairs;
	struct rmessage	*heap;
	size_t		 nheap, heap_size;
	uint64_t	 split_until_ns;
	struct rfence	 fence[FENCES_ALL];
	unsigned	 nfences;
	struct policy	*policy[POLICIES];
	uint64_t	 policy_ns;	/* when the second one comes */
	bool		 second;	/* it has */
	struct rissued	*issued;	/* by hash; the size is a power of two */
	size_t		 nissued, issued_size;
	/* what came of it */
	uint64_t	 leases, selfs, installs, refused, forced, flaps, outs, walks, events, revocations;
	uint64_t	 longest_out_ns, longest_dead_ns;	/* without a way; with one that was not taken */
	uint64_t	 late_ways;	/* pairs that were new when a fence had just come, and got a way */
	uint64_t	 streams, lost, bereft;	/* opened; ended without a path; with one end */
};

uint64_t rsim_random(struct rsim *, uint64_t below);
bool	rsim_chance(struct rsim *, uint64_t one_in);
void	rsim_say(struct rsim *, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void	rsim_fail(struct rsim *, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* routes_world.c */
void	world_make(struct rsim *);
void	world_tick(struct rsim *);
void	world_deliver(struct rsim *);
bool	world_link_up(const struct rsim *, uint32_t link);
uint32_t world_link(const struct rsim *, uint32_t a, uint32_t b);	/* up or not; NOBODY_HERE: there is none */
uint32_t world_link_between(const struct rsim *, uint32_t a, uint32_t b);
void	world_put(struct rsim *, struct rmessage *, uint64_t delay_ns);
struct rnode *world_node(struct rsim *, const uint8_t *id);
/* Links that a message needs from a to b over nodes that are up; UINT_MAX: it cannot come. */
void	world_distances(const struct rsim *, uint32_t from, uint8_t *hops);

/* routes_policy.c */
struct policy *policy_make(const struct rsim *, unsigned which);

/* routes_node.c */
void	node_start(struct rnode *);
void	node_stop(struct rnode *);
void	node_tick(struct rnode *);
void	node_message(struct rnode *, struct rmessage *);
struct clock_both node_clock(const struct rnode *);
struct policy_node node_policy(const struct rnode *);
void	node_pairs(struct rnode *);	/* others are wanted */
void	node_links_changed(struct rnode *);
void	node_relaying_changed(struct rnode *);
extern const struct coordinator_ops node_coordinator_ops;

/* routes_stream.c */
void	stream_down(struct rpair *);	/* its source is */
void	stream_tick(struct rsim *, struct rpair *);
void	stream_second(struct rsim *, struct rpair *);
const struct rway *stream_way(const struct rpair *);	/* that it is on; NULL: none */

/* routes_judge.c */
struct walk judge_walk(struct rsim *, uint32_t source, uint64_t route_id);
void	judge_route(struct rnode *, const struct pm_route *);	/* what a dataplane is told */
void	judge_lease(struct rsim *, const struct rnode *issuer, const struct rnode *source, const struct lease *);
void	judge_ended(struct rsim *, const struct rpair *, const struct rway *);	/* it was the last that worked */
void	judge_lost(struct rsim *, const struct rpair *);	/* a stream has ended for want of a way */
void	judge_tick(struct rsim *);
void	judge_second(struct rsim *);
void	judge_end(struct rsim *);

/* routes_fake.c: a stream of chance for crypto_random(). */
void	fake_seed(uint64_t);

#endif
