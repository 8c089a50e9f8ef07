#include "routed/known.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "proc/stats.h"
#include "routed/known_int.h"

const char *
known_strerror(enum known_error e)
{
	static const char *const names[] = {
		[KNOWN_OK] = "no error", [KNOWN_E_OLD] = "not newer", [KNOWN_E_FORM] = "malformed",
		[KNOWN_E_CHAIN] = "another's", [KNOWN_E_SIGNATURE] = "a bad signature", [KNOWN_E_TENANT] = "another tenant's",
		[KNOWN_E_EXPIRED] = "expired", [KNOWN_E_NOT_YET] = "not valid yet", [KNOWN_E_LIFETIME] = "valid for too long",
		[KNOWN_E_REVOKED] = "revoked", [KNOWN_E_PARTS] = "not whole", [KNOWN_E_ROOM] = "too many",
		[KNOWN_E_MEMORY] = "no memory",
	};

	_Static_assert(sizeof(names) / sizeof(names[0]) == KNOWN_E_COUNT, "an error without a name");
	return (unsigned)e < KNOWN_E_COUNT ? names[e] : "unknown";
}

/* --- tables --- */

static size_t
slot(const struct knowns *ks, const void *p, size_t len)
{
	uint64_t h = ks->secret, x;

	for (const uint8_t *q = p; len >= 8; q += 8, len -= 8) {
		memcpy(&x, q, 8);
		h = (h ^ x) * (ks->secret | 1);
		h ^= h >> 29;
	}
	return (size_t)h & ks->mask;
}

/* Names are padded with zeros. */
static size_t
name_slot(const struct knowns *ks, const char *name)
{
	char padded[RECORD_NAME_MAX + 1] = { 0 };

	memcpy(padded, name, strnlen(name, RECORD_NAME_MAX));
	return slot(ks, padded, sizeof(padded));
}

#define CHAIN_REMOVE(head, k, next) do { \
	struct known **at_ = &(head); \
	while (*at_ != NULL && *at_ != (k)) \
		at_ = &(*at_)->next; \
	if (*at_ != NULL) \
		*at_ = (k)->next; \
} while (0)

#define CHAIN_INSERT(head, k, next) do { \
	(k)->next = (head); \
	(head) = (k); \
} while (0)

/* An entry's share in the sum of its bucket. */
static uint64_t
entry_sum(const uint8_t *node_id, uint64_t serial)
{
	uint64_t x = 0;

	for (int i = 0; i < 8; i++)
		x = x << 8 | node_id[i];
	x += serial * 0x9e3779b97f4a7c15ull;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return x ^ x >> 31;
}

void
known_serial_set(struct knowns *ks, struct known *k, uint64_t serial)
{
	uint64_t *sum = &ks->sums[k->node_id[0]];

	if (k->serial != 0)
		*sum ^= entry_sum(k->node_id, k->serial);
	if (serial != 0)
		*sum ^= entry_sum(k->node_id, serial);
	k->serial = serial;
}

uint64_t
knowns_bucket_sum(const struct knowns *ks, unsigned bucket)
{
	return ks->sums[bucket];
}

void
known_index(struct knowns *ks, struct known *k)
{
	CHAIN_INSERT(ks->by_key[slot(ks, k->route_key, sizeof(k->route_key))], k, key_next);
	CHAIN_INSERT(ks->by_name[name_slot(ks, k->member.name)], k, name_next);
}

void
known_unindex(struct knowns *ks, struct known *k)
{
	CHAIN_REMOVE(ks->by_key[slot(ks, k->route_key, sizeof(k->route_key))], k, key_next);
	CHAIN_REMOVE(ks->by_name[name_slot(ks, k->member.name)], k, name_next);
}

void
known_insert(struct knowns *ks, struct known *k)
{
	CHAIN_INSERT(ks->by_id[slot(ks, k->node_id, NODE_ID_LEN)], k, id_next);
	TAILQ_INSERT_TAIL(&ks->all[k->node_id[0]], k, entry);
	ks->n++;
	known_index(ks, k);
	STAT_SET(ROUTED_KNOWN, ks->n);
}

struct known *
known_find(const struct knowns *ks, const uint8_t *node_id)
{
	struct known *k = ks->by_id[slot(ks, node_id, NODE_ID_LEN)];

	while (k != NULL && memcmp(k->node_id, node_id, NODE_ID_LEN) != 0)
		k = k->id_next;
	return k;
}

struct known *
known_by_route_key(const struct knowns *ks, const uint8_t key[RECORD_KEY_LEN])
{
	struct known *k = ks->by_key[slot(ks, key, RECORD_KEY_LEN)];

	while (k != NULL && memcmp(k->route_key, key, RECORD_KEY_LEN) != 0)
		k = k->key_next;
	return k;
}

struct known *
known_by_name(const struct knowns *ks, const char *name)
{
	struct known *found = NULL;

	for (struct known *k = ks->by_name[name_slot(ks, name)]; k != NULL; k = k->name_next)
		if (strcmp(k->member.name, name) == 0 && (found == NULL || found->foreign))
			found = k;
	return found;
}

size_t
knowns_count(const struct knowns *ks)
{
	return ks->n;
}

struct known *
knowns_own(const struct knowns *ks)
{
	return ks->own;
}

struct known *
knowns_next(const struct knowns *ks, const struct known *k)
{
	struct known *next = k == NULL ? TAILQ_FIRST(&ks->all[0]) : TAILQ_NEXT(k, entry);

	for (size_t i = k == NULL ? 1 : k->node_id[0] + 1u; next == NULL && i < DIRMSG_BUCKETS; i++)
		next = TAILQ_FIRST(&ks->all[i]);
	return next;
}

struct known *
knowns_bucket(const struct knowns *ks, unsigned bucket)
{
	return TAILQ_FIRST(&ks->all[bucket]);
}

void
knowns_each(const struct knowns *ks, bool (*fn)(struct known *, void *arg), void *arg)
{
	struct known *k, *next;

	for (k = knowns_next(ks, NULL); k != NULL; k = next) {
		next = knowns_next(ks, k);
		if (!fn(k, arg))
			return;
	}
}

/* --- life --- */

void
known_free(struct known *k)
{
	if (k == NULL)
		return;
	free(k->membership.p);
	free(k->route.p);
	free(k->ticket.p);
	free(k->record.p);
	free(k->facts);
	service_set_free(&k->services);
	free(k);
}

struct knowns *
knowns_new(size_t max, uint64_t secret, const struct known_ops *ops, void *arg)
{
	struct knowns *ks = calloc(1, sizeof(*ks));
	size_t len = 64;

	if (ks == NULL)
		return NULL;
	while (len < max)
		len *= 2;
	ks->max = max;
	ks->secret = secret;
	ks->ops = ops;
	ks->arg = arg;
	ks->mask = len - 1;
	for (size_t i = 0; i < DIRMSG_BUCKETS; i++)
		TAILQ_INIT(&ks->all[i]);
	ks->by_id = calloc(len, sizeof(*ks->by_id));
	ks->by_key = calloc(len, sizeof(*ks->by_key));
	ks->by_name = calloc(len, sizeof(*ks->by_name));
	if (ks->by_id != NULL && ks->by_key != NULL && ks->by_name != NULL)
		return ks;
	knowns_free(ks);
	return NULL;
}

void
knowns_free(struct knowns *ks)
{
	struct known *k;

	if (ks == NULL)
		return;
	for (size_t i = 0; i < DIRMSG_BUCKETS; i++)
		while ((k = TAILQ_FIRST(&ks->all[i])) != NULL) {
			TAILQ_REMOVE(&ks->all[i], k, entry);
			known_free(k);
		}
	for (size_t i = 0; i < ks->nfences; i++)
		free(ks->fences[i].raw.p);
	free(ks->policy.raw.p);
	free(ks->revocation.raw.p);
	free(ks->removed);
	free(ks->by_id);
	free(ks->by_key);
	free(ks->by_name);
	free(ks);
}

/* Without memory for the note the row stays in the store, where it expires. */
static void
note_removed(struct knowns *ks, const struct known *k)
{
	if (!k->in_store)
		return;
	if (ks->nremoved == ks->removed_size) {
		size_t size = ks->removed_size == 0 ? 16 : ks->removed_size * 2;
		void *grown = reallocarray(ks->removed, size, sizeof(*ks->removed));

		if (grown == NULL)
			return;
		ks->removed = grown;
		ks->removed_size = size;
	}
	memcpy(ks->removed[ks->nremoved++], k->node_id, NODE_ID_LEN);
}

void
known_remove(struct knowns *ks, struct known *k)
{
	ks->ops->changed(k, KNOWN_GONE, ks->arg);
	known_serial_set(ks, k, 0);
	note_removed(ks, k);
	known_unindex(ks, k);
	CHAIN_REMOVE(ks->by_id[slot(ks, k->node_id, NODE_ID_LEN)], k, id_next);
	TAILQ_REMOVE(&ks->all[k->node_id[0]], k, entry);
	if (ks->own == k)
		ks->own = NULL;
	known_free(k);
	STAT_SET(ROUTED_KNOWN, --ks->n);
}

static void
signed_drop(struct knowns *ks)
{
	for (size_t i = 0; i < ks->nfences; i++)
		free(ks->fences[i].raw.p);
	ks->nfences = 0;
	free(ks->policy.raw.p);
	free(ks->revocation.raw.p);
	memset(&ks->policy, 0, sizeof(ks->policy));
	memset(&ks->revocation, 0, sizeof(ks->revocation));
	ks->signed_dirty = true;
}

void
knowns_self(struct knowns *ks, const uint8_t *node_id, const uint8_t *authority, const char *tenant)
{
	bool others = ks->self_known && (memcmp(authority, ks->authority, sizeof(ks->authority)) != 0 ||
	    strcmp(tenant, ks->tenants.own) != 0), another = memcmp(node_id, ks->self, NODE_ID_LEN) != 0;
	struct known *k;

	if (ks->self_known && !others && !another)
		return;
	memcpy(ks->self, node_id, NODE_ID_LEN);
	memcpy(ks->authority, authority, sizeof(ks->authority));
	if (others || !ks->self_known)
		tenants_init(&ks->tenants, tenant);
	ks->self_known = true;
	ks->serial_floor = 0;
	if (others) {
		while ((k = knowns_next(ks, NULL)) != NULL)
			known_remove(ks, k);
		signed_drop(ks);
	}
	if (ks->own != NULL)
		ks->own->self = false;
	if ((ks->own = known_find(ks, node_id)) != NULL)
		ks->own->self = true;
}

const uint8_t (*knowns_removed(const struct knowns *ks, size_t *n))[NODE_ID_LEN]
{
	*n = ks->nremoved;
	return (const uint8_t (*)[NODE_ID_LEN])ks->removed;
}

void
knowns_removed_clear(struct knowns *ks)
{
	ks->nremoved = 0;
}

bool
knowns_signed_dirty(const struct knowns *ks)
{
	return ks->signed_dirty;
}

void
knowns_signed_clean(struct knowns *ks)
{
	ks->signed_dirty = false;
}

uint64_t
knowns_serial_floor(const struct knowns *ks)
{
	return ks->serial_floor;
}

/* --- what others make of it --- */

struct policy_node
known_policy_node(const struct known *k)
{
	return (struct policy_node){ .node_id = k->node_id, .name = k->member.name, .tenant = k->member.tenant,
	    .roles = k->member.roles, .tier = k->member.tier };
}

const struct tenants *
knowns_tenants(const struct knowns *ks)
{
	return &ks->tenants;
}

const struct record *
knowns_policy(const struct knowns *ks)
{
	return ks->policy.raw.len > 0 ? &ks->policy.r : NULL;
}

const struct record *
knowns_revocation(const struct knowns *ks)
{
	return ks->revocation.raw.len > 0 ? &ks->revocation.r : NULL;
}

bool
knowns_revoked(const struct knowns *ks, const uint8_t *node_id)
{
	const uint8_t *ids = ks->revocation.r.content.p;
	size_t lo = 0, hi = ks->revocation.r.content.len / NODE_ID_LEN;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int c = memcmp(ids + mid * NODE_ID_LEN, node_id, NODE_ID_LEN);

		if (c == 0)
			return true;
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return false;
}

static const struct fact_link *
link_to(const struct facts *f, const uint8_t *node_id)
{
	for (size_t i = 0; f != NULL && i < f->nlinks; i++)
		if (memcmp(f->links[i].node_id, node_id, NODE_ID_LEN) == 0)
			return &f->links[i];
	return NULL;
}

uint64_t
knowns_distance(const struct knowns *ks, const struct known *to)
{
	const struct facts *own = ks->own != NULL ? ks->own->facts : NULL;
	const struct fact_link *l = link_to(own, to->node_id), *further;
	uint64_t best = UINT64_MAX;

	if (to->self)
		return 0;
	if (l != NULL)
		return 1 + l->rtt_us;
	for (size_t i = 0; own != NULL && i < own->nlinks; i++) {
		const struct known *via = known_find(ks, own->links[i].node_id);

		if (via == NULL || (further = link_to(via->facts, to->node_id)) == NULL)
			continue;
		if ((1ull << 33) + own->links[i].rtt_us + further->rtt_us < best)
			best = (1ull << 33) + own->links[i].rtt_us + further->rtt_us;
	}
	return best;
}

bool
known_coordinates(const struct known *k)
{
	return (k->member.roles & 1u << ROLE_ROUTE_COORDINATOR) && !k->foreign && k->route_end != 0 && k->ticket_end != 0;
}

struct known *
knowns_coordinator_next(const struct knowns *ks, const struct known *last)
{
	uint64_t after = last == NULL ? 0 : knowns_distance(ks, last), least = 0;
	struct known *k, *found = NULL;

	KNOWNS_FOREACH(k, ks) {
		uint64_t d;

		if (!known_coordinates(k))
			continue;
		d = knowns_distance(ks, k);
		if (last != NULL && (d < after || (d == after && memcmp(k->node_id, last->node_id, NODE_ID_LEN) <= 0)))
			continue;
		if (found == NULL || d < least || (d == least && memcmp(k->node_id, found->node_id, NODE_ID_LEN) < 0)) {
			found = k;
			least = d;
		}
	}
	return found;
}

static struct frame_bytes
bytes(const struct known_raw *raw)
{
	return (struct frame_bytes){ raw->p, raw->len };
}

void
known_item(const struct known *k, bool whole, struct dirmsg_item *item, uint8_t *buf)
{
	memset(item, 0, sizeof(*item));
	item->record = bytes(&k->record);
	if (!whole)
		return;
	item->membership = bytes(&k->membership);
	item->route = bytes(&k->route);
	item->ticket = bytes(&k->ticket);
	item->has_services = true;
	item->services.p = buf;
	for (size_t i = 0; i < k->services.n; i++) {
		memcpy(buf + item->services.len, k->services.v[i].record, k->services.v[i].len);
		item->services.len += k->services.v[i].len;
	}
}

bool
known_item_of(const struct dirmsg_item *item, uint8_t node_id[NODE_ID_LEN])
{
	struct record r;

	if (record_decode(&r, item->record.p, item->record.len) != RECORD_OK)
		return false;
	node_id_from_key(node_id, r.subject);
	return true;
}

uint64_t
known_services_sum(const struct service_set *set)
{
	struct crypto_piece pieces[NODE_SERVICES_MAX];
	uint8_t hash[HASH_LEN];
	uint64_t sum = 0;

	if (set->n == 0)
		return 0;
	for (size_t i = 0; i < set->n; i++)
		pieces[i] = (struct crypto_piece){ set->v[i].record, set->v[i].len };
	crypto_hash(hash, pieces, set->n);
	for (int i = 0; i < 8; i++)
		sum = sum << 8 | hash[i];
	return sum != 0 ? sum : 1;
}

uint64_t
knowns_memory(const struct knowns *ks)
{
	uint64_t sum = 3 * (ks->mask + 1) * sizeof(struct known *);
	const struct known *k;

	KNOWNS_FOREACH(k, ks) {
		sum += sizeof(*k) + k->membership.len + k->route.len + k->ticket.len + k->record.len;
		sum += offsetof(struct facts, links) + k->facts->nlinks * sizeof(struct fact_link);
		for (size_t i = 0; i < k->services.n; i++)
			sum += sizeof(struct service) + k->services.v[i].len;
	}
	return sum;
}

/* --- time --- */

void
knowns_expire(struct knowns *ks, uint64_t wall)
{
	struct known *k, *next;
	size_t n = 0;

	for (k = knowns_next(ks, NULL); k != NULL; k = next) {
		next = knowns_next(ks, k);
		if (wall < k->not_after && wall < k->member.not_after && wall < k->route_end)
			continue;
		STAT_INC(ROUTED_KNOWN_EXPIRED);
		known_remove(ks, k);
	}
	for (size_t i = 0; i < ks->nfences; i++) {
		if (wall < ks->fences[i].key.not_after) {
			ks->fences[n++] = ks->fences[i];
			continue;
		}
		free(ks->fences[i].raw.p);
		ks->signed_dirty = true;
	}
	ks->nfences = n;
}

uint64_t
knowns_fences_sum(const struct knowns *ks)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < ks->nfences; i++)
		sum ^= ks->fences[i].sum;
	return sum;
}

void
knowns_fences_each(const struct knowns *ks, void (*fn)(const uint8_t *record, size_t len, void *arg), void *arg)
{
	for (size_t i = 0; i < ks->nfences; i++)
		fn(ks->fences[i].raw.p, ks->fences[i].raw.len, arg);
}
