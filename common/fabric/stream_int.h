/* Between stream.c, stream_out.c and streams.c. */
#ifndef FABRIC_STREAM_INT_H
#define FABRIC_STREAM_INT_H

#include "fabric/stream.h"

#define STREAM_BASE	RING_COST(STREAM_WINDOW_INITIAL)	/* memory that each direction always has */

/* After anything changed: its place among those that send, its deadline, its events; frees it when all is over. */
void	stream_update(struct fabric_stream *, uint64_t now_ns);

/* A frame for it. True when it was a unit of unreliable DATA that is new. */
bool	stream_frame(struct fabric_stream *, const struct frame *, uint64_t now_ns);

void	stream_port_lost(struct fabric_stream *, uint64_t now_ns);

void	stream_tick(struct fabric_stream *, uint64_t now_ns);
uint64_t stream_due_ns(const struct fabric_stream *);

/* It has something to send. */
bool	stream_ready(const struct fabric_stream *);

/* Its next frame; 0 when there is none. */
size_t	stream_output(struct fabric_stream *, uint8_t *buf, size_t size, uint64_t now_ns);

/* streams.c */
void	streams_event_add(struct fabric_stream *, unsigned events);
void	streams_event_clear(struct fabric_stream *);
/* CLOSE_STREAM of an unreliable stream, to be sent as streams_refuse() does. */
void	streams_close(struct streams *, uint64_t id, uint64_t final);
void	streams_id_set(struct fabric_stream *, uint64_t id);	/* 0: none */
void	streams_linger(struct fabric_stream *);
void	streams_forget(struct fabric_stream *);			/* frees it */
void	streams_deadline_set(struct fabric_stream *, uint64_t at_ns);

#endif
