/*
 * The reliable streams of a session over QUIC: each has a bidirectional QUIC stream of its own for all its frames but
 * OPEN_STREAM, opened by who sent that. What is sent waits in the switch until the connection's window has room for it,
 * and is kept here until it is acknowledged.
 */
#ifndef DATAPLANE_QSTREAM_H
#define DATAPLANE_QSTREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include <ngtcp2/ngtcp2.h>

#include "fabric/cut.h"
#include "fabric/window.h"
#include "fabricd/dataplane/switch.h"

#define QSTREAM_HOLD_MAX	(64u * 1024)	/* bytes that may come of a stream before its OPEN does */
#define QSTREAM_HELD_MAX	(2u << 20)	/* of a session's streams together */
#define QSTREAM_KEPT_FREE	(256u * 1024)	/* bytes that a session may have unacknowledged whatever the node's memory */
#define QSTREAM_KEPT_MAX	(32u << 20)	/* and at most */
#define QSTREAM_KEPT_ONE	(16u << 20)	/* one of its streams */
#define QSTREAM_WINDOW		(64ull << 20)	/* of QUIC's flow control for one stream: never what limits */
#define QSTREAM_WINDOW_FIRST	(1ull << 20)	/* and for all of a session, to begin with; credit limits before it */

struct conn;
struct dataplane;

/* Frames that the peer has not acknowledged: ngtcp2 points into them. */
struct qchunk {
	STAILQ_ENTRY(qchunk) link;
	uint32_t	len;
	uint8_t		data[];
};

/* One QUIC stream. It lives as long as that; its fabric stream may be over before, or not be there yet. */
struct qstream {
	LIST_ENTRY(qstream) all;
	TAILQ_ENTRY(qstream) link;	/* in qstreams.unsent or .held */
	struct stream_end *end;		/* NULL: not known yet, or over */
	int64_t		 id;
	STAILQ_HEAD(qchunks, qchunk) kept;
	struct qchunk	*at;		/* the first that ngtcp2 has not taken, or not wholly; NULL: none */
	uint64_t	 acked, put;	/* offsets in the stream: of kept's first byte, of its end */
	union {
		struct cut   *cut;	/* in the middle of a frame; NULL: between two */
		struct qhold *hold;	/* with `held' */
	};
	uint32_t	 at_off;	/* what ngtcp2 has taken of `at' */
	bool		 unsent : 1;	/* in qstreams.unsent */
	bool		 held : 1;	/* in qstreams.held: what came before the OPEN did */
	bool		 blocked : 1;	/* the peer's window for it is used up */
	bool		 full : 1;	/* so much is not acknowledged that no more is taken */
	bool		 over : 1;	/* what still comes is dropped; our FIN is to go */
	bool		 fin_sent : 1;
};

struct qhold {
	uint8_t		*p;
	uint32_t	 len;
	uint32_t	 id;		/* the fabric stream's; 0: not known */
	bool		 overrun;	/* more came than is held */
};

TAILQ_HEAD(qstream_list, qstream);

struct qstreams {
	LIST_HEAD(, qstream) all;
	struct qstream_list unsent;	/* have bytes, or an end, that ngtcp2 has not taken; the first is in the middle of a frame */
	struct qstream_list held;	/* wait for the OPEN of their stream */
	size_t		 n;
	size_t		 kept;		/* bytes in all chunks */
	size_t		 charged;	/* of those, taken from the budget */
	size_t		 held_bytes;
	size_t		 waiting;	/* streams that have no QUIC stream, as the peer allows no more */
	struct window	 window;	/* of QUIC's flow control for the connection */
	bool		 up;
};

void	qstreams_init(struct qstreams *);
/* With the connection; its fabric streams are gone from the switch by then. */
void	qstreams_free(struct conn *);

/* The session is up: the peer may open QUIC streams. */
void	qstreams_up(struct conn *);

/* For the callbacks of a session's port in the switch. */
void	qstream_begins(struct conn *, struct stream_end *);
void	qstream_ends(struct conn *, struct stream_end *);

/* The peer's OPEN_STREAM with this id was dealt with: what came early for ids up to it comes too late now. */
void	qstreams_opened(struct conn *, uint64_t id);

/* ngtcp2's callbacks for streams other than the control stream; 0 or NGTCP2_ERR_CALLBACK_FAILURE. */
int	qstream_recv(struct conn *, int64_t id, const uint8_t *data, size_t len, bool fin, struct qstream *);
void	qstream_acked(struct conn *, struct qstream *, uint64_t upto);
void	qstream_closed(struct conn *, int64_t id, struct qstream *);
void	qstream_window(struct conn *, struct qstream *);	/* the peer takes more of it */
void	qstreams_more(struct conn *);				/* the peer allows more streams */

/* Whether bytes, or a FIN, wait that have left the switch already. */
static inline bool
qstreams_unsent(const struct qstreams *s)
{
	return !TAILQ_EMPTY(&s->unsent);
}

/* Whether more may be taken out of the switch: there is memory to keep it. */
bool	qstreams_room(const struct conn *);

/* Takes the next frame of the entry, which has the turn, out of the switch. */
void	qstream_pull(struct conn *, struct turn_entry *);

/* Writes what is unsent into a packet; as ngtcp2_conn_writev_stream() with more to follow. */
ngtcp2_ssize qstream_write(struct conn *, ngtcp2_path *, ngtcp2_pkt_info *, uint8_t *dest, size_t size, uint64_t ts);

#endif
