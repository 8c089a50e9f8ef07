/* A node: the dataplane's switch with the hops' shares of streams, and the adapter with their ends. */
#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim.h"

#define OPEN_NOISE_LEN (STREAM_ID_LEN + 1)	/* the identity, and which conversation it is */

static void
conf_streams(struct stream_conf *c)
{
	stream_conf_default(c);
	c->open_ns = 4 * SEC;
	c->keepalive_ns = 3 * SEC;
	c->dead_ns = 9 * SEC;
	c->resume_ns = 20 * SEC;
	c->linger_ns = 2 * SEC;
	c->idle_ns = c->half_ns = 150 * SEC;
}

static void
local_open(struct node *n)
{
	if (!n->plane_up || !n->adapter_up || n->local.end[0].up)
		return;
	port_open(&n->local.end[0]);
	port_open(&n->local.end[1]);
}

static void
adapter_start(struct node *n)
{
	struct stream_conf conf;

	conf_streams(&conf);
	if (streams_init(&n->streams, &conf, &n->adapter_budget, sim_random(n->sim, UINT64_MAX)) == -1)
		abort();
	n->streams.gone = app_gone;
	n->adapter_up = true;
}

void
node_init(struct sim *sim, unsigned index)
{
	static const uint64_t memory[] = { 120000, 400000, 2000000 };
	struct node *n = &sim->node[index];
	struct credit_conf conf;
	uint64_t limit = sim->conf.wide ? 256u << 20 : sim->conf.plenty ? 64u << 20 : memory[sim_random(sim, 3)];

	n->sim = sim;
	n->index = index;
	n->offset_ns = (int64_t)sim_random(sim, 1000 * SEC);
	n->ppm = (int64_t)sim_random(sim, 20001) - 10000;
	LIST_INIT(&n->legs);
	budget_init(&n->plane_budget, limit);
	budget_init(&n->adapter_budget, limit);
	credit_conf_default(&conf);
	conf.open_ns = 8 * SEC;
	conf.idle_ns = 30 * SEC;
	credit_node_init(&n->credits, &conf, &n->plane_budget);
	sched_pool_init(&n->pool, 2048, 4u << 20);
	n->local.local = true;
	n->local.rate = 1000000000;
	n->local.delay_ns = 20000;
	n->local.jitter_ns = 10000;
	for (unsigned k = 0; k < 2; k++) {
		n->local.end[k].node = n;
		n->local.end[k].peer = &n->local.end[1 - k];
		n->local.end[k].link = &n->local;
	}
	n->local.end[1].adapter = true;
	n->plane_up = true;
	adapter_start(n);
	local_open(n);
	sim_post(sim, (struct event){ .type = EV_SWEEP, .at_ns = sim->now_ns + SEC, .p = n });
}

void
node_free(struct node *n)
{
	if (n->adapter_up)
		streams_free(&n->streams);
	n->adapter_up = false;
	port_close(&n->local.end[0]);
	port_close(&n->local.end[1]);
	sched_pool_free(&n->pool);
}

/* --- the dataplane --- */

static void
leg_free(struct leg *g)
{
	for (unsigned k = 0; k < 2; k++)
		if (g->port[k] != NULL)
			port_slot(g->port[k], g->id[k])->leg = NULL;
	if (g->reliable)
		credit_free(&g->c);
	LIST_REMOVE(g, entry);
	g->node->nlegs--;
	free(g);
}

/* After a hop did something: its ports may send, and it may be done. */
static void
leg_after(struct leg *g)
{
	struct port *port[2] = { g->port[0], g->port[1] };

	if (credit_waiting(&g->c.way[0]) > g->c.way[0].granted - g->c.way[0].forwarded ||
	    credit_waiting(&g->c.way[1]) > g->c.way[1].granted - g->c.way[1].forwarded)
		sim_fail(g->node->sim, "memory: a hop holds more than it granted");
	if (credit_done(&g->c))
		leg_free(g);
	for (unsigned k = 0; k < 2; k++)
		if (port[k] != NULL)
			port_kick(port[k]);
}

static void
refuse(struct port *p, uint64_t id, uint64_t reason)
{
	struct frame f = { .type = FT_RESET_STREAM };

	f.reset.stream_id = id;
	f.reset.reason = reason;
	port_control(p, &f);
}

/* Where a stream with this route goes from here: the next node, or this one's adapter. */
static struct port *
next_port(struct port *from, uint64_t route_id)
{
	struct sim *sim = from->node->sim;
	const struct route *r;

	if (route_id == 0 || route_id > sim->nroutes)
		return NULL;
	r = &sim->routes[route_id - 1];
	for (unsigned i = 0; i < r->n; i++) {
		if (r->hop[i] != from->node->index)
			continue;
		if (i == r->n - 1)
			return &from->node->local.end[0];
		for (unsigned l = 0; l < sim->nlinks; l++)
			for (unsigned k = 0; k < 2; k++)
				if (sim->links[l]->end[k].node == from->node &&
				    sim->links[l]->end[1 - k].node->index == r->hop[i + 1])
					return &sim->links[l]->end[k];
	}
	return NULL;
}

static void
open_frame(struct port *from, const struct frame *f)
{
	static const uint64_t initial[2] = { CREDIT_INITIAL, CREDIT_INITIAL };
	struct node *n = from->node;
	struct frame out = *f;
	struct port *to;
	struct leg *g;

	if (stream_id_accept(&from->ids, f->open.stream_id) != STREAM_ID_OK) {
		sim_fail(n->sim, "an id that may not be opened");
		return;
	}
	to = next_port(from, f->open.route_id);
	if (to == NULL || !to->up) {
		refuse(from, f->open.stream_id, REASON_UNREACHABLE);
		return;
	}
	g = calloc(1, sizeof(*g));
	if (g == NULL)
		abort();
	g->node = n;
	g->reliable = !(f->open.flags & OPEN_UNRELIABLE);
	g->class = f->open.class;
	if (g->reliable && credit_init(&g->c, &n->credits, g->class, &from->turn, &to->turn, initial, sim_local(n)) !=
	    REASON_NONE) {
		free(g);
		n->sim->disturbed = true;
		refuse(from, f->open.stream_id, REASON_LIMIT);
		return;
	}
	g->port[0] = from;
	g->port[1] = to;
	g->id[0] = f->open.stream_id;
	g->id[1] = stream_id_alloc(&to->ids);
	port_slot(from, g->id[0])->leg = g;
	port_slot(to, g->id[1])->leg = g;
	LIST_INSERT_HEAD(&n->legs, g, entry);
	n->nlegs++;
	out.open.stream_id = g->id[1];
	port_control(to, &out);
}

static void
unreliable_data(struct leg *g, unsigned side, const struct frame_data *d)
{
	struct port *to = g->port[1 - side];
	uint8_t hdr[FRAME_HEADER_MAX + 24];
	size_t len = frame_data_rewrite(hdr, d, g->id[1 - side]);
	struct uclass *u = &to->u[g->class];
	struct sched_pkt *pkt = sched_alloc(u->sched, g->class, len + d->payload_len);

	if (pkt == NULL)
		return;
	memcpy(pkt->data, hdr, len);
	memcpy(pkt->data + len, d->payload, d->payload_len);
	sched_enqueue(u->sched, pkt, (uint32_t)g->id[1 - side], sim_local(to->node));
	turn_add(&to->turn, &u->turn);
	port_kick(to);
}

static void
unreliable_end(struct leg *g, unsigned side, const struct frame *f)
{
	struct port *to = g->port[1 - side];
	struct frame out = *f;

	if (f->type == FT_CLOSE_STREAM)
		out.close.stream_id = g->id[1 - side];
	else
		out.reset.stream_id = g->id[1 - side];
	leg_free(g);
	port_control(to, &out);
}

static uint64_t
frame_id(const struct frame *f)
{
	switch (f->type) {
	case FT_OPEN_STREAM:
		return f->open.stream_id;
	case FT_ACK:
		return f->ack.stream_id;
	case FT_STREAM_CREDIT:
		return f->credit.stream_id;
	case FT_CLOSE_STREAM:
		return f->close.stream_id;
	case FT_RESET_STREAM:
		return f->reset.stream_id;
	default:
		return f->data.stream_id;
	}
}

static void
plane_frame(struct port *p, const struct frame *f)
{
	struct leg *g;
	unsigned side;

	if (f->type == FT_OPEN_STREAM) {
		open_frame(p, f);
		return;
	}
	if (!stream_id_was_used(&p->ids, frame_id(f))) {
		if (f->type == FT_DATA_U)
			return;		/* it overtook its OPEN_STREAM */
		sim_fail(p->node->sim, "%s for a stream that never was", frame_type_name(f->type));
		return;
	}
	if ((g = port_slot(p, frame_id(f))->leg) == NULL) {	/* late */
		if (!p->node->sim->disturbed && !p->node->sim->conf.faults && (f->type == FT_DATA || f->type == FT_CLOSE_STREAM))
			sim_fail(p->node->sim, "lost: %s for a stream that was forgotten", frame_type_name(f->type));
		return;
	}
	side = g->port[0] == p ? 0 : 1;
	if (g->reliable) {
		credit_input(&g->c, side, f, p->link->local ? 0 : 2 * p->link->delay_ns, sim_local(p->node));
		leg_after(g);
	} else if (frame_type_is_data(f->type)) {
		unreliable_data(g, side, &f->data);
	} else {
		unreliable_end(g, side, f);
	}
}

/* --- the adapter --- */

static struct frame
open_make(struct use *u, size_t route, uint8_t noise[OPEN_NOISE_LEN])
{
	struct frame f = { .type = FT_OPEN_STREAM };

	stream_identity_put(u->s, noise);
	noise[STREAM_ID_LEN] = (uint8_t)u->conv->index;
	f.open.route_id = route;
	f.open.class = u->conv->class;
	f.open.flags = u->conv->reliable ? 0 : OPEN_UNRELIABLE;
	f.open.service.p = (const uint8_t *)"sim";
	f.open.service.len = 3;
	f.open.noise.p = noise;
	f.open.noise.len = OPEN_NOISE_LEN;
	return f;
}

/* Gives the stream a leg when there is a way, and looks again later when there is none. */
void
node_attach(struct use *u)
{
	struct sim *sim = u->node->sim;
	struct port *p = &u->node->local.end[1];
	uint8_t noise[OPEN_NOISE_LEN];
	struct frame f;
	size_t route;

	if (u->s == NULL || u->s->state == STREAM_GONE || u->s->leg != LEG_NONE)
		return;
	route = p->up ? world_route(sim, u->node->index, u->conv->use[1].node->index) : 0;
	if (route == 0) {
		sim_post(sim, (struct event){ .type = EV_ATTACH, .at_ns = sim->now_ns + 100 * MS, .p = u });
		return;
	}
	if (u->s->n.legs > 0) {
		sim->resumed++;
		sim->disturbed = true;
	}
	f = open_make(u, route, noise);
	f.open.stream_id = stream_id_alloc(&p->ids);
	if (stream_attach(u->s, f.open.stream_id, sim_local(u->node)) == -1) {
		sim_fail(sim, "the opener's stream takes no leg");
		return;
	}
	port_control(p, &f);
}

static void
accept_new(struct node *n, struct use *u, const struct frame_open_stream *o, const uint8_t *token)
{
	uint64_t reason;

	if (u->begun && !u->crashed && (u->read > 0 || u->finished)) {
		sim_fail(n->sim, "twice: a stream that was there is begun again");
		return;
	}
	u->s = streams_accept(&n->streams, token, o->stream_id, o->class, !(o->flags & OPEN_UNRELIABLE), u, sim_local(n),
	    &reason);
	if (u->s == NULL) {
		n->sim->disturbed = true;
		streams_refuse(&n->streams, o->stream_id, reason);
		return;
	}
	u->begun = true;
	u->crashed = u->finished = u->shut = u->eof = false;
	u->wrote = u->read = 0;
	u->progress_ns = n->sim->now_ns;
	app_run(u);
}

static void
adapter_open(struct node *n, const struct frame_open_stream *o)
{
	uint8_t token[STREAM_TOKEN_LEN];
	struct fabric_stream *s;
	struct conv *c;
	bool exist;

	if (o->noise.len != OPEN_NOISE_LEN || stream_identity_get(o->noise.p, STREAM_ID_LEN, token, &exist) == -1 ||
	    (c = &n->sim->conv[o->noise.p[STREAM_ID_LEN]])->use[1].node != n) {
		sim_fail(n->sim, "an OPEN_STREAM that does not say for whom");
		return;
	}
	s = streams_by_token(&n->streams, token);
	if (s != NULL) {
		if (stream_attach(s, o->stream_id, sim_local(n)) == -1)
			streams_refuse(&n->streams, o->stream_id, REASON_REFUSED);
	} else if (exist) {
		streams_refuse(&n->streams, o->stream_id, REASON_REFUSED);
	} else {
		accept_new(n, &c->use[1], o, token);
	}
}

/* What the streams have to say, to send, and when they want to be woken. */
void
node_wake(struct node *n)
{
	struct fabric_stream *s;
	unsigned events;
	uint64_t at, now = sim_local(n);

	while (n->adapter_up && (s = streams_event(&n->streams, &events)) != NULL)
		app_event(s->arg, events);
	if (!n->adapter_up)
		return;
	port_kick(&n->local.end[1]);
	if ((at = streams_deadline(&n->streams)) == UINT64_MAX)
		return;
	/* Its clock may be slower than the world's. */
	at = at > now ? n->sim->now_ns + (at - now) + (at - now) / 50 + 1000 : n->sim->now_ns;
	if (n->tick_ns != 0 && n->tick_ns <= at)
		return;
	n->tick_ns = at;
	sim_post(n->sim, (struct event){ .type = EV_TICK, .at_ns = at, .p = n, .a = at });
}

static void
adapter_frame(struct port *p, const struct frame *f)
{
	struct node *n = p->node;
	struct fabric_stream *s;
	bool unit;

	if (f->type == FT_OPEN_STREAM) {
		if (stream_id_accept(&p->ids, f->open.stream_id) != STREAM_ID_OK)
			sim_fail(n->sim, "an id that may not be opened");
		else
			adapter_open(n, &f->open);
	} else {
		streams_input(&n->streams, f, sim_local(n), &unit);
		if (unit && (s = streams_by_id(&n->streams, f->data.stream_id)) != NULL)
			app_unit(s->arg, &f->data);
	}
	node_wake(n);
}

/* --- both --- */

void
node_frame(struct port *p, const uint8_t *buf, size_t len, bool datagram)
{
	const struct frame_limits lim = { p->link->local ? FRAME_PORT_PROC : datagram ? FRAME_PORT_DATAGRAM :
	    FRAME_PORT_STREAM, FRAME_MAX_DEFAULT };
	struct frame f;
	int rv = frame_decode(&f, buf, len, &lim);

	if (rv != FRAME_OK || f.raw.len != len) {
		sim_fail(p->node->sim, "a frame that does not decode: %s", frame_strerror(rv));
		return;
	}
	judge_arrived(p, &f);
	if (p->adapter)
		adapter_frame(p, &f);
	else
		plane_frame(p, &f);
}

/* The next frame of whoever has the turn at a dataplane's port. */
static size_t
plane_output(struct port *p, uint8_t *buf, size_t size, bool *datagram, uint64_t *id)
{
	struct turn_entry *e;

	while ((e = turn_next(&p->turn)) != NULL) {
		unsigned class = e->class;
		size_t n = 0;

		if (e->tag == CREDIT_TAGS) {
			struct sched *s = p->u[class].sched;
			struct sched_pkt *pkt = sched_dequeue(s, sim_local(p->node));

			if (pkt != NULL) {
				n = pkt->len;
				memcpy(buf, pkt->data, n);
				sched_pkt_free(&p->node->pool, pkt);
			}
			*datagram = true;
			*id = 0;
			turn_sent(&p->turn, e, n, !sched_empty(s));
		} else {
			struct leg *g = (struct leg *)(void *)((char *)credit_of(e) - offsetof(struct leg, c));

			*datagram = false;
			*id = g->id[e->tag];
			n = credit_output(&g->c, e->tag, *id, buf, size, sim_local(p->node));
			if (credit_done(&g->c))
				leg_free(g);
		}
		if (n > 0)
			judge_turn(p, class, n);
		if (n > 0 || !*datagram)
			return n;	/* a stream that has the turn has a frame: else it would be asked for ever */
	}
	return 0;
}

static size_t
adapter_output(struct port *p, uint8_t *buf, size_t size, uint64_t *id)
{
	const struct frame_limits lim = { FRAME_PORT_PROC, FRAME_MAX_DEFAULT };
	size_t n = streams_output(&p->node->streams, buf, size, sim_local(p->node));
	struct frame f;

	if (n == 0)
		return 0;
	if (frame_decode(&f, buf, n, &lim) != FRAME_OK)
		sim_fail(p->node->sim, "the adapter's frame does not decode");
	else
		*id = frame_id(&f);
	return n;
}

size_t
node_output(struct port *p, uint8_t *buf, size_t size, bool *datagram, uint64_t *id)
{
	*datagram = false;
	return p->adapter ? adapter_output(p, buf, size, id) : plane_output(p, buf, size, datagram, id);
}

/* --- ends --- */

static void
leg_port_lost(struct leg *g, unsigned side)
{
	struct port *to = g->port[1 - side];
	uint64_t id = g->id[1 - side];

	port_slot(g->port[side], g->id[side])->leg = NULL;
	g->port[side] = NULL;
	if (g->reliable) {
		credit_port_lost(&g->c, side);
		leg_after(g);
	} else {
		leg_free(g);
		if (to != NULL)
			refuse(to, id, REASON_PEER_GONE);
	}
}

void
node_port_lost(struct port *p)
{
	struct leg *g, *next;

	if (p->adapter) {
		if (p->node->adapter_up) {
			streams_port_lost(&p->node->streams, sim_local(p->node));
			node_wake(p->node);
		}
		return;
	}
	for (g = LIST_FIRST(&p->node->legs); g != NULL; g = next) {
		next = LIST_NEXT(g, entry);
		if (g->port[0] == p || g->port[1] == p)
			leg_port_lost(g, g->port[0] == p ? 0 : 1);
	}
}

void
node_plane_crash(struct node *n)
{
	struct sim *sim = n->sim;
	struct leg *g;

	n->plane_up = false;
	while ((g = LIST_FIRST(&n->legs)) != NULL)
		leg_free(g);
	for (unsigned i = 0; i < sim->nlinks; i++)
		for (unsigned k = 0; k < 2; k++)
			if (sim->links[i]->end[k].node == n)
				port_close(&sim->links[i]->end[k]);
	port_close(&n->local.end[0]);
	port_close(&n->local.end[1]);
	judge_books(n);
}

void
node_adapter_crash(struct node *n)
{
	n->adapter_up = false;
	app_crashed(n);
	streams_free(&n->streams);
	port_close(&n->local.end[1]);
	port_close(&n->local.end[0]);
	judge_books(n);
}

void
node_restart(struct node *n)
{
	n->plane_up = true;
	if (!n->adapter_up)
		adapter_start(n);
	local_open(n);
}

/* --- time --- */

void
node_tick(struct node *n, uint64_t posted_for)
{
	if (posted_for != n->tick_ns)
		return;
	n->tick_ns = 0;
	if (!n->adapter_up)
		return;
	streams_tick(&n->streams, sim_local(n));
	node_wake(n);
	judge_node(n);
}

void
node_sweep(struct node *n)
{
	struct sim *sim = n->sim;
	struct leg *g, *next;

	for (g = LIST_FIRST(&n->legs); g != NULL; g = next) {
		next = LIST_NEXT(g, entry);
		if (!g->reliable)
			continue;
		credit_tick(&g->c, sim_local(n));
		leg_after(g);
	}
	judge_books(n);
	if (n->index == 1) {	/* the best second, for -w */
		if (sim->bytes_read - sim->second_from > sim->second_best)
			sim->second_best = sim->bytes_read - sim->second_from;
		sim->second_from = sim->bytes_read;
	}
	if (!app_over(n->sim) || n->nlegs > 0 || (n->adapter_up && n->streams.n > 0))
		sim_post(n->sim, (struct event){ .type = EV_SWEEP, .at_ns = n->sim->now_ns + SEC, .p = n });
}
