/*
 * Key and record files: any text, and any bytes inside a right armour. What is decoded must be the one text
 * of those bytes. Passphrases are never asked, so that no time goes into deriving keys.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/armour.h"
#include "crypto/keyfile.h"

int	LLVMFuzzerTestOneInput(const uint8_t *in, size_t len);

static const char *const labels[] = { "SECRET KEY", "SEALED KEY", "PUBLIC KEY", "RECORD" };

static void
parse(const char *text, size_t len)
{
	char err[KEYFILE_ERR_MAX] = "";
	struct sign_key k;

	if (keyfile_parse_secret(&k, text, len, NULL, err) == -1 && (err[0] == '\0' || memchr(err, '\0', sizeof(err)) == NULL))
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *in, size_t len)
{
	char text[ARMOUR_TEXT_MAX];
	uint8_t data[ARMOUR_TEXT_MAX];
	size_t n;
	int got;

	parse((const char *)in, len);
	for (size_t i = 0; i < sizeof(labels) / sizeof(labels[0]); i++) {
		got = armour_decode(data, sizeof(data), labels[i], (const char *)in, len);
		if (got == 0 || got > (int)sizeof(data))
			abort();
		if (got > 0 && (armour_encode(text, sizeof(text), labels[i], data, (size_t)got) != len ||
		    memcmp(text, in, len) != 0))
			abort();
		if ((n = armour_encode(text, sizeof(text), labels[i], in, len)) == 0)
			continue;
		if (armour_decode(data, sizeof(data), labels[i], text, n) != (int)len || memcmp(data, in, len) != 0)
			abort();
		parse(text, n);
	}
	return 0;
}
