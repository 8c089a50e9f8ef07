/*
 * The frame codec against its golden vectors (tests/unit/vectors/frame*.txt, written by a second
 * implementation), both ways, cut, changed and at its limits. FABRIC_SEED=n repeats a random run.
 */
#include <sys/mman.h>

#include <check.h>
#include <time.h>

#include "suite.h"
#include "tests/unit/frame_text.h"
#include "wire/varint.h"

static struct vector v;
static struct text want, got;

static int
error_number(const char *name)
{
	static const struct {
		const char	*name;
		int		 err;
	} names[] = {
		{ "VARINT", FRAME_E_VARINT }, { "TYPE", FRAME_E_TYPE }, { "PROC", FRAME_E_PROC },
		{ "TOO_LONG", FRAME_E_TOO_LONG }, { "SHORT", FRAME_E_SHORT }, { "TRAILING", FRAME_E_TRAILING },
		{ "VALUE", FRAME_E_VALUE }, { "TLV_ORDER", FRAME_E_TLV_ORDER },
		{ "TLV_UNKNOWN", FRAME_E_TLV_UNKNOWN }, { "TLV_MISSING", FRAME_E_TLV_MISSING },
		{ "TEXT", FRAME_E_TEXT }, { "NOT_HERE", FRAME_E_NOT_HERE },
	};

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (strcmp(names[i].name, name) == 0)
			return names[i].err;
	errx(1, "error %s?", name);
}

/*
 * Decodes from a copy of exactly `len` bytes, with both decoders, which must agree. Whatever is accepted must
 * be encoded to the same bytes. `f` points into *keep, which the caller frees.
 */
static int
decode(struct frame *f, uint8_t **keep, const uint8_t *p, size_t len, const struct frame_limits *lim)
{
	uint8_t *in = exact_copy(p, len), *out;
	struct frame_data d;
	size_t used = 0;
	int rv = frame_decode(f, in, len, lim);
	int rv_data = frame_decode_data(&d, &used, in, len, lim);

	*keep = in;
	if (len == 0 || frame_type_is_data(in[0]))
		ck_assert_int_eq(rv_data, rv);
	else
		ck_assert(rv_data == FRAME_E_TYPE || rv_data == FRAME_E_VARINT || rv_data == FRAME_MORE);
	if (rv != FRAME_OK)
		return rv;
	ck_assert(f->raw.p == in && f->raw.len <= len);
	if (frame_type_is_data(f->type)) {
		ck_assert_uint_eq(used, f->raw.len);
		ck_assert(d.stream_id == f->data.stream_id && d.seq == f->data.seq && d.flags == f->data.flags &&
		    d.frag_offset == f->data.frag_offset && d.payload == f->data.payload &&
		    d.payload_len == f->data.payload_len);
	}
	if (!f->params_skipped) {
		out = exact_copy(in, f->raw.len);
		memset(out, 0x55, f->raw.len);
		ck_assert_uint_eq(frame_encode(out, f->raw.len, f, lim->port), f->raw.len);
		ck_assert_mem_eq(out, in, f->raw.len);
		ck_assert_uint_eq(frame_encode(out, f->raw.len - 1, f, lim->port), 0);
		free(out);
	}
	return rv;
}

static int
decode_only(const uint8_t *p, size_t len, const struct frame_limits *lim)
{
	struct frame f;
	uint8_t *keep;
	int rv = decode(&f, &keep, p, len, lim);

	free(keep);
	return rv;
}

static FILE *fp;

static void
open_good(void)
{
	fp = vectors_open("frame.txt");
}

static void
open_refused(void)
{
	fp = vectors_open("frame-refused.txt");
}

static void
close_vectors(void)
{
	fclose(fp);
}

START_TEST(bytes_to_fields)
{
	uint64_t types = 0;
	struct frame f;
	uint8_t *keep;

	for (; vector_next(&v, fp); vector_free(&v)) {
		ck_assert_msg(decode(&f, &keep, v.bytes, v.len, &v.lim) == FRAME_OK, "%s", v.name);
		ck_assert_uint_eq(f.raw.len, v.len);
		frame_to_text(&got, &f);
		vector_text(&want, &v);
		ck_assert_str_eq(got.buf, want.buf);
		types |= f.type < 64 ? 1ull << f.type : 0;
		free(keep);
	}
	for (uint64_t type = 0; type < 64; type++)
		ck_assert_msg((types >> type & 1) == (strcmp(frame_type_name(type), "unknown") != 0),
		    "type %#lx has no vector", type);
}
END_TEST

START_TEST(fields_to_bytes)
{
	struct frame f;
	uint8_t *out;

	for (; vector_next(&v, fp); vector_free(&v)) {
		if (vector_get(&v, "params_skipped") != NULL)
			continue;
		frame_from_vector(&f, &v);
		out = malloc(v.len);
		ck_assert_msg(frame_encode(out, v.len, &f, v.lim.port) == v.len, "%s", v.name);
		ck_assert_mem_eq(out, v.bytes, v.len);
		free(out);
	}
}
END_TEST

START_TEST(truncated_at_every_byte)
{
	for (; vector_next(&v, fp); vector_free(&v))
		for (size_t len = 0; len < v.len; len++)
			ck_assert_msg(decode_only(v.bytes, len, &v.lim) == FRAME_MORE, "%s at %zu", v.name, len);
}
END_TEST

START_TEST(refused)
{
	unsigned seen = 0;

	for (; vector_next(&v, fp); vector_free(&v)) {
		int err = error_number(vector_get(&v, "error"));
		int rv = decode_only(v.bytes, v.len, &v.lim);

		ck_assert_msg(rv == err, "%s: %s", v.name, frame_strerror(rv));
		seen |= 1u << -err;
	}
	for (int err = FRAME_E_VARINT; err >= FRAME_E_NOT_HERE; err--)
		ck_assert_msg(seen >> -err & 1, "no vector for: %s", frame_strerror(err));
}
END_TEST

START_TEST(refused_and_truncated)
{
	for (; vector_next(&v, fp); vector_free(&v))
		for (size_t len = 0; len < v.len; len++)
			ck_assert_msg(decode_only(v.bytes, len, &v.lim) <= 0, "%s at %zu", v.name, len);
}
END_TEST

/* The frame with its body cut or lengthened, and a length that says so. */
static size_t
with_body(uint8_t *out, const struct frame *f, size_t body_len)
{
	uint8_t *p = varint_put(varint_put(out, f->type), body_len);
	size_t n = body_len < f->body.len ? body_len : f->body.len;

	memcpy(p, f->body.p, n);
	memset(p + n, 0, body_len - n);
	return (size_t)(p - out) + body_len;
}

START_TEST(body_of_another_length)
{
	static uint8_t out[VECTOR_BYTES_MAX];
	struct frame f;

	for (; vector_next(&v, fp); vector_free(&v)) {
		ck_assert_int_eq(frame_decode(&f, v.bytes, v.len, &v.lim), FRAME_OK);
		for (size_t len = 0; len < f.body.len + 4; len++) {
			size_t n = with_body(out, &f, len);

			ck_assert_msg(decode_only(out, n, &v.lim) != FRAME_MORE, "%s with %zu", v.name, len);
		}
	}
}
END_TEST

START_TEST(every_bit_flipped)
{
	for (; vector_next(&v, fp); vector_free(&v))
		for (size_t bit = 0; bit < v.len * 8 && bit < 4096; bit++) {
			v.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
			decode_only(v.bytes, v.len, &v.lim);
			v.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
		}
}
END_TEST

START_TEST(one_after_the_other)
{
	static uint8_t all[1 << 17];
	const struct frame_limits lim = { FRAME_PORT_PROC, FRAME_MAX_DEFAULT };
	size_t len = 0, frames = 0, at = 0;
	struct frame f;

	for (; vector_next(&v, fp); vector_free(&v), frames++) {
		memcpy(all + len, v.bytes, v.len);
		len += v.len;
	}
	for (; at < len; at += f.raw.len, frames--)
		ck_assert_int_eq(frame_decode(&f, all + at, len - at, &lim), FRAME_OK);
	ck_assert(at == len && frames == 0);
}
END_TEST

/* A frame of exactly `whole` bytes; only type and length matter, the rest is 1. */
static size_t
frame_of(uint8_t *out, uint64_t type, size_t whole)
{
	size_t body = whole - varint_len(type) - 1;
	uint8_t *p;

	while (varint_len(type) + varint_len(body) + body > whole)
		body--;
	p = varint_put(varint_put(out, type), body);
	ck_assert_uint_eq((size_t)(p - out) + body, whole);
	memset(p, 1, body);
	return whole;
}

static const struct {
	uint64_t	type;
	enum frame_port	port;
	uint32_t	max_frame;
	size_t		longest;	/* this is accepted, one more is not */
} limits[] = {
	{ FT_DATA, FRAME_PORT_STREAM, FRAME_MAX_DEFAULT, FRAME_MAX_DEFAULT },
	{ FT_DATA, FRAME_PORT_STREAM, FRAME_MAX_MIN, FRAME_MAX_MIN },
	{ FT_DATA, FRAME_PORT_STREAM, 100, 100 },
	{ FT_DATA, FRAME_PORT_STREAM, UINT32_MAX, FRAME_MAX_CEILING },
	{ FT_DATA_U, FRAME_PORT_STREAM, UINT32_MAX, FRAME_MAX_CEILING },
	{ FT_DATA_U, FRAME_PORT_DATAGRAM, 1200, 1200 },
	{ FT_DATA_U, FRAME_PORT_DATAGRAM, UINT32_MAX, FRAME_DATAGRAM_CEILING },
	{ FT_DATA, FRAME_PORT_PROC, UINT32_MAX, FRAME_MAX_CEILING },
	{ FT_SKIP_FIRST, FRAME_PORT_STREAM, UINT32_MAX, FRAME_CONTROL_MAX },
	{ FT_SKIP_LAST, FRAME_PORT_STREAM, 1000, 1000 },
	{ FT_PROC_FIRST, FRAME_PORT_PROC, UINT32_MAX, FRAME_MAX_CEILING },
	{ FT_PROC_LAST, FRAME_PORT_PROC, FRAME_MAX_DEFAULT, FRAME_MAX_DEFAULT },
};

START_TEST(length_limits)
{
	const struct frame_limits lim = { limits[_i].port, limits[_i].max_frame };
	static uint8_t out[FRAME_MAX_CEILING + 8];
	size_t n;

	for (size_t whole = limits[_i].longest - 1; whole <= limits[_i].longest; whole++) {
		n = frame_of(out, limits[_i].type, whole);
		ck_assert_int_eq(decode_only(out, n, &lim), FRAME_OK);
	}
	n = frame_of(out, limits[_i].type, limits[_i].longest + 1);
	ck_assert_int_eq(decode_only(out, n, &lim), FRAME_E_TOO_LONG);
	ck_assert_msg(decode_only(out, n - limits[_i].longest + 16, &lim) == FRAME_E_TOO_LONG, "only when whole");
}
END_TEST

static uint8_t filler[8192];

/* Fields of bytes at their longest, and one longer. */
static size_t
encode_with(uint64_t type, struct frame_bytes a, struct frame_bytes b)
{
	static uint8_t out[FRAME_CONTROL_MAX];
	struct frame f = { .type = type };

	switch (type) {
	case FT_AUTH:
		f.auth = (struct frame_auth){ a, b, filler };
		break;
	case FT_OPEN_STREAM:
		f.open = (struct frame_open_stream){ .stream_id = 1, .service = a, .noise = b };
		break;
	case FT_RESET_STREAM:
		f.reset = (struct frame_reset_stream){ .stream_id = 1, .text = a };
		break;
	case FT_GOAWAY:
		f.goaway = (struct frame_goaway){ .text = a };
		break;
	default:
		f.route_update.records = a;
	}
	return frame_encode(out, sizeof out, &f, FRAME_PORT_STREAM);
}

START_TEST(field_limits)
{
	static const struct {
		uint64_t	type;
		size_t		a, b;
		bool		ok;
	} t[] = {
		{ FT_AUTH, FRAME_RECORD_MAX, FRAME_RECORD_MAX, true },
		{ FT_AUTH, FRAME_RECORD_MAX + 1, 1, false },
		{ FT_AUTH, 1, FRAME_RECORD_MAX + 1, false },
		{ FT_AUTH, 0, 1, false }, { FT_AUTH, 1, 0, false },
		{ FT_OPEN_STREAM, FRAME_SERVICE_MAX, FRAME_NOISE_MAX, true },
		{ FT_OPEN_STREAM, FRAME_SERVICE_MAX + 1, 0, false },
		{ FT_OPEN_STREAM, 1, FRAME_NOISE_MAX + 1, false },
		{ FT_OPEN_STREAM, 0, 1, false },
		{ FT_RESET_STREAM, FRAME_REASON_MAX, 0, true },
		{ FT_RESET_STREAM, FRAME_REASON_MAX + 1, 0, false },
		{ FT_GOAWAY, FRAME_REASON_MAX, 0, true },
		{ FT_GOAWAY, FRAME_REASON_MAX + 1, 0, false },
		{ FT_ROUTE_UPDATE, 1, 0, true }, { FT_ROUTE_UPDATE, 0, 0, true },
	};

	memset(filler, 'a', sizeof filler);
	for (size_t i = 0; i < sizeof t / sizeof t[0]; i++)
		ck_assert_msg((encode_with(t[i].type, (struct frame_bytes){ filler, t[i].a },
		    (struct frame_bytes){ filler, t[i].b }) != 0) == t[i].ok, "row %zu", i);
}
END_TEST

/* A route update that fills the longest control frame, and one byte more. */
START_TEST(control_limit)
{
	static uint8_t out[FRAME_MAX_CEILING], records[FRAME_CONTROL_MAX];
	const size_t most = FRAME_CONTROL_MAX - 3 - 3;
	struct frame f = { .type = FT_ROUTE_UPDATE, .route_update = { { records, most } } };

	ck_assert_uint_eq(frame_encode(out, sizeof out, &f, FRAME_PORT_STREAM), FRAME_CONTROL_MAX);
	f.route_update.records.len++;
	ck_assert_uint_eq(frame_encode(out, sizeof out, &f, FRAME_PORT_STREAM), 0);
}
END_TEST

START_TEST(ports)
{
	static const enum frame_port all[] = { FRAME_PORT_STREAM, FRAME_PORT_DATAGRAM, FRAME_PORT_PROC };
	static uint8_t out[VECTOR_BYTES_MAX];
	struct frame f;
	uint8_t *keep;

	for (; vector_next(&v, fp); vector_free(&v)) {
		ck_assert_int_eq(decode(&f, &keep, v.bytes, v.len, &v.lim), FRAME_OK);
		for (int i = 0; i < 3; i++) {	/* what one port refuses to read, it refuses to write */
			struct frame_limits lim = { all[i], FRAME_MAX_DEFAULT };
			int rv = decode_only(v.bytes, v.len, &lim);
			size_t n = frame_encode(out, sizeof out, &f, all[i]);

			ck_assert_msg((rv == FRAME_OK) == (n != 0), "%s at port %d", v.name, i);
		}
		free(keep);
	}
}
END_TEST

/* --- random frames ------------------------------------------------------------ */

static uint64_t random_state;

static uint64_t
random_u64(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state * 0x2545f4914f6cdd1dull;
}

static void
random_seed(void)
{
	const char *s = getenv("FABRIC_SEED");

	random_state = s != NULL ? strtoull(s, NULL, 10) : (uint64_t)time(NULL) | 1;
	if (random_state == 0)
		random_state = 1;
	printf("FABRIC_SEED=%lu\n", random_state);
	fflush(stdout);
}

/* Any width, and often next to a power of two, where limits are. */
static uint64_t
random_number(void)
{
	uint64_t x = random_u64() >> random_u64() % 64;

	if (random_u64() % 3 == 0)
		x = (1ull << random_u64() % 64) - random_u64() % 2;
	return x;
}

static void
random_field(struct frame *f, const struct field *fd)
{
	struct frame_bytes *b = (struct frame_bytes *)((uint8_t *)f + fd->offset);

	switch (fd->kind) {
	case F_UINT:
	case F_UINT_OPT:
		uint_store((uint8_t *)f + fd->offset, fd->size, random_number());
		break;
	case F_BYTES:
	case F_TEXT:
		b->p = filler;
		b->len = random_u64() % 4 == 0 ? 0 : random_u64() % 130;
		break;
	case F_PAYLOAD:
		f->data.payload = filler;
		f->data.payload_len = random_u64() % 2 == 0 ? random_u64() % 6 * 256 : random_u64() % 2000;
		break;
	case F_VERSIONS:
		f->hello.nversions = (uint8_t)(random_u64() % 10);
		for (int i = 0; i < FRAME_VERSIONS_MAX; i++)
			f->hello.versions[i] = (uint32_t)random_number();
		break;
	case F_RAW:
		break;
	}
}

/* A frame whose fields were changed at random is either not encoded, or comes back as it was. */
static bool
comes_back(const struct frame *f, enum frame_port port)
{
	const struct frame_limits lim = { port, FRAME_MAX_CEILING };
	static uint8_t out[FRAME_CONTROL_MAX];
	struct frame sent = *f, back;
	uint8_t *keep;
	size_t n = frame_encode(out, sizeof out, f, port);

	if (n == 0)
		return false;
	ck_assert_int_eq(decode(&back, &keep, out, n, &lim), FRAME_OK);
	if (frame_type_is_data(f->type) && f->type != FT_DATA)
		sent.data.seq &= UINT32_MAX;
	sent.skipped = back.skipped;
	frame_to_text(&want, &sent);
	frame_to_text(&got, &back);
	ck_assert_str_eq(got.buf, want.buf);
	free(keep);
	return true;
}

START_TEST(random_round_trips)
{
	size_t encoded = 0, tried = 0;

	random_seed();
	memset(filler, 'a', sizeof filler);
	for (; vector_next(&v, fp); vector_free(&v)) {
		const struct field *fields;
		size_t nfields = 0;
		struct frame base;

		if (vector_get(&v, "params_skipped") != NULL)
			continue;
		frame_from_vector(&base, &v);
		fields = fields_of(base.type);
		while (fields[nfields].name != NULL)
			nfields++;
		for (int i = 0; i < 1000; i++, tried++) {
			struct frame f = base;

			for (uint64_t k = random_u64() % 3 + 1; k > 0; k--)
				random_field(&f, &fields[random_u64() % nfields]);
			encoded += comes_back(&f, v.lim.port);
		}
	}
	ck_assert_msg(encoded > tried / 5, "only %zu of %zu were encoded", encoded, tried);
	ck_assert_msg(encoded < tried, "nothing was refused");
}
END_TEST

START_TEST(random_bytes)
{
	uint8_t buf[64];

	random_seed();
	for (int i = 0; i < 300000; i++) {
		struct frame_limits lim = { random_u64() % 3, FRAME_MAX_DEFAULT };
		size_t len = random_u64() % sizeof buf;

		for (size_t k = 0; k < len; k++)
			buf[k] = (uint8_t)random_u64() >> random_u64() % 8;
		if (len > 2) {
			buf[0] &= 0x1f;
			buf[1] = (uint8_t)(random_u64() % len);
		}
		decode_only(buf, len, &lim);
	}
}
END_TEST

/* --- DATA --------------------------------------------------------------------- */

/* A header right before memory that cannot be read, which is where its payload lies. */
static uint8_t *
before_the_wall(const uint8_t *hdr, size_t len, size_t payload_len)
{
	size_t wall = (payload_len + 8191) / 4096 * 4096;
	uint8_t *p = mmap(NULL, 4096 + wall, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ck_assert_ptr_ne(p, MAP_FAILED);
	memcpy(p + 4096 - len, hdr, len);
	ck_assert_int_eq(mprotect(p + 4096, wall, PROT_NONE), 0);
	return p + 4096 - len;
}

START_TEST(payload_is_not_read)
{
	static const uint8_t flags[] = { 0, DATA_UNRELIABLE, DATA_UNRELIABLE | DATA_FRAGMENT,
		DATA_UNRELIABLE | DATA_FRAGMENT | DATA_LAST };
	const struct frame_limits lim = { FRAME_PORT_STREAM, FRAME_MAX_CEILING };

	for (size_t i = 0; i < sizeof flags; i++) {
		for (size_t payload = 256; payload <= 65024; payload += 256) {
			struct frame_data d = { .stream_id = 77, .seq = 99, .flags = flags[i],
				.frag_offset = flags[i] & DATA_LAST ? 256 : 0, .payload_len = payload }, e;
			uint8_t hdr[FRAME_HEADER_MAX + 24], again[FRAME_HEADER_MAX + 24], *at;
			size_t n = frame_encode_data_header(hdr, sizeof hdr, &d), used;
			struct frame f;

			ck_assert_uint_ne(n, 0);
			at = before_the_wall(hdr, n, payload);
			ck_assert_int_eq(frame_decode_data(&e, &used, at, n + payload, &lim), FRAME_OK);
			ck_assert(used == n + payload && e.payload == at + n && e.payload_len == payload);
			ck_assert_int_eq(frame_decode(&f, at, n + payload, &lim), FRAME_OK);
			ck_assert_uint_ne(frame_data_rewrite(again, &e, 5), 0);
			ck_assert_uint_eq(frame_encode(at, n + payload, &f, FRAME_PORT_STREAM), n + payload);
			munmap((void *)((uintptr_t)at / 4096 * 4096), 4096 + (payload + 8191) / 4096 * 4096);
		}
	}
}
END_TEST

START_TEST(header_lengths)
{
	uint8_t hdr[FRAME_HEADER_MAX + 24];
	struct frame_data d = { .stream_id = FRAME_DATAGRAM_STREAM_MAX, .seq = UINT64_MAX, .flags = DATA_UNRELIABLE };

	ck_assert_msg(frame_encode_data_header(hdr, sizeof hdr, &d) == 0, "no payload");
	for (d.payload_len = 1; d.payload_len < 16384 - 9; d.payload_len++) {
		size_t n = frame_encode_data_header(hdr, FRAME_DATA_OVERHEAD, &d);

		ck_assert(n != 0 && n == frame_data_header_len(&d));
		ck_assert_uint_eq(frame_encode_data_header(hdr, n - 1, &d), 0);
	}
	d.flags = DATA_UNRELIABLE | DATA_FRAGMENT | DATA_LAST;
	d.frag_offset = 65280 - DATA_FRAGMENT_UNIT * 64;
	for (d.payload_len = 1; d.payload_len < 16384 - 9; d.payload_len++)
		ck_assert_uint_le(frame_encode_data_header(hdr, sizeof hdr, &d), FRAME_DATA_OVERHEAD);
}
END_TEST

static bool
header_ok(struct frame_data d)
{
	uint8_t hdr[FRAME_HEADER_MAX + 24];

	return frame_encode_data_header(hdr, sizeof hdr, &d) != 0;
}

START_TEST(header_refuses)
{
	const struct frame_data good = { .stream_id = 2, .seq = 1, .payload_len = 256 };
	struct frame_data d = good;

	ck_assert(header_ok(d));
	for (unsigned flags = 0; flags < 256; flags++) {
		d = good;
		d.flags = (uint8_t)flags;
		d.frag_offset = flags & DATA_LAST ? 256 : 0;
		ck_assert_int_eq(header_ok(d), flags == 0 || flags == 1 || flags == 3 || flags == 7);
	}
	d = good;
	d.stream_id = 0;
	ck_assert(!header_ok(d));
	d.stream_id = VARINT_MAX + 1;
	ck_assert(!header_ok(d));
	d.stream_id = VARINT_MAX;
	ck_assert(header_ok(d));
	d.seq = VARINT_MAX - d.payload_len;
	ck_assert(header_ok(d));
	d.seq++;
	ck_assert(!header_ok(d));
	d = good;
	d.frag_offset = 256;
	ck_assert_msg(!header_ok(d), "an offset without the flag");
	d = good;
	d.flags = DATA_UNRELIABLE | DATA_FRAGMENT;
	d.frag_offset = 1;
	ck_assert(!header_ok(d));
	d = good;
	d.payload_len = SIZE_MAX - 3;
	ck_assert(!header_ok(d));
	d.payload_len = FRAME_MAX_CEILING - 7;	/* type, 4 of length, id, seq */
	ck_assert(header_ok(d));
	d.payload_len++;
	ck_assert(!header_ok(d));
}
END_TEST

START_TEST(rewrite_stream_id)
{
	static const uint64_t ids[] = { 1, 63, 64, 16383, 16384, FRAME_DATAGRAM_STREAM_MAX,
		FRAME_DATAGRAM_STREAM_MAX + 1, VARINT_MAX, VARINT_MAX + 1, 0 };
	const struct frame_limits lim = { FRAME_PORT_STREAM, FRAME_MAX_DEFAULT };
	uint8_t out[FRAME_HEADER_MAX + 24 + 1024];
	struct frame f, g;

	for (; vector_next(&v, fp); vector_free(&v)) {
		ck_assert_int_eq(frame_decode(&f, v.bytes, v.len, &v.lim), FRAME_OK);
		if (!frame_type_is_data(f.type) || f.data.payload_len == 0)
			continue;
		for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
			uint64_t max = f.type == FT_DATA ? VARINT_MAX : FRAME_DATAGRAM_STREAM_MAX;
			size_t n = frame_data_rewrite(out, &f.data, ids[i]);

			ck_assert_int_eq(n != 0, ids[i] != 0 && ids[i] <= max);
			if (n == 0)
				continue;
			memcpy(out + n, f.data.payload, f.data.payload_len);
			ck_assert_int_eq(frame_decode(&g, out, n + f.data.payload_len, &lim), FRAME_OK);
			ck_assert_uint_eq(g.data.stream_id, ids[i]);
			g.data.stream_id = f.data.stream_id;
			frame_to_text(&got, &g);
			frame_to_text(&want, &f);
			ck_assert_str_eq(got.buf, want.buf);
		}
	}
}
END_TEST

/* --- names -------------------------------------------------------------------- */

START_TEST(names)
{
	for (int err = FRAME_OK; err >= FRAME_E_NOT_HERE; err--)
		ck_assert_str_ne(frame_strerror(err), "unknown");
	ck_assert_str_eq(frame_strerror(2), "unknown");
	ck_assert_str_eq(frame_strerror(FRAME_E_NOT_HERE - 1), "unknown");
	ck_assert_str_eq(frame_strerror(INT32_MIN), "unknown");
	for (uint64_t r = 0; r < REASON_COUNT; r++)
		ck_assert_str_ne(reason_name(r), "unknown");
	ck_assert_str_eq(reason_name(REASON_COUNT), "unknown");
	ck_assert_str_eq(reason_name(UINT64_MAX), "unknown");
	for (unsigned c = 0; c < CLASS_COUNT; c++)
		ck_assert_int_eq(class_parse(class_name(c)), (int)c);
	ck_assert_int_eq(class_parse("unknown"), -1);
	ck_assert_str_eq(class_name(CLASS_COUNT), "unknown");
	ck_assert_str_eq(frame_type_name(0), "unknown");
	ck_assert_str_eq(frame_type_name(FT_PROC_FIRST), "unknown");
	ck_assert_str_eq(frame_type_name(FT_DATA_UFL), "DATA");
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("frame");
	TCase *good = tcase_create("good"), *bad = tcase_create("refused"), *rest = tcase_create("rest");

	tcase_set_timeout(good, 60);
	tcase_set_timeout(rest, 60);
	tcase_add_checked_fixture(good, open_good, close_vectors);
	tcase_add_test(good, bytes_to_fields);
	tcase_add_test(good, fields_to_bytes);
	tcase_add_test(good, truncated_at_every_byte);
	tcase_add_test(good, body_of_another_length);
	tcase_add_test(good, every_bit_flipped);
	tcase_add_test(good, one_after_the_other);
	tcase_add_test(good, ports);
	tcase_add_test(good, random_round_trips);
	tcase_add_test(good, rewrite_stream_id);
	tcase_add_checked_fixture(bad, open_refused, close_vectors);
	tcase_add_test(bad, refused);
	tcase_add_test(bad, refused_and_truncated);
	tcase_add_loop_test(rest, length_limits, 0, sizeof limits / sizeof limits[0]);
	tcase_add_test(rest, field_limits);
	tcase_add_test(rest, control_limit);
	tcase_add_test(rest, random_bytes);
	tcase_add_test(rest, payload_is_not_read);
	tcase_add_test(rest, header_lengths);
	tcase_add_test(rest, header_refuses);
	tcase_add_test(rest, names);
	suite_add_tcase(s, good);
	suite_add_tcase(s, bad);
	suite_add_tcase(s, rest);
	return suite_run(s);
}
