/*
 * Sealed messages. Keys are fixed, so that a run repeats. The first byte says what the rest is:
 *
 *	0	what somebody sent us: it opens only when it is one of the true ones
 *	1	a message: sealed and opened it is the same; with one byte changed it does not open
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/box.h"

int	LLVMFuzzerTestOneInput(const uint8_t *in, size_t len);

#define HOLDS(x) do { if (!(x)) abort(); } while (0)
#define MSG_MAX 4096

static struct noise_key self = { .secret = { 1 } };

static void
received(const uint8_t *in, size_t len)
{
	uint8_t *out = malloc(len + 1);
	int rv;

	HOLDS(out != NULL);
	rv = box_open(out, len, &self, "fuzz", 4, in, len);
	HOLDS(rv != NOISE_E_ROOM && rv != NOISE_E_LIBRARY && rv != NOISE_E_STATE);
	HOLDS((rv == NOISE_E_SHORT) == (len < BOX_OVERHEAD));
	HOLDS(rv < 0 || (size_t)rv + BOX_OVERHEAD == len);
	if (len > BOX_OVERHEAD)
		HOLDS(box_open(out, len - BOX_OVERHEAD - 1, &self, "fuzz", 4, in, len) == NOISE_E_ROOM);
	free(out);
}

static void
sealed(const uint8_t *in, size_t len)
{
	static uint8_t box[MSG_MAX + BOX_OVERHEAD], out[MSG_MAX];
	size_t whole = len + BOX_OVERHEAD, at = (len > 0 ? in[0] * 31u : 0) % whole;

	HOLDS(box_seal(box, whole, self.public, "fuzz", 4, in, len) == (int)whole);
	HOLDS(box_open(out, len, &self, "fuzz", 4, box, whole) == (int)len);
	HOLDS(len == 0 || memcmp(out, in, len) == 0);
	box[at] ^= 0x55;
	HOLDS(box_open(out, len, &self, "fuzz", 4, box, whole) < 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *in, size_t len)
{
	static bool made;

	if (len < 1 || len > MSG_MAX)
		return 0;
	if (!made) {
		HOLDS(noise_key_from_secret(&self) == 0);
		made = true;
	}
	if (in[0] & 1)
		sealed(in + 1, len - 1);
	else
		received(in + 1, len - 1);
	return 0;
}
