/* Bytes as lowercase hex text and back. */
#ifndef BASE_HEX_H
#define BASE_HEX_H

#include <stddef.h>
#include <stdint.h>

/* Writes 2 * len digits and a NUL to `out`, which holds 2 * len + 1. Returns out. */
char	*hex_encode(char *out, const uint8_t *in, size_t len);

/* Reads exactly 2 * len digits, of either case, and then a NUL. 0, or -1 with errno EINVAL. */
int	hex_decode(uint8_t *out, size_t len, const char *in);

#endif
