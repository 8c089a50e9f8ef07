/* Every state of a stream's end and all that can happen to it: fabric-stream(7), "States". For stream.c and its test. */
#ifndef FABRIC_STREAM_TABLE_H
#define FABRIC_STREAM_TABLE_H

#include "fabric/stream.h"

enum stream_happening {
	/* frames */
	SH_DATA, SH_DATA_U, SH_ACK, SH_CREDIT, SH_CLOSE,
	SH_RESET,	/* by the other end */
	SH_RESET_PATH,	/* by a node on the way: the leg is lost */
	SH_OTHER,	/* any other frame */
	/* this end */
	SH_WRITE, SH_SHUT, SH_ABORT,
	/* what follows from what came */
	SH_DONE,	/* both directions are closed and acknowledged */
	/* time */
	SH_LOST,	/* the leg is silent, or the port is gone */
	SH_OVER,	/* no byte moved, no leg came, or the end of lingering */
	SH_COUNT
};

enum stream_action {
	SA_NONE,	/* nothing */
	SA_TAKE,	/* as the frame or the call says, then the next state */
	SA_AGAIN,	/* it came before: acknowledge it again */
	SA_PROTOCOL,	/* the other end broke the protocol: reset, reason protocol */
	SA_END,		/* gone */
	SA_LEG,		/* the leg is lost, the stream is not */
	SA_REFUSE,	/* the caller may not */
};

struct stream_cell {
	uint8_t action, next;
};

const struct stream_cell *stream_cell(bool reliable, unsigned state, unsigned happening);

/* What a frame's arrival on a leg in this state is. */
unsigned stream_happening(const struct frame *, unsigned leg);

/* A reason that a node on the way gives and an end does not: the path failed, and the stream may have another. */
bool	stream_reason_is_path(uint64_t reason, unsigned leg);

#endif
