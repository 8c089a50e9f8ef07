/* The dataplane's small tables: deadlines, connection ids, failing prefixes. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "base/clock.h"
#include "fabricd/dataplane/cid.h"
#include "fabricd/dataplane/limits.h"
#include "fabricd/dataplane/moved.h"
#include "fabricd/dataplane/timer.h"
#include "suite.h"

#define TIMERS 500

static unsigned woken;

static void
on_due(void *arg)
{
	(void)arg;
	woken++;
}

/* Against the plainest of models: whatever is set, moved and taken, the earliest comes first and none is lost. */
START_TEST(timers_in_order)
{
	static struct timer timer[TIMERS];
	struct event_base *base = event_base_new();
	struct timers *t = timers_new(base, on_due, NULL);
	unsigned seed = 3, set = 0, taken = 0;
	uint64_t now = 0, last;
	struct timer *tm;

	ck_assert_ptr_nonnull(t);
	memset(timer, 0, sizeof(timer));
	for (unsigned i = 0; i < TIMERS; i++)
		ck_assert_int_eq(timers_reserve(t), 0);
	for (unsigned round = 0; round < 20000; round++) {
		tm = &timer[(unsigned)rand_r(&seed) % TIMERS];
		set += tm->place == 0;
		timers_set(t, tm, now + (unsigned)rand_r(&seed) % 1000);
		if (round % 3 != 0)
			continue;
		now += (unsigned)rand_r(&seed) % 5;
		for (last = 0; (tm = timers_due(t, now)) != NULL; taken++) {
			ck_assert_uint_le(tm->at_ns, now);
			ck_assert_uint_ge(tm->at_ns, last);
			ck_assert_uint_eq(tm->place, 0);
			last = tm->at_ns;
		}
		for (unsigned i = 0; i < TIMERS; i++)
			ck_assert(timer[i].place == 0 || timer[i].at_ns > now);
	}
	while (timers_due(t, UINT64_MAX) != NULL)
		taken++;
	ck_assert_uint_eq(set, taken);
	for (unsigned i = 0; i < TIMERS; i++)
		timers_release(t, &timer[i]);
	timers_free(t);
	event_base_free(base);
}
END_TEST

START_TEST(timers_wake_the_loop)
{
	struct event_base *base = event_base_new();
	struct timers *t = timers_new(base, on_due, NULL);
	struct timer a = { 0 }, b = { 0 };
	uint64_t began = clock_ns();

	woken = 0;
	ck_assert_int_eq(timers_reserve(t), 0);
	ck_assert_int_eq(timers_reserve(t), 0);
	timers_set(t, &a, began + 50 * NS_PER_MS);
	timers_set(t, &b, began + 5 * NS_PER_MS);
	timers_arm(t);
	event_base_loop(base, EVLOOP_ONCE);
	ck_assert_uint_eq(woken, 1);
	ck_assert_uint_ge(clock_ns(), began + 5 * NS_PER_MS);
	ck_assert_ptr_eq(timers_due(t, clock_ns()), &b);
	timers_arm(t);
	event_base_loop(base, EVLOOP_ONCE);
	ck_assert_uint_eq(woken, 2);
	ck_assert_uint_ge(clock_ns(), began + 50 * NS_PER_MS);
	ck_assert_ptr_eq(timers_due(t, clock_ns()), &a);
	timers_release(t, &a);
	timers_release(t, &b);
	timers_free(t);
	event_base_free(base);
}
END_TEST

static void
make_id(uint8_t *id, unsigned n)
{
	memset(id, 0x33, CID_MAX);
	memcpy(id, &n, sizeof(n));
}

START_TEST(connection_ids)
{
	struct cid_table *t = cid_table_new(42);
	struct conn *c[3] = { (struct conn *)1, (struct conn *)2, (struct conn *)3 };	/* only compared */
	struct cid_list list[3];
	uint8_t id[CID_MAX];

	for (int i = 0; i < 3; i++)
		LIST_INIT(&list[i]);
	for (unsigned n = 0; n < 3000; n++) {
		make_id(id, n);
		ck_assert_int_eq(cid_add(t, &list[n % 3], c[n % 3], id, 8 + n % 13), 0);
		ck_assert_int_eq(cid_add(t, &list[n % 3], c[n % 3], id, 8 + n % 13), 0);	/* again is the same */
		ck_assert_int_eq(cid_add(t, &list[(n + 1) % 3], c[(n + 1) % 3], id, 8 + n % 13), -1);
	}
	for (unsigned n = 0; n < 3000; n++) {
		make_id(id, n);
		ck_assert_ptr_eq(cid_find(t, id, 8 + n % 13), c[n % 3]);
		ck_assert_ptr_null(cid_find(t, id, 7 + n % 13));
	}
	cid_remove_all(t, &list[1]);
	for (unsigned n = 0; n < 3000; n++) {
		make_id(id, n);
		ck_assert_ptr_eq(cid_find(t, id, 8 + n % 13), n % 3 == 1 ? NULL : c[n % 3]);
		cid_remove(t, id, 8 + n % 13);
		cid_remove(t, id, 8 + n % 13);
	}
	ck_assert(LIST_EMPTY(&list[0]) && LIST_EMPTY(&list[2]));
	ck_assert_int_eq(cid_add(t, &list[0], c[0], id, CID_MAX + 1), -1);
	cid_table_free(t);
}
END_TEST

START_TEST(prefixes)
{
	struct prefix_table *t = prefix_table_new(7);
	struct pm_addr v4 = { .family = 4, .addr = { 192, 0, 2, 1 } };
	struct pm_addr v6 = { .family = 6, .addr = { 0x20, 1, 0xd, 0xb8, 0, 0, 0x12, 0x34, 1 } };
	uint64_t now = 1000 * NS_PER_SEC;

	for (int i = 0; i < 5; i++) {
		ck_assert(!prefix_blocked(t, &v4, 5, now));
		v4.addr[3] = (uint8_t)i;	/* all of one /24 */
		prefix_failed(t, &v4, now);
	}
	ck_assert(prefix_blocked(t, &v4, 5, now));
	ck_assert(!prefix_blocked(t, &v4, 0, now));	/* no limit */
	v4.addr[2] ^= 1;
	ck_assert(!prefix_blocked(t, &v4, 5, now));
	v4.addr[2] ^= 1;
	ck_assert(prefix_blocked(t, &v4, 5, now + 59 * NS_PER_SEC));
	ck_assert(!prefix_blocked(t, &v4, 5, now + 60 * NS_PER_SEC));
	for (int i = 0; i < 5; i++) {
		v6.addr[7] = (uint8_t)i;	/* all of one /56 */
		prefix_failed(t, &v6, now);
	}
	ck_assert(prefix_blocked(t, &v6, 5, now));
	v6.addr[6] ^= 1;
	ck_assert(!prefix_blocked(t, &v6, 5, now));
	/* A flood of other prefixes takes no more memory, and the table still works. */
	for (uint32_t i = 0; i < 100000; i++) {
		struct pm_addr other = { .family = 4, .addr = { 10 } };

		other.addr[1] = (uint8_t)(i >> 8);
		other.addr[2] = (uint8_t)i;
		other.addr[0] = (uint8_t)(11 + (i >> 16));
		prefix_failed(t, &other, now + i);
	}
	for (int i = 0; i < 5; i++)
		prefix_failed(t, &v4, now + NS_PER_SEC);
	ck_assert(prefix_blocked(t, &v4, 5, now + NS_PER_SEC));
	prefix_table_free(t);
}
END_TEST

/* Against the plainest of models: the last MOVED_MAX that were put there, but for what was dropped since, by their new ids. */
START_TEST(moved_streams)
{
	static struct moveds ms;
	static struct { const struct port *port; uint32_t id; } model[MOVED_MAX];
	const struct port *ports[2] = { (const void *)&model[0], (const void *)&model[1] };
	uint32_t next = 2;
	unsigned seed = 5, nput = 0;

	memset(&ms, 0, sizeof(ms));
	memset(model, 0, sizeof(model));
	for (unsigned round = 0; round < 50000; round++) {
		unsigned k = (unsigned)rand_r(&seed) % MOVED_MAX, what = (unsigned)rand_r(&seed) % 8;
		struct moved *m = model[k].id == 0 ? NULL : moved_find(&ms, model[k].port, model[k].id);

		ck_assert(m == NULL || (m == &ms.ring[k] && m->id == model[k].id));
		ck_assert(model[k].id == 0 || m != NULL);
		ck_assert(m == NULL || moved_find(&ms, ports[model[k].port == ports[0]], m->id) == NULL);
		next += 2 * (1 + (unsigned)rand_r(&seed) % 3);	/* now and then two of a chain */
		if (what < 4) {
			k = nput++ % MOVED_MAX;
			model[k].port = ports[round % 2];
			model[k].id = next;
			m = moved_put(&ms, model[k].port, next);
			ck_assert_ptr_eq(m, &ms.ring[k]);
			ck_assert_uint_eq(m->decided_ns, 0);
			m->decided_ns = 1;
		} else if (what < 6 && m != NULL) {
			ck_assert_uint_eq(m->decided_ns, 1);
			moved_rename(&ms, m, next);
			ck_assert_ptr_null(moved_find(&ms, model[k].port, model[k].id));
			model[k].id = next;
		} else if (what == 6 && m != NULL) {
			moved_drop(&ms, m);
			ck_assert_ptr_null(moved_find(&ms, model[k].port, model[k].id));
			model[k].id = 0;
		} else if (round % 1000 == 7) {
			moved_forget(&ms, ports[0]);
			for (size_t i = 0; i < MOVED_MAX; i++)
				if (model[i].port == ports[0])
					model[i].id = 0;
		}
	}
	ck_assert_uint_gt(nput, 3 * MOVED_MAX);
	ck_assert_ptr_null(moved_find(&ms, ports[0], 0));
}
END_TEST

static Suite *
suite(void)
{
	const TTest *const tests[] = { timers_in_order, timers_wake_the_loop, connection_ids, prefixes, moved_streams };
	Suite *s = suite_create("dptables");
	TCase *tc = tcase_create("tables");

	tcase_set_timeout(tc, 60);
	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
		tcase_add_test(tc, tests[i]);
	suite_add_tcase(s, tc);
	return s;
}

int
main(void)
{
	return suite_run(suite());
}
