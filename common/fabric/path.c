/*
 * The search. From both ends at once, nearest first, until no path through what was not reached yet can be better: so a
 * query touches the neighbourhoods of its two ends and not the directory. A label is a node reached over so many links:
 * routes are bounded in hops, and the cheapest way to a node may be one too long to go on from. fabric-route(7) tells the
 * rest; WORK_MAX bounds what a query can cost whatever the graph looks like.
 *
 * Alternates come out of the same search: what earlier routes use costs more than any sum of scores, a relay more than a
 * failure domain and that more than a link.
 */
#include <stdlib.h>
#include <string.h>

#include "fabric/graph_in.h"

#define WORK_MAX	400000u		/* halves of links looked at in one search */
#define SLOTS_MAX	32768u		/* nodes looked at in one query */
#define UNREACHED	UINT64_MAX
#define SHARED_RELAY	(1ull << 48)
#define SHARED_DOMAIN	(1ull << 44)
#define SHARED_LINK	(1ull << 40)
_Static_assert(LINKS_MAX < 16, "each count has four bits");

enum side { FORTH, BACK };		/* from the source, from the destination */

struct label {
	uint64_t cost;			/* of the links, and of the relays before this node */
	uint32_t pred;			/* slot */
};

struct slot {
	struct label l[2][LINKS_MAX + 1];
	uint64_t shared;		/* what this relay costs in this search besides its score */
	uint32_t node;
	uint32_t cost;			/* its score as a relay */
	uint32_t search;		/* that the labels are of */
	uint8_t	 settled[2];		/* the fewest links with which it was settled */
	bool	 permitted;		/* as a relay */
	bool	 on_route;		/* of an earlier search, or an end */
};

struct entry {
	uint64_t cost;
	uint32_t slot;
	uint8_t	 links;
};

struct heap {
	struct entry *e;
	size_t	 n, size;
};

struct scratch {
	struct slot *slot;
	uint32_t nslots, size;
	struct heap heap[2];
};

/* Earlier routes of the query, by index. */
struct found {
	uint8_t	 n;
	uint32_t node[LEASE_HOPS_MAX];
};

struct search {
	struct graph	*g;
	struct scratch	*s;
	const struct graph_query *q;
	struct score_ends ends;
	struct policy_node source;
	uint32_t	 end[2];	/* index of the source and of the destination */
	uint32_t	 end_slot[2];
	uint8_t		 links_max;
	uint32_t	 number;	/* of the search in the query, from 1 */
	uint32_t	 work;
	bool		 short_of_memory;
	struct found	 found[GRAPH_ROUTES_MAX];
	unsigned	 nfound;
	uint32_t	 without[2];	/* no link between these two */
	/* the best meeting */
	uint64_t	 best;
	uint32_t	 meet;
	uint8_t		 meet_links[2];
};

void
path_scratch_free(struct scratch *s)
{
	if (s == NULL)
		return;
	free(s->slot);
	free(s->heap[FORTH].e);
	free(s->heap[BACK].e);
	free(s);
}

size_t
path_scratch_bytes(const struct scratch *s)
{
	return s == NULL ? 0 : sizeof(*s) + s->size * sizeof(*s->slot) +
	    (s->heap[FORTH].size + s->heap[BACK].size) * sizeof(struct entry);
}

static const uint8_t *
id_of(const struct search *x, uint32_t slot)
{
	return x->g->node[x->s->slot[slot].node].id;
}

/* --- the heap: least cost first, then fewest links, then the smaller id, so that the order of arrival does not matter --- */

static bool
before(const struct search *x, const struct entry *a, const struct entry *b)
{
	if (a->cost != b->cost)
		return a->cost < b->cost;
	if (a->links != b->links)
		return a->links < b->links;
	return memcmp(id_of(x, a->slot), id_of(x, b->slot), NODE_ID_LEN) < 0;
}

static int
heap_push(const struct search *x, struct heap *h, struct entry e)
{
	size_t i = h->n;

	if (h->n == h->size) {
		size_t size = h->size == 0 ? 256 : h->size * 2;
		struct entry *p = realloc(h->e, size * sizeof(*p));

		if (p == NULL)
			return -1;
		h->e = p;
		h->size = size;
	}
	h->n++;
	for (; i > 0 && before(x, &e, &h->e[(i - 1) / 2]); i = (i - 1) / 2)
		h->e[i] = h->e[(i - 1) / 2];
	h->e[i] = e;
	return 0;
}

static struct entry
heap_pop(const struct search *x, struct heap *h)
{
	struct entry top = h->e[0], last = h->e[--h->n];
	size_t i = 0, c;

	while ((c = 2 * i + 1) < h->n) {
		if (c + 1 < h->n && before(x, &h->e[c + 1], &h->e[c]))
			c++;
		if (!before(x, &h->e[c], &last))
			break;
		h->e[i] = h->e[c];
		i = c;
	}
	h->e[i] = last;
	return top;
}

/* --- who may be a relay, and what it costs --- */

static struct policy_node
policy_node_of(const struct graph_node *n)
{
	return (struct policy_node){ .node_id = n->id, .name = n->text, .tenant = n->text + strlen(n->text) + 1,
	    .roles = n->roles, .tier = n->tier };
}

static bool
permitted(const struct search *x, const struct graph_node *n)
{
	struct policy_node relay;

	if (!graph_node_relays(n) || !(n->relay_classes & 1u << x->q->class))
		return false;
	relay = policy_node_of(n);
	return policy_relay(x->q->policy, &relay, &x->source, x->q->class).pass;
}

static bool
is_end(const struct search *x, uint32_t node)
{
	return node == x->end[FORTH] || node == x->end[BACK];
}

/* What earlier routes have in common with this relay. */
static void
shared_set(const struct search *x, struct slot *s)
{
	const struct graph_node *n = &x->g->node[s->node];
	bool relay = false, domain = false;

	s->on_route = is_end(x, s->node);
	for (unsigned i = 0; i < x->nfound; i++)
		for (unsigned j = 1; j + 1 < x->found[i].n; j++) {
			const struct graph_node *o = &x->g->node[x->found[i].node[j]];

			relay |= o == n;
			domain |= n->domain != 0 && o->domain == n->domain;
		}
	s->on_route |= relay;
	s->shared = relay ? SHARED_RELAY : domain ? SHARED_DOMAIN : 0;
}

static bool
link_shared(const struct search *x, uint32_t a, uint32_t b)
{
	for (unsigned i = 0; i < x->nfound; i++)
		for (unsigned j = 0; j + 1 < x->found[i].n; j++) {
			const uint32_t *p = &x->found[i].node[j];

			if ((p[0] == a && p[1] == b) || (p[0] == b && p[1] == a))
				return true;
		}
	return false;
}

/* The node's slot, with what holds for the query and fresh labels for this search; NOBODY: too many. */
static uint32_t
slot_get(struct search *x, uint32_t node)
{
	struct graph_node *n = &x->g->node[node];
	struct scratch *sc = x->s;
	struct slot *s;

	if (n->query != x->g->queries) {
		struct score unused = { { 0 } };

		if (sc->nslots == sc->size) {
			uint32_t size = sc->size == 0 ? 64 : sc->size * 2;

			if (size > SLOTS_MAX || (s = realloc(sc->slot, size * sizeof(*s))) == NULL)
				return NOBODY;
			sc->slot = s;
			sc->size = size;
		}
		s = &sc->slot[sc->nslots];
		s->node = node;
		s->search = 0;
		s->permitted = permitted(x, n);
		s->cost = s->permitted ? score_relay(&unused, &x->ends, n) : 0;
		n->query = x->g->queries;
		n->slot = sc->nslots++;
	}
	s = &sc->slot[n->slot];
	if (s->search != x->number) {
		s->search = x->number;
		s->settled[FORTH] = s->settled[BACK] = UINT8_MAX;
		for (unsigned i = 0; i <= LINKS_MAX; i++)
			s->l[FORTH][i].cost = s->l[BACK][i].cost = UNREACHED;
		shared_set(x, s);
	}
	return n->slot;
}

/* --- labels --- */

/* Whether a meeting of this cost, here, is better than the best: the same one for the same graph. */
static bool
meets_better(const struct search *x, uint64_t cost, uint32_t slot, unsigned forth, unsigned back)
{
	unsigned links = forth + back, best_links = x->meet_links[FORTH] + x->meet_links[BACK];
	int c;

	if (cost != x->best)
		return cost < x->best;
	if (links != best_links)
		return links < best_links;
	c = memcmp(id_of(x, slot), id_of(x, x->meet), NODE_ID_LEN);
	return c != 0 ? c < 0 : forth < x->meet_links[FORTH];
}

static void
meet(struct search *x, enum side side, uint32_t slot, uint8_t links)
{
	const struct slot *s = &x->s->slot[slot];
	uint64_t own = is_end(x, s->node) ? 0 : s->cost + s->shared;

	for (uint8_t other = 0; links + other <= x->links_max; other++) {
		uint8_t forth = side == FORTH ? links : other, back = side == FORTH ? other : links;
		uint64_t cost;

		if (s->l[!side][other].cost == UNREACHED)
			continue;
		cost = s->l[side][links].cost + s->l[!side][other].cost + own;
		if (x->best != UNREACHED && !meets_better(x, cost, slot, forth, back))
			continue;
		x->best = cost;
		x->meet = slot;
		x->meet_links[FORTH] = forth;
		x->meet_links[BACK] = back;
	}
}

static void
offer(struct search *x, enum side side, uint32_t slot, uint8_t links, uint64_t cost, uint32_t pred)
{
	struct slot *s = &x->s->slot[slot];
	struct label *l = &s->l[side][links];

	if (cost > x->best || cost > l->cost || s->settled[side] <= links)
		return;
	if (cost == l->cost) {
		if (memcmp(id_of(x, pred), id_of(x, l->pred), NODE_ID_LEN) < 0)
			l->pred = pred;
		return;
	}
	*l = (struct label){ cost, pred };
	if (heap_push(x, &x->s->heap[side], (struct entry){ cost, slot, links }) == -1) {
		x->short_of_memory = true;
		return;
	}
	meet(x, side, slot, links);
}

static bool
left_out(const struct search *x, uint32_t a, uint32_t b)
{
	return (x->without[0] == a && x->without[1] == b) || (x->without[0] == b && x->without[1] == a);
}

/* Goes on from a settled label over all links that a route can take. */
static void
expand(struct search *x, enum side side, const struct entry *e)
{
	uint32_t at = x->s->slot[e->slot].node;
	const struct graph_node *n = &x->g->node[at];
	uint64_t own = at == x->end[side] ? 0 : x->s->slot[e->slot].cost + x->s->slot[e->slot].shared;

	for (uint32_t i = 0; i < n->nhalves && x->work < WORK_MAX; i++) {
		const struct half *h = &n->half[i];
		struct score unused = { { 0 } };
		struct measure m;
		uint64_t cost;
		uint32_t to;

		x->work++;
		if (h->to == x->end[side] || (!h->relays && h->to != x->end[!side]) || left_out(x, at, h->to))
			continue;
		if ((to = slot_get(x, h->to)) == NOBODY)
			continue;
		if (h->to != x->end[!side] && !x->s->slot[to].permitted)
			continue;
		m = graph_link(x->g, h);
		cost = e->cost + own + score_link(&unused, &x->ends, &m);
		if (x->s->slot[e->slot].on_route && x->s->slot[to].on_route && link_shared(x, at, h->to))
			cost += SHARED_LINK;
		offer(x, side, to, (uint8_t)(e->links + 1), cost, e->slot);
	}
}

/* Settles the nearest label of one side. */
static void
step(struct search *x, enum side side)
{
	struct entry e = heap_pop(x, &x->s->heap[side]);
	struct slot *s = &x->s->slot[e.slot];

	/* Reached more cheaply since, or already with as few links: nothing better goes on from here. */
	if (e.cost != s->l[side][e.links].cost || s->settled[side] <= e.links)
		return;
	s->settled[side] = e.links;
	if (e.links < x->links_max && s->node != x->end[!side])
		expand(x, side, &e);
}

static void
search(struct search *x)
{
	struct heap *f = &x->s->heap[FORTH], *b = &x->s->heap[BACK];

	x->number++;
	x->work = 0;
	x->best = UNREACHED;
	f->n = b->n = 0;
	for (int side = FORTH; side <= BACK; side++) {
		uint32_t slot = slot_get(x, x->end[side]);

		if (slot == NOBODY)
			return;
		x->end_slot[side] = slot;
		offer(x, side, slot, 0, 0, slot);
	}
	while (f->n > 0 && b->n > 0 && x->work < WORK_MAX && !x->short_of_memory) {
		if (x->best != UNREACHED && f->e[0].cost + b->e[0].cost > x->best)
			break;
		step(x, f->e[0].cost <= b->e[0].cost ? FORTH : BACK);
	}
}

/* --- from labels to a route --- */

/* A search that was cut short may have met itself: what lies between is left out. */
static void
loops_cut(struct found *r)
{
	for (unsigned i = 0; i < r->n; i++)
		for (unsigned j = r->n; --j > i;)
			if (r->node[j] == r->node[i]) {
				memmove(&r->node[i], &r->node[j], (r->n - j) * sizeof(r->node[0]));
				r->n = (uint8_t)(r->n - (j - i));
				break;
			}
}

static void
path_take(const struct search *x, struct found *r)
{
	uint32_t slot = x->meet;

	r->n = (uint8_t)(x->meet_links[FORTH] + x->meet_links[BACK] + 1);
	for (int i = x->meet_links[FORTH]; i >= 0; i--) {
		r->node[i] = x->s->slot[slot].node;
		slot = x->s->slot[slot].l[FORTH][i].pred;
	}
	slot = x->meet;
	for (int i = x->meet_links[BACK], at = x->meet_links[FORTH]; i > 0; i--) {
		slot = x->s->slot[slot].l[BACK][i].pred;
		r->node[++at] = x->s->slot[slot].node;
	}
	loops_cut(r);
}

static bool
found_equal(const struct found *a, const struct found *b)
{
	return a->n == b->n && memcmp(a->node, b->node, a->n * sizeof(a->node[0])) == 0;
}

static uint32_t
narrower(uint32_t a, uint32_t b)
{
	return a == 0 || (b != 0 && b < a) ? b : a;
}

static struct half *
half_to(const struct graph *g, uint32_t a, uint32_t b)
{
	struct graph_node *n = &g->node[a], *o = &g->node[b];

	if (n->nhalves > o->nhalves) {
		for (uint32_t i = 0; i < o->nhalves; i++)
			if (o->half[i].to == a)
				return &o->half[i];
		return NULL;
	}
	for (uint32_t i = 0; i < n->nhalves; i++)
		if (n->half[i].to == b)
			return &n->half[i];
	return NULL;
}

/* What the route is worth, share by share. -1: a link of it is not there. */
static int
rate(const struct search *x, const struct found *r, struct graph_route *out)
{
	struct score s = { { 0 } };
	uint64_t kept = 1000000;	/* millionths */

	memset(out, 0, sizeof(*out));
	out->n = r->n;
	for (unsigned i = 0; i < r->n; i++) {
		const struct graph_node *n = &x->g->node[r->node[i]];
		const struct half *h;
		struct measure m;

		memcpy(out->nodes[i], n->id, NODE_ID_LEN);
		if (i > 0 && i + 1u < r->n) {
			score_relay(&s, &x->ends, n);
			out->kbps = narrower(out->kbps, n->relay_kbps);
		}
		if (i + 1u == r->n)
			break;
		if ((h = half_to(x->g, r->node[i], r->node[i + 1])) == NULL)
			return -1;
		m = graph_link(x->g, h);
		score_link(&s, &x->ends, &m);
		out->rtt_us += m.rtt_us;
		out->kbps = narrower(out->kbps, m.kbps);
		kept = kept * (1000u - (m.loss < 1000 ? m.loss : 1000u)) / 1000;
	}
	out->loss = (uint16_t)(1000 - kept / 1000);
	memcpy(out->part, s.part, sizeof(out->part));
	for (int i = 0; i < SCORE_PARTS; i++)
		out->score += s.part[i];
	return 0;
}

static int
begin(struct search *x, struct graph *g, const struct graph_query *q)
{
	const struct graph_node *s = graph_node_find(g, q->source), *d = graph_node_find(g, q->dest);

	if (s == NULL || d == NULL || s == d || s->text == NULL || d->text == NULL || q->class >= CLASS_COUNT)
		return -1;
	if (g->scratch == NULL && (g->scratch = calloc(1, sizeof(*g->scratch))) == NULL)
		return -1;
	*x = (struct search){ .g = g, .s = g->scratch, .q = q, .source = policy_node_of(s) };
	x->ends = (struct score_ends){ .class = q->class, .weights = q->weights, .tenant = x->source.tenant,
	    .source_region = s->region, .dest_region = d->region, .now_ns = q->now_ns };
	x->without[0] = x->without[1] = NOBODY;
	x->end[FORTH] = (uint32_t)(s - g->node);
	x->end[BACK] = (uint32_t)(d - g->node);
	x->links_max = q->direct_only ? 1 : q->one_relay ? 2 : LINKS_MAX;
	g->queries++;
	g->scratch->nslots = 0;
	return 0;
}

static bool
is_new(const struct search *x, const struct found *r)
{
	for (unsigned i = 0; i < x->nfound; i++)
		if (found_equal(&x->found[i], r))
			return false;
	return true;
}

/*
 * What shares least is a route that there is already: another then has to do without a link of that one. Takes the best of
 * these, if there is one.
 */
static bool
search_without(struct search *x, struct found *r)
{
	const struct found old = *r;
	uint64_t best_cost = UNREACHED;

	for (unsigned i = 0; i + 1 < old.n; i++) {
		struct found other;

		x->without[0] = old.node[i];
		x->without[1] = old.node[i + 1];
		search(x);
		if (x->best >= best_cost)
			continue;
		path_take(x, &other);
		if (!is_new(x, &other))
			continue;
		best_cost = x->best;
		*r = other;
	}
	x->without[0] = x->without[1] = NOBODY;
	return best_cost != UNREACHED;
}

size_t
graph_routes(struct graph *g, const struct graph_query *q, struct graph_route *out)
{
	unsigned want = q->routes < GRAPH_ROUTES_MAX ? q->routes : GRAPH_ROUTES_MAX;
	struct search x;

	if (begin(&x, g, q) == -1)
		return 0;
	while (x.nfound < want) {
		struct found *r = &x.found[x.nfound];

		search(&x);
		if (x.best == UNREACHED)
			break;
		path_take(&x, r);
		if (!is_new(&x, r) && !search_without(&x, r))
			break;
		if (rate(&x, r, &out[x.nfound]) == -1)
			break;
		x.nfound++;
	}
	return x.nfound;
}

int
graph_rate(struct graph *g, const struct graph_query *q, const uint8_t (*nodes)[NODE_ID_LEN], unsigned n,
    struct graph_route *out)
{
	struct search x;
	struct found r = { .n = (uint8_t)n };

	if (n < 2 || n > LEASE_HOPS_MAX || begin(&x, g, q) == -1 || n - 1 > x.links_max)
		return -1;
	for (unsigned i = 0; i < n; i++) {
		const struct graph_node *node = graph_node_find(g, nodes[i]);

		if (node == NULL || (i > 0 && i + 1 < n && !permitted(&x, node)))
			return -1;
		r.node[i] = (uint32_t)(node - g->node);
		for (unsigned j = 0; j < i; j++)
			if (r.node[j] == r.node[i])
				return -1;
	}
	if (r.node[0] != x.end[FORTH] || r.node[n - 1] != x.end[BACK])
		return -1;
	return rate(&x, &r, out);
}
