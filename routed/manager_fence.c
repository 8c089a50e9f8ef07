/* Fences: what becomes of one that came, and those that this node says itself, as a coordinator. */
#include <stdio.h>
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
	manager_event_fence(m, held);
	log_info("fence of %s: %zu routes are ended", manager_fence_text(m, &held->fence, text),
	    install_judge(m->install, judge_fence, m, REASON_FENCED));
	STAT_INC(ROUTED_FENCES);
	routes_fenced(m->routes, held->fence.epoch, &m->now);
}

/* What it signs is believed, by itself, too, once its own record says the key. */
static bool
key_is_known(const struct manager *m)
{
	return memcmp(known_find(m->knowns, m->id)->route_key, m->route_key.public, RECORD_KEY_LEN) == 0;
}

static void
say_again(const uint8_t *record, size_t len, void *arg)
{
	struct manager *m = arg;
	int e = m->ops->spread(record, len, m->arg);

	if (e != KNOWN_OK)
		log_warnx("a fence from before the restart is not said again: %s", known_strerror((enum known_error)e));
}

/* With each start there is another route key, and what was signed with the one before is to be said with that. */
void
manager_fences_again(struct manager *m)
{
	const struct lease_time now = { m->wall_ms, m->now.now_ns };

	if (!m->fences_due || !manager_is_coordinator(m) || !key_is_known(m))
		return;
	m->fences_due = false;
	coordinator_fences_again(m->coordinator, &now, say_again, m);
}

/* 0, or -1 with why not. */
static int
take_own(struct manager *m, const uint8_t *record, size_t len, const struct fence_held **held, char text[PM_TEXT_MAX + 1])
{
	int e = m->ops->spread(record, len, m->arg);
	struct record r;

	*held = NULL;
	if (record_decode(&r, record, len) == RECORD_OK)
		*held = fences_find(&m->fences, m->id, r.serial);
	if (*held != NULL)
		return 0;
	snprintf(text, PM_TEXT_MAX + 1, "it is not taken: %s", known_strerror(e == KNOWN_OK ? KNOWN_E_ROOM : (enum known_error)e));
	return -1;
}

const struct fence_held *
manager_fence(struct manager *m, const struct fence *what, char text[PM_TEXT_MAX + 1])
{
	const struct lease_time now = { m->wall_ms, m->now.now_ns };
	const struct fence_held *held;
	uint8_t record[FRAME_RECORD_MAX];
	struct fence f = *what;
	uint64_t wait_s = 0;
	size_t len = 0;

	f.epoch = fences_ahead(&m->fences, m->wall_ms);
	if (!manager_is_coordinator(m))
		snprintf(text, PM_TEXT_MAX + 1, "this node is no route-coordinator");
	else if (!key_is_known(m))
		snprintf(text, PM_TEXT_MAX + 1, "routed has just started, and nobody knows its key yet: again in a moment");
	else if ((len = coordinator_fence(m->coordinator, record, sizeof(record), &f, &now, &wait_s)) == 0)
		snprintf(text, PM_TEXT_MAX + 1, wait_s == 0 ? "it cannot be signed" :
		    "there may be leases that are further ahead of the clock than a fence can be: again in %llu s",
		    (unsigned long long)wait_s);
	else if (take_own(m, record, len, &held, text) == 0)
		return held;
	return NULL;
}
