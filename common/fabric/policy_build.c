#include "fabric/policy_build.h"

#include <stdlib.h>
#include <string.h>

#include "base/hex.h"
#include "fabric/policy_int.h"
#include "wire/fields.h"

/* --- what is built of -------------------------------------------------------------------------------- */

/* Room for one more of `size` bytes in *array, which holds n. -1: memory is short. */
static int
grow(void *array, uint32_t n, uint32_t *room, size_t size)
{
	void **a = array, *bigger;
	uint32_t want = *room == 0 ? 4 : 2 * *room;

	if (n < *room)
		return 0;
	if ((bigger = reallocarray(*a, want, size)) == NULL)
		return -1;
	*a = bigger;
	*room = want;
	return 0;
}

struct policy_source_table *
policy_add_table(struct policy_source *s, const char *name)
{
	struct policy_source_table *t;

	if (grow(&s->table, s->ntables, &s->tables_size, sizeof(*t)) == -1)
		return NULL;
	t = &s->table[s->ntables++];
	*t = (struct policy_source_table){ .name = name };
	return t;
}

struct policy_who *
policy_add_entry(struct policy_source_table *t)
{
	struct policy_who *w;

	if (grow(&t->entry, t->n, &t->size, sizeof(*w)) == -1)
		return NULL;
	w = &t->entry[t->n++];
	memset(w, 0, sizeof(*w));
	return w;
}

struct policy_source_rule *
policy_add_rule(struct policy_source *s)
{
	struct policy_source_rule *r;

	if (grow(&s->rule, s->nrules, &s->rules_size, sizeof(*r)) == -1)
		return NULL;
	r = &s->rule[s->nrules++];
	memset(r, 0, sizeof(*r));
	return r;
}

int
policy_add_word(struct policy_words *w, const char *word)
{
	if (grow(&w->word, w->n, &w->size, sizeof(*w->word)) == -1)
		return -1;
	w->word[w->n++] = word;
	return 0;
}

static void
who_clear(struct policy_who *w)
{
	free(w->tenants.word);
	free(w->names.word);
	free(w->ids.word);
	free(w->in.word);
	free(w->not_in.word);
}

void
policy_source_clear(struct policy_source *s)
{
	for (uint32_t t = 0; t < s->ntables; t++) {
		for (uint32_t i = 0; i < s->table[t].n; i++)
			who_clear(&s->table[t].entry[i]);
		free(s->table[t].entry);
	}
	for (uint32_t i = 0; i < s->nrules; i++) {
		who_clear(&s->rule[i].from);
		who_clear(&s->rule[i].to);
		free(s->rule[i].services.word);
	}
	free(s->table);
	free(s->rule);
	free(s->text);
	memset(s, 0, sizeof(*s));
}

/* --- encoding ---------------------------------------------------------------------------------------- */

struct encoder {
	struct tlv_writer w;
	struct policy_words strings, ids, tables;	/* sorted, none twice: their places are what is written */
	bool		memory;				/* is short */
};

static int
word_cmp(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void
collect(struct encoder *e, struct policy_words *all, const struct policy_words *some)
{
	for (uint32_t i = 0; i < some->n; i++)
		if (policy_add_word(all, some->word[i]) == -1)
			e->memory = true;
}

static void
collect_who(struct encoder *e, const struct policy_who *w)
{
	collect(e, &e->strings, &w->tenants);
	collect(e, &e->strings, &w->names);
	collect(e, &e->ids, &w->ids);
}

static void
sort(struct policy_words *w)
{
	uint32_t n = 0;

	if (w->n > 0)
		qsort(w->word, w->n, sizeof(*w->word), word_cmp);
	for (uint32_t i = 0; i < w->n; i++)
		if (n == 0 || strcmp(w->word[n - 1], w->word[i]) != 0)
			w->word[n++] = w->word[i];
	w->n = n;
}

static void
collect_all(struct encoder *e, const struct policy_source *s)
{
	struct policy_words names = { .n = 0 };

	for (uint32_t t = 0; t < s->ntables; t++) {
		if (policy_add_word(&names, s->table[t].name) == -1)
			e->memory = true;
		for (uint32_t i = 0; i < s->table[t].n; i++)
			collect_who(e, &s->table[t].entry[i]);
	}
	for (uint32_t i = 0; i < s->nrules; i++) {
		collect_who(e, &s->rule[i].from);
		collect_who(e, &s->rule[i].to);
		collect(e, &e->strings, &s->rule[i].services);
	}
	collect(e, &e->strings, &names);
	sort(&names);
	e->tables = names;
	sort(&e->strings);
	sort(&e->ids);
}

static uint32_t
place(struct encoder *e, const struct policy_words *all, const char *word)
{
	const char **found = all->n == 0 ? NULL : bsearch(&word, all->word, all->n, sizeof(word), word_cmp);

	if (found == NULL) {
		e->w.failed = true;
		return 0;
	}
	return (uint32_t)(found - all->word);
}

static void
put_list(struct encoder *e, const struct policy_words *all, const struct policy_words *list)
{
	struct policy_words own = { .n = 0 };

	collect(e, &own, list);
	sort(&own);
	field_put_uint(&e->w, own.n);
	for (uint32_t i = 0; i < own.n; i++)
		field_put_uint(&e->w, place(e, all, own.word[i]));
	free(own.word);
}

static void
put_who(struct encoder *e, const struct policy_who *w)
{
	const struct policy_words *lists[LIST_COUNT] = { &w->tenants, &w->names, &w->ids, &w->in, &w->not_in };
	const struct policy_words *all[LIST_COUNT] = { &e->strings, &e->strings, &e->ids, &e->tables, &e->tables };
	bool tiers = w->tiers && (w->tier_min != 0 || w->tier_max != POLICY_TIER_MAX);
	unsigned flags = (w->roles != 0 ? WHO_ROLES : 0) | (tiers ? WHO_TIERS : 0);

	for (unsigned i = 0; i < LIST_COUNT; i++)
		if (lists[i]->n > 0)
			flags |= WHO_LISTS << i;
	field_put_uint(&e->w, flags);
	if (w->roles != 0)
		field_put_uint(&e->w, w->roles);
	if (tiers) {
		field_put_uint(&e->w, w->tier_min);
		field_put_uint(&e->w, w->tier_max);
	}
	for (unsigned i = 0; i < LIST_COUNT; i++)
		if (lists[i]->n > 0)
			put_list(e, all[i], lists[i]);
}

static void
put_rule(struct encoder *e, const struct policy_source_rule *r)
{
	bool some = r->classes != 0 && r->classes != CLASSES_ALL;

	field_put_uint(&e->w, (r->pass ? RULE_PASS : 0u) | (r->quick ? RULE_QUICK : 0u) | (r->relay ? RULE_RELAY : 0u) |
	    (r->across ? RULE_ACROSS : 0u) | (r->services.n > 0 ? RULE_SERVICES : 0u) | (some ? RULE_CLASSES : 0u) |
	    (r->kbps != 0 ? RULE_KBPS : 0u) | (r->streams != 0 ? RULE_STREAMS : 0u));
	field_put_uint(&e->w, r->line);
	put_who(e, &r->from);
	put_who(e, &r->to);
	if (r->services.n > 0)
		put_list(e, &e->strings, &r->services);
	if (some)
		field_put_uint(&e->w, r->classes);
	if (r->kbps != 0)
		field_put_uint(&e->w, r->kbps);
	if (r->streams != 0)
		field_put_uint(&e->w, r->streams);
}

static void
put_words(struct encoder *e)
{
	uint8_t id[NODE_ID_LEN];

	field_put_uint(&e->w, POLICY_VERSION);
	field_put_uint(&e->w, e->strings.n);
	for (uint32_t i = 0; i < e->strings.n; i++)
		field_put_bytes(&e->w, (struct frame_bytes){ (const uint8_t *)e->strings.word[i],
		    strlen(e->strings.word[i]) });
	field_put_uint(&e->w, e->ids.n);
	for (uint32_t i = 0; i < e->ids.n; i++) {
		if (hex_decode(id, sizeof(id), e->ids.word[i]) == -1)
			e->w.failed = true;
		else
			field_put_raw(&e->w, id, sizeof(id));
	}
}

/* Tables are written by name; the one of that name is looked for among all. */
static void
put_table(struct encoder *e, const struct policy_source *s, const char *name)
{
	const struct policy_source_table *t = s->table;

	while (strcmp(t->name, name) != 0)
		t++;
	field_put_uint(&e->w, place(e, &e->strings, name));
	field_put_uint(&e->w, t->n);
	for (uint32_t i = 0; i < t->n; i++)
		put_who(e, &t->entry[i]);
}

static void
put_all(struct encoder *e, const struct policy_source *s)
{
	put_words(e);
	if (e->tables.n != s->ntables)		/* two of one name */
		e->w.failed = true;
	field_put_uint(&e->w, e->tables.n);
	for (uint32_t i = 0; i < e->tables.n; i++)
		put_table(e, s, e->tables.word[i]);
	field_put_uint(&e->w, s->nrules);
	for (uint32_t i = 0; i < s->nrules; i++)
		put_rule(e, &s->rule[i]);
}

static const char *
encode(struct encoder *e, const struct policy_source *s)
{
	struct policy *back;
	int err;

	collect_all(e, s);
	if (e->memory)
		return "out of memory";
	put_all(e, s);
	if (e->memory)
		return "out of memory";
	if (e->w.failed)
		return e->w.size - e->w.len < 64 || s->nrules > POLICY_RULES_MAX ? "the policy is too large" :
		    "something in it is not there, or there twice";
	if ((back = policy_load(e->w.buf, e->w.len, &err)) == NULL)
		return err == 0 ? "out of memory" : frame_strerror(err);
	policy_free(back);
	return NULL;
}

size_t
policy_encode(uint8_t *buf, size_t size, const struct policy_source *s, const char **why)
{
	struct encoder e = { .memory = false };

	tlv_write_init(&e.w, buf, size < POLICY_MAX ? size : POLICY_MAX);
	*why = encode(&e, s);
	free(e.strings.word);
	free(e.ids.word);
	free(e.tables.word);
	return *why == NULL ? e.w.len : 0;
}

/* --- and back ---------------------------------------------------------------------------------------- */

struct decoder {
	const struct policy *p;
	char	*ids;		/* all ids as text, NUL behind each */
	bool	 memory;
};

#define ID_TEXT (2 * NODE_ID_LEN + 1)

static const char *
word_at(const struct decoder *d, enum who_list kind, unsigned i)
{
	if (kind == LIST_IDS)
		return d->ids + (size_t)i * ID_TEXT;
	return d->p->strings[kind == LIST_TENANTS || kind == LIST_NAMES ? i : d->p->tables[i].name];
}

static void
words_get(struct decoder *d, struct policy_words *w, enum who_list kind, const struct span *s)
{
	for (uint32_t i = 0; i < s->n; i++)
		if (policy_add_word(w, word_at(d, kind, d->p->pool[s->off + i])) == -1)
			d->memory = true;
}

static void
who_get(struct decoder *d, struct policy_who *out, const struct who *w)
{
	struct policy_words *lists[LIST_COUNT] = { &out->tenants, &out->names, &out->ids, &out->in, &out->not_in };

	out->roles = w->roles;
	out->tiers = w->tier_min > 0 || w->tier_max < POLICY_TIER_MAX;
	out->tier_min = w->tier_min;
	out->tier_max = w->tier_max;
	for (unsigned i = 0; i < LIST_COUNT; i++)
		words_get(d, lists[i], i, &w->list[i]);
}

static void
table_get(struct decoder *d, struct policy_source *s, const struct table *t)
{
	struct policy_source_table *out = policy_add_table(s, d->p->strings[t->name]);
	struct policy_who *w;

	for (uint32_t i = 0; out != NULL && i < t->n; i++) {
		if ((w = policy_add_entry(out)) == NULL)
			d->memory = true;
		else
			who_get(d, w, &d->p->entries[t->first + i]);
	}
	if (out == NULL)
		d->memory = true;
}

static void
rule_get(struct decoder *d, struct policy_source *s, const struct rule *r)
{
	struct policy_source_rule *out = policy_add_rule(s);

	if (out == NULL) {
		d->memory = true;
		return;
	}
	out->pass = (r->flags & RULE_PASS) != 0;
	out->quick = (r->flags & RULE_QUICK) != 0;
	out->relay = (r->flags & RULE_RELAY) != 0;
	out->across = (r->flags & RULE_ACROSS) != 0;
	out->line = r->line;
	out->classes = r->classes == CLASSES_ALL ? 0 : r->classes;
	out->kbps = r->kbps;
	out->streams = r->streams;
	who_get(d, &out->from, &r->from);
	who_get(d, &out->to, &r->to);
	words_get(d, &out->services, LIST_NAMES, &r->services);
}

int
policy_unbuild(struct policy_source *s, const struct policy *p)
{
	struct decoder d = { .p = p };

	memset(s, 0, sizeof(*s));
	if ((s->text = d.ids = malloc((size_t)p->nids * ID_TEXT + 1)) == NULL)
		return -1;
	for (uint32_t i = 0; i < p->nids; i++)
		hex_encode(d.ids + (size_t)i * ID_TEXT, p->ids + (size_t)i * NODE_ID_LEN, NODE_ID_LEN);
	for (uint32_t i = 0; i < p->ntables; i++)
		table_get(&d, s, &p->tables[i]);
	for (uint32_t i = 0; i < p->nrules; i++)
		rule_get(&d, s, &p->rules[i]);
	if (!d.memory)
		return 0;
	policy_source_clear(s);
	return -1;
}
