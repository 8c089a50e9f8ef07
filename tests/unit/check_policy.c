/*
 * The compiled policy: what each kind of rule says of each question, what is isolated without being told, and that no bytes
 * but those of a policy are taken for one.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/hex.h"
#include "fabric/policy_build.h"
#include "suite.h"
#include "tests/unit/vectors.h"

#define ROLE(r) (1u << ROLE_##r)

/* --- nodes and rules by short words ------------------------------------------------------------------- */

static const struct {
	const char	*name, *tenant;
	uint8_t		 id, tier;	/* the id is this byte, 32 times; 0: not known */
	uint32_t	 roles;
} nodes[] = {
	{ "phone", "acme", 0x11, 1, ROLE(MOBILE_EDGE) },
	{ "home", "acme", 0x22, 5, ROLE(SERVICE_HOST) | ROLE(STORAGE) },
	{ "relay", "acme", 0x33, 3, ROLE(RELAY) },
	{ "entry", "acme", 0x44, 3, ROLE(ENTRY) },
	{ "other", "bolt", 0x55, 1, ROLE(MOBILE_EDGE) },
	{ "rival", "bolt", 0x66, 3, ROLE(RELAY) },
	{ "ghost", "acme", 0, 0, 0 },
};

static struct policy_node
node(const char *name)
{
	static uint8_t ids[sizeof(nodes) / sizeof(nodes[0])][NODE_ID_LEN];

	for (size_t i = 0; i < sizeof(nodes) / sizeof(nodes[0]); i++) {
		if (strcmp(nodes[i].name, name) != 0)
			continue;
		memset(ids[i], nodes[i].id, NODE_ID_LEN);
		return (struct policy_node){ nodes[i].id == 0 ? NULL : ids[i], nodes[i].name, nodes[i].tenant, nodes[i].roles,
		    nodes[i].tier };
	}
	errx(1, "node %s?", name);
}

static char *kept[512];
static size_t nkept;

static char *
keep(const char *s)
{
	ck_assert_uint_lt(nkept, sizeof(kept) / sizeof(kept[0]));
	return kept[nkept++] = strdup(s);
}

static void
forget(void)
{
	while (nkept > 0)
		free(kept[--nkept]);
}

/* "id:11" is 64 digits. */
static void
word(struct policy_words *w, const char *s, bool id)
{
	char hex[2 * NODE_ID_LEN + 1] = "";

	for (size_t i = 0; id && i < NODE_ID_LEN; i++)
		memcpy(hex + 2 * i, s, 2);
	ck_assert_int_eq(policy_add_word(w, keep(id ? hex : s)), 0);
}

static void
who_word(struct policy_who *w, const char *s)
{
	if (strncmp(s, "role:", 5) == 0)
		w->roles |= 1u << role_parse(s + 5);
	else if (strncmp(s, "tenant:", 7) == 0)
		word(&w->tenants, s + 7, false);
	else if (strncmp(s, "name:", 5) == 0)
		word(&w->names, s + 5, false);
	else if (strncmp(s, "id:", 3) == 0)
		word(&w->ids, s + 3, true);
	else if (strncmp(s, "in:", 3) == 0)
		word(&w->in, s + 3, false);
	else if (strncmp(s, "not:", 4) == 0)
		word(&w->not_in, s + 4, false);
	else if (sscanf(s, "tier:%hhu-%hhu", &w->tier_min, &w->tier_max) == 2)
		w->tiers = true;
	else
		errx(1, "who %s?", s);
}

/* "role:relay tenant:acme in:admins"; NULL and "": any. */
static void
who(struct policy_who *w, const char *s)
{
	char *copy = strdup(s == NULL ? "" : s), *rest = copy, *t;

	while ((t = strsep(&rest, " ")) != NULL)
		if (*t != '\0')
			who_word(w, t);
	free(copy);
}

struct short_rule {
	const char	*how;		/* pass, block; q quick, r relay, a across: "pass qa" */
	const char	*from, *to, *services;
	uint8_t		 classes;
	uint32_t	 kbps, streams;
};

static void
rule_add(struct policy_source *s, const struct short_rule *x, uint32_t line)
{
	struct policy_source_rule *r = policy_add_rule(s);
	char *copy = strdup(x->services == NULL ? "" : x->services), *rest = copy, *t;

	ck_assert_ptr_nonnull(r);
	r->pass = strncmp(x->how, "pass", 4) == 0;
	r->quick = strchr(x->how + 4, 'q') != NULL;
	r->relay = strchr(x->how + 4, 'r') != NULL;
	r->across = x->how[4] != '\0' && strchr(x->how + 5, 'a') != NULL;
	r->line = line;
	r->classes = x->classes;
	r->kbps = x->kbps;
	r->streams = x->streams;
	who(&r->from, x->from);
	who(&r->to, x->to);
	while ((t = strsep(&rest, " ")) != NULL)
		if (*t != '\0')
			word(&r->services, t, false);
	free(copy);
}

/* Tables that each policy has: admins: phone by name and tenant, home by id; lost: other; rivals: a tenant. */
static void
tables_add(struct policy_source *s)
{
	struct policy_source_table *t = policy_add_table(s, "lost");

	who(policy_add_entry(t), "name:other");
	t = policy_add_table(s, "rivals");
	who(policy_add_entry(t), "tenant:bolt");
	t = policy_add_table(s, "admins");
	who(policy_add_entry(t), "name:phone tenant:acme");
	who(policy_add_entry(t), "id:22");
}

static size_t
compile(uint8_t buf[POLICY_MAX], const struct short_rule *x, size_t n)
{
	struct policy_source s = { .nrules = 0 };
	const char *why;
	size_t len;

	tables_add(&s);
	for (size_t i = 0; i < n && x[i].how != NULL; i++)
		rule_add(&s, &x[i], 10 + (uint32_t)i);
	len = policy_encode(buf, POLICY_MAX, &s, &why);
	ck_assert_msg(len > 0, "not encoded: %s", why);
	policy_source_clear(&s);
	forget();
	return len;
}

static struct policy *
load(const uint8_t *p, size_t len)
{
	uint8_t *exact = exact_copy(p, len);
	int err;
	struct policy *policy = policy_load(exact, len, &err);

	free(exact);
	ck_assert_msg(policy != NULL, "not loaded: %s", frame_strerror(err));
	return policy;
}

/* --- questions ---------------------------------------------------------------------------------------- */

#define RULES_MAX 4
static const struct question {
	struct short_rule rules[RULES_MAX];
	const char	*src, *dest;		/* of relay: the relay, and for whom */
	const char	*service;		/* NULL: relay */
	unsigned	 class;
	bool		 pass;
	uint32_t	 rule, kbps;
} questions[] = {
	/* the default */
	{ { { 0 } }, "phone", "home", "ssh", CLASS_BULK, true, 0, 0 },
	{ { { 0 } }, "phone", "other", "ssh", CLASS_BULK, false, 0, 0 },
	{ { { 0 } }, "relay", "phone", NULL, CLASS_BULK, true, 0, 0 },
	{ { { 0 } }, "entry", "phone", NULL, CLASS_BULK, true, 0, 0 },
	{ { { 0 } }, "home", "phone", NULL, CLASS_BULK, false, 0, 0 },
	{ { { 0 } }, "rival", "phone", NULL, CLASS_BULK, false, 0, 0 },
	{ { { 0 } }, "phone", "home", "ssh", CLASS_COUNT, false, 0, 0 },
	{ { { 0 } }, "relay", "phone", NULL, CLASS_COUNT, false, 0, 0 },
	/* the last that matches */
	{ { { .how = "block" } }, "phone", "home", "ssh", CLASS_BULK, false, 1, 0 },
	{ { { .how = "block" }, { .how = "pass", .services = "ssh" } }, "phone", "home", "ssh", CLASS_BULK, true, 2, 0 },
	{ { { .how = "block" }, { .how = "pass", .services = "ssh" } }, "phone", "home", "www", CLASS_BULK, false, 1, 0 },
	{ { { .how = "pass" }, { .how = "block" }, { .how = "pass", .from = "name:home" } }, "phone", "home", "x",
	    CLASS_DNS, false, 2, 0 },
	/* quick ends it, if it matches */
	{ { { .how = "block q" }, { .how = "pass" } }, "phone", "home", "ssh", CLASS_BULK, false, 1, 0 },
	{ { { .how = "block q", .from = "name:home" }, { .how = "pass" } }, "phone", "home", "ssh", CLASS_BULK, true, 2, 0 },
	{ { { .how = "block" }, { .how = "pass q" }, { .how = "block" } }, "phone", "home", "ssh", CLASS_BULK, true, 2, 0 },
	/* tenants: a pass does not cross by itself, a block does */
	{ { { .how = "pass" } }, "phone", "other", "ssh", CLASS_BULK, false, 0, 0 },
	{ { { .how = "pass", .from = "tenant:acme", .to = "tenant:bolt" } }, "phone", "other", "x", CLASS_BULK, false, 0, 0 },
	{ { { .how = "pass a", .from = "tenant:acme", .to = "tenant:bolt" } }, "phone", "other", "x", CLASS_BULK, true, 1, 0 },
	{ { { .how = "pass a", .from = "tenant:acme", .to = "tenant:bolt" } }, "other", "phone", "x", CLASS_BULK, false, 0, 0 },
	{ { { .how = "pass a" } }, "phone", "home", "x", CLASS_BULK, true, 1, 0 },
	{ { { .how = "pass a" }, { .how = "block" } }, "phone", "other", "x", CLASS_BULK, false, 2, 0 },
	{ { { .how = "pass qa", .services = "dns" } }, "phone", "other", "dns", CLASS_DNS, true, 1, 0 },
	/* each thing that is said of a node, on either side */
	{ { { .how = "block", .from = "role:mobile-edge" } }, "phone", "home", "x", CLASS_BULK, false, 1, 0 },
	{ { { .how = "block", .from = "role:relay" } }, "phone", "home", "x", CLASS_BULK, true, 0, 0 },
	{ { { .how = "block", .to = "role:relay role:storage" } }, "phone", "home", "x", CLASS_BULK, false, 1, 0 },
	{ { { .how = "block", .from = "role:relay" } }, "ghost", "home", "x", CLASS_BULK, true, 0, 0 },
	{ { { .how = "block", .from = "tenant:acme" } }, "phone", "home", "x", CLASS_BULK, false, 1, 0 },
	{ { { .how = "block", .from = "tenant:bolt tenant:acme" } }, "phone", "home", "x", CLASS_BULK, false, 1, 0 },
	{ { { .how = "block", .from = "tenant:bolt" } }, "phone", "home", "x", CLASS_BULK, true, 0, 0 },
	{ { { .how = "block", .to = "name:home" } }, "phone", "home", "x", CLASS_BULK, false, 1, 0 },
	{ { { .how = "block", .to = "name:homer" } }, "phone", "home", "x", CLASS_BULK, true, 0, 0 },
	{ { { .how = "block", .to = "id:22" } }, "phone", "home", "x", CLASS_BULK, false, 1, 0 },
	{ { { .how = "block", .to = "id:11 id:33" } }, "phone", "home", "x", CLASS_BULK, true, 0, 0 },
	{ { { .how = "block", .from = "id:11" } }, "ghost", "home", "x", CLASS_BULK, true, 0, 0 },
	{ { { .how = "block", .to = "tier:5-9" } }, "phone", "home", "x", CLASS_BULK, false, 1, 0 },
	{ { { .how = "block", .to = "tier:0-4" } }, "phone", "home", "x", CLASS_BULK, true, 0, 0 },
	{ { { .how = "block", .to = "tier:6-9" } }, "phone", "home", "x", CLASS_BULK, true, 0, 0 },
	{ { { .how = "block", .from = "tier:0-0" } }, "phone", "home", "x", CLASS_BULK, true, 0, 0 },
	{ { { .how = "block", .from = "tier:0-0" } }, "ghost", "home", "x", CLASS_BULK, false, 1, 0 },
	{ { { .how = "block", .from = "name:phone tenant:bolt" } }, "phone", "home", "x", CLASS_BULK, true, 0, 0 },
	/* tables */
	{ { { .how = "block", .from = "in:admins" } }, "phone", "home", "x", CLASS_BULK, false, 1, 0 },
	{ { { .how = "block", .to = "in:admins" } }, "relay", "home", "x", CLASS_BULK, false, 1, 0 },
	{ { { .how = "block", .from = "in:admins" } }, "relay", "home", "x", CLASS_BULK, true, 0, 0 },
	{ { { .how = "block", .from = "in:lost in:admins" } }, "phone", "home", "x", CLASS_BULK, false, 1, 0 },
	{ { { .how = "pass", .from = "in:admins" }, { .how = "block", .from = "in:admins", .to = "name:relay" } }, "phone", "home",
	    "x", CLASS_BULK, true, 1, 0 },
	{ { { .how = "block", .from = "not:admins" } }, "phone", "home", "x", CLASS_BULK, true, 0, 0 },
	{ { { .how = "block", .from = "not:admins" } }, "relay", "home", "x", CLASS_BULK, false, 1, 0 },
	{ { { .how = "block", .from = "not:admins not:lost" } }, "phone", "home", "x", CLASS_BULK, true, 0, 0 },
	{ { { .how = "block", .from = "role:relay not:lost" } }, "phone", "home", "x", CLASS_BULK, true, 0, 0 },
	/* services and classes */
	{ { { .how = "block", .services = "ssh www" } }, "phone", "home", "www", CLASS_BULK, false, 1, 0 },
	{ { { .how = "block", .services = "ssh www" } }, "phone", "home", "ss", CLASS_BULK, true, 0, 0 },
	{ { { .how = "block", .classes = 1u << CLASS_BULK } }, "phone", "home", "x", CLASS_BULK, false, 1, 0 },
	{ { { .how = "block", .classes = 1u << CLASS_BULK } }, "phone", "home", "x", CLASS_DNS, true, 0, 0 },
	/* the fabric's own */
	{ { { .how = "block q" } }, "phone", "home", "directory", CLASS_CONTROL, true, 0, 0 },
	{ { { .how = "block q" } }, "phone", "home", "probe", CLASS_CONTROL, true, 0, 0 },
	{ { { .how = "pass q" } }, "phone", "other", "directory", CLASS_CONTROL, false, 0, 0 },
	{ { { .how = "pass qa" } }, "phone", "other", "directory", CLASS_CONTROL, true, 0, 0 },
	/* relays: rules of their own, and the role all the same */
	{ { { .how = "block" } }, "relay", "phone", NULL, CLASS_BULK, true, 0, 0 },
	{ { { .how = "block r" } }, "phone", "home", "ssh", CLASS_BULK, true, 0, 0 },
	{ { { .how = "block r" } }, "relay", "phone", NULL, CLASS_BULK, false, 1, 0 },
	{ { { .how = "pass r" } }, "home", "phone", NULL, CLASS_BULK, false, 0, 0 },
	{ { { .how = "pass r" } }, "rival", "phone", NULL, CLASS_BULK, false, 0, 0 },
	{ { { .how = "pass ra", .from = "tenant:bolt", .kbps = 20000 } }, "rival", "phone", NULL, CLASS_BULK, true, 1, 20000 },
	{ { { .how = "pass ra", .from = "tenant:bolt" } }, "relay", "other", NULL, CLASS_BULK, false, 0, 0 },
	{ { { .how = "block r" }, { .how = "pass r", .from = "role:relay", .to = "tenant:acme", .kbps = 7 } }, "relay",
	    "phone", NULL, CLASS_BULK, true, 2, 7 },
	{ { { .how = "block r" }, { .how = "pass r", .from = "role:relay", .kbps = 7 } }, "entry", "phone", NULL, CLASS_BULK,
	    false, 1, 0 },
	{ { { .how = "pass r", .kbps = 7 }, { .how = "block r", .classes = 1u << CLASS_BULK } }, "relay", "phone", NULL,
	    CLASS_BULK, false, 2, 0 },
	{ { { .how = "pass r", .kbps = 7 }, { .how = "block r", .classes = 1u << CLASS_BULK } }, "relay", "phone", NULL,
	    CLASS_DNS, true, 1, 7 },
};

static struct policy_verdict
answer(const struct policy *p, const struct question *q)
{
	struct policy_node a = node(q->src), b = node(q->dest);

	return q->service != NULL ? policy_reach(p, &a, &b, q->service, q->class) : policy_relay(p, &a, &b, q->class);
}

START_TEST(rules)
{
	const struct question *q = &questions[_i];
	static uint8_t buf[POLICY_MAX];
	struct policy *p = load(buf, compile(buf, q->rules, RULES_MAX));
	struct policy_verdict v = answer(p, q);

	ck_assert_msg(v.pass == q->pass && v.rule == q->rule && v.kbps == q->kbps, "question %d: %s by rule %u, %u kbit/s", _i,
	    v.pass ? "pass" : "block", v.rule, v.kbps);
	ck_assert_uint_eq(v.line, q->rule == 0 ? 0 : 9 + q->rule);
	policy_free(p);
	if (q->rules[0].how == NULL) {
		v = answer(NULL, q);
		ck_assert(v.pass == q->pass && v.rule == 0);
	}
}
END_TEST

/* --- with less than all ------------------------------------------------------------------------------- */

/* Of each policy above: there is a service for the one exactly when there is one among those that can make a difference. */
START_TEST(reach_any)
{
	static const char *const services[] = { "ssh", "www", "dns", "x", "unnamed" };
	static uint8_t buf[POLICY_MAX];
	struct policy *p = load(buf, compile(buf, questions[_i].rules, RULES_MAX));

	for (size_t i = 0; i < sizeof(nodes) / sizeof(nodes[0]); i++)
		for (size_t k = 0; k < sizeof(nodes) / sizeof(nodes[0]); k++)
			for (unsigned class = 0; class <= CLASS_COUNT; class++) {
				struct policy_node a = node(nodes[i].name), b = node(nodes[k].name);
				bool any = false;

				for (size_t s = 0; s < sizeof(services) / sizeof(services[0]); s++)
					any |= policy_reach(p, &a, &b, services[s], class).pass;
				ck_assert_int_eq(policy_reach_any(p, &a, &b, class).pass, any);
			}
	policy_free(p);
}
END_TEST

static const struct {
	struct short_rule rules[RULES_MAX];
	bool	 pass;			/* from phone to home, class bulk */
	uint32_t rule;
} anys[] = {
	{ { { .how = "block" }, { .how = "pass", .services = "ssh" } }, true, 2 },
	{ { { .how = "pass", .services = "ssh" }, { .how = "block" } }, false, 2 },
	{ { { .how = "block" }, { .how = "pass", .services = "ssh" }, { .how = "block", .services = "ssh" } }, false, 1 },
	{ { { .how = "block" }, { .how = "pass", .services = "ssh www" }, { .how = "block", .services = "ssh" } }, true, 2 },
	{ { { .how = "block", .services = "ssh" } }, true, 0 },
	{ { { .how = "block q", .services = "ssh" }, { .how = "pass", .services = "ssh" }, { .how = "block q" } }, false, 3 },
};

START_TEST(reach_any_rules)
{
	static uint8_t buf[POLICY_MAX];
	struct policy *p = load(buf, compile(buf, anys[_i].rules, RULES_MAX));
	struct policy_node a = node("phone"), b = node("home"), c = node("other");
	struct policy_verdict v = policy_reach_any(p, &a, &b, CLASS_BULK);

	ck_assert_msg(v.pass == anys[_i].pass && v.rule == anys[_i].rule, "%d by %u", v.pass, v.rule);
	ck_assert(policy_reach_any(NULL, &a, &b, CLASS_BULK).pass && !policy_reach_any(NULL, &a, &c, CLASS_BULK).pass);
	policy_free(p);
}
END_TEST

/* Whom the policy lets pass, the relay lets pass that knows the tenant only, and with no less. */
START_TEST(for_tenant)
{
	static uint8_t buf[POLICY_MAX];
	struct policy *p = load(buf, compile(buf, questions[_i].rules, RULES_MAX));

	for (size_t i = 0; i < sizeof(nodes) / sizeof(nodes[0]); i++)
		for (size_t k = 0; k < sizeof(nodes) / sizeof(nodes[0]); k++)
			for (unsigned class = 0; class <= CLASS_COUNT; class++) {
				struct policy_node a = node(nodes[i].name), b = node(nodes[k].name);
				struct policy_verdict v = policy_relay(p, &a, &b, class), t;

				t = policy_relay_for_tenant(p, &a, b.tenant, class);
				ck_assert(!v.pass || (t.pass && (t.kbps == 0 || (v.kbps != 0 && v.kbps <= t.kbps)) &&
				    (t.streams == 0 || (v.streams != 0 && v.streams <= t.streams))));
			}
	policy_free(p);
}
END_TEST

static const struct {
	struct short_rule rules[RULES_MAX];
	const char *relay, *tenant;	/* class bulk */
	bool	 pass;
	uint32_t rule, kbps;
} tenants[] = {
	{ { { 0 } }, "relay", "acme", true, 0, 0 },
	{ { { 0 } }, "relay", "bolt", false, 0, 0 },
	{ { { 0 } }, "home", "acme", false, 0, 0 },
	{ { { .how = "block r" } }, "relay", "acme", false, 1, 0 },
	{ { { .how = "block r" }, { .how = "pass r", .to = "role:mobile-edge", .kbps = 5 } }, "relay", "acme", true, 2, 5 },
	{ { { .how = "block r" }, { .how = "pass r", .to = "tier:3-9", .kbps = 5 } }, "relay", "acme", true, 2, 5 },
	{ { { .how = "block r" }, { .how = "pass r", .to = "name:phone", .kbps = 5 } }, "relay", "acme", true, 2, 5 },
	{ { { .how = "block r" }, { .how = "pass r", .to = "id:11", .kbps = 5 } }, "relay", "acme", true, 2, 5 },
	{ { { .how = "block r" }, { .how = "pass r", .to = "in:admins", .kbps = 5 } }, "relay", "acme", true, 2, 5 },
	{ { { .how = "block r" }, { .how = "pass r", .to = "not:admins", .kbps = 5 } }, "relay", "acme", true, 2, 5 },
	{ { { .how = "block r" }, { .how = "pass r", .to = "tenant:bolt", .kbps = 5 } }, "relay", "acme", false, 1, 0 },
	{ { { .how = "block r" }, { .how = "pass r", .to = "role:exit tenant:bolt" } }, "relay", "acme", false, 1, 0 },
	{ { { .how = "pass r", .kbps = 9 }, { .how = "block r", .to = "in:admins" } }, "relay", "acme", true, 1, 9 },
	{ { { .how = "pass r", .kbps = 9 }, { .how = "block r", .to = "tenant:acme" } }, "relay", "acme", false, 2, 0 },
	{ { { .how = "pass r", .kbps = 9 }, { .how = "pass r", .to = "role:exit", .kbps = 5 } }, "relay", "acme", true, 2, 9 },
	{ { { .how = "pass r", .kbps = 5 }, { .how = "pass r", .to = "role:exit", .kbps = 9 } }, "relay", "acme", true, 2, 9 },
	{ { { .how = "pass r", .kbps = 5 }, { .how = "pass r", .to = "role:exit" } }, "relay", "acme", true, 2, 0 },
	{ { { .how = "pass r", .to = "role:exit", .kbps = 9 } }, "relay", "acme", true, 1, 0 },	/* others: the default */
	{ { { .how = "block rq", .to = "role:exit" }, { .how = "pass r", .kbps = 5 } }, "relay", "acme", true, 2, 5 },
	{ { { .how = "pass r", .kbps = 9 }, { .how = "block r", .to = "tier:3-9" } }, "relay", "acme", true, 1, 9 },
	{ { { .how = "pass r", .kbps = 9 }, { .how = "block r", .to = "tier:0-3" } }, "relay", "acme", true, 1, 9 },
	{ { { .how = "pass r", .kbps = 9 }, { .how = "block r", .to = "not:admins" } }, "relay", "acme", true, 1, 9 },
	{ { { .how = "pass r" } }, "rival", "acme", false, 0, 0 },
	{ { { .how = "pass r", .from = "role:entry" } }, "rival", "acme", false, 0, 0 },
	{ { { .how = "pass ra", .to = "tenant:acme" } }, "rival", "acme", true, 1, 0 },
	{ { { .how = "pass r", .kbps = 5, .classes = 1u << CLASS_DNS } }, "relay", "acme", true, 0, 0 },
};

START_TEST(for_tenant_rules)
{
	static uint8_t buf[POLICY_MAX];
	struct policy *p = load(buf, compile(buf, tenants[_i].rules, RULES_MAX));
	struct policy_node relay = node(tenants[_i].relay);
	struct policy_verdict v = policy_relay_for_tenant(p, &relay, tenants[_i].tenant, CLASS_BULK);

	ck_assert_msg(v.pass == tenants[_i].pass && v.rule == tenants[_i].rule && v.kbps == tenants[_i].kbps,
	    "%d by %u, %u kbit/s", v.pass, v.rule, v.kbps);
	policy_free(p);
}
END_TEST

/* How many streams a relay may carry for the phone, and what it may grant who knows the tenant only; 0: no limit. */
static const struct {
	struct short_rule rules[RULES_MAX];
	uint32_t phone, tenant;
} streams[] = {
	{ { { .how = "block r" }, { .how = "pass r", .kbps = 7, .streams = 3 } }, 3, 3 },
	{ { { .how = "pass r", .streams = 3 }, { .how = "pass r", .to = "name:phone" } }, 0, 0 },
	{ { { .how = "pass r" }, { .how = "pass r", .to = "name:phone", .streams = 3 } }, 3, 0 },
	{ { { .how = "pass r", .streams = 2 }, { .how = "pass r", .to = "name:phone", .streams = 5 } }, 5, 5 },
	{ { { .how = "pass r", .streams = 5 }, { .how = "pass r", .to = "name:phone", .kbps = 1, .streams = 2 } }, 2, 5 },
	{ { { .how = "pass rq", .streams = POLICY_STREAMS_MAX }, { .how = "pass r", .streams = 1 } }, POLICY_STREAMS_MAX,
	    POLICY_STREAMS_MAX },
	{ { { .how = "pass r", .streams = 5, .classes = 1u << CLASS_DNS } }, 0, 0 },
};

START_TEST(streams_at_a_time)
{
	static uint8_t buf[POLICY_MAX];
	struct policy *p = load(buf, compile(buf, streams[_i].rules, RULES_MAX));
	struct policy_node relay = node("relay"), phone = node("phone");

	ck_assert_uint_eq(policy_relay(p, &relay, &phone, CLASS_BULK).streams, streams[_i].phone);
	ck_assert_uint_eq(policy_relay_for_tenant(p, &relay, "acme", CLASS_BULK).streams, streams[_i].tenant);
	policy_free(p);
}
END_TEST

/* --- tenants ------------------------------------------------------------------------------------------ */

static const struct {
	struct short_rule rules[RULES_MAX];
	const char *meets[2];		/* these two; NULL: no tenants do */
	bool	 others;		/* the first meets all others as well, but */
	const char *but;
} meetings[] = {
	{ { { 0 } }, { NULL }, false, NULL },
	{ { { .how = "pass" } }, { NULL }, false, NULL },
	{ { { .how = "pass", .from = "tenant:acme", .to = "name:other" } }, { NULL }, false, NULL },
	{ { { .how = "pass a", .from = "tenant:acme", .to = "tenant:bolt" } }, { "acme", "bolt" }, false, NULL },
	{ { { .how = "pass a", .from = "tenant:bolt", .to = "tenant:acme" } }, { "acme", "bolt" }, false, NULL },
	{ { { .how = "pass ra", .from = "tenant:bolt", .to = "tenant:acme" } }, { "acme", "bolt" }, false, NULL },
	{ { { .how = "pass qa", .from = "role:exit tier:9-9 tenant:acme", .to = "tenant:bolt", .services = "ssh" } },
	    { "acme", "bolt" }, false, NULL },
	/* What another rule takes back, it takes back of each: these two have to be looked at. */
	{ { { .how = "pass a", .from = "tenant:acme", .to = "tenant:bolt" }, { .how = "block" } }, { "acme", "bolt" }, false, NULL },
	{ { { .how = "pass a", .from = "tenant:acme", .to = "tenant:core" } }, { "acme", "core" }, false, NULL },
	{ { { .how = "pass ra", .to = "tenant:acme" } }, { "acme", "bolt" }, true, NULL },
	{ { { .how = "pass a", .from = "tenant:acme" } }, { "acme", "bolt" }, true, NULL },
	{ { { .how = "pass a", .from = "tenant:acme", .to = "not:rivals" } }, { "acme", "core" }, true, "bolt" },
	{ { { .how = "pass a", .from = "tenant:acme", .to = "in:rivals" } }, { "acme", "bolt" }, false, NULL },
	{ { { .how = "pass a", .from = "tenant:acme", .to = "not:admins" } }, { "acme", "bolt" }, true, NULL },
};

/* Asked of two, and told of all: the same, in whichever order. */
START_TEST(tenants_meet_by_rules)
{
	static const char *const names[] = { "acme", "bolt", "core", "nobody-knows" };
	static uint8_t buf[POLICY_MAX];
	struct policy *p = load(buf, compile(buf, meetings[_i].rules, RULES_MAX));
	const char *a = meetings[_i].meets[0], *b = meetings[_i].meets[1];
	struct tenants t;

	for (size_t i = 0; i < 4; i++) {
		tenants_init(&t, names[i]);
		ck_assert_int_eq(policy_tenants(p, &t), 0);
		for (size_t k = 0; k < 4; k++) {
			bool pair = a != NULL && ((strcmp(names[i], a) == 0 && strcmp(names[k], b) == 0) ||
			    (strcmp(names[k], a) == 0 && strcmp(names[i], b) == 0));
			bool other = meetings[_i].others && (strcmp(names[i], a) == 0 || strcmp(names[k], a) == 0) &&
			    (meetings[_i].but == NULL || (strcmp(names[i], meetings[_i].but) != 0 &&
			    strcmp(names[k], meetings[_i].but) != 0));

			ck_assert_msg(policy_meet(p, names[i], names[k]) == (i == k || pair || other), "%s %s", names[i], names[k]);
			ck_assert_msg(tenants_meet(&t, names[k]) == (i == k || pair || other), "%s tells of %s", names[i], names[k]);
		}
	}
	policy_free(p);
}
END_TEST

START_TEST(no_policy_no_others)
{
	struct tenants t;

	ck_assert(policy_meet(NULL, "acme", "acme") && !policy_meet(NULL, "acme", "bolt"));
	tenants_init(&t, "acme");
	t.others = true;
	ck_assert_int_eq(policy_tenants(NULL, &t), 0);
	ck_assert(tenants_meet(&t, "acme") && !tenants_meet(&t, "bolt"));
}
END_TEST

/* The fabric's own services go as far as nodes meet, and no other service does for that. */
START_TEST(own_services_across)
{
	static const struct short_rule across[] = { { .how = "block" }, { .how = "pass a", .from = "name:phone", .to = "tenant:bolt",
	    .services = "ssh" } };
	static uint8_t buf[POLICY_MAX];
	struct policy *p = load(buf, compile(buf, across, 2));
	struct policy_node phone = node("phone"), home = node("home"), other = node("other");

	ck_assert(policy_reach(p, &phone, &other, "directory", CLASS_CONTROL).pass);
	ck_assert(policy_reach(p, &other, &home, "probe", CLASS_CONTROL).pass);
	ck_assert(policy_reach(p, &phone, &other, "ssh", CLASS_BULK).pass);
	ck_assert(!policy_reach(p, &home, &other, "ssh", CLASS_BULK).pass);
	ck_assert(!policy_reach(p, &phone, &other, "www", CLASS_BULK).pass);
	ck_assert(!policy_reach(NULL, &phone, &other, "directory", CLASS_CONTROL).pass);
	policy_free(p);
}
END_TEST

/* More names than there is room for: some are left out, and exceptions never, since then all would be let in. */
START_TEST(more_tenants_than_room)
{
	static uint8_t buf[POLICY_MAX];
	static char names[400][64];
	struct policy_source s = { 0 };
	struct policy_source_rule *r = policy_add_rule(&s);
	struct policy_source_table *table = policy_add_table(&s, "t");
	struct policy_who *w = policy_add_entry(table);
	struct tenants t;
	struct policy *p;
	const char *why;

	for (size_t i = 0; i < 400; i++) {
		snprintf(names[i], sizeof(names[i]), "a-tenant-whose-name-is-rather-long-%zu", i);
		ck_assert_int_eq(policy_add_word(&w->tenants, names[i]), 0);
	}
	r->pass = r->across = true;
	ck_assert_int_eq(policy_add_word(&r->from.tenants, "acme"), 0);
	ck_assert_int_eq(policy_add_word(_i == 0 ? &r->to.in : &r->to.not_in, "t"), 0);
	p = load(buf, policy_encode(buf, sizeof(buf), &s, &why));
	tenants_init(&t, "acme");
	ck_assert_int_eq(policy_tenants(p, &t), -1);
	ck_assert(!t.others && !tenants_meet(&t, "bolt"));
	ck_assert_int_eq(tenants_meet(&t, names[0]), _i == 0);
	ck_assert(!tenants_meet(&t, names[99]));	/* the last by their letters */
	policy_free(p);
	policy_source_clear(&s);
}
END_TEST

/* --- bytes -------------------------------------------------------------------------------------------- */

static const struct short_rule all_kinds[] = {
	{ "pass qa", "role:relay tenant:acme tenant:bolt name:x.y id:11 id:22 tier:2-7 in:admins in:lost", "not:lost",
	    "ssh www", 1u << CLASS_BULK, 0, 0 },
	{ "block", NULL, "name:home", NULL, 0, 0, 0 },
	{ "pass ra", "in:lost", "tenant:acme", NULL, 3, 20000, 300 },
	{ "block qr", NULL, NULL, NULL, 0, 0, 0 },
};
#define ALL_KINDS (sizeof(all_kinds) / sizeof(all_kinds[0]))

static int
load_error(const uint8_t *p, size_t len)
{
	uint8_t *exact = exact_copy(p, len);
	int err = 1;
	struct policy *policy = policy_load(exact, len, &err);

	policy_free(policy);
	free(exact);
	return policy != NULL ? 1 : err;
}

START_TEST(truncated)
{
	static uint8_t buf[POLICY_MAX];
	size_t len = compile(buf, all_kinds, ALL_KINDS);

	ck_assert_int_eq(load_error(buf, len), 1);
	for (size_t i = 0; i < len; i++)
		ck_assert_int_lt(load_error(buf, i), 0);
	buf[len] = 0;
	ck_assert_int_eq(load_error(buf, len + 1), FRAME_E_TRAILING);
}
END_TEST

/* What is loaded and written again is the same, byte for byte: there is one form. */
static void
same_again(const uint8_t *p, size_t len)
{
	static uint8_t again[POLICY_MAX];
	struct policy *policy = load(p, len);
	struct policy_source s;
	const char *why;

	ck_assert_int_eq(policy_unbuild(&s, policy), 0);
	ck_assert_uint_eq(policy_encode(again, sizeof(again), &s, &why), len);
	ck_assert_mem_eq(again, p, len);
	policy_source_clear(&s);
	policy_free(policy);
}

START_TEST(each_byte_changed)
{
	static uint8_t buf[POLICY_MAX];
	size_t len = compile(buf, all_kinds, ALL_KINDS), taken = 0;

	same_again(buf, len);
	for (size_t i = 0; i < len; i++) {
		for (unsigned bit = 0; bit < 8; bit++) {
			buf[i] ^= (uint8_t)(1u << bit);
			if (load_error(buf, len) == 1) {
				same_again(buf, len);
				taken++;
			}
			buf[i] ^= (uint8_t)(1u << bit);
		}
	}
	ck_assert_uint_gt(taken, 0);
}
END_TEST

/* By hand, in the form that policy.h describes. "acme" and "b" are strings 0 and 1, of one table "b": nodes of acme. */
static const struct {
	const char	*hex, *what;
	int		 err;
} forms[] = {
	{ "01 00 00 00 00", "nothing in it", 1 },
	{ "01 02 0461636d65 0162 00 01 01 01 04 01 00 01 01 0a 00 20 01 00", "a rule", 1 },
	{ "02 00 00 00 00", "another version", FRAME_E_VALUE },
	{ "01 4000 00 00 00", "a count not in its shortest form", FRAME_E_VARINT },
	{ "01 02 0162 0461636d65 00 01 00 01 04 01 01 01 01 0a 00 20 01 00", "strings that descend", FRAME_E_TLV_ORDER },
	{ "01 02 0162 0162 00 01 00 01 04 01 01 01 01 0a 00 20 01 00", "one twice", FRAME_E_TLV_ORDER },
	{ "01 02 0461636d65 0142 00 01 01 01 04 01 00 01 01 0a 00 20 01 00", "no name", FRAME_E_TEXT },
	{ "01 02 0461636d65 0162 00 00 01 01 0a 04 01 00 00", "a string not used", FRAME_E_VALUE },
	{ "01 01 00 00 00 00", "an empty string", FRAME_E_VALUE },
	{ "01 02 0461636d65 0162 00 01 01 00 01 01 0a 00 20 01 00", "a table of nobody", FRAME_E_VALUE },
	{ "01 01 0162 00 01 00 01 00 00", "a table of everybody", FRAME_E_VALUE },
	{ "01 02 0161 0162 00 02 00 01 08 01 00 01 01 08 01 00 00", "two tables", 1 },
	{ "01 02 0161 0162 00 02 00 01 08 01 00 01 01 20 01 00 00", "a table in a table", FRAME_E_VALUE },
	{ "01 01 0161 00 02 00 01 08 01 00 00 01 08 01 00 00", "a table twice", FRAME_E_TLV_ORDER },
	{ "01 00 01 1111111111111111111111111111111111111111111111111111111111111111 00 00", "an id not used", FRAME_E_VALUE },
	{ "01 02 0461636d65 0162 00 01 02 01 04 01 00 00", "a table without a name", FRAME_E_VALUE },
	{ "01 02 0461636d65 0162 00 01 01 01 04 01 00 01 01 0a 00 20 01 01", "a table that is not there", FRAME_E_VALUE },
	{ "01 02 0461636d65 0162 00 01 01 01 04 01 00 01 01 0a 00 20 00", "a list of nothing", FRAME_E_VALUE },
	{ "01 02 0461636d65 0162 00 00 01 01 0a 04 02 01 00 00", "a list that descends", FRAME_E_TLV_ORDER },
	{ "01 00 00 00 01 08 0a 00 00", "a block across tenants", FRAME_E_VALUE },
	{ "01 00 00 00 01 4040 0a 00 00 01", "bandwidth of a block", FRAME_E_VALUE },
	{ "01 00 00 00 01 4041 0a 00 00 01", "bandwidth without relay", FRAME_E_VALUE },
	{ "01 00 00 00 01 4044 0a 00 00 01", "bandwidth of a block relay", FRAME_E_VALUE },
	{ "01 00 00 00 01 4045 0a 00 00 01", "bandwidth", 1 },
	{ "01 00 00 00 01 4045 0a 00 00 00", "bandwidth 0", FRAME_E_VALUE },
	{ "01 00 00 00 01 4080 0a 00 00 01", "streams of a block", FRAME_E_VALUE },
	{ "01 00 00 00 01 4081 0a 00 00 01", "streams without relay", FRAME_E_VALUE },
	{ "01 00 00 00 01 4084 0a 00 00 01", "streams of a block relay", FRAME_E_VALUE },
	{ "01 00 00 00 01 4085 0a 00 00 01", "streams", 1 },
	{ "01 00 00 00 01 4085 0a 00 00 00", "streams 0", FRAME_E_VALUE },
	{ "01 00 00 00 01 4085 0a 00 00 80100000", "1048576 streams", 1 },
	{ "01 00 00 00 01 4085 0a 00 00 80100001", "1048577 streams", FRAME_E_VALUE },
	{ "01 00 00 00 01 4085 0a 00 00", "streams that are not there", FRAME_E_SHORT },
	{ "01 00 00 00 01 40c5 0a 00 00 07 01", "bandwidth and streams", 1 },
	{ "01 01 0162 00 00 01 14 0a 00 00 01 00", "a service of a relay", FRAME_E_VALUE },
	{ "01 01 03612e62 00 00 01 10 0a 00 00 01 00", "a service with a dot", FRAME_E_TEXT },
	{ "01 01 0162 00 00 01 10 0a 00 00 01 00", "a service", 1 },
	{ "01 00 00 00 01 20 0a 00 00 3f", "all classes, said", FRAME_E_VALUE },
	{ "01 00 00 00 01 20 0a 00 00 00", "no class", FRAME_E_VALUE },
	{ "01 00 00 00 01 20 0a 00 00 4040", "a class that is not known", FRAME_E_VALUE },
	{ "01 00 00 00 01 4100 0a 00 00", "a flag that is not known", FRAME_E_VALUE },
	{ "01 00 00 00 01 00 0a 02 00 09 00", "all tiers, said", FRAME_E_VALUE },
	{ "01 00 00 00 01 00 0a 02 05 04 00", "tiers that descend", FRAME_E_VALUE },
	{ "01 00 00 00 01 00 0a 02 05 0a 00", "a tier that is none", FRAME_E_VALUE },
	{ "01 00 00 00 01 00 0a 02 05 05 00", "tier 5", 1 },
	{ "01 00 00 00 01 00 0a 01 00 00", "no role", FRAME_E_VALUE },
	{ "01 00 00 00 01 00 0a 01 4400 00", "a role that is not known", FRAME_E_VALUE },
	{ "01 00 00 00 01 00 0a 01 01 00", "a role", 1 },
	{ "01 00 00 00 5001", "too many rules", FRAME_E_VALUE },
	{ "01 00 00 00 5000", "rules that are not there", FRAME_E_SHORT },
	{ "01 00 00 4101", "too many tables", FRAME_E_VALUE },
	{ "01 7fff 00", "strings that are not there", FRAME_E_SHORT },
};

START_TEST(by_hand)
{
	char hex[256], *out = hex;
	uint8_t buf[128];
	int err;

	for (const char *s = forms[_i].hex; *s != '\0'; s++)
		if (*s != ' ')
			*out++ = *s;
	*out = '\0';
	ck_assert_int_eq(hex_decode(buf, strlen(hex) / 2, hex), 0);
	err = load_error(buf, strlen(hex) / 2);
	ck_assert_msg(err == forms[_i].err, "%s: %d (%s)", forms[_i].what, err, frame_strerror(err));
	if (err == 1)
		same_again(buf, strlen(hex) / 2);
}
END_TEST

START_TEST(ids_ascend)
{
	static uint8_t buf[POLICY_MAX];
	const struct short_rule x = { "pass", "id:11 id:99", NULL, NULL, 0, 0, 0 };
	uint8_t id[NODE_ID_LEN];
	size_t len = compile(buf, &x, 1);
	uint8_t *p;

	memset(id, 0x99, sizeof(id));
	p = memmem(buf, len, id, sizeof(id));
	ck_assert_ptr_nonnull(p);
	memset(p, 0x22, sizeof(id));		/* as the one before: the table's */
	ck_assert_int_eq(load_error(buf, len), FRAME_E_TLV_ORDER);
	memset(p, 0x21, sizeof(id));
	ck_assert_int_eq(load_error(buf, len), FRAME_E_TLV_ORDER);
}
END_TEST

/* --- limits, and what is not encoded ------------------------------------------------------------------ */

START_TEST(most_rules)
{
	static uint8_t buf[POLICY_MAX];
	struct policy_source s = { .nrules = 0 };
	const struct short_rule pass = { .how = "pass" }, block = { .how = "block" };
	struct policy_node a = node("phone"), b = node("home");
	struct policy_verdict v;
	struct policy *p;
	const char *why;
	size_t len;

	for (uint32_t i = 1; i < POLICY_RULES_MAX; i++)
		rule_add(&s, &pass, i);
	rule_add(&s, &block, 77);
	len = policy_encode(buf, sizeof(buf), &s, &why);
	ck_assert_uint_gt(len, 0);
	p = load(buf, len);
	ck_assert_uint_eq(policy_rules(p), POLICY_RULES_MAX);
	v = policy_reach(p, &a, &b, "ssh", CLASS_BULK);
	ck_assert(!v.pass && v.rule == POLICY_RULES_MAX && v.line == 77);
	policy_free(p);
	rule_add(&s, &pass, 1);
	ck_assert_uint_eq(policy_encode(buf, sizeof(buf), &s, &why), 0);
	policy_source_clear(&s);
}
END_TEST

START_TEST(too_large)
{
	static uint8_t buf[POLICY_MAX + 1000];
	struct policy_source s = { .nrules = 0 };
	struct policy_who *w = policy_add_entry(policy_add_table(&s, "all"));
	static char names[2000][64];
	const char *why;
	size_t len = 0, n = 0;

	/* Table "all" of one entry with ever more names: each costs its length, its own byte, and its place, 1 or 2 bytes. */
	for (; n < 2000; n++) {
		snprintf(names[n], sizeof(names[n]), "%063zu", n);
		ck_assert_int_eq(policy_add_word(&w->names, names[n]), 0);
		if (n % 100 != 99 && n < 850)
			continue;
		if ((len = policy_encode(buf, sizeof(buf), &s, &why)) == 0)
			break;
		ck_assert_uint_le(len, POLICY_MAX);
		same_again(buf, len);
		ck_assert_uint_eq(policy_encode(buf, len - 1, &s, &why), 0);
	}
	ck_assert_uint_gt(n, POLICY_MAX / 70);
	ck_assert_uint_eq(len, 0);
	ck_assert_str_eq(why, "the policy is too large");
	ck_assert_int_eq(load_error(buf, sizeof(buf)), FRAME_E_TOO_LONG);
	policy_source_clear(&s);
}
END_TEST

static const struct short_rule refused[] = {
	{ "pass", "in:nobody", NULL, NULL, 0, 0, 0 }, { "pass", "name:BIG", NULL, NULL, 0, 0, 0 },
	{ "pass", "tenant:-x", NULL, NULL, 0, 0, 0 }, { "pass", "id:zz", NULL, NULL, 0, 0, 0 },
	{ "pass", NULL, NULL, "a.b", 0, 0, 0 }, { "pass r", NULL, NULL, "ssh", 0, 0, 0 }, { "pass", NULL, NULL, NULL, 0, 5, 0 },
	{ "block r", NULL, NULL, NULL, 0, 5, 0 }, { "block a", NULL, NULL, NULL, 0, 0, 0 },
	{ "pass", NULL, NULL, NULL, 0x41, 0, 0 },
	{ "pass", "tier:5-4", NULL, NULL, 0, 0, 0 }, { "pass", "tier:0-10", NULL, NULL, 0, 0, 0 },
	{ "pass", NULL, NULL, NULL, 0, 0, 5 }, { "block r", NULL, NULL, NULL, 0, 0, 5 },
};

START_TEST(not_encoded)
{
	uint8_t buf[1000];
	struct policy_source s = { .nrules = 0 };
	const char *why = NULL;

	rule_add(&s, &refused[_i], 1);
	ck_assert_uint_eq(policy_encode(buf, sizeof(buf), &s, &why), 0);
	ck_assert_ptr_nonnull(why);
	policy_source_clear(&s);
	forget();
}
END_TEST

START_TEST(tables_not_encoded)
{
	uint8_t buf[1000];
	struct policy_source s = { .nrules = 0 };
	const char *why;

	policy_add_table(&s, "empty");
	ck_assert_uint_eq(policy_encode(buf, sizeof(buf), &s, &why), 0);
	who(policy_add_entry(&s.table[0]), "name:a");
	ck_assert_uint_gt(policy_encode(buf, sizeof(buf), &s, &why), 0);
	who(policy_add_entry(policy_add_table(&s, "empty")), "name:b");
	ck_assert_uint_eq(policy_encode(buf, sizeof(buf), &s, &why), 0);
	policy_source_clear(&s);
	who(policy_add_entry(policy_add_table(&s, "nested")), "in:nested");
	ck_assert_uint_eq(policy_encode(buf, sizeof(buf), &s, &why), 0);
	policy_source_clear(&s);
	forget();
}
END_TEST

/* --- text --------------------------------------------------------------------------------------------- */

START_TEST(rule_text)
{
	static const char want[] = "pass quick across tenants from node \"x.y\" role relay tenant { \"acme\" \"bolt\" } tier 2-7 id { "
	    "1111111111111111111111111111111111111111111111111111111111111111 "
	    "2222222222222222222222222222222222222222222222222222222222222222 } <admins> <lost> "
	    "to service { \"ssh\" \"www\" } on !<lost> class bulk";
	static uint8_t buf[POLICY_MAX];
	struct policy *p = load(buf, compile(buf, all_kinds, ALL_KINDS));
	char text[600], small[12];

	ck_assert_uint_eq(policy_rule_text(text, sizeof(text), p, 1), strlen(want));
	ck_assert_str_eq(text, want);
	ck_assert_uint_eq(policy_rule_text(small, sizeof(small), p, 1), strlen(want));
	ck_assert_str_eq(small, "pass quick ");
	policy_rule_text(text, sizeof(text), p, 2);
	ck_assert_str_eq(text, "block from any to node \"home\"");
	policy_rule_text(text, sizeof(text), p, 3);
	ck_assert_str_eq(text, "pass relay across tenants by <lost> for tenant \"acme\" class { control dns } bandwidth 20 Mbit "
	    "streams 300");
	policy_rule_text(text, sizeof(text), p, 4);
	ck_assert_str_eq(text, "block quick relay by any for any");
	policy_rule_text(text, sizeof(text), p, 5);
	ck_assert_str_eq(text, "no rule: the default");
	policy_rule_text(text, sizeof(text), NULL, 0);
	ck_assert_str_eq(text, "no rule: the default");
	policy_free(p);
}
END_TEST

/* Classes that one rule decides stand together. */
START_TEST(answers)
{
	static const struct short_rule x[] = {
		{ "block", NULL, NULL, NULL, 1u << CLASS_DNS | 1u << CLASS_BULK, 0, 0 },
		{ "pass r", NULL, NULL, NULL, 1u << CLASS_BULK, 9, 8 },
	};
	static uint8_t buf[POLICY_MAX];
	struct policy *p = load(buf, compile(buf, x, 2));
	struct policy_node phone = node("phone"), home = node("home"), relay = node("relay");
	struct policy_answer out[CLASS_COUNT];
	char text[POLICY_CLASSES_TEXT];

	ck_assert_uint_eq(policy_answers(p, &phone, &home, "x", 0x3f, out), 2);
	ck_assert(out[0].verdict.pass && out[0].verdict.rule == 0);
	ck_assert_str_eq(policy_classes_text(text, out[0].classes), "control,interactive,reliable,droppable");
	ck_assert(!out[1].verdict.pass && out[1].verdict.rule == 1);
	ck_assert_str_eq(policy_classes_text(text, out[1].classes), "dns,bulk");
	ck_assert_uint_eq(policy_answers(p, &relay, &phone, NULL, 1u << CLASS_BULK, out), 1);
	ck_assert(out[0].verdict.pass && out[0].classes == 1u << CLASS_BULK);
	ck_assert(out[0].verdict.kbps == 9 && out[0].verdict.streams == 8);
	ck_assert_uint_eq(policy_answers(p, &home, &phone, NULL, 0x3f, out), 1);
	ck_assert(!out[0].verdict.pass);
	ck_assert_str_eq(policy_classes_text(text, out[0].classes), "all");
	ck_assert_str_eq(policy_classes_text(text, 0x1f), "control,dns,interactive,reliable,bulk");
	policy_free(p);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("policy");
	TCase *t = tcase_create("policy");

	tcase_add_loop_test(t, rules, 0, sizeof(questions) / sizeof(questions[0]));
	tcase_add_loop_test(t, reach_any, 0, sizeof(questions) / sizeof(questions[0]));
	tcase_add_loop_test(t, reach_any_rules, 0, sizeof(anys) / sizeof(anys[0]));
	tcase_add_loop_test(t, for_tenant, 0, sizeof(questions) / sizeof(questions[0]));
	tcase_add_loop_test(t, for_tenant_rules, 0, sizeof(tenants) / sizeof(tenants[0]));
	tcase_add_loop_test(t, streams_at_a_time, 0, sizeof(streams) / sizeof(streams[0]));
	tcase_add_loop_test(t, tenants_meet_by_rules, 0, sizeof(meetings) / sizeof(meetings[0]));
	tcase_add_test(t, no_policy_no_others);
	tcase_add_test(t, own_services_across);
	tcase_add_loop_test(t, more_tenants_than_room, 0, 2);
	tcase_add_test(t, truncated);
	tcase_add_test(t, each_byte_changed);
	tcase_add_loop_test(t, by_hand, 0, sizeof(forms) / sizeof(forms[0]));
	tcase_add_test(t, ids_ascend);
	tcase_add_test(t, most_rules);
	tcase_add_test(t, too_large);
	tcase_add_loop_test(t, not_encoded, 0, sizeof(refused) / sizeof(refused[0]));
	tcase_add_test(t, tables_not_encoded);
	tcase_add_test(t, rule_text);
	tcase_add_test(t, answers);
	suite_add_tcase(s, t);
	return suite_run(s);
}
