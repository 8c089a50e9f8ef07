/* NODE_PRESSURE: what a node measures of itself, when it tells its peers, and what a peer's word does to what it is sent. */
#ifndef FABRIC_PRESSURE_H
#define FABRIC_PRESSURE_H

#include <stdbool.h>
#include <stdint.h>

#include "wire/frame.h"

#define PRESSURE_STEP	100u	/* thousandths that a value has to move before it is told again */
#define PRESSURE_HIGH	800u	/* from here on bulk is slowed */

/* part of whole, in thousandths, at most FRAME_PRESSURE_MAX; of nothing it is 0. */
uint16_t pressure_of(uint64_t part, uint64_t whole);

/*
 * Whether what is measured is far enough from what was told last: a step, or the way back to nothing. It goes up at once,
 * and down only when it was low three times on end, so that what comes and goes is told once.
 */
struct pressure {
	struct frame_node_pressure told;
	unsigned low;		/* measurements on end that would be told only as they are lower */
};

bool	pressure_news(struct pressure *, const struct frame_node_pressure *now);

/* The highest of what makes a node slow: queue, cpu, memory. Loss and descriptors are for show and for dialling. */
uint16_t pressure_level(const struct frame_node_pressure *);

/* Of `room` bytes under way, what a peer under this pressure gets of bulk. */
uint64_t pressure_room(uint16_t level, uint64_t room);

#endif
