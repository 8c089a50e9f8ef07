/*
 * A compiled policy from anywhere: it is refused, or it answers, unbuilds and is encoded again to the same bytes.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fabric/policy_build.h"

int	LLVMFuzzerTestOneInput(const uint8_t *in, size_t len);

static void
ask(const struct policy *p)
{
	static const uint8_t id[NODE_ID_LEN] = { 0x11 };
	const struct policy_node a = { id, "phone-a", "acme", 1u << ROLE_MOBILE_EDGE, 3 };
	const struct policy_node b = { NULL, "home-1", "bolt", 1u << ROLE_RELAY, 5 };
	struct policy_verdict v;
	char text[80];

	for (unsigned class = 0; class <= CLASS_COUNT; class++) {
		v = policy_reach(p, &a, &b, "ssh", class);
		if (v.rule > policy_rules(p) || (class == CLASS_COUNT && v.pass))
			abort();
		policy_rule_text(text, sizeof(text), p, v.rule);
		v = policy_relay(p, &b, &a, class);
		if (v.rule > policy_rules(p) || (v.pass && v.rule == 0))	/* of different tenants */
			abort();
		if (v.pass && !policy_relay_for_tenant(p, &b, a.tenant, class).pass)
			abort();
		if (policy_relay(p, &a, &b, class).pass)
			abort();
		if (policy_reach(p, &a, &b, "ssh", class).pass && !policy_reach_any(p, &a, &b, class).pass)
			abort();
	}
}

/* Whoever may do anything with another tenant's, of these two, meets it; and what is told of all is what is said of two. */
static void
meet(const struct policy *p)
{
	const struct policy_node a = { NULL, "phone-a", "acme", 1u << ROLE_MOBILE_EDGE, 3 };
	const struct policy_node b = { NULL, "home-1", "bolt", 1u << ROLE_RELAY, 5 };
	static struct tenants t;
	bool met = policy_meet(p, "acme", "bolt");

	for (unsigned class = 0; class < CLASS_COUNT; class++)
		if (!met && (policy_reach(p, &a, &b, "ssh", class).pass || policy_reach(p, &b, &a, "ssh", class).pass ||
		    policy_relay(p, &b, &a, class).pass))
			abort();
	if (met != policy_meet(p, "bolt", "acme") || !policy_meet(p, "acme", "acme"))
		abort();
	tenants_init(&t, "acme");
	if (policy_tenants(p, &t) == 0 ? tenants_meet(&t, "bolt") != met : tenants_meet(&t, "bolt") && !met)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *in, size_t len)
{
	static uint8_t again[POLICY_MAX];
	struct policy_source s;
	const char *why;
	struct policy *p;
	FILE *f;
	int err;

	if ((p = policy_load(in, len, &err)) == NULL) {
		if (err >= 0)
			abort();
		return 0;
	}
	ask(p);
	meet(p);
	if ((f = fopen("/dev/null", "w")) == NULL)
		abort();
	policy_print(f, p);
	fclose(f);
	if (policy_unbuild(&s, p) == -1 || policy_encode(again, sizeof(again), &s, &why) != len || memcmp(again, in, len) != 0)
		abort();
	policy_source_clear(&s);
	policy_free(p);
	return 0;
}
