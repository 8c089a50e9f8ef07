/* What strangers may cost: failed authentications an address prefix, by a fixed-size table. */
#ifndef DATAPLANE_LIMITS_H
#define DATAPLANE_LIMITS_H

#include <stdbool.h>
#include <stdint.h>

#include "proc/procmsg.h"

struct prefix_table;

struct prefix_table *prefix_table_new(uint64_t secret);
void	prefix_table_free(struct prefix_table *);

/* A failed authentication from this address, which was proven to be the sender's. */
void	prefix_failed(struct prefix_table *, const struct pm_addr *, uint64_t now_ns);

/* Whether its prefix (/24, /56) has had `per_min` failures or more in the running minute. 0: no limit. */
bool	prefix_blocked(const struct prefix_table *, const struct pm_addr *, uint32_t per_min, uint64_t now_ns);

#endif
