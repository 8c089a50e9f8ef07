#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "suite.h"
#include "wire/varint.h"

/* RFC 9000, appendix A.1, and the edges of every length. */
static const struct {
	uint64_t	v;
	size_t		len;
	uint8_t		bytes[8];
} good[] = {
	{ 0, 1, { 0x00 } },
	{ 37, 1, { 0x25 } },
	{ 63, 1, { 0x3f } },
	{ 64, 2, { 0x40, 0x40 } },
	{ 15293, 2, { 0x7b, 0xbd } },
	{ 16383, 2, { 0x7f, 0xff } },
	{ 16384, 4, { 0x80, 0x00, 0x40, 0x00 } },
	{ 494878333, 4, { 0x9d, 0x7f, 0x3e, 0x7d } },
	{ (1u << 30) - 1, 4, { 0xbf, 0xff, 0xff, 0xff } },
	{ 1u << 30, 8, { 0xc0, 0, 0, 0, 0x40, 0, 0, 0 } },
	{ 151288809941952652, 8, { 0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c } },
	{ VARINT_MAX, 8, { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff } },
};

START_TEST(good_both_ways)
{
	uint8_t out[8];
	uint64_t v = 0;

	ck_assert_uint_eq(varint_len(good[_i].v), good[_i].len);
	ck_assert_ptr_eq(varint_put(out, good[_i].v), out + good[_i].len);
	ck_assert_mem_eq(out, good[_i].bytes, good[_i].len);
	ck_assert_int_eq(varint_get(&v, good[_i].bytes, 8), (int)good[_i].len);
	ck_assert_uint_eq(v, good[_i].v);
}
END_TEST

START_TEST(truncated)
{
	uint64_t v;

	for (size_t len = 0; len < good[_i].len; len++) {
		uint8_t *p = malloc(len + (len == 0));

		memcpy(p, good[_i].bytes, len);
		ck_assert_int_eq(varint_get(&v, p, len), 0);
		free(p);
	}
}
END_TEST

/* Every value that has a shorter form, written in each longer one. */
START_TEST(not_shortest)
{
	static const uint8_t prefix[9] = { [2] = 0x40, [4] = 0x80, [8] = 0xc0 };
	uint64_t v;

	for (size_t len = good[_i].len * 2; len <= 8; len *= 2) {
		uint8_t p[8];

		for (size_t i = 0; i < len; i++)
			p[i] = (uint8_t)(good[_i].v >> 8 * (len - 1 - i));
		p[0] |= prefix[len];
		ck_assert_int_eq(varint_get(&v, p, len), -1);
	}
}
END_TEST

START_TEST(all_two_byte_values)
{
	uint8_t p[8];
	uint64_t v;

	for (uint64_t x = 0; x < 70000; x++) {
		size_t len = (size_t)(varint_put(p, x) - p);

		ck_assert_uint_eq(len, varint_len(x));
		ck_assert_int_eq(varint_get(&v, p, len), (int)len);
		ck_assert_uint_eq(v, x);
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("varint");
	TCase *tc = tcase_create("varint");
	int n = sizeof good / sizeof good[0];

	tcase_add_loop_test(tc, good_both_ways, 0, n);
	tcase_add_loop_test(tc, truncated, 0, n);
	tcase_add_loop_test(tc, not_shortest, 0, n);
	tcase_add_test(tc, all_two_byte_values);
	suite_add_tcase(s, tc);
	return suite_run(s);
}
