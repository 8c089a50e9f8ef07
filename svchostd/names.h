/* Services that can be named: what routed tells of nodes' signed service records, checked here once more. */
#ifndef SVCHOSTD_NAMES_H
#define SVCHOSTD_NAMES_H

#include "fabric/e2e.h"
#include "svchostd/nodes.h"

#define NAMES_MAX	65536	/* services of all nodes */

struct names;

struct names *names_new(void);
void	names_free(struct names *);

/*
 * PM_SERVICE: a node serves this. Takes the place of what the same node said of the same service. REASON_NONE, or why it
 * is not kept: e2e_service_check()'s, REASON_AUTH_NODE when it is not this node's, REASON_LIMIT, REASON_INTERNAL.
 */
uint64_t names_put(struct names *, const struct pm_service *, uint64_t wall_s);
void	names_del(struct names *, const struct pm_service_del *);
void	names_clear(struct names *);

/*
 * The channel is new, and all is told again on it: what was said before is believed meanwhile, as it is signed, and
 * names_sweep() forgets what was not said again.
 */
void	names_stale(struct names *);
void	names_sweep(struct names *);
size_t	names_count(const struct names *);

/* Who serves this at this node, by a record that has not expired. False: nobody is known to. */
bool	names_find(const struct names *, const uint8_t *node_id, const char *service, uint64_t wall_s, struct e2e_service *);

/*
 * What a person means by SERVICE[@NODE]: without a node, of those of this tenant that serve it, may (role service-host) and
 * have a session, the one with the shortest round trip, or else the first by node id; NODE is named as nodes_resolve() takes it. `self' is
 * this node's id: no stream leads to oneself. 0, or -1 with *reason and `err' (PM_TEXT_MAX + 1 bytes): REASON_NO_SERVICE
 * when no such service or node is known, REASON_NOT_ALLOWED when it may not serve it, REASON_UNREACHABLE when none is up.
 */
int	names_resolve(const struct names *, const struct nodes *, const uint8_t self[NODE_ID_LEN], const char *text,
	    uint64_t wall_s, struct e2e_service *, uint64_t *reason, char *err);
/* The same; when it fails only as the node is not up, as far as is known, *away is its id and *has_away true. */
int	names_resolve_or(const struct names *, const struct nodes *, const uint8_t self[NODE_ID_LEN], const char *text,
	    uint64_t wall_s, struct e2e_service *, uint8_t away[NODE_ID_LEN], bool *has_away, uint64_t *reason, char *err);

#endif
