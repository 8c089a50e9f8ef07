/*
 * One reliable stream on one leg, as a node between two ports holds it: fabric-stream(7), "Hops".
 *
 * What comes in at one side waits here until the other side may take it. A side may send what it was granted, and it is
 * granted only what has its place here already; so nothing is dropped, and a slow stream stops itself and no other.
 *
 * Sans-I/O: the switch gives frames with the side that they came from, and asks for the next frame at a side when that
 * port has room and it is this stream's turn. OPEN_STREAM itself is the switch's.
 */
#ifndef FABRIC_CREDIT_H
#define FABRIC_CREDIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fabric/budget.h"
#include "fabric/ring.h"
#include "fabric/turn.h"
#include "fabric/window.h"
#include "wire/frame.h"

#define CREDIT_INITIAL	8192u	/* bytes that a sender may send on a new leg before it is granted any */
#define CREDIT_FRAME_MIN 64u	/* credit_output() wants at least so much room */
#define CREDIT_DATA_MAX	16000u	/* payload bytes of one DATA that is sent on */

enum credit_state {
	CREDIT_OPEN,
	CREDIT_HALF_0,		/* side 0, the opener's, has closed its direction */
	CREDIT_HALF_1,		/* side 1 has */
	CREDIT_CLOSING,		/* both have; their acknowledgements have not all passed */
	CREDIT_ENDING,		/* RESET_STREAM has to leave */
	CREDIT_DONE,		/* nothing more to do: to be freed */
	CREDIT_STATES
};

struct credit_conf {
	uint64_t window_max;	/* bytes a direction */
	uint64_t open_ns;	/* for the other end's answer */
	uint64_t idle_ns;	/* no frame at all: the ends are gone, or their keepalive is broken */
};

#define CREDIT_DELAYS 28u	/* bucket i: less than 2^i us */

/* What the streams of a class did, in all. */
struct credit_class {
	uint64_t bytes, frames;		/* that left; DATA */
	uint64_t stalled_ns;		/* time that streams waited for credit */
	uint32_t delays[CREDIT_DELAYS];	/* how long bytes stayed, one of a stream measured at a time */
};

/* Shared by the streams of a node. */
struct credit_node {
	struct credit_conf conf;
	struct budget	*budget;
	uint64_t	 streams;
	uint64_t	 refused;	/* for want of memory */
	uint64_t	 violations;	/* a side sent what it may not */
	uint64_t	 reaped;
	struct credit_class class[CLASS_COUNT];
};

/* How long a byte of this class stayed at most, in us, for so many of 1000; 0 when none was measured. */
uint64_t credit_delay(const struct credit_class *, unsigned per_mille);
/* Halves what was measured, so that the newer counts more. */
void	credit_delays_age(struct credit_node *);


/* What only a way has that carries bytes: it is there from the first on, until the way has been quiet for a while. */
struct credit_flow {
	struct ring	 buf;
	struct window	 window;
	uint64_t	 stall_ns;		/* since when it waits for credit; 0: it does not */
	uint64_t	 sample_ns;		/* when the byte came whose stay is being measured; 0: none is */
	uint32_t	 sample_left;		/* bytes that leave before it */
};

/* What comes in at one side and leaves at the other. */
struct credit_way {
	struct credit_flow *flow;		/* NULL: nothing waits, and the window is CREDIT_INITIAL */
	uint32_t	 reserved;		/* bytes of the budget */
	uint32_t	 rtt_us;		/* to its sender */
	uint64_t	 next_seq;		/* of the byte that comes next; known when `begun' */
	uint64_t	 received, granted;	/* bytes on this leg; what its sender may send */
	uint64_t	 forwarded, limit;	/* the same at the other side */
	uint64_t	 final, close_reason;
	uint64_t	 ack_seq, ack_edge;	/* the last ACK that came in here, to leave at the other side */
	bool		 begun, final_known, close_sent, close_acked, ack_due, credit_due;
	uint64_t	 stalled_ns;		/* in all, but for a stall of now */
	uint32_t	 delay_us, delay_max_us; /* how long bytes stay: about, and at most so far */
};

struct credit {
	struct credit_node *node;
	struct credit_way way[2];		/* [x]: what comes in at side x */
	struct turn	*turn[2];		/* of the ports; NULL: the port is gone */
	struct turn_entry out[2];		/* [x]: this stream's place among those that send at side x */
	uint8_t		 state;			/* enum credit_state */
	bool		 answered;		/* side 1's first ACK has come */
	bool		 held;			/* no DATA leaves, at either side */
	bool		 reset_due[2];
	uint64_t	 reset_reason;
	uint64_t	 opened_ns, heard_ns, moved_ns;
};

/* Bytes that wait in it, what its sender's window is, and since when it waits for credit (0: it does not). */
static inline uint32_t
credit_waiting(const struct credit_way *w)
{
	return w->flow != NULL ? w->flow->buf.len : 0;
}

static inline uint32_t
credit_window(const struct credit_way *w)
{
	return w->flow != NULL ? w->flow->window.size : CREDIT_INITIAL;
}

static inline uint64_t
credit_stalled_since(const struct credit_way *w)
{
	return w->flow != NULL ? w->flow->stall_ns : 0;
}

/* Whose place in a port's turn it is; e->tag is the side. Other owners at the port take tags from CREDIT_TAGS on. */
#define CREDIT_TAGS 2u

static inline struct credit *
credit_of(struct turn_entry *e)
{
	return (struct credit *)(void *)((char *)(e - e->tag) - offsetof(struct credit, out));
}

void	credit_conf_default(struct credit_conf *);
void	credit_node_init(struct credit_node *, const struct credit_conf *, struct budget *);

/*
 * Side 0 is who opened it. initial[x]: bytes that may leave at side x before STREAM_CREDIT comes from there, as the
 * session or port has it. REASON_NONE, or REASON_LIMIT at the ceiling; then nothing is to be freed.
 */
uint64_t credit_init(struct credit *, struct credit_node *, unsigned class, struct turn *side0, struct turn *side1,
	    const uint64_t initial[2], uint64_t now_ns);
void	credit_free(struct credit *);

/*
 * A frame from side x, with what its port's round trip takes now. What a side may not do resets the stream at both.
 * Afterwards look at credit_done().
 */
void	credit_input(struct credit *, unsigned side, const struct frame *, uint64_t rtt_ns, uint64_t now_ns);

/*
 * The carrier at side x takes nothing of this stream until it is unblocked: it gets no turn there. `turn`, if not NULL,
 * is where it has its turns from then on.
 */
void	credit_block(struct credit *, unsigned side);
void	credit_unblock(struct credit *, unsigned side, struct turn *turn);

/* No DATA leaves at either side until that is taken back: what comes waits, and so does who sends it. */
void	credit_hold(struct credit *, bool held);

/* Says at side x what its sender was granted, though that is nothing new: a frame for a carrier that needs a first one. */
void	credit_announce(struct credit *, unsigned side);

/* The port at side x is gone. */
void	credit_port_lost(struct credit *, unsigned side);

/* Breaks it off at both sides. */
void	credit_fail(struct credit *, uint64_t reason);

/* The next frame for side x, under that side's stream id; its length, 0 when there is none. */
size_t	credit_output(struct credit *, unsigned side, uint64_t stream_id, uint8_t *buf, size_t size, uint64_t now_ns);
bool	credit_ready(const struct credit *, unsigned side);

/* When credit_tick() has something to end. It may be called at any time, and gives back what a quiet stream has grown to. */
uint64_t credit_deadline(const struct credit *);
void	credit_tick(struct credit *, uint64_t now_ns);

static inline bool
credit_done(const struct credit *c)
{
	return c->state == CREDIT_DONE;
}

const char *credit_state_name(unsigned state);

/* The table of states, for credit.c and its test: what a frame from side x does in a state. */
enum credit_action {
	CA_NONE,	/* it comes too late to matter */
	CA_TAKE,
	CA_PROTOCOL,	/* resets both sides */
	CA_RESET,	/* goes on to the other side */
};

enum credit_happening { CH_DATA, CH_ACK, CH_CREDIT, CH_CLOSE, CH_RESET, CH_OTHER, CH_COUNT };

struct credit_cell { uint8_t action, next; };

const struct credit_cell *credit_cell(unsigned state, unsigned side, unsigned happening);
unsigned credit_happening(const struct frame *);

#endif
