#include "fabricctl/contents.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/hex.h"
#include "fabric/facts.h"
#include "fabric/policy.h"
#include "fabric/ticket.h"

#define ID_HEX_LEN	(2 * NODE_ID_LEN + 1)
#define TEXT_LEN	256
#define DATE_LEN	sizeof("9999-12-31T23:59:59Z")

/* One way to say it, in either form: text is padded to a column, JSON gets members. A list is lines, or an array. */
struct out {
	bool json;
	bool list;		/* in an array */
	unsigned n;		/* elements of it */
};

static void
key(struct out *o, const char *name)
{
	if (o->list) {
		if (o->json && o->n++ > 0)
			putchar(',');
		if (!o->json)
			printf("%-11s ", name);
	} else {
		printf(o->json ? "\"%s\":" : "%-11s ", name);
	}
}

static void
end(const struct out *o)
{
	if (!o->json)
		putchar('\n');
	else if (!o->list)
		putchar(',');
}

/* A text that needs no escaping: names, ids, dates, numbers with their units. */
static void __attribute__((format(printf, 3, 4)))
say(struct out *o, const char *name, const char *fmt, ...)
{
	va_list ap;

	key(o, name);
	if (o->json)
		putchar('"');
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	if (o->json)
		putchar('"');
	end(o);
}

static void
number(struct out *o, const char *name, uint64_t v)
{
	key(o, name);
	printf("%" PRIu64, v);
	end(o);
}

static void
yes(struct out *o, const char *name, bool v)
{
	key(o, name);
	fputs(o->json ? v ? "true" : "false" : v ? "yes" : "no", stdout);
	end(o);
}

static void
list(struct out *o, const char *name)
{
	if (o->json)
		printf("\"%s\":[", name);
	o->list = true;
	o->n = 0;
}

static void
list_end(struct out *o)
{
	o->list = false;
	if (o->json)
		fputs("],", stdout);
}

static void
id(struct out *o, const char *name, const uint8_t node_id[NODE_ID_LEN])
{
	char hex[ID_HEX_LEN];

	say(o, name, "%s", hex_encode(hex, node_id, NODE_ID_LEN));
}

static void
date(struct out *o, const char *name, uint64_t seconds)
{
	time_t t = (time_t)seconds;
	char text[DATE_LEN];
	struct tm tm;

	if (gmtime_r(&t, &tm) == NULL || strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		strcpy(text, "?");
	say(o, name, "%s", text);
}

static void
classes(struct out *o, const char *name, unsigned bits)
{
	char text[TEXT_LEN] = "";
	size_t len = 0;

	for (unsigned c = 0; c < CLASS_COUNT; c++)
		if (bits & 1u << c)
			len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s", len == 0 ? "" : ",", class_name(c));
	say(o, name, "%s", text);
}

/* --- node: facts --- */

static void
facts_addrs(struct out *o, const struct facts *f)
{
	char ip[INET6_ADDRSTRLEN];

	list(o, "reachable");
	for (unsigned i = 0; i < f->naddrs; i++) {
		const struct fact_addr *a = &f->addrs[i];

		inet_ntop(a->family == 4 ? AF_INET : AF_INET6, a->addr, ip, sizeof(ip));
		say(o, "reachable", "%s port %u %s", ip, a->port, a->carrier == CARRIER_QUIC ? "quic" : "by a carrier not known here");
	}
	list_end(o);
}

static void
facts_links(struct out *o, const struct facts *f)
{
	char hex[ID_HEX_LEN];

	list(o, "links");
	for (unsigned i = 0; i < f->nlinks; i++) {
		const struct fact_link *l = &f->links[i];

		say(o, "link", "%s rtt_us=%u jitter_us=%u loss_permille=%u kbps=%u", hex_encode(hex, l->node_id, NODE_ID_LEN),
		    l->rtt_us, l->jitter_us, l->loss, l->kbps);
	}
	list_end(o);
}

static int
node(struct out *o, const struct record *r)
{
	struct facts *f = malloc(sizeof(*f));
	int err = f == NULL ? FRAME_E_TOO_LONG : facts_decode(f, r->content.p, r->content.len);

	if (err != 0) {
		free(f);
		return err;
	}
	facts_addrs(o, f);
	say(o, "nat", "%s", nat_type_name(f->nat));
	say(o, "net", "%s", net_type_name(f->net));
	yes(o, "metered", f->metered);
	yes(o, "on_battery", f->on_battery);
	yes(o, "charging", f->charging);
	number(o, "battery", f->battery);
	say(o, "load", "cpu=%u memory=%u queue=%u descriptors=%u", f->cpu, f->memory, f->queue, f->descriptors);
	yes(o, "relay", f->relay);
	if (f->relay) {
		number(o, "relay_kbps", f->relay_kbps);
		classes(o, "relays", f->relay_classes);
	}
	number(o, "cost", f->cost);
	say(o, "domain", "%s", f->domain);
	say(o, "region", "%s", f->region);
	say(o, "holds", "policy=%" PRIu64 " directory=%" PRIu64 " routes=%" PRIu64, f->policy_version, f->directory_version,
	    f->routes_version);
	date(o, "sent_at", f->sent_at);
	facts_links(o, f);
	free(f);
	return 0;
}

/* --- tickets and fences --- */

static int
ticket(struct out *o, const struct record *r)
{
	static const char *const places[] = {
		[TICKET_SOURCE] = "source", [TICKET_RELAY] = "relay", [TICKET_DEST] = "destination",
	};
	struct ticket t;
	int err = ticket_decode(&t, r);

	if (err != 0)
		return err;
	say(o, "route", "%016" PRIx64, t.route_id);
	number(o, "epoch", t.epoch);
	say(o, "place", "%s", places[t.place]);
	yes(o, "self", t.self);
	if (t.place != TICKET_SOURCE)
		id(o, "prev", t.prev);
	if (t.place != TICKET_DEST)
		id(o, "next", t.next);
	if (t.place != TICKET_RELAY)
		id(o, "far", t.far);
	classes(o, "classes", t.classes);
	number(o, "kbps", t.kbps);
	number(o, "streams", t.streams);
	say(o, "tenant", "%s", t.tenant);
	date(o, "soft", t.soft);
	return 0;
}

static int
fence(struct out *o, const struct record *r)
{
	struct fence f;
	int err = fence_decode(&f, r);

	if (err != 0)
		return err;
	switch (f.what) {
	case FENCE_ROUTE:
		say(o, "fences", "route");
		say(o, "route", "%016" PRIx64, f.route_id);
		break;
	case FENCE_PAIR:
		say(o, "fences", "pair");
		id(o, "source", f.node);
		id(o, "dest", f.dest);
		break;
	default:
		say(o, "fences", "node");
		id(o, "over", f.node);
		break;
	}
	number(o, "epoch", f.epoch);
	return 0;
}

/* --- policy and revocation --- */

static int
policy(struct out *o, const struct record *r)
{
	int err = 0;
	struct policy *p = policy_load(r->content.p, r->content.len, &err);

	if (p == NULL)
		return err != 0 ? err : FRAME_E_TOO_LONG;
	number(o, "rules", policy_rules(p));
	number(o, "bytes", r->content.len);
	policy_free(p);
	return 0;
}

static int
revocation(struct out *o, const struct record *r)
{
	int n = record_revoked_count(r);

	if (n == -1)
		return FRAME_E_VALUE;
	number(o, "nodes", (uint64_t)n);
	list(o, "revoked");
	for (int i = 0; i < n; i++)
		id(o, "revoked", r->content.p + (size_t)i * NODE_ID_LEN);
	list_end(o);
	return 0;
}

static bool
contents(const struct record *r, bool json)
{
	struct out o = { .json = json };
	int err = 0;

	switch (r->kind) {
	case RECORD_NODE:
		err = node(&o, r);
		break;
	case RECORD_TICKET:
		err = ticket(&o, r);
		break;
	case RECORD_FENCE:
		err = fence(&o, r);
		break;
	case RECORD_POLICY:
		err = policy(&o, r);
		break;
	case RECORD_REVOCATION:
		err = revocation(&o, r);
		break;
	case RECORD_ROUTE_REQUEST:	/* routed's own words with another routed; shown as they are long */
	case RECORD_RECEIPT:
		number(&o, "bytes", r->content.len);
		break;
	default:
		return true;
	}
	if (err != 0)
		say(&o, "content", "malformed: %s", frame_strerror(err));
	return err == 0;
}

bool
contents_text(const struct record *r)
{
	return contents(r, false);
}

bool
contents_json(const struct record *r)
{
	return contents(r, true);
}
