/*
 * The counter pages of all workers. A worker that is started again has a new page that begins at zero; what its
 * earlier ones had reached is added, so that a counter never goes back while telemd lives.
 */
#ifndef TELEMD_PAGES_H
#define TELEMD_PAGES_H

#include "proc/stats.h"

struct worker_page {
	const struct stats_page *page;	/* NULL: none yet */
	bool		 mapped;	/* to be unmapped by us */
	uint32_t	 generation;
	uint64_t	*base;		/* a value a counter: what the pages before this one had reached */
};

struct counter_pages {
	struct worker_page of[WORKER_COUNT];
};

/* -1 without memory. */
int	pages_init(struct counter_pages *);
void	pages_free(struct counter_pages *);

/* The page of another generation of `kind`, or the same page again. `mapped`: pages_* unmaps it when it is replaced. */
void	pages_replace(struct counter_pages *, enum worker_kind kind, uint32_t generation,
	    const struct stats_page *, bool mapped);

/* One value of the list that stats_desc(kind) gives; 0 while the worker has not begun to count. */
uint64_t	pages_value(const struct counter_pages *, enum worker_kind kind, size_t i);

bool	pages_have(const struct counter_pages *, enum worker_kind kind);

/* Whether a metric is a counter: its name ends in _total. */
bool	metric_is_counter(const char *name);

/* The page as the worker writes it, or NULL: what is in it is that worker's word. */
const struct stats_page *pages_of(const struct counter_pages *, enum worker_kind kind);

#endif
