/* telemd: counter pages over restarts, the text that is served, requests and connections. */
#include "fake_worker.h"
#include "suite.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <event2/buffer.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "telemd/http.h"
#include "telemd/openmetrics.h"
#include "telemd/telemd.h"

/* --- pages --- */

static struct stats_page made[8];

static const struct stats_page *
page(enum worker_kind kind, unsigned n, uint64_t each)
{
	struct stats_page *p = &made[n];
	size_t count;

	stats_desc(kind, &count);
	p->magic = STATS_MAGIC;
	p->kind = kind;
	p->count = (uint32_t)count;
	for (size_t i = 0; i < count; i++)
		p->counter[i] = each + i;
	return p;
}

static size_t
first(enum worker_kind kind, bool counter)
{
	size_t count;
	const struct stats_desc *d = stats_desc(kind, &count);

	for (size_t i = 0; i < count; i++)
		if (metric_is_counter(d[i].name) == counter)
			return i;
	ck_abort_msg("%s has none", worker_name(kind));
}

START_TEST(counters_go_on_over_restarts)
{
	size_t c = first(WORKER_ROUTED, true), g = first(WORKER_ROUTED, false);
	struct counter_pages pages;

	ck_assert_int_eq(pages_init(&pages), 0);
	ck_assert(!pages_have(&pages, WORKER_ROUTED));
	ck_assert_uint_eq(pages_value(&pages, WORKER_ROUTED, c), 0);
	pages_replace(&pages, WORKER_ROUTED, 1, page(WORKER_ROUTED, 0, 100), false);
	ck_assert_uint_eq(pages_value(&pages, WORKER_ROUTED, c), 100 + c);
	made[0].counter[c] = 500;	/* the last that the first generation wrote */
	made[0].counter[g] = 9;
	pages_replace(&pages, WORKER_ROUTED, 2, page(WORKER_ROUTED, 1, 0), false);
	ck_assert_uint_eq(pages_value(&pages, WORKER_ROUTED, c), 500 + c);
	ck_assert_uint_eq(pages_value(&pages, WORKER_ROUTED, g), g);	/* a gauge is what it is now */
	pages_replace(&pages, WORKER_ROUTED, 3, page(WORKER_ROUTED, 2, 7), false);
	ck_assert_uint_eq(pages_value(&pages, WORKER_ROUTED, c), 500 + c + 7 + c);
	/* The same page told again counts once. */
	pages_replace(&pages, WORKER_ROUTED, 3, page(WORKER_ROUTED, 2, 7), false);
	ck_assert_uint_eq(pages_value(&pages, WORKER_ROUTED, c), 500 + c + 7 + c);
	ck_assert_uint_eq(pages_value(&pages, WORKER_VPND, 0), 0);
	pages_free(&pages);
}
END_TEST

static struct stats_share *
share(struct stats_page *p, size_t i, enum stats_by by, const char *name)
{
	p->share[i] = (struct stats_share){ .by = by, .v = { 1, 2, 3, 4, 5, [SHARE_FRAMES_IN] = 10,
	    [SHARE_QUEUE_P99_US] = 16 } };
	memcpy(p->share[i].name, name, strnlen(name, sizeof(p->share[i].name)));
	return &p->share[i];
}

/* By service and peer; of a worker that lies, only what is a name, and each once. */
START_TEST(sums_by_name)
{
	struct counter_pages pages;
	struct evbuffer *out = evbuffer_new();
	struct stats_page *p = (struct stats_page *)(uintptr_t)page(WORKER_SVCHOSTD, 3, 0);
	const char *text;

	ck_assert_int_eq(pages_init(&pages), 0);
	pages_replace(&pages, WORKER_SVCHOSTD, 1, p, false);
	share(p, 0, BY_SERVICE, "other");
	share(p, 1, BY_SERVICE, "ssh");
	share(p, 2, BY_SERVICE, "ssh")->v[0] = 99;
	share(p, 3, BY_SERVICE, "x\"} 1\nevil{a=\"");
	share(p, 4, (enum stats_by)77, "unknown");
	memset(share(p, 5, BY_SERVICE, "")->name, 'a', sizeof(p->share[5].name));
	share(p, 6, BY_CLASS, "bulk");
	share(p, 7, BY_REASON, "target-down");
	share(p, STATS_SHARES - 1, BY_PEER, "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef");
	ck_assert_int_eq(openmetrics_write(out, &pages, NULL), 0);
	evbuffer_add(out, "", 1);
	text = (const char *)evbuffer_pullup(out, -1);
	ck_assert_ptr_nonnull(strstr(text, "# TYPE fabric_service_streams counter\n"));
	ck_assert_ptr_nonnull(strstr(text, "\nfabric_service_streams_total{service=\"ssh\"} 1\n"));
	ck_assert_ptr_nonnull(strstr(text, "\nfabric_service_streams_broken_total{service=\"ssh\"} 2\n"));
	ck_assert_ptr_nonnull(strstr(text, "\nfabric_service_bytes_out_total{service=\"other\"} 4\n"));
	ck_assert_ptr_nonnull(strstr(text, "\nfabric_peer_stall_us_total{peer=\"0123456789abcdef0123456789abcdef"
	    "0123456789abcdef0123456789abcdef\"} 5\n"));
	ck_assert_ptr_nonnull(strstr(text, "\nfabric_class_frames_in_total{class=\"bulk\"} 10\n"));
	ck_assert_ptr_nonnull(strstr(text, "# TYPE fabric_class_queue_p99_us gauge\n"));
	ck_assert_ptr_nonnull(strstr(text, "\nfabric_class_queue_p99_us{class=\"bulk\"} 16\n"));
	ck_assert_ptr_nonnull(strstr(text, "\nfabric_stream_ends_total{reason=\"target-down\"} 1\n"));
	ck_assert_ptr_null(strstr(text, "fabric_reason"));
	ck_assert_ptr_null(strstr(text, "evil"));
	ck_assert_ptr_null(strstr(text, "unknown"));
	ck_assert_ptr_null(strstr(text, "aaaa"));
	ck_assert_ptr_null(strstr(text, " 99\n"));
	pages_free(&pages);
	evbuffer_free(out);
	memset(p, 0, sizeof(*p));
}
END_TEST

/* However many names there are, the slots are as many as they are, and no kind takes the other's. */
START_TEST(slots_are_bounded)
{
	struct stats_share *s, *none;
	char name[32];

	for (unsigned i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "s%u", i);
		s = stats_share(BY_SERVICE, name);
		ck_assert_ptr_eq(stats_share(BY_SERVICE, name), s);
		ck_assert((strcmp(s->name, name) == 0) == (i < 127));
	}
	none = stats_share(BY_SERVICE, "one-more");
	ck_assert_str_eq(none->name, STATS_SHARE_OTHER);
	ck_assert_str_eq(stats_share(BY_PEER, "p")->name, "p");
	for (unsigned i = 0; i < REASON_COUNT; i++)	/* each has its place */
		ck_assert_str_eq(stats_share(BY_REASON, reason_name(i))->name, reason_name(i));
	for (unsigned i = 0; i < CLASS_COUNT; i++)
		ck_assert_str_eq(stats_share(BY_CLASS, class_name(i))->name, class_name(i));
}
END_TEST

/* A page may be empty still, or hold anything at all. */
static const struct { const char *what; uint32_t magic, kind, count; bool counted; } odd_pages[] = {
	{ "as it should be", STATS_MAGIC, WORKER_ROUTED, STAT_ROUTED_COUNT, true },
	{ "not begun", 0, 0, 0, false },
	{ "another worker's", STATS_MAGIC, WORKER_VPND, STAT_ROUTED_COUNT, false },
	{ "shorter", STATS_MAGIC, WORKER_ROUTED, 1, false },
	{ "longer than any page", STATS_MAGIC, WORKER_ROUTED, UINT32_MAX, true },
};

START_TEST(odd_page)
{
	size_t last = STAT_ROUTED_COUNT - 1;
	struct counter_pages pages;

	page(WORKER_ROUTED, 0, 10);
	made[0].magic = odd_pages[_i].magic;
	made[0].kind = odd_pages[_i].kind;
	made[0].count = odd_pages[_i].count;
	ck_assert_int_eq(pages_init(&pages), 0);
	pages_replace(&pages, WORKER_ROUTED, 1, &made[0], false);
	ck_assert_msg(pages_value(&pages, WORKER_ROUTED, last) == (odd_pages[_i].counted ? 10 + last : 0), "%s",
	    odd_pages[_i].what);
	pages_free(&pages);
}
END_TEST

/* --- the lists --- */

static bool
is_name(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!islower((unsigned char)s[i]) && s[i] != '_' && !(i > 0 && isdigit((unsigned char)s[i])))
			return false;
	return len > 0;
}

/* name="value",... where no value needs an escape; the length, or -1. */
static int
labels_len(const char *s)
{
	const char *p = s;

	while (*p != '\0' && *p != '}') {
		size_t n = strcspn(p, "=");

		if (!is_name(p, n) || strncmp(p + n, "=\"", 2) != 0)
			return -1;
		p += n + 2;
		p += strcspn(p, "\"\\\n");
		if (*p++ != '"')
			return -1;
		if (*p == ',' && p[1] != '\0' && p[1] != '}')
			p++;
		else if (*p != '\0' && *p != '}')
			return -1;
	}
	return (int)(p - s);
}

static bool
ends_with(const char *s, const char *end)
{
	return strlen(s) > strlen(end) && strcmp(s + strlen(s) - strlen(end), end) == 0;
}

static const char *const reserved[] = { "_count", "_sum", "_bucket", "_created", "_info", "_gcount", "_gsum" };

/* What every worker's list has to keep for the text to be right, whoever adds to it. */
START_TEST(list_is_sound)
{
	size_t count, n;
	const struct stats_desc *d = stats_desc((enum worker_kind)_i, &count), *e;
	ck_assert_uint_gt(count, 0);
	for (size_t i = 0; i < count; i++) {
		ck_assert_msg(is_name(d[i].name, strlen(d[i].name)), "%s: name", d[i].name);
		ck_assert_msg(strncmp(d[i].name, "fabric_", 7) == 0, "%s: begins with fabric_", d[i].name);
		ck_assert_msg(labels_len(d[i].labels) == (int)strlen(d[i].labels), "%s: %s", d[i].name, d[i].labels);
		ck_assert_msg(d[i].help[0] != '\0' && strpbrk(d[i].help, "\n\r\"\\") == NULL, "%s: help", d[i].name);
		for (size_t j = 0; j < sizeof(reserved) / sizeof(reserved[0]); j++)
			ck_assert_msg(!ends_with(d[i].name, reserved[j]), "%s: a suffix with a meaning", d[i].name);
		for (unsigned k = 0; k < WORKER_COUNT; k++) {
			e = stats_desc((enum worker_kind)k, &n);
			for (size_t j = 0; j < n; j++)
				ck_assert_msg((k == (unsigned)_i && i == j) || strcmp(d[i].name, e[j].name) != 0 ||
				    (k == (unsigned)_i && strcmp(d[i].labels, e[j].labels) != 0), "%s{%s} twice",
				    d[i].name, d[i].labels);
		}
	}
}
END_TEST

/* --- the text --- */

struct family {
	char	name[128], type[16];
	bool	help;
	size_t	samples;
};

static struct family families[1024];
static size_t nfamilies;

static struct family *
family_find(const char *name)
{
	for (size_t i = 0; i < nfamilies; i++)
		if (strcmp(families[i].name, name) == 0)
			return &families[i];
	return NULL;
}

static void
check_metadata(char *line)
{
	char *kind = strtok(line + 2, " "), *name = strtok(NULL, " "), *rest = strtok(NULL, "");
	struct family *f;

	ck_assert_ptr_nonnull(name);
	ck_assert_ptr_nonnull(rest);
	if (strcmp(kind, "TYPE") == 0) {
		ck_assert_msg(family_find(name) == NULL, "family %s twice", name);
		f = &families[nfamilies++];
		memset(f, 0, sizeof(*f));
		snprintf(f->name, sizeof(f->name), "%s", name);
		snprintf(f->type, sizeof(f->type), "%s", rest);
		ck_assert_msg(strcmp(rest, "counter") == 0 || strcmp(rest, "gauge") == 0 || strcmp(rest, "info") == 0, "%s", rest);
		return;
	}
	ck_assert_str_eq(kind, "HELP");
	f = &families[nfamilies - 1];
	ck_assert_str_eq(f->name, name);
	ck_assert(!f->help && f->samples == 0);
	f->help = true;
}

static void
check_sample(char *line)
{
	struct family *f = &families[nfamilies - 1];
	size_t n = strcspn(line, "{ ");
	const char *suffix = strcmp(f->type, "counter") == 0 ? "_total" : strcmp(f->type, "info") == 0 ? "_info" : "";
	char want[160];
	char *p = line + n, *end;

	ck_assert_uint_gt(nfamilies, 0);
	snprintf(want, sizeof(want), "%s%s", f->name, suffix);
	ck_assert_msg(strlen(want) == n && memcmp(line, want, n) == 0, "%s among %s", line, want);
	if (*p == '{') {
		int len = labels_len(p + 1);

		ck_assert_msg(len > 0, "%s", line);
		p += 1 + len;
		ck_assert_int_eq(*p, '}');
		p++;
	}
	ck_assert_msg(*p == ' ' && isdigit((unsigned char)p[1]), "%s", line);
	strtoull(p + 1, &end, 10);
	ck_assert_msg(*end == '\0', "%s", line);
	f->samples++;
}

/* OpenMetrics 1.0, as far as counters, gauges and infos go; NUL-terminated, destroyed. */
static void
check_text(char *text)
{
	size_t len = strlen(text);
	char *line = text, *next;

	nfamilies = 0;
	ck_assert_uint_ge(len, 6);
	ck_assert_str_eq(text + len - 6, "# EOF\n");
	ck_assert_ptr_null(strchr(text, '\r'));
	text[len - 6] = '\0';
	ck_assert_ptr_null(strstr(text, "# EOF"));
	for (; *line != '\0'; line = next) {
		next = strchr(line, '\n');
		ck_assert_ptr_nonnull(next);
		*next++ = '\0';
		if (strncmp(line, "# ", 2) == 0)
			check_metadata(line);
		else
			check_sample(line);
	}
	for (size_t i = 0; i < nfamilies; i++)
		ck_assert_msg(families[i].help && families[i].samples > 0, "%s", families[i].name);
}

static char *
text_of(const struct counter_pages *pages, const struct pm_conf_node *node)
{
	struct evbuffer *out = evbuffer_new();
	size_t len;
	char *text;

	ck_assert_int_eq(openmetrics_write(out, pages, node), 0);
	len = evbuffer_get_length(out);
	text = calloc(1, len + 1);
	evbuffer_remove(out, text, len);
	evbuffer_free(out);
	return text;
}

START_TEST(text_is_openmetrics)
{
	struct counter_pages pages;
	struct pm_conf_node node = fake_conf_node().conf_node;
	char *text;
	size_t want = 0;

	ck_assert_int_eq(pages_init(&pages), 0);
	for (unsigned k = 0; k < (unsigned)_i; k++) {
		size_t count;

		stats_desc((enum worker_kind)k, &count);
		want += count;
		pages_replace(&pages, (enum worker_kind)k, 1, page((enum worker_kind)k, k, 1000), false);
	}
	text = text_of(&pages, _i == 0 ? NULL : &node);
	check_text(text);
	for (size_t i = 0; i < nfamilies; i++)
		want -= families[i].samples;
	ck_assert_uint_eq(want + (_i != 0), 0);	/* each once, and the node */
	free(text);
	pages_free(&pages);
}
END_TEST

START_TEST(text_has_the_values)
{
	struct counter_pages pages;
	struct pm_conf_node node = fake_conf_node().conf_node;
	char want[256], *text;

	ck_assert_int_eq(pages_init(&pages), 0);
	pages_replace(&pages, WORKER_ROUTED, 1, page(WORKER_ROUTED, 0, 0), false);
	made[0].counter[STAT_ROUTED_REQUESTS] = UINT64_MAX;
	made[0].counter[STAT_ROUTED_PEERS_UP] = 12;
	text = text_of(&pages, &node);
	ck_assert_ptr_nonnull(strstr(text, "\n# TYPE fabric_routed_requests counter\n# HELP fabric_routed_requests "));
	ck_assert_ptr_nonnull(strstr(text, "\nfabric_routed_requests_total 18446744073709551615\n"));
	ck_assert_ptr_nonnull(strstr(text, "\nfabric_routed_peers{set=\"up\"} 12\n"));
	ck_assert_ptr_null(strstr(text, "fabric_vpnd"));	/* no page, no zeros that nobody counted */
	snprintf(want, sizeof(want), "fabric_node_info{id=\"eeab%058dee\",name=\"here\",tenant=\"home\",version=\"", 0);
	ck_assert_msg(strstr(text, want) != NULL, "%s\n%s", want, text);
	free(text);
	/* Whatever a name could hold. */
	strcpy(node.name, "a\"b\\c\nd");
	text = text_of(&pages, &node);
	ck_assert_ptr_nonnull(strstr(text, ",name=\"a\\\"b\\\\c\\nd\","));
	free(text);
	pages_free(&pages);
}
END_TEST

/* --- requests --- */

#define GET "GET /metrics HTTP/1.1\r\n"
#define HOST "Host: a\r\n"

static const struct { const char *text; int status; } requests[] = {
	{ GET HOST "\r\n", 200 },
	{ GET "hOST:a\r\nAccept: text/plain; q=0.5, */*\r\nX: \xc3\xa9\t,\r\n\r\n", 200 },
	{ GET HOST "Content-Length: 0\r\n\r\n", 200 },
	{ GET HOST "\r\nGET /other HTTP/1.1\r\n\r\n", 200 },	/* what follows is not looked at */
	{ "GET /metrics HTTP/1.0\r\n\r\n", 200 },
	{ "GET /metrics HTTP/1.9\r\n" HOST "\r\n", 200 },
	{ "GET /metrics?a=b/c HTTP/1.1\r\n" HOST "\r\n", 200 },
	{ "GET http://a:9100/metrics HTTP/1.1\r\n" HOST "\r\n", 200 },
	{ "GET HTTP://a/metrics?x HTTP/1.1\r\n" HOST "\r\n", 200 },
	{ "GET / HTTP/1.1\r\n" HOST "\r\n", 404 },
	{ "GET /metrics/ HTTP/1.1\r\n" HOST "\r\n", 404 },
	{ "GET /METRICS HTTP/1.1\r\n" HOST "\r\n", 404 },
	{ "GET /metric HTTP/1.1\r\n" HOST "\r\n", 404 },
	{ "GET /%6detrics HTTP/1.1\r\n" HOST "\r\n", 404 },
	{ "GET //metrics HTTP/1.1\r\n" HOST "\r\n", 404 },
	{ "GET http://a HTTP/1.1\r\n" HOST "\r\n", 404 },
	{ "GET http://a?/metrics HTTP/1.1\r\n" HOST "\r\n", 200 },
	{ "OPTIONS * HTTP/1.1\r\n" HOST "\r\n", 404 },
	{ "POST /other HTTP/1.1\r\n" HOST "\r\n", 404 },
	{ "POST /metrics HTTP/1.1\r\n" HOST "\r\n", 405 },
	{ "HEAD /metrics HTTP/1.1\r\n" HOST "\r\n", 405 },
	{ "get /metrics HTTP/1.1\r\n" HOST "\r\n", 405 },
	{ "GETS /metrics HTTP/1.1\r\n" HOST "\r\n", 405 },
	{ "POST /metrics HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello", 413 },
	{ GET HOST "Content-Length: 00\r\n\r\n", 413 },
	{ GET HOST "Transfer-Encoding: chunked\r\n\r\n", 413 },
	{ GET "\r\n", 400 },					/* no Host */
	{ GET HOST HOST "\r\n", 400 },
	{ "GET /metrics HTTP/1.0\r\n" HOST HOST "\r\n", 400 },
	{ "GET /metrics HTTP/2.0\r\n" HOST "\r\n", 505 },
	{ "GET /metrics HTTP/0.9\r\n\r\n", 505 },
	{ "GET /metrics\r\n\r\n", 400 },
	{ "GET /metrics HTTP/1.1 \r\n" HOST "\r\n", 400 },
	{ "GET  /metrics HTTP/1.1\r\n" HOST "\r\n", 400 },
	{ "GET /met rics HTTP/1.1\r\n" HOST "\r\n", 400 },
	{ "GET /metrics HTTP/1.x\r\n" HOST "\r\n", 400 },
	{ "GET /metrics http/1.1\r\n" HOST "\r\n", 400 },
	{ " GET /metrics HTTP/1.1\r\n" HOST "\r\n", 400 },
	{ "G\x01T /metrics HTTP/1.1\r\n" HOST "\r\n", 400 },
	{ "GET /metrics\x7f HTTP/1.1\r\n" HOST "\r\n", 400 },
	{ "\r\n" GET HOST "\r\n", 400 },
	{ "GET /metrics HTTP/1.1\n" HOST "\r\n", 400 },		/* no CR */
	{ GET "Host: a\n\r\n", 400 },
	{ GET HOST "\n", 400 },
	{ GET HOST "Na me: a\r\n\r\n", 400 },
	{ GET HOST "Name : a\r\n\r\n", 400 },
	{ GET HOST " folded: a\r\n\r\n", 400 },
	{ GET HOST ": a\r\n\r\n", 400 },
	{ GET HOST "Name\r\n\r\n", 400 },
	{ GET HOST "Name: a\x01" "b\r\n\r\n", 400 },
	{ GET HOST "Name: a\rb\r\n\r\n", 400 },
	{ "\x16\x03\x01\x02\n", 400 },				/* TLS */
	{ "", 0 }, { "GET", 0 }, { GET, 0 }, { GET HOST, 0 }, { GET HOST "\r", 0 },
};

START_TEST(request_status)
{
	const char *text = requests[_i].text;
	size_t len = strlen(text);
	int status = http_request(text, len), part;

	ck_assert_msg(status == requests[_i].status, "%d, not %d: %s", status, requests[_i].status, text);
	/* A piece of it says either nothing yet or the same. */
	for (size_t n = 0; n < len; n++) {
		char *copy = malloc(n + 1);	/* exactly so long, for the sanitizer */

		memcpy(copy, text, n);
		copy = realloc(copy, n == 0 ? 1 : n);
		part = http_request(copy, n);
		ck_assert_msg(part == HTTP_MORE || part == status, "%d after %zu: %s", part, n, text);
		free(copy);
	}
}
END_TEST

START_TEST(request_limits)
{
	static char buf[2 * HTTP_REQUEST_MAX];
	size_t head = strlen(GET HOST "X: ");
	int n = 0;

	memset(buf, 'a', sizeof(buf));
	ck_assert_int_eq(http_request(buf, HTTP_REQUEST_MAX - 1), HTTP_MORE);
	ck_assert_int_eq(http_request(buf, HTTP_REQUEST_MAX), HTTP_URI_TOO_LONG);
	memcpy(buf, GET HOST "X: ", head);
	ck_assert_int_eq(http_request(buf, HTTP_REQUEST_MAX - 1), HTTP_MORE);
	ck_assert_int_eq(http_request(buf, HTTP_REQUEST_MAX), HTTP_FIELDS_TOO_LARGE);
	memcpy(buf + HTTP_REQUEST_MAX - 4, "\r\n\r\n", 4);
	ck_assert_int_eq(http_request(buf, HTTP_REQUEST_MAX), HTTP_OK);
	memset(buf + HTTP_REQUEST_MAX - 4, 'a', 4);
	memcpy(buf + HTTP_REQUEST_MAX, "\r\n\r\n", 4);
	ck_assert_int_eq(http_request(buf, sizeof(buf)), HTTP_FIELDS_TOO_LARGE);
	for (int fields = HTTP_FIELDS_MAX; fields <= HTTP_FIELDS_MAX + 1; fields++) {
		n = snprintf(buf, sizeof(buf), GET HOST);
		for (int i = 1; i < fields; i++)
			n += snprintf(buf + n, sizeof(buf) - (size_t)n, "F: %d\r\n", i);
		n += snprintf(buf + n, sizeof(buf) - (size_t)n, "\r\n");
		ck_assert_int_eq(http_request(buf, (size_t)n),
		    fields == HTTP_FIELDS_MAX ? HTTP_OK : HTTP_FIELDS_TOO_LARGE);
	}
}
END_TEST

/* --- the worker and its connections --- */

#define WAIT_MS 10000	/* for what comes at once: a slow machine is no failure */

static struct fake fk;
static struct sockaddr_in at;

static struct procmsg
conf_socket(uint8_t purpose)
{
	return (struct procmsg){ .type = PM_CONF_SOCKET,
	    .conf_socket = { .purpose = purpose, .addr = { .family = 4, .addr = { 127, 0, 0, 1 }, .port = 1 } } };
}

static int
listening(void)
{
	socklen_t len = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	memset(&at, 0, sizeof(at));
	at.sin_family = AF_INET;
	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	ck_assert_int_eq(listen(fd, 64), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	return fd;
}

static void
configure(bool with_socket)
{
	struct procmsg node = fake_conf_node(), sock = conf_socket(SOCKET_METRICS);

	telemd_ops.conf_begin(&fk.worker);
	ck_assert_int_eq(telemd_ops.conf_item(&fk.worker, &node, -1), 0);
	if (with_socket)
		ck_assert_int_eq(telemd_ops.conf_item(&fk.worker, &sock, listening()), 0);
	ck_assert_int_eq(telemd_ops.conf_check(&fk.worker), 0);
	telemd_ops.conf_commit(&fk.worker);
	ck_assert_uint_eq(((struct telemd *)fk.worker.state)->conf->nsockets, 0);	/* the server's now */
}

static void
setup(void)
{
	fake_start(&fk, &telemd_ops);
	configure(true);
}

static void
teardown(void)
{
	fake_stop(&fk);
}

static int
dial(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_eq(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	fake_run(&fk);
	return fd;
}

static size_t
conns(void)
{
	return stats->counter[STAT_TELEMD_CONNS];
}

static void
say(int fd, const char *text)
{
	ck_assert_int_eq(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
	fake_run(&fk);
}

/* All until the end of the connection, NUL-terminated; false when it does not end in `ms`, or with an error. */
static bool
hear(int fd, char *buf, size_t size, unsigned ms)
{
	uint64_t until = clock_ns() + ms * NS_PER_MS;
	size_t len = 0;

	while (clock_ns() < until) {
		ssize_t n = read(fd, buf + len, size - 1 - len);

		if (n >= 0)
			len += (size_t)n;
		buf[len] = '\0';
		if (n == 0)
			return true;
		if (n == -1 && errno != EAGAIN)
			return false;
		fake_run(&fk);
		usleep(1000);
	}
	return false;
}

static char heard[256 * 1024];

START_TEST(scrape)
{
	struct procmsg m = { .type = PM_STATS, .stats = { .kind = WORKER_ROUTED, .generation = 4 } };
	int page_fd = stats_create(), fd;
	char *body;

	ck_assert_int_eq(telemd_ops.message(&fk.worker, &m, page_fd), 0);
	fd = dial();
	say(fd, GET HOST);
	say(fd, "\r\n");
	ck_assert(hear(fd, heard, sizeof(heard), WAIT_MS));
	ck_assert_int_eq(strncmp(heard, "HTTP/1.1 200 OK\r\n", 17), 0);
	ck_assert_ptr_nonnull(strstr(heard, "\r\nContent-Type: " OPENMETRICS_TYPE "\r\n"));
	ck_assert_ptr_nonnull(strstr(heard, "\r\nConnection: close\r\n"));
	body = strstr(heard, "\r\n\r\n") + 4;
	ck_assert_uint_eq(strtoul(strstr(heard, "Content-Length: ") + 16, NULL, 10), strlen(body));
	ck_assert_ptr_nonnull(strstr(body, "fabric_telemd_scrapes_total 1\n"));
	ck_assert_ptr_nonnull(strstr(body, "fabric_routed_requests_total 0\n"));
	check_text(body);
	close(fd);
	ck_assert_uint_eq(conns(), 0);
}
END_TEST

/* Refused in the midst of what it sends: the answer arrives all the same, and no reset instead of it. */
START_TEST(refusal_arrives)
{
	static char flood[300000];
	ssize_t n;
	int fd = dial();

	memset(flood, 'a', sizeof(flood));
	n = send(fd, flood, sizeof(flood), MSG_NOSIGNAL);
	ck_assert_int_gt(n, HTTP_REQUEST_MAX);
	fake_run(&fk);
	shutdown(fd, SHUT_WR);
	ck_assert(hear(fd, heard, sizeof(heard), WAIT_MS));
	ck_assert_int_eq(strncmp(heard, "HTTP/1.1 414 ", 13), 0);
	close(fd);
	fake_run(&fk);
	ck_assert_uint_eq(conns(), 0);
}
END_TEST

START_TEST(method_not_allowed_says_which_is)
{
	int fd = dial();

	say(fd, "POST /metrics HTTP/1.1\r\n" HOST "\r\n");
	ck_assert(hear(fd, heard, sizeof(heard), WAIT_MS));
	ck_assert_int_eq(strncmp(heard, "HTTP/1.1 405 Method Not Allowed\r\n", 33), 0);
	ck_assert_ptr_nonnull(strstr(heard, "\r\nAllow: GET\r\n"));
	close(fd);
}
END_TEST

START_TEST(others_dawdle_and_one_is_served)
{
	int slow[SERVER_CONNS_MAX + 4], fd;

	for (size_t i = 0; i < SERVER_CONNS_MAX + 4; i++) {
		slow[i] = dial();
		say(slow[i], "GET /met");
		ck_assert_uint_le(conns(), SERVER_CONNS_MAX);
	}
	ck_assert_uint_eq(conns(), SERVER_CONNS_MAX);
	fd = dial();
	say(fd, GET HOST "\r\n");
	ck_assert(hear(fd, heard, sizeof(heard), WAIT_MS));
	ck_assert_int_eq(strncmp(heard, "HTTP/1.1 200 ", 13), 0);
	ck_assert_uint_eq(stats->counter[STAT_TELEMD_CONNS_EVICTED], 5);
	ck_assert(hear(slow[0], heard, sizeof(heard), WAIT_MS));	/* the oldest went first */
	ck_assert(!hear(slow[SERVER_CONNS_MAX], heard, sizeof(heard), 100));
	for (size_t i = 0; i < SERVER_CONNS_MAX + 4; i++)
		close(slow[i]);
	close(fd);
}
END_TEST

/* A byte now and then does not gain time. */
START_TEST(slow_request_times_out)
{
	uint64_t begun = clock_ns();
	int fd = dial();

	while (conns() > 0 && clock_ns() < begun + 20 * NS_PER_SEC) {
		ck_assert_int_ne(send(fd, "G", 1, MSG_NOSIGNAL), 0);
		fake_run(&fk);
		usleep(100000);
	}
	ck_assert_uint_eq(conns(), 0);
	ck_assert_uint_ge(clock_ns() - begun, SERVER_REQUEST_S * NS_PER_SEC);
	ck_assert_uint_eq(stats->counter[STAT_TELEMD_CONNS_TIMED_OUT], 1);
	close(fd);
}
END_TEST

START_TEST(client_that_goes_is_forgotten)
{
	int fd = dial();

	say(fd, "GET");
	close(fd);
	fake_run(&fk);
	ck_assert_uint_eq(conns(), 0);
}
END_TEST

/* A new configuration without an address: nobody listens any more. */
START_TEST(reload_takes_the_address_away)
{
	int fd = dial(), other;

	configure(false);
	other = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(connect(other, (struct sockaddr *)&at, sizeof(at)), -1);
	say(fd, GET HOST "\r\n");	/* who was connected is served */
	ck_assert(hear(fd, heard, sizeof(heard), WAIT_MS));
	close(fd);
	close(other);
	configure(true);
	fd = dial();
	say(fd, GET HOST "\r\n");
	ck_assert(hear(fd, heard, sizeof(heard), WAIT_MS));
	close(fd);
}
END_TEST

START_TEST(aborted_configuration_leaves_no_socket)
{
	struct procmsg sock = conf_socket(SOCKET_METRICS), wrong = conf_socket(SOCKET_FABRIC_UDP);
	int fd = listening(), other = listening();

	telemd_ops.conf_begin(&fk.worker);
	ck_assert_int_eq(telemd_ops.conf_item(&fk.worker, &sock, fd), 0);
	ck_assert_int_eq(telemd_ops.conf_item(&fk.worker, &wrong, other), -1);
	ck_assert_int_eq(telemd_ops.conf_item(&fk.worker, &sock, -1), -1);
	ck_assert_int_eq(telemd_ops.conf_check(&fk.worker), -1);	/* no node */
	telemd_ops.conf_abort(&fk.worker);
	ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
	ck_assert_int_eq(fcntl(other, F_GETFD), -1);
}
END_TEST

/* All rows at once, while the supervisor does not read: each arrives. */
START_TEST(counters_rows)
{
	struct procmsg m;
	size_t want = 0, rows = 0, count;

	for (unsigned k = 0; k < WORKER_COUNT; k++) {
		struct procmsg s = { .type = PM_STATS, .stats = { .kind = (uint8_t)k, .generation = 2 } };

		stats_desc((enum worker_kind)k, &count);
		want += count;
		ck_assert_int_eq(telemd_ops.message(&fk.worker, &s, stats_create()), 0);
	}
	ipc_pause(fk.supervisor.ipc);
	fake_request(&fk, "counters", "", 0);
	fake_run(&fk);
	ipc_resume(fk.supervisor.ipc);
	while (fake_message(&fk, &fk.supervisor, &m, WAIT_MS) && m.type == PM_ROW) {
		rows++;
		ck_assert(worker_parse(row_text(&m.row.row, "worker")) >= 0);
		ck_assert_int_eq(strncmp(row_text(&m.row.row, "name"), "fabric_", 7), 0);
		row_num(&m.row.row, "value");
	}
	ck_assert_int_eq(m.type, PM_DONE);
	ck_assert_int_eq(m.done.status, 0);
	ck_assert_uint_eq(rows, want);
	fake_request(&fk, "dance", "", 0);
	ck_assert(fake_message(&fk, &fk.supervisor, &m, WAIT_MS));
	ck_assert_int_eq(m.done.status, 1);
}
END_TEST

#define N(a) ((int)(sizeof(a) / sizeof((a)[0])))

static Suite *
suite(void)
{
	Suite *s = suite_create("openmetrics");
	TCase *pure = tcase_create("text"), *tc = tcase_create("telemd");

	tcase_add_test(pure, counters_go_on_over_restarts);
	tcase_add_test(pure, sums_by_name);
	tcase_add_test(pure, slots_are_bounded);
	tcase_add_loop_test(pure, odd_page, 0, N(odd_pages));
	tcase_add_loop_test(pure, list_is_sound, 0, WORKER_COUNT);
	tcase_add_loop_test(pure, text_is_openmetrics, 0, WORKER_COUNT + 1);
	tcase_add_test(pure, text_has_the_values);
	tcase_add_loop_test(pure, request_status, 0, N(requests));
	tcase_add_test(pure, request_limits);
	suite_add_tcase(s, pure);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 30);
	tcase_add_test(tc, scrape);
	tcase_add_test(tc, refusal_arrives);
	tcase_add_test(tc, method_not_allowed_says_which_is);
	tcase_add_test(tc, others_dawdle_and_one_is_served);
	tcase_add_test(tc, slow_request_times_out);
	tcase_add_test(tc, client_that_goes_is_forgotten);
	tcase_add_test(tc, reload_takes_the_address_away);
	tcase_add_test(tc, aborted_configuration_leaves_no_socket);
	tcase_add_test(tc, counters_rows);
	suite_add_tcase(s, tc);
	return s;
}

int
main(void)
{
	return suite_run(suite());
}
