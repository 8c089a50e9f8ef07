#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "suite.h"
#include "vpnd/frag.h"

#define SEC 1000000000ull

static struct frag_table *t;
static uint8_t unit[DATA_UNIT_MAX];
static struct frame_bytes whole;

static void
setup(void)
{
	t = frag_new();
	for (size_t i = 0; i < sizeof(unit); i++)
		unit[i] = (uint8_t)(i * 7 >> 2);
}

static void
teardown(void)
{
	frag_free(t);
}

/* A piece of `unit`, in memory of just its size. */
static int
add(uint32_t owner, uint64_t stream, uint32_t seq, size_t off, size_t len, bool last, uint64_t now)
{
	uint8_t *copy = malloc(len + !len);
	struct frame_data d = { .stream_id = stream, .seq = seq, .frag_offset = (uint16_t)off,
	    .flags = (uint8_t)(DATA_UNRELIABLE | DATA_FRAGMENT | (last ? DATA_LAST : 0)), .payload = copy, .payload_len = len };
	int r;

	memcpy(copy, unit + off, len);
	r = frag_add(t, owner, &d, now, &whole);
	free(copy);
	return r;
}

/* Any length, any room: the pieces cover the unit, each fits, all but the last are multiples of 256. */
START_TEST(cutting)
{
	for (size_t max = 256; max < 3000; max += 111) {
		for (size_t len = max + 1; len < 9000; len += 97) {
			size_t off = 0, n = 0;

			while (off < len) {
				size_t piece = frag_piece(len, off, max);

				ck_assert_uint_gt(piece, 0);
				ck_assert_uint_le(piece, max);
				ck_assert_uint_eq(off % 256, 0);
				ck_assert(off + piece == len || piece % 256 == 0);
				off += piece;
				n++;
			}
			ck_assert_uint_eq(off, len);
			ck_assert_uint_ge(n, 2);
		}
	}
	ck_assert_uint_eq(frag_piece(1000, 0, 255), 0);
}
END_TEST

/* In order, reversed, rotated. */
START_TEST(any_order)
{
	enum { N = 5 };
	size_t len = 5 * 256 - 17;

	for (unsigned k = 0; k < N; k++) {
		unsigned i = _i == 0 ? k : _i == 1 ? N - 1 - k : (k + 2) % N;
		int r = add(3, 9, 77, i * 256, i == N - 1 ? len - i * 256 : 256, i == N - 1, SEC);

		ck_assert_int_eq(r, k == N - 1 ? FRAG_DONE : FRAG_MORE);
	}
	ck_assert_uint_eq(whole.len, len);
	ck_assert_mem_eq(whole.p, unit, len);
	ck_assert_uint_eq(frag_expire(t, 10 * SEC), 0);
}
END_TEST

START_TEST(largest)
{
	for (size_t off = 0; off < DATA_UNIT_MAX - 1024; off += 1024)
		ck_assert_int_eq(add(1, 2, 3, off, 1024, false, 0), FRAG_MORE);
	ck_assert_int_eq(add(1, 2, 3, DATA_UNIT_MAX - 1024, 1024, true, 0), FRAG_DONE);
	ck_assert_uint_eq(whole.len, DATA_UNIT_MAX);
	ck_assert_mem_eq(whole.p, unit, DATA_UNIT_MAX);
}
END_TEST

/* Units of other peers, streams and numbers are other units. */
START_TEST(kept_apart)
{
	ck_assert_int_eq(add(1, 2, 3, 0, 256, false, 0), FRAG_MORE);
	ck_assert_int_eq(add(2, 2, 3, 256, 10, true, 0), FRAG_MORE);
	ck_assert_int_eq(add(1, 4, 3, 256, 10, true, 0), FRAG_MORE);
	ck_assert_int_eq(add(1, 2, 4, 256, 10, true, 0), FRAG_MORE);
	ck_assert_int_eq(add(1, 2, 3, 256, 10, true, 0), FRAG_DONE);
}
END_TEST

static const struct {
	const char *what;
	struct { size_t off, len; bool last; int r; } piece[4];
} tricks[] = {
	{ "the same twice", { { 0, 512, false, FRAG_MORE }, { 0, 512, false, FRAG_E_DUPLICATE }, { 512, 5, true, FRAG_DONE } } },
	{ "a part again", { { 0, 512, false, FRAG_MORE }, { 256, 256, false, FRAG_E_DUPLICATE }, { 512, 5, true, FRAG_DONE } } },
	{ "overlap behind", { { 0, 512, false, FRAG_MORE }, { 256, 512, false, FRAG_E_OVERLAP }, { 512, 5, true, FRAG_MORE } } },
	{ "overlap before", { { 256, 512, false, FRAG_MORE }, { 0, 512, false, FRAG_E_OVERLAP } } },
	{ "around", { { 256, 256, false, FRAG_MORE }, { 0, 1024, false, FRAG_E_OVERLAP } } },
	{ "two ends", { { 512, 100, true, FRAG_MORE }, { 256, 100, true, FRAG_E_OVERLAP } } },
	{ "beyond the end", { { 512, 100, true, FRAG_MORE }, { 768, 256, false, FRAG_E_OVERLAP } } },
	{ "end before what is there", { { 1024, 256, false, FRAG_MORE }, { 256, 100, true, FRAG_E_OVERLAP } } },
	{ "end moved", { { 512, 100, true, FRAG_MORE }, { 512, 120, true, FRAG_E_OVERLAP } } },
	{ "end that is no end", { { 512, 256, true, FRAG_MORE }, { 512, 256, false, FRAG_E_OVERLAP } } },
	{ "not a multiple", { { 0, 255, false, FRAG_E_RANGE }, { 0, 257, false, FRAG_E_RANGE } } },
	{ "empty", { { 256, 0, true, FRAG_E_RANGE }, { 0, 0, false, FRAG_E_RANGE } } },
};

START_TEST(no_tricks)
{
	for (unsigned k = 0; k < 4; k++) {
		size_t off = tricks[_i].piece[k].off, len = tricks[_i].piece[k].len;
		int r, want = tricks[_i].piece[k].r;

		if (off == 0 && len == 0 && want == 0)
			break;
		r = add(1, 2, 3, off, len, tricks[_i].piece[k].last, 0);
		ck_assert_msg(r == want, "%s: piece %u: %d", tricks[_i].what, k, r);
	}
}
END_TEST

START_TEST(offset_checked)
{
	struct frame_data d = { .stream_id = 1, .seq = 1, .frag_offset = 100, .payload = unit, .payload_len = 256,
	    .flags = DATA_UNRELIABLE | DATA_FRAGMENT };

	ck_assert_int_eq(frag_add(t, 0, &d, 0, &whole), FRAG_E_RANGE);
	d.frag_offset = 65280;
	d.flags |= DATA_LAST;
	d.payload_len = 257;
	ck_assert_int_eq(frag_add(t, 0, &d, 0, &whole), FRAG_E_RANGE);
	d.frag_offset = 256;
	d.payload_len = DATA_UNIT_MAX;
	ck_assert_int_eq(frag_add(t, 0, &d, 0, &whole), FRAG_E_RANGE);
	d.payload_len = SIZE_MAX;
	ck_assert_int_eq(frag_add(t, 0, &d, 0, &whole), FRAG_E_RANGE);
}
END_TEST

START_TEST(timeout)
{
	ck_assert_int_eq(add(1, 2, 3, 0, 256, false, SEC), FRAG_MORE);
	ck_assert_int_eq(add(1, 2, 4, 0, 256, false, SEC + SEC / 2), FRAG_MORE);
	ck_assert_uint_eq(frag_expire(t, 2 * SEC - 1), 0);
	ck_assert_uint_eq(frag_expire(t, 2 * SEC), 1);
	ck_assert_int_eq(add(1, 2, 3, 256, 9, true, 2 * SEC), FRAG_MORE);
	ck_assert_int_eq(add(1, 2, 4, 256, 9, true, 2 * SEC), FRAG_DONE);
	/* Too late, and nobody looked in between: the old piece is not used. */
	ck_assert_int_eq(add(1, 2, 5, 0, 256, false, 3 * SEC), FRAG_MORE);
	ck_assert_int_eq(add(1, 2, 5, 256, 9, true, 4 * SEC), FRAG_MORE);
}
END_TEST

/* One peer cannot take more than its share, and all together not more than there is. */
START_TEST(bounded)
{
	for (uint32_t seq = 0; seq < 1000; seq++)
		ck_assert_int_eq(add(1, 2, seq, 0, 256, false, seq), FRAG_MORE);
	ck_assert_uint_eq(frag_evicted(t), 1000 - FRAG_PER_OWNER);
	/* What another began is still there. */
	ck_assert_int_eq(add(7, 2, 1, 0, 256, false, 1000), FRAG_MORE);
	for (uint32_t seq = 2000; seq < 3000; seq++)
		add(1, 2, seq, 0, 256, false, seq);
	ck_assert_int_eq(add(7, 2, 1, 256, 1, true, 3000), FRAG_DONE);
	for (uint32_t owner = 10; owner < 100; owner++)
		add(owner, 2, 0, 0, 256, false, 4000 + owner);
	ck_assert_uint_eq(frag_expire(t, 100 * SEC), FRAG_SLOTS);
}
END_TEST

START_TEST(forget)
{
	add(1, 2, 0, 0, 256, false, 0);
	add(1, 4, 0, 0, 256, false, 0);
	add(2, 2, 0, 0, 256, false, 0);
	ck_assert_uint_eq(frag_forget(t, 1, 2), 1);
	ck_assert_uint_eq(frag_forget(t, 1, 0), 1);
	ck_assert_uint_eq(frag_expire(t, 9 * SEC), 1);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("frag");
	TCase *tc = tcase_create("frag");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, cutting);
	tcase_add_loop_test(tc, any_order, 0, 3);
	tcase_add_test(tc, largest);
	tcase_add_test(tc, kept_apart);
	tcase_add_loop_test(tc, no_tricks, 0, sizeof tricks / sizeof tricks[0]);
	tcase_add_test(tc, offset_checked);
	tcase_add_test(tc, timeout);
	tcase_add_test(tc, bounded);
	tcase_add_test(tc, forget);
	suite_add_tcase(s, tc);
	return suite_run(s);
}
