#include "fabric/cut.h"

#include <stdlib.h>
#include <string.h>

#include "wire/varint.h"

void
cut_init(struct cut *c)
{
	*c = (struct cut){ 0 };
}

void
cut_free(struct cut *c)
{
	free(c->in);
	c->in = NULL;
	c->in_len = 0;
}

bool
cut_between(const struct cut *c)
{
	return c->in_len == 0 && c->left == 0;
}

/* A varint at *at, which it moves on: as varint_get(). */
static int
number(uint64_t *v, const uint8_t *p, size_t len, size_t *at)
{
	int n = varint_get(v, p + *at, len - *at);

	if (n > 0)
		*at += (size_t)n;
	return n > 0 ? FRAME_OK : n == 0 ? FRAME_MORE : FRAME_E_VARINT;
}

/* The head of a DATA, up to its payload; *used is its length. */
static int
data_head(struct cut *c, const uint8_t *p, size_t len, size_t *used, uint32_t max_frame)
{
	uint64_t type, body;
	size_t at = 0, fields;
	int rv;

	if ((rv = number(&type, p, len, &at)) != FRAME_OK || (rv = number(&body, p, len, &at)) != FRAME_OK)
		return rv;
	if (body + at > max_frame || body + at > FRAME_MAX_CEILING)
		return FRAME_E_TOO_LONG;
	fields = at;
	if ((rv = number(&c->id, p, len, &at)) == FRAME_OK)
		rv = number(&c->seq, p, len, &at);
	if (at - fields >= body)
		return FRAME_E_SHORT;	/* nothing is left for the payload */
	if (rv != FRAME_OK)
		return rv == FRAME_MORE && len - fields >= body ? FRAME_E_SHORT : rv;
	c->left = (uint32_t)(body - (at - fields));
	c->skip = false;
	*used = at;
	return c->id == 0 || c->left > VARINT_MAX - c->seq ? FRAME_E_VALUE : FRAME_OK;
}

static int
skip_head(struct cut *c, const uint8_t *p, size_t len, size_t *used)
{
	uint64_t type, body;
	size_t at = 0;
	int rv;

	if ((rv = number(&type, p, len, &at)) != FRAME_OK || (rv = number(&body, p, len, &at)) != FRAME_OK)
		return rv;
	if (body + at > FRAME_CONTROL_MAX)
		return FRAME_E_TOO_LONG;
	c->left = (uint32_t)body;
	c->skip = true;
	*used = at;
	return FRAME_OK;
}

/* What begins at p: a head, after which c->left says what follows, or, with c->left 0, a whole frame in f. */
static int
head(struct cut *c, struct frame *f, const uint8_t *p, size_t len, size_t *used, uint32_t max_frame)
{
	static const struct frame_limits lim = { FRAME_PORT_STREAM, CUT_FRAME_MAX };
	uint64_t type;
	size_t at = 0;
	int rv = number(&type, p, len, &at);

	if (rv != FRAME_OK)
		return rv;
	if (type == FT_DATA)
		return data_head(c, p, len, used, max_frame);
	if (frame_type_is_data(type))
		return FRAME_E_NOT_HERE;
	if (type >= FT_SKIP_FIRST && type <= FT_SKIP_LAST) {
		f->skipped = true;
		return skip_head(c, p, len, used);
	}
	if ((rv = frame_decode(f, p, len, &lim)) == FRAME_OK)
		*used = f->raw.len;
	return rv;
}

/* Keeps the beginning of a frame. */
static int
keep(struct cut *c, const uint8_t *p, size_t len)
{
	uint8_t *in = realloc(c->in, len);

	if (in == NULL)
		return FRAME_E_TOO_LONG;
	memcpy(in, p, len);
	c->in = in;
	c->in_len = (uint16_t)len;
	return FRAME_MORE;
}

/* The head of a frame of which something was kept: FRAME_MORE when all of p was used. */
static int
head_joined(struct cut *c, struct frame *f, const uint8_t **p, size_t *len, uint32_t max_frame)
{
	static uint8_t whole[CUT_FRAME_MAX];
	size_t had = c->in_len, n = CUT_FRAME_MAX - had < *len ? CUT_FRAME_MAX - had : *len, used = 0;
	int rv;

	memcpy(whole, c->in, had);
	memcpy(whole + had, *p, n);
	rv = head(c, f, whole, had + n, &used, max_frame);
	if (rv == FRAME_MORE)
		rv = n < *len ? FRAME_E_TOO_LONG : keep(c, whole, had + n);
	if (rv == FRAME_OK) {
		cut_free(c);
		n = used - had;	/* what was kept is less than a head: it would not have been kept */
	}
	*p += n;
	*len -= n;
	return rv;
}

static int
head_next(struct cut *c, struct frame *f, const uint8_t **p, size_t *len, uint32_t max_frame)
{
	size_t used = 0;
	int rv;

	f->skipped = false;
	if (c->in_len > 0)
		return head_joined(c, f, p, len, max_frame);
	rv = head(c, f, *p, *len, &used, max_frame);
	if (rv == FRAME_MORE) {
		if (*len >= CUT_FRAME_MAX)
			return FRAME_E_TOO_LONG;
		rv = keep(c, *p, *len);
		used = *len;
	}
	*p += used;
	*len -= used;
	return rv;
}

int
cut_next(struct cut *c, struct frame *f, const uint8_t **p, size_t *len, uint32_t max_frame)
{
	while (*len > 0) {
		size_t n = c->left < *len ? c->left : *len;
		int rv;

		if (n == 0) {
			rv = head_next(c, f, p, len, max_frame);
			if (rv != FRAME_OK || (c->left == 0 && !f->skipped))
				return rv;
			continue;
		}
		c->left -= (uint32_t)n;
		*p += n;
		*len -= n;
		if (c->skip)
			continue;
		memset(f, 0, sizeof(*f));
		f->type = FT_DATA;
		f->data = (struct frame_data){ .stream_id = c->id, .seq = c->seq, .payload = *p - n, .payload_len = n };
		c->seq += n;
		return FRAME_OK;
	}
	return FRAME_MORE;
}

int
cut_peek(uint64_t *id, const uint8_t *p, size_t len)
{
	uint64_t type, body;
	size_t at = 0;
	int rv;

	if ((rv = number(&type, p, len, &at)) != FRAME_OK)
		return rv;
	if (type != FT_DATA && type != FT_ACK && type != FT_STREAM_CREDIT && type != FT_CLOSE_STREAM &&
	    type != FT_RESET_STREAM)
		return FRAME_E_NOT_HERE;
	if ((rv = number(&body, p, len, &at)) != FRAME_OK)
		return rv;
	return number(id, p, len, &at);
}
