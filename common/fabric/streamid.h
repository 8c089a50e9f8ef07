/*
 * Stream ids of one session. The initiator's are even, from 2; the responder's odd, from 1; 0 is no stream.
 * Each side's only grow and none is used twice, so an id names one stream for as long as the session lives.
 */
#ifndef FABRIC_STREAMID_H
#define FABRIC_STREAMID_H

#include <stdbool.h>
#include <stdint.h>

struct stream_ids {
	uint64_t	next;		/* the next own id */
	uint64_t	peer_last;	/* the peer's highest so far, 0 when it has none */
};

enum stream_id_error {	/* each but the first ends the session with REASON_PROTOCOL */
	STREAM_ID_OK = 0,
	STREAM_ID_E_RANGE = -1,		/* 0, or above VARINT_MAX */
	STREAM_ID_E_PARITY = -2,	/* an id that is ours to give */
	STREAM_ID_E_REUSED = -3,	/* not above all that the peer used before */
};

/* `initiator`: this side opened the session. */
void	stream_ids_init(struct stream_ids *ids, bool initiator);

/* The id that a peer's OPEN_STREAM names: STREAM_ID_OK and it is used from now on, or why it is refused. */
int	stream_id_accept(struct stream_ids *ids, uint64_t id);

/*
 * The next own id, at most FRAME_DATAGRAM_STREAM_MAX so that it serves any stream; 0 when there are no more, and
 * then the session has to be replaced.
 */
uint64_t	stream_id_alloc(struct stream_ids *ids);

/* Whether this side gives ids like this one. */
bool	stream_id_is_own(const struct stream_ids *ids, uint64_t id);

/* Whether the stream was ever opened by either side: a frame for one that was not is the peer's error. */
bool	stream_id_was_used(const struct stream_ids *ids, uint64_t id);

/* The peer's highest id that was acted on: what GOAWAY carries; 0 when none. */
uint64_t	stream_id_last_accepted(const struct stream_ids *ids);

const char	*stream_id_strerror(int err);

#endif
