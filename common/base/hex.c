#include "base/hex.h"

#include <errno.h>

char *
hex_encode(char *out, const uint8_t *in, size_t len)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < len; i++) {
		out[2 * i] = digits[in[i] >> 4];
		out[2 * i + 1] = digits[in[i] & 15];
	}
	out[2 * len] = '\0';
	return out;
}

static int
digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int
hex_decode(uint8_t *out, size_t len, const char *in)
{
	for (size_t i = 0; i < len; i++) {
		int hi = digit(in[2 * i]);
		int lo = hi == -1 ? -1 : digit(in[2 * i + 1]);

		if (lo == -1)
			goto bad;
		out[i] = (uint8_t)(hi << 4 | lo);
	}
	if (in[2 * len] == '\0')
		return 0;
bad:
	errno = EINVAL;
	return -1;
}
