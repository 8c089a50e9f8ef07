/* SOCKS5: every way to greet and to ask, whole and byte by byte. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "suite.h"
#include "svchostd/socks.h"
#include "wire/frame.h"

#define BYTES(s) (const uint8_t *)(s), sizeof(s) - 1

static struct socks s;
static uint8_t sent[64];
static size_t sent_len;

/* As a socket that gives at most `step' bytes would feed it. How many were taken: what is left is the service's. */
static size_t
feed(const uint8_t *p, size_t n, size_t step, enum socks_verdict *v)
{
	size_t at = 0, len, take;
	uint8_t reply[SOCKS_REPLY_MAX], *copy;

	socks_init(&s);
	sent_len = 0;
	*v = SOCKS_MORE;
	while (*v == SOCKS_MORE && at < n) {
		take = socks_want(&s);
		ck_assert_uint_gt(take, 0);
		take = take < step ? take : step;
		take = take < n - at ? take : n - at;
		copy = malloc(take);
		memcpy(copy, p + at, take);
		*v = socks_input(&s, copy, take, reply, &len);
		free(copy);
		at += take;
		ck_assert_uint_le(sent_len + len, sizeof(sent));
		memcpy(sent + sent_len, reply, len);
		sent_len += len;
	}
	return at;
}

#define HELLO "\5\1\0"
#define ASK(len, host) HELLO "\5\1\0\3" len host "\0\x16"
#define OK_METHOD "\5\0"
#define REPLY(code) OK_METHOD "\5" code "\0\1\0\0\0\0\0\0"
#define A63 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static const struct {
	const uint8_t *in;
	size_t len;
	const char *target;
} wanted[] = {
	{ BYTES(ASK("\x0a", "ssh.fabric")), "ssh" },
	{ BYTES(ASK("\x0b", "ssh.fabric.")), "ssh" },
	{ BYTES(ASK("\x0a", "SSH.Fabric")), "ssh" },
	{ BYTES(ASK("\x11", "ssh.home-1.fabric")), "ssh@home-1" },
	{ BYTES(ASK("\x10", "ssh.a.b.c.fabric")), "ssh@a.b.c" },
	{ BYTES(ASK("\x49", "s." ID ".fabric")), "s@" ID },
	{ BYTES(ASK("\x46", A63 ".fabric")), A63 },
	{ BYTES("\5\2\2\0" "\5\1\0\3\x0a" "ssh.fabric\0\x50"), "ssh" },
	{ BYTES("\5\1\0" "\5\1\xff\3\x0a" "ssh.fabric\xff\xff"), "ssh" },
};

START_TEST(asks)
{
	enum socks_verdict v;

	for (size_t step = 1; step <= SOCKS_MESSAGE_MAX; step++) {
		ck_assert_uint_eq(feed(wanted[_i].in, wanted[_i].len, step, &v), wanted[_i].len);
		ck_assert_int_eq(v, SOCKS_REQUEST);
		ck_assert_str_eq(s.target, wanted[_i].target);
		ck_assert_uint_eq(sent_len, 2);
		ck_assert_mem_eq(sent, OK_METHOD, 2);
	}
}
END_TEST

static const struct {
	const char *what;
	const uint8_t *in;
	size_t len;
	const uint8_t *out;
	size_t out_len;
} refused[] = {
	{ "an address of IPv4", BYTES(HELLO "\5\1\0\1\x7f\0\0\1\0\x16"), BYTES(REPLY("\x8")) },
	{ "an address of IPv6", BYTES(HELLO "\5\1\0\4" "0123456789abcdef\0\x16"), BYTES(REPLY("\x8")) },
	{ "a kind of address that there is not", BYTES(HELLO "\5\1\0\2x"), BYTES(REPLY("\x8")) },
	{ "BIND", BYTES(HELLO "\5\2\0\3\x0assh.fabric\0\x16"), BYTES(REPLY("\x7")) },
	{ "UDP ASSOCIATE", BYTES(HELLO "\5\3\0\1\0\0\0\0\0\0"), BYTES(REPLY("\x7")) },
	{ "command 0", BYTES(HELLO "\5\0\0\3\x0assh.fabric\0\x16"), BYTES(REPLY("\x7")) },
	{ "a name of the internet's", BYTES(ASK("\x0b", "example.org")), BYTES(REPLY("\x4")) },
	{ "no name", BYTES(ASK("\0", "")), BYTES(REPLY("\x4")) },
	{ "a dot", BYTES(ASK("\x1", ".")), BYTES(REPLY("\x4")) },
	{ "the domain alone", BYTES(ASK("\x6", "fabric")), BYTES(REPLY("\x4")) },
	{ "the domain without a service", BYTES(ASK("\x7", ".fabric")), BYTES(REPLY("\x4")) },
	{ "two dots", BYTES(ASK("\xb", "ssh..fabric")), BYTES(REPLY("\x4")) },
	{ "no node between dots", BYTES(ASK("\x10", "ssh..home.fabric")), BYTES(REPLY("\x4")) },
	{ "another domain that ends so", BYTES(ASK("\xb", "ssh.xfabric")), BYTES(REPLY("\x4")) },
	{ "a NUL in it", BYTES(ASK("\xc", "ss\0h.fabric\0")), BYTES(REPLY("\x4")) },
	{ "an @ in it", BYTES(ASK("\xf", "ssh@home.fabric")), BYTES(REPLY("\x4")) },
	{ "64 bytes of service", BYTES(ASK("\x47", A63 "a.fabric")), BYTES(REPLY("\x4")) },
	{ "65 bytes of node", BYTES(ASK("\x4a", "s." ID "a.fabric")), BYTES(REPLY("\x4")) },
	{ "no acceptable method", BYTES("\5\1\2"), BYTES("\5\xff") },
	{ "no method at all", BYTES("\5\0"), BYTES("\5\xff") },
	{ "SOCKS4", BYTES("\4"), BYTES("\0\x5b\0\0\0\0\0\0") },
	{ "HTTP", BYTES("G"), BYTES("") },
	{ "another version in the request", BYTES(HELLO "\4"), BYTES(OK_METHOD) },
};

START_TEST(refuses)
{
	enum socks_verdict v;

	for (size_t step = 1; step <= SOCKS_MESSAGE_MAX; step++) {
		ck_assert_msg(feed(refused[_i].in, refused[_i].len, step, &v) == refused[_i].len, "%s", refused[_i].what);
		ck_assert_msg(v == SOCKS_END, "%s", refused[_i].what);
		ck_assert_msg(sent_len == refused[_i].out_len && memcmp(sent, refused[_i].out, sent_len) == 0, "%s",
		    refused[_i].what);
	}
}
END_TEST

/* The longest host that there can be, and what comes behind a request stays where it is. */
START_TEST(borders)
{
	uint8_t in[512] = HELLO "\5\1\0\3\xff";
	enum socks_verdict v;
	size_t n = sizeof(HELLO "\5\1\0\3\xff") - 1;

	memset(in + n, 'a', 255);
	ck_assert_uint_eq(feed(in, sizeof(in), SOCKS_MESSAGE_MAX, &v), n + 255 + 2);
	ck_assert_int_eq(v, SOCKS_END);
	ck_assert_uint_eq(strlen(s.host), 255);
	ck_assert_uint_eq(feed(BYTES(ASK("\x0a", "ssh.fabric") "GET / HTTP/1.1"), SOCKS_MESSAGE_MAX, &v),
	    sizeof(ASK("\x0a", "ssh.fabric")) - 1);
	ck_assert_int_eq(v, SOCKS_REQUEST);
	feed(BYTES(ASK("\x3", "a\x1b\xff")), SOCKS_MESSAGE_MAX, &v);
	ck_assert_str_eq(s.host, "a??");
	memset(in, 0, sizeof(in));
	in[0] = 5;
	in[1] = 255;
	ck_assert_uint_eq(feed(in, sizeof(in), SOCKS_MESSAGE_MAX, &v), 2 + 255 + 1);	/* the greeting, and a wrong version */
	ck_assert_int_eq(v, SOCKS_END);
	ck_assert_uint_eq(sent_len, 2);
}
END_TEST

START_TEST(replies)
{
	static const struct { uint64_t reason; uint8_t code; } want[] = {
		{ REASON_NONE, 0 }, { REASON_INTERNAL, 1 }, { REASON_LIMIT, 1 }, { REASON_NOT_ALLOWED, 2 }, { REASON_REFUSED, 2 },
		{ REASON_AUTH_PROOF, 2 }, { REASON_UNREACHABLE, 3 }, { REASON_NO_SERVICE, 4 }, { REASON_TARGET_DOWN, 5 },
		{ REASON_TIMEOUT, 6 }, { REASON_TARGET_TIMEOUT, 6 }, { UINT64_MAX, 1 },
	};
	uint8_t reply[SOCKS_REPLY_MAX];

	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		ck_assert_uint_eq(socks_reply(reply, want[i].reason), 10);
		ck_assert_msg(reply[1] == want[i].code, "%s", reason_name(want[i].reason));
	}
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("socks");
	TCase *tc = tcase_create("socks");

	tcase_add_loop_test(tc, asks, 0, sizeof(wanted) / sizeof(wanted[0]));
	tcase_add_loop_test(tc, refuses, 0, sizeof(refused) / sizeof(refused[0]));
	tcase_add_test(tc, borders);
	tcase_add_test(tc, replies);
	suite_add_tcase(suite, tc);
	return suite_run(suite);
}
