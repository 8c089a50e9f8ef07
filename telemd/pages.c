#include "telemd/pages.h"

#include <stdlib.h>
#include <string.h>

int
pages_init(struct counter_pages *pages)
{
	memset(pages, 0, sizeof(*pages));
	for (unsigned k = 0; k < WORKER_COUNT; k++) {
		size_t count;

		stats_desc((enum worker_kind)k, &count);
		pages->of[k].base = calloc(count + 1, sizeof(uint64_t));
		if (pages->of[k].base == NULL) {
			pages_free(pages);
			return -1;
		}
	}
	return 0;
}

static void
release(struct worker_page *wp)
{
	if (wp->page != NULL && wp->mapped)
		stats_unmap(wp->page);
	wp->page = NULL;
}

void
pages_free(struct counter_pages *pages)
{
	for (unsigned k = 0; k < WORKER_COUNT; k++) {
		release(&pages->of[k]);
		free(pages->of[k].base);
	}
	memset(pages, 0, sizeof(*pages));
}

bool
metric_is_counter(const char *name)
{
	size_t len = strlen(name);

	return len > 6 && strcmp(name + len - 6, "_total") == 0;
}

/* Written by another process at any time; whatever it writes, only its own numbers are wrong. */
static uint64_t
current(const struct worker_page *wp, enum worker_kind kind, size_t i)
{
	const struct stats_page *p = wp->page;

	if (p == NULL || __atomic_load_n(&p->magic, __ATOMIC_RELAXED) != STATS_MAGIC || p->kind != (uint32_t)kind ||
	    i >= p->count || i >= sizeof(p->counter) / sizeof(p->counter[0]))
		return 0;
	return __atomic_load_n(&p->counter[i], __ATOMIC_RELAXED);
}

void
pages_replace(struct counter_pages *pages, enum worker_kind kind, uint32_t generation,
    const struct stats_page *page, bool mapped)
{
	struct worker_page *wp = &pages->of[kind];
	size_t count;
	const struct stats_desc *desc = stats_desc(kind, &count);

	if (wp->generation != generation)
		for (size_t i = 0; i < count; i++)
			if (metric_is_counter(desc[i].name))
				wp->base[i] += current(wp, kind, i);
	release(wp);
	wp->page = page;
	wp->mapped = mapped;
	wp->generation = generation;
}

uint64_t
pages_value(const struct counter_pages *pages, enum worker_kind kind, size_t i)
{
	const struct worker_page *wp = &pages->of[kind];

	return wp->base[i] + current(wp, kind, i);
}

bool
pages_have(const struct counter_pages *pages, enum worker_kind kind)
{
	return pages->of[kind].page != NULL;
}

const struct stats_page *
pages_of(const struct counter_pages *pages, enum worker_kind kind)
{
	const struct stats_page *p = pages->of[kind].page;

	return p == NULL || __atomic_load_n(&p->magic, __ATOMIC_RELAXED) != STATS_MAGIC || p->kind != (uint32_t)kind ? NULL : p;
}
