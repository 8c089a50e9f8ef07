/* How much a lease may carry: what its source asks for, and what the policy lets the relays on it carry. */
#include "lease_world.h"
#include "suite.h"

#include "fabric/policy_build.h"

/* The relays may relay; this one no more than so many streams, and so much, for each route, in these classes (0: all). */
static void
relay_rule(struct policy_source *s, const char *relay, uint8_t classes, uint32_t streams, uint32_t kbps)
{
	struct policy_source_rule *r = policy_add_rule(s);

	ck_assert_ptr_nonnull(r);
	r->pass = r->relay = true;
	r->classes = classes;
	r->streams = streams;
	r->kbps = kbps;
	ck_assert(relay == NULL || policy_add_word(&r->from.names, relay) == 0);
}

static void
streams_are(uint32_t by_relay, uint32_t by_other)
{
	ck_assert_int_eq(issue(), LEASE_OK);
	ck_assert_int_eq(nout, 2);
	for (int i = 0; i < nout; i++) {
		bool other = strcmp(path(&out[i]), "0143") == 0;
		struct ticket k;

		for (unsigned hop = 0; hop < out[i].n; hop++) {
			ck_assert_int_eq(shown(&out[i], hop, &k), TICKET_OK);
			ck_assert_uint_eq(k.streams, other ? by_other : by_relay);
			ck_assert_uint_eq(k.kbps, other ? 8000 : 6000);
		}
	}
}

/* All tickets of a route have the tightest limit that the policy gives any relay on it, in any of its classes. */
START_TEST(limits_of_the_policy)
{
	struct policy_source s = { .nrules = 0 };
	uint8_t buf[1000];
	struct policy *p;
	const char *err;
	size_t len;
	int e;

	begin();
	relay_rule(&s, NULL, 0, 0, 0);
	relay_rule(&s, "entry-one", 0, 9, 8000);
	relay_rule(&s, "relay-two", 0, 5, 6000);
	relay_rule(&s, "relay-two", 1u << CLASS_BULK, 2, 6000);
	ck_assert_uint_gt(len = policy_encode(buf, sizeof(buf), &s, &err), 0);
	ck_assert_ptr_nonnull(p = policy_load(buf, len, &e));
	policy_source_clear(&s);
	coordinator_policy(c, p);
	ask.classes = 1u << CLASS_INTERACTIVE;
	streams_are(5, 9);
	ask.classes = 1u << CLASS_INTERACTIVE | 1u << CLASS_BULK;
	streams_are(2, 9);
	ask.streams = 4;		/* a source may ask for less */
	streams_are(2, 4);
	end();
	policy_free(p);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("lease_limits");
	TCase *tc = tcase_create("lease_limits");

	tcase_add_unchecked_fixture(tc, keys_make, NULL);
	tcase_add_test(tc, limits_of_the_policy);
	suite_add_tcase(s, tc);
	return suite_run(s);
}
