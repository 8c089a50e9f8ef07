/* fabricctl authority: makes the authority's key, and signs memberships with it. */
#include "fabricctl/identity.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "crypto/identity.h"
#include "crypto/keyfile.h"

#define DAY_S 86400ull
#define DEFAULT_EXPIRES_S (365 * DAY_S)

static const char usage[] =
    "usage: fabricctl authority init [-d dir] [--passphrase-file file | --no-passphrase]\n"
    "       fabricctl authority sign request --roles role[,...] --tenant tenant [--tier 0-9]\n"
    "                 [--expires 365d] [--address prefix ...] [-d dir] [-o file] [--passphrase-file file]\n"
    "       fabricctl authority revoke node ... [-d dir] [-o file] [--passphrase-file file]\n";

enum { OPT_PASSPHRASE_FILE = 256, OPT_NO_PASSPHRASE, OPT_ROLES, OPT_TENANT, OPT_TIER, OPT_EXPIRES, OPT_ADDRESS };

struct authority_options {
	const char	*dir;
	const char	*passphrase_file;
	bool		 no_passphrase;
	const char	*request;
	const char	*output;
	bool		 has_roles;
	uint64_t	 expires_s;
	struct record	 member;	/* what the words on the command line say of it */
};

/* --- init ------------------------------------------------------------------ */

static int
init_options(struct authority_options *o, int argc, char **argv)
{
	static const struct option longs[] = {
		{ "dir", required_argument, NULL, 'd' },
		{ "passphrase-file", required_argument, NULL, OPT_PASSPHRASE_FILE },
		{ "no-passphrase", no_argument, NULL, OPT_NO_PASSPHRASE },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, ":d:", longs, NULL)) != -1) {
		switch (c) {
		case 'd':
			o->dir = optarg;
			break;
		case OPT_PASSPHRASE_FILE:
			o->passphrase_file = optarg;
			break;
		case OPT_NO_PASSPHRASE:
			o->no_passphrase = true;
			break;
		default:
			return identity_bad_option(argv, usage);
		}
	}
	if (optind != argc || (o->no_passphrase && o->passphrase_file != NULL))
		return identity_usage(usage);
	return CMD_OK;
}

static int
authority_init(struct authority_options *o)
{
	char key[PATH_MAX], pub[PATH_MAX], err[KEYFILE_ERR_MAX];
	const char *words = NULL;
	struct sign_key k;
	int rv = CMD_FAILED;

	if (identity_path(key, o->dir, AUTHORITY_KEY_FILE) == -1 || identity_path(pub, o->dir, AUTHORITY_PUB_FILE) == -1)
		return CMD_FAILED;
	if (access(key, F_OK) == 0)	/* before a passphrase is asked; the write itself never overwrites */
		return identity_fail("%s: exists already, and a secret key is never overwritten", key);
	if (identity_mkdir(o->dir) == -1)
		return CMD_FAILED;
	if (!o->no_passphrase) {
		identity_passphrase_from(o->passphrase_file);
		if ((words = identity_passphrase_new()) == NULL)
			goto done;
	}
	if (sign_key_generate(&k) == -1) {
		identity_fail("authority key: the library cannot make one");
		goto done;
	}
	if (keyfile_write_secret(&k, key, words, err) == -1 || keyfile_write_public(k.public, pub, err) == -1)
		identity_fail("%s", err);
	else
		rv = CMD_OK;
	if (rv == CMD_OK)
		printf("%s: the authority's secret key%s: keep it offline\n%s: its public key: give it to every node\n",
		    key, words == NULL ? ", without a passphrase" : "", pub);
done:
	crypto_wipe(&k, sizeof(k));
	identity_passphrase_wipe();
	return rv;
}

/* --- sign ------------------------------------------------------------------ */

static int
option_roles(struct authority_options *o, const char *value)
{
	char bad[32];

	if (identity_roles(value, &o->member.roles, bad) == -1) {
		identity_fail("--roles: %s: not a role", bad);
		return -1;
	}
	o->has_roles = true;
	return 0;
}

static int
option_tenant(struct authority_options *o, const char *value)
{
	if (!identity_name_ok(value, RECORD_TENANT_MAX, true)) {
		identity_fail("--tenant: %.80s: must be [a-z0-9][a-z0-9.-]*, at most %d", value, RECORD_TENANT_MAX);
		return -1;
	}
	snprintf(o->member.tenant, sizeof(o->member.tenant), "%s", value);
	return 0;
}

static int
option_tier(struct authority_options *o, const char *value)
{
	if (value[0] < '0' || value[0] > '9' || value[1] != '\0') {
		identity_fail("--tier: %.80s: must be 0 to 9", value);
		return -1;
	}
	o->member.tier = (uint8_t)(value[0] - '0');
	return 0;
}

static int
option_expires(struct authority_options *o, const char *value)
{
	if (identity_duration(value, &o->expires_s) == 0)
		return 0;
	identity_fail("--expires: %.80s: must be a number and one of s, m, h, d, w; at most ten years", value);
	return -1;
}

static int
option_address(struct authority_options *o, const char *value)
{
	if (o->member.nprefixes == RECORD_ADDRS_MAX) {
		identity_fail("--address: at most %d", RECORD_ADDRS_MAX);
		return -1;
	}
	if (identity_prefix(value, &o->member.prefixes[o->member.nprefixes]) == -1) {
		identity_fail("--address: %.80s: not a prefix, or bits behind its length are set", value);
		return -1;
	}
	o->member.nprefixes++;
	return 0;
}

/* One option of sign: 0, -1 when its value is wrong (said), 1 when it is none. */
static int
sign_option(struct authority_options *o, int c, const char *value)
{
	switch (c) {
	case 'd':
		o->dir = value;
		return 0;
	case 'o':
		o->output = value;
		return 0;
	case OPT_PASSPHRASE_FILE:
		o->passphrase_file = value;
		return 0;
	case OPT_ROLES:
		return option_roles(o, value);
	case OPT_TENANT:
		return option_tenant(o, value);
	case OPT_TIER:
		return option_tier(o, value);
	case OPT_EXPIRES:
		return option_expires(o, value);
	case OPT_ADDRESS:
		return option_address(o, value);
	default:
		return 1;
	}
}

static int
sign_options(struct authority_options *o, int argc, char **argv)
{
	static const struct option longs[] = {
		{ "dir", required_argument, NULL, 'd' },
		{ "output", required_argument, NULL, 'o' },
		{ "passphrase-file", required_argument, NULL, OPT_PASSPHRASE_FILE },
		{ "roles", required_argument, NULL, OPT_ROLES },
		{ "tenant", required_argument, NULL, OPT_TENANT },
		{ "tier", required_argument, NULL, OPT_TIER },
		{ "expires", required_argument, NULL, OPT_EXPIRES },
		{ "address", required_argument, NULL, OPT_ADDRESS },
		{ NULL, 0, NULL, 0 },
	};
	int c, err;

	while ((c = getopt_long(argc, argv, ":d:o:", longs, NULL)) != -1) {
		if ((err = sign_option(o, c, optarg)) == 1)
			return identity_bad_option(argv, usage);
		if (err == -1)
			return CMD_USAGE;
	}
	if (optind != argc - 1 || !o->has_roles || o->member.tenant[0] == '\0')
		return identity_usage(usage);
	o->request = argv[optind];
	return CMD_OK;
}

/* A request that its own key signed, and that is not too old: 0, or -1 (said). */
static int
request_read(struct record *r, uint8_t *buf, size_t size, const char *path, uint64_t now)
{
	char err[KEYFILE_ERR_MAX];
	int len, e;

	if ((len = keyfile_read_record(buf, size, path, err)) == -1)
		identity_fail("%s", err);
	else if ((e = record_decode(r, buf, (size_t)len)) != RECORD_OK)
		identity_fail("%s: %s", path, record_strerror(e));
	else if (r->kind != RECORD_REQUEST)
		identity_fail("%s: a %s record, not a request", path, record_kind_name(r->kind));
	else if (record_verify(r) == -1)	/* decoding made sure that issuer and subject are one */
		identity_fail("%s: the request is not signed by its own key", path);
	else if (now >= r->not_after)
		identity_fail("%s: the request has expired; make another with `fabricctl node request'", path);
	else
		return 0;
	return -1;
}

/* The request's name with .cert for its ending. */
static int
output_path(char out[PATH_MAX], const struct authority_options *o)
{
	const char *base, *dot;
	size_t stem;

	if (o->output != NULL)
		stem = strlen(o->output);
	else {
		base = strrchr(o->request, '/');
		base = base == NULL ? o->request : base + 1;
		dot = strrchr(base, '.');
		stem = dot == NULL || dot == base ? strlen(o->request) : (size_t)(dot - o->request);
	}
	if (snprintf(out, PATH_MAX, "%.*s%s", (int)stem, o->output != NULL ? o->output : o->request,
	    o->output != NULL ? "" : ".cert") < PATH_MAX)
		return 0;
	identity_fail("%s: the name is too long", o->request);
	return -1;
}

static int
authority_sign(struct authority_options *o)
{
	uint8_t reqbuf[FRAME_RECORD_MAX], cert[FRAME_RECORD_MAX];
	char out[PATH_MAX], err[KEYFILE_ERR_MAX];
	struct record req, *m = &o->member;
	uint64_t now = clock_wall();
	struct sign_key k;
	int rv = CMD_FAILED;
	size_t len;

	if (output_path(out, o) == -1 || request_read(&req, reqbuf, sizeof(reqbuf), o->request, now) == -1)
		return CMD_FAILED;
	if (identity_authority_key(&k, o->dir, o->passphrase_file) == -1)
		goto done;
	m->kind = RECORD_MEMBERSHIP;
	m->subject = req.subject;
	m->serial = identity_serial();
	m->not_before = now;
	m->not_after = now + o->expires_s;
	memcpy(m->name, req.name, sizeof(m->name));
	if ((len = record_sign(cert, sizeof(cert), m, &k)) == 0)
		identity_fail("%s: the membership cannot be encoded", o->request);
	else if (keyfile_write_record(cert, len, out, err) == -1)
		identity_fail("%s", err);
	else
		rv = CMD_OK;
	if (rv == CMD_OK)
		printf("%s: %s, a member of %s for %llu %s\n", out, m->name, m->tenant,
		    (unsigned long long)(o->expires_s % DAY_S == 0 ? o->expires_s / DAY_S : o->expires_s),
		    o->expires_s % DAY_S == 0 ? "d" : "s");
done:
	crypto_wipe(&k, sizeof(k));
	identity_passphrase_wipe();
	return rv;
}

int
cmd_authority(int argc, char **argv)
{
	struct authority_options o = { .dir = IDENTITY_DIR, .expires_s = DEFAULT_EXPIRES_S };
	int rv;

	if (argc < 2)
		return identity_usage(usage);
	identity_no_core();
	crypto_init();
	optind = 0;		/* getopt_long() begins anew, whatever main() read before */
	opterr = 0;
	if (strcmp(argv[1], "init") == 0)
		return (rv = init_options(&o, argc - 1, argv + 1)) != CMD_OK ? rv : authority_init(&o);
	if (strcmp(argv[1], "revoke") == 0)
		return authority_revoke(argc - 1, argv + 1);
	if (strcmp(argv[1], "sign") == 0)
		return (rv = sign_options(&o, argc - 1, argv + 1)) != CMD_OK ? rv : authority_sign(&o);
	identity_fail("authority %s: no such command", argv[1]);
	return identity_usage(usage);
}
