#include "fabricd/dataplane/limits.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#define ENTRIES	4096u
#define WAYS	4u	/* places that a prefix can have */
#define WINDOW_NS (60 * NS_PER_SEC)

struct prefix_entry {
	uint64_t key;		/* 0: free */
	uint64_t since_ns;
	uint32_t failures;
};

struct prefix_table {
	uint64_t	    secret;
	struct prefix_entry entry[ENTRIES];
};

struct prefix_table *
prefix_table_new(uint64_t secret)
{
	struct prefix_table *t = calloc(1, sizeof(*t));

	if (t != NULL)
		t->secret = secret;
	return t;
}

void
prefix_table_free(struct prefix_table *t)
{
	free(t);
}

/* /24 of IPv4, /56 of IPv6: what one customer is given. Never 0. */
static uint64_t
prefix_key(const struct pm_addr *a)
{
	uint64_t key = a->family;

	for (int i = 0; i < (a->family == 4 ? 3 : 7); i++)
		key = key << 8 | a->addr[i];
	return key | 1ull << 63;
}

static size_t
place(const struct prefix_table *t, uint64_t key)
{
	uint64_t h = (key ^ t->secret) * 0x9e3779b97f4a7c15ull;

	h = (h ^ h >> 32) * 0x9e3779b97f4a7c15ull;
	return (size_t)(h >> 40) % (ENTRIES / WAYS) * WAYS;
}

/* The entry of this prefix; else, with `take`, the stalest of its places. */
static struct prefix_entry *
lookup(struct prefix_table *t, uint64_t key, bool take, uint64_t now_ns)
{
	struct prefix_entry *e = &t->entry[place(t, key)], *stale = e;

	for (size_t i = 0; i < WAYS; i++) {
		if (e[i].key == key)
			return &e[i];
		if (e[i].key == 0 || (stale->key != 0 && e[i].since_ns < stale->since_ns))
			stale = &e[i];
	}
	if (!take)
		return NULL;
	*stale = (struct prefix_entry){ .key = key, .since_ns = now_ns };
	return stale;
}

void
prefix_failed(struct prefix_table *t, const struct pm_addr *a, uint64_t now_ns)
{
	struct prefix_entry *e = lookup(t, prefix_key(a), true, now_ns);

	if (now_ns - e->since_ns >= WINDOW_NS) {
		e->since_ns = now_ns;
		e->failures = 0;
	}
	e->failures++;
}

bool
prefix_blocked(const struct prefix_table *t, const struct pm_addr *a, uint32_t per_min, uint64_t now_ns)
{
	const struct prefix_entry *e =
	    lookup((struct prefix_table *)(uintptr_t)t, prefix_key(a), false, now_ns);

	return per_min != 0 && e != NULL && now_ns - e->since_ns < WINDOW_NS && e->failures >= per_min;
}
