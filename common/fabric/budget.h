/*
 * The memory that a node spends on streams: one ceiling for all of them. What is promised to a sender is taken here
 * before it is promised, so that every byte that a node has to take has its place already.
 */
#ifndef FABRIC_BUDGET_H
#define FABRIC_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

struct budget {
	uint64_t limit;		/* bytes */
	uint64_t used, peak;
	uint64_t refused;	/* times that something did not fit */
	uint64_t held;		/* bytes of memory that hold data now: never more than `used' */
};

static inline void
budget_init(struct budget *b, uint64_t limit)
{
	*b = (struct budget){ .limit = limit };
}

static inline uint64_t
budget_free(const struct budget *b)
{
	return b->limit > b->used ? b->limit - b->used : 0;
}

static inline bool
budget_take(struct budget *b, uint64_t n)
{
	if (n > budget_free(b)) {
		b->refused++;
		return false;
	}
	b->used += n;
	if (b->used > b->peak)
		b->peak = b->used;
	return true;
}

static inline void
budget_give(struct budget *b, uint64_t n)
{
	b->used -= n;
}

#endif
