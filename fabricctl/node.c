/* fabricctl node: makes a node's key and its request, and installs the membership that comes back. */
#include "fabricctl/identity.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hex.h"
#include "crypto/identity.h"
#include "crypto/keyfile.h"

#define REQUEST_LIFE_S (90ull * 86400)	/* an old request found in a mailbox is not signed */

static const char usage[] =
    "usage: fabricctl node init --name name [-d dir]\n"
    "       fabricctl node request --name name [-d dir]\n"
    "       fabricctl node install cert [-d dir] [--authority file]\n";

enum { OPT_NAME = 256, OPT_AUTHORITY };

struct node_options {
	const char	*dir;
	const char	*name;
	const char	*authority;
	const char	*cert;
};

static int
node_options(struct node_options *o, int argc, char **argv)
{
	static const struct option longs[] = {
		{ "dir", required_argument, NULL, 'd' },
		{ "name", required_argument, NULL, OPT_NAME },
		{ "authority", required_argument, NULL, OPT_AUTHORITY },
		{ NULL, 0, NULL, 0 },
	};
	bool installs = strcmp(argv[0], "install") == 0;
	int c;

	while ((c = getopt_long(argc, argv, ":d:", longs, NULL)) != -1) {
		if (c == 'd')
			o->dir = optarg;
		else if (c == OPT_NAME && !installs)
			o->name = optarg;
		else if (c == OPT_AUTHORITY && installs)
			o->authority = optarg;
		else
			return identity_bad_option(argv, usage);
	}
	if (argc - optind != (installs ? 1 : 0) || (!installs && o->name == NULL))
		return identity_usage(usage);
	o->cert = argv[optind];
	if (o->name == NULL || identity_name_ok(o->name, RECORD_NAME_MAX, true))
		return CMD_OK;
	identity_fail("--name: %.80s: must be [a-z0-9][a-z0-9.-]*, at most %d", o->name, RECORD_NAME_MAX);
	return CMD_USAGE;
}

/* Writes the node's request, signed by itself, and prints its id. */
static int
request_write(const struct node_options *o, const struct sign_key *k)
{
	char path[PATH_MAX], err[KEYFILE_ERR_MAX], hex[2 * NODE_ID_LEN + 1];
	struct record r = { .kind = RECORD_REQUEST, .subject = k->public, .serial = identity_serial() };
	uint8_t buf[FRAME_RECORD_MAX], id[NODE_ID_LEN];
	size_t len;

	if (identity_path(path, o->dir, NODE_REQUEST_FILE) == -1)
		return CMD_FAILED;
	r.not_before = clock_wall();
	r.not_after = r.not_before + REQUEST_LIFE_S;
	snprintf(r.name, sizeof(r.name), "%s", o->name);
	if ((len = record_sign(buf, sizeof(buf), &r, k)) == 0)
		return identity_fail("%s: the request cannot be encoded", path);
	if (keyfile_write_record(buf, len, path, err) == -1)
		return identity_fail("%s", err);
	node_id_from_key(id, k->public);
	printf("%s\n", hex_encode(hex, id, sizeof(id)));
	return CMD_OK;
}

static int
node_init(const struct node_options *o)
{
	char path[PATH_MAX], err[KEYFILE_ERR_MAX];
	struct sign_key k;
	int rv = CMD_FAILED;

	if (identity_path(path, o->dir, NODE_KEY_FILE) == -1 || identity_mkdir(o->dir) == -1)
		return CMD_FAILED;
	if (sign_key_generate(&k) == -1)
		identity_fail("node key: the library cannot make one");
	else if (keyfile_write_secret(&k, path, NULL, err) == -1)
		identity_fail("%s", err);
	else
		rv = request_write(o, &k);
	crypto_wipe(&k, sizeof(k));
	return rv;
}

static int
node_key_read(struct sign_key *k, const struct node_options *o)
{
	char path[PATH_MAX], err[KEYFILE_ERR_MAX];

	if (identity_path(path, o->dir, NODE_KEY_FILE) == -1)
		return -1;
	if (keyfile_read_secret(k, path, NULL, err) == 0)
		return 0;
	identity_fail("%s", err);
	return -1;
}

static int
node_request(const struct node_options *o)
{
	struct sign_key k;
	int rv;

	if (node_key_read(&k, o) == -1)
		return CMD_FAILED;
	rv = request_write(o, &k);
	crypto_wipe(&k, sizeof(k));
	return rv;
}

/*
 * The authority that this node trusts: the one in its directory; the first time the one given, which *first then
 * says. Another one than that in the directory is refused: changing whom one trusts is never a side effect.
 */
static int
authority_read(uint8_t key[SIGN_PUBLIC_LEN], bool *first, const char *path, const struct node_options *o)
{
	uint8_t given[SIGN_PUBLIC_LEN];
	char err[KEYFILE_ERR_MAX];

	*first = access(path, F_OK) == -1 && errno == ENOENT;
	if (*first && o->authority == NULL) {
		identity_fail("%s: not there; give the authority's public key with --authority", path);
		return -1;
	}
	if (keyfile_read_public(key, *first ? o->authority : path, err) == -1 ||
	    (!*first && o->authority != NULL && keyfile_read_public(given, o->authority, err) == -1)) {
		identity_fail("%s", err);
		return -1;
	}
	if (!*first && o->authority != NULL && memcmp(given, key, sizeof(given)) != 0) {
		identity_fail("%s: not the authority in %s; remove that file first to change whom this node trusts",
		    o->authority, path);
		return -1;
	}
	return 0;
}

/* Whether a membership is this authority's, for this node, and of use now: 0, or -1 (said). */
static int
membership_check(const struct record *m, const char *path, const uint8_t *authority, const uint8_t *node)
{
	uint64_t now = clock_wall();

	if (m->kind != RECORD_MEMBERSHIP)
		identity_fail("%s: a %s record, not a membership", path, record_kind_name(m->kind));
	else if (memcmp(m->issuer, authority, SIGN_PUBLIC_LEN) != 0)
		identity_fail("%s: issued by another authority", path);
	else if (record_verify(m) == -1)
		identity_fail("%s: the signature is bad", path);
	else if (memcmp(m->subject, node, SIGN_PUBLIC_LEN) != 0)
		identity_fail("%s: issued for another node's key", path);
	else if (now >= m->not_after)
		identity_fail("%s: expired", path);
	else if (m->not_before > now && m->not_before - now > CLOCK_SKEW_S)
		identity_fail("%s: not valid yet: is this node's clock right?", path);
	else
		return 0;
	return -1;
}

static int
node_public(uint8_t public[SIGN_PUBLIC_LEN], const struct node_options *o)
{
	struct sign_key k;

	if (node_key_read(&k, o) == -1)
		return -1;
	memcpy(public, k.public, SIGN_PUBLIC_LEN);
	crypto_wipe(&k, sizeof(k));
	return 0;
}

static int
node_install(const struct node_options *o)
{
	char pub[PATH_MAX], cert[PATH_MAX], err[KEYFILE_ERR_MAX];
	uint8_t buf[FRAME_RECORD_MAX], authority[SIGN_PUBLIC_LEN], node[SIGN_PUBLIC_LEN];
	struct record m;
	bool first;
	int len, e;

	if (identity_path(pub, o->dir, AUTHORITY_PUB_FILE) == -1 || identity_path(cert, o->dir, NODE_CERT_FILE) == -1)
		return CMD_FAILED;
	if (node_public(node, o) == -1 || authority_read(authority, &first, pub, o) == -1)
		return CMD_FAILED;
	if ((len = keyfile_read_record(buf, sizeof(buf), o->cert, err)) == -1)
		return identity_fail("%s", err);
	if ((e = record_decode(&m, buf, (size_t)len)) != RECORD_OK)
		return identity_fail("%s: %s", o->cert, record_strerror(e));
	if (membership_check(&m, o->cert, authority, node) == -1)
		return CMD_FAILED;
	if ((first && keyfile_write_public(authority, pub, err) == -1) ||
	    keyfile_write_record(buf, (size_t)len, cert, err) == -1)
		return identity_fail("%s", err);
	printf("%s: %s, a member of %s\n", cert, m.name, m.tenant);
	return CMD_OK;
}

int
cmd_node(int argc, char **argv)
{
	static const struct {
		const char *name;
		int	  (*run)(const struct node_options *);
	} commands[] = {
		{ "init", node_init }, { "request", node_request }, { "install", node_install },
	};
	struct node_options o = { .dir = IDENTITY_DIR };
	int rv;

	if (argc < 2)
		return identity_usage(usage);
	identity_no_core();
	crypto_init();
	optind = 0;		/* getopt_long() begins anew, whatever main() read before */
	opterr = 0;
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(argv[1], commands[i].name) == 0)
			return (rv = node_options(&o, argc - 1, argv + 1)) != CMD_OK ? rv : commands[i].run(&o);
	identity_fail("node %s: no such command", argv[1]);
	return identity_usage(usage);
}
