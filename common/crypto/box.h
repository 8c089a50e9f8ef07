/*
 * A sealed message to one key: the one-way handshake Noise_N_25519_AESGCM_SHA256 of the Noise Protocol Framework, revision
 * 34, section 7.4, its payload the message. Who sealed it is not proven: what is inside has to be signed.
 */
#ifndef CRYPTO_BOX_H
#define CRYPTO_BOX_H

#include <stddef.h>
#include <stdint.h>

#include "crypto/noise.h"

#define BOX_OVERHEAD	(NOISE_DH_LEN + AEAD_TAG_LEN)

/*
 * Seals `len' bytes to the holder of the key `to'; the prologue is bytes that both sides must have alike. Returns the
 * length, len + BOX_OVERHEAD, or a negative noise_error. out must not overlap msg.
 */
int	box_seal(uint8_t *out, size_t size, const uint8_t to[NOISE_DH_LEN], const void *prologue, size_t prologue_len,
	    const void *msg, size_t len);

/* As box_seal() with this ephemeral key: for test vectors alone, since a second message under the same one tells of both. */
int	box_seal_with(uint8_t *out, size_t size, const uint8_t to[NOISE_DH_LEN], const void *prologue, size_t prologue_len,
	    const void *msg, size_t len, const struct noise_key *ephemeral);

/* Opens what was sealed to `self'. The message's length, or a negative noise_error. */
int	box_open(uint8_t *out, size_t size, const struct noise_key *self, const void *prologue, size_t prologue_len,
	    const void *box, size_t len);

#endif
