/*
 * How long things take, in few bytes: a histogram with two steps to each doubling, from 16 us to four seconds. What is
 * long ago counts less and less.
 */
#ifndef SVCHOSTD_DELAY_H
#define SVCHOSTD_DELAY_H

#include <stdint.h>

#define DELAY_STEPS 36u

struct delay {
	uint16_t count[DELAY_STEPS];
	uint16_t n;
};

void	delay_add(struct delay *, uint64_t us);

/* The delay that so many of a hundred do not exceed, to the next step above; 0 when there is none. */
uint64_t delay_percentile(const struct delay *, unsigned percent);

#endif
