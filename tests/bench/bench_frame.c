/*
 * What a DATA frame costs: ns a frame and GB/s of frame bytes, for encoding and decoding, over a buffer of
 * many frames, as a batch from a socketpair is. The best of several runs is shown.
 */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "wire/frame.h"

#define BATCH	64		/* frames in the buffer */
#define RUNS	7
#define RUN_NS	(60 * NS_PER_MS)

static uint8_t *buffer;
static size_t buffer_len;
static uint8_t payload[65536];
static volatile uint64_t sink;	/* so that the work is not left out */

static struct frame_data
data_of(uint64_t type, size_t len, uint64_t i)
{
	return (struct frame_data){ .stream_id = 1000 + i, .seq = 100000 + i, .flags = (uint8_t)(type - FT_DATA),
		.payload = payload, .payload_len = len };
}

static void
fill(uint64_t type, size_t len)
{
	struct frame f = { .type = type };
	size_t n;

	buffer_len = 0;
	for (uint64_t i = 0; i < BATCH; i++) {
		f.data = data_of(type, len, i);
		n = frame_encode(buffer + buffer_len, len + 64, &f, FRAME_PORT_STREAM);
		if (n == 0)
			errx(1, "frame_encode");
		buffer_len += n;
	}
}

static const struct frame_limits lim = { FRAME_PORT_STREAM, FRAME_MAX_CEILING };

static void
decode_data(uint64_t type, size_t len)
{
	struct frame_data d;
	size_t used;

	for (size_t at = 0; at < buffer_len; at += used) {
		if (frame_decode_data(&d, &used, buffer + at, buffer_len - at, &lim) != FRAME_OK)
			errx(1, "frame_decode_data");
		sink += d.stream_id + d.seq;
	}
}

static void
decode_any(uint64_t type, size_t len)
{
	struct frame f;

	for (size_t at = 0; at < buffer_len; at += f.raw.len) {
		if (frame_decode(&f, buffer + at, buffer_len - at, &lim) != FRAME_OK)
			errx(1, "frame_decode");
		sink += f.data.stream_id + f.data.seq;
	}
}

static void
encode_header(uint64_t type, size_t len)
{
	struct frame_data d;
	uint8_t hdr[FRAME_HEADER_MAX + 24];

	for (uint64_t i = 0; i < BATCH; i++) {
		d = data_of(type, len, i);
		sink += frame_encode_data_header(hdr, sizeof hdr, &d) + hdr[3];
	}
}

static void
encode_copy(uint64_t type, size_t len)
{
	struct frame f = { .type = type };
	size_t at = 0;

	for (uint64_t i = 0; i < BATCH; i++) {
		f.data = data_of(type, len, i);
		at += frame_encode(buffer + at, len + 64, &f, FRAME_PORT_STREAM);
	}
	sink += at;
}

static void
rewrite(uint64_t type, size_t len)
{
	struct frame_data d;
	size_t used;
	uint8_t hdr[FRAME_HEADER_MAX + 24];

	for (size_t at = 0; at < buffer_len; at += used) {
		if (frame_decode_data(&d, &used, buffer + at, buffer_len - at, &lim) != FRAME_OK)
			errx(1, "frame_decode_data");
		sink += frame_data_rewrite(hdr, &d, d.stream_id + 70000) + hdr[3];
	}
}

/* Nanoseconds a frame, the best run's. */
static double
measure(void (*work)(uint64_t, size_t), uint64_t type, size_t len)
{
	double best = 1e18;

	for (int run = 0; run < RUNS; run++) {
		uint64_t start = clock_ns(), now, frames = 0;

		do {
			work(type, len);
			frames += BATCH;
			now = clock_ns();
		} while (now - start < RUN_NS);
		if ((double)(now - start) / (double)frames < best)
			best = (double)(now - start) / (double)frames;
	}
	return best;
}

int
main(void)
{
	static const struct {
		const char	*name;
		void		(*work)(uint64_t, size_t);
	} works[] = {
		{ "decode (frame_decode_data)", decode_data },
		{ "decode (frame_decode)", decode_any },
		{ "decode, new stream id", rewrite },
		{ "encode header", encode_header },
		{ "encode, payload copied", encode_copy },
	};
	static const size_t sizes[] = { 64, 1200, 65536 };
	static const uint64_t types[] = { FT_DATA_U, FT_DATA };

	buffer = malloc(BATCH * (sizeof payload + 64));
	if (buffer == NULL)
		err(1, NULL);
	printf("%-28s %-10s %7s %10s %10s\n", "", "DATA", "payload", "ns/frame", "GB/s");
	for (size_t w = 0; w < sizeof works / sizeof works[0]; w++)
		for (size_t t = 0; t < 2; t++)
			for (size_t s = 0; s < 3; s++) {
				double ns;

				fill(types[t], sizes[s]);
				ns = measure(works[w].work, types[t], sizes[s]);
				printf("%-28s %-10s %7zu %10.1f %10.1f\n", works[w].name,
				    types[t] == FT_DATA ? "reliable" : "unreliable", sizes[s], ns,
				    (double)buffer_len / BATCH / ns);
			}
	free(buffer);
	return 0;
}
