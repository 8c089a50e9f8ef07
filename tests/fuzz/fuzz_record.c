/* The record decoder. Input: records one after the other. What is decoded must be encoded to the same bytes. */
#include <stdlib.h>
#include <string.h>

#include "wire/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define HOLDS(x) do { if (!(x)) abort(); } while (0)

static void
canonical(const struct record *r)
{
	size_t len = r->signed_part.len;
	uint8_t *out = malloc(len);

	HOLDS(out != NULL);
	HOLDS(record_encode(out, len, r) == len);
	HOLDS(memcmp(out, r->signed_part.p, len) == 0);
	HOLDS(record_encode(out, len - 1, r) == 0);
	free(out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct record r, whole;
	int err;

	while ((err = record_decode_first(&r, data, size)) == RECORD_OK) {
		HOLDS(r.raw.p == data && r.raw.len <= size && r.raw.len <= record_max(r.kind));
		HOLDS((r.kind >= RECORD_NODE) == (r.content.len > 0));
		HOLDS(r.signature + RECORD_SIG_LEN == data + r.raw.len);
		HOLDS(r.signed_part.p == data && r.signed_part.len == r.raw.len - RECORD_SIG_LEN);
		HOLDS(record_decode(&whole, data, size) == (r.raw.len == size ? RECORD_OK : RECORD_E_TRAILING));
		HOLDS(strnlen(r.name, sizeof r.name) < sizeof r.name);
		HOLDS(strnlen(r.tenant, sizeof r.tenant) < sizeof r.tenant);
		if (!r.params_skipped)
			canonical(&r);
		data += r.raw.len;
		size -= r.raw.len;
	}
	HOLDS(record_decode(&whole, data, size) == err);
	HOLDS(strcmp(record_strerror(err), "unknown") != 0);
	return 0;
}
