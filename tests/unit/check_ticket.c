/*
 * Tickets and fences: the bytes against golden vectors, both ways and cut at each byte; what a place does not have; and
 * ticket_check(): every reason, and which of two comes first.
 */
#include <check.h>
#include <inttypes.h>

#include "crypto/box.h"
#include "fabric/ticket.h"
#include "suite.h"
#include "tests/unit/vectors.h"
#include "wire/fields.h"
#include "wire/varint.h"

#define NOW	1800000000ull
#define ROUTE_ID 0x1234567890abull
#define CLASSES	(1u << CLASS_INTERACTIVE | 1u << CLASS_BULK)

/* --- the codec --- */

static struct vector v;

static uint64_t
number(const char *key)
{
	const char *s = vector_get(&v, key);

	return s == NULL ? 0 : strtoull(s, NULL, 10);
}

static void
bytes(uint8_t *out, size_t len, const char *key)
{
	if (vector_get(&v, key) != NULL)
		ck_assert_int_eq(hex_decode(out, len, vector_get(&v, key)), 0);
}

static const uint8_t some_key[RECORD_KEY_LEN] = "the hop that the ticket is for.";

static struct record
record_of(unsigned kind, const uint8_t *p, size_t len)
{
	return (struct record){ .kind = kind, .issuer = some_key, .subject = some_key, .serial = number("epoch"),
	    .not_before = number("not_before"), .not_after = number("hard"), .content = { p, len } };
}

static void
ticket_from_vector(struct ticket *k)
{
	memset(k, 0, sizeof(*k));
	k->route_id = number("route_id");
	k->epoch = number("epoch");
	k->place = (uint8_t)number("place");
	k->self = number("self") != 0;
	bytes(k->prev, sizeof(k->prev), "prev");
	bytes(k->next, sizeof(k->next), "next");
	bytes(k->far, sizeof(k->far), "far");
	k->classes = (uint8_t)number("classes");
	k->kbps = (uint32_t)number("kbps");
	k->streams = (uint32_t)number("streams");
	vector_word(k->tenant, sizeof(k->tenant), vector_get(&v, "tenant"));
	k->soft = number("soft");
	k->not_before = number("not_before");
	k->hard = number("hard");
	bytes(k->answer, sizeof(k->answer), "answer");
}

static void
fence_from_vector(struct fence *f)
{
	memset(f, 0, sizeof(*f));
	f->what = (uint8_t)number("what");
	f->route_id = number("route_id");
	bytes(f->node, sizeof(f->node), "node");
	bytes(f->dest, sizeof(f->dest), "dest");
	f->epoch = number("epoch");
}

/* Decodes an exact copy. */
static int
decode(const uint8_t *p, size_t len, struct ticket *k)
{
	uint8_t *copy = exact_copy(p, len);
	struct record r = record_of(RECORD_TICKET, copy, len);
	int err = ticket_decode(k, &r);

	free(copy);
	return err;
}

static int
decode_fence(const uint8_t *p, size_t len, struct fence *f)
{
	uint8_t *copy = exact_copy(p, len);
	struct record r = record_of(RECORD_FENCE, copy, len);
	int err = fence_decode(f, &r);

	free(copy);
	return err;
}

static int
error_number(const char *name)
{
	static const struct { const char *name; int err; } names[] = {
		{ "VARINT", FRAME_E_VARINT }, { "SHORT", FRAME_E_SHORT }, { "TRAILING", FRAME_E_TRAILING },
		{ "VALUE", FRAME_E_VALUE }, { "TLV_ORDER", FRAME_E_TLV_ORDER }, { "TLV_UNKNOWN", FRAME_E_TLV_UNKNOWN },
		{ "TLV_MISSING", FRAME_E_TLV_MISSING }, { "TEXT", FRAME_E_TEXT }, { "NOT_HERE", FRAME_E_NOT_HERE },
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(names[i].name, name) == 0)
			return names[i].err;
	errx(1, "error %s?", name);
}

START_TEST(vectors_both_ways)
{
	FILE *fp = vectors_open("ticket.txt");
	unsigned places = 0, fences = 0;

	for (; vector_next(&v, fp); vector_free(&v)) {
		struct ticket k, want;
		struct fence f, fwant;
		uint8_t out[512];

		if (strcmp(v.kind, "ticket") == 0) {
			ticket_from_vector(&want);
			ck_assert_msg(decode(v.bytes, v.len, &k) == 0, "%s: %d", v.name, decode(v.bytes, v.len, &k));
			ck_assert_msg(memcmp(&k, &want, sizeof(k)) == 0, "%s", v.name);
			places |= 1u << k.place;
			if (vector_get(&v, "skipped") != NULL)
				continue;
			ck_assert_uint_eq(ticket_encode(out, sizeof(out), &want), v.len);
			ck_assert_mem_eq(out, v.bytes, v.len);
			ck_assert_uint_eq(ticket_encode(out, v.len - 1, &want), 0);
		} else if (strcmp(v.kind, "fence") == 0) {
			fence_from_vector(&fwant);
			ck_assert_msg(decode_fence(v.bytes, v.len, &f) == 0, "%s", v.name);
			ck_assert_msg(memcmp(&f, &fwant, sizeof(f)) == 0, "%s", v.name);
			ck_assert_uint_eq(fence_encode(out, sizeof(out), &fwant), v.len);
			ck_assert_mem_eq(out, v.bytes, v.len);
			ck_assert_uint_eq(fence_encode(out, v.len - 1, &fwant), 0);
			fences |= 1u << f.what;
		} else {
			int err = vector_get(&v, "what") != NULL ? decode_fence(v.bytes, v.len, &f) : decode(v.bytes, v.len, &k);

			ck_assert_str_eq(v.kind, "refuse");
			ck_assert_msg(err == error_number(vector_get(&v, "error")), "%s: %d", v.name, err);
		}
	}
	ck_assert_uint_eq(places, 7);
	ck_assert_uint_eq(fences, 14);
	fclose(fp);
}
END_TEST

/* Whatever is shorter lacks a field or ends inside one. */
START_TEST(cut_at_each_byte)
{
	FILE *fp = vectors_open("ticket.txt");

	for (; vector_next(&v, fp); vector_free(&v))
		for (size_t len = 0; len < v.len; len++) {
			struct ticket k;
			struct fence f;
			int err = strcmp(v.kind, "fence") == 0 ? decode_fence(v.bytes, len, &f) : decode(v.bytes, len, &k);

			if (strcmp(v.kind, "refuse") != 0 && vector_get(&v, "skipped") == NULL)
				ck_assert_msg(err == FRAME_E_SHORT || err == FRAME_E_TLV_MISSING || err == FRAME_E_VALUE,
				    "%s at %zu: %d", v.name, len, err);
		}
	fclose(fp);
}
END_TEST

/* A flipped bit is refused, or leaves a ticket that is encoded to just these bytes. */
START_TEST(each_bit_flipped)
{
	FILE *fp = vectors_open("ticket.txt");

	for (; vector_next(&v, fp); vector_free(&v))
		for (size_t bit = 0; bit < v.len * 8; bit++) {
			struct ticket k;
			uint8_t out[512];

			if (strcmp(v.kind, "ticket") != 0 || vector_get(&v, "skipped") != NULL)
				break;
			v.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
			if (decode(v.bytes, v.len, &k) == 0 && ticket_encode(out, sizeof(out), &k) == v.len)
				ck_assert_mem_eq(out, v.bytes, v.len);
			v.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
		}
	fclose(fp);
}
END_TEST

/* What encoding must not make. */
START_TEST(encode_refuses)
{
	struct ticket good = { .route_id = 1, .epoch = 1, .place = TICKET_RELAY, .classes = 1, .tenant = "home", .soft = 2,
	    .not_before = 1, .hard = 3 }, k;
	struct fence f;
	uint8_t out[512];

	good.next[0] = 1;
	ck_assert_uint_gt(ticket_encode(out, sizeof(out), &good), 0);
#define REFUSED(change) do { k = good; change; ck_assert_uint_eq(ticket_encode(out, sizeof(out), &k), 0); } while (0)
	REFUSED(k.place = 3);
	REFUSED(k.route_id = 0);
	REFUSED(k.route_id = UINT64_MAX);
	REFUSED(k.classes = 0);
	REFUSED(k.classes = 1u << CLASS_COUNT);
	REFUSED(k.tenant[0] = '\0');
	REFUSED(k.tenant[0] = 'A');
	REFUSED(memset(k.tenant, 'a', sizeof(k.tenant)));
	REFUSED(k.soft = UINT64_MAX);
#define FENCE(...) (f = (struct fence){ __VA_ARGS__ }, fence_encode(out, sizeof(out), &f))
	ck_assert_uint_gt(FENCE(.what = FENCE_NODE, .epoch = 1), 0);
	ck_assert_uint_eq(FENCE(.what = 0, .epoch = 1), 0);
	ck_assert_uint_eq(FENCE(.what = 4, .epoch = 1), 0);
	ck_assert_uint_eq(FENCE(.what = FENCE_NODE), 0);
	ck_assert_uint_eq(FENCE(.what = FENCE_ROUTE, .epoch = 1), 0);
	ck_assert_uint_eq(FENCE(.what = FENCE_PAIR, .epoch = 1), 0);	/* a node and itself */
}
END_TEST

/* --- ticket_check() --- */

enum { AUTHORITY, COORDINATOR, SOURCE, RELAY, DEST, STRANGER, WHO_COUNT };

struct party {
	struct sign_key node, route;
	struct noise_key ticket;
	uint8_t	 id[NODE_ID_LEN];
	uint8_t	 membership[512], delegation[512];
	size_t	 mlen, dlen;
};

static struct party p[WHO_COUNT];
static struct ticket good;
static struct ticket_ctx ctx;
static uint8_t sealed[TICKET_SEALED_MAX];
static size_t sealed_len;

/* What a test changes before the ticket is made, and what the callbacks say. */
static struct {
	unsigned issuer, subject, to, membership_by, delegation_of, purpose;
	uint32_t roles;
	uint64_t member_end, key_end;
	bool	 records;		/* come with it */
	bool	 break_signature;
	uint64_t fence;
	bool	 replayed, not_permitted, no_room;
	const uint8_t *revoked;
	unsigned asked;			/* of fenced, replayed, permitted, room: bits */
} w;

static bool
cb_issuer(const uint8_t *key, struct ticket_issuer *by, void *arg)
{
	if (memcmp(key, p[COORDINATOR].route.public, RECORD_KEY_LEN) != 0)
		return false;
	memcpy(by->who.node_id, p[COORDINATOR].id, NODE_ID_LEN);
	by->who.roles = w.roles;
	by->who.not_after = w.key_end;
	return true;
}

static bool
cb_revoked(const uint8_t *id, void *arg)
{
	return w.revoked != NULL && memcmp(id, w.revoked, NODE_ID_LEN) == 0;
}

static uint64_t
cb_fenced(const struct ticket *t, const struct ticket_issuer *by, void *arg)
{
	w.asked |= 1;
	return w.fence;
}

static bool
cb_replayed(const struct ticket *t, const struct ticket_issuer *by, void *arg)
{
	w.asked |= 2;
	return w.replayed;
}

static bool
cb_permitted(const struct ticket *t, const struct ticket_issuer *by, void *arg)
{
	w.asked |= 4;
	return !w.not_permitted;
}

static bool
cb_room(const struct ticket *t, const struct ticket_issuer *by, void *arg)
{
	w.asked |= 8;
	return !w.no_room;
}

static void
parties(void)
{
	crypto_init();
	for (unsigned i = 0; i < WHO_COUNT; i++) {
		ck_assert_int_eq(sign_key_generate(&p[i].node), 0);
		ck_assert_int_eq(sign_key_generate(&p[i].route), 0);
		ck_assert_int_eq(noise_key_generate(&p[i].ticket), 0);
		node_id_from_key(p[i].id, p[i].node.public);
	}
}

/* A relay's good ticket, from the coordinator, and the relay that is shown it. */
static void
begin(void)
{
	memset(&w, 0, sizeof(w));
	w.issuer = COORDINATOR;
	w.subject = w.to = RELAY;
	w.delegation_of = COORDINATOR;
	w.purpose = PURPOSE_ROUTE;
	w.roles = 1u << ROLE_ROUTE_COORDINATOR;
	w.member_end = NOW + 86400;
	w.key_end = NOW + 3600;
	w.records = true;
	good = (struct ticket){ .route_id = ROUTE_ID, .epoch = 7, .place = TICKET_RELAY, .classes = CLASSES, .kbps = 1000,
	    .tenant = "home", .soft = NOW + 60, .not_before = NOW - 30, .hard = NOW + 300 };
	memcpy(good.prev, p[SOURCE].id, NODE_ID_LEN);
	memcpy(good.next, p[DEST].id, NODE_ID_LEN);
	ctx = (struct ticket_ctx){ .node_id = p[RELAY].id, .node_key = p[RELAY].node.public, .keys = &p[RELAY].ticket,
	    .nkeys = 1, .authority = p[AUTHORITY].node.public, .from = p[SOURCE].id, .route_id = ROUTE_ID, .now = NOW,
	    .roles = 1u << ROLE_RELAY, .relays = true, .relay_classes = CLASSES, .issuer = cb_issuer,
	    .revoked = cb_revoked, .fenced = cb_fenced, .replayed = cb_replayed, .permitted = cb_permitted,
	    .room = cb_room };
}

static void
records_make(unsigned of)
{
	struct party *x = &p[of];
	struct record m = { .kind = RECORD_MEMBERSHIP, .subject = x->node.public, .serial = 1, .not_before = NOW - 100,
	    .not_after = w.member_end, .name = "someone", .tenant = "home", .roles = w.roles, .tier = 5 };
	struct record d = { .kind = RECORD_DELEGATION, .subject = x->route.public, .serial = 1, .not_before = NOW - 100,
	    .not_after = w.key_end, .purpose = (uint8_t)w.purpose };

	x->mlen = record_sign(x->membership, sizeof(x->membership), &m, &p[w.membership_by].node);
	x->dlen = record_sign(x->delegation, sizeof(x->delegation), &d, &p[w.delegation_of].node);
	ck_assert_uint_gt(x->mlen, 0);
	ck_assert_uint_gt(x->dlen, 0);
}

static void
make(void)
{
	struct party *by = &p[w.issuer];
	uint8_t content[512], ticket[1024];
	struct frame_bytes none = { NULL, 0 }, m, d;
	struct record r = { .kind = RECORD_TICKET, .subject = p[w.subject].node.public, .serial = good.epoch,
	    .not_before = good.not_before, .not_after = good.hard };
	size_t len;

	records_make(w.issuer);
	m = (struct frame_bytes){ by->membership, by->mlen };
	d = (struct frame_bytes){ by->delegation, by->dlen };
	r.content = (struct frame_bytes){ content, ticket_encode(content, sizeof(content), &good) };
	ck_assert_uint_gt(r.content.len, 0);
	len = record_sign(ticket, sizeof(ticket), &r, &by->route);
	ck_assert_uint_gt(len, 0);
	if (w.break_signature)
		ticket[len - 1 - SIGN_LEN / 2] ^= 1;	/* in R, which is then perhaps no point */
	sealed_len = ticket_seal(sealed, sizeof(sealed), p[w.to].ticket.public, ROUTE_ID, w.records ? m : none,
	    w.records ? d : none, (struct frame_bytes){ ticket, len });
	ck_assert_uint_gt(sealed_len, 0);
}

static enum ticket_error
shown(void)
{
	struct ticket t;
	struct ticket_issuer by;
	uint8_t *copy = exact_copy(sealed, sealed_len);
	enum ticket_error err = ticket_check(&ctx, copy, sealed_len, &t, &by);

	free(copy);
	if (err == TICKET_OK) {
		ck_assert_mem_eq(&t, &good, sizeof(t));
		ck_assert_mem_eq(by.who.node_id, p[w.issuer].id, NODE_ID_LEN);
	}
	return err;
}

static void
place_source(void)
{
	good.place = TICKET_SOURCE;
	memset(good.prev, 0, NODE_ID_LEN);
	memcpy(good.next, p[RELAY].id, NODE_ID_LEN);
	memcpy(good.far, p[DEST].id, NODE_ID_LEN);
	memset(good.answer, 7, sizeof(good.answer));
	w.subject = w.to = SOURCE;
	ctx.node_id = p[SOURCE].id;
	ctx.node_key = p[SOURCE].node.public;
	ctx.keys = &p[SOURCE].ticket;
	ctx.from = NULL;
	ctx.roles = 0;
	ctx.relays = false;
}

static void
place_dest(void)
{
	good.place = TICKET_DEST;
	memcpy(good.prev, p[RELAY].id, NODE_ID_LEN);
	memset(good.next, 0, NODE_ID_LEN);
	memcpy(good.far, p[SOURCE].id, NODE_ID_LEN);
	w.subject = w.to = DEST;
	ctx.node_id = p[DEST].id;
	ctx.node_key = p[DEST].node.public;
	ctx.keys = &p[DEST].ticket;
	ctx.from = p[RELAY].id;
	ctx.roles = 0;
	ctx.relays = false;
}

static void
by_source_itself(void)
{
	good.self = true;
	w.issuer = w.delegation_of = SOURCE;
	w.roles = 0;
}

/* As far ahead as an epoch may be. */
#define EPOCH_MOST	((NOW + 3600ull + 60 + 2 * CLOCK_SKEW_S) * 1000)

/* What makes it bad, in the order of the reasons; each is found even if all that come after it hold as well. */
static void bad_seal(void) { w.to = STRANGER; }
static void bad_issuer(void) { w.roles = 1u << ROLE_RELAY; }
static void bad_signature(void) { w.break_signature = true; }
static void bad_hop(void) { ctx.from = p[STRANGER].id; }
static void bad_expired(void) { good.hard = NOW; good.soft = NOW; }
static void bad_not_yet(void) { good.not_before = NOW + CLOCK_SKEW_S + 1; good.soft = good.hard = NOW + 1000; }
static void bad_ahead(void) { good.epoch = EPOCH_MOST + 1000; }
static void bad_lifetime(void) { good.hard = good.not_before + LEASE_LIFE_MAX_S + 1; }
static void bad_revoked(void) { w.revoked = p[DEST].id; }
static void bad_fenced(void) { w.fence = 7; }
static void bad_replayed(void) { w.replayed = true; }
static void bad_role(void) { ctx.relays = false; }
static void bad_class(void) { ctx.relay_classes = 1u << CLASS_BULK; }
static void bad_policy(void) { w.not_permitted = true; }
static void bad_limit(void) { w.no_room = true; }

static const struct {
	void	(*make_bad)(void);
	enum ticket_error err;
	unsigned group;		/* of one only one can be at a time */
} bad[] = {
	{ bad_seal, TICKET_E_SEAL, 0 }, { bad_issuer, TICKET_E_ISSUER, 0 }, { bad_signature, TICKET_E_SIGNATURE, 0 },
	{ bad_hop, TICKET_E_HOP, 0 }, { bad_expired, TICKET_E_EXPIRED, 1 }, { bad_not_yet, TICKET_E_NOT_YET, 1 },
	{ bad_ahead, TICKET_E_NOT_YET, 1 }, { bad_lifetime, TICKET_E_LIFETIME, 1 }, { bad_revoked, TICKET_E_REVOKED, 0 }, { bad_fenced, TICKET_E_FENCED, 0 },
	{ bad_replayed, TICKET_E_REPLAYED, 0 }, { bad_role, TICKET_E_ROLE, 0 }, { bad_class, TICKET_E_CLASS, 0 },
	{ bad_policy, TICKET_E_POLICY, 0 }, { bad_limit, TICKET_E_LIMIT, 0 },
};
#define NBAD (sizeof(bad) / sizeof(bad[0]))

START_TEST(good_at_each_place)
{
	static void (*const places[])(void) = { NULL, place_source, place_dest };

	for (size_t i = 0; i < 3; i++)
		for (unsigned self = 0; self < 2; self++)
			for (unsigned records = 0; records < 2; records++) {
				begin();
				if (places[i] != NULL)
					places[i]();
				if (self)
					by_source_itself();
				w.records = records != 0;
				make();
				/* The records of a source are not known by its key here. */
				ck_assert_int_eq(shown(), self && !records ? TICKET_E_ISSUER : TICKET_OK);
			}
	begin();
	make();
	ck_assert_int_eq(shown(), TICKET_OK);
	ck_assert_int_eq(shown(), TICKET_OK);	/* once more is no replay by itself: it changed nothing here */
	ck_assert_uint_eq(w.asked, 15);
	ctx.fenced = NULL;
	ctx.revoked = NULL;
	ctx.replayed = ctx.permitted = ctx.room = NULL;
	ck_assert_int_eq(shown(), TICKET_OK);
}
END_TEST

START_TEST(each_reason_and_their_order)
{
	for (size_t i = 0; i < NBAD; i++) {
		begin();
		bad[i].make_bad();
		make();
		ck_assert_msg(shown() == bad[i].err, "%s: %s", ticket_strerror(bad[i].err), ticket_strerror(shown()));
		for (size_t j = i + 1; j < NBAD; j++) {
			if (bad[i].group != 0 && bad[i].group == bad[j].group)
				continue;
			begin();
			bad[i].make_bad();
			bad[j].make_bad();
			make();
			ck_assert_msg(shown() == bad[i].err, "%s before %s: %s", ticket_strerror(bad[i].err),
			    ticket_strerror(bad[j].err), ticket_strerror(shown()));
		}
		ck_assert_uint_lt(w.asked, 16);
	}
	for (unsigned err = 0; err < TICKET_E_COUNT; err++)
		for (unsigned other = 0; other < err; other++)
			ck_assert_str_ne(ticket_strerror(err), ticket_strerror(other));
	ck_assert_str_eq(ticket_strerror(TICKET_E_COUNT), "unknown");
}
END_TEST

/* An epoch that no fence would reach for long is not taken, nor one that would never be left behind. */
START_TEST(epochs_ahead)
{
	begin();
	good.epoch = EPOCH_MOST + 999;
	make();
	ck_assert_int_eq(shown(), TICKET_OK);
	good.epoch++;
	make();
	ck_assert_int_eq(shown(), TICKET_E_NOT_YET);
	good.epoch = VARINT_MAX;
	make();
	ck_assert_int_eq(shown(), TICKET_E_NOT_YET);
}
END_TEST

START_TEST(forms)
{
	struct frame_bytes none = { NULL, 0 };
	uint8_t junk[TICKET_MAX + 1] = { 'F', 'R', 1, RECORD_TICKET };

	begin();
	make();
	for (size_t len = 0; len < sealed_len; len += 7) {
		struct ticket t;
		struct ticket_issuer by;

		ck_assert_int_eq(ticket_check(&ctx, sealed, len, &t, &by), TICKET_E_SEAL);
	}
	sealed[sealed_len / 2] ^= 1;
	ck_assert_int_eq(shown(), TICKET_E_SEAL);
	make();
	ctx.route_id++;		/* shown for another route than it was sealed for */
	ck_assert_int_eq(shown(), TICKET_E_SEAL);
	begin();
	good.route_id++;	/* sealed for another than it says */
	make();
	ck_assert_int_eq(shown(), TICKET_E_FORM);
	begin();
	memcpy(good.next, good.prev, NODE_ID_LEN);
	make();
	ck_assert_int_eq(shown(), TICKET_E_FORM);
	begin();
	make();
	sealed_len = ticket_seal(sealed, sizeof(sealed), p[RELAY].ticket.public, ROUTE_ID, none, none,
	    (struct frame_bytes){ junk, 40 });
	ck_assert_int_eq(shown(), TICKET_E_FORM);
	/* A membership alone, and one followed by another. */
	sealed_len = ticket_seal(sealed, sizeof(sealed), p[RELAY].ticket.public, ROUTE_ID, none, none,
	    (struct frame_bytes){ p[COORDINATOR].membership, p[COORDINATOR].mlen });
	ck_assert_int_eq(shown(), TICKET_E_FORM);
	sealed_len = ticket_seal(sealed, sizeof(sealed), p[RELAY].ticket.public, ROUTE_ID, none,
	    (struct frame_bytes){ p[COORDINATOR].membership, p[COORDINATOR].mlen },
	    (struct frame_bytes){ p[COORDINATOR].membership, p[COORDINATOR].mlen });
	ck_assert_int_eq(shown(), TICKET_E_FORM);
	ck_assert_uint_eq(ticket_seal(sealed, sizeof(sealed), p[RELAY].ticket.public, ROUTE_ID, none, none,
	    (struct frame_bytes){ junk, sizeof(junk) }), 0);
	/* Older keys of ours still open it. */
	begin();
	make();
	ctx.keys = (struct noise_key[]){ p[STRANGER].ticket, p[RELAY].ticket };
	ctx.nkeys = 2;
	ck_assert_int_eq(shown(), TICKET_OK);
	ctx.nkeys = 1;
	ck_assert_int_eq(shown(), TICKET_E_SEAL);
}
END_TEST

/* Each way not to be an issuer. */
START_TEST(issuers)
{
#define ISSUER(change) do { begin(); change; make(); ck_assert_int_eq(shown(), TICKET_E_ISSUER); } while (0)
	ISSUER(w.membership_by = STRANGER);			/* another authority's */
	ISSUER(w.delegation_of = STRANGER);			/* not the member's key */
	ISSUER(w.purpose = PURPOSE_E2E);
	ISSUER(w.member_end = NOW);
	ISSUER(w.key_end = NOW);
	ISSUER(w.key_end = NOW + DELEGATION_MAX_S + 1);
	ISSUER((w.records = false, w.issuer = STRANGER));	/* a key that is not known */
	ISSUER((w.records = false, w.key_end = NOW));
	ISSUER((w.records = false, w.roles = 0));
	ISSUER((w.records = false, ctx.issuer = NULL));
	/* A node issues to itself only: not for another source, nor over two relays, nor for another tenant. */
	ISSUER((by_source_itself(), memcpy(good.prev, p[STRANGER].id, NODE_ID_LEN), ctx.from = p[STRANGER].id));
	ISSUER((place_dest(), by_source_itself(), memcpy(good.far, p[STRANGER].id, NODE_ID_LEN)));
	ISSUER((place_source(), by_source_itself(), w.issuer = w.delegation_of = STRANGER));
	ISSUER((by_source_itself(), strcpy(good.tenant, "other")));
	/* A coordinator's ticket signed by who is none, in a coordinator's name. */
	begin();
	w.issuer = STRANGER;
	w.delegation_of = STRANGER;
	w.roles = 0;
	make();
	ck_assert_int_eq(shown(), TICKET_E_ISSUER);
}
END_TEST

START_TEST(hops)
{
#define HOP(change) do { begin(); change; make(); ck_assert_int_eq(shown(), TICKET_E_HOP); } while (0)
	HOP(w.subject = STRANGER);		/* made for another, sealed to us */
	HOP(ctx.from = p[DEST].id);		/* the wrong way round */
	HOP(ctx.from = NULL);			/* a relay's is not in an answer */
	HOP((place_source(), ctx.from = p[RELAY].id));
	HOP((place_dest(), ctx.from = p[SOURCE].id));
	/* Revoked: whoever it names, or who issued it. */
	for (unsigned i = COORDINATOR; i <= DEST; i++) {
		begin();
		w.revoked = p[i].id;
		make();
		ck_assert_int_eq(shown(), TICKET_E_REVOKED);
		begin();
		place_dest();
		w.revoked = p[i].id;
		make();
		ck_assert_int_eq(shown(), TICKET_E_REVOKED);
	}
	begin();
	w.fence = 6;				/* an older one */
	make();
	ck_assert_int_eq(shown(), TICKET_OK);
	begin();
	ctx.roles = 1u << ROLE_MOBILE_EDGE | 1u << ROLE_STORAGE;
	make();
	ck_assert_int_eq(shown(), TICKET_E_ROLE);
	ctx.roles = 1u << ROLE_ENTRY;
	ck_assert_int_eq(shown(), TICKET_OK);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("ticket");
	TCase *c = tcase_create("ticket");

	tcase_add_unchecked_fixture(c, parties, NULL);
	tcase_add_test(c, vectors_both_ways);
	tcase_add_test(c, cut_at_each_byte);
	tcase_add_test(c, each_bit_flipped);
	tcase_add_test(c, encode_refuses);
	tcase_add_test(c, good_at_each_place);
	tcase_add_test(c, each_reason_and_their_order);
	tcase_add_test(c, epochs_ahead);
	tcase_add_test(c, forms);
	tcase_add_test(c, issuers);
	tcase_add_test(c, hops);
	suite_add_tcase(s, c);
	return suite_run(s);
}
