/*
 * What neighbours offered and were asked for: the same is asked of one at a time, so that it does not come twice. Who is
 * asked and does not give in time has broken a promise; the claims of one that does so often keep nobody else from being
 * asked, for else it could hide a node by offering what it does not give, again and again.
 */
#ifndef ROUTED_PROMISES_H
#define ROUTED_PROMISES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PROMISES	1024u	/* a power of two: nodes that somebody was asked for a moment ago */
#define PROMISE_NS	5000000000ull
#define PROMISES_BROKEN_MAX 4u	/* lately, less those that were kept since */

struct promise { uint64_t id, who, serial, until_ns; };
struct promises { struct promise v[PROMISES]; };

/*
 * Whether neighbour `who' is not to be asked for this node's record of this serial: it was a moment ago, or another that
 * offered as much. If it is, that is noted, unless it has `broken' too many or another is noted in that place. *breaker
 * is who broke a promise that was found meanwhile, 0: nobody. Neighbours and nodes are the first bytes of their ids.
 */
bool	promises_asked(struct promises *, uint64_t who, unsigned broken, uint64_t node, uint64_t serial, uint64_t now_ns,
	    uint64_t *breaker);

/* It is known now. Whether it was promised by `who'. */
bool	promises_kept(struct promises *, uint64_t who, uint64_t node, uint64_t serial);

#endif
