/*
 * Whose members a node meets: those of its own tenant, and of others with which the policy lets its tenant have something to
 * do. This opens the door to sessions, records and handshakes; what may be done there is asked for each stream and route.
 */
#ifndef WIRE_TENANTS_H
#define WIRE_TENANTS_H

#include <stdbool.h>
#include <stdint.h>

#include "wire/record.h"

#define TENANTS_LIST_MAX 8192u	/* bytes: a hundred names and more */

struct tenants {
	char	 own[RECORD_TENANT_MAX + 1];
	bool	 others;			/* all others but those listed; else none but those listed */
	uint16_t len;
	uint8_t	 list[TENANTS_LIST_MAX];	/* length (1), name; back to back */
};

/* This one and no other. */
void	tenants_init(struct tenants *, const char *own);

/* What it is itself. Another than before forgets the list; the first keeps what was set before it was known. */
void	tenants_own(struct tenants *, const char *own);

/* One more on the list. -1: there is no room. */
int	tenants_add(struct tenants *, const char *tenant);

/* Another list, out of a message. -1: it is malformed, and nothing has changed. */
int	tenants_set(struct tenants *, bool others, struct frame_bytes list);

bool	tenants_meet(const struct tenants *, const char *tenant);

#endif
