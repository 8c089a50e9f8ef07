#include <check.h>
#include <stdlib.h>

#include "fabric/pressure.h"
#include "suite.h"

START_TEST(parts)
{
	ck_assert_uint_eq(pressure_of(0, 0), 0);
	ck_assert_uint_eq(pressure_of(1, 0), 0);
	ck_assert_uint_eq(pressure_of(0, 10), 0);
	ck_assert_uint_eq(pressure_of(5, 10), 500);
	ck_assert_uint_eq(pressure_of(11, 10), 1000);
	ck_assert_uint_eq(pressure_of(UINT64_MAX / 2, UINT64_MAX), 500);
}
END_TEST

/* Up at once, by a step; down when it stays down; what swings around a value is told once. */
START_TEST(told_on_change)
{
	struct pressure p = { 0 };
	struct frame_node_pressure now = { .cpu = 99 };

	ck_assert(!pressure_news(&p, &now));
	now.cpu = 100;
	ck_assert(pressure_news(&p, &now));
	ck_assert_uint_eq(p.told.cpu, 100);
	now.cpu = 199;
	ck_assert(!pressure_news(&p, &now));
	now.queue = 900;
	ck_assert(pressure_news(&p, &now));
	ck_assert_uint_eq(p.told.cpu, 199);
	for (unsigned i = 0; i < 20; i++) {	/* it swings */
		now.queue = i % 3 == 2 ? 900 : 100;
		ck_assert(!pressure_news(&p, &now));
	}
	now.queue = 900;
	ck_assert(!pressure_news(&p, &now));
	now.queue = 0;
	ck_assert(!pressure_news(&p, &now));
	ck_assert(!pressure_news(&p, &now));
	ck_assert(pressure_news(&p, &now));
	ck_assert_uint_eq(p.told.queue, 0);
	now.cpu = 0;
	ck_assert(!pressure_news(&p, &now));
	ck_assert(!pressure_news(&p, &now));
	ck_assert(pressure_news(&p, &now));
	for (unsigned i = 0; i < 10; i++)
		ck_assert(!pressure_news(&p, &now));
}
END_TEST

START_TEST(slows_bulk)
{
	struct frame_node_pressure n = { .queue = 1, .cpu = 3, .memory = 2, .descriptors = 9, .loss = 9 };

	ck_assert_uint_eq(pressure_level(&n), 3);
	ck_assert_uint_eq(pressure_room(799, 1000000), 1000000);
	ck_assert_uint_eq(pressure_room(800, 1000000), 750000);
	ck_assert_uint_eq(pressure_room(1000, 1000000), 100000);
	ck_assert_uint_eq(pressure_room(1000, 10), 4096);	/* something always moves */
	for (uint16_t l = 800; l < 1000; l++)
		ck_assert_uint_ge(pressure_room(l, 1 << 20), pressure_room((uint16_t)(l + 1), 1 << 20));
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("pressure");
	TCase *tc = tcase_create("pressure");

	tcase_add_test(tc, parts);
	tcase_add_test(tc, told_on_change);
	tcase_add_test(tc, slows_bulk);
	suite_add_tcase(s, tc);
	return suite_run(s);
}
