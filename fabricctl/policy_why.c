/* fabricctl policy show and why: a compiled policy as text, and which of its rules decides. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/hex.h"
#include "crypto/identity.h"
#include "crypto/keyfile.h"
#include "fabricctl/client.h"
#include "fabricctl/identity.h"
#include "fabricctl/policy_cmd.h"

#define WAIT_S		20	/* as the other requests */
#define RULE_TEXT	1024	/* of a rule, to people: as much as a row's text holds */
#define CLASSES_ALL	((1u << CLASS_COUNT) - 1)

/* --- show --------------------------------------------------------------------------------------------- */

static const char *
date(char out[32], uint64_t seconds)
{
	time_t t = (time_t)seconds;
	struct tm tm;

	if (gmtime_r(&t, &tm) == NULL || strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		snprintf(out, 32, "?");
	return out;
}

/* What a signed policy says of itself. False: the signature is bad, or another's than it should be. */
static bool
show_record(const struct policy_options *o, const struct record *r, const uint8_t *authority, struct rows *rows)
{
	bool good = record_verify(r) == 0, match = authority == NULL || memcmp(r->issuer, authority, RECORD_KEY_LEN) == 0;
	char key[2 * RECORD_KEY_LEN + 1], from[32], until[32];
	struct row_writer w;

	hex_encode(key, r->issuer, RECORD_KEY_LEN);
	row_init(&w);
	row_str(&w, "issuer", key);
	row_uint(&w, "policy_version", r->serial);
	row_uint(&w, "not_before_s", r->not_before);
	row_uint(&w, "not_after_s", r->not_after);
	row_bool(&w, "verifies", good && match);
	rows_add(rows, &(struct frame_bytes){ w.buf, w.len });
	if (!o->json)
		printf("# policy, version %" PRIu64 ", by %s\n# %s to %s; signature %s%s\n", r->serial, key,
		    date(from, r->not_before), date(until, r->not_after), good ? "good" : "bad",
		    match ? "" : ", of another authority");
	return good && match;
}

static void
add_rules(struct rows *rows, const struct policy *p)
{
	char text[RULE_TEXT];
	struct row_writer w;

	for (uint32_t i = 1; i <= policy_rules(p); i++) {
		row_init(&w);
		row_uint(&w, "rule", i);
		row_uint(&w, "line", policy_rule_line(p, i));
		policy_rule_text(text, sizeof(text), p, i);
		row_str(&w, "text", text);
		rows_add(rows, &(struct frame_bytes){ w.buf, w.len });
	}
}

int
policy_show(const struct policy_options *o)
{
	uint8_t authority[SIGN_PUBLIC_LEN];
	struct rows rows = { .n = 0 };
	char err[KEYFILE_ERR_MAX];
	struct policy_file f;
	int rv = CMD_OK;

	if (o->authority != NULL && keyfile_read_public(authority, o->authority, err) == -1)
		return policy_say(o, CMD_FAILED, "%s", err);
	if (policy_file_read(&f, o, false) == -1)
		return CMD_FAILED;
	if (f.rec.kind == 0 && o->authority != NULL)
		rv = policy_say(o, CMD_FAILED, "%s: nobody has signed it", o->file);
	else if (f.rec.kind != 0 && !show_record(o, &f.rec, o->authority == NULL ? NULL : authority, &rows))
		rv = CMD_FAILED;
	add_rules(&rows, f.conf->policy);
	if (!o->json)
		policy_print(stdout, f.conf->policy);
	else if (f.rec.kind != 0 || rv == CMD_OK)
		json_print(stdout, o->command, &rows, rv, NULL);
	rows_free(&rows);
	policy_file_free(&f);
	return rv;
}

/* --- why ---------------------------------------------------------------------------------------------- */

struct asking {
	const struct policy_options *o;
	const struct policy_conf *c;
	struct policy_node src;
	char		service[FRAME_SERVICE_MAX + 1];
	uint8_t		classes;
	struct rows	reach, relays;
	bool		any;		/* a node is reached in all classes that were asked about */
};

static void
add_answer(struct rows *rows, const struct policy *p, const char *what, const char *node, const struct policy_answer *a)
{
	char classes[POLICY_CLASSES_TEXT], text[RULE_TEXT];
	struct row_writer w;

	row_init(&w);
	row_str(&w, what, node);
	row_str(&w, "class", policy_classes_text(classes, a->classes));
	row_str(&w, "verdict", a->verdict.pass ? "pass" : "block");
	if (a->verdict.kbps != 0)
		row_uint(&w, "kbps", a->verdict.kbps);
	if (a->verdict.streams != 0)
		row_uint(&w, "streams", a->verdict.streams);
	row_uint(&w, "rule", a->verdict.rule);
	row_uint(&w, "line", a->verdict.line);
	policy_rule_text(text, sizeof(text), p, a->verdict.rule);
	row_str(&w, "text", text);
	rows_add(rows, &(struct frame_bytes){ w.buf, w.len });
}

static void
why_reach(struct asking *a, const struct policy_node *dest)
{
	struct policy_answer out[CLASS_COUNT];
	size_t n = policy_answers(a->c->policy, &a->src, dest, a->service, a->classes, out);
	bool all = true;

	for (size_t i = 0; i < n; i++) {
		add_answer(&a->reach, a->c->policy, "node", dest->name, &out[i]);
		all = all && out[i].verdict.pass;
	}
	a->any = a->any || all;
}

static void
why_relay(struct asking *a, const struct policy_node *relay)
{
	struct policy_answer out[CLASS_COUNT];
	size_t n;

	if (!(relay->roles & (1u << ROLE_RELAY | 1u << ROLE_ENTRY)))
		return;
	n = policy_answers(a->c->policy, relay, &a->src, NULL, a->classes, out);
	for (size_t i = 0; i < n; i++)
		add_answer(&a->relays, a->c->policy, "relay", relay->name, &out[i]);
}

/* By its name, or its id. */
static const struct policy_conf_node *
node_named(const struct policy_conf *c, const char *name)
{
	uint8_t id[NODE_ID_LEN];

	if (hex_decode(id, sizeof(id), name) == 0)
		for (uint32_t i = 0; i < c->nnodes; i++)
			if (c->nodes[i].has_id && memcmp(c->nodes[i].id, id, sizeof(id)) == 0)
				return &c->nodes[i];
	return policy_conf_find(c, name);
}

/* "service" or "service@node": 0, or -1 after saying why; *dest NULL when none is named. */
static int
target_parse(struct asking *a, const char *target, const struct policy_conf_node **dest)
{
	size_t len = strcspn(target, "@");

	*dest = NULL;
	if (len > FRAME_SERVICE_MAX)
		return policy_say(a->o, -1, "%.80s: no service", target);
	memcpy(a->service, target, len);
	a->service[len] = '\0';
	if (!identity_name_ok(a->service, FRAME_SERVICE_MAX, false))
		return policy_say(a->o, -1, "%.80s: no service", target);
	if (target[len] == '@' && (*dest = node_named(a->c, target + len + 1)) == NULL)
		return policy_say(a->o, -1, "node \"%.80s\" is not described, by a node line or a membership", target + len + 1);
	return 0;
}

static int
why_print(struct asking *a, int status, const char *error)
{
	struct rows *r = &a->reach;

	if (a->o->json) {
		for (size_t i = 0; i < a->relays.n; i++)
			rows_add(r, &a->relays.list[i]);
		json_print(stdout, a->o->command, r, status, error);
	} else {
		table_print(stdout, r);
		if (a->relays.n > 0) {
			putchar('\n');
			table_print(stdout, &a->relays);
		}
	}
	rows_free(r);
	rows_free(&a->relays);
	return status;
}

static int
why_from_file(const struct policy_options *o, const char *src, const char *target)
{
	const struct policy_conf_node *from, *dest = NULL;
	struct policy_node n;
	struct policy_file f;
	struct asking a = { .o = o, .classes = o->classes == 0 ? CLASSES_ALL : o->classes };
	int rv = CMD_USAGE;

	if (policy_file_read(&f, o, false) == -1)
		return CMD_USAGE;
	a.c = f.conf;
	if ((from = node_named(f.conf, src)) == NULL)
		policy_say(o, -1, "node \"%.80s\" is not described, by a node line or a membership", src);
	else if (target_parse(&a, target, &dest) == 0) {
		a.src = policy_conf_as_node(from);
		for (uint32_t i = 0; i < f.conf->nnodes; i++) {
			n = policy_conf_as_node(&f.conf->nodes[i]);
			if (&f.conf->nodes[i] != from && (dest == NULL || dest == &f.conf->nodes[i]))
				why_reach(&a, &n);
			if (&f.conf->nodes[i] != from && dest != &f.conf->nodes[i])
				why_relay(&a, &n);
		}
		rv = why_print(&a, a.any ? CMD_OK : CMD_FAILED, NULL);
	}
	policy_file_free(&f);
	return rv;
}

static void
keep_row(const struct frame_bytes *row, void *arg)
{
	struct asking *a = arg;
	struct row_field f;

	rows_add(row_find(row, "relay", &f) ? &a->relays : &a->reach, row);
}

/* A running node knows the policy that holds, and all nodes. */
static int
why_from_node(const struct policy_options *o, const char *src, const char *target)
{
	char argument[PM_TEXT_MAX + 1], text[PM_TEXT_MAX + 1], classes[POLICY_CLASSES_TEXT] = "";
	struct asking a = { .o = o };
	struct client *c;
	int n, status;

	if (o->classes != 0)
		policy_classes_text(classes, o->classes);
	n = snprintf(argument, sizeof(argument), "%s %s%s%s", src, target, classes[0] != '\0' ? " " : "", classes);
	if (n < 0 || (size_t)n >= sizeof(argument))
		return policy_say(o, CMD_USAGE, "%.80s %.80s: the names are too long", src, target);
	if ((c = client_open(o->socket)) == NULL)
		return CMD_USAGE;
	status = client_request(c, "policy-why", argument, 0, WAIT_S, keep_row, &a, text);
	client_close(c);
	if (status == -1) {
		rows_free(&a.reach);
		rows_free(&a.relays);
		return CMD_USAGE;
	}
	if (!o->json && text[0] != '\0')
		fprintf(stderr, "fabricctl: %s\n", text);
	return why_print(&a, status, text);
}

int
policy_why(const struct policy_options *o, const char *src, const char *target)
{
	if (o->file != NULL)
		return why_from_file(o, src, target);
	if (o->nmembers > 0)
		return policy_say(o, CMD_USAGE, "-m: only with -f; a running node has its directory");
	return why_from_node(o, src, target);
}
