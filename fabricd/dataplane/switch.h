/*
 * The frame switch: (port, stream id) -> (port, stream id). A port is a session to a peer node or the channel of
 * a worker of this node; the switch treats them alike. It does no I/O of its own: what leaves goes to the port's ops.
 */
#ifndef DATAPLANE_SWITCH_H
#define DATAPLANE_SWITCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "fabric/credit.h"
#include "fabric/streamid.h"
#include "fabricd/dataplane/route.h"
#include "wire/frame.h"

#define SWITCH_SERVICES_MAX 128u	/* services bound on this node */
#define SWITCH_DIRECTORY "directory"	/* routed's: between neighbours, and over no route */
#define SWITCH_PROBE	"probe"		/* the dataplane's own service, at a port of its own */
#define SWITCH_PROBES	8u		/* of a session's peer, at a time; over routes ROUTE_PROBES */
#define SWITCH_WAIT	UINT64_MAX	/* no reason, and no permission yet */

struct port;
struct stream;

/* One end of a stream: its id at a port. */
struct stream_end {
	struct port	  *port;
	struct stream_end *next;	/* in the port's table */
	uint32_t	   id;		/* at most FRAME_DATAGRAM_STREAM_MAX */
	uint8_t		   side;	/* its place in stream->end */
	uint64_t	   packets, bytes;	/* that came in here; of a reliable one, DATA */
	union {
		uint64_t   dropped;	/* unreliable: of those, not taken by the other port */
		uint64_t   frames_out;	/* reliable: DATA that left here */
	};
	void		  *carrier;	/* the port's own, for a reliable stream; NULL: nothing */
};

struct stream {
	struct stream_end end[2];	/* 0: who opened it. A port that is gone is NULL, while the other hears of it */
	struct route	 *route;	/* NULL: over no route */
	LIST_ENTRY(stream) on_route;
	uint8_t		  forth;	/* with a route: the side where what goes away from its source comes in */
	uint8_t		  class;
	bool		  reliable;
	bool		  probe;	/* of the dataplanes' own service */
	bool		  peers_probe;	/* counted at its first end's port */
	bool		  sealed;	/* its OPEN brought a handshake: what it carries is sealed end to end */
	bool		  follows;	/* one that was moved; the far end has not answered yet */
	const char	 *service;	/* behind what there is of the struct */
	struct credit	  credit;	/* reliable ones only: else there is no memory behind it */
};

struct port_ops {
	/* OPEN, CLOSE or RESET. -1: the port cannot take it and is about to end. */
	int	(*control)(struct port *, const struct frame *);
	/* One unreliable DATA for `out`, this port's end. False when it was dropped (and counted by the port). */
	bool	(*data)(struct port *, const struct stream_end *out, unsigned class, const struct frame_data *);

	/* May OPEN be sent to it now? NULL: always. */
	bool	(*opens)(const struct port *);
	/* Reliable streams have something to send here: switch_output() is wanted when there is room. */
	void	(*ready)(struct port *);
	/*
	 * A reliable stream begins at this end (after the OPEN was sent, when it leaves here), and is over: the port
	 * forgets e. Each may be NULL. switch_frame() and what it does to e are fine in `begins'.
	 */
	void	(*begins)(struct port *, struct stream_end *e);
	void	(*ends)(struct port *, struct stream_end *e);
};

enum port_kind { PORT_SESSION, PORT_WORKER, PORT_PROBE };

struct port {
	struct fswitch	  *sw;
	const struct port_ops *ops;
	enum port_kind	   kind;
	uint8_t		   node_id[NODE_ID_LEN];	/* session: the peer's, proven */
	struct stream_ids  ids;
	struct stream_end **table;	/* chained, a power of two; NULL while empty */
	size_t		   table_len, nstreams;
	struct stream_end *last;	/* the last hit */
	size_t		   opened_by_peer, opened_by_us;	/* that live */
	size_t		   max_peer, max_us;
	unsigned	   probes;	/* of a session's peer's streams: probes of this node, over no route */
	struct turn	   turn;		/* who sends next; streams, and what the port's owner puts there */
	uint64_t	   rtt_ns;		/* to the other side, as the owner knows it */
	uint64_t	   initial_credit;	/* bytes of a new stream that may leave here before STREAM_CREDIT comes */
	LIST_ENTRY(port)   entry;
};

struct switch_counters {
	uint64_t opened, closed, reset, refused;
	uint64_t unknown_stream;	/* DATA for no stream: late, early or wrong */
	uint64_t bare;			/* without the hop's protection or its own */
};

/* What its owner decides. Each may be NULL. */
struct switch_hooks {
	/*
	 * Over which way a new stream of a worker's goes to this node: the port, and the route, NULL for the session itself.
	 * NULL: there is none. Without this hook it is the session.
	 */
	struct port *(*way)(struct fswitch *, const uint8_t *node_id, unsigned class, struct route **);
	/*
	 * A node on its route resets a stream of this node's, for a reason of the route's. True: the route's streams have
	 * been moved, and this one with them; false: the stream's end is to hear of it.
	 */
	bool	(*broken)(struct fswitch *, const struct stream *, uint64_t reason);
	/* May `source' open a stream to this service here? REASON_NONE, why not, or SWITCH_WAIT: it is kept and asked again. */
	uint64_t (*permit)(struct fswitch *, const uint8_t *source, struct frame_bytes service, unsigned class);
	/* SWITCH_WAIT was said: the OPEN is kept, and given to switch_opened_late() when that is known. False: no room. */
	bool	(*keep)(struct fswitch *, struct port *from, const struct frame *, const uint8_t *source);
	/* A session brings an OPEN, over this route or none; `own': of a service of the fabric's own. May it, so soon? */
	uint64_t (*opens)(struct fswitch *, const struct port *from, const struct route *, bool own);
	/* A worker opens a stream, `id', in the place of `before'. Was that moved, and is it to be told of? */
	bool	(*follows)(struct fswitch *, const struct port *from, uint64_t before, uint64_t id);
	/* One of which `follows' said so is on its way (unreliable), or the far end has answered on it. True: it is told. */
	bool	(*answered)(struct fswitch *, const struct stream *);
};

struct fswitch {
	LIST_HEAD(, port) ports;
	const struct switch_hooks *hooks;	/* NULL: none */
	struct routes	 routes;
	/* The session to a node, or NULL. */
	struct port	*(*session)(struct fswitch *, const uint8_t *node_id);
	struct {
		char	     name[FRAME_SERVICE_MAX + 1];
		struct port *port;
	} services[SWITCH_SERVICES_MAX];
	size_t		nservices, nstreams;
	uint64_t	secret;		/* of the ports' tables */
	struct switch_counters counters;
	struct budget	budget;		/* the memory of all reliable streams */
	struct credit_node credits;
	const uint64_t *now_ns;
	const uint8_t	*node_id;	/* this node's */
	uint8_t		weight[CLASS_COUNT];	/* of the classes at each port; 0: the usual */
};

#define SWITCH_MEMORY	(512ull << 20)	/* bytes that reliable streams may set aside in all */

/*
 * `secret`: 64 random bits, for the tables that peers' stream ids go into. `now_ns', the time of the event at hand, and
 * `node_id' are kept by reference; sw->budget.limit may be set after it.
 */
void	switch_init(struct fswitch *, struct port *(*session)(struct fswitch *, const uint8_t *), uint64_t secret,
	    const uint64_t *now_ns, const uint8_t *node_id);

/* `initiator`: this side gives the even ids. max_peer and max_us bound the streams that each side may have open. */
void	port_attach(struct port *, struct fswitch *, const struct port_ops *, enum port_kind, bool initiator,
	    size_t max_peer, size_t max_us);

/* Other weights of the classes, at the ports that there are and at those to come. */
void	switch_weigh(struct fswitch *, const uint8_t *weight);

/* The port is gone: its streams are reset at their other ends, its services are free. */
void	port_detach(struct port *);

/* This worker's port serves `service`, in place of any other. -1 when the table is full. */
int	switch_bind(struct port *, const char *service);
/* No more. 0, or -1 when it is not this port's. */
int	switch_unbind(struct port *, const char *service);

/*
 * A frame of a stream that came in at `port`: OPEN, CLOSE, RESET, ACK, STREAM_CREDIT or reliable DATA. REASON_NONE, or
 * why the port has to be closed: its other side broke the protocol. What merely cannot be done is answered with
 * RESET_STREAM.
 */
uint64_t switch_control(struct port *, const struct frame *);

/* Unreliable DATA that came in at `port`. */
void	switch_data(struct port *, const struct frame_data *);

/* The same when the hop has not protected its payload, which only that of a stream sealed end to end can do without. */
void	switch_data_bare(struct port *, const struct frame_data *);

/* The open stream with this id at `port`, or NULL. */
struct stream_end *switch_find(struct port *, uint64_t id);

/* The same as switch_control() for a frame of e's stream, reliable, that came in at e. e may be gone afterwards. */
void	switch_frame(struct stream_end *e, const struct frame *);

/*
 * Writes the next frame of e, which has the turn at its port, to buf: its length. e may be gone afterwards, so what
 * ops->ends does to it has been done.
 */
size_t	switch_output(struct stream_end *e, uint8_t *buf, size_t size);

/* Breaks off e's reliable stream, at both ends. */
void	switch_fail(struct stream_end *e, uint64_t reason);

/* What one that follows another waited for has come; nothing for any other. */
void	switch_answered(struct fswitch *, struct stream *);

/* Ends a stream at both ends, with this reason. */
void	switch_end(struct stream *, uint64_t reason);

/*
 * Ends with this reason the streams between `session' and this node's workers that are on no route, or those on a route,
 * which `pick' (NULL: all) picks. How many.
 */
unsigned switch_sweep(struct port *session, bool (*pick)(const struct stream *, void *), void *arg, uint64_t reason);
unsigned switch_sweep_route(struct route *, bool (*pick)(const struct stream *, void *), void *arg, uint64_t reason);

/* The route is taken out of the table: what is on it ends with this reason. */
void	switch_route_del(struct fswitch *, struct route *, uint64_t reason);

/* An OPEN that was kept: `reason' as the permit hook has it by now. */
void	switch_opened_late(struct port *from, const struct frame *, uint64_t reason);

/* Those that waited for a route's rate go on, as far as there is some. False: none waits any more. */
bool	switch_pace(struct fswitch *);

/* Whose turn it is: an entry of turn_next() with a tag below CREDIT_TAGS. */
struct stream_end *switch_turn_end(struct turn_entry *);

/* Each second: reliable streams that wait in vain end. */
void	switch_tick(struct fswitch *);

/* Calls `fn` for each stream once; stops when it gives false. */
void	switch_each(struct fswitch *, bool (*fn)(const struct stream *, void *), void *arg);

static inline struct stream *
stream_of(const struct stream_end *e)
{
	return (struct stream *)(uintptr_t)((const char *)(e - e->side) - offsetof(struct stream, end));
}

#endif
