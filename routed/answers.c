/*
 * Requests of fabricctl: "peers", what the directory knows; "status", what is so now and by which proof; "nodes", what the
 * nodes of the tenant say of themselves.
 */
#include <arpa/inet.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hex.h"
#include "base/log.h"
#include "proc/stats.h"
#include "routed/routed.h"
#include "routed/spread.h"

#define RETRY_MS	5	/* after the control channel was full */
#define LIST_MAX	1024	/* bytes of a list in a row */

struct list {
	char	text[LIST_MAX];
	size_t	len;
};

static void __attribute__((format(printf, 2, 3)))
list_add(struct list *l, const char *fmt, ...)
{
	char item[128];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(item, sizeof(item), fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof(item) || l->len + 1 + (size_t)n >= sizeof(l->text))
		return;
	if (l->len > 0)
		l->text[l->len++] = ',';
	memcpy(l->text + l->len, item, (size_t)n + 1);
	l->len += (size_t)n;
}

static void
list_addr(struct list *l, const struct pm_addr *a)
{
	char text[INET6_ADDRSTRLEN];

	inet_ntop(a->family == 4 ? AF_INET : AF_INET6, a->addr, text, sizeof(text));
	list_add(l, a->family == 4 ? "%s:%u" : "[%s]:%u", text, a->port);
}

static void
list_prefixes(struct list *l, const struct record_prefix *p, size_t n)
{
	char text[INET6_ADDRSTRLEN];

	for (size_t i = 0; i < n; i++) {
		inet_ntop(p[i].family == 4 ? AF_INET : AF_INET6, p[i].addr, text, sizeof(text));
		list_add(l, "%s/%u", text, p[i].len);
	}
}

static void
row_begin(struct row_writer *w, const struct peer *p)
{
	char id[2 * NODE_ID_LEN + 1];

	row_init(w);
	row_str(w, "name", peer_name(p));
	row_str(w, "id", hex_encode(id, p->node_id, NODE_ID_LEN));
}

/* The route that leads there now, as far as its probes are answered; NULL: none. */
static const struct way *
route(const struct routed *r, const uint8_t *node_id)
{
	const struct way *y = manager_way(r->spread->manager, node_id);

	return r->dir->dataplane && y != NULL && y->route_id != 0 ? y : NULL;
}

/* Why it is not up; a peer that waits to be dialled by the other side has no fault. */
static const char *
why(const struct routed *r, const struct peer *p, enum peer_state state)
{
	if (state == PEER_STATE_UP)
		return "";
	if (!r->dir->dataplane)
		return "no-dataplane";
	if (p->session.up)
		return state == PEER_STATE_DOWN ? "silent" : "unproven";
	if (p->down_reason != REASON_NONE)
		return reason_name(p->down_reason);
	return p->configured && !p->told_dial ? "no-address" : "";
}

static void
status_row(const struct routed *r, const struct peer *p, uint64_t now, struct row_writer *w)
{
	const struct peer_session *s = &p->session;
	enum peer_state state = peer_state(r->dir, p, now);
	bool up = state == PEER_STATE_UP;
	const struct way *y = up ? NULL : route(r, p->node_id);
	struct list prefixes = { .len = 0 };

	list_prefixes(&prefixes, p->prefixes, p->nprefixes);
	list_prefixes(&prefixes, p->member.prefixes, p->member.nprefixes);
	row_begin(w, p);
	row_str(w, "state", y != NULL ? "routed" : peer_state_name(state));
	row_str(w, "carrier", up ? "quic" : "");
	row_uint(w, "rtt_us", up ? p->quality.srtt_us : y != NULL ? y->rtt_us : 0);
	row_uint(w, "bytes_in", s->bytes_in);
	row_uint(w, "bytes_out", s->bytes_out);
	row_uint(w, "since_s", s->up ? (now - s->since_ns) / NS_PER_SEC : 0);
	if (s->proof_ns != 0)	/* else nothing was ever heard of it, however long ago */
		row_uint(w, "age_ms", now > s->proof_ns ? (now - s->proof_ns) / NS_PER_MS : 0);
	row_uint(w, "pressure", up ? s->pressure : 0);
	row_str(w, "prefixes", prefixes.text);
	row_str(w, "reason", why(r, p, state));
}

static const char *
source(const struct peer *p)
{
	if (!p->configured)
		return "session";
	if (p->member.record_len == 0)
		return "config";
	return p->last_seen != 0 ? "config,session" : "config,known";
}

static void
peers_row(const struct routed *r, const struct peer *p, uint64_t now, struct row_writer *w)
{
	struct list addrs = { .len = 0 };
	uint32_t failures = 0;

	for (size_t i = 0; i < p->naddrs; i++) {
		list_addr(&addrs, &p->addrs[i].addr);
		failures += p->addrs[i].failures;
	}
	row_begin(w, p);
	row_str(w, "source", source(p));
	row_str(w, "addresses", addrs.text);
	row_str(w, "state", peer_state_name(peer_state(r->dir, p, now)));
	row_uint(w, "rtt_us", p->quality.srtt_us);
	row_uint(w, "rtt_min_us", p->quality.min_us);
	row_uint(w, "loss_permille", p->quality.loss_permille);
	row_uint(w, "first_seen_s", p->first_seen);
	row_uint(w, "last_seen_s", p->last_seen);
	row_uint(w, "dial_failures", failures);
	row_str(w, "proven_name", p->member.name);
	row_str(w, "tenant", p->member.tenant);
	row_uint(w, "tier", p->member.tier);
	row_uint(w, "not_after_s", p->member.not_after);
}

/* Whose services a row tells of: this node's own (neither), a node of the directory, or one that is only known. */
struct of {
	const struct peer *peer;
	const struct known *known;
};

/* It has a session to somebody else, as far as that is known: there may be a route. */
static bool
others_reach(const struct knowns *ks, const struct known *k)
{
	for (size_t i = 0; k != NULL && i < k->facts->nlinks; i++) {
		const struct known *other = known_find(ks, k->facts->links[i].node_id);

		if (other != NULL && !other->self)
			return true;
	}
	return false;
}

/* Whether this node could open a stream to it now; if not, why not. */
static const char *
service_state(const struct routed *r, const struct of *of, const struct service *s)
{
	const struct known *k = of->known;
	bool peer_up = of->peer != NULL && peer_state(r->dir, of->peer, clock_ns()) == PEER_STATE_UP;

	if (of->peer == NULL && k == NULL)
		return "own";
	if (!(of->peer != NULL ? service_allowed(of->peer, s) : service_allowed_to(k->member.roles, s)))
		return "no-role";
	if (peer_up || route(r, of->peer != NULL ? of->peer->node_id : k->node_id) != NULL)
		return "reachable";
	return others_reach(r->spread->knowns, k) ? "far" : "unreachable";
}

static void
service_row(const struct routed *r, const struct of *of, const struct service *s, struct row_writer *w)
{
	char hex[2 * NODE_ID_LEN + 1];
	const char *own = r->conf != NULL ? r->conf->node.name : "";
	const uint8_t *id = of->peer != NULL ? of->peer->node_id : of->known != NULL ? of->known->node_id : r->dir->board.own_id;

	_Static_assert(RECORD_KEY_LEN == NODE_ID_LEN, "one buffer for both");
	row_init(w);
	row_str(w, "name", s->name);
	row_str(w, "node", of->peer != NULL ? peer_name(of->peer) : of->known != NULL ? of->known->member.name : own);
	row_str(w, "state", service_state(r, of, s));
	row_str(w, "class", class_name(s->class));
	row_str(w, "id", hex_encode(hex, id, NODE_ID_LEN));
	row_str(w, "key", hex_encode(hex, s->key, RECORD_KEY_LEN));
	row_uint(w, "serial", s->serial);
	row_uint(w, "not_after_s", s->not_after);
}

/* The services of the next node, its own coming first. 0, or -1: the control channel is full. */
static int
services_rows(struct routed *r, struct answer *a)
{
	struct of of = { NULL, NULL };
	const struct service_set *set = &r->dir->board.own;
	struct row_writer w;

	if (a->next > 0) {
		of.peer = directory_find(r->dir, a->ids[a->next]);
		of.known = known_find(r->spread->knowns, a->ids[a->next]);
		set = of.peer != NULL ? &of.peer->services : of.known != NULL ? &of.known->services : NULL;
	}
	for (; set != NULL && a->next_service < set->n; a->next_service++) {
		service_row(r, &of, &set->v[a->next_service], &w);
		if (worker_row(r->worker, a->id, &w) == -1)
			return -1;
	}
	a->next_service = 0;
	return 0;
}

static void
list_facts(const struct facts *f, struct list *addrs, struct list *links)
{
	char hex[9];

	for (size_t i = 0; i < f->naddrs; i++) {
		struct pm_addr addr = { .family = f->addrs[i].family, .port = f->addrs[i].port };

		memcpy(addr.addr, f->addrs[i].addr, sizeof(addr.addr));
		list_addr(addrs, &addr);
	}
	for (size_t i = 0; i < f->nlinks; i++)
		list_add(links, "%s:%u.%ums", hex_encode(hex, f->links[i].node_id, 4), f->links[i].rtt_us / 1000,
		    f->links[i].rtt_us / 100 % 10);
}

static void
list_roles(struct list *l, uint32_t roles)
{
	for (unsigned i = 0; i < ROLE_COUNT; i++)
		if (roles & 1u << i)
			list_add(l, "%s", role_name(i));
}

/* What a node of the tenant says of itself, wherever it is. */
static int
node_rows(struct routed *r, struct answer *a)
{
	const struct known *k = known_find(r->spread->knowns, a->ids[a->next]);
	struct list roles = { .len = 0 }, addrs = { .len = 0 }, links = { .len = 0 };
	uint64_t wall = clock_wall();
	char id[2 * NODE_ID_LEN + 1];
	struct row_writer w;

	if (k == NULL)
		return 0;	/* it went meanwhile */
	list_roles(&roles, k->member.roles);
	list_facts(k->facts, &addrs, &links);
	row_init(&w);
	row_str(&w, "name", k->member.name);
	row_str(&w, "id", hex_encode(id, k->node_id, NODE_ID_LEN));
	row_str(&w, "state", k->self ? "self" : mesh_adjacent(r->spread->mesh, k->node_id) ? "neighbour" : "far");
	row_str(&w, "roles", roles.text);
	row_bool(&w, "leaf", k->leaf);
	row_uint(&w, "serial", k->serial);
	row_uint(&w, "age_s", wall > k->heard ? wall - k->heard : 0);
	row_uint(&w, "expires_s", k->not_after > wall ? k->not_after - wall : 0);
	row_uint(&w, "skew_s", (uint64_t)(k->skew_s < 0 ? -k->skew_s : k->skew_s));
	row_bool(&w, "behind", k->skew_s < 0);
	row_str(&w, "nat", nat_type_name(k->facts->nat));
	row_str(&w, "net", net_type_name(k->facts->net));
	row_bool(&w, "relay", k->facts->relay);
	row_uint(&w, "services", k->services.n);
	row_str(&w, "addresses", addrs.text);
	row_str(&w, "links", links.text);
	return worker_row(r->worker, a->id, &w);
}

/* One node's row. */
static int
peer_rows(struct routed *r, struct answer *a)
{
	const struct peer *p = directory_find(r->dir, a->ids[a->next]);
	struct row_writer w;

	if (p == NULL)
		return 0;	/* it went meanwhile */
	if (a->what == ANSWER_STATUS)
		status_row(r, p, clock_ns(), &w);
	else
		peers_row(r, p, clock_ns(), &w);
	return worker_row(r->worker, a->id, &w);
}

/* Status is about whom this node has to do with; the directory remembers others as well. */
static bool
belongs(const struct answer *a, const struct peer *p)
{
	return a->what != ANSWER_STATUS || p->configured || p->session.up;
}

static int
next_rows(struct routed *r, struct answer *a)
{
	switch (a->what) {
	case ANSWER_SERVICES:
		return services_rows(r, a);
	case ANSWER_NODES:
		return node_rows(r, a);
	default:
		return peer_rows(r, a);
	}
}

static void
answer_end(struct routed *r, struct answer *a)
{
	worker_done(r->worker, a->id, 0, "");
	free(a->ids);
	memset(a, 0, sizeof(*a));
	STAT_INC(ROUTED_REQUESTS);
}

/* false: the control channel is full. */
static bool
answer_run(struct routed *r, struct answer *a)
{
	for (; a->next < a->n; a->next++)
		if (next_rows(r, a) == -1)
			return false;
	answer_end(r, a);
	return true;
}

static void
answers_run(evutil_socket_t fd, short what, void *arg)
{
	struct timeval tv = { .tv_usec = RETRY_MS * 1000 };
	struct routed *r = arg;
	bool waiting = false;

	for (size_t i = 0; i < ANSWERS_MAX; i++)
		if (r->answers[i].used && !answer_run(r, &r->answers[i]))
			waiting = true;
	if (waiting)
		event_add(r->answer_timer, &tv);
}

struct named {
	const char *name;
	const uint8_t *node_id;
};

struct collecting {
	const struct answer *a;
	const struct directory *dir;
	struct named *v;
	size_t	 n;
};

static int
by_name(const void *a, const void *b)
{
	const struct named *x = a, *y = b;
	int c = strcmp(x->name, y->name);

	return c != 0 ? c : memcmp(x->node_id, y->node_id, NODE_ID_LEN);
}

static bool
collect_known(struct known *k, void *arg)
{
	struct collecting *c = arg;

	if (c->a->what == ANSWER_NODES || (!k->self && directory_find(c->dir, k->node_id) == NULL))
		c->v[c->n++] = (struct named){ k->member.name, k->node_id };
	return true;
}

static void
collect(struct collecting *c, const struct routed *r)
{
	for (size_t i = 0; c->a->what != ANSWER_NODES && i < r->dir->npeers; i++)
		if (belongs(c->a, r->dir->peers[i]))
			c->v[c->n++] = (struct named){ peer_name(r->dir->peers[i]), r->dir->peers[i]->node_id };
	if (c->a->what == ANSWER_NODES || c->a->what == ANSWER_SERVICES)
		knowns_each(r->spread->knowns, collect_known, c);
	qsort(c->v, c->n, sizeof(*c->v), by_name);
}

/*
 * The ids in the order of names, for services behind a place for this node's own, as they are now: what they are of may
 * change before the last row has left.
 */
static int
answer_begin(struct answer *a, const struct routed *r)
{
	size_t max = r->dir->npeers + knowns_count(r->spread->knowns) + 1, own = a->what == ANSWER_SERVICES;
	struct collecting c = { .a = a, .dir = r->dir, .v = calloc(max, sizeof(*c.v)) };

	a->ids = calloc(max, NODE_ID_LEN);
	if (c.v == NULL || a->ids == NULL) {
		free(c.v);
		free(a->ids);
		a->ids = NULL;
		return -1;
	}
	collect(&c, r);
	for (size_t i = 0; i < c.n; i++)
		memcpy(a->ids[own + i], c.v[i].node_id, NODE_ID_LEN);
	a->n = c.n + own;
	free(c.v);
	a->used = true;
	return 0;
}

void
answers_request(struct worker *w, const struct pm_request *req)
{
	struct routed *r = w->state;
	static const char *const commands[] = { [ANSWER_PEERS] = "peers", [ANSWER_STATUS] = "status",
	    [ANSWER_SERVICES] = "services", [ANSWER_NODES] = "nodes" };
	struct answer *a = NULL;
	unsigned what = 0;

	while (what < sizeof(commands) / sizeof(commands[0]) && strcmp(req->command, commands[what]) != 0)
		what++;
	if (what == sizeof(commands) / sizeof(commands[0])) {
		if (route_answers_request(&r->route_answers, req))
			return;
		worker_done(w, req->id, 1, "routed does not know this command");
		return;
	}
	for (size_t i = 0; i < ANSWERS_MAX && a == NULL; i++)
		if (!r->answers[i].used)
			a = &r->answers[i];
	if (a == NULL) {
		worker_done(w, req->id, 1, "routed is busy");
		return;
	}
	a->id = req->id;
	a->what = what;
	if (answer_begin(a, r) == -1) {
		worker_done(w, req->id, 1, "no memory");
		return;
	}
	answers_run(-1, 0, r);
}

void
answers_init(struct routed *r)
{
	r->answer_timer = evtimer_new(r->worker->base, answers_run, r);
	if (route_answers_init(&r->route_answers, r->worker, r->spread->manager) == -1)
		fatal("timer");
}
