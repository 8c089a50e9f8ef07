/* Sealed byte streams: that what goes in comes out however the bytes are cut, and that nothing else does. */
#include <check.h>
#include <malloc.h>
#include <stdio.h>

#include "e2e_world.h"
#include "fabric/e2e_stream.h"
#include "suite.h"

#define MIB (1024u * 1024u)

static struct world w;

/* Both ends of a stream, and what one wrote for the other. */
struct pair {
	struct e2e_stream *a, *b;
	uint8_t	m2[E2E_RECORD_HEADER + E2E_MESSAGE_MAX];
	size_t	m2_len;
};

static void
pair_begin(struct pair *p)
{
	uint8_t m1[E2E_MESSAGE_MAX], m2[E2E_MESSAGE_MAX];
	struct e2e_service s;
	struct e2e_hello hello;
	struct e2e_keys keys;
	struct e2e *a, *b;
	size_t len;

	ck_assert_int_eq(e2e_service_check(&s, w.b.sbuf, w.b.slen, WORLD_NOW), REASON_NONE);
	a = e2e_open(&w.a.self, &s, 0, NULL, 0, m1, &len, WORLD_NOW);
	ck_assert_ptr_nonnull(a);
	ck_assert_int_eq(e2e_accept(&b, &w.b.self, "ssh", 0, NULL, m1, len, WORLD_NOW, &hello), REASON_NONE);
	ck_assert_int_eq(e2e_answer(b, &w.b.self, m2, &len, &keys), 0);
	e2e_free(b);
	p->m2_len = e2e_stream_message_put(p->m2, m2, len);
	p->a = e2e_stream_connect(a, &w.a.self);
	p->b = e2e_stream_accept(&keys, 0);
	ck_assert_ptr_nonnull(p->a);
	ck_assert_ptr_nonnull(p->b);
}

static void
pair_new(struct pair *p)
{
	uint8_t *in = p->m2;
	struct frame_bytes text;

	pair_begin(p);
	ck_assert_int_eq(e2e_stream_open(p->a, &in, &p->m2_len, &text, 0, WORLD_NOW), E2E_STREAM_READY);
	ck_assert_uint_eq(p->m2_len, 0);
}

static void
pair_free(struct pair *p)
{
	e2e_stream_free(p->a);
	e2e_stream_free(p->b);
}

static void
setup(void)
{
	world_init(&w);
}

/* What a receiver made of bytes. */
struct got {
	uint8_t	text[300000];
	size_t	len;
	bool	ready, end, failed;
};

/* Hands over a copy of the bytes, until all are taken or it fails. */
static void
feed(struct e2e_stream *s, struct got *g, const uint8_t *bytes, size_t len)
{
	uint8_t *copy = malloc(len + 1), *in = copy;
	struct frame_bytes text;

	memcpy(copy, bytes, len);
	for (;;) {
		enum e2e_stream_result r = e2e_stream_open(s, &in, &len, &text, 0, WORLD_NOW);

		if (r == E2E_STREAM_READY) {
			g->ready = true;
		} else if (r == E2E_STREAM_TEXT) {
			ck_assert_uint_gt(text.len, 0);
			ck_assert_uint_le(g->len + text.len, sizeof(g->text));
			memcpy(g->text + g->len, text.p, text.len);
			g->len += text.len;
		} else if (r == E2E_STREAM_END) {
			g->end = true;
		} else {
			g->failed = r == E2E_STREAM_FAILED;
			if (r == E2E_STREAM_MORE)
				ck_assert_uint_eq(len, 0);
			break;
		}
	}
	free(copy);
}

/* Some records of different lengths and their end, with a rekey in their midst. The bytes' length. */
static size_t
records(struct e2e_stream *s, uint8_t *out, size_t size, const char *const *texts, size_t n)
{
	size_t len = 0, used;

	for (size_t i = 0; i < n; i++) {
		len += e2e_stream_seal(s, out + len, size - len, (const uint8_t *)texts[i], strlen(texts[i]), &used, 0);
		ck_assert_uint_eq(used, strlen(texts[i]));
		if (i == 1)
			e2e_stream_rekey(s);
	}
	len += e2e_stream_finish(s, out + len, size - len, 0);
	ck_assert_uint_gt(len, n * E2E_OVERHEAD);
	return len;
}

static const char *const texts[] = { "a", "some bytes", "more", "and a last one that is longer than the others are" };
static const char all[] = "asome bytesmoreand a last one that is longer than the others are";
#define TEXTS (sizeof(texts) / sizeof(texts[0]))

START_TEST(test_cut_anywhere)
{
	static struct got g;
	uint8_t out[512];
	struct pair p;
	size_t len;

	for (size_t step = 1; step < 200; step++) {
		pair_new(&p);
		len = records(p.a, out, sizeof(out), texts, TEXTS);
		memset(&g, 0, sizeof(g));
		for (size_t at = 0; at < len; at += step)
			feed(p.b, &g, out + at, len - at < step ? len - at : step);
		ck_assert(!g.failed && g.end);
		ck_assert_uint_eq(g.len, sizeof(all) - 1);
		ck_assert_mem_eq(g.text, all, g.len);
		ck_assert_int_eq(e2e_stream_closed(p.b), REASON_NONE);
		pair_free(&p);
	}
}
END_TEST

START_TEST(test_cut_once_at_each_byte)
{
	static struct got g;
	uint8_t out[512];
	struct pair p;
	size_t len = 1;

	for (size_t at = 0; at <= len; at++) {
		pair_new(&p);
		len = records(p.b, out, sizeof(out), texts, TEXTS);	/* the other direction */
		memset(&g, 0, sizeof(g));
		feed(p.a, &g, out, at);
		ck_assert(!g.failed);
		feed(p.a, &g, out + at, len - at);
		ck_assert(!g.failed && g.end);
		ck_assert_mem_eq(g.text, all, sizeof(all) - 1);
		pair_free(&p);
	}
}
END_TEST

START_TEST(test_message_2_cut)
{
	static struct got g;
	struct pair p;
	size_t used, len = 1;
	uint8_t out[64];

	for (size_t at = 0; at <= len; at++) {
		pair_begin(&p);
		len = p.m2_len;
		memset(&g, 0, sizeof(g));
		ck_assert_uint_eq(e2e_stream_seal(p.a, out, sizeof(out), (const uint8_t *)"x", 1, &used, 0), 0);
		ck_assert_uint_eq(e2e_stream_finish(p.a, out, sizeof(out), 0), 0);
		ck_assert(!e2e_stream_ready(p.a));
		feed(p.a, &g, p.m2, at);
		feed(p.a, &g, p.m2 + at, len - at);
		ck_assert(g.ready && !g.failed);
		ck_assert(e2e_stream_ready(p.a));
		ck_assert_str_eq(e2e_stream_peer(p.a)->name, "home");
		ck_assert(!e2e_stream_confirmed(p.a));
		e2e_stream_trim(p.a);
		ck_assert_ptr_null(e2e_stream_peer(p.a));
		pair_free(&p);
	}
}
END_TEST

START_TEST(test_message_2_tampered)
{
	static struct got g;
	struct pair p;
	size_t len = 1;

	for (size_t at = 0; at < len; at++) {
		pair_begin(&p);
		len = p.m2_len;
		p.m2[at] ^= 0x20;
		memset(&g, 0, sizeof(g));
		feed(p.a, &g, p.m2, len);
		/* A length that is too long waits for the rest, and is cut when the direction is closed. */
		ck_assert(!g.ready);
		ck_assert_int_ne(e2e_stream_closed(p.a), REASON_NONE);
		ck_assert(!e2e_stream_ready(p.a));
		pair_free(&p);
	}
	/* Where message 2 is due, a record of any length is none. */
	pair_begin(&p);
	memset(&g, 0, sizeof(g));
	feed(p.a, &g, (const uint8_t *)"\x7f\xff", 2);
	ck_assert(g.failed);
	ck_assert_int_eq(e2e_stream_reason(p.a), REASON_TAMPERED);
	pair_free(&p);
}
END_TEST

/* Each byte of all that is sent, headers with their phase as well. */
START_TEST(test_tampered)
{
	static struct got g;
	uint8_t out[512];
	struct pair p;
	size_t len = 1;

	for (size_t at = 0; at < len; at++) {
		pair_new(&p);
		len = records(p.a, out, sizeof(out), texts, TEXTS);
		out[at] ^= (uint8_t)(1u << at % 8);
		memset(&g, 0, sizeof(g));
		feed(p.b, &g, out, len);
		/* What came out before is right, and then it is over. */
		ck_assert(!g.end);
		ck_assert_uint_lt(g.len, sizeof(all));
		ck_assert_mem_eq(g.text, all, g.len);
		ck_assert_int_eq(e2e_stream_closed(p.b), REASON_TAMPERED);
		ck_assert_int_eq(e2e_stream_reason(p.b), REASON_TAMPERED);
		feed(p.b, &g, out, len);
		ck_assert(g.failed);
		ck_assert(!e2e_stream_ready(p.b));
		pair_free(&p);
	}
}
END_TEST

START_TEST(test_truncated)
{
	static struct got g;
	uint8_t out[512];
	struct pair p;
	size_t len = 1;

	for (size_t at = 0; at < len; at++) {
		pair_new(&p);
		len = records(p.a, out, sizeof(out), texts, TEXTS);
		memset(&g, 0, sizeof(g));
		feed(p.b, &g, out, at);
		ck_assert(!g.end && !g.failed);
		ck_assert_int_eq(e2e_stream_closed(p.b), REASON_TAMPERED);
		pair_free(&p);
	}
}
END_TEST

static size_t
one(struct e2e_stream *s, uint8_t *out, char c)
{
	size_t used;

	ck_assert_uint_eq(e2e_stream_seal(s, out, 64, (const uint8_t *)&c, 1, &used, 0), E2E_OVERHEAD + 1);
	return E2E_OVERHEAD + 1;
}

START_TEST(test_moved)
{
	static struct got g;
	uint8_t r[3][64], back[64];
	struct pair p;
	size_t n = E2E_OVERHEAD + 1;

	for (int what = 0; what < 5; what++) {
		pair_new(&p);
		memset(&g, 0, sizeof(g));
		for (int i = 0; i < 3; i++)
			one(p.a, r[i], (char)('a' + i));
		one(p.b, back, 'z');
		feed(p.b, &g, r[0], n);
		ck_assert(e2e_stream_confirmed(p.b));
		switch (what) {
		case 0:	/* again */
			feed(p.b, &g, r[0], n);
			break;
		case 1:	/* one left out */
			feed(p.b, &g, r[2], n);
			break;
		case 2:	/* sent back to its sender */
			feed(p.a, &g, r[1], n);
			ck_assert_int_eq(e2e_stream_reason(p.a), REASON_TAMPERED);
			break;
		case 3:	/* its own */
			feed(p.b, &g, back, n);
			break;
		default: /* no record at all */
			feed(p.b, &g, (const uint8_t *)"\x00\x0f", 2);
			break;
		}
		ck_assert(g.failed);
		ck_assert_uint_eq(g.len, 1);
		pair_free(&p);
	}
}
END_TEST

START_TEST(test_after_the_end)
{
	static struct got g;
	uint8_t out[128], more[128];
	struct pair p;
	size_t len, used;

	pair_new(&p);
	memset(&g, 0, sizeof(g));
	len = e2e_stream_finish(p.a, out, sizeof(out), 0);
	ck_assert_uint_eq(len, E2E_OVERHEAD);
	ck_assert_uint_eq(e2e_stream_finish(p.a, more, sizeof(more), 0), 0);
	ck_assert_uint_eq(e2e_stream_seal(p.a, more, sizeof(more), (const uint8_t *)"x", 1, &used, 0), 0);
	feed(p.b, &g, out, len);
	ck_assert(g.end);
	ck_assert_int_eq(e2e_stream_closed(p.b), REASON_NONE);
	/* The other direction goes on. */
	memset(&g, 0, sizeof(g));
	len = one(p.b, out, 'q');
	feed(p.a, &g, out, len);
	ck_assert_uint_eq(g.len, 1);
	/* Anything behind the end is somebody else's. */
	feed(p.b, &g, (const uint8_t *)"\0", 1);
	ck_assert(g.failed);
	ck_assert_int_eq(e2e_stream_reason(p.b), REASON_TAMPERED);
	pair_free(&p);
}
END_TEST

/* As much as fits: of the text and of the room. */
START_TEST(test_lengths)
{
	static uint8_t text[100000], out[100000];
	static struct got g;
	struct pair p;
	size_t used, len, at = 0, total = 0;

	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (uint8_t)(i * 7 ^ i >> 8);
	pair_new(&p);
	memset(&g, 0, sizeof(g));
	ck_assert_uint_eq(e2e_stream_seal(p.a, out, E2E_OVERHEAD, text, 5, &used, 0), 0);
	ck_assert_uint_eq(e2e_stream_seal(p.a, out, sizeof(out), text, 0, &used, 0), 0);
	ck_assert_uint_eq(e2e_stream_seal(p.a, out, E2E_OVERHEAD + 3, text, 5, &used, 0), E2E_OVERHEAD + 3);
	ck_assert_uint_eq(used, 3);
	feed(p.b, &g, out, E2E_OVERHEAD + 3);
	g.len = 0;
	while (at < sizeof(text)) {
		len = e2e_stream_seal(p.a, out + total, sizeof(out), text + at, sizeof(text) - at, &used, 0);
		ck_assert_uint_eq(len, used + E2E_OVERHEAD);
		ck_assert(used == E2E_TEXT_MAX || at + used == sizeof(text));
		at += used;
		feed(p.b, &g, out, len);
	}
	ck_assert_uint_eq(g.len, sizeof(text));
	ck_assert_mem_eq(g.text, text, g.len);
	pair_free(&p);
}
END_TEST

/* By time, in the midst of traffic in both directions, and faster than any time. */
START_TEST(test_rekey)
{
	static struct got g;
	struct pair p;
	uint8_t out[64], last = 0;
	size_t len, used;
	unsigned phases = 0;

	pair_new(&p);
	memset(&g, 0, sizeof(g));
	for (unsigned i = 0; i < 2000; i++) {
		uint64_t now = i * 1000000000ull;

		len = e2e_stream_seal(p.a, out, sizeof(out), (const uint8_t *)"tick", 4, &used, now);
		phases += (out[0] & 0x80) != last;
		last = out[0] & 0x80;
		feed(p.b, &g, out, len);
		if (i % 3 == 0) {
			e2e_stream_rekey(p.b);
			len = one(p.b, out, 'x');
			feed(p.a, &g, out, len);
		}
		ck_assert(!g.failed);
		g.len = 0;
	}
	ck_assert_uint_eq(phases, 2000 / 120);
	pair_free(&p);
}
END_TEST

/* A stream that is idle holds no more than it must, and traffic does not allocate. */
START_TEST(test_memory)
{
	static uint8_t text[E2E_TEXT_MAX], out[E2E_RECORD_MAX + E2E_RECORD_HEADER];
	static struct got g;
	static struct pair many[32];
	struct pair p;
	size_t used, before, idle, len;

	/* What malloc keeps for the next time counts as used: so once in advance, and then several. */
	pair_new(&p);
	e2e_stream_trim(p.a);
	pair_free(&p);
	for (size_t i = 0; i < 32; i++) {
		before = mallinfo2().uordblks;
		pair_new(&many[i]);
		e2e_stream_trim(many[i].a);
		ck_assert_uint_lt(mallinfo2().uordblks - before, 2 * 2816);
	}
	/* One that rests holds much less, and goes on as if it had not. */
	for (size_t i = 0; i < 32; i++) {
		before = mallinfo2().uordblks;
		e2e_stream_rest(many[i].a);
		e2e_stream_rest(many[i].b);
#ifndef __SANITIZE_ADDRESS__	/* which has an allocator of its own */
		ck_assert_uint_gt(before - mallinfo2().uordblks, 2 * 1600);
#endif
	}
	for (size_t i = 0; i < 32; i++) {
		memset(&g, 0, sizeof(g));
		len = one(many[i].a, out, 'x');
		feed(many[i].b, &g, out, len);
		ck_assert(!g.failed);
		ck_assert_uint_eq(g.len, 1);
		len = one(many[i].b, out, 'y');
		feed(many[i].a, &g, out, len);
		ck_assert(!g.failed);
		ck_assert_uint_eq(g.len, 2);
	}
	for (size_t i = 0; i < 32; i++)
		pair_free(&many[i]);
	before = mallinfo2().uordblks;
	pair_new(&p);
	memset(&g, 0, sizeof(g));
	e2e_stream_trim(p.a);
	idle = mallinfo2().uordblks;
	len = e2e_stream_seal(p.a, out, sizeof(out), text, sizeof(text), &used, 0);
	feed(p.b, &g, out, len - 1);
	ck_assert_uint_lt(mallinfo2().uordblks - idle, 34 * 1024);
	feed(p.b, &g, out + len - 1, 1);
	ck_assert(!g.failed);
	/* A part keeps its place, and then it goes. */
	len = one(p.a, out, 'x');
	feed(p.b, &g, out, 5);
	e2e_stream_trim(p.b);
	feed(p.b, &g, out + 5, len - 5);
	ck_assert(!g.failed);
	ck_assert_uint_eq(g.len, sizeof(text) + 1);
	e2e_stream_trim(p.b);
	ck_assert_uint_le(mallinfo2().uordblks, idle);
	pair_free(&p);
	ck_assert_uint_le(mallinfo2().uordblks, before);
}
END_TEST

static Suite *
suite(void)
{
	Suite *s = suite_create("e2e_stream");
	TCase *t = tcase_create("e2e_stream");

	tcase_add_checked_fixture(t, setup, NULL);
	tcase_set_timeout(t, 120);
	tcase_add_test(t, test_cut_anywhere);
	tcase_add_test(t, test_cut_once_at_each_byte);
	tcase_add_test(t, test_message_2_cut);
	tcase_add_test(t, test_message_2_tampered);
	tcase_add_test(t, test_tampered);
	tcase_add_test(t, test_truncated);
	tcase_add_test(t, test_moved);
	tcase_add_test(t, test_after_the_end);
	tcase_add_test(t, test_lengths);
	tcase_add_test(t, test_rekey);
	tcase_add_test(t, test_memory);
	suite_add_tcase(s, t);
	return s;
}

int
main(void)
{
	return suite_run(suite());
}
