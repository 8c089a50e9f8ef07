/*
 * The subcommands that need no running node: authority, node, record, policy; and what they share. argv[0] is the
 * subcommand's name. Each returns the exit status: 0 ok, 1 it failed (said on stderr), 2 wrong usage.
 */
#ifndef FABRICCTL_IDENTITY_H
#define FABRICCTL_IDENTITY_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crypto/crypto.h"
#include "wire/record.h"

#ifndef SYSCONFDIR
#define SYSCONFDIR "/etc/fabric"
#endif

#define IDENTITY_DIR		SYSCONFDIR	/* unless -d says otherwise */
#define AUTHORITY_KEY_FILE	"authority.key"
#define AUTHORITY_PUB_FILE	"authority.pub"
#define REVOCATIONS_FILE	"revocations.rec"
#define NODE_KEY_FILE		"node.key"
#define NODE_REQUEST_FILE	"node.req"
#define NODE_CERT_FILE		"node.cert"
#define PASSPHRASE_FILE_ENV	"FABRIC_PASSPHRASE_FILE"

enum cmd_status { CMD_OK = 0, CMD_FAILED = 1, CMD_USAGE = 2 };

int	cmd_authority(int argc, char **argv);
int	authority_revoke(int argc, char **argv);	/* argv[0] is "revoke" */
int	cmd_node(int argc, char **argv);
int	cmd_record(int argc, char **argv);
/* policy: `socket' for what a running node is asked. Here 2 is also that there is no answer. */
int	cmd_policy(const char *socket, bool json, int argc, char **argv);

/* "fabricctl: what: why" on stderr; CMD_FAILED. */
int	identity_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* The usage text on stderr; CMD_USAGE. */
int	identity_usage(const char *text);

/* After getopt_long() gave '?' or ':': says which option; then the usage text. CMD_USAGE. */
int	identity_bad_option(char **argv, const char *text);

/* Writes dir/file to path: 0, or -1 when it is too long (said). */
int	identity_path(char path[PATH_MAX], const char *dir, const char *file);

/* Makes the directory (not its parents) when it is not there: 0, or -1 (said). */
int	identity_mkdir(const char *dir);

/* No core file from here on: it would hold keys. */
void	identity_no_core(void);

/* Microseconds since 1970: a serial that grows with each record. */
uint64_t	identity_serial(void);

/* "90s", "12h", "365d", "52w" to seconds, at least 1 and at most ten years; 0 or -1. */
int	identity_duration(const char *s, uint64_t *seconds);

/* "relay,exit" to bits; 0, or -1 with the word at fault, at most its first 31 bytes, in bad. */
int	identity_roles(const char *s, uint32_t *roles, char bad[32]);

/* "10.77.0.2/32" or a bare address; 0, or -1 when it is none or has bits behind its length. */
int	identity_prefix(const char *s, struct record_prefix *p);

/* [a-z0-9][a-z0-9.-]*, or without dots; at most `max` bytes. */
bool	identity_name_ok(const char *s, size_t max, bool dots);

/*
 * Where a passphrase comes from: `file`, else $FABRIC_PASSPHRASE_FILE, else the terminal. identity_passphrase()
 * has the type that keyfile_read_secret() wants; the string lives until identity_passphrase_wipe(). NULL: said why.
 */
void	identity_passphrase_from(const char *file);
const char *identity_passphrase(void);
const char *identity_passphrase_new(void);	/* asks twice at a terminal; refuses an empty one */
void	identity_passphrase_wipe(void);

/* The authority's key in `dir', with a passphrase as above when it is sealed: 0, or -1 (said). Wipe both afterwards. */
int	identity_authority_key(struct sign_key *k, const char *dir, const char *passphrase_file);

#endif
