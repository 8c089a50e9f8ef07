#include <check.h>
#include <stdlib.h>

#include "packets.h"
#include "suite.h"
#include "vpnd/checksum.h"

static uint8_t buf[70000];

static void
fill(unsigned seed)
{
	srandom(seed);
	for (size_t i = 0; i < sizeof(buf); i++)
		buf[i] = (uint8_t)random();
}

START_TEST(every_length_and_alignment)
{
	fill(1);
	for (size_t off = 0; off < 9; off++)
		for (size_t len = 0; len < 300; len++)
			ck_assert_uint_eq(csum_fold(csum_add(0, buf + off, len)), ref_sum(0, buf + off, len));
}
END_TEST

START_TEST(large_and_extreme)
{
	fill(2);
	ck_assert_uint_eq(csum_fold(csum_add(0, buf, 65535)), ref_sum(0, buf, 65535));
	memset(buf, 0xff, sizeof(buf));
	ck_assert_uint_eq(csum_fold(csum_add(0, buf, 65534)), ref_sum(0, buf, 65534));
	memset(buf, 0, sizeof(buf));
	ck_assert_uint_eq(csum_fold(csum_add(0, buf, 65534)), 0);
	ck_assert_uint_eq(csum_fold(UINT64_MAX), 0xffff);
}
END_TEST

START_TEST(in_parts)
{
	fill(3);
	for (size_t cut = 0; cut <= 200; cut += 2)
		ck_assert_uint_eq(csum_fold(csum_add(csum_add(0, buf, cut), buf + cut, 201 - cut)), ref_sum(0, buf, 201));
	ck_assert_uint_eq(csum_fold(csum_add16(csum_add16(0, 0xfffe), 0x1234)), ref_sum(0xfffe, (uint8_t[]){ 0x12, 0x34 }, 2));
}
END_TEST

/* After a change of any field, the updated checksum is the one computed anew (as numbers mod 0xffff). */
START_TEST(update)
{
	fill(4);
	for (unsigned i = 0; i < 2000; i++) {
		uint8_t *p = buf + i * 20 % 60000;
		uint16_t old = get16(p + 4), new = (uint16_t)random(), csum;

		if (i % 7 == 0)
			new = i % 2 ? 0 : 0xffff;
		csum_ip4_set(p, 20);
		csum = csum_update16(get16(p + 10), old, new);
		put16(p + 4, new);
		put16(p + 10, csum);
		ck_assert_uint_eq(ref_sum(0, p, 20), 0xffff);
	}
}
END_TEST

static const struct spec specs[] = {
	{ .version = 4, .proto = 6, .payload = 1000, .seq = 7, .tcp_flags = TF_ACK },
	{ .version = 4, .proto = 6, .payload = 0, .options = 12, .tcp_flags = TF_ACK },
	{ .version = 4, .proto = 17, .payload = 999 },
	{ .version = 4, .proto = 17, .payload = 1, .ip_options = 8 },
	{ .version = 6, .proto = 6, .payload = 1233, .options = 12, .tcp_flags = TF_ACK },
	{ .version = 6, .proto = 17, .payload = 30001 },
};

START_TEST(verify_and_complete)
{
	const struct spec *s = &specs[_i];
	size_t len = build(buf, s, false), l4 = ref_l4(buf);
	struct ip_packet ip;

	ck_assert_int_eq(ip_parse(&ip, buf, len), IP_OK);
	ck_assert_int_eq(csum_l4_verify(&ip), 0);
	buf[len - 1] ^= 4;
	ck_assert_int_eq(csum_l4_verify(&ip), -1);
	buf[len - 1] ^= 4;
	ref_make_partial(buf, len);
	ck_assert_uint_eq(csum_fold(csum_pseudo(&ip, (uint32_t)(len - l4))), ref_pseudo(buf, len - l4));
	ck_assert_int_eq(csum_complete(buf, len, l4, csum_field(ip.proto)), 0);
	ck_assert(ref_l4_ok(buf, len));
	ck_assert_int_eq(csum_l4_verify(&ip), 0);
}
END_TEST

/* A UDP checksum that comes out as 0 is sent as 0xffff, or it would mean "none". */
START_TEST(never_zero)
{
	struct spec s = { .version = 4, .proto = 17, .payload = 2 };
	size_t len;

	for (unsigned v = 0; v < 65536; v++) {
		len = build(buf, &s, true);
		put16(buf + len - 2, (uint16_t)v);
		ck_assert_int_eq(csum_complete(buf, len, 20, 6), 0);
		ck_assert_uint_ne(get16(buf + 26), 0);
		ck_assert(ref_l4_ok(buf, len));
	}
}
END_TEST

START_TEST(complete_bounds)
{
	memset(buf, 0, 100);
	ck_assert_int_eq(csum_complete(buf, 100, 101, 0), -1);
	ck_assert_int_eq(csum_complete(buf, 100, 100, 0), -1);
	ck_assert_int_eq(csum_complete(buf, 100, 98, 1), -1);
	ck_assert_int_eq(csum_complete(buf, 100, 0, 99), -1);
	ck_assert_int_eq(csum_complete(buf, 100, 50, 65535), -1);
	ck_assert_int_eq(csum_complete(buf, 100, 98, 0), 0);
}
END_TEST

START_TEST(udp_without_checksum)
{
	struct spec s = { .version = 4, .proto = 17, .payload = 2 };
	struct ip_packet ip;
	size_t len = build(buf, &s, false);

	put16(buf + 26, 0);
	ck_assert_int_eq(ip_parse(&ip, buf, len), IP_OK);
	ck_assert_int_eq(csum_l4_verify(&ip), -1);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("checksum");
	TCase *tc = tcase_create("checksum");

	tcase_add_test(tc, every_length_and_alignment);
	tcase_add_test(tc, large_and_extreme);
	tcase_add_test(tc, in_parts);
	tcase_add_test(tc, update);
	tcase_add_loop_test(tc, verify_and_complete, 0, sizeof specs / sizeof specs[0]);
	tcase_add_test(tc, never_zero);
	tcase_add_test(tc, complete_bounds);
	tcase_add_test(tc, udp_without_checksum);
	suite_add_tcase(s, tc);
	return suite_run(s);
}
