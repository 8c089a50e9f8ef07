/* fabricctl policy: checks, tests and signs policy.conf(5). */
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "crypto/identity.h"
#include "crypto/keyfile.h"
#include "fabricctl/identity.h"
#include "fabricctl/policy_cmd.h"

#define DAY_S 86400ull
#define DEFAULT_EXPIRES_S (3650 * DAY_S)	/* a node without a valid policy would let everybody do everything */

static const char usage[] =
    "usage: fabricctl policy check file [--json]\n"
    "       fabricctl policy test file [-m membership ...] [--json]\n"
    "       fabricctl policy sign file [-d dir] -o file [-m membership ...] [--expires 3650d] [--passphrase-file file]\n"
    "       fabricctl policy show file [--authority file] [--json]\n"
    "       fabricctl policy why node service[@node] [class class[,...]] [-f file [-m membership ...]] [--json]\n";

enum { OPT_PASSPHRASE_FILE = 256, OPT_EXPIRES, OPT_AUTHORITY };

/* --- what is said ------------------------------------------------------------------------------------- */

int
policy_say(const struct policy_options *o, int status, const char *fmt, ...)
{
	char text[KEYFILE_ERR_MAX + POLICY_CONF_ERR_MAX];
	struct rows none = { .n = 0 };
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (o->json)
		json_print(stdout, o->command, &none, status == -1 ? o->failed : status, text);
	else
		fprintf(stderr, "fabricctl: %s\n", text);
	return status;
}

int
policy_rows(const struct policy_options *o, struct rows *r, int status)
{
	if (o->json)
		json_print(stdout, o->command, r, status, NULL);
	else
		table_print(stdout, r);
	rows_free(r);
	return status;
}

/* --- files -------------------------------------------------------------------------------------------- */

static int
read_record(struct policy_file *f, const struct policy_options *o)
{
	char err[KEYFILE_ERR_MAX], why[POLICY_CONF_ERR_MAX];
	int len, e;

	if ((f->bytes = malloc(RECORD_LARGE_MAX)) == NULL)
		return policy_say(o, -1, "out of memory");
	if ((len = keyfile_read_record(f->bytes, RECORD_LARGE_MAX, o->file, err)) == -1)
		return policy_say(o, -1, "%s", err);
	if ((e = record_decode(&f->rec, f->bytes, (size_t)len)) != RECORD_OK)
		return policy_say(o, -1, "%s: %s", o->file, record_strerror(e));
	if (f->rec.kind != RECORD_POLICY)
		return policy_say(o, -1, "%s: a %s record, not a policy", o->file, record_kind_name(f->rec.kind));
	if ((f->conf = policy_conf_load(o->file, f->rec.content.p, f->rec.content.len, why)) == NULL)
		return policy_say(o, -1, "%s", why);
	return 0;
}

static bool
is_record(const char *text, size_t len)
{
	return (len >= 2 && memcmp(text, "FR", 2) == 0) || (len >= 5 && memcmp(text, "-----", 5) == 0);
}

/* A membership whose own signature is good; whose authority it is, is for `policy sign' to ask. */
static int
read_member(struct policy_conf *c, const struct policy_options *o, const char *path)
{
	uint8_t buf[FRAME_RECORD_MAX];
	char err[KEYFILE_ERR_MAX];
	struct record r;
	int len, e;

	if ((len = keyfile_read_record(buf, sizeof(buf), path, err)) == -1)
		return policy_say(o, -1, "%s", err);
	if ((e = record_decode(&r, buf, (size_t)len)) != RECORD_OK)
		return policy_say(o, -1, "%s: %s", path, record_strerror(e));
	if (r.kind != RECORD_MEMBERSHIP)
		return policy_say(o, -1, "%s: a %s record, not a membership", path, record_kind_name(r.kind));
	if (record_verify(&r) == -1)
		return policy_say(o, -1, "%s: its signature is bad", path);
	if (policy_conf_member(c, &r) == -1)
		return policy_say(o, -1, "%s: another membership is named \"%s\", too, or there are too many", path, r.name);
	return 0;
}

int
policy_file_read(struct policy_file *f, const struct policy_options *o, bool text_only)
{
	char err[POLICY_CONF_ERR_MAX];
	const char *why;
	size_t len;
	char *text;
	int rv = 0;

	memset(f, 0, sizeof(*f));
	if ((text = lex_read_file(o->file, &len, &why)) == NULL)
		return policy_say(o, -1, "%s: %s", o->file, why);
	if (!text_only && is_record(text, len))
		rv = read_record(f, o);
	else if ((f->conf = policy_conf_parse(o->file, text, len, err)) == NULL)
		rv = policy_say(o, -1, "%s", err);
	free(text);
	for (size_t i = 0; rv == 0 && i < o->nmembers; i++)
		rv = read_member(f->conf, o, o->members[i]);
	if (rv == -1)
		policy_file_free(f);
	return rv;
}

void
policy_file_free(struct policy_file *f)
{
	policy_conf_free(f->conf);
	free(f->bytes);
	memset(f, 0, sizeof(*f));
}

/* --- check and test ----------------------------------------------------------------------------------- */

static int
policy_check(const struct policy_options *o)
{
	struct rows rows = { .n = 0 };
	const struct policy_conf *c;
	struct policy_file f;
	struct row_writer w;

	if (policy_file_read(&f, o, true) == -1)
		return CMD_FAILED;
	c = f.conf;
	row_init(&w);
	row_str(&w, "file", o->file);
	row_uint(&w, "rules", c->source.nrules);
	row_uint(&w, "tables", c->source.ntables);
	row_uint(&w, "tests", c->ntests);
	row_uint(&w, "bytes", c->len);
	rows_add(&rows, &(struct frame_bytes){ w.buf, w.len });
	policy_file_free(&f);
	return policy_rows(o, &rows, CMD_OK);
}

/* Runs them all; `rows' (may be NULL) gets one each, or those that fail are said on stderr. How many failed. */
static unsigned
run_tests(const struct policy_options *o, const struct policy_conf *c, struct rows *rows)
{
	char why[POLICY_CONF_ERR_MAX];
	unsigned failed = 0;

	for (uint32_t i = 0; i < c->ntests; i++) {
		bool ok = policy_conf_test(c, &c->tests[i], why);
		struct row_writer w;

		failed += !ok;
		if (rows != NULL) {
			row_init(&w);
			row_uint(&w, "line", c->tests[i].line);
			row_bool(&w, "ok", ok);
			row_str(&w, "detail", ok ? "" : why);
			rows_add(rows, &(struct frame_bytes){ w.buf, w.len });
		} else if (!ok) {
			fprintf(stderr, "fabricctl: %s:%u: %s\n", o->file, c->tests[i].line, why);
		}
	}
	return failed;
}

static int
policy_test(const struct policy_options *o)
{
	struct rows rows = { .n = 0 };
	struct policy_file f;
	unsigned failed, all;

	if (policy_file_read(&f, o, true) == -1)
		return CMD_FAILED;
	failed = run_tests(o, f.conf, o->json ? &rows : NULL);
	all = f.conf->ntests;
	policy_file_free(&f);
	if (o->json)
		return policy_rows(o, &rows, failed > 0 ? CMD_FAILED : CMD_OK);
	printf("%s: %u of %u tests failed\n", o->file, failed, all);
	return failed > 0 ? CMD_FAILED : CMD_OK;
}

/* --- sign --------------------------------------------------------------------------------------------- */

/* The tests speak of nodes that this authority made what they are. */
static int
members_check(const struct policy_options *o, const struct sign_key *k)
{
	uint8_t buf[FRAME_RECORD_MAX];
	char err[KEYFILE_ERR_MAX];
	struct record r;
	int len;

	for (size_t i = 0; i < o->nmembers; i++) {
		if ((len = keyfile_read_record(buf, sizeof(buf), o->members[i], err)) == -1)
			return policy_say(o, -1, "%s", err);
		if (record_decode(&r, buf, (size_t)len) != RECORD_OK || memcmp(r.issuer, k->public, RECORD_KEY_LEN) != 0)
			return policy_say(o, -1, "%s: a membership of another authority", o->members[i]);
	}
	return 0;
}

/* A version above that of the policy which is replaced, also when the clock went back since. */
static uint64_t
next_version(const struct policy_options *o, const struct sign_key *k)
{
	uint64_t version = identity_serial();
	uint8_t *old = malloc(RECORD_LARGE_MAX);
	char err[KEYFILE_ERR_MAX];
	struct record r;
	int len;

	if (old != NULL && (len = keyfile_read_record(old, RECORD_LARGE_MAX, o->output, err)) != -1 &&
	    record_decode(&r, old, (size_t)len) == RECORD_OK && r.kind == RECORD_POLICY &&
	    memcmp(r.issuer, k->public, RECORD_KEY_LEN) == 0 && r.serial >= version)
		version = r.serial + 1;
	free(old);
	return version;
}

static int
sign_and_write(const struct policy_options *o, const struct policy_conf *c, const struct sign_key *k)
{
	struct record r = { .kind = RECORD_POLICY, .subject = k->public, .content = { c->compiled, c->len } };
	uint8_t *buf = malloc(RECORD_LARGE_MAX);
	char err[KEYFILE_ERR_MAX];
	size_t len;
	int rv = CMD_FAILED;

	r.not_before = clock_wall();
	r.not_after = r.not_before + o->expires_s;
	r.serial = next_version(o, k);
	if (buf == NULL || (len = record_sign(buf, RECORD_LARGE_MAX, &r, k)) == 0)
		policy_say(o, -1, "%s: the record cannot be made", o->output);
	else if (keyfile_write_record(buf, len, o->output, err) == -1)
		policy_say(o, -1, "%s", err);
	else
		rv = CMD_OK;
	free(buf);
	if (rv == CMD_OK)
		printf("%s: policy, version %" PRIu64 ", %zu rules\n", o->output, r.serial, policy_rules(c->policy));
	return rv;
}

static int
policy_sign(const struct policy_options *o)
{
	struct policy_file f;
	struct sign_key k;
	int rv = CMD_FAILED;

	if (policy_file_read(&f, o, true) == -1)
		return CMD_FAILED;
	if (run_tests(o, f.conf, NULL) > 0) {	/* before a passphrase is asked */
		policy_file_free(&f);
		return policy_say(o, CMD_FAILED, "%s: not signed: its tests fail", o->file);
	}
	identity_no_core();
	crypto_init();
	memset(&k, 0, sizeof(k));
	if (identity_authority_key(&k, o->dir, o->passphrase_file) == 0 && members_check(o, &k) == 0)
		rv = sign_and_write(o, f.conf, &k);
	crypto_wipe(&k, sizeof(k));
	identity_passphrase_wipe();
	policy_file_free(&f);
	return rv;
}

/* --- the command line --------------------------------------------------------------------------------- */

/* "interactive,bulk" to bits; 0 when a word is no class (said). */
static uint8_t
classes_parse(const char *s)
{
	char word[32];
	uint8_t bits = 0;
	int class;

	for (;; s += strcspn(s, ",") + 1) {
		snprintf(word, sizeof(word), "%.*s", (int)(strcspn(s, ",") < 31 ? strcspn(s, ",") : 31), s);
		if ((class = class_parse(word)) == -1) {
			identity_fail("class %.80s: \"%s\" is no class", s, word);
			return 0;
		}
		bits |= (uint8_t)(1u << class);
		if (s[strcspn(s, ",")] == '\0')
			return bits;
	}
}

/* 0, or the exit status after saying what is wrong. */
static int
option(struct policy_options *o, int c, const char *value)
{
	switch (c) {
	case 'd':
		o->dir = value;
		return 0;
	case 'f':
		o->file = value;
		return 0;
	case 'j':
		o->json = true;
		return 0;
	case 'm':
		o->members[o->nmembers++] = value;
		return 0;
	case 'o':
		o->output = value;
		return 0;
	case 's':
		o->socket = value;
		return 0;
	case OPT_PASSPHRASE_FILE:
		o->passphrase_file = value;
		return 0;
	case OPT_AUTHORITY:
		o->authority = value;
		return 0;
	case OPT_EXPIRES:
		if (identity_duration(value, &o->expires_s) == 0)
			return 0;
		identity_fail("--expires: %.80s: must be a number and one of s, m, h, d, w; at most ten years", value);
		return CMD_USAGE;
	default:
		return -1;
	}
}

static const struct command {
	const char	*name;
	const char	*options;	/* short ones that it has; long ones begin with it */
	bool		 expires, authority;
	int		(*run)(const struct policy_options *);	/* of a file */
} commands[] = {
	{ "check", ":j", false, false, policy_check }, { "test", ":jm:", false, false, policy_test },
	{ "sign", ":d:o:m:", true, false, policy_sign }, { "show", ":j", false, true, policy_show },
	{ "why", ":jf:m:s:", false, false, NULL },
};

static int
options(struct policy_options *o, const struct command *c, int argc, char **argv)
{
	static const struct option longs[] = {
		{ "json", no_argument, NULL, 'j' }, { "member", required_argument, NULL, 'm' },
		{ "dir", required_argument, NULL, 'd' }, { "output", required_argument, NULL, 'o' },
		{ "file", required_argument, NULL, 'f' },
		{ "expires", required_argument, NULL, OPT_EXPIRES }, { "authority", required_argument, NULL, OPT_AUTHORITY },
		{ "passphrase-file", required_argument, NULL, OPT_PASSPHRASE_FILE }, { NULL, 0, NULL, 0 },
	};
	int opt, rv;

	while ((opt = getopt_long(argc, argv, c->options, longs, NULL)) != -1) {
		if (opt < 256 && (opt == '?' || opt == ':' || strchr(c->options, opt) == NULL))
			return identity_bad_option(argv, usage);
		if ((opt == OPT_AUTHORITY && !c->authority) ||
		    ((opt == OPT_EXPIRES || opt == OPT_PASSPHRASE_FILE) && !c->expires))
			return identity_bad_option(argv, usage);
		if ((rv = option(o, opt, optarg)) != 0)
			return rv;
	}
	return 0;
}

/* "node service@node" and perhaps "class a,b". */
static int
run_why(struct policy_options *o, int argc, char **argv)
{
	if ((argc != 2 && argc != 4) || (argc == 4 && strcmp(argv[2], "class") != 0))
		return identity_usage(usage);
	if (argc == 4 && (o->classes = classes_parse(argv[3])) == 0)
		return CMD_USAGE;
	return policy_why(o, argv[0], argv[1]);
}

static int
run(struct policy_options *o, const struct command *c, int argc, char **argv)
{
	char name[32];
	int rv;

	snprintf(name, sizeof(name), "policy %s", c->name);
	o->command = name;
	o->failed = c->run == NULL ? CMD_USAGE : CMD_FAILED;
	if ((rv = options(o, c, argc, argv)) != 0)
		return rv;
	if (c->run == NULL)
		return run_why(o, argc - optind, argv + optind);
	if (argc - optind != 1 || (c->expires && o->output == NULL))
		return identity_usage(usage);
	o->file = argv[optind];
	o->json = o->json && !c->expires;	/* sign has nothing to tell a program but its status */
	return c->run(o);
}

int
cmd_policy(const char *socket, bool json, int argc, char **argv)
{
	struct policy_options o = { .dir = IDENTITY_DIR, .expires_s = DEFAULT_EXPIRES_S, .socket = socket, .json = json };
	int rv;

	if (argc < 2)
		return identity_usage(usage);
	if ((o.members = calloc((size_t)argc, sizeof(*o.members))) == NULL)
		return identity_fail("out of memory");
	optind = 0;		/* getopt_long() begins anew, whatever main() read before */
	opterr = 0;
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(argv[1], commands[i].name) == 0) {
			rv = run(&o, &commands[i], argc - 1, argv + 1);
			free(o.members);
			return rv;
		}
	free(o.members);
	identity_fail("policy %s: no such command", argv[1]);
	return identity_usage(usage);
}
