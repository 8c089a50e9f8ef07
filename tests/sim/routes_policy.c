/*
 * The two policies of a run, as an authority would have written them. Relays are of RELAY_KINDS kinds, by their number. The
 * judge has the same once more in words of its own (routes_judge.c): who changes one, changes the other.
 *
 *	kind	the first policy		the second, besides
 *	1	not bulk, nor droppable
 *	2	nothing
 *	3	for mobile edges only
 *	4	3000 kbit/s at most		1000
 *	5					nothing
 *	6					nothing for guests
 *	7					not reliable
 *
 * Guests, every third leaf, reach no private node, every fifth from the fourth on; by the second policy no mobile edge
 * reaches a closed one, every seventh from the third on.
 */
#include <stdlib.h>

#include "base/hex.h"
#include "fabric/policy_build.h"
#include "tests/sim/routes.h"

#define RELAY_KINDS	8u

static char ids[NODES_MAX][2 * NODE_ID_LEN + 1];

static void
word(struct policy_words *w, const char *text)
{
	if (policy_add_word(w, text) == -1)
		abort();
}

/* A list of names that is empty would be anybody: one that nobody has is in each. */
static void
relays(const struct rsim *s, struct policy_words *w, unsigned kind)
{
	word(w, "nobody");
	for (uint32_t i = COORDINATORS; i < COORDINATORS + s->nrelays; i++)
		if (i % RELAY_KINDS == kind)
			word(w, s->node[i].name);
}

static void
leaves(const struct rsim *s, struct policy_words *w, unsigned every, unsigned rest)
{
	word(w, "nobody");
	for (uint32_t i = COORDINATORS + s->nrelays; i < s->nnodes; i++)
		if (i % every == rest)
			word(w, s->node[i].name);
}

static struct policy_source_rule *
rule(struct policy_source *p, bool pass, bool relay)
{
	struct policy_source_rule *r = policy_add_rule(p);

	if (r == NULL)
		abort();
	r->pass = pass;
	r->relay = relay;
	r->line = p->nrules;
	return r;
}

static struct policy_source_rule *
of_kind(const struct rsim *s, struct policy_source *p, bool pass, unsigned kind)
{
	struct policy_source_rule *r = rule(p, pass, true);

	relays(s, &r->from.names, kind);
	return r;
}

static void
guests(const struct rsim *s, struct policy_source *p)
{
	struct policy_source_table *t = policy_add_table(p, "guests");
	struct policy_who *w = t == NULL ? NULL : policy_add_entry(t);

	if (w == NULL)
		abort();
	leaves(s, &w->names, 3, 0);
}

/* By ids, as one may name nodes, too. */
static void
limited(const struct rsim *s, struct policy_source *p, uint32_t kbps)
{
	struct policy_source_rule *r = rule(p, true, true);

	r->kbps = kbps;
	hex_encode(ids[0], (const uint8_t[NODE_ID_LEN]){ 0 }, NODE_ID_LEN);
	word(&r->from.ids, ids[0]);
	for (uint32_t i = COORDINATORS; i < COORDINATORS + s->nrelays; i++)
		if (i % RELAY_KINDS == 4) {
			hex_encode(ids[i], s->node[i].id, NODE_ID_LEN);
			word(&r->from.ids, ids[i]);
		}
}

static void
first(const struct rsim *s, struct policy_source *p)
{
	struct policy_source_rule *r;

	guests(s, p);
	of_kind(s, p, false, 1)->classes = 1u << CLASS_BULK | 1u << CLASS_DROPPABLE;
	of_kind(s, p, false, 2);
	of_kind(s, p, false, 3);
	of_kind(s, p, true, 3)->to.roles = 1u << ROLE_MOBILE_EDGE;
	limited(s, p, 3000);
	r = rule(p, false, false);
	word(&r->from.in, "guests");
	leaves(s, &r->to.names, 5, 4);
}

static void
second(const struct rsim *s, struct policy_source *p)
{
	struct policy_source_rule *r;

	of_kind(s, p, false, 5)->quick = true;
	word(&of_kind(s, p, false, 6)->to.in, "guests");
	of_kind(s, p, false, 7)->classes = 1u << CLASS_RELIABLE;
	limited(s, p, 1000);
	r = rule(p, false, false);
	r->quick = true;
	r->from.roles = 1u << ROLE_MOBILE_EDGE;
	leaves(s, &r->to.names, 7, 3);
}

struct policy *
policy_make(const struct rsim *s, unsigned which)
{
	static uint8_t buf[POLICY_MAX];
	struct policy_source p = { .nrules = 0 };
	struct policy *made;
	const char *why;
	size_t len;
	int error;

	first(s, &p);
	if (which == POLICY_SECOND)
		second(s, &p);
	len = policy_encode(buf, sizeof(buf), &p, &why);
	made = len == 0 ? NULL : policy_load(buf, len, &error);
	policy_source_clear(&p);
	if (made == NULL)
		abort();
	return made;
}
