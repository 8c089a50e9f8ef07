/* Facts of nodes: the golden vectors, both ways, truncation, and what the encoder refuses. */
#include <check.h>

#include "fabric/facts.h"
#include "suite.h"
#include "vectors.h"
#include "wire/varint.h"

#define TEXT_MAX 8192

static void
put(char *text, const char *fmt, ...)
{
	size_t len = strlen(text);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text + len, TEXT_MAX - len, fmt, ap);
	va_end(ap);
	ck_assert_uint_lt(strlen(text), TEXT_MAX - 1);
}

static void
links_put(char *text, const struct facts *f)
{
	if (f->nlinks > 2) {
		put(text, "links %u\n", f->nlinks);
		return;
	}
	for (size_t i = 0; i < f->nlinks; i++)
		put(text, "link %02x %u %u %u %u\n", f->links[i].node_id[31], f->links[i].rtt_us, f->links[i].jitter_us,
		    f->links[i].loss, f->links[i].kbps);
}

/* All that a struct says, a line a field, as the vectors have it. */
static void
facts_text(char *text, const struct facts *f)
{
	char hex[33];

	text[0] = '\0';
	put(text, "versions %u\ncarriers %u\n", f->versions, f->carriers);
	for (size_t i = 0; i < f->naddrs; i++) {
		hex_encode(hex, f->addrs[i].addr, f->addrs[i].family == 4 ? 4 : 16);
		put(text, "addr %u %u %u %s\n", f->addrs[i].family, f->addrs[i].carrier, f->addrs[i].port, hex);
	}
	put(text, "nat %s\nnet %s\n", nat_type_name(f->nat), net_type_name(f->net));
	put(text, "%s%s%s", f->metered ? "metered\n" : "", f->on_battery ? "on_battery\n" : "",
	    f->charging ? "charging\n" : "");
	if (f->battery != 0)
		put(text, "battery %u\n", f->battery);
	put(text, "load %u %u %u %u\n", f->cpu, f->memory, f->queue, f->descriptors);
	if (f->relay)
		put(text, "relay %u %u\n", f->relay_kbps, f->relay_classes);
	if (f->cost != 0)
		put(text, "cost %u\n", f->cost);
	if (f->domain[0] != '\0')
		put(text, "domain %s\n", f->domain);
	if (f->region[0] != '\0')
		put(text, "region %s\n", f->region);
	if ((f->policy_version | f->directory_version | f->routes_version) != 0)
		put(text, "held %llu %llu %llu\n", (unsigned long long)f->policy_version,
		    (unsigned long long)f->directory_version, (unsigned long long)f->routes_version);
	if (f->services != 0)
		put(text, "services %016llx\n", (unsigned long long)f->services);
	put(text, "sent_at %llu\n", (unsigned long long)f->sent_at);
	links_put(text, f);
}

static int
decode_exact(struct facts *f, const uint8_t *p, size_t len)
{
	uint8_t *copy = exact_copy(p, len);
	int err = facts_decode(f, copy, len);

	free(copy);
	return err;
}

/* Whatever is cut off: it is either refused, or the whole of something that is encoded like that. */
static void
truncate_all(const struct vector *v)
{
	static uint8_t out[FACTS_MAX];
	struct facts f;

	for (size_t len = 0; len < v->len; len++)
		if (decode_exact(&f, v->bytes, len) == 0)
			ck_assert_msg(facts_encode(out, sizeof(out), &f) == len && memcmp(out, v->bytes, len) == 0,
			    "%s cut to %zu", v->name, len);
}

static void
check_good(const struct vector *v)
{
	static uint8_t out[FACTS_MAX];
	static char text[TEXT_MAX], want[TEXT_MAX];
	struct facts f;
	bool unknown = false;

	ck_assert_msg(decode_exact(&f, v->bytes, v->len) == 0, "%s", v->name);
	facts_text(text, &f);
	want[0] = '\0';
	for (size_t i = 0; i < v->nfields; i++) {
		bool is = strcmp(v->fields[i].key, "unknown") == 0;

		if (!is)
			put(want, "%s%s%s\n", v->fields[i].key, v->fields[i].value[0] != '\0' ? " " : "", v->fields[i].value);
		unknown |= is;
	}
	ck_assert_str_eq(text, want);
	if (unknown)
		return;
	for (size_t size = 0; size < v->len; size++)
		ck_assert_uint_eq(facts_encode(out, size, &f), 0);
	ck_assert_uint_eq(facts_encode(out, v->len, &f), v->len);
	ck_assert_mem_eq(out, v->bytes, v->len);
	truncate_all(v);
}

static const struct { const char *name; int err; } errors[] = {
	{ "VARINT", FRAME_E_VARINT }, { "TOO_LONG", FRAME_E_TOO_LONG }, { "SHORT", FRAME_E_SHORT },
	{ "TRAILING", FRAME_E_TRAILING }, { "VALUE", FRAME_E_VALUE }, { "TLV_ORDER", FRAME_E_TLV_ORDER },
	{ "TLV_UNKNOWN", FRAME_E_TLV_UNKNOWN }, { "TLV_MISSING", FRAME_E_TLV_MISSING }, { "TEXT", FRAME_E_TEXT },
};

static void
check_refused(const struct vector *v)
{
	struct facts f;
	size_t i = 0;
	int err;

	while (i < sizeof(errors) / sizeof(errors[0]) && strcmp(errors[i].name, vector_get(v, "error")) != 0)
		i++;
	ck_assert_msg(i < sizeof(errors) / sizeof(errors[0]), "%s: no such error", v->name);
	err = decode_exact(&f, v->bytes, v->len);
	ck_assert_msg(err == errors[i].err, "%s: %s", v->name, frame_strerror(err));
}

START_TEST(vectors)
{
	FILE *fp = vectors_open("facts.txt");
	static struct vector v;
	unsigned n = 0;

	for (; vector_next(&v, fp); n++) {
		if (strcmp(v.kind, "facts") == 0)
			check_good(&v);
		else
			check_refused(&v);
		vector_free(&v);
	}
	fclose(fp);
	ck_assert_uint_gt(n, 50);
}
END_TEST

static struct facts
good(void)
{
	return (struct facts){ .versions = 2, .carriers = 1, .sent_at = 1800000000, .naddrs = 1, .nlinks = 2,
	    .addrs = { { 4, 1, 4600, { 1 } } }, .links = { { .node_id = { 1 } }, { .node_id = { 2 } } } };
}

/* Nothing that decode refuses leaves the encoder. */
START_TEST(not_encoded)
{
	uint8_t out[FACTS_MAX];
	struct facts f = good();

	ck_assert_uint_gt(facts_encode(out, sizeof(out), &f), 0);
	f = good(), f.naddrs = FACTS_ADDRS_MAX + 1;
	ck_assert_uint_eq(facts_encode(out, sizeof(out), &f), 0);
	f = good(), f.nlinks = FACTS_LINKS_MAX + 1;
	ck_assert_uint_eq(facts_encode(out, sizeof(out), &f), 0);
	f = good(), f.links[1].node_id[0] = 1;
	ck_assert_uint_eq(facts_encode(out, sizeof(out), &f), 0);
	f = good(), f.addrs[0].family = 5;
	ck_assert_uint_eq(facts_encode(out, sizeof(out), &f), 0);
	f = good(), memset(f.domain, 'a', sizeof(f.domain));
	ck_assert_uint_eq(facts_encode(out, sizeof(out), &f), 0);
	f = good(), f.relay_kbps = 5;
	ck_assert_uint_eq(facts_encode(out, sizeof(out), &f), 0);
	f = good(), f.cpu = 1001;
	ck_assert_uint_eq(facts_encode(out, sizeof(out), &f), 0);
	f = good(), f.battery = 1;
	ck_assert_uint_eq(facts_encode(out, sizeof(out), &f), 0);
	f = good(), f.policy_version = VARINT_MAX + 1;
	ck_assert_uint_eq(facts_encode(out, sizeof(out), &f), 0);
}
END_TEST

START_TEST(names)
{
	ck_assert_str_eq(nat_type_name(NAT_SYMMETRIC), "symmetric");
	ck_assert_str_eq(nat_type_name(NAT_COUNT), "unknown");
	ck_assert_str_eq(net_type_name(NET_MOBILE), "mobile");
	ck_assert_str_eq(net_type_name(NET_COUNT), "unknown");
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("facts");
	TCase *tc = tcase_create("facts");

	tcase_add_test(tc, vectors);
	tcase_add_test(tc, not_encoded);
	tcase_add_test(tc, names);
	suite_add_tcase(s, tc);
	return suite_run(s);
}
