#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proc/stats.h"
#include "suite.h"

START_TEST(lists)
{
	size_t count;
	const struct stats_desc *d = stats_desc((enum worker_kind)_i, &count);

	ck_assert_uint_gt(count, 0);
	ck_assert_ptr_nonnull(d);
	for (size_t i = 0; i < count; i++) {
		ck_assert_uint_gt(strlen(d[i].name), 7);
		ck_assert_msg(strncmp(d[i].name, "fabric_", 7) == 0, "%s", d[i].name);
		ck_assert_msg(strspn(d[i].name, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(d[i].name),
		    "%s", d[i].name);
		ck_assert_msg(strpbrk(d[i].labels, "{}\n") == NULL && strpbrk(d[i].help, "\n\\") == NULL,
		    "%s", d[i].name);
		for (size_t j = 0; j < i; j++)
			ck_assert_msg(strcmp(d[i].name, d[j].name) != 0 || strcmp(d[i].labels, d[j].labels) != 0,
			    "%s{%s} twice", d[i].name, d[i].labels);
	}
}
END_TEST

START_TEST(no_such_list)
{
	size_t count = 1;

	ck_assert_ptr_null(stats_desc(WORKER_SUPERVISOR, &count));
	ck_assert_uint_eq(count, 0);
}
END_TEST

/* One writes, the other reads; a new generation goes on counting. */
START_TEST(page)
{
	int fd = stats_create(), ro;
	const struct stats_page *seen;
	size_t count;

	ck_assert_int_ne(fd, -1);
	STAT_INC(VPND_STARTS);	/* before there is a page */
	ro = stats_open_ro(fd);
	ck_assert_int_ne(ro, -1);
	seen = stats_map_ro(ro);
	ck_assert_ptr_nonnull(seen);
	ck_assert_int_eq(fcntl(ro, F_GETFD), -1);
	ck_assert_uint_eq(seen->magic, 0);

	stats_desc(WORKER_VPND, &count);
	ck_assert_int_eq(stats_map(dup(fd), WORKER_VPND, 3), 0);
	ck_assert_uint_eq(seen->magic, STATS_MAGIC);
	ck_assert_uint_eq(seen->kind, WORKER_VPND);
	ck_assert_uint_eq(seen->generation, 3);
	ck_assert_uint_eq(seen->count, count);
	STAT_ADD(VPND_STARTS, 41);
	STAT_INC(VPND_STARTS);
	ck_assert_uint_eq(seen->counter[STAT_VPND_STARTS], 42);

	ck_assert_int_eq(stats_map(fd, WORKER_VPND, 4), 0);
	STAT_INC(VPND_STARTS);
	ck_assert_uint_eq(seen->generation, 4);
	ck_assert_uint_eq(seen->counter[STAT_VPND_STARTS], 43);
	stats_unmap(seen);
	stats_unmap(NULL);
}
END_TEST

START_TEST(reader_cannot_write)
{
	int fd = stats_create(), ro = stats_open_ro(fd);

	ck_assert_ptr_eq(mmap(NULL, STATS_PAGE_LEN, PROT_READ | PROT_WRITE, MAP_SHARED, ro, 0), MAP_FAILED);
	ck_assert_int_eq(write(ro, "x", 1), -1);
	close(ro);
	close(fd);
}
END_TEST

START_TEST(size_is_sealed)
{
	int fd = stats_create();

	ck_assert_int_eq(ftruncate(fd, 0), -1);
	ck_assert_int_eq(ftruncate(fd, 2 * STATS_PAGE_LEN), -1);
	ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
	close(fd);
}
END_TEST

/* What is not a page of ours is not mapped, and closed all the same. */
START_TEST(refuses_other_descriptors)
{
	int fd = memfd_create("small", MFD_ALLOW_SEALING), p[2];

	ck_assert_int_eq(ftruncate(fd, STATS_PAGE_LEN - 1), 0);
	ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	ck_assert_ptr_null(stats_map_ro(fd));
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_int_eq(fcntl(fd, F_GETFD), -1);

	fd = memfd_create("unsealed", MFD_ALLOW_SEALING);
	ck_assert_int_eq(ftruncate(fd, STATS_PAGE_LEN), 0);
	ck_assert_int_eq(stats_map(fd, WORKER_VPND, 1), -1);
	ck_assert_int_eq(errno, EINVAL);

	ck_assert_int_eq(pipe(p), 0);
	ck_assert_ptr_null(stats_map_ro(p[0]));
	ck_assert_ptr_null(stats_map_ro(-1));
	close(p[1]);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("stats");
	TCase *tc = tcase_create("stats");

	tcase_add_loop_test(tc, lists, 0, WORKER_COUNT);
	tcase_add_test(tc, no_such_list);
	tcase_add_test(tc, page);
	tcase_add_test(tc, reader_cannot_write);
	tcase_add_test(tc, size_is_sealed);
	tcase_add_test(tc, refuses_other_descriptors);
	suite_add_tcase(s, tc);
	return suite_run(s);
}
