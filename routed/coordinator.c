#include "routed/coordinator.h"

#include <stdlib.h>
#include <string.h>

#include "crypto/box.h"
#include "routed/leasestore.h"
#include "wire/varint.h"

#define CLASSES_ALL	((1u << CLASS_COUNT) - 1)
#define EPOCHS_AHEAD	60000u		/* ms: so often, at most, that the store is written */
#define EPOCHS_STEP	1000u		/* while they are ahead of the clock, as after a restart: one for each answer */
#define LIFE_LEAST_S	5u		/* a lease that would end sooner is not given */

struct coordinator {
	struct graph	*graph;
	const struct coordinator_ops *ops;
	void		*arg;
	struct leasestore *store;
	const struct policy *policy;
	struct score_weights weights;
	/* our own */
	bool		 has_key;
	struct sign_key	 route_key;
	struct peer_identity who;
	uint8_t		 membership[FRAME_RECORD_MAX], delegation[FRAME_RECORD_MAX];
	size_t		 membership_len, delegation_len;
	/* epochs */
	bool		 epoch_known;
	uint64_t	 epoch_last, epoch_upto;	/* given; written down */
	struct sources	 sources;
};

static const char *const errors[LEASE_E_COUNT] = {
	[LEASE_OK] = "good", [LEASE_E_FORM] = "not a request", [LEASE_E_RATE] = "too many requests",
	[LEASE_E_UNKNOWN] = "the source or the destination is not known", [LEASE_E_REVOKED] = "a node is revoked",
	[LEASE_E_POLICY] = "not permitted by the policy", [LEASE_E_NO_ROUTE] = "no route",
	[LEASE_E_KEYS] = "no valid key", [LEASE_E_MEMORY] = "out of memory",
	[LEASE_E_REPLAYED] = "this request was there before",
};

const char *
lease_strerror(unsigned err)
{
	return err < LEASE_E_COUNT ? errors[err] : "unknown";
}

struct coordinator *
coordinator_new(struct graph *graph, const struct coordinator_ops *ops, void *arg, struct leasestore *store)
{
	struct coordinator *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->graph = graph;
	c->ops = ops;
	c->arg = arg;
	c->store = store;
	score_weights_default(&c->weights);
	return c;
}

void
coordinator_free(struct coordinator *c)
{
	if (c == NULL)
		return;
	sources_clear(&c->sources);
	crypto_wipe(&c->route_key, sizeof(c->route_key));
	free(c);
}

int
coordinator_keys(struct coordinator *c, const struct sign_key *route_key, struct frame_bytes membership,
    struct frame_bytes delegation)
{
	struct record m, d;

	c->has_key = false;
	if (record_decode(&m, membership.p, membership.len) != RECORD_OK || m.kind != RECORD_MEMBERSHIP ||
	    record_decode(&d, delegation.p, delegation.len) != RECORD_OK || d.kind != RECORD_DELEGATION ||
	    d.purpose != PURPOSE_ROUTE || memcmp(d.issuer, m.subject, RECORD_KEY_LEN) != 0 ||
	    memcmp(d.subject, route_key->public, RECORD_KEY_LEN) != 0)
		return -1;
	c->route_key = *route_key;
	identity_fill(&c->who, &m, &d);
	memcpy(c->membership, membership.p, c->membership_len = membership.len);
	memcpy(c->delegation, delegation.p, c->delegation_len = delegation.len);
	c->has_key = true;
	return 0;
}

void
coordinator_policy(struct coordinator *c, const struct policy *policy)
{
	c->policy = policy;
}

void
coordinator_weights(struct coordinator *c, const struct score_weights *w)
{
	c->weights = *w;
}

static uint64_t
earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* --- epochs: the time in ms, unless that would not be greater than all before --- */

/* What is further ahead nobody takes whose clock is right: this node's was wrong when it gave such a one. */
static uint64_t
epoch_max(uint64_t now_ms)
{
	return now_ms + LEASE_AHEAD_MAX_S * 1000ull;
}

static uint64_t
epoch_next(struct coordinator *c, uint64_t now_ms)
{
	uint64_t e, upto, ahead;

	/* A store that does not answer now may the next time: until then the time has to do. */
	if (!c->epoch_known && c->store != NULL && c->store->ops->epoch_get(c->store, &upto) == 0) {
		c->epoch_known = true;
		c->epoch_upto = upto;
		if (upto > c->epoch_last)
			c->epoch_last = upto;
	}
	e = now_ms > c->epoch_last ? now_ms : c->epoch_last + 1;
	if (e > epoch_max(now_ms))	/* and the last is not forgotten: it may be now that the clock is wrong */
		return epoch_max(now_ms);
	c->epoch_last = e;
	/* A minute for each of many restarts would be more than a fence by another clock is ahead of. */
	ahead = e > now_ms ? EPOCHS_STEP : EPOCHS_AHEAD;
	if (c->store != NULL && e >= c->epoch_upto && c->store->ops->epoch_put(c->store, e + ahead) == 0)
		c->epoch_upto = e + ahead;
	return e;
}

/* --- one request --- */

/* What ops.node gave of one node, kept. */
struct hop {
	char	 name[RECORD_NAME_MAX + 1], tenant[RECORD_TENANT_MAX + 1];
	uint8_t	 node_id[NODE_ID_LEN], node_key[RECORD_KEY_LEN], ticket_key[NOISE_DH_LEN];
	uint32_t roles;
	uint8_t	 tier;
	uint64_t not_after;
};

struct issue {
	struct coordinator *c;
	const struct lease_ask *ask;
	const struct lease_time *t;
	struct source	*asker;		/* what is remembered of it; NULL: it asks itself */
	struct hop	 source, dest;
	uint8_t		 classes;	/* wanted, and permitted between the ends */
	struct lease	*out;
	size_t		 n, max;
	bool		 no_keys;	/* a route was there, but a node of it has no key */
};

static struct policy_node
policy_node_of(const struct hop *h)
{
	return (struct policy_node){ h->node_id, h->name, h->tenant, h->roles, h->tier };
}

static bool
hop_get(const struct coordinator *c, struct hop *h, const uint8_t *node_id)
{
	struct lease_node n;

	if (!c->ops->node(node_id, &n, c->arg))
		return false;
	memset(h, 0, sizeof(*h));
	strncpy(h->name, n.who.name, sizeof(h->name) - 1);
	strncpy(h->tenant, n.who.tenant, sizeof(h->tenant) - 1);
	memcpy(h->node_id, node_id, NODE_ID_LEN);
	memcpy(h->node_key, n.node_key, RECORD_KEY_LEN);
	memcpy(h->ticket_key, n.ticket_key, NOISE_DH_LEN);
	h->roles = n.who.roles;
	h->tier = n.who.tier;
	h->not_after = n.not_after;
	return true;
}

static bool
revoked(const struct coordinator *c, const uint8_t *node_id)
{
	return c->ops->revoked != NULL && c->ops->revoked(node_id, c->arg);
}

static bool
reaches(const struct issue *x, unsigned class)
{
	struct policy_node s = policy_node_of(&x->source), d = policy_node_of(&x->dest);

	return x->c->ops->reach != NULL ? x->c->ops->reach(&s, &d, class, x->c->arg) :
	    policy_reach_any(x->c->policy, &s, &d, class).pass;
}

static struct graph_query
query_of(const struct issue *x, unsigned class)
{
	unsigned routes = x->ask->routes == 0 || x->ask->routes > GRAPH_ROUTES_MAX ? GRAPH_ROUTES_MAX : x->ask->routes;

	return (struct graph_query){ .source = x->ask->source, .dest = x->ask->dest, .class = class, .routes = routes,
	    .one_relay = x->ask->self, .policy = x->c->policy, .weights = &x->c->weights, .now_ns = x->t->now_ns };
}

/* No more than the policy lets each relay of the route carry for this source in this class. */
static void
relays_bound(const struct issue *x, struct lease *l, unsigned class)
{
	struct policy_node source = policy_node_of(&x->source);

	for (unsigned i = 1; i + 1 < l->n; i++) {
		struct hop h;
		struct policy_node relay;
		struct policy_verdict v;

		if (!hop_get(x->c, &h, l->nodes[i]))
			continue;
		relay = policy_node_of(&h);
		v = policy_relay(x->c->policy, &relay, &source, class);
		l->kbps = policy_tighter(l->kbps, v.kbps);
		l->streams = policy_tighter(l->streams, v.streams);
	}
}

/* For which classes this route may be, and what it is worth in each. */
static void
classes_set(const struct issue *x, struct lease *l)
{
	for (unsigned class = 0; class < CLASS_COUNT; class++) {
		struct graph_query q = query_of(x, class);
		struct graph_route r;

		l->score[class] = UINT32_MAX;
		if (!(x->classes >> class & 1) || graph_rate(x->c->graph, &q, (const uint8_t (*)[NODE_ID_LEN])l->nodes, l->n, &r) == -1)
			continue;
		l->classes |= (uint8_t)(1u << class);
		l->score[class] = r.score;
		relays_bound(x, l, class);
	}
}

static bool
has_route(const struct issue *x, const struct graph_route *r)
{
	for (size_t i = 0; i < x->n; i++)
		if (x->out[i].n == r->n && memcmp(x->out[i].nodes, r->nodes, r->n * NODE_ID_LEN) == 0)
			return true;
	return false;
}

/* Keys that are valid for long enough at each hop; *end is when the first of them ends. */
static bool
keys_good(struct issue *x, const struct graph_route *r, uint64_t *end)
{
	const uint64_t least = x->t->now_ms / 1000 + LIFE_LEAST_S;
	struct hop h;

	*end = x->c->who.not_after;
	for (unsigned i = 0; i < r->n; i++) {
		if (revoked(x->c, r->nodes[i]))
			return false;
		if (!hop_get(x->c, &h, r->nodes[i]) || h.not_after < least) {
			x->no_keys = true;
			return false;
		}
		*end = h.not_after < *end ? h.not_after : *end;
	}
	if (*end < least)
		x->no_keys = true;
	return *end >= least;
}

static void
route_id_set(const struct issue *x, struct lease *l)
{
	for (unsigned i = 0; i < x->ask->nheld && i < LEASE_HELD_MAX; i++) {
		const struct lease_held *h = &x->ask->held[i];

		if (h->n != l->n || memcmp(h->nodes, l->nodes, l->n * NODE_ID_LEN) != 0 || h->route_id == 0 ||
		    h->route_id > VARINT_MAX)
			continue;
		l->route_id = h->route_id;
		return;
	}
	while (l->route_id == 0) {
		crypto_random(&l->route_id, sizeof(l->route_id));
		l->route_id &= VARINT_MAX;
	}
}

/* A lease without epoch and tickets out of a route; nothing when it is there already, or cannot be given. */
static void
candidate(struct issue *x, const struct graph_route *r, unsigned class)
{
	const uint64_t now = x->t->now_ms / 1000;
	struct lease *l = &x->out[x->n];
	uint64_t end;

	if (x->n == x->max || has_route(x, r) || !keys_good(x, r, &end))
		return;
	memset(l, 0, sizeof(*l));
	l->n = r->n;
	memcpy(l->nodes, r->nodes, sizeof(l->nodes));
	l->self = x->ask->self;
	l->kbps = x->ask->kbps;
	l->streams = x->ask->streams;
	l->hard = earlier(now + LEASE_HARD_S, end);
	l->soft = earlier(now + LEASE_SOFT_S, l->hard);
	l->scored_class = (uint8_t)class;
	l->scored = *r;
	classes_set(x, l);
	if (l->classes == 0)
		return;
	route_id_set(x, l);
	x->n++;
}

/* Whether a lease that was found serves this class. */
static bool
served(const struct issue *x, unsigned class)
{
	for (size_t i = 0; i < x->n; i++)
		if (x->out[i].classes >> class & 1)
			return true;
	return false;
}

static void
candidates_for(struct issue *x, unsigned class)
{
	struct graph_query q = query_of(x, class);
	struct graph_route r[GRAPH_ROUTES_MAX];
	size_t n = graph_routes(x->c->graph, &q, r);

	for (size_t i = 0; i < n; i++)
		candidate(x, &r[i], class);
}

/* The most urgent class wanted of each kind; then whatever class no route so far may carry. */
static void
candidates(struct issue *x)
{
	static const uint8_t kinds[] = {
		1u << CLASS_CONTROL | 1u << CLASS_DNS | 1u << CLASS_INTERACTIVE, 1u << CLASS_RELIABLE,
		1u << CLASS_BULK | 1u << CLASS_DROPPABLE,
	};

	for (size_t k = 0; k < sizeof(kinds); k++)
		for (unsigned class = 0; class < CLASS_COUNT; class++)
			if (x->classes & kinds[k] & 1u << class) {
				candidates_for(x, class);
				break;
			}
	for (unsigned class = 0; class < CLASS_COUNT; class++)
		if (x->classes >> class & 1 && !served(x, class))
			candidates_for(x, class);
}

/* --- tickets --- */

static int
ticket_make(const struct issue *x, struct lease *l, unsigned i)
{
	const struct coordinator *c = x->c;
	struct ticket t = { .route_id = l->route_id, .epoch = l->epoch, .self = l->self, .classes = l->classes, .kbps = l->kbps,
	    .streams = l->streams, .soft = l->soft, .not_before = x->t->now_ms / 1000 - LEASE_LATER_S, .hard = l->hard,
	    .place = i == 0 ? TICKET_SOURCE : i + 1u == l->n ? TICKET_DEST : TICKET_RELAY };
	const struct frame_bytes m = { c->membership, c->membership_len }, d = { c->delegation, c->delegation_len };
	struct frame_bytes none = { NULL, 0 }, ticket;
	uint8_t content[TICKET_MAX], record[TICKET_MAX], sealed[TICKET_SEALED_MAX];
	struct record r = { .kind = RECORD_TICKET, .serial = t.epoch, .not_before = t.not_before, .not_after = t.hard };
	struct hop h;
	size_t len;

	if (!hop_get(c, &h, l->nodes[i]) || (i == 0 && lease_answer_hash(t.answer, l) == -1))
		return -1;
	if (i > 0)
		memcpy(t.prev, l->nodes[i - 1], NODE_ID_LEN);
	if (i + 1u < l->n)
		memcpy(t.next, l->nodes[i + 1], NODE_ID_LEN);
	if (t.place != TICKET_RELAY)
		memcpy(t.far, l->nodes[i == 0 ? l->n - 1 : 0], NODE_ID_LEN);
	memcpy(t.tenant, x->source.tenant, sizeof(t.tenant));
	r.subject = h.node_key;
	r.content = (struct frame_bytes){ content, ticket_encode(content, sizeof(content), &t) };
	if (r.content.len == 0 || (ticket.len = record_sign(record, sizeof(record), &r, &c->route_key)) == 0)
		return -1;
	ticket.p = record;
	len = ticket_seal(sealed, sizeof(sealed), h.ticket_key, l->route_id, m, d, ticket);
	if (len == 0)	/* our own records are too large to come with it: it has to be known who we are */
		len = ticket_seal(sealed, sizeof(sealed), h.ticket_key, l->route_id, none, none, ticket);
	if (len == 0 || (l->sealed[i].p = malloc(len)) == NULL)
		return -1;
	memcpy(l->sealed[i].p, sealed, len);
	l->sealed[i].len = len;
	return 0;
}

static int
tickets_make(const struct issue *x)
{
	for (size_t k = 0; k < x->n; k++)
		for (unsigned i = x->out[k].n; i-- > 0;)	/* the source's last: it has the hash of the others */
			if (ticket_make(x, &x->out[k], i) == -1)
				return -1;
	return 0;
}

static void
remember(const struct issue *x)
{
	struct leasestore *s = x->c->store;

	for (size_t i = 0; x->asker != NULL && i < x->n; i++)
		for (unsigned k = 1; k + 1u < x->out[i].n; k++)
			source_lease(x->asker, x->out[i].nodes[k], x->t->now_ns);
	if (s == NULL || x->ask->self || s->ops->begin(s) == -1)
		return;
	for (size_t i = 0; i < x->n; i++) {
		const struct lease *l = &x->out[i];
		struct lease_out o = { .route_id = l->route_id, .epoch = l->epoch, .hard = l->hard, .n = l->n };

		memcpy(o.nodes, l->nodes, sizeof(o.nodes));
		s->ops->lease_put(s, &o);
	}
	s->ops->commit(s);
}

/* --- what failed at others --- */

static bool
relays_for(const struct lease_held *h, const uint8_t *source, const uint8_t *node_id)
{
	for (unsigned i = 1; i + 1u < h->n && i < LEASE_HOPS_MAX; i++)
		if (memcmp(h->nodes[i], node_id, NODE_ID_LEN) == 0)
			return memcmp(h->nodes[0], source, NODE_ID_LEN) == 0;
	return false;
}

/* What it says that it holds may be another coordinator's: nobody can tell. So how much one counts is bounded in any case. */
static bool
has_relay(const struct issue *x, const uint8_t *node_id)
{
	bool held = source_leased(x->asker, node_id, x->t->now_ns);

	for (unsigned i = 0; !held && i < x->ask->nheld && i < LEASE_HELD_MAX; i++)
		held = relays_for(&x->ask->held[i], x->ask->source, node_id);
	return held;
}

static void
hear_failures(const struct issue *x)
{
	for (unsigned i = 0; x->asker != NULL && i < x->ask->nfailed && i < LEASE_FAILED_MAX; i++)
		if (has_relay(x, x->ask->failed[i]))
			graph_failed_told(x->c->graph, x->ask->failed[i], x->ask->source, x->t->now_ns);
}

enum lease_error
coordinator_hear(struct coordinator *c, const uint8_t *source, uint64_t serial, const struct lease_time *t)
{
	struct source *s = source_get(&c->sources, source, t->now_ns);

	if (s == NULL)
		return LEASE_E_MEMORY;
	return source_hear(s, serial) ? LEASE_OK : LEASE_E_REPLAYED;
}

/* May it be asked, and are its ends such as can have a route? */
static enum lease_error
admit(struct issue *x)
{
	struct coordinator *c = x->c;
	const struct lease_ask *a = x->ask;

	if (a->classes == 0 || a->classes > CLASSES_ALL || memcmp(a->source, a->dest, NODE_ID_LEN) == 0 ||
	    a->known_epoch >= VARINT_MAX || (a->self && memcmp(a->source, c->who.node_id, NODE_ID_LEN) != 0))
		return LEASE_E_FORM;
	if (!a->self && (x->asker = source_get(&c->sources, a->source, x->t->now_ns)) == NULL)
		return LEASE_E_MEMORY;
	if (x->asker != NULL && !ratelimit_take(&x->asker->limit, x->t->now_ns))
		return LEASE_E_RATE;
	if (!c->has_key || c->who.not_after < x->t->now_ms / 1000 + LIFE_LEAST_S ||
	    (!a->self && !(c->who.roles & 1u << ROLE_ROUTE_COORDINATOR)))
		return LEASE_E_KEYS;
	if (revoked(c, a->source) || revoked(c, a->dest))
		return LEASE_E_REVOKED;
	if (!hop_get(c, &x->source, a->source) || !hop_get(c, &x->dest, a->dest))
		return LEASE_E_UNKNOWN;
	for (unsigned class = 0; class < CLASS_COUNT; class++)
		if (a->classes >> class & 1 && reaches(x, class))
			x->classes |= (uint8_t)(1u << class);
	return x->classes == 0 ? LEASE_E_POLICY : LEASE_OK;
}

int
coordinator_issue(struct coordinator *c, const struct lease_ask *ask, struct lease out[], size_t max,
    const struct lease_time *t, enum lease_error *why)
{
	struct issue x = { .c = c, .ask = ask, .t = t, .out = out, .max = max };
	uint64_t epoch;

	if ((*why = admit(&x)) != LEASE_OK)
		return -1;
	hear_failures(&x);
	candidates(&x);
	if (x.n == 0) {
		*why = x.no_keys ? LEASE_E_KEYS : LEASE_E_NO_ROUTE;
		return -1;
	}
	epoch = epoch_next(c, t->now_ms);
	if (epoch <= ask->known_epoch)	/* another's clock is ahead; it is not taken for the time of others */
		epoch = earlier(ask->known_epoch + 1, epoch_max(t->now_ms));
	for (size_t i = 0; i < x.n; i++)
		out[i].epoch = epoch;
	if (tickets_make(&x) == -1) {
		for (size_t i = 0; i < x.n; i++)
			lease_free(&out[i]);
		*why = LEASE_E_MEMORY;
		return -1;
	}
	remember(&x);
	return (int)x.n;
}

/* --- fences --- */

static bool
may_fence(const struct coordinator *c)
{
	return c->has_key && (c->who.roles & 1u << ROLE_ROUTE_COORDINATOR) != 0;
}

/* Signs it, of which r has number and times, and keeps it. */
static size_t
fence_sign(struct coordinator *c, uint8_t *buf, size_t size, const struct fence *f, struct record *r)
{
	uint8_t content[128];
	size_t len;

	r->kind = RECORD_FENCE;
	r->subject = c->who.node_key;
	r->content = (struct frame_bytes){ content, fence_encode(content, sizeof(content), f) };
	if (r->content.len == 0 || (len = record_sign(buf, size, r, &c->route_key)) == 0)
		return 0;
	if (c->store != NULL)
		c->store->ops->fence_put(c->store, r->serial, r->not_after, buf, len);
	return len;
}

size_t
coordinator_fence(struct coordinator *c, uint8_t *buf, size_t size, const struct fence *f, const struct lease_time *t,
    uint64_t *wait_s)
{
	const uint64_t now = t->now_ms / 1000;
	struct fence g = *f;
	struct record r = { .not_before = now - LEASE_LATER_S, .not_after = now + LEASE_LIFE_MAX_S };

	*wait_s = 0;
	if (!may_fence(c))
		return 0;
	r.serial = epoch_next(c, t->now_ms);
	if (g.epoch < r.serial)
		g.epoch = r.serial;
	if (!fence_bounded(&g, &r)) {
		*wait_s = g.epoch / 1000 - r.not_after;
		return 0;
	}
	return fence_sign(c, buf, size, &g, &r);
}

struct again {
	const struct coordinator *c;
	unsigned n;
	struct { struct fence fence; struct record r; } v[COORDINATOR_FENCES_MAX];	/* of r the number and the times */
};

/* What stands on disk is looked at like anything that comes from outside. */
static void
again_note(const uint8_t *record, size_t len, void *arg)
{
	struct again *a = arg;
	struct record r;
	struct fence f;

	if (a->n == COORDINATOR_FENCES_MAX || record_decode(&r, record, len) != RECORD_OK || fence_decode(&f, &r) < 0 ||
	    !fence_bounded(&f, &r) || memcmp(r.subject, a->c->who.node_key, RECORD_KEY_LEN) != 0 ||
	    memcmp(r.issuer, a->c->route_key.public, RECORD_KEY_LEN) == 0 || record_verify(&r) == -1)
		return;
	a->v[a->n].fence = f;
	a->v[a->n++].r = (struct record){ .serial = r.serial, .not_before = r.not_before, .not_after = r.not_after };
}

void
coordinator_fences_again(struct coordinator *c, const struct lease_time *t,
    void (*fn)(const uint8_t *record, size_t len, void *arg), void *arg)
{
	uint8_t buf[FRAME_RECORD_MAX];
	struct leasestore *s = c->store;
	struct again *a = calloc(1, sizeof(*a));
	size_t len;

	if (a == NULL || s == NULL || !may_fence(c)) {
		free(a);
		return;
	}
	a->c = c;
	s->ops->fences(s, t->now_ms / 1000, COORDINATOR_FENCES_MAX, again_note, a);
	for (unsigned i = 0; i < a->n; i++)
		if ((len = fence_sign(c, buf, sizeof(buf), &a->v[i].fence, &a->v[i].r)) > 0)
			fn(buf, len, arg);
	free(a);
}
