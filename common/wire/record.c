#include "wire/record.h"

#include <string.h>

#include "wire/fields.h"
#include "wire/varint.h"

#define RECORD_VERSION	1
#define HEAD_LEN	4	/* magic, version, kind */

enum record_tag {
	TAG_ISSUER = 1, TAG_SUBJECT, TAG_SERIAL, TAG_NOT_BEFORE, TAG_NOT_AFTER, TAG_NAME, TAG_TENANT, TAG_ROLES,
	TAG_TIER, TAG_PREFIXES, TAG_PURPOSE, TAG_CLASS, TAG_CONTENT,
	TAG_COUNT
};

#define BIT(tag) (1u << (tag))
#define COMMON (BIT(TAG_ISSUER) | BIT(TAG_SUBJECT) | BIT(TAG_SERIAL) | BIT(TAG_NOT_BEFORE) | BIT(TAG_NOT_AFTER))

/* Which fields a kind must have, and which it may. */
static const struct {
	unsigned	required, optional;
} kinds[RECORD_KIND_COUNT] = {
	[RECORD_REQUEST] =	{ COMMON | BIT(TAG_NAME), 0 },
	[RECORD_MEMBERSHIP] =	{ COMMON | BIT(TAG_NAME) | BIT(TAG_TENANT) | BIT(TAG_ROLES) | BIT(TAG_TIER),
				  BIT(TAG_PREFIXES) },
	[RECORD_DELEGATION] =	{ COMMON | BIT(TAG_PURPOSE), 0 },
	[RECORD_SERVICE] =	{ COMMON | BIT(TAG_NAME) | BIT(TAG_CLASS), 0 },
	[RECORD_NODE] =		{ COMMON | BIT(TAG_CONTENT), 0 },
	[RECORD_TICKET] =	{ COMMON | BIT(TAG_CONTENT), 0 },
	[RECORD_FENCE] =	{ COMMON | BIT(TAG_CONTENT), 0 },
	[RECORD_ROUTE_REQUEST] = { COMMON | BIT(TAG_CONTENT), 0 },
	[RECORD_RECEIPT] =	{ COMMON | BIT(TAG_CONTENT), 0 },
	[RECORD_POLICY] =	{ COMMON | BIT(TAG_CONTENT), 0 },
	[RECORD_REVOCATION] =	{ COMMON | BIT(TAG_CONTENT), 0 },
};

size_t
record_max(unsigned kind)
{
	return kind == RECORD_POLICY || kind == RECORD_REVOCATION ? RECORD_LARGE_MAX : FRAME_RECORD_MAX;
}

static int
key_get(const uint8_t **key, const struct tlv *t)
{
	if (t->value.len != RECORD_KEY_LEN)
		return RECORD_E_FIELD;
	*key = t->value.p;
	return RECORD_OK;
}

static int
uint_get(const struct tlv *t, uint64_t min, uint64_t max, uint64_t *v)
{
	return tlv_uint(t, max, v) == 0 && *v >= min ? RECORD_OK : RECORD_E_FIELD;
}

/* A name or tenant of at most 63 bytes, into a buffer of 64. */
static int
name_get(char *out, const struct tlv *t, bool dots)
{
	if (!text_name(t->value.p, t->value.len, RECORD_NAME_MAX, dots))
		return RECORD_E_NAME;
	memcpy(out, t->value.p, t->value.len);
	return RECORD_OK;
}
_Static_assert(RECORD_NAME_MAX == RECORD_TENANT_MAX && RECORD_NAME_MAX == FRAME_SERVICE_MAX, "name_get() serves all");

/* The whole bytes that a prefix of so many bits needs. */
static size_t
prefix_bytes(unsigned bits)
{
	return (bits + 7) / 8;
}

/* Family 4 or 6, length within it, no bit set beyond the length. */
static bool
prefix_valid(const struct record_prefix *x)
{
	unsigned max = x->family == 4 ? 32 : x->family == 6 ? 128 : 0;

	if (max == 0 || x->len > max)
		return false;
	for (unsigned bit = x->len; bit < 128; bit++)
		if (x->addr[bit / 8] & 0x80u >> bit % 8)
			return false;
	return true;
}

static int
prefixes_get(struct record *r, const struct tlv *t)
{
	const uint8_t *p = t->value.p, *end = p + t->value.len;
	struct record_prefix *x;
	size_t n;

	if (p == end)
		return RECORD_E_PREFIX;
	while (p < end) {
		if (r->nprefixes == RECORD_ADDRS_MAX || end - p < 2)
			return RECORD_E_PREFIX;
		x = &r->prefixes[r->nprefixes++];
		x->family = p[0];
		x->len = p[1];
		p += 2;
		n = prefix_bytes(x->len);
		if (n > sizeof x->addr || (size_t)(end - p) < n)
			return RECORD_E_PREFIX;
		memcpy(x->addr, p, n);
		p += n;
		if (!prefix_valid(x))
			return RECORD_E_PREFIX;
	}
	return RECORD_OK;
}

static void
prefixes_put(struct tlv_writer *w, const struct record *r)
{
	uint8_t tmp[RECORD_ADDRS_MAX * (2 + 16)], *p = tmp;
	const struct record_prefix *x;

	if (r->nprefixes == 0)
		return;
	if (r->nprefixes > RECORD_ADDRS_MAX) {
		w->failed = true;
		return;
	}
	for (x = r->prefixes; x < r->prefixes + r->nprefixes; x++) {
		if (!prefix_valid(x)) {
			w->failed = true;
			return;
		}
		*p++ = x->family;
		*p++ = x->len;
		memcpy(p, x->addr, prefix_bytes(x->len));
		p += prefix_bytes(x->len);
	}
	tlv_put(w, TAG_PREFIXES, tmp, (size_t)(p - tmp));
}

/* One field that the record's kind has. */
static int
field_get(struct record *r, const struct tlv *t)
{
	uint64_t v = 0;
	int err;

	switch (t->tag) {
	case TAG_ISSUER:
		return key_get(&r->issuer, t);
	case TAG_SUBJECT:
		return key_get(&r->subject, t);
	case TAG_SERIAL:
		return uint_get(t, 0, VARINT_MAX, &r->serial);
	case TAG_NOT_BEFORE:
		return uint_get(t, 0, VARINT_MAX, &r->not_before);
	case TAG_NOT_AFTER:
		return uint_get(t, 0, VARINT_MAX, &r->not_after);
	case TAG_NAME:
		return name_get(r->name, t, r->kind != RECORD_SERVICE);
	case TAG_TENANT:
		return name_get(r->tenant, t, true);
	case TAG_ROLES:
		err = uint_get(t, 0, UINT32_MAX, &v);
		r->roles = (uint32_t)v;
		return err;
	case TAG_TIER:
		err = uint_get(t, 0, 9, &v);
		r->tier = (uint8_t)v;
		return err;
	case TAG_PREFIXES:
		return prefixes_get(r, t);
	case TAG_PURPOSE:
		err = uint_get(t, 1, PURPOSE_COUNT - 1, &v);
		r->purpose = (uint8_t)v;
		return err;
	case TAG_CLASS:
		err = uint_get(t, 0, CLASS_COUNT - 1, &v);
		r->class = (uint8_t)v;
		return err;
	default:	/* TAG_CONTENT */
		r->content = t->value;
		return r->content.len > 0 ? RECORD_OK : RECORD_E_FIELD;
	}
}

static int
body_get(struct record *r, const uint8_t *p, size_t len)
{
	unsigned allowed = kinds[r->kind].required | kinds[r->kind].optional, seen = 0;
	struct tlv_reader tr;
	struct tlv t;
	int n, err;

	tlv_read_init(&tr, p, len);
	while ((n = tlv_read(&tr, &t)) == 1) {
		if (t.tag >= TLV_SKIP_FIRST) {
			r->params_skipped = true;
			continue;
		}
		if (t.tag == 0 || t.tag >= TAG_COUNT)
			return RECORD_E_TLV;
		if (!(allowed & BIT(t.tag)))
			return RECORD_E_FIELD;
		err = field_get(r, &t);
		if (err != RECORD_OK)
			return err;
		seen |= BIT(t.tag);
	}
	if (n < 0)
		return RECORD_E_TLV;
	return (seen & kinds[r->kind].required) == kinds[r->kind].required ? RECORD_OK : RECORD_E_MISSING;
}

/* What lies between the fields of a whole record. */
static int
check(const struct record *r)
{
	if (r->not_after > RECORD_TIME_MAX || r->not_after <= r->not_before)
		return RECORD_E_TIME;
	if (r->kind == RECORD_REQUEST && memcmp(r->issuer, r->subject, RECORD_KEY_LEN) != 0)
		return RECORD_E_FIELD;
	return RECORD_OK;
}

/* Magic, version, kind and body length: the head's length, or a record_error. */
static int
head_get(struct record *r, uint64_t *body, const uint8_t *buf, size_t len)
{
	int n;

	if (len < 2)
		return RECORD_E_LENGTH;
	if (buf[0] != 'F' || buf[1] != 'R')
		return RECORD_E_MAGIC;
	if (len < HEAD_LEN)
		return RECORD_E_LENGTH;
	if (buf[2] != RECORD_VERSION)
		return RECORD_E_VERSION;
	if (buf[3] == 0 || buf[3] >= RECORD_KIND_COUNT)
		return RECORD_E_KIND;
	r->kind = buf[3];
	n = varint_get(body, buf + HEAD_LEN, len - HEAD_LEN);
	if (n <= 0 || *body > record_max(r->kind))
		return RECORD_E_LENGTH;
	return HEAD_LEN + n;
}

int
record_decode_first(struct record *r, const uint8_t *buf, size_t len)
{
	uint64_t body;
	size_t whole;
	int head, err;

	memset(r, 0, sizeof *r);
	head = head_get(r, &body, buf, len);
	if (head < 0)
		return head;
	whole = (size_t)head + (size_t)body + RECORD_SIG_LEN;
	if (whole > record_max(r->kind) || whole > len)
		return RECORD_E_LENGTH;
	err = body_get(r, buf + head, (size_t)body);
	if (err == RECORD_OK)
		err = check(r);
	if (err != RECORD_OK)
		return err;
	r->raw = (struct frame_bytes){ buf, whole };
	r->signed_part = (struct frame_bytes){ buf, whole - RECORD_SIG_LEN };
	r->signature = buf + whole - RECORD_SIG_LEN;
	return RECORD_OK;
}

int
record_decode(struct record *r, const uint8_t *buf, size_t len)
{
	int err = record_decode_first(r, buf, len);

	return err == RECORD_OK && r->raw.len != len ? RECORD_E_TRAILING : err;
}

/* The fields of r's kind, in the order of their tags. */
static void
body_put(struct tlv_writer *w, const struct record *r)
{
	unsigned allowed = kinds[r->kind].required;

	tlv_put(w, TAG_ISSUER, r->issuer, RECORD_KEY_LEN);
	tlv_put(w, TAG_SUBJECT, r->subject, RECORD_KEY_LEN);
	tlv_put_uint(w, TAG_SERIAL, r->serial);
	tlv_put_uint(w, TAG_NOT_BEFORE, r->not_before);
	tlv_put_uint(w, TAG_NOT_AFTER, r->not_after);
	if (allowed & BIT(TAG_NAME))
		tlv_put(w, TAG_NAME, r->name, strnlen(r->name, sizeof r->name));
	if (r->kind == RECORD_MEMBERSHIP) {
		tlv_put(w, TAG_TENANT, r->tenant, strnlen(r->tenant, sizeof r->tenant));
		tlv_put_uint(w, TAG_ROLES, r->roles);
		tlv_put_uint(w, TAG_TIER, r->tier);
		prefixes_put(w, r);
	}
	if (r->kind == RECORD_DELEGATION)
		tlv_put_uint(w, TAG_PURPOSE, r->purpose);
	if (r->kind == RECORD_SERVICE)
		tlv_put_uint(w, TAG_CLASS, r->class);
	if (allowed & BIT(TAG_CONTENT))
		tlv_put(w, TAG_CONTENT, r->content.p, r->content.len);
}

/* Reads back what it wrote, so that nothing is signed that decode refuses. */
size_t
record_encode(uint8_t *buf, size_t size, const struct record *r)
{
	struct tlv_writer count, w;
	struct record back = { .kind = r->kind };
	size_t head;

	if (r->kind < RECORD_REQUEST || r->kind >= RECORD_KIND_COUNT)
		return 0;
	tlv_write_init(&count, NULL, record_max(r->kind));
	body_put(&count, r);
	head = HEAD_LEN + varint_len(count.len);
	if (count.failed || head + count.len + RECORD_SIG_LEN > record_max(r->kind))
		return 0;
	tlv_write_init(&w, buf, size);
	field_put_raw(&w, (const uint8_t[]){ 'F', 'R', RECORD_VERSION, (uint8_t)r->kind }, HEAD_LEN);
	field_put_uint(&w, count.len);
	body_put(&w, r);
	if (w.failed || body_get(&back, buf + head, count.len) != RECORD_OK || check(&back) != RECORD_OK)
		return 0;
	return w.len;
}

int
record_revoked_count(const struct record *r)
{
	const struct frame_bytes *c = &r->content;

	if (c->len == 0 || c->len % NODE_ID_LEN != 0)
		return -1;
	for (size_t i = NODE_ID_LEN; i < c->len; i += NODE_ID_LEN)
		if (memcmp(c->p + i - NODE_ID_LEN, c->p + i, NODE_ID_LEN) >= 0)
			return -1;
	return (int)(c->len / NODE_ID_LEN);
}

bool
record_revokes(const struct record *r, const uint8_t *node_id)
{
	size_t low = 0, high = r->content.len / NODE_ID_LEN;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		int c = memcmp(r->content.p + mid * NODE_ID_LEN, node_id, NODE_ID_LEN);

		if (c == 0)
			return true;
		if (c < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return false;
}
