#include "routed/ways.h"

#include <stdlib.h>
#include <string.h>

#include "routed/order.h"

#define LOSS_US_DELAY	5000u	/* of one lost in a thousand */
#define LOSS_US_BULK	10000u
#define RELAY_US_DELAY	5000u
#define RELAY_US_BULK	10000u
#define THIN_BITS	1000000u	/* whose time a thin way costs */
#define THIN_MAX_US	2000000u
#define COST_MAX	0x3fffffffu
#define BAD_LOSS	15u	/* thousandths: of eight seconds five probes, one of which does not count */
#define BAD_DELAY_US	80000u	/* above the least of the last minutes */
#define THIN_DELAY_US	40000u
#define THIN_KBPS	4000u	/* less than this beside a queue is thin, whatever it was before */
#define THIN_REPORTS	2u
#define LOW_SHIFT	8	/* the least is forgotten by a 256th a report */
#define BACK_SILENT_NS	(5u * 1000000000ull)

static const uint8_t group_classes[WAY_GROUPS] = { WAYS_DELAY_CLASSES, WAYS_BULK_CLASSES };

struct ways {
	const struct ways_ops *ops;
	void		*arg;
	struct ways_node **nodes;	/* sorted by node id */
	size_t		 n, size;
	bool		 unsaid;	/* an order could not be told */
};

const char *
way_why_name(unsigned why)
{
	static const char *const names[] = { "better", "loss", "delay", "thin", "state" };

	_Static_assert(sizeof(names) / sizeof(names[0]) == WAY_WHY_COUNT, "a reason without a name");
	return why < WAY_WHY_COUNT ? names[why] : "unknown";
}

const char *
way_state_name(unsigned state)
{
	static const char *const names[] = { "new", "up", "silent" };

	_Static_assert(sizeof(names) / sizeof(names[0]) == WAY_COUNT, "a state without a name");
	return state < WAY_COUNT ? names[state] : "unknown";
}

struct ways *
ways_new(const struct ways_ops *ops, void *arg)
{
	struct ways *w = calloc(1, sizeof(*w));

	if (w != NULL) {
		w->ops = ops;
		w->arg = arg;
	}
	return w;
}

void
ways_free(struct ways *w)
{
	if (w == NULL)
		return;
	for (size_t i = 0; i < w->n; i++)
		free(w->nodes[i]);
	free(w->nodes);
	free(w);
}

/* --- who is there --- */

static size_t
place(const struct ways *w, const uint8_t *node_id, bool *found)
{
	_Static_assert(offsetof(struct ways_node, node_id) == 0, "order_place() finds the id there");
	return order_place(w->nodes, w->n, node_id, found);
}

const struct ways_node *
ways_find(const struct ways *w, const uint8_t *node_id)
{
	bool found;
	size_t i = place(w, node_id, &found);

	return found ? w->nodes[i] : NULL;
}

static struct ways_node *
node_add(struct ways *w, const uint8_t *node_id)
{
	bool found;
	size_t i = place(w, node_id, &found);
	struct ways_node *node;

	if (found)
		return w->nodes[i];
	if (w->n == WAYS_NODES_MAX)
		return NULL;
	if (w->n == w->size) {
		size_t size = w->size == 0 ? 16 : w->size * 2;
		void *grown = reallocarray(w->nodes, size, sizeof(struct ways_node *));

		if (grown == NULL)
			return NULL;
		w->nodes = grown;
		w->size = size;
	}
	if ((node = calloc(1, sizeof(*node))) == NULL)
		return NULL;
	memcpy(node->node_id, node_id, NODE_ID_LEN);
	memmove(&w->nodes[i + 1], &w->nodes[i], (w->n - i) * sizeof(struct ways_node *));
	w->nodes[i] = node;
	w->n++;
	return node;
}

static struct way *
find(struct ways_node *node, uint64_t route_id)
{
	for (size_t i = 0; i < node->n; i++)
		if (node->way[i].route_id == route_id)
			return &node->way[i];
	return NULL;
}

const struct way *
ways_way(const struct ways_node *node, uint64_t route_id)
{
	return find((struct ways_node *)node, route_id);
}

unsigned
ways_state(const struct ways *w, const uint8_t *node_id, uint64_t route_id)
{
	const struct ways_node *node = ways_find(w, node_id);
	const struct way *y = node == NULL ? NULL : ways_way(node, route_id);

	return y == NULL ? WAY_COUNT : y->state;
}

/* --- what a way costs --- */

static uint32_t
loss_of(const struct way *y)
{
	uint32_t one = y->probes == 0 ? 1000 : 1000 / y->probes;

	return y->loss > one ? y->loss - one : 0;
}

static uint64_t
thin_us(const struct way *y)
{
	uint64_t us;

	if (y->thin_kbps == 0)
		return 0;
	us = (uint64_t)THIN_BITS * 1000 / y->thin_kbps;
	return us > THIN_MAX_US ? THIN_MAX_US : us;
}

static uint32_t
measured_cost(const struct way *y, enum way_group g)
{
	uint64_t relays = y->nodes > 2 ? y->nodes - 2u : 0, us;

	if (g == WAYS_DELAY)
		us = y->rtt_us + 2ull * y->jitter_us + (uint64_t)loss_of(y) * LOSS_US_DELAY + relays * RELAY_US_DELAY;
	else
		us = y->rtt_us / 2 + (uint64_t)y->jitter_us + (uint64_t)loss_of(y) * LOSS_US_BULK + relays * RELAY_US_BULK +
		    thin_us(y);
	return us + 1 > COST_MAX ? COST_MAX : (uint32_t)us + 1;
}

static bool
delayed(const struct way *y)
{
	return y->rtt_us > y->low_us + BAD_DELAY_US;
}

/* Whether it has become worse than it was, and by what. */
static bool
bad(const struct way *y, enum way_group g, enum way_why *why)
{
	if (y->state != WAY_UP)
		*why = WAY_WHY_STATE;
	else if (loss_of(y) >= BAD_LOSS)
		*why = WAY_WHY_LOSS;
	else if (g == WAYS_BULK && y->thin_kbps != 0)
		*why = WAY_WHY_THIN;
	else if (delayed(y))
		*why = WAY_WHY_DELAY;
	else
		return false;
	return true;
}

/*
 * What goes over it says little of what it could carry, unless there is a queue before it: then that is what it carries.
 * Twice in a row, since one report may be of a second in which the streams only began.
 */
static void
judge_thin(struct way *y)
{
	uint32_t queue = y->low_us > THIN_DELAY_US ? y->low_us : THIN_DELAY_US;
	bool queued = y->streams > 0 && y->kbps > 0 && y->rtt_us > y->low_us + queue;

	if (y->thin_kbps != 0 && (uint64_t)y->kbps > 4ull * y->thin_kbps)
		y->thin_kbps = 0;
	if (!queued || (y->kbps >= THIN_KBPS && y->peak_kbps / 4 < y->kbps)) {
		y->thin_reports = 0;
		return;
	}
	if (++y->thin_reports < THIN_REPORTS)
		return;
	y->thin_reports = THIN_REPORTS;
	y->thin_kbps = y->kbps;
}

static void
judge(struct ways_node *node, uint64_t now_ns)
{
	for (size_t i = 0; i < node->n; i++) {
		struct way *y = &node->way[i];

		for (unsigned g = 0; g < WAY_GROUPS; g++) {
			struct way_judged *j = &y->in[g];

			j->cost = j->measured = y->measured ? measured_cost(y, g) : 0;
			if (now_ns < j->back_ns && j->cost < j->back_cost)
				j->cost = j->back_cost;
		}
	}
}

/* --- which comes first --- */

static bool
serves(const struct way *y, enum way_group g)
{
	return (y->classes & group_classes[g]) != 0;
}

/* What answers, then what is to be left, then what may answer; what is silent comes last. */
static unsigned
standing(const struct way *y)
{
	if (y->state == WAY_SILENT)
		return 3;
	if (y->state == WAY_NEW)
		return 2;
	return y->retired;
}

/*
 * x and y are what they cost. Nothing is between the nodes of a session: when it is as good it is wanted back, and a route has
 * to be better by a margin.
 */
static bool
beats(const struct way *a, uint64_t x, const struct way *b, uint64_t y)
{
	if (standing(a) != standing(b))
		return standing(a) < standing(b);
	if (x == 0 || y == 0)
		return y == 0 && x != 0 && standing(a) == 0;
	if (a->route_id == 0)
		return x < y;
	return x + x / 4 + WAYS_MARGIN_US < y;
}

static void
leave(struct way *y, enum way_group g, uint64_t wait_ns, uint64_t now_ns)
{
	struct way_judged *j = &y->in[g];

	if (j->back_wait_ns != 0 && now_ns < j->back_ns + WAYS_CALM_NS)
		wait_ns = j->back_wait_ns * 2 > WAYS_BACK_MAX_NS ? WAYS_BACK_MAX_NS : j->back_wait_ns * 2;
	j->back_wait_ns = wait_ns;
	j->back_ns = now_ns + wait_ns;
	j->back_cost = j->cost == 0 ? COST_MAX : j->cost;
}

/* The rest of the order needs no patience: nobody is on it. */
static void
sort_rest(struct ways_node *node, enum way_group g, unsigned from)
{
	uint64_t *order = node->order[g];

	for (unsigned i = from + 1; i < node->norder[g]; i++)
		for (unsigned k = i; k > from; k--) {
			uint64_t id = order[k];
			const struct way *y = find(node, id), *before = find(node, order[k - 1]);

			if (!beats(y, y->in[g].cost, before, before->in[g].cost))
				break;
			order[k] = order[k - 1];
			order[k - 1] = id;
		}
}

static void
to_front(struct ways_node *node, enum way_group g, uint64_t route_id)
{
	uint64_t *order = node->order[g];
	unsigned i = 0;

	while (i < node->norder[g] && order[i] != route_id)
		i++;
	if (i == node->norder[g])
		return;
	memmove(&order[1], &order[0], i * sizeof(*order));
	order[0] = route_id;
	for (size_t k = 0; k < node->n; k++)
		node->way[k].in[g].beats_ns = 0;
}

/* The best of those that have been better than the first for long enough. */
static struct way *
challenger(struct ways_node *node, enum way_group g, const struct way *first, uint64_t now_ns)
{
	enum way_why why;
	bool is_bad = bad(first, g, &why);
	uint64_t hold = is_bad ? WAYS_HOLD_BAD_NS : WAYS_HOLD_NS;
	struct way *best = NULL;

	for (size_t i = 0; i < node->n; i++) {
		struct way *y = &node->way[i];
		struct way_judged *j = &y->in[g];

		if (y == first || !serves(y, g) ||
		    !beats(y, is_bad ? j->measured : j->cost, first, first->in[g].measured)) {
			j->beats_ns = 0;
			continue;
		}
		if (j->beats_ns == 0)
			j->beats_ns = now_ns;
		/* One of which nothing is known yet may be as good: its report comes within the second. */
		if ((standing(y) == standing(first) || first->state == WAY_NEW) && now_ns - j->beats_ns < hold)
			continue;
		if (best == NULL || standing(y) < standing(best) ||
		    (standing(y) == standing(best) && j->cost < best->in[g].cost))
			best = y;
	}
	return best;
}

static void
arrange(struct ways *w, struct ways_node *node, enum way_group g, uint64_t now_ns)
{
	struct way *first, *next;
	enum way_why why;

	if (node->norder[g] == 0)
		return;
	first = find(node, node->order[g][0]);
	next = challenger(node, g, first, now_ns);
	if (next != NULL) {
		if (bad(first, g, &why))
			leave(first, g, why == WAY_WHY_STATE ? BACK_SILENT_NS : WAYS_BACK_NS, now_ns);
		else
			why = WAY_WHY_BETTER;
		to_front(node, g, next->route_id);
		w->ops->first(node, g, first->route_id, next->route_id, why, w->arg);
	}
	sort_rest(node, g, 1);
}

/* --- telling --- */

static int
tell(struct ways *w, struct ways_node *node, enum way_group g)
{
	uint8_t ids[WAYS_MAX * 8];
	struct pm_route_rank m = { .classes = group_classes[g] };

	for (unsigned i = 0; i < node->norder[g]; i++)
		for (unsigned b = 0; b < 8; b++)
			ids[i * 8 + b] = (uint8_t)(node->order[g][i] >> (56 - 8 * b));
	memcpy(m.node_id, node->node_id, NODE_ID_LEN);
	m.ids = (struct frame_bytes){ ids, node->norder[g] * 8u };
	if (w->ops->rank(&m, w->arg) == -1)
		return -1;
	memcpy(node->told[g], node->order[g], sizeof(node->told[g]));
	node->ntold[g] = node->norder[g];
	return 0;
}

/* The session alone, or nothing, is what the dataplane goes by anyway. */
static bool
worth_telling(const struct ways_node *node, enum way_group g)
{
	if (node->norder[g] == node->ntold[g] &&
	    memcmp(node->order[g], node->told[g], node->norder[g] * sizeof(uint64_t)) == 0)
		return false;
	return node->norder[g] > 1 || (node->ntold[g] > 1 && node->norder[g] > 0);
}

static void
node_tell(struct ways *w, struct ways_node *node)
{
	for (unsigned g = 0; g < WAY_GROUPS; g++)
		if (worth_telling(node, g) && tell(w, node, g) == -1)
			w->unsaid = true;
}

void
ways_sync(struct ways *w)
{
	if (!w->unsaid)
		return;
	w->unsaid = false;
	for (size_t i = 0; i < w->n; i++)
		node_tell(w, w->nodes[i]);
}

void
ways_again(struct ways *w)
{
	for (size_t i = 0; i < w->n; i++)
		memset(w->nodes[i]->ntold, 0, sizeof(w->nodes[i]->ntold));
	w->unsaid = true;
	ways_sync(w);
}

static void
reconsider(struct ways *w, struct ways_node *node, uint64_t now_ns)
{
	judge(node, now_ns);
	for (unsigned g = 0; g < WAY_GROUPS; g++)
		arrange(w, node, g, now_ns);
	node_tell(w, node);
}

/* --- what comes in --- */

static void
order_del(struct ways_node *node, enum way_group g, uint64_t route_id)
{
	unsigned n = 0;

	for (unsigned i = 0; i < node->norder[g]; i++)
		if (node->order[g][i] != route_id)
			node->order[g][n++] = node->order[g][i];
	node->norder[g] = (uint8_t)n;
}

/* A session is put first, a route last: it is to prove itself. */
static void
order_add(struct ways_node *node, enum way_group g, uint64_t route_id)
{
	uint64_t *order = node->order[g];
	unsigned at = route_id == 0 ? 0 : node->norder[g];

	memmove(&order[at + 1], &order[at], (node->norder[g] - at) * sizeof(*order));
	order[at] = route_id;
	node->norder[g]++;
}

int
ways_add(struct ways *w, const uint8_t *node_id, uint64_t route_id, uint8_t nodes, uint8_t classes, uint64_t now_ns)
{
	struct ways_node *node = node_add(w, node_id);
	struct way *y;

	if (node == NULL)
		return -1;
	if ((y = find(node, route_id)) == NULL) {
		if (node->n == WAYS_MAX)
			return -1;
		y = &node->way[node->n++];
		memset(y, 0, sizeof(*y));
		y->route_id = route_id;
		y->state = WAY_NEW;
	} else if (y->classes == classes && y->nodes == nodes)
		return 0;
	y->nodes = nodes;
	y->classes = classes;
	for (unsigned g = 0; g < WAY_GROUPS; g++) {
		order_del(node, g, route_id);
		if (serves(y, g))
			order_add(node, g, route_id);
	}
	reconsider(w, node, now_ns);
	return 0;
}

void
ways_del(struct ways *w, const uint8_t *node_id, uint64_t route_id, uint64_t now_ns)
{
	bool found;
	size_t i = place(w, node_id, &found);
	struct ways_node *node;
	struct way *y;

	if (!found || (y = find(w->nodes[i], route_id)) == NULL)
		return;
	node = w->nodes[i];
	for (unsigned g = 0; g < WAY_GROUPS; g++)
		order_del(node, g, route_id);
	*y = node->way[--node->n];
	if (node->n > 0) {
		reconsider(w, node, now_ns);
		return;
	}
	free(node);
	w->n--;
	memmove(&w->nodes[i], &w->nodes[i + 1], (w->n - i) * sizeof(struct ways_node *));
}

void
ways_retire(struct ways *w, const uint8_t *node_id, uint64_t route_id, uint64_t now_ns)
{
	bool found;
	size_t i = place(w, node_id, &found);
	struct way *y = found ? find(w->nodes[i], route_id) : NULL;

	if (y == NULL)
		return;
	y->retired = true;
	reconsider(w, w->nodes[i], now_ns);
}

void
ways_stat(struct ways *w, const struct pm_route_stat *m, uint64_t now_ns)
{
	bool found;
	size_t i = place(w, m->node_id, &found);
	struct way *y = found ? find(w->nodes[i], m->route_id) : NULL;

	if (y == NULL || m->state >= WAY_COUNT)
		return;
	y->state = m->state;
	y->loss = m->loss > 1000 ? 1000 : m->loss;
	y->probes = m->probes;
	y->kbps = m->kbps;
	y->streams = m->streams;
	if (m->kbps > y->peak_kbps)
		y->peak_kbps = m->kbps;
	else
		y->peak_kbps -= y->peak_kbps / 64;	/* about a minute */
	if (m->rtt_us != 0) {
		y->rtt_us = m->rtt_us;
		y->jitter_us = m->jitter_us;
		if (!y->measured || m->rtt_us < y->low_us)
			y->low_us = m->rtt_us;
		else
			y->low_us += (m->rtt_us - y->low_us) >> LOW_SHIFT;
		y->measured = true;
		judge_thin(y);
	}
	reconsider(w, w->nodes[i], now_ns);
}

void
ways_moved(struct ways *w, const struct pm_route_moved *m, uint64_t now_ns)
{
	bool found;
	size_t i = place(w, m->node_id, &found);
	struct ways_node *node = found ? w->nodes[i] : NULL;
	struct way *from = found ? find(node, m->from) : NULL, *to = found ? find(node, m->to) : NULL;

	if (from == NULL || to == NULL || m->to_none || from == to)
		return;
	for (unsigned g = 0; g < WAY_GROUPS; g++) {
		if (node->norder[g] == 0 || node->order[g][0] != m->from || !serves(to, g))
			continue;
		leave(from, g, BACK_SILENT_NS, now_ns);
		to_front(node, g, m->to);
		w->ops->first(node, g, m->from, m->to, WAY_WHY_STATE, w->arg);
	}
	reconsider(w, node, now_ns);
}
