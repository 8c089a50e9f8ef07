/*
 * Bytes as text that a person can carry: one base64 block (RFC 4648 section 4, lines of 64) between
 * "-----BEGIN FABRIC <label>-----" and "-----END FABRIC <label>-----". Works on memory only.
 */
#ifndef CRYPTO_ARMOUR_H
#define CRYPTO_ARMOUR_H

#include <stddef.h>
#include <stdint.h>

#define ARMOUR_TEXT_MAX	90112	/* a text longer than this is refused; a record of 65536 bytes, a policy, needs 88900 */
#define ARMOUR_LABEL_MAX 31

/* Writes the text of `len` bytes (not 0) to `text`; no NUL. Returns its length, or 0 when it does not fit. */
size_t	armour_encode(char *text, size_t size, const char *label, const uint8_t *data, size_t len);

/*
 * Reads back exactly what armour_encode() writes and nothing else: no other label, line length, white space,
 * padding or trailing bytes. Returns the number of bytes, at least 1, or -1. `data` may hold parts of a refused text.
 */
int	armour_decode(uint8_t *data, size_t size, const char *label, const char *text, size_t len);

#endif
