#include "fabricd/dataplane/switch_int.h"

#include <stdlib.h>
#include <string.h>

#define TABLE_MIN 16u

void
switch_init(struct fswitch *sw, struct port *(*session)(struct fswitch *, const uint8_t *), uint64_t secret,
    const uint64_t *now_ns, const uint8_t *node_id)
{
	struct credit_conf conf;

	memset(sw, 0, sizeof(*sw));
	LIST_INIT(&sw->ports);
	sw->secret = secret | 1;
	sw->session = session;
	sw->now_ns = now_ns;
	sw->node_id = node_id;
	budget_init(&sw->budget, SWITCH_MEMORY);
	credit_conf_default(&conf);
	credit_node_init(&sw->credits, &conf, &sw->budget);
	routes_init(&sw->routes, secret ^ 0x9e3779b97f4a7c15ull);
}

void
port_attach(struct port *p, struct fswitch *sw, const struct port_ops *ops, enum port_kind kind, bool initiator,
    size_t max_peer, size_t max_us)
{
	p->sw = sw;
	p->ops = ops;
	p->kind = kind;
	stream_ids_init(&p->ids, initiator);
	p->table = NULL;
	p->table_len = p->nstreams = 0;
	p->last = NULL;
	p->opened_by_peer = p->opened_by_us = 0;
	p->max_peer = max_peer;
	p->max_us = max_us;
	p->probes = 0;
	p->rtt_ns = 0;
	p->initial_credit = CREDIT_INITIAL;
	turn_init(&p->turn, sw->weight);
	LIST_INSERT_HEAD(&sw->ports, p, entry);
}

void
switch_weigh(struct fswitch *sw, const uint8_t *weight)
{
	struct port *p;

	memcpy(sw->weight, weight, sizeof(sw->weight));
	LIST_FOREACH(p, &sw->ports, entry)
		turn_weigh(&p->turn, sw->weight);
}

static size_t
slot(const struct port *p, uint64_t id)
{
	/* Multiplicative: a peer chooses its ids, and must not be able to put them all into one chain. */
	return (size_t)((id * p->sw->secret) >> 32) & (p->table_len - 1);
}

struct stream_end *
switch_find(struct port *p, uint64_t id)
{
	struct stream_end *e = p->last;

	if (e != NULL && e->id == id)
		return e;
	if (p->table == NULL)
		return NULL;
	for (e = p->table[slot(p, id)]; e != NULL; e = e->next)
		if (e->id == id)
			return p->last = e;
	return NULL;
}

static int
table_grow(struct port *p)
{
	size_t old_len = p->table_len, len = old_len == 0 ? TABLE_MIN : old_len * 2;
	struct stream_end **old = p->table, **table = calloc(len, sizeof(*table));

	if (table == NULL)
		return -1;
	p->table = table;
	p->table_len = len;
	for (size_t i = 0; i < old_len; i++) {
		struct stream_end *e, *next;

		for (e = old[i]; e != NULL; e = next) {
			next = e->next;
			e->next = table[slot(p, e->id)];
			table[slot(p, e->id)] = e;
		}
	}
	free(old);
	return 0;
}

static int
end_insert(struct stream_end *e, struct port *p, uint64_t id, uint8_t side)
{
	if (p->nstreams >= p->table_len && table_grow(p) == -1)
		return -1;
	e->port = p;
	e->id = (uint32_t)id;
	e->side = side;
	e->next = p->table[slot(p, id)];
	p->table[slot(p, id)] = e;
	p->nstreams++;
	if (stream_id_is_own(&p->ids, id))
		p->opened_by_us++;
	else
		p->opened_by_peer++;
	return 0;
}

static void
end_remove(struct stream_end *e)
{
	struct port *p = e->port;
	struct stream_end **at = &p->table[slot(p, e->id)];

	while (*at != e)
		at = &(*at)->next;
	*at = e->next;
	if (p->last == e)
		p->last = NULL;
	p->nstreams--;
	if (stream_id_is_own(&p->ids, e->id))
		p->opened_by_us--;
	else
		p->opened_by_peer--;
}

/* --- routes --- */

static bool
is_probe(const struct stream *st)
{
	return st->probe;
}

static void
route_join(struct stream *st, struct route *r, uint8_t forth)
{
	st->route = r;
	st->forth = forth;
	LIST_INSERT_HEAD(&r->streams, st, on_route);
	r->nstreams++;
	r->nprobes += is_probe(st);
	if (st->reliable && r->held)
		credit_hold(&st->credit, true);
}

static void
route_leave(struct stream *st)
{
	struct route *r = st->route;

	if (r == NULL)
		return;
	LIST_REMOVE(st, on_route);
	r->nstreams--;
	r->nprobes -= is_probe(st);
	st->route = NULL;
}

/* n bytes of payload that came in at this side pass the route's entry. */
static void
route_account(const struct stream *st, unsigned in_side, size_t n)
{
	struct route *r = st->route;

	r->set->counters.passed++;
	r->news = true;
	if (in_side == st->forth)
		r->forth[st->class] += n;
	else
		r->back[st->class] += n;
}

/* A unit that came in at e: may it pass? Only streams on a route come here. */
static bool
route_pass(struct stream_end *e, const struct stream *st, size_t n)
{
	struct route *r = st->route;
	const struct fswitch *sw = e->port->sw;

	if (e->port->kind == PORT_SESSION)
		r->heard_ns = *sw->now_ns;
	else
		r->packets++;
	if (!route_spend(r, n, st->class, is_probe(st), *sw->now_ns)) {
		r->set->counters.over_rate++;
		return false;
	}
	route_account(st, e->side, n);
	return true;
}

static void
route_hold(struct route *r, bool held)
{
	struct stream *st;

	if (r->held == held)
		return;
	r->held = held;
	if (held) {
		TAILQ_INSERT_TAIL(&r->set->held, r, held_entry);
		r->set->counters.held++;
	} else {
		TAILQ_REMOVE(&r->set->held, r, held_entry);
	}
	LIST_FOREACH(st, &r->streams, on_route) {
		if (!st->reliable)
			continue;
		credit_hold(&st->credit, held);
		for (unsigned i = 0; i < 2 && !held; i++) {
			struct port *p = st->end[i].port;

			if (p != NULL && !turn_idle(&p->turn) && p->ops->ready != NULL)
				p->ops->ready(p);
		}
	}
}

bool
switch_pace(struct fswitch *sw)
{
	int64_t room = routes_room(&sw->routes, *sw->now_ns);
	struct route *r, *next;

	for (r = TAILQ_FIRST(&sw->routes.held); r != NULL; r = next) {
		next = TAILQ_NEXT(r, held_entry);
		if (!route_refilled(r, *sw->now_ns) || (r->place == TICKET_RELAY && room <= 0))
			continue;
		if (r->place == TICKET_RELAY)	/* each has one turn: else all would spend the same tokens */
			room -= ROUTE_TURN;
		route_hold(r, false);
	}
	return !TAILQ_EMPTY(&sw->routes.held);
}

static void
stream_free(struct fswitch *sw, struct stream *st)
{
	route_leave(st);
	if (st->peers_probe && st->end[0].port != NULL)
		st->end[0].port->probes--;
	for (unsigned i = 0; i < 2; i++) {
		struct port *p = st->end[i].port;

		if (p == NULL)
			continue;
		if (st->reliable && p->ops->ends != NULL)
			p->ops->ends(p, &st->end[i]);
		end_remove(&st->end[i]);
	}
	if (st->reliable)
		credit_free(&st->credit);
	sw->nstreams--;
	free(st);
}

/* --- reliable streams --- */

/* Something was done to a stream: its ports may have something to send, and it may be over. */
static void
settle(struct fswitch *sw, struct stream *st)
{
	struct port *port[2] = { st->end[0].port, st->end[1].port };

	if (credit_done(&st->credit)) {
		if (st->credit.way[0].close_acked && st->credit.way[1].close_acked)
			sw->counters.closed++;
		else
			sw->counters.reset++;
		stream_free(sw, st);
	}
	for (unsigned i = 0; i < 2; i++)
		if (port[i] != NULL && !turn_idle(&port[i]->turn) && port[i]->ops->ready != NULL)
			port[i]->ops->ready(port[i]);
}

/* The path's word about a route, and not the far end's about the stream. */
static bool
reason_is_routes(uint64_t reason)
{
	switch (reason) {
	case REASON_NO_ROUTE:
	case REASON_ROUTE_EXPIRED:
	case REASON_HOP_GONE:
	case REASON_FENCED:
	case REASON_REVOKED:
		return true;
	default:
		return false;
	}
}

/* A RESET that came in at e says that the route of this node's own stream is broken, and the owner has moved it. */
static bool
route_broken(struct stream_end *e, const struct frame *f)
{
	const struct stream *st = stream_of(e);
	const struct port *other = st->end[1 - e->side].port;
	struct fswitch *sw = e->port->sw;

	return f->type == FT_RESET_STREAM && st->route != NULL && e->port->kind == PORT_SESSION &&
	    reason_is_routes(f->reset.reason) && other != NULL && other->kind != PORT_SESSION && sw->hooks != NULL &&
	    sw->hooks->broken != NULL && sw->hooks->broken(sw, st, f->reset.reason);
}

void
switch_answered(struct fswitch *sw, struct stream *st)
{
	if (st->follows && sw->hooks != NULL && sw->hooks->answered != NULL)
		st->follows = !sw->hooks->answered(sw, st);
}

void
switch_frame(struct stream_end *e, const struct frame *f)
{
	struct stream *st = stream_of(e);
	struct fswitch *sw = e->port->sw;

	if (st->route != NULL && e->port->kind == PORT_SESSION) {
		st->route->heard_ns = *sw->now_ns;
		if (route_broken(e, f))
			return;
	}
	if (f->type == FT_DATA) {
		e->packets++;
		e->bytes += f->data.payload_len;
	} else if (st->follows && f->type == FT_ACK && e->side == 1) {	/* an end's word; credit is the next hop's */
		switch_answered(sw, st);
	}
	credit_input(&st->credit, e->side, f, e->port->rtt_ns, *sw->now_ns);
	settle(sw, st);
}

size_t
switch_output(struct stream_end *e, uint8_t *buf, size_t size)
{
	struct stream *st = stream_of(e);
	struct fswitch *sw = e->port->sw;
	size_t n = credit_output(&st->credit, e->side, e->id, buf, size, *sw->now_ns);

	if (n > 0 && buf[0] == FT_DATA) {
		e->frames_out++;
		if (st->route != NULL) {
			route_account(st, 1 - e->side, n);
			if (!route_charge(st->route, n, *sw->now_ns))
				route_hold(st->route, true);
		}
	}
	settle(sw, st);
	return n;
}

void
switch_fail(struct stream_end *e, uint64_t reason)
{
	struct stream *st = stream_of(e);
	struct fswitch *sw = e->port->sw;

	credit_fail(&st->credit, reason);
	settle(sw, st);
}

struct stream_end *
switch_turn_end(struct turn_entry *t)
{
	unsigned side = t->tag;
	struct stream *st = (struct stream *)(void *)((char *)credit_of(t) - offsetof(struct stream, credit));

	return &st->end[side];
}

/* One chain of a port's table. A stream that ends takes none with it but itself, in two places. */
static void
chain_tick(struct fswitch *sw, struct port *p, size_t i)
{
	struct stream_end *e = p->table[i];

	while (e != NULL) {
		struct stream *st = stream_of(e);
		struct stream_end *next = e->next;

		if (next != NULL && stream_of(next) == st)
			next = next->next;
		/* Once a second for each stream: at its first end, or at the one that is left. */
		if (st->reliable && (e->side == 0 || st->end[0].port == NULL)) {
			credit_tick(&st->credit, *sw->now_ns);
			settle(sw, st);
		}
		e = next;
	}
}

void
switch_tick(struct fswitch *sw)
{
	struct port *p;

	credit_delays_age(&sw->credits);
	LIST_FOREACH(p, &sw->ports, entry)
		for (size_t i = 0; i < p->table_len; i++)
			chain_tick(sw, p, i);
}

/* A relay's word is another than an end's: the node behind it may be there, by another way. */
static uint64_t
lost_reason(const struct stream_end *e)
{
	const struct stream *st = stream_of(e);
	const struct port *other = st->end[1 - e->side].port;

	return other != NULL && other->kind == PORT_SESSION && e->port->kind == PORT_SESSION ? REASON_HOP_GONE : REASON_PEER_GONE;
}

/* Its port at e is gone. */
static void
reliable_port_lost(struct fswitch *sw, struct stream_end *e)
{
	struct stream *st = stream_of(e);
	struct port *p = e->port;

	if (lost_reason(e) != REASON_PEER_GONE)
		credit_fail(&st->credit, lost_reason(e));

	if (p->ops->ends != NULL)
		p->ops->ends(p, e);
	end_remove(e);
	e->port = NULL;
	credit_port_lost(&st->credit, e->side);
	settle(sw, st);
}

/* --- opening --- */

static void
reset_send(struct port *p, uint64_t id, uint64_t reason)
{
	struct frame f = { .type = FT_RESET_STREAM };

	f.reset.stream_id = id;
	f.reset.reason = reason;
	p->ops->control(p, &f);
}

static int
open_forward(struct stream *st, const struct target *t, const struct frame *f)
{
	struct frame out = *f;
	bool inward = t->port->kind != PORT_SESSION;

	out.open.stream_id = st->end[1].id;
	out.open.route_id = inward || t->route == NULL ? 0 : t->route->id;
	out.open.dest = NULL;
	out.open.source = inward ? t->source : NULL;
	out.open.before = 0;
	return t->port->ops->control(t->port, &out);
}

static struct stream *
stream_alloc(const struct frame_open_stream *o)
{
	bool reliable = !(o->flags & OPEN_UNRELIABLE);
	size_t len = reliable ? sizeof(struct stream) : offsetof(struct stream, credit);
	struct stream *st = calloc(1, len + o->service.len + 1);

	if (st == NULL)
		return NULL;
	st->class = o->class;
	st->reliable = reliable;
	st->sealed = o->noise.len > 0;
	st->probe = switch_service_is(o, SWITCH_PROBE);
	st->service = (char *)st + len;
	frame_bytes_copy((char *)st + len, o->service);
	return st;
}

/* NULL and *reason when it cannot be. */
static struct stream *
stream_new(struct port *from, struct port *to, const struct frame_open_stream *o, uint64_t *reason)
{
	const uint64_t initial[2] = { from->initial_credit, to->initial_credit };
	struct fswitch *sw = from->sw;
	struct stream *st;
	uint64_t id;

	*reason = REASON_INTERNAL;
	if ((st = stream_alloc(o)) == NULL)
		return NULL;
	if (st->reliable && (*reason = credit_init(&st->credit, &sw->credits, o->class, &from->turn, &to->turn, initial,
	    *sw->now_ns)) != REASON_NONE)
		goto fail;
	*reason = REASON_INTERNAL;
	if (end_insert(&st->end[0], from, o->stream_id, 0) == -1)
		goto fail_credit;
	if ((id = stream_id_alloc(&to->ids)) == 0 || end_insert(&st->end[1], to, id, 1) == -1) {
		end_remove(&st->end[0]);
		goto fail_credit;
	}
	sw->nstreams++;
	return st;
fail_credit:
	if (st->reliable)
		credit_free(&st->credit);
fail:
	free(st);
	return NULL;
}

/* Both ports learn of a reliable stream; who opened it last, as it may have frames of it already. */
static void
reliable_begin(struct stream *st)
{
	for (unsigned i = 2; i-- > 0;) {
		struct port *p = st->end[i].port;

		if (p->ops->begins != NULL)
			p->ops->begins(p, &st->end[i]);
	}
}

static void
open_refuse(struct port *from, uint64_t id, uint64_t reason)
{
	from->sw->counters.refused++;
	reset_send(from, id, reason);
}

/* The side where what goes away from the route's source comes in. */
static uint8_t
forth_of(const struct route *r, const struct port *from)
{
	switch (r->place) {
	case TICKET_SOURCE:
		return from->kind == PORT_SESSION;
	case TICKET_DEST:
		return from->kind != PORT_SESSION;
	default:
		return !route_is_prev(r, from->node_id);
	}
}

static void
open_to(struct port *from, const struct frame *f, struct target *t)
{
	struct fswitch *sw = from->sw;
	struct stream *st;

	if ((st = stream_new(from, t->port, &f->open, &t->reason)) == NULL) {
		open_refuse(from, f->open.stream_id, t->reason);
		return;
	}
	sw->counters.opened++;
	if (t->route != NULL) {
		route_join(st, t->route, forth_of(t->route, from));
	} else if (st->probe && from->kind == PORT_SESSION) {
		st->peers_probe = true;
		from->probes++;
	}
	/* A port that cannot take the OPEN ends soon, and its end resets what was opened through it. */
	open_forward(st, t, f);
	st->follows = t->follows;
	if (st->reliable)
		reliable_begin(st);
	else
		switch_answered(sw, st);
}

static bool
follows(struct port *from, const struct frame_open_stream *o)
{
	const struct switch_hooks *h = from->sw->hooks;

	return o->before != 0 && from->kind == PORT_WORKER && h != NULL && h->follows != NULL &&
	    h->follows(from->sw, from, o->before, o->stream_id);
}

static uint64_t
on_open(struct port *from, const struct frame *f)
{
	const struct frame_open_stream *o = &f->open;
	struct fswitch *sw = from->sw;
	struct target t;

	if (stream_id_accept(&from->ids, o->stream_id) != STREAM_ID_OK || o->stream_id > FRAME_DATAGRAM_STREAM_MAX)
		return REASON_PROTOCOL;
	if ((t.reason = switch_too_fast(from, o)) != REASON_NONE) {
		open_refuse(from, o->stream_id, t.reason);
		return REASON_NONE;
	}
	switch_target(from, o, &t);
	t.follows = follows(from, o);
	if (t.port != NULL)
		open_to(from, f, &t);
	else if (t.reason != SWITCH_WAIT)
		open_refuse(from, o->stream_id, t.reason);
	else if (sw->hooks->keep == NULL || !sw->hooks->keep(sw, from, f, t.source))
		open_refuse(from, o->stream_id, REASON_NOT_ALLOWED);
	return REASON_NONE;
}

void
switch_opened_late(struct port *from, const struct frame *f, uint64_t reason)
{
	struct target t;

	switch_target(from, &f->open, &t);
	if (reason == REASON_NONE && t.port != NULL)
		open_to(from, f, &t);
	else
		open_refuse(from, f->open.stream_id, reason != REASON_NONE ? reason :
		    t.reason == SWITCH_WAIT ? REASON_NOT_ALLOWED : t.reason);
}

/* CLOSE and RESET end an unreliable stream in both directions at once. */
static void
on_end(struct port *from, const struct frame *f, struct stream_end *e)
{
	struct stream *st = stream_of(e);
	struct stream_end *other = &st->end[1 - e->side];
	struct frame out = *f;

	if (f->type == FT_CLOSE_STREAM) {
		from->sw->counters.closed++;
		out.close.stream_id = other->id;
	} else {
		from->sw->counters.reset++;
		out.reset.stream_id = other->id;
	}
	other->port->ops->control(other->port, &out);
	stream_free(from->sw, st);
}

void
switch_end(struct stream *st, uint64_t reason)
{
	struct port *port[2] = { st->end[0].port, st->end[1].port };
	uint64_t id[2] = { st->end[0].id, st->end[1].id };
	struct fswitch *sw = port[port[0] == NULL]->sw;

	route_leave(st);
	if (st->reliable) {
		credit_fail(&st->credit, reason);
		settle(sw, st);
		return;
	}
	sw->counters.reset++;
	stream_free(sw, st);
	for (unsigned i = 0; i < 2; i++)
		reset_send(port[i], id[i], reason);
}

/* Between a session and a worker of this node's. */
static bool
is_workers(const struct stream *st)
{
	const struct port *a = st->end[0].port, *b = st->end[1].port;

	return a != NULL && b != NULL && (a->kind == PORT_WORKER || b->kind == PORT_WORKER);
}

unsigned
switch_sweep(struct port *session, bool (*pick)(const struct stream *, void *), void *arg, uint64_t reason)
{
	unsigned n = 0;

	for (size_t i = 0; i < session->table_len; i++) {
		struct stream_end *e, *next;

		for (e = session->table[i]; e != NULL; e = next) {
			struct stream *st = stream_of(e);

			next = e->next;
			if (st->route != NULL || !is_workers(st) || strcmp(st->service, SWITCH_DIRECTORY) == 0 ||
			    (st->reliable && st->credit.state >= CREDIT_ENDING) || (pick != NULL && !pick(st, arg)))
				continue;
			switch_end(st, reason);
			n++;
		}
	}
	return n;
}

unsigned
switch_sweep_route(struct route *r, bool (*pick)(const struct stream *, void *), void *arg, uint64_t reason)
{
	struct stream *st, *next;
	unsigned n = 0;

	for (st = LIST_FIRST(&r->streams); st != NULL; st = next) {
		next = LIST_NEXT(st, on_route);
		if (!is_workers(st) || (pick != NULL && !pick(st, arg)))
			continue;
		switch_end(st, reason);
		n++;
	}
	return n;
}

void
switch_route_del(struct fswitch *sw, struct route *r, uint64_t reason)
{
	struct stream *st;

	(void)sw;
	while ((st = LIST_FIRST(&r->streams)) != NULL)
		switch_end(st, reason);
	route_remove(r);
}

/* A frame of a stream that should be there. */
static uint64_t
on_stream(struct port *from, const struct frame *f, uint64_t id)
{
	struct stream_end *e = switch_find(from, id);

	if (e == NULL)
		return stream_id_was_used(&from->ids, id) ? REASON_NONE : REASON_PROTOCOL;
	if (stream_of(e)->reliable) {
		switch_frame(e, f);
	} else if (route_broken(e, f)) {
		return REASON_NONE;
	} else if (f->type == FT_CLOSE_STREAM || f->type == FT_RESET_STREAM) {
		on_end(from, f, e);
	} else {
		return REASON_PROTOCOL;
	}
	return REASON_NONE;
}

uint64_t
switch_control(struct port *from, const struct frame *f)
{
	switch (f->type) {
	case FT_OPEN_STREAM:
		return on_open(from, f);
	case FT_CLOSE_STREAM:
		return on_stream(from, f, f->close.stream_id);
	case FT_RESET_STREAM:
		return on_stream(from, f, f->reset.stream_id);
	case FT_ACK:
		return on_stream(from, f, f->ack.stream_id);
	case FT_STREAM_CREDIT:
		return on_stream(from, f, f->credit.stream_id);
	case FT_DATA:
		return on_stream(from, f, f->data.stream_id);
	default:
		return REASON_PROTOCOL;
	}
}

/* Apart, so that what goes over no route pays for one comparison and no more. */
static __attribute__((noinline)) void
routed_pass(struct stream_end *e, const struct stream *st, const struct frame_data *d)
{
	const struct stream_end *out = &st->end[1 - e->side];

	if (!route_pass(e, st, d->payload_len) || !out->port->ops->data(out->port, out, st->class, d))
		e->dropped++;
}

static void
data_pass(struct port *from, const struct frame_data *d, bool bare)
{
	struct stream_end *e = switch_find(from, d->stream_id), *out;
	struct stream *st;

	if (e == NULL) {
		from->sw->counters.unknown_stream++;
		return;
	}
	st = stream_of(e);
	if (st->reliable) {	/* which has no packets */
		switch_fail(e, REASON_PROTOCOL);
		return;
	}
	if (bare && !st->sealed) {
		from->sw->counters.bare++;
		return;
	}
	out = &st->end[1 - e->side];
	e->packets++;
	e->bytes += d->payload_len;
	if (st->route != NULL) {
		routed_pass(e, st, d);
		return;
	}
	if (!out->port->ops->data(out->port, out, st->class, d))
		e->dropped++;
}

void
switch_data(struct port *from, const struct frame_data *d)
{
	data_pass(from, d, false);
}

void
switch_data_bare(struct port *from, const struct frame_data *d)
{
	data_pass(from, d, true);
}

int
switch_bind(struct port *p, const char *service)
{
	struct fswitch *sw = p->sw;
	size_t i;

	for (i = 0; i < sw->nservices; i++)
		if (strcmp(sw->services[i].name, service) == 0)
			break;
	if (i == SWITCH_SERVICES_MAX)
		return -1;
	if (i == sw->nservices)
		sw->nservices++;
	strncpy(sw->services[i].name, service, FRAME_SERVICE_MAX);
	sw->services[i].name[FRAME_SERVICE_MAX] = '\0';
	sw->services[i].port = p;
	return 0;
}

int
switch_unbind(struct port *p, const char *service)
{
	struct fswitch *sw = p->sw;

	for (size_t i = 0; i < sw->nservices; i++) {
		if (sw->services[i].port != p || strcmp(sw->services[i].name, service) != 0)
			continue;
		sw->services[i] = sw->services[--sw->nservices];
		return 0;
	}
	return -1;
}

static void
services_drop(struct port *p)
{
	struct fswitch *sw = p->sw;

	for (size_t i = 0; i < sw->nservices;) {
		if (sw->services[i].port == p)
			sw->services[i] = sw->services[--sw->nservices];
		else
			i++;
	}
}

void
port_detach(struct port *p)
{
	services_drop(p);
	for (size_t i = 0; i < p->table_len; i++) {
		struct stream_end *e;

		while ((e = p->table[i]) != NULL) {
			struct stream *st = stream_of(e);
			struct stream_end *other = &st->end[1 - e->side];
			struct port *to = other->port;
			uint64_t id = other->id, reason = lost_reason(e);

			if (st->reliable) {
				reliable_port_lost(p->sw, e);
				continue;
			}
			stream_free(p->sw, st);
			reset_send(to, id, reason);
		}
	}
	free(p->table);
	p->table = NULL;
	p->table_len = 0;
	LIST_REMOVE(p, entry);
}

void
switch_each(struct fswitch *sw, bool (*fn)(const struct stream *, void *), void *arg)
{
	struct port *p;

	LIST_FOREACH(p, &sw->ports, entry)
		for (size_t i = 0; i < p->table_len; i++)
			for (struct stream_end *e = p->table[i]; e != NULL; e = e->next)
				if (e->side == 0 && !fn(stream_of(e), arg))
					return;
}
