/* The network: ports, what is on its way between them, routes, and what goes wrong. */
#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim.h"

enum fault { FAULT_CUT, FAULT_REPLACE, FAULT_PLANE, FAULT_ADAPTER, FAULT_KINDS };

struct slot *
port_slot(struct port *p, uint64_t id)
{
	size_t n = p->nslots == 0 ? 16 : p->nslots;

	while (n <= id)
		n *= 2;
	if (n > p->nslots) {
		p->slots = reallocarray(p->slots, n, sizeof(*p->slots));
		if (p->slots == NULL)
			abort();
		memset(p->slots + p->nslots, 0, (n - p->nslots) * sizeof(*p->slots));
		p->nslots = n;
	}
	return &p->slots[id];
}

void
port_open(struct port *p)
{
	bool initiator = p->link->local ? p->adapter : p == &p->link->end[0];

	p->up = true;
	p->busy = p->kicked = false;
	p->epoch++;
	p->open_ns = 0;
	stream_ids_init(&p->ids, initiator);
	turn_init(&p->turn, NULL);
	STAILQ_INIT(&p->control);
	memset(p->waited, 0, sizeof(p->waited));
	for (unsigned c = 0; c < CLASS_COUNT; c++) {
		turn_entry_init(&p->u[c].turn, c);
		p->u[c].turn.tag = CREDIT_TAGS;
		p->u[c].sched = sched_new(&p->node->pool, 64u << 10);
	}
}

/* What waits is gone; what is on its way is not taken any more. */
void
port_close(struct port *p)
{
	struct queued *q;

	if (!p->up)
		return;
	p->up = false;
	p->epoch++;
	node_port_lost(p);
	while ((q = STAILQ_FIRST(&p->control)) != NULL) {
		STAILQ_REMOVE_HEAD(&p->control, link);
		free(q);
	}
	for (unsigned c = 0; c < CLASS_COUNT; c++) {
		turn_remove(&p->turn, &p->u[c].turn);
		sched_free(p->u[c].sched);
		p->u[c].sched = NULL;
	}
	free(p->slots);
	p->slots = NULL;
	p->nslots = 0;
}

void
port_queue(struct port *p, const uint8_t *data, size_t len, uint64_t id)
{
	struct queued *q = malloc(sizeof(*q) + len);

	if (q == NULL)
		abort();
	q->len = len;
	q->id = id;
	memcpy(q->data, data, len);
	STAILQ_INSERT_TAIL(&p->control, q, link);
	port_kick(p);
}

void
port_control(struct port *p, const struct frame *f)
{
	uint8_t buf[2048];
	size_t len = frame_encode(buf, sizeof(buf), f, p->link->local ? FRAME_PORT_PROC : FRAME_PORT_STREAM);

	if (!p->up)
		return;
	if (len == 0)
		sim_fail(p->node->sim, "%s cannot be encoded", frame_type_name(f->type));
	else
		port_queue(p, buf, len, f->type == FT_OPEN_STREAM ? f->open.stream_id :
		    f->type == FT_RESET_STREAM ? f->reset.stream_id : f->close.stream_id);
}

static void
arrival_post(struct port *p, const uint8_t *data, size_t len, bool datagram, uint64_t at_ns)
{
	struct event e = { .type = EV_ARRIVE, .p = p->peer, .b = p->peer->epoch, .len = len,
	    .at_ns = at_ns, .datagram = datagram };

	e.data = malloc(len);
	if (e.data == NULL)
		abort();
	memcpy(e.data, data, len);
	sim_post(p->node->sim, e);
}

/* Datagrams are lost, come twice and overtake each other. */
static void
datagram_send(struct port *p, const uint8_t *data, size_t len, uint64_t at_ns)
{
	struct sim *sim = p->node->sim;
	struct link *l = p->link;

	if (sim_chance(sim, l->loss)) {
		sim_say(sim, "  the network loses it");
		return;
	}
	if (sim_chance(sim, l->reorder))
		at_ns += sim_random(sim, 10 * l->jitter_ns + MS);
	arrival_post(p, data, len, true, at_ns);
	if (sim_chance(sim, l->dup))
		arrival_post(p, data, len, true, at_ns + sim_random(sim, 20 * MS));
}

/* The carrier repairs loss: the frames of the stream, and no others, come later. */
static void
reliable_send(struct port *p, const uint8_t *data, size_t len, uint64_t id, uint64_t at_ns)
{
	struct link *l = p->link;
	struct slot *s = port_slot(p, id);

	if (!l->local && sim_chance(p->node->sim, l->loss))
		at_ns += 2 * l->delay_ns + l->jitter_ns;
	/* OPEN_STREAM frames come in their order, and all else of a stream after its own. */
	if (data[0] == FT_OPEN_STREAM && at_ns <= p->open_ns)
		at_ns = p->open_ns + 1;
	if (at_ns <= s->arrival_ns)
		at_ns = s->arrival_ns + 1;
	s->arrival_ns = at_ns;
	if (data[0] == FT_OPEN_STREAM)
		p->open_ns = at_ns;
	arrival_post(p, data, len, false, at_ns);
}

static size_t
control_take(struct port *p, uint8_t *buf, uint64_t *id)
{
	struct queued *q = STAILQ_FIRST(&p->control);
	size_t len;

	if (q == NULL)
		return 0;
	len = q->len;
	*id = q->id;
	memcpy(buf, q->data, len);
	STAILQ_REMOVE_HEAD(&p->control, link);
	free(q);
	return len;
}

void
port_kick(struct port *p)
{
	if (!p->up || p->busy || p->kicked)
		return;
	p->kicked = true;
	sim_post(p->node->sim, (struct event){ .type = EV_KICK, .at_ns = p->node->sim->now_ns, .p = p, .a = p->epoch });
}

static void
transmit(struct port *p)
{
	struct sim *sim = p->node->sim;
	struct link *l = p->link;
	bool datagram = false;
	uint64_t id = 0, sent;
	size_t len;

	if (!p->up || p->busy)
		return;
	len = control_take(p, sim->scratch, &id);
	if (len == 0)
		len = node_output(p, sim->scratch, 16384, &datagram, &id);
	if (len == 0)
		return;
	sim->frames++;
	sim_frame(sim, p, sim->scratch, len, "->");
	judge_sent(p, sim->scratch, len);
	sent = sim->now_ns + len * SEC / l->rate + 1;
	p->busy = true;
	sim_post(sim, (struct event){ .type = EV_SENT, .at_ns = sent, .p = p, .a = p->epoch });
	sent += l->delay_ns + sim_random(sim, l->jitter_ns);
	if (datagram && !l->local)
		datagram_send(p, sim->scratch, len, sent);
	else
		reliable_send(p, sim->scratch, len, id, sent);
}

static void
arrive(struct sim *sim, struct event *e)
{
	struct port *p = e->p;

	if (!p->up || p->epoch != e->b || p->link->cut)
		return;
	sim_frame(sim, p, e->data, e->len, "<-");
	node_frame(p, e->data, e->len, e->datagram);
	judge_node(p->node);
}

/* --- routes: what a coordinator would say --- */

static struct port *
port_between(struct sim *sim, unsigned from, unsigned to)
{
	for (unsigned i = 0; i < sim->nlinks; i++)
		for (unsigned k = 0; k < 2; k++)
			if (sim->links[i]->end[k].node->index == from && sim->links[i]->end[1 - k].node->index == to)
				return &sim->links[i]->end[k];
	return NULL;
}

/* A shortest path over the sessions that are up; which of several, the seed says. */
size_t
world_route(struct sim *sim, unsigned from, unsigned to)
{
	unsigned queue[NODES_MAX], head = 0, tail = 0, first = (unsigned)sim_random(sim, sim->nnodes);
	int before[NODES_MAX];
	struct route r = { 0 };

	for (unsigned i = 0; i < NODES_MAX; i++)
		before[i] = -1;
	before[from] = (int)from;
	queue[tail++] = from;
	while (head < tail) {
		unsigned n = queue[head++];

		for (unsigned k = 0; k < sim->nnodes; k++) {
			unsigned to_k = (k + first) % sim->nnodes;
			struct port *p = port_between(sim, n, to_k);

			if (before[to_k] == -1 && p != NULL && p->up && p->peer->up) {
				before[to_k] = (int)n;
				queue[tail++] = to_k;
			}
		}
	}
	if (before[to] == -1)
		return 0;
	for (unsigned n = to; ; n = (unsigned)before[n]) {
		memmove(r.hop + 1, r.hop, r.n);
		r.hop[0] = (uint8_t)n;
		r.n++;
		if (n == from)
			break;
	}
	sim->routes = reallocarray(sim->routes, sim->nroutes + 1, sizeof(r));
	if (sim->routes == NULL)
		abort();
	sim->routes[sim->nroutes++] = r;
	return sim->nroutes;
}

/* --- what goes wrong --- */

static void
detect_post(struct sim *sim, struct port *p, uint64_t within_ns)
{
	sim_post(sim, (struct event){ .type = EV_DETECT, .at_ns = sim->now_ns + sim_random(sim, within_ns), .p = p,
	    .a = p->epoch });
}

static void
heal_post(struct sim *sim, struct link *l)
{
	uint64_t at = sim->now_ns + (3 + sim_random(sim, sim->calm ? 1000 : 6000)) * MS;

	sim_post(sim, (struct event){ .type = EV_HEAL, .at_ns = at, .p = l });
}

/* A session comes back when both ends have given up the one before. */
static void
heal(struct sim *sim, struct link *l)
{
	if (l->end[0].up || l->end[1].up || !l->end[0].node->plane_up || !l->end[1].node->plane_up) {
		if (l->cut || !l->end[0].up || !l->end[1].up)
			heal_post(sim, l);
		return;
	}
	l->cut = false;
	sim_say(sim, "session %u-%u is up", l->end[0].node->index, l->end[1].node->index);
	port_open(&l->end[0]);
	port_open(&l->end[1]);
}

static void
session_dies(struct sim *sim, struct link *l, uint64_t within_ns)
{
	if (l->cut || !l->end[0].up || !l->end[1].up)
		return;
	sim_say(sim, "session %u-%u dies", l->end[0].node->index, l->end[1].node->index);
	l->cut = true;
	detect_post(sim, &l->end[0], within_ns);
	detect_post(sim, &l->end[1], within_ns);
	heal_post(sim, l);
}

static void
plane_dies(struct sim *sim, struct node *n)
{
	if (!n->plane_up)
		return;
	sim_say(sim, "dataplane of %u dies", n->index);
	for (unsigned i = 0; i < sim->nlinks; i++)
		for (unsigned k = 0; k < 2; k++)
			if (sim->links[i]->end[k].node == n)
				session_dies(sim, sim->links[i], 3 * SEC);
	node_plane_crash(n);
	sim_post(sim, (struct event){ .type = EV_HEAL, .kind = 1, .p = n,
	    .at_ns = sim->now_ns + (1 + sim_random(sim, 1000)) * MS });
}

static void
adapter_dies(struct sim *sim, struct node *n)
{
	if (!n->adapter_up || !n->plane_up)
		return;
	sim_say(sim, "adapter of %u dies", n->index);
	node_adapter_crash(n);
	sim_post(sim, (struct event){ .type = EV_HEAL, .kind = 1, .p = n,
	    .at_ns = sim->now_ns + (1 + sim_random(sim, 500)) * MS });
}

static void
fault(struct sim *sim)
{
	struct link *l = sim->links[sim_random(sim, sim->nlinks)];
	struct node *n = &sim->node[sim_random(sim, sim->nnodes)];

	if (sim->calm)
		return;
	switch (sim_random(sim, 10)) {
	case 0:
		plane_dies(sim, n);
		break;
	case 1:
		adapter_dies(sim, n);
		break;
	case 2: case 3: case 4:
		session_dies(sim, l, 20 * MS);
		break;
	default:
		session_dies(sim, l, 4 * SEC);
	}
	sim_post(sim, (struct event){ .type = EV_FAULT, .at_ns = sim->now_ns + sim_random(sim, 4 * SEC) });
}

/* No more faults; the readers that did not read do. */
static void
calm(struct sim *sim)
{
	sim->calm = true;
	sim_say(sim, "calm");
	for (unsigned i = 0; i < sim->nconvs; i++) {
		for (unsigned k = 0; k < 2; k++) {
			struct use *u = &sim->conv[i].use[k];

			u->reader = READ_FAST;
			u->progress_ns = sim->now_ns;
			if (u->s != NULL)
				app_run(u);
		}
	}
}

void
world_event(struct sim *sim, struct event *e)
{
	struct port *p = e->p;

	switch (e->type) {
	case EV_ARRIVE:
		arrive(sim, e);
		break;
	case EV_SENT:
		if (p->epoch == e->a && p->up) {
			p->busy = false;
			port_kick(p);
		}
		break;
	case EV_KICK:
		if (p->epoch == e->a && p->up) {
			p->kicked = false;
			transmit(p);
		}
		break;
	case EV_FAULT:
		fault(sim);
		break;
	case EV_DETECT:
		if (p->epoch == e->a)
			port_close(p);
		break;
	case EV_HEAL:
		if (e->kind == 1)
			node_restart(e->p);
		else
			heal(sim, e->p);
		break;
	default:
		calm(sim);
	}
}

/* --- making it --- */

static void
link_make(struct sim *sim, unsigned a, unsigned b)
{
	static const uint64_t rates[] = { 60000, 250000, 1250000, 12500000, 125000000 };
	struct link *l = calloc(1, sizeof(*l));

	if (l == NULL)
		abort();
	l->rate = rates[sim_random(sim, 5)];
	l->delay_ns = MS / 5 + sim_random(sim, sim_chance(sim, 300) ? 150 * MS : 20 * MS);
	l->jitter_ns = sim_random(sim, l->delay_ns / 2);
	l->loss = sim_chance(sim, 500) ? (unsigned)sim_random(sim, 50) : 0;
	l->dup = (unsigned)sim_random(sim, 20);
	l->reorder = (unsigned)sim_random(sim, 50);
	if (sim->conf.wide)
		*l = (struct link){ .rate = WIDE_RATE, .delay_ns = 50 * MS };
	for (unsigned k = 0; k < 2; k++) {
		l->end[k].node = &sim->node[k == 0 ? a : b];
		l->end[k].peer = &l->end[1 - k];
		l->end[k].link = l;
		port_open(&l->end[k]);
	}
	sim->links[sim->nlinks++] = l;
	sim_say(sim, "link %u-%u rate=%llu delay_us=%llu loss=%u", a, b, (unsigned long long)l->rate,
	    (unsigned long long)l->delay_ns / 1000, l->loss);
}

void
world_make(struct sim *sim)
{
	sim->nnodes = sim->conf.wide ? 2 : 2 + (unsigned)sim_random(sim, NODES_MAX - 1);
	for (unsigned i = 0; i < sim->nnodes; i++)
		node_init(sim, i);
	for (unsigned i = 1; i < sim->nnodes; i++)
		link_make(sim, (unsigned)sim_random(sim, i), i);
	for (unsigned i = 0; i < sim->nnodes; i++)
		for (unsigned k = i + 1; k < sim->nnodes; k++)
			if (port_between(sim, i, k) == NULL && sim_chance(sim, 300))
				link_make(sim, i, k);
	if (sim->conf.faults)
		sim_post(sim, (struct event){ .type = EV_FAULT, .at_ns = sim_random(sim, 3 * SEC) });
	sim_post(sim, (struct event){ .type = EV_CALM, .at_ns = sim->conf.calm_ns });
}

void
world_free(struct sim *sim)
{
	for (unsigned i = 0; i < sim->nlinks; i++) {
		port_close(&sim->links[i]->end[0]);
		port_close(&sim->links[i]->end[1]);
	}
	for (unsigned i = 0; i < sim->nnodes; i++)
		node_free(&sim->node[i]);
	for (unsigned i = 0; i < sim->nlinks; i++)
		free(sim->links[i]);
	free(sim->routes);
}
