#include "routed/spread.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/log.h"
#include "proc/ipc.h"
#include "proc/stats.h"
#include "routed/manager.h"
#include "routed/routed.h"

#define EXPIRE_TICKS	5
#define LOAD_FIRST_MS	200	/* of verifying what is on disk, before all else, */
#define LOAD_MS		40	/* and then in each MANAGER_TICK_MS */
#define LEAF_ROLES	(1u << ROLE_MOBILE_EDGE | 1u << ROLE_OBSERVER)

static void
set_time(struct spread *s)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	s->now.ns = clock_ns();
	s->now.wall = (uint64_t)ts.tv_sec;
	manager_time(s->manager, s->now.ns, (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000);
}

static void
wake(struct spread *s)
{
	if (!s->running)
		event_active(s->timer, 0, 0);
}

/* --- the mesh --- */

static int
port_send(const struct frame *f, void *arg)
{
	return ipc_send(arg, f);
}

static uint8_t *
port_reserve(size_t len, void *arg)
{
	return ipc_reserve(arg, len);
}

static void
port_commit(size_t used, void *arg)
{
	ipc_commit(arg, used);
}

static const struct mesh_port_ops port_ops = { .send = port_send, .reserve = port_reserve, .commit = port_commit };

static int
mesh_message(const uint8_t *from, unsigned type, const uint8_t *body, size_t len, void *arg)
{
	struct spread *s = arg;

	if (type >= DIRMSG_ROUTE_REQUEST && type <= DIRMSG_ROUTE_LAST)
		return manager_message(s->manager, from, type, body, len);
	return sync_message(s->sync, from, type, body, len, &s->now);
}

static void
on_mesh_up(const uint8_t *node_id, void *arg)
{
	static const struct pm_addr nowhere;
	struct spread *s = arg;
	const struct peer *p = directory_find(s->routed->dir, node_id);
	bool leaf = p == NULL || (p->member.roles & ~LEAF_ROLES) == 0;
	bool foreign = p == NULL || s->routed->conf == NULL || strcmp(p->member.tenant, s->routed->conf->node.tenant) != 0;

	if (sync_up(s->sync, node_id, leaf, foreign, p == NULL ? &nowhere : &p->session.addr, &s->now) == -1)
		log_warn("a neighbour is told nothing");
	manager_mesh_up(s->manager, node_id);
}

static void
on_mesh_down(const uint8_t *node_id, void *arg)
{
	struct spread *s = arg;

	sync_down(s->sync, node_id);
	manager_mesh_down(s->manager, node_id);
}

static const struct mesh_ops mesh_ops = { .message = mesh_message, .up = on_mesh_up, .down = on_mesh_down };

/* --- what is known --- */

static void
on_changed(struct known *k, enum known_change change, void *arg)
{
	struct spread *s = arg;
	struct peer *p;

	if (change == KNOWN_GONE) {
		services_known_gone(s->routed->dir, k);
		if (knowns_revoked(s->knowns, k->node_id) && (p = directory_find(s->routed->dir, k->node_id)) != NULL)
			services_drop(s->routed->dir, p);
	} else if (change != KNOWN_RECORD && !k->self) {
		services_known_adopt(s->routed->dir, k);
	}
	directory_heard(s->routed->dir, k->node_id, change == KNOWN_GONE ? NULL : k->facts);
	sync_changed(s->sync, k, change, &s->now);
	manager_known(s->manager, k, change);
}

static void
on_services(struct known *k, struct service_set *now, void *arg)
{
	struct spread *s = arg;

	services_known_replace(s->routed->dir, k, now);
}

static void
on_signed(const struct record *r, const struct known *issuer, void *arg)
{
	struct spread *s = arg;

	log_info("%s serial=%llu holds now", record_kind_name(r->kind), (unsigned long long)r->serial);
	sync_signed(s->sync, r);
	manager_signed(s->manager, r, issuer);
}

static const struct known_ops known_ops = { .changed = on_changed, .services = on_services, .signed_record = on_signed };

/* --- its exchange --- */

static int
sync_send(const uint8_t *node_id, unsigned type, const uint8_t *body, size_t len, void *arg)
{
	struct spread *s = arg;

	return mesh_send(s->mesh, node_id, type, body, len);
}

static size_t
sync_room(const uint8_t *node_id, void *arg)
{
	struct spread *s = arg;

	return mesh_room(s->mesh, node_id);
}

static void
on_hello(const uint8_t *node_id, const struct pm_addr *seen, int64_t skew_s, void *arg)
{
	struct spread *s = arg;
	const struct peer *p = directory_find(s->routed->dir, node_id);
	uint64_t skew = (uint64_t)(skew_s < 0 ? -skew_s : skew_s);

	own_seen(&s->own, node_id, seen, p != NULL && p->session.up && !p->session.initiator);
	if (skew > stats->counter[STAT_ROUTED_KNOWN_SKEW])
		STAT_SET(ROUTED_KNOWN_SKEW, skew);
	if (skew > CLOCK_SKEW_S / 2 && ratelimit_take(&s->skew_logs, s->now.ns))
		log_warnx("the clock of peer=%s is %lld s ahead of this node's: records may not be believed",
		    p != NULL ? peer_name(p) : "?", (long long)skew_s);
}

static const struct sync_ops sync_ops = { .send = sync_send, .room = sync_room, .hello = on_hello };

/* --- routes --- */

static bool
manager_adjacent(const uint8_t *node_id, void *arg)
{
	struct spread *s = arg;

	return mesh_adjacent(s->mesh, node_id);
}

static void
manager_each(void (*fn)(const uint8_t *, void *), void *fn_arg, void *arg)
{
	struct spread *s = arg;

	mesh_each(s->mesh, fn, fn_arg);
}

static int
manager_to_dataplane(const struct procmsg *m, void *arg)
{
	struct spread *s = arg;

	return s->routed->dataplane == NULL ? -1 : procmsg_send(s->routed->dataplane, m, -1);
}

static void
manager_flush(void *arg)
{
	struct spread *s = arg;

	if (s->routed->dataplane != NULL)
		ipc_flush(s->routed->dataplane);
}

static void
manager_query(const uint8_t *node_id, void *arg)
{
	struct spread *s = arg;

	sync_want(s->sync, node_id, false, &s->now);
	wake(s);
}

static int
manager_spread(const uint8_t *record, size_t len, void *arg)
{
	struct spread *s = arg;
	enum known_error e = knowns_take_signed(s->knowns, record, len, false, s->now.wall);

	wake(s);
	return (int)e;
}

static const struct manager_ops manager_ops = {
	.send = sync_send, .adjacent = manager_adjacent, .each = manager_each, .dataplane = manager_to_dataplane,
	.flush = manager_flush, .query = manager_query, .spread = manager_spread,
};

/* --- this node --- */

static void
ask_certificate(unsigned purpose, const uint8_t *key, void *arg)
{
	struct procmsg m = { .type = PM_DELEGATE, .delegate.purpose = (uint8_t)purpose };
	struct spread *s = arg;

	memcpy(m.delegate.key, key, sizeof(m.delegate.key));
	worker_send(s->routed->worker, &m, -1);
}

static void
own_again(struct spread *s)
{
	s->own.routes_version = routes_version(s->manager->routes);
	if (own_run(&s->own, s->knowns, s->routed->dir, &s->now))
		log_debug("own record serial=%llu", (unsigned long long)s->own.serial);
}

static void
own_leaf(struct spread *s)
{
	struct record r;

	if (record_decode(&r, s->own.membership.p, s->own.membership.len) == RECORD_OK)
		sync_self(s->sync, (r.roles & ~LEAF_ROLES) == 0);
}

static int
take_delegation(struct spread *s, const struct pm_delegation *m)
{
	if (m->purpose != PURPOSE_ROUTE && m->purpose != PURPOSE_TICKET)
		return -1;
	if (own_delegation(&s->own, m) == -1) {
		log_warnx("the supervisor's delegation is not for this key and node");
		return 0;
	}
	own_leaf(s);
	if (own_ready(&s->own, s->now.wall))
		manager_keys(s->manager, &s->own.route, &s->own.ticket,
		    (struct frame_bytes){ s->own.membership.p, s->own.membership.len },
		    (struct frame_bytes){ s->own.keys[PURPOSE_ROUTE].delegation.p, s->own.keys[PURPOSE_ROUTE].delegation.len });
	own_again(s);
	return 0;
}

static void
take_signed(struct spread *s, struct frame_bytes b)
{
	enum known_error e = knowns_take_signed(s->knowns, b.p, b.len, true, s->now.wall);

	if (e != KNOWN_OK && e != KNOWN_E_OLD)
		log_warnx("a signed file of the configuration is not believed: %s", known_strerror(e));
}

int
spread_message(struct spread *s, const struct procmsg *m)
{
	int rv = 0;

	set_time(s);
	switch (m->type) {
	case PM_DELEGATION:
		rv = take_delegation(s, &m->delegation);
		break;
	case PM_SIGNED:
		take_signed(s, m->signed_record.record);
		break;
	case PM_SYSTEM:
		if (s->own.system.net != m->system.net)
			directory_moved(s->routed->dir);
		s->own.system = m->system;
		break;
	default:
		return -1;
	}
	wake(s);
	return rv;
}

void
spread_services(struct spread *s)
{
	set_time(s);
	manager_services(s->manager);
	own_again(s);
	wake(s);
}

/* Each node costs some signatures: what is more than a moment's work is done a moment at a time. */
static void
load_more(struct spread *s, unsigned ms)
{
	uint64_t until = clock_ns() + ms * NS_PER_MS;

	if (s->loading)
		s->loading = store_load_known(s->routed->store, s->knowns, s->load_cursor, s->now.wall, until) == 1;
	if (!s->loading)
		log_debug("known nodes=%zu after reading the store", knowns_count(s->knowns));
}

void
spread_conf(struct spread *s)
{
	struct routed *r = s->routed;
	const struct pm_conf_node *node = &r->conf->node;

	set_time(s);
	s->running = true;
	knowns_self(s->knowns, node->node_id, node->authority, node->tenant);
	mesh_self(s->mesh, node->node_id, s->now.ns);
	own_conf(&s->own, node, &r->conf->routing);
	manager_self(s->manager, node->node_id, node->authority, node->tenant);
	manager_conf(s->manager, &r->conf->routing, &r->conf->weights);
	if (!s->loaded) {
		s->loaded = s->loading = true;
		store_load_signed(r->store, s->knowns, &s->own.serial, s->now.wall);
		load_more(s, LOAD_FIRST_MS);
	}
	sync_unpin_all(s->sync);
	for (size_t i = 0; i < r->conf->npeers; i++)
		sync_want(s->sync, r->conf->peers[i].node_id, true, &s->now);
	manager_peers(s->manager);
	own_again(s);
	s->running = false;
	wake(s);
}

/* --- the dataplane --- */

void
spread_port(struct spread *s)
{
	struct procmsg m = { .type = PM_BIND };

	set_time(s);
	strcpy(m.bind.service, MESH_SERVICE);
	procmsg_send(s->routed->dataplane, &m, -1);
	mesh_port(s->mesh, &port_ops, s->routed->dataplane, s->now.ns);
	manager_dataplane_new(s->manager);
	wake(s);
}

void
spread_lost(struct spread *s)
{
	set_time(s);
	mesh_port(s->mesh, NULL, NULL, s->now.ns);
	manager_dataplane_lost(s->manager);
	wake(s);
}

int
spread_frame(struct spread *s, const struct frame *f)
{
	set_time(s);
	return mesh_frame(s->mesh, f, s->now.ns);
}

int
spread_dataplane(struct spread *s, const struct procmsg *m)
{
	set_time(s);
	if (m->type != PM_LOAD)
		return manager_dataplane(s->manager, m);
	s->own.load = m->load;
	return 0;
}

void
spread_peer_up(struct spread *s, const struct pm_peer_up *m)
{
	struct procmsg msg = { .type = PM_PEER_UP, .peer_up = *m };
	struct known *k;

	set_time(s);
	if (mesh_peer_up(s->mesh, m->node_id, s->now.ns) == -1)
		log_warn("peer=%s: nothing is exchanged with it", m->name);
	if ((k = known_find(s->knowns, m->node_id)) != NULL)
		services_known_adopt(s->routed->dir, k);
	manager_dataplane(s->manager, &msg);
}

void
spread_peer_down(struct spread *s, const struct pm_peer_down *m)
{
	struct procmsg msg = { .type = PM_PEER_DOWN, .peer_down = *m };

	set_time(s);
	mesh_peer_down(s->mesh, m->node_id, s->now.ns);
	own_unseen(&s->own, m->node_id);
	manager_dataplane(s->manager, &msg);
}

/* --- time --- */

static void
timer_set(struct spread *s)
{
	uint64_t a = mesh_deadline(s->mesh, s->now.ns), b = sync_deadline(s->sync, s->now.ns), at = a < b ? a : b, us;
	struct timeval tv;

	if (at == UINT64_MAX) {
		event_del(s->timer);
		return;
	}
	us = at > s->now.ns ? (at - s->now.ns + NS_PER_US - 1) / NS_PER_US : 0;
	if (us < NS_PER_MS / NS_PER_US)
		us = NS_PER_MS / NS_PER_US;	/* others have their turn, whatever there is to do */
	tv.tv_sec = (time_t)(us / 1000000);
	tv.tv_usec = (suseconds_t)(us % 1000000);
	event_add(s->timer, &tv);
}

void
spread_run(struct spread *s)
{
	if (s->running)
		return;
	s->running = true;
	set_time(s);
	mesh_run(s->mesh, s->now.ns);
	sync_run(s->sync, &s->now);
	mesh_run(s->mesh, s->now.ns);
	manager_writable(s->manager);
	manager_flush(s);
	timer_set(s);
	s->running = false;
}

void
spread_tick(struct spread *s, uint64_t ticks)
{
	set_time(s);
	own_again(s);
	if (ticks % EXPIRE_TICKS == 0) {
		knowns_expire(s->knowns, s->now.wall);
		STAT_SET(ROUTED_KNOWN_BYTES, knowns_memory(s->knowns));
	}
	spread_run(s);
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	spread_run(arg);
}

static void
on_manager_tick(evutil_socket_t fd, short what, void *arg)
{
	struct spread *s = arg;

	set_time(s);
	if (s->loading)
		load_more(s, LOAD_MS);
	manager_tick(s->manager);
	spread_run(s);
}

static int
start(struct spread *s)
{
	struct timeval tv = { .tv_usec = MANAGER_TICK_MS * 1000 };
	uint64_t secret[2];

	if (getrandom(secret, sizeof(secret), 0) != sizeof(secret) || own_init(&s->own, ask_certificate, s) == -1 ||
	    (s->knowns = knowns_new(KNOWN_MAX, secret[0], &known_ops, s)) == NULL ||
	    (s->mesh = mesh_new(&mesh_ops, s, secret[1])) == NULL ||
	    (s->sync = sync_new(s->knowns, &sync_ops, s)) == NULL ||
	    (s->manager = manager_new(&manager_ops, s, s->knowns, s->routed->dir)) == NULL)
		return -1;
	s->timer = evtimer_new(s->routed->worker->base, on_timer, s);
	s->manager_tick = event_new(s->routed->worker->base, -1, EV_PERSIST, on_manager_tick, s);
	return s->timer == NULL || s->manager_tick == NULL || event_add(s->manager_tick, &tv) == -1 ? -1 : 0;
}

/* Lives as long as the process, as does all of routed. */
struct spread *
spread_new(struct routed *r)
{
	struct spread *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->routed = r;
	ratelimit_init(&s->skew_logs, 60 * NS_PER_SEC, 5);
	if (start(s) == -1)
		return NULL;
	r->dir->knowns = s->knowns;
	return s;
}
