/* The counters as OpenMetrics 1.0 text. */
#ifndef TELEMD_OPENMETRICS_H
#define TELEMD_OPENMETRICS_H

#include "telemd/pages.h"

struct evbuffer;

#define OPENMETRICS_TYPE "application/openmetrics-text; version=1.0.0; charset=utf-8"

/* `node` may be NULL: not configured yet. -1 without memory; then `out` holds a part. */
int	openmetrics_write(struct evbuffer *out, const struct counter_pages *, const struct pm_conf_node *node);

#endif
