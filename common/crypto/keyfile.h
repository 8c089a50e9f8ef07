/* Key and record files: text, one base64 block between BEGIN and END lines. fabric-record(5) describes them. */
#ifndef CRYPTO_KEYFILE_H
#define CRYPTO_KEYFILE_H

#include "crypto/crypto.h"

#define KEYFILE_ERR_MAX 256
#define KEYFILE_PASSPHRASE_MAX 1023	/* bytes */

/* How a passphrase becomes a key: PBKDF2-HMAC-SHA256 (RFC 8018), which this many rounds make slow to guess. */
#define KEYFILE_ROUNDS	   600000u	/* written, and the least that is read */
#define KEYFILE_ROUNDS_MAX 10000000u	/* the most that is read: a file must not keep us busy for minutes */

/*
 * Reads a secret key. Refused unless it is a regular file, owned by the caller or root, mode 0600 or
 * stricter. A sealed one (authority) asks `passphrase` (may be NULL: then sealed is an error); the callback returns a
 * NUL-terminated string it owns, or NULL. On error -1 and `err` says what is wrong, with the path.
 */
int	keyfile_read_secret(struct sign_key *k, const char *path, const char *(*passphrase)(void), char err[KEYFILE_ERR_MAX]);

/* The same for text that was read already: what keyfile_read_secret() does with a file's content. */
int	keyfile_parse_secret(struct sign_key *k, const char *text, size_t len, const char *(*passphrase)(void),
	    char err[KEYFILE_ERR_MAX]);

/* Writes a new secret key, mode 0600, never over an existing file. `passphrase` NULL: not sealed. */
int	keyfile_write_secret(const struct sign_key *k, const char *path, const char *passphrase, char err[KEYFILE_ERR_MAX]);

/*
 * Public keys and records; `size` bounds what is read. A record's length is returned, or -1. A record's file may also
 * hold its bytes without armour. Writing replaces a file in one step: a reader sees the old or the new, whole.
 */
int	keyfile_read_public(uint8_t public[SIGN_PUBLIC_LEN], const char *path, char err[KEYFILE_ERR_MAX]);
int	keyfile_write_public(const uint8_t public[SIGN_PUBLIC_LEN], const char *path, char err[KEYFILE_ERR_MAX]);
int	keyfile_read_record(uint8_t *buf, size_t size, const char *path, char err[KEYFILE_ERR_MAX]);
int	keyfile_write_record(const uint8_t *rec, size_t len, const char *path, char err[KEYFILE_ERR_MAX]);

#endif
