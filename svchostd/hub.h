/*
 * The hub: svchostd's end of the channel to the dataplane, as far as reliable streams go. It opens and accepts them, gives
 * them legs, feeds what comes to their ends (common/fabric/stream.h), lets out what they have to send while the channel has
 * room, and wakes the pumps. One timer serves all deadlines.
 */
#ifndef SVCHOSTD_HUB_H
#define SVCHOSTD_HUB_H

#include "fabric/streamid.h"
#include "svchostd/pump.h"

struct event_base;
struct ipc;

struct hub_conf {
	uint64_t memory;	/* bytes for all streams' buffers */
	size_t	 streams_max;	/* pumps at a time, and so their descriptors */
	size_t	 node_streams_max; /* of these, that one node has opened */
};

struct hub_ops {
	/*
	 * A stream that another node opened, whose handshake is good: `peer' is proven. REASON_NONE takes it: it waits in
	 * PUMP_CONNECTING for hub_connected() or hub_refuse(), or ends by itself, which `gone' says. Else why it is refused.
	 */
	uint64_t (*accept)(struct pump *, const struct peer_identity *peer, void *arg);
	/* A pump that was taken ended before it was answered. */
	void	(*gone)(struct pump *, void *arg);
};

/* NULL when memory is short. `self', `ops' and `arg' are kept; `self' is the adapter's half of every handshake. */
struct hub *hub_new(struct event_base *, const struct hub_conf *, const struct e2e_self *self, const struct hub_ops *,
	    void *arg);
void	hub_free(struct hub *);		/* with all its pumps, silently */

/* The channel to the dataplane and its stream ids, kept by reference; NULL: it is gone, and the streams wait for another. */
void	hub_port(struct hub *, struct ipc *, struct stream_ids *);

/* OPEN_STREAM of a reliable stream; o->source is set. */
void	hub_open_frame(struct hub *, const struct frame_open_stream *o);

/* A frame of the channel's other than OPEN_STREAM. False: it is for none of the hub's streams. */
bool	hub_frame(struct hub *, const struct frame *);

/* After a batch of frames, and when the channel has room again: tells what happened and sends what there is. */
void	hub_run(struct hub *);

/* fd is connected to the target, and the pump's from now on. */
void	hub_connected(struct pump *, int fd);
void	hub_refuse(struct pump *, uint64_t reason);

/* Ends all pumps that `which' is true of, with `reason' to both sides. */
void	hub_end(struct hub *, bool (*which)(const struct pump *, void *arg), void *arg, uint64_t reason);

/* The same for all. */
void	hub_end_all(struct hub *, uint64_t reason);

/* Each second: what streams did is added to the counters of their classes. */
void	hub_tick(struct hub *);

size_t	hub_streams(const struct hub *);	/* pumps that are not over */

/* Of a stream that another node opened: whose, as it was proven. */
uint64_t pump_number(const struct pump *);
const char *pump_service(const struct pump *);
unsigned pump_class(const struct pump *);
uint32_t pump_roles(const struct pump *);
const char *pump_tenant(const struct pump *);
bool	pump_is_opener(const struct pump *);

#endif
