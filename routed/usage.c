#include "routed/usage.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "crypto/identity.h"
#include "proc/stats.h"
#include "wire/fields.h"
#include "wire/varint.h"

#define SLOTS		(4 * USAGE_MAX)
#define RECEIPT_LIFE_S	(90u * 86400)
#define CLAIM_AGE_S	900u
#define ENDED		1024u		/* routes that ended last, whose last word may be on its way */

enum { RECEIPT_CLAIM = 1, RECEIPT_ANSWER };

struct usage {
	const struct usage_ops *ops;
	void		*arg;
	struct usage_store *store;
	uint8_t		 self[NODE_ID_LEN];
	size_t		 n;
	struct usage_entry *v;		/* USAGE_MAX, the first for all that found no place */
	uint16_t	*slot;		/* SLOTS: index + 1 */
	struct ticket	*ended;		/* ENDED, a ring */
	size_t		 nended;	/* so far */
	uint64_t	 from;		/* since when nothing was claimed */
	uint64_t	 due;
	uint64_t	 saved;
};

static size_t
hash_of(const uint8_t *neighbour, const char *tenant, unsigned class)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < NODE_ID_LEN; i++)
		h = (h ^ neighbour[i]) * 16777619u;
	for (; *tenant != '\0'; tenant++)
		h = (h ^ (uint8_t)*tenant) * 16777619u;
	return ((h ^ class) * 16777619u) % SLOTS;
}

/* Its slot, or the empty one that it would take. */
static size_t
slot_of(const struct usage *u, const uint8_t *neighbour, const char *tenant, unsigned class)
{
	size_t at = hash_of(neighbour, tenant, class);

	for (; u->slot[at] != 0; at = (at + 1) % SLOTS) {
		const struct usage_entry *e = &u->v[u->slot[at] - 1];

		if (e->class == class && memcmp(e->neighbour, neighbour, NODE_ID_LEN) == 0 && strcmp(e->tenant, tenant) == 0)
			break;
	}
	return at;
}

static struct usage_entry *
find(const struct usage *u, const uint8_t *neighbour, const char *tenant, unsigned class)
{
	size_t at = slot_of(u, neighbour, tenant, class);

	return u->slot[at] == 0 ? NULL : &u->v[u->slot[at] - 1];
}

static struct usage_entry *
entry(struct usage *u, const uint8_t *neighbour, const char *tenant, unsigned class)
{
	size_t at = slot_of(u, neighbour, tenant, class);
	struct usage_entry *e;

	if (u->slot[at] != 0)
		return &u->v[u->slot[at] - 1];
	if (u->n == USAGE_MAX)
		return &u->v[0];
	e = &u->v[u->n++];
	memcpy(e->neighbour, neighbour, NODE_ID_LEN);
	strncpy(e->tenant, tenant, sizeof(e->tenant) - 1);
	e->class = (uint8_t)class;
	u->slot[at] = (uint16_t)u->n;
	return e;
}

static void
load(const struct usage_entry *from, void *arg)
{
	struct usage *u = arg;
	struct usage_entry *e = entry(u, from->neighbour, from->tenant, from->class);

	e->forth += from->forth;
	e->back += from->back;
	e->confirmed += from->confirmed;
}

struct usage *
usage_new(const struct usage_ops *ops, void *arg, const uint8_t *self, struct usage_store *store)
{
	static const uint8_t nobody[NODE_ID_LEN];
	struct usage *u = calloc(1, sizeof(*u));

	_Static_assert(USAGE_MAX < UINT16_MAX, "a slot holds an index");
	if (u == NULL || (u->v = calloc(USAGE_MAX, sizeof(*u->v))) == NULL ||
	    (u->slot = calloc(SLOTS, sizeof(*u->slot))) == NULL || (u->ended = calloc(ENDED, sizeof(*u->ended))) == NULL) {
		usage_free(u);
		return NULL;
	}
	u->ops = ops;
	u->arg = arg;
	u->store = store;
	memcpy(u->self, self, NODE_ID_LEN);
	entry(u, nobody, "", CLASS_COUNT);
	if (store != NULL)
		usage_store_load(store, load, u);
	return u;
}

void
usage_free(struct usage *u)
{
	if (u == NULL)
		return;
	usage_store_close(u->store);
	free(u->v);
	free(u->slot);
	free(u->ended);
	free(u);
}

void
usage_self(struct usage *u, const uint8_t *self)
{
	memcpy(u->self, self, NODE_ID_LEN);
}

size_t
usage_count(const struct usage *u)
{
	return u->n;
}

const struct usage_entry *
usage_get(const struct usage *u, size_t i)
{
	return &u->v[i];
}

/* --- counting --- */

static void
count_hop(struct usage *u, const uint8_t *neighbour, const struct ticket *t, unsigned class, uint64_t forth, uint64_t back)
{
	struct usage_entry *e = entry(u, neighbour, t->tenant, class);

	e->seen_forth += forth;
	e->seen_back += back;
	if (t->place == TICKET_RELAY) {
		e->owed_forth += forth;
		e->owed_back += back;
	}
}

void
usage_ended(struct usage *u, const struct ticket *t)
{
	u->ended[u->nended++ % ENDED] = *t;
}

static const struct ticket *
find_ended(const struct usage *u, uint64_t route_id)
{
	for (size_t i = 0; i < u->nended && i < ENDED; i++)
		if (u->ended[i].route_id == route_id)
			return &u->ended[i];
	return NULL;
}

void
usage_used(struct usage *u, struct installed *r, const struct pm_route_used *m)
{
	const struct ticket *t = r != NULL ? &r->t : find_ended(u, m->route_id);
	struct usage_entry *e;

	if (t == NULL || m->class >= CLASS_COUNT || (m->forth | m->back) == 0)
		return;
	if (r != NULL) {
		r->used[m->class][0] += m->forth;
		r->used[m->class][1] += m->back;
	}
	if (t->place != TICKET_SOURCE)
		count_hop(u, t->prev, t, m->class, m->forth, m->back);
	if (t->place != TICKET_DEST)
		count_hop(u, t->next, t, m->class, m->forth, m->back);
	if (t->place != TICKET_RELAY)
		return;
	e = entry(u, t->prev, t->tenant, m->class);
	e->forth += m->forth;
	e->back += m->back;
	e->dirty = true;
	STAT_ADD(ROUTED_RELAYED_BYTES, m->forth + m->back);
}

/* --- claiming --- */

/* What one receipt tells of. */
struct claimed {
	uint64_t from, to;
	const uint8_t *neighbour;
	unsigned n;
	struct { struct usage_entry *e; uint64_t bytes; } v[USAGE_ENTRIES_MAX];
};

/* What this neighbour owes and was not asked for in this round, as far as one receipt holds it. */
static void
collect(struct usage *u, struct claimed *c)
{
	for (size_t i = 1; i < u->n && c->n < USAGE_ENTRIES_MAX; i++) {
		struct usage_entry *e = &u->v[i];

		if ((e->owed_forth | e->owed_back) == 0 || e->asked == c->to ||
		    memcmp(e->neighbour, c->neighbour, NODE_ID_LEN) != 0)
			continue;
		if (e->owed_since == 0)
			e->owed_since = u->from;
		if (e->owed_since < c->from)
			c->from = e->owed_since;
		e->asked = c->to;
		c->v[c->n].bytes = e->owed_forth + e->owed_back;
		c->v[c->n++].e = e;
	}
}

static bool
put_claim(struct tlv_writer *w, const struct claimed *c)
{
	field_put_uint(w, RECEIPT_CLAIM);
	field_put_raw(w, c->neighbour, NODE_ID_LEN);
	field_put_uint(w, c->from);
	field_put_uint(w, c->to);
	for (unsigned i = 0; i < c->n; i++) {
		const struct usage_entry *e = c->v[i].e;

		field_put_bytes(w, (struct frame_bytes){ (const uint8_t *)e->tenant, strlen(e->tenant) });
		field_put_uint(w, e->class);
		field_put_uint(w, e->owed_forth);
		field_put_uint(w, e->owed_back);
	}
	return c->n > 0 && !w->failed;
}

static size_t
sign(struct usage *u, uint8_t *buf, const struct tlv_writer *content, uint64_t serial, uint64_t wall)
{
	const uint8_t *node_key;
	const struct sign_key *key = u->ops->own_key(&node_key, u->arg);
	struct record r = { .kind = RECORD_RECEIPT, .serial = serial, .not_before = wall, .not_after = wall + RECEIPT_LIFE_S,
	    .content = { content->buf, content->len } };

	if (key == NULL)
		return 0;
	r.subject = node_key;
	return record_sign(buf, USAGE_RECEIPT_MAX, &r, key);
}

static void
hash_record(uint8_t hash[HASH_LEN], struct frame_bytes raw)
{
	const struct crypto_piece piece = { raw.p, raw.len };

	crypto_hash(hash, &piece, 1);
}

static void
keep_receipt(struct usage *u, const uint8_t *neighbour, uint64_t from, uint64_t to, struct frame_bytes claim,
    struct frame_bytes answer)
{
	uint8_t hash[HASH_LEN];

	if (u->store == NULL)
		return;
	hash_record(hash, claim);
	if (usage_store_receipt(u->store, hash, neighbour, from, to, claim, answer) == -1)
		STAT_INC(ROUTED_USAGE_ERRORS);
}

/* It is on its way, and is claimed no second time; or it was not sent, and is owed as before. */
static void
settle(const struct claimed *c, bool sent)
{
	for (unsigned i = 0; i < c->n; i++) {
		struct usage_entry *e = c->v[i].e;

		if (sent)
			e->owed_forth = e->owed_back = e->owed_since = 0;
		else
			e->claimed -= c->v[i].bytes;
	}
}

static void
claim(struct usage *u, const uint8_t *neighbour, uint64_t wall)
{
	uint8_t content[USAGE_RECEIPT_MAX - 256], raw[USAGE_RECEIPT_MAX];
	struct claimed c = { .from = u->from, .to = wall, .neighbour = neighbour };
	struct tlv_writer w;
	size_t len;
	bool sent;

	collect(u, &c);
	tlv_write_init(&w, content, sizeof(content));
	if (!put_claim(&w, &c) || (len = sign(u, raw, &w, wall, wall)) == 0)
		return;
	for (unsigned i = 0; i < c.n; i++)
		c.v[i].e->claimed += c.v[i].bytes;
	sent = u->ops->send(neighbour, DIRMSG_RECEIPT, raw, len, u->arg) == 0;
	settle(&c, sent);
	if (!sent)
		return;
	keep_receipt(u, neighbour, c.from, wall, (struct frame_bytes){ raw, len }, (struct frame_bytes){ NULL, 0 });
	STAT_INC(ROUTED_RECEIPTS_CLAIMED);
}

static void
claim_all(struct usage *u, uint64_t wall)
{
	for (size_t i = 1; i < u->n; i++)
		if ((u->v[i].owed_forth | u->v[i].owed_back) != 0 && u->v[i].asked != wall)
			claim(u, u->v[i].neighbour, wall);
	u->from = wall;
}

/* --- what comes --- */

/* Each line is held against the count alone: one kind in two of them would be signed for twice. */
static bool
named_before(const struct claimed *c, const struct usage_entry *e)
{
	for (unsigned i = 0; i < c->n; i++)
		if (c->v[i].e == e)
			return true;
	return false;
}

/* What of a claim is about this node and `who', each line with its entry here. */
static enum usage_error
read_claim(const struct usage *u, struct field_reader *r, const uint8_t *who, struct claimed *c)
{
	memset(c, 0, sizeof(*c));
	c->neighbour = field_raw(r, NODE_ID_LEN);
	c->from = field_uint(r, 0, RECORD_TIME_MAX);
	c->to = field_uint(r, 0, RECORD_TIME_MAX);
	while (r->err == 0 && r->p < r->end) {
		char tenant[RECORD_TENANT_MAX + 1] = "";
		struct frame_bytes b = field_bytes(r, 1, RECORD_TENANT_MAX);
		unsigned class = (unsigned)field_uint(r, 0, CLASS_COUNT - 1);
		uint64_t forth = field_uint(r, 0, VARINT_MAX), back = field_uint(r, 0, VARINT_MAX);

		if (r->err != 0 || c->n == USAGE_ENTRIES_MAX || !text_name(b.p, b.len, RECORD_TENANT_MAX, true))
			return USAGE_E_FORM;
		memcpy(tenant, b.p, b.len);
		if ((c->v[c->n].e = find(u, who, tenant, class)) == NULL)
			return USAGE_E_MORE;	/* nothing of the kind was seen */
		if (named_before(c, c->v[c->n].e))
			return USAGE_E_FORM;
		c->v[c->n++].bytes = forth + back;
	}
	return r->err != 0 || c->n == 0 ? USAGE_E_FORM : USAGE_OK;
}

static bool
counted(const struct usage_entry *e, uint64_t bytes)
{
	uint64_t seen = e->seen_forth + e->seen_back;

	return e->signed_bytes + bytes <= seen + (seen >> USAGE_SLACK_SHIFT) + USAGE_SLACK;
}

static enum usage_error
judge_claim(const struct usage *u, const struct claimed *c, uint64_t wall)
{
	if (memcmp(c->neighbour, u->self, NODE_ID_LEN) != 0)
		return USAGE_E_ISSUER;
	if (c->to < c->from || c->to > wall + CLOCK_SKEW_S || c->to + CLAIM_AGE_S < wall)
		return USAGE_E_TIME;
	for (unsigned i = 0; i < c->n; i++)
		if (!counted(c->v[i].e, c->v[i].bytes))
			return USAGE_E_MORE;
	return USAGE_OK;
}

static void
answer(struct usage *u, const uint8_t *to, const struct record *r, const struct claimed *c, uint64_t wall)
{
	uint8_t content[HASH_LEN + 1], body[2 * USAGE_RECEIPT_MAX], hash[HASH_LEN];
	struct tlv_writer w;
	size_t len;

	hash_record(hash, r->raw);
	tlv_write_init(&w, content, sizeof(content));
	field_put_uint(&w, RECEIPT_ANSWER);
	field_put_raw(&w, hash, HASH_LEN);
	memcpy(body, r->raw.p, r->raw.len);
	if ((len = sign(u, body + r->raw.len, &w, c->to, wall)) == 0)
		return;
	keep_receipt(u, to, c->from, c->to, r->raw, (struct frame_bytes){ body + r->raw.len, len });
	u->ops->send(to, DIRMSG_RECEIPT, body, r->raw.len + len, u->arg);
}

static bool
of_node(const struct usage *u, const struct record *r, const uint8_t *node_id)
{
	const uint8_t *key = u->ops->route_key(node_id, u->arg);

	return key != NULL && memcmp(key, r->issuer, RECORD_KEY_LEN) == 0;
}

static bool
own(const struct usage *u, const struct record *r)
{
	const uint8_t *node_key;
	const struct sign_key *key = u->ops->own_key(&node_key, u->arg);

	return key != NULL && memcmp(key->public, r->issuer, RECORD_KEY_LEN) == 0;
}

static enum usage_error
on_claim(struct usage *u, const uint8_t *from, const struct record *r, struct field_reader *f, uint64_t wall)
{
	enum usage_error e;
	struct claimed c;

	if (!of_node(u, r, from))
		return USAGE_E_ISSUER;
	if (record_verify(r) != 0)
		return USAGE_E_SIGNATURE;
	if ((e = read_claim(u, f, from, &c)) != USAGE_OK || (e = judge_claim(u, &c, wall)) != USAGE_OK)
		return e;
	for (unsigned i = 0; i < c.n; i++)
		c.v[i].e->signed_bytes += c.v[i].bytes;
	answer(u, from, r, &c, wall);
	return USAGE_OK;
}

/* The own claim comes back with the neighbour's signature. */
static enum usage_error
on_answer(struct usage *u, const uint8_t *from, const struct record *r, struct field_reader *f, struct frame_bytes rest)
{
	uint8_t hash[HASH_LEN];
	struct field_reader g;
	const uint8_t *said;
	enum usage_error e;
	struct claimed c;
	struct record a;

	if (record_decode(&a, rest.p, rest.len) != RECORD_OK || a.kind != RECORD_RECEIPT)
		return USAGE_E_FORM;
	if (!own(u, r) || !of_node(u, &a, from))
		return USAGE_E_ISSUER;
	if (record_verify(r) != 0 || record_verify(&a) != 0)
		return USAGE_E_SIGNATURE;
	field_read_init(&g, a.content.p, a.content.len);
	if (field_uint(&g, 0, RECEIPT_ANSWER) != RECEIPT_ANSWER || (said = field_raw(&g, HASH_LEN)) == NULL ||
	    field_end(&g) != 0 || (e = read_claim(u, f, from, &c)) != USAGE_OK)
		return USAGE_E_FORM;
	hash_record(hash, r->raw);
	if (memcmp(hash, said, HASH_LEN) != 0 || memcmp(c.neighbour, from, NODE_ID_LEN) != 0)
		return USAGE_E_ISSUER;
	for (unsigned i = 0; i < c.n; i++)
		if (c.v[i].e->answered + c.v[i].bytes > c.v[i].e->claimed)
			return USAGE_E_MORE;	/* it was answered before */
	for (unsigned i = 0; i < c.n; i++) {
		c.v[i].e->answered += c.v[i].bytes;
		c.v[i].e->confirmed += c.v[i].bytes;
		c.v[i].e->dirty = true;
	}
	keep_receipt(u, from, c.from, c.to, r->raw, rest);
	return USAGE_OK;
}

enum usage_error
usage_message(struct usage *u, const uint8_t *from, const uint8_t *body, size_t len, uint64_t wall)
{
	struct field_reader f;
	struct record r;

	if (record_decode_first(&r, body, len) != RECORD_OK || r.kind != RECORD_RECEIPT)
		return USAGE_E_FORM;
	field_read_init(&f, r.content.p, r.content.len);
	if (field_uint(&f, 0, RECEIPT_CLAIM) != RECEIPT_CLAIM)
		return USAGE_E_FORM;
	if (r.raw.len == len)
		return on_claim(u, from, &r, &f, wall);
	return on_answer(u, from, &r, &f, (struct frame_bytes){ body + r.raw.len, len - r.raw.len });
}

/* --- time --- */

void
usage_save(struct usage *u)
{
	if (u->store == NULL || usage_store_begin(u->store) == -1)
		return;
	for (size_t i = 0; i < u->n; i++)
		if (u->v[i].dirty && usage_store_entry(u->store, &u->v[i]) == 0)
			u->v[i].dirty = false;
	if (usage_store_commit(u->store) == -1)
		STAT_INC(ROUTED_USAGE_ERRORS);
}

void
usage_tick(struct usage *u, uint64_t wall)
{
	if (u->due == 0) {
		u->from = wall;
		u->due = wall - wall % USAGE_EVERY_S + USAGE_EVERY_S;
	}
	if (wall < u->due)
		return;
	u->due = wall - wall % USAGE_EVERY_S + USAGE_EVERY_S;
	claim_all(u, wall);
	usage_save(u);
}

/* --- the routes that are held --- */

int
usage_held_begin(struct usage *u)
{
	return u->store == NULL || usage_store_begin(u->store) == -1 ? -1 : usage_store_clear_held(u->store);
}

int
usage_held_put(struct usage *u, const struct lease *l)
{
	return usage_store_held(u->store, l);
}

int
usage_held_end(struct usage *u)
{
	return usage_store_commit(u->store);
}

void
usage_held_load(struct usage *u, void (*fn)(const struct lease *, void *), void *arg)
{
	if (u->store != NULL)
		usage_store_load_held(u->store, fn, arg);
}
