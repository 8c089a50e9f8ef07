#include <check.h>
#include <stdlib.h>

#include "packets.h"
#include "suite.h"
#include "vpnd/icmp.h"

static uint8_t buf[70000], out[ICMP_MAX];
static struct ip_packet ip;

static size_t
error_about(const struct spec *s, enum icmp_kind kind, uint32_t mtu)
{
	size_t len = build(buf, s, false);

	ck_assert_int_eq(ip_parse(&ip, buf, len), IP_OK);
	memset(out, 0xcc, sizeof(out));
	return icmp_error(out, &ip, kind, mtu);
}

static const struct {
	int version;
	enum icmp_kind kind;
	uint8_t type, code;
	uint32_t mtu;
} kinds[] = {
	{ 4, ICMP_TOO_BIG, 3, 4, 1300 }, { 4, ICMP_NO_ROUTE, 3, 0, 0 }, { 4, ICMP_HOST, 3, 1, 0 },
	{ 4, ICMP_PROHIBITED, 3, 13, 0 },
	{ 6, ICMP_TOO_BIG, 2, 0, 1300 }, { 6, ICMP_NO_ROUTE, 1, 0, 0 }, { 6, ICMP_HOST, 1, 3, 0 },
	{ 6, ICMP_PROHIBITED, 1, 1, 0 },
};

START_TEST(errors)
{
	static const size_t payloads[] = { 0, 100, 1300, 9000 };
	bool v4 = kinds[_i].version == 4;

	for (size_t k = 0; k < sizeof payloads / sizeof payloads[0]; k++) {
		struct spec s = { .version = kinds[_i].version, .proto = 6, .payload = payloads[k], .host = 9 };
		size_t len = error_about(&s, kinds[_i].kind, kinds[_i].mtu), hdr = v4 ? 20 : 40;
		size_t max = v4 ? 576 : 1280;
		const uint8_t *icmp = out + hdr;

		ck_assert_uint_eq(len, ip.len + hdr + 8 < max ? ip.len + hdr + 8 : max);
		ck_assert(ref_ip_ok(out, len));
		ck_assert_int_eq(ref_proto(out), v4 ? 1 : 58);
		ck_assert_uint_eq(icmp[0], kinds[_i].type);
		ck_assert_uint_eq(icmp[1], kinds[_i].code);
		ck_assert_uint_eq(ref_get16(icmp + 4), 0);
		ck_assert_uint_eq(ref_get16(icmp + 6), kinds[_i].mtu);
		ck_assert_mem_eq(icmp + 8, buf, len - hdr - 8);
		ck_assert_uint_eq(ref_sum(v4 ? 0 : ref_pseudo(out, len - hdr), icmp, len - hdr), 0xffff);
		/* From where the packet went, to where it came from. */
		ck_assert_mem_eq(out + (v4 ? 12 : 8), ip.dst, v4 ? 4 : 16);
		ck_assert_mem_eq(out + (v4 ? 16 : 24), ip.src, v4 ? 4 : 16);
	}
}
END_TEST

/* RFC 1122 section 3.2.2, RFC 4443 section 2.4 (e): there are packets about which nobody may complain. */
START_TEST(about_icmp)
{
	for (unsigned type = 0; type < 256; type++) {
		struct spec s = { .version = _i, .proto = _i == 4 ? 1 : 58, .payload = 8 };
		size_t len = build(buf, &s, false);
		bool answer = _i == 6 ? type >= 128 : type == 0 || type == 8 || (type >= 13 && type <= 18);

		buf[ref_l4(buf)] = (uint8_t)type;
		ck_assert_int_eq(ip_parse(&ip, buf, len), IP_OK);
		ck_assert_msg((icmp_error(out, &ip, ICMP_HOST, 0) != 0) == answer, "type %u", type);
	}
}
END_TEST

START_TEST(about_nothing)
{
	struct spec s = { .version = 4, .proto = 1 }, s6 = { .version = 6, .proto = 58 };

	build_ip(buf, &s, 0);
	ck_assert_int_eq(ip_parse(&ip, buf, 20), IP_OK);
	ck_assert_uint_eq(icmp_error(out, &ip, ICMP_HOST, 0), 0);
	build_ip(buf, &s6, 0);
	ck_assert_int_eq(ip_parse(&ip, buf, 40), IP_OK);
	ck_assert_uint_eq(icmp_error(out, &ip, ICMP_HOST, 0), 0);
}
END_TEST

START_TEST(about_multicast)
{
	struct spec s4 = { .version = 4, .proto = 17, .payload = 8 }, s6 = { .version = 6, .proto = 17, .payload = 8 };
	size_t len = build(buf, &s4, false);

	buf[16] = 224;
	ck_assert_int_eq(ip_parse(&ip, buf, len), IP_OK);
	ck_assert_uint_eq(icmp_error(out, &ip, ICMP_HOST, 0), 0);
	buf[16] = 10;
	ck_assert_uint_ne(icmp_error(out, &ip, ICMP_HOST, 0), 0);
	buf[12] = 0;	/* nobody's address */
	ck_assert_uint_eq(icmp_error(out, &ip, ICMP_HOST, 0), 0);
	len = build(buf, &s6, false);
	ck_assert_int_eq(ip_parse(&ip, buf, len), IP_OK);
	ck_assert_uint_ne(icmp_error(out, &ip, ICMP_TOO_BIG, 1280), 0);
	buf[24] = 0xff;
	ck_assert_uint_eq(icmp_error(out, &ip, ICMP_TOO_BIG, 1280), 0);
}
END_TEST

START_TEST(about_fragments)
{
	struct spec s = { .version = 4, .proto = 17, .payload = 80 };
	size_t len = build(buf, &s, false);

	ref_put16(buf + 6, 0x2000);
	ck_assert_int_eq(ip_parse(&ip, buf, len), IP_OK);
	ck_assert_uint_ne(icmp_error(out, &ip, ICMP_HOST, 0), 0);
	ref_put16(buf + 6, 0x0001);
	ck_assert_int_eq(ip_parse(&ip, buf, len), IP_OK);
	ck_assert_uint_eq(icmp_error(out, &ip, ICMP_HOST, 0), 0);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("icmp");
	TCase *tc = tcase_create("icmp");

	tcase_add_loop_test(tc, errors, 0, sizeof kinds / sizeof kinds[0]);
	tcase_add_loop_test(tc, about_icmp, 4, 5);
	tcase_add_loop_test(tc, about_icmp, 6, 7);
	tcase_add_test(tc, about_nothing);
	tcase_add_test(tc, about_multicast);
	tcase_add_test(tc, about_fragments);
	suite_add_tcase(s, tc);
	return suite_run(s);
}
