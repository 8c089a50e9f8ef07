/*
 * The ends of streams, as an adapter holds them: fabric-stream(7).
 *
 * A stream is a lasting thing between two adapters, named by its token. It travels on a leg: a stream id at the port to
 * the dataplane and what the nodes on one path hold for it. When the leg is lost, a reliable stream keeps what was not
 * acknowledged, the opener attaches it to another leg, and each end goes on from where the other says.
 *
 * Sans-I/O: frames go in by streams_input(), come out of streams_output() one at a time as the port has room, what the
 * adapter has to know comes from streams_event(). Time is an argument; randomness comes from the tokens.
 */
#ifndef FABRIC_STREAM_H
#define FABRIC_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "fabric/budget.h"
#include "fabric/loss.h"
#include "fabric/ring.h"
#include "fabric/turn.h"
#include "fabric/window.h"
#include "wire/frame.h"

#define STREAM_TOKEN_LEN	16u
#define STREAM_WINDOW_INITIAL	8192u	/* bytes that either end takes before it has said so */
#define STREAM_DATA_MAX		16000u	/* payload bytes of one DATA that an end sends */
#define STREAM_FRAME_MIN	64u	/* streams_output() wants at least so much room */
#define STREAM_ID_LEN		(1u + STREAM_TOKEN_LEN)	/* see stream_identity_put() */

enum stream_state {
	STREAM_OPEN,
	STREAM_HALF_LOCAL,	/* this end will write no more; the other may */
	STREAM_HALF_REMOTE,	/* the other end's CLOSE_STREAM has come */
	STREAM_CLOSING,		/* both, and something is not acknowledged, or has not come */
	STREAM_LINGER,		/* nothing is left to do but to say so again when asked */
	STREAM_GONE,
	STREAM_STATES
};

enum stream_leg {
	LEG_NONE,		/* no path */
	LEG_OPENING,		/* opener: not answered yet, the first bytes may go */
	LEG_RESUMING,		/* the other end has not said yet from where to go on */
	LEG_UP,
	LEG_STATES
};

/* What streams_event() says; a set of bits. */
#define STREAM_EV_READ	0x01u	/* bytes to read, or their end */
#define STREAM_EV_WRITE	0x02u	/* there is room again after stream_write() took less than all */
#define STREAM_EV_LEG	0x04u	/* opener: wants stream_attach() with a new id */
#define STREAM_EV_UP	0x08u	/* the other end answered, the first time or on another leg */
#define STREAM_EV_END	0x10u	/* it is gone, s->reason says why; the adapter has to give it back */

struct stream_conf {
	uint64_t window_max;	/* bytes */
	uint64_t open_ns;	/* for an answer on a new leg */
	uint64_t keepalive_ns;	/* nothing was heard: ask */
	uint64_t dead_ns;	/* still nothing: the leg is lost */
	uint64_t resume_ns;	/* without a leg: the stream is lost */
	uint64_t linger_ns;
	uint64_t idle_ns;	/* open and no byte moved; 0: for ever */
	uint64_t half_ns;	/* closed in one direction and no byte moved in the other; 0: for ever */
	uint64_t ack_delay_ns;
	size_t	 streams_max;
	size_t	 linger_max;	/* of those in STREAM_LINGER, the oldest go first */
};

struct stream_counters {	/* of one stream */
	uint64_t bytes_in, bytes_out;	/* payload, each byte once */
	uint64_t frames_in, frames_out;	/* DATA */
	uint64_t bytes_again;		/* sent again after a leg was lost */
	uint64_t duplicate;		/* bytes that came and were here already */
	uint64_t legs;
	uint64_t stall_window_ns, stall_credit_ns;	/* something to send, and not allowed: by the far end, by the next hop */
};

struct streams;

struct fabric_stream {
	struct streams	*set;
	void		*arg;			/* the adapter's */
	uint8_t		 token[STREAM_TOKEN_LEN];
	uint64_t	 id;			/* of the leg; 0: none */
	uint8_t		 state, leg;		/* enum stream_state, enum stream_leg */
	bool		 reliable, opener;
	bool		 answered;		/* an ACK has come, on any leg */
	bool		 released;		/* the adapter has given it back */
	bool		 shut;			/* this end writes no more */
	bool		 close_sent;		/* on this leg */
	bool		 close_ever, close_acked;
	bool		 final_known;		/* the other end's CLOSE_STREAM has come */
	bool		 ack_due, credit_due, write_wanted;
	bool		 eof_told, lingers;
	uint8_t		 events;
	uint64_t	 reason;		/* once it is gone */

	/* what goes; each a sequence number */
	uint64_t	 snd_una, snd_nxt, snd_end, snd_max, snd_edge;
	uint64_t	 leg_sent, leg_limit;	/* bytes on this leg, and the next hop's credit */
	struct ring	 out;			/* snd_una to snd_end */
	uint64_t	 out_reserved;

	/* what comes */
	uint64_t	 rcv_read, rcv_nxt, rcv_edge, rcv_final;
	uint64_t	 rcv_unacked;		/* bytes since the last ACK */
	uint64_t	 leg_received, leg_granted;
	struct ring	 in;			/* rcv_read to rcv_nxt */
	uint64_t	 in_reserved;
	struct window	 window;

	/* times, ns */
	uint64_t	 rtt_ns, rtt_min_ns;	/* 0: not known yet */
	uint64_t	 timed_seq, timed_ns;	/* a byte whose ACK is waited for; timed_ns 0: none */
	uint64_t	 edge_seq, edge_ns;	/* a window that was announced, and what comes beyond the one before it */
	uint64_t	 leg_ns, heard_ns, asked_ns, acked_ns, ack_at_ns;
	uint64_t	 active_ns, lost_ns, again_ns, linger_at_ns, stall_ns;
	uint8_t		 stall;			/* 0, or who holds it up */
	uint32_t	 backoff;
	uint8_t		 moves;			/* legs in a row that were given up for another before they were answered */
	uint32_t	 before;		/* the id of the leg that was lost last, at this port; 0: none */
	uint64_t	 rand;

	struct loss	 loss;			/* unreliable: of what comes */
	uint64_t	 packets_out;

	struct stream_counters n;

	/* places in the set */
	struct turn_entry turn;
	struct fabric_stream *id_next, *token_next;
	TAILQ_ENTRY(fabric_stream) all, event;
	TAILQ_ENTRY(fabric_stream) lingering;
	size_t		 heap_at;		/* 1-based; 0: not in it */
	uint64_t	 deadline_ns;
};

TAILQ_HEAD(stream_list, fabric_stream);

/* RESET_STREAM, or an unreliable stream's CLOSE_STREAM, that is to go. */
struct stream_reset {
	uint64_t id, reason, final;
	bool	 close;
};

/* The streams at one port. */
struct streams {
	struct stream_conf conf;
	struct budget	*budget;
	void		(*gone)(void *arg);	/* a stream was forgotten: its arg is free. May be NULL */
	uint64_t	 secret;
	struct fabric_stream **by_id, **by_token;
	size_t		 table_len, n, nlinger;
	struct stream_list all, events, linger;
	struct turn	 turn;
	struct fabric_stream **heap;
	size_t		 heap_len, heap_size;
	struct stream_reset *resets;
	size_t		 nresets, resets_size;
	uint64_t	 unknown;		/* frames for no stream */
	uint64_t	 refused;		/* streams, for want of memory */
};

/* The usual times and limits. */
void	stream_conf_default(struct stream_conf *);

/* `budget` is kept; `secret`: 64 random bits, for the tables. -1 when memory is short. set->gone may be set after it. */
int	streams_init(struct streams *, const struct stream_conf *, struct budget *budget, uint64_t secret);
void	streams_free(struct streams *);	/* with all streams, silently */

/*
 * A new stream; `token` is random and its own. It has no leg yet: stream_attach() with an id, then OPEN_STREAM, which is
 * the adapter's to send. NULL and *reason when it is refused: REASON_LIMIT at a ceiling, REASON_INTERNAL.
 */
struct fabric_stream *streams_open(struct streams *, const uint8_t token[STREAM_TOKEN_LEN], unsigned class, bool reliable,
	    void *arg, uint64_t now_ns, uint64_t *reason);

/* The same for an OPEN_STREAM that came, with its id. What is refused is answered with streams_refuse(). */
struct fabric_stream *streams_accept(struct streams *, const uint8_t token[STREAM_TOKEN_LEN], uint64_t id, unsigned class,
	    bool reliable, void *arg, uint64_t now_ns, uint64_t *reason);

/* A stream with this token, or NULL. Whether its peer is who asks for it is the adapter's to check. */
struct fabric_stream *streams_by_token(struct streams *, const uint8_t token[STREAM_TOKEN_LEN]);
struct fabric_stream *streams_by_id(struct streams *, uint64_t id);

/*
 * Gives it a leg: the opener after STREAM_EV_LEG (and the first time), the acceptor when an OPEN_STREAM names its token;
 * a leg that it still had is reset. -1: it takes none (gone, unreliable and used, or the opener has one).
 */
int	stream_attach(struct fabric_stream *, uint64_t id, uint64_t now_ns);

/*
 * What OPEN_STREAM has to say of a stream besides its service, in the handshake that only the two adapters read: the
 * token, and whether the other end must know it already. `put' before stream_attach(). `get': 0, or -1 when malformed.
 */
void	stream_identity_put(const struct fabric_stream *, uint8_t out[STREAM_ID_LEN]);
int	stream_identity_get(const uint8_t *p, size_t len, uint8_t token[STREAM_TOKEN_LEN], bool *must_exist);

/* RESET_STREAM for an id that is no stream's, to be sent before all else. */
void	streams_refuse(struct streams *, uint64_t id, uint64_t reason);

/*
 * A frame of the port's, other than OPEN_STREAM. False when it is for no stream here: late, or wrong.
 * Of unreliable DATA, *unit says whether it is new and for the adapter to take from the frame.
 */
bool	streams_input(struct streams *, const struct frame *, uint64_t now_ns, bool *unit);

/* The port is gone, and every leg with it. */
void	streams_port_lost(struct streams *, uint64_t now_ns);

/* Writes the next frame to buf; its length, 0 when there is none. size is at least STREAM_FRAME_MIN. */
size_t	streams_output(struct streams *, uint8_t *buf, size_t size, uint64_t now_ns);
bool	streams_want_output(const struct streams *);

uint64_t streams_deadline(const struct streams *);	/* when streams_tick() is wanted, UINT64_MAX for never */
void	streams_tick(struct streams *, uint64_t now_ns);

/* The next stream that something happened to, with what; NULL when there is none. */
struct fabric_stream *streams_event(struct streams *, unsigned *events);

/* Takes up to n bytes; how many, 0 when there is no room, -1 when this direction is over. */
ssize_t	stream_write(struct fabric_stream *, const uint8_t *p, size_t n, uint64_t now_ns);

/* What stream_write() would take now. */
size_t	stream_room(const struct fabric_stream *);

/* Up to n bytes; how many, 0 when there are none yet, -1 at the end (of the stream, or of this direction). */
ssize_t	stream_read(struct fabric_stream *, uint8_t *out, size_t n, uint64_t now_ns);

/* This end writes no more; what was written is still delivered. Nothing when that was said before. */
void	stream_shut(struct fabric_stream *, uint64_t now_ns);

/* Breaks it off, both ways. STREAM_EV_END does not come; it is still to be given back. */
void	stream_abort(struct fabric_stream *, uint64_t reason, uint64_t now_ns);

/*
 * The adapter is done with it. What was written and closed is still delivered, and for that it may want a leg once more
 * (STREAM_EV_LEG is all that still comes); one that is not closed both ways is broken off with REASON_NONE. Its arg is
 * needed until set->gone, which may be called from here already.
 */
void	stream_release(struct fabric_stream *, uint64_t now_ns);

/* Unreliable: writes DATA with one unit to buf; its length, 0 when it cannot be sent. */
size_t	stream_unit(struct fabric_stream *, const uint8_t *p, size_t n, uint8_t *buf, size_t size, uint64_t now_ns);

const char *stream_state_name(unsigned state);
const char *stream_leg_name(unsigned leg);

#endif
