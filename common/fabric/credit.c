#include "fabric/credit.h"

#include <stdlib.h>
#include <string.h>

#define NS_PER_MS	1000000ull
#define NS_PER_SEC	1000000000ull
#define BASE		RING_COST(CREDIT_INITIAL)	/* memory that each direction always has */
#define RTT_MIN_NS	(2 * NS_PER_MS)			/* a port that is woken for batches is not quicker than this */

#define QUIET_NS	(10 * NS_PER_SEC)		/* without a byte: the windows start small again */

#define NONE(s)		{ CA_NONE, s }
#define TAKE(s)		{ CA_TAKE, s }
#define PROTO		{ CA_PROTOCOL, CREDIT_ENDING }
#define RESET		{ CA_RESET, CREDIT_ENDING }

static const struct credit_cell cells[CREDIT_STATES][2][CH_COUNT] = {
	[CREDIT_OPEN] = {
		{ TAKE(CREDIT_OPEN), TAKE(CREDIT_OPEN), TAKE(CREDIT_OPEN), TAKE(CREDIT_HALF_0), RESET, PROTO },
		{ TAKE(CREDIT_OPEN), TAKE(CREDIT_OPEN), TAKE(CREDIT_OPEN), TAKE(CREDIT_HALF_1), RESET, PROTO },
	},
	[CREDIT_HALF_0] = {
		{ TAKE(CREDIT_HALF_0), TAKE(CREDIT_HALF_0), TAKE(CREDIT_HALF_0), PROTO, RESET, PROTO },
		{ TAKE(CREDIT_HALF_0), TAKE(CREDIT_HALF_0), TAKE(CREDIT_HALF_0), TAKE(CREDIT_CLOSING), RESET, PROTO },
	},
	[CREDIT_HALF_1] = {
		{ TAKE(CREDIT_HALF_1), TAKE(CREDIT_HALF_1), TAKE(CREDIT_HALF_1), TAKE(CREDIT_CLOSING), RESET, PROTO },
		{ TAKE(CREDIT_HALF_1), TAKE(CREDIT_HALF_1), TAKE(CREDIT_HALF_1), PROTO, RESET, PROTO },
	},
	[CREDIT_CLOSING] = {
		{ TAKE(CREDIT_CLOSING), TAKE(CREDIT_CLOSING), TAKE(CREDIT_CLOSING), PROTO, RESET, PROTO },
		{ TAKE(CREDIT_CLOSING), TAKE(CREDIT_CLOSING), TAKE(CREDIT_CLOSING), PROTO, RESET, PROTO },
	},
	[CREDIT_ENDING] = {
		{ NONE(CREDIT_ENDING), NONE(CREDIT_ENDING), NONE(CREDIT_ENDING), NONE(CREDIT_ENDING), NONE(CREDIT_ENDING),
		    NONE(CREDIT_ENDING) },
		{ NONE(CREDIT_ENDING), NONE(CREDIT_ENDING), NONE(CREDIT_ENDING), NONE(CREDIT_ENDING), NONE(CREDIT_ENDING),
		    NONE(CREDIT_ENDING) },
	},
	[CREDIT_DONE] = {
		{ NONE(CREDIT_DONE), NONE(CREDIT_DONE), NONE(CREDIT_DONE), NONE(CREDIT_DONE), NONE(CREDIT_DONE),
		    NONE(CREDIT_DONE) },
		{ NONE(CREDIT_DONE), NONE(CREDIT_DONE), NONE(CREDIT_DONE), NONE(CREDIT_DONE), NONE(CREDIT_DONE),
		    NONE(CREDIT_DONE) },
	},
};

const struct credit_cell *
credit_cell(unsigned state, unsigned side, unsigned happening)
{
	return &cells[state][side][happening];
}

unsigned
credit_happening(const struct frame *f)
{
	switch (f->type) {
	case FT_DATA:
		return CH_DATA;
	case FT_ACK:
		return CH_ACK;
	case FT_STREAM_CREDIT:
		return CH_CREDIT;
	case FT_CLOSE_STREAM:
		return CH_CLOSE;
	case FT_RESET_STREAM:
		return CH_RESET;
	default:
		return CH_OTHER;
	}
}

const char *
credit_state_name(unsigned state)
{
	static const char *const names[CREDIT_STATES] = {
		"open", "half-0", "half-1", "closing", "ending", "done"
	};

	return state < CREDIT_STATES ? names[state] : "unknown";
}

void
credit_conf_default(struct credit_conf *c)
{
	*c = (struct credit_conf){
		.window_max = 16u << 20, .open_ns = 15 * NS_PER_SEC, .idle_ns = 300 * NS_PER_SEC,
	};
}

void
credit_node_init(struct credit_node *n, const struct credit_conf *conf, struct budget *b)
{
	*n = (struct credit_node){ .conf = *conf, .budget = b };
}

static uint64_t
max64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static uint64_t
min64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static void
way_init(struct credit_way *w, uint64_t limit)
{
	w->reserved = BASE;
	w->granted = CREDIT_INITIAL;
	w->limit = limit;
	w->rtt_us = RTT_MIN_NS / 1000;
}

static struct credit_flow *
flow_new(uint64_t now_ns)
{
	struct credit_flow *f = calloc(1, sizeof(*f));

	if (f == NULL)
		return NULL;
	ring_init(&f->buf);
	window_init(&f->window, CREDIT_INITIAL, now_ns);
	return f;
}

static void
flow_free(struct credit_way *w, struct budget *b)
{
	if (w->flow == NULL)
		return;
	ring_free(&w->flow->buf, b);
	free(w->flow);
	w->flow = NULL;
}

uint64_t
credit_init(struct credit *c, struct credit_node *node, unsigned class, struct turn *side0, struct turn *side1,
    const uint64_t initial[2], uint64_t now_ns)
{
	memset(c, 0, sizeof(*c));
	if (!budget_take(node->budget, 2 * BASE)) {
		node->refused++;
		return REASON_LIMIT;
	}
	node->streams++;
	c->node = node;
	c->turn[0] = side0;
	c->turn[1] = side1;
	way_init(&c->way[0], initial[1]);
	way_init(&c->way[1], initial[0]);
	turn_entry_init(&c->out[0], class);
	turn_entry_init(&c->out[1], class);
	c->out[1].tag = 1;
	c->opened_ns = c->heard_ns = c->moved_ns = now_ns;
	return REASON_NONE;
}

static void
buffers_drop(struct credit *c)
{
	for (unsigned i = 0; i < 2; i++) {
		flow_free(&c->way[i], c->node->budget);
		budget_give(c->node->budget, c->way[i].reserved);
		c->way[i].reserved = 0;
	}
}

void
credit_free(struct credit *c)
{
	buffers_drop(c);
	for (unsigned i = 0; i < 2; i++)
		if (c->turn[i] != NULL)
			turn_remove(c->turn[i], &c->out[i]);
	c->node->streams--;
}

/* --- what can leave --- */

static uint64_t
sendable(const struct credit *c, const struct credit_way *w)
{
	if (c->held)
		return 0;
	return w->limit > w->forwarded ? min64(credit_waiting(w), w->limit - w->forwarded) : 0;
}

static bool
close_ready(const struct credit_way *w)
{
	return w->final_known && !w->close_sent && credit_waiting(w) == 0 && (!w->begun || w->next_seq == w->final);
}

bool
credit_ready(const struct credit *c, unsigned side)
{
	const struct credit_way *in = &c->way[side], *out = &c->way[1 - side];

	if (c->state >= CREDIT_ENDING)
		return c->reset_due[side];
	return out->ack_due || in->credit_due || sendable(c, out) > 0 || close_ready(out);
}

static void
turns_update(struct credit *c)
{
	for (unsigned i = 0; i < 2; i++) {
		if (c->turn[i] == NULL)
			continue;
		if (credit_ready(c, i))
			turn_add(c->turn[i], &c->out[i]);
		else
			turn_remove(c->turn[i], &c->out[i]);
	}
}

/* Credit that is short, and for how long. */
static void
stall_account(struct credit_class *n, struct credit_way *w, uint64_t now_ns)
{
	struct credit_flow *f = w->flow;
	bool stalls;

	if (f == NULL)
		return;
	stalls = f->buf.len > 0 && w->limit <= w->forwarded;
	if (stalls == (f->stall_ns != 0))
		return;
	if (!stalls) {
		w->stalled_ns += now_ns - f->stall_ns;
		n->stalled_ns += now_ns - f->stall_ns;
	}
	f->stall_ns = stalls ? max64(now_ns, 1) : 0;
}

static struct credit_class *
class_of(const struct credit *c)
{
	return &c->node->class[c->out[0].class];
}

static void
stalls_account(struct credit *c, uint64_t now_ns)
{
	stall_account(class_of(c), &c->way[0], now_ns);
	stall_account(class_of(c), &c->way[1], now_ns);
}

/* --- the end --- */

static void
reset(struct credit *c, bool side0, bool side1, uint64_t reason)
{
	if (c->state >= CREDIT_ENDING)
		return;
	c->reset_due[0] = side0 && c->turn[0] != NULL;
	c->reset_due[1] = side1 && c->turn[1] != NULL;
	c->reset_reason = reason;
	c->state = c->reset_due[0] || c->reset_due[1] ? CREDIT_ENDING : CREDIT_DONE;
	buffers_drop(c);
	turns_update(c);
}

void
credit_fail(struct credit *c, uint64_t reason)
{
	reset(c, true, true, reason);
}

void
credit_block(struct credit *c, unsigned side)
{
	if (c->turn[side] != NULL)
		turn_block(c->turn[side], &c->out[side]);
}

void
credit_unblock(struct credit *c, unsigned side, struct turn *turn)
{
	if (c->turn[side] == NULL)
		return;
	turn_remove(c->turn[side], &c->out[side]);
	turn_unblock(&c->out[side]);
	if (turn != NULL)
		c->turn[side] = turn;
	turns_update(c);
}

void
credit_hold(struct credit *c, bool held)
{
	c->held = held;
	turns_update(c);
}

void
credit_announce(struct credit *c, unsigned side)
{
	c->way[side].credit_due = true;
	turns_update(c);
}

void
credit_port_lost(struct credit *c, unsigned side)
{
	if (c->turn[side] == NULL)
		return;
	turn_remove(c->turn[side], &c->out[side]);
	c->turn[side] = NULL;
	c->reset_due[side] = false;
	if (c->state < CREDIT_ENDING)
		reset(c, side == 1, side == 0, REASON_PEER_GONE);
	else if (!c->reset_due[1 - side])
		c->state = CREDIT_DONE;
}

/* --- frames --- */

static bool
on_data(struct credit *c, struct credit_way *w, const struct frame_data *d, uint64_t now_ns)
{
	if (d->payload_len > w->granted - w->received || (w->begun && d->seq != w->next_seq))
		return false;
	if (w->final_known && d->seq + d->payload_len > w->final)
		return false;
	if ((w->flow == NULL && (w->flow = flow_new(now_ns)) == NULL) ||
	    ring_put(&w->flow->buf, c->node->budget, d->payload, d->payload_len) == -1) {
		credit_fail(c, REASON_INTERNAL);
		return true;
	}
	if (w->flow->sample_ns == 0) {
		w->flow->sample_ns = max64(now_ns, 1);
		w->flow->sample_left = w->flow->buf.len - 1;
	}
	w->begun = true;
	w->next_seq = d->seq + d->payload_len;
	w->received += d->payload_len;
	return true;
}

static bool
on_ack(struct credit_way *w, const struct frame_ack *a)
{
	/* Of several that wait the newest says it all; each is kept at its furthest. */
	w->ack_seq = max64(w->ack_seq, a->seq);
	w->ack_edge = max64(w->ack_edge, a->seq + a->window);
	w->ack_due = true;
	return true;
}

static bool
on_close(struct credit_way *w, const struct frame_close_stream *f)
{
	if (w->begun && f->final_seq < w->next_seq)
		return false;
	w->final_known = true;
	w->final = f->final_seq;
	w->close_reason = f->reason;
	return true;
}

static bool
take(struct credit *c, unsigned side, const struct frame *f, uint64_t now_ns)
{
	struct credit_way *w = &c->way[side], *out = &c->way[1 - side];

	/* Side 1 begins with an ACK: it says from where the opener goes on. STREAM_CREDIT is the next hop's own. */
	if (side == 1 && !c->answered && (f->type == FT_DATA || f->type == FT_CLOSE_STREAM))
		return false;
	switch (f->type) {
	case FT_DATA:
		return on_data(c, w, &f->data, now_ns);
	case FT_ACK:
		c->answered = c->answered || side == 1;
		return on_ack(w, &f->ack);
	case FT_STREAM_CREDIT:
		out->limit = max64(out->limit, f->credit.limit);
		return true;
	default:
		return on_close(w, &f->close);
	}
}

void
credit_input(struct credit *c, unsigned side, const struct frame *f, uint64_t rtt_ns, uint64_t now_ns)
{
	const struct credit_cell *cell = credit_cell(c->state, side, credit_happening(f));

	c->heard_ns = now_ns;
	c->way[side].rtt_us = (uint32_t)min64(max64(rtt_ns, RTT_MIN_NS) / 1000, UINT32_MAX);
	switch (cell->action) {
	case CA_TAKE:
		if (!take(c, side, f, now_ns)) {
			c->node->violations++;
			credit_fail(c, REASON_PROTOCOL);
		} else if (c->state < CREDIT_ENDING) {
			c->state = cell->next;
		}
		break;
	case CA_RESET:
		reset(c, side == 1, side == 0, f->reset.reason);
		break;
	case CA_PROTOCOL:
		c->node->violations++;
		credit_fail(c, REASON_PROTOCOL);
		break;
	default:
		return;
	}
	stalls_account(c, now_ns);
	turns_update(c);
}

/* --- output --- */

static size_t
reset_put(struct credit *c, unsigned side, uint64_t id, uint8_t *buf, size_t size)
{
	struct frame f = { .type = FT_RESET_STREAM };

	c->reset_due[side] = false;
	if (!c->reset_due[1 - side])
		c->state = CREDIT_DONE;
	f.reset.stream_id = id;
	f.reset.reason = c->reset_reason;
	return frame_encode(buf, size, &f, FRAME_PORT_STREAM);
}

/* The ACK of w's that goes on to the other side; perhaps it was the last that was waited for. */
static size_t
ack_put(struct credit *c, struct credit_way *w, struct credit_way *acked, uint64_t id, uint8_t *buf, size_t size)
{
	struct frame f = { .type = FT_ACK };

	w->ack_due = false;
	if (acked->close_sent && w->ack_seq == acked->final + 1)
		acked->close_acked = true;
	if (w->close_acked && acked->close_acked)
		c->state = CREDIT_DONE;
	f.ack.stream_id = id;
	f.ack.seq = w->ack_seq;
	f.ack.window = w->ack_edge - w->ack_seq;
	return frame_encode(buf, size, &f, FRAME_PORT_STREAM);
}

static size_t
credit_put(struct credit_way *w, uint64_t id, uint8_t *buf, size_t size)
{
	struct frame f = { .type = FT_STREAM_CREDIT };

	w->credit_due = false;
	w->granted = max64(w->granted, w->forwarded + credit_window(w));
	f.credit.stream_id = id;
	f.credit.limit = w->granted;
	return frame_encode(buf, size, &f, FRAME_PORT_STREAM);
}

/* Gives back what is reserved beyond what may come. */
static void
way_fit(struct credit_way *w, struct budget *b)
{
	uint64_t need = max64(RING_COST(max64(credit_window(w), w->granted - w->forwarded)), BASE);

	if (need >= w->reserved)
		return;
	budget_give(b, w->reserved - need);
	w->reserved = (uint32_t)need;
}

/* n bytes left: there is room for as many, and perhaps the window grows. */
static void
window_move(struct credit *c, struct credit_way *w, uint64_t n, uint64_t now_ns)
{
	struct window *win = &w->flow->window;
	struct budget *b = c->node->budget;
	uint32_t next, need;

	if (window_drain(win, n, w->rtt_us * 1000ull, now_ns)) {
		next = window_next(win, c->node->conf.window_max, budget_free(b));
		need = RING_COST(next);
		if (next > win->size && (need <= w->reserved || budget_take(b, need - w->reserved))) {
			w->reserved = need > w->reserved ? need : w->reserved;
			win->size = next;
		}
	}
	way_fit(w, b);
	if (!w->final_known && w->forwarded + win->size >= w->granted + win->size / 4)
		w->credit_due = true;
}

/* The byte whose stay is measured has left. */
static void
delay_account(struct credit_class *n, struct credit_way *w, uint64_t now_ns)
{
	uint64_t us = (now_ns - w->flow->sample_ns) / 1000;
	unsigned i = us == 0 ? 0 : 64 - (unsigned)__builtin_clzll(us);

	n->delays[i < CREDIT_DELAYS ? i : CREDIT_DELAYS - 1]++;
	us = min64(us, UINT32_MAX / 8);
	w->delay_us = w->delay_us == 0 ? (uint32_t)us : (uint32_t)((w->delay_us * 7ull + us) / 8);
	w->delay_max_us = us > w->delay_max_us ? (uint32_t)us : w->delay_max_us;
	w->flow->sample_ns = 0;
}

static void
sent_account(struct credit *c, struct credit_way *w, uint64_t n, uint64_t now_ns)
{
	struct credit_class *k = class_of(c);

	k->bytes += n;
	k->frames++;
	if (w->flow->sample_ns == 0)
		return;
	if (w->flow->sample_left < n)
		delay_account(k, w, now_ns);
	else
		w->flow->sample_left -= (uint32_t)n;
}

static size_t
data_put(struct credit *c, struct credit_way *w, uint64_t id, uint8_t *buf, size_t size, uint64_t now_ns)
{
	struct frame_data d = { .stream_id = id, .seq = w->next_seq - w->flow->buf.len };
	uint64_t n = min64(min64(sendable(c, w), CREDIT_DATA_MAX), size - CREDIT_FRAME_MIN / 2);
	size_t hdr;

	d.payload_len = n;
	hdr = frame_encode_data_header(buf, size, &d);
	if (hdr == 0 || ring_get(&w->flow->buf, c->node->budget, buf + hdr, n) != n)
		return 0;
	w->forwarded += n;
	c->moved_ns = now_ns;
	sent_account(c, w, n, now_ns);
	window_move(c, w, n, now_ns);
	return hdr + n;
}

static size_t
close_put(struct credit_way *w, uint64_t id, uint8_t *buf, size_t size)
{
	struct frame f = { .type = FT_CLOSE_STREAM };

	w->close_sent = true;
	f.close.stream_id = id;
	f.close.final_seq = w->final;
	f.close.reason = w->close_reason;
	return frame_encode(buf, size, &f, FRAME_PORT_STREAM);
}

static size_t
next_put(struct credit *c, unsigned side, uint64_t id, uint8_t *buf, size_t size, uint64_t now_ns)
{
	struct credit_way *in = &c->way[side], *out = &c->way[1 - side];

	if (c->state >= CREDIT_ENDING)
		return c->reset_due[side] ? reset_put(c, side, id, buf, size) : 0;
	if (out->ack_due)
		return ack_put(c, out, in, id, buf, size);
	if (in->credit_due)
		return credit_put(in, id, buf, size);
	if (sendable(c, out) > 0)
		return data_put(c, out, id, buf, size, now_ns);
	return close_ready(out) ? close_put(out, id, buf, size) : 0;
}

size_t
credit_output(struct credit *c, unsigned side, uint64_t stream_id, uint8_t *buf, size_t size, uint64_t now_ns)
{
	size_t n = next_put(c, side, stream_id, buf, size, now_ns);

	if (c->turn[side] != NULL)
		turn_sent(c->turn[side], &c->out[side], n, credit_ready(c, side));
	stalls_account(c, now_ns);
	turns_update(c);
	return n;
}

/* --- what was measured --- */

uint64_t
credit_delay(const struct credit_class *k, unsigned per_mille)
{
	uint64_t sum = 0, upto = 0;

	for (unsigned i = 0; i < CREDIT_DELAYS; i++)
		sum += k->delays[i];
	for (unsigned i = 0; i < CREDIT_DELAYS; i++) {
		upto += k->delays[i];
		if (upto > 0 && upto * 1000 >= sum * per_mille)
			return 1ull << i;
	}
	return 0;
}

void
credit_delays_age(struct credit_node *n)
{
	for (unsigned c = 0; c < CLASS_COUNT; c++)
		for (unsigned i = 0; i < CREDIT_DELAYS; i++)
			n->class[c].delays[i] /= 2;
}

/* --- time --- */

uint64_t
credit_deadline(const struct credit *c)
{
	uint64_t at = c->heard_ns + c->node->conf.idle_ns;

	if (c->state >= CREDIT_ENDING)
		return UINT64_MAX;
	return c->answered ? at : min64(at, c->opened_ns + c->node->conf.open_ns);
}

/* Nothing has moved for a while: what a quiet way does not need is given back. */
static void
way_quiet(struct credit_way *w, struct budget *b, uint64_t now_ns)
{
	if (credit_waiting(w) == 0)
		flow_free(w, b);
	else
		window_init(&w->flow->window, CREDIT_INITIAL, now_ns);
	w->credit_due = w->forwarded + CREDIT_INITIAL > w->granted;
	way_fit(w, b);
}

void
credit_tick(struct credit *c, uint64_t now_ns)
{
	if (c->state < CREDIT_ENDING && now_ns - c->moved_ns >= QUIET_NS) {
		for (unsigned i = 0; i < 2; i++)
			way_quiet(&c->way[i], c->node->budget, now_ns);
	}
	turns_update(c);
	if (credit_deadline(c) > now_ns)
		return;
	c->node->reaped++;
	/* Both are the path's reasons: an end that is still there may try another. */
	credit_fail(c, c->answered ? REASON_PEER_GONE : REASON_UNREACHABLE);
}
