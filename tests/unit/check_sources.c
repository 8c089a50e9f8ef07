/* routed: what a coordinator remembers of those who ask it. */
#include <check.h>
#include <string.h>

#include "base/clock.h"
#include "routed/sources.h"
#include "suite.h"

#define T	1800000000000ull	/* ms */

static struct sources sources;

static struct source *
get(uint32_t n, uint64_t now_ns)
{
	uint8_t id[NODE_ID_LEN] = { 0 };
	struct source *s;

	memcpy(id, &n, sizeof(n));
	s = source_get(&sources, id, now_ns);
	ck_assert_ptr_nonnull(s);
	return s;
}

static void
teardown(void)
{
	sources_clear(&sources);
}

/* Each once, in whatever order they come; what is older than as many as are remembered was there. */
START_TEST(hears_once)
{
	struct source *s = get(1, 1);

	ck_assert(source_hear(s, T));
	ck_assert(!source_hear(s, T));
	ck_assert(source_hear(s, T + 2));
	ck_assert(source_hear(s, T + 1));
	ck_assert(source_hear(s, T - 100));
	for (uint64_t i = 0; i < 3; i++)
		ck_assert(!source_hear(s, T + i));
	ck_assert(!source_hear(s, T - 100));
	ck_assert(source_hear(get(2, 1), T));	/* another's */
	for (uint64_t i = 10; i < 1000; i++)
		ck_assert(source_hear(s, T + i));
	for (uint64_t i = 0; i < 1000; i++)
		ck_assert(!source_hear(s, T + i));
}
END_TEST

/* The other way round: the latest comes first, and all the others in the window are still taken, once. */
START_TEST(what_was_overtaken)
{
	struct source *s = get(1, 1);

	for (uint64_t i = SOURCE_HEARD; i > 0; i--)
		ck_assert(source_hear(s, T + i));
	for (uint64_t i = SOURCE_HEARD; i > 0; i--)
		ck_assert(!source_hear(s, T + i));
	ck_assert(source_hear(s, T + SOURCE_HEARD + 1));
	ck_assert(!source_hear(s, T + 1));	/* driven out, and not forgotten */
	ck_assert(!source_hear(s, T));
	/* One that is older than all that are remembered, and newer than any that was driven out, was not there. */
	s = get(2, 1);
	for (uint64_t i = 0; i < SOURCE_HEARD; i++)
		ck_assert(source_hear(s, T + i));
	ck_assert(source_hear(s, T - 1));
	ck_assert(!source_hear(s, T - 1));
	ck_assert(!source_hear(s, T - 2));
}
END_TEST

/* However many ask, there is room, and who has not asked for the longest gives it. */
START_TEST(bounded)
{
	ck_assert(source_hear(get(7, 1), T));
	for (uint32_t i = 0; i < 3 * SOURCES_MAX; i++)
		if (i % 1024 != 7)
			get(i, 100 + i);
	ck_assert(!source_hear(get(7, 5), T));
	for (uint32_t i = 1; i < 4; i++)
		get(7 + i * 1024, 10 + i);
	get(7, 20);
	get(7 + 4 * 1024, 21);
	ck_assert(!source_hear(get(7, 22), T));
	for (uint32_t i = 5; i < 9; i++)
		get(7 + i * 1024, 30 + i);
	ck_assert(source_hear(get(7, 50), T));
}
END_TEST

START_TEST(remembers_what_it_leased)
{
	const uint8_t relay[NODE_ID_LEN] = { 1 };
	uint8_t other[NODE_ID_LEN] = { 2 };
	struct source *s = get(1, 1);

	ck_assert(!source_leased(s, relay, 1));
	source_lease(s, relay, 1);
	ck_assert(source_leased(s, relay, SOURCE_LEASED_NS));
	ck_assert(!source_leased(s, relay, 1 + SOURCE_LEASED_NS));
	ck_assert(!source_leased(s, other, 1));
	ck_assert(!source_leased(get(2, 1), relay, 1));
	for (unsigned i = 0; i < SOURCE_RELAYS - 1; i++) {
		other[1] = (uint8_t)i;
		source_lease(s, other, 2);
	}
	ck_assert(source_leased(s, relay, 2));
	source_lease(s, relay, 3);	/* again: it takes no other's place */
	other[1] = 0;
	ck_assert(source_leased(s, other, 3));
	other[1] = 200;
	source_lease(s, other, 4);
	ck_assert(source_leased(s, relay, 4));
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("sources");
	TCase *tc = tcase_create("sources");

	tcase_add_checked_fixture(tc, NULL, teardown);
	tcase_add_test(tc, hears_once);
	tcase_add_test(tc, what_was_overtaken);
	tcase_add_test(tc, bounded);
	tcase_add_test(tc, remembers_what_it_leased);
	suite_add_tcase(s, tc);
	return suite_run(s);
}
