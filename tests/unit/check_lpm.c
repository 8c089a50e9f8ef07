#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "suite.h"
#include "vpnd/lpm.h"

static struct record_prefix
prefix(const char *text)
{
	struct record_prefix p = { .family = strchr(text, ':') ? 6 : 4 };
	char addr[64];

	ck_assert_uint_lt(strlen(text), sizeof(addr));
	strcpy(addr, text);
	p.len = (uint8_t)atoi(strchr(addr, '/') + 1);
	*strchr(addr, '/') = '\0';
	ck_assert_int_eq(inet_pton(p.family == 4 ? AF_INET : AF_INET6, addr, p.addr), 1);
	return p;
}

static uint32_t
lookup(const struct lpm *t, const char *text)
{
	uint8_t a[16];

	if (inet_pton(AF_INET, text, a) == 1)
		return lpm_lookup4(t, a);
	ck_assert_int_eq(inet_pton(AF_INET6, text, a), 1);
	return lpm_lookup6(t, a);
}

static const char *const table[] = {
	"10.0.0.0/8", "10.77.0.0/16", "10.77.3.0/24", "10.77.3.4/32", "192.168.0.0/16", "192.168.128.0/17",
	"fd00::/8", "fd00:1::/32", "fd00:1::1/128", "2001:db8::/64", "2001:db8::/65", "2001:db8:0:0:8000::/66",
	"128.0.0.0/1",
};

static const struct {
	const char *addr;
	int index;	/* of table, -1: none */
} lookups[] = {
	{ "10.0.0.0", 0 }, { "10.255.255.255", 0 }, { "11.0.0.0", -1 }, { "9.255.255.255", -1 },
	{ "10.77.0.1", 1 }, { "10.78.0.0", 0 }, { "10.77.3.3", 2 }, { "10.77.3.4", 3 }, { "10.77.3.5", 2 },
	{ "192.168.127.255", 4 }, { "192.168.128.0", 5 }, { "127.255.255.255", -1 }, { "128.0.0.0", 12 },
	{ "255.255.255.255", 12 }, { "0.0.0.0", -1 },
	{ "fd00::1", 6 }, { "fdff::", 6 }, { "fc00::", -1 }, { "fd00:1::2", 7 }, { "fd00:1::1", 8 }, { "fd00:2::1", 6 },
	{ "2001:db8::1", 10 }, { "2001:db8::7fff:0:0:1", 10 }, { "2001:db8:0:0:8000::", 11 },
	{ "2001:db8:0:0:bfff::", 11 }, { "2001:db8:0:0:c000::", 9 }, { "2001:db8:0:1::", -1 }, { "::", -1 },
};

/* The order of insertion does not matter. */
START_TEST(longest_wins)
{
	size_t n = sizeof table / sizeof table[0];
	struct lpm *t = lpm_new();

	for (size_t i = 0; i < n; i++) {
		size_t k = (i * 5 + (size_t)_i) % n;
		struct record_prefix p = prefix(table[k]);

		ck_assert_int_eq(lpm_insert(t, &p, (uint32_t)k, NULL), 0);
	}
	ck_assert_uint_eq(lpm_count(t), n);
	for (size_t i = 0; i < sizeof lookups / sizeof lookups[0]; i++)
		ck_assert_msg((int)lookup(t, lookups[i].addr) == lookups[i].index, "%s: %d", lookups[i].addr,
		    (int)lookup(t, lookups[i].addr));
	lpm_free(t);
}
END_TEST

START_TEST(defaults)
{
	struct lpm *t = lpm_new();
	struct record_prefix p4 = prefix("0.0.0.0/0"), p6 = prefix("::/0"), h = prefix("1.2.3.4/32");

	ck_assert_uint_eq(lookup(t, "1.2.3.4"), LPM_NONE);
	ck_assert_int_eq(lpm_insert(t, &h, 7, NULL), 0);
	ck_assert_int_eq(lpm_insert(t, &p4, 4, NULL), 0);
	ck_assert_int_eq(lpm_insert(t, &p6, 6, NULL), 0);
	ck_assert_uint_eq(lookup(t, "1.2.3.4"), 7);
	ck_assert_uint_eq(lookup(t, "1.2.3.5"), 4);
	ck_assert_uint_eq(lookup(t, "255.0.0.0"), 4);
	ck_assert_uint_eq(lookup(t, "fd::"), 6);
	lpm_clear(t);
	ck_assert_uint_eq(lpm_count(t), 0);
	ck_assert_uint_eq(lookup(t, "1.2.3.4"), LPM_NONE);
	ck_assert_uint_eq(lookup(t, "fd::"), LPM_NONE);
	ck_assert_int_eq(lpm_insert(t, &h, 8, NULL), 0);
	ck_assert_uint_eq(lookup(t, "1.2.3.4"), 8);
	lpm_free(t);
}
END_TEST

START_TEST(first_keeps)
{
	struct lpm *t = lpm_new();
	struct record_prefix p = prefix("10.1.0.0/16"), q = prefix("10.2.0.0/16"), fork = prefix("10.0.0.0/14");
	uint32_t holder = 99;

	ck_assert_int_eq(lpm_insert(t, &p, 1, NULL), 0);
	ck_assert_int_eq(lpm_insert(t, &p, 2, &holder), 1);
	ck_assert_uint_eq(holder, 1);
	ck_assert_uint_eq(lookup(t, "10.1.2.3"), 1);
	/* Where the trie only forks, a prefix can still come. */
	ck_assert_int_eq(lpm_insert(t, &q, 2, NULL), 0);
	ck_assert_int_eq(lpm_insert(t, &fork, 3, NULL), 0);
	ck_assert_uint_eq(lookup(t, "10.3.0.0"), 3);
	ck_assert_uint_eq(lpm_count(t), 3);
	lpm_free(t);
}
END_TEST

/* What stands beyond the prefix's length does not count. */
START_TEST(host_bits)
{
	struct lpm *t = lpm_new();
	struct record_prefix p = prefix("10.77.0.9/16"), q = prefix("10.77.1.1/16");

	ck_assert_int_eq(lpm_insert(t, &p, 1, NULL), 0);
	ck_assert_int_eq(lpm_insert(t, &q, 2, NULL), 1);
	ck_assert_uint_eq(lookup(t, "10.77.200.1"), 1);
	lpm_free(t);
}
END_TEST

START_TEST(invalid)
{
	struct lpm *t = lpm_new();
	struct record_prefix p = { .family = 5 }, q = { .family = 4, .len = 33 }, r = { .family = 6, .len = 129 },
	    ok = { .family = 4 };

	ck_assert_int_eq(lpm_insert(t, &p, 1, NULL), -1);
	ck_assert_int_eq(lpm_insert(t, &q, 1, NULL), -1);
	ck_assert_int_eq(lpm_insert(t, &r, 1, NULL), -1);
	ck_assert_int_eq(lpm_insert(t, &ok, LPM_NONE, NULL), -1);
	ck_assert_int_eq(errno, EINVAL);
	lpm_free(t);
	lpm_free(NULL);
}
END_TEST

static bool
holds(const struct record_prefix *p, const uint8_t *a)
{
	for (unsigned i = 0; i < p->len; i++)
		if (((p->addr[i / 8] ^ a[i / 8]) >> (7 - i % 8) & 1) != 0)
			return false;
	return true;
}

/* Against the plainest search, over prefixes that lie close together. */
START_TEST(random_tables)
{
	enum { N = 200 };
	static struct record_prefix p[N];
	bool in[N];
	struct lpm *t = lpm_new();

	srandom((unsigned)_i);
	for (uint32_t i = 0; i < N; i++) {
		p[i].family = _i % 2 ? 4 : 6;
		p[i].len = (uint8_t)(random() % (_i % 2 ? 33 : 129));
		for (unsigned k = 0; k < 16; k++)
			p[i].addr[k] = random() % 3 ? 0 : (uint8_t)(1 << random() % 8);
		in[i] = lpm_insert(t, &p[i], i, NULL) == 0;
	}
	for (unsigned n = 0; n < 3000; n++) {
		uint8_t a[16];
		uint32_t got, want = LPM_NONE;

		memcpy(a, p[random() % N].addr, 16);
		a[random() % 16] ^= (uint8_t)(1 << random() % 8);
		for (uint32_t i = 0; i < N; i++)
			if (in[i] && holds(&p[i], a) && (want == LPM_NONE || p[i].len > p[want].len))
				want = i;
		got = _i % 2 ? lpm_lookup4(t, a) : lpm_lookup6(t, a);
		ck_assert_uint_eq(got, want);
	}
	lpm_free(t);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("lpm");
	TCase *tc = tcase_create("lpm");

	tcase_add_loop_test(tc, longest_wins, 0, 13);
	tcase_add_test(tc, defaults);
	tcase_add_test(tc, first_keeps);
	tcase_add_test(tc, host_bits);
	tcase_add_test(tc, invalid);
	tcase_add_loop_test(tc, random_tables, 0, 20);
	suite_add_tcase(s, tc);
	return suite_run(s);
}
