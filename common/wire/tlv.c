#include "wire/tlv.h"

#include "wire/fields.h"
#include "wire/varint.h"

void
tlv_read_init(struct tlv_reader *r, const uint8_t *p, size_t len)
{
	r->p = p;
	r->end = p + len;
	r->last = 0;
	r->any = false;
}

int
tlv_read(struct tlv_reader *r, struct tlv *t)
{
	struct field_reader f = { r->p, r->end, 0 };

	if (r->p == r->end)
		return 0;
	t->tag = field_uint(&f, 0, VARINT_MAX);
	if (f.err == 0 && r->any && t->tag <= r->last)
		return FRAME_E_TLV_ORDER;
	t->value = field_bytes(&f, 0, SIZE_MAX);
	if (f.err != 0)
		return f.err;
	r->p = f.p;
	r->last = t->tag;
	r->any = true;
	return 1;
}

int
tlv_uint(const struct tlv *t, uint64_t max, uint64_t *v)
{
	struct field_reader f = { t->value.p, t->value.p + t->value.len, 0 };
	uint64_t x = field_uint(&f, 0, max);
	int err = field_end(&f);

	if (err == 0)
		*v = x;
	return err;
}

void
tlv_write_init(struct tlv_writer *w, uint8_t *buf, size_t size)
{
	*w = (struct tlv_writer){ .buf = buf, .size = size };
}

void
tlv_put(struct tlv_writer *w, uint64_t tag, const void *value, size_t len)
{
	if (w->any && tag <= w->last)
		w->failed = true;
	field_put_uint(w, tag);
	field_put_uint(w, len);
	field_put_raw(w, value, len);
	w->last = tag;
	w->any = true;
}

void
tlv_put_uint(struct tlv_writer *w, uint64_t tag, uint64_t v)
{
	uint8_t tmp[VARINT_LEN_MAX];

	if (v > VARINT_MAX)
		w->failed = true;
	else
		tlv_put(w, tag, tmp, (size_t)(varint_put(tmp, v) - tmp));
}
