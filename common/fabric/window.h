/*
 * How much a receiver lets its sender have under way. It doubles when a whole window was taken out within two round
 * trips, which a sender that waits for the window brings about and one that does not need more does not.
 */
#ifndef FABRIC_WINDOW_H
#define FABRIC_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

struct window {
	uint32_t size;		/* bytes */
	uint32_t drained;	/* since epoch_ns */
	uint64_t epoch_ns;
};

static inline void
window_init(struct window *w, uint32_t size, uint64_t now_ns)
{
	w->size = size;
	w->drained = 0;
	w->epoch_ns = now_ns;
}

/* n bytes were taken out. True when the window should grow. */
static inline bool
window_drain(struct window *w, uint64_t n, uint64_t rtt_ns, uint64_t now_ns)
{
	bool grow;

	w->drained += (uint32_t)n;
	if (w->drained < w->size)
		return false;
	grow = now_ns - w->epoch_ns <= 2 * rtt_ns;
	w->drained = 0;
	w->epoch_ns = now_ns;
	return grow;
}

/* What it may grow to: twice, within `max`, and only as far as a good part of the memory stays free for others. */
static inline uint32_t
window_next(const struct window *w, uint64_t max, uint64_t mem_free)
{
	uint64_t next = 2 * (uint64_t)w->size;

	if (next > max)
		next = max;
	return next > mem_free / 4 || next < w->size || next > UINT32_MAX ? w->size : (uint32_t)next;
}

#endif
