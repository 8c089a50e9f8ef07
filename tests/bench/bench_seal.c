/*
 * What sealing DATA costs: ns a packet and Gbit/s of payload on one core, in batches of 64, in place, with the replay
 * window and the phases. The best of several runs, AES-GCM beside ChaCha20-Poly1305 and beside copying the same bytes
 * once. Then a handshake, both ends of it.
 */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "crypto/noise.h"
#include "crypto/seal.h"

#define BATCH	64
#define RUNS	9
#define ROUNDS	100		/* batches a run */
#define ROOM	(1400 + SEAL_TAG_LEN)
#define AD_LEN	6		/* about what a DATA header has */

static const uint8_t key[AEAD_KEY_LEN] = "a key";
static uint8_t plain[BATCH][ROOM], work[BATCH][ROOM];
static struct seal_pkt pkts[BATCH];

struct cost {	/* ns a packet */
	double	seal, open, copy;
};

static void
pkts_set(size_t len)
{
	for (size_t i = 0; i < BATCH; i++)
		pkts[i] = (struct seal_pkt){ .data = work[i], .len = len, .ad = "header", .ad_len = AD_LEN };
}

static double
least(double a, double b)
{
	return a == 0 || b < a ? b : a;
}

/* One run: everything is sealed and opened in turns, each timed by itself. */
static void
run(struct cost *c, enum aead_cipher cipher, size_t len)
{
	struct seal_tx *tx = seal_tx_new(cipher, key, NULL, 0);
	struct seal_rx *rx = seal_rx_new(cipher, key, NULL, false);
	uint64_t seal_ns = 0, open_ns = 0, copy_ns = 0, t0, t1, t2, t3;

	if (tx == NULL || rx == NULL)
		errx(1, "no keys");
	for (int i = 0; i < ROUNDS; i++) {
		t0 = clock_ns();
		for (size_t j = 0; j < BATCH; j++)
			memcpy(work[j], plain[j], len);
		__asm__ volatile("" : : "r"(work) : "memory");
		t1 = clock_ns();
		pkts_set(len);
		if (seal_packets(tx, pkts, BATCH, 0) != BATCH)
			errx(1, "seal");
		t2 = clock_ns();
		if (seal_open(rx, pkts, BATCH, 0) != BATCH)
			errx(1, "open");
		t3 = clock_ns();
		copy_ns += t1 - t0;
		seal_ns += t2 - t1;
		open_ns += t3 - t2;
	}
	c->copy = least(c->copy, (double)copy_ns / (ROUNDS * BATCH));
	c->seal = least(c->seal, (double)seal_ns / (ROUNDS * BATCH));
	c->open = least(c->open, (double)open_ns / (ROUNDS * BATCH));
	seal_tx_free(tx);
	seal_rx_free(rx);
}

static void
row(const char *cipher, const char *what, size_t len, double ns, double copy)
{
	printf("%-11s %-5s %6zu %10.0f %9.2f %9.1f\n", cipher, what, len, ns, (double)len * 8 / ns, ns / copy);
}

static void
handshake(enum aead_cipher cipher)
{
	uint8_t m[256], out[256], k[4][AEAD_KEY_LEN];
	struct noise_key si, sr;
	double best = 0;

	if (noise_key_generate(&si) == -1 || noise_key_generate(&sr) == -1)
		errx(1, "no keys");
	for (int i = 0; i < 200; i++) {
		uint64_t start = clock_ns();
		struct noise *a = noise_new(cipher, NOISE_INITIATOR, &si, sr.public, NULL, 0, NULL);
		struct noise *b = noise_new(cipher, NOISE_RESPONDER, &sr, NULL, NULL, 0, NULL);
		int n = noise_write(a, m, sizeof(m), "payload", 7);

		if (noise_read(b, out, sizeof(out), m, (size_t)n) != 7 ||
		    (n = noise_write(b, m, sizeof(m), "payload", 7)) < 0 ||
		    noise_read(a, out, sizeof(out), m, (size_t)n) != 7 ||
		    noise_split(a, k[0], k[1], NULL) != NOISE_OK || noise_split(b, k[2], k[3], NULL) != NOISE_OK)
			errx(1, "handshake");
		noise_free(a);
		noise_free(b);
		best = least(best, (double)(clock_ns() - start));
	}
	printf("%s: %.0f us, both ends\n", noise_protocol_name(cipher), best / NS_PER_US);
}

int
main(void)
{
	static const size_t lens[] = { 64, 1400 };
	struct cost cost[AEAD_COUNT][2];

	memset(cost, 0, sizeof(cost));
	memset(plain, 'x', sizeof(plain));
	for (int i = 0; i < RUNS; i++)
		for (int c = 0; c < AEAD_COUNT; c++)
			for (size_t l = 0; l < 2; l++)
				run(&cost[c][l], (enum aead_cipher)c, lens[l]);
	printf("%-11s %-5s %6s %10s %9s %9s\n", "", "", "bytes", "ns/packet", "Gbit/s", "/ memcpy");
	for (int c = 0; c < AEAD_COUNT; c++)
		for (size_t l = 0; l < 2; l++) {
			row(aead_name((enum aead_cipher)c), "seal", lens[l], cost[c][l].seal, cost[c][l].copy);
			row(aead_name((enum aead_cipher)c), "open", lens[l], cost[c][l].open, cost[c][l].copy);
		}
	for (size_t l = 0; l < 2; l++)
		printf("%s / %s at %zu bytes: seal %.2f, open %.2f\n", aead_name(AEAD_CHACHAPOLY), aead_name(AEAD_AESGCM),
		    lens[l], cost[AEAD_CHACHAPOLY][l].seal / cost[AEAD_AESGCM][l].seal,
		    cost[AEAD_CHACHAPOLY][l].open / cost[AEAD_AESGCM][l].open);
	printf("preferred here: %s\n", aead_name(aead_preferred()));
	for (int c = 0; c < AEAD_COUNT; c++)
		handshake((enum aead_cipher)c);
	return 0;
}
