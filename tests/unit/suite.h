/* What the main() of every unit test does. */
#ifndef TESTS_UNIT_SUITE_H
#define TESTS_UNIT_SUITE_H

#include <check.h>

/* Runs `s', which is freed, as the CK_ variables of check(3) say. What main() returns: 0 when all of it is true. */
static inline int
suite_run(Suite *s)
{
	SRunner *sr = srunner_create(s);
	int failed;

	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}

/* A suite of one case; `each_begin' and `each_end' are called around each of its tests, in its process. */
static inline Suite *
suite_of(const char *name, const TTest *const *tests, size_t ntests, SFun each_begin, SFun each_end)
{
	Suite *s = suite_create(name);
	TCase *tc = tcase_create(name);

	tcase_add_checked_fixture(tc, each_begin, each_end);
	tcase_set_timeout(tc, 60);
	for (size_t i = 0; i < ntests; i++)
		tcase_add_test(tc, tests[i]);
	suite_add_tcase(s, tc);
	return s;
}

#endif
