/* The graph itself: nodes by id, links as two halves. graph_in.h has the structures. */
#include "fabric/graph_in.h"

#include <stdlib.h>
#include <string.h>

#define TOLD_MAX	2000u		/* thousandths of a failure, by the word of one: four come to FAILURES_MAX */
#define NODES_MAX	(1u << 24)

static uint32_t
bucket_of(const struct graph *g, const uint8_t *id)
{
	uint32_t h;

	memcpy(&h, id, sizeof(h));	/* a node id is a hash already */
	return h & (g->nbuckets - 1);
}

static uint64_t
text_hash(const char *s)
{
	uint64_t h = 0xcbf29ce484222325ull;	/* FNV-1a */

	if (*s == '\0')
		return 0;
	for (; *s != '\0'; s++)
		h = (h ^ (uint8_t)*s) * 0x100000001b3ull;
	return h != 0 ? h : 1;
}

struct graph *
graph_new(void)
{
	struct graph *g = calloc(1, sizeof(*g));

	if (g == NULL)
		return NULL;
	g->free = NOBODY;
	g->nbuckets = 64;
	g->bucket = malloc(g->nbuckets * sizeof(*g->bucket));
	if (g->bucket == NULL) {
		free(g);
		return NULL;
	}
	memset(g->bucket, 0xff, g->nbuckets * sizeof(*g->bucket));
	return g;
}

void
graph_free(struct graph *g)
{
	if (g == NULL)
		return;
	for (uint32_t i = 0; i < g->nnodes; i++) {
		free(g->node[i].text);
		free(g->node[i].half);
		free(g->node[i].tellers);
	}
	path_scratch_free(g->scratch);
	free(g->node);
	free(g->bucket);
	free(g);
}

size_t
graph_size(const struct graph *g)
{
	return g->members;
}

size_t
graph_bytes(const struct graph *g)
{
	size_t n = sizeof(*g) + g->size * sizeof(*g->node) + g->nbuckets * sizeof(*g->bucket) + path_scratch_bytes(g->scratch);

	for (uint32_t i = 0; i < g->nnodes; i++) {
		const char *text = g->node[i].text;

		n += g->node[i].halves_size * sizeof(struct half);
		n += g->node[i].tellers != NULL ? TELLERS_MAX * sizeof(struct teller) : 0;
		if (text != NULL)
			n += strlen(text) + strlen(text + strlen(text) + 1) + 2;
	}
	return n;
}

struct graph_node *
graph_node_find(const struct graph *g, const uint8_t *id)
{
	for (uint32_t i = g->bucket[bucket_of(g, id)]; i != NOBODY; i = g->node[i].next)
		if (memcmp(g->node[i].id, id, NODE_ID_LEN) == 0)
			return &g->node[i];
	return NULL;
}

/* Twice as many buckets. Without memory the chains only become longer. */
static void
buckets_grow(struct graph *g)
{
	uint32_t n = g->nbuckets * 2, *p = malloc(n * sizeof(*p));

	if (p == NULL)
		return;
	memset(p, 0xff, n * sizeof(*p));
	free(g->bucket);
	g->bucket = p;
	g->nbuckets = n;
	for (uint32_t i = 0; i < g->nnodes; i++) {
		uint32_t b;

		if (!g->node[i].used)
			continue;
		b = bucket_of(g, g->node[i].id);
		g->node[i].next = g->bucket[b];
		g->bucket[b] = i;
	}
}

static int
nodes_grow(struct graph *g)
{
	uint32_t size = g->size == 0 ? 16 : g->size + g->size / 2;
	struct graph_node *p;

	if (size > NODES_MAX || (p = realloc(g->node, size * sizeof(*p))) == NULL)
		return -1;
	g->node = p;
	g->size = size;
	return 0;
}

/* Finds or makes; nodes may move. */
static struct graph_node *
node_get(struct graph *g, const uint8_t *id)
{
	struct graph_node *n = graph_node_find(g, id);
	uint32_t i, b;

	if (n != NULL)
		return n;
	if (g->free != NOBODY) {
		i = g->free;
		g->free = g->node[i].next;
	} else {
		if (g->nnodes == g->size && nodes_grow(g) == -1)
			return NULL;
		i = g->nnodes++;
	}
	n = &g->node[i];
	memset(n, 0, sizeof(*n));	/* before anything looks at all places */
	if (g->nnodes > g->nbuckets)
		buckets_grow(g);
	memcpy(n->id, id, NODE_ID_LEN);
	n->used = true;
	b = bucket_of(g, id);
	n->next = g->bucket[b];
	g->bucket[b] = i;
	return n;
}

/* Nothing holds it any more: no member, and nobody tells of a link to it. */
static void
node_drop_if_idle(struct graph *g, uint32_t i)
{
	struct graph_node *n = &g->node[i];
	uint32_t *p = &g->bucket[bucket_of(g, n->id)];

	if (n->text != NULL || n->nhalves > 0)
		return;
	while (*p != i)
		p = &g->node[*p].next;
	*p = n->next;
	free(n->half);
	free(n->tellers);
	memset(n, 0, sizeof(*n));
	n->next = g->free;
	g->free = i;
}

bool
graph_node_relays(const struct graph_node *n)
{
	return n->text != NULL && n->relay && n->relay_classes != 0 && n->roles & (1u << ROLE_RELAY | 1u << ROLE_ENTRY);
}

/* `said' is how one end has it, `by' who did not say it. */
static bool
denied(const struct half *said, const struct graph_node *by)
{
	return by->told_all && by->told_ns > said->said_ns;
}

bool
graph_link_there(const struct graph *g, const struct half *h)
{
	const struct graph_node *to = &g->node[h->to];
	const struct half *o = &to->half[h->back];

	if (h->said && o->said)
		return true;
	return h->said ? !denied(h, to) : !denied(o, &g->node[o->to]);
}

static uint32_t
worse(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

struct measure
graph_link(const struct graph *g, const struct half *h)
{
	const struct half *o = &g->node[h->to].half[h->back];
	struct measure m = h->said ? h->m : o->m;

	if (!h->said || !o->said)
		return m;
	m.rtt_us = worse(m.rtt_us, o->m.rtt_us);
	m.jitter_us = worse(m.jitter_us, o->m.jitter_us);
	m.loss = (uint16_t)worse(m.loss, o->m.loss);
	if (m.kbps == 0 || (o->m.kbps != 0 && o->m.kbps < m.kbps))
		m.kbps = o->m.kbps;
	return m;
}

/* The half of a link between two nodes that is at `a', looked for where there are fewer; NOBODY. */
static uint32_t
half_find(const struct graph *g, uint32_t a, uint32_t b)
{
	const struct graph_node *x = &g->node[a], *y = &g->node[b];

	if (x->nhalves <= y->nhalves) {
		for (uint32_t i = 0; i < x->nhalves; i++)
			if (x->half[i].to == b)
				return i;
	} else {
		for (uint32_t i = 0; i < y->nhalves; i++)
			if (y->half[i].to == a)
				return y->half[i].back;
	}
	return NOBODY;
}

static int
halves_room(struct graph_node *n)
{
	uint32_t size = n->halves_size + n->halves_size / 2 + 2;
	struct half *p;

	if (n->nhalves < n->halves_size)
		return 0;
	if ((p = realloc(n->half, size * sizeof(*p))) == NULL)
		return -1;
	n->half = p;
	n->halves_size = size;
	return 0;
}

/* A link that nobody has said anything of yet. */
static uint32_t
link_add(struct graph *g, uint32_t a, uint32_t b)
{
	struct graph_node *x = &g->node[a], *y = &g->node[b];

	if (halves_room(x) == -1 || halves_room(y) == -1)
		return NOBODY;
	x->half[x->nhalves] = (struct half){ .to = b, .back = y->nhalves, .relays = graph_node_relays(y) };
	y->half[y->nhalves] = (struct half){ .to = a, .back = x->nhalves, .relays = graph_node_relays(x) };
	y->nhalves++;
	return x->nhalves++;
}

/* Takes one half away: the last comes into its place. */
static void
half_remove(struct graph *g, struct graph_node *n, uint32_t i)
{
	n->nhalves--;
	if (i == n->nhalves)
		return;
	n->half[i] = n->half[n->nhalves];
	g->node[n->half[i].to].half[n->half[i].back].back = i;
}

/* This end says no more of its i'th link; the link is gone when the other does not either. True: it is. */
static bool
half_unsay(struct graph *g, uint32_t a, uint32_t i)
{
	struct half *h = &g->node[a].half[i];
	uint32_t b = h->to, back = h->back;

	h->said = false;
	if (g->node[b].half[back].said)
		return false;
	half_remove(g, &g->node[b], back);
	half_remove(g, &g->node[a], i);
	node_drop_if_idle(g, b);
	return true;
}

static int
link_say(struct graph *g, const uint8_t *from, const struct fact_link *l, uint64_t now_ns)
{
	struct graph_node *other;
	uint32_t a, b, i;

	if (memcmp(from, l->node_id, NODE_ID_LEN) == 0)
		return 0;
	if ((other = node_get(g, l->node_id)) == NULL)
		return -1;
	b = (uint32_t)(other - g->node);
	a = (uint32_t)(graph_node_find(g, from) - g->node);
	if ((i = half_find(g, a, b)) == NOBODY && (i = link_add(g, a, b)) == NOBODY) {
		node_drop_if_idle(g, b);
		return -1;
	}
	g->node[a].half[i].said = true;
	g->node[a].half[i].said_ns = now_ns;
	g->node[a].half[i].m = (struct measure){ l->rtt_us, l->jitter_us, l->kbps, l->loss };
	return 0;
}

static int
text_set(struct graph *g, struct graph_node *n, const struct policy_node *who)
{
	size_t name = strlen(who->name) + 1, tenant = strlen(who->tenant) + 1;
	char *p;

	if (n->text != NULL && strcmp(n->text, who->name) == 0 && strcmp(n->text + name, who->tenant) == 0)
		return 0;
	if ((p = malloc(name + tenant)) == NULL)
		return -1;
	memcpy(p, who->name, name);
	memcpy(p + name, who->tenant, tenant);
	g->members += n->text == NULL;
	free(n->text);
	n->text = p;
	return 0;
}

static void
facts_set(struct graph_node *n, const struct facts *f)
{
	static const struct facts none;

	if (f == NULL)
		f = &none;
	n->relay = f->relay;
	n->relay_classes = f->relay_classes;
	n->relay_kbps = f->relay_kbps;
	n->cost = f->cost;
	n->domain = text_hash(f->domain);
	n->region = (uint32_t)text_hash(f->region);
	n->queue = f->queue;
	n->load = (uint16_t)worse(f->cpu, worse(f->memory, f->descriptors));
	n->net = f->net;
	n->metered = f->metered;
	n->on_battery = f->on_battery;
	n->charging = f->charging;
	n->battery = f->battery;
}

/* The other ends know whether it may be a relay. */
static void
relays_tell(struct graph *g, const struct graph_node *n)
{
	bool relays = graph_node_relays(n);

	for (uint32_t i = 0; i < n->nhalves; i++)
		g->node[n->half[i].to].half[n->half[i].back].relays = relays;
}

/* Which links the facts no longer tell of. Counts down: half_unsay() puts the last into the place of what goes. */
static void
links_unsay(struct graph *g, uint32_t a, const struct facts *f)
{
	unsigned nlinks = f == NULL ? 0 : f->nlinks;

	for (uint32_t i = g->node[a].nhalves; i-- > 0;) {
		const uint8_t *other = g->node[g->node[a].half[i].to].id;
		bool still = false;

		if (!g->node[a].half[i].said)
			continue;
		for (unsigned j = 0; j < nlinks && !still; j++)
			still = memcmp(f->links[j].node_id, other, NODE_ID_LEN) == 0;
		if (!still)
			half_unsay(g, a, i);
	}
}

int
graph_node_set(struct graph *g, const struct policy_node *who, const struct facts *f, uint64_t now_ns)
{
	struct graph_node *n = node_get(g, who->node_id);
	int rv = 0;

	if (n == NULL)
		return -1;
	if (text_set(g, n, who) == -1) {
		node_drop_if_idle(g, (uint32_t)(n - g->node));
		return -1;
	}
	n->roles = who->roles;
	n->tier = who->tier;
	facts_set(n, f);
	n->told_ns = now_ns;
	n->told_all = f != NULL && f->nlinks < FACTS_LINKS_MAX;
	links_unsay(g, (uint32_t)(n - g->node), f);
	for (unsigned i = 0; f != NULL && i < f->nlinks; i++)
		if (link_say(g, who->node_id, &f->links[i], now_ns) == -1)
			rv = -1;
	relays_tell(g, graph_node_find(g, who->node_id));
	return rv;
}

void
graph_node_del(struct graph *g, const uint8_t *id)
{
	struct graph_node *n = graph_node_find(g, id);
	uint32_t a;

	if (n == NULL || n->text == NULL)
		return;
	a = (uint32_t)(n - g->node);
	links_unsay(g, a, NULL);
	free(n->text);
	n->text = NULL;
	facts_set(n, NULL);
	n->told_all = false;
	g->members--;
	relays_tell(g, n);
	node_drop_if_idle(g, a);
}

static void
fail(struct failures *f, uint32_t most, uint64_t now_ns)
{
	uint32_t v = score_faded(f, now_ns) + FAILURE;

	f->failed = v < most ? v : most;
	f->failed_ns = now_ns;
}

void
graph_failed(struct graph *g, const uint8_t *id, uint64_t now_ns)
{
	struct graph_node *n = graph_node_find(g, id);

	if (n != NULL)
		fail(&n->own, FAILURES_MAX, now_ns);
}

/* Its place among those who told of failures of the node, or that of whose word counts least. */
static struct teller *
teller_of(struct graph_node *n, const uint8_t *id, uint64_t now_ns)
{
	struct teller *least = n->tellers;

	for (struct teller *t = n->tellers; t < n->tellers + TELLERS_MAX; t++) {
		if (memcmp(t->id, id, NODE_ID_LEN) == 0)
			return t;
		if (score_faded(&t->f, now_ns) < score_faded(&least->f, now_ns))
			least = t;
	}
	memset(least, 0, sizeof(*least));
	memcpy(least->id, id, NODE_ID_LEN);
	return least;
}

void
graph_failed_told(struct graph *g, const uint8_t *id, const uint8_t *by, uint64_t now_ns)
{
	struct graph_node *n = graph_node_find(g, id);
	struct teller *t;

	if (n == NULL || (n->tellers == NULL && (n->tellers = calloc(TELLERS_MAX, sizeof(*n->tellers))) == NULL))
		return;
	t = teller_of(n, by, now_ns);
	if (t->f.failed == 0 || now_ns - t->f.failed_ns >= GRAPH_TOLD_NS)
		fail(&t->f, TOLD_MAX, now_ns);
}
