#include "wire/express.h"

#include <string.h>

#define FIRST	0x20u	/* and the kind, two bits, and the phase */

static uint64_t
get(const uint8_t *p, unsigned n)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < n; i++)
		v = v << 8 | p[i];
	return v;
}

static uint8_t *
put(uint8_t *p, uint64_t v, unsigned n)
{
	for (unsigned i = n; i-- > 0;)
		*p++ = (uint8_t)(v >> 8 * i);
	return p;
}

bool
express_header_get(struct express_header *h, const uint8_t *pkt, size_t len)
{
	unsigned kind;

	if (len < EXPRESS_OVERHEAD || !express_is(pkt[0]))
		return false;
	kind = (pkt[0] ^ FIRST) >> 1;
	if (kind >= EXPRESS_KINDS)
		return false;
	h->kind = (enum express_kind)kind;
	h->phase = pkt[0] & 1;
	memcpy(h->cid, pkt + 1, EXPRESS_CID_LEN);
	h->number = (uint32_t)get(pkt + 9, 4);
	h->head_len = (uint16_t)get(pkt + 13, 2);
	return h->head_len <= len - EXPRESS_OVERHEAD &&
	    (h->kind == EXPRESS_BARE || h->head_len == len - EXPRESS_OVERHEAD);
}

void
express_header_put(uint8_t *pkt, const struct express_header *h)
{
	*pkt++ = (uint8_t)(FIRST | (unsigned)h->kind << 1);
	memcpy(pkt, h->cid, EXPRESS_CID_LEN);
	put(put(pkt + EXPRESS_CID_LEN, h->number, 4), h->head_len, 2);
}

int
express_next(struct express_cursor *c, struct frame_data *d)
{
	const struct frame_limits lim = { FRAME_PORT_DATAGRAM, FRAME_DATAGRAM_CEILING };
	size_t used;

	if (c->head_len == 0)
		return c->rest_len == 0 ? 0 : -1;
	if (c->kind == EXPRESS_BARE) {
		if (frame_decode_data_header(d, &used, c->head, c->head_len, &lim) != FRAME_OK ||
		    d->payload_len > c->rest_len)
			return -1;
		d->payload = c->rest;
		c->rest += d->payload_len;
		c->rest_len -= d->payload_len;
	} else if (frame_decode_data(d, &used, c->head, c->head_len, &lim) != FRAME_OK) {
		return -1;
	}
	c->head += used;
	c->head_len -= used;
	return 1;
}

bool
express_bare_fits(const uint8_t *head, size_t head_len, size_t rest_len)
{
	const struct frame_limits lim = { FRAME_PORT_DATAGRAM, FRAME_DATAGRAM_CEILING };
	struct frame_data d;
	size_t used;

	while (head_len > 0) {
		if (frame_decode_data_header(&d, &used, head, head_len, &lim) != FRAME_OK)
			return true;
		if (d.payload_len > rest_len)
			return false;
		rest_len -= d.payload_len;
		head += used;
		head_len -= used;
	}
	return rest_len == 0;
}

bool
express_feedback_get(struct express_feedback *f, const uint8_t *p, size_t len)
{
	if (len != EXPRESS_FEEDBACK_LEN)
		return false;
	f->highest = get(p, 8);
	f->count = get(p + 8, 8);
	f->bytes = get(p + 16, 8);
	f->held_us = (uint32_t)get(p + 24, 4);
	f->ce = (uint32_t)get(p + 28, 4);
	return true;
}

void
express_feedback_put(uint8_t *p, const struct express_feedback *f)
{
	p = put(put(put(p, f->highest, 8), f->count, 8), f->bytes, 8);
	put(put(p, f->held_us, 4), f->ce, 4);
}
