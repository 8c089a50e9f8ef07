/* What the ends of streams are made of: the ring that keeps bytes, and the account of packet numbers. */
#include <check.h>
#include <stdlib.h>

#include "fabric/loss.h"
#include "fabric/ring.h"
#include "stream_bytes.h"
#include "suite.h"

START_TEST(packet_numbers_wrap)
{
	struct loss l = { 0 };

	ck_assert_int_eq(loss_seen(&l, UINT32_MAX - 1), LOSS_NEW);
	ck_assert_int_eq(loss_seen(&l, 1), LOSS_NEW);
	ck_assert_int_eq(loss_seen(&l, UINT32_MAX), LOSS_NEW);
	ck_assert_int_eq(loss_seen(&l, 0), LOSS_NEW);
	ck_assert_int_eq(loss_seen(&l, 0), LOSS_DUPLICATE);
	ck_assert_int_eq(loss_seen(&l, UINT32_MAX - 2), LOSS_NEW);	/* before the first */
	ck_assert_uint_eq(loss_missing(&l), 0);
	ck_assert_int_eq(loss_seen(&l, 1000), LOSS_NEW);
	ck_assert_int_eq(loss_seen(&l, 900), LOSS_LATE);
	ck_assert_uint_eq(loss_missing(&l), 998);
}
END_TEST

START_TEST(the_ring_keeps_its_bytes)
{
	uint8_t buf[7000];
	struct budget bud;
	struct ring r;
	uint64_t in = 0, out = 0, ahead = 0, seed = 1;

	budget_init(&bud, 1u << 30);
	ring_init(&r);
	for (unsigned i = 0; i < 5000; i++) {
		size_t n = (size_t)((seed = seed * 6364136223846793005ull + 1) >> 33) % sizeof(buf), k;

		switch (r.len > 60000 ? 3 : seed >> 61) {
		case 0: case 1: case 2:
			for (k = 0; k < n; k++)
				buf[k] = byte_at(in + k);
			ck_assert_int_eq(ring_put(&r, &bud, buf, n), 0);
			in += n;
			break;
		case 3: case 4:
			k = ring_get(&r, &bud, buf, n);
			bytes_check(buf, k, out);
			out += k;
			break;
		case 5:
			ring_drop(&r, &bud, n / 2);
			out += in - out < n / 2 ? in - out : n / 2;
			break;
		case 6:
			ring_rewind(&r);
			ahead = out;
			break;
		default:
			ahead = ahead < out ? out : ahead;
			k = ring_read(&r, buf, n);
			bytes_check(buf, k, ahead);
			ahead += k;
		}
		ahead = ahead < out ? out : ahead;
		ck_assert_uint_eq(r.len, in - out);
		ck_assert_uint_eq(r.ahead, ahead - out);
		ck_assert_uint_eq(bud.held, ring_held(&r));
		ck_assert_uint_le(bud.held, RING_COST(r.len));
		ck_assert(r.len > 0 || bud.held == 0);
	}
	ring_free(&r, &bud);
	ck_assert_uint_eq(bud.held, 0);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("ring");
	TCase *tc = tcase_create("ring");

	tcase_add_test(tc, packet_numbers_wrap);
	tcase_add_test(tc, the_ring_keeps_its_bytes);
	suite_add_tcase(suite, tc);
	return suite_run(suite);
}
