/* Rows about what happened to routes, what was relayed, who may what, and how this node stands in the network. */
#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hex.h"
#include "crypto/identity.h"
#include "routed/route_answers.h"
#include "wire/fields.h"

#define EVENTS_AT_ONCE	1000u
#define CLASSES_ALL	((1u << CLASS_COUNT) - 1)

/* --- history --- */

static const char *
place_name(unsigned place)
{
	static const char *const names[] = { "source", "relay", "dest" };

	return place < 3 ? names[place] : "unknown";
}

static bool
of_ways(unsigned kind)
{
	return kind == HISTORY_MOVED || kind == HISTORY_FIRST || kind == HISTORY_STREAM;
}

static bool
of_one_route(unsigned kind)
{
	return kind == HISTORY_INSTALLED || kind == HISTORY_REFUSED || kind == HISTORY_ENDED || kind == HISTORY_EXPIRED ||
	    kind == HISTORY_FENCED || kind == HISTORY_REVOKED;
}

static const char *
moment(char buf[40], uint64_t ms)
{
	time_t t = (time_t)(ms / 1000);
	struct tm tm;
	size_t len;

	if (gmtime_r(&t, &tm) == NULL || (len = strftime(buf, 32, "%Y-%m-%dT%H:%M:%S", &tm)) == 0)
		return "";
	snprintf(buf + len, 40 - len, ".%03uZ", (unsigned)(ms % 1000));
	return buf;
}

static void
event_row(struct route_request_args *a, const struct history_event *e)
{
	char hex[2 * NODE_ID_LEN + 1], id[24], at[40];
	struct row_writer w;

	row_init(&w);
	row_uint(&w, "number", e->number);
	row_str(&w, "at", moment(at, e->wall_ms));
	row_str(&w, "event", history_kind_name(e->kind));
	row_str(&w, "node", e->has_node ? rows_name(a->m, e->node_id) : "");
	row_str(&w, "node_id", e->has_node ? hex_encode(hex, e->node_id, NODE_ID_LEN) : "");
	if (of_one_route(e->kind)) {
		row_str(&w, "place", place_name(e->place));
		row_str(&w, "route", rows_way(id, e->to));
	}
	if (of_ways(e->kind)) {
		row_str(&w, "from", rows_way(id, e->from));
		row_str(&w, "to", e->to_none ? "none" : rows_way(id, e->to));
	}
	row_str(&w, "why", e->why);
	if (e->kind == HISTORY_STREAM) {
		row_uint(&w, "stream", e->stream_id);
		row_str(&w, "service", e->service);
		row_str(&w, "class", class_name(e->class));
	}
	if (e->kind == HISTORY_MOVED) {
		row_uint(&w, "streams", e->streams);
		row_uint(&w, "packets_lost", e->lost);
	}
	if (e->kind == HISTORY_MOVED || e->kind == HISTORY_STREAM) {
		row_uint(&w, "detect_us", e->detect_us);
		if (e->recover_us != 0)
			row_uint(&w, "recover_us", e->recover_us);
	}
	rowlist_add(a->rows, &w);
}

int
rows_history(struct route_request_args *a)
{
	const struct history_event *e;
	uint8_t id[NODE_ID_LEN];

	if (a->argument[0] != '\0' && !rows_node(a, a->argument, id))
		return 1;
	for (uint64_t n = 1; (e = history_get(&a->m->history, n)) != NULL; n = e->number + 1)
		if (a->argument[0] == '\0' || (e->has_node && memcmp(e->node_id, id, NODE_ID_LEN) == 0))
			event_row(a, e);
	return 0;
}

/* Those after a number; without one the last. Who follows asks again with the number that it has seen. */
int
rows_events(struct route_request_args *a)
{
	const struct history_event *e;
	uint64_t n = a->m->history.n;
	unsigned rows = 0;

	if (a->argument[0] != '\0')
		n = strtoull(a->argument, NULL, 10) + 1;
	else if (n > 20)
		n -= 20;
	else
		n = 1;
	for (; rows < EVENTS_AT_ONCE && (e = history_get(&a->m->history, n)) != NULL; n = e->number + 1, rows++)
		event_row(a, e);
	return 0;
}

/* --- what was relayed --- */

struct sum {
	char	 tenant[RECORD_TENANT_MAX + 1];
	unsigned class;
	uint8_t	 neighbour[NODE_ID_LEN];
	uint64_t forth, back, confirmed;
};

enum { BY_TENANT = 1, BY_CLASS = 2, BY_NEIGHBOUR = 4 };

static int
parse_by(const char *s)
{
	static const char *const names[] = { "tenant", "class", "neighbour" };
	int by = 0;

	while (*s != '\0') {
		size_t len = strcspn(s, ","), i = 0;

		while (i < 3 && (strlen(names[i]) != len || strncmp(names[i], s, len) != 0))
			i++;
		if (i == 3)
			return -1;
		by |= 1 << i;
		s += len + (s[len] == ',');
	}
	return by;
}

static bool
same_sum(const struct sum *s, const struct usage_entry *e, int by)
{
	return (!(by & BY_TENANT) || strcmp(s->tenant, e->tenant) == 0) && (!(by & BY_CLASS) || s->class == e->class) &&
	    (!(by & BY_NEIGHBOUR) || memcmp(s->neighbour, e->neighbour, NODE_ID_LEN) == 0);
}

static void
usage_row(struct route_request_args *a, const struct sum *s, int by)
{
	char hex[2 * NODE_ID_LEN + 1];
	struct row_writer w;

	row_init(&w);
	if (by & BY_TENANT)
		row_str(&w, "tenant", s->tenant);
	if (by & BY_CLASS)
		row_str(&w, "class", s->class < CLASS_COUNT ? class_name(s->class) : "other");
	if (by & BY_NEIGHBOUR) {
		row_str(&w, "neighbour", rows_name(a->m, s->neighbour));
		row_str(&w, "neighbour_id", hex_encode(hex, s->neighbour, NODE_ID_LEN));
	}
	row_uint(&w, "bytes", s->forth + s->back);
	row_uint(&w, "bytes_forth", s->forth);
	row_uint(&w, "bytes_back", s->back);
	row_uint(&w, "bytes_confirmed", s->confirmed);
	rowlist_add(a->rows, &w);
}

/* A relayed byte is claimed from both neighbours, so that twice as much is confirmed as was relayed, when all is. */
int
rows_usage(struct route_request_args *a)
{
	const struct usage *u = a->m->usage;
	struct sum *sums = calloc(usage_count(u) + 1, sizeof(*sums));
	int by = parse_by(a->argument);
	size_t n = 0;

	if (sums == NULL || by == -1) {
		free(sums);
		snprintf(a->text, PM_TEXT_MAX + 1, by == -1 ? "by tenant, class or neighbour, and nothing else" : "no memory");
		return by == -1 ? 2 : 1;
	}
	for (size_t i = 0; i < usage_count(u); i++) {
		const struct usage_entry *e = usage_get(u, i);
		size_t k = 0;

		if ((e->forth | e->back | e->confirmed) == 0)
			continue;
		while (k < n && !same_sum(&sums[k], e, by))
			k++;
		if (k == n) {
			memcpy(sums[k].tenant, e->tenant, sizeof(sums[k].tenant));
			sums[k].class = e->class;
			memcpy(sums[k].neighbour, e->neighbour, NODE_ID_LEN);
			n++;
		}
		sums[k].forth += e->forth;
		sums[k].back += e->back;
		sums[k].confirmed += e->confirmed;
	}
	for (size_t k = 0; k < n; k++)
		usage_row(a, &sums[k], by);
	free(sums);
	return 0;
}

/* --- fences --- */

static void
fence_row(struct route_request_args *a, const struct fence_held *h)
{
	char text[FENCE_TEXT_MAX], hex[2 * NODE_ID_LEN + 1];
	struct row_writer w;

	row_init(&w);
	row_str(&w, "fence", manager_fence_text(a->m, &h->fence, text));
	row_str(&w, "node_id", h->fence.what == FENCE_ROUTE ? "" : hex_encode(hex, h->fence.node, NODE_ID_LEN));
	row_str(&w, "dest_id", h->fence.what == FENCE_PAIR ? hex_encode(hex, h->fence.dest, NODE_ID_LEN) : "");
	row_uint(&w, "upto_epoch", h->fence.epoch);
	row_str(&w, "by", rows_name(a->m, h->key.by));
	row_uint(&w, "number", h->key.serial);
	row_uint(&w, "not_after_s", h->key.not_after);
	rowlist_add(a->rows, &w);
}

int
rows_fences(struct route_request_args *a)
{
	for (size_t i = 0; i < a->m->fences.n; i++)
		fence_row(a, &a->m->fences.v[i]);
	return 0;
}

/* "ROUTE", "SOURCE DEST" or "node NODE". */
static bool
parse_fence(struct route_request_args *a, struct fence *f)
{
	char words[2][PM_TEXT_MAX + 1] = { "", "" }, *end;
	int n = sscanf(a->argument, "%255s %255s", words[0], words[1]);

	if (n == 2 && strcmp(words[0], "node") == 0) {
		f->what = FENCE_NODE;
		return rows_node(a, words[1], f->node);
	}
	if (n == 2) {
		f->what = FENCE_PAIR;
		if (!rows_node(a, words[0], f->node) || !rows_node(a, words[1], f->dest))
			return false;
		if (memcmp(f->node, f->dest, NODE_ID_LEN) != 0)
			return true;
		snprintf(a->text, PM_TEXT_MAX + 1, "there is no route from a node to itself");
		return false;
	}
	f->what = FENCE_ROUTE;
	f->route_id = strtoull(words[0], &end, 16);
	if (n == 1 && *end == '\0' && f->route_id != 0)
		return true;
	snprintf(a->text, PM_TEXT_MAX + 1, "a route's id, two nodes, or \"node\" and one");
	return false;
}

int
rows_fence(struct route_request_args *a)
{
	struct fence f = { .what = 0 };
	const struct fence_held *held;

	if (!parse_fence(a, &f))
		return 2;
	if ((held = manager_fence(a->m, &f, a->text)) == NULL)
		return 1;
	fence_row(a, held);
	return 0;
}

/* --- who may what, by the policy that holds --- */

struct asking_why {
	struct route_request_args *a;
	const struct known *src, *dest;		/* dest NULL: all */
	char	service[FRAME_SERVICE_MAX + 1];
	uint8_t	classes;
	bool	relays;				/* the second half: who may relay */
	bool	any;
};

static void
why_rows(struct asking_why *q, const char *what, const struct known *k, const struct policy_answer *v, size_t n)
{
	char classes[POLICY_CLASSES_TEXT], text[1024];
	struct row_writer w;
	bool all = n > 0;

	for (size_t i = 0; i < n; i++) {
		row_init(&w);
		row_str(&w, what, k->member.name);
		row_str(&w, "class", policy_classes_text(classes, v[i].classes));
		row_str(&w, "verdict", v[i].verdict.pass ? "pass" : "block");
		if (v[i].verdict.kbps != 0)
			row_uint(&w, "kbps", v[i].verdict.kbps);
		if (v[i].verdict.streams != 0)
			row_uint(&w, "streams", v[i].verdict.streams);
		row_uint(&w, "rule", v[i].verdict.rule);
		row_uint(&w, "line", v[i].verdict.line);
		policy_rule_text(text, sizeof(text), q->a->m->policy, v[i].verdict.rule);
		row_str(&w, "text", text);
		rowlist_add(q->a->rows, &w);
		all = all && v[i].verdict.pass;
	}
	q->any = q->any || (all && !q->relays);
}

static bool
why_node(struct known *k, void *arg)
{
	struct asking_why *q = arg;
	struct policy_node src = known_policy_node(q->src), node = known_policy_node(k);
	struct policy_answer out[CLASS_COUNT];

	if (k == q->src)
		return true;
	if (!q->relays && (q->dest == NULL || q->dest == k))
		why_rows(q, "node", k, out, policy_answers(q->a->m->policy, &src, &node, q->service, q->classes, out));
	if (q->relays && q->dest != k && node.roles & (1u << ROLE_RELAY | 1u << ROLE_ENTRY))
		why_rows(q, "relay", k, out, policy_answers(q->a->m->policy, &node, &src, NULL, q->classes, out));
	return true;
}

static int
parse_classes(const char *s, uint8_t *classes)
{
	char word[32];

	*classes = *s == '\0' || strcmp(s, "all") == 0 ? CLASSES_ALL : 0;
	while (*s != '\0' && *classes != CLASSES_ALL) {
		size_t len = strcspn(s, ",");
		int class;

		if (len >= sizeof(word))
			return -1;
		memcpy(word, s, len);
		word[len] = '\0';
		if ((class = class_parse(word)) == -1)
			return -1;
		*classes |= (uint8_t)(1u << class);
		s += len + (s[len] == ',');
	}
	return *classes == 0 ? -1 : 0;
}

static const struct known *
known_named(struct route_request_args *a, const char *name)
{
	uint8_t id[NODE_ID_LEN];
	const struct known *k = rows_node(a, name, id) ? known_find(a->m->knowns, id) : NULL;

	if (k == NULL)
		snprintf(a->text, PM_TEXT_MAX + 1, "node \"%.63s\" is not known here", name);
	return k;
}

/* "SRC SERVICE[@NODE] [class,...]" */
int
rows_policy_why(struct route_request_args *a)
{
	char src[PM_TEXT_MAX + 1], target[PM_TEXT_MAX + 1], classes[PM_TEXT_MAX + 1] = "", *at;
	struct asking_why q = { .a = a };
	int n = sscanf(a->argument, "%255s %255s %255s", src, target, classes);

	if (n < 2 || parse_classes(classes, &q.classes) == -1) {
		snprintf(a->text, PM_TEXT_MAX + 1, "a node, SERVICE or SERVICE@NODE, and classes");
		return 2;
	}
	if ((at = strchr(target, '@')) != NULL)
		*at++ = '\0';
	if (!text_name((const uint8_t *)target, strlen(target), FRAME_SERVICE_MAX, false)) {
		snprintf(a->text, PM_TEXT_MAX + 1, "%.63s: no service", target);
		return 2;
	}
	snprintf(q.service, sizeof(q.service), "%.63s", target);
	if ((q.src = known_named(a, src)) == NULL || (at != NULL && (q.dest = known_named(a, at)) == NULL))
		return 2;
	knowns_each(a->m->knowns, why_node, &q);
	q.relays = true;
	knowns_each(a->m->knowns, why_node, &q);
	return q.any ? 0 : 1;
}

/* --- netcheck --- */

static bool __attribute__((format(printf, 4, 5)))
check_row(struct route_request_args *a, const char *check, bool ok, const char *fmt, ...)
{
	char detail[512];
	struct row_writer w;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(detail, sizeof(detail), fmt, ap);
	va_end(ap);
	row_init(&w);
	row_str(&w, "check", check);
	row_bool(&w, "ok", ok);
	row_str(&w, "detail", detail);
	rowlist_add(a->rows, &w);
	return ok;
}

static bool
check_sessions(struct route_request_args *a)
{
	const struct directory *d = a->m->dir;
	unsigned up = 0, wanted = 0, wanted_up = 0;

	for (size_t i = 0; i < d->npeers; i++) {
		bool is_up = peer_state(d, d->peers[i], a->m->now.now_ns) == PEER_STATE_UP;

		up += is_up;
		wanted += d->peers[i]->configured;
		wanted_up += d->peers[i]->configured && is_up;
	}
	return check_row(a, "carrier quic", up > 0 || wanted == 0, "%u sessions, %u of %u configured peers", up, wanted_up, wanted);
}

static void
addr_text(char buf[64], const struct fact_addr *f)
{
	char text[INET6_ADDRSTRLEN];

	inet_ntop(f->family == 4 ? AF_INET : AF_INET6, f->addr, text, sizeof(text));
	snprintf(buf, 64, f->family == 4 ? "%s:%u" : "[%s]:%u", text, f->port);
}

static bool
check_address(struct route_request_args *a, const struct facts *f)
{
	char list[400] = "", one[64];
	size_t len = 0;

	for (unsigned i = 0; f != NULL && i < f->naddrs && len + sizeof(one) + 1 < sizeof(list); i++) {
		addr_text(one, &f->addrs[i]);
		len += (size_t)snprintf(list + len, sizeof(list) - len, "%s%s", len > 0 ? "," : "", one);
	}
	check_row(a, "address", f != NULL, "%s", f == NULL ? "nothing is known of this node itself yet" : len == 0 ?
	    "no peer has said where it sees this node" : list);
	return check_row(a, "nat", f == NULL || f->nat != NAT_SYMMETRIC, "%s%s", f == NULL ? "unknown" : nat_type_name(f->nat),
	    f != NULL && f->nat == NAT_SYMMETRIC ? ": peers cannot reach this node by what others see of it" : "");
}

static void
coordinator_detail(char *buf, size_t size, const struct manager *m, const struct known *k)
{
	const struct ways_node *n = ways_find(m->ways, k->node_id);
	const struct way *y = n == NULL || n->n == 0 ? NULL : ways_way(n, n->order[WAYS_DELAY][0]);
	char rtt[48] = "";

	if (y != NULL && y->measured)
		snprintf(rtt, sizeof(rtt), ", rtt %.2f ms", (double)y->rtt_us / 1000);
	if (k->self)
		snprintf(buf, size, "this node");
	else if (m->ops->adjacent(k->node_id, m->arg))
		snprintf(buf, size, "a neighbour%s", rtt);
	else
		snprintf(buf, size, "asked by way of others%s; its record is %llu s old", rtt, (unsigned long long)
		    (m->now.wall > k->heard ? m->now.wall - k->heard : 0));
}

static bool
check_coordinators(struct route_request_args *a)
{
	const struct known *k = NULL;
	char name[80], detail[160];
	unsigned n = 0;
	bool ok;

	while ((k = knowns_coordinator_next(a->m->knowns, k)) != NULL && n < 16) {
		snprintf(name, sizeof(name), "coordinator %.63s", k->member.name);
		coordinator_detail(detail, sizeof(detail), a->m, k);
		check_row(a, name, true, "%s", detail);
		n++;
	}
	if (n == 0)
		return check_row(a, "coordinators", false, "none is known: this node makes routes itself, over one relay at most");
	if (manager_is_coordinator(a->m))
		return true;
	ok = a->m->answered_ns != 0;
	if (!ok)
		return check_row(a, "coordinators", a->m->asked_ns == 0, "%s", a->m->asked_ns == 0 ? "none was asked yet" :
		    "none has answered yet");
	return check_row(a, "coordinators", true, "the last answer came %llu s ago, in %.1f ms", (unsigned long long)
	    ((a->m->now.now_ns - a->m->answered_ns) / NS_PER_SEC), (double)a->m->answer_us / 1000);
}

static bool
add_skew(struct known *k, void *arg)
{
	int64_t *worst = arg, skew = k->skew_s < 0 ? -k->skew_s : k->skew_s;

	if (!k->self && skew > *worst)
		*worst = skew;
	return true;
}

static bool
check_clock(struct route_request_args *a)
{
	int64_t worst = 0;

	knowns_each(a->m->knowns, add_skew, &worst);
	return check_row(a, "clock", worst <= (int64_t)CLOCK_SKEW_S, "at most %lld s off from what others say; %u are borne",
	    (long long)worst, CLOCK_SKEW_S);
}

static bool
check_routes(struct route_request_args *a)
{
	unsigned wanted = 0, without = 0, single = 0;

	for (size_t i = 0; i < routes_count(a->m->routes); i++) {
		const struct ways_node *n = ways_find(a->m->ways, routes_get(a->m->routes, i)->node_id);
		unsigned up = 0;

		for (unsigned k = 0; n != NULL && k < n->n; k++)
			up += n->way[k].state == WAY_UP;
		wanted++;
		without += up == 0;
		single += up == 1;
	}
	return check_row(a, "routes", without == 0, "%u nodes are wanted: no way to %u, only one way to %u", wanted, without, single);
}

int
rows_netcheck(struct route_request_args *a)
{
	const struct known *self = known_find(a->m->knowns, a->m->id);
	bool ok = check_row(a, "keys", a->m->keyed, "%s", a->m->keyed ? "certified" : "fabricd has not certified routed's keys yet");

	ok &= check_sessions(a);
	ok &= check_address(a, self == NULL ? NULL : self->facts);
	ok &= check_clock(a);
	ok &= check_coordinators(a);
	ok &= check_routes(a);
	check_row(a, "directory", true, "%zu nodes are known, policy version %llu", knowns_count(a->m->knowns),
	    (unsigned long long)a->m->policy_serial);
	return ok ? 0 : 1;
}
