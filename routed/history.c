#include "routed/history.h"

#include <stdlib.h>
#include <string.h>

const char *
history_kind_name(unsigned kind)
{
	static const char *const names[] = { "moved", "first", "asked", "leased", "not-leased", "installed", "refused",
	    "ended", "expired", "fenced", "revoked", "policy" };

	_Static_assert(sizeof(names) / sizeof(names[0]) == HISTORY_KINDS, "a kind without a name");
	return kind < HISTORY_KINDS ? names[kind] : "unknown";
}

int
history_init(struct history *h)
{
	h->n = 0;
	h->ring = calloc(HISTORY_MAX, sizeof(*h->ring));
	return h->ring == NULL ? -1 : 0;
}

void
history_free(struct history *h)
{
	free(h->ring);
	h->ring = NULL;
}

struct history_event *
history_add(struct history *h, enum history_kind kind, uint64_t wall_ms)
{
	struct history_event *e = &h->ring[h->n++ % HISTORY_MAX];

	memset(e, 0, sizeof(*e));
	e->number = h->n;
	e->wall_ms = wall_ms;
	e->kind = (uint8_t)kind;
	return e;
}

const struct history_event *
history_get(const struct history *h, uint64_t number)
{
	if (number == 0)
		number = 1;
	if (h->n >= HISTORY_MAX && number <= h->n - HISTORY_MAX)
		number = h->n - HISTORY_MAX + 1;
	return number <= h->n ? &h->ring[(number - 1) % HISTORY_MAX] : NULL;
}
