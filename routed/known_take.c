/* What is believed of a node: each record is verified, and held against the others, before anything of it is kept. */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "fabric/ticket.h"
#include "proc/stats.h"
#include "routed/known_int.h"

#define LEAF_ROLES (1u << ROLE_MOBILE_EDGE | 1u << ROLE_OBSERVER)

/* An item while it is looked at. `old': what is held of its node, or NULL. */
struct take {
	struct knowns	*ks;
	const struct dirmsg_item *item;
	const uint8_t	*from;
	struct known	*old;
	uint64_t	 wall;
	uint8_t		 node_id[NODE_ID_LEN];
	struct record	 record, membership, route, ticket;	/* those in force: the item's, or the held ones */
	bool		 has_ticket, new_keys;
	struct facts	 facts;
	struct service_set services;
	bool		 new_services;
	uint64_t	 services_sum;
};

static enum known_error
from_reason(int reason)
{
	switch (reason) {
	case REASON_NONE:
		return KNOWN_OK;
	case REASON_AUTH_RECORD:
		return KNOWN_E_SIGNATURE;
	case REASON_AUTH_EXPIRED:
		return KNOWN_E_EXPIRED;
	case REASON_AUTH_NOT_YET:
		return KNOWN_E_NOT_YET;
	case REASON_AUTH_TENANT:
		return KNOWN_E_TENANT;
	default:
		return KNOWN_E_CHAIN;
	}
}

static bool
same(const struct known_raw *held, struct frame_bytes b)
{
	return held->len == b.len && b.len > 0 && memcmp(held->p, b.p, b.len) == 0;
}

static bool
decode(struct record *r, struct frame_bytes b, enum record_kind kind)
{
	return record_decode(r, b.p, b.len) == RECORD_OK && r->kind == kind;
}

static struct frame_bytes
held_bytes(const struct known_raw *raw)
{
	return (struct frame_bytes){ raw->p, raw->len };
}

/* --- the node record --- */

static enum known_error
take_record(struct take *t)
{
	if (!decode(&t->record, t->item->record, RECORD_NODE))
		return KNOWN_E_FORM;
	node_id_from_key(t->node_id, t->record.subject);
	t->old = known_find(t->ks, t->node_id);
	if (t->old != NULL && t->record.serial <= t->old->serial)
		return KNOWN_E_OLD;
	if (knowns_revoked(t->ks, t->node_id))
		return KNOWN_E_REVOKED;
	/* What this node said under an older key has to stand by itself. */
	if (t->from != NULL && memcmp(t->node_id, t->ks->self, NODE_ID_LEN) == 0)
		t->old = NULL;
	if (t->record.serial == 0)
		return KNOWN_E_FORM;	/* which in a digest is none */
	if (t->record.not_after - t->record.not_before > KNOWN_LIFE_MAX_S)
		return KNOWN_E_LIFETIME;
	return from_reason(identity_time(&t->record, t->wall));
}

/* --- the chain --- */

/*
 * Which of two of a kind is in force: what is held, unless the item has a later one. Nobody can put an older one, which
 * said more or less, in the place of a newer. False: there is none.
 */
static bool
choose(struct record *out, struct frame_bytes given, const struct known_raw *held, enum record_kind kind, bool *held_one)
{
	struct record old;
	bool have = held != NULL && held->len > 0 && decode(&old, held_bytes(held), kind);

	*held_one = have;
	if (given.len == 0 || (have && same(held, given))) {
		if (have)
			*out = old;
		return have;
	}
	if (!decode(out, given, kind))
		return false;
	if (have && out->serial <= old.serial)
		*out = old;
	else
		*held_one = false;
	return true;
}

static enum known_error
take_membership(struct take *t)
{
	const struct known_raw *held = t->old != NULL ? &t->old->membership : NULL;
	uint8_t id[NODE_ID_LEN];
	bool is_held;

	if (!choose(&t->membership, t->item->membership, held, RECORD_MEMBERSHIP, &is_held))
		return t->item->membership.len > 0 ? KNOWN_E_FORM : KNOWN_E_PARTS;
	if (is_held)
		return from_reason(identity_time(&t->membership, t->wall));
	t->new_keys = true;
	node_id_from_key(id, t->membership.subject);
	if (memcmp(id, t->node_id, NODE_ID_LEN) != 0)
		return KNOWN_E_CHAIN;
	STAT_INC(ROUTED_KNOWN_VERIFIED);
	return from_reason(identity_membership(&t->membership, t->ks->authority, &t->ks->tenants, t->wall));
}

/*
 * A delegation counts under the membership that is in force, also if that came later: all that lies between them is the
 * node's key.
 */
static enum known_error
take_delegation(struct take *t, struct record *d, struct frame_bytes given, const struct known_raw *held, unsigned purpose)
{
	bool is_held;

	if (!choose(d, given, held, RECORD_DELEGATION, &is_held))
		return given.len > 0 ? KNOWN_E_FORM : KNOWN_E_PARTS;
	if (is_held)
		return from_reason(identity_time(d, t->wall));
	t->new_keys = true;
	STAT_INC(ROUTED_KNOWN_VERIFIED);
	return from_reason(identity_delegation(d, &t->membership, purpose, t->wall));
}

static enum known_error
take_chain(struct take *t)
{
	enum known_error e;

	if ((e = take_membership(t)) != KNOWN_OK)
		return e;
	e = take_delegation(t, &t->route, t->item->route, t->old != NULL ? &t->old->route : NULL, PURPOSE_ROUTE);
	if (e != KNOWN_OK)
		return e;
	if (memcmp(t->record.issuer, t->route.subject, RECORD_KEY_LEN) != 0)
		return t->item->route.len == 0 ? KNOWN_E_PARTS : KNOWN_E_CHAIN;
	/* Who has no key for tickets can be no hop, and can still be known. */
	e = take_delegation(t, &t->ticket, t->item->ticket, t->old != NULL ? &t->old->ticket : NULL, PURPOSE_TICKET);
	t->has_ticket = e == KNOWN_OK;
	return e == KNOWN_E_PARTS || e == KNOWN_E_EXPIRED ? KNOWN_OK : e;
}

/* --- what the record says --- */

static enum known_error
take_services(struct take *t)
{
	static const struct service_set none;
	enum services_error e;

	if (!t->item->has_services) {
		t->services_sum = t->old != NULL ? t->old->services_sum : 0;
		return t->services_sum == t->facts.services ? KNOWN_OK : KNOWN_E_PARTS;
	}
	e = services_parse(&t->services, t->item->services, t->node_id, t->old != NULL ? &t->old->services : &none);
	if (e != SERVICES_OK)
		return e == SERVICES_E_SIGNATURE ? KNOWN_E_SIGNATURE : e == SERVICES_E_MEMORY ? KNOWN_E_MEMORY :
		    e == SERVICES_E_FORM ? KNOWN_E_FORM : KNOWN_E_CHAIN;
	t->services_sum = known_services_sum(&t->services);
	t->new_services = t->old == NULL || t->services_sum != t->old->services_sum;
	return t->services_sum == t->facts.services ? KNOWN_OK : KNOWN_E_CHAIN;
}

static enum known_error
take_facts(struct take *t)
{
	STAT_INC(ROUTED_KNOWN_VERIFIED);
	if (record_verify(&t->record) != 0)
		return KNOWN_E_SIGNATURE;
	return facts_decode(&t->facts, t->record.content.p, t->record.content.len) == 0 ? KNOWN_OK : KNOWN_E_FORM;
}

/* --- keeping it --- */

static uint64_t
brought_by(const uint8_t *from)
{
	uint64_t x = 0;

	if (from != NULL)
		memcpy(&x, from, sizeof(x));
	return x;
}

/* The one that would be over first of those that the same neighbour brought: nobody drives out what others brought. */
static bool
make_room(struct knowns *ks, uint64_t by)
{
	struct known *k, *victim = NULL;

	if (ks->n < ks->max)
		return true;
	KNOWNS_FOREACH(k, ks)
		if (by != 0 && k->brought_by == by && !k->self && brought_by(k->node_id) != by &&
		    (victim == NULL || k->not_after < victim->not_after))
			victim = k;
	if (victim == NULL)
		return false;
	STAT_INC(ROUTED_KNOWN_EVICTED);
	known_remove(ks, victim);
	return true;
}

/* Replaces what is held; nothing when it is the same. */
static bool
keep_raw(struct known_raw *held, struct frame_bytes b)
{
	uint8_t *p;

	if (held->p == b.p || same(held, b))
		return true;
	if ((p = malloc(b.len)) == NULL)
		return false;
	memcpy(p, b.p, b.len);
	free(held->p);
	held->p = p;
	held->len = b.len;
	return true;
}

static bool
keep_facts(struct known *k, const struct facts *f)
{
	size_t len = offsetof(struct facts, links) + f->nlinks * sizeof(struct fact_link);
	struct facts *copy = malloc(len);

	if (copy == NULL)
		return false;
	memcpy(copy, f, len);
	free(k->facts);
	k->facts = copy;
	return true;
}

static void
fence_drop(struct knowns *ks, size_t i)
{
	free(ks->fences[i].raw.p);
	ks->fences[i] = ks->fences[--ks->nfences];
	ks->signed_dirty = true;
}

static bool
coordinates(const struct known *k)
{
	return (k->member.roles & 1u << ROLE_ROUTE_COORDINATOR) != 0;
}

/* The fields that follow from the records. */
static void
keep_keys(struct known *k, const struct take *t)
{
	identity_fill(&k->member, &t->membership, &t->membership);
	memcpy(k->route_key, t->route.subject, RECORD_KEY_LEN);
	k->route_end = t->route.not_after;
	memset(k->ticket_key, 0, RECORD_KEY_LEN);
	k->ticket_end = 0;
	if (t->has_ticket) {
		memcpy(k->ticket_key, t->ticket.subject, RECORD_KEY_LEN);
		k->ticket_end = t->ticket.not_after;
	}
	k->leaf = (k->member.roles & ~LEAF_ROLES) == 0;
	k->self = memcmp(k->node_id, t->ks->self, NODE_ID_LEN) == 0;
	k->foreign = strcmp(k->member.tenant, t->ks->tenants.own) != 0;
}

/* Without memory some of it may be newer than the rest: the next that comes is taken like any. */
static bool
keep_all(struct known *k, struct take *t)
{
	if (!keep_raw(&k->membership, t->membership.raw) || !keep_raw(&k->route, t->route.raw) ||
	    (t->has_ticket && !keep_raw(&k->ticket, t->ticket.raw)) || !keep_facts(k, &t->facts) ||
	    !keep_raw(&k->record, t->record.raw))
		return false;
	if (!t->new_services)
		return true;
	if (t->ks->ops->services != NULL) {
		t->ks->ops->services(k, &t->services, t->ks->arg);
	} else {
		service_set_free(&k->services);
		k->services = t->services;
	}
	k->services_sum = t->services_sum;
	memset(&t->services, 0, sizeof(t->services));
	return true;
}

static struct known *
keep_new(struct take *t, const uint8_t *from)
{
	struct known *k;

	k = calloc(1, sizeof(*k));
	if (k == NULL)
		return NULL;
	memcpy(k->node_id, t->node_id, NODE_ID_LEN);
	t->new_services = true;
	if (!keep_all(k, t)) {
		known_free(k);
		return NULL;
	}
	k->brought_by = brought_by(from);
	keep_keys(k, t);
	known_insert(t->ks, k);
	return k;
}

static bool
keep_again(struct take *t)
{
	struct known *k = t->old;
	bool ok;

	known_unindex(t->ks, k);
	ok = keep_all(k, t);
	if (ok)
		keep_keys(k, t);
	known_index(t->ks, k);
	return ok;
}

static enum known_error
keep(struct take *t, const uint8_t *from)
{
	struct known *k = t->old;
	bool is_new = k == NULL, new_services = t->new_services;

	if (is_new && !make_room(t->ks, brought_by(from)))
		return KNOWN_E_ROOM;
	if (is_new ? (k = keep_new(t, from)) == NULL : !keep_again(t))
		return KNOWN_E_MEMORY;
	known_serial_set(t->ks, k, t->record.serial);
	k->not_after = t->record.not_after;
	k->heard = t->wall;
	k->skew_s = from == NULL ? 0 : (int64_t)k->facts->sent_at - (int64_t)t->wall;
	k->have = 0;
	k->dirty = true;
	t->old = k;
	for (size_t i = t->ks->nfences; !coordinates(k) && i-- > 0;)
		if (memcmp(t->ks->fences[i].key.by, k->node_id, NODE_ID_LEN) == 0)
			fence_drop(t->ks, i);
	if (k->self)
		t->ks->own = k;
	if (is_new) {
		t->ks->ops->changed(k, KNOWN_NEW, t->ks->arg);
		return KNOWN_OK;
	}
	if (t->new_keys)
		t->ks->ops->changed(k, KNOWN_KEYS, t->ks->arg);
	t->ks->ops->changed(k, KNOWN_RECORD, t->ks->arg);
	if (new_services)
		t->ks->ops->changed(k, KNOWN_SERVICES, t->ks->arg);
	return KNOWN_OK;
}

static enum known_error
judge(struct take *t, const uint8_t *from)
{
	enum known_error e;

	if (!t->ks->self_known)
		return KNOWN_E_CHAIN;
	if ((e = take_record(t)) != KNOWN_OK || (e = take_chain(t)) != KNOWN_OK || (e = take_facts(t)) != KNOWN_OK ||
	    (e = take_services(t)) != KNOWN_OK)
		return e;
	/* Others hold a later word of this node than it remembers to have given: the next one has to be later still. */
	if (from != NULL && memcmp(t->node_id, t->ks->self, NODE_ID_LEN) == 0) {
		t->ks->serial_floor = t->record.serial;
		return KNOWN_E_OLD;
	}
	return keep(t, from);
}

enum known_error
knowns_take(struct knowns *ks, const struct dirmsg_item *item, const uint8_t *from, uint64_t wall, struct known **out)
{
	static struct take t;	/* large, and there is one thread */
	enum known_error e;

	memset(&t, 0, sizeof(t));
	t.ks = ks;
	t.item = item;
	t.from = from;
	t.wall = wall;
	e = judge(&t, from);
	service_set_free(&t.services);
	if (out != NULL)
		*out = t.old;
	_Static_assert(STAT_ROUTED_KNOWN_E_MEMORY - STAT_ROUTED_KNOWN_OK == KNOWN_E_COUNT - 1, "a counter for each");
	stats->counter[STAT_ROUTED_KNOWN_OK + e]++;
	return e;
}

/* --- what the authority and coordinators say --- */

/* False: it cannot be used, and nothing has changed. */
static bool
policy_heed(struct knowns *ks, const struct record *r)
{
	int error;
	struct policy *p = policy_load(r->content.p, r->content.len, &error);

	if (p != NULL && policy_tenants(p, &ks->tenants) == -1)
		log_warnx("policy version=%llu names more tenants than are kept here: some are not met",
		    (unsigned long long)r->serial);
	policy_free(p);
	return p != NULL;
}

static enum known_error
take_authority(struct knowns *ks, const struct record *r, bool stored, uint64_t wall)
{
	struct known_signed *held = r->kind == RECORD_POLICY ? &ks->policy : &ks->revocation;
	enum known_error e = from_reason(identity_time(r, wall));

	if (held->raw.len > 0 && r->serial <= held->r.serial)
		return KNOWN_E_OLD;
	if (memcmp(r->issuer, ks->authority, RECORD_KEY_LEN) != 0)
		return KNOWN_E_CHAIN;
	if (e != KNOWN_OK && !(stored && e == KNOWN_E_EXPIRED))
		return e;
	if (record_verify(r) != 0)
		return KNOWN_E_SIGNATURE;
	/* Kept in place of one that can be used, it would leave everything to the default at the next start. */
	if (r->kind == RECORD_POLICY && !policy_heed(ks, r))
		return KNOWN_E_FORM;
	if (!keep_raw(&held->raw, r->raw) || record_decode(&held->r, held->raw.p, held->raw.len) != RECORD_OK)
		return KNOWN_E_MEMORY;
	return KNOWN_OK;
}

static bool
ids_ascend(struct frame_bytes b)
{
	if (b.len == 0 || b.len % NODE_ID_LEN != 0)
		return false;
	for (size_t i = NODE_ID_LEN; i < b.len; i += NODE_ID_LEN)
		if (memcmp(b.p + i - NODE_ID_LEN, b.p + i, NODE_ID_LEN) >= 0)
			return false;
	return true;
}

static void
drop_revoked(struct knowns *ks)
{
	struct known *k, *next;

	for (k = knowns_next(ks, NULL); k != NULL; k = next) {
		next = knowns_next(ks, k);
		if (knowns_revoked(ks, k->node_id))
			known_remove(ks, k);
	}
	for (size_t i = ks->nfences; i-- > 0;)	/* what it has said as a coordinator does not count any more */
		if (knowns_revoked(ks, ks->fences[i].key.by))
			fence_drop(ks, i);
}

/* Whom the policy that holds now has nothing to do with. */
static void
drop_strangers(struct knowns *ks)
{
	struct known *k, *next;

	for (k = knowns_next(ks, NULL); k != NULL; k = next) {
		next = knowns_next(ks, k);
		if (!tenants_meet(&ks->tenants, k->member.tenant))
			known_remove(ks, k);
	}
}

static uint64_t
raw_sum(const struct record *r)
{
	struct crypto_piece piece = { r->raw.p, r->raw.len };
	uint8_t hash[HASH_LEN];
	uint64_t sum;

	crypto_hash(hash, &piece, 1);
	memcpy(&sum, hash, sizeof(sum));
	return sum;
}

/* The fence of this coordinator with this number; NULL: there is none. */
static struct known_fence *
fence_find(struct knowns *ks, const struct fence_key *key)
{
	for (size_t i = 0; i < ks->nfences; i++)
		if (ks->fences[i].key.serial == key->serial && memcmp(ks->fences[i].key.by, key->by, NODE_ID_LEN) == 0)
			return &ks->fences[i];
	return NULL;
}

/*
 * Where a fence goes: in place of the one with its number, which was by an older key and is said again; else where there is
 * room, or that which has to go for it is. NULL: it would be that itself.
 */
static struct known_fence *
fence_place(struct knowns *ks, const struct fence_key *key, struct known_fence *before)
{
	size_t i;

	if (before == NULL && ks->nfences < KNOWN_FENCES_MAX)
		return &ks->fences[ks->nfences++];
	if (before == NULL && (i = fences_victim(ks->fences, sizeof(ks->fences[0]), ks->nfences, key)) < ks->nfences)
		before = &ks->fences[i];
	if (before != NULL)
		free(before->raw.p);
	return before;
}

static enum known_error
take_fence(struct knowns *ks, const struct record *r, uint64_t wall, const struct known **issuer)
{
	const struct known *k = known_by_route_key(ks, r->issuer);
	struct fence_key key = { .serial = r->serial, .not_after = r->not_after };
	uint64_t sum = raw_sum(r);
	struct known_fence *f, *before;
	struct known_raw raw = { 0 };
	struct fence fence;
	enum known_error e;

	for (size_t i = 0; i < ks->nfences; i++)
		if (ks->fences[i].sum == sum && same(&ks->fences[i].raw, r->raw))
			return KNOWN_E_OLD;
	if (k == NULL || wall >= k->route_end)	/* its node may have another key by now, or be heard of later than its word */
		return KNOWN_E_PARTS;
	if (k->foreign)		/* each tenant's coordinators fence their own routes */
		return KNOWN_E_TENANT;
	if (!coordinates(k) || memcmp(r->subject, k->member.node_key, RECORD_KEY_LEN) != 0)
		return KNOWN_E_CHAIN;
	if (fence_decode(&fence, r) < 0)
		return KNOWN_E_FORM;
	if ((e = from_reason(identity_time(r, wall))) != KNOWN_OK)
		return e;
	if (!fence_bounded(&fence, r))
		return KNOWN_E_LIFETIME;
	if (record_verify(r) != 0)
		return KNOWN_E_SIGNATURE;
	memcpy(key.by, k->node_id, NODE_ID_LEN);
	before = fence_find(ks, &key);
	if (before != NULL && memcmp(before->signer, r->issuer, RECORD_KEY_LEN) == 0)
		return KNOWN_E_OLD;	/* another with its number: all keep the one that they had first */
	if (!keep_raw(&raw, r->raw))
		return KNOWN_E_MEMORY;
	if ((f = fence_place(ks, &key, before)) == NULL) {
		free(raw.p);
		return KNOWN_E_ROOM;
	}
	*f = (struct known_fence){ .key = key, .raw = raw, .sum = sum };
	memcpy(f->signer, r->issuer, RECORD_KEY_LEN);
	*issuer = k;
	return KNOWN_OK;
}

enum known_error
knowns_take_signed(struct knowns *ks, const uint8_t *record, size_t len, bool stored, uint64_t wall)
{
	const struct known *issuer = NULL;
	enum known_error e;
	struct record r;

	if (!ks->self_known)
		return KNOWN_E_CHAIN;
	if (record_decode(&r, record, len) != RECORD_OK)
		return KNOWN_E_FORM;
	switch (r.kind) {
	case RECORD_POLICY:
		e = take_authority(ks, &r, stored, wall);
		break;
	case RECORD_REVOCATION:
		e = ids_ascend(r.content) ? take_authority(ks, &r, stored, wall) : KNOWN_E_FORM;
		break;
	case RECORD_FENCE:
		e = take_fence(ks, &r, wall, &issuer);
		break;
	default:
		e = KNOWN_E_FORM;
	}
	stats->counter[STAT_ROUTED_KNOWN_OK + e]++;
	if (e != KNOWN_OK)
		return e;
	ks->signed_dirty = true;
	ks->ops->signed_record(&r, issuer, ks->arg);
	if (r.kind == RECORD_REVOCATION)
		drop_revoked(ks);
	else if (r.kind == RECORD_POLICY)
		drop_strangers(ks);
	return KNOWN_OK;
}
