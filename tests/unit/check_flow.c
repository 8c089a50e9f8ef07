#include <check.h>
#include <errno.h>
#include <stdlib.h>

#include "suite.h"
#include "vpnd/flow.h"
#include "vpnd/lpm.h"

#define SEC 1000000000ull
#define MS 1000000ull

static struct seal_tx *
sealer(void)
{
	static const uint8_t key[AEAD_KEY_LEN];

	return seal_tx_new(AEAD_AESGCM, key, NULL, 0);
}

/* Counts in next_seq that it was there, and takes every second away. */
static void
visit(struct vpn_stream *s, void *arg)
{
	struct vpn_streams *t = arg;

	s->next_seq++;
	if (s->id % 2 == 0)
		vpn_stream_remove(t, s->id);
}

START_TEST(life)
{
	struct flow f = { 0 };

	ck_assert_int_eq(flow_state(&f, 0), FLOW_CLOSED);
	flow_opened(&f, 2, sealer(), 10 * SEC);
	ck_assert_int_eq(flow_state(&f, 10 * SEC), FLOW_READY);
	ck_assert(!flow_idle(&f, 69 * SEC));
	ck_assert(flow_idle(&f, 70 * SEC));
	f.used_ns = 50 * SEC;
	ck_assert(!flow_idle(&f, 70 * SEC));
	flow_forget(&f);
	ck_assert_ptr_null(f.tx);
	ck_assert_int_eq(flow_state(&f, 0), FLOW_CLOSED);
	ck_assert(!flow_idle(&f, 1000 * SEC));
}
END_TEST

/* Reset again and again: longer each time, to a limit; a stream that lived makes up for it. */
START_TEST(backoff)
{
	struct flow f = { 0 };
	uint64_t now = SEC, last = 0;

	for (unsigned i = 0; i < 20; i++) {
		uint64_t wait;

		flow_opened(&f, 2 + 2 * i, sealer(), now);
		now += MS;
		flow_reset(&f, now);
		ck_assert_ptr_null(f.tx);	/* no key outlives its stream */
		ck_assert_int_eq(flow_state(&f, now), FLOW_WAIT);
		wait = f.retry_ns - now;
		ck_assert_uint_ge(wait, last);
		ck_assert_uint_ge(wait, FLOW_BACKOFF_MIN_NS);
		ck_assert_uint_le(wait, FLOW_BACKOFF_MAX_NS);
		ck_assert_int_eq(flow_state(&f, now + wait - 1), FLOW_WAIT);
		now += wait;
		ck_assert_int_eq(flow_state(&f, now), FLOW_CLOSED);
		last = wait;
	}
	ck_assert_uint_eq(last, FLOW_BACKOFF_MAX_NS);
	flow_opened(&f, 100, sealer(), now);
	now += FLOW_STABLE_NS;
	flow_reset(&f, now);
	ck_assert_uint_eq(f.retry_ns - now, FLOW_BACKOFF_MIN_NS);
	flow_forget(&f);
	ck_assert_int_eq(flow_state(&f, now), FLOW_CLOSED);
}
END_TEST

/* Moved to another way it opens again at once, unless that was just so. */
START_TEST(moved)
{
	struct flow f = { 0 };

	flow_opened(&f, 2, sealer(), SEC);
	flow_moved(&f, SEC + FLOW_MOVED_NS);
	ck_assert_ptr_null(f.tx);
	ck_assert_int_eq(flow_state(&f, SEC + FLOW_MOVED_NS), FLOW_CLOSED);
	flow_opened(&f, 4, sealer(), 2 * SEC);
	flow_moved(&f, 2 * SEC + FLOW_MOVED_NS - 1);
	ck_assert_ptr_null(f.tx);
	ck_assert_int_eq(flow_state(&f, 2 * SEC + FLOW_MOVED_NS - 1), FLOW_WAIT);
	ck_assert_uint_eq(f.retry_ns, 2 * SEC + FLOW_MOVED_NS - 1 + FLOW_BACKOFF_MIN_NS);
	flow_forget(&f);
}
END_TEST

/* Which stream the next one takes the place of: one that was lost, and whose packets have waited. */
START_TEST(before)
{
	struct flow f = { 0 };
	uint64_t at;

	ck_assert_uint_eq(flow_before(&f, 0), 0);
	flow_opened(&f, 2, sealer(), SEC);
	ck_assert_uint_eq(flow_before(&f, SEC), 0);
	flow_moved(&f, 2 * SEC);
	ck_assert_uint_eq(flow_before(&f, 2 * SEC), 2);
	ck_assert_uint_eq(flow_before(&f, 2 * SEC + FLOW_AGAIN_NS), 0);		/* there was nothing to send */
	flow_opened(&f, 4, sealer(), 3 * SEC);
	ck_assert_uint_eq(flow_before(&f, 3 * SEC), 0);
	flow_reset(&f, 4 * SEC);
	at = f.retry_ns;
	ck_assert_uint_eq(flow_before(&f, at), 4);	/* before that it was not allowed to */
	flow_reset(&f, at);		/* it could not be opened: still that */
	ck_assert_uint_eq(flow_before(&f, f.retry_ns), 4);
	flow_forget(&f);
	ck_assert_uint_eq(flow_before(&f, at), 0);
}
END_TEST

START_TEST(table)
{
	static struct vpn_streams t;

	for (uint64_t id = 1; id <= 5000; id++) {
		struct vpn_stream *s = vpn_stream_add(&t, id, (uint32_t)(id % 3), id % 2 ? STREAM_IN : STREAM_FLOW);

		ck_assert_ptr_nonnull(s);
		ck_assert_ptr_eq(s, vpn_stream_find(&t, id));
	}
	ck_assert_ptr_null(vpn_stream_find(&t, 0));
	ck_assert_ptr_null(vpn_stream_find(&t, 5001));
	vpn_stream_remove(&t, 1025);	/* shares a bucket with 1 and 2049 */
	vpn_stream_remove(&t, 1025);
	ck_assert_ptr_null(vpn_stream_find(&t, 1025));
	ck_assert_ptr_nonnull(vpn_stream_find(&t, 1));
	ck_assert_ptr_nonnull(vpn_stream_find(&t, 2049));
	vpn_stream_remove_peer(&t, 1);
	for (uint64_t id = 1; id <= 5000; id++)
		ck_assert((vpn_stream_find(&t, id) == NULL) == (id % 3 == 1 || id == 1025));
	vpn_stream_each(&t, visit, &t);
	for (uint64_t id = 1; id <= 5000; id++) {
		struct vpn_stream *s = vpn_stream_find(&t, id);

		ck_assert((s == NULL) == (id % 3 == 1 || id == 1025 || id % 2 == 0));
		ck_assert(s == NULL || s->next_seq == 1);
	}
	vpn_stream_remove_peer(&t, LPM_NONE);
	ck_assert_uint_eq(t.count, 0);
}
END_TEST

START_TEST(table_is_bounded)
{
	static struct vpn_streams t;

	for (uint64_t id = 1; id <= STREAMS_MAX; id++)
		ck_assert_ptr_nonnull(vpn_stream_add(&t, id, 0, STREAM_IN));
	ck_assert_ptr_null(vpn_stream_add(&t, STREAMS_MAX + 1, 0, STREAM_IN));
	ck_assert_int_eq(errno, ENOSPC);
	vpn_stream_remove_peer(&t, 0);
	ck_assert_uint_eq(t.count, 0);
}
END_TEST

START_TEST(sequence)
{
	static const struct { uint32_t seq; int64_t gap; } steps[] = {
		{ 0xfffffffe, 0 }, { 0xffffffff, 0 }, { 0, 0 }, { 5, 4 }, { 3, -1 }, { 5, -1 }, { 6, 0 }, { 1006, 999 },
		{ 1006 + 0x70000000u, 0x6fffffff }, { 1007, -1 },
	};
	struct vpn_stream s = { 0 };

	for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++)
		ck_assert_msg(vpn_stream_seen(&s, steps[i].seq) == steps[i].gap, "step %zu", i);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("flow");
	TCase *tc = tcase_create("flow");

	tcase_add_test(tc, life);
	tcase_add_test(tc, backoff);
	tcase_add_test(tc, moved);
	tcase_add_test(tc, before);
	tcase_add_test(tc, table);
	tcase_add_test(tc, table_is_bounded);
	tcase_add_test(tc, sequence);
	suite_add_tcase(s, tc);
	return suite_run(s);
}
