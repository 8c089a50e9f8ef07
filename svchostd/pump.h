/*
 * A pump joins a local descriptor, a TCP socket or one end of a socketpair, with a stream of the fabric that is sealed end
 * to end: what can be read from the one goes into the other, both ways, until both directions have ended or one side broke.
 *
 * It holds no more than one record in each direction beside what the stream itself holds within its windows: who does not
 * read stops who writes, through the whole fabric. The end of one direction (shutdown(2)) is carried as such. A local
 * connection that is reset resets the stream, and the other way round, so that half of something never looks like all of it.
 *
 * A stream that loses its path, or its dataplane, is attached anew by the hub and goes on; a pump does not see that.
 */
#ifndef SVCHOSTD_PUMP_H
#define SVCHOSTD_PUMP_H

#include "fabric/e2e.h"
#include "fabric/stream.h"

struct hub;
struct pump;

/*
 * What a pump tells its owner. Exactly one of `failed' and `ended' comes, once, and it is the last: the pump is freed after
 * it. In both the descriptor is still open, and closed right after; neither comes from within a call of the owner's.
 */
struct pump_ops {
	/*
	 * The far end's target has taken the connection. Nothing has been read from the descriptor nor written to it by the
	 * pump yet: the owner may write a few bytes of its own, as SOCKS does. May be NULL.
	 */
	void	(*opened)(struct pump *, void *arg);
	/* It never came to that: REASON_UNREACHABLE, REASON_NO_SERVICE, REASON_TARGET_DOWN, ... */
	void	(*failed)(struct pump *, uint64_t reason, void *arg);
	/* REASON_NONE: both directions came to their end, whole; else what broke it, and how. */
	void	(*ended)(struct pump *, uint64_t reason, void *arg);
};

/*
 * Opens a stream to `target', which svchostd/names.h makes of what a person wrote, for fd, which is non-blocking, connected,
 * and the pump's from now on. NULL when that fails: *reason says why, fd is still the caller's, and no callback comes.
 * Nothing is read from fd before `opened'. `arg' is the owner's.
 */
struct pump *pump_open(struct hub *, const struct e2e_service *target, int fd, const struct pump_ops *, void *arg,
	    uint64_t *reason);

/* Breaks it off, both ways: the far end gets RESET_STREAM with `reason'. No callback comes; the descriptor is closed. */
void	pump_abort(struct pump *, uint64_t reason);

/* From `failed': what the owner has written to the descriptor is to arrive, so its end shall be no reset. */
void	pump_gently(struct pump *);

int	pump_fd(const struct pump *);

enum pump_state {
	PUMP_OPENING,		/* opener: the far end has not said yet that its target is there */
	PUMP_CONNECTING,	/* acceptor: the target has not taken the connection yet */
	PUMP_OPEN,
	PUMP_STATES
};

/* What a stream did and does. Bytes are the application's, as in "out: from the local side into the fabric". */
struct pump_info {
	uint64_t number;		/* counts this process's pumps from 1: names one in lists */
	const char *service;
	uint8_t	 node_id[NODE_ID_LEN];	/* of the other end, proven once the state is PUMP_OPEN */
	uint8_t	 class, state;
	bool	 opener;
	bool	 no_leg;		/* it looks for another path now */
	bool	 eof_in, eof_out;	/* this direction has ended */
	uint64_t bytes_in, bytes_out;
	uint64_t frames_in, frames_out;	/* DATA */
	uint64_t bytes_again;		/* sent again after a leg was lost, sealed */
	uint64_t legs;			/* paths it had */
	uint64_t rtt_us;		/* end to end, 0: not known yet */
	/* Time that there was something to move and somebody did not let it. */
	uint64_t stall_far_us;		/* out: the far end's window */
	uint64_t stall_hop_us;		/* out: the next hop's credit */
	uint64_t stall_local_us;	/* in: the local descriptor takes nothing */
	uint64_t stall_leg_us;		/* both: it had no path */
	uint64_t queue_p50_us, queue_p99_us; /* out: from being read here to leaving for the dataplane */
	uint64_t queued_in, queued_out;	/* bytes that wait in this process now, sealed */
	uint64_t started_ns, opened_ns, active_ns; /* opened_ns 0: not yet */
};

const char *pump_state_name(unsigned state);
void	pump_info(const struct pump *, struct pump_info *, uint64_t now_ns);

/* A stream that ended not long ago. */
#define ENDED_MAX	64u
struct pump_ended {
	struct pump_info info;		/* info.service is `service' */
	char		 service[FRAME_SERVICE_MAX + 1];
	uint64_t	 reason, at_ns;
};

/* The i-th of those that ended last, the newest first; NULL: there are no more. */
const struct pump_ended *pump_ended(const struct hub *, unsigned i);

/* All pumps of a hub, the oldest first; NULL at the end. Nothing may be opened or ended meanwhile. */
struct pump *pump_first(struct hub *);
struct pump *pump_next(struct pump *);

#endif
