/*
 * Fragments in any order, of any stream, at any time: 8 bytes each (owner and stream, sequence, offset, length, last,
 * time). A unit that is declared whole must be made of the bytes that were sent for it.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "vpnd/frag.h"

#define HOLDS(x) do { if (!(x)) abort(); } while (0)

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t pattern[DATA_UNIT_MAX + 256];
	static struct frag_table *t;
	uint64_t now = 0;

	if (t == NULL) {
		t = frag_new();
		for (size_t i = 0; i < sizeof(pattern); i++)
			pattern[i] = (uint8_t)(i / 256 + i);
	}
	for (; size >= 8; data += 8, size -= 8) {
		size_t len = (size_t)(data[3] << 8 | data[4]), off = (size_t)data[2] * 256;
		struct frame_data d = { .stream_id = 1 + data[0] % 4, .seq = data[1] % 8, .frag_offset = (uint16_t)off,
		    .flags = (uint8_t)(DATA_UNRELIABLE | DATA_FRAGMENT | (data[5] & 1 ? DATA_LAST : 0)) };
		struct frame_bytes unit;
		uint8_t *copy;

		if (off + len > sizeof(pattern))
			len = sizeof(pattern) - off;
		copy = malloc(len + !len);
		memcpy(copy, pattern + off, len);
		d.payload = copy;
		d.payload_len = len;
		now += (uint64_t)data[6] * 10000000;
		if (frag_add(t, data[0] / 4 % 8, &d, now, &unit) == FRAG_DONE) {
			HOLDS(unit.len > 0 && unit.len <= DATA_UNIT_MAX);
			HOLDS(memcmp(unit.p, pattern, unit.len) == 0);
		}
		free(copy);
		if (data[7] == 0)
			frag_expire(t, now);
		else if (data[7] == 1)
			frag_forget(t, data[0] / 4 % 8, data[0] % 4);
	}
	frag_expire(t, UINT64_MAX);
	return 0;
}
