/*
 * Counter pages: one shared page set a worker, made by the supervisor (memfd), written
 * by the worker with plain stores, read by telemd. The lists in stats_<worker>.h
 * name each counter; their order is the layout.
 */
#ifndef PROC_STATS_H
#define PROC_STATS_H

#include <stddef.h>
#include <stdint.h>

#include "proc/procmsg.h"

#define STATS_COUNTERS_LEN 8192u
#define STATS_PAGE_LEN	(STATS_COUNTERS_LEN + STATS_SHARES * sizeof(struct stats_share))
#define STATS_MAGIC	0x46414253u

/*
 * Sums by a name that is known only while it runs. Their number is bounded, however many names come: the first slot of a
 * kind is for all that found none.
 */
#define STATS_SHARES	352u
#define STATS_SHARE_OTHER "other"

/* By reason: of streams that ended, SHARE_STREAMS only. */
enum stats_by { BY_NOTHING, BY_SERVICE, BY_PEER, BY_CLASS, BY_REASON, BY_COUNT };
enum stats_share_value {
	SHARE_STREAMS, SHARE_BROKEN, SHARE_BYTES_IN, SHARE_BYTES_OUT, SHARE_STALL_US,
	SHARE_STALL_FAR_US, SHARE_STALL_HOP_US, SHARE_STALL_LOCAL_US, SHARE_STALL_PATH_US,
	SHARE_FRAMES_IN, SHARE_FRAMES_OUT, SHARE_BYTES_AGAIN,
	SHARE_RTT_US,		/* of streams that carry something, each second; with SHARE_RTT_SAMPLES a mean */
	SHARE_RTT_SAMPLES,
	SHARE_GAUGES,		/* from here on what is now, and no sum */
	SHARE_QUEUE_P50_US = SHARE_GAUGES, SHARE_QUEUE_P99_US,
	SHARE_COUNT
};

struct stats_share {
	uint32_t by;		/* enum stats_by; set last */
	char	 name[68];	/* a service's, a class's, a reason's, or a node id in hexadecimal digits */
	uint64_t v[SHARE_COUNT];
};

struct stats_page {
	uint32_t magic;
	uint32_t kind;		/* enum worker_kind */
	uint32_t generation;
	uint32_t count;
	uint64_t counter[(STATS_COUNTERS_LEN - 16) / 8];
	struct stats_share share[STATS_SHARES];
};

/* X(symbol, metric name, labels, help): a name ending in _total is a counter, any other a gauge. */
#include "proc/stats_dataplane.h"
#include "proc/stats_routed.h"
#include "proc/stats_vpnd.h"
#include "proc/stats_svchostd.h"
#include "proc/stats_telemd.h"

#define X(sym, name, labels, help) STAT_##sym,
enum stat_dataplane { STATS_DATAPLANE STAT_DATAPLANE_COUNT };
enum stat_routed { STATS_ROUTED STAT_ROUTED_COUNT };
enum stat_vpnd { STATS_VPND STAT_VPND_COUNT };
enum stat_svchostd { STATS_SVCHOSTD STAT_SVCHOSTD_COUNT };
enum stat_telemd { STATS_TELEMD STAT_TELEMD_COUNT };
#undef X

/* This process's page; a private one until stats_map() succeeds, so that counting needs no check. */
extern struct stats_page *stats;
#define STAT_ADD(sym, n) (stats->counter[STAT_##sym] += (n))
#define STAT_INC(sym) STAT_ADD(sym, 1)
#define STAT_SET(sym, n) (stats->counter[STAT_##sym] = (n))

/* Bytes of memory that this process uses now; what it could give back is not in it. Once a second is often enough. */
uint64_t stats_heap(void);

struct stats_desc {
	const char *name, *labels, *help;
};

/* The list of a worker kind; *count receives its length. */
const struct stats_desc *stats_desc(enum worker_kind kind, size_t *count);

/* The slot of this name in the own page, taken if there is none yet; that of the others when all are taken. */
struct stats_share *stats_share(enum stats_by, const char *name);

/*
 * Maps the worker's own page from fd (closed afterwards) and fills its header; counters go on from where
 * the worker's last generation left them. -1 with errno.
 */
int	stats_map(int fd, enum worker_kind kind, uint32_t generation);

/* Makes a page for a worker: a sealed-size memfd, or -1. */
int	stats_create(void);

/* A second descriptor of that page that cannot be mapped for writing: for telemd. -1 with errno. Needs /proc. */
int	stats_open_ro(int fd);

/*
 * Maps another's page read-only from fd (closed afterwards). NULL with errno. Unmap with stats_unmap().
 * Its content is what that worker wrote: `count` may be anything, and is no limit to trust.
 */
const struct stats_page *stats_map_ro(int fd);
void	stats_unmap(const struct stats_page *);

#endif
