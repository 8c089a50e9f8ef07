/*
 * The decoder of process messages. Input: one byte that selects the type, then the body. What is decoded must
 * be encoded to the same bytes.
 */
#include <stdlib.h>
#include <string.h>

#include "proc/procmsg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define HOLDS(x) do { if (!(x)) abort(); } while (0)

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t out[FRAME_MAX_CEILING];
	const struct frame_limits lim = { FRAME_PORT_PROC, FRAME_MAX_CEILING };
	struct procmsg m;
	struct frame f = { 0 }, again;
	size_t len;
	int rv;

	if (size == 0)
		return 0;
	f.type = FT_PROC_FIRST + data[0];
	f.body = (struct frame_bytes){ data + 1, size - 1 };
	rv = procmsg_decode(&m, &f);
	HOLDS(rv <= 0);
	HOLDS((rv == FRAME_E_TYPE) == (strcmp(procmsg_name(f.type), "unknown") == 0));
	if (rv != 0) {
		HOLDS(strcmp(frame_strerror(rv), "unknown") != 0);
		return 0;
	}
	HOLDS(m.type == f.type);
	len = procmsg_encode(out, sizeof(out), &m);
	HOLDS(len > 0);
	HOLDS(procmsg_encode(out, len - 1, &m) == 0 && procmsg_encode(out, len, &m) == len);
	HOLDS(frame_decode(&again, out, len, &lim) == FRAME_OK && again.raw.len == len && again.type == f.type);
	HOLDS(again.body.len == f.body.len && memcmp(again.body.p, f.body.p, f.body.len) == 0);
	return 0;
}
