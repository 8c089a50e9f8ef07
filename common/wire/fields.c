#include "wire/fields.h"

#include <string.h>

#include "wire/varint.h"

void
field_read_init(struct field_reader *r, const uint8_t *p, size_t len)
{
	r->p = p;
	r->end = p + len;
	r->err = 0;
}

static void
fail(struct field_reader *r, int err)
{
	if (r->err == 0)
		r->err = err;
}

uint64_t
field_uint(struct field_reader *r, uint64_t min, uint64_t max)
{
	uint64_t v;
	int n;

	if (r->err != 0)
		return 0;
	n = varint_get(&v, r->p, (size_t)(r->end - r->p));
	if (n <= 0) {
		fail(r, n == 0 ? FRAME_E_SHORT : FRAME_E_VARINT);
		return 0;
	}
	r->p += n;
	if (v < min || v > max) {
		fail(r, FRAME_E_VALUE);
		return 0;
	}
	return v;
}

void
field_put_uint(struct tlv_writer *w, uint64_t v)
{
	uint8_t tmp[VARINT_LEN_MAX];

	if (v > VARINT_MAX) {
		w->failed = true;
		return;
	}
	field_put_raw(w, tmp, (size_t)(varint_put(tmp, v) - tmp));
}

const uint8_t *
field_raw(struct field_reader *r, size_t len)
{
	const uint8_t *p = r->p;

	if (r->err != 0)
		return NULL;
	if ((size_t)(r->end - p) < len) {
		fail(r, FRAME_E_SHORT);
		return NULL;
	}
	r->p += len;
	return p;
}

void
field_put_raw(struct tlv_writer *w, const void *p, size_t len)
{
	if (w->failed || len > w->size - w->len || (p == NULL && len > 0)) {
		w->failed = true;
		return;
	}
	if (w->buf != NULL && len > 0)
		memcpy(w->buf + w->len, p, len);
	w->len += len;
}

uint64_t
field_u64(struct field_reader *r)
{
	const uint8_t *p = field_raw(r, 8);
	uint64_t v = 0;

	if (p == NULL)
		return 0;
	for (int i = 0; i < 8; i++)
		v = v << 8 | p[i];
	return v;
}

void
field_put_u64(struct tlv_writer *w, uint64_t v)
{
	uint8_t tmp[8];

	for (int i = 8; i-- > 0; v >>= 8)
		tmp[i] = (uint8_t)v;
	field_put_raw(w, tmp, sizeof tmp);
}

struct frame_bytes
field_bytes(struct field_reader *r, size_t min, size_t max)
{
	struct frame_bytes b = { NULL, 0 };
	size_t len = (size_t)field_uint(r, min, max);

	b.p = field_raw(r, len);
	if (b.p != NULL)
		b.len = len;
	return b;
}

void
field_put_bytes(struct tlv_writer *w, struct frame_bytes b)
{
	field_put_uint(w, b.len);
	field_put_raw(w, b.p, b.len);
}

int
field_end(const struct field_reader *r)
{
	if (r->err != 0)
		return r->err;
	return r->p == r->end ? 0 : FRAME_E_TRAILING;
}

/* One UTF-8 character: its length, or 0 when it is not one. */
static size_t
utf8_char(uint32_t *c, const uint8_t *p, size_t len)
{
	static const uint32_t least[5] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t n = p[0] < 0x80 ? 1 : (p[0] & 0xe0) == 0xc0 ? 2 : (p[0] & 0xf0) == 0xe0 ? 3 :
	    (p[0] & 0xf8) == 0xf0 ? 4 : 0;

	if (n == 0 || n > len)
		return 0;
	*c = n == 1 ? p[0] : p[0] & (0x7fu >> n);
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		*c = *c << 6 | (p[i] & 0x3f);
	}
	if (*c < least[n] || *c > 0x10ffff || (*c >= 0xd800 && *c <= 0xdfff))
		return 0;
	return n;
}

bool
text_printable(const uint8_t *p, size_t len)
{
	uint32_t c;
	size_t n;

	for (; len > 0; p += n, len -= n) {
		n = utf8_char(&c, p, len);
		if (n == 0)
			return false;
		if (c < 0x20 || (c >= 0x7f && c < 0xa0) ||	/* C0, DEL, C1 */
		    c == 0x200e || c == 0x200f || (c >= 0x2028 && c <= 0x202e) ||
		    (c >= 0x2066 && c <= 0x2069) || c == 0xfeff)
			return false;
	}
	return true;
}

bool
text_name(const uint8_t *p, size_t len, size_t max, bool dots)
{
	if (len == 0 || len > max)
		return false;
	for (size_t i = 0; i < len; i++) {
		if ((p[i] >= 'a' && p[i] <= 'z') || (p[i] >= '0' && p[i] <= '9'))
			continue;
		if (i > 0 && (p[i] == '-' || (dots && p[i] == '.')))
			continue;
		return false;
	}
	return true;
}
