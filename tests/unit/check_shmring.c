#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "proc/shmring.h"
#include "suite.h"

static struct shmring a, b;
static int memory;

static void
setup_rings(void)
{
	memory = shmring_create();
	ck_assert_int_ne(memory, -1);
	ck_assert_int_eq(shmring_map(&a, memory, 0), 0);
	ck_assert_int_eq(shmring_map(&b, memory, 1), 0);
}

static void
teardown_rings(void)
{
	shmring_unmap(&a);
	shmring_unmap(&b);
	close(memory);
}

static bool
put(struct shmring *r, const void *p, size_t len)
{
	uint8_t *to = shmring_reserve(r, len);

	if (to == NULL)
		return false;
	memcpy(to, p, len);
	shmring_commit(r, len);
	return true;
}

START_TEST(each_direction_by_itself)
{
	const uint8_t *p;

	ck_assert(put(&a, "to b", 4) && put(&b, "to a!", 5));
	ck_assert_uint_eq(shmring_readable(&b, &p), 0);
	ck_assert_uint_eq(shmring_unpublished(&a), 4);
	ck_assert(!shmring_publish(&a) && !shmring_publish(&b));
	ck_assert_uint_eq(shmring_unpublished(&a), 0);
	ck_assert_uint_eq(shmring_readable(&b, &p), 4);
	ck_assert_mem_eq(p, "to b", 4);
	ck_assert_uint_eq(shmring_readable(&a, &p), 5);
	ck_assert_mem_eq(p, "to a!", 5);
	ck_assert_uint_eq(shmring_backlog(&a), 4);
	shmring_consume(&b, 4);
	ck_assert_msg(shmring_backlog(&a) == 4, "not released yet");
	ck_assert(!shmring_release(&b));
	ck_assert_uint_eq(shmring_backlog(&a), 0);
}
END_TEST

/* What is written and read at once is in one piece, wherever the ring ends, and indexes overflow. */
START_TEST(wraps_in_one_piece)
{
	static uint8_t block[100000];
	uint64_t written = 0, read = 0;
	uint32_t near_overflow = 0u - 300000u;
	const uint8_t *p;

	a.head = a.published = a.out_tail = near_overflow;
	b.tail = b.released = b.in_head = near_overflow;
	a.mine->head = near_overflow;
	b.mine->tail = near_overflow;
	while (read < 20ull * SHMRING_SIZE) {
		for (unsigned i = 0; i < 3; i++) {
			memset(block, (int)(written / sizeof(block)), sizeof(block));
			ck_assert(put(&a, block, sizeof(block)));
			written += sizeof(block);
		}
		shmring_publish(&a);
		while (read < written) {
			memset(block, (int)(read / sizeof(block)), sizeof(block));
			ck_assert_uint_eq(shmring_readable(&b, &p), written - read);
			ck_assert_mem_eq(p, block, sizeof(block));
			shmring_consume(&b, sizeof(block));
			read += sizeof(block);
		}
		shmring_release(&b);
	}
	ck_assert(!a.broken && !b.broken);
}
END_TEST

START_TEST(full_and_room_again)
{
	static uint8_t block[SHMRING_SIZE / 4];
	const uint8_t *p;

	for (unsigned i = 0; i < 4; i++)
		ck_assert(put(&a, block, sizeof(block)));
	ck_assert(!put(&a, block, 1));
	shmring_publish(&a);
	ck_assert_uint_eq(shmring_readable(&b, &p), SHMRING_SIZE);
	ck_assert_msg(shmring_wait(&a, SHMRING_SIZE / 2), "no room: to be woken");
	shmring_consume(&b, sizeof(block));
	ck_assert_msg(!shmring_release(&b), "that is not what it waits for");
	shmring_consume(&b, sizeof(block));
	ck_assert_msg(shmring_release(&b), "this is");
	ck_assert_msg(!shmring_release(&b), "once");
	ck_assert_msg(!shmring_wait(&a, SHMRING_SIZE / 2), "there is room already");
	ck_assert(put(&a, block, sizeof(block)));
	shmring_consume(&b, sizeof(block));
	ck_assert_msg(!shmring_release(&b), "nobody waits");
	ck_assert(put(&a, block, sizeof(block)) && put(&a, block, sizeof(block)) && !put(&a, block, 1));
}
END_TEST

START_TEST(the_bell_is_for_who_sleeps)
{
	const uint8_t *p;

	ck_assert(shmring_sleep(&b));
	ck_assert(put(&a, "x", 1));
	ck_assert(shmring_publish(&a));
	ck_assert_msg(!shmring_publish(&a), "nothing new");
	ck_assert(put(&a, "x", 1));
	ck_assert_msg(!shmring_publish(&a), "it is awake, or about to be");
	ck_assert_msg(!shmring_sleep(&b), "there is something to read");
	ck_assert(put(&a, "x", 1));
	ck_assert_msg(!shmring_publish(&a), "it does not sleep after all");
	ck_assert_uint_eq(shmring_readable(&b, &p), 3);
	shmring_consume(&b, 2);
	ck_assert_msg(!shmring_sleep(&b), "one byte is left");
	shmring_consume(&b, 1);
	ck_assert(shmring_sleep(&b));
	shmring_wake(&b);
	ck_assert(put(&a, "x", 1) && !shmring_publish(&a));
}
END_TEST

/* Where the index of the other side stands, and what is said of it. */
static const struct {
	uint32_t before, said;	/* both read, or were read, up to `before` */
	bool	 good;
} heads[] = {
	{ 1000, 1000, true }, { 1000, 1001, true }, { 1000, 1000 + SHMRING_SIZE, true },
	{ 1000, 999, false }, { 1000, 0, false }, { 1000, 1001 + SHMRING_SIZE, false }, { 1000, 0x80000000u, false },
	{ 0, 0xffffffffu, false }, { 0xffffffffu, 5, true }, { 0xffffffffu, 0xfffffffeu, false },
};

START_TEST(hostile_head)
{
	const uint8_t *p;

	b.tail = b.released = b.in_head = heads[_i].before;
	a.mine->head = heads[_i].said;
	ck_assert_uint_eq(shmring_readable(&b, &p), heads[_i].good ? heads[_i].said - heads[_i].before : 0);
	ck_assert(b.broken == !heads[_i].good);
	a.mine->head = heads[_i].before + 1;
	ck_assert_msg(heads[_i].good || shmring_readable(&b, &p) == 0, "broken is for good");
}
END_TEST

/* It goes back behind what was seen of it, in the middle of reading. */
START_TEST(head_goes_back)
{
	const uint8_t *p;

	a.mine->head = 100;
	ck_assert_uint_eq(shmring_readable(&b, &p), 100);
	shmring_consume(&b, 100);
	a.mine->head = 50;
	ck_assert_uint_eq(shmring_readable(&b, &p), 0);
	ck_assert(b.broken);
}
END_TEST

static const struct {
	uint32_t said;		/* 1000 were shown, and 400 read */
	bool	 good;
} tails[] = {
	{ 400, true }, { 401, true }, { 1000, true },
	{ 399, false }, { 0, false }, { 1001, false }, { 2000, false }, { 0xffffffffu, false }, { 0x80000000u, false },
};

START_TEST(hostile_tail)
{
	static uint8_t block[SHMRING_SIZE - 1500];

	ck_assert(put(&a, block, 1000));
	shmring_publish(&a);
	b.mine->tail = 400;
	ck_assert_uint_eq(shmring_backlog(&a), 600);
	ck_assert(put(&a, block, 500));		/* written, and not shown */
	b.mine->tail = tails[_i].said;
	ck_assert_ptr_eq(shmring_reserve(&a, SHMRING_SIZE + 1), NULL);
	ck_assert(a.broken == !tails[_i].good);
	ck_assert_uint_le(shmring_backlog(&a), 1500);
	ck_assert_msg(put(&a, block, sizeof(block)) == tails[_i].good, "a broken ring takes nothing");
}
END_TEST

START_TEST(memory_that_is_not_a_ring)
{
	struct shmring r;
	int fd = memfd_create("x", MFD_ALLOW_SEALING | MFD_CLOEXEC);

	ck_assert_int_eq(shmring_map(&r, memory, 2), -1);
	ck_assert_int_eq(shmring_map(&r, -1, 0), -1);
	ck_assert_int_eq(ftruncate(fd, SHMRING_LEN), 0);
	ck_assert_msg(shmring_map(&r, fd, 0) == -1, "it can still shrink");
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	ck_assert_int_eq(shmring_map(&r, fd, 0), 0);
	shmring_unmap(&r);
	ck_assert_int_eq(ftruncate(fd, SHMRING_LEN + 4096), 0);
	ck_assert_msg(shmring_map(&r, fd, 0) == -1, "its size is another");
	close(fd);
	ck_assert_int_eq(ftruncate(memory, SHMRING_LEN - 1), -1);
	ck_assert_int_eq(ftruncate(memory, SHMRING_LEN + 1), -1);
	ck_assert_int_eq(fcntl(memory, F_ADD_SEALS, F_SEAL_WRITE), -1);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("shmring");
	TCase *tc = tcase_create("rings");

	tcase_add_checked_fixture(tc, setup_rings, teardown_rings);
	tcase_add_test(tc, each_direction_by_itself);
	tcase_add_test(tc, wraps_in_one_piece);
	tcase_add_test(tc, full_and_room_again);
	tcase_add_test(tc, the_bell_is_for_who_sleeps);
	tcase_add_loop_test(tc, hostile_head, 0, sizeof(heads) / sizeof(heads[0]));
	tcase_add_test(tc, head_goes_back);
	tcase_add_loop_test(tc, hostile_tail, 0, sizeof(tails) / sizeof(tails[0]));
	tcase_add_test(tc, memory_that_is_not_a_ring);
	suite_add_tcase(s, tc);
	return suite_run(s);
}
