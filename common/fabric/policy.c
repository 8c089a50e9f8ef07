#include "fabric/policy.h"

#include <stdlib.h>
#include <string.h>

#include "fabric/policy_int.h"
#include "wire/fields.h"

/* --- loading ----------------------------------------------------------------------------------------- */

struct loader {
	struct field_reader r;
	struct policy	*p;
	uint8_t		*used, *used_ids;	/* by index: nothing lies in it that no rule speaks of */
	uint32_t	 entries_size;
	bool		 memory;		/* is short */
};

static void
refuse(struct loader *l, int err)
{
	if (l->r.err == 0)
		l->r.err = err;
}

static void *
array(struct loader *l, size_t n, size_t size)
{
	void *a = calloc(n + 1, size);

	if (a == NULL) {
		l->memory = true;
		refuse(l, FRAME_E_VALUE);
	}
	return a;
}

/* A count of things that take at least `least` bytes each: what is allocated for them is bounded by what is there. */
static uint32_t
count(struct loader *l, size_t max, size_t least)
{
	size_t left = (size_t)(l->r.end - l->r.p) / least;
	uint32_t n = (uint32_t)field_uint(&l->r, 0, max);

	if (n > left)
		refuse(l, FRAME_E_SHORT);
	return l->r.err == 0 ? n : 0;
}

static void
load_strings(struct loader *l)
{
	struct policy *p = l->p;
	uint32_t n = count(l, POLICY_MAX, 2);
	struct frame_bytes s;
	char *out;

	p->strings = array(l, n, sizeof(*p->strings));
	out = p->chars = array(l, (size_t)(l->r.end - l->r.p) + n, 1);
	l->used = array(l, n, 1);
	for (; l->r.err == 0 && p->nstrings < n; p->nstrings++) {
		s = field_bytes(&l->r, 1, RECORD_NAME_MAX);
		if (l->r.err != 0)
			return;
		if (!text_name(s.p, s.len, RECORD_NAME_MAX, true))
			refuse(l, FRAME_E_TEXT);
		memcpy(out, s.p, s.len);
		p->strings[p->nstrings] = out;
		if (p->nstrings > 0 && strcmp(p->strings[p->nstrings - 1], out) >= 0)
			refuse(l, FRAME_E_TLV_ORDER);
		out += s.len + 1;
	}
}

static void
load_ids(struct loader *l)
{
	struct policy *p = l->p;
	uint32_t n = count(l, POLICY_MAX, NODE_ID_LEN);
	const uint8_t *id = field_raw(&l->r, (size_t)n * NODE_ID_LEN);

	p->ids = array(l, n, NODE_ID_LEN);
	l->used_ids = array(l, n, 1);
	if (l->r.err != 0)
		return;
	p->nids = n;
	memcpy(p->ids, id, (size_t)n * NODE_ID_LEN);
	for (uint32_t i = 1; i < n; i++)
		if (memcmp(id + (size_t)(i - 1) * NODE_ID_LEN, id + (size_t)i * NODE_ID_LEN, NODE_ID_LEN) >= 0)
			refuse(l, FRAME_E_TLV_ORDER);
}

/* Indices below `of`, ascending; `used` (may be NULL) gets a mark for each. */
static struct span
load_list(struct loader *l, uint32_t of, uint8_t *used)
{
	struct policy *p = l->p;
	struct span s = { p->npool, 0 };
	uint32_t n = (uint32_t)field_uint(&l->r, 1, of), v;

	for (; l->r.err == 0 && s.n < n; s.n++) {
		v = (uint32_t)field_uint(&l->r, 0, of - 1);
		if (l->r.err != 0)
			break;
		if (s.n > 0 && v <= p->pool[p->npool - 1])
			refuse(l, FRAME_E_TLV_ORDER);
		if (used != NULL)
			used[v] = 1;
		p->pool[p->npool++] = (uint16_t)v;	/* each takes a byte of the input, and so many places it has */
	}
	return s;
}

static void
load_who(struct loader *l, struct who *w, bool in_table)
{
	struct policy *p = l->p;
	const uint32_t of[LIST_COUNT] = { p->nstrings, p->nstrings, p->nids, p->ntables, p->ntables };
	uint8_t *const used[LIST_COUNT] = { l->used, l->used, l->used_ids, NULL, NULL };
	unsigned flags = (unsigned)field_uint(&l->r, 0, WHO_FLAGS);

	/* A table has no tables in it, and none that holds everybody. */
	if (in_table && (flags == 0 || flags >= WHO_LISTS << LIST_IN))
		refuse(l, FRAME_E_VALUE);
	w->tier_max = POLICY_TIER_MAX;
	if (flags & WHO_ROLES)
		w->roles = (uint32_t)field_uint(&l->r, 1, ROLES_ALL);
	if (flags & WHO_TIERS) {
		w->tier_min = (uint8_t)field_uint(&l->r, 0, POLICY_TIER_MAX);
		w->tier_max = (uint8_t)field_uint(&l->r, w->tier_min, POLICY_TIER_MAX);
		if (w->tier_min == 0 && w->tier_max == POLICY_TIER_MAX)
			refuse(l, FRAME_E_VALUE);
	}
	for (unsigned i = 0; i < LIST_COUNT; i++)
		if (flags & WHO_LISTS << i)
			w->list[i] = load_list(l, of[i], used[i]);
}

static struct who *
entry_new(struct loader *l)
{
	struct policy *p = l->p;
	uint32_t size = l->entries_size == 0 ? 16 : 2 * l->entries_size;
	struct who *w = p->entries;

	if (p->nentries == l->entries_size) {
		if ((w = reallocarray(p->entries, size, sizeof(*w))) == NULL) {
			l->memory = true;
			refuse(l, FRAME_E_VALUE);
			return NULL;
		}
		p->entries = w;
		l->entries_size = size;
	}
	w = &p->entries[p->nentries++];
	memset(w, 0, sizeof(*w));
	return w;
}

static void
load_table(struct loader *l, struct table *t, const struct table *before)
{
	struct policy *p = l->p;
	uint32_t n;

	t->name = (uint16_t)field_uint(&l->r, 0, p->nstrings == 0 ? 0 : p->nstrings - 1);
	t->first = p->nentries;
	n = count(l, POLICY_MAX, 2);
	if (n == 0 || p->nstrings == 0)
		refuse(l, FRAME_E_VALUE);
	else if (before != NULL && before->name >= t->name)
		refuse(l, FRAME_E_TLV_ORDER);
	else
		l->used[t->name] = 1;
	for (struct who *w; l->r.err == 0 && t->n < n && (w = entry_new(l)) != NULL; t->n++)
		load_who(l, w, true);
}

static void
load_tables(struct loader *l)
{
	struct policy *p = l->p;
	uint32_t n = count(l, POLICY_TABLES_MAX, 4);

	p->tables = array(l, n, sizeof(*p->tables));
	for (; l->r.err == 0 && p->ntables < n; p->ntables++)
		load_table(l, &p->tables[p->ntables], p->ntables == 0 ? NULL : &p->tables[p->ntables - 1]);
}

/* What goes together in a rule. */
static bool
flags_good(unsigned f)
{
	if (f & RULE_ACROSS && !(f & RULE_PASS))
		return false;		/* a block rule holds there anyway */
	if (f & RULE_RELAY)
		return !(f & RULE_SERVICES) && (!(f & (RULE_KBPS | RULE_STREAMS)) || f & RULE_PASS);
	return !(f & (RULE_KBPS | RULE_STREAMS));
}

static void
load_rule(struct loader *l, struct rule *r)
{
	struct policy *p = l->p;

	r->flags = (uint8_t)field_uint(&l->r, 0, RULE_FLAGS);
	if (!flags_good(r->flags))
		refuse(l, FRAME_E_VALUE);
	r->line = (uint32_t)field_uint(&l->r, 0, UINT32_MAX);
	load_who(l, &r->from, false);
	load_who(l, &r->to, false);
	r->classes = CLASSES_ALL;
	if (r->flags & RULE_SERVICES)
		r->services = load_list(l, p->nstrings, l->used);
	for (uint32_t i = 0; l->r.err == 0 && i < r->services.n; i++)
		if (strchr(p->strings[p->pool[r->services.off + i]], '.') != NULL)
			refuse(l, FRAME_E_TEXT);
	if (r->flags & RULE_CLASSES)
		r->classes = (uint8_t)field_uint(&l->r, 1, CLASSES_ALL - 1);
	if (r->flags & RULE_KBPS)
		r->kbps = (uint32_t)field_uint(&l->r, 1, UINT32_MAX);
	if (r->flags & RULE_STREAMS)
		r->streams = (uint32_t)field_uint(&l->r, 1, POLICY_STREAMS_MAX);
}

static void
load_rules(struct loader *l)
{
	struct policy *p = l->p;
	uint32_t n = count(l, POLICY_RULES_MAX, 4);

	p->rules = array(l, n, sizeof(*p->rules));
	for (; l->r.err == 0 && p->nrules < n; p->nrules++)
		load_rule(l, &p->rules[p->nrules]);
}

/* Quick rules as they stand, then the others from the last on. */
static void
order_rules(struct loader *l)
{
	struct policy *p = l->p;
	uint32_t n = 0;

	if ((p->order = array(l, p->nrules, sizeof(*p->order))) == NULL)
		return;
	for (uint32_t i = 0; i < p->nrules; i++)
		if (p->rules[i].flags & RULE_QUICK)
			p->order[n++] = (uint16_t)i;
	for (uint32_t i = p->nrules; i-- > 0;)
		if (!(p->rules[i].flags & RULE_QUICK))
			p->order[n++] = (uint16_t)i;
}

static void
load(struct loader *l)
{
	struct policy *p = l->p;

	field_uint(&l->r, POLICY_VERSION, POLICY_VERSION);
	load_strings(l);
	if (l->r.err == 0)
		load_ids(l);
	if (l->r.err == 0)
		load_tables(l);
	if (l->r.err == 0)
		load_rules(l);
	refuse(l, field_end(&l->r));
	if (l->r.err == 0 && (memchr(l->used, 0, p->nstrings) != NULL || memchr(l->used_ids, 0, p->nids) != NULL))
		refuse(l, FRAME_E_VALUE);
	if (l->r.err == 0)
		order_rules(l);
}

struct policy *
policy_load(const uint8_t *bytes, size_t len, int *error)
{
	struct loader l = { .p = calloc(1, sizeof(*l.p)) };

	*error = 0;
	if (len > POLICY_MAX) {
		*error = FRAME_E_TOO_LONG;
		free(l.p);
		return NULL;
	}
	if (l.p == NULL || (l.p->pool = calloc(len + 1, sizeof(*l.p->pool))) == NULL) {
		free(l.p);
		return NULL;
	}
	field_read_init(&l.r, bytes, len);
	load(&l);
	free(l.used);
	free(l.used_ids);
	if (l.r.err == 0)
		return l.p;
	*error = l.memory ? 0 : l.r.err;
	policy_free(l.p);
	return NULL;
}

void
policy_free(struct policy *p)
{
	if (p == NULL)
		return;
	free(p->strings);
	free(p->chars);
	free(p->ids);
	free(p->tables);
	free(p->entries);
	free(p->rules);
	free(p->order);
	free(p->pool);
	free(p);
}

size_t
policy_rules(const struct policy *p)
{
	return p == NULL ? 0 : p->nrules;
}

uint32_t
policy_rule_line(const struct policy *p, uint32_t rule)
{
	return p == NULL || rule == 0 || rule > p->nrules ? 0 : p->rules[rule - 1].line;
}

/* --- asking ------------------------------------------------------------------------------------------ */

/* A node, in the policy's own numbers: -1 where the policy does not know the word. */
struct asked {
	const struct policy	*p;
	const struct policy_node *node;
	int		 tenant, name, id;
	uint64_t	 known[POLICY_TABLES_MAX / 64], in[POLICY_TABLES_MAX / 64];	/* tables it was looked for, and is in */
};

static int
string_find(const struct policy *p, const char *s)
{
	size_t lo = 0, hi = p->nstrings, mid;
	int c;

	while (s != NULL && lo < hi) {
		mid = lo + (hi - lo) / 2;
		if ((c = strcmp(s, p->strings[mid])) == 0)
			return (int)mid;
		if (c < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return -1;
}

static int
id_find(const struct policy *p, const uint8_t *id)
{
	size_t lo = 0, hi = p->nids, mid;
	int c;

	while (id != NULL && lo < hi) {
		mid = lo + (hi - lo) / 2;
		if ((c = memcmp(id, p->ids + mid * NODE_ID_LEN, NODE_ID_LEN)) == 0)
			return (int)mid;
		if (c < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return -1;
}

static struct asked
asked_init(const struct policy *p, const struct policy_node *n)
{
	return (struct asked){ .p = p, .node = n, .tenant = string_find(p, n->tenant), .name = string_find(p, n->name),
	    .id = id_find(p, n->node_id) };
}

/* Whether the list allows it: an empty one allows all. */
static bool
listed(const struct policy *p, const struct span *s, int v)
{
	size_t lo = s->off, hi = (size_t)s->off + s->n, mid;

	if (s->n == 0)
		return true;
	while (v >= 0 && lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (p->pool[mid] == v)
			return true;
		if (v < p->pool[mid])
			hi = mid;
		else
			lo = mid + 1;
	}
	return false;
}

/* All of a who but its tables. */
static bool
is(const struct asked *a, const struct who *w)
{
	return (w->roles == 0 || (w->roles & a->node->roles) != 0) && a->node->tier >= w->tier_min &&
	    a->node->tier <= w->tier_max && listed(a->p, &w->list[LIST_TENANTS], a->tenant) &&
	    listed(a->p, &w->list[LIST_NAMES], a->name) && listed(a->p, &w->list[LIST_IDS], a->id);
}

static bool
in_table(struct asked *a, unsigned t)
{
	const struct table *table = &a->p->tables[t];
	uint64_t bit = 1ull << t % 64;

	if (a->known[t / 64] & bit)
		return (a->in[t / 64] & bit) != 0;
	a->known[t / 64] |= bit;
	for (uint32_t i = 0; i < table->n; i++)
		if (is(a, &a->p->entries[table->first + i])) {
			a->in[t / 64] |= bit;
			return true;
		}
	return false;
}

static bool
in_one(struct asked *a, const struct span *s)
{
	for (uint32_t i = 0; i < s->n; i++)
		if (in_table(a, a->p->pool[s->off + i]))
			return true;
	return false;
}

static bool
match(struct asked *a, const struct who *w)
{
	return is(a, w) && (w->list[LIST_IN].n == 0 || in_one(a, &w->list[LIST_IN])) && !in_one(a, &w->list[LIST_NOT_IN]);
}

static bool
same_tenant(const struct policy_node *a, const struct policy_node *b)
{
	return a->tenant != NULL && b->tenant != NULL && strcmp(a->tenant, b->tenant) == 0;
}

/* A rule for relaying, or for reaching, that is for this class, and for nodes of these tenants; who they are is asked next. */
static bool
concerns(const struct rule *r, unsigned relay, unsigned class, bool same)
{
	return (r->flags & RULE_RELAY) == relay && r->classes & 1u << class &&
	    (same || !(r->flags & RULE_PASS) || r->flags & RULE_ACROSS);
}

static struct policy_verdict
verdict_of(const struct policy *p, const struct rule *r)
{
	return (struct policy_verdict){ (r->flags & RULE_PASS) != 0, (uint32_t)(r - p->rules) + 1, r->line, r->kbps,
	    r->streams };
}

/* `from' and `to' as a rule has them. */
static struct policy_verdict
ask(const struct policy *p, unsigned relay, const struct policy_node *from, const struct policy_node *to,
    const char *service, unsigned class)
{
	bool same = same_tenant(from, to);
	struct asked a, b;
	int svc;

	if (p == NULL)
		return (struct policy_verdict){ .pass = same };
	a = asked_init(p, from);
	b = asked_init(p, to);
	svc = string_find(p, service);
	for (uint32_t i = 0; i < p->nrules; i++) {
		const struct rule *r = &p->rules[p->order[i]];

		if (concerns(r, relay, class, same) && listed(p, &r->services, svc) && match(&a, &r->from) &&
		    match(&b, &r->to))
			return verdict_of(p, r);
	}
	return (struct policy_verdict){ .pass = same };
}

bool
policy_is_own(const char *service)
{
	return strcmp(service, "directory") == 0 || strcmp(service, "probe") == 0;
}

struct policy_verdict
policy_reach(const struct policy *p, const struct policy_node *src, const struct policy_node *dest, const char *service,
    unsigned class)
{
	if (class >= CLASS_COUNT || service == NULL)
		return (struct policy_verdict){ .pass = false };
	if (policy_is_own(service))
		return (struct policy_verdict){ .pass = policy_meet(p, src->tenant, dest->tenant) };
	return ask(p, 0, src, dest, service, class);
}

struct policy_verdict
policy_relay(const struct policy *p, const struct policy_node *relay, const struct policy_node *src, unsigned class)
{
	if (class >= CLASS_COUNT || !(relay->roles & (1u << ROLE_RELAY | 1u << ROLE_ENTRY)))
		return (struct policy_verdict){ .pass = false };
	return ask(p, RULE_RELAY, relay, src, NULL, class);
}

/* --- asking with less than all ------------------------------------------------------------------------ */

/* Services that a block rule has decided about. */
struct services {
	uint64_t bit[POLICY_MAX / 64 + 1];
};

static bool
all_blocked(const struct policy *p, const struct services *s, const struct span *list)
{
	for (uint32_t i = 0; i < list->n; i++) {
		uint16_t v = p->pool[list->off + i];

		if (!(s->bit[v / 64] >> v % 64 & 1))
			return false;
	}
	return list->n > 0;	/* no list: there is always a service that no rule names */
}

struct policy_verdict
policy_reach_any(const struct policy *p, const struct policy_node *src, const struct policy_node *dest, unsigned class)
{
	bool same = same_tenant(src, dest);
	struct services blocked;
	struct asked a, b;

	if (p == NULL || class >= CLASS_COUNT)
		return (struct policy_verdict){ .pass = same && class < CLASS_COUNT };
	a = asked_init(p, src);
	b = asked_init(p, dest);
	memset(blocked.bit, 0, (p->nstrings / 64 + 1) * sizeof(blocked.bit[0]));
	for (uint32_t i = 0; i < p->nrules; i++) {
		const struct rule *r = &p->rules[p->order[i]];

		if (!concerns(r, 0, class, same) || !match(&a, &r->from) || !match(&b, &r->to))
			continue;
		if (r->flags & RULE_PASS ? !all_blocked(p, &blocked, &r->services) : r->services.n == 0)
			return verdict_of(p, r);
		for (uint32_t k = 0; !(r->flags & RULE_PASS) && k < r->services.n; k++) {
			uint16_t v = p->pool[r->services.off + k];

			blocked.bit[v / 64] |= 1ull << v % 64;
		}
	}
	return (struct policy_verdict){ .pass = same };
}

enum maybe { NO, MAYBE, YES };

static enum maybe
and(enum maybe a, enum maybe b)
{
	return a < b ? a : b;
}

/* All of a who but its tables, when of the node its tenant is known and nothing else. */
static enum maybe
may_be(const struct asked *a, const struct who *w)
{
	if (!listed(a->p, &w->list[LIST_TENANTS], a->tenant))
		return NO;
	return w->roles != 0 || w->tier_min > 0 || w->tier_max < POLICY_TIER_MAX || w->list[LIST_NAMES].n > 0 ||
	    w->list[LIST_IDS].n > 0 ? MAYBE : YES;
}

/* In one of these tables. */
static enum maybe
may_be_in(const struct asked *a, const struct span *s)
{
	enum maybe best = NO, m;

	for (uint32_t i = 0; i < s->n; i++) {
		const struct table *t = &a->p->tables[a->p->pool[s->off + i]];

		for (uint32_t k = 0; k < t->n && best != YES; k++)
			if ((m = may_be(a, &a->p->entries[t->first + k])) > best)
				best = m;
	}
	return best;
}

static enum maybe
may_match(const struct asked *a, const struct who *w)
{
	enum maybe m = may_be(a, w);

	if (m != NO && w->list[LIST_IN].n > 0)
		m = and(m, may_be_in(a, &w->list[LIST_IN]));
	if (m != NO)
		m = and(m, YES - may_be_in(a, &w->list[LIST_NOT_IN]));
	return m;
}

static uint32_t
looser(uint32_t a, uint32_t b)
{
	return a == 0 || b == 0 ? 0 : a > b ? a : b;
}

/* One more rule by which a node of the tenant may pass: the most that any of them is given, 0 the most of all. */
static void
add_way(struct policy_verdict *v, const struct policy_verdict *by)
{
	if (!v->pass) {
		*v = *by;
		return;
	}
	v->kbps = looser(v->kbps, by->kbps);
	v->streams = looser(v->streams, by->streams);
}

struct policy_verdict
policy_relay_for_tenant(const struct policy *p, const struct policy_node *relay, const char *tenant, unsigned class)
{
	const struct policy_node src = { .tenant = tenant };
	struct policy_verdict v = { .pass = false }, one = { .pass = same_tenant(relay, &src) };
	struct asked a, b;
	enum maybe m = NO;

	if (class >= CLASS_COUNT || !(relay->roles & (1u << ROLE_RELAY | 1u << ROLE_ENTRY)))
		return v;
	if (p == NULL)
		return one;
	a = asked_init(p, relay);
	b = asked_init(p, &src);
	for (uint32_t i = 0; m != YES && i < p->nrules; i++) {
		const struct rule *r = &p->rules[p->order[i]];

		if (!concerns(r, RULE_RELAY, class, one.pass) || !match(&a, &r->from) || (m = may_match(&b, &r->to)) == NO)
			continue;
		if (m == YES)
			one = verdict_of(p, r);		/* no rule further on is asked about any of them */
		else if (r->flags & RULE_PASS)
			add_way(&v, &(struct policy_verdict){ true, (uint32_t)(r - p->rules) + 1, r->line, r->kbps, r->streams });
	}
	if (one.pass)
		add_way(&v, &one);
	return v.pass ? v : one;
}

/* --- tenants ------------------------------------------------------------------------------------------ */

/* Of either nothing is known but the tenant; -1 (`tenant'): one that no rule names. */
static bool
meet(const struct policy *p, int a, int b)
{
	const struct policy_node nobody = { .tenant = NULL };
	struct asked x = asked_init(p, &nobody), y = x;

	x.tenant = a;
	y.tenant = b;
	for (uint32_t i = 0; i < p->nrules; i++) {
		const struct rule *r = &p->rules[i];

		if (r->flags & RULE_ACROSS && ((may_match(&x, &r->from) != NO && may_match(&y, &r->to) != NO) ||
		    (may_match(&y, &r->from) != NO && may_match(&x, &r->to) != NO)))
			return true;
	}
	return false;
}

bool
policy_meet(const struct policy *p, const char *a, const char *b)
{
	return a != NULL && b != NULL && (strcmp(a, b) == 0 || (p != NULL && meet(p, string_find(p, a), string_find(p, b))));
}

static void
mark_tenants(const struct policy *p, const struct who *w, uint8_t *named)
{
	const struct span *s = &w->list[LIST_TENANTS];

	for (uint32_t i = 0; i < s->n; i++)
		named[p->pool[s->off + i]] = 1;
}

/* Those of the tenants that are named which `own' meets, or (others) does not. */
static int
list_tenants(const struct policy *p, const uint8_t *named, struct tenants *t, bool others)
{
	int own = string_find(p, t->own);

	t->others = others;
	t->len = 0;
	for (uint32_t i = 0; i < p->nstrings; i++)
		if (named[i] && (int)i != own && meet(p, own, (int)i) != others && tenants_add(t, p->strings[i]) == -1)
			return -1;
	return 0;
}

int
policy_tenants(const struct policy *p, struct tenants *t)
{
	uint8_t named[POLICY_MAX] = { 0 };

	t->others = false;
	t->len = 0;
	if (p == NULL)
		return 0;
	for (uint32_t i = 0; i < p->nentries; i++)
		mark_tenants(p, &p->entries[i], named);
	for (uint32_t i = 0; i < p->nrules; i++) {
		mark_tenants(p, &p->rules[i].from, named);
		mark_tenants(p, &p->rules[i].to, named);
	}
	if (!meet(p, string_find(p, t->own), -1))
		return list_tenants(p, named, t, false);
	if (list_tenants(p, named, t, true) == 0)
		return 0;
	list_tenants(p, named, t, false);	/* exceptions that are not listed would be let in */
	return -1;
}
