#include "routed/sync.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/ratelimit.h"
#include "proc/stats.h"
#include "routed/order.h"
#include "routed/promises.h"
#include "routed/subs.h"

#define CHANGES_MAX	4096u	/* offered at once; more is found by digests */
#define SLOTS		64u	/* neighbours of whom it is noted what they have: bits of known->have */
#define POLL_NS		(20 * NS_PER_MS)	/* for room in a queue */
#define SECOND_NS	NS_PER_SEC
#define INTEREST_S	600u
#define ASK_AGAIN_NS	(10 * NS_PER_SEC)
#define ITEM_ROOM	(24u * 1024)	/* more than any item */
#define SIGNED_ROOM	(RECORD_LARGE_MAX + 64u)
#define PENDING_MAX	64u
#define PENDING_NS	(20 * NS_PER_SEC)

struct give {
	uint8_t	 node_id[NODE_ID_LEN];
	bool	 whole;
};

struct neighbour {
	uint8_t	 node_id[NODE_ID_LEN];
	struct pm_addr addr;
	int	 slot;			/* -1: none */
	bool	 leaf, foreign;
	bool	 said_hello;
	bool	 policy_due, revocation_due, fences_due, digest_due, more;
	uint64_t have_due[DIRMSG_BUCKETS / 64];	/* buckets that are to be offered */
	uint64_t digest_ns;		/* the next one */
	uint32_t wanted;		/* asked of it and not come */
	uint64_t wanted_ns;		/* when it was last asked, or gave */
	bool	 orphans;		/* a fence came of whom what is asked for may tell */
	uint64_t orphans_ns;		/* when fences were asked for again for that, last */
	unsigned strikes;
	unsigned broken;		/* promises, less those that it kept since */
	struct ratelimit digests, queries;
	struct give *gives;
	size_t	 gives_off, ngives, gives_size;
	struct subs subs;
};

struct interest {
	uint8_t	 node_id[NODE_ID_LEN];
	bool	 pinned;
	uint64_t until_ns, asked_ns;
};

/* A name that a leaf asked this leaf for, which asked others. */
struct pending {
	char	 name[RECORD_NAME_MAX + 1];
	uint8_t	 who[NODE_ID_LEN];
	uint64_t until_ns;
};

struct sync {
	struct knowns *ks;
	const struct sync_ops *ops;
	void	*arg;
	bool	 leaf;
	struct neighbour **v;		/* sorted by node id */
	size_t	 n, size, ngives;
	uint64_t slots;			/* that are taken */
	uint8_t	(*changes)[NODE_ID_LEN];
	size_t	 nchanges;
	uint64_t offer_ns;		/* when they are offered; 0: there are none */
	uint64_t second_ns;		/* the next look at what is due now and then */
	struct promises promises;
	struct interest interests[SYNC_INTERESTS_MAX];
	size_t	 ninterests;
	struct pending pending[PENDING_MAX];
	const struct neighbour *from;	/* whose message is being looked at */
	uint8_t	 buf[ITEM_ROOM];
	uint8_t	 services[PM_RECORDS_MAX];
};

struct sync *
sync_new(struct knowns *ks, const struct sync_ops *ops, void *arg)
{
	struct sync *s = calloc(1, sizeof(*s));

	if (s == NULL || (s->changes = calloc(CHANGES_MAX, NODE_ID_LEN)) == NULL) {
		free(s);
		return NULL;
	}
	s->ks = ks;
	s->ops = ops;
	s->arg = arg;
	return s;
}

static void
neighbour_free(struct sync *s, struct neighbour *n)
{
	s->ngives -= n->ngives - n->gives_off;
	free(n->gives);
	subs_free(&n->subs);
	free(n);
}

void
sync_free(struct sync *s)
{
	if (s == NULL)
		return;
	for (size_t i = 0; i < s->n; i++)
		neighbour_free(s, s->v[i]);
	free(s->v);
	free(s->changes);
	free(s);
}

void
sync_self(struct sync *s, bool leaf)
{
	if (s->leaf == leaf)
		return;
	s->leaf = leaf;
	for (size_t i = 0; i < s->n; i++)
		s->v[i]->said_hello = false, s->v[i]->digest_due = true;
}

/* --- neighbours --- */

static size_t
place(const struct sync *s, const uint8_t *node_id, bool *found)
{
	_Static_assert(offsetof(struct neighbour, node_id) == 0, "order_place() finds the id there");
	return order_place(s->v, s->n, node_id, found);
}

static struct neighbour *
find(const struct sync *s, const uint8_t *node_id)
{
	bool found;
	size_t i = place(s, node_id, &found);

	return found ? s->v[i] : NULL;
}

static bool
clear_bit(struct known *k, void *arg)
{
	k->have &= ~*(const uint64_t *)arg;
	return true;
}

static int
slot_take(struct sync *s)
{
	for (unsigned i = 0; i < SLOTS; i++) {
		uint64_t bit = 1ull << i;

		if (s->slots & bit)
			continue;
		s->slots |= bit;
		knowns_each(s->ks, clear_bit, &bit);
		return (int)i;
	}
	return -1;
}

static uint64_t
bit_of(const struct neighbour *n)
{
	return n->slot < 0 ? 0 : 1ull << n->slot;
}

static int
post(struct sync *s, const struct neighbour *n, unsigned type, size_t len)
{
	return len == 0 ? -1 : s->ops->send(n->node_id, type, s->buf, len, s->arg);
}

static size_t
room(struct sync *s, const struct neighbour *n)
{
	return s->ops->room(n->node_id, s->arg);
}

static void
hello_send(struct sync *s, struct neighbour *n, const struct sync_time *now)
{
	struct dirmsg_hello m = { .version = DIRMSG_VERSION, .leaf = s->leaf, .wall = now->wall, .seen = n->addr };

	n->said_hello = post(s, n, DIRMSG_HELLO, dirmsg_hello_encode(s->buf, sizeof(s->buf), &m)) == 0;
}

/* --- what a neighbour gets --- */

static bool
coordinates(const struct known *k)
{
	return (k->member.roles & 1u << ROLE_ROUTE_COORDINATOR) && !k->foreign;
}

/* A leaf has nothing for a full node but itself, and such neighbours as may have no other way to anybody of its tenant. */
static bool
may_have(const struct sync *s, const struct neighbour *n, const struct known *k)
{
	if (memcmp(n->node_id, k->node_id, NODE_ID_LEN) == 0)
		return false;
	if (n->foreign || k->self || subs_has(&n->subs, k->node_id))
		return k->self || !n->foreign;
	if (n->leaf)
		return coordinates(k);
	return !s->leaf || ((k->leaf || k->foreign) && find(s, k->node_id) != NULL);
}

static int
item_send(struct sync *s, struct neighbour *n, struct known *k, bool whole)
{
	struct dirmsg_item item;

	known_item(k, whole, &item, s->services);
	if (post(s, n, DIRMSG_ITEM, dirmsg_item_encode(s->buf, sizeof(s->buf), &item)) == -1)
		return -1;
	k->have |= bit_of(n);
	STAT_INC(ROUTED_SYNC_GIVEN);
	return 0;
}

/* Now, or when there is room. What finds no place is found missing by a digest. */
static void
give(struct sync *s, struct neighbour *n, struct known *k, bool whole)
{
	struct give *grown;
	size_t size;

	if (n->ngives == n->gives_off && room(s, n) >= ITEM_ROOM && item_send(s, n, k, whole) == 0)
		return;
	if (n->gives_off > 0 && n->gives_off == n->ngives)
		n->gives_off = n->ngives = 0;
	if (n->ngives - n->gives_off >= (s->ngives < SYNC_ALL_GIVES_MAX ? SYNC_GIVES_MAX : SYNC_GIVES_LEAST))
		return;
	if (n->ngives == n->gives_size) {
		size = n->gives_size == 0 ? 64 : n->gives_size * 2;
		if ((grown = reallocarray(n->gives, size, sizeof(*grown))) == NULL)
			return;
		n->gives = grown;
		n->gives_size = size;
	}
	memcpy(n->gives[n->ngives].node_id, k->node_id, NODE_ID_LEN);
	n->gives[n->ngives++].whole = whole;
	s->ngives++;
}

static void
gives_run(struct sync *s, struct neighbour *n)
{
	while (n->gives_off < n->ngives && room(s, n) >= ITEM_ROOM) {
		const struct give *g = &n->gives[n->gives_off];
		struct known *k = known_find(s->ks, g->node_id);

		if (k != NULL && may_have(s, n, k) && item_send(s, n, k, g->whole) == -1)
			return;
		n->gives_off++;
		s->ngives--;
	}
	if (n->gives_off < n->ngives)
		return;
	free(n->gives);
	n->gives = NULL;
	n->gives_off = n->ngives = n->gives_size = 0;
}

struct for_leaf { struct sync *s; struct neighbour *n; };

static bool
give_for_leaf(struct known *k, void *arg)
{
	struct for_leaf *f = arg;

	if (may_have(f->s, f->n, k) && !k->self)
		give(f->s, f->n, k, true);
	return true;
}

int
sync_up(struct sync *s, const uint8_t *node_id, bool leaf, bool foreign, const struct pm_addr *addr,
    const struct sync_time *now)
{
	struct for_leaf f = { s, NULL };
	struct neighbour *n, **grown;
	bool found;
	size_t i, size;

	sync_down(s, node_id);
	i = place(s, node_id, &found);
	if (s->n == s->size) {
		size = s->size == 0 ? 16 : s->size * 2;
		if ((grown = reallocarray(s->v, size, sizeof(*s->v))) == NULL)
			return -1;
		s->v = grown;
		s->size = size;
	}
	if ((n = f.n = calloc(1, sizeof(*n))) == NULL)
		return -1;
	memcpy(n->node_id, node_id, NODE_ID_LEN);
	n->leaf = leaf;
	n->foreign = foreign;
	n->addr = *addr;
	n->slot = slot_take(s);
	n->digest_due = true;
	ratelimit_init(&n->digests, 2 * NS_PER_SEC, 10);
	ratelimit_init(&n->queries, NS_PER_SEC / 20, 2 * SUBS_MAX);
	memmove(&s->v[i + 1], &s->v[i], (s->n - i) * sizeof(*s->v));
	s->v[i] = n;
	s->n++;
	hello_send(s, n, now);
	if (knowns_own(s->ks) != NULL)
		give(s, n, knowns_own(s->ks), true);
	if (n->leaf || s->leaf)
		knowns_each(s->ks, give_for_leaf, &f);
	for (i = 0; i < s->ninterests; i++)
		s->interests[i].asked_ns = 0;
	s->second_ns = now->ns;
	return 0;
}

void
sync_down(struct sync *s, const uint8_t *node_id)
{
	bool found;
	size_t i = place(s, node_id, &found);

	if (!found)
		return;
	s->slots &= ~bit_of(s->v[i]);
	if (s->from == s->v[i])
		s->from = NULL;
	neighbour_free(s, s->v[i]);
	s->n--;
	memmove(&s->v[i], &s->v[i + 1], (s->n - i) * sizeof(*s->v));
}

/* --- digests --- */

static void
digest_make(const struct sync *s, const struct neighbour *n, struct dirmsg_digest *m)
{
	const struct record *policy = knowns_policy(s->ks), *revocation = knowns_revocation(s->ks);

	memset(m, 0, sizeof(*m));
	m->policy = policy != NULL ? policy->serial : 0;
	m->revocation = revocation != NULL ? revocation->serial : 0;
	if (n->foreign)		/* all that it has to have is given as it comes */
		return;
	m->fences = knowns_fences_sum(s->ks);
	if (s->leaf || n->leaf)
		return;
	m->nodes = knowns_count(s->ks);
	for (unsigned i = 0; i < DIRMSG_BUCKETS; i++)
		m->bucket[i] = knowns_bucket_sum(s->ks, i);
}

static void
digest_send(struct sync *s, struct neighbour *n, const struct sync_time *now)
{
	struct dirmsg_digest m;

	digest_make(s, n, &m);
	if (post(s, n, DIRMSG_DIGEST, dirmsg_digest_encode(s->buf, sizeof(s->buf), &m)) == -1)
		return;
	n->digest_due = false;
	/* Not all at once: the first bytes of an id are as good as random. */
	n->digest_ns = now->ns + SYNC_DIGEST_S * NS_PER_SEC + n->node_id[1] * (4 * NS_PER_SEC / 256);
	STAT_INC(ROUTED_SYNC_DIGESTS);
}

static int
on_digest(struct sync *s, struct neighbour *n, const uint8_t *body, size_t len, const struct sync_time *now)
{
	struct dirmsg_digest theirs, ours;

	if (dirmsg_digest_decode(&theirs, body, len) != 0)
		return -1;
	if (!ratelimit_take(&n->digests, now->ns))
		return 0;
	digest_make(s, n, &ours);
	n->policy_due |= ours.policy > theirs.policy;
	n->revocation_due |= ours.revocation > theirs.revocation;
	n->fences_due |= !n->foreign && ours.fences != theirs.fences;
	/* Theirs is newer: who is asked by our digest gives it. */
	n->digest_due |= ours.policy < theirs.policy || ours.revocation < theirs.revocation;
	if (s->leaf || n->leaf || n->foreign)
		return 0;
	for (unsigned i = 0; i < DIRMSG_BUCKETS; i++)
		if (ours.bucket[i] != theirs.bucket[i])
			n->have_due[i / 64] |= 1ull << i % 64;
	return 0;
}

/* --- offering --- */

/* Sends m when it is full, or (k NULL) the rest of it. -1: there was no room for it. */
static int
have_add(struct sync *s, const struct neighbour *n, struct dirmsg_have *m, const struct known *k, unsigned type)
{
	int rv;

	if (k != NULL) {
		memcpy(m->v[m->n].node_id, k->node_id, NODE_ID_LEN);
		m->v[m->n++].serial = k->serial;
	}
	if (m->n == 0 || (k != NULL && m->n < DIRMSG_HAVE_MAX))
		return 0;
	rv = post(s, n, type, dirmsg_have_encode(s->buf, sizeof(s->buf), m));
	m->n = 0;
	return rv;
}

static int
bucket_add(struct sync *s, struct neighbour *n, struct dirmsg_have *m, unsigned i, unsigned *first)
{
	for (const struct known *k = knowns_bucket(s->ks, i); k != NULL; k = TAILQ_NEXT(k, entry)) {
		if (m->n == 0)
			*first = i;
		if (may_have(s, n, k) && have_add(s, n, m, k, DIRMSG_HAVE) == -1)
			return -1;
	}
	return 0;
}

/*
 * Buckets that differ, while there is room: what the neighbour lacks of them it asks for. Of a large directory one bucket may
 * be more than there is room for: it is due again, with those before it that went in the same message.
 */
static void
buckets_run(struct sync *s, struct neighbour *n)
{
	static struct dirmsg_have m;
	unsigned i, first = 0;
	int rv = 0;

	m.n = 0;
	for (i = 0; i < DIRMSG_BUCKETS && rv == 0 && room(s, n) >= ITEM_ROOM; i++) {
		if (!(n->have_due[i / 64] & 1ull << i % 64))
			continue;
		n->have_due[i / 64] &= ~(1ull << i % 64);
		rv = bucket_add(s, n, &m, i, &first);
	}
	if (rv == 0)
		rv = have_add(s, n, &m, NULL, DIRMSG_HAVE);
	for (; rv == -1 && first < i; first++)
		n->have_due[first / 64] |= 1ull << first % 64;
}

void
sync_changed(struct sync *s, struct known *k, enum known_change change, const struct sync_time *now)
{
	if (change == KNOWN_GONE)
		return;
	if (s->from != NULL)
		k->have |= bit_of(s->from);
	if (k->announce)
		return;
	if (s->nchanges == CHANGES_MAX) {
		for (size_t i = 0; i < s->n; i++)
			s->v[i]->digest_due = true;
		return;
	}
	k->announce = true;
	memcpy(s->changes[s->nchanges++], k->node_id, NODE_ID_LEN);
	if (s->offer_ns == 0)
		s->offer_ns = now->ns + (k->self ? 0 : SYNC_BATCH_MS * NS_PER_MS);
	else if (k->self)
		s->offer_ns = now->ns;
}

/* To one neighbour: its own item is given, others' are offered; a leaf is given what it may have. */
static void
offer_to(struct sync *s, struct neighbour *n)
{
	static struct dirmsg_have m;

	m.n = 0;
	for (size_t i = 0; i < s->nchanges; i++) {
		struct known *k = known_find(s->ks, s->changes[i]);

		if (k == NULL || !may_have(s, n, k) || (k->have & bit_of(n)))
			continue;
		if (k->self || n->leaf || s->leaf)
			give(s, n, k, true);
		else
			have_add(s, n, &m, k, DIRMSG_HAVE);
	}
	have_add(s, n, &m, NULL, DIRMSG_HAVE);
}

static void
offer(struct sync *s)
{
	for (size_t i = 0; i < s->n; i++)
		offer_to(s, s->v[i]);
	for (size_t i = 0; i < s->nchanges; i++) {
		struct known *k = known_find(s->ks, s->changes[i]);

		if (k != NULL)
			k->announce = false;
	}
	s->nchanges = 0;
	s->offer_ns = 0;
}

static uint64_t
short_id(const uint8_t *node_id)
{
	uint64_t id;

	memcpy(&id, node_id, sizeof(id));
	return id;
}

static bool
asked_already(struct sync *s, struct neighbour *n, const uint8_t *node_id, uint64_t serial, uint64_t now_ns)
{
	uint64_t breaker;
	bool asked = promises_asked(&s->promises, short_id(n->node_id), n->broken, short_id(node_id), serial, now_ns, &breaker);

	for (size_t i = 0; breaker != 0 && i < s->n; i++)
		if (short_id(s->v[i]->node_id) == breaker)
			s->v[i]->broken++;
	return asked;
}

static int
on_have(struct sync *s, struct neighbour *n, const uint8_t *body, size_t len, const struct sync_time *now)
{
	static struct dirmsg_have theirs, want;

	if (dirmsg_have_decode(&theirs, body, len) != 0)
		return -1;
	want.n = 0;
	for (unsigned i = 0; i < theirs.n; i++) {
		const uint8_t *id = theirs.v[i].node_id;
		struct known *k = known_find(s->ks, id);

		if (k != NULL && k->serial >= theirs.v[i].serial) {
			if (k->serial == theirs.v[i].serial)
				k->have |= bit_of(n);
			continue;
		}
		if (s->leaf || n->foreign || knowns_revoked(s->ks, id))
			continue;
		if (n->wanted >= SYNC_WANTED_MAX) {
			n->more = true;
			continue;
		}
		if (asked_already(s, n, id, theirs.v[i].serial, now->ns))
			continue;
		memcpy(want.v[want.n].node_id, id, NODE_ID_LEN);
		want.v[want.n++].serial = k != NULL ? k->serial : 0;
	}
	if (want.n == 0)
		return 0;
	n->wanted += want.n;
	n->wanted_ns = now->ns;
	post(s, n, DIRMSG_WANT, dirmsg_have_encode(s->buf, sizeof(s->buf), &want));
	return 0;
}

static int
on_want(struct sync *s, struct neighbour *n, const uint8_t *body, size_t len)
{
	static struct dirmsg_have m;

	if (dirmsg_have_decode(&m, body, len) != 0)
		return -1;
	for (unsigned i = 0; i < m.n; i++) {
		struct known *k = known_find(s->ks, m.v[i].node_id);

		if (k != NULL && may_have(s, n, k))
			give(s, n, k, m.v[i].serial == 0);
	}
	return 0;
}

/* --- items --- */

static void
want_whole(struct sync *s, const struct neighbour *n, const struct dirmsg_item *item)
{
	struct dirmsg_have m = { .n = 1 };

	if (known_item_of(item, m.v[0].node_id))
		post(s, n, DIRMSG_WANT, dirmsg_have_encode(s->buf, sizeof(s->buf), &m));
}

/* What no good neighbour passes on. Clocks may differ, keys be renewed meanwhile, and its own tenant's hear of a policy in turn. */
static int
strike(struct neighbour *n, enum known_error e)
{
	if (e == KNOWN_E_TENANT && !n->foreign)
		return 0;
	switch (e) {
	case KNOWN_E_FORM:
	case KNOWN_E_SIGNATURE:
		return -1;
	case KNOWN_E_CHAIN:
	case KNOWN_E_TENANT:
	case KNOWN_E_LIFETIME:
		return ++n->strikes > SYNC_STRIKES ? -1 : 0;
	default:
		return 0;
	}
}

static int
stranger(struct neighbour *n)
{
	STAT_INC(ROUTED_KNOWN_E_TENANT);
	return strike(n, KNOWN_E_TENANT);
}

static void
pending_answer(struct sync *s, struct known *k);

/* All that was asked for is there: a digest has the neighbour give its fences again. Some may never find their maker. */
static void
orphans_run(struct neighbour *n, const struct sync_time *now)
{
	if (!n->orphans || n->wanted > 0)
		return;
	n->orphans = false;
	if (n->orphans_ns != 0 && now->ns - n->orphans_ns < SYNC_DIGEST_S * NS_PER_SEC)
		return;
	n->orphans_ns = now->ns;
	n->digest_due = true;
}

static int
on_item(struct sync *s, struct neighbour *n, const uint8_t *body, size_t len, const struct sync_time *now)
{
	struct dirmsg_item item;
	uint8_t id[NODE_ID_LEN];
	struct known *k;
	enum known_error e;

	if (dirmsg_item_decode(&item, body, len) != 0)
		return -1;
	if (n->wanted > 0)
		n->wanted--;
	n->wanted_ns = now->ns;
	if (n->foreign && (!known_item_of(&item, id) || memcmp(id, n->node_id, NODE_ID_LEN) != 0))	/* it speaks for itself */
		return stranger(n);
	s->from = n;
	e = knowns_take(s->ks, &item, n->node_id, now->wall, &k);
	s->from = NULL;
	if (k != NULL && (e == KNOWN_OK || e == KNOWN_E_OLD) &&
	    promises_kept(&s->promises, short_id(n->node_id), short_id(k->node_id), k->serial) && n->broken > 0)
		n->broken--;
	if (e == KNOWN_E_PARTS && item.membership.len == 0)
		want_whole(s, n, &item);
	if (e == KNOWN_OK)
		pending_answer(s, k);
	if (n->wanted == 0 && n->more) {
		n->more = false;
		n->digest_due = true;	/* the neighbour offers again what did not fit the last time */
	}
	orphans_run(n, now);
	return strike(n, e);
}

static int
on_signed(struct sync *s, struct neighbour *n, const uint8_t *body, size_t len, const struct sync_time *now)
{
	enum known_error e;
	struct record r;

	if (n->foreign && (record_decode(&r, body, len) != RECORD_OK || r.kind == RECORD_FENCE))
		return stranger(n);
	s->from = n;
	e = knowns_take_signed(s->ks, body, len, false, now->wall);
	s->from = NULL;
	n->orphans |= e == KNOWN_E_PARTS;
	return strike(n, e);
}

void
sync_signed(struct sync *s, const struct record *r)
{
	for (size_t i = 0; i < s->n; i++) {
		struct neighbour *n = s->v[i];

		if (n == s->from)
			continue;
		if (r->kind == RECORD_POLICY)
			n->policy_due = true;
		else if (r->kind == RECORD_REVOCATION)
			n->revocation_due = true;
		else
			n->fences_due = !n->foreign;
	}
}

static bool
record_give(struct sync *s, const struct neighbour *n, const struct record *r)
{
	return r == NULL || (room(s, n) >= r->raw.len + 64 &&
	    s->ops->send(n->node_id, DIRMSG_SIGNED, r->raw.p, r->raw.len, s->arg) == 0);
}

struct fence_give { struct sync *s; const struct neighbour *n; };

static void
fence_send(const uint8_t *record, size_t len, void *arg)
{
	struct fence_give *g = arg;

	g->s->ops->send(g->n->node_id, DIRMSG_SIGNED, record, len, g->s->arg);
}

/* Before all else: a revocation is to be everywhere within seconds. */
static void
signed_run(struct sync *s, struct neighbour *n)
{
	if (n->revocation_due && record_give(s, n, knowns_revocation(s->ks)))
		n->revocation_due = false;
	if (n->policy_due && record_give(s, n, knowns_policy(s->ks)))
		n->policy_due = false;
}

/* After the items: they may tell who made them. */
static void
fences_run(struct sync *s, struct neighbour *n)
{
	struct fence_give g = { s, n };

	if (n->fences_due && room(s, n) >= SIGNED_ROOM) {
		n->fences_due = false;
		knowns_fences_each(s->ks, fence_send, &g);
	}
}

/* --- asking for one --- */

/* Full neighbours know all that there is; where there is none, a leaf may be the way to one. */
static void
ask(struct sync *s, const struct dirmsg_query *m, const struct neighbour *not)
{
	size_t len = dirmsg_query_encode(s->buf, sizeof(s->buf), m);
	bool asked = false;

	for (size_t i = 0; i < s->n; i++)
		if (!s->v[i]->leaf && !s->v[i]->foreign && s->v[i] != not)
			asked |= post(s, s->v[i], DIRMSG_QUERY, len) == 0;
	for (size_t i = 0; !asked && m->ttl > 0 && i < s->n; i++)
		if (s->v[i] != not && !s->v[i]->foreign)
			post(s, s->v[i], DIRMSG_QUERY, len);
}

static void
pending_add(struct sync *s, const char *name, const struct neighbour *n, uint64_t now_ns)
{
	struct pending *at = &s->pending[0];

	for (size_t i = 0; i < PENDING_MAX; i++)
		if (s->pending[i].until_ns < at->until_ns)
			at = &s->pending[i];
	strcpy(at->name, name);
	memcpy(at->who, n->node_id, NODE_ID_LEN);
	at->until_ns = now_ns + PENDING_NS;
}

static void
pending_answer(struct sync *s, struct known *k)
{
	for (size_t i = 0; i < PENDING_MAX; i++) {
		struct pending *p = &s->pending[i];
		struct neighbour *n;

		if (p->until_ns == 0 || strcmp(p->name, k->member.name) != 0)
			continue;
		p->until_ns = 0;
		if ((n = find(s, p->who)) == NULL)
			continue;
		subs_add(&n->subs, k->node_id);
		give(s, n, k, true);
	}
}

static int
on_query(struct sync *s, struct neighbour *n, const uint8_t *body, size_t len, const struct sync_time *now)
{
	struct dirmsg_query m;
	struct known *k;

	if (dirmsg_query_decode(&m, body, len) != 0)
		return -1;
	if (n->foreign || !ratelimit_take(&n->queries, now->ns))
		return 0;
	k = m.by_name ? known_by_name(s->ks, m.name) : known_find(s->ks, m.node_id);
	if (k != NULL) {
		subs_add(&n->subs, k->node_id);
		give(s, n, k, true);
		return 0;
	}
	if (m.by_name)
		pending_add(s, m.name, n, now->ns);
	else
		subs_add(&n->subs, m.node_id);
	if (!s->leaf || m.ttl == 0)
		return 0;
	m.ttl--;
	ask(s, &m, n);
	return 0;
}

void
sync_want(struct sync *s, const uint8_t *node_id, bool pinned, const struct sync_time *now)
{
	struct interest *at = NULL;

	for (size_t i = 0; i < s->ninterests && at == NULL; i++)
		if (memcmp(s->interests[i].node_id, node_id, NODE_ID_LEN) == 0)
			at = &s->interests[i];
	if (at == NULL) {
		if (s->ninterests == SYNC_INTERESTS_MAX)
			return;
		at = &s->interests[s->ninterests++];
		memset(at, 0, sizeof(*at));
		memcpy(at->node_id, node_id, NODE_ID_LEN);
	}
	at->pinned |= pinned;
	at->until_ns = now->ns + INTEREST_S * NS_PER_SEC;
	if (known_find(s->ks, node_id) == NULL)
		s->second_ns = now->ns;
}

void
sync_unpin_all(struct sync *s)
{
	for (size_t i = 0; i < s->ninterests; i++)
		s->interests[i].pinned = false;
}

/* Asked again while it is not known, or when what was asked for before should have been renewed, and was not. */
static void
interests_run(struct sync *s, const struct sync_time *now)
{
	for (size_t i = 0; i < s->ninterests;) {
		struct interest *in = &s->interests[i];
		const struct known *k = known_find(s->ks, in->node_id);

		if (!in->pinned && in->until_ns <= now->ns) {
			*in = s->interests[--s->ninterests];
			continue;
		}
		i++;
		if ((k != NULL && now->wall < k->heard + KNOWN_LIFE_S / 2 && in->asked_ns != 0) ||
		    (in->asked_ns != 0 && now->ns < in->asked_ns + ASK_AGAIN_NS) || s->n == 0 ||
		    find(s, in->node_id) != NULL)
			continue;
		in->asked_ns = now->ns;
		if (s->leaf || k == NULL) {
			struct dirmsg_query m = { .ttl = DIRMSG_TTL_MAX };

			memcpy(m.node_id, in->node_id, NODE_ID_LEN);
			ask(s, &m, NULL);
		}
	}
}

/* --- the whole --- */

static int
on_hello(struct sync *s, struct neighbour *n, const uint8_t *body, size_t len, const struct sync_time *now)
{
	struct for_leaf f = { s, n };
	struct dirmsg_hello m;
	struct known *k;
	int64_t skew;

	if (dirmsg_hello_decode(&m, body, len) != 0)
		return -1;
	skew = (int64_t)m.wall - (int64_t)now->wall;
	if ((k = known_find(s->ks, n->node_id)) != NULL)
		k->skew_s = skew;
	s->ops->hello(n->node_id, &m.seen, skew, s->arg);
	if (m.leaf && !n->leaf) {	/* it may ask for less than it could have, never for more */
		n->leaf = true;
		memset(n->have_due, 0, sizeof(n->have_due));
		knowns_each(s->ks, give_for_leaf, &f);
	}
	return 0;
}

int
sync_message(struct sync *s, const uint8_t *from, unsigned type, const uint8_t *body, size_t len,
    const struct sync_time *now)
{
	struct neighbour *n = find(s, from);

	if (n == NULL)
		return -1;
	switch (type) {
	case DIRMSG_HELLO:
		return on_hello(s, n, body, len, now);
	case DIRMSG_DIGEST:
		return on_digest(s, n, body, len, now);
	case DIRMSG_HAVE:
		return on_have(s, n, body, len, now);
	case DIRMSG_WANT:
		return on_want(s, n, body, len);
	case DIRMSG_ITEM:
		return on_item(s, n, body, len, now);
	case DIRMSG_SIGNED:
		return on_signed(s, n, body, len, now);
	case DIRMSG_QUERY:
		return on_query(s, n, body, len, now);
	default:
		return type >= DIRMSG_SKIP ? 0 : -1;
	}
}

static bool
has_due(const struct neighbour *n)
{
	uint64_t any = 0;

	for (size_t i = 0; i < DIRMSG_BUCKETS / 64; i++)
		any |= n->have_due[i];
	return any != 0 || n->gives_off < n->ngives || n->policy_due || n->revocation_due || n->fences_due ||
	    n->digest_due || !n->said_hello;
}

static void
neighbour_run(struct sync *s, struct neighbour *n, const struct sync_time *now)
{
	if (!n->said_hello)
		hello_send(s, n, now);
	signed_run(s, n);
	if (n->digest_due)
		digest_send(s, n, now);
	gives_run(s, n);
	fences_run(s, n);
	buckets_run(s, n);
}

/* What was asked for and did not come for so long does not come any more. */
static void
second_run(struct sync *s, const struct sync_time *now)
{
	s->second_ns = now->ns + SECOND_NS;
	for (size_t i = 0; i < s->n; i++) {
		struct neighbour *n = s->v[i];

		if (n->wanted > 0 && now->ns > n->wanted_ns + 2 * PROMISE_NS) {
			n->wanted = 0;
			n->digest_due |= n->more;
			n->more = false;
		}
		if (now->ns >= n->digest_ns)
			n->digest_due = true;
	}
	interests_run(s, now);
}

void
sync_run(struct sync *s, const struct sync_time *now)
{
	if (now->ns >= s->second_ns)
		second_run(s, now);
	if (s->offer_ns != 0 && now->ns >= s->offer_ns)
		offer(s);
	for (size_t i = 0; i < s->n; i++)
		if (has_due(s->v[i]))
			neighbour_run(s, s->v[i], now);
}

uint64_t
sync_deadline(const struct sync *s, uint64_t now_ns)
{
	uint64_t at = s->second_ns;

	if (s->offer_ns != 0 && s->offer_ns < at)
		at = s->offer_ns;
	for (size_t i = 0; i < s->n && at > now_ns + POLL_NS; i++)
		if (has_due(s->v[i]))
			at = now_ns + POLL_NS;
	return at;
}
