/*
 * Routes in one process: hundreds of nodes with the real graph, coordinator, route manager's state machines and tickets, on
 * a clock and a network that come from a seed. routes.c runs it and has time and chance, routes_world.c the network and
 * what happens to it, routes_node.c a node, routes_judge.c what must hold. Signatures and seals are stand-ins
 * (routes_fake.c): what they protect has its own tests, and hours have to pass in seconds here.
 *
 * What is modelled simply: mesh and directory deliver or lose whole messages; a dataplane is its table of routes, and walks
 * it; a pair's stream is on one way, leaves it at once when it is silent, and follows the order that it is told.
 */
#ifndef SIM_ROUTES_H
#define SIM_ROUTES_H

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

struct rsim;

struct rlink {
	uint32_t a, b;
	bool	 down, cut;		/* by itself; by the network's being split */
	uint32_t rtt_us, jitter_us, kbps;
	uint16_t loss;			/* thousandths */
	uint64_t until_ns;		/* when it is well again */
};

/* One route in a dataplane. */
struct rentry {
	struct pm_route	 r;
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
	uint32_t	 generation;	/* of its processes */
	uint32_t	 link[LINKS_OF_MAX];
	unsigned	 nlinks;
	struct install	*install;
	struct routes	*routes;
	struct ways	*ways;
	struct fences	 fences;
	struct rentry	*table;
	size_t		 nentries, table_size;
	/* what it last told of itself */
	struct facts	 facts;
	bool		 told;
	uint64_t	 tell_ns;	/* when it does next */
	/* a coordinator's */
	struct graph	*graph;
	struct coordinator *coordinator;
};

struct rpair {
	uint32_t	 source, dest;
	bool		 has_way;
	uint64_t	 way;		/* route id that the stream is on */
	bool		 down;		/* it was silent at the last look */
	uint64_t	 out_ns;	/* since when there was no way, and a path */
	uint64_t	 silent_ns[WAYS_MAX], silent_id[WAYS_MAX];
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
enum rkind { R_MESH, R_ASK, R_ANSWER, R_FENCE, R_REVOKED };

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
	struct { uint64_t route_id, epoch; } fenced[256];
	unsigned	 nfenced;
	/* what came of it */
	uint64_t	 leases, selfs, installs, refused, forced, flaps, outs, walks, events, fences, revocations;
	uint64_t	 longest_out_ns;
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
uint32_t world_link_between(const struct rsim *, uint32_t a, uint32_t b);
void	world_put(struct rsim *, struct rmessage *, uint64_t delay_ns);
struct rnode *world_node(struct rsim *, const uint8_t *id);
/* Links that a message needs from a to b over nodes that are up; UINT_MAX: it cannot come. */
void	world_distances(const struct rsim *, uint32_t from, uint8_t *hops);

/* routes_node.c */
void	node_start(struct rnode *);
void	node_stop(struct rnode *);
void	node_tick(struct rnode *);
void	node_message(struct rnode *, struct rmessage *);
struct clock_both node_clock(const struct rnode *);
struct policy_node node_policy(const struct rnode *);
void	node_links_changed(struct rnode *);
void	node_relaying_changed(struct rnode *);
extern const struct coordinator_ops node_coordinator_ops;

/* routes_judge.c */
struct walk { bool up; uint32_t rtt_us; uint16_t loss; unsigned nodes; };
struct walk judge_walk(struct rsim *, uint32_t source, uint64_t route_id);
void	judge_route(struct rnode *, const struct pm_route *);	/* what a dataplane is told */
void	judge_lease(struct rsim *, const struct rnode *source, const struct lease *);
void	judge_tick(struct rsim *);
void	judge_second(struct rsim *);
void	judge_end(struct rsim *);

/* routes_fake.c: a stream of chance for crypto_random(). */
void	fake_seed(uint64_t);

#endif
