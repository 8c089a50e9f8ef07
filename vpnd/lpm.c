#include "vpnd/lpm.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct key {		/* the address from the top bit of hi on; IPv4 in the first 32 bits */
	uint64_t hi, lo;
};

struct node {
	struct key	key;		/* zero beyond len */
	struct key	mask;
	uint32_t	child[2];	/* 0: none; node 0 is never used */
	uint32_t	value;		/* LPM_NONE: a fork only */
	uint8_t		len;
};

struct lpm {
	struct node	*nodes;
	uint32_t	 used, size;
	uint32_t	 root[2];	/* IPv4, IPv6 */
	size_t		 count;
};

static struct key
key_mask(unsigned len)
{
	struct key m = { 0, 0 };

	if (len > 64) {
		m.hi = UINT64_MAX;
		m.lo = UINT64_MAX << (128 - len);
	} else if (len > 0) {
		m.hi = UINT64_MAX << (64 - len);
	}
	return m;
}

static struct key
key4(const uint8_t *addr)
{
	uint32_t v;

	memcpy(&v, addr, sizeof(v));
	return (struct key){ (uint64_t)be32toh(v) << 32, 0 };
}

static struct key
key6(const uint8_t *addr)
{
	uint64_t v[2];

	memcpy(v, addr, sizeof(v));
	return (struct key){ be64toh(v[0]), be64toh(v[1]) };
}

static inline unsigned
key_bit(const struct key *k, unsigned i)
{
	return i < 64 ? k->hi >> (63 - i) & 1 : k->lo >> (127 - i) & 1;
}

static inline bool
key_match(const struct node *n, const struct key *k)
{
	return (((k->hi ^ n->key.hi) & n->mask.hi) | ((k->lo ^ n->key.lo) & n->mask.lo)) == 0;
}

/* The number of leading bits that a and b share, at most `max`. */
static unsigned
key_common(const struct key *a, const struct key *b, unsigned max)
{
	uint64_t x = a->hi ^ b->hi;
	unsigned n;

	if (x != 0) {
		n = (unsigned)__builtin_clzll(x);
	} else {
		x = a->lo ^ b->lo;
		n = 64 + (x != 0 ? (unsigned)__builtin_clzll(x) : 64);
	}
	return n < max ? n : max;
}

struct lpm *
lpm_new(void)
{
	struct lpm *t = calloc(1, sizeof(*t));

	if (t != NULL)
		t->used = 1;
	return t;
}

void
lpm_free(struct lpm *t)
{
	if (t == NULL)
		return;
	free(t->nodes);
	free(t);
}

void
lpm_clear(struct lpm *t)
{
	t->used = 1;
	t->root[0] = t->root[1] = 0;
	t->count = 0;
}

/* Room for two more nodes, so that an insert never stops half done. */
static int
make_room(struct lpm *t)
{
	uint32_t size = t->size == 0 ? 64 : t->size * 2;
	struct node *n;

	if (t->used + 2 <= t->size)
		return 0;
	n = reallocarray(t->nodes, size, sizeof(*n));
	if (n == NULL)
		return -1;
	t->nodes = n;
	t->size = size;
	return 0;
}

static uint32_t
add_node(struct lpm *t, const struct key *key, unsigned len, uint32_t value)
{
	struct node *n = &t->nodes[t->used];
	struct key m = key_mask(len);

	n->key = (struct key){ key->hi & m.hi, key->lo & m.lo };
	n->mask = m;
	n->len = (uint8_t)len;
	n->value = value;
	n->child[0] = n->child[1] = 0;
	return t->used++;
}

/* Puts a prefix in the place of node *at, with which it shares `common` bits. */
static void
split(struct lpm *t, uint32_t *at, const struct key *key, unsigned len, unsigned common, uint32_t value)
{
	uint32_t old = *at, new, fork;

	if (common == len) {
		new = add_node(t, key, len, value);
		t->nodes[new].child[key_bit(&t->nodes[old].key, len)] = old;
		*at = new;
		return;
	}
	fork = add_node(t, key, common, LPM_NONE);
	new = add_node(t, key, len, value);
	t->nodes[fork].child[key_bit(key, common)] = new;
	t->nodes[fork].child[key_bit(&t->nodes[old].key, common)] = old;
	*at = fork;
}

static int
insert(struct lpm *t, uint32_t *at, const struct key *key, unsigned len, uint32_t value, uint32_t *holder)
{
	for (;;) {
		struct node *n = &t->nodes[*at];
		unsigned common;

		if (*at == 0) {
			*at = add_node(t, key, len, value);
			return 0;
		}
		common = key_common(key, &n->key, len < n->len ? len : n->len);
		if (common < n->len) {
			split(t, at, key, len, common, value);
			return 0;
		}
		if (n->len == len) {
			if (holder != NULL)
				*holder = n->value;
			if (n->value != LPM_NONE)
				return 1;
			n->value = value;
			return 0;
		}
		at = &n->child[key_bit(key, n->len)];
	}
}

int
lpm_insert(struct lpm *t, const struct record_prefix *p, uint32_t value, uint32_t *holder)
{
	struct key k, m;
	int r;

	if ((p->family != 4 && p->family != 6) || p->len > (p->family == 4 ? 32 : 128) || value == LPM_NONE) {
		errno = EINVAL;
		return -1;
	}
	if (make_room(t) == -1)
		return -1;
	k = p->family == 4 ? key4(p->addr) : key6(p->addr);
	m = key_mask(p->len);
	k.hi &= m.hi;
	k.lo &= m.lo;
	r = insert(t, &t->root[p->family == 6], &k, p->len, value, holder);
	if (r == 0)
		t->count++;
	return r;
}

static inline uint32_t
lookup(const struct lpm *t, uint32_t at, struct key k, unsigned bits)
{
	uint32_t best = LPM_NONE;

	while (at != 0) {
		const struct node *n = &t->nodes[at];

		if (!key_match(n, &k))
			break;
		if (n->value != LPM_NONE)
			best = n->value;
		if (n->len == bits)
			break;
		at = n->child[key_bit(&k, n->len)];
	}
	return best;
}

uint32_t
lpm_lookup4(const struct lpm *t, const uint8_t *addr)
{
	return lookup(t, t->root[0], key4(addr), 32);
}

uint32_t
lpm_lookup6(const struct lpm *t, const uint8_t *addr)
{
	return lookup(t, t->root[1], key6(addr), 128);
}

size_t
lpm_count(const struct lpm *t)
{
	return t->count;
}
