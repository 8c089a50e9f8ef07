#include "wire/frame_data.h"

#include "wire/varint.h"

/* What frame_decode() says of a first byte that is not a DATA's: the type may be malformed as well. */
static int
not_data(const uint8_t *buf, size_t len)
{
	uint64_t type;
	int n = varint_get(&type, buf, len);

	return n == 0 ? FRAME_MORE : n < 0 ? FRAME_E_VARINT : FRAME_E_TYPE;
}

/* A fragment's offset and length, both in bytes, against each other. */
static bool
fragment_fits(unsigned flags, size_t offset, size_t len)
{
	if (len == 0)
		return false;
	if (flags & DATA_LAST)
		return offset != 0 && offset + len <= DATA_UNIT_MAX;
	return len % DATA_FRAGMENT_UNIT == 0 && offset + len <= DATA_UNIT_MAX - DATA_FRAGMENT_UNIT;
}

/* Reads an unreliable DATA's sequence and fragment offset; `body` bytes follow the stream id, `len` of them at p. */
static int
unreliable_get(struct frame_data *d, const uint8_t *p, size_t body, size_t len)
{
	size_t need = d->flags & DATA_FRAGMENT ? 5 : 4;

	if (d->stream_id > FRAME_DATAGRAM_STREAM_MAX)
		return FRAME_E_VALUE;
	if (body < need)
		return FRAME_E_SHORT;
	if (len < need)
		return FRAME_MORE;
	d->seq = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
	d->payload = p + need;
	d->payload_len = body - need;
	d->frag_offset = 0;
	if (d->flags & DATA_FRAGMENT) {
		d->frag_offset = (uint16_t)(p[4] * DATA_FRAGMENT_UNIT);
		if (!fragment_fits(d->flags, d->frag_offset, d->payload_len))
			return FRAME_E_VALUE;
	}
	return FRAME_OK;
}

static int
reliable_get(struct frame_data *d, const uint8_t *p, const uint8_t *end)
{
	int n = varint_get(&d->seq, p, (size_t)(end - p));

	if (n <= 0)
		return n == 0 ? FRAME_E_SHORT : FRAME_E_VARINT;
	d->payload = p + n;
	d->payload_len = (size_t)(end - d->payload);
	d->frag_offset = 0;
	return d->payload_len > VARINT_MAX - d->seq ? FRAME_E_VALUE : FRAME_OK;
}

/* Of a DATA whose payload is elsewhere, `bare', only the header has to be in buf. */
static int
data_decode(struct frame_data *d, size_t *used, const uint8_t *buf, size_t len, const struct frame_limits *lim,
    bool bare)
{
	const uint8_t *p = buf;
	size_t here;
	uint64_t body, ceiling = frame_ceiling(lim->port);
	unsigned flags;
	int n, rv;

	if (len == 0)
		return FRAME_MORE;
	flags = *p++ ^ FT_DATA;
	if (!data_flags_known(flags))
		return not_data(buf, len);
	if ((lim->port == FRAME_PORT_DATAGRAM || bare) && !(flags & DATA_UNRELIABLE))
		return FRAME_E_NOT_HERE;
	n = varint_get(&body, p, len - 1);
	if (n <= 0)
		return n == 0 ? FRAME_MORE : FRAME_E_VARINT;
	p += n;
	if (lim->max_frame < ceiling)
		ceiling = lim->max_frame;
	if (body + 1 + (unsigned)n > ceiling)
		return FRAME_E_TOO_LONG;
	here = len - 1 - (unsigned)n;
	if (body > here && !bare)
		return FRAME_MORE;
	if (body < here)
		here = (size_t)body;
	n = varint_get(&d->stream_id, p, here);
	if (n <= 0)
		return n < 0 ? FRAME_E_VARINT : here < body ? FRAME_MORE : FRAME_E_SHORT;
	if (d->stream_id == 0)
		return FRAME_E_VALUE;
	d->flags = (uint8_t)flags;
	rv = flags & DATA_UNRELIABLE ? unreliable_get(d, p + n, (size_t)body - (unsigned)n, here - (unsigned)n) :
	    reliable_get(d, p + n, p + body);
	if (rv != FRAME_OK)
		return rv;
	if (d->payload_len == 0 && lim->port != FRAME_PORT_PROC)
		return FRAME_E_VALUE;
	*used = (size_t)(d->payload - buf) + (bare ? 0 : d->payload_len);
	return FRAME_OK;
}

int
frame_decode_data(struct frame_data *d, size_t *used, const uint8_t *buf, size_t len,
    const struct frame_limits *lim)
{
	return data_decode(d, used, buf, len, lim, false);
}

int
frame_decode_data_header(struct frame_data *d, size_t *used, const uint8_t *buf, size_t len,
    const struct frame_limits *lim)
{
	return data_decode(d, used, buf, len, lim, true);
}

/* The length of what lies between the frame's length and its payload. */
static size_t
data_fields_len(const struct frame_data *d)
{
	if (d->flags & DATA_UNRELIABLE)
		return varint_len(d->stream_id) + 4 + (d->flags & DATA_FRAGMENT ? 1 : 0);
	return varint_len(d->stream_id) + varint_len(d->seq);
}

size_t
frame_data_header_len(const struct frame_data *d)
{
	size_t fields = data_fields_len(d);

	return 1 + varint_len(fields + d->payload_len) + fields;
}

size_t
frame_data_check(const struct frame_data *d, enum frame_port port)
{
	size_t hdr;

	if (!data_flags_known(d->flags) || d->stream_id == 0 || d->payload_len > FRAME_MAX_CEILING)
		return 0;
	if (d->payload_len == 0 && port != FRAME_PORT_PROC)
		return 0;
	if (d->flags & DATA_UNRELIABLE) {
		if (d->stream_id > FRAME_DATAGRAM_STREAM_MAX)
			return 0;
	} else if (port == FRAME_PORT_DATAGRAM || d->stream_id > VARINT_MAX ||
	    d->seq > VARINT_MAX - d->payload_len)
		return 0;
	if (d->flags & DATA_FRAGMENT) {
		if (d->frag_offset % DATA_FRAGMENT_UNIT != 0 ||
		    !fragment_fits(d->flags, d->frag_offset, d->payload_len))
			return 0;
	} else if (d->frag_offset != 0)
		return 0;
	hdr = frame_data_header_len(d);
	return hdr + d->payload_len <= frame_ceiling(port) ? hdr : 0;
}

uint8_t *
frame_data_put(uint8_t *p, const struct frame_data *d)
{
	*p++ = (uint8_t)(FT_DATA | d->flags);
	p = varint_put(p, data_fields_len(d) + d->payload_len);
	p = varint_put(p, d->stream_id);
	if (!(d->flags & DATA_UNRELIABLE))
		return varint_put(p, d->seq);
	for (int shift = 24; shift >= 0; shift -= 8)
		*p++ = (uint8_t)(d->seq >> shift);
	if (d->flags & DATA_FRAGMENT)
		*p++ = (uint8_t)(d->frag_offset / DATA_FRAGMENT_UNIT);
	return p;
}

size_t
frame_encode_data_header(uint8_t *buf, size_t size, const struct frame_data *d)
{
	size_t hdr = frame_data_check(d, FRAME_PORT_STREAM);

	if (hdr == 0 || hdr > size)
		return 0;
	frame_data_put(buf, d);
	return hdr;
}

size_t
frame_data_rewrite(uint8_t *hdr, const struct frame_data *d, uint64_t new_stream_id)
{
	struct frame_data n = *d;

	n.stream_id = new_stream_id;
	return frame_encode_data_header(hdr, FRAME_HEADER_MAX + 24, &n);
}
