/*
 * Express packets: their form, and what their feedback does to the model of the path. Input: one byte; with its lowest
 * bit clear the rest is a packet, already opened, of which every frame must lie inside; else it is steps in the life of
 * a sender whose peer may claim anything: no claim of what was never sent is taken, what is under way stays bounded,
 * and there is always a time at which something may be sent again.
 */
#include <stdlib.h>
#include <string.h>

#include "fabric/rate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define HOLDS(x) do { if (!(x)) abort(); } while (0)
#define MTU 1452u

static void
packet(const uint8_t *p, size_t len)
{
	struct express_header h, again;
	struct express_cursor cur;
	struct frame_data d;
	uint8_t out[EXPRESS_HEADER_LEN];
	size_t bare = 0;
	int rv;

	if (!express_header_get(&h, p, len))
		return;
	express_header_put(out, &h);
	express_phase_set(out, h.phase);
	HOLDS(memcmp(out, p, sizeof(out)) == 0 && express_header_get(&again, p, len));
	cur = (struct express_cursor){ h.kind, p + EXPRESS_HEADER_LEN, p + EXPRESS_OVERHEAD + h.head_len, h.head_len,
	    len - EXPRESS_OVERHEAD - h.head_len };
	while ((rv = express_next(&cur, &d)) == 1) {
		HOLDS(d.payload >= p + EXPRESS_HEADER_LEN && d.payload_len <= (size_t)(p + len - d.payload));
		HOLDS(d.payload_len > 0 && d.flags & DATA_UNRELIABLE);
		bare += d.payload_len;
	}
	if (rv == 0 && h.kind == EXPRESS_BARE)
		HOLDS(bare == len - EXPRESS_OVERHEAD - h.head_len);
}

static void
claim(struct rate *r, const uint8_t *p, uint64_t now)
{
	struct express_feedback f;
	uint64_t sent = r->sent_bytes, next = r->next;
	int rv;

	HOLDS(express_feedback_get(&f, p, EXPRESS_FEEDBACK_LEN));
	if (f.ce & 1) {		/* near the truth */
		f.highest = r->next - 1 - f.highest % 64;
		f.count = f.highest - f.count % 64;
		f.bytes = f.count * MTU - f.bytes % 4096;
	}
	rv = rate_feedback(r, &f, now);
	if (f.highest >= next || f.bytes > sent || f.count == 0 || f.count > f.highest + 1)
		HOLDS(rv == -1);
}

static void
life(const uint8_t *p, size_t len)
{
	static struct rate r;
	uint64_t now = 1000000000;

	rate_init(&r, MTU, 1 + (uint64_t)(len % 7) * 1000000, 1, now);
	while (len > 0) {
		uint8_t op = *p++;
		size_t room = rate_room(&r, now), n = room / MTU + 1;

		len--;
		now += (uint64_t)(op >> 2) * (uint64_t)(op >> 2) * 20000;
		if ((op & 3) < 2 && room > 0)
			rate_sent(&r, n, MTU, n * MTU, now);
		else if ((op & 3) == 2 && len >= EXPRESS_FEEDBACK_LEN) {
			claim(&r, p, now);
			p += EXPRESS_FEEDBACK_LEN;
			len -= EXPRESS_FEEDBACK_LEN;
		} else if ((op & 3) == 3) {
			rate_limited(&r);
			rate_tick(&r, now);
		}
		HOLDS(rate_inflight(&r) <= RATE_INFLIGHT_MAX + RATE_QUANTUM_MAX + MTU);
		HOLDS(r.cwnd >= 2 * MTU && r.cwnd <= RATE_INFLIGHT_MAX && r.pacing > 0);
		HOLDS(rate_next(&r) != UINT64_MAX || rate_deadline(&r) != UINT64_MAX);
		HOLDS(rate_lost(&r) <= r.next && rate_lost_bytes(&r) <= r.sent_bytes);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	if (data[0] & 1)
		life(data + 1, size - 1);
	else
		packet(data + 1, size - 1);
	return 0;
}
