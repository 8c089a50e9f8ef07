/* Two dataplanes of two tenants: whom routed has them meet, until when, and what that alone lets through. */
#include <check.h>

#include "dp_pair.h"
#include "dp_route.h"
#include "suite.h"

static void
tenants_say(struct node *n, bool others, const char *list)
{
	struct procmsg m = { .type = PM_TENANTS, .tenants = { others, { (const uint8_t *)list, strlen(list) } } };

	say(n, &m);
}

static void
permit_say(struct node *n, const struct node *far, bool all)
{
	struct procmsg m = { .type = PM_PERMIT, .permit.all = all };

	if (far != NULL)
		memcpy(m.permit.node_id, far->id, NODE_ID_LEN);
	say(n, &m);
}

/* Of two tenants: when both routeds say so, until one takes it back; and no default opens anything. */
START_TEST(tenants_meet_and_part)
{
	b.tenant = "office";
	node_start(&a);
	node_start(&b);
	node_target(&a, &b);
	ck_assert(RUN_UNTIL(base, 3000, a.routed.last_dial_reason == REASON_AUTH_TENANT));
	ck_assert_uint_eq(b.svc.tenants, 1);	/* an adapter hears it first of all */
	ck_assert_uint_eq(b.svc.tenants_len, 0);
	tenants_say(&b, false, "\4home");
	ck_assert(RUN_UNTIL(base, 3000, b.svc.tenants == 2 && b.vpnd.tenants == 2 && b.svc.tenants_len == 5));
	RUN_UNTIL(base, 500, false);
	ck_assert_uint_eq(a.vpnd.up + b.vpnd.up, 0);
	tenants_say(&a, true, "\3bad");
	ck_assert(RUN_UNTIL(base, 3000, a.vpnd.up == 1 && b.vpnd.up == 1));	/* no need to wait: it is dialled at once */
	/* Before routed has said anything, as well as by its word for all, it reaches nothing; the own tenant's do. */
	fake_open(&a.vpnd, 2, b.id, "vpn", CLASS_BULK);
	ipc_flush(a.vpnd.ipc);
	ck_assert(RUN_UNTIL(base, 3000, a.vpnd.resets == 1));
	ck_assert_uint_eq(a.vpnd.last_reset_reason, REASON_NOT_ALLOWED);
	permit_say(&b, NULL, true);
	fake_open(&a.vpnd, 4, b.id, "vpn", CLASS_BULK);
	ipc_flush(a.vpnd.ipc);
	ck_assert(RUN_UNTIL(base, 3000, a.vpnd.resets == 2));
	ck_assert_uint_eq(b.vpnd.opens, 0);
	permit_say(&b, NULL, false);
	permit_say(&b, &a, true);
	fake_open(&a.vpnd, 6, b.id, "vpn", CLASS_BULK);
	ipc_flush(a.vpnd.ipc);
	ck_assert(RUN_UNTIL(base, 3000, b.vpnd.opens == 1));
	/* The same again, or another list with the same meaning for it: nothing happens. */
	tenants_say(&b, false, "\4home");
	tenants_say(&a, false, "\6office");
	RUN_UNTIL(base, 1500, false);
	ck_assert_uint_eq(a.vpnd.down + b.vpnd.down, 0);
	ck_assert_uint_eq(b.svc.tenants, 2);
	/* The node has another name: it begins anew, and meets whom it met. */
	b.name = "bb";
	node_configure(&b, false);
	ck_assert(RUN_UNTIL(base, 5000, a.vpnd.up == 2 && b.vpnd.up == 2));
	/* It has a moment, and no more: the policy that parts them goes over this very session. */
	tenants_say(&b, false, "");
	RUN_UNTIL(base, 50, false);
	ck_assert_uint_eq(b.svc.tenants, 3);
	event_active(b.dp->second, EV_TIMEOUT, 1);
	RUN_UNTIL(base, 50, false);
	ck_assert_uint_eq(b.vpnd.down, 1);
	ck_assert(RUN_UNTIL(base, 1500, a.vpnd.down == 2 && b.vpnd.down == 2));
	ck_assert_uint_eq(a.vpnd.last_down_reason, REASON_AUTH_TENANT);
	ck_assert(RUN_UNTIL(base, 3000, a.routed.last_dial_reason == REASON_AUTH_TENANT));
	ck_assert_uint_eq(b.vpnd.up, 2);
	/* A list that is none: routed has gone mad. */
	tenants_say(&b, false, "\7home");
	ck_assert(RUN_UNTIL(base, 1000, b.routed.closed));
}
END_TEST

int
main(void)
{
	const TTest *const tests[] = { tenants_meet_and_part };

	crypto_init();
	return suite_run(suite_of("dptenants", tests, sizeof(tests) / sizeof(tests[0]), pair_make, pair_free));
}
