#include "fabricd/dataplane/qstream.h"

#include <stdlib.h>
#include <string.h>

#include "fabricd/dataplane/conn.h"
#include "fabricd/dataplane/reach.h"

#define VECS_MAX	4u
#define STREAMS_SLACK	256u	/* QUIC streams beyond the fabric's: each lasts a round trip longer than what it carried */
#define PACKET_ROOM	(2u * 1500)	/* of memory, so that one more packet can be kept */
/* Of a packet, for what lies around a frame: short header but for the connection id, AEAD tag, QUIC's STREAM. */
#define PACKET_USED	(1u + 4 + 16 + 1 + 4 + 4 + 2)

void
qstreams_init(struct qstreams *s)
{
	memset(s, 0, sizeof(*s));
	LIST_INIT(&s->all);
	TAILQ_INIT(&s->unsent);
	TAILQ_INIT(&s->held);
}

static struct budget *
budget_of(const struct conn *c)
{
	return &c->dp->sw.budget;
}

/* --- memory --- */

/* n more bytes are kept, or fewer; all but the free ones are charged. Only what qstreams_room() allowed is added. */
static void
kept_account(struct conn *c, int64_t n)
{
	struct qstreams *s = &c->qs;
	size_t charge;

	s->kept = (size_t)((int64_t)s->kept + n);
	charge = s->kept > QSTREAM_KEPT_FREE ? s->kept - QSTREAM_KEPT_FREE : 0;
	if (charge < s->charged)
		budget_give(budget_of(c), s->charged - charge);
	else if (charge > s->charged && !budget_take(budget_of(c), charge - s->charged))
		return;
	s->charged = charge;
}

bool
qstreams_room(const struct conn *c)
{
	const struct qstreams *s = &c->qs;

	return s->kept + PACKET_ROOM <= QSTREAM_KEPT_FREE ||
	    (s->kept < QSTREAM_KEPT_MAX && budget_free(budget_of(c)) >= PACKET_ROOM);
}

static struct qstream *
qstream_new(struct conn *c, int64_t id)
{
	struct qstream *q = calloc(1, sizeof(*q));

	if (q == NULL)
		return NULL;
	q->id = id;
	STAILQ_INIT(&q->kept);
	LIST_INSERT_HEAD(&c->qs.all, q, all);
	c->qs.n++;
	return q;
}

static void
unsent_remove(struct conn *c, struct qstream *q)
{
	if (q->unsent)
		TAILQ_REMOVE(&c->qs.unsent, q, link);
	q->unsent = false;
}

static void
hold_drop(struct conn *c, struct qstream *q)
{
	struct qhold *h = q->hold;

	if (!q->held)
		return;
	TAILQ_REMOVE(&c->qs.held, q, link);
	q->held = false;
	c->qs.held_bytes -= h->len;
	budget_give(budget_of(c), h->len);
	q->hold = NULL;
	free(h->p);
	free(h);
}

static void
cut_drop(struct qstream *q)
{
	if (q->held || q->cut == NULL)
		return;
	cut_free(q->cut);
	free(q->cut);
	q->cut = NULL;
}

static void
chunks_free(struct conn *c, struct qstream *q, uint64_t upto)
{
	struct qchunk *ch;

	while ((ch = STAILQ_FIRST(&q->kept)) != NULL && q->acked + ch->len <= upto) {
		STAILQ_REMOVE_HEAD(&q->kept, link);
		q->acked += ch->len;
		kept_account(c, -(int64_t)ch->len);
		free(ch);
	}
}

static void
qstream_free(struct conn *c, struct qstream *q)
{
	unsent_remove(c, q);
	hold_drop(c, q);
	chunks_free(c, q, UINT64_MAX);
	cut_drop(q);
	LIST_REMOVE(q, all);
	c->qs.n--;
	free(q);
}

void
qstreams_free(struct conn *c)
{
	struct qstreams *s = &c->qs;
	struct qstream *q;

	while ((q = LIST_FIRST(&s->all)) != NULL)
		qstream_free(c, q);
	if (s->up)
		budget_give(budget_of(c), s->window.size - QSTREAM_WINDOW_FIRST);
	s->up = false;
}

/* --- flow control of QUIC's own: it only bounds what a peer makes us put in order --- */

void
qstreams_up(struct conn *c)
{
	struct qstreams *s = &c->qs;

	s->up = true;
	window_init(&s->window, QSTREAM_WINDOW_FIRST, c->dp->now_ns);
	ngtcp2_conn_extend_max_offset(c->q, QSTREAM_WINDOW_FIRST - CONTROL_WINDOW);
	ngtcp2_conn_extend_max_streams_bidi(c->q, c->session.ours.max_streams + STREAMS_SLACK);
}

static void
window_take(struct conn *c, size_t len)
{
	struct qstreams *s = &c->qs;
	uint64_t next;

	ngtcp2_conn_extend_max_offset(c->q, len);
	if (!s->up || !window_drain(&s->window, len, c->port.rtt_ns, c->dp->now_ns))
		return;
	next = window_next(&s->window, QSTREAM_WINDOW, budget_free(budget_of(c)));
	if (next <= s->window.size || !budget_take(budget_of(c), next - s->window.size))
		return;
	ngtcp2_conn_extend_max_offset(c->q, next - s->window.size);
	s->window.size = next;
}

/* --- which QUIC stream is which fabric stream's --- */

static void
end_bind(struct conn *c, struct qstream *q, struct stream_end *e)
{
	q->end = e;
	e->carrier = q;
	credit_unblock(&stream_of(e)->credit, e->side, &c->port.turn);
}

/* Nothing more is wanted of it, and nothing more said on it than what it has already. */
static void
qstream_over(struct conn *c, struct qstream *q)
{
	q->end = NULL;
	q->over = true;
	hold_drop(c, q);
	cut_drop(q);
	if (!q->unsent && !q->fin_sent && !q->blocked) {
		q->unsent = true;
		TAILQ_INSERT_TAIL(&c->qs.unsent, q, link);
	}
	conn_dirty(c);
}

/* Whose it is says each frame, and all say the same. */
static bool
frame_is_of(const struct frame *f, uint64_t id)
{
	uint64_t said;

	if (f->type == FT_DATA)
		return f->data.stream_id == id;
	return cut_peek(&said, f->raw.p, f->raw.len) == FRAME_OK && said == id;
}

static void
feed(struct conn *c, struct qstream *q, const uint8_t *p, size_t len)
{
	struct cut cut = { 0 };
	struct frame f;
	int rv = FRAME_MORE;

	if (q->cut != NULL) {
		cut = *q->cut;
		q->cut->in = NULL;	/* it is ours now, whatever becomes of q's */
	}
	while (q->end != NULL && (rv = cut_next(&cut, &f, &p, &len, c->session.ours.max_frame)) == FRAME_OK) {
		if (!frame_is_of(&f, q->end->id)) {
			session_fail(&c->session, REASON_PROTOCOL);
			break;
		}
		switch_frame(q->end, &f);
	}
	if (rv < 0)
		session_fail(&c->session, rv == FRAME_E_TOO_LONG ? REASON_LIMIT : REASON_PROTOCOL);
	if (q->end == NULL || cut_between(&cut) || (q->cut == NULL && (q->cut = malloc(sizeof(cut))) == NULL)) {
		if (q->end != NULL && !cut_between(&cut))
			session_fail(&c->session, REASON_INTERNAL);
		cut_drop(q);
		cut_free(&cut);
	} else {
		*q->cut = cut;
	}
}

static void
hold_bound(struct conn *c, struct qstream *q, struct stream_end *e)
{
	struct qhold *h = q->hold;
	uint8_t *p = h->p;
	size_t len = h->len;
	bool overrun = h->overrun;

	h->p = NULL;
	hold_drop(c, q);
	end_bind(c, q, e);
	if (overrun)
		switch_fail(e, REASON_LIMIT);
	else
		feed(c, q, p, len);
	free(p);
}

void
qstream_begins(struct conn *c, struct stream_end *e)
{
	struct qstream *q;

	if (e->side == 1) {	/* the first frame opens the QUIC stream */
		credit_announce(&stream_of(e)->credit, e->side);
		conn_dirty(c);
		return;
	}
	credit_block(&stream_of(e)->credit, e->side);
	TAILQ_FOREACH(q, &c->qs.held, link)
		if (q->hold->id == e->id)
			break;
	if (q != NULL)
		hold_bound(c, q, e);
}

void
qstream_ends(struct conn *c, struct stream_end *e)
{
	if (e->carrier == NULL)
		return;
	qstream_over(c, e->carrier);
	e->carrier = NULL;
}

void
qstreams_opened(struct conn *c, uint64_t id)
{
	struct qstream *q, *next;

	for (q = TAILQ_FIRST(&c->qs.held); q != NULL; q = next) {
		next = TAILQ_NEXT(q, link);
		if (q->hold->id != 0 && q->hold->id <= id && !permit_waits(c->dp, &c->port, q->hold->id))
			qstream_over(c, q);
	}
}

/* --- in --- */

static struct qhold *
hold_new(struct conn *c, struct qstream *q)
{
	struct qhold *h = calloc(1, sizeof(*h));

	if (h == NULL)
		return NULL;
	q->hold = h;
	q->held = true;
	TAILQ_INSERT_TAIL(&c->qs.held, q, link);
	return h;
}

/* Keeps what came before the OPEN, which travels on the control stream. What does not fit costs it the stream. */
static void
hold_add(struct conn *c, struct qhold *h, const uint8_t *p, size_t len)
{
	uint8_t *more = NULL;

	if (h->overrun)
		return;
	if (h->len + len <= QSTREAM_HOLD_MAX && c->qs.held_bytes + len <= QSTREAM_HELD_MAX &&
	    budget_take(budget_of(c), len)) {
		if ((more = realloc(h->p, h->len + len)) == NULL)
			budget_give(budget_of(c), len);
	}
	if (more == NULL) {
		h->overrun = true;
		return;
	}
	memcpy(more + h->len, p, len);
	h->p = more;
	h->len += (uint32_t)len;
	c->qs.held_bytes += len;
}

/* Its first frame says whose it is: REASON_NONE, or why the session ends. p is all that has come. */
static uint64_t
bind_by_frame(struct conn *c, struct qstream *q, uint64_t id, const uint8_t *p, size_t len)
{
	struct stream_end *e = switch_find(&c->port, id);

	if (id == 0 || id > FRAME_DATAGRAM_STREAM_MAX || stream_id_is_own(&c->port.ids, id))
		return REASON_PROTOCOL;
	if (e != NULL) {
		if (!stream_of(e)->reliable || e->carrier != NULL)
			return REASON_PROTOCOL;
		if (q->held) {
			hold_bound(c, q, e);
		} else {
			end_bind(c, q, e);
			feed(c, q, p, len);
		}
		return REASON_NONE;
	}
	if (stream_id_was_used(&c->port.ids, id) && !permit_waits(c->dp, &c->port, id)) {
		qstream_over(c, q);	/* late */
		return REASON_NONE;
	}
	if (!q->held) {
		if (hold_new(c, q) == NULL)
			return REASON_INTERNAL;
		hold_add(c, q->hold, p, len);
	}
	q->hold->id = (uint32_t)id;
	return REASON_NONE;
}

/* Bytes of a QUIC stream of the peer's that is not known to be any fabric stream's. REASON_NONE, or why the session ends. */
static uint64_t
unbound_recv(struct conn *c, struct qstream *q, const uint8_t *p, size_t len)
{
	struct qhold *h = q->held ? q->hold : NULL;
	uint64_t id;
	int rv;

	if (h != NULL) {
		hold_add(c, h, p, len);
		if (h->id != 0)
			return REASON_NONE;
		p = h->p;
		len = h->len;
	}
	if ((rv = cut_peek(&id, p, len)) < 0)
		return REASON_PROTOCOL;
	if (rv == FRAME_OK)
		return bind_by_frame(c, q, id, p, len);
	if (h == NULL) {
		if ((h = hold_new(c, q)) == NULL)
			return REASON_INTERNAL;
		hold_add(c, h, p, len);
	}
	return h->overrun ? REASON_LIMIT : REASON_NONE;
}

/* The peer's direction is over: in the middle of a frame, or before anything was said. */
static bool
ends_early(const struct qstream *q)
{
	return q->end != NULL ? q->cut != NULL : !q->held || q->hold->id == 0;
}

int
qstream_recv(struct conn *c, int64_t id, const uint8_t *data, size_t len, bool fin, struct qstream *q)
{
	uint64_t reason = REASON_NONE;

	if (q == NULL) {
		if ((q = qstream_new(c, id)) == NULL || ngtcp2_conn_set_stream_user_data(c->q, id, q) != 0)
			return NGTCP2_ERR_CALLBACK_FAILURE;
	}
	ngtcp2_conn_extend_max_stream_offset(c->q, id, len);
	window_take(c, len);
	if (c->session.state != SESSION_UP || !c->port_on) {
		if (!q->over)
			qstream_over(c, q);
		return 0;
	}
	if (q->over)
		return 0;
	if (q->end != NULL)
		feed(c, q, data, len);
	else if (len > 0)
		reason = unbound_recv(c, q, data, len);
	if (reason == REASON_NONE && fin && !q->over && ends_early(q))
		reason = REASON_PROTOCOL;
	if (reason != REASON_NONE)
		session_fail(&c->session, reason);
	return 0;
}

void
qstream_closed(struct conn *c, int64_t id, struct qstream *q)
{
	if (!ngtcp2_conn_is_local_stream2(c->q, id))
		ngtcp2_conn_extend_max_streams_bidi(c->q, 1);
	if (q == NULL)
		return;
	if (q->end != NULL) {	/* both directions are over, and ours is not by our doing */
		q->end->carrier = NULL;
		session_fail(&c->session, REASON_PROTOCOL);
	}
	qstream_free(c, q);
}

/* --- out --- */

void
qstream_acked(struct conn *c, struct qstream *q, uint64_t upto)
{
	chunks_free(c, q, upto);
	if (!q->full || q->put - q->acked > QSTREAM_KEPT_ONE / 2)
		return;
	q->full = false;
	if (q->end != NULL && !q->blocked)
		credit_unblock(&stream_of(q->end)->credit, q->end->side, NULL);
}

void
qstream_window(struct conn *c, struct qstream *q)
{
	if (!q->blocked)
		return;
	q->blocked = false;
	if (q->end != NULL && !q->full)
		credit_unblock(&stream_of(q->end)->credit, q->end->side, NULL);
	if (!q->unsent && (q->at != NULL || (q->over && !q->fin_sent))) {
		q->unsent = true;
		TAILQ_INSERT_TAIL(&c->qs.unsent, q, link);
	}
}

void
qstreams_more(struct conn *c)
{
	struct port *p = &c->port;

	if (c->qs.waiting == 0 || !c->port_on)
		return;
	c->qs.waiting = 0;
	for (size_t i = 0; i < p->table_len; i++)
		for (struct stream_end *e = p->table[i]; e != NULL; e = e->next)
			if (stream_of(e)->reliable && e->side == 1 && e->carrier == NULL)
				credit_unblock(&stream_of(e)->credit, 1, NULL);
	conn_dirty(c);
}

/* The QUIC stream of an end whose OPEN went out from here. NULL when the peer allows no more of them now. */
static struct qstream *
qstream_open(struct conn *c, struct stream_end *e)
{
	struct qstream *q = qstream_new(c, -1);

	if (q == NULL) {
		session_fail(&c->session, REASON_INTERNAL);
		return NULL;
	}
	if (ngtcp2_conn_open_bidi_stream(c->q, &q->id, q) != 0) {
		qstream_free(c, q);
		c->qs.waiting++;
		credit_block(&stream_of(e)->credit, e->side);
		return NULL;
	}
	q->end = e;
	e->carrier = q;
	return q;
}

static void
chunk_put(struct conn *c, struct qstream *q, struct qchunk *ch)
{
	STAILQ_INSERT_TAIL(&q->kept, ch, link);
	if (q->at == NULL) {
		q->at = ch;
		q->at_off = 0;
	}
	q->put += ch->len;
	kept_account(c, ch->len);
	if (q->unsent)
		TAILQ_REMOVE(&c->qs.unsent, q, link);
	q->unsent = true;
	TAILQ_INSERT_HEAD(&c->qs.unsent, q, link);
	if (q->end != NULL && q->put - q->acked >= QSTREAM_KEPT_ONE) {
		q->full = true;
		credit_block(&stream_of(q->end)->credit, q->end->side);
	}
}

/* A frame that fits a packet, so that no other waits for the rest of a longer one. */
void
qstream_pull(struct conn *c, struct turn_entry *t)
{
	struct stream_end *e = switch_turn_end(t);
	struct qstream *q = e->carrier;
	size_t size = ngtcp2_conn_get_path_max_tx_udp_payload_size2(c->q) - ngtcp2_conn_get_dcid2(c->q)->datalen -
	    PACKET_USED, n;
	struct qchunk *ch, *less;

	if (q == NULL && (q = qstream_open(c, e)) == NULL)
		return;
	if ((ch = malloc(sizeof(*ch) + size)) == NULL) {
		session_fail(&c->session, REASON_INTERNAL);
		return;
	}
	n = switch_output(e, ch->data, size);
	if (n == 0) {	/* who has the turn has a frame: it would be asked for ever */
		free(ch);
		session_fail(&c->session, REASON_INTERNAL);
		return;
	}
	if ((less = realloc(ch, sizeof(*ch) + n)) != NULL)
		ch = less;
	ch->len = (uint32_t)n;
	chunk_put(c, q, ch);
}

static size_t
unsent_vec(const struct qstream *q, ngtcp2_vec *vec, size_t max, size_t *len)
{
	size_t n = 0, skip = q->at_off;

	*len = 0;
	for (struct qchunk *ch = q->at; ch != NULL && n < max; ch = STAILQ_NEXT(ch, link), skip = 0) {
		vec[n].base = ch->data + skip;
		vec[n].len = ch->len - skip;
		*len += vec[n++].len;
	}
	return n;
}

static void
sent(struct qstream *q, size_t n)
{
	while (q->at != NULL && n > 0) {
		size_t left = q->at->len - q->at_off;

		if (n < left) {
			q->at_off += (uint32_t)n;
			return;
		}
		n -= left;
		q->at = STAILQ_NEXT(q->at, link);
		q->at_off = 0;
	}
}

ngtcp2_ssize
qstream_write(struct conn *c, ngtcp2_path *path, ngtcp2_pkt_info *pi, uint8_t *dest, size_t size, uint64_t ts)
{
	struct qstream *q = TAILQ_FIRST(&c->qs.unsent);
	ngtcp2_vec vec[VECS_MAX];
	ngtcp2_ssize n, used = -1;
	size_t len, count = unsent_vec(q, vec, VECS_MAX, &len);
	/* All of it in one go: chunks are of a packet's length, and the end comes after the last. */
	bool fin = q->over && (q->at == NULL || count < VECS_MAX);
	uint32_t flags = NGTCP2_WRITE_STREAM_FLAG_MORE | (fin ? NGTCP2_WRITE_STREAM_FLAG_FIN : 0);

	n = ngtcp2_conn_writev_stream(c->q, path, pi, dest, size, &used, flags, q->id, vec, count, ts);
	if (n == NGTCP2_ERR_STREAM_DATA_BLOCKED) {
		unsent_remove(c, q);
		q->blocked = true;
		if (q->end != NULL)
			credit_block(&stream_of(q->end)->credit, q->end->side);
		return NGTCP2_ERR_WRITE_MORE;
	}
	if (n == NGTCP2_ERR_STREAM_SHUT_WR || n == NGTCP2_ERR_STREAM_NOT_FOUND) {
		unsent_remove(c, q);
		session_fail(&c->session, REASON_PROTOCOL);
		return NGTCP2_ERR_WRITE_MORE;
	}
	if (used < 0)
		return n;
	sent(q, (size_t)used);
	q->fin_sent = q->fin_sent || (fin && (size_t)used == len);
	if (q->at == NULL && q->fin_sent == q->over)
		unsent_remove(c, q);
	return n;
}
