#include <check.h>
#include <stdlib.h>

#include "packets.h"
#include "suite.h"
#include "vpnd/classify.h"

#define TCP .version = 4, .proto = 6, .payload = 10
#define DSCP(n) .tos = (n) << 2

static const struct {
	const char *what;
	struct spec s;
	enum traffic_class class;
} cases[] = {
	{ "plain", { TCP }, CLASS_RELIABLE },
	{ "ECN is no DSCP", { TCP, .tos = 3 }, CLASS_RELIABLE },
	{ "LE", { TCP, DSCP(1) }, CLASS_DROPPABLE },
	{ "CS1", { TCP, DSCP(8) }, CLASS_BULK },
	{ "AF11", { TCP, DSCP(10) }, CLASS_BULK },
	{ "AF21", { TCP, DSCP(18) }, CLASS_INTERACTIVE },
	{ "AF31", { TCP, DSCP(26) }, CLASS_RELIABLE },
	{ "AF41", { TCP, DSCP(34) }, CLASS_INTERACTIVE },
	{ "AF43", { TCP, DSCP(38) }, CLASS_INTERACTIVE },
	{ "CS5", { TCP, DSCP(40) }, CLASS_INTERACTIVE },
	{ "EF", { .version = 6, .proto = 17, .payload = 160, DSCP(46) }, CLASS_INTERACTIVE },
	{ "CS6", { TCP, DSCP(48) }, CLASS_INTERACTIVE },
	{ "CS7", { TCP, DSCP(56) }, CLASS_INTERACTIVE },
	{ "CS0 with port", { TCP, .dport = 22 }, CLASS_INTERACTIVE },
	{ "a DSCP without meaning", { TCP, DSCP(3), .dport = 53 }, CLASS_DNS },
	{ "DSCP before port", { TCP, DSCP(8), .dport = 22 }, CLASS_BULK },
	{ "dns", { .version = 4, .proto = 17, .payload = 30, .dport = 53 }, CLASS_DNS },
	{ "dns answer", { .version = 6, .proto = 17, .payload = 30, .sport = 53 }, CLASS_DNS },
	{ "dns over tls", { TCP, .dport = 853 }, CLASS_DNS },
	{ "ssh", { TCP, .sport = 22 }, CLASS_INTERACTIVE },
	{ "rdp", { TCP, .dport = 3389 }, CLASS_INTERACTIVE },
	{ "rdp over udp", { .version = 4, .proto = 17, .payload = 30, .dport = 3389 }, CLASS_INTERACTIVE },
	{ "vnc", { TCP, .dport = 5900 }, CLASS_INTERACTIVE },
	{ "rsync", { TCP, .dport = 873 }, CLASS_BULK },
	{ "the destination's port first", { TCP, .sport = 53, .dport = 873 }, CLASS_BULK },
	{ "ping", { .version = 4, .proto = 1, .payload = 56 }, CLASS_INTERACTIVE },
	{ "ping marked LE", { .version = 4, .proto = 1, .payload = 56, DSCP(1) }, CLASS_DROPPABLE },
	{ "ping6", { .version = 6, .proto = 58, .payload = 56 }, CLASS_INTERACTIVE },
	{ "gre", { .version = 4, .proto = 47, .payload = 56 }, CLASS_RELIABLE },
};

START_TEST(table)
{
	uint8_t p[300];
	struct ip_packet ip;
	enum traffic_class class;

	ck_assert_int_eq(ip_parse(&ip, p, build(p, &cases[_i].s, false)), IP_OK);
	class = classify_packet(&ip);
	ck_assert_msg(class == cases[_i].class, "%s: %s", cases[_i].what, class_name(class));
}
END_TEST

/* No packet reaches the fabric's own class, whatever it is marked with. */
START_TEST(never_control)
{
	uint8_t p[300];
	struct ip_packet ip;

	for (unsigned tos = 0; tos < 256; tos++) {
		struct spec s = { TCP, .tos = (uint8_t)tos };

		ck_assert_int_eq(ip_parse(&ip, p, build(p, &s, false)), IP_OK);
		ck_assert_int_ne(classify_packet(&ip), CLASS_CONTROL);
		ck_assert_int_lt(classify_packet(&ip), CLASS_COUNT);
	}
}
END_TEST

/* All fragments of a packet go one way, though only the first has ports. */
START_TEST(fragments)
{
	struct spec s = { TCP, .dport = 53 };
	uint8_t p[300];
	struct ip_packet ip;
	size_t len = build(p, &s, false);

	ref_put16(p + 6, 0x2000);
	ck_assert_int_eq(ip_parse(&ip, p, len), IP_OK);
	ck_assert_int_eq(classify_packet(&ip), CLASS_RELIABLE);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("classify");
	TCase *tc = tcase_create("classify");

	tcase_add_loop_test(tc, table, 0, sizeof cases / sizeof cases[0]);
	tcase_add_test(tc, never_control);
	tcase_add_test(tc, fragments);
	suite_add_tcase(s, tc);
	return suite_run(s);
}
