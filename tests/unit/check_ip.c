#include <check.h>
#include <stdlib.h>

#include "packets.h"
#include "suite.h"
#include "vpnd/ip.h"

static uint8_t buf[70000];

static const struct spec specs[] = {
	{ .version = 4, .proto = 6, .payload = 10, .tcp_flags = TF_ACK, .tos = 0xb8 },
	{ .version = 4, .proto = 6, .payload = 0, .options = 40, .ip_options = 40, .no_df = true },
	{ .version = 4, .proto = 17, .payload = 0, .sport = 53, .dport = 1024 },
	{ .version = 4, .proto = 1, .payload = 56 },
	{ .version = 4, .proto = 47, .payload = 3 },
	{ .version = 6, .proto = 6, .payload = 10, .options = 12, .tos = 0x20, .label = 0xfffff },
	{ .version = 6, .proto = 17, .payload = 10 },
	{ .version = 6, .proto = 58, .payload = 10 },
};

START_TEST(good)
{
	const struct spec *s = &specs[_i];
	size_t len = build(buf, s, false);
	struct ip_packet ip;
	bool ports = s->proto == 6 || s->proto == 17;

	ck_assert_int_eq(ip_parse(&ip, buf, len), IP_OK);
	ck_assert_uint_eq(ip.version, s->version);
	ck_assert_uint_eq(ip.proto, s->proto);
	ck_assert_uint_eq(ip.len, len);
	ck_assert_uint_eq(ip.tos, s->tos);
	ck_assert_uint_eq(ip.l4, ref_l4(buf));
	ck_assert_uint_eq(ip.l4_hdr, !ports ? 0 : s->proto == 6 ? 20u + s->options : 8);
	ck_assert_uint_eq(ip.sport, !ports ? 0 : s->sport ? s->sport : 40000);
	ck_assert_uint_eq(ip.dport, !ports ? 0 : s->dport ? s->dport : 5201);
	ck_assert_ptr_eq(ip.src, buf + (s->version == 4 ? 12 : 8));
	ck_assert_ptr_eq(ip.dst, buf + (s->version == 4 ? 16 : 24));
	ck_assert(ip.df == (s->version == 6 || !s->no_df));
	ck_assert(ip.plain == (s->ip_options == 0));
	ck_assert(!ip.fragment);
	ck_assert(ip.first);
}
END_TEST

/* Cut anywhere, with the length field as it was and with one that fits: never accepted with a header cut. */
START_TEST(truncated)
{
	const struct spec *s = &specs[_i];
	size_t whole = build(buf, s, false), hdr = ref_l4(buf) + (s->proto == 6 ? 20u + s->options : s->proto == 17 ? 8 : 0);
	struct ip_packet ip;

	for (size_t len = 0; len < whole; len++) {
		uint8_t *p = malloc(len + !len);	/* so that the sanitizer sees a byte too far */
		int err;

		memcpy(p, buf, len);
		ck_assert_int_ne(ip_parse(&ip, p, len), IP_OK);
		if (len >= ref_l4(buf)) {
			if (s->version == 4)
				ref_put16(p + 2, (unsigned)len);
			else
				ref_put16(p + 4, (unsigned)len - 40);
			err = ip_parse(&ip, p, len);
			ck_assert(len < hdr ? err != IP_OK : s->proto == 17 ? err == IP_E_LENGTH : err == IP_OK);
			ck_assert_str_ne(ip_strerror(err), "unknown");
		}
		free(p);
	}
}
END_TEST

START_TEST(malformed)
{
	struct spec tcp = { .version = 4, .proto = 6, .payload = 10 };
	struct ip_packet ip;
	size_t len = build(buf, &tcp, false);
	static const struct {
		size_t at;
		uint8_t value;
		int err;
	} cases[] = {
		{ 0, 0x55, IP_E_VERSION }, { 0, 0x05, IP_E_VERSION }, { 0, 0x44, IP_E_HEADER }, { 0, 0x4f, IP_E_SHORT },
		{ 3, 49, IP_E_LENGTH }, { 3, 51, IP_E_LENGTH }, { 32, 0x40, IP_E_HEADER }, { 32, 0x80, IP_E_HEADER },
		{ 32, 0xf0, IP_E_HEADER },
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		uint8_t was = buf[cases[i].at];

		buf[cases[i].at] = cases[i].value;
		ck_assert_msg(ip_parse(&ip, buf, len) == cases[i].err, "case %zu: %d", i, ip_parse(&ip, buf, len));
		buf[cases[i].at] = was;
	}
	ck_assert_int_eq(ip_parse(&ip, buf, len), IP_OK);
	ck_assert_int_eq(ip_parse(&ip, buf, len + 1), IP_E_LENGTH);
	ck_assert_int_eq(ip_parse_super(&ip, buf, len + 1), IP_OK);
	ck_assert_int_eq(ip_parse_super(&ip, buf, 65536), IP_E_LENGTH);
}
END_TEST

START_TEST(udp_lengths)
{
	struct spec udp = { .version = 4, .proto = 17, .payload = 10 };
	struct ip_packet ip;
	size_t len = build(buf, &udp, false);
	static const struct {
		unsigned value;
		int err;
	} cases[] = { { 0, IP_E_LENGTH }, { 7, IP_E_LENGTH }, { 8, IP_OK }, { 17, IP_OK }, { 18, IP_OK }, { 19, IP_E_LENGTH } };

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		ref_put16(buf + 24, cases[i].value);
		ck_assert_int_eq(ip_parse(&ip, buf, len), cases[i].err);
	}
}
END_TEST

/* IPv6 with extension headers: `chain` is their bytes, the first kind is in `first`. */
static size_t
with_chain(uint8_t first, const uint8_t *chain, size_t n)
{
	struct spec s = { .version = 6, .proto = 17, .payload = 4 };
	uint8_t tmp[200];
	size_t len = build(tmp, &s, false);

	memcpy(buf, tmp, 40);
	memcpy(buf + 40, chain, n);
	memcpy(buf + 40 + n, tmp + 40, len - 40);
	buf[6] = first;
	ref_put16(buf + 4, (unsigned)(len - 40 + n));
	return len + n;
}

static const struct {
	const char *what;
	uint8_t first;
	uint8_t chain[80];
	size_t n;
	int err;
	int proto;
	bool fragment, ports;
} chains[] = {
	{ "hop by hop", 0, { 17, 0 }, 8, IP_OK, 17, false, true },
	{ "hop by hop, long", 0, { 17, 1 }, 16, IP_OK, 17, false, true },
	{ "hop by hop, destination, routing", 0, { 60, 0, 0, 0, 0, 0, 0, 0, 43, 0, 0, 0, 0, 0, 0, 0, 17, 0 }, 24, IP_OK, 17, false, true },
	{ "authentication", 51, { 17, 4 }, 24, IP_OK, 17, false, true },
	{ "hop by hop not first", 60, { 0, 0, 0, 0, 0, 0, 0, 0, 17, 0 }, 16, IP_E_EXT, 0, false, false },
	{ "longer than the packet", 60, { 17, 200 }, 8, IP_E_EXT, 0, false, false },
	{ "first fragment", 44, { 17, 0, 0, 1, 1, 2, 3, 4 }, 8, IP_OK, 17, true, false },
	{ "later fragment", 44, { 17, 0, 0, 8 }, 8, IP_OK, 17, true, false },
	{ "atomic fragment", 44, { 17, 0, 0, 0 }, 8, IP_OK, 17, true, false },
	{ "two fragment headers", 44, { 44, 0, 0, 1, 0, 0, 0, 0, 17, 0, 0, 1 }, 16, IP_E_EXT, 0, false, false },
	{ "nothing behind", 60, { 59, 0 }, 8, IP_OK, 59, false, false },
	{ "encrypted", 60, { 50, 0 }, 8, IP_OK, 50, false, false },
	{ "nine in a row", 60, { 60, 0, 0, 0, 0, 0, 0, 0, 60, 0, 0, 0, 0, 0, 0, 0, 60, 0, 0, 0, 0, 0, 0, 0,
	    60, 0, 0, 0, 0, 0, 0, 0, 60, 0, 0, 0, 0, 0, 0, 0, 60, 0, 0, 0, 0, 0, 0, 0, 60, 0, 0, 0, 0, 0, 0, 0,
	    60, 0, 0, 0, 0, 0, 0, 0, 17, 0 }, 72, IP_E_EXT, 0, false, false },
};

START_TEST(extensions)
{
	size_t len = with_chain(chains[_i].first, chains[_i].chain, chains[_i].n);
	struct ip_packet ip;
	int err = ip_parse(&ip, buf, len);

	ck_assert_msg(err == chains[_i].err, "%s: %d", chains[_i].what, err);
	for (size_t n = 0; n < len; n++) {	/* cut anywhere: no byte too far is read */
		uint8_t *p = malloc(n + !n);
		struct ip_packet cut;

		memcpy(p, buf, n);
		if (n >= 40)
			ref_put16(p + 4, (unsigned)n - 40);
		ip_parse(&cut, p, n);
		free(p);
	}
	if (err != IP_OK)
		return;
	ck_assert_int_eq(ip.proto, chains[_i].proto);
	ck_assert_int_eq(ip.fragment, chains[_i].fragment);
	ck_assert(!ip.plain);
	ck_assert_uint_eq(ip.l4_hdr, chains[_i].ports ? 8 : 0);
	ck_assert_uint_eq(ip.dport, chains[_i].ports ? 5201 : 0);
}
END_TEST

START_TEST(fragments4)
{
	struct spec s = { .version = 4, .proto = 6, .payload = 100 };
	size_t len = build(buf, &s, false);
	struct ip_packet ip;

	ref_put16(buf + 6, 0x2000);
	ck_assert_int_eq(ip_parse(&ip, buf, len), IP_OK);
	ck_assert(ip.fragment && ip.first && !ip.plain && ip.l4_hdr == 0 && ip.dport == 0);
	ref_put16(buf + 6, 0x0010);
	ck_assert_int_eq(ip_parse(&ip, buf, len), IP_OK);
	ck_assert(ip.fragment && !ip.first && !ip.df);
}
END_TEST

static const struct {
	int version;
	uint8_t addr[16];
	bool bogus;
} addrs[] = {
	{ 4, { 10, 0, 0, 1 }, false }, { 4, { 0, 1, 2, 3 }, true }, { 4, { 127, 0, 0, 1 }, true },
	{ 4, { 224, 0, 0, 1 }, true }, { 4, { 255, 255, 255, 255 }, true }, { 4, { 223, 255, 255, 255 }, false },
	{ 4, { 169, 254, 1, 1 }, true }, { 4, { 169, 253, 1, 1 }, false },
	{ 6, { 0xfd, 1 }, false }, { 6, { 0xff, 2, [15] = 1 }, true }, { 6, { 0xfe, 0x80, [15] = 1 }, true },
	{ 6, { 0xfe, 0xbf }, true }, { 6, { 0xfe, 0xc0 }, false }, { 6, { 0 }, true }, { 6, { [15] = 1 }, true },
	{ 6, { [15] = 2 }, false }, { 6, { [10] = 0xff, 0xff, 10, 0, 0, 1 }, true }, { 6, { 0x20, 1 }, false },
};

START_TEST(addresses)
{
	struct ip_packet ip = { .version = (uint8_t)addrs[_i].version, .src = addrs[_i].addr, .dst = addrs[_i].addr };

	ck_assert(ip_bogus_source(&ip) == addrs[_i].bogus);
	ck_assert(ip_not_unicast(&ip) == addrs[_i].bogus);
}
END_TEST

/* Flows spread over groups, and a packet's flow does not depend on anything but its 5-tuple. */
START_TEST(hash)
{
	unsigned groups[8] = { 0 };
	struct ip_packet ip, other;

	for (unsigned i = 0; i < 8000; i++) {
		struct spec s = { .version = _i, .proto = 6, .payload = i % 3, .seq = i, .tos = (uint8_t)i,
		    .sport = (uint16_t)(1024 + i) };
		struct spec t = s;
		uint8_t b2[200];

		t.payload = 7;
		t.tos = 0;
		t.seq = 1;
		ck_assert_int_eq(ip_parse(&ip, buf, build(buf, &s, false)), IP_OK);
		ck_assert_int_eq(ip_parse(&other, b2, build(b2, &t, false)), IP_OK);
		ck_assert_uint_eq(ip_flow_hash(&ip, 42), ip_flow_hash(&other, 42));
		groups[ip_flow_hash(&ip, 42) % 8]++;
	}
	for (unsigned i = 0; i < 8; i++)
		ck_assert_msg(groups[i] > 800 && groups[i] < 1200, "group %u has %u", i, groups[i]);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("ip");
	TCase *tc = tcase_create("ip");
	int n = sizeof specs / sizeof specs[0];

	tcase_add_loop_test(tc, good, 0, n);
	tcase_add_loop_test(tc, truncated, 0, n);
	tcase_add_test(tc, malformed);
	tcase_add_test(tc, udp_lengths);
	tcase_add_loop_test(tc, extensions, 0, sizeof chains / sizeof chains[0]);
	tcase_add_test(tc, fragments4);
	tcase_add_loop_test(tc, addresses, 0, sizeof addrs / sizeof addrs[0]);
	tcase_add_loop_test(tc, hash, 4, 5);
	tcase_add_loop_test(tc, hash, 6, 7);
	suite_add_tcase(s, tc);
	return suite_run(s);
}
