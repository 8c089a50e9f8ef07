#include "fabric/stream_table.h"

#define NONE(s)		{ SA_NONE, s }
#define TAKE(s)		{ SA_TAKE, s }
#define AGAIN(s)	{ SA_AGAIN, s }
#define PROTO		{ SA_PROTOCOL, STREAM_GONE }
#define END		{ SA_END, STREAM_GONE }
#define LEG(s)		{ SA_LEG, s }
#define REFUSE(s)	{ SA_REFUSE, s }

static const struct stream_cell reliable_cells[STREAM_STATES][SH_COUNT] = {
	[STREAM_OPEN] = {
		[SH_DATA] = TAKE(STREAM_OPEN), [SH_DATA_U] = PROTO, [SH_ACK] = TAKE(STREAM_OPEN),
		[SH_CREDIT] = TAKE(STREAM_OPEN), [SH_CLOSE] = TAKE(STREAM_HALF_REMOTE), [SH_RESET] = END,
		[SH_RESET_PATH] = LEG(STREAM_OPEN), [SH_OTHER] = PROTO,
		[SH_WRITE] = TAKE(STREAM_OPEN), [SH_SHUT] = TAKE(STREAM_HALF_LOCAL), [SH_ABORT] = END,
		[SH_DONE] = NONE(STREAM_OPEN), [SH_LOST] = LEG(STREAM_OPEN), [SH_OVER] = END,
	},
	[STREAM_HALF_LOCAL] = {
		[SH_DATA] = TAKE(STREAM_HALF_LOCAL), [SH_DATA_U] = PROTO, [SH_ACK] = TAKE(STREAM_HALF_LOCAL),
		[SH_CREDIT] = TAKE(STREAM_HALF_LOCAL), [SH_CLOSE] = TAKE(STREAM_CLOSING), [SH_RESET] = END,
		[SH_RESET_PATH] = LEG(STREAM_HALF_LOCAL), [SH_OTHER] = PROTO,
		[SH_WRITE] = REFUSE(STREAM_HALF_LOCAL), [SH_SHUT] = NONE(STREAM_HALF_LOCAL), [SH_ABORT] = END,
		[SH_DONE] = NONE(STREAM_HALF_LOCAL), [SH_LOST] = LEG(STREAM_HALF_LOCAL), [SH_OVER] = END,
	},
	[STREAM_HALF_REMOTE] = {
		[SH_DATA] = TAKE(STREAM_HALF_REMOTE), [SH_DATA_U] = PROTO, [SH_ACK] = TAKE(STREAM_HALF_REMOTE),
		[SH_CREDIT] = TAKE(STREAM_HALF_REMOTE), [SH_CLOSE] = AGAIN(STREAM_HALF_REMOTE), [SH_RESET] = END,
		[SH_RESET_PATH] = LEG(STREAM_HALF_REMOTE), [SH_OTHER] = PROTO,
		[SH_WRITE] = TAKE(STREAM_HALF_REMOTE), [SH_SHUT] = TAKE(STREAM_CLOSING), [SH_ABORT] = END,
		[SH_DONE] = NONE(STREAM_HALF_REMOTE), [SH_LOST] = LEG(STREAM_HALF_REMOTE), [SH_OVER] = END,
	},
	[STREAM_CLOSING] = {
		[SH_DATA] = TAKE(STREAM_CLOSING), [SH_DATA_U] = PROTO, [SH_ACK] = TAKE(STREAM_CLOSING),
		[SH_CREDIT] = TAKE(STREAM_CLOSING), [SH_CLOSE] = AGAIN(STREAM_CLOSING), [SH_RESET] = END,
		[SH_RESET_PATH] = LEG(STREAM_CLOSING), [SH_OTHER] = PROTO,
		[SH_WRITE] = REFUSE(STREAM_CLOSING), [SH_SHUT] = NONE(STREAM_CLOSING), [SH_ABORT] = END,
		[SH_DONE] = TAKE(STREAM_LINGER), [SH_LOST] = LEG(STREAM_CLOSING), [SH_OVER] = END,
	},
	[STREAM_LINGER] = {
		[SH_DATA] = AGAIN(STREAM_LINGER), [SH_DATA_U] = PROTO, [SH_ACK] = TAKE(STREAM_LINGER),
		[SH_CREDIT] = NONE(STREAM_LINGER), [SH_CLOSE] = AGAIN(STREAM_LINGER), [SH_RESET] = END,
		[SH_RESET_PATH] = LEG(STREAM_LINGER), [SH_OTHER] = PROTO,
		[SH_WRITE] = REFUSE(STREAM_LINGER), [SH_SHUT] = NONE(STREAM_LINGER), [SH_ABORT] = END,
		[SH_DONE] = NONE(STREAM_LINGER), [SH_LOST] = LEG(STREAM_LINGER), [SH_OVER] = END,
	},
	[STREAM_GONE] = {
		[SH_DATA] = NONE(STREAM_GONE), [SH_DATA_U] = NONE(STREAM_GONE), [SH_ACK] = NONE(STREAM_GONE),
		[SH_CREDIT] = NONE(STREAM_GONE), [SH_CLOSE] = NONE(STREAM_GONE), [SH_RESET] = NONE(STREAM_GONE),
		[SH_RESET_PATH] = NONE(STREAM_GONE), [SH_OTHER] = NONE(STREAM_GONE),
		[SH_WRITE] = REFUSE(STREAM_GONE), [SH_SHUT] = NONE(STREAM_GONE), [SH_ABORT] = NONE(STREAM_GONE),
		[SH_DONE] = NONE(STREAM_GONE), [SH_LOST] = NONE(STREAM_GONE), [SH_OVER] = NONE(STREAM_GONE),
	},
};

/* An unreliable stream is open or gone: CLOSE_STREAM ends both directions, and a lost leg is its end. */
static const struct stream_cell unreliable_open[SH_COUNT] = {
	[SH_DATA] = PROTO, [SH_DATA_U] = TAKE(STREAM_OPEN), [SH_ACK] = PROTO, [SH_CREDIT] = PROTO,
	[SH_CLOSE] = END, [SH_RESET] = END, [SH_RESET_PATH] = END, [SH_OTHER] = PROTO,
	[SH_WRITE] = TAKE(STREAM_OPEN), [SH_SHUT] = END, [SH_ABORT] = END,
	[SH_DONE] = NONE(STREAM_OPEN), [SH_LOST] = END, [SH_OVER] = END,
};

const struct stream_cell *
stream_cell(bool reliable, unsigned state, unsigned happening)
{
	if (!reliable && state != STREAM_GONE)
		return &unreliable_open[happening];
	return &reliable_cells[state][happening];
}

/*
 * While a stream looks for another path, no way to the destination and a node on the way that is full are no answer of the
 * other end's: it may try again. A new stream hears of them at once.
 */
bool
stream_reason_is_path(uint64_t reason, unsigned leg)
{
	switch (reason) {
	case REASON_PEER_GONE:
	case REASON_SHUTDOWN:
	case REASON_MOVED:
	case REASON_HOP_GONE:
		return true;
	case REASON_UNREACHABLE:
	case REASON_LIMIT:
	case REASON_ROUTE_CLASS:
	case REASON_ROUTE_LIMIT:
	case REASON_ROUTE_RATE:
		return leg == LEG_RESUMING;
	case REASON_NO_ROUTE:
	case REASON_ROUTE_EXPIRED:
	case REASON_FENCED:
		return leg != LEG_OPENING;
	default:
		return false;
	}
}

unsigned
stream_happening(const struct frame *f, unsigned leg)
{
	switch (f->type) {
	case FT_DATA:
		return SH_DATA;
	case FT_DATA_U:
	case FT_DATA_UF:
	case FT_DATA_UFL:
		return SH_DATA_U;
	case FT_ACK:
		return SH_ACK;
	case FT_STREAM_CREDIT:
		return SH_CREDIT;
	case FT_CLOSE_STREAM:
		return SH_CLOSE;
	case FT_RESET_STREAM:
		return stream_reason_is_path(f->reset.reason, leg) ? SH_RESET_PATH : SH_RESET;
	default:
		return SH_OTHER;
	}
}

const char *
stream_state_name(unsigned state)
{
	static const char *const names[STREAM_STATES] = {
		"open", "half-local", "half-remote", "closing", "linger", "gone"
	};

	return state < STREAM_STATES ? names[state] : "unknown";
}

const char *
stream_leg_name(unsigned leg)
{
	static const char *const names[LEG_STATES] = { "none", "opening", "resuming", "up" };

	return leg < LEG_STATES ? names[leg] : "unknown";
}
