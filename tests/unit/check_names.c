/* What a person means by SERVICE[@NODE], from signed records and the nodes that are up. */
#include <check.h>

#include "e2e_world.h"
#include "suite.h"
#include "svchostd/names.h"

static struct world w;
static struct names *ns;
static struct nodes nodes;
static struct e2e_service found;
static uint64_t reason;
static char err[PM_TEXT_MAX + 1];
static uint8_t self[NODE_ID_LEN] = { 0xff, 1 };

static const char *tenant = WORLD_TENANT;	/* of whom something is said next */

static uint64_t
put(struct world_node *n, const char *name)
{
	struct pm_service m;

	memset(n->s.name, 0, sizeof(n->s.name));
	memcpy(n->s.name, name, strlen(name));
	world_node_sign(n);
	memcpy(m.node_id, n->self.node_id, NODE_ID_LEN);
	m.record = (struct frame_bytes){ n->sbuf, n->slen };
	m.foreign = strcmp(tenant, WORLD_TENANT) != 0;
	return names_put(ns, &m, WORLD_NOW);
}

static void
up(const struct world_node *n, const char *name, uint32_t roles)
{
	struct pm_peer_up m = { .roles = roles };

	memcpy(m.node_id, n->self.node_id, NODE_ID_LEN);
	strcpy(m.name, name);
	strcpy(m.tenant, tenant);
	ck_assert_int_eq(nodes_up(&nodes, &m, WORLD_TENANT), 0);
}

static void
rtt(const struct world_node *n, uint32_t us)
{
	struct pm_peer_stat m = { .rtt_us = us };

	memcpy(m.node_id, n->self.node_id, NODE_ID_LEN);
	nodes_stat(&nodes, &m);
}

static int
resolve(const char *text)
{
	return names_resolve(ns, &nodes, self, text, WORLD_NOW, &found, &reason, err);
}

static void
is(const char *text, const struct world_node *n)
{
	ck_assert_msg(resolve(text) == 0, "%s: %s", text, err);
	ck_assert_uint_eq(reason, REASON_NONE);
	ck_assert_mem_eq(found.node_id, n->self.node_id, NODE_ID_LEN);
	ck_assert_mem_eq(found.key, n->self.key.public, NOISE_DH_LEN);
}

static void
is_not(const char *text, uint64_t why, const char *says)
{
	ck_assert_msg(resolve(text) == -1, "%s is found", text);
	ck_assert_msg(reason == why, "%s: %s, not %s", text, reason_name(reason), reason_name(why));
	ck_assert_str_eq(err, says);
}

static void
setup(void)
{
	world_init(&w);
	ns = names_new();
	memset(&nodes, 0, sizeof(nodes));
}

static void
teardown(void)
{
	names_free(ns);
	nodes_free(&nodes);
}

#define HOST (1u << ROLE_SERVICE_HOST)

START_TEST(one_node)
{
	is_not("ssh", REASON_NO_SERVICE, "no service \"ssh\" is known");
	ck_assert_uint_eq(put(&w.b, "ssh"), REASON_NONE);
	is_not("ssh", REASON_UNREACHABLE, "there is no session to a node that serves \"ssh\"");
	up(&w.b, "home", HOST);
	is("ssh", &w.b);
	is("ssh@home", &w.b);
	ck_assert_uint_eq(found.class, CLASS_INTERACTIVE);
	is_not("ftp", REASON_NO_SERVICE, "no service \"ftp\" is known");
	is_not("ssh@nowhere", REASON_NO_SERVICE, "nowhere: no such node");
	up(&w.a, "phone", HOST);
	is_not("ssh@phone", REASON_NO_SERVICE, "no service \"ssh@phone\" is known");
	nodes_all_down(&nodes);
	is_not("ssh", REASON_UNREACHABLE, "there is no session to a node that serves \"ssh\"");
}
END_TEST

static const uint8_t *
away(const char *text)
{
	static uint8_t id[NODE_ID_LEN];
	bool has;

	ck_assert_int_eq(names_resolve_or(ns, &nodes, self, text, WORLD_NOW, &found, id, &has, &reason, err), -1);
	return has ? id : NULL;
}

/* Whose way is wanted when a name leads nowhere: that of who serves it and is not up, or of the node that was named. */
START_TEST(who_is_away)
{
	struct pm_conf_peer peer = { .name = "named" };
	const struct world_node *low = memcmp(w.a.self.node_id, w.b.self.node_id, NODE_ID_LEN) < 0 ? &w.a : &w.b;

	ck_assert_ptr_null(away("ssh"));	/* nobody knows */
	ck_assert_ptr_null(away("ssh@nowhere"));
	ck_assert_uint_eq(put(&w.a, "ssh"), REASON_NONE);
	ck_assert_uint_eq(put(&w.b, "ssh"), REASON_NONE);
	ck_assert_mem_eq(away("ssh"), low->self.node_id, NODE_ID_LEN);
	memcpy(peer.node_id, w.b.self.node_id, NODE_ID_LEN);
	ck_assert_int_eq(nodes_configure(&nodes, &peer), 0);
	ck_assert_mem_eq(away("ssh@named"), w.b.self.node_id, NODE_ID_LEN);
	ck_assert_uint_eq(reason, REASON_UNREACHABLE);
	ck_assert_mem_eq(away("ftp@named"), w.b.self.node_id, NODE_ID_LEN);	/* its records may come with it */
	ck_assert_uint_eq(reason, REASON_NO_SERVICE);
	up(&w.b, "b", 0);
	ck_assert_ptr_null(away("ftp@named"));	/* it is up, and does not serve it */
	ck_assert_ptr_null(away("ssh@named"));	/* nor may it */
	ck_assert_uint_eq(reason, REASON_NOT_ALLOWED);
}
END_TEST

START_TEST(of_several)
{
	struct world_node *low = &w.a, *high = &w.b;

	if (memcmp(w.a.self.node_id, w.b.self.node_id, NODE_ID_LEN) > 0) {
		low = &w.b;
		high = &w.a;
	}
	ck_assert_uint_eq(put(low, "ssh"), REASON_NONE);
	ck_assert_uint_eq(put(high, "ssh"), REASON_NONE);
	ck_assert_uint_eq(names_count(ns), 2);
	up(high, "high", HOST);
	is("ssh", high);		/* the other is not up */
	up(low, "low", HOST);
	is("ssh", low);			/* the first by id, as long as nothing is measured */
	rtt(high, 5000);
	is("ssh", high);		/* what is measured before what is not */
	rtt(low, 5001);
	is("ssh", high);
	rtt(low, 4999);
	is("ssh", low);
	is("ssh@high", high);
	up(low, "low", 0);		/* it may not: another may */
	is("ssh", high);
}
END_TEST

/* Another tenant's node is meant by who names it, and by nobody else: not when it is nearer, nor when it alone serves. */
START_TEST(another_tenant)
{
	put(&w.a, "ssh");
	up(&w.a, "home", 1u << ROLE_SERVICE_HOST);
	rtt(&w.a, 9000);
	tenant = "office";
	put(&w.b, "ssh");
	put(&w.b, "web");
	up(&w.b, "home", 1u << ROLE_SERVICE_HOST);
	rtt(&w.b, 10);
	is("ssh", &w.a);
	is("ssh@home", &w.a);	/* its name is no better than that of this tenant's */
	ck_assert_int_eq(resolve("web"), -1);
	ck_assert_uint_eq(reason, REASON_NO_SERVICE);
	up(&w.b, "host-b", 1u << ROLE_SERVICE_HOST);
	is("ssh@host-b", &w.b);
	is("web@host-b", &w.b);
	nodes_down(&nodes, w.b.self.node_id);
	ck_assert_int_eq(resolve("web"), -1);
	ck_assert_uint_eq(reason, REASON_NO_SERVICE);
	tenant = WORLD_TENANT;
}
END_TEST

START_TEST(role)
{
	ck_assert_uint_eq(put(&w.b, "ssh"), REASON_NONE);
	up(&w.b, "home", ~HOST);
	is_not("ssh", REASON_NOT_ALLOWED, "who serves \"ssh\" has not the role service-host");
	is_not("ssh@home", REASON_NOT_ALLOWED, "who serves \"ssh@home\" has not the role service-host");
}
END_TEST

START_TEST(oneself)
{
	ck_assert_uint_eq(put(&w.b, "ssh"), REASON_NONE);
	up(&w.b, "home", HOST);
	memcpy(self, w.b.self.node_id, NODE_ID_LEN);
	is_not("ssh", REASON_UNREACHABLE, "only this node itself serves \"ssh\"");
	self[0] ^= 1;
	is("ssh", &w.b);
}
END_TEST

START_TEST(changes)
{
	struct pm_service_del del = { .name = "ssh" };
	struct noise_key old = w.b.self.key;

	up(&w.b, "home", HOST);
	ck_assert_uint_eq(put(&w.b, "ssh"), REASON_NONE);
	/* Another key, as after a restart, takes the first one's place. */
	memset(w.b.self.key.secret, 77, sizeof(w.b.self.key.secret));
	ck_assert_int_eq(noise_key_from_secret(&w.b.self.key), 0);
	ck_assert_uint_eq(put(&w.b, "ssh"), REASON_NONE);
	ck_assert_uint_eq(names_count(ns), 1);
	is("ssh", &w.b);
	ck_assert_mem_ne(found.key, old.public, NOISE_DH_LEN);
	memcpy(del.node_id, w.a.self.node_id, NODE_ID_LEN);
	names_del(ns, &del);		/* of another node */
	is("ssh", &w.b);
	memcpy(del.node_id, w.b.self.node_id, NODE_ID_LEN);
	names_del(ns, &del);
	is_not("ssh", REASON_NO_SERVICE, "no service \"ssh\" is known");
	ck_assert_uint_eq(put(&w.b, "ssh"), REASON_NONE);
	names_clear(ns);
	ck_assert_uint_eq(names_count(ns), 0);
	is_not("ssh", REASON_NO_SERVICE, "no service \"ssh\" is known");
}
END_TEST

/* On a new channel all is told again: until then what was said holds, and what is not said again goes. */
START_TEST(told_again)
{
	up(&w.b, "home", HOST);
	ck_assert_uint_eq(put(&w.b, "ssh"), REASON_NONE);
	ck_assert_uint_eq(put(&w.b, "web"), REASON_NONE);
	names_sweep(ns);
	ck_assert_uint_eq(names_count(ns), 2);
	names_stale(ns);
	is("ssh", &w.b);
	is("web", &w.b);
	ck_assert_uint_eq(put(&w.b, "web"), REASON_NONE);
	ck_assert_uint_eq(put(&w.b, "new"), REASON_NONE);
	names_sweep(ns);
	ck_assert_uint_eq(names_count(ns), 2);
	is_not("ssh", REASON_NO_SERVICE, "no service \"ssh\" is known");
	is("web", &w.b);
	is("new", &w.b);
}
END_TEST

START_TEST(records)
{
	struct pm_service m;

	/* Another node's record under this one's id. */
	memcpy(m.node_id, w.a.self.node_id, NODE_ID_LEN);
	m.record = (struct frame_bytes){ w.b.sbuf, w.b.slen };
	ck_assert_uint_eq(names_put(ns, &m, WORLD_NOW), REASON_AUTH_NODE);
	/* Changed. */
	memcpy(m.node_id, w.b.self.node_id, NODE_ID_LEN);
	w.b.sbuf[w.b.slen - 1] ^= 1;
	ck_assert_uint_ne(names_put(ns, &m, WORLD_NOW), REASON_NONE);
	/* Not a service's. */
	m.record = (struct frame_bytes){ w.b.dbuf, w.b.dlen };
	ck_assert_uint_eq(names_put(ns, &m, WORLD_NOW), REASON_AUTH_RECORD);
	/* Over. */
	w.b.s.not_after = WORLD_NOW - 1;
	w.b.s.not_before = WORLD_NOW - 10;
	ck_assert_uint_eq(put(&w.b, "ssh"), REASON_AUTH_EXPIRED);
	ck_assert_uint_eq(names_count(ns), 0);
}
END_TEST

/* One that was good when it came is no good after its time. */
START_TEST(expires)
{
	up(&w.b, "home", HOST);
	ck_assert_uint_eq(put(&w.b, "ssh"), REASON_NONE);
	ck_assert_int_eq(names_resolve(ns, &nodes, self, "ssh", w.b.s.not_after - 1, &found, &reason, err), 0);
	ck_assert_int_eq(names_resolve(ns, &nodes, self, "ssh", w.b.s.not_after, &found, &reason, err), -1);
	ck_assert_uint_eq(reason, REASON_NO_SERVICE);
}
END_TEST

static const char *const no_names[] = {
	"", "@", "@home", "SSH", "s.h", "ssh ", "-ssh", "ssh\n",
	"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
};

START_TEST(no_name)
{
	is_not(no_names[_i], REASON_NO_SERVICE, "that names no service: SERVICE or SERVICE@NODE");
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("names");
	TCase *tc = tcase_create("names");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, one_node);
	tcase_add_test(tc, who_is_away);
	tcase_add_test(tc, of_several);
	tcase_add_test(tc, another_tenant);
	tcase_add_test(tc, role);
	tcase_add_test(tc, oneself);
	tcase_add_test(tc, changes);
	tcase_add_test(tc, told_again);
	tcase_add_test(tc, records);
	tcase_add_test(tc, expires);
	tcase_add_loop_test(tc, no_name, 0, sizeof(no_names) / sizeof(no_names[0]));
	suite_add_tcase(s, tc);
	return suite_run(s);
}
