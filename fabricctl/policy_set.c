#include "fabricctl/policy_set.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/hex.h"
#include "wire/fields.h"

#define SEEN_TIER	31	/* beside the bits of the lists */
#define RELAYS		(1u << ROLE_RELAY | 1u << ROLE_ENTRY)

int
policy_set_fail(struct policy_set *s, const struct lex_token *t, const char *fmt, ...)
{
	va_list ap;
	int n;

	if (s->err[0] != '\0')
		return -1;		/* the first one is the cause */
	n = t == NULL ? snprintf(s->err, POLICY_CONF_ERR_MAX, "policy: ")
	    : snprintf(s->err, POLICY_CONF_ERR_MAX, "%.200s:%u: ", t->file, t->line);
	va_start(ap, fmt);
	vsnprintf(s->err + n, POLICY_CONF_ERR_MAX - (size_t)n, fmt, ap);
	va_end(ap);
	return -1;
}

static int
no_memory(struct policy_set *s)
{
	return policy_set_fail(s, NULL, "out of memory");
}

static bool
name_ok(const char *s, bool dots)
{
	return text_name((const uint8_t *)s, strlen(s), RECORD_NAME_MAX, dots);
}

static int
name_check(struct policy_set *s, const struct lex_token *t, const char *what)
{
	if (name_ok(t->text, true))
		return 0;
	return policy_set_fail(s, t, "\"%.80s\" is no name for a %s: small letters, digits, \".\" and \"-\"", t->text, what);
}

static int
service_check(struct policy_set *s, const struct lex_token *t, const char *name)
{
	if (!name_ok(name, false))
		return policy_set_fail(s, t, "\"%.80s\" is no name for a service: small letters, digits and \"-\"", name);
	if (policy_is_own(name))
		return policy_set_fail(s, t, "\"%s\" is the fabric's own service, which no policy decides about", name);
	return 0;
}

static void
begin(struct policy_set *s, const struct lex_token *t)
{
	s->rule = NULL;
	s->table = NULL;
	s->node = NULL;
	s->test = NULL;
	s->who = NULL;
	s->seen = 0;
	s->at = *t;
}

/* --- rules ------------------------------------------------------------------------------------------- */

int
policy_set_rule(struct policy_set *s, const struct lex_token *action, bool pass)
{
	begin(s, action);
	if (s->conf->source.nrules == POLICY_RULES_MAX)
		return policy_set_fail(s, action, "this rule is one too many: %u at most", POLICY_RULES_MAX);
	if ((s->rule = policy_add_rule(&s->conf->source)) == NULL)
		return no_memory(s);
	s->rule->pass = pass;
	s->rule->line = action->line;
	return 0;
}

int
policy_set_across(struct policy_set *s, const struct lex_token *t)
{
	if (!s->rule->pass)
		return policy_set_fail(s, t, "\"%s\": a block rule holds across tenants without it", t->text);
	s->rule->across = true;
	return 0;
}

void
policy_set_from(struct policy_set *s)
{
	s->who = &s->rule->from;
	s->seen = 0;
}

void
policy_set_to(struct policy_set *s)
{
	s->who = &s->rule->to;
	s->seen = 0;
}

int
policy_set_bandwidth(struct policy_set *s, const struct lex_token *n, const struct lex_token *unit)
{
	static const struct {
		const char	*unit;
		uint32_t	 kbps;
	} units[] = { { "Kbit", 1 }, { "Mbit", 1000 }, { "Gbit", 1000000 } };

	if (!s->rule->pass)
		return policy_set_fail(s, n, "bandwidth \"%s\": a block rule has none", n->text);
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (strcasecmp(unit->text, units[i].unit) != 0)
			continue;
		if (n->number == 0 || n->number > UINT32_MAX / units[i].kbps)
			return policy_set_fail(s, n, "bandwidth \"%s\" is not within 1 Kbit and 4294 Gbit", n->text);
		s->rule->kbps = (uint32_t)n->number * units[i].kbps;
		return 0;
	}
	return policy_set_fail(s, unit, "\"%s\" is no unit of bandwidth: Kbit, Mbit or Gbit", unit->text);
}

int
policy_set_streams(struct policy_set *s, const struct lex_token *n)
{
	if (!s->rule->pass)
		return policy_set_fail(s, n, "streams \"%s\": a block rule has none", n->text);
	if (n->number == 0 || n->number > POLICY_STREAMS_MAX)
		return policy_set_fail(s, n, "streams \"%s\" is not within 1 and %u", n->text, POLICY_STREAMS_MAX);
	s->rule->streams = (uint32_t)n->number;
	return 0;
}

#define COMPARE_MAX	1000000u

static bool
share_word(const struct policy_words *a, const struct policy_words *b)
{
	if ((uint64_t)a->n * b->n > COMPARE_MAX)
		return true;		/* not looked into: lists of that length are refused by their size, if not meant well */
	for (uint32_t i = 0; i < a->n; i++)
		for (uint32_t k = 0; k < b->n; k++)
			if (strcmp(a->word[i], b->word[k]) == 0)
				return true;
	return false;
}

/* What can never match was meant otherwise. */
int
policy_set_rule_end(struct policy_set *s)
{
	struct policy_source_rule *r = s->rule;

	if (r->relay && r->from.roles != 0 && !(r->from.roles & RELAYS))
		return policy_set_fail(s, &s->at, "\"%s\": only a node with the role relay or entry relays", s->at.text);
	if (r->pass && !r->across && r->from.tenants.n > 0 && r->to.tenants.n > 0 &&
	    !share_word(&r->from.tenants, &r->to.tenants))
		return policy_set_fail(s, &s->at, "\"%s\" from tenant \"%s\" to \"%s\" has to say \"across tenants\"", s->at.text,
		    r->from.tenants.word[0], r->to.tenants.word[0]);
	return 0;
}

/* --- tables ------------------------------------------------------------------------------------------ */

/* "<admins>" to "admins", kept. NULL: said. */
static const char *
table_name(struct policy_set *s, const struct lex_token *t, const char *ref)
{
	size_t len = strlen(ref);
	char *name;

	if (len < 3 || ref[0] != '<' || ref[len - 1] != '>') {
		policy_set_fail(s, t, "\"%.80s\" is no table: one is written <name>", t->text);
		return NULL;
	}
	if ((name = strndup(ref + 1, len - 2)) == NULL || policy_add_word(&s->conf->kept, name) == -1) {
		free(name);
		no_memory(s);
		return NULL;
	}
	if (name_ok(name, true))
		return name;
	policy_set_fail(s, t, "\"%.80s\" is no name for a table: small letters, digits, \".\" and \"-\"", t->text);
	return NULL;
}

static const struct policy_source_table *
table_find(const struct policy_set *s, const char *name)
{
	for (uint32_t i = 0; i < s->conf->source.ntables; i++)
		if (strcmp(s->conf->source.table[i].name, name) == 0)
			return &s->conf->source.table[i];
	return NULL;
}

int
policy_set_table(struct policy_set *s, const struct lex_token *t)
{
	const char *name;

	begin(s, t);
	if ((name = table_name(s, t, t->text)) == NULL)
		return -1;
	if (table_find(s, name) != NULL)
		return policy_set_fail(s, t, "table \"%s\" is defined twice", t->text);
	if (s->conf->source.ntables == POLICY_TABLES_MAX)
		return policy_set_fail(s, t, "table \"%s\" is one too many: %u at most", t->text, POLICY_TABLES_MAX);
	s->table = policy_add_table(&s->conf->source, name);
	return s->table == NULL ? no_memory(s) : 0;
}

/* Who the words that come are about; in a table, where none is open, they begin an entry. */
static struct policy_who *
who(struct policy_set *s)
{
	if (s->who == NULL && s->table != NULL) {
		s->seen = 0;
		s->who = policy_add_entry(s->table);
	}
	if (s->who == NULL)
		no_memory(s);
	return s->who;
}

int
policy_set_entry(struct policy_set *s, const struct lex_token *node)
{
	s->who = NULL;
	if (who(s) == NULL || policy_set_list(s, POLICY_NODES, node) == -1)
		return -1;
	return policy_set_word(s, node);
}

void
policy_set_entry_end(struct policy_set *s)
{
	s->who = NULL;
}

int
policy_set_table_end(struct policy_set *s, const struct lex_token *end)
{
	if (s->table->n == 0)
		return policy_set_fail(s, end, "table \"<%s>\" has nothing in it", s->table->name);
	return 0;
}

int
policy_set_ref(struct policy_set *s, const struct lex_token *t)
{
	bool not = t->text[0] == '!';
	const char *name = table_name(s, t, t->text + not);

	if (name == NULL)
		return -1;
	if (s->table != NULL)
		return policy_set_fail(s, t, "\"%s\": a table cannot hold another", t->text);
	if (table_find(s, name) == NULL)
		return policy_set_fail(s, t, "table \"%s\" is not defined, or further below", t->text + not);
	return policy_add_word(not ? &s->who->not_in : &s->who->in, name) == -1 ? no_memory(s) : 0;
}

/* --- words of lists ---------------------------------------------------------------------------------- */

static int
once(struct policy_set *s, unsigned bit, const struct lex_token *t)
{
	if (s->seen & 1u << bit)
		return policy_set_fail(s, t, "\"%s\" is given twice", t->text);
	s->seen |= 1u << bit;
	return 0;
}

int
policy_set_list(struct policy_set *s, enum policy_list list, const struct lex_token *t)
{
	/* A new entry of a table begins before its first word is counted. */
	if (s->table != NULL && who(s) == NULL)
		return -1;
	s->list = list;
	return once(s, list, t);
}

static int
word_role(struct policy_set *s, const struct lex_token *t)
{
	int role = role_parse(t->text);

	if (role == -1)
		return policy_set_fail(s, t, "\"%.80s\" is no role", t->text);
	if (s->node != NULL)
		s->node->roles |= 1u << role;
	else
		s->who->roles |= 1u << role;
	return 0;
}

static int
word_class(struct policy_set *s, const struct lex_token *t)
{
	int class = class_parse(t->text);

	if (class == -1)
		return policy_set_fail(s, t, "\"%.80s\" is no class", t->text);
	if (s->test != NULL)
		s->test->classes |= (uint8_t)(1u << class);
	else
		s->rule->classes |= (uint8_t)(1u << class);
	return 0;
}

static int
word_tenant(struct policy_set *s, const struct lex_token *t)
{
	if (name_check(s, t, "tenant") == -1)
		return -1;
	if (s->node == NULL)
		return policy_add_word(&s->who->tenants, t->text) == -1 ? no_memory(s) : 0;
	if (s->node->tenant[0] != '\0')
		return policy_set_fail(s, t, "tenant \"%s\": a node has one", t->text);
	snprintf(s->node->tenant, sizeof(s->node->tenant), "%s", t->text);
	return 0;
}

/* The encoder compares text: small letters. */
static int
word_id(struct policy_set *s, const struct lex_token *t)
{
	uint8_t id[NODE_ID_LEN];
	char hex[2 * NODE_ID_LEN + 1], *copy;

	if (hex_decode(id, sizeof(id), t->text) == -1)
		return policy_set_fail(s, t, "\"%.80s\" is no node id: 64 hexadecimal digits", t->text);
	if (s->node != NULL) {
		if (s->node->has_id)
			return policy_set_fail(s, t, "id \"%s\": a node has one", t->text);
		s->node->has_id = true;
		memcpy(s->node->id, id, sizeof(id));
		return 0;
	}
	if ((copy = strdup(hex_encode(hex, id, sizeof(id)))) == NULL || policy_add_word(&s->conf->kept, copy) == -1) {
		free(copy);
		return no_memory(s);
	}
	return policy_add_word(&s->who->ids, copy) == -1 ? no_memory(s) : 0;
}

int
policy_set_word(struct policy_set *s, const struct lex_token *t)
{
	switch (s->list) {
	case POLICY_ROLES:
		return word_role(s, t);
	case POLICY_TENANTS:
		return word_tenant(s, t);
	case POLICY_IDS:
		return word_id(s, t);
	case POLICY_CLASSES:
		return word_class(s, t);
	case POLICY_SERVICES:
		if (service_check(s, t, t->text) == -1)
			return -1;
		return policy_add_word(&s->rule->services, t->text) == -1 ? no_memory(s) : 0;
	case POLICY_NODES:
		break;
	}
	if (name_check(s, t, "node") == -1)
		return -1;
	return policy_add_word(&s->who->names, t->text) == -1 ? no_memory(s) : 0;
}

/* "3", "3-7" or "3-". */
int
policy_set_tier(struct policy_set *s, const struct lex_token *t)
{
	const char *p = t->text;
	unsigned min, max;

	if (s->table != NULL && who(s) == NULL)
		return -1;
	if (once(s, SEEN_TIER, t) == -1)
		return -1;
	min = max = (unsigned)p[0] - '0';
	if (min <= 9 && p[1] == '-')
		max = p[2] == '\0' ? 9 : p[3] == '\0' ? (unsigned)p[2] - '0' : 10;
	else if (p[0] != '\0' && p[1] != '\0')
		max = 10;
	if (min > 9 || max > 9 || max < min)
		return policy_set_fail(s, t, "tier \"%.80s\" is not one of 0 to 9, nor a range of them such as 3-7 or 3-", t->text);
	if (s->node != NULL && min != max)
		return policy_set_fail(s, t, "tier \"%s\": a node has one", t->text);
	if (s->node != NULL) {
		s->node->tier = (uint8_t)min;
		return 0;
	}
	s->who->tiers = true;
	s->who->tier_min = (uint8_t)min;
	s->who->tier_max = (uint8_t)max;
	return 0;
}

/* --- nodes and tests --------------------------------------------------------------------------------- */

/* Room for one more of `size` bytes, zeroed; NULL: said. */
static void *
one_more(struct policy_set *s, void *array, uint32_t n, uint32_t *room, size_t size)
{
	void **a = array, *bigger = *a;
	uint32_t want = *room == 0 ? 16 : 2 * *room;

	if (n == *room) {
		if ((bigger = reallocarray(*a, want, size)) == NULL) {
			no_memory(s);
			return NULL;
		}
		*a = bigger;
		*room = want;
	}
	return memset((char *)bigger + n * size, 0, size);
}

int
policy_set_node(struct policy_set *s, const struct lex_token *name)
{
	struct policy_conf *c = s->conf;

	begin(s, name);
	if (name_check(s, name, "node") == -1)
		return -1;
	if (policy_conf_find(c, name->text) != NULL)
		return policy_set_fail(s, name, "node \"%s\" is described twice", name->text);
	if (c->nnodes == POLICY_CONF_NODES_MAX)
		return policy_set_fail(s, name, "node \"%s\" is one too many: %u at most", name->text, POLICY_CONF_NODES_MAX);
	if ((s->node = one_more(s, &c->nodes, c->nnodes, &c->nodes_size, sizeof(*c->nodes))) == NULL)
		return -1;
	c->nnodes++;
	snprintf(s->node->name, sizeof(s->node->name), "%s", name->text);
	s->node->line = name->line;
	return 0;
}

int
policy_set_node_end(struct policy_set *s)
{
	if (s->node->tenant[0] == '\0')
		return policy_set_fail(s, &s->at, "node \"%s\" needs a tenant", s->at.text);
	return 0;
}

static int
test_new(struct policy_set *s, const struct lex_token *from)
{
	struct policy_conf *c = s->conf;

	begin(s, from);
	if (name_check(s, from, "node") == -1)
		return -1;
	if (c->ntests == POLICY_CONF_TESTS_MAX)
		return policy_set_fail(s, from, "this test is one too many: %u at most", POLICY_CONF_TESTS_MAX);
	if ((s->test = one_more(s, &c->tests, c->ntests, &c->tests_size, sizeof(*c->tests))) == NULL)
		return -1;
	c->ntests++;
	snprintf(s->test->from, sizeof(s->test->from), "%s", from->text);
	s->test->line = from->line;
	return 0;
}

int
policy_set_test(struct policy_set *s, const struct lex_token *from, const struct lex_token *to)
{
	const char *at = strchr(to->text, '@');

	if (test_new(s, from) == -1)
		return -1;
	if (at == NULL || (size_t)(at - to->text) > FRAME_SERVICE_MAX)
		return policy_set_fail(s, to, "\"%.80s\" is no service of a node: service@node", to->text);
	snprintf(s->test->service, sizeof(s->test->service), "%.*s", (int)(at - to->text), to->text);
	if (service_check(s, to, s->test->service) == -1)
		return -1;
	if (!name_ok(at + 1, true))
		return policy_set_fail(s, to, "\"%.80s\" is no name for a node", at + 1);
	snprintf(s->test->to, sizeof(s->test->to), "%s", at + 1);
	return 0;
}

int
policy_set_test_relay(struct policy_set *s, const struct lex_token *relay, const struct lex_token *to)
{
	if (test_new(s, relay) == -1 || name_check(s, to, "node") == -1)
		return -1;
	s->test->relay = true;
	snprintf(s->test->to, sizeof(s->test->to), "%s", to->text);
	return 0;
}

void
policy_set_test_end(struct policy_set *s, bool pass)
{
	s->test->pass = pass;
	if (s->test->classes == 0)
		s->test->classes = (1u << CLASS_COUNT) - 1;
}

/* --- the whole --------------------------------------------------------------------------------------- */

int
policy_set_macro(struct policy_set *s, const struct lex_token *name, const struct lex_token *value)
{
	for (const char *p = name->text; *p != '\0' || p == name->text; p++)
		if (!isalnum((unsigned char)*p) && *p != '_')
			return policy_set_fail(s, name, "\"%.80s\" is no name for a macro", name->text);
	if (lex_macro(s->conf->lexer, name->text, value->text) == -1)
		return policy_set_fail(s, name, "macro \"%s\" is defined twice, or there are too many", name->text);
	return 0;
}

int
policy_set_finish(struct policy_set *s, const struct lex_token *end)
{
	struct policy_conf *c = s->conf;
	const char *why;
	int err;

	if ((c->compiled = malloc(POLICY_MAX)) == NULL)
		return no_memory(s);
	if ((c->len = policy_encode(c->compiled, POLICY_MAX, &c->source, &why)) == 0)
		return policy_set_fail(s, end, "%s: %u bytes at most when it is compiled", why, POLICY_MAX);
	if ((c->policy = policy_load(c->compiled, c->len, &err)) == NULL)
		return no_memory(s);
	return 0;
}
