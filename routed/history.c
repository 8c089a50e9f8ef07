#include "routed/history.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *
history_kind_name(unsigned kind)
{
	static const char *const names[] = { "moved", "first", "asked", "leased", "not-leased", "installed", "refused",
	    "ended", "expired", "fenced", "revoked", "policy", "fence", "stream" };

	_Static_assert(sizeof(names) / sizeof(names[0]) == HISTORY_KINDS, "a kind without a name");
	return kind < HISTORY_KINDS ? names[kind] : "unknown";
}

static int
ring_init(struct history_ring *r, size_t size)
{
	r->n = 0;
	r->size = size;
	r->events = calloc(size, sizeof(*r->events));
	return r->events == NULL ? -1 : 0;
}

int
history_init(struct history *h)
{
	h->n = 0;
	h->streams.events = NULL;
	if (ring_init(&h->all, HISTORY_MAX) == 0 && ring_init(&h->streams, HISTORY_STREAMS_MAX) == 0)
		return 0;
	history_free(h);
	return -1;
}

void
history_free(struct history *h)
{
	free(h->all.events);
	free(h->streams.events);
	h->all.events = h->streams.events = NULL;
}

struct history_event *
history_add(struct history *h, enum history_kind kind, uint64_t wall_ms)
{
	struct history_ring *r = kind == HISTORY_STREAM ? &h->streams : &h->all;
	struct history_event *e = &r->events[r->n++ % r->size];

	memset(e, 0, sizeof(*e));
	e->number = ++h->n;
	e->wall_ms = wall_ms;
	e->kind = (uint8_t)kind;
	return e;
}

void
history_stream_moved(struct history *h, const struct pm_stream_moved *v, uint64_t wall_ms)
{
	struct history_event *e = history_add(h, HISTORY_STREAM, wall_ms);

	e->has_node = true;
	memcpy(e->node_id, v->node_id, NODE_ID_LEN);
	e->from = v->from;
	e->to = v->to;
	e->stream_id = v->stream_id;
	e->class = v->class;
	memcpy(e->service, v->service, sizeof(e->service));
	e->detect_us = v->detect_us;
	e->recover_us = v->recover_us;
	snprintf(e->why, sizeof(e->why), "%s", reason_name(v->reason));
}

/* The first that is not before `number'. */
static const struct history_event *
ring_get(const struct history_ring *r, uint64_t number)
{
	uint64_t low = r->n > r->size ? r->n - r->size : 0, high = r->n;

	while (low < high) {
		uint64_t middle = low + (high - low) / 2;

		if (r->events[middle % r->size].number < number)
			low = middle + 1;
		else
			high = middle;
	}
	return low < r->n ? &r->events[low % r->size] : NULL;
}

const struct history_event *
history_get(const struct history *h, uint64_t number)
{
	const struct history_event *a = ring_get(&h->all, number), *b = ring_get(&h->streams, number);

	return a == NULL || (b != NULL && b->number < a->number) ? b : a;
}
