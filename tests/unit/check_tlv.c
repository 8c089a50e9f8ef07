#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "suite.h"
#include "wire/tlv.h"
#include "wire/varint.h"

/* Reads a list to its end; the number of entries, or the error. */
static int
walk(const uint8_t *p, size_t len)
{
	uint8_t *copy = malloc(len + (len == 0));
	struct tlv_reader r;
	struct tlv t;
	int n, count = 0;

	memcpy(copy, p, len);
	tlv_read_init(&r, copy, len);
	while ((n = tlv_read(&r, &t)) == 1) {
		ck_assert(t.value.p >= copy && t.value.p + t.value.len <= copy + len);
		count++;
	}
	free(copy);
	return n == 0 ? count : n;
}

static const struct {
	const char	*what;
	uint8_t		 bytes[12];
	size_t		 len;
	int		 result;
} lists[] = {
	{ "empty", { 0 }, 0, 0 },
	{ "one, no value", { 1, 0 }, 2, 1 },
	{ "tag 0", { 0, 1, 9 }, 3, 1 },
	{ "two", { 1, 1, 9, 2, 2, 9, 9 }, 7, 2 },
	{ "far apart", { 0, 0, 0x7f, 0xff, 1, 9 }, 6, 2 },
	{ "twice", { 1, 0, 1, 0 }, 4, FRAME_E_TLV_ORDER },
	{ "tag 0 twice", { 0, 0, 0, 0 }, 4, FRAME_E_TLV_ORDER },
	{ "descends", { 2, 0, 1, 0 }, 4, FRAME_E_TLV_ORDER },
	{ "no length", { 1 }, 1, FRAME_E_SHORT },
	{ "tag cut", { 0x40 }, 1, FRAME_E_SHORT },
	{ "length cut", { 1, 0x40 }, 2, FRAME_E_SHORT },
	{ "value cut", { 1, 2, 9 }, 3, FRAME_E_SHORT },
	{ "second value cut", { 1, 0, 2, 1 }, 4, FRAME_E_SHORT },
	{ "length of 2^62-1", { 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff }, 9, FRAME_E_SHORT },
	{ "tag not shortest", { 0x40, 1, 0 }, 3, FRAME_E_VARINT },
	{ "length not shortest", { 1, 0x40, 0 }, 3, FRAME_E_VARINT },
};

START_TEST(read_lists)
{
	ck_assert_msg(walk(lists[_i].bytes, lists[_i].len) == lists[_i].result, "%s", lists[_i].what);
}
END_TEST

static const struct {
	const char	*what;
	uint8_t		 bytes[9];
	size_t		 len;
	uint64_t	 max;
	int		 result;
	uint64_t	 v;
} uints[] = {
	{ "zero", { 0 }, 1, 0, 0, 0 },
	{ "below", { 9 }, 1, 10, 0, 9 },
	{ "at", { 10 }, 1, 10, 0, 10 },
	{ "above", { 11 }, 1, 10, FRAME_E_VALUE, 77 },
	{ "most", { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff }, 8, VARINT_MAX, 0, VARINT_MAX },
	{ "empty", { 0 }, 0, 10, FRAME_E_SHORT, 77 },
	{ "cut", { 0x40 }, 1, 10, FRAME_E_SHORT, 77 },
	{ "not shortest", { 0x40, 1 }, 2, 10, FRAME_E_VARINT, 77 },
	{ "trailing", { 1, 1 }, 2, 10, FRAME_E_TRAILING, 77 },
};

START_TEST(read_uints)
{
	const struct tlv t = { 1, { uints[_i].bytes, uints[_i].len } };
	uint64_t v = 77;

	ck_assert_msg(tlv_uint(&t, uints[_i].max, &v) == uints[_i].result, "%s", uints[_i].what);
	ck_assert_uint_eq(v, uints[_i].v);
}
END_TEST

START_TEST(write_and_read)
{
	uint8_t buf[64];
	struct tlv_writer w, count;
	struct tlv_reader r;
	struct tlv t;
	uint64_t v;

	tlv_write_init(&w, buf, sizeof buf);
	tlv_write_init(&count, NULL, sizeof buf);
	for (struct tlv_writer *x = &w; x != NULL; x = x == &w ? &count : NULL) {
		tlv_put(x, 0, NULL, 0);
		tlv_put_uint(x, 0x3f, VARINT_MAX);
		tlv_put(x, 0x40, "abc", 3);
		ck_assert(!x->failed);
	}
	ck_assert_uint_eq(w.len, 2 + 10 + 6);
	ck_assert_uint_eq(count.len, w.len);
	tlv_read_init(&r, buf, w.len);
	ck_assert_int_eq(tlv_read(&r, &t), 1);
	ck_assert_uint_eq(t.value.len, 0);
	ck_assert_int_eq(tlv_read(&r, &t), 1);
	ck_assert_int_eq(tlv_uint(&t, VARINT_MAX, &v), 0);
	ck_assert_uint_eq(v, VARINT_MAX);
	ck_assert_int_eq(tlv_read(&r, &t), 1);
	ck_assert_uint_eq(t.tag, 0x40);
	ck_assert_mem_eq(t.value.p, "abc", 3);
	ck_assert_int_eq(tlv_read(&r, &t), 0);
}
END_TEST

START_TEST(write_refuses)
{
	uint8_t *buf = malloc(5);
	struct tlv_writer w;

	tlv_write_init(&w, buf, 5);	/* exact */
	tlv_put(&w, 1, "abc", 3);
	ck_assert(!w.failed && w.len == 5);
	tlv_put(&w, 2, NULL, 0);
	ck_assert(w.failed);

	tlv_write_init(&w, buf, 4);
	tlv_put(&w, 1, "abc", 3);
	ck_assert(w.failed);
	tlv_put(&w, 2, NULL, 0);
	ck_assert_msg(w.failed, "failed stays");

	tlv_write_init(&w, buf, 5);
	tlv_put(&w, 2, NULL, 0);
	tlv_put(&w, 2, NULL, 0);
	ck_assert_msg(w.failed, "a tag twice");

	tlv_write_init(&w, buf, 5);
	tlv_put_uint(&w, 1, VARINT_MAX + 1);
	ck_assert(w.failed);

	tlv_write_init(&w, buf, 5);
	tlv_put(&w, VARINT_MAX + 1, NULL, 0);
	ck_assert(w.failed);

	tlv_write_init(&w, buf, 5);
	tlv_put(&w, 1, NULL, 3);
	ck_assert(w.failed);
	free(buf);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("tlv");
	TCase *tc = tcase_create("tlv");

	tcase_add_loop_test(tc, read_lists, 0, sizeof lists / sizeof lists[0]);
	tcase_add_loop_test(tc, read_uints, 0, sizeof uints / sizeof uints[0]);
	tcase_add_test(tc, write_and_read);
	tcase_add_test(tc, write_refuses);
	suite_add_tcase(s, tc);
	return suite_run(s);
}
