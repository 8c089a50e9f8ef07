#include "wire/frame.h"

#include <string.h>

#include "wire/frame_body.h"
#include "wire/frame_data.h"
#include "wire/varint.h"

static bool
type_is_skippable(uint64_t type)
{
	return type >= FT_SKIP_FIRST && type <= FT_SKIP_LAST;
}

static bool
type_is_proc(uint64_t type)
{
	return type >= FT_PROC_FIRST && type <= FT_PROC_LAST;
}

/* Whether `port` may carry a type that is not DATA: 0, or why not. */
static int
type_check(uint64_t type, enum frame_port port)
{
	if (frame_body_known(type) || type_is_skippable(type))
		return port == FRAME_PORT_DATAGRAM ? FRAME_E_NOT_HERE : 0;
	if (type_is_proc(type))
		return port == FRAME_PORT_PROC ? 0 : FRAME_E_PROC;
	return FRAME_E_TYPE;
}

/* The longest frame of a type that is not DATA. */
static uint32_t
type_ceiling(uint64_t type)
{
	return type_is_proc(type) ? FRAME_MAX_CEILING : FRAME_CONTROL_MAX;
}

static int
decode_data(struct frame *f, const uint8_t *buf, size_t len, const struct frame_limits *lim)
{
	size_t used;
	int rv = frame_decode_data(&f->data, &used, buf, len, lim);
	uint64_t body;
	size_t hdr;

	if (rv != FRAME_OK)
		return rv;
	hdr = 1 + (size_t)varint_get(&body, buf + 1, used - 1);
	f->type = buf[0];
	f->skipped = f->params_skipped = false;
	f->raw = (struct frame_bytes){ buf, used };
	f->body = (struct frame_bytes){ buf + hdr, used - hdr };
	return FRAME_OK;
}

/* Reads type and length and sets type, raw and body: FRAME_OK, FRAME_MORE or negative. */
static int
header_get(struct frame *f, const uint8_t *buf, size_t len, const struct frame_limits *lim)
{
	uint64_t body;
	uint32_t ceiling;
	size_t hdr;
	int n, err;

	n = varint_get(&f->type, buf, len);
	if (n <= 0)
		return n == 0 ? FRAME_MORE : FRAME_E_VARINT;
	err = type_check(f->type, lim->port);
	if (err != 0)
		return err;
	hdr = (size_t)n;
	n = varint_get(&body, buf + hdr, len - hdr);
	if (n <= 0)
		return n == 0 ? FRAME_MORE : FRAME_E_VARINT;
	hdr += (size_t)n;
	ceiling = type_ceiling(f->type);
	if (lim->max_frame < ceiling)
		ceiling = lim->max_frame;
	if (body + hdr > ceiling)
		return FRAME_E_TOO_LONG;
	if (body > len - hdr)
		return FRAME_MORE;
	f->raw = (struct frame_bytes){ buf, hdr + (size_t)body };
	f->body = (struct frame_bytes){ buf + hdr, (size_t)body };
	return FRAME_OK;
}

int
frame_decode(struct frame *f, const uint8_t *buf, size_t len, const struct frame_limits *lim)
{
	struct field_reader r;
	int rv;

	if (len > 0 && frame_type_is_data(buf[0]))
		return decode_data(f, buf, len, lim);
	rv = header_get(f, buf, len, lim);
	if (rv != FRAME_OK)
		return rv;
	f->skipped = type_is_skippable(f->type);
	f->params_skipped = false;
	if (!frame_body_known(f->type))
		return FRAME_OK;
	field_read_init(&r, f->body.p, f->body.len);
	rv = frame_body_get(f, &r, lim->port);
	return rv == 0 ? FRAME_OK : rv;
}

static size_t
encode_data(uint8_t *buf, size_t size, const struct frame *f, enum frame_port port)
{
	struct frame_data d = f->data;
	size_t hdr;

	d.flags = (uint8_t)(f->type - FT_DATA);
	hdr = frame_data_check(&d, port);
	if (hdr == 0 || hdr > size || d.payload_len > size - hdr)
		return 0;
	frame_data_put(buf, &d);
	if (d.payload_len > 0 && d.payload != buf + hdr)
		memmove(buf + hdr, d.payload, d.payload_len);
	return hdr + d.payload_len;
}

static void
body_put(struct tlv_writer *w, const struct frame *f)
{
	if (frame_body_known(f->type))
		frame_body_put(w, f);
	else
		field_put_raw(w, f->body.p, f->body.len);
}

/* Counts the body, writes the frame, and reads it back: so nothing leaves that decode refuses. */
size_t
frame_encode(uint8_t *buf, size_t size, const struct frame *f, enum frame_port port)
{
	const struct frame_limits lim = { port, FRAME_MAX_CEILING };
	struct tlv_writer count, w;
	struct frame back;

	if (frame_type_is_data(f->type))
		return encode_data(buf, size, f, port);
	if (type_check(f->type, port) != 0)
		return 0;
	tlv_write_init(&count, NULL, type_ceiling(f->type));
	body_put(&count, f);
	if (count.failed)
		return 0;
	tlv_write_init(&w, buf, size);
	field_put_uint(&w, f->type);
	field_put_uint(&w, count.len);
	body_put(&w, f);
	if (w.failed || frame_decode(&back, buf, w.len, &lim) != FRAME_OK)
		return 0;
	return w.len;
}
