/* A token bucket. The caller gives the time; nothing is allocated. */
#ifndef BASE_RATELIMIT_H
#define BASE_RATELIMIT_H

#include <stdbool.h>
#include <stdint.h>

struct ratelimit {
	uint64_t	interval_ns;	/* one token is earned in this time */
	uint64_t	burst;		/* tokens at most */
	uint64_t	full_at_ns;	/* when the bucket would be full again */
};

static inline void
ratelimit_init(struct ratelimit *rl, uint64_t interval_ns, uint64_t burst)
{
	rl->interval_ns = interval_ns;
	rl->burst = burst;
	rl->full_at_ns = 0;
}

/* Takes one token; false when there is none. */
static inline bool
ratelimit_take(struct ratelimit *rl, uint64_t now_ns)
{
	uint64_t full = rl->full_at_ns > now_ns ? rl->full_at_ns : now_ns;

	if (full + rl->interval_ns > now_ns + rl->burst * rl->interval_ns)
		return false;
	rl->full_at_ns = full + rl->interval_ns;
	return true;
}

#endif
