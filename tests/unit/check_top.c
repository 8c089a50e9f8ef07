/* `fabricctl stream top': from two samples of counters to one picture. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fabricctl/top.h"
#include "suite.h"

static struct rows before, now, out;

struct sample {
	const char *at, *service, *port;
	uint64_t stream, in, stall_far, stall_local;
};

static void
add(struct rows *r, const struct sample *s)
{
	struct row_writer w;
	struct frame_bytes b;

	row_init(&w);
	row_str(&w, "at", s->at);
	row_uint(&w, "stream", s->stream);
	if (s->port != NULL)
		row_str(&w, "port", s->port);
	row_str(&w, "service", s->service);
	row_str(&w, s->port == NULL ? "node" : "peer", "home-1");
	row_uint(&w, "bytes_in", s->in);
	row_uint(&w, "bytes_out", 2 * s->in);
	if (s->port == NULL) {
		row_uint(&w, "stall_far_us", s->stall_far);
		row_uint(&w, "stall_local_us", s->stall_local);
	}
	b = (struct frame_bytes){ w.buf, w.len };
	rows_add(r, &b);
}

static void
teardown(void)
{
	rows_free(&before);
	rows_free(&now);
	rows_free(&out);
}

static uint64_t
number(size_t i, const char *name)
{
	ck_assert_uint_lt(i, out.n);
	return row_number(&out.list[i], name, UINT64_MAX);
}

START_TEST(rates)
{
	add(&before, &(struct sample){ "svchostd", "slow", NULL, 1, 1000, 0, 0 });
	add(&before, &(struct sample){ "svchostd", "fast", NULL, 2, 5000, 100, 0 });
	add(&now, &(struct sample){ "svchostd", "slow", NULL, 1, 2000, 0, 250000 });
	add(&now, &(struct sample){ "svchostd", "fast", NULL, 2, 9000, 1000100, 1000 });
	add(&now, &(struct sample){ "svchostd", "idle", NULL, 3, 0, 0, 0 });
	top_rows(&out, &before, &now, 2000000);
	ck_assert_uint_eq(out.n, 3);
	ck_assert(row_is(&out.list[0], "service", "fast"));
	ck_assert_uint_eq(number(0, "bytes_in_rate"), 2000);
	ck_assert_uint_eq(number(0, "bytes_out_rate"), 4000);
	ck_assert(row_is(&out.list[0], "stalled_by", "far"));
	ck_assert_uint_eq(number(0, "stalled_permille"), 500);
	ck_assert(row_is(&out.list[0], "peer", "home-1"));
	ck_assert(row_is(&out.list[1], "service", "slow"));
	ck_assert_uint_eq(number(1, "bytes_in_rate"), 500);
	ck_assert(row_is(&out.list[1], "stalled_by", "local"));
	ck_assert_uint_eq(number(1, "stalled_permille"), 125);
	ck_assert(row_is(&out.list[2], "stalled_by", ""));
	ck_assert_uint_eq(number(2, "stalled_permille"), 0);
}
END_TEST

/* One that has ended is seen once, with the reason. */
START_TEST(ended)
{
	static const uint64_t ended_ms[] = { 300, 2300 };
	struct row_writer w;
	struct frame_bytes b;

	for (size_t i = 0; i < 2; i++) {
		row_init(&w);
		row_str(&w, "at", "svchostd");
		row_uint(&w, "stream", i);
		row_str(&w, "state", "ended");
		row_str(&w, "reason", i == 0 ? "target-down" : "none");
		row_uint(&w, "ended_ms", ended_ms[i]);
		b = (struct frame_bytes){ w.buf, w.len };
		rows_add(&now, &b);
	}
	top_rows(&out, &before, &now, 1000000);
	ck_assert_uint_eq(out.n, 1);
	ck_assert(row_is(&out.list[0], "state", "ended"));
	ck_assert(row_is(&out.list[0], "reason", "target-down"));
}
END_TEST

/* One that is new began within the time; a number used again begins anew; no time is no rate. */
START_TEST(changes)
{
	add(&before, &(struct sample){ "svchostd", "old", NULL, 7, 90000, 0, 0 });
	add(&now, &(struct sample){ "svchostd", "again", NULL, 7, 500, 0, 0 });
	add(&now, &(struct sample){ "svchostd", "new", NULL, 8, 300, 0, 0 });
	top_rows(&out, &before, &now, 1000000);
	ck_assert_uint_eq(out.n, 2);
	ck_assert_uint_eq(number(0, "bytes_in_rate"), 300);
	ck_assert_uint_eq(number(1, "bytes_in_rate"), 0);
	rows_free(&out);
	top_rows(&out, &before, &now, 0);
	ck_assert_uint_eq(number(0, "bytes_in_rate"), 0);
	ck_assert_uint_eq(number(0, "stalled_permille"), UINT64_MAX);
}
END_TEST

/* The same number at another place is another stream; what the adapter shows is not shown twice. */
START_TEST(places)
{
	add(&before, &(struct sample){ "dataplane", "vpn", "vpnd", 1, 100, 0, 0 });
	add(&before, &(struct sample){ "svchostd", "ssh", NULL, 1, 100, 0, 0 });
	add(&now, &(struct sample){ "svchostd", "ssh", NULL, 1, 300, 0, 0 });
	add(&now, &(struct sample){ "dataplane", "ssh", "svchostd", 9, 700, 0, 0 });
	add(&now, &(struct sample){ "dataplane", "vpn", "vpnd", 1, 600, 0, 0 });
	add(&now, &(struct sample){ "dataplane", "relayed", "session", 1, 50, 0, 0 });
	top_rows(&out, &before, &now, 1000000);
	ck_assert_uint_eq(out.n, 3);
	ck_assert(row_is(&out.list[0], "service", "vpn"));
	ck_assert_uint_eq(number(0, "bytes_in_rate"), 500);
	ck_assert(row_is(&out.list[1], "service", "ssh"));
	ck_assert_uint_eq(number(1, "bytes_in_rate"), 200);
	ck_assert(row_is(&out.list[2], "service", "relayed"));
	rows_free(&out);
	/* What vpnd says of what comes in takes the place of the dataplane's row. */
	add(&now, &(struct sample){ "vpnd", "vpn", NULL, 1, 600, 0, 0 });
	top_rows(&out, &before, &now, 1000000);
	ck_assert_uint_eq(out.n, 4);	/* that one says nothing of who opened it */
	rows_free(&out);
	rows_free(&now);
	/* Without the adapter's word the dataplane's is better than none. */
	add(&now, &(struct sample){ "dataplane", "ssh", "svchostd", 9, 700, 0, 0 });
	top_rows(&out, &before, &now, 1000000);
	ck_assert_uint_eq(out.n, 1);
}
END_TEST

/* Each finds its own among very many, in whatever order they come. */
START_TEST(many)
{
	const uint64_t n = 20000;

	for (uint64_t i = 0; i < n; i++)
		add(&before, &(struct sample){ "svchostd", "s", NULL, i, i, 0, 0 });
	for (uint64_t i = n; i-- > 0;)
		add(&now, &(struct sample){ "svchostd", "s", NULL, i, i + 10 + i % 3, 0, 0 });
	top_rows(&out, &before, &now, 1000000);
	ck_assert_uint_eq(out.n, n);
	ck_assert_uint_eq(number(0, "bytes_in_rate"), 12);
	ck_assert_uint_eq(number(n - 1, "bytes_in_rate"), 10);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("top");
	TCase *tc = tcase_create("top");

	tcase_add_checked_fixture(tc, NULL, teardown);
	tcase_add_test(tc, rates);
	tcase_add_test(tc, ended);
	tcase_add_test(tc, changes);
	tcase_add_test(tc, places);
	tcase_add_test(tc, many);
	suite_add_tcase(s, tc);
	return suite_run(s);
}
