#include "wire/frame_body.h"

#include "wire/varint.h"

enum hello_tag {
	HELLO_MAX_FRAME = 1, HELLO_MAX_STREAMS, HELLO_MAX_CREDIT, HELLO_MAX_DATAGRAM, HELLO_CAPABILITIES
};
enum open_tag { OPEN_SERVICE = 1, OPEN_NOISE, OPEN_DEST, OPEN_SOURCE, OPEN_BEFORE };
enum goaway_tag { GOAWAY_TEXT = 1 };
enum route_tag { ROUTE_RECORDS = 1 };

#define TAG(t) (1u << (t))
#define SIGNATURE_LEN 64

/*
 * Reads the parameters behind the fixed fields; `one` takes a tag below TLV_SKIP_FIRST and is NULL for a type
 * that has none yet. `required` is a set of TAG().
 */
static int
params_get(struct frame *f, const struct field_reader *r, enum frame_port port,
    int (*one)(struct frame *, const struct tlv *, enum frame_port), unsigned required)
{
	struct tlv_reader tr;
	struct tlv t;
	unsigned seen = 0;
	int n, err;

	if (r->err != 0)
		return r->err;
	tlv_read_init(&tr, r->p, (size_t)(r->end - r->p));
	while ((n = tlv_read(&tr, &t)) == 1) {
		if (t.tag >= TLV_SKIP_FIRST) {
			f->params_skipped = true;
			continue;
		}
		err = one == NULL ? FRAME_E_TLV_UNKNOWN : one(f, &t, port);
		if (err != 0)
			return err;
		seen |= TAG(t.tag);	/* a tag that is known is below 32 */
	}
	if (n < 0)
		return n;
	return (seen & required) == required ? 0 : FRAME_E_TLV_MISSING;
}

/* A number that is left out when it is 0, and so may not be 0 when it is there. */
static int
param_nonzero(const struct tlv *t, uint64_t max, uint64_t *v)
{
	int err = tlv_uint(t, max, v);

	return err == 0 && *v == 0 ? FRAME_E_VALUE : err;
}

static int
text_get(struct frame_bytes *text, const struct tlv *t)
{
	if (t->value.len == 0 || t->value.len > FRAME_REASON_MAX)
		return FRAME_E_VALUE;
	if (!text_printable(t->value.p, t->value.len))
		return FRAME_E_TEXT;
	*text = t->value;
	return 0;
}

static int
hello_param(struct frame *f, const struct tlv *t, enum frame_port port)
{
	struct frame_hello *h = &f->hello;
	uint64_t v = 0;
	int err;

	(void)port;
	switch (t->tag) {
	case HELLO_MAX_FRAME:
		err = tlv_uint(t, FRAME_MAX_CEILING, &v);
		h->max_frame = (uint32_t)v;
		return err == 0 && v < FRAME_MAX_MIN ? FRAME_E_VALUE : err;
	case HELLO_MAX_STREAMS:
		err = tlv_uint(t, FRAME_STREAMS_CEILING, &v);
		h->max_streams = (uint32_t)v;
		return err;
	case HELLO_MAX_CREDIT:
		return tlv_uint(t, FRAME_CREDIT_CEILING, &h->max_credit);
	case HELLO_MAX_DATAGRAM:
		err = param_nonzero(t, FRAME_DATAGRAM_CEILING, &v);
		h->max_datagram = (uint32_t)v;
		return err;
	case HELLO_CAPABILITIES:
		return param_nonzero(t, VARINT_MAX, &h->capabilities);
	default:
		return FRAME_E_TLV_UNKNOWN;
	}
}

static int
hello_get(struct frame *f, struct field_reader *r, enum frame_port port)
{
	struct frame_hello *h = &f->hello;
	uint64_t below = (uint64_t)UINT32_MAX + 1;

	*h = (struct frame_hello){ 0 };
	h->nversions = (uint8_t)field_uint(r, 1, FRAME_VERSIONS_MAX);
	for (unsigned i = 0; i < h->nversions; i++)
		below = h->versions[i] = (uint32_t)field_uint(r, 1, below - 1);
	h->node_id = field_raw(r, NODE_ID_LEN);
	h->nonce = field_raw(r, FRAME_NONCE_LEN);
	h->boot_id = field_u64(r);
	return params_get(f, r, port, hello_param,
	    TAG(HELLO_MAX_FRAME) | TAG(HELLO_MAX_STREAMS) | TAG(HELLO_MAX_CREDIT));
}

static void
hello_put(struct tlv_writer *w, const struct frame *f)
{
	const struct frame_hello *h = &f->hello;

	if (h->nversions > FRAME_VERSIONS_MAX) {
		w->failed = true;
		return;
	}
	field_put_uint(w, h->nversions);
	for (unsigned i = 0; i < h->nversions; i++)
		field_put_uint(w, h->versions[i]);
	field_put_raw(w, h->node_id, NODE_ID_LEN);
	field_put_raw(w, h->nonce, FRAME_NONCE_LEN);
	field_put_u64(w, h->boot_id);
	tlv_put_uint(w, HELLO_MAX_FRAME, h->max_frame);
	tlv_put_uint(w, HELLO_MAX_STREAMS, h->max_streams);
	tlv_put_uint(w, HELLO_MAX_CREDIT, h->max_credit);
	if (h->max_datagram != 0)
		tlv_put_uint(w, HELLO_MAX_DATAGRAM, h->max_datagram);
	if (h->capabilities != 0)
		tlv_put_uint(w, HELLO_CAPABILITIES, h->capabilities);
}

static int
auth_get(struct frame *f, struct field_reader *r, enum frame_port port)
{
	(void)port;
	f->auth.membership = field_bytes(r, 1, FRAME_RECORD_MAX);
	f->auth.delegation = field_bytes(r, 1, FRAME_RECORD_MAX);
	f->auth.signature = field_raw(r, SIGNATURE_LEN);
	return field_end(r);
}

static void
auth_put(struct tlv_writer *w, const struct frame *f)
{
	field_put_bytes(w, f->auth.membership);
	field_put_bytes(w, f->auth.delegation);
	field_put_raw(w, f->auth.signature, SIGNATURE_LEN);
}

static int
ready_get(struct frame *f, struct field_reader *r, enum frame_port port)
{
	struct frame_session_ready *s = &f->ready;

	s->version = (uint32_t)field_uint(r, 1, UINT32_MAX);
	s->max_frame = (uint32_t)field_uint(r, FRAME_MAX_MIN, FRAME_MAX_CEILING);
	s->max_streams = (uint32_t)field_uint(r, 0, FRAME_STREAMS_CEILING);
	s->max_credit = field_uint(r, 0, FRAME_CREDIT_CEILING);
	s->max_datagram = (uint32_t)field_uint(r, 0, FRAME_DATAGRAM_CEILING);
	s->route_epoch = field_uint(r, 0, VARINT_MAX);
	s->peer_epoch = field_uint(r, 0, VARINT_MAX);
	return params_get(f, r, port, NULL, 0);
}

static void
ready_put(struct tlv_writer *w, const struct frame *f)
{
	const struct frame_session_ready *s = &f->ready;

	field_put_uint(w, s->version);
	field_put_uint(w, s->max_frame);
	field_put_uint(w, s->max_streams);
	field_put_uint(w, s->max_credit);
	field_put_uint(w, s->max_datagram);
	field_put_uint(w, s->route_epoch);
	field_put_uint(w, s->peer_epoch);
}

static int
node_id_get(const uint8_t **id, const struct tlv *t, enum frame_port port)
{
	if (port != FRAME_PORT_PROC)
		return FRAME_E_NOT_HERE;
	if (t->value.len != NODE_ID_LEN)
		return FRAME_E_VALUE;
	*id = t->value.p;
	return 0;
}

static int
open_param(struct frame *f, const struct tlv *t, enum frame_port port)
{
	struct frame_open_stream *o = &f->open;

	switch (t->tag) {
	case OPEN_SERVICE:
		if (!text_name(t->value.p, t->value.len, FRAME_SERVICE_MAX, false))
			return FRAME_E_TEXT;
		o->service = t->value;
		return 0;
	case OPEN_NOISE:
		if (t->value.len == 0 || t->value.len > FRAME_NOISE_MAX)
			return FRAME_E_VALUE;
		o->noise = t->value;
		return 0;
	case OPEN_DEST:
		return node_id_get(&o->dest, t, port);
	case OPEN_SOURCE:
		return node_id_get(&o->source, t, port);
	case OPEN_BEFORE:
		return port != FRAME_PORT_PROC ? FRAME_E_NOT_HERE : param_nonzero(t, VARINT_MAX, &o->before);
	default:
		return FRAME_E_TLV_UNKNOWN;
	}
}

static int
open_get(struct frame *f, struct field_reader *r, enum frame_port port)
{
	struct frame_open_stream *o = &f->open;

	*o = (struct frame_open_stream){ 0 };
	o->stream_id = field_uint(r, 1, VARINT_MAX);
	o->route_id = field_uint(r, 0, VARINT_MAX);
	o->class = (uint8_t)field_uint(r, 0, CLASS_COUNT - 1);
	o->flags = (uint8_t)field_uint(r, 0, OPEN_UNRELIABLE);
	if (r->err == 0 && (o->flags & OPEN_UNRELIABLE) && o->stream_id > FRAME_DATAGRAM_STREAM_MAX)
		return FRAME_E_VALUE;
	return params_get(f, r, port, open_param, o->route_id == 0 ? TAG(OPEN_SERVICE) : 0);
}

static void
open_put(struct tlv_writer *w, const struct frame *f)
{
	const struct frame_open_stream *o = &f->open;

	field_put_uint(w, o->stream_id);
	field_put_uint(w, o->route_id);
	field_put_uint(w, o->class);
	field_put_uint(w, o->flags);
	if (o->service.len != 0)
		tlv_put(w, OPEN_SERVICE, o->service.p, o->service.len);
	if (o->noise.len != 0)
		tlv_put(w, OPEN_NOISE, o->noise.p, o->noise.len);
	if (o->dest != NULL)
		tlv_put(w, OPEN_DEST, o->dest, NODE_ID_LEN);
	if (o->source != NULL)
		tlv_put(w, OPEN_SOURCE, o->source, NODE_ID_LEN);
	if (o->before != 0)
		tlv_put_uint(w, OPEN_BEFORE, o->before);
}

static int
ack_get(struct frame *f, struct field_reader *r, enum frame_port port)
{
	(void)port;
	f->ack.stream_id = field_uint(r, 1, VARINT_MAX);
	f->ack.seq = field_uint(r, 0, VARINT_MAX);
	f->ack.window = field_uint(r, 0, VARINT_MAX - f->ack.seq);
	return field_end(r);
}

static void
ack_put(struct tlv_writer *w, const struct frame *f)
{
	field_put_uint(w, f->ack.stream_id);
	field_put_uint(w, f->ack.seq);
	field_put_uint(w, f->ack.window);
}

static int
ping_get(struct frame *f, struct field_reader *r, enum frame_port port)
{
	(void)port;
	f->ping.id = field_u64(r);
	f->ping.delay_us = f->type == FT_PONG ? field_uint(r, 0, VARINT_MAX) : 0;
	return field_end(r);
}

static void
ping_put(struct tlv_writer *w, const struct frame *f)
{
	field_put_u64(w, f->ping.id);
	if (f->type == FT_PONG)
		field_put_uint(w, f->ping.delay_us);
}

static int
route_param(struct frame *f, const struct tlv *t, enum frame_port port)
{
	(void)port;
	if (t->tag != ROUTE_RECORDS)
		return FRAME_E_TLV_UNKNOWN;
	f->route_update.records = t->value;
	return 0;
}

static int
route_get(struct frame *f, struct field_reader *r, enum frame_port port)
{
	f->route_update.records = (struct frame_bytes){ NULL, 0 };
	return params_get(f, r, port, route_param, TAG(ROUTE_RECORDS));
}

static void
route_put(struct tlv_writer *w, const struct frame *f)
{
	tlv_put(w, ROUTE_RECORDS, f->route_update.records.p, f->route_update.records.len);
}

static int
credit_get(struct frame *f, struct field_reader *r, enum frame_port port)
{
	(void)port;
	f->credit.stream_id = field_uint(r, 1, VARINT_MAX);
	f->credit.limit = field_uint(r, 0, VARINT_MAX);
	return field_end(r);
}

static void
credit_put(struct tlv_writer *w, const struct frame *f)
{
	field_put_uint(w, f->credit.stream_id);
	field_put_uint(w, f->credit.limit);
}

static int
pressure_get(struct frame *f, struct field_reader *r, enum frame_port port)
{
	f->pressure.queue = (uint16_t)field_uint(r, 0, FRAME_PRESSURE_MAX);
	f->pressure.cpu = (uint16_t)field_uint(r, 0, FRAME_PRESSURE_MAX);
	f->pressure.memory = (uint16_t)field_uint(r, 0, FRAME_PRESSURE_MAX);
	f->pressure.descriptors = (uint16_t)field_uint(r, 0, FRAME_PRESSURE_MAX);
	f->pressure.loss = (uint16_t)field_uint(r, 0, FRAME_PRESSURE_MAX);
	return params_get(f, r, port, NULL, 0);
}

static void
pressure_put(struct tlv_writer *w, const struct frame *f)
{
	field_put_uint(w, f->pressure.queue);
	field_put_uint(w, f->pressure.cpu);
	field_put_uint(w, f->pressure.memory);
	field_put_uint(w, f->pressure.descriptors);
	field_put_uint(w, f->pressure.loss);
}

static int
close_get(struct frame *f, struct field_reader *r, enum frame_port port)
{
	(void)port;
	f->close.stream_id = field_uint(r, 1, VARINT_MAX);
	f->close.final_seq = field_uint(r, 0, VARINT_MAX);
	f->close.reason = field_uint(r, 0, VARINT_MAX);
	return field_end(r);
}

static void
close_put(struct tlv_writer *w, const struct frame *f)
{
	field_put_uint(w, f->close.stream_id);
	field_put_uint(w, f->close.final_seq);
	field_put_uint(w, f->close.reason);
}

static int
reset_get(struct frame *f, struct field_reader *r, enum frame_port port)
{
	(void)port;
	f->reset.stream_id = field_uint(r, 1, VARINT_MAX);
	f->reset.reason = field_uint(r, 0, VARINT_MAX);
	f->reset.text = field_bytes(r, 0, FRAME_REASON_MAX);
	if (r->err == 0 && !text_printable(f->reset.text.p, f->reset.text.len))
		return FRAME_E_TEXT;
	return field_end(r);
}

static void
reset_put(struct tlv_writer *w, const struct frame *f)
{
	field_put_uint(w, f->reset.stream_id);
	field_put_uint(w, f->reset.reason);
	field_put_bytes(w, f->reset.text);
}

static int
goaway_param(struct frame *f, const struct tlv *t, enum frame_port port)
{
	(void)port;
	return t->tag == GOAWAY_TEXT ? text_get(&f->goaway.text, t) : FRAME_E_TLV_UNKNOWN;
}

static int
goaway_get(struct frame *f, struct field_reader *r, enum frame_port port)
{
	f->goaway.last_stream_id = field_uint(r, 0, VARINT_MAX);
	f->goaway.reason = field_uint(r, 0, VARINT_MAX);
	f->goaway.text = (struct frame_bytes){ NULL, 0 };
	return params_get(f, r, port, goaway_param, 0);
}

static void
goaway_put(struct tlv_writer *w, const struct frame *f)
{
	field_put_uint(w, f->goaway.last_stream_id);
	field_put_uint(w, f->goaway.reason);
	if (f->goaway.text.len != 0)
		tlv_put(w, GOAWAY_TEXT, f->goaway.text.p, f->goaway.text.len);
}

static const struct {
	int	(*get)(struct frame *, struct field_reader *, enum frame_port);
	void	(*put)(struct tlv_writer *, const struct frame *);
} bodies[] = {
	[FT_HELLO] =		{ hello_get, hello_put },
	[FT_AUTH] =		{ auth_get, auth_put },
	[FT_SESSION_READY] =	{ ready_get, ready_put },
	[FT_OPEN_STREAM] =	{ open_get, open_put },
	[FT_ACK] =		{ ack_get, ack_put },
	[FT_PING] =		{ ping_get, ping_put },
	[FT_PONG] =		{ ping_get, ping_put },
	[FT_ROUTE_UPDATE] =	{ route_get, route_put },
	[FT_STREAM_CREDIT] =	{ credit_get, credit_put },
	[FT_NODE_PRESSURE] =	{ pressure_get, pressure_put },
	[FT_CLOSE_STREAM] =	{ close_get, close_put },
	[FT_RESET_STREAM] =	{ reset_get, reset_put },
	[FT_GOAWAY] =		{ goaway_get, goaway_put },
};

bool
frame_body_known(uint64_t type)
{
	return type < sizeof bodies / sizeof bodies[0] && bodies[type].get != NULL;
}

int
frame_body_get(struct frame *f, struct field_reader *r, enum frame_port port)
{
	f->params_skipped = false;
	return bodies[f->type].get(f, r, port);
}

void
frame_body_put(struct tlv_writer *w, const struct frame *f)
{
	bodies[f->type].put(w, f);
}
