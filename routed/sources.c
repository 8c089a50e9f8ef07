#include "routed/sources.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#define WAYS		4u		/* of the table */

struct source *
source_get(struct sources *t, const uint8_t *node_id, uint64_t now_ns)
{
	struct source *set, *at;
	uint32_t h;

	if (t->v == NULL && (t->v = calloc(SOURCES_MAX, sizeof(*t->v))) == NULL)
		return NULL;
	memcpy(&h, node_id, sizeof(h));
	set = at = &t->v[h % (SOURCES_MAX / WAYS) * WAYS];
	for (struct source *s = set; s < set + WAYS; s++) {
		if (s->limit.burst > 0 && memcmp(s->node_id, node_id, NODE_ID_LEN) == 0) {
			s->used_ns = now_ns;
			return s;
		}
		if (s->used_ns < at->used_ns)
			at = s;
	}
	memset(at, 0, sizeof(*at));
	memcpy(at->node_id, node_id, NODE_ID_LEN);
	at->used_ns = now_ns;
	ratelimit_init(&at->limit, SOURCE_EVERY_MS * NS_PER_MS, SOURCE_BURST);
	return at;
}

void
sources_clear(struct sources *t)
{
	free(t->v);
	t->v = NULL;
}

bool
source_hear(struct source *s, uint64_t serial)
{
	uint64_t *least = s->heard;

	if (serial <= s->before)
		return false;
	for (uint64_t *p = s->heard; p < s->heard + SOURCE_HEARD; p++) {
		if (*p == serial)
			return false;
		if (*p < *least)
			least = p;
	}
	if (serial < *least) {
		s->before = serial;
		return true;
	}
	s->before = *least;
	*least = serial;
	return true;
}

static uint64_t
key_of(const uint8_t *node_id)
{
	uint64_t key;

	memcpy(&key, node_id, sizeof(key));
	return key;
}

void
source_lease(struct source *s, const uint8_t *relay, uint64_t now_ns)
{
	const uint64_t key = key_of(relay);
	struct source_relay *at = s->relays;

	for (struct source_relay *r = s->relays; r < s->relays + SOURCE_RELAYS; r++) {
		if (r->key == key) {
			at = r;
			break;
		}
		if (r->until_ns < at->until_ns)
			at = r;
	}
	*at = (struct source_relay){ key, now_ns + SOURCE_LEASED_NS };
}

bool
source_leased(const struct source *s, const uint8_t *relay, uint64_t now_ns)
{
	const uint64_t key = key_of(relay);

	for (const struct source_relay *r = s->relays; r < s->relays + SOURCE_RELAYS; r++)
		if (r->key == key)
			return now_ns < r->until_ns;
	return false;
}
