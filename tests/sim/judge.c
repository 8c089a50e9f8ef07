/* What must hold at every step. The accounts here are kept from the frames that pass, apart from the code's own. */
#include <stdlib.h>

#include "tests/sim/sim.h"

#define STARVED_BYTES	600000u	/* of others', while a class waits: many times what the weights allow */

static void
data_sent(struct port *p, struct slot *s, const struct frame_data *d)
{
	struct sim *sim = p->node->sim;
	struct fabric_stream *st;

	if (!s->reliable) {
		s->reliable = true;
		s->allowed = s->allowed > CREDIT_INITIAL ? s->allowed : CREDIT_INITIAL;
	}
	if (s->any_data && d->seq != s->next_seq)
		sim_fail(sim, "order: seq %llu follows %llu on one leg", (unsigned long long)d->seq,
		    (unsigned long long)s->next_seq);
	s->any_data = true;
	s->next_seq = d->seq + d->payload_len;
	s->sent += d->payload_len;
	if (s->sent > s->allowed)
		sim_fail(sim, "credit: %llu bytes sent, %llu granted", (unsigned long long)s->sent,
		    (unsigned long long)s->allowed);
	if (!p->adapter || (st = streams_by_id(&p->node->streams, d->stream_id)) == NULL)
		return;
	if (s->next_seq > ((struct use *)st->arg)->edge && s->next_seq > STREAM_WINDOW_INITIAL)
		sim_fail(sim, "window: byte %llu sent, %llu allowed", (unsigned long long)s->next_seq,
		    (unsigned long long)((struct use *)st->arg)->edge);
}

void
judge_sent(struct port *p, const uint8_t *buf, size_t len)
{
	const struct frame_limits lim = { FRAME_PORT_PROC, FRAME_MAX_DEFAULT };
	struct frame f;

	if (frame_decode(&f, buf, len, &lim) != FRAME_OK || f.raw.len != len)
		sim_fail(p->node->sim, "a frame leaves that does not decode");
	else if (f.type == FT_DATA)
		data_sent(p, port_slot(p, f.data.stream_id), &f.data);
}

void
judge_arrived(struct port *p, const struct frame *f)
{
	struct fabric_stream *st;
	struct slot *s;

	if (f->type == FT_STREAM_CREDIT) {
		s = port_slot(p, f->credit.stream_id);
		if (f->credit.limit > s->allowed)
			s->allowed = f->credit.limit;
		else
			sim_fail(p->node->sim, "credit: a limit that does not grow");
	} else if (f->type == FT_ACK && p->adapter &&
	    (st = streams_by_id(&p->node->streams, f->ack.stream_id)) != NULL) {
		struct use *u = st->arg, *other = &u->conv->use[1 - u->index];

		if (f->ack.seq + f->ack.window > u->edge)
			u->edge = f->ack.seq + f->ack.window;
		if (!other->crashed && f->ack.seq > u->wrote + (u->shut ? 1 : 0))
			sim_fail(p->node->sim, "ack: of more than was written");
	}
}

/* A class that waits is served before the others have sent too much. */
void
judge_turn(struct port *p, unsigned class, size_t len)
{
	for (unsigned c = 0; c < CLASS_COUNT; c++) {
		if (c == class || TAILQ_EMPTY(&p->turn.list[c])) {
			p->waited[c] = 0;
			continue;
		}
		p->waited[c] += len;
		if (p->waited[c] > STARVED_BYTES) {
			sim_fail(p->node->sim, "starved: class %s at a port of %u", class_name(c), p->node->index);
			return;
		}
	}
}

static void
budget_judge(struct node *n, const struct budget *b, const char *whose)
{
	if (b->used > b->limit)
		sim_fail(n->sim, "memory: %s of %u has promised %llu of %llu", whose, n->index,
		    (unsigned long long)b->used, (unsigned long long)b->limit);
	if (b->held > b->used)
		sim_fail(n->sim, "memory: %s of %u holds %llu and has promised %llu", whose, n->index,
		    (unsigned long long)b->held, (unsigned long long)b->used);
}

void
judge_node(struct node *n)
{
	budget_judge(n, &n->plane_budget, "dataplane");
	budget_judge(n, &n->adapter_budget, "adapter");
}

static void
sums_judge(struct node *n, const struct budget *b, uint64_t reserved, uint64_t held, const char *whose)
{
	if (reserved != b->used || held != b->held)
		sim_fail(n->sim, "memory: books of %s of %u: %llu promised, %llu said; %llu held, %llu said", whose, n->index,
		    (unsigned long long)reserved, (unsigned long long)b->used, (unsigned long long)held,
		    (unsigned long long)b->held);
}

static size_t
held_by(const struct credit_way *w)
{
	return w->flow != NULL ? ring_held(&w->flow->buf) : 0;
}

static void
way_judge(struct node *n, const struct credit_way *w)
{
	if (held_by(w) > w->reserved || (w->reserved > 0 && RING_COST(w->granted - w->forwarded) > w->reserved))
		sim_fail(n->sim, "memory: a hop of %u promised what it has no place for", n->index);
	/* Credit comes back: who has sent all that he may, and it has left again, is about to be told that he may send more. */
	if (!w->final_known && w->granted == w->received && credit_waiting(w) == 0 && !w->credit_due)
		sim_fail(n->sim, "credit: a hop of %u is empty, and its sender may send nothing", n->index);
}

static void
end_judge(struct node *n, const struct fabric_stream *s)
{
	if (RING_COST((s->final_known ? s->rcv_final : s->rcv_edge) - s->rcv_read) > s->in_reserved ||
	    ring_held(&s->in) > s->in_reserved || ring_held(&s->out) > s->out_reserved)
		sim_fail(n->sim, "memory: an end at %u promised what it has no place for", n->index);
	if (s->leg == LEG_UP && !s->final_known && s->in.len == 0 && s->rcv_edge == s->rcv_nxt && !s->ack_due)
		sim_fail(n->sim, "window: all is read at %u, and the far end may send nothing", n->index);
}

void
judge_books(struct node *n)
{
	uint64_t reserved = 0, held = 0;
	struct fabric_stream *s;
	struct leg *g;

	LIST_FOREACH(g, &n->legs, entry) {
		for (unsigned k = 0; k < 2 && g->reliable; k++) {
			reserved += g->c.way[k].reserved;
			held += held_by(&g->c.way[k]);
			if (g->c.state < CREDIT_ENDING)
				way_judge(n, &g->c.way[k]);
		}
	}
	sums_judge(n, &n->plane_budget, reserved, held, "dataplane");
	reserved = held = 0;
	if (n->adapter_up) {
		TAILQ_FOREACH(s, &n->streams.all, all) {
			reserved += s->in_reserved + s->out_reserved;
			held += ring_held(&s->in) + ring_held(&s->out);
			if (s->reliable && s->state != STREAM_GONE)
				end_judge(n, s);
		}
	}
	sums_judge(n, &n->adapter_budget, reserved, held, "adapter");
	judge_node(n);
}

/* Nothing is left of any stream, and none got lost on the way out. */
void
judge_end(struct sim *sim)
{
	if (!app_over(sim))
		sim_fail(sim, "deadlock: nothing happens any more, and streams are not over");
	for (unsigned i = 0; i < sim->nnodes && !sim->failed; i++) {
		struct node *n = &sim->node[i];

		judge_books(n);
		if (n->nlegs > 0 || n->credits.streams > 0 || n->streams.n > 0)
			sim_fail(sim, "left over: %zu hops and %zu ends at %u", n->nlegs, n->streams.n, i);
		if (n->plane_budget.used > 0 || n->adapter_budget.used > 0)
			sim_fail(sim, "left over: memory at %u", i);
		if (n->credits.violations > 0)
			sim_fail(sim, "reason: a hop of %u saw the protocol broken", i);
		if (n->credits.reaped > 0)
			sim_fail(sim, "left over: %u had to reap a hop", i);
		if (n->pool.in_use > 0)
			sim_fail(sim, "left over: packets at %u", i);
	}
}
