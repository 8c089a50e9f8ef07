/* Sealed DATA: numbers, the replay window, phases of the key, order, limits. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <wolfssl/options.h>
#include <wolfssl/wolfcrypt/memory.h>

#include "crypto/crypto.h"
#include "crypto/seal.h"
#include "suite.h"

#define NEVER UINT64_MAX
#define add_each_cipher(t, test) tcase_add_loop_test(t, test, 0, AEAD_COUNT)
#define LEN(a) (sizeof(a) / sizeof((a)[0]))

static const uint8_t key[AEAD_KEY_LEN] = "a key of thirty-two whole bytes";

/* Phases follow the chain of keys that check_aead.c holds against its vectors: packet i is of phase i. */
START_TEST(test_chain)
{
	struct seal_tx *tx = seal_tx_new((enum aead_cipher)_i, key, NULL, 0);
	struct aead_key *k = aead_key_new((enum aead_cipher)_i, key);
	uint8_t raw[AEAD_KEY_LEN], buf[32], want[32];

	for (uint64_t i = 0; i < 4; i++) {
		struct seal_pkt pkt = { .data = buf, .len = 4, .ad = "ad", .ad_len = 2 };

		memcpy(buf, "text", 4);
		ck_assert_uint_eq(seal_packets(tx, &pkt, 1, 0), 1);
		ck_assert_int_eq(aead_seal(k, i, "ad", 2, want, (const uint8_t *)"text", 4), 0);
		ck_assert_mem_eq(buf, want, 4 + SEAL_TAG_LEN);
		ck_assert(pkt.number == i && pkt.phase == i % 2);
		ck_assert_int_eq(aead_rekey(raw, k), 0);
		aead_key_free(k);
		k = aead_key_new((enum aead_cipher)_i, raw);
		seal_tx_rekey(tx);
	}
	aead_key_free(k);
	seal_tx_free(tx);
}
END_TEST

START_TEST(test_names)
{
	ck_assert_ptr_null(seal_tx_new(AEAD_COUNT, key, NULL, 0));
	ck_assert_ptr_null(seal_rx_new(AEAD_COUNT, key, NULL, false));
	seal_tx_free(NULL);
	seal_rx_free(NULL);
	for (int i = SEAL_E_LIBRARY; i <= SEAL_OK; i++)
		ck_assert_str_ne(seal_strerror(i), "unknown");
	ck_assert_str_eq(seal_strerror(1), "unknown");
	ck_assert_str_eq(seal_strerror(SEAL_E_LIBRARY - 1), "unknown");
}
END_TEST

/* --- numbers --------------------------------------------------------------- */

static const struct {
	uint64_t expected;
	uint32_t low;
	uint64_t number;
} numbers[] = {
	{ 0, 0, 0 },
	{ 0, 1, 1 },
	{ 0, 0x80000000, 0x80000000 },		/* there is none below */
	{ 0, 0xffffffff, 0xffffffff },
	{ 1, 0, 0 },
	{ 5, 5, 5 },
	{ 5, 4, 4 },
	{ 0x7fffffff, 0, 0 },
	{ 0x80000000, 0, 0x100000000 },		/* as near below: the later one, as in RFC 9000 */
	{ 0x80000000, 1, 1 },
	{ 0x80000001, 0, 0x100000000 },
	{ 0xffffffff, 0xffffffff, 0xffffffff },
	{ 0xffffffff, 0, 0x100000000 },
	{ 0x100000000, 0, 0x100000000 },
	{ 0x100000000, 0xffffffff, 0xffffffff },
	{ 0x100000000, 0x80000000, 0x180000000 },
	{ 0x100000000, 0x80000001, 0x80000001 },
	{ 0x100000000, 0x7fffffff, 0x17fffffff },
	{ 0x1234567890, 0x34567890, 0x1234567890 },
	{ 0x1234567890, 0x34567891, 0x1234567891 },
	{ 0x1234567890, 0x3456788f, 0x123456788f },
	{ 0x1234567890, 0xb4567890, 0x12b4567890 },
	{ 0x1234567890, 0xb4567891, 0x11b4567891 },
	{ 0x12ffffffff, 0x00000001, 0x1300000001 },
	{ SEAL_NUMBER_MAX, 0xffffffff, SEAL_NUMBER_MAX },
	{ SEAL_NUMBER_MAX, 0xfffffffe, SEAL_NUMBER_MAX - 1 },
	{ SEAL_NUMBER_MAX, 0, SEAL_NUMBER_MAX - 0xffffffff },	/* never beyond the last */
	{ SEAL_NUMBER_MAX + 1, 0xffffffff, SEAL_NUMBER_MAX },
	{ SEAL_NUMBER_MAX - 0x80000000, 0x7fffffff, SEAL_NUMBER_MAX - 0x80000000 },
};

START_TEST(test_number)
{
	uint64_t seed = 1;

	for (size_t i = 0; i < LEN(numbers); i++)
		ck_assert_msg(seal_number(numbers[i].expected, numbers[i].low) == numbers[i].number,
		    "expected %#lx, low %#x: %#lx", numbers[i].expected, numbers[i].low,
		    seal_number(numbers[i].expected, numbers[i].low));
	/* what lies within half of the space, on either side, is always found */
	for (int i = 0; i < 100000; i++) {
		uint64_t expected, number;

		seed = seed * 6364136223846793005ull + 1442695040888963407ull;
		expected = (seed >> 2) % (1ull << (33 + i % 29));
		number = expected + (seed * 2862933555777941757ull >> 33) - (1u << 30);
		if (number > SEAL_NUMBER_MAX || expected < 1u << 30)
			continue;
		ck_assert_msg(seal_number(expected, (uint32_t)number) == number, "expected %#lx, number %#lx",
		    expected, number);
	}
}
END_TEST

/* --- two ends --------------------------------------------------------------- */

#define AD "header"
#define AD_LEN (sizeof(AD) - 1)
#define TEXT_LEN 20

struct ends {
	enum aead_cipher cipher;
	struct seal_limits lim;
	struct seal_tx	*tx;
	struct seal_rx	*rx;
};

static void
ends_open(struct ends *e, int cipher, bool ordered)
{
	e->cipher = (enum aead_cipher)cipher;
	if (e->lim.packets == 0)
		seal_limits_default(&e->lim, e->cipher);
	e->tx = seal_tx_new(e->cipher, key, &e->lim, 0);
	e->rx = seal_rx_new(e->cipher, key, &e->lim, ordered);
	ck_assert(e->tx != NULL && e->rx != NULL);
}

static void
ends_close(struct ends *e)
{
	seal_tx_free(e->tx);
	seal_rx_free(e->rx);
}

/* A sealed packet that can be sent many times. */
struct sealed {
	uint8_t		bytes[TEXT_LEN + SEAL_TAG_LEN];
	uint64_t	number;
	bool		phase;
};

static void
text_of(uint8_t text[TEXT_LEN], uint64_t number)
{
	memset(text, 0, TEXT_LEN);
	snprintf((char *)text, TEXT_LEN, "%lu", number);
}

static struct sealed
seal_at(struct ends *e, uint64_t now_ns)
{
	struct sealed s;
	struct seal_pkt pkt = { .data = s.bytes, .len = TEXT_LEN, .ad = AD, .ad_len = AD_LEN };

	text_of(s.bytes, seal_tx_next(e->tx));
	ck_assert_uint_eq(seal_packets(e->tx, &pkt, 1, now_ns), 1);
	ck_assert_int_eq(pkt.error, SEAL_OK);
	ck_assert_uint_eq(pkt.len, TEXT_LEN + SEAL_TAG_LEN);
	s.number = pkt.number;
	s.phase = pkt.phase;
	return s;
}

static struct sealed
seal_next(struct ends *e)
{
	return seal_at(e, 0);
}

/* The packet of any number, in phase 0, as only a sender with its own counter would make it. */
static struct sealed
seal_number_of(const struct ends *e, uint64_t number)
{
	struct aead_key *k = aead_key_new(e->cipher, key);
	struct sealed s = { .number = number };

	text_of(s.bytes, number);
	ck_assert_int_eq(aead_seal(k, number, AD, AD_LEN, s.bytes, s.bytes, TEXT_LEN), 0);
	aead_key_free(k);
	return s;
}

/* Hands a packet over as it came from the wire; what opens must be what was sealed. */
static int
open_at(struct ends *e, const struct sealed *s, uint64_t now_ns)
{
	uint8_t buf[sizeof(s->bytes)], text[TEXT_LEN];
	struct seal_pkt pkt = { .data = buf, .len = sizeof(buf), .ad = AD, .ad_len = AD_LEN,
		.number = (uint32_t)s->number, .phase = s->phase, .error = 1 };
	size_t good;

	memcpy(buf, s->bytes, sizeof(buf));
	good = seal_open(e->rx, &pkt, 1, now_ns);
	ck_assert_uint_eq(good, pkt.error == SEAL_OK);
	ck_assert_uint_eq(pkt.len, good ? TEXT_LEN : 0);
	if (good) {
		text_of(text, s->number);
		ck_assert_mem_eq(buf, text, TEXT_LEN);
		ck_assert_uint_eq(pkt.number, s->number);
	}
	return pkt.error;
}

static int
open_one(struct ends *e, const struct sealed *s)
{
	return open_at(e, s, 0);
}

#define opens(e, s, want) do { \
	int got_ = open_one(e, s); \
	ck_assert_msg(got_ == (want), "packet %lu: %s", (s)->number, seal_strerror(got_)); \
} while (0)

START_TEST(test_batches)
{
	static const size_t lens[] = { 0, 1, 15, 16, 17, 64, 255, 1400, 9000, 65520 };
	static uint8_t buf[64][65536], want[65520];
	struct seal_pkt pkts[64];
	struct ends e = { 0 };
	uint64_t number = 0;

	ends_open(&e, _i, false);
	crypto_random(want, sizeof(want));
	for (size_t l = 0; l < LEN(lens); l++)
		for (size_t n = 0; n <= 64; n += n < 3 ? 1 : 61) {
			for (size_t i = 0; i < n; i++) {
				memcpy(buf[i], want, lens[l]);
				pkts[i] = (struct seal_pkt){ .data = buf[i], .len = lens[l], .ad = i % 2 ? AD : NULL,
				    .ad_len = i % 2 ? AD_LEN : 0, .error = 1 };
			}
			ck_assert_uint_eq(seal_packets(e.tx, pkts, n, 0), n);
			for (size_t i = 0; i < n; i++) {
				ck_assert_uint_eq(pkts[i].number, number++);
				ck_assert_uint_eq(pkts[i].len, lens[l] + SEAL_TAG_LEN);
				ck_assert_int_eq(pkts[i].error, SEAL_OK);
				pkts[i].error = 1;
			}
			ck_assert_uint_eq(seal_open(e.rx, pkts, n, 0), n);
			for (size_t i = 0; i < n; i++) {
				ck_assert_int_eq(pkts[i].error, SEAL_OK);
				ck_assert_uint_eq(pkts[i].len, lens[l]);
				ck_assert_mem_eq(buf[i], want, lens[l]);
			}
		}
	ck_assert_uint_eq(seal_rx_next(e.rx), number);
	ends_close(&e);
}
END_TEST

/* Bad ones among good ones: each is judged by itself. */
START_TEST(test_batch_mixed)
{
	struct sealed s[6];
	struct seal_pkt pkts[6];
	static const int want[6] = { SEAL_OK, SEAL_E_TAMPERED, SEAL_OK, SEAL_E_REPLAYED, SEAL_E_SHORT, SEAL_OK };
	struct ends e = { 0 };

	ends_open(&e, _i, false);
	for (size_t i = 0; i < LEN(s); i++)
		s[i] = seal_next(&e);
	s[1].bytes[3] ^= 1;
	s[3] = seal_number_of(&e, 2);
	for (size_t i = 0; i < LEN(s); i++)
		pkts[i] = (struct seal_pkt){ .data = s[i].bytes, .len = i == 4 ? SEAL_TAG_LEN - 1 : sizeof(s[i].bytes),
			.ad = AD, .ad_len = AD_LEN, .number = s[i].number };
	ck_assert_uint_eq(seal_open(e.rx, pkts, LEN(pkts), 0), 3);
	for (size_t i = 0; i < LEN(s); i++) {
		ck_assert_msg(pkts[i].error == want[i], "%zu: %s", i, seal_strerror(pkts[i].error));
		ck_assert_uint_eq(pkts[i].len, want[i] == SEAL_OK ? TEXT_LEN : 0);
	}
	ends_close(&e);
}
END_TEST

START_TEST(test_tampered)
{
	struct ends e = { 0 };
	struct sealed s, bad;
	uint8_t zeros[TEXT_LEN] = { 0 };
	struct seal_pkt pkt;

	ends_open(&e, _i, false);
	s = seal_next(&e);
	for (size_t i = 0; i < sizeof(s.bytes) * 8; i++) {
		bad = s;
		bad.bytes[i / 8] ^= (uint8_t)(1 << i % 8);
		opens(&e, &bad, SEAL_E_TAMPERED);
	}
	for (size_t len = 0; len < sizeof(s.bytes); len++) {
		bad = s;
		pkt = (struct seal_pkt){ .data = bad.bytes, .len = len, .ad = AD, .ad_len = AD_LEN };
		ck_assert_uint_eq(seal_open(e.rx, &pkt, 1, 0), 0);
		ck_assert_int_eq(pkt.error, len < SEAL_TAG_LEN ? SEAL_E_SHORT : SEAL_E_TAMPERED);
	}
	for (size_t i = 0; i <= AD_LEN + 1; i++) {	/* each byte of the associated data, one less, none */
		char ad[AD_LEN + 1] = AD;
		size_t ad_len = i < AD_LEN ? AD_LEN : i == AD_LEN ? AD_LEN - 1 : 0;

		if (i < AD_LEN)
			ad[i] ^= 1;
		bad = s;
		pkt = (struct seal_pkt){ .data = bad.bytes, .len = sizeof(bad.bytes), .ad = ad, .ad_len = ad_len };
		ck_assert_uint_eq(seal_open(e.rx, &pkt, 1, 0), 0);
		ck_assert_int_eq(pkt.error, SEAL_E_TAMPERED);
		ck_assert_mem_eq(bad.bytes, zeros, TEXT_LEN);	/* nothing to be read by mistake */
	}
	bad = s;
	bad.number++;
	opens(&e, &bad, SEAL_E_TAMPERED);
	bad = s;
	bad.phase = true;
	opens(&e, &bad, SEAL_E_TAMPERED);
	/* none of this has moved the window, or kept the true one out */
	ck_assert_uint_eq(seal_rx_next(e.rx), 0);
	ck_assert_uint_gt(seal_rx_failed(e.rx), sizeof(s.bytes) * 8);
	opens(&e, &s, SEAL_OK);
	ck_assert_uint_eq(seal_rx_failed(e.rx), 0);
	ends_close(&e);
}
END_TEST

START_TEST(test_too_long)
{
	struct ends e = { 0 };
	uint8_t byte;
	struct seal_pkt pkt = { .data = &byte, .len = AEAD_LEN_MAX + 1 };

	ends_open(&e, _i, false);
	ck_assert_uint_eq(seal_packets(e.tx, &pkt, 1, 0), 0);
	ck_assert_int_eq(pkt.error, SEAL_E_LONG);
	pkt = (struct seal_pkt){ .data = &byte, .len = SIZE_MAX };
	ck_assert_uint_eq(seal_open(e.rx, &pkt, 1, 0), 0);
	ck_assert_int_eq(pkt.error, SEAL_E_LONG);
	pkt = (struct seal_pkt){ .data = &byte, .ad = &byte, .ad_len = SIZE_MAX };
	ck_assert_uint_eq(seal_packets(e.tx, &pkt, 1, 0), 0);
	ck_assert_int_eq(pkt.error, SEAL_E_LONG);
	ck_assert_uint_eq(seal_tx_next(e.tx), 0);	/* no number went to waste */
	ends_close(&e);
}
END_TEST

/* --- the replay window ------------------------------------------------------- */

#define W SEAL_WINDOW

static const struct {
	const char *what;
	struct {
		uint64_t number;
		int	 error;
	} step[8];		/* a step of all zero ends it, but for the first */
} windows[] = {
	{ "the first, twice", { { 0, SEAL_OK }, { 0, SEAL_E_REPLAYED } } },
	{ "in order", { { 0, SEAL_OK }, { 1, SEAL_OK }, { 2, SEAL_OK }, { 1, SEAL_E_REPLAYED }, { 2, SEAL_E_REPLAYED } } },
	{ "backwards", { { 3, SEAL_OK }, { 2, SEAL_OK }, { 1, SEAL_OK }, { 3, SEAL_E_REPLAYED }, { 1, SEAL_E_REPLAYED } } },
	{ "the last that the window holds", { { W - 1, SEAL_OK }, { 0, SEAL_OK }, { 0, SEAL_E_REPLAYED } } },
	{ "the first that it does not", { { W, SEAL_OK }, { 0, SEAL_E_OLD }, { 1, SEAL_OK }, { 1, SEAL_E_REPLAYED } } },
	{ "out of it after it was in", { { 0, SEAL_OK }, { 5, SEAL_OK }, { W + 4, SEAL_OK }, { 5, SEAL_E_REPLAYED },
	    { W + 5, SEAL_OK }, { 5, SEAL_E_OLD }, { 6, SEAL_OK } } },
	{ "a word's edge", { { 63, SEAL_OK }, { 64, SEAL_OK }, { 63, SEAL_E_REPLAYED }, { 64, SEAL_E_REPLAYED },
	    { 62, SEAL_OK }, { 65, SEAL_OK }, { 62, SEAL_E_REPLAYED } } },
	{ "the ring comes round", { { 7, SEAL_OK }, { W + 64 + 7, SEAL_OK }, { W + 64 + 7, SEAL_E_REPLAYED },
	    { 7, SEAL_E_OLD }, { W + 63, SEAL_OK }, { W + 64, SEAL_OK } } },
	{ "the word before, after it comes round", { { 70, SEAL_OK }, { W + 64, SEAL_OK }, { 70, SEAL_E_REPLAYED },
	    { W + 64 + 70, SEAL_OK }, { W + 64 + 70, SEAL_E_REPLAYED } } },
	{ "by exactly the ring", { { 1, SEAL_OK }, { 1 + W + 64, SEAL_OK }, { 1 + 2 * (W + 64), SEAL_OK },
	    { 1 + W + 64, SEAL_E_OLD }, { 2 + W + 64, SEAL_E_OLD } } },
	{ "into what was left of a word that a long jump passed", { { 70, SEAL_OK }, { 2 * (W + 64), SEAL_OK },
	    { W + 64 + 70, SEAL_OK }, { W + 64 + 70, SEAL_E_REPLAYED } } },
	{ "a long jump", { { 100, SEAL_OK }, { 1u << 30, SEAL_OK }, { 100, SEAL_E_OLD }, { (1u << 30) - W, SEAL_E_OLD },
	    { (1u << 30) - W + 1, SEAL_OK }, { (1u << 30) - 1, SEAL_OK }, { 1u << 30, SEAL_E_REPLAYED } } },
	{ "over 2^32", { { 0x7fffffff, SEAL_OK }, { 0xfffffffe, SEAL_OK }, { 0xffffffff, SEAL_OK },
	    { 0x100000000, SEAL_OK }, { 0x100000001, SEAL_OK }, { 0xffffffff, SEAL_E_REPLAYED }, { 0xfffffff0, SEAL_OK } } },
};

START_TEST(test_window)
{
	for (size_t i = 0; i < LEN(windows); i++) {
		struct ends e = { 0 };

		ends_open(&e, _i, false);
		for (size_t s = 0; s < LEN(windows[i].step); s++) {
			struct sealed p;
			int got;

			if (s > 0 && windows[i].step[s].number == 0 && windows[i].step[s].error == 0)
				break;
			p = seal_number_of(&e, windows[i].step[s].number);
			got = open_one(&e, &p);
			ck_assert_msg(got == windows[i].step[s].error, "%s: step %zu, packet %lu: %s", windows[i].what, s,
			    p.number, seal_strerror(got));
		}
		ends_close(&e);
	}
}
END_TEST

/* Against a model that remembers all: any order, with repeats, jumps of every size. */
START_TEST(test_window_model)
{
	enum { ALL = 100000, STEPS = 60000 };
	static bool had[ALL];
	struct ends e = { 0 };
	uint64_t end = 0, seed = 7 + (uint64_t)_i;
	struct aead_key *k = aead_key_new((enum aead_cipher)_i, key);

	memset(had, 0, sizeof(had));
	ends_open(&e, _i, false);
	for (int i = 0; i < STEPS; i++) {
		struct sealed p = { 0 };
		uint64_t back;
		int want;

		seed = seed * 6364136223846793005ull + 1442695040888963407ull;
		back = (seed >> 33) % (1u << (seed >> 60));
		if (seed >> 58 & 1)
			p.number = end + back / 16 % 200;
		else
			p.number = end > back ? end - back : 0;
		if (p.number >= ALL)
			break;
		want = p.number + W < end ? SEAL_E_OLD : had[p.number] ? SEAL_E_REPLAYED : SEAL_OK;
		text_of(p.bytes, p.number);
		ck_assert_int_eq(aead_seal(k, p.number, AD, AD_LEN, p.bytes, p.bytes, TEXT_LEN), 0);
		opens(&e, &p, want);
		had[p.number] = true;
		if (p.number >= end)
			end = p.number + 1;
		ck_assert_uint_eq(seal_rx_next(e.rx), end);
	}
	ck_assert_uint_gt(end, 20 * W);
	aead_key_free(k);
	ends_close(&e);
}
END_TEST

/* --- phases ------------------------------------------------------------------ */

/* Phase 0 has packets 0..9, phase 1 10..19, and so on. */
static void
ten_each(struct ends *e, struct sealed *s, size_t n)
{
	e->lim.packets = 10;
	ends_open(e, (int)e->cipher, false);
	for (size_t i = 0; i < n; i++) {
		s[i] = seal_next(e);
		ck_assert_uint_eq(s[i].number, i);
		ck_assert_int_eq(s[i].phase, i / 10 % 2);
	}
}

static struct seal_limits
no_limits(void)
{
	return (struct seal_limits){ .packets = NEVER, .bytes = NEVER, .phase_ns = NEVER, .old_ns = NEVER, .failed = NEVER,
		.number_max = NEVER };
}

START_TEST(test_phase_begins)
{
	struct ends e = { .lim = no_limits() };
	struct sealed s;

	/* by packets */
	e.lim.packets = 3;
	ends_open(&e, _i, false);
	for (int i = 0; i < 10; i++) {
		s = seal_next(&e);
		ck_assert_int_eq(s.phase, i / 3 % 2);
		opens(&e, &s, SEAL_OK);
	}
	ends_close(&e);
	/* by bytes: the packet that passes the limit is the last */
	e.lim = no_limits();
	e.lim.bytes = 2 * TEXT_LEN + 1;
	ends_open(&e, _i, false);
	for (int i = 0; i < 10; i++) {
		s = seal_next(&e);
		ck_assert_int_eq(s.phase, i / 3 % 2);
		opens(&e, &s, SEAL_OK);
	}
	ends_close(&e);
	/* by time, which runs from the phase's begin */
	e.lim = no_limits();
	e.lim.phase_ns = 100;
	ends_open(&e, _i, false);
	for (uint64_t t = 0; t < 1000; t += 20) {
		s = seal_at(&e, t);
		ck_assert_int_eq(s.phase, t / 100 % 2);
		ck_assert_int_eq(open_at(&e, &s, t), SEAL_OK);
	}
	ends_close(&e);
	/* asked for; a phase without a packet is none */
	e.lim = no_limits();
	ends_open(&e, _i, false);
	seal_tx_rekey(e.tx);
	s = seal_next(&e);
	ck_assert_int_eq(s.phase, 0);
	s = seal_next(&e);
	ck_assert_int_eq(s.phase, 1);
	seal_tx_rekey(e.tx);
	seal_tx_rekey(e.tx);
	s = seal_next(&e);
	ck_assert_int_eq(s.phase, 0);
	s = seal_next(&e);
	ck_assert_int_eq(s.phase, 0);
	ends_close(&e);
}
END_TEST

/* In the midst of one batch. */
START_TEST(test_phase_in_batch)
{
	struct ends e = { .lim = no_limits() };
	uint8_t buf[25][32];
	struct seal_pkt pkts[25];

	e.lim.packets = 10;
	ends_open(&e, _i, false);
	for (size_t i = 0; i < LEN(pkts); i++)
		pkts[i] = (struct seal_pkt){ .data = buf[i], .len = 8 };
	memset(buf, 'x', sizeof(buf));
	ck_assert_uint_eq(seal_packets(e.tx, pkts, LEN(pkts), 0), LEN(pkts));
	for (size_t i = 0; i < LEN(pkts); i++)
		ck_assert_int_eq(pkts[i].phase, i / 10 % 2);
	ck_assert_uint_eq(seal_open(e.rx, pkts, LEN(pkts), 0), LEN(pkts));
	ends_close(&e);
}
END_TEST

static void
opens_in(struct ends *e, const struct sealed *s, const int *order, size_t n)
{
	for (size_t i = 0; i < n; i++)
		opens(e, &s[order[i]], SEAL_OK);
}

START_TEST(test_phases_mixed)
{
	static const int orders[][12] = {
		{ 8, 10, 9, 11, 7, 12, 6, 13, 5, 14, 4, 15 },	/* turn by turn */
		{ 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4 },	/* backwards: the first one is of phase 1 */
		{ 9, 19, 10, 8, 18, 11, 7, 0, 17, 12, 1, 2 },
		{ 13, 9, 12, 8, 11, 7, 10, 6, 14, 5, 15, 4 },
		{ 0, 19, 1, 18, 9, 10, 2, 17, 3, 11, 4, 12 },
		{ 19, 0, 9, 10, 18, 1, 2, 17, 20, 11, 12, 21 },	/* phase 2 begins while 1 goes on */
	};
	struct sealed s[30];

	for (size_t i = 0; i < LEN(orders); i++) {
		struct ends e = { .cipher = (enum aead_cipher)_i, .lim = no_limits() };

		ten_each(&e, s, LEN(s));
		opens_in(&e, s, orders[i], LEN(orders[i]));
		for (size_t j = 0; j < LEN(orders[i]); j++)
			opens(&e, &s[orders[i][j]], SEAL_E_REPLAYED);
		ends_close(&e);
	}
}
END_TEST

/* Many phases, each packet late by up to 8 places: shorter than a phase, so none is lost. */
START_TEST(test_phases_many)
{
	enum { N = 2000, LATE = 8 };
	static struct sealed s[N];
	struct ends e = { .cipher = (enum aead_cipher)_i, .lim = no_limits() };
	uint64_t seed = 3;

	ten_each(&e, s, N);
	for (size_t i = 0; i < N; i += LATE)
		for (size_t j = LATE - 1; j > 0; j--) {
			size_t a = i + j, b;
			struct sealed swap = s[a];

			seed = seed * 6364136223846793005ull + 1442695040888963407ull;
			b = i + (seed >> 33) % (j + 1);
			s[a] = s[b];
			s[b] = swap;
		}
	for (size_t i = 0; i < N; i++)
		opens(&e, &s[i], SEAL_OK);
	ends_close(&e);
}
END_TEST

/* The last phase's key goes when it is time and when a further phase begins; its packets go with the window as well. */
START_TEST(test_old_key)
{
	struct sealed s[30], far;
	struct ends e = { .cipher = (enum aead_cipher)_i, .lim = no_limits() };

	e.lim.old_ns = 1000;
	ten_each(&e, s, LEN(s));
	ck_assert_int_eq(open_at(&e, &s[0], 0), SEAL_OK);
	ck_assert_int_eq(open_at(&e, &s[10], 500), SEAL_OK);
	ck_assert_int_eq(open_at(&e, &s[1], 1499), SEAL_OK);
	ck_assert_int_eq(open_at(&e, &s[2], 1500), SEAL_E_OLD);
	ck_assert_int_eq(open_at(&e, &s[11], 1500), SEAL_OK);
	ends_close(&e);

	ten_each(&e, s, LEN(s));
	ck_assert_int_eq(open_at(&e, &s[10], 500), SEAL_OK);
	seal_rx_expire(e.rx, 1499);
	ck_assert_int_eq(open_at(&e, &s[1], 1499), SEAL_OK);
	seal_rx_expire(e.rx, 1500);
	ck_assert_int_eq(open_at(&e, &s[2], 1499), SEAL_E_OLD);
	ends_close(&e);

	ten_each(&e, s, LEN(s));
	opens(&e, &s[5], SEAL_OK);
	opens(&e, &s[15], SEAL_OK);
	opens(&e, &s[6], SEAL_OK);
	opens(&e, &s[25], SEAL_OK);	/* phase 2: the same bit as phase 0, whose key is gone */
	opens(&e, &s[16], SEAL_OK);
	opens(&e, &s[7], SEAL_E_TAMPERED);
	ends_close(&e);

	/* a packet of the first phase that is still within the window, then no longer */
	e.lim = no_limits();
	e.lim.packets = 2;
	ends_open(&e, _i, false);
	s[0] = seal_next(&e);
	s[1] = seal_next(&e);
	e.lim.packets = NEVER;
	seal_tx_free(e.tx);
	opens(&e, &s[0], SEAL_OK);
	e.tx = seal_tx_new(e.cipher, key, &e.lim, 0);
	seal_next(&e);
	seal_next(&e);
	seal_tx_rekey(e.tx);
	s[2] = seal_next(&e);
	opens(&e, &s[2], SEAL_OK);
	for (unsigned i = 3; i <= W; i++)
		far = seal_next(&e);
	ck_assert_uint_eq(far.number, W);
	opens(&e, &far, SEAL_OK);
	opens(&e, &s[1], SEAL_OK);
	far = seal_next(&e);
	opens(&e, &far, SEAL_OK);
	opens(&e, &s[1], SEAL_E_OLD);
	ends_close(&e);
}
END_TEST

/* A forged phase bit costs nothing but the packet; so does one of the true next key with a forged body. */
START_TEST(test_phase_forged)
{
	struct sealed s[20], bad;
	struct ends e = { .cipher = (enum aead_cipher)_i, .lim = no_limits() };

	ten_each(&e, s, LEN(s));
	for (int i = 0; i < 9; i++) {
		opens(&e, &s[i], SEAL_OK);
		bad = s[i + 1];
		bad.phase = !bad.phase;
		opens(&e, &bad, SEAL_E_TAMPERED);
		bad = s[10 + i];
		bad.bytes[0] ^= 1;
		opens(&e, &bad, SEAL_E_TAMPERED);
	}
	opens(&e, &s[9], SEAL_OK);
	for (int i = 10; i < 20; i++)
		opens(&e, &s[i], SEAL_OK);
	/* a packet of this phase said to be of the last: its number is not below all others */
	bad = seal_next(&e);
	bad.phase = !bad.phase;
	opens(&e, &bad, SEAL_E_TAMPERED);
	ends_close(&e);
}
END_TEST

/* One whole phase lost is one too many: that is counted, so that somebody can act. Half of it is not. */
START_TEST(test_phase_lost)
{
	struct sealed s[40];
	struct ends e = { .cipher = (enum aead_cipher)_i, .lim = no_limits() };

	ten_each(&e, s, LEN(s));
	opens(&e, &s[0], SEAL_OK);
	opens(&e, &s[19], SEAL_OK);
	opens(&e, &s[20], SEAL_OK);
	ends_close(&e);

	ten_each(&e, s, LEN(s));
	opens(&e, &s[0], SEAL_OK);
	for (size_t i = 20; i < LEN(s); i++)
		opens(&e, &s[i], SEAL_E_TAMPERED);
	ck_assert_uint_eq(seal_rx_failed(e.rx), 20);
	ends_close(&e);
}
END_TEST

/* --- ordered ----------------------------------------------------------------- */

START_TEST(test_ordered)
{
	struct sealed s[40];
	struct ends e = { .cipher = (enum aead_cipher)_i, .lim = no_limits() };

	e.lim.packets = 10;
	ends_open(&e, _i, true);
	for (size_t i = 0; i < LEN(s); i++) {
		s[i] = seal_next(&e);
		ck_assert_int_eq(s[i].phase, i / 10 % 2);
		opens(&e, &s[i], SEAL_OK);
	}
	ends_close(&e);
}
END_TEST

START_TEST(test_ordered_fails)
{
	static const struct {
		const char *what;
		int	    next;	/* after 0..11 */
		int	    error;
	} cases[] = {
		{ "the last again", 11, SEAL_E_REPLAYED }, { "the first again", 0, SEAL_E_REPLAYED },
		{ "one left out", 13, SEAL_E_GAP }, { "many left out", 19, SEAL_E_GAP },
	};
	struct sealed s[20], bad;
	struct ends e = { .cipher = (enum aead_cipher)_i, .lim = no_limits() };

	for (size_t i = 0; i < LEN(cases) + 3; i++) {
		struct seal_pkt pkt;
		int want = SEAL_E_TAMPERED;

		e.lim.packets = 10;
		ends_open(&e, _i, true);
		for (int j = 0; j < 20; j++) {
			s[j] = seal_next(&e);
			if (j < 12)
				opens(&e, &s[j], SEAL_OK);
		}
		bad = s[12];
		pkt = (struct seal_pkt){ .data = bad.bytes, .len = SEAL_TAG_LEN - 1, .number = 12, .phase = true };
		if (i < LEN(cases)) {
			want = cases[i].error;
			opens(&e, &s[cases[i].next], want);
		} else if (i == LEN(cases)) {
			bad.bytes[0] ^= 1;
			opens(&e, &bad, want);
		} else if (i == LEN(cases) + 1) {
			bad.phase = !bad.phase;
			opens(&e, &bad, want);
		} else {
			want = SEAL_E_SHORT;
			ck_assert_uint_eq(seal_open(e.rx, &pkt, 1, 0), 0);
			ck_assert_int_eq(pkt.error, want);
		}
		/* that was the end of it, with its reason */
		opens(&e, &s[12], want);
		opens(&e, &s[13], want);
		ends_close(&e);
	}
}
END_TEST

/* A batch that goes wrong in the midst: what was before is good, what is behind is not. */
START_TEST(test_ordered_batch)
{
	struct sealed s[5];
	struct seal_pkt pkts[5];
	struct ends e = { .lim = no_limits() };

	ends_open(&e, _i, true);
	for (size_t i = 0; i < LEN(s); i++) {
		s[i] = seal_next(&e);
		pkts[i] = (struct seal_pkt){ .data = s[i].bytes, .len = sizeof(s[i].bytes), .ad = AD, .ad_len = AD_LEN,
			.number = s[i].number };
	}
	s[2].bytes[0] ^= 1;
	ck_assert_uint_eq(seal_open(e.rx, pkts, LEN(pkts), 0), 2);
	for (size_t i = 0; i < LEN(s); i++)
		ck_assert_int_eq(pkts[i].error, i < 2 ? SEAL_OK : SEAL_E_TAMPERED);
	ends_close(&e);
}
END_TEST

/* --- limits ------------------------------------------------------------------- */

START_TEST(test_default_limits)
{
	struct seal_limits lim;

	/* RFC 9001, section 6.6; for AES-GCM we stay at half of what a key may do. */
	seal_limits_default(&lim, AEAD_AESGCM);
	ck_assert_uint_le(lim.packets, 1u << 22);
	ck_assert_uint_le(lim.failed, 1ull << 52);
	seal_limits_default(&lim, AEAD_CHACHAPOLY);
	ck_assert_uint_le(lim.packets, 1ull << 62);
	ck_assert_uint_le(lim.failed, 1ull << 36);
	ck_assert_uint_eq(lim.number_max, SEAL_NUMBER_MAX);
	/* the late are many times younger than a phase, and so is a window at any rate above 34 packets a second */
	ck_assert_uint_ge(lim.phase_ns, 10 * lim.old_ns);
}
END_TEST

START_TEST(test_exhausted_numbers)
{
	struct ends e = { .lim = no_limits() };
	struct sealed s;
	uint8_t buf[64];
	struct seal_pkt pkts[3] = { { .data = buf }, { .data = buf }, { .data = buf } };

	e.lim.number_max = 2;
	ends_open(&e, _i, false);
	ck_assert_uint_eq(seal_packets(e.tx, pkts, 2, 0), 2);
	pkts[0].len = pkts[1].len = 0;
	ck_assert_uint_eq(seal_packets(e.tx, pkts, 3, 0), 1);
	ck_assert_int_eq(pkts[0].error, SEAL_OK);
	ck_assert_uint_eq(pkts[0].number, 2);
	for (int i = 1; i < 3; i++) {
		ck_assert_int_eq(pkts[i].error, SEAL_E_EXHAUSTED);
		ck_assert_uint_eq(pkts[i].len, 0);
	}
	s = seal_number_of(&e, 2);
	opens(&e, &s, SEAL_OK);
	s = seal_number_of(&e, 3);
	opens(&e, &s, SEAL_E_EXHAUSTED);
	s = seal_number_of(&e, 1);
	opens(&e, &s, SEAL_OK);
	ends_close(&e);
}
END_TEST

START_TEST(test_exhausted_failures)
{
	struct ends e = { .lim = no_limits() };
	struct sealed s[4], bad;

	e.lim.failed = 3;
	ends_open(&e, _i, false);
	for (size_t i = 0; i < LEN(s); i++)
		s[i] = seal_next(&e);
	bad = s[3];
	bad.bytes[0] ^= 1;
	for (int i = 0; i < 3; i++) {
		opens(&e, &s[i], SEAL_OK);
		opens(&e, &s[i], SEAL_E_REPLAYED);	/* which is no failure of the cipher's */
		opens(&e, &bad, SEAL_E_TAMPERED);
	}
	opens(&e, &s[3], SEAL_E_EXHAUSTED);
	opens(&e, &bad, SEAL_E_EXHAUSTED);
	ends_close(&e);
}
END_TEST

/* --- no allocation a packet ---------------------------------------------------- */

static size_t allocations;

static void *
count_malloc(size_t size)
{
	allocations++;
	return malloc(size);
}

static void *
count_realloc(void *p, size_t size)
{
	allocations++;
	return realloc(p, size);
}

START_TEST(test_allocations)
{
	struct ends e = { 0 };
	struct sealed s;

	ends_open(&e, _i, false);
	wolfSSL_SetAllocators(count_malloc, free, count_realloc);
	for (int i = 0; i < 100; i++) {
		s = seal_next(&e);
		opens(&e, &s, SEAL_OK);
		s.bytes[0] ^= 1;
		s.number += 1000;
		opens(&e, &s, SEAL_E_TAMPERED);
	}
	ck_assert_uint_eq(allocations, 0);
	ends_close(&e);
}
END_TEST

static Suite *
seal_suite(void)
{
	Suite *s = suite_create("seal");
	TCase *t = tcase_create("seal");

	tcase_set_timeout(t, 120);
	add_each_cipher(t, test_chain);
	tcase_add_test(t, test_names);
	tcase_add_test(t, test_number);
	add_each_cipher(t, test_batches);
	add_each_cipher(t, test_batch_mixed);
	add_each_cipher(t, test_tampered);
	add_each_cipher(t, test_too_long);
	add_each_cipher(t, test_window);
	add_each_cipher(t, test_window_model);
	add_each_cipher(t, test_phase_begins);
	add_each_cipher(t, test_phase_in_batch);
	add_each_cipher(t, test_phases_mixed);
	add_each_cipher(t, test_phases_many);
	add_each_cipher(t, test_old_key);
	add_each_cipher(t, test_phase_forged);
	add_each_cipher(t, test_phase_lost);
	add_each_cipher(t, test_ordered);
	add_each_cipher(t, test_ordered_fails);
	add_each_cipher(t, test_ordered_batch);
	tcase_add_test(t, test_default_limits);
	add_each_cipher(t, test_exhausted_numbers);
	add_each_cipher(t, test_exhausted_failures);
	add_each_cipher(t, test_allocations);
	suite_add_tcase(s, t);
	return s;
}

int
main(void)
{
	return suite_run(seal_suite());
}
