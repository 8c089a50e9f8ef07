/* Fences: what becomes of one that came, and those that this node says itself, as a coordinator. */
#include <string.h>

#include "base/log.h"
#include "proc/stats.h"
#include "routed/manager.h"

static unsigned
judge_fence(const struct installed *e, void *arg)
{
	const struct manager *m = arg;

	return e->t.epoch <= fences_epoch(&m->fences, &e->t, m->id) ? TICKET_E_FENCED : INSTALL_OK;
}

void
manager_take_fence(struct manager *m, const struct record *r)
{
	const struct fence_held *held;
	char text[FENCE_TEXT_MAX];

	if (fences_add(&m->fences, r, m->now.wall, &held) != 1)
		return;
	log_info("fence of %s: %zu routes are ended", fence_text(text, &held->fence),
	    install_judge(m->install, judge_fence, m, REASON_FENCED));
	STAT_INC(ROUTED_FENCES);
	routes_fenced(m->routes, held->fence.epoch, &m->now);
}

/* With each start there is another route key. Once this node's own record says so, its fences are said again with that. */
void
manager_fences_again(struct manager *m)
{
	const struct lease_time now = { m->wall_ms, m->now.now_ns };
	const struct known *self = known_find(m->knowns, m->id);

	if (!m->fences_due || !manager_is_coordinator(m) ||
	    memcmp(self->route_key, m->route_key.public, RECORD_KEY_LEN) != 0)
		return;
	m->fences_due = false;
	coordinator_fences_again(m->coordinator, &now, m->ops->spread, m->arg);
}
