#include "routed/promises.h"

#include <string.h>

static struct promise *
place(struct promises *p, uint64_t node)
{
	return &p->v[(size_t)(node >> 8) & (PROMISES - 1)];
}

bool
promises_asked(struct promises *p, uint64_t who, unsigned broken, uint64_t node, uint64_t serial, uint64_t now_ns,
    uint64_t *breaker)
{
	struct promise *v = place(p, node);

	*breaker = 0;
	if (v->until_ns > now_ns) {
		if (v->id != node)
			return false;
		if (v->who == who || v->serial >= serial)
			return true;
	} else {
		*breaker = v->who;
		memset(v, 0, sizeof(*v));
	}
	if (broken <= PROMISES_BROKEN_MAX)
		*v = (struct promise){ node, who, serial, now_ns + PROMISE_NS };
	return false;
}

bool
promises_kept(struct promises *p, uint64_t who, uint64_t node, uint64_t serial)
{
	struct promise *v = place(p, node);
	bool its;

	if (v->until_ns == 0 || v->id != node || serial < v->serial)
		return false;
	its = v->who == who;
	memset(v, 0, sizeof(*v));
	return its;
}
