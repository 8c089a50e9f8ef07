/* Between hub.c and pump.c. */
#ifndef SVCHOSTD_HUB_INT_H
#define SVCHOSTD_HUB_INT_H

#include <event2/event.h>
#include <event2/event_struct.h>

#include "base/ratelimit.h"
#include "fabric/e2e_stream.h"
#include "svchostd/delay.h"
#include "proc/stats.h"
#include "svchostd/hub.h"

#define HUB_BUF		(32u * 1024)
#define SOURCES_MAX	4096u		/* nodes with streams here */
#define SOURCE_RATE	4000u		/* OPEN_STREAM a second and node: each costs a handshake */
#define SOURCE_BURST	2000u
#define SOURCE_BUCKETS	256u		/* a power of two */
#define SAMPLES_MAX	64u		/* pumps whose queue delay is measured at a time */
#define OPEN_NS		(30ull * 1000000000) /* from OPEN_STREAM to message 2: more than a far end needs to give up its target */

/* A node that has opened streams here. */
struct source {
	LIST_ENTRY(source) entry;
	uint8_t		 node_id[NODE_ID_LEN];
	size_t		 streams;
	uint64_t	 used_ns;
	struct ratelimit rate;
};
LIST_HEAD(source_list, source);

/* Message 1 as it was sent: it is sent again as it is while the other end may not have it. */
struct pump_hello {
	size_t	len;
	uint8_t	message[E2E_MESSAGE_MAX];
};

/* Opened, and not taken by the descriptor yet. */
struct pump_rest {
	struct event writable;
	size_t	len, off;
	uint8_t	data[];
};

/* What the counters of its class have of a stream's. */
struct pump_seen {
	uint64_t bytes_in, bytes_out, frames_in, frames_out, bytes_again;
	uint64_t stall_far_us, stall_hop_us, stall_local_us, stall_path_us;
};

#define PUMP_SHARES 3u	/* sums that a stream is in: of its service, its peer, its class */

struct pump {
	struct hub	*hub;
	TAILQ_ENTRY(pump) entry;		/* of all that are not over */
	TAILQ_ENTRY(pump) want;		/* waits for a leg */
	TAILQ_ENTRY(pump) opening;	/* waits for message 2, the longest first */
	struct fabric_stream *s;		/* NULL: forgotten */
	struct e2e	*e2e;		/* acceptor: until it is answered */
	struct e2e_stream *seal;		/* NULL: acceptor, until it is answered */
	struct pump_hello *hello;	/* opener: until it is answered */
	struct source	*source;		/* acceptor: who is charged */
	const struct pump_ops *ops;	/* opener */
	void		*arg;
	struct e2e_service to;		/* what it is a stream of, and on which node: the other end's, when this one opened */
	char		 tenant[RECORD_TENANT_MAX + 1];	/* acceptor: the peer's */
	uint32_t	 roles;
	uint64_t	 number;

	int		 fd;		/* -1: none yet, or closed */
	struct event	 readable;
	uint8_t		 state;		/* enum pump_state */
	bool		 opener, wants_leg, is_opening, over, sampled;
	bool		 held;		/* its owner has been called and it is needed after that */
	bool		 gently;	/* see pump_gently() */
	bool		 in_closed;	/* the stream's end has come */
	bool		 in_done, out_done;
	struct pump_rest *rest;

	uint64_t	 bytes_in, bytes_out, stall_local_ns, stall_leg_ns;
	uint64_t	 rest_ns, leg_ns;	/* since when it is so; 0: it is not */
	uint64_t	 started_ns, opened_ns;
	uint64_t	 sample_seq, sample_ns;
	struct delay	 delay;
	struct pump_seen seen;
	struct stats_share *share[PUMP_SHARES];	/* by service, peer and class, from when it is open */
};
TAILQ_HEAD(pump_list, pump);

struct hub {
	struct event_base *base;
	const struct hub_ops *ops;
	void		*arg;
	struct hub_conf	 conf;
	const struct e2e_self *self;
	struct budget	 budget;
	struct streams	 streams;
	struct ipc	*ipc;		/* NULL: none */
	struct stream_ids *ids;
	struct event	*run, *timer;
	struct pump_list pumps, want, opening;
	size_t		 npumps, nsources;
	uint64_t	 last_number;
	struct source_list sources[SOURCE_BUCKETS];
	struct pump	*samples[SAMPLES_MAX];
	unsigned	 nsamples;
	bool		 running;
	struct pump_ended ended[ENDED_MAX];	/* the oldest is overwritten */
	uint64_t	 nended;
	uint8_t		 in[HUB_BUF], text[HUB_BUF], out[HUB_BUF + E2E_OVERHEAD];
};

/* hub.c */
void	hub_wake(struct hub *);				/* hub_run() soon, from the event loop */
void	hub_opening_done(struct pump *);
void	hub_sample(struct pump *, uint64_t now_ns);	/* bytes were written to the stream: how long do they wait? */
void	hub_pump_over(struct pump *);			/* it is out of every list, and charged to nobody */

/* pump.c */
struct pump *pump_new(struct hub *, uint64_t now_ns);
void	pump_event(struct pump *, unsigned events, uint64_t now_ns);
/* The stream is forgotten. */
void	pump_gone(void *pump);
/* Ends it for both sides: `tell' the owner. */
void	pump_end(struct pump *, uint64_t reason, bool tell, uint64_t now_ns);
void	pump_answered(struct pump *, int fd, uint64_t now_ns);
void	pump_account(struct pump *);			/* adds what is new to the sums that it is in */
void	pump_delay(struct pump *, uint64_t us);		/* a byte has waited so long */
/* Gives back what a stream does not need on which no byte has moved for PUMP_REST_NS. */
void	pump_rest(struct pump *, uint64_t now_ns);
#define PUMP_REST_NS	(10 * NS_PER_SEC)
void	pump_free(struct pump *);			/* with its stream's end still there: only when all is freed */
uint64_t pump_fail_reason(const struct fabric_stream *);

#endif
