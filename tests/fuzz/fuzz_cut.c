/*
 * The frames of a stream's own channel, cut from bytes that come in any pieces. Input: a length, that many lengths of
 * pieces, then the bytes. However they are cut the same is said, and of whole frames it is what frame_decode() says.
 */
#include <stdlib.h>
#include <string.h>

#include "fabric/cut.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define HOLDS(x) do { if (!(x)) abort(); } while (0)
#define LOG_MAX (1u << 20)
#define MAX_FRAME FRAME_MAX_MIN

/* What was said: of DATA each byte with where it is from, of another frame all its bytes. */
struct said {
	uint8_t p[LOG_MAX];
	size_t	len;
};

static struct said whole, pieces, decoded;

static void
say(struct said *s, const void *p, size_t len)
{
	HOLDS(s->len + len <= LOG_MAX);
	memcpy(s->p + s->len, p, len);
	s->len += len;
}

static void
say_frame(struct said *s, const struct frame *f)
{
	if (f->type != FT_DATA) {
		say(s, f->raw.p, f->raw.len);
		return;
	}
	HOLDS(f->data.payload_len > 0);
	for (size_t i = 0; i < f->data.payload_len; i++) {
		uint64_t at[2] = { f->data.stream_id, f->data.seq + i };

		say(s, at, sizeof(at));
		say(s, f->data.payload + i, 1);
	}
}

static int
cut_all(struct said *s, struct cut *c, const uint8_t *p, size_t len)
{
	struct frame f;
	int rv;

	while ((rv = cut_next(c, &f, &p, &len, MAX_FRAME)) == FRAME_OK)
		say_frame(s, &f);
	HOLDS(rv < 0 || len == 0);
	return rv;
}

static int
cut_in_pieces(const uint8_t *lens, size_t n, const uint8_t *p, size_t len)
{
	struct cut c;
	int rv = FRAME_MORE;

	cut_init(&c);
	for (size_t i = 0; len > 0 && rv == FRAME_MORE; i++) {
		size_t k = n == 0 ? len : lens[i % n] + (size_t)1;

		if (k > len)
			k = len;
		rv = cut_all(&pieces, &c, p, k);
		p += k;
		len -= k;
	}
	cut_free(&c);
	return rv;
}

static void
decode_all(const uint8_t *p, size_t len)
{
	static const struct frame_limits lim = { FRAME_PORT_STREAM, MAX_FRAME };
	struct frame f;

	while (frame_decode(&f, p, len, &lim) == FRAME_OK) {
		bool data = frame_type_is_data(f.type);

		/* What a stream's channel does not carry. */
		if ((data && f.type != FT_DATA) || (!data && !f.skipped && f.raw.len > CUT_FRAME_MAX))
			break;
		if (!f.skipped)
			say_frame(&decoded, &f);
		p += f.raw.len;
		len -= f.raw.len;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *lens;
	struct cut c;
	uint64_t id;
	size_t n;
	int one, many;

	if (size == 0 || size > LOG_MAX / 64)
		return 0;
	n = data[0] % 16;
	if (n > size - 1)
		n = size - 1;
	lens = data + 1;
	data += 1 + n;
	size -= 1 + n;
	whole.len = pieces.len = decoded.len = 0;
	cut_init(&c);
	one = cut_all(&whole, &c, data, size);
	HOLDS(one < 0 || c.left > 0 || c.in_len > 0 || cut_between(&c));
	cut_free(&c);
	many = cut_in_pieces(lens, n, data, size);
	HOLDS((one < 0) == (many < 0));
	HOLDS(whole.len == pieces.len && memcmp(whole.p, pieces.p, whole.len) == 0);
	decode_all(data, size);
	HOLDS(decoded.len <= whole.len && memcmp(whole.p, decoded.p, decoded.len) == 0);
	if (cut_peek(&id, data, size) == FRAME_OK && whole.len >= sizeof(id) && data[0] == FT_DATA)
		HOLDS(memcmp(whole.p, &id, sizeof(id)) == 0);
	return 0;
}
