/* A node: the real state machines, and what they ask and say. */
#include <stdlib.h>
#include <string.h>

#include "routed/dirmsg.h"
#include "tests/sim/routes.h"

struct clock_both
node_clock(const struct rnode *n)
{
	return (struct clock_both){ n->sim->now_ns, WALL + (uint64_t)((int64_t)(n->sim->now_ns / SEC) + n->offset_s) };
}

static struct lease_time
lease_time(const struct rnode *n)
{
	struct clock_both c = node_clock(n);

	return (struct lease_time){ c.wall * 1000 + n->sim->now_ns / MS % 1000, c.now_ns };
}

struct policy_node
node_policy(const struct rnode *n)
{
	return (struct policy_node){ n->id, n->name, n->tenant, n->roles, 5 };
}

static const struct policy *
policy_of(const struct rnode *n)
{
	return n->sim->policy[n->policy];
}

/* --- what a coordinator asks --- */

static bool
lease_node(const uint8_t *id, struct lease_node *out, void *arg)
{
	struct rnode *n = world_node(((struct rnode *)arg)->sim, id);

	if (n == NULL)
		return false;
	*out = (struct lease_node){ node_policy(n), n->node.public, n->ticket.public, UINT64_MAX };
	return true;
}

static bool
lease_revoked(const uint8_t *id, void *arg)
{
	struct rnode *n = world_node(((struct rnode *)arg)->sim, id);

	return n != NULL && n->revoked;
}

static bool
lease_reach(const struct policy_node *s, const struct policy_node *d, unsigned class, void *arg)
{
	const struct rnode *n = arg;

	return policy_reach(policy_of(n), s, d, "vpn", class).pass;
}

const struct coordinator_ops node_coordinator_ops = { lease_node, lease_revoked, lease_reach };

/* --- what install asks and says --- */

static int
on_send(const uint8_t *to, unsigned type, const uint8_t *body, size_t len, void *arg)
{
	struct rnode *n = arg, *o = world_node(n->sim, to);
	struct rmessage m = { .kind = R_MESH, .from = n->index, .type = type, .len = len };
	uint32_t link;

	if (o == NULL || (link = world_link_between(n->sim, n->index, o->index)) == NOBODY_HERE)
		return -1;
	m.to = o->index;
	if ((m.body = malloc(len)) == NULL)
		return -1;
	memcpy(m.body, body, len);
	world_put(n->sim, &m, n->sim->link[link].rtt_us * 500ull + 2 * MS);
	return 0;
}

static struct rentry *
entry_find(struct rnode *n, uint64_t route_id)
{
	for (size_t i = 0; i < n->nentries; i++)
		if (n->table_id[i] == route_id)
			return &n->table[i];
	return NULL;
}

static struct rentry *
entry_new(struct rnode *n, uint64_t route_id)
{
	if (n->nentries == n->table_size) {
		n->table_size = n->table_size * 2 + 16;
		if ((n->table = realloc(n->table, n->table_size * sizeof(*n->table))) == NULL ||
		    (n->table_id = realloc(n->table_id, n->table_size * sizeof(*n->table_id))) == NULL)
			abort();
	}
	n->table_id[n->nentries] = route_id;
	return &n->table[n->nentries++];
}

static void
entry_del(struct rnode *n, struct rentry *e)
{
	size_t i = (size_t)(e - n->table), last = --n->nentries;

	n->table[i] = n->table[last];
	n->table_id[i] = n->table_id[last];
}

static int
on_dataplane(const struct procmsg *m, void *arg)
{
	struct rnode *n = arg, *next;
	struct rentry *e;

	if (m->type == PM_ROUTE) {
		judge_route(n, &m->route);
		if ((e = entry_find(n, m->route.route_id)) == NULL)
			e = entry_new(n, m->route.route_id);
		e->r = m->route;
		next = world_node(n->sim, e->r.next);
		e->next = next != NULL ? next->index : NOBODY_HERE;
		e->link = next != NULL ? world_link(n->sim, n->index, next->index) : NOBODY_HERE;
	} else if (m->type == PM_ROUTE_DEL && (e = entry_find(n, m->route_del.route_id)) != NULL) {
		entry_del(n, e);
	}
	return 0;
}

static void
on_context(struct ticket_ctx *c, void *arg)
{
	struct rnode *n = arg;

	c->node_id = n->id;
	c->node_key = n->node.public;
	c->keys = &n->ticket;
	c->nkeys = 1;
	c->authority = n->sim->authority.public;
	c->now = node_clock(n).wall;
	c->roles = n->roles;
	c->relays = n->relays;
	c->relay_classes = n->relay_classes;
}

static bool
on_revoked(const uint8_t *id, void *arg)
{
	return lease_revoked(id, arg);
}

static uint64_t
on_fenced(const struct ticket *t, void *arg)
{
	struct rnode *n = arg;

	return fences_epoch(&n->fences, t, n->id);
}

/* What a relay may carry is known of a tenant, or of the source where that has made the ticket itself. */
static struct policy_verdict
relay_verdict(struct rnode *n, const struct ticket *t, const struct rnode *source, unsigned class)
{
	struct policy_node self = node_policy(n), src;

	if (source == NULL)
		return policy_relay_for_tenant(policy_of(n), &self, t->tenant, class);
	src = node_policy(source);
	return policy_relay(policy_of(n), &self, &src, class);
}

static bool
relay_permitted(struct rnode *n, const struct ticket *t, const struct rnode *source)
{
	for (unsigned class = 0; class < CLASS_COUNT; class++)
		if (t->classes >> class & 1 && !relay_verdict(n, t, source, class).pass)
			return false;
	return true;
}

static bool
on_permitted(const struct ticket *t, const struct ticket_issuer *by, void *arg)
{
	struct rnode *n = arg;
	struct policy_node self = node_policy(n), far;

	if (t->place == TICKET_RELAY)
		return relay_permitted(n, t, t->self ? world_node(n->sim, by->who.node_id) : NULL);
	if (t->place == TICKET_SOURCE)
		return true;
	far = node_policy(world_node(n->sim, t->far));
	for (unsigned class = 0; class < CLASS_COUNT; class++)
		if (t->classes >> class & 1 && policy_reach(policy_of(n), &far, &self, "vpn", class).pass)
			return true;
	return false;
}

static bool
on_issuer(const uint8_t *key, struct ticket_issuer *by, void *arg)
{
	return false;
}

static struct install_limits
on_limits(const struct ticket *t, void *arg)
{
	struct install_limits limits = { 0, 0 };

	for (unsigned class = 0; class < CLASS_COUNT; class++) {
		struct policy_verdict v = relay_verdict(arg, t, NULL, class);

		if (!(t->classes >> class & 1))
			continue;
		limits.kbps = policy_tighter(limits.kbps, v.kbps);
		limits.streams = policy_tighter(limits.streams, v.streams);
	}
	return limits;
}

static uint32_t
on_kbps_all(void *arg)
{
	return 0;
}

static bool
on_far(const uint8_t *id, void *arg)
{
	return true;
}

static void
on_result(uint64_t route_id, unsigned error, unsigned left, void *arg)
{
	struct rnode *n = arg;
	struct clock_both now = node_clock(n);

	n->sim->installs += error == INSTALL_OK;
	rsim_say(n->sim, "%s: route %llx: %s, %u left", n->name, (unsigned long long)route_id, install_strerror(error), left);
	routes_result(n->routes, route_id, error, &now);
}

static void
on_event(enum install_event what, const struct ticket *t, unsigned error, const uint8_t *from, void *arg)
{
	struct rnode *n = arg;

	n->sim->refused += what == INSTALL_EV_REFUSED;
	if (what == INSTALL_EV_REFUSED)
		rsim_say(n->sim, "%s: refuses %llx: %s", n->name, (unsigned long long)t->route_id, install_strerror(error));
}

static const struct install_ops install_ops = {
	.send = on_send, .dataplane = on_dataplane, .context = on_context, .issuer = on_issuer, .revoked = on_revoked,
	.fenced = on_fenced, .permitted = on_permitted, .limits = on_limits, .kbps_all = on_kbps_all, .far = on_far,
	.result = on_result, .event = on_event,
};

/* --- what routes asks and says --- */

/* As routed/manager_ask.c: what is asked for after a fence has to be newer than that. */
static void
above_fences(const struct rnode *n, struct lease_ask *a)
{
	uint64_t newest = fences_newest(&n->fences);

	if (a->known_epoch < newest)
		a->known_epoch = newest;
}

/* To the nearest coordinators first, as far as a message can come. */
static int
on_ask(const struct lease_ask *ask, uint64_t id, unsigned attempt, struct lease out[LEASE_MAX], enum lease_error *e, void *arg)
{
	struct rnode *n = arg;
	uint8_t hops[NODES_MAX];
	uint32_t there[COORDINATORS], nthere = 0;
	struct rmessage m = { .kind = R_ASK, .from = n->index, .id = id, .ask = *ask, .generation = n->generation };

	world_distances(n->sim, n->index, hops);
	for (uint32_t i = 0; i < COORDINATORS; i++)
		if (hops[i] <= ROUTEMSG_TTL + 1)
			there[nthere++] = i;
	if (nthere == 0)
		return ROUTES_NOBODY;
	m.to = there[attempt % nthere];
	memcpy(m.ask.source, n->id, NODE_ID_LEN);
	above_fences(n, &m.ask);
	world_put(n->sim, &m, hops[m.to] * 20 * MS);
	return ROUTES_SENT;
}

static void
view_put(struct graph *g, const struct rnode *n, uint64_t now_ns)
{
	struct policy_node who = node_policy(n);

	if (n->told && !n->revoked && graph_node_set(g, &who, &n->facts, now_ns) == -1)
		abort();
}

/* A node that helps itself knows its neighbours and the destination, by what these last told. */
static int
on_self(const struct lease_ask *ask, struct lease out[LEASE_MAX], enum lease_error *e, void *arg)
{
	struct rnode *n = arg, *dest = world_node(n->sim, ask->dest);
	struct graph *g = graph_new();
	struct coordinator *c = coordinator_new(g, &node_coordinator_ops, n, NULL);
	struct lease_time t = lease_time(n);
	struct lease_ask a = *ask;
	int rv;

	if (c == NULL || coordinator_keys(c, &n->route, (struct frame_bytes){ n->membership, n->mlen },
	    (struct frame_bytes){ n->delegation, n->dlen }) == -1)
		abort();
	coordinator_policy(c, policy_of(n));
	memcpy(a.source, n->id, NODE_ID_LEN);
	above_fences(n, &a);
	for (unsigned i = 0; i < n->nlinks; i++) {
		struct rlink *l = &n->sim->link[n->link[i]];

		if (world_link_up(n->sim, n->link[i]))
			view_put(g, &n->sim->node[l->a == n->index ? l->b : l->a], n->sim->now_ns);
	}
	view_put(g, dest, n->sim->now_ns);
	view_put(g, n, n->sim->now_ns);
	rv = coordinator_issue(c, &a, out, LEASE_MAX, &t, e);
	coordinator_free(c);
	graph_free(g);
	for (int i = 0; i < rv; i++)
		judge_lease(n->sim, n, n, &out[i]);
	n->sim->selfs += rv > 0;
	return rv > 0 ? rv : ROUTES_REFUSED;
}

static unsigned
on_install(const struct lease *l, void *arg)
{
	struct rnode *n = arg;
	struct clock_both now = node_clock(n);

	return install_lease(n->install, l, &now);
}

static void
on_end(uint64_t route_id, void *arg)
{
	install_end(((struct rnode *)arg)->install, route_id, INSTALL_E_CLOSED, REASON_MOVED);
}

static bool
on_session(const uint8_t *id, void *arg)
{
	return false;		/* no pair has one */
}

static unsigned
on_state(const struct route_dest *d, const struct lease *l, void *arg)
{
	return ways_state(((struct rnode *)arg)->ways, d->node_id, l->route_id);
}

static void
on_up(const struct route_dest *d, const struct lease *l, void *arg)
{
	struct rnode *n = arg;

	ways_add(n->ways, d->node_id, l->route_id, l->n, l->classes, n->sim->now_ns);
}

static void
on_leaving(const struct route_dest *d, const struct lease *l, void *arg)
{
	struct rnode *n = arg;

	ways_retire(n->ways, d->node_id, l->route_id, n->sim->now_ns);
}

static void
on_gone(const struct route_dest *d, const struct lease *l, void *arg)
{
	struct rnode *n = arg;

	ways_del(n->ways, d->node_id, l->route_id, n->sim->now_ns);
}

static void
on_failed(const uint8_t *id, enum lease_error e, void *arg)
{
}

static void
on_answered(const struct route_dest *d, int n, enum lease_error e, bool self, void *arg)
{
	struct rnode *x = arg;

	rsim_say(x->sim, "%s: %d leases: %s", x->name, n, lease_strerror(e));
}

static uint64_t
on_random(void *arg)
{
	return rsim_random(((struct rnode *)arg)->sim, 1ull << 61);
}

static bool
on_lease_permitted(const struct lease *l, void *arg)
{
	struct rnode *n = arg;
	struct policy_node self = node_policy(n), relay;

	for (unsigned i = 1; i + 1u < l->n; i++) {
		relay = node_policy(world_node(n->sim, l->nodes[i]));
		for (unsigned class = 0; class < CLASS_COUNT; class++)
			if (l->classes >> class & 1 && !policy_relay(policy_of(n), &relay, &self, class).pass)
				return false;
	}
	return true;
}

static const struct routes_ops routes_ops = {
	.ask = on_ask, .self = on_self, .install = on_install, .end = on_end, .session = on_session, .state = on_state, .up = on_up,
	.leaving = on_leaving, .gone = on_gone, .failed = on_failed, .answered = on_answered, .random = on_random,
	.permitted = on_lease_permitted,
};

/* --- ways --- */

static int
on_rank(const struct pm_route_rank *r, void *arg)
{
	struct rnode *n = arg;

	if (!(r->classes & 1u << CLASS_INTERACTIVE))
		return 0;
	for (uint32_t i = 0; i < n->sim->npairs; i++) {
		struct rpair *p = &n->sim->pair[i];

		if (p->source != n->index || memcmp(n->sim->node[p->dest].id, r->node_id, NODE_ID_LEN) != 0)
			continue;
		p->norder = (unsigned)(r->ids.len / 8);
		for (unsigned k = 0; k < p->norder; k++) {
			p->order[k] = 0;
			for (unsigned b = 0; b < 8; b++)
				p->order[k] = p->order[k] << 8 | r->ids.p[k * 8 + b];
		}
	}
	return 0;
}

static void
on_first(const struct ways_node *w, enum way_group g, uint64_t from, uint64_t to, enum way_why why, void *arg)
{
}

static const struct ways_ops ways_ops = { on_rank, on_first };

/* --- life --- */

void
node_pairs(struct rnode *n)
{
	uint8_t ids[PAIRS_MAX][NODE_ID_LEN];
	struct clock_both now = node_clock(n);
	size_t k = 0;

	for (uint32_t i = 0; i < n->sim->npairs; i++)
		if (n->sim->pair[i].source == n->index && n->sim->pair[i].wanted)
			memcpy(ids[k++], n->sim->node[n->sim->pair[i].dest].id, NODE_ID_LEN);
	routes_configured(n->routes, (const uint8_t (*)[NODE_ID_LEN])ids, k, &now);
}

void
node_start(struct rnode *n)
{
	n->up = true;
	n->generation++;
	n->install = install_new(&install_ops, n);
	n->routes = routes_new(&routes_ops, n);
	n->ways = ways_new(&ways_ops, n);
	if (n->install == NULL || n->routes == NULL || n->ways == NULL)
		abort();
	if (n->index < COORDINATORS) {
		n->graph = graph_new();
		n->coordinator = coordinator_new(n->graph, &node_coordinator_ops, n, NULL);
		if (n->coordinator == NULL || coordinator_keys(n->coordinator, &n->route,
		    (struct frame_bytes){ n->membership, n->mlen }, (struct frame_bytes){ n->delegation, n->dlen }) == -1)
			abort();
		coordinator_policy(n->coordinator, policy_of(n));
		for (uint32_t i = 0; i < n->sim->nnodes; i++)	/* it has its directory on disk */
			view_put(n->graph, &n->sim->node[i], n->sim->now_ns);
	}
	node_pairs(n);
	n->tell_ns = n->sim->now_ns + SEC;
}

void
node_stop(struct rnode *n)
{
	n->up = false;
	routes_drop(n->routes);
	install_free(n->install);
	ways_free(n->ways);
	coordinator_free(n->coordinator);
	graph_free(n->graph);
	n->routes = NULL;
	n->install = NULL;
	n->ways = NULL;
	n->coordinator = NULL;
	n->graph = NULL;
	n->nentries = 0;
}

/* Facts out of its sessions as they are, to every coordinator that a message can reach. */
static void
tell(struct rnode *n)
{
	struct rsim *sim = n->sim;
	uint8_t hops[NODES_MAX];

	n->tell_ns = sim->now_ns + 25 * SEC + rsim_random(sim, 10 * SEC);
	memset(&n->facts, 0, sizeof(n->facts));
	n->facts.relay = n->relays;
	n->facts.relay_classes = n->relay_classes;
	for (unsigned i = 0; i < n->nlinks; i++) {
		const struct rlink *l = &sim->link[n->link[i]];
		struct fact_link *f = &n->facts.links[n->facts.nlinks];

		if (!world_link_up(sim, n->link[i]))
			continue;
		memcpy(f->node_id, sim->node[l->a == n->index ? l->b : l->a].id, NODE_ID_LEN);
		f->rtt_us = l->rtt_us;
		f->jitter_us = l->jitter_us;
		f->loss = l->loss;
		f->kbps = l->kbps;
		n->facts.nlinks++;
	}
	n->told = true;
	world_distances(sim, n->index, hops);
	for (uint32_t i = 0; i < COORDINATORS; i++)
		if (sim->node[i].up && hops[i] != UINT8_MAX)
			view_put(sim->node[i].graph, n, sim->now_ns);
}

void
node_links_changed(struct rnode *n)
{
	uint64_t soon = n->sim->now_ns + SEC;

	if (soon < n->tell_ns)
		n->tell_ns = soon;
}

static unsigned
judge_relaying(const struct installed *e, void *arg)
{
	const struct rnode *n = arg;

	if (e->t.place != TICKET_RELAY)
		return INSTALL_OK;
	return !n->relays ? TICKET_E_ROLE : e->t.classes & ~n->relay_classes ? TICKET_E_CLASS : INSTALL_OK;
}

void
node_relaying_changed(struct rnode *n)
{
	if (n->up)
		install_judge(n->install, judge_relaying, n, REASON_NO_ROUTE);
	node_links_changed(n);
}

void
node_tick(struct rnode *n)
{
	struct clock_both now = node_clock(n);

	if (n->sim->now_ns >= n->tell_ns)
		tell(n);
	install_tick(n->install, &now);
	routes_tick(n->routes, &now);
	fences_expire(&n->fences, now.wall);
}

static unsigned
judge_fence(const struct installed *e, void *arg)
{
	const struct rnode *n = arg;

	return e->t.epoch <= fences_epoch(&n->fences, &e->t, n->id) ? TICKET_E_FENCED : INSTALL_OK;
}

static unsigned
judge_policy(const struct installed *e, void *arg)
{
	struct ticket_issuer by = { .who = { .not_after = 0 } };

	memcpy(by.who.node_id, e->issuer, NODE_ID_LEN);
	return on_permitted(&e->t, &by, arg) ? INSTALL_OK : TICKET_E_POLICY;
}

static unsigned
judge_revoked(const struct installed *e, void *arg)
{
	const uint8_t *const ids[] = { e->t.prev, e->t.next, e->t.far, e->issuer };

	for (size_t i = 0; i < 4; i++)
		if (lease_revoked(ids[i], arg))
			return TICKET_E_REVOKED;
	return INSTALL_OK;
}

static void
on_request(struct rnode *n, struct rmessage *m)
{
	static uint8_t body[ROUTEMSG_MAX];
	struct rmessage answer = { .kind = R_ANSWER, .from = n->index, .to = m->from, .id = m->id, .generation = m->generation };
	struct lease_time t = lease_time(n);
	struct lease out[LEASE_MAX];
	int k;

	above_fences(n, &m->ask);
	k = coordinator_issue(n->coordinator, &m->ask, out, LEASE_MAX, &t, &answer.error);
	for (int i = 0; i < k; i++)
		judge_lease(n->sim, n, &n->sim->node[m->from], &out[i]);
	if (k > 0) {
		answer.len = route_leases_encode(body, sizeof(body), out, (size_t)k);
		if (answer.len == 0 || (answer.body = malloc(answer.len)) == NULL)
			abort();
		memcpy(answer.body, body, answer.len);
		n->sim->leases += (unsigned)k;
	}
	for (int i = 0; i < k; i++)
		lease_free(&out[i]);
	world_put(n->sim, &answer, 50 * MS);
}

static void
on_answer(struct rnode *n, struct rmessage *m)
{
	struct clock_both now = node_clock(n);
	struct lease out[LEASE_MAX];
	int k = ROUTES_REFUSED;

	if (m->generation != n->generation)
		return;
	if (m->error == LEASE_OK && (k = route_leases_decode(out, m->body, m->len)) < 0)
		rsim_fail(n->sim, "an answer that cannot be read: %d", k);
	else
		routes_answer(n->routes, m->id, out, k, m->error, &now);
}

static void
on_fence(struct rnode *n, const struct rmessage *m, const struct clock_both *now)
{
	const struct fence_held *held;
	struct record r;

	if (record_decode(&r, m->body, m->len) != RECORD_OK || fences_add(&n->fences, &r, now->wall, &held) != 1)
		return;
	install_judge(n->install, judge_fence, n, REASON_FENCED);
	routes_fenced(n->routes, held->fence.epoch, now);
}

/* The one that it has by now. */
static void
on_policy(struct rnode *n)
{
	struct clock_both now = node_clock(n);

	if (n->coordinator != NULL)
		coordinator_policy(n->coordinator, policy_of(n));
	install_judge(n->install, judge_policy, n, REASON_NO_ROUTE);
	install_again(n->install);
	routes_policy(n->routes, &now);
}

void
node_message(struct rnode *n, struct rmessage *m)
{
	struct clock_both now = node_clock(n);

	switch (m->kind) {
	case R_MESH:
		if (install_message(n->install, n->sim->node[m->from].id, m->type, m->body, m->len, &now) == -1)
			rsim_fail(n->sim, "a message that cannot be read");
		break;
	case R_ASK:
		if (n->coordinator != NULL)
			on_request(n, m);
		break;
	case R_ANSWER:
		on_answer(n, m);
		break;
	case R_FENCE:
		on_fence(n, m, &now);
		break;
	case R_POLICY:
		on_policy(n);
		break;
	default:
		install_judge(n->install, judge_revoked, n, REASON_REVOKED);
		routes_revoked(n->routes, n->sim->node[m->id].id, &now);
		if (n->graph != NULL)
			graph_node_del(n->graph, n->sim->node[m->id].id);
	}
}
