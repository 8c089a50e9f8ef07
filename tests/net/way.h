/*
 * One direction of a path that is played in user space, for kernels without netem: random loss, a bottleneck of a rate
 * with a drop-tail buffer, then a delay. What goes in and out, and how, is the program's own.
 */
#ifndef TESTS_WAY_H
#define TESTS_WAY_H

#include <err.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <time.h>

#include "base/clock.h"

#define WAY_PACKET_MAX 2048

/* What both directions have in common. */
struct path {
	uint64_t delay_ns;
	uint64_t rate_kbit;	/* 0: no bottleneck */
	uint64_t buffer_bytes;
	uint64_t loss;		/* of 10000 packets */
};

struct packet {
	STAILQ_ENTRY(packet) entry;
	uint64_t due_ns;
	size_t	 len;
	uint8_t	 data[WAY_PACKET_MAX];
};
STAILQ_HEAD(packet_queue, packet);

struct way {
	struct packet_queue queue, spare;
	uint64_t free_ns;	/* when the bottleneck has sent what it holds */
};

static inline void
way_init(struct way *w)
{
	STAILQ_INIT(&w->queue);
	STAILQ_INIT(&w->spare);
	w->free_ns = 0;
}

/* Words of a command line: DELAY-MS RATE-KBIT BUFFER-KB LOSS-PERMYRIAD; the delay may have a fraction. */
static inline struct path
path_parse(char **argv)
{
	return (struct path){ (uint64_t)(strtod(argv[0], NULL) * (double)NS_PER_MS), strtoull(argv[1], NULL, 10),
	    strtoull(argv[2], NULL, 10) * 1024, strtoull(argv[3], NULL, 10) };
}

/* A packet to be filled. */
static inline struct packet *
way_packet(struct way *w)
{
	struct packet *p = STAILQ_FIRST(&w->spare);

	if (p != NULL)
		STAILQ_REMOVE_HEAD(&w->spare, entry);
	else if ((p = malloc(sizeof(*p))) == NULL)
		err(1, "memory");
	return p;
}

static inline void
way_drop(struct way *w, struct packet *p)
{
	STAILQ_INSERT_HEAD(&w->spare, p, entry);
}

/* On its way, or dropped; it is the way's from now on. `headers` are bytes that the link carries beside p->len. */
static inline void
way_put(struct way *w, const struct path *path, struct packet *p, size_t headers, uint64_t now)
{
	uint64_t begin = w->free_ns > now ? w->free_ns : now;

	if ((uint64_t)random() % 10000 < path->loss ||
	    (path->rate_kbit > 0 && (begin - now) * path->rate_kbit / 8000000 > path->buffer_bytes)) {
		way_drop(w, p);
		return;
	}
	if (path->rate_kbit > 0)
		begin = w->free_ns = begin + (p->len + headers) * 8 * 1000000 / path->rate_kbit;
	p->due_ns = begin + path->delay_ns;
	STAILQ_INSERT_TAIL(&w->queue, p, entry);
}

/* The next packet that has arrived, or NULL; way_drop() takes it back. */
static inline struct packet *
way_get(struct way *w, uint64_t now)
{
	struct packet *p = STAILQ_FIRST(&w->queue);

	if (p == NULL || p->due_ns > now)
		return NULL;
	STAILQ_REMOVE_HEAD(&w->queue, entry);
	return p;
}

/* The time until the next one arrives, or `most`. */
static inline uint64_t
way_wait(const struct way *w, uint64_t now, uint64_t most)
{
	const struct packet *p = STAILQ_FIRST(&w->queue);

	if (p == NULL)
		return most;
	return p->due_ns <= now ? 0 : p->due_ns - now < most ? p->due_ns - now : most;
}

static inline struct timespec
way_timespec(uint64_t ns)
{
	return (struct timespec){ .tv_sec = (time_t)(ns / NS_PER_SEC), .tv_nsec = (long)(ns % NS_PER_SEC) };
}

#endif
