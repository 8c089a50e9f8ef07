/*
 * policy.conf(5): what each form of a statement means (as the compiled policy prints it), what is wrong with others, in which
 * line and which word; tests inside the file; and that what is printed parses again to the same.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "fabricctl/policy_conf.h"
#include "suite.h"

#define ID_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define ID_B "0123456789012345678901234567890123456789012345678901234567890123"

static struct policy_conf *
parse(const char *text, char err[POLICY_CONF_ERR_MAX])
{
	return policy_conf_parse("p", text, strlen(text), err);
}

static struct policy_conf *
parsed(const char *text)
{
	char err[POLICY_CONF_ERR_MAX];
	struct policy_conf *c = parse(text, err);

	ck_assert_msg(c != NULL, "%s", err);
	ck_assert_str_eq(err, "");
	return c;
}

static char *
printed(const struct policy_conf *c)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	ck_assert_ptr_nonnull(f);
	policy_print(f, c->policy);
	fclose(f);
	return text;
}

/* --- what is meant ------------------------------------------------------------------------------------ */

static const struct {
	const char *text, *means;
} statements[] = {
	{ "", "" },
	{ "# nothing\n\n", "" },
	{ "block all", "block from any to any\t# line 1\n" },
	{ "\npass quick all\n", "pass quick from any to any\t# line 2\n" },
	{ "block relay all\n", "block relay by any for any\t# line 1\n" },
	{ "pass from any to any\n", "pass from any to any\t# line 1\n" },
	{ "pass from role relay to role { entry relay }\n", "pass from role relay to role { entry relay }\t# line 1\n" },
	{ "pass from role {\n\trelay\n\n\tentry\n}\tto any\n", "pass from role { entry relay } to any\t# line 1\n" },
	{ "pass from node b to node { c \"a\" c }", "pass from node \"b\" to node { \"a\" \"c\" }\t# line 1\n" },
	{ "pass from tenant acme to tenant { acme bolt }", "pass from tenant \"acme\" to tenant { \"acme\" \"bolt\" }\t# line 1\n" },
	{ "pass from id " ID_A " to id { " ID_B " }", "pass from id " ID_A " to id " ID_B "\t# line 1\n" },
	{ "pass from id AAAAAAAAAAAAAAAAaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa to any",
	    "pass from id " ID_A " to any\t# line 1\n" },
	{ "pass from tier 3 to tier 0", "pass from tier 3 to tier 0\t# line 1\n" },
	{ "pass from tier 3- to tier 3-7", "pass from tier 3-9 to tier 3-7\t# line 1\n" },
	{ "pass from tier 0-9 to any", "pass from any to any\t# line 1\n" },
	{ "pass from tier 5 role exit node a tenant b to any",
	    "pass from node \"a\" role exit tenant \"b\" tier 5 to any\t# line 1\n" },
	{ "pass from any to service ssh", "pass from any to service \"ssh\"\t# line 1\n" },
	{ "pass from any to service { www ssh } on node a class bulk",
	    "pass from any to service { \"ssh\" \"www\" } on node \"a\" class bulk\t# line 1\n" },
	{ "pass from any to service ssh on any", "pass from any to service \"ssh\"\t# line 1\n" },
	{ "block from any to any class { bulk dns }", "block from any to any class { dns bulk }\t# line 1\n" },
	{ "block from any to any class { control dns interactive reliable bulk droppable }",
	    "block from any to any\t# line 1\n" },
	{ "pass across tenants from tenant a to tenant b", "pass across tenants from tenant \"a\" to tenant \"b\"\t# line 1\n" },
	{ "pass quick across tenants from any to any", "pass quick across tenants from any to any\t# line 1\n" },
	{ "pass relay across tenants by role entry for any", "pass relay across tenants by role entry for any\t# line 1\n" },
	{ "pass quick relay by any for tenant a class bulk bandwidth 20 Mbit",
	    "pass quick relay by any for tenant \"a\" class bulk bandwidth 20 Mbit\t# line 1\n" },
	{ "pass relay by any for any bandwidth 1500 kbit", "pass relay by any for any bandwidth 1500 Kbit\t# line 1\n" },
	{ "pass relay by any for any bandwidth 2000 Mbit", "pass relay by any for any bandwidth 2 Gbit\t# line 1\n" },
	{ "pass relay by any for any bandwidth 4294 Gbit", "pass relay by any for any bandwidth 4294 Gbit\t# line 1\n" },
	{ "pass relay by any for any streams 1", "pass relay by any for any streams 1\t# line 1\n" },
	{ "pass relay by any for any class bulk bandwidth 1 Mbit streams 1048576",
	    "pass relay by any for any class bulk bandwidth 1 Mbit streams 1048576\t# line 1\n" },
	{ "pass from node \"streams\" to any", "pass from node \"streams\" to any\t# line 1\n" },
	{ "block from any \\\n to any", "block from any to any\t# line 1\n" },
	{ "who = \"role entry\"\npass from $who to any", "pass from role entry to any\t# line 2\n" },
	{ "some = \"a b\"\npass from node { $some c } to any", "pass from node { \"a\" \"b\" \"c\" } to any\t# line 2\n" },
	{ "table <t> { a }\npass from <t> to any", "table <t> {\n\tnode \"a\"\n}\npass from <t> to any\t# line 2\n" },
	{ "table <t> { a b tenant x tier 2\n role relay\n\n id " ID_A " tenant y\n node { c d } }",
	    "table <t> {\n\tnode \"a\"\n\tnode \"b\" tenant \"x\" tier 2\n\trole relay\n\ttenant \"y\" id " ID_A "\n"
	    "\tnode { \"c\" \"d\" }\n}\n" },
	{ "table <u> { a }\ntable <t> { b }\nblock from <u> !<t> to !<u> <t>",
	    "table <t> {\n\tnode \"b\"\n}\ntable <u> {\n\tnode \"a\"\n}\nblock from <u> !<t> to <t> !<u>\t# line 3\n" },
	{ "node a role relay tenant t\ntest { relay a for a : pass }\n", "" },
};

START_TEST(meaning)
{
	struct policy_conf *c = parsed(statements[_i].text);
	char *text = printed(c);

	ck_assert_str_eq(text, statements[_i].means);
	free(text);
	policy_conf_free(c);
}
END_TEST

/* The lines of rules are not those of the file; all else is. */
static void
no_lines(struct policy_source *s)
{
	for (uint32_t i = 0; i < s->nrules; i++)
		s->rule[i].line = 0;
}

static size_t
encoded(uint8_t buf[POLICY_MAX], struct policy_conf *c)
{
	const char *why;

	no_lines(&c->source);
	return policy_encode(buf, POLICY_MAX, &c->source, &why);
}

START_TEST(again)
{
	static uint8_t a[POLICY_MAX], b[POLICY_MAX];
	struct policy_conf *c = parsed(statements[_i].text), *d;
	char *text = printed(c);
	size_t n = encoded(a, c);

	d = parsed(text);
	ck_assert_uint_gt(n, 0);
	ck_assert_uint_eq(encoded(b, d), n);
	ck_assert_mem_eq(a, b, n);
	free(text);
	policy_conf_free(c);
	policy_conf_free(d);
}
END_TEST

/* --- what is wrong ------------------------------------------------------------------------------------ */

static const struct {
	const char *text, *says;
} wrong[] = {
	{ "\nnonsense\n", "p:2: unknown word \"nonsense\"" },
	{ "pass form any to any", "p:1: unknown word \"form\"" },
	{ "pass from any to", "p:1: the file ends inside a statement or block" },
	{ "pass\n", "p:1: the line ends too early" },
	{ "pass from any to any any", "p:1: \"any\" is not expected here" },
	{ "pass from any any to any", "p:1: \"any\" is not expected here" },
	{ "pass from to any", "p:1: \"to\" is not expected here" },
	{ "pass from role boss to any", "p:1: \"boss\" is no role" },
	{ "pass from role { relay\nboss } to any", "p:2: \"boss\" is no role" },
	{ "pass from role { } to any", "p:1: \"}\" is not expected here" },
	{ "pass from role relay role exit to any", "p:1: \"role\" is given twice" },
	{ "pass from tenant Acme to any", "p:1: \"Acme\" is no name for a tenant: small letters, digits, \".\" and \"-\"" },
	{ "pass from node \"a b\" to any", "p:1: \"a b\" is no name for a node: small letters, digits, \".\" and \"-\"" },
	{ "pass from id abc to any", "p:1: \"abc\" is no node id: 64 hexadecimal digits" },
	{ "pass from tier 10 to any", "p:1: tier \"10\" is not one of 0 to 9, nor a range of them such as 3-7 or 3-" },
	{ "pass from tier 7-3 to any", "p:1: tier \"7-3\" is not one of 0 to 9, nor a range of them such as 3-7 or 3-" },
	{ "pass from tier 3-77 to any", "p:1: tier \"3-77\" is not one of 0 to 9, nor a range of them such as 3-7 or 3-" },
	{ "pass from tier \"\" to any", "p:1: tier \"\" is not one of 0 to 9, nor a range of them such as 3-7 or 3-" },
	{ "pass from tier -3 to any", "p:1: tier \"-3\" is not one of 0 to 9, nor a range of them such as 3-7 or 3-" },
	{ "pass from tier 3 tier 4 to any", "p:1: \"4\" is given twice" },
	{ "pass from any to service a.b", "p:1: \"a.b\" is no name for a service: small letters, digits and \"-\"" },
	{ "pass from any to service directory",
	    "p:1: \"directory\" is the fabric's own service, which no policy decides about" },
	{ "pass from any to any class fast", "p:1: \"fast\" is no class" },
	{ "block across tenants from any to any", "p:1: \"across\": a block rule holds across tenants without it" },
	{ "pass from tenant a to tenant b", "p:1: \"pass\" from tenant \"a\" to \"b\" has to say \"across tenants\"" },
	{ "pass relay by role exit for any", "p:1: \"pass\": only a node with the role relay or entry relays" },
	{ "pass relay by any for any bandwidth 20", "p:1: the file ends inside a statement or block" },
	{ "pass relay by any for any bandwidth 20 MB", "p:1: \"MB\" is no unit of bandwidth: Kbit, Mbit or Gbit" },
	{ "pass relay by any for any bandwidth 0 Mbit", "p:1: bandwidth \"0\" is not within 1 Kbit and 4294 Gbit" },
	{ "pass relay by any for any bandwidth 4295 Gbit", "p:1: bandwidth \"4295\" is not within 1 Kbit and 4294 Gbit" },
	{ "block relay by any for any bandwidth 1 Mbit", "p:1: bandwidth \"1\": a block rule has none" },
	{ "pass from any to any bandwidth 1 Mbit", "p:1: \"bandwidth\" is not expected here" },
	{ "pass relay by any for any streams 0", "p:1: streams \"0\" is not within 1 and 1048576" },
	{ "pass relay by any for any streams 1048577", "p:1: streams \"1048577\" is not within 1 and 1048576" },
	{ "pass relay by any for any streams many", "p:1: unknown word \"many\"" },
	{ "pass relay by any for any streams 1 streams 2", "p:1: \"streams\" is not expected here" },
	{ "block relay by any for any streams 1", "p:1: streams \"1\": a block rule has none" },
	{ "pass from any to any streams 1", "p:1: \"streams\" is not expected here" },
	{ "pass relay by any to any", "p:1: \"to\" is not expected here" },
	{ "pass from <t> to any\ntable <t> { a }", "p:1: table \"<t>\" is not defined, or further below" },
	{ "pass from any to !<t>", "p:1: table \"<t>\" is not defined, or further below" },
	{ "pass from <> to any", "p:1: \"<>\" is no table: one is written <name>" },
	{ "pass from ! to any", "p:1: \"!\" is no table: one is written <name>" },
	{ "table <A> { a }", "p:1: \"<A>\" is no name for a table: small letters, digits, \".\" and \"-\"" },
	{ "table <t> { a }\ntable <t> { b }", "p:2: table \"<t>\" is defined twice" },
	{ "table <t> {\n\n}", "p:3: table \"<t>\" has nothing in it" },
	{ "table <t> { a }\ntable <u> { <t> }", "p:2: \"<t>\": a table cannot hold another" },
	{ "table <t> { a tenant x tenant y }", "p:1: \"tenant\" is given twice" },
	{ "table <t> { a node b }", "p:1: \"node\" is given twice" },
	{ "table <t> { a", "p:1: the file ends inside a statement or block" },
	{ "table t { a }", "p:1: unknown word \"t\"" },
	{ "node a role relay", "p:1: node \"a\" needs a tenant" },
	{ "node a tenant { t u }", "p:1: tenant \"u\": a node has one" },
	{ "node a tenant t tier 3-4", "p:1: tier \"3-4\": a node has one" },
	{ "node a tenant t id { " ID_A " " ID_B " }", "p:1: id \"" ID_B "\": a node has one" },
	{ "node a tenant t\nnode a tenant t", "p:2: node \"a\" is described twice" },
	{ "node a", "p:1: the file ends inside a statement or block" },
	{ "test { a to ssh: pass }", "p:1: \"ssh\" is no service of a node: service@node" },
	{ "test { a to ssh@: pass }", "p:1: \"\" is no name for a node" },
	{ "test { a to @b: pass }", "p:1: \"\" is no name for a service: small letters, digits and \"-\"" },
	{ "test { a to probe@b: pass }", "p:1: \"probe\" is the fabric's own service, which no policy decides about" },
	{ "test { a to ssh@b pass }", "p:1: \"pass\" is not expected here" },
	{ "test {\na to ssh@b class fast: pass }", "p:2: \"fast\" is no class" },
	{ "test { a to ssh@b: maybe }", "p:1: unknown word \"maybe\"" },
	{ "a = b\na = c", "p:2: macro \"a\" is defined twice, or there are too many" },
	{ "a-b = c", "p:1: \"a-b\" is no name for a macro" },
	{ "block from $x to any", "p:1: macro \"$x\" is not defined" },
	{ "block from \"a to any", "p:1: a string does not end on its line" },
	{ "include \"/etc/passwd\"", "p:1: unknown word \"include\"" },
};

START_TEST(errors)
{
	char err[POLICY_CONF_ERR_MAX];
	struct policy_conf *c = parse(wrong[_i].text, err);

	ck_assert_msg(c == NULL, "taken: %s", wrong[_i].text);
	ck_assert_str_eq(err, wrong[_i].says);
}
END_TEST

/* A text cut off anywhere is a policy, or has an error with a line of it. */
START_TEST(cut_off)
{
	static const char text[] = "m = \"a b\"\ntable <t> { $m tenant x\nrole relay }\nblock quick from !<t> to service { s r } on "
	    "tier 3 class bulk\npass relay by any for <t> bandwidth 3 Mbit\nnode a roles relay tenant t\n"
	    "test { a to s@a class bulk: block\nrelay a for a : pass }\n";
	char err[POLICY_CONF_ERR_MAX];
	struct policy_conf *c;

	for (size_t i = 0; i < sizeof(text); i++) {
		char *exact = malloc(i);

		memcpy(exact, text, i);
		c = policy_conf_parse("p", exact, i, err);
		ck_assert(c != NULL || strncmp(err, "p:", 2) == 0);
		policy_conf_free(c);
		free(exact);
	}
	ck_assert_ptr_nonnull(c = parsed(text));
	policy_conf_free(c);
}
END_TEST

START_TEST(limits)
{
	size_t len = 0, size = 1 << 20;
	char *text = malloc(size), err[POLICY_CONF_ERR_MAX];

	for (unsigned i = 0; i <= POLICY_RULES_MAX; i++)
		len += (size_t)snprintf(text + len, size - len, "pass all\n");
	ck_assert_ptr_null(parse(text, err));
	ck_assert_str_eq(err, "p:4097: this rule is one too many: 4096 at most");
	len = 0;
	for (unsigned i = 0; i <= POLICY_TABLES_MAX; i++)
		len += (size_t)snprintf(text + len, size - len, "table <t%u> { a }\n", i);
	ck_assert_ptr_null(parse(text, err));
	ck_assert_str_eq(err, "p:257: table \"<t256>\" is one too many: 256 at most");
	len = (size_t)snprintf(text, size, "table <t> {\n");
	for (unsigned i = 0; i < 3000; i++)
		len += (size_t)snprintf(text + len, size - len, "a-long-name-of-a-node-number-%u\n", i);
	snprintf(text + len, size - len, "}\n");
	ck_assert_ptr_null(parse(text, err));
	ck_assert_str_eq(err, "p:3003: the policy is too large: 60000 bytes at most when it is compiled");
	free(text);
}
END_TEST

/* --- tests in the file --------------------------------------------------------------------------------- */

#define NODES \
	"node phone roles mobile-edge tenant acme tier 3\nnode home roles service-host tenant acme tier 5\n" \
	"node relay-2 roles { relay exit } tenant acme\nnode rival roles relay tenant bolt\n"
#define RULES \
	"block all\npass from role mobile-edge to service ssh on role service-host class interactive\n" \
	"pass relay by role relay for any class { interactive reliable }\n"

static const struct {
	const char *test, *why;		/* NULL: it comes out */
} tests[] = {
	{ "phone to ssh@home class interactive: pass", NULL },
	{ "phone to ssh@home class interactive: block", "phone to ssh@home class interactive: pass by line 6, not block" },
	{ "phone to ssh@home class bulk : block", NULL },
	{ "phone to ssh@home class bulk : pass", "phone to ssh@home class bulk: block by line 5, not pass" },
	{ "phone to ssh@home class { interactive bulk } : pass", "phone to ssh@home class bulk: block by line 5, not pass" },
	{ "phone to ssh@home: pass", "phone to ssh@home class control: block by line 5, not pass" },
	{ "home to ssh@phone: block", NULL },
	{ "phone to www@home: block", NULL },
	{ "phone to ssh@rival: block", NULL },
	{ "relay relay-2 for phone class interactive: pass", NULL },
	{ "relay relay-2 for phone: pass", NULL },	/* bulk by the default */
	{ "relay rival for phone: block", NULL },
	{ "relay rival for phone: pass", "relay rival for phone class control: block by the default, not pass" },
	{ "relay home for phone: block", NULL },
	{ "ghost to ssh@home: block", "node \"ghost\" is not described, by a node line or a membership" },
	{ "phone to ssh@ghost: block", "node \"ghost\" is not described, by a node line or a membership" },
};

START_TEST(in_file)
{
	char text[1024], why[POLICY_CONF_ERR_MAX] = "";
	struct policy_conf *c;
	bool ok;

	snprintf(text, sizeof(text), NODES RULES "test {\n%s\n}\n", tests[_i].test);
	c = parsed(text);
	ck_assert_uint_eq(c->ntests, 1);
	ck_assert_uint_eq(c->tests[0].line, 9);
	ok = policy_conf_test(c, &c->tests[0], why);
	ck_assert_msg(ok == (tests[_i].why == NULL), "%s: %s", tests[_i].test, why);
	if (!ok)
		ck_assert_str_eq(why, tests[_i].why);
	policy_conf_free(c);
}
END_TEST

/* A membership takes the place of a line of its name, with its roles and its id; a second one of that name does not. */
START_TEST(members)
{
	static const uint8_t key[RECORD_KEY_LEN] = { 1 };
	struct record m = { .kind = RECORD_MEMBERSHIP, .subject = key, .name = "phone", .tenant = "bolt", .roles = 1u << ROLE_EXIT,
	    .tier = 7 };
	struct policy_conf *c = parsed(NODES);
	const struct policy_conf_node *n;

	ck_assert_int_eq(policy_conf_member(c, &m), 0);
	ck_assert_uint_eq(c->nnodes, 4);
	ck_assert_ptr_nonnull(n = policy_conf_find(c, "phone"));
	ck_assert(n->has_id && n->roles == m.roles && n->tier == 7 && strcmp(n->tenant, "bolt") == 0);
	ck_assert_int_eq(policy_conf_member(c, &m), -1);
	strcpy(m.name, "new");
	ck_assert_int_eq(policy_conf_member(c, &m), 0);
	ck_assert_uint_eq(c->nnodes, 5);
	ck_assert_ptr_nonnull(policy_conf_find(c, "rival"));
	policy_conf_free(c);
}
END_TEST

/* The shipped example is a policy, and its tests come out. */
START_TEST(example)
{
	char err[POLICY_CONF_ERR_MAX];
	const char *why;
	size_t len;
	char *text = lex_read_file("etc/policy.conf.example", &len, &why);
	struct policy_conf *c;

	ck_assert_msg(text != NULL, "%s", why);
	c = policy_conf_parse("etc/policy.conf.example", text, len, err);
	ck_assert_msg(c != NULL, "%s", err);
	ck_assert_uint_gt(c->ntests, 5);
	for (uint32_t i = 0; i < c->ntests; i++)
		ck_assert_msg(policy_conf_test(c, &c->tests[i], err), "line %u: %s", c->tests[i].line, err);
	policy_conf_free(c);
	free(text);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("policy_conf");
	TCase *t = tcase_create("policy_conf");

	tcase_add_loop_test(t, meaning, 0, sizeof(statements) / sizeof(statements[0]));
	tcase_add_loop_test(t, again, 0, sizeof(statements) / sizeof(statements[0]));
	tcase_add_loop_test(t, errors, 0, sizeof(wrong) / sizeof(wrong[0]));
	tcase_add_test(t, cut_off);
	tcase_add_test(t, limits);
	tcase_add_loop_test(t, in_file, 0, sizeof(tests) / sizeof(tests[0]));
	tcase_add_test(t, members);
	tcase_add_test(t, example);
	suite_add_tcase(s, t);
	return suite_run(s);
}
