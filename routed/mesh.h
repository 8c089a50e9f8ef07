/*
 * The mesh: to the routed of each node that this one has a session with, one reliable stream of class control to its
 * service "directory", which the node with the lower id opens. Messages (routed/dirmsg.h) go over it both ways: type
 * (varint), length (varint), body. routed(8) says more.
 *
 * Sans-I/O: frames go in by mesh_frame(), leave by the port's functions, time is an argument. Memory is bounded, a peer:
 * MESH_QUEUE_MAX of what is to be sent, one message of what comes, and the stream's own windows.
 */
#ifndef ROUTED_MESH_H
#define ROUTED_MESH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fabric/streamid.h"
#include "wire/frame.h"

#define MESH_SERVICE	"directory"
#define MESH_BODY_MAX	(68u * 1024)	/* bytes of one message's body: the largest record, and who it is for */
#define MESH_QUEUE_MAX	(256u * 1024)	/* bytes that wait to be sent to one peer */
#define MESH_QUEUE_LEAST (32u * 1024)	/* when more than this waits for all: */
#define MESH_QUEUES_MAX	(32u << 20)
#define MESH_RATE	2000u		/* messages a second that one peer may send, in the long run, */
#define MESH_BYTES_RATE	(2u << 20)	/* and bytes; of either so many seconds' worth at once: what is more waits in its stream */
#define MESH_BURST_S	4u
#define MESH_PEERS_MAX	4096u		/* as the sessions that the dataplane can have */

struct mesh;

struct mesh_ops {
	/* One message. -1: it is malformed, or comes too early; the stream is broken off and opened again after a while. */
	int	(*message)(const uint8_t *from, unsigned type, const uint8_t *body, size_t len, void *arg);
	/* Messages can be sent to this node from now on, and it has heard none yet; what was said before is forgotten. */
	void	(*up)(const uint8_t *node_id, void *arg);
	/* No more. What was not delivered is lost: mesh_ops.up is the time to begin anew. */
	void	(*down)(const uint8_t *node_id, void *arg);
};

/* The port to the dataplane, as common/proc/ipc.h has it. */
struct mesh_port_ops {
	int	 (*send)(const struct frame *, void *arg);		/* -1: it is full */
	uint8_t	*(*reserve)(size_t len, void *arg);			/* NULL: it is full */
	void	 (*commit)(size_t used, void *arg);
};

/* `ops' and `arg' are kept; `secret': 64 random bits. NULL when memory is short. */
struct mesh *mesh_new(const struct mesh_ops *ops, void *arg, uint64_t secret);
void	mesh_free(struct mesh *);

/* This node's own id: who opens follows from it. Streams that there were are broken off. */
void	mesh_self(struct mesh *, const uint8_t *node_id, uint64_t now_ns);

/* The port is there, or gone (ops NULL), and every session with it. */
void	mesh_port(struct mesh *, const struct mesh_port_ops *ops, void *arg, uint64_t now_ns);

/* There is a session with this node, or none any more. */
int	mesh_peer_up(struct mesh *, const uint8_t *node_id, uint64_t now_ns);	/* -1: no room */
void	mesh_peer_down(struct mesh *, const uint8_t *node_id, uint64_t now_ns);

/* A frame of a stream's that came over the port. -1: the dataplane broke the protocol. */
int	mesh_frame(struct mesh *, const struct frame *, uint64_t now_ns);

/* After frames, when the port has room again, and at mesh_deadline(): all that is to be done. */
void	mesh_run(struct mesh *, uint64_t now_ns);
uint64_t mesh_deadline(const struct mesh *, uint64_t now_ns);	/* UINT64_MAX: never */

/* 0, or -1: there is no stream to it, or the queue is full. May be called from any of mesh_ops. mesh_run() sends it. */
int	mesh_send(struct mesh *, const uint8_t *node_id, unsigned type, const uint8_t *body, size_t len);

/* What fits yet into the queue to this node; 0 without a stream. */
size_t	mesh_room(const struct mesh *, const uint8_t *node_id);

/* Whether messages can be sent to it now. */
bool	mesh_adjacent(const struct mesh *, const uint8_t *node_id);

/* Breaks the stream to it off: it sent what it must not. It is opened again after a while. */
void	mesh_punish(struct mesh *, const uint8_t *node_id, uint64_t now_ns);

/* Calls fn for each node that messages can be sent to. */
void	mesh_each(struct mesh *, void (*fn)(const uint8_t *node_id, void *arg), void *arg);

#endif
