/*
 * A fabric in one process: the real ends of streams, hops, schedulers, stream ids and frames, on a clock and a network
 * that come from a seed. sim.c runs it, world.c is the network and what happens to it, node.c a node, app.c what uses the
 * streams, judge.c what must hold.
 */
#ifndef SIM_SIM_H
#define SIM_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "fabric/credit.h"
#include "fabric/sched.h"
#include "fabric/stream.h"
#include "fabric/streamid.h"
#include "wire/frame.h"

#define MS		1000000ull
#define SEC		1000000000ull
#define WIDE_RATE	125000000ull	/* bytes a second */
#define WIDE_BYTES	(700ull << 20)
#define NODES_MAX	6u
#define CONVS_MAX	40u
#define PATH_MAX_LEN	NODES_MAX
#define FRAME_BUF	(FRAME_MAX_CEILING)

struct sim;
struct node;
struct conv;

/* One stream's id at one port, and what was seen to pass there: the judge's own account, apart from the code's. */
struct slot {
	struct leg	*leg;		/* dataplane ports */
	uint64_t	 arrival_ns;	/* of the last frame on the reliable channel */
	bool		 reliable;
	bool		 any_data;
	uint64_t	 next_seq;	/* of DATA that is sent here */
	uint64_t	 sent, allowed;	/* bytes sent here, and the limit that has arrived here */
};

struct queued {
	STAILQ_ENTRY(queued) link;
	uint64_t id;
	size_t	 len;
	uint8_t	 data[];
};

struct uclass {	/* unreliable packets of one class that wait at a port */
	struct turn_entry turn;
	struct sched	 *sched;
};

/* One end of a channel: a session to a peer, or the socketpair between dataplane and adapter. */
struct port {
	struct node	*node;
	struct port	*peer;
	struct link	*link;
	bool		 adapter;	/* the adapter's end */
	bool		 up, busy, kicked;
	uint64_t	 epoch;		/* of this end: what was on its way before a new one is lost */
	uint64_t	 open_ns;	/* when the last OPEN_STREAM that left here arrives */
	struct stream_ids ids;
	struct slot	*slots;
	size_t		 nslots;
	struct turn	 turn;
	STAILQ_HEAD(, queued) control;
	struct uclass	 u[CLASS_COUNT];
	uint64_t	 waited[CLASS_COUNT];	/* bytes that others sent while this class had something */
};

struct link {
	struct port	 end[2];
	bool		 local, cut, replaced;
	uint64_t	 rate;		/* bytes a second */
	uint64_t	 delay_ns, jitter_ns;
	unsigned	 loss, dup, reorder;	/* in 1000 */
};

/* A stream in a dataplane. */
struct leg {
	struct credit	 c;
	struct node	*node;
	struct port	*port[2];
	uint64_t	 id[2];
	uint8_t		 class;
	bool		 reliable;
	LIST_ENTRY(leg)	 entry;
};

struct node {
	struct sim	*sim;
	unsigned	 index;
	int64_t		 offset_ns, ppm;	/* of its clock */
	bool		 plane_up, adapter_up;
	uint64_t	 tick_ns;	/* when the adapter's next tick is; 0: none */
	struct budget	 plane_budget, adapter_budget;
	struct credit_node credits;
	struct sched_pool pool;
	struct streams	 streams;
	struct link	 local;		/* end[0]: the dataplane's */
	LIST_HEAD(, leg) legs;
	size_t		 nlegs;
};

enum reader { READ_FAST, READ_SLOW, READ_NEVER };

/* One end's use of a stream. */
struct use {
	struct conv	*conv;
	unsigned	 index;		/* 0: who opens */
	struct node	*node;
	struct fabric_stream *s;
	bool		 begun, finished, aborted, crashed, timer;
	bool		 eof;		/* all that the other end wrote was read, and its end */
	bool		 shut;
	uint8_t		 reader;
	bool		 answers;	/* writes only when it has read all */
	uint64_t	 target;	/* bytes that it means to write */
	uint64_t	 wrote, read, reason;
	uint64_t	 abort_at;	/* bytes read or written, 0: never */
	uint64_t	 progress_ns;
	uint64_t	 edge;		/* the furthest that the other end has allowed, as it arrived */
	uint64_t	 units_sent, units_new;
	size_t		 piece;
};

struct conv {
	struct sim	*sim;
	unsigned	 index;
	uint8_t		 class;
	bool		 reliable, retry;
	uint64_t	 start_ns, salt;
	uint8_t		 token[STREAM_TOKEN_LEN];
	struct use	 use[2];
	uint64_t	 gap_ns;	/* between units */
};

enum event_type { EV_ARRIVE, EV_SENT, EV_KICK, EV_TICK, EV_SWEEP, EV_APP, EV_START, EV_ATTACH, EV_FAULT, EV_DETECT, EV_HEAL, EV_CALM,
	EV_WATCH };

struct event {
	uint64_t at_ns, order;
	uint8_t	 type, kind;
	bool	 datagram;
	void	*p;
	uint64_t a, b;
	size_t	 len;
	uint8_t	*data;
};

struct route { unsigned n; uint8_t hop[PATH_MAX_LEN]; };

struct config {
	bool	 faults;	/* sessions and processes die */
	bool	 plenty;	/* memory never runs out */
	bool	 wide;		/* nothing but one stream over 1 Gbit/s and 100 ms */
	uint64_t calm_ns, duration_ns;
};

struct sim {
	uint64_t seed, rand, now_ns, order, steps, hash;
	struct config conf;
	bool	 verbose, failed, calm;
	bool	 disturbed;	/* a stream was broken off, refused or resumed */
	const char *why;
	struct event *heap;
	size_t	 nheap, heap_size;
	unsigned nnodes, nlinks, nconvs;
	struct node node[NODES_MAX];
	struct link *links[NODES_MAX * NODES_MAX];
	struct conv conv[CONVS_MAX];
	struct route *routes;
	size_t	 nroutes;
	char	(*lines)[160];		/* the last of the trace */
	uint64_t nlines;
	uint64_t second_from, second_best;
	uint64_t bytes_read, resumed, resets, frames, completed;
	uint8_t	 scratch[FRAME_BUF];
};

/* sim.c */
uint64_t sim_random(struct sim *, uint64_t below);	/* 0 when below is 0 */
bool	sim_chance(struct sim *, unsigned in_1000);
void	sim_fail(struct sim *, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void	sim_say(struct sim *, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void	sim_frame(struct sim *, const struct port *, const uint8_t *p, size_t len, const char *what);
void	sim_post(struct sim *, struct event);
uint64_t sim_local(const struct node *);	/* its clock */

/* world.c */
void	world_make(struct sim *);
void	world_free(struct sim *);
void	world_event(struct sim *, struct event *);
void	port_open(struct port *);
void	port_close(struct port *);
void	port_kick(struct port *);
void	port_control(struct port *, const struct frame *);	/* queues it */
void	port_queue(struct port *, const uint8_t *p, size_t len, uint64_t id);
struct slot *port_slot(struct port *, uint64_t id);
size_t	world_route(struct sim *, unsigned from, unsigned to);	/* 0: none */

/* node.c */
void	node_init(struct sim *, unsigned index);
void	node_free(struct node *);
void	node_frame(struct port *, const uint8_t *p, size_t len, bool datagram);
size_t	node_output(struct port *, uint8_t *buf, size_t size, bool *datagram, uint64_t *id);
void	node_port_lost(struct port *);
void	node_plane_crash(struct node *);
void	node_adapter_crash(struct node *);
void	node_restart(struct node *);
void	node_tick(struct node *, uint64_t posted_for);
void	node_wake(struct node *);	/* after anything was done with its streams */
void	node_sweep(struct node *);
void	node_attach(struct use *);

/* app.c */
void	app_make(struct sim *);
void	app_start(struct conv *);
void	app_run(struct use *);
void	app_event(struct use *, unsigned events);
void	app_unit(struct use *, const struct frame_data *);
void	app_gone(void *arg);
void	app_crashed(struct node *);
bool	app_over(const struct sim *);
void	app_watch(struct sim *);

/* judge.c */
void	judge_sent(struct port *, const uint8_t *p, size_t len);	/* before a frame leaves */
void	judge_arrived(struct port *, const struct frame *);	/* a frame came in at port */
void	judge_turn(struct port *, unsigned class, size_t len);
void	judge_node(struct node *);
void	judge_books(struct node *);	/* every account, from scratch */
void	judge_end(struct sim *);

#endif
