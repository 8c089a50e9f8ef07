/*
 * The service "echo": what comes on a stream goes back on it, unchanged. For `fabricctl ping', and as the plainest
 * example of an adapter. What it carries is sealed end to end, both ways, with the keys of the stream's own handshake.
 * Everything is bounded for each source node, so that none can use up what others need.
 */
#ifndef SVCHOSTD_ECHO_H
#define SVCHOSTD_ECHO_H

#include "fabric/e2e.h"
#include "wire/frame.h"

struct ipc;
struct echo;

#define ECHO_SERVICE		"echo"
#define ECHO_STREAMS_MAX	1024	/* open at a time */
#define ECHO_STREAMS_PER_NODE	16
#define ECHO_RATE		1000	/* packets a second and source node */
#define ECHO_BURST		256
#define ECHO_OPEN_RATE		20	/* handshakes a second and source node */
#define ECHO_OPEN_BURST		32
#define ECHO_SOURCES_MAX	4096	/* nodes that have streams, or had them just now */
#define ECHO_IDLE_S		60	/* a stream on which nothing comes is closed */

/* `self' is kept by reference: this adapter's own half of handshakes. NULL when memory is short. */
struct echo *echo_new(const struct e2e_self *self);
void	echo_free(struct echo *);

/* An OPEN_STREAM for the service from o->source. What is refused is answered with RESET_STREAM. */
void	echo_open(struct echo *, struct ipc *, const struct frame_open_stream *o, uint64_t now_ns);

/* A DATA frame; false when it is on none of echo's streams. What does not open is dropped, and counted. */
bool	echo_data(struct echo *, struct ipc *, const struct frame_data *d, uint64_t now_ns);

/* The other side ended the stream; false when it is none of echo's. */
bool	echo_end(struct echo *, uint64_t stream_id);

/* Closes streams that were idle for ECHO_IDLE_S, and forgets nodes that were. */
void	echo_expire(struct echo *, struct ipc *, uint64_t now_ns);

/* Ends all streams: with RESET_STREAM and `reason` to `ipc`, or silently when ipc is NULL (the dataplane is gone). */
void	echo_end_all(struct echo *, struct ipc *, uint64_t reason);

size_t	echo_streams(const struct echo *);

#endif
