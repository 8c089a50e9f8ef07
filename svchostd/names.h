/* Services that can be named: what routed tells of other nodes' signed service records, checked here once more. */
#ifndef SVCHOSTD_NAMES_H
#define SVCHOSTD_NAMES_H

#include "svchostd/nodes.h"
#include "svchostd/pump.h"

#define NAMES_MAX	65536	/* services of all nodes */

struct names;

struct names *names_new(void);
void	names_free(struct names *);

/*
 * What a person means: "ssh" is the service on the node that serves it and has a session (of several, the first by node
 * id that is up), "ssh@berlin" the one on that node, named as nodes_resolve() takes it. 0, or -1 with *reason
 * (REASON_NO_SERVICE; REASON_UNREACHABLE when it is known but no node that serves it is up) and `err' (PM_TEXT_MAX + 1).
 */
int	names_resolve(const struct names *, const struct nodes *, const char *text, struct e2e_service *,
	    uint64_t *reason, char *err);

#endif
