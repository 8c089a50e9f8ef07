/* What people are told of routes here: whose they are, what became of them, why, and who says so. */
#include <stdio.h>
#include <string.h>

#include "base/hex.h"
#include "routed/manager.h"
#include "routed/route_answers.h"

static void
event_node(struct history_event *e, const uint8_t *node_id)
{
	e->has_node = true;
	memcpy(e->node_id, node_id, NODE_ID_LEN);
}

const char *
manager_who(const struct manager *m, const uint8_t *id, char buf[MANAGER_WHO_MAX])
{
	const char *name = rows_name(m, id);

	if (name[0] != '\0')
		snprintf(buf, MANAGER_WHO_MAX, "%s", name);
	else
		hex_encode(buf, id, 8);
	return buf;
}

char *
manager_fence_text(const struct manager *m, const struct fence *f, char buf[FENCE_TEXT_MAX])
{
	char node[MANAGER_WHO_MAX], dest[MANAGER_WHO_MAX];

	return fence_text(buf, f, manager_who(m, f->node, node), manager_who(m, f->dest, dest));
}

/* Who said so: a node on the way of what came back, or who brought what is not taken; else it is this one's own word. */
static void
why_from(const struct manager *m, char why[HISTORY_TEXT_MAX + 1], const char *what, bool brought, const uint8_t *from)
{
	char name[MANAGER_WHO_MAX];

	if (from == NULL)
		snprintf(why, HISTORY_TEXT_MAX + 1, "%s", what);
	else
		snprintf(why, HISTORY_TEXT_MAX + 1, "%s, %s %s", what, brought ? "from" : "says", manager_who(m, from, name));
}

/* Which fence, and whose. */
static void
why_fenced(const struct manager *m, char why[HISTORY_TEXT_MAX + 1], const struct fence_held *h)
{
	char text[FENCE_TEXT_MAX], by[MANAGER_WHO_MAX];

	snprintf(why, HISTORY_TEXT_MAX + 1, "%s, by %s", manager_fence_text(m, &h->fence, text), manager_who(m, h->key.by, by));
}

void
manager_event_fence(struct manager *m, const struct fence_held *h)
{
	struct history_event *e = manager_event(m, HISTORY_FENCE);

	if (h->fence.what != FENCE_ROUTE)
		event_node(e, h->fence.node);
	why_fenced(m, e->why, h);
}

/* The far end of it at either end; a relay has none, and names the node before. */
void
manager_event_ticket(struct manager *m, struct history_event *e, enum install_event what, const struct ticket *t,
    unsigned error, const uint8_t *from)
{
	static const uint8_t nobody[NODE_ID_LEN];
	const struct installed *here = install_find(m->install, t->route_id);
	const struct fence_held *h = error == TICKET_E_FENCED ? fences_over(&m->fences, t, m->id) : NULL;
	bool onward = t->place != TICKET_DEST && from != NULL && memcmp(from, t->next, NODE_ID_LEN) == 0;
	char name[MANAGER_WHO_MAX];

	e->place = t->place;
	e->to = t->route_id;
	event_node(e, t->place == TICKET_RELAY ? t->prev : t->far);
	if (from != NULL && memcmp(e->node_id, nobody, NODE_ID_LEN) == 0) {
		e->place = UINT8_MAX;	/* no ticket that could be read: whoever it came from */
		event_node(e, from);
	}
	if (what == INSTALL_EV_UP && here != NULL)
		snprintf(e->why, sizeof(e->why), "lease by %s", manager_who(m, here->issuer, name));
	else if (h != NULL && h->fence.epoch >= t->epoch)
		why_fenced(m, e->why, h);
	else if (what != INSTALL_EV_UP)
		why_from(m, e->why, install_strerror(error), what == INSTALL_EV_REFUSED && !onward, from);
}
