#include "crypto/armour.h"

#include <stdio.h>
#include <string.h>

#include <wolfssl/options.h>
#include <wolfssl/wolfcrypt/coding.h>
#include <wolfssl/wolfcrypt/types.h>

#include "crypto/crypto.h"

#define MARK_MAX (sizeof("-----BEGIN FABRIC -----\n") + ARMOUR_LABEL_MAX)

/* The first or the last line. Returns its length. */
static size_t
mark(char out[MARK_MAX], const char *word, const char *label)
{
	return (size_t)snprintf(out, MARK_MAX, "-----%s FABRIC %.*s-----\n", word, ARMOUR_LABEL_MAX, label);
}

size_t
armour_encode(char *text, size_t size, const char *label, const uint8_t *data, size_t len)
{
	char begin[MARK_MAX], end[MARK_MAX];
	size_t nbegin = mark(begin, "BEGIN", label), nend = mark(end, "END", label);
	word32 nbody;

	if (len == 0 || len > ARMOUR_TEXT_MAX || size < nbegin + nend)
		return 0;
	nbody = (word32)(size - nbegin - nend);
	if (Base64_Encode(data, (word32)len, (byte *)text + nbegin, &nbody) != 0)
		return 0;
	memcpy(text, begin, nbegin);
	memcpy(text + nbegin + nbody, end, nend);
	return nbegin + nbody + nend;
}

int
armour_decode(uint8_t *data, size_t size, const char *label, const char *text, size_t len)
{
	char begin[MARK_MAX], end[MARK_MAX], again[ARMOUR_TEXT_MAX];
	size_t nbegin = mark(begin, "BEGIN", label), nend = mark(end, "END", label), nagain;
	word32 ndata = (word32)(size < ARMOUR_TEXT_MAX ? size : ARMOUR_TEXT_MAX);
	int rv = -1;

	if (len > ARMOUR_TEXT_MAX || len < nbegin + nend)
		return -1;
	if (memcmp(text, begin, nbegin) != 0 || memcmp(text + len - nend, end, nend) != 0)
		return -1;
	if (Base64_Decode((const byte *)text + nbegin, (word32)(len - nbegin - nend), data, &ndata) != 0)
		return -1;
	/* The library takes base64 in many shapes. Only the one that we write is the text of these bytes. */
	nagain = armour_encode(again, sizeof(again), label, data, ndata);
	if (nagain == len && memcmp(again, text, len) == 0)
		rv = (int)ndata;
	crypto_wipe(again, sizeof(again));
	return rv;
}
