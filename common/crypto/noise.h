/*
 * The handshake Noise_IK_25519_<cipher>_SHA256 of the Noise Protocol Framework, revision 34: the initiator knows the
 * responder's static key beforehand (from its service record), each proves its own, and one message each way does it:
 *
 *	<- s
 *	...
 *	-> e, es, s, ss		NOISE_1_OVERHEAD bytes and the payload
 *	<- e, ee, se		NOISE_2_OVERHEAD bytes and the payload
 *
 * A state machine without I/O: it is given messages and gives messages. What follows is in crypto/seal.h.
 *
 * What the first message may be trusted with (sections 7.7 and 7.8): its payload is secret only while the responder's
 * static key is, and whoever has seen the message can send it again, to a responder that will answer it. Only the
 * first DATA that opens under the keys of noise_split() proves to the responder that the initiator is there; a payload
 * that must not take effect twice does not belong into it.
 */
#ifndef CRYPTO_NOISE_H
#define CRYPTO_NOISE_H

#include <stddef.h>
#include <stdint.h>

#include "crypto/aead.h"

#define NOISE_DH_LEN	32	/* DHLEN: X25519, RFC 7748 */
#define NOISE_HASH_LEN	32	/* HASHLEN: SHA-256 */
#define NOISE_MESSAGE_MAX 65535	/* section 3 */
#define NOISE_1_OVERHEAD (NOISE_DH_LEN + NOISE_DH_LEN + AEAD_TAG_LEN + AEAD_TAG_LEN)
#define NOISE_2_OVERHEAD (NOISE_DH_LEN + AEAD_TAG_LEN)

enum noise_error {
	NOISE_OK = 0,
	NOISE_E_STATE = -1,	/* not now: it is not our turn, or the handshake has failed or is over */
	NOISE_E_ROOM = -2,	/* the payload is too long, or the buffer too short; nothing has changed */
	NOISE_E_SHORT = -3,	/* the message is shorter, or longer, than one can be */
	NOISE_E_DH = -4,	/* a key of the other end is of small order */
	NOISE_E_TAMPERED = -5,	/* not what was sent; or the prologues, the cipher or the responder's key differ */
	NOISE_E_LIBRARY = -6	/* memory is short, or the library fails */
};

struct noise_key {
	uint8_t	public[NOISE_DH_LEN];
	uint8_t	secret[NOISE_DH_LEN];
};

enum noise_role { NOISE_INITIATOR, NOISE_RESPONDER };

struct noise;

const char *noise_strerror(int);

/* "Noise_IK_25519_AESGCM_SHA256" and the like (section 8); "unknown" for no cipher of ours. */
const char *noise_protocol_name(enum aead_cipher);

/* GENERATE_KEYPAIR(), sections 4.1 and 12.1. -1 when the library fails. */
int	noise_key_generate(struct noise_key *);

/* Derives the public half from k->secret, which is any 32 random bytes. -1 when the library fails. */
int	noise_key_from_secret(struct noise_key *);

/*
 * DH(key, public), sections 4.1 and 12.1. Returns NOISE_OK, NOISE_E_DH when the result is all zero (section 9.1 leaves
 * that check to the protocol; here it is always made), or NOISE_E_LIBRARY.
 */
int	noise_dh(uint8_t out[NOISE_DH_LEN], const uint8_t secret[NOISE_DH_LEN], const uint8_t public[NOISE_DH_LEN]);

/*
 * Initialize(IK, ...), section 5.3, with section 10's prologue: bytes that both ends must have alike, not sent. `s` is
 * our static key, copied. `remote` is the responder's static public key for an initiator, NULL for a responder.
 * `ephemeral` is NULL, so that one is made; a secret given here is for test vectors alone, since with a second
 * handshake under the same one all secrecy is gone. NULL when memory is short or an argument is missing.
 */
struct noise *noise_new(enum aead_cipher, enum noise_role, const struct noise_key *s, const uint8_t *remote,
	    const void *prologue, size_t prologue_len, const uint8_t *ephemeral);
void	noise_free(struct noise *);	/* wipes it; NULL is fine */

/*
 * WriteMessage(payload), section 5.3: our message with its payload, to `out`. Returns its length or a negative
 * noise_error; every error but NOISE_E_ROOM ends the handshake, and wipes it.
 */
int	noise_write(struct noise *, uint8_t *out, size_t size, const void *payload, size_t len);

/*
 * ReadMessage(message), section 5.3: checks the other end's message, writes its payload to `payload`, which does not
 * overlap it. Returns the payload's length or a negative noise_error, as above.
 */
int	noise_read(struct noise *, uint8_t *payload, size_t size, const void *message, size_t len);

/*
 * The other end's static public key: a responder has it after noise_read(), and decides before noise_write() whether
 * it is welcome. NULL while it is not known.
 */
const uint8_t *noise_remote(const struct noise *);

/*
 * After both messages: Split(), section 5.2. `tx` is the key of what we seal, `rx` of what we open; `hash`, when not
 * NULL, gets GetHandshakeHash() (section 11.2), for what is to be bound to this handshake. The caller wipes them. The
 * handshake is then over, and wiped.
 */
int	noise_split(struct noise *, uint8_t tx[AEAD_KEY_LEN], uint8_t rx[AEAD_KEY_LEN], uint8_t *hash);

#endif
