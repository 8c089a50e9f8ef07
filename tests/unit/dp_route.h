/* What the routeds of a few nodes say of routes between them, for tests and benchmarks of whole dataplanes. */
#ifndef TESTS_DP_ROUTE_H
#define TESTS_DP_ROUTE_H

#include "dp_node.h"
#include "fabricd/dataplane/reach.h"

static inline void
say(struct node *n, const struct procmsg *m)
{
	if (n->dp == NULL)
		return;
	if (procmsg_send(n->routed.ipc, m, -1) == -1)
		abort();
	ipc_flush(n->routed.ipc);
}

static inline void
route_say(struct node *n, uint64_t id, unsigned place, const struct node *prev, const struct node *next,
    const struct node *far, const struct pm_route *like)
{
	struct procmsg m = { .type = PM_ROUTE };

	m.route = *like;
	m.route.route_id = id;
	m.route.epoch = 1;
	m.route.place = (uint8_t)place;
	if (m.route.hard == 0)
		m.route.hard = clock_wall() + 600;
	if (prev != NULL)
		memcpy(m.route.prev, prev->id, NODE_ID_LEN);
	if (next != NULL)
		memcpy(m.route.next, next->id, NODE_ID_LEN);
	if (far != NULL)
		memcpy(m.route.far, far->id, NODE_ID_LEN);
	say(n, &m);
}

/* From one over a relay to the other, as three routeds would say it. */
static inline void
route_between(struct node *from, struct node *relay, struct node *to, uint64_t id, const struct pm_route *like)
{
	route_say(from, id, TICKET_SOURCE, NULL, relay, to, like);
	route_say(relay, id, TICKET_RELAY, from, to, NULL, like);
	route_say(to, id, TICKET_DEST, relay, NULL, from, like);
}

static inline void
remote_say(struct node *n, struct node *far)
{
	static uint8_t membership[FRAME_RECORD_MAX];
	struct procmsg m = { .type = PM_REMOTE };

	memcpy(m.peer_up.node_id, far->id, NODE_ID_LEN);
	strcpy(m.peer_up.name, far->name);
	strcpy(m.peer_up.tenant, far->tenant);
	m.peer_up.not_after = far->not_after;
	m.peer_up.membership.p = membership;
	m.peer_up.membership.len = make_membership(far, membership, sizeof(membership));
	say(n, &m);
}

static inline void
rank_say(struct node *n, const struct node *far, unsigned classes, uint64_t first, uint64_t second)
{
	uint8_t ids[16] = { [7] = (uint8_t)first, [15] = (uint8_t)second };
	struct procmsg m = { .type = PM_ROUTE_RANK };

	memcpy(m.route_rank.node_id, far->id, NODE_ID_LEN);
	m.route_rank.classes = (uint8_t)classes;
	m.route_rank.ids = (struct frame_bytes){ ids, sizeof(ids) };
	say(n, &m);
}

/* How many of its ways routed has given an order, for this class. */
static inline unsigned
ranked(struct node *n, const struct node *far, unsigned class)
{
	const struct reach *x = reach_find(n->dp, far->id);

	return x == NULL || x->rank == NULL ? 0 : x->rank[class].n;
}

static inline struct way *
way_of(struct node *n, const struct node *far, uint64_t id)
{
	struct reach *x = reach_find(n->dp, far->id);
	struct way *w;

	if (x != NULL)
		TAILQ_FOREACH(w, &x->ways, entry)
			if (way_id(w) == id)
				return w;
	return NULL;
}

static inline bool
is_up(struct node *n, const struct node *far, uint64_t id)
{
	struct way *w = way_of(n, far, id);

	return w != NULL && w->state == WAY_UP;
}

static inline void
route_unmake(struct node *n, uint64_t id, uint64_t reason)
{
	struct procmsg m = { .type = PM_ROUTE_DEL, .route_del = { .route_id = id, .reason = reason } };

	say(n, &m);
}

#endif
