/*
 * What must hold, judged by what lies in the dataplanes' tables and in the network itself, in as simple a way as there is:
 * none of the code under test is asked.
 *
 *	a route that is walked comes to its destination and to no node twice
 *	no table has an entry a second after its hard end by that node's clock
 *	no node that has heard of a fence has an entry that was given before it, or that is not newer than it says
 *	no relay has an entry that it may not relay: role, its own word, classes, tenant, revocation, the policy that it has
 *	no lease leads over a node that is no relay by its role, is another tenant's or revoked, nor is it too long; nor does it
 *	    go against the policy of who gave it, in any of its classes
 *	no source has a route that goes against the policy that it has
 *	no pair is without a way for longer than OUT_MAX while a path that is permitted was there all the time
 *	no route goes for no reason while it is the last that works
 *	no stream is where nothing comes through for longer than MOVE_MAX while another way works all the time
 *	no stream is lost when there was a path for longer than OUT_MAX
 *	streams do not go from one way that is well to another more often than FLAPS_MAX in an hour
 */
#include <stdlib.h>
#include <string.h>

#include "tests/sim/routes.h"

/*
 * A link is told of within 2 s; who waits has routes asked for every 5 s (stream.c's AGAIN_MAX_NS), and 15 s after the last
 * time where there are some, but for other classes (ROUTES_LACK_NS); an answer and installing take 3 s. Twice that, since the
 * first may lead over what has broken just now, or is not told of yet.
 */
#define OUT_MAX		(40 * SEC)
/*
 * Twice what it takes: a way is silent at the second look (0.4 s), and the other may have been so, and is up at the third
 * (0.6 s). A stream that has no leg looks again after 5 s at most.
 */
#define MOVE_MAX	(2 * SEC)
#define KNOWN_NS	(2 * SEC)	/* a way that works is up at the third look, and reported within the second */
#define BARE_MAX	(MOVE_MAX + 5 * SEC)
#define FLAPS_MAX	40u
#define GRACE_S		2u		/* two ticks, and the second that clocks count in */
#define FENCE_ACTIVE_NS	(900 * SEC)	/* leases up to its epoch are over by then, whoever gave them */

/* --- the policies once more, see routes_policy.c --- */

static bool
is_bulk(unsigned class)
{
	return class == CLASS_BULK || class == CLASS_DROPPABLE;
}

/* src NULL: is there one in the tenant for which it may? */
static bool
policy_lets_relay(unsigned policy, const struct rnode *relay, const struct rnode *src, unsigned class)
{
	bool second = policy == POLICY_SECOND;

	switch (relay->index % 8) {
	case 1:
		return !is_bulk(class);
	case 2:
		return false;
	case 3:
		return src == NULL || src->roles == 1u << ROLE_MOBILE_EDGE;
	case 5:
		return !second;
	case 6:
		return !second || src == NULL || src->index % 3 != 0;
	case 7:
		return !second || class != CLASS_RELIABLE;
	default:
		return true;
	}
}

/* 0: as much as it likes. */
static uint32_t
policy_kbps(unsigned policy, const struct rnode *relay)
{
	return relay->index % 8 != 4 ? 0 : policy == POLICY_SECOND ? 1000 : 3000;
}

static bool
policy_lets_reach(const struct rsim *s, unsigned policy, const struct rnode *src, const struct rnode *dest)
{
	const uint32_t leaves = COORDINATORS + s->nrelays;

	if (dest->index < leaves || src->index < leaves)
		return true;
	if (src->index % 3 == 0 && dest->index % 5 == 4)
		return false;
	return policy == POLICY_FIRST || src->roles != 1u << ROLE_MOBILE_EDGE || dest->index % 7 != 3;
}

static bool
within(uint32_t kbps, uint32_t limit)
{
	return limit == 0 || (kbps != 0 && kbps <= limit);
}

/* In each of the classes, for this source. */
static bool
policy_lets_carry(unsigned policy, const struct rnode *relay, const struct rnode *src, uint8_t classes)
{
	for (unsigned class = 0; class < CLASS_COUNT; class++)
		if (classes >> class & 1 && !policy_lets_relay(policy, relay, src, class))
			return false;
	return true;
}

/* --- when each lease was given --- */

static struct rissued *
issued_slot(const struct rsim *s, uint64_t route_id, uint64_t epoch)
{
	size_t i = (size_t)((route_id ^ epoch) * 0x9e3779b97f4a7c15ull >> 20);

	for (;; i++) {
		struct rissued *e = &s->issued[i & (s->issued_size - 1)];

		if (e->route_id == 0 || (e->route_id == route_id && e->epoch == epoch))
			return e;
	}
}

static void
issued_put(struct rsim *s, uint64_t route_id, uint64_t epoch, uint64_t at_ns)
{
	struct rissued *e, *old = s->issued;
	size_t size = s->issued_size;

	if (2 * (s->nissued + 1) > size) {
		s->issued_size = size == 0 ? 8192 : size * 2;
		if ((s->issued = calloc(s->issued_size, sizeof(*s->issued))) == NULL)
			abort();
		s->nissued = 0;
		for (size_t i = 0; i < size; i++)
			if (old[i].route_id != 0)
				issued_put(s, old[i].route_id, old[i].epoch, old[i].at_ns);
		free(old);
	}
	e = issued_slot(s, route_id, epoch);
	s->nissued += e->route_id == 0;
	*e = (struct rissued){ route_id, epoch, at_ns };
}

/* --- a route, from table to table --- */

static const struct rentry *
entry(const struct rnode *n, uint64_t route_id)
{
	for (size_t i = 0; i < n->nentries; i++)
		if (n->table_id[i] == route_id)
			return &n->table[i];
	return NULL;
}

/* Over sessions that are up. */
struct walk
judge_walk(struct rsim *s, uint32_t source, uint64_t route_id)
{
	struct walk w = { .n = 0 };
	uint32_t at = source, kept = 1000;

	s->walks++;
	for (;;) {
		const struct rnode *n = &s->node[at];
		const struct rentry *e = n->up ? entry(n, route_id) : NULL;

		if (e == NULL || e->r.hard <= node_clock(n).wall)
			return w;
		if (w.n > 0 && memcmp(e->r.prev, s->node[w.node[w.n - 1]].id, NODE_ID_LEN) != 0)
			return w;
		if (w.n == LEASE_HOPS_MAX)
			rsim_fail(s, "route %llx has too many nodes", (unsigned long long)route_id);
		for (unsigned i = 0; i < w.n; i++)
			if (w.node[i] == at)
				rsim_fail(s, "route %llx leads to %s twice", (unsigned long long)route_id, n->name);
		if (s->failed)
			return w;
		w.node[w.n] = at;
		w.generation[w.n++] = n->generation;
		if (e->r.place == TICKET_DEST) {
			w.up = true;
			w.loss = (uint16_t)(1000 - kept);
			return w;
		}
		if (e->link == NOBODY_HERE || !world_link_up(s, e->link))
			return w;
		w.rtt_us += s->link[e->link].rtt_us;
		kept = kept * (1000 - s->link[e->link].loss) / 1000;
		at = e->next;
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

/* By the policy of who gave it. */
static void
lease_policy(struct rsim *s, const struct rnode *issuer, const struct rnode *source, const struct lease *l)
{
	const struct rnode *dest = world_node(s, l->nodes[l->n - 1]);

	if (!policy_lets_reach(s, issuer->policy, source, dest))
		rsim_fail(s, "%s gives %s a lease to %s, which it may not reach", issuer->name, source->name, dest->name);
	for (unsigned i = 1; i + 1u < l->n; i++) {
		const struct rnode *n = world_node(s, l->nodes[i]);

		if (!policy_lets_carry(issuer->policy, n, source, l->classes))
			rsim_fail(s, "%s gives %s a lease over %s, which may not carry it", issuer->name, source->name, n->name);
		if (!within(l->kbps, policy_kbps(issuer->policy, n)))
			rsim_fail(s, "%s gives %s %u kbit/s over %s", issuer->name, source->name, l->kbps, n->name);
	}
}

void
judge_lease(struct rsim *s, const struct rnode *issuer, const struct rnode *source, const struct lease *l)
{
	issued_put(s, l->route_id, l->epoch, s->now_ns);
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
	if (!s->failed)
		lease_policy(s, issuer, source, l);
}

/* --- each tick --- */

/* Routes of other classes: while it has such, a source waits for a coordinator, and does not help itself. */
static bool
has_any(const struct rsim *s, const struct rpair *p)
{
	const struct rnode *n = &s->node[p->source];

	for (size_t i = 0; i < n->nentries; i++)
		if (n->table[i].r.place == TICKET_SOURCE && memcmp(n->table[i].r.far, s->node[p->dest].id, NODE_ID_LEN) == 0)
			return true;
	return false;
}

/* Whether a path is there: of so many links that the source could have it, by a coordinator that it reaches, or by itself. */
static bool
path_there(const struct rsim *s, const struct rpair *p)
{
	const struct rnode *src = &s->node[p->source];
	const unsigned policy = s->second ? POLICY_SECOND : POLICY_FIRST;	/* what the first forbids, the second does, too */
	uint8_t reach[NODES_MAX], hops[NODES_MAX];
	unsigned links = 2;

	if (!src->up || !s->node[p->dest].up || !policy_lets_reach(s, policy, src, &s->node[p->dest]))
		return false;
	world_distances(s, p->source, reach);
	for (uint32_t i = 0; i < COORDINATORS; i++)
		if (s->node[i].up && reach[i] <= 5)
			links = LEASE_HOPS_MAX - 1;
	if (links == 2 && has_any(s, p))
		return false;
	memset(hops, UINT8_MAX, sizeof(hops));
	hops[p->source] = 0;
	for (unsigned round = 0; round < links; round++)
		for (uint32_t i = 0; i < s->nlinks; i++) {
			const struct rlink *l = &s->link[i];

			for (unsigned way = 0; way < 2; way++) {
				const struct rnode *a = &s->node[way ? l->b : l->a], *b = &s->node[way ? l->a : l->b];

				if (hops[a->index] == round && hops[b->index] > round + 1 && world_link_up(s, i) &&
				    (a == src || (may_relay(a, a->relays, a->relay_classes, 1u << STREAM_CLASS, src->tenant) &&
				    policy_lets_relay(policy, a, src, STREAM_CLASS))))
					hops[b->index] = (uint8_t)(round + 1);
			}
		}
	return hops[p->dest] != UINT8_MAX;
}

/* Whether the pair has a way that has worked for so long. */
static bool
has_worked(const struct rsim *s, const struct rpair *p, uint64_t ns)
{
	for (unsigned i = 0; i < p->nways; i++)
		if (p->ways[i].works && s->now_ns - p->ways[i].works_ns > ns)
			return true;
	return false;
}

/*
 * Nothing comes through where the stream is: another way is no use if it is not taken. One that has just begun on a way of
 * which it is not known yet that it is silent, has as long again.
 */
static void
dead(struct rsim *s, struct rpair *p)
{
	const struct rstream *st = &p->stream;
	const struct rway *w = stream_way(p);
	uint64_t ns;

	if (w != NULL && w->works) {
		p->dead_ns = 0;
		return;
	}
	if (p->dead_ns == 0)
		p->dead_ns = s->now_ns;
	ns = s->now_ns - p->dead_ns;
	if (ns > s->longest_dead_ns && has_worked(s, p, ns))
		s->longest_dead_ns = ns;
	if ((st->leg && ns > MOVE_MAX && s->now_ns - st->sent_ns > MOVE_MAX && has_worked(s, p, MOVE_MAX)) ||
	    (ns > BARE_MAX && has_worked(s, p, BARE_MAX)))
		rsim_fail(s, "%s has a way to %s that works, and its stream is not on it", s->node[p->source].name,
		    s->node[p->dest].name);
}

static bool
hit(const struct rsim *s, const struct rpair *p, const struct rway *w)
{
	for (unsigned i = s->nfences; i-- > 0 && s->now_ns - s->fence[i].made_ns < FENCE_ACTIVE_NS;) {
		const struct fence *f = &s->fence[i].f;
		bool it = f->what == FENCE_ROUTE ? f->route_id == w->route_id : f->what == FENCE_PAIR &&
		    memcmp(f->node, s->node[p->source].id, NODE_ID_LEN) == 0 && memcmp(f->dest, s->node[p->dest].id, NODE_ID_LEN) == 0;

		for (unsigned k = 0; f->what == FENCE_NODE && k < w->walk.n; k++)
			it |= memcmp(f->node, s->node[w->walk.node[k]].id, NODE_ID_LEN) == 0;
		if (it && w->epoch <= f->epoch)
			return true;
	}
	return false;
}

/* Whether all that it leads over is as it was, and lets it. */
static bool
stands(const struct rsim *s, const struct rpair *p, const struct rway *w)
{
	const struct rnode *src = &s->node[p->source];
	const struct walk *x = &w->walk;
	const unsigned policy = s->second ? POLICY_SECOND : POLICY_FIRST;

	for (unsigned i = 0; i < x->n; i++) {
		const struct rnode *n = &s->node[x->node[i]];

		if (!n->up || n->generation != x->generation[i] || w->hard <= node_clock(n).wall + GRACE_S ||
		    (i + 1 < x->n && world_link_between(s, n->index, x->node[i + 1]) == NOBODY_HERE))
			return false;
		if (i > 0 && i + 1 < x->n && (!may_relay(n, n->relays, n->relay_classes, w->classes, src->tenant) ||
		    !policy_lets_carry(policy, n, src, w->classes)))
			return false;
	}
	return policy_lets_reach(s, policy, src, &s->node[p->dest]) && !hit(s, p, w);
}

/* Of two that go at once, routed cannot know that the other is no more. */
void
judge_ended(struct rsim *s, const struct rpair *p, const struct rway *w)
{
	for (unsigned i = 0; i < p->nways; i++)
		if (p->ways[i].route_id != w->route_id && p->ways[i].worked_ns + KNOWN_NS > s->now_ns)
			return;
	if (s->now_ns - w->works_ns > KNOWN_NS && stands(s, p, w))
		rsim_fail(s, "%s has left route %llx to %s, which was well, and has no other", s->node[p->source].name,
		    (unsigned long long)w->route_id, s->node[p->dest].name);
}

void
judge_lost(struct rsim *s, const struct rpair *p)
{
	rsim_say(s, "%s: the stream to %s is lost", s->node[p->source].name, s->node[p->dest].name);
	if (p->path_ns != 0 && s->now_ns - p->path_ns > OUT_MAX)
		rsim_fail(s, "%s has lost its stream to %s, though there is a path", s->node[p->source].name, s->node[p->dest].name);
}

void
judge_tick(struct rsim *s)
{
	for (uint32_t i = 0; i < s->npairs && !s->failed; i++) {
		struct rpair *p = &s->pair[i];

		if (!p->wanted)
			continue;
		if (!s->node[p->source].up) {
			stream_down(p);
			continue;
		}
		stream_tick(s, p);
		dead(s, p);
	}
}

/* --- each second --- */

/* What a fence is about, as far as this node can see by its entry. */
static bool
concerns(const struct fence *f, const struct rnode *n, const struct pm_route *r)
{
	const uint8_t *const all[] = { n->id, r->prev, r->next, r->far };
	bool is_node = false;

	for (unsigned i = 0; i < 4; i++)
		is_node |= memcmp(f->node, all[i], NODE_ID_LEN) == 0;
	if (f->what == FENCE_ROUTE)
		return f->route_id == r->route_id;
	if (f->what == FENCE_NODE)
		return is_node;
	return r->place != TICKET_RELAY && memcmp(f->node, r->place == TICKET_SOURCE ? n->id : r->far, NODE_ID_LEN) == 0 &&
	    memcmp(f->dest, r->place == TICKET_SOURCE ? r->far : n->id, NODE_ID_LEN) == 0;
}

static void
entry_fences(struct rsim *s, const struct rnode *n, const struct pm_route *r)
{
	for (unsigned i = s->nfences; i-- > 0 && s->now_ns - s->fence[i].made_ns < FENCE_ACTIVE_NS;) {
		const struct rfence *f = &s->fence[i];
		const struct rissued *given = issued_slot(s, r->route_id, r->epoch);

		if (!(n->heard[i / 64] >> i % 64 & 1) || !concerns(&f->f, n, r))
			continue;
		if (r->epoch <= f->f.epoch)
			rsim_fail(s, "%s honours route %llx, which is fenced", n->name, (unsigned long long)r->route_id);
		else if (f->informed && given->at_ns < f->made_ns)
			rsim_fail(s, "%s honours route %llx, which was given before it was fenced", n->name,
			    (unsigned long long)r->route_id);
	}
}

/* The policy that the node has; of a source's route all relays are known, wherever it leads. */
static void
entry_policy(struct rsim *s, const struct rnode *n, const struct rentry *e)
{
	const struct rnode *far = e->r.place == TICKET_RELAY ? NULL : world_node(s, e->r.far), *src = n;
	bool passes = true;

	if (e->r.place == TICKET_RELAY) {
		passes = policy_lets_carry(n->policy, n, NULL, e->r.classes) && within(e->r.kbps, policy_kbps(n->policy, n));
	} else if (e->r.place == TICKET_DEST) {
		passes = policy_lets_reach(s, n->policy, far, n);
	} else {
		for (unsigned i = 0; passes && i < LEASE_HOPS_MAX && e != NULL && e->next != NOBODY_HERE; i++) {
			passes = n == src || policy_lets_carry(src->policy, n, src, e->r.classes);
			n = &s->node[e->next];
			e = entry(n, e->r.route_id);
		}
	}
	if (!passes)
		rsim_fail(s, "%s has a route that its policy forbids, at %s", src->name, n->name);
}

static void
tables(struct rsim *s)
{
	for (uint32_t i = 0; i < s->nnodes; i++) {
		const struct rnode *n = &s->node[i];

		for (size_t k = 0; n->up && k < n->nentries && !s->failed; k++) {
			const struct pm_route *r = &n->table[k].r;

			if (r->hard + GRACE_S < node_clock(n).wall)
				rsim_fail(s, "%s honours route %llx after its end", n->name, (unsigned long long)r->route_id);
			if (r->place == TICKET_RELAY && (!n->relays || !(n->roles & (1u << ROLE_RELAY | 1u << ROLE_ENTRY)) ||
			    r->classes & ~n->relay_classes))
				rsim_fail(s, "%s relays %llx", n->name, (unsigned long long)r->route_id);
			entry_fences(s, n, r);
			entry_policy(s, n, &n->table[k]);
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
			const struct rentry *e = entry(h, l->route_id);

			rsim_say(s, "    %s, up %d, relays %d, entry of epoch %llu", h->name, h->up, h->relays,
			    (unsigned long long)(e != NULL ? e->r.epoch : 0));
		}
	}
	if (d != NULL)
		rsim_say(s, "    asks in %.1f s, tried %u times: %s", ((double)d->ask_ns - (double)s->now_ns) / (double)SEC, d->tries,
		    lease_strerror(d->error));
}

static bool
has_way(const struct rpair *p)
{
	for (unsigned i = 0; i < p->nways; i++)
		if (p->ways[i].works)
			return true;
	return false;
}

static void
outage(struct rsim *s, struct rpair *p)
{
	bool there;

	if (has_way(p)) {	/* it is one */
		p->path_ns = p->path_ns == 0 ? s->now_ns : p->path_ns;
		p->out_ns = 0;
		return;
	}
	there = path_there(s, p);
	p->path_ns = !there ? 0 : p->path_ns == 0 ? s->now_ns : p->path_ns;
	if (!there) {
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
		rsim_fail(s, "%s has had no way to %s for long, though there is one", s->node[p->source].name,
		    s->node[p->dest].name);
	}
}

/* What was wanted first when a fence was ahead of the time has a way before that is over, if there is a path. */
static void
late(struct rsim *s, struct rpair *p)
{
	if (p->from_ns == 0 || p->path_ns == 0 || !has_way(p))
		return;
	s->late_ways += s->now_ns - p->from_ns < OUT_MAX;
	p->from_ns = 0;
}

void
judge_second(struct rsim *s)
{
	tables(s);
	for (uint32_t i = 0; i < s->npairs && !s->failed; i++) {
		struct rpair *p = &s->pair[i];

		if (!p->wanted || !s->node[p->source].up)
			continue;
		stream_second(s, p);
		outage(s, p);
		late(s, p);
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
	if (s->npairs == 0 || s->installs < s->npairs || s->forced == 0 || !s->second || (s->nfences > 30 && s->late_ways == 0))
		rsim_fail(s, "nothing happened");
}
