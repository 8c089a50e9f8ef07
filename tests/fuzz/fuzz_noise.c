/*
 * What comes from the other end before anything is proven: handshake messages and sealed packets. The first byte says
 * which, and the cipher; keys are fixed, so that a run repeats.
 *
 *	0, 1	the rest is a first message to a responder
 *	2, 3	the rest is a second message to an initiator
 *	4, 5	a true handshake, with the rest as payloads, whole and then with one byte changed
 *	6, 7	the rest is packets to a receiver: 2 bytes of length, 1 of phase and kind, 4 of number, and the packet;
 *		some kinds hand over truly sealed ones, whole or changed, in the order that the input says
 */
#include <stdlib.h>
#include <string.h>

#include "crypto/noise.h"
#include "crypto/seal.h"

int	LLVMFuzzerTestOneInput(const uint8_t *in, size_t len);

#define HOLDS(x) do { if (!(x)) abort(); } while (0)
#define PAYLOAD_MAX 4096
#define TRUE_MAX 256	/* truly sealed packets of a run */

static struct noise_key si = { .secret = { 1 } }, sr = { .secret = { 2 } };
static const uint8_t ei[NOISE_DH_LEN] = { 3 }, er[NOISE_DH_LEN] = { 4 }, key[AEAD_KEY_LEN] = { 5 };

static struct noise *
side(enum aead_cipher cipher, enum noise_role role)
{
	struct noise *n;

	if (si.public[0] == 0 && si.public[1] == 0) {
		HOLDS(noise_key_from_secret(&si) == 0);
		HOLDS(noise_key_from_secret(&sr) == 0);
	}
	n = role == NOISE_INITIATOR ? noise_new(cipher, role, &si, sr.public, "fuzz", 4, ei) :
	    noise_new(cipher, role, &sr, NULL, "fuzz", 4, er);
	HOLDS(n != NULL);
	return n;
}

/* Whatever it is: an error that ends it, or room that is missing, and never a byte too many. */
static void
read_any(struct noise *n, const uint8_t *in, size_t len)
{
	uint8_t *out = malloc(len + 1), again[16];
	int rv;

	HOLDS(out != NULL);
	rv = noise_read(n, out, len / 2, in, len);
	if (rv == NOISE_E_ROOM)
		rv = noise_read(n, out, len, in, len);
	HOLDS(rv != NOISE_E_ROOM && rv != NOISE_E_STATE && rv != NOISE_E_LIBRARY);
	HOLDS(rv < 0 || (size_t)rv < len);
	HOLDS(noise_read(n, again, sizeof(again), in, len) == NOISE_E_STATE);
	if (rv < 0)
		HOLDS(noise_remote(n) == NULL);
	free(out);
}

/* Messages that are true must be read; with a byte changed they must not. */
static void
handshake(enum aead_cipher cipher, const uint8_t *in, size_t len)
{
	size_t at = len > 0 ? in[0] * 31u : 0, half = len / 2;
	struct noise *i = side(cipher, NOISE_INITIATOR), *r = side(cipher, NOISE_RESPONDER), *other;
	uint8_t m[PAYLOAD_MAX + NOISE_1_OVERHEAD], out[PAYLOAD_MAX], k[4][AEAD_KEY_LEN];
	int n;

	n = noise_write(i, m, sizeof(m), in, half);
	HOLDS(n == (int)half + NOISE_1_OVERHEAD);
	m[at % (size_t)n] ^= 0x55;
	other = side(cipher, NOISE_RESPONDER);
	HOLDS(noise_read(other, out, sizeof(out), m, (size_t)n) < 0);
	noise_free(other);
	m[at % (size_t)n] ^= 0x55;
	HOLDS(noise_read(r, out, half, m, (size_t)n) == (int)half && memcmp(out, in, half) == 0);
	n = noise_write(r, m, sizeof(m), in + half, len - half);
	HOLDS(n == (int)(len - half) + NOISE_2_OVERHEAD);
	HOLDS(noise_read(i, out, sizeof(out), m, (size_t)n) == (int)(len - half));
	HOLDS(memcmp(out, in + half, len - half) == 0);
	HOLDS(noise_split(i, k[0], k[1], NULL) == NOISE_OK && noise_split(r, k[2], k[3], NULL) == NOISE_OK);
	HOLDS(memcmp(k[0], k[3], AEAD_KEY_LEN) == 0 && memcmp(k[1], k[2], AEAD_KEY_LEN) == 0);
	noise_free(i);
	noise_free(r);
}

/* A receiver, and packets that were truly sealed for it, in short phases. */
struct run {
	struct seal_rx	*rx;
	bool		 ordered;
	uint8_t		 data[TRUE_MAX][8 + SEAL_TAG_LEN];
	bool		 phase[TRUE_MAX], opened[TRUE_MAX];
};

static void
run_start(struct run *r, enum aead_cipher cipher, bool ordered)
{
	struct seal_limits lim;
	struct seal_tx *tx;

	memset(r, 0, sizeof(*r));
	seal_limits_default(&lim, cipher);
	lim.packets = 32;
	r->ordered = ordered;
	r->rx = seal_rx_new(cipher, key, &lim, ordered);
	tx = seal_tx_new(cipher, key, &lim, 0);
	HOLDS(r->rx != NULL && tx != NULL);
	for (size_t i = 0; i < TRUE_MAX; i++) {
		struct seal_pkt pkt = { .data = r->data[i], .len = 8 };

		memset(r->data[i], (int)i, 8);
		HOLDS(seal_packets(tx, &pkt, 1, 0) == 1);
		r->phase[i] = pkt.phase;
	}
	seal_tx_free(tx);
}

static void
true_packet(struct run *r, size_t i, bool change, uint8_t where)
{
	uint8_t data[8 + SEAL_TAG_LEN];
	struct seal_pkt pkt = { .data = data, .len = sizeof(data), .number = i, .phase = r->phase[i] };

	memcpy(data, r->data[i], sizeof(data));
	if (change)
		data[where % sizeof(data)] ^= 1;
	if (seal_open(r->rx, &pkt, 1, 0) == 1) {
		HOLDS(!change && !r->opened[i] && pkt.number == i && pkt.len == 8);
		HOLDS(!r->ordered || i == 0 || r->opened[i - 1]);
		for (size_t j = 0; j < 8; j++)
			HOLDS(data[j] == (uint8_t)i);
		r->opened[i] = true;
	}
}

static void
forged_packet(struct run *r, const uint8_t *in, size_t len, uint32_t number, bool phase)
{
	uint8_t *data = malloc(len + 1);
	struct seal_pkt pkt = { .data = data, .len = len, .number = number, .phase = phase };

	HOLDS(data != NULL);
	memcpy(data, in, len);
	if (seal_open(r->rx, &pkt, 1, 0) == 1) {
		/* then the input has a true one in it */
		HOLDS(len == sizeof(r->data[0]) && pkt.number < TRUE_MAX);
		HOLDS(memcmp(in, r->data[pkt.number], len) == 0 && !r->opened[pkt.number]);
		r->opened[pkt.number] = true;
	}
	free(data);
}

static void
packets(enum aead_cipher cipher, const uint8_t *in, size_t len)
{
	struct run *r = malloc(sizeof(*r));

	HOLDS(r != NULL);
	run_start(r, cipher, len > 0 && (in[0] & 0x80) != 0);
	while (len >= 7) {
		size_t n = (size_t)in[0] << 8 | in[1];
		uint8_t kind = in[2];
		uint32_t number = (uint32_t)in[3] << 24 | (uint32_t)in[4] << 16 | (uint32_t)in[5] << 8 | in[6];

		in += 7;
		len -= 7;
		if (kind & 2) {
			true_packet(r, number % TRUE_MAX, (kind & 4) != 0, kind >> 3);
			continue;
		}
		if (n > len)
			n = len;
		forged_packet(r, in, n, number, kind & 1);
		in += n;
		len -= n;
	}
	seal_rx_free(r->rx);
	free(r);
}

int
LLVMFuzzerTestOneInput(const uint8_t *in, size_t len)
{
	enum aead_cipher cipher;
	struct noise *n;
	uint8_t m[NOISE_1_OVERHEAD];

	if (len < 1 || len > PAYLOAD_MAX)
		return 0;
	cipher = in[0] & 1 ? AEAD_CHACHAPOLY : AEAD_AESGCM;
	switch (in[0] >> 1 & 3) {
	case 0:
	case 1:
		n = side(cipher, in[0] >> 1 & 1 ? NOISE_INITIATOR : NOISE_RESPONDER);
		if (in[0] >> 1 & 1)
			HOLDS(noise_write(n, m, sizeof(m), NULL, 0) == NOISE_1_OVERHEAD);
		read_any(n, in + 1, len - 1);
		noise_free(n);
		break;
	case 2:
		handshake(cipher, in + 1, len - 1);
		break;
	case 3:
		packets(cipher, in + 1, len - 1);
		break;
	}
	return 0;
}
