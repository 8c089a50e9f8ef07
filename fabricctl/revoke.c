/* fabricctl authority revoke: adds nodes to the signed list of those that are members no more. */
#include "fabricctl/identity.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hex.h"
#include "crypto/identity.h"
#include "crypto/keyfile.h"

/* A list stays in force until a later one comes: who is on it stays on it. */
#define LIST_LIFE_S	(10 * 365 * 86400ull)

static const char usage[] = "usage: fabricctl authority revoke node ... [-d dir] [-o file] [--passphrase-file file]\n"
    "       a node is its id, 64 hexadecimal digits, or the file of its certificate\n";

struct list {
	uint8_t	 raw[RECORD_LARGE_MAX];		/* as it was read */
	uint8_t	 ids[RECORD_LARGE_MAX];		/* ascending */
	size_t	 n;
	uint64_t serial;			/* of what was read; 0: there was none */
};

struct revoke_options {
	const char *dir, *output, *passphrase_file;
};

/* By its certificate, which this authority has to have signed: else it is another's node, or the wrong file. */
static int
id_from_certificate(uint8_t id[NODE_ID_LEN], const char *path, const struct sign_key *k)
{
	uint8_t buf[FRAME_RECORD_MAX];
	char err[KEYFILE_ERR_MAX];
	struct record m;
	int len, e;

	if ((len = keyfile_read_record(buf, sizeof(buf), path, err)) == -1)
		identity_fail("%s (a node is an id of 64 hexadecimal digits, or a certificate's file)", err);
	else if ((e = record_decode(&m, buf, (size_t)len)) != RECORD_OK)
		identity_fail("%s: %s", path, record_strerror(e));
	else if (m.kind != RECORD_MEMBERSHIP)
		identity_fail("%s: a %s record, not a membership", path, record_kind_name(m.kind));
	else if (memcmp(m.issuer, k->public, RECORD_KEY_LEN) != 0 || record_verify(&m) == -1)
		identity_fail("%s: not signed by this authority", path);
	else {
		node_id_from_key(id, m.subject);
		return 0;
	}
	return -1;
}

/* Puts it in its place: 1, 0 when it is there already, -1 when there is no room. */
static int
insert(struct list *l, const uint8_t id[NODE_ID_LEN])
{
	size_t at = 0;
	int c = 1;

	while (at < l->n && (c = memcmp(l->ids + at * NODE_ID_LEN, id, NODE_ID_LEN)) < 0)
		at++;
	if (at < l->n && c == 0)
		return 0;
	if ((l->n + 1) * NODE_ID_LEN > sizeof(l->ids))
		return -1;
	memmove(l->ids + (at + 1) * NODE_ID_LEN, l->ids + at * NODE_ID_LEN, (l->n - at) * NODE_ID_LEN);
	memcpy(l->ids + at * NODE_ID_LEN, id, NODE_ID_LEN);
	l->n++;
	return 1;
}

/* The list as it is; one that is not there is empty. One that somebody else has signed is not added to. */
static int
list_read(struct list *l, const char *path, const struct sign_key *k)
{
	char err[KEYFILE_ERR_MAX];
	struct record r;
	int len, e;

	l->n = 0;
	l->serial = 0;
	if (access(path, F_OK) == -1 && errno == ENOENT)
		return 0;
	if ((len = keyfile_read_record(l->raw, sizeof(l->raw), path, err)) == -1)
		identity_fail("%s", err);
	else if ((e = record_decode(&r, l->raw, (size_t)len)) != RECORD_OK)
		identity_fail("%s: %s", path, record_strerror(e));
	else if (r.kind != RECORD_REVOCATION)
		identity_fail("%s: a %s record, not a revocation", path, record_kind_name(r.kind));
	else if (memcmp(r.issuer, k->public, RECORD_KEY_LEN) != 0 || record_verify(&r) == -1)
		identity_fail("%s: not signed by this authority", path);
	else if (record_revoked_count(&r) == -1)
		identity_fail("%s: its list of node ids is malformed", path);
	else {
		memcpy(l->ids, r.content.p, r.content.len);
		l->n = r.content.len / NODE_ID_LEN;
		l->serial = r.serial;
		return 0;
	}
	return -1;
}

static int
list_write(struct list *l, const char *path, const struct sign_key *k)
{
	static uint8_t out[RECORD_LARGE_MAX];
	uint64_t now = clock_wall(), serial = identity_serial();
	struct record r = { .kind = RECORD_REVOCATION, .subject = k->public, .not_before = now, .not_after = now + LIST_LIFE_S,
	    .content = { l->ids, l->n * NODE_ID_LEN } };
	char err[KEYFILE_ERR_MAX];
	size_t len;

	r.serial = serial > l->serial ? serial : l->serial + 1;		/* a clock that was set back does not undo it */
	if ((len = record_sign(out, sizeof(out), &r, k)) == 0)
		return identity_fail("%s: the list is full: %zu nodes do not fit", path, l->n);
	return keyfile_write_record(out, len, path, err) == -1 ? identity_fail("%s", err) : CMD_OK;
}

static int
list_add(struct list *l, const char *word, const struct sign_key *k)
{
	uint8_t id[NODE_ID_LEN];

	if (hex_decode(id, sizeof(id), word) == -1 && id_from_certificate(id, word, k) == -1)
		return -1;
	if (insert(l, id) != -1)
		return 0;
	identity_fail("%s: the list is full: %zu nodes", word, l->n);
	return -1;
}

static int
revoke_nodes(const struct revoke_options *o, char **nodes, int n)
{
	struct list *l = malloc(sizeof(*l));
	char path[PATH_MAX];
	struct sign_key k;
	int rv = CMD_FAILED;
	size_t before;

	if (l == NULL)
		return identity_fail("out of memory");
	if (identity_authority_key(&k, o->dir, o->passphrase_file) == -1)
		goto done;
	if (o->output != NULL ? (size_t)snprintf(path, sizeof(path), "%s", o->output) >= sizeof(path) :
	    identity_path(path, o->dir, REVOCATIONS_FILE) == -1)
		goto done;
	if (list_read(l, path, &k) == -1)
		goto done;
	before = l->n;
	for (int i = 0; i < n; i++)
		if (list_add(l, nodes[i], &k) == -1)
			goto done;
	if (l->n > before && list_write(l, path, &k) != CMD_OK)
		goto done;
	printf("%s: %zu new, %zu revoked in all: give it to any node, which tells the others\n", path, l->n - before, l->n);
	rv = CMD_OK;
done:
	crypto_wipe(&k, sizeof(k));
	identity_passphrase_wipe();
	free(l);
	return rv;
}

int
authority_revoke(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "dir", required_argument, NULL, 'd' },
		{ "output", required_argument, NULL, 'o' },
		{ "passphrase-file", required_argument, NULL, 'p' },
		{ NULL, 0, NULL, 0 },
	};
	struct revoke_options o = { .dir = IDENTITY_DIR };
	int c;

	while ((c = getopt_long(argc, argv, ":d:o:", longs, NULL)) != -1) {
		switch (c) {
		case 'd':
			o.dir = optarg;
			break;
		case 'o':
			o.output = optarg;
			break;
		case 'p':
			o.passphrase_file = optarg;
			break;
		default:
			return identity_bad_option(argv, usage);
		}
	}
	if (optind == argc)
		return identity_usage(usage);
	return revoke_nodes(&o, argv + optind, argc - optind);
}
