#include "fabric/stream.h"

#include <errno.h>
#include <string.h>

#include "fabric/stream_int.h"
#include "fabric/stream_table.h"

#define NS_PER_MS	1000000ull
#define AGAIN_FIRST_NS	(50 * NS_PER_MS)
#define AGAIN_MAX_NS	(5000 * NS_PER_MS)
#define MOVES_MAX	3u	/* legs that are looked for without a wait, while none is answered */
#define RTT_MIN_NS	(2 * NS_PER_MS)	/* a process that is woken for batches is not quicker than this */
#define WRITE_AHEAD	(2 * STREAM_WINDOW_INITIAL)	/* bytes beyond the window that wait here */
#define FLAG_MUST_EXIST	0x01u

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

/* --- memory --- */

/* Brings what is reserved to `need' at least; gives back what is above. False: not to be had. */
static bool
reserve(struct budget *b, uint64_t *reserved, uint64_t need)
{
	need = max64(need, STREAM_BASE);
	if (need > *reserved && !budget_take(b, need - *reserved))
		return false;
	if (need < *reserved)
		budget_give(b, *reserved - need);
	*reserved = need;
	return true;
}

static void
out_fit(struct fabric_stream *s)
{
	reserve(s->set->budget, &s->out_reserved, RING_COST(s->out.len));
}

/* Once the end is known no more than that can come, whatever was promised. */
static void
in_fit(struct fabric_stream *s)
{
	uint64_t most = s->final_known ? s->rcv_final - s->rcv_read : max64(s->window.size, s->rcv_edge - s->rcv_read);

	reserve(s->set->budget, &s->in_reserved, RING_COST(most));
}

static void
buffers_drop(struct fabric_stream *s)
{
	ring_free(&s->out, s->set->budget);
	ring_free(&s->in, s->set->budget);
	budget_give(s->set->budget, s->out_reserved + s->in_reserved);
	s->out_reserved = s->in_reserved = 0;
}

/* --- the end and the leg --- */

static void
leg_drop(struct fabric_stream *s, bool tell, uint64_t reason)
{
	if (tell && s->id != 0)
		streams_refuse(s->set, s->id, reason);
	if (s->id != 0)
		s->before = (uint32_t)s->id;
	streams_id_set(s, 0);
	s->leg = LEG_NONE;
	s->close_sent = s->ack_due = s->credit_due = false;
	s->ack_at_ns = 0;
	s->timed_ns = s->edge_ns = 0;
}

static void
end(struct fabric_stream *s, uint64_t reason, bool tell)
{
	leg_drop(s, tell, reason);
	s->state = STREAM_GONE;
	s->reason = reason;
	buffers_drop(s);
	streams_event_add(s, STREAM_EV_END);
}

static uint64_t
random_next(struct fabric_stream *s)
{
	s->rand ^= s->rand << 13;
	s->rand ^= s->rand >> 7;
	s->rand ^= s->rand << 17;
	return s->rand;
}

/* The dataplane has another way already: no wait, but for one that moves on and on and gets no answer anywhere. */
static bool
leg_moved(struct fabric_stream *s, uint64_t now_ns)
{
	if (s->moves >= MOVES_MAX)
		return false;
	leg_drop(s, false, REASON_NONE);
	s->lost_ns = now_ns;
	if (s->opener) {
		s->moves++;
		s->again_ns = UINT64_MAX;
		streams_event_add(s, STREAM_EV_LEG);
	}
	return true;
}

/* The leg is silent or broken; `tell': the nodes on it are to forget it. */
static void
leg_lost(struct fabric_stream *s, bool tell, uint64_t now_ns)
{
	uint64_t wait = AGAIN_FIRST_NS << (s->backoff < 8 ? s->backoff : 8);

	/* To the far end a silent leg is one that failed on the way. */
	leg_drop(s, tell, REASON_PEER_GONE);
	s->lost_ns = now_ns;
	if (!s->opener)
		return;
	wait = min64(wait, AGAIN_MAX_NS);
	s->again_ns = now_ns + wait / 2 + random_next(s) % (wait / 2);
	s->backoff++;
}

/* Whether the far end can only go on with a stream that it knows: what it got of this one must not come to a second. */
static bool
must_exist(const struct fabric_stream *s)
{
	return s->answered || s->snd_max > 0 || s->close_ever;
}

void
stream_identity_put(const struct fabric_stream *s, uint8_t out[STREAM_ID_LEN])
{
	out[0] = must_exist(s) ? FLAG_MUST_EXIST : 0;
	memcpy(out + 1, s->token, STREAM_TOKEN_LEN);
}

int
stream_identity_get(const uint8_t *p, size_t len, uint8_t token[STREAM_TOKEN_LEN], bool *exist)
{
	if (len != STREAM_ID_LEN || p[0] > FLAG_MUST_EXIST)
		return -1;
	*exist = p[0] == FLAG_MUST_EXIST;
	memcpy(token, p + 1, STREAM_TOKEN_LEN);
	return 0;
}

static unsigned
leg_state(const struct fabric_stream *s)
{
	if (s->opener)
		return must_exist(s) ? LEG_RESUMING : LEG_OPENING;
	return s->n.legs == 0 ? LEG_UP : LEG_RESUMING;
}

int
stream_attach(struct fabric_stream *s, uint64_t id, uint64_t now_ns)
{
	if (s->state == STREAM_GONE || (s->opener && s->leg != LEG_NONE) || (!s->reliable && s->n.legs > 0))
		return -1;
	leg_drop(s, true, REASON_PEER_GONE);
	streams_id_set(s, id);
	s->leg = s->reliable ? leg_state(s) : LEG_UP;
	s->n.legs++;
	s->leg_sent = s->leg_received = 0;
	s->leg_limit = s->leg_granted = STREAM_WINDOW_INITIAL;
	s->ack_due = s->reliable && s->leg != LEG_OPENING;
	s->leg_ns = s->heard_ns = s->asked_ns = now_ns;
	s->again_ns = UINT64_MAX;
	stream_update(s, now_ns);
	return 0;
}

/* --- round trips --- */

static void
rtt_sample(struct fabric_stream *s, uint64_t rtt_ns)
{
	rtt_ns = max64(rtt_ns, 1);
	s->rtt_ns = s->rtt_ns == 0 ? rtt_ns : s->rtt_ns - s->rtt_ns / 8 + rtt_ns / 8;
	if (s->rtt_min_ns == 0 || rtt_ns < s->rtt_min_ns)
		s->rtt_min_ns = rtt_ns;
}

/* --- frames --- */

/* Both directions are closed and said to have arrived. */
static void
done_check(struct fabric_stream *s, uint64_t now_ns)
{
	const struct stream_cell *cell;

	if (!s->close_acked || !s->final_known || s->rcv_nxt != s->rcv_final)
		return;
	cell = stream_cell(true, s->state, SH_DONE);
	if (cell->action != SA_TAKE)
		return;
	s->state = cell->next;
	s->linger_at_ns = now_ns;
	if (s->released)
		streams_linger(s);
}

static bool
on_data(struct fabric_stream *s, const struct frame_data *d, uint64_t now_ns)
{
	uint64_t stop = d->seq + d->payload_len, old;

	s->leg_received += d->payload_len;
	s->n.frames_in++;
	/* On a leg nothing is lost or out of order: a gap, or more than was allowed, is no accident. */
	if (d->seq > s->rcv_nxt || stop > s->rcv_edge || (s->final_known && stop > s->rcv_final))
		return false;
	old = min64(s->rcv_nxt - d->seq, d->payload_len);
	s->n.duplicate += old;
	if (stop <= s->rcv_nxt) {
		s->ack_due = true;
		return true;
	}
	if (ring_put(&s->in, s->set->budget, d->payload + old, d->payload_len - old) == -1) {
		end(s, REASON_INTERNAL, true);
		return true;
	}
	s->rcv_unacked += stop - s->rcv_nxt;
	s->n.bytes_in += stop - s->rcv_nxt;
	s->rcv_nxt = stop;
	s->active_ns = now_ns;
	if (s->edge_ns != 0 && s->rcv_nxt > s->edge_seq) {
		rtt_sample(s, now_ns - s->edge_ns);
		s->edge_ns = 0;
	}
	if (s->rcv_unacked >= 2 * STREAM_DATA_MAX || s->rcv_unacked >= s->window.size / 4)
		s->ack_due = true;
	else if (s->ack_at_ns == 0)
		s->ack_at_ns = now_ns + s->set->conf.ack_delay_ns;
	if (s->final_known && s->rcv_nxt == s->rcv_final)
		s->ack_due = true;
	if (s->released) {	/* nobody reads any more, and the other end is to come to its end */
		ring_drop(&s->in, s->set->budget, s->in.len);
		s->rcv_read = s->rcv_nxt;
		in_fit(s);
	}
	streams_event_add(s, STREAM_EV_READ);
	done_check(s, now_ns);
	return true;
}

static bool
on_close(struct fabric_stream *s, uint64_t final, uint64_t now_ns)
{
	if (s->final_known && final != s->rcv_final)
		return false;
	if (final < s->rcv_nxt || final > s->rcv_edge)
		return false;
	s->ack_due = true;
	if (s->final_known)
		return true;
	s->final_known = true;
	s->rcv_final = final;
	in_fit(s);
	s->active_ns = now_ns;
	if (s->rcv_nxt == final)
		streams_event_add(s, STREAM_EV_READ);
	return true;
}

/* What the other end has, up to seq; its CLOSE_STREAM counts one. */
static void
acked(struct fabric_stream *s, uint64_t seq, uint64_t now_ns)
{
	if (seq == s->snd_end + 1) {
		s->close_acked = true;
		seq = s->snd_end;
	}
	if (s->timed_ns != 0 && seq >= s->timed_seq) {
		rtt_sample(s, now_ns - s->timed_ns);
		s->timed_ns = 0;
	}
	if (seq == s->snd_una)
		return;
	ring_drop(&s->out, s->set->budget, seq - s->snd_una);
	s->snd_una = seq;
	s->active_ns = now_ns;
	out_fit(s);
}

/* The first ACK on a leg: the other end is there, and says from where to go on. */
static void
leg_up(struct fabric_stream *s, uint64_t seq)
{
	if (s->leg == LEG_RESUMING) {
		s->snd_nxt = min64(seq, s->snd_end);
		ring_rewind(&s->out);
		/* Also when it was acknowledged: the nodes on this leg have to see it, to forget the stream. */
		s->close_sent = false;
	}
	if (s->leg == LEG_OPENING)
		s->ack_due = true;	/* so that the other end knows the window, and the round trip time */
	s->leg = LEG_UP;
	s->backoff = 0;
	s->moves = 0;
	streams_event_add(s, STREAM_EV_UP);
}

static bool
on_ack(struct fabric_stream *s, const struct frame_ack *a, uint64_t now_ns)
{
	bool first = s->leg != LEG_UP, news = a->seq > s->snd_una || a->seq + a->window > s->snd_edge;
	uint64_t most = first ? s->snd_max : s->snd_nxt;

	if (s->close_ever && most == s->snd_end && (first || s->close_sent))
		most++;
	if (a->seq > most || (first && a->seq < s->snd_una))
		return false;
	if (!s->answered)
		rtt_sample(s, now_ns - s->leg_ns);
	s->answered = true;
	if (a->seq >= s->snd_una)
		acked(s, a->seq, now_ns);
	if (first)
		leg_up(s, a->seq);
	else if (!news && now_ns - s->acked_ns >= s->set->conf.keepalive_ns / 2)
		s->ack_due = true;	/* it says nothing new: it asks whether this end is there */
	s->snd_edge = max64(s->snd_edge, a->seq + a->window);
	if (s->write_wanted && stream_room(s) >= STREAM_WINDOW_INITIAL / 2) {
		s->write_wanted = false;
		streams_event_add(s, STREAM_EV_WRITE);
	}
	done_check(s, now_ns);
	return true;
}

/* False: the other end broke the protocol. */
static bool
take(struct fabric_stream *s, const struct frame *f, unsigned next, uint64_t now_ns, bool *unit)
{
	switch (f->type) {
	case FT_DATA:
		return on_data(s, &f->data, now_ns);
	case FT_ACK:
		return on_ack(s, &f->ack, now_ns);
	case FT_STREAM_CREDIT:
		s->leg_limit = max64(s->leg_limit, f->credit.limit);
		return true;
	case FT_CLOSE_STREAM:
		if (!on_close(s, f->close.final_seq, now_ns))
			return false;
		s->state = (uint8_t)next;
		done_check(s, now_ns);
		return true;
	default:
		s->active_ns = now_ns;
		*unit = loss_seen(&s->loss, (uint32_t)f->data.seq) == LOSS_NEW || f->data.flags & DATA_FRAGMENT;
		s->n.bytes_in += *unit ? f->data.payload_len : 0;
		s->n.frames_in++;
		return true;
	}
}

/* A repeat of what is here already; anything else is an error. */
static bool
repeat(struct fabric_stream *s, const struct frame *f)
{
	s->ack_due = true;
	if (f->type == FT_CLOSE_STREAM)
		return f->close.final_seq == s->rcv_final;
	s->leg_received += f->data.payload_len;
	s->n.duplicate += f->data.payload_len;
	return f->data.seq + f->data.payload_len <= s->rcv_nxt;
}

static void
reset_taken(struct fabric_stream *s, const struct frame *f)
{
	end(s, f->type == FT_RESET_STREAM ? f->reset.reason : f->close.reason, false);
}

bool
stream_frame(struct fabric_stream *s, const struct frame *f, uint64_t now_ns)
{
	const struct stream_cell *cell = stream_cell(s->reliable, s->state, stream_happening(f, s->leg));
	bool unit = false, good = true;

	s->heard_ns = now_ns;
	switch (cell->action) {
	case SA_TAKE:
		good = take(s, f, cell->next, now_ns, &unit);
		break;
	case SA_AGAIN:
		good = repeat(s, f);
		break;
	case SA_END:
		reset_taken(s, f);
		break;
	case SA_LEG:
		if (f->reset.reason != REASON_MOVED || !leg_moved(s, now_ns))
			leg_lost(s, false, now_ns);
		break;
	case SA_PROTOCOL:
		good = false;
		break;
	default:
		break;
	}
	if (!good)
		end(s, REASON_PROTOCOL, true);
	stream_update(s, now_ns);
	return unit;
}

void
stream_port_lost(struct fabric_stream *s, uint64_t now_ns)
{
	unsigned action = stream_cell(s->reliable, s->state, SH_LOST)->action;

	if (s->leg == LEG_NONE) {
		s->before = 0;
		return;
	}
	if (action == SA_LEG)
		leg_lost(s, false, now_ns);
	else if (action == SA_END)
		end(s, REASON_PEER_GONE, false);
	s->before = 0;		/* at the next port its id is another stream's */
	stream_update(s, now_ns);
}

/* --- the adapter's side --- */

static size_t
ring_fits(uint64_t bytes)
{
	return bytes < 2 * RING_PIECE ? 0 : (size_t)((bytes - 2 * RING_PIECE) / RING_PIECE * RING_PIECE_DATA);
}

size_t
stream_room(const struct fabric_stream *s)
{
	const struct budget *b = s->set->budget;
	uint64_t limit, mem;

	if (!s->reliable || stream_cell(true, s->state, SH_WRITE)->action != SA_TAKE)
		return 0;
	limit = min64(s->snd_edge - s->snd_una + WRITE_AHEAD, s->set->conf.window_max);
	/* What is its own it may always use; of the rest only so much that others can have some. */
	mem = max64(ring_fits(s->out_reserved + budget_free(b) / 4), STREAM_WINDOW_INITIAL);
	limit = min64(max64(limit, STREAM_WINDOW_INITIAL), mem);
	return limit > s->out.len ? limit - s->out.len : 0;
}

ssize_t
stream_write(struct fabric_stream *s, const uint8_t *p, size_t n, uint64_t now_ns)
{
	size_t room = stream_room(s), k = n < room ? n : room;

	if (!s->reliable || stream_cell(true, s->state, SH_WRITE)->action != SA_TAKE) {
		errno = EPIPE;
		return -1;
	}
	s->write_wanted = k < n;
	if (k == 0)
		return 0;
	if (!reserve(s->set->budget, &s->out_reserved, max64(s->out_reserved, RING_COST(s->out.len + k))) ||
	    ring_put(&s->out, s->set->budget, p, k) == -1)
		return 0;
	s->snd_end += k;
	s->active_ns = now_ns;
	stream_update(s, now_ns);
	return (ssize_t)k;
}

/* The reader took n bytes: perhaps the window grows, and the other end is told when it moved far enough. */
static void
window_move(struct fabric_stream *s, uint64_t n, uint64_t now_ns)
{
	uint64_t next, edge;

	if (s->final_known) {
		in_fit(s);
		return;
	}
	if (window_drain(&s->window, n, max64(s->rtt_min_ns, RTT_MIN_NS), now_ns)) {
		next = window_next(&s->window, s->set->conf.window_max, budget_free(s->set->budget));
		if (next > s->window.size && reserve(s->set->budget, &s->in_reserved, max64(s->in_reserved, RING_COST(next))))
			s->window.size = next;
	}
	in_fit(s);
	edge = s->rcv_read + s->window.size;
	if (edge > s->rcv_edge && edge - s->rcv_edge >= s->window.size / 4)
		s->ack_due = s->leg != LEG_NONE;
}

ssize_t
stream_read(struct fabric_stream *s, uint8_t *out, size_t n, uint64_t now_ns)
{
	size_t k;

	if (s->state == STREAM_GONE || (s->final_known && s->rcv_read == s->rcv_final)) {
		s->eof_told = true;
		return -1;
	}
	k = ring_get(&s->in, s->set->budget, out, n);
	if (k == 0)
		return 0;
	s->rcv_read += k;
	s->active_ns = now_ns;
	window_move(s, k, now_ns);
	stream_update(s, now_ns);
	return (ssize_t)k;
}

void
stream_shut(struct fabric_stream *s, uint64_t now_ns)
{
	const struct stream_cell *cell = stream_cell(s->reliable, s->state, SH_SHUT);

	if (cell->action == SA_END) {
		if (s->id != 0)
			streams_close(s->set, s->id, s->packets_out);
		end(s, REASON_NONE, false);
		streams_event_clear(s);
	} else if (cell->action == SA_TAKE) {
		s->shut = true;
		s->state = cell->next;
		s->active_ns = now_ns;
	}
	stream_update(s, now_ns);
}

void
stream_abort(struct fabric_stream *s, uint64_t reason, uint64_t now_ns)
{
	if (stream_cell(s->reliable, s->state, SH_ABORT)->action == SA_END) {
		/* The other end would take these for the path's, and wait for another. */
		if (stream_reason_is_path(reason, LEG_UP))
			reason = REASON_INTERNAL;
		end(s, reason, true);
		streams_event_clear(s);
	}
	stream_update(s, now_ns);
}

void
stream_release(struct fabric_stream *s, uint64_t now_ns)
{
	if (s->state < STREAM_CLOSING)
		stream_abort(s, REASON_NONE, now_ns);
	s->released = true;
	if (s->state != STREAM_GONE) {
		ring_drop(&s->in, s->set->budget, s->in.len);
		s->rcv_read = s->rcv_nxt;
		in_fit(s);
	}
	if (s->state == STREAM_LINGER)
		streams_linger(s);
	stream_update(s, now_ns);
}

/* --- time --- */

/* When a stream that moves no byte ends; 0: never. */
static uint64_t
quiet_ns(const struct fabric_stream *s)
{
	return s->state == STREAM_OPEN ? s->set->conf.idle_ns : s->set->conf.half_ns;
}

static uint64_t
linger_until(const struct fabric_stream *s)
{
	uint64_t at = s->linger_at_ns + s->set->conf.linger_ns;

	/* What has come and was not read is kept for as long as a half open stream would be. */
	if (!s->released && !s->eof_told)
		at = s->set->conf.half_ns == 0 ? UINT64_MAX : max64(at, s->active_ns + s->set->conf.half_ns);
	return at;
}

static uint64_t
leg_due(const struct fabric_stream *s)
{
	const struct stream_conf *c = &s->set->conf;
	uint64_t at = UINT64_MAX;

	if (!s->reliable)
		return at;
	switch (s->leg) {
	case LEG_OPENING:
	case LEG_RESUMING:
		return s->leg_ns + c->open_ns;
	case LEG_UP:
		if (s->state != STREAM_LINGER)
			at = min64(s->heard_ns + c->dead_ns, max64(s->heard_ns, s->asked_ns) + c->keepalive_ns);
		return s->ack_at_ns == 0 ? at : min64(at, s->ack_at_ns);
	default:
		return min64(s->again_ns, s->state == STREAM_LINGER ? UINT64_MAX : s->lost_ns + c->resume_ns);
	}
}

uint64_t
stream_due_ns(const struct fabric_stream *s)
{
	uint64_t at, quiet;

	if (s->state == STREAM_GONE)
		return UINT64_MAX;
	at = leg_due(s);
	if (s->state == STREAM_LINGER)
		return min64(at, linger_until(s));
	quiet = quiet_ns(s);
	return quiet == 0 ? at : min64(at, s->active_ns + quiet);
}

static void
leg_tick(struct fabric_stream *s, uint64_t now_ns)
{
	const struct stream_conf *c = &s->set->conf;

	if (s->leg == LEG_NONE) {
		if (s->again_ns <= now_ns) {
			s->again_ns = UINT64_MAX;
			streams_event_add(s, STREAM_EV_LEG);
		}
		return;
	}
	if (s->leg != LEG_UP) {
		if (s->leg_ns + c->open_ns <= now_ns)
			leg_lost(s, true, now_ns);
		return;
	}
	if (s->ack_at_ns != 0 && s->ack_at_ns <= now_ns) {
		s->ack_at_ns = 0;
		s->ack_due = true;
	}
	if (s->state == STREAM_LINGER)
		return;
	if (s->heard_ns + c->dead_ns <= now_ns) {
		leg_lost(s, true, now_ns);
	} else if (max64(s->heard_ns, s->asked_ns) + c->keepalive_ns <= now_ns) {
		s->asked_ns = now_ns;
		s->ack_due = true;
	}
}

/* Whether its time is over, and why. */
static bool
over(const struct fabric_stream *s, uint64_t now_ns, uint64_t *reason)
{
	uint64_t quiet = quiet_ns(s);

	*reason = REASON_PEER_GONE;
	if (s->state == STREAM_LINGER) {
		*reason = s->released || s->eof_told ? REASON_NONE : REASON_IDLE;
		return linger_until(s) <= now_ns;
	}
	if (s->leg == LEG_NONE && s->reliable && s->lost_ns + s->set->conf.resume_ns <= now_ns)
		return true;
	*reason = REASON_IDLE;
	return quiet != 0 && s->active_ns + quiet <= now_ns;
}

void
stream_tick(struct fabric_stream *s, uint64_t now_ns)
{
	uint64_t reason;

	if (s->state != STREAM_GONE && s->reliable)
		leg_tick(s, now_ns);
	if (s->state != STREAM_GONE && over(s, now_ns, &reason))
		end(s, reason, s->state != STREAM_LINGER || s->n.legs > 1);
	/* A window that grew for a burst is not kept for ever. */
	if (s->state != STREAM_GONE && now_ns - s->active_ns >= s->set->conf.keepalive_ns &&
	    s->window.size > STREAM_WINDOW_INITIAL) {
		window_init(&s->window, STREAM_WINDOW_INITIAL, now_ns);
		in_fit(s);
	}
	stream_update(s, now_ns);
}

/* --- after each of these --- */

static void
stall_account(struct fabric_stream *s, uint64_t now_ns)
{
	bool waits = s->leg == LEG_UP && s->snd_nxt < s->snd_end;
	uint8_t by = !waits ? 0 : s->snd_nxt >= s->snd_edge ? 1 : s->leg_sent >= s->leg_limit ? 2 : 0;

	if (by == s->stall)
		return;
	if (s->stall == 1)
		s->n.stall_window_ns += now_ns - s->stall_ns;
	else if (s->stall == 2)
		s->n.stall_credit_ns += now_ns - s->stall_ns;
	s->stall = by;
	s->stall_ns = now_ns;
}

void
stream_update(struct fabric_stream *s, uint64_t now_ns)
{
	if (s->state == STREAM_GONE && s->released) {
		streams_forget(s);
		return;
	}
	stall_account(s, now_ns);
	if (stream_ready(s))
		turn_add(&s->set->turn, &s->turn);
	else
		turn_remove(&s->set->turn, &s->turn);
	streams_deadline_set(s, stream_due_ns(s));
}
