#include "routed/fences.h"

#include <stdio.h>
#include <string.h>

static bool
is(const uint8_t *a, const uint8_t *b)
{
	return memcmp(a, b, NODE_ID_LEN) == 0;
}

static bool
same(const struct fence_held *h, const struct fence_held *o)
{
	const struct fence *a = &h->fence, *b = &o->fence;

	return h->key.serial == o->key.serial && h->key.not_after == o->key.not_after && is(h->key.by, o->key.by) &&
	    a->what == b->what && a->route_id == b->route_id && a->epoch == b->epoch && is(a->node, b->node) &&
	    is(a->dest, b->dest);
}

/* Goes before the other of the same coordinator. */
static bool
sooner(const struct fence_key *a, const struct fence_key *b)
{
	return a->not_after != b->not_after ? a->not_after < b->not_after : a->serial < b->serial;
}

size_t
fences_victim(const void *v, size_t size, size_t n, const struct fence_key *key)
{
	struct { const struct fence_key *first; size_t at, count; } c[FENCES_MAX + 1], *most = &c[0];	/* of each coordinator */
	size_t nc = 0;

	for (size_t i = 0; i <= n; i++) {
		const struct fence_key *k = i < n ? (const void *)((const uint8_t *)v + i * size) : key;
		size_t j = 0;

		while (j < nc && !is(c[j].first->by, k->by))
			j++;
		if (j == nc)
			c[nc++].count = 0;
		if (c[j].count++ == 0 || sooner(k, c[j].first)) {
			c[j].first = k;
			c[j].at = i;
		}
	}
	for (size_t j = 1; j < nc; j++)
		if (c[j].count > most->count ||
		    (c[j].count == most->count && memcmp(c[j].first->by, most->first->by, NODE_ID_LEN) > 0))
			most = &c[j];
	return most->at;
}

/* Its place; NULL: there is none for it. */
static struct fence_held *
room(struct fences *f, const struct fence_key *key)
{
	size_t at;

	if (f->n < FENCES_MAX)
		return &f->v[f->n++];
	at = fences_victim(f->v, sizeof(f->v[0]), f->n, key);
	return at < f->n ? &f->v[at] : NULL;
}

int
fences_add(struct fences *f, const struct record *r, uint64_t wall, const struct fence_held **held)
{
	struct fence_held h = { .key = { .serial = r->serial, .not_after = r->not_after } }, *place;

	if (r->kind != RECORD_FENCE || r->not_after <= wall || fence_decode(&h.fence, r) < 0 ||
	    !fence_bounded(&h.fence, r))
		return -1;
	node_id_from_key(h.key.by, r->subject);
	for (size_t i = 0; i < f->n; i++)
		if (same(&f->v[i], &h))
			return 0;
	if ((place = room(f, &h.key)) == NULL)
		return 0;
	*place = h;
	*held = place;
	return 1;
}

/* A relay knows its two neighbours, an end the other end: more nobody can compare. */
static bool
over(const struct ticket *t, const uint8_t *self, const uint8_t *node)
{
	return is(self, node) || (t->place != TICKET_SOURCE && is(t->prev, node)) ||
	    (t->place != TICKET_DEST && is(t->next, node)) || (t->place != TICKET_RELAY && is(t->far, node));
}

static bool
between(const struct ticket *t, const uint8_t *self, const struct fence *f)
{
	if (t->place == TICKET_SOURCE)
		return is(f->node, self) && is(f->dest, t->far);
	return t->place == TICKET_DEST && is(f->node, t->far) && is(f->dest, self);
}

bool
fence_about(const struct fence *f, const struct ticket *t, const uint8_t *self)
{
	switch (f->what) {
	case FENCE_ROUTE:
		return f->route_id == t->route_id;
	case FENCE_PAIR:
		return between(t, self, f);
	case FENCE_NODE:
		return over(t, self, f->node);
	default:
		return false;
	}
}

const struct fence_held *
fences_over(const struct fences *f, const struct ticket *t, const uint8_t *self)
{
	const struct fence_held *most = NULL;

	for (size_t i = 0; i < f->n; i++)
		if ((most == NULL || f->v[i].fence.epoch > most->fence.epoch) && fence_about(&f->v[i].fence, t, self))
			most = &f->v[i];
	return most;
}

uint64_t
fences_epoch(const struct fences *f, const struct ticket *t, const uint8_t *self)
{
	const struct fence_held *h = fences_over(f, t, self);

	return h != NULL ? h->fence.epoch : 0;
}

const struct fence_held *
fences_find(const struct fences *f, const uint8_t *by, uint64_t serial)
{
	for (size_t i = 0; i < f->n; i++)
		if (f->v[i].key.serial == serial && is(f->v[i].key.by, by))
			return &f->v[i];
	return NULL;
}

uint64_t
fences_newest(const struct fences *f)
{
	uint64_t epoch = 0;

	for (size_t i = 0; i < f->n; i++)
		if (f->v[i].fence.epoch > epoch)
			epoch = f->v[i].fence.epoch;
	return epoch;
}

uint64_t
fences_ahead(const struct fences *f, uint64_t now_ms)
{
	uint64_t above = fences_newest(f) + FENCE_ABOVE, ahead = now_ms + FENCE_AHEAD_MS;

	return above > ahead ? above : ahead;
}

void
fences_expire(struct fences *f, uint64_t wall)
{
	size_t n = 0;

	for (size_t i = 0; i < f->n; i++)
		if (wall < f->v[i].key.not_after)
			f->v[n++] = f->v[i];
	f->n = n;
}

void
fences_drop(struct fences *f, const uint8_t *by)
{
	size_t n = 0;

	for (size_t i = 0; i < f->n; i++)
		if (!is(f->v[i].key.by, by))
			f->v[n++] = f->v[i];
	f->n = n;
}

char *
fence_text(char buf[FENCE_TEXT_MAX], const struct fence *f, const char *node, const char *dest)
{
	if (f->what == FENCE_ROUTE)
		snprintf(buf, FENCE_TEXT_MAX, "route %016llx", (unsigned long long)f->route_id);
	else if (f->what == FENCE_PAIR)
		snprintf(buf, FENCE_TEXT_MAX, "pair %.*s %.*s", (int)RECORD_NAME_MAX, node, (int)RECORD_NAME_MAX, dest);
	else
		snprintf(buf, FENCE_TEXT_MAX, "node %.*s", (int)RECORD_NAME_MAX, node);
	return buf;
}
