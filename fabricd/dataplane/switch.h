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

#include "fabric/streamid.h"
#include "wire/frame.h"

#define SWITCH_SERVICES_MAX 32u	/* services bound on this node */

struct port;
struct stream;

/* One end of a stream: its id at a port. */
struct stream_end {
	struct port	  *port;
	uint64_t	   id;
	struct stream_end *next;	/* in the port's table */
	uint8_t		   side;	/* its place in stream->end */
	uint64_t	   packets, bytes;	/* that came in here */
	uint64_t	   dropped;		/* of those, not taken by the other port */
};

struct stream {
	struct stream_end end[2];	/* 0: who opened it */
	uint8_t		  class;
	char		  service[FRAME_SERVICE_MAX + 1];
};

struct port_ops {
	/* OPEN, CLOSE or RESET. -1: the port cannot take it and is about to end. */
	int	(*control)(struct port *, const struct frame *);
	/* One unreliable DATA for `out`, this port's end. False when it was dropped (and counted by the port). */
	bool	(*data)(struct port *, const struct stream_end *out, unsigned class, const struct frame_data *);
};

enum port_kind { PORT_SESSION, PORT_WORKER };

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
	LIST_ENTRY(port)   entry;
};

struct switch_counters {
	uint64_t opened, closed, reset, refused;
	uint64_t unknown_stream;	/* DATA for no stream: late, early or wrong */
};

struct fswitch {
	LIST_HEAD(, port) ports;
	/* The session that leads to a node, or NULL. */
	struct port	*(*session)(struct fswitch *, const uint8_t *node_id);
	struct {
		char	     name[FRAME_SERVICE_MAX + 1];
		struct port *port;
	} services[SWITCH_SERVICES_MAX];
	size_t		nservices, nstreams;
	uint64_t	secret;		/* of the ports' tables */
	struct switch_counters counters;
};

/* `secret`: 64 random bits, for the tables that peers' stream ids go into. */
void	switch_init(struct fswitch *, struct port *(*session)(struct fswitch *, const uint8_t *), uint64_t secret);

/* `initiator`: this side gives the even ids. max_peer and max_us bound the streams that each side may have open. */
void	port_attach(struct port *, struct fswitch *, const struct port_ops *, enum port_kind, bool initiator,
	    size_t max_peer, size_t max_us);

/* The port is gone: its streams are reset at their other ends, its services are free. */
void	port_detach(struct port *);

/* This worker's port serves `service`, in place of any other. -1 when the table is full. */
int	switch_bind(struct port *, const char *service);

/*
 * OPEN, CLOSE or RESET that came in at `port`. REASON_NONE, or why the port has to be closed: its other side
 * broke the protocol. What merely cannot be done is answered with RESET_STREAM.
 */
uint64_t switch_control(struct port *, const struct frame *);

/* Any DATA that came in at `port`. */
void	switch_data(struct port *, const struct frame_data *);

/* Calls `fn` for each stream once; stops when it gives false. */
void	switch_each(struct fswitch *, bool (*fn)(const struct stream *, void *), void *arg);

static inline struct stream *
stream_of(const struct stream_end *e)
{
	return (struct stream *)(uintptr_t)((const char *)(e - e->side) - offsetof(struct stream, end));
}

#endif
