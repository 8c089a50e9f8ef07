#include "fabric/ticket.h"

#include <string.h>

#include "wire/fields.h"
#include "wire/varint.h"

#define CLASSES_ALL	((1u << CLASS_COUNT) - 1)

enum ticket_tag {
	TAG_ROUTE_ID = 1, TAG_PLACE, TAG_SELF, TAG_PREV, TAG_NEXT, TAG_FAR, TAG_CLASSES, TAG_KBPS, TAG_STREAMS, TAG_TENANT,
	TAG_SOFT, TAG_ANSWER,
	TAG_COUNT
};

#define BIT(tag) (1u << (tag))
#define ALWAYS (BIT(TAG_ROUTE_ID) | BIT(TAG_PLACE) | BIT(TAG_CLASSES) | BIT(TAG_TENANT) | BIT(TAG_SOFT))
#define OPTIONAL (BIT(TAG_SELF) | BIT(TAG_KBPS) | BIT(TAG_STREAMS))

/* What a place must have, besides. It has no other: what a relay does not have to know is not in its ticket. */
static const unsigned places[] = {
	[TICKET_SOURCE] = ALWAYS | BIT(TAG_NEXT) | BIT(TAG_FAR) | BIT(TAG_ANSWER),
	[TICKET_RELAY] = ALWAYS | BIT(TAG_PREV) | BIT(TAG_NEXT),
	[TICKET_DEST] = ALWAYS | BIT(TAG_PREV) | BIT(TAG_FAR),
};

enum fence_tag {
	FTAG_WHAT = 1, FTAG_ROUTE_ID, FTAG_NODE, FTAG_DEST, FTAG_EPOCH,
	FTAG_COUNT
};

static const unsigned fences[] = {
	[FENCE_ROUTE] = BIT(FTAG_WHAT) | BIT(FTAG_ROUTE_ID) | BIT(FTAG_EPOCH),
	[FENCE_PAIR] = BIT(FTAG_WHAT) | BIT(FTAG_NODE) | BIT(FTAG_DEST) | BIT(FTAG_EPOCH),
	[FENCE_NODE] = BIT(FTAG_WHAT) | BIT(FTAG_NODE) | BIT(FTAG_EPOCH),
};

static const char *const errors[TICKET_E_COUNT] = {
	[TICKET_OK] = "good",
	[TICKET_E_FORM] = "not a ticket",
	[TICKET_E_SEAL] = "sealed to another key, or changed on the way",
	[TICKET_E_ISSUER] = "its issuer is not known or may not issue it",
	[TICKET_E_SIGNATURE] = "forged",
	[TICKET_E_HOP] = "for another node, or from another than the one before",
	[TICKET_E_EXPIRED] = "expired",
	[TICKET_E_NOT_YET] = "not valid yet",
	[TICKET_E_LIFETIME] = "valid for too long",
	[TICKET_E_FENCED] = "fenced",
	[TICKET_E_REPLAYED] = "replayed",
	[TICKET_E_CLASS] = "a class that is not relayed here",
	[TICKET_E_LIMIT] = "over a limit",
	[TICKET_E_POLICY] = "not permitted by the policy",
	[TICKET_E_ROLE] = "not a relay",
	[TICKET_E_REVOKED] = "a node of it is revoked",
};

const char *
ticket_strerror(unsigned err)
{
	return err < TICKET_E_COUNT ? errors[err] : "unknown";
}

static int
bytes_get(uint8_t *out, size_t len, const struct tlv *t)
{
	if (t->value.len != len)
		return FRAME_E_VALUE;
	memcpy(out, t->value.p, len);
	return 0;
}

/* A number of min..max; `max' also bounds what the caller's field holds. */
static int
uint_get(const struct tlv *t, uint64_t min, uint64_t max, uint64_t *v)
{
	int err = tlv_uint(t, max, v);

	return err == 0 && *v < min ? FRAME_E_VALUE : err;
}

static int
tenant_get(struct ticket *k, const struct tlv *t)
{
	if (!text_name(t->value.p, t->value.len, RECORD_TENANT_MAX, true))
		return FRAME_E_TEXT;
	memcpy(k->tenant, t->value.p, t->value.len);
	return 0;
}

static int
ticket_field(struct ticket *k, const struct tlv *t)
{
	uint64_t v = 0;
	int err;

	switch (t->tag) {
	case TAG_ROUTE_ID:
		return uint_get(t, 1, VARINT_MAX, &k->route_id);
	case TAG_PLACE:
		err = uint_get(t, TICKET_SOURCE, TICKET_DEST, &v);
		k->place = (uint8_t)v;
		return err;
	case TAG_SELF:
		k->self = true;
		return t->value.len == 0 ? 0 : FRAME_E_VALUE;
	case TAG_PREV:
		return bytes_get(k->prev, sizeof(k->prev), t);
	case TAG_NEXT:
		return bytes_get(k->next, sizeof(k->next), t);
	case TAG_FAR:
		return bytes_get(k->far, sizeof(k->far), t);
	case TAG_CLASSES:
		err = uint_get(t, 1, CLASSES_ALL, &v);
		k->classes = (uint8_t)v;
		return err;
	case TAG_KBPS:		/* no limit is not written: each ticket has one form */
		err = uint_get(t, 1, UINT32_MAX, &v);
		k->kbps = (uint32_t)v;
		return err;
	case TAG_STREAMS:
		err = uint_get(t, 1, UINT32_MAX, &v);
		k->streams = (uint32_t)v;
		return err;
	case TAG_TENANT:
		return tenant_get(k, t);
	case TAG_SOFT:
		return uint_get(t, 0, RECORD_TIME_MAX, &k->soft);
	default:		/* TAG_ANSWER */
		return bytes_get(k->answer, sizeof(k->answer), t);
	}
}

/* What lies between the fields. */
static int
ticket_sound(const struct ticket *k, const uint8_t *subject)
{
	uint8_t hop[NODE_ID_LEN];

	if (k->epoch == 0 || k->soft <= k->not_before || k->soft > k->hard)
		return FRAME_E_VALUE;
	node_id_from_key(hop, subject);
	if (memcmp(k->prev, k->next, NODE_ID_LEN) == 0 || memcmp(hop, k->prev, NODE_ID_LEN) == 0 ||
	    memcmp(hop, k->next, NODE_ID_LEN) == 0 || memcmp(hop, k->far, NODE_ID_LEN) == 0)
		return FRAME_E_VALUE;
	return 0;
}

/* Reads a list of fields whose tags are below `count' by `get'; *seen gets a bit for each. */
static int
list_get(struct frame_bytes content, unsigned count, unsigned *seen, int (*get)(void *, const struct tlv *), void *arg)
{
	struct tlv_reader tr;
	struct tlv t;
	int n, err;

	*seen = 0;
	tlv_read_init(&tr, content.p, content.len);
	while ((n = tlv_read(&tr, &t)) == 1) {
		if (t.tag >= TLV_SKIP_FIRST)
			continue;
		if (t.tag == 0 || t.tag >= count)
			return FRAME_E_TLV_UNKNOWN;
		if ((err = get(arg, &t)) != 0)
			return err;
		*seen |= BIT(t.tag);
	}
	return n;
}

/* Required are `all', and `may' as well are allowed. */
static int
list_complete(unsigned seen, unsigned all, unsigned may)
{
	if (seen & ~(all | may))
		return FRAME_E_NOT_HERE;
	return (seen & all) == all ? 0 : FRAME_E_TLV_MISSING;
}

static int
ticket_field_get(void *arg, const struct tlv *t)
{
	return ticket_field(arg, t);
}

int
ticket_decode(struct ticket *k, const struct record *r)
{
	unsigned seen;
	int err;

	memset(k, 0, sizeof(*k));
	if (r->kind != RECORD_TICKET)
		return FRAME_E_TYPE;
	k->epoch = r->serial;
	k->not_before = r->not_before;
	k->hard = r->not_after;
	if ((err = list_get(r->content, TAG_COUNT, &seen, ticket_field_get, k)) != 0)
		return err;
	if (!(seen & BIT(TAG_PLACE)))
		return FRAME_E_TLV_MISSING;
	if ((err = list_complete(seen, places[k->place], OPTIONAL)) != 0)
		return err;
	return ticket_sound(k, r->subject);
}

static void
put_if(struct tlv_writer *w, unsigned has, unsigned tag, const uint8_t *p, size_t len)
{
	if (has & BIT(tag))
		tlv_put(w, tag, p, len);
}

size_t
ticket_encode(uint8_t *buf, size_t size, const struct ticket *k)
{
	size_t tenant = strnlen(k->tenant, sizeof(k->tenant));
	struct tlv_writer w;
	unsigned has;

	if (k->place > TICKET_DEST || k->route_id == 0 || k->classes == 0 || k->classes > CLASSES_ALL ||
	    k->soft > RECORD_TIME_MAX || !text_name((const uint8_t *)k->tenant, tenant, RECORD_TENANT_MAX, true))
		return 0;
	has = places[k->place];
	tlv_write_init(&w, buf, size);
	tlv_put_uint(&w, TAG_ROUTE_ID, k->route_id);
	tlv_put_uint(&w, TAG_PLACE, k->place);
	if (k->self)
		tlv_put(&w, TAG_SELF, NULL, 0);
	put_if(&w, has, TAG_PREV, k->prev, sizeof(k->prev));
	put_if(&w, has, TAG_NEXT, k->next, sizeof(k->next));
	put_if(&w, has, TAG_FAR, k->far, sizeof(k->far));
	tlv_put_uint(&w, TAG_CLASSES, k->classes);
	if (k->kbps > 0)
		tlv_put_uint(&w, TAG_KBPS, k->kbps);
	if (k->streams > 0)
		tlv_put_uint(&w, TAG_STREAMS, k->streams);
	tlv_put(&w, TAG_TENANT, k->tenant, tenant);
	tlv_put_uint(&w, TAG_SOFT, k->soft);
	put_if(&w, has, TAG_ANSWER, k->answer, sizeof(k->answer));
	return w.failed ? 0 : w.len;
}

static int
fence_field_get(void *arg, const struct tlv *t)
{
	struct fence *f = arg;
	uint64_t v = 0;
	int err;

	switch (t->tag) {
	case FTAG_WHAT:
		err = uint_get(t, FENCE_ROUTE, FENCE_NODE, &v);
		f->what = (uint8_t)v;
		return err;
	case FTAG_ROUTE_ID:
		return uint_get(t, 1, VARINT_MAX, &f->route_id);
	case FTAG_NODE:
		return bytes_get(f->node, sizeof(f->node), t);
	case FTAG_DEST:
		return bytes_get(f->dest, sizeof(f->dest), t);
	default:		/* FTAG_EPOCH */
		return uint_get(t, 1, VARINT_MAX, &f->epoch);
	}
}

int
fence_decode(struct fence *f, const struct record *r)
{
	unsigned seen;
	int err;

	memset(f, 0, sizeof(*f));
	if (r->kind != RECORD_FENCE)
		return FRAME_E_TYPE;
	if ((err = list_get(r->content, FTAG_COUNT, &seen, fence_field_get, f)) != 0)
		return err;
	if (!(seen & BIT(FTAG_WHAT)))
		return FRAME_E_TLV_MISSING;
	if ((err = list_complete(seen, fences[f->what], 0)) != 0)
		return err;
	return f->what == FENCE_PAIR && memcmp(f->node, f->dest, NODE_ID_LEN) == 0 ? FRAME_E_VALUE : 0;
}

size_t
fence_encode(uint8_t *buf, size_t size, const struct fence *f)
{
	struct tlv_writer w;
	unsigned has;

	if (f->what < FENCE_ROUTE || f->what > FENCE_NODE || f->epoch == 0 ||
	    (f->what == FENCE_ROUTE && f->route_id == 0) ||
	    (f->what == FENCE_PAIR && memcmp(f->node, f->dest, NODE_ID_LEN) == 0))
		return 0;
	has = fences[f->what];
	tlv_write_init(&w, buf, size);
	tlv_put_uint(&w, FTAG_WHAT, f->what);
	if (has & BIT(FTAG_ROUTE_ID))
		tlv_put_uint(&w, FTAG_ROUTE_ID, f->route_id);
	put_if(&w, has, FTAG_NODE, f->node, sizeof(f->node));
	put_if(&w, has, FTAG_DEST, f->dest, sizeof(f->dest));
	tlv_put_uint(&w, FTAG_EPOCH, f->epoch);
	return w.failed ? 0 : w.len;
}

bool
lease_epoch_bounded(uint64_t epoch, uint64_t now)
{
	return epoch / 1000 <= now + LEASE_AHEAD_MAX_S + CLOCK_SKEW_S;
}

bool
fence_bounded(const struct fence *f, const struct record *r)
{
	return r->not_after - r->not_before <= FENCE_LIFE_MAX_S && f->epoch / 1000 <= r->not_after;
}
