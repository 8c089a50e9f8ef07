/* What this node relays, and what it says of itself where routes are chosen: the blocks relay and route of fabricd.conf(5). */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "fabricd/confset.h"

#define CLASSES_ALL	((1u << CLASS_COUNT) - 1)
#define MINUTES_A_DAY	(24u * 60)
#define KBPS_MAX	4000000000u
#define WEIGHT_UNIT	1000u		/* the built-in weight */
#define WEIGHT_MAX	(100u * WEIGHT_UNIT)

void
conf_routing_default(struct conf *c)
{
	c->routing.classes = CLASSES_ALL;
	score_weights_default(&c->score);
}

static uint64_t
unit_kbps(const char *unit)
{
	static const struct {
		const char	*unit;
		uint64_t	 kbps;
	} units[] = { { "kbit", 1 }, { "Mbit", 1000 }, { "Gbit", 1000000 } };

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (strcmp(unit, units[i].unit) == 0)
			return units[i].kbps;
	return 0;
}

static int
bandwidth(struct confset *s, const struct lex_token *at, uint64_t n, const char *unit)
{
	uint64_t scale = unit_kbps(unit);

	if (scale == 0)
		return confset_fail(s, at, "\"%s\" is no unit of bandwidth: kbit, Mbit or Gbit", unit);
	if (n == 0 || n > KBPS_MAX / scale)
		return confset_fail(s, at, "the bandwidth \"%s\" is not within 1 kbit and %u Mbit", at->text, KBPS_MAX / 1000);
	s->conf->routing.kbps = (uint32_t)(n * scale);
	return 0;
}

int
confset_bandwidth(struct confset *s, const struct lex_token *n, const struct lex_token *unit)
{
	return bandwidth(s, unit_kbps(unit->text) == 0 ? unit : n, n->number, unit->text);
}

int
confset_bandwidth_word(struct confset *s, const struct lex_token *t)
{
	size_t digits = strspn(t->text, "0123456789");

	if (digits == 0 || digits > 15)
		return confset_fail(s, t, "\"%s\" is no bandwidth", t->text);
	return bandwidth(s, t, strtoull(t->text, NULL, 10), t->text + digits);
}

/* "bulk" or "interactive,reliable". Control is every route's: a node that relays at all relays that. */
int
confset_relay_classes(struct confset *s, const struct lex_token *t)
{
	char list[LEX_TEXT_MAX + 1], *rest = list, *word;
	unsigned classes = 0;
	int class;

	strcpy(list, t->text);
	while ((word = strsep(&rest, ",")) != NULL) {
		if ((class = class_parse(word)) == -1)
			return confset_fail(s, t, "\"%s\" is no traffic class", word);
		if (classes & 1u << class)
			return confset_fail(s, t, "class \"%s\" is given twice", word);
		classes |= 1u << class;
	}
	s->conf->routing.classes = (uint8_t)(classes | 1u << CLASS_CONTROL);
	return 0;
}

/* "22:00" to minutes of the day. */
static int
minute(struct confset *s, const struct lex_token *t, uint16_t *out)
{
	const char *p = t->text;

	if (strlen(p) != 5 || strspn(p, "0123456789") != 2 || p[2] != ':' || strspn(p + 3, "0123456789") != 2 ||
	    atoi(p) > 23 || atoi(p + 3) > 59)
		return confset_fail(s, t, "\"%s\" is no time of day: 00:00 to 23:59", p);
	*out = (uint16_t)(atoi(p) * 60 + atoi(p + 3));
	return 0;
}

int
confset_hours(struct confset *s, const struct lex_token *from, const struct lex_token *to)
{
	struct pm_conf_routing *r = &s->conf->routing;

	if (minute(s, from, &r->from_minute) == -1 || minute(s, to, &r->to_minute) == -1)
		return -1;
	return r->from_minute == r->to_minute ? confset_fail(s, to, "the hours end when they begin") : 0;
}

int
confset_domain(struct confset *s, char out[FACTS_DOMAIN_MAX + 1], const struct lex_token *t)
{
	if (strlen(t->text) > FACTS_DOMAIN_MAX)
		return confset_fail(s, t, "\"%s\" is longer than %u bytes", t->text, FACTS_DOMAIN_MAX);
	return confset_name(s, out, FACTS_DOMAIN_MAX, t, true);
}

int
confset_cost(struct confset *s, const struct lex_token *t)
{
	s->conf->routing.cost = (uint32_t)t->number;
	return confset_range(s, t, 0, UINT32_MAX);
}

/* "2", "2.5" or "0.125" to thousandths; WEIGHT_MAX + 1 when it is none. */
static uint32_t
thousandths(const char *p)
{
	size_t whole = strspn(p, "0123456789"), part = 0;
	uint32_t v = 0;

	if (p[whole] == '.')
		part = strspn(p + whole + 1, "0123456789");
	if (whole == 0 || whole > 3 || part > 3 || (p[whole] == '.' && part == 0) ||
	    strlen(p) != whole + (p[whole] == '.' ? 1 + part : 0))
		return WEIGHT_MAX + 1;
	for (size_t i = 0; i < whole; i++)
		v = v * 10 + (uint32_t)(p[i] - '0');
	for (size_t i = 0; i < 3; i++)
		v = v * 10 + (i < part ? (uint32_t)(p[whole + 1 + i] - '0') : 0);
	return v;
}

int
confset_score(struct confset *s, const struct lex_token *part, const struct lex_token *weight)
{
	int i = score_part_parse(part->text);
	uint32_t w = thousandths(weight->text);

	_Static_assert(4 + SCORE_PARTS <= 32, "a bit for each in the block");
	if (i == -1)
		return confset_fail(s, part, "\"%s\" is no part of the score of routes", part->text);
	if (confset_in_block(s, 4 + (unsigned)i, part) == -1)
		return -1;
	if (w > WEIGHT_MAX)
		return confset_fail(s, weight, "\"%s\" is no weight: 0 to %u, three digits behind the point at most", weight->text,
		    WEIGHT_MAX / WEIGHT_UNIT);
	s->conf->score.w[i] = w;
	return 0;
}

static void
print_relay(FILE *f, const struct pm_conf_routing *r)
{
	fprintf(f, "relay {\n\t%s\n", r->relay ? "yes" : "no");
	if (r->kbps != 0)
		fprintf(f, "\tbandwidth %u kbit\n", r->kbps);
	for (unsigned c = 0, n = 0; c < CLASS_COUNT; c++)
		if (r->classes & 1u << c)
			fprintf(f, "%s%s", n++ == 0 ? "\tclass " : ",", class_name(c));
	fputc('\n', f);
	if (r->from_minute != r->to_minute)
		fprintf(f, "\thours %02u:%02u %02u:%02u\n", r->from_minute / 60, r->from_minute % 60, r->to_minute / 60,
		    r->to_minute % 60);
	fputs("}\n", f);
}

void
conf_routing_print(FILE *f, const struct conf *c)
{
	const struct pm_conf_routing *r = &c->routing;

	print_relay(f, r);
	fputs("route {\n", f);
	if (r->domain[0] != '\0')
		fprintf(f, "\tdomain \"%s\"\n", r->domain);
	if (r->region[0] != '\0')
		fprintf(f, "\tregion \"%s\"\n", r->region);
	fprintf(f, "\tcost %" PRIu32 "\n\tmetered %s\n", r->cost, r->metered ? "yes" : "no");
	for (unsigned i = 0; i < SCORE_PARTS; i++)
		fprintf(f, "\tweight %s %u.%03u\n", score_part_name(i), c->score.w[i] / WEIGHT_UNIT, c->score.w[i] % WEIGHT_UNIT);
	fputs("}\n", f);
}
