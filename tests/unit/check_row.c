#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "proc/row.h"
#include "suite.h"

#define NAME31 "a234567890123456789012345678901"

/* Reads a row out of memory that ends where it ends: the number of fields, or -1. */
static int
walk(const uint8_t *p, size_t len, struct row_field *last)
{
	uint8_t *copy = malloc(len + (len == 0));
	struct frame_bytes row = { copy, len };
	size_t off = 0;
	int n, count = 0;

	if (len > 0)
		memcpy(copy, p, len);
	while ((n = row_next(&row, &off, last)) == 1)
		count++;
	free(copy);
	return n == 0 ? count : -1;
}

START_TEST(round_trip)
{
	struct row_writer w;
	struct row_field f;
	struct frame_bytes row;
	size_t off = 0;

	row_init(&w);
	row_str(&w, "name", "home-1");
	row_str(&w, NAME31, "");
	row_uint(&w, "zero", 0);
	row_uint(&w, "bytes_in", UINT64_MAX);
	row_bool(&w, "up", true);
	row_bool(&w, "initiator", false);
	ck_assert(!w.failed);
	row = (struct frame_bytes){ w.buf, w.len };

	ck_assert_int_eq(row_next(&row, &off, &f), 1);
	ck_assert_str_eq(f.name, "name");
	ck_assert_int_eq(f.type, ROW_STR);
	ck_assert_uint_eq(f.str.len, 6);
	ck_assert_mem_eq(f.str.p, "home-1", 6);
	ck_assert_int_eq(row_next(&row, &off, &f), 1);
	ck_assert_str_eq(f.name, NAME31);
	ck_assert_uint_eq(f.str.len, 0);
	ck_assert_int_eq(row_next(&row, &off, &f), 1);
	ck_assert_int_eq(f.type, ROW_UINT);
	ck_assert_uint_eq(f.num, 0);
	ck_assert_int_eq(row_next(&row, &off, &f), 1);
	ck_assert_str_eq(f.name, "bytes_in");
	ck_assert(f.num == UINT64_MAX);
	ck_assert_int_eq(row_next(&row, &off, &f), 1);
	ck_assert_int_eq(f.type, ROW_BOOL);
	ck_assert_uint_eq(f.num, 1);
	ck_assert_int_eq(row_next(&row, &off, &f), 1);
	ck_assert_uint_eq(f.num, 0);
	ck_assert_int_eq(row_next(&row, &off, &f), 0);
	ck_assert_int_eq(row_next(&row, &off, &f), 0);
}
END_TEST

/* A row cut anywhere but between fields is malformed. */
START_TEST(truncated)
{
	struct row_writer w;
	struct row_field f;
	size_t ends[4] = { 0 };
	int n;

	row_init(&w);
	row_str(&w, "a", "value");
	ends[1] = w.len;
	row_uint(&w, "b", 7);
	ends[2] = w.len;
	row_bool(&w, "c", true);
	ends[3] = w.len;
	for (size_t len = 0; len <= w.len; len++) {
		n = walk(w.buf, len, &f);
		ck_assert_int_eq(n, len == ends[0] ? 0 : len == ends[1] ? 1 : len == ends[2] ? 2 :
		    len == ends[3] ? 3 : -1);
	}
}
END_TEST

static const struct {
	const char *what;
	int	 result;
	size_t	 len;
	uint8_t	 bytes[48];
} rows[] = {
	{ "empty", 0, 0, { 0 } },
	{ "a bool", 1, 4, { 1, 'a', ROW_BOOL, 1 } },
	{ "a bool of 2", -1, 4, { 1, 'a', ROW_BOOL, 2 } },
	{ "no name", -1, 3, { 0, ROW_BOOL, 1 } },
	{ "an upper case name", -1, 4, { 1, 'A', ROW_BOOL, 1 } },
	{ "a name with a NUL", -1, 5, { 2, 'a', 0, ROW_BOOL, 1 } },
	{ "a name with an escape", -1, 5, { 2, 'a', 27, ROW_BOOL, 1 } },
	{ "a name of 32", -1, 35, { 32, 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a',
	    'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', ROW_BOOL, 1 } },
	{ "type 0", -1, 4, { 1, 'a', 0, 1 } },
	{ "type 4", -1, 4, { 1, 'a', 4, 1 } },
	{ "a string beyond the end", -1, 6, { 1, 'a', ROW_STR, 0, 2, 'x' } },
	{ "a string with any bytes", 1, 7, { 1, 'a', ROW_STR, 0, 2, 0, 0xff } },
	{ "a number of 7 bytes", -1, 10, { 1, 'a', ROW_UINT, 1, 2, 3, 4, 5, 6, 7 } },
};

START_TEST(malformed)
{
	struct row_field f;

	ck_assert_msg(walk(rows[_i].bytes, rows[_i].len, &f) == rows[_i].result, "%s", rows[_i].what);
}
END_TEST

START_TEST(string_too_long)
{
	uint8_t row[5 + 1025] = { 1, 'a', ROW_STR, 4, 0 };
	struct row_field f;

	ck_assert_int_eq(walk(row, 5 + 1024, &f), 1);
	row[4] = 1;
	ck_assert_int_eq(walk(row, sizeof(row), &f), -1);
}
END_TEST

START_TEST(offset_beyond_the_end)
{
	struct frame_bytes row = { (const uint8_t *)"\1a\3\1", 4 };
	struct row_field f;
	size_t off = 5;

	ck_assert_int_eq(row_next(&row, &off, &f), -1);
}
END_TEST

START_TEST(long_text_is_cut)
{
	static const char *const pieces[] = { "x", "\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\x98\x80" };
	char text[5000];
	struct row_writer w;
	struct row_field f;
	struct frame_bytes row;
	size_t unit = strlen(pieces[_i]), off = 0, len = 0;

	while (len + unit < sizeof(text) - 1) {
		memcpy(text + len, pieces[_i], unit);
		len += unit;
	}
	text[len] = '\0';
	row_init(&w);
	row_str(&w, "a", text);
	ck_assert(!w.failed);
	row = (struct frame_bytes){ w.buf, w.len };
	ck_assert_int_eq(row_next(&row, &off, &f), 1);
	ck_assert_uint_eq(f.str.len, 1024 / unit * unit);
	text[1024] = '\0';
	row_init(&w);
	row_str(&w, "a", text);
	off = 0;
	row = (struct frame_bytes){ w.buf, w.len };
	ck_assert_int_eq(row_next(&row, &off, &f), 1);
	ck_assert_uint_eq(f.str.len, 1024);
}
END_TEST

START_TEST(full)
{
	char text[1025];
	struct row_writer w;
	size_t len;

	memset(text, 'x', 1024);
	text[1024] = '\0';
	row_init(&w);
	for (int i = 0; i < 3; i++)
		row_str(&w, "a", text);
	ck_assert(!w.failed);
	row_str(&w, "a", text);
	ck_assert(w.failed);
	len = w.len;
	row_bool(&w, "b", true);
	ck_assert_msg(w.failed && w.len == len, "failed stays");
	row_init(&w);
	ck_assert(!w.failed);

	row_bool(&w, "Upper", true);
	ck_assert(w.failed);
	row_init(&w);
	row_bool(&w, NAME31 "2", true);
	ck_assert(w.failed);
	row_init(&w);
	row_bool(&w, "", true);
	ck_assert(w.failed);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("row");
	TCase *tc = tcase_create("row");

	tcase_add_test(tc, round_trip);
	tcase_add_test(tc, truncated);
	tcase_add_loop_test(tc, malformed, 0, sizeof(rows) / sizeof(rows[0]));
	tcase_add_test(tc, string_too_long);
	tcase_add_test(tc, offset_beyond_the_end);
	tcase_add_loop_test(tc, long_text_is_cut, 0, 4);
	tcase_add_test(tc, full);
	suite_add_tcase(s, tc);
	return suite_run(s);
}
