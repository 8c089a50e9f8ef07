/* A compiled policy as text: what policy.conf(5) would say. */
#include <stdarg.h>
#include <stdlib.h>

#include "base/hex.h"
#include "fabric/policy_build.h"
#include "fabric/policy_int.h"

struct out {
	char	*buf;
	size_t	 size, len;	/* len may be beyond size: what was cut off */
};

static void	add(struct out *, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void
add(struct out *o, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(o->len < o->size ? o->buf + o->len : NULL, o->len < o->size ? o->size - o->len : 0, fmt, ap);
	va_end(ap);
	if (n > 0)
		o->len += (size_t)n;
}

/* The names of the bits: one alone, several in braces. */
static void
add_bits(struct out *o, const char *what, uint32_t bits, const char *(*name)(unsigned))
{
	bool several = (bits & (bits - 1)) != 0;

	add(o, " %s%s", what, several ? " {" : "");
	for (unsigned i = 0; i < 32; i++)
		if (bits & 1u << i)
			add(o, " %s", name(i));
	add(o, "%s", several ? " }" : "");
}

static void
add_word(struct out *o, const struct policy *p, enum who_list kind, unsigned i)
{
	char hex[2 * NODE_ID_LEN + 1];

	if (kind == LIST_IDS)
		add(o, " %s", hex_encode(hex, p->ids + (size_t)i * NODE_ID_LEN, NODE_ID_LEN));
	else if (kind == LIST_IN || kind == LIST_NOT_IN)
		add(o, " %s<%s>", kind == LIST_NOT_IN ? "!" : "", p->strings[p->tables[i].name]);
	else
		add(o, " \"%s\"", p->strings[i]);
}

static void
add_list(struct out *o, const struct policy *p, const char *what, enum who_list kind, const struct span *s)
{
	bool braces = s->n > 1 && kind != LIST_IN && kind != LIST_NOT_IN;

	if (s->n == 0)
		return;
	add(o, "%s%s", what, braces ? " {" : "");
	for (uint32_t i = 0; i < s->n; i++)
		add_word(o, p, kind, p->pool[s->off + i]);
	add(o, "%s", braces ? " }" : "");
}

static bool
is_any(const struct who *w)
{
	uint32_t lists = 0;

	for (unsigned i = 0; i < LIST_COUNT; i++)
		lists += w->list[i].n;
	return w->roles == 0 && w->tier_min == 0 && w->tier_max == POLICY_TIER_MAX && lists == 0;
}

static void
add_who(struct out *o, const struct policy *p, const struct who *w)
{
	add_list(o, p, " node", LIST_NAMES, &w->list[LIST_NAMES]);
	if (w->roles != 0)
		add_bits(o, "role", w->roles, role_name);
	add_list(o, p, " tenant", LIST_TENANTS, &w->list[LIST_TENANTS]);
	if (w->tier_min == w->tier_max)
		add(o, " tier %u", w->tier_min);
	else if (w->tier_min > 0 || w->tier_max < POLICY_TIER_MAX)
		add(o, " tier %u-%u", w->tier_min, w->tier_max);
	add_list(o, p, " id", LIST_IDS, &w->list[LIST_IDS]);
	add_list(o, p, "", LIST_IN, &w->list[LIST_IN]);
	add_list(o, p, "", LIST_NOT_IN, &w->list[LIST_NOT_IN]);
	if (is_any(w))
		add(o, " any");
}

static void
add_kbps(struct out *o, uint32_t kbps)
{
	if (kbps % 1000000 == 0)
		add(o, " bandwidth %u Gbit", kbps / 1000000);
	else if (kbps % 1000 == 0)
		add(o, " bandwidth %u Mbit", kbps / 1000);
	else
		add(o, " bandwidth %u Kbit", kbps);
}

static void
add_rule(struct out *o, const struct policy *p, const struct rule *r)
{
	bool relay = (r->flags & RULE_RELAY) != 0;

	add(o, "%s%s%s%s", r->flags & RULE_PASS ? "pass" : "block", r->flags & RULE_QUICK ? " quick" : "",
	    relay ? " relay" : "", r->flags & RULE_ACROSS ? " across tenants" : "");
	add(o, "%s", relay ? " by" : " from");
	add_who(o, p, &r->from);
	add(o, "%s", relay ? " for" : " to");
	add_list(o, p, " service", LIST_NAMES, &r->services);
	if (r->services.n > 0 && !is_any(&r->to))
		add(o, " on");
	if (r->services.n == 0 || !is_any(&r->to))
		add_who(o, p, &r->to);
	if (r->flags & RULE_CLASSES)
		add_bits(o, "class", r->classes, class_name);
	if (r->kbps != 0)
		add_kbps(o, r->kbps);
	if (r->streams != 0)
		add(o, " streams %u", r->streams);
}

size_t
policy_rule_text(char *buf, size_t size, const struct policy *p, uint32_t rule)
{
	struct out o = { buf, size, 0 };

	if (size > 0)
		buf[0] = '\0';
	if (p != NULL && rule > 0 && rule <= p->nrules)
		add_rule(&o, p, &p->rules[rule - 1]);
	else
		add(&o, "no rule: the default");
	return o.len;
}

size_t
policy_answers(const struct policy *p, const struct policy_node *a, const struct policy_node *b, const char *service,
    uint8_t classes, struct policy_answer out[CLASS_COUNT])
{
	struct policy_verdict v;
	size_t n = 0, i;

	for (unsigned class = 0; class < CLASS_COUNT; class++) {
		if (!(classes & 1u << class))
			continue;
		v = service == NULL ? policy_relay(p, a, b, class) : policy_reach(p, a, b, service, class);
		for (i = 0; i < n && (out[i].verdict.rule != v.rule || out[i].verdict.pass != v.pass); i++)
			;
		if (i == n)
			out[n++] = (struct policy_answer){ .verdict = v };
		out[i].classes |= (uint8_t)(1u << class);
	}
	return n;
}

char *
policy_classes_text(char out[POLICY_CLASSES_TEXT], uint8_t classes)
{
	struct out o = { out, POLICY_CLASSES_TEXT, 0 };

	out[0] = '\0';
	if ((classes & CLASSES_ALL) == CLASSES_ALL)
		add(&o, "all");
	for (unsigned i = 0; (classes & CLASSES_ALL) != CLASSES_ALL && i < CLASS_COUNT; i++)
		if (classes & 1u << i)
			add(&o, "%s%s", o.len > 0 ? "," : "", class_name(i));
	return out;
}

/* One text of any length: made twice, first to know the length. */
static void
print_who(FILE *f, const struct policy *p, const struct who *w)
{
	struct out o = { NULL, 0, 0 };
	char *text;

	add_who(&o, p, w);
	o.size = o.len + 1;
	o.len = 0;
	if ((text = o.buf = malloc(o.size)) == NULL)
		return;
	add_who(&o, p, w);
	fprintf(f, "\t%s\n", text + 1);
	free(text);
}

static void
print_rule(FILE *f, const struct policy *p, uint32_t rule)
{
	size_t len = policy_rule_text(NULL, 0, p, rule);
	char *text = malloc(len + 1);

	if (text == NULL)
		return;
	policy_rule_text(text, len + 1, p, rule);
	fprintf(f, "%s\t# line %u\n", text, p->rules[rule - 1].line);
	free(text);
}

void
policy_print(FILE *f, const struct policy *p)
{
	for (uint32_t t = 0; t < p->ntables; t++) {
		fprintf(f, "table <%s> {\n", p->strings[p->tables[t].name]);
		for (uint32_t i = 0; i < p->tables[t].n; i++)
			print_who(f, p, &p->entries[p->tables[t].first + i]);
		fputs("}\n", f);
	}
	for (uint32_t i = 1; i <= p->nrules; i++)
		print_rule(f, p, i);
}
