/*
 * Units of an unreliable stream that is sealed end to end with keys of its own, as those of the service echo are: one byte
 * of flags, of which only the phase of the key is used, then the sealed bytes (fabric-e2e(7)).
 */
#ifndef SVCHOSTD_UNIT_H
#define SVCHOSTD_UNIT_H

#include "crypto/seal.h"
#include "fabric/e2e.h"

#define UNIT_HEAD	1u
#define UNIT_OVERHEAD	(UNIT_HEAD + SEAL_TAG_LEN)
#define UNIT_PHASE	0x80u
#define UNIT_FAILED_MAX	256u	/* that do not open, in a row, after which a stream is given up */

struct unit_seal {
	struct seal_tx	*tx;
	struct seal_rx	*rx;
};

/* -1 when memory is short; then nothing is left to free. */
int	unit_seal_init(struct unit_seal *, const struct e2e_keys *, uint64_t now_ns);
void	unit_seal_free(struct unit_seal *);	/* wipes the keys; one of zeros is fine */

/*
 * Makes a unit of `len' bytes that begin at buf + UNIT_HEAD, in place: its length, len + UNIT_OVERHEAD, for which buf has
 * to have room, and its number; 0 when the library fails.
 */
size_t	unit_seal(struct unit_seal *, uint8_t *buf, size_t len, uint64_t now_ns, uint64_t *number);

/*
 * Opens a unit of `len' bytes at buf, whose number has these low 32 bits, in place: SEAL_OK, and *out bytes begin at buf +
 * UNIT_HEAD; or an enum seal_error. Nobody else may be able to change buf meanwhile.
 */
int	unit_open(struct unit_seal *, uint8_t *buf, size_t len, uint32_t number, uint64_t now_ns, size_t *out);

/* So many in a row did not open that no more of them will: UNIT_FAILED_MAX. */
bool	unit_failed(const struct unit_seal *);

#endif
