/*
 * The hub: svchostd's end of the channel to the dataplane, as far as reliable streams go. It opens and accepts them, gives
 * them legs, feeds what comes to their ends (common/fabric/stream.h), lets out what they have to send while the channel has
 * room, and wakes the pumps. One timer serves all deadlines.
 */
#ifndef SVCHOSTD_HUB_H
#define SVCHOSTD_HUB_H

#include "crypto/identity.h"
#include "fabric/streamid.h"
#include "svchostd/pump.h"

struct event_base;
struct ipc;
struct hub;

struct hub_conf {
	uint64_t memory;	/* bytes for all streams' buffers */
	size_t	 streams_max;
};

/*
 * A stream that another node opened, whose handshake is good: `peer' is proven. REASON_NONE takes it: it then waits in
 * PUMP_CONNECTING for hub_connected() or hub_refuse(), or ends by itself, which `gone' says. Another reason refuses it.
 */
struct hub_ops {
	uint64_t (*accept)(struct pump *, const char *service, const struct peer_identity *peer, void *arg);
	/* A pump that was taken and waits in PUMP_CONNECTING is gone before it was answered. */
	void	(*gone)(struct pump *, void *arg);
};

/* NULL when memory is short. `ops' and `arg' are kept. */
struct hub *hub_new(struct event_base *, const struct hub_conf *, const struct hub_ops *, void *arg);
void	hub_free(struct hub *);		/* with all its streams, silently */

/* The channel to the dataplane and its stream ids, kept by reference; NULL: it is gone, and the streams wait for another. */
void	hub_port(struct hub *, struct ipc *, struct stream_ids *);

/* A frame of the channel's other than OPEN_STREAM. False: it is for none of the hub's streams. */
bool	hub_frame(struct hub *, const struct frame *);

/* OPEN_STREAM of a reliable stream. */
void	hub_open_frame(struct hub *, const struct frame_open_stream *);

/* After a batch of frames, or when the channel has room again: tells what happened and sends what there is. */
void	hub_run(struct hub *);

/* fd is connected to the target, and the pump's from now on. -1: the pump ends. */
int	hub_connected(struct pump *, int fd);
void	hub_refuse(struct pump *, uint64_t reason);

size_t	hub_streams(const struct hub *);

#endif
