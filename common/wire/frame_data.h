/* DATA's header, for frame.c. */
#ifndef WIRE_FRAME_DATA_H
#define WIRE_FRAME_DATA_H

#include "wire/frame.h"

/* The DATA_* combinations that have a type: none, U, UF and UFL. */
static inline bool
data_flags_known(uint64_t flags)
{
	return flags < 8 && (0x8bu >> flags & 1);
}

/* The longest frame that `port` may carry at all. */
static inline uint32_t
frame_ceiling(enum frame_port port)
{
	return port == FRAME_PORT_DATAGRAM ? FRAME_DATAGRAM_CEILING : FRAME_MAX_CEILING;
}

/* The header's length when d may be sent at `port`, else 0. */
size_t	frame_data_check(const struct frame_data *d, enum frame_port port);

/* Writes the header that frame_data_check() has accepted; returns the byte after it. */
uint8_t	*frame_data_put(uint8_t *p, const struct frame_data *d);

#endif
