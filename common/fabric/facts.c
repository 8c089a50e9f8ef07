#include "fabric/facts.h"

#include <string.h>

#include "wire/fields.h"
#include "wire/varint.h"

enum fact_tag {
	TAG_VERSIONS = 1, TAG_CARRIERS, TAG_ADDRS, TAG_NAT, TAG_NET, TAG_POWER, TAG_BATTERY, TAG_LOAD, TAG_RELAY, TAG_COST,
	TAG_DOMAIN, TAG_REGION, TAG_HELD, TAG_SERVICES, TAG_SENT_AT, TAG_LINKS,
	TAG_COUNT
};

#define BIT(tag) (1u << (tag))
/* The others are there when they say something: none of them may be there and say nothing, so that facts have one form. */
#define REQUIRED (BIT(TAG_VERSIONS) | BIT(TAG_CARRIERS) | BIT(TAG_NAT) | BIT(TAG_NET) | BIT(TAG_LOAD) | BIT(TAG_SENT_AT))

#define POWER_METERED	0x01u
#define POWER_BATTERY	0x02u
#define POWER_CHARGING	0x04u
#define POWER_ALL	0x07u
#define CLASSES_ALL	((1u << CLASS_COUNT) - 1)
#define PERMILLE_MAX	1000u

const char *
nat_type_name(unsigned t)
{
	static const char *const names[NAT_COUNT] = {
		[NAT_UNKNOWN] = "unknown", [NAT_NONE] = "none", [NAT_CONE] = "cone", [NAT_SYMMETRIC] = "symmetric",
	};

	return t < NAT_COUNT ? names[t] : "unknown";
}

const char *
net_type_name(unsigned t)
{
	static const char *const names[NET_COUNT] = {
		[NET_UNKNOWN] = "unknown", [NET_WIRED] = "wired", [NET_WIFI] = "wifi", [NET_MOBILE] = "mobile",
	};

	return t < NET_COUNT ? names[t] : "unknown";
}

/* --- decoding: each field's value, from its first byte to its last --- */

static void
addr_get(struct field_reader *r, struct fact_addr *a)
{
	const uint8_t *p;

	a->family = (uint8_t)field_uint(r, 4, 6);
	if (a->family == 5 && r->err == 0)
		r->err = FRAME_E_VALUE;
	a->carrier = (uint8_t)field_uint(r, 1, 0x3f);
	if ((a->carrier & (a->carrier - 1u)) != 0 && r->err == 0)
		r->err = FRAME_E_VALUE;
	a->port = (uint16_t)field_uint(r, 1, UINT16_MAX);
	if ((p = field_raw(r, a->family == 4 ? 4 : 16)) != NULL)
		memcpy(a->addr, p, a->family == 4 ? 4 : 16);
}

static void
addrs_get(struct field_reader *r, struct facts *f)
{
	while (r->err == 0 && r->p < r->end) {
		if (f->naddrs == FACTS_ADDRS_MAX) {
			r->err = FRAME_E_VALUE;
			return;
		}
		addr_get(r, &f->addrs[f->naddrs++]);
	}
}

static void
links_get(struct field_reader *r, struct facts *f)
{
	while (r->err == 0 && r->p < r->end) {
		struct fact_link *l = &f->links[f->nlinks];
		const uint8_t *id;

		if (f->nlinks == FACTS_LINKS_MAX || (id = field_raw(r, NODE_ID_LEN)) == NULL) {
			r->err = r->err != 0 ? r->err : FRAME_E_VALUE;
			return;
		}
		memcpy(l->node_id, id, NODE_ID_LEN);
		if (f->nlinks > 0 && memcmp(l[-1].node_id, id, NODE_ID_LEN) >= 0)
			r->err = FRAME_E_VALUE;
		l->rtt_us = (uint32_t)field_uint(r, 0, UINT32_MAX);
		l->jitter_us = (uint32_t)field_uint(r, 0, UINT32_MAX);
		l->loss = (uint16_t)field_uint(r, 0, PERMILLE_MAX);
		l->kbps = (uint32_t)field_uint(r, 0, UINT32_MAX);
		f->nlinks++;
	}
}

static void
name_get(struct field_reader *r, char out[FACTS_DOMAIN_MAX + 1])
{
	size_t len = (size_t)(r->end - r->p);

	if (!text_name(r->p, len, FACTS_DOMAIN_MAX, true)) {
		r->err = FRAME_E_TEXT;
		return;
	}
	memcpy(out, field_raw(r, len), len);
}

static void
power_get(struct field_reader *r, struct facts *f)
{
	unsigned power = (unsigned)field_uint(r, 1, POWER_ALL);

	f->metered = power & POWER_METERED;
	f->on_battery = power & POWER_BATTERY;
	f->charging = power & POWER_CHARGING;
}

static void
load_get(struct field_reader *r, struct facts *f)
{
	f->cpu = (uint16_t)field_uint(r, 0, PERMILLE_MAX);
	f->memory = (uint16_t)field_uint(r, 0, PERMILLE_MAX);
	f->queue = (uint16_t)field_uint(r, 0, PERMILLE_MAX);
	f->descriptors = (uint16_t)field_uint(r, 0, PERMILLE_MAX);
}

static void
held_get(struct field_reader *r, struct facts *f)
{
	f->policy_version = field_uint(r, 0, VARINT_MAX);
	f->directory_version = field_uint(r, 0, VARINT_MAX);
	f->routes_version = field_uint(r, 0, VARINT_MAX);
	if (r->err == 0 && (f->policy_version | f->directory_version | f->routes_version) == 0)
		r->err = FRAME_E_VALUE;
}

static void
relay_get(struct field_reader *r, struct facts *f)
{
	f->relay = true;
	f->relay_kbps = (uint32_t)field_uint(r, 0, UINT32_MAX);
	f->relay_classes = (uint8_t)field_uint(r, 0, CLASSES_ALL);
}

static int
field_get(struct facts *f, const struct tlv *t)
{
	struct field_reader r = { t->value.p, t->value.p + t->value.len, 0 };

	if (t->value.len == 0)
		return FRAME_E_SHORT;
	switch (t->tag) {
	case TAG_VERSIONS:
		f->versions = (uint32_t)field_uint(&r, 1, UINT32_MAX);
		break;
	case TAG_CARRIERS:
		f->carriers = (uint32_t)field_uint(&r, 0, UINT32_MAX);
		break;
	case TAG_ADDRS:
		addrs_get(&r, f);
		break;
	case TAG_NAT:
		f->nat = (uint8_t)field_uint(&r, 0, NAT_COUNT - 1);
		break;
	case TAG_NET:
		f->net = (uint8_t)field_uint(&r, 0, NET_COUNT - 1);
		break;
	case TAG_POWER:
		power_get(&r, f);
		break;
	case TAG_BATTERY:
		f->battery = (uint8_t)field_uint(&r, 1, 100);
		break;
	case TAG_LOAD:
		load_get(&r, f);
		break;
	case TAG_RELAY:
		relay_get(&r, f);
		break;
	case TAG_COST:
		f->cost = (uint32_t)field_uint(&r, 1, UINT32_MAX);
		break;
	case TAG_DOMAIN:
		name_get(&r, f->domain);
		break;
	case TAG_REGION:
		name_get(&r, f->region);
		break;
	case TAG_HELD:
		held_get(&r, f);
		break;
	case TAG_SERVICES:
		if ((f->services = field_u64(&r)) == 0 && r.err == 0)
			r.err = FRAME_E_VALUE;
		break;
	case TAG_SENT_AT:
		f->sent_at = field_uint(&r, 0, RECORD_TIME_MAX);
		break;
	default:	/* TAG_LINKS */
		links_get(&r, f);
		break;
	}
	return field_end(&r);
}

/* What lies between the fields. */
static int
check(const struct facts *f, unsigned seen)
{
	if ((seen & REQUIRED) != REQUIRED)
		return FRAME_E_TLV_MISSING;
	if ((seen & BIT(TAG_BATTERY)) && !f->on_battery && !f->charging)
		return FRAME_E_VALUE;
	return 0;
}

int
facts_decode(struct facts *f, const uint8_t *p, size_t len)
{
	struct tlv_reader tr;
	struct tlv t;
	unsigned seen = 0;
	int n, err;

	memset(f, 0, sizeof(*f));
	if (len > FACTS_MAX)
		return FRAME_E_TOO_LONG;
	tlv_read_init(&tr, p, len);
	while ((n = tlv_read(&tr, &t)) == 1) {
		if (t.tag >= TLV_SKIP_FIRST)
			continue;
		if (t.tag == 0 || t.tag >= TAG_COUNT)
			return FRAME_E_TLV_UNKNOWN;
		if ((err = field_get(f, &t)) != 0)
			return err;
		seen |= BIT(t.tag);
	}
	return n < 0 ? n : check(f, seen);
}

/* --- encoding --- */

/* One value is built here and then put behind its tag. */
#define VALUE_MAX (FACTS_LINKS_MAX * (NODE_ID_LEN + 8 + 8 + 2 + 8))

static void
value_put(struct tlv_writer *w, uint64_t tag, const struct tlv_writer *value)
{
	if (value->failed)
		w->failed = true;
	else if (value->len > 0)
		tlv_put(w, tag, value->buf, value->len);
}

static void
addrs_put(struct tlv_writer *v, const struct facts *f)
{
	for (size_t i = 0; i < f->naddrs; i++) {
		const struct fact_addr *a = &f->addrs[i];

		field_put_uint(v, a->family);
		field_put_uint(v, a->carrier);
		field_put_uint(v, a->port);
		field_put_raw(v, a->addr, a->family == 4 ? 4 : 16);
	}
}

static void
links_put(struct tlv_writer *v, const struct facts *f)
{
	for (size_t i = 0; i < f->nlinks; i++) {
		const struct fact_link *l = &f->links[i];

		field_put_raw(v, l->node_id, NODE_ID_LEN);
		field_put_uint(v, l->rtt_us);
		field_put_uint(v, l->jitter_us);
		field_put_uint(v, l->loss);
		field_put_uint(v, l->kbps);
	}
}

static void
list_put(struct tlv_writer *w, uint64_t tag, const struct facts *f, void (*put)(struct tlv_writer *, const struct facts *))
{
	uint8_t buf[VALUE_MAX];
	struct tlv_writer v;

	tlv_write_init(&v, buf, sizeof(buf));
	put(&v, f);
	value_put(w, tag, &v);
}

static void
uints_put(struct tlv_writer *w, uint64_t tag, const uint64_t *x, size_t n)
{
	uint8_t buf[4 * 8];
	struct tlv_writer v;

	tlv_write_init(&v, buf, sizeof(buf));
	for (size_t i = 0; i < n; i++)
		field_put_uint(&v, x[i]);
	value_put(w, tag, &v);
}

static void
nonzero_put(struct tlv_writer *w, uint64_t tag, uint64_t x)
{
	if (x != 0)
		tlv_put_uint(w, tag, x);
}

static void
name_put(struct tlv_writer *w, uint64_t tag, const char *name)
{
	size_t len = strnlen(name, FACTS_DOMAIN_MAX + 1);

	if (len > 0)
		tlv_put(w, tag, name, len);
}

static void
services_put(struct tlv_writer *w, uint64_t sum)
{
	uint8_t buf[8];
	struct tlv_writer v;

	if (sum == 0)
		return;
	tlv_write_init(&v, buf, sizeof(buf));
	field_put_u64(&v, sum);
	value_put(w, TAG_SERVICES, &v);
}

static void
all_put(struct tlv_writer *w, const struct facts *f)
{
	const uint64_t load[] = { f->cpu, f->memory, f->queue, f->descriptors };
	const uint64_t relay[] = { f->relay_kbps, f->relay_classes };
	const uint64_t held[] = { f->policy_version, f->directory_version, f->routes_version };

	tlv_put_uint(w, TAG_VERSIONS, f->versions);
	tlv_put_uint(w, TAG_CARRIERS, f->carriers);
	list_put(w, TAG_ADDRS, f, addrs_put);
	tlv_put_uint(w, TAG_NAT, f->nat);
	tlv_put_uint(w, TAG_NET, f->net);
	nonzero_put(w, TAG_POWER, (f->metered ? POWER_METERED : 0) | (f->on_battery ? POWER_BATTERY : 0) |
	    (f->charging ? POWER_CHARGING : 0));
	nonzero_put(w, TAG_BATTERY, f->battery);
	uints_put(w, TAG_LOAD, load, 4);
	if (f->relay)
		uints_put(w, TAG_RELAY, relay, 2);
	nonzero_put(w, TAG_COST, f->cost);
	name_put(w, TAG_DOMAIN, f->domain);
	name_put(w, TAG_REGION, f->region);
	if ((held[0] | held[1] | held[2]) != 0)
		uints_put(w, TAG_HELD, held, 3);
	services_put(w, f->services);
	tlv_put_uint(w, TAG_SENT_AT, f->sent_at);
	list_put(w, TAG_LINKS, f, links_put);
}

/* Reads back what it wrote, so that nothing is signed that decode refuses. */
size_t
facts_encode(uint8_t *buf, size_t size, const struct facts *f)
{
	struct tlv_writer w;
	struct facts back;

	if (f->naddrs > FACTS_ADDRS_MAX || f->nlinks > FACTS_LINKS_MAX || (!f->relay && (f->relay_kbps | f->relay_classes)))
		return 0;
	tlv_write_init(&w, buf, size);
	all_put(&w, f);
	return w.failed || facts_decode(&back, buf, w.len) != 0 ? 0 : w.len;
}
