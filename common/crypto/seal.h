/*
 * DATA sealed end to end, after crypto/noise.h's Split(): one struct seal_tx for what one end sends, one struct seal_rx
 * for it at the other, and another pair for the other direction.
 *
 * Every packet has a number, from 0 on, that is also its nonce, and that seal_packets() alone gives out: none is ever
 * used twice. So what has to be sent again is kept sealed and sent as it is, never sealed again; and a unit that travels
 * in fragments, which all have its number, is sealed whole and then cut, and put together before it is opened.
 *
 * Unreliable DATA carries the low 32 bits of the number. seal_open() finds the rest, refuses what it had before (a
 * window, RFC 6479) and takes packets in any order. A reliable stream's packets come each once and in order, or somebody
 * on the way has had a hand in it: an ordered seal_rx takes the next number only, and nothing more after a failure.
 *
 * Keys: a direction goes through phases. The next phase's key is REKEY() of this one's (Noise, section 11.3), so that a
 * key that is found out opens nothing older. The sender begins a phase by itself when the one before is used up or old,
 * in the midst of traffic, and the caller carries its lowest bit beside each packet: it needs no other protection, since
 * a packet with a wrong one does not open. The receiver follows with the first packet of a phase that opens, and keeps
 * the last phase's key for what is late.
 *
 * One bit tells a phase from the next but not from the one after it. When all packets of a whole phase are lost (with
 * AES-GCM: four million, four seconds at a million a second; else two minutes), nothing opens any more. seal_rx_failed()
 * then grows without end: the caller resets the stream, and it is opened anew with a new handshake.
 */
#ifndef CRYPTO_SEAL_H
#define CRYPTO_SEAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crypto/aead.h"

#define SEAL_TAG_LEN	AEAD_TAG_LEN	/* what sealing adds */
#define SEAL_WINDOW	4032u		/* packets that may be overtaken and still be opened */
#define SEAL_NUMBER_MAX	((1ull << 62) - 1)

enum seal_error {
	SEAL_OK = 0,
	SEAL_E_TAMPERED = -1,	/* not what was sealed under this number, or not by the other end */
	SEAL_E_REPLAYED = -2,	/* was opened before */
	SEAL_E_OLD = -3,	/* behind the window, or of a phase whose key is gone */
	SEAL_E_GAP = -4,	/* ordered: packets before it are missing */
	SEAL_E_SHORT = -5,	/* shorter than a tag */
	SEAL_E_LONG = -6,	/* longer than AEAD_LEN_MAX */
	SEAL_E_EXHAUSTED = -7,	/* no number is left; or more packets have failed than the cipher stands */
	SEAL_E_LIBRARY = -8	/* memory is short, or the library fails */
};

/* When to go on to the next phase, and what ends it all. seal_limits_default() says which. */
struct seal_limits {
	uint64_t packets;	/* the sender's, in one phase */
	uint64_t bytes;
	uint64_t phase_ns;
	uint64_t old_ns;	/* how long the receiver keeps the last phase's key */
	uint64_t failed;	/* packets that do not open */
	uint64_t number_max;
};

struct seal_pkt {
	uint8_t		*data;	/* sealed and opened in place; to seal, with room for SEAL_TAG_LEN after it */
	const uint8_t	*text;	/* to seal: where it comes from, which does not overlap data; NULL: it is there already */
	size_t		 len;	/* in: of data; out: of the result, 0 when it failed */
	const void	*ad;	/* sealed with it but not carried: both ends must have the same */
	size_t		 ad_len;
	uint64_t	 number;	/* to open: any with its low 32 bits; out: the whole */
	bool		 phase;		/* seal: out; open: in */
	int		 error;		/* out: SEAL_OK or what was wrong with this one */
};

struct seal_tx;
struct seal_rx;

const char *seal_strerror(int);

/*
 * Half of what RFC 9001, section 6.6, allows a key (AES-GCM: 2^23 packets), 32 GiB, two minutes; three seconds for the
 * late; failures as there (2^52 and 2^36).
 */
void	seal_limits_default(struct seal_limits *, enum aead_cipher);

/* RFC 9000, appendix A.3, with 32 bits: the number with these low bits that is nearest to `expected`. */
uint64_t seal_number(uint64_t expected, uint32_t low);

/* The key is a half of noise_split()'s; limits may be NULL for the default. NULL when memory is short. */
struct seal_tx *seal_tx_new(enum aead_cipher, const uint8_t key[AEAD_KEY_LEN], const struct seal_limits *,
	    uint64_t now_ns);
void	seal_tx_free(struct seal_tx *);		/* wipes it; NULL is fine */

/* Seals n packets under the next n numbers. Returns how many went well; the others say why in their error. */
size_t	seal_packets(struct seal_tx *, struct seal_pkt *, size_t n, uint64_t now_ns);

/* The next packet begins a new phase, unless this one is still unused. */
void	seal_tx_rekey(struct seal_tx *);

/* Of one that is not in use: most of its memory is given back, and taken again by the next packet. */
void	seal_tx_trim(struct seal_tx *);
void	seal_rx_trim(struct seal_rx *);

uint64_t seal_tx_next(const struct seal_tx *);	/* the number of the next packet */

/* `ordered`: of a reliable stream. */
struct seal_rx *seal_rx_new(enum aead_cipher, const uint8_t key[AEAD_KEY_LEN], const struct seal_limits *, bool ordered);
void	seal_rx_free(struct seal_rx *);		/* wipes it; NULL is fine */

/*
 * Opens n packets. Returns how many went well; the others say why in their error, and their data is not to be read. An
 * ordered one that has refused a packet refuses all that follow with the same error.
 */
size_t	seal_open(struct seal_rx *, struct seal_pkt *, size_t n, uint64_t now_ns);

/* Drops the last phase's key when it is time; seal_open() does this too, so this is for when no packets come. */
void	seal_rx_expire(struct seal_rx *, uint64_t now_ns);

uint64_t seal_rx_next(const struct seal_rx *);	/* one more than the highest number that was opened */
uint64_t seal_rx_failed(const struct seal_rx *); /* packets that did not open since the last one that did */

#endif
