#include "crypto/seal.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "crypto/crypto.h"

/*
 * RFC 6479: a ring of words, of which one is not counted, so that moving the window clears whole words and a packet
 * costs one bit. Some thousands, since packets of one stream can take different lanes, a few ms at a million a second.
 */
#define RING_WORDS 64u
_Static_assert(SEAL_WINDOW == (RING_WORDS - 1) * 64, "the window is the ring less one word");

struct seal_tx {
	enum aead_cipher cipher;
	bool		 phase;
	struct aead_key	*key;
	struct seal_limits lim;
	uint64_t	 next;		/* number */
	uint64_t	 packets, bytes; /* of this phase */
	uint64_t	 since_ns;	/* it began */
	bool		 rekey;		/* asked for */
};

struct seal_rx {
	enum aead_cipher cipher;
	bool		 ordered;
	bool		 phase;
	int		 dead;		/* what ended it */
	struct aead_key	*last, *key, *next;	/* of the phases; last and next only while they are needed */
	struct seal_limits lim;
	uint64_t	 end;		/* one more than the highest number opened */
	uint64_t	 since_ns;	/* this phase's first was opened */
	uint64_t	 failed, failed_in_row;
	uint64_t	 ring[];	/* RING_WORDS; none when ordered */
};

static const char *const errors[] = {
	[-SEAL_OK] = "no error",
	[-SEAL_E_TAMPERED] = "tampered",
	[-SEAL_E_REPLAYED] = "replayed",
	[-SEAL_E_OLD] = "too old",
	[-SEAL_E_GAP] = "gap",
	[-SEAL_E_SHORT] = "too short",
	[-SEAL_E_LONG] = "too long",
	[-SEAL_E_EXHAUSTED] = "exhausted",
	[-SEAL_E_LIBRARY] = "library failure",
};

const char *
seal_strerror(int error)
{
	return error <= 0 && error >= SEAL_E_LIBRARY ? errors[-error] : "unknown";
}

void
seal_limits_default(struct seal_limits *lim, enum aead_cipher cipher)
{
	*lim = (struct seal_limits){
		.packets = cipher == AEAD_AESGCM ? 1ull << 22 : 1ull << 40,
		.bytes = 1ull << 35,
		.phase_ns = 120 * NS_PER_SEC,
		.old_ns = 3 * NS_PER_SEC,
		.failed = cipher == AEAD_AESGCM ? 1ull << 52 : 1ull << 36,
		.number_max = SEAL_NUMBER_MAX,
	};
}

static void
limits_set(struct seal_limits *lim, const struct seal_limits *given, enum aead_cipher cipher)
{
	if (given != NULL)
		*lim = *given;
	else
		seal_limits_default(lim, cipher);
	if (lim->number_max > SEAL_NUMBER_MAX)
		lim->number_max = SEAL_NUMBER_MAX;
}

uint64_t
seal_number(uint64_t expected, uint32_t low)
{
	const uint64_t win = 1ull << 32, half = win / 2;
	uint64_t n = (expected & ~(win - 1)) | low;

	if (n + half <= expected && n <= SEAL_NUMBER_MAX - win)
		return n + win;
	if (n > expected + half && n >= win)
		return n - win;
	return n;
}

/* The key of the phase after k's, or NULL. */
static struct aead_key *
key_after(struct aead_key *k, enum aead_cipher cipher)
{
	uint8_t raw[AEAD_KEY_LEN];
	struct aead_key *next = NULL;

	if (aead_rekey(raw, k) == 0)
		next = aead_key_new(cipher, raw);
	crypto_wipe(raw, sizeof(raw));
	return next;
}

/* --- sealing --------------------------------------------------------------- */

struct seal_tx *
seal_tx_new(enum aead_cipher cipher, const uint8_t key[AEAD_KEY_LEN], const struct seal_limits *lim, uint64_t now_ns)
{
	struct seal_tx *tx;

	if ((tx = calloc(1, sizeof(*tx))) == NULL)
		return NULL;
	if ((tx->key = aead_key_new(cipher, key)) == NULL) {
		free(tx);
		return NULL;
	}
	tx->cipher = cipher;
	tx->since_ns = now_ns;
	limits_set(&tx->lim, lim, cipher);
	return tx;
}

void
seal_tx_free(struct seal_tx *tx)
{
	if (tx == NULL)
		return;
	aead_key_free(tx->key);
	free(tx);
}

void
seal_tx_rekey(struct seal_tx *tx)
{
	tx->rekey = true;
}

void
seal_tx_trim(struct seal_tx *tx)
{
	aead_key_trim(tx->key);
}

uint64_t
seal_tx_next(const struct seal_tx *tx)
{
	return tx->next;
}

/* Every phase has a packet: else the receiver could not tell it from the one after the next. */
static bool
phase_is_over(const struct seal_tx *tx, uint64_t now_ns)
{
	return tx->packets > 0 && (tx->packets >= tx->lim.packets || tx->bytes >= tx->lim.bytes ||
	    now_ns - tx->since_ns >= tx->lim.phase_ns || tx->rekey);
}

static int
phase_next(struct seal_tx *tx, uint64_t now_ns)
{
	struct aead_key *next = key_after(tx->key, tx->cipher);

	if (next == NULL)
		return SEAL_E_LIBRARY;
	aead_key_free(tx->key);
	tx->key = next;
	tx->phase = !tx->phase;
	tx->packets = tx->bytes = 0;
	tx->since_ns = now_ns;
	tx->rekey = false;
	return SEAL_OK;
}

static int
seal_one(struct seal_tx *tx, struct seal_pkt *pkt, uint64_t now_ns)
{
	int error;

	if (pkt->len > AEAD_LEN_MAX || pkt->ad_len > AEAD_LEN_MAX)
		return SEAL_E_LONG;
	if (tx->next > tx->lim.number_max)
		return SEAL_E_EXHAUSTED;
	if (phase_is_over(tx, now_ns) && (error = phase_next(tx, now_ns)) != SEAL_OK)
		return error;
	pkt->number = tx->next++;	/* used up even when the library fails: it may have written something */
	pkt->phase = tx->phase;
	if (aead_seal(tx->key, pkt->number, pkt->ad, pkt->ad_len, pkt->data,
	    pkt->text != NULL ? pkt->text : pkt->data, pkt->len) == -1)
		return SEAL_E_LIBRARY;
	tx->packets++;
	tx->bytes += pkt->len;
	return SEAL_OK;
}

size_t
seal_packets(struct seal_tx *tx, struct seal_pkt *pkts, size_t n, uint64_t now_ns)
{
	size_t good = 0;

	for (size_t i = 0; i < n; i++) {
		pkts[i].error = seal_one(tx, &pkts[i], now_ns);
		if (pkts[i].error == SEAL_OK) {
			pkts[i].len += SEAL_TAG_LEN;
			good++;
		} else {
			pkts[i].len = 0;
		}
	}
	return good;
}

/* --- the replay window ------------------------------------------------------ */

static int
window_check(const struct seal_rx *rx, uint64_t number)
{
	if (number >= rx->end)
		return SEAL_OK;
	if (rx->end - number > SEAL_WINDOW)
		return SEAL_E_OLD;
	return rx->ring[number / 64 % RING_WORDS] >> number % 64 & 1 ? SEAL_E_REPLAYED : SEAL_OK;
}

static void
window_mark(struct seal_rx *rx, uint64_t number)
{
	uint64_t word = number / 64;

	if (number >= rx->end) {
		uint64_t top = rx->end == 0 ? 0 : (rx->end - 1) / 64;
		uint64_t fresh = word - top < RING_WORDS ? word - top : RING_WORDS;

		for (uint64_t i = 0; i < fresh; i++)
			rx->ring[(word - i) % RING_WORDS] = 0;
	}
	rx->ring[word % RING_WORDS] |= 1ull << number % 64;
}

/* --- opening --------------------------------------------------------------- */

struct seal_rx *
seal_rx_new(enum aead_cipher cipher, const uint8_t key[AEAD_KEY_LEN], const struct seal_limits *lim, bool ordered)
{
	struct seal_rx *rx;

	if ((rx = calloc(1, sizeof(*rx) + (ordered ? 0 : RING_WORDS * sizeof(rx->ring[0])))) == NULL)
		return NULL;
	if ((rx->key = aead_key_new(cipher, key)) == NULL) {
		free(rx);
		return NULL;
	}
	rx->cipher = cipher;
	rx->ordered = ordered;
	limits_set(&rx->lim, lim, cipher);
	return rx;
}

static void
keys_drop(struct seal_rx *rx)
{
	aead_key_free(rx->last);
	aead_key_free(rx->key);
	aead_key_free(rx->next);
	rx->last = rx->key = rx->next = NULL;
}

void
seal_rx_free(struct seal_rx *rx)
{
	if (rx == NULL)
		return;
	keys_drop(rx);
	free(rx);
}

void
seal_rx_trim(struct seal_rx *rx)
{
	struct aead_key *keys[] = { rx->last, rx->key, rx->next };

	for (unsigned i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		if (keys[i] != NULL)
			aead_key_trim(keys[i]);
}

uint64_t
seal_rx_next(const struct seal_rx *rx)
{
	return rx->end;
}

uint64_t
seal_rx_failed(const struct seal_rx *rx)
{
	return rx->failed_in_row;
}

void
seal_rx_expire(struct seal_rx *rx, uint64_t now_ns)
{
	if (rx->last == NULL || now_ns - rx->since_ns < rx->lim.old_ns)
		return;
	aead_key_free(rx->last);
	rx->last = NULL;
}

/*
 * The key for a packet. With the other phase's bit it is of the phase after when its number is above all that were
 * opened, else of the phase before: the sender's numbers only grow (RFC 9001, section 6.5).
 */
static int
key_for(struct seal_rx *rx, const struct seal_pkt *pkt, struct aead_key **key)
{
	if (pkt->phase == rx->phase) {
		*key = rx->key;
	} else if (pkt->number < rx->end) {
		if ((*key = rx->last) == NULL)
			return SEAL_E_OLD;
	} else {
		if (rx->next == NULL && (rx->next = key_after(rx->key, rx->cipher)) == NULL)
			return SEAL_E_LIBRARY;
		*key = rx->next;
	}
	return SEAL_OK;
}

static void
failed(struct seal_rx *rx)
{
	rx->failed_in_row++;
	if (++rx->failed >= rx->lim.failed)
		rx->dead = SEAL_E_EXHAUSTED;
}

/* A packet has opened with `key`: the other end is in that phase, or was. */
static void
opened(struct seal_rx *rx, uint64_t number, const struct aead_key *key, uint64_t now_ns)
{
	if (key == rx->next) {
		aead_key_free(rx->last);
		rx->last = rx->key;
		rx->key = rx->next;
		rx->next = NULL;
		rx->phase = !rx->phase;
		rx->since_ns = now_ns;
	}
	rx->failed_in_row = 0;
	if (rx->ordered) {
		aead_key_free(rx->last);	/* nothing is late */
		rx->last = NULL;
	} else {
		window_mark(rx, number);
	}
	if (number >= rx->end)
		rx->end = number + 1;
}

static int
order_check(const struct seal_rx *rx, uint64_t number)
{
	return number == rx->end ? SEAL_OK : number < rx->end ? SEAL_E_REPLAYED : SEAL_E_GAP;
}

static int
open_one(struct seal_rx *rx, struct seal_pkt *pkt, uint64_t now_ns)
{
	struct aead_key *key;
	int error;

	if (pkt->len < SEAL_TAG_LEN)
		return SEAL_E_SHORT;
	if (pkt->len - SEAL_TAG_LEN > AEAD_LEN_MAX || pkt->ad_len > AEAD_LEN_MAX)
		return SEAL_E_LONG;
	pkt->number = seal_number(rx->end, (uint32_t)pkt->number);
	if (pkt->number > rx->lim.number_max)
		return SEAL_E_EXHAUSTED;
	error = rx->ordered ? order_check(rx, pkt->number) : window_check(rx, pkt->number);
	if (error != SEAL_OK || (error = key_for(rx, pkt, &key)) != SEAL_OK)
		return error;
	if (aead_key_ready(key) == -1)
		return SEAL_E_LIBRARY;
	if (aead_open(key, pkt->number, pkt->ad, pkt->ad_len, pkt->data, pkt->data, pkt->len) == -1) {
		failed(rx);
		return SEAL_E_TAMPERED;
	}
	opened(rx, pkt->number, key, now_ns);
	return SEAL_OK;
}

size_t
seal_open(struct seal_rx *rx, struct seal_pkt *pkts, size_t n, uint64_t now_ns)
{
	size_t good = 0;

	seal_rx_expire(rx, now_ns);
	for (size_t i = 0; i < n; i++) {
		int error = rx->dead != SEAL_OK ? rx->dead : open_one(rx, &pkts[i], now_ns);

		if ((pkts[i].error = error) == SEAL_OK) {
			pkts[i].len -= SEAL_TAG_LEN;
			good++;
			continue;
		}
		pkts[i].len = 0;
		if (rx->ordered && rx->dead == SEAL_OK)
			rx->dead = error;
		if (rx->dead != SEAL_OK)
			keys_drop(rx);
	}
	return good;
}
