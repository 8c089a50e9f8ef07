/*
 * The frame decoder. Input: one byte that selects port and limit, then frames one after the other.
 * What is decoded must be encoded to the same bytes, and both decoders must agree on every input.
 */
#include <stdlib.h>
#include <string.h>

#include "wire/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define HOLDS(x) do { if (!(x)) abort(); } while (0)

static void
agree(const struct frame *f, int rv, const uint8_t *p, size_t len, const struct frame_limits *lim)
{
	struct frame_data d;
	size_t used;
	int rv_data = frame_decode_data(&d, &used, p, len, lim);

	if (len > 0 && !frame_type_is_data(p[0])) {
		HOLDS(rv_data == FRAME_E_TYPE || rv_data == FRAME_E_VARINT || rv_data == FRAME_MORE);
		HOLDS(rv_data == FRAME_E_TYPE || rv_data == rv);
		return;
	}
	HOLDS(rv_data == rv);
	if (rv != FRAME_OK)
		return;
	HOLDS(used == f->raw.len && d.stream_id == f->data.stream_id && d.seq == f->data.seq);
	HOLDS(d.flags == f->data.flags && d.frag_offset == f->data.frag_offset);
	HOLDS(d.payload == f->data.payload && d.payload_len == f->data.payload_len);
	HOLDS(d.payload >= p && d.payload + d.payload_len == p + used);
}

static void
canonical(const struct frame *f, const struct frame_limits *lim)
{
	uint8_t *out = malloc(f->raw.len);

	HOLDS(out != NULL);
	HOLDS(frame_encode(out, f->raw.len, f, lim->port) == f->raw.len);
	HOLDS(memcmp(out, f->raw.p, f->raw.len) == 0);
	HOLDS(frame_encode(out, f->raw.len - 1, f, lim->port) == 0);
	free(out);
}

static void
rewritten(const struct frame *f)
{
	uint8_t hdr[FRAME_HEADER_MAX + 24];
	struct frame_data d;
	size_t n = frame_data_rewrite(hdr, &f->data, f->data.stream_id);

	HOLDS(f->data.payload_len == 0 ? n == 0 : n == f->raw.len - f->data.payload_len);
	HOLDS(memcmp(hdr, f->raw.p, n) == 0);
	d = f->data;
	HOLDS(n == 0 || frame_data_header_len(&d) == n);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint32_t max[] = { FRAME_MAX_DEFAULT, 100, UINT32_MAX, FRAME_MAX_MIN };
	struct frame_limits lim;
	struct frame f;
	int rv;

	if (size == 0)
		return 0;
	lim.port = data[0] % 3;
	lim.max_frame = max[data[0] / 3 % 4];
	data++;
	size--;
	while ((rv = frame_decode(&f, data, size, &lim)) == FRAME_OK) {
		agree(&f, rv, data, size, &lim);
		HOLDS(f.raw.p == data && f.raw.len > 0 && f.raw.len <= size);
		if (!f.params_skipped)
			canonical(&f, &lim);
		if (frame_type_is_data(f.type))
			rewritten(&f);
		data += f.raw.len;
		size -= f.raw.len;
	}
	agree(&f, rv, data, size, &lim);
	HOLDS(strcmp(frame_strerror(rv), "unknown") != 0);
	return 0;
}
