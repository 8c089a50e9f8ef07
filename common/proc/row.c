#include "proc/row.h"

#include <string.h>

#define ROW_STR_MAX 1024

void
row_init(struct row_writer *w)
{
	w->len = 0;
	w->failed = false;
}

static bool
name_ok(const uint8_t *name, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!((name[i] >= 'a' && name[i] <= 'z') || (name[i] >= '0' && name[i] <= '9') ||
		    name[i] == '_'))
			return false;
	return len > 0 && len <= ROW_NAME_MAX;
}

static void
put(struct row_writer *w, const void *p, size_t len)
{
	if (w->failed || len > sizeof(w->buf) - w->len) {
		w->failed = true;
		return;
	}
	if (len > 0)
		memcpy(w->buf + w->len, p, len);
	w->len += len;
}

static void
put_head(struct row_writer *w, const char *name, enum row_type type)
{
	size_t len = strnlen(name, ROW_NAME_MAX + 1);
	uint8_t n = (uint8_t)len, t = (uint8_t)type;

	if (!name_ok((const uint8_t *)name, len))
		w->failed = true;
	put(w, &n, 1);
	put(w, name, len);
	put(w, &t, 1);
}

/* A cut must not leave half a UTF-8 character. */
static size_t
cut(const char *s)
{
	size_t len = strnlen(s, ROW_STR_MAX + 1);

	if (len <= ROW_STR_MAX)
		return len;
	len = ROW_STR_MAX;
	while (len > ROW_STR_MAX - 4 && ((unsigned char)s[len] & 0xc0) == 0x80)
		len--;
	return len;
}

void
row_str(struct row_writer *w, const char *name, const char *value)
{
	size_t len = cut(value);
	uint8_t n[2] = { (uint8_t)(len >> 8), (uint8_t)len };

	put_head(w, name, ROW_STR);
	put(w, n, sizeof(n));
	put(w, value, len);
}

void
row_uint(struct row_writer *w, const char *name, uint64_t value)
{
	uint8_t v[8];

	for (size_t i = sizeof(v); i-- > 0; value >>= 8)
		v[i] = (uint8_t)value;
	put_head(w, name, ROW_UINT);
	put(w, v, sizeof(v));
}

void
row_bool(struct row_writer *w, const char *name, bool value)
{
	uint8_t v = value;

	put_head(w, name, ROW_BOOL);
	put(w, &v, 1);
}

struct cursor {
	const uint8_t *p, *end;
};

/* The next `len` bytes, or NULL. */
static const uint8_t *
take(struct cursor *c, size_t len)
{
	const uint8_t *p = c->p;

	if ((size_t)(c->end - p) < len)
		return NULL;
	c->p += len;
	return p;
}

static uint64_t
big_endian(const uint8_t *p, size_t len)
{
	uint64_t v = 0;

	while (len-- > 0)
		v = v << 8 | *p++;
	return v;
}

static int
read_str(struct cursor *c, struct row_field *f)
{
	const uint8_t *p = take(c, 2);

	if (p == NULL)
		return -1;
	f->str.len = (size_t)big_endian(p, 2);
	if (f->str.len > ROW_STR_MAX || (f->str.p = take(c, f->str.len)) == NULL)
		return -1;
	return 1;
}

static int
read_value(struct cursor *c, struct row_field *f)
{
	size_t len = f->type == ROW_UINT ? 8 : 1;
	const uint8_t *p;

	if (f->type == ROW_STR)
		return read_str(c, f);
	if ((f->type != ROW_UINT && f->type != ROW_BOOL) || (p = take(c, len)) == NULL)
		return -1;
	f->num = big_endian(p, len);
	return f->type == ROW_BOOL && f->num > 1 ? -1 : 1;
}

int
row_next(const struct frame_bytes *row, size_t *off, struct row_field *f)
{
	struct cursor c;
	const uint8_t *p;
	size_t len;

	if (*off >= row->len)
		return *off == row->len ? 0 : -1;
	c = (struct cursor){ row->p + *off, row->p + row->len };
	memset(f, 0, sizeof(*f));
	len = *take(&c, 1);
	p = take(&c, len);
	if (p == NULL || !name_ok(p, len))
		return -1;
	memcpy(f->name, p, len);
	p = take(&c, 1);
	if (p == NULL)
		return -1;
	f->type = (enum row_type)*p;
	if (read_value(&c, f) == -1)
		return -1;
	*off = (size_t)(c.p - row->p);
	return 1;
}
