/*
 * The search. A route has at most five links: at most two from the source on, at most two back from the destination, and
 * one between. So a search labels what lies within two links of either end, over relays, and joins the two by one link
 * more. A query touches these neighbourhoods and not the directory; WORK_MAX bounds what it can cost whatever they are.
 *
 * The cheapest way that is found so is one without loops: without the loop it would be cheaper, and shorter.
 *
 * Alternates come out of the same search: what earlier routes use costs more than any sum of scores, a relay more than a
 * failure domain and that more than a link. fabric-route(7) tells the rest.
 */
#include <stdlib.h>
#include <string.h>

#include "fabric/graph_in.h"

#define WORK_MAX	1000000u	/* halves of links looked at in one search */
#define SLOTS_MAX	131072u		/* nodes looked at in one query */
#define ARM		2u		/* links from either end */
_Static_assert(LINKS_MAX == 2 * ARM + 1, "two arms and a link between");
#define UNREACHED	UINT64_MAX
#define SHARED_RELAY	(1ull << 48)
#define SHARED_DOMAIN	(1ull << 44)
#define SHARED_LINK	(1ull << 40)
_Static_assert(LINKS_MAX < 16, "each count has four bits");

enum side { FORTH, BACK };		/* from the source, from the destination */

/* The cheapest way to a node over so many links. */
struct label {
	uint64_t cost;			/* of the links, and of the relays before this node */
	uint32_t pred;			/* slot */
};

struct slot {
	struct label l[2][ARM + 1];
	uint64_t shared;		/* what this relay costs in this search besides its score */
	uint32_t node;
	uint32_t cost;			/* its score as a relay */
	uint32_t search;		/* that the labels are of */
	bool	 permitted;		/* as a relay */
	bool	 on_route;		/* of an earlier search, or an end */
};

/* Slots that have a label of one side and length. */
struct list {
	uint32_t *slot;
	uint32_t n, size;
};

struct scratch {
	struct slot *slot;
	uint32_t nslots, size;
	struct list list[2][ARM + 1];
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
	unsigned	 links_max;
	uint32_t	 number;	/* of the search in the query, from 1 */
	uint32_t	 work;
	struct found	 found[GRAPH_ROUTES_MAX];
	unsigned	 nfound;
	uint32_t	 without[2];	/* no link between these two */
	/* the best that was joined: slots at both ends of the link between, and how many links lie before and behind */
	uint64_t	 best;
	uint32_t	 join[2];
	unsigned	 join_links[2];
};

void
path_scratch_free(struct scratch *s)
{
	if (s == NULL)
		return;
	for (unsigned i = 0; i <= ARM; i++) {
		free(s->list[FORTH][i].slot);
		free(s->list[BACK][i].slot);
	}
	free(s->slot);
	free(s);
}

size_t
path_scratch_bytes(const struct scratch *s)
{
	size_t n = s == NULL ? 0 : sizeof(*s) + s->size * sizeof(*s->slot);

	for (unsigned i = 0; s != NULL && i <= ARM; i++)
		n += (s->list[FORTH][i].size + s->list[BACK][i].size) * sizeof(uint32_t);
	return n;
}

static const uint8_t *
id_of(const struct search *x, uint32_t slot)
{
	return x->g->node[x->s->slot[slot].node].id;
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
		for (unsigned i = 0; i <= ARM; i++)
			s->l[FORTH][i].cost = s->l[BACK][i].cost = UNREACHED;
		shared_set(x, s);
	}
	return n->slot;
}

/* --- labels --- */

static int
list_add(struct list *l, uint32_t slot)
{
	if (l->n == l->size) {
		uint32_t size = l->size == 0 ? 64 : l->size * 2, *p = realloc(l->slot, size * sizeof(*p));

		if (p == NULL)
			return -1;
		l->slot = p;
		l->size = size;
	}
	l->slot[l->n++] = slot;
	return 0;
}

/* A way to a node; of two that cost the same that over the node with the smaller id, whichever came first. */
static void
offer(struct search *x, enum side side, uint32_t slot, unsigned links, uint64_t cost, uint32_t pred)
{
	struct label *l = x->s->slot[slot].l[side];

	for (unsigned fewer = 0; fewer < links; fewer++)
		if (l[fewer].cost <= cost)
			return;
	l += links;
	if (cost > l->cost || (cost == l->cost && memcmp(id_of(x, pred), id_of(x, l->pred), NODE_ID_LEN) >= 0))
		return;
	if (l->cost == UNREACHED && list_add(&x->s->list[side][links], slot) == -1)
		return;
	*l = (struct label){ cost, pred };
}

static bool
left_out(const struct search *x, uint32_t a, uint32_t b)
{
	return (x->without[0] == a && x->without[1] == b) || (x->without[0] == b && x->without[1] == a);
}

/* What a link costs in this search. */
static uint64_t
link_cost(const struct search *x, const struct half *h, uint32_t from, uint32_t from_slot, uint32_t to_slot)
{
	struct score unused = { { 0 } };
	struct measure m = graph_link(x->g, h);
	uint64_t cost = score_link(&unused, &x->ends, &m);

	return x->s->slot[from_slot].on_route && x->s->slot[to_slot].on_route && link_shared(x, from, h->to) ?
	    cost + SHARED_LINK : cost;
}

/* What goes on over this node costs, besides its label. */
static uint64_t
own_cost(const struct search *x, uint32_t slot)
{
	const struct slot *s = &x->s->slot[slot];

	return is_end(x, s->node) ? 0 : s->cost + s->shared;
}

/* Labels the relays behind one node; not such as cost more than `bound'. */
static void
expand(struct search *x, enum side side, uint32_t slot, unsigned links, uint64_t bound)
{
	uint32_t at = x->s->slot[slot].node;
	uint64_t cost = x->s->slot[slot].l[side][links].cost + own_cost(x, slot);
	const struct graph_node *n = &x->g->node[at];

	for (uint32_t i = 0; i < n->nhalves && x->work < WORK_MAX; i++) {
		const struct half *h = &n->half[i];
		uint64_t c;
		uint32_t to;

		x->work++;
		if (!h->relays || is_end(x, h->to) || left_out(x, at, h->to) || cost > bound || !graph_link_there(x->g, h))
			continue;
		if ((to = slot_get(x, h->to)) == NOBODY || !x->s->slot[to].permitted)
			continue;
		if ((c = cost + link_cost(x, h, at, slot, to)) <= bound)
			offer(x, side, to, links + 1, c, slot);
	}
}

/* --- joining --- */

/* Whether this join is better than the best: the same one for the same graph. */
static bool
joins_better(const struct search *x, uint64_t cost, const uint32_t slot[2], const unsigned links[2])
{
	unsigned all = links[FORTH] + links[BACK], best_all = x->join_links[FORTH] + x->join_links[BACK];
	int c;

	if (cost != x->best || x->best == UNREACHED)
		return cost < x->best;
	if (all != best_all)
		return all < best_all;
	if ((c = memcmp(id_of(x, slot[FORTH]), id_of(x, x->join[FORTH]), NODE_ID_LEN)) != 0 ||
	    (c = memcmp(id_of(x, slot[BACK]), id_of(x, x->join[BACK]), NODE_ID_LEN)) != 0)
		return c < 0;
	return links[FORTH] < x->join_links[FORTH];
}

/* All links from one labelled node to nodes that are labelled from the destination. */
static void
join_from(struct search *x, uint32_t slot, unsigned links)
{
	uint32_t at = x->s->slot[slot].node;
	const struct graph_node *n = &x->g->node[at];
	uint64_t cost = x->s->slot[slot].l[FORTH][links].cost + own_cost(x, slot);

	for (uint32_t i = 0; cost < x->best && i < n->nhalves && x->work < WORK_MAX; i++) {
		const struct half *h = &n->half[i];
		const struct graph_node *o = &x->g->node[h->to];
		uint64_t c;

		x->work++;
		if ((!h->relays && h->to != x->end[BACK]) || h->to == x->end[FORTH] || o->query != x->g->queries ||
		    x->s->slot[o->slot].search != x->number || left_out(x, at, h->to) || !graph_link_there(x->g, h))
			continue;
		c = cost + link_cost(x, h, at, slot, o->slot) + own_cost(x, o->slot);
		for (unsigned back = 0; back <= ARM && links + 1 + back <= x->links_max; back++) {
			const struct label *l = &x->s->slot[o->slot].l[BACK][back];
			uint32_t ends[2] = { slot, o->slot };
			unsigned arms[2] = { links, back };

			if (l->cost == UNREACHED || !joins_better(x, c + l->cost, ends, arms))
				continue;
			x->best = c + l->cost;
			memcpy(x->join, ends, sizeof(ends));
			memcpy(x->join_links, arms, sizeof(arms));
		}
	}
}

static void
join_all(struct search *x, unsigned links_to)
{
	for (unsigned links = 0; links <= links_to && links < x->links_max; links++) {
		const struct list *l = &x->s->list[FORTH][links];

		for (uint32_t i = 0; i < l->n; i++)
			join_from(x, l->slot[i], links);
	}
}

/* The least that a route has to pay at this end, if it has a relay at all: the first link and the relay behind it. */
static uint64_t
least_at(const struct search *x, enum side side)
{
	const struct list *l = &x->s->list[side][1];
	uint64_t least = UNREACHED;

	for (uint32_t i = 0; i < l->n; i++) {
		uint64_t cost = x->s->slot[l->slot[i]].l[side][1].cost + own_cost(x, l->slot[i]);

		least = cost < least ? cost : least;
	}
	return least;
}

/* Of what is two links away only such as can still be part of a better route than the one that is known. */
static void
reach_out(struct search *x, enum side side)
{
	const struct list *l = &x->s->list[side][1];
	uint64_t other = least_at(x, !side), bound = x->best == UNREACHED ? UNREACHED - 1 : x->best;

	if (other > bound)
		return;
	for (uint32_t i = 0; i < l->n; i++)
		expand(x, side, l->slot[i], 1, bound - other);
}

static void
search(struct search *x)
{
	x->number++;
	x->work = 0;
	x->best = UNREACHED;
	for (int side = FORTH; side <= BACK; side++) {
		uint32_t slot = slot_get(x, x->end[side]);

		for (unsigned i = 0; i <= ARM; i++)
			x->s->list[side][i].n = 0;
		if (slot == NOBODY)
			return;
		offer(x, (enum side)side, slot, 0, 0, slot);
		if (x->links_max > 1)
			expand(x, (enum side)side, slot, 0, UNREACHED - 1);
	}
	join_all(x, 1);		/* up to three links */
	if (x->links_max <= 3)
		return;
	reach_out(x, BACK);
	reach_out(x, FORTH);
	join_all(x, ARM);
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
	uint32_t slot = x->join[FORTH];
	unsigned at = x->join_links[FORTH];

	r->n = (uint8_t)(x->join_links[FORTH] + x->join_links[BACK] + 2);
	for (unsigned i = at + 1; i-- > 0;) {
		r->node[i] = x->s->slot[slot].node;
		slot = x->s->slot[slot].l[FORTH][i].pred;
	}
	slot = x->join[BACK];
	for (unsigned i = x->join_links[BACK] + 1; i-- > 0;) {
		r->node[++at] = x->s->slot[slot].node;
		slot = x->s->slot[slot].l[BACK][i].pred;
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
		if ((h = half_to(x->g, r->node[i], r->node[i + 1])) == NULL || !graph_link_there(x->g, h))
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
