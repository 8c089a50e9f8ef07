/*
 * What must hold, judged by what lies in the dataplanes' tables and in the network itself, in as simple a way as there is:
 * none of the code under test is asked.
 *
 *	a route that is walked comes to its destination and to no node twice
 *	no table has an entry a second after its hard end by that node's clock, nor one that a fence has hit
 *	no relay has an entry that it may not relay: role, its own word, classes, tenant, revocation
 *	no lease leads over a node that is no relay by its role, is another tenant's or revoked, nor is it too long
 *	no pair is without a way for longer than OUT_MAX while a path that is permitted was there all the time
 *	streams do not go from one way that is well to another more often than FLAPS_MAX in an hour
 */
#include <string.h>

#include "tests/sim/routes.h"

#define OUT_MAX		(60 * SEC)	/* telling takes 1 s, asking 1 s, trying again up to 30 s, and the dead may be told of */
#define FLAPS_MAX	40u
#define GRACE_S		2u		/* two ticks, and the second that clocks count in */

static const struct pm_route *
entry(const struct rnode *n, uint64_t route_id)
{
	for (size_t i = 0; i < n->nentries; i++)
		if (n->table[i].r.route_id == route_id)
			return &n->table[i].r;
	return NULL;
}

/* From table to table, over sessions that are up. */
struct walk
judge_walk(struct rsim *s, uint32_t source, uint64_t route_id)
{
	struct walk w = { .nodes = 1 };
	uint32_t seen[LEASE_HOPS_MAX + 1] = { source }, at = source, kept = 1000;

	s->walks++;
	for (;;) {
		const struct rnode *n = &s->node[at];
		const struct pm_route *r = n->up ? entry(n, route_id) : NULL;
		struct rnode *next;
		uint32_t link;

		if (r == NULL || r->hard <= node_clock(n).wall)
			return w;
		if (w.nodes > 1 && memcmp(r->prev, s->node[seen[w.nodes - 2]].id, NODE_ID_LEN) != 0)
			return w;
		if (r->place == TICKET_DEST) {
			w.up = true;
			w.loss = (uint16_t)(1000 - kept);
			return w;
		}
		next = world_node(s, r->next);
		if (next == NULL || (link = world_link_between(s, at, next->index)) == NOBODY_HERE)
			return w;
		for (unsigned i = 0; i < w.nodes; i++)
			if (seen[i] == next->index)
				rsim_fail(s, "route %llx leads to %s twice", (unsigned long long)route_id, next->name);
		if (w.nodes == LEASE_HOPS_MAX)
			rsim_fail(s, "route %llx has too many nodes", (unsigned long long)route_id);
		if (s->failed)
			return w;
		w.rtt_us += s->link[link].rtt_us;
		kept = kept * (1000 - s->link[link].loss) / 1000;
		seen[w.nodes++] = at = next->index;
	}
}

static bool
may_relay(const struct rnode *n, bool relays, uint8_t relay_classes, uint8_t classes, const char *tenant)
{
	return n->roles & (1u << ROLE_RELAY | 1u << ROLE_ENTRY) && relays && !(classes & ~relay_classes) && !n->revoked &&
	    strcmp(n->tenant, tenant) == 0;
}

void
judge_route(struct rnode *n, const struct pm_route *r)
{
	if (r->hard <= node_clock(n).wall)
		rsim_fail(n->sim, "%s is told of route %llx, which has ended", n->name, (unsigned long long)r->route_id);
	if (r->place == TICKET_RELAY && (!n->relays || r->classes & ~n->relay_classes ||
	    !(n->roles & (1u << ROLE_RELAY | 1u << ROLE_ENTRY))))
		rsim_fail(n->sim, "%s is told to relay %llx", n->name, (unsigned long long)r->route_id);
}

void
judge_lease(struct rsim *s, const struct rnode *source, const struct lease *l)
{
	if (l->n < 2 || l->n > (l->self ? 3 : LEASE_HOPS_MAX) || memcmp(l->nodes[0], source->id, NODE_ID_LEN) != 0)
		rsim_fail(s, "a lease for %s of %u nodes", source->name, l->n);
	for (unsigned i = 0; i < l->n; i++) {
		const struct rnode *n = world_node(s, l->nodes[i]);

		/* What it said last may not have come to the coordinator; what the authority said of it has. */
		if (i > 0 && i + 1u < l->n && (!(n->roles & (1u << ROLE_RELAY | 1u << ROLE_ENTRY)) || n->revoked ||
		    strcmp(n->tenant, source->tenant) != 0))
			rsim_fail(s, "a lease for %s leads over %s", source->name, n->name);
		for (unsigned j = 0; j < i; j++)
			if (memcmp(l->nodes[i], l->nodes[j], NODE_ID_LEN) == 0)
				rsim_fail(s, "a lease for %s leads to %s twice", source->name, n->name);
	}
}

/* --- each tick --- */

static bool
usable(struct rsim *s, const struct rpair *p, uint64_t route_id)
{
	return route_id != 0 && judge_walk(s, p->source, route_id).up;
}

static void
moved(struct rsim *s, struct rpair *p, uint64_t to, bool forced)
{
	struct pm_route_moved m = { .from = p->way, .to = to, .to_none = to == 0, .reason = REASON_TIMEOUT };

	memcpy(m.node_id, s->node[p->dest].id, NODE_ID_LEN);
	rsim_say(s, "%s: %llx -> %llx%s", s->node[p->source].name, (unsigned long long)p->way, (unsigned long long)to,
	    forced ? ", silent" : "");
	if (p->has_way && forced) {
		p->forced++;
		s->forced++;
		ways_moved(s->node[p->source].ways, &m, s->now_ns);
	} else if (p->has_way) {
		p->flaps++;
		s->flaps++;
	}
	p->way = to;
	p->has_way = to != 0;
}

/* What is not in the order, or where none was told: any that leads there, for this class. */
static uint64_t
any_way(struct rsim *s, const struct rpair *p)
{
	const struct rnode *n = &s->node[p->source];

	for (size_t i = 0; i < n->nentries; i++) {
		const struct pm_route *r = &n->table[i].r;

		if (r->place == TICKET_SOURCE && r->classes & 1u << CLASS_INTERACTIVE &&
		    memcmp(r->far, s->node[p->dest].id, NODE_ID_LEN) == 0 && usable(s, p, r->route_id))
			return r->route_id;
	}
	return 0;
}

/* What a dataplane does: leaves what is silent at the second look, and else goes by the order. */
static void
stream(struct rsim *s, struct rpair *p)
{
	bool up = p->has_way && usable(s, p, p->way);
	uint64_t to = 0;

	for (unsigned i = 0; i < p->norder && to == 0; i++)
		if (usable(s, p, p->order[i]))
			to = p->order[i];
	if (to == 0 && !up)
		to = any_way(s, p);
	if (up) {
		p->down = false;
		if (to != 0 && to != p->way)
			moved(s, p, to, false);
	} else if (p->has_way && !p->down && entry(&s->node[p->source], p->way) != NULL) {
		p->down = true;
	} else if (p->has_way || to != 0) {
		moved(s, p, to, true);
		p->down = false;
	}
}

/* Whether a path is there: of so many links that the source could have it, by a coordinator that it reaches, or by itself. */
static bool
path_there(const struct rsim *s, const struct rpair *p)
{
	const struct rnode *src = &s->node[p->source];
	uint8_t reach[NODES_MAX], hops[NODES_MAX];
	unsigned links = 2;

	if (!src->up || !s->node[p->dest].up)
		return false;
	world_distances(s, p->source, reach);
	for (uint32_t i = 0; i < COORDINATORS; i++)
		if (s->node[i].up && reach[i] <= 5)
			links = LEASE_HOPS_MAX - 1;
	memset(hops, UINT8_MAX, sizeof(hops));
	hops[p->source] = 0;
	for (unsigned round = 0; round < links; round++)
		for (uint32_t i = 0; i < s->nlinks; i++) {
			const struct rlink *l = &s->link[i];

			for (unsigned way = 0; way < 2; way++) {
				const struct rnode *a = &s->node[way ? l->b : l->a], *b = &s->node[way ? l->a : l->b];

				if (hops[a->index] == round && hops[b->index] > round + 1 && world_link_up(s, i) &&
				    (a == src || may_relay(a, a->relays, a->relay_classes, 1u << CLASS_INTERACTIVE, src->tenant)))
					hops[b->index] = (uint8_t)(round + 1);
			}
		}
	return hops[p->dest] != UINT8_MAX;
}

void
judge_tick(struct rsim *s)
{
	for (uint32_t i = 0; i < s->npairs && !s->failed; i++) {
		struct rpair *p = &s->pair[i];

		if (!s->node[p->source].up) {
			p->has_way = false;
			p->norder = 0;
			p->out_ns = 0;
			continue;
		}
		stream(s, p);
	}
}

/* --- each second --- */

static void
tables(struct rsim *s)
{
	for (uint32_t i = 0; i < s->nnodes; i++) {
		const struct rnode *n = &s->node[i];

		for (size_t k = 0; n->up && k < n->nentries; k++) {
			const struct pm_route *r = &n->table[k].r;

			if (r->hard + GRACE_S < node_clock(n).wall)
				rsim_fail(s, "%s honours route %llx after its end", n->name, (unsigned long long)r->route_id);
			if (r->place == TICKET_RELAY && (!n->relays || !(n->roles & (1u << ROLE_RELAY | 1u << ROLE_ENTRY)) ||
			    r->classes & ~n->relay_classes))
				rsim_fail(s, "%s relays %llx", n->name, (unsigned long long)r->route_id);
			for (unsigned f = 0; f < n->fences.n; f++)
				if (n->fences.v[f].fence.route_id == r->route_id && r->epoch <= n->fences.v[f].fence.epoch)
					rsim_fail(s, "%s honours route %llx, which is fenced", n->name,
					    (unsigned long long)r->route_id);
		}
	}
}

/* Where the silence of this way is kept: its own place, or that of one which is no more. */
static unsigned
silence_slot(const struct rpair *p, const uint64_t *ids, unsigned n, uint64_t id)
{
	for (unsigned i = 0; i < WAYS_MAX; i++)
		if (p->silent_id[i] == id)
			return i;
	for (unsigned i = 0; i < WAYS_MAX; i++) {
		bool there = false;

		for (unsigned k = 0; k < n; k++)
			there |= ids[k] == p->silent_id[i];
		if (!there)
			return i;
	}
	return 0;
}

/* The ways of a pair as its dataplane measures them. */
static void
report(struct rsim *s, struct rpair *p)
{
	struct rnode *n = &s->node[p->source];
	const struct ways_node *w = ways_find(n->ways, s->node[p->dest].id);
	struct clock_both now = node_clock(n);
	uint64_t ids[WAYS_MAX];
	unsigned k = 0;

	for (unsigned i = 0; w != NULL && i < w->n; i++)
		ids[k++] = w->way[i].route_id;
	for (unsigned i = 0; i < k; i++) {
		struct walk x = judge_walk(s, p->source, ids[i]);
		struct pm_route_stat stat = { .route_id = ids[i], .state = x.up ? WAY_UP : WAY_SILENT, .rtt_us = x.rtt_us +
		    (uint32_t)rsim_random(s, 1000), .jitter_us = 500, .loss = x.loss, .probes = 30, .kbps = 100,
		    .streams = ids[i] == p->way };
		unsigned slot = silence_slot(p, ids, k, ids[i]);

		memcpy(stat.node_id, s->node[p->dest].id, NODE_ID_LEN);
		ways_stat(n->ways, &stat, s->now_ns);
		if (x.up || p->silent_id[slot] != ids[i]) {
			p->silent_id[slot] = ids[i];
			p->silent_ns[slot] = s->now_ns;
		} else if (s->now_ns - p->silent_ns[slot] > 5 * SEC) {
			p->silent_id[slot] = 0;
			routes_silent(n->routes, ids[i], &now);
		}
	}
}

/* For whoever looks for the reason. */
static void
held_say(struct rsim *s, const struct rpair *p)
{
	const struct rnode *n = &s->node[p->source];
	const struct route_dest *d = routes_find(n->routes, s->node[p->dest].id);

	for (unsigned i = 0; d != NULL && i < d->n; i++) {
		const struct lease *l = &d->held[i].lease;

		rsim_say(s, "%s holds %llx epoch %llu, %s, up %d:", n->name, (unsigned long long)l->route_id,
		    (unsigned long long)l->epoch, route_state_name(d->held[i].state), judge_walk(s, p->source, l->route_id).up);
		for (unsigned k = 0; k < l->n; k++) {
			const struct rnode *h = world_node(s, l->nodes[k]);
			const struct pm_route *r = entry(h, l->route_id);

			rsim_say(s, "    %s, up %d, relays %d, entry of epoch %llu", h->name, h->up, h->relays,
			    (unsigned long long)(r != NULL ? r->epoch : 0));
		}
	}
	if (d != NULL)
		rsim_say(s, "    asks in %.1f s, tried %u times: %s", ((double)d->ask_ns - (double)s->now_ns) / (double)SEC, d->tries,
		    lease_strerror(d->error));
}

static void
outage(struct rsim *s, struct rpair *p)
{
	if (p->has_way || !path_there(s, p)) {
		p->out_ns = 0;
		return;
	}
	if (p->out_ns == 0) {
		p->out_ns = s->now_ns;
		s->outs++;
	}
	if (s->now_ns - p->out_ns > s->longest_out_ns)
		s->longest_out_ns = s->now_ns - p->out_ns;
	if (s->now_ns - p->out_ns > OUT_MAX && !s->failed) {
		held_say(s, p);
		rsim_fail(s, "%s has had no way to %s for a minute, though there is one", s->node[p->source].name,
		    s->node[p->dest].name);
	}
}

void
judge_second(struct rsim *s)
{
	tables(s);
	for (uint32_t i = 0; i < s->npairs && !s->failed; i++) {
		struct rpair *p = &s->pair[i];

		if (!s->node[p->source].up)
			continue;
		report(s, p);
		outage(s, p);
	}
}

void
judge_end(struct rsim *s)
{
	unsigned hours = (unsigned)(s->end_ns / (3600 * SEC)) + 1;

	for (uint32_t i = 0; i < s->npairs; i++)
		if (s->pair[i].flaps > FLAPS_MAX * hours)
			rsim_fail(s, "%s moved %u times to %s without need", s->node[s->pair[i].source].name, s->pair[i].flaps,
			    s->node[s->pair[i].dest].name);
	if (s->npairs == 0 || s->installs < s->npairs || s->forced == 0)
		rsim_fail(s, "nothing happened");
}
