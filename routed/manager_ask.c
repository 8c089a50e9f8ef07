/* Asking a coordinator for routes: as the source, as one on the way, and as the coordinator that answers. */
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "crypto/box.h"
#include "proc/stats.h"
#include "routed/manager.h"

#define ANSWER_MAX	(LEASE_MAX * (LEASE_ANSWER_MAX + 4))

bool
manager_is_coordinator(const struct manager *m)
{
	const struct known *self = known_find(m->knowns, m->id);

	return self != NULL && m->keyed && (self->member.roles & 1u << ROLE_ROUTE_COORDINATOR) != 0;
}

/* --- whom the coordinator knows --- */

static bool
lease_node(const uint8_t *node_id, struct lease_node *out, void *arg)
{
	const struct manager *m = arg;
	const struct known *k = known_find(m->knowns, node_id);

	if (k == NULL || k->ticket_end == 0)
		return false;
	out->who = known_policy_node(k);
	out->node_key = k->member.node_key;
	out->ticket_key = k->ticket_key;
	out->not_after = k->member.not_after < k->ticket_end ? k->member.not_after : k->ticket_end;
	return true;
}

static bool
lease_revoked(const uint8_t *node_id, void *arg)
{
	return knowns_revoked(((struct manager *)arg)->knowns, node_id);
}

/* Some service of it: its own records say which there are. */
static bool
lease_reach(const struct policy_node *source, const struct policy_node *dest, unsigned class, void *arg)
{
	static const char *const always[] = { "vpn", "echo" };
	const struct manager *m = arg;
	const struct known *k = known_find(m->knowns, dest->node_id);

	for (size_t i = 0; i < sizeof(always) / sizeof(always[0]); i++)
		if (policy_reach(m->policy, source, dest, always[i], class).pass)
			return true;
	for (size_t i = 0; k != NULL && i < k->services.n; i++)
		if (policy_reach(m->policy, source, dest, k->services.v[i].name, class).pass)
			return true;
	return false;
}

bool
manager_may_hold(struct manager *m, const struct ticket *t)
{
	const struct known *k = known_find(m->knowns, t->far);
	struct policy_node self = manager_self_policy(m), far;
	bool any = k == NULL;

	if (k != NULL)
		far = known_policy_node(k);
	for (unsigned class = 0; class < CLASS_COUNT; class++)
		any = any || (t->classes >> class & 1 && lease_reach(&self, &far, class, m));
	return any;
}

const struct coordinator_ops manager_coordinator_ops = { .node = lease_node, .revoked = lease_revoked, .reach = lease_reach };

static struct lease_time
lease_now(const struct manager *m)
{
	return (struct lease_time){ m->wall_ms, m->now.now_ns };
}

/* A fence is ahead of the time: also what is asked for the first time has to be newer, or it would be refused on the way. */
static void
above_fences(const struct manager *m, struct lease_ask *a)
{
	uint64_t newest = fences_newest(&m->fences);

	if (a->known_epoch < newest)
		a->known_epoch = newest;
}

/* --- whom to ask --- */

struct spread {
	struct manager	*m;
	const struct route_request *q;
	const uint8_t	*from;		/* NULL: it is this node's own */
	const struct known *near[ASKING_SPREAD * 2];	/* coordinators, the nearest first */
	unsigned	 nnear;
	uint8_t		 ids[ASKING_SPREAD * 2][NODE_ID_LEN];
	unsigned	 n;
};

static bool
is_for(const struct route_request *q, const uint8_t *node_id)
{
	for (unsigned i = 0; i < q->n; i++)
		if (memcmp(q->sealed[i].to, node_id, NODE_ID_LEN) == 0)
			return true;
	return false;
}

/* Looks at the neighbours alone: the directory may be large, and each request that is handed on comes by here. */
static void
collect_coordinator(const uint8_t *node_id, void *arg)
{
	struct spread *s = arg;
	const struct known *k = known_find(s->m->knowns, node_id);
	unsigned at = s->nnear;

	if (k == NULL || !is_for(s->q, node_id))
		return;
	while (at > 0 && knowns_distance(s->m->knowns, k) < knowns_distance(s->m->knowns, s->near[at - 1]))
		at--;
	if (at == ASKING_SPREAD * 2)
		return;
	if (s->nnear < ASKING_SPREAD * 2)
		s->nnear++;
	memmove(&s->near[at + 1], &s->near[at], (s->nnear - at - 1) * sizeof(s->near[0]));
	s->near[at] = k;
}

static const uint8_t *
next_coordinator(unsigned i, void *arg)
{
	struct spread *s = arg;

	if (i == 0)
		s->m->ops->each(collect_coordinator, s, s->m->arg);
	return i < s->nnear ? s->near[i]->node_id : NULL;
}

/* What one of another tenant asks is nothing to anybody of a third. */
static bool
of_a_third(const struct manager *m, const uint8_t *from, const uint8_t *to)
{
	const struct peer *a = from == NULL ? NULL : directory_find(m->dir, from), *b = directory_find(m->dir, to);

	return a != NULL && b != NULL && strcmp(a->member.tenant, m->tenant) != 0 && strcmp(b->member.tenant, m->tenant) != 0 &&
	    strcmp(a->member.tenant, b->member.tenant) != 0;
}

static void
collect(const uint8_t *node_id, void *arg)
{
	struct spread *s = arg;
	const struct known *k = known_find(s->m->knowns, node_id);

	if (of_a_third(s->m, s->from, node_id))
		return;
	if (s->n < ASKING_SPREAD * 2 && (k == NULL || !k->leaf))
		memcpy(s->ids[s->n++], node_id, NODE_ID_LEN);
}

static const uint8_t *
next_neighbour(unsigned i, void *arg)
{
	struct spread *s = arg;

	if (i == 0)
		s->m->ops->each(collect, s, s->m->arg);
	return i < s->n ? s->ids[i] : NULL;
}

static int
spread_send(const uint8_t *node_id, unsigned type, const uint8_t *body, size_t len, void *arg)
{
	struct manager *m = ((struct spread *)arg)->m;

	return m->ops->send(node_id, type, body, len, m->arg);
}

static const struct asking_ops spread_ops = { next_coordinator, next_neighbour, spread_send };

static unsigned
spread(struct manager *m, const struct route_request *q, const uint8_t *from, unsigned attempt)
{
	struct spread s = { .m = m, .q = q, .from = from };

	return asking_spread(q, from, attempt, &spread_ops, &s);
}

/* --- as the source --- */

static size_t
sign_request(struct manager *m, uint8_t buf[REQUEST_MAX], const struct lease_ask *a, uint64_t id)
{
	uint8_t content[REQUEST_MAX];
	size_t len = route_ask_encode(content, sizeof(content), a, id);
	struct record r = { .kind = RECORD_ROUTE_REQUEST, .subject = m->node_key,
	    .serial = asking_serial(&m->asking, m->wall_ms), .not_before = m->now.wall,
	    .not_after = m->now.wall + ROUTEMSG_LIFE_S, .content = { content, len } };

	return len == 0 ? 0 : record_sign(buf, REQUEST_MAX, &r, &m->route_key);
}

/* Sealed to the nearest coordinators that are known: who hands it on learns who is asked, and neither who asks nor for what. */
static void
seal_request(struct manager *m, struct route_request *q, struct frame_bytes record)
{
	static uint8_t box[REQUEST_TO_MAX][REQUEST_MAX + BOX_OVERHEAD];
	const struct known *k = NULL;
	uint8_t bound[64];
	size_t len = route_request_prologue(bound, q->id);

	while (q->n < REQUEST_TO_MAX && (k = knowns_coordinator_next(m->knowns, k)) != NULL) {
		int n = k->self ? -1 : box_seal(box[q->n], sizeof(box[q->n]), k->ticket_key, bound, len, record.p, record.len);

		if (n < 0)
			continue;
		q->sealed[q->n].to = k->node_id;
		q->sealed[q->n].box = (struct frame_bytes){ box[q->n], (size_t)n };
		q->n++;
	}
}

int
manager_ask(const struct lease_ask *asked, uint64_t id, unsigned attempt, struct lease out[LEASE_MAX], enum lease_error *e,
    void *arg)
{
	struct manager *m = arg;
	struct lease_ask a = *asked;
	uint8_t buf[REQUEST_MAX], key[HASH_LEN];
	struct frame_bytes record = { buf, 0 };
	struct route_request q = { .ttl = ROUTEMSG_TTL, .id = id };
	struct lease_time now = lease_now(m);
	int n;

	above_fences(m, &a);
	if (known_find(m->knowns, a.dest) == NULL)
		m->ops->query(a.dest, m->arg);
	if (manager_is_coordinator(m)) {
		memcpy(a.source, m->id, NODE_ID_LEN);
		a.self = false;
		n = coordinator_issue(m->coordinator, &a, out, LEASE_MAX, &now, e);
		return n < 0 ? ROUTES_REFUSED : n;
	}
	asking_tell(&m->asking, &a, m->now.now_ns);
	record.len = sign_request(m, buf, &a, id);
	if (record.len > 0)
		seal_request(m, &q, record);
	m->lonely = true;
	if (q.n == 0)
		return ROUTES_NOBODY;
	route_refusal_key(key, record.p, record.len);
	asking_own(&m->asking, id, key, m->now.now_ns);
	if (spread(m, &q, NULL, attempt) == 0)
		return ROUTES_NOBODY;
	m->lonely = false;
	m->asked_ns = m->now.now_ns;
	STAT_INC(ROUTED_REQUESTS_SENT);
	return ROUTES_SENT;
}

int
manager_ask_self(const struct lease_ask *asked, struct lease out[LEASE_MAX], enum lease_error *e, void *arg)
{
	struct manager *m = arg;
	struct lease_ask a = *asked;
	struct lease_time now = lease_now(m);
	int n;

	*e = LEASE_E_KEYS;
	if (!m->keyed)
		return ROUTES_REFUSED;
	memcpy(a.source, m->id, NODE_ID_LEN);
	a.self = true;
	above_fences(m, &a);
	n = coordinator_issue(m->coordinator, &a, out, LEASE_MAX, &now, e);
	if (n > 0)
		STAT_INC(ROUTED_LEASES_SELF);
	return n < 0 ? ROUTES_REFUSED : n;
}

/* --- what failed: here it is not the first choice for a while, and neither where this node asks --- */

static void
failed(struct manager *m, const uint8_t *node_id, bool tell)
{
	graph_failed(m->graph, node_id, m->now.now_ns);
	if (tell)
		asking_failed(&m->asking, node_id, m->now.now_ns);
}

void
manager_blame(struct manager *m, uint64_t route_id, unsigned left, bool tell)
{
	for (size_t i = 0; i < routes_count(m->routes); i++) {
		const struct route_dest *d = routes_get(m->routes, i);

		for (unsigned k = 0; k < d->n; k++) {
			const struct lease *l = &d->held[k].lease;

			if (l->route_id != route_id)
				continue;
			if (left > 1 && left < l->n)
				failed(m, l->nodes[l->n - left], tell);
			for (unsigned h = 1; left == 0 && h + 1 < l->n; h++)
				failed(m, l->nodes[h], tell);
			return;
		}
	}
}

/* One that is not known, or not as a relay, is judged by those who know it: the coordinator, and itself. */
bool
manager_lease_permitted(const struct lease *l, void *arg)
{
	const struct manager *m = arg;
	struct policy_node self = manager_self_policy(m);

	for (unsigned i = 1; m->policy != NULL && i + 1u < l->n; i++) {
		const struct known *k = known_find(m->knowns, l->nodes[i]);
		struct policy_node relay;

		if (k == NULL || !(k->member.roles & (1u << ROLE_RELAY | 1u << ROLE_ENTRY)))
			continue;
		relay = known_policy_node(k);
		for (unsigned class = 0; class < CLASS_COUNT; class++)
			if (l->classes >> class & 1 && !policy_relay(m->policy, &relay, &self, class).pass)
				return false;
	}
	return true;
}

const struct way *
manager_way(const struct manager *m, const uint8_t *node_id)
{
	const struct ways_node *n = ways_find(m->ways, node_id);
	const struct way *y;

	for (unsigned g = 0; n != NULL && g < WAY_GROUPS; g++)
		for (unsigned i = 0; i < n->norder[g]; i++)
			if ((y = ways_way(n, n->order[g][i])) != NULL && y->state == WAY_UP)
				return y;
	return NULL;
}

unsigned
manager_route_state(const struct route_dest *d, const struct lease *l, void *arg)
{
	return ways_state(((struct manager *)arg)->ways, d->node_id, l->route_id);
}

/* --- as the coordinator --- */

/* The record that was sealed to this node: its length, or -1. */
static int
open_request(const struct manager *m, const struct route_request *q, uint8_t record[REQUEST_MAX])
{
	uint8_t bound[64];
	size_t blen = route_request_prologue(bound, q->id);
	int len = -1;

	for (unsigned i = 0; i < q->n; i++)
		for (size_t k = 0; k < m->nkeys && len < 0 && memcmp(q->sealed[i].to, m->id, NODE_ID_LEN) == 0; k++)
			len = box_open(record, REQUEST_MAX, &m->ticket_keys[k], bound, blen, q->sealed[i].box.p, q->sealed[i].box.len);
	return len;
}

/* The serial is a time, by which an older request is told from a newer one: it has to be one at which this one is valid. */
static bool
sound(const struct record *r)
{
	return r->kind == RECORD_ROUTE_REQUEST && r->not_after - r->not_before <= ROUTEMSG_LIFE_S &&
	    r->serial / 1000 >= r->not_before && r->serial / 1000 <= r->not_after;
}

/* Who asks, and for what. LEASE_OK, or why not. */
static enum lease_error
read_request(struct manager *m, uint64_t request_id, struct frame_bytes record, struct lease_ask *a,
    const struct known **source)
{
	const struct lease_time now = lease_now(m);
	const struct known *k;
	enum lease_error e;
	struct record r;
	uint64_t id;

	if (record_decode(&r, record.p, record.len) != RECORD_OK || !sound(&r) ||
	    route_ask_decode(a, &id, r.content.p, r.content.len) < 0 || id != request_id ||
	    identity_time(&r, m->now.wall) != REASON_NONE)
		return LEASE_E_FORM;
	k = known_by_route_key(m->knowns, r.issuer);
	/* Of another tenant: its own coordinators make its routes. */
	if (k == NULL || k->foreign || k->route_end <= m->now.wall || k->ticket_end <= m->now.wall)
		return LEASE_E_UNKNOWN;
	if (memcmp(k->member.node_key, r.subject, RECORD_KEY_LEN) != 0 || record_verify(&r) != 0)
		return LEASE_E_FORM;
	if (knowns_revoked(m->knowns, k->node_id))
		return LEASE_E_REVOKED;
	if ((e = coordinator_hear(m->coordinator, k->node_id, r.serial, &now)) != LEASE_OK)
		return e;
	memcpy(a->source, k->node_id, NODE_ID_LEN);
	a->self = false;
	above_fences(m, a);
	*source = k;
	return LEASE_OK;
}

static size_t
seal_leases(uint8_t *box, size_t size, const struct lease *v, int n, uint64_t id, const struct known *to)
{
	static uint8_t plain[ANSWER_MAX];
	uint8_t prologue[64];
	size_t len = route_leases_encode(plain, sizeof(plain), v, (size_t)n), plen = route_answer_prologue(prologue, id);
	int sealed = len == 0 ? -1 : box_seal(box, size, to->ticket_key, prologue, plen, plain, len);

	crypto_wipe(plain, len);
	return sealed < 0 ? 0 : (size_t)sealed;
}

static void
answer(struct manager *m, const uint8_t *to, const struct route_answer *a)
{
	static uint8_t buf[ROUTEMSG_MAX];
	size_t len = route_answer_encode(buf, sizeof(buf), a);

	if (len > 0)
		m->ops->send(to, DIRMSG_ROUTE_ANSWER, buf, len, m->arg);
}

static void
count_served(enum lease_error e)
{
	_Static_assert(STAT_ROUTED_LEASE_E_REPLAYED - STAT_ROUTED_LEASE_OK == LEASE_E_COUNT - 1, "a counter for each");
	stats->counter[STAT_ROUTED_LEASE_OK + e]++;
}

/* So that no node on the way can say it for the coordinator. */
static void
refuse(struct manager *m, const uint8_t *to, uint64_t id, enum lease_error e, struct frame_bytes record)
{
	uint8_t key[HASH_LEN], proof[REFUSAL_PROOF_LEN];
	struct route_answer a = { .id = id, .error = (uint8_t)e, .box = { proof, sizeof(proof) } };

	route_refusal_key(key, record.p, record.len);
	if (route_refusal_proof(proof, key, id, e) == 0)
		answer(m, to, &a);
}

static void
serve(struct manager *m, const uint8_t *from, const struct route_request *q, struct frame_bytes record)
{
	static uint8_t box[ANSWER_MAX + BOX_OVERHEAD];
	struct lease out[LEASE_MAX];
	struct lease_time now = lease_now(m);
	struct route_answer a = { .id = q->id };
	const struct known *source = NULL;
	struct lease_ask ask;
	enum lease_error e = read_request(m, q->id, record, &ask, &source);
	int n = 0;

	if (e == LEASE_OK && (n = coordinator_issue(m->coordinator, &ask, out, LEASE_MAX, &now, &e)) == 0)
		e = LEASE_E_NO_ROUTE;
	if (n > 0) {
		a.box = (struct frame_bytes){ box, seal_leases(box, sizeof(box), out, n, q->id, source) };
		e = a.box.len == 0 ? LEASE_E_KEYS : LEASE_OK;
	}
	for (int i = 0; i < n; i++)
		lease_free(&out[i]);
	if (e == LEASE_OK)
		answer(m, from, &a);
	else
		refuse(m, from, q->id, e, record);
	count_served(e);
}

static void
on_asked(struct manager *m, const uint8_t *from, const struct route_request *q)
{
	uint8_t record[REQUEST_MAX];
	int len = open_request(m, q, record);

	if (len >= 0)
		serve(m, from, q, (struct frame_bytes){ record, (size_t)len });
	else	/* sealed to a key that was this node's before it started anew: it cannot prove a refusal */
		count_served(LEASE_E_UNKNOWN);
}

/* --- on the way --- */

int
manager_on_request(struct manager *m, const uint8_t *from, const uint8_t *body, size_t len)
{
	struct route_request q;

	if (route_request_decode(&q, body, len) < 0)
		return -1;
	if (!asking_allowed(&m->asking, from, m->now.now_ns)) {
		STAT_INC(ROUTED_REQUESTS_LIMITED);
		return 0;
	}
	if (!asking_note(&m->asking, q.id, from, m->now.now_ns))
		return 0;	/* it came another way before */
	if (manager_is_coordinator(m) && is_for(&q, m->id)) {
		on_asked(m, from, &q);
		return 0;
	}
	if (q.ttl > 0)
		q.ttl--;
	if (spread(m, &q, from, 0) > 0)
		STAT_INC(ROUTED_REQUESTS_HANDED_ON);
	return 0;
}

static void
heard(struct manager *m)
{
	m->answered_ns = m->now.now_ns;
	m->answer_us = (uint32_t)((m->now.now_ns - m->asked_ns) / NS_PER_US);
}

/* Only by a coordinator that was asked. */
static void
own_refusal(struct manager *m, const struct asking_entry *e, const struct route_answer *a)
{
	uint8_t proof[REFUSAL_PROOF_LEN];

	if (route_refusal_proof(proof, e->key, a->id, a->error) == -1 || crypto_memcmp(proof, a->box.p, sizeof(proof)) != 0) {
		STAT_INC(ROUTED_REFUSALS_FORGED);
		return;
	}
	heard(m);
	routes_answer(m->routes, a->id, NULL, ROUTES_REFUSED, a->error, &m->now);
}

static void
own_answer(struct manager *m, const struct route_answer *a)
{
	static uint8_t plain[ANSWER_MAX];
	struct lease leases[LEASE_MAX];
	uint8_t prologue[64];
	size_t plen = route_answer_prologue(prologue, a->id);
	int len = -1, n = ROUTES_REFUSED;

	for (size_t i = 0; len < 0 && i < m->nkeys; i++)
		len = box_open(plain, sizeof(plain), &m->ticket_keys[i], prologue, plen, a->box.p, a->box.len);
	if (len >= 0 && (n = route_leases_decode(leases, plain, (size_t)len)) < 0)
		n = ROUTES_REFUSED;
	if (n <= 0) {		/* where there is none a coordinator says why */
		STAT_INC(ROUTED_ANSWERS_REFUSED);
		return;		/* whoever made it was no coordinator: another may answer yet */
	}
	heard(m);
	routes_answer(m->routes, a->id, leases, n, LEASE_OK, &m->now);
}

int
manager_on_answer(struct manager *m, const uint8_t *from, const uint8_t *body, size_t len)
{
	const struct asking_entry *e;
	struct route_answer a;

	if (route_answer_decode(&a, body, len) < 0)
		return -1;
	e = asking_find(&m->asking, a.id, m->now.now_ns);
	if (e == NULL)
		return 0;
	if (e->own && a.error != LEASE_OK)
		own_refusal(m, e, &a);
	else if (e->own)
		own_answer(m, &a);
	else
		m->ops->send(e->from, DIRMSG_ROUTE_ANSWER, body, len, m->arg);
	return 0;
}
