/* What fabricctl makes of rows: a table for people, JSON for programs, and nothing that a terminal would obey. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fabricctl/rows.h"
#include "suite.h"

static void
add(struct rows *r, const struct row_writer *w)
{
	const struct frame_bytes b = { w->buf, w->len };

	rows_add(r, &b);
}

/* What print() writes, to be freed. */
static char *
printed(void (*print)(FILE *, const struct rows *), const struct rows *r)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	print(f, r);
	fclose(f);
	return text;
}

static void
as_json(FILE *f, const struct rows *r)
{
	json_print(f, "peers", r, 1, "no \"such\" node");
}

static const struct {
	const char	*name;
	uint64_t	 v;
	const char	*text;
} numbers[] = {
	{ "rtt_us", 0, "0.00 ms" }, { "rtt_us", 1234, "1.23 ms" }, { "rtt_us", 2500000, "2500.00 ms" },
	{ "age_ms", 9999, "9999 ms" }, { "age_ms", 10000, "10s" },
	{ "since_s", 59, "59s" }, { "since_s", 60, "1m00s" }, { "since_s", 3599, "59m59s" },
	{ "since_s", 3600, "1h00m" }, { "since_s", 90061, "1d01h" }, { "not_after_s", 1000000000, "2001-09-09T01:46:40Z" },
	{ "loss_permille", 15, "1.5 %" }, { "pid", 1234567, "1234567" },
	{ "bytes_in", 0, "0 B" }, { "bytes_in", 1023, "1023 B" }, { "bytes_in", 1024, "1.0 KiB" },
	{ "bytes_in", 1048576, "1.0 MiB" }, { "bytes_in", 1048575, "1.0 MiB" }, { "queued_bytes", 1536, "1.5 KiB" },
	{ "bytes", UINT64_C(1) << 60, "1.0 EiB" },
};

START_TEST(values_have_units)
{
	char buf[VALUE_MAX];
	struct row_field f = { .type = ROW_UINT, .num = numbers[_i].v };

	snprintf(f.name, sizeof(f.name), "%s", numbers[_i].name);
	ck_assert_str_eq(table_value(buf, &f), numbers[_i].text);
}
END_TEST

/* A name that came from elsewhere: escape sequences, controls, bytes that are no UTF-8, direction marks. */
static const struct {
	const char	*in, *table, *json;
} texts[] = {
	{ "plain", "plain", "plain" },
	{ "caf\xc3\xa9", "caf\xc3\xa9", "caf\xc3\xa9" },
	{ "\x1b[2Jx", "\\x1b[2Jx", "\\u001b[2Jx" },
	{ "a\nb\tc", "a\\x0ab\\x09c", "a\\u000ab\\u0009c" },
	{ "\x7f", "\\x7f", "\\u007f" },
	{ "\xff\xfe", "\\xff\\xfe", "\\u00ff\\u00fe" },
	{ "q\"b\\", "q\"b\\", "q\\\"b\\\\" },
	{ "\xe2\x80\xaex", "\\xe2\\x80\\xaex", "\\u00e2\\u0080\\u00aex" },
	{ "\xc2\x9b" "31m", "\\xc2\\x9b" "31m", "\\u00c2\\u009b31m" },
};

START_TEST(text_is_escaped)
{
	struct rows r = { .n = 0 };
	struct row_writer w;
	char want[200], *out;

	row_init(&w);
	row_str(&w, "name", texts[_i].in);
	add(&r, &w);
	out = printed(table_print, &r);
	snprintf(want, sizeof(want), "NAME\n%s\n", texts[_i].table);
	ck_assert_str_eq(out, want);
	free(out);
	out = printed(as_json, &r);
	snprintf(want, sizeof(want), "{\"version\":1,\"command\":\"peers\",\"status\":1,\"error\":\"no \\\"such\\\" node\","
	    "\"rows\":[{\"name\":\"%s\"}]}\n", texts[_i].json);
	ck_assert_str_eq(out, want);
	free(out);
	rows_free(&r);
}
END_TEST

START_TEST(table)
{
	static const char id[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
	struct rows r = { .n = 0 };
	struct row_writer w;
	char *out;

	row_init(&w);
	row_str(&w, "name", "a");
	row_str(&w, "node_id", id);
	row_uint(&w, "rtt_us", 1500);
	row_str(&w, "empty", "");
	row_bool(&w, "ok", true);
	add(&r, &w);
	row_init(&w);
	row_str(&w, "name", "longer");
	row_uint(&w, "rtt_us", 12000000);
	row_str(&w, "more", "x");
	add(&r, &w);
	out = printed(table_print, &r);
	ck_assert_str_eq(out,
	    "NAME    NODE-ID                   RTT  OK   MORE\n"
	    "a       0123456789abcdef      1.50 ms  yes  -\n"
	    "longer  -                 12000.00 ms  -    x\n");
	free(out);
	out = printed(as_json, &r);
	ck_assert_ptr_nonnull(strstr(out, "\"rows\":[{\"name\":\"a\",\"node_id\":\"0123456789abcdef0123456789abcdef"
	    "0123456789abcdef0123456789abcdef\",\"rtt_us\":1500,\"empty\":\"\",\"ok\":true},{\"name\":\"longer\","));
	free(out);
	rows_free(&r);
	out = printed(table_print, &r);
	ck_assert_str_eq(out, "");
	free(out);
}
END_TEST

START_TEST(malformed_rows_are_left_out)
{
	struct rows r = { .n = 0 };
	struct row_writer w;
	struct frame_bytes cut;
	struct row_field f;

	row_init(&w);
	row_str(&w, "name", "a");
	row_uint(&w, "count", 7);
	for (size_t n = 0; n < w.len; n++) {
		cut = (struct frame_bytes){ w.buf, n };
		rows_add(&r, &cut);
	}
	/* Cut between two fields it is a row. */
	ck_assert_uint_eq(r.n, 1);
	ck_assert(row_is(&r.list[0], "name", "a"));
	ck_assert(!row_is(&r.list[0], "name", "ab"));
	ck_assert(!row_is(&r.list[0], "count", "7"));
	add(&r, &w);
	ck_assert(row_find(&r.list[1], "count", &f));
	ck_assert_uint_eq(row_number(&r.list[1], "count", 0), 7);
	ck_assert_uint_eq(row_number(&r.list[1], "none", 9), 9);
	ck_assert_uint_eq(row_number(&r.list[1], "name", 9), 9);
	rows_free(&r);
}
END_TEST

#define N(a) (int)(sizeof(a) / sizeof((a)[0]))

int
main(void)
{
	Suite *s = suite_create("rows");
	TCase *tc = tcase_create("rows");

	tcase_add_loop_test(tc, values_have_units, 0, N(numbers));
	tcase_add_loop_test(tc, text_is_escaped, 0, N(texts));
	tcase_add_test(tc, table);
	tcase_add_test(tc, malformed_rows_are_left_out);
	suite_add_tcase(s, tc);
	return suite_run(s);
}
