#include "routed/manager.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hex.h"
#include "base/log.h"
#include "proc/stats.h"

#define ALL_CLASSES	((1u << CLASS_COUNT) - 1)
#define MINUTES		1440u

struct history_event *
manager_event(struct manager *m, enum history_kind kind)
{
	return history_add(&m->history, kind, m->wall_ms);
}

static void
event_node(struct history_event *e, const uint8_t *node_id)
{
	e->has_node = true;
	memcpy(e->node_id, node_id, NODE_ID_LEN);
}

/* --- what install asks and says --- */

static int
install_send(const uint8_t *node_id, unsigned type, const uint8_t *body, size_t len, void *arg)
{
	struct manager *m = arg;

	return m->ops->send(node_id, type, body, len, m->arg);
}

/* Who is at the other end has to be known to the dataplane before it is told of a way there. */
static int
install_dataplane(const struct procmsg *msg, void *arg)
{
	struct manager *m = arg;

	if (!m->dataplane || (msg->type == PM_ROUTE && msg->route.place != TICKET_RELAY &&
	    manager_tell_remote(m, msg->route.far) == -1))
		return -1;
	return m->ops->dataplane(msg, m->arg);
}

static bool
within_hours(const struct pm_conf_routing *c, uint64_t wall)
{
	unsigned minute = (unsigned)(wall / 60 % MINUTES);

	if (c->from_minute == c->to_minute)
		return true;
	if (c->from_minute < c->to_minute)
		return minute >= c->from_minute && minute < c->to_minute;
	return minute >= c->from_minute || minute < c->to_minute;
}

static void
install_context(struct ticket_ctx *c, void *arg)
{
	const struct manager *m = arg;
	const struct known *self = known_find(m->knowns, m->id);

	c->node_id = m->id;
	c->node_key = m->node_key;
	c->keys = m->ticket_keys;
	c->nkeys = m->nkeys;
	c->authority = m->authority;
	c->now = m->now.wall;
	c->roles = self != NULL ? self->member.roles : 0;
	c->relays = m->conf.relay && within_hours(&m->conf, m->now.wall);
	c->relay_classes = m->conf.classes;
}

static bool
install_issuer(const uint8_t *route_key, struct ticket_issuer *by, void *arg)
{
	const struct manager *m = arg;
	const struct known *k = known_by_route_key(m->knowns, route_key);

	if (k == NULL || k->route_end <= m->now.wall)
		return false;
	by->who = k->member;
	if (k->route_end < by->who.not_after)
		by->who.not_after = k->route_end;
	return true;
}

static bool
install_revoked(const uint8_t *node_id, void *arg)
{
	return knowns_revoked(((struct manager *)arg)->knowns, node_id);
}

static uint64_t
install_fenced(const struct ticket *t, void *arg)
{
	const struct manager *m = arg;

	return fences_epoch(&m->fences, t, m->id);
}

struct policy_node
manager_self_policy(const struct manager *m)
{
	const struct known *self = known_find(m->knowns, m->id);
	const struct policy_node unknown = { .node_id = m->id, .name = "", .tenant = m->tenant };

	return self != NULL ? known_policy_node(self) : unknown;
}

/* A relay knows of the source its tenant only, but where the source has issued the ticket itself. */
static struct policy_verdict
relay_verdict(const struct manager *m, const struct ticket *t, const struct known *source, unsigned class)
{
	struct policy_node self = manager_self_policy(m), src;

	if (source == NULL)
		return policy_relay_for_tenant(m->policy, &self, t->tenant, class);
	src = known_policy_node(source);
	return policy_relay(m->policy, &self, &src, class);
}

static bool
may_relay(const struct manager *m, const struct ticket *t, const struct known *source)
{
	for (unsigned class = 0; class < CLASS_COUNT; class++)
		if (t->classes & 1u << class && !relay_verdict(m, t, source, class).pass)
			return false;
	return true;
}

bool
manager_permits(const struct manager *m, const struct known *src, const char *service, unsigned class)
{
	struct policy_node a = known_policy_node(src), self = manager_self_policy(m);

	return policy_reach(m->policy, &a, &self, service, class).pass;
}

static bool
permits_any(const struct manager *m, const struct known *src, uint8_t classes)
{
	const struct service_set *own = &m->dir->board.own;

	for (unsigned class = 0; class < CLASS_COUNT; class++) {
		if (!(classes & 1u << class))
			continue;
		if (manager_permits(m, src, "vpn", class) || manager_permits(m, src, "echo", class))
			return true;
		for (size_t i = 0; i < own->n; i++)
			if (manager_permits(m, src, own->v[i].name, class))
				return true;
	}
	return false;
}

static bool
install_permitted(const struct ticket *t, const struct ticket_issuer *by, void *arg)
{
	const struct manager *m = arg;
	const struct known *k;

	if (t->place == TICKET_RELAY)
		return may_relay(m, t, t->self && by != NULL ? known_find(m->knowns, by->who.node_id) : NULL);
	if (t->place == TICKET_SOURCE)
		return true;
	k = known_find(m->knowns, t->far);
	return k == NULL || permits_any(m, k, t->classes);	/* who it is, is asked for next */
}

static struct install_limits
install_limits(const struct ticket *t, void *arg)
{
	const struct manager *m = arg;
	struct install_limits l = { .kbps = m->conf.kbps };

	for (unsigned class = 0; class < CLASS_COUNT; class++) {
		struct policy_verdict v;

		if (!(t->classes & 1u << class))
			continue;
		v = relay_verdict(m, t, NULL, class);
		l.kbps = policy_tighter(l.kbps, v.kbps);
		l.streams = policy_tighter(l.streams, v.streams);
	}
	return l;
}

static uint32_t
install_kbps_all(void *arg)
{
	return ((struct manager *)arg)->conf.kbps;
}

static bool
install_far(const uint8_t *node_id, void *arg)
{
	struct manager *m = arg;
	const struct known *k = known_find(m->knowns, node_id);

	if (k != NULL && k->membership.len > 0)
		return true;
	m->ops->query(node_id, m->arg);
	return false;
}

static void
install_result(uint64_t route_id, unsigned error, unsigned left, void *arg)
{
	struct manager *m = arg;

	if (error == INSTALL_E_TIMEOUT || error == INSTALL_E_NO_NEXT)
		manager_blame(m, route_id, left, true);
	routes_result(m->routes, route_id, error, &m->now);
}

static void
count_refusal(unsigned error)
{
	_Static_assert(STAT_ROUTED_TICKET_E_REVOKED - STAT_ROUTED_TICKET_OK == TICKET_E_COUNT - 1, "a counter for each");
	_Static_assert(STAT_ROUTED_INSTALL_E_CLOSED - STAT_ROUTED_INSTALL_E_NO_NEXT == INSTALL_E_LAST - 1 - INSTALL_E_NO_NEXT,
	    "a counter for each");
	if (error < TICKET_E_COUNT)
		stats->counter[STAT_ROUTED_TICKET_OK + error]++;
	else if (error >= INSTALL_E_NO_NEXT && error < INSTALL_E_LAST)
		stats->counter[STAT_ROUTED_INSTALL_E_NO_NEXT + error - INSTALL_E_NO_NEXT]++;
}

static void
log_refusal(struct manager *m, const struct ticket *t, unsigned error, const uint8_t *from)
{
	char hex[2 * NODE_ID_LEN + 1] = "-";

	if (!ratelimit_take(&m->refusal_logs, m->now.now_ns))
		return;
	if (from != NULL)
		hex_encode(hex, from, NODE_ID_LEN);
	log_info("route=%016llx refused: %s from=%s", (unsigned long long)t->route_id, install_strerror(error), hex);
}

static void
install_event(enum install_event what, const struct ticket *t, unsigned error, const uint8_t *from, void *arg)
{
	static const enum history_kind kinds[] = { [INSTALL_EV_UP] = HISTORY_INSTALLED, [INSTALL_EV_REFUSED] = HISTORY_REFUSED,
	    [INSTALL_EV_GONE] = HISTORY_ENDED, [INSTALL_EV_EXPIRED] = HISTORY_EXPIRED };
	struct manager *m = arg;
	enum history_kind kind = kinds[what];

	if (error == TICKET_E_FENCED)
		kind = HISTORY_FENCED;
	if (error == TICKET_E_REVOKED)
		kind = HISTORY_REVOKED;
	manager_event_ticket(m, manager_event(m, kind), what, t, error, from);
	if (what == INSTALL_EV_GONE || what == INSTALL_EV_EXPIRED)
		usage_ended(m->usage, t);
	if (what == INSTALL_EV_UP) {
		STAT_INC(ROUTED_TICKET_OK);
	} else if (what == INSTALL_EV_EXPIRED) {
		STAT_INC(ROUTED_ROUTES_EXPIRED);
	} else {
		count_refusal(error);
		log_refusal(m, t, error, from);
	}
	if (t->place != TICKET_DEST)
		return;
	/* The streams back have the same choice of ways; how many nodes are on it only the source knows. */
	if (what == INSTALL_EV_UP)
		ways_add(m->ways, t->far, t->route_id, 3, t->classes, m->now.now_ns);
	else if (what != INSTALL_EV_REFUSED)
		ways_del(m->ways, t->far, t->route_id, m->now.now_ns);
}

static const struct install_ops install_ops = {
	.send = install_send, .dataplane = install_dataplane, .context = install_context, .issuer = install_issuer,
	.revoked = install_revoked, .fenced = install_fenced, .permitted = install_permitted, .limits = install_limits,
	.kbps_all = install_kbps_all, .far = install_far, .result = install_result, .event = install_event,
};

/* --- what routes asks and says --- */

static unsigned
routes_install(const struct lease *l, void *arg)
{
	struct manager *m = arg;

	return install_lease(m->install, l, &m->now);
}

static bool
routes_forged(const struct lease *l, void *arg)
{
	struct manager *m = arg;

	if (!install_forged(m->install, l))
		return false;
	STAT_INC(ROUTED_ANSWERS_REFUSED);
	return true;
}

static void
routes_end(uint64_t route_id, void *arg)
{
	struct procmsg msg = { .type = PM_ROUTE_DEL, .route_del = { route_id, REASON_MOVED } };
	struct manager *m = arg;

	if (install_find(m->install, route_id) != NULL)
		install_end(m->install, route_id, INSTALL_E_CLOSED, REASON_MOVED);
	else if (m->dataplane)	/* of the routed before this one */
		m->ops->dataplane(&msg, m->arg);
}

static bool
routes_session(const uint8_t *node_id, void *arg)
{
	return ways_state(((struct manager *)arg)->ways, node_id, 0) != WAY_COUNT;
}

static void
routes_up(const struct route_dest *d, const struct lease *l, void *arg)
{
	struct manager *m = arg;

	if (ways_add(m->ways, d->node_id, l->route_id, l->n, l->classes, m->now.now_ns) == -1 &&
	    ratelimit_take(&m->place_logs, m->now.now_ns))
		log_warnx("route=%016llx has no place among the ways", (unsigned long long)l->route_id);
}

static void
routes_leaving(const struct route_dest *d, const struct lease *l, void *arg)
{
	struct manager *m = arg;

	ways_retire(m->ways, d->node_id, l->route_id, m->now.now_ns);
}

static void
routes_gone(const struct route_dest *d, const struct lease *l, void *arg)
{
	struct manager *m = arg;

	ways_del(m->ways, d->node_id, l->route_id, m->now.now_ns);
}

static void
routes_failed(const uint8_t *node_id, enum lease_error e, void *arg)
{
	struct procmsg msg = { .type = PM_WANT_FAILED };
	struct manager *m = arg;

	memcpy(msg.want_failed.node_id, node_id, NODE_ID_LEN);
	msg.want_failed.reason = e == LEASE_E_POLICY ? REASON_NOT_ALLOWED : REASON_UNREACHABLE;
	if (m->dataplane)
		m->ops->dataplane(&msg, m->arg);
	STAT_INC(ROUTED_WANTS_FAILED);
}

static void
routes_answered(const struct route_dest *d, int n, enum lease_error error, bool self, void *arg)
{
	struct manager *m = arg;
	struct history_event *e;

	if (n < 0)
		STAT_INC(ROUTED_LEASES_REFUSED);
	else
		STAT_ADD(ROUTED_LEASES_TAKEN, (unsigned)n);
	if (n <= 0 && routes_session(d->node_id, m))
		return;		/* that there is nothing but the session is no news */
	e = manager_event(m, n < 0 ? HISTORY_UNLEASED : HISTORY_LEASED);
	event_node(e, d->node_id);
	if (n < 0)
		snprintf(e->why, sizeof(e->why), "%s, %s", lease_strerror(error), self ? "by itself" : "says a coordinator");
	else
		snprintf(e->why, sizeof(e->why), "%d routes%s", n, self ? " of its own" : "");
}

static uint64_t
routes_random(void *arg)
{
	uint64_t v;

	crypto_random(&v, sizeof(v));
	return v >> 2;
}

static const struct routes_ops routes_ops = {
	.ask = manager_ask, .self = manager_ask_self, .install = routes_install, .end = routes_end, .session = routes_session,
	.state = manager_route_state, .up = routes_up, .leaving = routes_leaving, .gone = routes_gone, .failed = routes_failed,
	.answered = routes_answered, .random = routes_random, .forged = routes_forged, .permitted = manager_lease_permitted,
};

/* --- what ways says --- */

static int
ways_rank(const struct pm_route_rank *r, void *arg)
{
	struct procmsg msg = { .type = PM_ROUTE_RANK, .route_rank = *r };
	struct manager *m = arg;

	if (!m->dataplane)
		return -1;
	return m->ops->dataplane(&msg, m->arg);
}

static void
ways_first(const struct ways_node *n, enum way_group g, uint64_t from, uint64_t to, enum way_why why, void *arg)
{
	struct manager *m = arg;
	struct history_event *e = manager_event(m, HISTORY_FIRST);

	m->saved_version = UINT64_MAX;	/* the order is kept, too */
	event_node(e, n->node_id);
	e->from = from;
	e->to = to;
	snprintf(e->why, sizeof(e->why), "%s: %s", g == WAYS_DELAY ? "delay" : "bulk", way_why_name(why));
	STAT_INC(ROUTED_WAYS_REORDERED);
}

static const struct ways_ops ways_ops = { .rank = ways_rank, .first = ways_first };

/* --- what usage asks and says --- */

static const uint8_t *
usage_route_key(const uint8_t *node_id, void *arg)
{
	const struct manager *m = arg;
	const struct known *k = known_find(m->knowns, node_id);

	return k != NULL && k->route_end > m->now.wall ? k->route_key : NULL;
}

static const struct sign_key *
usage_own_key(const uint8_t **node_key, void *arg)
{
	const struct manager *m = arg;

	*node_key = m->node_key;
	return m->keyed ? &m->route_key : NULL;
}

static const struct usage_ops usage_ops = { install_send, usage_route_key, usage_own_key };

/* Its file is opened in the state directory, when this node is known: until then it counts in memory. */
static int
usage_begin(struct manager *m, const char *path)
{
	struct usage *u = usage_new(&usage_ops, m, m->id, path == NULL ? NULL : usage_store_open(path));

	if (u == NULL)
		return -1;
	usage_free(m->usage);
	m->usage = u;
	return 0;
}

static int
on_receipt(struct manager *m, const uint8_t *from, const uint8_t *body, size_t len)
{
	enum usage_error e = usage_message(m->usage, from, body, len, m->now.wall);

	_Static_assert(STAT_ROUTED_USAGE_E_MORE - STAT_ROUTED_USAGE_OK == USAGE_E_COUNT - 1, "a counter for each");
	stats->counter[STAT_ROUTED_USAGE_OK + e]++;
	return e == USAGE_E_FORM ? -1 : 0;
}

static void
on_used(struct manager *m, const struct pm_route_used *v)
{
	usage_used(m->usage, install_find(m->install, v->route_id), v);
}

/* --- life --- */

struct manager *
manager_new(const struct manager_ops *ops, void *arg, struct knowns *knowns, struct directory *dir)
{
	struct manager *m = calloc(1, sizeof(*m));

	if (m == NULL)
		return NULL;
	m->ops = ops;
	m->arg = arg;
	m->knowns = knowns;
	m->dir = dir;
	score_weights_default(&m->weights);
	ratelimit_init(&m->refusal_logs, 10 * NS_PER_SEC, 10);
	ratelimit_init(&m->place_logs, 10 * NS_PER_SEC, 10);
	m->install = install_new(&install_ops, m);
	m->routes = routes_new(&routes_ops, m);
	m->ways = ways_new(&ways_ops, m);
	m->graph = graph_new();
	m->leases = leasestore_sqlite(LEASESTORE_FILE);
	if (m->graph != NULL)
		m->coordinator = coordinator_new(m->graph, &manager_coordinator_ops, m, m->leases);
	if (history_init(&m->history) == -1 || usage_begin(m, NULL) == -1 || m->install == NULL || m->routes == NULL || m->ways == NULL ||
	    m->coordinator == NULL) {
		manager_free(m);
		return NULL;
	}
	return m;
}

void
manager_free(struct manager *m)
{
	if (m == NULL)
		return;
	routes_drop(m->routes);
	install_free(m->install);
	ways_free(m->ways);
	if (m->usage != NULL)
		usage_save(m->usage);
	usage_free(m->usage);
	coordinator_free(m->coordinator);
	if (m->leases != NULL)
		m->leases->ops->free(m->leases);
	graph_free(m->graph);
	policy_free(m->policy);
	history_free(&m->history);
	free(m->revoked);
	free(m->pardoned);
	crypto_wipe(&m->route_key, sizeof(m->route_key));
	crypto_wipe(m->ticket_keys, sizeof(m->ticket_keys));
	free(m);
}

void
manager_time(struct manager *m, uint64_t now_ns, uint64_t wall_ms)
{
	m->now = (struct clock_both){ now_ns, wall_ms / 1000 };
	m->wall_ms = wall_ms;
}

static void
restore(const struct lease *l, void *arg)
{
	struct manager *m = arg;

	routes_restore(m->routes, l, &m->now);
}

/* In the order in which they are used now, since that is how they are taken up again. */
static void
save_dest(struct manager *m, const struct route_dest *d)
{
	const struct ways_node *n = ways_find(m->ways, d->node_id);

	for (unsigned i = 0; n != NULL && i < n->norder[WAYS_DELAY]; i++)
		for (unsigned k = 0; k < d->n; k++)
			if (d->held[k].state == HELD_UP && d->held[k].lease.route_id == n->order[WAYS_DELAY][i])
				usage_held_put(m->usage, &d->held[k].lease);
}

static void
save_routes(struct manager *m)
{
	if (m->saved_version == routes_version(m->routes) || usage_held_begin(m->usage) == -1)
		return;
	for (size_t i = 0; i < routes_count(m->routes); i++)
		save_dest(m, routes_get(m->routes, i));
	if (usage_held_end(m->usage) == 0)
		m->saved_version = routes_version(m->routes);
}

void
manager_self(struct manager *m, const uint8_t *node_id, const uint8_t *authority, const char *tenant)
{
	memcpy(m->id, node_id, NODE_ID_LEN);
	memcpy(m->authority, authority, RECORD_KEY_LEN);
	snprintf(m->tenant, sizeof(m->tenant), "%s", tenant);
	if (!m->is_self && usage_begin(m, USAGE_FILE) == -1)
		log_warnx("no memory to read what was relayed");
	if (!m->is_self)
		usage_held_load(m->usage, restore, m);
	m->is_self = true;
	usage_self(m->usage, node_id);
}

static unsigned
judge_relaying(const struct installed *e, void *arg)
{
	const struct manager *m = arg;

	if (e->t.place != TICKET_RELAY)
		return INSTALL_OK;
	if (!m->conf.relay || !within_hours(&m->conf, m->now.wall))
		return TICKET_E_ROLE;
	return (e->t.classes & ~m->conf.classes) != 0 ? TICKET_E_CLASS : INSTALL_OK;
}

void
manager_conf(struct manager *m, const struct pm_conf_routing *conf, const struct score_weights *weights)
{
	bool other = m->conf.kbps != conf->kbps;

	m->conf = *conf;
	m->weights = *weights;
	coordinator_weights(m->coordinator, &m->weights);
	install_judge(m->install, judge_relaying, m, REASON_NO_ROUTE);
	if (other)
		install_again(m->install);
}

void
manager_keys(struct manager *m, const struct sign_key *route, const struct noise_key *ticket, struct frame_bytes membership,
    struct frame_bytes route_delegation)
{
	struct record r;

	if (record_decode(&r, membership.p, membership.len) != RECORD_OK)
		return;
	memcpy(m->node_key, r.subject, RECORD_KEY_LEN);
	m->route_key = *route;
	if (m->nkeys == 0 || memcmp(m->ticket_keys[0].public, ticket->public, NOISE_DH_LEN) != 0) {
		memmove(&m->ticket_keys[1], &m->ticket_keys[0], sizeof(m->ticket_keys[0]) * (MANAGER_KEYS - 1));
		m->ticket_keys[0] = *ticket;
		if (m->nkeys < MANAGER_KEYS)
			m->nkeys++;
	}
	m->keyed = coordinator_keys(m->coordinator, route, membership, route_delegation) == 0;
	routes_hint(m->routes, &m->now);
}

void
manager_peers(struct manager *m)
{
	uint8_t (*ids)[NODE_ID_LEN] = calloc(m->dir->npeers + 1, NODE_ID_LEN);
	size_t n = 0;

	if (ids == NULL)
		return;
	for (size_t i = 0; i < m->dir->npeers; i++)
		if (m->dir->peers[i]->configured)
			memcpy(ids[n++], m->dir->peers[i]->node_id, NODE_ID_LEN);
	routes_configured(m->routes, (const uint8_t (*)[NODE_ID_LEN])ids, n, &m->now);
	free(ids);
}

/* --- the mesh and the known nodes --- */

int
manager_message(struct manager *m, const uint8_t *from, unsigned type, const uint8_t *body, size_t len)
{
	switch (type) {
	case DIRMSG_ROUTE_REQUEST:
		return manager_on_request(m, from, body, len);
	case DIRMSG_ROUTE_ANSWER:
		return manager_on_answer(m, from, body, len);
	case DIRMSG_INSTALL:
	case DIRMSG_INSTALLED:
	case DIRMSG_TEARDOWN:
		return install_message(m->install, from, type, body, len, &m->now);
	case DIRMSG_RECEIPT:
		return on_receipt(m, from, body, len);
	default:
		return -1;
	}
}

/* Something has changed for who waits; where there was nobody to ask before, and this one can be, that is worth more. */
static void
may_ask(struct manager *m, const struct known *k)
{
	if (!m->lonely || k == NULL || !known_coordinates(k)) {
		routes_hint(m->routes, &m->now);
		return;
	}
	m->lonely = false;
	routes_coordinator(m->routes, &m->now);
}

void
manager_mesh_up(struct manager *m, const uint8_t *node_id)
{
	install_mesh_up(m->install, node_id, &m->now);
	may_ask(m, m->lonely ? knowns_coordinator_next(m->knowns, NULL) : NULL);
}

void
manager_mesh_down(struct manager *m, const uint8_t *node_id)
{
	/* A neighbour's routed is away, not its dataplane: routes over it go on. */
}

void
manager_known(struct manager *m, struct known *k, enum known_change change)
{
	struct policy_node who = known_policy_node(k);

	if (change == KNOWN_GONE) {
		graph_node_del(m->graph, k->node_id);
		return;
	}
	if (change == KNOWN_SERVICES)
		return;
	if (!(k->member.roles & 1u << ROLE_ROUTE_COORDINATOR))
		fences_drop(&m->fences, k->node_id);
	if (graph_node_set(m->graph, &who, k->facts, m->now.now_ns) == -1)
		log_warnx("no memory for node=%s in the graph", who.name);
	if (change == KNOWN_RECORD) {
		routes_hint_of(m->routes, k->node_id, &m->now);
		return;
	}
	m->fences_due |= k->self;
	manager_tell_permit(m, k);
	may_ask(m, k);
}

static unsigned
judge_policy(const struct installed *e, void *arg)
{
	struct manager *m = arg;
	struct ticket_issuer by = { .who = { .not_after = 0 } };

	if (e->t.place == TICKET_SOURCE)
		return manager_may_hold(m, &e->t) ? INSTALL_OK : TICKET_E_POLICY;
	memcpy(by.who.node_id, e->issuer, NODE_ID_LEN);
	return install_permitted(&e->t, &by, m) ? INSTALL_OK : TICKET_E_POLICY;
}

static void
take_policy(struct manager *m, const struct record *r)
{
	int error;
	struct policy *p = policy_load(r->content.p, r->content.len, &error), *old = m->policy;

	if (p == NULL) {
		log_warnx("policy version=%llu cannot be used: %s", (unsigned long long)r->serial,
		    error == 0 ? "no memory" : frame_strerror(error));
		return;
	}
	m->policy = p;
	m->policy_serial = r->serial;
	coordinator_policy(m->coordinator, p);
	policy_free(old);
	snprintf(manager_event(m, HISTORY_POLICY)->why, HISTORY_TEXT_MAX, "version %llu", (unsigned long long)r->serial);
	install_judge(m->install, judge_policy, m, REASON_NO_ROUTE);
	install_again(m->install);	/* it may have other limits */
	routes_policy(m->routes, &m->now);
	m->permits_due = m->tenants_due = true;
	m->permits_next = 0;
	manager_tell_more(m);
}

void
manager_signed(struct manager *m, const struct record *r, const struct known *issuer)
{
	if (r->kind == RECORD_POLICY)
		take_policy(m, r);
	else if (r->kind == RECORD_REVOCATION)
		manager_revocations(m, r);
	else if (r->kind == RECORD_FENCE)
		manager_take_fence(m, r);
}

/* --- the dataplane --- */

/* Silent for long: it is given up, and another is asked for. */
static void
watch_silence(struct manager *m, const struct pm_route_stat *s)
{
	struct manager_silent *e = &m->silent[s->route_id % (sizeof(m->silent) / sizeof(m->silent[0]))];

	if (s->route_id == 0)
		return;
	if (s->state != WAY_SILENT) {
		if (e->route_id == s->route_id)
			e->route_id = 0;
		return;
	}
	if (e->route_id != s->route_id) {
		if (e->route_id == 0 || m->now.now_ns - e->since_ns > 2 * MANAGER_SILENT_NS)
			*e = (struct manager_silent){ s->route_id, m->now.now_ns };
		return;
	}
	if (m->now.now_ns - e->since_ns < MANAGER_SILENT_NS)
		return;
	e->route_id = 0;
	manager_blame(m, s->route_id, 0, manager_way(m, s->node_id) != NULL);
	routes_silent(m->routes, s->route_id, &m->now);
}

static void
on_stat(struct manager *m, const struct pm_route_stat *s)
{
	ways_stat(m->ways, s, m->now.now_ns);
	if (s->streams > 0)
		routes_used(m->routes, s->node_id, &m->now);
	watch_silence(m, s);
}

/* What was left for something better, or since somebody said so, has not failed. */
static bool
broke(uint64_t reason)
{
	return reason == REASON_TIMEOUT || reason == REASON_HOP_GONE || reason == REASON_PEER_GONE;
}

static void
on_moved(struct manager *m, const struct pm_route_moved *v)
{
	struct history_event *e = manager_event(m, HISTORY_MOVED);

	event_node(e, v->node_id);
	e->from = v->from;
	e->to = v->to;
	e->to_none = v->to_none;
	e->streams = v->streams;
	e->lost = v->packets_lost;
	e->detect_us = v->detect_us;
	e->recover_us = v->recover_us;
	snprintf(e->why, sizeof(e->why), "%s", reason_name(v->reason));
	STAT_INC(ROUTED_WAYS_MOVED);
	if (v->from != 0 && !v->to_none && broke(v->reason))
		manager_blame(m, v->from, 0, true);
	ways_moved(m->ways, v, m->now.now_ns);
}

static void
on_want(struct manager *m, const struct pm_want *v)
{
	const struct known *k = known_find(m->knowns, v->node_id);

	STAT_INC(ROUTED_WANTS);
	if (k == NULL || k->membership.len == 0)
		m->ops->query(v->node_id, m->arg);
	if (routes_want(m->routes, v->node_id, (uint8_t)(1u << v->class), &m->now) == -1)
		routes_failed(v->node_id, LEASE_E_NO_ROUTE, m);
	else
		routes_tick(m->routes, &m->now);
}

int
manager_dataplane(struct manager *m, const struct procmsg *msg)
{
	switch (msg->type) {
	case PM_PEER_UP:
		ways_add(m->ways, msg->peer_up.node_id, 0, 2, ALL_CLASSES, m->now.now_ns);
		manager_tell_permit_peer(m, msg->peer_up.node_id);
		return 0;
	case PM_PEER_DOWN:
		ways_del(m->ways, msg->peer_down.node_id, 0, m->now.now_ns);
		return 0;
	case PM_ROUTE_STAT:
		on_stat(m, &msg->route_stat);
		return 0;
	case PM_ROUTE_MOVED:
		on_moved(m, &msg->route_moved);
		return 0;
	case PM_STREAM_MOVED:
		history_stream_moved(&m->history, &msg->stream_moved, m->wall_ms);
		return 0;
	case PM_ROUTE_USED:
		on_used(m, &msg->route_used);
		return 0;
	case PM_WANT:
		on_want(m, &msg->want);
		return 0;
	default:
		return -1;
	}
}

void
manager_dataplane_new(struct manager *m)
{
	m->dataplane = true;
	m->nremotes = 0;
	m->revoked_told = 0;
	m->npardoned = 0;
	m->permits_due = m->tenants_due = true;
	m->permits_next = 0;
	manager_tell_more(m);
	install_again(m->install);
	ways_again(m->ways);
	m->ops->flush(m->arg);
}

static void
session_gone(struct manager *m, const struct peer *p)
{
	ways_del(m->ways, p->node_id, 0, m->now.now_ns);
}

void
manager_dataplane_lost(struct manager *m)
{
	m->dataplane = false;
	m->nremotes = 0;
	for (size_t i = 0; i < m->dir->npeers; i++)
		session_gone(m, m->dir->peers[i]);
}

void
manager_writable(struct manager *m)
{
	if (!m->dataplane)
		return;
	manager_tell_more(m);
	install_sync(m->install);
	ways_sync(m->ways);
	m->ops->flush(m->arg);
}

void
manager_services(struct manager *m)
{
	m->serves = true;
	m->permits_due = true;
	m->permits_next = 0;
	manager_tell_more(m);
}

/* --- time --- */

static void
each_second(struct manager *m)
{
	manager_sweep_remotes(m);
	fences_expire(&m->fences, m->now.wall);
	if (m->keyed) {
		usage_tick(m->usage, m->now.wall);
		save_routes(m);
	}
	if (m->leases != NULL && manager_is_coordinator(m) && m->now.now_ns >= m->expire_ns) {
		m->leases->ops->expire(m->leases, m->now.wall);
		m->expire_ns = m->now.now_ns + MANAGER_EXPIRE_NS;
	}
	install_judge(m->install, judge_relaying, m, REASON_NO_ROUTE);
	STAT_SET(ROUTED_ROUTES_HERE, install_count(m->install));
	STAT_SET(ROUTED_ROUTES_WANTED, routes_count(m->routes));
	STAT_SET(ROUTED_FENCES_HELD, m->fences.n);
	STAT_SET(ROUTED_GRAPH_NODES, graph_size(m->graph));
}

void
manager_tick(struct manager *m)
{
	if (!m->is_self)
		return;
	install_tick(m->install, &m->now);
	if (m->keyed)
		routes_tick(m->routes, &m->now);
	manager_fences_again(m);
	if (m->now.now_ns >= m->next_ns) {
		m->next_ns = m->now.now_ns + NS_PER_SEC;
		each_second(m);
	}
	manager_writable(m);
}
